//! What the end of a request says about the device, and what follows for its other requests.

use super::*;

impl PolledDevice {
    /// Takes the end of a request; returns what the end says about the device.
    pub(in crate::field) fn done(
        &mut self,
        now: Mono,
        request: &Request,
        outcome: &Outcome,
        rng: &mut Rng,
    ) -> LivenessEvidence {
        self.busy = false;
        let evidence = self.take_outcome(now, request, outcome, rng);
        for (hole, gone) in std::mem::take(&mut self.learned_meanwhile) {
            self.learn(now, hole, gone);
        }
        evidence
    }

    fn take_outcome(
        &mut self,
        now: Mono,
        request: &Request,
        outcome: &Outcome,
        rng: &mut Rng,
    ) -> LivenessEvidence {
        let certainty = self.trust.certainty(request);
        if self.trust.was_asked(now, request, outcome, certainty) {
            let device = self.device;
            self.reading.report(DeviceFinding::OtherMaster { device });
        }
        self.probes.ended(now, request.probe, outcome);
        if request.trusted && matches!(outcome, Outcome::Answered(_)) {
            self.values.took(&self.profile, &request.points, now);
        }
        if self.trust.is_late(outcome) {
            let after = self.trust.came_in_place(now);
            self.passed_by(now);
            self.reply_wait.was_too_short(now, after);
        }
        let set_aside = self.slots.get(request.block).filter(|s| s.is_set_aside());
        let failures = set_aside
            .filter(|_| request.whole)
            .map_or(0, PollSlot::failures);
        let is_ambiguous = self.trust.ended(now, request, outcome, certainty, failures);
        // A device that is asked among others was not offered an unmistakable request.
        if is_ambiguous
            && !certainty.is_among_others()
            && (request.gives_up || !self.has_unmistakable(now, request.block))
        {
            self.trust.discarded(now);
        }
        let evidence = evidence_of(outcome);
        // A device that was given up is asked once more at once: two proofs bring it back.
        let returns = self.retries.is_confirmed();
        // The poll slot may have been planned anew while it was asked.
        let slot = Some(request.block).filter(|i| self.slots.get(*i).is_some());
        if let LivenessEvidence::Alive(_) = evidence {
            self.proved_by(now, request, outcome);
        }
        match outcome {
            Outcome::Missed(miss) => return self.failed(now, request, *miss, rng),
            Outcome::Mismatched(mismatch) => {
                if !request.is_unmistakable()
                    && request.whole
                    && let Some(slot) = slot
                {
                    let (how, code) = failure_of(mismatch);
                    self.request_failed(now, slot, how, code);
                }
                return evidence;
            }
            Outcome::Answered(_)
            | Outcome::Confirmed
            | Outcome::Exception(_)
            | Outcome::Refused(_) => {}
        }
        if matches!(evidence, LivenessEvidence::Missed(_)) {
            // A gateway on the way has answered in its place.
            let Outcome::Exception(code) = outcome else {
                return evidence;
            };
            return self.failed(now, request, MissReason::GatewayException(*code), rng);
        }
        if request.probe == Some(Probe::Life) {
            return evidence;
        }
        let is_probe = request.is_unmistakable();
        // A reply that brought nothing, or only a part, leaves the poll slot owed; a refusal
        // of the whole is final until the next poll slot. Among others there is no more to be
        // had in this poll slot.
        let served = match outcome {
            Outcome::Answered(_) => {
                request.whole && (request.trusted || certainty.is_among_others())
            }
            _ => request.whole && !is_probe,
        };
        if let Some(slot) = slot.and_then(|i| self.slots.get_mut(i))
            && served
            && !returns
        {
            // The first poll is in no poll slot.
            let since = request.since.filter(|since| *since >= slot.origin());
            slot.serve(since.unwrap_or(now));
        }
        if let Some(slot) = slot.filter(|_| request.whole) {
            match outcome {
                Outcome::Exception(code) if certainty.is_refusal_pinned() && !is_probe => {
                    self.refused(now, slot, *code, speaks_of_addresses(*code));
                }
                Outcome::Refused(word) if certainty.is_refusal_pinned() => {
                    self.refused(now, slot, word.bits, word.says_no_such_datum());
                }
                Outcome::Answered(_) if request.trusted => self.granted(now, slot),
                _ => {}
            }
        }
        evidence
    }

    /// Notes that a request of this poll slot was refused. The failure is certain at once if
    /// the refusal says that what was asked for is not there.
    fn refused(&mut self, now: Mono, slot: usize, code: u8, clear: bool) {
        let how = RequestFailure::Refused;
        let times = self.slots[slot].fail(now, how, Some(code));
        if clear || times >= CERTAIN {
            self.slots[slot].set_aside();
            self.fails_for_certain(now, slot);
        }
    }

    /// Notes that a request got no reply.
    fn failed(
        &mut self,
        now: Mono,
        request: &Request,
        miss: MissReason,
        rng: &mut Rng,
    ) -> LivenessEvidence {
        self.reply_wait.failed(now.since(request.asked));
        // A request outside the plan says nothing about the requests of the plan; but a part
        // of one of them does.
        if request.is_unmistakable() && request.probe != Some(Probe::Shorter) {
            return LivenessEvidence::RequestFailed(miss);
        }
        let counts = if request.whole {
            self.request_failed(now, request.block, miss.into(), None)
        } else {
            self.retries.part_missed(now, rng);
            true
        };
        if !counts {
            return LivenessEvidence::RequestFailed(miss);
        }
        self.retries.missed(now, miss, rng);
        LivenessEvidence::Missed(miss)
    }

    /// Notes that a request of the plan failed; returns whether that says something about the
    /// device.
    fn request_failed(
        &mut self,
        now: Mono,
        slot: usize,
        how: RequestFailure,
        code: Option<u8>,
    ) -> bool {
        if self.long_request_failed(now, slot, how) {
            return false;
        }
        let Some(asked) = self.slots.get_mut(slot) else {
            return true;
        };
        let times = asked.fail(now, how, code);
        let since = asked.failing().map(Failing::since);
        let lives = times >= DOUBTED && self.retries.proved_after(since);
        if !asked.is_set_aside() && !lives {
            return true;
        }
        asked.set_aside();
        if times >= CERTAIN {
            self.fails_for_certain(now, slot);
        } else {
            self.ask_for_return(now);
        }
        // The other requests of the device show whether it lives.
        self.slots.iter().all(|s| s.failing().is_some())
    }

    /// Notes that the device proved, by this end of a request, that it lives.
    ///
    /// If the device had said nothing to the request that it answers now, it was away, and no
    /// request is to blame for its misses. If the device had not been away, the requests that
    /// failed twice meanwhile are to blame.
    fn proved_by(&mut self, now: Mono, request: &Request, outcome: &Outcome) {
        let own = request.whole.then_some(request.block);
        let away = match own.and_then(|i| self.slots.get(i)) {
            Some(slot) => {
                let missed = slot.failing().is_some_and(|f| f.last_failure().is_a_miss());
                missed && !slot.is_set_aside()
            }
            None => self.retries.has_missed_parts(),
        };
        let answered = matches!(outcome, Outcome::Answered(_));
        if !request.whole && answered && request.probe == Some(Probe::Life) {
            self.retries.part_answered();
        }
        for (i, slot) in self.slots.iter_mut().enumerate() {
            if slot.is_set_aside() || (Some(i) == own && !answered) {
                continue;
            }
            if away {
                slot.forget_failures();
            } else if slot.failures() >= DOUBTED && Some(i) != own {
                slot.set_aside();
            }
        }
        self.on_proof_of_life(now);
    }

    /// Notes that the device proved that it lives.
    pub(in crate::field) fn on_proof_of_life(&mut self, now: Mono) {
        self.retries.on_proof_of_life(now);
        self.resume(now);
    }

    /// Resumes the whole plan from now on.
    fn resume(&mut self, now: Mono) {
        if !self.retries.end() {
            return;
        }
        self.retry_set_aside(now);
        for slot in &mut self.slots {
            slot.resume(now);
        }
    }

    /// Notes that its reply came after it had been given up.
    pub(in crate::field) fn was_late(&mut self, now: Mono) {
        let after = self.trust.came_late(now);
        self.reply_wait.was_too_short(now, after);
        self.on_proof_of_life(now);
    }

    /// Lets a device that was given up be tried at once, as the line is back; no request
    /// waits for its poll slot, as after a start.
    pub(in crate::field) fn retry_now(&mut self, now: Mono) {
        self.probes.forget_misses();
        self.try_set_aside(now);
        self.values.restart(now);
        self.resume(now);
        for slot in &mut self.slots {
            slot.make_due(now);
        }
    }
}

/// Returns how a request fails that was answered with this frame.
const fn failure_of(mismatch: &Mismatch) -> (RequestFailure, Option<u8>) {
    match mismatch {
        Mismatch::Exception { code, .. } => (RequestFailure::RefusedOtherFunction, Some(*code)),
        Mismatch::Reply { .. } | Mismatch::OtherDatum => (RequestFailure::Mismatched, None),
    }
}
