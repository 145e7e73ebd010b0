//! The platform's codes, and what each means for us: one table.
//!
//! Per code: its meaning (what the gateway does), the remedy (what ends a retry block before
//! its time, and what is repaired first), the text, and the advice in words.
//!
//! Sources: "Connect or disconnect sub-devices" and "Error codes (for
//! sub-device development)" of the platform's documentation, 2018–2020 copies.

use std::fmt;
use std::time::Duration;

/// A code as the platform sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Code(pub i64);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The meaning of a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeMeaning {
    /// Done.
    Accepted,
    /// Too many requests: the gate closes, and no device is blamed.
    Throttled,
    /// No room for more sub-devices under this gateway.
    Full,
    /// The device has no session.
    NoSession,
    /// The platform is in trouble: the same request follows later, and no device is blamed.
    Trouble,
    /// The code is about one device. The device is found, gets a retry block, and is tried
    /// again alone; each time in a row the retry block doubles.
    Device {
        /// The first retry block.
        first: Duration,
        /// The longest retry block.
        longest: Duration,
    },
    /// The request was wrong: our bug. It is never sent again unchanged. It is searched
    /// like a device's fault, since each part of a batch is another request; the device
    /// whose lone request is wrong gets a retry block, longer each time.
    Request,
    /// A code that is not in the table: searched, then retried with growing waits.
    Unknown,
}

/// What the refusal of a device means to its operator, on any platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// The device is not under this gateway, or under another one.
    NotInTopology,
    /// No more devices may be under this gateway.
    TopologyFull,
    /// The platform does not know the device, or knows it no more.
    NotRegistered,
    /// The secret of the device, or of its product, is wrong.
    WrongSecret,
    /// The device is disabled.
    Disabled,
    /// The device is online by another way.
    Elsewhere,
    /// Something else.
    Other,
}

/// What ends the refusal of a device with a code, other than time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// No event that the platform reports to the gateway.
    Time,
    /// The device is put under this gateway: the gateway asks for it (`thing/topo/add`), or
    /// the platform reports that it was done.
    Relation,
    /// The device is created, or released by another gateway, and put under this one: the
    /// platform says that it is there, or lists it.
    Existence,
    /// Another device leaves this gateway's topology.
    DeviceLeaves,
    /// The device is enabled in the console: the platform says so.
    Enabling,
    /// The device has another secret.
    Secret,
}

const fn minutes(first: u64, longest: u64) -> CodeMeaning {
    CodeMeaning::Device {
        first: Duration::from_secs(first * 60),
        longest: Duration::from_secs(longest * 60),
    }
}

struct CodeRow(i64, CodeMeaning, Remedy, &'static str, &'static str);

/// Code, meaning, remedy, text, and what a person can do about it.
const TABLE: &[CodeRow] = &[
    CodeRow(200, CodeMeaning::Accepted, Remedy::Time, "accepted", ""),
    CodeRow(
        401,
        minutes(10, 60),
        Remedy::Secret,
        "signature refused",
        "check the device's secret",
    ),
    CodeRow(
        427,
        minutes(1, 10),
        Remedy::Time,
        "the same device is connected elsewhere",
        "look for another gateway, or the device itself, using this identity",
    ),
    CodeRow(
        428,
        CodeMeaning::Full,
        Remedy::Time,
        "too many sub-devices online under this gateway",
        "lower session.online, or ask for a larger quota",
    ),
    CodeRow(
        429,
        CodeMeaning::Throttled,
        Remedy::Time,
        "asked too often",
        "",
    ),
    CodeRow(
        460,
        CodeMeaning::Request,
        Remedy::Time,
        "the request was malformed",
        "this is a fault of the gateway; please report it with the message",
    ),
    CodeRow(
        500,
        CodeMeaning::Trouble,
        Remedy::Time,
        "the platform failed",
        "",
    ),
    CodeRow(
        520,
        CodeMeaning::NoSession,
        Remedy::Time,
        "the device has no session",
        "",
    ),
    CodeRow(
        521,
        minutes(10, 60),
        Remedy::Existence,
        "the device was deleted on the platform",
        "create it again, or remove it from the configuration",
    ),
    CodeRow(
        522,
        minutes(5, 10),
        Remedy::Enabling,
        "the device is disabled on the platform",
        "enable it in the console",
    ),
    CodeRow(
        527,
        minutes(1, 10),
        Remedy::Time,
        "the device logged in twice",
        "look for another gateway using this identity",
    ),
    CodeRow(
        6100,
        minutes(5, 30),
        Remedy::Existence,
        "the platform does not know the device",
        "create it, or check product_key and device_name",
    ),
    CodeRow(
        6204,
        minutes(5, 10),
        Remedy::Enabling,
        "the device is disabled on the platform",
        "enable it in the console",
    ),
    CodeRow(
        6250,
        minutes(10, 60),
        Remedy::Existence,
        "the platform does not know the product",
        "check product_key, and that the product is of this instance",
    ),
    CodeRow(
        6287,
        minutes(10, 60),
        Remedy::Secret,
        "signature refused",
        "check the device's secret",
    ),
    CodeRow(
        6288,
        minutes(10, 60),
        Remedy::Time,
        "dynamic registration is switched off for the product",
        "switch it on in the console, or configure the device's secret",
    ),
    CodeRow(
        6289,
        minutes(10, 60),
        Remedy::Time,
        "the device has been online with a secret that it was given before",
        "restore the file of secrets, configure the device's secret, or reset the device in the console",
    ),
    CodeRow(
        6292,
        minutes(10, 60),
        Remedy::Time,
        "the platform does not have this sign method",
        "choose another cloud.sign_method",
    ),
    CodeRow(
        6313,
        CodeMeaning::Trouble,
        Remedy::Time,
        "the platform's model service is unavailable",
        "",
    ),
    CodeRow(
        6400,
        minutes(10, 60),
        Remedy::DeviceLeaves,
        "too many sub-devices in this gateway's topology",
        "remove some in the console, or ask for a larger quota",
    ),
    CodeRow(
        6401,
        minutes(1, 10),
        Remedy::Relation,
        "the device is not in this gateway's topology",
        "add it under the gateway in the console",
    ),
    CodeRow(
        6402,
        minutes(10, 60),
        Remedy::Time,
        "the device is the gateway itself",
        "check product_key and device_name",
    ),
    CodeRow(
        6600,
        minutes(10, 60),
        Remedy::Secret,
        "signature with the product's secret refused",
        "check product_secret of the device's profile",
    ),
    CodeRow(
        6619,
        minutes(10, 60),
        Remedy::Existence,
        "the device is bound to another gateway",
        "remove it from the other gateway first",
    ),
];

impl Code {
    /// Returns what a refusal with this code means to the operator.
    #[must_use]
    pub const fn refusal_kind(self) -> RefusalKind {
        match self.0 {
            6401 | 6619 => RefusalKind::NotInTopology,
            6400 => RefusalKind::TopologyFull,
            521 | 6100 | 6250 | 6288 => RefusalKind::NotRegistered,
            401 | 6287 | 6289 | 6292 | 6600 => RefusalKind::WrongSecret,
            522 | 6204 => RefusalKind::Disabled,
            427 | 527 => RefusalKind::Elsewhere,
            _ => RefusalKind::Other,
        }
    }

    /// 200
    pub const ACCEPTED: Code = Code(200);
    /// 520: the device has no session.
    pub const NO_SESSION: Code = Code(520);
    /// 521: deleted.
    pub const DELETED: Code = Code(521);
    /// 522: disabled.
    pub const DISABLED: Code = Code(522);
    /// 6100: not known to the platform.
    pub const UNKNOWN_DEVICE: Code = Code(6100);
    /// 6401: not under this gateway.
    pub const NO_RELATION: Code = Code(6401);

    fn row(self) -> Option<&'static CodeRow> {
        TABLE.iter().find(|row| row.0 == self.0)
    }

    /// Returns what the gateway does about the code.
    #[must_use]
    pub fn meaning_kind(self) -> CodeMeaning {
        self.row().map_or(CodeMeaning::Unknown, |row| row.1)
    }

    /// Returns what ends the refusal.
    #[must_use]
    pub fn remedy(self) -> Remedy {
        self.row().map_or(Remedy::Time, |row| row.2)
    }

    /// Returns the code, its meaning and the platform's words.
    pub(crate) fn words_with(self, message: &str) -> String {
        let mut out = format!("code {self}: {}", self.meaning());
        if !message.is_empty() {
            out.push_str(&format!(
                " (\"{}\")",
                crate::base::text::excerpt(message.as_bytes(), 200)
            ));
        }
        out
    }

    /// Returns the meaning in words.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        self.row()
            .map_or("a code this program does not know", |row| row.3)
    }

    /// Returns what a person can do; may be empty.
    #[must_use]
    pub fn advice(self) -> &'static str {
        self.row().map_or("", |row| row.4)
    }

    /// Returns code, meaning and advice: `code 522: the device is disabled; enable it in
    /// the console`.
    #[must_use]
    pub fn words(self) -> String {
        let gap = if self.advice().is_empty() { "" } else { "; " };
        format!("code {}: {}{gap}{}", self.0, self.meaning(), self.advice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_session_pages_has_its_row_and_none_has_two() {
        for code in [
            200, 460, 429, 428, 6401, 6100, 521, 522, 6204, 6287, 520, 427, 527, 500,
        ] {
            assert_ne!(Code(code).meaning_kind(), CodeMeaning::Unknown, "{code}");
            assert_eq!(TABLE.iter().filter(|r| r.0 == code).count(), 1, "{code}");
        }
        assert_eq!(Code(-1).meaning_kind(), CodeMeaning::Unknown);
    }
}
