//! The devices of another configuration.
//!
//! A device that stays keeps what is known of it. A device that moves to another port or
//! unit, or whose port leads elsewhere, gets its quiet time to answer there. Until then the
//! wish for the device stays what it was. A device that leaves is unwanted before it is
//! forgotten. A device that comes, or comes back, is unknown.

use std::collections::BTreeSet;

use super::{Device, Fleet, Output, Port};
use crate::base::{DeviceId, LogoutReason, Now, PortId};
use crate::spec::{Changes, Spec};

impl Fleet {
    /// Replaces the installation. `changes` says how the new one differs from the last.
    pub fn respec(&mut self, now: Now, spec: &Spec, changes: &Changes) {
        self.ports.resize_with(spec.ports.len(), Port::default);
        for port in changes.ports.added.iter().chain(&changes.ports.removed) {
            if let Some(p) = self.ports.get_mut(port.index()) {
                *p = Port::default();
            }
        }
        for port in &mut self.ports {
            port.devices.clear();
        }
        for (id, port) in spec.ports() {
            if let Some(p) = self.ports.get_mut(id.index()) {
                p.grace = port.budget.grace;
                p.damping = port.budget.damping;
            }
        }
        for (id, d) in spec.devices() {
            if let Some(p) = self.ports.get_mut(d.port.index()) {
                p.devices.push(id);
            }
        }
        for d in spec.devices.iter().skip(self.devices.len()) {
            self.devices.push(Device::new(d, now.mono));
        }
        for device in &changes.devices.removed {
            self.out.push_back(Output::Want {
                device: *device,
                online: false,
                why_not: Some(LogoutReason::Removed),
            });
            self.forget(now, spec, *device);
            if let Some(d) = self.devices.get_mut(device.index()) {
                d.retired = true;
            }
        }
        let mut silenced = BTreeSet::new();
        for device in &changes.devices.added {
            self.forget(now, spec, *device);
            self.follow_port(now, *device, &mut silenced);
        }
        for (device, change) in &changes.devices.changed {
            let (Some(d), Some(to)) = (self.devices.get_mut(device.index()), spec.device(*device))
            else {
                continue;
            };
            d.port = to.port;
            if change.moved {
                d.watch.moved(now.mono);
            }
            let judged = change
                .liveness
                .then(|| d.watch.judge_by(now.mono, to.liveness));
            self.apply(now.mono, *device, judged.flatten(), &mut silenced);
            if change.moved {
                self.follow_port(now, *device, &mut silenced);
            }
        }
        self.tell_silenced(silenced);
    }

    /// Forgets all that is known of this device.
    fn forget(&mut self, now: Now, spec: &Spec, device: DeviceId) {
        let fresh = spec.device(device).map(|d| Device::new(d, now.mono));
        // The deadline is removed first, by way of `apply`.
        if let Some(d) = self.devices.get_mut(device.index()) {
            d.retired = true;
        }
        self.apply(now.mono, device, None, &mut BTreeSet::new());
        if let (Some(d), Some(fresh)) = (self.devices.get_mut(device.index()), fresh) {
            *d = fresh;
        }
    }

    /// Makes a device share the state of its port from the start.
    fn follow_port(&mut self, now: Now, device: DeviceId, silenced: &mut BTreeSet<PortId>) {
        let Some(d) = self.devices.get_mut(device.index()) else {
            return;
        };
        let port = self.ports.get(d.port.index());
        let down = port.and_then(Port::down_for);
        let change = d.watch.on_port(now.mono, down);
        self.apply(now.mono, device, change, silenced);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::{FieldEvent, LivenessEvidence, LivenessProof, MissReason, Mono, UnitId};
    use crate::fleet::registry::tests::spec;
    use crate::fleet::{DeviceLiveness, SilenceReason};
    use crate::spec::{BusAddress, LineSpec};

    const A: DeviceId = DeviceId(0);

    fn at(seconds: u64) -> Now {
        Now {
            mono: Mono::from_micros(seconds * 1_000_000),
            ..Now::default()
        }
    }

    fn polled(fleet: &mut Fleet, now: Now, device: DeviceId, evidence: LivenessEvidence) {
        let event = FieldEvent::Polled {
            device,
            at: now,
            evidence,
            readings: Vec::new(),
            turnaround: None,
        };
        fleet.on_field(now, &event);
    }

    fn answer(fleet: &mut Fleet, now: Now, device: DeviceId) {
        polled(
            fleet,
            now,
            device,
            LivenessEvidence::Alive(LivenessProof::Answer),
        );
    }

    fn miss(fleet: &mut Fleet, now: Now, device: DeviceId) {
        polled(
            fleet,
            now,
            device,
            LivenessEvidence::Missed(MissReason::Silence),
        );
    }

    fn wants(fleet: &mut Fleet) -> Vec<(DeviceId, bool)> {
        std::iter::from_fn(|| fleet.poll())
            .filter_map(|out| match out {
                Output::Want { device, online, .. } => Some((device, online)),
                Output::LogEvent(_) => None,
            })
            .collect()
    }

    /// Takes a fleet from one configuration to an edited one.
    fn reload(fleet: &mut Fleet, now: Now, old: &Spec, edit: impl FnOnce(&mut Spec)) -> Spec {
        let mut fresh = old.clone();
        edit(&mut fresh);
        let (next, changes) = fresh.continuing(old);
        fleet.respec(now, &next, &changes);
        next
    }

    #[test]
    fn one_that_leaves_is_unwanted_and_believed_nothing_of_until_it_comes_back() {
        let old = spec();
        let mut fleet = Fleet::new(&old, at(0));
        answer(&mut fleet, at(1), A);
        assert_eq!(wants(&mut fleet), [(A, true)]);
        let next = reload(&mut fleet, at(2), &old, |s| drop(s.devices.remove(0)));
        assert_eq!(wants(&mut fleet), [(A, false)]);
        for s in 3..30 {
            miss(&mut fleet, at(s), A);
            answer(&mut fleet, at(s), A);
        }
        fleet.on_time(at(100));
        assert_eq!((wants(&mut fleet), fleet.wake_at()), (vec![], None));

        let (back, changes) = old.continuing(&next);
        fleet.respec(at(101), &back, &changes);
        assert_eq!(fleet.life(A), Some(DeviceLiveness::Unknown));
        answer(&mut fleet, at(102), A);
        assert_eq!(wants(&mut fleet), [(A, true)]);
    }

    #[test]
    fn one_that_moves_stays_wanted_for_its_quiet_time_and_no_longer() {
        let old = spec();
        let mut fleet = Fleet::new(&old, at(0));
        answer(&mut fleet, at(1), A);
        miss(&mut fleet, at(2), A);
        miss(&mut fleet, at(3), A);
        wants(&mut fleet);
        reload(&mut fleet, at(5), &old, |s| {
            s.devices[0].address = BusAddress::Modbus(UnitId(99))
        });
        for s in 6..10 {
            miss(&mut fleet, at(s), A);
            assert_eq!(wants(&mut fleet), [], "judged by what was missed elsewhere");
        }
        fleet.on_time(at(10));
        assert_eq!(wants(&mut fleet), [(A, false)]);
    }

    #[test]
    fn one_whose_port_leads_elsewhere_has_to_answer_there() {
        let old = spec();
        let mut fleet = Fleet::new(&old, at(0));
        answer(&mut fleet, at(1), A);
        wants(&mut fleet);
        let port = old.devices[0].port.index();
        reload(&mut fleet, at(5), &old, |s| match &mut s.ports[port].line {
            LineSpec::Serial(serial) => serial.path = "/dev/elsewhere".into(),
            LineSpec::Tcp(tcp) => tcp.host = "elsewhere".into(),
        });
        for s in 6..10 {
            miss(&mut fleet, at(s), A);
            assert_eq!(wants(&mut fleet), [], "its quiet time");
        }
        fleet.on_time(at(10));
        assert_eq!(wants(&mut fleet), [(A, false)]);
    }

    #[test]
    fn one_that_moves_from_where_it_was_silent_needs_one_answer() {
        let old = spec();
        let mut fleet = Fleet::new(&old, at(0));
        for s in 1..10 {
            miss(&mut fleet, at(s), A);
        }
        assert_eq!(wants(&mut fleet), [(A, false)]);
        reload(&mut fleet, at(10), &old, |s| {
            s.devices[0].address = BusAddress::Modbus(UnitId(99))
        });
        answer(&mut fleet, at(11), A);
        assert_eq!(wants(&mut fleet), [(A, true)]);
    }

    #[test]
    fn one_that_comes_to_a_port_that_is_down_shares_its_fate() {
        let old = spec();
        let mut fleet = Fleet::new(&old, at(0));
        let port = old.devices[0].port;
        let why = "unplugged".to_owned();
        fleet.on_field(at(1), &FieldEvent::PortDown { port, why });
        let next = reload(&mut fleet, at(2), &old, |s| {
            let mut new = s.devices[0].clone();
            new.name = "new".into();
            new.device_name = crate::base::DeviceName::new("new");
            new.address = BusAddress::Modbus(UnitId(99));
            s.devices.push(new);
        });
        let new = DeviceId(u32::try_from(next.devices.len() - 1).unwrap());
        fleet.on_time(at(2 + 30));
        assert!(matches!(
            fleet.life(new),
            Some(DeviceLiveness::Silent {
                because: SilenceReason::PortDown,
                ..
            })
        ));
    }

    #[test]
    fn another_rule_of_silence_holds_from_now_on() {
        let old = spec();
        let mut fleet = Fleet::new(&old, at(0));
        answer(&mut fleet, at(1), A);
        for s in 2..5 {
            miss(&mut fleet, at(s), A);
        }
        wants(&mut fleet);
        reload(&mut fleet, at(5), &old, |s| {
            s.devices[0].liveness.quiet = Duration::from_secs(60);
        });
        fleet.on_time(at(60));
        assert_eq!(wants(&mut fleet), []);
        fleet.on_time(at(61));
        assert_eq!(wants(&mut fleet), [(A, false)]);
    }
}
