//! The points of another configuration.
//!
//! A point that stays as it was keeps its state, at the index that it has now. Of a point that
//! changes in any way, of a device that is asked elsewhere, and of a device that leaves, what is
//! withheld is handed out by the old configuration; the next reading is the first one.

use std::collections::BTreeMap;

use super::{Device, Reporter, State};
use crate::base::{DeviceId, Now};
use crate::spec::{Changes, Spec};

impl Reporter {
    /// Takes note of another configuration. What is handed out before it holds must be
    /// delivered by the old one: points may have other indices in the new one.
    pub fn respec(&mut self, now: Now, old: &Spec, new: &Spec, changes: &Changes) {
        let devices = &changes.devices;
        for device in devices.added.iter().chain(&devices.removed) {
            self.on_silent(now, old, *device);
            self.take(*device);
        }
        for (device, change) in &devices.changed {
            if change.moved {
                self.on_silent(now, old, *device);
                self.take(*device);
            } else if change.polling || change.report {
                self.renumber(now, old, new, *device);
            }
        }
    }

    /// Takes out the state of a device, with its entries in the schedule.
    fn take(&mut self, id: DeviceId) -> Option<Device> {
        let device = self.devices.remove(&id)?;
        for (index, state) in &device.points {
            if let Some(at) = state.due() {
                self.schedule.remove(&(at, id, *index));
            }
        }
        Some(device)
    }

    fn renumber(&mut self, now: Now, old: &Spec, new: &Spec, id: DeviceId) {
        let (Some(before), Some(after)) = (old.device(id), new.device(id)) else {
            return;
        };
        // Without its list of questions, a point of another protocol than Modbus is not known.
        let comparable = before.profile.protocol == after.profile.protocol;
        let places: BTreeMap<&str, u16> = after
            .profile
            .points
            .iter()
            .zip(0u16..)
            .map(|(point, index)| (point.id.as_str(), index))
            .collect();
        let stays = |index: u16| {
            let point = before.profile.points.get(usize::from(index))?;
            let place = *places.get(point.id.as_str())?;
            let now = after.profile.points.get(usize::from(place))?;
            (comparable && point == now).then_some(place)
        };
        let Some(known) = self.devices.get(&id) else {
            return;
        };
        let indices: Vec<u16> = known.points.iter().map(|(i, _)| *i).collect();
        for index in indices.into_iter().filter(|i| stays(*i).is_none()) {
            self.change(old, id, index, |state, point| {
                state.release(now.mono, point)
            });
        }
        let Some(mut device) = self.take(id) else {
            return;
        };
        let kept = device.points.into_iter();
        let mut kept: Vec<(u16, State)> = kept
            .filter_map(|(index, state)| Some((stays(index)?, state)))
            .collect();
        kept.sort_by_key(|(index, _)| *index);
        for (index, state) in &kept {
            if let Some(at) = state.due() {
                self.schedule.insert((at, id, *index));
            }
        }
        device.points = kept;
        self.devices.insert(id, device);
    }
}
