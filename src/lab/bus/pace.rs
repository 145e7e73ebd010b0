//! How long characters and silences last on a serial line.

use std::time::Duration;

use crate::spec::SerialSpec;

/// The speed of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Bits per second.
    pub baud: u32,
    /// Bits per character: start, data, parity, stop. 10 or 11, as a rule.
    pub bits: u32,
    /// The adapter of the master hands over received characters in groups of this many
    /// (the last group may be smaller). 1 is a bare UART.
    pub group: usize,
}

impl Pace {
    /// Returns a bare UART with 11-bit characters, as the standard wants them (Modbus
    /// over Serial Line V1.02 §2.5.1).
    #[must_use]
    pub const fn standard(baud: u32) -> Self {
        Pace {
            baud,
            bits: 11,
            group: 1,
        }
    }

    /// Returns how long `n` characters take, rounded up to microseconds.
    #[must_use]
    pub fn characters(self, n: usize) -> Duration {
        let bits = n as u64 * u64::from(self.bits) * 1_000_000;
        Duration::from_micros(bits.div_ceil(u64::from(self.baud.max(1))))
    }

    /// Returns the silence that ends a frame: 3.5 characters, above 19200 baud 1.75 ms
    /// (§2.5.1.1).
    #[must_use]
    pub fn silence(self) -> Duration {
        if self.baud > 19_200 {
            Duration::from_micros(1750)
        } else {
            let bits = 7 * u64::from(self.bits) * 1_000_000;
            Duration::from_micros(bits.div_ceil(2 * u64::from(self.baud.max(1))))
        }
    }
}

impl From<&SerialSpec> for Pace {
    fn from(spec: &SerialSpec) -> Self {
        Pace {
            baud: spec.baud,
            bits: spec.bits_per_character(),
            group: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_and_silences_last_as_long_as_the_standard_says() {
        // Baud, microseconds per character, microseconds of silence.
        for (baud, character, silence) in [
            (9600, 1146, 4011),
            (19_200, 573, 2006),
            (38_400, 287, 1750),
            (57_600, 191, 1750),
            (115_200, 96, 1750),
        ] {
            let pace = Pace::standard(baud);
            assert_eq!(pace.characters(1), Duration::from_micros(character));
            assert_eq!(pace.silence(), Duration::from_micros(silence));
        }
    }
}
