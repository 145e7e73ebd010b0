//! Which devices are online at the platform, and which should be.
//!
//! For every device there is what is wanted ([`Presence`]) and what is (the session, as far
//! as the gateway can know). This file reconciles the two, in batches: *which* device needs
//! *which* request is one function, `need`; *when* the request is made is another,
//! `ask_due` in `session/scheduler.rs`; what an answer means is in `session/replies.rs`.
//!
//! A device waits in one queue at a time: the pool, or a group of its own (a retry, a part of a
//! refused batch, a device after a retry block); or its request is under way. The pool is filled
//! for the linger, up to a whole batch; a device beyond the quota of devices online waits there
//! too, until another leaves. So there are never two requests for one device. A log-in or log-out
//! whose answer was lost leaves the device *unsure*: it may be online at the platform. An unsure
//! device counts against the quota and is never posted for. It is logged out if it is no longer
//! wanted, if it has to wait before it may be tried again, or if the quota is exceeded. Devices
//! that may still be shown online from before the connection, and are not wanted, are logged out
//! too.

pub(crate) mod device;
pub(crate) mod latency;
mod login_needs;
mod online_quota;
mod reload;
pub(crate) mod replies;
pub(crate) mod retry_block;
mod scheduler;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::base::{Backoff, DeviceId, LogoutReason, Mono, RequestId, Rng, Wake, Wall};
use crate::spec::{DeviceSpec, SessionLimits, Spec};

use self::device::{
    LoginNeed, QueueState, SessionChange, SessionState, ShownOnline, TopologyMembership,
};
use self::online_quota::OnlineQuota;
use self::retry_block::{RefusalRecord, RetryBlock};
use crate::cloud::alink::requests::identities::Identities;
use crate::cloud::alink::requests::isolation::RequestGroup;
use crate::cloud::alink::requests::pace::{Attempts, LoginPace, Throttle, TokenBucket};
use crate::cloud::alink::wire::code::Code;
use crate::cloud::alink::wire::payload;
use crate::cloud::alink::wire::payload::{LOGIN_BYTES, Login};
use crate::cloud::alink::wire::topic::SessionAsk;

/// How long after a new connection devices are logged out that may still be shown online
/// from before it, and are not wanted: the devices that are wanted go first.
pub(crate) const SHOWN_ONLINE_WAIT: Duration = Duration::from_secs(10);

/// What is wanted of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The device answers on its bus: it shall be online.
    Online,
    /// The device does not answer: it shall be offline.
    Offline,
}

/// What a device's session is, as far as the gateway can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// No session.
    Out,
    /// The log-in was asked for, and no answer has come yet.
    LoggingIn,
    /// Online.
    In,
    /// The log-out was asked for, and no answer has come yet.
    LoggingOut,
    /// Refused or taken offline by the platform; not tried before `until`.
    RetryBlocked {
        /// When the device is tried again, if still wanted.
        until: Mono,
        /// The reason.
        code: Code,
    },
}

/// What is known of one device.
#[derive(Clone, Debug)]
struct DeviceSession {
    wanted: Presence,
    /// Why the device is wanted offline, if it was wanted online before.
    why_offline: Option<LogoutReason>,
    /// Why the device is being logged out, since the log-out was asked: what is wanted may
    /// change before the answer.
    leaves_for: Option<LogoutReason>,
    actual: SessionState,
    queue: QueueState,
    block: Option<RetryBlock>,
    refusal: Option<RefusalRecord>,
    /// Whether the device had a retry block and has not been accepted since: it is tried
    /// alone, so that it cannot spoil a batch again.
    tried_alone: bool,
    /// The code of a kick that came while the log-in was under way.
    kick: Option<Code>,
    attempts: Attempts,
    /// How often the device was refused together with others since it needed a step first.
    refusals: u32,
    /// The step that the device needs before it can log in.
    login_need: Option<LoginNeed>,
    topology: TopologyMembership,
    /// Whether the device may still be shown online although it has no session.
    shown_online: ShownOnline,
    /// Whether a log event said that the device is online, and none yet that it no longer
    /// is.
    announced: bool,
    /// Whether the secret changed while a log-in with the old one was under way.
    new_secret: bool,
    /// The last request that the device was part of; 0 if something newer is known of the
    /// device.
    asked: u64,
    /// The first of the requests of one kind in a row, up to `asked`, whose outcome is
    /// unknown: a late answer to any of them decides it.
    open_since: (SessionChange, u64),
}

impl Default for DeviceSession {
    /// Returns a device that is out, and not wanted.
    fn default() -> Self {
        DeviceSession {
            wanted: Presence::Offline,
            why_offline: None,
            leaves_for: None,
            actual: SessionState::Out,
            queue: QueueState::NotQueued,
            block: None,
            refusal: None,
            tried_alone: false,
            kick: None,
            attempts: Attempts::default(),
            refusals: 0,
            login_need: None,
            topology: TopologyMembership::default(),
            shown_online: ShownOnline::No,
            announced: false,
            new_secret: false,
            asked: 0,
            open_since: (SessionChange::LogIn, 0),
        }
    }
}

/// A session request: its devices, and its failures so far.
#[derive(Clone, Debug)]
pub(crate) struct SessionRequest {
    kind: SessionChange,
    group: RequestGroup,
    /// The number of the request since it was last sent.
    serial: u64,
    /// When the request was last sent.
    sent: Mono,
    /// How often the members were refused together with others; if it is not 0, the device
    /// to blame is being searched for.
    refusals: u32,
    backoff: Backoff,
    /// How many answers were lost in a row.
    lost: u32,
    /// How many answers in a row were lost, or refused for no fault of the devices.
    failures: u32,
    /// The same count since the gateway is stopping.
    last_tries: u32,
}

impl SessionRequest {
    pub(crate) const fn kind(&self) -> SessionChange {
        self.kind
    }

    /// Writes the request; a log-in is signed at this time.
    pub(crate) fn message(
        &self,
        at: Wall,
        id: RequestId,
        identities: &Identities,
    ) -> (SessionAsk, Vec<u8>) {
        let method = identities.spec().cloud.sign_method;
        match (self.kind, &self.group.members[..]) {
            (SessionChange::LogIn, [one]) => (
                SessionAsk::Login,
                payload::login(id, &identities.login(at, *one)),
            ),
            (SessionChange::LogIn, many) => {
                let list: Vec<Login> = many.iter().map(|m| identities.login(at, *m)).collect();
                (
                    SessionAsk::BatchLogin,
                    payload::batch_login(id, method, &list),
                )
            }
            (SessionChange::LogOut, [one]) => {
                (SessionAsk::Logout, payload::logout(id, identities.of(*one)))
            }
            (SessionChange::LogOut, many) => {
                let list = many.iter().map(|m| identities.of(*m));
                (SessionAsk::BatchLogout, payload::batch_logout(id, list))
            }
        }
    }
}

/// A request that waits to be made.
#[derive(Clone, Debug)]
struct WaitingRequest {
    request: SessionRequest,
    not_before: Mono,
}

/// The sessions of all devices.
#[derive(Clone, Debug)]
pub(crate) struct Sessions {
    spec: Arc<Spec>,
    devices: Vec<DeviceSession>,
    pools: [BTreeSet<(Mono, DeviceId)>; 2],
    waiting: BTreeMap<u64, WaitingRequest>,
    next_key: u64,
    blocks: BTreeSet<(Mono, DeviceId)>,
    throttles: [Throttle; 2],
    pace: LoginPace,
    /// Half the connection's pace, for the search for the device that spoils a batch. The
    /// search may take long: posts and all other messages have the other half.
    search_pace: TokenBucket,
    online_quota: OnlineQuota,
    /// Whether devices wait for others to leave while as many are online as the configuration
    /// allows.
    limit_reached: bool,
    /// How many devices are, or may be, online.
    occupied: usize,
    online: usize,
    /// How many requests of each kind wait for their reply.
    under_way: [usize; 2],
    /// Counts requests, so that the last request of a device is known.
    serial: u64,
    link: bool,
    stopping: bool,
    /// Why all devices are logged out, if they are.
    why_stopping: LogoutReason,
    /// How many devices were given up on while stopping.
    unconfirmed: usize,
    /// Devices that came online (`true`) or went offline since the last call.
    changes: Vec<(DeviceId, bool)>,
    /// When to log out devices that were online on the last connection.
    shown_online_due: Option<Mono>,
    /// Devices that could log in if they did not need this step first, since the last call.
    login_needs: Vec<(DeviceId, LoginNeed)>,
    /// Devices that the platform does not know, since the last call.
    unknown: Vec<DeviceId>,
    /// When the platform last answered any request.
    heard: Mono,
    rng: Rng,
}

impl Sessions {
    pub(crate) fn new(spec: Arc<Spec>, rng: Rng) -> Self {
        let configured = |d: &DeviceSpec| DeviceSession {
            login_need: d.secret.is_empty().then_some(LoginNeed::Register),
            shown_online: ShownOnline::EarlierRun,
            ..DeviceSession::default()
        };
        Sessions {
            devices: spec.devices.iter().map(configured).collect(),
            pace: LoginPace::new(spec.cloud.session.logins_per_second),
            search_pace: TokenBucket::new(spec.cloud.post.messages_per_second / 2),
            spec,
            pools: Default::default(),
            waiting: BTreeMap::new(),
            next_key: 0,
            blocks: BTreeSet::new(),
            throttles: Default::default(),
            online_quota: OnlineQuota::default(),
            limit_reached: Default::default(),
            occupied: 0,
            online: 0,
            under_way: [0; 2],
            serial: 0,
            link: false,
            stopping: false,
            why_stopping: LogoutReason::Stopping,
            unconfirmed: 0,
            changes: Vec::new(),
            shown_online_due: None,
            login_needs: Vec::new(),
            unknown: Vec::new(),
            heard: Mono::START,
            rng,
        }
    }

    // --- connection and wishes ------------------------------------------

    pub(crate) fn link_up(&mut self, now: Mono) {
        self.link = true;
        self.shown_online_due = Some(now + SHOWN_ONLINE_WAIT);
        self.end_malformed_blocks(now);
        for id in self.ids() {
            self.requeue(now, id, now);
        }
    }

    /// Takes note that the connection is gone, and every session with it; no wish changes.
    pub(crate) fn link_down(&mut self) {
        self.link = false;
        self.shown_online_due = None;
        self.pools = Default::default();
        self.waiting.clear();
        self.under_way = [0; 2];
        self.online_quota.forget();
        for id in self.ids() {
            let had_session = self.devices[id.index()].actual != SessionState::Out;
            self.set_actual(id, SessionState::Out);
            let device = &mut self.devices[id.index()];
            device.queue = QueueState::NotQueued;
            device.kick = None;
            (device.asked, device.refusals) = (0, 0);
            if had_session {
                device.shown_online = ShownOnline::ThisRun;
            }
        }
    }

    /// Sets what is wanted of a device, as of `since`. Without effect while stopping.
    pub(crate) fn want(&mut self, now: Mono, id: DeviceId, presence: Presence, since: Mono) {
        if let Some(device) = self.devices.get_mut(id.index()) {
            device.wanted = presence;
            if presence == Presence::Online {
                device.why_offline = None;
            }
            self.doubt_shown_online(id);
            self.requeue(now, id, since);
        }
    }

    /// Sets why this device is wanted offline from now on.
    pub(crate) fn set_offline_reason(&mut self, id: DeviceId, reason: LogoutReason) {
        if let Some(device) = self.devices.get_mut(id.index()) {
            device.why_offline = Some(reason);
        }
    }

    /// Returns why this device was logged out: the reason for which that was asked.
    fn logout_reason(&self, id: DeviceId) -> LogoutReason {
        let asked = self.devices[id.index()].leaves_for;
        asked.unwrap_or_else(|| self.reason_to_leave(id))
    }

    /// Returns why this device is to be logged out now.
    fn reason_to_leave(&self, id: DeviceId) -> LogoutReason {
        let device = &self.devices[id.index()];
        match (device.wanted, self.stopping) {
            (Presence::Offline, _) if let Some(reason) = device.why_offline => reason,
            (_, true) => self.why_stopping,
            (Presence::Offline, false) => LogoutReason::NotHeardOf,
            (Presence::Online, false) if device.block.is_some() => LogoutReason::Refused,
            (Presence::Online, false) => LogoutReason::QuotaFull,
        }
    }

    /// Takes note that no device shall be online any more, whatever is wanted; requests
    /// that wait for a retry are made at once.
    pub(crate) fn stop(&mut self, now: Mono, why: LogoutReason) {
        self.stopping = true;
        self.why_stopping = why;
        for waiting in self.waiting.values_mut() {
            waiting.not_before = now;
        }
        self.shown_online_due = None;
        for id in self.ids() {
            // Devices that may still be shown online from the last connection are logged
            // out now, because there is no later.
            if self.devices[id.index()].shown_online == ShownOnline::ThisRun {
                self.doubt_shown_online(id);
            }
            self.requeue(now, id, now);
        }
    }

    /// Gives up: a device that may still be online counts as not confirmed, and nothing
    /// more is asked for. The sessions end with the connection.
    pub(crate) fn give_up(&mut self) {
        self.pools = Default::default();
        self.waiting.clear();
        self.under_way = [0; 2];
        for id in self.ids() {
            self.devices[id.index()].queue = QueueState::NotQueued;
            if self.devices[id.index()].actual != SessionState::Out {
                self.unconfirmed += 1;
                self.set_actual(id, SessionState::Out);
            }
        }
    }

    // --- queries ---------------------------------------------------------

    pub(crate) fn session(&self, id: DeviceId) -> Session {
        let Some(device) = self.devices.get(id.index()) else {
            return Session::Out;
        };
        match (device.actual, device.block) {
            (SessionState::In, _) => Session::In,
            (SessionState::LoggingIn { .. }, _) => Session::LoggingIn,
            (SessionState::LoggingOut { .. }, _) => Session::LoggingOut,
            (SessionState::Out | SessionState::Unsure, Some(RetryBlock { until, code })) => {
                Session::RetryBlocked { until, code }
            }
            (SessionState::Out | SessionState::Unsure, None) => Session::Out,
        }
    }

    /// Returns whether the device shall be online.
    pub(crate) fn wants(&self, id: DeviceId) -> bool {
        let device = self.devices.get(id.index());
        device.is_some_and(|d| d.wanted == Presence::Online)
    }

    /// Returns what a device without a session waits for.
    pub(crate) fn waits_for(&self, id: DeviceId) -> &'static str {
        let login_need = self.devices.get(id.index()).and_then(|d| d.login_need);
        login_need.map_or("turn to log in", LoginNeed::words)
    }

    pub(crate) const fn online(&self) -> usize {
        self.online
    }

    /// Returns how many devices were given up on while stopping.
    pub(crate) const fn unconfirmed(&self) -> usize {
        self.unconfirmed
    }

    /// Returns when to log out devices that were online on the last connection.
    pub(crate) fn shown_online_due(&self) -> Option<Wake> {
        let at = self.shown_online_due;
        at.map(|at| Wake::new(at, "log-outs left over"))
    }

    /// Takes note that the platform has just answered a request.
    pub(crate) const fn heard(&mut self, now: Mono) {
        self.heard = now;
    }

    /// Returns whether no device is or may be online, and no request is under way.
    pub(crate) fn is_over(&self) -> bool {
        self.occupied == 0 && self.under_way == [0; 2]
    }

    pub(crate) fn take_changes(&mut self) -> Vec<(DeviceId, bool)> {
        std::mem::take(&mut self.changes)
    }

    /// Returns how many devices are online, if that has become as many as the configuration
    /// allows, and others wait.
    pub(crate) fn take_limit_reached(&mut self) -> Option<usize> {
        let is = self.online >= self.limits().online
            && !self.pools[SessionChange::LogIn.index()].is_empty();
        let was = std::mem::replace(&mut self.limit_reached, is);
        (is && !was).then_some(self.online)
    }

    /// Returns the devices that are wanted online and need a step first.
    pub(crate) fn take_login_needs(&mut self) -> Vec<(DeviceId, LoginNeed)> {
        std::mem::take(&mut self.login_needs)
    }

    /// Returns the devices that the platform does not know.
    pub(crate) fn take_unknown(&mut self) -> Vec<DeviceId> {
        std::mem::take(&mut self.unknown)
    }

    // --- moving devices between queues, for session/replies.rs -------------------

    /// Returns a session request for these devices that has not failed yet.
    pub(crate) fn request(&self, kind: SessionChange, members: Vec<DeviceId>) -> SessionRequest {
        SessionRequest {
            kind,
            group: RequestGroup { members },
            backoff: Backoff::new(self.limits().retry_floor, self.limits().retry_ceiling),
            serial: 0,
            sent: Mono::START,
            refusals: 0,
            failures: 0,
            lost: 0,
            last_tries: 0,
        }
    }

    /// Takes note that the request is no longer under way.
    pub(crate) fn returned(&mut self, request: &SessionRequest) {
        let under_way = &mut self.under_way[request.kind.index()];
        *under_way = under_way.saturating_sub(1);
        for id in &request.group.members {
            self.devices[id.index()].queue = QueueState::NotQueued;
        }
    }

    /// Makes the request again, not before `not_before`; devices that no longer need it are
    /// queued anew.
    pub(crate) fn put_off(&mut self, now: Mono, mut request: SessionRequest, not_before: Mono) {
        let (keep, leave): (Vec<_>, Vec<_>) = request
            .group
            .members
            .into_iter()
            .partition(|id| self.need(*id) == Some(request.kind));
        for id in leave {
            self.devices[id.index()].queue = QueueState::NotQueued;
            self.requeue(now, id, now);
        }
        if keep.is_empty() {
            return;
        }
        let key = self.next_key;
        self.next_key += 1;
        for id in &keep {
            self.devices[id.index()].queue = QueueState::Waiting(key);
        }
        request.group.members = keep;
        let waiting = WaitingRequest {
            request,
            not_before,
        };
        self.waiting.insert(key, waiting);
    }

    pub(crate) fn set_actual(&mut self, id: DeviceId, actual: SessionState) {
        let device = &mut self.devices[id.index()];
        let before = std::mem::replace(&mut device.actual, actual);
        match (before == SessionState::In, actual == SessionState::In) {
            (false, true) => {
                self.online += 1;
                self.changes.push((id, true));
            }
            (true, false) => {
                self.online -= 1;
                self.changes.push((id, false));
            }
            _ => {}
        }
        match (before == SessionState::Out, actual == SessionState::Out) {
            (true, false) => self.occupied += 1,
            (false, true) => self.occupied -= 1,
            _ => {}
        }
    }

    /// Returns which request this device needs now.
    pub(crate) fn need(&self, id: DeviceId) -> Option<SessionChange> {
        let device = &self.devices[id.index()];
        let wanted = if self.stopping {
            Presence::Offline
        } else {
            device.wanted
        };
        match (wanted, device.actual) {
            // A device that must wait before it is tried again must not use up quota
            // meanwhile, for it may not even be online.
            (Presence::Online, SessionState::Unsure) if device.block.is_some() || self.is_overfull() => {
                Some(SessionChange::LogOut)
            }
            (Presence::Online, SessionState::Out | SessionState::Unsure) => {
                let free = device.block.is_none() && device.login_need.is_none();
                free.then_some(SessionChange::LogIn)
            }
            (Presence::Offline, SessionState::In | SessionState::Unsure) => Some(SessionChange::LogOut),
            (Presence::Online, SessionState::In)
            | (Presence::Offline, SessionState::Out)
            // A request is under way: its answer comes first.
            | (_, SessionState::LoggingIn { .. } | SessionState::LoggingOut { .. }) => None,
        }
    }

    /// Returns whether more devices may be online than the configuration allows: possible only for
    /// devices that are still shown from the last connection, and while they are logged out.
    pub(crate) fn is_overfull(&self) -> bool {
        self.occupied > self.limits().online
    }

    /// Puts a device into the queue for the request that it needs.
    pub(crate) fn requeue(&mut self, now: Mono, id: DeviceId, since: Mono) {
        let need = self.need(id).filter(|_| self.link);
        let queue = self.devices[id.index()].queue;
        match queue {
            QueueState::UnderWay => return,
            QueueState::Pool(kind, _) if need == Some(kind) => return,
            QueueState::Waiting(key)
                if self
                    .waiting
                    .get(&key)
                    .is_some_and(|w| need == Some(w.request.kind)) =>
            {
                return;
            }
            QueueState::Pool(..) | QueueState::Waiting(_) | QueueState::NotQueued => {
                self.withdraw(id)
            }
        }
        match need {
            None => self.note_login_need(id),
            Some(SessionChange::LogIn) if self.devices[id.index()].tried_alone => {
                let request = self.request(SessionChange::LogIn, vec![id]);
                self.put_off(now, request, now);
            }
            Some(kind) => {
                self.pools[kind.index()].insert((since, id));
                self.devices[id.index()].queue = QueueState::Pool(kind, since);
            }
        }
    }

    /// Notes a device that could log in if it did not need a step first.
    fn note_login_need(&mut self, id: DeviceId) {
        let device = &self.devices[id.index()];
        let out = matches!(device.actual, SessionState::Out | SessionState::Unsure);
        if self.link
            && !self.stopping
            && device.wanted == Presence::Online
            && out
            && device.block.is_none()
            && let Some(step) = device.login_need
        {
            self.login_needs.push((id, step));
        }
    }

    /// Takes a device out of the queue where it waits.
    pub(crate) fn withdraw(&mut self, id: DeviceId) {
        let queue = std::mem::replace(&mut self.devices[id.index()].queue, QueueState::NotQueued);
        match queue {
            QueueState::Pool(kind, at) => {
                self.pools[kind.index()].remove(&(at, id));
            }
            QueueState::Waiting(key) => {
                if let Some(waiting) = self.waiting.get_mut(&key) {
                    waiting.request.group.members.retain(|m| *m != id);
                    if waiting.request.group.members.is_empty() {
                        self.waiting.remove(&key);
                    }
                }
            }
            QueueState::UnderWay | QueueState::NotQueued => {}
        }
    }

    pub(crate) fn limits(&self) -> &SessionLimits {
        &self.spec.cloud.session
    }

    /// Returns how many devices fit into a message, by the size limit and by the pace.
    pub(crate) fn batch(&self, kind: SessionChange) -> usize {
        let fits = self.spec.cloud.post.message_bytes / LOGIN_BYTES;
        let most = self.limits().batch.min(fits).max(1);
        match kind {
            SessionChange::LogIn => most.min(self.pace.most()),
            SessionChange::LogOut => most,
        }
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = DeviceId> + use<> {
        let n = u32::try_from(self.devices.len()).unwrap_or(u32::MAX);
        (0..n).map(DeviceId)
    }
}
