//! Turns on a line, on virtual time: how much time dead and slow units take from the
//! others, and that no unit that is merely slow is taken for dead.

mod figures;
#[path = "turns/line.rs"]
mod turns_line;

use std::time::Duration;

use figures::{HALF_LOAD, four_of_16, percentile, returns, twenty_of_31};
use turns_line::{Delay, Line, fleet};

const SEED: u64 = 7;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Checks units that die at once and units that were dead from the start.
#[test]
fn twenty_dead_of_31_cost_the_healthy_nothing_from_the_first_minute_on() {
    for (interval, from_the_start) in [
        (10_000, false),
        (10_000, true),
        (5_300, false),
        (5_300, true),
    ] {
        for seed in [0, SEED] {
            let life = twenty_of_31(ms(interval), from_the_start, seed);
            let what = format!("{interval} ms, from the start: {from_the_start}: {life:?}");
            assert!(life.first_minute >= 0.99, "{what}");
            assert!(life.kept >= 0.99, "{what}");
            assert!(life.p99_gap <= 1.05, "{seed}: {what}");
        }
    }
}

#[test]
fn four_dead_of_16_flat_out_leave_their_time_to_the_others() {
    let rates = four_of_16(SEED);
    assert!(rates.first25s >= 0.95, "{rates:?}");
    assert!(rates.steady >= 1.25, "{rates:?}");
}

#[test]
fn a_return_is_noticed_soon() {
    for (all, dead, interval, limit) in [
        (16, 4, HALF_LOAD, 5_000.0),
        (31, 20, ms(10_000), 12_000.0),
        (31, 20, ms(5_300), 12_000.0),
    ] {
        let mut noticed = returns(all, dead, interval, SEED);
        let p99 = percentile(&mut noticed, 0.99);
        assert!(p99 <= limit, "{dead} of {all}, {interval:?}: {p99}");
    }
}

/// Checks units with varying delays, always within the configured timeout (500 ms), so
/// that none may ever count as silent, and none may lose polls.
#[test]
fn a_unit_that_is_slow_is_never_taken_for_a_dead_one_and_keeps_its_polls() {
    for delay in [
        Delay::Between(ms(5), ms(200)),
        Delay::Mostly(ms(10), ms(200), 20),
        Delay::Mostly(ms(10), ms(400), 5),
        Delay::Mostly(ms(150), ms(450), 200),
    ] {
        for seed in 0..3 {
            let interval = ms(10_000);
            let mut line = Line::new(&fleet(8, interval), delay, seed);
            line.live(Duration::from_secs(60));
            line.forget();
            line.live(Duration::from_secs(3600));
            assert_eq!(line.wrong, 0, "{delay:?}");
            assert_eq!(line.silenced.len(), 0, "{delay:?}: {:?}", line.silenced);
            let polls: usize = line.polls.values().map(Vec::len).sum();
            let missed: u64 = line.misses.values().sum();
            let slots = 8 * 3 * 360;
            assert!(
                polls as f64 >= 0.995 * f64::from(slots),
                "{delay:?}: {polls} of {slots}, {missed} missed"
            );
        }
    }
}

/// Exchanges the unit behind an address for one thirty times slower.
#[test]
fn a_unit_that_becomes_slower_is_waited_for_before_it_counts_as_silent() {
    for slower in [120, 200, 300, 450] {
        for seed in 0..5 {
            let mut line = Line::new(&fleet(8, ms(5_000)), Delay::Always(ms(10)), seed);
            line.live(Duration::from_secs(120));
            line.forget();
            line.set_delay(3, Delay::Always(ms(slower)));
            line.live(Duration::from_secs(120));
            assert_eq!(line.silenced.len(), 0, "{slower} ms: {:?}", line.misses);
            // Once that is known, it keeps all of its polls.
            line.forget();
            line.live(Duration::from_secs(60));
            assert_eq!((line.is_silent(3), line.wrong), (false, 0));
            let polls = line.polls[&(3, 0)].len();
            assert!(polls >= 11, "{slower} ms: {polls} of 12");
        }
    }
}
