//! Runs the requests of surveys between the polls of the port.
//!
//! A survey has the time in which no poll is due before it ends; else it waits after each request
//! until the polls have had the line for seven tenths of the time, as commands leave it to them.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{PollingStop, Port};
use crate::base::Mono;
use crate::io::bus::exchange::Exchange;
use crate::io::bus::port_surveys::{SurveyAnswer, SurveyOrder};
use crate::spec::survey::{HeardFrame, LONGEST_WAIT};

/// How much longer than a request the polls that are due have the line, before the next request:
/// seven tenths of the time to three.
const POLLS: (u32, u32) = (7, 3);

/// How long a request takes to leave, about.
const SENDING: Duration = Duration::from_millis(20);

/// How much longer than its wait a request may take: the line falls quiet, the request leaves, a
/// frame that has begun is let finish.
const MARGIN: Duration = Duration::from_secs(10);

/// The requests of surveys that have come in.
#[derive(Debug)]
pub(super) struct SurveyQueue {
    /// `None`: there is no sender of requests, or no longer one.
    incoming: Option<mpsc::Receiver<SurveyOrder>>,
    next: Option<SurveyOrder>,
    /// Before when polls that are due go first.
    not_before: Mono,
}

impl SurveyQueue {
    pub(super) const fn new(incoming: Option<mpsc::Receiver<SurveyOrder>>, now: Mono) -> Self {
        SurveyQueue {
            incoming,
            next: None,
            not_before: now,
        }
    }

    /// Waits until there is a request; may be dropped at any time.
    pub(super) async fn wait(&mut self) {
        while !self.has_request() {
            let Some(incoming) = &mut self.incoming else {
                return pending().await;
            };
            self.next = incoming.recv().await;
            if self.next.is_none() {
                self.incoming = None;
            }
        }
    }

    /// Waits until a request comes while there is none; one that waits for its turn is no news.
    pub(super) async fn wait_for_new(&mut self) {
        if self.has_request() {
            return pending().await;
        }
        self.wait().await;
    }

    /// Returns whether there is a request that its sender still waits for.
    pub(super) fn has_request(&mut self) -> bool {
        loop {
            if let Some(order) = &self.next
                && !order.answer.is_closed()
            {
                return true;
            }
            let incoming = self.incoming.as_mut();
            self.next = incoming.and_then(|incoming| incoming.try_recv().ok());
            if self.next.is_none() {
                return false;
            }
        }
    }

    /// Returns whether there is a request whose turn it is although polls are due.
    pub(super) fn is_due(&mut self, now: Mono) -> bool {
        now >= self.not_before && self.has_request()
    }

    /// Returns whether there is a request that ends before a poll is due at `until`, even if no
    /// reply comes; returns false while no request has come.
    pub(super) fn fits_before(&mut self, now: Mono, until: Mono) -> bool {
        self.has_request()
            && self
                .next
                .as_ref()
                .is_some_and(|order| now + order.request.wait + SENDING <= until)
    }

    /// Returns when the next request may be made, if there is one.
    pub(super) fn due_at(&mut self) -> Option<Mono> {
        let at = self.not_before;
        self.has_request().then_some(at)
    }

    /// Refuses all requests that come: the line is not open.
    pub(super) async fn refuse(&mut self, why: &str) -> Infallible {
        loop {
            self.wait().await;
            if let Some(order) = self.next.take() {
                // The sender may be gone.
                let _ = order.answer.send(Err(why.to_owned()));
            }
        }
    }
}

impl Port {
    /// Runs the next request of a survey.
    pub(super) async fn survey(
        &mut self,
        exchange: &mut Exchange,
        useful: &mut bool,
    ) -> Result<(), PollingStop> {
        let Some(order) = self.surveys.next.take() else {
            return Ok(());
        };
        let SurveyOrder { request, answer } = order;
        let begun = self.clock.now().mono;
        let may_be_stale = self.schedule.may_be_stale(&request.question);
        let asked = request.question.address();
        let devices = self.spec.devices_on(self.report.port());
        let rests = devices.filter(|(_, d)| d.address.means(asked) || asked.means(d.address));
        let rest = rests.map(|(_, d)| d.turnaround).max().unwrap_or_default();
        let asking = exchange.survey(&request, rest);
        let reply_timeout = LONGEST_WAIT + MARGIN;
        let surveyed = match self
            .heartbeat
            .during(&self.clock, reply_timeout, asking)
            .await
        {
            Ok(surveyed) => surveyed,
            Err(lost) => {
                // The sender may be gone.
                let _ = answer.send(Err(lost.why.clone()));
                return Err(lost.into());
            }
        };
        let now = self.clock.now().mono;
        let mut frames = surveyed.heard.frames.iter();
        let reply = frames.find(|frame| frame.answers(&request.question));
        *useful |= reply.is_some();
        match reply {
            // Its own reply may still come where the one that came could be an older request's.
            Some(reply) if !may_be_stale => {
                let is_refusal = reply.is_refusal();
                self.schedule
                    .survey_answered(now, &request.question, is_refusal);
            }
            _ if surveyed.is_sent => {
                let waited = now.since(begun);
                self.schedule.survey_missed(now, &request.question, waited);
            }
            _ => {}
        }
        // Replies of other units, and of earlier requests, prove that their senders live.
        let frames = surveyed.heard.frames.iter();
        let others = frames.filter(|frame| !frame.answers(&request.question));
        let mut senders = surveyed.before.clone();
        senders.extend(others.map(HeardFrame::sender));
        let took = now.since(begun.max(self.busy_until));
        self.report.was_busy(took);
        self.busy_until = now;
        self.surveys.not_before = now + took * POLLS.0 / POLLS.1;
        let said = SurveyAnswer {
            surveyed,
            may_be_stale,
            took,
        };
        // The sender may be gone.
        let _ = answer.send(Ok(said));
        for sender in senders {
            let at = self.clock.now();
            if let Some(device) = self.schedule.overheard(at.mono, sender) {
                self.report.late(device, at).await?;
            }
        }
        self.tell_findings().await?;
        Ok(())
    }
}
