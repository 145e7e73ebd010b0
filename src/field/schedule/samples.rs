//! Asks a device more often whose replies look like those of two devices with one address
//! ([`crate::field::diagnostics::duplicate_address`]): the number of replies decides, and at long
//! intervals they are few. Only while the line is idle and nothing comes late by it, and from
//! a small budget. No value is taken.

use super::Schedule;
use crate::base::{LivenessEvidence, Mono};
use crate::field::polled_device::adaptive_plan::DeviceFinding;
use crate::field::receiver::OverheardReply;
use crate::field::transaction::request::{Outcome, Request};
use crate::spec::BusAddress;

impl Schedule {
    /// Returns when a device whose address may be shared is asked next, and which one; the time may
    /// be past.
    pub(super) fn next_sample(&self, now: Mono) -> Option<(Mono, usize)> {
        let of = |(device, at)| {
            let mut all = self.devices.iter().enumerate();
            let (i, polled) = all.find(|(_, s)| s.device() == device)?;
            let from = polled.sample_from(now)?.max(at);
            let from = match self.samples.allows(now) {
                true => from,
                false => from.max(self.samples.ready_at(now)),
            };
            let spare = self
                .leeway(from.max(now))
                .can_afford(polled.attempt_takes(now));
            spare.then_some((from, i))
        };
        if self.most_out > 1 {
            // Replies that carry the number of their request do not collide.
            return None;
        }
        self.duplicates.samples().filter_map(of).min()
    }

    /// Weighs by the end of a request whether two devices have one address.
    pub(super) fn weigh(
        &mut self,
        now: Mono,
        request: &Request,
        outcome: &Outcome,
        evidence: LivenessEvidence,
    ) {
        self.duplicates.note(now, request.device, evidence);
        if let Outcome::Answered(data) = outcome {
            self.duplicates.answered(now, request.device, data);
        }
        self.tell_duplicates();
    }

    /// Takes what a unit replied without being waited for; to be called before
    /// [`Schedule::overheard`].
    pub fn overheard_reply(&mut self, now: Mono, reply: &OverheardReply) {
        let sender = BusAddress::Modbus(reply.unit);
        let mut all = self.devices.iter();
        let Some(polled) = all.find(|s| s.address().means(sender)) else {
            return;
        };
        if polled.numbers_replies() || polled.is_busy() {
            return;
        }
        let (device, within) = (polled.device(), polled.longest_wait());
        self.duplicates.overheard(now, device, reply, within);
        self.tell_duplicates();
    }

    fn tell_duplicates(&mut self) {
        while let Some(device) = self.duplicates.poll() {
            self.findings
                .push_back(DeviceFinding::AddressShared { device });
        }
    }
}
