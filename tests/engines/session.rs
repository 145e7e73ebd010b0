//! The cloud engine: for given inputs, exact outputs.
//!
//! The other side is a small model of the platform written for these tests alone, on
//! virtual time; it shares no code with the engine. Every message the engine sends
//! passes [`World::check`], so each test also tests the invariants.

mod connection;
mod kicked;
mod lives;
mod log_in;
mod log_out;
mod messages;
mod platform;
mod posts;
mod quota;
mod refused;
mod stopping;
mod stored;
mod unanswered;

use crate::gateway::{gateway as spec, name};
use crate::virtual_time::advanced;
use alink_gateway::base::{
    DeviceId, LinkDown, LogEvent, LogoutReason, Mono, Now, Reading, Rng, StorePosition,
    StoredReading, Value, Wall,
};
use alink_gateway::cloud::{Cloud, CloudLogEvent, Code, Connector, Output, Presence, Session};
use alink_gateway::spec::{Spec, Subscriptions};
use platform::{ERROR, Naming, PACK, Platform, SESSION, Sent, ends_session, is_aside};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn post_topic(id: u32) -> String {
    format!("/sys/subPk/{}/thing/event/property/post", name(id))
}

/// What the store answers.
enum StoreAnswer {
    Stored(Vec<Option<StorePosition>>),
    Read(Vec<(StorePosition, StoredReading)>, Option<StorePosition>),
    ReadFailed(StorePosition),
}

/// The position of the value of this number in the store.
fn position(n: usize) -> StorePosition {
    StorePosition {
        segment: 1,
        generation: 0,
        ordinal: n as u32,
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
    notices: Vec<CloudLogEvent>,
    subscribed: Vec<Vec<String>>,
    logged_out: usize,
    /// Which devices are online, as the engine has told.
    sessions: BTreeMap<DeviceId, bool>,
    ids: BTreeSet<String>,
    /// The readings in the store, if there is one, and whether each is settled.
    store: Option<Vec<(StoredReading, bool)>>,
    /// Whether the store refuses everything.
    store_fails: bool,
    /// How long the disk takes, and its answers on their way.
    store_delay: Duration,
    store_mail: BTreeMap<(Mono, u64), StoreAnswer>,
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
                naming: Naming::NoDevice,
                text_codes: false,
                moods: Vec::new(),
                no_history: None,
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
            sessions: BTreeMap::new(),
            ids: BTreeSet::new(),
            store: None,
            store_fails: false,
            store_delay: Duration::ZERO,
            store_mail: BTreeMap::new(),
            under_way: BTreeMap::new(),
        }
    }

    // --- what happens ---

    fn up(&mut self) {
        self.link = true;
        self.cloud.on_link_up(self.now);
        self.drain();
    }

    fn down(&mut self) {
        self.link = false;
        self.platform.online.clear();
        self.mail.clear();
        self.under_way.clear();
        self.cloud.on_link_down(self.now);
        self.drain();
    }

    fn want(&mut self, ids: impl IntoIterator<Item = u32>, presence: Presence) {
        for id in ids {
            self.wanted.insert(id, presence);
            self.cloud.want(self.now, DeviceId(id), presence);
            self.drain();
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
        self.drain();
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
        self.drain();
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
        self.drain();
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
        self.drain();
        while !done(self) {
            let wake = self.cloud.wake_at().map(|w| w.at);
            let mail = self.mail.keys().next().map(|(at, _)| *at);
            let disk = self.store_mail.keys().next().map(|(at, _)| *at);
            let next = [wake, mail, disk].into_iter().flatten().min();
            let is_idle = next.is_none();
            let next = next.unwrap_or(end);
            if next > end || is_idle {
                self.advance_to(end);
                self.drain();
                return;
            }
            self.advance_to(next);
            if let Some(&key) = self.mail.keys().next().filter(|(at, _)| *at <= next) {
                let (topic, payload) = self.mail.remove(&key).unwrap();
                let id = serde_json::from_slice::<Json>(&payload).unwrap()["id"].clone();
                self.under_way.retain(|_, (open, _)| json!(open) != id);
                self.cloud.on_message(self.now, &topic, &payload);
            }
            self.take_store_mail();
            self.drain();
        }
    }

    fn advance_to(&mut self, at: Mono) {
        self.now = advanced(self.now, at);
    }

    // --- what comes out ---

    fn drain(&mut self) {
        let mut budget = 100_000;
        while let Some(output) = self.cloud.poll(self.now) {
            budget -= 1;
            assert!(budget > 0, "the engine never rests");
            match output {
                Output::Publish { topic, payload } if is_aside(&topic) => {
                    self.aside(&topic, &payload);
                }
                Output::ThingEvent { .. } => {}
                Output::StoreSecret { device, .. } => panic!("{device:?} has its secret"),
                Output::Publish { topic, payload } => {
                    let sent = Sent::read(self.now.mono, &topic, &payload);
                    self.check(&sent);
                    self.deliver(&sent);
                    self.sent.push(sent);
                }
                Output::Subscribe { filters } => self.subscribed.push(filters),
                Output::Store(readings) => self.keep(readings),
                Output::ReadStore { from, most } => self.read_store(from, most),
                Output::Settle(values) => {
                    for at in values {
                        let store = self.store.as_mut().expect("a store");
                        store[at.ordinal as usize].1 = true;
                    }
                }
                Output::LogEvent(notice) => {
                    assert!(!notice.sentence().is_empty());
                    self.notices.push(notice);
                }
                Output::RemoteTask(task) => panic!("no configuration was pushed: {task:?}"),
                Output::Command(command) => panic!("no command was sent: {command:?}"),
                Output::Session { device, online } => {
                    let before = self.sessions.insert(device, online).unwrap_or(false);
                    assert_ne!(before, online, "{device:?}: the same is told twice");
                }
                Output::LoggedOut => self.logged_out += 1,
            }
        }
        for (device, online) in &self.sessions {
            assert_eq!(*online, self.cloud.session(*device) == Session::In);
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
                && !(*wish == Presence::Offline && matches!(is, Session::RetryBlocked { .. }))
                && !(*wish == Presence::Offline && is == Session::Out)
        });
        // A device that waits for quota waits for another to leave, not for a time.
        let full = self.cloud.online() >= self.spec.cloud.session.online;
        if self.link && unsettled && !full && self.logged_out == 0 {
            assert!(wake.is_some(), "nothing will ever happen");
        }
    }

    /// Opens a store with these readings.
    fn open_store(&mut self, readings: Vec<StoredReading>) {
        let has_values = !readings.is_empty();
        self.store = Some(readings.into_iter().map(|r| (r, false)).collect());
        self.cloud.on_store_open(self.now, has_values);
        self.drain();
    }

    fn keep(&mut self, readings: Vec<StoredReading>) {
        let store = self.store.as_mut().expect("a store");
        let first = store.len();
        let taken = if self.store_fails { 0 } else { readings.len() };
        store.extend(readings.into_iter().take(taken).map(|r| (r, false)));
        let at = (first..first + taken).map(|n| Some(position(n)));
        self.answer_from_store(StoreAnswer::Stored(at.collect()));
    }

    fn answer_from_store(&mut self, answer: StoreAnswer) {
        self.posted += 1;
        let at = (self.now.mono + self.store_delay, self.posted);
        self.store_mail.insert(at, answer);
        self.take_store_mail();
    }

    fn take_store_mail(&mut self) {
        while let Some(first) = self.store_mail.first_entry()
            && first.key().0 <= self.now.mono
        {
            match first.remove() {
                StoreAnswer::Stored(at) => self.cloud.on_stored(self.now, &at),
                StoreAnswer::Read(readings, next) => self.cloud.on_read(self.now, readings, next),
                StoreAnswer::ReadFailed(from) => self.cloud.on_read_failed(self.now, from),
            }
        }
    }

    fn read_store(&mut self, from: StorePosition, most: usize) {
        if self.store_fails {
            return self.answer_from_store(StoreAnswer::ReadFailed(from));
        }
        let store = self.store.as_ref().expect("a store");
        let all = store.iter().enumerate().map(|(n, one)| (position(n), one));
        let mut left = all.filter(|(at, (_, settled))| *at >= from && !settled);
        let read = left.by_ref().take(most);
        let read = read
            .map(|(at, (reading, _))| (at, reading.clone()))
            .collect();
        let next = left.next().map(|(at, _)| at);
        self.answer_from_store(StoreAnswer::Read(read, next));
    }

    /// Answers relations, answers to orders and the version: `tests/engines/topology.rs` is about
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
        if sent.what() == "history" {
            return self.check_history(sent);
        }
        assert_eq!(
            sent.devices.len() > 1,
            sent.what().starts_with("batch_") || sent.what() == "pack",
            "one device: its own topic; several: the batch's"
        );
        // Posts of one device may overlap: their values carry their times
        // (`tests/engines/delivery.rs` is about them).
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

    fn check_history(&self, sent: &Sent) {
        let policy = &self.spec.cloud.post;
        assert!(!self.stopped, "history while stopping");
        assert!(sent.devices.len() <= policy.pack_devices);
        assert!(sent.bytes <= policy.message_bytes);
        let values = sent.json["params"].as_array().unwrap().iter();
        let values = values.map(|d| d["properties"].as_array().unwrap().len());
        assert!((1..=policy.pack_properties).contains(&values.sum()));
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

    fn blocked_with(&self, id: u32) -> Option<i64> {
        match self.session(id) {
            Session::RetryBlocked { code, .. } => Some(code.0),
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
