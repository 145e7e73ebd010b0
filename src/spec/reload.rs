//! From one configuration to the next, without losing who is who.
//!
//! Engines refer to devices and ports by their place in the [`Spec`]. A new
//! configuration may name them in another order, so before anybody sees it,
//! [`Spec::continuing`] puts what stays where it was, what is new at the end,
//! and keeps the place of what is gone: it is *retired*, looked up for its name
//! and for nothing else, until it is configured again.
//!
//! **Who is the same.** A port is its name. A device is its identity in the
//! cloud, not its name: the session at the platform belongs to the identity. A
//! renamed device goes on as if nothing had happened; two devices whose
//! identities were mixed up are put right without a log-out; and a device that
//! is given another identity is, by construction, one that leaves and one that
//! comes. So no engine ever has to change whom a place stands for.
//!
//! **Bound.** Devices hold one place for each identity ever configured since the
//! start, and there are [`MOST_IDENTITIES`] of them at most. Places of ports are taken
//! again by the reload after the one that retired them: by then no engine refers to them.

use std::collections::{BTreeMap, BTreeSet};

use std::path::Path;

use super::{CloudSpec, DeviceSpec, LineSpec, PortSpec, SerialSpec, Spec, TcpSpec};
use crate::base::{DeviceId, PortId, Secret};

/// Identities that may be configured from a start to the end of the service: five times
/// what one gateway may have online at once. A platform that pushes configurations with
/// ever new devices would take memory without end.
pub const MOST_IDENTITIES: usize = 10_000;

/// Places whose devices and ports are no longer configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retired {
    /// Devices.
    pub devices: BTreeSet<DeviceId>,
    /// Ports.
    pub ports: BTreeSet<PortId>,
}

/// What a new configuration changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Of ports.
    pub ports: PortChanges,
    /// Of devices.
    pub devices: DeviceChanges,
    /// Of the platform's side.
    pub cloud: CloudChanges,
    /// The bound of stopping.
    pub stop_within: bool,
}

/// What changes of ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortChanges {
    /// Configured now and not before.
    pub added: BTreeSet<PortId>,
    /// Made or used in another way, or other devices on it: to be started anew.
    pub changed: BTreeSet<PortId>,
    /// No longer configured.
    pub removed: BTreeSet<PortId>,
}

/// What changes of devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceChanges {
    /// Configured now and not before.
    pub added: BTreeSet<DeviceId>,
    /// Configured before and now, not quite in the same way.
    pub changed: BTreeMap<DeviceId, DeviceChange>,
    /// No longer configured.
    pub removed: BTreeSet<DeviceId>,
}

/// What changes of one device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceChange {
    /// What people call it.
    pub name: bool,
    /// Where it is: port, unit or address, or where its port leads.
    pub moved: bool,
    /// What it is asked, or how patiently.
    pub polling: bool,
    /// Its secret.
    pub secret: bool,
    /// When it counts as silent.
    pub liveness: bool,
}

/// What changes of the platform's side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CloudChanges {
    /// Where the platform is or who we are there: a new connection.
    pub connection: bool,
    /// Limits and manners; they hold from now on, on the same connection.
    pub limits: bool,
    /// Secrets of products, for devices that are still to be registered.
    pub products: bool,
}

impl Changes {
    /// Whether there are none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Changes::default()
    }
}

impl Spec {
    /// Whether there is such a place and it is not retired.
    #[must_use]
    pub fn has(&self, device: DeviceId) -> bool {
        device.index() < self.devices.len() && !self.retired.devices.contains(&device)
    }

    /// How many of the devices that are configured here are not in `fresh`, and how
    /// many there are.
    #[must_use]
    pub fn leaving(&self, fresh: &Spec) -> (usize, usize) {
        let stay: BTreeSet<_> = fresh
            .devices()
            .map(|(_, d)| (&d.product_key, &d.device_name))
            .collect();
        let leave = |d: &DeviceSpec| !stay.contains(&(&d.product_key, &d.device_name));
        let leaving = self.devices().filter(|(_, d)| leave(d)).count();
        (leaving, self.devices().count())
    }

    /// How many identities have a place once `fresh` has followed this configuration.
    #[must_use]
    pub fn identities_with(&self, fresh: &Spec) -> usize {
        let known: BTreeSet<_> = self
            .devices
            .iter()
            .map(|d| (&d.product_key, &d.device_name))
            .collect();
        let is_new = |d: &DeviceSpec| !known.contains(&(&d.product_key, &d.device_name));
        self.devices.len() + fresh.devices().filter(|(_, d)| is_new(d)).count()
    }

    /// This configuration, fresh from its files, with everything in the place it
    /// has in `old`; and what it changes.
    #[must_use]
    pub fn continuing(self, old: &Spec) -> (Spec, Changes) {
        let cloud = CloudChanges::between(&old.cloud, &self.cloud);
        let (ports, port_at) = place_ports(self.ports, old);
        let (devices, device_at) = place_devices(self.devices, &port_at, old);
        let spec = Spec {
            cloud: self.cloud,
            retired: Retired {
                devices: (0u32..)
                    .map(DeviceId)
                    .take(devices.len())
                    .filter(|id| !device_at.contains(id))
                    .collect(),
                ports: (0u16..)
                    .map(PortId)
                    .take(ports.len())
                    .filter(|id| !port_at.contains(id))
                    .collect(),
            },
            ports,
            devices,
            stop_within: self.stop_within,
        };
        let devices = DeviceChanges::between(old, &spec);
        let changes = Changes {
            ports: PortChanges::between(old, &spec, &devices),
            devices,
            cloud,
            stop_within: old.stop_within != spec.stop_within,
        };
        (spec, changes)
    }
}

/// All ports by place, and the places of the new ones in their order.
fn place_ports(new: Vec<PortSpec>, old: &Spec) -> (Vec<PortSpec>, Vec<PortId>) {
    let places = || (0u16..).map(PortId).zip(&old.ports);
    let mut known: BTreeMap<&str, PortId> = places().map(|(id, p)| (&*p.name, id)).collect();
    let names: BTreeSet<&str> = new.iter().map(|p| &*p.name).collect();
    let mut free = places()
        .filter(|(id, p)| old.retired.ports.contains(id) && !names.contains(&*p.name))
        .map(|(id, _)| id);
    let mut all = old.ports.clone();
    let mut at = Vec::with_capacity(new.len());
    for port in &new {
        let place = known.remove(&*port.name).or_else(|| free.next());
        let place = place.unwrap_or_else(|| {
            all.push(port.clone());
            // The configuration allows far fewer ports than that.
            PortId(u16::try_from(all.len() - 1).unwrap_or(u16::MAX))
        });
        if let Some(here) = all.get_mut(place.index()) {
            here.clone_from(port);
        }
        at.push(place);
    }
    (all, at)
}

/// All devices by place, and the places of the new ones.
fn place_devices(
    new: Vec<DeviceSpec>,
    port_at: &[PortId],
    old: &Spec,
) -> (Vec<DeviceSpec>, BTreeSet<DeviceId>) {
    let identity = |d: &DeviceSpec| (d.product_key.clone(), d.device_name.clone());
    let mut known: BTreeMap<_, DeviceId> = (0u32..)
        .map(DeviceId)
        .zip(&old.devices)
        .map(|(id, d)| (identity(d), id))
        .collect();
    let mut all = old.devices.clone();
    let mut at = BTreeSet::new();
    for mut device in new {
        if let Some(port) = port_at.get(device.port.index()) {
            device.port = *port;
        }
        let place = known.remove(&identity(&device));
        let place = place.unwrap_or_else(|| {
            all.push(device.clone());
            DeviceId(u32::try_from(all.len() - 1).unwrap_or(u32::MAX))
        });
        if let Some(here) = all.get_mut(place.index()) {
            *here = device;
        }
        at.insert(place);
    }
    // Who has left signs nothing any more; a log-out needs no secret.
    for place in known.into_values() {
        if let Some(left) = all.get_mut(place.index()) {
            left.secret = Secret::new("");
        }
    }
    (all, at)
}

impl CloudChanges {
    fn between(old: &CloudSpec, new: &CloudSpec) -> Self {
        CloudChanges {
            connection: old.broker != new.broker
                || old.gateway != new.gateway
                || old.sign_method != new.sign_method,
            limits: old.session != new.session || old.post != new.post,
            products: old.products != new.products,
        }
    }
}

impl DeviceChanges {
    fn between(old: &Spec, new: &Spec) -> Self {
        let mut changes = DeviceChanges::default();
        for (id, now) in new.devices() {
            let Some(before) = old.device(id).filter(|_| old.has(id)) else {
                changes.added.insert(id);
                continue;
            };
            let mut change = DeviceChange::between(before, now);
            change.moved |= old.leads_to(before.port) != new.leads_to(now.port);
            if change != DeviceChange::default() {
                changes.changed.insert(id, change);
            }
        }
        changes.removed = old.devices().map(|(id, _)| id).collect();
        changes.removed.retain(|id| !new.has(*id));
        changes
    }
}

impl DeviceChange {
    /// All fields by name: a new one has to say here what it changes.
    fn between(before: &DeviceSpec, now: &DeviceSpec) -> Self {
        let DeviceSpec {
            name,
            port,
            unit,
            meter,
            serial,
            profile,
            // Its identity: the same, or it would be another device.
            product_key: _,
            device_name: _,
            secret,
            liveness,
            response_timeout,
            turnaround,
        } = before;
        DeviceChange {
            name: *name != now.name,
            moved: (*port, *unit, *meter) != (now.port, now.unit, now.meter),
            polling: (*response_timeout, *turnaround) != (now.response_timeout, now.turnaround)
                || *serial != now.serial
                || *profile != now.profile,
            secret: *secret != now.secret,
            liveness: *liveness != now.liveness,
        }
    }
}

/// What a port leads to: somewhere else there are other devices, whatever the
/// port is called. How it is spoken to there makes no other devices of them.
#[derive(Debug, PartialEq, Eq)]
enum Far<'a> {
    Serial(&'a Path),
    Tcp(&'a str, u16),
}

impl Spec {
    fn leads_to(&self, port: PortId) -> Option<Far<'_>> {
        Some(match &self.port(port)?.line {
            LineSpec::Serial(SerialSpec {
                path,
                baud: _,
                data_bits: _,
                parity: _,
                stop_bits: _,
                framing: _,
                adapter: _,
            }) => Far::Serial(path),
            LineSpec::Tcp(TcpSpec {
                host,
                port,
                connect_timeout: _,
                behind: _,
                connection: _,
                framing: _,
            }) => Far::Tcp(host, *port),
        })
    }
}

impl PortChanges {
    fn between(old: &Spec, new: &Spec, devices: &DeviceChanges) -> Self {
        let before: BTreeSet<PortId> = old.ports().map(|(id, _)| id).collect();
        let now: BTreeSet<PortId> = new.ports().map(|(id, _)| id).collect();
        let repolled = devices.changed.iter().filter(|(_, c)| c.moved || c.polling);
        // Where somebody came, left or is asked otherwise.
        let touched: BTreeSet<PortId> = devices
            .added
            .iter()
            .chain(&devices.removed)
            .chain(repolled.map(|(id, _)| id))
            .flat_map(|id| [old, new].map(|s| s.device(*id).filter(|_| s.has(*id))))
            .flatten()
            .map(|d| d.port)
            .collect();
        let kept = before.intersection(&now).copied();
        PortChanges {
            // All that a port is made of is compared: its `PartialEq` is derived.
            changed: kept
                .filter(|id| touched.contains(id) || old.port(*id) != new.port(*id))
                .collect(),
            added: now.difference(&before).copied().collect(),
            removed: before.difference(&now).copied().collect(),
        }
    }
}

#[cfg(test)]
mod tests;
