//! Runs several requests in flight on one connection of Modbus TCP
//! (`field/modbus/in_flight.rs`).
//!
//! A trial sends two requests together, and no result of them counts until both replies have
//! come, correctly and once. A request that fails while several are in flight, and whose
//! failure could be the server's doing, is taken back and sent alone. Its result then shows
//! whether the device or the server was at fault.

use crate::base::DeviceId;
use crate::field::modbus::in_flight::InFlightFault;
use crate::field::polled_device::liveness_evidence::evidence_of;
use crate::io::bus::exchange::FinishedRequest;

use super::*;

/// How long a third reply is waited for after both replies of a trial.
const ONCE: Duration = Duration::from_millis(20);

impl Port {
    /// Sends the next request alone, or together with others if that is allowed.
    pub(super) async fn ask(
        &mut self,
        exchange: &mut Exchange,
        request: Request,
        useful: &mut bool,
    ) -> Result<(), PollingStop> {
        let now = self.clock.now().mono;
        if self.in_flight.window() > 1 {
            return Ok(self.start_request(exchange, request).await?);
        }
        if !self.may_try(now, &request) {
            return self.transact(exchange, &request, useful).await;
        }
        self.schedule.window(2);
        let second = self.next(now);
        self.schedule.window(1);
        match second {
            NextAction::Run(second) if self.may_try(now, &second) => {
                self.try_two(exchange, [request, second], useful).await
            }
            NextAction::Run(second) => {
                self.in_hand.push_back((second, None));
                self.transact(exchange, &request, useful).await
            }
            NextAction::NotBefore(..) | NextAction::Idle => {
                self.transact(exchange, &request, useful).await
            }
        }
    }

    /// Returns whether a trial is due and this request can be part of it: it reads, and it is
    /// likely to get a reply.
    fn may_try(&self, now: Mono, request: &Request) -> bool {
        let is_dead = self.heard_of.get(&request.device) == Some(&false);
        self.in_flight.wants_trial(now) && !request.is_command() && !is_dead
    }

    async fn try_two(
        &mut self,
        exchange: &mut Exchange,
        requests: [Request; 2],
        useful: &mut bool,
    ) -> Result<(), PollingStop> {
        exchange.take_twice();
        for request in requests {
            self.start_request(exchange, request).await?;
        }
        let mut finished = Vec::new();
        if let Err(lost) = self.finish_two(exchange, &mut finished).await {
            let back = finished.into_iter().map(|l| (l.request, None));
            self.in_hand.extend(back);
            return Err(lost.into());
        }
        let twice = exchange.take_twice() > 0;
        let answered = |l: &FinishedRequest| !matches!(l.ended.outcome, Outcome::Missed(_));
        if !twice && finished.iter().all(answered) {
            let took = |l: &FinishedRequest| l.ended.turnaround.unwrap_or_default();
            // A gateway's exception for a dead unit takes as long as the gateway waits for that
            // unit.
            let lives = |l: &FinishedRequest| {
                matches!(evidence_of(&l.ended.outcome), LivenessEvidence::Alive(_))
            };
            if let [first, second] = finished.as_slice()
                && finished.iter().all(lives)
            {
                let now = self.clock.now().mono;
                self.in_flight.passed(now, [took(first), took(second)]);
                self.schedule.window(self.in_flight.window());
            }
            for finished in finished {
                self.conclude(&finished.request, finished.ended, useful)
                    .await?;
            }
            return Ok(());
        }
        if twice {
            self.seen(duplicate_reply_fault(&finished), true);
        }
        for FinishedRequest { request, ended, .. } in finished {
            let living = self.heard_of.get(&request.device) == Some(&true);
            match ended.outcome {
                // The device may be dead, and the server has not been seen to leave a request
                // out.
                Outcome::Missed(MissReason::Silence)
                    if !twice && !living && !self.in_flight.is_on_probation() =>
                {
                    self.conclude(&request, ended, useful).await?;
                }
                Outcome::Missed(MissReason::Silence) => {
                    self.in_hand
                        .push_back((request, Some(InFlightFault::Dropped)));
                }
                Outcome::Missed(_) => {
                    self.in_hand
                        .push_back((request, Some(InFlightFault::Mismatched)));
                }
                _ => self.in_hand.push_back((request, None)),
            }
        }
        Ok(())
    }

    async fn start_request(
        &mut self,
        exchange: &mut Exchange,
        request: Request,
    ) -> Result<(), LineLoss> {
        self.tap.say(&self.clock, || self.turn(&request));
        let reply_timeout = request.timeout + MAX_IDLE;
        let starting = exchange.start_request(request);
        self.heartbeat
            .during(&self.clock, reply_timeout, starting)
            .await
    }

    /// Waits for both replies of a trial, each once and not again.
    async fn finish_two(
        &self,
        exchange: &mut Exchange,
        finished: &mut Vec<FinishedRequest>,
    ) -> Result<(), LineLoss> {
        while exchange.in_flight() > 0 {
            self.heartbeat.beat();
            let until = self.clock.now().mono + MAX_IDLE;
            finished.extend(exchange.next_finished(until).await?);
        }
        let quiet = self.clock.now().mono + ONCE;
        while self.clock.now().mono < quiet {
            exchange.next_finished(quiet).await?;
        }
        Ok(())
    }

    /// Waits until some of the requests in flight have ended, but not longer than until
    /// `until`.
    pub(super) async fn next_finished(
        &mut self,
        exchange: &mut Exchange,
        until: Mono,
        useful: &mut bool,
    ) -> Result<(), PollingStop> {
        let finished = tokio::select! {
            biased;
            () = self.questions.wait(), if exchange.in_flight() < self.in_flight.window() => {
                return Ok(());
            }
            finished = exchange.next_finished(until) => finished?,
        };
        if exchange.take_twice() > 0 {
            self.seen(duplicate_reply_fault(&finished), true);
            // The other replies that came with it are not believed either.
            let back = finished.into_iter().map(|l| l.request);
            let back: Vec<Request> = back.chain(exchange.take_back()).collect();
            return Ok(self.ask_alone(back).await?);
        }
        for FinishedRequest {
            request,
            ended,
            with,
            sent,
        } in finished
        {
            let living = self.heard_of.get(&request.device) == Some(&true);
            let suspect = match ended.outcome {
                _ if with <= 1 || request.is_command() => None,
                Outcome::Missed(MissReason::Foreign) => Some(InFlightFault::Mismatched),
                Outcome::Missed(MissReason::Silence)
                    if living && self.in_flight.is_on_probation() =>
                {
                    Some(InFlightFault::Dropped)
                }
                _ => None,
            };
            if suspect.is_some() {
                self.in_hand.push_back((request, suspect));
                continue;
            }
            let lives = matches!(evidence_of(&ended.outcome), LivenessEvidence::Alive(_));
            if let (true, Some(took)) = (lives && with > 1, ended.turnaround) {
                self.in_flight.answered(ended.at.mono, with, took);
                self.schedule.window(self.in_flight.window());
            }
            let before = self.unanswered;
            self.conclude(&request, ended, useful).await?;
            // A request that was sent before the last reply came says nothing about the
            // connection.
            if sent < self.answered_at {
                self.unanswered = self.unanswered.min(before);
            }
        }
        Ok(())
    }

    /// Queues these requests to be sent one by one; commands are not sent again.
    pub(super) async fn ask_alone(&mut self, requests: Vec<Request>) -> Result<(), HubGone> {
        for request in requests {
            if request.is_command() {
                self.cut_off(&request).await?;
            } else {
                self.in_hand.push_back((request, None));
            }
        }
        Ok(())
    }

    /// Handles the loss of the connection while these requests were in flight. If this
    /// connection was of use, they are sent one by one on a new one, which shows what caused
    /// the loss; if all are answered there, it was the server.
    pub(super) async fn lost_many(
        &mut self,
        requests: Vec<Request>,
        lost: LineLoss,
        useful: bool,
    ) -> LineEnd {
        let LineLoss { why, stray, .. } = lost;
        // What the server sent was too much for any of these requests.
        if !useful || stray {
            for request in requests {
                if self.cut_off(&request).await.is_err() {
                    return LineEnd::HubGone;
                }
            }
            return LineEnd::Lost { why, useful, stray };
        }
        let many = requests.len() > 1;
        if self.ask_alone(requests).await.is_err() {
            return LineEnd::HubGone;
        }
        if let Some((_, suspect)) = self.in_hand.back_mut().filter(|_| many) {
            *suspect = Some(InFlightFault::Closed);
        }
        self.is_useful = true;
        LineEnd::Closed { why }
    }

    async fn cut_off(&mut self, request: &Request) -> Result<(), HubGone> {
        let at = self.clock.now();
        let outcome = Outcome::Missed(MissReason::ConnectionLost);
        let evidence = self.schedule.done(at.mono, request, &outcome);
        self.report.cut_off(request, at, evidence).await?;
        self.tell_ends().await
    }

    /// Handles the outcome of a request that had failed among others and was then sent alone.
    pub(super) fn was_alone(&mut self, why: Option<InFlightFault>, outcome: &Outcome) {
        match (why, outcome) {
            (Some(_), Outcome::Missed(_)) => self.in_flight.note_failed_alone(),
            (None, _) => {}
            (Some(fault), _) => self.seen(fault, false),
        }
    }

    /// Notes whether a device gave a sign of life with its last request.
    pub(super) fn note(&mut self, device: DeviceId, outcome: &Outcome, at: Mono) {
        let lives = matches!(evidence_of(outcome), LivenessEvidence::Alive(_));
        self.heard_of.insert(device, lives);
        if lives {
            self.answered_at = at;
        }
    }

    fn seen(&mut self, fault: InFlightFault, is_certain: bool) {
        if self.in_flight.seen(fault, is_certain) {
            self.report.one_at_a_time(fault);
            self.schedule.window(1);
        }
    }
}

/// Returns the fault of a server that answers a request more than once: one of the replies may
/// have been another request's, under this number.
fn duplicate_reply_fault(finished: &[FinishedRequest]) -> InFlightFault {
    let is_other = |l: &FinishedRequest| l.ended.outcome == Outcome::Missed(MissReason::Foreign);
    if finished.iter().any(is_other) {
        InFlightFault::Mismatched
    } else {
        InFlightFault::Twice
    }
}
