//! Who the devices are at the platform, which secrets they have, and what their requests
//! are signed with.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::{DeviceId, Rng, Secret, Wall};
use crate::spec::{Spec, Subscriptions};

use crate::cloud::alink::wire::payload::Login;
use crate::cloud::alink::wire::payload::relation::{ProductRegisterEntry, TopologyAddEntry};
use crate::cloud::alink::wire::sign;
use crate::cloud::alink::wire::topic::DeviceIdentity;

/// The identities of the gateway and of its devices.
#[derive(Clone, Debug)]
pub(crate) struct Identities {
    spec: Arc<Spec>,
    gateway: DeviceIdentity,
    devices: Vec<DeviceIdentity>,
    ids: BTreeMap<DeviceIdentity, DeviceId>,
    /// Secrets that are missing in the configuration, or wrong there.
    secrets: BTreeMap<DeviceId, Secret>,
}

impl Identities {
    pub(crate) fn new(spec: Arc<Spec>) -> Self {
        let devices: Vec<DeviceIdentity> =
            spec.devices.iter().map(DeviceIdentity::of_device).collect();
        Identities {
            gateway: DeviceIdentity::of_gateway(&spec),
            ids: devices
                .iter()
                .cloned()
                .zip((0u32..).map(DeviceId))
                .collect(),
            devices,
            secrets: BTreeMap::new(),
            spec,
        }
    }

    // --- who is who --------------------------------------------------------------

    /// Returns this installation.
    pub(crate) fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Returns the gateway's identity.
    pub(crate) const fn gateway(&self) -> &DeviceIdentity {
        &self.gateway
    }

    /// Returns a device's identity.
    pub(crate) fn of(&self, id: DeviceId) -> &DeviceIdentity {
        &self.devices[id.index()]
    }

    /// Returns the device with this identity, if there is one.
    pub(crate) fn id(&self, who: &DeviceIdentity) -> Option<DeviceId> {
        self.ids.get(who).copied()
    }

    /// Returns those of these identities that are devices of ours.
    pub(crate) fn known(&self, list: &[DeviceIdentity]) -> Vec<DeviceId> {
        list.iter().filter_map(|who| self.id(who)).collect()
    }

    /// Returns all devices that were ever configured, also those that are not any more.
    pub(crate) fn all(&self) -> impl Iterator<Item = DeviceId> + use<> {
        (0u32..).map(DeviceId).take(self.devices.len())
    }

    /// Returns device names for the journal.
    pub(crate) fn names(&self, ids: &[DeviceId]) -> String {
        let names = ids.iter().filter_map(|id| self.spec.device(*id));
        names.map(|d| d.name.as_str()).collect::<Vec<_>>().join(" ")
    }

    // --- secrets -----------------------------------------------------------------

    /// Uses this secret for the device, before the configured one; returns whether it is
    /// another than before. An unknown device is ignored.
    pub(crate) fn change_secret(&mut self, id: DeviceId, secret: Secret) -> bool {
        let Some(configured) = self.spec.device(id).map(|d| &d.secret) else {
            return false;
        };
        if secret.is_empty() || *self.secrets.get(&id).unwrap_or(configured) == secret {
            return false;
        }
        self.secrets.insert(id, secret);
        true
    }

    /// Uses this secret, which the platform has just given.
    pub(crate) fn take_secret(&mut self, id: DeviceId, secret: Secret) {
        self.secrets.insert(id, secret);
    }

    /// Forgets a secret that the platform gave, if there is one.
    pub(crate) fn forget_secret(&mut self, id: DeviceId) {
        self.secrets.remove(&id);
    }

    /// Lets a configured secret go before a secret that the platform gave; returns whether
    /// there is either.
    pub(crate) fn prefer_configured_secret(&mut self, id: DeviceId) -> bool {
        let configured = self.spec.device(id).is_some_and(|d| !d.secret.is_empty());
        if configured {
            self.secrets.remove(&id);
        }
        configured || self.secrets.contains_key(&id)
    }

    // --- another configuration ---------------------------------------------------

    /// Uses this installation from now on. Devices that are new have no identity before
    /// [`Identities::add`].
    pub(crate) fn respec(&mut self, spec: Arc<Spec>) {
        self.gateway = DeviceIdentity::of_gateway(&spec);
        let new = spec.devices.iter().skip(self.devices.len());
        self.devices.extend(new.map(DeviceIdentity::of_device));
        self.spec = spec;
    }

    /// Takes note that this device is configured.
    pub(crate) fn add(&mut self, id: DeviceId) {
        if let Some(who) = self.devices.get(id.index()) {
            self.ids.insert(who.clone(), id);
        }
    }

    /// Forgets a device that is no longer configured, and its secret.
    pub(crate) fn forget(&mut self, id: DeviceId) {
        self.secrets.remove(&id);
        if let Some(who) = self.devices.get(id.index()) {
            self.ids.remove(who);
        }
    }

    // --- signatures --------------------------------------------------------------

    /// Returns one device's part of a log-in, signed with its secret at this time.
    pub(crate) fn login(&self, at: Wall, id: DeviceId) -> Login {
        let who = &self.devices[id.index()];
        let (pk, dn) = (who.product_key.as_str(), who.device_name.as_str());
        // The suffix asks the platform to subscribe the device's topics, the
        // reply to its posts among them, as the C and Python SDKs do.
        let client_id = match self.spec.cloud.broker.subscriptions {
            Subscriptions::Platform => format!("{pk}.{dn}|_ss=1|"),
            Subscriptions::Broker => format!("{pk}&{dn}"),
        };
        let (timestamp, sign) = self.signed(at, id, &client_id);
        let method = self.spec.cloud.sign_method;
        Login::new(who, client_id, timestamp, method, sign)
    }

    /// Returns one device's part of a relation, signed with its secret at this time.
    pub(crate) fn relation(&self, at: Wall, id: DeviceId) -> TopologyAddEntry {
        let who = &self.devices[id.index()];
        let client_id = format!("{}&{}", who.product_key, who.device_name);
        let (timestamp, sign) = self.signed(at, id, &client_id);
        TopologyAddEntry::new(who, client_id, timestamp, self.spec.cloud.sign_method, sign)
    }

    /// Returns the parts of these devices, signed with the secrets of their products.
    pub(crate) fn proxied(&self, members: &[DeviceId], rng: &mut Rng) -> Vec<ProductRegisterEntry> {
        let cloud = &self.spec.cloud;
        let one = |id: &DeviceId| {
            let who = self.devices.get(id.index())?;
            let secret = cloud.products.get(&who.product_key)?;
            // 20 hexadecimal digits, as the C SDK has it.
            let random = format!("{:016x}{:04x}", rng.next_u64(), rng.below(1 << 16));
            Some(ProductRegisterEntry::new(
                who,
                secret,
                cloud.sign_method,
                random,
            ))
        };
        members.iter().filter_map(one).collect()
    }

    /// Returns the time stamp, and the signature over it.
    fn signed(&self, at: Wall, id: DeviceId, client_id: &str) -> (String, String) {
        let who = &self.devices[id.index()];
        let (pk, dn) = (who.product_key.as_str(), who.device_name.as_str());
        let timestamp = at.as_millis().max(0).to_string();
        let content = sign::device_content(client_id, dn, pk, Some(&timestamp));
        let secret = self.secrets.get(&id);
        let secret = secret.unwrap_or(&self.spec.devices[id.index()].secret);
        let sign = sign::sign(self.spec.cloud.sign_method, secret, &content);
        (timestamp, sign)
    }
}
