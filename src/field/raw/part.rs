//! Reads what a reply contains where a value stands ([`crate::spec::raw::part`]).

use crate::base::Value;
use crate::field::decode::number::Exact;
use crate::field::decode::refusal::NoValueReason;
use crate::field::decode::{date_time, text};
use crate::spec::NumberType;
pub use crate::spec::raw::part::{BinaryNumber, ByteSpan, Endianness, NumberKind, ReplyPart};

impl ReplyPart {
    /// Reads the value in a reply.
    ///
    /// # Errors
    /// [`NoValueReason`] instead of a value that would be wrong.
    pub fn read(&self, reply: &[u8]) -> Result<Value, NoValueReason> {
        match self {
            ReplyPart::Number {
                written,
                scale,
                offset,
                ..
            } => {
                let of = self.number_type().unwrap_or(NumberType::Double);
                let number = written.find(reply)?.times(*scale).moved(*offset);
                number.value(of, true)
            }
            ReplyPart::Bit { at, bit } => {
                let byte = reply.get(*at).ok_or(NoValueReason::NotThere)?;
                let mask = 1u8
                    .checked_shl(u32::from(*bit))
                    .ok_or(NoValueReason::NotThere)?;
                Ok(Value::Bool(byte & mask != 0))
            }
            ReplyPart::DateTime {
                at,
                layout,
                bcd,
                utc_offset,
            } => {
                let to = at.checked_add(usize::from(layout.bytes()));
                let bytes = to.and_then(|to| reply.get(*at..to));
                let bytes = bytes.ok_or(NoValueReason::NotThere)?;
                date_time::from_bytes(layout, bytes, *bcd, *utc_offset)
            }
            ReplyPart::Text { span, encoding } => {
                let bytes = span.bytes(reply).ok_or(NoValueReason::NotThere)?;
                let mut text = text::decoded(bytes, *encoding)?.into_owned();
                text.retain(|c| !c.is_control());
                let blank = |c: char| c.is_ascii_whitespace();
                Ok(Value::Text(text.trim_matches(blank).to_owned()))
            }
        }
    }
}

impl BinaryNumber {
    fn find(&self, reply: &[u8]) -> Result<Exact, NoValueReason> {
        match self {
            BinaryNumber::Binary { at, kind, order } => {
                let bytes = at
                    .checked_add(kind.bytes())
                    .and_then(|to| reply.get(*at..to))
                    .ok_or(NoValueReason::NotThere)?;
                binary(bytes, *kind, *order)
            }
            BinaryNumber::Decimal(span) => decimal(span.text(reply)?).ok_or(NoValueReason::NotText),
            BinaryNumber::Hexadecimal(span) => {
                let text = span.text(reply)?;
                let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
                match u64::from_str_radix(text, 16) {
                    Ok(n) if digits => Ok(Exact::whole(i128::from(n))),
                    _ => Err(NoValueReason::NotText),
                }
            }
        }
    }
}

fn binary(bytes: &[u8], kind: NumberKind, order: Endianness) -> Result<Exact, NoValueReason> {
    let mut ordered = bytes.to_vec();
    if matches!(order, Endianness::Low | Endianness::WordsLow) {
        ordered.reverse();
    }
    if matches!(order, Endianness::WordsLow | Endianness::BytesLow) {
        let (words, []) = ordered.as_chunks_mut::<2>() else {
            return Err(NoValueReason::Length);
        };
        words.iter_mut().for_each(|w| w.reverse());
    }
    if ordered.is_empty() || ordered.len() > 8 {
        return Err(NoValueReason::Length);
    }
    let bits = ordered.iter().fold(0u64, |sum, b| sum << 8 | u64::from(*b));
    Ok(match kind {
        NumberKind::Unsigned(_) => Exact::whole(i128::from(bits)),
        NumberKind::Signed(_) => {
            let unused = 64 - 8 * ordered.len() as u32;
            Exact::whole(i128::from((bits << unused).cast_signed() >> unused))
        }
        NumberKind::Magnitude(_) | NumberKind::SignedBcd(_) => {
            let first = ordered.first_mut().ok_or(NoValueReason::Length)?;
            let negative = *first & 0x80 != 0;
            *first &= 0x7F;
            let magnitude = match kind {
                NumberKind::SignedBcd(n) => NumberKind::Bcd(n),
                _ => NumberKind::Unsigned(kind.bytes() as u8),
            };
            return Ok(binary(&ordered, magnitude, Endianness::High)?.negated(negative));
        }
        NumberKind::Bcd(_) => {
            let digits = ordered.iter().flat_map(|b| [b >> 4, b & 15]);
            let add = |n: i128, d: u8| (d <= 9).then_some(10 * n + i128::from(d));
            let n = digits.into_iter().try_fold(0i128, add);
            Exact::whole(n.ok_or(NoValueReason::NotDecimal)?)
        }
        // A single holds about seven digits; the decimal it is printed as is
        // what the device meant.
        NumberKind::F32 => {
            let x = f32::from_bits(bits as u32);
            Exact::Float(x.to_string().parse().unwrap_or_else(|_| f64::from(x)))
        }
        NumberKind::F64 => Exact::Float(f64::from_bits(bits)),
    })
}

/// Reads sign, digits, point and exponent: exactly what was written, or nothing.
fn decimal(text: &str) -> Option<Exact> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, plain) = match mantissa.split_at_checked(1) {
        Some(("-", rest)) => (true, rest.trim_start_matches(' ')),
        Some(("+", rest)) => (false, rest.trim_start_matches(' ')),
        _ => (false, mantissa),
    };
    let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
    let all = || whole.bytes().chain(fraction.bytes());
    if all().next().is_none() || !all().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let mut digits = 0i128;
    for digit in all() {
        digits = digits
            .checked_mul(10)?
            .checked_add(i128::from(digit - b'0'))?;
    }
    // An exponent beyond what a double holds by far.
    let exponent = Some(exponent).filter(|e| e.abs() <= 9999)?;
    Some(Exact::Decimal {
        digits: if negative { -digits } else { digits },
        places: i32::try_from(fraction.len()).ok()? - exponent,
    })
}

impl ByteSpan {
    fn text<'a>(&self, reply: &'a [u8]) -> Result<&'a str, NoValueReason> {
        let bytes = self.bytes(reply).ok_or(NoValueReason::NotThere)?;
        let text = std::str::from_utf8(bytes).map_err(|_| NoValueReason::NotText)?;
        let text = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\0');
        if text.chars().any(char::is_control) {
            return Err(NoValueReason::NotText);
        }
        Ok(text)
    }

    fn bytes<'a>(&self, reply: &'a [u8]) -> Option<&'a [u8]> {
        match self {
            ByteSpan::At { from, length } => reply.get(*from..from.checked_add(*length)?),
            ByteSpan::Between { after, nth, before } => {
                let mut rest = reply;
                for _ in 0..*nth {
                    let at = position(rest, after)?;
                    rest = rest.get(at + after.len()..)?;
                }
                if before.is_empty() {
                    return Some(rest);
                }
                rest.get(..position(rest, before)?)
            }
        }
    }
}

/// Returns where `what` stands first; nowhere if it is empty.
fn position(bytes: &[u8], what: &[u8]) -> Option<usize> {
    if what.is_empty() {
        return None;
    }
    bytes.windows(what.len()).position(|w| w == what)
}

#[cfg(test)]
mod tests;
