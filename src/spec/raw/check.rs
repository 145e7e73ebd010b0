//! Checksums as devices use them.
//!
//! The cyclic checksums are those of the `crc` crate, named as in the catalogue of parametrised
//! CRC algorithms (reveng.sourceforge.io/crc-catalogue).

use crc::{
    CRC_16_GENIBUS, CRC_16_IBM_3740, CRC_16_IBM_SDLC, CRC_16_KERMIT, CRC_16_MODBUS,
    CRC_16_SPI_FUJITSU, CRC_16_XMODEM, Crc,
};
use serde::Serialize;

/// How a checksum is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Sum {
    /// The sum of all bytes, modulo 256.
    Sum8,
    /// All bytes, exclusive or.
    Xor8,
    /// The two's complement of the sum of all bytes.
    Lrc,
    /// The same of the bytes whose hexadecimal digits the characters are: Modbus ASCII (Modbus
    /// over Serial Line V1.02 §6.2.1).
    LrcAscii,
    /// CRC-16/MODBUS.
    Crc16Modbus,
    /// CRC-16/XMODEM: CCITT, initial value 0.
    Crc16Xmodem,
    /// CRC-16/IBM-3740: CCITT, initial value FFFFh, often "CCITT-FALSE".
    Crc16CcittFalse,
    /// CRC-16/SPI-FUJITSU: CCITT, initial value 1D0Fh.
    Crc16Aug,
    /// CRC-16/GENIBUS: CCITT, initial value FFFFh, inverted at the end.
    Crc16Genibus,
    /// CRC-16/KERMIT: CCITT, reflected, initial value 0.
    Crc16Kermit,
    /// CRC-16/IBM-SDLC, often "X-25": CCITT, reflected, FFFFh, inverted.
    Crc16X25,
}

/// How a checksum is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum CheckForm {
    /// As bytes, most significant first.
    High,
    /// As bytes, least significant first.
    Low,
    /// As hexadecimal characters, most significant first; capitals are sent,
    /// both are understood.
    Hex,
}

/// A checksum of a request or a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// How it is computed.
    pub sum: Sum,
    /// How it is written.
    pub written: CheckForm,
    /// The first byte that the checksum covers: the bytes before it are left out.
    pub from: usize,
}

impl Sum {
    /// Returns how many bytes the checksum has.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Sum::Sum8 | Sum::Xor8 | Sum::Lrc | Sum::LrcAscii => 1,
            _ => 2,
        }
    }

    /// Returns whether the checksum can be computed of these bytes.
    #[must_use]
    pub fn covers(self, bytes: &[u8]) -> bool {
        match self {
            Sum::LrcAscii => {
                bytes.len().is_multiple_of(2) && bytes.iter().all(u8::is_ascii_hexdigit)
            }
            _ => true,
        }
    }

    /// Returns the checksum of these bytes, if it [`Sum::covers`] them.
    #[must_use]
    pub fn of(self, bytes: &[u8]) -> u16 {
        let sum = || bytes.iter().fold(0u8, |sum, b| sum.wrapping_add(*b));
        let digit = |b: &u8| match b {
            b'0'..=b'9' => b - b'0',
            _ => (b | 0x20).wrapping_sub(b'a').wrapping_add(10),
        };
        let pairs = || bytes.as_chunks::<2>().0.iter();
        let digits = || {
            pairs().fold(0u8, |sum, [high, low]| {
                sum.wrapping_add((digit(high) << 4) | digit(low))
            })
        };
        let crc = |algorithm| Crc::<u16>::new(algorithm).checksum(bytes);
        match self {
            Sum::Sum8 => u16::from(sum()),
            Sum::Lrc => u16::from(sum().wrapping_neg()),
            Sum::LrcAscii => u16::from(digits().wrapping_neg()),
            Sum::Xor8 => u16::from(bytes.iter().fold(0, |sum, b| sum ^ b)),
            Sum::Crc16Modbus => crc(&CRC_16_MODBUS),
            Sum::Crc16Xmodem => crc(&CRC_16_XMODEM),
            Sum::Crc16CcittFalse => crc(&CRC_16_IBM_3740),
            Sum::Crc16Aug => crc(&CRC_16_SPI_FUJITSU),
            Sum::Crc16Genibus => crc(&CRC_16_GENIBUS),
            Sum::Crc16Kermit => crc(&CRC_16_KERMIT),
            Sum::Crc16X25 => crc(&CRC_16_IBM_SDLC),
        }
    }
}

impl Check {
    /// Returns how many bytes the written checksum takes.
    #[must_use]
    pub const fn len(&self) -> usize {
        match self.written {
            CheckForm::High | CheckForm::Low => self.sum.bytes(),
            CheckForm::Hex => 2 * self.sum.bytes(),
        }
    }

    /// Returns false: every checksum takes at least a byte.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Returns the checksum of the bytes before it, as it is written.
    #[must_use]
    pub fn seal(&self, before: &[u8]) -> Vec<u8> {
        let sum = self.sum.of(before.get(self.from..).unwrap_or_default());
        let [high, low] = sum.to_be_bytes();
        let bytes = match (self.sum.bytes(), self.written) {
            (1, _) => vec![low],
            (_, CheckForm::Low) => vec![low, high],
            _ => vec![high, low],
        };
        match self.written {
            CheckForm::Hex => bytes
                .iter()
                .flat_map(|b| format!("{b:02X}").into_bytes())
                .collect(),
            CheckForm::High | CheckForm::Low => bytes,
        }
    }

    /// Returns whether `written` is the checksum of `before`.
    #[must_use]
    pub fn fits(&self, before: &[u8], written: &[u8]) -> bool {
        let right = self.seal(before);
        let same = match self.written {
            CheckForm::Hex => right.eq_ignore_ascii_case(written),
            CheckForm::High | CheckForm::Low => right == written,
        };
        // A checksum that covers no byte proves nothing.
        let covered = before.get(self.from..).unwrap_or_default();
        same && !covered.is_empty() && self.sum.covers(covered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of reveng.sourceforge.io/crc-catalogue/16.htm; sums by
    /// hand: the characters 1–9 add up to 1DDh.
    #[test]
    fn every_sum_has_its_published_check_value() {
        for (sum, check) in [
            (Sum::Sum8, 0xDD),
            (Sum::Lrc, 0x23),
            (Sum::Xor8, 0x31),
            (Sum::Crc16Modbus, 0x4B37),
            (Sum::Crc16Xmodem, 0x31C3),
            (Sum::Crc16CcittFalse, 0x29B1),
            (Sum::Crc16Aug, 0xE5CC),
            (Sum::Crc16Genibus, 0xD64E),
            (Sum::Crc16Kermit, 0x2189),
            (Sum::Crc16X25, 0x906E),
        ] {
            assert_eq!(sum.of(b"123456789"), check, "{sum:?}");
        }
    }

    /// The published request of Modbus ASCII: bbs.21ic.com/icview-162927-1-1.
    #[test]
    fn the_check_of_modbus_ascii_is_of_what_the_digits_stand_for() {
        let check = Check {
            sum: Sum::LrcAscii,
            written: CheckForm::Hex,
            from: 1,
        };
        assert_eq!(check.seal(b":1103006B0003"), b"7E");
        assert!(check.fits(b":1103006B0003", b"7E"));
        assert!(check.fits(b":1103006b0003", b"7e"));
        assert!(!check.fits(b":1103006B0004", b"7E"));
        for strange in [&b":1103006B000"[..], b":1103006B000G", b":", b":\xFF\xFF"] {
            let sum = check.seal(strange);
            assert!(!check.fits(strange, &sum), "{strange:?}");
        }
    }

    #[test]
    fn a_checksum_is_written_as_told() {
        let check = |sum, written, from| Check { sum, written, from };
        let modbus = check(Sum::Crc16Modbus, CheckForm::Low, 0);
        assert_eq!(modbus.seal(b"123456789"), [0x37, 0x4B]);
        let high = check(Sum::Crc16Modbus, CheckForm::High, 0);
        assert_eq!(high.seal(b"123456789"), [0x4B, 0x37]);
        let hex = check(Sum::Lrc, CheckForm::Hex, 1);
        assert_eq!(hex.seal(b":123456789"), b"23");
        assert_eq!(hex.len(), 2);
        let letters = check(Sum::Sum8, CheckForm::Hex, 0);
        assert!(letters.fits(b"123456789", b"dD"));
        assert!(!letters.fits(b"123456789", b"DE"));
        // 41h and 61h are the same letter only in a checksum written as hexadecimal characters.
        let binary = check(Sum::Sum8, CheckForm::High, 0);
        assert!(binary.fits(&[0x41], &[0x41]) && !binary.fits(&[0x41], &[0x61]));
        assert!(!binary.fits(&[], &[0]), "it covers nothing");
    }
}
