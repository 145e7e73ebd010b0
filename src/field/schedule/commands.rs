//! Commands on a line that is read.
//!
//! A command goes before every read that is not on the wire yet, as long as commands have
//! taken less than half of the line's time, whether or not anything was to be read meanwhile:
//! a read that falls due a moment later waits as well. A device that misses is not written
//! to: its commands wait until its silence is confirmed or over. On a serial line a command
//! also waits while the reply to an earlier write of the same function may still come: the
//! two replies could not be told apart.

use super::*;
use crate::base::Miss;
use crate::field::modbus::Shape;
use crate::field::modbus::write::Write;
use crate::field::schedule::command::{Command, CommandId, End, Refused, Waiting};
use crate::field::stale::reply_shape::ReplyShape;
use crate::spec::Protocol;

impl Schedule {
    /// Takes a command. [`Schedule::next`] hands it out, and [`Schedule::poll_end`] its end.
    ///
    /// # Errors
    /// The command cannot be sent, or too many wait.
    pub fn command(&mut self, now: Mono, command: Command) -> Result<CommandId, Refused> {
        let polled_device = self
            .polled_device(command.device)
            .ok_or(Refused::NoSuchDevice)?;
        match polled_device.profile().protocol {
            Protocol::Modbus => {}
            Protocol::Dlt645(_) | Protocol::Raw(_) => return Err(Refused::NotModbus),
        }
        if !command.entries.fit(command.start) {
            return Err(Refused::DoesNotFit);
        }
        self.commands.take(now, command)
    }

    /// Returns what became of a command; to be called until `None`, after each
    /// [`Schedule::next`], [`Schedule::done`] and [`Schedule::lost`].
    pub fn poll_end(&mut self) -> Option<(CommandId, End)> {
        self.commands.poll()
    }

    /// Ends all commands, as the line was lost: no command is kept until the line is back. A
    /// command whose request was handed out and is not done was not sent. No request is under
    /// way.
    pub fn lost(&mut self) {
        self.out.clear();
        for polled_device in &mut self.devices {
            polled_device.is_served();
        }
        self.commands.ended(End::Refused(Refused::LineDown));
        self.commands.refuse(|_| Some(Refused::LineDown));
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
                Some(s) if s.is_given_up() => Some(Refused::Silent),
                _ if w.until <= now => Some(Refused::TooLate),
                _ => None,
            }
        });
        if !self.writing.allows(now) || self.commands.is_under_way() {
            return None;
        }
        let ready = |w: &&Waiting| {
            !self.is_asked(w.command.device) && self.servable_at(now, w).is_some_and(|at| at <= now)
        };
        let next = self.commands.heads().find(ready)?.clone();
        self.turn += 1;
        let turn = self.turn;
        let device = next.command.device;
        let polled_device = self.devices.iter_mut().find(|s| s.device() == device)?;
        let unit = polled_device.address().unit()?;
        polled_device.serve(turn);
        let write = Write {
            unit,
            start: next.command.start,
            entries: next.command.entries,
        };
        let request = polled_device.command(write, now);
        let out = Out {
            harm: None,
            ahead: None,
            is_first_contact: false,
        };
        self.out.insert(device, out);
        self.commands.send(next.id);
        Some(request)
    }

    fn servable_at(&self, now: Mono, waiting: &Waiting) -> Option<Mono> {
        let command = &waiting.command;
        let shape = ReplyShape::Modbus(Shape {
            function: command.entries.function(),
            bytes: 0,
        });
        self.polled_device(command.device)?.writable_at(now, shape)
    }

    /// Returns when there is something to do about a command.
    pub(super) fn command_at(&self, now: Mono) -> Option<(Mono, &'static str)> {
        let turns = self
            .commands
            .heads()
            .filter(|w| !self.commands.is_under_way() && !self.is_asked(w.command.device))
            .filter_map(|w| self.servable_at(now, w));
        let share = self.writing.ready_at(now);
        let share = if self.writing.allows(now) { now } else { share };
        let turns = turns.map(|at| (at.max(share), "next command"));
        let limits = self.commands.waiting().map(|w| w.until);
        let limits = limits.map(|at| (at, "a command has waited too long"));
        turns.chain(limits).min_by_key(|(at, _)| *at)
    }

    /// Returns what commands have taken of the line's time lately, in thousandths: their
    /// share, while they are using it up.
    pub(super) fn commanded(&self, now: Mono) -> u64 {
        if self.writing.is_full(now) { 0 } else { 500 }
    }

    /// Takes the end of a command's request.
    pub(super) fn command_done(&mut self, now: Mono, request: &Request, outcome: &Outcome) {
        self.commands.ended(match outcome {
            Outcome::Confirmed => End::Confirmed,
            Outcome::Exception(code) => End::Exception(*code),
            Outcome::Missed(miss) => End::Unanswered(*miss),
            // No reply to a write reads like that.
            Outcome::Answered(_) | Outcome::Refused(_) | Outcome::Mismatched(_) => {
                End::Unanswered(Miss::Foreign)
            }
        });
        self.writing.spend(now, now.since(request.asked));
    }
}

#[cfg(test)]
mod tests;
