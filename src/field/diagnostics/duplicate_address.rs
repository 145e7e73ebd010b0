//! Suspects that two devices share an address.
//!
//! Both devices hear each request and both answer. If they answer at the same time, what comes
//! is spoilt: at this address, and nowhere else on the line. If one is slower, its reply comes
//! behind the reply of the other, and holds other values: a repeater would send the same
//! ones. It is a suspicion, for a person to look at; nothing is done about it here. One device
//! with a bad tap looks the same as two that answer at once.
//!
//! Each end of a request adds to the weight against its device or takes from it, by the ratio of
//! the two likelihoods (a sequential probability ratio test, Wald 1945): of two devices, 7 in
//! 10 replies are spoilt; of one on a noisy line, 15 in 100. A device whose replies are spoilt
//! one in ten times, and those of its neighbours are not, is told once in millions of replies.
//! The number of replies decides and not the time. So a device that has some weight is
//! asked more often while the line is idle ([`DuplicateAddresses::samples`]).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::base::{DeviceId, LivenessEvidence, LivenessProof, MissReason, Mono};
use crate::field::modbus::Data;
use crate::field::receiver::OverheardReply;

/// What a spoilt reply adds: ten times the logarithm of 0.7 / 0.15.
const SPOILT: u32 = 15;

/// What a good reply takes away: ten times the logarithm of 0.85 / 0.3.
const FINE: u32 = 10;

/// What a second, different reply to one request adds. One device does not do that, and
/// another master that asks the device does it at its own times, outside ours as well.
const DIFFERENT_REPLY_SCORE: u32 = 40;

/// From here on it is told: seven spoilt replies in a row, or three with a different one behind
/// them.
const REPORT_SCORE: u32 = 100;

/// So many different second replies need no other device to compare with.
const CERTAIN: u32 = 3;

/// From here on the device is asked more often: two spoilt replies.
const SAMPLED: u32 = 30;

/// How long after the last request to it such a device is asked again.
const SAMPLE_GAP: Duration = Duration::from_secs(1);

/// Since the weight was 0, others must have given so many good replies …
const OTHERS: u32 = 4;

/// … and so many good ones for each spoilt one, then and before.
const OTHERS_FINE: u32 = 16;

/// Old replies count half, each time this many more have come.
const MEMORY: u32 = 64;

/// How long after a late reply of another device spoilt replies may be its doing, and after a
/// silence or a copy of the device itself a second reply may be a late one.
const LATE: Duration = Duration::from_secs(60);

/// How long after it was told it is told again, if more spoke for it since: a device that is
/// switched off keeps its weight, and gives no new reason.
const TELL_AGAIN: Duration = Duration::from_secs(3600);

/// How many answers of a device are remembered: a repeater may send an older one again.
const ANSWERS: usize = 4;

/// Replies on one line, by device.
#[derive(Clone, Debug, Default)]
pub struct DuplicateAddresses {
    devices: BTreeMap<DeviceId, Replies>,
    /// Which devices were told, and when last.
    told: BTreeMap<DeviceId, Mono>,
    untold: VecDeque<DeviceId>,
    /// The device that was late last, and when.
    late: Option<(DeviceId, Mono)>,
}

#[derive(Clone, Debug, Default)]
struct Replies {
    fine: u32,
    spoilt: u32,
    /// How much speaks for two devices; 0: nothing.
    weight: u32,
    /// Whether anything was added since it was last told.
    is_news: bool,
    /// Second replies with other values since the weight was 0.
    different: u32,
    /// Replies of other devices since the weight was 0.
    others_fine: u32,
    others_spoilt: u32,
    /// When a request to the device last ended …
    ended: Option<Mono>,
    /// … or a second reply to it came.
    at: Option<Mono>,
    /// When the device last said nothing, repeated itself, or something came of it that belongs to
    /// no request.
    doubtful: Option<Mono>,
    /// Its last answers, the newest last.
    answers: VecDeque<Data>,
    /// When the newest of them came, if nothing else came since.
    answered: Option<Mono>,
}

impl Replies {
    fn add(&mut self, more: u32) {
        if self.weight == 0 {
            (self.different, self.others_fine, self.others_spoilt) = (0, 0, 0);
        }
        self.weight = self.weight.saturating_add(more).min(2 * REPORT_SCORE);
        self.is_news = true;
    }

    fn is_doubtful(&self, now: Mono) -> bool {
        self.doubtful.is_some_and(|at| now.since(at) < LATE)
    }
}

impl DuplicateAddresses {
    /// Notes the end of a request to this device.
    pub fn note(&mut self, now: Mono, device: DeviceId, evidence: LivenessEvidence) {
        let others_late = self
            .late
            .is_some_and(|(late, at)| late != device && now.since(at) < LATE);
        let own = self.devices.entry(device).or_default();
        (own.ended, own.at) = (Some(now), Some(now));
        own.answered = None;
        let is_spoilt = match evidence {
            LivenessEvidence::Alive(
                LivenessProof::Answer | LivenessProof::Exception(_) | LivenessProof::Mismatched,
            ) => false,
            LivenessEvidence::Missed(MissReason::Garbled) if others_late => return,
            LivenessEvidence::Missed(MissReason::Garbled) => true,
            LivenessEvidence::Missed(MissReason::Silence) => {
                own.doubtful = Some(now);
                return;
            }
            // One request is spoilt, the others are not; or nothing came, or good frames of others,
            // which says nothing about which device would have answered.
            LivenessEvidence::Alive(LivenessProof::Late)
            | LivenessEvidence::RequestFailed(_)
            | LivenessEvidence::Missed(_) => {
                return;
            }
        };
        match is_spoilt {
            true => {
                own.spoilt += 1;
                own.add(SPOILT);
            }
            false => {
                own.fine += 1;
                own.weight = own.weight.saturating_sub(FINE);
            }
        }
        if own.fine + own.spoilt >= MEMORY {
            own.fine /= 2;
            own.spoilt /= 2;
        }
        let weighed = |(d, r): &(&DeviceId, &mut Replies)| **d != device && r.weight > 0;
        for (_, other) in self.devices.iter_mut().filter(weighed) {
            match is_spoilt {
                true => other.others_spoilt = other.others_spoilt.saturating_add(1),
                false => other.others_fine = other.others_fine.saturating_add(1),
            }
        }
        self.judge(now);
    }

    /// Notes what this device answered; to be called after [`DuplicateAddresses::note`].
    pub fn answered(&mut self, now: Mono, device: DeviceId, data: &Data) {
        let own = self.devices.entry(device).or_default();
        own.answered = Some(now);
        own.answers.push_back(data.clone());
        if own.answers.len() > ANSWERS {
            own.answers.pop_front();
        }
    }

    /// Notes that a reply of this device came late, to a request that was given up.
    pub const fn was_late(&mut self, now: Mono, device: DeviceId) {
        self.late = Some((device, now));
    }

    /// Notes a reply under the address of this device that was not waited for; `within` is how
    /// long a reply may take.
    pub fn overheard(
        &mut self,
        now: Mono,
        device: DeviceId,
        reply: &OverheardReply,
        within: Duration,
    ) {
        let own = self.devices.entry(device).or_default();
        let is_soon = own.ended.is_some_and(|at| now.since(at) <= within);
        let soon = own.answered.take().filter(|at| now.since(*at) <= within);
        let differs = own.answers.back().and_then(|data| reply.differs_from(data));
        let known = own
            .answers
            .iter()
            .any(|d| reply.differs_from(d) == Some(false));
        match (soon, differs) {
            // A device that repeats itself may do so with a reply that was spoilt when it came.
            _ if known => own.doubtful = Some(now),
            (Some(_), Some(true)) if !own.is_doubtful(now) => {
                own.add(DIFFERENT_REPLY_SCORE);
                own.different += 1;
                own.at = Some(now);
                self.judge(now);
            }
            // What follows a spoilt reply or a refusal can be the other device's or a copy.
            _ if is_soon => {}
            // To another master, or to an older request.
            _ => own.doubtful = Some(now),
        }
    }

    /// Returns the next device that may share its address with another one; once an hour
    /// for each.
    pub fn poll(&mut self) -> Option<DeviceId> {
        self.untold.pop_front()
    }

    /// Returns the devices that are to be asked more often, each with the time from
    /// which on its next reply is wanted.
    pub fn samples(&self) -> impl Iterator<Item = (DeviceId, Mono)> {
        let asked = self
            .devices
            .iter()
            .filter(|(device, own)| own.weight >= SAMPLED && !self.told.contains_key(device));
        asked.filter_map(|(device, own)| Some((*device, own.at? + SAMPLE_GAP)))
    }

    fn judge(&mut self, now: Mono) {
        let is_told = |device: &DeviceId| {
            let told = self.told.get(device);
            told.is_some_and(|at| now.since(*at) < TELL_AGAIN)
        };
        let is_twice = |(device, own): &(&DeviceId, &Replies)| {
            own.weight >= REPORT_SCORE
                && own.is_news
                && !is_told(device)
                && (own.different >= CERTAIN || self.are_others_unaffected(**device, own))
        };
        let found: Vec<DeviceId> = self
            .devices
            .iter()
            .filter(is_twice)
            .map(|(d, _)| *d)
            .collect();
        for device in &found {
            self.told.insert(*device, now);
            if let Some(own) = self.devices.get_mut(device) {
                own.is_news = false;
            }
        }
        self.untold.extend(found);
    }

    fn are_others_unaffected(&self, device: DeviceId, own: &Replies) -> bool {
        let others = self.devices.iter().filter(|(d, _)| **d != device);
        let (fine, spoilt) = others.fold((0u64, 0u64), |(fine, spoilt), (_, r)| {
            (fine + u64::from(r.fine), spoilt + u64::from(r.spoilt))
        });
        own.others_fine >= OTHERS
            && own.others_spoilt.saturating_mul(OTHERS_FINE) <= own.others_fine
            && spoilt * u64::from(OTHERS_FINE) <= fine
    }
}

#[cfg(test)]
mod tests;
