//! Requests whose reply is lost or late.

use super::*;

#[test]
fn a_lost_reply_is_asked_again_with_a_new_id() {
    let mut w = World::new(spec(2, 1));
    w.up();
    w.loss = 1000;
    w.want(0..2, Presence::Online);
    w.run(secs(1));
    w.loss = 0;
    w.run(secs(9));
    assert_eq!(w.spoken(), ["batch_login×2", "batch_login×2"]);
    assert_eq!(w.online(), 2);
    assert_eq!(w.cloud.counters().unanswered, 1);
}

#[test]
fn losses_are_made_up_for_soon_where_replies_are_quick() {
    let mut w = online(4);
    w.loss = 1000;
    w.want(0..4, Presence::Offline);
    w.run(secs(2));
    w.loss = 0;
    // Two seconds of waiting, and half a second until the next try.
    assert!(w.run_for(secs(1), |w| w.platform.online.is_empty()));
}

#[test]
fn a_platform_that_never_answers_is_asked_ever_more_rarely() {
    let mut w = World::new(spec(1, 1));
    w.up();
    w.loss = 1000;
    w.want([0], Presence::Online);
    w.run(secs(3600));
    let asked = w.spoken().len();
    assert!((5..=25).contains(&asked), "{asked} log-ins in an hour");
}

#[test]
fn a_platform_that_is_always_late_converges_all_the_same() {
    for late in [secs(4), secs(9), secs(12), secs(25)] {
        let mut w = World::new(spec(60, 1));
        w.delay = late;
        w.platform.bad.insert(7, 522);
        w.up();
        w.want(0..60, Presence::Online);
        let all = w.run_for(secs(900), |w| w.online() == 59);
        assert!(all, "{late:?}: {} online", w.online());
        let named = w.run_for(secs(900), |w| w.blocked_with(7) == Some(522));
        assert!(named, "{late:?}: the refusal counts as well");
        w.put(0, 0, 1);
        let taken = w.run_for(secs(900), |w| w.cloud.backlog() == 0);
        assert!(taken, "{late:?}: a post is settled");
        w.want(0..60, Presence::Offline);
        let none = w.run_for(secs(900), |w| w.platform.online.is_empty());
        assert!(none, "{late:?}");
    }
}

#[test]
fn a_late_answer_does_not_overrule_what_came_after_it() {
    let mut w = World::new(spec(1, 1));
    w.up();
    w.delay = secs(30);
    w.want([0], Presence::Online);
    w.run(secs(1));
    w.delay = ms(20);
    w.want([0], Presence::Offline);
    w.run(secs(10));
    assert_eq!(w.spoken(), ["login×1", "logout×1"]);
    assert_eq!(w.session(0), Session::Out);
    w.run(secs(60));
    assert_eq!(w.session(0), Session::Out, "the log-out came after it");
}

#[test]
fn a_log_in_of_unknown_fate_that_is_no_longer_wanted_is_logged_out() {
    let mut w = World::new(spec(1, 1));
    w.up();
    w.delay = secs(3600); // the platform acts, its answer never arrives in time
    w.want([0], Presence::Online);
    w.run(secs(1));
    assert!(w.platform.online.contains(&0));
    w.delay = ms(20);
    w.want([0], Presence::Offline);
    w.run(ms(500));
    assert_eq!(w.spoken(), ["login×1"], "the verdict comes first");
    w.run(secs(10));
    assert_eq!(w.spoken(), ["logout×1"]);
    assert!(w.platform.online.is_empty());
}
