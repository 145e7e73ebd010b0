//! Decides which request is next on one line.
//!
//! Contract: ask [`Schedule::next`]. After `Run(request)` run the request and report its end
//! with [`Schedule::done`], before asking again unless more requests may be under way. After
//! `NotBefore` ask again at that time, or when something was overheard. The schedule is given
//! the time and never reads it.
//!
//! Order: every request has its poll slots on a fixed grid, whatever happened before. Of
//! those due, one of the highest priority is served. Among these the one whose next poll slot
//! comes first is served (a rare request is not put off by more than a second for that). Ties
//! go to the device that was served longest ago. A poll slot that was missed is skipped, so
//! nothing queues up. The request that is owed stays due, and a request that has waited
//! for a whole interval behind higher priorities gets a tenth of the line, so nothing
//! starves. On a line that does not keep up no poll slots are skipped: all intervals of a
//! priority are stretched alike ([`crate::field::schedule::interval_stretch`]), those of the
//! lowest first.
//!
//! A device that missed is tried with one request at a time, soon and then ever less often. A
//! try is made only when no answering device would lose a poll by it, or from a budget of a
//! twentieth of the clock; the first tries of a device that answered before may overdraw that
//! budget a little. The first proof of life of a device brings back its whole plan. Whether a
//! device counts as silent is not decided here. A request that fails while its device lives
//! is tried in the same way, by itself (`polled_device/failing.rs`).
//!
//! Several requests may be under way where replies carry the number of their request
//! ([`Schedule::window`]), never two of one device. Tries of what failed leave room for a
//! request that is expected to succeed.
//!
//! `schedule/turns.rs` decides which of all these goes first, `schedule/time.rs` stretches
//! the intervals. Commands go before reads, within a share of their own
//! (`schedule/commands.rs`).
//!
//! Refusals and measured reply times change which registers are asked for together
//! ([`crate::field::plan::holes`], [`super::plan`]). [`Schedule::poll_finding`] hands out
//! what was found.

pub mod budget;
pub(crate) mod command;
mod commands;
pub mod interval_stretch;
mod reply_classes;
mod samples;
mod time;
mod turns;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::base::{DeviceId, LivenessEvidence, MissReason, Mono, Now, PortId, Rng};
use crate::spec::survey::SurveyQuestion;
use crate::spec::{BusAddress, Priority, ProfileSpec, Spec};

use self::budget::Budget;
use self::command::WaitingCommands;
use self::interval_stretch::{IntervalStretch, Overload};
use crate::field::command::runs::CommandRuns;
use crate::field::diagnostics::duplicate_address::DuplicateAddresses;
use crate::field::plan::holes::Holes;
use crate::field::polled_device::PolledDevice;
use crate::field::polled_device::adaptive_plan::DeviceFinding;
use crate::field::polled_device::liveness_evidence::evidence_of;
use crate::field::transaction::request::{Outcome, Request};

use self::turns::{AttemptKind, Impact};

use super::survey::shape_of;
use reply_classes::assign_reply_classes;

/// How long to wait when there is nothing to do but to wait for replies. Nothing happens
/// before a reply comes, and the caller asks again then.
const UNTIL_A_REPLY: Duration = Duration::from_secs(5);

/// How many devices must miss at once for this to be no coincidence.
const DEVICES_AT_ONCE: usize = 3;

/// What the port has to do on the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextAction {
    /// Run this transaction now.
    Run(Request),
    /// Do nothing before this time, for this reason.
    NotBefore(Mono, &'static str),
    /// Do nothing ever: there is nothing to read on this port.
    Idle,
}

/// A request that is under way, and the budget it is paid from.
#[derive(Clone, Copy, Debug)]
struct RequestUnderWay {
    /// What the request may do to the others, if it is expected to fail.
    harm: Option<Impact>,
    /// The lower priority that goes before a higher one with this request.
    ahead: Option<Priority>,
    /// Whether the request is for a device that has not answered yet.
    is_first_contact: bool,
    /// Whether the request is to show whether two devices have one address.
    is_sample: bool,
}

/// The order of requests on one line.
#[derive(Clone, Debug)]
pub struct Schedule {
    devices: Vec<PolledDevice>,
    /// The budget of attempts that take time from answering devices.
    budget: Budget,
    /// The budget of attempts that only make answering devices wait.
    delays: Budget,
    /// The budget of first contacts.
    strangers: Budget,
    /// The time of each priority …
    stretches: BTreeMap<Priority, IntervalStretch>,
    /// … and what it may take before higher priorities.
    shares: BTreeMap<Priority, Budget>,
    /// The budget of probes that read a part of a request.
    probes: Budget,
    /// Which devices seem to share their address with another …
    duplicates: DuplicateAddresses,
    /// … and the budget of requests to find that out.
    samples: Budget,
    /// The requests that are under way, by device.
    out: BTreeMap<DeviceId, RequestUnderWay>,
    /// How many requests may be under way.
    most_out: usize,
    /// Until when the line rests for the late reply of a unit that is known for late replies.
    late_reply: Option<Mono>,
    rng: Rng,
    turn: u64,
    /// Since when there is nothing to do.
    rests: Option<Mono>,
    /// The commands of the line …
    runs: CommandRuns,
    /// … and their requests.
    commands: WaitingCommands,
    /// The budget of commands.
    writing: Budget,
    /// Findings not yet handed out; no more than one transaction finds.
    findings: VecDeque<DeviceFinding>,
    /// Overloads not yet handed out; at most two for each priority at a time.
    overloads: VecDeque<Overload>,
}

impl Schedule {
    /// Builds the schedule of the devices on `port`; all are due now.
    #[must_use]
    pub fn new(spec: &Spec, port: PortId, rng: Rng, now: Now) -> Self {
        let mut polled_devices = Vec::new();
        if let Some(line) = spec.port(port) {
            let mut number = 0;
            for (id, device) in spec.devices_on(port) {
                let polled_device = PolledDevice::new(id, device, line, &mut number, now.mono);
                if !polled_device.slots().is_empty() {
                    polled_devices.push(polled_device);
                }
            }
        }
        assign_reply_classes(&mut polled_devices);
        Schedule {
            devices: polled_devices,
            budget: Budget::for_silent_devices(now.mono),
            delays: Budget::for_delays(now.mono),
            strangers: Budget::for_never_answered(now.mono),
            stretches: Priority::ALL
                .map(|p| (p, IntervalStretch::new(now.mono)))
                .into(),
            shares: Priority::ALL
                .map(|p| (p, Budget::for_lower_priorities(now.mono)))
                .into(),
            probes: Budget::for_probes(now.mono),
            duplicates: DuplicateAddresses::default(),
            samples: Budget::for_samples(now.mono),
            out: BTreeMap::new(),
            most_out: 1,
            late_reply: None,
            runs: CommandRuns::default(),
            commands: WaitingCommands::default(),
            writing: Budget::for_commands(now.mono),
            rng,
            turn: 0,
            rests: None,
            findings: VecDeque::new(),
            overloads: VecDeque::new(),
        }
    }

    /// Takes what earlier runs have learned about each kind of device; to be called before
    /// the first [`Schedule::next`].
    pub fn remember(&mut self, now: Mono, known: impl Fn(&ProfileSpec) -> Holes) {
        for polled_device in &mut self.devices {
            let holes = known(polled_device.profile());
            polled_device.know(now, &holes);
        }
    }

    /// Sets how many requests may be under way at once, of different devices; at least one,
    /// which is the default.
    pub fn window(&mut self, most: usize) {
        self.most_out = most.max(1);
    }

    /// Returns what to do now.
    pub fn next(&mut self, now: Mono) -> NextAction {
        // Where one device is absent, others may be too, and devices that are present wait.
        let is_quick = self
            .devices
            .iter()
            .any(|s| s.is_stranger() && s.misses() > 0);
        let missing = self.devices.iter().filter(|s| s.misses() > 0).count();
        let many_miss = missing >= DEVICES_AT_ONCE;
        let may_probe = self.probes.allows(now);
        let late = self.devices.iter().filter_map(|s| s.late_within(now)).max();
        for polled_device in &mut self.devices {
            polled_device.reckons_with(late);
            polled_device.at(now, is_quick, many_miss, may_probe);
        }
        self.keep_time(now);
        if self.out.len() >= self.most_out {
            return NextAction::NotBefore(
                now + UNTIL_A_REPLY,
                "as many replies are awaited as may be",
            );
        }
        self.late_reply = self.late_reply.filter(|until| *until > now);
        if let Some(until) = self.late_reply {
            return NextAction::NotBefore(until, "a late reply is let pass");
        }
        loop {
            self.advance_commands(now);
            if let Some(request) = self.next_command(now) {
                return NextAction::Run(request);
            }
            // A command whose request was refused may want something else.
            if self.runs.is_empty() || !self.commands.has_ends() {
                break;
            }
        }
        let attempt = self.next_attempt(now);
        let ready = attempt.filter(|a| a.at <= now);
        match (self.most_urgent(now), ready) {
            (Some(poll), attempt) if attempt.is_none_or(|a| !a.goes_before(&poll)) => {
                let request = self.devices[poll.polled_device].poll_request(
                    poll.slot,
                    now,
                    self.probes.allows(now),
                );
                self.run(poll.polled_device, request, None, poll.ahead)
            }
            (poll, Some(attempt)) => {
                let polled_device = &self.devices[attempt.polled_device];
                let request = match attempt.what {
                    AttemptKind::Device(how) => polled_device.try_request(how, now),
                    AttemptKind::Request(slot) => polled_device.poll_request(slot, now, may_probe),
                };
                // Before a poll that is due, every try is paid from the same budget.
                let impact = poll.map_or(attempt.impact, |_| Impact::Loss);
                self.run(attempt.polled_device, request, Some(impact), None)
            }
            (_, None) => {
                let sample = self.next_sample(now);
                if let Some((_, i)) = sample.filter(|(at, _)| *at <= now) {
                    let request = self.devices[i].sample(now);
                    let next = self.run(i, request, None, None);
                    if let NextAction::Run(request) = &next
                        && let Some(out) = self.out.get_mut(&request.device)
                    {
                        out.is_sample = true;
                    }
                    return next;
                }
                let sample = sample.map(|(at, _)| (at, "whether two devices have one address"));
                let attempt = attempt.map(|a| (a.at, "next try of what failed"));
                let poll = self.next_poll(now).map(|at| (at, "next poll"));
                let command = self.command_at(now);
                let next = poll.into_iter().chain(attempt).chain(command).chain(sample);
                self.rests = Some(now);
                match next.min_by_key(|(at, _)| *at) {
                    Some((at, why)) => NextAction::NotBefore(at, why),
                    None if self.out.is_empty() => NextAction::Idle,
                    None => NextAction::NotBefore(now + UNTIL_A_REPLY, "a reply is awaited"),
                }
            }
        }
    }

    /// Takes the end of a request; returns what the end says about the device.
    pub fn done(&mut self, now: Mono, request: &Request, outcome: &Outcome) -> LivenessEvidence {
        let out = self.out.remove(&request.device);
        let took = now.since(request.asked);
        let Some(polled_device) = self
            .devices
            .iter_mut()
            .find(|s| s.device() == request.device)
        else {
            return evidence_of(outcome);
        };
        if request.is_command() {
            let evidence = polled_device.commanded(now, request, outcome);
            self.command_done(now, request, outcome);
            return evidence;
        }
        let evidence = polled_device.done(now, request, outcome, &mut self.rng);
        self.weigh(now, request, outcome, evidence);
        let Some(polled_device) = self
            .devices
            .iter_mut()
            .find(|s| s.device() == request.device)
        else {
            return evidence;
        };
        let failed = !matches!(evidence, LivenessEvidence::Alive(_));
        let is_silence = *outcome == Outcome::Missed(MissReason::Silence);
        let late = is_silence.then(|| polled_device.may_interrupt_until(now, request));
        let unknown = is_silence
            .then(|| polled_device.may_be_late_until(request))
            .flatten();
        let late = late.flatten();
        let with_rest = took + late.map_or(Duration::ZERO, |until| until.since(now));
        if let Some(out) = out {
            if out.is_sample {
                self.samples.spend(now, took);
            }
            if let Some(purse) = out.ahead.and_then(|p| self.shares.get_mut(&p)) {
                purse.spend(now, with_rest);
            }
            match out.harm.filter(|_| failed) {
                // The line has time to spare for the rest, so the rest is not paid for.
                Some(Impact::Delay) => self.delays.spend(now, took),
                Some(Impact::Loss) => self.budget.spend(now, with_rest),
                None if failed && out.is_first_contact => self.strangers.spend(now, with_rest),
                Some(Impact::None) | None => {}
            }
        }
        if request.probe().is_some() && !request.is_whole() {
            self.probes.spend(now, with_rest);
        }
        if request.is_whole() && matches!(outcome, Outcome::Answered(_)) {
            let share = took / u32::try_from(self.most_out).unwrap_or(u32::MAX);
            polled_device.took(request, share);
        }
        self.late_reply = late.or_else(|| self.rests_for(now, request, unknown?));
        self.share_outcome(now, request, outcome);
        let Some(polled_device) = self
            .devices
            .iter_mut()
            .find(|s| s.device() == request.device)
        else {
            return evidence;
        };
        let found = polled_device.take_findings();
        let kind = Arc::clone(polled_device.profile());
        for finding in found {
            self.share(now, request.device, &kind, &finding);
            self.findings.push_back(finding);
        }
        evidence
    }

    /// Returns until when the line rests for the reply to this request, which may be late until
    /// then: as long as no poll is lost by the rest. Where other devices miss as well, it is more
    /// likely that they are dead.
    fn rests_for(&mut self, now: Mono, request: &Request, latest: Mono) -> Option<Mono> {
        let mut others = self.devices.iter().filter(|s| s.device() != request.device);
        if others.any(|s| s.misses() > 0) {
            return None;
        }
        let until = latest.min(now + self.leeway(now).spare_time());
        let polled_device = self
            .devices
            .iter_mut()
            .find(|s| s.device() == request.device)?;
        polled_device.is_waited_for(until == latest);
        (until > now).then_some(until)
    }

    /// Takes how long the unit took for this request, from the end of the request to the
    /// beginning of its reply; its requests are planned by this time.
    pub fn measured(&mut self, now: Mono, request: &Request, gap: Duration) {
        if let Some(polled_device) = self
            .devices
            .iter_mut()
            .find(|s| s.device() == request.device)
        {
            polled_device.measured(now, request, gap);
        }
    }

    /// Returns what was found out about a device, for the operator and for the next run. To
    /// be called until `None`, after each [`Schedule::done`] and each reply that was
    /// overheard.
    pub fn poll_finding(&mut self) -> Option<DeviceFinding> {
        self.findings.pop_front()
    }

    /// Shares a finding with the other devices of the kind: they need not all run into the
    /// same hole.
    fn share(
        &mut self,
        now: Mono,
        finder: DeviceId,
        kind: &Arc<ProfileSpec>,
        finding: &DeviceFinding,
    ) {
        let of_kind =
            |s: &&mut PolledDevice| s.device() != finder && Arc::ptr_eq(s.profile(), kind);
        for polled_device in self.devices.iter_mut().filter(of_kind) {
            match finding {
                DeviceFinding::Hole { hole, .. } => polled_device.learn(now, *hole, false),
                DeviceFinding::HoleGone { hole, .. } => polled_device.learn(now, *hole, true),
                DeviceFinding::PointsRefused { .. }
                | DeviceFinding::DatumRefused { .. }
                | DeviceFinding::PointsFail { .. }
                | DeviceFinding::LongRequestsFail { .. }
                | DeviceFinding::LongRequestsAnswered { .. }
                | DeviceFinding::RepliesRepeated { .. }
                | DeviceFinding::AddressShared { .. }
                | DeviceFinding::OtherMaster { .. }
                | DeviceFinding::PointsBack { .. } => {}
            }
        }
    }

    /// Takes a well-formed reply from `sender` that was not waited for. If the reply can be to
    /// a request that was given up, its device lives: the device is returned, and polled in
    /// full again.
    pub fn overheard(&mut self, now: Mono, sender: BusAddress) -> Option<DeviceId> {
        // A reply that names no sender by a standard was recognised as the reply to the last
        // question. It may be the reply of a neighbour in the same reply class.
        let last = self.devices.iter().max_by_key(|s| s.served());
        let unaddressed = last
            .filter(|s| s.has_unaddressed_replies())
            .map(|s| s.device());
        let is_it = |s: &PolledDevice| match unaddressed {
            Some(last) => s.device() == last && !s.shares_reply_class(),
            None => !s.has_unaddressed_replies(),
        };
        let mut all = self.devices.iter_mut();
        let polled_device = all.find(|s| s.address().means(sender) && is_it(s))?;
        let owed = polled_device.has_reply_outstanding();
        polled_device.passed_by(now);
        self.findings.extend(polled_device.take_findings());
        if !owed {
            return None;
        }
        self.late_reply = None;
        polled_device.was_late(now);
        let device = polled_device.device();
        self.duplicates.was_late(now, device);
        Some(device)
    }

    /// Returns whether a reply to this question of a survey could be the reply to an older request
    /// to a device of the line.
    #[must_use]
    pub fn may_be_stale(&self, question: &SurveyQuestion) -> bool {
        let Some(shape) = shape_of(question) else {
            return false;
        };
        let asked = question.address();
        let mut all = self.devices.iter();
        all.any(|device| device.address().means(asked) && device.may_be_stale(shape))
    }

    /// Notes that a question of a survey was answered, or refused, with a reply that can only be
    /// its own. A copy of it may follow.
    pub fn survey_answered(&mut self, now: Mono, question: &SurveyQuestion, is_refusal: bool) {
        let Some(shape) = shape_of(question) else {
            return;
        };
        let asked = question.address();
        for device in &mut self.devices {
            if device.address().means(asked) || asked.means(device.address()) {
                device.survey_answered(now, shape, is_refusal);
            }
        }
    }

    /// Notes that a question of a survey got no reply, for which `waited` was waited. Its reply
    /// may still come, and is not to be taken for the reply to a request of the plan.
    pub fn survey_missed(&mut self, now: Mono, question: &SurveyQuestion, waited: Duration) {
        let Some(shape) = shape_of(question) else {
            return;
        };
        let asked = question.address();
        for device in &mut self.devices {
            if device.address().means(asked) || asked.means(device.address()) {
                device.survey_missed(now, shape, waited);
            }
        }
    }

    /// Tries every device at once, as the line is open again after a loss.
    pub fn reopened(&mut self, now: Mono) {
        for polled_device in &mut self.devices {
            polled_device.retry_now(now);
        }
    }

    /// Returns how many devices on this line have something to read.
    #[must_use]
    pub fn devices(&self) -> usize {
        self.devices.len()
    }

    fn run(
        &mut self,
        polled_device: usize,
        request: Option<Request>,
        harm: Option<Impact>,
        ahead: Option<Priority>,
    ) -> NextAction {
        self.turn += 1;
        let Some(mut request) = request else {
            return NextAction::Idle;
        };
        let polled_device = &mut self.devices[polled_device];
        polled_device.serve(self.turn);
        if let Some(slot) = polled_device.slots_mut().get_mut(request.block) {
            request.since = slot.end_wait();
        }
        let out = RequestUnderWay {
            harm,
            ahead,
            is_first_contact: polled_device.is_stranger(),
            is_sample: false,
        };
        self.out.insert(request.device, out);
        NextAction::Run(request)
    }

    fn answering(&self) -> impl Iterator<Item = (usize, &PolledDevice)> {
        let all = self.devices.iter().enumerate();
        all.filter(|(_, s)| !s.is_in_doubt())
    }
}

#[cfg(test)]
mod tests;
