use super::*;
use crate::base::{Rng, UnitId};

const FINE_ONE: LivenessEvidence = LivenessEvidence::Alive(LivenessProof::Answer);
const SPOILED: LivenessEvidence = LivenessEvidence::Missed(MissReason::Garbled);

fn second(n: u64) -> Mono {
    Mono::from_micros(n * 1_000_000)
}

/// Returns the devices that are told, if this many in a thousand of each device's replies are
/// spoilt, and after how many rounds.
fn told_in(permille: &[u32], rounds: u64, seed: u64) -> Vec<(u32, u64)> {
    let mut twins = DuplicateAddresses::default();
    let mut rng = Rng::new(seed);
    let mut told = Vec::new();
    for round in 0..rounds {
        for (device, spoilt) in (0u32..).zip(permille) {
            let evidence = if rng.chance(*spoilt) {
                SPOILED
            } else {
                FINE_ONE
            };
            twins.note(second(round), DeviceId(device), evidence);
            told.extend(twins.poll().map(|found| (found.0, round)));
        }
    }
    told
}

fn told(permille: &[u32]) -> Vec<u32> {
    told_in(permille, 2000, 3)
        .into_iter()
        .map(|t| t.0)
        .collect()
}

#[test]
fn replies_that_collide_at_one_address_only_are_told_once_and_soon() {
    assert_eq!(told(&[1, 1, 700, 1, 1]), [2]);
    assert_eq!(told_in(&[1, 1, 1000, 1, 1], 2000, 3), [(2, 6)]);
    assert_eq!(told(&[0, 0]), [0u32; 0]);
    for seed in 0..100 {
        let found = told_in(&[0, 700, 0], 2000, seed);
        assert!(matches!(found[..], [(1, 6..=60)]), "{seed}: {found:?}");
    }
}

#[test]
fn a_bad_line_or_a_noisy_device_is_not_taken_for_two_devices() {
    assert_eq!(told(&[300, 300, 700, 300, 300]), [0u32; 0]);
    assert_eq!(told(&[10, 10, 50, 10]), [0u32; 0]);
    assert_eq!(
        told(&[700]),
        [0u32; 0],
        "no other device to compare it with"
    );
    for seed in 0..50 {
        for noise in [[0, 100, 0, 0], [100, 100, 100, 100]] {
            assert_eq!(told_in(&noise, 10_000, seed), [], "{seed} {noise:?}");
        }
    }
}

#[test]
fn silence_is_no_collision() {
    let mut twins = DuplicateAddresses::default();
    for n in 0..1000 {
        twins.note(second(n), DeviceId(0), FINE_ONE);
        twins.note(
            second(n),
            DeviceId(1),
            LivenessEvidence::Missed(MissReason::Silence),
        );
        assert_eq!(twins.poll(), None);
    }
}

#[test]
fn what_a_neighbours_late_replies_spoil_is_no_collision() {
    let mut twins = DuplicateAddresses::default();
    for n in 0..100 {
        twins.note(second(n), DeviceId(0), FINE_ONE);
        twins.was_late(second(n), DeviceId(2));
        twins.note(second(n), DeviceId(1), SPOILED);
        assert_eq!(twins.poll(), None);
    }
}

/// Lets a device answer every ten seconds, and lets these registers follow after so long.
fn followed(rounds: u64, register: impl Fn(u64) -> u16, after_ms: u64) -> Option<u64> {
    let mut twins = DuplicateAddresses::default();
    let within = Duration::from_millis(500);
    for n in 0..rounds {
        let now = second(10 * n);
        twins.note(now, DeviceId(0), FINE_ONE);
        twins.answered(now, DeviceId(0), &Data::Registers(vec![n as u16, 7]));
        let [high, low] = register(n).to_be_bytes();
        let reply = OverheardReply {
            unit: UnitId(1),
            pdu: vec![3, 4, high, low, 0, 7],
        };
        let then = now + Duration::from_millis(after_ms);
        twins.overheard(then, DeviceId(0), &reply, within);
        if twins.poll().is_some() {
            return Some(n);
        }
    }
    None
}

#[test]
fn a_second_reply_with_other_values_behind_each_is_another_device_and_a_copy_is_not() {
    assert_eq!(followed(100, |n| 1000 + n as u16, 40), Some(2));
    assert_eq!(followed(100, |n| n as u16, 40), None, "a repeater");
    assert_eq!(
        followed(100, |n| (n as u16).saturating_sub(1), 40),
        None,
        "an old copy"
    );
    assert_eq!(
        followed(100, |n| 1000 + n as u16, 4000),
        None,
        "another master"
    );
}

#[test]
fn a_device_whose_address_may_be_shared_is_asked_more_often_until_it_is_told() {
    let mut twins = DuplicateAddresses::default();
    twins.note(second(1), DeviceId(0), SPOILED);
    assert_eq!(twins.samples().count(), 0);
    twins.note(second(2), DeviceId(0), SPOILED);
    let all: Vec<_> = twins.samples().collect();
    assert_eq!(all, [(DeviceId(0), second(3))]);
    twins.note(second(3), DeviceId(0), FINE_ONE);
    assert_eq!(twins.samples().count(), 0);
    for n in 4..20 {
        twins.note(second(n), DeviceId(0), SPOILED);
        twins.note(second(n), DeviceId(1), FINE_ONE);
    }
    assert_eq!((twins.poll(), twins.poll()), (Some(DeviceId(0)), None));
    assert_eq!(twins.samples().count(), 0);
}

#[test]
fn a_suspicion_is_told_again_only_if_its_device_gave_new_reason() {
    let told_later = |goes_on: bool| {
        let mut twins = DuplicateAddresses::default();
        let mut told = 0;
        for n in 0..5 * 3600 {
            let evidence = match n < 60 || goes_on {
                true => SPOILED,
                false => LivenessEvidence::Missed(MissReason::Silence),
            };
            twins.note(second(n), DeviceId(0), FINE_ONE);
            twins.note(second(n), DeviceId(1), evidence);
            let is_told = twins.poll().is_some();
            told += usize::from(is_told && n >= 2 * 3600);
        }
        told
    };
    assert_eq!(told_later(false), 0, "it was switched off");
    assert_eq!(told_later(true), 3, "it goes on");
}
