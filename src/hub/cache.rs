//! The last value of every point, and how far it may be believed.
//!
//! Contract: [`Cache::on_field`] takes in the events of the field and [`Cache::lost`] the
//! devices that fell silent; [`Cache::look`] returns the values. The cache does nothing
//! when time passes: the age of a value is computed when the value is looked up, so there
//! is no instant at which an old value still counts as good.
//!
//! The cache is for people, and for the output data of events of the thing model. The reading
//! itself is posted to the platform, once, with its own time, and not from here.

use std::borrow::Cow;
use std::time::Duration;

use crate::base::utc::Utc;
use crate::base::{
    DeviceId, FieldEvent, ImplausibleFloats, Mono, Now, Reachability, RequestFailure, Value, Wall,
};
use crate::spec::{Changes, Codec, DataType, DeviceSpec, PointSpec, Spec};

/// How far a value may be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quality {
    /// The value was read lately, and its device answers.
    Good,
    /// The device answers, but what it sends for the point now is no value, and this is the last
    /// value it gave, if any; or this is what it sends, and hardly a measured value.
    Uncertain,
    /// The value was read once; the device may hold another value by now.
    Stale,
}

impl Quality {
    /// Returns the quality as one word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Quality::Good => "good",
            Quality::Uncertain => "uncertain",
            Quality::Stale => "stale",
        }
    }
}

/// The last value of one point at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct LastValue<'a> {
    /// The identifier of the property.
    pub id: &'a str,
    /// The value; `None` if there never was one.
    pub value: Option<&'a Value>,
    /// The title of the value, if it is one of a list of states; for a date and time, its usual
    /// written form.
    pub title: Option<Cow<'a, str>>,
    /// When the reply that carried the value was complete.
    pub taken: Option<Now>,
    /// How long ago the reply was complete.
    pub age: Option<Duration>,
    /// How far the value may be believed.
    pub quality: Quality,
    /// Why the value is not good; empty for a good one.
    pub why: &'static str,
}

/// The last values of all devices.
#[derive(Debug)]
pub(super) struct Cache {
    devices: Vec<Device>,
}

#[derive(Debug, Default)]
struct Device {
    points: Vec<Entry>,
    /// When the device last fell silent: values that were read until then count as old.
    lost: Option<Mono>,
    /// Its floats that are implausible throughout.
    implausible: Option<ImplausibleFloats>,
}

#[derive(Clone, Debug, Default)]
struct Entry {
    value: Option<(Value, Now)>,
    /// When the registers last held no value, and why; removed with the next value.
    refused: Option<(Mono, &'static str)>,
    /// How the request for the point fails again and again; removed with the next value.
    failing: Option<RequestFailure>,
}

impl Device {
    fn new(spec: &DeviceSpec) -> Self {
        Device {
            points: vec![Entry::default(); spec.profile.points.len()],
            lost: None,
            implausible: None,
        }
    }

    /// Returns how far a value that is good by its age may be believed.
    fn doubt(&self, point: usize, judged: (Quality, &'static str)) -> (Quality, &'static str) {
        let is_implausible = |floats: &ImplausibleFloats| {
            let mut all = floats.points.iter();
            all.any(|index| usize::from(*index) == point)
        };
        match (judged.0, &self.implausible) {
            (Quality::Good, Some(floats)) if is_implausible(floats) => (
                Quality::Uncertain,
                "hardly a measured value (see the journal)",
            ),
            _ => judged,
        }
    }
}

impl Cache {
    /// Creates a cache in which no value was read yet.
    pub(super) fn new(spec: &Spec) -> Self {
        Cache {
            devices: spec.devices.iter().map(Device::new).collect(),
        }
    }

    /// Returns the last value of a point, however old it is.
    pub(super) fn last(&self, device: DeviceId, point: u16) -> Option<Value> {
        let entry = self.devices.get(device.index())?;
        let entry = entry.points.get(usize::from(point))?;
        entry.value.as_ref().map(|(value, _)| value.clone())
    }

    /// Returns the value of a point whose device answers, if it is good.
    pub(super) fn good(&self, now: Now, spec: &Spec, id: DeviceId, point: u16) -> Option<Value> {
        let device = self.devices.get(id.index())?;
        let index = usize::from(point);
        let entry = device.points.get(index)?;
        let of = spec.device(id)?;
        let point = of.profile.points.get(index)?;
        let fresh_for = fresh_for(point, timeout(spec, of));
        let judged = entry.judge(now.mono, device.lost, fresh_for, Reachability::Answering);
        match device.doubt(index, judged) {
            (Quality::Good, _) => entry.value.as_ref().map(|(value, _)| value.clone()),
            (Quality::Uncertain | Quality::Stale, _) => None,
        }
    }

    /// Returns what was seen of the floats of a device, in words, if they are implausible
    /// throughout.
    pub(super) fn implausible(&self, device: DeviceId) -> Option<&str> {
        let device = self.devices.get(device.index())?;
        device
            .implausible
            .as_ref()
            .map(|floats| floats.words.as_str())
    }

    /// Takes in an event of the field.
    pub(super) fn on_field(&mut self, now: Now, spec: &Spec, event: &FieldEvent) {
        match event {
            FieldEvent::Polled { readings, .. } => {
                for reading in readings {
                    if let Some(entry) = self.entry(reading.device, reading.point) {
                        entry.value = Some((reading.value.clone(), reading.at));
                        entry.refused = None;
                        entry.failing = None;
                    }
                }
            }
            FieldEvent::NoValue { device, at, points } => {
                for (point, why) in points {
                    if let Some(entry) = self.entry(*device, *point) {
                        entry.refused = Some((at.mono, why));
                    }
                }
            }
            FieldEvent::PointsFailing {
                device,
                points,
                how,
            } => {
                for point in points {
                    if let Some(entry) = self.entry(*device, *point) {
                        entry.failing = Some(*how);
                    }
                }
            }
            FieldEvent::FloatsJudged {
                device,
                implausible,
            } => {
                if let Some(device) = self.devices.get_mut(device.index()) {
                    device.implausible.clone_from(implausible);
                }
            }
            FieldEvent::PortDown { port, .. } => {
                for (device, _) in spec.devices_on(*port) {
                    self.lost(now, device);
                }
            }
            FieldEvent::CommandBegun(_)
            | FieldEvent::CommandEnded(_)
            | FieldEvent::PortUp { .. }
            | FieldEvent::PortRetried { .. }
            | FieldEvent::Load { .. }
            | FieldEvent::Echoes { .. }
            | FieldEvent::Noticed { .. }
            | FieldEvent::Probes { .. } => {}
        }
    }

    /// Notes that a device fell silent. Until the device is read again, its values count as
    /// old, even when the device is back sooner than they would have grown old.
    pub(super) fn lost(&mut self, now: Now, device: DeviceId) {
        if let Some(device) = self.devices.get_mut(device.index()) {
            device.lost = Some(now.mono);
        }
    }

    /// Replaces the installation. A point for which other data is requested, or the same data
    /// of another unit, has no value yet.
    pub(super) fn respec(&mut self, spec: &Spec, changes: &Changes) {
        let known = self.devices.len();
        let added = spec.devices.iter().skip(known).map(Device::new);
        self.devices.extend(added);
        let c = &changes.devices;
        let other = c.changed.iter().filter(|(_, c)| c.moved || c.polling);
        let fresh = c.added.iter().chain(&c.removed);
        for id in fresh.chain(other.map(|(id, _)| id)) {
            if let (Some(device), Some(spec)) = (self.devices.get_mut(id.index()), spec.device(*id))
            {
                *device = Device::new(spec);
            }
        }
    }

    /// Returns what is known of every point of a device, in the order of its profile; an empty
    /// result for a device that is not configured.
    pub(super) fn look<'a>(
        &'a self,
        now: Now,
        spec: &'a Spec,
        id: DeviceId,
        reachability: Reachability,
    ) -> impl Iterator<Item = LastValue<'a>> {
        let device = self.devices.get(id.index());
        let of = spec.device(id).filter(|_| spec.has(id));
        let timeout = of.map_or(Duration::ZERO, |d| timeout(spec, d));
        let points = of.into_iter().flat_map(|d| &d.profile.points);
        let all = points.zip(device.into_iter().flat_map(|d| &d.points));
        all.enumerate().map(move |(index, (point, entry))| {
            let taken = entry.value.as_ref().map(|(_, at)| *at);
            let lost = device.and_then(|d| d.lost);
            let judged = entry.judge(now.mono, lost, fresh_for(point, timeout), reachability);
            let (quality, why) = device.map_or(judged, |d| d.doubt(index, judged));
            let value = entry.value.as_ref().map(|(value, _)| value);
            LastValue {
                id: &point.id,
                value,
                title: value.and_then(|v| title(point, v)),
                taken,
                age: taken.map(|at| now.mono.since(at.mono)),
                quality,
                why,
            }
        })
    }

    fn entry(&mut self, device: DeviceId, point: u16) -> Option<&mut Entry> {
        let device = self.devices.get_mut(device.index())?;
        device.points.get_mut(usize::from(point))
    }
}

/// Returns how long a reply of this device may take.
fn timeout(spec: &Spec, device: &DeviceSpec) -> Duration {
    let port = spec.port(device.port).map(|p| p.response_timeout);
    device.response_timeout.or(port).unwrap_or_default()
}

/// Returns how long a value of this point is good: as configured, or two intervals, so that
/// one lost reply does not spoil it, and the time a reply may take.
fn fresh_for(point: &PointSpec, timeout: Duration) -> Duration {
    let usual = point.interval * 2 + timeout;
    point.shown.stale_after.unwrap_or(usual)
}

impl Entry {
    /// Decides the quality of a value, here and nowhere else.
    fn judge(
        &self,
        now: Mono,
        lost: Option<Mono>,
        fresh_for: Duration,
        reachability: Reachability,
    ) -> (Quality, &'static str) {
        match reachability {
            Reachability::Answering => {}
            Reachability::Silent => return (Quality::Stale, "its device does not answer"),
            Reachability::PortDown => return (Quality::Stale, "its port is down"),
        }
        if let Some(how) = self.failing {
            return (Quality::Stale, how.words());
        }
        let current = |at: Mono| now.since(at) <= fresh_for && lost.is_none_or(|lost| at > lost);
        if let Some((at, why)) = self.refused {
            return match current(at) {
                true => (Quality::Uncertain, why),
                false => (Quality::Stale, "not read in time"),
            };
        }
        match &self.value {
            None => (Quality::Stale, "not read yet"),
            Some((_, at)) if current(at.mono) => (Quality::Good, ""),
            Some((_, at)) if lost.is_some_and(|lost| at.mono <= lost) => {
                (Quality::Stale, "not read since its device was away")
            }
            Some(_) => (Quality::Stale, "not read in time"),
        }
    }
}

/// Returns the title of a state, or the written form of a date and time.
#[must_use]
pub fn title<'a>(point: &'a PointSpec, value: &Value) -> Option<Cow<'a, str>> {
    if let (DataType::Date, Value::Text(millis)) = (point.codec.data_type(), value) {
        let moment = Utc::of(Wall::from_millis(millis.parse().ok()?));
        return Some(Cow::Owned(moment.to_string()));
    }
    let states = match &point.codec {
        Codec::Measure(measure) => measure.states.as_ref()?,
        _ => point.shown.titles.as_ref()?,
    };
    let state = match value {
        Value::Bool(on) => i64::from(*on),
        other => other.as_int()?,
    };
    states
        .get(&state)
        .map(|title| Cow::Borrowed(title.as_str()))
}

#[cfg(test)]
mod tests;
