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
        self.trust.write_from(now, shape)
    }

    /// Whether the device misses, and not just since a moment ago.
    pub(in crate::field) const fn is_given_up(&self) -> bool {
        self.misses() > 0 && !self.is_urgent()
    }

    /// Returns the request of this write.
    pub(in crate::field) fn command(&self, write: Write, now: Mono) -> Request {
        Request {
            device: self.device,
            to: self.address,
            address: BlockAddress::Modbus(EntryRange::written(&write)),
            // A write may take longer than any read was seen to take.
            timeout: self.reply_wait.most(),
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
        self.trust.write_ended(now, job, outcome);
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
