//! The commands of one line: one at a time for each device, the others behind it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::base::{BusCommand, BusEnd, BusWork, CommandNumber, DeviceId, Mono, RefusedReason};
use crate::field::command::run::{CommandRun, RunRequest, RunWants};
use crate::field::schedule::command::{
    BusRequest, CommandEnd, CommandId, CommandRequest, MOST_FOR_A_DEVICE, MOST_FOR_A_LINE, NotSent,
};
use crate::spec::ProfileSpec;

/// A command, and its request if one waits or is under way.
#[derive(Clone, Debug)]
struct ActiveRun {
    run: CommandRun,
    request: Option<CommandId>,
    /// Whether a request that writes was handed out.
    is_writing: bool,
}

/// The commands of a line.
#[derive(Clone, Debug, Default)]
pub(crate) struct CommandRuns {
    /// In the order in which they came.
    all: VecDeque<ActiveRun>,
    /// Commands that are about to write, not yet handed out.
    begun: VecDeque<CommandNumber>,
    ends: VecDeque<BusEnd>,
}

impl CommandRuns {
    /// Takes a command for a device of this kind, whose replies are usually waited for so long.
    pub(crate) fn take(
        &mut self,
        now: Mono,
        command: &BusCommand,
        profile: &Arc<ProfileSpec>,
        timeout: Duration,
    ) {
        let run = match CommandRun::new(now, command, profile, timeout) {
            Ok(run) => run,
            Err(end) => return self.ends.push_back(*end),
        };
        if let BusWork::Set(values) = &command.work {
            let points: Vec<u16> = values.iter().map(|(point, _)| *point).collect();
            self.overtake(command.device, &points);
        }
        let of_device = |t: &&ActiveRun| t.run.device() == command.device;
        let is_full = self.all.len() >= MOST_FOR_A_LINE
            || self.all.iter().filter(of_device).count() >= MOST_FOR_A_DEVICE;
        if is_full {
            return self.ends.push_back(run.refused(RefusedReason::TooMany));
        }
        self.all.push_back(ActiveRun {
            run,
            request: None,
            is_writing: false,
        });
    }

    /// Ends a command before anything of it is done.
    pub(crate) fn refuse(&mut self, command: &BusCommand, why: RefusedReason) {
        self.ends.push_back(BusEnd::refused(command, why));
    }

    /// Takes these points from the commands that wait: the newest command for a point wins.
    fn overtake(&mut self, device: DeviceId, points: &[u16]) {
        for taken in &mut self.all {
            let run = &mut taken.run;
            let is_of_device = run.device() == device;
            if is_of_device && !run.is_begun() && taken.request.is_none() {
                run.overtaken(points);
            }
        }
        let ends = &mut self.ends;
        self.all.retain(|taken| {
            let is_gone = taken.run.is_overtaken();
            if is_gone {
                ends.push_back(taken.run.clone().into_end());
            }
            !is_gone
        });
    }

    /// Returns the requests that are to wait for their turn now; each is answered with
    /// [`CommandRuns::queued`] or [`CommandRuns::not_queued`]. Ends the commands that want
    /// nothing any more.
    pub(crate) fn wanted(&mut self, now: Mono) -> Vec<(usize, BusRequest)> {
        let mut wanted = Vec::new();
        let mut seen: Vec<DeviceId> = Vec::new();
        let mut index = 0;
        while let Some(taken) = self.all.get_mut(index) {
            let device = taken.run.device();
            let is_head = !seen.contains(&device);
            if !is_head || taken.request.is_some() {
                // A command that waits for its device has no time left either.
                if !is_head && !taken.run.has_time(now) {
                    self.end(index, Some(RefusedReason::TooLate));
                    continue;
                }
                seen.push(device);
                index += 1;
                continue;
            }
            match taken.run.next(now) {
                RunWants::Ask(asked) => {
                    let (request, goes_on) = match asked {
                        RunRequest::Read(block) => (CommandRequest::Read(block), false),
                        RunRequest::Write { write, goes_on } => {
                            (CommandRequest::Write(write), goes_on)
                        }
                    };
                    let command = BusRequest {
                        device,
                        request,
                        reply_timeout: taken.run.reply_timeout(),
                        until: taken.run.until().before(taken.run.reply_timeout()),
                        goes_on,
                    };
                    wanted.push((index, command));
                    seen.push(device);
                    index += 1;
                }
                RunWants::Wait(_) | RunWants::Reply => {
                    seen.push(device);
                    index += 1;
                }
                RunWants::Nothing => self.end(index, None),
            }
        }
        wanted
    }

    /// Takes note that the request of this command waits under this id.
    pub(crate) fn queued(&mut self, index: usize, id: CommandId) {
        if let Some(taken) = self.all.get_mut(index) {
            taken.run.is_queued();
            taken.request = Some(id);
        }
    }

    /// Takes note that the request of this command cannot be sent.
    pub(crate) fn not_queued(&mut self, index: usize, why: NotSent) {
        if let Some(taken) = self.all.get_mut(index) {
            taken.run.on_end(CommandEnd::NotSent(why));
        }
    }

    /// Takes note that this request, which writes, is sent next.
    pub(crate) fn writes(&mut self, id: CommandId) {
        let taken = self.all.iter_mut().find(|t| t.request == Some(id));
        if let Some(taken) = taken.filter(|taken| !taken.is_writing) {
            taken.is_writing = true;
            self.begun.push_back(taken.run.number());
        }
    }

    /// Returns a command that is about to write for the first time.
    pub(crate) fn poll_begun(&mut self) -> Option<CommandNumber> {
        self.begun.pop_front()
    }

    /// Takes the end of a request; returns whether it was a command's.
    pub(crate) fn on_end(&mut self, id: CommandId, end: CommandEnd) -> bool {
        let Some(taken) = self.all.iter_mut().find(|t| t.request == Some(id)) else {
            return false;
        };
        taken.request = None;
        taken.run.on_end(end);
        true
    }

    /// Ends all commands: the line was lost. To be called after the ends of their requests.
    pub(crate) fn lost(&mut self) {
        while !self.all.is_empty() {
            self.end(0, Some(RefusedReason::PortDown));
        }
    }

    fn end(&mut self, index: usize, why: Option<RefusedReason>) {
        if let Some(taken) = self.all.remove(index) {
            self.ends.push_back(match why {
                Some(why) => taken.run.refused(why),
                None => taken.run.into_end(),
            });
        }
    }

    /// Returns the end of a command.
    pub(crate) fn poll_end(&mut self) -> Option<BusEnd> {
        self.ends.pop_front()
    }

    /// Returns when there is something to do, and why.
    pub(crate) fn wake_at(&self) -> Option<(Mono, &'static str)> {
        let waits = self.all.iter().filter_map(|t| t.run.waits_until());
        let waits = waits.map(|at| (at, "a command reads its values back"));
        // The others wait for a reply or for their turn, which have limits of their own.
        let behind = |t: &&ActiveRun| t.request.is_none() && t.run.waits_until().is_none();
        let limits = self.all.iter().filter(behind).map(|t| {
            let last = t.run.until().before(t.run.reply_timeout());
            last + Duration::from_micros(1)
        });
        let limits = limits.map(|at| (at, "a command has no time left"));
        waits.chain(limits).min_by_key(|(at, _)| *at)
    }

    /// Returns whether there are commands.
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty() && self.ends.is_empty()
    }
}
