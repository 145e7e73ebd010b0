//! The parts of a request that differ from device to device, in a profile without a standard:
//! `{unit}` and `{address}`, in the bytes that are sent and in those that are always in the
//! reply.
//!
//! Each device gets requests of its own, filled in and with their checksums, so that no later
//! stage has to know of placeholders.

use std::sync::Arc;

use crate::base::UnitId;
use crate::config::reader::problem::Expectation;
use crate::spec::raw::check;
use crate::spec::raw::template::NotATemplate;
use crate::spec::raw::{Check, Fixed, RawQuestion, ReplyEnd, Template};
use crate::spec::{ProfileSpec, Protocol};

/// The device whose values are filled in.
#[derive(Clone, Copy)]
pub(crate) struct PlaceholderDevice<'a> {
    pub(crate) unit: u8,
    /// The digits of the address: as many as the addresses of the profile have.
    pub(crate) address: &'a str,
    /// Whether the device is polled in frames of Modbus TCP.
    pub(crate) carried: bool,
}

/// The default for the number of digits of an address: that of DL/T 645.
pub(crate) const DIGITS: usize = 12;

/// The most digits that an address has.
pub(crate) const MOST_DIGITS: usize = 32;

/// Returns a stand-in for the device where a profile is checked without a device.
pub(crate) fn sample(zeros: &str) -> PlaceholderDevice<'_> {
    PlaceholderDevice {
        unit: 1,
        address: zeros,
        carried: false,
    }
}

/// One question as it is written in the configuration.
pub(crate) struct Pattern {
    pub(crate) send: String,
    pub(crate) check: Option<Check>,
    /// The bytes that are always in the reply, and their positions.
    pub(crate) fixed: Vec<(usize, String)>,
}

/// The questions of a profile as they are written, in their order.
#[derive(Default)]
pub(crate) struct Patterns {
    all: Vec<Pattern>,
    digits: usize,
}

impl Patterns {
    /// Returns an empty list, for a profile whose devices have addresses of so many digits.
    pub(crate) const fn with_addresses_of(digits: usize) -> Patterns {
        Patterns {
            all: Vec::new(),
            digits,
        }
    }

    /// Returns how many digits the address of a device has.
    pub(crate) const fn digits(&self) -> usize {
        self.digits
    }

    /// Returns whether all bytes that are known, in either direction, are characters of seven
    /// bits, whatever unit and address are.
    pub(crate) fn fit_seven_bits(&self, profile: &Arc<ProfileSpec>) -> bool {
        let who = PlaceholderDevice {
            unit: u8::MAX,
            address: &"9".repeat(self.digits),
            carried: false,
        };
        let Ok(filled) = self.of(profile, who) else {
            return false;
        };
        let Protocol::Raw(questions) = &filled.protocol else {
            return false;
        };
        questions.iter().all(|question| {
            let reply = &question.reply;
            let fixed = reply.fixed.iter().flat_map(|f| &f.bytes);
            let end = match &reply.end {
                ReplyEnd::Terminator(bytes) => bytes.as_slice(),
                ReplyEnd::Length(_) | ReplyEnd::Silence(_) | ReplyEnd::Frame => &[],
            };
            let mut bytes = question.request.bytes().iter().chain(fixed).chain(end);
            let as_text = |check: &Option<Check>| {
                check.is_none_or(|check| matches!(check.written, check::CheckForm::Hex))
            };
            bytes.all(u8::is_ascii)
                && as_text(&reply.check)
                && self.all.iter().all(|pattern| as_text(&pattern.check))
        })
    }

    /// Adds a question.
    pub(crate) fn push(&mut self, pattern: Pattern) {
        self.all.push(pattern);
    }

    fn mention(&self, what: &str) -> bool {
        let texts = self.all.iter().flat_map(|p| {
            let fixed = p.fixed.iter().map(|(_, text)| text);
            std::iter::once(&p.send).chain(fixed)
        });
        texts.into_iter().any(|text| mentions(text, what))
    }

    /// Returns whether a device needs a unit.
    pub(crate) fn need_unit(&self) -> bool {
        self.mention("unit")
    }

    /// Returns whether a device needs an address.
    pub(crate) fn need_address(&self) -> bool {
        self.mention("address")
    }

    /// Returns the profile with the requests of this device.
    ///
    /// # Errors
    /// A request that is too long with the values that were filled in.
    pub(crate) fn of(
        &self,
        profile: &Arc<ProfileSpec>,
        who: PlaceholderDevice<'_>,
    ) -> Result<Arc<ProfileSpec>, NotATemplate> {
        let Protocol::Raw(questions) = &profile.protocol else {
            return Ok(Arc::clone(profile));
        };
        if !self.need_unit() && !self.need_address() && !who.carried {
            return Ok(Arc::clone(profile));
        }
        let mut own = Vec::new();
        for (question, pattern) in questions.iter().zip(&self.all) {
            let mut filled = RawQuestion::clone(question);
            filled.carried = who.carried.then_some(UnitId(who.unit));
            filled.request = Template::parse(&fill(&pattern.send, who), pattern.check)?;
            filled.reply.fixed.clear();
            for (at, text) in &pattern.fixed {
                let bytes = Template::parse(&fill(text, who), None)?.bytes().to_vec();
                filled.reply.fixed.push(Fixed { at: *at, bytes });
            }
            own.push(Arc::new(filled));
        }
        Ok(Arc::new(ProfileSpec {
            protocol: Protocol::Raw(own),
            ..ProfileSpec::clone(profile)
        }))
    }
}

/// Fills the placeholders outside quotes. Braces with another content stay, for
/// [`Template::parse`] to check.
///
/// `{unit}` becomes its byte, `{unit:02}` its decimal digits with leading zeros,
/// `{unit:02X}` the same in hexadecimal; `{address}` becomes bytes of two digits
/// each, the last digits first, as in DL/T 645 and CJ/T 188, `{address:high}` the
/// same with the first digits first, and `{address:text}` its digits.
pub(crate) fn fill(text: &str, who: PlaceholderDevice<'_>) -> String {
    let mut out = String::new();
    for piece in pieces(text) {
        match piece {
            Piece::Plain(plain) => out.push_str(plain),
            Piece::Placeholder(name) => match filled(name, who) {
                Some(bytes) => out.push_str(&bytes),
                None => out.push_str(&format!("{{{name}}}")),
            },
        }
    }
    out
}

fn mentions(text: &str, what: &str) -> bool {
    pieces(text).into_iter().any(|piece| match piece {
        Piece::Placeholder(name) => name.split(':').next() == Some(what),
        Piece::Plain(_) => false,
    })
}

fn filled(name: &str, who: PlaceholderDevice<'_>) -> Option<String> {
    let unit = who.unit;
    match name {
        // How it is written is said in the configuration; that it is written, in the request.
        "value" => return Some(" {value} ".into()),
        _ if name.starts_with("value:") => return Some(" {value} ".into()),
        "unit" => return Some(format!(" {unit:02X} ")),
        "address:text" => return Some(format!("\"{}\"", who.address)),
        "address" | "address:high" => {
            let pairs = who.address.as_bytes().rchunks(2);
            let bytes = pairs.map(|pair| format!("{:0>2}", String::from_utf8_lossy(pair)));
            let mut bytes: Vec<String> = bytes.collect();
            if name == "address:high" {
                bytes.reverse();
            }
            return Some(format!(" {} ", bytes.join(" ")));
        }
        _ => {}
    }
    let form = name.strip_prefix("unit:0")?;
    let (width, hex) = match form.strip_suffix('X') {
        Some(width) => (width, true),
        None => (form, false),
    };
    let width: usize = width.parse().ok().filter(|w| (1..=9).contains(w))?;
    Some(match hex {
        true => format!("\"{unit:0width$X}\""),
        false => format!("\"{unit:0width$}\""),
    })
}

/// A piece of a request, as it is written.
pub(crate) enum Piece<'a> {
    /// Anything else.
    Plain(&'a str),
    /// The text between braces outside quotes.
    Placeholder(&'a str),
}

/// Takes a request apart.
pub(crate) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let (mut quoted, mut escaped, mut from) = (false, false, 0);
    let mut open = None;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => {
                quoted = !quoted;
                open = None;
            }
            '{' if !quoted => open = Some(at),
            '}' if !quoted => {
                if let Some(start) = open.take() {
                    found.push(Piece::Plain(&text[from..start]));
                    found.push(Piece::Placeholder(&text[start + 1..at]));
                    from = at + 1;
                }
            }
            _ => {}
        }
    }
    found.push(Piece::Plain(&text[from..]));
    found
}

/// Parses bytes as a request is written.
pub(crate) fn bytes(text: &str) -> Result<Vec<u8>, Expectation> {
    match Template::parse(text, None) {
        Ok(template) => Ok(template.bytes().to_vec()),
        Err(why) => {
            Err(Expectation::wanted("bytes in hexadecimal, or \"text\"").hint(why.to_string()))
        }
    }
}

/// Parses bytes with placeholders; returns them filled in as an example, and as they are written.
pub(crate) fn own_bytes(zeros: &str) -> impl Fn(&str) -> Result<(Vec<u8>, String), Expectation> {
    move |text| {
        let example = bytes(&fill(text, sample(zeros)))?;
        Ok((example, text.to_owned()))
    }
}

/// Parses the address of a device of the profile: so many digits.
pub(crate) fn address(digits: usize) -> impl Fn(&str) -> Result<String, Expectation> {
    move |text| {
        let fits = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
        if fits {
            return Ok(text.to_owned());
        }
        let example = "0".repeat(digits.saturating_sub(6)) + "123456";
        let example = &example[example.len() - digits.min(example.len())..];
        Err(wanted_address(digits).hint(format!(
            "with all leading zeros, like address: \"{example}\""
        )))
    }
}

/// Returns the requirement for the address of a device of the profile.
pub(crate) fn wanted_address(digits: usize) -> Expectation {
    Expectation::wanted(match digits {
        DIGITS => "the twelve digits printed on the meter".to_owned(),
        1 => "the digit of its address".to_owned(),
        n => format!("the {n} digits of its address"),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::spec::raw::{ReplyMarks, Sum};

    #[test]
    fn a_device_brings_its_unit_and_its_address_into_a_request() {
        let who = |address| PlaceholderDevice {
            unit: 10,
            address,
            carried: false,
        };
        for (text, bytes) in [
            (r##""#" {unit:02X} "R""##, &b"#0AR"[..]),
            (r##""#"{unit:03}"R""##, b"#010R"),
            ("{unit} 03", &[10, 3]),
            (r#""{unit}\"{unit}""#, b"{unit}\"{unit}"),
            ("68 {address} 68", b"\x68\x12\x90\x78\x56\x34\x12\x68"),
            ("{address:text}", b"123456789012"),
        ] {
            let template = Template::parse(&fill(text, who("123456789012")), None);
            assert_eq!(template.as_ref().map(Template::bytes), Ok(bytes), "{text}");
        }
        // Fourteen digits are seven bytes, and an odd number of digits is filled up.
        for (text, address, is) in [
            ("{address}", "12345678901234", " 34 12 90 78 56 34 12 "),
            ("{address:high}", "12345678901234", " 12 34 56 78 90 12 34 "),
            ("{address:text}", "12345678901234", "\"12345678901234\""),
            ("{address}", "12345", " 45 23 01 "),
        ] {
            assert_eq!(fill(text, who(address)), is, "{text}");
        }
        for strange in [
            "{unit:2}",
            "{units}",
            "{unit:0x}",
            "{unit",
            "unit}",
            "{address:low}",
        ] {
            assert_eq!(fill(strange, who("1")), strange);
        }
    }

    /// ICP DAS writes the address in two hexadecimal characters, and includes it in the checksum.
    #[test]
    fn each_device_is_asked_for_itself_with_a_checksum_of_its_own() {
        let check = Some(Check {
            sum: Sum::Sum8,
            written: check::CheckForm::Hex,
            from: 0,
        });
        let pattern = Pattern {
            send: r##""#" {unit:02X} {check} 0D"##.into(),
            check,
            fixed: vec![(0, r#"">" {unit:02X}"#.into())],
        };
        let example = fill(&pattern.send, sample(""));
        let question = RawQuestion {
            name: "weight".into(),
            request: Template::parse(&example, check).unwrap(),
            reply: ReplyMarks {
                end: ReplyEnd::Terminator(vec![13]),
                fixed: Vec::new(),
                check: None,
                behind_check: 0,
                preamble: None,
            },
            carried: None,
        };
        let profile = Arc::new(ProfileSpec {
            name: "scale".into(),
            points: Vec::new(),
            max_registers: 125,
            reads: Default::default(),
            writes: Default::default(),
            services: Vec::new(),
            events: Vec::new(),
            about: Default::default(),
            protocol: Protocol::Raw(vec![Arc::new(question)]),
        });
        let mut patterns = Patterns::with_addresses_of(DIGITS);
        patterns.push(pattern);
        assert!(patterns.fit_seven_bits(&profile));
        assert!(patterns.need_unit() && !patterns.need_address());
        for (unit, request, reply) in [(1, b"#0184\r", b">01"), (171, b"#ABA6\r", b">AB")] {
            let who = PlaceholderDevice {
                unit,
                address: "",
                carried: false,
            };
            let own = patterns.of(&profile, who).unwrap();
            let Protocol::Raw(questions) = &own.protocol else {
                panic!("{own:?}");
            };
            assert_eq!(questions[0].request.bytes(), request);
            assert_eq!(questions[0].reply.fixed[0].bytes, reply);
        }
    }

    proptest! {
        #[test]
        fn nothing_in_quotes_is_touched_and_nothing_panics(text in "[a-z{}:\"\\\\ 0X°]{0,20}") {
            let _ = fill(&text, sample("12"));
            let quoted = format!("\"{}\"", text.replace(['"', '\\'], ""));
            prop_assert_eq!(fill(&quoted, sample("12")), quoted);
        }
    }
}
