//! Secrets for sub-devices that were configured without: requested from the platform, once
//! in a device's life, and handed out to be kept.
//!
//! A device whose product's secret is known asks with that secret's signature
//! (`thing/proxy/provisioning/product_register`), any other by its name alone
//! (`thing/sub/register`). `registration/mod.rs` gathers the requests, paces them and takes
//! refused messages apart, as for the topology.
//!
//! Invariants:
//! - No device asks while a secret could not be kept (`Cloud::can_keep`).
//! - A secret that was given is taken and handed out to be kept, whatever the code of its
//!   reply and however late it comes.
//! - A device that has a secret never asks, until the platform refuses a signature with a
//!   secret that the platform gave.

use crate::base::{DeviceId, Mono, Secret};

use crate::cloud::alink::events::CloudLogEvent;
use crate::cloud::alink::registration::Registration;
use crate::cloud::alink::requests::context::Context;
use crate::cloud::alink::requests::identities::Identities;
use crate::cloud::alink::session::Sessions;
use crate::cloud::alink::topology::events::TopologyEvent;
use crate::cloud::alink::wire::payload::relation;
use crate::cloud::alink::wire::topic::DeviceIdentity;

impl Registration {
    /// Takes the secrets in the reply to a request for the devices `asked`; returns the
    /// devices that got one, and the secrets.
    pub(super) fn take_secrets(
        &mut self,
        context: &mut Context<'_>,
        sessions: &mut Sessions,
        asked: &[DeviceId],
        payload: &[u8],
    ) -> Vec<(DeviceId, Secret)> {
        let given = take(context, sessions, payload, |_, id| asked.contains(&id));
        for (id, _) in &given {
            self.free(*id);
        }
        given
    }

    /// Takes the secrets in a reply that came after its deadline, for devices that still
    /// lack theirs; returns these devices, and the secrets. Such a device is in a
    /// queue again by now; it is taken out when its turn comes.
    pub(crate) fn take_late_secrets(
        &self,
        context: &mut Context<'_>,
        sessions: &mut Sessions,
        payload: &[u8],
    ) -> Vec<(DeviceId, Secret)> {
        take(context, sessions, payload, Sessions::lacks_secret)
    }

    /// Takes note that secrets of products have changed: a device that still lacks a secret
    /// asks at once, in the queue that is now right for it.
    pub(crate) fn products_changed(
        &mut self,
        now: Mono,
        sessions: &mut Sessions,
        identities: &Identities,
        is_changed: impl Fn(&DeviceIdentity) -> bool,
    ) {
        let off = self.call_off_registrations();
        let lacking = identities.spec().devices().map(|(id, _)| id);
        let lacking: Vec<DeviceId> = lacking
            .filter(|id| sessions.lacks_secret(*id))
            .filter(|id| is_changed(identities.of(*id)))
            .collect();
        for id in &lacking {
            sessions.lift_block(*id);
        }
        for id in off.into_iter().chain(lacking) {
            sessions.requeue(now, id, now);
        }
    }
}

fn take(
    context: &mut Context<'_>,
    sessions: &mut Sessions,
    payload: &[u8],
    is_meant: impl Fn(&Sessions, DeviceId) -> bool,
) -> Vec<(DeviceId, Secret)> {
    let mut given = Vec::new();
    for (who, secret) in relation::registered(payload) {
        let id = context.identities.id(&who);
        let Some(id) = id.filter(|id| is_meant(sessions, *id)) else {
            context.outbox.count().strangers += 1;
            continue;
        };
        context.identities.take_secret(id, secret.clone());
        sessions.secret_changed(context.now, id);
        given.push((id, secret));
    }
    context.outbox.count().registered += given.len() as u64;
    if !given.is_empty() {
        let devices: Vec<DeviceId> = given.iter().map(|(id, _)| *id).collect();
        let names = context.identities.names(&devices);
        context
            .outbox
            .tell(CloudLogEvent::Topology(TopologyEvent::Registered {
                devices,
                names,
            }));
    }
    given
}
