//! `identify:`: what tells a kind of Modbus device from others, by reading only.

use crate::base::text::{counted, is_display_control};
use crate::config::points::point::TABLES;
use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section, shown};
use crate::config::reader::tree::{Node, NodeContent};
use crate::config::reader::word_parsers::{choice, whole};
use crate::spec::{
    Accepts, Certainty, Identification, IdentifyBy, IdentifyTest, NumberRange, Table,
};

const KEYS: [&str; 10] = [
    "table",
    "address",
    "registers",
    "value",
    "text",
    "object",
    "sunspec",
    "at",
    "models",
    "certainty",
];

/// The most tests of a profile.
const MOST: usize = 16;

/// The most values, texts or models of a test.
const MOST_VALUES: usize = 64;

/// The values of `certainty:`.
const CERTAINTIES: [(&str, Certainty); 3] = [
    ("sure", Certainty::Sure),
    ("likely", Certainty::Likely),
    ("weak", Certainty::Weak),
];

const WHAT: &str =
    "table and address with value or text, or object with text, or sunspec with at and models";

/// Reads the tests of a profile.
pub(crate) fn read(profile: &Section<'_>, notes: &mut Notes) -> Identification {
    let list = profile.list("identify", notes);
    if list.len() > MOST {
        let said = counted(list.len(), "test");
        let wrong = Expectation::wanted(format!("at most {MOST}"));
        notes.error(profile.at("identify"), said, wrong);
    }
    let list = list.iter().take(MOST);
    Identification {
        tests: list.filter_map(|node| test(node, notes)).collect(),
    }
}

fn test(node: &Node, notes: &mut Notes) -> Option<IdentifyTest> {
    let s = Section::open(node, &KEYS, notes);
    if !s.is_there() {
        return None;
    }
    let certainty = s.read("certainty", choice(&CERTAINTIES), notes);
    let ways = ["table", "object", "sunspec"].map(|key| s.node(key).is_some());
    let what = match ways {
        [true, false, false] => register(&s, notes),
        [false, true, false] => device_id(&s, notes),
        [false, false, true] => sunspec(&s, notes),
        _ => {
            notes.error(s.origin, "a test", Expectation::wanted(WHAT));
            None
        }
    };
    Some(IdentifyTest {
        what: what?,
        certainty: certainty.unwrap_or_default(),
    })
}

/// Notes keys that belong to another kind of test.
fn only(s: &Section<'_>, allowed: &[&str], notes: &mut Notes) {
    for key in KEYS {
        if s.node(key).is_some() && !allowed.contains(&key) && key != "certainty" {
            let wrong = Expectation::wanted(format!("no {key} in this test")).hint(WHAT);
            notes.error(s.at(key), key, wrong);
        }
    }
}

fn register(s: &Section<'_>, notes: &mut Notes) -> Option<IdentifyBy> {
    only(
        s,
        &["table", "address", "registers", "value", "text"],
        notes,
    );
    let table = s.read("table", choice(&TABLES), notes);
    let address = s.need(
        "address",
        whole(0..=u16::MAX),
        || Expectation::wanted("the 0-based address, 0 to 65535"),
        notes,
    );
    let is_text = s.node("text").is_some();
    if is_text == s.node("value").is_some() {
        let wrong = Expectation::wanted("either value or text");
        notes.error(s.origin, "a test", wrong);
        return None;
    }
    let most = match (table, is_text) {
        (Some(Table::Coil | Table::DiscreteInput), _) => 1,
        (_, true) => 32,
        (_, false) => 4,
    };
    let count = match s.node("registers") {
        Some(_) => s.read("registers", whole(1..=most), notes)?,
        None => 1,
    };
    let (table, address) = (table?, address?);
    if u32::from(address) + u32::from(count) > 0x1_0000 {
        let wrong = Expectation::wanted("registers up to 65535");
        notes.error(s.at("address"), address.to_string(), wrong);
        return None;
    }
    let accepts = match is_text {
        true if table.is_bits() => {
            let wrong = Expectation::wanted("value: 0 or value: 1").hint("a bit has no text");
            notes.error(s.at("text"), "text", wrong);
            return None;
        }
        true => Accepts::Text(each(s, "text", text, notes)?),
        false => {
            let most = match table.is_bits() {
                true => 1,
                false => u64::MAX >> (64 - 16 * u32::from(count)),
            };
            Accepts::Numbers(each(s, "value", |text| range(text, most), notes)?)
        }
    };
    Some(IdentifyBy::Register {
        table,
        address,
        count,
        accepts,
    })
}

fn device_id(s: &Section<'_>, notes: &mut Notes) -> Option<IdentifyBy> {
    only(s, &["object", "text"], notes);
    let object = s.read("object", object, notes);
    if s.node("text").is_none() {
        s.lacks("text", Expectation::wanted("what is in the object"), notes);
    }
    let text = each(s, "text", text, notes);
    Some(IdentifyBy::DeviceId {
        object: object?,
        text: text?,
    })
}

/// Parses the number of an object of the device identification.
fn object(text: &str) -> Result<u8, Expectation> {
    let wanted = "0 to 6, or 128 to 255: an object of Read Device Identification";
    let number = whole(0..=u8::MAX)(text).ok();
    number
        .filter(|n| !(7..128).contains(n))
        .ok_or_else(|| Expectation::wanted(wanted))
}

fn sunspec(s: &Section<'_>, notes: &mut Notes) -> Option<IdentifyBy> {
    only(s, &["sunspec", "at", "models"], notes);
    let base = s.read("sunspec", whole(0..=u16::MAX - 1), notes);
    let at = s.need(
        "at",
        whole(0..=u16::MAX),
        || Expectation::wanted("where the number of the model stands, 0 to 65535"),
        notes,
    );
    if s.node("models").is_none() {
        s.lacks(
            "models",
            Expectation::wanted("the numbers of the models"),
            notes,
        );
    }
    let models = each(s, "models", whole(1..=u16::MAX - 1), notes);
    Some(IdentifyBy::SunSpec {
        base: base?,
        at: at?,
        models: models?,
    })
}

/// Reads a value, or a list of them.
fn each<T>(
    s: &Section<'_>,
    key: &str,
    parse: impl Fn(&str) -> Result<T, Expectation>,
    notes: &mut Notes,
) -> Option<Vec<T>> {
    let node = s.node(key)?;
    let NodeContent::List(_) = &node.is else {
        return s.read(key, parse, notes).map(|one| vec![one]);
    };
    let mut all = Vec::new();
    for entry in s.few(key, MOST_VALUES, notes) {
        let NodeContent::Text(text) = &entry.is else {
            let wrong = Expectation::wanted("a single value");
            notes.error(entry.origin, entry.is.kind(), wrong);
            continue;
        };
        match parse(text) {
            Ok(value) => all.push(value),
            Err(wrong) => notes.error(entry.origin, shown(text), wrong),
        }
    }
    if all.is_empty() && s.few(key, MOST_VALUES, notes).is_empty() {
        let wrong = Expectation::wanted("at least one value");
        notes.error(node.origin, "an empty list", wrong);
    }
    Some(all).filter(|all| !all.is_empty())
}

/// Parses `7` or `5-9`, up to `most`.
fn range(text: &str, most: u64) -> Result<NumberRange, Expectation> {
    let wanted = || {
        Expectation::wanted(format!(
            "a number without a sign, or a range of them like 5-9, 0 to {most}"
        ))
    };
    let number = whole(0..=most);
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (number(first.trim()), number(last.trim())) {
        (Ok(first), Ok(last)) if first <= last => Ok(NumberRange { first, last }),
        (Ok(_), Ok(_)) => Err(wanted().hint("the lower number comes first")),
        _ => Err(wanted()),
    }
}

fn text(text: &str) -> Result<String, Expectation> {
    let fits = (1..=64).contains(&text.len()) && !text.chars().any(is_display_control);
    match fits {
        true => Ok(text.to_owned()),
        false => Err(Expectation::wanted("a text of 1 to 64 characters")),
    }
}
