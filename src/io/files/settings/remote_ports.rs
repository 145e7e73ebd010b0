//! Checks whether the serial ports of the platform's file are what their names say.
//!
//! The reader of the file checks that a name is one of a serial port; this module checks where
//! the name leads. A port that does not exist is refused when the file is adopted, and is no
//! error later: an adapter that was pulled out must not keep a gateway from starting.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use crate::config::{DEVICE_HINT, DEVICE_WANTED, Problem, Report, Severity, SourcePosition};
use crate::spec::{LineSpec, RemotePolicy, Spec};

/// Checks the ports that are configured in `file`.
///
/// # Errors
/// A problem for each port that leads elsewhere or, if the file is to be adopted,
/// nowhere.
pub(super) fn check(
    spec: &Spec,
    positions: &[SourcePosition],
    file: &str,
    adopted: bool,
) -> Result<(), Report> {
    let listed = !spec.cloud.remote.devices.is_empty();
    let ports = spec.ports.iter().zip(positions);
    let remote_file = ports.filter(|(_, position)| position.file.as_ref() == file);
    let problem = |(port, position): (&LineSpec, &SourcePosition)| {
        let LineSpec::Serial(serial) = port else {
            return None;
        };
        let fine = match leads_to_a_port(&serial.path, listed) {
            Some(fine) => fine,
            None => !adopted,
        };
        (!fine).then(|| Problem {
            severity: Severity::Error,
            file: position.file.clone(),
            line: position.line,
            column: position.column,
            path: position.path.clone(),
            said: serial.path.display().to_string(),
            wanted: DEVICE_WANTED.into(),
            hint: Some(DEVICE_HINT.into()),
        })
    };
    let problems: Vec<_> = remote_file
        .filter_map(|(port, position)| problem((&port.line, position)))
        .collect();
    match problems.is_empty() {
        true => Ok(()),
        false => Err(Report::new(problems, &[file.into()])),
    }
}

/// Returns whether a device is a character device and, unless the gateway's own files list it,
/// still called like a serial port when all links are followed. `None` if it does not exist.
fn leads_to_a_port(path: &Path, listed: bool) -> Option<bool> {
    let node = fs::canonicalize(path).ok()?;
    let metadata = fs::metadata(&node).ok()?;
    let usual = RemotePolicy::is_usual_device(&node.to_string_lossy());
    Some(metadata.file_type().is_char_device() && (usual || listed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_link_is_followed_and_only_a_device_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let link = |name: &str, target: &str| {
            let link = dir.path().join(name);
            symlink(target, &link).unwrap();
            link
        };
        let console = link("usb-console", "/dev/null");
        // The console is a device, and no serial port.
        assert_eq!(leads_to_a_port(&console, false), Some(false));
        assert_eq!(leads_to_a_port(&console, true), Some(true));
        let file = link("usb-file", "/etc/passwd");
        assert_eq!(leads_to_a_port(&file, true), Some(false));
        let gone = link("usb-gone", "/dev/ttyUSB250");
        assert_eq!(leads_to_a_port(&gone, true), None);
    }
}
