//! Devices of LoRa products, which are online without a log-in.

use super::*;

/// Builds four devices that were online when the link broke; the first two are of a LoRa
/// product, and the platform shows them still.
fn cut_off() -> Pair {
    let lora = BTreeSet::from([sub(0), sub(1)]);
    let mut p = Pair::new(4, |_| {}, |s| s.lora = lora);
    p.up();
    p.want(0..4, Presence::Online);
    p.run(secs(5));
    p.down();
    assert!(p.is_online(0) && p.is_online(1), "still shown");
    p
}

#[test]
fn a_lora_device_silent_since_the_last_connection_is_turned_off_by_an_explicit_log_out() {
    let mut p = cut_off();
    assert!(!p.is_online(2));
    p.want([0, 2], Presence::Offline);
    p.up();
    p.run(secs(60));
    let shown: Vec<bool> = (0..4).map(|n| p.is_online(n)).collect();
    assert_eq!(shown, [false, true, false, true]);
    p.well_behaved();
}

#[test]
fn a_lora_device_that_died_while_the_gateway_was_dead_is_turned_off_quietly_by_its_next_life() {
    let mut p = cut_off();
    // Killed, and started again; no state is kept.
    p.cloud = Cloud::new(Arc::clone(&p.spec), Rng::new(3), p.now);
    p.notices.clear();
    p.up();
    p.want([1, 3], Presence::Online);
    p.run(secs(60));
    let shown: Vec<bool> = (0..4).map(|n| p.is_online(n)).collect();
    assert_eq!(shown, [false, true, false, true]);
    let told: Vec<_> = p
        .notices
        .iter()
        .filter_map(|n| match n {
            CloudLogEvent::LoggedOut { names, .. } => Some(names.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(
        told,
        ["meter-0000"],
        "no notice about a device that was not online"
    );
    p.well_behaved();
}
