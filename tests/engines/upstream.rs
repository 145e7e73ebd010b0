//! The forecast of what is sent to the platform, against what the whole gateway sends: ports,
//! hub and link on virtual time, with units on their lines and a platform that counts.

use std::sync::Arc;
use std::time::Duration;

use alink_gateway::base::{DeviceId, PortId, Secret, Value};
use alink_gateway::cloud::upstream::{PeriodicReadings, PeriodicValue, UpstreamForecast};
use alink_gateway::field::plan::forecast::forecast;
use alink_gateway::field::plan::holes::Holes;
use alink_gateway::hub::upstream::Upstream;
use alink_gateway::io::system::clock::Clock;
use alink_gateway::lab::platform::Platform;
use alink_gateway::lab::site::START;
use alink_gateway::spec::*;

use crate::delivery::world::World;
use crate::gateway::gateway;
use crate::installation::{self, demo_cloud, device, number, point, port, profile, serial};
use crate::world::site;

/// So many devices of one kind on a line of their own each.
struct Line {
    units: u8,
    /// How many registers are read at which interval.
    points: Vec<(u16, Duration)>,
}

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn spec(lines: &[Line]) -> Spec {
    let kinds = lines.iter().enumerate().map(|(n, line)| {
        let blocks = line.points.iter().zip(0u16..);
        // Each group of points lies apart, so that it is read by itself.
        let points = blocks.flat_map(|((count, every), block)| {
            (0..*count).map(move |i| {
                let address = block * 200 + i;
                point(Table::HoldingRegister, address, number(Number::U16), *every)
            })
        });
        profile(&format!("kind{n}"), points.collect())
    });
    let kinds: Vec<Arc<ProfileSpec>> = kinds.collect();
    let ports = (0..lines.len()).map(|n| {
        let line = LineSpec::Serial(serial(format!("/dev/line{n}"), 115_200));
        port(&format!("line{n}"), line, Duration::from_millis(200))
    });
    let devices = lines.iter().zip(&kinds).zip(0u16..);
    let devices = devices.flat_map(|((line, kind), n)| {
        (1..=line.units).map(move |unit| DeviceSpec {
            port: PortId(n),
            secret: Secret::new(format!("secret-of-{n}-{unit}")),
            ..device(&format!("unit-{n}-{unit}"), unit, "a1SubDemoPk", kind)
        })
    });
    installation::spec(demo_cloud("platform"), ports.collect(), devices.collect())
}

/// How many values and messages there were a second.
#[derive(Debug)]
struct Rates {
    values: f64,
    messages: f64,
}

fn forecast_of(spec: &Spec) -> Rates {
    let lines = forecast(spec, |_| Holes::new());
    for line in &lines {
        assert!(line.load() < 700, "the line is not to be the limit");
    }
    let upstream = Upstream::of(&Arc::new(spec.clone()), &lines);
    Rates {
        values: upstream.sent().values_per_second(),
        messages: upstream.sent().messages_per_second(),
    }
}

/// Runs the whole gateway until all devices are online and prove their sessions in turn, and
/// counts for this long.
async fn measured(spec: Spec, span: Duration) -> Rates {
    let devices = spec.devices.len();
    let site = site::build_of(Clock::starting_at(START), spec, 7, |_| {});
    let online = site.until_online(devices, secs(60)).await;
    assert!(online.is_some(), "not all devices came online");
    site.live(secs(60)).await;
    let from = site.clock.now().mono;
    site.live(span).await;
    let count = move |p: &mut Platform, _| {
        let lately = p.ledger().posted().filter(|posted| posted.at >= from);
        lately.fold((0, 0), |(posts, values), posted| {
            (posts + 1, values + posted.accepted)
        })
    };
    let (posts, values) = site.platform(count).await;
    let per_second = |n: u64| n as f64 / span.as_secs_f64();
    site.stop().await;
    Rates {
        values: per_second(values),
        messages: per_second(posts),
    }
}

fn compare(lines: &[Line], span: Duration) {
    let spec = spec(lines);
    let forecast = forecast_of(&spec);
    let run = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let measured = run.block_on(measured(spec, span));
    let off = |forecast: f64, measured: f64| (forecast - measured).abs() / measured;
    let values = off(forecast.values, measured.values);
    let messages = off(forecast.messages, measured.messages);
    assert!(
        values <= 0.05 && messages <= 0.05,
        "forecast {forecast:.3?}, measured {measured:.3?}: {values:.3}, {messages:.3} off"
    );
}

#[test]
fn few_devices_that_are_read_rarely() {
    let points = vec![(4, secs(60))];
    compare(&[Line { units: 5, points }], secs(1800));
}

#[test]
fn many_devices_that_are_read_often() {
    let line = || Line {
        units: 25,
        points: vec![(6, secs(1))],
    };
    compare(&[line(), line(), line(), line()], secs(60));
}

#[test]
fn one_device_with_many_points() {
    let points = vec![
        (100, secs(2)),
        (100, secs(2)),
        (100, secs(2)),
        (40, secs(2)),
    ];
    compare(&[Line { units: 1, points }], secs(300));
}

#[test]
fn one_point_that_is_read_very_often() {
    let points = vec![(1, ms(100))];
    compare(&[Line { units: 1, points }], secs(60));
}

#[test]
fn several_intervals() {
    let some = || Line {
        units: 12,
        points: vec![(3, secs(1)), (20, secs(15)), (8, secs(60))],
    };
    let quick = Line {
        units: 2,
        points: vec![(2, ms(250)), (10, secs(5))],
    };
    let slow = Line {
        units: 10,
        points: vec![(30, secs(30))],
    };
    compare(&[some(), some(), quick, slow], secs(240));
}

/// Returns the load of so many devices with one point each that is read this often, and how
/// many values wait once two minutes of them have been sent.
fn left_behind(devices: u32, every: Duration) -> (u64, usize) {
    let spec = gateway(devices, 1);
    let value = PeriodicValue {
        point: 0,
        value: Value::Int(1),
        sent: 1.0,
    };
    let readings = (0..devices).map(|id| PeriodicReadings {
        device: DeviceId(id),
        interval: every,
        phase: every * id / devices,
        values: Arc::from([value.clone()]),
    });
    let readings: Vec<PeriodicReadings> = readings.collect();
    let load = UpstreamForecast::of(&Arc::new(spec.clone()), &readings).load();
    let mut world = World::online(spec, 1);
    world.run(secs(30));
    world.feed_all(every);
    world.run(secs(120));
    (load, world.cloud.backlog())
}

#[test]
fn a_load_below_all_of_the_limit_is_carried_and_a_load_above_is_not() {
    // In two minutes a tenth more than can be sent is some thousands of values.
    let (load, left) = left_behind(200, ms(480));
    assert!((900..980).contains(&load), "{load}");
    assert!(left < 1_000, "{left} values wait at {load}");
    let (load, left) = left_behind(200, ms(405));
    assert!((1080..1180).contains(&load), "{load}");
    assert!(left > 3_000, "{left} values wait at {load}");
}
