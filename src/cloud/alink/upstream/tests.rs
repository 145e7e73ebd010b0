//! The bounds of the forecast. Whole installations are in `hub/upstream/tests.rs`, and whether
//! the forecast is near what a run sends is in `tests/engines/upstream.rs`.

use super::*;

fn demand(devices: usize, values: f64, visits: f64) -> Demand {
    Demand {
        devices,
        values,
        visits,
        most_visits: visits / devices as f64,
        bytes: 60.0 * values + 192.0 * visits,
    }
}

#[test]
fn full_messages_are_needed_where_each_device_has_many_values() {
    let limits = PostPolicy::default();
    // One device needs no message for its session besides those with its values.
    let (needed, bound) = demand(1, 1_000.0, 5.0).messages(&limits);
    assert!((needed - 5.0).abs() < 1e-9, "{needed}");
    assert_eq!(bound, BindingLimit::Values);
}

#[test]
fn places_of_devices_are_needed_where_each_device_has_few_values() {
    let limits = PostPolicy::default();
    let (needed, bound) = demand(2_000, 2_000.0, 2_000.0).messages(&limits);
    // A message has twenty devices, however few values they have.
    assert!(needed > 100.0, "{needed}");
    assert_eq!(bound, BindingLimit::Devices);
}

#[test]
fn a_point_of_one_device_needs_a_message_for_each_value() {
    let limits = PostPolicy::default();
    let (needed, bound) = demand(1, 20.0, 20.0).messages(&limits);
    assert!((needed - 20.0).abs() < 1e-9, "{needed}");
    assert_eq!(bound, BindingLimit::Devices);
}

#[test]
fn bytes_are_needed_where_messages_are_small() {
    let limits = PostPolicy {
        message_bytes: 1_000,
        ..PostPolicy::default()
    };
    let (needed, bound) = demand(10, 100.0, 10.0).messages(&limits);
    assert!(needed > 100.0 * 60.0 / 1_000.0, "{needed}");
    assert_eq!(bound, BindingLimit::Bytes);
}

#[test]
fn proofs_of_sessions_take_no_more_than_their_share() {
    let limits = PostPolicy::default();
    let with = demand(2_000, 400.0, 200.0).messages(&limits).0;
    let without = 200.0 / limits.pack_devices as f64;
    let share = f64::from(limits.messages_per_second) / 8.0;
    assert!(
        with > without && with <= without + share,
        "{with} {without}"
    );
    // And no message is sent for its own sake while there are no values.
    assert_eq!(demand(2_000, 0.0, 0.0).messages(&limits).0, 0.0);
}

#[test]
fn a_share_is_rounded_up_and_a_whole_one_is_no_more() {
    assert_eq!(permille(25.0, 25.0), FULL);
    assert_eq!(permille(0.1 + 0.2, 0.3), FULL);
    assert_eq!(permille(25.1, 25.0), 1004);
    assert_eq!(permille(0.0, 25.0), 0);
}

#[test]
fn rates_are_written_with_the_decimals_that_matter() {
    for (rate, text) in [
        (1_234.4, "1,234"),
        (100.0, "100"),
        (13.13, "13.1"),
        (0.1, "0.1"),
        (0.0028, "0.0028"),
    ] {
        assert_eq!(per_second(rate), text);
    }
}
