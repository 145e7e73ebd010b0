//! How many lines the gateway logs when much happens: the whole site on virtual time,
//! and every line it would write at `info` counted.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::world::site::{self, Size};
use alink_gateway::base::DeviceId;
use alink_gateway::lab::bus::{Chance, Fault as Flaw};
use alink_gateway::lab::platform::Fault;
use alink_gateway::lab::site::Site;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

const MINUTE: Duration = Duration::from_secs(60);

/// The lines that the gateway has logged so far.
#[derive(Clone, Default)]
struct LogCapture(Arc<Mutex<Vec<String>>>);

impl LogCapture {
    /// Returns the lines logged since the last call.
    fn take_lines(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Subscriber for LogCapture {
    fn enabled(&self, about: &Metadata<'_>) -> bool {
        about.target().starts_with("alink_gateway") && *about.level() <= Level::INFO
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut words = Words(String::new());
        event.record(&mut words);
        let line = format!("{} {}", event.metadata().level(), words.0);
        self.0.lock().unwrap().push(line);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Runs a life with a receiver for all log lines in it.
fn listen<F: Future>(life: impl FnOnce(LogCapture) -> F) {
    let log = LogCapture::default();
    let _listening = crate::matrix::notices::listen(log.clone());
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(life(log));
}

fn at_most(lines: &[String], most: usize) {
    let shown = lines.join("\n");
    assert!(lines.len() <= most, "{} lines:\n{shown}", lines.len());
}

fn one_with(lines: &[String], words: &str) {
    let with = lines.iter().filter(|l| l.contains(words)).count();
    assert_eq!(with, 1, "{words:?} in\n{}", lines.join("\n"));
}

async fn strike(site: &Site, fault: Fault) {
    site.platform(|p, now| p.fault(now, fault)).await;
}

/// Checks 2,000 devices that start, lose their cloud for two minutes and have it back:
/// a handful of lines each time.
#[test]
fn two_thousand_devices_start_and_lose_their_cloud_in_a_handful_of_lines() {
    listen(|log| async move {
        let size = Size {
            lines: 80,
            units: 25,
        };
        let site = site::build(size, 1, |_| {});
        let took = site.until_online(2000, 10 * MINUTE).await;
        assert!(took.is_some(), "{} online", site.online().await);
        site.live(MINUTE / 3).await;
        let start = log.take_lines();
        let (ports, others): (Vec<_>, Vec<_>) = start
            .into_iter()
            .partition(|l| l.ends_with("open, polling"));
        assert_eq!(ports.len(), 80);
        at_most(&others, 16);

        strike(&site, Fault::Cut(site.gateway())).await;
        strike(&site, Fault::Deaf(true)).await;
        site.live(2 * MINUTE).await;
        let outage = log.take_lines();
        at_most(&outage, 8);
        one_with(&outage, "connection: ended");

        strike(&site, Fault::Heal).await;
        assert!(site.until_online(2000, 20 * MINUTE).await.is_some());
        site.live(MINUTE / 2).await;
        at_most(&log.take_lines(), 16);
    });
}

/// Builds one line of 31 devices, all of them online for a while.
async fn line_of_31() -> Site {
    let size = Size {
        lines: 1,
        units: 31,
    };
    let site = site::build(size, 1, |_| {});
    assert!(site.until_online(31, 5 * MINUTE).await.is_some());
    site.live(2 * MINUTE).await;
    site
}

/// Checks that the adapter of 31 devices is pulled out and put back.
#[test]
fn a_port_of_31_devices_that_is_pulled_out_is_a_handful_of_lines() {
    listen(|log| async move {
        let mut site = line_of_31().await;
        log.take_lines();

        site.wires[0].unplug().await;
        assert!(site.until_online(0, 5 * MINUTE).await.is_some());
        site.live(5 * MINUTE).await;
        let gone = log.take_lines();
        at_most(&gone, 10);
        one_with(&gone, "its 31 devices count as silent");

        site.wires[0].plug();
        assert!(site.until_online(31, 5 * MINUTE).await.is_some());
        site.live(2 * MINUTE).await;
        at_most(&log.take_lines(), 12);

        site.live(10 * MINUTE).await;
        at_most(&log.take_lines(), 0);
    });
}

/// Cuts the bus cable behind the adapter: the port stays open.
#[test]
fn a_cut_bus_is_called_a_fault_of_the_line_and_not_of_31_devices() {
    listen(|log| async move {
        let mut site = line_of_31().await;
        log.take_lines();

        let alive = |site: &mut Site, alive| {
            for n in 0..31 {
                let unit = site.spec.devices[DeviceId(n).index()]
                    .address
                    .unit()
                    .unwrap();
                site.wires[0].with(|line| {
                    line.unit_mut(unit).unwrap().behaviour.alive = alive;
                });
            }
        };
        alive(&mut site, false);
        assert!(site.until_online(0, 10 * MINUTE).await.is_some());
        site.live(5 * MINUTE).await;
        let cut = log.take_lines();
        at_most(&cut, 16);
        one_with(&cut, "none of its 31 devices answers any more");

        alive(&mut site, true);
        assert!(site.until_online(31, 10 * MINUTE).await.is_some());
        site.live(2 * MINUTE).await;
        at_most(&log.take_lines(), 14);
    });
}

/// Simulates a bad cable: one reply in fifty of each of 31 devices is spoiled, for two
/// hours.
#[test]
fn a_noisy_line_of_31_devices_is_told_as_one_trouble_and_ever_more_rarely() {
    listen(|log| async move {
        let site = line_of_31().await;
        log.take_lines();

        let noise = Chance {
            fault: Flaw::Flip,
            permille: 20,
        };
        for n in 0..31 {
            let unit = site.spec.devices[DeviceId(n).index()]
                .address
                .unit()
                .unwrap();
            site.wires[0].with(|line| {
                line.unit_mut(unit).unwrap().behaviour.faults = vec![noise];
            });
        }
        site.live(60 * MINUTE).await;
        let first = log.take_lines();
        at_most(&first, 10);
        let alone = first
            .iter()
            .filter(|l| l.contains(": frames came that could not be read"));
        assert_eq!(alone.filter(|l| l.contains(" unit ")).count(), 3);
        let together = first.iter().filter(|l| l.contains(": 31 devices answer"));
        assert!(together.count() >= 3, "{}", first.join("\n"));

        site.live(60 * MINUTE).await;
        at_most(&log.take_lines(), 4);
    });
}
