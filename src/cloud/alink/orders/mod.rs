//! What the platform orders about sub-devices, obeyed and answered; commands are in
//! [`commands`], desired values in [`desired`]. Orders are:
//! `thing/disable|enable|delete` on their topics, `thing/topo/change` and
//! `thing/topo/add/notify` on ours ("Alink protocol"; "Add a topological relationship").
//!
//! The same event may arrive by several of these ways and on `/ext/error`, in any order,
//! twice, late, or about devices that are not configured. So each order only says what is
//! true now, and repeating it changes nothing. All are answered with 200. A configured
//! device that was removed from the topology is added again after its retry block
//! (`topology: leave` leaves it out): the configuration says that it belongs here.

pub(crate) mod commands;
pub(crate) mod desired;

use std::collections::{BTreeMap, VecDeque};

use crate::base::text::excerpt;
use crate::base::{DeviceId, Mono, Wake};

use crate::cloud::alink::events::CloudLogEvent;
use crate::cloud::alink::events::outbox::Outbox;
use crate::cloud::alink::requests::context::Context;
use crate::cloud::alink::session::Sessions;
use crate::cloud::alink::session::replies::SessionLoss;
use crate::cloud::alink::topology::events::TopologyEvent;
use crate::cloud::alink::wire::code::{Code, Remedy};
use crate::cloud::alink::wire::payload::Malformed;
use crate::cloud::alink::wire::payload::Reply;
use crate::cloud::alink::wire::payload::relation::TopologyOrder;
use crate::cloud::alink::wire::topic::{DeviceIdentity, OrderTopic, Topic};

/// How many answers to orders may wait for the connection's pace. An order beyond that is
/// obeyed, but not answered; it is counted.
const ANSWERS: usize = 512;

/// The meaning of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OrderMeaning {
    Disabled,
    Enabled,
    Deleted,
    Related,
    Unrelated,
    /// The gateway shall add the device itself.
    Relate,
    Unknown,
}

impl OrderMeaning {
    /// Returns the meaning of an order. For `status` of `topo/change` the page contradicts
    /// itself about the last two; the C SDK's header and newer texts have them like this.
    const fn of(order: OrderTopic, status: Option<i64>) -> OrderMeaning {
        match (order, status) {
            (OrderTopic::Disable, _) | (OrderTopic::Change, Some(8)) => OrderMeaning::Disabled,
            (OrderTopic::Enable, _) | (OrderTopic::Change, Some(2)) => OrderMeaning::Enabled,
            (OrderTopic::Delete, _) => OrderMeaning::Deleted,
            (OrderTopic::Change, Some(0)) => OrderMeaning::Related,
            (OrderTopic::Change, Some(1)) => OrderMeaning::Unrelated,
            (OrderTopic::Add, _) => OrderMeaning::Relate,
            (OrderTopic::Change | OrderTopic::Configure, _) => OrderMeaning::Unknown,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            OrderMeaning::Disabled => "disabled",
            OrderMeaning::Enabled => "enabled",
            OrderMeaning::Deleted => "deleted",
            OrderMeaning::Related => "added to the topology",
            OrderMeaning::Unrelated => "removed from the topology",
            OrderMeaning::Relate => "to be added to the topology by the gateway",
            OrderMeaning::Unknown => "a change that this program does not know",
        }
    }
}

/// What the platform ordered last about each device, and the answers that wait.
#[derive(Clone, Debug, Default)]
pub(crate) struct Orders {
    /// The last order about each device, so that it is reported once.
    heard: BTreeMap<DeviceId, OrderMeaning>,
    answers: VecDeque<(Topic, Vec<u8>)>,
}

impl Orders {
    /// Drops the answers that wait.
    pub(crate) fn link_down(&mut self) {
        self.answers.clear();
    }

    /// Forgets a device that is no longer configured.
    pub(crate) fn forget(&mut self, id: DeviceId) {
        self.heard.remove(&id);
    }

    /// Forgets what was ordered: it was about another gateway.
    pub(crate) fn forget_all(&mut self) {
        self.heard.clear();
    }

    /// Returns when there is an answer to send.
    pub(crate) fn due(&self) -> Option<Wake> {
        let waits = !self.answers.is_empty();
        waits.then(|| Wake::new(Mono::START, "topology"))
    }

    /// Returns the next answer.
    pub(crate) fn take(&mut self) -> Option<(Topic, Vec<u8>)> {
        self.answers.pop_front()
    }

    /// Queues an answer to an order; it is sent when the pace allows.
    fn answer(&mut self, topic: Topic, payload: Vec<u8>, outbox: &mut Outbox) {
        if self.answers.len() < ANSWERS {
            self.answers.push_back((topic, payload));
        } else {
            outbox.count().dropped_answers += 1;
        }
    }

    /// Takes an order of the platform on this device's topic; returns the devices that are
    /// to be added to the topology.
    pub(crate) fn on_order(
        &mut self,
        context: &mut Context<'_>,
        sessions: &mut Sessions,
        who: &DeviceIdentity,
        order: OrderTopic,
        payload: &[u8],
    ) -> Result<Vec<DeviceId>, Malformed> {
        let Some(ordered) = TopologyOrder::parse(payload) else {
            return Err(Malformed::NotAnObject);
        };
        context.outbox.count().orders += 1;
        if let Some(answer) = ordered.answer() {
            let topic = Topic::OrderReply(who.clone(), order);
            self.answer(topic, answer, context.outbox);
        }
        let means = OrderMeaning::of(order, ordered.status);
        let about = match order {
            OrderTopic::Disable | OrderTopic::Enable | OrderTopic::Delete => {
                std::slice::from_ref(who)
            }
            OrderTopic::Change | OrderTopic::Add | OrderTopic::Configure => &ordered.named[..],
        };
        let raw = match ordered.status {
            Some(status) => format!("{}, status {status}", order.tail()),
            None => order.tail().to_owned(),
        };
        let mut news = Vec::new();
        for who in about {
            match context.identities.id(who) {
                Some(id) if self.heard.insert(id, means) != Some(means) => news.push(id),
                Some(_) => {}
                // The order about the gateway itself ends the connection, which says more
                // than this order.
                None if who == context.identities.gateway() => {}
                None => stranger(context, who, &raw),
            }
        }
        if !news.is_empty() {
            context
                .outbox
                .tell(CloudLogEvent::Topology(TopologyEvent::Ordered {
                    names: context.identities.names(&news),
                    devices: news,
                    raw,
                    means: means.words(),
                }));
        }
        let concerned = context.identities.known(about);
        for id in &concerned {
            apply_order(context, sessions, *id, means);
        }
        match means {
            // An order, so the device is added whatever the policy is, and wanted or not.
            OrderMeaning::Relate => Ok(concerned),
            OrderMeaning::Disabled
            | OrderMeaning::Enabled
            | OrderMeaning::Deleted
            | OrderMeaning::Related
            | OrderMeaning::Unrelated
            | OrderMeaning::Unknown => Ok(Vec::new()),
        }
    }
}

fn apply_order(
    context: &mut Context<'_>,
    sessions: &mut Sessions,
    id: DeviceId,
    means: OrderMeaning,
) {
    let now = context.now;
    match means {
        OrderMeaning::Disabled => ended(context, sessions, id, Code::DISABLED),
        OrderMeaning::Deleted => ended(context, sessions, id, Code::DELETED),
        OrderMeaning::Unrelated => {
            ended(context, sessions, id, Code::NO_RELATION);
            sessions.all_remedied(now, Remedy::DeviceLeaves);
        }
        OrderMeaning::Enabled => sessions.remedied(now, id, Remedy::Enabling),
        OrderMeaning::Related => {
            sessions.listed(now, id);
            sessions.exists(now, id);
        }
        OrderMeaning::Relate => {
            sessions.exists(now, id);
            sessions.forget_topology_membership(now, id);
        }
        OrderMeaning::Unknown => {}
    }
}

fn ended(context: &mut Context<'_>, sessions: &mut Sessions, id: DeviceId, code: Code) {
    let news = Reply {
        id: None,
        code,
        message: String::new(),
        named: Vec::new(),
    };
    let by = SessionLoss::Order;
    sessions.kicked(context.now, id, &news, by, context.outbox);
}

/// Reports an order about a device that is not configured.
fn stranger(context: &mut Context<'_>, who: &DeviceIdentity, raw: &str) {
    context.outbox.count().strangers += 1;
    let stranger = TopologyEvent::Stranger {
        raw: raw.to_owned(),
        who: excerpt(who.to_string().as_bytes(), 64),
        times: 1,
    };
    let stranger = CloudLogEvent::Topology(stranger);
    context.outbox.often(context.now, stranger);
}
