//! What devices need before they can log in: secrets for devices that have none
//! (`registration/secrets.rs`) and relations to the gateway (`thing/topo/add`).
//!
//! Devices gather in a pool for each queue and leave thirty in a message. Each comes back
//! done, or with a retry block for the platform's code, or to be asked for again. A refused
//! message is taken apart like a refused log-in (`requests/isolation.rs`). Adding an
//! existing relation and registering twice are taken to be harmless, so a request whose
//! answer was lost is repeated.

pub mod enrolment;
pub mod identity;
mod queue;
mod secrets;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::base::{Backoff, DeviceId, Mono, RequestId, Rng, Secret, Wake, Wall};
use crate::spec::{SessionLimits, Spec};

use crate::cloud::alink::events::CloudLogEvent;
use crate::cloud::alink::events::outbox::Outbox;
use crate::cloud::alink::registration::queue::QueueKind;
use crate::cloud::alink::requests::context::{Context, RequestAnswer};
use crate::cloud::alink::requests::identities::Identities;
use crate::cloud::alink::requests::isolation::RequestGroup;
use crate::cloud::alink::requests::pace::Throttle;
use crate::cloud::alink::session::Sessions;
use crate::cloud::alink::session::device::LoginNeed;
use crate::cloud::alink::session::retry_block::RefusedRequest;
use crate::cloud::alink::topology::events::TopologyEvent;
use crate::cloud::alink::wire::code::CodeMeaning;
use crate::cloud::alink::wire::payload::Reply;
use crate::cloud::alink::wire::payload::relation;
use crate::cloud::alink::wire::payload::relation::RELATIONS;
use crate::cloud::alink::wire::topic::GatewayAsk;

/// After this many refusals in a row that blame no device, a message is searched all the
/// same, as for sessions.
const SEARCH_AFTER_REFUSALS: u32 = 3;
/// A lost answer says nothing about the state of the platform: after the first in a row the
/// request is repeated after this long, after the second after twice as long.
const LOST_WAIT: Duration = Duration::from_millis(500);
const QUICK: u32 = 2;

/// A registration request: its devices, and its failures so far.
#[derive(Clone, Debug)]
pub(crate) struct RegistrationRequest {
    queue: QueueKind,
    group: RequestGroup,
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
    /// The devices in a pool, waiting for a retry, or under way: each in one queue.
    queued: BTreeSet<DeviceId>,
    throttles: [Throttle; 3],
    under_way: [usize; 3],
    next_key: u64,
    /// Whether a secret that the platform gives could be kept; no device asks for a secret
    /// that would be lost.
    keepable: bool,
    rng: Rng,
}

impl Registration {
    pub(crate) fn new(limits: &SessionLimits, rng: Rng) -> Self {
        Registration {
            limits: limits.clone(),
            pools: Default::default(),
            retries: BTreeMap::new(),
            queued: BTreeSet::new(),
            throttles: Default::default(),
            under_way: [0; 3],
            next_key: 0,
            keepable: true,
            rng,
        }
    }

    /// Takes note that this device needs that step before it can log in: puts the device
    /// into the pool of its queue, unless it waits already.
    pub(crate) fn need(&mut self, now: Mono, step: LoginNeed, id: DeviceId, spec: &Spec) {
        let queue = QueueKind::of(step, id, spec);
        if self.queued.insert(id) {
            self.pools[queue.index()].insert((now, id));
        }
    }

    /// Drops all requests: a device that still needs a step is noted again on the next
    /// connection.
    pub(crate) fn link_down(&mut self) {
        self.pools = Default::default();
        self.retries.clear();
        self.queued.clear();
        self.under_way = [0; 3];
    }

    /// Returns when there is something to ask.
    pub(crate) fn due(&self) -> Option<Wake> {
        let due = QueueKind::ALL
            .into_iter()
            .filter_map(|queue| self.queue_due(queue));
        due.min().map(|at| Wake::new(at, "admission"))
    }

    /// Sets whether a secret that the platform gives could be kept.
    pub(crate) const fn set_keepable(&mut self, able: bool) {
        self.keepable = able;
    }

    /// Returns whether any device would ask for a secret now if it could be kept.
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

    /// Returns the next request that is due, about those of its devices that still need it.
    pub(crate) fn take(
        &mut self,
        now: Mono,
        sessions: &mut Sessions,
        spec: &Spec,
    ) -> Option<RegistrationRequest> {
        let mut request = self.take_due(now)?;
        let (keep, leave): (Vec<_>, Vec<_>) = request.group.members.into_iter().partition(|id| {
            let step = request.queue.step();
            sessions.needs(now, *id, step) && QueueKind::of(step, *id, spec) == request.queue
        });
        for id in leave {
            // The device may need another step first. That step could not be noted while
            // the device was queued for this one.
            self.free(id);
            sessions.requeue(now, id, now);
        }
        if keep.is_empty() {
            return None;
        }
        request.group.members = keep;
        self.under_way[request.queue.index()] += 1;
        Some(request)
    }

    /// Writes a request, signed at this time.
    pub(crate) fn message(
        &mut self,
        at: Wall,
        id: RequestId,
        request: &RegistrationRequest,
        identities: &Identities,
    ) -> (GatewayAsk, Vec<u8>) {
        let members = request.group.members.iter();
        match request.queue {
            QueueKind::Register => {
                let who = members.map(|m| identities.of(*m));
                (GatewayAsk::Register, relation::names(id, who))
            }
            QueueKind::ProductRegister => {
                let list = identities.proxied(&request.group.members, &mut self.rng);
                (GatewayAsk::ProductRegister, relation::proxied(id, &list))
            }
            QueueKind::Relate => {
                let list: Vec<_> = members.map(|m| identities.relation(at, *m)).collect();
                (GatewayAsk::Relate, relation::relate(id, &list))
            }
        }
    }

    fn take_due(&mut self, now: Mono) -> Option<RegistrationRequest> {
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
            let group = RequestGroup { members };
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
            group: RequestGroup { members },
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

    /// Returns whether a request for this device is under way, or waits.
    pub(crate) fn has(&self, id: DeviceId) -> bool {
        self.queued.contains(&id)
    }

    fn free(&mut self, id: DeviceId) {
        self.queued.remove(&id);
    }

    /// Takes back registrations that are not under way; returns their devices.
    fn call_off_registrations(&mut self) -> Vec<DeviceId> {
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
        outbox.often(now, CloudLogEvent::Unanswered { what, times: 1 });
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

impl Registration {
    // --- answers -----------------------------------------------------------------

    /// Takes the platform's answer; returns the secrets that it gave.
    pub(crate) fn answered(
        &mut self,
        context: &mut Context<'_>,
        sessions: &mut Sessions,
        mut request: RegistrationRequest,
        answer: RequestAnswer<'_>,
    ) -> Vec<(DeviceId, Secret)> {
        let now = context.now;
        let reply = answer.reply;
        let (queue, step) = (request.queue, request.queue.step());
        self.returned(queue);
        let verdict = reply.code.meaning_kind();
        if verdict != CodeMeaning::Throttled {
            self.throttles[queue.index()].passed(now);
        }
        let mut secrets = Vec::new();
        if step == LoginNeed::Register {
            // Whatever the code: a secret that was given is taken.
            let asked = &request.group.members;
            secrets = self.take_secrets(context, sessions, asked, answer.payload);
            let given = |id: &DeviceId| secrets.iter().any(|(device, _)| device == id);
            request.group.members.retain(|id| !given(id));
            if request.group.members.is_empty() {
                return secrets;
            }
        }
        if verdict != CodeMeaning::Accepted {
            context.outbox.count().refused += 1;
        }
        match verdict {
            CodeMeaning::Accepted if step == LoginNeed::Register => {
                // Some devices got no secret, and no reason was given: the request is
                // repeated.
                self.later(now, request);
            }
            CodeMeaning::Accepted => self.added(context, sessions, &request.group.members),
            CodeMeaning::Throttled => {
                context.outbox.count().throttled += 1;
                let throttle = &mut self.throttles[queue.index()];
                if let Some(wait) = throttle.refused(now, &mut self.rng) {
                    let what = step.words();
                    context.outbox.tell(CloudLogEvent::Throttled { what, wait });
                }
                self.again(request, now);
            }
            CodeMeaning::Trouble => {
                let trouble = CloudLogEvent::Trouble {
                    code: reply.code,
                    message: reply.message.clone(),
                    times: 1,
                };
                context.outbox.often(now, trouble);
                if request.failures + 1 >= SEARCH_AFTER_REFUSALS && request.group.members.len() > 1
                {
                    self.search(context, sessions, request, answer);
                } else {
                    self.later(now, request);
                }
            }
            CodeMeaning::Request => {
                let refused = CloudLogEvent::RequestRefused {
                    message: reply.message.clone(),
                    devices: request.group.members.len(),
                };
                context.outbox.often(now, refused);
                self.search(context, sessions, request, answer);
            }
            CodeMeaning::Full
            | CodeMeaning::NoSession
            | CodeMeaning::Device { .. }
            | CodeMeaning::Unknown => self.search(context, sessions, request, answer),
        }
        secrets
    }

    /// Takes an acceptance that came after its deadline: the platform carried the request
    /// out, so devices that still wait for it need not.
    pub(crate) fn late(
        &self,
        context: &mut Context<'_>,
        sessions: &mut Sessions,
        request: &RegistrationRequest,
        reply: &Reply,
    ) {
        if reply.code.meaning_kind() == CodeMeaning::Accepted && request.queue == QueueKind::Relate
        {
            related(context, sessions, &request.group.members);
        }
    }

    fn added(&mut self, context: &mut Context<'_>, sessions: &mut Sessions, members: &[DeviceId]) {
        for id in members {
            self.free(*id);
        }
        related(context, sessions, members);
    }

    /// Searches this group for the device that is to blame.
    fn search(
        &mut self,
        context: &mut Context<'_>,
        sessions: &mut Sessions,
        request: RegistrationRequest,
        answer: RequestAnswer<'_>,
    ) {
        let (now, reply) = (context.now, answer.reply);
        let step = request.queue.step();
        let refusals = request.refusals + 1;
        let split = request.group.refused_again(answer.named, refusals);
        for id in split.culprits {
            self.free(id);
            if !context.identities.spec().has(id) {
                continue;
            }
            if sessions.needs_block(id, step) {
                let (code, at) = (reply.code, RefusedRequest::Step(step));
                sessions.block(now, id, code, &reply.message, at, context.outbox);
                if step == LoginNeed::Relate {
                    sessions.doubt_secret(id, code);
                }
            } else if step == LoginNeed::Register {
                // A late answer gave the device a secret, or the device needs none any
                // more.
                sessions.requeue(now, id, now);
            } else {
                let refused = TopologyEvent::Refused {
                    what: "adding to the topology",
                    code: reply.code,
                    message: reply.message.clone(),
                    names: context.identities.names(&[id]),
                };
                context.outbox.tell(CloudLogEvent::Topology(refused));
            }
            if step == LoginNeed::Relate {
                sessions.released(now, id);
            }
        }
        for group in split.next {
            let mut part = self.request(request.queue, group.members);
            part.refusals = refusals;
            self.again(part, now);
        }
    }
}

/// Takes note that these devices are in the topology now; reports those that were not.
fn related(context: &mut Context<'_>, sessions: &mut Sessions, members: &[DeviceId]) {
    let now = context.now;
    let lacked = |id: &DeviceId| sessions.needs(now, *id, LoginNeed::Relate);
    let news: Vec<DeviceId> = members.iter().copied().filter(lacked).collect();
    for id in members {
        sessions.related(now, *id);
    }
    if !news.is_empty() {
        context.outbox.count().related += news.len() as u64;
        context
            .outbox
            .tell(CloudLogEvent::Topology(TopologyEvent::Related {
                names: context.identities.names(&news),
                devices: news,
            }));
    }
}
