//! How much the configured installation sends to the platform, and how much the platform
//! takes: a forecast, from the configuration alone.
//!
//! **Decides** how many values and messages a second there will be (`gathering.rs` for the
//! messages), how much of the limit that is, and what takes most of it.
//! **Refuses to know** lines and requests: which values are read together, and when, is handed
//! in as [`PeriodicReadings`]. What is done about a load that is too high.
//!
//! Every device is assumed to be alive, online and answering, and nothing to be lost. Log-ins,
//! requests for the time and keep-alives are not counted: a device needs a fiftieth of a
//! message to log in, and then none.
//!
//! The limit is a number of messages a second. A message carries so many values, of so many
//! devices, in so many bytes, and one value of each property of a device. So the fewest
//! messages that carry everything follow from the values, from how often each device has to be
//! in a message, or from the bytes, whichever needs most. Besides, devices prove their sessions
//! in turn with a message each (`publish/session_probes.rs`), most often on a full connection. The
//! load is the share of these messages in the limit. As long as there is room, messages are sent
//! that are not full, which costs no value; so how many messages there are is a figure of its
//! own.
//!
//! Invariants:
//! - The load is never less than the share of values.
//! - The messages are never more than the limit; from a load of 100 % on they are the limit.
//! - Equal installations have equal forecasts.

mod gathering;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::base::text::{counted, grouped};
use crate::base::{DeviceId, Value};
use crate::cloud::alink::publish::session_probes;
use crate::cloud::alink::wire::payload::{MESSAGE_BYTES, PACKED_BYTES, Properties};
use crate::spec::{PostPolicy, Spec};

/// The share of the limit, in thousandths, above which there is no room left to make up for an
/// outage.
pub const BUSY: u64 = 700;

/// All of the limit.
pub const FULL: u64 = 1000;

/// A value that is read again and again.
#[derive(Clone, Debug, PartialEq)]
pub struct PeriodicValue {
    /// The index of the point in the device's profile.
    pub point: u16,
    /// What it may be, as far as its size matters.
    pub value: Value,
    /// How many of its values are sent for each that is read; one at the most.
    pub sent: f64,
}

/// Values of one device that are read together, again and again.
#[derive(Clone, Debug, PartialEq)]
pub struct PeriodicReadings {
    /// The device.
    pub device: DeviceId,
    /// How long it is from one reading to the next.
    pub interval: Duration,
    /// When they are read, counted from the beginning of the interval.
    pub phase: Duration,
    /// The values.
    pub values: Arc<[PeriodicValue]>,
}

impl PeriodicReadings {
    /// Returns how often a second they are read.
    fn rate(&self) -> f64 {
        1.0 / self.interval.as_secs_f64().max(1e-3)
    }

    /// Returns how many values a second are sent.
    fn values_per_second(&self) -> f64 {
        self.values.iter().map(|v| v.sent).sum::<f64>() * self.rate()
    }

    /// Returns how often a second a message with any of the values is sent at the least.
    fn visits_per_second(&self) -> f64 {
        self.values.iter().map(|v| v.sent).fold(0.0, f64::max) * self.rate()
    }

    /// Returns how many bytes a second the values take.
    fn bytes_per_second(&self, spec: &Spec) -> f64 {
        let points = spec.device(self.device).map(|d| &d.profile.points);
        let bytes = self.values.iter().filter_map(|v| {
            let point = points?.get(usize::from(v.point))?;
            let one = Properties::one(&point.id, &v.value, gathering::SAMPLE_TIME);
            Some((one.len() + 1) as f64 * v.sent)
        });
        bytes.sum::<f64>() * self.rate()
    }
}

/// Which limit of a message decides how many messages are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindingLimit {
    /// The number of its values.
    Values,
    /// The number of its devices.
    Devices,
    /// The number of its bytes.
    Bytes,
}

/// The kind of device that takes most of the limit.
#[derive(Clone, Debug, PartialEq)]
pub struct HeaviestKind {
    /// The profile.
    pub profile: String,
    /// How many devices have it.
    pub devices: usize,
    /// The first of them.
    pub first: DeviceId,
    /// The interval at which most of their values are read.
    pub interval: Duration,
    /// Their share of what is sent, in thousandths.
    pub share: u64,
}

/// What the installation will send.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamForecast {
    limits: PostPolicy,
    values: f64,
    needed: f64,
    messages: f64,
    bound: BindingLimit,
    heaviest: Option<HeaviestKind>,
}

impl UpstreamForecast {
    /// Computes the forecast of an installation in which these values are read.
    #[must_use]
    pub fn of(spec: &Arc<Spec>, readings: &[PeriodicReadings]) -> UpstreamForecast {
        let limits = spec.cloud.post.clone();
        let demand = Demand::of(spec, readings);
        let (needed, bound) = demand.messages(&limits);
        let most = f64::from(limits.messages_per_second.max(1));
        let messages = match needed < most {
            true => gathering::messages_per_second(spec, readings).min(most),
            false => most,
        };
        UpstreamForecast {
            values: demand.values,
            needed,
            messages,
            bound,
            heaviest: heaviest(spec, readings, bound),
            limits,
        }
    }

    /// Returns how many values a second there are to be sent.
    #[must_use]
    pub const fn values_per_second(&self) -> f64 {
        self.values
    }

    /// Returns how many messages a second carry them.
    #[must_use]
    pub const fn messages_per_second(&self) -> f64 {
        self.messages
    }

    /// Returns how many messages that is in a day.
    #[must_use]
    pub fn messages_per_day(&self) -> u64 {
        (self.messages * 86_400.0).round() as u64
    }

    /// Returns the share of values in the values that full messages could carry, in
    /// thousandths.
    #[must_use]
    pub fn values_load(&self) -> u64 {
        let a_message = self.limits.pack_properties.max(1) as f64;
        permille(self.values, self.rate() * a_message)
    }

    /// Returns the share of the limit of messages that is needed at the least, in thousandths;
    /// above 1000 values are lost.
    #[must_use]
    pub fn load(&self) -> u64 {
        permille(self.needed, self.rate())
    }

    /// Returns the load in words: `0.8 %`, `53 %`, `1,600 %`.
    #[must_use]
    pub fn percent(&self) -> String {
        let load = self.load();
        match load {
            0..100 => format!("{}.{} %", load / 10, load % 10),
            _ => format!("{} %", grouped(load.div_ceil(10))),
        }
    }

    /// Returns the words of `plan` and `check` alike: `53 % (1,000 values and 13.1 messages a
    /// second; 25 messages a second can be sent, each of 200 values and 20 devices at the
    /// most)`.
    #[must_use]
    pub fn summary(&self) -> String {
        let percent = self.percent();
        let PostPolicy {
            messages_per_second,
            pack_properties,
            pack_devices,
            message_bytes,
            ..
        } = &self.limits;
        let most = match self.bound {
            BindingLimit::Values | BindingLimit::Devices => {
                format!(
                    "{} and {}",
                    counted(*pack_properties, "value"),
                    counted(*pack_devices, "device")
                )
            }
            BindingLimit::Bytes => counted(*message_bytes, "byte"),
        };
        format!(
            "{percent} ({} values and {} messages a second; {} a second can be sent, each of {most} at the most)",
            per_second(self.values),
            per_second(self.messages),
            counted(*messages_per_second, "message"),
        )
    }

    /// Returns whether more is to be sent than can be, and that is not allowed.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.load() > FULL && !self.limits.allow_overload
    }

    /// Returns which limit of a message decides.
    #[must_use]
    pub const fn bound(&self) -> BindingLimit {
        self.bound
    }

    /// Returns the limits that the load is a share of.
    #[must_use]
    pub const fn limits(&self) -> &PostPolicy {
        &self.limits
    }

    /// Returns the kind of device that takes most of the limit, if anything is sent.
    #[must_use]
    pub const fn heaviest(&self) -> Option<&HeaviestKind> {
        self.heaviest.as_ref()
    }

    fn rate(&self) -> f64 {
        f64::from(self.limits.messages_per_second.max(1))
    }
}

/// What there is to be sent, in a second.
#[derive(Clone, Copy, Debug, Default)]
struct Demand {
    devices: usize,
    values: f64,
    /// How often devices have to be in a message, all together …
    visits: f64,
    /// … and the device that has to be in most.
    most_visits: f64,
    bytes: f64,
}

impl Demand {
    fn of(spec: &Spec, readings: &[PeriodicReadings]) -> Demand {
        let mut demand = Demand::default();
        let mut visits: BTreeMap<DeviceId, f64> = BTreeMap::new();
        for group in readings {
            demand.values += group.values_per_second();
            demand.bytes += group.bytes_per_second(spec);
            let most = visits.entry(group.device).or_default();
            *most = most.max(group.visits_per_second());
        }
        demand.devices = visits.len();
        // The sum of no numbers is -0.0.
        demand.visits = visits.values().sum::<f64>() + 0.0;
        demand.most_visits = visits.values().copied().fold(0.0, f64::max);
        demand.bytes += demand.visits * PACKED_BYTES as f64;
        demand
    }

    /// Returns how many messages a second are needed at the least, and which limit of a
    /// message decides that.
    fn messages(&self, limits: &PostPolicy) -> (f64, BindingLimit) {
        // A device proves its session with a message of its own, which takes its values along.
        let proofs = session_probes::usual_rate(self.devices, limits.messages_per_second);
        let proofs = if self.devices > 1 { proofs } else { 0.0 }.min(self.visits);
        let rest = 1.0 - proofs / self.visits.max(f64::MIN_POSITIVE);
        let room = limits.message_bytes.saturating_sub(MESSAGE_BYTES).max(1);
        let of = |what: f64, most: usize| what * rest.max(0.0) / most.max(1) as f64;
        let mut needed = (
            of(self.values, limits.pack_properties),
            BindingLimit::Values,
        );
        for other in [
            (of(self.visits, limits.pack_devices), BindingLimit::Devices),
            (of(self.most_visits, 1), BindingLimit::Devices),
            (of(self.bytes, room), BindingLimit::Bytes),
        ] {
            if other.0 > needed.0 {
                needed = other;
            }
        }
        (needed.0 + proofs, needed.1)
    }
}

fn heaviest(
    spec: &Spec,
    readings: &[PeriodicReadings],
    bound: BindingLimit,
) -> Option<HeaviestKind> {
    #[derive(Default)]
    struct DeviceKind {
        weight: f64,
        devices: BTreeSet<DeviceId>,
        by_interval: BTreeMap<Duration, f64>,
    }
    let mut kinds: BTreeMap<&str, DeviceKind> = BTreeMap::new();
    for group in readings {
        let Some(device) = spec.device(group.device) else {
            continue;
        };
        let weight = match bound {
            BindingLimit::Values => group.values_per_second(),
            BindingLimit::Devices => group.visits_per_second(),
            BindingLimit::Bytes => group.bytes_per_second(spec),
        };
        let kind = kinds.entry(&device.profile.name).or_default();
        kind.weight += weight;
        kind.devices.insert(group.device);
        *kind.by_interval.entry(group.interval).or_default() += weight;
    }
    let all: f64 = kinds.values().map(|k| k.weight).sum();
    let first_of_equals = kinds.into_iter().rev();
    let (profile, kind) = first_of_equals.max_by(|a, b| a.1.weight.total_cmp(&b.1.weight))?;
    let most = |a: &(Duration, f64), b: &(Duration, f64)| a.1.total_cmp(&b.1);
    Some(HeaviestKind {
        profile: profile.to_owned(),
        devices: kind.devices.len(),
        first: *kind.devices.first()?,
        interval: kind.by_interval.into_iter().rev().max_by(most)?.0,
        share: permille(kind.weight, all),
    })
}

/// Writes so many a second: with decimals where they matter.
fn per_second(rate: f64) -> String {
    match rate {
        100.0.. => grouped(rate.round() as u64),
        0.1.. => format!("{rate:.1}"),
        _ => format!("{rate:.4}"),
    }
}

/// Returns a share in thousandths, rounded up.
fn permille(part: f64, whole: f64) -> u64 {
    // What rounding has added in the last place is no thousandth more.
    (part / whole.max(f64::MIN_POSITIVE) * 1000.0 - 1e-6).ceil() as u64
}

#[cfg(test)]
mod tests;
