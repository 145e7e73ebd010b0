//! The whole gateway with a store on a disk in memory, fed with what a port would tell it, against
//! the lab's platform, on virtual time.

use std::sync::Arc;
use std::time::Duration;

use alink_gateway::base::{
    DeviceId, FieldEvent, LinkCommand, LinkDown, LinkEvent, LivenessEvidence, LivenessProof,
    LogEvent, Mono, Now, PortId, Reading, Rng, Value, Wall,
};
use alink_gateway::hub::{Coordinator, Input, Output};
use alink_gateway::lab::platform::{Conn, Device, Fault, Platform, PlatformSpec};
use alink_gateway::spec::*;
use alink_gateway::spool::{BootId, Spool, SpoolLimits};
use serde_json::{Value as Json, json};

use crate::gateway::{gateway, name};
use crate::outage::MemoryDisk;
use crate::platform_link::deliver;
use crate::virtual_time::next_wake;

const HISTORY: &str = "/thing/event/property/history/post";
pub(super) const SECOND: Duration = Duration::from_secs(1);

/// An event as a test names it: its device, its number and when it was raised.
pub(super) type Told = (u32, u64, Wall);

/// The gateway, its store, and the platform.
pub(super) struct World {
    pub(super) spec: Arc<Spec>,
    pub(super) hub: Coordinator,
    pub(super) platform: Platform,
    /// The store, if there is one.
    spool: Option<Spool<MemoryDisk>>,
    pub(super) now: Now,
    conn: Option<Conn>,
    conns: u64,
    /// The events that were raised, in order.
    pub(super) raised: Vec<Told>,
    /// The log events, as kinds and sentences.
    pub(super) journal: Vec<(&'static str, String)>,
    stopped: bool,
    /// Whether the clock is right when a process begins.
    is_synchronised: bool,
    /// The code with which histories are refused, if they are.
    pub(super) refuses_history: Option<u16>,
}

/// A rule that is raised by each value of `P0` but 0, with that value as `n`.
fn rule() -> ThingEventSpec {
    let is_not = vec![Decimal::ZERO];
    ThingEventSpec {
        id: "alarm".into(),
        when: EventRule {
            point: 0,
            trigger: EventTrigger::Changes(Some(Condition {
                is_not,
                ..Condition::default()
            })),
        },
        data: vec![("n".into(), EventOutput::Point(0))],
    }
}

impl World {
    /// Builds so many devices with two points and one rule; `edit` changes the installation.
    pub(super) fn new(devices: u32, has_store: bool, edit: impl FnOnce(&mut Spec)) -> World {
        World::with_clock(devices, has_store, true, edit)
    }

    /// The same, with a clock that is right or not.
    pub(super) fn with_clock(
        devices: u32,
        has_store: bool,
        is_synchronised: bool,
        edit: impl FnOnce(&mut Spec),
    ) -> World {
        let mut spec = gateway(devices, 2);
        for device in &mut spec.devices {
            Arc::make_mut(&mut device.profile).events = vec![rule()];
        }
        spec.cloud.store.enabled = has_store;
        edit(&mut spec);
        let now = Now {
            mono: Mono::from_micros(1_000_000),
            wall: Wall::from_millis(1_780_000_000_000),
        };
        let mut theirs = PlatformSpec::knowing(&spec);
        theirs.limits.logins_per_second = 2000;
        let limits = SpoolLimits::of(&spec.cloud.store);
        let disk = MemoryDisk::default();
        let spool = has_store.then(|| Spool::open(disk, limits, BootId([1; 16])).unwrap());
        let spec = Arc::new(spec);
        let mut world = World {
            hub: Coordinator::new(Arc::clone(&spec), Rng::new(1), now),
            platform: Platform::new(theirs, Rng::new(2), now),
            spec,
            spool,
            now,
            conn: None,
            conns: 0,
            raised: Vec::new(),
            journal: Vec::new(),
            stopped: false,
            is_synchronised,
            refuses_history: None,
        };
        world.begin();
        world
    }

    /// Lets a process begin: the clock is right and the store is opened.
    fn begin(&mut self) {
        self.stopped = false;
        let synchronised = self.is_synchronised;
        self.handle(Input::Clock { synchronised });
        if let Some(spool) = &self.spool {
            let has_values = spool.status().values > 0;
            self.handle(Input::StoreOpen { has_values });
        }
        self.handle(Input::Field(FieldEvent::PortUp { port: PortId(0) }));
    }

    /// Stops the process in order, and begins another one.
    pub(super) fn restart(&mut self) {
        self.handle(Input::Stop);
        for _ in 0..20 {
            self.run(SECOND);
        }
        assert!(self.stopped);
        self.conn = None;
        self.hub = Coordinator::new(Arc::clone(&self.spec), Rng::new(3), self.now);
        self.begin();
    }

    pub(super) fn up(&mut self) {
        self.conns += 1;
        self.conn = Some(Conn(self.conns));
        let us = Device::new("gwPk", "gw-1");
        self.platform.on_assumed(self.now, Conn(self.conns), &us);
        self.handle(Input::Link(LinkEvent::Up));
    }

    pub(super) fn down(&mut self) {
        if let Some(conn) = self.conn.take() {
            self.platform.on_closed(self.now, conn);
            self.handle(Input::Link(LinkEvent::Down(LinkDown::PingTimeout)));
        }
    }

    pub(super) fn handle(&mut self, input: Input) {
        self.hub.handle(self.now, input);
        self.exchange();
    }

    /// Carries messages both ways until both ends rest.
    fn exchange(&mut self) {
        loop {
            if let Some(out) = self.hub.poll(self.now) {
                self.carry(out);
            } else if let Some(out) = self.platform.poll(self.now) {
                deliver(&mut self.hub, self.now, self.conn, out);
            } else {
                return;
            }
        }
    }

    fn carry(&mut self, out: Output) {
        match out {
            Output::Link(LinkCommand::Publish { topic, payload }) => {
                let conn = self.conn.expect("published without a link");
                if let Some(code) = self.refuses_history.filter(|_| topic.ends_with(HISTORY)) {
                    let message: Json = serde_json::from_slice(&payload).unwrap();
                    let reply = json!({"id": message["id"], "code": code, "data": {}});
                    let (topic, payload) = (format!("{topic}_reply"), reply.to_string().into());
                    let event = LinkEvent::Message { topic, payload };
                    return self.hub.handle(self.now, Input::Link(event));
                }
                self.platform
                    .on_publish(self.now, conn, &topic, &payload, 0, None);
            }
            Output::Link(LinkCommand::Disconnect) => {
                if let Some(conn) = self.conn.take() {
                    self.platform.on_closed(self.now, conn);
                }
            }
            Output::Store(readings) => {
                let stored = self.spool.as_mut().unwrap().store(&readings);
                self.hub.handle(self.now, Input::Stored { at: stored.at });
            }
            Output::ReadStore { from, most } => {
                let chunk = self.spool.as_mut().unwrap().read(from, most).unwrap();
                let (readings, next) = (chunk.readings, chunk.next);
                self.hub
                    .handle(self.now, Input::StoreRead { readings, next });
            }
            Output::Settle(values) => {
                let spool = self.spool.as_mut().unwrap();
                for at in values {
                    spool.settle(at);
                }
                spool.save().unwrap();
            }
            Output::LogEvent(event) => {
                let told = (event.kind().name(), event.sentence());
                self.journal.push(told);
            }
            Output::Stopped => self.stopped = true,
            _ => {}
        }
    }

    /// Lets time pass.
    pub(super) fn run(&mut self, span: Duration) {
        let end = self.now.mono + span;
        while self.now.mono < end && !self.stopped {
            let wakes = [self.hub.wake_at(), self.platform.wake_at()];
            self.now = next_wake(self.now, wakes, end);
            self.handle(Input::Time);
        }
    }

    /// A reply of a device with these two values; a value of `P0` that is another than before
    /// and not 0 raises an event.
    pub(super) fn read(&mut self, device: u32, n: u64, other: u64) {
        let reading = |point, value| Reading {
            device: DeviceId(device),
            point,
            value: Value::UInt(value),
            at: self.now,
        };
        let readings = vec![reading(0, n), reading(1, other)];
        self.handle(Input::Field(FieldEvent::Polled {
            device: DeviceId(device),
            at: self.now,
            evidence: LivenessEvidence::Alive(LivenessProof::Answer),
            readings,
            turnaround: None,
        }));
    }

    /// The same, with an event of this number.
    pub(super) fn raise(&mut self, device: u32, n: u64) {
        self.raised.push((device, n, self.now.wall));
        self.read(device, n, 0);
    }

    /// Reads all devices with values that raise nothing, once a second, so often.
    pub(super) fn quiet(&mut self, seconds: u64) {
        for second in 0..seconds {
            for device in 0..self.spec.devices.len() as u32 {
                self.read(device, 0, second);
            }
            self.run(SECOND);
        }
    }

    /// Switches a fault of the platform on.
    pub(super) fn fault(&mut self, fault: Fault) {
        self.platform.fault(self.now, fault);
    }

    /// Returns the events that the platform has, in the order in which they came, and whether
    /// each came as history.
    pub(super) fn arrived(&self) -> Vec<(Told, bool)> {
        let log = self.platform.accepted().event_log();
        let all = log.map(|event| {
            let name = event.device.device_name.as_str();
            let device: u32 = name.trim_start_matches("meter-").parse().unwrap();
            assert_eq!(event.id, "alarm");
            let n = match &event.data["n"] {
                Json::Number(n) => n.as_u64().unwrap(),
                other => panic!("{other}"),
            };
            ((device, n, event.time.expect("a time")), event.history)
        });
        all.collect()
    }

    /// Checks that each event that was raised has arrived exactly once, those of a device in
    /// order, and that nothing was refused for its form.
    pub(super) fn has_all(&self) {
        let arrived: Vec<Told> = self.arrived().into_iter().map(|(told, _)| told).collect();
        for device in 0..self.spec.devices.len() as u32 {
            let of = |all: &[Told]| -> Vec<Told> {
                all.iter().filter(|(d, ..)| *d == device).copied().collect()
            };
            let (arrived, raised) = (of(&arrived), of(&self.raised));
            let pairs = arrived.iter().zip(&raised);
            let other = pairs.enumerate().find(|(_, (a, r))| a != r);
            assert_eq!(other, None, "of device {device}");
            assert_eq!(arrived.len(), raised.len(), "of device {device}");
        }
        self.no_violations();
    }

    /// Checks that each event that was raised has arrived exactly once.
    pub(super) fn has_each_once(&self) {
        let mut arrived: Vec<Told> = self.arrived().into_iter().map(|(told, _)| told).collect();
        let mut raised = self.raised.clone();
        arrived.sort_unstable();
        raised.sort_unstable();
        assert_eq!(arrived.len(), raised.len());
        assert!(arrived == raised);
        self.no_violations();
    }

    fn no_violations(&self) {
        let violations = self.platform.ledger().violations();
        assert!(violations.is_empty(), "{violations:?}");
    }

    /// Returns how many values and events are left in the store.
    pub(super) fn stored(&self) -> u64 {
        self.spool.as_ref().map_or(0, |spool| spool.status().values)
    }

    /// Returns how many values the platform has in all.
    pub(super) fn values(&self) -> u64 {
        self.platform.accepted().total()
    }

    pub(super) fn sub(device: u32) -> Device {
        Device::new("subPk", &name(device))
    }

    /// Returns the sentences of this kind in the journal.
    pub(super) fn told(&self, kind: &str) -> Vec<&str> {
        let of = self.journal.iter().filter(|(k, _)| *k == kind);
        of.map(|(_, sentence)| sentence.as_str()).collect()
    }
}
