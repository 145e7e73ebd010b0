//! Writing to a device.

use super::*;
use crate::field::modbus::write::Write;
use crate::field::plan::block_address::{BlockAddress, EntryRange};
use crate::field::transaction::request::RequestBody;

impl PolledDevice {
    /// Returns when the device may be asked to write something of this shape: as soon as no
    /// reply that is still on its way could be taken for the reply to this write. `None`: not
    /// before something else is heard of the device.
    pub(in crate::field) fn writable_at(&self, now: Mono, shape: ReplyShape) -> Option<Mono> {
        if self.misses() > 0 || self.busy {
            return None;
        }
        if self.numbered {
            return Some(now);
        }
        if self.stale.covers_refusal(shape.refusal()) {
            return None;
        }
        let clear = self.stale.no_copies_from(shape).unwrap_or(now);
        let clear = clear.max(self.stale.no_stragglers_from(shape).unwrap_or(now));
        // A confirmation names place and value, so replies to others matter less than that a
        // command does not wait.
        let patience = self.timeout.most();
        let free = self.stale.sits_out_until(now, Mono::START, patience);
        Some(clear.max(free.unwrap_or(now)))
    }

    /// Whether the device misses, and not just since a moment ago.
    pub(in crate::field) const fn is_given_up(&self) -> bool {
        self.misses() > 0 && !self.is_urgent()
    }

    /// Returns the request of this write.
    pub(in crate::field) fn command(&self, write: Write, now: Mono) -> Request {
        Request {
            device: self.device,
            unit: self.unit,
            address: BlockAddress::Modbus(EntryRange::written(&write)),
            // A write may take longer than any read was seen to take.
            timeout: self.timeout.most(),
            serial: self.serial.clone(),
            points: Vec::new(),
            turnaround: self.turnaround,
            trusted: true,
            asked: now,
            since: None,
            shape: ReplyShape::Modbus(write.shape()),
            block: usize::MAX,
            whole: false,
            body: RequestBody::Write(write),
            gives_up: false,
            was_spoilt: false,
            probe: None,
        }
    }

    /// Takes the end of a write. A write that gets no reply says nothing about the unit: the
    /// cause may be that very register. The next read shows whether the unit lives.
    pub(in crate::field) fn commanded(
        &mut self,
        now: Mono,
        job: &Request,
        outcome: &Outcome,
    ) -> Evidence {
        let (shape, patience) = (job.shape, self.timeout.most());
        let among_others = self.is_among_others(job.asked);
        self.stale.was_asked();
        if !self.numbered {
            match outcome {
                Outcome::Missed(_) | Outcome::Mismatched(_) => {
                    self.stale.missed(now, shape, patience, job.timeout);
                }
                Outcome::Exception(_) => {
                    self.stale.refused(now, shape.refusal(), patience);
                    if !among_others {
                        self.stale.resolved(now, patience);
                    }
                }
                Outcome::Answered(_) | Outcome::Confirmed | Outcome::Refused(_) => {
                    self.stale.answered(now, shape, patience);
                    if !among_others {
                        self.stale.resolved(now, patience);
                    }
                }
            }
        }
        self.busy = false;
        let evidence = evidence_of(outcome);
        match evidence {
            Evidence::Alive(_) => self.lives(now),
            Evidence::Missed(miss) => return Evidence::RequestFailed(miss),
            Evidence::RequestFailed(_) => {}
        }
        evidence
    }
}
