//! Checks whether a serial port is configured by a permanent name: the kernel numbers adapters
//! in the order in which it detects them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::config::{Problem, Severity, SourcePosition};
use crate::spec::{LineSpec, Spec};

/// Where udev keeps names that an adapter has wherever it is plugged in (60-serial.rules).
pub(super) const BY_ID: &str = "/dev/serial/by-id";

/// Returns a warning for each port whose adapter has a name in `by_id` and is configured by
/// another name, which may be that of another adapter tomorrow.
pub(super) fn check<'a>(
    spec: &'a Spec,
    positions: &'a [SourcePosition],
    by_id: &Path,
) -> impl Iterator<Item = Problem> + 'a {
    let names = names(by_id);
    spec.ports
        .iter()
        .zip(positions)
        .filter_map(move |(port, position)| {
            let LineSpec::Serial(serial) = &port.line else {
                return None;
            };
            let node = fs::canonicalize(&serial.path).ok()?;
            // A link was made by the operator; only the node's name may pass to another adapter.
            if node != serial.path {
                return None;
            }
            let (_, name) = names.iter().find(|(of, _)| *of == node)?;
            Some(Problem {
            severity: Severity::Warning,
            file: position.file.clone(),
            line: position.line,
            column: position.column,
            path: position.path.clone(),
            said: format!("device: {}", serial.path.display()),
            wanted: format!("device: {}", name.display()),
            hint: Some(
                "that is the same adapter, by a name that stays when adapters are plugged in in \
                 another order"
                    .into(),
            ),
        })
        })
}

/// Returns nodes and their names.
fn names(by_id: &Path) -> Vec<(PathBuf, PathBuf)> {
    let entries = fs::read_dir(by_id).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter_map(|entry| Some((fs::canonicalize(entry.path()).ok()?, entry.path())))
        .collect();
    names.sort();
    names
}
