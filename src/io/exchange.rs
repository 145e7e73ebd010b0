//! One transaction on an open line: be quiet, send, listen.
//!
//! The doing to `field/dialogue.rs`, `field/mbap.rs` and `field/silence.rs`, which
//! know what bytes mean and how long to wait.
//!
//! Devices of one line may have settings of their own: they are changed while the
//! line is quiet, after whatever came has been heard with the old ones, and at
//! once (`TCSANOW`): all that was sent has left long ago.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::base::{Miss, Mono, Now};
use crate::field::arrival::Arrival;
use crate::field::ascii;
use crate::field::dialogue::{Bystander, Dialogue, Step};
use crate::field::echo::Echo;
use crate::field::job::{Job, Outcome};
use crate::field::mbap::Stream;
use crate::field::rtu::Heard;
use crate::field::silence::Silence;
use crate::spec::{Framing, LineSpec, SerialSpec};
use crate::trace::What;

use super::clock::Clock;
use super::line::Line;
use super::solo::{self, AWAKE, LONGEST_DOZE};
use super::tap::Tap;

mod tcp;

/// Whoever talks for this long before we may is not going to stop for us.
const BABBLE: Duration = Duration::from_secs(1);

/// Behind a serial server a reply that has begun in time may take this long to be
/// there: how fast its line is, nobody here knows.
const BEHIND_A_SERVER: Duration = Duration::from_secs(1);

/// What is read at most at once.
const BITE: usize = 512;

/// A line, what is said on it, and since when it has been quiet.
#[derive(Debug)]
pub struct Exchange {
    line: Line,
    clock: Clock,
    /// Whatever happens is said here.
    tap: Tap,
    silence: Silence,
    speech: Speech,
    /// The port's own settings, if it is a tty, …
    own: Option<Arc<SerialSpec>>,
    /// … and those it has now.
    tuned: Option<Arc<SerialSpec>>,
    /// When the last byte was seen, or will have been sent.
    last_byte: Mono,
    /// Of an adapter that hears itself.
    echo: Option<Echo>,
    /// Own requests were heard although the adapter is not said to hear itself.
    echoes: bool,
    /// Nothing is sent before.
    ready_at: Mono,
    /// Where pauses end no frame, a reply that has begun may take so long from the
    /// request on.
    response_timeout: Duration,
    /// How many transactions have ended.
    ended: u64,
    /// Whether anything came since the request was sent.
    heard_since: bool,
    /// How many waits in a row, with no reply between, ended with bytes of no frame
    /// (Modbus TCP).
    strayed: u32,
    buffer: Box<[u8; BITE + ascii::MAX_FRAME]>,
}

#[derive(Debug)]
enum Speech {
    /// Bytes are all there is; with what passes by while nobody is asked.
    Plain(Framing, Bystander),
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
    /// Whether the line had been of use, and nothing came since the request was sent:
    /// the other end may have closed the connection before that.
    pub stale: bool,
    /// Whether it was given up here, for what came belonged to no frame.
    pub stray: bool,
}

impl Exchange {
    /// On a line that was just opened, with the first number for its requests where
    /// they have one.
    #[must_use]
    pub fn new(line: Line, spec: &LineSpec, clock: Clock, tap: Tap, number: u16) -> Self {
        let connection = spec.connection();
        let own = match spec {
            LineSpec::Serial(serial) => Some(Arc::new(serial.clone())),
            LineSpec::Tcp(_) => None,
        };
        Exchange {
            line,
            clock,
            tap,
            silence: Silence::of(spec),
            speech: match spec.framing() {
                Some(framing) => Speech::Plain(framing, Bystander::new(framing)),
                None => Speech::Tcp(Stream::numbering_from(number, connection.transaction_ids)),
            },
            tuned: own.clone(),
            own,
            // Whatever was going on before we came: be quiet first.
            last_byte: clock.now().mono,
            echo: hears_itself(spec).then(Echo::default),
            echoes: false,
            ready_at: clock.now().mono + connection.connect_delay,
            response_timeout: Duration::ZERO,
            ended: 0,
            heard_since: false,
            strayed: 0,
            buffer: Box::new([0; BITE + ascii::MAX_FRAME]),
        }
    }

    /// The number for the first request on the next connection, so that none of this
    /// one is used again soon.
    #[must_use]
    pub const fn next_number(&self) -> Option<u16> {
        match &self.speech {
            Speech::Tcp(stream) => Some(stream.next_number()),
            Speech::Plain(..) => None,
        }
    }

    /// The same, with the response timeout of the port: where frames are put together
    /// by length and checksum, whatever pauses lie between, a reply that has begun may
    /// take so long.
    #[must_use]
    pub const fn with_response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// From when on something may be sent.
    #[must_use]
    pub const fn ready_at(&self) -> Mono {
        self.ready_at
    }

    /// Since when nothing was sent or received.
    #[must_use]
    pub const fn idle_since(&self) -> Mono {
        self.last_byte
    }

    /// Whether a transaction has ended on it, however.
    #[must_use]
    pub const fn is_used(&self) -> bool {
        self.ended > 0
    }

    /// Listens until then without asking. Returns early when somebody was
    /// overheard.
    ///
    /// # Errors
    /// The line is lost.
    pub async fn listen(&mut self, until: Mono) -> Result<Heard, Lost> {
        loop {
            let frame_end = self.last_byte + self.silence.frame_end();
            let reading = matches!(&self.speech, Speech::Plain(_, r) if r.is_reading());
            let wake = if reading { frame_end.min(until) } else { until };
            match self.read_until(wake).await {
                Ok(Some(n)) => self.pass_by(n),
                Ok(None) => {
                    if let Speech::Plain(_, passing) = &mut self.speech
                        && self.clock.now().mono >= frame_end
                    {
                        if reading {
                            self.tap.say(&self.clock, || What::Pause);
                        }
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
        let ended = match self.speech {
            Speech::Plain(framing, _) => self.run_plain(job, framing).await,
            Speech::Tcp(_) => self.run_tcp(job).await,
        };
        match ended {
            Ok(ended) => {
                self.ended += 1;
                Ok(ended)
            }
            Err(lost) => Err(Lost {
                stale: lost.stale && self.is_used() && !self.heard_since,
                ..lost
            }),
        }
    }

    async fn run_plain(&mut self, job: &Job, framing: Framing) -> Result<Ended, Lost> {
        // The reply to some writes is the request once more: an adapter that was
        // heard to echo is not allowed to give it.
        if job.is_command() && self.echoes {
            self.echo.get_or_insert_default();
        }
        // Before the silence is over: afterwards every microsecond counts.
        let mut dialogue = Dialogue::new(job, framing);
        let mut heard = Heard::default();
        let mut rest = job.turnaround;
        let (outcome, sent) = loop {
            if !self.fall_quiet(rest).await? {
                break (Outcome::Missed(Miss::Garbled), None);
            }
            if self.tune(job)? && !self.fall_quiet(rest).await? {
                break (Outcome::Missed(Miss::Garbled), None);
            }
            rest = Duration::ZERO;
            let sent = self.send(dialogue.request(), job.timeout).await?;
            heard.add(self.heard());
            if let Speech::Plain(_, passing) = &mut self.speech {
                passing.follow(&dialogue);
            }
            match self.receive(&mut dialogue, sent, job.timeout).await? {
                Some(Step::Again) => {}
                Some(Step::Over(outcome)) => break (outcome, Some(sent)),
                None => {
                    self.tap.say(&self.clock, || What::Timeout);
                    break (Outcome::Missed(dialogue.miss()), Some(sent));
                }
            }
        };
        let reply = match &outcome {
            Outcome::Missed(_) => None,
            Outcome::Answered(_)
            | Outcome::Confirmed
            | Outcome::Exception(_)
            | Outcome::Refused(_) => dialogue.reply_bytes(),
        };
        // Reckoned back from its end: echo and noise may come before it.
        let turnaround = reply.zip(sent).map(|(bytes, sent)| {
            let length = self.silence.transmission(bytes);
            self.last_byte.since(sent).saturating_sub(length)
        });
        heard.add(self.heard());
        heard.add(dialogue.heard());
        self.echoes |= heard.echoes > 0;
        Ok(self.ended(outcome, heard, turnaround))
    }

    /// Gives the line the settings this job needs; whether they are others than
    /// before.
    fn tune(&mut self, job: &Job) -> Result<bool, Lost> {
        let wanted = job.serial.as_ref().or(self.own.as_ref());
        let Some(wanted) = wanted.filter(|w| self.tuned.as_ref() != Some(w)) else {
            return Ok(false);
        };
        self.line.retune(wanted).map_err(|e| lost(&e, false))?;
        self.silence = Silence::of_serial(wanted);
        self.tap.tuned(&self.clock, wanted);
        self.tuned = Some(Arc::clone(wanted));
        Ok(true)
    }

    /// Waits until the line has been quiet for long enough; false if it does
    /// not fall quiet.
    async fn fall_quiet(&mut self, turnaround: Duration) -> Result<bool, Lost> {
        let patience = self.clock.now().mono + turnaround + BABBLE;
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
                    self.pass_by(n);
                }
                Err(e) => return Err(lost(&e, false)),
            }
            if self.clock.now().mono > patience {
                return Ok(false);
            }
        }
        if let Speech::Plain(_, passing) = &mut self.speech {
            passing.silence();
        }
        Ok(true)
    }

    /// Listens for the reply; its first byte must come within `timeout`.
    async fn receive(
        &mut self,
        dialogue: &mut Dialogue,
        sent: Mono,
        timeout: Duration,
    ) -> Result<Option<Step>, Lost> {
        let deadline = sent + timeout;
        let pause = dialogue.pause(&self.silence);
        // A network delivers bytes as it pleases.
        let pauses_count = self.own.is_some() || dialogue.ends_by_silence();
        let end = match self.own {
            Some(_) => deadline + self.silence.transmission(dialogue.longest()) + pause,
            None => {
                let end = deadline + BEHIND_A_SERVER + pause;
                end.max(sent + self.response_timeout)
            }
        };
        let mut arrival = Arrival::default();
        let mut due = None;
        // Whether the pause since the last byte was told.
        let mut paused = false;
        loop {
            let is_open =
                dialogue.is_reading() && (pauses_count || !paused || dialogue.may_go_on());
            let wake = match (dialogue.is_reading(), paused) {
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
                    if let Some(step) = dialogue.push(&self.buffer[..n]) {
                        return Ok(Some(step));
                    }
                    if let Some(missing) = dialogue.missing() {
                        due = self.let_come(&arrival, missing);
                    }
                }
                Ok(None) => {
                    if dialogue.is_reading() {
                        self.tap.say(&self.clock, || What::Pause);
                    }
                    let step = if pauses_count {
                        dialogue.silence()
                    } else {
                        paused = true;
                        dialogue.lull()
                    };
                    if step.is_some() {
                        return Ok(step);
                    }
                }
                Err(e) => return Err(lost(&e, true)),
            }
            let now = self.clock.now().mono;
            let goes_on = dialogue.is_reading() && (pauses_count || dialogue.may_go_on());
            if now >= end || (now >= deadline && !goes_on) {
                return Ok(dialogue.silence());
            }
        }
    }

    /// Sends; returns when the last bit will have left.
    async fn send(&mut self, frame: &[u8], patience: Duration) -> Result<Mono, Lost> {
        let start = self.clock.now().mono;
        self.heard_since = false;
        if let Some(echo) = &mut self.echo {
            echo.sent(frame);
        }
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
                    stale: false,
                    stray: false,
                });
            }
        }
        let sent = (start + self.silence.transmission(frame.len())).max(self.clock.now().mono);
        self.last_byte = sent;
        self.tap.say_of(&self.clock, start, || What::Sent {
            bytes: frame.to_vec(),
            until: sent,
        });
        Ok(sent)
    }

    /// The one place that reads: bytes into the buffer, or `None` at `wake`.
    async fn read_until(&mut self, wake: Mono) -> io::Result<Option<usize>> {
        tokio::select! {
            biased;
            read = self.line.read(&mut self.buffer[..BITE]) => Ok(Some(self.came(read?))),
            () = self.clock.sleep_until(wake) => Ok(None),
        }
    }

    /// So many bytes came just now: how many of them are not our own.
    fn came(&mut self, n: usize) -> usize {
        self.last_byte = self.last_byte.max(self.clock.now().mono);
        self.heard_since = true;
        self.tap.say(&self.clock, || What::Received {
            bytes: self.buffer[..n].to_vec(),
        });
        let Some(echo) = self.echo.as_mut().filter(|e| e.is_due()) else {
            return n;
        };
        let mut heard = self.buffer[..n].to_vec();
        echo.strip(&mut heard);
        let n = heard.len().min(self.buffer.len());
        self.buffer[..n].copy_from_slice(&heard[..n]);
        n
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
        let read = self.line.try_read(&mut self.buffer[..BITE])?;
        Ok(read.map(|n| self.came(n)))
    }

    /// A frame is arriving and lacks this many bytes: none but the last need be
    /// met. The thread is up and listening when that comes, for waking up takes
    /// longer than a character at 115,200 bit/s, and after a long sleep longer still;
    /// it does not look for it without end, which would keep the system's own work
    /// from handing it over. Returns for how long to listen.
    fn let_come(&self, arrival: &Arrival, missing: usize) -> Option<Duration> {
        if !self.line.has_own_thread() {
            return None;
        }
        let character = self.silence.transmission(1);
        let early = (2 * AWAKE).max(character / 4);
        let rest = arrival.until(self.clock.now().mono, missing, &self.silence);
        solo::nap(rest.saturating_sub(early));
        Some((early + character).min(LONGEST_DOZE))
    }

    /// What comes while the thread listens for it, which is quicker than to have the
    /// runtime do so.
    fn at_hand(&mut self, due: &mut Option<Duration>) -> io::Result<Option<usize>> {
        let Some(limit) = due.take() else {
            return Ok(None);
        };
        self.line.await_bytes(limit);
        let read = self.line.try_read(&mut self.buffer[..BITE])?;
        Ok(read.map(|n| self.came(n)))
    }

    fn pass_by(&mut self, n: usize) {
        match &mut self.speech {
            Speech::Plain(_, passing) => passing.push(&self.buffer[..n]),
            // Nothing waits that it could settle.
            Speech::Tcp(stream) => drop(stream.push(&self.buffer[..n])),
        }
    }

    fn heard(&mut self) -> Heard {
        let mut heard = match &mut self.speech {
            Speech::Plain(_, passing) => passing.take_heard(),
            Speech::Tcp(stream) => stream.heard(),
        };
        if let Some(echo) = &mut self.echo {
            heard.expected_echoes += echo.take_came();
            heard.missed_echoes += echo.take_missed();
        }
        heard
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

fn hears_itself(spec: &LineSpec) -> bool {
    matches!(spec, LineSpec::Serial(serial) if serial.adapter.echo)
}

fn lost(e: &io::Error, asked: bool) -> Lost {
    Lost {
        why: e.to_string(),
        asked,
        stale: asked,
        stray: false,
    }
}
