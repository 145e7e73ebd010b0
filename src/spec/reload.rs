//! From one configuration to the next, without mixing up devices.
//!
//! Engines refer to devices and ports by their id, the index in the [`Spec`]. A new configuration
//! may name them in another order. So before any engine sees it, [`Spec::continuing`] leaves what
//! stays at its id, puts what is new at the end, and keeps the id of what is removed. Such an id is
//! *retired*: it is used to look up the name and for nothing else, until the device or port is
//! configured again.
//!
//! **Identity.** A port is identified by its name. A device is identified by its identity in the
//! cloud, not by its name: the session at the platform belongs to the identity. A renamed device
//! continues unchanged. Two devices whose identities were mixed up are corrected without a
//! log-out. A device that is given another identity is, by construction, one device that leaves
//! and one that comes. So no engine ever has to change which device an id stands for.
//!
//! **Bound.** Devices take one id for each identity ever configured since the start, and there
//! are [`MOST_IDENTITIES`] of them at most. The reload after the one that retired a port's id
//! may use that id again: by then no engine refers to it.

use std::collections::{BTreeMap, BTreeSet};

use std::path::Path;

use super::{
    CloudSpec, DeviceSpec, LineSpec, PointSpec, PortSpec, ProfileSpec, RemotePolicy, ReportPolicy,
    SerialSpec, Spec, TcpSpec,
};
use crate::base::{DeviceId, PortId, Secret};

/// How many identities may be configured from a start to the end of the service: five times what
/// one gateway may have online at once. Without this limit, a platform that pushes configurations
/// with ever new devices would take memory without end.
pub const MOST_IDENTITIES: usize = 10_000;

/// Ids whose devices and ports are no longer configured.
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
    /// Changes of ports.
    pub ports: PortChanges,
    /// Changes of devices.
    pub devices: DeviceChanges,
    /// Changes of the platform's side.
    pub cloud: CloudChanges,
    /// Whether the bound of stopping changes.
    pub stop_within: bool,
    /// Whether other commands are carried out, or answered within another time.
    pub commands: bool,
}

/// The changes of ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortChanges {
    /// Ports that are configured now and were not before.
    pub added: BTreeSet<PortId>,
    /// Ports with other settings or other devices: their tasks are started anew.
    pub changed: BTreeSet<PortId>,
    /// Ports that are no longer configured.
    pub removed: BTreeSet<PortId>,
}

/// The changes of devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceChanges {
    /// Devices that are configured now and were not before.
    pub added: BTreeSet<DeviceId>,
    /// Devices that are configured before and now, with differences.
    pub changed: BTreeMap<DeviceId, DeviceChange>,
    /// Devices that are no longer configured.
    pub removed: BTreeSet<DeviceId>,
}

/// The parts of one device that change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceChange {
    /// Its name.
    pub name: bool,
    /// Its address: port and unit or meter address, or where its port leads.
    pub moved: bool,
    /// Its points, or the settings of its polling.
    pub polling: bool,
    /// Which of its readings are reported; they are read as before.
    pub report: bool,
    /// Which of its values are events.
    pub events: bool,
    /// Its secret.
    pub secret: bool,
    /// When it counts as silent.
    pub liveness: bool,
}

/// The changes of the platform's side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CloudChanges {
    /// The broker or the gateway's identity: a new connection.
    pub connection: bool,
    /// Limits and policies; they hold from now on, on the same connection.
    pub limits: bool,
    /// Secrets of products, for devices that are still to be registered.
    pub products: bool,
    /// The store of readings.
    pub store: bool,
    /// Whether and how the platform may configure the gateway.
    pub remote: bool,
}

impl Changes {
    /// Returns whether there are no changes.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Changes::default()
    }
}

impl Spec {
    /// Returns whether there is such a device and its id is not retired.
    #[must_use]
    pub fn has(&self, device: DeviceId) -> bool {
        device.index() < self.devices.len() && !self.retired.devices.contains(&device)
    }

    /// Returns how many of the devices that are configured here are not in `fresh`, and how many
    /// devices are configured here.
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

    /// Returns how many identities have an id once `fresh` has followed this configuration.
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

    /// Returns this configuration, fresh from its files, with everything at the id that it has
    /// in `old`; and the changes from `old`.
    #[must_use]
    pub fn continuing(self, old: &Spec) -> (Spec, Changes) {
        let cloud = CloudChanges::between(&old.cloud, &self.cloud);
        let (ports, port_at) = ports_by_id(self.ports, old);
        let (devices, device_at) = devices_by_id(self.devices, &port_at, old);
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
            commands: self.commands,
        };
        let devices = DeviceChanges::between(old, &spec);
        let changes = Changes {
            ports: PortChanges::between(old, &spec, &devices),
            devices,
            cloud,
            stop_within: old.stop_within != spec.stop_within,
            commands: old.commands != spec.commands,
        };
        (spec, changes)
    }
}

/// Returns all ports by id, and the ids of the new ones in their order.
fn ports_by_id(new: Vec<PortSpec>, old: &Spec) -> (Vec<PortSpec>, Vec<PortId>) {
    let old_ports = || (0u16..).map(PortId).zip(&old.ports);
    let mut known: BTreeMap<&str, PortId> = old_ports().map(|(id, p)| (&*p.name, id)).collect();
    let names: BTreeSet<&str> = new.iter().map(|p| &*p.name).collect();
    let mut free = old_ports()
        .filter(|(id, p)| old.retired.ports.contains(id) && !names.contains(&*p.name))
        .map(|(id, _)| id);
    let mut all = old.ports.clone();
    let mut at = Vec::with_capacity(new.len());
    for port in &new {
        let id = known.remove(&*port.name).or_else(|| free.next());
        let id = id.unwrap_or_else(|| {
            all.push(port.clone());
            // The configuration allows far fewer ports than that.
            PortId(u16::try_from(all.len() - 1).unwrap_or(u16::MAX))
        });
        if let Some(here) = all.get_mut(id.index()) {
            here.clone_from(port);
        }
        at.push(id);
    }
    (all, at)
}

/// Returns all devices by id, and the ids of the new ones.
fn devices_by_id(
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
        let id = known.remove(&identity(&device));
        let id = id.unwrap_or_else(|| {
            all.push(device.clone());
            DeviceId(u32::try_from(all.len() - 1).unwrap_or(u32::MAX))
        });
        if let Some(here) = all.get_mut(id.index()) {
            *here = device;
        }
        at.insert(id);
    }
    // A device that is no longer configured signs nothing; a log-out needs no secret.
    for id in known.into_values() {
        if let Some(left) = all.get_mut(id.index()) {
            left.secret = Secret::new("");
            left.access = None;
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
            store: old.store != new.store,
            remote: rules(&old.remote) != rules(&new.remote),
        }
    }
}

/// Returns what the configuration says about remote configurations. Which one is in force, and
/// which have failed, is no rule.
fn rules(remote: &RemotePolicy) -> RemotePolicy {
    RemotePolicy {
        in_force: None,
        failed: Vec::new(),
        ..remote.clone()
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
    /// Compares all fields by name: a new field has to say here what it changes.
    fn between(before: &DeviceSpec, now: &DeviceSpec) -> Self {
        let DeviceSpec {
            name,
            port,
            address,
            serial,
            profile,
            // The identity is the same; otherwise this would be another device.
            product_key: _,
            device_name: _,
            secret,
            access,
            liveness,
            response_timeout,
            turnaround,
        } = before;
        DeviceChange {
            name: *name != now.name,
            moved: *port != now.port || !address.is_at(now.address),
            polling: (*response_timeout, *turnaround) != (now.response_timeout, now.turnaround)
                || (serial, access) != (&now.serial, &now.access)
                || !is_read_alike(profile, &now.profile),
            report: reports(profile).ne(reports(&now.profile)),
            events: profile.events != now.profile.events,
            secret: *secret != now.secret,
            liveness: *liveness != now.liveness,
        }
    }
}

/// Compares all fields of kinds of devices by name, except what is reported of their points
/// and which of their values are events.
fn is_read_alike(before: &ProfileSpec, now: &ProfileSpec) -> bool {
    let ProfileSpec {
        name,
        protocol,
        points,
        max_registers,
        reads,
        writes,
        services,
        events: _,
        about: _,
    } = before;
    let alike = |(before, now): (&PointSpec, &PointSpec)| {
        let PointSpec {
            id,
            address,
            codec,
            interval,
            priority,
            report: _,
            shown,
            write,
        } = before;
        (id, address, codec, interval) == (&now.id, &now.address, &now.codec, &now.interval)
            && (priority, write) == (&now.priority, &now.write)
            && (shown.stale_after, &shown.titles) == (now.shown.stale_after, &now.shown.titles)
    };
    (name, protocol, max_registers, reads)
        == (&now.name, &now.protocol, &now.max_registers, &now.reads)
        && (writes, services) == (&now.writes, &now.services)
        && points.len() == now.points.len()
        && points.iter().zip(&now.points).all(alike)
}

fn reports(profile: &ProfileSpec) -> impl Iterator<Item = &ReportPolicy> {
    profile.points.iter().map(|point| &point.report)
}

/// What a port leads to. Another path or address has other devices, whatever the name of the
/// port; other settings of the line do not make other devices.
#[derive(Debug, PartialEq, Eq)]
enum PortTarget<'a> {
    Serial(&'a Path),
    Tcp(&'a str, u16),
}

impl Spec {
    fn leads_to(&self, port: PortId) -> Option<PortTarget<'_>> {
        Some(match &self.port(port)?.line {
            LineSpec::Serial(SerialSpec {
                path,
                baud: _,
                data_bits: _,
                parity: _,
                stop_bits: _,
                framing: _,
                adapter: _,
            }) => PortTarget::Serial(path),
            LineSpec::Tcp(TcpSpec {
                host,
                port,
                connect_timeout: _,
                behind: _,
                connection: _,
                framing: _,
            }) => PortTarget::Tcp(host, *port),
        })
    }
}

impl PortChanges {
    fn between(old: &Spec, new: &Spec, devices: &DeviceChanges) -> Self {
        let before: BTreeSet<PortId> = old.ports().map(|(id, _)| id).collect();
        let now: BTreeSet<PortId> = new.ports().map(|(id, _)| id).collect();
        let repolled = devices.changed.iter().filter(|(_, c)| c.moved || c.polling);
        // Ports on which a device came, left or is polled in another way.
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
            // All settings of a port are compared: its `PartialEq` is derived.
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
