//! Secrets for sub-devices that were configured without: requested from the platform, once
//! in a device's life, and handed out to be kept.
//!
//! A device whose product's secret is known asks with that secret's signature
//! (`thing/proxy/provisioning/product_register`), any other by its name alone
//! (`thing/sub/register`). `registration/mod.rs` gathers the requests, paces them and takes
//! refused messages apart, as for the topology.
//!
//! Invariants:
//! - No device asks while a secret could not be kept ([`Cloud::can_keep`]).
//! - A secret that was given is taken and handed out to be kept, whatever the code of its
//!   reply and however late it comes.
//! - A device that has a secret never asks, until the platform refuses a signature with a
//!   secret that the platform gave.

use crate::base::{DeviceId, Mono, Now};

use crate::cloud::alink::engine::{Cloud, Output};
use crate::cloud::alink::events::Notice;
use crate::cloud::alink::registration::queue::QueueKind;
use crate::cloud::alink::session::device::LoginNeed;
use crate::cloud::alink::topology::events::TopologyEvent;
use crate::cloud::alink::wire::payload::relation;
use crate::cloud::alink::wire::payload::relation::Proxied;
use crate::cloud::alink::wire::topic::Identity;

impl Cloud {
    /// Sets whether a secret that the platform gives could be kept. As long as it could
    /// not, no device asks for a secret; devices that need none go on. At first a secret
    /// can be kept.
    pub fn can_keep(&mut self, now: Now, able: bool) {
        self.registration.keepable = able;
        self.follow(now.mono);
    }

    /// Whether some device would ask for a secret now if it could be kept: then the caller
    /// should find out whether it can be kept.
    #[must_use]
    pub fn wants_secrets(&self, now: Now) -> bool {
        self.registration.wants_secrets(now.mono)
    }

    /// Returns the queue in which this device asks for that step.
    pub(crate) fn queue(&self, step: LoginNeed, id: DeviceId) -> QueueKind {
        match step {
            LoginNeed::Relate => QueueKind::Relate,
            LoginNeed::Register => {
                let product = self.spec.device(id).map(|d| &d.product_key);
                let known = product.is_some_and(|p| self.spec.cloud.products.contains_key(p));
                match known {
                    true => QueueKind::ProductRegister,
                    false => QueueKind::Register,
                }
            }
        }
    }

    /// Returns the parts of these devices, signed with the secrets of their products.
    pub(crate) fn proxied(&mut self, members: &[DeviceId]) -> Vec<Proxied> {
        let cloud = &self.spec.cloud;
        let rng = &mut self.registration.rng;
        let one = |id: &DeviceId| {
            let who = self.identities.get(id.index())?;
            let secret = cloud.products.get(&who.product_key)?;
            // 20 hexadecimal digits, as the C SDK has it.
            let random = format!("{:016x}{:04x}", rng.next_u64(), rng.below(1 << 16));
            Some(Proxied::new(who, secret, cloud.sign_method, random))
        };
        members.iter().filter_map(one).collect()
    }

    /// Takes the secrets in the reply to a request for the devices `asked`; returns the
    /// devices that got one.
    pub(crate) fn take_secrets(
        &mut self,
        now: Mono,
        asked: &[DeviceId],
        payload: &[u8],
    ) -> Vec<DeviceId> {
        let given = self.take(now, payload, |_, id| asked.contains(&id));
        for id in &given {
            self.registration.free(*id);
        }
        given
    }

    /// Takes the secrets in a reply that came after its deadline, for devices that still
    /// lack theirs. Such a device is placed in a queue again by now; the place is freed
    /// when its turn comes.
    pub(crate) fn take_late_secrets(&mut self, now: Mono, payload: &[u8]) {
        self.take(now, payload, |cloud, id| cloud.sessions.lacks_secret(id));
    }

    fn take(
        &mut self,
        now: Mono,
        payload: &[u8],
        is_meant: impl Fn(&Cloud, DeviceId) -> bool,
    ) -> Vec<DeviceId> {
        let mut given = Vec::new();
        for (who, secret) in relation::registered(payload) {
            let id = self.ids.get(&who).copied();
            let Some(id) = id.filter(|id| is_meant(self, *id)) else {
                self.outbox.count().strangers += 1;
                continue;
            };
            self.secrets.insert(id, secret.clone());
            self.out.push_back(Output::Keep { device: id, secret });
            self.sessions.secret_changed(now, id);
            given.push(id);
        }
        self.outbox.count().registered += given.len() as u64;
        if !given.is_empty() {
            let names = self.names(&given);
            let devices = given.clone();
            self.outbox
                .tell(Notice::Topology(TopologyEvent::Registered {
                    devices,
                    names,
                }));
        }
        given
    }

    /// Takes note that secrets of products have changed: a device that still lacks a secret
    /// asks at once, in the queue that is now right for it.
    pub(crate) fn products_changed(&mut self, now: Mono, is_changed: impl Fn(&Identity) -> bool) {
        let off = self.registration.call_off_registrations();
        let lacking = self.spec.devices().map(|(id, _)| id);
        let lacking: Vec<DeviceId> = lacking
            .filter(|id| self.sessions.lacks_secret(*id))
            .filter(|id| self.identities.get(id.index()).is_some_and(&is_changed))
            .collect();
        for id in &lacking {
            self.sessions.acquit(*id);
        }
        for id in off.into_iter().chain(lacking) {
            self.sessions.settle(now, id, now);
        }
    }
}
