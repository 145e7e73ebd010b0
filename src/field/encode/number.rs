//! Numbers in registers: plain ones, sums of parts, picked bits, signs of their own.
//!
//! The raw number that is nearest to the value is taken. Where a value was rounded when it was
//! read, the neighbours of that number are tried as well: what was read can be written back.

use std::cmp::Ordering;

use super::refusal::NotEncoded;
use super::registers::Registers;
use super::sum::{self, Addend};
use super::{Encoded, MaskedWord};
use crate::base::Value;
use crate::field::decode::number::Exact;
use crate::field::decode::refusal::NoValueReason;
use crate::spec::{
    Bits, Decimal, Digits, Measure, NotWritable, Number, NumberType, Part, Sign, ones,
};

/// A number that is wanted.
#[derive(Clone, Copy, Debug)]
struct TargetNumber {
    /// The number as it is before it becomes a value of its type.
    number: Exact,
    /// The number that the value is.
    value: Exact,
}

impl TargetNumber {
    /// Returns whether this value is exactly what is wanted.
    fn is(self, value: &Value) -> bool {
        let order = Exact::of(value).and_then(|n| n.against(self.value));
        order.is_some_and(Ordering::is_eq)
    }
}

/// Bits of the registers that are one whole number.
#[derive(Clone, Copy, Debug)]
struct Field {
    /// The part that it belongs to.
    part: Part,
    /// The place of its least significant bit in the registers of the part, as one number.
    lowest: u8,
    /// Which of those bits it has.
    mask: u64,
    is_bcd: bool,
    addend: Addend,
}

/// Where a sign is written.
#[derive(Clone, Copy, Debug)]
enum SignPlace {
    /// In this bit of the registers of a part, as one number.
    Bit(Part, u8),
    /// In a register of its own.
    Register {
        at: u16,
        mask: u16,
        positive: u16,
        negative: u16,
    },
}

/// Returns the milliseconds since 1970 that a value means.
pub(super) fn milliseconds(value: &Value) -> Result<i64, NotEncoded> {
    let number = Exact::of(value).ok_or(NotEncoded::NoSuchTime)?;
    let whole = number.nearest(Exact::whole(1));
    let whole = whole.filter(|n| number.against(Exact::whole(*n)) == Some(Ordering::Equal));
    whole
        .and_then(|n| i64::try_from(n).ok())
        .ok_or(NotEncoded::NoSuchTime)
}

/// Encodes a number.
pub(super) fn encode(
    registers: Registers<'_>,
    measure: &Measure,
    value: &Value,
) -> Result<Encoded, NotEncoded> {
    let wanted = wanted(measure.number_type(), value)?;
    allowed(measure, wanted)?;
    let size = wanted.number.less(measure.offset);
    let encoded = match measure.parts.as_slice() {
        [part] if part.kind.digits() == Digits::Floating => {
            float(registers, measure, part, wanted, size)
        }
        _ => whole(registers, measure, wanted, size),
    };
    match encoded {
        // The nearest number that the registers can hold is beyond the limit.
        Err(NotEncoded::NoValue(NoValueReason::OutOfRange)) => Err(out_of_range(measure)),
        encoded => encoded,
    }
}

fn wanted(of: NumberType, value: &Value) -> Result<TargetNumber, NotEncoded> {
    if let NumberType::Date(offset) = of {
        let millis = milliseconds(value)?;
        let shown = millis.checked_add(offset.as_millis());
        let shown = shown.ok_or(NotEncoded::NoSuchTime)?;
        return Ok(TargetNumber {
            number: Exact::whole(shown.into()).shifted(-3),
            value: Exact::whole(millis.into()),
        });
    }
    let number = match (value, of) {
        (Value::Text(_), NumberType::Text) => Exact::of(value),
        (Value::Text(_) | Value::Bool(_), _) => None,
        (Value::Int(_) | Value::UInt(_) | Value::Float(_), _) => Exact::of(value),
    };
    let number = number.ok_or(NotEncoded::NoNumber)?;
    Ok(TargetNumber {
        number,
        value: number,
    })
}

/// Returns the number that is to be written as a number of this type.
pub(super) fn number(of: NumberType, value: &Value) -> Result<Exact, NotEncoded> {
    wanted(of, value).map(|wanted| wanted.number)
}

const fn out_of_range(measure: &Measure) -> NotEncoded {
    NotEncoded::OutOfRange {
        min: measure.min,
        max: measure.max,
    }
}

/// Checks that a number is within the limits, and that it has a title if there are titles.
fn allowed(measure: &Measure, wanted: TargetNumber) -> Result<(), NotEncoded> {
    let compared = |to: Option<Decimal>| to.and_then(|to| wanted.number.compared(to));
    if compared(measure.min).is_some_and(Ordering::is_lt)
        || compared(measure.max).is_some_and(Ordering::is_gt)
    {
        return Err(out_of_range(measure));
    }
    let Some(states) = &measure.states else {
        return Ok(());
    };
    let is = |n: &i64| wanted.is(&Value::Int(*n));
    match states.keys().any(is) {
        true => Ok(()),
        false => Err(NotEncoded::UnknownState {
            known: states.keys().copied().collect(),
        }),
    }
}

/// Encodes a number whose parts are whole numbers.
fn whole(
    registers: Registers<'_>,
    measure: &Measure,
    wanted: TargetNumber,
    size: Exact,
) -> Result<Encoded, NotEncoded> {
    let unwritable = |why| NotEncoded::NotWritable(why);
    let (least, times) = measure.weights().ok_or(unwritable(NotWritable::Weights))?;
    let mut fields: Vec<Field> = Vec::new();
    for (part, weight) in measure.parts.iter().zip(times) {
        fields.extend(fields_of(measure, part, weight));
    }
    let step = fields
        .iter()
        .map(|f| f.addend.weight.saturating_abs())
        .min();
    let step = step.ok_or(unwritable(NotWritable::Bits))?;
    for field in &mut fields {
        field.addend.weight /= step;
    }
    let step = Decimal {
        digits: step,
        places: 0,
    };
    let unit = Exact::from(measure.scale).times(least).times(step);
    let addends: Vec<Addend> = fields.iter().map(|f| f.addend).collect();
    let sign = sign_place(measure);
    let (lowest, highest) = sum::limits(&addends).ok_or(unwritable(NotWritable::Weights))?;
    let (lowest, highest) = match sign {
        Some(_) => {
            let size = lowest.saturating_abs().max(highest.saturating_abs());
            (-size, size)
        }
        None => (lowest, highest),
    };
    // What is out of reach may be read as what is within, if its last digits are rounded off.
    let beyond = (lowest.saturating_sub(1), highest.saturating_add(1));
    let nearest = match size.nearest(unit) {
        Some(nearest) => nearest.clamp(beyond.0, beyond.1),
        None if is_negative(size) == is_negative(unit) => beyond.1,
        None => beyond.0,
    };
    let written = |numbers: &[i128], is_negative: bool| {
        let mut registers = registers.clone();
        for (field, n) in fields.iter().zip(numbers) {
            put(&mut registers, measure, field, *n);
        }
        if let Some(place) = sign {
            put_sign(&mut registers, measure, place, is_negative);
        }
        registers
    };
    // A number with a sign of its own may have parts that are signed themselves.
    let signs: &[bool] = match (sign, nearest < 0) {
        (None, _) => &[false],
        (Some(_), false) => &[false, true],
        (Some(_), true) => &[true, false],
    };
    let turned = |n: i128, negative: bool| if negative { n.checked_neg() } else { Some(n) };
    for negative in signs {
        let numbers = turned(nearest, *negative).and_then(|n| sum::split_exactly(&addends, n));
        let Some(numbers) = numbers else { continue };
        let found = written(&numbers, *negative);
        // A half is rounded away from zero both here and when it is read, and so twice.
        return match is_read(&found, wanted) {
            true => found,
            false => others(&addends, nearest, signs, &written, wanted).unwrap_or(found),
        }
        .encoded();
    }
    others(&addends, nearest, signs, &written, wanted)
        .ok_or_else(|| does_not_fit(measure, unit, lowest, highest))?
        .encoded()
}

/// Returns the contents near this sum that are read as exactly what is wanted, if there are any.
fn others<'a>(
    addends: &[Addend],
    nearest: i128,
    signs: &[bool],
    written: &impl Fn(&[i128], bool) -> Registers<'a>,
    wanted: TargetNumber,
) -> Option<Registers<'a>> {
    let fits = |registers: &Registers<'a>| is_read(registers, wanted);
    signs.iter().find_map(|negative| {
        let nearest = if *negative {
            nearest.checked_neg()?
        } else {
            nearest
        };
        // The next ones but one as well: the next may be marked as invalid.
        let beside = [0, -1, 1, -2, 2].map(|by| nearest.checked_add(by));
        let sums = beside.into_iter().flatten();
        sums.flat_map(|n| [sum::below(addends, n), sum::above(addends, n)])
            .flatten()
            .map(|(numbers, _)| written(&numbers, *negative))
            .find(fits)
    })
}

/// Returns whether the registers are read as exactly the value that is wanted.
fn is_read(registers: &Registers<'_>, wanted: TargetNumber) -> bool {
    registers.value().is_ok_and(|value| wanted.is(&value))
}

/// Returns the fields of a part: one, or where only some of its bits count one for each row of
/// bits.
fn fields_of(measure: &Measure, part: &Part, weight: i128) -> Vec<Field> {
    let digits = part.kind.digits();
    let own_sign = measure.sign == Some(Sign::HighestBit);
    let signed = digits == Digits::Signed && !own_sign;
    let field = |lowest: u8, mask, weight, (least, most)| Field {
        part: *part,
        lowest,
        mask,
        is_bcd: digits == Digits::Decimal,
        addend: Addend {
            weight,
            least,
            most,
        },
    };
    let own = measure.mask_of(part) & !sign_bit(measure);
    let unsigned = |size: u8| (0, i128::from(ones(size)));
    let first = part.kind.lowest_bit();
    let (from, size) = match measure.bits {
        Some(Bits::Mask(_)) => {
            let highest = first + part.kind.bits() - 1;
            let negative = if signed { own & 1 << highest } else { 0 };
            let weight_of = |bit: u8| weight << (bit - first);
            let row = |(from, size): (u8, u8)| {
                field(from, ones(size) << from, weight_of(from), unsigned(size))
            };
            let mut fields: Vec<Field> = rows(own & !negative).map(row).collect();
            if negative != 0 {
                fields.push(field(highest, negative, -weight_of(highest), (0, 1)));
            }
            if fields.is_empty() {
                // Only the bit of the sign counts.
                fields.push(field(first, 0, weight, (0, 0)));
            }
            return fields;
        }
        Some(Bits::Range(from, to)) => (from, to.saturating_sub(from).saturating_add(1)),
        None => (0, part.kind.bits()),
    };
    let half = 1i128 << size.saturating_sub(1);
    let ten = |digits: u8| 10i128.pow(u32::from(digits));
    let limits = match digits {
        // The bit of the sign is the highest of the first digit.
        Digits::Decimal if own_sign => (0, 8 * ten((size / 4).saturating_sub(1)) - 1),
        Digits::Decimal => (0, ten(size / 4) - 1),
        _ if own_sign => (0, half - 1),
        _ if signed => (-half, half - 1),
        _ => unsigned(size),
    };
    vec![field(first + from, own, weight, limits)]
}

/// Returns the rows of bits that are set: the lowest of each, and how many there are.
fn rows(mask: u64) -> impl Iterator<Item = (u8, u8)> {
    let is_set = move |n: u8| mask >> n & 1 == 1;
    let first = (0..64).filter(move |n| is_set(*n) && (*n == 0 || !is_set(n - 1)));
    first.map(move |from| {
        let size = (from..64).take_while(|n| is_set(*n)).count();
        (from, size as u8)
    })
}

/// Returns where the sign of its own is written; `None` if the number has none, or if the bit for
/// it does not count.
fn sign_place(measure: &Measure) -> Option<SignPlace> {
    match measure.sign? {
        Sign::Register {
            at,
            mask,
            positive,
            negative,
        } => Some(SignPlace::Register {
            at,
            mask,
            positive,
            negative,
        }),
        Sign::HighestBit => {
            let part = measure.parts.first()?;
            let highest = match measure.bits {
                Some(Bits::Range(_, last)) => last,
                Some(Bits::Mask(_)) | None => part.kind.bits() - 1,
            };
            let bit = highest + part.kind.lowest_bit();
            (measure.mask_of(part) >> bit & 1 == 1).then_some(SignPlace::Bit(*part, bit))
        }
    }
}

fn put(registers: &mut Registers<'_>, measure: &Measure, field: &Field, n: i128) {
    let raw = match field.is_bcd {
        true => bcd(n),
        // Two's complement.
        false => n as u64,
    };
    let part = &field.part;
    let bits = (raw << field.lowest & field.mask, field.mask);
    let orders = (measure.words, measure.bytes);
    registers.put_number(part.at, part.kind.registers(), orders, bits);
}

/// Returns the bit of the sign in the registers of the part that it belongs to.
fn sign_bit(measure: &Measure) -> u64 {
    match sign_place(measure) {
        Some(SignPlace::Bit(_, bit)) => 1 << bit,
        Some(SignPlace::Register { .. }) | None => 0,
    }
}

fn put_sign(registers: &mut Registers<'_>, measure: &Measure, place: SignPlace, negative: bool) {
    match place {
        SignPlace::Bit(part, bit) => {
            let (mask, orders) = (1 << bit, (measure.words, measure.bytes));
            let bits = if negative { mask } else { 0 };
            registers.put_number(part.at, part.kind.registers(), orders, (bits, mask));
        }
        SignPlace::Register {
            at,
            mask,
            positive,
            negative: below_zero,
        } => {
            let bits = if negative { below_zero } else { positive };
            let word = MaskedWord {
                bits: measure.bytes.ordered(bits),
                mask: measure.bytes.ordered(mask),
            };
            registers.put(at, word);
        }
    }
}

/// Returns the decimal digits of a number that is not negative, four bits each.
const fn bcd(n: i128) -> u64 {
    let (mut rest, mut bits, mut place) = (n, 0, 0);
    while rest > 0 && place < 64 {
        bits |= ((rest % 10) as u64) << place;
        rest /= 10;
        place += 4;
    }
    bits
}

/// Encodes a number that is a float.
fn float(
    registers: Registers<'_>,
    measure: &Measure,
    part: &Part,
    wanted: TargetNumber,
    size: Exact,
) -> Result<Encoded, NotEncoded> {
    let raw = size.over(measure.scale).and_then(|n| n.over(part.weight));
    let raw = raw.ok_or(NotEncoded::NoNumber)?;
    let is_negative = is_negative(raw);
    let in_register = matches!(measure.sign, Some(Sign::Register { .. }));
    let size = raw.negated(is_negative);
    let nearest = match part.kind {
        // 0 may still have a sign.
        Number::F16 => half_precision(size.to_float().abs()).into(),
        Number::F32 => size.to_single().abs().to_bits().into(),
        _ => size.to_float().abs().to_bits(),
    };
    let written = |magnitude: u64| {
        let mut registers = registers.clone();
        let sign = u64::from(is_negative && !in_register) << (part.kind.bits() - 1);
        let orders = (measure.words, measure.bytes);
        let (bits, mask) = (magnitude | sign, part.kind.mask());
        registers.put_number(part.at, part.kind.registers(), orders, (bits, mask));
        if let Some(place @ SignPlace::Register { .. }) = sign_place(measure) {
            put_sign(&mut registers, measure, place, is_negative);
        }
        registers
    };
    let near = [
        Some(nearest),
        nearest.checked_sub(1),
        nearest.checked_add(1),
    ];
    let near = near.into_iter().flatten().map(written);
    let near: Vec<(Registers<'_>, Option<Exact>)> = near
        .map(|registers| {
            let distance = distance(&registers, wanted);
            (registers, distance)
        })
        .collect();
    let zero = Exact::whole(0);
    let exact = near
        .iter()
        .find(|(_, d)| d.and_then(|d| d.against(zero)) == Some(Ordering::Equal));
    let least = || {
        let first = near.first()?;
        // What the nearest number is refused for counts, not that its neighbour would do.
        first.1?;
        near.iter().reduce(|least, next| match (least.1, next.1) {
            (Some(a), Some(b)) if b.against(a) == Some(Ordering::Less) => next,
            _ => least,
        })
    };
    match exact.or_else(least).or(near.first()) {
        Some((registers, _)) => registers.clone().encoded().map_err(|why| match why {
            NotEncoded::NoValue(NoValueReason::Infinite | NoValueReason::NotANumber) => {
                does_not_fit_float(measure, part)
            }
            why => why,
        }),
        None => Err(does_not_fit_float(measure, part)),
    }
}

fn is_negative(n: Exact) -> bool {
    n.compared(Decimal::ZERO) == Some(Ordering::Less)
}

/// Returns how far the value of the registers is from what is wanted; `None` if they hold no
/// value.
fn distance(registers: &Registers<'_>, wanted: TargetNumber) -> Option<Exact> {
    let value = Exact::of(&registers.value().ok()?)?;
    let difference = value.plus(wanted.value.negated(true));
    Some(difference.negated(is_negative(difference)))
}

/// Returns the IEEE 754-2008 binary16 that is nearest to a number that is not negative, of two
/// equally near ones the even one; infinite (7C00h) beyond all of them.
fn half_precision(x: f64) -> u16 {
    // Half a step above the greatest, 65504.
    if x.is_nan() || x >= 65_520.0 {
        return 0x7C00;
    }
    // The exponent of the double, but not below that of the smallest normal number, 2^-14.
    let exponent = ((x.to_bits() >> 52) as i32 - 1023).max(-14);
    // 0 to 2048 steps: a carry makes the next exponent by itself.
    let steps = (x * 2f64.powi(10 - exponent)).round_ties_even() as u16;
    let before = ((exponent + 14) as u16) << 10;
    before + steps
}

fn does_not_fit(measure: &Measure, unit: Exact, least: i128, most: i128) -> NotEncoded {
    let at = |n: i128| {
        let count = Decimal {
            digits: n,
            places: 0,
        };
        unit.times(count).moved(measure.offset)
    };
    shown_limits(at(least), at(most))
}

fn does_not_fit_float(measure: &Measure, part: &Part) -> NotEncoded {
    let most = match part.kind {
        Number::F16 => Exact::whole(65_504),
        Number::F32 => Exact::of(&Value::Float(f64::from(f32::MAX))).unwrap_or(Exact::whole(0)),
        _ => Exact::Float(f64::MAX),
    };
    let most = most.times(part.weight).times(measure.scale);
    let least = most.negated(true);
    shown_limits(least.moved(measure.offset), most.moved(measure.offset))
}

pub(super) fn shown_limits(a: Exact, b: Exact) -> NotEncoded {
    let (least, most) = match a.against(b) {
        Some(Ordering::Greater) => (b, a),
        _ => (a, b),
    };
    NotEncoded::DoesNotFit {
        least: least.to_text(),
        most: most.to_text(),
    }
}
