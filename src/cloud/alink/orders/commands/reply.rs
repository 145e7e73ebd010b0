//! What is said to the caller of a command about its end.
//!
//! The data of a set are an object with one entry for each point:
//! `"Temp":{"verdict":"verified","code":200,"value":21.5,"message":"…"}`. `value` is what the
//! device holds as far as that is known. The data of a service are its outputs and nothing
//! else, as the thing model describes them; if it stopped before its end, also what became of
//! the points that it wrote, under `points`.

use std::fmt::Write;

use serde_json::Value as Json;

use super::replies::CommandReply;
use crate::base::text::{counted, excerpt};
use crate::base::{CommandAnswer, Value, WriteVerdict};
use crate::cloud::alink::wire::answer_code::AnswerCode;

/// The longest data of a reply: those of 200 points have some 25,000 bytes.
const DATA_BYTES: usize = 32 * 1024;
/// How many bytes of words a reply has, and each point in it.
const WORDS: usize = 256;

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommandKind {
    /// Points were to be set.
    Set,
    /// A service was to run.
    Service,
}

/// Returns the reply to the message with this id.
pub(crate) fn of(id: Json, kind: CommandKind, answer: &CommandAnswer) -> CommandReply {
    let mut message = excerpt(words(answer).as_bytes(), WORDS);
    let mut data = match kind {
        CommandKind::Set => points(&answer.points),
        CommandKind::Service => service(answer),
    };
    if data.len() > DATA_BYTES {
        let bytes = counted(data.len(), "byte");
        // Writing to text cannot fail.
        let _ = write!(message, " (data of {bytes}, too long to be sent)");
        data = String::new();
    }
    CommandReply {
        id,
        code: AnswerCode::of(&answer.whole).number(),
        message,
        data,
    }
}

/// Returns the reply to a command of which nothing was done, for this reason.
pub(crate) fn refusal(id: Json, code: AnswerCode, message: &str) -> CommandReply {
    CommandReply {
        id,
        code: code.number(),
        message: excerpt(message.as_bytes(), WORDS),
        data: String::new(),
    }
}

/// Returns what became of the whole, with the point that it is about.
fn words(answer: &CommandAnswer) -> String {
    let whole = &answer.whole;
    let same = |(_, verdict): &&(String, WriteVerdict)| verdict == whole;
    let point = answer.points.iter().find(same);
    match (whole.is_done(), &answer.points[..], point) {
        (true, [], _) => "done".to_owned(),
        (true, [(id, _)], _) | (false, _, Some((id, _))) => {
            format!("{id}: {}", answer.words())
        }
        (true, several, _) => format!("done: {}", counted(several.len(), "point")),
        (false, _, None) => answer.words(),
    }
}

fn points(points: &[(String, WriteVerdict)]) -> String {
    let one = |(id, verdict): &(String, WriteVerdict)| {
        let value = match verdict {
            WriteVerdict::Verified { read } | WriteVerdict::Different { read, .. } => Some(read),
            WriteVerdict::Confirmed { written } => Some(written),
            WriteVerdict::Unknown(_) | WriteVerdict::Refused(_) => None,
        };
        let value = value.map(|value| format!(r#","value":{}"#, value.to_json_text()));
        let message = excerpt(verdict.to_string().as_bytes(), WORDS);
        format!(
            r#"{}:{{"verdict":"{}","code":{}{},"message":{}}}"#,
            Json::from(id.as_str()),
            verdict.word(),
            AnswerCode::of(verdict).number(),
            value.unwrap_or_default(),
            Json::from(message),
        )
    };
    points.iter().map(one).collect::<Vec<_>>().join(",")
}

fn service(answer: &CommandAnswer) -> String {
    let one = |(name, value): &(String, Value)| {
        format!("{}:{}", Json::from(name.as_str()), value.to_json_text())
    };
    let mut fields: Vec<String> = answer.outputs.iter().map(one).collect();
    let taken = answer.outputs.iter().any(|(name, _)| name == "points");
    if !answer.whole.is_done() && !answer.points.is_empty() && !taken {
        fields.push(format!(r#""points":{{{}}}"#, points(&answer.points)));
    }
    fields.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{RefusedReason, UnknownReason};
    use serde_json::json;

    fn data_of(kind: CommandKind, answer: &CommandAnswer) -> Json {
        let reply = of(Json::from("7"), kind, answer);
        serde_json::from_slice(&reply.body()).unwrap()
    }

    #[test]
    fn a_set_says_of_each_point_what_became_of_it_and_names_the_first_that_failed() {
        let written = || Value::Float(30.0);
        let different = WriteVerdict::Different {
            written: written(),
            read: Value::Float(21.5),
        };
        let answer = CommandAnswer {
            step: None,
            points: vec![
                (
                    "Temp".to_owned(),
                    WriteVerdict::Verified { read: written() },
                ),
                ("Fan".to_owned(), different.clone()),
                (
                    "Mode".to_owned(),
                    WriteVerdict::Refused(RefusedReason::NotReached),
                ),
            ],
            outputs: Vec::new(),
            whole: different,
        };
        assert_eq!(
            data_of(CommandKind::Set, &answer),
            json!({
                "id": "7", "code": 100_002,
                "message": "Fan: different: 30.0 was written and acknowledged, and the device holds 21.5",
                "data": {
                    "Temp": {"verdict": "verified", "code": 200, "value": 30.0,
                        "message": "verified: the device holds 30.0"},
                    "Fan": {"verdict": "different", "code": 100_002, "value": 21.5,
                        "message": "different: 30.0 was written and acknowledged, and the device holds 21.5"},
                    "Mode": {"verdict": "refused", "code": 100_013,
                        "message": "refused: an earlier part of the same command failed"},
                },
            })
        );
        // The thing model wants a decimal for a double even when its value is whole.
        let text = of(Json::from(1), CommandKind::Set, &answer).data;
        assert!(text.starts_with(r#""Temp":{"verdict":"verified","code":200,"value":30.0,"#));
    }

    #[test]
    fn a_service_that_is_done_says_its_outputs_and_nothing_else() {
        let done = WriteVerdict::Verified {
            read: Value::Int(1),
        };
        let mut answer = CommandAnswer {
            step: None,
            points: vec![("Start".to_owned(), done.clone())],
            outputs: vec![("Power".to_owned(), Value::Float(2300.0))],
            whole: done,
        };
        let expected = json!({
            "id": "7", "code": 200, "message": "Start: verified: the device holds 1",
            "data": {"Power": 2300.0},
        });
        assert_eq!(data_of(CommandKind::Service, &answer), expected);
        answer.points.clear();
        assert_eq!(data_of(CommandKind::Service, &answer)["message"], "done");

        answer.whole = WriteVerdict::Unknown(UnknownReason::NoReply);
        answer.points = vec![("Start".to_owned(), answer.whole.clone())];
        let stopped = data_of(CommandKind::Service, &answer);
        assert_eq!(stopped["code"], 100_003);
        assert_eq!(stopped["data"]["points"]["Start"]["verdict"], "unknown");
    }

    #[test]
    fn a_refusal_of_the_whole_has_words_and_no_data() {
        let answer = CommandAnswer::refused(RefusedReason::TooMany);
        let expected = json!({
            "id": "7", "code": 429, "message": "refused: too many commands wait", "data": {},
        });
        assert_eq!(data_of(CommandKind::Set, &answer), expected);
    }

    #[test]
    fn a_reply_is_no_longer_than_its_bound_whatever_it_is_about() {
        let wrong = |n: usize| {
            let seen = "x".repeat(1_000);
            let wanted = "a number".to_owned();
            let verdict = WriteVerdict::Refused(RefusedReason::WrongValue { seen, wanted });
            (format!("P{n}"), verdict)
        };
        for (points, has_data) in [(50, true), (200, false)] {
            let points: Vec<_> = (0..points).map(wrong).collect();
            let whole = points[0].1.clone();
            let answer = CommandAnswer {
                step: None,
                points,
                outputs: Vec::new(),
                whole,
            };
            let reply = of(Json::from(1), CommandKind::Set, &answer);
            assert_eq!(!reply.data.is_empty(), has_data);
            assert_eq!(reply.message.contains("too long to be sent"), !has_data);
            assert!(reply.body().len() < DATA_BYTES + 2 * WORDS);
        }
    }
}
