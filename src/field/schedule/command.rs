//! The requests of commands that wait for one line, and what became of each.
//!
//! Requests are kept in the order they came, bounded for each device and for the line. The
//! end of each is reported once. When a command is sent, and what it takes from the reads, is
//! decided in [`crate::field::schedule`].
//!
//! A request is sent once or not at all. If no reply came, whether a write was done is not
//! known, and the end says so; [`crate::field::command::run`] decides what follows. A request
//! whose time is over is not sent any more: what was meant for now must not be done at some
//! other time.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::base::{DeviceId, MissReason, Mono};

use crate::field::dlt645::ask::ErrorWord;
use crate::field::modbus::Data;
use crate::field::modbus::write::Entries;
use crate::field::plan::ReadBlock;
use crate::field::plan::block_address::{DatumAsked, QuestionAsked};

/// Commands that may wait for one device.
pub(crate) const MOST_FOR_A_DEVICE: usize = 16;

/// Commands that may wait for one line.
pub(crate) const MOST_FOR_A_LINE: usize = 64;

/// One request of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BusRequest {
    /// The device.
    pub(crate) device: DeviceId,
    /// What is read or written.
    pub(crate) request: CommandRequest,
    /// From when on it is not sent any more.
    pub(crate) until: Mono,
    /// The longest wait for the reply, if the device's own is not shorter.
    pub(crate) reply_timeout: Duration,
    /// Whether it follows a request of the same command with nothing in between: the share of
    /// commands does not keep it waiting.
    pub(crate) goes_on: bool,
}

/// What a request of a command reads or writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CommandRequest {
    /// Reads points, or entries of which a part is written next.
    Read(ReadBlock),
    /// Writes.
    Write(BusWrite),
}

/// What one request writes. Each protocol has a kind of write of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BusWrite {
    /// Entries of a table of a Modbus device.
    Entries {
        /// The 0-based address of the first.
        start: u16,
        /// They.
        entries: Entries,
    },
    /// A datum of a DL/T 645 meter.
    Datum {
        /// Which.
        asked: DatumAsked,
        /// The datum as it travels, without the 33H.
        data: Vec<u8>,
    },
    /// What a device without a standard is told, with the value in its place.
    Question(QuestionAsked),
}

/// The number of a request of one line, in the order they were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct CommandId(u64);

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CommandEnd {
    /// The device says that it was done.
    Confirmed,
    /// The device gave what was to be read.
    Answered(Data),
    /// The device says that it was not, with this code (Modbus Application
    /// Protocol V1.1b3 §7), or a gateway says so for it.
    Exception(u8),
    /// A meter says that it was not, for these reasons.
    Declined(ErrorWord),
    /// The request was sent, and no reply came, for this reason: whether a write was done is not
    /// known.
    Unanswered(MissReason),
    /// The request was not sent, and will not be.
    NotSent(NotSent),
}

/// Why a request was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotSent {
    /// There is no such device on this line, or it is not polled.
    NoSuchDevice,
    /// No request can carry the command: there is nothing to write, too much, the target is
    /// behind the last address, or the device's protocol or address has no such write.
    DoesNotFit,
    /// [`MOST_FOR_A_DEVICE`] wait for this device.
    DeviceFull,
    /// [`MOST_FOR_A_LINE`] wait for this line.
    LineFull,
    /// The device does not answer.
    Silent,
    /// Its time was over.
    TooLate,
    /// The line is not open, or was lost.
    LineDown,
}

/// A command that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WaitingCommand {
    pub(crate) id: CommandId,
    pub(crate) command: BusRequest,
}

/// The commands of one line.
#[derive(Clone, Debug, Default)]
pub(crate) struct WaitingCommands {
    waiting: VecDeque<WaitingCommand>,
    /// The requests that were handed out; one of a device at most.
    under_way: BTreeMap<DeviceId, CommandId>,
    /// Ends not yet handed out, each of a command that had been waiting to be sent.
    ends: VecDeque<(CommandId, CommandEnd)>,
    taken: u64,
}

impl WaitingCommands {
    /// Takes a command, behind all others.
    pub(crate) fn take(&mut self, command: BusRequest) -> Result<CommandId, NotSent> {
        let of_device = |w: &&WaitingCommand| w.command.device == command.device;
        if self.waiting.iter().filter(of_device).count() >= MOST_FOR_A_DEVICE {
            return Err(NotSent::DeviceFull);
        }
        // Commands that have ended and are not yet reported count too, so that their number
        // is bounded as well.
        if self.waiting.len() + self.ends.len() >= MOST_FOR_A_LINE {
            return Err(NotSent::LineFull);
        }
        let id = CommandId(self.taken);
        self.taken += 1;
        self.waiting.push_back(WaitingCommand { id, command });
        Ok(id)
    }

    /// Returns the commands that wait.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &WaitingCommand> {
        self.waiting.iter()
    }

    /// Returns the next command of each device, in the order they came.
    pub(crate) fn heads(&self) -> impl Iterator<Item = &WaitingCommand> {
        self.waiting.iter().enumerate().filter_map(|(i, w)| {
            let mut before = self.waiting.iter().take(i);
            (!before.any(|b| b.command.device == w.command.device)).then_some(w)
        })
    }

    /// Notes that this request of this device is handed out to be sent.
    pub(crate) fn send(&mut self, device: DeviceId, id: CommandId) {
        self.waiting.retain(|w| w.id != id);
        self.under_way.insert(device, id);
    }

    /// Notes how the request of this device ended that was handed out.
    pub(crate) fn ended(&mut self, device: DeviceId, end: CommandEnd) {
        if let Some(id) = self.under_way.remove(&device) {
            self.ends.push_back((id, end));
        }
    }

    /// Notes that all requests that were handed out ended in this way.
    pub(crate) fn ended_all(&mut self, end: &CommandEnd) {
        for id in std::mem::take(&mut self.under_way).into_values() {
            self.ends.push_back((id, end.clone()));
        }
    }

    /// Returns whether there are ends that were not taken.
    pub(crate) fn has_ends(&self) -> bool {
        !self.ends.is_empty()
    }

    /// Refuses to send the commands for which there is a reason.
    pub(crate) fn refuse(&mut self, why: impl Fn(&WaitingCommand) -> Option<NotSent>) {
        let ends = &mut self.ends;
        self.waiting.retain(|w| match why(w) {
            Some(why) => {
                ends.push_back((w.id, CommandEnd::NotSent(why)));
                false
            }
            None => true,
        });
    }

    /// Returns what became of a command.
    pub(crate) fn poll(&mut self) -> Option<(CommandId, CommandEnd)> {
        self.ends.pop_front()
    }
}
