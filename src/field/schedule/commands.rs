//! Commands on a line that is read.
//!
//! A command goes before every read that is not on the wire yet, as long as commands have
//! taken less than three tenths of the line's time, whether or not anything was to be read
//! meanwhile: a read that falls due a moment later waits as well. A device that misses is not
//! written to: its commands wait until its silence is confirmed or over. On a serial line a command
//! also waits while the reply to an earlier write of the same function may still come: the
//! two replies could not be told apart.

use super::*;
use crate::base::{BusCommand, BusEnd, CommandNumber, MissReason, RefusedReason};
use crate::field::schedule::command::{
    BusRequest, CommandEnd, CommandId, CommandRequest, NotSent, WaitingCommand,
};

impl Schedule {
    /// Takes a command. [`Schedule::next`] hands out its requests, and [`Schedule::poll_end`]
    /// its end.
    pub fn command(&mut self, now: Mono, command: &BusCommand) {
        let device = command.device;
        let Some(polled_device) = self.devices.iter().find(|s| s.device() == device) else {
            return self.runs.refuse(command, RefusedReason::NoSuchDevice);
        };
        let (profile, timeout) = (polled_device.profile(), polled_device.longest_wait());
        self.runs.take(now, command, profile, timeout);
    }

    /// Returns what became of a command; to be called until `None`, after each
    /// [`Schedule::command`], [`Schedule::next`], [`Schedule::done`] and [`Schedule::lost`].
    pub fn poll_end(&mut self) -> Option<BusEnd> {
        self.tell_runs();
        self.runs.poll_end()
    }

    /// Returns a command that is about to write for the first time; to be called until `None`,
    /// after each [`Schedule::next`] and before its request is sent.
    pub fn poll_begun(&mut self) -> Option<CommandNumber> {
        self.runs.poll_begun()
    }

    /// Tells the commands what became of their requests.
    fn tell_runs(&mut self) {
        if self.runs.is_empty() {
            return;
        }
        while let Some((id, end)) = self.commands.poll() {
            self.runs.on_end(id, end);
        }
    }

    /// Lets the commands go on: what they want next waits for its turn from now on.
    pub(super) fn advance_commands(&mut self, now: Mono) {
        self.tell_runs();
        for (index, command) in self.runs.wanted(now) {
            match self.request(command) {
                Ok(id) => self.runs.queued(index, id),
                Err(why) => self.runs.not_queued(index, why),
            }
        }
    }

    /// Takes a request of a command.
    ///
    /// # Errors
    /// The request cannot be sent, or too many wait.
    fn request(&mut self, command: BusRequest) -> Result<CommandId, NotSent> {
        let polled_device = self
            .polled_device(command.device)
            .ok_or(NotSent::NoSuchDevice)?;
        if let CommandRequest::Write(write) = &command.request
            && polled_device.write_of(write).is_none()
        {
            return Err(NotSent::DoesNotFit);
        }
        self.commands.take(command)
    }

    /// Ends all commands, as the line was lost: no command is kept until the line is back. A
    /// command whose request was handed out and is not done was not sent. No request is under
    /// way.
    pub fn lost(&mut self) {
        self.out.clear();
        for polled_device in &mut self.devices {
            polled_device.is_served();
        }
        self.commands
            .ended_all(&CommandEnd::NotSent(NotSent::LineDown));
        self.commands.refuse(|_| Some(NotSent::LineDown));
        self.tell_runs();
        self.runs.lost();
    }

    fn polled_device(&self, device: DeviceId) -> Option<&PolledDevice> {
        self.devices.iter().find(|s| s.device() == device)
    }

    fn is_asked(&self, device: DeviceId) -> bool {
        self.polled_device(device)
            .is_some_and(PolledDevice::is_busy)
    }

    /// Returns the request of the next command.
    pub(super) fn next_command(&mut self, now: Mono) -> Option<Request> {
        let polled_devices = &self.devices;
        self.commands.refuse(|w| {
            let polled_device = polled_devices
                .iter()
                .find(|s| s.device() == w.command.device);
            match polled_device {
                Some(s) if s.is_given_up() => Some(NotSent::Silent),
                _ if w.command.until < now => Some(NotSent::TooLate),
                _ => None,
            }
        });
        let may = self.writing.allows(now);
        let ready = |w: &&WaitingCommand| {
            (may || w.command.goes_on)
                && !self.is_asked(w.command.device)
                && self.servable_at(now, w).is_some_and(|at| at <= now)
        };
        let next = self.commands.heads().find(ready)?.clone();
        self.turn += 1;
        let turn = self.turn;
        let device = next.command.device;
        let polled_device = self.devices.iter_mut().find(|s| s.device() == device)?;
        polled_device.serve(turn);
        let reply_timeout = next.command.reply_timeout;
        let request = match next.command.request {
            CommandRequest::Write(write) => {
                let request = polled_device.command(&write, reply_timeout, now)?;
                self.runs.writes(next.id);
                request
            }
            CommandRequest::Read(block) => polled_device.command_read(block, reply_timeout, now),
        };
        let out = RequestUnderWay {
            harm: None,
            ahead: None,
            is_first_contact: false,
            is_sample: false,
        };
        self.out.insert(device, out);
        self.commands.send(device, next.id);
        Some(request)
    }

    fn servable_at(&self, now: Mono, waiting: &WaitingCommand) -> Option<Mono> {
        let command = &waiting.command;
        let polled_device = self.polled_device(command.device)?;
        match &command.request {
            CommandRequest::Write(write) => polled_device.writable_at(now, write),
            CommandRequest::Read(block) => polled_device.readable_at(now, &block.address),
        }
    }

    /// Returns when there is something to do about a command.
    pub(super) fn command_at(&self, now: Mono) -> Option<(Mono, &'static str)> {
        let share = self.writing.ready_at(now);
        let share = if self.writing.allows(now) { now } else { share };
        let turns = self
            .commands
            .heads()
            .filter(|w| !self.is_asked(w.command.device))
            .filter_map(|w| {
                let from = if w.command.goes_on { now } else { share };
                Some(self.servable_at(now, w)?.max(from))
            });
        let turns = turns.map(|at| (at, "next command"));
        let limits = self.commands.waiting().map(|w| w.command.until);
        let limits = limits.map(|at| {
            (
                at + Duration::from_micros(1),
                "a command has waited too long",
            )
        });
        let runs = self.runs.wake_at();
        turns.chain(limits).chain(runs).min_by_key(|(at, _)| *at)
    }

    /// Returns what commands have taken of the line's time lately, in thousandths: their
    /// share, while they are using it up.
    pub(super) fn commanded(&self, now: Mono) -> u64 {
        if self.writing.is_full(now) { 0 } else { 300 }
    }

    /// Takes the end of a command's request.
    pub(super) fn command_done(&mut self, now: Mono, request: &Request, outcome: &Outcome) {
        let is_write = request.is_write();
        let end = match outcome {
            // A device without a standard has one kind of reply.
            Outcome::Confirmed | Outcome::Answered(_) if is_write => CommandEnd::Confirmed,
            Outcome::Answered(data) if request.trusted => CommandEnd::Answered(data.clone()),
            Outcome::Exception(code) => CommandEnd::Exception(*code),
            Outcome::Refused(word) if is_write || request.trusted => CommandEnd::Declined(*word),
            Outcome::Missed(miss) => CommandEnd::Unanswered(*miss),
            // No reply to this request reads like that, or it may be an older one's.
            Outcome::Confirmed
            | Outcome::Answered(_)
            | Outcome::Refused(_)
            | Outcome::Mismatched(_) => CommandEnd::Unanswered(MissReason::Foreign),
        };
        self.commands.ended(request.device, end);
        self.writing.spend(now, now.since(request.asked));
    }
}

#[cfg(test)]
mod tests;
