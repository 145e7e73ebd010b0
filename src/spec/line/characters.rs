//! How bytes become bits on a serial line.

use serde::Serialize;
use std::fmt;

/// The characters of a serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Characters {
    /// Bits per second.
    pub baud: u32,
    /// Data bits of a character, 7 or 8.
    pub data_bits: u8,
    /// The parity bit behind the data bits.
    pub parity: Parity,
    /// The stop bits behind the parity bit.
    pub stop_bits: StopBits,
}

impl Characters {
    /// Returns how many bits a character takes on the wire: start, data, parity, stop.
    #[must_use]
    pub fn bits(&self) -> u32 {
        let parity = u32::from(self.parity != Parity::None);
        let stop = match self.stop_bits {
            StopBits::One => 1,
            StopBits::Two => 2,
        };
        1 + u32::from(self.data_bits) + parity + stop
    }
}

impl fmt::Display for Characters {
    /// Writes the settings like `9600 8E1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parity = match self.parity {
            Parity::None => 'N',
            Parity::Even => 'E',
            Parity::Odd => 'O',
        };
        let stop = match self.stop_bits {
            StopBits::One => 1,
            StopBits::Two => 2,
        };
        write!(f, "{} {}{parity}{stop}", self.baud, self.data_bits)
    }
}

/// Parity of a serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Parity {
    /// No parity bit.
    None,
    /// Even parity, the default of the Modbus standard.
    Even,
    /// Odd parity.
    Odd,
}

/// Stop bits of a serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum StopBits {
    /// One stop bit.
    One,
    /// Two stop bits.
    Two,
}
