//! Commands to a device: its writes, and its reads outside the plan.

use super::*;
use crate::field::plan::block_address::BlockAddress;
use crate::field::schedule::command::BusWrite;
use crate::field::transaction::request::RequestBody;

impl PolledDevice {
    /// Returns when the device may be asked to write something of this shape: as soon as no
    /// reply that is still on its way could be taken for the reply to this write. `None`: not
    /// before something else is heard of the device.
    pub(in crate::field) fn writable_at(&self, now: Mono, write: &BusWrite) -> Option<Mono> {
        let (address, shape, _) = self.write_of(write)?;
        let class = self.reply_class(&address);
        if self.misses() > 0 || self.busy || class.is_some_and(|c| self.shared_stale.covers(c)) {
            return None;
        }
        self.trust.write_from(now, shape)
    }

    /// Returns the same for a read of these entries.
    pub(in crate::field) fn readable_at(&self, now: Mono, asked: &BlockAddress) -> Option<Mono> {
        let shape = self.encoder.shape(asked);
        if self.misses() > 0 || self.busy || self.trust.is_doubtful(shape) {
            return None;
        }
        let free = self.free_at(now);
        Some(self.trust.ask_from(shape).unwrap_or(now).max(free))
    }

    /// Returns whether the device misses, and not just since a moment ago.
    pub(in crate::field) const fn is_given_up(&self) -> bool {
        self.misses() > 0 && !self.is_urgent()
    }

    /// Returns how long a reply of the device is waited for at most.
    pub(in crate::field) fn longest_wait(&self) -> Duration {
        self.reply_wait.most()
    }

    /// Returns what a request that writes this is for, how its reply is told from others, and its
    /// body; `None` if there is no such request to this device.
    pub(in crate::field) fn write_of(
        &self,
        write: &BusWrite,
    ) -> Option<(BlockAddress, ReplyShape, RequestBody)> {
        self.encoder.write(write)
    }

    /// Returns the request of this write. `reply_timeout` is the longest wait that its sender has
    /// time for.
    pub(in crate::field) fn command(
        &self,
        write: &BusWrite,
        reply_timeout: Duration,
        now: Mono,
    ) -> Option<Request> {
        Some(self.command_request(self.write_of(write)?, reply_timeout, now))
    }

    /// Returns the request that reads this block for a command.
    pub(in crate::field) fn command_read(
        &self,
        block: ReadBlock,
        reply_timeout: Duration,
        now: Mono,
    ) -> Request {
        let trusted = !self.trust.is_among_others(now) && !self.doubted(&block);
        let shape = self.encoder.shape(&block.address);
        let body = self.encoder.body(&block.address);
        Request {
            trusted,
            points: block.points,
            ..self.command_request((block.address, shape, body), reply_timeout, now)
        }
    }

    fn command_request(
        &self,
        (address, shape, body): (BlockAddress, ReplyShape, RequestBody),
        reply_timeout: Duration,
        now: Mono,
    ) -> Request {
        Request {
            device: self.device,
            to: self.address,
            // A write may take longer than any read was seen to take, and so may the first read
            // behind it.
            timeout: reply_timeout.min(self.reply_wait.most()),
            serial: self.serial.clone(),
            points: Vec::new(),
            turnaround: self.turnaround,
            trusted: true,
            asked: now,
            since: None,
            shape,
            body,
            address,
            block: usize::MAX,
            whole: false,
            gives_up: false,
            was_spoilt: false,
            probe: None,
            is_command: true,
        }
    }

    /// Takes the end of a command's request. One that gets no reply says nothing about the
    /// unit: the cause may be that very register. The next poll shows whether the unit lives.
    pub(in crate::field) fn commanded(
        &mut self,
        now: Mono,
        request: &Request,
        outcome: &Outcome,
    ) -> LivenessEvidence {
        if request.is_write() {
            self.trust.write_ended(now, request, outcome);
        } else {
            let certainty = self.trust.certainty(request);
            self.trust.ended(now, request, outcome, certainty, 0);
            if request.trusted && matches!(outcome, Outcome::Answered(_)) {
                self.values.took(&self.profile, &request.points, now);
            }
        }
        self.busy = false;
        let evidence = evidence_of(outcome);
        match evidence {
            LivenessEvidence::Alive(_) => self.on_proof_of_life(now),
            LivenessEvidence::Missed(miss) => return LivenessEvidence::RequestFailed(miss),
            LivenessEvidence::RequestFailed(_) => {}
        }
        evidence
    }
}
