//! A cloud engine and a platform with a lossy network between them, on virtual
//! time. The bus is reduced to verdicts: a device answers, or it is silent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::base::{DeviceId, Mono, Now, Reading, Rng, Secret, Value, Wall};
use crate::cloud::{Cloud, Output, Presence, credentials};
use crate::lab::platform::{
    self, Code, Conn, Connect, Device, Event, FailedBatchNames, Fault, Platform, PlatformSpec,
    Switches,
};
use crate::spec::test_spec::{self, device, number, point, port, profile, tcp};
use crate::spec::{
    CloudSpec, DeviceSpec, GatewayCertificate, LineSpec, Number, PointSpec, SessionLimits, Spec,
    Table,
};

/// 2026-01-01T00:00:00Z.
const START: i64 = 1_767_225_600_000;
const CONN: Conn = Conn(1);

/// The conditions of a measurement.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conditions {
    /// Lost each way, in thousandths.
    pub loss: u32,
    /// From a request to its reply.
    pub answer: Duration,
    /// The pacer's setting.
    pub logins_per_second: u32,
    /// Which devices the reply to a failed batch names.
    pub names: FailedBatchNames,
    /// How many values a device has.
    pub points: u16,
}

impl Default for Conditions {
    fn default() -> Self {
        Conditions {
            loss: 0,
            answer: Duration::from_millis(20),
            logins_per_second: SessionLimits::default().logins_per_second,
            names: FailedBatchNames::Culprits,
            points: 1,
        }
    }
}

/// Both ends: the cloud engine and the platform.
pub(super) struct ConvergeSite {
    spec: Arc<Spec>,
    cloud: Cloud,
    platform: Platform,
    now: Mono,
    /// The devices that answer on their bus.
    answering: BTreeSet<DeviceId>,
    readings: Option<Readings>,
    /// Values read so far.
    read: u64,
}

/// The readings of an ordinary second: every value of every device that answers,
/// the devices evenly spread.
#[derive(Clone, Copy, Debug)]
struct Readings {
    next: Mono,
    slot: usize,
}

/// Into how many parts a second of readings is divided.
const SLOTS: usize = 20;
/// How long each of them is.
const SLOT: Duration = Duration::from_millis(50);

/// What becomes true at the platform.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Came,
    Left,
}

impl ConvergeSite {
    pub(super) fn new(devices: u32, conditions: Conditions, mut rng: Rng) -> ConvergeSite {
        let per_second = conditions.logins_per_second;
        let spec = Arc::new(spec(devices, conditions.points, per_second));
        let mut known = PlatformSpec::knowing(&spec);
        // The gateway is measured, not a quota.
        known.limits.logins_per_second = 100_000;
        known.switches.failed_batch_names = conditions.names;
        let mono = Mono::from_micros(1_000_000);
        let mut platform = Platform::new(known, rng.fork(), at(mono));
        for fault in [
            Fault::LoseRequests {
                permille: conditions.loss,
            },
            Fault::LoseReplies {
                permille: conditions.loss,
            },
            Fault::Delay {
                least: conditions.answer,
                most: conditions.answer,
            },
        ] {
            platform.fault(at(mono), fault);
        }
        ConvergeSite {
            cloud: Cloud::new(spec.clone(), rng.fork(), at(mono)),
            spec,
            platform,
            now: mono,
            answering: BTreeSet::new(),
            readings: None,
            read: 0,
        }
    }

    /// Starts or stops reading each value of each device that answers once a second.
    pub(super) fn read(&mut self, on: bool) {
        let next = self.now;
        self.readings = on.then_some(Readings { next, slot: 0 });
    }

    /// Switches a fault of the platform on or off.
    pub(super) fn fault(&mut self, fault: Fault) {
        self.platform.fault(at(self.now), fault);
        self.exchange();
    }

    /// Changes what the platform does where its documents are silent.
    pub(super) fn switch(&mut self, change: impl FnOnce(&mut Switches)) {
        self.platform.switch(change);
    }

    /// Returns the platform.
    pub(super) fn platform(&self) -> &Platform {
        &self.platform
    }

    /// Returns the cloud engine.
    pub(super) fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    /// Returns the time on the virtual clock.
    pub(super) const fn now(&self) -> Mono {
        self.now
    }

    /// Returns how many values were read so far.
    pub(super) const fn values_read(&self) -> u64 {
        self.read
    }

    /// Returns the devices that are online at the platform.
    pub(super) fn online(&self) -> Vec<DeviceId> {
        let ids = self.ids();
        let online = ids.filter(|id| {
            let device = self.device(*id);
            self.platform
                .is_online(&device.product_key, &device.device_name)
        });
        online.collect()
    }

    /// Brings the connection up; CONNACK is now.
    pub(super) fn connect(&mut self) {
        let asked = connect(&self.spec.cloud);
        self.platform.on_connect(at(self.now), CONN, &asked);
        let _ = self.platform.drain(at(self.now));
        self.cloud.on_link_up(at(self.now));
        self.exchange();
    }

    /// Makes every device answer on its bus.
    pub(super) fn make_all_answer(&mut self) {
        for id in self.ids() {
            self.answers(id);
        }
        self.exchange();
    }

    /// Makes the platform refuse these devices as disabled.
    pub(super) fn refuse(&mut self, devices: &[u32]) {
        for n in devices {
            let fault = Fault::Refuse {
                device: self.device(DeviceId(*n)),
                code: Some(Code(522)),
            };
            self.platform.fault(at(self.now), fault);
        }
    }

    /// Makes each device begin to answer at a moment of its own within the span;
    /// returns how long each then took to be online at the platform.
    pub(super) fn all_begin_to_answer(
        &mut self,
        within: Duration,
        time_limit: Duration,
        rng: &mut Rng,
    ) -> Vec<Duration> {
        self.all(Change::Came, within, time_limit, rng)
    }

    /// Does the same for falling silent and being logged out.
    pub(super) fn all_fall_silent(
        &mut self,
        within: Duration,
        time_limit: Duration,
        rng: &mut Rng,
    ) -> Vec<Duration> {
        self.all(Change::Left, within, time_limit, rng)
    }

    /// Lets time pass.
    pub(super) fn live(&mut self, span: Duration) {
        let end = self.now + span;
        self.live_until(end, |_| false);
    }

    /// Lets time pass until so many devices are online at the platform; returns how
    /// long it took.
    pub(super) fn until_online(&mut self, count: usize, time_limit: Duration) -> Duration {
        self.until(time_limit, |s| s.platform.online() == count)
    }

    /// Lets time pass until `done`; returns how long it took.
    pub(super) fn until(
        &mut self,
        time_limit: Duration,
        done: impl Fn(&ConvergeSite) -> bool,
    ) -> Duration {
        let from = self.now;
        self.live_until(from + time_limit, done);
        self.now.since(from)
    }

    /// Returns how many log-in messages were sent so far.
    pub(super) fn login_messages(&self) -> u64 {
        self.cloud.counters().login_messages
    }

    fn all(
        &mut self,
        change: Change,
        within: Duration,
        time_limit: Duration,
        rng: &mut Rng,
    ) -> Vec<Duration> {
        let start = self.now;
        let micros = u64::try_from(within.as_micros()).unwrap_or(u64::MAX);
        let mut begins: Vec<(Mono, DeviceId)> = self
            .ids()
            .map(|id| (start + Duration::from_micros(rng.below(micros)), id))
            .collect();
        begins.sort_unstable();
        for &(begin, id) in &begins {
            self.live_until(begin, |_| false);
            match change {
                Change::Came => self.answers(id),
                Change::Left => self.falls_silent(id),
            }
            self.exchange();
        }
        let goal = match change {
            Change::Came => begins.len(),
            Change::Left => 0,
        };
        self.live_until(start + within + time_limit, |s| s.platform.online() == goal);
        let mut since = BTreeMap::new();
        for (when, event) in self.platform.ledger().events() {
            let (device, is) = match event {
                Event::LoggedIn(device) => (device, Change::Came),
                Event::LoggedOut(device) => (device, Change::Left),
                _ => continue,
            };
            if is == change && *when >= start {
                since.entry(device.clone()).or_insert(*when);
            }
        }
        let took = |(begin, id): &(Mono, DeviceId)| {
            let done = since.get(&self.device(*id)).copied();
            done.unwrap_or(start + within + time_limit).since(*begin)
        };
        begins.iter().map(took).collect()
    }

    fn answers(&mut self, id: DeviceId) {
        let now = at(self.now);
        self.cloud.want(now, id, Presence::Online);
        self.answering.insert(id);
        self.report_value(id, 0);
    }

    /// Makes the device fall silent on its bus.
    pub(super) fn falls_silent(&mut self, id: DeviceId) {
        // Its last readings are not yet on their way: the slower case.
        self.report_value(id, 0);
        self.answering.remove(&id);
        self.cloud.want(at(self.now), id, Presence::Offline);
        self.exchange();
    }

    fn report_value(&mut self, device: DeviceId, point: u16) {
        let now = at(self.now);
        let reading = Reading {
            device,
            point,
            value: Value::UInt(self.read),
            at: now,
        };
        self.read += 1;
        self.cloud.put(now, reading);
    }

    /// Reads the values that are due now.
    fn read_slot(&mut self) {
        let Some(readings) = self.readings.filter(|r| r.next <= self.now) else {
            return;
        };
        let points = self
            .spec
            .devices
            .first()
            .map_or(0, |d| d.profile.points.len());
        let points = u16::try_from(points).unwrap_or(u16::MAX);
        let turn = |id: &DeviceId| id.index() % SLOTS == readings.slot;
        for id in self
            .answering
            .iter()
            .copied()
            .filter(turn)
            .collect::<Vec<_>>()
        {
            for point in 0..points {
                self.report_value(id, point);
            }
        }
        self.readings = Some(Readings {
            next: readings.next + SLOT,
            slot: (readings.slot + 1) % SLOTS,
        });
    }

    fn live_until(&mut self, end: Mono, done: impl Fn(&ConvergeSite) -> bool) {
        while !done(self) {
            let wakes = [self.cloud.wake_at(), self.platform.wake_at()];
            let wakes = wakes.into_iter().flatten().map(|w| w.at);
            let next = wakes.chain(self.readings.map(|r| r.next)).min();
            self.now = next.unwrap_or(end).min(end).max(self.now);
            self.read_slot();
            self.exchange();
            if self.now >= end {
                return;
            }
        }
    }

    /// Carries messages both ways until both ends rest.
    fn exchange(&mut self) {
        let now = at(self.now);
        loop {
            let mut rested = true;
            while let Some(output) = self.cloud.poll(now) {
                rested = false;
                if let Output::Publish { topic, payload } = output {
                    self.platform
                        .on_publish(now, CONN, &topic, &payload, 0, None);
                }
            }
            for output in self.platform.drain(now) {
                if let platform::Output::Publish { topic, payload, .. } = output {
                    rested = false;
                    self.cloud.on_message(now, &topic, &payload);
                }
            }
            if rested {
                return;
            }
        }
    }

    fn ids(&self) -> impl Iterator<Item = DeviceId> + use<> {
        let count = u32::try_from(self.spec.devices.len()).unwrap_or(u32::MAX);
        (0..count).map(DeviceId)
    }

    /// Returns the device as the platform names it.
    pub(super) fn device(&self, id: DeviceId) -> Device {
        let d = &self.spec.devices[id.index()];
        Device {
            product_key: d.product_key.clone(),
            device_name: d.device_name.clone(),
        }
    }
}

/// Returns both clocks at that moment.
pub(super) fn at(mono: Mono) -> Now {
    let millis = mono.since(Mono::START).as_millis();
    Now {
        mono,
        wall: Wall::from_millis(START.saturating_add(i64::try_from(millis).unwrap_or(i64::MAX))),
    }
}

/// The gateway's secret.
const SECRET: &str = "the-gateway";

/// Returns the CONNECT that the link of the gateway would send.
pub(super) fn connect(spec: &CloudSpec) -> Connect {
    let who = credentials(spec, &Secret::new(SECRET));
    Connect {
        client_id: who.client_id,
        username: who.username,
        password: who.password.expose().to_owned(),
        keepalive_secs: u16::try_from(spec.broker.keepalive.as_secs()).unwrap_or(u16::MAX),
        clean_session: true,
        will: false,
        tls: false,
    }
}

/// Builds an installation of so many devices with so many points each.
pub(super) fn spec(devices: u32, points: u16, logins_per_second: u32) -> Spec {
    let point = |n: u16| PointSpec {
        id: format!("Value{n}"),
        ..point(
            Table::HoldingRegister,
            n,
            number(Number::U16),
            Duration::from_secs(1),
        )
    };
    let profile = profile("meter", (0..points).map(point).collect());
    let device = |n: u32| DeviceSpec {
        secret: Secret::new(format!("secret-of-{n}")),
        ..device(&format!("meter-{n:04}"), 1, "a1SubDemoPk", &profile)
    };
    let certificate = GatewayCertificate::Device(Secret::new(SECRET));
    let mut cloud = test_spec::cloud("platform", "a1GwDemoPk0", "gw-0001", certificate);
    cloud.session.logins_per_second = logins_per_second;
    let line = LineSpec::Tcp(tcp("rack", 502));
    test_spec::spec(
        cloud,
        vec![port("rack", line, Duration::from_secs(1))],
        (0..devices).map(device).collect(),
    )
}
