//! What the platform orders about sub-devices, obeyed and answered:
//! `thing/disable|enable|delete` on their topics, `thing/topo/change` and
//! `thing/topo/add/notify` on ours ("Alink protocol"; "Add a topological relationship").
//!
//! The same event may arrive by several of these ways and on `/ext/error`, in any order,
//! twice, late, or about devices that are not configured. So each order only says what is
//! true now, and repeating it changes nothing. All are answered with 200. A configured
//! device that was removed from the topology is added again after its retry block
//! (`topology: leave` leaves it out): the configuration says that it belongs here.

pub(crate) mod unsupported;

use crate::base::text::excerpt;
use crate::base::{DeviceId, Mono, Now};

use crate::cloud::alink::engine::Cloud;
use crate::cloud::alink::events::Notice;
use crate::cloud::alink::session::device::LoginNeed;
use crate::cloud::alink::session::replies::SessionLoss;
use crate::cloud::alink::topology::events::TopologyEvent;
use crate::cloud::alink::wire::code::{Code, Remedy};
use crate::cloud::alink::wire::payload::Malformed;
use crate::cloud::alink::wire::payload::Reply;
use crate::cloud::alink::wire::payload::relation::Ordered;
use crate::cloud::alink::wire::topic::{Identity, Order, Topic};

/// The meaning of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CommandKind {
    Disabled,
    Enabled,
    Deleted,
    Related,
    Unrelated,
    /// The gateway shall add the device itself.
    Relate,
    Unknown,
}

impl CommandKind {
    /// Returns the meaning of an order. For `status` of `topo/change` the page contradicts
    /// itself about the last two; the C SDK's header and newer texts have them like this.
    const fn of(order: Order, status: Option<i64>) -> CommandKind {
        match (order, status) {
            (Order::Disable, _) | (Order::Change, Some(8)) => CommandKind::Disabled,
            (Order::Enable, _) | (Order::Change, Some(2)) => CommandKind::Enabled,
            (Order::Delete, _) => CommandKind::Deleted,
            (Order::Change, Some(0)) => CommandKind::Related,
            (Order::Change, Some(1)) => CommandKind::Unrelated,
            (Order::Add, _) => CommandKind::Relate,
            (Order::Change | Order::Configure, _) => CommandKind::Unknown,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            CommandKind::Disabled => "disabled",
            CommandKind::Enabled => "enabled",
            CommandKind::Deleted => "deleted",
            CommandKind::Related => "added to the topology",
            CommandKind::Unrelated => "removed from the topology",
            CommandKind::Relate => "to be added to the topology by us",
            CommandKind::Unknown => "a change that this program does not know",
        }
    }
}

impl Cloud {
    /// Takes an order of the platform on this device's topic.
    pub(crate) fn on_order(
        &mut self,
        now: Now,
        who: &Identity,
        order: Order,
        topic: &str,
        payload: &[u8],
    ) {
        if order == Order::Configure {
            return self.on_config_pushed(now, who, topic, payload);
        }
        let Some(ordered) = Ordered::parse(payload) else {
            return self.malformed(now, topic, payload, Malformed::NotAnObject);
        };
        self.outbox.count().orders += 1;
        if let Some(answer) = ordered.answer() {
            let topic = Topic::OrderReply(who.clone(), order);
            self.topology.answer(topic, answer, &mut self.outbox);
        }
        let means = CommandKind::of(order, ordered.status);
        let about = match order {
            Order::Disable | Order::Enable | Order::Delete => std::slice::from_ref(who),
            Order::Change | Order::Add | Order::Configure => &ordered.named[..],
        };
        let raw = match ordered.status {
            Some(status) => format!("{}, status {status}", order.tail()),
            None => order.tail().to_owned(),
        };
        let mut news = Vec::new();
        for who in about {
            match self.ids.get(who).copied() {
                Some(id) if self.heard.insert(id, means) != Some(means) => news.push(id),
                Some(_) => {}
                // The order about the gateway itself ends the connection, which says more
                // than this order.
                None if *who == self.gateway => {}
                None => self.stranger(now.mono, who, &raw),
            }
        }
        if !news.is_empty() {
            self.outbox.tell(Notice::Topology(TopologyEvent::Ordered {
                names: self.names(&news),
                devices: news,
                raw,
                means: means.words(),
            }));
        }
        for who in about {
            if let Some(id) = self.ids.get(who).copied() {
                self.obey(now.mono, id, means);
            }
        }
        self.follow(now.mono);
    }

    fn obey(&mut self, now: Mono, id: DeviceId, means: CommandKind) {
        match means {
            CommandKind::Disabled => self.ended(now, id, Code::DISABLED),
            CommandKind::Deleted => self.ended(now, id, Code::DELETED),
            CommandKind::Unrelated => {
                self.ended(now, id, Code::NO_RELATION);
                self.sessions.all_cured(now, Remedy::Departure);
            }
            CommandKind::Enabled => self.sessions.cured(now, id, Remedy::Enabling),
            CommandKind::Related => {
                self.sessions.listed(now, id);
                self.exists(now, id);
            }
            CommandKind::Relate => {
                // An order, so the device is added whatever the policy is, and wanted or
                // not.
                self.exists(now, id);
                self.sessions.forget_topology_place(now, id);
                self.need(now, LoginNeed::Relate, id);
            }
            CommandKind::Unknown => {}
        }
    }

    /// Takes note that the platform says that the device exists and is ours, whatever it
    /// said before.
    pub(crate) fn exists(&mut self, now: Mono, id: DeviceId) {
        self.sessions.cured(now, id, Remedy::Relation);
        self.sessions.cured(now, id, Remedy::Existence);
    }

    fn ended(&mut self, now: Mono, id: DeviceId, code: Code) {
        let news = Reply {
            id: None,
            code,
            message: String::new(),
            named: Vec::new(),
        };
        let outbox = &mut self.outbox;
        self.sessions
            .kicked(now, id, &news, SessionLoss::Order, outbox);
    }

    pub(crate) fn stranger(&mut self, now: Mono, who: &Identity, raw: &str) {
        self.outbox.count().strangers += 1;
        let stranger = TopologyEvent::Stranger {
            raw: raw.to_owned(),
            who: excerpt(who.to_string().as_bytes(), 64),
            times: 1,
        };
        self.outbox.often(now, Notice::Topology(stranger));
    }
}
