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
    /// Reads settings as they are written, `9600 8E1`; also with `-`, `/`, `,` or nothing else
    /// between the parts, and without them: eight data bits, no parity, one stop bit. The speed
    /// is 1 to 4,000,000. `None` if it is something else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Characters> {
        let is_between = |c: char| matches!(c, ' ' | '-' | '/' | ',');
        let (baud, frame) = match text.trim().split_once(is_between) {
            Some((baud, frame)) => (baud, frame.replace(is_between, "")),
            None => (text.trim(), "8N1".to_owned()),
        };
        let baud = baud
            .parse()
            .ok()
            .filter(|baud| (1..=4_000_000).contains(baud))?;
        let [bits, parity, stop] = <[u8; 3]>::try_from(frame.as_bytes()).ok()?;
        Some(Characters {
            baud,
            data_bits: match bits {
                b'7' => 7,
                b'8' => 8,
                _ => return None,
            },
            parity: match parity.to_ascii_uppercase() {
                b'N' => Parity::None,
                b'E' => Parity::Even,
                b'O' => Parity::Odd,
                _ => return None,
            },
            stop_bits: match stop {
                b'1' => StopBits::One,
                b'2' => StopBits::Two,
                _ => return None,
            },
        })
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_they_are_written() {
        for text in ["9600 8N1", "19200 8E1", "2400 7O2", "115200 8N2"] {
            assert_eq!(Characters::parse(text).unwrap().to_string(), text);
        }
        for (text, written) in [
            ("9600", "9600 8N1"),
            ("9600-8e1", "9600 8E1"),
            ("2400,8,E,1", "2400 8E1"),
        ] {
            assert_eq!(Characters::parse(text).unwrap().to_string(), written);
        }
        for wrong in [
            "", "fast", "0 8N1", "9600 9N1", "9600 8X1", "9600 8N3", "9600 8N", "8N1",
        ] {
            assert_eq!(Characters::parse(wrong), None, "{wrong}");
        }
    }
}
