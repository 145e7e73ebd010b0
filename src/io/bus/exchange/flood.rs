//! Bounds what may come on a line: the replies to the requests, and as much again as other
//! stations on the line can send. An endpoint that sends more is no field device, and reading
//! on would take the time of everything else.
//!
//! There is one bucket for the life of a line, counted in bytes. Each request allows for its
//! reply. Time allows for bytes that no request asked for: late replies, the talk of another
//! master behind a serial server, noise. When the bucket runs over, the line is given up.
//!
//! Time allows for bytes only when all that had come was read. Where more comes than this
//! process can read, its reading speed is no measure of what comes.

use std::fmt;
use std::time::Duration;

use crate::base::Mono;
use crate::spec::{LineSpec, SerialSpec};

/// How many bytes a second may come that no request asked for: half as much again as the
/// fastest usual serial line can carry (921,600 bit/s, ten bits a character), all of it the
/// talk of others.
const PER_SECOND: u64 = 128 * 1024;

/// How many such bytes may come at once: what a serial server has kept while the network was
/// away.
const AT_ONCE: u64 = 128 * 1024;

/// How many bytes a request allows for: the longest reply of any protocol is one of the raw
/// kind, of 1,024 bytes.
const REPLY: u64 = 2 * 1024;

/// The shortest time over which a rate is computed.
const SHORTEST: Duration = Duration::from_millis(1);

/// Counts the bytes that come on one line.
#[derive(Debug)]
pub(super) struct Inflow {
    /// How many bytes a second are allowed for.
    per_second: u64,
    /// How many bytes came so far that were not allowed for.
    over: u64,
    /// When `over` was computed.
    at: Mono,
    /// Whether the last read took all bytes that had come.
    all: bool,
    /// Since when `over` has not been zero, and how many bytes have come since.
    since: Mono,
    bytes: u64,
}

/// The error of a line on which more came than it could carry or any request asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flood {
    /// How many bytes came …
    bytes: u64,
    /// … and in what time.
    within: Duration,
}

impl Inflow {
    /// Makes the counter of a line on which nothing has come yet.
    pub(super) fn new(line: &LineSpec, now: Mono) -> Self {
        let carries = match line {
            // Twice what the line can carry at ten bits a character.
            LineSpec::Serial(SerialSpec { baud, .. }) => u64::from(*baud) / 5,
            LineSpec::Tcp(_) => 0,
        };
        Inflow {
            per_second: PER_SECOND.max(carries),
            over: 0,
            at: now,
            all: true,
            since: now,
            bytes: 0,
        }
    }

    /// Allows for the reply of a request that was sent.
    pub(super) fn asked(&mut self) {
        self.over = self.over.saturating_sub(REPLY);
    }

    /// Counts `bytes` bytes that came; `all` says that none were left unread.
    ///
    /// # Errors
    /// Too many bytes came.
    pub(super) fn came(&mut self, now: Mono, bytes: usize, all: bool) -> Result<(), Flood> {
        let bytes = bytes as u64;
        let passed = u64::try_from(now.since(self.at).as_micros()).unwrap_or(u64::MAX);
        let allowed = passed.saturating_mul(self.per_second) / 1_000_000;
        let is_time = std::mem::replace(&mut self.all, all) || all;
        if allowed >= self.over && (is_time || self.over == 0) {
            (self.over, self.at) = (0, now);
        } else if allowed > 0 && is_time {
            self.over -= allowed;
            self.at = now;
        }
        if self.over == 0 {
            (self.since, self.bytes) = (now, 0);
        }
        self.over += bytes;
        self.bytes += bytes;
        if self.over <= AT_ONCE {
            return Ok(());
        }
        Err(Flood {
            bytes: self.bytes,
            within: now.since(self.since).max(SHORTEST),
        })
    }
}

impl std::error::Error for Flood {}

impl fmt::Display for Flood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per_second = u128::from(self.bytes) * 1_000_000 / self.within.as_micros().max(1);
        write!(
            f,
            "it floods: {} KiB that no request asked for came within {:.1} s, {} KiB a second, more \
             than any device sends; the connection is cut",
            self.bytes.div_ceil(1024),
            self.within.as_secs_f64(),
            per_second.div_ceil(1024)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::test_spec::{serial, tcp};

    const MILLISECOND: Duration = Duration::from_millis(1);

    /// Returns the result when `bytes` bytes come each millisecond for `millis` milliseconds.
    fn flows(line: &LineSpec, bytes: usize, millis: u32, asks: bool) -> Result<(), Flood> {
        let mut inflow = Inflow::new(line, Mono::START);
        (0..millis).try_for_each(|ms| {
            if asks {
                inflow.asked();
            }
            inflow.came(Mono::START + MILLISECOND * ms, bytes, true)
        })
    }

    #[test]
    fn what_a_line_can_carry_is_no_flood_however_long_it_lasts() {
        // 92,160 bytes a second behind a serial server: 921,600 bit/s.
        assert_eq!(flows(&tcp().line, 93, 600_000, false), Ok(()));
        // A thousand requests a second, each with the longest reply of Modbus TCP …
        assert_eq!(flows(&tcp().line, 260, 600_000, true), Ok(()));
        // … and only bytes that no request asked for are counted.
        assert!(flows(&tcp().line, 4096, 600_000, true).is_err());
        let fast = serial(4_000_000).line;
        assert_eq!(flows(&fast, 400, 600_000, false), Ok(()));
    }

    #[test]
    fn a_flood_is_seen_within_what_may_come_at_once_and_said_in_bytes_a_second() {
        let mut inflow = Inflow::new(&tcp().line, Mono::START);
        let mut read = 0;
        let flood = loop {
            // 100 MB/s.
            let now = Mono::from_micros(read * 1_000_000 / 100_000_000);
            if let Err(flood) = inflow.came(now, 512, true) {
                break flood;
            }
            read += 512;
        };
        assert!(read <= AT_ONCE + AT_ONCE / 100, "{read}");
        assert!(flood.bytes >= AT_ONCE);
        let said = flood.to_string();
        assert!(said.starts_with("it floods: 129 KiB"), "{said}");
    }

    #[test]
    fn that_it_is_read_slowly_is_no_excuse_and_a_backlog_is_none() {
        let second = Duration::from_secs(1);
        let mut inflow = Inflow::new(&tcp().line, Mono::START);
        // A slow box takes 10 KiB a second of what comes.
        let read = (0..).take_while(|n| {
            inflow
                .came(Mono::START + second * *n, 10_240, false)
                .is_ok()
        });
        assert_eq!(read.count(), 12);
        // 90 KB came while this process was late; after that the rate is normal again.
        let mut inflow = Inflow::new(&tcp().line, Mono::START);
        for n in 0..100 {
            let now = Mono::START + second * n;
            for _ in 0..175 {
                assert_eq!(inflow.came(now, 512, false), Ok(()));
            }
            assert_eq!(inflow.came(now, 100, true), Ok(()));
        }
    }

    #[test]
    fn small_bites_do_not_slip_through_between_two_microseconds() {
        let mut inflow = Inflow::new(&tcp().line, Mono::START);
        let all: u64 = (0..)
            .take_while(|n| inflow.came(Mono::from_micros(*n), 1, true).is_ok())
            .count() as u64;
        // 1 MB/s, of which 128 KiB a second are allowed for.
        assert!((135_000..170_000).contains(&all), "{all}");
    }
}
