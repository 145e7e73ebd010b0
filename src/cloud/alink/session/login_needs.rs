//! What a device needs before it can log in: a relation to the gateway, a valid secret. What is
//! asked for is gathered in `registration/mod.rs`.
//!
//! 6401 at a log-in is no device's fault before the device has been added. A batch refused
//! with 6401 and naming no device is not searched: its devices that are not known to be in
//! the topology wait until they are added, all at once, which an existing relation does not
//! mind. Only a device that was added within the last minute and is still refused gets a
//! retry block.

use crate::base::{DeviceId, Mono};
use crate::spec::TopologyPolicy;

use crate::cloud::alink::requests::isolation::RequestGroup;
use crate::cloud::alink::session::device::{
    LoginNeed, SessionChange, SessionState, ShownOnline, TopologyMembership,
};
use crate::cloud::alink::session::{Presence, SessionRequest, Sessions};
use crate::cloud::alink::wire::code::{Code, Remedy};

impl Sessions {
    /// After a refused batch, makes the devices wait that may have to be added first and
    /// puts off the rest. Returns the session request if there is no such device,
    /// or if the reply tells the devices apart.
    pub(crate) fn require_relation(
        &mut self,
        now: Mono,
        request: SessionRequest,
        code: Code,
        named: &[DeviceId],
    ) -> Option<SessionRequest> {
        let members = &request.group.members;
        let told = members.iter().filter(|m| named.contains(m)).count();
        let telling = told > 0 && told < members.len();
        let unrelated = |id: &DeviceId| {
            let topology = &self.devices[id.index()].topology;
            !topology.is_listed() && !topology.is_fresh(now)
        };
        if request.kind != SessionChange::LogIn
            || members.len() == 1
            || telling
            || !self.may_relate(code)
        {
            return Some(request);
        }
        let (to_relate, rest): (Vec<DeviceId>, Vec<DeviceId>) =
            members.iter().copied().partition(unrelated);
        if to_relate.is_empty() {
            return Some(request);
        }
        let refusals = self.refusals(&request) + 1;
        for id in to_relate {
            self.devices[id.index()].login_need = Some(LoginNeed::Relate);
            self.devices[id.index()].refusals = refusals;
            self.requeue(now, id, now);
        }
        let request = SessionRequest {
            group: RequestGroup { members: rest },
            refusals,
            ..request
        };
        self.put_off(now, request, now);
        None
    }

    /// Makes a device refused with this code be added to the topology first if that may help;
    /// returns whether it may. If so, the device gets no retry block.
    pub(crate) fn require_missing(&mut self, now: Mono, id: DeviceId, code: Code) -> bool {
        let may_relate = self.may_relate(code);
        let device = &mut self.devices[id.index()];
        if may_relate && !device.topology.is_fresh(now) {
            device.login_need = Some(LoginNeed::Relate);
            device.topology.list(false);
            return true;
        }
        self.doubt_secret(id, code);
        false
    }

    /// After a refused signature, marks a secret that was given to us as no longer valid:
    /// another is asked for once the retry block has ended.
    pub(crate) fn doubt_secret(&mut self, id: DeviceId, code: Code) {
        if code.remedy() == Remedy::Secret && self.spec.devices[id.index()].secret.is_empty() {
            self.devices[id.index()].login_need = Some(LoginNeed::Register);
        }
    }

    /// Returns whether the device still lacks a secret.
    pub(crate) fn lacks_secret(&self, id: DeviceId) -> bool {
        let device = self.devices.get(id.index());
        device.is_some_and(|d| d.login_need == Some(LoginNeed::Register))
    }

    fn may_relate(&self, code: Code) -> bool {
        code.remedy() == Remedy::Relation && self.limits().topology != TopologyPolicy::Leave
    }

    /// Logs out the devices that may have been online on the last connection, or in an
    /// earlier run, and are not wanted on this one; returns whether it was time. The
    /// platform ends every session with the connection, but goes on showing some kinds of
    /// device (LoRa) online until they are logged out. The reply that there is no session
    /// (520) is as good.
    pub(crate) fn log_out_shown_online(&mut self, now: Mono) -> bool {
        if self.shown_online_due.is_none_or(|at| at > now) {
            return false;
        }
        self.shown_online_due = None;
        for id in (0u32..).map(DeviceId).take(self.devices.len()) {
            self.doubt_shown_online(id);
            self.requeue(now, id, now);
        }
        true
    }

    /// Makes the device's session unsure if the device may still be shown online from
    /// before and is not wanted; it is logged out then. The device counts against the quota, even
    /// if none is left: the platform may count it too.
    pub(crate) fn doubt_shown_online(&mut self, id: DeviceId) {
        let device = &mut self.devices[id.index()];
        let wanted = device.wanted == Presence::Online && !self.stopping;
        if device.shown_online != ShownOnline::No
            && !wanted
            && device.actual == SessionState::Out
            && self.link
        {
            device.shown_online = ShownOnline::No;
            self.set_actual(id, SessionState::Unsure);
        }
    }

    /// Takes note of another secret for this device.
    pub(crate) fn secret_changed(&mut self, now: Mono, id: DeviceId) {
        let device = &mut self.devices[id.index()];
        device.new_secret = matches!(device.actual, SessionState::LoggingIn { .. });
        if device.login_need == Some(LoginNeed::Register) {
            device.login_need = None;
        }
        self.remedied(now, id, Remedy::Secret);
        self.requeue(now, id, now);
    }

    /// Takes note that the platform accepted our request to add the device.
    pub(crate) fn related(&mut self, now: Mono, id: DeviceId) {
        self.devices[id.index()].topology.add(now);
        self.released(now, id);
    }

    /// Takes note that the platform says that the device exists and is ours, whatever it
    /// said before.
    pub(crate) fn exists(&mut self, now: Mono, id: DeviceId) {
        self.remedied(now, id, Remedy::Relation);
        self.remedied(now, id, Remedy::Existence);
    }

    /// Takes note that the platform lists the device in the topology.
    pub(crate) fn listed(&mut self, now: Mono, id: DeviceId) {
        self.devices[id.index()].topology.list(true);
        self.released(now, id);
    }

    /// Makes the device need no relation first, also if it could not be added;
    /// its next log-in shows what that means.
    pub(crate) fn released(&mut self, now: Mono, id: DeviceId) {
        let device = &mut self.devices[id.index()];
        if device.login_need == Some(LoginNeed::Relate) {
            device.login_need = None;
        }
        self.requeue(now, id, now);
    }

    /// Makes the device be added, whatever was known of its relation.
    pub(crate) fn forget_topology_membership(&mut self, now: Mono, id: DeviceId) {
        let device = &mut self.devices[id.index()];
        device.topology = TopologyMembership::default();
        if matches!(device.actual, SessionState::Out | SessionState::Unsure)
            && device.login_need.is_none()
        {
            device.login_need = Some(LoginNeed::Relate);
            self.requeue(now, id, now);
        }
    }

    /// Returns whether the device still needs this step.
    pub(crate) fn needs(&self, now: Mono, id: DeviceId, step: LoginNeed) -> bool {
        let device = &self.devices[id.index()];
        match step {
            LoginNeed::Register => device.login_need == Some(LoginNeed::Register),
            LoginNeed::Relate => {
                device.login_need == Some(LoginNeed::Relate) || self.lacks_relation(now, id)
            }
        }
    }

    /// Returns whether a refusal of this step keeps the device offline.
    pub(crate) fn needs_block(&self, id: DeviceId, step: LoginNeed) -> bool {
        self.devices[id.index()].login_need == Some(step)
    }

    /// Returns whether the device is not known to be in the topology, and has a secret to add it
    /// with.
    pub(crate) fn lacks_relation(&self, now: Mono, id: DeviceId) -> bool {
        let device = &self.devices[id.index()];
        let related = device.topology.is_listed()
            || device.topology.is_fresh(now)
            || device.actual == SessionState::In;
        self.spec.has(id)
            && !related
            && device.login_need != Some(LoginNeed::Register)
            && device.block.is_none()
    }
}
