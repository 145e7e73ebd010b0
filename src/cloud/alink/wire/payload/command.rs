//! Commands of the platform as their messages say them, and the bodies of the answers
//! ("Device properties, events, and services"; "What is RRPC?").
//!
//! `params` of a property set and of a service are an object. The order of its keys is kept as
//! it is in the message, and so is a key that is there twice: what is written first may
//! matter, and which of two values was meant is not for us to choose. Whether the order of the
//! message is that of the caller is not documented by the platform.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value as Json;

use super::Malformed;
use crate::base::text::counted;
use crate::base::{CommandAction, Digest};
use crate::cloud::alink::wire::topic::CommandTopic;

/// The longest id that is echoed; those of the platform are numbers of 32 bits.
const ID_BYTES: usize = 64;
/// The longest message that is carried out.
const MESSAGE_BYTES: usize = 32 * 1024;
/// How many values a command may have: as many as a post may have properties (code 6106).
const VALUES: usize = 200;
/// The topic of a service after `/sys/{pk}/{dn}/`, and what its method begins with.
const SERVICE_TOPIC: &str = "thing/service/";
const SERVICE_METHOD: &str = "thing.service.";

/// A command, as far as it could be understood.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandMessage {
    /// The id, echoed as it came: a number or text.
    pub id: Json,
    /// What is to be done, or why that cannot be done.
    pub action: Result<CommandAction, UnfitCommand>,
    /// The digest of what the message asks for, which is the same however its keys are ordered.
    pub content: Digest,
}

/// Why a message that can be answered holds no command that can be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnfitCommand {
    /// The gateway does not have this kind of command.
    NotSupported(&'static str),
    /// The command lacks something, or has it in another form than is wanted.
    Malformed(String),
}

/// Why a message is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoCommand {
    /// The message is an answer, perhaps our own: the answer to `/ext/rrpc` has the topic of
    /// its request.
    Answer,
    /// The message cannot be read, or has no id that could be echoed.
    Malformed(Malformed),
}

/// What a message is addressed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MessageTarget<'a> {
    /// The properties of the device.
    Properties,
    /// A service of the device.
    Service(&'a str),
}

impl CommandMessage {
    /// Reads the message on the topic of this command.
    ///
    /// # Errors
    /// If the message is an answer, or cannot be answered for want of an id.
    pub fn parse(command: &CommandTopic, payload: &[u8]) -> Result<CommandMessage, NoCommand> {
        let body = serde_json::from_slice::<Json>(payload).unwrap_or(Json::Null);
        if matches!(command, CommandTopic::ExtRrpc(..)) && body.get("code").is_some() {
            return Err(NoCommand::Answer);
        }
        let id = match (body.get("id"), command.message_id()) {
            (Some(id), _) if id.is_number() => id.clone(),
            (Some(Json::String(id)), _) if id.len() <= ID_BYTES => Json::from(id.as_str()),
            // The content of an RRPC may be anything; its id is in the topic.
            (_, Some(id)) if id.len() <= ID_BYTES => Json::from(id),
            _ => return Err(NoCommand::Malformed(Malformed::NotAnObject)),
        };
        let method = body.get("method").and_then(Json::as_str);
        let inner = command.inner();
        let target = target(command, inner.as_ref(), method);
        let params = body.get("params").unwrap_or(&Json::Null);
        Ok(CommandMessage {
            id,
            content: Digest::of(format!("{target:?} {params}").as_bytes()),
            action: target.and_then(|target| action(target, params, payload)),
        })
    }
}

fn target<'a>(
    command: &'a CommandTopic,
    inner: Option<&'a CommandTopic>,
    method: Option<&'a str>,
) -> Result<MessageTarget<'a>, UnfitCommand> {
    let (request, set, get) = match (command, inner) {
        (CommandTopic::Thing(_, tail), _) | (_, Some(CommandTopic::Thing(_, tail))) => {
            let request = tail.strip_prefix(SERVICE_TOPIC);
            (request, "property/set", "property/get")
        }
        (CommandTopic::Rrpc(..), _) => {
            let request = method.and_then(|m| m.strip_prefix(SERVICE_METHOD));
            (request, "property.set", "property.get")
        }
        (CommandTopic::ExtRrpc(..), _) => (None, "", ""),
    };
    match request {
        Some(id) if id == set => Ok(MessageTarget::Properties),
        Some(id) if id == get => Err(UnfitCommand::NotSupported(
            "the values of properties are reported as they are read, and cannot be asked for",
        )),
        // Identifiers are letters, digits and underscores, with a colon behind the module.
        Some(id) if !id.is_empty() && !id.contains(['/', '.']) => Ok(MessageTarget::Service(id)),
        _ => Err(UnfitCommand::NotSupported(match command {
            CommandTopic::Rrpc(..) => {
                "the content is no call of the thing model: wanted a method thing.service.… and params"
            }
            CommandTopic::ExtRrpc(..) => {
                "the topic is none of the thing model: wanted /sys/…/thing/service/…"
            }
            CommandTopic::Thing(..) => "the gateway has no command of this name",
        })),
    }
}

fn action(
    target: MessageTarget<'_>,
    params: &Json,
    payload: &[u8],
) -> Result<CommandAction, UnfitCommand> {
    let malformed = |words: String| Err(UnfitCommand::Malformed(words));
    if payload.len() > MESSAGE_BYTES {
        return malformed(format!(
            "the message has {}: wanted at most {MESSAGE_BYTES}",
            counted(payload.len(), "byte")
        ));
    }
    let values = match (target, params) {
        // A service without inputs need not have `params`.
        (MessageTarget::Service(_), Json::Null) => Vec::new(),
        (_, Json::Object(_)) => match serde_json::from_slice::<Envelope>(payload) {
            Ok(envelope) => envelope.params.0,
            Err(_) => return malformed("params is there twice".to_owned()),
        },
        (_, Json::Null) => return malformed("no params: wanted an object".to_owned()),
        (_, Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_)) => {
            return malformed("params is not an object".to_owned());
        }
    };
    if values.len() > VALUES {
        let seen = counted(values.len(), "value");
        return malformed(format!("{seen} in params: wanted at most {VALUES}"));
    }
    Ok(match target {
        MessageTarget::Properties => CommandAction::Set(values),
        MessageTarget::Service(service) => CommandAction::Call {
            service: service.to_owned(),
            inputs: values,
        },
    })
}

/// The part of a message whose order counts.
#[derive(Deserialize)]
struct Envelope {
    params: ObjectEntries,
}

/// The keys and values of an object as they come.
struct ObjectEntries(Vec<(String, Json)>);

impl<'de> Deserialize<'de> for ObjectEntries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OrderedVisitor)
    }
}

struct OrderedVisitor;

impl<'de> Visitor<'de> for OrderedVisitor {
    type Value = ObjectEntries;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ObjectEntries, A::Error> {
        let mut all = Vec::new();
        while let Some(entry) = map.next_entry()? {
            all.push(entry);
        }
        Ok(ObjectEntries(all))
    }
}

/// Returns the body of an answer; `data` is the inside of a JSON object.
#[must_use]
pub fn answer(id: &Json, code: i64, message: &str, data: &str) -> Vec<u8> {
    let message = Json::from(message);
    format!(r#"{{"id":{id},"code":{code},"message":{message},"data":{{{data}}}}}"#).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::alink::wire::topic::Topic;
    use proptest::prelude::*;

    fn parse(topic: &str, payload: &str) -> Result<CommandMessage, NoCommand> {
        match Topic::parse(topic) {
            Some(Topic::Command(command)) => CommandMessage::parse(&command, payload.as_bytes()),
            other => panic!("{other:?}"),
        }
    }

    fn pairs(list: &[(&str, Json)]) -> Vec<(String, Json)> {
        let own = |(id, value): &(&str, Json)| ((*id).to_owned(), value.clone());
        list.iter().map(own).collect()
    }

    /// The messages of "Device properties, events, and services" and of "What is RRPC?".
    #[test]
    fn the_published_messages_are_understood() {
        let set = r#"{"id":"123","version":"1.0","params":{"temperature":"30.5"},"method":"thing.service.property.set"}"#;
        let call = r#"{"id":"123","version":"1.0","params":{"Power":"on","WindState":2},"method":"thing.service.SetWeight"}"#;
        let sets = CommandAction::Set(pairs(&[("temperature", "30.5".into())]));
        let calls = |service: &str| CommandAction::Call {
            service: service.to_owned(),
            inputs: pairs(&[("Power", "on".into()), ("WindState", 2.into())]),
        };
        for (topic, payload, action) in [
            ("/sys/pk/dn/thing/service/property/set", set, &sets),
            (
                "/sys/pk/dn/thing/service/SetWeight",
                call,
                &calls("SetWeight"),
            ),
            (
                "/sys/pk/dn/thing/service/m1:reset",
                call,
                &calls("m1:reset"),
            ),
            ("/sys/pk/dn/rrpc/request/7", set, &sets),
            ("/sys/pk/dn/rrpc/request/7", call, &calls("SetWeight")),
            (
                "/ext/rrpc/7/sys/pk/dn/thing/service/property/set",
                set,
                &sets,
            ),
            (
                "/ext/rrpc/7/sys/pk/dn/thing/service/SetWeight",
                call,
                &calls("SetWeight"),
            ),
        ] {
            let message = parse(topic, payload).unwrap();
            assert_eq!(message.id, Json::from("123"), "{topic}");
            assert_eq!(message.action.as_ref(), Ok(action), "{topic}");
        }
    }

    #[test]
    fn the_order_of_the_message_is_kept_and_a_key_that_is_there_twice_too() {
        let body = r#"{"id":"1","params":{"Zoom":1,"Auto":2,"Zoom":{"b":1,"a":2}}}"#;
        let message = parse("/sys/pk/dn/thing/service/property/set", body).unwrap();
        let last = serde_json::json!({"a": 2, "b": 1});
        let all = pairs(&[("Zoom", 1.into()), ("Auto", 2.into()), ("Zoom", last)]);
        assert_eq!(message.action, Ok(CommandAction::Set(all)));
    }

    #[test]
    fn what_is_malformed_says_so_with_the_id_of_the_message() {
        let many: Vec<String> = (0..201).map(|n| format!("\"P{n}\":1")).collect();
        let long = "x".repeat(MESSAGE_BYTES);
        for (params, words) in [
            ("[1]".to_owned(), "params is not an object"),
            ("\"x\"".to_owned(), "params is not an object"),
            ("null".to_owned(), "no params: wanted an object"),
            (
                format!("{{{}}}", many.join(",")),
                "201 values in params: wanted at most 200",
            ),
            (
                format!("{{\"P\":\"{long}\"}}"),
                "the message has 32,797 bytes: wanted at most 32768",
            ),
            (
                "{\"P\":1},\"params\":{\"P\":2}".to_owned(),
                "params is there twice",
            ),
        ] {
            let body = format!(r#"{{"id":4711,"params":{params}}}"#);
            let message = parse("/sys/pk/dn/thing/service/property/set", &body).unwrap();
            assert_eq!(message.id, Json::from(4711));
            assert_eq!(
                message.action,
                Err(UnfitCommand::Malformed(words.to_owned()))
            );
        }
        let none = parse("/sys/pk/dn/thing/service/reset", r#"{"id":"1"}"#).unwrap();
        let reset = CommandAction::Call {
            service: "reset".to_owned(),
            inputs: Vec::new(),
        };
        assert_eq!(none.action, Ok(reset));
    }

    #[test]
    fn what_the_gateway_does_not_have_is_told_apart_from_what_is_malformed() {
        for (topic, body) in [
            (
                "/sys/pk/dn/thing/service/property/get",
                r#"{"id":"1","params":["T"]}"#,
            ),
            ("/sys/pk/dn/thing/service/a/b", r#"{"id":"1","params":{}}"#),
            (
                "/sys/pk/dn/thing/gateway/permit",
                r#"{"id":"1","params":{}}"#,
            ),
            (
                "/sys/pk/dn/rrpc/request/1",
                r#"{"id":"1","params":{"T":1}}"#,
            ),
            (
                "/sys/pk/dn/rrpc/request/1",
                r#"{"method":"thing.service.property.get"}"#,
            ),
            ("/sys/pk/dn/rrpc/request/1", "\u{1} raw"),
            (
                "/ext/rrpc/1/pk/dn/user/any",
                r#"{"method":"thing.service.x"}"#,
            ),
            ("/ext/rrpc/1/sys/pk/dn/thing/service/x_reply", "{}"),
        ] {
            let message = parse(topic, body).unwrap();
            assert_eq!(message.id, Json::from("1"), "{topic}");
            let unfit = matches!(message.action, Err(UnfitCommand::NotSupported(_)));
            assert!(unfit, "{topic}: {message:?}");
        }
    }

    #[test]
    fn an_answer_on_the_topic_of_its_request_is_no_command() {
        let answer = r#"{"id":"7","code":200,"data":{}}"#;
        let topic = "/ext/rrpc/7/sys/pk/dn/thing/service/x";
        assert_eq!(parse(topic, answer), Err(NoCommand::Answer));
        let no_id = parse("/sys/pk/dn/thing/service/x", r#"{"params":{}}"#);
        assert_eq!(no_id, Err(NoCommand::Malformed(Malformed::NotAnObject)));
    }

    #[test]
    fn the_digest_is_of_what_is_asked_for() {
        let content = |topic: &str, body: &str| parse(topic, body).unwrap().content;
        let (set, other) = (
            "/sys/p/d/thing/service/property/set",
            "/sys/p/d/thing/service/x",
        );
        let one = content(set, r#"{"id":"1","params":{"a":1,"b":2}}"#);
        assert_eq!(one, content(set, r#"{"params":{"b":2,"a":1},"id":"2"}"#));
        assert_ne!(one, content(set, r#"{"id":"1","params":{"a":1,"b":3}}"#));
        assert_ne!(one, content(other, r#"{"id":"1","params":{"a":1,"b":2}}"#));
    }

    proptest! {
        #[test]
        fn no_message_is_too_strange(
            topic in prop::sample::select(vec![
                "/sys/p/d/thing/service/property/set", "/sys/p/d/rrpc/request/1",
                "/ext/rrpc/1/sys/p/d/thing/service/x", "/ext/rrpc/1/sys/p/d/_reply",
            ]),
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            if let Some(Topic::Command(command)) = Topic::parse(topic) {
                let _ = CommandMessage::parse(&command, &bytes);
            }
        }
    }
}
