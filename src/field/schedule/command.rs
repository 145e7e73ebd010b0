//! Commands that wait for one line: what to write, and what became of it.
//!
//! They are kept in the order they came, bounded for each device and for the line,
//! and the end of each is told once. Whose turn one has, and what it takes from the
//! reads, is [`crate::field::schedule`]'s.
//!
//! A command is sent once or not at all. If no reply came, whether it was done is
//! not known, and that is said; to repeat it is for whoever gave it to decide.
//! One that has waited for [`PATIENCE`] is not sent any more: what was meant for
//! now must not be done at some other time.

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
    /// Whom.
    pub device: DeviceId,
    /// 0-based address of the first entry.
    pub start: u16,
    /// What.
    pub entries: Entries,
}

/// One command of a line, in the order they were taken.
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
    /// It was sent, and no reply came, for this reason: whether it was done is not
    /// known.
    Unanswered(Miss),
    /// It was not sent, and will not be.
    Refused(Refused),
}

/// Why a command was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no such device on this line, or it is not polled.
    NoSuchDevice,
    /// The device does not speak Modbus.
    NotModbus,
    /// No request can carry it: nothing to write, too much, or behind the last
    /// address.
    DoesNotFit,
    /// [`MOST_FOR_A_DEVICE`] wait for this device.
    DeviceFull,
    /// [`MOST_FOR_A_LINE`] wait for this line.
    LineFull,
    /// The device does not answer.
    Silent,
    /// It had waited for [`PATIENCE`].
    TooLate,
    /// The line is not open, or was lost.
    LineDown,
}

impl Refused {
    /// In words.
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
    /// It is not sent from then on.
    pub(crate) until: Mono,
}

/// The commands of one line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Commands {
    waiting: VecDeque<Waiting>,
    /// The one that was handed out.
    under_way: Option<CommandId>,
    /// Waiting to be told; each had been waiting to be sent.
    ends: VecDeque<(CommandId, End)>,
    taken: u64,
}

impl Commands {
    /// Takes one, behind all others.
    pub(crate) fn take(&mut self, now: Mono, command: Command) -> Result<CommandId, Refused> {
        let of_device = |w: &&Waiting| w.command.device == command.device;
        if self.waiting.iter().filter(of_device).count() >= MOST_FOR_A_DEVICE {
            return Err(Refused::DeviceFull);
        }
        // What has ended and is not yet told counts, so that this is bounded too.
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

    /// Those that wait.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.waiting.iter()
    }

    /// The next of each device, in the order they came.
    pub(crate) fn heads(&self) -> impl Iterator<Item = &Waiting> {
        self.waiting.iter().enumerate().filter_map(|(i, w)| {
            let mut before = self.waiting.iter().take(i);
            (!before.any(|b| b.command.device == w.command.device)).then_some(w)
        })
    }

    /// Whether one is handed out and has not ended.
    pub(crate) const fn is_under_way(&self) -> bool {
        self.under_way.is_some()
    }

    /// This one is handed out to be sent.
    pub(crate) fn send(&mut self, id: CommandId) {
        self.waiting.retain(|w| w.id != id);
        self.under_way = Some(id);
    }

    /// How the one that was handed out ended.
    pub(crate) fn ended(&mut self, end: End) {
        if let Some(id) = self.under_way.take() {
            self.ends.push_back((id, end));
        }
    }

    /// Those for which there is a reason are not sent.
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

    /// What became of one.
    pub(crate) fn poll(&mut self) -> Option<(CommandId, End)> {
        self.ends.pop_front()
    }
}
