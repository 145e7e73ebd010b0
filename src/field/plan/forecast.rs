//! How much of a line's time the configuration will take: the planner's own requests, each
//! with its cost, over their intervals.
//!
//! Pure, from the configuration alone and from known holes; nothing is measured here. Every
//! device is assumed to be alive: a line with silent devices has less to carry, not more, as
//! tries are bounded by a budget.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::base::text::counted;
use crate::base::{DeviceId, PortId};
use crate::spec::{Framing, LineSpec, PortSpec, Priority, ProfileSpec, Spec};

use super::cost::Cost;
use super::holes::Holes;
use crate::field::plan::block_address::BlockAddress;
use crate::field::plan::{PlanLimits, ReadBlock, plan};

/// The share of its time, in thousandths, above which a line has no time left for retries,
/// writes and growth.
pub const BUSY: u64 = 700;

/// All of its time.
pub const FULL: u64 = 1000;

/// What one line will have to do.
#[derive(Clone, Debug, PartialEq)]
pub struct LineForecast {
    /// Which port.
    pub port: PortId,
    /// The requests of the line; equal requests of several devices stand together.
    pub requests: Vec<RequestForecast>,
}

/// One request, and every device that it goes to.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestForecast {
    /// The devices that the request goes to, one after the other.
    pub devices: Vec<DeviceId>,
    /// The kind of device.
    pub profile: String,
    /// What is asked for.
    pub address: BlockAddress,
    /// The points that it carries, as indices into the profile's points.
    pub points: Vec<u16>,
    /// How many of the entries no point covers; they are cheaper read than left out.
    pub filler: u16,
    /// How often each device is asked.
    pub interval: Duration,
    /// Whether other requests go before this one, if they do not all fit.
    pub priority: Priority,
    /// How long it takes the line, for one device.
    pub time: Duration,
    /// How much of that time its reply takes once it has begun.
    pub reply: Duration,
}

impl RequestForecast {
    /// Returns the share of the line's time, of all the devices together, in millionths.
    #[must_use]
    pub fn share(&self) -> u64 {
        let each = self.time.as_nanos() * 1_000_000 / self.interval.as_nanos().max(1);
        let all = each.saturating_mul(self.devices.len() as u128);
        u64::try_from(all).unwrap_or(u64::MAX)
    }
}

impl LineForecast {
    /// Returns the share of its time that the line will be in use, in thousandths; a load
    /// above 1000 cannot be carried.
    #[must_use]
    pub fn load(&self) -> u64 {
        let micro = self
            .requests
            .iter()
            .fold(0u64, |sum, r| sum.saturating_add(r.share()));
        micro.div_ceil(1000)
    }

    /// Returns by how many percent of the measured load, in thousandths, the forecast is off;
    /// for benchmarks.
    #[must_use]
    pub fn error_percent(&self, measured: f64) -> f64 {
        (self.load() as f64 - measured).abs() / measured.max(1e-9) * 100.0
    }

    /// Returns the request that takes the line for longest.
    #[must_use]
    pub fn slowest(&self) -> Option<&RequestForecast> {
        // Of equal requests, the first.
        self.requests.iter().rev().max_by_key(|r| r.time)
    }

    /// Returns the kind of device that takes most of the line's time, how many devices of it
    /// there are, and its share in thousandths.
    #[must_use]
    pub fn heaviest(&self) -> Option<(&str, usize, u64)> {
        let mut kinds: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
        for request in &self.requests {
            let kind = kinds.entry(&request.profile).or_default();
            kind.0 = kind.0.max(request.devices.len());
            kind.1 = kind.1.saturating_add(request.share());
        }
        let kinds = kinds
            .into_iter()
            .map(|(name, (n, share))| (name, n, share.div_ceil(1000)));
        kinds.rev().max_by_key(|(_, _, share)| *share)
    }

    /// Returns the requests per second on the line.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let rate =
            |r: &RequestForecast| r.devices.len() as f64 / r.interval.as_secs_f64().max(1e-3);
        // The sum of no numbers is -0.0.
        self.requests.iter().map(rate).sum::<f64>() + 0.0
    }

    /// Returns the words of `plan` and `check` alike: `48 % (9600 8N1; 31 devices, 9.3
    /// requests a second; slowest: input registers 0 to 99 of meter, 263 ms)`.
    #[must_use]
    pub fn summary(&self, line: &PortSpec) -> String {
        let devices: std::collections::BTreeSet<DeviceId> = self
            .requests
            .iter()
            .flat_map(|r| r.devices.iter().copied())
            .collect();
        let slowest = self.slowest().map(|r| {
            let (what, ms) = (&r.address, millis(r.time));
            format!("; slowest request: {what} of {}, {ms}", r.profile)
        });
        format!(
            "{} ({}; {}, {:.1} requests a second{})",
            percent(self.load()),
            line_kind(&line.line),
            counted(devices.len(), "device"),
            self.rate(),
            slowest.unwrap_or_default()
        )
    }
}

/// Returns what each line will have to do, with these learned holes.
#[must_use]
pub fn forecast(spec: &Spec, known: impl Fn(&ProfileSpec) -> Holes) -> Vec<LineForecast> {
    spec.ports()
        .map(|(port, line)| line_forecast(spec, port, line, &known))
        .collect()
}

fn line_forecast(
    spec: &Spec,
    port: PortId,
    line: &PortSpec,
    known: &impl Fn(&ProfileSpec) -> Holes,
) -> LineForecast {
    /// Devices whose requests are the same and cost the same.
    struct Group {
        profile: Arc<ProfileSpec>,
        cost: Cost,
        devices: Vec<DeviceId>,
    }
    let mut groups: Vec<Group> = Vec::new();
    for (id, device) in spec.devices_on(port) {
        let cost = Cost::of(&line.line, device);
        let same = |g: &&mut Group| g.cost == cost && Arc::ptr_eq(&g.profile, &device.profile);
        match groups.iter_mut().find(same) {
            Some(group) => group.devices.push(id),
            None => groups.push(Group {
                profile: Arc::clone(&device.profile),
                cost,
                devices: vec![id],
            }),
        }
    }
    let mut requests = Vec::new();
    for Group {
        profile,
        cost,
        devices,
    } in groups
    {
        let limits = PlanLimits {
            cost,
            longest: line.budget.longest_request,
            holes: &known(&profile),
            most_bytes: None,
        };
        let of = |block: ReadBlock| RequestForecast {
            devices: devices.clone(),
            profile: profile.name.clone(),
            filler: block.filler(&profile),
            interval: block.interval,
            priority: block.priority,
            time: cost.of_block(&block.address),
            reply: cost.of_reply_to(&block.address),
            address: block.address,
            points: block.points,
        };
        requests.extend(plan(&profile, &limits).into_iter().map(of));
    }
    LineForecast { port, requests }
}

/// Writes thousandths as `38 %`.
#[must_use]
pub fn percent(permille: u64) -> String {
    match permille {
        0..100 => format!("{}.{} %", permille / 10, permille % 10),
        _ => format!("{} %", permille.div_ceil(10)),
    }
}

/// Writes a time as `45.8 ms`.
#[must_use]
pub fn millis(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

/// Names the kind of line: `9600 8E1`, `TCP`, `RTU over TCP to 9600 8E1`.
fn line_kind(line: &LineSpec) -> String {
    match line {
        LineSpec::Tcp(tcp) => {
            let over = match tcp.framing {
                None => "TCP",
                Some(Framing::Rtu) => "RTU over TCP",
                Some(Framing::Ascii) => "ASCII over TCP",
            };
            match tcp.behind {
                None => over.to_owned(),
                Some(characters) => format!("{over} to {characters}"),
            }
        }
        LineSpec::Serial(s) => {
            let ascii = match s.framing {
                Framing::Rtu => "",
                Framing::Ascii => " ASCII",
            };
            format!("{}{ascii}", s.characters())
        }
    }
}
