//! What the platform's answers, missing answers and own acts mean for sessions: the second
//! half of `session/mod.rs`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::{Backoff, DeviceId, LogoutReason, Mono};

use super::device::{QueueState, SessionChange, SessionState, ShownOnline, TopologyMembership};
use super::online_quota::OnlineQuota;
use crate::cloud::alink::events::CloudLogEvent;
use crate::cloud::alink::events::outbox::Outbox;
use crate::cloud::alink::requests::isolation::RequestGroup;
use crate::cloud::alink::requests::pace::MINUTE;
use crate::cloud::alink::session::retry_block::RefusedRequest;
use crate::cloud::alink::session::{SessionRequest, Sessions};
use crate::cloud::alink::wire::code::{Code, CodeMeaning, Remedy};
use crate::cloud::alink::wire::payload::Reply;

/// After this many refusals in a row that blame no device (500), a batch is searched all
/// the same: perhaps one device makes the platform fail.
const SEARCH_AFTER_REFUSALS: u32 = 3;
/// At QoS 0 a lost message is nothing unusual: after the first two losses in a row the
/// request is repeated soon, after this long and after twice as long. From the third loss
/// on the wait grows as after a refusal.
const LOST_WAIT: Duration = Duration::from_millis(500);
const QUICK: u32 = 2;
/// How many losses are repeated soon while the platform answers other requests: then it is
/// reachable, and messages are lost.
const QUICK_AMONG_ANSWERS: u32 = 8;
/// The first wait after a log-out that the platform calls malformed, and the
/// longest.
const MALFORMED_WAIT: Duration = MINUTE;
const MALFORMED_CEILING: Duration = Duration::from_secs(3600);
/// How often a log-out is asked for when stopping.
const LAST_TRIES: u32 = 2;
/// The wait between these log-outs.
const LAST_WAIT: Duration = Duration::from_millis(200);
/// How the gateway learned that a session is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionLoss {
    /// By a notice on `/ext/error`.
    Notice,
    /// By an order of the platform (`thing/disable`, `thing/topo/change`, …).
    Order,
    /// By a refused post.
    Post,
}

impl Sessions {
    /// Takes the answer to a request; `named` are the devices in its `data`.
    pub(crate) fn answered(
        &mut self,
        now: Mono,
        request: SessionRequest,
        reply: &Reply,
        named: &[DeviceId],
        outbox: &mut Outbox,
    ) {
        self.returned(&request);
        let throttle = &mut self.throttles[request.kind.index()];
        if reply.code.meaning_kind() != CodeMeaning::Throttled {
            throttle.passed(now);
        }
        if reply.code.meaning_kind() == CodeMeaning::Accepted {
            return self.accepted(now, &request, outbox);
        }
        outbox.count().refused += 1;
        let request = self.without_done(now, request);
        if request.group.members.is_empty() {
            return;
        }
        self.revert(&request);
        match reply.code.meaning_kind() {
            CodeMeaning::Accepted => {}
            CodeMeaning::Throttled => {
                outbox.count().throttled += 1;
                let throttle = &mut self.throttles[request.kind.index()];
                if let Some(wait) = throttle.refused(now, &mut self.rng) {
                    outbox.tell(CloudLogEvent::Throttled {
                        what: request.kind.words(),
                        wait,
                    });
                }
                self.again(now, request, now);
            }
            CodeMeaning::Full if request.kind == SessionChange::LogIn => {
                self.full(now, request, outbox)
            }
            CodeMeaning::Trouble => {
                let trouble = CloudLogEvent::Trouble {
                    code: reply.code,
                    message: reply.message.clone(),
                    times: 1,
                };
                outbox.often(now, trouble);
                if request.failures + 1 >= SEARCH_AFTER_REFUSALS && request.group.members.len() > 1
                {
                    self.search(now, request, reply, named, outbox);
                } else {
                    self.later(now, request);
                }
            }
            CodeMeaning::Request => {
                let refused = CloudLogEvent::RequestRefused {
                    message: reply.message.clone(),
                    devices: request.group.members.len(),
                };
                outbox.often(now, refused);
                self.search(now, request, reply, named, outbox);
            }
            CodeMeaning::NoSession
            | CodeMeaning::Full
            | CodeMeaning::Device { .. }
            | CodeMeaning::Unknown => {
                if let Some(request) = self.require_relation(now, request, reply.code, named) {
                    self.search(now, request, reply, named, outbox);
                }
            }
        }
    }

    /// Takes note that no answer came in time: the result at the platform is unknown.
    pub(crate) fn lost(&mut self, now: Mono, request: SessionRequest, outbox: &mut Outbox) {
        self.returned(&request);
        outbox.count().unanswered += 1;
        let mut request = self.without_done(now, request);
        if request.group.members.is_empty() {
            return;
        }
        let what = request.kind.words();
        outbox.often(now, CloudLogEvent::Unanswered { what, times: 1 });
        for &id in &request.group.members {
            self.set_actual(id, SessionState::Unsure);
            if let Some(code) = self.devices[id.index()].kick.take() {
                self.block(now, id, code, "", RefusedRequest::Kick, outbox);
            }
        }
        let quick = LOST_WAIT * (1 << request.lost.min(QUICK));
        request.lost += 1;
        let patient = match self.heard >= request.sent {
            true => QUICK_AMONG_ANSWERS,
            false => QUICK,
        };
        if request.lost <= patient {
            let wait = self.rng.jitter(quick);
            self.again(now, request, now + wait);
        } else {
            self.later(now, request);
        }
    }

    /// Takes an answer that came after its deadline. An acceptance counts for every device
    /// of which nothing else was learned since, even if the device has been asked for again
    /// meanwhile: the platform did what was asked, and a repetition finds it done. So a
    /// platform that is always late converges too.
    ///
    /// A refusal shows which device is to blame only together with the whole group that was
    /// asked for. So it counts, as if the group were still under way, only if it still
    /// concerns all of the group and nothing newer was asked.
    pub(crate) fn late(
        &mut self,
        now: Mono,
        mut request: SessionRequest,
        reply: &Reply,
        named: &[DeviceId],
        outbox: &mut Outbox,
    ) {
        let kind = request.kind;
        if reply.code.meaning_kind() == CodeMeaning::Accepted {
            let members = &mut request.group.members;
            members.retain(|id| self.is_open(*id, kind, request.serial));
            for id in members.iter().copied() {
                if self.devices[id.index()].queue != QueueState::UnderWay {
                    self.withdraw(id);
                }
            }
            self.throttles[kind.index()].passed(now);
            return self.accepted(now, &request, outbox);
        }
        let members = &request.group.members;
        let concerns = |id: &DeviceId| {
            let device = &self.devices[id.index()];
            device.asked == request.serial
                && device.actual == SessionState::Unsure
                && device.block.is_none()
                && device.queue != QueueState::UnderWay
        };
        if !members.iter().all(concerns) {
            return;
        }
        self.under_way[kind.index()] += 1;
        for &id in &request.group.members {
            self.withdraw(id);
            let unsure = true;
            self.set_actual(
                id,
                match kind {
                    SessionChange::LogIn => SessionState::LoggingIn { unsure },
                    SessionChange::LogOut => SessionState::LoggingOut { unsure },
                },
            );
        }
        self.answered(now, request, reply, named, outbox);
    }

    /// Returns whether the outcome of this request for the device is still open.
    fn is_open(&self, id: DeviceId, kind: SessionChange, serial: u64) -> bool {
        let device = &self.devices[id.index()];
        let open = match device.actual {
            SessionState::Unsure => true,
            SessionState::LoggingIn { .. } => kind == SessionChange::LogIn,
            SessionState::LoggingOut { .. } => kind == SessionChange::LogOut,
            SessionState::Out | SessionState::In => false,
        };
        let (of, since) = device.open_since;
        let asked = of == kind && (since..=device.asked).contains(&serial);
        open && asked && device.block.is_none() && device.kick.is_none()
    }

    /// Returns the request without the devices that a late answer to an earlier attempt has
    /// brought about; these are queued anew.
    fn without_done(&mut self, now: Mono, mut request: SessionRequest) -> SessionRequest {
        let settled = match request.kind {
            SessionChange::LogIn => SessionState::In,
            SessionChange::LogOut => SessionState::Out,
        };
        let (gone, left): (Vec<_>, Vec<_>) = request
            .group
            .members
            .into_iter()
            .partition(|id| self.devices[id.index()].actual == settled);
        for id in gone {
            self.requeue(now, id, now);
        }
        request.group.members = left;
        request
    }

    /// Takes note that the platform takes no more devices, or not this many more.
    fn full(&mut self, now: Mono, request: SessionRequest, outbox: &mut Outbox) {
        let members = &request.group.members;
        // The earlier attempts were refused as well, or this one would have been accepted:
        // the platform takes requests in the order they were sent.
        if members.len() == 1 || request.lost > 0 {
            for &id in members {
                // The conclusion may be wrong if the platform is: a device that is not
                // wanted (any more) is logged out rather than believed offline.
                if self.devices[id.index()].actual == SessionState::Unsure {
                    self.devices[id.index()].shown_online = ShownOnline::ThisRun;
                }
                self.set_actual(id, SessionState::Out);
            }
        }
        let more = |id: &&DeviceId| self.devices[id.index()].actual == SessionState::Out;
        let more = members.iter().filter(more).count();
        if more == 0 {
            // All may have been online before, and some were not; a request for each alone
            // shows which.
            for &id in members {
                let request = self.request(SessionChange::LogIn, vec![id]);
                self.put_off(now, request, now);
            }
            return;
        }
        let (online, occupied) = (self.online(), self.occupied);
        let rng = &mut self.rng;
        if let Some(online) = self.online_quota.refused(now, online, occupied, more, rng) {
            outbox.tell(CloudLogEvent::Full {
                online,
                wait: OnlineQuota::probed_within(),
                ours: false,
            });
        }
        for &id in members {
            self.doubt_shown_online(id);
            self.requeue(now, id, now);
        }
    }

    /// Takes note that the platform ended a session, or says there is none.
    ///
    /// On `/ext/error` the platform says so itself, though perhaps about an earlier session
    /// if this one is young: messages overtake each other. When the platform refuses a
    /// *post* with such a code, or orders what must end a session, the session's end is
    /// only a guess (an order may be old). The device is then unsure, and logged out if it
    /// is not wanted or has to wait.
    pub(crate) fn kicked(
        &mut self,
        now: Mono,
        id: DeviceId,
        news: &Reply,
        by: SessionLoss,
        outbox: &mut Outbox,
    ) {
        let (code, message) = (news.code, news.message.as_str());
        let Some(device) = self.devices.get_mut(id.index()) else {
            return;
        };
        if code.remedy() == Remedy::Relation || code == Code::DELETED {
            device.topology = TopologyMembership::default();
        }
        let mut lost = code.meaning_kind() == CodeMeaning::NoSession;
        if let SessionState::LoggingOut { unsure } = &mut device.actual {
            // If the log-out is refused, the device was not online before it.
            *unsure = true;
        }
        match (device.actual, code.meaning_kind()) {
            // The device logged in again for this reason within the last minute: not at
            // once again.
            (SessionState::In, CodeMeaning::NoSession)
                if device.attempts.are_two_within(now, MINUTE) =>
            {
                lost = false;
            }
            (SessionState::In, CodeMeaning::NoSession) => {
                outbox.tell(CloudLogEvent::SessionLost { device: id });
            }
            // An answer is under way, and says more than a notice about a message sent
            // earlier.
            (_, CodeMeaning::NoSession) => return,
            (SessionState::LoggingIn { .. }, CodeMeaning::Device { .. }) => {
                device.kick = Some(code);
                return;
            }
            (_, CodeMeaning::Device { .. }) => {}
            // No other code is known to end a session.
            (_, _) => {
                let trouble = CloudLogEvent::Trouble {
                    code,
                    message: message.to_owned(),
                    times: 1,
                };
                outbox.often(now, trouble);
                return;
            }
        }
        // A late answer to an earlier request says less than this notice.
        device.asked = 0;
        if matches!(device.actual, SessionState::In | SessionState::Unsure) {
            // The same event by another way counts once.
            outbox.count().kicked += u64::from(device.block.is_none());
            let recent = device.attempts.is_one_within(now, MINUTE);
            self.set_actual(
                id,
                match by {
                    SessionLoss::Notice if !recent => SessionState::Out,
                    SessionLoss::Notice | SessionLoss::Post | SessionLoss::Order => {
                        SessionState::Unsure
                    }
                },
            );
        }
        if !lost {
            self.block(now, id, code, message, RefusedRequest::Kick, outbox);
        }
        self.requeue(now, id, now);
    }

    fn accepted(&mut self, now: Mono, request: &SessionRequest, outbox: &mut Outbox) {
        let mut moved = Vec::new();
        for &id in &request.group.members {
            match request.kind {
                // A late answer to an earlier attempt came first.
                SessionChange::LogIn if self.devices[id.index()].actual == SessionState::In => {}
                SessionChange::LogOut if self.devices[id.index()].actual == SessionState::Out => {}
                SessionChange::LogIn => match self.devices[id.index()].kick.take() {
                    Some(code) => {
                        // Whether the log-in or the kick came first at the platform is
                        // unknown.
                        self.set_actual(id, SessionState::Unsure);
                        self.block(now, id, code, "", RefusedRequest::Kick, outbox);
                    }
                    None => {
                        let device = &mut self.devices[id.index()];
                        device.tried_alone = false;
                        device.refusals = 0;
                        device.shown_online = ShownOnline::No;
                        device.announced = true;
                        device.new_secret = false;
                        device.login_need = None;
                        device.topology.list(true);
                        self.set_actual(id, SessionState::In);
                        outbox.count().logged_in += 1;
                        moved.push(id);
                    }
                },
                SessionChange::LogOut => {
                    self.devices[id.index()].shown_online = ShownOnline::No;
                    self.devices[id.index()].announced = false;
                    self.set_actual(id, SessionState::Out);
                    outbox.count().logged_out(self.logout_reason(id));
                    moved.push(id);
                }
            }
        }
        if request.kind == SessionChange::LogIn {
            self.online_quota
                .accepted(self.online(), self.batch(SessionChange::LogIn));
        }
        self.tell_moved(request.kind, moved, outbox);
        for &id in &request.group.members {
            self.requeue(now, id, now);
        }
    }

    fn tell_moved(&self, kind: SessionChange, devices: Vec<DeviceId>, outbox: &mut Outbox) {
        if devices.is_empty() {
            return;
        }
        let online = self.online();
        if kind == SessionChange::LogIn {
            let names = self.names(&devices);
            outbox.tell(CloudLogEvent::LoggedIn {
                devices,
                names,
                online,
            });
            return;
        }
        let mut by_reason: BTreeMap<&str, Vec<(DeviceId, LogoutReason)>> = BTreeMap::new();
        for id in devices {
            let reason = self.logout_reason(id);
            by_reason
                .entry(reason.word())
                .or_default()
                .push((id, reason));
        }
        for alike in by_reason.into_values() {
            let (devices, each): (Vec<DeviceId>, Vec<LogoutReason>) = alike.into_iter().unzip();
            let Some(&reason) = each.first() else {
                continue;
            };
            let names = self.names(&devices);
            outbox.tell(CloudLogEvent::LoggedOut {
                devices,
                names,
                online,
                reason,
                each,
            });
        }
    }

    /// Returns the names of these devices, for the journal.
    fn names(&self, devices: &[DeviceId]) -> String {
        let names: Vec<&str> = devices
            .iter()
            .filter_map(|id| self.spec.device(*id))
            .map(|d| d.name.as_str())
            .collect();
        names.join(" ")
    }

    /// Takes note that a refused request changed nothing: each device is what it was.
    fn revert(&mut self, request: &SessionRequest) {
        for &id in &request.group.members {
            let before = match self.devices[id.index()].actual {
                SessionState::LoggingIn { unsure: false } => SessionState::Out,
                SessionState::LoggingOut { unsure: false } => SessionState::In,
                _ => SessionState::Unsure,
            };
            self.set_actual(id, before);
            self.doubt_shown_online(id);
            self.devices[id.index()].kick = None;
        }
    }

    /// Returns how often some of these devices were refused together with others.
    pub(crate) fn refusals(&self, request: &SessionRequest) -> u32 {
        let of = |id: &DeviceId| self.devices[id.index()].refusals;
        let members = request.group.members.iter().map(of).max();
        request.refusals.max(members.unwrap_or_default())
    }

    /// Searches this group for the device that is to blame.
    fn search(
        &mut self,
        now: Mono,
        request: SessionRequest,
        reply: &Reply,
        named: &[DeviceId],
        outbox: &mut Outbox,
    ) {
        let kind = request.kind;
        let like = request.clone();
        let refusals = self.refusals(&request) + 1;
        let absent = matches!(
            reply.code.meaning_kind(),
            CodeMeaning::NoSession | CodeMeaning::Device { .. }
        );
        let split = match kind {
            // Every device that is named has no session, for one reason or another.
            SessionChange::LogOut if absent => request.group.refused_alike(named, refusals),
            _ => request.group.refused_again(named, refusals),
        };
        if kind == SessionChange::LogOut && absent && split.culprits.is_empty() {
            // One of these devices has no session, and may be wanted again before the
            // search has found which.
            for group in &split.next {
                for &id in &group.members {
                    self.set_actual(id, SessionState::Unsure);
                }
            }
        }
        for id in split.culprits {
            self.devices[id.index()].refusals = 0;
            match kind {
                SessionChange::LogIn => {
                    if !self.is_refusal_void(id) && !self.require_missing(now, id, reply.code) {
                        self.block(
                            now,
                            id,
                            reply.code,
                            &reply.message,
                            RefusedRequest::LogIn,
                            outbox,
                        );
                    }
                    self.requeue(now, id, now);
                }
                SessionChange::LogOut => self.logout_refused(now, id, &like, reply, outbox),
            }
        }
        for group in split.next {
            let mut request = self.request(kind, group.members);
            request.refusals = refusals;
            self.put_off(now, request, now);
        }
    }

    fn logout_refused(
        &mut self,
        now: Mono,
        id: DeviceId,
        like: &SessionRequest,
        reply: &Reply,
        outbox: &mut Outbox,
    ) {
        match reply.code.meaning_kind() {
            // No session, or no such device: the log-out has its result.
            CodeMeaning::NoSession | CodeMeaning::Device { .. } => {
                self.set_actual(id, SessionState::Out);
                outbox.count().logged_out(self.logout_reason(id));
                if std::mem::take(&mut self.devices[id.index()].announced) {
                    self.tell_moved(SessionChange::LogOut, vec![id], outbox);
                }
                self.requeue(now, id, now);
            }
            verdict => {
                let mut request = SessionRequest {
                    group: RequestGroup { members: vec![id] },
                    ..like.clone()
                };
                if verdict == CodeMeaning::Request && request.backoff.failures() == 0 {
                    request.backoff = Backoff::new(MALFORMED_WAIT, MALFORMED_CEILING);
                }
                let wait = request.backoff.failed(now, &mut self.rng);
                if request.backoff.failures().is_power_of_two() || verdict == CodeMeaning::Request {
                    outbox.tell(CloudLogEvent::LogoutRefused {
                        device: id,
                        code: reply.code,
                        message: reply.message.clone(),
                        retry_in: wait,
                    });
                }
                self.again(now, request, now + wait);
            }
        }
    }

    /// Makes the request again after a growing wait.
    fn later(&mut self, now: Mono, mut request: SessionRequest) {
        let wait = request.backoff.failed(now, &mut self.rng);
        self.again(now, request, now + wait);
    }

    /// Makes the request again at `not_before`; when stopping, soon and not for ever.
    fn again(&mut self, now: Mono, mut request: SessionRequest, not_before: Mono) {
        request.failures += 1;
        if !self.stopping || request.kind == SessionChange::LogIn {
            return self.put_off(now, request, not_before);
        }
        request.last_tries += 1;
        if request.last_tries < LAST_TRIES {
            return self.put_off(now, request, now + LAST_WAIT);
        }
        for id in request.group.members {
            self.unconfirmed += 1;
            self.set_actual(id, SessionState::Out);
        }
    }
}
