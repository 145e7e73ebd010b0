//! One command on its way through its steps.

use std::sync::Arc;
use std::time::Duration;

use crate::base::{
    BusCommand, BusEnd, CommandNumber, DeviceId, Doubt, Mono, PointEnd, Refused, Stopped, Value,
    Verdict,
};
use crate::field::command::steps::{
    Expected, PointWrite, Step, Steps, Target, What, WriteOrRead, block_of, steps_of,
};
use crate::field::decode::point::decode;
use crate::field::modbus::Data;
use crate::field::plan::ReadBlock;
use crate::field::plan::block_address::BlockAddress;
use crate::field::schedule::command::{BusWrite, End, NotSent};
use crate::spec::{Decimal, Interlock, ProfileSpec};

/// How often a read is made that gets no reply, as long as there is time.
const READ_TRIES: u32 = 3;

/// What is known of a target.
#[derive(Clone, Debug, PartialEq)]
enum Progress {
    /// Nothing was sent.
    Waits,
    /// The request was sent, and confirmed.
    Confirmed,
    /// It has an end.
    Ended(Verdict),
}

/// What a command wants next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Wanted {
    /// This request.
    Ask(Asked),
    /// Nothing before this time.
    Wait(Mono),
    /// The reply to its request.
    Reply,
    /// Nothing any more: take its end.
    Nothing,
}

/// A request of a command.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Asked {
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
    patience: Duration,
    profile: Arc<ProfileSpec>,
    steps: Vec<Step>,
    /// How many of them are done.
    at: usize,
    targets: Vec<Target>,
    progress: Vec<Progress>,
    outputs: Vec<(String, Value)>,
    /// Where and why it failed first.
    failed: Option<Stopped>,
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
        let Steps { steps, targets } = steps_of(profile, &command.work).map_err(|points| {
            Box::new(BusEnd {
                number: command.number,
                stopped: points.is_empty().then_some(Stopped {
                    step: 1,
                    verdict: Verdict::Refused(Refused::NoSuchTarget),
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
            patience: timeout.min(command.until.since(now) / 3),
            profile: Arc::clone(profile),
            progress: vec![Progress::Waits; targets.len()],
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
    pub(crate) const fn patience(&self) -> Duration {
        self.patience
    }

    /// Returns when its sender stops waiting.
    pub(crate) const fn until(&self) -> Mono {
        self.until
    }

    /// Whether a reply to a request that is sent now comes in time, if one comes.
    pub(crate) fn has_time(&self, now: Mono) -> bool {
        now + self.patience <= self.until
    }

    /// Whether a request of it has been sent.
    pub(crate) const fn is_begun(&self) -> bool {
        self.is_begun
    }

    /// Takes note that a newer command is to write these points; to be called before anything
    /// was sent.
    pub(crate) fn overtaken(&mut self, points: &[u16]) {
        let all = self.targets.iter().zip(&mut self.progress);
        for (_, progress) in all.filter(|(t, _)| points.contains(&t.point)) {
            *progress = Progress::Ended(Verdict::Refused(Refused::Overtaken));
        }
        let progress = &self.progress;
        let is_open = |t: &usize| progress.get(*t) == Some(&Progress::Waits);
        // Entries that are written together are not taken apart: they are overtaken together.
        let gone: Vec<usize> = self
            .steps
            .iter()
            .filter_map(|step| match &step.what {
                What::Write(write) if !write.targets().iter().all(is_open) => Some(write.targets()),
                _ => None,
            })
            .flatten()
            .copied()
            .collect();
        for target in gone {
            if let Some(progress) = self.progress.get_mut(target) {
                *progress = Progress::Ended(Verdict::Refused(Refused::Overtaken));
            }
        }
    }

    /// Whether newer commands are to write all that it was to write.
    pub(crate) fn is_overtaken(&self) -> bool {
        let overtaken = Progress::Ended(Verdict::Refused(Refused::Overtaken));
        !self.progress.is_empty() && self.progress.iter().all(|p| *p == overtaken)
    }

    /// Returns until when it waits for nothing but the time, if it does.
    pub(crate) const fn waits_until(&self) -> Option<Mono> {
        self.waits_until
    }

    /// Returns what the command wants now.
    pub(crate) fn next(&mut self, now: Mono) -> Wanted {
        if self.is_asking {
            return Wanted::Reply;
        }
        loop {
            let Some(step) = self.steps.get(self.at) else {
                return Wanted::Nothing;
            };
            let failed_at = self.failed.as_ref().map(|f| f.step);
            if failed_at.is_some_and(|failed| failed != step.number) {
                return Wanted::Nothing;
            }
            match &step.what {
                What::Wait(span) => {
                    // A wait behind which nothing follows has no purpose, nor has one for a
                    // write that was not made.
                    let is_needed = self.is_begun || self.targets.is_empty();
                    let is_last = self.at + 1 >= self.steps.len();
                    let until = *self.waits_until.get_or_insert(now + *span);
                    if is_needed && !is_last && until > now {
                        if self.has_time(until) {
                            return Wanted::Wait(until);
                        }
                        self.out_of_time();
                        return Wanted::Nothing;
                    }
                    self.waits_until = None;
                    self.at += 1;
                }
                What::Write(write) if !self.has_open(write.targets()) => self.at += 1,
                What::ReadBack(_, expected)
                    if !expected.iter().any(|e| self.is_confirmed(e.target)) =>
                {
                    self.at += 1;
                }
                _ if !self.has_time(now) => {
                    self.out_of_time();
                    return Wanted::Nothing;
                }
                What::Write(write) => {
                    let old = self.old.as_deref();
                    return Wanted::Ask(match write.request(self.profile.writes, old) {
                        WriteOrRead::Read(range) => Asked::Read(ReadBlock::of_entries(range)),
                        WriteOrRead::Write(write) => Asked::Write {
                            write,
                            goes_on: old.is_some(),
                        },
                    });
                }
                What::ReadBack(block, _) => return Wanted::Ask(Asked::Read(block.clone())),
                What::Require(Interlock { point, .. }) | What::Read(point, _) => {
                    match block_of(&self.profile, *point) {
                        Some(block) => return Wanted::Ask(Asked::Read(block)),
                        None => self.fails(Verdict::Refused(Refused::NoSuchTarget)),
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
    pub(crate) fn on_end(&mut self, end: End) {
        self.is_asking = false;
        let Some(step) = self.steps.get(self.at).cloned() else {
            return;
        };
        let was_sent = !matches!(end, End::NotSent(_));
        self.is_begun |= was_sent;
        if let End::NotSent(why) = end {
            return self.not_sent(&why);
        }
        match step.what {
            What::Write(write) if self.old.is_none() => self.write_or_first_read(&write, end),
            What::Write(write) => self.written(&write, end),
            What::ReadBack(block, expected) => self.read_back(&block, &expected, end),
            What::Require(interlock) => self.required(&interlock, end),
            What::Read(point, output) => self.read(point, output, end),
            What::Wait(_) => {}
        }
    }

    fn write_or_first_read(&mut self, write: &PointWrite, end: End) {
        let is_read = matches!(
            write.request(self.profile.writes, None),
            WriteOrRead::Read(_)
        );
        match end {
            end if !is_read => self.written(write, end),
            End::Answered(Data::Registers(old)) => {
                self.old = Some(old);
                self.unanswered = 0;
            }
            End::Exception(code) => self.fails(Verdict::Refused(Refused::Exception(code))),
            _ if self.may_read_again() => {}
            // Nothing was written yet.
            _ => self.fails(Verdict::Refused(Refused::Silent)),
        }
    }

    fn written(&mut self, write: &PointWrite, end: End) {
        self.old = None;
        match end {
            End::Confirmed => {
                for target in write.targets().iter().copied() {
                    let is_unread = self.targets.get(target).is_some_and(|t| t.is_unread);
                    let written = self.targets.get(target).map(|t| t.value.clone());
                    let progress = match written.filter(|_| is_unread) {
                        Some(written) => Progress::Ended(Verdict::Confirmed { written }),
                        None => Progress::Confirmed,
                    };
                    self.set(target, progress);
                }
                self.at += 1;
            }
            End::Exception(_) | End::Declined(_) => {
                let verdict = Verdict::Refused(refusal(end).unwrap_or(Refused::Silent));
                self.end_all(write.targets(), &verdict);
                self.step_failed(verdict);
            }
            End::Answered(_) | End::Unanswered(_) | End::NotSent(_) => {
                self.end_all(write.targets(), &Verdict::Unknown(Doubt::NoReply));
                self.step_failed(Verdict::Unknown(Doubt::NoReply));
            }
        }
    }

    /// Takes note that this step failed: what was confirmed is still read back, and nothing
    /// else is done.
    fn step_failed(&mut self, verdict: Verdict) {
        for progress in &mut self.progress {
            if *progress == Progress::Waits {
                *progress = Progress::Ended(Verdict::Refused(Refused::NotReached));
            }
        }
        let step = self.number_now();
        self.failed.get_or_insert(Stopped { step, verdict });
        self.at += 1;
    }

    /// Returns the number of the present step.
    fn number_now(&self) -> usize {
        self.steps.get(self.at).map_or(1, |s| s.number)
    }

    fn read_back(&mut self, block: &ReadBlock, expected: &[Expected], end: End) {
        let data = match end {
            End::Answered(data) => data,
            End::Exception(_) | End::Declined(_) => return self.not_read_back(expected),
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
                (Some(read), _) if is_same(&read, &one.value) => Verdict::Verified { read },
                (Some(read), Some(written)) => Verdict::Different { written, read },
                _ => Verdict::Unknown(Doubt::NotReadBack),
            };
            self.set(one.target, Progress::Ended(verdict));
        }
        self.after_read_back(expected);
    }

    fn not_read_back(&mut self, expected: &[Expected]) {
        self.unanswered = 0;
        for one in expected {
            if self.is_confirmed(one.target) {
                let verdict = Verdict::Unknown(Doubt::NotReadBack);
                self.set(one.target, Progress::Ended(verdict));
            }
        }
        self.after_read_back(expected);
    }

    /// Goes on behind a read-back; a service stops where a point is not as it must be.
    fn after_read_back(&mut self, expected: &[Expected]) {
        let failed = expected
            .iter()
            .find_map(|e| match self.progress.get(e.target) {
                Some(Progress::Ended(verdict)) if !verdict.is_done() => Some(verdict.clone()),
                _ => None,
            });
        match failed {
            Some(verdict) => self.step_failed(verdict),
            None => self.at += 1,
        }
    }

    fn required(&mut self, interlock: &Interlock, end: End) {
        let value = match end {
            End::Answered(data) => block_of(&self.profile, interlock.point)
                .and_then(|block| self.decoded(interlock.point, &block.address, &data)),
            End::Exception(_) | End::Declined(_) => None,
            _ if self.may_read_again() => return,
            _ => None,
        };
        self.unanswered = 0;
        if value.as_ref().is_some_and(|v| interlock.condition.holds(v)) {
            self.at += 1;
            return;
        }
        let point = self.profile.points.get(usize::from(interlock.point));
        self.fails(Verdict::Refused(Refused::Interlock {
            point: point.map_or_else(String::new, |p| p.id.clone()),
            value,
            wanted: interlock.condition.to_string(),
        }));
    }

    fn read(&mut self, point: u16, output: String, end: End) {
        let value = match end {
            End::Answered(data) => block_of(&self.profile, point)
                .and_then(|block| self.decoded(point, &block.address, &data)),
            end @ (End::Exception(_) | End::Declined(_)) => {
                let why = refusal(end).unwrap_or(Refused::Silent);
                return self.fails(Verdict::Refused(why));
            }
            _ if self.may_read_again() => return,
            _ => return self.fails(Verdict::Refused(Refused::Silent)),
        };
        self.unanswered = 0;
        match value {
            Some(value) => {
                self.outputs.push((output, value));
                self.at += 1;
            }
            None => self.fails(Verdict::Unknown(Doubt::NotReadBack)),
        }
    }

    /// Takes note that a request was not sent, and will not be.
    fn not_sent(&mut self, why: &NotSent) {
        match why {
            NotSent::TooLate => self.out_of_time(),
            NotSent::LineDown => {
                for progress in &mut self.progress {
                    if *progress == Progress::Confirmed {
                        *progress = Progress::Ended(Verdict::Unknown(Doubt::PortGone));
                    }
                }
                self.fails(Verdict::Refused(Refused::PortDown));
            }
            NotSent::Silent => {
                self.doubt_confirmed(Doubt::NotReadBack);
                self.fails(Verdict::Refused(Refused::Silent));
            }
            NotSent::DeviceFull | NotSent::LineFull => {
                self.fails(Verdict::Refused(Refused::TooMany));
            }
            NotSent::NoSuchDevice | NotSent::DoesNotFit => {
                self.fails(Verdict::Refused(Refused::NoSuchDevice));
            }
        }
    }

    /// Ends the command, as there is no time for another request.
    fn out_of_time(&mut self) {
        self.doubt_confirmed(Doubt::NoTime);
        self.fails(Verdict::Refused(Refused::TooLate));
    }

    fn doubt_confirmed(&mut self, doubt: Doubt) {
        for progress in &mut self.progress {
            if *progress == Progress::Confirmed {
                *progress = Progress::Ended(Verdict::Unknown(doubt));
            }
        }
    }

    /// Ends the command at this step: the first of its points that was not sent gets this
    /// verdict, what stands behind it was not reached.
    fn fails(&mut self, verdict: Verdict) {
        self.doubt_confirmed(Doubt::NotReadBack);
        let number = self.number_now();
        let own = self.steps.iter().filter(|s| s.number == number);
        let own = own.filter_map(|s| match &s.what {
            What::Write(write) => Some(write.targets()),
            _ => None,
        });
        let waits = |t: &&usize| self.progress.get(**t) == Some(&Progress::Waits);
        let first = own.flatten().find(waits).copied();
        if let Some(first) = first {
            self.set(first, Progress::Ended(verdict.clone()));
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
        let is_open = |t: &usize| self.progress.get(*t) == Some(&Progress::Waits);
        targets.iter().any(is_open)
    }

    fn is_confirmed(&self, target: usize) -> bool {
        self.progress.get(target) == Some(&Progress::Confirmed)
    }

    fn set(&mut self, target: usize, to: Progress) {
        if let Some(progress) = self.progress.get_mut(target) {
            *progress = to;
        }
    }

    fn end_all(&mut self, targets: &[usize], verdict: &Verdict) {
        for target in targets {
            self.set(*target, Progress::Ended(verdict.clone()));
        }
    }

    /// Returns its end; what has none by now was not reached.
    pub(crate) fn into_end(self) -> BusEnd {
        let ends = self.targets.into_iter().zip(self.progress);
        let points = ends.map(|(target, progress)| PointEnd {
            point: target.point,
            verdict: match progress {
                Progress::Ended(verdict) => verdict,
                Progress::Confirmed => Verdict::Unknown(Doubt::NotReadBack),
                Progress::Waits => Verdict::Refused(Refused::NotReached),
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
    pub(crate) fn refused(mut self, why: Refused) -> BusEnd {
        self.doubt_confirmed(Doubt::PortGone);
        self.fails(Verdict::Refused(why));
        self.into_end()
    }
}

/// Returns what the device said against a request, if it did.
fn refusal(end: End) -> Option<Refused> {
    match end {
        End::Exception(code) => Some(Refused::Exception(code)),
        End::Declined(word) => {
            let mut why = word.to_string();
            if word.says_not_authorised() {
                why.push_str(
                    "; write_password may be another one, or the meter wants its programming key pressed first",
                );
            }
            Some(Refused::Declined {
                word: word.bits,
                why,
            })
        }
        End::Confirmed | End::Answered(_) | End::Unanswered(_) | End::NotSent(_) => None,
    }
}

/// Whether both values are the same to the platform: a whole number may come signed or not.
fn is_same(read: &Value, wanted: &Value) -> bool {
    match (Decimal::of(read), Decimal::of(wanted)) {
        (Some(a), Some(b)) => a.compare(b).is_eq(),
        _ => read == wanted,
    }
}
