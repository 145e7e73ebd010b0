//! Topics: typed, printed and parsed in one place, and who subscribes to what.

use std::fmt;

use crate::base::{DeviceName, ProductKey};
use crate::spec::Subscriptions;

/// How the platform names a device: product and name within it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Identity {
    /// `productKey`.
    pub product_key: ProductKey,
    /// `deviceName`.
    pub device_name: DeviceName,
}

impl Identity {
    /// From the two names.
    #[must_use]
    pub fn new(product_key: &str, device_name: &str) -> Self {
        Identity {
            product_key: ProductKey::new(product_key),
            device_name: DeviceName::new(device_name),
        }
    }
}

impl fmt::Display for Identity {
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

/// A topic this gateway uses. Sessions, packs and errors carry the *gateway's*
/// identity, a property post the device's own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// `/ext/session/{pk}/{dn}/combine/…`
    Session(Identity, SessionAsk),
    /// `/ext/session/{pk}/{dn}/combine/…_reply`
    SessionReply(Identity, SessionAsk),
    /// `/ext/error/{pk}/{dn}`: what the platform does to sub-devices of its
    /// own accord.
    Error(Identity),
    /// `/sys/{pk}/{dn}/thing/event/property/post`
    Post(Identity),
    /// `/sys/{pk}/{dn}/thing/event/property/post_reply`
    PostReply(Identity),
    /// `/sys/{pk}/{dn}/thing/event/property/pack/post`
    Pack(Identity),
    /// `/sys/{pk}/{dn}/thing/event/property/pack/post_reply`
    PackReply(Identity),
}

impl Topic {
    /// Reads a topic; `None` if it is none of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Topic> {
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
            ("sys", ..) => {
                let (who, tail) = identity(text.strip_prefix("/sys/")?)?;
                match tail.strip_prefix("thing/event/property/")? {
                    "post" => Some(Topic::Post(who)),
                    "post_reply" => Some(Topic::PostReply(who)),
                    "pack/post" => Some(Topic::Pack(who)),
                    "pack/post_reply" => Some(Topic::PackReply(who)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Where the answer to this request arrives; `None` if it is no request.
    #[must_use]
    pub fn reply(&self) -> Option<Topic> {
        match self {
            Topic::Session(who, ask) => Some(Topic::SessionReply(who.clone(), *ask)),
            Topic::Post(who) => Some(Topic::PostReply(who.clone())),
            Topic::Pack(who) => Some(Topic::PackReply(who.clone())),
            Topic::SessionReply(..)
            | Topic::Error(_)
            | Topic::PostReply(_)
            | Topic::PackReply(_) => None,
        }
    }
}

/// `{pk}/{dn}[/tail]`; an absent tail is empty.
fn identity(rest: &str) -> Option<(Identity, &str)> {
    let (pk, rest) = rest.split_once('/')?;
    let (dn, tail) = rest.split_once('/').unwrap_or((rest, ""));
    if pk.is_empty() || dn.is_empty() {
        return None;
    }
    Some((Identity::new(pk, dn), tail))
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Topic::Session(who, ask) => write!(f, "/ext/session/{who}/combine/{}", ask.tail()),
            Topic::SessionReply(who, ask) => {
                write!(f, "/ext/session/{who}/combine/{}_reply", ask.tail())
            }
            Topic::Error(who) => write!(f, "/ext/error/{who}"),
            Topic::Post(who) => write!(f, "/sys/{who}/thing/event/property/post"),
            Topic::PostReply(who) => write!(f, "/sys/{who}/thing/event/property/post_reply"),
            Topic::Pack(who) => write!(f, "/sys/{who}/thing/event/property/pack/post"),
            Topic::PackReply(who) => write!(f, "/sys/{who}/thing/event/property/pack/post_reply"),
        }
    }
}

/// What to subscribe to when a connection is up.
///
/// [`Subscriptions::Platform`]: the platform subscribes its published list of
/// system topics for us and for each sub-device that asked for it; the session
/// replies, `/ext/error` and the pack's reply are not in that list, so they are
/// asked for. [`Subscriptions::Broker`]: nobody subscribes anything for us.
/// Each filter is exact where it can be: a wildcard over `combine/` would
/// bring our own requests back from a plain broker.
#[must_use]
pub fn filters(gateway: &Identity, who: Subscriptions) -> Vec<String> {
    let mut filters: Vec<String> = SessionAsk::ALL
        .into_iter()
        .map(|ask| Topic::SessionReply(gateway.clone(), ask).to_string())
        .collect();
    filters.push(Topic::Error(gateway.clone()).to_string());
    filters.push(Topic::PackReply(gateway.clone()).to_string());
    match who {
        Subscriptions::Platform => {}
        Subscriptions::Broker => {
            filters.push("/sys/+/+/thing/event/property/post_reply".to_owned());
        }
    }
    filters
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(who: &Identity) -> Vec<Topic> {
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
            Topic::Post(who.clone()),
            Topic::PostReply(who.clone()),
            Topic::Pack(who.clone()),
            Topic::PackReply(who.clone()),
        ]);
        all
    }

    #[test]
    fn batch_login_goes_to_its_own_topic() {
        let gw = Identity::new("gwPk", "gw-1");
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
    fn one_subscribe_packet_is_enough_and_never_brings_our_own_words_back() {
        let gw = Identity::new("gwPk", "gw-1");
        for mode in [Subscriptions::Platform, Subscriptions::Broker] {
            let filters = filters(&gw, mode);
            assert!(filters.len() <= 8);
            for f in &filters {
                assert!(f.ends_with("_reply") || f.starts_with("/ext/error/"), "{f}");
            }
        }
    }

    proptest! {
        #[test]
        fn every_topic_survives_the_wire(pk in "[A-Za-z0-9]{1,11}", dn in "[A-Za-z0-9_@.:-]{4,32}") {
            for topic in all(&Identity::new(&pk, &dn)) {
                let text = topic.to_string();
                prop_assert_eq!(Topic::parse(&text), Some(topic.clone()));
                if let Some(reply) = topic.reply() {
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
