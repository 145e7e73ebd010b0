//! Commands as they stand in answers: what became of one, and the last ones of a device.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::base::{CommandAnswer, WriteVerdict};

/// What became of a command, or of one of its points, as one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerdictWord {
    /// The device holds the value: it was read back.
    Verified,
    /// The device acknowledged the write, and its point is not read back.
    Confirmed,
    /// The device acknowledged the write, and holds another value.
    Different,
    /// The request was sent, and it is not known whether the device holds the value.
    Unknown,
    /// Nothing was written.
    Refused,
}

impl VerdictWord {
    /// All words.
    pub const ALL: [VerdictWord; 5] = [
        VerdictWord::Verified,
        VerdictWord::Confirmed,
        VerdictWord::Different,
        VerdictWord::Unknown,
        VerdictWord::Refused,
    ];

    /// Returns the word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            VerdictWord::Verified => "verified",
            VerdictWord::Confirmed => "confirmed",
            VerdictWord::Different => "different",
            VerdictWord::Unknown => "unknown",
            VerdictWord::Refused => "refused",
        }
    }

    /// Returns whether the command did what it was to do, as far as it was to be found out.
    #[must_use]
    pub const fn is_done(self) -> bool {
        matches!(self, VerdictWord::Verified | VerdictWord::Confirmed)
    }
}

impl From<&WriteVerdict> for VerdictWord {
    fn from(verdict: &WriteVerdict) -> Self {
        match verdict {
            WriteVerdict::Verified { .. } => VerdictWord::Verified,
            WriteVerdict::Confirmed { .. } => VerdictWord::Confirmed,
            WriteVerdict::Different { .. } => VerdictWord::Different,
            WriteVerdict::Unknown(_) => VerdictWord::Unknown,
            WriteVerdict::Refused(_) => VerdictWord::Refused,
        }
    }
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandResult {
    /// What became of the whole.
    pub verdict: VerdictWord,
    /// The same in a sentence that begins with the word.
    pub sentence: String,
    /// Each point that was to be written, in the order of the command; those of a service are
    /// those that it has written.
    pub points: Vec<PointResult>,
    /// What a service read, by the names of its outputs.
    #[serde(default)]
    pub outputs: Map<String, Json>,
}

/// What became of one point of a command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PointResult {
    /// The identifier of the point.
    pub id: String,
    /// What became of it.
    pub verdict: VerdictWord,
    /// The same in a sentence that begins with the word.
    pub sentence: String,
    /// The value that was read back; `null` if none was.
    #[serde(default)]
    pub read: Json,
}

impl CommandResult {
    /// Returns the answer to a command in the words of the protocol.
    #[must_use]
    pub fn of(answer: &CommandAnswer) -> Self {
        let point = |(id, verdict): &(String, WriteVerdict)| PointResult {
            id: id.clone(),
            verdict: verdict.into(),
            sentence: verdict.to_string(),
            read: match verdict {
                WriteVerdict::Verified { read } | WriteVerdict::Different { read, .. } => {
                    read.to_json()
                }
                WriteVerdict::Confirmed { .. }
                | WriteVerdict::Unknown(_)
                | WriteVerdict::Refused(_) => Json::Null,
            },
        };
        let outputs = answer.outputs.iter();
        CommandResult {
            verdict: (&answer.whole).into(),
            sentence: answer.words(),
            points: answer.points.iter().map(point).collect(),
            outputs: outputs
                .map(|(name, value)| (name.clone(), value.to_json()))
                .collect(),
        }
    }

    /// Returns whether the whole and each point is verified or confirmed.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.verdict.is_done() && self.points.iter().all(|p| p.verdict.is_done())
    }
}

/// One of the last commands of a device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PastCommand {
    /// How long ago it was answered.
    pub ago_ms: u64,
    /// Who gave it: `cloud message 17` or `user 1000`.
    pub origin: String,
    /// The service that was called; `null` if points were set.
    #[serde(default)]
    pub service: Option<String>,
    /// The points that it wrote or was to write.
    pub points: Vec<PastPoint>,
    /// What became of the whole.
    pub verdict: VerdictWord,
    /// The same in a sentence that begins with the word.
    pub sentence: String,
}

/// One point of a past command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PastPoint {
    /// The identifier of the point.
    pub id: String,
    /// The value that was known before; `null` if none was.
    pub old: Json,
    /// The value that was wanted, as it came; `null` if a service wrote the point.
    pub wanted: Option<String>,
    /// What became of it.
    pub verdict: VerdictWord,
    /// The same in a sentence that begins with the word.
    pub sentence: String,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::base::{RefusedReason, UnknownReason, Value};
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn words() -> impl Strategy<Value = VerdictWord> {
        prop::sample::select(VerdictWord::ALL.to_vec())
    }

    pub(crate) fn results() -> impl Strategy<Value = CommandResult> {
        let point = (".*", words(), any::<i64>()).prop_map(|(id, verdict, read)| PointResult {
            sentence: format!("{}: {id}", verdict.word()),
            id,
            verdict,
            read: read.into(),
        });
        let outputs = prop::collection::btree_map(".*", any::<i64>(), 0..3);
        (words(), ".*", vec(point, 0..3), outputs).prop_map(
            |(verdict, sentence, points, outputs)| CommandResult {
                verdict,
                sentence,
                points,
                outputs: outputs
                    .into_iter()
                    .map(|(k, v)| (k, Json::from(v)))
                    .collect(),
            },
        )
    }

    pub(crate) fn past_commands() -> impl Strategy<Value = Vec<PastCommand>> {
        let point =
            (".*", words(), prop::option::of(".*")).prop_map(|(id, verdict, wanted)| PastPoint {
                old: Json::from(id.len()),
                id,
                wanted,
                verdict,
                sentence: verdict.word().into(),
            });
        let service = prop::option::of(".*");
        let past = (any::<u64>(), service, vec(point, 0..3), words()).prop_map(
            |(ago_ms, service, points, verdict)| PastCommand {
                ago_ms,
                origin: "user 1000".into(),
                service,
                points,
                verdict,
                sentence: verdict.word().into(),
            },
        );
        vec(past, 0..3)
    }

    fn verdicts() -> [WriteVerdict; 5] {
        [
            WriteVerdict::Verified {
                read: Value::Float(21.5),
            },
            WriteVerdict::Confirmed {
                written: Value::Int(2),
            },
            WriteVerdict::Different {
                written: Value::Int(2),
                read: Value::Int(1),
            },
            WriteVerdict::Unknown(UnknownReason::NoReply),
            WriteVerdict::Refused(RefusedReason::Silent),
        ]
    }

    #[test]
    fn the_words_are_those_of_the_verdicts_and_of_the_protocol() {
        for (verdict, word) in verdicts().iter().zip(VerdictWord::ALL) {
            assert_eq!(VerdictWord::from(verdict), word);
            assert_eq!(word.word(), verdict.word());
            assert_eq!(word.is_done(), verdict.is_done());
            assert_eq!(serde_json::to_value(word).unwrap(), verdict.word());
            assert!(verdict.to_string().starts_with(word.word()));
        }
    }

    #[test]
    fn an_answer_says_what_was_read_back_and_is_done_only_if_all_of_it_is() {
        let answer = |points: &[WriteVerdict], whole: &WriteVerdict| {
            let named = points.iter().map(|v| ("Setpoint".to_owned(), v.clone()));
            CommandResult::of(&CommandAnswer {
                step: None,
                points: named.collect(),
                outputs: vec![("set_to".into(), Value::Float(45.0))],
                whole: whole.clone(),
            })
        };
        let [verified, confirmed, different, unknown, refused] = verdicts();
        let done = answer(&[verified.clone(), confirmed], &verified);
        assert!(done.is_done());
        assert_eq!(done.points[0].read, Json::from(21.5));
        assert_eq!(done.points[0].sentence, "verified: the device holds 21.5");
        assert_eq!(done.points[1].read, Json::Null);
        assert_eq!(done.outputs["set_to"], Json::from(45.0));
        for bad in [different, unknown, refused] {
            assert!(!answer(&[], &bad).is_done());
            assert!(!answer(&[verified.clone(), bad], &verified).is_done());
        }
    }
}
