//! What devices need before they can log in: secrets for devices that have none
//! (`registration/secrets.rs`) and places in the gateway's topology (`thing/topo/add`).
//!
//! Devices gather in a pool for each queue and leave thirty in a message. Each comes back
//! done, or with a retry block for the platform's code, or to be asked for again. A refused
//! message is taken apart like a refused log-in (`requests/isolation.rs`). Adding an
//! existing relation and registering twice are taken to be harmless, so a request whose
//! answer was lost is repeated.

pub mod enrolment;
pub mod identity;
mod queue;
pub(crate) mod secrets;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::base::{Backoff, DeviceId, Mono, Now, Rng, Wake};
use crate::spec::SessionLimits;

use crate::cloud::alink::engine::{Ask, Cloud};
use crate::cloud::alink::events::Notice;
use crate::cloud::alink::events::outbox::Outbox;
use crate::cloud::alink::registration::queue::QueueKind;
use crate::cloud::alink::requests::isolation::Group;
use crate::cloud::alink::requests::pace::Throttle;
use crate::cloud::alink::requests::pending::Answers;
use crate::cloud::alink::session::device::LoginNeed;
use crate::cloud::alink::session::retry_block::At;
use crate::cloud::alink::topology::events::TopologyEvent;
use crate::cloud::alink::wire::code::CodeMeaning;
use crate::cloud::alink::wire::payload::Reply;
use crate::cloud::alink::wire::payload::relation;
use crate::cloud::alink::wire::payload::relation::RELATIONS;
use crate::cloud::alink::wire::topic::{GatewayAsk, Topic};

/// After this many refusals in a row that blame no device, a message is searched all the
/// same, as for sessions.
const PATIENCE: u32 = 3;
/// A lost answer says nothing about the state of the platform: after the first in a row the
/// request is repeated after this long, after the second after twice as long.
const LOST_WAIT: Duration = Duration::from_millis(500);
const QUICK: u32 = 2;

/// A registration request: its devices, and its failures so far.
#[derive(Clone, Debug)]
pub(crate) struct RegistrationRequest {
    queue: QueueKind,
    pub(crate) group: Group,
    backoff: Backoff,
    failures: u32,
    /// How many answers were lost in a row.
    lost: u32,
    /// How often the members were refused together with others.
    refusals: u32,
}

/// Which devices wait for which step.
#[derive(Clone, Debug)]
pub(crate) struct Registration {
    limits: SessionLimits,
    pools: [BTreeSet<(Mono, DeviceId)>; 3],
    retries: BTreeMap<(Mono, u64), RegistrationRequest>,
    /// The devices in a pool, waiting for a retry, or under way: each in one place.
    placed: BTreeSet<DeviceId>,
    throttles: [Throttle; 3],
    under_way: [usize; 3],
    next_key: u64,
    /// Whether a secret that the platform gives could be kept; no device asks for a secret
    /// that would be lost.
    pub(crate) keepable: bool,
    pub(crate) rng: Rng,
}

impl Registration {
    pub(crate) fn new(limits: &SessionLimits, rng: Rng) -> Self {
        Registration {
            limits: limits.clone(),
            pools: Default::default(),
            retries: BTreeMap::new(),
            placed: BTreeSet::new(),
            throttles: Default::default(),
            under_way: [0; 3],
            next_key: 0,
            keepable: true,
            rng,
        }
    }

    /// Puts this device into the pool of that queue, unless it waits already.
    fn need(&mut self, now: Mono, queue: QueueKind, id: DeviceId) {
        if self.placed.insert(id) {
            self.pools[queue.index()].insert((now, id));
        }
    }

    /// Drops all requests: a device that still needs a step is noted again on the next
    /// connection.
    pub(crate) fn link_down(&mut self) {
        self.pools = Default::default();
        self.retries.clear();
        self.placed.clear();
        self.under_way = [0; 3];
    }

    /// Returns when there is something to ask.
    pub(crate) fn due(&self) -> Option<Wake> {
        let due = QueueKind::ALL
            .into_iter()
            .filter_map(|queue| self.queue_due(queue));
        due.min().map(|at| Wake::new(at, "admission"))
    }

    /// Whether any device would ask for a secret now if it could be kept.
    pub(crate) fn wants_secrets(&self, now: Mono) -> bool {
        let queues = [QueueKind::Register, QueueKind::ProductRegister];
        let pooled = |queue: QueueKind| !self.pools[queue.index()].is_empty();
        let retried = |queue: QueueKind| {
            let mut due = self.retries.iter().take_while(|((at, _), _)| *at <= now);
            due.any(|(_, request)| request.queue == queue)
        };
        queues
            .into_iter()
            .any(|queue| pooled(queue) || retried(queue))
    }

    fn queue_due(&self, queue: QueueKind) -> Option<Mono> {
        let throttle = &self.throttles[queue.index()];
        let busy = match throttle.is_throttled() {
            true => self.under_way[queue.index()] > 0,
            false => self.under_way.iter().sum::<usize>() >= self.limits.in_flight.max(1),
        };
        if busy || (queue.step() == LoginNeed::Register && !self.keepable) {
            return None;
        }
        let pool = &self.pools[queue.index()];
        let ready = pool.first().map(|(since, _)| {
            if pool.len() >= RELATIONS {
                *since
            } else {
                *since + self.limits.linger
            }
        });
        let retries = self.retries.iter().filter(|(_, c)| c.queue == queue);
        let retry = retries.map(|((at, _), _)| *at).next();
        let at = [ready, retry].into_iter().flatten().min()?;
        Some(at.max(throttle.opens_at()))
    }

    /// Returns the next request that is due.
    fn take(&mut self, now: Mono) -> Option<RegistrationRequest> {
        let queue = QueueKind::ALL
            .into_iter()
            .find(|queue| self.queue_due(*queue).is_some_and(|at| at <= now))?;
        let most = match self.throttles[queue.index()].is_throttled() {
            true => Throttle::TRIAL,
            false => RELATIONS,
        };
        let retry = self.retries.iter().find(|(_, c)| c.queue == queue);
        let retry = retry.map(|(key, _)| *key).filter(|(at, _)| *at <= now);
        if let Some(mut request) = retry.and_then(|key| self.retries.remove(&key)) {
            let most = most.min(request.group.members.len());
            let members = request.group.members.split_off(most);
            let group = Group { members };
            self.again(
                RegistrationRequest {
                    group,
                    ..request.clone()
                },
                now,
            );
            return Some(request);
        }
        let mut members = Vec::new();
        while members.len() < most
            && let Some((_, id)) = self.pools[queue.index()].pop_first()
        {
            members.push(id);
        }
        Some(self.request(queue, members))
    }

    fn request(&self, queue: QueueKind, members: Vec<DeviceId>) -> RegistrationRequest {
        RegistrationRequest {
            queue,
            group: Group { members },
            backoff: Backoff::new(self.limits.retry_floor, self.limits.retry_ceiling),
            failures: 0,
            refusals: 0,
            lost: 0,
        }
    }

    /// Uses other limits from now on.
    pub(crate) fn relimit(&mut self, limits: &SessionLimits) {
        self.limits = limits.clone();
    }

    /// Whether a request for this device is under way, or waits.
    pub(crate) fn has(&self, id: DeviceId) -> bool {
        self.placed.contains(&id)
    }

    pub(crate) fn free(&mut self, id: DeviceId) {
        self.placed.remove(&id);
    }

    /// Takes back registrations that are not under way; returns their devices.
    pub(crate) fn call_off_registrations(&mut self) -> Vec<DeviceId> {
        let mut off = Vec::new();
        for queue in [QueueKind::Register, QueueKind::ProductRegister] {
            let pool = std::mem::take(&mut self.pools[queue.index()]);
            off.extend(pool.into_iter().map(|(_, id)| id));
        }
        self.retries.retain(|_, request| {
            let keep = request.queue.step() != LoginNeed::Register;
            if !keep {
                off.append(&mut request.group.members);
            }
            keep
        });
        for id in &off {
            self.free(*id);
        }
        off
    }

    fn again(&mut self, request: RegistrationRequest, at: Mono) {
        if !request.group.members.is_empty() {
            self.next_key += 1;
            self.retries.insert((at, self.next_key), request);
        }
    }

    fn later(&mut self, now: Mono, mut request: RegistrationRequest) {
        request.failures += 1;
        let wait = request.backoff.failed(now, &mut self.rng);
        self.again(request, now + wait);
    }

    /// Takes note that no answer came in time.
    pub(crate) fn lost(
        &mut self,
        now: Mono,
        mut request: RegistrationRequest,
        outbox: &mut Outbox,
    ) {
        self.returned(request.queue);
        outbox.count().unanswered += 1;
        let what = request.queue.step().words();
        outbox.often(now, Notice::Unanswered { what, times: 1 });
        request.lost += 1;
        if request.lost <= QUICK {
            let wait = self.rng.jitter(LOST_WAIT * request.lost);
            self.again(request, now + wait);
        } else {
            self.later(now, request);
        }
    }

    fn returned(&mut self, queue: QueueKind) {
        let under_way = &mut self.under_way[queue.index()];
        *under_way = under_way.saturating_sub(1);
    }
}

impl Cloud {
    /// Takes note that this device needs that step before it can log in.
    pub(crate) fn need(&mut self, now: Mono, step: LoginNeed, id: DeviceId) {
        let queue = self.queue(step, id);
        self.registration.need(now, queue, id);
    }

    /// Makes the registration and topology requests that are due.
    pub(crate) fn admit(&mut self, now: Now) {
        let Some(mut request) = self.registration.take(now.mono) else {
            return;
        };
        let (keep, leave): (Vec<_>, Vec<_>) = request.group.members.into_iter().partition(|id| {
            let step = request.queue.step();
            self.sessions.needs(now.mono, *id, step) && self.queue(step, *id) == request.queue
        });
        for id in leave {
            // The device may need another step first. That step could not be noted while
            // the device was placed here for this one.
            self.registration.free(id);
            self.sessions.settle(now.mono, id, now.mono);
        }
        self.follow(now.mono);
        if keep.is_empty() {
            return;
        }
        request.group.members = keep;
        let id = self.pending.id();
        let members = request.group.members.iter();
        let (ask, payload) = match request.queue {
            QueueKind::Register => {
                let who = members.map(|m| &self.identities[m.index()]);
                (GatewayAsk::Register, relation::names(id, who))
            }
            QueueKind::ProductRegister => {
                let list = self.proxied(&request.group.members);
                (GatewayAsk::ProductRegister, relation::proxied(id, &list))
            }
            QueueKind::Relate => {
                let list: Vec<_> = members.map(|m| self.relation(now, *m)).collect();
                (GatewayAsk::Relate, relation::relate(id, &list))
            }
        };
        self.registration.under_way[request.queue.index()] += 1;
        self.ask_gateway(now.mono, id, ask, payload, Ask::Admit(request));
    }

    /// Sends one of the gateway's requests.
    pub(crate) fn ask_gateway(
        &mut self,
        now: Mono,
        id: crate::base::AskId,
        ask: GatewayAsk,
        payload: Vec<u8>,
        what: Ask,
    ) {
        self.outbox.count().topology_messages += 1;
        self.publish(now, Topic::Gateway(self.gateway.clone(), ask), payload);
        let reply = Topic::GatewayReply(self.gateway.clone(), ask);
        let most = self.spec.cloud.session.reply_timeout;
        let wait = self.pending.patience(Answers::Others, most);
        self.pending.open(id, reply, what, now, wait);
    }

    /// Takes the platform's answer; `named` are the devices in its `data`.
    pub(crate) fn admission_answered(
        &mut self,
        now: Mono,
        mut request: RegistrationRequest,
        reply: &Reply,
        named: &[DeviceId],
        payload: &[u8],
    ) {
        let (queue, step) = (request.queue, request.queue.step());
        self.registration.returned(queue);
        let verdict = reply.code.verdict();
        let throttle = &mut self.registration.throttles[queue.index()];
        if verdict != CodeMeaning::Throttled {
            throttle.passed(now);
        }
        if step == LoginNeed::Register {
            // Whatever the code: a secret that was given is taken.
            let given = self.take_secrets(now, &request.group.members, payload);
            request.group.members.retain(|id| !given.contains(id));
            if request.group.members.is_empty() {
                return;
            }
        }
        if verdict != CodeMeaning::Accepted {
            self.outbox.count().refused += 1;
        }
        match verdict {
            CodeMeaning::Accepted if step == LoginNeed::Register => {
                // Some devices got no secret, and no reason was given: the request is
                // repeated.
                self.registration.later(now, request);
            }
            CodeMeaning::Accepted => self.added(now, &request.group.members),
            CodeMeaning::Throttled => {
                self.outbox.count().throttled += 1;
                let throttle = &mut self.registration.throttles[queue.index()];
                if let Some(wait) = throttle.refused(now, &mut self.registration.rng) {
                    let what = step.words();
                    self.outbox.tell(Notice::Throttled { what, wait });
                }
                self.registration.again(request, now);
            }
            CodeMeaning::Trouble => {
                let trouble = Notice::Trouble {
                    code: reply.code,
                    message: reply.message.clone(),
                    times: 1,
                };
                self.outbox.often(now, trouble);
                if request.failures + 1 >= PATIENCE && request.group.members.len() > 1 {
                    self.search_admission(now, request, reply, named);
                } else {
                    self.registration.later(now, request);
                }
            }
            CodeMeaning::Request => {
                let refused = Notice::RequestRefused {
                    message: reply.message.clone(),
                    devices: request.group.members.len(),
                };
                self.outbox.often(now, refused);
                self.search_admission(now, request, reply, named);
            }
            CodeMeaning::Full
            | CodeMeaning::NoSession
            | CodeMeaning::Device { .. }
            | CodeMeaning::Unknown => {
                self.search_admission(now, request, reply, named);
            }
        }
    }

    /// Takes an acceptance that came after its deadline: the platform carried the request
    /// out, so devices that still wait for it need not.
    pub(crate) fn admission_late(
        &mut self,
        now: Mono,
        request: &RegistrationRequest,
        reply: &Reply,
    ) {
        if reply.code.verdict() == CodeMeaning::Accepted && request.queue == QueueKind::Relate {
            self.related(now, &request.group.members);
        }
    }

    fn added(&mut self, now: Mono, members: &[DeviceId]) {
        for id in members {
            self.registration.free(*id);
        }
        self.related(now, members);
    }

    /// Takes note that these devices are in the topology now; reports those that lacked a
    /// place.
    fn related(&mut self, now: Mono, members: &[DeviceId]) {
        let lacked = |id: &DeviceId| self.sessions.needs(now, *id, LoginNeed::Relate);
        let news: Vec<DeviceId> = members.iter().copied().filter(lacked).collect();
        for id in members {
            self.sessions.related(now, *id);
        }
        if !news.is_empty() {
            self.outbox.count().related += news.len() as u64;
            self.outbox.tell(Notice::Topology(TopologyEvent::Related {
                names: self.names(&news),
                devices: news,
            }));
        }
    }

    fn search_admission(
        &mut self,
        now: Mono,
        request: RegistrationRequest,
        reply: &Reply,
        named: &[DeviceId],
    ) {
        let step = request.queue.step();
        let refusals = request.refusals + 1;
        let split = request.group.refused_again(named, refusals);
        for id in split.culprits {
            self.registration.free(id);
            if !self.spec.has(id) {
                continue;
            }
            if self.sessions.needs_block(id, step) {
                let (code, at) = (reply.code, At::Step(step));
                let outbox = &mut self.outbox;
                self.sessions
                    .block(now, id, code, &reply.message, at, outbox);
                if step == LoginNeed::Relate {
                    self.sessions.doubt_secret(id, code);
                }
            } else if step == LoginNeed::Register {
                // A late answer gave the device a secret, or the device needs none any
                // more.
                self.sessions.settle(now, id, now);
            } else {
                self.outbox.tell(Notice::Topology(TopologyEvent::Refused {
                    what: "adding to the topology",
                    code: reply.code,
                    message: reply.message.clone(),
                    names: self.names(&[id]),
                }));
            }
            if step == LoginNeed::Relate {
                self.sessions.released(now, id);
            }
        }
        for group in split.next {
            let mut part = self.registration.request(request.queue, group.members);
            part.refusals = refusals;
            self.registration.again(part, now);
        }
    }

    /// Returns device names for the journal.
    pub(crate) fn names(&self, ids: &[DeviceId]) -> String {
        let names = ids.iter().filter_map(|id| self.spec.device(*id));
        names.map(|d| d.name.as_str()).collect::<Vec<_>>().join(" ")
    }
}
