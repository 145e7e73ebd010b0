//! The reasons why a value may not be written to a point.

use crate::base::text::{counted, excerpt};
use crate::base::{RefusedReason, Value};
use crate::field::decode::refusal::NoValueReason;
use crate::spec::{Decimal, NotWritable};

/// The longest value that is shown whole.
const SHOWN: usize = 64;

/// Why a value is not written to a point.
#[derive(Clone, Debug, PartialEq)]
pub enum NotEncoded {
    /// The point can never be written.
    NotWritable(NotWritable),
    /// The value is no state, and no 0 or 1.
    NoState,
    /// The value is no number.
    NoNumber,
    /// The value is no text.
    NoText,
    /// The value is no text of the form that the datum has.
    NotLike(String),
    /// The value is no date and time that the registers can hold.
    NoSuchTime,
    /// The number is beyond what the registers can hold, or between two numbers that they can
    /// hold and that are farther apart than their smallest step.
    DoesNotFit {
        /// The least number that the registers can hold.
        least: String,
        /// The greatest.
        most: String,
    },
    /// The number is below `min:` or above `max:`.
    OutOfRange {
        /// The least value, if there is a limit.
        min: Option<Decimal>,
        /// The greatest.
        max: Option<Decimal>,
    },
    /// The number is none of those under `values:`.
    UnknownState {
        /// Those numbers.
        known: Vec<i64>,
    },
    /// The text takes more bytes than there are.
    TooLong {
        /// How many bytes there are.
        room: usize,
    },
    /// The text has a character that its encoding does not have.
    NotInEncoding {
        /// The configuration's word for the encoding.
        encoding: &'static str,
    },
    /// The text would be read as another one: blanks at its end, control characters and whatever
    /// ends a text are not read.
    Altered {
        /// What would be read.
        read: String,
    },
    /// What the registers would hold is no value.
    NoValue(NoValueReason),
}

impl NotEncoded {
    /// Returns what is wanted instead, in words.
    #[must_use]
    pub fn wanted(&self) -> String {
        match self {
            NotEncoded::NotWritable(why) => format!("nothing: the point cannot be written, {why}"),
            NotEncoded::NoState => "0 or 1".into(),
            NotEncoded::NoNumber => "a number".into(),
            NotEncoded::NoText => "a text".into(),
            NotEncoded::NotLike(form) => form.clone(),
            NotEncoded::NoSuchTime => {
                "UTC milliseconds since 1970, of a time that the point can hold".into()
            }
            NotEncoded::DoesNotFit { least, most } => {
                format!("a number that the point can hold, from {least} to {most}")
            }
            NotEncoded::OutOfRange { min, max } => match (min, max) {
                (Some(min), Some(max)) => format!("{min} to {max}"),
                (Some(min), None) => format!("at least {min}"),
                (None, Some(max)) => format!("at most {max}"),
                (None, None) => "a number within the limits".into(),
            },
            NotEncoded::UnknownState { known } => {
                let known: Vec<String> = known.iter().map(i64::to_string).collect();
                format!("one of the numbers under values: {}", known.join(", "))
            }
            NotEncoded::TooLong { room } => format!("a text of at most {}", counted(*room, "byte")),
            NotEncoded::NotInEncoding { encoding } => {
                format!("a text of characters that {encoding} has")
            }
            NotEncoded::Altered { read } => format!(
                "a text that is read back as it is; this one would be read as \"{}\"",
                excerpt(read.as_bytes(), SHOWN)
            ),
            NotEncoded::NoValue(why) => {
                format!("another value: as it is written this one would be no value, but {why}")
            }
        }
    }

    /// Returns the answer to a command with this value.
    #[must_use]
    pub fn refused(&self, value: &Value) -> RefusedReason {
        RefusedReason::WrongValue {
            seen: excerpt(value.to_json_text().as_bytes(), SHOWN),
            wanted: self.wanted(),
        }
    }
}
