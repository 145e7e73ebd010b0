//! `cloud.session:`, `cloud.post:` and `cloud.store:`: limits and deadlines, none of them beyond
//! the platform's limits.

use std::time::Duration;

use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section};
use crate::config::reader::word_parsers::{bytes, choice, show_time, time, whole};
use crate::spec::{
    DropPolicy, Durability, InstanceQuota, PostPolicy, SessionLimits, StorePolicy, TopologyPolicy,
};

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// The platform's page for a limit, as a hint.
const SESSIONS: &str = "the platform's limit (\"Connect or disconnect sub-devices\")";
const LIMITS: &str = "the platform's limit (\"Limits\")";

/// The most values that may wait. A waiting value takes some 130 bytes (`tests/package --long`
/// measures it): as many as this leave room in the 512 MiB that the unit allows.
const MOST_WAITING: usize = 3_000_000;

/// The most posts in flight at once: two minutes of them at the highest message rate, longer than
/// the gateway waits for any reply.
const MOST_IN_FLIGHT: usize = 4_000;

fn limit<T>(most: T, source: &'static str, least: T) -> impl Fn(&str) -> Result<T, Expectation>
where
    T: TryFrom<u64> + PartialOrd + std::fmt::Display + Copy,
{
    move |text| {
        whole(least..=most)(text).map_err(|wrong| {
            let above = text.parse::<u64>().is_ok_and(|n| n > 0);
            if above {
                wrong.hint(format!("{most} is {source}"))
            } else {
                wrong
            }
        })
    }
}

const TOPOLOGY: [(&str, TopologyPolicy); 3] = [
    ("add", TopologyPolicy::Add),
    ("mirror", TopologyPolicy::Mirror),
    ("leave", TopologyPolicy::Leave),
];

/// Reads `session:`. What it leaves out is the instance's quota, where there is one, or the
/// default.
pub(crate) fn session(
    cloud: &Section<'_>,
    quota: Option<InstanceQuota>,
    notes: &mut Notes,
) -> SessionLimits {
    let keys = [
        "batch",
        "online",
        "linger",
        "reply_timeout",
        "retry_floor",
        "retry_ceiling",
        "logins_per_minute",
        "logins_per_second",
        "in_flight",
        "topology",
        "report_unknown",
    ];
    let s = cloud.section("session", &keys, notes);
    let d = SessionLimits::default();
    let read_time = |key: &str, lo: Duration, hi: Duration, or: Duration, notes: &mut Notes| {
        s.read(key, time(lo..=hi), notes).unwrap_or(or)
    };
    let floor = s.read("retry_floor", time(millis(100)..=secs(600)), notes);
    let ceiling = s.read("retry_ceiling", time(secs(1)..=secs(86400)), notes);
    // A value that could not be read is not compared.
    let known = floor.is_some() == s.node("retry_floor").is_some()
        && ceiling.is_some() == s.node("retry_ceiling").is_some();
    let limits = SessionLimits {
        batch: s
            .read("batch", limit(50, SESSIONS, 1), notes)
            .unwrap_or(d.batch),
        online: s
            .read("online", limit(2000, SESSIONS, 1), notes)
            .or(quota.and_then(|q| q.online))
            .unwrap_or(d.online),
        linger: read_time("linger", Duration::ZERO, secs(10), d.linger, notes),
        reply_timeout: read_time("reply_timeout", secs(1), secs(120), d.reply_timeout, notes),
        retry_floor: floor.unwrap_or(d.retry_floor),
        retry_ceiling: ceiling.unwrap_or(d.retry_ceiling),
        logins_per_minute: s
            .read(
                "logins_per_minute",
                limit(
                    5,
                    "how often one device may try before the platform answers 429",
                    1,
                ),
                notes,
            )
            .unwrap_or(d.logins_per_minute),
        // 50 times what the platform publishes, should it count a batch once.
        logins_per_second: s
            .read("logins_per_second", whole(1..=10_000), notes)
            .unwrap_or(d.logins_per_second),
        in_flight: s
            .read("in_flight", whole(1..=50), notes)
            .unwrap_or(d.in_flight),
        topology: s
            .read("topology", choice(&TOPOLOGY), notes)
            .unwrap_or(d.topology),
        report_unknown: s
            .read(
                "report_unknown",
                choice(&[("true", true), ("false", false)]),
                notes,
            )
            .unwrap_or(d.report_unknown),
    };
    if known && limits.retry_floor > limits.retry_ceiling {
        notes.error(
            s.at("retry_floor"),
            show_time(limits.retry_floor),
            Expectation::wanted(format!(
                "at most retry_ceiling, which is {}",
                show_time(limits.retry_ceiling)
            )),
        );
    }
    limits
}

/// Reads `post:`, likewise.
pub(crate) fn post(
    cloud: &Section<'_>,
    quota: Option<InstanceQuota>,
    notes: &mut Notes,
) -> PostPolicy {
    let keys = [
        "messages_per_second",
        "pack_devices",
        "pack_properties",
        "message_bytes",
        "linger",
        "reply_timeout",
        "in_flight",
        "queue",
        "allow_overload",
    ];
    let s = cloud.section("post", &keys, notes);
    let d = PostPolicy::default();
    PostPolicy {
        messages_per_second: s
            .read(
                "messages_per_second",
                limit(
                    30,
                    "where the platform begins to drop messages without a notice",
                    1,
                ),
                notes,
            )
            .or(quota.map(|q| q.messages_per_second))
            .unwrap_or(d.messages_per_second),
        pack_devices: s
            .read(
                "pack_devices",
                limit(20, "the platform's limit (error 6357)", 1),
                notes,
            )
            .unwrap_or(d.pack_devices),
        pack_properties: s
            .read(
                "pack_properties",
                limit(200, "the platform's limit (error 6106)", 1),
                notes,
            )
            .unwrap_or(d.pack_properties),
        message_bytes: s
            .read("message_bytes", limit(262_144, LIMITS, 1000), notes)
            .unwrap_or(d.message_bytes),
        linger: s
            .read("linger", time(Duration::ZERO..=secs(60)), notes)
            .unwrap_or(d.linger),
        reply_timeout: s
            .read("reply_timeout", time(secs(1)..=secs(120)), notes)
            .unwrap_or(d.reply_timeout),
        in_flight: s
            .read("in_flight", whole(1..=MOST_IN_FLIGHT), notes)
            .unwrap_or(d.in_flight),
        queue: s
            .read("queue", whole(1..=MOST_WAITING), notes)
            .unwrap_or(d.queue),
        allow_overload: s
            .read(
                "allow_overload",
                choice(&[("true", true), ("false", false)]),
                notes,
            )
            .unwrap_or(d.allow_overload),
    }
}

/// The smallest store that is of use, and the largest: eight segments; sixteen gibibytes.
const LEAST_STORE: u64 = 1 << 20;
const LARGEST_STORE: u64 = 16 << 30;

/// The ways to give up readings when the store is full.
const DROPS: [(&str, DropPolicy); 3] = [
    ("oldest", DropPolicy::Oldest),
    ("newest", DropPolicy::Newest),
    ("thin", DropPolicy::Thin),
];

/// Which readings are stored.
const DURABILITY: [(&str, Durability); 2] = [
    ("undelivered", Durability::Undelivered),
    ("always", Durability::Always),
];

/// Reads `store:`.
pub(crate) fn store(cloud: &Section<'_>, notes: &mut Notes) -> StorePolicy {
    let keys = [
        "enabled",
        "durable",
        "size",
        "age",
        "drop",
        "spill_after",
        "sync_every",
    ];
    let s = cloud.section("store", &keys, notes);
    let d = StorePolicy::default();
    StorePolicy {
        enabled: s
            .read(
                "enabled",
                choice(&[("true", true), ("false", false)]),
                notes,
            )
            .unwrap_or(d.enabled),
        durable: s
            .read("durable", choice(&DURABILITY), notes)
            .unwrap_or(d.durable),
        bytes: s
            .read("size", bytes(LEAST_STORE..=LARGEST_STORE), notes)
            .unwrap_or(d.bytes),
        age: s
            .read("age", time(secs(3600)..=secs(366 * 24 * 3600)), notes)
            .unwrap_or(d.age),
        drop: s.read("drop", choice(&DROPS), notes).unwrap_or(d.drop),
        spill_after: s
            .read("spill_after", time(secs(1)..=secs(3600)), notes)
            .unwrap_or(d.spill_after),
        sync_every: s
            .read("sync_every", time(millis(100)..=secs(300)), notes)
            .unwrap_or(d.sync_every),
    }
}
