//! The commands that are on their way, and the answer to each.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::Value as Json;

use super::check::{self, CommandProblem};
use super::events::CommandLogEvent;
use super::record::{CommandRecord, RecordedPoint, Records};
use crate::base::{
    BusCommand, BusEnd, BusWork, Command, CommandAction, CommandAnswer, CommandNumber,
    CommandOrigin, DeviceId, Mono, Now, PortId, Reachability, RefusedReason, UnknownReason, Value,
    Wake, WriteVerdict,
};
use crate::spec::{CommandPolicy, ProfileSpec, Spec};

/// The most commands that are on their way at once, on all ports.
const MOST: usize = 512;
/// The most commands that wait for their confirmation.
const MOST_TO_CONFIRM: usize = 64;
/// How much earlier than its sender stops waiting a command must have ended on its port: its
/// way from there and back, in this process.
const MARGIN: Duration = Duration::from_millis(100);

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// A port carries this out.
    Bus {
        /// The port of the device.
        port: PortId,
        /// The command.
        command: BusCommand,
    },
    /// The sender of a command gets its answer.
    Answer {
        /// The command.
        number: CommandNumber,
        /// Who gave it.
        origin: CommandOrigin,
        /// The answer.
        answer: CommandAnswer,
    },
    /// The operator is told.
    LogEvent(CommandLogEvent),
}

/// A command on its way.
#[derive(Clone, Debug)]
struct Pending {
    command: Command,
    device: DeviceId,
    /// The points that it is to write, with the values known before.
    points: Vec<(u16, Option<Value>)>,
    /// When its sender stops waiting.
    until: Mono,
    /// Whether a port has begun to write.
    is_begun: bool,
}

/// A command that is carried out if it comes again.
#[derive(Clone, Debug)]
struct Unconfirmed {
    device: DeviceId,
    action: CommandAction,
    until: Mono,
}

/// The engine of commands. See the room's doc for the contract.
#[derive(Clone, Debug, Default)]
pub struct Commands {
    pending: BTreeMap<CommandNumber, Pending>,
    unconfirmed: VecDeque<Unconfirmed>,
    /// When points with a pause were last written.
    written: BTreeMap<(DeviceId, u16), Mono>,
    records: Records,
    is_stopping: bool,
    out: VecDeque<Output>,
}

impl Commands {
    /// Returns an engine without commands.
    #[must_use]
    pub fn new() -> Self {
        Commands::default()
    }

    /// Takes a command. `reachability` is that of its device, and `last` returns the last value of
    /// one of its points.
    pub fn on_command(
        &mut self,
        now: Now,
        spec: &Spec,
        command: Command,
        reachability: Reachability,
        last: impl Fn(u16) -> Option<Value>,
    ) {
        let (device, bus) = match self.admit(now.mono, spec, &command, reachability) {
            Ok(admitted) => admitted,
            Err(wrong) => return self.refuse(now, &command, &wrong),
        };
        let Some(profile) = spec.device(device).map(|d| &d.profile) else {
            return;
        };
        let points = check::written(profile, &bus.work);
        for point in &points {
            if pause_of(profile, *point).is_some() {
                self.written.insert((device, *point), now.mono);
            }
        }
        let pending = Pending {
            device,
            points: points.into_iter().map(|p| (p, last(p))).collect(),
            until: now.mono + command.within,
            is_begun: false,
            command,
        };
        let port = spec.device(device).map(|d| d.port);
        self.pending.insert(bus.number, pending);
        if let Some(port) = port {
            self.out.push_back(Output::Bus { port, command: bus });
        }
    }

    /// Returns what a port is to do for a command.
    fn admit(
        &mut self,
        now: Mono,
        spec: &Spec,
        command: &Command,
        reachability: Reachability,
    ) -> Result<(DeviceId, BusCommand), CommandProblem> {
        let allowed = match (spec.commands.allow, &command.origin) {
            (CommandPolicy::On, CommandOrigin::Cloud { .. }) => true,
            (
                CommandPolicy::On | CommandPolicy::Local,
                CommandOrigin::Local { is_permitted, .. },
            ) => *is_permitted,
            (CommandPolicy::Local, CommandOrigin::Cloud { .. }) | (CommandPolicy::Off, _) => false,
        };
        if !allowed {
            return Err(CommandProblem::whole(RefusedReason::NotPermitted));
        }
        if self.is_stopping {
            return Err(CommandProblem::whole(RefusedReason::Stopping));
        }
        // The gateway itself has no points and no services.
        let device = command
            .device
            .ok_or_else(|| CommandProblem::whole(RefusedReason::NoSuchTarget))?;
        let spec_of = spec.device(device).filter(|_| spec.has(device));
        let profile = &spec_of
            .ok_or_else(|| CommandProblem::whole(RefusedReason::NoSuchDevice))?
            .profile;
        let work = check::work_of(profile, &command.action)?;
        match reachability {
            Reachability::Answering => {}
            Reachability::Silent => return Err(CommandProblem::whole(RefusedReason::Silent)),
            Reachability::PortDown => {
                return Err(CommandProblem::whole(RefusedReason::PortDown));
            }
        }
        self.is_confirmed(now, profile, device, command, &work)?;
        self.has_rested(now, profile, device, &work)?;
        if self.pending.len() >= MOST {
            return Err(CommandProblem::whole(RefusedReason::TooMany));
        }
        let until = (now + command.within).before(MARGIN);
        Ok((
            device,
            BusCommand {
                number: command.number,
                device,
                work,
                until,
            },
        ))
    }

    /// Takes the confirmation of a command that wants one, or keeps the command for it.
    fn is_confirmed(
        &mut self,
        now: Mono,
        profile: &ProfileSpec,
        device: DeviceId,
        command: &Command,
        work: &BusWork,
    ) -> Result<(), CommandProblem> {
        self.unconfirmed.retain(|u| u.until >= now);
        let points = check::written(profile, work);
        let within = points.iter().filter_map(|point| {
            let policy = profile.points.get(usize::from(*point))?.write.as_ref()?;
            policy.confirm
        });
        let Some(within) = within.min() else {
            return Ok(());
        };
        let is_same =
            |u: &Unconfirmed| u.device == device && u.action == command.action && u.until >= now;
        if let Some(at) = self.unconfirmed.iter().position(is_same) {
            self.unconfirmed.remove(at);
            return Ok(());
        }
        // Another command for the device is another intention.
        self.unconfirmed.retain(|u| u.device != device);
        if self.unconfirmed.len() >= MOST_TO_CONFIRM {
            self.unconfirmed.pop_front();
        }
        self.unconfirmed.push_back(Unconfirmed {
            device,
            action: command.action.clone(),
            until: now + within,
        });
        Err(CommandProblem::whole(RefusedReason::NotConfirmed(within)))
    }

    /// Returns whether the pause of each point is over.
    fn has_rested(
        &self,
        now: Mono,
        profile: &ProfileSpec,
        device: DeviceId,
        work: &BusWork,
    ) -> Result<(), CommandProblem> {
        let left = check::written(profile, work).into_iter().filter_map(|p| {
            let pause = pause_of(profile, p)?;
            let written = self.written.get(&(device, p))?;
            let left = pause.saturating_sub(now.since(*written));
            (!left.is_zero()).then_some(left)
        });
        match left.max() {
            Some(left) => Err(CommandProblem::whole(RefusedReason::TooSoon(left))),
            None => Ok(()),
        }
    }

    /// Takes note that a port is about to write for a command.
    pub fn on_bus_begun(&mut self, number: CommandNumber) {
        if let Some(pending) = self.pending.get_mut(&number) {
            pending.is_begun = true;
        }
    }

    /// Takes the end of a command on its port.
    pub fn on_bus_end(&mut self, now: Now, spec: &Spec, end: BusEnd) {
        let Some(pending) = self.pending.remove(&end.number) else {
            // It was answered when its time was over.
            return;
        };
        let profile = spec.device(pending.device).map(|d| &d.profile);
        let mut points = Vec::new();
        for point in end.points {
            let was_written = !matches!(point.verdict, WriteVerdict::Refused(_));
            if !was_written {
                self.written.remove(&(pending.device, point.point));
            }
            let id = profile.and_then(|p| p.points.get(usize::from(point.point)));
            let id = id.map_or_else(String::new, |p| p.id.clone());
            points.push((id, point.verdict));
        }
        let is_service = matches!(pending.command.action, CommandAction::Call { .. });
        let step = end.stopped.as_ref().map(|s| s.step).filter(|_| is_service);
        let whole = match end.stopped {
            Some(stopped) => stopped.verdict,
            None => {
                let bad = points.iter().find(|(_, v)| !v.is_done());
                let last = bad.or(points.last()).map(|(_, v)| v.clone());
                last.unwrap_or_else(|| service_done(&end.outputs))
            }
        };
        let answer = CommandAnswer {
            step,
            points,
            outputs: end.outputs,
            whole,
        };
        self.answer(now, &pending, answer);
    }

    /// Takes note that a port does not take a command.
    pub fn on_port_busy(&mut self, now: Now, number: CommandNumber) {
        if let Some(pending) = self.pending.remove(&number) {
            for (point, _) in &pending.points {
                self.written.remove(&(pending.device, *point));
            }
            self.answer(
                now,
                &pending,
                CommandAnswer::refused(RefusedReason::TooMany),
            );
        }
    }

    /// Answers the commands whose time is over. For one that its port has not begun nothing was
    /// written, and nothing will be.
    pub fn on_time(&mut self, now: Now) {
        let over = |p: &Pending| p.until <= now.mono;
        let gone: Vec<CommandNumber> = self
            .pending
            .iter()
            .filter(|(_, p)| over(p))
            .map(|(number, _)| *number)
            .collect();
        for number in gone {
            let Some(pending) = self.pending.remove(&number) else {
                continue;
            };
            let whole = match pending.is_begun {
                true => WriteVerdict::Unknown(UnknownReason::NoEnd),
                false => {
                    for (point, _) in &pending.points {
                        self.written.remove(&(pending.device, *point));
                    }
                    WriteVerdict::Refused(RefusedReason::TooLate)
                }
            };
            let points = match &pending.command.action {
                CommandAction::Set(values) => {
                    let names = values.iter().map(|(name, _)| name.clone());
                    names.map(|name| (name, whole.clone())).collect()
                }
                CommandAction::Call { .. } => Vec::new(),
            };
            let answer = CommandAnswer {
                step: None,
                points,
                outputs: Vec::new(),
                whole,
            };
            self.answer(now, &pending, answer);
        }
    }

    /// Takes no more commands.
    pub const fn stop(&mut self) {
        self.is_stopping = true;
    }

    /// Forgets what holds no longer with another installation.
    pub fn respec(&mut self, spec: &Spec, gone: impl Iterator<Item = DeviceId>) {
        self.unconfirmed.clear();
        for device in gone {
            self.records.forget(device);
        }
        self.written.retain(|(device, _), _| spec.has(*device));
    }

    /// Returns the last commands of a device, newest first.
    pub fn history(&self, device: DeviceId) -> impl Iterator<Item = &CommandRecord> {
        self.records.of(device)
    }

    /// Returns the next output.
    pub fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// Returns when to call [`Commands::on_time`].
    #[must_use]
    pub fn wake_at(&self) -> Option<Wake> {
        let first = self.pending.values().map(|p| p.until).min();
        first.map(|at| Wake::new(at, "a command has no end in time"))
    }

    fn answer(&mut self, now: Now, pending: &Pending, answer: CommandAnswer) {
        let old = |id: &str| {
            let at = answer.points.iter().position(|(name, _)| name == id)?;
            pending.points.get(at).and_then(|(_, old)| old.clone())
        };
        let points = answer.points.iter().map(|(id, verdict)| RecordedPoint {
            id: id.clone(),
            old: old(id),
            wanted: wanted(&pending.command.action, id),
            verdict: verdict.clone(),
        });
        let record = CommandRecord {
            at: now,
            origin: pending.command.origin.clone(),
            service: service(&pending.command.action),
            points: points.collect(),
            step: answer.step,
            whole: answer.whole.clone(),
        };
        self.close(Some(pending.device), record, pending.command.number, answer);
    }

    fn refuse(&mut self, now: Now, command: &Command, wrong: &CommandProblem) {
        let names = wrong.points(&command.action);
        let points: Vec<(String, WriteVerdict)> = names
            .into_iter()
            .map(|(name, why)| (name, WriteVerdict::Refused(why)))
            .collect();
        let record = CommandRecord {
            at: now,
            origin: command.origin.clone(),
            service: service(&command.action),
            points: points
                .iter()
                .map(|(id, verdict)| RecordedPoint {
                    id: id.clone(),
                    old: None,
                    wanted: wanted(&command.action, id),
                    verdict: verdict.clone(),
                })
                .collect(),
            step: None,
            whole: WriteVerdict::Refused(wrong.why().clone()),
        };
        let answer = CommandAnswer {
            step: None,
            points,
            outputs: Vec::new(),
            whole: WriteVerdict::Refused(wrong.why().clone()),
        };
        self.close(command.device, record, command.number, answer);
    }

    /// Remembers a command, tells the operator and answers its sender.
    fn close(
        &mut self,
        device: Option<DeviceId>,
        record: CommandRecord,
        number: CommandNumber,
        answer: CommandAnswer,
    ) {
        if let Some(device) = device {
            self.records.add(device, record.clone());
        }
        let origin = record.origin.clone();
        let event = CommandLogEvent { device, record };
        self.out.push_back(Output::LogEvent(event));
        self.out.push_back(Output::Answer {
            number,
            origin,
            answer,
        });
    }
}

/// Returns the verdict of a service that wrote nothing and went through: what it read last. The
/// configuration refuses a service that neither writes nor reads.
fn service_done(outputs: &[(String, Value)]) -> WriteVerdict {
    let read = outputs.last().map(|(_, value)| value.clone());
    match read {
        Some(read) => WriteVerdict::Verified { read },
        None => WriteVerdict::Refused(RefusedReason::NothingToDo),
    }
}

fn pause_of(profile: &ProfileSpec, point: u16) -> Option<Duration> {
    let policy = profile.points.get(usize::from(point))?.write.as_ref()?;
    Some(policy.least_interval).filter(|pause| !pause.is_zero())
}

fn service(action: &CommandAction) -> Option<String> {
    match action {
        CommandAction::Call { service, .. } => Some(service.clone()),
        CommandAction::Set(_) => None,
    }
}

fn wanted(action: &CommandAction, id: &str) -> Option<String> {
    match action {
        CommandAction::Set(values) => {
            let found = values.iter().find(|(name, _)| name == id);
            found.map(|(_, json)| match json {
                Json::String(text) => text.clone(),
                json => json.to_string(),
            })
        }
        CommandAction::Call { .. } => None,
    }
}
