//! Random lives and random messages.

use super::*;

#[derive(Clone, Debug)]
enum Event {
    Want(u32, u32, bool),
    Put(u32, u16),
    Flap(u64),
    Kick(u32, i64),
    Bad(u32, i64),
    BadPost(u32, i64),
    Mood(i64),
    Loss(u32),
    Delay(u64),
    Name(u8),
    Wait(u64),
}

const CODES: [i64; 13] = [
    429, 428, 460, 6401, 6100, 521, 522, 6204, 6287, 520, 427, 500, 31337,
];

fn event() -> impl Strategy<Value = Event> {
    let code = || prop::sample::select(CODES.to_vec());
    prop_oneof![
        6 => (0u32..70, 1u32..70, any::<bool>()).prop_map(|(a, n, b)| Event::Want(a, n, b)),
        6 => (0u32..70, 0u16..4).prop_map(|(d, p)| Event::Put(d, p)),
        1 => (0u64..5_000).prop_map(Event::Flap),
        2 => (0u32..70, code()).prop_map(|(d, c)| Event::Kick(d, c)),
        1 => (0u32..70, code()).prop_map(|(d, c)| Event::Bad(d, c)),
        1 => (0u32..70, code()).prop_map(|(d, c)| Event::BadPost(d, c)),
        1 => code().prop_map(Event::Mood),
        1 => (0u32..400).prop_map(Event::Loss),
        1 => (1u64..15_000).prop_map(Event::Delay),
        1 => (0u8..3).prop_map(Event::Name),
        8 => (0u64..20_000).prop_map(Event::Wait),
    ]
}

impl World {
    fn happen(&mut self, event: &Event) {
        match *event {
            Event::Want(from, n, online) => {
                let wish = if online {
                    Presence::Online
                } else {
                    Presence::Offline
                };
                self.want((from..from + n).map(|d| d % 70), wish);
            }
            Event::Put(d, p) => self.put(d, p, 1),
            Event::Flap(wait) => {
                self.down();
                self.run(ms(wait));
                self.up();
            }
            Event::Kick(d, code) => self.kick(d, code),
            Event::Bad(d, code) => {
                self.platform.bad.insert(d, code);
            }
            Event::BadPost(d, code) => {
                self.platform.bad_post.insert(d, code);
            }
            Event::Mood(code) => self.platform.moods.push(code),
            Event::Loss(permille) => self.loss = permille,
            Event::Delay(wait) => self.delay = ms(wait),
            Event::Name(n) => {
                self.platform.naming =
                    [Naming::Culprits, Naming::All, Naming::NoDevice][usize::from(n)];
            }
            Event::Wait(wait) => self.run(ms(wait)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_it_converges_once_it_stops(
        seed: u64, online in 30usize..80, events in prop::collection::vec(event(), 1..60), stop: bool
    ) {
        let mut small = spec(70, 4);
        small.cloud.session.batch = 20;
        small.cloud.session.online = online;
        small.cloud.post.queue = 50;
        let mut w = World::seeded(small, seed);
        w.up();
        for event in &events {
            w.happen(event);
        }
        w.loss = 0;
        w.delay = ms(20);
        w.platform.bad.clear();
        w.platform.bad_post.clear();
        w.platform.moods.clear();
        if stop {
            w.stop();
            prop_assert!(w.run_for(secs(10), |w| w.logged_out == 1));
            prop_assert!(w.platform.online.is_empty(), "{:?}", w.platform.online);
        } else {
            // The longest retry block is an hour.
            w.run(secs(3 * 3600));
            let wanted: BTreeSet<u32> = w.wanted.iter()
                .filter(|(_, p)| **p == Presence::Online).map(|(d, _)| *d).collect();
            prop_assert_eq!(w.online(), wanted.len().min(online));
            prop_assert_eq!(w.platform.online.len(), w.online());
            prop_assert!(w.platform.online.is_subset(&wanted));
            let c = w.cloud.counters().clone();
            prop_assert_eq!(
                c.readings,
                c.delivered + c.dropped_queue_full + c.dropped_refused + w.cloud.backlog() as u64
            );
            // Values that still wait belong to devices that stay offline.
            let read: BTreeSet<u32> = events
                .iter()
                .filter_map(|e| if let Event::Put(d, _) = e { Some(*d) } else { None })
                .collect();
            if wanted.len() <= online && read.is_subset(&wanted) {
                prop_assert_eq!(w.cloud.backlog(), 0);
            }
        }
    }

    #[test]
    fn no_message_is_too_strange(
        topic in prop_oneof![
            Just(format!("{SESSION}login_reply")), Just(format!("{SESSION}batch_login_reply")),
            Just(ERROR.to_owned()), Just(format!("{PACK}_reply")), Just(format!("{}_reply", post_topic(0))), ".*"
        ],
        payload in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..80),
            (any::<i64>(), "[0-9]{0,12}", ".{0,8}").prop_map(|(code, id, x)| json!({
                "id": id, "code": code, "message": x, "data": [{"productKey": "subPk", "deviceName": x}, code]
            }).to_string().into_bytes()),
            (prop::sample::select(CODES.to_vec()), 0u32..3).prop_map(|(code, d)| json!({
                "code": code.to_string(), "data": {"productKey": "subPk", "deviceName": name(d)}
            }).to_string().into_bytes()),
        ],
    ) {
        let mut w = online(2);
        w.put(0, 0, 1);
        w.message(&topic, &payload);
        w.run(secs(20));
    }
}
