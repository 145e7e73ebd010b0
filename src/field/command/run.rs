//! One command on its way through its steps.

use std::sync::Arc;
use std::time::Duration;

use crate::base::{
    BusCommand, BusEnd, CommandNumber, DeviceId, Mono, PointEnd, RefusedReason, ServiceStop,
    UnknownReason, Value, WriteVerdict,
};
use crate::field::command::steps::{
    CommandStep, CommandSteps, Expected, PointWrite, StepAction, WriteRequest, WriteTarget,
    block_of, steps_of,
};
use crate::field::decode::point::decode;
use crate::field::modbus::Data;
use crate::field::plan::ReadBlock;
use crate::field::plan::block_address::BlockAddress;
use crate::field::schedule::command::{BusWrite, CommandEnd, NotSent};
use crate::spec::{Decimal, Interlock, ProfileSpec};

/// How often a read is made that gets no reply, as long as there is time.
const READ_TRIES: u32 = 3;

/// What is known of a target.
#[derive(Clone, Debug, PartialEq)]
enum TargetProgress {
    /// Nothing was sent.
    Waits,
    /// The request was sent, and confirmed.
    Confirmed,
    /// It has an end.
    Ended(WriteVerdict),
}

/// What a command wants next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RunWants {
    /// This request.
    Ask(RunRequest),
    /// Nothing before this time.
    Wait(Mono),
    /// The reply to its request.
    Reply,
    /// Nothing any more: take its end.
    Nothing,
}

/// A request of a command.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RunRequest {
    /// Reads a block of points, or registers of which a part is written next.
    Read(ReadBlock),
    /// Writes.
    Write {
        /// What.
        write: BusWrite,
        /// Whether the registers were read for this just now.
        goes_on: bool,
    },
}

/// One command.
#[derive(Clone, Debug)]
pub(crate) struct CommandRun {
    number: CommandNumber,
    device: DeviceId,
    /// When its sender stops waiting.
    until: Mono,
    /// How long a reply is waited for at most.
    reply_timeout: Duration,
    profile: Arc<ProfileSpec>,
    steps: Vec<CommandStep>,
    /// How many of them are done.
    at: usize,
    targets: Vec<WriteTarget>,
    progress: Vec<TargetProgress>,
    outputs: Vec<(String, Value)>,
    /// Where and why it failed first.
    failed: Option<ServiceStop>,
    /// Until when a step waits.
    waits_until: Option<Mono>,
    /// The registers that were read for a write.
    old: Option<Vec<u16>>,
    /// How often the present read got no reply.
    unanswered: u32,
    is_asking: bool,
    /// Whether a request of it has been sent.
    is_begun: bool,
}

impl CommandRun {
    /// Puts a command in order; `timeout` is how long a reply of the device is waited for
    /// usually.
    ///
    /// # Errors
    /// Its end, if nothing of it can be sent.
    pub(crate) fn new(
        now: Mono,
        command: &BusCommand,
        profile: &Arc<ProfileSpec>,
        timeout: Duration,
    ) -> Result<Self, Box<BusEnd>> {
        let CommandSteps { steps, targets } =
            steps_of(profile, &command.work).map_err(|points| {
                Box::new(BusEnd {
                    number: command.number,
                    stopped: points.is_empty().then_some(ServiceStop {
                        step: 1,
                        verdict: WriteVerdict::Refused(RefusedReason::NoSuchTarget),
                    }),
                    points,
                    outputs: Vec::new(),
                })
            })?;
        Ok(CommandRun {
            number: command.number,
            device: command.device,
            until: command.until,
            // A write, a reply to it and a read must have room in the time there is.
            reply_timeout: timeout.min(command.until.since(now) / 3),
            profile: Arc::clone(profile),
            progress: vec![TargetProgress::Waits; targets.len()],
            steps,
            at: 0,
            targets,
            outputs: Vec::new(),
            failed: None,
            waits_until: None,
            old: None,
            unanswered: 0,
            is_asking: false,
            is_begun: false,
        })
    }

    pub(crate) const fn number(&self) -> CommandNumber {
        self.number
    }

    pub(crate) const fn device(&self) -> DeviceId {
        self.device
    }

    /// Returns how long a reply is waited for at most.
    pub(crate) const fn reply_timeout(&self) -> Duration {
        self.reply_timeout
    }

    /// Returns when its sender stops waiting.
    pub(crate) const fn until(&self) -> Mono {
        self.until
    }

    /// Returns whether a reply to a request that is sent now comes in time, if one comes.
    pub(crate) fn has_time(&self, now: Mono) -> bool {
        now + self.reply_timeout <= self.until
    }

    /// Returns whether a request of it has been sent.
    pub(crate) const fn is_begun(&self) -> bool {
        self.is_begun
    }

    /// Takes note that a newer command is to write these points; to be called before anything
    /// was sent.
    pub(crate) fn overtaken(&mut self, points: &[u16]) {
        let all = self.targets.iter().zip(&mut self.progress);
        for (_, progress) in all.filter(|(t, _)| points.contains(&t.point)) {
            *progress = TargetProgress::Ended(WriteVerdict::Refused(RefusedReason::Overtaken));
        }
        let progress = &self.progress;
        let is_open = |t: &usize| progress.get(*t) == Some(&TargetProgress::Waits);
        // Entries that are written together are not taken apart: they are overtaken together.
        let gone: Vec<usize> = self
            .steps
            .iter()
            .filter_map(|step| match &step.what {
                StepAction::Write(write) if !write.targets().iter().all(is_open) => {
                    Some(write.targets())
                }
                _ => None,
            })
            .flatten()
            .copied()
            .collect();
        for target in gone {
            if let Some(progress) = self.progress.get_mut(target) {
                *progress = TargetProgress::Ended(WriteVerdict::Refused(RefusedReason::Overtaken));
            }
        }
    }

    /// Returns whether newer commands are to write all that it was to write.
    pub(crate) fn is_overtaken(&self) -> bool {
        let overtaken = TargetProgress::Ended(WriteVerdict::Refused(RefusedReason::Overtaken));
        !self.progress.is_empty() && self.progress.iter().all(|p| *p == overtaken)
    }

    /// Returns until when it waits for nothing but the time, if it does.
    pub(crate) const fn waits_until(&self) -> Option<Mono> {
        self.waits_until
    }

    /// Returns what the command wants now.
    pub(crate) fn next(&mut self, now: Mono) -> RunWants {
        if self.is_asking {
            return RunWants::Reply;
        }
        loop {
            let Some(step) = self.steps.get(self.at) else {
                return RunWants::Nothing;
            };
            let failed_at = self.failed.as_ref().map(|f| f.step);
            if failed_at.is_some_and(|failed| failed != step.number) {
                return RunWants::Nothing;
            }
            match &step.what {
                StepAction::Wait(span) => {
                    // A wait behind which nothing follows has no purpose, nor has one for a
                    // write that was not made.
                    let is_needed = self.is_begun || self.targets.is_empty();
                    let is_last = self.at + 1 >= self.steps.len();
                    let until = *self.waits_until.get_or_insert(now + *span);
                    if is_needed && !is_last && until > now {
                        if self.has_time(until) {
                            return RunWants::Wait(until);
                        }
                        self.out_of_time();
                        return RunWants::Nothing;
                    }
                    self.waits_until = None;
                    self.at += 1;
                }
                StepAction::Write(write) if !self.has_open(write.targets()) => self.at += 1,
                StepAction::ReadBack(_, expected)
                    if !expected.iter().any(|e| self.is_confirmed(e.target)) =>
                {
                    self.at += 1;
                }
                _ if !self.has_time(now) => {
                    self.out_of_time();
                    return RunWants::Nothing;
                }
                StepAction::Write(write) => {
                    let old = self.old.as_deref();
                    return RunWants::Ask(match write.request(self.profile.writes, old) {
                        WriteRequest::Read(range) => RunRequest::Read(ReadBlock::of_entries(range)),
                        WriteRequest::Write(write) => RunRequest::Write {
                            write,
                            goes_on: old.is_some(),
                        },
                    });
                }
                StepAction::ReadBack(block, _) => {
                    return RunWants::Ask(RunRequest::Read(block.clone()));
                }
                StepAction::Require(Interlock { point, .. }) | StepAction::Read(point, _) => {
                    match block_of(&self.profile, *point) {
                        Some(block) => return RunWants::Ask(RunRequest::Read(block)),
                        None => self.fails(WriteVerdict::Refused(RefusedReason::NoSuchTarget)),
                    }
                }
            }
        }
    }

    /// Takes note that the request it wanted waits for its turn.
    pub(crate) const fn is_queued(&mut self) {
        self.is_asking = true;
    }

    /// Takes the end of its request.
    pub(crate) fn on_end(&mut self, end: CommandEnd) {
        self.is_asking = false;
        let Some(step) = self.steps.get(self.at).cloned() else {
            return;
        };
        let was_sent = !matches!(end, CommandEnd::NotSent(_));
        self.is_begun |= was_sent;
        if let CommandEnd::NotSent(why) = end {
            return self.not_sent(&why);
        }
        match step.what {
            StepAction::Write(write) if self.old.is_none() => self.write_or_first_read(&write, end),
            StepAction::Write(write) => self.written(&write, end),
            StepAction::ReadBack(block, expected) => self.read_back(&block, &expected, end),
            StepAction::Require(interlock) => self.required(&interlock, end),
            StepAction::Read(point, output) => self.read(point, output, end),
            StepAction::Wait(_) => {}
        }
    }

    fn write_or_first_read(&mut self, write: &PointWrite, end: CommandEnd) {
        let is_read = matches!(
            write.request(self.profile.writes, None),
            WriteRequest::Read(_)
        );
        match end {
            end if !is_read => self.written(write, end),
            CommandEnd::Answered(Data::Registers(old)) => {
                self.old = Some(old);
                self.unanswered = 0;
            }
            CommandEnd::Exception(code) => {
                self.fails(WriteVerdict::Refused(RefusedReason::Exception(code)))
            }
            _ if self.may_read_again() => {}
            // Nothing was written yet.
            _ => self.fails(WriteVerdict::Refused(RefusedReason::Silent)),
        }
    }

    fn written(&mut self, write: &PointWrite, end: CommandEnd) {
        self.old = None;
        match end {
            CommandEnd::Confirmed => {
                for target in write.targets().iter().copied() {
                    let is_unread = self.targets.get(target).is_some_and(|t| t.is_unread);
                    let written = self.targets.get(target).map(|t| t.value.clone());
                    let progress = match written.filter(|_| is_unread) {
                        Some(written) => TargetProgress::Ended(WriteVerdict::Confirmed { written }),
                        None => TargetProgress::Confirmed,
                    };
                    self.set(target, progress);
                }
                self.at += 1;
            }
            CommandEnd::Exception(_) | CommandEnd::Declined(_) => {
                let verdict = WriteVerdict::Refused(refusal(end).unwrap_or(RefusedReason::Silent));
                self.end_all(write.targets(), &verdict);
                self.step_failed(verdict);
            }
            CommandEnd::Answered(_) | CommandEnd::Unanswered(_) | CommandEnd::NotSent(_) => {
                self.end_all(
                    write.targets(),
                    &WriteVerdict::Unknown(UnknownReason::NoReply),
                );
                self.step_failed(WriteVerdict::Unknown(UnknownReason::NoReply));
            }
        }
    }

    /// Takes note that this step failed: what was confirmed is still read back, and nothing
    /// else is done.
    fn step_failed(&mut self, verdict: WriteVerdict) {
        for progress in &mut self.progress {
            if *progress == TargetProgress::Waits {
                *progress = TargetProgress::Ended(WriteVerdict::Refused(RefusedReason::NotReached));
            }
        }
        let step = self.number_now();
        self.failed.get_or_insert(ServiceStop { step, verdict });
        self.at += 1;
    }

    /// Returns the number of the present step.
    fn number_now(&self) -> usize {
        self.steps.get(self.at).map_or(1, |s| s.number)
    }

    fn read_back(&mut self, block: &ReadBlock, expected: &[Expected], end: CommandEnd) {
        let data = match end {
            CommandEnd::Answered(data) => data,
            CommandEnd::Exception(_) | CommandEnd::Declined(_) => {
                return self.not_read_back(expected);
            }
            _ if self.may_read_again() => return,
            _ => return self.not_read_back(expected),
        };
        self.unanswered = 0;
        for one in expected {
            if !self.is_confirmed(one.target) {
                continue;
            }
            let written = self.targets.get(one.target).map(|t| t.value.clone());
            let verdict = match (self.decoded(one.point, &block.address, &data), written) {
                (Some(read), _) if is_same(&read, &one.value) => WriteVerdict::Verified { read },
                (Some(read), Some(written)) => WriteVerdict::Different { written, read },
                _ => WriteVerdict::Unknown(UnknownReason::NotReadBack),
            };
            self.set(one.target, TargetProgress::Ended(verdict));
        }
        self.after_read_back(expected);
    }

    fn not_read_back(&mut self, expected: &[Expected]) {
        self.unanswered = 0;
        for one in expected {
            if self.is_confirmed(one.target) {
                let verdict = WriteVerdict::Unknown(UnknownReason::NotReadBack);
                self.set(one.target, TargetProgress::Ended(verdict));
            }
        }
        self.after_read_back(expected);
    }

    /// Goes on behind a read-back; a service stops where a point is not as it must be.
    fn after_read_back(&mut self, expected: &[Expected]) {
        let failed = expected
            .iter()
            .find_map(|e| match self.progress.get(e.target) {
                Some(TargetProgress::Ended(verdict)) if !verdict.is_done() => Some(verdict.clone()),
                _ => None,
            });
        match failed {
            Some(verdict) => self.step_failed(verdict),
            None => self.at += 1,
        }
    }

    fn required(&mut self, interlock: &Interlock, end: CommandEnd) {
        let value = match end {
            CommandEnd::Answered(data) => block_of(&self.profile, interlock.point)
                .and_then(|block| self.decoded(interlock.point, &block.address, &data)),
            CommandEnd::Exception(_) | CommandEnd::Declined(_) => None,
            _ if self.may_read_again() => return,
            _ => None,
        };
        self.unanswered = 0;
        if value.as_ref().is_some_and(|v| interlock.condition.holds(v)) {
            self.at += 1;
            return;
        }
        let point = self.profile.points.get(usize::from(interlock.point));
        self.fails(WriteVerdict::Refused(RefusedReason::Interlock {
            point: point.map_or_else(String::new, |p| p.id.clone()),
            value,
            wanted: interlock.condition.to_string(),
        }));
    }

    fn read(&mut self, point: u16, output: String, end: CommandEnd) {
        let value = match end {
            CommandEnd::Answered(data) => block_of(&self.profile, point)
                .and_then(|block| self.decoded(point, &block.address, &data)),
            end @ (CommandEnd::Exception(_) | CommandEnd::Declined(_)) => {
                let why = refusal(end).unwrap_or(RefusedReason::Silent);
                return self.fails(WriteVerdict::Refused(why));
            }
            _ if self.may_read_again() => return,
            _ => return self.fails(WriteVerdict::Refused(RefusedReason::Silent)),
        };
        self.unanswered = 0;
        match value {
            Some(value) => {
                self.outputs.push((output, value));
                self.at += 1;
            }
            None => self.fails(WriteVerdict::Unknown(UnknownReason::NotReadBack)),
        }
    }

    /// Takes note that a request was not sent, and will not be.
    fn not_sent(&mut self, why: &NotSent) {
        match why {
            NotSent::TooLate => self.out_of_time(),
            NotSent::LineDown => {
                for progress in &mut self.progress {
                    if *progress == TargetProgress::Confirmed {
                        *progress =
                            TargetProgress::Ended(WriteVerdict::Unknown(UnknownReason::PortGone));
                    }
                }
                self.fails(WriteVerdict::Refused(RefusedReason::PortDown));
            }
            NotSent::Silent => {
                self.doubt_confirmed(UnknownReason::NotReadBack);
                self.fails(WriteVerdict::Refused(RefusedReason::Silent));
            }
            NotSent::DeviceFull | NotSent::LineFull => {
                self.fails(WriteVerdict::Refused(RefusedReason::TooMany));
            }
            NotSent::NoSuchDevice | NotSent::DoesNotFit => {
                self.fails(WriteVerdict::Refused(RefusedReason::NoSuchDevice));
            }
        }
    }

    /// Ends the command, as there is no time for another request.
    fn out_of_time(&mut self) {
        self.doubt_confirmed(UnknownReason::NoTime);
        self.fails(WriteVerdict::Refused(RefusedReason::TooLate));
    }

    fn doubt_confirmed(&mut self, doubt: UnknownReason) {
        for progress in &mut self.progress {
            if *progress == TargetProgress::Confirmed {
                *progress = TargetProgress::Ended(WriteVerdict::Unknown(doubt));
            }
        }
    }

    /// Ends the command at this step: the first of its points that was not sent gets this
    /// verdict, what stands behind it was not reached.
    fn fails(&mut self, verdict: WriteVerdict) {
        self.doubt_confirmed(UnknownReason::NotReadBack);
        let number = self.number_now();
        let own = self.steps.iter().filter(|s| s.number == number);
        let own = own.filter_map(|s| match &s.what {
            StepAction::Write(write) => Some(write.targets()),
            _ => None,
        });
        let waits = |t: &&usize| self.progress.get(**t) == Some(&TargetProgress::Waits);
        let first = own.flatten().find(waits).copied();
        if let Some(first) = first {
            self.set(first, TargetProgress::Ended(verdict.clone()));
        }
        self.old = None;
        self.step_failed(verdict);
        self.at = self.steps.len();
    }

    fn may_read_again(&mut self) -> bool {
        self.unanswered += 1;
        self.unanswered < READ_TRIES
    }

    fn decoded(&self, point: u16, asked: &BlockAddress, data: &Data) -> Option<Value> {
        let spec = self.profile.points.get(usize::from(point))?;
        decode(spec, asked, data).ok()
    }

    fn has_open(&self, targets: &[usize]) -> bool {
        let is_open = |t: &usize| self.progress.get(*t) == Some(&TargetProgress::Waits);
        targets.iter().any(is_open)
    }

    fn is_confirmed(&self, target: usize) -> bool {
        self.progress.get(target) == Some(&TargetProgress::Confirmed)
    }

    fn set(&mut self, target: usize, to: TargetProgress) {
        if let Some(progress) = self.progress.get_mut(target) {
            *progress = to;
        }
    }

    fn end_all(&mut self, targets: &[usize], verdict: &WriteVerdict) {
        for target in targets {
            self.set(*target, TargetProgress::Ended(verdict.clone()));
        }
    }

    /// Returns its end; what has none by now was not reached.
    pub(crate) fn into_end(self) -> BusEnd {
        let ends = self.targets.into_iter().zip(self.progress);
        let points = ends.map(|(target, progress)| PointEnd {
            point: target.point,
            verdict: match progress {
                TargetProgress::Ended(verdict) => verdict,
                TargetProgress::Confirmed => WriteVerdict::Unknown(UnknownReason::NotReadBack),
                TargetProgress::Waits => WriteVerdict::Refused(RefusedReason::NotReached),
            },
        });
        BusEnd {
            number: self.number,
            points: points.collect(),
            outputs: self.outputs,
            stopped: self.failed,
        }
    }

    /// Returns the end of a command that waits, for this reason.
    pub(crate) fn refused(mut self, why: RefusedReason) -> BusEnd {
        self.doubt_confirmed(UnknownReason::PortGone);
        self.fails(WriteVerdict::Refused(why));
        self.into_end()
    }
}

/// Returns what the device said against a request, if it did.
fn refusal(end: CommandEnd) -> Option<RefusedReason> {
    match end {
        CommandEnd::Exception(code) => Some(RefusedReason::Exception(code)),
        CommandEnd::Declined(word) => {
            let mut why = word.to_string();
            if word.says_not_authorised() {
                why.push_str(
                    "; write_password may be another one, or the meter wants its programming key pressed first",
                );
            }
            Some(RefusedReason::Declined {
                word: word.bits,
                why,
            })
        }
        CommandEnd::Confirmed
        | CommandEnd::Answered(_)
        | CommandEnd::Unanswered(_)
        | CommandEnd::NotSent(_) => None,
    }
}

/// Returns whether both values are the same to the platform: a whole number may come signed or not.
fn is_same(read: &Value, wanted: &Value) -> bool {
    match (Decimal::of(read), Decimal::of(wanted)) {
        (Some(a), Some(b)) => a.compare(b).is_eq(),
        _ => read == wanted,
    }
}
