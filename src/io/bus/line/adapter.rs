//! Sets up an adapter when its port is opened, and finds out which settings it took.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_serial::SerialStream;

use super::kernel::{self, Rs485Settings, rs485_flag};
use crate::io::files::bounded;
use crate::spec::{Rs485, RtsLevel, SerialSpec};

/// Where the kernel shows its ttys: a directory for each node's name.
const TTYS: &str = "/sys/class/tty";

/// The largest file that is read there: the kernel shows a number and a line break; a page at
/// most (sysfs(5)).
const LARGEST: u64 = 4 << 10;

/// How long an adapter may hold bytes back without a notice.
const SHORT: Duration = Duration::from_millis(2);

/// The result of setting an adapter up.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    /// The settings that the adapter changed, in words.
    pub differs: Vec<String>,
    /// As in [`super::OpenedLine`].
    pub held_back: Option<Duration>,
}

/// Sets the adapter behind `tty` up as `spec` says, and asks it to pass received bytes on at
/// once.
///
/// # Errors
/// The driver cannot switch a transceiver: a port configured for that would receive nothing,
/// and might hold the line for all others.
pub(super) fn prepare(tty: &SerialStream, spec: &SerialSpec) -> io::Result<Prepared> {
    let mut prepared = Prepared::default();
    let shown = shown(Path::new(TTYS), &spec.path);
    if let Some(rs485) = spec.adapter.rs485 {
        let asked = settings(rs485);
        let mut made = asked;
        kernel::switch_transceiver(tty, &mut made).map_err(|e| refusal(&e, shown.as_deref()))?;
        prepared.differs = differences(asked, made);
    }
    // Most drivers need no such request, or do not know it.
    let _ = kernel::pass_on_at_once(tty);
    prepared.held_back = shown.and_then(|shown| held_back(&shown, hurry));
    Ok(prepared)
}

/// Returns the kernel's directory of the tty that `path` leads to.
fn shown(ttys: &Path, path: &Path) -> Option<PathBuf> {
    let node = fs::canonicalize(path).ok()?;
    Some(ttys.join(node.file_name()?))
}

fn settings(rs485: Rs485) -> Rs485Settings {
    let set = |bit: u32, on: bool| if on { bit } else { 0 };
    let high = rs485.rts_on_send == RtsLevel::High;
    let millis = |d: Duration| u32::try_from(d.as_millis()).unwrap_or(u32::MAX);
    let mut settings = Rs485Settings::default();
    settings.flags = rs485_flag::ENABLED
        | set(rs485_flag::RTS_ON_SEND, high)
        | set(rs485_flag::RTS_AFTER_SEND, !high)
        | set(rs485_flag::RX_DURING_TX, rs485.rx_during_tx)
        | set(rs485_flag::TERMINATE_BUS, rs485.terminate);
    settings.delay_before_send = millis(rs485.delay_before_send);
    settings.delay_after_send = millis(rs485.delay_after_send);
    settings
}

/// Returns the differences between the requested and the actual settings: a driver does what it
/// can and reports the result.
fn differences(asked: Rs485Settings, made: Rs485Settings) -> Vec<String> {
    let mut differs = Vec::new();
    for (bit, name) in [
        (rs485_flag::ENABLED, "rs485"),
        (rs485_flag::RTS_ON_SEND, "rs485 RTS while sending"),
        (rs485_flag::RTS_AFTER_SEND, "rs485 RTS after sending"),
        (rs485_flag::RX_DURING_TX, "rs485 rx_during_tx"),
        (rs485_flag::TERMINATE_BUS, "rs485 terminate"),
    ] {
        let word = |flags: u32| if flags & bit == 0 { "off" } else { "on" };
        if word(asked.flags) != word(made.flags) {
            let (has, asked) = (word(made.flags), word(asked.flags));
            differs.push(format!("{name} {has} instead of {asked}"));
        }
    }
    for (asked, has, name) in [
        (asked.delay_before_send, made.delay_before_send, "before"),
        (asked.delay_after_send, made.delay_after_send, "after"),
    ] {
        if asked != has {
            differs.push(format!(
                "rs485 delay_{name}_send {has}ms instead of {asked}ms"
            ));
        }
    }
    differs
}

fn refusal(e: &io::Error, shown: Option<&Path>) -> io::Error {
    let driver = shown
        .and_then(|shown| fs::read_link(shown.join("device/driver")).ok())
        .and_then(|link| Some(link.file_name()?.to_string_lossy().into_owned()))
        .map_or(String::new(), |name| format!(" ({name})"));
    let why = format!(
        "its driver{driver} cannot switch an RS-485 transceiver: {e}; an adapter that switches by \
         itself, as nearly all on USB do, needs no rs485: in the configuration"
    );
    io::Error::new(e.kind(), why)
}

/// Returns how long an FTDI chip waits for more bytes before it passes on what it has
/// (drivers/usb/serial/ftdi_sio.c, `latency_timer`): milliseconds, 16 unless changed, and shown
/// as 1 if the driver was asked for low latency.
fn held_back(shown: &Path, hurry: impl FnOnce(&Path)) -> Option<Duration> {
    let path = shown.join("device/latency_timer");
    let read = || {
        let text = bounded::read_text(&path, LARGEST).ok()?;
        text.trim().parse().ok().map(Duration::from_millis)
    };
    let waits = read()?;
    if waits <= SHORT {
        return None;
    }
    hurry(&path);
    read().filter(|waits| *waits > SHORT)
}

/// Sets the timer to the minimum. This fails within the shipped unit, which may not write
/// there.
fn hurry(latency_timer: &Path) {
    let _ = fs::write(latency_timer, "1");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_the_configuration_says_is_what_the_kernel_is_told() {
        // linux/serial.h: ENABLED 1, RTS_ON_SEND 2, RTS_AFTER_SEND 4,
        // RX_DURING_TX 16, TERMINATE_BUS 32.
        let told = settings(Rs485::default());
        assert_eq!((told.flags, told.delay_before_send), (0b11, 0));
        let told = settings(Rs485 {
            rts_on_send: RtsLevel::Low,
            delay_before_send: Duration::from_millis(3),
            delay_after_send: Duration::from_millis(100),
            rx_during_tx: true,
            terminate: true,
        });
        assert_eq!(told.flags, 0b11_0101);
        assert_eq!((told.delay_before_send, told.delay_after_send), (3, 100));
    }

    #[test]
    fn what_a_driver_made_of_it_is_named() {
        let asked = settings(Rs485 {
            delay_after_send: Duration::from_millis(5),
            terminate: true,
            ..Rs485::default()
        });
        assert!(differences(asked, asked).is_empty());
        let mut made = asked;
        made.flags &= !32;
        made.delay_after_send = 0;
        assert_eq!(
            differences(asked, made),
            [
                "rs485 terminate off instead of on",
                "rs485 delay_after_send 0ms instead of 5ms"
            ]
        );
    }

    /// Makes the files that the kernel shows for an FTDI adapter.
    fn ftdi(timer: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let shown = folder.path().join("ttyUSB7");
        fs::create_dir_all(shown.join("device")).unwrap();
        fs::write(shown.join("device/latency_timer"), timer).unwrap();
        symlink("/bus/drivers/ftdi_sio", shown.join("device/driver")).unwrap();
        (folder, shown)
    }

    #[test]
    fn a_driver_that_cannot_is_named() {
        let (_folder, shown) = ftdi("1\n");
        let e = io::Error::from_raw_os_error(25);
        let why = refusal(&e, Some(&shown)).to_string();
        assert!(
            why.starts_with("its driver (ftdi_sio) cannot switch"),
            "{why}"
        );
        assert!(why.contains("Inappropriate ioctl"), "{why}");
        let why = refusal(&e, None).to_string();
        assert!(why.starts_with("its driver cannot switch"), "{why}");
    }

    #[test]
    fn an_adapter_that_waits_is_told_not_to() {
        let (_folder, shown) = ftdi("16\n");
        assert_eq!(held_back(&shown, hurry), None);
        let now = fs::read_to_string(shown.join("device/latency_timer"));
        assert_eq!(now.unwrap(), "1");
    }

    #[test]
    fn one_that_may_not_be_told_is_told_about() {
        let (_folder, shown) = ftdi("16\n");
        let waits = held_back(&shown, |_| {});
        assert_eq!(waits, Some(Duration::from_millis(16)));
    }

    #[test]
    fn other_adapters_do_not_wait() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(held_back(folder.path(), hurry), None);
    }

    #[test]
    fn a_stable_name_leads_to_what_the_kernel_shows() {
        let folder = tempfile::tempdir().unwrap();
        let node = folder.path().join("ttyUSB7");
        fs::write(&node, "").unwrap();
        let name = folder.path().join("usb-FTDI_A1-if00-port0");
        symlink(&node, &name).unwrap();
        assert_eq!(
            shown(Path::new("/sys/class/tty"), &name),
            Some("/sys/class/tty/ttyUSB7".into())
        );
    }
}
