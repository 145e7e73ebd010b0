//! Several requests in flight: servers that support it and servers that do not, and the
//! gain.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use alink_gateway::base::{FieldEvent, LivenessEvidence, Value};
use alink_gateway::io::bus::line::Opener;
use alink_gateway::spec::Spec;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::gateway::Request;
use super::*;
use crate::installation::tcp;

/// How often each device answered and missed, and that no value belonged to another.
#[derive(Debug, Default)]
struct Tally {
    answers: BTreeMap<u32, usize>,
    misses: BTreeMap<u32, usize>,
}

impl Tally {
    async fn run(&mut self, gateway: &mut Gateway, time: Duration) {
        let until = Instant::now() + time;
        while let Ok(event) = tokio::time::timeout_at(until, gateway.event()).await {
            let FieldEvent::Polled {
                device,
                evidence,
                readings,
                ..
            } = event
            else {
                continue;
            };
            for reading in readings {
                let own = u64::from(device.0 + 1) * 256 + 7;
                assert_eq!(reading.value, Value::UInt(own), "of another");
            }
            let book = match evidence {
                LivenessEvidence::Alive(_) => &mut self.answers,
                LivenessEvidence::Missed(_) | LivenessEvidence::RequestFailed(_) => {
                    &mut self.misses
                }
            };
            *book.entry(device.0).or_default() += 1;
        }
    }

    fn missed(&self) -> usize {
        self.misses.values().sum()
    }
}

/// How a server treats requests that come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    /// Answers each, the last first.
    Interleaves,
    /// Answers one after the other, as the line behind it allows.
    Serialises,
    /// Answers each with the header of the latest.
    LatestHeader,
    /// The same, and only once.
    LatestHeaderOnce,
    /// Answers each rightly, but with the id of the latest.
    LatestId,
    /// Answers the first of them alone.
    DropsSecond,
    /// Answers each, and one of them twice.
    Twice,
    /// Exchanges the ids of two.
    SwapsIds,
    /// Closes the connection.
    Closes,
    /// Says for half of the units that they do not answer, and takes its time.
    SaysNo,
}

/// Serves in rounds: requests that arrive within some milliseconds came together.
async fn has(mut peer: Peer, habit: Habit, most: Arc<AtomicUsize>) {
    while let Some(first) = peer.request().await {
        let mut together = vec![first];
        while let Ok(Some(next)) = timeout(ms(4), peer.request()).await {
            together.push(next);
        }
        most.fetch_max(together.len(), Ordering::SeqCst);
        let last = together[together.len() - 1];
        let alone = together.len() == 1;
        let own = |r: &Request| r.reply_of_unit();
        let under = |head: &Request, r: &Request| {
            let mut reply = r.reply_of_unit();
            reply[..9].copy_from_slice(&head.reply()[..9]);
            reply
        };
        let with_id = |id: u16, r: &Request| {
            let mut reply = r.reply_of_unit();
            reply[..2].copy_from_slice(&id.to_be_bytes());
            reply
        };
        let replies: Vec<Vec<u8>> = match habit {
            Habit::SaysNo => {
                let is_dead = |r: &&Request| r.unit.is_multiple_of(2);
                for request in together.iter().filter(|r| !is_dead(r)) {
                    peer.send(&own(request)).await;
                }
                if together.iter().any(|r| is_dead(&r)) {
                    sleep(ms(100)).await;
                }
                let dead = together.iter().filter(is_dead);
                dead.map(|r| r.refusal(11, 3)).collect()
            }
            _ if alone => vec![own(&first)],
            Habit::Interleaves => together.iter().rev().map(own).collect(),
            Habit::Serialises => {
                for (n, request) in together.iter().enumerate() {
                    if n > 0 {
                        sleep(ms(20)).await;
                    }
                    peer.send(&own(request)).await;
                }
                continue;
            }
            Habit::LatestHeader => together.iter().map(|r| under(&last, r)).collect(),
            Habit::LatestHeaderOnce => vec![under(&last, &first)],
            Habit::LatestId => together.iter().map(|r| with_id(last.id, r)).collect(),
            Habit::DropsSecond => vec![own(&first)],
            Habit::Twice => together.iter().chain([&last]).map(own).collect(),
            Habit::SwapsIds => {
                let mut ids: Vec<u16> = together.iter().map(|r| r.id).collect();
                ids.rotate_left(1);
                let pairs = ids.iter().zip(&together);
                pairs.map(|(id, r)| with_id(*id, r)).collect()
            }
            Habit::Closes => return,
        };
        for reply in replies {
            peer.send(&reply).await;
        }
    }
}

/// Runs twelve units, read so often for six seconds.
async fn twelve(habit: Habit, interval: Duration) -> (Tally, Gateway, usize) {
    let most = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&most);
    let server = Server::new(move |peer| has(peer, habit, Arc::clone(&seen))).await;
    let spec = registers(server.line(), 12, interval, ms(300));
    let mut gateway = Gateway::start(spec);
    let mut tally = Tally::default();
    tally.run(&mut gateway, ms(6000)).await;
    (tally, gateway, most.load(Ordering::SeqCst))
}

#[tokio::test]
async fn a_server_that_stands_it_gets_several_requests_at_once() {
    let (tally, mut gateway, most) = twelve(Habit::Interleaves, ms(50)).await;
    assert_eq!(tally.missed(), 0, "{tally:?}");
    assert!(most >= 4, "{most}");
    assert_eq!(gateway.told("port-one-at-a-time"), [""; 0]);
    for device in 0..12 {
        assert!(tally.answers[&device] >= 18, "{tally:?}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_stand_it_is_found_out_and_no_value_is_wrong() {
    for (habit, why) in [
        (Habit::LatestHeader, "answered one request twice"),
        (Habit::LatestId, "transaction id of another"),
        (Habit::DropsSecond, "left one of them without a reply"),
        (Habit::Twice, "answered one request twice"),
        (Habit::SwapsIds, "transaction id of another"),
        (Habit::Closes, "closed the connection"),
        (Habit::LatestHeaderOnce, "left one of them without a reply"),
    ] {
        let (tally, mut gateway, _) = twelve(habit, ms(250)).await;
        let told = gateway.told("port-one-at-a-time");
        assert_eq!(told.len(), 1, "{habit:?} {tally:?}");
        assert!(told[0].contains(why), "{habit:?}: {told:?}");
        assert!(tally.missed() <= 2, "{habit:?}: {tally:?}");
        assert_eq!(gateway.downs(), 0);
        for device in 0..12 {
            assert!(tally.answers[&device] >= 15, "{habit:?}: {tally:?}");
        }
    }
}

#[tokio::test]
async fn a_gateway_that_asks_one_after_the_other_gets_one_after_the_other() {
    let (tally, mut gateway, most) = twelve(Habit::Serialises, ms(250)).await;
    assert_eq!(tally.missed(), 0, "{tally:?}");
    assert!(most <= 2, "{most}");
    assert_eq!(gateway.told("port-one-at-a-time"), [""; 0]);
}

#[tokio::test]
async fn a_gateways_word_for_dead_units_is_no_reason_for_one_at_a_time() {
    let (tally, mut gateway, most) = twelve(Habit::SaysNo, ms(50)).await;
    assert!(most >= 3, "{most} {tally:?}");
    assert_eq!(gateway.told("port-one-at-a-time"), [""; 0]);
    for device in [0, 2, 4, 6, 8, 10] {
        assert_eq!(tally.misses.get(&device), None, "{tally:?}");
    }
}

#[tokio::test]
async fn one_is_always_one_if_that_is_said() {
    let most = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&most);
    let server = Server::new(move |peer| has(peer, Habit::Interleaves, Arc::clone(&seen))).await;
    let mut line = server.line();
    line.connection.in_flight = Some(1);
    let mut gateway = Gateway::start(registers(line, 12, ms(250), ms(300)));
    Tally::default().run(&mut gateway, ms(2000)).await;
    assert_eq!(most.load(Ordering::SeqCst), 1);
}

/// Runs a gateway whose living units answer by themselves.
fn rack(pipe: DuplexStream, dead: Arc<Mutex<BTreeSet<u8>>>, sent: Arc<AtomicUsize>) {
    let (mut from_master, to_master) = tokio::io::split(pipe);
    let to_master = Arc::new(tokio::sync::Mutex::new(to_master));
    tokio::spawn(async move {
        let mut bytes = [0; 12];
        while from_master.read_exact(&mut bytes).await.is_ok() {
            sent.fetch_add(1, Ordering::SeqCst);
            let request = Request::of(bytes);
            if dead.lock().unwrap().contains(&request.unit) {
                continue;
            }
            let to_master = Arc::clone(&to_master);
            tokio::spawn(async move {
                sleep(ms(8)).await;
                let _ = to_master
                    .lock()
                    .await
                    .write_all(&request.reply_of_unit())
                    .await;
            });
        }
    });
}

/// A hundred units, each with one request every ten seconds, on virtual time.
struct Hundred {
    gateway: Gateway,
    dead: Arc<Mutex<BTreeSet<u8>>>,
    sent: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Hundred {
    async fn new(timeout: Duration, dead: BTreeSet<u8>) -> Hundred {
        let (pipes, handed_in) = mpsc::channel(8);
        let dead = Arc::new(Mutex::new(dead));
        let sent = Arc::new(AtomicUsize::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (still, count) = (Arc::clone(&dead), Arc::clone(&sent));
        let stopped = Arc::clone(&stop);
        tokio::spawn(async move {
            while !stopped.load(Ordering::SeqCst) {
                let (ours, theirs) = tokio::io::duplex(4096);
                if pipes.send(ours).await.is_err() {
                    return;
                }
                rack(theirs, Arc::clone(&still), Arc::clone(&count));
            }
        });
        let line = tcp("rack", 502);
        let spec: Spec = registers(line, 100, ms(10_000), timeout);
        let gateway = Gateway::by(Opener::Pipes(handed_in), spec);
        Hundred {
            gateway,
            dead,
            sent,
            stop,
        }
    }
}

impl Drop for Hundred {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

/// Returns every other unit.
fn half() -> BTreeSet<u8> {
    (1..=100).filter(|unit| unit % 2 == 0).collect()
}

#[tokio::test(start_paused = true)]
async fn fifty_of_a_hundred_that_die_cost_the_others_nothing() {
    for timeout in [ms(500), ms(1000)] {
        let mut w = Hundred::new(timeout, BTreeSet::new()).await;
        let mut before = Tally::default();
        before.run(&mut w.gateway, ms(60_000)).await;
        assert_eq!(before.missed(), 0);
        // At the beginning, and then one every ten seconds.
        assert!(w.sent.load(Ordering::SeqCst) <= 750);
        *w.dead.lock().unwrap() = half();
        let start = Instant::now();
        let mut tally = Tally::default();
        let certain = |tally: &Tally| {
            let missed = |unit| tally.misses.get(&u32::from(unit - 1));
            half()
                .into_iter()
                .all(|u| missed(u).is_some_and(|n| *n >= 3))
        };
        while timeout <= ms(500) && !certain(&tally) {
            assert!(start.elapsed() < ms(20_000), "{:?}", tally.misses);
            tally.run(&mut w.gateway, ms(100)).await;
        }
        println!("{timeout:?}: fifty are silent after {:?}", start.elapsed());
        tally.run(&mut w.gateway, ms(60_000)).await;
        for device in (0..100).step_by(2) {
            let elapsed = start.elapsed().as_secs() as usize;
            assert!(tally.answers[&device] + 1 >= elapsed / 10, "{tally:?}");
            assert_eq!(tally.misses.get(&device), None);
        }
        if timeout > ms(500) {
            continue;
        }
        w.dead.lock().unwrap().clear();
        let start = Instant::now();
        let mut tally = Tally::default();
        let back = |tally: &Tally| {
            half().iter().all(|u| {
                tally
                    .answers
                    .get(&u32::from(u - 1))
                    .is_some_and(|n| *n >= 1)
            })
        };
        while !back(&tally) {
            assert!(start.elapsed() < ms(30_000), "{:?}", tally.answers);
            tally.run(&mut w.gateway, ms(100)).await;
        }
        println!("{timeout:?}: fifty are back after {:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_with_half_of_them_dead_is_soon_over() {
    let mut w = Hundred::new(ms(1000), half()).await;
    let start = Instant::now();
    let mut tally = Tally::default();
    let over = |tally: &Tally| {
        (0..100).all(|device| {
            let wanted = if device % 2 == 0 {
                &tally.answers
            } else {
                &tally.misses
            };
            wanted.contains_key(&device)
        })
    };
    while !over(&tally) {
        assert!(start.elapsed() < ms(120_000), "{tally:?}");
        tally.run(&mut w.gateway, ms(100)).await;
    }
    println!("each was asked after {:?}", start.elapsed());
    for device in (0..100).step_by(2) {
        assert_eq!(tally.misses.get(&device), None);
    }
}
