//! The bytes of a request, as the configuration writes them: hexadecimal bytes, `"text"`,
//! `{value}` in the place of a value that is written, and `{check}` in that of the checksum.
//!
//! `02 "READ A" 0D`, `"#01\r"`, `01 03 00 00 00 02 {check}`. Inside quotes
//! `\r`, `\n`, `\t`, `\0`, `\\`, `\"` and `\xHH` stand for the one byte they
//! mean elsewhere; other characters are sent as UTF-8.

use serde::Serialize;
use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

use super::Check;

/// The most bytes of a request.
const LONGEST: usize = 1024;

/// The placeholder of the checksum.
const PLACEHOLDER: &str = "{check}";

/// The placeholder of a value.
const VALUE: &str = "{value}";

/// A request, parsed and checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Template {
    /// Without the value, if there is a place for one; zeros for a checksum behind it.
    bytes: Vec<u8>,
    place: Option<ValueSlot>,
}

/// The place of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct ValueSlot {
    /// How many bytes stand in front of the value.
    at: usize,
    /// The checksum behind the value, and how many of the other bytes stand in front of it.
    check: Option<(usize, Check)>,
}

/// Why a text is no request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum NotATemplate {
    /// The request has no bytes.
    Empty,
    /// The request has more than 1024 bytes.
    TooLong,
    /// A word is neither a byte in hexadecimal, nor text in quotes, nor `{check}`.
    Word(String),
    /// A text has no closing quote.
    Open,
    /// A backslash stands before a character for which it has no meaning.
    Escape(String),
    /// The request has `{check}`, but no checksum is configured.
    NoCheck,
    /// A checksum is configured, but `{check}` does not stand exactly once.
    NoPlaceholder,
    /// `{value}` stands more than once.
    Values,
    /// The checksum would cover nothing.
    Covers,
    /// The checksum is computed of hexadecimal digits, two to a byte, and covers other
    /// characters.
    NoDigits,
}

impl fmt::Display for NotATemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotATemplate::Empty => f.write_str("nothing to send"),
            NotATemplate::TooLong => write!(f, "more than {LONGEST} bytes"),
            NotATemplate::Word(word) => {
                write!(
                    f,
                    "{word:?} is no byte in hexadecimal, text in quotes, or {PLACEHOLDER}"
                )
            }
            NotATemplate::Open => f.write_str("a text without its closing quote"),
            NotATemplate::Escape(what) => write!(f, "{what} has no meaning"),
            NotATemplate::NoCheck => write!(f, "{PLACEHOLDER}, but no checksum"),
            NotATemplate::NoPlaceholder => {
                write!(f, "a checksum, but not exactly one {PLACEHOLDER}")
            }
            NotATemplate::Values => write!(f, "more than one {VALUE}"),
            NotATemplate::Covers => f.write_str("a checksum that covers nothing"),
            NotATemplate::NoDigits => f.write_str(
                "a checksum of hexadecimal digits that covers other characters, or half a byte",
            ),
        }
    }
}

impl Template {
    /// Parses a request.
    ///
    /// # Errors
    /// [`NotATemplate`].
    pub fn parse(text: &str, check: Option<Check>) -> Result<Template, NotATemplate> {
        let mut bytes = Vec::new();
        let mut placeholders = 0;
        let mut place: Option<ValueSlot> = None;
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                c if c.is_whitespace() => {}
                '"' => quoted(&mut rest, &mut bytes)?,
                c => match word(c, &mut rest) {
                    Word::Byte(byte) => bytes.push(byte),
                    Word::Value if place.is_some() => return Err(NotATemplate::Values),
                    Word::Value => {
                        let at = bytes.len();
                        place = Some(ValueSlot { at, check: None });
                    }
                    Word::Check => {
                        let check = check.ok_or(NotATemplate::NoCheck)?;
                        placeholders += 1;
                        if let Some(place) = &mut place {
                            // It is computed when the value is known.
                            place.check = Some((bytes.len(), check));
                            bytes.resize(bytes.len() + check.len(), 0);
                            continue;
                        }
                        let covered = bytes.get(check.from..).unwrap_or_default();
                        if covered.is_empty() {
                            return Err(NotATemplate::Covers);
                        }
                        if !check.sum.covers(covered) {
                            return Err(NotATemplate::NoDigits);
                        }
                        bytes.extend(check.seal(&bytes));
                    }
                    Word::Other(word) => return Err(NotATemplate::Word(word)),
                },
            }
            if bytes.len() > LONGEST {
                return Err(NotATemplate::TooLong);
            }
        }
        match (
            bytes.is_empty() && place.is_none(),
            check.is_some(),
            placeholders,
        ) {
            (true, ..) => Err(NotATemplate::Empty),
            (_, true, 1) | (_, false, 0) => Ok(Template { bytes, place }),
            _ => Err(NotATemplate::NoPlaceholder),
        }
    }

    /// Returns whether the request has a place for a value: it writes.
    #[must_use]
    pub const fn takes_value(&self) -> bool {
        self.place.is_some()
    }

    /// Returns the request with this value in its place, and its checksum.
    ///
    /// # Errors
    /// The request has no such place, is too long with this value, or its checksum cannot cover it.
    pub fn with(&self, value: &[u8]) -> Result<Template, NotATemplate> {
        let place = self.place.ok_or(NotATemplate::Empty)?;
        let (before, behind) = self.bytes.split_at(place.at.min(self.bytes.len()));
        let mut bytes = [before, value, behind].concat();
        if bytes.len() > LONGEST {
            return Err(NotATemplate::TooLong);
        }
        if let Some((at, check)) = place.check {
            let (covered, rest) =
                bytes.split_at_mut((at + value.len()).min(self.bytes.len() + value.len()));
            let summed = covered.get(check.from..).unwrap_or_default();
            if summed.is_empty() {
                return Err(NotATemplate::Covers);
            }
            if !check.sum.covers(summed) {
                return Err(NotATemplate::NoDigits);
            }
            rest.iter_mut()
                .zip(check.seal(covered))
                .for_each(|(to, from)| *to = from);
        }
        Ok(Template {
            bytes,
            place: self.place,
        })
    }

    /// Returns the bytes that go onto the line; without the value, if there is a place for one.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

enum Word {
    Byte(u8),
    Check,
    Value,
    Other(String),
}

fn word(first: char, rest: &mut Peekable<Chars<'_>>) -> Word {
    let mut word = String::from(first);
    while let Some(c) = rest.next_if(|c| !c.is_whitespace() && *c != '"') {
        word.push(c);
    }
    if word == PLACEHOLDER {
        return Word::Check;
    }
    if word == VALUE {
        return Word::Value;
    }
    match (word.len(), u8::from_str_radix(&word, 16)) {
        (2, Ok(byte)) if !word.starts_with('+') => Word::Byte(byte),
        _ => Word::Other(word),
    }
}

fn quoted(rest: &mut Peekable<Chars<'_>>, bytes: &mut Vec<u8>) -> Result<(), NotATemplate> {
    while let Some(c) = rest.next() {
        match c {
            '"' => return Ok(()),
            '\\' => bytes.push(escaped(rest)?),
            c => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Err(NotATemplate::Open)
}

fn escaped(rest: &mut Peekable<Chars<'_>>) -> Result<u8, NotATemplate> {
    let c = rest.next().ok_or(NotATemplate::Open)?;
    Ok(match c {
        'r' => b'\r',
        'n' => b'\n',
        't' => b'\t',
        '0' => 0,
        '\\' => b'\\',
        '"' => b'"',
        'x' => {
            let digits: String = rest.by_ref().take(2).collect();
            let byte = u8::from_str_radix(&digits, 16).ok();
            byte.filter(|_| digits.len() == 2 && !digits.starts_with('+'))
                .ok_or_else(|| NotATemplate::Escape(format!("\\x{digits}")))?
        }
        other => return Err(NotATemplate::Escape(format!("\\{other}"))),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::spec::raw::Sum;
    use crate::spec::raw::check::CheckForm;

    const MODBUS: Check = Check {
        sum: Sum::Crc16Modbus,
        written: CheckForm::Low,
        from: 0,
    };

    #[test]
    fn bytes_text_and_checksums_become_a_request() {
        for (text, check, bytes) in [
            ("01 ff Fe", None, &[1, 0xFF, 0xFE][..]),
            (r#""READ\r\n""#, None, b"READ\r\n"),
            (r#"02 "A\x03\0\"\\\t" 0D"#, None, b"\x02A\x03\0\"\\\t\r"),
            (r#"02"°"03"#, None, &[2, 0xC2, 0xB0, 3]),
            // The example in most manuals: two registers of unit 1.
            (
                "01 03 00 00 00 02 {check}",
                Some(MODBUS),
                &[1, 3, 0, 0, 0, 2, 0xC4, 0x0B],
            ),
            // The worked example in ICP DAS I-7000 manuals, "checksum".
            (
                r#""$012" {check} 0D"#,
                Some(Check {
                    sum: Sum::Sum8,
                    written: CheckForm::Hex,
                    from: 0,
                }),
                b"$012B7\r",
            ),
        ] {
            let template = Template::parse(text, check);
            assert_eq!(template.as_ref().map(Template::bytes), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_request_says_why() {
        for (text, check, why) in [
            ("", None, "nothing to send"),
            (" \t", None, "nothing to send"),
            (
                "1",
                None,
                r#""1" is no byte in hexadecimal, text in quotes, or {check}"#,
            ),
            (
                "+1",
                None,
                r#""+1" is no byte in hexadecimal, text in quotes, or {check}"#,
            ),
            (
                "0103",
                None,
                r#""0103" is no byte in hexadecimal, text in quotes, or {check}"#,
            ),
            (r#""abc"#, None, "a text without its closing quote"),
            (r#""abc\"#, None, "a text without its closing quote"),
            (r#""\q""#, None, r"\q has no meaning"),
            (r#""\x1""#, None, r#"\x1" has no meaning"#),
            (r#""\x+1""#, None, r"\x+1 has no meaning"),
            ("01 {check}", None, "{check}, but no checksum"),
            (
                "01",
                Some(MODBUS),
                "a checksum, but not exactly one {check}",
            ),
            (
                "01 {check} {check}",
                Some(MODBUS),
                "a checksum, but not exactly one {check}",
            ),
            ("{check}", Some(MODBUS), "a checksum that covers nothing"),
            (
                r#"":1103" {check}"#,
                Some(Check {
                    sum: Sum::LrcAscii,
                    written: CheckForm::Hex,
                    from: 0,
                }),
                "a checksum of hexadecimal digits that covers other characters, or half a byte",
            ),
        ] {
            let got = Template::parse(text, check).unwrap_err();
            assert_eq!(got.to_string(), why, "{text}");
        }
        let long = "00 ".repeat(LONGEST + 1);
        assert_eq!(Template::parse(&long, None), Err(NotATemplate::TooLong));
    }

    /// The request of `01 06 00 05 00 09` in Modbus manuals: one register of unit 1.
    #[test]
    fn a_value_is_put_into_its_place_and_the_checksum_covers_it() {
        let template = Template::parse("01 06 00 05 {value} {check} 0D", Some(MODBUS)).unwrap();
        assert!(template.takes_value());
        let whole = |value: &str| {
            Template::parse(&format!("01 06 00 05 {value} {{check}} 0D"), Some(MODBUS))
        };
        for (value, hex) in [(&[0, 9][..], "00 09"), (&[], ""), (&[1, 2, 3], "01 02 03")] {
            let written = template.with(value).unwrap();
            assert_eq!(written.bytes(), whole(hex).unwrap().bytes());
            assert!(written.takes_value());
        }
        // In front of the value a checksum does not cover it.
        let early = Template::parse("01 {check} {value}", Some(MODBUS)).unwrap();
        assert_eq!(early.with(&[9]).unwrap().bytes(), [1, 0x7E, 0x80, 9]);
        assert_eq!(template.with(&[0; LONGEST]), Err(NotATemplate::TooLong));
        assert!(Template::parse("{value} {value}", None).is_err());
        assert!(
            whole("00").unwrap().with(&[1]).is_err(),
            "there is no place"
        );
        let digits = Check {
            sum: Sum::LrcAscii,
            written: CheckForm::Hex,
            from: 1,
        };
        let ascii = Template::parse(r#"":1103" {value} {check}"#, Some(digits)).unwrap();
        assert_eq!(ascii.with(b"006B0003").unwrap().bytes(), b":1103006B00037E");
        assert_eq!(ascii.with(b"xy"), Err(NotATemplate::NoDigits));
    }

    proptest! {
        #[test]
        fn every_byte_can_be_sent_in_both_ways(bytes in prop::collection::vec(any::<u8>(), 1..40)) {
            let hex = crate::base::text::hex(&bytes);
            let quoted: String = bytes.iter().map(|b| format!("\\x{b:02x}")).collect();
            for text in [hex, format!("\"{quoted}\"")] {
                let template = Template::parse(&text, None).unwrap();
                prop_assert_eq!(template.bytes(), &bytes[..]);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9a-f\"\\\\x{}checkvalu °]{0,30}") {
            let _ = Template::parse(&text, None);
            let _ = Template::parse(&text, Some(MODBUS));
        }
    }
}
