//! Another configuration: whom to believe something of from now on.
//!
//! A device that stays keeps what is known of it. One that moves to another
//! port or unit gets its quiet time to answer there; until then the wish for it
//! stays what it was. One that leaves is unwanted before it is forgotten. One
//! that comes, or comes back, is unknown.

use std::collections::BTreeSet;

use super::registry::{Device, Fleet, Output, Port};
use crate::base::{DeviceId, Now};
use crate::spec::{Changes, Spec};

impl Fleet {
    /// From now on this installation, of which `changes` tells how it differs
    /// from the last.
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
            self.settle(*device, judged.flatten(), &mut silenced);
            if change.moved {
                self.follow_port(now, *device, &mut silenced);
            }
        }
        self.tell_silenced(silenced);
    }

    /// Nothing is known of this device.
    fn forget(&mut self, now: Now, spec: &Spec, device: DeviceId) {
        let fresh = spec.device(device).map(|d| Device::new(d, now.mono));
        // First the deadline goes, by way of `settle`.
        if let Some(d) = self.devices.get_mut(device.index()) {
            d.retired = true;
        }
        self.settle(device, None, &mut BTreeSet::new());
        if let (Some(d), Some(fresh)) = (self.devices.get_mut(device.index()), fresh) {
            *d = fresh;
        }
    }

    /// A device shares its port's fate from the start.
    fn follow_port(
        &mut self,
        now: Now,
        device: DeviceId,
        silenced: &mut BTreeSet<crate::base::PortId>,
    ) {
        let Some(d) = self.devices.get_mut(device.index()) else {
            return;
        };
        let port = self.ports.get(d.port.index());
        let down = port.is_some_and(|p| p.down.is_some());
        let change = d.watch.on_port(now.mono, down);
        self.settle(device, change, silenced);
    }
}
