use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::base::Rng;
use crate::field::modbus::Data;
use crate::field::modbus::write::Entries;
use crate::field::schedule::command::BusWrite;
use crate::field::schedule::command::{MOST_FOR_A_DEVICE, MOST_FOR_A_LINE};
use crate::field::test_spec::{installation, number, point, profile, serial, tcp};
use crate::field::transaction::request::RequestBody;
use crate::spec::{Number, PortSpec, Table};

/// Builds the schedule of devices on one line, each with one register read every
/// `interval_ms`.
fn line_of(port: PortSpec, devices: usize, interval_ms: u64) -> Schedule {
    let one = profile(vec![point(
        Table::HoldingRegister,
        0,
        number(Number::U16),
        interval_ms,
    )]);
    let spec = installation(port, vec![one; devices]);
    Schedule::new(&spec, PortId(0), Rng::new(1), Now::default())
}

/// How long a request waits here before it is too late.
const TIME_LIMIT: Duration = Duration::from_secs(10);

fn set(now: Mono, device: u32, value: u16) -> BusRequest {
    let entries = Entries::Register(value);
    BusRequest {
        device: DeviceId(device),
        request: CommandRequest::Write(BusWrite::Entries { start: 7, entries }),
        until: now + TIME_LIMIT,
        reply_timeout: Duration::MAX,
        goes_on: false,
    }
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

const SILENT: Outcome = Outcome::Missed(MissReason::Silence);

fn answer(request: &Request) -> Outcome {
    match request.body {
        RequestBody::Write(_) => Outcome::Confirmed,
        _ => Outcome::Answered(Data::Registers(vec![0])),
    }
}

/// Returns the value that the request writes to a register, if it writes one.
fn written(request: &Request) -> Option<u16> {
    match &request.body {
        RequestBody::Write(write) => match write.entries {
            Entries::Register(value) => Some(value),
            _ => None,
        },
        _ => None,
    }
}

/// Runs the line until `end`; each transaction takes `cost`. Returns the requests.
fn run(
    s: &mut Schedule,
    now: &mut Mono,
    end: Mono,
    cost: Duration,
    mut outcome: impl FnMut(&Request) -> Outcome,
) -> Vec<Request> {
    let mut requests = Vec::new();
    while *now < end {
        match s.next(*now) {
            NextAction::Run(request) => {
                *now = *now + cost;
                let outcome = outcome(&request);
                s.done(*now, &request, &outcome);
                requests.push(request);
            }
            NextAction::NotBefore(at, why) => {
                assert!(at > *now, "{why}");
                *now = at.min(end);
            }
            NextAction::Idle => panic!("idle"),
        }
    }
    requests
}

fn ends(s: &mut Schedule) -> Vec<(CommandId, CommandEnd)> {
    std::iter::from_fn(|| s.commands.poll()).collect()
}

#[test]
fn a_command_goes_before_every_read_and_its_end_is_told_once() {
    let mut s = line_of(serial(9600), 3, 1000);
    let mut now = Mono::START;
    let first = s.request(set(now, 1, 5)).unwrap();
    let second = s.request(set(now, 2, 6)).unwrap();
    let end = now + ms(5000);
    let requests = run(&mut s, &mut now, end, ms(20), answer);
    assert_eq!(written(&requests[0]), Some(5));
    assert_eq!(written(&requests[1]), Some(6));
    assert_eq!(requests.iter().filter(|j| j.is_command()).count(), 2);
    assert!(requests.iter().filter(|j| !j.is_command()).count() >= 15);
    let told = [
        (first, CommandEnd::Confirmed),
        (second, CommandEnd::Confirmed),
    ];
    assert_eq!(ends(&mut s), told);
}

#[test]
fn each_end_is_what_happened() {
    for (outcome, end) in [
        (Outcome::Confirmed, CommandEnd::Confirmed),
        (Outcome::Exception(2), CommandEnd::Exception(2)),
        (SILENT, CommandEnd::Unanswered(MissReason::Silence)),
        (
            Outcome::Missed(MissReason::ConnectionLost),
            CommandEnd::Unanswered(MissReason::ConnectionLost),
        ),
    ] {
        let mut s = line_of(tcp(), 1, 1000);
        let mut now = Mono::START;
        let id = s.request(set(now, 0, 5)).unwrap();
        let until = now + ms(30_000);
        let requests = run(&mut s, &mut now, until, ms(20), |request| {
            match request.body {
                RequestBody::Write(_) => outcome.clone(),
                _ => answer(request),
            }
        });
        assert_eq!(ends(&mut s), [(id, end)]);
        // Whatever the outcome, the command was sent once.
        assert_eq!(requests.iter().filter(|j| j.is_command()).count(), 1);
    }
}

#[test]
fn what_cannot_be_sent_is_refused_at_once() {
    let mut s = line_of(serial(9600), 6, 1000);
    let now = Mono::START;
    assert_eq!(s.request(set(now, 9, 0)), Err(NotSent::NoSuchDevice));
    let nothing = BusRequest {
        request: CommandRequest::Write(BusWrite::Entries {
            start: 7,
            entries: Entries::Registers(vec![]),
        }),
        ..set(now, 0, 0)
    };
    assert_eq!(s.request(nothing), Err(NotSent::DoesNotFit));
    for device in 0..4 {
        for _ in 0..MOST_FOR_A_DEVICE {
            s.request(set(now, device, 0)).unwrap();
        }
        assert_eq!(s.request(set(now, device, 0)), Err(NotSent::DeviceFull));
    }
    assert_eq!(4 * MOST_FOR_A_DEVICE, MOST_FOR_A_LINE);
    assert_eq!(s.request(set(now, 5, 0)), Err(NotSent::LineFull));
}

#[test]
fn a_silent_devices_commands_fail_and_hold_up_nobody() {
    let mut s = line_of(serial(9600), 2, 1000);
    let mut now = Mono::START;
    let dead = |request: &Request| match request.device.0 {
        0 => SILENT,
        _ => answer(request),
    };
    let end = now + ms(3000);
    run(&mut s, &mut now, end, ms(20), dead);
    let to_the_dead = s.request(set(now, 0, 5)).unwrap();
    let to_the_living = s.request(set(now, 1, 6)).unwrap();
    let NextAction::Run(request) = s.next(now) else {
        panic!("waits")
    };
    assert_eq!((request.device, written(&request)), (DeviceId(1), Some(6)));
    s.done(now + ms(20), &request, &Outcome::Confirmed);
    let told = [
        (to_the_dead, CommandEnd::NotSent(NotSent::Silent)),
        (to_the_living, CommandEnd::Confirmed),
    ];
    assert_eq!(ends(&mut s), told);
}

#[test]
fn a_silence_that_has_just_begun_is_confirmed_first() {
    let mut s = line_of(serial(9600), 1, 1000);
    let mut now = Mono::START;
    let end = now + ms(2500);
    run(&mut s, &mut now, end, ms(20), answer);
    // One reply is lost; the next reply comes.
    let mut lost = 1;
    let id = loop {
        let NextAction::Run(request) = s.next(now) else {
            now = now + ms(10);
            continue;
        };
        now = now + ms(500);
        s.done(now, &request, &SILENT);
        break s.request(set(now, 0, 5)).unwrap();
    };
    let end = now + ms(8000);
    let requests = run(&mut s, &mut now, end, ms(20), |request| {
        lost += 1;
        answer(request)
    });
    assert!(
        !requests[0].is_command(),
        "it is asked whether it lives first"
    );
    assert_eq!(ends(&mut s), [(id, CommandEnd::Confirmed)]);
}

#[test]
fn a_write_whose_like_may_still_be_confirmed_waits_for_another_reply() {
    let mut s = line_of(serial(9600), 1, 200);
    let mut now = Mono::START;
    let end = now + ms(1000);
    run(&mut s, &mut now, end, ms(20), answer);
    let first = s.request(set(now, 0, 5)).unwrap();
    let second = s.request(set(now, 0, 5)).unwrap();
    let mut seen = Vec::new();
    let end = now + ms(8000);
    run(&mut s, &mut now, end, ms(20), |request| {
        seen.push(request.is_command());
        match seen.iter().filter(|c| **c).count() {
            1 if request.is_command() => SILENT,
            _ => answer(request),
        }
    });
    let at = seen.iter().position(|c| *c).unwrap();
    assert!(!seen[at + 1], "a read, whose reply nothing else can give");
    let told = [
        (first, CommandEnd::Unanswered(MissReason::Silence)),
        (second, CommandEnd::Confirmed),
    ];
    assert_eq!(ends(&mut s), told);
}

#[test]
fn what_has_waited_too_long_is_not_sent() {
    // Nothing is heard of the device that would clear up what became of the first command.
    let mut s = line_of(serial(9600), 1, 3_600_000);
    let mut now = Mono::START;
    let end = now + ms(1000);
    run(&mut s, &mut now, end, ms(20), answer);
    s.request(set(now, 0, 5)).unwrap();
    let late = s.request(set(now, 0, 5)).unwrap();
    let gave = now;
    // Noise does not count as a miss of the unit, so the unit is not tried again either.
    let garbled = |_: &Request| Outcome::Missed(MissReason::Garbled);
    let end = now + TIME_LIMIT + ms(1000);
    let requests = run(&mut s, &mut now, end, ms(20), garbled);
    assert_eq!(requests.iter().filter(|j| j.is_command()).count(), 1);
    let told = ends(&mut s);
    assert_eq!(told[1], (late, CommandEnd::NotSent(NotSent::TooLate)));
    assert!(now.since(gave) >= TIME_LIMIT);
}

#[test]
fn a_line_that_is_lost_keeps_no_command_for_later() {
    let mut s = line_of(serial(9600), 2, 1000);
    let mut now = Mono::START;
    let ids: Vec<_> = (0..3)
        .map(|i| s.request(set(now, i % 2, 0)).unwrap())
        .collect();
    // The command is handed out, and the line is lost before the command was sent.
    assert!(matches!(s.next(now), NextAction::Run(request) if request.is_command()));
    s.lost();
    let down = CommandEnd::NotSent(NotSent::LineDown);
    let told: BTreeSet<_> = ends(&mut s)
        .into_iter()
        .map(|(id, end)| {
            assert_eq!(end, down);
            id
        })
        .collect();
    assert_eq!(told, ids.into_iter().collect());
    s.reopened(now);
    let end = now + ms(3000);
    let requests = run(&mut s, &mut now, end, ms(20), answer);
    assert!(requests.iter().all(|j| !j.is_command()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// More commands than the line could carry, on a line that is read without a pause.
    #[test]
    fn an_endless_stream_of_commands_leaves_reads_seven_tenths_of_the_line(
        devices in 1usize..8,
        read in 5u64..80,
        write in 5u64..400,
        on_tcp in any::<bool>(),
    ) {
        let port = if on_tcp { tcp() } else { serial(9600) };
        let mut s = line_of(port, devices, 10);
        let mut now = Mono::START;
        let (mut reading, mut writing) = (Duration::ZERO, Duration::ZERO);
        let (mut given, mut sent, mut told) = (0u16, BTreeSet::new(), BTreeSet::new());
        let end = now + Duration::from_secs(60);
        while now < end {
            let device = u32::from(given) % devices as u32;
            while s.request(set(now, device, given)).is_ok() {
                given += 1;
            }
            match s.next(now) {
                NextAction::Run(request) => {
                    let cost = ms(if request.is_command() { write } else { read });
                    now = now + cost;
                    match written(&request) {
                        Some(n) => {
                            prop_assert!(sent.insert(n), "sent twice");
                            writing += cost;
                        }
                        None => reading += cost,
                    }
                    s.done(now, &request, &answer(&request));
                }
                NextAction::NotBefore(at, why) => {
                    prop_assert!(at > now, "{}", why);
                    now = at;
                }
                NextAction::Idle => prop_assert!(false, "idle"),
            }
            while let Some((id, _)) = s.commands.poll() {
                prop_assert!(told.insert(id), "told twice");
            }
        }
        // Three tenths of the time, besides the credit with which a burst begins, and one command.
        let most = now.since(Mono::START) * 3 / 10 + ms(500 + write);
        prop_assert!(writing <= most, "{:?}", writing);
        // On a serial line a device is not asked for the same shape again while a copy of its
        // last reply may come (35 ms, `stale/stale_reply.rs`), and a read may be under way
        // then: a lone device can carry no more commands than that.
        let apart = if on_tcp { 0 } else { 36 + read };
        let able = ms(60_000).mul_f64(devices as f64 * write as f64 / (apart + write) as f64);
        let share = most.min(able);
        prop_assert!(writing > share.mul_f64(0.7), "kept from their share: {:?}", writing);
        // Where there is always something to read.
        if on_tcp && devices as u64 * read >= 20 {
            prop_assert!(reading > ms(41_000), "{:?}", reading);
        }
    }

    /// No read goes first as long as commands have taken less than their share.
    #[test]
    fn no_read_overtakes_a_command(
        devices in 1u32..6,
        gaps in prop::collection::vec((50u64..3000, 0u32..6), 1..20),
    ) {
        let mut s = line_of(tcp(), devices as usize, 100);
        let mut now = Mono::START;
        for (n, (gap, device)) in gaps.into_iter().enumerate() {
            let end = now + ms(gap);
            run(&mut s, &mut now, end, ms(15), answer);
            let id = s.request(set(now, device % devices, n as u16)).unwrap();
            let NextAction::Run(request) = s.next(now) else { panic!("waits") };
            prop_assert_eq!(written(&request), Some(n as u16));
            now = now + ms(15);
            s.done(now, &request, &Outcome::Confirmed);
            prop_assert_eq!(ends(&mut s), [(id, CommandEnd::Confirmed)]);
        }
    }
}
