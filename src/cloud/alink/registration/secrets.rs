//! Secrets for sub-devices that were configured without: asked of the platform,
//! once in a device's life, and handed out to be kept.
//!
//! A device whose product's secret is known asks with its signature
//! (`thing/proxy/provisioning/product_register`), any other by its name alone
//! (`thing/sub/register`). Gathering, pacing and taking refused messages apart is
//! `registration/mod.rs`, as for the topology.
//!
//! Invariants:
//! - Nobody asks while what is given could not be kept ([`Cloud::can_keep`]).
//! - A secret that was given is taken and handed out to be kept, whatever the
//!   code of its reply and however late it comes.
//! - A device that has a secret never asks, until the platform refuses what it
//!   signs with one that was given.

use crate::base::{DeviceId, Mono, Now};

use crate::cloud::alink::engine::{Cloud, Output};
use crate::cloud::alink::events::Notice;
use crate::cloud::alink::session::device::{LoginNeed, QueueKind};
use crate::cloud::alink::topology::events::TopologyEvent;
use crate::cloud::alink::wire::payload::relation;
use crate::cloud::alink::wire::payload::relation::Proxied;
use crate::cloud::alink::wire::topic::Identity;

impl Cloud {
    /// Whether a secret that the platform gives could be kept. As long as it
    /// could not, nobody asks for one; the others go on. It can until somebody
    /// says otherwise.
    pub fn can_keep(&mut self, now: Now, able: bool) {
        self.admission.keepable = able;
        self.follow(now.mono);
    }

    /// Whether some device would ask for a secret now if it could be kept: then it
    /// is worth finding out.
    #[must_use]
    pub fn wants_secrets(&self, now: Now) -> bool {
        self.admission.wants_secrets(now.mono)
    }

    /// Where this device asks for that.
    pub(crate) fn desk(&self, step: LoginNeed, id: DeviceId) -> QueueKind {
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

    /// These devices, signed for with the secrets of their products.
    pub(crate) fn proxied(&mut self, members: &[DeviceId]) -> Vec<Proxied> {
        let cloud = &self.spec.cloud;
        let rng = &mut self.admission.rng;
        let one = |id: &DeviceId| {
            let who = self.identities.get(id.index())?;
            let secret = cloud.products.get(&who.product_key)?;
            // 20 hexadecimal digits, as the C SDK has it.
            let random = format!("{:016x}{:04x}", rng.next_u64(), rng.below(1 << 16));
            Some(Proxied::new(who, secret, cloud.sign_method, random))
        };
        members.iter().filter_map(one).collect()
    }

    /// Takes the secrets in the reply to what was asked for `asked`; gives whose
    /// they are.
    pub(crate) fn take_secrets(
        &mut self,
        now: Mono,
        asked: &[DeviceId],
        payload: &[u8],
    ) -> Vec<DeviceId> {
        let given = self.take(now, payload, |_, id| asked.contains(&id));
        for id in &given {
            self.admission.free(*id);
        }
        given
    }

    /// The same in a reply that comes when nobody waits for it any more: for
    /// those who still lack theirs. They stand here, asking again; where they
    /// stand they will be let go.
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
                self.diary.counters.strangers += 1;
                continue;
            };
            self.secrets.insert(id, secret.clone());
            self.out.push_back(Output::Keep { device: id, secret });
            self.sessions.secret_changed(now, id);
            given.push(id);
        }
        self.diary.counters.registered += given.len() as u64;
        if !given.is_empty() {
            let names = self.names(&given);
            let devices = given.clone();
            self.diary
                .tell(Notice::Roll(TopologyEvent::Registered { devices, names }));
        }
        given
    }

    /// Secrets of products have changed: who still lacks one asks at once, where
    /// it is now to ask.
    pub(crate) fn products_changed(&mut self, now: Mono, is_changed: impl Fn(&Identity) -> bool) {
        let off = self.admission.call_off_registrations();
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
