//! Another configuration, while the engine runs.
//!
//! [`Cloud::respec`] on a connection that stays: a device that is no longer configured is
//! logged out and then forgotten; a device whose secret changed is tried again soon, and
//! stays online if it is; limits hold from now on. Nothing that is under way is taken back:
//! its answer is taken as ever, and the result is compared with what is now wanted. A
//! device number stands for one identity for ever (see [`crate::spec::reload`]), so an
//! answer cannot be about another device.
//!
//! Where another connection is needed, [`Cloud::part`] first logs all devices out of the
//! old one, as [`Cloud::stop`] does, but wishes and readings are kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::{DeviceId, LogoutReason, Mono, Now, Reading};
use crate::spec::{Changes, ProfileSpec, Spec};

use crate::cloud::alink::engine::Cloud;
use crate::cloud::alink::engine::store::history_limits;

/// The new number of each point of a device's profile, if the point is still there.
type PointRenumbering = BTreeMap<DeviceId, Vec<Option<u16>>>;

impl Cloud {
    /// Uses this installation from now on; `changes` tells how it differs from the last. If
    /// the connection changes, the old one must have ended.
    pub fn respec(&mut self, now: Now, spec: Arc<Spec>, changes: &Changes) {
        let mono = now.mono;
        let old = std::mem::replace(&mut self.spec, Arc::clone(&spec));
        self.posts.respec(Arc::clone(&spec));
        self.identities.respec(Arc::clone(&spec));
        if changes.cloud.limits {
            let rate = spec.cloud.post.messages_per_second;
            self.pace = self.pace.at_rate(rate);
            self.history.set_limits(history_limits(&spec));
            self.registration.relimit(&spec.cloud.session);
            self.topology.relimit(&spec.cloud.session);
        }
        self.sessions
            .respec(mono, Arc::clone(&spec), changes.cloud.limits);
        self.remote.respec(now, &spec.cloud.remote);
        let renumbering = renumbering(&old, &spec, changes);
        if changes.cloud.limits || !renumbering.is_empty() {
            self.repack(mono, &renumbering);
        }
        self.sessions.grow(spec.devices.len());
        // If some devices are removed as well, the topology is asked for once those are
        // gone.
        if !changes.devices.added.is_empty() && changes.devices.removed.is_empty() {
            self.topology.look_again(mono);
        }
        for id in &changes.devices.added {
            self.identities.add(*id);
            self.retiring.remove(id);
            self.secret_replaced(mono, *id);
        }
        for (id, change) in &changes.devices.changed {
            if change.secret {
                self.identities.forget_secret(*id);
                self.secret_replaced(mono, *id);
            }
        }
        for id in &changes.devices.removed {
            self.retiring.insert(*id);
            self.topology.forget(*id);
            self.sessions.need_nothing(*id);
            self.want_offline(now, *id, LogoutReason::Removed);
        }
        if changes.cloud.products {
            let (before, after) = (&old.cloud.products, &spec.cloud.products);
            self.registration
                .products_changed(mono, &mut self.sessions, &self.identities, |who| {
                    before.get(&who.product_key) != after.get(&who.product_key)
                });
        }
        if changes.cloud.connection {
            self.orders.forget_all();
            self.sessions.forget_topology_memberships(mono);
        }
        if self.stop.resume() {
            self.sessions.resume();
        }
        self.follow(mono);
    }

    /// Takes note that this device is configured with another secret than before, or with
    /// one for the first time; the configured secret goes before a secret that we were
    /// given.
    fn secret_replaced(&mut self, now: Mono, id: DeviceId) {
        let has_secret = self.identities.prefer_configured_secret(id);
        self.sessions.secret_replaced(now, id, has_secret);
    }

    /// Forgets the devices that are no longer configured and of which nothing is left at
    /// the platform.
    pub(super) fn forget_retired(&mut self, now: Mono) {
        if self.retiring.is_empty() {
            return;
        }
        let (sessions, posts, registration) = (&self.sessions, &self.posts, &self.registration);
        let gone: Vec<DeviceId> = self
            .retiring
            .iter()
            .copied()
            .filter(|id| {
                sessions.is_gone(*id) && !posts.is_unsettled(*id) && !registration.has(*id)
            })
            .collect();
        for id in gone {
            self.retiring.remove(&id);
            self.sessions.forget(id);
            self.orders.forget(id);
            self.outbox.count().dropped_unknown += self.posts.forget(now, id);
            let events = self.events.forget(id).len();
            self.outbox.count().events_dropped_unknown += events as u64;
            self.identities.forget(id);
            if self.retiring.is_empty() {
                self.topology.look_again(now);
            }
        }
    }

    /// Takes back the readings that wait to be sent again, so that new limits apply to
    /// them, and gives every reading its point's new number.
    fn repack(&mut self, now: Mono, renumbering: &PointRenumbering) {
        self.posts.repack(now);
        let mut dropped = 0;
        for (id, points) in renumbering {
            dropped += self.posts.retain(now, *id, |r| renumber(r, points));
        }
        dropped += self
            .timestamps
            .retain(|reading| match renumbering.get(&reading.device) {
                Some(points) => renumber(reading, points),
                None => true,
            });
        dropped += self
            .spill
            .retain(|reading| match renumbering.get(&reading.device) {
                Some(points) => renumber(reading, points),
                None => true,
            });
        self.outbox.count().dropped_unknown += dropped;
    }
}

/// Gives a reading its point's new number; returns false if the point no longer exists.
fn renumber(reading: &mut Reading, points: &[Option<u16>]) -> bool {
    match points.get(usize::from(reading.point)) {
        Some(Some(new)) => {
            reading.point = *new;
            true
        }
        Some(None) | None => false,
    }
}

/// Returns the devices whose points are numbered otherwise than before.
fn renumbering(old: &Spec, new: &Spec, changes: &Changes) -> PointRenumbering {
    let ids = |p: &ProfileSpec| p.points.iter().map(|p| p.id.clone()).collect::<Vec<_>>();
    let changed = changes.devices.changed.iter().filter(|(_, c)| c.polling);
    // A device that comes back may not have been forgotten yet.
    changed
        .map(|(id, _)| id)
        .chain(&changes.devices.added)
        .filter_map(|id| {
            let before = ids(&old.device(*id)?.profile);
            let after = ids(&new.device(*id)?.profile);
            let at = |point| after.iter().position(|p| p == point);
            let renumbering = before
                .iter()
                .map(|p| at(p).and_then(|n| u16::try_from(n).ok()));
            (before != after).then(|| (*id, renumbering.collect()))
        })
        .collect()
}
