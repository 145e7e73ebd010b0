//! The gateway's topology on the platform: requested when a connection is up, compared with
//! the configuration, and corrected as the policy says. Log-ins do not wait for it.
//!
//! Missing devices go to `registration/mod.rs`. A device that is not configured is deleted
//! only under [`TopologyPolicy::Mirror`], and never when more than half of the list would
//! be deleted: a gateway started with the wrong file must not take a plant apart. Two other
//! small duties towards the platform wait here too: reporting the version that runs here,
//! and reporting devices that the platform does not know. One request is under way at a
//! time.

pub mod events;

use std::collections::{BTreeSet, VecDeque};

use crate::base::{Backoff, DeviceId, Mono, RequestId, Rng, Wake};
use crate::spec::{SessionLimits, TopologyPolicy};

use self::events::{TopologyEvent, UnconfiguredFate};
use crate::cloud::alink::events::CloudLogEvent;
use crate::cloud::alink::events::outbox::Outbox;
use crate::cloud::alink::requests::context::Context;
use crate::cloud::alink::requests::identities::Identities;
use crate::cloud::alink::requests::pace::Throttle;
use crate::cloud::alink::session::Sessions;
use crate::cloud::alink::wire::code::{Code, CodeMeaning, Remedy};
use crate::cloud::alink::wire::payload::Reply;
use crate::cloud::alink::wire::payload::relation;
use crate::cloud::alink::wire::payload::relation::RELATIONS;
use crate::cloud::alink::wire::topic::{DeviceIdentity, GatewayAsk};

/// The version reported to the platform.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A request of this file that is under way.
#[derive(Clone, Debug)]
pub(crate) enum TopologyAsk {
    /// Asks which devices are in the gateway's topology.
    Get,
    /// Deletes these relations.
    Unrelate(Vec<DeviceIdentity>),
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
    unrelate: VecDeque<Vec<DeviceIdentity>>,
    found: BTreeSet<DeviceId>,
    under_way: bool,
    throttle: Throttle,
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

    /// Returns when there is something to send.
    pub(crate) fn due(&self) -> Option<Wake> {
        let ask_at_once = !self.unrelate.is_empty() || !self.found.is_empty();
        let at = match (self.inform, self.under_way) {
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
        outbox.often(now, CloudLogEvent::Unanswered { what, times: 1 });
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

impl Topology {
    // --- requests ----------------------------------------------------------------

    /// Returns the report of the version that runs here, if it is still to be made.
    pub(crate) fn take_inform(&mut self) -> Option<&'static str> {
        std::mem::take(&mut self.inform).then_some(VERSION)
    }

    /// Returns the next request; it is under way from now on.
    pub(crate) fn take(&mut self) -> TopologyAsk {
        let most = match self.throttle.is_throttled() {
            true => Throttle::TRIAL,
            false => RELATIONS,
        };
        self.under_way = true;
        if let Some(mut list) = self.unrelate.pop_front() {
            if list.len() > most {
                self.unrelate.push_front(list.split_off(most));
            }
            TopologyAsk::Unrelate(list)
        } else if !self.found.is_empty() {
            let mut list = Vec::new();
            while list.len() < most
                && let Some(device) = self.found.pop_first()
            {
                list.push(device);
            }
            TopologyAsk::Found(list)
        } else {
            self.get = None;
            TopologyAsk::Get
        }
    }

    // --- answers -----------------------------------------------------------------

    /// Takes the platform's answer to a request of this file; returns the devices that are
    /// missing in the topology.
    pub(crate) fn answered(
        &mut self,
        context: &mut Context<'_>,
        sessions: &mut Sessions,
        ask: TopologyAsk,
        reply: &Reply,
    ) -> Vec<DeviceId> {
        self.under_way = false;
        let now = context.now;
        let verdict = reply.code.meaning_kind();
        if verdict != CodeMeaning::Accepted {
            context.outbox.count().refused += 1;
        }
        if verdict == CodeMeaning::Throttled {
            self.throttled(context, ask, reply);
            return Vec::new();
        }
        self.throttle.passed(now);
        match (ask, verdict) {
            (TopologyAsk::Get, CodeMeaning::Accepted) => {
                return self.compare(context, sessions, &reply.named);
            }
            (TopologyAsk::Get, _) => {
                let wait = self.backoff.failed(now, &mut self.rng);
                self.get = Some(now + wait);
                refused(context, "asking for the topology", reply, &[]);
            }
            (TopologyAsk::Unrelate(list), CodeMeaning::Accepted) => {
                context.outbox.count().unrelated += list.len() as u64;
                let names = identities(&list);
                context
                    .outbox
                    .tell(CloudLogEvent::Topology(TopologyEvent::Unrelated { names }));
                // Devices for which there was no room in the topology may have room now.
                sessions.all_remedied(now, Remedy::DeviceLeaves);
            }
            (TopologyAsk::Unrelate(list), _) => match &list[..] {
                // The relation is already gone, which is the wanted result.
                [_] if [Code::NO_RELATION, Code::UNKNOWN_DEVICE].contains(&reply.code) => {}
                [_] => refused(context, "deleting from the topology", reply, &list),
                // One of them spoils the request; single requests show which.
                many => {
                    let singles = many.iter().map(|one| vec![one.clone()]);
                    self.unrelate.extend(singles);
                }
            },
            (TopologyAsk::Found(_), CodeMeaning::Accepted) => {}
            (TopologyAsk::Found(list), _) => {
                let who = list.iter().map(|d| context.identities.of(*d).clone());
                let who: Vec<DeviceIdentity> = who.collect();
                refused(context, "reporting found devices", reply, &who);
            }
        }
        Vec::new()
    }

    /// Puts off a request that was made too often, until it may be made again.
    fn throttled(&mut self, context: &mut Context<'_>, ask: TopologyAsk, reply: &Reply) {
        let now = context.now;
        context.outbox.count().throttled += 1;
        self.throttle.refused(now, &mut self.rng);
        let what = match ask {
            TopologyAsk::Get => {
                self.get = Some(now);
                "asking for the topology"
            }
            TopologyAsk::Unrelate(list) => {
                self.unrelate.push_front(list);
                "deleting from the topology"
            }
            TopologyAsk::Found(list) => {
                self.found.extend(list);
                "reporting found devices"
            }
        };
        refused(context, what, reply, &[]);
    }

    /// Compares the platform's list with the configuration; returns the devices that are
    /// missing in it.
    fn compare(
        &mut self,
        context: &mut Context<'_>,
        sessions: &mut Sessions,
        list: &[DeviceIdentity],
    ) -> Vec<DeviceId> {
        let now = context.now;
        self.backoff.reset();
        let listed: BTreeSet<&DeviceIdentity> = list.iter().collect();
        let known: BTreeSet<DeviceId> = listed
            .iter()
            .filter_map(|who| context.identities.id(who))
            .collect();
        let mut missing = Vec::new();
        for id in context.identities.all() {
            if known.contains(&id) {
                sessions.listed(now, id);
                sessions.exists(now, id);
            } else if sessions.lacks_relation(now, id) {
                missing.push(id);
            }
        }
        let extra: Vec<DeviceIdentity> = listed
            .iter()
            .filter(|who| context.identities.id(who).is_none())
            .map(|who| (*who).clone())
            .collect();
        if extra.is_empty() {
            return missing;
        }
        let fate = match self.policy {
            TopologyPolicy::Add | TopologyPolicy::Leave => UnconfiguredFate::Left,
            TopologyPolicy::Mirror if extra.len() * 2 > listed.len() => UnconfiguredFate::TooMany,
            TopologyPolicy::Mirror => UnconfiguredFate::Deleted,
        };
        context
            .outbox
            .tell(CloudLogEvent::Topology(TopologyEvent::Extra {
                listed: listed.len(),
                extra: extra.len(),
                fate,
            }));
        if fate == UnconfiguredFate::Deleted {
            let chunks = extra.chunks(RELATIONS).map(<[DeviceIdentity]>::to_vec);
            self.unrelate.extend(chunks);
        }
        missing
    }
}

impl TopologyAsk {
    /// Writes the request.
    pub(crate) fn message(&self, id: RequestId, identities: &Identities) -> (GatewayAsk, Vec<u8>) {
        match self {
            TopologyAsk::Get => (GatewayAsk::Relations, relation::relations(id)),
            TopologyAsk::Unrelate(list) => (GatewayAsk::Unrelate, relation::names(id, list.iter())),
            TopologyAsk::Found(list) => {
                let who = list.iter().map(|d| identities.of(*d));
                (GatewayAsk::Found, relation::names(id, who))
            }
        }
    }
}

/// Reports a refusal. A repeated refusal of the topology request is reported ever more
/// rarely.
fn refused(context: &mut Context<'_>, what: &'static str, reply: &Reply, who: &[DeviceIdentity]) {
    let refused = CloudLogEvent::Topology(TopologyEvent::Refused {
        what,
        code: reply.code,
        message: reply.message.clone(),
        names: identities(who),
    });
    if who.is_empty() {
        context.outbox.often(context.now, refused);
    } else {
        context.outbox.tell(refused);
    }
}

fn identities(list: &[DeviceIdentity]) -> String {
    let names: Vec<String> = list.iter().map(DeviceIdentity::to_string).collect();
    names.join(" ")
}
