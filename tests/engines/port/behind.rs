//! A serial server in front of a line whose rate is known: the forecast of that line's
//! load, and the measured load.

use std::sync::Arc;

use alink_gateway::field::plan::forecast::forecast;
use alink_gateway::field::plan::holes::Holes;
use alink_gateway::spec::*;

use super::world::{ROUND, TIMEOUT, World, marked, ms, s, serial};

/// Builds eight units behind a server that says nothing about itself but the rate, if
/// any.
fn served(behind: Option<Characters>) -> Spec {
    let line = LineSpec::Tcp(TcpSpec {
        framing: Some(Framing::Rtu),
        behind,
        ..crate::installation::tcp("server", 4001)
    });
    let profile = marked(s(2));
    let units = (1..=8).map(|unit| (unit, Arc::clone(&profile)));
    crate::installation::installation(line, TIMEOUT, units)
}

/// Returns the load forecast and measured, in thousandths, over a minute.
async fn load(behind: Option<Characters>) -> (u64, f64) {
    let spec = served(behind);
    let foretold = forecast(&spec, |_| Holes::new())[0].load();
    let mut world = World::of(spec, 31, |journal| journal).await;
    world.rig.with(|line, _| {
        for (_, unit) in line.units_mut() {
            // The assumptions about a unit and about the way there and back.
            unit.behaviour.turnaround = ms(15);
        }
    });
    // Until the measurement is believed, and used for planning.
    world.run(s(60)).await;
    let measured = world.load(s(60)).await;
    world.check();
    for unit in 1..=8 {
        let tally = world.tally(unit);
        assert!(tally.values > 55 * ROUND, "{unit}: {tally:?}");
        assert!(tally.missed.is_empty(), "{unit}: {tally:?}");
    }
    (foretold, measured)
}

#[tokio::test(start_paused = true)]
async fn the_load_of_a_line_behind_a_server_is_foretold_if_its_rate_is_said() {
    let (foretold, measured) = load(Some(serial().characters())).await;
    let off = (foretold as f64 - measured).abs() / measured;
    assert!(off <= 0.05, "{foretold} of {measured}");
    // Otherwise it is a lower bound, and a low one.
    let (foretold, measured) = load(None).await;
    assert!(
        (foretold as f64) < measured / 2.0,
        "{foretold} of {measured}"
    );
}
