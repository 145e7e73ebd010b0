//! How long things take on the wire, and how long it must be quiet.
//!
//! Pure arithmetic. The end of a transmission is computed, never awaited from the kernel: on
//! a tty that wait (`tcdrain`) blocks the whole thread.

use std::time::Duration;

use crate::base::Mono;
use crate::spec::{Characters, LineSpec, SerialSpec};

/// The silent interval above 19,200 bit/s, where it is fixed (Modbus over Serial Line V1.02
/// §2.5.1.1).
const FIXED_T35: Duration = Duration::from_micros(1750);

/// A pause inside a frame is its end only when it is longer than what adapters
/// and kernels put between bytes that left without a pause: USB adapters hand
/// over every 16 ms by default, and this process may be scheduled late. The
/// standard's 1.5 characters cannot be seen from here.
pub const DELIVERY_GAP: Duration = Duration::from_millis(35);

/// The same gap behind a serial server: a segment that was lost on the way comes again after
/// 200 ms at the least (Linux, `TCP_RTO_MIN`).
const TCP_GAP: Duration = Duration::from_millis(250);

/// The quiet time before a request that a serial server puts on its line at once: 3.5
/// characters at 9600 bit/s and a little, as the speed of that line need not be configured.
/// Slower lines get more if it is configured, or by `turnaround` of the device.
const SERVER_GAP: Duration = Duration::from_millis(5);

/// The timing of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    character: Duration,
    between_frames: Duration,
    delivery_gap: Duration,
}

impl Silence {
    /// Returns the timing of this kind of line; Modbus TCP needs none.
    #[must_use]
    pub fn of(line: &LineSpec) -> Self {
        match line {
            LineSpec::Serial(serial) => Silence::of_serial(serial),
            LineSpec::Tcp(tcp) => Silence {
                character: Duration::ZERO,
                between_frames: match tcp.framing {
                    None => Duration::ZERO,
                    Some(_) => tcp.behind.map_or(SERVER_GAP, |characters| {
                        let needed = Silence::of_characters(characters).between_frames;
                        needed.max(SERVER_GAP)
                    }),
                },
                delivery_gap: TCP_GAP,
            },
        }
    }

    /// Returns the timing of a serial line.
    #[must_use]
    pub fn of_serial(serial: &SerialSpec) -> Self {
        Silence::of_characters(serial.characters())
    }

    /// Returns the timing of any serial line with such characters.
    #[must_use]
    pub fn of_characters(characters: Characters) -> Self {
        let bits = u64::from(characters.bits());
        let baud = u64::from(characters.baud.max(1));
        let nanos = |bits: u64| Duration::from_nanos((bits * 1_000_000_000).div_ceil(baud));
        let between_frames = if baud > 19_200 {
            FIXED_T35
        } else {
            nanos(bits * 7).div_f64(2.0)
        };
        Silence {
            character: nanos(bits),
            between_frames,
            delivery_gap: DELIVERY_GAP,
        }
    }

    /// Returns the time of one character on the wire.
    #[must_use]
    pub const fn character(&self) -> Duration {
        self.character
    }

    /// Returns the quiet time before every request: 3.5 characters, 1.75 ms above 19,200
    /// bit/s.
    #[must_use]
    pub const fn between_frames(&self) -> Duration {
        self.between_frames
    }

    /// Returns how long this many bytes take.
    #[must_use]
    pub fn transmission(&self, bytes: usize) -> Duration {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.character.saturating_mul(bytes)
    }

    /// Returns the length of a pause that ends a frame that is being received.
    #[must_use]
    pub fn frame_end(&self) -> Duration {
        self.between_frames.max(self.delivery_gap)
    }

    /// Returns from when on the next request may be sent: the line has been quiet for 3.5
    /// characters since the last byte in either direction, and the unit has had its extra
    /// rest.
    #[must_use]
    pub fn quiet_at(&self, last_byte: Mono, turnaround: Duration) -> Mono {
        last_byte + self.between_frames + turnaround
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::test_spec;

    fn serial(baud: u32) -> Silence {
        Silence::of(&LineSpec::Serial(test_spec::serial("", baud)))
    }

    /// 11-bit characters: Modbus over Serial Line V1.02 §2.5.1.
    #[test]
    fn silence_is_three_and_a_half_characters_and_fixed_above_19200() {
        for (baud, char_us, t35_us) in [
            (1200, 9167, 32083),
            (9600, 1146, 4010),
            (19_200, 573, 2005),
            (38_400, 286, 1750),
            (115_200, 95, 1750),
        ] {
            let s = serial(baud);
            let near = |a: Duration, us: u64| a.as_micros().abs_diff(u128::from(us)) <= 1;
            assert!(near(s.character(), char_us), "{baud}: {:?}", s.character());
            assert!(
                near(s.between_frames(), t35_us),
                "{baud}: {:?}",
                s.between_frames()
            );
        }
    }

    #[test]
    fn quiet_counts_from_the_last_byte_and_adds_the_units_rest() {
        let s = serial(115_200);
        let last = Mono::from_micros(1_000);
        assert_eq!(s.quiet_at(last, Duration::ZERO), Mono::from_micros(2_750));
        assert_eq!(
            s.quiet_at(last, Duration::from_millis(10)),
            Mono::from_micros(12_750)
        );
    }
}
