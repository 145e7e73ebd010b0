//! The history on its way, against a store and a platform of a few lines each.

use proptest::prelude::*;

use super::*;
use crate::base::{DeviceName, ProductKey, Rng, Value};

const LIMITS: HistoryLimits = HistoryLimits {
    values: 20,
    bytes: 100_000,
    devices: 4,
    in_flight: 3,
    reply_timeout: Duration::from_secs(5),
    posts: 1_000,
};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn sequence(n: usize) -> StorePosition {
    StorePosition {
        segment: 1 + n as u64 / 100,
        generation: 0,
        ordinal: (n % 100) as u32,
    }
}

fn device(n: usize) -> DeviceIdentity {
    DeviceIdentity::new("pk", &format!("meter-{n}"))
}

/// What the platform does with messages.
#[derive(Clone, Debug, Default)]
struct Platform {
    /// Values by number that are refused by themselves.
    bad_values: BTreeSet<usize>,
    /// Devices that are refused.
    bad_devices: BTreeMap<usize, i64>,
    /// Whether a refusal names the devices.
    names: bool,
    /// Answers to the next messages, whatever they are; 0 is no answer, and 200 none though
    /// the message was accepted.
    moods: VecDeque<i64>,
    /// Messages of this device alone are not answered.
    deaf: Option<usize>,
    /// The answer to each message of stored values, if the platform does not know the method; 0
    /// is no answer.
    method: Option<i64>,
    accepted: Vec<usize>,
    /// The values of these that came as posts, and those that were refused as posts.
    posted: usize,
    refused: usize,
}

/// A store, a history and a platform, with a round trip of 50 ms.
struct World {
    now: Mono,
    history: History,
    /// The device of each value, and whether it is settled.
    store: Vec<(usize, bool)>,
    platform: Platform,
    /// The answers on their way.
    mail: VecDeque<(Mono, RequestId, i64, Vec<DeviceIdentity>)>,
    asks: u32,
    events: Vec<HistoryEvent>,
    messages: usize,
    is_unreadable: bool,
}

const ROUND_TRIP: Duration = Duration::from_millis(50);

impl World {
    /// A store with a value of each of these devices in turn.
    fn new(devices: impl IntoIterator<Item = usize>) -> World {
        let mut history = History::new(LIMITS, Rng::new(1));
        history.link_up();
        history.stored(StorePosition::START);
        World {
            now: Mono::from_micros(1_000_000),
            history,
            store: devices.into_iter().map(|d| (d, false)).collect(),
            platform: Platform::default(),
            mail: VecDeque::new(),
            asks: 0,
            events: Vec::new(),
            messages: 0,
            is_unreadable: false,
        }
    }

    fn read(
        &self,
        from: StorePosition,
        most: usize,
    ) -> (Vec<(StorePosition, StoredReading)>, Option<StorePosition>) {
        let all = (0..self.store.len()).map(|n| (sequence(n), n));
        let mut left = all.filter(|(at, n)| *at >= from && !self.store[*n].1);
        let mut readings = Vec::new();
        for (at, n) in left.by_ref().take(most) {
            let reading = StoredReading {
                product_key: ProductKey::new("pk"),
                device_name: DeviceName::new(&format!("meter-{}", self.store[n].0)),
                identifier: "P".into(),
                at: StoredTime::Wall(Wall::from_millis(n as i64)),
                value: Value::UInt(n as u64).into(),
            };
            readings.push((at, reading));
        }
        let next = left.next().map(|(at, _)| at);
        (readings, next)
    }

    /// Adds a value to the store.
    fn store(&mut self, device: usize) {
        self.history.stored(sequence(self.store.len()));
        self.store.push((device, false));
    }

    /// Returns the platform's answer, and whom it names.
    fn judge(&mut self, message: &HistoryMessage) -> (i64, Vec<DeviceIdentity>) {
        let numbers: Vec<usize> = message
            .iter()
            .flat_map(|(_, v)| &v.properties)
            .map(number)
            .collect();
        if let Some(code) = self.platform.method {
            return (code, Vec::new());
        }
        match self.platform.moods.pop_front() {
            // Accepted, and the reply is lost.
            Some(200) => {
                self.platform.accepted.extend(numbers);
                return (0, Vec::new());
            }
            Some(mood) => return (mood, Vec::new()),
            None => {}
        }
        let of = |n: &usize| self.store[*n].0;
        if self
            .platform
            .deaf
            .is_some_and(|d| numbers.iter().any(|n| of(n) == d))
        {
            return (0, Vec::new());
        }
        let bad = numbers.iter().find_map(|n| {
            let code = self.platform.bad_devices.get(&of(n)).copied();
            let code = code.or(self.platform.bad_values.contains(n).then_some(6306));
            code.map(|code| (code, device(of(n))))
        });
        match bad {
            Some((code, device)) if self.platform.names => (code, vec![device]),
            Some((code, _)) => (code, Vec::new()),
            None => {
                self.platform.accepted.extend(numbers);
                (200, Vec::new())
            }
        }
    }

    fn step(&mut self) {
        while self.mail.front().is_some_and(|(at, ..)| *at <= self.now)
            && let Some((_, ask, code, named)) = self.mail.pop_front()
        {
            self.history.answered(self.now, ask, Code(code), "", &named);
        }
        self.history.on_time(self.now);
        loop {
            self.take_settled();
            if let Some((from, most)) = self.history.take_read(self.now) {
                if self.is_unreadable {
                    self.history.read_failed(self.now, from);
                } else {
                    let (readings, next) = self.read(from, most);
                    let date = |at| match at {
                        StoredTime::Wall(at) => Some(at),
                        StoredTime::SinceBoot(_) => None,
                    };
                    let is_online = |_: &DeviceIdentity, _: &StoredReading| true;
                    let to_post = self
                        .history
                        .on_read(self.now, readings, next, date, is_online);
                    for one in to_post {
                        self.post(one.at);
                    }
                }
                continue;
            }
            let ask = RequestId(self.asks);
            let Some(message) = self.history.take(self.now, ask) else {
                break;
            };
            self.asks += 1;
            self.messages += 1;
            self.check(&message);
            let (code, named) = self.judge(&message);
            if code != 0 {
                let at = self.now + ROUND_TRIP;
                self.mail.push_back((at, ask, code, named));
            }
        }
        self.take_settled();
        self.events.extend(self.history.take_events());
        assert!(self.history.known.len() <= WINDOW);
    }

    fn take_settled(&mut self) {
        for at in self.history.take_settled() {
            self.settle(at);
        }
    }

    fn settle(&mut self, at: StorePosition) -> usize {
        let n = (at.segment as usize - 1) * 100 + at.ordinal as usize;
        assert!(!std::mem::replace(&mut self.store[n].1, true), "{n} twice");
        n
    }

    /// Posts a value as live values are.
    fn post(&mut self, at: StorePosition) {
        let n = self.settle(at);
        if self.platform.bad_values.contains(&n) {
            self.platform.refused += 1;
            return self.history.posted(&[], &[at]);
        }
        self.platform.accepted.push(n);
        self.platform.posted += 1;
        self.history.posted(&[at], &[]);
    }

    fn check(&self, message: &HistoryMessage) {
        assert!(message.len() <= LIMITS.devices);
        let values: usize = message.iter().map(|(_, v)| v.properties.len()).sum();
        assert!((1..=LIMITS.values).contains(&values));
        for (device, values) in message {
            let numbers: Vec<usize> = values.properties.iter().map(number).collect();
            assert!(numbers.is_sorted(), "{device:?}: {numbers:?}");
        }
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.step();
            // Whatever is due was done.
            let due = self.history.due().filter(|_| !self.is_unreadable);
            assert!(
                due.is_none_or(|w| w.at > self.now || self.history.is_reading),
                "{due:?}"
            );
            let mail = self.mail.front().map(|(at, ..)| *at);
            let wakes = [self.history.due(), self.history.wake_at()];
            let wakes = wakes.into_iter().flatten().map(|w| w.at);
            let next = wakes.chain(mail).min().unwrap_or(end);
            let soonest = self.now + Duration::from_millis(1);
            self.now = next.max(soonest).min(end);
        }
        self.step();
    }

    fn left(&self) -> Vec<usize> {
        let all = 0..self.store.len();
        all.filter(|n| !self.store[*n].1).collect()
    }

    /// Checks that what the platform has accepted of each device came in order, leaving
    /// repeats aside.
    fn is_in_order(&self) -> bool {
        let mut last: BTreeMap<usize, usize> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        self.platform.accepted.iter().all(|n| {
            let before = last.get(&self.store[*n].0).copied();
            if !seen.insert(*n) {
                return true;
            }
            last.insert(self.store[*n].0, *n);
            before.is_none_or(|b| b < *n)
        })
    }
}

fn number(text: &Properties) -> usize {
    let text = format!("{text:?}");
    let digits = text.split("value\\\":").nth(1).unwrap();
    let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

#[test]
fn everything_is_sent_once_in_full_messages_and_settled() {
    let mut w = World::new((0..1000).map(|n| n % 10));
    w.run(secs(10));
    assert_eq!(w.left(), [0; 0]);
    assert_eq!(w.platform.accepted.len(), 1000);
    assert_eq!(w.messages, 50);
    assert!(w.is_in_order());
    assert_eq!(w.history.due(), None);
    // What comes later goes as well.
    w.store(3);
    w.run(secs(1));
    assert_eq!(w.left(), [0; 0]);
}

#[test]
fn nothing_is_sent_or_read_without_a_link() {
    let mut w = World::new([0, 1]);
    w.history.link_down();
    w.run(secs(10));
    assert_eq!((w.messages, w.history.due()), (0, None));
    w.history.link_up();
    w.run(secs(1));
    assert_eq!(w.left(), [0; 0]);
}

#[test]
fn a_refused_value_is_found_and_dropped_alone() {
    for names in [false, true] {
        let mut w = World::new((0..200).map(|n| n % 10));
        w.platform.bad_values = [17, 42, 43, 199].into();
        w.platform.names = names;
        w.run(secs(30));
        assert_eq!(w.left(), [0; 0]);
        assert_eq!(w.platform.accepted.len(), 196);
        assert!(w.is_in_order());
        let refused = w.events.iter();
        let refused = refused.filter(|e| matches!(e, HistoryEvent::Refused { .. }));
        assert_eq!(refused.count(), 4);
    }
}

#[test]
fn a_refused_device_is_left_out_and_comes_back_in_order() {
    for code in [6401, 6204, 6100] {
        let mut w = World::new((0..200).map(|n| n % 10));
        w.platform.bad_devices = [(3, code)].into();
        w.run(secs(50));
        let left: Vec<usize> = (0..200).filter(|n| n % 10 == 3).collect();
        assert_eq!(w.left(), left);
        for _ in 0..5 {
            w.store(3);
            w.store(4);
        }
        w.run(secs(5));
        assert_eq!(w.left().len(), 25, "new values wait behind the old ones");
        w.platform.bad_devices.clear();
        w.run(secs(3600));
        assert_eq!(w.left(), [0; 0]);
        assert!(w.is_in_order());
    }
}

#[test]
fn a_lost_reply_costs_a_repeat_and_holds_up_its_devices_only() {
    let mut w = World::new((0..200).map(|n| n % 10));
    w.platform.moods = [0].into();
    w.run(secs(4));
    assert_eq!(w.left().len(), 80, "those of the four devices");
    w.run(secs(4));
    assert_eq!(w.left(), [0; 0]);
    assert_eq!(w.platform.accepted.len(), 200);
}

#[test]
fn throttling_stops_everything_for_a_minute() {
    let mut w = World::new((0..100).map(|n| n % 10));
    w.platform.moods = [429].into();
    w.run(secs(1));
    let before = w.messages;
    w.run(secs(40));
    assert_eq!(w.messages, before);
    w.run(secs(60));
    assert_eq!(w.left(), [0; 0]);
}

#[test]
fn a_reply_that_comes_late_settles_what_it_is_about() {
    let mut w = World::new([0, 0, 0]);
    w.platform.moods = [0].into();
    w.run(secs(2));
    let ask = RequestId(w.asks - 1);
    w.platform.moods = [0, 0, 0].into();
    w.run(secs(5));
    assert!(w.messages > 1);
    assert!(w.history.answered(w.now, ask, Code(200), "", &[]));
    w.run(Duration::from_millis(20));
    assert_eq!(w.left(), [0; 0]);
    assert!(!w.history.answered(w.now, ask, Code(200), "", &[]));
}

#[test]
fn a_late_reply_and_a_lost_repeat_leave_the_others_their_turns() {
    let mut w = World::new([0, 0, 0]);
    w.platform.moods = [0, 0].into();
    w.run(secs(7));
    assert_eq!(w.messages, 2, "the repeat is under way");
    assert!(w.history.answered(w.now, RequestId(0), Code(200), "", &[]));
    w.run(secs(20));
    assert_eq!(w.left(), [0; 0]);
    w.store(1);
    w.store(0);
    w.run(secs(1));
    assert_eq!(w.left(), [0; 0]);
}

#[test]
fn a_device_whose_messages_are_never_answered_makes_room_for_others() {
    let mut w = World::new((0..6000).map(|n| usize::from(n >= 5000)));
    // What is sent of device 0 alone is not answered.
    w.platform.deaf = Some(0);
    w.run(secs(300));
    let left = w.left();
    assert!(left.iter().all(|n| w.store[*n].0 == 0), "{}", left.len());
    w.platform.deaf = None;
    w.run(secs(2 * 3600));
    assert_eq!(w.left(), [0; 0]);
    assert!(w.is_in_order());
}

#[test]
fn values_without_a_time_are_sent_once_it_is_known() {
    let mut history = History::new(LIMITS, Rng::new(1));
    history.link_up();
    history.stored(sequence(0));
    let now = Mono::from_micros(5);
    let value = |at: StoredTime| StoredReading {
        product_key: ProductKey::new("pk"),
        device_name: DeviceName::new("meter-1"),
        identifier: "P".into(),
        at,
        value: Value::Bool(true).into(),
    };
    let readings = vec![(sequence(0), value(StoredTime::SinceBoot(-7000)))];
    assert!(history.take_read(now).is_some());
    history.on_read(Mono::START, readings.clone(), None, |_| None, |_, _| true);
    assert_eq!(history.take(now, RequestId(1)), None);
    assert_eq!(history.take_read(now), None);
    history.time_known();
    assert_eq!(history.take_read(now), Some((sequence(0), READ)));
    let date = |at| match at {
        StoredTime::SinceBoot(ms) => Some(Wall::from_millis(10_000 + ms)),
        StoredTime::Wall(at) => Some(at),
    };
    history.on_read(Mono::START, readings, None, date, |_, _| true);
    let message = history.take(now, RequestId(1)).unwrap();
    assert!(format!("{message:?}").contains("3000"), "{message:?}");
}

#[test]
fn what_is_settled_while_the_store_is_read_is_not_sent_again() {
    let mut w = World::new((0..1500).map(|_| 0));
    let (from, most) = w.history.take_read(w.now).unwrap();
    let (readings, next) = w.read(from, most);
    w.history.on_read(
        Mono::START,
        readings.clone(),
        next,
        |_| Some(Wall::from_millis(0)),
        |_, _| true,
    );
    assert!(w.history.take(w.now, RequestId(1)).is_some());
    // Read again from the front, as after a device was left out.
    w.history.stored(sequence(0));
    assert!(w.history.take_read(w.now).is_some());
    w.history.answered(w.now, RequestId(1), Code(200), "", &[]);
    let before = w.history.known.len();
    w.history.on_read(
        Mono::START,
        readings,
        next,
        |_| Some(Wall::from_millis(0)),
        |_, _| true,
    );
    assert_eq!(w.history.known.len(), before);
}

#[test]
fn a_store_that_cannot_be_read_is_read_again_later() {
    let mut w = World::new([0, 1, 2]);
    w.is_unreadable = true;
    w.run(secs(5));
    w.is_unreadable = false;
    w.run(secs(11));
    assert_eq!(w.left(), [0; 0]);
}

#[test]
fn memory_is_bounded_whatever_the_store_holds() {
    let mut w = World::new((0..50_000).map(|n| n % 7));
    w.platform.moods = (0..200).map(|_| 0).collect();
    w.run(secs(60));
    w.platform.moods.clear();
    w.run(secs(3600));
    assert_eq!(w.left(), [0; 0]);
    assert!(w.is_in_order());
}

#[derive(Clone, Debug)]
enum Act {
    Store(usize),
    BadDevice(usize, i64),
    BadValue(usize),
    Heal,
    Mood(i64),
    Link,
    Read,
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let code = || prop::sample::select(vec![6401, 6204, 429, 500, 6306, 520, 460, 31337, 200, 0]);
    prop_oneof![
        4 => (0usize..12).prop_map(Act::Store),
        1 => (0usize..12, code()).prop_map(|(d, c)| Act::BadDevice(d, if c == 200 { 6401 } else { c.max(1) })),
        1 => (0usize..400).prop_map(Act::BadValue),
        1 => Just(Act::Heal),
        2 => code().prop_map(Act::Mood),
        1 => Just(Act::Link),
        1 => Just(Act::Read),
        3 => (1u64..90).prop_map(Act::Wait),
    ]
}

#[test]
fn what_is_refused_as_a_history_is_posted_like_live_values() {
    for code in [460, 404, 0] {
        let mut w = World::new((0..200).map(|n| n % 5));
        w.platform.method = Some(code);
        w.run(secs(600));
        let mut accepted = w.platform.accepted.clone();
        accepted.sort_unstable();
        assert_eq!(accepted, (0..200).collect::<Vec<_>>(), "{code}");
        assert_eq!(w.platform.posted, 200, "{code}");
        // The next connection may lead to a platform that knows the method.
        w.history.link_down();
        w.history.link_up();
        w.platform.method = None;
        w.store(3);
        w.run(secs(60));
        assert_eq!((w.platform.accepted.len(), w.platform.posted), (201, 200));
    }
}

#[test]
fn a_value_that_is_refused_in_both_forms_is_to_blame_and_not_the_method() {
    let mut w = World::new((0..100).map(|n| n % 5));
    w.platform.bad_values = BTreeSet::from([0]);
    w.run(secs(600));
    assert!(w.store.iter().all(|(_, settled)| *settled));
    assert_eq!(w.platform.accepted.len(), 99);
    assert_eq!(w.history.form, HistoryForm::History);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_everything_is_delivered_once_it_stops(
        devices in prop::collection::vec(0usize..12, 0..300),
        acts in prop::collection::vec(act(), 0..30),
        names: bool,
    ) {
        let mut w = World::new(devices);
        w.platform.names = names;
        for act in acts {
            match act {
                Act::Store(device) => w.store(device),
                Act::BadDevice(device, code) => {
                    w.platform.bad_devices.insert(device, code);
                }
                Act::BadValue(n) => {
                    w.platform.bad_values.insert(n);
                }
                Act::Heal => w.platform.bad_devices.clear(),
                Act::Mood(code) => w.platform.moods.push_back(code),
                Act::Link => {
                    w.history.link_down();
                    w.mail.clear();
                    w.history.link_up();
                }
                Act::Read => w.is_unreadable ^= true,
                Act::Wait(wait) => w.run(secs(wait)),
            }
        }
        w.platform.bad_devices.clear();
        w.platform.moods.clear();
        w.is_unreadable = false;
        w.run(secs(2 * 3600));
        prop_assert_eq!(w.left(), Vec::<usize>::new());
        // Posts keep no order.
        let is_posted = w.platform.posted > 0;
        prop_assert!(is_posted || w.is_in_order(), "{:?}", w.platform.accepted);
        let accepted: BTreeSet<usize> = w.platform.accepted.iter().copied().collect();
        let refused = w.events.iter();
        let refused = refused.filter(|e| matches!(e, HistoryEvent::Refused { .. })).count();
        let refused = refused + w.platform.refused;
        prop_assert!(accepted.len() + refused >= w.store.len());
    }
}
