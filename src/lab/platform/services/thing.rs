//! The side of the thing model: properties, events, packs, histories; and the smaller
//! services on `/sys` and `/ext/ntp` ("Device properties, events, and services", doc
//! 89301).

use std::time::Duration;

use serde_json::{Map, Value as Json, json};

use crate::base::{Now, Wall};
use crate::lab::platform::fault::RequestKind;
use crate::lab::platform::messages::reply;
use crate::lab::platform::messages::reply::{Code, Request};
use crate::lab::platform::record::accepted::{AcceptedEvent, AcceptedValue};
use crate::lab::platform::record::ledger::{Event, Posted, Violation};
use crate::lab::platform::{Conn, Device, PackOutOfSession, Platform, State};

impl Platform {
    /// Handles a message on `/sys/{device}/{tail}`, from a device that may speak.
    #[expect(
        clippy::too_many_arguments,
        reason = "one arrival, told once; a struct for it would live for one call"
    )]
    pub(crate) fn on_thing(
        &mut self,
        now: Now,
        conn: Conn,
        gateway: &Device,
        device: Device,
        tail: &str,
        topic: &str,
        payload: &[u8],
    ) {
        if tail == "thing/model/up_raw" {
            return;
        }
        let Some(request) = Request::parse(payload) else {
            self.ledger.broke(Violation::Malformed, || topic.to_owned());
            return;
        };
        let call = tail.strip_prefix("rrpc/response/");
        if tail.ends_with("_reply") || call.is_some() {
            let pushed = tail == "thing/config/push_reply";
            if call.is_some() || pushed || tail.starts_with("thing/service/") {
                self.note_answer(now, topic, call, &request);
            }
            let replied = Event::Replied {
                device,
                tail: tail.to_owned(),
                id: request.id,
                code: request.code,
                message: request.message,
            };
            self.ledger.event(now, replied);
            return;
        }
        self.ledger.id(conn, &device, &request.id);
        let kind = kind(tail);
        let before = self.value_counts();
        let refused = kind.and_then(|kind| self.refused_by_fault(now, conn, kind));
        let answer = match refused {
            Some(code) => Some((code, json!({}))),
            None => self.answer(now, conn, gateway, &device, tail, &request.params),
        };
        let Some((code, data)) = answer else {
            self.ledger
                .broke(Violation::UnknownTopic, || topic.to_owned());
            return;
        };
        if code == Code::PARAMETER && refused.is_none() {
            self.ledger
                .broke(Violation::BadParameters, || topic.to_owned());
        }
        let lost = self.ledger.totals().lost_replies;
        let wanted = request.ack && !(is_own_post(tail) && self.faults.leaves_unanswered(&device));
        if wanted {
            let payload = reply::write(&request.id, code, false, data);
            self.tell(now, conn, format!("{topic}_reply"), payload);
        }
        if kind == Some(RequestKind::Post) {
            let after = self.value_counts();
            self.ledger.note_posted(Posted {
                at: now.mono,
                device,
                accepted: after[0] - before[0],
                repeats: after[1] - before[1],
                dropped: after[2] - before[2],
                code,
                answered: wanted && self.ledger.totals().lost_replies == lost,
            });
        }
        for device in std::mem::take(&mut self.told_after) {
            self.tell_error(now, conn, &device, Code::NO_SESSION);
        }
    }

    /// Returns the values accepted, repeats among them, and values dropped, so far.
    const fn value_counts(&self) -> [u64; 3] {
        let values = &self.accepted;
        [values.total(), values.repeats(), values.dropped()]
    }

    /// Returns whether a fault refuses the request, whatever it says.
    fn refused_by_fault(&mut self, now: Now, conn: Conn, kind: RequestKind) -> Option<Code> {
        if let Some(code) = self.faults.answers(now.mono, kind) {
            return Some(code);
        }
        let most = self
            .faults
            .posts_per_second()
            .filter(|_| kind == RequestKind::Post)?;
        let recent = &mut self.links.get_mut(&conn)?.posts;
        if recent.note(now.mono, Duration::from_secs(1)) <= most {
            return None;
        }
        // A refused post does not count against the next ones.
        recent.unnote();
        Some(Code::THROTTLED)
    }

    /// Handles a message on `/ota/device/{…}/{device}`: only the version is looked at.
    pub(crate) fn on_ota(
        &mut self,
        now: Now,
        conn: Conn,
        device: Device,
        topic: &str,
        payload: &[u8],
    ) {
        let Some(request) = Request::parse(payload) else {
            self.ledger.broke(Violation::Malformed, || topic.to_owned());
            return;
        };
        if topic.starts_with("/ota/device/inform/") {
            if request.id.is_string() {
                // The C SDK sends a bare number here, and the platform accepts it.
                self.ledger.id(conn, &device, &request.id);
            }
            let version = request.params.get("version").cloned().unwrap_or_default();
            self.ledger.event(now, Event::Informed { device, version });
        }
    }

    fn answer(
        &mut self,
        now: Now,
        conn: Conn,
        gateway: &Device,
        device: &Device,
        tail: &str,
        params: &Json,
    ) -> Option<(Code, Json)> {
        let done = |code| Some((code, json!({})));
        let levels: Vec<&str> = tail.split('/').collect();
        match levels.as_slice() {
            // On the gateway's own topics only.
            ["thing", "topo", "add"] if device == gateway => {
                Some(self.add_topology_asked(gateway, params))
            }
            ["thing", "topo", "delete"] if device == gateway => {
                Some(self.delete_topology_asked(now, gateway, params))
            }
            ["thing", "topo", "get"] if device == gateway => Some(self.topology_asked(gateway)),
            ["thing", "list", "found"] if device == gateway => Some(self.found_asked(now, params)),
            ["thing", "sub", "register"] if device == gateway => {
                Some(self.register_asked(gateway, params))
            }
            ["thing", "proxy", "provisioning", "product_register"] if device == gateway => {
                Some(self.product_register_asked(now, gateway, params))
            }
            ["thing", "event", "property", "pack", "post"] if device == gateway => {
                done(self.pack(now, conn, gateway, params))
            }
            ["thing", "event", "property", "history", "post"] => {
                done(self.history(now, gateway, device, params))
            }
            ["thing", "event", "property", "batch", "post"] => {
                done(self.batch(now, device, params))
            }
            ["thing", "event", "property", "post"] => done(self.post(now, device, params)),
            ["thing", "event", id, "post"] => done(self.event(now, device, id, params)),
            ["thing", "deviceinfo", "update" | "delete"] => done(Code::OK),
            // The C SDK and a Go library disagree about this topic.
            ["thing", "log", "post"] | ["thing", "config", "log", "post"] => done(Code::OK),
            ["thing", "property", "desired", "get"] => Some(self.desired_asked(device, params)),
            ["thing", "property", "desired", "delete"] => {
                done(self.desired_deleted(device, params))
            }
            ["thing", "config", "get"] => Some(self.config_asked(device, params)),
            _ => None,
        }
    }

    /// Handles `property/post`: one device, one value per property.
    fn post(&mut self, now: Now, device: &Device, params: &Json) -> Code {
        let Json::Object(properties) = params else {
            return Code::PARAMETER;
        };
        if let Err(code) = self.check_count(properties.len()) {
            return code;
        }
        let code = self.may_post(device);
        if code == Code::OK {
            self.take(now, device, properties, false);
        }
        code
    }

    /// Handles `thing/event/{id}/post`: one event of one device. Unlike a property, an event that
    /// the thing model does not have is refused.
    /// The platform's own SDKs send the output data themselves as the parameters.
    fn event(&mut self, now: Now, device: &Device, id: &str, params: &Json) -> Code {
        let is_bare = params.is_object() && params.get("value").is_none();
        let said = match is_bare {
            true => Some((params.clone(), None)),
            false => event_in(params),
        };
        let (Some((data, time)), true) = (said, is_event(id)) else {
            return Code::PARAMETER;
        };
        match self.may_have(device, id) {
            Code::OK => {}
            code => return code,
        }
        self.accepted.put_event(AcceptedEvent {
            at: now.mono,
            device: device.clone(),
            id: id.to_owned(),
            data,
            time,
            history: false,
        });
        Code::OK
    }

    /// Returns whether the device may post this event.
    fn may_have(&self, device: &Device, id: &str) -> Code {
        match self.may_post(device) {
            Code::OK if self.unknown_events.contains(id) => Code::NO_METHOD,
            code => code,
        }
    }

    /// Reads the events in a history of a device, or in a pack; `None` if one has a wrong form.
    fn events_in(events: &[Json]) -> Option<Vec<(String, Json, Option<Wall>)>> {
        let mut all = Vec::new();
        for events in events {
            for (id, said) in events.as_object()? {
                let (data, time) = event_in(said).filter(|_| is_event(id))?;
                all.push((id.clone(), data, time));
            }
        }
        Some(all)
    }

    fn take_events(
        &mut self,
        now: Now,
        device: &Device,
        events: Vec<(String, Json, Option<Wall>)>,
        history: bool,
    ) {
        for (id, data, time) in events {
            self.accepted.put_event(AcceptedEvent {
                at: now.mono,
                device: device.clone(),
                id,
                data,
                time,
                history,
            });
        }
    }

    /// Handles `property/pack/post`: the values of the gateway and of up to 20
    /// sub-devices; if the part of one device fails, the whole pack fails.
    fn pack(&mut self, now: Now, conn: Conn, gateway: &Device, params: &Json) -> Code {
        let none = Map::new();
        let subs = match params.get("subDevices") {
            None => &Vec::new(),
            Some(Json::Array(subs)) => subs,
            Some(_) => return Code::PARAMETER,
        };
        if subs.len() > self.limits.pack_devices {
            let count = subs.len();
            self.ledger
                .broke(Violation::PackTooLarge, || format!("{count} sub-devices"));
            return Code::TOO_MANY_IN_PACK;
        }
        let mut parts = Vec::with_capacity(subs.len() + 1);
        for (whose, part) in std::iter::once((Some(gateway.clone()), params)).chain(
            subs.iter()
                .map(|s| (s.get("identity").and_then(reply::pair_of), s)),
        ) {
            let properties = object_in(part, "properties", &none);
            let found = (whose, properties, object_in(part, "events", &none));
            let (Some(device), Some(properties), Some(events)) = found else {
                return Code::PARAMETER;
            };
            parts.push((device, properties, events));
        }
        let count = parts.iter().map(|(_, p, _)| p.len()).sum();
        if let Err(code) = self.check_count(count) {
            return code;
        }
        for (device, ..) in &parts {
            let code = self.may_be_packed(now, conn, gateway, device);
            if code != Code::OK {
                return code;
            }
        }
        for (device, properties, events) in &parts {
            let here = device == gateway || self.has_session(conn, device);
            match self.switches.pack_out_of_session {
                PackOutOfSession::DroppedAndTold if !here => {
                    self.accepted.note_dropped(properties.len() as u64);
                    self.tell_error(now, conn, device, Code::NO_SESSION);
                }
                PackOutOfSession::DroppedToldAfter if !here => {
                    self.accepted.note_dropped(properties.len() as u64);
                    self.told_after.push(device.clone());
                }
                _ => {
                    self.take(now, device, properties, false);
                    let events = Json::Object((*events).clone());
                    let Some(events) = Self::events_in(&[events]) else {
                        return Code::PARAMETER;
                    };
                    self.take_events(now, device, events, false);
                }
            }
        }
        Code::OK
    }

    fn may_be_packed(&mut self, now: Now, conn: Conn, gateway: &Device, device: &Device) -> Code {
        if device == gateway {
            return Code::OK;
        }
        let code = self.may_post(device);
        if code != Code::OK {
            return code;
        }
        if self.gateway_of(device) != Some(gateway) {
            return Code::NO_TOPOLOGY;
        }
        if !self.has_session(conn, device) {
            self.message_out_of_session(now, device, Violation::PackBeforeLogin);
            if self.switches.pack_out_of_session == PackOutOfSession::Refused {
                return Code::NO_SESSION;
            }
        }
        Code::OK
    }

    /// Handles `property/history/post`: values of the sender, or of any sub-device of a
    /// gateway; a history does not change the current value.
    fn history(&mut self, now: Now, gateway: &Device, sender: &Device, params: &Json) -> Code {
        let Some(list) = params.as_array().filter(|l| !l.is_empty()) else {
            return Code::PARAMETER;
        };
        let mut parts = Vec::new();
        for one in list {
            let Some(device) = one.get("identity").and_then(reply::pair_of) else {
                return Code::PARAMETER;
            };
            let own = device == *sender;
            let below = sender == gateway && self.gateway_of(&device) == Some(gateway);
            if !own && !below {
                return Code::NO_TOPOLOGY;
            }
            let code = self.may_post(&device);
            if code != Code::OK {
                return code;
            }
            parts.push((device, one));
        }
        let list_of = |part: &Json, key: &str| -> Vec<Json> {
            let list = part.get(key).and_then(Json::as_array);
            list.cloned().unwrap_or_default()
        };
        let mut taken = Vec::new();
        for (device, part) in parts {
            let Some(events) = Self::events_in(&list_of(part, "events")) else {
                return Code::PARAMETER;
            };
            let mut codes = events.iter().map(|(id, ..)| self.may_have(&device, id));
            if let Some(code) = codes.find(|code| *code != Code::OK) {
                return code;
            }
            taken.push((device, list_of(part, "properties"), events));
        }
        for (device, properties, events) in taken {
            for properties in properties {
                if let Json::Object(properties) = properties {
                    self.take(now, &device, &properties, true);
                }
            }
            self.take_events(now, &device, events, true);
        }
        Code::OK
    }

    /// Handles `property/batch/post`: several times of one device.
    fn batch(&mut self, now: Now, device: &Device, params: &Json) -> Code {
        let Json::Object(_) = params else {
            return Code::PARAMETER;
        };
        let code = self.may_post(device);
        if code != Code::OK {
            return code;
        }
        let lists = |key: &str| -> Vec<(String, Vec<Json>)> {
            let map = params.get(key).and_then(Json::as_object);
            map.into_iter()
                .flatten()
                .map(|(name, list)| (name.clone(), list.as_array().cloned().unwrap_or_default()))
                .collect()
        };
        for (property, values) in lists("properties") {
            for value in values {
                let one = Map::from_iter([(property.clone(), value)]);
                self.take(now, device, &one, false);
            }
        }
        let events = lists("events").into_iter();
        let events = events.flat_map(|(id, list)| {
            let one = move |event| Json::Object(Map::from_iter([(id.clone(), event)]));
            list.into_iter().map(one)
        });
        let events: Vec<Json> = events.collect();
        let Some(events) = Self::events_in(&events) else {
            return Code::PARAMETER;
        };
        self.take_events(now, device, events, false);
        Code::OK
    }

    fn check_count(&mut self, properties: usize) -> Result<(), Code> {
        if properties > self.limits.pack_properties {
            self.ledger.broke(Violation::TooManyProperties, || {
                format!("{properties} properties")
            });
            return Err(Code::TOO_MANY_PROPERTIES);
        }
        Ok(())
    }

    pub(crate) fn may_post(&self, device: &Device) -> Code {
        match self.accounts.get(device).map(|a| a.state) {
            None | Some(State::Deleted) => Code::NOT_FOUND,
            Some(State::Disabled) => Code(6204),
            Some(State::Enabled) => self.faults.refusal(device).unwrap_or(Code::OK),
        }
    }

    /// Records values: bare, or with the time they were read.
    fn take(&mut self, now: Now, device: &Device, properties: &Map<String, Json>, history: bool) {
        for (property, said) in properties {
            let (value, time) = match said {
                Json::Object(o) if o.contains_key("value") => {
                    let time = o.get("time").and_then(Json::as_i64).map(Wall::from_millis);
                    (o.get("value").cloned().unwrap_or(Json::Null), time)
                }
                bare => (bare.clone(), None),
            };
            self.accepted.put(AcceptedValue {
                at: now.mono,
                device: device.clone(),
                property: property.clone(),
                value,
                time,
                history,
            });
        }
    }

    /// Handles `/ext/ntp/{gateway}/request`: all three times as text (doc 102509).
    pub(crate) fn on_ntp(&mut self, now: Now, conn: Conn, gateway: &Device, payload: &[u8]) {
        let sent = serde_json::from_slice::<Json>(payload)
            .ok()
            .and_then(|asked| {
                crate::lab::platform::messages::sign::text_of(&asked, "deviceSendTime")
            });
        let Some(sent) = sent else {
            self.ledger.broke(Violation::Malformed, || {
                format!("/ext/ntp/{gateway}/request")
            });
            return;
        };
        let time = now.wall.as_millis().to_string();
        let answer = json!({
            "deviceSendTime": sent, "serverRecvTime": time, "serverSendTime": time,
        });
        let topic = format!("/ext/ntp/{gateway}/response");
        self.tell(now, conn, topic, answer.to_string().into_bytes());
    }
}

/// Returns whether this can be the identifier of an event: of at most 50 letters, digits and
/// underscores, behind its module and a colon if it has one.
fn is_event(id: &str) -> bool {
    let is_part = |part: &str| {
        (1..=50).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let reserved = ["property", "set", "get", "post"].contains(&id);
    !reserved && id.splitn(2, ':').all(is_part)
}

/// Returns the output data of an event and its time: `{"value":{…},"time":ms}`, the time being
/// optional.
fn event_in(params: &Json) -> Option<(Json, Option<Wall>)> {
    let data = params.get("value").filter(|data| data.is_object())?;
    let time = match params.get("time") {
        None => None,
        Some(time) => Some(Wall::from_millis(time.as_i64().filter(|ms| *ms > 0)?)),
    };
    Some((data.clone(), time))
}

/// Returns the object under this key, or this one if the key is absent; `None` if the
/// value is not an object.
fn object_in<'a>(
    of: &'a Json,
    key: &str,
    none: &'a Map<String, Json>,
) -> Option<&'a Map<String, Json>> {
    match of.get(key) {
        None => Some(none),
        Some(Json::Object(map)) => Some(map),
        Some(_) => None,
    }
}

/// Returns the kind of this request, among those that a fault can refuse.
fn kind(tail: &str) -> Option<RequestKind> {
    let levels: Vec<&str> = tail.split('/').collect();
    match levels.as_slice() {
        ["thing", "event", .., "post"] => Some(RequestKind::Post),
        ["thing", "topo", ..] => Some(RequestKind::Topology),
        ["thing", "sub", "register"] | ["thing", "proxy", ..] => Some(RequestKind::Registration),
        _ => None,
    }
}

/// Returns whether the message is a post on the topic of the device it is about.
fn is_own_post(tail: &str) -> bool {
    matches!(
        tail.split('/').collect::<Vec<_>>().as_slice(),
        ["thing", "event", _, "post"]
    )
}
