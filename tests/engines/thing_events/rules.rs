//! The rules of events against a naive model, and what the room's doc says of first values,
//! gaps, reloads and data.

use std::sync::Arc;
use std::time::Duration;

use alink_gateway::base::{DeviceId, Mono, Now, Reading, ThingEvent, Value, Wall};
use alink_gateway::spec::*;
use alink_gateway::thing_event::ThingEvents;
use proptest::prelude::*;

use crate::gateway::gateway;

const DEVICE: DeviceId = DeviceId(0);

fn tenths(tenths: i64) -> Decimal {
    Decimal {
        digits: i128::from(tenths),
        places: 1,
    }
}

fn float(tenths: i64) -> Value {
    Value::Float(tenths as f64 / 10.0)
}

/// An installation of one device with two points and these rules.
fn with(events: Vec<ThingEventSpec>) -> Spec {
    let mut spec = gateway(1, 2);
    Arc::make_mut(&mut spec.devices[0].profile).events = events;
    spec
}

fn event(id: &str, trigger: EventTrigger, data: Vec<(Arc<str>, EventOutput)>) -> ThingEventSpec {
    ThingEventSpec {
        id: id.into(),
        when: EventRule { point: 0, trigger },
        data,
    }
}

fn begins(condition: Condition, hysteresis: i64) -> EventTrigger {
    EventTrigger::Begins {
        stays: condition.widened(tenths(hysteresis)).unwrap(),
        condition,
    }
}

fn above(limit: i64) -> Condition {
    Condition {
        above: Some(tenths(limit)),
        ..Condition::default()
    }
}

/// One device, as the hub drives it.
struct World {
    spec: Spec,
    events: ThingEvents,
    good: [Option<Value>; 2],
    at: u64,
}

impl World {
    fn new(events: Vec<ThingEventSpec>) -> World {
        World {
            spec: with(events),
            events: ThingEvents::new(),
            good: [None, None],
            at: 0,
        }
    }

    /// One reply with these values.
    fn read(&mut self, values: &[(u16, Value)]) -> Vec<ThingEvent> {
        self.at += 1;
        let at = Now {
            mono: Mono::from_micros(self.at * 1_000_000),
            wall: Wall::from_millis(1_700_000_000_000 + self.at as i64 * 1000),
        };
        let reading = |(point, value): &(u16, Value)| Reading {
            device: DEVICE,
            point: *point,
            value: value.clone(),
            at,
        };
        for (point, value) in values {
            self.good[usize::from(*point)] = Some(value.clone());
        }
        let readings: Vec<Reading> = values.iter().map(reading).collect();
        let good = &self.good;
        self.events
            .on_readings(&self.spec, DEVICE, &readings, |point| {
                good[usize::from(point)].clone()
            })
    }

    /// Returns whether this value of the first point raises an event.
    fn raises(&mut self, value: Value) -> bool {
        let raised = self.read(&[(0, value)]);
        assert!(raised.len() <= 1, "{raised:?}");
        !raised.is_empty()
    }

    /// Loads another installation.
    fn load(&mut self, events: Vec<ThingEventSpec>) {
        let new = with(events);
        self.events.respec(&self.spec, &new, |_| false);
        self.spec = new;
    }
}

/// What is said of a rule in the configuration's words, in tenths.
#[derive(Clone, Debug)]
struct Rule {
    above: Option<i64>,
    below: Option<i64>,
    is: Vec<i64>,
    is_not: Vec<i64>,
    hysteresis: i64,
    changes: bool,
}

/// The naive model: looks at all values so far, from the first one on.
fn naive(rule: &Rule, values: &[i64]) -> Vec<usize> {
    let holds = |v: i64, by: i64| {
        rule.above.is_none_or(|limit| v > limit - by)
            && rule.below.is_none_or(|limit| v < limit + by)
            && (rule.is.is_empty() || rule.is.contains(&v))
            && !rule.is_not.contains(&v)
    };
    let has_parts = rule.above.is_some()
        || rule.below.is_some()
        || !rule.is.is_empty()
        || !rule.is_not.is_empty();
    let mut raised: Vec<usize> = Vec::new();
    for at in 0..values.len() {
        let is_raised = match rule.changes {
            true if at == 0 => has_parts && holds(values[0], 0),
            true => values[at] != values[at - 1] && holds(values[at], 0),
            // Since the last event there is a value that is out by the hysteresis.
            false => {
                let since = raised.last().map(|last| &values[*last + 1..=at]);
                let is_armed = since.is_none_or(|s| s.iter().any(|v| !holds(*v, rule.hysteresis)));
                is_armed && holds(values[at], 0)
            }
        };
        if is_raised {
            raised.push(at);
        }
    }
    raised
}

fn a_rule() -> impl Strategy<Value = Rule> {
    let limit = || prop::option::of(-6..6i64);
    let list = || prop::collection::vec(-6..6i64, 0..3);
    (limit(), limit(), list(), list(), 0..5i64, any::<bool>()).prop_map(
        |(above, below, is, is_not, hysteresis, changes)| Rule {
            above,
            below,
            is,
            is_not,
            hysteresis,
            changes,
        },
    )
}

proptest! {
    /// Exactly the values of the naive model raise the event, whatever else is read between
    /// them: replies without the point, and so gaps of any length.
    #[test]
    fn the_rules_are_those_of_the_naive_model(
        rule in a_rule(),
        values in prop::collection::vec((-8..8i64, any::<bool>()), 0..60),
    ) {
        let condition = Condition {
            is: rule.is.iter().copied().map(tenths).collect(),
            is_not: rule.is_not.iter().copied().map(tenths).collect(),
            above: rule.above.map(tenths),
            below: rule.below.map(tenths),
        };
        let trigger = match rule.changes {
            true => EventTrigger::Changes(
                (condition != Condition::default()).then_some(condition),
            ),
            false => begins(condition, rule.hysteresis),
        };
        let mut world = World::new(vec![event("e", trigger, Vec::new())]);
        let mut raised = Vec::new();
        for (at, (value, gap)) in values.iter().enumerate() {
            if *gap {
                prop_assert!(world.read(&[(1, float(*value))]).is_empty());
            }
            if world.raises(float(*value)) {
                raised.push(at);
            }
        }
        let plain: Vec<i64> = values.iter().map(|(value, _)| *value).collect();
        prop_assert_eq!(raised, naive(&rule, &plain));
    }
}

#[test]
fn a_limit_is_compared_as_the_decimal_that_was_written() {
    // 0.3 as a float of 64 bits is 0.299999999999999988…, and 0.1 + 0.2 is greater.
    let mut world = World::new(vec![event("e", begins(above(3), 1), Vec::new())]);
    assert!(!world.raises(Value::Float(0.3)));
    assert!(world.raises(Value::Float(0.1 + 0.2)));
    assert!(!world.raises(Value::Float(0.201)), "within the hysteresis");
    assert!(!world.raises(Value::Float(0.4)));
    assert!(!world.raises(Value::Float(0.2)), "left");
    assert!(world.raises(Value::Float(0.4)));
}

#[test]
fn the_first_value_raises_what_stands_and_not_what_may_not_have_changed() {
    let changes = |condition| EventTrigger::Changes(condition);
    for (trigger, value, is_raised) in [
        (begins(above(3), 0), 4, true),
        (begins(above(3), 0), 3, false),
        (changes(None), 4, false),
        (changes(Some(above(3))), 4, true),
        (changes(Some(above(3))), 3, false),
    ] {
        let mut world = World::new(vec![event("e", trigger.clone(), Vec::new())]);
        assert_eq!(world.raises(float(value)), is_raised, "{trigger}");
        assert!(!world.raises(float(value)), "{trigger}: the same again");
    }
}

#[test]
fn a_text_that_changes_raises_and_fulfils_no_condition() {
    let text = |t: &str| Value::Text(t.into());
    let mut world = World::new(vec![event("e", EventTrigger::Changes(None), Vec::new())]);
    assert!(!world.raises(text("ok")));
    assert!(world.raises(text("E4")));
    assert!(!world.raises(text("E4")));
    let mut world = World::new(vec![event("e", begins(above(-9), 0), Vec::new())]);
    assert!(!world.raises(text("5")));
}

#[test]
fn the_data_are_of_the_same_reply_or_the_last_good_and_the_unknown_is_left_out() {
    let data = vec![
        ("limit".into(), EventOutput::Fixed(Value::Int(80))),
        ("other".into(), EventOutput::Point(1)),
        ("temp".into(), EventOutput::Point(0)),
    ];
    let event = event("e", EventTrigger::Changes(Some(above(0))), data);
    let mut world = World::new(vec![event]);
    let data = |raised: Vec<ThingEvent>| {
        let [one] = &raised[..] else {
            panic!("{raised:?}");
        };
        assert_eq!((one.device, &*one.id), (DEVICE, "e"));
        ThingEvent::data_text(&one.data)
    };
    let raised = world.read(&[(0, float(10))]);
    assert_eq!(raised[0].at.wall, Wall::from_millis(1_700_000_001_000));
    assert_eq!(data(raised), "\"limit\":80,\"temp\":1.0");
    world.read(&[(1, Value::Bool(true))]);
    let raised = world.read(&[(0, float(20))]);
    assert_eq!(data(raised), "\"limit\":80,\"other\":1,\"temp\":2.0");
    // The other point stands behind in the same reply.
    let raised = world.read(&[(0, float(30)), (1, Value::Bool(false))]);
    assert_eq!(data(raised), "\"limit\":80,\"other\":0,\"temp\":3.0");
    // What it holds now is no value.
    world.good[1] = None;
    let raised = world.read(&[(0, float(40))]);
    assert_eq!(data(raised), "\"limit\":80,\"temp\":4.0");
}

#[test]
fn a_rule_that_a_reload_does_not_change_keeps_its_state_and_another_begins_anew() {
    let high = || event("high", begins(above(3), 0), Vec::new());
    let mut world = World::new(vec![high()]);
    assert!(world.raises(float(4)));
    // Another rule before it, and other data, do not change it.
    let low = event("low", begins(above(9), 0), Vec::new());
    let fixed = EventOutput::Fixed(Value::Int(1));
    let with_data = ThingEventSpec {
        data: vec![("x".into(), fixed)],
        ..high()
    };
    world.load(vec![low, with_data]);
    assert!(!world.raises(float(5)));
    let rules: Vec<(u64, bool)> = world
        .events
        .rules(&world.spec, DEVICE)
        .map(|rule| (rule.raised, rule.latest.is_some()))
        .collect();
    assert_eq!(rules, [(0, false), (1, true)]);
    // Another limit is another rule.
    world.load(vec![event("high", begins(above(2), 0), Vec::new())]);
    assert!(world.raises(float(5)));
    // So is the same rule of a point that is read elsewhere.
    let mut new = with(vec![event("high", begins(above(2), 0), Vec::new())]);
    let profile = Arc::make_mut(&mut new.devices[0].profile);
    profile.points[0].interval = Duration::from_secs(9);
    world.events.respec(&world.spec, &new, |_| false);
    world.spec = new.clone();
    assert!(!world.raises(float(6)), "read more rarely, and the same");
    Arc::make_mut(&mut new.devices[0].profile).points[0].address =
        PointAddress::modbus(Table::HoldingRegister, 999);
    world.events.respec(&world.spec, &new, |_| false);
    world.spec = new.clone();
    assert!(world.raises(float(6)));
    // And so is the device at another address.
    world.events.respec(&new, &new, |id| id == DEVICE);
    assert!(world.raises(float(6)));
}
