//! Devices without a standard whose replies name no sender: the stale reply of one such
//! device may be taken for another's ([`crate::field::stale::shared_stale_reply`]).

use super::*;
use crate::field::raw;
use crate::spec::Protocol;
use crate::spec::raw::RawQuestion;

/// Gives each device the reply classes that its questions share with other devices.
pub(super) fn assign_reply_classes(polled_devices: &mut [PolledDevice]) {
    let profiles: Vec<_> = polled_devices
        .iter()
        .map(|s| Arc::clone(s.profile()))
        .collect();
    let questions = |profile: &'_ Arc<ProfileSpec>| match &profile.protocol {
        Protocol::Raw(questions) => questions.clone(),
        Protocol::Modbus | Protocol::Dlt645(_) => Vec::new(),
    };
    let questions: Vec<Vec<Arc<RawQuestion>>> = profiles.iter().map(questions).collect();
    let questions: Vec<&[Arc<RawQuestion>]> = questions.iter().map(Vec::as_slice).collect();
    for (polled_device, reply_classes) in polled_devices
        .iter_mut()
        .zip(raw::reply_classes(&questions))
    {
        polled_device.set_reply_classes(reply_classes);
    }
}

impl Schedule {
    /// Takes the end of a request, for the devices of the same reply class.
    pub(super) fn share_outcome(&mut self, now: Mono, request: &Request, outcome: &Outcome) {
        let who = self
            .devices
            .iter_mut()
            .find(|s| s.device() == request.device);
        let Some((word, cleared)) = who.map(|s| s.tell(now, request, outcome)) else {
            return;
        };
        for other in self
            .devices
            .iter_mut()
            .filter(|s| s.device() != request.device)
        {
            other.hear(now, request.device, word, cleared);
        }
    }
}
