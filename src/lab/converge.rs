//! How quickly the cloud shows what the bus shows: measured, on virtual time, with the
//! real cloud engine at one end and the model of the platform at the other.
//!
//! The measurement begins at the gateway's own verdict about a device ("it answers",
//! "it is silent") and ends when the platform acts on it: at that moment the state in
//! the cloud is right, whatever becomes of the answer. The time that the bus side takes
//! to reach its verdict depends on poll intervals and is no part of this. There are two
//! stories: all devices at once (a site starts, a site loses power), and one by one,
//! each device at a moment of its own within five minutes.
//!
//! This is the only part of the lab that drives an engine of the product, because its
//! purpose is to measure that engine. It judges by the ledger of the model alone.

mod figures;
mod recovery;
mod report;
mod site;
mod takeover;

use std::time::Duration;

use crate::base::Rng;
use crate::lab::platform::FailedBatchNames;
pub use recovery::{Recovery, Slow, Throughput};
use report::Spread;
pub use report::{Bound, Summary, Target};
use site::{Conditions, ConvergeSite};

/// What is measured: sizes, losses and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Seeds per row.
    pub seeds: u64,
    /// Numbers of devices.
    pub sizes: Vec<u32>,
    /// Share of messages lost, each way, in thousandths.
    pub losses: Vec<u32>,
    /// Seeds per world of [`Recovery`].
    pub recovery_seeds: u64,
    /// How slow replies are, and how many are lost, while values are sent.
    pub slow: Vec<Slow>,
}

impl Plan {
    /// Returns the plan of the published figures.
    #[must_use]
    pub fn whole(seeds: u64) -> Self {
        Plan {
            seeds,
            sizes: vec![60, 2000],
            losses: vec![0, 50, 200],
            recovery_seeds: seeds.div_ceil(5),
            slow: vec![
                Slow::secs(0, 0, 0),
                Slow::secs(0, 0, 200),
                Slow::secs(1, 2, 0),
                Slow::secs(1, 2, 200),
                Slow::secs(3, 5, 100),
                Slow::secs(6, 8, 0),
                Slow::secs(6, 8, 200),
                Slow::secs(11, 14, 0),
            ],
        }
    }
}

/// Whether all devices change at one moment or each at its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeTiming {
    /// All devices at one instant.
    AtOnce,
    /// Each at its own moment within five minutes.
    OneByOne,
}

/// One row: how long it took, over all devices and seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// How many devices there are.
    pub devices: u32,
    /// Messages lost each way, in thousandths.
    pub loss: u32,
    /// The timing of the row.
    pub timing: ChangeTiming,
    /// From "it answers" to "online at the platform".
    pub online: Spread,
    /// From "it is silent" to "logged out at the platform".
    pub logout: Spread,
}

/// Everything measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Seeds per row.
    pub seeds: u64,
    /// The table.
    pub rows: Vec<Row>,
    /// Log-in messages for 2,000 healthy devices.
    pub messages_clean_2000: u64,
    /// Log-in messages at worst to find three unnamed culprits among 50.
    pub messages_3_unnamed_of_50: u64,
    /// From CONNACK until 2,000 are online, with the pacer opened.
    pub all_2000_opened: Duration,
    /// The same at the default pace.
    pub all_2000_default: Duration,
    /// CONNECTs of two gateways with one certificate within ten minutes.
    pub takeover_connects: u64,
    /// The longest time offline while a server ends three connections within 15 s
    /// each.
    pub flap_offline: Duration,
    /// How the gateway recovers from faults of the platform.
    pub recovery: Recovery,
}

/// The span within which devices come and go one by one.
const WITHIN: Duration = Duration::from_secs(300);
/// The longest time to wait for a row; a device that is not done by then is counted as
/// having taken that long.
const TIME_LIMIT: Duration = Duration::from_secs(900);

/// Measures everything. `say` receives what was just measured.
#[must_use]
pub fn measure(plan: &Plan, mut say: impl FnMut(&str)) -> Measured {
    let mut rows = Vec::new();
    for &devices in &plan.sizes {
        for &loss in &plan.losses {
            for timing in [ChangeTiming::AtOnce, ChangeTiming::OneByOne] {
                let row = measure_row(devices, loss, timing, plan.seeds);
                say(&row.line());
                rows.push(row);
            }
        }
    }
    let (all_2000_opened, messages_clean_2000) = all_online(2000, 10_000);
    let (all_2000_default, _) = all_online(2000, 200);
    Measured {
        seeds: plan.seeds,
        rows,
        messages_clean_2000,
        messages_3_unnamed_of_50: (0..plan.seeds).map(search).max().unwrap_or_default(),
        all_2000_opened,
        all_2000_default,
        takeover_connects: (0..plan.seeds)
            .map(takeover::connects_in_ten_minutes)
            .max()
            .unwrap_or_default(),
        flap_offline: (0..plan.seeds)
            .map(takeover::offline_while_flapping)
            .max()
            .unwrap_or_default(),
        recovery: recovery::measure(plan, &mut say),
    }
}

fn measure_row(devices: u32, loss: u32, timing: ChangeTiming, seeds: u64) -> Row {
    let (mut online, mut logout) = (Vec::new(), Vec::new());
    for seed in 0..seeds {
        let mut rng = Rng::new(seed ^ u64::from(devices) << 32 ^ u64::from(loss) << 20);
        let conditions = Conditions {
            loss,
            ..Conditions::default()
        };
        let mut site = ConvergeSite::new(devices, conditions, rng.fork());
        site.connect();
        let within = match timing {
            ChangeTiming::AtOnce => Duration::ZERO,
            ChangeTiming::OneByOne => WITHIN,
        };
        online.extend(site.all_begin_to_answer(within, TIME_LIMIT, &mut rng));
        // Requests that are still unanswered come to rest first.
        site.live(Duration::from_secs(120));
        logout.extend(site.all_fall_silent(within, TIME_LIMIT, &mut rng));
    }
    Row {
        devices,
        loss,
        timing,
        online: Spread::of(online),
        logout: Spread::of(logout),
    }
}

/// Measures the time from CONNACK until all devices are online, and the number of
/// messages.
fn all_online(devices: u32, per_second: u32) -> (Duration, u64) {
    let conditions = Conditions {
        logins_per_second: per_second,
        ..Conditions::default()
    };
    let mut site = ConvergeSite::new(devices, conditions, Rng::new(1));
    site.make_all_answer();
    site.connect();
    let took = site.until_online(devices as usize, TIME_LIMIT);
    (took, site.login_messages())
}

/// Counts log-in messages until 47 of 50 devices are online and three have been found.
fn search(seed: u64) -> u64 {
    let mut rng = Rng::new(seed);
    let conditions = Conditions {
        names: FailedBatchNames::NoDevice,
        ..Conditions::default()
    };
    let mut site = ConvergeSite::new(50, conditions, rng.fork());
    let mut culprits = Vec::new();
    while culprits.len() < 3 {
        let one = rng.below(50) as u32;
        if !culprits.contains(&one) {
            culprits.push(one);
        }
    }
    site.refuse(&culprits);
    site.make_all_answer();
    site.connect();
    site.until_online(47, TIME_LIMIT);
    site.live(Duration::from_secs(5));
    site.login_messages()
}
