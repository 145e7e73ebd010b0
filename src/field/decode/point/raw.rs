//! From registers to the number that stands in them, before any scaling.

use super::{Exact, NoValueReason};
use crate::spec::{Bits, ByteOrder, Digits, Marker, Number, RegisterByte, Sign, WordOrder, ones};

/// The bits of one number, and how many bits there are.
#[derive(Clone, Copy)]
pub(super) struct Raw {
    bits: u64,
    size: u8,
    digits: Digits,
    /// Whether the most significant bit is the sign and the others a magnitude.
    sign_first: bool,
}

impl Raw {
    /// Takes the number out of as many registers as its kind has.
    pub(super) fn from(
        registers: &[u16],
        kind: Number,
        words: WordOrder,
        bytes: ByteOrder,
    ) -> Self {
        let whole = assemble(registers, words, bytes);
        let size = kind.bits();
        Raw {
            bits: match kind.half() {
                Some(RegisterByte::High) => (whole >> 8) & 0xFF,
                Some(RegisterByte::Low) | None => whole & ones(size),
            },
            size,
            digits: kind.digits(),
            sign_first: false,
        }
    }

    /// Applies this sign to the number; another register is not looked at.
    pub(super) fn signed_by(self, sign: Option<Sign>) -> Self {
        Raw {
            sign_first: sign == Some(Sign::HighestBit),
            ..self
        }
    }

    /// Takes only the bits that count.
    pub(super) fn selected_bits(self, bits: Option<Bits>) -> Self {
        match bits {
            None => self,
            Some(Bits::Mask(mask)) => Raw {
                bits: self.bits & mask,
                ..self
            },
            Some(Bits::Range(first, last)) => {
                let size = last.saturating_sub(first).saturating_add(1);
                let moved = self.bits.checked_shr(u32::from(first)).unwrap_or(0);
                Raw {
                    bits: moved & ones(size),
                    size,
                    ..self
                }
            }
        }
    }

    /// Returns the number.
    ///
    /// # Errors
    /// The bits hold no number.
    pub(super) fn number(self) -> Result<Exact, NoValueReason> {
        if self.sign_first {
            let magnitude = Raw {
                bits: self.bits & (ones(self.size) >> 1),
                digits: match self.digits {
                    Digits::Signed => Digits::Unsigned,
                    digits => digits,
                },
                sign_first: false,
                ..self
            };
            let negative = magnitude.bits != self.bits;
            return magnitude.number().map(|n| n.negated(negative));
        }
        match (self.digits, self.size) {
            (Digits::Unsigned, _) => Ok(Exact::whole(i128::from(self.bits))),
            (Digits::Signed, size) => Ok(Exact::whole(signed(self.bits, size))),
            (Digits::Decimal, size) => bcd(self.bits, size).map(Exact::whole),
            (Digits::Floating, 16) => finite(half_precision(self.bits as u16)),
            (Digits::Floating, 32) => finite(shortest(f32::from_bits(self.bits as u32))),
            (Digits::Floating, _) => finite(f64::from_bits(self.bits)),
        }
    }

    /// Returns whether this marker stands in the registers.
    pub(super) fn is(self, marker: Marker) -> bool {
        match marker {
            Marker::Bits(bits) => self.bits == bits,
            Marker::Number(n) => self
                .number()
                .is_ok_and(|x| x.compared(n).is_some_and(std::cmp::Ordering::is_eq)),
        }
    }

    pub(super) const fn is_signed(self) -> bool {
        self.sign_first || matches!(self.digits, Digits::Signed)
    }
}

/// Returns the registers as one number, most significant first.
fn assemble(registers: &[u16], words: WordOrder, bytes: ByteOrder) -> u64 {
    let add = |raw: u64, word: &u16| (raw << 16) | u64::from(bytes.ordered(*word));
    match words {
        WordOrder::High => registers.iter().fold(0, add),
        WordOrder::Low => registers.iter().rev().fold(0, add),
    }
}

/// Returns the two's complement of this size.
const fn signed(bits: u64, size: u8) -> i128 {
    let unused = 64u32.saturating_sub(size as u32);
    if unused >= 64 {
        return 0;
    }
    (((bits << unused) as i64) >> unused) as i128
}

fn bcd(bits: u64, size: u8) -> Result<i128, NoValueReason> {
    (0..size / 4).rev().try_fold(0, |n, place| {
        let digit = bits.checked_shr(4 * u32::from(place)).unwrap_or(0) & 0xF;
        match digit {
            0..=9 => Ok(n * 10 + i128::from(digit)),
            _ => Err(NoValueReason::NotDecimal),
        }
    })
}

const fn finite(x: f64) -> Result<Exact, NoValueReason> {
    match (x.is_nan(), x.is_finite()) {
        (true, _) => Err(NoValueReason::NotANumber),
        (_, false) => Err(NoValueReason::Infinite),
        (_, true) => Ok(Exact::Float(x)),
    }
}

/// Returns the shortest decimal of a single. A single holds about seven digits; the decimal
/// that it is printed as is what the device meant. 0.1 as a single is reported as 0.1, not as
/// 0.10000000149011612.
fn shortest(x: f32) -> f64 {
    x.to_string().parse().unwrap_or_else(|_| f64::from(x))
}

/// Returns the value of IEEE 754-2008 binary16: sign, five bits of exponent biased by 15, ten
/// bits of fraction. The standard library has no such type yet. As with singles, the result
/// is the shortest decimal that stands for this number and no other.
fn half_precision(bits: u16) -> f64 {
    let fraction = f64::from(bits & 0x3FF);
    let exponent = i32::from((bits >> 10) & 0x1F);
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (size, step) = match exponent {
        0x1F if fraction == 0.0 => return sign * f64::INFINITY,
        0x1F => return f64::NAN,
        0 => (fraction * 2f64.powi(-24), 2f64.powi(-24)),
        e => ((1024.0 + fraction) * 2f64.powi(e - 25), 2f64.powi(e - 25)),
    };
    // The neighbour below a power of two is only half a step away.
    let room = |x: f64| match fraction == 0.0 && exponent > 1 && x < size {
        true => step / 4.0,
        false => step / 2.0,
    };
    let shortest = (0..=5usize)
        .filter_map(|places| format!("{size:.places$e}").parse::<f64>().ok())
        .find(|x| (x - size).abs() < room(*x));
    sign * shortest.unwrap_or(size)
}
