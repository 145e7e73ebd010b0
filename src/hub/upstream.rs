//! What the configured installation will send, and how long an outage is borne: the forecasts
//! of the lines, of the platform's side and of the store, put together.
//!
//! The lines say which values are read together, and when ([`crate::field::plan`]); the cloud
//! says how many messages that makes ([`crate::cloud::upstream`]).

mod outage;
mod typical_value;

use std::sync::Arc;

use crate::cloud::upstream::{PeriodicReadings, PeriodicValue, UpstreamForecast};
use crate::field::plan::forecast::LineForecast;
use crate::field::plan::poll_forecast::{PollForecast, polls};
use crate::spec::{ReportRates, Spec};

pub use outage::{OutageForecast, OutageStore};

use typical_value::typical_value;

/// What the installation will send, and how long it does without the platform.
#[derive(Clone, Debug, PartialEq)]
pub struct Upstream {
    sent: UpstreamForecast,
    /// What is sent at the least, if that depends on how often values change.
    least: Option<UpstreamForecast>,
    outage: Option<OutageForecast>,
}

impl Upstream {
    /// Computes the forecast for an installation with these lines.
    #[must_use]
    pub fn of(spec: &Arc<Spec>, lines: &[LineForecast]) -> Upstream {
        let most = readings(spec, lines, |rates| rates.greatest);
        let sent = UpstreamForecast::of(spec, &most);
        let outage = OutageForecast::of(spec, &most, sent.values_per_second());
        let least = readings(spec, lines, |rates| rates.least);
        let least = (least != most).then(|| UpstreamForecast::of(spec, &least));
        Upstream {
            sent,
            least,
            outage,
        }
    }

    /// Returns what is sent, at the most: if every value that is read differs from the one
    /// before.
    #[must_use]
    pub const fn sent(&self) -> &UpstreamForecast {
        &self.sent
    }

    /// Returns what is sent if no value ever changes; `None` if that makes no difference.
    #[must_use]
    pub const fn least(&self) -> Option<&UpstreamForecast> {
        self.least.as_ref()
    }

    /// Returns whether more is to be sent than can be, whatever the values are, and that is not
    /// allowed.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.least.as_ref().unwrap_or(&self.sent).is_refused()
    }

    /// Returns the words of `plan` and `check` alike.
    #[must_use]
    pub fn summary(&self) -> String {
        match &self.least {
            None => self.sent.summary(),
            Some(least) => format!(
                "up to {}; {} if no value changes",
                self.sent.summary(),
                least.percent()
            ),
        }
    }

    /// Returns how long an outage is borne; `None` if there is nothing to be kept.
    #[must_use]
    pub const fn outage(&self) -> Option<&OutageForecast> {
        self.outage.as_ref()
    }
}

/// Returns which values are read together, and when.
fn readings(
    spec: &Spec,
    lines: &[LineForecast],
    rate: impl Fn(ReportRates) -> f64,
) -> Vec<PeriodicReadings> {
    let mut readings = Vec::new();
    for line in lines {
        // Equal requests of equal devices are one, and bring the same.
        let mut known: Vec<Option<Arc<[PeriodicValue]>>> = vec![None; line.requests.len()];
        for poll in polls(spec, line) {
            let Some(values) = known.get_mut(poll.index) else {
                continue;
            };
            let values = values.get_or_insert_with(|| values_of(spec, &poll, &rate));
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

fn values_of(
    spec: &Spec,
    poll: &PollForecast<'_>,
    rate: impl Fn(ReportRates) -> f64,
) -> Arc<[PeriodicValue]> {
    let Some(device) = spec.device(poll.device) else {
        return Arc::default();
    };
    let of_point = |index: &u16| {
        let point = device.profile.points.get(usize::from(*index))?;
        let each = rate(point.report.rates(poll.interval)) * poll.interval.as_secs_f64();
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
