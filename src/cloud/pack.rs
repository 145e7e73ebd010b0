//! What goes into one message: the packing half of `post.rs`.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{Backoff, DeviceId, Mono, Reading};

use super::alink::{MESSAGE_BYTES, PACKED_BYTES, Properties};
use super::post::Posts;

/// The order of arrival.
pub(super) type Seq = u64;

/// One message's worth of readings.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parcel {
    pub(super) readings: BTreeMap<DeviceId, Vec<(Seq, Reading)>>,
    pub(super) backoff: Wait,
    pub(super) failures: u32,
}

/// A backoff that does not count when parcels are compared.
#[derive(Clone, Debug)]
pub(super) struct Wait(pub(super) Backoff);

impl PartialEq for Wait {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Posts {
    /// A parcel from the queue: devices in the order of their due times, as
    /// many as fit.
    pub(super) fn pack(&mut self, now: Mono) -> Parcel {
        let mut bytes = MESSAGE_BYTES;
        let mut properties = 0;
        let mut readings = BTreeMap::new();
        let mut order: Vec<DeviceId> = self
            .ready
            .iter()
            .take(self.pack_devices())
            .map(|(_, id)| *id)
            .collect();
        // One whose session is to be proved goes alone, the others before it
        // together.
        if let Some(n) = order.iter().position(|id| self.wants_proof(now, *id)) {
            order.truncate(n.max(1));
        }
        for id in order {
            bytes += PACKED_BYTES;
            let taken = self.pick(id, &mut bytes, &mut properties);
            if taken.is_empty() {
                break;
            }
            self.in_parcels += taken.len();
            self.unready(id);
            self.busy.insert(id);
            readings.insert(id, taken);
        }
        self.parcel(readings)
    }

    /// The oldest value of each property of one device, as far as they fit.
    fn pick(
        &mut self,
        id: DeviceId,
        bytes: &mut usize,
        properties: &mut usize,
    ) -> Vec<(Seq, Reading)> {
        let mut points = BTreeSet::new();
        let mut seqs = Vec::new();
        for &(device, seq) in self.by_device.range((id, 0)..) {
            if device != id || *properties >= self.policy().pack_properties.max(1) {
                break;
            }
            let Some(reading) = self.queue.get(&seq) else {
                continue;
            };
            // One value per property: the second must not overtake the first.
            if !points.insert(reading.point) {
                continue;
            }
            // One for the comma.
            let size = self.one(id, reading).len() + 1;
            if *bytes + size > self.policy().message_bytes {
                break;
            }
            *bytes += size;
            *properties += 1;
            seqs.push(seq);
        }
        let mut taken = Vec::new();
        for seq in seqs {
            self.by_device.remove(&(id, seq));
            taken.extend(self.queue.remove(&seq).map(|r| (seq, r)));
        }
        taken
    }

    fn one(&self, id: DeviceId, reading: &Reading) -> Properties {
        let point = self
            .spec
            .device(id)
            .and_then(|d| d.profile.points.get(usize::from(reading.point)));
        point.map_or_else(Properties::default, |p| {
            Properties::one(&p.id, &reading.value, reading.at.wall)
        })
    }

    pub(super) fn parcel(&self, readings: BTreeMap<DeviceId, Vec<(Seq, Reading)>>) -> Parcel {
        let limits = &self.spec.cloud.session;
        Parcel {
            readings,
            backoff: Wait(Backoff::new(limits.retry_floor, limits.retry_ceiling)),
            failures: 0,
        }
    }

    /// The properties of one device of a parcel, as they are sent.
    pub(super) fn properties(&self, id: DeviceId, readings: &[(Seq, Reading)]) -> Properties {
        let mut all = Properties::default();
        for (_, reading) in readings {
            all.append(&self.one(id, reading));
        }
        all
    }
}
