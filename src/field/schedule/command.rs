//! Commands that wait for one line: what to write, and what became of it.
//!
//! Commands are kept in the order they came, bounded for each device and for the line. The
//! end of each is reported once. When a command is sent, and what it takes from the reads, is
//! decided in [`crate::field::schedule`].
//!
//! A command is sent once or not at all. If no reply came, whether the command was done is
//! not known, and the end says so; the sender of the command decides whether to repeat it. A
//! command that has waited for [`PATIENCE`] is not sent any more: what was meant for now must
//! not be done at some other time.

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::{DeviceId, Miss, Mono};

use crate::field::modbus::write::Entries;

/// Commands that may wait for one device.
pub const MOST_FOR_A_DEVICE: usize = 16;

/// Commands that may wait for one line.
pub const MOST_FOR_A_LINE: usize = 64;

/// The longest a command waits before it is sent.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What to write where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The device to write to.
    pub device: DeviceId,
    /// 0-based address of the first entry.
    pub start: u16,
    /// The entries to write.
    pub entries: Entries,
}

/// The number of a command of one line, in the order they were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommandId(u64);

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The device says that it was done.
    Confirmed,
    /// The device says that it was not, with this code (Modbus Application
    /// Protocol V1.1b3 §7), or a gateway says so for it.
    Exception(u8),
    /// The command was sent, and no reply came, for this reason: whether it was done is not
    /// known.
    Unanswered(Miss),
    /// The command was not sent, and will not be.
    Refused(Refused),
}

/// Why a command was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no such device on this line, or it is not polled.
    NoSuchDevice,
    /// The device does not speak Modbus.
    NotModbus,
    /// No request can carry the command: there is nothing to write, too much, or the target is
    /// behind the last address.
    DoesNotFit,
    /// [`MOST_FOR_A_DEVICE`] wait for this device.
    DeviceFull,
    /// [`MOST_FOR_A_LINE`] wait for this line.
    LineFull,
    /// The device does not answer.
    Silent,
    /// The command had waited for [`PATIENCE`].
    TooLate,
    /// The line is not open, or was lost.
    LineDown,
}

impl Refused {
    /// Returns the reason in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Refused::NoSuchDevice => "no such device is polled on this line",
            Refused::NotModbus => "the device does not speak Modbus",
            Refused::DoesNotFit => "no single request can carry it",
            Refused::DeviceFull => "too many commands wait for the device",
            Refused::LineFull => "too many commands wait for the line",
            Refused::Silent => "the device does not answer",
            Refused::TooLate => "its turn did not come in time",
            Refused::LineDown => "the line is not open",
        }
    }
}

/// A command that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) id: CommandId,
    pub(crate) command: Command,
    /// From when on the command is not sent any more.
    pub(crate) until: Mono,
}

/// The commands of one line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Commands {
    waiting: VecDeque<Waiting>,
    /// The command that was handed out.
    under_way: Option<CommandId>,
    /// Ends not yet handed out, each of a command that had been waiting to be sent.
    ends: VecDeque<(CommandId, End)>,
    taken: u64,
}

impl Commands {
    /// Takes a command, behind all others.
    pub(crate) fn take(&mut self, now: Mono, command: Command) -> Result<CommandId, Refused> {
        let of_device = |w: &&Waiting| w.command.device == command.device;
        if self.waiting.iter().filter(of_device).count() >= MOST_FOR_A_DEVICE {
            return Err(Refused::DeviceFull);
        }
        // Commands that have ended and are not yet reported count too, so that their number
        // is bounded as well.
        if self.waiting.len() + self.ends.len() >= MOST_FOR_A_LINE {
            return Err(Refused::LineFull);
        }
        let id = CommandId(self.taken);
        self.taken += 1;
        self.waiting.push_back(Waiting {
            id,
            command,
            until: now + PATIENCE,
        });
        Ok(id)
    }

    /// Returns the commands that wait.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.waiting.iter()
    }

    /// Returns the next command of each device, in the order they came.
    pub(crate) fn heads(&self) -> impl Iterator<Item = &Waiting> {
        self.waiting.iter().enumerate().filter_map(|(i, w)| {
            let mut before = self.waiting.iter().take(i);
            (!before.any(|b| b.command.device == w.command.device)).then_some(w)
        })
    }

    /// Whether a command is handed out and has not ended.
    pub(crate) const fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// Notes that this command is handed out to be sent.
    pub(crate) fn send(&mut self, id: CommandId) {
        self.waiting.retain(|w| w.id != id);
        self.under_way = Some(id);
    }

    /// Notes how the command that was handed out ended.
    pub(crate) fn ended(&mut self, end: End) {
        if let Some(id) = self.under_way.take() {
            self.ends.push_back((id, end));
        }
    }

    /// Refuses to send the commands for which there is a reason.
    pub(crate) fn refuse(&mut self, why: impl Fn(&Waiting) -> Option<Refused>) {
        let ends = &mut self.ends;
        self.waiting.retain(|w| match why(w) {
            Some(why) => {
                ends.push_back((w.id, End::Refused(why)));
                false
            }
            None => true,
        });
    }

    /// Returns what became of a command.
    pub(crate) fn poll(&mut self) -> Option<(CommandId, End)> {
        self.ends.pop_front()
    }
}
