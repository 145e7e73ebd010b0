//! One point of a profile: where a value is, and how registers become it.

use std::time::Duration;

use super::problem::Wrong;
use super::section::{Notes, Section};
use super::tree::{Is, Node, OriginId};
use super::word::{choice, decimal, identifier, time, whole};
use crate::spec::{ByteOrder, Codec, Decimal, Number, PointSpec, Table, WordOrder};

const KEYS: [&str; 11] = [
    "id",
    "table",
    "address",
    "type",
    "scale",
    "offset",
    "words",
    "bytes",
    "bit",
    "registers",
    "interval",
];

const TABLES: [(&str, Table); 4] = [
    ("coil", Table::Coil),
    ("discrete", Table::DiscreteInput),
    ("holding", Table::HoldingRegister),
    ("input", Table::InputRegister),
];

/// What `type:` can say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Bool,
    Bit,
    Text,
    Number(Number),
}

const TYPES: [(&str, Type); 11] = [
    ("u16", Type::Number(Number::U16)),
    ("i16", Type::Number(Number::I16)),
    ("u32", Type::Number(Number::U32)),
    ("i32", Type::Number(Number::I32)),
    ("u64", Type::Number(Number::U64)),
    ("i64", Type::Number(Number::I64)),
    ("f32", Type::Number(Number::F32)),
    ("f64", Type::Number(Number::F64)),
    ("bit", Type::Bit),
    ("string", Type::Text),
    ("bool", Type::Bool),
];

const WORDS: [(&str, WordOrder); 2] = [("high", WordOrder::High), ("low", WordOrder::Low)];
const BYTES: [(&str, ByteOrder); 2] = [("high", ByteOrder::High), ("low", ByteOrder::Low)];

/// The shortest and the longest time between two readings of a point.
pub(crate) fn interval(text: &str) -> Result<Duration, Wrong> {
    time(Duration::from_millis(50)..=Duration::from_secs(86400))(text)
}

/// Reads one point; `default` is the interval of its profile.
pub(crate) fn read(
    node: &Node,
    default: Option<Duration>,
    max_registers: u16,
    notes: &mut Notes,
) -> Option<(PointSpec, OriginId)> {
    let s = Section::open(node, &KEYS, notes);
    if !s.is_there() {
        return None;
    }
    let id = s.need(
        "id",
        identifier,
        || Wrong::wanted("the identifier of the property in the thing model"),
        notes,
    );
    let table = s.need(
        "table",
        choice(&TABLES),
        || Wrong::wanted("coil, discrete, holding or input"),
        notes,
    );
    let address = s.need(
        "address",
        |text| whole(0..=65535u16)(text).map_err(|wrong| wrong.maybe_hint(notation(text, table))),
        || Wrong::wanted("the 0-based address, 0 to 65535"),
        notes,
    );
    if let Some(address) = address {
        suspect(&s, address, table, notes);
    }
    let codec = codec(&s, table, max_registers, notes);
    if s.node("interval").is_none() && default.is_none() {
        s.lacks(
            "interval",
            Wrong::wanted("how often to read it, like 10s")
                .hint("interval: in the profile is the default of all its points"),
            notes,
        );
    }
    let interval = s.read("interval", interval, notes).or(default);
    if let (Some(address), Some(codec)) = (address, &codec) {
        fits(&s, address, codec, notes);
    }
    let spec = PointSpec {
        id: id.unwrap_or_default(),
        table: table.unwrap_or(Table::HoldingRegister),
        address: address.unwrap_or_default(),
        codec: codec.unwrap_or(Codec::Bool),
        interval: interval.unwrap_or(Duration::from_secs(10)),
    };
    Some((spec, s.at("id")))
}

/// What an address that is too high would be if it is meant as in a manual that
/// counts from 400001.
fn notation(text: &str, table: Option<Table>) -> Option<String> {
    let n: u32 = text.parse().ok()?;
    let (base, name) = match table {
        Some(Table::HoldingRegister) => (400_001, "4"),
        Some(Table::InputRegister) => (300_001, "3"),
        Some(Table::DiscreteInput) => (100_001, "1"),
        Some(Table::Coil) | None => return None,
    };
    Some(match n.checked_sub(base).filter(|a| *a <= 65535) {
        Some(address) => {
            format!("\"{name}xxxxx\" notation starts at {base}; the 0-based address is {address}")
        }
        None => format!("\"{name}xxxx\" notation starts at {name}0001; write the 0-based address"),
    })
}

/// An address that is allowed but looks as if it were copied from a manual that
/// counts from 40001.
fn suspect(s: &Section<'_>, address: u16, table: Option<Table>, notes: &mut Notes) {
    let (base, name) = match table {
        Some(Table::HoldingRegister) => (40_001, "4"),
        Some(Table::InputRegister) => (30_001, "3"),
        Some(Table::DiscreteInput) => (10_001, "1"),
        Some(Table::Coil) | None => return,
    };
    let written_in_decimal =
        matches!(s.node("address").map(|n| &n.is), Some(Is::Text(t)) if !t.starts_with("0x"));
    if written_in_decimal && (base..base + 9999).contains(&address) {
        notes.warning(
            s.at("address"),
            address.to_string(),
            Wrong::wanted("a 0-based address").hint(format!(
                "if this is \"{name}xxxx\" notation, write {}; if it is really meant, write {address:#06x}",
                address - base
            )),
        );
    }
}

fn codec(
    s: &Section<'_>,
    table: Option<Table>,
    max_registers: u16,
    notes: &mut Notes,
) -> Option<Codec> {
    let bits = table.map(Table::is_bits);
    let untyped = s.node("type").is_none();
    let kind = match bits {
        Some(true) if untyped => Some(Type::Bool),
        // Whether a type is needed follows from the table.
        None if untyped => None,
        Some(_) | None => {
            let missing = || Wrong::wanted(super::word::or(TYPES[..10].iter().map(|(w, _)| *w)));
            s.need("type", choice(&TYPES), missing, notes)
        }
    };
    let agree = match (bits, kind) {
        (Some(bits), Some(kind)) => agree(s, bits, kind, notes),
        (None, _) | (_, None) => false,
    };
    let settings = settings(s, kind, notes);
    let codec = match kind? {
        Type::Bool => Codec::Bool,
        Type::Bit => Codec::Bit(settings.bit?),
        Type::Text => Codec::Text {
            registers: settings.registers?,
            bytes: settings.bytes,
        },
        Type::Number(kind) => Codec::Number {
            kind,
            words: settings.words,
            bytes: settings.bytes,
            scale: settings.scale,
            offset: settings.offset,
        },
    };
    if bits == Some(false) && agree && codec.width() > max_registers {
        notes.error(
            s.at("type"),
            format!("{} registers", codec.width()),
            Wrong::wanted(format!(
                "at most {max_registers}, the profile's max_registers"
            ))
            .hint("a value is never read in two halves: they could belong to different moments"),
        );
    }
    agree.then_some(codec)
}

/// Whether what the table holds and what the type is made of are the same.
fn agree(s: &Section<'_>, bits: bool, kind: Type, notes: &mut Notes) -> bool {
    if bits == (kind == Type::Bool) {
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
    notes.error(s.at("type"), word(kind), Wrong::wanted(wanted).hint(hint));
    false
}

/// How `type:` says it.
fn word(kind: Type) -> &'static str {
    TYPES
        .iter()
        .find(|(_, t)| *t == kind)
        .map_or("", |(word, _)| *word)
}

/// What refines a type, with stand-ins for what has no meaning for it.
struct Settings {
    scale: Decimal,
    offset: Decimal,
    words: WordOrder,
    bytes: ByteOrder,
    bit: Option<u8>,
    registers: Option<u16>,
}

/// The keys there can be for a type.
const SETTINGS: [&str; 6] = ["scale", "offset", "words", "bytes", "bit", "registers"];

/// Reads the keys that `kind` allows and notes the others; without a type any
/// of them may be meant, and each is read for itself.
fn settings(s: &Section<'_>, kind: Option<Type>, notes: &mut Notes) -> Settings {
    let allowed: &[&str] = match kind {
        None => &SETTINGS,
        Some(Type::Bool) => &[],
        Some(Type::Bit) => &["bit"],
        Some(Type::Text) => &["registers", "bytes"],
        Some(Type::Number(n)) if n.registers() == 1 => &["scale", "offset", "bytes"],
        Some(Type::Number(_)) => &["scale", "offset", "bytes", "words"],
    };
    for key in SETTINGS {
        if let Some(kind) = kind
            && s.node(key).is_some()
            && !allowed.contains(&key)
        {
            let word = word(kind);
            let why = match (key, kind) {
                ("words", Type::Number(_)) => {
                    format!("{word} is one register; for swapped bytes write bytes: low")
                }
                ("registers", Type::Number(n)) => {
                    format!("{word} always takes {}", n.registers())
                }
                _ => format!("{key} has no meaning for {word}"),
            };
            notes.error(
                s.at(key),
                format!("{key} with type {word}"),
                Wrong::wanted(format!("no {key} here")).hint(why),
            );
        }
    }
    if kind == Some(Type::Bit) && s.node("bit").is_none() {
        let wrong = Wrong::wanted("0 to 15").hint("bit 0 is the least significant");
        s.lacks("bit", wrong, notes);
    }
    if kind == Some(Type::Text) && s.node("registers").is_none() {
        let wrong = Wrong::wanted("1 to 125").hint("each register holds two characters");
        s.lacks("registers", wrong, notes);
    }
    let only = |key: &str| allowed.contains(&key);
    let mut out = Settings {
        scale: Decimal::ONE,
        offset: Decimal::ZERO,
        words: WordOrder::High,
        bytes: ByteOrder::High,
        bit: None,
        registers: None,
    };
    if only("scale") {
        out.scale = s.read("scale", scale, notes).unwrap_or(out.scale);
    }
    if only("offset") {
        out.offset = s.read("offset", decimal, notes).unwrap_or(out.offset);
    }
    if only("words") {
        out.words = s.read("words", choice(&WORDS), notes).unwrap_or(out.words);
    }
    if only("bytes") {
        out.bytes = s.read("bytes", choice(&BYTES), notes).unwrap_or(out.bytes);
    }
    if only("bit") {
        out.bit = s.read("bit", whole(0..=15u8), notes);
    }
    if only("registers") {
        out.registers = s.read("registers", whole(1..=125u16), notes);
    }
    out
}

fn scale(text: &str) -> Result<Decimal, Wrong> {
    let scale = decimal(text)?;
    if scale == Decimal::ZERO {
        return Err(Wrong::wanted("a factor other than 0").hint("0 would make every value 0"));
    }
    Ok(scale)
}

fn fits(s: &Section<'_>, address: u16, codec: &Codec, notes: &mut Notes) {
    let width = codec.width();
    let last = u32::from(address) + u32::from(width) - 1;
    if last > 65535 {
        notes.error(
            s.at("address"),
            format!("{address}, for {width} registers"),
            Wrong::wanted(format!("0 to {}", 65536 - u32::from(width)))
                .hint("the last register of a table is 65535"),
        );
    }
}
