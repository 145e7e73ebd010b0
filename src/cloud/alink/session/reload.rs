//! Another configuration, while sessions go on.

use std::sync::Arc;

use crate::base::{DeviceId, Mono};
use crate::spec::Spec;

use crate::cloud::alink::session::device::{
    LoginNeed, QueueState, SessionState, ShownOnline, TopologyMembership,
};
use crate::cloud::alink::session::{DeviceSession, Sessions};

impl Sessions {
    /// Uses this installation from now on. What was learned of the platform's limit is
    /// forgotten, and so are refusals of malformed requests.
    pub(crate) fn respec(&mut self, now: Mono, spec: Arc<Spec>, limits: bool) {
        if limits {
            let rate = spec.cloud.post.messages_per_second;
            self.search_pace = self.search_pace.at_rate(rate / 2);
            let rate = spec.cloud.session.logins_per_second;
            self.pace = self.pace.at_rate(rate);
        }
        self.spec = spec;
        self.online_quota.forget();
        self.end_malformed_blocks(now);
    }

    /// Takes note that there are this many devices.
    pub(crate) fn grow(&mut self, devices: usize) {
        self.devices.resize_with(devices, DeviceSession::default);
    }

    /// Takes note that the device is no longer configured, so that no step precedes its
    /// log-in.
    pub(crate) fn need_nothing(&mut self, id: DeviceId) {
        self.devices[id.index()].login_need = None;
    }

    /// Forgets a device that is no longer configured, but not how often it was tried
    /// lately.
    pub(crate) fn forget(&mut self, id: DeviceId) {
        self.lift_block(id);
        if let Some(device) = self.devices.get_mut(id.index()) {
            (device.login_need, device.topology) = (None, TopologyMembership::default());
            device.new_secret = false;
        }
    }

    /// Takes note that this device signs with another secret from now on: refusals of the
    /// old secret are forgotten. The device is tried alone all the same. Without a secret
    /// it is registered first.
    pub(crate) fn secret_replaced(&mut self, now: Mono, id: DeviceId, has_secret: bool) {
        self.lift_block(id);
        let device = &mut self.devices[id.index()];
        device.refusal = None;
        device.new_secret = matches!(device.actual, SessionState::LoggingIn { .. });
        match (has_secret, device.login_need) {
            (false, _) => device.login_need = Some(LoginNeed::Register),
            (true, Some(LoginNeed::Register)) => device.login_need = None,
            (true, _) => {}
        }
        self.requeue(now, id, now);
    }

    /// Returns whether a refusal of this device's log-in means nothing any more.
    pub(crate) fn is_refusal_void(&self, id: DeviceId) -> bool {
        let resigned = self.devices.get(id.index()).is_some_and(|d| d.new_secret);
        resigned || !self.spec.has(id)
    }

    /// Ends the retry block of a device.
    pub(crate) fn lift_block(&mut self, id: DeviceId) {
        if let Some(device) = self.devices.get_mut(id.index())
            && let Some(block) = device.block.take()
        {
            self.blocks.remove(&(block.until, id));
        }
    }

    /// Returns whether the device is not and cannot be online, and no request for it is under way
    /// or waits.
    pub(crate) fn is_gone(&self, id: DeviceId) -> bool {
        let device = self.devices.get(id.index());
        device.is_none_or(|d| {
            d.actual == SessionState::Out
                && d.queue == QueueState::NotQueued
                && d.shown_online == ShownOnline::No
        })
    }

    /// Forgets which devices are in the topology.
    pub(crate) fn forget_topology_memberships(&mut self, now: Mono) {
        for device in &mut self.devices {
            device.topology = TopologyMembership::default();
            device.shown_online = ShownOnline::No;
            if device.login_need == Some(LoginNeed::Relate) {
                device.login_need = None;
            }
        }
        for id in self.ids() {
            self.requeue(now, id, now);
        }
    }

    /// Makes the wishes count again.
    pub(crate) fn resume(&mut self) {
        self.stopping = false;
        self.unconfirmed = 0;
    }
}
