//! A long outage of the platform: 2,000 devices with ten points each, every ten seconds, and
//! the store on a disk in memory.
//!
//! The readings of 24 hours are far more than the store holds: the oldest are dropped and
//! counted, the files stay within their bound and the memory within its own. Afterwards all
//! that is left arrives, at the pace that the platform allows, each value once, the oldest of
//! each device first.
//!
//! `ALINK_OUTAGE_MINUTES` is how long the outage lasts: 1440 in the long run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alink_gateway::base::{DeviceId, Mono, Now, Reading, Rng, Value, Wall};
use alink_gateway::cloud::{Cloud, Output};
use alink_gateway::spec::{DropPolicy, Spec};
use alink_gateway::spool::{BootId, Disk, DiskError, DiskFault, DropCause, Spool, SpoolLimits};
use serde_json::{Value as Json, json};

use crate::gateway::gateway;

const DEVICES: u32 = 2_000;
const POINTS: u16 = 10;
const EVERY: u64 = 10;
/// 2026-06-01T00:00:00Z, in milliseconds.
const BEGAN: i64 = 1_780_272_000_000;
const HISTORY: &str = "/sys/gwPk/gw-1/thing/event/property/history/post";

/// A disk that never fails.
#[derive(Default)]
pub(crate) struct MemoryDisk {
    files: BTreeMap<String, Vec<u8>>,
    largest: u64,
}

fn missing(name: &str) -> DiskError {
    DiskError {
        fault: DiskFault::Missing,
        step: "reading",
        file: name.to_owned(),
        cause: "no such file".to_owned(),
    }
}

impl Disk for MemoryDisk {
    fn list(&mut self) -> Result<Vec<(String, u64)>, DiskError> {
        let sizes = self.files.iter().map(|(n, f)| (n.clone(), f.len() as u64));
        Ok(sizes.collect())
    }

    fn read(&mut self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>, DiskError> {
        let file = self.files.get(name).ok_or_else(|| missing(name))?;
        let from = (offset as usize).min(file.len());
        Ok(file[from..file.len().min(from + len)].to_vec())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        self.files.entry(name.to_owned()).or_default().extend(bytes);
        let size = self.files.values().map(|f| f.len() as u64).sum();
        self.largest = self.largest.max(size);
        Ok(())
    }

    fn sync(&mut self, _: &str) -> Result<(), DiskError> {
        Ok(())
    }

    fn sync_names(&mut self) -> Result<(), DiskError> {
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        let file = self.files.remove(from).ok_or_else(|| missing(from))?;
        self.files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        self.files
            .remove(name)
            .map(drop)
            .ok_or_else(|| missing(name))
    }
}

/// The engine and the store; a platform that accepts every history.
struct Outage {
    spec: Arc<Spec>,
    cloud: Cloud,
    spool: Spool<MemoryDisk>,
    now: Now,
    /// The time of the last value of each device and point that was accepted.
    last: BTreeMap<(String, String), i64>,
    accepted: u64,
    out_of_order: u64,
}

impl Outage {
    fn new(bytes: u64, drop: DropPolicy) -> Self {
        let mut spec = gateway(DEVICES, usize::from(POINTS));
        spec.cloud.store.bytes = bytes;
        spec.cloud.store.drop = drop;
        let spec = Arc::new(spec);
        let now = Now {
            mono: Mono::START,
            wall: Wall::from_millis(BEGAN),
        };
        let limits = SpoolLimits::of(&spec.cloud.store);
        let spool = Spool::open(MemoryDisk::default(), limits, BootId([1; 16])).unwrap();
        let mut cloud = Cloud::new(Arc::clone(&spec), Rng::new(1), now);
        cloud.on_clock(now, true);
        cloud.on_store_open(now, false);
        Outage {
            spec,
            cloud,
            spool,
            now,
            last: BTreeMap::new(),
            accepted: 0,
            out_of_order: 0,
        }
    }

    /// Lets time pass until `at`, with all that the engine wants to do meanwhile.
    fn until(&mut self, at: Duration) {
        let end = Mono::START + at;
        loop {
            self.drain();
            let wake = self.cloud.wake_at().map(|w| w.at).filter(|at| *at <= end);
            let next = wake.unwrap_or(end).max(self.now.mono);
            let millis = next.since(Mono::START).as_millis() as i64;
            let wall = Wall::from_millis(BEGAN + millis);
            self.now = Now { mono: next, wall };
            if wake.is_none() {
                return self.drain();
            }
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.cloud.poll(self.now) {
            match output {
                Output::Store(readings) => {
                    let stored = self.spool.store(&readings);
                    self.cloud.on_stored(self.now, &stored.at);
                }
                Output::ReadStore { from, most } => {
                    let chunk = self.spool.read(from, most).unwrap();
                    self.cloud.on_read(self.now, chunk.readings, chunk.next);
                }
                Output::Settle(values) => {
                    for at in values {
                        self.spool.settle(at);
                    }
                    self.spool.save().unwrap();
                }
                Output::Publish { topic, payload } if topic == HISTORY => self.accept(&payload),
                Output::Publish { .. }
                | Output::Session { .. }
                | Output::ThingEvent { .. }
                | Output::Subscribe { .. }
                | Output::LogEvent(_)
                | Output::StoreSecret { .. }
                | Output::RemoteTask(_)
                | Output::Command(_)
                | Output::LoggedOut => {}
            }
        }
    }

    fn accept(&mut self, payload: &[u8]) {
        let message: Json = serde_json::from_slice(payload).unwrap();
        for device in message["params"].as_array().unwrap() {
            let name = device["identity"]["deviceName"].as_str().unwrap();
            for sample in device["properties"].as_array().unwrap() {
                for (point, value) in sample.as_object().unwrap() {
                    let at = value["time"].as_i64().unwrap();
                    let last = self.last.insert((name.to_owned(), point.clone()), at);
                    self.out_of_order += u64::from(last.is_some_and(|last| last >= at));
                    self.accepted += 1;
                }
            }
        }
        let reply = json!({"id": message["id"], "code": 200, "message": "ok", "data": {}});
        let topic = format!("{HISTORY}_reply");
        let reply = reply.to_string().into_bytes();
        self.cloud.on_message(self.now, &topic, &reply);
    }

    /// Reads every point of the devices whose turn it is in this second.
    fn read(&mut self, second: u64) -> u64 {
        let mut read = 0;
        for device in (0..DEVICES).filter(|d| u64::from(*d) % EVERY == second % EVERY) {
            for point in 0..POINTS {
                let value = Value::Float((second + u64::from(device)) as f64 / 10.0);
                let reading = Reading {
                    device: DeviceId(device),
                    point,
                    value,
                    at: self.now,
                };
                self.cloud.put(self.now, reading);
                read += 1;
            }
        }
        read
    }
}

fn minutes() -> u64 {
    let asked = std::env::var("ALINK_OUTAGE_MINUTES").ok();
    asked.and_then(|m| m.parse().ok()).unwrap_or(6)
}

#[test]
fn an_outage_of_a_day_keeps_its_bounds_and_what_is_left_arrives_in_order() {
    let minutes = minutes();
    // In the short run the store is smaller, too.
    let bytes = ((128 << 20) * minutes / 1440).max(2 << 20);
    let mut w = Outage::new(bytes, DropPolicy::Oldest);
    let queue = w.spec.cloud.post.queue;
    let (mut read, mut most) = (0, 0);
    for second in 0..minutes * 60 {
        read += w.read(second);
        w.until(Duration::from_secs(second + 1));
        most = most.max(w.cloud.backlog());
        assert!(
            w.cloud.backlog() <= queue,
            "{second} s: {}",
            w.cloud.backlog()
        );
    }
    let counters = w.cloud.counters().clone();
    assert_eq!(counters.dropped_queue_full, 0);
    assert_eq!(counters.stored + w.cloud.backlog() as u64, read);
    let status = w.spool.status();
    let full = status.dropped.get(&DropCause::Full).copied().unwrap_or(0);
    assert_eq!(status.values + full, counters.stored);
    assert!(status.bytes <= bytes, "{} of {bytes}", status.bytes);
    let per_value = status.written as f64 / counters.stored as f64;
    eprintln!(
        "{read} read, {} left in {} bytes, {full} dropped, at most {most} in memory, {per_value:.1} bytes written a value",
        status.values, status.bytes
    );
    assert!(per_value <= 40.0, "{per_value}");

    w.cloud.on_link_up(w.now);
    let (left, began) = (status.values + w.cloud.backlog() as u64, w.now.mono);
    let pace =
        w.spec.cloud.post.messages_per_second as f64 * w.spec.cloud.post.pack_properties as f64;
    while w.accepted < left && w.now.mono.since(began) < Duration::from_secs(3600) {
        let next = w.now.mono.since(Mono::START) + Duration::from_secs(1);
        w.until(next);
    }
    assert_eq!((w.accepted, w.out_of_order), (left, 0));
    let share = left as f64 / w.now.mono.since(began).as_secs_f64() / pace;
    eprintln!("replayed at {share:.3} of the rate");
    assert!(share >= 0.8, "{share}");
}
