//! Which devices belong to the gateway: filled, pruned, added and removed at the console.

use super::*;

#[test]
fn an_empty_topology_is_filled_thirty_at_a_time_and_everyone_comes_online() {
    for names in [
        FailedBatchNames::Culprits,
        FailedBatchNames::All,
        FailedBatchNames::NoDevice,
    ] {
        let mut p = Pair::new(
            200,
            |_| {},
            |s| {
                s.topology.clear();
                s.switches.failed_batch_names = names;
            },
        );
        p.up();
        p.want(0..200, Presence::Online);
        p.run(secs(10));
        assert_eq!(p.platform.online(), 200, "{names:?}");
        // Two tries of four batches, and a few for devices between them.
        let logins = p.said("login");
        assert!(logins <= 10, "{names:?}: {logins} log-in messages");
        let adds = p.said("topo/add");
        assert!(adds <= 9, "{names:?}: {adds} to add");
        for (topic, json) in &p.sent {
            if topic.ends_with("topo/add") {
                assert!(json["params"].as_array().unwrap().len() <= 30);
                assert!(json["params"][0]["signmethod"].is_string());
                assert!(json["params"][0]["signMethod"].is_null());
            }
        }
        assert_eq!(p.cloud.counters().blocked, 0);
        p.well_behaved();
    }
}

#[test]
fn nobody_waits_for_the_topology_to_be_known() {
    let mut p = Pair::new(50, |_| {}, |_| {});
    p.want(0..50, Presence::Online);
    p.up();
    let first = p.sent.iter().position(|(t, _)| t.ends_with("login"));
    let get = p.sent.iter().position(|(t, _)| t.ends_with("topo/get"));
    p.run(secs(2));
    assert!(first.unwrap() < get.unwrap());
    assert_eq!(p.said("topo/get"), 1);
    assert_eq!(p.said("topo/add"), 0);
}

#[test]
fn the_version_is_told_on_every_connection() {
    let mut p = online(1);
    p.down();
    p.up();
    p.run(secs(1));
    let told: Vec<_> = p
        .platform
        .ledger()
        .events()
        .filter_map(|(_, e)| match e {
            Event::Informed { device, version } => Some((device.clone(), version.clone())),
            _ => None,
        })
        .collect();
    let version = Json::from(env!("CARGO_PKG_VERSION"));
    assert_eq!(told, vec![(gateway(), version); 2]);
}

#[test]
fn policy_leave_touches_nothing_and_bars_who_is_missing() {
    let leave = |s: &mut Spec| s.cloud.session.topology = TopologyPolicy::Leave;
    let mut p = Pair::new(3, leave, |s| s.topology.retain(|(_, d)| *d != sub(1)));
    p.up();
    p.want(0..3, Presence::Online);
    p.run(secs(10));
    assert_eq!(p.platform.online(), 2);
    assert_eq!(p.blocked_with(1), Some(6401));
    assert_eq!(p.said("topo/get") + p.said("topo/add"), 0);
    // The device is added in the console: at once.
    p.console(|c, now| c.add_topology(now, &gateway(), &sub(1)));
    p.run(secs(2));
    assert!(p.is_online(1));
}

fn with_strangers(spec: &mut PlatformSpec, n: u32) {
    for i in 0..n {
        let who = Device::new("oldPk", &name(i));
        spec.certificates.push(Certificate {
            product_key: who.product_key.clone(),
            device_name: who.device_name.clone(),
            secret: Secret::new("x"),
        });
        spec.topology.push((gateway(), who));
    }
}

#[test]
fn only_mirror_deletes_what_is_not_configured_and_never_more_than_half() {
    use TopologyPolicy::{Add, Leave, Mirror};
    for (policy, strangers, left) in [
        (Add, 3, 3),
        (Leave, 3, 3),
        (Mirror, 3, 0),
        (Mirror, 40, 0),
        (Mirror, 50, 0),
        (Mirror, 51, 51),
    ] {
        let ours = |s: &mut Spec| s.cloud.session.topology = policy;
        let mut p = Pair::new(50, ours, |s| with_strangers(s, strangers));
        p.up();
        p.run(secs(10));
        let still = (0..strangers)
            .filter(|i| {
                let who = Device::new("oldPk", &name(*i));
                p.platform.gateway_of(&who).is_some()
            })
            .count();
        assert_eq!(still, left, "{policy:?} {strangers}");
        let alarm = p.notices.iter().any(|n| {
            n.kind().name() == "topology-extra" && n.level() == alink_gateway::base::Level::Error
        });
        assert_eq!(alarm, strangers == 51);
        for n in 0..50 {
            assert_eq!(p.platform.gateway_of(&sub(n)), Some(&gateway()));
        }
        p.well_behaved();
    }
}

#[test]
fn a_device_bound_elsewhere_is_reported_and_not_fought_over() {
    let other = Device::new("gwPk", "gw-2");
    let mut p = Pair::new(
        40,
        |_| {},
        |s| {
            s.switches.topology_moves = false;
            s.switches.failed_batch_names = FailedBatchNames::NoDevice;
            for (above, d) in &mut s.topology {
                if *d == sub(7) {
                    *above = other.clone();
                }
            }
        },
    );
    p.up();
    p.want(0..40, Presence::Online);
    p.run(secs(3600));
    assert_eq!(p.platform.online(), 39);
    assert_eq!(p.blocked_with(7), Some(6401));
    assert_eq!(p.platform.gateway_of(&sub(7)), Some(&other));
    let tries = p.said("topo/add");
    assert!((3..=16).contains(&tries), "{tries} tries in an hour");
    let told = p
        .notices
        .iter()
        .find(|n| n.kind().name() == "device-refused");
    let told = told.unwrap().sentence();
    assert!(told.contains("another gateway"), "{told}");
    p.well_behaved();
}

#[test]
fn to_be_added_is_answered_and_obeyed_if_the_device_is_configured() {
    let mut p = Pair::new(2, |_| {}, |s| s.topology.retain(|(_, d)| *d != sub(1)));
    p.up();
    p.run(secs(5));
    p.console(|c, now| c.remove_topology(now, &sub(1)));
    p.sent.clear();
    p.console(|c, now| c.ask_to_add(now, &gateway(), &sub(1)));
    p.console(|c, now| c.ask_to_add(now, &gateway(), &Device::new("x", "stranger")));
    p.run(secs(2));
    assert_eq!(p.said("topo/add/notify_reply"), 2);
    assert_eq!(p.said("topo/add"), 1);
    assert_eq!(p.platform.gateway_of(&sub(1)), Some(&gateway()));
    assert_eq!(p.cloud.counters().strangers, 1);
}

#[test]
fn who_is_removed_in_the_console_is_added_again_after_its_bar() {
    let mut p = online(3);
    p.console(|c, now| c.remove_topology(now, &sub(1)));
    p.run(secs(20));
    assert!(!p.is_online(1));
    assert_eq!(p.blocked_with(1), Some(6401));
    assert_eq!(p.said("topo/change_reply"), 1);
    p.run(secs(60));
    assert!(p.is_online(1));
}

#[test]
fn devices_the_platform_does_not_know_are_reported_only_when_asked() {
    for report in [false, true] {
        let ours = |s: &mut Spec| s.cloud.session.report_unknown = report;
        let mut p = Pair::new(3, ours, |s| {
            s.certificates.retain(|c| c.device() != sub(2));
            s.topology.retain(|(_, d)| *d != sub(2));
        });
        p.up();
        p.want(0..3, Presence::Online);
        p.run(secs(30));
        assert_eq!(p.blocked_with(2), Some(6100));
        let found = p.platform.ledger().events();
        let found = found.filter(|(_, e)| *e == Event::Found(sub(2))).count();
        assert_eq!(found > 0, report);
        assert_eq!(p.said("thing/list/found"), found);
    }
}
