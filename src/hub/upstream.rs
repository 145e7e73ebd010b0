//! What the configured installation will send, and how long an outage is borne: the forecasts
//! of the lines, of the platform's side and of the store, put together.
//!
//! The lines say which values are read together, and when ([`crate::field::plan`]); the cloud
//! says how many messages that makes ([`crate::cloud::upstream`]).

mod outage;
mod typical_value;

use std::sync::Arc;

use crate::cloud::upstream::{
    PeriodicReadings, PeriodicValue, UpstreamForecast, values_per_second,
};
use crate::field::plan::forecast::LineForecast;
use crate::field::plan::poll_forecast::{PollForecast, polls};
use crate::spec::Spec;

pub use outage::{Keeper, OutageForecast};

use typical_value::typical_value;

/// What the installation will send, and how long it does without the platform.
#[derive(Clone, Debug, PartialEq)]
pub struct Upstream {
    sent: UpstreamForecast,
    outage: Option<OutageForecast>,
}

impl Upstream {
    /// Computes the forecast for an installation with these lines.
    #[must_use]
    pub fn of(spec: &Arc<Spec>, lines: &[LineForecast]) -> Upstream {
        let readings = readings(spec, lines);
        let sent = UpstreamForecast::of(spec, &readings);
        let outage = OutageForecast::of(spec, &readings, sent.values_per_second());
        Upstream { sent, outage }
    }

    /// Returns what is sent.
    #[must_use]
    pub const fn sent(&self) -> &UpstreamForecast {
        &self.sent
    }

    /// Returns how long an outage is borne; `None` if there is nothing to be kept.
    #[must_use]
    pub const fn outage(&self) -> Option<&OutageForecast> {
        self.outage.as_ref()
    }
}

/// Returns which values are read together, and when.
fn readings(spec: &Spec, lines: &[LineForecast]) -> Vec<PeriodicReadings> {
    let mut readings = Vec::new();
    for line in lines {
        // Equal requests of equal devices are one, and bring the same.
        let mut known: Vec<Option<Arc<[PeriodicValue]>>> = vec![None; line.requests.len()];
        for poll in polls(spec, line) {
            let Some(values) = known.get_mut(poll.index) else {
                continue;
            };
            let values = values.get_or_insert_with(|| values_of(spec, &poll));
            readings.push(PeriodicReadings {
                device: poll.device,
                interval: poll.interval,
                phase: poll.phase,
                values: Arc::clone(values),
            });
        }
    }
    readings
}

fn values_of(spec: &Spec, poll: &PollForecast<'_>) -> Arc<[PeriodicValue]> {
    let Some(device) = spec.device(poll.device) else {
        return Arc::default();
    };
    let of_point = |index: &u16| {
        let point = device.profile.points.get(usize::from(*index))?;
        let each = values_per_second(point, poll.interval) * poll.interval.as_secs_f64();
        Some(PeriodicValue {
            point: *index,
            value: typical_value(point),
            sent: each.min(1.0),
        })
    };
    poll.request.points.iter().filter_map(of_point).collect()
}

#[cfg(test)]
mod tests;
