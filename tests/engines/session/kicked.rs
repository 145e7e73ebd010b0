//! Sessions that the platform ends.

use super::*;

#[test]
fn a_session_lost_is_taken_up_again_and_a_kick_blocks_the_retry() {
    let mut w = online(10);
    w.kick(0, 520);
    w.run(secs(1));
    assert_eq!(w.session(0), Session::In);
    assert_eq!(w.spoken(), ["login×1"]);
    for (d, code) in [(1, 427), (2, 521), (3, 522), (4, 6401), (5, 527), (6, 6204)] {
        w.kick(d, code);
        w.kick(d, code); // told twice, counted once
        assert_eq!(w.blocked_with(d), Some(code));
    }
    assert_eq!(w.cloud.counters().kicked, 7);
    assert_eq!(w.cloud.counters().blocked, 6);
    w.kick(7, 500);
    assert_eq!(w.session(7), Session::In, "nothing is known of such a kick");
    assert_eq!(w.online(), 4);
}

#[test]
fn a_kick_that_crosses_a_log_in_is_not_forgotten() {
    let mut w = World::new(spec(1, 1));
    w.up();
    w.want([0], Presence::Online);
    w.run(ms(255));
    assert_eq!(w.session(0), Session::LoggingIn);
    w.kick(0, 522);
    w.run(secs(1));
    assert_eq!(w.blocked_with(0), Some(522));
    w.run(secs(320));
    assert_eq!(w.session(0), Session::In);
}

#[test]
fn a_kick_that_crosses_a_refused_log_out_is_not_forgotten() {
    let mut w = online(1);
    w.platform.moods = vec![500];
    w.want([0], Presence::Offline);
    w.run(ms(255));
    assert_eq!(w.session(0), Session::LoggingOut);
    w.kick(0, 6100);
    w.want([0], Presence::Online);
    w.run(ms(100));
    assert_eq!(w.blocked_with(0), Some(6100));
    assert_eq!(w.online(), 0);
}

#[test]
fn a_device_kicked_again_and_again_is_blocked_ever_longer_and_told_ever_more_rarely() {
    let mut w = online(1);
    let mut waits = Vec::new();
    for _ in 0..8 {
        w.kick(0, 427);
        let Session::RetryBlocked { until, .. } = w.session(0) else {
            panic!()
        };
        waits.push(until.since(w.now.mono));
        w.run(until.since(w.now.mono) + secs(1));
        assert_eq!(w.session(0), Session::In);
    }
    assert!(waits[0] <= secs(60) && waits[7] >= secs(300), "{waits:?}");
    let told = w
        .notices
        .iter()
        .filter(|n| matches!(n, CloudLogEvent::DeviceRefused { .. }));
    assert_eq!(told.count(), 4, "the 1st, 2nd, 4th and 8th");
}

#[test]
fn a_device_whose_session_is_lost_all_the_time_is_logged_in_ever_more_rarely() {
    let mut w = online(1);
    for _ in 0..300 {
        w.kick(0, 520);
        w.run(ms(700));
    }
    // At once, then after 2 s, 4 s, 8 s …; but it goes on.
    let spoken = w.spoken();
    let times = spoken.iter().filter(|s| *s == "login×1").count();
    assert!((6..=10).contains(&times), "{times}");
    // Each such notice may be about an earlier session: it is checked once.
    assert!(spoken.len() <= 2 * times, "{spoken:?}");
}
