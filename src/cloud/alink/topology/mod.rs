//! The gateway's topology on the platform: requested when a connection is up, compared with
//! the configuration, and corrected as the policy says. Log-ins do not wait for it.
//!
//! Missing devices go to `registration/mod.rs`. A device that is not configured is deleted
//! only under [`TopologyPolicy::Mirror`], and never when more than half of the list would
//! be deleted: a gateway started with the wrong file must not take a plant apart. The other
//! small duties towards the platform wait here too: reporting the version that runs here,
//! reporting devices that the platform does not know, and answering its orders. One request
//! is under way at a time.

pub mod events;

use std::collections::{BTreeSet, VecDeque};

use crate::base::{Backoff, DeviceId, Mono, Now, Rng, Wake};
use crate::spec::{SessionLimits, TopologyPolicy};

use self::events::{TopologyEvent, UnconfiguredFate};
use crate::cloud::alink::engine::{Ask, Cloud};
use crate::cloud::alink::events::Notice;
use crate::cloud::alink::events::outbox::Outbox;
use crate::cloud::alink::requests::pace::Throttle;
use crate::cloud::alink::session::device::LoginNeed;
use crate::cloud::alink::wire::code::{Code, CodeMeaning, Remedy};
use crate::cloud::alink::wire::payload::Reply;
use crate::cloud::alink::wire::payload::relation;
use crate::cloud::alink::wire::payload::relation::RELATIONS;
use crate::cloud::alink::wire::topic::{GatewayAsk, Identity, Topic};

/// How many answers to orders may wait for the connection's pace. An order beyond that is
/// obeyed, but not answered; it is counted.
const ANSWERS: usize = 512;
/// The version reported to the platform.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A request of this file that is under way.
#[derive(Clone, Debug)]
pub(crate) enum TopologyAsk {
    /// Asks which devices are in the gateway's topology.
    Get,
    /// Deletes these relations.
    Unrelate(Vec<Identity>),
    /// Reports that these devices were found.
    Found(Vec<DeviceId>),
}

/// The requests and answers that wait to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Topology {
    policy: TopologyPolicy,
    inform: bool,
    get: Option<Mono>,
    backoff: Backoff,
    unrelate: VecDeque<Vec<Identity>>,
    found: BTreeSet<DeviceId>,
    under_way: bool,
    throttle: Throttle,
    answers: VecDeque<(Topic, Vec<u8>)>,
    rng: Rng,
}

impl Topology {
    pub(crate) fn new(limits: &SessionLimits, rng: Rng) -> Self {
        Topology {
            policy: limits.topology,
            inform: false,
            get: None,
            backoff: Backoff::new(limits.retry_floor, limits.retry_ceiling),
            unrelate: VecDeque::new(),
            found: BTreeSet::new(),
            under_way: false,
            throttle: Throttle::default(),
            answers: VecDeque::new(),
            rng,
        }
    }

    pub(crate) fn link_up(&mut self, now: Mono) {
        self.inform = true;
        self.get = (self.policy != TopologyPolicy::Leave).then_some(now);
        self.backoff.reset();
    }

    pub(crate) fn link_down(&mut self) {
        self.inform = false;
        self.get = None;
        self.unrelate.clear();
        self.found.clear();
        self.under_way = false;
        self.answers.clear();
    }

    /// Uses another policy, by which the next list is judged.
    pub(crate) fn relimit(&mut self, limits: &SessionLimits) {
        self.policy = limits.topology;
    }

    /// Takes note that the configuration has changed: the list is compared with it once
    /// more, unless that is going to happen anyway.
    pub(crate) fn look_again(&mut self, now: Mono) {
        if self.policy != TopologyPolicy::Leave && self.get.is_none() {
            self.get = Some(now);
        }
    }

    /// Drops a device that is no longer ours to report.
    pub(crate) fn forget(&mut self, id: DeviceId) {
        self.found.remove(&id);
    }

    /// Takes note of a device that answers and that the platform does not know.
    pub(crate) fn found(&mut self, id: DeviceId) {
        self.found.insert(id);
    }

    /// Queues an answer to an order; it is sent when the pace allows.
    pub(crate) fn answer(&mut self, topic: Topic, payload: Vec<u8>, outbox: &mut Outbox) {
        if self.answers.len() < ANSWERS {
            self.answers.push_back((topic, payload));
        } else {
            outbox.count().dropped_answers += 1;
        }
    }

    /// Returns when there is something to send.
    pub(crate) fn due(&self) -> Option<Wake> {
        let at_once = !self.answers.is_empty() || self.inform;
        let ask_at_once = !self.unrelate.is_empty() || !self.found.is_empty();
        let at = match (at_once, self.under_way) {
            (true, _) => Some(Mono::START),
            (false, true) => None,
            (false, false) if ask_at_once => Some(self.throttle.opens_at()),
            (false, false) => self.get.map(|at| at.max(self.throttle.opens_at())),
        };
        at.map(|at| Wake::new(at, "topology"))
    }

    /// Takes note that no answer came in time.
    pub(crate) fn lost(&mut self, now: Mono, ask: &TopologyAsk, outbox: &mut Outbox) {
        outbox.count().unanswered += 1;
        let what = "topology";
        outbox.often(now, Notice::Unanswered { what, times: 1 });
        self.under_way = false;
        match ask {
            // The next list shows whether they were deleted.
            TopologyAsk::Get | TopologyAsk::Unrelate(_) => {
                self.unrelate.clear();
                self.get = Some(now + self.backoff.failed(now, &mut self.rng));
            }
            // Reported again when the device is refused again.
            TopologyAsk::Found(_) => {}
        }
    }
}

impl Cloud {
    /// Sends one answer or request that is due.
    pub(crate) fn see_to_the_topology(&mut self, now: Now) {
        let mono = now.mono;
        if let Some((topic, payload)) = self.topology.answers.pop_front() {
            return self.publish(mono, topic, payload);
        }
        if let Some((topic, payload)) = self.commands.take(mono) {
            return self.publish(mono, topic, payload);
        }
        if std::mem::take(&mut self.topology.inform) {
            let body = relation::inform(self.pending.id(), VERSION);
            return self.publish(mono, Topic::Inform(self.gateway.clone()), body);
        }
        if self.topology.due().is_some_and(|w| w.at <= mono) {
            return self.ask_topology(mono);
        }
        self.admit(now);
        self.follow(mono);
    }

    fn ask_topology(&mut self, now: Mono) {
        let id = self.pending.id();
        let most = match self.topology.throttle.is_throttled() {
            true => Throttle::TRIAL,
            false => RELATIONS,
        };
        let (ask, payload, what) = if let Some(mut list) = self.topology.unrelate.pop_front() {
            if list.len() > most {
                self.topology.unrelate.push_front(list.split_off(most));
            }
            let body = relation::names(id, list.iter());
            (GatewayAsk::Unrelate, body, TopologyAsk::Unrelate(list))
        } else if !self.topology.found.is_empty() {
            let mut list = Vec::new();
            while list.len() < most
                && let Some(device) = self.topology.found.pop_first()
            {
                list.push(device);
            }
            let who = list.iter().map(|d| &self.identities[d.index()]);
            let body = relation::names(id, who);
            (GatewayAsk::Found, body, TopologyAsk::Found(list))
        } else {
            self.topology.get = None;
            let body = relation::relations(id);
            (GatewayAsk::Relations, body, TopologyAsk::Get)
        };
        self.topology.under_way = true;
        self.ask_gateway(now, id, ask, payload, Ask::Topology(what));
    }

    /// Takes the platform's answer to a request of this file.
    pub(crate) fn topology_answered(&mut self, now: Mono, ask: TopologyAsk, reply: &Reply) {
        self.topology.under_way = false;
        let verdict = reply.code.verdict();
        if verdict != CodeMeaning::Accepted {
            self.outbox.count().refused += 1;
        }
        if verdict == CodeMeaning::Throttled {
            return self.topology_throttled(now, ask, reply);
        }
        self.topology.throttle.passed(now);
        match (ask, verdict) {
            (TopologyAsk::Get, CodeMeaning::Accepted) => self.compare(now, &reply.named),
            (TopologyAsk::Get, _) => {
                let topology = &mut self.topology;
                let wait = topology.backoff.failed(now, &mut topology.rng);
                topology.get = Some(now + wait);
                self.topology_refused(now, "asking for the topology", reply, &[]);
            }
            (TopologyAsk::Unrelate(list), CodeMeaning::Accepted) => {
                self.outbox.count().unrelated += list.len() as u64;
                let names = identities(&list);
                self.outbox
                    .tell(Notice::Topology(TopologyEvent::Unrelated { names }));
                // Devices for which there was no room in the topology may have room now.
                self.sessions.all_cured(now, Remedy::Departure);
            }
            (TopologyAsk::Unrelate(list), _) => match &list[..] {
                // The relation is already gone, which is the wanted result.
                [_] if [Code::NO_RELATION, Code::UNKNOWN_DEVICE].contains(&reply.code) => {}
                [_] => self.topology_refused(now, "deleting from the topology", reply, &list),
                // One of them spoils the request; single requests show which.
                many => {
                    let singles = many.iter().map(|one| vec![one.clone()]);
                    self.topology.unrelate.extend(singles);
                }
            },
            (TopologyAsk::Found(_), CodeMeaning::Accepted) => {}
            (TopologyAsk::Found(list), _) => {
                let who: Vec<Identity> = list
                    .iter()
                    .map(|d| self.identities[d.index()].clone())
                    .collect();
                self.topology_refused(now, "reporting found devices", reply, &who);
            }
        }
        self.follow(now);
    }

    /// Puts off a request that was made too often, until it may be made again.
    fn topology_throttled(&mut self, now: Mono, ask: TopologyAsk, reply: &Reply) {
        let topology = &mut self.topology;
        self.outbox.count().throttled += 1;
        topology.throttle.refused(now, &mut topology.rng);
        let what = match ask {
            TopologyAsk::Get => {
                topology.get = Some(now);
                "asking for the topology"
            }
            TopologyAsk::Unrelate(list) => {
                topology.unrelate.push_front(list);
                "deleting from the topology"
            }
            TopologyAsk::Found(list) => {
                topology.found.extend(list);
                "reporting found devices"
            }
        };
        self.topology_refused(now, what, reply, &[]);
        self.follow(now);
    }

    fn topology_refused(&mut self, now: Mono, what: &'static str, reply: &Reply, who: &[Identity]) {
        // A repeated refusal of the topology request is reported ever more rarely.
        let refused = Notice::Topology(TopologyEvent::Refused {
            what,
            code: reply.code,
            message: reply.message.clone(),
            names: identities(who),
        });
        if who.is_empty() {
            self.outbox.often(now, refused);
        } else {
            self.outbox.tell(refused);
        }
    }

    /// Compares the platform's list with the configuration.
    fn compare(&mut self, now: Mono, list: &[Identity]) {
        self.topology.backoff.reset();
        let listed: BTreeSet<&Identity> = list.iter().collect();
        let known: BTreeSet<DeviceId> = listed
            .iter()
            .filter_map(|who| self.ids.get(*who).copied())
            .collect();
        for id in (0u32..).map(DeviceId).take(self.identities.len()) {
            if known.contains(&id) {
                self.sessions.listed(now, id);
                self.exists(now, id);
            } else if self.sessions.is_loose(now, id) {
                self.need(now, LoginNeed::Relate, id);
            }
        }
        let extra: Vec<Identity> = listed
            .iter()
            .filter(|who| !self.ids.contains_key(**who))
            .map(|who| (*who).clone())
            .collect();
        if extra.is_empty() {
            return;
        }
        let fate = match self.topology.policy {
            TopologyPolicy::Add | TopologyPolicy::Leave => UnconfiguredFate::Left,
            TopologyPolicy::Mirror if extra.len() * 2 > listed.len() => UnconfiguredFate::TooMany,
            TopologyPolicy::Mirror => UnconfiguredFate::Deleted,
        };
        self.outbox.tell(Notice::Topology(TopologyEvent::Extra {
            listed: listed.len(),
            extra: extra.len(),
            fate,
        }));
        if fate == UnconfiguredFate::Deleted {
            let chunks = extra.chunks(RELATIONS).map(<[Identity]>::to_vec);
            self.topology.unrelate.extend(chunks);
        }
    }
}

fn identities(list: &[Identity]) -> String {
    let names: Vec<String> = list.iter().map(Identity::to_string).collect();
    names.join(" ")
}
