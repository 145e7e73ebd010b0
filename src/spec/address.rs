//! Where a device is on its line and where a point is in the device, in the words of its
//! protocol.
//!
//! Each protocol has an address of its own, and no protocol borrows another's: a new protocol is
//! a variant here, and every match that has to know it stops compiling.

use std::fmt;

use super::dlt645::{MeterAddress, ValuePosition};
use crate::base::UnitId;
use serde::Serialize;

/// The address of a device on its line; unique there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum BusAddress {
    /// Of a Modbus device.
    Modbus(UnitId),
    /// Of a DL/T 645 meter.
    Dlt645(MeterAddress),
    /// Of a device whose protocol has no standard: what its requests call it stands in them. On
    /// Modbus TCP they travel under this unit id.
    Raw(Option<UnitId>),
}

impl BusAddress {
    /// Returns the unit id, if there is one.
    #[must_use]
    pub const fn unit(self) -> Option<UnitId> {
        match self {
            BusAddress::Modbus(unit) => Some(unit),
            BusAddress::Raw(unit) => unit,
            BusAddress::Dlt645(_) => None,
        }
    }

    /// Returns the address of the meter, if it is one of DL/T 645.
    #[must_use]
    pub const fn meter(self) -> Option<MeterAddress> {
        match self {
            BusAddress::Dlt645(meter) => Some(meter),
            BusAddress::Modbus(_) | BusAddress::Raw(_) => None,
        }
    }

    /// Returns whether both addresses are the same place on a line, whatever protocol is spoken
    /// there.
    #[must_use]
    pub fn is_at(self, other: BusAddress) -> bool {
        match (self, other) {
            (BusAddress::Dlt645(here), BusAddress::Dlt645(there)) => here == there,
            (BusAddress::Dlt645(_), _) | (_, BusAddress::Dlt645(_)) => false,
            (
                BusAddress::Modbus(_) | BusAddress::Raw(_),
                BusAddress::Modbus(_) | BusAddress::Raw(_),
            ) => self.unit() == other.unit(),
        }
    }

    /// Returns whether a reply from `sender` can be the reply of the device at this address, which
    /// may be a wildcard.
    #[must_use]
    pub fn means(self, sender: BusAddress) -> bool {
        match (self, sender) {
            (BusAddress::Dlt645(meter), BusAddress::Dlt645(sender)) => meter.means(sender),
            _ => self.is_at(sender),
        }
    }
}

/// Where the value of a point is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum PointAddress {
    /// In a table of a Modbus device.
    Modbus(ModbusAddress),
    /// In a datum of a DL/T 645 meter.
    Dlt645(DatumAddress),
    /// In the reply to a question of a protocol without a standard; its codec says where there.
    Raw(QuestionIndex),
}

/// An address in the tables of a Modbus device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ModbusAddress {
    /// The table.
    pub table: Table,
    /// 0-based address of the first register or bit.
    pub start: u16,
}

/// The four Modbus tables (Modbus Application Protocol V1.1b3 §4.3) and the
/// function that reads each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Table {
    /// Coils, read by function 1.
    Coil,
    /// Discrete inputs, read by function 2.
    DiscreteInput,
    /// Holding registers, read by function 3.
    HoldingRegister,
    /// Input registers, read by function 4.
    InputRegister,
}

impl Table {
    /// Returns whether the entries of the table are single bits.
    #[must_use]
    pub const fn is_bits(self) -> bool {
        matches!(self, Table::Coil | Table::DiscreteInput)
    }

    /// Returns the function code that reads the table.
    #[must_use]
    pub const fn read_function(self) -> u8 {
        match self {
            Table::Coil => 1,
            Table::DiscreteInput => 2,
            Table::HoldingRegister => 3,
            Table::InputRegister => 4,
        }
    }
}

impl fmt::Display for Table {
    /// Writes the table as configurations name it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Table::Coil => "coil",
            Table::DiscreteInput => "discrete",
            Table::HoldingRegister => "holding",
            Table::InputRegister => "input",
        })
    }
}

/// The address of a value in the data of a DL/T 645 meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DatumAddress {
    /// The datum.
    pub item: ItemIndex,
    /// Where in the reply the value stands.
    pub position: ValuePosition,
}

/// The index of an item of [`super::Protocol::Dlt645`] in its profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct ItemIndex(pub u16);

impl ItemIndex {
    /// Returns the index into the list of items.
    #[must_use]
    pub fn index(self) -> usize {
        self.0.into()
    }
}

/// The index of a question of [`super::Protocol::Raw`] in its profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct QuestionIndex(pub u16);

impl QuestionIndex {
    /// Returns the index into the list of questions.
    #[must_use]
    pub fn index(self) -> usize {
        self.0.into()
    }
}

impl PointAddress {
    /// Builds the address of an entry of a Modbus table.
    #[must_use]
    pub const fn modbus(table: Table, start: u16) -> Self {
        PointAddress::Modbus(ModbusAddress { table, start })
    }

    /// Returns the address in the tables, where the protocol is Modbus.
    #[must_use]
    pub const fn as_modbus(self) -> Option<ModbusAddress> {
        match self {
            PointAddress::Modbus(address) => Some(address),
            PointAddress::Dlt645(_) | PointAddress::Raw(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_comes_from_the_place_that_was_asked_or_that_a_wildcard_means() {
        let modbus = |n| BusAddress::Modbus(UnitId(n));
        let carried = |n| BusAddress::Raw(Some(UnitId(n)));
        let own = BusAddress::Raw(None);
        let meter = BusAddress::Dlt645(MeterAddress::parse("000000000161").unwrap());
        let any = BusAddress::Dlt645(MeterAddress::ANY);
        // A question that Modbus TCP carries goes to a unit.
        assert!(modbus(1).means(modbus(1)) && carried(1).means(modbus(1)) && own.means(own));
        assert!(!modbus(1).means(modbus(2)) && !carried(1).means(own) && !own.means(modbus(0)));
        assert!(meter.means(meter) && any.means(meter) && !meter.means(any));
        assert!(!any.means(modbus(1)) && !modbus(1).means(meter) && !own.means(meter));
        assert!(!any.is_at(meter) && meter.is_at(meter) && carried(1).is_at(modbus(1)));
    }
}
