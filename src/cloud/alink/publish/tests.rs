//! Tests of the parts by themselves; together they are tested by `tests/engines/delivery.rs`.

use std::time::Duration;

use super::provisional::Provisional;
use super::*;
use crate::cloud::alink::publish::batch::{Batch, Batches};
use crate::cloud::alink::publish::sendings::{Found, Sending, Sendings};
use crate::cloud::alink::publish::session_probes::SessionProbes;

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

fn some_parcel() -> BatchId {
    let backoff = Backoff::new(USUAL, USUAL);
    let parts = BTreeMap::from([(ONE, vec![(0, reading(ONE, s(0)))])]);
    Batches::new().add(Batch::new(s(0), parts, false, backoff), s(0))
}

fn a_try(sent: Mono) -> Sending {
    Sending {
        parcel: some_parcel(),
        sent,
        alone: None,
    }
}

// --- how long to wait for a reply ---------------------------------------------

/// Returns sendings whose replies have taken this many milliseconds so far.
fn tries_with(times: &[u64]) -> Sendings {
    let mut tries = Sendings::new();
    for (n, took) in (0u32..).zip(times) {
        tries.sent(AskId(n), a_try(s(0)), None);
        tries.answered(ms(*took), AskId(n), None);
    }
    tries
}

#[test]
fn a_reply_is_given_up_sooner_once_a_later_one_has_come() {
    let mut tries = tries_with(&[100; 20]);
    tries.sent(AskId(100), a_try(s(10)), None);
    tries.sent(AskId(101), a_try(s(11)), None);
    assert_eq!(tries.expires_at(USUAL), Some(s(25)));
    assert_eq!(
        tries.answered(ms(11_100), AskId(101), None),
        Found::InTime(a_try(s(11)))
    );
    assert_eq!(tries.expires_at(USUAL), Some(s(12)));
    let (id, _) = tries.expired(s(12), USUAL).unwrap();
    assert_eq!(id, AskId(100));
    assert_eq!(tries.open(), 0);
    // The reply counts when it comes.
    assert_eq!(
        tries.answered(s(300), AskId(100), None),
        Found::Late(a_try(s(10)))
    );
    assert_eq!(tries.answered(s(301), AskId(100), None), Found::Settled);
}

#[test]
fn slow_replies_are_waited_for_longer_than_configured_but_not_for_ever() {
    for (times, least, most) in [
        (vec![12_000, 14_000, 11_000, 13_500, 12_500], 14, 40),
        (vec![200_000; 5], 60, 60),
    ] {
        let mut tries = tries_with(&times);
        tries.sent(AskId(100), a_try(s(1000)), None);
        tries.sent(AskId(101), a_try(s(1001)), None);
        tries.answered(s(1013), AskId(101), None);
        let at = tries.expires_at(USUAL).unwrap().since(s(1000));
        assert!(at >= Duration::from_secs(least), "{at:?}");
        assert!(at <= Duration::from_secs(most), "{at:?}");
    }
}

#[test]
fn before_any_reply_other_replies_are_a_hint() {
    let mut tries = Sendings::new();
    tries.sent(AskId(1), a_try(s(0)), None);
    assert_eq!(tries.expires_at(USUAL), Some(s(15)));
    let hint = Some(Duration::from_secs(40));
    tries.sent(AskId(2), a_try(s(0)), hint);
    assert_eq!(tries.expires_at(USUAL), Some(s(40)));
}

#[test]
fn a_reply_on_another_topic_is_none_of_ours() {
    let mut tries = Sendings::new();
    tries.sent(AskId(1), a_try(s(0)), None);
    assert_eq!(tries.answered(s(1), AskId(1), Some(ONE)), Found::Unknown);
    assert_eq!(tries.answered(s(1), AskId(2), None), Found::Unknown);
}

#[test]
fn how_many_losses_in_a_row_are_no_accident_depends_on_how_many_there_are() {
    let mut tries = Sendings::new();
    assert!(!tries.is_no_accident(2));
    assert!(tries.is_no_accident(3));
    for n in 0..1000 {
        tries.count(s(1), false, n % 2 == 0);
    }
    assert!(tries.is_lossy());
    assert!(!tries.is_no_accident(8));
    assert!(tries.is_no_accident(16));
    // Where there are packs, they alone count.
    for _ in 0..1000 {
        tries.count(s(2), false, false);
        tries.count(s(2), true, true);
    }
    assert!(!tries.is_lossy());
}

// --- batches ------------------------------------------------------------------

#[test]
fn a_parcel_remembers_its_last_sendings_only() {
    let mut parcels = Batches::new();
    let parts = BTreeMap::from([(ONE, vec![(7, reading(ONE, s(0)))])]);
    let parcel = Batch::new(s(0), parts, false, Backoff::new(USUAL, USUAL));
    let id = parcels.add(parcel, s(0));
    for n in 0..10 {
        let (forgotten, before) = parcels.sent(id, AskId(n));
        assert_eq!(forgotten, n.checked_sub(4).map(AskId));
        assert_eq!(before, n > 0);
        assert!(parcels.is_under_way(id));
        assert_eq!((parcels.again_due(), parcels.oldest_idle()), (None, None));
        parcels.put_off(id, s(5));
        assert_eq!(parcels.oldest_idle(), Some((7, id)));
    }
    assert_eq!((parcels.due(s(4)), parcels.due(s(5))), (None, Some(id)));
    assert_eq!(parcels.readings(), 1);
    parcels.remove(id);
    assert_eq!((parcels.readings(), parcels.has(ONE)), (0, false));
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

// --- proofs -------------------------------------------------------------------

#[test]
fn each_device_proves_its_session_in_turn_and_suspects_do_at_once() {
    let mut proofs = SessionProbes::new();
    for n in 0..60 {
        proofs.proved(s(0), DeviceId(n));
    }
    let asked = |proofs: &mut SessionProbes, from: u64, to: u64| {
        let mut times = 0;
        for t in from * 100..to * 100 {
            if let Some(id) = proofs.ask(ms(t * 10), 25) {
                proofs.sent(ms(t * 10), id);
                times += 1;
            }
        }
        times
    };
    // No proof is asked for soon after the log-in; then each device is asked once in 45 s.
    assert_eq!(asked(&mut proofs, 0, 22), 0);
    let cycle = asked(&mut proofs, 45, 90);
    assert!((55..=61).contains(&cycle), "{cycle}");
    assert_eq!(proofs.due(), None, "no wake-ups for that");
    proofs.doubt_others(s(100));
    assert!(proofs.is_suspect(ONE));
    let urgent = asked(&mut proofs, 100, 105);
    assert!(urgent >= 59, "{urgent}");
    assert!(!proofs.is_suspect(ONE));
}

#[test]
fn a_suspect_with_nothing_to_say_repeats_its_last_value() {
    let mut proofs = SessionProbes::new();
    proofs.proved(s(0), ONE);
    proofs.proved(s(0), TWO);
    proofs.accepted(&reading(ONE, s(1)));
    proofs.doubt_others(s(10));
    assert_eq!(proofs.ask(s(10), 25), Some(ONE));
    assert_eq!(proofs.repeat(s(11)), None);
    assert_eq!(proofs.repeat(s(12)), Some(reading(ONE, s(1))));
    assert_eq!(proofs.repeat(s(99)), None);
}

#[test]
fn silence_is_counted_once_a_burst_and_acted_upon_once() {
    let mut proofs = SessionProbes::new();
    proofs.proved(s(0), ONE);
    let three = |n| n >= 3;
    // Three lost at once are one loss.
    for _ in 0..3 {
        proofs.unheard(s(3), ONE, s(1));
    }
    assert!(!proofs.is_given_up(s(3), ONE, s(9), three));
    proofs.unheard(s(5), ONE, s(3));
    proofs.unheard(s(7), ONE, s(5));
    // The platform answers no device.
    assert!(!proofs.is_given_up(s(7), ONE, s(1), three));
    assert!(proofs.is_given_up(s(7), ONE, s(6), three));
    for t in 4..40 {
        proofs.unheard(s(t * 2 + 1), ONE, s(t * 2));
    }
    assert!(!proofs.is_given_up(s(80), ONE, s(79), three));
    proofs.heard(ONE);
    for t in 40..44 {
        proofs.unheard(s(t * 2 + 1), ONE, s(t * 2));
    }
    assert!(proofs.is_given_up(s(90), ONE, s(89), three));
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
