//! What one request asks for, in the words of its protocol.

use std::fmt;
use std::sync::Arc;

use crate::base::UnitId;
use crate::spec::dlt645::DataItem;
use crate::spec::raw::RawQuestion;
use crate::spec::{ItemIndex, QuestionIndex, Table};

use crate::field::modbus::ReadRequest;
use crate::field::modbus::write::Write;

/// What one request asks for. Each protocol has a kind of address of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockAddress {
    /// Entries of a table of a Modbus device.
    Modbus(EntryRange),
    /// A datum of a DL/T 645 meter.
    Dlt645(DatumAsked),
    /// A question of a protocol without a standard.
    Raw(QuestionAsked),
}

/// Entries of one table that stand side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryRange {
    /// The table.
    pub table: Table,
    /// 0-based address of the first entry.
    pub start: u16,
    /// How many entries.
    pub count: u16,
}

/// What a meter of DL/T 645 is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatumAsked {
    /// The data of an item.
    Item(ItemIndex, DataItem),
    /// The address of the meter, for a reply that cannot be mistaken. The time of the request is
    /// reckoned as that for this item.
    MeterAddress(DataItem),
}

/// A question of the profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuestionAsked {
    /// The index of the question in the profile.
    pub index: QuestionIndex,
    /// The question.
    pub question: Arc<RawQuestion>,
}

impl BlockAddress {
    /// Returns the entries, where the protocol is Modbus.
    #[must_use]
    pub const fn entries(&self) -> Option<EntryRange> {
        match self {
            BlockAddress::Modbus(range) => Some(*range),
            BlockAddress::Dlt645(_) | BlockAddress::Raw(_) => None,
        }
    }
}

impl EntryRange {
    /// Builds the range from its first address to the one after its last.
    pub(crate) fn of_span(table: Table, (start, end): Span) -> Self {
        EntryRange {
            table,
            start: u16::try_from(start).unwrap_or(u16::MAX),
            count: u16::try_from(end - start).unwrap_or(u16::MAX),
        }
    }

    /// Returns the entries that a request writes.
    #[must_use]
    pub fn written(write: &Write) -> Self {
        EntryRange {
            table: write.entries.table(),
            start: write.start,
            count: u16::try_from(write.entries.count()).unwrap_or(u16::MAX),
        }
    }

    /// Returns the request that reads the entries of this unit.
    #[must_use]
    pub const fn ask(&self, unit: UnitId) -> ReadRequest {
        ReadRequest {
            unit,
            table: self.table,
            start: self.start,
            count: self.count,
        }
    }

    /// Returns the first address and the one after the last.
    pub(crate) fn span(&self) -> Span {
        let start = u32::from(self.start);
        (start, start + u32::from(self.count).max(1))
    }
}

/// First address and the one after the last.
pub(crate) type Span = (u32, u32);

impl fmt::Display for BlockAddress {
    /// Names what is read: `holding register 7`, `datum 00010000`, `request weight`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BlockAddress::Modbus(range) => range.fmt(f),
            BlockAddress::Dlt645(DatumAsked::Item(_, item)) => write!(f, "datum {}", item.id),
            BlockAddress::Dlt645(DatumAsked::MeterAddress(_)) => f.write_str("meter address"),
            BlockAddress::Raw(asked) => write!(f, "request {}", asked.question.name),
        }
    }
}

impl fmt::Display for EntryRange {
    /// Names the entries: `holding register 7`, `coils 0 to 15`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.table {
            Table::Coil => "coil",
            Table::DiscreteInput => "discrete input",
            Table::HoldingRegister => "holding register",
            Table::InputRegister => "input register",
        };
        match self.count {
            0 | 1 => write!(f, "{name} {}", self.start),
            n => {
                let last = u32::from(self.start) + u32::from(n) - 1;
                write!(f, "{name}s {} to {last}", self.start)
            }
        }
    }
}
