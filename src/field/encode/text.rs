//! Texts in registers, with NUL behind them.

use encoding_rs as coding;

use super::registers::Registers;
use super::{Encoded, MaskedWord, NotEncoded};
use crate::base::Value;
use crate::spec::{ByteOrder, Encoding, RegisterByte};

/// Encodes a text with two bytes in each register.
pub(super) fn in_pairs(
    mut registers: Registers<'_>,
    order: ByteOrder,
    encoding: Encoding,
    value: &Value,
) -> Result<Encoded, NotEncoded> {
    let bytes = padded(value, encoding, 2 * registers.count())?;
    let (pairs, _) = bytes.as_chunks::<2>();
    for (at, pair) in (0..).zip(pairs) {
        let word = MaskedWord {
            bits: order.ordered(u16::from_be_bytes(*pair)),
            mask: u16::MAX,
        };
        registers.put(at, word);
    }
    unaltered(registers, value)
}

/// Encodes a text with one byte in each register.
pub(super) fn in_halves(
    mut registers: Registers<'_>,
    half: RegisterByte,
    encoding: Encoding,
    value: &Value,
) -> Result<Encoded, NotEncoded> {
    let bytes = padded(value, encoding, registers.count())?;
    for (at, byte) in (0..).zip(bytes) {
        let word = |byte: u8| match half {
            RegisterByte::High => u16::from_be_bytes([byte, 0]),
            RegisterByte::Low => u16::from(byte),
        };
        let word = MaskedWord {
            bits: word(byte),
            mask: word(0xFF),
        };
        registers.put(at, word);
    }
    unaltered(registers, value)
}

/// Returns the bytes of the text, and NUL behind them up to the end.
pub(super) fn padded(
    value: &Value,
    encoding: Encoding,
    room: usize,
) -> Result<Vec<u8>, NotEncoded> {
    let mut bytes = bytes(value, encoding, room)?;
    bytes.resize(room, 0);
    Ok(bytes)
}

/// Returns the bytes of the text, at most so many.
pub(super) fn bytes(value: &Value, encoding: Encoding, room: usize) -> Result<Vec<u8>, NotEncoded> {
    let Value::Text(text) = value else {
        return Err(NotEncoded::NoText);
    };
    let word = Encoding::ALL.iter().find(|(_, e)| *e == encoding);
    let encoding_word = word.map_or("", |(word, _)| *word);
    let bytes = encoded(text, encoding).ok_or(NotEncoded::NotInEncoding {
        encoding: encoding_word,
    })?;
    if bytes.len() > room {
        return Err(NotEncoded::TooLong { room });
    }
    Ok(bytes)
}

/// Returns the bytes that stand for the text; `None` if a character has none.
fn encoded(text: &str, encoding: Encoding) -> Option<Vec<u8>> {
    let by = match encoding {
        Encoding::Utf8 => return Some(text.as_bytes().to_vec()),
        Encoding::Utf16 => {
            let units = text.encode_utf16();
            return Some(units.flat_map(u16::to_be_bytes).collect());
        }
        Encoding::Latin1 => {
            let bytes = text.chars().map(|c| u8::try_from(u32::from(c)).ok());
            return bytes.collect();
        }
        Encoding::Gbk => coding::GBK,
        Encoding::Gb18030 => coding::GB18030,
        Encoding::Big5 => coding::BIG5,
        Encoding::ShiftJis => coding::SHIFT_JIS,
        Encoding::EucKr => coding::EUC_KR,
        Encoding::Windows1250 => coding::WINDOWS_1250,
        Encoding::Windows1251 => coding::WINDOWS_1251,
        Encoding::Windows1252 => coding::WINDOWS_1252,
    };
    let (bytes, _, has_unknown) = by.encode(text);
    (!has_unknown).then(|| bytes.into_owned())
}

/// Returns what is written, if it is read as the text that was wanted.
fn unaltered(registers: Registers<'_>, value: &Value) -> Result<Encoded, NotEncoded> {
    let encoded = registers.encoded()?;
    match &encoded.value {
        Value::Text(read) if encoded.value != *value => {
            Err(NotEncoded::Altered { read: read.clone() })
        }
        _ => Ok(encoded),
    }
}
