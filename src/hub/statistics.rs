//! Statistics of the events so far: reply times, the history of the link, and which devices
//! ought to be online.
//!
//! Contract: the statistics take in events in the order in which they happened;
//! `snapshot.rs` reads them. They decide nothing. Their size is bounded by the number of
//! devices and ports.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::base::histogram::Histogram;
use crate::base::{
    DeviceId, Echoes, FieldEvent, LinkDown, LinkEvent, LivenessEvidence, LivenessProof, LogEvent,
    LogSubject, LogoutReason, Mono, Now,
};
use crate::cloud;
use crate::command::CommandLogEvent;
use crate::control::VerdictWord;
use crate::control::picture::{Rtt, StandingNotice};
use crate::field::diagnostics::counters::{Counters, EchoCounters};
use crate::fleet::FleetLogEvent;
use crate::hub::noticed::StandingEvents;
use crate::spec::{Changes, Spec};

/// How many of a device's last replies its reply time is computed from.
const OF_DEVICE: usize = 32;
/// How many of a device's last transactions are shown by outcome.
const RECENT: usize = 32;
/// A session that the platform closes within this time is a short one. Between two clients that
/// have one identity, each waits some minutes at most before it ends the other's session.
const SHORT_SESSION: Duration = Duration::from_secs(900);
/// Echoes count as lately heard for this long at least, and for twice as long at most.
const LATELY: Duration = Duration::from_secs(300);
/// How many of a port's last replies its reply time is computed from.
const OF_PORT: usize = 512;

/// All statistics.
#[derive(Debug)]
pub(super) struct Statistics {
    /// When this run of the service began.
    began: Now,
    devices: Vec<DeviceStatistics>,
    ports: Vec<PortStatistics>,
    link: LinkHistory,
    wanted: BTreeSet<DeviceId>,
    /// The last refusal of a device, and when.
    refusal: Option<(String, Mono)>,
    /// How many commands were answered, by what became of them.
    commands: BTreeMap<VerdictWord, u64>,
    /// Log events that still stand.
    standing: StandingEvents,
}

/// The statistics of one device.
#[derive(Clone, Debug)]
struct DeviceStatistics {
    turnarounds: Turnarounds,
    /// What the last transactions proved, the newest last.
    recent: VecDeque<LivenessEvidence>,
    answered: Option<Mono>,
    /// Why this gateway logged the device out last, and when.
    logout: Option<(LogoutReason, Mono)>,
}

/// The statistics of one port.
#[derive(Clone, Debug)]
struct PortStatistics {
    turnarounds: Turnarounds,
    replies: Histogram,
    echoes: EchoCounters,
    echoes_lately: LateEchoes,
    /// How many requests were made outside the plan.
    probes: u64,
}

impl Default for PortStatistics {
    fn default() -> Self {
        PortStatistics {
            turnarounds: Turnarounds::new(OF_PORT),
            replies: Histogram::default(),
            echoes: EchoCounters::default(),
            echoes_lately: LateEchoes::default(),
            probes: 0,
        }
    }
}

impl Default for DeviceStatistics {
    fn default() -> Self {
        DeviceStatistics {
            turnarounds: Turnarounds::new(OF_DEVICE),
            recent: VecDeque::new(),
            answered: None,
            logout: None,
        }
    }
}

/// The history of the link so far.
#[derive(Clone, Debug)]
pub(super) struct LinkHistory {
    /// Since when the link has its present state.
    pub since: Mono,
    /// How often the link was connected.
    pub connects: u64,
    /// How long from the last connection until all wanted devices were online.
    pub all_online_after: Option<Duration>,
    /// The last failed attempt or end of a connection, and when.
    pub failure: Option<(LinkDown, Mono)>,
    /// How many sessions in a row the platform closed soon after they began.
    pub short_sessions: u64,
    up: bool,
}

impl Statistics {
    pub(super) fn new(spec: &Spec, now: Now) -> Self {
        Statistics {
            began: now,
            devices: vec![DeviceStatistics::default(); spec.devices.len()],
            ports: vec![PortStatistics::default(); spec.ports.len()],
            link: LinkHistory {
                since: now.mono,
                connects: 0,
                all_online_after: None,
                failure: None,
                short_sessions: 0,
                up: false,
            },
            wanted: BTreeSet::new(),
            refusal: None,
            commands: BTreeMap::new(),
            standing: StandingEvents::default(),
        }
    }

    /// Takes in the end of a command.
    pub(super) fn on_command(&mut self, event: &CommandLogEvent) {
        let verdict = VerdictWord::from(&event.record.whole);
        *self.commands.entry(verdict).or_default() += 1;
    }

    /// Returns how many commands were answered, by what became of them.
    pub(super) const fn commands(&self) -> &BTreeMap<VerdictWord, u64> {
        &self.commands
    }

    /// Takes in an event of the field.
    pub(super) fn on_field(&mut self, now: Now, spec: &Spec, event: &FieldEvent) {
        if let FieldEvent::Noticed { about, kind, words } = event {
            self.standing.on_field(now.mono, *about, *kind, words);
        }
        if let FieldEvent::Echoes { port, echoes } = event
            && let Some(line) = self.ports.get_mut(port.index())
        {
            line.echoes.add(*echoes);
            line.echoes_lately.add(now.mono, *echoes);
        }
        if let FieldEvent::Probes { port, count } = event
            && let Some(line) = self.ports.get_mut(port.index())
        {
            line.probes = line.probes.saturating_add(u64::from(*count));
        }
        let FieldEvent::Polled {
            device,
            at,
            evidence,
            turnaround,
            ..
        } = event
        else {
            return;
        };
        let Some(statistics) = self.devices.get_mut(device.index()) else {
            return;
        };
        if statistics.recent.len() == RECENT {
            statistics.recent.pop_front();
        }
        statistics.recent.push_back(*evidence);
        if matches!(evidence, LivenessEvidence::Alive(_)) {
            statistics.answered = Some(at.mono);
        }
        let Some(gap) = *turnaround else {
            return;
        };
        statistics.turnarounds.add(gap);
        let port = spec.device(*device).map(|d| d.port.index());
        if let Some(port) = port.and_then(|p| self.ports.get_mut(p)) {
            port.turnarounds.add(gap);
            port.replies.add(gap);
        }
    }

    /// Takes in an event of the link.
    pub(super) fn on_link(&mut self, now: Now, event: &LinkEvent) {
        let link = &mut self.link;
        match event {
            LinkEvent::Up => {
                link.connects += 1;
                link.since = now.mono;
                link.all_online_after = None;
                link.up = true;
            }
            LinkEvent::Down(why) => {
                if std::mem::replace(&mut link.up, false) {
                    let is_short = now.mono.since(link.since) < SHORT_SESSION;
                    link.short_sessions = match why {
                        LinkDown::Closed if is_short => link.short_sessions.saturating_add(1),
                        _ => 0,
                    };
                    link.since = now.mono;
                }
                // A connection that the gateway ended itself is no failure.
                if *why != LinkDown::Ours {
                    link.failure = Some((why.clone(), now.mono));
                }
            }
            LinkEvent::Message { .. } | LinkEvent::SubscribeRefused { .. } => {}
        }
    }

    /// Takes in a log event of the fleet.
    pub(super) fn on_fleet(&mut self, now: Now, event: &FleetLogEvent) {
        self.standing.on_fleet(now.mono, event);
    }

    /// Takes in a notice of the platform's side.
    pub(super) fn on_notice(&mut self, now: Now, spec: &Spec, notice: &cloud::CloudLogEvent) {
        self.standing.on_cloud(now, notice);
        if let cloud::CloudLogEvent::DeviceRefused { device, .. } = notice {
            let name = spec.device(*device).map_or("?", |d| &d.name);
            self.refusal = Some((format!("{name}: {}", notice.sentence()), now.mono));
        }
        if let cloud::CloudLogEvent::LoggedOut { devices, each, .. } = notice {
            for (device, reason) in devices.iter().zip(each) {
                if let Some(statistics) = self.devices.get_mut(device.index()) {
                    statistics.logout = Some((*reason, now.mono));
                }
            }
        }
    }

    /// Returns why this gateway logged a device out last, and when.
    pub(super) fn logout(&self, device: DeviceId) -> Option<(LogoutReason, Mono)> {
        self.devices.get(device.index())?.logout
    }

    /// Notes whether the fleet wants a device online.
    pub(super) fn want(&mut self, device: DeviceId, online: bool) {
        match online {
            true => self.wanted.insert(device),
            false => self.wanted.remove(&device),
        };
    }

    /// Notes how many devices are online now.
    pub(super) fn online(&mut self, now: Now, online: usize) {
        let link = &mut self.link;
        let all = !self.wanted.is_empty() && online >= self.wanted.len();
        if link.up && link.all_online_after.is_none() && all {
            link.all_online_after = Some(now.mono.since(link.since));
        }
    }

    /// Replaces the installation. A device that is polled elsewhere has not been heard there.
    pub(super) fn respec(&mut self, now: Now, spec: &Spec, changes: &Changes) {
        self.standing.respec(changes);
        self.devices
            .resize(spec.devices.len(), DeviceStatistics::default());
        let ports = spec.ports.len();
        self.ports.resize(ports, PortStatistics::default());
        let c = &changes.devices;
        let moved = c.changed.iter().filter(|(_, c)| c.moved);
        let fresh = c.added.iter().chain(&c.removed);
        for id in fresh.chain(moved.map(|(id, _)| id)) {
            if let Some(statistics) = self.devices.get_mut(id.index()) {
                *statistics = DeviceStatistics::default();
            }
        }
        for id in &c.removed {
            self.wanted.remove(id);
        }
        for id in changes.ports.added.iter().chain(&changes.ports.changed) {
            if let Some(port) = self.ports.get_mut(id.index()) {
                *port = PortStatistics::default();
            }
        }
        if changes.cloud.connection && std::mem::replace(&mut self.link.up, false) {
            self.link.since = now.mono;
        }
    }

    /// Returns when this run of the service began.
    pub(super) const fn began(&self) -> Now {
        self.began
    }

    /// Returns the history of the link.
    pub(super) const fn link(&self) -> &LinkHistory {
        &self.link
    }

    /// Returns the last refusal of a device, and when it came.
    pub(super) const fn refusal(&self) -> Option<&(String, Mono)> {
        self.refusal.as_ref()
    }

    /// Returns how many devices ought to be online.
    pub(super) fn wanted(&self) -> usize {
        self.wanted.len()
    }

    /// Returns when a device last proved that it lives.
    pub(super) fn answered(&self, device: DeviceId) -> Option<Mono> {
        self.devices.get(device.index())?.answered
    }

    /// Returns a device's reply time.
    pub(super) fn rtt(&self, device: DeviceId) -> Option<Rtt> {
        self.devices.get(device.index())?.turnarounds.rtt()
    }

    /// Returns a device's last transactions by outcome, without those that did not occur.
    pub(super) fn recent(&self, device: DeviceId) -> BTreeMap<String, u64> {
        let recent = self.devices.get(device.index()).map(|d| &d.recent);
        outcomes_of(recent.into_iter().flatten())
    }

    /// Returns those of a device's last transactions that came after the last one that it
    /// answered, by outcome, without those that did not occur. A late reply is no answer.
    pub(super) fn unanswered(&self, device: DeviceId) -> BTreeMap<String, u64> {
        let own = self.devices.get(device.index());
        own.map(|d| unanswered(&d.recent)).unwrap_or_default()
    }

    /// Returns the log events about this that still stand.
    pub(super) fn standing(&self, now: Now, about: LogSubject) -> Vec<StandingNotice> {
        self.standing.of(now.mono, about)
    }

    /// Returns a port's reply time, by its id.
    pub(super) fn port_rtt(&self, port: usize) -> Option<Rtt> {
        self.ports.get(port)?.turnarounds.rtt()
    }

    /// Returns the reply times of all replies of a port since it was made.
    pub(super) fn port_replies(&self, port: usize) -> Histogram {
        let port = self.ports.get(port);
        port.map(|p| p.replies.clone()).unwrap_or_default()
    }

    /// Returns how often a port has heard the gateway's own requests.
    pub(super) fn port_echoes(&self, port: usize) -> EchoCounters {
        self.ports.get(port).map(|p| p.echoes).unwrap_or_default()
    }

    /// Returns how often a port has heard the gateway's own requests in the last minutes.
    pub(super) fn port_echoes_lately(&self, now: Now, port: usize) -> EchoCounters {
        let port = self.ports.get(port);
        port.map(|p| p.echoes_lately.at(now.mono))
            .unwrap_or_default()
    }

    /// Returns how many requests a port has made outside the plan.
    pub(super) fn port_probes(&self, port: usize) -> u64 {
        self.ports.get(port).map_or(0, |p| p.probes)
    }
}

/// Returns how often each outcome occurred, without those that did not.
fn outcomes_of<'e>(ends: impl Iterator<Item = &'e LivenessEvidence>) -> BTreeMap<String, u64> {
    let mut counters = Counters::default();
    ends.for_each(|evidence| counters.note(*evidence));
    let mut outcomes = counters.outcomes();
    outcomes.retain(|_, n| *n > 0);
    outcomes
}

/// Returns how often each outcome occurred after the last answer.
fn unanswered(recent: &VecDeque<LivenessEvidence>) -> BTreeMap<String, u64> {
    let is_answer = |e: &LivenessEvidence| matches!(e, LivenessEvidence::Alive(proof) if *proof != LivenessProof::Late);
    outcomes_of(recent.iter().rev().take_while(|end| !is_answer(end)))
}

/// The echoes of the last minutes: of the period that runs, and of the one before.
#[derive(Clone, Debug, Default)]
struct LateEchoes {
    began: Mono,
    running: EchoCounters,
    before: EchoCounters,
}

impl LateEchoes {
    fn add(&mut self, now: Mono, echoes: Echoes) {
        *self = self.moved_to(now);
        self.running.add(echoes);
    }

    /// Returns the echoes of the last one to two periods.
    fn at(&self, now: Mono) -> EchoCounters {
        let moved = self.moved_to(now);
        moved.running.with(moved.before)
    }

    fn moved_to(&self, now: Mono) -> LateEchoes {
        let past = now.since(self.began);
        let (began, running) = (now, EchoCounters::default());
        if past < LATELY {
            return self.clone();
        }
        let before = match past < LATELY * 2 {
            true => self.running,
            false => EchoCounters::default(),
        };
        LateEchoes {
            began,
            running,
            before,
        }
    }
}

/// The last so many turnarounds, in microseconds.
#[derive(Clone, Debug)]
struct Turnarounds {
    last: VecDeque<u32>,
    most: usize,
}

impl Turnarounds {
    const fn new(most: usize) -> Self {
        Turnarounds {
            last: VecDeque::new(),
            most,
        }
    }

    fn add(&mut self, gap: Duration) {
        if self.last.len() == self.most {
            self.last.pop_front();
        }
        let micros = u32::try_from(gap.as_micros()).unwrap_or(u32::MAX);
        self.last.push_back(micros);
    }

    /// Computes the reply time by the nearest rank: each number is one that was measured.
    fn rtt(&self) -> Option<Rtt> {
        let mut sorted: Vec<u32> = self.last.iter().copied().collect();
        sorted.sort_unstable();
        let of = sorted.len();
        let rank = |percent: usize| {
            let rank = (of * percent).div_ceil(100).saturating_sub(1);
            sorted.get(rank).copied().map(u64::from)
        };
        Some(Rtt {
            p50_us: rank(50)?,
            p95_us: rank(95)?,
            of: of as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::MissReason;

    fn at(second: u64) -> Mono {
        Mono::from_micros(second * 1_000_000)
    }

    #[test]
    fn echoes_are_forgotten_after_some_minutes() {
        let mut echoes = LateEchoes::default();
        let heard = |unexpected| Echoes {
            unexpected,
            ..Echoes::default()
        };
        let lately =
            |echoes: &LateEchoes, second| echoes.at(at(second)).outcomes()["echo-unexpected"];
        echoes.add(at(1000), heard(3));
        echoes.add(at(1200), heard(4));
        assert_eq!(lately(&echoes, 1200), 7);
        assert_eq!(lately(&echoes, 1500), 7);
        assert_eq!(lately(&echoes, 1600), 0);
        echoes.add(at(1500), heard(1));
        assert_eq!(lately(&echoes, 1500), 8);
        assert_eq!(lately(&echoes, 1800), 1);
        assert_eq!(lately(&echoes, 2100), 0);
    }

    #[test]
    fn what_came_since_the_last_answer_is_counted_by_itself() {
        use LivenessEvidence::{Alive, Missed};
        let outcomes = |ends: &[LivenessEvidence]| {
            let recent = ends.iter().copied().collect();
            unanswered(&recent).into_iter().collect::<Vec<_>>()
        };
        let (answer, silence) = (Alive(LivenessProof::Answer), Missed(MissReason::Silence));
        assert_eq!(outcomes(&[]), []);
        assert_eq!(outcomes(&[silence, answer]), []);
        assert_eq!(
            outcomes(&[Missed(MissReason::Garbled), answer, silence, silence]),
            [("timeout".to_owned(), 2)]
        );
        // A refusal is an answer, a late reply is none.
        assert_eq!(
            outcomes(&[
                silence,
                Alive(LivenessProof::Exception(2)),
                silence,
                Alive(LivenessProof::Late)
            ]),
            [("late".to_owned(), 1), ("timeout".to_owned(), 1)]
        );
    }

    #[test]
    fn quantiles_are_numbers_that_were_measured_lately() {
        let mut gaps = Turnarounds::new(100);
        assert_eq!(gaps.rtt(), None);
        gaps.add(Duration::from_micros(7));
        let one = Rtt {
            p50_us: 7,
            p95_us: 7,
            of: 1,
        };
        assert_eq!(gaps.rtt(), Some(one));
        for n in 1..=100u64 {
            gaps.add(Duration::from_micros(n * 10));
        }
        let hundred = Rtt {
            p50_us: 500,
            p95_us: 950,
            of: 100,
        };
        assert_eq!(gaps.rtt(), Some(hundred), "the first has been forgotten");
    }
}
