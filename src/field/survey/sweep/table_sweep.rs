//! Which block of a table is asked for next.

use std::collections::VecDeque;

use super::block_lengths::BlockLengths;
use crate::base::UnitId;
use crate::field::modbus::ReadRequest;
use crate::spec::Table;

/// A sweep of one table, from its first address to its last.
#[derive(Clone, Debug)]
pub(super) struct TableSweep {
    table: Table,
    first: u32,
    /// The next address.
    at: u32,
    /// Behind the last.
    end: u32,
    /// How long the next block is to be.
    want: u32,
    suspect: Option<Suspect>,
    function: Function,
}

/// A block that was refused: an entry of it is absent, or it was too long.
#[derive(Clone, Copy, Debug)]
struct Suspect {
    /// Behind its last address.
    end: u32,
    /// Its length, if that may be why.
    length: Option<u16>,
    /// Whether its rest is asked for as a whole: its first half was granted.
    is_halved: bool,
}

/// Whether the device has the function that reads the table.
#[derive(Clone, Debug)]
enum Function {
    /// Nothing speaks against it.
    Unknown,
    /// These addresses are asked for, to see.
    Checking(VecDeque<u16>),
    /// It does.
    There,
    /// It does not.
    Absent,
}

impl TableSweep {
    pub(super) fn new(table: Table, first: u16, last: u16) -> Self {
        TableSweep {
            table,
            first: first.into(),
            at: first.into(),
            end: u32::from(last) + 1,
            want: u32::from(u16::MAX),
            suspect: None,
            function: Function::Unknown,
        }
    }

    pub(super) const fn table(&self) -> Table {
        self.table
    }

    pub(super) const fn at(&self) -> u32 {
        self.at
    }

    pub(super) const fn is_over(&self) -> bool {
        self.at >= self.end
    }

    /// Returns the next request.
    pub(super) fn ask(&self, unit: UnitId, lengths: &BlockLengths) -> ReadRequest {
        let (start, count) = match &self.function {
            Function::Checking(addresses) => {
                let address = addresses.front().copied();
                (address.map_or(self.at, u32::from), 1)
            }
            Function::Unknown | Function::There | Function::Absent => {
                (self.at, self.count(lengths))
            }
        };
        ReadRequest {
            unit,
            table: self.table,
            start: u16::try_from(start).unwrap_or(u16::MAX),
            count: u16::try_from(count).unwrap_or(1),
        }
    }

    fn count(&self, lengths: &BlockLengths) -> u32 {
        let left = self.end - self.at;
        let most = u32::from(lengths.longest()).min(left);
        let count = match self.suspect {
            None => self.want,
            Some(suspect) => {
                let rest = suspect.end - self.at;
                match suspect.is_halved {
                    true => rest,
                    false => self.half(rest),
                }
            }
        };
        count.clamp(1, most.max(1))
    }

    /// Returns the half of a block, to an even address: values of two registers are often at
    /// even ones, and some devices grant no half of them.
    const fn half(&self, rest: u32) -> u32 {
        let half = rest / 2;
        match half > 1 && !(self.at + half).is_multiple_of(2) && !self.table.is_bits() {
            true => half - 1,
            false => half,
        }
    }

    /// Notes that the next block of this length was granted.
    pub(super) fn granted(&mut self, count: u16, lengths: &mut BlockLengths) {
        self.at += u32::from(count);
        match self.suspect {
            None => self.want = u32::from(count) * 2,
            Some(suspect) if self.at >= suspect.end => {
                // No entry of the block is absent.
                if let Some(length) = suspect.length {
                    lengths.is_too_long(length);
                }
                self.suspect = None;
                self.want = u32::from(u16::MAX);
            }
            Some(suspect) => {
                let is_halved = suspect.length.is_some();
                self.suspect = Some(Suspect {
                    is_halved,
                    ..suspect
                });
            }
        }
        lengths.grant(count);
    }

    /// Notes that the next block of this length, more than one entry, was refused.
    pub(super) fn refused(&mut self, count: u16, lengths: &BlockLengths) {
        let end = self.at + u32::from(count);
        // The rest of a block that was too long by itself may be too long as well.
        let length = lengths.may_be_too_long(count).then_some(count);
        self.suspect = Some(Suspect {
            end,
            length,
            is_halved: false,
        });
    }

    /// Notes that the next entry was refused.
    pub(super) const fn refused_one(&mut self) {
        self.at += 1;
        self.suspect = None;
        self.want = 1;
    }

    /// Begins to ask here and there whether the device has the function at all; false if that is
    /// known.
    pub(super) fn check_function(&mut self) -> bool {
        if !matches!(self.function, Function::Unknown) {
            return false;
        }
        let span = self.end - 1 - self.first;
        let addresses = (0..=3).filter_map(|n| u16::try_from(self.first + span * n / 3).ok());
        self.function = Function::Checking(addresses.collect());
        true
    }

    pub(super) const fn is_checking(&self) -> bool {
        matches!(self.function, Function::Checking(_))
    }

    /// Notes whether the address that is asked for to see was refused for its function.
    pub(super) fn checked(&mut self, is_refused: bool) {
        let Function::Checking(addresses) = &mut self.function else {
            return;
        };
        addresses.pop_front();
        if !is_refused {
            self.function = Function::There;
        } else if addresses.is_empty() {
            self.function = Function::Absent;
            self.at = self.end;
        }
    }

    pub(super) const fn lacks_function(&self) -> bool {
        matches!(self.function, Function::Absent)
    }
}
