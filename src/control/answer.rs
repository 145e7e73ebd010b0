//! What is answered.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::picture::{Device, Status};

/// One line of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// How things are.
    Status(Box<Status>),
    /// One device.
    Device(Box<Device>),
    /// Something that was seen on a port, in the words of `trace/seen.rs`.
    Seen(Json),
    /// The configuration was loaded anew, or is wrong.
    Reload(Reloaded),
    /// One part of a longer text.
    Part {
        /// What it is.
        name: String,
        /// It.
        text: String,
    },
    /// It is done.
    Done {
        /// What was done, in a sentence.
        what: String,
    },
    /// There is no more answer than this.
    Error(Failure),
    /// The answer is whole.
    End {},
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{why}")]
pub struct Failure {
    /// For programs.
    pub kind: Kind,
    /// For people.
    pub why: String,
}

/// Why there is no answer, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The asker may not ask.
    Refused,
    /// The question is none.
    Mistake,
    /// What is asked about does not exist.
    Unknown,
    /// Too many ask at the same time, or the service is busy or stopping.
    Busy,
    /// It was tried and did not work.
    Failed,
}

/// What became of a configuration loaded anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// What changed, in a sentence; `None` if the configuration is wrong, and
    /// nothing has changed.
    pub changed: Option<String>,
    /// Everything that is wrong or odd.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong, or odd, in a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Whether it is an obstacle.
    pub error: bool,
    /// All of it, in the words of `check`.
    pub text: String,
}

impl Answer {
    /// A failure of this kind, for this reason.
    #[must_use]
    pub fn error(kind: Kind, why: impl Into<String>) -> Self {
        let why = why.into();
        Answer::Error(Failure { kind, why })
    }

    /// Whether nothing comes after it.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        matches!(self, Answer::Error(_) | Answer::End {})
    }

    /// The line that says it, with its end.
    ///
    /// # Errors
    /// Never for what this program fills in: its numbers are finite and its keys
    /// are text.
    pub fn line(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self).map(|line| line + "\n")
    }

    /// Reads a line, with or without its end.
    ///
    /// # Errors
    /// When it is no line of an answer as known here.
    pub fn read(line: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::picture::tests::{devices, statuses};
    use proptest::prelude::*;

    fn answers() -> impl Strategy<Value = Answer> {
        prop_oneof![
            statuses().prop_map(|s| Answer::Status(Box::new(s))),
            devices().prop_map(|d| Answer::Device(Box::new(d))),
            ".*".prop_map(|why| Answer::Seen(serde_json::json!({ "why": why }))),
            (".*", ".*").prop_map(|(name, text)| Answer::Part { name, text }),
            ".*".prop_map(|what| Answer::Done { what }),
            ".*".prop_map(|why| Answer::error(Kind::Failed, why)),
            Just(Answer::End {}),
        ]
    }

    proptest! {
        #[test]
        fn an_answer_that_was_written_is_read_as_the_same(answer in answers()) {
            let line = answer.line().unwrap();
            prop_assert_eq!(line.matches('\n').count(), 1);
            prop_assert_eq!(Answer::read(line.as_bytes()).unwrap(), answer);
        }

        #[test]
        fn whatever_the_bytes_a_client_reads_them_or_says_no(
            bytes in proptest::collection::vec(any::<u8>(), 0..200)
        ) {
            let _ = Answer::read(&bytes);
        }
    }

    #[test]
    fn a_client_passes_over_what_it_does_not_know() {
        let line = br#"{"error":{"kind":"unknown","why":"no such","since":5}}"#;
        let failure = Answer::error(Kind::Unknown, "no such");
        assert_eq!(Answer::read(line).unwrap(), failure);
        assert!(failure.is_last());
    }
}
