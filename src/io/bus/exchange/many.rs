//! Runs several requests in flight on one connection of Modbus TCP, each with its own deadline.

use crate::base::{Miss, Mono};
use crate::field::modbus::tcp::Completed;
use crate::field::transaction::request::{Outcome, Request};
use crate::trace::What;

use super::tcp::{NOTHING_FOLLOWS, answered, no_stream, not_carried};
use super::{Ended, Exchange, LATE_BITES, Lost, Speech, lost};

/// A request whose reply is awaited.
#[derive(Debug)]
pub(super) struct Flight {
    id: u16,
    job: Request,
    sent: Mono,
    with: usize,
}

/// How one of several requests ended.
#[derive(Debug)]
pub struct Landed {
    /// The request.
    pub job: Request,
    /// How the request ended.
    pub ended: Ended,
    /// How many requests were in flight when it was sent, itself included.
    pub with: usize,
    /// When it was sent.
    pub sent: Mono,
}

impl Exchange {
    /// How many requests are in flight.
    #[must_use]
    pub const fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// Sends one more request. [`Exchange::land`] returns how the request ends; until then the
    /// exchange neither runs nor listens for anything else.
    ///
    /// # Errors
    /// The line is lost; the requests in flight are to be taken back.
    pub async fn launch(&mut self, job: Request) -> Result<(), Lost> {
        let Speech::Tcp(stream) = &mut self.speech else {
            return Err(no_stream());
        };
        let call = job.call().ok_or_else(not_carried)?;
        let (id, request) = stream.ask(call);
        let timeout = job.timeout;
        // The request counts as in flight even if sending it fails.
        let with = self.flights.len() + 1;
        self.flights.push(Flight {
            id,
            job,
            sent: self.clock.now().mono,
            with,
        });
        let heard_since = self.heard_since;
        let sent = self.send(&request, timeout).await?;
        self.heard_since = heard_since && with > 1;
        if let Some(flight) = self.flights.last_mut() {
            flight.sent = sent;
        }
        Ok(())
    }

    /// Waits until some of the requests in flight have ended, but not longer than until
    /// `until`.
    ///
    /// # Errors
    /// The line is lost; the requests in flight are to be taken back.
    pub async fn land(&mut self, until: Mono) -> Result<Vec<Landed>, Lost> {
        let mut is_news = false;
        let mut late = 0;
        loop {
            let deadline = self.flights.iter().map(|f| f.sent + f.job.timeout).min();
            let wake = deadline.map_or(until, |deadline| deadline.min(until));
            let Speech::Tcp(stream) = &self.speech else {
                return Err(no_stream());
            };
            let wake = match stream.is_reading() && is_news {
                true => wake.min(self.last_byte + NOTHING_FOLLOWS),
                false => wake,
            };
            let read = match self.read_until(wake).await {
                Ok(read) => read,
                Err(e) => return Err(lost(&e, !self.flights.is_empty())),
            };
            is_news = read.is_some();
            let Speech::Tcp(stream) = &mut self.speech else {
                return Err(no_stream());
            };
            let completed = match read {
                Some(n) => stream.push(&self.buffer[..n]),
                None => stream.silence(),
            };
            let mut landed: Vec<Landed> = completed
                .into_iter()
                .filter_map(|s| self.complete(s))
                .collect();
            let now = self.clock.now().mono;
            late += u32::from(deadline.is_some_and(|deadline| now >= deadline));
            if read.is_none() || late > LATE_BITES {
                landed.extend(self.give_up(now));
            }
            if !landed.is_empty() || now >= until {
                if let Some(first) = landed.first_mut() {
                    first.ended.traffic = self.traffic();
                }
                return Ok(landed);
            }
        }
    }

    /// Gives up all requests in flight and returns them in the order in which they were sent.
    pub fn take_back(&mut self) -> Vec<Request> {
        if let Speech::Tcp(stream) = &mut self.speech {
            stream.abandon_all();
        }
        self.flights.drain(..).map(|flight| flight.job).collect()
    }

    /// Returns how many requests were answered more than once since the last call.
    pub fn take_twice(&mut self) -> u32 {
        match &mut self.speech {
            Speech::Tcp(stream) => stream.take_twice(),
            Speech::Plain(..) => 0,
        }
    }

    fn complete(&mut self, completed: Completed) -> Option<Landed> {
        let at = self.flights.iter().position(|f| f.id == completed.id)?;
        let flight = self.flights.remove(at);
        let turnaround = Some(self.last_byte.since(flight.sent));
        Some(self.landed(flight, answered(completed.reply), turnaround))
    }

    fn give_up(&mut self, now: Mono) -> Vec<Landed> {
        let Speech::Tcp(stream) = &mut self.speech else {
            return Vec::new();
        };
        let is_over = |f: &mut Flight| f.sent + f.job.timeout <= now;
        let over: Vec<Flight> = self.flights.extract_if(.., is_over).collect();
        for flight in &over {
            stream.abandon(flight.id);
        }
        if !over.is_empty() {
            self.tap.say(&self.clock, || What::Timeout);
        }
        let silent = || Outcome::Missed(Miss::Silence);
        over.into_iter()
            .map(|flight| self.landed(flight, silent(), None))
            .collect()
    }

    fn landed(
        &mut self,
        flight: Flight,
        outcome: Outcome,
        turnaround: Option<std::time::Duration>,
    ) -> Landed {
        self.ended += 1;
        Landed {
            ended: self.ended(outcome, Default::default(), turnaround),
            job: flight.job,
            with: flight.with,
            sent: flight.sent,
        }
    }
}
