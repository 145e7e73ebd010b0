//! What a meter wants to know before it lets a datum be set: a password, and who is asking
//! (DL/T 645-2007 §7.4).

use std::fmt;

use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

/// Password and operator code for writes, as they travel: PA P0 P1 P2 C0 C1 C2 C3.
///
/// The type prints and serializes as `***`, and is wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct WriteAccess(Zeroizing<[u8; WriteAccess::BYTES]>);

impl WriteAccess {
    /// How many bytes of a request they take.
    pub const BYTES: usize = 8;

    /// Parses a password of eight hexadecimal digits, the first two of which are its level, and
    /// an operator code of eight: `02123456` is the password 123456 of level 02. Both travel
    /// lowest digits first, behind the level. `None` if one of them is something else.
    #[must_use]
    pub fn parse(password: &str, operator: &str) -> Option<WriteAccess> {
        let mut wire = Zeroizing::new([0; WriteAccess::BYTES]);
        let [level, first, second, third] = Self::digits(password)?;
        let [c3, c2, c1, c0] = Self::digits(operator)?;
        *wire = [level, third, second, first, c0, c1, c2, c3];
        Some(WriteAccess(wire))
    }

    /// Parses eight hexadecimal digits.
    fn digits(text: &str) -> Option<[u8; 4]> {
        let fits = text.len() == 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = u32::from_str_radix(text, 16).ok().filter(|_| fits)?;
        Some(number.to_be_bytes())
    }

    /// Returns what is shown in its place: zeros.
    #[must_use]
    pub fn masked() -> WriteAccess {
        WriteAccess(Zeroizing::new([0; WriteAccess::BYTES]))
    }

    /// Returns the bytes in a request. Only what is sent may use them.
    #[must_use]
    pub fn expose(&self) -> &[u8; WriteAccess::BYTES] {
        &self.0
    }
}

impl fmt::Debug for WriteAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for WriteAccess {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_goes_first_and_then_the_lowest_digits() {
        let access = WriteAccess::parse("02123456", "0000000a").unwrap();
        assert_eq!(access.expose(), &[2, 0x56, 0x34, 0x12, 0x0A, 0, 0, 0]);
        assert_eq!(format!("{access:?}"), "***");
        for wrong in [
            "",
            "0212345",
            "021234567",
            "0212345g",
            "+2123456",
            "０２１２",
        ] {
            assert_eq!(WriteAccess::parse(wrong, "00000000"), None, "{wrong}");
            assert_eq!(WriteAccess::parse("00000000", wrong), None, "{wrong}");
        }
    }
}
