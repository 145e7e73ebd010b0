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

use crate::cloud::alink::engine::stop::Stop;
use crate::cloud::alink::engine::{Cloud, Output};
use crate::cloud::alink::wire::topic::Identity;

/// The new number of each point of a device's profile, if the point is still there.
type Moves = BTreeMap<DeviceId, Vec<Option<u16>>>;

impl Cloud {
    /// Leaves this connection: sends the readings that wait, but not for long, and logs all
    /// devices out. Ends with [`Output::LoggedOut`]; then the caller ends the link, and
    /// [`Cloud::respec`] begins again. Wishes and readings that come meanwhile are kept.
    pub fn part(&mut self, now: Now) {
        if self.stop == Stop::No {
            self.stop(now);
            self.parting = true;
        }
    }

    /// Turns parting into stopping.
    pub(crate) fn stop_for_good(&mut self) {
        if std::mem::take(&mut self.parting) && self.stop == Stop::Done {
            self.sum_up();
            self.out.push_back(Output::LoggedOut);
        }
    }

    /// Uses this installation from now on; `changes` tells how it differs from the last. If
    /// the connection changes, the old one must have ended.
    pub fn respec(&mut self, now: Now, spec: Arc<Spec>, changes: &Changes) {
        let mono = now.mono;
        let old = std::mem::replace(&mut self.spec, Arc::clone(&spec));
        self.posts.respec(Arc::clone(&spec));
        self.gateway = Identity::of_gateway(&spec);
        if changes.cloud.limits {
            let rate = spec.cloud.post.messages_per_second;
            self.bucket = self.bucket.at_rate(rate);
            self.registration.relimit(&spec.cloud.session);
            self.topology.relimit(&spec.cloud.session);
        }
        self.sessions
            .respec(mono, Arc::clone(&spec), changes.cloud.limits);
        self.remote.respec(now, &spec.cloud.remote);
        let moves = moves(&old, &spec, changes);
        if changes.cloud.limits || !moves.is_empty() {
            self.repack(mono, &moves);
        }
        for d in spec.devices.iter().skip(self.identities.len()) {
            self.identities.push(Identity::of_device(d));
        }
        self.sessions.grow(self.identities.len());
        // If some devices are removed as well, the topology is asked for once those are
        // gone.
        if !changes.devices.added.is_empty() && changes.devices.removed.is_empty() {
            self.topology.look_again(mono);
        }
        for id in &changes.devices.added {
            if let Some(who) = self.identities.get(id.index()) {
                self.ids.insert(who.clone(), *id);
            }
            self.retiring.remove(id);
            self.resigned(mono, *id);
        }
        for (id, change) in &changes.devices.changed {
            if change.secret {
                self.secrets.remove(id);
                self.resigned(mono, *id);
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
            self.products_changed(mono, |who| {
                before.get(&who.product_key) != after.get(&who.product_key)
            });
        }
        if changes.cloud.connection {
            // The orders taken so far were about another gateway.
            self.heard.clear();
            self.sessions.forget_topology_places(mono);
        }
        if std::mem::take(&mut self.parting) {
            self.stop = Stop::No;
            self.sessions.resume();
        }
        self.follow(mono);
    }

    /// Takes note that this device is configured with another secret than before, or with
    /// one for the first time; the configured secret goes before a secret that we were
    /// given.
    fn resigned(&mut self, now: Mono, id: DeviceId) {
        let configured = self.spec.device(id).is_some_and(|d| !d.secret.is_empty());
        if configured {
            self.secrets.remove(&id);
        }
        let has_secret = configured || self.secrets.contains_key(&id);
        self.sessions.resigned(now, id, has_secret);
    }

    /// Forgets the devices that are no longer configured and of which nothing is left at
    /// the platform.
    pub(crate) fn forget_retired(&mut self, now: Mono) {
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
            self.secrets.remove(&id);
            self.heard.remove(&id);
            self.outbox.count().dropped_unknown += self.posts.forget(now, id);
            if let Some(who) = self.identities.get(id.index()) {
                self.ids.remove(who);
            }
            if self.retiring.is_empty() {
                self.topology.look_again(now);
            }
        }
    }

    /// Takes back the readings that wait to be sent again, so that new limits apply to
    /// them, and gives every reading its point's new number.
    fn repack(&mut self, now: Mono, moves: &Moves) {
        self.posts.repack(now);
        let mut dropped = 0;
        for (id, points) in moves {
            dropped += self.posts.retain(now, *id, |r| renumber(r, points));
        }
        dropped += self
            .timestamps
            .retain(|reading| match moves.get(&reading.device) {
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
fn moves(old: &Spec, new: &Spec, changes: &Changes) -> Moves {
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
            let moves = before
                .iter()
                .map(|p| at(p).and_then(|n| u16::try_from(n).ok()));
            (before != after).then(|| (*id, moves.collect()))
        })
        .collect()
}
