//! Numbers with more to them than their registers.
//!
//! In the order in which it is applied: the parts are read, bits picked out of
//! them, markers looked for; the parts are added up by weight, scaled by the
//! fixed factor and by the one from another register, moved by the offset and
//! rounded; the result must be within the limits and one of the states.

use std::collections::BTreeMap;

use super::{ByteOrder, Decimal, Number, WordOrder};

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
            invalid: Vec::new(),
            scale: Decimal::ONE,
            power: None,
            offset: Decimal::ZERO,
            round: None,
            min: None,
            max: None,
            states: None,
        }
    }

    /// From the point's address to the end of what is farthest from it, in
    /// registers.
    #[must_use]
    pub fn width(&self) -> u16 {
        let parts = self.parts.iter().map(|p| (p.at, p.kind.registers()));
        let power = self.power.map(|at| (at, 1));
        parts
            .chain(power)
            .map(|(at, width)| at.saturating_add(width))
            .max()
            .unwrap_or(1)
    }
}
