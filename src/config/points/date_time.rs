//! Dates and times of day: their fields, and their clock.

use crate::config::reader::problem::Wrong;
use crate::config::reader::section::{Notes, Section};
use crate::config::reader::word::choice;
use crate::spec::{ByteOrder, DateTime, FieldForm, TimeField, TimeLayout, UtcOffset};

use super::given::Given;

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
    given: Given,
    notes: &mut Notes,
) -> Option<DateTime> {
    let layout = s.need("layout", layout, layout_wanted, notes);
    let wanted = || {
        Wrong::wanted("registers, bcd-registers, bytes or bcd-bytes")
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
    given: Given,
    notes: &mut Notes,
) -> Option<(TimeLayout, bool, UtcOffset)> {
    let layout = s.need("layout", layout, layout_wanted, notes);
    let wanted = || Wrong::wanted("bytes or bcd-bytes");
    let bcd = choice(&[("bytes", false), ("bcd-bytes", true)]);
    let bcd = s.need("fields", bcd, wanted, notes);
    let utc_offset = given.wall_clock(s, notes);
    Some((layout?, bcd?, utc_offset))
}

fn layout_wanted() -> Wrong {
    Wrong::wanted("the fields in the order of their places, like YY MM DD hh mm ss").hint(
        "YYYY or YY, MM and DD, and as there are hh, mm, ss, ms (milliseconds), each once; WW or -- for a place to be ignored",
    )
}

/// Parses `YY MM DD hh mm ss`, with or without blanks.
pub(crate) fn layout(text: &str) -> Result<TimeLayout, Wrong> {
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

/// Parses `+08:00`, `-03:30`, `+8`, `Z`.
pub(crate) fn utc_offset(text: &str) -> Result<UtcOffset, Wrong> {
    let wanted = || Wrong::wanted("hours and minutes ahead of UTC, like +08:00, -03:30 or Z");
    if ["Z", "UTC"].contains(&text) {
        return Ok(UtcOffset::default());
    }
    let (sign, rest) = match text.split_at_checked(1) {
        Some(("+", rest)) => (1, rest),
        Some(("-", rest)) => (-1, rest),
        _ if text.contains('/') => {
            return Err(wanted()
                .hint("names of time zones are not known here; summer time is not looked at"));
        }
        _ => return Err(wanted()),
    };
    let (hours, minutes) = rest.split_once(':').unwrap_or((rest, "00"));
    let number = |text: &str, most: i16| {
        let digits = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let n = text.parse::<i16>().ok().filter(|n| digits && *n <= most);
        n.ok_or_else(wanted)
    };
    let minutes = 60 * number(hours, 14)? + number(minutes, 59)?;
    UtcOffset::from_minutes(sign * minutes).ok_or_else(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_written_with_blanks_or_without() {
        use TimeField::{Day, Hour, Minute, Month, Second, Unused, Year2, Year4};
        for (text, fields) in [
            (
                "YY MM DD hh mm ss",
                &[Year2, Month, Day, Hour, Minute, Second][..],
            ),
            (
                "YYMMDDWWhhmmss",
                &[Year2, Month, Day, Unused, Hour, Minute, Second],
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

    #[test]
    fn an_offset_is_hours_and_minutes() {
        let minutes = |text: &str| utc_offset(text).map(|o| o.as_millis() / 60_000).ok();
        for (text, expected) in [
            ("+08:00", Some(480)),
            ("+8", Some(480)),
            ("-03:30", Some(-210)),
            ("Z", Some(0)),
            ("UTC", Some(0)),
            ("+00:00", Some(0)),
            ("+14:00", Some(840)),
            ("+14:01", None),
            ("08:00", None),
            ("+08:60", None),
            ("+008", None),
            ("Asia/Shanghai", None),
            ("", None),
        ] {
            assert_eq!(minutes(text), expected, "{text}");
        }
    }
}
