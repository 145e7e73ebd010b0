//! The rules of all devices, and their states.

use std::collections::BTreeMap;

use crate::base::{DeviceId, EventData, Now, Reading, ThingEvent, ThingEventOutcome, Value};
use crate::spec::{DeviceSpec, EventOutput, EventTrigger, Spec, ThingEventSpec};

/// Which events are raised. See the room's doc for the contract.
#[derive(Debug, Default)]
pub struct ThingEvents {
    /// The states of the rules of a device, in the order of its profile. A device without rules
    /// has none, and neither has one that was not read yet.
    devices: BTreeMap<DeviceId, Vec<RuleState>>,
    raised: u64,
}

/// What is known of one rule of one device.
#[derive(Clone, Debug, Default)]
struct RuleState {
    /// Whether the condition holds, or has not been left by the hysteresis.
    is_raised: bool,
    /// The last value, for a rule with `changes`.
    last: Option<Value>,
    raised: u64,
    latest: Option<Latest>,
}

/// An event that a rule raised.
#[derive(Clone, Debug, PartialEq)]
pub struct Latest {
    /// When.
    pub at: Now,
    /// Its output data.
    pub data: EventData,
    /// What became of it.
    pub outcome: ThingEventOutcome,
}

/// A rule of a device, for people.
#[derive(Clone, Copy, Debug)]
pub struct RuleView<'a> {
    /// The rule.
    pub event: &'a ThingEventSpec,
    /// How often it was raised since the start.
    pub raised: u64,
    /// The last event that it raised.
    pub latest: Option<&'a Latest>,
}

impl ThingEvents {
    /// Returns the rules of an installation of which nothing was read yet.
    #[must_use]
    pub fn new() -> Self {
        ThingEvents::default()
    }

    /// Takes what one reply of a device brought. `good` returns the last good value of a point,
    /// that of this reply included. Returns the events that this raises.
    pub fn on_readings(
        &mut self,
        spec: &Spec,
        device: DeviceId,
        readings: &[Reading],
        good: impl Fn(u16) -> Option<Value>,
    ) -> Vec<ThingEvent> {
        let profile = spec.device(device).map(|d| &d.profile);
        let Some(profile) = profile.filter(|p| !p.events.is_empty() && spec.has(device)) else {
            return Vec::new();
        };
        let states = self.devices.entry(device).or_default();
        states.resize(profile.events.len(), RuleState::default());
        let mut raised = Vec::new();
        for (event, state) in profile.events.iter().zip(states) {
            let of_this = readings.iter().filter(|r| r.point == event.when.point);
            for reading in of_this {
                if !state.is_raised_by(&event.when.trigger, &reading.value) {
                    continue;
                }
                let outputs = event.data.iter().filter_map(|(name, output)| {
                    let value = match output {
                        EventOutput::Point(point) => good(*point)?,
                        EventOutput::Fixed(value) => value.clone(),
                    };
                    Some((name.clone(), value))
                });
                let data: EventData = outputs.collect();
                state.raised += 1;
                state.latest = Some(Latest {
                    at: reading.at,
                    data: data.clone(),
                    outcome: ThingEventOutcome::Waiting,
                });
                self.raised += 1;
                raised.push(ThingEvent {
                    device,
                    id: event.id.clone(),
                    data,
                    at: reading.at,
                });
            }
        }
        raised
    }

    /// Takes note what became of an event that was raised at this time; an older one than the
    /// last of its rule is of no interest any more. An event that was in the store is known by its
    /// time of the wall clock alone.
    pub fn on_outcome(
        &mut self,
        spec: &Spec,
        device: DeviceId,
        id: &str,
        at: Now,
        outcome: ThingEventOutcome,
    ) {
        let events = spec.device(device).map(|d| &d.profile.events);
        let index = events.and_then(|all| all.iter().position(|e| *e.id == *id));
        let states = self.devices.get_mut(&device);
        let state = states.and_then(|all| all.get_mut(index?));
        let latest = state.and_then(|state| state.latest.as_mut());
        let is_it = |latest: &&mut Latest| latest.at.mono == at.mono || latest.at.wall == at.wall;
        if let Some(latest) = latest.filter(is_it) {
            latest.outcome = outcome;
        }
    }

    /// Uses another installation from now on. A rule that is the same, of a device that is read
    /// at the same place, keeps its state.
    pub fn respec(&mut self, old: &Spec, new: &Spec, is_moved: impl Fn(DeviceId) -> bool) {
        let before = std::mem::take(&mut self.devices);
        let kept = before.into_iter().filter(|(id, _)| new.has(*id));
        let kept = kept.filter(|(id, _)| !is_moved(*id));
        self.devices = kept
            .filter_map(|(id, states)| {
                let (old, new) = (old.device(id)?, new.device(id)?);
                let of_same = |event: &ThingEventSpec| {
                    let all = old.profile.events.iter().zip(&states);
                    let mut same = all.filter(|(before, _)| is_same((old, before), (new, event)));
                    same.next().map(|(_, state)| state.clone())
                };
                let states = new.profile.events.iter();
                let states = states.map(|event| of_same(event).unwrap_or_default());
                Some((id, states.collect()))
            })
            .collect();
    }

    /// Returns how many events were raised since the start.
    #[must_use]
    pub const fn raised(&self) -> u64 {
        self.raised
    }

    /// Returns the rules of a device in the order of its profile.
    pub fn rules<'a>(
        &'a self,
        spec: &'a Spec,
        device: DeviceId,
    ) -> impl Iterator<Item = RuleView<'a>> {
        let events = spec.device(device).into_iter();
        let events = events.flat_map(|d| &d.profile.events).enumerate();
        let states = self.devices.get(&device);
        events.map(move |(index, event)| {
            let state = states.and_then(|all| all.get(index));
            RuleView {
                event,
                raised: state.map_or(0, |s| s.raised),
                latest: state.and_then(|s| s.latest.as_ref()),
            }
        })
    }
}

impl RuleState {
    /// Takes the next good value; returns whether it raises the event.
    fn is_raised_by(&mut self, trigger: &EventTrigger, value: &Value) -> bool {
        match trigger {
            EventTrigger::Begins { condition, stays } => {
                let was_raised = self.is_raised;
                self.is_raised = match was_raised {
                    true => stays.holds(value),
                    false => condition.holds(value),
                };
                self.is_raised && !was_raised
            }
            EventTrigger::Changes(condition) => {
                let last = self.last.replace(value.clone());
                match (last, condition) {
                    (None, None) => false,
                    (Some(last), _) if last == *value => false,
                    (_, condition) => condition.as_ref().is_none_or(|c| c.holds(value)),
                }
            }
        }
    }
}

/// Returns whether two rules are the same, about a point that is read and decoded alike.
fn is_same(
    (old, before): (&DeviceSpec, &ThingEventSpec),
    (new, now): (&DeviceSpec, &ThingEventSpec),
) -> bool {
    let point = |device: &DeviceSpec, event: &ThingEventSpec| {
        let point = device.profile.points.get(usize::from(event.when.point));
        point.map(|p| (p.id.clone(), p.address, p.codec.clone()))
    };
    before.id == now.id
        && before.when.trigger == now.when.trigger
        && point(old, before) == point(new, now)
}
