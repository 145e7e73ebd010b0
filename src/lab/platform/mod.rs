//! The platform, as far as a gateway can see it: a pure model of the MQTT
//! server that talks Alink.
//!
//! **Decides** who may connect, which sub-devices have a session, what is
//! accepted from whom, what is answered, and when a silent connection is
//! closed. **Refuses to know** sockets, TLS and MQTT packets (`lab/broker.rs`
//! carries those), and anything of the gateway that talks to it: it parses and
//! signs by itself, sharing no line with `cloud/`, so that it is an independent
//! oracle. Where the platform's documents are silent or disagree, [`Switches`]
//! has both answers.
//!
//! **Contract.** The world arrives by `on_*(now, …)`; a person at the console by
//! verbs ([`Platform::disable`], [`Platform::kick`], …); misfortune by
//! [`Platform::fault`]. After each, drain [`Platform::poll`] until `None`; call
//! it again no later than [`Platform::wake_at`]. Looking never changes anything.
//! The same inputs, times and seed give the same outputs.
//!
//! **Invariants**
//! - One connection per device certificate; the newer one wins.
//! - A sub-device has at most one session, and only under a gateway that is
//!   connected; when that connection ends, so do all its sessions, and none
//!   comes back by itself.
//! - A batch succeeds for everybody in it or for nobody.
//! - Never more sessions under a gateway than the limit.
//! - A value is accepted only from a device that is registered and enabled, and,
//!   on its own topic, has a session on that very connection.
//! - Every request that wants a reply gets one with its own `id`, unless a quota
//!   or a fault swallowed it, and that is counted.
//!
//! Facts: the platform's published pages (document ids at each rule) and what
//! its official SDKs send and expect; nothing was tried on the live service.

mod connect;
mod console;
mod fault;
mod ledger;
mod outbox;
mod reply;
mod session;
mod sign;
mod spec;
mod thing;
mod topic;
mod topology;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::base::{DeviceName, Mono, Now, ProductKey, Rng, Secret, Wake};

pub use connect::Connect;
pub use fault::Fault;
pub use ledger::{
    Accepted, AcceptedValue, Ask, Asked, Broken, Event, Ledger, Log, Totals, Violation,
};
pub use reply::Code;
pub use spec::{Certificate, Device, FailedBatchNames, Limits, Notice, PlatformSpec, Switches};
pub use topic::is_downstream;

use fault::{Fate, Faults};
use outbox::{Outbox, Recent};
use session::Session;
use topic::{Kind, Topic};

/// One network connection, named by the shell that carries it; never used
/// again after it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conn(pub u64);

/// What the platform does to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Answers CONNECT.
    ConnAck {
        /// Which connection.
        conn: Conn,
        /// 0 accepted; else a [`Output::Close`] follows (MQTT 3.1.1 §3.2.2.3).
        code: u8,
        /// Whether subscriptions of an earlier session are still there.
        session_present: bool,
    },
    /// Answers SUBSCRIBE.
    SubAck {
        /// Which connection.
        conn: Conn,
        /// The packet's id, if one was given.
        pkid: Option<u16>,
        /// Per filter: 0 granted at QoS 0, 80h refused.
        codes: Vec<u8>,
    },
    /// Answers UNSUBSCRIBE.
    UnsubAck {
        /// Which connection.
        conn: Conn,
        /// The packet's id, if one was given.
        pkid: Option<u16>,
    },
    /// Takes note of a PUBLISH at QoS 1.
    PubAck {
        /// Which connection.
        conn: Conn,
        /// The packet's id.
        pkid: u16,
    },
    /// Sends a message at QoS 0.
    Publish {
        /// Which connection.
        conn: Conn,
        /// MQTT topic.
        topic: String,
        /// Compact JSON.
        payload: Vec<u8>,
    },
    /// Answers PINGREQ.
    PingResp {
        /// Which connection.
        conn: Conn,
    },
    /// Closes the connection, after everything handed out before.
    Close {
        /// Which connection.
        conn: Conn,
        /// Why, for people.
        why: &'static str,
    },
}

impl Output {
    /// Whom it is for.
    #[must_use]
    pub const fn conn(&self) -> Conn {
        match self {
            Output::ConnAck { conn, .. }
            | Output::SubAck { conn, .. }
            | Output::UnsubAck { conn, .. }
            | Output::PubAck { conn, .. }
            | Output::Publish { conn, .. }
            | Output::PingResp { conn }
            | Output::Close { conn, .. } => *conn,
        }
    }
}

/// What the platform knows of a registered device.
#[derive(Clone, Debug)]
struct Account {
    secret: Secret,
    state: State,
    /// The gateway it hangs under.
    above: Option<Device>,
}

/// What a person has done to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Enabled,
    Disabled,
    Deleted,
}

/// A gateway that is connected.
#[derive(Clone, Debug)]
struct Link {
    gateway: Device,
    /// `None` for a connection that was assumed: its keepalive is another
    /// broker's business.
    keepalive: Option<Duration>,
    last_heard: Mono,
    /// `_ss=1`: the platform subscribes.
    subscribed_by_platform: bool,
    clean: bool,
    filters: BTreeSet<String>,
    sent: Recent,
    sent_qos0: Recent,
    sent_qos1: Recent,
}

/// The platform.
#[derive(Debug)]
pub struct Platform {
    limits: Limits,
    switches: Switches,
    accounts: BTreeMap<Device, Account>,
    links: BTreeMap<Conn, Link>,
    gateways: BTreeMap<Device, Conn>,
    sessions: BTreeMap<Device, Session>,
    logins: BTreeMap<Device, Recent>,
    quota: BTreeMap<Device, session::Quota>,
    connects: BTreeMap<Device, Recent>,
    /// Subscriptions that outlive a connection with MQTT clean session 0.
    kept: BTreeMap<Device, BTreeSet<String>>,
    faults: Faults,
    outbox: Outbox,
    ledger: Ledger,
    accepted: Accepted,
    next_id: u64,
    next_look: Mono,
    now: Mono,
}

impl Platform {
    /// A platform nobody is connected to. Its keepalive looks happen every
    /// [`Limits::keepalive_tick`] from `now` on.
    #[must_use]
    pub fn new(spec: PlatformSpec, rng: Rng, now: Now) -> Self {
        let mut platform = Platform {
            next_look: now.mono + spec.limits.keepalive_tick,
            limits: spec.limits,
            switches: spec.switches,
            accounts: BTreeMap::new(),
            links: BTreeMap::new(),
            gateways: BTreeMap::new(),
            sessions: BTreeMap::new(),
            logins: BTreeMap::new(),
            quota: BTreeMap::new(),
            connects: BTreeMap::new(),
            kept: BTreeMap::new(),
            faults: Faults::none(rng),
            outbox: Outbox::default(),
            ledger: Ledger::new(),
            accepted: Accepted::new(),
            next_id: 0,
            now: now.mono,
        };
        for certificate in spec.certificates {
            platform.register(certificate);
        }
        for (gateway, sub) in spec.topology {
            if let Some(account) = platform.accounts.get_mut(&sub) {
                account.above = Some(gateway);
            }
        }
        platform
    }

    // ---- the world -------------------------------------------------------

    /// A connection that exists although no CONNECT was seen: the gateway is
    /// connected to a foreign broker that the model listens to. Its presence is
    /// assumed from its first message on, and the platform subscribes for it.
    pub fn on_assumed(&mut self, now: Now, conn: Conn, gateway: &Device) {
        self.now = now.mono;
        self.let_in(
            now,
            conn,
            Link {
                gateway: gateway.clone(),
                keepalive: None,
                last_heard: now.mono,
                subscribed_by_platform: true,
                clean: true,
                filters: BTreeSet::new(),
                sent: Recent::default(),
                sent_qos0: Recent::default(),
                sent_qos1: Recent::default(),
            },
        );
    }

    /// A PUBLISH arrived. `pkid` is its packet id above QoS 0.
    pub fn on_publish(
        &mut self,
        now: Now,
        conn: Conn,
        topic: &str,
        payload: &[u8],
        qos: u8,
        pkid: Option<u16>,
    ) {
        if !self.hears(now, conn) {
            return;
        }
        self.ledger.totals.received += 1;
        if qos > 1 {
            self.ledger.broke(Violation::Qos2, || topic.to_owned());
            self.close(now, conn, "QoS 2 is not supported");
            return;
        }
        if let (1, Some(pkid)) = (qos, pkid) {
            self.outbox.push(Output::PubAck { conn, pkid });
        }
        if self.exceeds_quota(now, conn, topic, payload, qos) {
            return;
        }
        if self.faults.loses_request() {
            self.ledger.totals.lost_requests += 1;
            return;
        }
        let Some(Link { gateway, .. }) = self.links.get(&conn) else {
            return;
        };
        let gateway = gateway.clone();
        let Some(Topic { device, kind }) = Topic::parse(topic) else {
            self.ledger
                .broke(Violation::UnknownTopic, || topic.to_owned());
            return;
        };
        if qos > 0 && (device != gateway || matches!(kind, Kind::Session(_))) {
            self.ledger
                .broke(Violation::QosAboveZero, || topic.to_owned());
        }
        match kind {
            Kind::Session(_) | Kind::Ntp if device != gateway => {
                self.ledger
                    .broke(Violation::UnknownTopic, || format!("{gateway}: {topic}"));
            }
            Kind::Session(ask) => self.on_session_request(now, conn, &gateway, ask, topic, payload),
            Kind::Ntp => self.on_ntp(now, conn, &gateway, payload),
            Kind::Sys(_) | Kind::Ota | Kind::Custom
                if !self.speaks_for(now, conn, &gateway, &device, topic) => {}
            Kind::Sys(tail) => {
                self.on_thing(now, conn, &gateway, device, tail, topic, payload);
            }
            Kind::Ota | Kind::Custom => {}
        }
    }

    /// A PUBLISH carried the retain flag, which the platform does not support;
    /// told besides the message itself.
    pub fn on_retain(&mut self, _now: Now, conn: Conn) {
        self.ledger
            .broke(Violation::Retain, || format!("connection {}", conn.0));
    }

    /// A SUBSCRIBE arrived.
    pub fn on_subscribe(&mut self, now: Now, conn: Conn, filters: &[String], pkid: Option<u16>) {
        if !self.hears(now, conn) {
            return;
        }
        let too_many = filters.len() > self.limits.filters;
        let mut codes = Vec::with_capacity(filters.len());
        for filter in filters {
            let Some(link) = self.links.get(&conn) else {
                return;
            };
            let full = link.filters.len() >= self.limits.subscriptions
                && !link.filters.contains(filter.as_str());
            let refusal = if too_many || full {
                Some(Violation::TooManyFilters)
            } else if !self.may_hear(conn, filter) {
                Some(Violation::ForbiddenFilter)
            } else {
                None
            };
            match refusal {
                Some(rule) => {
                    self.ledger.broke(rule, || filter.clone());
                    codes.push(0x80);
                }
                None => {
                    if let Some(link) = self.links.get_mut(&conn) {
                        link.filters.insert(filter.clone());
                    }
                    codes.push(0);
                }
            }
        }
        self.outbox.push(Output::SubAck { conn, pkid, codes });
    }

    /// An UNSUBSCRIBE arrived. Whether it counts as a sign of life is nowhere
    /// written; the published list does not name it, so it does not.
    pub fn on_unsubscribe(&mut self, _now: Now, conn: Conn, filters: &[String], pkid: Option<u16>) {
        if self.faults.deaf {
            return;
        }
        if let Some(link) = self.links.get_mut(&conn) {
            for filter in filters {
                link.filters.remove(filter.as_str());
            }
            self.outbox.push(Output::UnsubAck { conn, pkid });
        }
    }

    /// A PINGREQ arrived.
    pub fn on_ping(&mut self, now: Now, conn: Conn) {
        if self.hears(now, conn) && !self.faults.ignore_pings {
            self.outbox.push(Output::PingResp { conn });
        }
    }

    /// A PUBACK arrived: nothing but a sign of life, for the model sends at
    /// QoS 0.
    pub fn on_puback(&mut self, now: Now, conn: Conn) {
        self.hears(now, conn);
    }

    /// The connection ended, by DISCONNECT or without.
    pub fn on_closed(&mut self, now: Now, conn: Conn) {
        self.now = now.mono;
        self.end(now, conn, "closed by the device");
    }

    // ---- asked for output ------------------------------------------------

    /// The next thing to do at `now`; drain until `None`.
    pub fn poll(&mut self, now: Now) -> Option<Output> {
        self.now = now.mono;
        self.look_for_silent(now);
        self.outbox.poll(now.mono)
    }

    /// When to poll again if nothing happens before.
    #[must_use]
    pub fn wake_at(&self) -> Option<Wake> {
        let watched = self.links.values().any(|l| l.keepalive.is_some());
        let look = watched.then(|| Wake::new(self.next_look, "the keepalive look"));
        Wake::earlier(self.outbox.wake_at(self.now), look)
    }

    // ---- looking ---------------------------------------------------------

    /// Whether the device is online: a sub-device by its session, a gateway by
    /// its connection.
    #[must_use]
    pub fn is_online(&self, product_key: &ProductKey, device_name: &DeviceName) -> bool {
        let device = Device {
            product_key: product_key.clone(),
            device_name: device_name.clone(),
        };
        self.sessions.contains_key(&device) || self.gateways.contains_key(&device)
    }

    /// How many sub-devices are online.
    #[must_use]
    pub fn online(&self) -> usize {
        self.sessions.len()
    }

    /// The sub-devices that are online.
    pub fn online_devices(&self) -> impl Iterator<Item = &Device> {
        self.sessions.keys()
    }

    /// The connection of this gateway, if it is connected.
    #[must_use]
    pub fn connection(&self, gateway: &Device) -> Option<Conn> {
        self.gateways.get(gateway).copied()
    }

    /// The gateway this sub-device hangs under.
    #[must_use]
    pub fn gateway_of(&self, sub: &Device) -> Option<&Device> {
        self.accounts.get(sub)?.above.as_ref()
    }

    /// Which gateway a message on this topic comes from, if it is a request of
    /// a device that is registered: for a bystander on a foreign broker, who
    /// sees topics but no connections.
    #[must_use]
    pub fn gateway_speaking(&self, topic: &str) -> Option<Device> {
        if is_downstream(topic) {
            return None;
        }
        let Topic { device, kind } = Topic::parse(topic)?;
        let account = self.accounts.get(&device)?;
        match (&account.above, kind) {
            (Some(above), Kind::Sys(_) | Kind::Ota | Kind::Custom) => Some(above.clone()),
            _ => Some(device),
        }
    }

    /// The values that were accepted.
    #[must_use]
    pub const fn accepted(&self) -> &Accepted {
        &self.accepted
    }

    /// What was asked, answered and broken.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    // ---- what several parts need -----------------------------------------

    /// Whether something on this connection reaches the platform at all; if so
    /// it is a sign of life.
    fn hears(&mut self, now: Now, conn: Conn) -> bool {
        self.now = now.mono;
        if self.faults.deaf {
            return false;
        }
        match self.links.get_mut(&conn) {
            Some(link) => {
                link.last_heard = now.mono;
                true
            }
            None => false,
        }
    }

    /// Sizes and rates; what exceeds them is dropped without a word ("Limits").
    fn exceeds_quota(
        &mut self,
        now: Now,
        conn: Conn,
        topic: &str,
        payload: &[u8],
        qos: u8,
    ) -> bool {
        let Some(link) = self.links.get_mut(&conn) else {
            return true;
        };
        let second = Duration::from_secs(1);
        self.ledger.peak = self.ledger.peak.max(link.sent.note(now.mono, second));
        let (recent, most) = match qos {
            0 => (&mut link.sent_qos0, self.limits.messages_qos0),
            _ => (&mut link.sent_qos1, self.limits.messages_qos1),
        };
        let count = recent.note(now.mono, second);
        if count > most {
            self.ledger.broke(Violation::MessageQuota, || {
                format!("message {count} of one second: {topic}")
            });
            if self.switches.message_quota {
                // A dropped message does not count against the next ones.
                recent.unnote();
                return true;
            }
        }
        if payload.len() > self.limits.payload {
            self.ledger.broke(Violation::PayloadTooLarge, || {
                format!("{topic}: {} bytes", payload.len())
            });
            return true;
        }
        if topic.len() > self.limits.topic {
            self.ledger
                .broke(Violation::TopicTooLong, || topic.to_owned());
            return true;
        }
        false
    }

    /// Hands a message to a connection, through delivery rules and faults.
    fn tell(&mut self, now: Now, conn: Conn, topic: String, payload: Vec<u8>) {
        let Some(link) = self.links.get(&conn) else {
            return;
        };
        if self.faults.deaf {
            self.ledger.totals.lost_replies += 1;
            return;
        }
        let subscribed = link.filters.iter().any(|f| topic::covers(f, &topic));
        let by_platform = link.subscribed_by_platform || self.session_subscribes(&topic);
        let delivered = subscribed
            || topic::always_delivered(&topic)
            || if self.switches.strict_delivery {
                by_platform && topic::subscribed_by_platform(&topic)
            } else {
                !topic::needs_subscription(&topic)
            };
        if !delivered {
            self.ledger.totals.undelivered += 1;
            return;
        }
        match self.faults.fate() {
            Fate::Lost => self.ledger.totals.lost_replies += 1,
            Fate::Sent {
                after,
                in_order,
                twice,
            } => {
                let message = Output::Publish {
                    conn,
                    topic,
                    payload,
                };
                for _ in 0..=usize::from(twice) {
                    self.ledger.totals.sent += 1;
                    self.outbox
                        .push_after(now.mono, conn, after, in_order, message.clone());
                }
            }
        }
    }

    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

/// For tests and demos: everything to be done at one instant.
impl Platform {
    /// Drains [`Platform::poll`].
    pub fn settle(&mut self, now: Now) -> VecDeque<Output> {
        std::iter::from_fn(|| self.poll(now)).collect()
    }
}
