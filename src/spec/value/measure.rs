//! Numbers that need more than plain registers.
//!
//! In the order of evaluation: the parts are read, bits are picked out of them, and markers are
//! looked for; the parts are added up by weight, given their sign, scaled by the fixed factor and
//! by the factor from another register, moved by the offset and rounded; the result must be
//! within the limits and one of the states.

use serde::Serialize;
use std::collections::BTreeMap;

use super::not_writable::MOST_WRITTEN;
use super::number::ones;
use super::{ByteOrder, Decimal, Digits, NotWritable, Number, NumberType, WordOrder};

/// How registers become one number, and when they do not.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measure {
    /// The addends of the number; at least one. All are read by one request.
    pub parts: Vec<Part>,
    /// Which register of a part comes first.
    pub words: WordOrder,
    /// Which byte comes first within a register.
    pub bytes: ByteOrder,
    /// Which bits of a part count, if not all. Only with a single part that is a binary whole
    /// number.
    pub bits: Option<Bits>,
    /// Where the sign stands, if it is not part of the kind of number.
    pub sign: Option<Sign>,
    /// The contents of the registers when there is no value.
    pub invalid: Vec<Marker>,
    /// The factor that the sum is multiplied by first, if not 1.
    pub scale: Decimal,
    /// The distance from the point's address to the register of the power of ten: the number is
    /// multiplied by that power, −10 to 10, a signed number. 8000h in the register means that
    /// there is no value (SunSpec Information Model Specification, `sunssf`).
    pub power: Option<u16>,
    /// The addend after scaling, if not 0.
    pub offset: Decimal,
    /// How many places after the point the number is rounded to, 0–9, if at all; with 0 places a
    /// float becomes a whole number too.
    pub round: Option<u8>,
    /// The least possible value, if it is known.
    pub min: Option<Decimal>,
    /// The greatest possible value, if it is known.
    pub max: Option<Decimal>,
    /// The titles of the numbers; a number without a title is no value.
    pub states: Option<States>,
    /// Its type in the thing model, if that does not follow from the rest.
    pub number_type: Option<NumberType>,
}

/// Where the sign of a number stands whose other bits are a magnitude.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Sign {
    /// In the most significant of the bits that count, 1 for negative; the others
    /// are the magnitude. Only with one part.
    HighestBit,
    /// In another register.
    Register {
        /// Its distance from the point's address.
        at: u16,
        /// The bits of the register that count.
        mask: u16,
        /// The value of these bits when the number is positive.
        positive: u16,
        /// The value of these bits when the number is negative. Another value is no sign, and
        /// then there is no value.
        negative: u16,
    },
}

impl Sign {
    /// Returns the distance of the sign's register from the point's address, if the sign has one.
    #[must_use]
    pub const fn register(self) -> Option<u16> {
        match self {
            Sign::HighestBit => None,
            Sign::Register { at, .. } => Some(at),
        }
    }
}

/// Titles of numbers, for operators. The platform receives the number: that is how Alink writes
/// the data type `enum`.
pub type States = BTreeMap<i64, String>;

/// One addend of a [`Measure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// The distance of its first register from the point's address.
    pub at: u16,
    /// How the part is written there.
    pub kind: Number,
    /// The factor of the part before it is added.
    pub weight: Decimal,
}

/// Which bits of a number count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Bits {
    /// The bits from the first to the last, 0 = least significant, moved down so that the first
    /// is bit 0. With a signed kind the last bit is the sign.
    Range(u8, u8),
    /// The bits that are set in this mask; they stay where they are.
    Mask(u64),
}

/// A content of the registers that means that there is no value. It is compared before any
/// scaling, with the bits that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Marker {
    /// Exactly these bits.
    Bits(u64),
    /// This number.
    Number(Decimal),
}

impl Measure {
    /// Returns the measure that is the registers of a number of this kind and nothing more, high
    /// word and byte first.
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

    /// Returns how many registers there are from the point's address to the end of the farthest
    /// one. The type is wide enough for a measure that is not yet known to fit.
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

    /// Returns the same for a measure that fits one request.
    #[must_use]
    pub fn width(&self) -> u16 {
        u16::try_from(self.extent()).unwrap_or(u16::MAX)
    }

    /// Returns the type of the values in the thing model.
    #[must_use]
    pub fn number_type(&self) -> NumberType {
        if let Some(said) = self.number_type {
            return said;
        }
        let floating = |p: &Part| p.kind.digits() == Digits::Floating;
        match (self.round, self.power) {
            _ if self.states.is_some() => NumberType::Enum,
            (Some(0), _) => NumberType::Int,
            (Some(_), _) | (None, Some(_)) => NumberType::Double,
            (None, None) if self.parts.iter().any(floating) => NumberType::Double,
            (None, None) => {
                let weights = self.parts.iter().map(|p| p.weight);
                let all: Vec<Decimal> = weights.chain([self.scale, self.offset]).collect();
                NumberType::of(&all)
            }
        }
    }

    /// Returns which bits of a part's registers count, the registers as one number.
    #[must_use]
    pub const fn mask_of(&self, part: &Part) -> u64 {
        let own = part.kind.mask();
        let first = part.kind.lowest_bit() as u32;
        let picked = match self.bits {
            None => return own,
            Some(Bits::Mask(mask)) => Some(mask),
            Some(Bits::Range(from, to)) => {
                let bits = ones(to.saturating_sub(from).saturating_add(1));
                bits.checked_shl(from as u32)
            }
        };
        match picked {
            Some(bits) => (bits << first) & own,
            None => 0,
        }
    }

    /// Returns how many times the smallest of the weights goes into the weight of each part.
    /// `None` if one is no multiple of the next smaller one: then it is not known which parts
    /// make up a sum. `None` as well if the sums do not fit in 128 bits.
    #[must_use]
    pub fn weights(&self) -> Option<(Decimal, Vec<i128>)> {
        let size = |d: &Decimal| Decimal {
            digits: d.digits.saturating_abs(),
            ..*d
        };
        let weights = self.parts.iter().map(|p| p.weight);
        let least = weights.min_by(|a, b| size(a).compare(size(b)))?;
        let times: Option<Vec<i128>> = self
            .parts
            .iter()
            .map(|p| p.weight.multiple_of(least))
            .collect();
        let times = times?;
        let mut sizes: Vec<i128> = times.iter().map(|n| n.saturating_abs()).collect();
        sizes.sort_unstable();
        let chained = sizes
            .iter()
            .zip(sizes.iter().skip(1))
            .all(|(small, large)| large.checked_rem(*small) == Some(0));
        let sum = sizes.iter().try_fold(0i128, |sum, n| sum.checked_add(*n));
        let fits = sum.and_then(|sum| sum.checked_mul(1 << 64)).is_some();
        (chained && fits).then_some((least, times))
    }

    /// Returns why such numbers can never be written; see [`super::Codec::unwritable`].
    #[must_use]
    pub fn unwritable(&self) -> Option<NotWritable> {
        let several = self.parts.len() > 1;
        let is = |digits| move |p: &Part| p.kind.digits() == digits;
        let weights = self.parts.iter().map(|p| p.weight);
        if self.power.is_some() {
            return Some(NotWritable::Power);
        }
        if weights.chain([self.scale]).any(|d| d.digits == 0) {
            return Some(NotWritable::ZeroFactor);
        }
        if several && self.parts.iter().any(is(Digits::Floating)) {
            return Some(NotWritable::Floats);
        }
        if !self.has_its_bits() {
            return Some(NotWritable::Bits);
        }
        match self.sign {
            Some(Sign::HighestBit) if several => return Some(NotWritable::Sign),
            Some(Sign::Register {
                mask,
                positive,
                negative,
                ..
            }) if positive == negative || (positive | negative) & !mask != 0 => {
                return Some(NotWritable::Sign);
            }
            _ => {}
        }
        if self.shares_bits() {
            return Some(NotWritable::SharedBits);
        }
        if self.weights().is_none() {
            return Some(NotWritable::Weights);
        }
        let first = self.parts.iter().map(|p| p.at);
        let first = first.chain(self.sign.and_then(Sign::register)).min();
        let span = self.extent() - u32::from(first.unwrap_or_default());
        (span > u32::from(MOST_WRITTEN)).then_some(NotWritable::TooWide)
    }

    /// Returns whether the number has all the bits that are picked out of it.
    fn has_its_bits(&self) -> bool {
        let Some(bits) = self.bits else {
            return true;
        };
        let [part] = self.parts.as_slice() else {
            return false;
        };
        let binary = matches!(part.kind.digits(), Digits::Unsigned | Digits::Signed);
        binary
            && match bits {
                Bits::Range(first, last) => first <= last && last < part.kind.bits(),
                Bits::Mask(mask) => mask != 0 && mask & !ones(part.kind.bits()) == 0,
            }
    }

    /// Returns whether one bit of the registers belongs to two parts, or to a part and the sign.
    fn shares_bits(&self) -> bool {
        let mut taken: BTreeMap<u32, u16> = BTreeMap::new();
        let mut shared = false;
        let mut take = |at: u32, mask: u16| {
            let before = taken.entry(at).or_default();
            shared |= *before & mask != 0;
            *before |= mask;
        };
        for part in &self.parts {
            let masks = self
                .words
                .registers(self.mask_of(part), part.kind.registers());
            for (at, mask) in (u32::from(part.at)..).zip(masks) {
                take(at, mask);
            }
        }
        if let Some(Sign::Register { at, mask, .. }) = self.sign {
            take(u32::from(at), mask);
        }
        shared
    }
}
