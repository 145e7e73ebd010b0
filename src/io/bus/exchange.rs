//! Runs one transaction on an open line: keeps the line quiet, sends, listens.
//!
//! The executing side of `field/transaction/`, `field/modbus/tcp.rs` and
//! `field/line/silence.rs`, which know what bytes mean and how long to wait.
//!
//! Devices of one line may have settings of their own. The settings are changed while the line
//! is quiet, after all that came has been read with the old settings. They are changed at once
//! (`TCSANOW`), because all that was sent has left long ago.
//!
//! # Bounds
//!
//! - 512 bytes are read at once, 16 times before others get their turn, and the clock is looked
//!   at after each read: a timeout is counted on time, whether bytes come one at a time or
//!   without end.
//! - More than 128 KiB that no request asked for, beyond 128 KiB a second of such bytes, is a
//!   flood, and so is more than 128 KiB that comes faster than it can be read. Then the line is
//!   lost, for that reason (`exchange/flood.rs`), and opened again ever more rarely.
//! - An unfinished frame that is kept is no longer than the longest frame of its protocol: 260
//!   bytes of Modbus TCP, 256 of RTU, 513 of ASCII, 1,024 of the raw kind.
//!
//! `tests/timing/floods.rs` tests each of these bounds.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::base::{Mono, Now};
use crate::field::dlt645::masked_echo::MaskedEcho;
use crate::field::line::echo::Echo;
use crate::field::line::pauses::Pauses;
use crate::field::line::silence::Silence;
use crate::field::modbus::ascii;
use crate::field::modbus::tcp::Stream;
use crate::field::receiver::OtherTraffic;
use crate::field::transaction::IdleListener;
use crate::field::transaction::request::{Outcome, Request};
use crate::spec::survey::SurveySettings;
use crate::spec::{Framing, LineSpec, SerialSpec};
use crate::trace::TraceEventKind;

use super::line::OpenLine;
use crate::io::bus::bus_monitor::BusMonitor;
use crate::io::bus::port_thread;
use crate::io::bus::port_thread::LONGEST_BLOCK;
use crate::io::system::clock::Clock;

mod flood;
mod in_flight;
mod serial;
mod survey;
mod tcp;

use self::flood::{Flood, Inflow};
pub use self::in_flight::FinishedRequest;
use self::in_flight::InFlightRequest;
pub use self::survey::Surveyed;

/// A sender that talks for this long before a request is not going to stop for it.
const LONGEST_TALK: Duration = Duration::from_secs(1);

/// How long a reply that has begun in time may take to be complete behind a serial server: the
/// speed of its line is not known here.
const BEHIND_A_SERVER: Duration = Duration::from_secs(1);

/// The shortest wait for the rest of a frame on a serial line: adapters hold bytes back for 16
/// ms, and this process may be late …
const REST_ON_A_LINE: Duration = Duration::from_millis(100);

/// … and behind a serial server: a segment that was lost comes again after 200 ms at the
/// earliest (Linux, `TCP_RTO_MIN`).
const REST_BEHIND_A_SERVER: Duration = Duration::from_millis(300);

/// The largest number of bytes of one read.
const READ_BYTES: usize = 512;

/// How many reads in a row are made before other tasks of the thread get their turn: tokio
/// itself would let a flood have 128.
const READS_PER_TURN: u32 = 16;

/// How many reads are still made when the time for a reply is over: the reply may have come in
/// time, behind other bytes, while this process was late.
const LATE_READS: u32 = 8;

/// An open line, the protocol on it, and since when it has been quiet.
#[derive(Debug)]
pub struct Exchange {
    line: OpenLine,
    clock: Clock,
    /// Is told what happens on the line.
    tap: BusMonitor,
    silence: Silence,
    framer: Framer,
    /// The port's own settings, if it is a tty, …
    own: Option<Arc<SerialSpec>>,
    /// … and the settings that the tty has now.
    tuned: Option<Arc<SerialSpec>>,
    /// Whether the tty took them; `None`: it was not asked.
    taken: Option<SurveySettings>,
    /// Whether they are those of a survey, and no request of the port wants them.
    is_tuned_for_survey: bool,
    /// When the last byte was seen, or will have been sent.
    last_byte: Mono,
    /// The echo of an adapter that hears itself.
    echo: Option<Echo>,
    /// What is shown of that echo, while the last request has a secret in it.
    mask: Option<MaskedEcho>,
    /// Whether own requests were heard although the adapter is not configured to hear itself.
    echoes: bool,
    /// The earliest time at which the next request may be sent.
    ready_at: Mono,
    /// How long a reply that has begun may take from the request on, where pauses end no frame.
    response_timeout: Duration,
    /// The pauses inside replies.
    pauses: Pauses,
    /// How many transactions have ended.
    ended: u64,
    /// Whether bytes came since the request was sent.
    heard_since: bool,
    /// How many waits in a row, with no reply between, ended with bytes of no frame
    /// (Modbus TCP).
    strayed: u32,
    /// Requests whose replies are awaited (Modbus TCP), in the order they were sent.
    in_flight: Vec<InFlightRequest>,
    inflow: Inflow,
    /// How many reads were made since other tasks had their turn.
    bites: u32,
    buffer: Box<[u8; READ_BYTES + ascii::MAX_FRAME]>,
}

#[derive(Debug)]
enum Framer {
    /// Frames without transaction ids, with the listener for frames that pass while no request
    /// is outstanding.
    Serial(Framing, IdleListener),
    /// Modbus TCP with its MBAP header, over the life of the connection.
    Tcp(Stream),
}

/// How a transaction ended.
#[derive(Debug)]
pub struct TransactionEnd {
    /// The outcome for the schedule and the liveness evidence.
    pub outcome: Outcome,
    /// When the transaction ended.
    pub at: Now,
    /// The time from the end of the request to the beginning of the reply.
    pub turnaround: Option<Duration>,
    /// What was heard since the last transaction, before the request was sent.
    pub passed_by: OtherTraffic,
    /// What was heard during the transaction besides the reply.
    pub traffic: OtherTraffic,
}

/// How a line was lost, or became of no further use.
#[derive(Debug)]
pub struct LineLoss {
    /// The reason, in the system's words.
    pub why: String,
    /// Whether the request had been sent, at least in part.
    pub asked: bool,
    /// Whether the line had been of use and no bytes came since the request was sent: the other
    /// end may have closed the connection before the request.
    pub stale: bool,
    /// Whether the line was given up here, because the bytes that came belonged to no frame or
    /// were too many.
    pub stray: bool,
}

impl Exchange {
    /// Makes an exchange on a line that was just opened, with the first number for its requests
    /// where the protocol numbers them.
    #[must_use]
    pub fn new(
        line: OpenLine,
        spec: &LineSpec,
        clock: Clock,
        tap: BusMonitor,
        number: u16,
    ) -> Self {
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
            framer: match spec.framing() {
                Some(framing) => Framer::Serial(framing, IdleListener::new(framing)),
                None => Framer::Tcp(Stream::numbering_from(number, connection.transaction_ids)),
            },
            pauses: Pauses::new(
                match spec {
                    LineSpec::Serial(_) => REST_ON_A_LINE,
                    LineSpec::Tcp(_) => REST_BEHIND_A_SERVER,
                },
                clock.now().mono,
            ),
            tuned: own.clone(),
            taken: None,
            is_tuned_for_survey: false,
            own,
            // The traffic before the line was opened is not known: be quiet first.
            last_byte: clock.now().mono,
            echo: hears_itself(spec).then(Echo::default),
            mask: None,
            echoes: false,
            ready_at: clock.now().mono + connection.connect_delay,
            response_timeout: Duration::ZERO,
            ended: 0,
            heard_since: false,
            strayed: 0,
            in_flight: Vec::new(),
            inflow: Inflow::new(spec, clock.now().mono),
            bites: 0,
            buffer: Box::new([0; READ_BYTES + ascii::MAX_FRAME]),
        }
    }

    /// Returns the number for the first request on the next connection, so that no number of
    /// this connection is used again soon.
    #[must_use]
    pub const fn next_number(&self) -> Option<u16> {
        match &self.framer {
            Framer::Tcp(stream) => Some(stream.next_number()),
            Framer::Serial(..) => None,
        }
    }

    /// Sets the response timeout of the port. Where frames are put together by length and
    /// checksum, whatever pauses lie between, a reply that has begun may take so long.
    #[must_use]
    pub const fn with_response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// Returns from when on a request may be sent.
    #[must_use]
    pub const fn ready_at(&self) -> Mono {
        self.ready_at
    }

    /// Returns since when nothing was sent or received.
    #[must_use]
    pub const fn idle_since(&self) -> Mono {
        self.last_byte
    }

    /// Returns whether a transaction has ended on the line, with any outcome.
    #[must_use]
    pub const fn is_used(&self) -> bool {
        self.ended > 0
    }

    /// Listens until `until` without sending a request. Returns early when a frame was
    /// overheard. After a survey at other settings, the line has its own again as soon as it is
    /// quiet.
    ///
    /// # Errors
    /// The line is lost.
    pub async fn listen(&mut self, until: Mono) -> Result<OtherTraffic, LineLoss> {
        loop {
            let frame_end = self.last_byte + self.silence.frame_end();
            let reading = matches!(&self.framer, Framer::Serial(_, r) if r.is_reading());
            let wake = match reading || self.is_tuned_for_survey {
                true => frame_end.min(until),
                false => until,
            };
            match self.read_until(wake).await {
                Ok(Some(n)) => self.pass_by(n),
                Ok(None) => {
                    if let Framer::Serial(_, passing) = &mut self.framer
                        && self.clock.now().mono >= frame_end
                    {
                        if reading {
                            self.tap.say(&self.clock, || TraceEventKind::Pause);
                        }
                        passing.silence();
                        self.tune_back()?;
                    }
                }
                Err(e) => return Err(lost(&e, false)),
            }
            let over = self.clock.now().mono >= until;
            let traffic = self.traffic();
            if over || traffic != OtherTraffic::default() {
                return Ok(traffic);
            }
        }
    }

    /// Listens as [`Exchange::listen`] does, at the settings of the last survey: a late reply to
    /// its request has them.
    ///
    /// # Errors
    /// The line is lost.
    pub async fn listen_for_late(&mut self, until: Mono) -> Result<OtherTraffic, LineLoss> {
        let is_tuned_for_survey = std::mem::take(&mut self.is_tuned_for_survey);
        let heard = self.listen(until).await;
        self.is_tuned_for_survey = is_tuned_for_survey;
        heard
    }

    /// Runs one transaction.
    ///
    /// # Errors
    /// The line is lost.
    pub async fn run(&mut self, request: &Request) -> Result<TransactionEnd, LineLoss> {
        let ended = match self.framer {
            Framer::Serial(framing, _) => self.run_serial(request, framing).await,
            Framer::Tcp(_) => self.run_tcp(request).await,
        };
        match ended {
            Ok(ended) => {
                self.ended += 1;
                Ok(ended)
            }
            Err(lost) => Err(LineLoss {
                stale: lost.stale && self.is_used() && !self.heard_since,
                ..lost
            }),
        }
    }

    /// Gives the line the settings that this request needs; returns whether they differ from
    /// the ones before.
    fn tune(&mut self, request: &Request) -> Result<bool, LineLoss> {
        self.is_tuned_for_survey = false;
        match request.serial.as_ref().or(self.own.as_ref()) {
            Some(wanted) if self.tuned.as_ref() != Some(wanted) => {
                let wanted = Arc::clone(wanted);
                self.tune_to(&wanted)
            }
            _ => Ok(false),
        }
    }

    /// Gives the line its own settings after a survey. Those that a request of the port wants
    /// stay: the next one may want them as well.
    fn tune_back(&mut self) -> Result<(), LineLoss> {
        if let Some(own) = self.own.clone().filter(|_| self.is_tuned_for_survey) {
            self.tune_to(&own)?;
        }
        Ok(())
    }

    /// Gives the line these settings; returns whether they differ from the ones before.
    fn tune_to(&mut self, wanted: &Arc<SerialSpec>) -> Result<bool, LineLoss> {
        self.try_tune_to(wanted).map_err(|e| lost(&e, false))
    }

    /// Gives the line these settings as [`Exchange::tune_to`] does.
    ///
    /// # Errors
    /// The line is lost, or its driver refuses the settings.
    fn try_tune_to(&mut self, wanted: &Arc<SerialSpec>) -> io::Result<bool> {
        if self.tuned.as_ref() == Some(wanted) {
            return Ok(false);
        }
        // Until the driver has taken all of them, it is not known which the line has.
        self.tuned = None;
        self.taken = None;
        self.is_tuned_for_survey = false;
        self.line.change_settings(wanted)?;
        self.silence = Silence::of_serial(wanted);
        self.tap.tuned(&self.clock, wanted);
        self.tuned = Some(Arc::clone(wanted));
        Ok(true)
    }

    /// Sends `frame`, which is shown as `masked` if it has a secret in it; returns when the last
    /// bit will have left.
    async fn send(
        &mut self,
        frame: &[u8],
        masked: Option<Vec<u8>>,
        reply_timeout: Duration,
    ) -> Result<Mono, LineLoss> {
        self.mask = masked.as_ref().map(|shown| MaskedEcho::new(frame, shown));
        let start = self.clock.now().mono;
        self.heard_since = false;
        self.inflow.asked();
        if let Some(echo) = &mut self.echo {
            echo.sent(frame);
        }
        let taken = self.line.try_write(frame).map_err(|e| lost(&e, true))?;
        let rest = frame.get(taken..).unwrap_or_default();
        let limit = self.silence.transmission(frame.len()) + reply_timeout;
        // A line that takes no bytes is as good as lost: flow control never releases it, or the
        // peer has stopped reading.
        match tokio::time::timeout(limit, self.line.write(rest)).await {
            Ok(Ok(())) => {}
            Ok(Err(e)) => return Err(lost(&e, true)),
            Err(_) => {
                return Err(LineLoss {
                    why: "it takes no more bytes".into(),
                    asked: true,
                    stale: false,
                    stray: false,
                });
            }
        }
        let sent = (start + self.silence.transmission(frame.len())).max(self.clock.now().mono);
        self.last_byte = sent;
        self.tap
            .publish_at(&self.clock, start, || TraceEventKind::Sent {
                bytes: masked.unwrap_or_else(|| frame.to_vec()),
                until: sent,
            });
        Ok(sent)
    }

    /// Reads bytes into the buffer, the only place that does; `None` at `wake`. As long as
    /// bytes come the result is not `None`: each caller looks at the clock itself.
    async fn read_until(&mut self, wake: Mono) -> io::Result<Option<usize>> {
        self.bites += 1;
        if self.bites > READS_PER_TURN && !self.line.has_own_thread() {
            // Yield before the read: bytes that were read would be lost if this future were
            // dropped.
            self.bites = 0;
            tokio::task::yield_now().await;
        }
        tokio::select! {
            biased;
            read = self.line.read(&mut self.buffer[..READ_BYTES]) => self.came(read?).map(Some),
            () = self.clock.sleep_until(wake) => Ok(None),
        }
    }

    /// Takes account of `n` bytes that came just now; returns how many of them are not our own.
    ///
    /// # Errors
    /// A [`Flood`].
    fn came(&mut self, n: usize) -> io::Result<usize> {
        let now = self.clock.now().mono;
        self.last_byte = self.last_byte.max(now);
        self.heard_since = true;
        let came = &self.buffer[..n];
        // The mask follows the line, whether or not it is listened to just now.
        let masked = self.mask.as_mut().map(|mask| mask.shown(came));
        self.tap.say(&self.clock, || TraceEventKind::Received {
            bytes: masked.unwrap_or_else(|| came.to_vec()),
        });
        self.inflow
            .came(now, n, n < READ_BYTES)
            .map_err(io::Error::other)?;
        let Some(echo) = self.echo.as_mut().filter(|e| e.is_due()) else {
            return Ok(n);
        };
        let mut traffic = self.buffer[..n].to_vec();
        echo.strip(&mut traffic);
        let n = traffic.len().min(self.buffer.len());
        self.buffer[..n].copy_from_slice(&traffic[..n]);
        Ok(n)
    }

    /// Reads as [`Exchange::read_until`] does, but to the microsecond, where the line has a
    /// thread of its own.
    async fn read_until_exactly(&mut self, wake: Mono) -> io::Result<Option<usize>> {
        if !self.line.has_own_thread() {
            return self.read_until(wake).await;
        }
        while wake.since(self.clock.now().mono) > LONGEST_BLOCK {
            let nearly = self.clock.now().mono + LONGEST_BLOCK / 2;
            if let Some(n) = self.read_until(nearly).await? {
                return Ok(Some(n));
            }
        }
        port_thread::block_until(&self.clock, wake);
        let read = self.line.try_read(&mut self.buffer[..READ_BYTES])?;
        read.map(|n| self.came(n)).transpose()
    }

    fn pass_by(&mut self, n: usize) {
        match &mut self.framer {
            Framer::Serial(_, passing) => passing.push(&self.buffer[..n]),
            // No request is outstanding that the reply could settle.
            Framer::Tcp(stream) => drop(stream.push(&self.buffer[..n])),
        }
    }

    fn traffic(&mut self) -> OtherTraffic {
        let mut traffic = match &mut self.framer {
            Framer::Serial(_, passing) => passing.take_traffic(),
            Framer::Tcp(stream) => stream.traffic(),
        };
        if let Some(echo) = &mut self.echo {
            traffic.expected_echoes += echo.take_came();
            traffic.missed_echoes += echo.take_missed();
        }
        traffic
    }

    fn ended(
        &self,
        outcome: Outcome,
        traffic: OtherTraffic,
        turnaround: Option<Duration>,
    ) -> TransactionEnd {
        TransactionEnd {
            outcome,
            at: self.clock.now(),
            turnaround,
            passed_by: OtherTraffic::default(),
            traffic,
        }
    }
}

fn hears_itself(spec: &LineSpec) -> bool {
    matches!(spec, LineSpec::Serial(serial) if serial.adapter.echo)
}

fn lost(e: &io::Error, asked: bool) -> LineLoss {
    let is_flood = e.get_ref().is_some_and(|e| e.is::<Flood>());
    LineLoss {
        why: e.to_string(),
        asked,
        stale: asked && !is_flood,
        stray: is_flood,
    }
}
