//! `as:`: the data type of a value in the thing model, where it does not follow from how the
//! value is read; and what else a profile says about the values of all its points.

use crate::config::points::utc_offset::utc_offset;
use crate::config::reader::problem::Wrong;
use crate::config::reader::section::{Notes, Section};
use crate::config::reader::tree::Is;
use crate::config::reader::word::choice;
use crate::spec::{NumberType, UtcOffset, WordOrder};

/// The values of `as:` for a number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum As {
    Int,
    Float,
    Double,
    Enum,
    Text,
    Date,
}

const WORDS: [(&str, As); 6] = [
    ("int", As::Int),
    ("float", As::Float),
    ("double", As::Double),
    ("enum", As::Enum),
    ("text", As::Text),
    ("date", As::Date),
];

/// The values of `words:`.
const WORD_ORDERS: [(&str, WordOrder); 2] = [("high", WordOrder::High), ("low", WordOrder::Low)];

/// The values of `as:` for all numbers of a profile.
const OF_ALL: [(&str, As); 4] = [
    ("int", As::Int),
    ("float", As::Float),
    ("double", As::Double),
    ("text", As::Text),
];

/// What a profile says about the values of all its points, unless they say otherwise.
#[derive(Clone, Copy, Default)]
pub(crate) struct Given {
    number: Option<As>,
    utc_offset: Option<UtcOffset>,
    words: Option<WordOrder>,
}

impl Given {
    /// Reads the values of this profile.
    pub(crate) fn read(profile: &Section<'_>, notes: &mut Notes) -> Given {
        Given {
            number: profile.read("as", choice(&OF_ALL), notes),
            utc_offset: profile.read("utc_offset", utc_offset, notes),
            words: profile.read("words", choice(&WORD_ORDERS), notes),
        }
    }

    /// Returns the order of the registers of a number of this point: the more significant one comes
    /// first, unless the point or the profile says otherwise.
    pub(crate) fn words(self, s: &Section<'_>, notes: &mut Notes) -> WordOrder {
        let own = s.read("words", choice(&WORD_ORDERS), notes);
        own.or(self.words).unwrap_or(WordOrder::High)
    }

    /// Returns the clock of this point, if one is given.
    pub(crate) fn clock(self, s: &Section<'_>, notes: &mut Notes) -> Option<UtcOffset> {
        let own = s.read("utc_offset", utc_offset, notes);
        own.or(self.utc_offset)
    }

    /// Returns the clock of a point that shows a date and a time of day: a clock that people set,
    /// and rarely to UTC.
    pub(crate) fn wall_clock(self, s: &Section<'_>, notes: &mut Notes) -> UtcOffset {
        let said = self.clock(s, notes);
        if said.is_none() && s.node("utc_offset").is_none() {
            notes.warning(
                s.origin,
                "a date without utc_offset",
                Wrong::wanted(
                    "how far the clock of the device is ahead of UTC, like utc_offset: +08:00",
                )
                .hint("taken as +00:00, UTC; in the profile it is that of all its points"),
            );
        }
        said.unwrap_or_default()
    }

    /// Returns the data type of a number, if `as:` gives one; `of` is the data type otherwise.
    pub(crate) fn number(
        self,
        s: &Section<'_>,
        of: NumberType,
        notes: &mut Notes,
    ) -> Option<NumberType> {
        let own = s.read("as", choice(&WORDS), notes);
        let titled = s.node("values").is_some();
        let flags = s.node("bits").is_some() || s.node("mask").is_some();
        if titled && !matches!(own, None | Some(As::Int | As::Enum)) {
            let wrong = Wrong::wanted("int or enum, or no as at all");
            notes.error(
                s.at("as"),
                "as with values",
                wrong.hint("values are whole numbers out of a list"),
            );
        }
        let whole = matches!(own, Some(As::Int | As::Enum | As::Date));
        if let Some(places) = s.node("round").filter(|_| whole)
            && !matches!(&places.is, Is::Text(text) if text == "0")
        {
            let wrong = Wrong::wanted("round: 0, or as: double");
            notes.error(
                s.at("round"),
                "decimals of a whole number",
                wrong.hint("a whole number has none; as: int rounds by itself"),
            );
        }
        if own != Some(As::Date) && s.node("utc_offset").is_some() {
            let wrong = Wrong::wanted("no utc_offset here");
            notes.error(
                s.at("utc_offset"),
                "utc_offset of a number that is no date",
                wrong.hint("with as: date the number is seconds since 1970-01-01 00:00"),
            );
        }
        let said = match own {
            Some(own) => Some(own),
            None if titled || flags || s.node("as").is_some() => None,
            None => self.number,
        };
        match said {
            Some(As::Int) => Some(NumberType::Int),
            Some(As::Float) => Some(NumberType::Float),
            Some(As::Double) => Some(NumberType::Double),
            Some(As::Enum) => Some(NumberType::Enum),
            Some(As::Text) => Some(NumberType::Text),
            Some(As::Date) => {
                let clock = self.clock(s, notes).unwrap_or_default();
                Some(NumberType::Date(clock))
            }
            // A scale written 1.0 means a number with decimals.
            None if has_point(s) && s.node("round").is_none() && !titled => {
                Some(NumberType::Double)
            }
            None => None,
        }
        .filter(|said| *said != of)
    }
}

/// Whether a factor or an addend is written with a decimal point.
fn has_point(s: &Section<'_>) -> bool {
    let point = |key: &&str| {
        let node = s.node(key).map(|n| &n.is);
        matches!(node, Some(Is::Text(text)) if text.contains('.'))
    };
    ["scale", "offset"].iter().any(point)
}
