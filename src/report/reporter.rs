//! The points that do not report every reading, and what is to be delivered now.

mod reload;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::point::ReadingState;
use super::released_values::ReleasedValues;
use super::window::WindowState;
use crate::base::{DeviceId, FieldEvent, Mono, Now, Reading, Wake};
use crate::spec::{Codec, PointSpec, ReportPolicy, Spec};

/// How long a reported value waits at most for the log-in of its device and still counts as
/// reported after the log-in. Younger values than this go out with the first message of the
/// session.
pub const WAITS_FOR_LOG_IN: Duration = Duration::from_secs(5);

/// Which readings are reported. See the room's doc for the contract.
#[derive(Debug, Default)]
pub struct Reporter {
    devices: BTreeMap<DeviceId, Device>,
    /// The points that have something to report by themselves, the earliest first.
    schedule: BTreeSet<(Mono, DeviceId, u16)>,
    /// What is to be delivered now, in this order.
    out: VecDeque<Reading>,
    given_up: u64,
}

/// The points of one device that have a policy and were read.
#[derive(Debug, Default)]
struct Device {
    /// By the index of the point in the profile.
    points: Vec<(u16, State)>,
    /// When the device was last seen online.
    offline_since: Mono,
}

/// What is known of one point.
#[derive(Clone, Debug)]
enum State {
    Readings(ReadingState),
    Window(Box<WindowState>),
}

impl State {
    /// Returns the state of a point with this policy that was not read yet; `None` if every
    /// reading is reported.
    fn new(policy: &ReportPolicy) -> Option<State> {
        match policy {
            ReportPolicy::All => None,
            ReportPolicy::Some(_) => Some(State::Readings(ReadingState::new())),
            ReportPolicy::Window { .. } => Some(State::Window(Box::new(WindowState::new()))),
        }
    }

    fn due(&self) -> Option<Mono> {
        match self {
            State::Readings(state) => state.due(),
            State::Window(state) => state.due(),
        }
    }

    fn on_reading(&mut self, point: &PointSpec, reading: Reading) -> ReleasedValues {
        let Reading { value, at, .. } = reading;
        match (self, &point.report) {
            (State::Readings(state), ReportPolicy::Some(policy)) => {
                state.on_reading(policy, point.interval, value, at)
            }
            (
                State::Window(state),
                ReportPolicy::Window {
                    length,
                    value: kind,
                },
            ) => state.on_reading((*length, *kind), places(point), value, at),
            // A point whose policy changes gets a new state.
            _ => ReleasedValues::reading(value, at),
        }
    }

    fn on_no_value(&mut self, now: Mono, point: &PointSpec) -> ReleasedValues {
        match (self, &point.report) {
            (State::Readings(state), ReportPolicy::Some(policy)) => state.on_no_value(now, policy),
            // The window has fewer readings.
            _ => ReleasedValues::default(),
        }
    }

    fn on_time(&mut self, now: Mono, point: &PointSpec) -> ReleasedValues {
        match self {
            State::Readings(state) => state.on_time(now),
            State::Window(state) => state.on_time(now, places(point)),
        }
    }

    fn release(&mut self, now: Mono, point: &PointSpec) -> ReleasedValues {
        match self {
            State::Readings(state) => state.release(now),
            State::Window(state) => state.release(now, places(point)),
        }
    }

    fn report_all_next(&mut self) {
        match self {
            State::Readings(state) => state.report_next(),
            State::Window(state) => state.report_next(),
        }
    }

    fn reported_at(&self) -> Option<Mono> {
        match self {
            State::Readings(state) => state.reported_at(),
            State::Window(state) => state.reported_at(),
        }
    }
}

/// Returns how many places the values of a point have, if it is given.
fn places(point: &PointSpec) -> Option<u8> {
    match &point.codec {
        Codec::Measure(measure) => measure.round,
        _ => None,
    }
}

impl Reporter {
    /// Creates a reporter that knows of no reading yet.
    #[must_use]
    pub fn new() -> Self {
        Reporter::default()
    }

    /// Takes in an event of a port, with the readings.
    pub fn on_field(&mut self, now: Now, spec: &Spec, event: FieldEvent) {
        match event {
            FieldEvent::Polled { readings, .. } => {
                for reading in readings {
                    self.on_reading(spec, reading);
                }
            }
            FieldEvent::NoValue { device, points, .. } => {
                for (point, _) in points {
                    self.change(spec, device, point, |state, point| {
                        state.on_no_value(now.mono, point)
                    });
                }
            }
            FieldEvent::PointsFailing { device, points, .. } => {
                for point in points {
                    self.change(spec, device, point, |state, point| {
                        state.report_all_next();
                        state.release(now.mono, point)
                    });
                }
            }
            FieldEvent::PortDown { port, .. } => {
                for (device, _) in spec.devices_on(port) {
                    self.on_silent(now, spec, device);
                }
            }
            FieldEvent::CommandBegun(_)
            | FieldEvent::CommandEnded(_)
            | FieldEvent::PortUp { .. }
            | FieldEvent::PortRetried { .. }
            | FieldEvent::Load { .. }
            | FieldEvent::Echoes { .. }
            | FieldEvent::Noticed { .. }
            | FieldEvent::Probes { .. }
            | FieldEvent::FloatsJudged { .. } => {}
        }
    }

    /// Takes note that a device fell silent, before it is logged out: what is withheld is handed
    /// out, and the first reading after this, too.
    pub fn on_silent(&mut self, now: Now, spec: &Spec, device: DeviceId) {
        self.change_all(spec, device, |state, point| {
            state.report_all_next();
            state.release(now.mono, point)
        });
    }

    /// Takes note that a session of this device began, or that its session ended.
    pub fn on_session(&mut self, now: Now, device: DeviceId, online: bool) {
        let Some(device) = self.devices.get_mut(&device) else {
            return;
        };
        if !online {
            device.offline_since = now.mono;
            return;
        }
        let offline_since = device.offline_since;
        let goes_out_with_it =
            |at: Mono| at >= offline_since && now.mono.since(at) <= WAITS_FOR_LOG_IN;
        for (_, state) in &mut device.points {
            if !state.reported_at().is_some_and(goes_out_with_it) {
                state.report_all_next();
            }
        }
    }

    /// Hands out what is withheld, of all devices: the connection is lost or left, or the gateway
    /// stops.
    pub fn release_all(&mut self, now: Now, spec: &Spec) {
        let all: Vec<DeviceId> = self.devices.keys().copied().collect();
        for device in all {
            self.change_all(spec, device, |state, point| state.release(now.mono, point));
        }
    }

    /// Hands out what is due.
    pub fn on_time(&mut self, now: Now, spec: &Spec) {
        while let Some(&(at, device, point)) = self.schedule.first() {
            if at > now.mono {
                break;
            }
            self.schedule.pop_first();
            self.change(spec, device, point, |state, point| {
                state.on_time(now.mono, point)
            });
        }
    }

    /// Returns the next reading to be delivered.
    pub fn poll(&mut self) -> Option<Reading> {
        self.out.pop_front()
    }

    /// Returns when to call [`Reporter::on_time`].
    #[must_use]
    pub fn wake_at(&self) -> Option<Wake> {
        let (at, ..) = self.schedule.first()?;
        Some(Wake::new(*at, "a reading that was withheld"))
    }

    /// Returns how many readings were given up: for a newer one, since they said nothing new, or
    /// since the value of a window stands for them.
    #[must_use]
    pub const fn given_up(&self) -> u64 {
        self.given_up
    }

    /// Returns when a point with a policy was last reported.
    #[must_use]
    pub fn reported_at(&self, device: DeviceId, point: u16) -> Option<Mono> {
        let points = &self.devices.get(&device)?.points;
        let place = points.binary_search_by_key(&point, |(i, _)| *i).ok()?;
        points.get(place)?.1.reported_at()
    }

    fn on_reading(&mut self, spec: &Spec, reading: Reading) {
        let (device, index) = (reading.device, reading.point);
        let point = point(spec, device, index).filter(|_| spec.has(device));
        let Some(point) = point.filter(|p| !p.report.is_all()) else {
            // What is to become of an unknown device's reading is not decided here.
            self.out.push_back(reading);
            return;
        };
        let points = &mut self.devices.entry(device).or_default().points;
        if let Err(place) = points.binary_search_by_key(&index, |(i, _)| *i)
            && let Some(state) = State::new(&point.report)
        {
            points.insert(place, (index, state));
        }
        self.change(spec, device, index, |state, point| {
            state.on_reading(point, reading)
        });
    }

    /// Changes the states of all points of a device.
    fn change_all(
        &mut self,
        spec: &Spec,
        device: DeviceId,
        mut change: impl FnMut(&mut State, &PointSpec) -> ReleasedValues,
    ) {
        let Some(all) = self.devices.get(&device) else {
            return;
        };
        let indices: Vec<u16> = all.points.iter().map(|(i, _)| *i).collect();
        for index in indices {
            self.change(spec, device, index, &mut change);
        }
    }

    /// Changes the state of a point, if it has one; keeps the schedule and hands out what comes
    /// of it.
    fn change(
        &mut self,
        spec: &Spec,
        device: DeviceId,
        index: u16,
        change: impl FnOnce(&mut State, &PointSpec) -> ReleasedValues,
    ) {
        let Some(points) = self.devices.get_mut(&device).map(|d| &mut d.points) else {
            return;
        };
        let place = points.binary_search_by_key(&index, |(i, _)| *i);
        let state = place.ok().and_then(|i| points.get_mut(i));
        let (Some((_, state)), Some(point)) = (state, point(spec, device, index)) else {
            return;
        };
        let before = state.due();
        let handed = change(state, point);
        let after = state.due();
        if before != after {
            if let Some(at) = before {
                self.schedule.remove(&(at, device, index));
            }
            if let Some(at) = after {
                self.schedule.insert((at, device, index));
            }
        }
        self.given_up += handed.given_up();
        for (value, at) in handed.values() {
            self.out.push_back(Reading {
                device,
                point: index,
                value,
                at,
            });
        }
    }
}

fn point(spec: &Spec, device: DeviceId, index: u16) -> Option<&PointSpec> {
    let profile = &spec.device(device)?.profile;
    profile.points.get(usize::from(index))
}

#[cfg(test)]
mod tests;
