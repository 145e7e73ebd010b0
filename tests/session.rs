//! The cloud engine: for given inputs, exact outputs.
//!
//! The other side is a small model of the platform written for these tests alone, on
//! virtual time; it shares no code with the engine. Every message the engine sends
//! passes [`World::check`], so each test also tests the invariants.

#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test, and a helper of tests, says no"
)]

#[path = "fixture/gateway.rs"]
mod gateway;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use alink_gateway::base::{
    DeviceId, LinkDown, LogEvent, LogoutReason, Mono, Now, Reading, Rng, Value, Wall,
};
use alink_gateway::cloud::{Cloud, Code, Connector, Notice, Output, Presence, Session};
use alink_gateway::spec::{Spec, Subscriptions};
use gateway::{gateway as spec, name};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

const SESSION: &str = "/ext/session/gwPk/gw-1/combine/";
const ERROR: &str = "/ext/error/gwPk/gw-1";
const PACK: &str = "/sys/gwPk/gw-1/thing/event/property/pack/post";

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn post_topic(id: u32) -> String {
    format!("/sys/subPk/{}/thing/event/property/post", name(id))
}

/// A message of the engine, read by the code of these tests.
#[derive(Clone, Debug)]
struct Sent {
    at: Mono,
    topic: String,
    id: String,
    /// By number.
    devices: Vec<u32>,
    json: Json,
    bytes: usize,
}

impl Sent {
    fn read(at: Mono, topic: &str, payload: &[u8]) -> Sent {
        let json: Json = serde_json::from_slice(payload).expect("compact JSON");
        assert_eq!(
            json.to_string().len(),
            payload.len(),
            "compact: {}",
            String::from_utf8_lossy(payload)
        );
        let params = &json["params"];
        let list: Vec<Json> = match topic {
            t if t == PACK => {
                let subs = params["subDevices"].as_array().unwrap();
                subs.iter().map(|s| s["identity"].clone()).collect()
            }
            t if t.starts_with("/sys/") => {
                vec![json!({ "deviceName": t.split('/').nth(3).unwrap() })]
            }
            t if t.ends_with("batch_login") => params["deviceList"].as_array().unwrap().clone(),
            t if t.ends_with("batch_logout") => params.as_array().unwrap().clone(),
            _ => vec![params.clone()],
        };
        let number = |d: &Json| d["deviceName"].as_str().unwrap()[6..].parse().unwrap();
        Sent {
            at,
            topic: topic.to_owned(),
            id: json["id"].as_str().expect("a text id").to_owned(),
            devices: list.iter().map(number).collect(),
            bytes: payload.len(),
            json,
        }
    }

    /// Returns `login`, `batch_logout`, `pack`, `post` …
    fn what(&self) -> &str {
        match self.topic.strip_prefix(SESSION) {
            Some(tail) => tail,
            None if self.topic == PACK => "pack",
            None => "post",
        }
    }

    fn is_login(&self) -> bool {
        self.what().ends_with("login")
    }

    fn is_session(&self) -> bool {
        self.topic.starts_with(SESSION)
    }
}

fn is_aside(topic: &str) -> bool {
    topic.contains("/thing/topo/") || topic.starts_with("/ota/") || {
        let tail = topic.rsplit('/').next().unwrap_or_default();
        ["disable_reply", "enable_reply", "delete_reply"].contains(&tail)
    }
}

/// Returns whether the platform says this of a device only when its session is gone.
fn ends_session(code: i64) -> bool {
    ![428, 429, 460, 500, 31337].contains(&code)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Naming {
    Culprits,
    All,
    Nobody,
}

/// The platform, as far as these tests need it.
struct Platform {
    online: BTreeSet<u32>,
    bad: BTreeMap<u32, i64>,
    bad_post: BTreeMap<u32, i64>,
    naming: Naming,
    text_codes: bool,
    /// Codes of the answers to the next messages, before anything else is checked.
    moods: Vec<i64>,
    accepted: Vec<(u32, String, Json)>,
}

impl Platform {
    /// Returns the code and the devices of the reply.
    fn judge(&mut self, sent: &Sent) -> (i64, Vec<u32>) {
        if !self.moods.is_empty() {
            let code = self.moods.remove(0);
            // A log-out refused because of the device: it has no session.
            if sent.what().ends_with("logout") && ends_session(code) {
                self.online.retain(|d| !sent.devices.contains(d));
            }
            return (code, Vec::new());
        }
        let mut code = 200;
        let mut culprits = Vec::new();
        for d in &sent.devices {
            let one = match sent.what() {
                "login" | "batch_login" => self.bad.get(d).copied(),
                "logout" | "batch_logout" => (!self.online.contains(d)).then_some(520),
                _ => self.bad_post.get(d).copied(),
            };
            if let Some(one) = one {
                code = if code == 200 { one } else { code };
                if one == 520 {
                    self.online.remove(d);
                }
                culprits.push(*d);
            }
        }
        if code == 200 {
            for d in &sent.devices {
                match sent.what() {
                    "login" | "batch_login" => {
                        self.online.insert(*d);
                    }
                    "logout" | "batch_logout" => {
                        self.online.remove(d);
                    }
                    "pack" => {
                        let subs = sent.json["params"]["subDevices"].as_array().unwrap();
                        for s in subs {
                            let who: u32 = s["identity"]["deviceName"].as_str().unwrap()[6..]
                                .parse()
                                .unwrap();
                            if who == *d {
                                for (k, v) in s["properties"].as_object().unwrap() {
                                    self.accepted.push((*d, k.clone(), v.clone()));
                                }
                            }
                        }
                    }
                    _ => {
                        for (k, v) in sent.json["params"].as_object().unwrap() {
                            self.accepted.push((*d, k.clone(), v.clone()));
                        }
                    }
                }
            }
        }
        let named = match self.naming {
            _ if code == 200 => sent.devices.clone(),
            Naming::Culprits => culprits,
            Naming::All => sent.devices.clone(),
            Naming::Nobody => Vec::new(),
        };
        (code, named)
    }

    fn answer(&mut self, sent: &Sent) -> (String, Vec<u8>) {
        let (code, named) = self.judge(sent);
        let names: Vec<Json> = named
            .iter()
            .map(|d| json!({"productKey": "subPk", "deviceName": name(*d)}))
            .collect();
        let data = match (&names[..], sent.what()) {
            ([one], "login" | "logout") => one.clone(),
            ([], _) => json!(""),
            (many, _) => json!(many),
        };
        let code = if self.text_codes {
            json!(code.to_string())
        } else {
            json!(code)
        };
        let body = json!({"id": sent.id, "code": code, "message": "m", "data": data});
        (
            format!("{}_reply", sent.topic),
            body.to_string().into_bytes(),
        )
    }
}

/// The engine, the platform, and the time between them.
struct World {
    cloud: Cloud,
    spec: Arc<Spec>,
    now: Now,
    platform: Platform,
    link: bool,
    stopped: bool,
    /// Until when posts may be sent, once stopped.
    last_posts: Mono,
    wanted: BTreeMap<u32, Presence>,
    mail: BTreeMap<(Mono, u64), (String, Vec<u8>)>,
    posted: u64,
    delay: Duration,
    /// Requests or replies lost, in thousandths; chance for the test's own use.
    loss: u32,
    rng: Rng,
    sent: Vec<Sent>,
    notices: Vec<Notice>,
    subscribed: Vec<Vec<String>>,
    logged_out: usize,
    ids: BTreeSet<String>,
    /// Device → id of its session request, and when it counts as unanswered.
    under_way: BTreeMap<u32, (String, Mono)>,
}

impl World {
    fn new(spec: Spec) -> World {
        World::seeded(spec, 1)
    }

    fn seeded(spec: Spec, seed: u64) -> World {
        let spec = Arc::new(spec);
        let now = Now {
            mono: Mono::from_micros(1_000_000),
            wall: Wall::from_millis(1_700_000_000_000),
        };
        World {
            cloud: Cloud::new(Arc::clone(&spec), Rng::new(seed), now),
            spec,
            now,
            platform: Platform {
                online: BTreeSet::new(),
                bad: BTreeMap::new(),
                bad_post: BTreeMap::new(),
                naming: Naming::Nobody,
                text_codes: false,
                moods: Vec::new(),
                accepted: Vec::new(),
            },
            link: false,
            stopped: false,
            last_posts: Mono::START,
            wanted: BTreeMap::new(),
            mail: BTreeMap::new(),
            posted: 0,
            delay: ms(20),
            loss: 0,
            rng: Rng::new(seed ^ 0xABCD),
            sent: Vec::new(),
            notices: Vec::new(),
            subscribed: Vec::new(),
            logged_out: 0,
            ids: BTreeSet::new(),
            under_way: BTreeMap::new(),
        }
    }

    // --- what happens ---

    fn up(&mut self) {
        self.link = true;
        self.cloud.on_link_up(self.now);
        self.settle();
    }

    fn down(&mut self) {
        self.link = false;
        self.platform.online.clear();
        self.mail.clear();
        self.under_way.clear();
        self.cloud.on_link_down(self.now);
        self.settle();
    }

    fn want(&mut self, ids: impl IntoIterator<Item = u32>, presence: Presence) {
        for id in ids {
            self.wanted.insert(id, presence);
            self.cloud.want(self.now, DeviceId(id), presence);
            self.settle();
        }
    }

    fn put(&mut self, id: u32, point: u16, value: i64) {
        let reading = Reading {
            device: DeviceId(id),
            point,
            value: Value::Int(value),
            at: self.now,
        };
        self.cloud.put(self.now, reading);
        self.settle();
    }

    fn kick(&mut self, id: u32, code: i64) {
        // 520 is about a message sent earlier: it ends no session that has begun since.
        let stale = code == 520 && self.session(id) != Session::In;
        if ends_session(code) && !stale {
            self.platform.online.remove(&id);
        }
        let body = json!({"id": "9", "code": code, "data": {"productKey": "subPk", "deviceName": name(id)}});
        self.message(ERROR, body.to_string().as_bytes());
    }

    fn message(&mut self, topic: &str, payload: &[u8]) {
        self.cloud.on_message(self.now, topic, payload);
        self.settle();
    }

    fn stop(&mut self) {
        self.stopped = true;
        self.last_posts = self.now.mono + secs(2).min(self.spec.stop_within / 5);
        for wish in self.wanted.values_mut() {
            *wish = Presence::Offline;
        }
        let last = self.now.mono + self.spec.stop_within / 4;
        for (_, until) in self.under_way.values_mut() {
            *until = (*until).min(last);
        }
        self.cloud.stop(self.now);
        self.settle();
    }

    // --- time ---

    fn run(&mut self, span: Duration) {
        let end = self.now.mono + span;
        self.run_until(end, |_| false);
    }

    /// Runs until `done`, at most `span`; returns whether it came.
    fn run_for(&mut self, span: Duration, done: impl Fn(&World) -> bool) -> bool {
        let end = self.now.mono + span;
        self.run_until(end, &done);
        done(self)
    }

    fn run_until(&mut self, end: Mono, done: impl Fn(&World) -> bool) {
        self.settle();
        while !done(self) {
            let wake = self.cloud.wake_at().map(|w| w.at);
            let mail = self.mail.keys().next().map(|(at, _)| *at);
            let next = [wake, mail].into_iter().flatten().min().unwrap_or(end);
            if next > end || (wake.is_none() && mail.is_none()) {
                self.advance_to(end);
                self.settle();
                return;
            }
            self.advance_to(next);
            if let Some(&key) = self.mail.keys().next().filter(|(at, _)| *at <= next) {
                let (topic, payload) = self.mail.remove(&key).unwrap();
                let id = serde_json::from_slice::<Json>(&payload).unwrap()["id"].clone();
                self.under_way.retain(|_, (open, _)| json!(open) != id);
                self.cloud.on_message(self.now, &topic, &payload);
            }
            self.settle();
        }
    }

    fn advance_to(&mut self, at: Mono) {
        let millis = at.since(Mono::START).as_millis() as i64;
        self.now = Now {
            mono: at.max(self.now.mono),
            wall: Wall::from_millis(1_700_000_000_000 + millis),
        };
    }

    // --- what comes out ---

    fn settle(&mut self) {
        let mut budget = 100_000;
        while let Some(output) = self.cloud.poll(self.now) {
            budget -= 1;
            assert!(budget > 0, "the engine never rests");
            match output {
                Output::Publish { topic, payload } if is_aside(&topic) => {
                    self.aside(&topic, &payload);
                }
                Output::Keep { device, .. } => panic!("{device:?} has its secret"),
                Output::Publish { topic, payload } => {
                    let sent = Sent::read(self.now.mono, &topic, &payload);
                    self.check(&sent);
                    self.deliver(&sent);
                    self.sent.push(sent);
                }
                Output::Subscribe { filters } => self.subscribed.push(filters),
                Output::Notice(notice) => {
                    assert!(!notice.sentence().is_empty());
                    self.notices.push(notice);
                }
                Output::RemoteTask(errand) => panic!("nobody has pushed anything: {errand:?}"),
                Output::LoggedOut => self.logged_out += 1,
            }
        }
        let wake = self.cloud.wake_at();
        assert!(
            wake.is_none_or(|w| w.at > self.now.mono),
            "to be woken in the past: {wake:?} at {}",
            self.now.mono
        );
        let unsettled = self.wanted.iter().any(|(id, wish)| {
            let is = self.cloud.session(DeviceId(*id));
            (is == Session::In) != (*wish == Presence::Online)
                && !(*wish == Presence::Offline && matches!(is, Session::Barred { .. }))
                && !(*wish == Presence::Offline && is == Session::Out)
        });
        // A device that waits for a place waits for another to leave, not for a time.
        let full = self.cloud.online() >= self.spec.cloud.session.online;
        if self.link && unsettled && !full && self.logged_out == 0 {
            assert!(wake.is_some(), "nothing will ever happen");
        }
    }

    /// Answers relations, answers to orders and the version: `tests/roll.rs` is about
    /// them. Here every device is in the topology, but for those bad with 6401, which
    /// hang elsewhere.
    fn aside(&mut self, topic: &str, payload: &[u8]) {
        assert!(self.link, "published without a link");
        let json: Json = serde_json::from_slice(payload).expect("JSON");
        let lost = self.rng.chance(self.loss) || self.rng.chance(self.loss);
        let (code, data) = if topic.ends_with("/topo/get") {
            let under = (0..self.spec.devices.len() as u32)
                .filter(|d| self.platform.bad.get(d) != Some(&6401))
                .map(|d| json!({"productKey": "subPk", "deviceName": name(d)}));
            (200, under.collect::<Vec<_>>())
        } else if topic.ends_with("/topo/add") {
            let bad = &self.platform.bad;
            let elsewhere = json["params"].as_array().unwrap().iter().any(|d| {
                let id = d["deviceName"].as_str().unwrap()[6..].parse().unwrap();
                bad.get(&id) == Some(&6401)
            });
            (if elsewhere { 6401 } else { 200 }, Vec::new())
        } else {
            return;
        };
        let body = json!({"id": json["id"], "code": code, "message": "m", "data": data});
        if !lost {
            self.posted += 1;
            self.mail.insert(
                (self.now.mono + self.delay, self.posted),
                (format!("{topic}_reply"), body.to_string().into_bytes()),
            );
        }
    }

    fn deliver(&mut self, sent: &Sent) {
        assert!(self.link, "published without a link");
        if self.rng.chance(self.loss) {
            return;
        }
        let reply = self.platform.answer(sent);
        if self.rng.chance(self.loss) {
            return;
        }
        self.posted += 1;
        self.mail
            .insert((self.now.mono + self.delay, self.posted), reply);
    }

    /// Checks the invariants, message by message.
    fn check(&mut self, sent: &Sent) {
        let spec = Arc::clone(&self.spec);
        let (limits, policy) = (&spec.cloud.session, &spec.cloud.post);
        assert!(
            self.ids.insert(sent.id.clone()),
            "id {} used twice",
            sent.id
        );
        sent.id.parse::<u32>().expect("a decimal id");
        assert!(!sent.devices.is_empty());
        let distinct: BTreeSet<_> = sent.devices.iter().collect();
        assert_eq!(distinct.len(), sent.devices.len(), "twice in one message");
        assert_eq!(
            sent.devices.len() > 1,
            sent.what().starts_with("batch_") || sent.what() == "pack",
            "one device: its own topic; several: the batch's"
        );
        // Posts of one device may overlap: their values carry their times
        // (`tests/delivery.rs` is about them).
        if sent.is_session() {
            let timeout = match self.stopped {
                true => spec.stop_within / 4,
                // Shorter than configured when replies come sooner, but never shorter
                // than this.
                false => secs(2),
            };
            for d in &sent.devices {
                if let Some((_, until)) = self.under_way.get(d) {
                    assert!(*until <= self.now.mono, "device {d} is already under way");
                }
                let entry = (sent.id.clone(), self.now.mono + timeout);
                self.under_way.insert(*d, entry);
            }
        }
        if sent.is_session() {
            assert!(sent.devices.len() <= limits.batch);
            let busy = self
                .spec
                .devices()
                .filter(|(id, _)| {
                    matches!(self.cloud.session(*id), Session::In | Session::LoggingIn)
                })
                .count();
            assert!(busy <= limits.online, "{busy} online or about to be");
        } else {
            assert!(
                !self.stopped || self.now.mono <= self.last_posts,
                "posted while logging out"
            );
            assert!(sent.devices.len() <= policy.pack_devices);
            assert!(sent.bytes <= policy.message_bytes);
            let mut properties = 0;
            match sent.what() {
                "pack" => {
                    for s in sent.json["params"]["subDevices"].as_array().unwrap() {
                        properties += s["properties"].as_object().unwrap().len();
                    }
                }
                _ => properties = sent.json["params"].as_object().unwrap().len(),
            }
            assert!(properties > 0 && properties <= policy.pack_properties);
            for d in &sent.devices {
                assert_eq!(
                    self.cloud.session(DeviceId(*d)),
                    Session::In,
                    "posted for {d}"
                );
            }
        }
        if sent.is_login() {
            for d in &sent.devices {
                let recent = self
                    .sent
                    .iter()
                    .rev()
                    .take_while(|s| self.now.mono.since(s.at) < secs(60))
                    .filter(|s| s.is_login() && s.devices.contains(d))
                    .count();
                assert!(recent < limits.logins_per_minute, "{d} tried too often");
            }
        }
        let second = self
            .sent
            .iter()
            .rev()
            .take_while(|s| self.now.mono.since(s.at) < secs(1))
            .count();
        let most = policy.messages_per_second + (policy.messages_per_second / 5).max(1);
        assert!(second < most as usize, "{second} messages in a second");
    }

    // --- looking ---

    fn online(&self) -> usize {
        assert_eq!(
            self.cloud.online(),
            self.spec
                .devices()
                .filter(|(id, _)| self.cloud.session(*id) == Session::In)
                .count()
        );
        self.cloud.online()
    }

    fn session(&self, id: u32) -> Session {
        self.cloud.session(DeviceId(id))
    }

    /// Returns the messages sent, as `what×devices`, since the last call.
    fn spoken(&mut self) -> Vec<String> {
        let sent = std::mem::take(&mut self.sent);
        sent.iter()
            .map(|s| format!("{}×{}", s.what(), s.devices.len()))
            .collect()
    }

    fn barred_with(&self, id: u32) -> Option<i64> {
        match self.session(id) {
            Session::Barred { code, .. } => Some(code.0),
            _ => None,
        }
    }
}

/// Builds a world with all of `n` devices online, and no message yet.
fn online(n: u32) -> World {
    online_with(spec(n, 4))
}

fn online_with(spec: Spec) -> World {
    let n = spec.devices.len() as u32;
    let mut w = World::new(spec);
    w.up();
    w.want(0..n, Presence::Online);
    w.run(secs(5));
    assert_eq!(w.online(), n as usize);
    w.spoken();
    w.notices.clear();
    w
}

// --- sessions -----------------------------------------------------------------

#[test]
fn two_thousand_devices_come_online_in_forty_messages() {
    // At the published pace, and with the pacer opened.
    for (per_second, within) in [(200, ms(10_500)), (10_000, secs(2))] {
        let mut spec = spec(2000, 1);
        spec.cloud.session.logins_per_second = per_second;
        let mut w = World::new(spec);
        w.want(0..2000, Presence::Online);
        assert_eq!(w.spoken(), Vec::<String>::new(), "no link, no word");
        w.up();
        assert_eq!(w.subscribed.len(), 2);
        assert!(w.run_for(within, |w| w.online() == 2000));
        assert_eq!(w.spoken(), vec!["batch_login×50"; 40]);
    }
}

#[test]
fn a_pace_below_a_batch_makes_the_batches_smaller() {
    let mut spec = spec(9, 1);
    spec.cloud.session.logins_per_second = 3;
    let mut w = World::new(spec);
    w.up();
    w.want(0..9, Presence::Online);
    assert!(w.run_for(secs(3), |w| w.online() == 9));
    assert_eq!(w.spoken(), vec!["batch_login×3"; 3]);
}

#[test]
fn one_device_uses_the_single_topic_and_waits_for_company_first() {
    let mut w = World::new(spec(3, 1));
    w.up();
    w.want([0], Presence::Online);
    w.run(ms(249));
    assert_eq!(w.spoken(), Vec::<String>::new());
    w.run(ms(1));
    let sent = w.sent[0].json.clone();
    assert_eq!(w.spoken(), ["login×1"]);
    let params = &sent["params"];
    assert_eq!(params["clientId"], "subPk.meter-0000|_ss=1|");
    assert_eq!(params["signMethod"], "hmacSha256");
    assert!(params["timestamp"].is_string());
    w.run(secs(1));
    w.want([1, 2], Presence::Online);
    w.run(secs(1));
    let sent = w.sent[0].json.clone();
    assert_eq!(w.spoken(), ["batch_login×2"]);
    assert_eq!(sent["params"]["signMethod"], "hmacSha256");
    assert_eq!(sent["params"]["deviceList"][1]["signMethod"], "hmacSha256");
    w.want([0], Presence::Offline);
    w.run(secs(1));
    w.want([1, 2], Presence::Offline);
    w.run(secs(1));
    assert_eq!(w.spoken(), ["logout×1", "batch_logout×2"]);
    assert_eq!(w.online(), 0);
}

#[test]
fn a_code_may_be_a_number_or_text() {
    for text_codes in [false, true] {
        let mut w = World::new(spec(3, 1));
        w.platform.text_codes = text_codes;
        w.platform.bad.insert(2, 6287);
        w.up();
        w.want(0..3, Presence::Online);
        w.run(secs(5));
        assert_eq!((w.online(), w.barred_with(2)), (2, Some(6287)));
    }
}

#[test]
fn named_culprits_are_set_aside_and_the_rest_goes_on_at_once() {
    let mut w = World::new(spec(50, 1));
    w.platform.naming = Naming::Culprits;
    w.platform.bad = BTreeMap::from([(7, 6401), (30, 522)]);
    w.up();
    w.want(0..50, Presence::Online);
    w.run(secs(1));
    // One code for two: each shows its own when it is alone.
    let spoken = ["batch_login×50", "batch_login×48", "login×1", "login×1"];
    assert_eq!(w.spoken(), spoken);
    assert_eq!(w.online(), 48);
    assert_eq!(
        (w.barred_with(7), w.barred_with(30)),
        (Some(6401), Some(522))
    );
}

#[test]
fn unnamed_culprits_are_found_within_twenty_seven_messages_wherever_they_sit() {
    // A reply that names every device singles out none.
    for naming in [Naming::Nobody, Naming::All] {
        for (bad, most) in [
            (vec![0], 16),
            (vec![49], 16),
            (vec![0, 25], 21),
            (vec![0, 10, 20], 27),
            (vec![3, 17, 44], 27),
            (vec![0, 1, 2], 27),
        ] {
            let mut w = World::new(spec(50, 1));
            w.platform.naming = naming;
            w.platform.bad = bad.iter().map(|b| (*b, 6287)).collect();
            w.up();
            w.want(0..50, Presence::Online);
            w.run(secs(30));
            assert_eq!(w.online(), 50 - bad.len());
            assert!(w.sent.len() <= most, "{bad:?}: {}", w.sent.len());
            for b in &bad {
                assert_eq!(w.barred_with(*b), Some(6287));
            }
            for d in 0..50 {
                let times = w.sent.iter().filter(|s| s.devices.contains(&d)).count();
                assert!(times <= 3, "{d} was submitted {times} times");
            }
            let told = w.notices.iter();
            let barred = told.filter(|n| matches!(n, Notice::Barred { .. })).count();
            assert_eq!(barred, bad.len());
        }
    }
}

#[test]
fn every_code_at_log_in_has_its_own_bar() {
    for (code, least, most) in [
        // Hangs under another gateway: it cannot be added.
        (6401, 300, 600),
        (6100, 150, 300),
        (521, 300, 600),
        (522, 150, 300),
        (6204, 150, 300),
        (6287, 300, 600),
        (427, 30, 60),
        (527, 30, 60),
        (460, 30, 60),
        (520, 1, 2),
        (777, 1, 2),
    ] {
        let mut w = World::new(spec(1, 1));
        w.platform.bad.insert(0, code);
        w.up();
        w.want([0], Presence::Online);
        assert!(w.run_for(secs(1), |w| matches!(w.session(0), Session::Barred { .. })));
        let Session::Barred { until, code: seen } = w.session(0) else {
            panic!()
        };
        assert_eq!(seen, Code(code));
        let wait = until.since(w.now.mono);
        assert!(
            wait >= secs(least) && wait <= secs(most),
            "{code}: {wait:?}"
        );
        // It is tried again alone, and comes in once the cause is gone.
        w.platform.bad.clear();
        assert!(w.run_for(wait + secs(1), |w| w.online() == 1), "{code}");
    }
}

#[test]
fn a_suspect_on_probation_does_not_spoil_a_batch_again() {
    let mut w = World::new(spec(10, 1));
    w.platform.bad.insert(4, 522);
    w.up();
    w.want(0..5, Presence::Online);
    w.run(secs(10));
    assert_eq!(w.online(), 4);
    w.run(secs(5));
    w.spoken();
    w.run(secs(600));
    let spoken = w.spoken();
    assert!(!spoken.is_empty());
    assert!(spoken.iter().all(|s| s == "login×1"), "{spoken:?}");
}

#[test]
fn throttling_closes_the_gate_for_a_minute_and_blames_nobody() {
    let mut w = World::new(spec(60, 1));
    w.platform.moods = vec![429, 429];
    w.delay = ms(500);
    w.up();
    w.want(0..60, Presence::Online);
    w.run(secs(59));
    assert_eq!(w.spoken().len(), 2, "what was already due, and no more");
    assert!(w.run_for(secs(60), |w| w.online() == 60));
    // One device tries whether the refusals are over.
    let spoken = w.spoken();
    assert_eq!((spoken.len(), spoken[0].as_str()), (3, "login×1"));
    let throttled = w
        .notices
        .iter()
        .filter(|n| matches!(n, Notice::Throttled { .. }));
    assert_eq!(throttled.count(), 1);
    assert!(!w.notices.iter().any(|n| matches!(n, Notice::Barred { .. })));
}

#[test]
fn a_full_gateway_waits_until_one_leaves() {
    let mut w = online(3);
    w.want([2], Presence::Offline);
    w.run(secs(1));
    w.platform.moods = vec![428];
    w.want([2], Presence::Online);
    w.run(secs(30));
    assert_eq!(w.session(2), Session::Out);
    assert!(
        w.notices
            .iter()
            .any(|n| matches!(n, Notice::Full { ours: false, .. }))
    );
    w.spoken();
    w.want([0], Presence::Offline);
    assert!(w.run_for(secs(1), |w| w.session(2) == Session::In));
    assert_eq!(w.spoken(), ["logout×1", "login×1"]);
}

#[test]
fn never_more_than_the_configured_number_is_online() {
    let mut spec = spec(12, 1);
    spec.cloud.session.online = 10;
    let mut w = World::new(spec);
    w.up();
    w.want(0..12, Presence::Online);
    w.run(secs(5));
    assert_eq!(w.online(), 10);
    w.want([0, 1, 2], Presence::Offline);
    w.run(secs(2));
    assert_eq!(w.online(), 9);
    assert_eq!((w.session(10), w.session(11)), (Session::In, Session::In));
}

#[test]
fn our_malformed_request_is_never_sent_again_unchanged_and_ever_more_rarely() {
    let mut w = World::new(spec(3, 1));
    w.platform.bad = (0..3).map(|d| (d, 460)).collect();
    w.up();
    w.want(0..3, Presence::Online);
    w.run(secs(29));
    assert_eq!(
        w.spoken(),
        ["batch_login×3", "login×1", "login×1", "login×1"]
    );
    w.run(secs(1700));
    let again = w.spoken();
    assert!((9..=18).contains(&again.len()), "{again:?}");
    assert!(again.iter().all(|s| s == "login×1"), "{again:?}");
    assert!(
        w.notices
            .iter()
            .any(|n| matches!(n, Notice::RequestRefused { .. }))
    );
}

#[test]
fn a_platform_in_trouble_is_asked_again_later_and_a_batch_that_always_fails_is_searched() {
    let mut w = World::new(spec(6, 1));
    w.platform.moods = vec![500];
    w.up();
    w.want(0..6, Presence::Online);
    w.run(secs(5));
    assert_eq!(w.online(), 6);
    assert_eq!(w.spoken(), ["batch_login×6", "batch_login×6"]);
    let mut w = World::new(spec(6, 1));
    w.platform.bad.insert(0, 500);
    w.up();
    w.want(0..6, Presence::Online);
    w.run(secs(120));
    assert_eq!(w.online(), 5);
}

#[test]
fn a_lost_reply_is_asked_again_with_a_new_id() {
    let mut w = World::new(spec(2, 1));
    w.up();
    w.loss = 1000;
    w.want(0..2, Presence::Online);
    w.run(secs(1));
    w.loss = 0;
    w.run(secs(9));
    assert_eq!(w.spoken(), ["batch_login×2", "batch_login×2"]);
    assert_eq!(w.online(), 2);
    assert_eq!(w.cloud.counters().unanswered, 1);
}

#[test]
fn losses_are_made_up_for_soon_where_replies_are_quick() {
    let mut w = online(4);
    w.loss = 1000;
    w.want(0..4, Presence::Offline);
    w.run(secs(2));
    w.loss = 0;
    // Two seconds of waiting, and half a second until the next try.
    assert!(w.run_for(secs(1), |w| w.platform.online.is_empty()));
}

#[test]
fn a_platform_that_never_answers_is_asked_ever_more_rarely() {
    let mut w = World::new(spec(1, 1));
    w.up();
    w.loss = 1000;
    w.want([0], Presence::Online);
    w.run(secs(3600));
    let asked = w.spoken().len();
    assert!(asked <= 25, "{asked} log-ins in an hour");
}

#[test]
fn a_platform_that_is_always_late_converges_all_the_same() {
    for late in [secs(4), secs(9), secs(12), secs(25)] {
        let mut w = World::new(spec(60, 1));
        w.delay = late;
        w.platform.bad.insert(7, 522);
        w.up();
        w.want(0..60, Presence::Online);
        let all = w.run_for(secs(900), |w| w.online() == 59);
        assert!(all, "{late:?}: {} online", w.online());
        let named = w.run_for(secs(900), |w| w.barred_with(7) == Some(522));
        assert!(named, "{late:?}: the refusal counts as well");
        w.put(0, 0, 1);
        let taken = w.run_for(secs(900), |w| w.cloud.backlog() == 0);
        assert!(taken, "{late:?}: a post is settled");
        w.want(0..60, Presence::Offline);
        let none = w.run_for(secs(900), |w| w.platform.online.is_empty());
        assert!(none, "{late:?}");
    }
}

#[test]
fn a_late_answer_does_not_overrule_what_came_after_it() {
    let mut w = World::new(spec(1, 1));
    w.up();
    w.delay = secs(30);
    w.want([0], Presence::Online);
    w.run(secs(1));
    w.delay = ms(20);
    w.want([0], Presence::Offline);
    w.run(secs(10));
    assert_eq!(w.spoken(), ["login×1", "logout×1"]);
    assert_eq!(w.session(0), Session::Out);
    w.run(secs(60));
    assert_eq!(w.session(0), Session::Out, "the log-out came after it");
}

#[test]
fn a_log_in_of_unknown_fate_that_is_no_longer_wanted_is_logged_out() {
    let mut w = World::new(spec(1, 1));
    w.up();
    w.delay = secs(3600); // the platform acts, its answer never arrives in time
    w.want([0], Presence::Online);
    w.run(secs(1));
    assert!(w.platform.online.contains(&0));
    w.delay = ms(20);
    w.want([0], Presence::Offline);
    w.run(ms(500));
    assert_eq!(w.spoken(), ["login×1"], "the verdict comes first");
    w.run(secs(10));
    assert_eq!(w.spoken(), ["logout×1"]);
    assert!(w.platform.online.is_empty());
}

#[test]
fn no_session_at_log_out_is_what_we_wanted() {
    let mut w = online(6);
    w.platform.online.remove(&3);
    w.want(0..6, Presence::Offline);
    w.run(secs(5));
    assert_eq!(w.online(), 0);
    assert!(w.platform.online.is_empty());
    // Six refused, then five and one, of which the five were refused, then singly.
    assert_eq!(w.spoken().len(), 8);
    assert!((0..6).all(|d| w.session(d) == Session::Out));
}

#[test]
fn a_link_flap_brings_back_exactly_those_that_are_wanted() {
    let mut w = online(120);
    w.want(100..120, Presence::Offline);
    w.run(ms(255)); // their log-out is under way
    assert_eq!(w.session(100), Session::LoggingOut);
    w.down();
    assert_eq!(w.online(), 0);
    assert!((0..120).all(|d| w.session(d) == Session::Out));
    w.spoken();
    w.run(secs(30));
    assert_eq!(w.spoken(), Vec::<String>::new());
    w.up();
    w.run(secs(2));
    assert_eq!(w.spoken(), ["batch_login×50", "batch_login×50"]);
    assert_eq!(w.platform.online, (0..100).collect());
}

#[test]
fn a_link_flap_in_the_middle_of_a_log_in_starts_it_over() {
    let mut w = World::new(spec(60, 1));
    w.up();
    w.want(0..60, Presence::Online);
    assert_eq!(w.session(0), Session::LoggingIn);
    w.down();
    w.up();
    w.run(secs(2));
    assert_eq!(w.online(), 60);
    assert_eq!(w.subscribed.len(), 4);
    assert_eq!(
        w.spoken(),
        ["batch_login×50", "batch_login×50", "batch_login×10"]
    );
}

#[test]
fn a_flipped_wish_waits_for_the_verdict() {
    let mut w = World::new(spec(1, 1));
    w.delay = secs(2);
    w.up();
    w.want([0], Presence::Online);
    w.run(secs(1));
    w.want([0], Presence::Offline);
    w.run(ms(500));
    assert_eq!(w.spoken(), ["login×1"]);
    assert!(w.run_for(secs(10), |w| w.session(0) == Session::LoggingOut));
    w.want([0], Presence::Online);
    w.run(secs(10));
    assert_eq!(w.spoken(), ["logout×1", "login×1"]);
    assert_eq!(w.session(0), Session::In);
}

#[test]
fn a_wish_flipped_back_within_the_linger_costs_nothing() {
    let mut w = online(1);
    w.want([0], Presence::Offline);
    w.run(ms(100));
    w.want([0], Presence::Online);
    w.run(secs(10));
    assert_eq!(w.spoken(), Vec::<String>::new());
}

#[test]
fn a_session_lost_is_taken_up_again_and_a_kick_is_barred() {
    let mut w = online(10);
    w.kick(0, 520);
    w.run(secs(1));
    assert_eq!(w.session(0), Session::In);
    assert_eq!(w.spoken(), ["login×1"]);
    for (d, code) in [(1, 427), (2, 521), (3, 522), (4, 6401), (5, 527), (6, 6204)] {
        w.kick(d, code);
        w.kick(d, code); // told twice, counted once
        assert_eq!(w.barred_with(d), Some(code));
    }
    assert_eq!(w.cloud.counters().kicked, 7);
    assert_eq!(w.cloud.counters().blocked, 6);
    w.kick(7, 500);
    assert_eq!(w.session(7), Session::In, "nothing is known of such a kick");
    assert_eq!(w.online(), 4);
}

#[test]
fn a_kick_that_crosses_a_log_in_is_not_forgotten() {
    let mut w = World::new(spec(1, 1));
    w.up();
    w.want([0], Presence::Online);
    w.run(ms(255));
    assert_eq!(w.session(0), Session::LoggingIn);
    w.kick(0, 522);
    w.run(secs(1));
    assert_eq!(w.barred_with(0), Some(522));
    w.run(secs(320));
    assert_eq!(w.session(0), Session::In);
}

#[test]
fn a_kick_that_crosses_a_refused_log_out_is_not_forgotten() {
    let mut w = online(1);
    w.platform.moods = vec![500];
    w.want([0], Presence::Offline);
    w.run(ms(255));
    assert_eq!(w.session(0), Session::LoggingOut);
    w.kick(0, 6100);
    w.want([0], Presence::Online);
    w.run(ms(100));
    assert_eq!(w.barred_with(0), Some(6100));
    assert_eq!(w.online(), 0);
}

#[test]
fn a_device_kicked_again_and_again_is_barred_ever_longer_and_told_ever_more_rarely() {
    let mut w = online(1);
    let mut waits = Vec::new();
    for _ in 0..8 {
        w.kick(0, 427);
        let Session::Barred { until, .. } = w.session(0) else {
            panic!()
        };
        waits.push(until.since(w.now.mono));
        w.run(until.since(w.now.mono) + secs(1));
        assert_eq!(w.session(0), Session::In);
    }
    assert!(waits[0] <= secs(60) && waits[7] >= secs(300), "{waits:?}");
    let told = w
        .notices
        .iter()
        .filter(|n| matches!(n, Notice::Barred { .. }));
    assert_eq!(told.count(), 4, "the 1st, 2nd, 4th and 8th");
}

#[test]
fn a_device_whose_session_is_lost_all_the_time_is_logged_in_ever_more_rarely() {
    let mut w = online(1);
    for _ in 0..300 {
        w.kick(0, 520);
        w.run(ms(700));
    }
    // At once, then after 2 s, 4 s, 8 s …; but it goes on.
    let spoken = w.spoken();
    let times = spoken.iter().filter(|s| *s == "login×1").count();
    assert!((6..=10).contains(&times), "{times}");
    // Each such notice may be about an earlier session: it is checked once.
    assert!(spoken.len() <= 2 * times, "{spoken:?}");
}

// --- why a device is logged out -----------------------------------------------------

/// Returns the reason of every log-out that was reported, with its devices.
fn reasons(w: &World) -> Vec<(LogoutReason, Vec<u32>)> {
    let told = w.notices.iter().filter_map(|n| match n {
        Notice::LoggedOut {
            devices, reason, ..
        } => Some((*reason, devices.iter().map(|d| d.0).collect())),
        _ => None,
    });
    told.collect()
}

#[test]
fn a_log_out_is_told_with_its_reason_and_counted_by_it() {
    let mut w = online(5);
    let silent = |missed| LogoutReason::Silent {
        missed,
        quiet: secs(12),
    };
    for (id, reason) in [(0, silent(3)), (1, silent(4)), (2, LogoutReason::PortDown)] {
        w.wanted.insert(id, Presence::Offline);
        w.cloud.want_offline(w.now, DeviceId(id), reason);
    }
    w.settle();
    w.run(secs(10));
    assert_eq!(
        reasons(&w),
        [(LogoutReason::PortDown, vec![2]), (silent(3), vec![0, 1])]
    );
    // The device is back, and the next reason is that of the next log-out.
    w.want([0], Presence::Online);
    assert!(w.run_for(secs(30), |w| w.cloud.online() == 3));
    w.notices.clear();
    w.stop();
    assert!(w.run_for(secs(10), |w| w.logged_out == 1));
    assert_eq!(reasons(&w), [(LogoutReason::Stopping, vec![0, 3, 4])]);
    let counted = &w.cloud.counters().logouts;
    let expected = [("port-down", 1), ("silent", 2), ("stopping", 3)];
    assert_eq!(*counted, expected.into());
}

// --- stopping -------------------------------------------------------------------

#[test]
fn stopping_logs_everyone_out_in_batches() {
    let mut w = online(120);
    w.stop();
    assert!(w.run_for(secs(10), |w| w.logged_out == 1));
    assert_eq!(
        w.spoken(),
        ["batch_logout×50", "batch_logout×50", "batch_logout×20"]
    );
    assert!(w.platform.online.is_empty());
    w.run(secs(100));
    assert_eq!(w.logged_out, 1);
}

#[test]
fn stopping_delivers_what_waits_before_it_logs_out() {
    let mut w = online(3);
    for id in 0..3 {
        w.put(id, 0, 7);
    }
    w.stop();
    assert!(w.run_for(secs(10), |w| w.logged_out == 1));
    assert_eq!(w.spoken(), ["pack×3", "batch_logout×3"]);
    assert_eq!(
        *w.notices.last().unwrap(),
        Notice::Stopped {
            unconfirmed: 0,
            readings: 0
        }
    );
}

#[test]
fn stopping_does_not_wait_long_for_last_readings() {
    let mut w = online(3);
    w.put(0, 0, 7);
    w.loss = 1000;
    w.stop();
    w.run(ms(2100));
    assert_eq!(w.spoken(), ["post×1", "batch_logout×3"]);
    assert!(w.run_for(secs(10), |w| w.logged_out == 1));
}

#[test]
fn stopping_in_the_middle_of_log_ins_waits_for_their_verdicts() {
    let mut w = World::new({
        let mut spec = spec(100, 1);
        spec.cloud.session.logins_per_second = 10_000;
        spec
    });
    w.delay = ms(500);
    w.up();
    w.want(0..100, Presence::Online);
    w.run(ms(10));
    w.stop();
    assert!(w.run_for(secs(10), |w| w.logged_out == 1));
    assert!(w.platform.online.is_empty());
    assert_eq!(
        w.spoken()
            .iter()
            .filter(|s| s.starts_with("batch_logout"))
            .count(),
        2
    );
}

#[test]
fn stopping_ends_in_time_though_nobody_answers() {
    let mut w = online(60);
    w.loss = 1000;
    w.stop();
    assert!(w.run_for(secs(10), |w| w.logged_out == 1));
    assert_eq!(w.spoken().len(), 4, "two tries each");
    let last = w.notices.last().unwrap();
    assert_eq!(
        *last,
        Notice::Stopped {
            unconfirmed: 60,
            readings: 0
        }
    );
}

#[test]
fn stopping_in_the_middle_of_unanswered_log_ins_ends_in_time() {
    let mut w = World::new(spec(60, 1));
    w.up();
    w.loss = 1000;
    w.want(0..60, Presence::Online);
    w.stop();
    assert!(w.run_for(secs(10), |w| w.logged_out == 1));
}

#[test]
fn stopping_ends_in_time_though_it_is_slow_to_find_out_who_is_gone_already() {
    let mut w = online(60);
    // Each batch has an unknown device to be searched for, each answer takes long, and
    // so do the last readings.
    w.platform.online.retain(|d| d % 7 != 3);
    w.delay = ms(2_450);
    w.put(0, 0, 7);
    w.stop();
    let within = w.spec.stop_within;
    assert!(w.run_for(within, |w| w.logged_out == 1));
    let Some(Notice::Stopped { unconfirmed, .. }) = w.notices.last() else {
        panic!("not the last words: {:?}", w.notices.last());
    };
    assert!((1..60).contains(unconfirmed), "{unconfirmed} not confirmed");
    let asked = w.sent.len();
    w.run(secs(20));
    assert_eq!(w.sent.len(), asked, "nothing is asked after the end");
}

#[test]
fn stopping_without_a_link_is_done_at_once() {
    let mut w = online(3);
    w.down();
    w.stop();
    assert_eq!(w.logged_out, 1);
}

#[test]
fn stopping_does_not_wait_for_a_closed_gate() {
    let mut w = online(3);
    w.platform.moods = vec![429];
    w.want([0], Presence::Offline);
    w.run(secs(2));
    w.stop();
    assert!(w.run_for(secs(5), |w| w.logged_out == 1));
    assert!(w.platform.online.is_empty());
}

// --- posts ------------------------------------------------------------------------

#[test]
fn readings_of_several_devices_travel_in_packs_each_with_its_time() {
    let mut w = online(25);
    let at = w.now.wall.as_millis();
    for d in 0..25 {
        w.put(d, 0, i64::from(d));
        w.put(d, 1, 7);
    }
    w.run(secs(1));
    assert_eq!(w.spoken(), ["pack×20", "pack×5"]);
    assert_eq!(w.platform.accepted.len(), 50);
    let first = (0, "P0".to_owned(), json!({"value": 0, "time": at}));
    assert_eq!(w.platform.accepted[0], first);
    assert_eq!(w.cloud.counters().delivered, 50);
    assert_eq!(w.cloud.backlog(), 0);
}

#[test]
fn readings_of_one_device_use_its_own_topic() {
    let mut w = online(2);
    w.put(1, 0, 5);
    w.run(ms(499));
    assert_eq!(w.sent.len(), 0);
    w.run(secs(1));
    assert_eq!(w.sent[0].topic, post_topic(1));
    assert_eq!(w.sent[0].json["method"], "thing.event.property.post");
    assert_eq!(w.cloud.backlog(), 0);
}

#[test]
fn one_message_has_one_value_per_property_the_older_first() {
    let mut w = online(1);
    for v in 0..3 {
        w.put(0, 0, v);
        w.run(ms(10));
    }
    w.run(secs(2));
    assert_eq!(w.spoken(), vec!["post×1"; 3]);
    let values: Vec<_> = w
        .platform
        .accepted
        .iter()
        .map(|a| a.2["value"].clone())
        .collect();
    assert_eq!(values, [0, 1, 2]);
}

#[test]
fn a_pack_never_exceeds_its_properties_or_bytes() {
    let mut small = spec(30, 30);
    small.cloud.post.message_bytes = 4000;
    let mut w = online_with(small);
    for d in 0..30 {
        for p in 0..30 {
            w.put(d, p, i64::MAX);
        }
    }
    w.run(secs(30)); // World::check measures each
    assert_eq!(w.platform.accepted.len(), 900);
}

#[test]
fn readings_wait_for_the_log_in_and_for_the_link() {
    let mut w = World::new(spec(2, 1));
    w.put(0, 0, 1);
    w.up();
    w.run(secs(5));
    assert_eq!(w.spoken(), Vec::<String>::new());
    w.want([0], Presence::Online);
    w.run(secs(2));
    assert_eq!(w.spoken(), ["login×1", "post×1"]);
    w.down();
    w.put(0, 0, 2);
    w.run(secs(60));
    w.up();
    w.run(secs(2));
    assert_eq!(w.spoken(), ["login×1", "post×1"]);
    assert_eq!(w.platform.accepted.len(), 2);
}

#[test]
fn readings_wait_for_the_time_and_leave_with_the_one_they_were_read_at() {
    const NTP: &str = "/ext/ntp/gwPk/gw-1/request";
    let mut w = online(1);
    w.cloud.on_clock(w.now, false);
    let reading = Reading {
        device: DeviceId(0),
        point: 0,
        value: Value::Int(7),
        at: w.now,
    };
    w.cloud.put(w.now, reading);
    let read = w.now.mono;
    // Two requests are lost before one is answered; meanwhile the value waits.
    let (mut asked, mut posts) = (0, 0);
    let end = w.now.mono + secs(30);
    while w.now.mono < end {
        let at = w.cloud.wake_at().map_or(end, |wake| wake.at.min(end));
        w.advance_to(at);
        while let Some(output) = w.cloud.poll(w.now) {
            match output {
                Output::Publish { topic, payload } if topic == NTP => {
                    asked += 1;
                    assert_eq!(posts, 0, "posted before the time was known");
                    let sent: Json = serde_json::from_slice(&payload).unwrap();
                    let server = "1800000000000";
                    let answer = json!({"deviceSendTime": sent["deviceSendTime"],
                        "serverRecvTime": server, "serverSendTime": server});
                    if asked == 3 {
                        let topic = NTP.replace("request", "response");
                        w.cloud
                            .on_message(w.now, &topic, answer.to_string().as_bytes());
                        let since = w.now.mono.since(read).as_millis() as i64;
                        w.posted = (1_800_000_000_000 - since) as u64;
                    }
                }
                Output::Publish { payload, .. } => {
                    posts += 1;
                    let post: Json = serde_json::from_slice(&payload).unwrap();
                    assert_eq!(post["params"]["P0"]["time"], w.posted);
                }
                _ => {}
            }
        }
    }
    assert_eq!((asked, w.cloud.counters().held), (3, 1));
    assert!(posts > 0);
}

#[test]
fn a_link_lost_under_a_post_sends_it_again() {
    let mut w = online(3);
    for d in 0..3 {
        w.put(d, 0, 1);
    }
    w.run(ms(505));
    assert_eq!(w.spoken(), ["pack×3"]);
    w.platform.accepted.clear();
    w.down();
    assert_eq!(w.cloud.backlog(), 3);
    w.up();
    w.run(secs(3));
    assert_eq!(w.platform.accepted.len(), 3);
    assert_eq!(w.cloud.backlog(), 0);
}

#[test]
fn a_lost_reply_to_a_post_sends_it_again() {
    let mut w = online(2);
    w.loss = 1000;
    w.put(0, 0, 1);
    w.put(1, 0, 1);
    w.run(secs(5));
    w.loss = 0;
    w.run(secs(15));
    assert_eq!(w.spoken(), ["pack×2", "pack×2"]);
    assert_eq!(w.cloud.backlog(), 0);
    assert_eq!(w.cloud.counters().resent, 2);
}

#[test]
fn one_device_cannot_hold_back_the_others_of_its_pack() {
    for naming in [Naming::Culprits, Naming::Nobody, Naming::All] {
        let mut w = online(20);
        w.platform.naming = naming;
        w.platform.bad_post.insert(4, 6207);
        for d in 0..20 {
            w.put(d, 0, 1);
        }
        w.run(secs(5));
        assert_eq!(w.platform.accepted.len(), 19);
        assert_eq!(w.cloud.counters().dropped_refused, 1);
        assert_eq!(w.cloud.backlog(), 0);
        assert!(w.spoken().len() <= 10);
        assert!(w.notices.iter().any(|n| matches!(
            n,
            Notice::PostRefused {
                device: DeviceId(4),
                code: Code(6207),
                ..
            }
        )));
    }
}

#[test]
fn a_post_for_a_lost_session_is_kept_and_follows_the_log_in() {
    let mut w = online(2);
    w.platform.moods = vec![520];
    w.put(0, 0, 1);
    w.run(secs(3));
    assert_eq!(w.spoken(), ["post×1", "login×1", "post×1"]);
    assert_eq!(w.platform.accepted.len(), 1);
}

#[test]
fn throttled_or_troubled_posts_come_later() {
    for (code, wait) in [(429, 95), (500, 5), (6313, 5)] {
        let mut w = online(2);
        w.platform.moods = vec![code];
        w.put(0, 0, 1);
        w.run(secs(wait));
        assert_eq!(w.spoken(), ["post×1", "post×1"]);
        assert_eq!(w.cloud.backlog(), 0, "{code}");
    }
}

#[test]
fn a_full_queue_drops_the_oldest_and_counts_them() {
    let mut small = spec(2, 1);
    small.cloud.post.queue = 10;
    let mut w = World::new(small);
    w.want(0..2, Presence::Online);
    for v in 0..25 {
        w.put(v % 2, 0, i64::from(v));
    }
    assert_eq!(w.cloud.counters().dropped_queue_full, 15);
    assert_eq!(w.cloud.backlog(), 10);
    let told = w
        .notices
        .iter()
        .filter(|n| matches!(n, Notice::QueueFull { .. }));
    assert_eq!(told.count(), 1);
    w.up();
    w.run(secs(10));
    let mut values: Vec<_> = w
        .platform
        .accepted
        .iter()
        .map(|a| a.2["value"].as_i64())
        .collect();
    values.sort();
    assert_eq!(values, (15..25).map(Some).collect::<Vec<_>>());
}

#[test]
fn a_device_that_falls_silent_says_its_last_words_first() {
    let mut w = online(3);
    w.put(0, 0, 1);
    w.want([0], Presence::Offline);
    w.run(secs(1));
    assert_eq!(w.spoken(), ["post×1", "logout×1"]);
    // A log-out that cannot be sent in time waits for the return of the link.
    w.loss = 1000;
    w.put(1, 0, 1);
    w.run(secs(1));
    w.put(1, 0, 2);
    let asked = w.now.mono;
    w.want([1], Presence::Offline);
    assert!(w.run_for(secs(2), |w| w.session(1) == Session::LoggingOut));
    assert!(w.now.mono.since(asked) <= secs(1));
    w.loss = 0;
    w.run(secs(200));
    assert_eq!(w.cloud.backlog(), 2);
    w.want([1], Presence::Online);
    w.run(secs(5));
    assert_eq!(w.cloud.backlog(), 0);
}

#[test]
fn a_device_kicked_while_it_says_its_last_words_stays_out() {
    let mut w = online(2);
    w.platform.moods = vec![429];
    w.put(0, 0, 1);
    w.run(secs(1));
    w.put(0, 0, 2);
    w.want([0], Presence::Offline);
    w.kick(0, 520);
    w.spoken();
    w.run(secs(60));
    // The notice may be about an earlier session.
    assert_eq!(w.spoken(), ["logout×1"]);
    assert_eq!(w.session(0), Session::Out);
}

#[test]
fn what_is_not_configured_or_too_large_is_dropped_and_counted() {
    let mut small = spec(1, 1);
    small.cloud.post.message_bytes = 1000;
    let mut w = online_with(small);
    w.put(9, 0, 1);
    w.put(0, 9, 1);
    let reading = Reading {
        device: DeviceId(0),
        point: 0,
        value: Value::Text("x".repeat(1000)),
        at: w.now,
    };
    w.cloud.put(w.now, reading);
    w.run(secs(2));
    assert_eq!(w.spoken(), Vec::<String>::new());
    let counters = w.cloud.counters();
    assert_eq!(
        (counters.dropped_unknown, counters.dropped_too_large),
        (2, 1)
    );
}

// --- strange messages -----------------------------------------------------------

#[test]
fn malformed_messages_are_counted_told_once_per_topic_and_dropped() {
    let mut w = online(1);
    let reply = format!("{SESSION}login_reply");
    for _ in 0..3 {
        w.message(&reply, b"{\"id\":\xff");
        w.message(ERROR, b"[]");
    }
    assert_eq!(w.cloud.counters().malformed, 6);
    assert_eq!(w.notices.len(), 2);
    assert!(w.notices[0].sentence().contains("{\"id\":\\xff"));
    w.message("/what/is/this", b"{}");
    assert_eq!(w.cloud.counters().unknown_topics, 1);
}

#[test]
fn late_strange_and_misplaced_replies_are_counted_and_change_nothing() {
    let mut w = online(1);
    let id = w.ids.first().unwrap().clone();
    let body = json!({"id": id, "code": 200}).to_string();
    w.message(&format!("{SESSION}login_reply"), body.as_bytes());
    assert_eq!(w.cloud.counters().late_replies, 1);
    w.message(
        &format!("{SESSION}login_reply"),
        br#"{"id":"x","code":200}"#,
    );
    w.message(
        &format!("{SESSION}logout_reply"),
        br#"{"id":"3","code":200}"#,
    );
    assert_eq!(w.cloud.counters().unknown_replies, 2);
    // The right id on the wrong topic is no answer.
    w.delay = secs(5);
    w.want([0], Presence::Offline);
    w.run(secs(1));
    let id = w.sent.last().unwrap().id.clone();
    let body = json!({"id": id, "code": 200}).to_string();
    w.message(&format!("{SESSION}batch_logout_reply"), body.as_bytes());
    assert_eq!(w.session(0), Session::LoggingOut);
    w.kick(0, 520);
    let stranger = json!({"code": 522, "data": {"productKey": "x", "deviceName": "y"}});
    w.message(ERROR, stranger.to_string().as_bytes());
    assert_eq!(w.cloud.counters().strangers, 1);
}

#[test]
fn refused_subscriptions_are_told() {
    let mut w = online(1);
    w.cloud.on_subscribe_refused(w.now, &["/a".to_owned()]);
    w.settle();
    assert!(matches!(
        w.notices[0],
        Notice::SubscribeRefused { fatal: false, .. }
    ));
}

#[test]
fn behind_a_plain_broker_we_subscribe_to_everything_ourselves() {
    let mut plain = spec(1, 1);
    plain.cloud.broker.subscriptions = Subscriptions::Broker;
    let w = online_with(plain);
    assert!(w.subscribed.iter().all(|packet| packet.len() <= 8));
    let filters = w.subscribed.concat();
    assert!(filters.contains(&"/sys/+/+/thing/event/property/post_reply".to_owned()));
    assert!(filters.contains(&format!("{SESSION}batch_login_reply")));
}

// --- connecting -----------------------------------------------------------------

#[test]
fn connects_are_paced_and_repeated_failures_summarised() {
    let at = |s: u64| Now {
        mono: Mono::from_micros(s * 1_000_000),
        wall: Wall::default(),
    };
    for why in [
        LinkDown::Closed,
        LinkDown::Refused(4),
        LinkDown::NoConnack,
        LinkDown::Unreachable("no route".into()),
    ] {
        let cloud = spec(0, 0).cloud;
        let mut c = Connector::new(&cloud, Rng::new(5), at(1));
        assert_eq!(c.attempt_at().at, at(1).mono);
        let (mut tries, mut told) = (Vec::new(), 0);
        let mut now = at(1);
        while now.mono < at(3600).mono {
            now.mono = c.attempt_at().at.max(now.mono);
            c.on_attempt(now);
            tries.push(now.mono);
            c.on_down(now, &why);
            while c.poll(now).is_some() {
                told += 1;
            }
            assert!(c.attempt_at().at.since(now.mono) <= secs(600));
        }
        for (i, from) in tries.iter().enumerate() {
            let minute = tries[i..].iter().take_while(|t| t.since(*from) <= secs(60));
            assert!(minute.count() <= 5);
        }
        assert!(
            tries.len() > 5 && told <= 7,
            "{why:?}: {} tries, {told} told",
            tries.len()
        );
    }
}

#[test]
fn after_a_good_spell_the_return_is_soon_but_scattered() {
    let start = Now::default();
    let later = Now {
        mono: Mono::START + secs(3600),
        wall: Wall::default(),
    };
    let mut waits = BTreeSet::new();
    for seed in 0..50 {
        let mut c = Connector::new(&spec(0, 0).cloud, Rng::new(seed), start);
        c.on_attempt(start);
        c.on_up(start);
        c.on_down(later, &LinkDown::Closed);
        let wait = c.attempt_at().at.since(later.mono);
        assert!(wait < secs(5));
        waits.insert(wait);
    }
    assert!(waits.len() > 40);
}

#[test]
fn short_sessions_in_a_row_are_suspicious() {
    let mut c = Connector::new(&spec(0, 0).cloud, Rng::new(5), Now::default());
    let mut now = Now::default();
    let mut suspected = 0;
    for _ in 0..6 {
        now.mono = c.attempt_at().at;
        c.on_attempt(now);
        c.on_up(now);
        now.mono = now.mono + secs(1);
        c.on_down(now, &LinkDown::Closed);
        while let Some(notice) = c.poll(now) {
            suspected += usize::from(matches!(notice, Notice::KickedSuspected { .. }));
        }
    }
    assert_eq!(suspected, 2);
}

// --- random life ---------------------------------------------------------------

#[derive(Clone, Debug)]
enum Event {
    Want(u32, u32, bool),
    Put(u32, u16),
    Flap(u64),
    Kick(u32, i64),
    Bad(u32, i64),
    BadPost(u32, i64),
    Mood(i64),
    Loss(u32),
    Delay(u64),
    Name(u8),
    Wait(u64),
}

const CODES: [i64; 13] = [
    429, 428, 460, 6401, 6100, 521, 522, 6204, 6287, 520, 427, 500, 31337,
];

fn event() -> impl Strategy<Value = Event> {
    let code = || prop::sample::select(CODES.to_vec());
    prop_oneof![
        6 => (0u32..70, 1u32..70, any::<bool>()).prop_map(|(a, n, b)| Event::Want(a, n, b)),
        6 => (0u32..70, 0u16..4).prop_map(|(d, p)| Event::Put(d, p)),
        1 => (0u64..5_000).prop_map(Event::Flap),
        2 => (0u32..70, code()).prop_map(|(d, c)| Event::Kick(d, c)),
        1 => (0u32..70, code()).prop_map(|(d, c)| Event::Bad(d, c)),
        1 => (0u32..70, code()).prop_map(|(d, c)| Event::BadPost(d, c)),
        1 => code().prop_map(Event::Mood),
        1 => (0u32..400).prop_map(Event::Loss),
        1 => (1u64..15_000).prop_map(Event::Delay),
        1 => (0u8..3).prop_map(Event::Name),
        8 => (0u64..20_000).prop_map(Event::Wait),
    ]
}

impl World {
    fn happen(&mut self, event: &Event) {
        match *event {
            Event::Want(from, n, online) => {
                let wish = if online {
                    Presence::Online
                } else {
                    Presence::Offline
                };
                self.want((from..from + n).map(|d| d % 70), wish);
            }
            Event::Put(d, p) => self.put(d, p, 1),
            Event::Flap(wait) => {
                self.down();
                self.run(ms(wait));
                self.up();
            }
            Event::Kick(d, code) => self.kick(d, code),
            Event::Bad(d, code) => {
                self.platform.bad.insert(d, code);
            }
            Event::BadPost(d, code) => {
                self.platform.bad_post.insert(d, code);
            }
            Event::Mood(code) => self.platform.moods.push(code),
            Event::Loss(permille) => self.loss = permille,
            Event::Delay(wait) => self.delay = ms(wait),
            Event::Name(n) => {
                self.platform.naming =
                    [Naming::Culprits, Naming::All, Naming::Nobody][usize::from(n)];
            }
            Event::Wait(wait) => self.run(ms(wait)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_it_converges_once_it_stops(
        seed: u64, online in 30usize..80, events in prop::collection::vec(event(), 1..60), stop: bool
    ) {
        let mut small = spec(70, 4);
        small.cloud.session.batch = 20;
        small.cloud.session.online = online;
        small.cloud.post.queue = 50;
        let mut w = World::seeded(small, seed);
        w.up();
        for event in &events {
            w.happen(event);
        }
        w.loss = 0;
        w.delay = ms(20);
        w.platform.bad.clear();
        w.platform.bad_post.clear();
        w.platform.moods.clear();
        if stop {
            w.stop();
            prop_assert!(w.run_for(secs(10), |w| w.logged_out == 1));
            prop_assert!(w.platform.online.is_empty(), "{:?}", w.platform.online);
        } else {
            // The longest retry block is an hour.
            w.run(secs(3 * 3600));
            let wanted: BTreeSet<u32> = w.wanted.iter()
                .filter(|(_, p)| **p == Presence::Online).map(|(d, _)| *d).collect();
            prop_assert_eq!(w.online(), wanted.len().min(online));
            prop_assert_eq!(w.platform.online.len(), w.online());
            prop_assert!(w.platform.online.is_subset(&wanted));
            let c = w.cloud.counters().clone();
            prop_assert_eq!(
                c.readings,
                c.delivered + c.dropped_queue_full + c.dropped_refused + w.cloud.backlog() as u64
            );
            // Values that still wait belong to devices that stay offline.
            let read: BTreeSet<u32> = events
                .iter()
                .filter_map(|e| if let Event::Put(d, _) = e { Some(*d) } else { None })
                .collect();
            if wanted.len() <= online && read.is_subset(&wanted) {
                prop_assert_eq!(w.cloud.backlog(), 0);
            }
        }
    }

    #[test]
    fn no_message_is_too_strange(
        topic in prop_oneof![
            Just(format!("{SESSION}login_reply")), Just(format!("{SESSION}batch_login_reply")),
            Just(ERROR.to_owned()), Just(format!("{PACK}_reply")), Just(format!("{}_reply", post_topic(0))), ".*"
        ],
        payload in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..80),
            (any::<i64>(), "[0-9]{0,12}", ".{0,8}").prop_map(|(code, id, x)| json!({
                "id": id, "code": code, "message": x, "data": [{"productKey": "subPk", "deviceName": x}, code]
            }).to_string().into_bytes()),
            (prop::sample::select(CODES.to_vec()), 0u32..3).prop_map(|(code, d)| json!({
                "code": code.to_string(), "data": {"productKey": "subPk", "deviceName": name(d)}
            }).to_string().into_bytes()),
        ],
    ) {
        let mut w = online(2);
        w.put(0, 0, 1);
        w.message(&topic, &payload);
        w.run(secs(20));
    }
}
