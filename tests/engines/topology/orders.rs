//! Orders of the platform: disabled, enabled, deleted, and floods of them.

use super::*;

#[test]
fn disabled_waits_for_enabled_by_whatever_way_and_in_whatever_order_it_is_told() {
    use ChangeChannel::{ExtError, Thing, TopologyChange};
    for ways in [
        vec![Thing],
        vec![TopologyChange],
        vec![Thing, ExtError, TopologyChange],
        vec![TopologyChange, ExtError, Thing],
        vec![ExtError, TopologyChange, Thing, Thing, TopologyChange],
    ] {
        let mut p = Pair::new(3, |_| {}, |s| s.switches.change_channels = ways.clone());
        p.up();
        p.want(0..3, Presence::Online);
        p.run(secs(5));
        p.console(|c, now| c.disable(now, &sub(1)));
        assert_eq!(p.blocked_with(1), Some(522), "{ways:?}");
        assert_eq!(p.told("platform-order"), 1, "told once");
        assert_eq!(p.told("device-refused"), 1, "told once");
        p.run(secs(100));
        assert!(!p.is_online(1));
        p.console(|c, now| c.enable(now, &sub(1)));
        p.run(secs(2));
        assert!(p.is_online(1), "{ways:?}");
        let answers = ways.iter().filter(|w| **w != ExtError).count();
        let said: usize = ["disable_reply", "enable_reply", "change_reply"]
            .into_iter()
            .map(|tail| p.said(tail))
            .sum();
        assert_eq!(said, 2 * answers, "{ways:?}");
        p.well_behaved();
    }
}

#[test]
fn a_disabled_device_whose_enabling_was_lost_is_tried_again_slowly() {
    let mut p = online(2);
    p.console(|c, now| c.disable(now, &sub(0)));
    p.console(|c, now| c.fault(now, Fault::LoseReplies { permille: 1000 }));
    p.console(|c, now| c.enable(now, &sub(0)));
    p.console(|c, now| c.fault(now, Fault::Heal));
    p.run(secs(120));
    assert!(!p.is_online(0));
    p.run(secs(600));
    assert!(p.is_online(0));
}

#[test]
fn deleted_is_forgotten_with_its_topology_and_blocked_for_long() {
    let mut p = online(2);
    p.console(|c, now| c.delete(now, &sub(0)));
    assert_eq!(p.blocked_with(0), Some(521));
    p.run(secs(290));
    assert_eq!((p.blocked_with(0), p.said("login")), (Some(521), 0));
    // Created again, under no gateway: it comes back by itself.
    p.platform.register(Certificate {
        product_key: ProductKey::new("subPk"),
        device_name: DeviceName::new(&name(0)),
        secret: Secret::new("secret-0"),
    });
    p.run(secs(900));
    assert!(p.is_online(0));
}

#[test]
fn orders_about_strangers_are_answered_counted_and_told_once() {
    let mut p = online(1);
    for n in 0..5 {
        for order in ["disable", "enable", "delete"] {
            let topic = format!("/sys/x/stranger-{n}/thing/{order}");
            p.cloud
                .on_message(p.now, &topic, br#"{"id":"1","params":{}}"#);
        }
    }
    p.run(secs(5));
    assert_eq!(p.said("disable_reply"), 5);
    assert_eq!(p.said("delete_reply"), 5);
    // The model answers each with 520, because it does not know them either.
    assert_eq!(p.cloud.counters().orders, 15);
    assert!(p.cloud.counters().strangers >= 15);
    assert_eq!(p.told("platform-order-unknown-device"), 1);
    assert!(p.is_online(0));
}

#[test]
fn a_flood_of_orders_is_answered_within_the_pace_and_without_end_of_memory() {
    let mut p = online(1);
    for n in 0..2000 {
        let body = format!(r#"{{"id":"{n}","params":{{}}}}"#);
        p.cloud
            .on_message(p.now, "/sys/subPk/meter-0000/thing/enable", body.as_bytes());
    }
    p.run(secs(60));
    assert_eq!(p.said("enable_reply"), 512);
    assert_eq!(p.cloud.counters().dropped_answers, 2000 - 512);
    p.well_behaved();
}

#[test]
fn a_flood_of_pushed_configurations_is_answered_like_one_of_orders() {
    let mut p = online(1);
    for n in 0..100_000 {
        let body = format!(r#"{{"id":"{n}","params":{{}}}}"#);
        p.cloud
            .on_message(p.now, "/sys/gwPk/gw-1/thing/config/push", body.as_bytes());
    }
    p.run(secs(60));
    let answered = p.said("push_reply") as u64;
    assert!((500..=512).contains(&answered), "{answered}");
    // Notices wait in the same queue.
    let dropped = p.cloud.counters().dropped_answers;
    assert!(
        (100_000 - 512..=100_000 - 500).contains(&dropped),
        "{dropped}"
    );
    p.well_behaved();
}

#[test]
fn a_platform_that_changes_its_mind_without_end_fills_neither_memory_nor_the_log() {
    let mut p = online(1);
    for n in 0..50_000 {
        let order = ["disable", "enable"][n % 2];
        let topic = format!("/sys/subPk/meter-0000/thing/{order}");
        p.cloud
            .on_message(p.now, &topic, br#"{"id":"1","params":{}}"#);
    }
    p.run(secs(5));
    let told = p.notices.len();
    assert!((1_000..10_000).contains(&told), "{told}");
    assert!(p.cloud.counters().dropped_notices > 10_000);
    // A later notice is sent again.
    p.run(secs(60));
    p.notices.clear();
    p.cloud.on_message(
        p.now,
        "/sys/subPk/meter-0000/thing/disable",
        br#"{"id":"1","params":{}}"#,
    );
    p.run(secs(1));
    assert!(p.told("platform-order") >= 1);
}

#[test]
fn what_the_platform_says_at_length_is_not_echoed() {
    let mut p = online(1);
    let id = "9".repeat(100_000);
    let body = format!(r#"{{"id":"{id}","params":{{}}}}"#);
    let long = "n".repeat(60_000);
    for topic in [
        "/sys/subPk/meter-0000/thing/enable".to_owned(),
        "/sys/gwPk/gw-1/thing/config/push".to_owned(),
        "/sys/subPk/meter-0000/thing/service/x".to_owned(),
        format!("/sys/subPk/{long}/thing/enable"),
        format!("/sys/subPk/meter-0000/thing/service/{long}"),
        format!("/ext/rrpc/{long}/x"),
        format!("/ext/rrpc/7/{long}"),
    ] {
        p.cloud.on_message(p.now, &topic, body.as_bytes());
        p.cloud.on_message(p.now, &topic, br#"{"params":{}}"#);
    }
    p.run(secs(60));
    let length = |(topic, body): &(String, Json)| topic.len() + body.to_string().len();
    let longest = p.sent.iter().map(length);
    assert!(longest.max().unwrap_or_default() < 4096);
}

#[test]
fn an_unknown_status_is_logged_raw_answered_and_changes_nothing() {
    let mut p = online(1);
    let body = br#"{"id":"5","params":{"status":7,"subList":[{"productKey":"subPk","deviceName":"meter-0000"}]}}"#;
    p.cloud
        .on_message(p.now, "/sys/gwPk/gw-1/thing/topo/change", body);
    p.run(secs(2));
    assert!(p.is_online(0));
    assert_eq!(p.said("change_reply"), 1);
    let raw = p.notices.iter().find_map(|n| match n {
        CloudLogEvent::Topology(TopologyEvent::Ordered { raw, .. }) => Some(raw.clone()),
        _ => None,
    });
    assert_eq!(raw.as_deref(), Some("thing/topo/change, status 7"));
}
