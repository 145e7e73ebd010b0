//! The table of devices: field events come in, wishes and notices go out.

mod reload;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::flapping::Flapping;
use super::liveness::{DeviceLiveness, LivenessChange, LivenessWatch, SilenceReason};
use crate::base::{DeviceId, FieldEvent, LogoutReason, Mono, Now, PortId, Wake};
use crate::fleet::events::FleetLogEvent;
use crate::spec::{DeviceSpec, Spec};

/// What the fleet believes about every device. See the room's doc for the contract.
#[derive(Debug)]
pub struct Fleet {
    devices: Vec<Device>,
    ports: Vec<Port>,
    /// When each device falls silent if no proof of life follows, or is no longer held back.
    /// The earliest comes first, so that 2,000 devices cost one look.
    deadlines: BTreeSet<(Mono, DeviceId)>,
    out: VecDeque<Output>,
}

/// An output of the fleet.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// This device ought to be online in the cloud, or ought not.
    Want {
        /// Which device.
        device: DeviceId,
        /// Whether the device ought to be online.
        online: bool,
        /// Why the device ought not to be online; `None` for a device that is kept offline.
        why_not: Option<LogoutReason>,
    },
    /// A notice for the operator.
    LogEvent(FleetLogEvent),
}

#[derive(Debug)]
struct Device {
    port: PortId,
    watch: LivenessWatch,
    flapping: Flapping,
    deadline: Option<Wake>,
    /// Whether the device is no longer configured. The fleet then believes nothing about it.
    retired: bool,
}

impl Device {
    fn new(spec: &DeviceSpec, now: Mono) -> Self {
        Device {
            port: spec.port,
            watch: LivenessWatch::new(spec.liveness, now),
            flapping: Flapping::default(),
            deadline: None,
            retired: false,
        }
    }
}

#[derive(Debug, Default)]
struct Port {
    devices: Vec<DeviceId>,
    down: Option<String>,
    /// When a port that is down is tried again.
    next_attempt: Option<Mono>,
    /// Whether the notice was given that the port's devices fall silent because it is down.
    told: bool,
    /// Whether the notice was given that none of the port's devices answers.
    mute: bool,
    load_permille: u16,
    /// How long the port may be down before its devices count as silent.
    grace: Duration,
    /// Whether devices that come and go are kept offline.
    damping: bool,
}

impl Port {
    /// Returns the grace of the port, if the port is down.
    fn down_for(&self) -> Option<Duration> {
        self.down.as_ref().map(|_| self.grace)
    }
}

impl Fleet {
    /// Creates the fleet with every device unknown and every port not yet heard of.
    #[must_use]
    pub fn new(spec: &Spec, now: Now) -> Self {
        let ports = spec
            .ports()
            .map(|(id, port)| Port {
                devices: spec.devices_on(id).map(|(d, _)| d).collect(),
                grace: port.budget.grace,
                damping: port.budget.damping,
                ..Port::default()
            })
            .collect();
        let devices = spec
            .devices
            .iter()
            .map(|d| Device::new(d, now.mono))
            .collect();
        Fleet {
            devices,
            ports,
            deadlines: BTreeSet::new(),
            out: VecDeque::new(),
        }
    }

    /// Takes in an event of a port. The fleet does not look at readings.
    pub fn on_field(&mut self, now: Now, event: &FieldEvent) {
        match event {
            FieldEvent::Polled {
                device, evidence, ..
            } => {
                let mut silenced = BTreeSet::new();
                if let Some(d) = self.devices.get_mut(device.index())
                    && !d.retired
                {
                    let change = d.watch.on_evidence(now.mono, *evidence);
                    self.apply(now.mono, *device, change, &mut silenced);
                }
                self.tell_silenced(silenced);
            }
            FieldEvent::PortUp { port } => self.on_port(now, *port, None),
            FieldEvent::PortDown { port, why } => self.on_port(now, *port, Some(why.clone())),
            FieldEvent::PortRetried { port, why, next } => {
                if let Some(p) = self.ports.get_mut(port.index())
                    && p.down.is_some()
                {
                    p.down = Some(why.clone());
                    p.next_attempt = Some(*next);
                }
            }
            // The device is there; the content of its reply does not concern the fleet.
            FieldEvent::CommandBegun(_)
            | FieldEvent::CommandEnded(_)
            | FieldEvent::NoValue { .. }
            | FieldEvent::PointsFailing { .. }
            | FieldEvent::Echoes { .. }
            | FieldEvent::Noticed { .. }
            | FieldEvent::Probes { .. }
            | FieldEvent::FloatsJudged { .. } => {}
            FieldEvent::Load { port, permille } => {
                if let Some(p) = self.ports.get_mut(port.index()) {
                    p.load_permille = *permille;
                }
            }
        }
    }

    /// Notes that time has passed.
    pub fn on_time(&mut self, now: Now) {
        let mut silenced = BTreeSet::new();
        while let Some(&(at, device)) = self.deadlines.first() {
            if at > now.mono {
                break;
            }
            self.deadlines.pop_first();
            if let Some(d) = self.devices.get_mut(device.index()) {
                d.deadline = None;
                let freed = d.flapping.on_time(now.mono);
                let change = d.watch.on_time(now.mono);
                let answers = d.watch.life().answers();
                self.apply(now.mono, device, change, &mut silenced);
                if freed {
                    self.end_hold(device, answers);
                }
            }
        }
        self.tell_silenced(silenced);
    }

    /// Returns the next output.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// Returns when the next device falls silent if no proof of life follows.
    #[must_use]
    pub fn wake_at(&self) -> Option<Wake> {
        let (_, device) = self.deadlines.first()?;
        self.devices.get(device.index())?.deadline
    }

    /// Returns the field side of a device.
    #[must_use]
    pub fn life(&self, device: DeviceId) -> Option<DeviceLiveness> {
        self.devices.get(device.index()).map(|d| d.watch.life())
    }

    /// Returns when the state of a device changes if no proof of life follows.
    #[must_use]
    pub fn deadline(&self, device: DeviceId) -> Option<Wake> {
        self.devices.get(device.index())?.deadline
    }

    /// Returns until when a device is kept offline for falling silent often.
    #[must_use]
    pub fn held_until(&self, device: DeviceId) -> Option<Mono> {
        self.devices.get(device.index())?.flapping.free_at()
    }

    /// Returns why a port is down; `None` while it is up or not yet heard of.
    #[must_use]
    pub fn port_down(&self, port: PortId) -> Option<&str> {
        self.ports.get(port.index())?.down.as_deref()
    }

    /// Returns when a port that is down is tried again.
    #[must_use]
    pub fn next_attempt(&self, port: PortId) -> Option<Mono> {
        self.ports.get(port.index())?.next_attempt
    }

    /// Returns how busy a port was lately, in thousandths; 0 while it is down.
    #[must_use]
    pub fn load_permille(&self, port: PortId) -> u16 {
        let port = self.ports.get(port.index()).filter(|p| p.down.is_none());
        port.map_or(0, |p| p.load_permille)
    }

    fn on_port(&mut self, now: Now, port: PortId, down: Option<String>) {
        let Some(p) = self.ports.get_mut(port.index()) else {
            return;
        };
        let is_down = down.is_some();
        p.down = down;
        p.next_attempt = None;
        p.told &= is_down;
        let grace = p.down_for();
        let mut silenced = BTreeSet::new();
        for device in p.devices.clone() {
            if let Some(d) = self.devices.get_mut(device.index()) {
                let change = d.watch.on_port(now.mono, grace);
                self.apply(now.mono, device, change, &mut silenced);
            }
        }
        self.tell_silenced(silenced);
    }

    /// Turns a change into a wish and a notice, and keeps the deadline current.
    fn apply(
        &mut self,
        now: Mono,
        device: DeviceId,
        change: Option<LivenessChange>,
        silenced: &mut BTreeSet<PortId>,
    ) {
        let Some(d) = self.devices.get_mut(device.index()) else {
            return;
        };
        let mut held = false;
        let damping = self.ports.get(d.port.index()).is_some_and(|p| p.damping);
        if let (true, Some(LivenessChange::FellSilent(SilenceReason::Missed { .. }))) =
            (damping, change)
        {
            held = d.flapping.fell_silent(now);
        }
        let free = d.flapping.free_at();
        let free = free.map(|at| Wake::new(at, "kept offline for falling silent often: this ends"));
        let due = d.watch.wake_at().into_iter().chain(free);
        let due = due.min_by_key(|wake| wake.at).filter(|_| !d.retired);
        if d.deadline != due {
            if let Some(old) = d.deadline {
                self.deadlines.remove(&(old.at, device));
            }
            if let Some(new) = due {
                self.deadlines.insert((new.at, device));
            }
            d.deadline = due;
        }
        let (online, notice) = match change {
            None => return,
            Some(LivenessChange::Appeared) => (true, Some(FleetLogEvent::Appeared { device })),
            Some(LivenessChange::Returned(after)) => {
                (true, Some(FleetLogEvent::Returned { device, after }))
            }
            Some(LivenessChange::FellSilent(SilenceReason::PortDown)) => {
                silenced.insert(d.port);
                (false, None)
            }
            Some(LivenessChange::FellSilent(because)) => {
                (false, Some(FleetLogEvent::Silent { device, because }))
            }
            // The wish was given when the device fell silent.
            Some(LivenessChange::StaysSilent(because)) => {
                let notice = FleetLogEvent::Silent { device, because };
                self.out.push_back(Output::LogEvent(notice));
                return self.tell_silent_port(device);
            }
        };
        let online = online && free.is_none();
        let why_not = match change {
            Some(LivenessChange::FellSilent(because)) => Some(because.logout_reason(held)),
            _ => None,
        };
        self.out.push_back(Output::Want {
            device,
            online,
            why_not,
        });
        self.out.extend(notice.map(Output::LogEvent));
        if held {
            self.out
                .push_back(Output::LogEvent(FleetLogEvent::Held { device }));
        }
        self.tell_silent_port(device);
    }

    /// Gives one notice for a port that is open when the last of its devices has fallen silent.
    fn tell_silent_port(&mut self, device: DeviceId) {
        let Some(port) = self.devices.get(device.index()).map(|d| d.port) else {
            return;
        };
        let Some(p) = self.ports.get_mut(port.index()) else {
            return;
        };
        let mut answered_before = false;
        let mut missed = |id: &DeviceId| match self.devices.get(id.index()).map(|d| d.watch.life())
        {
            Some(DeviceLiveness::Silent {
                because:
                    SilenceReason::Missed {
                        answered_before: a, ..
                    },
                ..
            }) => {
                answered_before |= a;
                true
            }
            _ => false,
        };
        let mute = p.down.is_none() && p.devices.len() > 1 && p.devices.iter().all(&mut missed);
        if mute && !p.mute {
            self.out
                .push_back(Output::LogEvent(FleetLogEvent::PortWithoutAnswers {
                    port,
                    devices: p.devices.len(),
                    answered_before,
                }));
        }
        p.mute = mute;
    }

    /// Ends the holding back of a device.
    fn end_hold(&mut self, device: DeviceId, answers: bool) {
        if answers {
            self.out.push_back(Output::Want {
                device,
                online: true,
                why_not: None,
            });
        }
        self.out
            .push_back(Output::LogEvent(FleetLogEvent::LetGo { device, answers }));
    }

    /// Gives one notice for a port that is down, when the first of its devices falls silent
    /// because of the port. The other devices, which follow as the grace of each runs out, get
    /// none.
    fn tell_silenced(&mut self, silenced: BTreeSet<PortId>) {
        for port in silenced {
            let Some(p) = self.ports.get_mut(port.index()) else {
                continue;
            };
            if std::mem::replace(&mut p.told, true) {
                continue;
            }
            let devices = &self.devices;
            let because_of_it = |d: &&DeviceId| {
                let life = devices.get(d.index()).map(|d| d.watch.life());
                !matches!(
                    life,
                    Some(DeviceLiveness::Silent {
                        because: SilenceReason::Missed { .. },
                        ..
                    })
                )
            };
            self.out
                .push_back(Output::LogEvent(FleetLogEvent::PortDevicesSilent {
                    port,
                    devices: p.devices.iter().filter(because_of_it).copied().collect(),
                    why: p.down.clone().unwrap_or_default(),
                }));
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
