//! Tests of the parts by themselves; together they are tested by `tests/engines/delivery.rs`.

use std::time::Duration;

use super::provisional::Provisional;
use super::*;
use crate::cloud::alink::publish::batch::{Batch, Batches};
use crate::cloud::alink::publish::session_probes::SessionProbes;
use crate::cloud::alink::publish::transmissions::{ReplyMatch, Transmission, Transmissions};

const ONE: DeviceId = DeviceId(1);
const TWO: DeviceId = DeviceId(2);
const USUAL: Duration = Duration::from_secs(15);

fn s(seconds: u64) -> Mono {
    Mono::from_micros(seconds * 1_000_000)
}

fn ms(millis: u64) -> Mono {
    Mono::from_micros(millis * 1_000)
}

fn reading(device: DeviceId, at: Mono) -> Reading {
    Reading {
        device,
        point: 0,
        value: Value::Int(1),
        at: Now {
            mono: at,
            wall: crate::base::Wall::from_millis(0),
        },
    }
}

fn some_batch() -> BatchId {
    let backoff = Backoff::new(USUAL, USUAL);
    let parts = BTreeMap::from([(ONE, vec![(0, reading(ONE, s(0)))])]);
    Batches::new().add(Batch::new(s(0), parts, false, backoff), s(0))
}

fn a_sending(sent: Mono) -> Transmission {
    Transmission {
        batch: some_batch(),
        sent,
        alone: None,
    }
}

// --- how long to wait for a reply ---------------------------------------------

/// Returns transmissions whose replies have taken this many milliseconds so far.
fn sendings_with(times: &[u64]) -> Transmissions {
    let mut transmissions = Transmissions::new();
    for (n, took) in (0u32..).zip(times) {
        transmissions.sent(RequestId(n), a_sending(s(0)), None);
        transmissions.answered(ms(*took), RequestId(n), None);
    }
    transmissions
}

#[test]
fn a_reply_is_given_up_sooner_once_a_later_one_has_come() {
    let mut transmissions = sendings_with(&[100; 20]);
    transmissions.sent(RequestId(100), a_sending(s(10)), None);
    transmissions.sent(RequestId(101), a_sending(s(11)), None);
    assert_eq!(transmissions.expires_at(USUAL), Some(s(25)));
    assert_eq!(
        transmissions.answered(ms(11_100), RequestId(101), None),
        ReplyMatch::InTime(a_sending(s(11)))
    );
    assert_eq!(transmissions.expires_at(USUAL), Some(s(12)));
    let (id, _) = transmissions.expired(s(12), USUAL).unwrap();
    assert_eq!(id, RequestId(100));
    assert_eq!(transmissions.open(), 0);
    // The reply counts when it comes.
    assert_eq!(
        transmissions.answered(s(300), RequestId(100), None),
        ReplyMatch::Late(a_sending(s(10)))
    );
    assert_eq!(
        transmissions.answered(s(301), RequestId(100), None),
        ReplyMatch::Settled
    );
}

#[test]
fn slow_replies_are_waited_for_longer_than_configured_but_not_for_ever() {
    for (times, least, most) in [
        (vec![12_000, 14_000, 11_000, 13_500, 12_500], 14, 40),
        (vec![200_000; 5], 60, 60),
    ] {
        let mut transmissions = sendings_with(&times);
        transmissions.sent(RequestId(100), a_sending(s(1000)), None);
        transmissions.sent(RequestId(101), a_sending(s(1001)), None);
        transmissions.answered(s(1013), RequestId(101), None);
        let at = transmissions.expires_at(USUAL).unwrap().since(s(1000));
        assert!(at >= Duration::from_secs(least), "{at:?}");
        assert!(at <= Duration::from_secs(most), "{at:?}");
    }
}

#[test]
fn before_any_reply_other_replies_are_a_hint() {
    let mut transmissions = Transmissions::new();
    transmissions.sent(RequestId(1), a_sending(s(0)), None);
    assert_eq!(transmissions.expires_at(USUAL), Some(s(15)));
    let hint = Some(Duration::from_secs(40));
    transmissions.sent(RequestId(2), a_sending(s(0)), hint);
    assert_eq!(transmissions.expires_at(USUAL), Some(s(40)));
}

#[test]
fn a_reply_on_another_topic_is_none_of_ours() {
    let mut transmissions = Transmissions::new();
    transmissions.sent(RequestId(1), a_sending(s(0)), None);
    assert_eq!(
        transmissions.answered(s(1), RequestId(1), Some(ONE)),
        ReplyMatch::Unknown
    );
    assert_eq!(
        transmissions.answered(s(1), RequestId(2), None),
        ReplyMatch::Unknown
    );
}

#[test]
fn how_many_losses_in_a_row_are_no_accident_depends_on_how_many_there_are() {
    let mut transmissions = Transmissions::new();
    assert!(!transmissions.is_significant(2));
    assert!(transmissions.is_significant(3));
    for n in 0..1000 {
        transmissions.count(s(1), false, n % 2 == 0);
    }
    assert!(transmissions.is_lossy());
    assert!(!transmissions.is_significant(8));
    assert!(transmissions.is_significant(16));
    // Where there are packs, they alone count.
    for _ in 0..1000 {
        transmissions.count(s(2), false, false);
        transmissions.count(s(2), true, true);
    }
    assert!(!transmissions.is_lossy());
}

// --- batches ------------------------------------------------------------------

#[test]
fn a_parcel_remembers_its_last_sendings_only() {
    let mut batches = Batches::new();
    let parts = BTreeMap::from([(ONE, vec![(7, reading(ONE, s(0)))])]);
    let batch = Batch::new(s(0), parts, false, Backoff::new(USUAL, USUAL));
    let id = batches.add(batch, s(0));
    for n in 0..10 {
        let (forgotten, before) = batches.sent(id, RequestId(n));
        assert_eq!(forgotten, n.checked_sub(4).map(RequestId));
        assert_eq!(before, n > 0);
        assert!(batches.is_under_way(id));
        assert_eq!((batches.again_due(), batches.oldest_idle()), (None, None));
        batches.put_off(id, s(5));
        assert_eq!(batches.oldest_idle(), Some((7, id)));
    }
    assert_eq!((batches.due(s(4)), batches.due(s(5))), (None, Some(id)));
    assert_eq!(batches.readings(), 1);
    batches.remove(id);
    assert_eq!((batches.readings(), batches.has(ONE)), (0, false));
}

#[test]
fn what_is_accepted_provisionally_is_found_by_its_device() {
    let mut provisional = Provisional::new();
    for n in 0..6 {
        let id = if n % 2 == 0 { ONE } else { TWO };
        provisional.add(s(10 - n), id, vec![(n, reading(id, s(0)))]);
    }
    assert_eq!(provisional.due(), Some(s(5)));
    assert_eq!(provisional.remove_device(ONE).len(), 3);
    assert!(!provisional.has(ONE) && provisional.has(TWO));
    assert_eq!(provisional.readings(), 3);
    assert_eq!(provisional.pop().map(|(id, _)| id), Some(TWO));
    assert_eq!(provisional.due(), Some(s(7)));
}

// --- probes -------------------------------------------------------------------

#[test]
fn each_device_proves_its_session_in_turn_and_those_in_doubt_do_at_once() {
    let mut probes = SessionProbes::new();
    for n in 0..60 {
        probes.proved(s(0), DeviceId(n));
    }
    let asked = |probes: &mut SessionProbes, from: u64, to: u64| {
        let mut times = 0;
        for t in from * 100..to * 100 {
            if let Some(id) = probes.ask(ms(t * 10), 25) {
                probes.sent(ms(t * 10), id);
                times += 1;
            }
        }
        times
    };
    // No proof is asked for soon after the log-in; then each device is asked once in 45 s.
    assert_eq!(asked(&mut probes, 0, 22), 0);
    let cycle = asked(&mut probes, 45, 90);
    assert!((55..=61).contains(&cycle), "{cycle}");
    assert_eq!(probes.due(), None, "no wake-ups for that");
    probes.doubt_others(s(100));
    assert!(probes.is_in_doubt(ONE));
    let urgent = asked(&mut probes, 100, 105);
    assert!(urgent >= 59, "{urgent}");
    assert!(!probes.is_in_doubt(ONE));
}

#[test]
fn a_device_in_doubt_with_nothing_to_say_repeats_its_last_value() {
    let mut probes = SessionProbes::new();
    probes.proved(s(0), ONE);
    probes.proved(s(0), TWO);
    probes.accepted(&reading(ONE, s(1)));
    probes.doubt_others(s(10));
    assert_eq!(probes.ask(s(10), 25), Some(ONE));
    assert_eq!(probes.repeat(s(11)), None);
    assert_eq!(probes.repeat(s(12)), Some(reading(ONE, s(1))));
    assert_eq!(probes.repeat(s(99)), None);
}

#[test]
fn silence_is_counted_once_a_burst_and_acted_upon_once() {
    let mut probes = SessionProbes::new();
    probes.proved(s(0), ONE);
    let three = |n| n >= 3;
    // Three lost at once are one loss.
    for _ in 0..3 {
        probes.on_unanswered(s(3), ONE, s(1));
    }
    assert!(!probes.is_given_up(s(3), ONE, s(9), three));
    probes.on_unanswered(s(5), ONE, s(3));
    probes.on_unanswered(s(7), ONE, s(5));
    // The platform answers no device.
    assert!(!probes.is_given_up(s(7), ONE, s(1), three));
    assert!(probes.is_given_up(s(7), ONE, s(6), three));
    for t in 4..40 {
        probes.on_unanswered(s(t * 2 + 1), ONE, s(t * 2));
    }
    assert!(!probes.is_given_up(s(80), ONE, s(79), three));
    probes.heard(ONE);
    for t in 40..44 {
        probes.on_unanswered(s(t * 2 + 1), ONE, s(t * 2));
    }
    assert!(probes.is_given_up(s(90), ONE, s(89), three));
}

// --- slowing down ---------------------------------------------------------------

#[test]
fn each_refusal_halves_the_pace_and_a_minute_restores_it() {
    let mut slow = Slowdown::default();
    assert_eq!(slow.ready_at(), Mono::START);
    assert!(slow.refused(s(100), s(99), 25));
    slow.take(s(100), 25);
    assert_eq!(slow.ready_at(), s(100) + Duration::from_millis(80));
    // Refusals of posts that were under way then say nothing new.
    assert!(!slow.refused(s(100), s(100), 25));
    slow.take(s(100), 25);
    assert_eq!(slow.ready_at(), s(100) + Duration::from_millis(80));
    for t in 101..120 {
        slow.refused(s(t), s(t), 25);
    }
    slow.take(s(120), 25);
    let wait = slow.ready_at().since(s(120));
    assert!(wait <= Duration::from_secs(1), "{wait:?}");
    assert!(wait >= Duration::from_millis(500), "{wait:?}");
    slow.take(s(179), 25);
    assert_eq!(slow.ready_at(), Mono::START);
}

// --- what goes to the store -----------------------------------------------------

#[test]
fn what_is_newer_than_a_batch_of_its_device_goes_to_the_store_after_it() {
    let parts = BTreeMap::from([(ONE, vec![(4, reading(ONE, s(4)))])]);
    let mut batches = Batches::new();
    let batch = Batch::new(s(4), parts, false, Backoff::new(USUAL, USUAL));
    batches.add(batch, s(4));
    let mut waiting = WaitingReadings::new();
    let of_one = vec![(3, reading(ONE, s(3))), (5, reading(ONE, s(5)))];
    waiting.take_back(s(6), ONE, of_one);
    waiting.take_back(s(6), TWO, vec![(6, reading(TWO, s(6)))]);
    let mut take = |older: &BTreeMap<DeviceId, ArrivalNumber>| {
        let taken = waiting.take_oldest(s(20), s(10), 9, older);
        taken
            .iter()
            .map(|(number, _)| *number)
            .collect::<Vec<ArrivalNumber>>()
    };
    assert_eq!(take(&batches.oldest_numbers()), [3, 6]);
    assert_eq!(take(&batches.oldest_numbers()), Vec::<ArrivalNumber>::new());
    assert_eq!(take(&BTreeMap::new()), [5]);
}
