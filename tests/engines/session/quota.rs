//! Quotas: throttled log-ins, a full gateway, the configured number.

use super::*;

#[test]
fn throttling_closes_the_gate_for_a_minute_and_blames_nobody() {
    let mut w = World::new(spec(60, 1));
    w.platform.moods = vec![429, 429];
    w.delay = ms(500);
    w.up();
    w.want(0..60, Presence::Online);
    w.run(secs(59));
    assert_eq!(w.spoken().len(), 2, "what was already due, and no more");
    assert!(w.run_for(secs(60), |w| w.online() == 60));
    // One device tries whether the refusals are over.
    let spoken = w.spoken();
    assert_eq!((spoken.len(), spoken[0].as_str()), (3, "login×1"));
    let throttled = w
        .notices
        .iter()
        .filter(|n| matches!(n, CloudLogEvent::Throttled { .. }));
    assert_eq!(throttled.count(), 1);
    assert!(
        !w.notices
            .iter()
            .any(|n| matches!(n, CloudLogEvent::DeviceRefused { .. }))
    );
}

#[test]
fn a_full_gateway_waits_until_one_leaves() {
    let mut w = online(3);
    w.want([2], Presence::Offline);
    w.run(secs(1));
    w.platform.moods = vec![428];
    w.want([2], Presence::Online);
    w.run(secs(30));
    assert_eq!(w.session(2), Session::Out);
    assert!(
        w.notices
            .iter()
            .any(|n| matches!(n, CloudLogEvent::Full { ours: false, .. }))
    );
    w.spoken();
    w.want([0], Presence::Offline);
    assert!(w.run_for(secs(1), |w| w.session(2) == Session::In));
    assert_eq!(w.spoken(), ["logout×1", "login×1"]);
}

#[test]
fn a_device_believed_offline_for_a_full_gateway_is_logged_out_once_it_is_not_wanted() {
    // Both answers are untrue: the device has a session, and needs no quota to log in
    // again.
    let mut w = online(3);
    w.platform.moods = vec![520, 428];
    w.put(2, 0, 1);
    assert!(w.run_for(secs(2), |w| w.platform.moods.is_empty()));
    w.want([2], Presence::Offline);
    w.run(secs(20));
    assert_eq!(w.platform.online, BTreeSet::from([0, 1]));

    // The wish changes only after the answers.
    let mut w = online(3);
    w.platform.moods = vec![520, 428];
    w.put(2, 0, 1);
    assert!(w.run_for(secs(2), |w| w.session(2) == Session::Out));
    w.want([2], Presence::Offline);
    w.run(secs(20));
    assert_eq!(w.platform.online, BTreeSet::from([0, 1]));
}

#[test]
fn never_more_than_the_configured_number_is_online() {
    let mut spec = spec(12, 1);
    spec.cloud.session.online = 10;
    let mut w = World::new(spec);
    w.up();
    w.want(0..12, Presence::Online);
    w.run(secs(5));
    assert_eq!(w.online(), 10);
    w.want([0, 1, 2], Presence::Offline);
    w.run(secs(2));
    assert_eq!(w.online(), 9);
    assert_eq!((w.session(10), w.session(11)), (Session::In, Session::In));
}
