//! Why a serial port cannot be opened, in words that say what to do.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Where serial adapters have names that stay.
const BY_ID: &str = "/dev/serial/by-id";
/// Names of serial ports in `/dev`, without those of ports that are on every board and mostly
/// not there (`ttyS`).
const NAMES: [&str; 4] = ["ttyUSB", "ttyACM", "ttyAMA", "ttymxc"];
/// How many ports are listed.
const LISTED: usize = 8;

/// Adds to the error of the system what it leaves open: which ports there are instead of one that
/// is not there, and whose a port is that may not be opened.
pub(super) fn explained(path: &Path, error: io::Error) -> io::Error {
    let why = match error.kind() {
        // The serial library says of a port that another program has that it is not there.
        io::ErrorKind::NotFound if path.exists() => {
            "another program uses it, perhaps the service; fuser -v shows which".to_owned()
        }
        io::ErrorKind::NotFound => there_is_no(&serial_ports()),
        io::ErrorKind::PermissionDenied => match fs::metadata(path) {
            Ok(m) => format!(
                "this process may not open it, whose mode is {:04o} and whose owner and group are \
                 {}:{}; it opens what group dialout may read and write",
                m.mode() & 0o7777,
                m.uid(),
                m.gid()
            ),
            Err(_) => return error,
        },
        _ => return error,
    };
    io::Error::new(error.kind(), why)
}

/// Returns the serial ports of this machine: by the names that stay when an adapter is plugged in
/// again, or else by the others.
#[must_use]
pub fn serial_ports() -> Vec<String> {
    ports_in(Path::new(BY_ID), Path::new("/dev"))
}

fn there_is_no(ports: &[String]) -> String {
    match ports {
        [] => "no such port, and no adapter is plugged in".to_owned(),
        ports => {
            let more = ports.len().saturating_sub(LISTED);
            let listed = ports.iter().take(LISTED).map(String::as_str);
            let listed = listed.collect::<Vec<_>>().join(", ");
            let more = match more {
                0 => String::new(),
                n => format!(" and {n} more"),
            };
            format!("no such port; there are {listed}{more}")
        }
    }
}

/// Returns the serial ports that there are: by the names that stay, or else by the others.
fn ports_in(by_id: &Path, dev: &Path) -> Vec<String> {
    let list = |folder: &Path, fits: &dyn Fn(&str) -> bool| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let names = entries.filter(|e| fits(&e.file_name().to_string_lossy()));
        let mut paths: Vec<String> = names.map(|e| e.path().display().to_string()).collect();
        paths.sort();
        paths
    };
    let named = list(by_id, &|_| true);
    match named.is_empty() {
        false => named,
        true => list(dev, &|name| NAMES.iter().any(|n| name.starts_with(n))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_instead_is_listed_by_the_names_that_stay() {
        let dir = tempfile::tempdir().unwrap();
        let by_id = dir.path().join("by-id");
        for name in ["ttyUSB1", "ttyS0", "ttyACM0", "null"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let shown = |ports: Vec<String>| {
            there_is_no(&ports).replace(&format!("{}/", dir.path().display()), "")
        };
        let ports = ports_in(&by_id, dir.path());
        assert_eq!(shown(ports), "no such port; there are ttyACM0, ttyUSB1");
        fs::create_dir(&by_id).unwrap();
        fs::write(by_id.join("usb-FTDI"), "").unwrap();
        let ports = ports_in(&by_id, dir.path());
        assert_eq!(shown(ports), "no such port; there are by-id/usb-FTDI");
        let none = ports_in(&dir.path().join("nowhere"), &dir.path().join("nowhere"));
        assert_eq!(shown(none), "no such port, and no adapter is plugged in");
        let many: Vec<String> = (0..10).map(|n| n.to_string()).collect();
        let told = there_is_no(&many);
        assert!(told.ends_with("6, 7 and 2 more"), "{told}");
    }

    #[test]
    fn whose_a_closed_port_is_is_said_and_other_errors_stay() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let denied = io::Error::from(io::ErrorKind::PermissionDenied);
        let told = explained(file.path(), denied).to_string();
        assert!(
            told.contains("mode is 0600") && told.contains("dialout"),
            "{told}"
        );
        let other = io::Error::other("a strange one");
        assert_eq!(explained(file.path(), other).to_string(), "a strange one");
    }

    #[test]
    fn the_doctor_reads_the_cause_from_these_words() {
        use crate::doctor::{Cause, system_words::of_port};
        let file = tempfile::NamedTempFile::new().unwrap();
        let nowhere = file.path().with_extension("nowhere");
        for (path, kind, cause) in [
            (file.path(), io::ErrorKind::NotFound, Cause::PortBusy),
            (
                file.path(),
                io::ErrorKind::PermissionDenied,
                Cause::PortDenied,
            ),
            (&*nowhere, io::ErrorKind::NotFound, Cause::PortMissing),
        ] {
            let told = explained(path, kind.into()).to_string();
            assert_eq!(of_port(&told), cause, "{told}");
        }
        for ports in [Vec::new(), vec!["/dev/ttyUSB0".to_owned()]] {
            assert_eq!(of_port(&there_is_no(&ports)), Cause::PortMissing);
        }
    }
}
