//! The keys that add to a number: parts, bits, markers, limits, titles, and a factor from another
//! register.

use super::codec::{Refined, factor, half, halved, whole_number};
use super::titles::states;
use super::value_defaults::ValueDefaults;
use super::{limits, sign};
use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section, shown};
use crate::config::reader::tree::{Node, NodeContent, OriginId};
use crate::config::reader::word_parsers::{decimal, identifier, whole};
use crate::spec::{Bits, Decimal, Digits, Marker, Measure, Number, NumberType, Part, Sign};

/// Where the power of ten of a number stands.
pub(crate) enum ScaleFrom {
    /// In the register with this address.
    Address(u16),
    /// In the register of the point with this id.
    Point(String),
}

/// A measure whose addresses are not yet counted from the address of its point.
pub(crate) struct MeasureDraft {
    pub(crate) measure: Measure,
    /// The parts by their addresses; empty if the number is only at the point's address.
    pub(crate) parts: Vec<(u16, Part)>,
    pub(crate) scale_from: Option<(ScaleFrom, OriginId)>,
    /// The address of the register with the sign.
    pub(crate) sign_from: Option<u16>,
}

impl MeasureDraft {
    /// Returns whether the draft says nothing beyond a plain number.
    pub(crate) fn is_plain(&self) -> bool {
        let m = &self.measure;
        self.parts.is_empty()
            && self.scale_from.is_none()
            && m.bits.is_none()
            && m.invalid.is_empty()
            && m.round.is_none()
            && m.min.is_none()
            && m.max.is_none()
            && m.states.is_none()
            && m.sign.is_none()
            && m.number_type.is_none()
    }
}

/// Reads the keys beside a number of this kind.
pub(crate) fn read(
    s: &Section<'_>,
    refined: &Refined,
    kind: Number,
    given: ValueDefaults,
    notes: &mut Notes,
) -> MeasureDraft {
    let bits = bits(s, kind, notes);
    let sign = sign::read(s, kind, notes);
    let mut measure = Measure {
        words: refined.words,
        bytes: refined.bytes,
        scale: refined.scale,
        offset: refined.offset,
        bits,
        sign: sign.map(|found| found.sign),
        invalid: invalid(s, kind, bits, sign.map(|found| found.sign), notes),
        ..Measure::of(kind)
    };
    measure.round = s.read("round", whole(0..=9u8), notes);
    measure.min = s.read("min", decimal, notes);
    measure.max = s.read("max", decimal, notes);
    measure.states = states(s, notes);
    unscaled(s, notes);
    let parts = match kind.digits() {
        Digits::Floating => Vec::new(),
        Digits::Unsigned | Digits::Signed | Digits::Decimal => parts(s, kind, notes),
    };
    let scale_from = s
        .read("scale_from", scale_from, notes)
        .map(|from| (from, s.at("scale_from")));
    if let (Some((ScaleFrom::Address(_), _)), Some(node)) = (&scale_from, s.node("scale_from")) {
        notes.quoted_number(node);
    }
    let fractions = scale_from.is_some() || parts.iter().any(|(_, p)| !p.weight.is_whole());
    let of = match measure.number_type() {
        NumberType::Int if fractions && measure.round.is_none() => NumberType::Double,
        of => of,
    };
    measure.number_type = given.number(s, of, notes);
    limits::check(s, &measure, parts.is_empty() && scale_from.is_none(), notes);
    MeasureDraft {
        measure,
        parts,
        scale_from,
        sign_from: sign.and_then(|found| found.address),
    }
}

fn bits(s: &Section<'_>, kind: Number, notes: &mut Notes) -> Option<Bits> {
    let last = kind.bits() - 1;
    let binary = matches!(kind.digits(), Digits::Unsigned | Digits::Signed);
    let range = match binary {
        true => s.read("bits", |text| bit_range(text, last), notes),
        false => None,
    };
    let mask = match kind.digits() {
        Digits::Unsigned => s.read("mask", whole(1..=ones(kind.bits())), notes),
        _ => None,
    };
    if s.node("bits").is_some() && s.node("mask").is_some() && kind.digits() == Digits::Unsigned {
        notes.error(
            s.at("mask"),
            "mask with bits",
            Expectation::wanted("either bits or mask")
                .hint("bits moves what it picks down to bit 0, mask leaves it where it is"),
        );
    }
    match (range, mask) {
        (Some((first, last)), _) => Some(Bits::Range(first, last)),
        (None, mask) => mask.map(Bits::Mask),
    }
}

/// Parses `4..7`, both included.
fn bit_range(text: &str, highest: u8) -> Result<(u8, u8), Expectation> {
    let wanted = || {
        Expectation::wanted(format!(
            "the first and the last bit, like 4..7, within 0..{highest}"
        ))
        .hint("bit 0 is the least significant; both are included")
    };
    let (first, last) = text.split_once("..").ok_or_else(wanted)?;
    let bit = |text: &str| whole(0..=highest)(text.trim()).map_err(|_| wanted());
    match (bit(first)?, bit(last)?) {
        (first, last) if first <= last => Ok((first, last)),
        (first, last) => Err(wanted().hint(format!("the smaller comes first: {last}..{first}"))),
    }
}

const fn ones(bits: u8) -> u64 {
    match bits {
        64.. => u64::MAX,
        _ => (1 << bits) - 1,
    }
}

/// Reads a marker or a list of markers.
fn invalid(
    s: &Section<'_>,
    kind: Number,
    bits: Option<Bits>,
    sign: Option<Sign>,
    notes: &mut Notes,
) -> Vec<Marker> {
    let signed = sign == Some(Sign::HighestBit);
    let mut found = Vec::new();
    let nodes = match s.node("invalid").map(|n| &n.is) {
        None => return found,
        Some(NodeContent::List(list)) => {
            if list.is_empty() {
                let wrong = Expectation::wanted("at least one number, or no invalid at all");
                notes.error(s.at("invalid"), "an empty list", wrong);
            }
            list.iter().collect()
        }
        Some(_) => s.node("invalid").into_iter().collect::<Vec<_>>(),
    };
    for node in nodes {
        let parsed = match &node.is {
            NodeContent::Text(text) => {
                marker(text, kind, bits, signed).map_err(|wrong| (shown(text), wrong))
            }
            other => {
                let wrong = Expectation::wanted("what the registers hold when there is no value");
                Err((other.kind().to_owned(), wrong))
            }
        };
        match parsed {
            Ok(_) if notes.quoted_number(node) => {}
            Ok(marker) => found.push(marker),
            Err((said, wrong)) => notes.error(node.origin, said, wrong),
        }
    }
    found
}

/// Parses a marker: `0x7FFF` is the content of the registers; any other number is their value
/// before scaling.
fn marker(
    text: &str,
    kind: Number,
    bits: Option<Bits>,
    signed: bool,
) -> Result<Marker, Expectation> {
    let size = match bits {
        Some(Bits::Range(first, last)) => last - first + 1,
        Some(Bits::Mask(_)) | None => kind.bits(),
    };
    let most = ones(size);
    if text.starts_with("0x") {
        let bits = whole(0..=most)(text)
            .map_err(|_| Expectation::wanted(format!("0x0 to {most:#X}, or a number")))?;
        return Ok(Marker::Bits(bits));
    }
    let number = decimal(text)?;
    let (least, most) = match kind.digits() {
        Digits::Floating => return Ok(Marker::Number(number)),
        Digits::Unsigned | Digits::Signed if signed => {
            (-i128::from(most / 2), i128::from(most / 2))
        }
        Digits::Decimal if signed => {
            let most = 8 * 10i128.pow(u32::from(size / 4 - 1)) - 1;
            (-most, most)
        }
        Digits::Unsigned => (0, i128::from(most)),
        Digits::Signed => (-i128::from(most / 2) - 1, i128::from(most / 2)),
        Digits::Decimal => (0, 10i128.pow(u32::from(size / 4)) - 1),
    };
    if number.places == 0 && (least..=most).contains(&number.digits) {
        return Ok(Marker::Number(number));
    }
    Err(Expectation::wanted(format!(
        "a whole number, {least} to {most}, or its bits as 0x…"
    ))
    .hint("invalid is what the registers hold, before scale and offset"))
}

/// Notes keys that scale or limit a number with titles: `values:` names the numbers as they stand
/// in the registers.
fn unscaled(s: &Section<'_>, notes: &mut Notes) {
    if !matches!(s.node("values").map(|n| &n.is), Some(NodeContent::Map(_))) {
        return;
    }
    for key in ["scale", "offset", "scale_from", "round", "min", "max"] {
        if s.node(key).is_some() {
            notes.error(
                s.at(key),
                format!("{key} with values"),
                Expectation::wanted(format!("no {key} here"))
                    .hint("values: gives titles to the numbers as they are in the registers; any other number is no value"),
            );
        }
    }
}

const PART_KEYS: [&str; 4] = ["address", "type", "half", "weight"];

fn parts(s: &Section<'_>, kind: Number, notes: &mut Notes) -> Vec<(u16, Part)> {
    let list = s.list("parts", notes);
    if s.node("parts").is_some() && !s.is_no_list("parts") && list.len() < 2 {
        let wrong =
            Expectation::wanted("at least two parts").hint("one alone is address: and type:");
        let said = match list {
            [] => "an empty list",
            _ => "a single part",
        };
        notes.error(s.at("parts"), said, wrong);
    }
    for key in ["address", "bits", "mask"] {
        if s.node("parts").is_some() && s.node(key).is_some() {
            notes.error(
                s.at(key),
                format!("{key} with parts"),
                Expectation::wanted(format!("either {key} or parts"))
                    .hint("each part has its own address"),
            );
        }
    }
    list.iter()
        .filter_map(|node| part(node, kind, notes))
        .collect()
}

fn part(node: &Node, kind: Number, notes: &mut Notes) -> Option<(u16, Part)> {
    let s = Section::open(node, &PART_KEYS, notes);
    if !s.is_there() {
        return None;
    }
    let address = s.need(
        "address",
        whole(0..=65535u16),
        || Expectation::wanted("the 0-based address, 0 to 65535"),
        notes,
    );
    let kind = s.read("type", whole_number, notes).unwrap_or(kind);
    let half = s.read("half", half, notes);
    if half.is_some() && kind.half().is_none() {
        let wrong = Expectation::wanted("no half here").hint("half: is for u8, i8 and bcd8");
        notes.error(s.at("half"), "half with a whole register", wrong);
    }
    let part = Part {
        at: 0,
        kind: halved(kind, half),
        weight: s.read("weight", factor, notes).unwrap_or(Decimal::ONE),
    };
    Some((address?, part))
}

/// Parses an address, or the id of a point: an id does not begin with a digit.
fn scale_from(text: &str) -> Result<ScaleFrom, Expectation> {
    let wanted = "the id of the point, or the address of the register, that holds the power of ten";
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return whole(0..=65535u16)(text)
            .map(ScaleFrom::Address)
            .map_err(|_| Expectation::wanted(wanted).hint("an address is 0 to 65535"));
    }
    identifier(text)
        .map(ScaleFrom::Point)
        .map_err(|_| Expectation::wanted(wanted))
}
