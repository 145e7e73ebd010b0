//! Tests, on virtual time: which request waits for which on a busy line, and what all devices
//! get on a line that is asked for more than it can carry.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::field::modbus::MAX_REGISTERS;
use crate::field::schedule::interval_stretch::{BEHIND_AFTER, WINDOW};
use crate::field::test_spec::{number, point, profile, tcp};
use crate::spec::{Number, PointSpec, Table};

/// Returns a kind of device with one request for each of these: its interval, in
/// milliseconds, and its priority.
fn kind(requests: &[(u64, Priority)]) -> ProfileSpec {
    let far = u16::try_from(requests.len()).map_or(1, |n| u16::MAX / n.max(1));
    assert!(far > MAX_REGISTERS, "they would be read together");
    let points = (0u16..).zip(requests).map(|(i, (interval, priority))| {
        let mut point = point(
            Table::InputRegister,
            i * far,
            number(Number::U16),
            *interval,
        );
        point.priority = *priority;
        point
    });
    profile(points.collect())
}

/// Returns the address of a point.
fn start(point: &PointSpec) -> u16 {
    point.address.as_modbus().unwrap().start
}

/// Returns what each request got of its configured rate, by device and first address.
fn kept(line: &Line, kinds: &[ProfileSpec], seconds: u64) -> Vec<(Priority, f64)> {
    let mut kept = Vec::new();
    for (device, kind) in (0u32..).zip(kinds) {
        for point in &kind.points {
            let polls = line.polls.get(&(device, start(point)));
            let asked = seconds as f64 / point.interval.as_secs_f64();
            let got = polls.map_or(0, Vec::len) as f64;
            kept.push((point.priority, got / asked));
        }
    }
    kept
}

/// Returns the share of the line that is asked for.
fn load(kinds: &[ProfileSpec], cost_ms: u64, of: impl Fn(Priority) -> bool) -> f64 {
    let points = kinds.iter().flat_map(|k| &k.points);
    let points = points.filter(|p| of(p.priority));
    points
        .map(|p| cost_ms as f64 / p.interval.as_secs_f64() / 1000.0)
        .sum()
}

fn least_and_most(kept: &[(Priority, f64)], priority: Priority) -> (f64, f64) {
    let of = kept.iter().filter(|(p, _)| *p == priority).map(|(_, k)| *k);
    of.fold((f64::INFINITY, 0.0), |(least, most), k| {
        (k.min(least), k.max(most))
    })
}

use Priority::{High, Low, Normal};

#[test]
fn at_150_percent_every_request_is_made_two_times_out_of_three_whatever_its_interval() {
    // Frequent and rare requests, devices with many requests and with one.
    let many: Vec<(u64, Priority)> = (0..20).map(|i| (1000 + 100 * i, Normal)).collect();
    let mut kinds = vec![kind(&many), kind(&[(2000, Normal)]), kind(&[(500, Normal)])];
    kinds.extend((0..20).map(|_| kind(&[(10_000, Normal), (3000, Normal)])));
    let cost = 67;
    let asked = load(&kinds, cost, |_| true);
    assert!((1.45..1.55).contains(&asked), "{asked}");
    let mut line = Line::new(tcp(), kinds.clone(), cost);
    line.until(60);
    line.forget();
    line.until(60 + 1800);
    let (least, most) = least_and_most(&kept(&line, &kinds, 1800), Normal);
    let fair = 1.0 / asked;
    assert!(
        least >= fair * 0.97 && most <= fair * 1.03,
        "{least} to {most}, {fair}"
    );
}

#[test]
fn an_overloaded_line_is_never_idle() {
    let kinds = vec![kind(&[(1000, Normal), (200, Normal)]); 16];
    let mut line = Line::new(tcp(), kinds, 31);
    line.until(30);
    line.forget();
    line.until(90);
    let polls: usize = line.polls.values().map(Vec::len).sum();
    assert!(polls >= 60_000 / 31 - 1, "{polls}");
}

#[test]
fn a_device_with_twenty_requests_does_not_push_out_one_with_one() {
    for (interval, share) in [(5000, 1.0), (600, 0.4)] {
        let many: Vec<(u64, Priority)> = vec![(interval, Normal); 20];
        let kinds = vec![
            kind(&many),
            kind(&[(interval, Normal)]),
            kind(&[(interval, Normal)]),
        ];
        let mut line = Line::new(tcp(), kinds.clone(), 60);
        line.until(60);
        line.forget();
        line.until(660);
        let kept = kept(&line, &kinds, 600);
        let (ones, many) = (&kept[20..], &kept[..20]);
        assert!(ones.iter().all(|(_, k)| *k >= share), "{ones:?}, {many:?}");
        let longest = line.widest_gap(1).as_secs_f64() * 1000.0;
        let fair = interval as f64 / share;
        assert!(longest <= 1.3 * fair, "{longest} ms between two polls");
    }
}

#[test]
fn nothing_is_asked_while_something_of_a_higher_priority_is_due() {
    // Two thirds of the line, and all of the line at some moment.
    let mut kinds = vec![kind(&[(4000, Low), (4000, Normal)]); 20];
    kinds.push(kind(&[(4000, High)]));
    let mut line = Line::new(tcp(), kinds, 60);
    line.until(31);
    line.schedule.reopened(line.now);
    let mut overtaken = 0;
    while line.now < Mono::from_micros(120_000_000) {
        let now = line.now;
        match line.schedule.next(now) {
            NextAction::Run(request) => {
                let slots = line.schedule.devices.iter().flat_map(|s| s.slots());
                let due: Vec<Priority> = slots
                    .filter(|s| s.due() <= now)
                    .map(|s| s.block().priority)
                    .collect();
                let block = usize::from(request.entries().unwrap().start);
                let points = &line.kind(&request).points;
                let own = points.iter().find(|p| usize::from(start(p)) == block);
                let own = own.unwrap().priority;
                assert_eq!(Some(&own), due.iter().min());
                overtaken += usize::from(due.iter().any(|p| *p > own));
                line.now = line.now + line.cost;
                line.schedule
                    .done(line.now, &request, &Line::answer(&request));
            }
            NextAction::NotBefore(at, _) => line.now = at,
            NextAction::Idle => panic!("idle"),
        }
    }
    assert!(overtaken >= 20, "{overtaken}");
}

#[test]
fn the_intervals_of_the_lowest_priority_are_stretched_first_and_of_the_highest_last() {
    // 30 % high, 60 % normal, 60 % low.
    let mut kinds = vec![kind(&[(1000, High)]); 5];
    kinds.extend(vec![kind(&[(2000, Normal)]); 20]);
    kinds.extend(vec![kind(&[(2000, Low)]); 20]);
    let mut line = Line::new(tcp(), kinds.clone(), 60);
    line.until(60);
    line.forget();
    line.until(660);
    let kept = kept(&line, &kinds, 600);
    assert!(least_and_most(&kept, High).0 >= 0.99, "{kept:?}");
    assert!(least_and_most(&kept, Normal).0 >= 0.99, "{kept:?}");
    let (least, most) = least_and_most(&kept, Low);
    // A tenth of the line for a priority that asks for six.
    assert!(least >= 0.15 && most <= 0.18, "{least} to {most}");
}

#[test]
fn of_a_priority_between_two_others_the_frequent_and_the_rare_fare_alike() {
    // 82 % high, 36 % normal, 80 % low: the share that is kept for the lowest priority is not
    // left for the middle one.
    let kinds = vec![
        kind(&[(500, High), (200, Normal), (200, High)]),
        kind(&[(2500, High)]),
        kind(&[(500, High)]),
        kind(&[(1000, High)]),
        kind(&[(500, Normal)]),
        kind(&[(500, Normal)]),
        kind(&[(50, Low)]),
        kind(&[(200, High)]),
        kind(&[(200, High)]),
    ];
    let mut line = Line::new(tcp(), kinds.clone(), 40);
    line.until(60);
    line.forget();
    line.until(660);
    let kept = kept(&line, &kinds, 600);
    let (least, most) = least_and_most(&kept, Normal);
    let fair = 0.1 / load(&kinds, 40, |p| p == Normal);
    assert!(
        least >= fair * 0.97 && most <= fair * 1.03,
        "{least} to {most}, {fair}"
    );
}

/// Returns the first and the last report of an overload: what was reported when.
fn overloads(line: &mut Line, until: u64) -> Vec<(u64, Overload)> {
    let mut told = Vec::new();
    while line.now < Mono::from_micros(until * 1_000_000) {
        let second = line.now.as_micros() / 1_000_000;
        line.until(second + 1);
        told.extend(std::iter::from_fn(|| line.schedule.poll_overload()).map(|s| (second, s)));
    }
    told
}

#[test]
fn an_overload_is_told_once_with_who_causes_it_and_once_when_it_is_over() {
    let mut kinds = vec![kind(&[(1000, Normal)]); 15];
    kinds.push(kind(&[(200, Normal)]));
    let mut line = Line::new(tcp(), kinds, 75);
    let told = overloads(&mut line, 3600);
    let [
        (
            second,
            Overload::Stretched {
                priority,
                factor,
                load,
                heaviest,
            },
        ),
    ] = &told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!(*priority, Normal);
    assert!(*second <= (BEHIND_AFTER + WINDOW).as_secs() + 5, "{second}");
    // 15 × 75 ms + 5 × 75 ms a second.
    assert!((1400..=1600).contains(factor), "{factor}");
    // Twenty requests a second, 75 ms each.
    assert_eq!(*load, 1500);
    let heaviest = heaviest.as_ref().unwrap();
    assert_eq!(
        (heaviest.device, heaviest.every),
        (DeviceId(15), Duration::from_millis(200))
    );
    line.cost = Duration::from_millis(30);
    let told = overloads(&mut line, 7200);
    assert!(
        matches!(told[..], [(_, Overload::Over { priority: Normal })]),
        "{told:?}"
    );
}

#[test]
fn what_a_dead_device_costs_is_no_overload() {
    let mut line = Line::new(tcp(), vec![kind(&[(500, Normal)]); 8], 47);
    line.until(60);
    line.dead = vec![3];
    assert_eq!(overloads(&mut line, 1800), []);
}

fn any_requests() -> impl Strategy<Value = Vec<ProfileSpec>> {
    let interval = prop::sample::select(vec![50, 200, 500, 1000, 2500, 10_000]);
    let priority = prop::sample::select(Priority::ALL.to_vec());
    let kinds = prop::collection::vec((interval, priority), 1..6);
    prop::collection::vec(kinds.prop_map(|requests| kind(&requests)), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    /// Whatever is asked for: each lower priority is sure of a tenth of the line, and within
    /// a priority all requests fare alike.
    #[test]
    fn nothing_starves_and_all_of_a_priority_fare_alike(kinds in any_requests()) {
        let cost = 40;
        let mut line = Line::new(tcp(), kinds.clone(), cost);
        line.until(60);
        line.forget();
        let (seconds, begin) = (600, line.now);
        line.until(60 + seconds);
        let kept = kept(&line, &kinds, seconds);
        for priority in Priority::ALL {
            let (least, most) = least_and_most(&kept, priority);
            let own = load(&kinds, cost, |p| p == priority);
            let all = load(&kinds, cost, |_| true);
            if own == 0.0 {
                continue;
            }
            // What is certainly left for the priority.
            let sure = match priority {
                High => 0.8,
                Normal | Low => 0.095,
            };
            let least_fair = (sure / own).min(1.0).min(0.95);
            // Polls are counted whole: a rare request may have one more or less.
            let slack = 1.5 * 10.0 / seconds as f64;
            prop_assert!(least >= least_fair * 0.9 - slack, "{:?}: {} of {}, load {}", priority, least, least_fair, own);
            if all > 1.2 && most < 0.9 {
                prop_assert!(most - least <= 0.05 + slack, "{:?}: {} to {}", priority, least, most);
            }
            // No request waits out of all proportion.
            let stretched = (own / sure).max(1.0);
            for (device, kind) in (0u32..).zip(&kinds) {
                for point in kind.points.iter().filter(|p| p.priority == priority) {
                    let polls = line.polls.get(&(device, start(point)));
                    let mut at = vec![begin];
                    at.extend(polls.into_iter().flatten());
                    at.push(line.now);
                    let gap = at.windows(2).map(|w| w[1].since(w[0])).max().unwrap_or_default();
                    let bound = point.interval.mul_f64(2.0 * stretched) + Duration::from_secs(3);
                    prop_assert!(gap <= bound, "{:?} > {:?}", gap, bound);
                }
            }
        }
    }
}
