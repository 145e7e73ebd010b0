//! The last commands of each device, for people who ask who switched something.

use std::collections::{BTreeMap, VecDeque};

use crate::base::{CommandOrigin, DeviceId, Now, Value, WriteVerdict};

/// How many commands of a device are remembered.
const OF_A_DEVICE: usize = 20;
/// How many in all; the oldest of the device that was commanded longest ago go first.
const OF_ALL: usize = 2_000;

/// One command, and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandRecord {
    /// When it was answered.
    pub at: Now,
    /// Who gave it.
    pub origin: CommandOrigin,
    /// The service that was called, if one was.
    pub service: Option<String>,
    /// The points that it wrote or was to write.
    pub points: Vec<RecordedPoint>,
    /// The step at which the service stopped, counted from 1.
    pub step: Option<usize>,
    /// What became of the whole.
    pub whole: WriteVerdict,
}

/// One point of a command.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedPoint {
    /// The identifier of the point.
    pub id: String,
    /// The value that was known before.
    pub old: Option<Value>,
    /// The value that was wanted, as it came.
    pub wanted: Option<String>,
    /// What became of it.
    pub verdict: WriteVerdict,
}

/// The commands that are remembered.
#[derive(Clone, Debug, Default)]
pub(super) struct Records {
    devices: BTreeMap<DeviceId, VecDeque<CommandRecord>>,
    total: usize,
}

impl Records {
    /// Remembers a command.
    pub(super) fn add(&mut self, device: DeviceId, record: CommandRecord) {
        let of_device = self.devices.entry(device).or_default();
        of_device.push_back(record);
        self.total += 1;
        if of_device.len() > OF_A_DEVICE {
            of_device.pop_front();
            self.total -= 1;
        }
        if self.total > OF_ALL {
            let newest = |d: &VecDeque<CommandRecord>| d.back().map(|r| r.at.mono);
            let oldest = self.devices.iter().min_by_key(|(_, d)| newest(d));
            if let Some(device) = oldest.map(|(device, _)| *device)
                && let Some(gone) = self.devices.remove(&device)
            {
                self.total -= gone.len();
            }
        }
    }

    /// Returns the commands of a device, newest first.
    pub(super) fn of(&self, device: DeviceId) -> impl Iterator<Item = &CommandRecord> {
        self.devices.get(&device).into_iter().flatten().rev()
    }

    /// Forgets the commands of a device.
    pub(super) fn forget(&mut self, device: DeviceId) {
        if let Some(gone) = self.devices.remove(&device) {
            self.total -= gone.len();
        }
    }
}
