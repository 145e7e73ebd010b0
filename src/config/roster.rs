//! All devices, and what each of them has taken: names, units, identities.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::problem::Wrong;
use super::profile::Profile;
use super::range::fill;
use super::secret::SecretSource;
use super::section::{Notes, Section, shown};
use super::tree::OriginId;
use super::word;
use crate::base::{PortId, UnitId};
use crate::spec::{Liveness, ProfileSpec};

/// One device, but for its secret, which is still to be read.
pub(crate) struct DeviceDraft {
    pub(crate) name: String,
    pub(crate) port: PortId,
    pub(crate) unit: UnitId,
    pub(crate) profile: Arc<ProfileSpec>,
    pub(crate) product_key: String,
    pub(crate) device_name: String,
    pub(crate) secret: SecretSource,
    pub(crate) liveness: Liveness,
    pub(crate) response_timeout: Option<Duration>,
    pub(crate) turnaround: Duration,
    pub(crate) at: OriginId,
}

/// All devices so far, and what is taken.
#[derive(Default)]
pub(crate) struct Roster {
    pub(crate) all: Vec<DeviceDraft>,
    names: BTreeMap<String, OriginId>,
    identities: BTreeMap<(String, String), OriginId>,
    units: BTreeMap<(PortId, u8), (String, OriginId)>,
}

/// One entry: a device, or what the devices of a range have in common.
pub(crate) struct Entry<'a> {
    pub(crate) s: Section<'a>,
    pub(crate) name: String,
    pub(crate) device_name: Option<String>,
    pub(crate) port: Option<PortId>,
    pub(crate) profile: Option<&'a Profile>,
    pub(crate) product_key: Option<String>,
    pub(crate) secret: SecretSource,
    pub(crate) liveness: Liveness,
    pub(crate) response_timeout: Option<Duration>,
    pub(crate) turnaround: Duration,
}

impl Roster {
    /// Adds the device that `entry` makes with `unit`; notes what is taken.
    pub(crate) fn add(&mut self, entry: &Entry<'_>, unit: u8, notes: &mut Notes) {
        // Patterns were tried when the entry was read.
        let filled = |pattern: &str| fill(pattern, unit).unwrap_or_default();
        let name = filled(&entry.name);
        let device_name = entry.device_name.as_deref().map_or(name.clone(), filled);
        let secret = entry.secret.of_unit(unit);
        let identity = entry
            .product_key
            .clone()
            .map(|product| (product, device_name.clone()));
        self.check_names(entry, &name, &device_name, identity.as_ref(), notes);
        self.check_unit(entry, unit, notes);

        let at = entry.s.origin;
        self.names.entry(name.clone()).or_insert(at);
        if let Some(identity) = identity {
            self.identities.entry(identity).or_insert(at);
        }
        if let Some(port) = entry.port {
            let taken = (name.clone(), at);
            self.units.entry((port, unit)).or_insert(taken);
        }
        // Without port or profile something is already noted, and the device
        // only takes its place.
        let (Some(port), Some(profile)) = (entry.port, entry.profile) else {
            return;
        };
        self.all.push(DeviceDraft {
            name,
            port,
            unit: UnitId(unit),
            profile: profile.spec.clone(),
            product_key: entry.product_key.clone().unwrap_or_default(),
            device_name,
            secret,
            liveness: entry.liveness,
            response_timeout: entry.response_timeout,
            turnaround: entry.turnaround,
            at,
        });
    }

    fn check_names(
        &self,
        entry: &Entry<'_>,
        name: &str,
        device_name: &str,
        identity: Option<&(String, String)>,
        notes: &mut Notes,
    ) {
        let s = &entry.s;
        let written = s.node("device_name").is_some();
        let key = if written { "device_name" } else { "name" };
        // A device name that could not be read is already noted.
        let known = entry.device_name.is_some() == written;
        if let Err(wrong) = word::device_name(device_name)
            && known
        {
            let hint = "the name is also the DeviceName; give device_name: as well if they differ";
            let hint = (!written).then(|| hint.to_owned());
            notes.error(s.at(key), shown(device_name), wrong.maybe_hint(hint));
        }
        if let Some(first) = self.names.get(name) {
            let hint = format!("{} already has this name", notes.origins.line(*first));
            notes.error(
                s.at("name"),
                shown(name),
                Wrong::wanted("a name no other device has").hint(hint),
            );
        } else if let Some(identity) = identity
            && let Some(first) = self.identities.get(identity)
        {
            let hint = format!("{} is already this device", notes.origins.line(*first));
            notes.error(
                s.at(key),
                format!("{}/{}", identity.0, identity.1),
                Wrong::wanted("a product_key and device_name no other device has").hint(hint),
            );
        }
    }

    fn check_unit(&self, entry: &Entry<'_>, unit: u8, notes: &mut Notes) {
        let taken = entry.port.and_then(|port| self.units.get(&(port, unit)));
        let Some((first, at)) = taken else { return };
        let line = notes.origins.line(*at);
        let hint = format!("{first} ({line}) already has unit {unit} on this port");
        let alone = entry.s.node("unit").is_some();
        notes.error(
            entry.s.at(if alone { "unit" } else { "units" }),
            unit.to_string(),
            Wrong::wanted("a unit no other device on the port has").hint(hint),
        );
    }
}
