//! Modbus units, electricity meters of both years and a device without a standard on
//! one pair of wires, polled by the real port task as a configuration says, on virtual
//! time: whatever fault there is, no value is wrong, and a dead meter costs the others
//! nothing.

mod published;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use crate::port_task::{self, PortTask};
use alink_gateway::base::{
    FieldEvent, LivenessEvidence, LivenessProof, Now, Reading, Rng, UnitId, Value, Wall,
};
use alink_gateway::field::dlt645::{DataItem, ValuePosition};
use alink_gateway::io::bus::line::Opener;
use alink_gateway::io::files::settings;
use alink_gateway::io::files::settings::LoadContext;
use alink_gateway::io::system::clock::Clock;
use alink_gateway::lab::bus::protocol::{BusProtocol, Meter, Plain, Year};
use alink_gateway::lab::bus::{Chance, Fault, Line, Pace, Unit, UnitBehaviour, UnitKind};
use alink_gateway::lab::wire::LineRig;
use alink_gateway::spec::{Codec, DatumAddress, LineSpec, PointAddress, Spec};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const HEAD: &str = r#"
gateway: { product_key: a1GwDemoPk0, device_name: gw-0001, secret: hunter2 }
cloud: { url: "mqtts://iot-060a0bcd.mqtt.iothub.aliyuncs.com" }
"#;

const MIXED: &str = r##"
ports:
  - name: line1
    serial: { device: /dev/ttyUSB0, baud: 2400, parity: even }
profiles:
  - name: module
    product_key: a1SubDemoPk
    interval: 5s
    points:
      - { id: VoltageA, table: input, address: 0, type: u16 }
      - { id: Frequency, table: input, address: 8, type: u16 }
  - name: meter
    product_key: a1SubDemoPk
    protocol: dlt645-2007
    interval: 5s
    points:
      - { id: Energy, data: energy-active-forward }
      - { id: VoltageA, data: voltage-all, value: 1 }
      - { id: VoltageB, data: voltage-all, value: 2 }
      - { id: Power, data: power-active }
  - name: old-meter
    product_key: a1SubDemoPk
    protocol: dlt645-1997
    interval: 5s
    points:
      - { id: Energy, data: energy-active-forward }
      - { id: VoltageC, data: voltage-c }
  - name: scale
    product_key: a1SubDemoPk
    protocol: raw
    interval: 2s
    requests:
      - name: weight
        send: '"#01" {check} 0D'
        check: { sum: sum8, as: hex }
        reply: { until: 0D, begins: '">"', check: { sum: sum8, as: hex } }
    points:
      - { id: Weight, request: weight, type: decimal, at: 1, length: 7 }
devices:
  - { name: mod-1, port: line1, unit: 1, profile: module, secret: s3cret }
  - { name: mod-2, port: line1, unit: 2, profile: module, secret: s3cret }
  - { name: mtr-3, port: line1, address: "000000000003", profile: meter, secret: s3cret }
  - { name: mtr-4, port: line1, address: "000000000004", profile: meter, secret: s3cret }
  - { name: old-5, port: line1, address: "000000000005", profile: old-meter, secret: s3cret }
  - { name: scale-6, port: line1, profile: scale, secret: s3cret }
"##;

/// Milliseconds from when a device samples its values until its reply is complete, in
/// as many frames as it takes.
const JOURNEY: i64 = 1500;

fn spec(text: &str) -> Arc<Spec> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.yaml");
    fs::write(&path, format!("{HEAD}{text}")).unwrap();
    let loaded = settings::load_whatever_the_load(&path, &LoadContext::of_person());
    Arc::new(loaded.unwrap_or_else(|report| panic!("{report}")).spec)
}

fn meter(year: Year, address: u64) -> BusProtocol {
    BusProtocol::Dlt645(Meter::new(
        year,
        address,
        Unit::new(UnitKind::Meter, address),
    ))
}

fn behaviour(protocol: &mut BusProtocol) -> &mut UnitBehaviour {
    match protocol {
        BusProtocol::Ascii(_, unit) | BusProtocol::Dlt645(Meter { unit, .. }) => {
            &mut unit.behaviour
        }
        BusProtocol::Plain(plain) => &mut plain.behaviour,
        BusProtocol::Custom(_) => panic!("a function has no behaviour"),
    }
}

fn line(spec: &Spec, seed: u64) -> Line {
    let LineSpec::Serial(serial) = &spec.ports[0].line else {
        panic!("a serial line");
    };
    Line::new(Pace::from(serial), Rng::new(seed))
}

fn mixed(spec: &Spec, seed: u64) -> Line {
    let mut line = line(spec, seed);
    for unit in [1, 2] {
        line.attach(UnitId(unit), Unit::new(UnitKind::Meter, u64::from(unit)));
    }
    line.join(meter(Year::Y2007, 3));
    line.join(meter(Year::Y2007, 4));
    line.join(meter(Year::Y1997, 5));
    let mut scale = Plain::default();
    scale.set(b"#0184\r", b">+012.508F\r");
    line.join(BusProtocol::Plain(scale));
    line
}

/// Returns the constant value of the device without a standard of this name.
fn weight(name: &str) -> f64 {
    match name {
        "scale-6" => 12.5,
        module => 0.5 + module.trim_start_matches("ad-").parse::<f64>().unwrap(),
    }
}

struct World {
    rig: LineRig,
    spec: Arc<Spec>,
    hub: mpsc::Receiver<FieldEvent>,
    stop: CancellationToken,
    /// Values of each device, by its name.
    values: BTreeMap<String, u32>,
    misses: BTreeMap<String, u32>,
    wrong: Vec<String>,
}

impl World {
    async fn new(spec: Arc<Spec>, line: Line, seed: u64) -> World {
        let clock = Clock::starting_at(Wall::from_millis(1_790_000_000_000));
        let mut rig = LineRig::new(line, clock);
        let (pipes, handed_in) = mpsc::channel(8);
        pipes.send(rig.plug_pipe()).await.unwrap();
        let port = port_task::start(&spec, Opener::Pipes(handed_in), clock, seed);
        World::watching(port, rig, spec)
    }

    fn watching(port: PortTask, rig: LineRig, spec: Arc<Spec>) -> World {
        World {
            rig,
            spec,
            hub: port.events,
            stop: port.stop,
            values: BTreeMap::new(),
            misses: BTreeMap::new(),
            wrong: Vec::new(),
        }
    }

    async fn run(&mut self, span: Duration) {
        let end = tokio::time::Instant::now() + span;
        while let Ok(event) = tokio::time::timeout_at(end, self.hub.recv()).await {
            let FieldEvent::Polled {
                device,
                evidence,
                readings,
                ..
            } = event.expect("the port task ended")
            else {
                continue;
            };
            let name = self.spec.device(device).unwrap().name.clone();
            for reading in &readings {
                if !self.is_true(reading) {
                    self.wrong.push(format!("{name} {reading:?}"));
                }
            }
            *self.values.entry(name.clone()).or_default() += readings.len() as u32;
            if !matches!(evidence, LivenessEvidence::Alive(LivenessProof::Answer)) {
                *self.misses.entry(name).or_default() += 1;
            }
        }
    }

    /// Returns whether the device had this value while it may have been read.
    fn is_true(&self, reading: &Reading) -> bool {
        let device = self.spec.device(reading.device).unwrap();
        let point = &device.profile.points[usize::from(reading.point)];
        let at = reading.at.wall.as_millis();
        match &point.codec {
            Codec::Part(_) => reading.value == Value::Float(weight(&device.name)),
            Codec::Datum { item, .. } => {
                let PointAddress::Dlt645(DatumAddress { position, .. }) = point.address else {
                    panic!("a datum at {:?}", point.address);
                };
                let address: u64 = device.address.meter().unwrap().to_string().parse().unwrap();
                let meter = self.meter(address);
                let mut moments = (at - JOURNEY..=at).step_by(10);
                moments
                    .any(|at| value_of(&meter, item, position, at) == Some(reading.value.clone()))
            }
            _ => self.rig.with(|line, _| {
                let Value::UInt(n) = reading.value else {
                    return false;
                };
                let window = Wall::from_millis(at - JOURNEY)..=reading.at.wall;
                let unit = line.unit(device.address.unit().unwrap()).unwrap();
                let address = point.address.as_modbus().unwrap();
                unit.had(window, address.table, address.start, &[n as u16])
            }),
        }
    }

    fn meter(&self, address: u64) -> Meter {
        self.rig.with(|line, _| {
            let meters = line.protocols_mut().iter().filter_map(|t| match t {
                BusProtocol::Dlt645(meter) => Some(meter.clone()),
                _ => None,
            });
            meters.into_iter().find(|m| m.address == address).unwrap()
        })
    }

    fn values(&self, name: &str) -> u32 {
        self.values.get(name).copied().unwrap_or_default()
    }

    fn misses(&self, name: &str) -> u32 {
        self.misses.get(name).copied().unwrap_or_default()
    }

    fn check(&self) {
        assert!(self.wrong.is_empty(), "{:#?}", self.wrong);
        let counts = self.rig.with(|line, _| line.counts().clone());
        assert_eq!(counts.silence_violations, 0, "{counts:?}");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn value_of(meter: &Meter, item: &DataItem, position: ValuePosition, at: i64) -> Option<Value> {
    let now = Now {
        wall: Wall::from_millis(at),
        ..Now::default()
    };
    let id = u32::from_str_radix(&item.id.to_string(), 16).unwrap();
    item.read(&meter.value(now, id)?, position).ok()
}

#[tokio::test(start_paused = true)]
async fn everybody_on_one_pair_is_heard_and_a_dead_meter_costs_the_others_nothing() {
    let spec = spec(MIXED);
    let mut w = World::new(Arc::clone(&spec), mixed(&spec, 1), 1).await;
    w.run(Duration::from_secs(120)).await;
    w.check();
    // Every 5 s, two values of modules; the rest likewise.
    for (name, values) in [
        ("mod-1", 48),
        ("mod-2", 48),
        ("mtr-3", 96),
        ("mtr-4", 96),
        ("old-5", 48),
        ("scale-6", 60),
    ] {
        let got = w.values(name);
        assert!(got >= values, "{name}: {got} of {values}");
        assert_eq!(w.misses(name), 0, "{name}");
    }
    w.rig
        .with(|line, _| behaviour(&mut line.protocols_mut()[0]).alive = false);
    let before: Vec<u32> = ["mod-1", "mtr-4", "old-5", "scale-6"]
        .map(|n| w.values(n))
        .into();
    w.run(Duration::from_secs(120)).await;
    w.check();
    assert!(w.misses("mtr-3") >= 3);
    let others = [("mod-1", 48), ("mtr-4", 96), ("old-5", 48), ("scale-6", 60)];
    for ((name, values), before) in others.into_iter().zip(before) {
        let got = w.values(name) - before;
        assert!(f64::from(got) >= 0.95 * f64::from(values), "{name}: {got}");
        assert_eq!(w.misses(name), 0, "{name}");
    }
    // Back to life, and back among the others.
    w.rig
        .with(|line, _| behaviour(&mut line.protocols_mut()[0]).alive = true);
    let before = w.values("mtr-3");
    w.run(Duration::from_secs(30)).await;
    assert!(w.values("mtr-3") - before >= 12);
    w.check();
}

#[tokio::test(start_paused = true)]
async fn whatever_goes_wrong_on_a_mixed_line_no_value_is() {
    let faults = [
        Fault::Mute,
        Fault::Late(Duration::from_millis(700)),
        Fault::Cut,
        Fault::Flip,
        Fault::Twice,
        Fault::Foreign,
        Fault::WrongFunction,
        Fault::Short,
        Fault::Echo,
        Fault::Noise(3),
        Fault::Hiccup(Duration::from_millis(20)),
    ];
    let hostile: Vec<Chance> = faults
        .map(|fault| Chance {
            fault,
            permille: 30,
        })
        .to_vec();
    let mut values = 0;
    for seed in 0..8 {
        let spec = spec(MIXED);
        let mut line = mixed(&spec, seed);
        for protocol in line.protocols_mut() {
            if let BusProtocol::Dlt645(meter) = protocol {
                // The longer data in several frames.
                meter.frame = if seed % 2 == 0 { 200 } else { 4 };
            }
            behaviour(protocol).faults.clone_from(&hostile);
        }
        for unit in [1, 2] {
            let unit = line.unit_mut(UnitId(unit)).unwrap();
            unit.behaviour.faults.clone_from(&hostile);
        }
        let mut w = World::new(spec, line, seed).await;
        w.run(Duration::from_secs(300)).await;
        assert!(w.wrong.is_empty(), "seed {seed}: {:#?}", w.wrong);
        for device in w.spec.devices.clone() {
            // The scale has one question and no address: after a miss nothing on the
            // wire tells its late answer from the next, so a reply is believed only
            // when the time of the late answer is over and the scale has answered well
            // again.
            let least = if device.name == "scale-6" { 3 } else { 10 };
            let n = w.values(&device.name);
            assert!(n > least, "seed {seed}: {n} of {}", device.name);
        }
        values += w.values.values().sum::<u32>();
    }
    assert!(values > 8 * 400, "{values}");
}

/// ICP DAS modules as their manuals print them: a reply does not say from which module
/// it comes.
const NAMELESS: &str = r##"
ports:
  - name: line1
    serial: { device: /dev/ttyUSB0, baud: 9600 }
profiles:
  - name: module
    product_key: a1SubDemoPk
    interval: 1s
    points:
      - { id: VoltageA, table: input, address: 0, type: u16 }
  - name: ad
    product_key: a1SubDemoPk
    protocol: raw
    interval: 1s
    requests:
      - { name: all, send: '"#" {unit:02X} 0D', reply: { until: 0D, begins: '">"' } }
    points:
      - { id: Weight, request: all, type: decimal, at: 1, length: 7 }
devices:
  - { name: mod-9, port: line1, unit: 9, profile: module, secret: s3cret }
  - { name: "ad-{unit}", port: line1, units: 1-3, profile: ad, secret: s3cret }
"##;

fn unaddressed(spec: &Spec, seed: u64, faults: &[Chance]) -> Line {
    let mut line = line(spec, seed);
    line.attach(UnitId(9), Unit::new(UnitKind::Meter, 9));
    for unit in 1..=3 {
        let mut module = Plain::default();
        let (ask, answer) = (format!("#{unit:02X}\r"), format!(">+00{unit}.50\r"));
        module.set(ask.as_bytes(), answer.as_bytes());
        module.behaviour.faults = faults.to_vec();
        line.join(BusProtocol::Plain(module));
    }
    line
}

#[tokio::test(start_paused = true)]
async fn replies_that_do_not_say_whose_they_are_are_nobody_elses() {
    for (late, permille) in [(300, 20), (700, 20), (2000, 20), (700, 200)] {
        let chance = |fault| Chance { fault, permille };
        let faults = [
            chance(Fault::Mute),
            chance(Fault::Late(Duration::from_millis(late))),
            chance(Fault::Twice),
            chance(Fault::Hiccup(Duration::from_millis(20))),
        ];
        for seed in 0..4 {
            let spec = spec(NAMELESS);
            let line = unaddressed(&spec, seed, &faults);
            let mut w = World::new(spec, line, seed).await;
            w.run(Duration::from_secs(600)).await;
            assert!(w.wrong.is_empty(), "{late}, {seed}: {:#?}", w.wrong);
            assert!(w.values("mod-9") > 550, "{}", w.values("mod-9"));
            // Each miss costs all three four response timeouts.
            let least = if permille < 100 { 100 } else { 0 };
            for name in ["ad-1", "ad-2", "ad-3"] {
                let n = w.values(name);
                assert!(n > least, "{late}, {seed}: {:?}", w.values);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_dead_leaves_those_that_sound_like_it_most_of_their_time() {
    let spec = spec(NAMELESS);
    let line = unaddressed(&spec, 1, &[]);
    let mut w = World::new(spec, line, 1).await;
    w.run(Duration::from_secs(60)).await;
    w.check();
    for name in ["ad-1", "ad-2", "ad-3"] {
        assert!(w.values(name) >= 59, "{:?}", w.values);
        assert_eq!(w.misses(name), 0, "{name}");
    }
    w.rig
        .with(|line, _| behaviour(&mut line.protocols_mut()[0]).alive = false);
    // Its silence is confirmed; then the others have three of four seconds.
    w.run(Duration::from_secs(30)).await;
    assert!(w.misses("ad-1") >= 3);
    let before = [w.values("ad-2"), w.values("ad-3")];
    w.run(Duration::from_secs(400)).await;
    let after = [w.values("ad-2"), w.values("ad-3")];
    for (before, after) in before.into_iter().zip(after) {
        assert!(after - before > 270, "{before} {after}");
    }
    // Two of them no less: they take turns.
    w.rig
        .with(|line, _| behaviour(&mut line.protocols_mut()[1]).alive = false);
    w.run(Duration::from_secs(60)).await;
    let before = w.values("ad-3");
    w.run(Duration::from_secs(400)).await;
    assert!(w.values("ad-3") - before > 270, "{before} {:?}", w.values);
    w.rig
        .with(|line, _| behaviour(&mut line.protocols_mut()[0]).alive = true);
    let before = w.values("ad-1");
    w.run(Duration::from_secs(150)).await;
    assert!(w.values("ad-1") > before + 10, "{before} {:?}", w.values);
    w.check();
}

#[tokio::test(start_paused = true)]
async fn one_without_an_address_that_becomes_slow_is_found_again() {
    let spec = spec(
        r##"
ports:
  - name: line1
    serial: { device: /dev/ttyUSB0, baud: 9600 }
    response_timeout: 1s
profiles:
  - name: scale
    product_key: a1SubDemoPk
    protocol: raw
    interval: 1s
    requests:
      - { name: weight, send: '"W" 0D', reply: { until: 0D, begins: '">"' } }
    points:
      - { id: Weight, request: weight, type: decimal, at: 1, length: 7 }
devices:
  - { name: scale-6, port: line1, profile: scale, secret: s3cret }
"##,
    );
    let mut line = line(&spec, 1);
    let mut scale = Plain::default();
    scale.set(b"W\r", b">+012.50\r");
    scale.behaviour.turnaround = Duration::from_millis(20);
    line.join(BusProtocol::Plain(scale));
    let mut w = World::new(spec, line, 1).await;
    w.run(Duration::from_secs(60)).await;
    assert!(w.values("scale-6") >= 59, "{:?}", w.values);
    w.rig.with(|line, _| {
        behaviour(&mut line.protocols_mut()[0]).turnaround = Duration::from_millis(900);
    });
    // Eight tries, and a rest of four response timeouts.
    w.run(Duration::from_secs(90)).await;
    let before = w.values("scale-6");
    w.run(Duration::from_secs(60)).await;
    assert!(
        w.values("scale-6") - before >= 30,
        "{before} {:?}",
        w.values
    );
    w.check();
}

#[tokio::test(start_paused = true)]
async fn a_line_of_ascii_units_is_read_like_one_of_rtu() {
    let spec = spec(
        r#"
ports:
  - name: line1
    serial: { device: /dev/ttyUSB0, baud: 9600, framing: ascii }
profiles:
  - name: module
    product_key: a1SubDemoPk
    interval: 2s
    points:
      - { id: VoltageA, table: input, address: 0, type: u16 }
      - { id: Frequency, table: input, address: 8, type: u16 }
devices:
  - { name: mod-1, port: line1, unit: 1, profile: module, secret: s3cret }
  - { name: mod-2, port: line1, unit: 2, profile: module, secret: s3cret }
"#,
    );
    let mut line = line(&spec, 1);
    for unit in [1u8, 2] {
        line.join(BusProtocol::Ascii(
            unit,
            Unit::new(UnitKind::Meter, u64::from(unit)),
        ));
        // The unit only knows the true values; the line receives no frame that it
        // understands.
        line.attach(UnitId(unit), Unit::new(UnitKind::Meter, u64::from(unit)));
    }
    let mut w = World::new(spec, line, 1).await;
    w.run(Duration::from_secs(60)).await;
    w.check();
    for name in ["mod-1", "mod-2"] {
        assert!(w.values(name) >= 60, "{name}: {}", w.values(name));
        assert_eq!(w.misses(name), 0, "{name}");
    }
}

/// Checks the settings of each device: a pseudo terminal shows its other end what was
/// set.
#[tokio::test]
async fn each_device_is_asked_with_its_own_settings_and_the_line_has_them_in_time() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_serial::{SerialPort, SerialStream};

    let (mut master, slave) = SerialStream::pair().unwrap();
    let path = slave.name().unwrap();
    let spec = spec(&format!(
        r#"
ports:
  - name: line1
    serial: {{ device: {path}, baud: 9600 }}
profiles:
  - name: module
    product_key: a1SubDemoPk
    interval: 200ms
    points:
      - {{ id: VoltageA, table: input, address: 0, type: u16 }}
  - name: meter
    product_key: a1SubDemoPk
    protocol: dlt645-2007
    interval: 200ms
    points:
      - {{ id: Energy, data: energy-active-forward }}
devices:
  - {{ name: mod-1, port: line1, unit: 1, profile: module, secret: s3cret }}
  - {{ name: mtr-2, port: line1, address: "000000000002", profile: meter, secret: s3cret, serial: {{ baud: 2400 }} }}
"#
    ));
    let clock = Clock::starting_at(Wall::from_millis(1_790_000_000_000));
    let mut port = port_task::start(&spec, Opener::System, clock, 1);
    // No unit here answers the module, but with the right settings it would.
    let mut seen: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    let mut buffer = [0; 256];
    let mut answered = 0;
    while answered < 3 || seen.get("module").is_none_or(|s| s.len() < 2) {
        let read = tokio::time::timeout(Duration::from_secs(20), master.read(&mut buffer));
        let n = read.await.expect("a request in time").unwrap();
        let rate = master.baud_rate().unwrap();
        if buffer[0] != 0xFE {
            seen.entry("module").or_default().push(rate);
            continue;
        }
        seen.entry("meter").or_default().push(rate);
        let now = Now::default();
        let mut meter = meter(Year::Y2007, 2);
        for reply in meter.replies_to(now, &buffer[..n], &mut Rng::new(1)) {
            master.write_all(&reply.bytes).await.unwrap();
            answered += 1;
        }
    }
    drop(slave);
    assert!(seen["module"].iter().all(|rate| *rate == 9600), "{seen:?}");
    assert!(seen["meter"].iter().all(|rate| *rate == 2400), "{seen:?}");
    let mut answers = 0;
    while let Ok(event) = port.events.try_recv() {
        if let FieldEvent::Polled { readings, .. } = event {
            answers += readings.len();
        }
    }
    assert!(answers >= 2, "{answers}");
    port.stop.cancel();
}

/// Checks a serial server, which passes bytes on as they are.
#[tokio::test]
async fn modules_and_meters_behind_a_serial_server_are_read() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap().port();
    let text = MIXED.replace(
        "serial: { device: /dev/ttyUSB0, baud: 2400, parity: even }",
        &format!("tcp: {{ host: 127.0.0.1, port: {server}, framing: rtu }}"),
    );
    let spec_of_line = spec(MIXED);
    let LineSpec::Serial(mut serial) = spec_of_line.ports[0].line.clone() else {
        panic!("a serial line");
    };
    // So that the test is short.
    serial.baud = 115_200;
    let mut line = mixed(&spec_of_line, 1);
    line.set_pace(Pace::from(&serial));
    let spec = spec(&text);
    let clock = Clock::starting_at(Wall::from_millis(1_790_000_000_000));
    let mut rig = LineRig::new(line, clock);
    let mut pipe = rig.plug_pipe();
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut socket, &mut pipe).await;
    });
    let port = port_task::start(&spec, Opener::System, clock, 1);
    let mut w = World::watching(port, rig, spec);
    w.run(Duration::from_secs(6)).await;
    assert!(w.wrong.is_empty(), "{:#?}", w.wrong);
    for device in &w.spec.devices {
        assert!(
            w.values(&device.name) >= 2,
            "{}: {:?}",
            device.name,
            w.values
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_datum_the_meter_does_not_have_is_asked_rarely_and_the_rest_is_read() {
    let spec = spec(
        r#"
ports:
  - name: line1
    serial: { device: /dev/ttyUSB0, baud: 2400, parity: even }
profiles:
  - name: meter
    product_key: a1SubDemoPk
    protocol: dlt645-2007
    interval: 2s
    points:
      - { id: Energy, data: energy-active-forward }
      - { id: Angle, data: phase-angle-a }
devices:
  - { name: mtr-1, port: line1, address: "000000000001", profile: meter, secret: s3cret }
"#,
    );
    let mut line = line(&spec, 1);
    line.join(meter(Year::Y2007, 1));
    let mut w = World::new(spec, line, 1).await;
    w.run(Duration::from_secs(90)).await;
    w.check();
    assert!(w.values("mtr-1") >= 44, "{}", w.values("mtr-1"));
    // At the start, within eight seconds at first, and then ever more rarely.
    let refused = w.misses("mtr-1");
    assert!((2..=14).contains(&refused), "{refused}");
}
