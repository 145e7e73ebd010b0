//! The engine, a platform that remembers every value, and a slow and lossy network
//! between them, on virtual time.
//!
//! The platform is written for these tests alone and shares no code with the engine. It
//! remembers each value by device, property and time: a value that arrives twice is a
//! repeat, a value that never arrives is lost, whatever was replied.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::gateway::name;
use alink_gateway::base::{DeviceId, Mono, Now, Reading, Rng, Value, Wall};
use alink_gateway::cloud::{Cloud, CloudLogEvent, Output, Presence, Session};
use alink_gateway::spec::Spec;
use serde_json::{Value as Json, json};

const SESSION: &str = "/ext/session/gwPk/gw-1/combine/";
const ERROR: &str = "/ext/error/gwPk/gw-1";
const PACK: &str = "/sys/gwPk/gw-1/thing/event/property/pack/post";
const START: i64 = 1_700_000_000_000;

pub(crate) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(crate) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// What becomes of the part of a device in a pack when the device has no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sessionless {
    /// It is accepted all the same.
    Accepted,
    /// It is dropped, with a 520 beside the reply.
    Dropped520,
}

/// One value: device, property, and the time at which it was read, as the message says.
pub(crate) type Key = (u32, String, i64);

pub(crate) struct Platform {
    pub(crate) online: BTreeSet<u32>,
    pub(crate) sessionless: Sessionless,
    /// Codes for the next posts.
    pub(crate) post_codes: Vec<i64>,
    /// Until when posts are answered 429.
    pub(crate) throttled_until: Mono,
    /// Whether posts on a device's own topic without a session are dropped silently.
    pub(crate) mute: bool,
    /// How much later than the reply a 520 comes.
    pub(crate) notice_after: Duration,
    /// When each value first arrived, and how often in all.
    pub(crate) accepted: BTreeMap<Key, (Mono, u64)>,
    /// The values in the order of their first arrival.
    pub(crate) order: Vec<Key>,
    pub(crate) repeats: u64,
    pub(crate) posts: u64,
}

impl Platform {
    fn take(&mut self, now: Mono, device: u32, properties: &Json) {
        for (property, said) in properties.as_object().unwrap() {
            let key = (device, property.clone(), said["time"].as_i64().unwrap());
            let seen = self.accepted.entry(key.clone()).or_insert((now, 0));
            seen.1 += 1;
            if seen.1 == 1 {
                self.order.push(key);
            } else {
                self.repeats += 1;
            }
        }
    }
}

/// The values of a device: one each `every`, on its points in turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Feed {
    pub(crate) every: Duration,
    next: Mono,
    turn: u64,
}

pub(crate) struct World {
    pub(crate) cloud: Cloud,
    pub(crate) spec: Arc<Spec>,
    pub(crate) now: Now,
    pub(crate) platform: Platform,
    pub(crate) link: bool,
    /// How long an answer takes, and whether answers keep their order.
    pub(crate) delay: (Duration, Duration),
    pub(crate) in_order: bool,
    /// Messages lost each way, in thousandths.
    pub(crate) loss: u32,
    pub(crate) notices: Vec<(Mono, CloudLogEvent)>,
    /// When posts were sent, and for which devices.
    pub(crate) sent: Vec<(Mono, Vec<u32>)>,
    pub(crate) logins: u64,
    pub(crate) offered: u64,
    pub(crate) logged_out: bool,
    /// Whether to check that no value is sent again within the shortest time for which
    /// the engine waits for a reply.
    pub(crate) check_overlap: bool,
    sent_at: BTreeMap<Key, Mono>,
    feeds: BTreeMap<u32, Feed>,
    due: BTreeSet<(Mono, u32)>,
    mail: BTreeMap<(Mono, u64), (String, Vec<u8>)>,
    mailed: u64,
    last_due: Mono,
    rng: Rng,
}

impl World {
    pub(crate) fn new(spec: Spec, seed: u64) -> World {
        let spec = Arc::new(spec);
        let now = at(Mono::from_micros(1_000_000));
        World {
            cloud: Cloud::new(Arc::clone(&spec), Rng::new(seed), now),
            spec,
            now,
            platform: Platform {
                online: BTreeSet::new(),
                sessionless: Sessionless::Accepted,
                post_codes: Vec::new(),
                throttled_until: Mono::START,
                mute: false,
                notice_after: Duration::ZERO,
                accepted: BTreeMap::new(),
                order: Vec::new(),
                repeats: 0,
                posts: 0,
            },
            link: false,
            delay: (ms(20), ms(20)),
            in_order: true,
            loss: 0,
            notices: Vec::new(),
            sent: Vec::new(),
            logins: 0,
            offered: 0,
            logged_out: false,
            check_overlap: false,
            sent_at: BTreeMap::new(),
            feeds: BTreeMap::new(),
            due: BTreeSet::new(),
            mail: BTreeMap::new(),
            mailed: 0,
            last_due: Mono::START,
            rng: Rng::new(seed ^ 0x5EED),
        }
    }

    /// Builds a world with all devices online.
    pub(crate) fn online(spec: Spec, seed: u64) -> World {
        let n = spec.devices.len() as u32;
        let mut w = World::new(spec, seed);
        w.up();
        for id in 0..n {
            w.cloud.want(w.now, DeviceId(id), Presence::Online);
        }
        w.run(secs(5) + ms(6) * n);
        assert_eq!(w.cloud.online(), n as usize);
        w
    }

    pub(crate) fn up(&mut self) {
        self.link = true;
        self.cloud.on_link_up(self.now);
        self.drain();
    }

    pub(crate) fn down(&mut self) {
        self.link = false;
        self.platform.online.clear();
        self.sent_at.clear();
        self.mail.clear();
        self.cloud.on_link_down(self.now);
        self.drain();
    }

    pub(crate) fn put(&mut self, id: u32, point: u16, value: i64) {
        self.offered += 1;
        let reading = Reading {
            device: DeviceId(id),
            point,
            value: Value::Int(value),
            at: self.now,
        };
        self.cloud.put(self.now, reading);
    }

    /// Gives every device a value each `every`, not all at the same moment.
    pub(crate) fn feed_all(&mut self, every: Duration) {
        let n = self.spec.devices.len() as u32;
        for id in 0..n {
            let first = self.now.mono + every * id / n;
            let feed = Feed {
                every,
                next: first,
                turn: 0,
            };
            self.feeds.insert(id, feed);
            self.due.insert((first, id));
        }
    }

    pub(crate) fn stop_feeding(&mut self) {
        self.feeds.clear();
        self.due.clear();
    }

    /// Ends sessions at the platform without a notice.
    pub(crate) fn lose_silently(&mut self, ids: impl IntoIterator<Item = u32>) {
        for id in ids {
            self.platform.online.remove(&id);
        }
    }

    /// Lets the platform say on `/ext/error` that this device has no session.
    pub(crate) fn say_lost(&mut self, id: u32) {
        self.platform.online.remove(&id);
        let who = json!({"productKey": "subPk", "deviceName": name(id)});
        let body = json!({"id": "0", "code": 520, "data": who});
        let body = body.to_string();
        self.cloud.on_message(self.now, ERROR, body.as_bytes());
        self.drain();
    }

    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now.mono + span;
        self.run_until(end, |_| false);
    }

    /// Runs until `done`, at most `span`; returns how long it took.
    pub(crate) fn run_for(&mut self, span: Duration, done: impl Fn(&World) -> bool) -> Duration {
        let from = self.now.mono;
        self.run_until(from + span, done);
        self.now.mono.since(from)
    }

    fn run_until(&mut self, end: Mono, done: impl Fn(&World) -> bool) {
        self.drain();
        while !done(self) {
            let wake = self.cloud.wake_at().map(|w| w.at);
            let mail = self.mail.keys().next().map(|(at, _)| *at);
            let feed = self.due.first().map(|(at, _)| *at);
            let next = [wake, mail, feed].into_iter().flatten().min();
            let next = match next {
                Some(next) if next <= end => next.max(self.now.mono),
                _ => {
                    self.now = at(end);
                    self.drain();
                    return;
                }
            };
            self.now = at(next);
            while let Some((key, _)) = self.mail.first_key_value().filter(|(k, _)| k.0 <= next) {
                let key = *key;
                let (topic, payload) = self.mail.remove(&key).unwrap();
                self.cloud.on_message(self.now, &topic, &payload);
            }
            while let Some(&(when, id)) = self.due.first().filter(|(at, _)| *at <= next) {
                self.due.remove(&(when, id));
                let points = self.spec.devices[id as usize].profile.points.len() as u64;
                if let Some(mut feed) = self.feeds.get(&id).copied() {
                    self.put(id, (feed.turn % points) as u16, feed.turn as i64);
                    feed.turn += 1;
                    feed.next = when + feed.every;
                    self.due.insert((feed.next, id));
                    self.feeds.insert(id, feed);
                }
            }
            self.drain();
        }
    }

    fn drain(&mut self) {
        let mut budget = 100_000;
        while let Some(output) = self.cloud.poll(self.now) {
            budget -= 1;
            assert!(budget > 0, "the engine never rests");
            match output {
                Output::Publish { topic, payload } => self.publish(&topic, &payload),
                Output::LogEvent(notice) => self.notices.push((self.now.mono, notice)),
                Output::LoggedOut => self.logged_out = true,
                _ => {}
            }
        }
        let wake = self.cloud.wake_at();
        assert!(
            wake.is_none_or(|w| w.at > self.now.mono),
            "to be woken in the past: {wake:?} at {}",
            self.now.mono
        );
    }

    fn publish(&mut self, topic: &str, payload: &[u8]) {
        assert!(self.link, "published without a link");
        let json: Json = serde_json::from_slice(payload).unwrap();
        let params = &json["params"];
        let number = |d: &Json| d["deviceName"].as_str().unwrap()[6..].parse().unwrap();
        let is_pack = topic == PACK;
        let parts: Vec<(u32, Json)> = if is_pack {
            let subs = params["subDevices"].as_array().unwrap();
            subs.iter()
                .map(|s| (number(&s["identity"]), s["properties"].clone()))
                .collect()
        } else if topic.ends_with("/thing/event/property/post") {
            let who = topic.split('/').nth(3).unwrap()[6..].parse().unwrap();
            vec![(who, params.clone())]
        } else {
            Vec::new()
        };
        if !parts.is_empty() {
            let who: Vec<u32> = parts.iter().map(|p| p.0).collect();
            for id in &who {
                assert_eq!(
                    self.cloud.session(DeviceId(*id)),
                    Session::In,
                    "posted for {id}"
                );
            }
            let policy = &self.spec.cloud.post;
            assert!(who.len() <= policy.pack_devices);
            let values: usize = parts.iter().map(|p| p.1.as_object().unwrap().len()).sum();
            assert!((1..=policy.pack_properties).contains(&values));
            if self.check_overlap {
                self.no_overlap(&parts);
            }
            self.sent.push((self.now.mono, who));
        }
        if topic.contains("login") {
            self.logins += 1;
        }
        if self.rng.chance(self.loss) {
            return;
        }
        let now = self.now.mono;
        let (mut code, mut data) = (200, json!({}));
        if let Some(tail) = topic.strip_prefix(SESSION) {
            let list: Vec<u32> = match params.get("deviceList").or(Some(params)) {
                Some(Json::Array(list)) => list.iter().map(number).collect(),
                _ => vec![number(params)],
            };
            for id in list {
                self.sent_at.retain(|key, _| key.0 != id);
                if tail.ends_with("login") {
                    self.platform.online.insert(id);
                } else {
                    self.platform.online.remove(&id);
                }
            }
        } else if topic.ends_with("/topo/get") {
            let all = (0..self.spec.devices.len() as u32)
                .map(|d| json!({"productKey": "subPk", "deviceName": name(d)}));
            data = json!(all.collect::<Vec<_>>());
        } else if !parts.is_empty() {
            self.platform.posts += 1;
            if now < self.platform.throttled_until {
                code = 429;
                self.sent_at.clear();
            } else if !self.platform.post_codes.is_empty() {
                code = self.platform.post_codes.remove(0);
                self.sent_at.clear();
            } else {
                for (id, properties) in &parts {
                    let is_in = self.platform.online.contains(id);
                    if is_in || (is_pack && self.platform.sessionless == Sessionless::Accepted) {
                        self.platform.take(now, *id, properties);
                        continue;
                    }
                    self.sent_at.retain(|key, _| key.0 != *id);
                    if is_pack || !self.platform.mute {
                        let who = json!({"productKey": "subPk", "deviceName": name(*id)});
                        let body = json!({"id": json["id"], "code": 520, "data": who});
                        let after = self.platform.notice_after;
                        self.mail(ERROR.to_owned(), &body, after);
                    }
                    if !is_pack {
                        return;
                    }
                }
            }
        } else {
            return;
        }
        let body = json!({"id": json["id"], "code": code, "message": "m", "data": data});
        self.mail(format!("{topic}_reply"), &body, Duration::ZERO);
    }

    /// Checks that no value is sent again while the reply to its last sending may still
    /// come: not within 2 s, unless it was refused or its session ended.
    fn no_overlap(&mut self, parts: &[(u32, Json)]) {
        for (id, properties) in parts {
            for (property, said) in properties.as_object().unwrap() {
                let key = (*id, property.clone(), said["time"].as_i64().unwrap());
                if let Some(last) = self.sent_at.insert(key.clone(), self.now.mono) {
                    let since = self.now.mono.since(last);
                    assert!(since >= secs(2), "{key:?} again after {since:?}");
                }
            }
        }
    }

    fn mail(&mut self, topic: String, body: &Json, more: Duration) {
        if self.rng.chance(self.loss) {
            return;
        }
        let (least, most) = self.delay;
        let spread = (most - least).as_micros() as u64;
        let mut due =
            self.now.mono + least + more + Duration::from_micros(self.rng.below(spread + 1));
        if self.in_order && more.is_zero() {
            due = due.max(self.last_due);
            self.last_due = due;
        }
        self.mailed += 1;
        self.mail
            .insert((due, self.mailed), (topic, body.to_string().into_bytes()));
    }

    // --- looking ---

    /// Returns how many values were accepted, each counted once.
    pub(crate) fn accepted(&self) -> u64 {
        self.platform.accepted.len() as u64
    }

    /// Returns the values first accepted within the last `span`, per second.
    pub(crate) fn per_second(&self, span: Duration) -> f64 {
        let from = self.now.mono;
        let lately = self.platform.accepted.values();
        let lately = lately.filter(|(at, _)| from.since(*at) < span).count();
        lately as f64 / span.as_secs_f64()
    }

    /// Returns how old values were when they first arrived, among those that arrived
    /// since then: the given share of them was no older.
    pub(crate) fn age(&self, since: Mono, permille: usize) -> Duration {
        let mut ages: Vec<Duration> = self
            .platform
            .accepted
            .iter()
            .filter(|(_, (at, _))| *at >= since)
            .map(|((_, _, time), (at, _))| {
                let read = Mono::START + ms(u64::try_from(time - START).unwrap());
                at.since(read)
            })
            .collect();
        ages.sort();
        ages[(ages.len() - 1) * permille / 1000]
    }

    /// Returns how many values the engine counts as delivered that never were accepted;
    /// only for a world in which no notice ends a session.
    pub(crate) fn delivered_but_lost(&self) -> i64 {
        let c = self.cloud.counters();
        let drops: u64 = c.drops().iter().map(|(_, n)| n).sum();
        let gone = self.offered - self.cloud.backlog() as u64 - drops;
        assert_eq!(gone, c.delivered, "every value is somewhere");
        c.delivered as i64 - self.accepted() as i64
    }
}

pub(crate) fn at(mono: Mono) -> Now {
    let millis = mono.since(Mono::START).as_millis() as i64;
    Now {
        mono,
        wall: Wall::from_millis(START + millis),
    }
}
