//! How bytes become bits on a serial line.

use std::fmt;

/// The characters of a serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Characters {
    /// Bits per second.
    pub baud: u32,
    /// 7 or 8.
    pub data_bits: u8,
    /// After them.
    pub parity: Parity,
    /// After that.
    pub stop_bits: StopBits,
}

impl Characters {
    /// Bits on the wire for each: start, data, parity, stop.
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
    /// `9600 8E1`.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parity {
    /// No parity bit.
    None,
    /// Even parity, the default of the Modbus standard.
    Even,
    /// Odd parity.
    Odd,
}

/// Stop bits of a serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopBits {
    /// One.
    One,
    /// Two.
    Two,
}
