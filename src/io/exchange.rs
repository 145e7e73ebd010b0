//! One transaction on an open line: be quiet, send, listen.
//!
//! The doing to `field/rtu.rs`, `field/mbap.rs` and `field/silence.rs`, which
//! know what bytes mean and how long to wait.

use std::io;
use std::time::Duration;

use crate::base::{Miss, Mono, Now};
use crate::field::job::{Job, Outcome};
use crate::field::mbap::{OutOfStep, Stream};
use crate::field::modbus::Reply;
use crate::field::rtu::{self, Heard, Receiver, Verdict};
use crate::field::silence::Silence;
use crate::spec::LineSpec;

use super::clock::Clock;
use super::line::Line;
use super::solo::{self, AWAKE, LONGEST_DOZE};

/// Whoever talks for this long before we may is not going to stop for us.
const BABBLE: Duration = Duration::from_secs(1);

/// A line, what is said on it, and since when it has been quiet.
#[derive(Debug)]
pub struct Exchange {
    line: Line,
    clock: Clock,
    silence: Silence,
    framing: Framing,
    /// When the last byte was seen, or will have been sent.
    last_byte: Mono,
    buffer: Box<[u8; 512]>,
}

#[derive(Debug)]
enum Framing {
    /// RTU, with what passes by while nobody is asked.
    Rtu(Receiver),
    /// MBAP, over the life of the connection.
    Tcp(Stream),
}

/// How a transaction ended.
#[derive(Debug)]
pub struct Ended {
    /// For schedule and evidence.
    pub outcome: Outcome,
    /// When.
    pub at: Now,
    /// From the end of the request to the beginning of the reply.
    pub turnaround: Option<Duration>,
    /// What else was heard, since the last transaction.
    pub heard: Heard,
}

/// The line is lost, or of no further use.
#[derive(Debug)]
pub struct Lost {
    /// In the system's words.
    pub why: String,
    /// Whether the request had been sent, at least in part.
    pub asked: bool,
}

impl Exchange {
    /// On a line that was just opened.
    #[must_use]
    pub fn new(line: Line, spec: &LineSpec, clock: Clock) -> Self {
        Exchange {
            line,
            clock,
            silence: Silence::of(spec),
            framing: match spec {
                LineSpec::Serial(_) => Framing::Rtu(Receiver::idle()),
                LineSpec::Tcp(_) => Framing::Tcp(Stream::new()),
            },
            // Whatever was going on before we came: be quiet first.
            last_byte: clock.now().mono,
            buffer: Box::new([0; 512]),
        }
    }

    /// Listens until then without asking. Returns early when somebody was
    /// overheard.
    ///
    /// # Errors
    /// The line is lost.
    pub async fn listen(&mut self, until: Mono) -> Result<Heard, Lost> {
        loop {
            let frame_end = self.last_byte + self.silence.frame_end();
            let reading = matches!(&self.framing, Framing::Rtu(r) if r.is_reading());
            let wake = if reading { frame_end.min(until) } else { until };
            match self.read_until(wake).await {
                Ok(Some(n)) => self.pass_by(n)?,
                Ok(None) => {
                    if let Framing::Rtu(passing) = &mut self.framing
                        && self.clock.now().mono >= frame_end
                    {
                        passing.silence();
                    }
                }
                Err(e) => return Err(lost(&e, false)),
            }
            let over = self.clock.now().mono >= until;
            let heard = self.heard();
            if over || heard != Heard::default() {
                return Ok(heard);
            }
        }
    }

    /// Runs one transaction.
    ///
    /// # Errors
    /// The line is lost.
    pub async fn run(&mut self, job: &Job) -> Result<Ended, Lost> {
        match self.framing {
            Framing::Rtu(_) => self.run_rtu(job).await,
            Framing::Tcp(_) => self.run_tcp(job).await,
        }
    }

    async fn run_rtu(&mut self, job: &Job) -> Result<Ended, Lost> {
        // Before the silence is over: afterwards every microsecond counts.
        let request = rtu::frame(job.ask.unit, &job.ask.pdu());
        let mut receiver = Receiver::new(job.ask);
        if !self.fall_quiet(job.turnaround).await? {
            let heard = self.heard();
            return Ok(self.ended(Outcome::Missed(Miss::Garbled), heard, None));
        }
        let sent = self.send(&request, job.timeout).await?;
        let mut heard = self.heard();
        let verdict = self.receive(&mut receiver, sent + job.timeout).await?;
        let outcome = match verdict {
            Some(Verdict::Reply(reply)) => answered(reply),
            Some(Verdict::Spoiled) => Outcome::Missed(Miss::Garbled),
            None => Outcome::Missed(receiver.miss()),
        };
        let reply = match &outcome {
            Outcome::Answered(_) => Some(job.ask.reply_len() + 3),
            Outcome::Exception(_) => Some(5),
            Outcome::Missed(_) => None,
        };
        // Reckoned back from its end: echo and noise may come before it.
        let turnaround = reply.map(|bytes| {
            let length = self.silence.transmission(bytes);
            self.last_byte.since(sent).saturating_sub(length)
        });
        heard.add(receiver.heard());
        Ok(self.ended(outcome, heard, turnaround))
    }

    /// Waits until the line has been quiet for long enough; false if it does
    /// not fall quiet.
    async fn fall_quiet(&mut self, turnaround: Duration) -> Result<bool, Lost> {
        let patience = self.clock.now().mono + BABBLE;
        let mut spoke = false;
        loop {
            let mut quiet = self.silence.quiet_at(self.last_byte, turnaround);
            if spoke {
                // Somebody is talking out of turn; let them finish.
                quiet = quiet.max(self.last_byte + self.silence.frame_end());
            }
            // Reading comes first: what has arrived is seen even if the wait
            // is over.
            match self.read_until_exactly(quiet).await {
                Ok(None) => break,
                Ok(Some(n)) => {
                    spoke = true;
                    self.pass_by(n)?;
                }
                Err(e) => return Err(lost(&e, false)),
            }
            if self.clock.now().mono > patience {
                return Ok(false);
            }
        }
        if let Framing::Rtu(passing) = &mut self.framing {
            passing.silence();
        }
        Ok(true)
    }

    /// Listens for the reply; its first byte must come before `deadline`.
    async fn receive(
        &mut self,
        receiver: &mut Receiver,
        deadline: Mono,
    ) -> Result<Option<Verdict>, Lost> {
        let frame_end = self.silence.frame_end();
        let end = deadline + self.silence.transmission(rtu::MAX_FRAME) + frame_end;
        loop {
            let wake = if receiver.is_reading() {
                end.min(self.last_byte + frame_end)
            } else {
                deadline
            };
            match self.read_until(wake).await {
                Ok(Some(n)) => {
                    if let Some(verdict) = receiver.push(&self.buffer[..n]) {
                        return Ok(Some(verdict));
                    }
                    self.let_come(receiver.missing());
                }
                Ok(None) => {
                    if let Some(verdict) = receiver.silence() {
                        return Ok(Some(verdict));
                    }
                }
                Err(e) => return Err(lost(&e, true)),
            }
            let now = self.clock.now().mono;
            if now >= end || (now >= deadline && !receiver.is_reading()) {
                return Ok(receiver.silence());
            }
        }
    }

    async fn run_tcp(&mut self, job: &Job) -> Result<Ended, Lost> {
        // What came meanwhile; also how a connection that was closed is
        // noticed before anyone is blamed for it.
        while let Some(n) = {
            let now = self.clock.now().mono;
            self.read_until(now).await.map_err(|e| lost(&e, false))?
        } {
            self.pass_by(n)?;
        }
        let mut heard = self.heard();
        let Framing::Tcp(stream) = &mut self.framing else {
            return Err(out_of_step(false));
        };
        let request = stream.send(job.ask);
        let sent = self.send(&request, job.timeout).await?;
        let deadline = sent + job.timeout;
        let reply = loop {
            let read = self.read_until(deadline).await;
            let Framing::Tcp(stream) = &mut self.framing else {
                return Err(out_of_step(true));
            };
            match read {
                Ok(Some(n)) => match stream.push(&self.buffer[..n]) {
                    Ok(Some(reply)) => break Some(reply),
                    Ok(None) => {}
                    Err(OutOfStep) => return Err(out_of_step(true)),
                },
                Ok(None) => {
                    stream.abandon();
                    break None;
                }
                Err(e) => return Err(lost(&e, true)),
            }
        };
        let meanwhile = self.heard();
        let turnaround = reply.is_some().then(|| self.last_byte.since(sent));
        let outcome = match reply {
            Some(reply) => answered(reply),
            None if meanwhile.foreign > 0 => Outcome::Missed(Miss::Foreign),
            None => Outcome::Missed(Miss::Silence),
        };
        heard.add(meanwhile);
        Ok(self.ended(outcome, heard, turnaround))
    }

    /// Sends; returns when the last bit will have left.
    async fn send(&mut self, frame: &[u8], patience: Duration) -> Result<Mono, Lost> {
        let start = self.clock.now().mono;
        let taken = self.line.try_write(frame).map_err(|e| lost(&e, true))?;
        let rest = frame.get(taken..).unwrap_or_default();
        let limit = self.silence.transmission(frame.len()) + patience;
        // A line that takes no bytes is as good as lost: flow control that
        // never comes, or a peer that stopped reading.
        match tokio::time::timeout(limit, self.line.write(rest)).await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => return Err(lost(&e, true)),
            Err(_) => {
                return Err(Lost {
                    why: "it takes no more bytes".into(),
                    asked: true,
                });
            }
        }
        let sent = (start + self.silence.transmission(frame.len())).max(self.clock.now().mono);
        self.last_byte = sent;
        Ok(sent)
    }

    /// The one place that reads: bytes into the buffer, or `None` at `wake`.
    async fn read_until(&mut self, wake: Mono) -> io::Result<Option<usize>> {
        tokio::select! {
            biased;
            read = self.line.read(&mut self.buffer[..]) => {
                let n = read?;
                self.last_byte = self.last_byte.max(self.clock.now().mono);
                Ok(Some(n))
            }
            () = self.clock.sleep_until(wake) => Ok(None),
        }
    }

    /// The same to the microsecond, where the line has a thread of its own.
    async fn read_until_exactly(&mut self, wake: Mono) -> io::Result<Option<usize>> {
        if !self.line.has_own_thread() {
            return self.read_until(wake).await;
        }
        while wake.since(self.clock.now().mono) > LONGEST_DOZE {
            let nearly = self.clock.now().mono + LONGEST_DOZE / 2;
            if let Some(n) = self.read_until(nearly).await? {
                return Ok(Some(n));
            }
        }
        solo::doze(&self.clock, wake);
        let read = self.line.try_read(&mut self.buffer[..])?;
        if read.is_some() {
            self.last_byte = self.last_byte.max(self.clock.now().mono);
        }
        Ok(read)
    }

    /// A frame is arriving and lacks this many bytes: none but the last need be
    /// met, and that one awake, for waking up takes longer than a character at
    /// 115,200 bit/s.
    fn let_come(&mut self, missing: usize) {
        if !self.line.has_own_thread() {
            return;
        }
        let rest = self.silence.transmission(missing);
        if rest > LONGEST_DOZE {
            solo::nap(LONGEST_DOZE);
            return;
        }
        solo::nap(rest.saturating_sub(2 * AWAKE));
        let late = self.last_byte + rest + AWAKE;
        while self.line.waiting() < missing && self.clock.now().mono < late {
            std::hint::spin_loop();
        }
    }

    fn pass_by(&mut self, n: usize) -> Result<(), Lost> {
        match &mut self.framing {
            Framing::Rtu(passing) => {
                passing.push(&self.buffer[..n]);
                Ok(())
            }
            Framing::Tcp(stream) => match stream.push(&self.buffer[..n]) {
                Ok(_) => Ok(()),
                Err(OutOfStep) => Err(out_of_step(false)),
            },
        }
    }

    fn heard(&mut self) -> Heard {
        match &mut self.framing {
            Framing::Rtu(passing) => passing.take_heard(),
            Framing::Tcp(stream) => stream.heard(),
        }
    }

    fn ended(&self, outcome: Outcome, heard: Heard, turnaround: Option<Duration>) -> Ended {
        Ended {
            outcome,
            at: self.clock.now(),
            turnaround,
            heard,
        }
    }
}

fn answered(reply: Reply) -> Outcome {
    match reply {
        Reply::Answer(data) => Outcome::Answered(data),
        Reply::Exception(code) => Outcome::Exception(code),
        Reply::Stranger => Outcome::Missed(Miss::Foreign),
    }
}

fn lost(e: &io::Error, asked: bool) -> Lost {
    Lost {
        why: e.to_string(),
        asked,
    }
}

fn out_of_step(asked: bool) -> Lost {
    Lost {
        why: "what it sends is not Modbus TCP".into(),
        asked,
    }
}
