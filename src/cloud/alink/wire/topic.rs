//! Topics: typed, printed and parsed here only, and the filters to subscribe to.

use std::fmt;

use crate::base::{DeviceName, ProductKey};
use crate::spec::{DeviceSpec, Spec, Subscriptions};

/// The longest topic accepted: the platform's topics have 128 bytes at most ("Limits"), and
/// a topic of `/ext/rrpc` holds another behind its id. This bounds what is echoed of a
/// topic.
const LONGEST: usize = 512;

/// How the platform names a device: product and name within it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceIdentity {
    /// `productKey`.
    pub product_key: ProductKey,
    /// `deviceName`.
    pub device_name: DeviceName,
}

impl DeviceIdentity {
    /// Returns an identity of the two names.
    #[must_use]
    pub fn new(product_key: &str, device_name: &str) -> Self {
        DeviceIdentity {
            product_key: ProductKey::new(product_key),
            device_name: DeviceName::new(device_name),
        }
    }

    /// Returns the gateway's own identity.
    #[must_use]
    pub fn of_gateway(spec: &Spec) -> Self {
        DeviceIdentity {
            product_key: spec.cloud.gateway.product_key.clone(),
            device_name: spec.cloud.gateway.device_name.clone(),
        }
    }

    /// Returns a device's identity.
    #[must_use]
    pub fn of_device(device: &DeviceSpec) -> Self {
        DeviceIdentity {
            product_key: device.product_key.clone(),
            device_name: device.device_name.clone(),
        }
    }
}

impl fmt::Display for DeviceIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.product_key, self.device_name)
    }
}

/// The four session requests ("Connect or disconnect sub-devices").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SessionAsk {
    /// `combine/login`: one device.
    Login,
    /// `combine/batch_login`. The official page prints `combine/login` as the
    /// request topic here; every client that is known to work publishes to
    /// `batch_login`.
    BatchLogin,
    /// `combine/logout`: one device.
    Logout,
    /// `combine/batch_logout`.
    BatchLogout,
}

impl SessionAsk {
    const ALL: [SessionAsk; 4] = [
        SessionAsk::Login,
        SessionAsk::BatchLogin,
        SessionAsk::Logout,
        SessionAsk::BatchLogout,
    ];

    const fn tail(self) -> &'static str {
        match self {
            SessionAsk::Login => "login",
            SessionAsk::BatchLogin => "batch_login",
            SessionAsk::Logout => "logout",
            SessionAsk::BatchLogout => "batch_logout",
        }
    }
}

/// The requests that a gateway makes on its own `/sys` topics about its sub-devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GatewayAsk {
    /// `thing/topo/get`: which devices are in the gateway's topology.
    Relations,
    /// `thing/topo/add`.
    Relate,
    /// `thing/topo/delete`.
    Unrelate,
    /// `thing/sub/register`: secrets.
    Register,
    /// `thing/proxy/provisioning/product_register`: secrets, for devices whose
    /// product's secret is known.
    ProductRegister,
    /// `thing/list/found`: devices seen that the platform may not know. The
    /// tail is not `topo/list/found`.
    Found,
    /// `thing/config/get`: the file of its product's remote configuration.
    Config,
}

impl GatewayAsk {
    const ALL: [GatewayAsk; 7] = [
        GatewayAsk::Relations,
        GatewayAsk::Relate,
        GatewayAsk::Unrelate,
        GatewayAsk::Register,
        GatewayAsk::ProductRegister,
        GatewayAsk::Found,
        GatewayAsk::Config,
    ];

    /// Returns whether the reply may hold secrets, which are not for the log.
    const fn is_secret(self) -> bool {
        matches!(self, GatewayAsk::Register | GatewayAsk::ProductRegister)
    }

    const fn tail(self) -> &'static str {
        match self {
            GatewayAsk::Relations => "thing/topo/get",
            GatewayAsk::Relate => "thing/topo/add",
            GatewayAsk::Unrelate => "thing/topo/delete",
            GatewayAsk::Register => "thing/sub/register",
            GatewayAsk::ProductRegister => "thing/proxy/provisioning/product_register",
            GatewayAsk::Found => "thing/list/found",
            GatewayAsk::Config => "thing/config/get",
        }
    }
}

/// The requests of a device about its desired values ("Desired device property values").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DesiredAsk {
    /// `thing/property/desired/get`
    Get,
    /// `thing/property/desired/delete`
    Delete,
}

impl DesiredAsk {
    const ALL: [DesiredAsk; 2] = [DesiredAsk::Get, DesiredAsk::Delete];

    const fn tail(self) -> &'static str {
        match self {
            DesiredAsk::Get => "thing/property/desired/get",
            DesiredAsk::Delete => "thing/property/desired/delete",
        }
    }
}

/// The orders of the platform; each is answered on `…_reply`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OrderTopic {
    /// `thing/disable`, on the sub-device's topic, as the next two.
    Disable,
    /// `thing/enable`
    Enable,
    /// `thing/delete`
    Delete,
    /// `thing/topo/change`, on the gateway's topic, as the next.
    Change,
    /// `thing/topo/add/notify`: the gateway shall add devices by itself.
    Add,
    /// `thing/config/push`: the gateway shall take this configuration.
    Configure,
}

impl OrderTopic {
    const ALL: [OrderTopic; 6] = [
        OrderTopic::Disable,
        OrderTopic::Enable,
        OrderTopic::Delete,
        OrderTopic::Change,
        OrderTopic::Add,
        OrderTopic::Configure,
    ];

    /// Returns the topic after `/sys/{pk}/{dn}/`.
    #[must_use]
    pub const fn tail(self) -> &'static str {
        match self {
            OrderTopic::Disable => "thing/disable",
            OrderTopic::Enable => "thing/enable",
            OrderTopic::Delete => "thing/delete",
            OrderTopic::Change => "thing/topo/change",
            OrderTopic::Add => "thing/topo/add/notify",
            OrderTopic::Configure => "thing/config/push",
        }
    }
}

/// A command of the platform that wants an answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CommandTopic {
    /// `/sys/{pk}/{dn}/thing/service/…`, or another request with this tail;
    /// answered on `…_reply`.
    Thing(DeviceIdentity, String),
    /// `/sys/{pk}/{dn}/rrpc/request/{id}`, answered on `…/response/{id}`.
    Rrpc(DeviceIdentity, String),
    /// `/ext/rrpc/{id}/{tail}`, answered on the same topic.
    ExtRrpc(String, String),
}

impl CommandTopic {
    /// Returns the device that the command is for, if the topic says so.
    #[must_use]
    pub const fn device(&self) -> Option<&DeviceIdentity> {
        match self {
            CommandTopic::Thing(who, _) | CommandTopic::Rrpc(who, _) => Some(who),
            CommandTopic::ExtRrpc(..) => None,
        }
    }

    /// Returns the request of the thing model whose topic stands behind the id of an
    /// `/ext/rrpc` call; `None` if another topic stands there.
    pub(crate) fn inner(&self) -> Option<CommandTopic> {
        let CommandTopic::ExtRrpc(_, tail) = self else {
            return None;
        };
        match Topic::parse(&format!("/{tail}")) {
            Some(Topic::Command(inner @ CommandTopic::Thing(..))) => Some(inner),
            _ => None,
        }
    }

    /// Returns the id in the topic.
    pub(crate) fn message_id(&self) -> Option<&str> {
        match self {
            CommandTopic::Thing(..) => None,
            CommandTopic::Rrpc(_, id) | CommandTopic::ExtRrpc(id, _) => Some(id),
        }
    }

    /// Returns the command's name, for people.
    pub(crate) fn tail(&self) -> &str {
        match self {
            CommandTopic::Thing(_, tail) | CommandTopic::ExtRrpc(_, tail) => tail,
            CommandTopic::Rrpc(..) => "rrpc/request",
        }
    }

    /// Reads those requests on `/sys` that only the platform makes and wants answered; the
    /// others might be a device's own, sent back by a broker that matches wildcards freely.
    fn of(who: DeviceIdentity, tail: &str) -> Option<Topic> {
        if let Some(id) = tail.strip_prefix("rrpc/request/") {
            return Some(Topic::Command(CommandTopic::Rrpc(who, id.to_owned())));
        }
        if let Some(id) = tail.strip_prefix("rrpc/response/") {
            return Some(Topic::CommandReply(CommandTopic::Rrpc(who, id.to_owned())));
        }
        let (bare, reply) = match tail.strip_suffix("_reply") {
            Some(bare) => (bare, true),
            None => (tail, false),
        };
        let service = bare.strip_prefix("thing/service/");
        let known = ["thing/gateway/permit", "thing/config/log/push"].contains(&bare);
        if !known && service.is_none_or(str::is_empty) {
            return None;
        }
        let command = CommandTopic::Thing(who, bare.to_owned());
        Some(match reply {
            true => Topic::CommandReply(command),
            false => Topic::Command(command),
        })
    }
}

/// A topic this gateway uses. Sessions, packs and errors carry the *gateway's*
/// identity, a property post the device's own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// `/ext/session/{pk}/{dn}/combine/…`
    Session(DeviceIdentity, SessionAsk),
    /// `/ext/session/{pk}/{dn}/combine/…_reply`
    SessionReply(DeviceIdentity, SessionAsk),
    /// `/ext/error/{pk}/{dn}`: what the platform does to sub-devices of its own accord.
    Error(DeviceIdentity),
    /// `/ext/ntp/{pk}/{dn}/request`: asks for the time.
    Ntp(DeviceIdentity),
    /// `/ext/ntp/{pk}/{dn}/response`
    NtpReply(DeviceIdentity),
    /// `/sys/{pk}/{dn}/thing/event/property/post`
    Post(DeviceIdentity),
    /// `/sys/{pk}/{dn}/thing/event/property/post_reply`
    PostReply(DeviceIdentity),
    /// `/sys/{pk}/{dn}/thing/event/{id}/post`: an event of the thing model; the id is never
    /// `property`.
    Event(DeviceIdentity, String),
    /// `/sys/{pk}/{dn}/thing/event/{id}/post_reply`
    EventReply(DeviceIdentity, String),
    /// `/sys/{pk}/{dn}/thing/event/property/pack/post`
    Pack(DeviceIdentity),
    /// `/sys/{pk}/{dn}/thing/event/property/pack/post_reply`
    PackReply(DeviceIdentity),
    /// `/sys/{pk}/{dn}/thing/event/property/history/post`
    History(DeviceIdentity),
    /// `/sys/{pk}/{dn}/thing/event/property/history/post_reply`
    HistoryReply(DeviceIdentity),
    /// `/sys/{pk}/{dn}/thing/topo/…`, `thing/sub/…`, `thing/list/…`
    Gateway(DeviceIdentity, GatewayAsk),
    /// The topic of a gateway's request, with `_reply`.
    GatewayReply(DeviceIdentity, GatewayAsk),
    /// `/sys/{pk}/{dn}/thing/disable` and the other orders.
    Order(DeviceIdentity, OrderTopic),
    /// The topic of an order, with `_reply`: our answer.
    OrderReply(DeviceIdentity, OrderTopic),
    /// `/sys/{pk}/{dn}/thing/property/desired/…`, on the device's own topic.
    Desired(DeviceIdentity, DesiredAsk),
    /// The topic of such a request, with `_reply`.
    DesiredReply(DeviceIdentity, DesiredAsk),
    /// A property set, a service, an RRPC.
    Command(CommandTopic),
    /// Our answer to a command.
    CommandReply(CommandTopic),
    /// `/ota/device/inform/{pk}/{dn}`: reports which version runs here.
    Inform(DeviceIdentity),
}

impl Topic {
    /// Reads a topic; `None` if the gateway has no such topic, or it is longer than any of the
    /// platform's.
    #[must_use]
    pub fn parse(text: &str) -> Option<Topic> {
        if text.len() > LONGEST {
            return None;
        }
        let mut levels = text.strip_prefix('/')?.splitn(3, '/');
        match (levels.next()?, levels.next()?, levels.next()?) {
            ("ext", "session", rest) => {
                let (who, tail) = identity(rest)?;
                let tail = tail.strip_prefix("combine/")?;
                let (tail, reply) = match tail.strip_suffix("_reply") {
                    Some(tail) => (tail, true),
                    None => (tail, false),
                };
                let ask = SessionAsk::ALL.into_iter().find(|a| a.tail() == tail)?;
                Some(if reply {
                    Topic::SessionReply(who, ask)
                } else {
                    Topic::Session(who, ask)
                })
            }
            ("ext", "error", rest) => match identity(rest)? {
                (who, "") => Some(Topic::Error(who)),
                _ => None,
            },
            ("ext", "ntp", rest) => match identity(rest)? {
                (who, "request") => Some(Topic::Ntp(who)),
                (who, "response") => Some(Topic::NtpReply(who)),
                _ => None,
            },
            ("ext", "rrpc", rest) => {
                let (id, tail) = rest.split_once('/')?;
                let sound = !id.is_empty() && !tail.is_empty();
                let command = CommandTopic::ExtRrpc(id.to_owned(), tail.to_owned());
                sound.then_some(Topic::Command(command))
            }
            ("sys", ..) => {
                let (who, tail) = identity(text.strip_prefix("/sys/")?)?;
                match tail.strip_prefix("thing/event/property/") {
                    Some("post") => Some(Topic::Post(who)),
                    Some("post_reply") => Some(Topic::PostReply(who)),
                    Some("pack/post") => Some(Topic::Pack(who)),
                    Some("pack/post_reply") => Some(Topic::PackReply(who)),
                    Some("history/post") => Some(Topic::History(who)),
                    Some("history/post_reply") => Some(Topic::HistoryReply(who)),
                    Some(_) => None,
                    None => match tail.strip_prefix("thing/event/") {
                        Some(tail) => event(who, tail),
                        None => system(who, tail),
                    },
                }
            }
            ("ota", "device", rest) => match identity(rest.strip_prefix("inform/")?)? {
                (who, "") if !rest.ends_with('/') => Some(Topic::Inform(who)),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns whether a message on the topic may hold secrets, which are not for the log.
    pub(crate) const fn is_secret(&self) -> bool {
        matches!(self, Topic::GatewayReply(_, ask) if ask.is_secret())
    }

    /// Returns where the answer to this request arrives; `None` if the topic is no request.
    #[must_use]
    pub fn reply(&self) -> Option<Topic> {
        match self {
            Topic::Session(who, ask) => Some(Topic::SessionReply(who.clone(), *ask)),
            Topic::Post(who) => Some(Topic::PostReply(who.clone())),
            Topic::Event(who, id) => Some(Topic::EventReply(who.clone(), id.clone())),
            Topic::Pack(who) => Some(Topic::PackReply(who.clone())),
            Topic::History(who) => Some(Topic::HistoryReply(who.clone())),
            Topic::Gateway(who, ask) => Some(Topic::GatewayReply(who.clone(), *ask)),
            Topic::Order(who, order) => Some(Topic::OrderReply(who.clone(), *order)),
            Topic::Desired(who, ask) => Some(Topic::DesiredReply(who.clone(), *ask)),
            Topic::Command(command) => Some(Topic::CommandReply(command.clone())),
            // The answer comes on a topic of another pattern, and has no id.
            Topic::Ntp(_) | Topic::NtpReply(_) => None,
            Topic::SessionReply(..)
            | Topic::Error(_)
            | Topic::PostReply(_)
            | Topic::EventReply(..)
            | Topic::PackReply(_)
            | Topic::HistoryReply(_)
            | Topic::GatewayReply(..)
            | Topic::OrderReply(..)
            | Topic::DesiredReply(..)
            | Topic::CommandReply(_)
            | Topic::Inform(_) => None,
        }
    }
}

/// Reads `{id}/post` and `{id}/post_reply` of an event.
fn event(who: DeviceIdentity, tail: &str) -> Option<Topic> {
    let (id, what) = tail.split_once('/')?;
    let id = Some(id).filter(|id| !id.is_empty())?.to_owned();
    match what {
        "post" => Some(Topic::Event(who, id)),
        "post_reply" => Some(Topic::EventReply(who, id)),
        _ => None,
    }
}

/// Reads the relations and orders on `/sys/{pk}/{dn}/{tail}`.
fn system(who: DeviceIdentity, tail: &str) -> Option<Topic> {
    let (bare, reply) = match tail.strip_suffix("_reply") {
        Some(bare) => (bare, true),
        None => (tail, false),
    };
    let ask = GatewayAsk::ALL.into_iter().find(|a| a.tail() == bare);
    let order = OrderTopic::ALL.into_iter().find(|o| o.tail() == bare);
    if let Some(ask) = DesiredAsk::ALL.into_iter().find(|a| a.tail() == bare) {
        return Some(match reply {
            false => Topic::Desired(who, ask),
            true => Topic::DesiredReply(who, ask),
        });
    }
    match (ask, order, reply) {
        (Some(ask), _, false) => Some(Topic::Gateway(who, ask)),
        (Some(ask), _, true) => Some(Topic::GatewayReply(who, ask)),
        (None, Some(order), false) => Some(Topic::Order(who, order)),
        (None, Some(order), true) => Some(Topic::OrderReply(who, order)),
        (None, None, _) => CommandTopic::of(who, tail),
    }
}

/// Reads `{pk}/{dn}[/tail]`; an absent tail is empty.
fn identity(rest: &str) -> Option<(DeviceIdentity, &str)> {
    let (pk, rest) = rest.split_once('/')?;
    let (dn, tail) = rest.split_once('/').unwrap_or((rest, ""));
    if pk.is_empty() || dn.is_empty() {
        return None;
    }
    Some((DeviceIdentity::new(pk, dn), tail))
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Topic::Session(who, ask) => write!(f, "/ext/session/{who}/combine/{}", ask.tail()),
            Topic::SessionReply(who, ask) => {
                write!(f, "/ext/session/{who}/combine/{}_reply", ask.tail())
            }
            Topic::Error(who) => write!(f, "/ext/error/{who}"),
            Topic::Ntp(who) => write!(f, "/ext/ntp/{who}/request"),
            Topic::NtpReply(who) => write!(f, "/ext/ntp/{who}/response"),
            Topic::Post(who) => write!(f, "/sys/{who}/thing/event/property/post"),
            Topic::PostReply(who) => write!(f, "/sys/{who}/thing/event/property/post_reply"),
            Topic::Event(who, id) => write!(f, "/sys/{who}/thing/event/{id}/post"),
            Topic::EventReply(who, id) => write!(f, "/sys/{who}/thing/event/{id}/post_reply"),
            Topic::Pack(who) => write!(f, "/sys/{who}/thing/event/property/pack/post"),
            Topic::PackReply(who) => write!(f, "/sys/{who}/thing/event/property/pack/post_reply"),
            Topic::History(who) => write!(f, "/sys/{who}/thing/event/property/history/post"),
            Topic::HistoryReply(who) => {
                write!(f, "/sys/{who}/thing/event/property/history/post_reply")
            }
            Topic::Gateway(who, ask) => write!(f, "/sys/{who}/{}", ask.tail()),
            Topic::GatewayReply(who, ask) => write!(f, "/sys/{who}/{}_reply", ask.tail()),
            Topic::Order(who, order) => write!(f, "/sys/{who}/{}", order.tail()),
            Topic::OrderReply(who, order) => write!(f, "/sys/{who}/{}_reply", order.tail()),
            Topic::Desired(who, ask) => write!(f, "/sys/{who}/{}", ask.tail()),
            Topic::DesiredReply(who, ask) => write!(f, "/sys/{who}/{}_reply", ask.tail()),
            Topic::Command(CommandTopic::Thing(who, tail)) => write!(f, "/sys/{who}/{tail}"),
            Topic::CommandReply(CommandTopic::Thing(who, tail)) => {
                write!(f, "/sys/{who}/{tail}_reply")
            }
            Topic::Command(CommandTopic::Rrpc(who, id)) => {
                write!(f, "/sys/{who}/rrpc/request/{id}")
            }
            Topic::CommandReply(CommandTopic::Rrpc(who, id)) => {
                write!(f, "/sys/{who}/rrpc/response/{id}")
            }
            Topic::Command(CommandTopic::ExtRrpc(id, tail))
            | Topic::CommandReply(CommandTopic::ExtRrpc(id, tail)) => {
                write!(f, "/ext/rrpc/{id}/{tail}")
            }
            Topic::Inform(who) => write!(f, "/ota/device/inform/{who}"),
        }
    }
}

/// How many topic filters fit into one SUBSCRIBE ("Limits", 2020).
pub const PER_PACKET: usize = 8;

/// Returns the filters to subscribe to when a connection is up.
///
/// [`Subscriptions::Platform`]: the platform subscribes its published list of system topics
/// for the gateway and for each sub-device that asked for it. The session replies,
/// `/ext/error`, `/ext/ntp`, `/ext/rrpc`, the pack's reply and `topo/add/notify` are not in
/// that list, so the gateway subscribes to them. The orders on sub-devices' topics are not
/// in the list either, but would need wildcards, which the platform may refuse; a disabling
/// or enabling also comes as `topo/change`, which is in the list.
/// [`Subscriptions::Broker`]: the broker subscribes nothing for the gateway.
/// Each filter is exact where it can be: a wildcard over `combine/` would bring our own
/// requests back from a plain broker. At most [`PER_PACKET`] of them go into one packet.
#[must_use]
pub fn filters(gateway: &DeviceIdentity, who: Subscriptions) -> Vec<String> {
    let mut filters: Vec<String> = SessionAsk::ALL
        .into_iter()
        .map(|ask| Topic::SessionReply(gateway.clone(), ask).to_string())
        .collect();
    filters.push(Topic::Error(gateway.clone()).to_string());
    filters.push(Topic::PackReply(gateway.clone()).to_string());
    filters.push(Topic::Order(gateway.clone(), OrderTopic::Add).to_string());
    filters.push(Topic::NtpReply(gateway.clone()).to_string());
    // `+` is the id of the message; the topic that follows has several levels.
    filters.push("/ext/rrpc/+/#".to_owned());
    match who {
        Subscriptions::Platform => {}
        Subscriptions::Broker => {
            // Of properties and events.
            filters.push("/sys/+/+/thing/event/+/post_reply".to_owned());
            filters.push(Topic::HistoryReply(gateway.clone()).to_string());
            for order in [OrderTopic::Change, OrderTopic::Configure] {
                filters.push(Topic::Order(gateway.clone(), order).to_string());
            }
            let replies = GatewayAsk::ALL.map(|ask| Topic::GatewayReply(gateway.clone(), ask));
            filters.extend(replies.iter().map(Topic::to_string));
            for order in [OrderTopic::Disable, OrderTopic::Enable, OrderTopic::Delete] {
                filters.push(format!("/sys/+/+/{}", order.tail()));
            }
            for ask in DesiredAsk::ALL {
                filters.push(format!("/sys/+/+/{}_reply", ask.tail()));
            }
            filters.push("/sys/+/+/thing/service/#".to_owned());
            filters.push("/sys/+/+/rrpc/request/+".to_owned());
        }
    }
    filters
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(who: &DeviceIdentity) -> Vec<Topic> {
        let mut all: Vec<Topic> = SessionAsk::ALL
            .into_iter()
            .flat_map(|a| {
                [
                    Topic::Session(who.clone(), a),
                    Topic::SessionReply(who.clone(), a),
                ]
            })
            .collect();
        all.extend([
            Topic::Error(who.clone()),
            Topic::Ntp(who.clone()),
            Topic::NtpReply(who.clone()),
            Topic::Post(who.clone()),
            Topic::PostReply(who.clone()),
            Topic::Event(who.clone(), "alarms:hot_1".into()),
            Topic::EventReply(who.clone(), "hot".into()),
            Topic::Pack(who.clone()),
            Topic::PackReply(who.clone()),
            Topic::History(who.clone()),
            Topic::HistoryReply(who.clone()),
            Topic::Inform(who.clone()),
        ]);
        for ask in DesiredAsk::ALL {
            all.push(Topic::Desired(who.clone(), ask));
            all.push(Topic::DesiredReply(who.clone(), ask));
        }
        for ask in GatewayAsk::ALL {
            all.push(Topic::Gateway(who.clone(), ask));
            all.push(Topic::GatewayReply(who.clone(), ask));
        }
        let tails = ["thing/service/property/set", "thing/service/m:reset"];
        for tail in tails.into_iter().chain(["thing/gateway/permit"]) {
            let command = CommandTopic::Thing(who.clone(), tail.to_owned());
            all.push(Topic::Command(command.clone()));
            all.push(Topic::CommandReply(command));
        }
        let rrpc = CommandTopic::Rrpc(who.clone(), "7".into());
        all.push(Topic::Command(rrpc.clone()));
        all.push(Topic::CommandReply(rrpc));
        let ext = CommandTopic::ExtRrpc("7".into(), "sys/a/b/thing/service/x".into());
        all.push(Topic::Command(ext));
        for order in OrderTopic::ALL {
            all.push(Topic::Order(who.clone(), order));
            all.push(Topic::OrderReply(who.clone(), order));
        }
        all
    }

    #[test]
    fn an_rrpc_is_answered_on_a_topic_of_its_own_pattern() {
        for (asked, answered) in [
            ("/sys/a/b/rrpc/request/7", "/sys/a/b/rrpc/response/7"),
            ("/ext/rrpc/7/a/b/user/x", "/ext/rrpc/7/a/b/user/x"),
        ] {
            let reply = Topic::parse(asked).and_then(|t| t.reply()).unwrap();
            assert_eq!(reply.to_string(), answered);
        }
    }

    #[test]
    fn what_is_longer_than_any_topic_is_none() {
        let of = |name: usize| format!("/sys/a/{}/thing/disable", "n".repeat(name));
        assert!(Topic::parse(&of(32)).is_some());
        assert!(Topic::parse(&of(LONGEST)).is_none());
    }

    #[test]
    fn batch_login_goes_to_its_own_topic() {
        let gw = DeviceIdentity::new("gwPk", "gw-1");
        assert_eq!(
            Topic::Session(gw.clone(), SessionAsk::BatchLogin).to_string(),
            "/ext/session/gwPk/gw-1/combine/batch_login"
        );
        assert_eq!(
            Topic::Pack(gw).to_string(),
            "/sys/gwPk/gw-1/thing/event/property/pack/post"
        );
    }

    #[test]
    fn the_platform_needs_two_packets_and_no_filter_brings_our_own_requests_back() {
        let gw = DeviceIdentity::new("gwPk", "gw-1");
        assert!(filters(&gw, Subscriptions::Platform).len() <= 2 * PER_PACKET);
        for mode in [Subscriptions::Platform, Subscriptions::Broker] {
            for f in filters(&gw, mode) {
                let order = OrderTopic::ALL.into_iter().any(|o| f.ends_with(o.tail()));
                // Our own answers to these come back from a plain broker; their code tells
                // them apart.
                let command = ["/ext/rrpc/", "/sys/+/+/thing/service/", "/sys/+/+/rrpc/"];
                let command = command.into_iter().any(|c| f.starts_with(c));
                let theirs = command
                    || f.ends_with("_reply")
                    || f.ends_with("/response")
                    || f.starts_with("/ext/error/")
                    || order;
                assert!(theirs, "{f}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_topic_survives_the_wire(pk in "[A-Za-z0-9]{1,11}", dn in "[A-Za-z0-9_@.:-]{4,32}") {
            for topic in all(&DeviceIdentity::new(&pk, &dn)) {
                let text = topic.to_string();
                prop_assert_eq!(Topic::parse(&text), Some(topic.clone()));
                let rrpc = matches!(topic, Topic::Command(CommandTopic::Rrpc(..) | CommandTopic::ExtRrpc(..)));
                if let Some(reply) = topic.reply().filter(|_| !rrpc) {
                    prop_assert_eq!(reply.to_string(), format!("{text}_reply"));
                }
            }
        }

        #[test]
        fn no_text_is_too_strange(text in ".*") {
            if let Some(topic) = Topic::parse(&text) {
                prop_assert_eq!(topic.to_string(), text);
            }
        }
    }
}
