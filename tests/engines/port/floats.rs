//! Floats that no device measures, as the port sees and reports them.

use std::sync::Arc;

use alink_gateway::base::{FieldEvent, ImplausibleFloats};
use alink_gateway::spec::{LineSpec, Number, Table};

use super::world::{TIMEOUT, World, s, serial};
use crate::installation::{installation, number, point, profile};

/// Returns what the port reports about the floats of a device whose registers hold any bits.
async fn judged(kind: Number) -> Vec<Option<ImplausibleFloats>> {
    let at = |n: u16| point(Table::HoldingRegister, 4 * n, number(kind), s(10));
    let profile = profile("marked", (0..6).map(at).collect());
    let spec = installation(
        LineSpec::Serial(serial()),
        TIMEOUT,
        [(1, Arc::clone(&profile))],
    );
    let mut world = World::of(spec, 7, |journal| journal).await;
    let mut judged = Vec::new();
    world
        .watch(s(300), |event| {
            if let FieldEvent::FloatsJudged { implausible, .. } = event {
                judged.push(implausible.clone());
            }
        })
        .await;
    judged
}

#[tokio::test(start_paused = true)]
async fn floats_of_arbitrary_registers_are_reported_once_and_whole_numbers_never() {
    let floats = judged(Number::F32).await;
    let [.., Some(found)] = floats.as_slice() else {
        panic!("{floats:?}");
    };
    assert!(floats.len() <= 2, "{floats:?}");
    assert!(found.points.len() >= 2, "{found:?}");
    assert!(found.words.contains("in the order ABCD"), "{found:?}");
    assert_eq!(judged(Number::U32).await, []);
}
