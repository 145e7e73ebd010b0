//! `as:`: the data type of a value in the thing model, where it does not follow from how the
//! value is read; and what else a profile says about the values of all its points.

use crate::config::points::utc_offset::utc_offset;
use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section};
use crate::config::reader::tree::NodeContent;
use crate::config::reader::word_parsers::choice;
use crate::spec::{NumberType, UtcOffset, WordOrder};

/// The values of `as:` for a number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumberAs {
    Int,
    Float,
    Double,
    Enum,
    Text,
    Date,
}

const WORDS: [(&str, NumberAs); 6] = [
    ("int", NumberAs::Int),
    ("float", NumberAs::Float),
    ("double", NumberAs::Double),
    ("enum", NumberAs::Enum),
    ("text", NumberAs::Text),
    ("date", NumberAs::Date),
];

/// The values of `words:`.
const WORD_ORDERS: [(&str, WordOrder); 2] = [("high", WordOrder::High), ("low", WordOrder::Low)];

/// The values of `as:` for all numbers of a profile.
const OF_ALL: [(&str, NumberAs); 4] = [
    ("int", NumberAs::Int),
    ("float", NumberAs::Float),
    ("double", NumberAs::Double),
    ("text", NumberAs::Text),
];

/// What a profile says about the values of all its points, unless they say otherwise.
#[derive(Clone, Copy, Default)]
pub(crate) struct ValueDefaults {
    number: Option<NumberAs>,
    utc_offset: Option<UtcOffset>,
    words: Option<WordOrder>,
}

impl ValueDefaults {
    /// Reads the values of this profile.
    pub(crate) fn read(profile: &Section<'_>, notes: &mut Notes) -> ValueDefaults {
        ValueDefaults {
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
                Expectation::wanted(
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
        if titled && !matches!(own, None | Some(NumberAs::Int | NumberAs::Enum)) {
            let wrong = Expectation::wanted("int or enum, or no as at all");
            notes.error(
                s.at("as"),
                "as with values",
                wrong.hint("values are whole numbers out of a list"),
            );
        }
        let whole = matches!(own, Some(NumberAs::Int | NumberAs::Enum | NumberAs::Date));
        if let Some(places) = s.node("round").filter(|_| whole)
            && !matches!(&places.is, NodeContent::Text(text) if text == "0")
        {
            let wrong = Expectation::wanted("round: 0, or as: double");
            notes.error(
                s.at("round"),
                "decimals of a whole number",
                wrong.hint("a whole number has none; as: int rounds by itself"),
            );
        }
        if own != Some(NumberAs::Date) && s.node("utc_offset").is_some() {
            let wrong = Expectation::wanted("no utc_offset here");
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
            Some(NumberAs::Int) => Some(NumberType::Int),
            Some(NumberAs::Float) => Some(NumberType::Float),
            Some(NumberAs::Double) => Some(NumberType::Double),
            Some(NumberAs::Enum) => Some(NumberType::Enum),
            Some(NumberAs::Text) => Some(NumberType::Text),
            Some(NumberAs::Date) => {
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

/// Returns whether a factor or an addend is written with a decimal point.
fn has_point(s: &Section<'_>) -> bool {
    let point = |key: &&str| {
        let node = s.node(key).map(|n| &n.is);
        matches!(node, Some(NodeContent::Text(text)) if text.contains('.'))
    };
    ["scale", "offset"].iter().any(point)
}
