//! What devices need before they can log in: secrets of those that have none
//! (`thing/sub/register`) and places in the gateway's topology
//! (`thing/topo/add`).
//!
//! Devices gather in a pool per step, leave thirty a message, and come back done,
//! barred with the platform's code, or to be asked again. A refused message is
//! taken apart like a refused log-in (`batch.rs`). Adding an existing relation
//! and registering twice are taken to be harmless, so a lost answer is asked
//! again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::base::{Backoff, DeviceId, Mono, Now, Repeats, Rng, Wake};
use crate::spec::SessionLimits;

use super::alink::Reply;
use super::alink::relation::{self, RELATIONS};
use super::bar::At;
use super::batch::Group;
use super::code::Verdict;
use super::device::Step;
use super::diary::Diary;
use super::engine::{Ask, Cloud, Output};
use super::notice::Notice;
use super::pace::{Gate, MINUTE};
use super::roll::Roll;
use super::topic::{GatewayAsk, Topic};

/// As for sessions: after so many refusals that blame nobody a message is
/// searched all the same.
const PATIENCE: u32 = 3;

/// One request: for whom, and how it has fared so far.
#[derive(Clone, Debug)]
pub(super) struct Chore {
    step: Step,
    group: Group,
    backoff: Backoff,
    failures: u32,
}

/// Who waits for what.
#[derive(Clone, Debug)]
pub(super) struct Admission {
    limits: SessionLimits,
    pools: [BTreeSet<(Mono, DeviceId)>; 2],
    retries: BTreeMap<(Mono, u64), Chore>,
    /// In a pool, waiting for a retry, or under way: one place each.
    placed: BTreeSet<DeviceId>,
    gates: [Gate; 2],
    under_way: usize,
    next_key: u64,
    unanswered: Repeats,
    trouble: Repeats,
    request: Repeats,
    rng: Rng,
}

impl Admission {
    pub(super) fn new(limits: &SessionLimits, rng: Rng) -> Self {
        Admission {
            limits: limits.clone(),
            pools: Default::default(),
            retries: BTreeMap::new(),
            placed: BTreeSet::new(),
            gates: [
                Gate::new(MINUTE, MINUTE * 10),
                Gate::new(MINUTE, MINUTE * 10),
            ],
            under_way: 0,
            next_key: 0,
            unanswered: Repeats::default(),
            trouble: Repeats::default(),
            request: Repeats::default(),
            rng,
        }
    }

    /// This device needs that; once is enough.
    pub(super) fn need(&mut self, now: Mono, step: Step, id: DeviceId) {
        if self.placed.insert(id) {
            self.pools[step.index()].insert((now, id));
        }
    }

    /// Whoever still needs something says so again on the next connection.
    pub(super) fn link_down(&mut self) {
        self.pools = Default::default();
        self.retries.clear();
        self.placed.clear();
        self.under_way = 0;
    }

    /// When there is something to ask.
    pub(super) fn due(&self) -> Option<Wake> {
        if self.under_way >= self.limits.in_flight.max(1) {
            return None;
        }
        let due = Step::ALL.into_iter().filter_map(|step| {
            let at = self.step_due(step)?;
            Some(at.max(self.gates[step.index()].opens_at()))
        });
        due.min().map(|at| Wake::new(at, "admission"))
    }

    fn step_due(&self, step: Step) -> Option<Mono> {
        let pool = &self.pools[step.index()];
        let ready = pool.first().map(|(since, _)| {
            if pool.len() >= RELATIONS {
                *since
            } else {
                *since + self.limits.linger
            }
        });
        let retries = self.retries.iter().filter(|(_, c)| c.step == step);
        let retry = retries.map(|((at, _), _)| *at).next();
        [ready, retry].into_iter().flatten().min()
    }

    /// The next request that is due.
    fn take(&mut self, now: Mono) -> Option<Chore> {
        let step = Step::ALL.into_iter().find(|step| {
            let open = self.gates[step.index()].opens_at() <= now;
            open && self.step_due(*step).is_some_and(|at| at <= now)
        })?;
        let retry = self.retries.iter().find(|(_, c)| c.step == step);
        let retry = retry.map(|(key, _)| *key).filter(|(at, _)| *at <= now);
        if let Some(chore) = retry.and_then(|key| self.retries.remove(&key)) {
            return Some(chore);
        }
        let mut members = Vec::new();
        while members.len() < RELATIONS
            && let Some((_, id)) = self.pools[step.index()].pop_first()
        {
            members.push(id);
        }
        Some(self.chore(step, members))
    }

    fn chore(&self, step: Step, members: Vec<DeviceId>) -> Chore {
        Chore {
            step,
            group: Group { members },
            backoff: Backoff::new(self.limits.retry_floor, self.limits.retry_ceiling),
            failures: 0,
        }
    }

    /// Other limits from now on.
    pub(super) fn relimit(&mut self, limits: &SessionLimits) {
        self.limits = limits.clone();
    }

    /// Whether something is asked for this device, or is going to be.
    pub(super) fn has(&self, id: DeviceId) -> bool {
        self.placed.contains(&id)
    }

    fn free(&mut self, id: DeviceId) {
        self.placed.remove(&id);
    }

    fn again(&mut self, chore: Chore, at: Mono) {
        if !chore.group.members.is_empty() {
            self.next_key += 1;
            self.retries.insert((at, self.next_key), chore);
        }
    }

    fn later(&mut self, now: Mono, mut chore: Chore, least: Duration) {
        chore.failures += 1;
        let wait = chore.backoff.failed(now, &mut self.rng).max(least);
        self.again(chore, now + wait);
    }

    /// No answer came in time.
    pub(super) fn lost(&mut self, now: Mono, chore: Chore, diary: &mut Diary) {
        self.under_way = self.under_way.saturating_sub(1);
        diary.counters.unanswered += 1;
        if let Some(times) = self.unanswered.hit(now, 1) {
            let what = chore.step.words();
            diary.tell(Notice::Unanswered { what, times });
        }
        self.later(now, chore, Duration::ZERO);
    }
}

impl Cloud {
    /// Asks what is due of registration and relations.
    pub(super) fn admit(&mut self, now: Now) {
        let Some(mut chore) = self.admission.take(now.mono) else {
            return;
        };
        let (keep, leave): (Vec<_>, Vec<_>) = chore
            .group
            .members
            .into_iter()
            .partition(|id| self.sessions.needs(now.mono, *id, chore.step));
        for id in leave {
            // It may need another step first, which could not be noted while it
            // stood here for this one.
            self.admission.free(id);
            self.sessions.settle(now.mono, id, now.mono);
        }
        self.follow(now.mono);
        if keep.is_empty() {
            return;
        }
        chore.group.members = keep;
        let id = self.asks.id();
        let members = chore.group.members.iter();
        let (ask, payload) = match chore.step {
            Step::Register => {
                let who = members.map(|m| &self.identities[m.index()]);
                (GatewayAsk::Register, relation::names(id, who))
            }
            Step::Relate => {
                let list: Vec<_> = members.map(|m| self.relation(now, *m)).collect();
                (GatewayAsk::Relate, relation::relate(id, &list))
            }
        };
        self.admission.under_way += 1;
        self.ask_gateway(now.mono, id, ask, payload, Ask::Admit(chore));
    }

    /// One of the gateway's questions, on its way.
    pub(super) fn ask_gateway(
        &mut self,
        now: Mono,
        id: crate::base::AskId,
        ask: GatewayAsk,
        payload: Vec<u8>,
        what: Ask,
    ) {
        self.diary.counters.roll_messages += 1;
        self.publish(now, Topic::Gateway(self.gateway.clone(), ask), payload);
        let reply = Topic::GatewayReply(self.gateway.clone(), ask);
        let wait = self.spec.cloud.session.reply_timeout;
        self.asks.open(id, reply, what, now, wait);
    }

    /// The platform answered; `named` are the devices in its `data`.
    pub(super) fn admission_answered(
        &mut self,
        now: Mono,
        mut chore: Chore,
        reply: &Reply,
        named: &[DeviceId],
        payload: &[u8],
    ) {
        self.admission.under_way = self.admission.under_way.saturating_sub(1);
        self.admission.unanswered.over();
        let step = chore.step;
        if step == Step::Register {
            // Whatever the code: a secret that was given is taken.
            let given = self.take_secrets(now, &chore, payload);
            chore.group.members.retain(|id| !given.contains(id));
            if chore.group.members.is_empty() {
                return;
            }
        }
        let verdict = reply.code.verdict();
        if verdict != Verdict::Accepted {
            self.diary.counters.refused += 1;
        }
        match verdict {
            Verdict::Accepted if step == Step::Register => {
                // Some got none, and no reason: asked again.
                self.admission.later(now, chore, Duration::ZERO);
            }
            Verdict::Accepted => self.added(now, &chore.group.members),
            Verdict::Throttled => {
                self.diary.counters.throttled += 1;
                let gate = &mut self.admission.gates[step.index()];
                let was = gate.opens_at();
                let wait = gate.close(now, &mut self.admission.rng);
                if gate.opens_at() != was {
                    let what = step.words();
                    self.diary.tell(Notice::Throttled { what, wait });
                }
                self.admission.again(chore, now);
            }
            Verdict::Trouble => {
                if let Some(times) = self.admission.trouble.hit(now, 1) {
                    self.diary.tell(Notice::Trouble {
                        code: reply.code,
                        message: reply.message.clone(),
                        times,
                    });
                }
                if chore.failures + 1 >= PATIENCE && chore.group.members.len() > 1 {
                    self.search_admission(now, chore, reply, named);
                } else {
                    self.admission.later(now, chore, Duration::ZERO);
                }
            }
            Verdict::Request => {
                if self.admission.request.hit(now, 1).is_some() {
                    self.diary.tell(Notice::RequestRefused {
                        message: reply.message.clone(),
                        devices: chore.group.members.len(),
                    });
                }
                self.search_admission(now, chore, reply, named);
            }
            Verdict::Full | Verdict::NoSession | Verdict::Device { .. } | Verdict::Unknown => {
                self.search_admission(now, chore, reply, named);
            }
        }
    }

    /// Takes the secrets in a reply; gives whose they are.
    fn take_secrets(&mut self, now: Mono, chore: &Chore, payload: &[u8]) -> Vec<DeviceId> {
        let mut given = Vec::new();
        for (who, secret) in relation::registered(payload) {
            let id = self.ids.get(&who).copied();
            let Some(id) = id.filter(|id| chore.group.members.contains(id)) else {
                self.diary.counters.strangers += 1;
                continue;
            };
            self.admission.free(id);
            self.secrets.insert(id, secret.clone());
            self.out.push_back(Output::Keep { device: id, secret });
            self.sessions.secret_changed(now, id);
            given.push(id);
        }
        self.admission.gates[Step::Register.index()].passed();
        self.diary.counters.registered += given.len() as u64;
        if !given.is_empty() {
            let names = self.names(&given);
            let devices = given.clone();
            self.diary
                .tell(Notice::Roll(Roll::Registered { devices, names }));
        }
        given
    }

    fn added(&mut self, now: Mono, members: &[DeviceId]) {
        self.admission.gates[Step::Relate.index()].passed();
        self.admission.trouble.over();
        self.diary.counters.related += members.len() as u64;
        for &id in members {
            self.admission.free(id);
            self.sessions.related(now, id);
        }
        self.diary.tell(Notice::Roll(Roll::Related {
            devices: members.to_vec(),
            names: self.names(members),
        }));
    }

    fn search_admission(&mut self, now: Mono, chore: Chore, reply: &Reply, named: &[DeviceId]) {
        let step = chore.step;
        let split = chore.group.refused(named);
        for id in split.culprits {
            self.admission.free(id);
            if !self.spec.has(id) {
                continue;
            }
            if self.sessions.needs_bar(id, step) {
                let (code, at) = (reply.code, At::Step(step));
                let diary = &mut self.diary;
                self.sessions.bar(now, id, code, &reply.message, at, diary);
            } else {
                self.diary.tell(Notice::Roll(Roll::Refused {
                    what: "adding to the topology",
                    code: reply.code,
                    message: reply.message.clone(),
                    names: self.names(&[id]),
                }));
            }
            if step == Step::Relate {
                self.sessions.released(now, id);
            }
        }
        for group in split.next {
            let part = self.admission.chore(step, group.members);
            self.admission.again(part, now);
        }
    }

    /// Device names for the journal.
    pub(super) fn names(&self, ids: &[DeviceId]) -> String {
        let names = ids.iter().filter_map(|id| self.spec.device(*id));
        names.map(|d| d.name.as_str()).collect::<Vec<_>>().join(" ")
    }
}
