//! The codes of our answers to commands: one table.
//!
//! A device may answer with 200, 400 (request error), 460 (parameter error), 429 (too many),
//! or a code of its own from 100000 to 110000 ("Device properties, events, and services"; the
//! codes of the C SDK). `code` and `data` of an answer reach the caller; the words need not.
//! So each reason for which an application does something else has a code of its own. A code
//! never changes its meaning. `docs/commands.md` has the table for integrators, and
//! `tests/house/commands.rs` holds it and this file together.

use crate::base::{RefusedReason, WriteVerdict};

/// What became of a command, as a number for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AnswerCode {
    /// The whole command is done.
    Done,
    /// The command is for something that cannot be written or called.
    WrongTarget,
    /// Too many commands wait.
    TooMany,
    /// A value, an input or the message itself is not what was wanted.
    WrongParameter,
    /// The gateway does not have this kind of command.
    NotSupported,
    /// The device confirmed the write and holds another value.
    Different,
    /// Whether the device did it is not known.
    Unknown,
    /// The device does not answer.
    Silent,
    /// The device refused the write.
    Exception,
    /// The configuration permits no such command.
    NotPermitted,
    /// A newer command for the same point came first.
    Overtaken,
    /// The point was written a moment ago.
    TooSoon,
    /// The point wants a confirmation.
    NotConfirmed,
    /// Another point does not have the value that the write depends on.
    Interlock,
    /// The command did not get its turn in time.
    TooLate,
    /// The gateway, or the port of the device, is not at work.
    Unavailable,
    /// An earlier part of the same command failed.
    NotReached,
}

impl AnswerCode {
    /// All codes, in the order of their numbers.
    pub const ALL: [AnswerCode; 17] = [
        AnswerCode::Done,
        AnswerCode::WrongTarget,
        AnswerCode::TooMany,
        AnswerCode::WrongParameter,
        AnswerCode::NotSupported,
        AnswerCode::Different,
        AnswerCode::Unknown,
        AnswerCode::Silent,
        AnswerCode::Exception,
        AnswerCode::NotPermitted,
        AnswerCode::Overtaken,
        AnswerCode::TooSoon,
        AnswerCode::NotConfirmed,
        AnswerCode::Interlock,
        AnswerCode::TooLate,
        AnswerCode::Unavailable,
        AnswerCode::NotReached,
    ];

    /// Returns the number in `code`.
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            AnswerCode::Done => 200,
            AnswerCode::WrongTarget => 400,
            AnswerCode::TooMany => 429,
            AnswerCode::WrongParameter => 460,
            AnswerCode::NotSupported => 100_001,
            AnswerCode::Different => 100_002,
            AnswerCode::Unknown => 100_003,
            AnswerCode::Silent => 100_004,
            AnswerCode::Exception => 100_005,
            AnswerCode::NotPermitted => 100_006,
            AnswerCode::Overtaken => 100_007,
            AnswerCode::TooSoon => 100_008,
            AnswerCode::NotConfirmed => 100_009,
            AnswerCode::Interlock => 100_010,
            AnswerCode::TooLate => 100_011,
            AnswerCode::Unavailable => 100_012,
            AnswerCode::NotReached => 100_013,
        }
    }

    /// Returns what the code means, in words for integrators.
    #[must_use]
    pub const fn means(self) -> &'static str {
        match self {
            AnswerCode::Done => {
                "done: every value was read back from the device, or acknowledged by it where the configuration reads nothing back"
            }
            AnswerCode::WrongTarget => {
                "not written: no such device, point or service, or the point is read-only"
            }
            AnswerCode::TooMany => "not written: too many commands wait",
            AnswerCode::WrongParameter => {
                "not written: the message, a value or an input is not what is wanted"
            }
            AnswerCode::NotSupported => "not done: the gateway does not have this kind of command",
            AnswerCode::Different => {
                "written and acknowledged, but the device holds another value; the answer says which"
            }
            AnswerCode::Unknown => {
                "the request was sent, and whether the device did it is not known"
            }
            AnswerCode::Silent => "not written: the device does not answer",
            AnswerCode::Exception => "not written: the device refused the write",
            AnswerCode::NotPermitted => "not written: the configuration permits no such command",
            AnswerCode::Overtaken => "not written: a newer command for the same point came first",
            AnswerCode::TooSoon => {
                "not written: the point was written a moment ago; the message says when it may be written again"
            }
            AnswerCode::NotConfirmed => {
                "not written: the point wants a confirmation; send the same command again, with a new id"
            }
            AnswerCode::Interlock => {
                "not written: another point does not have the value that the write depends on"
            }
            AnswerCode::TooLate => "not written: the turn of the command did not come in time",
            AnswerCode::Unavailable => {
                "not written: the gateway is stopping, or the port of the device is not open"
            }
            AnswerCode::NotReached => {
                "not written: an earlier part of the same command failed; a point has this code, and no whole"
            }
        }
    }

    /// Returns the code for what became of one point, or of a whole command.
    #[must_use]
    pub const fn of(verdict: &WriteVerdict) -> Self {
        match verdict {
            WriteVerdict::Verified { .. } | WriteVerdict::Confirmed { .. } => AnswerCode::Done,
            WriteVerdict::Different { .. } => AnswerCode::Different,
            WriteVerdict::Unknown(_) => AnswerCode::Unknown,
            WriteVerdict::Refused(why) => AnswerCode::of_refusal(why),
        }
    }

    const fn of_refusal(why: &RefusedReason) -> Self {
        match why {
            RefusedReason::NotPermitted => AnswerCode::NotPermitted,
            RefusedReason::NoSuchDevice
            | RefusedReason::NoSuchTarget
            | RefusedReason::NotWritable => AnswerCode::WrongTarget,
            RefusedReason::WrongValue { .. } | RefusedReason::NothingToDo => {
                AnswerCode::WrongParameter
            }
            RefusedReason::Silent => AnswerCode::Silent,
            RefusedReason::PortDown | RefusedReason::Stopping => AnswerCode::Unavailable,
            RefusedReason::TooMany => AnswerCode::TooMany,
            RefusedReason::TooLate => AnswerCode::TooLate,
            RefusedReason::Overtaken => AnswerCode::Overtaken,
            RefusedReason::TooSoon(_) => AnswerCode::TooSoon,
            RefusedReason::NotConfirmed(_) => AnswerCode::NotConfirmed,
            RefusedReason::Interlock { .. } => AnswerCode::Interlock,
            RefusedReason::NotReached => AnswerCode::NotReached,
            RefusedReason::Exception(_) | RefusedReason::Declined { .. } => AnswerCode::Exception,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_one_that_a_device_may_answer_with_and_has_one_meaning() {
        let numbers = AnswerCode::ALL.map(AnswerCode::number);
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        for number in numbers {
            let permitted = matches!(number, 200 | 400 | 429 | 460 | 100_000..=110_000);
            assert!(permitted, "{number}");
        }
        let mut words = AnswerCode::ALL.map(AnswerCode::means).to_vec();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), AnswerCode::ALL.len());
    }

    /// A caller must not take for done what is not, nor for undone what may be.
    #[test]
    fn only_what_is_done_has_the_code_for_done_and_only_a_refusal_says_not_written() {
        let value = || crate::base::Value::Int(1);
        let doubt = crate::base::UnknownReason::NoReply;
        let verdicts = [
            WriteVerdict::Verified { read: value() },
            WriteVerdict::Confirmed { written: value() },
            WriteVerdict::Different {
                written: value(),
                read: value(),
            },
            WriteVerdict::Unknown(doubt),
            WriteVerdict::Refused(RefusedReason::Silent),
            WriteVerdict::Refused(RefusedReason::Exception(2)),
            WriteVerdict::Refused(RefusedReason::NotReached),
        ];
        for verdict in verdicts {
            let code = AnswerCode::of(&verdict);
            assert_eq!(code == AnswerCode::Done, verdict.is_done(), "{verdict}");
            let undone = code.means().starts_with("not ");
            assert_eq!(
                undone,
                matches!(verdict, WriteVerdict::Refused(_)),
                "{verdict}"
            );
        }
    }
}
