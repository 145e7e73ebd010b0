//! The platform, as far as a gateway can see it: a pure model of the MQTT server that
//! talks Alink.
//!
//! **Decides** which clients may connect, which sub-devices have a session, which
//! messages are accepted from which device, which answer each request gets, and when a
//! silent connection is closed. **Refuses to know** sockets, TLS and MQTT packets
//! (`lab/broker.rs` carries those), and anything of the gateway that talks to it: the
//! model parses and signs by itself, sharing no line with `cloud/`, so that it is an
//! independent oracle. Where the documents of the platform are silent or disagree,
//! [`Switches`] has both answers.
//!
//! **Contract.** Messages of gateways arrive by `on_*(now, …)`; actions at the console
//! by verbs ([`Platform::disable`], [`Platform::kick`], …); faults by
//! [`Platform::fault`]. After each, drain [`Platform::poll`] until `None`; call it
//! again no later than [`Platform::wake_at`]. Looking never changes anything. The same
//! inputs, times and seed give the same outputs.
//!
//! **Invariants**
//! - One connection per device certificate; the newer one wins.
//! - A sub-device has at most one session, and only under a gateway that is connected.
//!   When that connection ends, all its sessions end, and none comes back by itself. A
//!   device of the LoRa kind is still *shown* online then, until its gateway logs it
//!   out.
//! - A batch succeeds for all its devices or for none.
//! - Never more sessions under a gateway than the limit.
//! - A value is accepted only from a device that is registered and enabled, and, on its
//!   own topic, has a session on that very connection.
//! - Every request that wants a reply gets exactly one, with its own `id`; where it
//!   does not (a quota, a fault, an unreadable request, a reply without a subscriber),
//!   the [`Ledger`] has counted it under its reason.
//!
//! Facts: the published pages of the platform (document ids at each rule) and what its
//! official SDKs send and expect; nothing was tried on the live service.

mod connection;
mod console;
mod fault;
mod messages;
mod record;
mod services;
mod spec;
mod traffic;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::base::{DeviceName, Mono, Now, ProductKey, Rng, Secret, Wake};

pub use connection::connect::Connect;
pub use console::Act;
pub use fault::{Fault, RequestKind};
pub use messages::output::{Conn, Output};
pub use messages::reply::Code;
pub use messages::topic::is_downstream;
pub use record::accepted::{Accepted, AcceptedEvent, AcceptedValue};
pub use record::calls::{Call, CallAnswer, Calls};
pub use record::ledger::{
    Broken, Event, Ledger, Log, Posted, SessionRecord, SessionRequestKind, Totals, Violation,
};
pub use services::command::RrpcTopic;
pub use services::config::RemoteConfig;
pub use spec::{
    Certificate, ChangeChannel, Device, FailedBatchCode, FailedBatchNames, Limits,
    PackOutOfSession, PlatformSpec, PostOutOfSession, Product, Switches,
};

use connection::enrol::Registrar;
use fault::{ConnectionEnd, Faults};
use messages::outbox::{Outbox, Recent};
use messages::topic::{Kind, Topic};
use services::session::Session;

/// What the platform knows of a registered device.
#[derive(Clone, Debug)]
struct Account {
    secret: Secret,
    state: State,
    /// The gateway under which the device hangs.
    above: Option<Device>,
}

/// What the console has done to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Enabled,
    Disabled,
    Deleted,
}

/// A connected gateway.
#[derive(Clone, Debug)]
struct Link {
    gateway: Device,
    /// `None` for a connection that was assumed: its keepalive is left to another
    /// broker.
    keepalive: Option<Duration>,
    last_heard: Mono,
    /// `_ss=1`: the platform subscribes.
    subscribed_by_platform: bool,
    clean: bool,
    filters: BTreeSet<String>,
    sent: Recent,
    sent_qos0: Recent,
    sent_qos1: Recent,
    /// Posts that were not refused for their rate.
    posts: Recent,
    /// When it ends by itself, by a fault.
    ends: Option<(Mono, ConnectionEnd)>,
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
    lora: BTreeSet<Device>,
    /// LoRa devices whose session ended without a log-out: still shown online.
    shown_online: BTreeSet<Device>,
    /// Sub-devices whose session was lost by a fault: their gateway cannot know.
    lost: BTreeSet<Device>,
    /// The devices that a pack named without a session, to be told once it is answered.
    told_after: Vec<Device>,
    /// Events that no thing model has.
    unknown_events: BTreeSet<String>,
    registration_off: BTreeSet<ProductKey>,
    logins: BTreeMap<Device, Recent>,
    quota: BTreeMap<Device, services::session::Quota>,
    connects: BTreeMap<Device, Recent>,
    /// Subscriptions that outlive a connection with MQTT clean session 0.
    kept: BTreeMap<Device, BTreeSet<String>>,
    registrar: Registrar,
    /// What applications desire each device to hold, with the version of each wish; a value
    /// of `null` was taken.
    desired: BTreeMap<Device, BTreeMap<String, (serde_json::Value, i64)>>,
    /// The newest remote configuration of each product.
    configs: BTreeMap<ProductKey, RemoteConfig>,
    faults: Faults,
    outbox: Outbox,
    ledger: Ledger,
    accepted: Accepted,
    next_id: u64,
    next_look: Mono,
    now: Mono,
}

impl Platform {
    /// Builds a platform without connections. Its keepalive looks happen every
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
            lora: spec.lora,
            shown_online: BTreeSet::new(),
            lost: BTreeSet::new(),
            told_after: Vec::new(),
            registration_off: spec.registration_off,
            logins: BTreeMap::new(),
            quota: BTreeMap::new(),
            connects: BTreeMap::new(),
            kept: BTreeMap::new(),
            registrar: Registrar::new(spec.products),
            configs: BTreeMap::new(),
            desired: BTreeMap::new(),
            faults: Faults::none(rng),
            outbox: Outbox::default(),
            ledger: Ledger::new(),
            accepted: Accepted::new(),
            unknown_events: BTreeSet::new(),
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

    /// Adds a connection although no CONNECT was seen: the gateway is connected to a
    /// foreign broker that the model listens to. Its presence is assumed from its first
    /// message on.
    pub fn on_assumed(&mut self, now: Now, conn: Conn, gateway: &Device) {
        self.now = now.mono;
        self.accept_connection(
            now,
            conn,
            Link {
                gateway: gateway.clone(),
                keepalive: None,
                last_heard: now.mono,
                subscribed_by_platform: true,
                clean: true,
                // The foreign broker decides which client receives what.
                filters: BTreeSet::from(["#".to_owned()]),
                sent: Recent::default(),
                sent_qos0: Recent::default(),
                sent_qos1: Recent::default(),
                posts: Recent::default(),
                ends: None,
            },
        );
    }

    /// Handles a PINGREQ.
    pub fn on_ping(&mut self, now: Now, conn: Conn) {
        if self.hears(now, conn) && !self.faults.ignores_pings() {
            self.outbox.push(Output::PingResp { conn });
        }
    }

    /// Handles a PUBACK: only a sign of life, because the model sends at QoS 0.
    pub fn on_puback(&mut self, now: Now, conn: Conn) {
        self.hears(now, conn);
    }

    /// Handles the end of a connection, by DISCONNECT or without.
    pub fn on_closed(&mut self, now: Now, conn: Conn) {
        self.now = now.mono;
        self.end(now, conn, "closed by the device");
    }

    // ---- asked for output ------------------------------------------------

    /// Returns the next output due at `now`; drain until `None`.
    pub fn poll(&mut self, now: Now) -> Option<Output> {
        self.now = now.mono;
        self.look_for_silent(now);
        self.end_by_themselves(now);
        self.end_registrations(now);
        while let Some(output) = self.outbox.poll(now.mono) {
            if self.faults.is_deaf() && matches!(output, Output::Publish { .. }) {
                // The message was on its way when the path died.
                self.ledger.counts().lost_replies += 1;
                continue;
            }
            return Some(output);
        }
        None
    }

    /// Returns when to poll again if nothing happens before.
    #[must_use]
    pub fn wake_at(&self) -> Option<Wake> {
        let watched = self.links.values().any(|l| l.keepalive.is_some());
        let look = watched.then(|| Wake::new(self.next_look, "the keepalive look"));
        let look = Wake::earlier(look, self.registrar.wake_at());
        let ends = self.links.values().filter_map(|l| l.ends.map(|e| e.0));
        let ends = ends
            .min()
            .map(|at| Wake::new(at, "a connection ends by itself"));
        let look = Wake::earlier(look, ends);
        Wake::earlier(self.outbox.wake_at(self.now), look)
    }

    // ---- looking ---------------------------------------------------------

    /// Returns whether the device is online: a sub-device by its session, a gateway by
    /// its connection.
    #[must_use]
    pub fn is_online(&self, product_key: &ProductKey, device_name: &DeviceName) -> bool {
        let device = Device {
            product_key: product_key.clone(),
            device_name: device_name.clone(),
        };
        self.sessions.contains_key(&device)
            || self.shown_online.contains(&device)
            || self.gateways.contains_key(&device)
    }

    /// Returns how many sub-devices are online.
    #[must_use]
    pub fn online(&self) -> usize {
        self.sessions.len() + self.shown_online.len()
    }

    /// Returns whether the device is disabled.
    #[must_use]
    pub fn is_disabled(&self, device: &Device) -> bool {
        let account = self.accounts.get(device);
        account.is_some_and(|a| a.state == State::Disabled)
    }

    /// Returns the sub-devices that are online.
    pub fn online_devices(&self) -> impl Iterator<Item = &Device> {
        self.sessions.keys().chain(&self.shown_online)
    }

    /// Returns the connection of this gateway, if it is connected.
    #[must_use]
    pub fn connection(&self, gateway: &Device) -> Option<Conn> {
        self.gateways.get(gateway).copied()
    }

    /// Returns the gateway under which this sub-device hangs.
    #[must_use]
    pub fn gateway_of(&self, sub: &Device) -> Option<&Device> {
        self.accounts.get(sub)?.above.as_ref()
    }

    /// Returns the gateway from which a message on this topic comes, if it is a request
    /// of a registered device: for an idle listener on a foreign broker, which sees
    /// topics but no connections.
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

    /// Returns the values that were accepted.
    #[must_use]
    pub const fn accepted(&self) -> &Accepted {
        &self.accepted
    }

    /// Returns the ledger of requests, answers and broken rules.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Changes, from now on, what the model does where the documents are silent.
    pub fn switch(&mut self, change: impl FnOnce(&mut Switches)) {
        change(&mut self.switches);
    }

    // ---- what several parts need -----------------------------------------

    /// Returns whether messages on this connection reach the platform at all; if so the
    /// message is a sign of life.
    fn hears(&mut self, now: Now, conn: Conn) -> bool {
        self.now = now.mono;
        if self.faults.is_deaf() {
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

    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

/// Helpers for tests and demos: all outputs of one instant.
impl Platform {
    /// Drains [`Platform::poll`].
    pub fn drain(&mut self, now: Now) -> VecDeque<Output> {
        std::iter::from_fn(|| self.poll(now)).collect()
    }
}
