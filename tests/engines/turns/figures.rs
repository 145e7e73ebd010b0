//! How much time dead units take from the units that answer, and how soon returned
//! units are noticed.

use std::time::Duration;

use alink_gateway::base::{Mono, Rng};

use super::turns_line::{Delay, Line, fleet};

/// The ordinary delay of the units.
const PROMPT: Delay = Delay::Always(Duration::from_millis(10));

/// Long enough for all units to be known.
const BEFORE: Duration = Duration::from_secs(120);

/// The interval at which sixteen units take half of the line: 48 requests of
/// 56 ms.
pub(crate) const HALF_LOAD: Duration = Duration::from_millis(5_400);

/// An interval shorter than the line can keep.
const FLAT_OUT: Duration = Duration::from_millis(500);

/// The figures of the healthy units.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Healthy {
    /// The share of their polls they kept in the first minute.
    pub(crate) first_minute: f64,
    /// The same over half an hour.
    pub(crate) kept: f64,
    /// The 99th percentile of the time between two polls, in intervals.
    pub(crate) p99_gap: f64,
}

/// Lets twenty of 31 units die at once, or be dead from the start.
pub(crate) fn twenty_of_31(interval: Duration, from_the_start: bool, seed: u64) -> Healthy {
    let mut line = Line::new(&fleet(31, interval), PROMPT, seed);
    let dead = draw(31, 20, seed);
    if !from_the_start {
        line.live(BEFORE);
    }
    for device in &dead {
        line.set_alive(*device, false);
    }
    let died = line.now;
    // The gap across that moment counts.
    for at in line.polls.values_mut() {
        *at = at.split_off(at.len() - 1);
    }
    line.live(Duration::from_secs(1800));
    let healthy = |(device, _): &(usize, u16)| !dead.contains(device);
    // A gap of n intervals has lost n − 1 polls.
    let kept = |span: Duration| {
        let (mut slots, mut lost) = (0.0, 0.0);
        for (_, at) in line.polls.iter().filter(|(key, _)| healthy(key)) {
            let from_the_start = std::iter::once(died).filter(|_| from_the_start);
            let at: Vec<Mono> = from_the_start.chain(at.iter().copied()).collect();
            for gap in at.windows(2).take_while(|w| w[0].since(died) < span) {
                let n = (gap[1].since(gap[0]).as_secs_f64() / interval.as_secs_f64()).round();
                slots += n.max(1.0);
                lost += (n - 1.0).max(0.0);
            }
        }
        1.0 - lost / slots
    };
    let mut gaps: Vec<f64> = line
        .polls
        .iter()
        .filter(|(key, _)| healthy(key))
        .flat_map(|(_, at)| at.windows(2).map(|w| w[1].since(w[0]).as_secs_f64()))
        .collect();
    Healthy {
        first_minute: kept(Duration::from_secs(60)),
        kept: kept(Duration::from_secs(1800)),
        p99_gap: percentile(&mut gaps, 0.99) / interval.as_secs_f64(),
    }
}

/// The rate of each live unit relative to its former rate: the worst of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    /// In the first 25 s after the others died.
    pub(crate) first25s: f64,
    /// From then on.
    pub(crate) steady: f64,
}

/// Lets four of sixteen units die while the line is polled flat out.
pub(crate) fn four_of_16(seed: u64) -> Rates {
    let mut line = Line::new(&fleet(16, FLAT_OUT), PROMPT, seed);
    let dead = draw(16, 4, seed);
    line.live(BEFORE);
    let rates = |line: &Line, from: Mono, span: Duration| -> Vec<f64> {
        (0..16)
            .map(|d| {
                let of = line.polls.iter().filter(|((device, _), _)| *device == d);
                let within = |at: &&Mono| **at > from && at.since(from) <= span;
                of.map(|(_, at)| at.iter().filter(within).count())
                    .sum::<usize>() as f64
                    / span.as_secs_f64()
            })
            .collect()
    };
    let former = rates(&line, Mono::START + BEFORE / 2, BEFORE / 2);
    for device in &dead {
        line.set_alive(*device, false);
    }
    let died = line.now;
    line.live(Duration::from_secs(625));
    let first = Duration::from_secs(25);
    let early = rates(&line, died, first);
    let late = rates(&line, died + first, Duration::from_secs(600));
    let worst = |rates: &[f64]| {
        let live = (0..16).filter(|d| !dead.contains(d));
        live.map(|d| rates[d] / former[d])
            .fold(f64::INFINITY, f64::min)
    };
    Rates {
        first25s: worst(&early),
        steady: worst(&late),
    }
}

/// Returns how long until returns were noticed: of `dead` units among `all`, one after
/// the other comes back at some time and dies again.
pub(crate) fn returns(all: usize, dead: usize, interval: Duration, seed: u64) -> Vec<f64> {
    let mut line = Line::new(&fleet(all, interval), PROMPT, seed);
    let mut rng = Rng::new(seed);
    let gone = draw(all, dead, seed);
    line.live(BEFORE);
    for device in &gone {
        line.set_alive(*device, false);
    }
    line.live(Duration::from_secs(300));
    let mut noticed = Vec::new();
    for n in 0..30 {
        line.live(Duration::from_millis(60_000 + rng.below(20_000)));
        let device = gone[n % gone.len()];
        line.set_alive(device, true);
        line.proofs.remove(&device);
        let back = line.now;
        while !line.proofs.contains_key(&device) {
            line.live(Duration::from_millis(20));
            assert!(
                line.now.since(back) < Duration::from_secs(600),
                "never noticed"
            );
        }
        noticed.push(line.proofs[&device].since(back).as_secs_f64() * 1000.0);
        line.live(Duration::from_secs(30));
        line.set_alive(device, false);
    }
    noticed
}

/// Returns the value below which this share of the values lies.
pub(crate) fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len() as f64 * share).ceil() as usize;
    values[at.clamp(1, values.len()) - 1]
}

/// Draws so many of them by lot.
fn draw(all: usize, some: usize, seed: u64) -> Vec<usize> {
    let mut rng = Rng::new(seed ^ 0xD1E);
    let mut left: Vec<usize> = (0..all).collect();
    (0..some)
        .map(|_| left.remove(rng.below(left.len() as u64) as usize))
        .collect()
}
