//! One task per physical port: asks the schedule, runs the transaction, tells
//! the schedule and the hub.
//!
//! A port that cannot be opened is tried again after 0.1 s, doubling to 5 s,
//! and the hub is told once. A line that is lost after it had been of use is
//! opened again at once, and only if that fails is the port down: servers close
//! idle connections, adapters re-enumerate, and nobody upstairs needs to know.
//! A TCP connection on which several requests in a row, to everybody asked, got
//! nothing is made anew as well: it may be half dead.
//!
//! The task beats its pulse whenever it has decided what to do next, and never
//! waits longer than five seconds for that.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::base::{Backoff, DeviceId, FieldEvent, Miss, Mono, PortId, Reading, Rng};
use crate::field::evidence::{self, weigh};
use crate::field::job::{Job, Outcome};
use crate::field::notice::{Notice, Trouble, Troubles};
use crate::field::point::decode;
use crate::field::rtu::Heard;
use crate::field::schedule::{Next, Schedule};
use crate::spec::{LineSpec, PortSpec, Spec};

use super::clock::Clock;
use super::exchange::{Ended, Exchange, Lost};
use super::line::Opener;
use super::log::Journal;
use super::pulse::Pulse;

/// First and longest wait between attempts to open.
const REOPEN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The longest the task does nothing; also how often load is reported.
const BREATH: Duration = Duration::from_secs(5);

/// How often a port that stays closed is mentioned.
const REMINDER: Duration = Duration::from_secs(300);

/// Requests in a row that must get nothing before a TCP connection is doubted:
/// as many as there are devices, within these limits.
const DOUBTED_AFTER: (u32, u32) = (3, 8);

/// Runs the port until `stop`, or until the hub is gone. `attempted` is told
/// when the port has been tried once, whatever came of it.
#[expect(
    clippy::too_many_arguments,
    reason = "everything a port is given, by name, in the one place that spawns it"
)]
pub async fn run(
    port: PortId,
    spec: Arc<Spec>,
    opener: Opener,
    mut rng: Rng,
    clock: Clock,
    journal: Journal,
    hub: mpsc::Sender<FieldEvent>,
    pulse: Pulse,
    stop: CancellationToken,
    attempted: oneshot::Sender<()>,
) {
    let Some(manners) = spec.port(port).cloned() else {
        return;
    };
    let now = clock.now();
    let task = Port {
        port,
        schedule: Schedule::new(&spec, port, rng.fork(), now),
        manners,
        spec,
        opener,
        backoff: Backoff::new(REOPEN.0, REOPEN.1),
        rng,
        clock,
        journal,
        hub,
        pulse,
        attempted: Some(attempted),
        told: None,
        reminded: None,
        troubles: Troubles::default(),
        busy: Duration::ZERO,
        load_since: now.mono,
        unanswered: 0,
    };
    // Nothing in here needs to be finished: whatever it waits for may be
    // dropped when the house closes.
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        HubGone = task.live() => {}
    }
}

/// Nobody listens any more.
struct HubGone;

/// Why a line is no longer used.
enum End {
    HubGone,
    /// Lost, after at least one answer or not.
    Lost {
        why: String,
        useful: bool,
    },
    /// Given up on purpose.
    Reset(&'static str),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Up,
    Down,
}

struct Port {
    port: PortId,
    spec: Arc<Spec>,
    manners: PortSpec,
    opener: Opener,
    schedule: Schedule,
    backoff: Backoff,
    rng: Rng,
    clock: Clock,
    journal: Journal,
    hub: mpsc::Sender<FieldEvent>,
    pulse: Pulse,
    attempted: Option<oneshot::Sender<()>>,
    /// What the hub believes about the port.
    told: Option<Told>,
    /// When the journal was last told that it cannot be opened.
    reminded: Option<Mono>,
    troubles: Troubles,
    busy: Duration,
    load_since: Mono,
    /// Requests in a row that got nothing.
    unanswered: u32,
}

impl Port {
    async fn live(mut self) -> HubGone {
        loop {
            let Ok(mut exchange) = self.open().await else {
                return HubGone;
            };
            match self.serve(&mut exchange).await {
                End::HubGone => return HubGone,
                End::Reset(why) => {
                    let port = self.port;
                    self.journal.tell(&Notice::PortReset { port, why });
                }
                End::Lost { why, useful } => {
                    let port = self.port;
                    let notice = Notice::PortLost {
                        port,
                        why: why.clone(),
                    };
                    self.journal.tell(&notice);
                    drop(exchange);
                    // One that is lost before it was of any use would be lost
                    // again: that is a port that is down.
                    if !useful && self.unavailable(why).await.is_err() {
                        return HubGone;
                    }
                }
            }
        }
    }

    /// Tries until the line is open.
    async fn open(&mut self) -> Result<Exchange, HubGone> {
        loop {
            self.pulse.beat();
            let opened = self.opener.open(&self.manners).await;
            if let Some(attempted) = self.attempted.take() {
                // Nobody may be waiting for it.
                let _ = attempted.send(());
            }
            match opened {
                Ok(opened) => {
                    if let Some(what) = opened.differs {
                        let port = self.port;
                        self.journal.tell(&Notice::SettingsDiffer { port, what });
                    }
                    self.available().await?;
                    return Ok(Exchange::new(opened.line, &self.manners.line, self.clock));
                }
                Err(e) => self.unavailable(e.to_string()).await?,
            }
        }
    }

    /// It is open.
    async fn available(&mut self) -> Result<(), HubGone> {
        self.unanswered = 0;
        if self.told == Some(Told::Up) {
            return Ok(());
        }
        self.reminded = None;
        let port = self.port;
        let failed = self.backoff.failures();
        self.journal.tell(&Notice::PortOpened { port, failed });
        let now = self.clock.now().mono;
        self.schedule.reopened(now);
        self.busy = Duration::ZERO;
        self.load_since = now;
        self.told = Some(Told::Up);
        self.tell(FieldEvent::PortUp { port }).await
    }

    /// It is not: says so, and waits before the next attempt.
    async fn unavailable(&mut self, why: String) -> Result<(), HubGone> {
        let port = self.port;
        let now = self.clock.now().mono;
        let next = self.backoff.failed(now, &mut self.rng);
        if self.reminded.is_none_or(|at| now.since(at) >= REMINDER) {
            self.reminded = Some(now);
            self.journal.tell(&Notice::PortUnavailable {
                port,
                why: why.clone(),
                failed: self.backoff.failures(),
                next,
            });
        }
        if self.told != Some(Told::Down) {
            self.told = Some(Told::Down);
            self.tell(FieldEvent::PortDown { port, why }).await?;
        }
        self.pulse.beat();
        self.clock.sleep_until(now + next).await;
        Ok(())
    }

    /// Polls until the line is lost.
    async fn serve(&mut self, exchange: &mut Exchange) -> End {
        let mut useful = false;
        loop {
            self.pulse.beat();
            if self.report_load().await.is_err() {
                return End::HubGone;
            }
            let now = self.clock.now().mono;
            let step = match self.schedule.next(now) {
                Next::Run(job) => match exchange.run(&job).await {
                    Ok(ended) => {
                        let answered = !matches!(ended.outcome, Outcome::Missed(_));
                        useful |= answered;
                        if answered {
                            self.backoff.reset();
                        }
                        self.busy += ended.at.mono.since(now);
                        self.finished(&job, ended).await
                    }
                    Err(lost) => return self.lost(&job, lost, useful).await,
                },
                Next::NotBefore(at, _) => self.listen(exchange, at.min(now + BREATH)).await,
                Next::Idle => self.listen(exchange, now + BREATH).await,
            };
            match step {
                Ok(()) => {}
                Err(Stopped::HubGone) => return End::HubGone,
                Err(Stopped::Lost(lost)) => {
                    return End::Lost {
                        why: lost.why,
                        useful,
                    };
                }
            }
            if self.is_doubtful() {
                self.unanswered = 0;
                return End::Reset("several requests in a row got nothing");
            }
        }
    }

    async fn listen(&mut self, exchange: &mut Exchange, until: Mono) -> Result<(), Stopped> {
        let until = until.min(self.load_since + BREATH);
        let heard = exchange.listen(until).await?;
        self.overheard(heard).await?;
        Ok(())
    }

    /// A transaction ended.
    async fn finished(&mut self, job: &Job, ended: Ended) -> Result<(), Stopped> {
        let now = ended.at.mono;
        self.schedule.done(now, job, &ended.outcome);
        self.unanswered = match ended.outcome {
            Outcome::Missed(Miss::Silence) => self.unanswered.saturating_add(1),
            _ => 0,
        };
        self.complain(job, &ended.outcome, now);
        let readings = self.readings(job, &ended);
        self.tell(FieldEvent::Polled {
            device: job.device,
            at: ended.at,
            evidence: weigh(&ended.outcome),
            readings,
            turnaround: ended.turnaround,
        })
        .await?;
        self.overheard(ended.heard).await?;
        Ok(())
    }

    /// The line was lost with a job in hand. Whoever had been asked missed;
    /// who had not is asked again.
    async fn lost(&mut self, job: &Job, lost: Lost, useful: bool) -> End {
        if lost.asked {
            let at = self.clock.now();
            let outcome = Outcome::Missed(Miss::ConnectionLost);
            self.schedule.done(at.mono, job, &outcome);
            let event = FieldEvent::Polled {
                device: job.device,
                at,
                evidence: weigh(&outcome),
                readings: Vec::new(),
                turnaround: None,
            };
            if self.tell(event).await.is_err() {
                return End::HubGone;
            }
        }
        End::Lost {
            why: lost.why,
            useful,
        }
    }

    fn readings(&mut self, job: &Job, ended: &Ended) -> Vec<Reading> {
        let Outcome::Answered(data) = &ended.outcome else {
            return Vec::new();
        };
        if !job.trusted {
            return Vec::new();
        }
        let spec = Arc::clone(&self.spec);
        let Some(device) = spec.device(job.device) else {
            return Vec::new();
        };
        let mut readings = Vec::with_capacity(job.points.len());
        for index in &job.points {
            let Some(point) = device.profile.points.get(usize::from(*index)) else {
                continue;
            };
            match decode(point, job.ask.start, data) {
                Ok(value) => readings.push(Reading {
                    device: job.device,
                    point: *index,
                    value,
                    at: ended.at.wall,
                }),
                Err(why) => self.trouble(ended.at.mono, job.device, Trouble::NoValue(why), || {
                    format!("point {}", point.id)
                }),
            }
        }
        readings
    }

    fn complain(&mut self, job: &Job, outcome: &Outcome, now: Mono) {
        let trouble = match outcome {
            Outcome::Exception(code) => Trouble::Refuses(*code),
            Outcome::Missed(Miss::Garbled) => Trouble::Garbled,
            Outcome::Missed(Miss::Foreign) => Trouble::Foreign,
            Outcome::Answered(_) | Outcome::Missed(_) => return,
        };
        let ask = job.ask;
        self.trouble(now, job.device, trouble, || {
            let from = ask.start;
            let count = ask.count;
            format!("function {}, {count} from address {from}", ask.function())
        });
    }

    fn trouble(
        &mut self,
        now: Mono,
        device: DeviceId,
        trouble: Trouble,
        detail: impl FnOnce() -> String,
    ) {
        if let Some(notice) = self.troubles.note(now, device, trouble, detail) {
            self.journal.tell(&notice);
        }
    }

    /// Replies nobody waited for: those that were given up prove life.
    async fn overheard(&mut self, heard: Heard) -> Result<(), HubGone> {
        for unit in heard.overheard {
            let at = self.clock.now();
            let Some(device) = self.schedule.overheard(at.mono, unit) else {
                continue;
            };
            self.trouble(at.mono, device, Trouble::Late, String::new);
            self.tell(FieldEvent::Polled {
                device,
                at,
                evidence: evidence::LATE,
                readings: Vec::new(),
                turnaround: None,
            })
            .await?;
        }
        Ok(())
    }

    /// Whether the connection may be half dead: everybody who was asked for a
    /// while got nothing.
    fn is_doubtful(&self) -> bool {
        let devices = u32::try_from(self.schedule.devices()).unwrap_or(u32::MAX);
        matches!(self.manners.line, LineSpec::Tcp(_))
            && self.unanswered >= devices.clamp(DOUBTED_AFTER.0, DOUBTED_AFTER.1)
    }

    async fn report_load(&mut self) -> Result<(), HubGone> {
        let now = self.clock.now().mono;
        let elapsed = now.since(self.load_since);
        if elapsed < BREATH {
            return Ok(());
        }
        let permille = self.busy.as_micros() * 1000 / elapsed.as_micros().max(1);
        self.busy = Duration::ZERO;
        self.load_since = now;
        let port = self.port;
        let permille = u16::try_from(permille.min(1000)).unwrap_or(1000);
        self.tell(FieldEvent::Load { port, permille }).await
    }

    /// A full hub slows the field; that is meant.
    async fn tell(&self, event: FieldEvent) -> Result<(), HubGone> {
        self.hub.send(event).await.map_err(|_| HubGone)
    }
}

/// Why a step of polling did not come to its end.
enum Stopped {
    HubGone,
    Lost(Lost),
}

impl From<HubGone> for Stopped {
    fn from(HubGone: HubGone) -> Self {
        Stopped::HubGone
    }
}

impl From<Lost> for Stopped {
    fn from(lost: Lost) -> Self {
        Stopped::Lost(lost)
    }
}

#[cfg(test)]
mod tests;
