//! What is refused and why, and that each command has one answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::base::{
    BusEnd, BusWork, Command, CommandAction, CommandAnswer, CommandNumber, CommandOrigin, DeviceId,
    Mono, Now, PointEnd, Reachability, RefusedReason, UnknownReason, Value, Wall, WriteVerdict,
};
use crate::spec::test_spec::{self, device, nowhere, number, point, port, profile, tcp};
use crate::spec::*;

const WITHIN: Duration = Duration::from_secs(10);

fn decimal(text: &str) -> Option<Decimal> {
    Decimal::parse(text)
}

/// One device: a limited number, a state, a read-only number, one that wears out, and one to
/// confirm; and a service with an input.
fn spec() -> Spec {
    let number = number(Number::U16);
    let point = |id: &str, codec: &Codec, write: Option<WritePolicy>| PointSpec {
        id: id.into(),
        write: write.map(Box::new),
        ..point(
            Table::HoldingRegister,
            0,
            codec.clone(),
            Duration::from_secs(1),
        )
    };
    let plain = WritePolicy::default;
    let limited = WritePolicy {
        min: decimal("5"),
        max: decimal("60"),
        step: decimal("0.5"),
        ..plain()
    };
    let wears_out = WritePolicy {
        least_interval: Duration::from_secs(60),
        ..plain()
    };
    let to_confirm = WritePolicy {
        confirm: Some(Duration::from_secs(30)),
        ..plain()
    };
    let service = ServiceSpec {
        id: "run".into(),
        inputs: vec![InputSpec {
            name: "speed".into(),
            min: decimal("1"),
            max: decimal("10"),
            default: None,
        }],
        steps: vec![ServiceStep::Write(vec![(0, Operand::Input(0))])],
    };
    let points = vec![
        point("Limit", &number, Some(limited)),
        point("On", &Codec::Bit(0), Some(plain())),
        point("Power", &number, None),
        point("Worn", &number, Some(wears_out)),
        point("Open", &Codec::Bit(1), Some(to_confirm)),
    ];
    let mut profile = profile("pump", points);
    Arc::make_mut(&mut profile).services.push(service);
    let line = LineSpec::Tcp(tcp("127.0.0.1", 502));
    test_spec::spec(
        nowhere(),
        vec![port("line", line, Duration::from_secs(1))],
        vec![device("pump-1", 1, "pk", &profile)],
    )
}

fn at(seconds: u64) -> Now {
    Now {
        mono: Mono::START + Duration::from_secs(seconds),
        wall: Wall::from_millis(1_790_000_000_000),
    }
}

fn set(number: u64, values: Json) -> Command {
    let Json::Object(values) = values else {
        panic!("{values}")
    };
    Command {
        number: CommandNumber(number),
        origin: CommandOrigin::Cloud {
            id: number.to_string(),
        },
        device: Some(DeviceId(0)),
        action: CommandAction::Set(values.into_iter().collect()),
        within: WITHIN,
    }
}

/// The engine, its installation, and what came out of it.
struct World {
    spec: Spec,
    commands: Commands,
    reachability: Reachability,
    bus: Vec<crate::base::BusCommand>,
    answers: BTreeMap<u64, CommandAnswer>,
    told: Vec<CommandLogEvent>,
}

impl World {
    fn new() -> Self {
        World {
            spec: spec(),
            commands: Commands::new(),
            reachability: Reachability::Answering,
            bus: Vec::new(),
            answers: BTreeMap::new(),
            told: Vec::new(),
        }
    }

    fn drain(&mut self) {
        while let Some(out) = self.commands.poll() {
            match out {
                Output::Bus { command, .. } => self.bus.push(command),
                Output::Answer { number, answer, .. } => {
                    let twice = self.answers.insert(number.0, answer);
                    assert_eq!(twice, None, "answered twice");
                }
                Output::LogEvent(event) => self.told.push(event),
            }
        }
    }

    fn give(&mut self, seconds: u64, command: Command) {
        let last = |_| Some(Value::UInt(20));
        self.commands
            .on_command(at(seconds), &self.spec, command, self.reachability, last);
        self.drain();
    }

    /// Ends the oldest command on the bus: all of its points got this verdict.
    fn end(&mut self, seconds: u64, verdict: &WriteVerdict) {
        let command = self.bus.remove(0);
        let points = match &command.work {
            BusWork::Set(values) => values.iter().map(|(p, _)| *p).collect(),
            BusWork::Call { .. } => vec![0],
        };
        let points = points.into_iter().map(|point| PointEnd {
            point,
            verdict: verdict.clone(),
        });
        let end = BusEnd {
            number: command.number,
            points: points.collect(),
            outputs: Vec::new(),
            stopped: None,
        };
        self.commands.on_bus_end(at(seconds), &self.spec, end);
        self.drain();
    }

    fn whole(&self, number: u64) -> &WriteVerdict {
        &self.answers[&number].whole
    }
}

fn verified(n: u64) -> WriteVerdict {
    WriteVerdict::Verified {
        read: Value::UInt(n),
    }
}

#[test]
fn what_is_wrong_is_said_and_costs_no_time_on_the_line() {
    let wrong = |seen: &str, wanted: &str| RefusedReason::WrongValue {
        seen: seen.into(),
        wanted: wanted.into(),
    };
    for (values, why) in [
        (json!({}), RefusedReason::NothingToDo),
        (json!({"Nothing": 1}), RefusedReason::NoSuchTarget),
        (json!({"Power": 1}), RefusedReason::NotWritable),
        (
            json!({"Limit": 61}),
            wrong("61", "5 to 60 in steps of 0.5 from 5"),
        ),
        (json!({"Limit": 5.25}), wrong("5.25", "a whole number")),
        (json!({"Limit": "warm"}), wrong("\"warm\"", "a number")),
        (json!({"Limit": [5]}), wrong("[5]", "a number")),
        (json!({"On": 2}), wrong("2", "0 or 1")),
    ] {
        let mut w = World::new();
        w.give(0, set(1, values.clone()));
        assert_eq!(w.whole(1), &WriteVerdict::Refused(why), "{values}");
        assert!(w.bus.is_empty());
        assert_eq!(w.told.len(), 1);
    }
}

#[test]
fn one_wrong_point_refuses_all_and_each_is_named() {
    let mut w = World::new();
    w.give(0, set(1, json!({"Limit": 20, "Power": 3})));
    let refused = |id: &str, why| (id.to_owned(), WriteVerdict::Refused(why));
    assert_eq!(
        w.answers[&1].points,
        [
            refused("Limit", RefusedReason::NotReached),
            refused("Power", RefusedReason::NotWritable)
        ]
    );
    assert!(w.bus.is_empty());
}

#[test]
fn the_policy_and_the_state_of_the_device_decide_before_the_line_does() {
    let local = |mut command: Command| {
        command.origin = CommandOrigin::Local {
            user: 0,
            is_permitted: true,
        };
        command
    };
    let go = json!({"Limit": 20});
    for (allow, is_local, is_allowed) in [
        (CommandPolicy::On, false, true),
        (CommandPolicy::On, true, true),
        (CommandPolicy::Local, false, false),
        (CommandPolicy::Local, true, true),
        (CommandPolicy::Off, true, false),
    ] {
        let mut w = World::new();
        w.spec.commands.allow = allow;
        let command = set(1, go.clone());
        w.give(0, if is_local { local(command) } else { command });
        assert_eq!(w.bus.len(), usize::from(is_allowed), "{allow:?}");
    }
    let mut w = World::new();
    let mut command = set(1, go.clone());
    command.origin = CommandOrigin::Local {
        user: 1000,
        is_permitted: false,
    };
    w.give(0, command);
    let refused = WriteVerdict::Refused(RefusedReason::NotPermitted);
    assert!(w.bus.is_empty() && w.answers[&1].whole == refused);
    let kept = w
        .commands
        .history(DeviceId(0))
        .next()
        .map(|c| c.whole.clone());
    assert_eq!(kept, Some(refused), "the device's history has it");
    for (reachability, why) in [
        (Reachability::Silent, RefusedReason::Silent),
        (Reachability::PortDown, RefusedReason::PortDown),
    ] {
        let mut w = World::new();
        w.reachability = reachability;
        w.give(0, set(1, go.clone()));
        assert_eq!(w.whole(1), &WriteVerdict::Refused(why));
    }
    let mut w = World::new();
    w.commands.stop();
    w.give(0, set(1, go));
    assert_eq!(w.whole(1), &WriteVerdict::Refused(RefusedReason::Stopping));
}

#[test]
fn a_point_to_be_confirmed_wants_the_same_command_again_in_time() {
    let mut w = World::new();
    let asks = WriteVerdict::Refused(RefusedReason::NotConfirmed(Duration::from_secs(30)));
    w.give(0, set(1, json!({"Open": 1})));
    assert_eq!(w.whole(1), &asks);
    // Another value is another intention, and too late is not a confirmation.
    w.give(5, set(2, json!({"Open": 0})));
    assert_eq!(w.whole(2), &asks);
    w.give(40, set(3, json!({"Open": 0})));
    assert_eq!(w.whole(3), &asks);
    w.give(60, set(4, json!({"Open": 0})));
    assert_eq!(w.bus.len(), 1);
    // The next one begins anew.
    w.give(61, set(5, json!({"Open": 0})));
    assert_eq!(w.whole(5), &asks);
}

#[test]
fn a_point_that_wears_out_rests_after_it_was_written_and_only_then() {
    let mut w = World::new();
    w.give(0, set(1, json!({"Worn": 1})));
    w.end(1, &WriteVerdict::Refused(RefusedReason::Exception(4)));
    w.give(2, set(2, json!({"Worn": 1})));
    w.end(3, &verified(1));
    w.give(10, set(3, json!({"Worn": 2})));
    let left = RefusedReason::TooSoon(Duration::from_secs(52));
    assert_eq!(w.whole(3), &WriteVerdict::Refused(left));
    w.give(62, set(4, json!({"Worn": 2})));
    assert_eq!(w.bus.len(), 1);
}

#[test]
fn a_service_gets_its_inputs_checked_and_in_order() {
    let call = |number, inputs: Json| {
        let Json::Object(inputs) = inputs else {
            panic!()
        };
        let mut command = set(number, json!({}));
        command.action = CommandAction::Call {
            service: "run".into(),
            inputs: inputs.into_iter().collect(),
        };
        command
    };
    for (inputs, seen) in [
        (json!({}), "no input speed"),
        (json!({"speed": 11}), "input speed: 11"),
        (json!({"speed": 5, "way": 1}), "input way"),
    ] {
        let mut w = World::new();
        w.give(0, call(1, inputs));
        let WriteVerdict::Refused(RefusedReason::WrongValue { seen: said, .. }) = w.whole(1) else {
            panic!("{:?}", w.whole(1))
        };
        assert_eq!(said, seen);
    }
    let mut w = World::new();
    w.give(0, call(1, json!({"speed": 7})));
    let wanted = BusWork::Call {
        service: 0,
        inputs: vec![Value::Int(7)],
    };
    assert_eq!(w.bus[0].work, wanted);
    w.end(1, &verified(7));
    assert_eq!(w.whole(1), &verified(7));
}

#[test]
fn the_history_says_who_what_from_what_to_what_and_what_became_of_it() {
    let mut w = World::new();
    w.give(0, set(1, json!({"Limit": 21})));
    w.end(1, &verified(21));
    let record = w.commands.history(DeviceId(0)).next().unwrap().clone();
    assert_eq!(record.origin.to_string(), "cloud message 1");
    let point = &record.points[0];
    assert_eq!(
        (point.id.as_str(), &point.old, point.wanted.as_deref()),
        ("Limit", &Some(Value::UInt(20)), Some("21"))
    );
    assert_eq!(point.verdict, verified(21));
    let sentence = crate::base::LogEvent::sentence(&w.told[0]);
    assert_eq!(
        sentence,
        "command of cloud message 1: set Limit 20 -> 21: verified: the device holds 21"
    );
}

#[test]
fn a_command_whose_port_says_nothing_is_answered_by_whether_it_has_begun() {
    let mut w = World::new();
    w.give(0, set(1, json!({"Limit": 21})));
    assert_eq!(w.commands.wake_at().unwrap().at, at(10).mono);
    assert!(w.bus[0].until < at(10).mono);
    w.commands.on_time(at(9));
    w.drain();
    assert!(w.answers.is_empty());
    w.commands.on_time(at(10));
    w.drain();
    // It has not begun: nothing was written, and nothing will be.
    let late = WriteVerdict::Refused(RefusedReason::TooLate);
    assert_eq!(w.answers[&1].points, [("Limit".to_owned(), late.clone())]);
    assert_eq!(w.whole(1), &late);
    // What the port says after that is too late for an answer.
    w.end(11, &verified(21));
    assert_eq!((w.answers.len(), w.told.len()), (1, 1));
    // The next has begun, and may have been done.
    let mut w = World::new();
    w.give(0, set(1, json!({"Limit": 21})));
    w.commands.on_bus_begun(CommandNumber(1));
    w.commands.on_time(at(10));
    w.drain();
    assert_eq!(w.whole(1), &WriteVerdict::Unknown(UnknownReason::NoEnd));
}

#[derive(Clone, Debug)]
enum Step {
    Give(usize),
    End(bool),
    Busy,
    Pass(u64),
}

proptest! {
    #[test]
    fn each_command_has_one_answer_and_one_entry_in_the_journal(
        steps in prop::collection::vec(
            prop_oneof![
                4 => (0usize..6).prop_map(Step::Give),
                3 => any::<bool>().prop_map(Step::End),
                1 => Just(Step::Busy),
                1 => (1u64..12).prop_map(Step::Pass),
            ],
            1..80,
        ),
    ) {
        let kinds = [
            json!({"Limit": 20}), json!({"On": 1}), json!({"Power": 1}), json!({"Worn": 3}),
            json!({"Open": 1}), json!({"Limit": 7, "On": 0}),
        ];
        let mut w = World::new();
        let (mut now, mut given, mut on_bus) = (0, 0, 0);
        for step in steps {
            match step {
                Step::Give(kind) => {
                    given += 1;
                    let before = w.bus.len();
                    w.give(now, set(given, kinds[kind].clone()));
                    on_bus += w.bus.len() - before;
                }
                Step::End(_) if w.bus.is_empty() => {}
                Step::End(true) => w.end(now, &verified(1)),
                Step::End(false) => w.end(now, &WriteVerdict::Unknown(UnknownReason::NoReply)),
                Step::Busy => {
                    if let Some(command) = w.bus.pop() {
                        w.commands.on_port_busy(at(now), command.number);
                        w.drain();
                    }
                }
                Step::Pass(seconds) => {
                    now += seconds;
                    w.commands.on_time(at(now));
                    w.drain();
                }
            }
        }
        w.commands.on_time(at(now + 11));
        w.drain();
        prop_assert_eq!(w.answers.len() as u64, given);
        prop_assert_eq!(w.told.len() as u64, given);
        prop_assert!(on_bus as u64 <= given);
        prop_assert_eq!(w.commands.wake_at(), None);
    }
}
