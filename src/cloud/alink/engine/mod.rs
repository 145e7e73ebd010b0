//! The cloud side of the gateway for one link, composed.
//!
//! Contract: tell the engine what happened (`on_…`) or what is wished (`want`, `put`,
//! `stop`), then drain [`Cloud::poll`] until `None`, then sleep until [`Cloud::wake_at`] or
//! the next event. The engine reads no clock and keeps no socket. Its output while the link
//! is down is lost, and so is output that the link loses; the engine copes with that,
//! because every request has a deadline. If the output is not drained, everything is
//! delayed; nothing else breaks.

mod inbound;
mod outbound;
mod pending_logouts;
mod reload;
mod stop;
mod store;
mod thing_events;
mod wake;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::base::histogram::Histogram;
use crate::base::{
    Command, CommandAnswer, CommandNumber, DeviceId, LogoutReason, Mono, Now, Reading, Rng, Secret,
    StorePosition, StoredReading, ThingEventOutcome, Wake,
};
use crate::spec::{Spec, Subscriptions};

use self::pending_logouts::PendingLogouts;
use self::stop::{Stop, StopStep};
use self::thing_events::EventTurns;
use crate::cloud::alink::clock::Timestamps;
use crate::cloud::alink::clock::events::ClockNews;
use crate::cloud::alink::event_posts::EventPosts;
use crate::cloud::alink::events::CloudLogEvent;
use crate::cloud::alink::events::counters::Counters;
use crate::cloud::alink::events::outbox::Outbox;
use crate::cloud::alink::history::History;
use crate::cloud::alink::history::spill::Spill;
use crate::cloud::alink::orders::Orders;
use crate::cloud::alink::orders::commands::Commands;
use crate::cloud::alink::orders::desired::{Desired, DesiredRequest};
use crate::cloud::alink::publish::PublishQueue;
use crate::cloud::alink::registration::{Registration, RegistrationRequest};
use crate::cloud::alink::remote_config;
use crate::cloud::alink::remote_config::{RemoteConfiguration, RemoteResult};
use crate::cloud::alink::requests::identities::Identities;
use crate::cloud::alink::requests::pace::TokenBucket;
use crate::cloud::alink::requests::pending::Pending;
use crate::cloud::alink::session::device::LoginNeed;
use crate::cloud::alink::session::latency::Latency;
use crate::cloud::alink::session::{Presence, Session, SessionRequest, Sessions};
use crate::cloud::alink::topology::{Topology, TopologyAsk};
use crate::cloud::alink::wire::topic;

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
    LogEvent(CloudLogEvent),
    /// Keep this device's secret, which the platform has just given, and pass it to
    /// [`Cloud::secret`] after a restart.
    StoreSecret {
        /// The device.
        device: DeviceId,
        /// The secret to keep.
        secret: Secret,
    },
    /// Store these readings, and report the result with [`Cloud::on_stored`]. Times since
    /// the start of the machine count from the start of this process.
    Store(Vec<StoredReading>),
    /// Read up to so many values from the store, and answer with [`Cloud::on_read`] or
    /// [`Cloud::on_read_failed`].
    ReadStore {
        /// From here on.
        from: StorePosition,
        /// How many values at most.
        most: usize,
    },
    /// These stored values need not be kept any more.
    Settle(Vec<StorePosition>),
    /// Fetch or adopt a configuration of the platform's, then call
    /// [`Cloud::on_remote_task_done`].
    RemoteTask(remote_config::RemoteTask),
    /// Carry out this command of the platform, and report its end once with
    /// [`Cloud::on_command_done`]. Its number is even and never handed out again; the numbers of
    /// commands that are given elsewhere are odd.
    Command(Command),
    /// What became of an event of the thing model.
    ThingEvent {
        /// The device.
        device: DeviceId,
        /// The identifier of the event.
        id: Arc<str>,
        /// When it was raised.
        at: Now,
        /// What became of it.
        outcome: ThingEventOutcome,
    },
    /// The session of this device began, or it ended.
    Session {
        /// The device.
        device: DeviceId,
        /// Whether the session began.
        online: bool,
    },
    /// After [`Cloud::stop`] or [`Cloud::part`]: no device of this gateway is online, or
    /// the deadline for the log-outs has passed. Put out once.
    LoggedOut,
}

/// A request of any part that is under way.
#[derive(Clone, Debug)]
enum PendingRequest {
    Session(SessionRequest),
    Registration(RegistrationRequest),
    Topology(TopologyAsk),
    Desired(DesiredRequest),
    Config,
}

/// The engine.
#[derive(Clone, Debug)]
pub struct Cloud {
    spec: Arc<Spec>,
    identities: Identities,
    pending: Pending<PendingRequest>,
    sessions: Sessions,
    posts: PublishQueue,
    events: EventPosts,
    event_turns: EventTurns,
    history: History,
    spill: Spill,
    registration: Registration,
    topology: Topology,
    orders: Orders,
    commands: Commands,
    desired: Desired,
    remote: RemoteConfiguration,
    timestamps: Timestamps,
    leaving: PendingLogouts,
    /// Devices that are no longer configured and not yet forgotten.
    retiring: BTreeSet<DeviceId>,
    /// The pace of all messages on the connection.
    pace: TokenBucket,
    link: bool,
    stop: Stop,
    /// The topics whose malformed messages are reported.
    malformed: BTreeSet<String>,
    latency: Latency,
    outbox: Outbox,
    out: VecDeque<Output>,
}

impl Cloud {
    /// Returns an engine without a link, with all devices offline and none of them wanted.
    #[must_use]
    pub fn new(spec: Arc<Spec>, mut rng: Rng, now: Now) -> Self {
        // The start is random, so that an answer to an earlier run of this program, kept by
        // some broker, is hardly ever taken for an answer to this run. It is below 2^31, so
        // that the ids do not wrap within one run.
        let start = u32::try_from(rng.below(1 << 31)).unwrap_or_default();
        Cloud {
            identities: Identities::new(Arc::clone(&spec)),
            pending: Pending::new(start),
            sessions: Sessions::new(Arc::clone(&spec), rng.fork()),
            posts: PublishQueue::new(Arc::clone(&spec), rng.fork()),
            history: History::new(store::history_limits(&spec), rng.fork()),
            spill: Spill::new(),
            registration: Registration::new(&spec.cloud.session, rng.fork()),
            topology: Topology::new(&spec.cloud.session, rng.fork()),
            orders: Orders::default(),
            commands: Commands::new(),
            desired: Desired::default(),
            remote: RemoteConfiguration::new(&spec.cloud.remote, rng.fork(), now),
            events: EventPosts::new(rng.fork()),
            event_turns: EventTurns::new(),
            timestamps: Timestamps::new(),
            leaving: PendingLogouts::default(),
            retiring: BTreeSet::new(),
            pace: TokenBucket::new(spec.cloud.post.messages_per_second),
            link: false,
            stop: Stop::new(),
            malformed: BTreeSet::new(),
            latency: Latency::default(),
            outbox: Outbox::default(),
            out: VecDeque::new(),
            spec,
        }
    }

    // --- events ----------------------------------------------------------------

    /// Takes note of a new connection: no device of this gateway is online on it.
    pub fn on_link_up(&mut self, now: Now) {
        if self.link {
            // The end of the last connection was not reported to us.
            self.on_link_down(now);
        }
        self.link = true;
        let filters = topic::filters(
            self.identities.gateway(),
            self.spec.cloud.broker.subscriptions,
        );
        for filters in filters.chunks(topic::PER_PACKET) {
            let filters = filters.to_vec();
            self.out.push_back(Output::Subscribe { filters });
        }
        self.latency.link_up(now.mono);
        self.topology.link_up(now.mono);
        self.sessions.link_up(now.mono);
        self.history.link_up();
        self.follow(now.mono);
        self.timestamps.link_up(now.mono);
        self.remote.link_up();
        self.commands
            .link_up(now.mono, &self.identities, &mut self.outbox);
    }

    /// Takes note that the connection is gone, and with it every session and every answer.
    pub fn on_link_down(&mut self, now: Now) {
        self.link = false;
        // Output that was not yet handed out was meant for that connection.
        self.out
            .retain(|o| !matches!(o, Output::Publish { .. } | Output::Subscribe { .. }));
        for id in self.leaving.take_all() {
            self.sessions
                .want(now.mono, id, Presence::Offline, now.mono);
        }
        self.sessions.link_down();
        self.pending.drain();
        self.registration.link_down();
        self.topology.link_down();
        self.orders.link_down();
        self.commands.link_down(&mut self.outbox);
        self.remote.link_down(now);
        self.posts.link_down(now.mono);
        self.events.link_down();
        self.history.link_down();
        self.follow(now.mono);
    }

    /// Takes note that the broker refused filters (SUBACK 80h).
    pub fn on_subscribe_refused(&mut self, _now: Now, filters: &[String]) {
        self.outbox.count().subscribe_refused += filters.len() as u64;
        self.outbox.tell(CloudLogEvent::SubscribeRefused {
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
        if presence == Presence::Offline && self.leaving.has(device) {
            return;
        }
        self.leaving.remove(device);
        if presence == Presence::Offline
            && is_in
            && (self.posts.is_waiting(device)
                || self.events.is_waiting(device)
                || self.spill.has_new(Some(device))
                || self.commands.is_waiting(device))
            && !self.stop.is_on()
        {
            self.spill.shorten_waits();
            self.posts.send_without_waiting(now, device);
            self.leaving.add(now, device);
        } else {
            self.sessions.want(now, device, presence, now);
        }
        self.follow(now);
    }

    /// Sets that this device shall be offline, for this reason.
    pub fn want_offline(&mut self, now: Now, device: DeviceId, reason: LogoutReason) {
        self.sessions.set_offline_reason(device, reason);
        self.want(now, device, Presence::Offline);
    }

    /// Takes a device's secret, kept from an earlier run or changed since; it goes before
    /// the configured one. A request that was refused for the old secret is tried again at
    /// once. An unknown device is ignored.
    pub fn secret(&mut self, now: Now, device: DeviceId, secret: Secret) {
        if !self.identities.change_secret(device, secret) {
            return;
        }
        self.sessions.secret_changed(now.mono, device);
        self.follow(now.mono);
    }

    /// Sets whether a secret that the platform gives could be kept. As long as it could
    /// not, no device asks for a secret; devices that need none go on. At first a secret
    /// can be kept.
    pub fn can_keep(&mut self, now: Now, able: bool) {
        self.registration.set_keepable(able);
        self.follow(now.mono);
    }

    /// Returns whether some device would ask for a secret now if it could be kept: then the caller
    /// should find out whether it can be kept.
    #[must_use]
    pub fn wants_secrets(&self, now: Now) -> bool {
        self.registration.wants_secrets(now.mono)
    }

    /// Sends the readings that wait to be sent, but not for long; then logs all devices
    /// out. Ends with [`Output::LoggedOut`].
    pub fn stop(&mut self, now: Now) {
        if !self.stop.is_on() {
            self.begin_to_stop(now.mono);
        } else if self.stop.stop_for_good() {
            self.store_the_rest(now.mono);
            self.sum_up();
            self.out.push_back(Output::LoggedOut);
        }
    }

    /// Leaves this connection: sends the readings that wait, but not for long, and logs all
    /// devices out. Ends with [`Output::LoggedOut`]; then the caller ends the link, and
    /// [`Cloud::respec`] begins again. Wishes and readings that come meanwhile are kept.
    pub fn part(&mut self, now: Now) {
        if !self.stop.is_on() {
            self.begin_to_stop(now.mono);
            self.stop.part();
        }
    }

    fn begin_to_stop(&mut self, now: Mono) {
        self.stop.begin(now, self.spec.stop_within);
        self.spill.shorten_waits();
        self.posts.send_all_without_waiting(now);
        self.pending.limit_deadlines(now + self.last_timeout());
    }

    /// Takes note whether the system's clock is synchronised. Until the first call, stamps
    /// are taken as they come.
    pub fn on_clock(&mut self, now: Now, synchronised: bool) {
        let news = self.timestamps.system(now, synchronised);
        self.clock_news(now, news);
    }

    /// Takes note that a remote task has ended.
    pub fn on_remote_task_done(&mut self, now: Now, done: RemoteResult) {
        self.remote.on_done(now, done);
    }

    /// Takes note of what became of a command that was handed out by [`Output::Command`]; its
    /// sender is answered. The end of any other command is ignored.
    pub fn on_command_done(&mut self, now: Now, number: CommandNumber, answer: CommandAnswer) {
        let sessions = &self.sessions;
        let is_in = |id| sessions.session(id) == Session::In;
        let outbox = &mut self.outbox;
        if self.desired.has(number) {
            let next = || self.commands.number();
            let with = (&*self.spec, outbox);
            let next = self.desired.on_done(number, &answer, is_in, next, with);
            self.out.extend(next.map(Output::Command));
        } else {
            self.commands.on_done(now.mono, number, &answer, outbox);
        }
    }

    /// Takes a reading to be delivered. While stopping, the reading is stored at the end, or
    /// dropped and counted if there is no store.
    pub fn put(&mut self, now: Now, mut reading: Reading) {
        match self.timestamps.stamp(reading.at) {
            Some(wall) if !self.stop.takes_readings() => {
                reading.at.wall = wall;
                if !self.spill.keep_late(reading, &self.spec) {
                    self.outbox.count().dropped_at_stop += 1;
                }
            }
            None if !self.stop.takes_readings() && !self.spill.is_open(&self.spec) => {
                self.outbox.count().dropped_at_stop += 1;
            }
            Some(wall) => {
                reading.at.wall = wall;
                if let Some(reading) = self.spill.gather(now.mono, reading, &self.spec) {
                    self.posts.put(now, reading, None, &mut self.outbox);
                }
            }
            None => {
                let most = self.spec.cloud.post.queue;
                self.timestamps
                    .keep_unstamped(now.mono, reading, most, &mut self.outbox);
            }
        }
    }

    // --- output and time -------------------------------------------------------

    /// Returns the next thing to do or report; `None` when there is nothing now.
    pub fn poll(&mut self, now: Now) -> Option<Output> {
        self.outbox.on_time(now.mono);
        loop {
            if let Some(notice) = self.outbox.next() {
                return Some(Output::LogEvent(notice));
            }
            if let Some(out) = self.out.pop_front() {
                return Some(out);
            }
            if !self.step(now) {
                return None;
            }
        }
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

    /// Returns how many devices are online.
    #[must_use]
    pub fn online(&self) -> usize {
        self.sessions.online()
    }

    /// Returns how many readings are not delivered yet.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.posts.len() + self.timestamps.unstamped() + self.spill.readings()
    }

    /// Returns how long devices waited to be online, each from the wish, or from the
    /// connection if that came later.
    #[must_use]
    pub fn login_latency(&self) -> &Histogram {
        self.latency.waited()
    }

    /// Returns how many events of the thing model are not delivered yet, those in the store left
    /// out.
    #[must_use]
    pub fn waiting_events(&self) -> usize {
        self.events.len()
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
        let due = |wake: Option<Wake>| wake.is_some_and(|w| w.at <= mono);
        self.keep_order(mono);
        if let Some(ask) = self.pending.expired(mono) {
            match ask {
                PendingRequest::Session(request) => {
                    self.sessions.lost(mono, request, &mut self.outbox)
                }
                PendingRequest::Registration(request) => {
                    self.registration.lost(mono, request, &mut self.outbox)
                }
                PendingRequest::Topology(ask) => self.topology.lost(mono, &ask, &mut self.outbox),
                PendingRequest::Desired(request) => {
                    self.desired.lost(mono, request, &mut self.outbox)
                }
                PendingRequest::Config => self.remote.on_get_lost(now),
            }
            self.follow(mono);
            return true;
        }
        if self.outbox.report_due(mono) {
            return true;
        }
        if let Some(gone) = self.posts.on_time(mono, &mut self.outbox) {
            for id in gone {
                self.found_lost(mono, id);
            }
            self.follow(mono);
            return true;
        }
        if due(self.events.wake_at()) {
            let overdue = self.events.on_time(mono);
            self.outbox.count().unanswered += overdue;
            if overdue > 0 {
                let (what, times) = ("event", overdue);
                self.outbox
                    .often(mono, CloudLogEvent::Unanswered { what, times });
            }
            return true;
        }
        if self.link && self.sessions.log_out_shown_online(mono) {
            return true;
        }
        if self.sessions.end_blocks(mono) {
            self.follow(mono);
            return true;
        }
        if self.release_pending_logouts(mono) {
            return true;
        }
        if self.stop_on(now) {
            return true;
        }
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
        if due(self.paced(self.commands_due())) {
            let sessions = &self.sessions;
            let is_in = |id| sessions.session(id) == Session::In;
            let answer = self.commands.take(mono, is_in, &mut self.outbox);
            if let Some((topic, payload)) = answer {
                self.publish(mono, topic, payload);
                return true;
            }
        }
        if due(self.paced(self.topology_due())) {
            self.serve_topology(now);
            return true;
        }
        if due(self.paced(self.remote_due()))
            && let Some(action) = self.remote.poll(now)
        {
            self.act_for_remote(mono, action);
            return true;
        }
        if due(self.paced(self.desired_due()))
            && let Some(request) = self.desired.take()
        {
            self.ask_desired(mono, request);
            return true;
        }
        let are_posts_due = due(self.paced(self.post_due()));
        let values_wait = are_posts_due || due(self.paced(self.history_due()));
        let is_event_due = due(self.paced(self.event_due()));
        if is_event_due && self.is_turn_of_events(values_wait) && self.send_event(now) {
            return true;
        }
        if are_posts_due {
            if let Some(batch) = self.posts.take(mono) {
                self.ask_post(mono, batch);
                self.event_turns.count_values_message();
            }
            self.forget_retired(mono);
            return true;
        }
        self.serve_store(now) || is_event_due && self.send_event(now)
    }

    /// Lets a device go offline whose last readings are sent, or whose time for them is up.
    fn release_pending_logouts(&mut self, now: Mono) -> bool {
        let (posts, spill) = (&self.posts, &self.spill);
        let (commands, events) = (&self.commands, &self.events);
        let is_waiting = |id| {
            posts.is_waiting(id)
                || events.is_waiting(id)
                || spill.has_new(Some(id))
                || commands.is_waiting(id)
        };
        let gone = self.leaving.next(now, is_waiting);
        let Some((id, since)) = gone else {
            return false;
        };
        self.sessions.want(now, id, Presence::Offline, since);
        self.follow(now);
        true
    }

    /// Sends one answer or request about registration, the topology or an order.
    fn serve_topology(&mut self, now: Now) {
        let mono = now.mono;
        if let Some((topic, payload)) = self.orders.take() {
            return self.publish(mono, topic, payload);
        }
        if let Some(version) = self.topology.take_inform() {
            return self.inform(mono, version);
        }
        if self.topology.due().is_some_and(|w| w.at <= mono) {
            let request = self.topology.take();
            return self.ask_topology(mono, request);
        }
        let request = self.registration.take(mono, &mut self.sessions, &self.spec);
        if let Some(request) = request {
            self.ask_registration(now, request);
        }
        self.follow(mono);
    }

    /// Goes on with stopping, if it is time; returns whether it was.
    fn stop_on(&mut self, now: Now) -> bool {
        let (link, posts, sessions) = (self.link, &self.posts, &self.sessions);
        let (spill, commands, events) = (&self.spill, &self.commands, &self.events);
        let is_in = |id| sessions.session(id) == Session::In;
        let may_deliver = || {
            let has_readings = posts.has_last_readings() || spill.has_new(None);
            link && (has_readings || events.has_last_events(is_in) || commands.has_sendable(is_in))
        };
        let step = self.stop.next(now.mono, may_deliver, || sessions.is_over());
        match step {
            None => return false,
            Some(StopStep::LogOut(reason)) => {
                self.leaving = PendingLogouts::default();
                self.sessions.stop(now.mono, reason);
                self.follow(now.mono);
            }
            Some(StopStep::End {
                is_confirmed,
                is_for_good,
            }) => {
                if !is_confirmed {
                    self.pending
                        .forget(|ask| matches!(ask, PendingRequest::Session(_)));
                    self.sessions.give_up();
                }
                if is_for_good {
                    self.store_the_rest(now.mono);
                    self.sum_up();
                }
                self.out.push_back(Output::LoggedOut);
            }
        }
        true
    }

    /// Reports what is left at the end.
    fn sum_up(&mut self) {
        self.posts.count_accepted(&mut self.outbox);
        let (readings, events) = (self.backlog(), self.events.len());
        self.outbox.count().dropped_at_stop += readings as u64;
        self.outbox.count().events_dropped_at_stop += events as u64;
        self.outbox.tell(CloudLogEvent::Stopped {
            unconfirmed: self.sessions.unconfirmed(),
            readings: readings + events,
        });
    }

    /// Takes note that this device needs that step before it can log in.
    fn need(&mut self, now: Mono, step: LoginNeed, id: DeviceId) {
        self.registration.need(now, step, id, &self.spec);
    }

    /// Reports what became known of the time; readings that waited for it go on.
    fn clock_news(&mut self, now: Now, news: Option<ClockNews>) {
        if let Some(news) = news {
            self.outbox.tell(CloudLogEvent::Clock(news));
        }
        self.history.time_known();
        self.date_readings(now);
    }

    /// Lets the readings go on whose time is known.
    fn date_readings(&mut self, now: Now) {
        let timestamps = &self.timestamps;
        self.events.date(|event| timestamps.stamp(event.at));
        while let Some(reading) = self.timestamps.release() {
            self.posts.put(now, reading, None, &mut self.outbox);
        }
    }

    /// Tells the publish queue which devices came and went, and the registration which
    /// devices need a step.
    fn follow(&mut self, now: Mono) {
        for (id, step) in self.sessions.take_login_needs() {
            self.need(now, step, id);
        }
        for id in self.sessions.take_unknown() {
            self.topology.found(id);
        }
        if let Some(online) = self.sessions.take_limit_reached() {
            let full = CloudLogEvent::Full {
                online,
                wait: Duration::ZERO,
                ours: true,
            };
            self.outbox.often(now, full);
        }
        for (id, online) in self.sessions.take_changes() {
            let wanted = self.sessions.wants(id);
            self.latency.changed(now, id, online, wanted);
            self.out.push_back(Output::Session { device: id, online });
            if online {
                self.posts.on_session_begun(now, id);
                self.desired.on_session_begun(id, &self.spec);
            } else {
                self.desired.left(id);
                if self.sessions.session(id) != Session::LoggingOut {
                    // We did not end this session, and it is not known since when it is
                    // gone.
                    self.posts.session_lost(now, id);
                }
                self.posts.left(now, id);
                self.events.left(id);
                if self.leaving.remove(id) {
                    self.sessions.want(now, id, Presence::Offline, now);
                }
            }
        }
        self.forget_retired(now);
    }
}
