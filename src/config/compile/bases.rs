//! The files beside a profile that it is based on.
//!
//! A profile in a file of its own may be based on one in the same folder whose file has the name of
//! the profile: `eastron-sdm120.yaml` on `eastron-sdm230.yaml`. That file is read although
//! `profiles_from:` does not name it, so that a single file of the package can be named. Its
//! profile is the basis of others and nothing else: no device has it.
//!
//! A profile within the main file, or from the platform, has no such folder: what it is based on is
//! another profile of the configuration.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::config::reader::section::Notes;
use crate::config::reader::source::{NeededSource, ReadSources, SourceText};
use crate::config::reader::tree::{NodeContent, OriginId};
use crate::config::reader::yaml;

/// The most steps from a profile to one that is based on none.
const MOST_STEPS: usize = 8;

/// Returns the files beside those of `profiles_from:` that their profiles are based on, as far as
/// the answers tell, each with the entry that leads to it.
pub(super) fn beside(
    profiles_from: &[(NeededSource, OriginId)],
    answers: &ReadSources,
) -> Vec<(NeededSource, OriginId)> {
    let sources = |want: &NeededSource| answers.get(want).map(Vec::as_slice).unwrap_or_default();
    let named = profiles_from.iter();
    let named = named.flat_map(|(want, origin)| sources(want).iter().map(|s| (s, *origin)));
    let mut last: Vec<(&SourceText, OriginId)> = named.collect();
    let paths = last.iter().map(|(source, _)| PathBuf::from(&source.path));
    let mut seen: BTreeSet<PathBuf> = paths.collect();
    let mut found = Vec::new();
    for _ in 0..MOST_STEPS {
        let mut next = Vec::new();
        for (source, origin) in last {
            let Some(path) = base_of(source).filter(|path| seen.insert(path.clone())) else {
                continue;
            };
            let want = NeededSource::Beside(path.to_string_lossy().into_owned());
            next.extend(sources(&want).iter().map(|source| (source, origin)));
            found.push((want, origin));
        }
        last = next;
    }
    found
}

/// Returns the file of the profile that the one in this file is based on.
fn base_of(source: &SourceText) -> Option<PathBuf> {
    let bytes = source.bytes.as_ref().ok()?;
    let key = b"based_on";
    // Most profiles are based on none, and are read once.
    if !bytes.windows(key.len()).any(|window| window == key) {
        return None;
    }
    // What is wrong with the file is noted when its profile is read.
    let node = yaml::read(bytes, 0, &mut Notes::default())?;
    let NodeContent::Map(entries) = node.is else {
        return None;
    };
    let NodeContent::Text(name) = &entries.get("based_on")?.is else {
        return None;
    };
    let is_plain = !name.starts_with('.') && !name.contains(['/', '\0']);
    let file = format!("{name}.yaml");
    is_plain.then(|| Path::new(&source.path).with_file_name(file))
}
