//! Topics: the device of each, the request it carries, and its subscribers.

use crate::lab::platform::Device;

/// A topic a device publishes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Topic<'a> {
    pub device: Device,
    pub kind: Kind<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    /// `/ext/session/{pk}/{dn}/combine/{…}`
    Session(&'a str),
    /// `/ext/ntp/{pk}/{dn}/request`
    Ntp,
    /// `/sys/{pk}/{dn}/{…}`
    Sys(&'a str),
    /// `/ota/device/{…}/{pk}/{dn}`
    Ota,
    /// `/{pk}/{dn}/user/{…}`
    Custom,
}

impl<'a> Topic<'a> {
    pub(crate) fn parse(topic: &'a str) -> Option<Self> {
        let rest = topic.strip_prefix('/')?;
        let mut levels = rest.splitn(4, '/');
        let (first, second) = (levels.next()?, levels.next()?);
        let (third, rest) = (levels.next()?, levels.next()?);
        let (device, kind) = match (first, second) {
            ("ext", "session") => {
                let (name, tail) = rest.split_once('/')?;
                let ask = tail.strip_prefix("combine/")?;
                (named(third, name)?, Kind::Session(ask))
            }
            ("ext", "ntp") => {
                let (name, tail) = rest.split_once('/')?;
                if tail != "request" {
                    return None;
                }
                (named(third, name)?, Kind::Ntp)
            }
            ("ota", "device") => {
                let (product, name) = rest.split_once('/')?;
                (named(product, name)?, Kind::Ota)
            }
            ("sys", product) => (named(product, third)?, Kind::Sys(rest)),
            (product, name) if third == "user" => (named(product, name)?, Kind::Custom),
            _ => return None,
        };
        Some(Topic { device, kind })
    }
}

fn named(product: &str, name: &str) -> Option<Device> {
    let sound = |s: &str| !s.is_empty() && !s.contains(['/', '+', '#']);
    (sound(product) && sound(name)).then(|| Device::new(product, name))
}

/// Returns whether the platform, and not a device, speaks on this topic: an idle
/// listener on a foreign broker must not take such a message for a request.
#[must_use]
pub fn is_downstream(topic: &str) -> bool {
    let levels: Vec<&str> = topic.split('/').collect();
    match levels.as_slice() {
        ["", "ext", "session", _, _, "combine", what] => what.ends_with("_reply"),
        ["", "ext", "ntp", _, _, what] => *what == "response",
        ["", "ext", "error" | "register" | "regnwl", ..] => true,
        ["", "ota", "device", what, ..] => *what == "upgrade",
        ["", "sys", _, _, "rrpc", what, ..] => *what == "request",
        ["", "sys", _, _, tail @ ..] => match tail {
            // Answers of a device to the platform's own requests.
            ["thing", "service", .., last] => !last.ends_with("_reply"),
            ["thing", "disable_reply" | "enable_reply" | "delete_reply"] => false,
            ["thing", "topo", "change_reply"] | ["thing", "topo", "add", "notify_reply"] => false,
            ["thing", "config", "push_reply"] => false,
            ["thing", "disable" | "enable" | "delete"] => true,
            ["thing", "topo", "change"] | ["thing", "topo", "add", "notify"] => true,
            ["thing", "config", "push"] | ["thing", "gateway", "permit"] => true,
            ["thing", "model", "down_raw"] => true,
            [.., last] => last.ends_with("_reply"),
            [] => false,
        },
        _ => false,
    }
}

/// Returns whether a topic filter covers a topic (MQTT 3.1.1 §4.7).
pub(crate) fn covers(filter: &str, topic: &str) -> bool {
    let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
    loop {
        match (filter.next(), topic.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some(f), Some(t)) if f == "+" || f == t => {}
            _ => return false,
        }
    }
}

/// Returns whether a topic filter is well formed (MQTT 3.1.1 §4.7.1).
pub(crate) fn is_filter(filter: &str) -> bool {
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        let hash = level.contains('#') && (level != "#" || levels.peek().is_some());
        let plus = level.contains('+') && level != "+";
        if hash || plus {
            return false;
        }
    }
    !filter.is_empty()
}

/// Returns whether a device answers with this topic to `thing/disable` and its kin.
pub(crate) fn answers_an_order(tail: &str) -> bool {
    ["disable", "enable", "delete"].iter().any(|order| {
        tail.strip_prefix("thing/")
            .and_then(|t| t.strip_suffix("_reply"))
            == Some(order)
    })
}

/// Returns the product and device levels of a topic filter, wildcards included.
pub(crate) fn whose(filter: &str) -> Option<(&str, &str)> {
    let levels: Vec<&str> = filter.split('/').collect();
    match levels.as_slice() {
        ["", "sys", product, name, ..] => Some((product, name)),
        ["", "ota", "device", _, product, name] => Some((product, name)),
        ["", "shadow", _, product, name] => Some((product, name)),
        ["", "ext", "rrpc", ..] => None,
        ["", "ext", _, product, name, ..] => Some((product, name)),
        ["", "_thing" | "broadcast", ..] => None,
        ["", product, name, ..] => Some((product, name)),
        _ => None,
    }
}

/// Returns whether a topic reaches a device without any subscription, whatever its
/// client id says: two SDKs receive session replies without ever subscribing.
pub(crate) fn always_delivered(topic: &str) -> bool {
    ["/ext/session/", "/ext/error/", "/ext/register", "/ext/ntp/"]
        .iter()
        .any(|prefix| topic.starts_with(prefix))
}

/// Returns whether `_ss=1` subscribes this topic by the published list, as far as this
/// model speaks there (help.aliyun.com, "automatically subscribed topics").
pub(crate) fn subscribed_by_platform(topic: &str) -> bool {
    let Some(tail) = topic
        .strip_prefix("/sys/")
        .and_then(|t| t.splitn(3, '/').nth(2))
    else {
        return topic.starts_with("/ota/device/upgrade/");
    };
    [
        "thing/model/down_raw",
        "thing/model/up_raw_reply",
        "thing/event/+/post_reply",
        "thing/event/property/history/post_reply",
        "thing/deviceinfo/update_reply",
        "thing/deviceinfo/delete_reply",
        "thing/service/property/set",
        "thing/service/property/get",
        "thing/service/+",
        "rrpc/request/+",
        "thing/gateway/permit",
        "thing/topo/change",
        "thing/topo/add_reply",
        "thing/topo/delete_reply",
        "thing/topo/get_reply",
        "thing/sub/register_reply",
        "thing/sub/unregister_reply",
        "thing/proxy/provisioning/product_register_reply",
        "thing/config/push",
        "thing/config/get_reply",
        "thing/property/desired/get_reply",
        "thing/property/desired/delete_reply",
    ]
    .iter()
    .any(|filter| covers(filter, tail))
}

/// Returns whether even a lenient platform delivers the topic only to its subscribers.
pub(crate) fn needs_subscription(topic: &str) -> bool {
    topic.ends_with("/thing/event/property/batch/post_reply")
        || topic.starts_with("/ext/rrpc/")
        || matches!(
            Topic::parse(topic),
            Some(Topic {
                kind: Kind::Custom,
                ..
            })
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_of_topics_names_its_device() {
        for (topic, kind) in [
            ("/ext/session/pk/dn/combine/login", Kind::Session("login")),
            ("/ext/ntp/pk/dn/request", Kind::Ntp),
            ("/sys/pk/dn/thing/topo/add", Kind::Sys("thing/topo/add")),
            ("/ota/device/inform/pk/dn", Kind::Ota),
            ("/pk/dn/user/update", Kind::Custom),
        ] {
            let parsed = Topic::parse(topic).unwrap();
            assert_eq!(
                (parsed.device, parsed.kind),
                (Device::new("pk", "dn"), kind)
            );
        }
        for none in [
            "",
            "/",
            "sys/pk/dn/x",
            "/sys/pk",
            "/sys//dn/x",
            "/ext/ntp/pk/dn/x",
            "/ext/session/pk/dn/login",
            "/sys/+/dn/x",
            "/ö/ü/ä/ß",
        ] {
            assert_eq!(Topic::parse(none), None, "{none}");
        }
    }

    #[test]
    fn the_two_directions_are_told_apart_by_topic() {
        for down in [
            "/ext/session/g/g/combine/batch_login_reply",
            "/ext/error/g/g",
            "/ext/ntp/g/g/response",
            "/sys/g/g/thing/topo/add_reply",
            "/sys/g/g/thing/topo/change",
            "/sys/s/s/thing/event/property/post_reply",
            "/sys/s/s/thing/service/property/set",
            "/sys/s/s/thing/disable",
        ] {
            assert!(is_downstream(down), "{down}");
        }
        for up in [
            "/ext/session/g/g/combine/batch_login",
            "/ext/ntp/g/g/request",
            "/sys/g/g/thing/topo/add",
            "/sys/g/g/thing/topo/change_reply",
            "/sys/s/s/thing/event/property/post",
            "/sys/s/s/thing/service/property/set_reply",
            "/sys/s/s/thing/disable_reply",
            "/s/s/user/update",
        ] {
            assert!(!is_downstream(up), "{up}");
        }
    }

    #[test]
    fn filters_cover_as_mqtt_says() {
        assert!(covers("/sys/+/+/thing/#", "/sys/a/b/thing/event/x"));
        assert!(covers("a/#", "a"));
        assert!(covers("#", "a/b"));
        assert!(!covers("a/+", "a"));
        assert!(!covers("a/+", "a/b/c"));
        assert!(is_filter("/a/+/#") && !is_filter("/a/#/b") && !is_filter("a+") && !is_filter(""));
    }
}
