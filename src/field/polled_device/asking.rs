//! Decides what a device is asked next: the request that is due, in a form whose reply can be
//! believed, and how the device is tried after a miss.

use super::*;
use crate::field::stale::stale_reply::RECOVERY;

impl PolledDevice {
    /// Returns how a device that missed is tried.
    ///
    /// At first the device is tried with the request that it missed, once more; then with
    /// another, as the failure may be that request's own. Where there is no other, the device
    /// is tried with a part of it: the unit may be silent to long requests. Of several
    /// requests the cheapest whose shape is suspect already is taken: an attempt is likely to
    /// fail, and the other shapes are needed for the return of the device. A request that
    /// keeps no other device from being read is preferred to all of these.
    pub(in crate::field) fn attempt(&self, now: Mono) -> Option<Attempt> {
        let last = self.slots.iter().enumerate().max_by_key(|(_, s)| {
            let last = s.failing().filter(|f| !f.is_set_aside());
            last.map(Failing::last)
        });
        if let Some((i, slot)) = last
            && (1..DOUBTED).contains(&slot.failures())
            && !slot.is_set_aside()
        {
            return Some(Attempt::Whole(i));
        }
        let next = self.cheapest()?;
        let tried = self.slots[next].failures() >= DOUBTED;
        let may = tried && self.retries.may_try_a_part(now);
        match may && self.part(next).is_some() {
            true => Some(Attempt::Part(next)),
            false => Some(Attempt::Whole(next)),
        }
    }

    /// Returns the request that is most likely to be answered, and of equal ones the
    /// cheapest.
    pub(in crate::field) fn cheapest(&self) -> Option<usize> {
        (0..self.slots.len()).min_by_key(|i| {
            let slot = &self.slots[*i];
            let block = slot.block();
            let spends = !self.trust.stale().is_clear() && !self.doubted(block);
            let shared = self.shared_reply_class(block).is_some();
            (
                slot.is_set_aside(),
                slot.failures().min(DOUBTED),
                shared,
                spends,
                reply_len(&block.address),
            )
        })
    }

    /// Returns the shortest part of a request of several points.
    pub(super) fn part(&self, slot: usize) -> Option<ReadBlock> {
        let whole = self.slots.get(slot)?.block();
        let count = |block: &ReadBlock| block.address.entries().map(|range| range.count);
        if whole.points.len() < 2 || count(whole).is_none() {
            return None;
        }
        let one = |p: &u16| ReadBlock::of(&self.profile, vec![*p], whole);
        let shortest = whole.points.iter().map(one).min_by_key(count)?;
        (count(&shortest) < count(whole)).then_some(shortest)
    }

    /// Returns what a device that missed is asked.
    pub(in crate::field) fn try_request(&self, attempt: Attempt, now: Mono) -> Option<Request> {
        let (i, part) = match attempt {
            Attempt::Whole(i) => (i, None),
            Attempt::Part(i) => (i, Some(self.part(i)?)),
        };
        let slot = self.slots.get(i)?;
        let early = slot.due() > now;
        if part.is_none() && !early {
            return self.poll_request(i, now, false);
        }
        let block = part.unwrap_or_else(|| slot.block().clone());
        let trusted =
            !self.trust.is_among_others(now) && !self.doubted(&block) && !self.is_alike(&block);
        let mut request = self.build(i, block, trusted, now);
        request.points.clear();
        request.probe = Some(Probe::Life);
        Some(request)
    }

    /// Returns from when on the device may be asked for a reply whose value is not taken; `None`:
    /// it is tried, or its requests are due.
    pub(in crate::field) fn sample_from(&self, now: Mono) -> Option<Mono> {
        let slot = self.slots.get(self.cheapest()?)?;
        if self.is_busy() || self.is_in_doubt() || slot.due() <= now || self.numbers_replies() {
            return None;
        }
        let clear = self.trust.ask_from(self.shape(slot.block()));
        Some(self.free_at(now).max(clear.unwrap_or(now)))
    }

    /// Returns that request.
    pub(in crate::field) fn sample(&self, now: Mono) -> Option<Request> {
        self.try_request(Attempt::Whole(self.cheapest()?), now)
    }

    /// Returns the transaction that serves this poll slot best, given the stale replies that
    /// may come; with a probe, if there is time for one.
    pub(in crate::field) fn poll_request(
        &self,
        slot: usize,
        now: Mono,
        may_probe: bool,
    ) -> Option<Request> {
        let wanted = self.slots.get(slot)?.block();
        if self.trust.is_among_others(now) {
            return Some(self.build(slot, wanted.clone(), false, now));
        }
        let alike = self.is_alike(wanted);
        if !self.doubted(wanted) && !alike {
            return Some(self.build(slot, wanted.clone(), true, now));
        }
        // No other request of this device clears the replies that others owe.
        if self.is_in_doubt() || !self.doubted(wanted) {
            return Some(self.build(slot, wanted.clone(), false, now));
        }
        if let Some(other) = self.unmistakable_and_due(now) {
            let block = self.slots[other].block().clone();
            return Some(self.build(other, block, true, now));
        }
        let probe = self.probe(now, slot);
        // After a probe that got no reply the request itself is made: silence to it counts,
        // and the value of a reply that may be an older one is given up.
        let may_probe = may_probe && self.probes.may_follow(self.trust.answered());
        let gives_up = probe.is_some() && !may_probe;
        let Some((probe, block)) = probe.filter(|_| may_probe) else {
            let mut request = self.build(slot, wanted.clone(), false, now);
            request.gives_up = gives_up;
            return Some(request);
        };
        let mut request = self.build(slot, block, true, now);
        request.probe = Some(probe);
        if probe != Probe::Longer {
            request.points.clear();
            request.whole = false;
        }
        Some(request)
    }

    /// Returns a request of the plan that is due and resembles no abandoned request.
    pub(super) fn unmistakable_and_due(&self, now: Mono) -> Option<usize> {
        let fine = |slot: &PollSlot| {
            slot.failing().is_none()
                && self.ready_at(slot) <= now
                && !self.doubted(slot.block())
                && !self.is_alike(slot.block())
        };
        self.slots.iter().position(fine)
    }

    /// Returns whether some reply of this device will be unmistakable before long.
    pub(super) fn has_unmistakable(&self, now: Mono, slot: usize) -> bool {
        let soon = now + self.reply_wait.most().saturating_mul(RECOVERY);
        let comes = |s: &PollSlot| {
            s.failing().is_none()
                && s.due() <= soon
                && !self.doubted(s.block())
                && !self.is_alike(s.block())
        };
        self.slots.iter().any(comes) || self.probe(now, slot).is_some()
    }

    /// Returns a request that is not in the plan and resembles no abandoned request: this
    /// poll slot's, shortened; one entry of another table; this poll slot's and one register.
    /// If the request of this poll slot fails itself, another request that does not fail
    /// takes its place.
    pub(super) fn probe(&self, now: Mono, slot: usize) -> Option<(Probe, ReadBlock)> {
        let wanted = self.slots.get(slot)?;
        let fine = |s: &&PollSlot| s.failing().is_none();
        let like = Some(wanted).filter(fine);
        let like = like.or_else(|| self.slots.iter().find(fine));
        let like = like.unwrap_or(wanted).block();
        let fine = |b: &ReadBlock| !self.doubted(b) && !self.echo_looks_like_reply(b);
        if let Some(shorter) = like.shortened(&self.profile).find(fine) {
            return Some((Probe::Shorter, shorter));
        }
        if self.probes.may_ask_another_table(now) {
            let stale = self.trust.stale();
            let other = self.encoder.of_another_table(&self.profile, stale, like);
            if let Some(other) = other {
                return Some((Probe::OtherTable, other));
            }
        }
        let may = self.probes.may_ask_for_more(now);
        // The values of the longer request are taken.
        let longer = wanted.block().lengthened(&self.profile).filter(|_| may);
        longer.filter(fine).map(|block| (Probe::Longer, block))
    }

    pub(super) fn build(&self, slot: usize, block: ReadBlock, trusted: bool, now: Mono) -> Request {
        let failing = self.slots[slot].failing();
        Request {
            device: self.device,
            to: self.address,
            timeout: self.reply_timeout(&block),
            was_spoilt: failing.is_some_and(|f| f.last_failure() == RequestFailure::Garbled),
            body: self.encoder.body(&block.address),
            serial: self.serial.clone(),
            shape: self.shape(&block),
            whole: block.points.len() == self.slots[slot].block().points.len(),
            points: self
                .values
                .wanted(&self.profile, &block.points, now + self.takes(&block)),
            address: block.address,
            turnaround: self.turnaround,
            trusted,
            asked: now,
            since: None,
            block: slot,
            gives_up: false,
            probe: None,
            is_command: false,
        }
    }
}
