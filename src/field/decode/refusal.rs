//! The reasons why a reply may give no value for a point.

use std::fmt;

/// Why a reply gave no value for a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoValueReason {
    /// The registers hold IEEE 754's "not a number".
    NotANumber,
    /// The registers hold an infinity, or scaling left the range of numbers.
    Infinite,
    /// The number has more digits than a whole number of 64 bits.
    TooLarge,
    /// The registers hold bytes that are no text, or no number where a number is written.
    NotText,
    /// The registers hold a digit above 9.
    NotDecimal,
    /// The registers hold what the configuration lists as `invalid:`.
    Marked,
    /// The register with the power of ten says that there is no value, or a
    /// power beyond −10 to 10.
    NoPower,
    /// The register with the sign holds none.
    NoSign,
    /// The value is below `min:` or above `max:`.
    OutOfRange,
    /// The number is none of those under `values:`.
    UnknownState,
    /// The data have more or fewer bytes than the value.
    Length,
    /// The registers hold a date or a time that does not exist.
    NoSuchTime,
    /// The reply ends before the value, or the text in front of the value is not there.
    NotThere,
    /// The reply does not cover the point, or is of the other kind. Never the device's fault.
    NotCovered,
}

impl NoValueReason {
    /// Returns the reason in a few words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            NoValueReason::NotANumber => "not a number",
            NoValueReason::Infinite => "infinite",
            NoValueReason::TooLarge => "too large for a whole number",
            NoValueReason::NotText => "not text",
            NoValueReason::NotDecimal => "a digit above 9 in a BCD number",
            NoValueReason::Marked => "marked as invalid",
            NoValueReason::NoPower => "no scale factor",
            NoValueReason::NoSign => "no sign in the register of the sign",
            NoValueReason::OutOfRange => "out of range (min, max)",
            NoValueReason::UnknownState => "a number that is not under values",
            NoValueReason::Length => "of another length",
            NoValueReason::NoSuchTime => "no date or time",
            NoValueReason::NotThere => "not in the reply",
            NoValueReason::NotCovered => "not covered by the reply",
        }
    }
}

impl fmt::Display for NoValueReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}
