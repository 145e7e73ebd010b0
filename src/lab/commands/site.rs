//! The world of a phase: platform, line and daemon, the commands that were sent, and what became
//! of each of them.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use alink_gateway::base::{Mono, Now, Rng, UnitId};
use alink_gateway::io::system::clock::Clock;
use alink_gateway::lab::broker::Broker;
use alink_gateway::lab::bus::Line;
use alink_gateway::lab::platform::{Call, Platform, RrpcTopic};
use alink_gateway::lab::wire::LineRig;
use serde_json::json;

use super::plant::{Plant, SETPOINT, UNITS, UnitAction};
use crate::daemon::{Daemon, Folder};

/// How often the site looks whether something has happened.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// How long the sender of a synchronous call and that of any other command wait, as the gateway's
/// defaults have it (`answer_within`).
const WITHIN: (Duration, Duration) = (Duration::from_secs(4), Duration::from_secs(10));
/// How long the caller of the platform's API waits for a synchronous call.
const CALLER: Duration = Duration::from_secs(8);
/// How much later than its time an answer may arrive: the way to the platform.
const WAY: Duration = Duration::from_secs(1);
/// What is written first; each command wants the next higher value.
const FIRST: u32 = 1_000_000;
/// The answer that all was done (`docs/commands.md`).
const DONE: i64 = 200;

/// How the daemon is run, and how exactly.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// The program; `None` is this very one.
    pub(crate) gateway: Option<PathBuf>,
    /// The seed of everything that is drawn.
    pub(crate) seed: u64,
    /// Whether characters arrive to the microsecond, which takes most of a processor.
    pub(crate) is_exact: bool,
}

/// A command that was sent.
#[derive(Clone, Debug)]
struct Sent {
    id: String,
    within: Duration,
}

/// What is known of a phase at its end.
#[derive(Clone, Debug, Default)]
pub(super) struct PhaseJudgement {
    /// Commands that were sent.
    pub(crate) commands: u64,
    /// Commands that were answered "verified".
    pub(crate) verified: u64,
    /// Commands whose connection stayed up until their time was over, and the answers to them.
    pub(crate) certain: u64,
    pub(crate) answers: u64,
    /// How long it took until each of the verified was answered.
    pub(crate) took: Vec<Duration>,
    /// Writes that a unit carried out after the sender's time, or after the answer.
    pub(crate) late: u64,
    /// Writes of a value that had been written before.
    pub(crate) twice: u64,
    /// Commands that were answered "verified", and whose value was never written.
    pub(crate) unproved: u64,
    /// The times between two polls of a unit.
    pub(crate) gaps: Vec<Duration>,
    /// How much of its time the line was busy with polls.
    pub(crate) load: f64,
    /// What should not be, in words.
    pub(crate) problems: Vec<String>,
}

/// The world of one phase. Dropping it ends the daemon.
pub(super) struct CommandSite {
    name: &'static str,
    clock: Clock,
    plant: Plant,
    broker: Broker,
    line: LineRig,
    daemon: Daemon,
    folder: Folder,
    rng: Rng,
    /// The commands by the value that each of them wants.
    sent: BTreeMap<u32, Sent>,
    cuts: Vec<Mono>,
    writes: Vec<(Mono, u32)>,
    polls: BTreeMap<UnitId, Vec<Mono>>,
    problems: Vec<String>,
}

impl CommandSite {
    /// Sets up a world, and waits until all devices are online and polled.
    pub(super) async fn set(name: &'static str, baud: u32, run: &Run) -> io::Result<CommandSite> {
        let clock = Clock::system();
        let mut rng = Rng::new(run.seed ^ u64::from(baud));
        let plant = Plant::new(baud, rng.next_u64());
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let platform = Platform::new(plant.registered(), rng.fork(), clock.now());
        let broker = Broker::start(anywhere, platform, clock).await?;
        let folder = Folder::new()?;
        let tty = folder.path().join("ttyLINE1");
        let mut line = LineRig::new(plant.line(rng.fork()), clock);
        match run.is_exact {
            true => line.plug_terminal_exactly(&tty)?,
            false => line.plug_terminal(&tty)?,
        }
        for (name, content) in plant.files(&broker.addr().to_string(), &tty, folder.path()) {
            folder.write(&name, &content)?;
        }
        let daemon = Daemon::start(run.gateway.as_deref(), &folder)?;
        let mut site = CommandSite {
            name,
            clock,
            plant,
            broker,
            line,
            daemon,
            folder,
            rng,
            sent: BTreeMap::new(),
            cuts: Vec::new(),
            writes: Vec::new(),
            polls: BTreeMap::new(),
            problems: Vec::new(),
        };
        site.until_online().await?;
        Ok(site)
    }

    async fn until_online(&mut self) -> io::Result<()> {
        let until = self.now() + Duration::from_secs(60);
        while self.platform(|p, _| p.online()).await? < usize::from(UNITS) {
            if self.now() >= until || self.daemon.ended()?.is_some() {
                let log = self.daemon.last_output(20);
                self.folder.keep();
                return Err(io::Error::other(format!("not all came online:\n{log}")));
            }
            self.live(POLL_INTERVAL).await;
        }
        // The gateway has learned how fast the units answer.
        self.live(Duration::from_secs(5)).await;
        self.polls.clear();
        Ok(())
    }

    /// Returns the time.
    pub(super) fn now(&self) -> Mono {
        self.clock.now().mono
    }

    /// Returns the random numbers of the phase.
    pub(super) const fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// Lets time pass, and notes what the units did.
    pub(super) async fn live(&mut self, span: Duration) {
        tokio::time::sleep(span).await;
        for served in self.line.with(|line, _| line.take_served()) {
            match Plant::asked(&served) {
                UnitAction::Poll => self
                    .polls
                    .entry(served.unit)
                    .or_default()
                    .push(served.at.mono),
                UnitAction::Write(value) => self.writes.push((served.at.mono, value)),
                UnitAction::Other => {}
            }
        }
    }

    /// Sends a command to a unit, as a synchronous call or not; returns its id, or `None` if the
    /// device is offline.
    pub(super) async fn send(&mut self, unit: u8, is_call: bool) -> io::Result<Option<String>> {
        let value = FIRST + self.sent.len() as u32;
        let device = Plant::device(unit);
        let id = self
            .platform(move |p, now| {
                let params = json!({ SETPOINT: value });
                let method = "thing.service.property.set";
                match is_call {
                    false => p.set_properties(now, &device, params),
                    true => {
                        let by = RrpcTopic::Custom;
                        p.call_synchronously(now, &device, by, method, params, CALLER)
                    }
                }
            })
            .await?;
        if let Some(id) = &id {
            let within = if is_call { WITHIN.0 } else { WITHIN.1 };
            let id = id.clone();
            self.sent.insert(value, Sent { id, within });
        }
        Ok(id)
    }

    /// Lets time pass until the command is answered, or its time is over.
    pub(super) async fn until_answered(&mut self, id: &str) -> io::Result<()> {
        let until = self.now() + WITHIN.1 + WAY;
        loop {
            self.live(POLL_INTERVAL).await;
            let of = id.to_owned();
            let is_answered = self
                .platform(move |p, _| {
                    let call = p.ledger().calls().get(&of);
                    call.is_some_and(|call| !call.answers.is_empty())
                })
                .await?;
            if is_answered || self.now() >= until {
                return Ok(());
            }
        }
    }

    /// Cuts the connection of the gateway.
    pub(super) async fn cut(&mut self) -> io::Result<()> {
        self.cuts.push(self.now());
        let gateway = self.plant.gateway().clone();
        self.platform(move |p, now| p.drop_connection(now, &gateway))
            .await
            .map(|_| ())
    }

    /// Changes the line.
    pub(super) fn line(&self, change: impl FnOnce(&mut Line)) {
        self.line.with(|line, _| change(line));
    }

    async fn platform<R: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Platform, Now) -> R + Send + 'static,
    ) -> io::Result<R> {
        self.broker.with(act).await
    }

    /// Ends the phase, which began at this time, when the time of its last command is over.
    pub(super) async fn finish(mut self, begun: Mono) -> io::Result<PhaseJudgement> {
        let span = self.now().since(begun);
        let polls: usize = self.polls.values().map(Vec::len).sum();
        let load = self.plant.load(polls as u64, span);
        let gaps = self.polls.values().flat_map(|at| {
            let pairs = at.windows(2);
            pairs.map(|pair| pair[1].since(pair[0]))
        });
        let gaps: Vec<Duration> = gaps.collect();
        self.live(WITHIN.1 + WAY).await;
        if let Some(status) = self.daemon.ended()? {
            self.problems.push(format!("the daemon ended: {status}"));
        }
        let unrecorded = self.line.with(|line, _| line.counts().unrecorded);
        if unrecorded > 0 {
            self.problems
                .push(format!("{unrecorded} requests were not recorded"));
        }
        let ids: Vec<String> = self.sent.values().map(|sent| sent.id.clone()).collect();
        let calls: Vec<Option<Call>> = self
            .platform(move |p, _| {
                let calls = ids.iter().map(|id| p.ledger().calls().get(id).cloned());
                calls.collect()
            })
            .await?;
        let mut found = PhaseJudgement {
            gaps,
            load,
            commands: self.sent.len() as u64,
            ..PhaseJudgement::default()
        };
        let mut written: BTreeMap<u32, Vec<Mono>> = BTreeMap::new();
        for (at, value) in std::mem::take(&mut self.writes) {
            written.entry(value).or_default().push(at);
        }
        for ((value, sent), call) in std::mem::take(&mut self.sent).into_iter().zip(calls) {
            let times = written.remove(&value).unwrap_or_default();
            match call {
                Some(call) => self.one(&mut found, &sent, &call, &times),
                None => self
                    .problems
                    .push(format!("command {} is forgotten", sent.id)),
            }
        }
        if let Some(value) = written.keys().next() {
            self.problems
                .push(format!("{value} was written, which no command wants"));
        }
        if !self.problems.is_empty() {
            self.folder.keep();
            let kept = self.folder.path().display();
            self.problems
                .push(format!("the daemon's log is kept in {kept}"));
        }
        let named = self.problems.iter().map(|p| format!("{}: {p}", self.name));
        found.problems = named.collect();
        Ok(found)
    }

    /// Judges one command, whose value was written at these times.
    fn one(&mut self, found: &mut PhaseJudgement, sent: &Sent, call: &Call, written: &[Mono]) {
        let over = call.at + sent.within;
        let answered = call.answers.first().map(|a| a.at);
        let is_late = |at: &&Mono| **at > over || answered.is_some_and(|answered| **at > answered);
        found.late += written.iter().filter(is_late).count() as u64;
        found.twice += written.len().saturating_sub(1) as u64;
        // An answer on its way is lost with the connection.
        let until = over + WAY;
        if !self.cuts.iter().any(|cut| *cut >= call.at && *cut <= until) {
            found.certain += 1;
            found.answers += call.answers.len() as u64;
            if call.answers.is_empty() {
                self.problems
                    .push(format!("command {} has no answer", sent.id));
            }
        }
        if call.answers.len() > 1 {
            let times = call.answers.len();
            self.problems
                .push(format!("command {} has {times} answers", sent.id));
        }
        let Some(first) = call.answers.first() else {
            return;
        };
        if first.code.as_i64() == Some(DONE) {
            found.verified += 1;
            found.took.push(first.at.since(call.at));
            if written.is_empty() {
                found.unproved += 1;
            }
        }
    }
}
