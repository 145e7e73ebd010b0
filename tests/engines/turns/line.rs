//! A serial line on virtual time, driven by the real schedule: every byte, silence and
//! wait takes its time on the wire, units die and come back, and some answer only after
//! the schedule has given the request up.
//!
//! No code here sleeps, so the load of the machine changes no figure.

use std::collections::BTreeMap;
use std::time::Duration;

use alink_gateway::base::{
    DeviceId, FieldEvent, LivenessEvidence, LivenessProof, MissReason, Mono, Now, PortId, Rng,
    UnitId,
};
use alink_gateway::field::line::silence::Silence;
use alink_gateway::field::modbus::{Data, ModbusReplyShape};
use alink_gateway::field::polled_device::liveness_evidence::evidence_of;
use alink_gateway::field::schedule::{NextAction, Schedule};
use alink_gateway::field::transaction::request::{Outcome, Request};
use alink_gateway::fleet::{DeviceLiveness, Fleet};
use alink_gateway::io::files::settings;
use alink_gateway::spec::{BusAddress, Spec};

/// Bytes of a Modbus RTU read request.
const REQUEST: usize = 8;

/// Bytes around a reply's PDU.
const AROUND: usize = 3;

/// How long a unit takes to begin its reply, beyond 3.5 characters.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Delay {
    /// Always this.
    Always(Duration),
    /// Anything between.
    Between(Duration, Duration),
    /// The first, but the second so many times in a thousand.
    Mostly(Duration, Duration, u32),
}

impl Delay {
    fn draw(self, rng: &mut Rng) -> Duration {
        match self {
            Delay::Always(delay) => delay,
            Delay::Between(least, most) => {
                let span = u64::try_from((most - least).as_micros()).unwrap();
                least + Duration::from_micros(rng.below(span + 1))
            }
            Delay::Mostly(usual, rare, permille) => match rng.chance(permille) {
                true => rare,
                false => usual,
            },
        }
    }
}

struct Unit {
    alive: bool,
    delay: Delay,
    /// Until when the unit is busy with the request before.
    busy: Mono,
}

/// A reply to a request that was given up.
struct Late {
    from: Mono,
    until: Mono,
    device: usize,
    shape: ModbusReplyShape,
}

/// The line.
pub(crate) struct Line {
    pub(crate) now: Mono,
    pub(crate) schedule: Schedule,
    pub(crate) fleet: Fleet,
    silence: Silence,
    units: Vec<Unit>,
    rng: Rng,
    last_byte: Mono,
    late: Vec<Late>,
    /// When each request, by device and first address, brought values.
    pub(crate) polls: BTreeMap<(usize, u16), Vec<Mono>>,
    /// When each device last proved that it lives.
    pub(crate) proofs: BTreeMap<usize, Mono>,
    /// How often each device missed.
    pub(crate) misses: BTreeMap<usize, u64>,
    /// How often a device was declared silent.
    pub(crate) silenced: BTreeMap<usize, u64>,
    /// Values that were believed and belonged to another request.
    pub(crate) wrong: u64,
}

/// Builds `devices` units with three reads of ten registers each, at 9600 bit/s: the
/// fleet of the published model of dead units.
pub(crate) fn fleet(devices: usize, interval: Duration) -> Spec {
    let points = (0..3).map(|block| {
        format!(
            "      - {{ id: B{block}, table: holding, address: {}, type: string, registers: 10 }}\n",
            block * 1000
        )
    });
    installation(
        "profiles:\n  - name: meter\n    product_key: a1Sub\n",
        &format!(
            "    interval: {}ms\n    points:\n{}",
            interval.as_millis(),
            points.collect::<String>()
        ),
        &format!(
            "  - {{ name: 'unit{{unit}}', port: line, units: 1-{devices}, profile: meter, secret: s }}\n"
        ),
    )
}

/// Builds an installation on one line at 9600 bit/s.
pub(crate) fn installation(profiles: &str, points: &str, devices: &str) -> Spec {
    let text = format!(
        "gateway: {{ product_key: a1Gw, device_name: gw-1, secret: s }}\n\
         cloud: {{ url: mqtts://example.org }}\n\
         ports:\n  - name: line\n    serial: {{ device: /dev/ttyLAB0, baud: 9600, parity: even }}\n    \
         allow_overload: true\n{profiles}{points}devices:\n{devices}"
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("gateway.yaml");
    std::fs::write(&file, &text).unwrap();
    match settings::load_in(&file, &settings::LoadContext::default()) {
        Ok(loaded) => loaded.spec,
        Err(report) => panic!("{report}\n{text}"),
    }
}

impl Line {
    /// Builds a line with all units alive, each with this delay.
    pub(crate) fn new(spec: &Spec, delay: Delay, seed: u64) -> Line {
        let mut rng = Rng::new(seed);
        let now = Now::default();
        Line {
            now: now.mono,
            schedule: Schedule::new(spec, PortId(0), rng.fork(), now),
            fleet: Fleet::new(spec, now),
            silence: Silence::of(&spec.ports[0].line),
            units: spec
                .devices
                .iter()
                .map(|_| Unit {
                    alive: true,
                    delay,
                    busy: now.mono,
                })
                .collect(),
            rng,
            last_byte: now.mono,
            late: Vec::new(),
            polls: BTreeMap::new(),
            proofs: BTreeMap::new(),
            misses: BTreeMap::new(),
            silenced: BTreeMap::new(),
            wrong: 0,
        }
    }

    /// Makes this unit answer, or not, from now on.
    pub(crate) fn set_alive(&mut self, device: usize, alive: bool) {
        self.units[device].alive = alive;
    }

    /// Sets the delay of this unit from now on.
    pub(crate) fn set_delay(&mut self, device: usize, delay: Delay) {
        self.units[device].delay = delay;
    }

    /// Forgets the counts so far; the schedule keeps its state.
    pub(crate) fn forget(&mut self) {
        self.polls.clear();
        self.proofs.clear();
        self.misses.clear();
        self.silenced.clear();
    }

    /// Lets this much time pass.
    pub(crate) fn live(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            match self.schedule.next(self.now) {
                NextAction::Run(request) => self.transact(&request),
                NextAction::NotBefore(at, why) => {
                    assert!(at > self.now, "{why} at {at}, now {}", self.now);
                    self.listen(at.min(end));
                }
                NextAction::Idle => panic!("idle"),
            }
            while self.schedule.poll_finding().is_some() {}
            self.judge();
        }
    }

    /// Lets time pass without a request until then.
    fn listen(&mut self, until: Mono) {
        self.now = until;
        self.overhear(until);
    }

    /// Receives late replies that are complete by then.
    fn overhear(&mut self, until: Mono) {
        let mut heard = Vec::new();
        self.late.retain(|late| {
            let over = late.until <= until;
            if over {
                heard.push((late.until, late.device));
            }
            !over
        });
        for (at, device) in heard {
            self.last_byte = self.last_byte.max(at);
            let unit = UnitId(u8::try_from(device + 1).unwrap());
            if let Some(id) = self.schedule.overheard(until, BusAddress::Modbus(unit)) {
                self.proofs.insert(id.index(), until);
                self.tell(id, LivenessEvidence::Alive(LivenessProof::Late));
            }
        }
    }

    fn transact(&mut self, request: &Request) {
        let device = request.device.index();
        // A reply that is under way is heard to its end.
        let mut begin = self.quiet(request);
        while let Some(talks) = self.late.iter().find(|l| l.from < begin).map(|l| l.until) {
            self.overhear(begin.max(talks));
            self.last_byte = self.last_byte.max(talks);
            begin = self.quiet(request).max(talks + self.silence.frame_end());
        }
        let sent = begin + self.silence.transmission(REQUEST);
        self.last_byte = sent;
        let deadline = sent + request.timeout;
        let talked_over = self.late.iter().any(|l| l.from < sent);
        let unit = &mut self.units[device];
        let mut reply = None;
        if unit.alive && !talked_over {
            let from = sent.max(unit.busy)
                + self.silence.between_frames()
                + unit.delay.draw(&mut self.rng);
            let until = from
                + self
                    .silence
                    .transmission(request.entries().unwrap().reply_len() + AROUND);
            unit.busy = until;
            reply = Some((from, until));
        }
        let (at, outcome) = self.receive(request, deadline, reply);
        self.now = at;
        if let Outcome::Missed(_) = outcome {
            *self.misses.entry(device).or_default() += 1;
        } else {
            self.proofs.insert(device, at);
            if request.trusted && !request.points.is_empty() {
                self.polls
                    .entry((device, request.entries().unwrap().start))
                    .or_default()
                    .push(at);
            }
        }
        self.schedule.done(at, request, &outcome);
        if let (Outcome::Answered(_), Some((from, _))) = (&outcome, reply) {
            self.schedule.measured(at, request, from.since(sent));
        }
        self.tell(request.device, evidence_of(&outcome));
        self.overhear(at);
    }

    /// Returns the reply, and when it is known.
    fn receive(
        &mut self,
        request: &Request,
        deadline: Mono,
        reply: Option<(Mono, Mono)>,
    ) -> (Mono, Outcome) {
        let device = request.device.index();
        let in_time = reply.filter(|(from, _)| *from <= deadline);
        if let (Some((from, until)), None) = (reply, in_time) {
            self.late.push(Late {
                from,
                until,
                device,
                shape: request.entries().unwrap().shape(),
            });
            return (deadline, Outcome::Missed(MissReason::Silence));
        }
        let Some((from, until)) = in_time else {
            return (deadline, Outcome::Missed(MissReason::Silence));
        };
        let spoilt = self.late.iter().any(|l| l.from < until && l.until > from);
        if spoilt {
            self.late.retain(|l| l.from >= until || l.until <= from);
            self.last_byte = until;
            let at = until + self.silence.frame_end();
            return (at, Outcome::Missed(MissReason::Garbled));
        }
        // A unit answers in order: its older reply would be taken for this one.
        let older = |l: &Late| {
            l.until <= from && l.device == device && l.shape == request.entries().unwrap().shape()
        };
        self.wrong += u64::from(request.trusted && self.late.iter().any(older));
        self.last_byte = until;
        let registers = vec![0; usize::from(request.entries().unwrap().count)];
        let data = match request.entries().unwrap().table.is_bits() {
            true => Data::Bits(vec![false; usize::from(request.entries().unwrap().count)]),
            false => Data::Registers(registers),
        };
        (until, Outcome::Answered(data))
    }

    /// Returns when this request may begin.
    fn quiet(&self, request: &Request) -> Mono {
        self.silence
            .quiet_at(self.last_byte, request.turnaround)
            .max(self.now)
    }

    fn tell(&mut self, device: DeviceId, evidence: LivenessEvidence) {
        let at = Now {
            mono: self.now,
            ..Now::default()
        };
        let event = FieldEvent::Polled {
            device,
            at,
            evidence,
            readings: Vec::new(),
            turnaround: None,
        };
        self.fleet.on_field(at, &event);
    }

    /// Counts the devices that the fleet gives up.
    fn judge(&mut self) {
        let at = Now {
            mono: self.now,
            ..Now::default()
        };
        self.fleet.on_time(at);
        while let Some(output) = self.fleet.poll() {
            if let alink_gateway::fleet::Output::Want {
                device,
                online: false,
                ..
            } = output
            {
                *self.silenced.entry(device.index()).or_default() += 1;
            }
        }
    }

    /// Returns whether the fleet counts the device as silent.
    pub(crate) fn is_silent(&self, device: usize) -> bool {
        let id = DeviceId(u32::try_from(device).unwrap());
        matches!(self.fleet.life(id), Some(DeviceLiveness::Silent { .. }))
    }
}
