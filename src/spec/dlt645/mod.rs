//! What a configuration says of electricity meters that speak DL/T 645: the meter ([`address`]),
//! the datum ([`item`], by name), how the datum is written ([`mod@format`]) and what it takes to
//! write to a meter ([`access`]). How it travels is decided in `field`.

use serde::Serialize;

pub mod access;
pub mod address;
pub mod format;
pub mod item;

pub use access::WriteAccess;
pub use address::MeterAddress;
pub use format::Format;
pub use item::{DataItem, Layout, Length, ValuePosition};

/// The edition of the standard that a meter speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Edition {
    /// DL/T 645-1997: identifiers of two bytes.
    Y1997,
    /// DL/T 645-2007: identifiers of four bytes.
    Y2007,
}

/// An identifier: four bytes in 2007, two in 1997. It travels last byte first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum DataIdentifier {
    /// DI1 DI0.
    Y1997(u16),
    /// DI3 DI2 DI1 DI0.
    Y2007(u32),
}

impl DataIdentifier {
    /// Returns the edition of the identifier.
    #[must_use]
    pub const fn edition(self) -> Edition {
        match self {
            DataIdentifier::Y1997(_) => Edition::Y1997,
            DataIdentifier::Y2007(_) => Edition::Y2007,
        }
    }
}

impl std::fmt::Display for DataIdentifier {
    /// Writes the identifier as the standard prints it: `00010000`, `9010`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DataIdentifier::Y1997(id) => write!(f, "{id:04X}"),
            DataIdentifier::Y2007(id) => write!(f, "{id:08X}"),
        }
    }
}
