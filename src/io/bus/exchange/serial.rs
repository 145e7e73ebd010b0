//! Runs a transaction without transaction ids: on a serial line, or behind a serial server.
//!
//! On a serial line a pause ends a frame. A network delivers bytes with pauses of its own.
//! There frames are put together by length and checksum alone; a protocol without these uses
//! silence, within the response timeout.

use std::io;
use std::time::Duration;

use crate::base::{MissReason, Mono};
use crate::field::line::arrival::Arrival;
use crate::field::receiver::OtherTraffic;
use crate::field::transaction::request::{Outcome, Request};
use crate::field::transaction::{Transaction, TransactionStep};
use crate::spec::Framing;
use crate::trace::TraceEventKind;

use super::{
    BEHIND_A_SERVER, Exchange, Framer, LONGEST_TALK, LineLoss, READ_BYTES, TransactionEnd, lost,
};
use crate::io::bus::port_thread;
use crate::io::bus::port_thread::{LONGEST_BLOCK, SPIN_BEFORE_DUE};

impl Exchange {
    pub(super) async fn run_serial(
        &mut self,
        request: &Request,
        framing: Framing,
    ) -> Result<TransactionEnd, LineLoss> {
        // The reply to some writes is the request once more: an adapter that was heard to echo
        // must not be taken for that reply.
        if request.is_write() && self.echoes {
            self.echo.get_or_insert_default();
        }
        // Made before the silence is over: afterwards every microsecond counts.
        let mut transaction = Transaction::new(request, framing);
        let mut traffic = OtherTraffic::default();
        let mut passed_by = None;
        let mut rest = request.turnaround;
        let (outcome, sent) = loop {
            if !self.fall_quiet(rest).await? {
                break (Outcome::Missed(MissReason::Garbled), None);
            }
            if self.tune(request)? && !self.fall_quiet(rest).await? {
                break (Outcome::Missed(MissReason::Garbled), None);
            }
            rest = Duration::ZERO;
            let sent = self
                .send(transaction.request(), transaction.masked(), request.timeout)
                .await?;
            let mut passed = self.traffic();
            passed_by.get_or_insert_with(|| OtherTraffic {
                overheard: std::mem::take(&mut passed.overheard),
                reply: passed.reply.take(),
                ..OtherTraffic::default()
            });
            traffic.add(passed);
            if let Framer::Serial(_, passing) = &mut self.framer {
                passing.follow(&transaction);
            }
            match self.receive(&mut transaction, sent, request).await? {
                Some(TransactionStep::Again) => {}
                Some(TransactionStep::Over(outcome)) => break (outcome, Some(sent)),
                None => {
                    self.tap.say(&self.clock, || TraceEventKind::Timeout);
                    break (Outcome::Missed(transaction.miss()), Some(sent));
                }
            }
        };
        let reply = match &outcome {
            Outcome::Missed(_) | Outcome::Mismatched(_) => None,
            Outcome::Answered(_)
            | Outcome::Confirmed
            | Outcome::Exception(_)
            | Outcome::Refused(_) => transaction.reply_bytes(),
        };
        // Computed back from the end of the reply: echo and noise may come before it.
        let turnaround = reply.zip(sent).map(|(bytes, sent)| {
            let length = self.silence.transmission(bytes);
            self.last_byte.since(sent).saturating_sub(length)
        });
        traffic.add(self.traffic());
        let (outcome, meanwhile) = transaction.end(outcome);
        traffic.add(meanwhile);
        self.echoes |= traffic.echoes > 0;
        Ok(TransactionEnd {
            passed_by: passed_by.unwrap_or_default(),
            ..self.ended(outcome, traffic, turnaround)
        })
    }

    /// Waits until the line has been quiet for long enough; returns false if it does not fall
    /// quiet.
    pub(super) async fn fall_quiet(&mut self, turnaround: Duration) -> Result<bool, LineLoss> {
        let reply_timeout = self.clock.now().mono + turnaround + LONGEST_TALK;
        let mut spoke = false;
        loop {
            let mut quiet = self.silence.quiet_at(self.last_byte, turnaround);
            if spoke {
                // A device talks out of turn; its frame is let finish.
                quiet = quiet.max(self.last_byte + self.silence.frame_end());
            }
            // Reading comes first: what has arrived is seen even if the wait
            // is over.
            match self.read_until_exactly(quiet).await {
                Ok(None) => break,
                Ok(Some(n)) => {
                    // A reply of Modbus ASCII is taken at its CR; its LF belongs to it.
                    let is_line_end = self.buffer[..n] == *b"\n"
                        && matches!(self.framer, Framer::Serial(Framing::Ascii, _));
                    spoke |= !is_line_end;
                    self.pass_by(n);
                }
                Err(e) => return Err(lost(&e, false)),
            }
            if self.clock.now().mono > reply_timeout {
                return Ok(false);
            }
        }
        if let Framer::Serial(_, passing) = &mut self.framer {
            passing.silence();
        }
        Ok(true)
    }

    /// Listens for the reply; its first byte must come within the request's timeout.
    async fn receive(
        &mut self,
        transaction: &mut Transaction,
        sent: Mono,
        request: &Request,
    ) -> Result<Option<TransactionStep>, LineLoss> {
        let deadline = sent + request.timeout;
        // A network delivers bytes with pauses of its own.
        let pauses_count = self.own.is_some() || transaction.ends_by_silence();
        let is_brief = request.was_spoilt && !transaction.ends_by_silence();
        let pause = match transaction.pause(&self.silence) {
            pause if is_brief => self.pauses.rest(pause),
            pause => pause,
        };
        let end = match self.own {
            Some(_) => deadline + self.silence.transmission(transaction.longest()) + pause,
            None => {
                let end = deadline + BEHIND_A_SERVER;
                end.max(sent + self.response_timeout)
            }
        };
        let mut arrival = Arrival::default();
        let mut due = None;
        // Whether the transaction was told the pause since the last byte.
        let mut paused = false;
        let mut longest = Duration::ZERO;
        loop {
            let begun = transaction.is_reading().then_some(self.last_byte);
            let end = match begun.filter(|_| is_brief && !pauses_count) {
                Some(last) => {
                    let rest = BEHIND_A_SERVER.max(self.response_timeout);
                    end.min((last + self.pauses.rest(rest)).max(deadline))
                }
                None => end,
            };
            let is_open =
                transaction.is_reading() && (pauses_count || !paused || transaction.may_go_on());
            let wake = match (transaction.is_reading(), paused) {
                (true, false) => end.min(self.last_byte + pause),
                (true, true) if is_open => end,
                _ => deadline,
            };
            let read = match self.at_hand(&mut due) {
                Ok(None) => self.read_until(wake).await,
                read => read,
            };
            match read {
                Ok(Some(n)) => {
                    paused = false;
                    arrival.on_bytes(self.last_byte, n, &self.silence);
                    let since = begun.map(|last| self.last_byte.since(last));
                    longest = longest.max(since.unwrap_or_default());
                    if let Some(step) = transaction.push(&self.buffer[..n]) {
                        if !matches!(step, TransactionStep::Over(Outcome::Missed(_))) {
                            self.pauses.note(self.last_byte, longest);
                        }
                        return Ok(Some(step));
                    }
                    if let Some(missing) = transaction.missing() {
                        due = self.let_come(&arrival, missing);
                    }
                }
                Ok(None) => {
                    if transaction.is_reading() {
                        self.tap.say(&self.clock, || TraceEventKind::Pause);
                    }
                    let step = if pauses_count {
                        transaction.silence()
                    } else {
                        paused = true;
                        transaction.on_pause()
                    };
                    if step.is_some() {
                        return Ok(step);
                    }
                }
                Err(e) => return Err(lost(&e, true)),
            }
            let now = self.clock.now().mono;
            let goes_on = transaction.is_reading() && (pauses_count || transaction.may_go_on());
            if now >= end || (now >= deadline && !goes_on) {
                return Ok(transaction.silence());
            }
        }
    }

    /// Lets an arriving frame come that lacks `missing` bytes; returns for how long to listen.
    /// Only the last byte must be met on time. The thread is awake and listening when that byte
    /// comes, because waking up takes longer than a character at 115,200 bit/s, and after a
    /// long sleep even longer. The thread does not look for the byte without end, which would
    /// keep the system's own work from handing it over.
    fn let_come(&self, arrival: &Arrival, missing: usize) -> Option<Duration> {
        if !self.line.has_own_thread() {
            return None;
        }
        let character = self.silence.transmission(1);
        let early = (2 * SPIN_BEFORE_DUE).max(character / 4);
        let rest = arrival.until(self.clock.now().mono, missing, &self.silence);
        port_thread::block_for(rest.saturating_sub(early));
        Some((early + character).min(LONGEST_BLOCK))
    }

    /// Reads what comes while the thread itself listens, which is quicker than the runtime.
    fn at_hand(&mut self, due: &mut Option<Duration>) -> io::Result<Option<usize>> {
        let Some(limit) = due.take() else {
            return Ok(None);
        };
        self.line.await_bytes(limit);
        let read = self.line.try_read(&mut self.buffer[..READ_BYTES])?;
        read.map(|n| self.came(n)).transpose()
    }
}
