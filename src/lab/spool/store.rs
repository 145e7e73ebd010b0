//! The store itself, without the daemon: looked at, and filled.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Duration;

use alink_gateway::base::{StorePosition, StoredReading, StoredTime, StoredValue, Value, Wall};
use alink_gateway::io::store::spool_directory::{SpoolDirectory, boot_id};
use alink_gateway::io::system::clock::Clock;
use alink_gateway::lab::platform::Device;
use alink_gateway::spec::DropPolicy;
use alink_gateway::spool::{DiskError, Spool, SpoolLimits};

use super::plant::{Plant, Point};

/// How many values are stored at once: one sync each.
const GROUP: usize = 4096;

/// Opens a store that no daemon uses.
fn open(directory: &Path) -> Result<Spool<SpoolDirectory>, DiskError> {
    let limits = SpoolLimits {
        bytes: 1 << 30,
        age: Duration::from_secs(30 * 24 * 3600),
        segment_bytes: 1 << 20,
        drop: DropPolicy::Oldest,
    };
    Spool::open(SpoolDirectory::open(directory)?, limits, boot_id())
}

fn failed(error: DiskError) -> io::Error {
    io::Error::other(error.to_string())
}

/// Returns how many values a store holds, and how many bytes it takes.
pub(super) fn look(directory: &Path) -> io::Result<(u64, u64)> {
    let status = open(directory).map_err(failed)?.status();
    Ok((status.values, status.bytes))
}

/// Returns how long a store takes to open and to give its first values.
pub(super) fn time_to_open(directory: &Path) -> io::Result<Duration> {
    let clock = Clock::system();
    let begun = clock.now().mono;
    let mut spool = open(directory).map_err(failed)?;
    let took = clock.now().mono.since(begun);
    let first = spool.read(StorePosition::START, 1_000).map_err(failed)?;
    match first.readings.is_empty() {
        true => Err(io::Error::other("the full store is empty")),
        false => Ok(took),
    }
}

/// Returns all values of a store that are values of this plant's points.
pub(super) fn values(directory: &Path, plant: &Plant) -> io::Result<BTreeSet<(Point, u32)>> {
    let mut spool = open(directory).map_err(failed)?;
    let (mut found, mut from) = (BTreeSet::new(), Some(StorePosition::START));
    while let Some(position) = from {
        let chunk = spool.read(position, GROUP).map_err(failed)?;
        for (_, reading) in &chunk.readings {
            let device = Device {
                product_key: reading.product_key.clone(),
                device_name: reading.device_name.clone(),
            };
            let value = match reading.value {
                StoredValue::Property(Value::Float(value)) => value as u32,
                StoredValue::Property(Value::UInt(value)) => value as u32,
                StoredValue::Property(Value::Int(value)) => value as u32,
                StoredValue::Property(Value::Bool(_) | Value::Text(_)) | StoredValue::Event(_) => {
                    continue;
                }
            };
            found.extend(
                plant
                    .point_of(&device, &reading.identifier)
                    .map(|p| (p, value)),
            );
        }
        from = chunk.next;
    }
    Ok(found)
}

/// What is put into a store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filling {
    /// So many values at the most.
    pub(crate) values: u64,
    /// So many bytes at the most.
    pub(crate) bytes: u64,
    /// When the first of them was read.
    pub(crate) from: Wall,
    /// How many milliseconds lie between two rounds over all points.
    pub(crate) round: i64,
}

/// Fills a store with values of all points of a plant, round after round, as if they had
/// been read; each is told. The numbers count from 0 on, for each point.
pub(super) fn fill(
    directory: &Path,
    plant: &Plant,
    filling: Filling,
    mut tell: impl FnMut(Point, u32, Wall),
) -> io::Result<u64> {
    let mut spool = open(directory).map_err(failed)?;
    let points: Vec<std::sync::Arc<str>> = (0..plant.points())
        .map(|p| Plant::property(p).into())
        .collect();
    let devices: Vec<_> = (0..plant.devices()).map(Plant::names).collect();
    let (mut stored, mut group) = (0, Vec::with_capacity(GROUP));
    for round in 0_u32.. {
        let at = filling.from.as_millis() + i64::from(round) * filling.round;
        let at = Wall::from_millis(at);
        for (device, (product, name)) in (0..).zip(&devices) {
            for (point, property) in (0..).zip(&points) {
                group.push(StoredReading {
                    product_key: product.clone(),
                    device_name: name.clone(),
                    identifier: property.clone(),
                    at: StoredTime::Wall(at),
                    value: Value::Float(f64::from(round)).into(),
                });
                tell(Point { device, point }, round, at);
                let left = filling.values - stored;
                if group.len() < GROUP && (group.len() as u64) < left {
                    continue;
                }
                let done = spool.store(&group);
                if let Some(error) = done.error {
                    return Err(failed(error));
                }
                stored += group.len() as u64;
                group.clear();
                if stored >= filling.values || spool.status().bytes >= filling.bytes {
                    return Ok(stored);
                }
            }
        }
    }
    Ok(stored)
}
