//! Runs a transaction of Modbus TCP: numbered, on a connection that may close.

use std::fmt::Write;
use std::time::Duration;

use crate::base::{MissReason, Mono};
use crate::field::modbus::Reply;
use crate::field::modbus::tcp::Stream;
use crate::field::transaction::request::{Outcome, Request};
use crate::trace::TraceEventKind;

use super::{Exchange, Framer, LATE_READS, LONGEST_TALK, LineLoss, TransactionEnd, lost};

/// How long no more bytes must follow until a reply with an uncertain end counts. What one peer
/// sends at once arrives together, unless a segment was lost.
pub(super) const NOTHING_FOLLOWS: Duration = Duration::from_millis(20);

/// After how many waits in a row that ended with bytes of no frame the connection is given up.
const MOST_STRAY_WAITS: u32 = 3;

impl Exchange {
    pub(super) async fn run_tcp(&mut self, request: &Request) -> Result<TransactionEnd, LineLoss> {
        self.rest(request.turnaround).await?;
        let mut traffic = self.traffic();
        let Some(stream) = self.stream() else {
            return Err(no_stream());
        };
        let frame = stream.send(request.modbus_request().ok_or_else(not_carried)?);
        let sent = self.send(&frame, None, request.timeout).await?;
        let reply = self.await_reply(sent + request.timeout).await?;
        let meanwhile = self.traffic();
        let turnaround = reply.is_some().then(|| self.last_byte.since(sent));
        let outcome = match reply {
            Some(Reply::Stranger) => meanwhile
                .mismatch
                .map_or(Outcome::Missed(MissReason::Foreign), Outcome::Mismatched),
            Some(reply) => answered(reply),
            None if meanwhile.foreign > 0 => Outcome::Missed(MissReason::Foreign),
            None if meanwhile.noise > 0 => Outcome::Missed(MissReason::Garbled),
            None => Outcome::Missed(MissReason::Silence),
        };
        match &outcome {
            Outcome::Missed(MissReason::Garbled) => self.strayed += 1,
            Outcome::Missed(_) => {}
            _ => self.strayed = 0,
        }
        if self.strayed >= MOST_STRAY_WAITS {
            return Err(self.out_of_step());
        }
        traffic.add(meanwhile);
        Ok(self.ended(outcome, traffic, turnaround))
    }

    /// Reads what came meanwhile, and gives the unit its rest since the last byte. Reading is
    /// also how a closed connection is noticed before any device is blamed.
    async fn rest(&mut self, turnaround: Duration) -> Result<(), LineLoss> {
        let rested = self.last_byte + turnaround;
        let reply_timeout = rested.max(self.clock.now().mono) + LONGEST_TALK;
        loop {
            match self.read_until(rested).await {
                Ok(Some(n)) => self.pass_by(n),
                Ok(None) => return Ok(()),
                Err(e) => return Err(lost(&e, false)),
            }
            if self.clock.now().mono > reply_timeout {
                return Ok(());
            }
        }
    }

    async fn await_reply(&mut self, deadline: Mono) -> Result<Option<Reply>, LineLoss> {
        let mut is_news = false;
        let mut late = 0;
        loop {
            let is_reading = self.stream().is_some_and(|s| s.is_reading());
            let wake = if is_reading && is_news {
                deadline.min(self.last_byte + NOTHING_FOLLOWS)
            } else {
                deadline
            };
            let read = match self.read_until(wake).await {
                Ok(read) => read,
                Err(e) => return Err(lost(&e, true)),
            };
            is_news = read.is_some();
            let Framer::Tcp(stream) = &mut self.framer else {
                return Err(no_stream());
            };
            let completed = match read {
                Some(n) => stream.push(&self.buffer[..n]),
                None => stream.silence(),
            };
            if let Some(completed) = completed.into_iter().next() {
                return Ok(Some(completed.reply));
            }
            late += u32::from(self.clock.now().mono >= deadline);
            if late > 0 && (read.is_none() || late > LATE_READS) {
                stream.abandon_all();
                self.tap.say(&self.clock, || TraceEventKind::Timeout);
                return Ok(None);
            }
        }
    }

    fn stream(&mut self) -> Option<&mut Stream> {
        match &mut self.framer {
            Framer::Tcp(stream) => Some(stream),
            Framer::Serial(..) => None,
        }
    }

    /// Makes the error of a connection on which the replies could not be found in the bytes
    /// that came.
    fn out_of_step(&mut self) -> LineLoss {
        let mut why = String::from("what it sends is not Modbus TCP:");
        for byte in self.stream().map_or(&[][..], |s| s.stray()) {
            let _ = write!(why, " {byte:02X}");
        }
        LineLoss {
            why,
            asked: true,
            stale: false,
            stray: true,
        }
    }
}

/// Makes the error of an exchange without a Modbus TCP stream, which cannot happen by how an
/// exchange is made.
pub(super) fn not_carried() -> LineLoss {
    LineLoss {
        why: "Modbus TCP does not carry the protocol of the request".into(),
        ..no_stream()
    }
}

pub(super) fn no_stream() -> LineLoss {
    LineLoss {
        why: "it is not a connection of Modbus TCP".into(),
        asked: false,
        stale: false,
        stray: false,
    }
}

pub(super) fn answered(reply: Reply) -> Outcome {
    match reply {
        Reply::Answer(data) => Outcome::Answered(data),
        Reply::Confirmed => Outcome::Confirmed,
        Reply::Exception(code) => Outcome::Exception(code),
        Reply::Stranger => Outcome::Missed(MissReason::Foreign),
    }
}
