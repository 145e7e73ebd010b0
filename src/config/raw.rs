//! Profiles with `protocol: raw`: devices without a standard. What to send, what
//! comes back, and where in it the values stand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::codec::factor;
use super::given::Given;
use super::measure;
use super::near;
use super::own::{self, Pattern, Patterns, bytes, own_bytes};
use super::problem::Wrong;
use super::room;
use super::section::{Notes, Section, shown};
use super::sum::check;
use super::times::Times;
use super::tree::OriginId;
use super::word::{choice, decimal, identifier, name, time, whole};
use crate::spec::raw::part::{Kind, Number, Order, Part, Span};
use crate::spec::raw::reply::LONGEST;
use crate::spec::raw::{End, Fixed, Question, Shape, Template};
use crate::spec::{Codec, Decimal, Encoding, PointSpec, Shown, Table};

/// As many as one byte can count.
const MOST: usize = 255;

/// Reads `requests:`, as they are and as they are written; and the names of those
/// that are wrong.
pub(crate) fn requests(
    profile: &Section<'_>,
    notes: &mut Notes,
) -> (Vec<Arc<Question>>, Patterns, BTreeSet<String>) {
    let mut all: Vec<Arc<Question>> = Vec::new();
    let mut patterns = Patterns::default();
    let mut wrong_ones = BTreeSet::new();
    for node in profile.list("requests", notes) {
        let s = Section::open(node, &["name", "send", "check", "reply"], notes);
        if !s.is_there() {
            continue;
        }
        let name = s.need(
            "name",
            name,
            || Wrong::wanted("a name for the request"),
            notes,
        );
        let check = check(&s, notes);
        let parse = |text: &str| {
            if check.is_none() && s.node("check").is_some() {
                // Already noted, and what stands in its place cannot be known.
                return Ok(None);
            }
            let filled = own::fill(text, own::SAMPLE);
            let said = |request| Some((request, text.to_owned()));
            Template::parse(&filled, check).map(said).map_err(|why| {
                Wrong::wanted("bytes in hexadecimal, \"text\", and {check} where the checksum goes")
                    .hint(why.to_string())
            })
        };
        let send = s.need("send", parse, || Wrong::wanted("what to send"), notes);
        let reply = reply(&s, notes);
        let Some(name) = name else { continue };
        let (Some(Some((request, send))), Some((reply, fixed))) = (send, reply) else {
            wrong_ones.insert(name);
            continue;
        };
        if all.iter().any(|q| q.name == name) {
            let wrong = Wrong::wanted("a name no other request of the profile has");
            notes.error(s.at("name"), shown(&name), wrong);
            continue;
        }
        patterns.push(Pattern { send, check, fixed });
        all.push(Arc::new(Question {
            name,
            request,
            reply,
        }));
    }
    if profile.node("requests").is_none() {
        profile.lacks("requests", Wrong::wanted("a list of requests"), notes);
    }
    if all.len() > MOST {
        notes.error(
            profile.at("requests"),
            format!("{} requests", all.len()),
            Wrong::wanted(format!("at most {MOST}")),
        );
    }
    (all, patterns, wrong_ones)
}

/// What comes back, and what is always in it as it is written.
fn reply(request: &Section<'_>, notes: &mut Notes) -> Option<(Shape, Vec<(usize, String)>)> {
    let keys = [
        "length",
        "until",
        "silence",
        "begins",
        "contains",
        "check",
        "behind_check",
    ];
    let s = request.section("reply", &keys, notes);
    if !s.is_there() {
        let wrong = Wrong::wanted("what comes back: how it ends and what is always in it");
        request.lacks("reply", wrong, notes);
        return None;
    }
    let length = s.read("length", whole(1..=LONGEST), notes).map(End::Length);
    let until = s.read("until", bytes, notes).map(End::Terminator);
    let pause = time(Duration::from_millis(5)..=Duration::from_secs(5));
    let silence = s.read("silence", pause, notes).map(End::Silence);
    let ends = ["length", "until", "silence"];
    if ends.iter().filter(|k| s.node(k).is_some()).count() != 1 {
        notes.error(
            s.origin,
            "how the reply ends",
            Wrong::wanted("one of length:, until: or silence:"),
        );
        return None;
    }
    let mut fixed = Vec::new();
    let begins = s.read("begins", own_bytes, notes);
    fixed.extend(begins.map(|said| (s.at("begins"), 0, said)));
    for node in s.list("contains", notes) {
        let c = Section::open(node, &["at", "bytes"], notes);
        let at = c.need(
            "at",
            whole(0..=LONGEST),
            || Wrong::wanted("where, from 0 on"),
            notes,
        );
        let what = c.need("bytes", own_bytes, || Wrong::wanted("which bytes"), notes);
        let place = c.at("at");
        fixed.extend(at.zip(what).map(|(at, what)| (place, at, what)));
    }
    let behind = s.read("behind_check", whole(0..=LONGEST), notes);
    let end = length.or(until).or(silence)?;
    let terminator = match &end {
        End::Terminator(t) => t.len(),
        End::Length(_) | End::Silence(_) => 0,
    };
    for (place, at, (bytes, _)) in &fixed {
        room::bytes(*place, *at, bytes.len(), &end, notes);
    }
    let (fixed, written) = fixed
        .into_iter()
        .map(|(_, at, (bytes, text))| (Fixed { at, bytes }, (at, text)))
        .unzip();
    let shape = Shape {
        end,
        fixed,
        check: check(&s, notes),
        behind_check: behind.unwrap_or(terminator),
    };
    room::check(&s, &shape, notes);
    if !shape.can_tell() {
        notes.warning(
            s.origin,
            "nothing that is always in the reply",
            Wrong::wanted("begins:, contains: or check:")
                .hint("without one of them noise of the right length is taken for a value"),
        );
    }
    Some((shape, written))
}

const KEYS: [&str; 19] = [
    "id",
    "request",
    "type",
    "at",
    "length",
    "after",
    "nth",
    "before",
    "bit",
    "order",
    "scale",
    "offset",
    "as",
    "utc_offset",
    "encoding",
    "values",
    "interval",
    "priority",
    "stale_after",
];

/// Reads all points, and where the id of each stands.
pub(crate) fn points(
    profile: &Section<'_>,
    questions: &[Arc<Question>],
    wrong_ones: &BTreeSet<String>,
    (times, given): (Times, Given),
    notes: &mut Notes,
) -> (Vec<PointSpec>, Vec<OriginId>) {
    let known: BTreeMap<&str, u16> = (0u16..)
        .zip(questions)
        .map(|(i, q)| (q.name.as_str(), i))
        .collect();
    let (mut points, mut places) = (Vec::new(), Vec::new());
    for node in profile.list("points", notes) {
        let s = Section::open(node, &KEYS, notes);
        if !s.is_there() {
            continue;
        }
        let id = s.need(
            "id",
            identifier,
            || Wrong::wanted("the identifier of the property in the thing model"),
            notes,
        );
        let timing = times.of(&s, notes);
        let find = |text: &str| {
            if wrong_ones.contains(text) {
                return Ok(None);
            }
            known.get(text).copied().map(Some).ok_or_else(|| {
                Wrong::wanted("the name of a request of this profile")
                    .maybe_hint(near::did_you_mean(text, known.keys().copied()))
            })
        };
        let request = s.need(
            "request",
            find,
            || Wrong::wanted("the request whose reply it stands in"),
            notes,
        );
        let part = part(&s, given, notes);
        let asked = request
            .flatten()
            .and_then(|i| questions.get(usize::from(i)));
        if let (Some(question), Some(part)) = (asked, &part) {
            room::part(&s, part, &question.reply, notes);
        }
        let titles = match part {
            Some(Part::Bit { .. }) => measure::titles_of_a_bit(&s, notes),
            _ => None,
        };
        let (Some(Some(address)), Some(part)) = (request, part) else {
            continue;
        };
        places.push(s.at("id"));
        points.push(PointSpec {
            id: id.unwrap_or_default(),
            table: Table::HoldingRegister,
            address,
            codec: Codec::Part(Box::new(part)),
            interval: timing.interval,
            priority: timing.priority,
            shown: Shown {
                stale_after: timing.stale_after,
                titles,
            },
        });
    }
    (points, places)
}

#[derive(Clone, Copy)]
enum Type {
    Binary(Kind),
    Decimal,
    Hexadecimal,
    Text,
    Bit,
}

const TYPES: [(&str, Type); 24] = {
    use Kind::{Bcd, F32, F64, Signed, Unsigned};
    use Type::Binary;
    [
        ("u8", Binary(Unsigned(1))),
        ("u16", Binary(Unsigned(2))),
        ("u24", Binary(Unsigned(3))),
        ("u32", Binary(Unsigned(4))),
        ("u48", Binary(Unsigned(6))),
        ("u64", Binary(Unsigned(8))),
        ("i8", Binary(Signed(1))),
        ("i16", Binary(Signed(2))),
        ("i24", Binary(Signed(3))),
        ("i32", Binary(Signed(4))),
        ("i48", Binary(Signed(6))),
        ("i64", Binary(Signed(8))),
        ("f32", Binary(F32)),
        ("f64", Binary(F64)),
        ("bcd8", Binary(Bcd(1))),
        ("bcd16", Binary(Bcd(2))),
        ("bcd24", Binary(Bcd(3))),
        ("bcd32", Binary(Bcd(4))),
        ("bcd48", Binary(Bcd(6))),
        ("bcd64", Binary(Bcd(8))),
        ("decimal", Type::Decimal),
        ("hex", Type::Hexadecimal),
        ("text", Type::Text),
        ("bit", Type::Bit),
    ]
};

const ORDERS: [(&str, Order); 4] = [
    ("ABCD", Order::High),
    ("DCBA", Order::Low),
    ("CDAB", Order::WordsLow),
    ("BADC", Order::BytesLow),
];

fn part(s: &Section<'_>, given: Given, notes: &mut Notes) -> Option<Part> {
    let wanted = || Wrong::wanted("how it is written: u16, f32, bcd32, decimal, hex, text, bit, …");
    let kind = s.need("type", choice(&TYPES), wanted, notes)?;
    let scale = s.read("scale", factor, notes).unwrap_or(Decimal::ONE);
    let offset = s.read("offset", decimal, notes).unwrap_or(Decimal::ZERO);
    let order = s
        .read("order", choice(&ORDERS), notes)
        .unwrap_or(Order::High);
    let bit = s.read("bit", whole(0..=7u8), notes).unwrap_or(0);
    let allowed: &[&str] = match kind {
        Type::Binary(_) => &["at", "order", "scale", "offset", "as", "utc_offset"],
        Type::Decimal | Type::Hexadecimal => &[
            "at",
            "length",
            "after",
            "nth",
            "before",
            "scale",
            "offset",
            "as",
            "utc_offset",
        ],
        Type::Text => &["at", "length", "after", "nth", "before", "encoding"],
        Type::Bit => &["at", "bit", "values"],
    };
    let common = [
        "id",
        "request",
        "type",
        "interval",
        "priority",
        "stale_after",
    ];
    for key in KEYS {
        if s.node(key).is_some() && !allowed.contains(&key) && !common.contains(&key) {
            let wrong = Wrong::wanted(format!("no {key} with this type"));
            notes.error(s.at(key), key, wrong);
        }
    }
    let written = match kind {
        Type::Binary(kind) => {
            let odd = matches!(order, Order::WordsLow | Order::BytesLow) && kind.bytes() % 2 == 1;
            if odd {
                let wrong = Wrong::wanted("ABCD or DCBA for an odd number of bytes");
                notes.error(s.at("order"), "order", wrong);
            }
            Number::Binary {
                at: place(s, notes)?,
                kind,
                order,
            }
        }
        Type::Decimal => Number::Decimal(span(s, notes)?),
        Type::Hexadecimal => Number::Hexadecimal(span(s, notes)?),
        Type::Text => {
            let encoding = s.read("encoding", choice(&Encoding::ALL), notes);
            let encoding = encoding.unwrap_or_default();
            return span(s, notes).map(|span| Part::Text { span, encoding });
        }
        Type::Bit => {
            return place(s, notes).map(|at| Part::Bit { at, bit });
        }
    };
    let plain = Part::Number {
        written: written.clone(),
        scale,
        offset,
        number_type: None,
    };
    let number_type = plain
        .number_type()
        .and_then(|of| given.number(s, of, notes));
    Some(Part::Number {
        written,
        scale,
        offset,
        number_type,
    })
}

fn place(s: &Section<'_>, notes: &mut Notes) -> Option<usize> {
    let wanted = || Wrong::wanted("where it begins in the reply, from 0 on");
    s.need("at", whole(0..=LONGEST), wanted, notes)
}

/// `at:` and `length:`, or `after:`, `nth:` and `before:`.
fn span(s: &Section<'_>, notes: &mut Notes) -> Option<Span> {
    if s.node("at").is_some() || s.node("length").is_some() {
        let from = place(s, notes);
        let wanted = || Wrong::wanted("how many bytes it has");
        let length = s.need("length", whole(1..=LONGEST), wanted, notes);
        return Some(Span::At {
            from: from?,
            length: length?,
        });
    }
    let after = s.read("after", bytes, notes);
    let before = s.read("before", bytes, notes);
    let nth = s.read("nth", whole(1..=LONGEST), notes);
    if s.node("after").is_none() && s.node("before").is_none() {
        let wanted = Wrong::wanted("at: and length:, or after: and before:");
        s.lacks("at", wanted, notes);
        return None;
    }
    Some(Span::Between {
        nth: match &after {
            Some(_) => nth.unwrap_or(1),
            None => 0,
        },
        after: after.unwrap_or_default(),
        before: before.unwrap_or_default(),
    })
}
