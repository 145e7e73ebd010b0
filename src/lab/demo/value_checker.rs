//! Compares values that arrived in the cloud with the registers they came from.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use alink_gateway::base::Wall;
use alink_gateway::lab::bus::Unit;
use alink_gateway::lab::platform::AcceptedValue;

use super::plant::Member;

/// A unit looks at its registers at most so many milliseconds before the reply is
/// complete and stamped: the response timeout, the length of the reply, and a machine
/// that has other things to do.
const JOURNEY: i64 = 1_500;

/// Two processes read the same wall clock, each cutting off what is below a
/// millisecond.
const ROUNDING: i64 = 3;

/// The most wrong values that are reported; further ones are only counted.
const MOST_REPORTED: usize = 10;

/// The checker of values.
#[derive(Debug)]
pub(crate) struct ValueChecker {
    judged: u64,
    found: u64,
    wrong: Vec<String>,
    /// When which member was without power.
    dead: BTreeMap<usize, RangeInclusive<Wall>>,
}

impl ValueChecker {
    pub(crate) const fn new() -> Self {
        ValueChecker {
            judged: 0,
            found: 0,
            wrong: Vec::new(),
            dead: BTreeMap::new(),
        }
    }

    /// Returns how many values were checked.
    pub(crate) const fn judged(&self) -> u64 {
        self.judged
    }

    /// Returns how many of them were wrong.
    pub(crate) const fn found(&self) -> u64 {
        self.found
    }

    /// Returns the first wrong values, with what was wrong.
    pub(crate) fn wrong(&self) -> &[String] {
        &self.wrong
    }

    /// Notes that this member lost its power.
    pub(crate) fn died(&mut self, member: usize, at: Wall) {
        self.dead.insert(member, at..=Wall::from_millis(i64::MAX));
    }

    /// Notes that this member has power again.
    pub(crate) fn returned(&mut self, member: usize, at: Wall) {
        if let Some(dead) = self.dead.get_mut(&member) {
            *dead = *dead.start()..=at;
        }
    }

    /// Checks a value that the cloud accepted; `source` is where it should be from.
    pub(crate) fn value(
        &mut self,
        value: &AcceptedValue,
        source: Option<((usize, &Member), Unit)>,
    ) {
        self.judged += 1;
        let Some(why) = self.fault(value, source) else {
            return;
        };
        self.found += 1;
        if self.wrong.len() < MOST_REPORTED {
            let (of, id, said) = (&value.device, &value.property, &value.value);
            self.wrong.push(format!("{of}: {id} = {said}: {why}"));
        }
    }

    fn fault(
        &self,
        value: &AcceptedValue,
        source: Option<((usize, &Member), Unit)>,
    ) -> Option<&'static str> {
        let Some(((index, member), unit)) = source else {
            return Some("of a device that is not there");
        };
        let properties = member.kind.properties();
        let Some(property) = properties.iter().find(|p| p.id() == value.property) else {
            return Some("a property it does not have");
        };
        let Some(time) = value.time else {
            return Some("without the time it was read");
        };
        let from = Wall::from_millis(time.as_millis() - JOURNEY);
        let to = Wall::from_millis(time.as_millis() + ROUNDING);
        if let Some(dead) = self.dead.get(&index)
            && dead.contains(&from)
            && dead.contains(&to)
        {
            return Some("read while it had no power");
        }
        if !property.was(&unit, &(from..=to), &value.value) {
            return Some("never stood in its registers at that time");
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::plant::Plant;
    use super::*;
    use alink_gateway::base::{Mono, Now, UnitId};
    use alink_gateway::spec::Table;
    use serde_json::json;

    const NOON: i64 = 1_790_000_000_000;

    #[test]
    fn what_is_true_passes_and_what_is_not_is_told_with_its_reason() {
        let plant = Plant::new();
        let member = &plant.members[4];
        let line = plant.line();
        let unit = line.unit(UnitId(5)).unwrap();
        let now = Now {
            wall: Wall::from_millis(NOON),
            mono: Mono::START,
        };
        let volts = unit.value_at(now, Table::InputRegister, 0).unwrap();
        let good = AcceptedValue {
            at: Mono::START,
            device: member.device.clone(),
            property: "VoltageA".into(),
            value: json!(f64::from(volts) / 10.0),
            time: Some(Wall::from_millis(NOON + 400)),
            history: false,
        };
        let mut checker = ValueChecker::new();
        let judge_it = |checker: &mut ValueChecker, value: &AcceptedValue| {
            checker.value(value, Some(((4, member), unit.clone())));
            checker.wrong().last().cloned()
        };
        assert_eq!(judge_it(&mut checker, &good), None);
        let cases = [
            (
                AcceptedValue {
                    value: json!(12.5),
                    ..good.clone()
                },
                "never stood",
            ),
            (
                AcceptedValue {
                    property: "Colour".into(),
                    ..good.clone()
                },
                "does not have",
            ),
            (
                AcceptedValue {
                    time: None,
                    ..good.clone()
                },
                "without the time",
            ),
        ];
        for (value, why) in &cases {
            assert!(
                judge_it(&mut checker, value).unwrap().contains(why),
                "{why}"
            );
        }
        checker.died(4, Wall::from_millis(NOON - 5_000));
        assert!(judge_it(&mut checker, &good).unwrap().contains("no power"));
        checker.returned(4, Wall::from_millis(NOON));
        assert_eq!(checker.wrong().len(), 4);
        judge_it(&mut checker, &good);
        assert_eq!((checker.found(), checker.judged()), (4, 6));
    }
}
