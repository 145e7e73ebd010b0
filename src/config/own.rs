//! What of a device's own stands in the requests of a profile without a standard:
//! `{unit}` and `{address}`, in what is sent and in what is always in the reply.
//!
//! Each device gets requests of its own, filled in and with their checksums, so
//! that nothing further down knows of such places.

use std::sync::Arc;

use super::problem::Wrong;
use crate::spec::dlt645::Address;
use crate::spec::raw::template::NotATemplate;
use crate::spec::raw::{Check, Fixed, Question, Template};
use crate::spec::{ProfileSpec, Protocol};

/// Whose places are filled.
#[derive(Clone, Copy)]
pub(crate) struct Who {
    pub(crate) unit: u8,
    pub(crate) address: Option<Address>,
}

/// Stands in where a profile is looked at without a device.
pub(crate) const SAMPLE: Who = Who {
    unit: 1,
    address: None,
};

/// One question as it is written.
pub(crate) struct Pattern {
    pub(crate) send: String,
    pub(crate) check: Option<Check>,
    /// What is always in the reply, and where.
    pub(crate) fixed: Vec<(usize, String)>,
}

/// The questions of a profile as they are written, in their order.
#[derive(Default)]
pub(crate) struct Patterns {
    all: Vec<Pattern>,
}

impl Patterns {
    /// One more.
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

    /// Whether a device needs a unit.
    pub(crate) fn need_unit(&self) -> bool {
        self.mention("unit")
    }

    /// Whether a device needs an address.
    pub(crate) fn need_address(&self) -> bool {
        self.mention("address")
    }

    /// The profile as it is for this device.
    ///
    /// # Errors
    /// A request that is too long with what was filled in.
    pub(crate) fn of(
        &self,
        profile: &Arc<ProfileSpec>,
        who: Who,
    ) -> Result<Arc<ProfileSpec>, NotATemplate> {
        let Protocol::Raw(questions) = &profile.protocol else {
            return Ok(Arc::clone(profile));
        };
        if !self.need_unit() && !self.need_address() {
            return Ok(Arc::clone(profile));
        }
        let mut own = Vec::new();
        for (question, pattern) in questions.iter().zip(&self.all) {
            let mut filled = Question::clone(question);
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

/// Fills the places outside quotes; what is none of them stays, for
/// [`Template::parse`] to judge.
///
/// `{unit}` becomes its byte, `{unit:02}` its decimal digits with leading zeros,
/// `{unit:02X}` the same in hexadecimal; `{address}` becomes six bytes, the last
/// digits first, as in DL/T 645, and `{address:text}` its twelve digits.
pub(crate) fn fill(text: &str, who: Who) -> String {
    let mut out = String::new();
    for piece in pieces(text) {
        match piece {
            Piece::Plain(plain) => out.push_str(plain),
            Piece::Place(place) => match filled(place, who) {
                Some(bytes) => out.push_str(&bytes),
                None => out.push_str(&format!("{{{place}}}")),
            },
        }
    }
    out
}

fn mentions(text: &str, what: &str) -> bool {
    pieces(text).into_iter().any(|piece| match piece {
        Piece::Place(place) => place.split(':').next() == Some(what),
        Piece::Plain(_) => false,
    })
}

fn filled(place: &str, who: Who) -> Option<String> {
    let digits = || match who.address {
        Some(address) => address.to_string(),
        None => "0".repeat(12),
    };
    let unit = who.unit;
    match place {
        "unit" => return Some(format!(" {unit:02X} ")),
        "address:text" => return Some(format!("\"{}\"", digits())),
        "address" => {
            let digits = digits();
            let pairs = digits.as_bytes().rchunks(2);
            let bytes = pairs.map(|pair| String::from_utf8_lossy(pair).into_owned());
            return Some(format!(" {} ", bytes.collect::<Vec<_>>().join(" ")));
        }
        _ => {}
    }
    let form = place.strip_prefix("unit:0")?;
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

enum Piece<'a> {
    Plain(&'a str),
    /// What stands between braces outside quotes.
    Place(&'a str),
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
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
                    found.push(Piece::Place(&text[start + 1..at]));
                    from = at + 1;
                }
            }
            _ => {}
        }
    }
    found.push(Piece::Plain(&text[from..]));
    found
}

/// Bytes as a request is written.
pub(crate) fn bytes(text: &str) -> Result<Vec<u8>, Wrong> {
    match Template::parse(text, None) {
        Ok(template) => Ok(template.bytes().to_vec()),
        Err(why) => Err(Wrong::wanted("bytes in hexadecimal, or \"text\"").hint(why.to_string())),
    }
}

/// The same with places for what is a device's own, filled in as an example and
/// as they are written.
pub(crate) fn own_bytes(text: &str) -> Result<(Vec<u8>, String), Wrong> {
    let example = bytes(&fill(text, SAMPLE))?;
    Ok((example, text.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::spec::raw::check::Written;
    use crate::spec::raw::{End, Shape, Sum};

    #[test]
    fn a_device_brings_its_unit_and_its_address_into_a_request() {
        let address = Address::parse("123456789012").ok();
        let who = Who { unit: 10, address };
        for (text, bytes) in [
            (r##""#" {unit:02X} "R""##, &b"#0AR"[..]),
            (r##""#"{unit:03}"R""##, b"#010R"),
            ("{unit} 03", &[10, 3]),
            (r#""{unit}\"{unit}""#, b"{unit}\"{unit}"),
            ("68 {address} 68", b"\x68\x12\x90\x78\x56\x34\x12\x68"),
            ("{address:text}", b"123456789012"),
        ] {
            let template = Template::parse(&fill(text, who), None);
            assert_eq!(template.as_ref().map(Template::bytes), Ok(bytes), "{text}");
        }
        for strange in ["{unit:2}", "{units}", "{unit:0x}", "{unit", "unit}"] {
            assert_eq!(fill(strange, who), strange);
        }
    }

    /// ICP DAS writes the address in two hexadecimal characters, and sums it up.
    #[test]
    fn each_device_is_asked_for_itself_with_a_checksum_of_its_own() {
        let check = Some(Check {
            sum: Sum::Sum8,
            written: Written::Hex,
            from: 0,
        });
        let pattern = Pattern {
            send: r##""#" {unit:02X} {check} 0D"##.into(),
            check,
            fixed: vec![(0, r#"">" {unit:02X}"#.into())],
        };
        let example = fill(&pattern.send, SAMPLE);
        let question = Question {
            name: "weight".into(),
            request: Template::parse(&example, check).unwrap(),
            reply: Shape {
                end: End::Terminator(vec![13]),
                fixed: Vec::new(),
                check: None,
                behind_check: 0,
            },
        };
        let profile = Arc::new(ProfileSpec {
            name: "scale".into(),
            points: Vec::new(),
            max_registers: 125,
            reads: Default::default(),
            protocol: Protocol::Raw(vec![Arc::new(question)]),
        });
        let patterns = Patterns { all: vec![pattern] };
        assert!(patterns.need_unit() && !patterns.need_address());
        for (unit, request, reply) in [(1, b"#0184\r", b">01"), (171, b"#ABA6\r", b">AB")] {
            let address = None;
            let own = patterns.of(&profile, Who { unit, address }).unwrap();
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
            let _ = fill(&text, SAMPLE);
            let quoted = format!("\"{}\"", text.replace(['"', '\\'], ""));
            prop_assert_eq!(fill(&quoted, SAMPLE), quoted);
        }
    }
}
