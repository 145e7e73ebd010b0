//! The content of a frame, in words.
//!
//! It covers more than the gateway itself sends: writes of other masters pass by as well
//! (Modbus Application Protocol V1.1b3 §6).

use std::fmt::Write;

use crate::base::UnitId;
use crate::base::text::counted;
use crate::field::dlt645::frame::Frame as MeterFrame;
use crate::field::modbus::EXCEPTION;

/// The kind and content of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Modbus with a good check (RTU, ASCII) or a plausible header (TCP).
    Modbus {
        /// The device that the frame is for or from.
        unit: UnitId,
        /// Function and data; never empty.
        pdu: Vec<u8>,
        /// The transaction id, of Modbus TCP.
        transaction: Option<u16>,
    },
    /// DL/T 645 with a good check.
    Dlt645(MeterFrame),
    /// The gateway's own request, heard back.
    Echo,
    /// Bytes of a protocol without a standard.
    Plain,
    /// Bytes that belong to no frame.
    Noise,
    /// Bytes of a frame whose rest was not seen, because the trace had ended.
    Unfinished,
}

impl Body {
    /// Returns the place of the device concerned: the receiver if the master sent the frame,
    /// otherwise the sender. The form is that of [`crate::spec::DeviceSpec::place`].
    #[must_use]
    pub fn place(&self) -> Option<String> {
        match self {
            Body::Modbus { unit, .. } => Some(format!("unit {unit}")),
            Body::Dlt645(frame) => Some(format!("address {}", frame.address)),
            Body::Echo | Body::Plain | Body::Noise | Body::Unfinished => None,
        }
    }

    /// Returns whether the frame is an exception or a refusal.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Body::Modbus { pdu, .. } => pdu.first().is_some_and(|f| f & EXCEPTION != 0),
            Body::Dlt645(frame) => frame.control.is_refusal(),
            Body::Echo | Body::Plain | Body::Noise | Body::Unfinished => false,
        }
    }

    /// Returns the content in words; a request (`asks`) reads otherwise than a reply. `bytes`
    /// is the length of the frame.
    #[must_use]
    pub fn words(&self, asks: bool, bytes: usize) -> String {
        match self {
            Body::Modbus {
                pdu, transaction, ..
            } => {
                let words = if asks { question(pdu) } else { reply(pdu) };
                transaction.map_or(words.clone(), |id| format!("{words}, transaction {id}"))
            }
            Body::Dlt645(frame) => dlt645(frame),
            Body::Echo => "the gateway's own request, heard back".into(),
            Body::Plain => counted(bytes, "byte"),
            Body::Noise => format!("{} of no frame", counted(bytes, "byte")),
            Body::Unfinished => format!("{}, and the trace saw no more", counted(bytes, "byte")),
        }
    }
}

/// Returns the name of an exception code (V1.1b3 §7).
#[must_use]
pub const fn exception(code: u8) -> &'static str {
    match code {
        1 => "illegal function",
        2 => "illegal data address",
        3 => "illegal data value",
        4 => "device failure",
        5 => "acknowledge",
        6 => "device busy",
        8 => "memory parity error",
        10 => "gateway path unavailable",
        11 => "gateway target failed to respond",
        _ => "unknown code",
    }
}

fn question(pdu: &[u8]) -> String {
    let word = |at: usize| match pdu.get(at..at + 2) {
        Some([high, low]) => Some(u16::from_be_bytes([*high, *low])),
        _ => None,
    };
    let (first, second) = (word(1), word(3));
    match (pdu.first(), first, second) {
        (Some(function @ (1..=4 | 15 | 16)), Some(start), Some(count)) => {
            let what = match function {
                1 => "reads coils",
                2 => "reads inputs",
                3 => "reads holding registers",
                4 => "reads input registers",
                15 => "writes coils",
                _ => "writes registers",
            };
            let last = usize::from(start) + usize::from(count).max(1) - 1;
            match count {
                1 => format!("{what} {start}"),
                _ => format!("{what} {start}–{last} ({count})"),
            }
        }
        (Some(5), Some(at), Some(value)) => {
            let state = match value {
                0xFF00 => "on".into(),
                0 => "off".into(),
                other => format!("{other:04X}h"),
            };
            format!("writes coil {at} = {state}")
        }
        (Some(6), Some(at), Some(value)) => format!("writes register {at} = {value}"),
        (Some(22), Some(at), Some(and)) if pdu.len() == 7 => {
            let or = word(5).unwrap_or_default();
            format!(
                "writes bits {:04X}h of register {at} = {:04X}h",
                !and,
                or & !and
            )
        }
        (Some(function), _, _) => {
            format!("function {function}, {}", counted(pdu.len() - 1, "byte"))
        }
        (None, _, _) => "nothing".into(),
    }
}

fn reply(pdu: &[u8]) -> String {
    match pdu {
        [function, code] if function & EXCEPTION != 0 => {
            format!("exception {code}, {}", exception(*code))
        }
        [1 | 2, count, data @ ..] if usize::from(*count) == data.len() => {
            format!("bits{}", shown(data.iter().map(|b| format!("{b:08b}"))))
        }
        [3 | 4, count, data @ ..] if usize::from(*count) == data.len() && count % 2 == 0 => {
            let (words, _) = data.as_chunks::<2>();
            let each = words
                .iter()
                .map(|w| format!("{:04X}", u16::from_be_bytes(*w)));
            format!("{}{}", counted(words.len(), "register"), shown(each))
        }
        // The reply repeats the request, or a part of it.
        [5 | 6 | 15 | 16 | 22, ..] => format!("done: {}", question(pdu)),
        _ => question(pdu),
    }
}

fn dlt645(frame: &MeterFrame) -> String {
    let control = frame.control;
    let what = match (control.is_reply(), control.is_refusal()) {
        (false, _) => "asks",
        (true, false) => "replies",
        (true, true) => "refuses",
    };
    let more = if control.has_more() {
        ", more follows"
    } else {
        ""
    };
    let data = shown(frame.data.iter().map(|b| format!("{b:02X}")));
    format!("{what} (control {:02X}h{more}){data}", control.0)
}

/// Writes as many entries as fit on a line; `…` for the rest.
fn shown(each: impl Iterator<Item = String>) -> String {
    const MOST: usize = 8;
    let mut text = String::new();
    for (n, word) in each.enumerate() {
        if n == MOST {
            text.push_str(" …");
            break;
        }
        let start = if n == 0 { ": " } else { " " };
        let _ = write!(text, "{start}{word}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modbus(pdu: &[u8]) -> Body {
        Body::Modbus {
            unit: UnitId(3),
            pdu: pdu.to_vec(),
            transaction: None,
        }
    }

    /// PDUs of the worked examples of V1.1b3 §6.1–6.12, §6.16 and §7.
    #[test]
    fn the_standards_examples_read_as_sentences() {
        for (pdu, asks, words) in [
            (&[1, 0, 0x13, 0, 0x13][..], true, "reads coils 19–37 (19)"),
            (
                &[1, 3, 0xCD, 0x6B, 5],
                false,
                "bits: 11001101 01101011 00000101",
            ),
            (&[2, 0, 0xC4, 0, 0x16], true, "reads inputs 196–217 (22)"),
            (
                &[3, 0, 0x6B, 0, 3],
                true,
                "reads holding registers 107–109 (3)",
            ),
            (
                &[3, 6, 2, 0x2B, 0, 0, 0, 0x64],
                false,
                "3 registers: 022B 0000 0064",
            ),
            (&[4, 0, 8, 0, 1], true, "reads input registers 8"),
            (&[4, 2, 0, 0x0A], false, "1 register: 000A"),
            (&[5, 0, 0xAC, 0xFF, 0], true, "writes coil 172 = on"),
            (&[5, 0, 0xAC, 0xFF, 0], false, "done: writes coil 172 = on"),
            (&[6, 0, 1, 0, 3], true, "writes register 1 = 3"),
            (
                &[15, 0, 0x13, 0, 0x0A, 2, 0xCD, 1],
                true,
                "writes coils 19–28 (10)",
            ),
            (&[16, 0, 1, 0, 2], false, "done: writes registers 1–2 (2)"),
            (
                &[22, 0, 4, 0, 0xF2, 0, 0x25],
                true,
                "writes bits FF0Dh of register 4 = 0005h",
            ),
            (
                &[22, 0, 4, 0, 0xF2, 0, 0x25],
                false,
                "done: writes bits FF0Dh of register 4 = 0005h",
            ),
            (&[0x81, 2], false, "exception 2, illegal data address"),
            (&[0x2B, 0x0E, 1, 0], true, "function 43, 3 bytes"),
        ] {
            assert_eq!(modbus(pdu).words(asks, 0), words);
        }
    }

    #[test]
    fn a_long_reply_is_cut_where_the_line_would_be_too_long() {
        let mut pdu = vec![3, 20];
        pdu.extend([0; 20]);
        assert_eq!(
            modbus(&pdu).words(false, 0),
            "10 registers: 0000 0000 0000 0000 0000 0000 0000 0000 …"
        );
    }
}
