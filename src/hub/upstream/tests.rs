use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::*;
use crate::base::{DeviceName, PortId, Rng, StoredReading, StoredTime, Value, Wall};
use crate::cloud::upstream::BindingLimit;
use crate::field::plan::forecast::forecast;
use crate::field::plan::holes::Holes;
use crate::field::test_spec::{installation, number, point, profile, tcp};
use crate::spec::{
    ByteOrder, Codec, Decimal, DeviceSpec, DropPolicy, Number, PointSpec, PortSpec, Table,
    WordOrder,
};
use crate::spool::{BootId, Disk, DiskError, DiskFault, SEGMENT_BYTES, Spool, SpoolLimits};

const REGISTER: Table = Table::HoldingRegister;

/// Returns so many devices with these points, each on a port of its own.
fn fleet(devices: u16, points: Vec<PointSpec>) -> Arc<Spec> {
    let mut spec = installation(tcp(), vec![profile(points)]);
    let first = spec.devices.remove(0);
    spec.ports = (0..devices)
        .map(|n| PortSpec {
            name: format!("port{n}"),
            ..tcp()
        })
        .collect();
    spec.devices = (0..devices)
        .map(|n| DeviceSpec {
            name: format!("meter-{n:04}"),
            device_name: DeviceName::new(&format!("meter-{n:04}")),
            port: PortId(n),
            ..first.clone()
        })
        .collect();
    Arc::new(spec)
}

fn words(count: u16, interval_ms: u64) -> Vec<PointSpec> {
    let all = 0..count;
    all.map(|n| point(REGISTER, n, number(Number::U16), interval_ms))
        .collect()
}

fn upstream(spec: &Arc<Spec>) -> Upstream {
    Upstream::of(spec, &forecast(spec, |_| Holes::new()))
}

#[test]
fn no_devices_send_nothing_and_not_less_than_nothing() {
    let mut spec = Arc::unwrap_or_clone(fleet(1, words(1, 1_000)));
    spec.devices.clear();
    let spec = Arc::new(spec);
    let upstream = upstream(&spec);
    let sent = upstream.sent();
    let lines = forecast(&spec, |_| Holes::new());
    let rates = lines.iter().map(|line| line.rate());
    for rate in rates.chain([sent.values_per_second(), sent.messages_per_second()]) {
        assert_eq!(rate.to_string(), "0");
    }
}

#[test]
fn a_fleet_that_has_more_values_than_messages_carry_is_refused() {
    let spec = fleet(2_000, words(20, 5_000));
    let upstream = upstream(&spec);
    let sent = upstream.sent();
    assert!((sent.values_per_second() - 8_000.0).abs() < 1e-6);
    assert_eq!(sent.values_load(), 1_600);
    assert_eq!(sent.bound(), BindingLimit::Values);
    assert!(sent.load() >= 1_600 && sent.is_refused());
    // It sends as many messages as it may, and loses the rest.
    assert_eq!(sent.messages_per_day(), 25 * 86_400);
    let most = sent.heaviest().unwrap();
    assert_eq!((most.devices, most.share), (2_000, 1000));
    assert_eq!(most.interval, Duration::from_secs(5));

    let mut allowed = (*spec).clone();
    allowed.cloud.post.allow_overload = true;
    let allowed = super::tests::upstream(&Arc::new(allowed));
    assert!(!allowed.sent().is_refused() && allowed.sent().load() == sent.load());
}

#[test]
fn a_fleet_with_few_values_each_is_limited_by_its_devices() {
    let spec = fleet(2_000, words(1, 2_000));
    let upstream = upstream(&spec);
    let sent = upstream.sent();
    assert_eq!(sent.values_load(), 200);
    assert_eq!(sent.bound(), BindingLimit::Devices);
    assert!(sent.is_refused(), "{}", sent.load());
}

#[test]
fn a_fleet_that_fits_sends_no_more_messages_than_it_may() {
    let spec = fleet(500, words(10, 10_000));
    let upstream = upstream(&spec);
    let sent = upstream.sent();
    assert!((sent.values_per_second() - 500.0).abs() < 1e-6);
    assert!(sent.load() < 700 && sent.load() >= sent.values_load());
    assert!(sent.messages_per_second() <= 25.0);
}

#[test]
fn the_kind_that_takes_most_is_named_with_its_usual_interval() {
    let mut slow = words(2, 60_000);
    slow.extend((2..12).map(|n| point(REGISTER, n, number(Number::U16), 1_000)));
    let spec = fleet(30, slow);
    let upstream = upstream(&spec);
    let most = upstream.sent().heaviest().unwrap();
    assert_eq!(most.interval, Duration::from_secs(1));
    assert_eq!((most.profile.as_str(), most.devices), ("p", 30));
}

#[test]
fn nothing_is_sent_and_kept_without_devices() {
    let spec = Arc::new(installation(tcp(), Vec::new()));
    let upstream = upstream(&spec);
    assert_eq!(upstream.sent().load(), 0);
    assert_eq!(upstream.sent().messages_per_day(), 0);
    assert_eq!(upstream.outage(), None);
}

#[test]
fn an_outage_lasts_until_there_is_no_room_or_values_are_too_old() {
    let spec = fleet(100, words(10, 10_000));
    let by_size = upstream(&spec);
    let by_size = by_size.outage().unwrap();
    let seconds = by_size.room() as f64 / 100.0;
    assert!((by_size.lasts().as_secs_f64() - seconds).abs() < 1.0);
    assert!(!by_size.is_bounded_by_age());

    let mut young = (*spec).clone();
    young.cloud.store.age = Duration::from_secs(3600);
    let young = upstream(&Arc::new(young));
    assert_eq!(young.outage().unwrap().lasts(), Duration::from_secs(3600));
    assert!(young.outage().unwrap().is_bounded_by_age());

    let mut without = (*spec).clone();
    without.cloud.store.enabled = false;
    let without = upstream(&Arc::new(without));
    let without = without.outage().unwrap();
    assert_eq!(without.store(), OutageStore::Memory);
    assert_eq!(without.lasts(), Duration::from_secs(100_000 / 100));
}

/// A disk in memory.
#[derive(Debug, Default)]
struct Memory(BTreeMap<String, Vec<u8>>);

impl Disk for Memory {
    fn list(&mut self) -> Result<Vec<(String, u64)>, DiskError> {
        let files = self.0.iter();
        Ok(files.map(|(n, b)| (n.clone(), b.len() as u64)).collect())
    }
    fn read(&mut self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>, DiskError> {
        let bytes = self.0.get(name).ok_or_else(|| DiskError {
            fault: DiskFault::Missing,
            step: "reading",
            file: name.to_owned(),
            cause: String::new(),
        })?;
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        Ok(rest.iter().take(len).copied().collect())
    }
    fn append(&mut self, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
        self.0.entry(name.to_owned()).or_default().extend(bytes);
        Ok(())
    }
    fn sync(&mut self, _: &str) -> Result<(), DiskError> {
        Ok(())
    }
    fn sync_names(&mut self) -> Result<(), DiskError> {
        Ok(())
    }
    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        let bytes = self.0.remove(from).unwrap_or_default();
        self.0.insert(to.to_owned(), bytes);
        Ok(())
    }
    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        self.0.remove(name);
        Ok(())
    }
}

/// Returns a value as a meter may give it.
fn drawn(point: &PointSpec, rng: &mut Rng) -> Value {
    match typical_value(point) {
        Value::Int(n) => Value::Int(n + rng.below(1 + n.unsigned_abs() / 2) as i64),
        Value::UInt(n) => Value::UInt(n / 4 + rng.below(n.max(1))),
        Value::Float(f) => Value::Float((f * 10.0 + rng.below(1_000) as f64).round() / 10.0),
        Value::Bool(_) => Value::Bool(rng.chance(500)),
        Value::Text(text) => Value::Text(text),
    }
}

/// Stores an outage, in groups as they are handed over; returns how many bytes a value took.
fn stored(spec: &Spec, values: usize) -> f64 {
    let limits = SpoolLimits {
        bytes: 1 << 30,
        age: Duration::from_secs(30 * 86_400),
        segment_bytes: SEGMENT_BYTES,
        drop: DropPolicy::Oldest,
    };
    let mut spool = Spool::open(Memory::default(), limits, BootId::default()).unwrap();
    let mut rng = Rng::new(11);
    // Points of one interval are read together: when, of which device, how often.
    let mut due = BTreeSet::new();
    for (n, device) in spec.devices.iter().enumerate() {
        let points = device.profile.points.iter();
        let intervals: BTreeSet<u64> = points.map(|p| p.interval.as_millis() as u64).collect();
        due.extend(
            intervals
                .into_iter()
                .map(|every| (rng.below(every), n, every)),
        );
    }
    let (mut group, mut sync_at, mut count) = (Vec::new(), 5_000, 0);
    while count < values {
        let (at, n, every) = due.pop_first().unwrap();
        due.insert((at + every, n, every));
        if at >= sync_at || group.len() >= 2_000 {
            assert_eq!(spool.store(&group).at.len(), group.len());
            count += group.len();
            group.clear();
            sync_at = at + 5_000;
        }
        let device = &spec.devices[n];
        let points = device.profile.points.iter();
        for point in points.filter(|p| p.interval.as_millis() as u64 == every) {
            group.push(StoredReading {
                product_key: device.product_key.clone(),
                device_name: device.device_name.clone(),
                identifier: point.id.as_str().into(),
                at: StoredTime::Wall(Wall::from_millis(1_780_000_000_000 + at as i64)),
                value: drawn(point, &mut rng).into(),
            });
        }
    }
    spool.status().bytes as f64 / count as f64
}

#[test]
fn the_size_of_a_stored_value_is_near_what_an_outage_takes() {
    let mixed = |n: u16| {
        let scaled = Codec::Number {
            kind: Number::U16,
            words: WordOrder::High,
            bytes: ByteOrder::High,
            scale: Decimal::parse("0.1").unwrap(),
            offset: Decimal::ZERO,
        };
        let every = [1_000, 10_000, 60_000][usize::from(n % 3)];
        match n % 4 {
            0 => point(REGISTER, n * 4, number(Number::U32), every),
            1 => point(REGISTER, n * 4, scaled, every),
            2 => point(REGISTER, n * 4, number(Number::F32), every),
            _ => point(Table::Coil, n, Codec::Bool, every),
        }
    };
    for (devices, points, values) in [
        (1, words(2, 10_000), 5_000),
        (20, words(12, 5_000), 200_000),
        (600, words(4, 10_000), 300_000),
        (40, (0..24).map(mixed).collect(), 200_000),
    ] {
        let spec = fleet(devices, points);
        let upstream = upstream(&spec);
        let OutageStore::Store { value_bytes, .. } = upstream.outage().unwrap().store() else {
            panic!("there is a store");
        };
        let taken = stored(&spec, values);
        let off = (value_bytes - taken).abs() / taken;
        assert!(
            off < 0.2,
            "{devices} devices: {value_bytes:.1} for {taken:.1}"
        );
    }
}
