//! `title:`, `title_zh:`, `unit:` and `unverified:`: what people are told about a point or a
//! profile.
//!
//! Titles are two keys and not a section, because most configurations are written in one language:
//! `title:` alone is shown to every reader, in whatever language it is, and `title_zh:` beside it
//! is what readers of Chinese see instead.

use std::sync::Arc;
use std::time::Duration;

use crate::base::text::{counted, is_display_control};
use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section};
use crate::config::reader::tree::OriginId;
use crate::config::reader::word_parsers::yes_or_no;
use crate::spec::{Codec, DataType, DisplaySpec, States, Title, Unit};

/// The most characters of a title: the platform's limit of a name in a thing model ("Limits").
const TITLE: usize = 40;

/// The most characters of a unit; the longest that is used, `m³/h` or `kvarh`, has five.
const UNIT: usize = 16;

/// What people are told about a point.
pub(crate) struct Naming {
    title: Title,
    /// The unit, and where it is given.
    unit: Option<(Unit, OriginId)>,
    unverified: bool,
}

impl Naming {
    /// Reads it. Whether the point can have a unit is checked by [`Naming::shown`].
    pub(crate) fn read(s: &Section<'_>, notes: &mut Notes) -> Naming {
        let unit = s.read("unit", unit, notes);
        Naming {
            title: title(s, notes),
            unit: unit.map(|unit| (unit, s.at("unit"))),
            unverified: unverified(s, notes),
        }
    }

    /// Returns how operators see the point, with its limit of age and the titles of its states.
    /// Notes a unit of what is no number; without a codec the point is wrong, and this is not
    /// known.
    pub(crate) fn shown(
        self,
        codec: Option<&Codec>,
        (stale_after, titles): (Option<Duration>, Option<States>),
        notes: &mut Notes,
    ) -> DisplaySpec {
        if let Some((_, at)) = self.unit.as_ref().filter(|_| !codec.is_none_or(has_unit)) {
            let wrong = Expectation::wanted("no unit here")
                .hint("only a number has one; states, bits, texts and dates have none");
            notes.error(*at, "unit", wrong);
        }
        DisplaySpec {
            stale_after,
            titles,
            title: self.title,
            unit: self.unit.map(|(unit, _)| unit),
            unverified: self.unverified,
        }
    }
}

/// Reads the titles of a point or a profile.
pub(crate) fn title(s: &Section<'_>, notes: &mut Notes) -> Title {
    Title {
        general: s.read("title", words, notes).map(Arc::from),
        chinese: s.read("title_zh", words, notes).map(Arc::from),
    }
}

/// Reads whether something could not be checked against a second source.
pub(crate) fn unverified(s: &Section<'_>, notes: &mut Notes) -> bool {
    s.read("unverified", yes_or_no, notes).unwrap_or_default()
}

fn words(text: &str) -> Result<String, Expectation> {
    let length = text.chars().count();
    let fits = (1..=TITLE).contains(&length)
        && !text.trim().is_empty()
        && !text.chars().any(is_display_control);
    match fits {
        true => Ok(text.to_owned()),
        false => Err(Expectation::wanted(format!(
            "a name for people, 1 to {TITLE} characters (the platform's limit of a name)"
        ))
        .maybe_hint((length > TITLE).then(|| format!("it has {}", counted(length, "character"))))),
    }
}

fn unit(text: &str) -> Result<Unit, Expectation> {
    let fits = (1..=UNIT).contains(&text.chars().count())
        && !text
            .chars()
            .any(|c| is_display_control(c) || c.is_whitespace());
    let is_number = text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty();
    match fits && !is_number {
        true => Ok(Unit(Arc::from(text))),
        false => Err(Expectation::wanted(format!(
            "the symbol of a unit, like kWh, 1 to {UNIT} characters without blanks"
        ))
        .maybe_hint(
            is_number.then(|| "the unit id of a device is given in the device".to_owned()),
        )),
    }
}

/// Returns whether a value is a number, and no state.
fn has_unit(codec: &Codec) -> bool {
    match codec.data_type() {
        DataType::Int | DataType::Float | DataType::Double => true,
        // A number may be posted as text.
        DataType::Text => !matches!(codec, Codec::Text { .. } | Codec::Letters { .. }),
        DataType::Bool | DataType::Enum | DataType::Date => false,
    }
}
