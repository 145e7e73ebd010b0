//! One phase's world: a platform, racks, the real daemon with a directory of its own, and
//! the oracle that watches all of them.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use alink_gateway::base::{Mono, Now, Rng, Wall};
use alink_gateway::io::system::clock::Clock;
use alink_gateway::lab::broker::Broker;
use alink_gateway::lab::platform::{AcceptedValue, Fault, Platform};
use alink_gateway::lab::wire::RackRig;
use tokio::process::Command;

use super::dated::Dated;
use super::oracle::{DaemonEnd, JOURNEY, Oracle};
use super::plant::{PhaseInstallation, Plant};
use super::store::{self, Filling};
use super::volume::Volume;
use crate::daemon::{Daemon, Folder, command};

/// How often the oracle looks.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// How long a daemon may take to end after SIGTERM: `stop_within` and a busy machine.
const ENDING: Duration = Duration::from_secs(15);
/// The end of the names of the files that hold values.
const SEGMENT: &str = "readings";

/// What the daemon's state is kept on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StateDisk {
    /// The file system of the directory of temporary files.
    Disk,
    /// An ext4 of its own.
    Ext4,
    /// A tmpfs of its own, of so many bytes.
    Tmpfs(u64),
}

/// How the daemon is run.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// The program; `None` is this very one.
    pub(crate) gateway: Option<PathBuf>,
    /// How the daemon comes to believe the clock.
    pub(crate) dated: Dated,
    /// The seed of everything that is drawn.
    pub(crate) seed: u64,
}

/// What is known at the end of a phase.
#[derive(Debug)]
pub(super) struct PhaseJudgement {
    /// How many values never arrived and should have.
    pub(crate) lost: u64,
    /// How many values never arrived, for whatever reason.
    pub(crate) unaccepted: u64,
    /// What was found, in words.
    pub(crate) problems: Vec<String>,
    /// What else the oracle has counted.
    pub(crate) oracle: Oracle,
}

/// The world of one phase. Dropping it ends the daemon.
pub(super) struct SpoolSite {
    name: &'static str,
    clock: Clock,
    plant: Plant,
    broker: Broker,
    racks: Vec<RackRig>,
    daemon: Option<Daemon>,
    run: Run,
    volume: Option<Volume>,
    // Removed last: the volume is mounted in it.
    folder: Folder,
    state: PathBuf,
    oracle: Oracle,
    judged: u64,
    rng: Rng,
    kills: u64,
    problems: Vec<String>,
}

impl SpoolSite {
    /// Sets up a world in which the daemon is not started yet.
    pub(super) async fn set(
        name: &'static str,
        shape: PhaseInstallation,
        on: StateDisk,
        run: &Run,
    ) -> io::Result<SpoolSite> {
        let seed = name.bytes().fold(run.seed, |sum, b| {
            sum.wrapping_mul(0x100_0000_01b3) ^ u64::from(b)
        });
        let clock = Clock::system();
        let plant = Plant::new(shape, seed);
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut rng = Rng::new(seed);
        let platform = Platform::new(plant.registered(), rng.fork(), clock.now());
        let broker = Broker::start(anywhere, platform, clock).await?;
        let mut racks = Vec::new();
        for rack in plant.racks() {
            racks.push(RackRig::start(rack, anywhere, clock).await?);
        }
        let folder = Folder::new()?;
        let state = folder.path().join("state");
        let at = state.clone();
        let make = tokio::task::spawn_blocking(move || match on {
            StateDisk::Disk => fs::create_dir_all(&at).map(|()| None),
            StateDisk::Ext4 => Volume::ext4(&at).map(Some),
            StateDisk::Tmpfs(bytes) => Volume::tmpfs(&at, bytes).map(Some),
        });
        let volume = make.await.map_err(io::Error::other)??;
        let cloud = broker.addr().to_string();
        let end = |rack: &RackRig| (rack.address().ip().to_string(), rack.address().port());
        let ends: Vec<_> = racks.iter().map(end).collect();
        let socket = folder.path().join("control.sock");
        for (name, content) in plant.files(&cloud, &ends, &state, &socket) {
            folder.write(&name, &content)?;
        }
        Ok(SpoolSite {
            name,
            clock,
            plant,
            broker,
            racks,
            daemon: None,
            run: run.clone(),
            volume,
            folder,
            state,
            oracle: Oracle::new(),
            judged: 0,
            rng,
            kills: 0,
            problems: Vec::new(),
        })
    }

    /// Returns the installation.
    pub(super) const fn plant(&self) -> &Plant {
        &self.plant
    }

    /// Returns the oracle.
    pub(super) const fn oracle(&self) -> &Oracle {
        &self.oracle
    }

    /// Returns the random numbers of the phase.
    pub(super) const fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// Returns how often the daemon was killed.
    pub(super) const fn kills(&self) -> u64 {
        self.kills
    }

    /// Returns the time.
    pub(super) fn now(&self) -> Now {
        self.clock.now()
    }

    /// Returns the directory of the store.
    pub(super) fn readings(&self) -> PathBuf {
        self.state.join("readings")
    }

    /// Returns the directory of the daemon's state.
    pub(super) fn state(&self) -> &Path {
        &self.state
    }

    /// Returns how many bytes the files with values take.
    pub(super) fn stored_bytes(&self) -> u64 {
        let files = fs::read_dir(self.readings()).into_iter().flatten();
        let segments = files.flatten().filter(|file| {
            let name = file.file_name();
            Path::new(&name).extension().is_some_and(|e| e == SEGMENT)
        });
        let sizes = segments.filter_map(|file| Some(file.metadata().ok()?.len()));
        sizes.sum()
    }

    // --- the daemon -------------------------------------------------------------------

    /// Lets the daemon's program check the configuration; returns its words about a mistake.
    pub(super) async fn check(&self) -> io::Result<Option<String>> {
        let mut check = command(self.run.gateway.as_deref())?;
        let file = self.folder.path().join("gateway.yaml");
        let done = check.arg("check").arg(file).output().await?;
        let words = [done.stdout, done.stderr].concat();
        let words = String::from_utf8_lossy(&words).trim().to_owned();
        Ok((!done.status.success()).then_some(words))
    }

    /// Asks the running daemon for one of its metrics, without labels.
    pub(super) async fn metric(&self, name: &str) -> io::Result<f64> {
        let mut ask = command(self.run.gateway.as_deref())?;
        let socket = self.folder.path().join("control.sock");
        let done = ask
            .args(["metrics", "--socket"])
            .arg(socket)
            .output()
            .await?;
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        let figure = lines.find(|(metric, _)| *metric == name);
        let figure = figure.and_then(|(_, figure)| figure.parse().ok());
        figure.ok_or_else(|| io::Error::other(format!("the daemon has no metric {name}")))
    }

    /// Starts the daemon. It forgets how often it connected lately: a test starts it more
    /// often than the platform would let it connect.
    pub(super) fn start(&mut self) -> io::Result<()> {
        let _ = fs::remove_file(self.state.join("connects.json"));
        let program: Command = self.run.dated.wrap(command(self.run.gateway.as_deref())?);
        self.daemon = Some(Daemon::start_as(program, &self.folder)?);
        Ok(())
    }

    /// Returns the number of the daemon's process.
    pub(super) fn process(&self) -> Option<u32> {
        self.daemon.as_ref().and_then(Daemon::process)
    }

    /// Ends the daemon by SIGKILL. A value that was read `window` before may be lost.
    pub(super) async fn kill(&mut self, window: Duration) -> io::Result<()> {
        let at = self.now().wall;
        if let Some(mut daemon) = self.daemon.take() {
            self.note_early_end(&mut daemon)?;
            daemon.kill().await?;
        }
        // What it sent before arrives.
        self.live(POLL_INTERVAL).await?;
        self.oracle.ended(DaemonEnd::Killed(at, window));
        self.kills += 1;
        Ok(())
    }

    /// Ends the daemon by SIGKILL, and judges nothing.
    pub(super) async fn kill_unwatched(&mut self) -> io::Result<()> {
        match self.daemon.take() {
            Some(mut daemon) => daemon.kill().await,
            None => Ok(()),
        }
    }

    /// Ends the daemon by SIGTERM.
    pub(super) async fn stop(&mut self) -> io::Result<()> {
        let at = self.now().wall;
        if let Some(mut daemon) = self.daemon.take() {
            self.note_early_end(&mut daemon)?;
            daemon.terminate()?;
            let deadline = self.now().mono + ENDING;
            let status = loop {
                if let Some(status) = daemon.ended()? {
                    break Some(status);
                }
                if self.now().mono >= deadline {
                    break None;
                }
                self.live(POLL_INTERVAL / 4).await?;
            };
            match status {
                Some(status) if status.success() => {}
                Some(status) => self.problem(format!("the daemon ended: {status}")),
                None => {
                    self.problem("the daemon did not end after SIGTERM".to_owned());
                    daemon.kill().await?;
                }
            }
        }
        self.live(POLL_INTERVAL).await?;
        let ended = self.now().wall;
        self.oracle.ended(DaemonEnd::Stopped(at, ended));
        Ok(())
    }

    fn note_early_end(&mut self, daemon: &mut Daemon) -> io::Result<()> {
        if let Some(status) = daemon.ended()? {
            let words = daemon.last_output(6);
            self.problem(format!("the daemon ended by itself: {status}: {words}"));
        }
        Ok(())
    }

    /// Goes on with what a power cut at this moment leaves of the state. The daemon must have
    /// been killed.
    pub(super) async fn cut_power(&mut self) -> io::Result<()> {
        let Some(mut volume) = self.volume.take() else {
            return Ok(());
        };
        // Other sites, whose devices answer in time, share this thread.
        let cut = tokio::task::spawn_blocking(move || {
            let cut = volume.cut_power();
            (volume, cut)
        });
        let (volume, cut) = cut.await.map_err(io::Error::other)?;
        self.volume = Some(volume);
        cut
    }

    /// Makes the file system of the state read-only, or writable again.
    pub(super) fn set_writable(&self, on: bool) -> io::Result<()> {
        match &self.volume {
            Some(volume) => volume.set_writable(on, self.process()),
            None => Ok(()),
        }
    }

    /// Fills the store, which no daemon uses, and tells the oracle.
    pub(super) fn fill(&mut self, filling: Filling) -> io::Result<u64> {
        let directory = self.readings();
        let (plant, oracle) = (&self.plant, &mut self.oracle);
        store::fill(&directory, plant, filling, |point, value, at| {
            oracle.stored(point, value, at);
        })
    }

    /// Counts the values that the platform accepted live since then and that are not in the
    /// store. The daemon must have been killed, and no reply have reached it since.
    pub(super) fn count_unstored(&mut self, since: Mono) -> io::Result<u64> {
        let stored = store::values(&self.readings(), &self.plant)?;
        let sent = self.oracle.live_keys(since);
        let unstored = sent.iter().filter(|key| !stored.contains(key)).count();
        if unstored > 0 {
            let of = sent.len();
            self.problem(format!(
                "{unstored} of {of} values were sent and were not stored"
            ));
        }
        Ok(unstored as u64)
    }

    // --- the world --------------------------------------------------------------------

    /// Lets time pass.
    pub(super) async fn live(&mut self, span: Duration) -> io::Result<()> {
        let until = self.now().mono + span;
        loop {
            let left = until.since(self.now().mono);
            tokio::time::sleep(left.min(POLL_INTERVAL)).await;
            self.look().await?;
            if self.now().mono >= until {
                return Ok(());
            }
        }
    }

    /// Lets time pass until this holds; returns whether it came to hold in time.
    pub(super) async fn live_until(
        &mut self,
        limit: Duration,
        holds: impl Fn(&SpoolSite) -> bool,
    ) -> io::Result<bool> {
        let until = self.now().mono + limit;
        loop {
            self.live(POLL_INTERVAL).await?;
            if holds(self) {
                return Ok(true);
            }
            if self.now().mono >= until {
                return Ok(false);
            }
        }
    }

    /// Lets time pass until no log-in or log-out has been asked for during `rest`; returns
    /// whether that came in time.
    pub(super) async fn sessions_rest(
        &mut self,
        rest: Duration,
        limit: Duration,
    ) -> io::Result<bool> {
        let until = self.now().mono + limit;
        while self.now().mono < until {
            self.live(POLL_INTERVAL).await?;
            let last = self
                .platform(|p, _| p.ledger().asked().next_back().map(|asked| asked.at))
                .await?;
            if last.is_some_and(|at| self.now().mono.since(at) >= rest) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Lets the oracle see what was given and accepted since the last look.
    async fn look(&mut self) -> io::Result<()> {
        // The platform first: what it has accepted was given before.
        let judged = self.judged;
        let (total, fresh) = self
            .platform(move |p, _| {
                let total = p.accepted().total();
                let fresh = usize::try_from(total - judged).unwrap_or(usize::MAX);
                let newest = p.accepted().log().rev().take(fresh).cloned();
                (total, newest.collect::<Vec<AcceptedValue>>())
            })
            .await?;
        let seen = fresh.len() as u64;
        if seen < total - judged {
            let unseen = total - judged - seen;
            self.problem(format!("the lab was too slow to see {unseen} values"));
        }
        self.judged = total;
        for (n, rack) in self.racks.iter().enumerate() {
            for served in rack.with(|rack, _| rack.take_served()) {
                for (point, value) in self.plant.values_of(n, &served) {
                    self.oracle.given(point, value, served.at);
                }
            }
        }
        for value in fresh.iter().rev() {
            self.oracle.accepted(&self.plant, value);
        }
        Ok(())
    }

    /// Gives all devices power, or takes it away.
    pub(super) fn power(&mut self, on: bool) {
        if on {
            let now = self.now().wall;
            self.oracle.powered(now);
        }
        for rack in &self.racks {
            rack.with(|rack, _| {
                let ids: Vec<_> = rack.units().map(|(id, _)| id).collect();
                for id in ids {
                    match on {
                        true => rack.power_on(id),
                        false => rack.kill(id),
                    }
                }
            });
        }
    }

    /// Lets the platform do wrong.
    pub(super) async fn fault(&self, fault: Fault) -> io::Result<()> {
        self.platform(move |p, now| p.fault(now, fault)).await
    }

    /// Begins an outage: nothing is read and nothing is sent, and no connection ends until
    /// it is given up. With `cut` the present connection ends.
    pub(super) async fn outage(&self, cut: bool) -> io::Result<()> {
        if cut {
            self.fault(Fault::Cut(self.plant.gateway().clone())).await?;
        }
        self.fault(Fault::Deaf(true)).await
    }

    /// Ends all faults. A connection on which something was ignored ends too, as it does
    /// when a path comes back without its state.
    pub(super) async fn heal(&self) -> io::Result<()> {
        let gateway = self.plant.gateway().clone();
        self.platform(move |p, now| {
            p.fault(now, Fault::Heal);
            p.fault(now, Fault::Cut(gateway));
        })
        .await
    }

    /// Asks the platform.
    pub(super) async fn platform<R: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Platform, Now) -> R + Send + 'static,
    ) -> io::Result<R> {
        self.broker.with(act).await
    }

    /// Waits, without faults, until everything has arrived that was given until now and may
    /// not be lost; returns until when values count.
    pub(super) async fn settle(&mut self, limit: Duration) -> io::Result<Wall> {
        self.heal().await?;
        self.live(JOURNEY).await?;
        let until = self.now().wall;
        let begun = self.now().mono;
        while self.oracle.missing(until) > 0 && self.now().mono < begun + limit {
            self.live(POLL_INTERVAL * 5).await?;
        }
        Ok(until)
    }

    // --- what was found ---------------------------------------------------------------

    /// Takes note of something that should not be.
    pub(super) fn problem(&mut self, what: String) {
        self.problems.push(format!("{}: {what}", self.name));
    }

    /// Judges what is missing of the values that were given until this time, and ends the
    /// phase.
    pub(super) fn finish(mut self, until: Wall) -> PhaseJudgement {
        let (lost, unaccepted) = (self.oracle.judge(until), self.oracle.unaccepted(until));
        let found = self.oracle.findings().iter();
        let mut problems: Vec<String> = found.map(|f| format!("{}: {f}", self.name)).collect();
        problems.append(&mut self.problems);
        if !problems.is_empty() {
            self.folder.keep();
            let kept = self.folder.path().display();
            problems.push(format!("{}: the daemon's log is kept in {kept}", self.name));
        }
        PhaseJudgement {
            lost,
            unaccepted,
            problems,
            oracle: self.oracle,
        }
    }

    /// Returns the moments at which posts were accepted since then, and how many values each
    /// of them had.
    pub(super) async fn posts_since(&self, from: Mono) -> io::Result<Vec<(Mono, u64)>> {
        self.platform(move |p, _| {
            let posts = p.ledger().posted().filter(|p| p.at >= from);
            let taken = posts.filter(|p| p.accepted > 0);
            taken.map(|p| (p.at, p.accepted)).collect()
        })
        .await
    }
}
