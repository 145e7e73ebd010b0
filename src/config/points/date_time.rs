//! Dates and times of day: their fields, and their clock.

use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section};
use crate::config::reader::word_parsers::choice;
use crate::spec::{ByteOrder, DateTime, FieldForm, TimeField, TimeLayout, UtcOffset};

use super::value_defaults::ValueDefaults;

const FORMS: [(&str, FieldForm); 4] = [
    ("registers", FieldForm::Registers),
    ("bcd-registers", FieldForm::BcdRegisters),
    ("bytes", FieldForm::Bytes),
    ("bcd-bytes", FieldForm::BcdBytes),
];

/// Reads `layout:` and `fields:` of a point of type datetime.
pub(crate) fn read(
    s: &Section<'_>,
    bytes: ByteOrder,
    given: ValueDefaults,
    notes: &mut Notes,
) -> Option<DateTime> {
    let layout = s.need("layout", layout, layout_wanted, notes);
    let wanted = || {
        Expectation::wanted("registers, bcd-registers, bytes or bcd-bytes")
            .hint("what each field of the layout takes, and whether its digits are decimal (BCD)")
    };
    let form = s.need("fields", choice(&FORMS), wanted, notes);
    let utc_offset = given.wall_clock(s, notes);
    Some(DateTime {
        layout: layout?,
        form: form?,
        bytes,
        utc_offset,
    })
}

/// Does the same for a point of a reply without a standard: returns the fields, whether their
/// digits are decimal, and their clock.
pub(crate) fn in_bytes(
    s: &Section<'_>,
    given: ValueDefaults,
    notes: &mut Notes,
) -> Option<(TimeLayout, bool, UtcOffset)> {
    let layout = s.need("layout", layout, layout_wanted, notes);
    let wanted = || Expectation::wanted("bytes or bcd-bytes");
    let bcd = choice(&[("bytes", false), ("bcd-bytes", true)]);
    let bcd = s.need("fields", bcd, wanted, notes);
    let utc_offset = given.wall_clock(s, notes);
    Some((layout?, bcd?, utc_offset))
}

fn layout_wanted() -> Expectation {
    Expectation::wanted("the fields in the order of their places, like YY MM DD hh mm ss").hint(
        "YYYY or YY, MM and DD, and as there are hh, mm, ss, ms (milliseconds), each once; WW or -- for a place to be ignored",
    )
}

/// Parses `YY MM DD hh mm ss`, with or without blanks.
pub(crate) fn layout(text: &str) -> Result<TimeLayout, Expectation> {
    let mut fields = Vec::new();
    for word in text.split_whitespace() {
        let mut rest = word;
        while !rest.is_empty() {
            let found = TimeField::ALL
                .iter()
                .find_map(|(word, field)| Some((*field, rest.strip_prefix(word)?)));
            let (field, after) = found.ok_or_else(layout_wanted)?;
            fields.push(field);
            rest = after;
        }
    }
    TimeLayout::new(&fields).ok_or_else(layout_wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_written_with_blanks_or_without() {
        use TimeField::{Day, Hour, Minute, Month, Second, Unused, Weekday, Year2, Year4};
        for (text, fields) in [
            (
                "YY MM DD hh mm ss",
                &[Year2, Month, Day, Hour, Minute, Second][..],
            ),
            (
                "YYMMDDWWhhmmss",
                &[Year2, Month, Day, Weekday, Hour, Minute, Second],
            ),
            (
                "ss mm hh DD MM YYYY",
                &[Second, Minute, Hour, Day, Month, Year4],
            ),
            ("YYYY -- MM DD", &[Year4, Unused, Month, Day]),
        ] {
            let layout = layout(text).unwrap();
            assert_eq!(layout.fields(), fields, "{text}");
        }
        for text in [
            "",
            "YY MM",
            "YY YYYY MM DD",
            "MM MM DD YY",
            "YY-MM-DD",
            "yy mm dd",
            "YYMMDDx",
            "YY MM DD hh mm ss ms -- -- -- -- -- -- --",
        ] {
            assert!(layout(text).is_err(), "{text}");
        }
    }
}
