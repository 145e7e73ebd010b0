//! Log-outs: wishes that change meanwhile, and the reasons.

use super::*;

#[test]
fn no_session_at_log_out_is_what_we_wanted() {
    let mut w = online(6);
    w.platform.online.remove(&3);
    w.want(0..6, Presence::Offline);
    w.run(secs(5));
    assert_eq!(w.online(), 0);
    assert!(w.platform.online.is_empty());
    // Six refused, then five and one, of which the five were refused, then singly.
    assert_eq!(w.spoken().len(), 8);
    assert!((0..6).all(|d| w.session(d) == Session::Out));
}

#[test]
fn a_flipped_wish_waits_for_the_verdict() {
    let mut w = World::new(spec(1, 1));
    w.delay = secs(2);
    w.up();
    w.want([0], Presence::Online);
    w.run(secs(1));
    w.want([0], Presence::Offline);
    w.run(ms(500));
    assert_eq!(w.spoken(), ["login×1"]);
    assert!(w.run_for(secs(10), |w| w.session(0) == Session::LoggingOut));
    w.want([0], Presence::Online);
    w.run(secs(10));
    assert_eq!(w.spoken(), ["logout×1", "login×1"]);
    assert_eq!(w.session(0), Session::In);
}

#[test]
fn a_wish_flipped_back_within_the_linger_costs_nothing() {
    let mut w = online(1);
    w.want([0], Presence::Offline);
    w.run(ms(100));
    w.want([0], Presence::Online);
    w.run(secs(10));
    assert_eq!(w.spoken(), Vec::<String>::new());
}

/// Returns the reason of every log-out that was reported, with its devices.
fn reasons(w: &World) -> Vec<(LogoutReason, Vec<u32>)> {
    let told = w.notices.iter().filter_map(|n| match n {
        CloudLogEvent::LoggedOut {
            devices, reason, ..
        } => Some((*reason, devices.iter().map(|d| d.0).collect())),
        _ => None,
    });
    told.collect()
}

#[test]
fn a_device_that_answers_again_during_its_log_out_was_logged_out_for_its_silence() {
    let mut w = online(1);
    let silent = LogoutReason::Silent {
        missed: 3,
        quiet: secs(12),
    };
    w.wanted.insert(0, Presence::Offline);
    w.cloud.want_offline(w.now, DeviceId(0), silent);
    w.drain();
    w.delay = secs(2);
    assert!(w.run_for(secs(10), |w| w.session(0) == Session::LoggingOut));
    w.want([0], Presence::Online);
    w.run(secs(10));
    assert_eq!(w.session(0), Session::In);
    assert_eq!(reasons(&w), [(silent, vec![0])]);
}

#[test]
fn a_log_out_is_told_with_its_reason_and_counted_by_it() {
    let mut w = online(5);
    let silent = |missed| LogoutReason::Silent {
        missed,
        quiet: secs(12),
    };
    for (id, reason) in [(0, silent(3)), (1, silent(4)), (2, LogoutReason::PortDown)] {
        w.wanted.insert(id, Presence::Offline);
        w.cloud.want_offline(w.now, DeviceId(id), reason);
    }
    w.drain();
    w.run(secs(10));
    assert_eq!(
        reasons(&w),
        [(LogoutReason::PortDown, vec![2]), (silent(3), vec![0, 1])]
    );
    // The device is back, and the next reason is that of the next log-out.
    w.want([0], Presence::Online);
    assert!(w.run_for(secs(30), |w| w.cloud.online() == 3));
    w.notices.clear();
    w.stop();
    assert!(w.run_for(secs(10), |w| w.logged_out == 1));
    assert_eq!(reasons(&w), [(LogoutReason::Stopping, vec![0, 3, 4])]);
    let counted = &w.cloud.counters().logouts;
    let expected = [("port-down", 1), ("silent", 2), ("stopping", 3)];
    assert_eq!(*counted, expected.into());
}
