//! The line's own measurement of its load, on a paced line, against the forecast from
//! the configuration.

use std::time::Duration;

use alink_gateway::field::plan::forecast::forecast;
use alink_gateway::field::plan::holes::Holes;

use super::world::{World, ms, s};

/// How many units, each with three requests, and their interval: from a quiet line to
/// one that is nearly full.
pub(crate) const CASES: [(u8, Duration); 3] = [(4, s(2)), (8, s(2)), (8, ms(1400))];

/// The load forecast and measured, in thousandths of the line's time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) foretold: u64,
    pub(crate) measured: f64,
    /// The difference, in percent of the measured load.
    pub(crate) off: f64,
}

/// Measures one minute of such a line, on virtual time.
pub(crate) async fn measure(units: u8, interval: Duration) -> Load {
    let mut world = World::new(units, interval, 3).await;
    world.rig.with(|line, _| {
        for (_, unit) in line.units_mut() {
            unit.behaviour.turnaround = ms(10);
        }
    });
    world.run(s(10)).await;
    let measured = world.load(s(60)).await;
    let lines = forecast(&world.spec, |_| Holes::new());
    Load {
        foretold: lines[0].load(),
        measured,
        off: lines[0].error_percent(measured),
    }
}
