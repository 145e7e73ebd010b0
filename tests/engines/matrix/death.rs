//! Many devices of one port die at once, and come back; or were dead from the start.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use alink_gateway::base::{Mono, Rng};

use super::devices::{Device, Devices, Item};
use super::kinds::{Style, Way};
use super::plant::{Plant, installation};

/// Long enough for all devices to be known.
const BEFORE: Duration = Duration::from_secs(60);

/// How long the time after the death is watched.
const AFTER: Duration = Duration::from_secs(240);

/// How long the schedule waits for the reply of a prompt device on a serial line.
pub(crate) const LEARNED: Duration = Duration::from_millis(100);

/// Misses until a device counts as silent, where the configuration sets no other
/// number.
const MISSES: u32 = 3;

/// The death of many devices at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Death {
    pub(crate) way: Way,
    pub(crate) all: usize,
    pub(crate) dead: usize,
    pub(crate) interval: Duration,
    /// The timeout configured; `None` is the default of the port.
    pub(crate) timeout: Option<Duration>,
    /// Whether a gateway answers for the dead by exception 0Bh.
    pub(crate) excused: bool,
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} on {:?}", self.dead, self.all, self.way)?;
        if let Some(timeout) = self.timeout {
            write!(f, ", timeout {timeout:?}")?;
        }
        match self.excused {
            true => f.write_str(", exception 0Bh for the dead"),
            false => Ok(()),
        }
    }
}

/// The course of a death.
#[derive(Clone, Debug)]
pub(crate) struct Course {
    /// Seconds until each of the dead was wanted offline; infinite if it never was.
    pub(crate) out: Vec<f64>,
    /// Seconds until each that came back was wanted online again.
    pub(crate) back: Vec<f64>,
    /// The share of its values that the worst of the living devices kept.
    pub(crate) kept: f64,
    /// Living devices that were wanted offline.
    pub(crate) false_logouts: usize,
    pub(crate) wrong: usize,
}

/// A start with some devices dead.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    /// Seconds until each of the dead was known as silent.
    pub(crate) silent: Vec<f64>,
    /// Seconds until the last of the living had all its values.
    pub(crate) read: f64,
}

impl Death {
    /// The scenarios at a Modbus TCP endpoint: fifty with a timeout of 500 ms; with the
    /// default of a second; with a gateway that answers for them; one alone.
    pub(crate) const TCP: [Death; 5] = [
        Death::tcp(50, Some(Duration::from_millis(500)), false),
        Death::tcp(50, None, false),
        Death::tcp(25, None, false),
        Death::tcp(25, None, true),
        Death::tcp(1, None, false),
    ];

    /// The scenarios on a serial line. Thirty units take all but three thousandths of its
    /// time.
    pub(crate) const LINE: [Death; 7] = [
        Death::line(1, 30, Duration::from_millis(5_400)),
        Death::line(2, 30, Duration::from_millis(5_400)),
        Death::line(3, 30, Duration::from_millis(5_400)),
        Death::line(4, 16, Duration::from_millis(5_400)),
        Death::line(8, 16, Duration::from_millis(5_400)),
        Death::line(20, 31, Duration::from_secs(10)),
        Death::line(10, 31, Duration::from_secs(10)),
    ];

    /// Describes deaths at a Modbus TCP endpoint with 100 units.
    pub(crate) const fn tcp(dead: usize, timeout: Option<Duration>, excused: bool) -> Death {
        Death {
            way: Way::Tcp,
            all: 100,
            dead,
            interval: Duration::from_secs(10),
            timeout,
            excused,
        }
    }

    /// Describes deaths on a serial line.
    pub(crate) const fn line(dead: usize, all: usize, interval: Duration) -> Death {
        Death {
            way: Way::Rtu,
            all,
            dead,
            interval,
            timeout: None,
            excused: false,
        }
    }

    /// Returns the last log-out of a course as a share of what is allowed: so many
    /// misses of so many devices, each a learned timeout, and one interval on top.
    pub(crate) fn ratio(&self, course: &Course) -> f64 {
        let last = course.out.iter().copied().fold(0.0, f64::max);
        let misses = self.dead as f64 * f64::from(MISSES) * LEARNED.as_secs_f64();
        (last - self.interval.as_secs_f64()).max(0.0) / misses
    }

    fn plant(&self, seed: u64) -> (Plant, BTreeSet<usize>) {
        let mut rng = Rng::new(seed ^ 0xD1E);
        let mut left: Vec<usize> = (0..self.all).collect();
        let dead: BTreeSet<usize> = (0..self.dead)
            .map(|_| left.remove(rng.below(left.len() as u64) as usize))
            .collect();
        let (items, turnaround) = match self.way {
            Way::Tcp => (1, Duration::from_micros(500)),
            _ => (3, Duration::from_millis(10)),
        };
        let items: Vec<Item> = (0..items)
            .map(|n| Item {
                start: 200 * n,
                count: 10,
                points: vec![200 * n, 200 * n + 9],
            })
            .collect();
        let devices = Devices {
            way: self.way,
            all: (0..self.all)
                .map(|n| Device::new(seed * 1000 + n as u64, items.clone(), Style::Refuses))
                .collect(),
            fault: None,
            culprits: BTreeSet::new(),
            log: Vec::new(),
            excused: self.excused.then(|| Duration::from_millis(5)),
            turnaround,
            rng: rng.fork(),
        };
        let port = match self.timeout {
            Some(timeout) => format!(", response_timeout: {}ms", timeout.as_millis()),
            None => String::new(),
        };
        let slices = vec![items.as_slice(); self.all];
        let spec = installation(self.way, true, self.interval, &port, &slices);
        (Plant::new(spec, devices, seed), dead)
    }

    /// Lets the devices die, and come back.
    pub(crate) fn course(&self, seed: u64) -> Course {
        block_on(self.live(seed))
    }

    async fn live(&self, seed: u64) -> Course {
        let (mut plant, dead) = self.plant(seed);
        // The moment within the interval varies.
        let moment = Rng::new(seed).below(self.interval.as_millis() as u64);
        plant.live(BEFORE + Duration::from_millis(moment)).await;
        let died = plant.now();
        set_alive(&plant, &dead, false);
        plant.live(AFTER).await;
        let back = plant.now();
        set_alive(&plant, &dead, true);
        plant.live(AFTER).await;
        let end = plant.now();
        let first = |device: usize, from: Mono, to: Mono, online: bool| {
            let mut wants = plant.wants.iter();
            let want =
                wants.find(|(at, d, on)| *d == device && *on == online && *at > from && *at <= to);
            want.map_or(f64::INFINITY, |(at, _, _)| at.since(from).as_secs_f64())
        };
        let slots = (back.since(died).as_secs_f64() / self.interval.as_secs_f64()).floor();
        let kept = |at: &Vec<Mono>| {
            let late = back + self.interval / 4;
            let came = at.iter().filter(|at| **at > died && **at <= late).count();
            (came as f64 / slots).min(1.0)
        };
        let living = plant.values.iter().filter(|(p, _)| !dead.contains(&p.0));
        let offline = plant
            .wants
            .iter()
            .filter(|(_, d, on)| !on && !dead.contains(d));
        Course {
            out: dead.iter().map(|d| first(*d, died, back, false)).collect(),
            back: dead.iter().map(|d| first(*d, back, end, true)).collect(),
            kept: living.map(|(_, at)| kept(at)).fold(1.0, f64::min),
            false_logouts: offline.count(),
            wrong: plant.wrong.len(),
        }
    }

    /// Starts with the devices dead.
    pub(crate) fn start(&self, seed: u64) -> Start {
        block_on(async {
            let (mut plant, dead) = self.plant(seed);
            set_alive(&plant, &dead, false);
            let mut silent = vec![f64::INFINITY; self.all];
            let step = Duration::from_millis(250);
            while plant.now() < Mono::START + Duration::from_secs(120) {
                plant.live(step).await;
                let now = plant.now().since(Mono::START).as_secs_f64();
                for device in &dead {
                    if silent[*device].is_infinite() && plant.is_silent(*device) {
                        silent[*device] = now;
                    }
                }
            }
            let first = |device: usize| {
                let of = plant.values.iter().filter(|(p, _)| p.0 == device);
                of.map(|(_, at)| at[0].since(Mono::START).as_secs_f64())
                    .reduce(f64::max)
                    .unwrap_or(f64::INFINITY)
            };
            let living = (0..self.all).filter(|d| !dead.contains(d));
            Start {
                silent: dead.iter().map(|d| silent[*d]).collect(),
                read: living.map(first).fold(0.0, f64::max),
            }
        })
    }
}

fn set_alive(plant: &Plant, devices: &BTreeSet<usize>, alive: bool) {
    plant.with(|all| {
        for device in devices {
            all.all[*device].alive = alive;
        }
    });
}

fn block_on<T>(life: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(life)
}

/// Returns the value below which this share of the values lies.
pub(crate) fn percentile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * share).ceil() as usize;
    values[at.clamp(1, values.len()) - 1]
}
