//! Surveys on a simulated line, by the real exchange on virtual time.

use std::collections::BTreeMap;
use std::time::Duration;

use alink_gateway::base::{Mono, Rng, UnitId, Wall};
use alink_gateway::field::survey::unit_scan::{SHORT_WAIT, SightedReply, Sighting, UnitScan};
use alink_gateway::io::bus::bus_monitor::BusMonitor;
use alink_gateway::io::bus::exchange::Exchange;
use alink_gateway::io::bus::line::OpenLine;
use alink_gateway::io::system::clock::Clock;
use alink_gateway::lab::bus::{Line, Pace, Refusal, Unit, UnitBehaviour, UnitKind};
use alink_gateway::lab::wire::LineRig;
use alink_gateway::spec::survey::SurveyRequest;
use alink_gateway::spec::{LineSpec, SerialSpec, Table};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// The lines's settings: 9600 bit/s, eight bits, no parity.
fn serial() -> SerialSpec {
    SerialSpec {
        parity: alink_gateway::spec::Parity::None,
        ..crate::installation::serial("/dev/null", 9600)
    }
}

/// A line with some units, and the exchange that surveys it.
struct Site {
    rig: LineRig,
    exchange: Exchange,
    clock: Clock,
}

impl Site {
    fn new(units: &BTreeMap<u8, UnitBehaviour>, seed: u64) -> Site {
        let clock = Clock::starting_at(Wall::from_millis(1_790_000_000_000));
        let mut line = Line::new(Pace::from(&serial()), Rng::new(seed));
        for (unit, behaviour) in units {
            let model = Unit::new(UnitKind::Marked, u64::from(*unit)).with(behaviour.clone());
            line.attach(UnitId(*unit), model);
        }
        let mut rig = LineRig::new(line, clock);
        let pipe = OpenLine::Pipe(rig.plug_pipe());
        let line = LineSpec::Serial(serial());
        let exchange = Exchange::new(pipe, &line, clock, BusMonitor::default(), 0);
        Site {
            rig,
            exchange,
            clock,
        }
    }

    fn now(&self) -> Mono {
        self.clock.now().mono
    }

    /// Scans all units; returns what was found, and how long that took.
    async fn scan(&mut self) -> (BTreeMap<UnitId, Sighting>, Duration) {
        let begun = self.now();
        let mut scan = UnitScan::new((1..=247).map(UnitId), None, None, SHORT_WAIT);
        while let Some(request) = scan.next_request() {
            self.ask(&mut scan, &request).await;
        }
        (scan.found().clone(), self.now().since(begun))
    }

    async fn ask(&mut self, scan: &mut UnitScan, request: &SurveyRequest) {
        let surveyed = self.exchange.survey(request, Duration::ZERO).await.unwrap();
        let units = surveyed.before.iter().filter_map(|sender| sender.unit());
        let before: Vec<UnitId> = units.collect();
        let noise = surveyed.noise_before as usize;
        scan.on_heard(surveyed.sent, &surveyed.heard, (&before, noise));
    }
}

/// How many lines of sixteen units are scanned.
const SEEDS: u64 = 400;

/// Returns sixteen units with turnarounds of 5 to 120 ms. A third refuses.
fn sixteen(seed: u64) -> BTreeMap<u8, UnitBehaviour> {
    let mut rng = Rng::new(seed);
    let mut units = BTreeMap::new();
    while units.len() < 16 {
        let unit = 1 + rng.below(247) as u8;
        let refusals = match rng.below(3) {
            0 => vec![Refusal {
                table: Table::HoldingRegister,
                addresses: 0..=0,
                code: 2,
            }],
            _ => Vec::new(),
        };
        let behaviour = UnitBehaviour {
            turnaround: ms(5 + rng.below(116)),
            refusals,
            ..UnitBehaviour::default()
        };
        units.insert(unit, behaviour);
    }
    units
}

#[tokio::test(start_paused = true)]
async fn an_empty_line_is_scanned_in_nine_seconds() {
    let mut site = Site::new(&BTreeMap::new(), 1);
    let (found, took) = site.scan().await;
    assert_eq!(found, BTreeMap::new());
    assert!(took <= Duration::from_secs(9), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn all_units_are_found_whatever_their_turnaround() {
    let mut longest = Duration::ZERO;
    for seed in 0..SEEDS {
        let units = sixteen(seed);
        let mut site = Site::new(&units, seed);
        let (found, took) = site.scan().await;
        let missing: Vec<_> = units
            .iter()
            .filter(|(unit, _)| !found.contains_key(&UnitId(**unit)))
            .map(|(unit, behaviour)| (unit, behaviour.turnaround))
            .collect();
        assert!(missing.is_empty(), "seed {seed}: {missing:?} are missing");
        let strangers: Vec<_> = found.keys().filter(|u| !units.contains_key(&u.0)).collect();
        assert!(strangers.is_empty(), "seed {seed}: {strangers:?}");
        for (unit, sighting) in &found {
            let behaviour = &units[&unit.0];
            let refuses = !behaviour.refusals.is_empty();
            let reply = match refuses {
                true => SightedReply::Exception(2),
                false => SightedReply::Value,
            };
            if sighting.reply != SightedReply::Late {
                assert_eq!(sighting.reply, reply, "seed {seed}: {unit:?}");
            }
        }
        longest = longest.max(took);
    }
    eprintln!("the longest scan of sixteen units took {longest:?}");
    assert!(longest <= Duration::from_secs(12), "{longest:?}");
}

#[tokio::test(start_paused = true)]
async fn two_devices_on_one_address_are_reported_as_garbled_and_hide_no_other() {
    for seed in 0..20 {
        let mut units = sixteen(seed);
        let twin = *units.keys().nth(seed as usize % 16).unwrap();
        let behaviour = units[&twin].clone();
        units.get_mut(&twin).unwrap().refusals.clear();
        let mut site = Site::new(&units, seed);
        let second = Unit::new(UnitKind::Marked, 1000).with(UnitBehaviour {
            turnaround: behaviour.turnaround + ms(2),
            ..UnitBehaviour::default()
        });
        site.rig.with(|line, _| line.share(UnitId(twin), second));
        let (found, took) = site.scan().await;
        let all: Vec<u8> = found.keys().map(|unit| unit.0).collect();
        assert_eq!(all, Vec::from_iter(units.keys().copied()), "seed {seed}");
        let reply = found[&UnitId(twin)].reply;
        assert_eq!(reply, SightedReply::Garbled, "seed {seed}: {twin}");
        assert!(took <= Duration::from_secs(20), "{took:?}");
    }
}
