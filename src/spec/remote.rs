//! What the gateway's own files allow a configuration from the platform.

use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

use super::network::HostList;
use crate::base::Digest;

/// The rules for a configuration that the platform pushes ("Remote configuration").
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RemotePolicy {
    /// Whether such a configuration is accepted at all. Default no.
    pub enabled: bool,
    /// The largest file that is downloaded, in bytes. Default 64 KiB, which is said to be the
    /// most the console saves; the page's example announces more, so the limit can be raised.
    pub max_bytes: usize,
    /// How long the service has to run with the file, and the longest time it may be without the
    /// platform, before the file replaces the one before it. Default 5 min: a watchdog kills
    /// after 30 s, leaks of memory or of ports show within minutes, and a connection that is lost
    /// for a moment is back.
    pub probation: Duration,
    /// The directory of the secrets that the file may name. Default `None`: it may name none.
    pub secrets_dir: Option<PathBuf>,
    /// The hosts that its ports may connect to. Default: private networks.
    pub hosts: HostList,
    /// The serial devices that its ports may open; `*` stands for any characters in the last part
    /// of a path. Default empty: serial ports by their usual names.
    pub devices: Vec<String>,
    /// The hosts that the file may be downloaded from, besides public ones. Default none.
    pub downloads: HostList,
    /// The file that is a part of this [`super::Spec`], if there is one.
    pub in_force: Option<Digest>,
    /// The files that failed here, newest last.
    pub failed: Vec<FailedTrial>,
    /// Pushes that were reported to the platform as adopted, and whose files have failed since:
    /// the platform is told of the failure.
    pub retracted: Vec<Retraction>,
}

impl Default for RemotePolicy {
    fn default() -> Self {
        RemotePolicy {
            enabled: false,
            max_bytes: 64 << 10,
            probation: Duration::from_secs(300),
            secrets_dir: None,
            hosts: HostList::default(),
            devices: Vec::new(),
            downloads: HostList::none(),
            in_force: None,
            failed: Vec::new(),
            retracted: Vec::new(),
        }
    }
}

/// Returns whether `name` is the kernel's name of a serial port
/// (Documentation/admin-guide/devices.txt) after `tty`: in capitals, except for the ports of
/// i.MX.
fn is_serial_node(name: &str) -> bool {
    let kind = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let capital = kind.starts_with(|c: char| c.is_ascii_uppercase());
    let letters = kind.bytes().all(|b| b.is_ascii_alphabetic());
    kind.len() < name.len() && letters && (capital || kind == "mxc")
}

impl RemotePolicy {
    /// Returns whether `path` is one of the names that serial ports have: the kernel's, or those
    /// that udev keeps (60-serial.rules). Consoles, pseudo terminals and all other devices are
    /// not.
    #[must_use]
    pub fn is_usual_device(path: &str) -> bool {
        if let Some(name) = path.strip_prefix("/dev/tty") {
            return is_serial_node(name);
        }
        let linked = ["/dev/serial/by-id/", "/dev/serial/by-path/"];
        linked
            .iter()
            .filter_map(|directory| path.strip_prefix(directory))
            .any(|name| !name.is_empty() && !name.starts_with('.') && !name.contains('/'))
    }

    /// Returns whether its ports may open the device that is written as `path`.
    #[must_use]
    pub fn allows_device(&self, path: &str) -> bool {
        let fits = |pattern: &String| match pattern.split_once('*') {
            None => pattern == path,
            Some((before, after)) => path
                .strip_prefix(before)
                .and_then(|rest| rest.strip_suffix(after))
                .is_some_and(|star| !star.contains('/') && !star.starts_with('.')),
        };
        match self.devices.as_slice() {
            [] => RemotePolicy::is_usual_device(path),
            listed => listed.iter().any(fits),
        }
    }
}

/// A push whose file was adopted and then failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Retraction {
    /// The id of the push, as JSON.
    pub push: String,
    /// The way in which the file failed.
    pub failure: TrialFailure,
}

/// A file that was adopted, or only checked, and did not prove itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FailedTrial {
    /// The digest of the file.
    pub digest: Digest,
    /// The way in which the file failed.
    pub failure: TrialFailure,
}

/// The way in which a file did not prove itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum TrialFailure {
    /// The service ended, unasked, while it checked the file or ran with it.
    Died,
    /// The service did not reach the platform with it.
    Unreached,
}

impl TrialFailure {
    /// Returns words that follow "it failed its probation: ".
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            TrialFailure::Died => "the service ended while it checked the file or ran with it",
            TrialFailure::Unreached => "the service did not reach the platform with it",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_serial_ports_are_serial_ports() {
        let usual = RemotePolicy::default();
        for port in [
            "/dev/ttyS0",
            "/dev/ttyUSB12",
            "/dev/ttyACM0",
            "/dev/ttyAMA1",
            "/dev/ttymxc3",
            "/dev/serial/by-id/usb-FTDI_FT232R-if00-port0",
            "/dev/serial/by-path/pci-0000:00:14.0-usb-0:1:1.0-port0",
        ] {
            assert!(usual.allows_device(port), "{port}");
        }
        for other in [
            "/dev/tty",
            "/dev/tty1",
            "/dev/ttyS",
            "/dev/ttyp0",
            "/dev/pts/0",
            "/dev/ptmx",
            "/dev/sda1",
            "/dev/watchdog",
            "/etc/passwd",
            "/dev/ttyS0/../sda",
            "/dev/serial/by-id/../../sda",
            "/dev/serial/by-id/..",
            "/dev/serial/by-id/",
            "/dev/../dev/ttyS0",
            "//dev/ttyS0",
            "ttyS0",
            "/dev/ttyS0 ",
        ] {
            assert!(!usual.allows_device(other), "{other}");
        }
    }

    #[test]
    fn a_list_is_all_there_is() {
        let listed = RemotePolicy {
            devices: vec!["/dev/rfcomm0".into(), "/dev/serial/by-id/usb-FTDI*".into()],
            ..RemotePolicy::default()
        };
        assert!(listed.allows_device("/dev/rfcomm0"));
        assert!(listed.allows_device("/dev/serial/by-id/usb-FTDI_x"));
        assert!(!listed.allows_device("/dev/serial/by-id/usb-FTDI/../x"));
        assert!(!listed.allows_device("/dev/ttyS0"));
    }
}
