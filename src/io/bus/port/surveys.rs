//! Runs the requests of surveys between the polls of the port.
//!
//! A survey has the time in which no poll is due, and while polls are due three tenths of the
//! line, as commands have.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{Port, Stopped};
use crate::base::Mono;
use crate::io::bus::exchange::Exchange;
use crate::io::bus::port_surveys::{SurveyAnswer, SurveyOrder};
use crate::spec::survey::LONGEST_WAIT;

/// How much longer than a request the polls that are due have the line, before the next request:
/// seven tenths of the time to three.
const POLLS: (u32, u32) = (7, 3);

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

    /// Whether there is a request that its sender still waits for.
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

    /// Whether there is a request whose turn it is although polls are due.
    pub(super) fn is_due(&mut self, now: Mono) -> bool {
        now >= self.not_before && self.has_request()
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
    pub(super) async fn survey(&mut self, exchange: &mut Exchange) -> Result<(), Stopped> {
        let Some(order) = self.surveys.next.take() else {
            return Ok(());
        };
        let SurveyOrder { request, answer } = order;
        let begun = self.clock.now().mono;
        let may_be_stale = self.schedule.may_be_stale(&request.question);
        let asking = exchange.survey(&request);
        let patience = LONGEST_WAIT + MARGIN;
        let surveyed = match self.heartbeat.during(&self.clock, patience, asking).await {
            Ok(surveyed) => surveyed,
            Err(lost) => {
                // The sender may be gone.
                let _ = answer.send(Err(lost.why.clone()));
                return Err(lost.into());
            }
        };
        let now = self.clock.now().mono;
        let heard = &surveyed.heard;
        let mut frames = heard.frames.iter();
        if surveyed.is_sent && !frames.any(|frame| frame.answers(&request.question)) {
            let waited = now.since(begun);
            self.schedule.survey_missed(now, &request.question, waited);
        }
        let before = surveyed.before.clone();
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
        for sender in before {
            let at = self.clock.now();
            if let Some(device) = self.schedule.overheard(at.mono, sender) {
                self.report.late(device, at).await?;
            }
        }
        self.tell_findings().await?;
        Ok(())
    }
}
