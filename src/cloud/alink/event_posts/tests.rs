//! The queue of events against what its room promises.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::base::{Now, Rng, Value};
use crate::cloud::alink::wire::code::Code;

const TIME_LIMIT: Duration = Duration::from_secs(5);

fn reply(code: i64) -> Reply {
    Reply {
        id: None,
        code: Code(code),
        message: String::new(),
        named: Vec::new(),
    }
}

fn event(device: u32, n: u64, at: Mono) -> ThingEvent {
    let data: [(Arc<str>, Value); 1] = [("n".into(), Value::UInt(n))];
    ThingEvent {
        device: DeviceId(device),
        id: "e".into(),
        data: data.into(),
        at: Now {
            mono: at,
            wall: Wall::from_millis(1),
        },
    }
}

fn number(event: &ThingEvent) -> u64 {
    match event.data.first() {
        Some((_, Value::UInt(n))) => *n,
        other => panic!("{other:?}"),
    }
}

/// What happens to the queue.
#[derive(Clone, Debug)]
enum Step {
    /// So many events of a device.
    Raise(u32, u64),
    Send,
    /// The reply with this code to one of the messages sent, also to one given up.
    Answer(usize, i64),
    Wait(u64),
    Session(u32, bool),
    LinkDown,
    /// What is older than so many seconds goes to the store; whether it takes it.
    Store(u64, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let codes = prop_oneof![
        6 => Just(200i64),
        1 => Just(429),
        1 => Just(500),
        1 => Just(460),
        1 => Just(6300),
        1 => Just(520),
    ];
    let step = prop_oneof![
        4 => (0..4u32, 1..4u64).prop_map(|(d, n)| Step::Raise(d, n)),
        6 => Just(Step::Send),
        5 => (0..50usize, codes).prop_map(|(which, code)| Step::Answer(which, code)),
        2 => (1..20u64).prop_map(Step::Wait),
        1 => (0..4u32, any::<bool>()).prop_map(|(d, on)| Step::Session(d, on)),
        1 => Just(Step::LinkDown),
        1 => (0..30u64, any::<bool>()).prop_map(|(age, takes)| Step::Store(age, takes)),
    ];
    prop::collection::vec(step, 0..150)
}

/// What became of the events, by their numbers.
#[derive(Default)]
struct World {
    queue: Option<EventPosts>,
    online: [bool; 4],
    now: Mono,
    raised: u64,
    sent: Vec<(RequestId, ThingEvent)>,
    asks: u32,
    ends: BTreeMap<u64, &'static str>,
    /// The last event of each device that was accepted at once.
    last: BTreeMap<u32, u64>,
    position: u32,
}

impl World {
    fn new() -> World {
        World {
            queue: Some(EventPosts::new(Rng::new(1))),
            online: [true; 4],
            ..World::default()
        }
    }

    fn queue(&mut self) -> &mut EventPosts {
        self.queue.as_mut().unwrap()
    }

    fn end(&mut self, event: &ThingEvent, how: &'static str) {
        let before = self.ends.insert(number(event), how);
        assert_eq!(before, None, "{how}: {event:?}");
    }

    fn send(&mut self) -> bool {
        let (now, online, ask) = (self.now, self.online, RequestId(self.asks));
        let is_in = |id: DeviceId| online[id.index()];
        let due = self.queue().due(is_in).is_some_and(|w| w.at <= now);
        let event = self.queue().take(now, ask, TIME_LIMIT, is_in).cloned();
        assert_eq!(due, event.is_some());
        let Some(event) = event else {
            return false;
        };
        self.asks += 1;
        assert!(online[event.device.index()]);
        assert!(
            !self.ends.contains_key(&number(&event)),
            "sent after its end"
        );
        self.sent.push((ask, event));
        true
    }

    fn answer(&mut self, which: usize, code: i64) {
        if self.sent.is_empty() {
            return;
        }
        let (ask, event) = self.sent.remove(which % self.sent.len());
        let (now, device) = (self.now, event.device);
        assert_eq!(
            self.queue()
                .answered(now, ask, Some(DeviceId(9)), &reply(code)),
            EventReply::Unknown,
            "by the topic of another device"
        );
        match self.queue().answered(now, ask, Some(device), &reply(code)) {
            EventReply::Accepted(of) => {
                assert_eq!((&of, code), (&event, 200));
                let last = self.last.insert(device.0, number(&of));
                assert!(last.is_none_or(|last| last < number(&of)), "out of order");
                self.end(&of, "accepted");
            }
            EventReply::Refused(of) => {
                assert_eq!(of, event);
                assert!([460, 6300].contains(&code));
                self.end(&of, "refused");
            }
            EventReply::Throttled | EventReply::Trouble | EventReply::Gone => {
                assert!([429, 500, 520].contains(&code));
            }
            EventReply::Late | EventReply::Unknown => {}
        }
    }

    fn store(&mut self, age: u64, takes: bool) {
        let before = self.now.before(Duration::from_secs(age));
        let given = self.queue().hand_over(before, false, 1000);
        for (number, event, _) in given {
            self.position += 1;
            let at = StorePosition {
                segment: 1,
                generation: 0,
                ordinal: self.position,
            };
            let left = self.queue().on_stored(number, takes.then_some(Some(at)));
            match left {
                Some((of, stored)) => {
                    assert_eq!((&of, stored), (&event, Some(at)));
                    self.end(&of, "stored");
                }
                None => assert!(!takes),
            }
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Raise(device, count) => {
                for _ in 0..count {
                    let event = event(device, self.raised, self.now);
                    self.raised += 1;
                    assert_eq!(self.queue().put(event, true, None), None);
                }
            }
            Step::Send => {
                self.send();
            }
            Step::Answer(which, code) => self.answer(which, code),
            Step::Wait(seconds) => {
                self.now = self.now + Duration::from_secs(seconds);
                let now = self.now;
                self.queue().on_time(now);
            }
            Step::Session(device, on) => {
                self.online[device as usize] = on;
                if !on {
                    self.queue().left(DeviceId(device));
                }
            }
            Step::LinkDown => {
                self.queue().link_down();
                self.sent.clear();
            }
            Step::Store(age, takes) => self.store(age, takes),
        }
        assert!(self.queue().under_way.len() <= IN_FLIGHT);
        let open = self.raised - self.ends.len() as u64;
        assert_eq!(
            self.queue().len() as u64,
            open,
            "each is here or has an end"
        );
    }
}

proptest! {
    /// Whatever happens, each event has one end at the most, those of a device are accepted in
    /// order, and with a platform that answers all of them have an end.
    #[test]
    fn every_event_is_delivered_refused_or_stored_once(steps in steps()) {
        let mut w = World::new();
        for step in steps {
            w.step(step);
        }
        w.online = [true; 4];
        for _ in 0..2_000 {
            while w.send() {}
            while !w.sent.is_empty() {
                w.answer(0, 200);
            }
            w.step(Step::Wait(5));
        }
        prop_assert_eq!(w.queue().len(), 0);
        prop_assert_eq!(w.ends.len() as u64, w.raised);
    }
}

#[test]
fn a_full_queue_gives_up_the_oldest_that_is_not_under_way() {
    let mut w = World::new();
    w.step(Step::Raise(0, 1));
    assert!(w.send());
    w.step(Step::Raise(1, MOST as u64 - 1));
    let dropped = w.queue().put(event(0, 5_000, Mono::START), true, None);
    assert_eq!(dropped.map(|e| number(&e)), Some(1));
    assert_eq!(w.queue().len(), MOST);
}

#[test]
fn an_event_that_must_be_stored_first_waits_for_the_store() {
    let mut w = World::new();
    w.queue().hold(Mono::START, true);
    w.step(Step::Raise(0, 1));
    assert!(!w.send());
    let given = w.queue().hand_over(Mono::START, true, 10);
    let [(number, ..)] = given[..] else {
        panic!("{given:?}");
    };
    assert!(!w.send(), "on its way to the store");
    assert_eq!(w.queue().oldest_read_at(), (None, None));
    let at = StorePosition::START;
    // It was read at the start, so that it is left to the store.
    assert_eq!(
        w.queue().on_stored(number, Some(Some(at))).map(|e| e.1),
        Some(Some(at))
    );
    w.ends.insert(0, "stored");
    w.now = Mono::START + Duration::from_secs(9);
    w.step(Step::Raise(0, 1));
    let given = w.queue().hand_over(Mono::START, true, 10);
    assert_eq!(w.queue().on_stored(given[0].0, Some(Some(at))), None);
    assert!(w.send() && w.queue().positions().contains(&at));
    w.answer(0, 200);
    assert_eq!(w.queue().take_settled(), (vec![at], Vec::new()));
}

#[test]
fn an_event_without_a_time_waits_for_it() {
    let mut w = World::new();
    w.queue().put(event(0, 0, Mono::START), false, None);
    assert!(!w.send());
    w.queue().date(|_| None);
    assert!(!w.send());
    w.queue().date(|_| Some(Wall::from_millis(7)));
    assert!(w.send());
    assert_eq!(w.sent[0].1.at.wall, Wall::from_millis(7));
}
