//! Where a value of a reply without a standard stands, and how it is written there.

use crate::config::points::codec::factor;
use crate::config::points::date_time;
use crate::config::points::sign;
use crate::config::points::value_defaults::ValueDefaults;
use crate::config::protocols::placeholders::bytes;
use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section};
use crate::config::reader::word_parsers::{choice, decimal, whole};
use crate::spec::raw::part::{BinaryNumber, ByteSpan, Endianness, NumberKind, ReplyPart};
use crate::spec::raw::reply::LONGEST;
use crate::spec::{Decimal, Encoding};

/// The keys of a point.
pub(crate) const KEYS: [&str; 29] = [
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
    "sign",
    "scale",
    "offset",
    "as",
    "utc_offset",
    "encoding",
    "layout",
    "fields",
    "values",
    "interval",
    "priority",
    "stale_after",
    "report",
    "write",
    "title",
    "title_zh",
    "unit",
    "unverified",
    "when",
];

#[derive(Clone, Copy)]
enum Type {
    Binary(NumberKind),
    Decimal,
    Hexadecimal,
    Text,
    DateTime,
    Bit,
}

const TYPES: [(&str, Type); 25] = {
    use NumberKind::{Bcd, F32, F64, Signed, Unsigned};
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
        ("datetime", Type::DateTime),
        ("bit", Type::Bit),
    ]
};

const ORDERS: [(&str, Endianness); 4] = [
    ("ABCD", Endianness::High),
    ("DCBA", Endianness::Low),
    ("CDAB", Endianness::WordsLow),
    ("BADC", Endianness::BytesLow),
];

/// Returns the type of bytes with this word.
pub(crate) fn kind_of(word: &str) -> Option<NumberKind> {
    let (_, found) = TYPES.iter().find(|(known, _)| *known == word)?;
    match found {
        Type::Binary(kind) => Some(*kind),
        Type::Decimal | Type::Hexadecimal | Type::Text | Type::DateTime | Type::Bit => None,
    }
}

/// Returns the order of bytes with this word.
pub(crate) fn order_of(word: &str) -> Option<Endianness> {
    let (_, order) = ORDERS.iter().find(|(known, _)| *known == word)?;
    Some(*order)
}

/// Reads `type:` and the keys beside it.
pub(crate) fn read(s: &Section<'_>, given: ValueDefaults, notes: &mut Notes) -> Option<ReplyPart> {
    let wanted = || {
        Expectation::wanted(
            "how it is written: u16, f32, bcd32, decimal, hex, text, datetime, bit, …",
        )
    };
    let kind = s.need("type", choice(&TYPES), wanted, notes)?;
    let scale = s.read("scale", factor, notes).unwrap_or(Decimal::ONE);
    let offset = s.read("offset", decimal, notes).unwrap_or(Decimal::ZERO);
    let order = s
        .read("order", choice(&ORDERS), notes)
        .unwrap_or(Endianness::High);
    let bit = s.read("bit", whole(0..=7u8), notes).unwrap_or(0);
    let allowed: &[&str] = match kind {
        Type::Binary(_) => &["at", "order", "sign", "scale", "offset", "as", "utc_offset"],
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
        Type::DateTime => &["at", "layout", "fields", "utc_offset"],
        Type::Bit => &["at", "bit", "values"],
    };
    let common = [
        "id",
        "request",
        "type",
        "interval",
        "priority",
        "stale_after",
        "report",
        "write",
        "title",
        "title_zh",
        "unit",
        "unverified",
    ];
    for key in KEYS {
        if s.node(key).is_some() && !allowed.contains(&key) && !common.contains(&key) {
            let wrong = Expectation::wanted(format!("no {key} with this type"));
            notes.error(s.at(key), key, wrong);
        }
    }
    let written = match kind {
        Type::Binary(kind) => {
            let kind = signed(s, kind, notes);
            let odd = matches!(order, Endianness::WordsLow | Endianness::BytesLow)
                && kind.bytes() % 2 == 1;
            if odd {
                let wrong = Expectation::wanted("ABCD or DCBA for an odd number of bytes");
                notes.error(s.at("order"), "order", wrong);
            }
            BinaryNumber::Binary {
                at: offset_of(s, notes)?,
                kind,
                order,
            }
        }
        Type::Decimal => BinaryNumber::Decimal(span(s, notes)?),
        Type::Hexadecimal => BinaryNumber::Hexadecimal(span(s, notes)?),
        Type::Text => {
            let encoding = s.read("encoding", choice(&Encoding::ALL), notes);
            let encoding = encoding.unwrap_or_default();
            return span(s, notes).map(|span| ReplyPart::Text { span, encoding });
        }
        Type::DateTime => {
            let moment = date_time::in_bytes(s, given, notes);
            let (layout, bcd, utc_offset) = moment?;
            return offset_of(s, notes).map(|at| ReplyPart::DateTime {
                at,
                layout,
                bcd,
                utc_offset,
            });
        }
        Type::Bit => {
            return offset_of(s, notes).map(|at| ReplyPart::Bit { at, bit });
        }
    };
    let plain = ReplyPart::Number {
        written: written.clone(),
        scale,
        offset,
        number_type: None,
    };
    let number_type = plain
        .number_type()
        .and_then(|of| given.number(s, of, notes));
    Some(ReplyPart::Number {
        written,
        scale,
        offset,
        number_type,
    })
}

/// Returns the kind with the sign that `sign:` gives it.
fn signed(s: &Section<'_>, kind: NumberKind, notes: &mut Notes) -> NumberKind {
    if s.read("sign", choice(&sign::SIGNS), notes).is_none() {
        return kind;
    }
    kind.signed_by_highest_bit().unwrap_or_else(|| {
        let wrong = Expectation::wanted("no sign with this type").hint("a float has its own");
        notes.error(s.at("sign"), "sign", wrong);
        kind
    })
}

fn offset_of(s: &Section<'_>, notes: &mut Notes) -> Option<usize> {
    let wanted = || Expectation::wanted("where it begins in the reply, from 0 on");
    s.need("at", whole(0..=LONGEST), wanted, notes)
}

/// Reads `at:` and `length:`, or `after:`, `nth:` and `before:`.
fn span(s: &Section<'_>, notes: &mut Notes) -> Option<ByteSpan> {
    if s.node("at").is_some() || s.node("length").is_some() {
        let from = offset_of(s, notes);
        let wanted = || Expectation::wanted("how many bytes it has");
        let length = s.need("length", whole(1..=LONGEST), wanted, notes);
        return Some(ByteSpan::At {
            from: from?,
            length: length?,
        });
    }
    let after = s.read("after", bytes, notes);
    let before = s.read("before", bytes, notes);
    let nth = s.read("nth", whole(1..=LONGEST), notes);
    if s.node("after").is_none() && s.node("before").is_none() {
        let wanted = Expectation::wanted("at: and length:, or after: and before:");
        s.lacks("at", wanted, notes);
        return None;
    }
    Some(ByteSpan::Between {
        nth: match &after {
            Some(_) => nth.unwrap_or(1),
            None => 0,
        },
        after: after.unwrap_or_default(),
        before: before.unwrap_or_default(),
    })
}
