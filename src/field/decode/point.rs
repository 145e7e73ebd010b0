//! From registers and bits to values.
//!
//! A value is exact or it is not given. Whole numbers stay whole. Scale and offset are
//! decimal, so 2305 × 0.1 is the number nearest to 230.5 and not a sum of binary fractions.
//! What is no number, or a number that cannot be right, is refused with a reason.
//!
//! Everything a value is made of comes out of one reply: the parts of a sum and the power of
//! ten that scales it belong to the same moment, or there is no value.

mod raw;

use crate::base::Value;
use crate::spec::dlt645::ValuePosition;
use crate::spec::{
    ByteOrder, Codec, Decimal, Measure, NumberType, PointAddress, PointSpec, RegisterByte, Sign,
};

use super::number::Exact;
pub use super::refusal::NoValueReason;
use super::text;
use crate::field::decode::date_time;
use crate::field::modbus::Data;
use crate::field::plan::block_address::{BlockAddress, DatumAsked, EntryRange};
use raw::Raw;

/// The register says that there is no scale factor, and so no value (SunSpec
/// Information Model Specification, type `sunssf`).
const NO_POWER: u16 = 0x8000;

/// Returns the value of `point`, from the reply to what was asked for.
///
/// # Errors
/// A [`NoValueReason`] instead of a value that would be wrong.
pub fn decode(
    point: &PointSpec,
    asked: &BlockAddress,
    data: &Data,
) -> Result<Value, NoValueReason> {
    match (point.address, asked) {
        (PointAddress::Modbus(address), BlockAddress::Modbus(range))
            if address.table == range.table =>
        {
            from_entries(&point.codec, address.start, range, data)
        }
        (PointAddress::Dlt645(datum), BlockAddress::Dlt645(DatumAsked::Item(item, _)))
            if datum.item == *item =>
        {
            from_datum(&point.codec, datum.position, data)
        }
        (PointAddress::Raw(question), BlockAddress::Raw(asked)) if question == asked.index => {
            from_reply(&point.codec, data)
        }
        (PointAddress::Modbus(_) | PointAddress::Dlt645(_) | PointAddress::Raw(_), _) => {
            Err(NoValueReason::NotCovered)
        }
    }
}

/// Returns what a point reads whose value is out of its range, and the range, in words:
/// `1250, min 0, max 500`. `None` if the point has no range, or reads no number.
#[must_use]
pub fn out_of_range(point: &PointSpec, asked: &BlockAddress, data: &Data) -> Option<String> {
    let Codec::Measure(measure) = &point.codec else {
        return None;
    };
    let limit = |key, limit: Option<Decimal>| limit.map(|limit| format!(", {key} {limit}"));
    let limits = [limit("min", measure.min), limit("max", measure.max)];
    let unlimited = PointSpec {
        codec: Codec::Measure(Box::new(Measure {
            min: None,
            max: None,
            ..Measure::clone(measure)
        })),
        ..point.clone()
    };
    let value = decode(&unlimited, asked, data).ok()?.to_json();
    let limits: String = limits.into_iter().flatten().collect();
    Some(format!("{value}{limits}"))
}

fn from_entries(
    codec: &Codec,
    start: u16,
    range: &EntryRange,
    data: &Data,
) -> Result<Value, NoValueReason> {
    let from = start
        .checked_sub(range.start)
        .ok_or(NoValueReason::NotCovered)?;
    let from = usize::from(from);
    let to = from + usize::from(codec.width());
    match (codec, data) {
        (Codec::Bool, Data::Bits(bits)) => bits
            .get(from)
            .map(|b| Value::Bool(*b))
            .ok_or(NoValueReason::NotCovered),
        (codec, Data::Registers(all)) => {
            let registers = all.get(from..to).ok_or(NoValueReason::NotCovered)?;
            from_registers(codec, registers)
        }
        (_, Data::Bits(_) | Data::Bytes(_)) => Err(NoValueReason::NotCovered),
    }
}

fn from_datum(codec: &Codec, position: ValuePosition, data: &Data) -> Result<Value, NoValueReason> {
    match (codec, data) {
        (
            Codec::Datum {
                item,
                scale,
                offset,
                number_type,
            },
            Data::Bytes(datum),
        ) => item.scaled(datum, position, *scale, *offset, *number_type),
        (_, Data::Bits(_) | Data::Registers(_) | Data::Bytes(_)) => Err(NoValueReason::NotCovered),
    }
}

fn from_reply(codec: &Codec, data: &Data) -> Result<Value, NoValueReason> {
    match (codec, data) {
        (Codec::Part(part), Data::Bytes(reply)) => part.read(reply),
        (_, Data::Bits(_) | Data::Registers(_) | Data::Bytes(_)) => Err(NoValueReason::NotCovered),
    }
}

fn from_registers(codec: &Codec, registers: &[u16]) -> Result<Value, NoValueReason> {
    match codec {
        Codec::Bool => Err(NoValueReason::NotCovered),
        Codec::Bit(n) => {
            let word = registers.first().ok_or(NoValueReason::NotCovered)?;
            Ok(Value::Bool(
                word.checked_shr(u32::from(*n)).is_some_and(|w| w & 1 == 1),
            ))
        }
        Codec::Number {
            kind,
            words,
            bytes,
            scale,
            offset,
        } => {
            let raw = Raw::from(registers, *kind, *words, *bytes);
            let read = raw.number()?;
            let number = read.times(*scale).moved(*offset);
            let of = codec.number_type().unwrap_or(NumberType::Double);
            number.value(of, raw.is_signed() || number != read)
        }
        Codec::Measure(measure) => from_parts(measure, registers),
        Codec::Text {
            bytes, encoding, ..
        } => {
            let bytes: Vec<u8> = pairs(registers, *bytes).collect();
            text::padded(&bytes, *encoding).map(Value::Text)
        }
        Codec::Letters { half, encoding, .. } => {
            let bytes: Vec<u8> = letters(registers, *half).collect();
            text::padded(&bytes, *encoding).map(Value::Text)
        }
        Codec::DateTime(clock) => date_time::from_registers(clock, registers),
        Codec::Datum { .. } | Codec::Part(_) => Err(NoValueReason::NotCovered),
    }
}

fn from_parts(measure: &Measure, registers: &[u16]) -> Result<Value, NoValueReason> {
    let mut sum = None;
    let mut signed = false;
    for part in &measure.parts {
        let from = usize::from(part.at);
        let to = from + usize::from(part.kind.registers());
        let registers = registers.get(from..to).ok_or(NoValueReason::NotCovered)?;
        let raw = Raw::from(registers, part.kind, measure.words, measure.bytes);
        let raw = raw.selected_bits(measure.bits).signed_by(measure.sign);
        if measure.invalid.iter().any(|marker| raw.is(*marker)) {
            return Err(NoValueReason::Marked);
        }
        signed |= raw.is_signed();
        let addend = raw.number()?.times(part.weight);
        sum = Some(sum.map_or(addend, |sum: Exact| sum.plus(addend)));
    }
    let size = sum.ok_or(NoValueReason::NotCovered)?;
    let read = match measure.sign {
        Some(Sign::Register {
            at,
            mask,
            positive,
            negative,
        }) => {
            let word = registers
                .get(usize::from(at))
                .ok_or(NoValueReason::NotCovered)?;
            signed |= true;
            match measure.bytes.ordered(*word) & mask {
                word if word == negative => size.negated(true),
                word if word == positive => size,
                _ => return Err(NoValueReason::NoSign),
            }
        }
        Some(Sign::HighestBit) | None => size,
    };
    let power = match measure.power {
        None => 0,
        Some(at) => {
            let word = registers
                .get(usize::from(at))
                .ok_or(NoValueReason::NotCovered)?;
            power(measure.bytes.ordered(*word))?
        }
    };
    let number = read
        .times(measure.scale)
        .shifted(power)
        .moved(measure.offset);
    let number = match measure.round {
        Some(places) => number.rounded(places),
        None => number,
    };
    if measure
        .min
        .is_some_and(|min| number.compared(min).is_none_or(|o| o.is_lt()))
        || measure
            .max
            .is_some_and(|max| number.compared(max).is_none_or(|o| o.is_gt()))
    {
        return Err(NoValueReason::OutOfRange);
    }
    let value = number.value(measure.number_type(), signed || number != read)?;
    if let Some(states) = &measure.states {
        let known = value.as_int().is_some_and(|n| states.contains_key(&n));
        return known.then_some(value).ok_or(NoValueReason::UnknownState);
    }
    Ok(value)
}

/// Returns the power of ten in a register.
fn power(word: u16) -> Result<i8, NoValueReason> {
    let power = i8::try_from(word as i16).ok();
    power
        .filter(|p| word != NO_POWER && (-10..=10).contains(p))
        .ok_or(NoValueReason::NoPower)
}

/// Returns the characters of text, two in each register.
fn pairs(registers: &[u16], order: ByteOrder) -> impl Iterator<Item = u8> {
    registers
        .iter()
        .flat_map(move |w| order.ordered(*w).to_be_bytes())
}

/// Returns the characters of text, one in each register.
fn letters(registers: &[u16], half: RegisterByte) -> impl Iterator<Item = u8> {
    registers.iter().map(move |w| {
        let [high, low] = w.to_be_bytes();
        match half {
            RegisterByte::High => high,
            RegisterByte::Low => low,
        }
    })
}

#[cfg(test)]
mod tests;
