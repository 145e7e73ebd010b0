//! Numbers with more to them than their registers.
//!
//! In the order in which it is applied: the parts are read, bits picked out of
//! them, markers looked for; the parts are added up by weight, given their sign,
//! scaled by the fixed factor and by the one from another register, moved by the
//! offset and rounded; the result must be within the limits and one of the states.

use std::collections::BTreeMap;

use super::{ByteOrder, Decimal, Number, NumberType, WordOrder};

/// How one or more registers become one number, and when they do not.
#[derive(Clone, Debug, PartialEq)]
pub struct Measure {
    /// What is added up; at least one. All are read by one request.
    pub parts: Vec<Part>,
    /// Which register of a part comes first.
    pub words: WordOrder,
    /// Which byte comes first within a register.
    pub bytes: ByteOrder,
    /// Which bits of a part count, if not all. Only with one part that is a
    /// binary whole number.
    pub bits: Option<Bits>,
    /// Where the sign stands, if it is not part of the kind of number.
    pub sign: Option<Sign>,
    /// What stands in the registers when there is no value.
    pub invalid: Vec<Marker>,
    /// Multiplied first, if not 1.
    pub scale: Decimal,
    /// The register that holds a power of ten to multiply by, −10 to 10, as a
    /// signed number: its distance from the point's address. 8000h there means
    /// that there is no value (SunSpec Information Model Specification,
    /// `sunssf`).
    pub power: Option<u16>,
    /// Added after scaling, if not 0.
    pub offset: Decimal,
    /// Rounded to this many places after the point, 0–9, if at all; to 0 places
    /// also a float becomes a whole number.
    pub round: Option<u8>,
    /// The least value there can be, if that is known.
    pub min: Option<Decimal>,
    /// The greatest.
    pub max: Option<Decimal>,
    /// What the numbers are called; a number that is not listed is no value.
    pub states: Option<States>,
    /// What it is in the thing model, if that does not follow from the rest.
    pub number_type: Option<NumberType>,
}

/// Where the sign of a number stands that is written as a magnitude.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// In the most significant of the bits that count, 1 for negative; the others
    /// are the magnitude. Only with one part.
    HighestBit,
    /// In another register.
    Register {
        /// Its distance from the point's address.
        at: u16,
        /// The bits of it that count.
        mask: u16,
        /// What they are when the number is positive.
        positive: u16,
        /// What they are when it is negative. Anything else is no sign, and then
        /// there is no value.
        negative: u16,
    },
}

impl Sign {
    /// The distance of its register from the point's address, if it has one.
    #[must_use]
    pub const fn register(self) -> Option<u16> {
        match self {
            Sign::HighestBit => None,
            Sign::Register { at, .. } => Some(at),
        }
    }
}

/// Titles of numbers, for people. The platform is told the number: that is how
/// Alink writes the data type `enum`.
pub type States = BTreeMap<i64, String>;

/// One addend of a [`Measure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its first register: its distance from the point's address.
    pub at: u16,
    /// How it is written there.
    pub kind: Number,
    /// Multiplied by this before it is added.
    pub weight: Decimal,
}

/// Which bits of a number count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bits {
    /// Those from the first to the last, 0 = least significant, moved down so
    /// that the first is bit 0. With a signed kind the last is the sign.
    Range(u8, u8),
    /// Those that are set here; they stay where they are.
    Mask(u64),
}

/// What stands in the registers when there is no value. Compared before any
/// scaling, with the bits that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marker {
    /// Exactly these bits.
    Bits(u64),
    /// This number.
    Number(Decimal),
}

impl Measure {
    /// A number of this kind, high word and byte first, that is its registers
    /// and nothing more.
    #[must_use]
    pub fn of(kind: Number) -> Self {
        Measure {
            parts: vec![Part {
                at: 0,
                kind,
                weight: Decimal::ONE,
            }],
            words: WordOrder::High,
            bytes: ByteOrder::High,
            bits: None,
            sign: None,
            invalid: Vec::new(),
            scale: Decimal::ONE,
            power: None,
            offset: Decimal::ZERO,
            round: None,
            min: None,
            max: None,
            states: None,
            number_type: None,
        }
    }

    /// From the point's address to the end of what is farthest from it, in
    /// registers; as wide a number as it may be before it is known to fit.
    #[must_use]
    pub fn extent(&self) -> u32 {
        let parts = self.parts.iter().map(|p| (p.at, p.kind.registers()));
        let power = self.power.map(|at| (at, 1));
        let sign = self.sign.and_then(Sign::register).map(|at| (at, 1));
        parts
            .chain(power)
            .chain(sign)
            .map(|(at, width)| u32::from(at) + u32::from(width))
            .max()
            .unwrap_or(1)
    }

    /// The same, of a measure that fits one request.
    #[must_use]
    pub fn width(&self) -> u16 {
        u16::try_from(self.extent()).unwrap_or(u16::MAX)
    }
}
