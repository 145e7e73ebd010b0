//! The metrics: the counted figures, by names that do not change.
//!
//! [`TABLE`] is the interface. `packaging/metrics.md` shows it to people, and a test keeps
//! the two equal. A metric is never renamed or given another meaning: a new metric is
//! added. The format is OpenMetrics, written by prometheus-client's encoder.

use std::collections::BTreeMap;

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::command::VerdictWord;
use super::picture::{BusState, Device, Link, Port, Presence, Status, Store};
use crate::base::histogram::{BOUNDS_US, Histogram};

/// All figures, at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// The status of the whole.
    pub status: Status,
    /// All devices.
    pub devices: Vec<Device>,
    /// The time from request to reply, per port, in the order of the status.
    pub replies: Vec<Histogram>,
    /// The time from the wish until a device was online.
    pub logins: Histogram,
    /// Messages published.
    pub published: u64,
    /// Requests to the platform without a reply in time.
    pub unanswered: u64,
    /// Replies with code 429.
    pub throttled: u64,
    /// Devices that wait after a refusal (retry block).
    pub refused: u64,
    /// Sessions ended by the platform.
    pub kicked: u64,
    /// Devices logged out by this gateway, by reason.
    pub logouts: BTreeMap<&'static str, u64>,
    /// Commands that were answered, by what became of them.
    pub commands: BTreeMap<VerdictWord, u64>,
    /// Events of the thing model.
    pub events: EventFigures,
}

/// What became of events of the thing model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFigures {
    /// How many were raised.
    pub raised: u64,
    /// How many wait in memory.
    pub waiting: u64,
    /// How many the platform accepted.
    pub delivered: u64,
    /// How many were dropped, by cause; causes without one are in it too.
    pub dropped: BTreeMap<&'static str, u64>,
}

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// The metric only grows; its name ends in `_total` in the text.
    Counter,
    /// The metric goes up and down.
    Gauge,
    /// Counts in the classes of [`BOUNDS_US`], in seconds.
    Histogram,
}

impl MetricKind {
    /// Returns the type as one word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        }
    }

    const fn type_of(self) -> MetricType {
        match self {
            MetricKind::Counter => MetricType::Counter,
            MetricKind::Gauge => MetricType::Gauge,
            MetricKind::Histogram => MetricType::Histogram,
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// The name, without the `_total` of a counter.
    pub name: &'static str,
    /// The type.
    pub kind: MetricKind,
    /// The labels of each of its samples.
    pub labels: &'static [&'static str],
    /// The meaning, in a sentence without its full stop.
    pub help: &'static str,
    samples: fn(&Figures, &mut Samples),
}

/// The value of one sample of a metric.
#[derive(Clone, Debug)]
enum SampleValue {
    Count(u64),
    Number(f64),
    Times(Histogram),
}

/// The values of a metric's labels, each with its sample.
type Samples = Vec<(Vec<String>, SampleValue)>;

const fn metric(
    name: &'static str,
    kind: MetricKind,
    labels: &'static [&'static str],
    help: &'static str,
    samples: fn(&Figures, &mut Samples),
) -> Metric {
    Metric {
        name,
        kind,
        labels,
        help,
        samples,
    }
}

/// All metrics.
pub const TABLE: [Metric; 43] = [
    metric(
        "alink_gateway_build_info",
        MetricKind::Gauge,
        &["version"],
        "Always 1; the version is a label",
        |f, to| to.push((vec![f.status.version.clone()], SampleValue::Number(1.0))),
    ),
    metric(
        "alink_gateway_uptime_seconds",
        MetricKind::Gauge,
        &[],
        "How long the service has been running",
        |f, to| number(to, seconds(f.status.uptime_ms)),
    ),
    metric(
        "alink_gateway_cloud_up",
        MetricKind::Gauge,
        &[],
        "1 while connected to the platform, else 0",
        |f, to| number(to, flag(f.status.cloud.link == Link::Up)),
    ),
    metric(
        "alink_gateway_cloud_connects",
        MetricKind::Counter,
        &[],
        "Connections to the platform that were established",
        |f, to| count(to, f.status.cloud.connects),
    ),
    metric(
        "alink_gateway_cloud_takeover_seconds",
        MetricKind::Gauge,
        &[],
        "From the last connection until all devices that ought to be were online; absent until they are",
        |f, to| {
            if let Some(ms) = f.status.cloud.takeover_ms {
                number(to, seconds(ms));
            }
        },
    ),
    metric(
        "alink_gateway_cloud_wanted_devices",
        MetricKind::Gauge,
        &[],
        "Devices that ought to be online, because they answer",
        |f, to| number(to, f.status.cloud.wanted as f64),
    ),
    metric(
        "alink_gateway_cloud_online_devices",
        MetricKind::Gauge,
        &[],
        "Devices the platform shows online",
        |f, to| number(to, f.status.cloud.online as f64),
    ),
    metric(
        "alink_gateway_login_seconds",
        MetricKind::Histogram,
        &[],
        "From the wish, or the connection if that came later, until a device was online",
        |f, to| to.push((Vec::new(), SampleValue::Times(f.logins.clone()))),
    ),
    metric(
        "alink_gateway_messages_published",
        MetricKind::Counter,
        &[],
        "Messages sent to the platform",
        |f, to| count(to, f.published),
    ),
    metric(
        "alink_gateway_requests_unanswered",
        MetricKind::Counter,
        &[],
        "Requests to the platform without a reply in time",
        |f, to| count(to, f.unanswered),
    ),
    metric(
        "alink_gateway_replies_throttled",
        MetricKind::Counter,
        &[],
        "Replies of the platform with code 429",
        |f, to| count(to, f.throttled),
    ),
    metric(
        "alink_gateway_devices_refused",
        MetricKind::Counter,
        &[],
        "Refusals of a device by the platform that made it wait",
        |f, to| count(to, f.refused),
    ),
    metric(
        "alink_gateway_sessions_ended_by_platform",
        MetricKind::Counter,
        &[],
        "Sessions of devices ended by the platform",
        |f, to| count(to, f.kicked),
    ),
    metric(
        "alink_gateway_device_logouts",
        MetricKind::Counter,
        &["reason"],
        "Devices logged out by the gateway, by the reason: silent, held, port-down, removed, refused, quota-full, connection-changes, stopping, not-heard-of",
        |f, to| {
            for (reason, n) in &f.logouts {
                to.push((vec![(*reason).to_owned()], SampleValue::Count(*n)));
            }
        },
    ),
    metric(
        "alink_gateway_commands",
        MetricKind::Counter,
        &["verdict"],
        "Commands that were answered, by what became of the whole: verified, confirmed, different, unknown, refused",
        |f, to| {
            for verdict in VerdictWord::ALL {
                let n = f.commands.get(&verdict).copied().unwrap_or(0);
                to.push((vec![verdict.word().to_owned()], SampleValue::Count(n)));
            }
        },
    ),
    metric(
        "alink_gateway_values_waiting",
        MetricKind::Gauge,
        &[],
        "Values read and not yet accepted by the platform",
        |f, to| number(to, f.status.waiting as f64),
    ),
    metric(
        "alink_gateway_values_delivered",
        MetricKind::Counter,
        &[],
        "Values the platform has accepted",
        |f, to| count(to, f.status.delivered),
    ),
    metric(
        "alink_gateway_values_not_reported",
        MetricKind::Counter,
        &[],
        "Values read and not sent, since report: of their points says so",
        |f, to| count(to, f.status.not_reported),
    ),
    metric(
        "alink_gateway_values_dropped",
        MetricKind::Counter,
        &["cause"],
        "Values lost, by cause",
        |f, to| {
            for (cause, n) in &f.status.dropped {
                to.push((vec![cause.clone()], SampleValue::Count(*n)));
            }
        },
    ),
    metric(
        "alink_gateway_events_raised",
        MetricKind::Counter,
        &[],
        "Events of the thing model that rules have raised",
        |f, to| count(to, f.events.raised),
    ),
    metric(
        "alink_gateway_events_waiting",
        MetricKind::Gauge,
        &[],
        "Events in memory that the platform has not accepted yet; others are in the store",
        |f, to| number(to, f.events.waiting as f64),
    ),
    metric(
        "alink_gateway_events_delivered",
        MetricKind::Counter,
        &[],
        "Events the platform has accepted, those from the store included",
        |f, to| count(to, f.events.delivered),
    ),
    metric(
        "alink_gateway_events_dropped",
        MetricKind::Counter,
        &["cause"],
        "Events lost before they were in the store, by cause",
        |f, to| {
            for (cause, n) in &f.events.dropped {
                to.push((vec![(*cause).to_owned()], SampleValue::Count(*n)));
            }
        },
    ),
    metric(
        "alink_gateway_store_values",
        MetricKind::Gauge,
        &[],
        "Values in the store on flash that are still to be delivered",
        |f, to| number_of_store(f, to, |s| s.readings as f64),
    ),
    metric(
        "alink_gateway_store_bytes",
        MetricKind::Gauge,
        &[],
        "The size of the store's files",
        |f, to| number_of_store(f, to, |s| s.bytes as f64),
    ),
    metric(
        "alink_gateway_store_failing",
        MetricKind::Gauge,
        &[],
        "1 while nothing can be stored, else 0",
        |f, to| number_of_store(f, to, |s| flag(s.trouble.is_some())),
    ),
    metric(
        "alink_gateway_store_written_bytes",
        MetricKind::Counter,
        &[],
        "Bytes written to the store",
        |f, to| count_of_store(f, to, |s| s.written),
    ),
    metric(
        "alink_gateway_store_values_stored",
        MetricKind::Counter,
        &[],
        "Values handed to the store, because they could not be delivered",
        |f, to| count_of_store(f, to, |s| s.stored),
    ),
    metric(
        "alink_gateway_store_values_delivered",
        MetricKind::Counter,
        &[],
        "Values of the store that the platform has accepted",
        |f, to| count_of_store(f, to, |s| s.delivered),
    ),
    metric(
        "alink_gateway_devices",
        MetricKind::Gauge,
        &["bus", "cloud"],
        "Devices by their state on the bus and at the platform",
        |f, to| {
            for bus in BusState::ALL {
                for cloud in Presence::ALL {
                    let here = |s: &&super::picture::State| s.life == bus && s.cloud == cloud;
                    let n = f.status.states.iter().find(here).map_or(0, |s| s.devices);
                    let labels = vec![bus.word().to_owned(), cloud.word().to_owned()];
                    to.push((labels, SampleValue::Number(n as f64)));
                }
            }
        },
    ),
    metric(
        "alink_gateway_port_up",
        MetricKind::Gauge,
        &["port"],
        "1 while the port is open, else 0",
        |f, to| ports(f, to, |p| flag(p.down.is_none())),
    ),
    metric(
        "alink_gateway_port_busy_ratio",
        MetricKind::Gauge,
        &["port"],
        "Share of the clock the bus was busy in the last seconds, 0 to 1",
        |f, to| ports(f, to, |p| f64::from(p.load_permille) / 1000.0),
    ),
    metric(
        "alink_gateway_port_devices",
        MetricKind::Gauge,
        &["port"],
        "Devices configured on the port",
        |f, to| ports(f, to, |p| p.devices as f64),
    ),
    metric(
        "alink_gateway_port_answering_devices",
        MetricKind::Gauge,
        &["port"],
        "Those of them that answer",
        |f, to| ports(f, to, |p| p.answering as f64),
    ),
    metric(
        "alink_gateway_port_reply_seconds",
        MetricKind::Histogram,
        &["port"],
        "From the last byte of a request to the first of its reply",
        |f, to| {
            for (port, replies) in f.status.ports.iter().zip(&f.replies) {
                to.push((vec![port.name.clone()], SampleValue::Times(replies.clone())));
            }
        },
    ),
    metric(
        "alink_gateway_port_echoes",
        MetricKind::Counter,
        &["port", "outcome"],
        "The gateway's own requests as the port's adapter heard them: echo-expected, echo-missed where `echo: true` promised them, echo-unexpected",
        |f, to| {
            for port in &f.status.ports {
                for (outcome, n) in &port.echoes {
                    to.push((
                        vec![port.name.clone(), outcome.clone()],
                        SampleValue::Count(*n),
                    ));
                }
            }
        },
    ),
    metric(
        "alink_gateway_port_probes",
        MetricKind::Counter,
        &["port"],
        "Requests that are not in the plan: to tell replies apart, or for a sign of life from a device that does not answer; at most 2 % of the port's time",
        |f, to| {
            for port in &f.status.ports {
                to.push((vec![port.name.clone()], SampleValue::Count(port.probes)));
            }
        },
    ),
    metric(
        "alink_gateway_device_alive",
        MetricKind::Gauge,
        &["device", "port"],
        "1 while the device answers on its bus, else 0",
        |f, to| {
            let alive = |d: &Device| matches!(d.life, BusState::Alive | BusState::Suspect);
            devices(f, to, |d| Some(flag(alive(d))));
        },
    ),
    metric(
        "alink_gateway_device_online",
        MetricKind::Gauge,
        &["device", "port"],
        "1 while the platform shows the device online, else 0",
        |f, to| devices(f, to, |d| Some(flag(d.cloud == Presence::Online))),
    ),
    metric(
        "alink_gateway_device_answered_seconds",
        MetricKind::Gauge,
        &["device", "port"],
        "How long ago the device last proved that it is alive; absent until it does",
        |f, to| devices(f, to, |d| d.answered_ms.map(seconds)),
    ),
    metric(
        "alink_gateway_device_reply_p95_seconds",
        MetricKind::Gauge,
        &["device", "port"],
        "Nineteen of twenty of the device's last 32 replies took at most this long",
        |f, to| devices(f, to, |d| d.rtt.map(|r| r.p95_us as f64 / 1e6)),
    ),
    metric(
        "alink_gateway_device_polls",
        MetricKind::Counter,
        &["device", "port", "outcome"],
        "Transactions with the device, by result: answer, timeout, garbled, foreign, late, port, exception-CODE, gateway-exception-CODE",
        |f, to| {
            for d in &f.devices {
                for (outcome, n) in &d.outcomes {
                    let labels = vec![d.name.clone(), d.port.clone(), outcome.clone()];
                    to.push((labels, SampleValue::Count(*n)));
                }
            }
        },
    ),
    metric(
        "alink_gateway_device_no_value",
        MetricKind::Counter,
        &["device", "port"],
        "Points for which a reply of the device held no value, so that nothing was sent: out of range (min, max), marked as invalid, not a number; the journal says which (device-no-value)",
        |f, to| {
            for d in &f.devices {
                let labels = vec![d.name.clone(), d.port.clone()];
                to.push((labels, SampleValue::Count(d.no_value)));
            }
        },
    ),
];

fn number(to: &mut Samples, n: f64) {
    to.push((Vec::new(), SampleValue::Number(n)));
}

fn count(to: &mut Samples, n: u64) {
    to.push((Vec::new(), SampleValue::Count(n)));
}

fn number_of_store(f: &Figures, to: &mut Samples, of: impl Fn(&Store) -> f64) {
    if let Some(store) = &f.status.store {
        number(to, of(store));
    }
}

fn count_of_store(f: &Figures, to: &mut Samples, of: impl Fn(&Store) -> u64) {
    if let Some(store) = &f.status.store {
        count(to, of(store));
    }
}

fn ports(f: &Figures, to: &mut Samples, of: impl Fn(&Port) -> f64) {
    for port in &f.status.ports {
        to.push((vec![port.name.clone()], SampleValue::Number(of(port))));
    }
}

fn devices(f: &Figures, to: &mut Samples, of: impl Fn(&Device) -> Option<f64>) {
    for d in &f.devices {
        if let Some(n) = of(d) {
            to.push((vec![d.name.clone(), d.port.clone()], SampleValue::Number(n)));
        }
    }
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

/// Writes the figures as OpenMetrics text, with its end marker.
///
/// # Errors
/// Never for text in memory.
pub fn text(figures: Figures) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(figures));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for metric in &TABLE {
            let mut samples = Samples::new();
            (metric.samples)(self, &mut samples);
            let kind = metric.kind.type_of();
            let mut family = encoder.encode_descriptor(metric.name, metric.help, None, kind)?;
            for (values, said) in &samples {
                let labels: Vec<(&str, &str)> = metric
                    .labels
                    .iter()
                    .zip(values)
                    .map(|(name, value)| (*name, value.as_str()))
                    .collect();
                if labels.is_empty() {
                    said.encode(&mut family)?;
                } else {
                    said.encode(&mut family.encode_family(&labels)?)?;
                }
            }
        }
        Ok(())
    }
}

impl SampleValue {
    fn encode(&self, to: &mut MetricEncoder<'_>) -> Result<(), fmt::Error> {
        match self {
            SampleValue::Count(n) => to.encode_counter::<NoLabelSet, u64, f64>(n, None),
            SampleValue::Number(n) => to.encode_gauge(n),
            SampleValue::Times(times) => {
                let bounds = BOUNDS_US.map(|us| us as f64 / 1e6);
                let bounds = bounds.into_iter().chain([f64::INFINITY]);
                let buckets: Vec<(f64, u64)> = bounds.zip(times.counts).collect();
                let sum = times.sum_us as f64 / 1e6;
                to.encode_histogram::<NoLabelSet>(sum, times.count(), &buckets, None)
            }
        }
    }
}

#[cfg(test)]
mod tests;
