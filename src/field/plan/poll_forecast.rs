//! When the replies of a line come on an ordinary day, from the configuration alone.
//!
//! Each request of each device has its phase within its interval, as the schedule gives it
//! ([`crate::field::polled_device`]). On a line that is asked for more than it can carry the
//! intervals are longer than configured: here all of them by the line's load, whatever their
//! priority. Not reckoned with: requests that wait for each other, which moves a reply by
//! less than the time of a few requests.

use std::collections::BTreeMap;
use std::time::Duration;

use super::forecast::{FULL, LineForecast, RequestForecast};
use crate::base::DeviceId;
use crate::field::polled_device::poll_slot::phase;
use crate::spec::Spec;

/// One request of one device, and when its replies come.
#[derive(Clone, Copy, Debug)]
pub struct PollForecast<'a> {
    /// The device that is asked.
    pub device: DeviceId,
    /// The request …
    pub request: &'a RequestForecast,
    /// … and its index among those of the line.
    pub index: usize,
    /// How long it is from a reply to the next.
    pub interval: Duration,
    /// When replies come, counted from the beginning of the interval.
    pub phase: Duration,
}

/// Returns all requests of one line, one by one for each device.
#[must_use]
pub fn polls<'a>(spec: &Spec, line: &'a LineForecast) -> Vec<PollForecast<'a>> {
    let mut of_device: BTreeMap<DeviceId, Vec<(usize, &RequestForecast)>> = BTreeMap::new();
    for (index, request) in line.requests.iter().enumerate() {
        for device in &request.devices {
            of_device.entry(*device).or_default().push((index, request));
        }
    }
    let stretch = line.load().max(FULL);
    let mut polls = Vec::new();
    let mut number = 0;
    for (device, _) in spec.devices_on(line.port) {
        for (index, request) in of_device.remove(&device).unwrap_or_default() {
            let interval = stretched(request.interval, stretch);
            polls.push(PollForecast {
                device,
                request,
                index,
                interval,
                phase: phase(number, interval) + request.time,
            });
            number += 1;
        }
    }
    polls
}

fn stretched(interval: Duration, permille: u64) -> Duration {
    let micros = interval.as_micros().saturating_mul(u128::from(permille)) / u128::from(FULL);
    Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::plan::forecast::forecast;
    use crate::field::plan::holes::Holes;
    use crate::field::test_spec::{installation, serial};

    #[test]
    fn a_line_without_devices_brings_nothing() {
        let spec = installation(serial(9600), Vec::new());
        let lines = forecast(&spec, |_| Holes::new());
        assert!(polls(&spec, &lines[0]).is_empty());
    }

    #[test]
    fn an_interval_is_as_configured_or_longer_by_the_load() {
        let second = Duration::from_secs(1);
        assert_eq!(stretched(second, FULL), second);
        assert_eq!(stretched(second, 2 * FULL), 2 * second);
        assert!(stretched(Duration::MAX, u64::MAX) > second);
    }
}
