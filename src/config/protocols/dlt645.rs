//! Points of a profile with `protocol: dlt645-2007` or `dlt645-1997`: a datum of the standard by
//! its name, or any datum by its identifier and format.

use crate::config::points::codec::factor;
use crate::config::points::date_time;
use crate::config::points::naming::Naming;
use crate::config::points::value_defaults::ValueDefaults;
use crate::config::points::write;
use crate::config::protocols::drafts::Drafts;
use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section};
use crate::config::reader::suggestions;
use crate::config::reader::word_parsers::{choice, decimal, identifier, whole};
use crate::config::sections::times::{Times, Timing};
use crate::spec::dlt645::{
    DataIdentifier, DataItem, Edition, Format, Layout, MeterAddress, ValuePosition, item,
};
use crate::spec::{
    Codec, DatumAddress, Decimal, ItemIndex, NumberType, PointAddress, PointSpec, ReportPolicy,
};

const KEYS: [&str; 19] = [
    "id",
    "data",
    "format",
    "value",
    "at",
    "scale",
    "offset",
    "as",
    "utc_offset",
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

/// The most questions of a profile: more than a device has, and as many as one byte can count.
const MOST: usize = 255;

/// Reads all points; returns them with the items they are read from and the position of each id.
pub(crate) fn points<'a>(
    profile: &Section<'a>,
    edition: Edition,
    times: Times,
    given: ValueDefaults,
    notes: &mut Notes,
) -> (Drafts<'a>, Vec<DataItem>) {
    let mut drafts = Drafts::default();
    let (mut items, list) = (Vec::new(), profile.list("points", notes));
    for node in list {
        let s = Section::open(node, &KEYS, notes);
        if !s.is_there() {
            continue;
        }
        let write = write::read(&s, notes);
        let errors = notes.errors();
        let Some(draft) = one(&s, edition, times, given, notes) else {
            continue;
        };
        let is_right = notes.errors() == errors;
        let item = draft.item;
        let known = items.iter().position(|i: &DataItem| i.id == item.id);
        let which = match known.and_then(|i| Some((i, items.get_mut(i)?))) {
            Some((i, known)) => {
                *known = known.joined(item);
                i
            }
            None => {
                items.push(item);
                items.len() - 1
            }
        };
        drafts.origins.push(s.at("id"));
        let index = u16::try_from(drafts.points.all.len()).unwrap_or(u16::MAX);
        if !is_right {
            drafts.points.wrong.insert(index);
        }
        drafts.writes.extend(write.map(|write| (index, write)));
        let which = ItemIndex(u16::try_from(which).unwrap_or(u16::MAX));
        drafts.points.all.push(draft.point(which, notes));
    }
    if items.len() > MOST {
        notes.error(
            profile.at("points"),
            format!("{} different data", items.len()),
            Expectation::wanted(format!("at most {MOST}")),
        );
    }
    drafts.complete = drafts.points.all.len() == list.len() && !profile.is_no_list("points");
    (drafts, items)
}

/// A point whose datum has no index yet.
struct Draft {
    id: String,
    item: DataItem,
    position: ValuePosition,
    codec: Codec,
    timing: Timing,
    report: ReportPolicy,
    naming: Naming,
}

impl Draft {
    /// Returns the point, in the reply to the item of this index.
    fn point(self, item: ItemIndex, notes: &mut Notes) -> PointSpec {
        let position = self.position;
        let titles = (self.timing.stale_after, None);
        let shown = self.naming.shown(Some(&self.codec), titles, notes);
        PointSpec {
            id: self.id,
            address: PointAddress::Dlt645(DatumAddress { item, position }),
            codec: self.codec,
            interval: self.timing.interval,
            priority: self.timing.priority,
            report: self.report,
            write: None,
            shown,
        }
    }
}

fn one(
    s: &Section<'_>,
    edition: Edition,
    times: Times,
    given: ValueDefaults,
    notes: &mut Notes,
) -> Option<Draft> {
    let id = s.need(
        "id",
        identifier,
        || Expectation::wanted("the identifier of the property in the thing model"),
        notes,
    );
    let timing = times.of(s, notes);
    let data = s.need(
        "data",
        |text| data(text, edition),
        || Expectation::wanted("what to read, like energy-active-forward"),
        notes,
    );
    let format = s.read("format", format, notes);
    let scale = s.read("scale", factor, notes).unwrap_or(Decimal::ONE);
    let offset = s.read("offset", decimal, notes).unwrap_or(Decimal::ZERO);
    let at = s.read("at", whole(0..=u16::MAX), notes);
    let numbered = matches!(data, Some(Data::Numbered(_)));
    if let Some(other) = ["value", "at"].into_iter().find(|k| s.node(k).is_some())
        && s.node("at").is_some()
        && (!numbered || other == "value")
        && data.is_some()
    {
        let wrong = Expectation::wanted("either value: or at:, and at: only with an identifier")
            .hint("value: counts the values of a block of one format, at: the bytes in front of a value behind the identifier");
        notes.error(s.at("at"), "at", wrong);
    }
    let item = match (data?, format) {
        (Data::Named(_), Some(_)) => {
            notes.error(
                s.at("format"),
                "format",
                Expectation::wanted("no format here")
                    .hint("the standard defines the format of the data that it has a name for"),
            );
            return None;
        }
        (Data::Named(item), None) => item,
        (Data::Numbered(id), Some(format)) => DataItem {
            id,
            format,
            layout: layout(s, format, at),
        },
        (Data::Numbered(_), None) => {
            if s.node("format").is_none() {
                s.lacks(
                    "format",
                    Expectation::wanted("how the datum is written, like XXXXXX.XX")
                        .hint("each X is a digit, two to a byte; ± in front if the highest bit is the sign; or date, time, digits 6, text 4, bits 2"),
                    notes,
                );
            }
            return None;
        }
    };
    let values = item.values();
    // `value:` beside `at:` is noted already.
    let by_value = s.node("at").is_none();
    let which = by_value
        .then(|| s.read("value", whole(1..=values), notes))
        .flatten();
    if which.is_none() && values > 1 && by_value && s.node("value").is_none() {
        s.lacks(
            "value",
            Expectation::wanted(format!("which value of the block, 1 to {values}")),
            notes,
        );
    }
    let which = which.unwrap_or(1);
    let item = DataItem {
        layout: match item.layout {
            Layout::Block { about, most } => Layout::Block {
                about: about.max(which),
                most,
            },
            other => other,
        },
        ..item
    };
    let is_number = matches!(item.format, Format::Number { .. } | Format::Peak { .. });
    if !is_number
        && let Some(key) = ["scale", "offset"]
            .into_iter()
            .find(|k| s.node(k).is_some())
    {
        notes.error(
            s.at(key),
            key,
            Expectation::wanted(format!("no {key} here")).hint("this datum is no number"),
        );
    }
    let (item, number_type) = number_type(s, item, (scale, offset), given, notes);
    let codec = Codec::Datum {
        item,
        scale,
        offset,
        number_type,
    };
    let report = timing.report(&codec, notes);
    Some(Draft {
        id: id.unwrap_or_default(),
        item,
        position: at.map_or(
            ValuePosition::Value(which.saturating_sub(1)),
            ValuePosition::Byte,
        ),
        codec,
        timing,
        report,
        naming: Naming::read(s, notes),
    })
}

/// Returns the layout of a reply whose datum has no name of the standard here.
fn layout(s: &Section<'_>, format: Format, at: Option<u16>) -> Layout {
    match at {
        Some(at) => {
            let own = u16::try_from(format.bytes()).unwrap_or(u16::MAX);
            Layout::Bytes {
                about: at.saturating_add(own),
            }
        }
        None if s.node("value").is_some() => Layout::Block {
            about: 2,
            most: u8::MAX,
        },
        None => Layout::One,
    }
}

/// Returns the datum's type in the thing model, if it is given, and the item with its format: a
/// date with `as: date` is read as a date.
fn number_type(
    s: &Section<'_>,
    item: DataItem,
    (scale, offset): (Decimal, Decimal),
    given: ValueDefaults,
    notes: &mut Notes,
) -> (DataItem, Option<NumberType>) {
    if let Some(of) = item.format.number_type(scale, offset, None) {
        // Bits are no quantity, and the profile's values are for quantities.
        let given = match item.format {
            Format::Bits(_) => ValueDefaults::default(),
            _ => given,
        };
        return (item, given.number(s, of, notes));
    }
    let said = s.read("as", choice(&[("text", false), ("date", true)]), notes);
    let is_date = matches!(item.format, Format::DateTime(_)) || said == Some(true);
    if !is_date && s.node("utc_offset").is_some() {
        let wrong = Expectation::wanted("no utc_offset here").hint("only as: date has one");
        notes.error(s.at("utc_offset"), "utc_offset of what is no date", wrong);
    }
    let date = match item.format {
        Format::DateTime(layout) => Some((layout, said != Some(false))),
        Format::Date => date_time::layout("YYMMDDWW")
            .ok()
            .map(|layout| (layout, said == Some(true))),
        _ => None,
    };
    match date {
        Some((layout, true)) => {
            let clock = given.wall_clock(s, notes);
            let format = Format::DateTime(layout);
            (DataItem { format, ..item }, Some(NumberType::Date(clock)))
        }
        Some((_, false)) if item.format == Format::Date => (item, None),
        _ => {
            if said.is_some_and(|date| date != matches!(item.format, Format::DateTime(_))) {
                let wanted = match item.format {
                    Format::DateTime(_) => "date, or no as at all",
                    _ => "text, or no as at all",
                };
                let wrong = Expectation::wanted(wanted).hint("a time of day alone is no date");
                notes.error(s.at("as"), "as of what it is not", wrong);
            }
            (item, None)
        }
    }
}

enum Data {
    Named(DataItem),
    Numbered(DataIdentifier),
}

fn data(text: &str, edition: Edition) -> Result<Data, Expectation> {
    if let Some(item) = item::find(edition, text) {
        return Ok(Data::Named(item));
    }
    let digits = match edition {
        Edition::Y1997 => 4,
        Edition::Y2007 => 8,
    };
    let hexadecimal = text.bytes().all(|b| b.is_ascii_hexdigit());
    if hexadecimal && text.len() == digits {
        let id = match edition {
            Edition::Y1997 => u16::from_str_radix(text, 16)
                .ok()
                .map(DataIdentifier::Y1997),
            Edition::Y2007 => u32::from_str_radix(text, 16)
                .ok()
                .map(DataIdentifier::Y2007),
        };
        if let Some(id) = id {
            return Ok(Data::Numbered(id));
        }
    }
    let wrong = Expectation::wanted(format!(
        "the name of a datum, like energy-active-forward, or its identifier of {digits} hexadecimal digits in quotes"
    ));
    Err(wrong.maybe_hint(suggestions::did_you_mean(text, item::names(edition))))
}

/// Parses `XXXXXX.XX`, `±XX.XXXX`, `date`, `time`, `digits 6`, `text 4`, `bits 2`.
fn format(text: &str) -> Result<Format, Expectation> {
    let wanted = || {
        Expectation::wanted(
            "a format like XXXXXX.XX, ±XX.XXXX, date, time, digits 6, text 4 or bits 2",
        )
        .hint("each X is a decimal digit, two to a byte; ± says that the highest bit is the sign")
    };
    let sized = |n: &str, most: u8| whole(1..=most)(n).map_err(|_| wanted());
    match text.split_once(' ') {
        Some(("digits", n)) => return sized(n, 32).map(Format::Digits),
        Some(("text", n)) => return sized(n, 32).map(Format::Text),
        Some(("bits", n)) => return sized(n, 8).map(Format::Bits),
        _ => {}
    }
    match text {
        "date" => return Ok(Format::Date),
        "time" => return Ok(Format::Time),
        // Every layout has a day.
        _ if text.contains("DD") => return date_time::layout(text).map(Format::DateTime),
        _ => {}
    }
    let (signed, digits) = match text.strip_prefix('±') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (before, behind) = digits.split_once('.').unwrap_or((digits, ""));
    let all = before.len() + behind.len();
    let only_digits = before.bytes().chain(behind.bytes()).all(|b| b == b'X');
    let whole_bytes = all.is_multiple_of(2) && (2..=16).contains(&all);
    let point_has_digits = !digits.ends_with('.') && !before.is_empty();
    match (u8::try_from(all / 2), u8::try_from(behind.len())) {
        (Ok(bytes), Ok(places)) if only_digits && whole_bytes && point_has_digits => {
            Ok(Format::Number {
                bytes,
                places,
                signed,
            })
        }
        _ => Err(wanted()),
    }
}

/// Parses a meter's address, twelve digits; or `any` and other wildcards, which a meter answers
/// that is alone on its line.
pub(crate) fn address(text: &str) -> Result<MeterAddress, Expectation> {
    if text == "any" {
        return Ok(MeterAddress::ANY);
    }
    MeterAddress::parse_wildcard(text)
        .ok()
        .filter(|a| *a != MeterAddress::BROADCAST)
        .ok_or_else(|| {
            Expectation::wanted("the twelve digits printed on the meter").hint(
                "with all leading zeros, like address: \"000000123456\"; a meter that is alone on its line also answers address: any",
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn number(bytes: u8, places: u8, signed: bool) -> Format {
        Format::Number {
            bytes,
            places,
            signed,
        }
    }

    #[test]
    fn formats_are_written_as_the_standard_prints_them() {
        for (text, is) in [
            ("XXXXXX.XX", number(4, 2, false)),
            ("XXX.X", number(2, 1, false)),
            ("±XX.XXXX", number(3, 4, true)),
            ("XXXX", number(2, 0, false)),
            ("date", Format::Date),
            ("digits 6", Format::Digits(6)),
            ("bits 2", Format::Bits(2)),
        ] {
            assert_eq!(format(text).ok(), Some(is), "{text}");
        }
        for text in [
            "", "X", "XXX", ".XX", "XX.", "XX.X.X", "-XX", "digits", "digits 0", "bits 9",
        ] {
            assert!(format(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_identifier_belongs_to_its_year() {
        for (text, edition, fits) in [
            ("9010", Edition::Y1997, true),
            ("9010", Edition::Y2007, false),
            ("00010000", Edition::Y2007, true),
            ("00010000", Edition::Y1997, false),
            ("voltage-a", Edition::Y1997, true),
            ("frequency", Edition::Y1997, false),
        ] {
            assert_eq!(data(text, edition).is_ok(), fits, "{text}");
        }
    }
}
