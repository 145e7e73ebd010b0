//! Runs one task per physical port: asks the schedule, runs the transaction, reports the result
//! to the schedule and the hub.
//!
//! A port that cannot be opened is tried again after 0.1 s, doubling to 5 s (a tty to 1 s, so
//! that an adapter that was plugged in again is not waited for longer), and the hub is told
//! once. A line that is lost after it had been of use is opened again at once, and only if that
//! fails is the port down: adapters re-enumerate, and the rooms above need not know. A line
//! that is lost before a device answered is down until a device has answered.
//!
//! A TCP connection that its peer closes while nothing is outstanding is no event: the port
//! stays up, and connects anew when a request is due. The same holds when the close and a
//! request cross each other: a read that was sent to a connection that had been of use, and of
//! whose reply not a byte came, is sent once more on a new connection; only if that fails is
//! there a miss. A connection on which the replies cannot be found any more is given up, and
//! made anew ever more rarely (`exchange/tcp.rs`). A TCP connection on which several requests
//! in a row, to all devices asked, got no reply is made anew as well: it may be half dead.
//!
//! Commands come in by a channel ([`PortInputs`]) and go out when the schedule says so. The
//! hub is told the end of each, which is "refused" while the line is not open. The requests of
//! surveys come by another channel, and go out between the polls (`port/surveys.rs`).
//!
//! The task of a serial port has a thread of its own (`io/bus/port_thread.rs`). If no thread
//! can be made the port is down for that reason, like a port that cannot be opened, and tries
//! again; the same holds where too few descriptors are left (`io/system/headroom.rs`). The
//! other ports and the service go on.
//!
//! An endpoint that floods is cut, and connected to again ever more rarely.
//!
//! The task beats its heartbeat whenever it has decided what to do next, and never waits longer
//! than five seconds for that.

mod commands;
mod connection;
mod echo_statistics;
mod in_flight;
mod load;
mod report;
mod surveys;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::base::{
    Backoff, BusCommand, DeviceId, FieldEvent, LivenessEvidence, MissReason, Mono, PortId, Rng,
};
use crate::field::line::silence::Silence;
use crate::field::modbus::in_flight::{InFlight, InFlightFault};
use crate::field::polled_device::liveness_evidence::evidence_of;
use crate::field::receiver::OtherTraffic;
use crate::field::schedule::{NextAction, Schedule};
use crate::field::transaction::request::{Outcome, Request};
use crate::spec::{LineSpec, PortSpec, Spec};
use crate::trace::{LineSettings, TraceEventKind, TracedLine, TracedProtocol};

use self::commands::CommandQueue;
use self::report::{HubGone, Report};
use self::surveys::SurveyQueue;
use super::exchange::{Exchange, LineLoss, TransactionEnd};
use super::line::Opener;
use crate::io::bus::bus_monitor::{BusMonitor, MonitoredLine};
use crate::io::bus::port_surveys::SurveyOrder;
use crate::io::bus::port_thread;
use crate::io::log::Journal;
use crate::io::store::learned::Learned;
use crate::io::system::clock::Clock;
use crate::io::system::heartbeat::Heartbeat;

/// First and longest wait between attempts to open an endpoint; an attempt costs the other side
/// something.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// First and longest wait between attempts to open a tty, which cost microseconds. An adapter
/// that was plugged in again has to be of use within 2 s, and the longest wait is the part of
/// that time which may go by before the adapter is noticed. Looking is surer than being told:
/// between the node, its owner and its name under by-id there are several moments at which the
/// adapter is not yet of use.
const REOPEN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// The longest time for which the task does nothing.
const MAX_IDLE: Duration = Duration::from_secs(5);

/// How long nothing will be due on a port without devices, for what is not in its plan.
const LONG_IDLE: Duration = Duration::from_secs(3600);

/// The longest attempt to open a port: the largest `connect_timeout`, and some margin.
const LONGEST_OPEN: Duration = Duration::from_secs(70);

/// The longest time of a reply on the wire: 300 characters at 110 bit/s are 30 s.
const LONGEST_REPLY: Duration = Duration::from_secs(30);

/// How long a line must last until a port that was lost before it was of use counts as up
/// again, unless a device answers earlier.
const LASTING: Duration = Duration::from_secs(10);

/// How long an endpoint that closes the connection on a request is not down after it has
/// answered another request.
const ANSWERS_OTHERS: Duration = Duration::from_secs(30);

/// After a port was away for less than this, points are read when they are due, and not all at
/// once.
const SHORT_OUTAGE: Duration = Duration::from_secs(2);

/// How many requests in a row must get no reply before a TCP connection counts as doubtful: as
/// many as there are devices, within these limits.
const DOUBTED_AFTER: (u32, u32) = (3, 8);

/// How long after it happened it is forgotten that a connection had to be given up for the
/// bytes that came on it.
const STRAY_IS_OVER: Duration = Duration::from_secs(60);

/// The channels by which a port is told what to do beside its polls.
#[derive(Debug, Default)]
pub struct PortInputs {
    /// Commands to its devices.
    pub commands: Option<mpsc::Receiver<BusCommand>>,
    /// Requests of surveys.
    pub surveys: Option<mpsc::Receiver<SurveyOrder>>,
}

impl From<mpsc::Receiver<BusCommand>> for PortInputs {
    /// Returns the orders of a port that is told commands only.
    fn from(commands: mpsc::Receiver<BusCommand>) -> Self {
        PortInputs {
            commands: Some(commands),
            surveys: None,
        }
    }
}

/// Runs the port until `stop`, or until the hub is gone. `source` is an
/// [`super::line::Opener`], or one with a [`BusMonitor`] for listeners. `attempted` is told
/// when the port has been tried once, with any result. The channels of `orders` are bounded, so
/// that the senders of orders are slowed or refused, and not the line.
#[expect(
    clippy::too_many_arguments,
    reason = "everything a port is given, by name, in the one place that spawns it"
)]
pub async fn run(
    port: PortId,
    spec: Arc<Spec>,
    source: impl Into<MonitoredLine>,
    learned: Learned,
    mut rng: Rng,
    clock: Clock,
    journal: Journal,
    hub: mpsc::Sender<FieldEvent>,
    heartbeat: Heartbeat,
    stop: CancellationToken,
    attempted: oneshot::Sender<()>,
    orders: PortInputs,
) {
    let Some(port_spec) = spec.port(port).cloned() else {
        return;
    };
    let MonitoredLine { opener, tap } = source.into();
    let is_tty = matches!(
        (&port_spec.line, &opener),
        (LineSpec::Serial(_), Opener::System)
    );
    let name = format!("port {}", port_spec.name);
    let now = clock.now();
    let mut schedule = Schedule::new(&spec, port, rng.fork(), now);
    schedule.remember(now.mono, |profile| learned.of(profile));
    // The rest that a unit needs begins with the last byte, whichever unit that came from.
    let rests = spec.devices_on(port).any(|(_, d)| !d.turnaround.is_zero());
    let most = if rests {
        1
    } else {
        port_spec.line.most_in_flight()
    };
    let mut task = Port {
        schedule,
        report: Report::new(port, spec.clone(), journal, hub, tap.clone(), clock),
        spec,
        learned,
        silence: Silence::of(&port_spec.line),
        backoff: match port_spec.line {
            LineSpec::Serial(_) => Backoff::new(REOPEN.0, REOPEN.1),
            LineSpec::Tcp(_) => Backoff::new(RECONNECT.0, RECONNECT.1),
        },
        port_spec,
        opener,
        tap: tap.clone(),
        // The numbers of an earlier process are unknown.
        number: u16::try_from(rng.below(1 << 16)).unwrap_or_default(),
        rng,
        clock,
        heartbeat,
        attempted: Some(attempted),
        questions: CommandQueue::new(orders.commands),
        surveys: SurveyQueue::new(orders.surveys, now.mono),
        not_open: "it is not open yet".into(),
        opened: now.mono,
        proven: true,
        unanswered: 0,
        busy_until: now.mono,
        in_hand: VecDeque::new(),
        suspected: None,
        in_flight: InFlight::new(most),
        heard_of: BTreeMap::new(),
        answered_at: now.mono,
        down_since: None,
        is_useful: false,
        strayed: Backoff::new(RECONNECT.0, RECONNECT.1),
        strayed_at: None,
    };
    // Nothing in here needs to be finished: all that it waits for may be dropped when the
    // service stops.
    let stopped = stop.clone();
    let live = |task: Port| async move {
        tokio::select! {
            biased;
            () = stopped.cancelled() => {}
            HubGone = task.live() => {}
        }
    };
    if is_tty {
        let thread = tokio::select! {
            biased;
            () = stop.cancelled() => None,
            thread = task.thread(&name) => thread.ok(),
        };
        if let Some(thread) = thread {
            thread.run(move || live(task)).await;
        }
    } else {
        live(task).await;
    }
    tap.end();
}

/// Why a line is no longer used.
enum LineEnd {
    HubGone,
    /// Lost, after it had been of use or not.
    Lost {
        why: String,
        useful: bool,
        /// Whether it was given up because the bytes that came belonged to no frame.
        stray: bool,
    },
    /// Closed while nothing was outstanding, or as good as that.
    Closed {
        why: String,
    },
}

struct Port {
    spec: Arc<Spec>,
    learned: Learned,
    port_spec: PortSpec,
    opener: Opener,
    tap: BusMonitor,
    schedule: Schedule,
    report: Report,
    backoff: Backoff,
    rng: Rng,
    clock: Clock,
    heartbeat: Heartbeat,
    attempted: Option<oneshot::Sender<()>>,
    /// The queue of commands.
    questions: CommandQueue,
    /// The requests of surveys that have come in.
    surveys: SurveyQueue,
    /// Why the line is not open, as far as it is not.
    not_open: String,
    /// When the line was opened.
    opened: Mono,
    /// Whether an opened line is reason enough to call the port up.
    proven: bool,
    /// How many requests in a row got no reply.
    unanswered: u32,
    silence: Silence,
    /// Until when the use of the line has been counted.
    busy_until: Mono,
    /// The number for the first request of the next connection.
    number: u16,
    /// The requests to send first, and alone; with the fault that the server is suspected of,
    /// if the request failed among others.
    in_hand: VecDeque<(Request, Option<InFlightFault>)>,
    /// The suspected fault for the request that is outstanding alone.
    suspected: Option<InFlightFault>,
    /// How many requests may be in flight.
    in_flight: InFlight,
    /// Whether a device gave a sign of life with its last request.
    heard_of: BTreeMap<DeviceId, bool>,
    /// When a device last gave a sign of life.
    answered_at: Mono,
    /// Since when the line could not be opened, or was of no use.
    down_since: Option<Mono>,
    /// Whether the next connection counts as of use before a device answers: the request sent
    /// on it was sent before on a connection that was of use.
    is_useful: bool,
    /// The waits before a new connection replaces one that was given up for the bytes that came
    /// on it.
    strayed: Backoff,
    /// When a connection was last given up for that.
    strayed_at: Option<Mono>,
}

impl Port {
    /// Polls until the line is lost.
    async fn serve(&mut self, exchange: &mut Exchange) -> LineEnd {
        let mut useful = std::mem::take(&mut self.is_useful);
        loop {
            self.heartbeat.beat();
            match self.step(exchange, &mut useful).await {
                Ok(()) => {}
                Err(PollingStop::HubGone) => return LineEnd::HubGone,
                Err(PollingStop::Closed(why)) => return LineEnd::Closed { why },
                Err(PollingStop::Lost(lost)) if exchange.in_flight() > 0 => {
                    let back = exchange.take_back();
                    return self.lost_many(back, lost, useful).await;
                }
                Err(PollingStop::Lost(lost)) if self.is_no_event(exchange, &lost) => {
                    return LineEnd::Closed { why: lost.why };
                }
                Err(PollingStop::Lost(lost)) => {
                    // A server that closes instead of answering one request is of use
                    // as long as it answers others.
                    let useful = useful || lost.asked && self.answers_others();
                    let LineLoss { why, stray, .. } = lost;
                    return LineEnd::Lost { why, useful, stray };
                }
            }
            if self.is_doubtful() {
                let back = exchange.take_back();
                if self.ask_alone(back).await.is_err() {
                    return LineEnd::HubGone;
                }
                // The connection is closed on purpose. That is not the port's fault until it
                // cannot be opened again.
                return LineEnd::Lost {
                    why: "several requests in a row got no reply".into(),
                    useful: true,
                    stray: false,
                };
            }
        }
    }

    /// Returns whether a device of a TCP endpoint has given a sign of life lately.
    fn answers_others(&self) -> bool {
        let now = self.clock.now().mono;
        matches!(self.port_spec.line, LineSpec::Tcp(_))
            && self.report.is_up()
            && self.heard_of.values().any(|lives| *lives)
            && now.since(self.answered_at) < ANSWERS_OTHERS
    }

    /// Returns what to do now; takes in new commands.
    fn next(&mut self, now: Mono) -> NextAction {
        self.questions.hand_in(now, &mut self.schedule);
        let next = self.schedule.next(now);
        while let Some(overload) = self.schedule.poll_overload() {
            self.report.overload(&overload);
        }
        next
    }

    /// Makes one transaction, or one wait.
    async fn step(
        &mut self,
        exchange: &mut Exchange,
        useful: &mut bool,
    ) -> Result<(), PollingStop> {
        let now = self.clock.now().mono;
        self.report.load(now).await?;
        if *useful || now.since(self.opened) >= LASTING {
            self.available().await?;
        }
        if now < exchange.ready_at() {
            let until = exchange.ready_at().min(now + MAX_IDLE);
            let traffic = exchange.listen(until.min(self.report.load_due())).await?;
            return self.overheard(traffic, self.clock.now().mono).await;
        }
        let out = exchange.in_flight();
        if !self.in_hand.is_empty() || out >= self.in_flight.window() {
            if out > 0 {
                let until = self.report.load_due().min(now + MAX_IDLE);
                return self.next_finished(exchange, until, useful).await;
            }
            if let Some((mut request, why)) = self.in_hand.pop_front() {
                request.asked = now;
                self.suspected = why;
                return self.transact(exchange, &request, useful).await;
            }
        }
        // Replies to requests that are under way would be taken for what the survey hears.
        if self.surveys.is_due(now) {
            if out > 0 {
                let until = self.report.load_due().min(now + MAX_IDLE);
                return self.next_finished(exchange, until, useful).await;
            }
            return self.survey(exchange, useful).await;
        }
        let next = self.next(now);
        self.tell_ends().await?;
        let due = match next {
            NextAction::Run(request) => return self.ask(exchange, request, useful).await,
            NextAction::NotBefore(at, _) => at,
            NextAction::Idle => now + LONG_IDLE,
        };
        let mut until = due.min(now + MAX_IDLE).min(self.report.load_due());
        if out > 0 {
            return self.next_finished(exchange, until, useful).await;
        }
        if self.surveys.fits_before(now, due) {
            return self.survey(exchange, useful).await;
        }
        if let Some(at) = self.surveys.due_at() {
            until = until.min(at.max(now));
        }
        if let Some(limit) = self.port_spec.line.connection().close_after {
            let close_at = exchange.idle_since() + limit;
            if now >= close_at && exchange.is_used() {
                return Err(PollingStop::Closed(
                    "nothing was due for close_after".into(),
                ));
            }
            until = until.min(close_at.max(now));
        }
        let traffic = tokio::select! {
            biased;
            () = self.questions.wait() => return Ok(()),
            () = self.surveys.wait_for_new() => return Ok(()),
            traffic = exchange.listen(until) => traffic?,
        };
        self.overheard(traffic, self.clock.now().mono).await
    }

    async fn transact(
        &mut self,
        exchange: &mut Exchange,
        request: &Request,
        useful: &mut bool,
    ) -> Result<(), PollingStop> {
        self.tap.say(&self.clock, || self.turn(request));
        let reply_timeout = (request.timeout + LONGEST_REPLY) * 4;
        let running = exchange.run(request);
        let ended = match self
            .heartbeat
            .during(&self.clock, reply_timeout, running)
            .await
        {
            Ok(ended) => ended,
            Err(lost) if self.is_no_event(exchange, &lost) => {
                let why = self.suspected.take();
                self.in_hand.push_front((request.clone(), why));
                self.is_useful = *useful;
                return Err(lost.into());
            }
            // A command is sent once or not at all.
            Err(lost) if self.is_tcp() && lost.stale && !request.is_command() => {
                let why = self.suspected.take();
                self.in_hand.push_front((request.clone(), why));
                self.is_useful = true;
                return Err(PollingStop::Closed(lost.why));
            }
            Err(lost) => {
                self.suspected = None;
                // A device that had been asked has missed; a request that was not sent is made
                // again.
                if lost.asked {
                    let at = self.clock.now();
                    let outcome = Outcome::Missed(MissReason::ConnectionLost);
                    let evidence = self.schedule.done(at.mono, request, &outcome);
                    self.report.cut_off(request, at, evidence).await?;
                    self.tell_ends().await?;
                }
                return Err(lost.into());
            }
        };
        let why = self.suspected.take();
        self.was_alone(why, &ended.outcome);
        if let (LivenessEvidence::Alive(_), Some(took)) =
            (evidence_of(&ended.outcome), ended.turnaround)
        {
            self.in_flight.answered(ended.at.mono, 1, took);
        }
        self.conclude(request, ended, useful).await
    }

    /// Handles the end of a transaction in the schedule, the report and the state of the port.
    async fn conclude(
        &mut self,
        request: &Request,
        ended: TransactionEnd,
        useful: &mut bool,
    ) -> Result<(), PollingStop> {
        let now = ended.at.mono;
        if !matches!(ended.outcome, Outcome::Missed(_)) {
            *useful = true;
            self.available().await?;
            self.backoff.reset();
        }
        let evidence = self.schedule.done(now, request, &ended.outcome);
        // The time a unit takes to write says nothing about its time to read.
        if let Some(gap) = ended.turnaround.filter(|_| !request.is_command()) {
            self.schedule.measured(now, request, gap);
        }
        self.tell_findings().await?;
        let was_dead = self.heard_of.get(&request.device) == Some(&false);
        self.note(request.device, &ended.outcome, now);
        self.unanswered = match ended.outcome {
            // The silence of a dead device says nothing while others live.
            Outcome::Missed(MissReason::Silence) if was_dead && self.has_answering_device() => {
                self.unanswered
            }
            Outcome::Missed(MissReason::Silence) => self.unanswered.saturating_add(1),
            _ => 0,
        };
        // The silence behind a reply is taken as well, and taken once.
        let free = now + self.silence.between_frames();
        self.report
            .was_busy(free.since(request.asked.max(self.busy_until)));
        self.busy_until = free;
        self.report.polled(request, &ended, evidence).await?;
        self.tell_ends().await?;
        let TransactionEnd {
            passed_by, traffic, ..
        } = ended;
        self.overheard(passed_by, request.asked).await?;
        self.overheard(traffic, now).await
    }

    /// Returns the event for the listeners that names the device and the request.
    fn turn(&self, request: &Request) -> TraceEventKind {
        let device = self.spec.device(request.device);
        TraceEventKind::Turn {
            device: device.map_or_else(String::new, |d| d.name.clone()),
            place: device.and_then(|d| d.place()),
            protocol: TracedProtocol::of(request, &self.port_spec.line),
            reply_timeout: request.timeout,
        }
    }

    /// Reports the commands that are about to write, and those that have ended.
    async fn tell_ends(&mut self) -> Result<(), HubGone> {
        while let Some(number) = self.schedule.poll_begun() {
            self.report.command_begun(number).await?;
        }
        while let Some(end) = self.schedule.poll_end() {
            self.report.command_ended(end).await?;
        }
        Ok(())
    }

    async fn tell_findings(&mut self) -> Result<(), HubGone> {
        let now = self.clock.now().mono;
        while let Some(finding) = self.schedule.poll_finding() {
            self.learned.note(&self.spec, &finding);
            self.report.found(now, &finding).await?;
        }
        Ok(())
    }

    /// Handles replies to no outstanding request, which came at this time: replies to requests
    /// that were given up prove life.
    async fn overheard(&mut self, traffic: OtherTraffic, came: Mono) -> Result<(), PollingStop> {
        self.report.own_echoes(self.clock.now().mono, &traffic);
        if let Some(reply) = &traffic.reply {
            self.schedule.overheard_reply(came, reply);
        }
        for sender in traffic.overheard {
            let at = self.clock.now();
            if let Some(device) = self.schedule.overheard(came, sender) {
                self.report.late(device, at).await?;
            }
        }
        self.tell_findings().await?;
        Ok(())
    }
}

/// Why a step of polling did not come to its end.
enum PollingStop {
    HubGone,
    Lost(LineLoss),
    /// The connection was closed for this reason, and that is no event.
    Closed(String),
}

impl From<HubGone> for PollingStop {
    fn from(HubGone: HubGone) -> Self {
        PollingStop::HubGone
    }
}

impl From<LineLoss> for PollingStop {
    fn from(lost: LineLoss) -> Self {
        PollingStop::Lost(lost)
    }
}

#[cfg(test)]
mod tests;
