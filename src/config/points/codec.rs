//! What `type:` and the keys beside it mean: how registers become a value.

use super::titles::titles_of_a_bit;
use super::value_defaults::ValueDefaults;
use crate::base::text::counted;
use crate::config::points::date_time;
use crate::config::reader::foreign_words;
use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section};
use crate::config::reader::word_parsers::{choice, decimal, or, whole};
use crate::spec::{
    ByteOrder, Codec, DateTime, Decimal, Digits, Encoding, Number, RegisterByte, States, WordOrder,
};

/// The values of `type:`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PointType {
    Bool,
    Bit,
    Text,
    DateTime,
    Number(Number),
}

/// The types by name. Types of half a register ignore the other half; the half is the one named
/// here until `half:` says otherwise.
const TYPES: [(&str, PointType); 25] = [
    ("u8", PointType::Number(Number::U8(RegisterByte::Low))),
    ("i8", PointType::Number(Number::I8(RegisterByte::Low))),
    ("u16", PointType::Number(Number::U16)),
    ("i16", PointType::Number(Number::I16)),
    ("u24", PointType::Number(Number::U24)),
    ("i24", PointType::Number(Number::I24)),
    ("u32", PointType::Number(Number::U32)),
    ("i32", PointType::Number(Number::I32)),
    ("u48", PointType::Number(Number::U48)),
    ("i48", PointType::Number(Number::I48)),
    ("u64", PointType::Number(Number::U64)),
    ("i64", PointType::Number(Number::I64)),
    ("f16", PointType::Number(Number::F16)),
    ("f32", PointType::Number(Number::F32)),
    ("f64", PointType::Number(Number::F64)),
    ("bcd8", PointType::Number(Number::Bcd8(RegisterByte::Low))),
    ("bcd16", PointType::Number(Number::Bcd16)),
    ("bcd24", PointType::Number(Number::Bcd24)),
    ("bcd32", PointType::Number(Number::Bcd32)),
    ("bcd48", PointType::Number(Number::Bcd48)),
    ("bcd64", PointType::Number(Number::Bcd64)),
    ("bit", PointType::Bit),
    ("string", PointType::Text),
    ("datetime", PointType::DateTime),
    ("bool", PointType::Bool),
];

const BYTES: [(&str, ByteOrder); 2] = [("high", ByteOrder::High), ("low", ByteOrder::Low)];
const HALVES: [(&str, RegisterByte); 2] =
    [("high", RegisterByte::High), ("low", RegisterByte::Low)];

/// The orders in the letters of manuals: A is the most significant byte.
const ORDERS: [(&str, (WordOrder, ByteOrder)); 4] = [
    ("ABCD", (WordOrder::High, ByteOrder::High)),
    ("CDAB", (WordOrder::Low, ByteOrder::High)),
    ("BADC", (WordOrder::High, ByteOrder::Low)),
    ("DCBA", (WordOrder::Low, ByteOrder::Low)),
];
const SHORT_ORDERS: [(&str, (WordOrder, ByteOrder)); 2] = [
    ("AB", (WordOrder::High, ByteOrder::High)),
    ("BA", (WordOrder::High, ByteOrder::Low)),
];

/// The keys that refine a type.
pub(crate) const KEYS: [&str; 26] = [
    "scale",
    "offset",
    "round",
    "words",
    "bytes",
    "order",
    "half",
    "bit",
    "bits",
    "mask",
    "registers",
    "characters",
    "invalid",
    "min",
    "max",
    "values",
    "scale_from",
    "parts",
    "sign",
    "sign_from",
    "as",
    "utc_offset",
    "encoding",
    "layout",
    "fields",
    "type",
];

/// The values of a type and of the keys beside it, except those that only a
/// [`crate::spec::Measure`] has.
pub(crate) struct Refined {
    pub(crate) kind: Option<PointType>,
    pub(crate) scale: Decimal,
    pub(crate) offset: Decimal,
    pub(crate) words: WordOrder,
    pub(crate) bytes: ByteOrder,
    half: Option<RegisterByte>,
    bit: Option<u8>,
    registers: Option<u16>,
    characters: u8,
    encoding: Encoding,
    moment: Option<DateTime>,
}

impl Refined {
    /// Returns the kind of number, if the type is a number.
    pub(crate) fn number(&self) -> Option<Number> {
        match self.kind? {
            PointType::Number(kind) => Some(halved(kind, self.half)),
            PointType::Bool | PointType::Bit | PointType::Text | PointType::DateTime => None,
        }
    }

    /// Returns the codec, unless a value that it needs is missing.
    pub(crate) fn codec(&self) -> Option<Codec> {
        Some(match self.kind? {
            PointType::Bool => Codec::Bool,
            PointType::Bit => Codec::Bit(self.bit?),
            PointType::Text if self.characters == 1 => Codec::Letters {
                registers: self.registers?,
                half: self.half.unwrap_or(RegisterByte::Low),
                encoding: self.encoding,
            },
            PointType::Text => Codec::Text {
                registers: self.registers?,
                bytes: self.bytes,
                encoding: self.encoding,
            },
            PointType::DateTime => Codec::DateTime(Box::new(self.moment?)),
            PointType::Number(kind) => Codec::Number {
                kind: halved(kind, self.half),
                words: self.words,
                bytes: self.bytes,
                scale: self.scale,
                offset: self.offset,
            },
        })
    }
}

/// Puts another half of the register into types that are half a register.
pub(crate) const fn halved(kind: Number, half: Option<RegisterByte>) -> Number {
    match (kind, half) {
        (Number::U8(_), Some(half)) => Number::U8(half),
        (Number::I8(_), Some(half)) => Number::I8(half),
        (Number::Bcd8(_), Some(half)) => Number::Bcd8(half),
        _ => kind,
    }
}

/// Reads the type, for a table whose kind is known: bits or registers. Returns `None` if the type
/// is wrong or does not fit.
pub(crate) fn kind(
    s: &Section<'_>,
    bits: Option<bool>,
    notes: &mut Notes,
) -> (Option<PointType>, bool) {
    let untyped = s.node("type").is_none();
    let kind = match bits {
        Some(true) if untyped => Some(PointType::Bool),
        // The table decides whether a type is needed.
        None if untyped => None,
        Some(_) | None => {
            let words = TYPES.iter().filter(|(_, t)| *t != PointType::Bool);
            let missing = || Expectation::wanted(or(words.map(|(w, _)| *w)));
            s.need("type", of, missing, notes)
        }
    };
    let agree = match (bits, kind) {
        (Some(bits), Some(kind)) => agree(s, bits, kind, notes),
        (None, _) | (_, None) => false,
    };
    (kind, agree)
}

/// Returns the type with this name; for a name that contains an order as well, the error says
/// what to write.
fn of(text: &str) -> Result<PointType, Expectation> {
    choice(&TYPES)(text).map_err(|wrong| {
        let words = TYPES.map(|(word, _)| word);
        let order = foreign_words::type_with_order(text, &words);
        wrong.maybe_hint(order.map(|written| format!("here that is {written}")))
    })
}

/// Returns whether the table and the type agree: bits or registers.
fn agree(s: &Section<'_>, bits: bool, kind: PointType, notes: &mut Notes) -> bool {
    if bits == (kind == PointType::Bool) {
        return true;
    }
    let (wanted, hint) = if bits {
        (
            "bool, or no type at all",
            "coils and discrete inputs are single bits",
        )
    } else {
        (
            "a type made of registers",
            "for one bit of a register: type: bit with bit: 0 to 15",
        )
    };
    notes.error(
        s.at("type"),
        word(kind),
        Expectation::wanted(wanted).hint(hint),
    );
    false
}

/// Returns the word of `type:` for this type.
pub(crate) fn word(kind: PointType) -> &'static str {
    TYPES
        .iter()
        .find(|(_, t)| *t == kind)
        .map_or("", |(word, _)| *word)
}

/// Parses a number type that can be added up.
pub(crate) fn whole_number(text: &str) -> Result<Number, Expectation> {
    let whole: Vec<(&str, Number)> = TYPES
        .iter()
        .filter_map(|(word, kind)| match kind {
            PointType::Number(n) if n.digits() != Digits::Floating => Some((*word, *n)),
            _ => None,
        })
        .collect();
    choice(&whole)(text)
}

/// Parses `half:`.
pub(crate) fn half(text: &str) -> Result<RegisterByte, Expectation> {
    choice(&HALVES)(text)
}

/// Returns the keys that a type can have beside it.
fn allowed(kind: PointType) -> Vec<&'static str> {
    let mut keys = vec!["type"];
    let n = match kind {
        PointType::Bool => {
            keys.push("values");
            return keys;
        }
        PointType::Bit => {
            keys.extend(["bit", "values"]);
            return keys;
        }
        PointType::Text => {
            keys.extend(["registers", "bytes", "characters", "half", "encoding"]);
            return keys;
        }
        PointType::DateTime => {
            keys.extend(["layout", "fields", "bytes", "utc_offset"]);
            return keys;
        }
        PointType::Number(n) => n,
    };
    keys.extend([
        "scale",
        "offset",
        "round",
        "invalid",
        "min",
        "max",
        "scale_from",
        "as",
        "utc_offset",
    ]);
    keys.extend(match (n.half(), n.registers()) {
        (Some(_), _) => &["half"][..],
        (None, 1) => &["bytes", "order"],
        (None, _) => &["bytes", "order", "words"],
    });
    match n.digits() {
        Digits::Floating => {}
        Digits::Decimal => keys.extend(["values", "parts", "sign", "sign_from"]),
        Digits::Signed => keys.extend(["values", "parts", "sign", "sign_from", "bits"]),
        Digits::Unsigned => keys.extend(["values", "parts", "sign", "sign_from", "bits", "mask"]),
    }
    keys
}

/// Reads the keys that `kind` allows and notes the others. Without a type any of the keys may be
/// meant, and each is read for itself.
pub(crate) fn refined(
    s: &Section<'_>,
    kind: Option<PointType>,
    given: ValueDefaults,
    notes: &mut Notes,
) -> Refined {
    let allowed = kind.map_or(KEYS.to_vec(), allowed);
    for key in KEYS {
        if let Some(kind) = kind
            && s.node(key).is_some()
            && !allowed.contains(&key)
        {
            let word = word(kind);
            notes.error(
                s.at(key),
                format!("{key} with type {word}"),
                Expectation::wanted(format!("no {key} here")).hint(unfit_reason(key, kind)),
            );
        }
    }
    if kind == Some(PointType::Bit) && s.node("bit").is_none() {
        let wrong = Expectation::wanted("0 to 15").hint("bit 0 is the least significant");
        s.lacks("bit", wrong, notes);
    }
    if kind == Some(PointType::Text) && s.node("registers").is_none() {
        let wrong = Expectation::wanted("1 to 125").hint("each register holds two characters");
        s.lacks("registers", wrong, notes);
    }
    let only = |key: &str| allowed.contains(&key);
    let mut out = Refined {
        kind,
        scale: Decimal::ONE,
        offset: Decimal::ZERO,
        words: WordOrder::High,
        bytes: ByteOrder::High,
        half: None,
        bit: None,
        registers: None,
        characters: 2,
        encoding: Encoding::default(),
        moment: None,
    };
    if only("scale") {
        out.scale = s.read("scale", factor, notes).unwrap_or(out.scale);
    }
    if only("offset") {
        out.offset = s.read("offset", decimal, notes).unwrap_or(out.offset);
    }
    if only("words") {
        out.words = given.words(s, notes);
    }
    if only("bytes") {
        out.bytes = s.read("bytes", choice(&BYTES), notes).unwrap_or(out.bytes);
    }
    if only("order") {
        let short = matches!(kind, Some(PointType::Number(n)) if n.registers() == 1);
        let order = s.read("order", |text| order(text, short), notes);
        (out.words, out.bytes) = order.unwrap_or((out.words, out.bytes));
        let twice = ["words", "bytes"]
            .into_iter()
            .find(|key| s.node(key).is_some());
        if let Some(other) = twice.filter(|_| s.node("order").is_some()) {
            notes.error(
                s.at("order"),
                format!("order with {other}"),
                Expectation::wanted("either order, or words and bytes")
                    .hint("order sets the same thing as words and bytes together"),
            );
        }
    }
    if only("bit") {
        out.bit = s.read("bit", whole(0..=15u8), notes);
    }
    if only("registers") {
        out.registers = s.read("registers", whole(1..=125u16), notes);
    }
    if only("characters") {
        let characters = s.read("characters", whole(1..=2u8), notes);
        out.characters = characters.unwrap_or(out.characters);
    }
    if only("half") {
        out.half = s.read("half", half, notes);
    }
    if only("encoding") {
        let encoding = s.read("encoding", choice(&Encoding::ALL), notes);
        out.encoding = encoding.unwrap_or_default();
    }
    match kind {
        Some(PointType::Text) => text_agrees(s, out.characters, notes),
        Some(PointType::DateTime) => out.moment = date_time::read(s, out.bytes, given, notes),
        Some(PointType::Bool | PointType::Bit | PointType::Number(_)) | None => {}
    }
    out
}

/// Notes `bytes:` and `half:` where they mean nothing: `bytes:` orders two characters, `half:`
/// finds one.
fn text_agrees(s: &Section<'_>, characters: u8, notes: &mut Notes) {
    let (key, hint) = match characters {
        1 => ("bytes", "half: selects the half that holds the character"),
        _ => ("half", "half: is for characters: 1"),
    };
    if s.node(key).is_some() {
        notes.error(
            s.at(key),
            format!(
                "{key} with {} in a register",
                counted(characters, "character")
            ),
            Expectation::wanted(format!("no {key} here")).hint(hint),
        );
    }
}

fn unfit_reason(key: &str, kind: PointType) -> String {
    let word = word(kind);
    match (key, kind) {
        ("words", PointType::Number(n)) if n.half().is_none() => {
            format!("{word} is one register; for swapped bytes write bytes: low")
        }
        ("words" | "bytes" | "order", PointType::Number(_)) => {
            format!("{word} is one byte; half: high or low selects it")
        }
        ("order" | "words", PointType::Text | PointType::DateTime) => {
            "for swapped bytes write bytes: low".into()
        }
        ("registers", PointType::Number(n)) => {
            format!("{word} always takes {}", n.registers())
        }
        ("bits", PointType::Bit) => {
            "for one bit write bit; for several, type: u16 with bits".into()
        }
        ("mask" | "bits", PointType::Number(_)) => {
            format!("{word} is not made of single bits; use u16, u32 or the like")
        }
        _ => format!("{key} has no meaning for {word}"),
    }
}

/// Reads the titles of a bit's two states. Titles of a number are part of its
/// [`crate::spec::Measure`].
pub(crate) fn titles(
    s: &Section<'_>,
    kind: Option<PointType>,
    notes: &mut Notes,
) -> Option<States> {
    match kind? {
        PointType::Bool | PointType::Bit => titles_of_a_bit(s, notes),
        PointType::Text | PointType::DateTime | PointType::Number(_) => None,
    }
}

/// Parses `order:`.
fn order(text: &str, short: bool) -> Result<(WordOrder, ByteOrder), Expectation> {
    if !short {
        return choice(&ORDERS)(text);
    }
    choice(&SHORT_ORDERS)(text)
        .map_err(|_| Expectation::wanted("AB or BA").hint("this type is one register of two bytes"))
}

/// Parses a factor: a decimal other than 0.
pub(crate) fn factor(text: &str) -> Result<Decimal, Expectation> {
    let scale = decimal(text)?;
    if scale == Decimal::ZERO {
        return Err(Expectation::wanted("a factor other than 0").hint("0 would make every value 0"));
    }
    Ok(scale)
}
