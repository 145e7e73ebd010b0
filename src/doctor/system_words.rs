//! What the words of the system and of `io/` mean. The words are for people, and stand in the
//! picture as the journal has them; here a cause is read from them. Numbers of errors are those
//! of Linux (errno(3), `asm-generic/errno-base.h` and `errno.h`), which Rust's standard library
//! writes behind the system's text: `Device or resource busy (os error 16)`.

use super::cause::Cause;

/// Returns the number of the system's error in a text, the last if there are several.
fn os_error(text: &str) -> Option<u32> {
    let (_, behind) = text.rsplit_once("(os error ")?;
    behind.split(')').next()?.parse().ok()
}

/// Returns why a port is down. The words are those of `io/bus/line.rs` and the folder beside it,
/// whose tests ask this function what it makes of them.
#[must_use]
pub fn of_port(why: &str) -> Cause {
    let has = |words: &str| why.contains(words);
    // Words of `io/` replace the system's, or stand around them.
    for (words, cause) in OWN_WORDS {
        if has(words) {
            return cause;
        }
    }
    match os_error(why) {
        Some(1 | 13) => Cause::PortDenied,
        // ENOENT, ENXIO, ENODEV.
        Some(2 | 6 | 19) => Cause::PortMissing,
        // EAGAIN of a lock, EBUSY.
        Some(11 | 16) => Cause::PortBusy,
        // EPIPE, ECONNABORTED, ECONNRESET, ECONNREFUSED.
        Some(32 | 103 | 104 | 111) => Cause::HostRefuses,
        // ENFILE, EMFILE.
        Some(23 | 24) => Cause::TooManyFiles,
        // ENETDOWN, ENETUNREACH, ETIMEDOUT, EHOSTDOWN, EHOSTUNREACH.
        Some(100 | 101 | 110 | 112 | 113) => Cause::HostUnreachable,
        // The serial library has the text without the number.
        _ if has("Device or resource busy") => Cause::PortBusy,
        _ if has("No such file or directory") || has("No such device") => Cause::PortMissing,
        _ if has("Permission denied") => Cause::PortDenied,
        _ if has("timed out") => Cause::HostUnreachable,
        _ => Cause::PortFails,
    }
}

/// Words of `io/bus/line.rs`, `line/not_opened.rs`, `line/adapter.rs`, `io/system/headroom.rs` and
/// the standard library, and what each says.
const OWN_WORDS: [(&str, Cause); 10] = [
    ("no such port", Cause::PortMissing),
    ("the device is gone", Cause::PortMissing),
    ("another program uses it", Cause::PortBusy),
    ("this process may not open it", Cause::PortDenied),
    (
        "cannot switch an RS-485 transceiver",
        Cause::SettingsNotTaken,
    ),
    ("no connection within", Cause::HostUnreachable),
    ("the other end closed the connection", Cause::HostRefuses),
    ("failed to lookup address", Cause::HostUnknown),
    (
        "no address that remote_config.hosts allows",
        Cause::HostForbidden,
    ),
    ("too many files are open", Cause::TooManyFiles),
];

/// Returns why the broker cannot be reached (`io/link/dial.rs`).
#[must_use]
pub fn of_unreachable(why: &str) -> Cause {
    let is_name = ["cannot find", "the name server", "has no address"];
    match is_name.iter().any(|words| why.contains(words)) {
        true => Cause::NameUnknown,
        false => Cause::BrokerUnreachable,
    }
}

/// Returns why TLS fails, the likeliest first (`io/link/tls.rs`).
#[must_use]
pub fn of_tls(why: &str) -> &'static [Cause] {
    let has = |words: &str| why.contains(words);
    if has("is not valid yet") || has("is not valid before") {
        return &[Cause::ClockUnset, Cause::CertificateExpired];
    }
    if has("has expired") || has("expired on") {
        return &[Cause::CertificateExpired, Cause::ClockUnset];
    }
    if has("root that this gateway trusts") || has("ca_file") || has("no root certificate") {
        return &[Cause::CaWrong];
    }
    &[Cause::TlsFails]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_the_system_name_the_cause() {
        for (why, cause) in [
            (
                "no such port, and no adapter is plugged in",
                Cause::PortMissing,
            ),
            ("Input/output error (os error 5)", Cause::PortFails),
            ("Device or resource busy", Cause::PortBusy),
            ("Permission denied (os error 13)", Cause::PortDenied),
            ("Connection refused (os error 111)", Cause::HostRefuses),
            ("No route to host (os error 113)", Cause::HostUnreachable),
            (
                "failed to lookup address information: Name or service not known",
                Cause::HostUnknown,
            ),
            ("(os error x", Cause::PortFails),
            ("Too many open files (os error 24)", Cause::TooManyFiles),
            (
                "Connection reset by peer (os error 104)",
                Cause::HostRefuses,
            ),
            (
                "its driver (ftdi_sio) cannot switch an RS-485 transceiver: Inappropriate ioctl for device (os error 25); an adapter",
                Cause::SettingsNotTaken,
            ),
        ] {
            assert_eq!(of_port(why), cause, "{why}");
        }
        assert_eq!(
            of_unreachable("broker unreachable: cannot find a.example: x"),
            Cause::NameUnknown
        );
        assert_eq!(
            of_unreachable("broker unreachable: 192.0.2.1:1883: no answer"),
            Cause::BrokerUnreachable
        );
    }
}
