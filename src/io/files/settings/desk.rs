//! Stand-ins for what only the box has: secrets, certificates, and the variables of its unit.
//!
//! A configuration is looked at on a laptop, too, where it was written. Its ports and profiles
//! say the same there; its secrets are not there, and should not be.

use std::path::Path;

use super::{DeskMode, LoadContext, Loaded};
use crate::config::{NeededSource, Report, SourceText};
use crate::io::files::bounded::{self, ReadFailure};

/// Eight digits: a stand-in for a DeviceSecret, for the password of a meter and for an operator's
/// code alike.
const SECRET: &[u8] = b"00000000";

/// What makes a file one of certificates; it is not looked into further before a connection.
const BUNDLE: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// The variables that may stand for a key which a configuration lacks, with the key's path.
const VARIABLES: [(&str, &str, &str); 2] = [
    ("ALINK_GATEWAY_SECRET", "gateway.secret", "00000000"),
    ("ALINK_GATEWAY_URL", "cloud.url", "mqtts://localhost"),
];

/// Returns the file, or a stand-in for one that is missing or may not be read, which is then among
/// `absent`. A file that is wrong otherwise has none.
pub(super) fn stand_in(
    source: SourceText,
    want: &NeededSource,
    desk: DeskMode,
    absent: &mut Vec<String>,
) -> SourceText {
    let (name, bytes) = match (want, desk) {
        (NeededSource::Secret(name), DeskMode::Secrets | DeskMode::All) => (name, SECRET),
        (NeededSource::Bundle(name), DeskMode::All) => (name, BUNDLE),
        _ => return source,
    };
    let path = Path::new(&source.path);
    let why = source.bytes.is_err().then(|| bounded::open(path).err());
    match why.flatten() {
        Some(ReadFailure::Missing | ReadFailure::Forbidden) => {
            absent.push(name.clone());
            SourceText::of(source.path, Ok(bytes.into()))
        }
        Some(ReadFailure::NoFile(_) | ReadFailure::TooLarge(_) | ReadFailure::Failed(_)) | None => {
            source
        }
    }
}

/// Loads a configuration, and adds the files that have a stand-in.
type Load<'l> = dyn Fn(&LoadContext, &mut Vec<String>) -> Result<Loaded, Report> + 'l;

/// Loads, and again with a stand-in for each variable without which a key is lacking. Returns what
/// has a stand-in, too.
pub(super) fn with_variables(
    context: &LoadContext,
    load: &Load<'_>,
) -> (Result<Loaded, Report>, Vec<String>) {
    let mut absent = Vec::new();
    let loaded = load(context, &mut absent);
    let lacking: Vec<_> = match (&loaded, context.desk) {
        (Err(report), DeskMode::All) => {
            let lacks = |path: &str| {
                let mut all = report.problems().iter();
                all.any(|p| p.path == path && p.said == "nothing")
            };
            VARIABLES
                .iter()
                .filter(|(_, path, _)| lacks(path))
                .collect()
        }
        _ => Vec::new(),
    };
    if lacking.is_empty() {
        return (loaded, absent);
    }
    let mut context = context.clone();
    let mut absent = Vec::new();
    for (name, _, value) in &lacking {
        let variable = ((*name).to_owned(), (*value).to_owned());
        context.environment.push(variable);
        absent.push((*name).to_owned());
    }
    // What is told of a variable that is not set here would be told of nothing.
    let is_of_stand_in = |path: &str| lacking.iter().any(|(name, ..)| *name == path);
    let without = |report: Report| report.without(|p| is_of_stand_in(&p.path));
    let loaded = match load(&context, &mut absent) {
        Ok(mut loaded) => {
            loaded.warnings = without(loaded.warnings);
            Ok(loaded)
        }
        Err(report) => Err(without(report)),
    };
    (loaded, absent)
}
