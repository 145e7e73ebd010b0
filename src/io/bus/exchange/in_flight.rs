//! Runs several requests in flight on one connection of Modbus TCP, each with its own deadline.

use crate::base::{MissReason, Mono};
use crate::field::modbus::tcp::Completed;
use crate::field::transaction::request::{Outcome, Request};
use crate::trace::TraceEventKind;

use super::tcp::{NOTHING_FOLLOWS, answered, no_stream, not_carried};
use super::{Exchange, Framer, LATE_READS, LineLoss, TransactionEnd, lost};

/// A request whose reply is awaited.
#[derive(Debug)]
pub(super) struct InFlightRequest {
    id: u16,
    request: Request,
    sent: Mono,
    with: usize,
}

/// How one of several requests ended.
#[derive(Debug)]
pub struct FinishedRequest {
    /// The request.
    pub request: Request,
    /// How the request ended.
    pub ended: TransactionEnd,
    /// How many requests were in flight when it was sent, itself included.
    pub with: usize,
    /// When it was sent.
    pub sent: Mono,
}

impl Exchange {
    /// Returns how many requests are in flight.
    #[must_use]
    pub const fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Sends one more request. [`Exchange::next_finished`] returns how the request ends; until then
    /// the exchange neither runs nor listens for anything else.
    ///
    /// # Errors
    /// The line is lost; the requests in flight are to be taken back.
    pub async fn start_request(&mut self, request: Request) -> Result<(), LineLoss> {
        let Framer::Tcp(stream) = &mut self.framer else {
            return Err(no_stream());
        };
        let call = request.modbus_request().ok_or_else(not_carried)?;
        let (id, frame) = stream.ask(call);
        let timeout = request.timeout;
        // The request counts as in flight even if sending it fails.
        let with = self.in_flight.len() + 1;
        self.in_flight.push(InFlightRequest {
            id,
            request,
            sent: self.clock.now().mono,
            with,
        });
        let heard_since = self.heard_since;
        let sent = self.send(&frame, None, timeout).await?;
        self.heard_since = heard_since && with > 1;
        if let Some(one) = self.in_flight.last_mut() {
            one.sent = sent;
        }
        Ok(())
    }

    /// Waits until some of the requests in flight have ended, but not longer than until
    /// `until`.
    ///
    /// # Errors
    /// The line is lost; the requests in flight are to be taken back.
    pub async fn next_finished(&mut self, until: Mono) -> Result<Vec<FinishedRequest>, LineLoss> {
        let mut is_news = false;
        let mut late = 0;
        loop {
            let deadline = self
                .in_flight
                .iter()
                .map(|f| f.sent + f.request.timeout)
                .min();
            let wake = deadline.map_or(until, |deadline| deadline.min(until));
            let Framer::Tcp(stream) = &self.framer else {
                return Err(no_stream());
            };
            let wake = match stream.is_reading() && is_news {
                true => wake.min(self.last_byte + NOTHING_FOLLOWS),
                false => wake,
            };
            let read = match self.read_until(wake).await {
                Ok(read) => read,
                Err(e) => return Err(lost(&e, !self.in_flight.is_empty())),
            };
            is_news = read.is_some();
            let Framer::Tcp(stream) = &mut self.framer else {
                return Err(no_stream());
            };
            let completed = match read {
                Some(n) => stream.push(&self.buffer[..n]),
                None => stream.silence(),
            };
            let mut finished: Vec<FinishedRequest> = completed
                .into_iter()
                .filter_map(|s| self.complete(s))
                .collect();
            let now = self.clock.now().mono;
            late += u32::from(deadline.is_some_and(|deadline| now >= deadline));
            if read.is_none() || late > LATE_READS {
                finished.extend(self.give_up(now));
            }
            if !finished.is_empty() || now >= until {
                if let Some(first) = finished.first_mut() {
                    first.ended.traffic = self.traffic();
                }
                return Ok(finished);
            }
        }
    }

    /// Gives up all requests in flight and returns them in the order in which they were sent.
    pub fn take_back(&mut self) -> Vec<Request> {
        if let Framer::Tcp(stream) = &mut self.framer {
            stream.abandon_all();
        }
        self.in_flight.drain(..).map(|one| one.request).collect()
    }

    /// Returns how many requests were answered more than once since the last call.
    pub fn take_twice(&mut self) -> u32 {
        match &mut self.framer {
            Framer::Tcp(stream) => stream.take_twice(),
            Framer::Serial(..) => 0,
        }
    }

    fn complete(&mut self, completed: Completed) -> Option<FinishedRequest> {
        let at = self.in_flight.iter().position(|f| f.id == completed.id)?;
        let one = self.in_flight.remove(at);
        let turnaround = Some(self.last_byte.since(one.sent));
        Some(self.finished(one, answered(completed.reply), turnaround))
    }

    fn give_up(&mut self, now: Mono) -> Vec<FinishedRequest> {
        let Framer::Tcp(stream) = &mut self.framer else {
            return Vec::new();
        };
        let is_over = |f: &mut InFlightRequest| f.sent + f.request.timeout <= now;
        let over: Vec<InFlightRequest> = self.in_flight.extract_if(.., is_over).collect();
        for one in &over {
            stream.abandon(one.id);
        }
        if !over.is_empty() {
            self.tap.say(&self.clock, || TraceEventKind::Timeout);
        }
        let silent = || Outcome::Missed(MissReason::Silence);
        over.into_iter()
            .map(|one| self.finished(one, silent(), None))
            .collect()
    }

    fn finished(
        &mut self,
        one: InFlightRequest,
        outcome: Outcome,
        turnaround: Option<std::time::Duration>,
    ) -> FinishedRequest {
        self.ended += 1;
        FinishedRequest {
            ended: self.ended(outcome, Default::default(), turnaround),
            request: one.request,
            with: one.with,
            sent: one.sent,
        }
    }
}
