//! The cloud side of the gateway for one link, composed.
//!
//! Contract: tell the engine what happened (`on_…`) or what is wished (`want`, `put`,
//! `stop`), then drain [`Cloud::poll`] until `None`, then sleep until [`Cloud::wake_at`] or
//! the next event. The engine reads no clock and keeps no socket. Its output while the link
//! is down is lost, and so is output that the link loses; the engine copes with that,
//! because every request has a deadline. If the output is not drained, everything is
//! delayed; nothing else breaks.

pub(crate) mod inbound;
pub(crate) mod outbound;
pub(crate) mod reload;
pub(crate) mod stop;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::base::histogram::Histogram;
use crate::base::{DeviceId, LogoutReason, Mono, Now, Reading, Rng, Secret, Wake};
use crate::spec::{Spec, Subscriptions};

use crate::cloud::alink::clock::Timestamps;
use crate::cloud::alink::engine::stop::Stop;
use crate::cloud::alink::events::Notice;
use crate::cloud::alink::events::counters::Counters;
use crate::cloud::alink::events::outbox::Outbox;
use crate::cloud::alink::orders::CommandKind;
use crate::cloud::alink::orders::unsupported::Commands;
use crate::cloud::alink::publish::PublishQueue;
use crate::cloud::alink::registration::{Registration, RegistrationRequest};
use crate::cloud::alink::remote_config;
use crate::cloud::alink::remote_config::Remote;
use crate::cloud::alink::requests::pace::Bucket;
use crate::cloud::alink::requests::pending::Pending;
use crate::cloud::alink::session::latency::Latency;
use crate::cloud::alink::session::{Presence, Session, SessionRequest, Sessions};
use crate::cloud::alink::topology::{Topology, TopologyAsk};
use crate::cloud::alink::wire::topic;
use crate::cloud::alink::wire::topic::Identity;

/// What the engine wants done, or reported.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Publish at QoS 0.
    Publish {
        /// MQTT topic.
        topic: String,
        /// Alink JSON.
        payload: Vec<u8>,
    },
    /// Subscribe.
    Subscribe {
        /// Topic filters.
        filters: Vec<String>,
    },
    /// Report this log event to the operator.
    Notice(Notice),
    /// Keep this device's secret, which the platform has just given, and pass it to
    /// [`Cloud::secret`] after a restart.
    Keep {
        /// The device.
        device: DeviceId,
        /// The secret to keep.
        secret: Secret,
    },
    /// Fetch or adopt a configuration of the platform's, then call
    /// [`Cloud::on_remote_task_done`].
    RemoteTask(remote_config::RemoteTask),
    /// After [`Cloud::stop`] or [`Cloud::part`]: no device of ours is online any more, or
    /// the deadline for the log-outs has passed. Put out once.
    LoggedOut,
}

/// How long a device that falls silent stays online for its last readings.
const LAST_WORDS: Duration = Duration::from_millis(750);
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Session(SessionRequest),
    Admit(RegistrationRequest),
    Topology(TopologyAsk),
    Config,
}

/// A device to be logged out once its last readings are on their way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaving {
    since: Mono,
    until: Mono,
}

/// The engine.
#[derive(Clone, Debug)]
pub struct Cloud {
    pub(crate) spec: Arc<Spec>,
    pub(crate) gateway: Identity,
    pub(crate) identities: Vec<Identity>,
    pub(crate) ids: BTreeMap<Identity, DeviceId>,
    pub(crate) pending: Pending<Ask>,
    pub(crate) sessions: Sessions,
    pub(crate) posts: PublishQueue,
    /// Secrets that are missing in the configuration, or wrong there.
    pub(crate) secrets: BTreeMap<DeviceId, Secret>,
    pub(crate) registration: Registration,
    pub(crate) topology: Topology,
    pub(crate) commands: Commands,
    pub(crate) remote: Remote,
    /// The last order about each device, so that it is reported once.
    pub(crate) heard: BTreeMap<DeviceId, CommandKind>,
    pub(crate) timestamps: Timestamps,
    pub(crate) leaving: BTreeMap<DeviceId, Leaving>,
    /// Devices that are no longer configured and not yet forgotten.
    pub(crate) retiring: BTreeSet<DeviceId>,
    pub(crate) bucket: Bucket,
    pub(crate) link: bool,
    pub(crate) stop: Stop,
    /// Whether the stop is for this connection only.
    pub(crate) parting: bool,
    /// The topics whose malformed messages are reported.
    pub(crate) malformed: BTreeSet<String>,
    latency: Latency,
    pub(crate) outbox: Outbox,
    pub(crate) out: VecDeque<Output>,
}

impl Cloud {
    /// Returns an engine without a link, with all devices offline and none of them wanted.
    #[must_use]
    pub fn new(spec: Arc<Spec>, mut rng: Rng, now: Now) -> Self {
        let identities: Vec<Identity> = spec.devices.iter().map(Identity::of_device).collect();
        // The start is random, so that an answer to an earlier run of this program, kept by
        // some broker, is hardly ever taken for an answer to this run. It is below 2^31, so
        // that the ids do not wrap within one run.
        let start = u32::try_from(rng.below(1 << 31)).unwrap_or_default();
        Cloud {
            gateway: Identity::of_gateway(&spec),
            ids: identities
                .iter()
                .cloned()
                .zip((0u32..).map(DeviceId))
                .collect(),
            identities,
            pending: Pending::new(start),
            sessions: Sessions::new(Arc::clone(&spec), rng.fork()),
            posts: PublishQueue::new(Arc::clone(&spec), rng.fork()),
            secrets: BTreeMap::new(),
            registration: Registration::new(&spec.cloud.session, rng.fork()),
            topology: Topology::new(&spec.cloud.session, rng.fork()),
            commands: Commands::new(),
            remote: Remote::new(&spec.cloud.remote, rng.fork(), now),
            heard: BTreeMap::new(),
            timestamps: Timestamps::new(),
            leaving: BTreeMap::new(),
            retiring: BTreeSet::new(),
            bucket: Bucket::new(spec.cloud.post.messages_per_second),
            link: false,
            stop: Stop::No,
            parting: false,
            malformed: BTreeSet::new(),
            latency: Latency::default(),
            outbox: Outbox::default(),
            out: VecDeque::new(),
            spec,
        }
    }

    // --- events ----------------------------------------------------------------

    /// Takes note of a new connection: no device of ours is online on it.
    pub fn on_link_up(&mut self, now: Now) {
        if self.link {
            // The end of the last connection was not reported to us.
            self.on_link_down(now);
        }
        self.link = true;
        let filters = topic::filters(&self.gateway, self.spec.cloud.broker.subscriptions);
        for filters in filters.chunks(topic::PER_PACKET) {
            let filters = filters.to_vec();
            self.out.push_back(Output::Subscribe { filters });
        }
        self.latency.link_up(now.mono);
        self.topology.link_up(now.mono);
        self.sessions.link_up(now.mono);
        self.follow(now.mono);
        self.timestamps.link_up(now.mono);
        self.remote.link_up();
    }

    /// Takes note that the connection is gone, and with it every session and every answer.
    pub fn on_link_down(&mut self, now: Now) {
        self.link = false;
        // Output that was not yet handed out was meant for that connection.
        self.out
            .retain(|o| !matches!(o, Output::Publish { .. } | Output::Subscribe { .. }));
        for (id, _) in std::mem::take(&mut self.leaving) {
            self.sessions
                .want(now.mono, id, Presence::Offline, now.mono);
        }
        self.sessions.link_down();
        self.pending.drain();
        self.registration.link_down();
        self.topology.link_down();
        self.commands.link_down();
        self.remote.link_down(now);
        self.posts.link_down(now.mono);
        self.follow(now.mono);
    }

    /// Takes note that the broker refused filters (SUBACK 80h).
    pub fn on_subscribe_refused(&mut self, _now: Now, filters: &[String]) {
        self.outbox.count().subscribe_refused += filters.len() as u64;
        self.outbox.tell(Notice::SubscribeRefused {
            filters: filters.to_vec(),
            fatal: self.spec.cloud.broker.subscriptions == Subscriptions::Broker,
        });
    }

    // --- our wishes ----------------------------------------------------------

    /// Sets whether this device shall be online. An unknown device is ignored.
    pub fn want(&mut self, now: Now, device: DeviceId, presence: Presence) {
        let now = now.mono;
        let is_in = self.sessions.session(device) == Session::In;
        self.latency.want(now, device, presence, is_in);
        if presence == Presence::Offline && self.leaving.contains_key(&device) {
            return;
        }
        self.leaving.remove(&device);
        if presence == Presence::Offline
            && is_in
            && self.posts.is_waiting(device)
            && self.stop == Stop::No
        {
            self.posts.hurry(now, device);
            let until = now + LAST_WORDS;
            self.leaving.insert(device, Leaving { since: now, until });
        } else {
            self.sessions.want(now, device, presence, now);
        }
        self.follow(now);
    }

    /// Sets that this device shall be offline, for this reason.
    pub fn want_offline(&mut self, now: Now, device: DeviceId, reason: LogoutReason) {
        self.sessions.why_offline(device, reason);
        self.want(now, device, Presence::Offline);
    }

    /// Takes a device's secret, kept from an earlier run or changed since; it goes before
    /// the configured one. A request that was refused for the old secret is tried again at
    /// once. An unknown device is ignored.
    pub fn secret(&mut self, now: Now, device: DeviceId, secret: Secret) {
        let Some(configured) = self.spec.device(device).map(|d| &d.secret) else {
            return;
        };
        if secret.is_empty() || *self.secrets.get(&device).unwrap_or(configured) == secret {
            return;
        }
        self.secrets.insert(device, secret);
        self.sessions.secret_changed(now.mono, device);
        self.follow(now.mono);
    }

    /// Takes a reading to be delivered. While stopping, the reading is dropped and counted.
    pub fn put(&mut self, now: Now, mut reading: Reading) {
        if self.stop != Stop::No && !self.parting {
            self.outbox.count().dropped_at_stop += 1;
            return;
        }
        match self.timestamps.stamp(reading.at) {
            Some(wall) => {
                reading.at.wall = wall;
                self.posts.put(now, reading, &mut self.outbox);
            }
            None => self.hold(now.mono, reading),
        }
    }

    // --- output and time -------------------------------------------------------

    /// Returns the next thing to do or report; `None` when there is nothing now.
    pub fn poll(&mut self, now: Now) -> Option<Output> {
        self.outbox.on_time(now.mono);
        loop {
            if let Some(notice) = self.outbox.next() {
                return Some(Output::Notice(notice));
            }
            if let Some(out) = self.out.pop_front() {
                return Some(out);
            }
            if !self.step(now) {
                return None;
            }
        }
    }

    /// Returns when to poll again although nothing has happened.
    #[must_use]
    pub fn wake_at(&self) -> Option<Wake> {
        let mut wake = Wake::earlier(self.pending.wake_at(), self.sessions.block_due());
        wake = Wake::earlier(wake, self.posts.wake_at());
        let sums = self.outbox.settles_at();
        wake = Wake::earlier(wake, sums.map(|at| Wake::new(at, "sums held back")));
        wake = Wake::earlier(wake, self.sessions.lingering_due());
        if !self.link {
            wake = Wake::earlier(wake, self.remote_due());
        } else {
            wake = Wake::earlier(wake, self.paced(self.sessions.ask_due()));
            wake = Wake::earlier(wake, self.paced(self.topology_due()));
            wake = Wake::earlier(wake, self.paced(self.post_due()));
            wake = Wake::earlier(wake, self.paced(self.timestamps.due()));
            wake = Wake::earlier(wake, self.paced(self.remote_due()));
            let last = self.leaving.values().map(|l| l.until).min();
            wake = Wake::earlier(wake, last.map(|at| Wake::new(at, "last readings")));
        }
        Wake::earlier(wake, self.stop_due())
    }

    // --- queries -----------------------------------------------------------------

    /// Returns a device's session.
    #[must_use]
    pub fn session(&self, device: DeviceId) -> Session {
        self.sessions.session(device)
    }

    /// Returns what a device without a session waits for, in words.
    #[must_use]
    pub fn waits_for(&self, device: DeviceId) -> &'static str {
        self.sessions.waits_for(device)
    }

    /// How many devices are online.
    #[must_use]
    pub fn online(&self) -> usize {
        self.sessions.online()
    }

    /// How many readings are not delivered yet.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.posts.len() + self.timestamps.held()
    }

    /// Returns how long devices waited to be online, each from the wish, or from the
    /// connection if that came later.
    #[must_use]
    pub fn login_latency(&self) -> &Histogram {
        self.latency.took()
    }

    /// Returns what has been counted so far.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        self.outbox.counters()
    }

    // --- one step --------------------------------------------------------------------

    /// Does one thing that is due; returns whether there was one.
    fn step(&mut self, now: Now) -> bool {
        let mono = now.mono;
        if let Some(ask) = self.pending.expired(mono) {
            match ask {
                Ask::Session(request) => self.sessions.lost(mono, request, &mut self.outbox),
                Ask::Admit(request) => self.registration.lost(mono, request, &mut self.outbox),
                Ask::Topology(ask) => self.topology.lost(mono, &ask, &mut self.outbox),
                Ask::Config => self.remote.on_get_lost(now),
            }
            self.follow(mono);
            return true;
        }
        if self.outbox.settle(mono) {
            return true;
        }
        if let Some(gone) = self.posts.on_time(mono, &mut self.outbox) {
            for id in gone {
                self.found_lost(mono, id);
            }
            self.follow(mono);
            return true;
        }
        if self.link && self.sessions.end_lingering(mono) {
            return true;
        }
        if self.sessions.end_blocks(mono) {
            self.follow(mono);
            return true;
        }
        if self.let_go(mono) {
            return true;
        }
        if self.stop_on(now) {
            return true;
        }
        let due = |wake: Option<Wake>| wake.is_some_and(|w| w.at <= mono);
        if self.link && due(self.paced(self.timestamps.due())) {
            self.ask_time(mono);
            let news = self.timestamps.give_up(now);
            self.clock_news(now, news);
            return true;
        }
        if due(self.paced(self.sessions.ask_due())) {
            if let Some(request) = self.sessions.take(mono) {
                self.ask_session(now, request);
            }
            self.follow(mono);
            return true;
        }
        if due(self.paced(self.topology_due())) {
            self.see_to_the_topology(now);
            return true;
        }
        if due(self.paced(self.remote_due())) && self.see_to_the_remote(now) {
            return true;
        }
        if due(self.paced(self.post_due())) {
            if let Some(batch) = self.posts.take(mono) {
                self.ask_post(mono, batch);
            }
            self.forget_retired(mono);
            return true;
        }
        false
    }

    /// Lets a device go offline whose last readings are sent, or whose time for them is up.
    fn let_go(&mut self, now: Mono) -> bool {
        let gone = self
            .leaving
            .iter()
            .find(|(id, l)| l.until <= now || !self.posts.is_waiting(**id))
            .map(|(id, l)| (*id, l.since));
        let Some((id, since)) = gone else {
            return false;
        };
        self.leaving.remove(&id);
        self.sessions.want(now, id, Presence::Offline, since);
        self.follow(now);
        true
    }

    /// Tells the publish queue which devices came and went, and the registration which
    /// devices need a step.
    pub(crate) fn follow(&mut self, now: Mono) {
        for (id, step) in self.sessions.take_held() {
            self.need(now, step, id);
        }
        for id in self.sessions.take_unknown() {
            self.topology.found(id);
        }
        if let Some(online) = self.sessions.take_crowded() {
            let full = Notice::Full {
                online,
                wait: Duration::ZERO,
                ours: true,
            };
            self.outbox.often(now, full);
        }
        for (id, online) in self.sessions.take_changes() {
            let wanted = self.sessions.wants(id);
            self.latency.changed(now, id, online, wanted);
            if online {
                self.posts.came(now, id);
            } else {
                if self.sessions.session(id) != Session::LoggingOut {
                    // We did not end this session, and it is not known since when it is
                    // gone.
                    self.posts.session_lost(now, id);
                }
                self.posts.left(now, id);
                if self.leaving.remove(&id).is_some() {
                    self.sessions.want(now, id, Presence::Offline, now);
                }
            }
        }
        self.forget_retired(now);
    }

    /// Returns when registration, the topology or answers to orders have something to do;
    /// these parts end with the wish to be online.
    fn topology_due(&self) -> Option<Wake> {
        let due = Wake::earlier(self.topology.due(), self.registration.due());
        let due = Wake::earlier(due, self.commands.due());
        (self.link && self.stop == Stop::No).then_some(due)?
    }

    fn post_due(&self) -> Option<Wake> {
        let posting = matches!(self.stop, Stop::No | Stop::LastReadings { .. });
        (self.link && posting).then(|| self.posts.due())?
    }

    /// Returns this wake-up, but no earlier than the connection's pace allows.
    fn paced(&self, wake: Option<Wake>) -> Option<Wake> {
        let ready = self.bucket.ready_at();
        wake.map(|w| Wake {
            at: w.at.max(ready),
            why: w.why,
        })
    }
}
