//! Values in the requests of devices without a standard: the inverse of
//! [`crate::field::raw::part`].
//!
//! A value is written as its request says ([`ValueForm`]), which need not be how it is read. The
//! value that the device will show is reckoned from the number that was written.

use super::scaled::Scaled;
use super::{Encoded, NotEncoded, WriteContent, date_time, state, text};
use crate::base::Value;
use crate::base::text::counted;
use crate::field::decode;
use crate::field::decode::number::Exact;
use crate::spec::raw::part::{ByteSpan, Endianness, NumberKind, ReplyPart};
use crate::spec::raw::{ValueForm, WriteBy};
use crate::spec::{Codec, Decimal, NotWritable, NumberType, PointSpec};

/// The most digits behind the point of a decimal number whose places are not said.
const MOST_PLACES: u8 = 6;

/// Encodes the value of a point.
pub(super) fn encode(point: &PointSpec, value: &Value) -> Result<Encoded, NotEncoded> {
    let by = point.write.as_ref().and_then(|policy| policy.by.as_ref());
    let (Codec::Part(part), Some(WriteBy { form, .. })) = (&point.codec, by) else {
        return Err(NotEncoded::NotWritable(NotWritable::Protocol));
    };
    let (bytes, value) = match (&**part, *form) {
        (ReplyPart::Text { span, .. }, ValueForm::Text { encoding }) => {
            (in_span(value, span, encoding)?, value.clone())
        }
        (
            ReplyPart::DateTime { .. },
            ValueForm::DateTime {
                layout,
                bcd,
                utc_offset,
            },
        ) => {
            let bytes = date_time::in_bytes(&layout, bcd, utc_offset, value)?;
            let read = decode::date_time::from_bytes(&layout, &bytes, bcd, utc_offset);
            (bytes, read.map_err(NotEncoded::NoValue)?)
        }
        (ReplyPart::Bit { .. }, form) => {
            let on = state(value)?;
            let number = Value::Int(on.into());
            let plain = Scaled::new(NumberType::Int, Decimal::ONE, Decimal::ZERO);
            (number_bytes(plain, form, &number)?.0, Value::Bool(on))
        }
        (ReplyPart::Number { scale, offset, .. }, form) => {
            let of = point.codec.number_type().unwrap_or(NumberType::Double);
            let (bytes, written) = number_bytes(Scaled::new(of, *scale, *offset), form, value)?;
            let read = written.times(*scale).moved(*offset).value(of, true);
            (bytes, read.map_err(NotEncoded::NoValue)?)
        }
        (ReplyPart::Text { .. } | ReplyPart::DateTime { .. }, _) => {
            return Err(NotEncoded::NotWritable(NotWritable::Protocol));
        }
    };
    Ok(Encoded {
        content: WriteContent::Value(bytes),
        value,
    })
}

/// Returns the bytes of a text that will be read as it is.
fn in_span(
    value: &Value,
    span: &ByteSpan,
    encoding: crate::spec::Encoding,
) -> Result<Vec<u8>, NotEncoded> {
    let room = match span {
        ByteSpan::At { length, .. } => *length,
        ByteSpan::Between { .. } => usize::MAX,
    };
    let bytes = text::bytes(value, encoding, room)?;
    let mut read = decode::text::decoded(&bytes, encoding)
        .map_err(NotEncoded::NoValue)?
        .into_owned();
    read.retain(|c| !c.is_control());
    let read = read.trim_matches(|c: char| c.is_ascii_whitespace());
    let ends =
        |before: &[u8]| !before.is_empty() && bytes.windows(before.len()).any(|w| w == before);
    let is_cut = matches!(span, ByteSpan::Between { before, .. } if ends(before));
    match value {
        Value::Text(wanted) if read == wanted && !is_cut => Ok(bytes),
        _ => Err(NotEncoded::Altered { read: read.into() }),
    }
}

/// Returns the bytes of a number, and the number that they are, before it is scaled.
fn number_bytes(
    scaled: Scaled,
    form: ValueForm,
    value: &Value,
) -> Result<(Vec<u8>, Exact), NotEncoded> {
    let too_wide = |width: u8| {
        let most = counted(width, "character");
        NotEncoded::NotLike(format!("a number of at most {most}"))
    };
    match form {
        ValueForm::Binary(kind, order) => binary(scaled, kind, order, value),
        ValueForm::Decimal { width, places } => {
            let number = match places {
                Some(places) => {
                    let scaled = scaled.with_places(places);
                    let most = 10i128.pow(30);
                    let digits = scaled.whole(value, (-most, most))?;
                    let places = places.into();
                    Exact::Decimal { digits, places }
                }
                None => scaled.unscaled(value)?.rounded(MOST_PLACES).shortened(),
            };
            let text = number.to_text();
            let (sign, size) = match text.strip_prefix('-') {
                Some(size) => ("-", size),
                None => ("", text.as_str()),
            };
            let zeros = usize::from(width).saturating_sub(text.len());
            let text = format!("{sign}{}{size}", "0".repeat(zeros));
            let fits = (width == 0 || text.len() == usize::from(width)) && !text.contains('e');
            match fits {
                true => Ok((text.into_bytes(), number)),
                false => Err(too_wide(width)),
            }
        }
        ValueForm::Hexadecimal { width } => {
            let n = scaled.whole(value, (0, u64::MAX.into()))?;
            let text = format!("{n:0width$X}", width = usize::from(width));
            match width == 0 || text.len() == usize::from(width) {
                true => Ok((text.into_bytes(), Exact::whole(n))),
                false => Err(too_wide(width)),
            }
        }
        ValueForm::Text { .. } | ValueForm::DateTime { .. } => {
            Err(NotEncoded::NotWritable(NotWritable::Protocol))
        }
    }
}

fn binary(
    scaled: Scaled,
    kind: NumberKind,
    order: Endianness,
    value: &Value,
) -> Result<(Vec<u8>, Exact), NotEncoded> {
    let size = kind.bytes();
    let ones = |bits: usize| (1i128 << bits) - 1;
    let digits = |first: i128| first * 10i128.pow(2 * size as u32 - 1) - 1;
    let sign = 1u64 << (8 * size - 1);
    let signed = |n: i128, magnitude: u64| match n < 0 {
        true => magnitude | sign,
        false => magnitude,
    };
    let (bits, number) = match kind {
        NumberKind::Unsigned(_) => {
            let n = scaled.whole(value, (0, ones(8 * size)))?;
            (n as u64, Exact::whole(n))
        }
        NumberKind::Signed(_) => {
            let most = ones(8 * size - 1);
            let n = scaled.whole(value, (-most - 1, most))?;
            (n as u64, Exact::whole(n))
        }
        NumberKind::Magnitude(_) => {
            let most = ones(8 * size - 1);
            let n = scaled.whole(value, (-most, most))?;
            (signed(n, n.unsigned_abs() as u64), Exact::whole(n))
        }
        NumberKind::Bcd(_) => {
            let n = scaled.whole(value, (0, digits(10)))?;
            (bcd(n), Exact::whole(n))
        }
        NumberKind::SignedBcd(_) => {
            let most = digits(8);
            let n = scaled.whole(value, (-most, most))?;
            (signed(n, bcd(n)), Exact::whole(n))
        }
        NumberKind::F32 | NumberKind::F64 => return float(scaled, kind, order, value),
    };
    let bytes = bits.to_be_bytes();
    let own = bytes.get(8 - size..).unwrap_or_default();
    Ok((ordered(own, order), number))
}

fn float(
    scaled: Scaled,
    kind: NumberKind,
    order: Endianness,
    value: &Value,
) -> Result<(Vec<u8>, Exact), NotEncoded> {
    let size = scaled.unscaled(value)?;
    let (bytes, is_finite) = match kind {
        NumberKind::F32 => (
            size.to_single().to_be_bytes().to_vec(),
            size.to_single().is_finite(),
        ),
        _ => (
            size.to_float().to_be_bytes().to_vec(),
            size.to_float().is_finite(),
        ),
    };
    if !is_finite {
        return Err(NotEncoded::NotLike("a number that a float can hold".into()));
    }
    // The decimal that a single is printed as is what it is read as.
    let number = match kind {
        NumberKind::F32 => {
            let printed = size.to_single().to_string().parse();
            Exact::Float(printed.unwrap_or_else(|_| f64::from(size.to_single())))
        }
        _ => Exact::Float(size.to_float()),
    };
    Ok((ordered(&bytes, order), number))
}

/// Returns decimal digits, four bits each.
fn bcd(n: i128) -> u64 {
    let mut rest = n.unsigned_abs();
    let mut bits = 0;
    for place in 0..16 {
        bits |= ((rest % 10) as u64) << (4 * place);
        rest /= 10;
    }
    bits
}

/// Returns bytes in this order, from the one with the most significant first.
fn ordered(bytes: &[u8], order: Endianness) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if matches!(order, Endianness::WordsLow | Endianness::BytesLow) {
        let (words, _) = bytes.as_chunks_mut::<2>();
        words.iter_mut().for_each(|w| w.reverse());
    }
    if matches!(order, Endianness::Low | Endianness::WordsLow) {
        bytes.reverse();
    }
    bytes
}
