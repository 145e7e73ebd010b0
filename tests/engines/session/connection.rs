//! The connection: its loss in the middle of requests, and the pace of CONNECTs.

use super::*;

#[test]
fn a_link_flap_brings_back_exactly_those_that_are_wanted() {
    let mut w = online(120);
    w.want(100..120, Presence::Offline);
    w.run(ms(255)); // their log-out is under way
    assert_eq!(w.session(100), Session::LoggingOut);
    w.down();
    assert_eq!(w.online(), 0);
    assert!((0..120).all(|d| w.session(d) == Session::Out));
    w.spoken();
    w.run(secs(30));
    assert_eq!(w.spoken(), Vec::<String>::new());
    w.up();
    w.run(secs(2));
    assert_eq!(w.spoken(), ["batch_login×50", "batch_login×50"]);
    assert_eq!(w.platform.online, (0..100).collect());
}

#[test]
fn a_link_flap_in_the_middle_of_a_log_in_starts_it_over() {
    let mut w = World::new(spec(60, 1));
    w.up();
    w.want(0..60, Presence::Online);
    assert_eq!(w.session(0), Session::LoggingIn);
    w.down();
    w.up();
    w.run(secs(2));
    assert_eq!(w.online(), 60);
    assert_eq!(w.subscribed.len(), 4);
    assert_eq!(
        w.spoken(),
        ["batch_login×50", "batch_login×50", "batch_login×10"]
    );
}

#[test]
fn connects_are_paced_and_repeated_failures_summarised() {
    let at = |s: u64| Now {
        mono: Mono::from_micros(s * 1_000_000),
        wall: Wall::default(),
    };
    for why in [
        LinkDown::Closed,
        LinkDown::Refused(4),
        LinkDown::NoConnack,
        LinkDown::Unreachable("no route".into()),
    ] {
        let cloud = spec(0, 0).cloud;
        let mut c = Connector::new(&cloud, Rng::new(5), at(1));
        assert_eq!(c.attempt_at().at, at(1).mono);
        let (mut tries, mut told) = (Vec::new(), 0);
        let mut now = at(1);
        while now.mono < at(3600).mono {
            now.mono = c.attempt_at().at.max(now.mono);
            c.on_attempt(now);
            tries.push(now.mono);
            c.on_down(now, &why);
            while c.poll(now).is_some() {
                told += 1;
            }
            assert!(c.attempt_at().at.since(now.mono) <= secs(600));
        }
        for (i, from) in tries.iter().enumerate() {
            let minute = tries[i..].iter().take_while(|t| t.since(*from) <= secs(60));
            assert!(minute.count() <= 5);
        }
        assert!(
            tries.len() > 5 && told <= 7,
            "{why:?}: {} tries, {told} told",
            tries.len()
        );
    }
}

#[test]
fn after_a_good_spell_the_return_is_soon_but_scattered() {
    let start = Now::default();
    let later = Now {
        mono: Mono::START + secs(3600),
        wall: Wall::default(),
    };
    let mut waits = BTreeSet::new();
    for seed in 0..50 {
        let mut c = Connector::new(&spec(0, 0).cloud, Rng::new(seed), start);
        c.on_attempt(start);
        c.on_up(start);
        c.on_down(later, &LinkDown::Closed);
        let wait = c.attempt_at().at.since(later.mono);
        assert!(wait < secs(5));
        waits.insert(wait);
    }
    assert!(waits.len() > 40);
}

#[test]
fn short_sessions_in_a_row_are_suspicious() {
    let mut c = Connector::new(&spec(0, 0).cloud, Rng::new(5), Now::default());
    let mut now = Now::default();
    let mut suspected = 0;
    for _ in 0..6 {
        now.mono = c.attempt_at().at;
        c.on_attempt(now);
        c.on_up(now);
        now.mono = now.mono + secs(1);
        c.on_down(now, &LinkDown::Closed);
        while let Some(notice) = c.poll(now) {
            suspected += usize::from(matches!(notice, CloudLogEvent::TakeoverSuspected { .. }));
        }
    }
    assert_eq!(suspected, 2);
}
