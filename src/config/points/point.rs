//! A point of a profile: where its value is, and how registers become the value.

use std::collections::{BTreeMap, BTreeSet};

use super::by_id::{NamedPoint, PointsById};
use super::codec;
use super::measure::{self, MeasureDraft, ScaleFrom};
use super::naming::Naming;
use super::value_defaults::ValueDefaults;
use super::write::{self, WriteDraft, WriteFacts};
use crate::base::text::counted;
use crate::config::reader::foreign_words;
use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section, shown};
use crate::config::reader::suggestions;
use crate::config::reader::tree::{Node, NodeContent, OriginId};
use crate::config::reader::word_parsers::{choice, identifier, whole};
use crate::config::sections::times::{Times, Timing};
use crate::spec::{
    Codec, Decimal, ModbusAddress, Number, Part, PointAddress, PointSpec, ReportPolicy, Sign,
    States, Table,
};

const KEYS: [&str; 39] = [
    "id",
    "table",
    "address",
    "type",
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

pub(crate) const TABLES: [(&str, Table); 4] = [
    ("coil", Table::Coil),
    ("discrete", Table::DiscreteInput),
    ("holding", Table::HoldingRegister),
    ("input", Table::InputRegister),
];

/// A point that may still need another point of its profile.
pub(crate) struct Draft<'a> {
    pub(crate) id: String,
    address: ModbusAddress,
    codec: Codec,
    timing: Timing,
    titles: Option<States>,
    naming: Naming,
    /// Where the id of the point stands.
    pub(crate) at: OriginId,
    /// Where the width of the point is given.
    wide_at: OriginId,
    address_at: OriginId,
    /// The measure, if the point is more than a plain number at one address.
    measure_draft: Option<MeasureDraft>,
    /// What `write:` says, if the point may be written.
    write: Option<WriteDraft<'a>>,
    /// Whether address, table and type are right.
    is_valid: bool,
}

/// Reads one point; `times` and `given` are those of its profile.
pub(crate) fn read<'a>(
    node: &'a Node,
    times: Times,
    given: ValueDefaults,
    notes: &mut Notes,
) -> Option<Draft<'a>> {
    let s = Section::open(node, &KEYS, notes);
    if !s.is_there() {
        return None;
    }
    let id = s.need(
        "id",
        identifier,
        || Expectation::wanted("the identifier of the property in the thing model"),
        notes,
    );
    let table = s.need(
        "table",
        choice(&TABLES),
        || {
            let wrong = Expectation::wanted("coil, discrete, holding or input");
            wrong.maybe_hint(table_of(&s))
        },
        notes,
    );
    if s.node("address").is_none() && s.node("parts").is_none() {
        s.lacks(
            "address",
            Expectation::wanted("the 0-based address, 0 to 65535"),
            notes,
        );
    }
    let address = s.read(
        "address",
        |text| whole(0..=65535u16)(text).map_err(|wrong| wrong.maybe_hint(notation(text, table))),
        notes,
    );
    if let Some(address) = address {
        suspect(&s, address, table, notes);
    }
    let (kind, agree) = codec::kind(&s, table.map(Table::is_bits), notes);
    let refined = codec::refined(&s, kind, given, notes);
    let measure_draft = refined
        .number()
        .map(|kind| measure::read(&s, &refined, kind, given, notes))
        .filter(|measure_draft| !measure_draft.is_plain());
    let timing = times.of(&s, notes);
    let titles = codec::titles(&s, kind, notes);
    let codec = refined.codec().filter(|_| agree);
    let naming = Naming::read(&s, notes);
    let first = measure_draft
        .as_ref()
        .and_then(|s| s.parts.first())
        .map(|p| p.0);
    let start = address.or(first);
    Some(Draft {
        is_valid: start.is_some() && codec.is_some(),
        id: id.unwrap_or_default(),
        address: ModbusAddress {
            table: table.unwrap_or(Table::HoldingRegister),
            start: start.unwrap_or_default(),
        },
        codec: codec.unwrap_or(Codec::Bool),
        timing,
        titles,
        naming,
        at: s.at("id"),
        address_at: s.at(match address {
            Some(_) => "address",
            None => "parts",
        }),
        wide_at: s.at(["scale_from", "parts", "sign_from", "layout"]
            .into_iter()
            .find(|key| s.node(key).is_some())
            .unwrap_or("type")),
        measure_draft,
        write: write::read(&s, notes),
    })
}

/// The points of a profile.
#[derive(Default)]
pub(crate) struct Points {
    pub(crate) all: Vec<PointSpec>,
    /// The indices of those whose address, table or type is wrong.
    pub(crate) wrong: BTreeSet<u16>,
}

/// Returns the points, with the addresses of all registers that their values need, and with how
/// they are written. `complete` says whether every entry of the list became a draft.
pub(crate) fn finish(
    drafts: Vec<Draft<'_>>,
    complete: bool,
    max_registers: u16,
    facts: WriteFacts,
    notes: &mut Notes,
) -> Points {
    let scale = |d: &Draft<'_>| Scale {
        address: d.is_valid.then_some(d.address),
        fits: d.is_a_power(),
    };
    let scales: Scales = drafts.iter().map(|d| (d.id.clone(), scale(d))).collect();
    let mut points = Points::default();
    let mut writes = Vec::new();
    for (index, mut draft) in (0u16..).zip(drafts) {
        if let Some(measure_draft) = draft.measure_draft.take()
            && draft.is_valid
        {
            draft.lay_out(measure_draft, &scales, notes);
        }
        if draft.is_valid {
            draft.fits(max_registers, notes);
        } else {
            points.wrong.insert(index);
        }
        writes.extend(draft.write.take().map(|write| (index, write)));
        points.all.push(draft.point(notes));
    }
    points.write(writes, complete, facts, notes);
    points
}

impl Points {
    /// Adds how the points with these indices are written.
    pub(crate) fn write(
        &mut self,
        drafts: Vec<(u16, WriteDraft<'_>)>,
        complete: bool,
        facts: WriteFacts,
        notes: &mut Notes,
    ) {
        let by_id = PointsById::new(&self.all, &self.wrong, complete);
        let mut policies = Vec::with_capacity(drafts.len());
        for (index, draft) in drafts {
            let Some(spec) = self.all.get(usize::from(index)) else {
                continue;
            };
            let is_right = !self.wrong.contains(&index);
            let point = NamedPoint {
                index,
                spec,
                is_right,
            };
            policies.push((index, draft.policy(point, &by_id, facts, notes)));
        }
        for (index, policy) in policies {
            if let Some(point) = self.all.get_mut(usize::from(index)) {
                point.write = Some(Box::new(policy));
            }
        }
    }
}

/// Possible powers of ten, by the ids of their points.
type Scales = BTreeMap<String, Scale>;

/// A point as seen from another point that needs its power of ten.
struct Scale {
    /// The address of the point, unless it is wrong.
    address: Option<ModbusAddress>,
    /// Whether the point holds a power of ten.
    fits: bool,
}

impl Draft<'_> {
    /// Returns the point.
    fn point(self, notes: &mut Notes) -> PointSpec {
        // Whether a policy fits a value that is wrong itself is not known.
        let report = match self.is_valid {
            true => self.timing.report(&self.codec, notes),
            false => ReportPolicy::All,
        };
        let codec = self.is_valid.then_some(&self.codec);
        let titles = (self.timing.stale_after, self.titles);
        PointSpec {
            id: self.id,
            shown: self.naming.shown(codec, titles, notes),
            address: PointAddress::Modbus(self.address),
            codec: self.codec,
            interval: self.timing.interval,
            priority: self.timing.priority,
            report,
            write: None,
        }
    }

    fn is_a_power(&self) -> bool {
        let plain = |scale, offset| scale == Decimal::ONE && offset == Decimal::ZERO;
        match (&self.measure_draft, &self.codec) {
            (
                None,
                Codec::Number {
                    kind: Number::I16,
                    scale,
                    offset,
                    ..
                },
            ) => plain(*scale, *offset),
            (Some(measure_draft), Codec::Number { kind, .. }) => {
                let m = &measure_draft.measure;
                *kind == Number::I16
                    && plain(m.scale, m.offset)
                    && m.bits.is_none()
                    && m.round.is_none()
                    && m.sign.is_none()
                    && measure_draft.parts.is_empty()
                    && measure_draft.scale_from.is_none()
            }
            _ => false,
        }
    }

    /// Counts the addresses of the measure from the lowest of them.
    fn lay_out(&mut self, measure_draft: MeasureDraft, scales: &Scales, notes: &mut Notes) {
        let MeasureDraft {
            mut measure,
            mut parts,
            scale_from,
            sign_from,
        } = measure_draft;
        if parts.is_empty() {
            let one = measure.parts.first().map(|p| (self.address.start, *p));
            parts.extend(one);
        }
        let power = match scale_from {
            None => None,
            Some((from, at)) => {
                let found = self.power(from, at, scales, notes);
                self.is_valid &= found.is_some();
                found
            }
        };
        let addresses = parts.iter().map(|(address, _)| *address);
        let addresses = addresses.chain(power).chain(sign_from);
        let lowest = addresses.min().unwrap_or(self.address.start);
        self.address.start = lowest;
        measure.parts = parts
            .into_iter()
            .map(|(address, part)| Part {
                at: address - lowest,
                ..part
            })
            .collect();
        measure.power = power.map(|address| address - lowest);
        if let (Some(address), Some(Sign::Register { at, .. })) = (sign_from, &mut measure.sign) {
            *at = address - lowest;
        }
        self.codec = Codec::Measure(Box::new(measure));
    }

    /// Returns the address of the power of ten.
    fn power(
        &self,
        from: ScaleFrom,
        at: OriginId,
        scales: &Scales,
        notes: &mut Notes,
    ) -> Option<u16> {
        let id = match from {
            ScaleFrom::Address(address) => return Some(address),
            ScaleFrom::Point(id) => id,
        };
        let Some(scale) = scales.get(&id) else {
            let known = scales.keys().map(String::as_str);
            let meant = || suggestions::did_you_mean(&id, known);
            let wrong = Expectation::wanted("the id of a point of this profile, or an address")
                .maybe_hint(notes.unless_full(meant));
            notes.error(at, shown(&id), wrong);
            return None;
        };
        let ModbusAddress { table, start } = scale.address?;
        if !scale.fits {
            let wrong =
                Expectation::wanted("a point of type i16 without scale, offset, bits or parts")
                    .hint("it holds a power of ten, -10 to 10");
            notes.error(at, shown(&id), wrong);
            return None;
        }
        if table != self.address.table {
            let wrong = Expectation::wanted("a point of the same table")
                .hint("value and factor are read by one request, so that they belong together");
            notes.error(at, shown(&id), wrong);
            return None;
        }
        Some(start)
    }

    /// Notes a point that one request cannot read, or that reaches beyond the end of the table.
    fn fits(&self, max_registers: u16, notes: &mut Notes) {
        let width = match &self.codec {
            // The distance may be larger than a number of registers can express.
            Codec::Measure(m) => m.extent(),
            codec => u32::from(codec.width()),
        };
        if !self.address.table.is_bits() && width > u32::from(max_registers) {
            notes.error(
                self.wide_at,
                counted(width, "register"),
                Expectation::wanted(format!(
                    "at most {max_registers}, the profile's max_registers"
                ))
                .hint(match self.codec {
                    Codec::Measure(_) => "everything a value is made of is read by one request: it could belong to different moments",
                    _ => "a value is never read in two halves: they could belong to different moments",
                }),
            );
        }
        let address = self.address.start;
        if u32::from(address) + width > 0x1_0000 {
            notes.error(
                self.address_at,
                format!("{address}, for {}", counted(width, "register")),
                Expectation::wanted(format!("0 to {}", 0x1_0000u32.saturating_sub(width)))
                    .hint("the last register of a table is 65535"),
            );
        }
    }
}

/// Returns the table of an address that contains its table, as manuals write it.
fn table_of(s: &Section<'_>) -> Option<String> {
    let NodeContent::Text(text) = &s.node("address")?.is else {
        return None;
    };
    let (table, name) = match (
        foreign_words::address(text),
        text.as_bytes(),
        text.parse::<u32>(),
    ) {
        (Some((_, table)), _, _) => (table, text.as_str()),
        (None, [first, ..], Ok(10_001..=49_999 | 100_001..=465_536)) => match first {
            b'4' => ("holding", "4xxxx"),
            b'3' => ("input", "3xxxx"),
            b'1' => ("discrete", "1xxxx"),
            _ => return None,
        },
        _ => return None,
    };
    Some(format!("{name} in a manual is table: {table}"))
}

/// Returns the meaning of an address that is too high, if it is from a manual that counts from
/// 400001.
fn notation(text: &str, table: Option<Table>) -> Option<String> {
    if let Some((address, table)) = foreign_words::address(text) {
        return Some(format!("{text} is table: {table}, address: {address} here"));
    }
    let n: u32 = text.parse().ok()?;
    let other = match (table, n) {
        (Some(Table::InputRegister), 400_001..=465_536) => Some(("holding", 400_001)),
        (Some(Table::HoldingRegister), 300_001..=365_536) => Some(("input", 300_001)),
        _ => None,
    };
    if let Some((name, base)) = other {
        return Some(format!(
            "in a manual that is table: {name}, address: {}",
            n - base
        ));
    }
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

/// Warns of an address that is allowed but looks as if it were copied from a manual that counts
/// from 40001.
fn suspect(s: &Section<'_>, address: u16, table: Option<Table>, notes: &mut Notes) {
    let (base, name, other) = match (table, address) {
        (Some(Table::HoldingRegister), 30_001..=39_999) => (30_001, "3", "table: input, "),
        (Some(Table::InputRegister), 40_001..=49_999) => (40_001, "4", "table: holding, "),
        (Some(Table::HoldingRegister), _) => (40_001, "4", ""),
        (Some(Table::InputRegister), _) => (30_001, "3", ""),
        (Some(Table::DiscreteInput), _) => (10_001, "1", ""),
        (Some(Table::Coil) | None, _) => return,
    };
    let written_in_decimal = matches!(s.node("address").map(|n| &n.is), Some(NodeContent::Text(t)) if !t.starts_with("0x"));
    if written_in_decimal && (base..base + 9999).contains(&address) {
        notes.warning(
            s.at("address"),
            address.to_string(),
            Expectation::wanted("a 0-based address").hint(format!(
                "if this is \"{name}xxxx\" notation, write {}{}; if it is really meant, write {address:#06x}",
                match other {
                    "" => String::new(),
                    other => format!("{other}address: "),
                },
                address - base
            )),
        );
    }
}
