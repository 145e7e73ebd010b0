//! The contents of the files that a configuration names.

use super::problem::Expectation;
use super::section::{Notes, shown};
use super::source::{NeededSource, SourceText};
use super::tree::OriginId;

/// Returns the bytes of a file that was named at `origin`.
pub(crate) fn contents<'a>(
    source: &'a SourceText,
    origin: OriginId,
    want: &NeededSource,
    notes: &mut Notes,
) -> Option<&'a [u8]> {
    match &source.bytes {
        Ok(bytes) => {
            notes.look_at(source, origin);
            Some(bytes)
        }
        Err(why) => {
            let (NeededSource::File(name)
            | NeededSource::Secret(name)
            | NeededSource::Bundle(name)
            | NeededSource::Pattern(name)
            | NeededSource::Credential(name)
            | NeededSource::Beside(name)) = want;
            notes.error(
                origin,
                format!("{}, but {why}", shown(name)),
                Expectation::wanted("a file that can be read")
                    .maybe_hint(looked_for(name, &source.path))
                    .maybe_hint(denied(why).map(str::to_owned)),
            );
            None
        }
    }
}

/// Returns what to do if a file was not read because this user may not.
pub(crate) fn denied(why: &str) -> Option<&'static str> {
    // The words of `io/files/bounded.rs`; a test of `cli/check.rs` keeps the two equal.
    (why == "this user may not read it")
        .then_some("use sudo, or become a member of the group of the file")
}

/// Returns where a file was looked for, unless that is what was written.
pub(crate) fn looked_for(written: &str, path: &str) -> Option<String> {
    (written != path).then(|| format!("looked for {path}"))
}
