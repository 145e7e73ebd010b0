//! The end of the service: last values, then log-outs, in time.

use super::*;

#[test]
fn stopping_logs_everyone_out_in_batches() {
    let mut w = online(120);
    w.stop();
    assert!(w.run_for(secs(10), |w| w.logged_out == 1));
    assert_eq!(
        w.spoken(),
        ["batch_logout×50", "batch_logout×50", "batch_logout×20"]
    );
    assert!(w.platform.online.is_empty());
    w.run(secs(100));
    assert_eq!(w.logged_out, 1);
}

#[test]
fn stopping_delivers_what_waits_before_it_logs_out() {
    let mut w = online(3);
    for id in 0..3 {
        w.put(id, 0, 7);
    }
    w.stop();
    assert!(w.run_for(secs(10), |w| w.logged_out == 1));
    assert_eq!(w.spoken(), ["pack×3", "batch_logout×3"]);
    assert_eq!(
        *w.notices.last().unwrap(),
        CloudLogEvent::Stopped {
            unconfirmed: 0,
            readings: 0
        }
    );
}

#[test]
fn stopping_does_not_wait_long_for_last_readings() {
    let mut w = online(3);
    w.put(0, 0, 7);
    w.loss = 1000;
    w.stop();
    w.run(ms(2100));
    assert_eq!(w.spoken(), ["post×1", "batch_logout×3"]);
    assert!(w.run_for(secs(10), |w| w.logged_out == 1));
}

#[test]
fn stopping_in_the_middle_of_log_ins_waits_for_their_verdicts() {
    let mut w = World::new({
        let mut spec = spec(100, 1);
        spec.cloud.session.logins_per_second = 10_000;
        spec
    });
    w.delay = ms(500);
    w.up();
    w.want(0..100, Presence::Online);
    w.run(ms(10));
    w.stop();
    assert!(w.run_for(secs(10), |w| w.logged_out == 1));
    assert!(w.platform.online.is_empty());
    assert_eq!(
        w.spoken()
            .iter()
            .filter(|s| s.starts_with("batch_logout"))
            .count(),
        2
    );
}

#[test]
fn stopping_ends_in_time_though_nobody_answers() {
    let mut w = online(60);
    w.loss = 1000;
    w.stop();
    assert!(w.run_for(secs(10), |w| w.logged_out == 1));
    assert_eq!(w.spoken().len(), 4, "two tries each");
    let last = w.notices.last().unwrap();
    assert_eq!(
        *last,
        CloudLogEvent::Stopped {
            unconfirmed: 60,
            readings: 0
        }
    );
}

#[test]
fn stopping_in_the_middle_of_unanswered_log_ins_ends_in_time() {
    let mut w = World::new(spec(60, 1));
    w.up();
    w.loss = 1000;
    w.want(0..60, Presence::Online);
    w.stop();
    assert!(w.run_for(secs(10), |w| w.logged_out == 1));
}

#[test]
fn stopping_ends_in_time_though_it_is_slow_to_find_out_who_is_gone_already() {
    let mut w = online(60);
    // Each batch has an unknown device to be searched for, each answer takes long, and
    // so do the last readings.
    w.platform.online.retain(|d| d % 7 != 3);
    w.delay = ms(2_450);
    w.put(0, 0, 7);
    w.stop();
    let within = w.spec.stop_within;
    assert!(w.run_for(within, |w| w.logged_out == 1));
    let Some(CloudLogEvent::Stopped { unconfirmed, .. }) = w.notices.last() else {
        panic!("not the last notice: {:?}", w.notices.last());
    };
    assert!((1..60).contains(unconfirmed), "{unconfirmed} not confirmed");
    let asked = w.sent.len();
    w.run(secs(20));
    assert_eq!(w.sent.len(), asked, "nothing is asked after the end");
}

#[test]
fn stopping_without_a_link_is_done_at_once() {
    let mut w = online(3);
    w.down();
    w.stop();
    assert_eq!(w.logged_out, 1);
}

#[test]
fn stopping_does_not_wait_for_a_closed_gate() {
    let mut w = online(3);
    w.platform.moods = vec![429];
    w.want([0], Presence::Offline);
    w.run(secs(2));
    w.stop();
    assert!(w.run_for(secs(5), |w| w.logged_out == 1));
    assert!(w.platform.online.is_empty());
}
