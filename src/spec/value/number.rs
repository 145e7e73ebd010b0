//! The kinds of numbers in registers, and the orders of their bytes.

use serde::Serialize;

/// Sizes and kinds of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Number {
    /// Unsigned 8 bit: one half of a register.
    U8(RegisterByte),
    /// Signed 8 bit, two's complement.
    I8(RegisterByte),
    /// Unsigned 16 bit.
    U16,
    /// Signed 16 bit, two's complement.
    I16,
    /// Unsigned 24 bit: the less significant three bytes of two registers; the
    /// fourth is ignored.
    U24,
    /// Signed 24 bit, likewise.
    I24,
    /// Unsigned 32 bit.
    U32,
    /// Signed 32 bit.
    I32,
    /// Unsigned 48 bit: three registers.
    U48,
    /// Signed 48 bit.
    I48,
    /// Unsigned 64 bit.
    U64,
    /// Signed 64 bit.
    I64,
    /// IEEE 754 half precision.
    F16,
    /// IEEE 754 single.
    F32,
    /// IEEE 754 double.
    F64,
    /// Two decimal digits, four bits each, in one half of a register.
    Bcd8(RegisterByte),
    /// Four decimal digits.
    Bcd16,
    /// Six decimal digits: the less significant three bytes of two registers;
    /// the fourth is ignored.
    Bcd24,
    /// Eight decimal digits.
    Bcd32,
    /// Twelve decimal digits: three registers.
    Bcd48,
    /// Sixteen decimal digits.
    Bcd64,
}

impl Number {
    /// Returns how many registers the number takes.
    #[must_use]
    pub const fn registers(self) -> u16 {
        match self.bits() {
            0..=16 => 1,
            17..=32 => 2,
            33..=48 => 3,
            _ => 4,
        }
    }

    /// Returns how many bits the number has.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Number::U8(_) | Number::I8(_) | Number::Bcd8(_) => 8,
            Number::U16 | Number::I16 | Number::F16 | Number::Bcd16 => 16,
            Number::U24 | Number::I24 | Number::Bcd24 => 24,
            Number::U32 | Number::I32 | Number::F32 | Number::Bcd32 => 32,
            Number::U48 | Number::I48 | Number::Bcd48 => 48,
            Number::U64 | Number::I64 | Number::F64 | Number::Bcd64 => 64,
        }
    }

    /// Returns what the bits of the number mean.
    #[must_use]
    pub const fn digits(self) -> Digits {
        match self {
            Number::U8(_) | Number::U16 | Number::U24 | Number::U32 | Number::U48 | Number::U64 => {
                Digits::Unsigned
            }
            Number::I8(_) | Number::I16 | Number::I24 | Number::I32 | Number::I48 | Number::I64 => {
                Digits::Signed
            }
            Number::F16 | Number::F32 | Number::F64 => Digits::Floating,
            Number::Bcd8(_)
            | Number::Bcd16
            | Number::Bcd24
            | Number::Bcd32
            | Number::Bcd48
            | Number::Bcd64 => Digits::Decimal,
        }
    }

    /// Returns which bits of its registers the number is, the registers as one number.
    #[must_use]
    pub const fn mask(self) -> u64 {
        match self.half() {
            Some(RegisterByte::High) => 0xFF00,
            Some(RegisterByte::Low) => 0x00FF,
            None => ones(self.bits()),
        }
    }

    /// Returns the place of the number's least significant bit, the registers as one number.
    #[must_use]
    pub const fn lowest_bit(self) -> u8 {
        match self.half() {
            Some(RegisterByte::High) => 8,
            Some(RegisterByte::Low) | None => 0,
        }
    }

    /// Returns which half of the register the number is, if it is only half a register.
    #[must_use]
    pub const fn half(self) -> Option<RegisterByte> {
        match self {
            Number::U8(half) | Number::I8(half) | Number::Bcd8(half) => Some(half),
            _ => None,
        }
    }
}

/// What the bits of a number mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Digits {
    /// A whole number.
    Unsigned,
    /// A whole number, two's complement.
    Signed,
    /// IEEE 754.
    Floating,
    /// Decimal digits, four bits each (BCD).
    Decimal,
}

/// One byte of a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum RegisterByte {
    /// Bits 8–15.
    High,
    /// Bits 0–7.
    Low,
}

/// Which register of a wide number comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum WordOrder {
    /// Most significant first (the usual).
    High,
    /// Least significant first ("word swapped").
    Low,
}

/// Which byte of a register comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ByteOrder {
    /// Most significant first (the standard).
    High,
    /// Least significant first ("byte swapped").
    Low,
}

impl WordOrder {
    /// Returns so many registers, at most four, that together are this number.
    #[must_use]
    pub fn registers(self, number: u64, count: u16) -> Vec<u16> {
        let count = count.min(4);
        let word = |place: u16| (number >> (16 * place)) as u16;
        match self {
            WordOrder::High => (0..count).rev().map(word).collect(),
            WordOrder::Low => (0..count).map(word).collect(),
        }
    }
}

impl ByteOrder {
    /// Turns a register as it is sent into one with its more significant byte first; and back.
    #[must_use]
    pub const fn ordered(self, word: u16) -> u16 {
        match self {
            ByteOrder::High => word,
            ByteOrder::Low => word.swap_bytes(),
        }
    }
}

/// Returns the number whose least significant bits are set, so many.
pub(crate) const fn ones(bits: u8) -> u64 {
    match bits {
        64.. => u64::MAX,
        _ => (1 << bits) - 1,
    }
}
