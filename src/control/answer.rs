//! The answers of the control socket.

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::command::CommandResult;
use super::picture::{Device, Status};
use super::survey::SurveyHeard;

/// One line of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The status of the whole service.
    Status(Box<Status>),
    /// The state of one device.
    Device(Box<Device>),
    /// An event on a port, in the types of `trace/event.rs`; clients know it by this name.
    Seen(Json),
    /// The configuration was loaded anew, or is wrong.
    Reload(Reloaded),
    /// What became of a command.
    Command(Box<CommandResult>),
    /// What was heard on a line.
    Heard(Box<SurveyHeard>),
    /// One part of a longer text.
    Part {
        /// The name of the part.
        name: String,
        /// The text of the part.
        text: String,
    },
    /// The request is done.
    Done {
        /// What was done, in a sentence.
        what: String,
    },
    /// The answer ends with this failure.
    Error(Failure),
    /// The answer is complete.
    End {},
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{why}")]
pub struct Failure {
    /// The kind of failure, for programs.
    pub kind: FailureKind,
    /// The reason, for people.
    pub why: String,
}

/// Why there is no answer, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The client may not ask.
    Refused,
    /// The line is no request.
    Mistake,
    /// The device or port of the request does not exist.
    Unknown,
    /// Too many clients ask at the same time, or the service is busy or stopping.
    Busy,
    /// The attempt failed.
    Failed,
}

/// The result of loading the configuration anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// The changes, in a sentence; `None` if the configuration is wrong and nothing has
    /// changed.
    pub changed: Option<String>,
    /// Everything that is wrong or odd.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong, or odd, in a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Whether the problem keeps the configuration from being used.
    pub error: bool,
    /// The whole problem, in the words of `check`.
    pub text: String,
}

impl Answer {
    /// Creates a failure of this kind, for this reason.
    #[must_use]
    pub fn error(kind: FailureKind, why: impl Into<String>) -> Self {
        let why = why.into();
        Answer::Error(Failure { kind, why })
    }

    /// Returns whether no line comes after this one.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        matches!(self, Answer::Error(_) | Answer::End {})
    }

    /// Writes the answer as a line, with its line break.
    ///
    /// # Errors
    /// Never for the values that this program fills in: its numbers are finite and its
    /// keys are text.
    pub fn line(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self).map(|line| line + "\n")
    }

    /// Reads a line, with or without its line break.
    ///
    /// # Errors
    /// When the line is no line of an answer as known here.
    pub fn read(line: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::command::tests::results;
    use crate::control::picture::tests::{devices, statuses};
    use proptest::prelude::*;

    fn answers() -> impl Strategy<Value = Answer> {
        prop_oneof![
            statuses().prop_map(|s| Answer::Status(Box::new(s))),
            devices().prop_map(|d| Answer::Device(Box::new(d))),
            results().prop_map(|r| Answer::Command(Box::new(r))),
            ".*".prop_map(|why| Answer::Seen(serde_json::json!({ "why": why }))),
            (".*", ".*").prop_map(|(name, text)| Answer::Part { name, text }),
            ".*".prop_map(|what| Answer::Done { what }),
            ".*".prop_map(|why| Answer::error(FailureKind::Failed, why)),
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
        let failure = Answer::error(FailureKind::Unknown, "no such");
        assert_eq!(Answer::read(line).unwrap(), failure);
        assert!(failure.is_last());
    }
}
