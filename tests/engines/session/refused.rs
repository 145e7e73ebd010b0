//! Log-ins that are refused: whose fault it is, and for how long it is blocked.

use super::*;

#[test]
fn named_culprits_are_set_aside_and_the_rest_goes_on_at_once() {
    let mut w = World::new(spec(50, 1));
    w.platform.naming = Naming::Culprits;
    w.platform.bad = BTreeMap::from([(7, 6401), (30, 522)]);
    w.up();
    w.want(0..50, Presence::Online);
    w.run(secs(1));
    // One code for two: each shows its own when it is alone.
    let spoken = ["batch_login×50", "batch_login×48", "login×1", "login×1"];
    assert_eq!(w.spoken(), spoken);
    assert_eq!(w.online(), 48);
    assert_eq!(
        (w.blocked_with(7), w.blocked_with(30)),
        (Some(6401), Some(522))
    );
}

#[test]
fn unnamed_culprits_are_found_within_twenty_seven_messages_wherever_they_sit() {
    // A reply that names every device singles out none.
    for naming in [Naming::NoDevice, Naming::All] {
        for (bad, most) in [
            (vec![0], 16),
            (vec![49], 16),
            (vec![0, 25], 21),
            (vec![0, 10, 20], 27),
            (vec![3, 17, 44], 27),
            (vec![0, 1, 2], 27),
        ] {
            let mut w = World::new(spec(50, 1));
            w.platform.naming = naming;
            w.platform.bad = bad.iter().map(|b| (*b, 6287)).collect();
            w.up();
            w.want(0..50, Presence::Online);
            w.run(secs(30));
            assert_eq!(w.online(), 50 - bad.len());
            assert!(w.sent.len() <= most, "{bad:?}: {}", w.sent.len());
            for b in &bad {
                assert_eq!(w.blocked_with(*b), Some(6287));
            }
            for d in 0..50 {
                let times = w.sent.iter().filter(|s| s.devices.contains(&d)).count();
                assert!(times <= 3, "{d} was submitted {times} times");
            }
            let told = w.notices.iter();
            let refused = told
                .filter(|n| matches!(n, CloudLogEvent::DeviceRefused { .. }))
                .count();
            assert_eq!(refused, bad.len());
        }
    }
}

#[test]
fn every_code_at_log_in_has_its_own_bar() {
    for (code, least, most) in [
        // Hangs under another gateway: it cannot be added.
        (6401, 300, 600),
        (6100, 150, 300),
        (521, 300, 600),
        (522, 150, 300),
        (6204, 150, 300),
        (6287, 300, 600),
        (427, 30, 60),
        (527, 30, 60),
        (460, 30, 60),
        (520, 1, 2),
        (777, 1, 2),
    ] {
        let mut w = World::new(spec(1, 1));
        w.platform.bad.insert(0, code);
        w.up();
        w.want([0], Presence::Online);
        assert!(w.run_for(secs(1), |w| matches!(
            w.session(0),
            Session::RetryBlocked { .. }
        )));
        let Session::RetryBlocked { until, code: seen } = w.session(0) else {
            panic!()
        };
        assert_eq!(seen, Code(code));
        let wait = until.since(w.now.mono);
        assert!(
            wait >= secs(least) && wait <= secs(most),
            "{code}: {wait:?}"
        );
        // It is tried again alone, and comes in once the cause is gone.
        w.platform.bad.clear();
        assert!(w.run_for(wait + secs(1), |w| w.online() == 1), "{code}");
    }
}

#[test]
fn a_suspect_on_probation_does_not_spoil_a_batch_again() {
    let mut w = World::new(spec(10, 1));
    w.platform.bad.insert(4, 522);
    w.up();
    w.want(0..5, Presence::Online);
    w.run(secs(10));
    assert_eq!(w.online(), 4);
    w.run(secs(5));
    w.spoken();
    w.run(secs(600));
    let spoken = w.spoken();
    assert!(!spoken.is_empty());
    assert!(spoken.iter().all(|s| s == "login×1"), "{spoken:?}");
}

#[test]
fn our_malformed_request_is_never_sent_again_unchanged_and_ever_more_rarely() {
    let mut w = World::new(spec(3, 1));
    w.platform.bad = (0..3).map(|d| (d, 460)).collect();
    w.up();
    w.want(0..3, Presence::Online);
    w.run(secs(29));
    assert_eq!(
        w.spoken(),
        ["batch_login×3", "login×1", "login×1", "login×1"]
    );
    w.run(secs(1700));
    let again = w.spoken();
    assert!((9..=18).contains(&again.len()), "{again:?}");
    assert!(again.iter().all(|s| s == "login×1"), "{again:?}");
    assert!(
        w.notices
            .iter()
            .any(|n| matches!(n, CloudLogEvent::RequestRefused { .. }))
    );
}

#[test]
fn a_platform_in_trouble_is_asked_again_later_and_a_batch_that_always_fails_is_searched() {
    let mut w = World::new(spec(6, 1));
    w.platform.moods = vec![500];
    w.up();
    w.want(0..6, Presence::Online);
    w.run(secs(5));
    assert_eq!(w.online(), 6);
    assert_eq!(w.spoken(), ["batch_login×6", "batch_login×6"]);
    let mut w = World::new(spec(6, 1));
    w.platform.bad.insert(0, 500);
    w.up();
    w.want(0..6, Presence::Online);
    w.run(secs(120));
    assert_eq!(w.online(), 5);
}
