//! The engine, a small platform, and the time between them. It shares no code with the
//! engine, nor with the platform of the lab.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::gateway::gateway;
pub(crate) use crate::gateway::name;
use crate::virtual_time::advanced;
use alink_gateway::base::{
    Command, CommandAnswer, CommandNumber, DeviceId, EventKind, LogEvent, Mono, Now, Rng, Wall,
};
use alink_gateway::cloud::{Cloud, CloudLogEvent, Output, Presence, Session};
use alink_gateway::spec::*;
use serde_json::{Value as Json, json};

const ERROR: &str = "/ext/error/gwPk/gw-1";

pub(crate) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(crate) const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(crate) const fn id(n: u32) -> DeviceId {
    DeviceId(n)
}

fn number(name: &str) -> Option<u32> {
    name.strip_prefix("meter-")?.parse().ok()
}

/// Builds an installation of `n` devices without points.
pub(crate) fn spec(n: u32) -> Spec {
    gateway(n, 0)
}

/// The kind of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ask {
    LogIn,
    LogOut,
    Relations,
    Relate,
    Unrelate,
    /// An answer of the engine, or the version: neither gets a reply.
    Answer,
}

impl Ask {
    fn of(topic: &str) -> Ask {
        match topic.rsplit('/').next().unwrap() {
            "login" | "batch_login" => Ask::LogIn,
            "logout" | "batch_logout" => Ask::LogOut,
            "get" if topic.contains("/topo/") => Ask::Relations,
            "add" if topic.contains("/topo/") => Ask::Relate,
            "delete" if topic.contains("/topo/") => Ask::Unrelate,
            _ => Ask::Answer,
        }
    }
}

/// Which devices the reply to a refused batch names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    Culprits,
    First,
    None,
    All,
}

/// A message of the engine, and the reply of the platform.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) at: Mono,
    pub(crate) ask: Ask,
    topic: String,
    body: Json,
    pub(crate) devices: Vec<u32>,
    /// 0 if it was lost.
    pub(crate) code: i64,
}

pub(crate) struct Platform {
    pub(crate) online: BTreeSet<u32>,
    /// The most devices online at once.
    pub(crate) cap: usize,
    pub(crate) names: Names,
    pub(crate) bad: BTreeMap<(Ask, u32), i64>,
    /// Names of the devices under the gateway.
    pub(crate) related: BTreeSet<String>,
    throttled: BTreeMap<Ask, Mono>,
    /// Codes of the answers to the next log-ins.
    pub(crate) moods: Vec<i64>,
    /// Replies to these requests come after so long, whatever the others take.
    pub(crate) delays: BTreeMap<Ask, Duration>,
    /// Messages about one of these devices, and no others, are lost.
    pub(crate) deaf_to: BTreeSet<u32>,
}

impl Platform {
    pub(crate) fn throttle(&mut self, ask: Ask, until: Mono) {
        self.throttled.insert(ask, until);
    }

    fn judge(&mut self, now: Mono, ask: Ask, names: &[String]) -> (i64, Vec<String>) {
        if self.throttled.get(&ask).is_some_and(|until| now < *until) {
            return (429, names.to_vec());
        }
        if ask == Ask::LogIn && !self.moods.is_empty() {
            return (self.moods.remove(0), Vec::new());
        }
        let one = |name: &String| {
            let d = number(name).unwrap();
            if let Some(code) = self.bad.get(&(ask, d)) {
                return Some(*code);
            }
            match ask {
                Ask::LogIn if !self.related.contains(name) => Some(6401),
                Ask::LogOut if !self.online.contains(&d) => Some(520),
                _ => None,
            }
        };
        let refused = names.iter().filter_map(|n| Some((n.clone(), one(n)?)));
        let refused: Vec<(String, i64)> = refused.collect();
        if let Some((_, code)) = refused.first() {
            let culprits = refused.iter().map(|r| r.0.clone());
            let named = match self.names {
                Names::Culprits => culprits.collect(),
                Names::First => culprits.take(1).collect(),
                Names::None => Vec::new(),
                Names::All => names.to_vec(),
            };
            return (*code, named);
        }
        let numbers: Vec<u32> = names.iter().filter_map(|n| number(n)).collect();
        match ask {
            Ask::LogIn => {
                let more = numbers.iter().filter(|d| !self.online.contains(d)).count();
                if more > 0 && self.online.len() + more > self.cap {
                    return (428, names.to_vec());
                }
                self.online.extend(numbers);
            }
            Ask::LogOut => self.online.retain(|d| !numbers.contains(d)),
            Ask::Relate => self.related.extend(names.iter().cloned()),
            Ask::Unrelate => self.related.retain(|n| !names.contains(n)),
            Ask::Relations => return (200, self.related.iter().cloned().collect()),
            Ask::Answer => {}
        }
        (200, names.to_vec())
    }
}

pub(crate) struct World {
    pub(crate) cloud: Cloud,
    spec: Spec,
    pub(crate) now: Now,
    pub(crate) platform: Platform,
    link: bool,
    /// The least and the longest delay of a reply.
    pub(crate) delay: (Duration, Duration),
    /// Messages lost each way, in thousandths.
    pub(crate) loss: u32,
    rng: Rng,
    mail: BTreeMap<(Mono, u64), (String, Vec<u8>)>,
    mailed: u64,
    pub(crate) sent: Vec<Sent>,
    logins: BTreeMap<u32, usize>,
    notices: Vec<CloudLogEvent>,
    pub(crate) subscribed: Vec<String>,
    pub(crate) wanted: BTreeSet<u32>,
    /// The commands handed out, in their order.
    pub(crate) commands: Vec<Command>,
}

impl World {
    pub(crate) fn new(spec: Spec) -> World {
        World::seeded(spec, 1)
    }

    pub(crate) fn seeded(spec: Spec, seed: u64) -> World {
        let now = Now {
            mono: Mono::from_micros(1_000_000),
            wall: Wall::from_millis(1_700_000_000_000),
        };
        let devices = u32::try_from(spec.devices.len()).unwrap();
        World {
            cloud: Cloud::new(Arc::new(spec.clone()), Rng::new(seed), now),
            now,
            platform: Platform {
                online: BTreeSet::new(),
                cap: 2000,
                names: Names::All,
                bad: BTreeMap::new(),
                related: (0..devices).map(name).collect(),
                throttled: BTreeMap::new(),
                moods: Vec::new(),
                delays: BTreeMap::new(),
                deaf_to: BTreeSet::new(),
            },
            spec,
            link: false,
            delay: (ms(20), ms(20)),
            loss: 0,
            rng: Rng::new(seed ^ 0xABCD),
            mail: BTreeMap::new(),
            mailed: 0,
            sent: Vec::new(),
            logins: BTreeMap::new(),
            notices: Vec::new(),
            subscribed: Vec::new(),
            wanted: BTreeSet::new(),
            commands: Vec::new(),
        }
    }

    // --- what happens ---

    pub(crate) fn up(&mut self) {
        self.link = true;
        self.cloud.on_link_up(self.now);
        self.drain();
    }

    pub(crate) fn down(&mut self) {
        self.link = false;
        self.platform.online.clear();
        self.mail.clear();
        self.cloud.on_link_down(self.now);
        self.drain();
    }

    pub(crate) fn want(&mut self, ids: impl IntoIterator<Item = u32>, presence: Presence) {
        for d in ids {
            match presence {
                Presence::Online => self.wanted.insert(d),
                Presence::Offline => self.wanted.remove(&d),
            };
            self.cloud.want(self.now, id(d), presence);
        }
        self.drain();
    }

    pub(crate) fn kick(&mut self, d: u32, code: i64) {
        self.platform.online.remove(&d);
        let who = json!({"productKey": "subPk", "deviceName": name(d)});
        let body = json!({"id": "9", "code": code, "data": who});
        self.message(ERROR, body.to_string().as_bytes());
    }

    pub(crate) fn order(&mut self, topic: &str, params: &Json) {
        let body = json!({"id": "5", "version": "1.0", "params": params});
        self.message(topic, body.to_string().as_bytes());
    }

    pub(crate) fn message(&mut self, topic: &str, payload: &[u8]) {
        self.cloud.on_message(self.now, topic, payload);
        self.drain();
    }

    /// Tells the engine what became of a command.
    pub(crate) fn done(&mut self, number: CommandNumber, answer: CommandAnswer) {
        self.cloud.on_command_done(self.now, number, answer);
        self.drain();
    }

    /// Stops the gateway.
    pub(crate) fn stop(&mut self) {
        self.cloud.stop(self.now);
        self.drain();
    }

    /// Loads another configuration: devices that are not removed, retired or new stay.
    pub(crate) fn reload(&mut self, changes: &Changes) {
        let mut spec = self.spec.clone();
        let retired = &mut spec.retired.devices;
        retired.retain(|d| !changes.devices.added.contains(d));
        retired.extend(changes.devices.removed.iter().copied());
        self.spec = spec.clone();
        self.cloud.respec(self.now, Arc::new(spec), changes);
        self.drain();
    }

    // --- time ---

    pub(crate) fn run(&mut self, span: Duration) {
        self.run_for(span, |_| false);
    }

    /// Runs until `done`, at most `span`; returns whether it came.
    pub(crate) fn run_for(&mut self, span: Duration, done: impl Fn(&World) -> bool) -> bool {
        let end = self.now.mono + span;
        self.drain();
        while !done(self) {
            let wake = self.cloud.wake_at().map(|w| w.at);
            let mail = self.mail.keys().next().map(|(at, _)| *at);
            let next = [wake, mail].into_iter().flatten().min();
            let Some(next) = next.filter(|at| *at <= end) else {
                self.advance_to(end);
                self.drain();
                return done(self);
            };
            self.advance_to(next);
            if let Some(&key) = self.mail.keys().next().filter(|(at, _)| *at <= next) {
                let (topic, payload) = self.mail.remove(&key).unwrap();
                self.cloud.on_message(self.now, &topic, &payload);
            }
            self.drain();
        }
        true
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
                Output::Publish { topic, payload } => self.deliver(&topic, &payload),
                Output::Subscribe { filters } => self.subscribed.extend(filters),
                Output::LogEvent(notice) => self.notices.push(notice),
                Output::Session { .. } => {}
                Output::LoggedOut => {}
                Output::Command(command) => self.commands.push(command),
                other => panic!("{other:?}"),
            }
        }
        let wake = self.cloud.wake_at();
        let later = wake.is_none_or(|w| w.at > self.now.mono);
        assert!(later, "to be woken in the past: {wake:?}");
    }

    fn deliver(&mut self, topic: &str, payload: &[u8]) {
        assert!(self.link, "published without a link");
        let body: Json = serde_json::from_slice(payload).unwrap();
        let ask = Ask::of(topic);
        if topic.starts_with("/ota/") || topic.ends_with("notify_reply") {
            return;
        }
        if topic.ends_with("change_reply") {
            return;
        }
        let params = &body["params"];
        let list = match params.get("deviceList").unwrap_or(params) {
            Json::Array(list) => list.clone(),
            one if one.get("deviceName").is_some() => vec![one.clone()],
            _ => Vec::new(),
        };
        let names: Vec<String> = list
            .iter()
            .filter_map(|d| d.get("deviceName"))
            .map(|name| name.as_str().unwrap().to_owned())
            .collect();
        let devices: Vec<u32> = names.iter().filter_map(|n| number(n)).collect();
        let mut sent = Sent {
            at: self.now.mono,
            ask,
            topic: topic.to_owned(),
            devices: devices.clone(),
            code: 0,
            body: body.clone(),
        };
        if ask == Ask::LogIn {
            self.check_limits(&devices);
        }
        let deaf = |d: &u32| self.platform.deaf_to.contains(d);
        let mut lost = devices.iter().any(deaf) || self.rng.chance(self.loss);
        if !lost && ask != Ask::Answer {
            let (code, named) = self.platform.judge(self.now.mono, ask, &names);
            sent.code = code;
            lost = self.rng.chance(self.loss);
            if !lost {
                self.reply(&sent, code, &named);
            }
        }
        self.sent.push(sent);
    }

    fn reply(&mut self, to: &Sent, code: i64, named: &[String]) {
        let data = named
            .iter()
            .map(|n| json!({"productKey": "subPk", "deviceName": n}));
        let data: Vec<Json> = data.collect();
        let body = json!({"id": to.body["id"], "code": code, "message": "m", "data": data});
        let (least, most) = self.delay;
        let spread = u64::try_from((most - least).as_micros()).unwrap();
        let own = self.platform.delays.get(&to.ask).copied();
        let after = own.unwrap_or(least + Duration::from_micros(self.rng.below(spread.max(1))));
        self.mailed += 1;
        let topic = format!("{}_reply", to.topic);
        self.mail.insert(
            (self.now.mono + after, self.mailed),
            (topic, body.to_string().into_bytes()),
        );
    }

    /// Checks what must hold of every log-in, whatever its result.
    fn check_limits(&mut self, devices: &[u32]) {
        assert!(devices.len() <= self.spec.cloud.session.batch);
        for d in devices {
            *self.logins.entry(*d).or_default() += 1;
            let recent = self.sent.iter().rev();
            let recent = recent.take_while(|s| self.now.mono.since(s.at) < secs(60));
            let mine = recent.filter(|s| s.ask == Ask::LogIn && s.devices.contains(d));
            let budget = self.spec.cloud.session.logins_per_minute;
            assert!(mine.count() < budget, "{d} tried too often");
        }
    }

    // --- looking ---

    pub(crate) fn online(&self) -> usize {
        self.cloud.online()
    }

    pub(crate) fn is_in(&self, d: u32) -> bool {
        self.cloud.session(id(d)) == Session::In
    }

    pub(crate) fn all_out(&self) -> bool {
        let devices = u32::try_from(self.spec.devices.len()).unwrap();
        (0..devices).all(|d| self.cloud.session(id(d)) == Session::Out)
    }

    /// Returns how long the retry block of the device still lasts.
    pub(crate) fn block(&self, d: u32) -> Option<Duration> {
        match self.cloud.session(id(d)) {
            Session::RetryBlocked { until, .. } => Some(until.since(self.now.mono)),
            _ => None,
        }
    }

    pub(crate) fn blocked_with(&self, d: u32) -> Option<i64> {
        match self.cloud.session(id(d)) {
            Session::RetryBlocked { code, .. } => Some(code.0),
            _ => None,
        }
    }

    /// Returns how often the device was in a log-in.
    pub(crate) fn logins(&self, d: u32) -> usize {
        self.logins.get(&d).copied().unwrap_or_default()
    }

    /// Returns how often a notice of this kind was given.
    pub(crate) fn told(&self, kind: &str) -> usize {
        let told = self.notices.iter().map(LogEvent::kind);
        told.map(EventKind::name).filter(|k| *k == kind).count()
    }

    /// Returns the messages that the engine published on this topic.
    pub(crate) fn answers(&self, topic: &str) -> Vec<&Json> {
        let on = self.sent.iter().filter(|s| s.topic == topic);
        on.map(|s| &s.body).collect()
    }
}
