//! Alink on the wire: the bodies of messages sent, and the replies received.
//!
//! Bodies are written as compact JSON, with strings where the pages say strings. Replies
//! are read leniently, because the platform's own pages disagree: `code` is a number or
//! text, `id` text or a number, `data` an object, a list, text or absent.

pub mod command;
pub mod desired;
pub mod relation;
pub mod remote;

use serde::Serialize;
use std::fmt;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::base::text::excerpt;
use crate::base::{RequestId, ThingEvent, Value, Wall};
use crate::spec::SignMethod;

use super::code::Code;
use super::topic::DeviceIdentity;

/// Returns the method as the platform spells it in Alink bodies.
const fn sign_method(method: SignMethod) -> &'static str {
    match method {
        SignMethod::HmacMd5 => "hmacMd5",
        SignMethod::HmacSha1 => "hmacSha1",
        SignMethod::HmacSha256 => "hmacSha256",
    }
}

/// One device's part of a log-in, signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Login {
    /// Product of the sub-device.
    pub product_key: String,
    /// Name of the sub-device.
    pub device_name: String,
    /// The literal client id that was signed.
    pub client_id: String,
    /// Milliseconds, as text.
    pub timestamp: String,
    /// The method of the signature. Beside `deviceList` in the C and Python SDKs, inside
    /// each element in the documents: both are sent.
    pub sign_method: &'static str,
    /// The signature, hexadecimal.
    pub sign: String,
    /// `"true"`: messages queued for the device while it was away are dropped, so that no
    /// stale command reaches it late.
    pub clean_session: &'static str,
}

impl Login {
    /// Returns the part of one device in a log-in.
    #[must_use]
    pub fn new(
        who: &DeviceIdentity,
        client_id: String,
        timestamp: String,
        method: SignMethod,
        sign: String,
    ) -> Self {
        Login {
            product_key: who.product_key.to_string(),
            device_name: who.device_name.to_string(),
            client_id,
            timestamp,
            sign_method: sign_method(method),
            sign,
            clean_session: "true",
        }
    }
}

/// An upper bound of the bytes one device takes in a log-in: product key 11,
/// name twice 32, client id, 13 digits, 64 digits of signature, and the keys.
pub(crate) const LOGIN_BYTES: usize = 512;

#[derive(Serialize)]
struct RequestMessage<'a, P> {
    id: String,
    version: &'static str,
    params: P,
    #[serde(skip_serializing_if = "Option::is_none")]
    sys: Option<Sys>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
}

#[derive(Serialize)]
struct Sys {
    ack: u8,
}

fn session<P: Serialize>(id: RequestId, params: P) -> Vec<u8> {
    // Structs of text and numbers always serialize.
    serde_json::to_vec(&RequestMessage {
        id: id.to_string(),
        version: "1.0",
        params,
        sys: None,
        method: None,
    })
    .unwrap_or_default()
}

/// Returns the body for `combine/login`.
#[must_use]
pub fn login(id: RequestId, device: &Login) -> Vec<u8> {
    session(id, device)
}

/// Returns the body for `combine/batch_login`.
#[must_use]
pub fn batch_login(id: RequestId, method: SignMethod, devices: &[Login]) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Params<'a> {
        sign_method: &'static str,
        device_list: &'a [Login],
    }
    session(
        id,
        Params {
            sign_method: sign_method(method),
            device_list: devices,
        },
    )
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Named<'a> {
    product_key: &'a str,
    device_name: &'a str,
}

impl<'a> From<&'a DeviceIdentity> for Named<'a> {
    fn from(who: &'a DeviceIdentity) -> Self {
        Named {
            product_key: who.product_key.as_str(),
            device_name: who.device_name.as_str(),
        }
    }
}

/// Returns the body for `combine/logout`.
#[must_use]
pub fn logout(id: RequestId, device: &DeviceIdentity) -> Vec<u8> {
    session(id, Named::from(device))
}

/// Returns the body for `combine/batch_logout`: `params` is the list itself.
#[must_use]
pub fn batch_logout<'a>(
    id: RequestId,
    devices: impl Iterator<Item = &'a DeviceIdentity>,
) -> Vec<u8> {
    session(id, devices.map(Named::from).collect::<Vec<_>>())
}

/// Properties of one device, or events, as the inside of a JSON object. The text grows by one value
/// at a time so that its size is known before it is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties(String);

impl Properties {
    /// Returns one property: `"id":{"value":v,"time":ms}`
    #[must_use]
    pub fn one(id: &str, value: &Value, at: Wall) -> Self {
        Properties(format!(
            "{}:{{\"value\":{},\"time\":{}}}",
            Json::from(id),
            value.to_json_text(),
            at.as_millis()
        ))
    }

    /// Returns one event of the thing model: `"id":{"value":{…},"time":ms}`
    #[must_use]
    pub fn event(id: &str, data: &[(Arc<str>, Value)], at: Wall) -> Self {
        Properties(format!("{}:{}", Json::from(id), event_value(data, at)))
    }

    /// Adds the other properties at the end.
    pub fn append(&mut self, other: &Properties) {
        if !self.0.is_empty() && !other.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&other.0);
    }

    /// Returns how many bytes there are so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no properties.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// An upper bound of the bytes around all properties of a message.
pub(crate) const MESSAGE_BYTES: usize = 256;
/// An upper bound of the bytes around one device's properties in a pack.
pub(crate) const PACKED_BYTES: usize = 192;

fn post_body(id: RequestId, params: &str, method: &str) -> Vec<u8> {
    format!(
        r#"{{"id":"{id}","version":"1.0","sys":{{"ack":1}},"params":{params},"method":"{method}"}}"#
    )
    .into_bytes()
}

/// Returns the body for `thing/event/property/post`.
#[must_use]
pub fn post(id: RequestId, properties: &Properties) -> Vec<u8> {
    post_body(
        id,
        &format!("{{{}}}", properties.0),
        "thing.event.property.post",
    )
}

/// Returns the body for `thing/event/{event}/post`. The time is that of the value that raised
/// the event.
#[must_use]
pub fn event_post(id: RequestId, event: &str, data: &[(Arc<str>, Value)], at: Wall) -> Vec<u8> {
    let params = event_value(data, at);
    post_body(id, &params, &format!("thing.event.{event}.post"))
}

/// Returns what is sent of an event besides its identifier: `{"value":{…},"time":ms}`
fn event_value(data: &[(Arc<str>, Value)], at: Wall) -> String {
    let data = ThingEvent::data_text(data);
    format!(r#"{{"value":{{{data}}},"time":{}}}"#, at.as_millis())
}

/// Returns the body for `thing/event/property/pack/post`, without values of the gateway's
/// own.
#[must_use]
pub fn pack_post<'a>(
    id: RequestId,
    devices: impl Iterator<Item = (&'a DeviceIdentity, Properties)>,
) -> Vec<u8> {
    let mut list = String::new();
    for (who, properties) in devices {
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(&format!(
            r#"{{"identity":{{"productKey":{},"deviceName":{}}},"properties":{{{}}},"events":{{}}}}"#,
            Json::from(who.product_key.as_str()),
            Json::from(who.device_name.as_str()),
            properties.0,
        ));
    }
    post_body(
        id,
        &format!(r#"{{"properties":{{}},"events":{{}},"subDevices":[{list}]}}"#),
        "thing.event.property.pack.post",
    )
}

/// What a history has of one device, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryPart {
    /// Its values, one in each.
    pub properties: Vec<Properties>,
    /// Its events, one in each.
    pub events: Vec<Properties>,
}

/// Returns the body for `thing/event/property/history/post`: values and events with their times,
/// each in an object of its own.
#[must_use]
pub fn history_post(id: RequestId, devices: &[(DeviceIdentity, HistoryPart)]) -> Vec<u8> {
    let mut list = String::new();
    for (who, part) in devices {
        if !list.is_empty() {
            list.push(',');
        }
        list.push_str(&format!(
            r#"{{"identity":{{"productKey":{},"deviceName":{}}},"properties":["#,
            Json::from(who.product_key.as_str()),
            Json::from(who.device_name.as_str()),
        ));
        push_objects(&mut list, &part.properties);
        list.push_str(r#"],"events":["#);
        push_objects(&mut list, &part.events);
        list.push_str("]}");
    }
    let params = format!("[{list}]");
    post_body(id, &params, "thing.event.property.history.post")
}

fn push_objects(list: &mut String, objects: &[Properties]) {
    for (index, object) in objects.iter().enumerate() {
        if index > 0 {
            list.push(',');
        }
        list.push('{');
        list.push_str(&object.0);
        list.push('}');
    }
}

/// How many bytes of the platform's words are kept; its own sentences have some sixty.
const LONGEST_MESSAGE: usize = 256;
/// An id of the platform is echoed if it is no longer than this, as JSON: such ids are
/// numbers of 32 bits.
const LONGEST_ID: usize = 66;

/// A reply, or a notice without a request on `/ext/error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The id of the request, if the gateway can have given it.
    pub id: Option<RequestId>,
    /// The platform's verdict.
    pub code: Code,
    /// The platform's words; may be empty.
    pub message: String,
    /// The devices that the reply names, in order.
    pub named: Vec<DeviceIdentity>,
}

/// Why a message could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The message is not JSON.
    NotJson,
    /// The message is JSON, but no object.
    NotAnObject,
    /// The message has no `code` that is a number.
    NoCode,
    /// The message does not contain the time, although that was requested.
    NoTime,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Malformed::NotJson => "not JSON",
            Malformed::NotAnObject => "not a JSON object",
            Malformed::NoCode => "no code",
            Malformed::NoTime => "does not say what time it is",
        })
    }
}

impl Reply {
    /// Reads a reply.
    ///
    /// # Errors
    /// If the payload is no JSON object with a `code`. A missing id, message or data is no
    /// error.
    pub fn parse(payload: &[u8]) -> Result<Reply, Malformed> {
        let json: Json = serde_json::from_slice(payload).map_err(|_| Malformed::NotJson)?;
        let object = json.as_object().ok_or(Malformed::NotAnObject)?;
        let code = object
            .get("code")
            .and_then(whole)
            .ok_or(Malformed::NoCode)?;
        let id = object
            .get("id")
            .and_then(whole)
            .and_then(|n| u32::try_from(n).ok())
            .map(RequestId);
        let message = object.get("message").and_then(Json::as_str);
        let mut named = Vec::new();
        match object.get("data") {
            Some(Json::Array(list)) => named.extend(list.iter().filter_map(identity)),
            Some(one) => named.extend(identity(one)),
            None => {}
        }
        Ok(Reply {
            id,
            code: Code(code),
            message: shortened(message.unwrap_or_default()),
            named,
        })
    }
}

/// Returns the platform's words as they are, cut to the beginning if they are longer than a
/// sentence, because they are kept and reported.
fn shortened(message: &str) -> String {
    if message.len() > LONGEST_MESSAGE {
        return excerpt(message.as_bytes(), LONGEST_MESSAGE);
    }
    message.to_owned()
}

/// Returns a whole number, also from text that is a number and nothing else.
fn whole(json: &Json) -> Option<i64> {
    match json {
        Json::Number(n) => n.as_i64(),
        Json::String(s) if s.bytes().all(|b| b.is_ascii_digit()) => s.parse().ok(),
        _ => None,
    }
}

fn identity(json: &Json) -> Option<DeviceIdentity> {
    let text = |key: &str| json.get(key).and_then(Json::as_str);
    Some(DeviceIdentity::new(
        text("productKey")?,
        text("deviceName")?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_code_is_read_as_number_and_as_text() {
        // The single and the batch example of "Connect or disconnect
        // sub-devices", the second with its missing comma put in.
        let single = br#"{"id":"123","code":200,"message":"success","data":{"deviceName":"device1234","productKey":"al12345"}}"#;
        let batch = br#"{"id":"123","code":"200","message":"success","data":[{"productKey":"al12345","deviceName":"device1234"},{"deviceName":"device4321","productKey":"al12345"}]}"#;
        let single = Reply::parse(single).unwrap();
        assert_eq!((single.id, single.code), (Some(RequestId(123)), Code(200)));
        assert_eq!(single.named, [DeviceIdentity::new("al12345", "device1234")]);
        let batch = Reply::parse(batch).unwrap();
        assert_eq!((batch.id, batch.code), (Some(RequestId(123)), Code(200)));
        assert_eq!(batch.named.len(), 2);
    }

    #[test]
    fn data_may_be_missing_or_anything() {
        for data in [
            "",
            r#","data":"""#,
            r#","data":null"#,
            r#","data":[1,{"x":2},[]]"#,
        ] {
            let text = format!(r#"{{"id":7,"code":429{data}}}"#);
            let reply = Reply::parse(text.as_bytes()).unwrap();
            assert_eq!((reply.id, reply.named.len()), (Some(RequestId(7)), 0));
        }
    }

    #[test]
    fn of_the_platforms_words_the_beginning_is_kept() {
        let said = |message: &str| {
            let text = serde_json::json!({"code": 520, "message": message}).to_string();
            Reply::parse(text.as_bytes()).unwrap().message
        };
        assert_eq!(said("no session"), "no session");
        assert!(said(&"错".repeat(80_000)).len() < 2 * LONGEST_MESSAGE);
    }

    #[test]
    fn what_is_no_reply_says_why() {
        assert_eq!(Reply::parse(b"{\"id\""), Err(Malformed::NotJson));
        assert_eq!(Reply::parse(b"[1]"), Err(Malformed::NotAnObject));
        assert_eq!(Reply::parse(b"{\"id\":\"1\"}"), Err(Malformed::NoCode));
        assert_eq!(Reply::parse(b"{\"code\":\"2e2\"}"), Err(Malformed::NoCode));
        assert_eq!(Reply::parse(b"{\"code\":2.5}"), Err(Malformed::NoCode));
    }

    #[test]
    fn an_id_that_we_could_not_have_given_is_nobodys() {
        let reply = Reply::parse(br#"{"id":"5|exp-topic|/sys/","code":200}"#).unwrap();
        assert_eq!(reply.id, None);
        assert_eq!(
            Reply::parse(br#"{"id":"4294967296","code":200}"#)
                .unwrap()
                .id,
            None
        );
    }

    /// The platform's documentation wants a decimal for a double even when its value is
    /// whole.
    #[test]
    fn a_whole_double_is_posted_with_a_decimal() {
        let at = Wall::from_millis(1_700_000_000_123);
        for (value, text) in [
            (Value::Float(2300.0), "2300.0"),
            (Value::Float(1e16), "1.0e+16"),
            (Value::UInt(2300), "2300"),
            (Value::Text("1795298194000".into()), "\"1795298194000\""),
        ] {
            let expected = format!("\"W\":{{\"value\":{text},\"time\":1700000000123}}");
            assert_eq!(Properties::one("W", &value, at).0, expected);
        }
    }

    /// "Device properties, events, and services", the example of an event, and
    /// of a module's event in the method.
    #[test]
    fn an_event_has_its_data_under_value_its_time_and_a_method_of_its_own() {
        let data = |name: &str, value| (name.into(), value);
        let data = [
            data("Power", Value::Text("on".into())),
            data("WindSpeed", Value::Int(2)),
            data("Temp", Value::Float(80.0)),
        ];
        let at = Wall::from_millis(1_524_448_722_000);
        let text = |event| String::from_utf8(event_post(RequestId(123), event, &data, at)).unwrap();
        assert_eq!(
            text("alarm"),
            r#"{"id":"123","version":"1.0","sys":{"ack":1},"params":{"value":{"Power":"on","WindSpeed":2,"Temp":80.0},"time":1524448722000},"method":"thing.event.alarm.post"}"#
        );
        assert!(text("m:alarm").ends_with(r#""method":"thing.event.m:alarm.post"}"#));
        let none = event_post(RequestId(1), "door", &[], at);
        let none: Json = serde_json::from_slice(&none).unwrap();
        assert_eq!(none["params"]["value"], serde_json::json!({}));
        let long = event_post(
            RequestId(u32::MAX),
            &"e".repeat(101),
            &[],
            Wall::from_millis(i64::MAX),
        );
        assert!(long.len() <= MESSAGE_BYTES + 101);
    }

    /// "Device properties, events, and services", the history of a sub-device.
    #[test]
    fn a_history_has_values_and_events_in_lists_of_their_own() {
        let at = Wall::from_millis(1_524_448_722_000);
        let data = [("Power".into(), Value::Text("on".into()))];
        let part = HistoryPart {
            properties: vec![
                Properties::one("Power", &Value::Text("on".into()), at),
                Properties::one("WF", &Value::Int(3), at),
            ],
            events: vec![
                Properties::event("alarm", &data, at),
                Properties::event("door", &[], at),
            ],
        };
        let body = history_post(RequestId(123), &[(DeviceIdentity::new("a1", "d"), part)]);
        assert_eq!(
            String::from_utf8(body).unwrap(),
            r#"{"id":"123","version":"1.0","sys":{"ack":1},"params":[{"identity":{"productKey":"a1","deviceName":"d"},"properties":[{"Power":{"value":"on","time":1524448722000}},{"WF":{"value":3,"time":1524448722000}}],"events":[{"alarm":{"value":{"Power":"on"},"time":1524448722000}},{"door":{"value":{},"time":1524448722000}}]}],"method":"thing.event.property.history.post"}"#
        );
    }

    #[test]
    fn names_that_need_escaping_are_escaped_and_the_size_bounds_hold() {
        let who = DeviceIdentity::new("p\"k", &"n".repeat(32));
        let one = Properties::one(
            "a\"b",
            &Value::Text("x\ny".into()),
            Wall::from_millis(i64::MAX),
        );
        let body = pack_post(RequestId(u32::MAX), std::iter::once((&who, one.clone())));
        serde_json::from_slice::<Json>(&body).unwrap();
        assert!(body.len() <= MESSAGE_BYTES + PACKED_BYTES + one.len());
        let body = post(RequestId(u32::MAX), &one);
        serde_json::from_slice::<Json>(&body).unwrap();
        assert!(body.len() <= MESSAGE_BYTES + one.len());
        let device = Login::new(
            &DeviceIdentity::new(&"p".repeat(32), &"n".repeat(32)),
            "c".repeat(80),
            i64::MIN.to_string(),
            SignMethod::HmacSha256,
            "f".repeat(64),
        );
        let one = batch_login(
            RequestId(1),
            SignMethod::HmacSha256,
            std::slice::from_ref(&device),
        );
        let two = batch_login(
            RequestId(1),
            SignMethod::HmacSha256,
            &[device.clone(), device],
        );
        assert!(two.len() - one.len() <= LOGIN_BYTES);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Reply::parse(&bytes);
        }
    }
}
