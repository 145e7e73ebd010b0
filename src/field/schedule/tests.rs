use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::base::{MissReason, UnitId};
use crate::field::modbus::Data;
use crate::field::stale::stale_reply::COPIES;
use crate::field::test_spec::{installation, number, point, profile, serial, tcp};
use crate::field::transaction::request::Probe;
use crate::spec::{Number, PortSpec, ProfileSpec, Table};

mod overload;

const SECOND: u64 = 1_000_000;

/// A line on virtual time: answering units take `cost`, dead ones their
/// timeout.
pub(super) struct Line {
    spec: Spec,
    pub(super) schedule: Schedule,
    pub(super) now: Mono,
    pub(super) cost: Duration,
    pub(super) dead: Vec<u32>,
    /// When each (device, first address) was answered.
    pub(super) polls: BTreeMap<(u32, u16), Vec<Mono>>,
    /// Attempts at each device that got nothing, and how long they took.
    misses: BTreeMap<u32, Vec<Mono>>,
    lost: Duration,
}

impl Line {
    pub(super) fn new(port: PortSpec, profiles: Vec<ProfileSpec>, cost_ms: u64) -> Self {
        let spec = installation(port, profiles);
        Line {
            schedule: Schedule::new(&spec, PortId(0), Rng::new(1), Now::default()),
            now: Mono::START,
            cost: Duration::from_millis(cost_ms),
            dead: Vec::new(),
            polls: BTreeMap::new(),
            misses: BTreeMap::new(),
            lost: Duration::ZERO,
            spec,
        }
    }

    /// Returns the kind of device that the request is for.
    pub(super) fn kind(&self, request: &Request) -> &ProfileSpec {
        &self.spec.devices[request.device.index()].profile
    }

    pub(super) fn answer(request: &Request) -> Outcome {
        let n = usize::from(request.entries().unwrap().count);
        Outcome::Answered(if request.entries().unwrap().table.is_bits() {
            Data::Bits(vec![false; n])
        } else {
            Data::Registers(vec![0; n])
        })
    }

    pub(super) fn until(&mut self, end_s: u64) {
        let end = Mono::from_micros(end_s * SECOND);
        while self.now < end {
            match self.schedule.next(self.now) {
                NextAction::Run(request) if self.dead.contains(&request.device.0) => {
                    self.now = self.now + request.timeout;
                    self.lost += request.timeout;
                    self.misses
                        .entry(request.device.0)
                        .or_default()
                        .push(self.now);
                    let outcome = Outcome::Missed(MissReason::Silence);
                    self.schedule.done(self.now, &request, &outcome);
                }
                NextAction::Run(request) => {
                    self.now = self.now + self.cost;
                    if request.trusted {
                        let key = (request.device.0, request.entries().unwrap().start);
                        self.polls.entry(key).or_default().push(self.now);
                    }
                    self.schedule
                        .done(self.now, &request, &Self::answer(&request));
                }
                NextAction::NotBefore(at, why) => {
                    assert!(at > self.now, "{why} at {at}, now {}", self.now);
                    self.now = at;
                }
                NextAction::Idle => panic!("idle"),
            }
        }
    }

    pub(super) fn forget(&mut self) {
        self.polls.clear();
        self.misses.clear();
        self.lost = Duration::ZERO;
    }

    pub(super) fn widest_gap(&self, device: u32) -> Duration {
        self.polls
            .iter()
            .filter(|((d, _), _)| *d == device)
            .flat_map(|(_, at)| at.windows(2).map(|w| w[1].since(w[0])))
            .max()
            .unwrap()
    }
}

/// Returns a device with two blocks of different shapes, both every `interval_ms`.
fn meter(interval_ms: u64) -> ProfileSpec {
    profile(vec![
        point(Table::InputRegister, 0, number(Number::U32), interval_ms),
        point(Table::InputRegister, 2, number(Number::U32), interval_ms),
        point(Table::InputRegister, 90, number(Number::U16), interval_ms),
    ])
}

fn lone(interval_ms: u64) -> ProfileSpec {
    profile(vec![point(
        Table::InputRegister,
        0,
        number(Number::U16),
        interval_ms,
    )])
}

#[test]
fn a_port_without_devices_is_idle() {
    let spec = installation(serial(9600), vec![]);
    let mut s = Schedule::new(&spec, PortId(0), Rng::new(1), Now::default());
    assert_eq!(s.next(Mono::START), NextAction::Idle);
}

#[test]
fn polls_are_locked_to_their_grid() {
    let mut line = Line::new(serial(9600), vec![meter(1000); 4], 30);
    line.until(2);
    line.forget();
    line.until(62);
    for (key, at) in &line.polls {
        assert!((59..=61).contains(&at.len()), "{key:?}: {}", at.len());
        // No drift: a minute later it is still the same phase, within the
        // length of the few transactions that may stand before it.
        let phase = |t: &Mono| t.as_micros() % SECOND;
        let first = phase(&at[0]);
        for t in at {
            let off = phase(t).abs_diff(first);
            assert!(off.min(SECOND - off) <= 120_000, "{key:?} at {t}");
        }
    }
}

#[test]
fn everybody_is_asked_at_once_after_a_start_in_turn() {
    let mut line = Line::new(serial(9600), vec![meter(60_000); 8], 30);
    line.until(1);
    assert_eq!(line.polls.len(), 16);
    let last_of_first_round = (0..8).map(|d| line.polls[&(d, 0)][0].min(line.polls[&(d, 90)][0]));
    assert!(last_of_first_round.max().unwrap() <= Mono::from_micros(8 * 30_000));
}

#[test]
fn an_overloaded_line_starves_nobody() {
    // 3.2 s of work a second, with one request much rarer than the others: each is made less
    // often by the same factor.
    let mut profiles = vec![meter(500); 8];
    profiles.push(lone(20_000));
    let mut line = Line::new(serial(9600), profiles, 100);
    line.until(20);
    line.forget();
    line.until(320);
    let counts: Vec<usize> = line.polls.values().map(Vec::len).collect();
    let (rare, fast) = (counts[counts.len() - 1], &counts[..counts.len() - 1]);
    assert!((4..=6).contains(&rare), "{rare}");
    let (least, most) = (fast.iter().min().unwrap(), fast.iter().max().unwrap());
    assert!(most - least <= 3, "{fast:?}");
}

#[test]
fn four_dead_of_sixteen_at_half_load_cost_the_others_nothing() {
    // 16 × 2 requests × 31 ms a second would be the whole line: every 2 s.
    let mut line = Line::new(serial(9600), vec![meter(2000); 16], 31);
    line.dead = vec![0, 5, 6, 15];
    line.until(20);
    line.forget();
    line.until(620);
    for (key, at) in &line.polls {
        assert!(at.len() >= 297, "{key:?}: {} of 300", at.len());
    }
    for d in (0..16).filter(|d| !line.dead.contains(d)) {
        let gap = line.widest_gap(d);
        assert!(gap <= Duration::from_millis(3100), "{d}: {gap:?}");
    }
}

#[test]
fn twenty_dead_of_thirty_one_leave_the_others_their_polls() {
    let mut line = Line::new(serial(9600), vec![meter(10_000); 31], 47);
    line.dead = (11..31).collect();
    line.until(1000);
    for (key, at) in &line.polls {
        assert!(at.len() >= 99, "{key:?}: {} of 100", at.len());
    }
}

#[test]
fn on_a_contended_line_dead_devices_get_a_twentieth() {
    // Without a pause: the answering devices alone would fill the line three times.
    let mut line = Line::new(serial(9600), vec![meter(100); 16], 20);
    line.dead = vec![1, 2, 3, 4];
    line.until(60);
    line.forget();
    line.until(660);
    let share = line.lost.as_secs_f64() / 600.0;
    assert!(share <= 0.052, "{share}");
    assert!(share >= 0.03, "{share}");
    let tries: Vec<usize> = line.misses.values().map(Vec::len).collect();
    assert!(
        tries.len() == 4 && tries.iter().all(|n| *n > 5),
        "{tries:?}"
    );
}

#[test]
fn the_silence_of_a_device_that_answered_is_soon_certain_even_on_a_contended_line() {
    let mut line = Line::new(serial(9600), vec![meter(100); 16], 20);
    line.until(30);
    line.dead = vec![3];
    line.until(40);
    let third = line.misses[&3][2];
    assert!(third <= Mono::from_micros(35 * SECOND), "{third}");
}

#[test]
fn a_dead_device_is_tried_soon_and_then_ever_less_often() {
    let mut line = Line::new(serial(9600), vec![meter(1000)], 30);
    line.dead = vec![0];
    line.until(120);
    let at = &line.misses[&0];
    assert!(at[2] <= Mono::from_micros(4 * SECOND), "{at:?}");
    let gaps: Vec<Duration> = at.windows(2).map(|w| w[1].since(w[0])).collect();
    assert!(
        gaps.iter()
            .all(|g| *g <= Duration::from_secs(5) + Duration::from_millis(500))
    );
    assert!(
        gaps[gaps.len() - 5..]
            .iter()
            .all(|g| *g >= Duration::from_millis(2250))
    );
}

#[test]
fn the_first_proof_of_life_brings_back_the_whole_plan() {
    for (profile, requests) in [(meter(1000), 2), (lone(1000), 1)] {
        let mut line = Line::new(serial(9600), vec![profile], 30);
        line.dead = vec![0];
        line.until(60);
        line.dead.clear();
        line.until(75);
        assert_eq!(line.polls.len(), requests);
        let first = line.polls.values().map(|at| at[0]).min().unwrap();
        for at in line.polls.values() {
            assert!(at[0].since(first) <= Duration::from_secs(1));
            let end = Mono::from_micros(75 * SECOND);
            let expected = end.since(first).as_secs() as usize;
            assert!(at.len() + 2 >= expected, "{} of {expected}", at.len());
        }
    }
}

/// The rule of `stale/stale_reply.rs`, seen from the schedule: after a miss, no request is
/// trusted if the abandoned one could have caused its reply. The attempts at the device do
/// not use up the shape that will clear the stale replies.
#[test]
fn after_a_miss_the_next_trusted_request_has_another_shape() {
    let spec = installation(serial(9600), vec![meter(1000)]);
    let mut s = Schedule::new(&spec, PortId(0), Rng::new(1), Now::default());
    let NextAction::Run(first) = s.next(Mono::START) else {
        panic!()
    };
    assert!(first.trusted);
    let missed = Mono::START + first.timeout;
    s.done(missed, &first, &Outcome::Missed(MissReason::Silence));
    let NextAction::NotBefore(at, _) = s.next(missed) else {
        panic!()
    };
    assert!(at >= missed + first.timeout, "sits out one more timeout");
    let NextAction::Run(second) = s.next(at) else {
        panic!()
    };
    assert!(
        !second.trusted && second.entries().unwrap().shape() == first.entries().unwrap().shape()
    );
    s.done(at, &second, &Line::answer(&second));
    let mut at = at;
    let third = request_after(&mut s, &mut at);
    assert!(third.trusted && third.entries().unwrap().shape() != first.entries().unwrap().shape());
    s.done(at, &third, &Line::answer(&third));
    let answered = at;
    let fourth = request_after(&mut s, &mut at);
    assert!(
        at.since(answered) >= COPIES,
        "the late reply may have a copy"
    );
    assert!(fourth.trusted, "the doubt is over");
    assert_eq!(
        fourth.entries().unwrap(),
        first.entries().unwrap(),
        "and what was missed is still owed"
    );
}

/// Runs the schedule until its next request.
fn request_after(s: &mut Schedule, now: &mut Mono) -> Request {
    for _ in 0..10_000 {
        match s.next(*now) {
            NextAction::Run(request) => return request,
            NextAction::NotBefore(at, why) => {
                assert!(at > *now, "{why}");
                *now = at;
            }
            NextAction::Idle => panic!("idle"),
        }
    }
    panic!("nothing is ever asked")
}

/// A shape is not asked for until the copy of its reply would have come; other shapes and
/// other devices are asked meanwhile.
#[test]
fn a_reply_that_comes_twice_finds_nobody_waiting_for_its_like() {
    let two = [100, 300].map(|a| point(Table::HoldingRegister, a, number(Number::U32), 1000));
    let mut mixed = two.to_vec();
    mixed.push(point(Table::InputRegister, 5, number(Number::U16), 1000));
    let spec = installation(serial(9600), vec![profile(mixed), lone(1000)]);
    let mut s = Schedule::new(&spec, PortId(0), Rng::new(1), Now::default());
    let mut now = Mono::START;
    let mut asked: Vec<(Mono, Request)> = Vec::new();
    for _ in 0..4 {
        let request = request_after(&mut s, &mut now);
        s.done(now, &request, &Line::answer(&request));
        asked.push((now, request));
    }
    let of = |device: u32| asked.iter().filter(move |(_, j)| j.device.0 == device);
    assert_eq!((of(0).count(), of(1).count()), (3, 1));
    let twins: Vec<Mono> = of(0)
        .filter(|(_, j)| j.entries().unwrap().count == 2)
        .map(|(at, _)| *at)
        .collect();
    assert_eq!(twins, [Mono::START, Mono::START + COPIES]);
    assert_eq!(asked[2].0, Mono::START, "no other request waits");

    // A copy that passes by although no reply is owed: the unit does repeat itself, which is
    // reported once.
    for told in [1, 0] {
        // Later than a copy right behind its reply would come.
        now = now + COPIES * 2;
        assert_eq!(s.overheard(now, BusAddress::Modbus(UnitId(1))), None);
        let told: Vec<DeviceFinding> = (0..told)
            .map(|_| DeviceFinding::RepliesRepeated {
                device: DeviceId(0),
            })
            .collect();
        let found: Vec<DeviceFinding> = std::iter::from_fn(|| s.poll_finding()).collect();
        assert_eq!(found, told);
    }
    let timeout = asked[0].1.timeout;
    let mut at = now;
    let next = request_after(&mut s, &mut at);
    assert!(next.device.0 == 1 || at >= now + timeout);
    s.done(at, &next, &Line::answer(&next));
    now = Mono::from_micros(10 * SECOND);
    let mut twins = Vec::new();
    while twins.len() < 2 {
        let request = request_after(&mut s, &mut now);
        s.done(now, &request, &Line::answer(&request));
        if request.device.0 == 0 && request.entries().unwrap().count == 2 {
            twins.push(now);
        }
    }
    assert!(twins[1].since(twins[0]) >= timeout);
}

#[test]
fn a_device_with_one_shape_is_asked_something_unmistakable() {
    let spec = installation(serial(9600), vec![lone(1000)]);
    for reply in [
        Outcome::Exception(1),
        Outcome::Answered(Data::Registers(vec![0])),
    ] {
        let mut s = Schedule::new(&spec, PortId(0), Rng::new(1), Now::default());
        let mut now = Mono::START;
        let first = request_after(&mut s, &mut now);
        s.done(now, &first, &Outcome::Missed(MissReason::Silence));
        let attempt = request_after(&mut s, &mut now);
        assert!(!attempt.trusted && attempt.entries().unwrap() == first.entries().unwrap());
        s.done(now, &attempt, &Line::answer(&attempt));
        let other = request_after(&mut s, &mut now);
        assert!(
            other.is_of_another_table()
                && other.entries().unwrap().function() != first.entries().unwrap().function()
        );
        s.done(now, &other, &reply);
        let after = request_after(&mut s, &mut now);
        assert!(after.trusted && after.entries().unwrap() == first.entries().unwrap());
    }
}

#[test]
fn a_device_silent_to_fences_is_left_alone_instead() {
    let spec = installation(serial(9600), vec![lone(1000)]);
    let mut s = Schedule::new(&spec, PortId(0), Rng::new(1), Now::default());
    let mut now = Mono::START;
    let first = request_after(&mut s, &mut now);
    s.done(now, &first, &Outcome::Missed(MissReason::Silence));
    let mut missed = now;
    let (mut others, mut longer) = (0, 0);
    let settled = loop {
        let request = request_after(&mut s, &mut now);
        if let Some(probe @ (Probe::OtherTable | Probe::Longer)) = request.probe() {
            others += u32::from(probe == Probe::OtherTable);
            longer += u32::from(probe == Probe::Longer);
            now = now + request.timeout;
            missed = now;
            s.done(now, &request, &Outcome::Missed(MissReason::Silence));
        } else if request.trusted {
            break request;
        } else {
            s.done(now, &request, &Line::answer(&request));
            if (others, longer) == (1, 1) {
                for _ in 0..2 {
                    let prompt = request_after(&mut s, &mut now);
                    assert!(now >= missed + request.timeout * 3);
                    assert!(!prompt.trusted, "it has to show that it answers in time");
                    s.done(now, &prompt, &Line::answer(&prompt));
                }
                break request_after(&mut s, &mut now);
            }
        }
    };
    assert_eq!((others, longer), (1, 1));
    assert!(settled.trusted && settled.entries().unwrap() == first.entries().unwrap());
}

#[test]
fn on_tcp_a_miss_leaves_no_doubt() {
    let spec = installation(tcp(), vec![lone(1000), lone(1000)]);
    let mut s = Schedule::new(&spec, PortId(0), Rng::new(1), Now::default());
    let NextAction::Run(first) = s.next(Mono::START) else {
        panic!()
    };
    let now = Mono::START + first.timeout;
    s.done(now, &first, &Outcome::Missed(MissReason::Silence));
    for _ in 0..2 {
        let mut now = now;
        let request = loop {
            match s.next(now) {
                NextAction::Run(request) => break request,
                NextAction::NotBefore(at, _) => now = at,
                NextAction::Idle => panic!(),
            }
        };
        assert!(request.trusted);
        s.done(now, &request, &Line::answer(&request));
    }
}

/// A reply that comes after the response timeout meets a neighbour's reply on the line.
#[test]
fn the_line_rests_while_a_late_reply_is_to_be_expected() {
    let spec = installation(serial(9600), vec![meter(1000), meter(1000)]);
    let timeout = spec.ports[0].response_timeout;
    let mut s = Schedule::new(&spec, PortId(0), Rng::new(1), Now::default());
    let mut now = Mono::START;
    let missed = |s: &mut Schedule, now: &mut Mono| loop {
        let request = request_after(s, now);
        if request.device == DeviceId(0) && request.trusted {
            let asked = *now;
            *now = *now + request.timeout;
            s.done(*now, &request, &Outcome::Missed(MissReason::Silence));
            return asked;
        }
        s.done(*now, &request, &Line::answer(&request));
    };
    let asked = missed(&mut s, &mut now);
    let late = timeout + Duration::from_millis(100);
    let heard = asked + late;
    assert_eq!(
        s.overheard(heard, BusAddress::Modbus(UnitId(1))),
        Some(DeviceId(0))
    );
    now = heard;
    let asked = missed(&mut s, &mut now);
    let rests = |s: &mut Schedule, now| match s.next(now) {
        NextAction::NotBefore(until, "a late reply is let pass") => Some(until),
        _ => None,
    };
    let until = asked + late + late / 4;
    assert_eq!(rests(&mut s, now), Some(until));
    assert_eq!(rests(&mut s.clone(), until), None, "no longer than that");
    s.overheard(asked + late, BusAddress::Modbus(UnitId(1)));
    assert_eq!(rests(&mut s, asked + late), None, "it has come");
}

/// Returns for how long after the first miss of a device nothing is asked, if other devices
/// miss already or not.
fn rests_after_a_miss(interval_ms: u64, others_miss: bool) -> Option<Duration> {
    let spec = installation(serial(9600), vec![meter(interval_ms); 3]);
    let mut s = Schedule::new(&spec, PortId(0), Rng::new(1), Now::default());
    let mut now = Mono::START;
    let mut others = !others_miss;
    loop {
        let request = request_after(&mut s, &mut now);
        let outcome = match request.device {
            DeviceId(0) if others => {
                let asked = now;
                now = now + request.timeout;
                s.done(now, &request, &Outcome::Missed(MissReason::Silence));
                return match s.next(now) {
                    NextAction::NotBefore(until, "a late reply is let pass") => {
                        Some(until.since(asked))
                    }
                    _ => None,
                };
            }
            DeviceId(1) if others_miss => {
                others = true;
                Outcome::Missed(MissReason::Silence)
            }
            _ => Line::answer(&request),
        };
        s.done(now, &request, &outcome);
    }
}

#[test]
fn before_it_is_known_how_late_a_unit_is_the_line_rests_if_no_poll_is_lost_by_it() {
    let timeout = serial(9600).response_timeout;
    assert_eq!(rests_after_a_miss(10_000, false), Some(timeout * 2));
    let some = rests_after_a_miss(1000, false).unwrap();
    assert!(some > timeout && some < timeout * 2, "{some:?}");
    assert_eq!(rests_after_a_miss(500, false), None, "a poll would be");
    assert_eq!(rests_after_a_miss(10_000, true), None, "they may be dead");
}

#[test]
fn a_late_reply_is_proof_of_life_of_its_sender_only_if_it_was_asked() {
    let mut line = Line::new(serial(9600), vec![meter(1000); 2], 30);
    line.dead = vec![0];
    line.until(30);
    let (now, schedule) = (line.now, &mut line.schedule);
    assert_eq!(
        schedule.overheard(now, BusAddress::Modbus(UnitId(2))),
        None,
        "owes nothing"
    );
    assert_eq!(
        schedule.overheard(now, BusAddress::Modbus(UnitId(9))),
        None,
        "not ours"
    );
    assert_eq!(
        schedule.overheard(now, BusAddress::Modbus(UnitId(1))),
        Some(DeviceId(0))
    );
    let NextAction::Run(request) = schedule.next(now + Duration::from_secs(1)) else {
        panic!()
    };
    assert!(request.device == DeviceId(0) || request.device == DeviceId(1));
}

#[test]
fn an_exception_is_an_answer_and_waits_for_its_next_slot() {
    let spec = installation(serial(9600), vec![lone(1000)]);
    let mut s = Schedule::new(&spec, PortId(0), Rng::new(1), Now::default());
    let NextAction::Run(request) = s.next(Mono::START) else {
        panic!()
    };
    s.done(Mono::START, &request, &Outcome::Exception(2));
    let mut now = Mono::START;
    for _ in 0..2 {
        let NextAction::NotBefore(at, why) = s.next(now) else {
            panic!()
        };
        assert_eq!(why, "next poll");
        now = at;
        let NextAction::Run(request) = s.next(now) else {
            panic!()
        };
        s.done(now, &request, &Outcome::Exception(2));
    }
    assert!(now <= Mono::from_micros(2 * SECOND));
}

#[test]
fn a_reopened_line_is_tried_at_once() {
    let mut line = Line::new(tcp(), vec![meter(1000); 3], 5);
    line.dead = vec![0, 1, 2];
    line.until(100);
    line.schedule.reopened(line.now);
    assert!(matches!(line.schedule.next(line.now), NextAction::Run(_)));
}

#[test]
fn one_spoilt_reply_is_held_against_nobody_the_second_in_a_row_is() {
    for (ends, misses) in [
        (vec![MissReason::Garbled], 0),
        (vec![MissReason::Foreign], 0),
        (vec![MissReason::Garbled, MissReason::Garbled], 1),
        (vec![MissReason::Silence], 1),
    ] {
        let mut line = Line::new(serial(9600), vec![lone(1000)], 20);
        line.until(3);
        let mut left = ends.clone().into_iter();
        while left.len() > 0 {
            match line.schedule.next(line.now) {
                NextAction::Run(request) if request.probe().is_some() => {
                    line.now = line.now + line.cost;
                    line.schedule
                        .done(line.now, &request, &Outcome::Missed(MissReason::Garbled));
                }
                NextAction::Run(request) => {
                    line.now = line.now + line.cost;
                    let miss = left.next().unwrap();
                    line.schedule
                        .done(line.now, &request, &Outcome::Missed(miss));
                }
                NextAction::NotBefore(at, _) => line.now = at,
                NextAction::Idle => panic!("idle"),
            }
        }
        assert_eq!(line.schedule.devices[0].misses(), misses, "{ends:?}");
    }
}

/// A second master reads the same unit, and the replies to it come to us too, four times a
/// second: the unit is asked at its interval all the same, no reply is believed, this is
/// reported, commands go out; and once the other master falls silent all is as before.
#[test]
fn a_unit_that_somebody_else_asks_all_the_time_is_asked_and_not_believed() {
    for profile in [lone(1000), meter(5000)] {
        let interval = profile.points[0].interval;
        let spec = installation(serial(9600), vec![profile, lone(1000)]);
        let mut s = Schedule::new(&spec, PortId(0), Rng::new(1), Now::default());
        let (mut now, mut heard) = (Mono::START, Mono::from_micros(10 * SECOND));
        let (from, to) = (
            heard + Duration::from_secs(1),
            Mono::from_micros(130 * SECOND),
        );
        let mut asked = Vec::new();
        let mut told = 0;
        while now < to + Duration::from_secs(60) {
            while heard <= now && heard < to {
                s.overheard(heard, BusAddress::Modbus(UnitId(1)));
                heard = heard + Duration::from_millis(250);
            }
            match s.next(now) {
                NextAction::Run(request) => {
                    if request.device.0 == 0 {
                        asked.push((now, request.trusted));
                    }
                    now = now + Duration::from_millis(30);
                    s.done(now, &request, &Line::answer(&request));
                }
                NextAction::NotBefore(at, _) if heard < to => now = at.min(heard),
                NextAction::NotBefore(at, _) => now = at,
                NextAction::Idle => panic!("idle"),
            }
            let others = |f: &DeviceFinding| matches!(f, DeviceFinding::OtherMaster { device } if device.0 == 0);
            told += std::iter::from_fn(|| s.poll_finding())
                .filter(others)
                .count();
        }
        let among: Vec<_> = asked
            .iter()
            .filter(|(at, _)| (from..to).contains(at))
            .collect();
        assert!(among.iter().all(|(_, trusted)| !trusted), "{among:?}");
        let widest = among.windows(2).map(|w| w[1].0.since(w[0].0)).max();
        assert!(
            widest.unwrap() <= interval + Duration::from_millis(1600),
            "{widest:?}"
        );
        assert_eq!(told, 1);
        let after = asked
            .iter()
            .filter(|(at, _)| *at >= to + Duration::from_secs(30));
        assert!(after.clone().count() >= 5 && after.clone().all(|(_, trusted)| *trusted));
    }
}

/// A second master reads a unit for a while, and then both are switched off: what is over is not
/// reported again every hour.
#[test]
fn a_second_master_of_a_unit_that_is_switched_off_since_is_reported_once() {
    let spec = installation(serial(9600), vec![lone(1000), lone(1000)]);
    let mut s = Schedule::new(&spec, PortId(0), Rng::new(1), Now::default());
    let (mut now, mut heard) = (Mono::START, Mono::from_micros(10 * SECOND));
    let over = Mono::from_micros(60 * SECOND);
    let mut told = 0;
    while now < over + Duration::from_secs(3 * 3600) {
        while heard <= now && heard < over {
            s.overheard(heard, BusAddress::Modbus(UnitId(1)));
            heard = heard + Duration::from_millis(250);
        }
        match s.next(now) {
            NextAction::Run(request) if request.device.0 == 0 && now >= over => {
                now = now + request.timeout;
                s.done(now, &request, &Outcome::Missed(MissReason::Silence));
            }
            NextAction::Run(request) => {
                now = now + Duration::from_millis(30);
                s.done(now, &request, &Line::answer(&request));
            }
            NextAction::NotBefore(at, _) if heard < over => now = at.min(heard),
            NextAction::NotBefore(at, _) => now = at,
            NextAction::Idle => panic!("idle"),
        }
        let others =
            |f: &DeviceFinding| matches!(f, DeviceFinding::OtherMaster { device } if device.0 == 0);
        let found = std::iter::from_fn(|| s.poll_finding());
        told += found.filter(others).count();
    }
    assert_eq!(told, 1);
}
