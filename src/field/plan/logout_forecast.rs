//! How long it takes until silent devices are logged out, from the configuration
//! alone.
//!
//! A device counts as silent after `missed` tries in a row and `quiet` without an answer. Its
//! first miss is a poll, at the latest one interval after its last answer. The tries that
//! follow stand apart. Those of several devices take turns on the line, each for as long as a
//! prompt unit is waited for ([`crate::field::polled_device::timeout`]):
//!
//! ```text
//! one = max(quiet, interval + apart + max(1 s, missed × timeout × 1.3))
//! all = max(one, interval + sum of missed × timeout × 1.3 / at a time)
//! ```
//!
//! At a time is one try, or one less than the number of requests that may be in flight: one
//! is left to answering devices. Where tries wait ever longer, each counts with its own
//! wait. Not reckoned with are the extra costs of replies of [`Protocol::Raw`] that name no
//! sender, and a line that is asked for more than it can carry, whose intervals are longer
//! than configured.

use std::fmt;
use std::time::Duration;

use crate::base::{DeviceId, Mono};
use crate::spec::{DeviceSpec, PortSpec, Protocol, Spec};

use super::cost::Cost;
use super::forecast::LineForecast;
use crate::field::polled_device::timeout::Timeout;
use crate::field::polled_device::{RETRY_CEILING, RETRY_FLOOR};

/// How long together polls may keep the tries of one device from the line.
const KEPT_WAITING: Duration = Duration::from_secs(1);

/// What tries take, in thousandths of their waits: there are requests, silences, and polls of
/// answering devices between them.
const TAKES_PERMILLE: u32 = 1300;

/// How often a unit has answered before it falls silent, so that what it needs is known.
const ANSWERS: u32 = 50;

/// Above this many configured tries, each further try counts as the last.
const TRIES: u32 = 1000;

/// How soon silent devices of one line are logged out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutForecast {
    /// How many devices there are.
    pub devices: usize,
    /// Within which time the slowest device that falls silent alone is logged out.
    pub one: Duration,
    /// Within which time all devices are logged out, if they die at once.
    pub all: Duration,
    /// How many requests may be in flight on the line, if it stands them.
    pub in_flight: usize,
    /// The least and the most misses that a device counts as silent after …
    pub missed: [u32; 2],
    /// … and the shortest and the longest time.
    pub quiet: [Duration; 2],
}

/// How long it takes to find out that one device is dead.
struct Tries {
    missed: u32,
    quiet: Duration,
    interval: Duration,
    /// The waits of the tries, together.
    waits: Duration,
    apart: Duration,
}

impl Tries {
    fn one(&self) -> Duration {
        let takes = self.waits.saturating_mul(TAKES_PERMILLE) / 1000;
        let tried = self.apart.saturating_add(takes.max(KEPT_WAITING));
        self.quiet.max(self.interval.saturating_add(tried))
    }
}

impl LogoutForecast {
    /// Returns the forecast of this line; `None` if no device on it is asked for anything.
    #[must_use]
    pub fn of(spec: &Spec, line: &LineForecast) -> Option<LogoutForecast> {
        let port = spec.port(line.port)?;
        let in_flight = port.line.most_in_flight();
        let all = spec.devices_on(line.port);
        let tries: Vec<Tries> = all.filter_map(|(id, d)| tries(port, line, id, d)).collect();
        let missed = tries.iter().map(|t| t.missed);
        let quiet = tries.iter().map(|t| t.quiet);
        let mut log_out = LogoutForecast {
            devices: tries.len(),
            one: Duration::ZERO,
            all: Duration::ZERO,
            in_flight,
            missed: [missed.clone().min()?, missed.max()?],
            quiet: [quiet.clone().min()?, quiet.max()?],
        };
        let (mut interval, mut waits) = (Duration::ZERO, Duration::ZERO);
        for tries in &tries {
            log_out.one = log_out.one.max(tries.one());
            interval = interval.max(tries.interval);
            waits = waits.saturating_add(tries.waits);
        }
        let at_a_time = u32::try_from(in_flight.saturating_sub(1).max(1)).unwrap_or(u32::MAX);
        let takes = waits.saturating_mul(TAKES_PERMILLE) / 1000 / at_a_time;
        log_out.all = log_out.one.max(interval.saturating_add(takes));
        Some(log_out)
    }
}

fn tries(port: &PortSpec, line: &LineForecast, id: DeviceId, device: &DeviceSpec) -> Option<Tries> {
    let requests = line.requests.iter().filter(|r| r.devices.contains(&id));
    let interval = requests.clone().map(|r| r.interval).min()?;
    let reply = requests.map(|r| r.reply).max()?;
    let most = device.response_timeout.unwrap_or(port.response_timeout);
    let mut timeout = Timeout::new(&port.line, most, Mono::START);
    match device.profile.protocol {
        Protocol::Raw(_) => timeout = timeout.for_unaddressed_replies(),
        Protocol::Modbus | Protocol::Dlt645(_) => {}
    }
    let gap = Cost::of(&port.line, device).gap();
    for _ in 0..ANSWERS {
        timeout.measured(Mono::START, gap);
    }
    let missed = device.liveness.missed;
    let waits = (0..missed.min(TRIES)).map(|n| timeout.after(n, reply, false));
    let waits = waits.fold(Duration::ZERO, Duration::saturating_add);
    let apart = (1..missed.min(TRIES)).map(|n| {
        let doubled = RETRY_FLOOR.saturating_mul(1 << (n - 1).min(16));
        doubled.min(RETRY_CEILING)
    });
    Some(Tries {
        missed,
        quiet: device.liveness.quiet,
        interval,
        waits,
        apart: apart.fold(Duration::ZERO, Duration::saturating_add),
    })
}

/// `1 device that falls silent is logged out within 12.5 s, all 31 that fall silent at once within
/// 22.1 s (liveness: missed 3, quiet 10s)`.
impl fmt::Display for LogoutForecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |d: Duration| d.as_millis().div_ceil(100) as f64 / 10.0;
        write!(
            f,
            "1 device that falls silent is logged out within {:.1} s",
            seconds(self.one)
        )?;
        if self.devices > 1 {
            let (n, all) = (self.devices, seconds(self.all));
            write!(f, ", all {n} that fall silent at once within {all:.1} s")?;
        }
        if self.devices > 1 && self.in_flight > 1 {
            write!(f, " with {} requests in flight", self.in_flight)?;
        }
        let ([fewest, most], [shortest, longest]) = (self.missed, self.quiet);
        write!(f, " (liveness: missed {fewest}")?;
        if most > fewest {
            write!(f, " to {most}")?;
        }
        write!(f, ", quiet {shortest:?}")?;
        if longest > shortest {
            write!(f, " to {longest:?}")?;
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::field::plan::forecast::forecast;
    use crate::field::plan::holes::Holes;
    use crate::field::test_spec::{installation, number, point, profile, serial, tcp};
    use crate::spec::raw::{RawQuestion, ReplyEnd, ReplyMarks, Template};
    use crate::spec::{LineSpec, Number, PointAddress, ProfileSpec, QuestionIndex, Reads, Table};

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// Returns a device with one register every 10 s.
    fn test_meter() -> ProfileSpec {
        let number = number(Number::U16);
        profile(vec![point(Table::HoldingRegister, 0, number, 10_000)])
    }

    /// Returns a line of this many devices of a kind; silent after ten seconds.
    fn line(port: PortSpec, kind: &ProfileSpec, n: usize) -> Spec {
        let mut spec = installation(port, vec![kind.clone(); n]);
        for device in &mut spec.devices {
            device.liveness.quiet = ms(10_000);
        }
        spec
    }

    fn of(spec: &Spec) -> Option<LogoutForecast> {
        LogoutForecast::of(spec, &forecast(spec, |_| Holes::new())[0])
    }

    fn times(spec: &Spec) -> (Duration, Duration) {
        of(spec).map(|l| (l.one, l.all)).unwrap()
    }

    #[test]
    fn prompt_units_of_a_serial_line_take_a_tenth_of_a_second_for_each_try() {
        let spec = line(serial(9600), &test_meter(), 31);
        // 10 s + 31 × 3 × 0.1 s × 1.3
        assert_eq!(times(&spec), (ms(12_500), ms(22_090)));
        let one = line(serial(9600), &test_meter(), 1);
        assert_eq!(times(&one), (ms(12_500), ms(12_500)));
    }

    #[test]
    fn requests_in_flight_share_the_time_but_for_one_that_is_kept_free() {
        let mut port = tcp();
        let at_most = |port: &mut PortSpec, n| match &mut port.line {
            LineSpec::Tcp(tcp) => tcp.connection.in_flight = n,
            LineSpec::Serial(_) => {}
        };
        // 10 s + 0.5 s + 1 s + 3 × 0.3 s × 1.3; 50 × 3 × 0.3 s × 1.3 = 58.5 s
        let one = ms(12_670);
        assert_eq!(
            times(&line(port.clone(), &test_meter(), 50)),
            (one, ms(13_900))
        );
        for n in [1, 2] {
            at_most(&mut port, Some(n));
            let spec = line(port.clone(), &test_meter(), 50);
            assert_eq!(times(&spec), (one, ms(68_500)), "{n}");
        }
        at_most(&mut port, Some(31));
        let spec = line(port, &test_meter(), 50);
        assert_eq!(times(&spec), (one, one), "no sooner than one");
    }

    #[test]
    fn slow_units_take_half_as_much_again_and_never_more_than_is_configured() {
        let slow = |delay| ProfileSpec {
            reads: Reads {
                reply_delay: Some(delay),
                ..Reads::default()
            },
            ..test_meter()
        };
        let all = |spec: &Spec| times(spec).1;
        // 1.5 × (200 ms + t3.5) and 7 bytes of the reply, of 11 bits at 9600 bit/s.
        let spec = line(serial(9600), &slow(ms(200)), 31);
        let each = all(&spec).saturating_sub(ms(10_000)) * 1000 / (31 * 3 * 1300);
        assert!((ms(310)..ms(320)).contains(&each), "{each:?}");
        let spec = line(serial(9600), &slow(ms(2000)), 31);
        assert_eq!(all(&spec), ms(10_000) + ms(500) * 31 * 3 * 13 / 10);
    }

    #[test]
    fn who_is_waited_for_ever_longer_takes_that_long() {
        let question = RawQuestion {
            name: "weight".into(),
            request: Template::parse("01 03 00 00 00 01 84 0A", None).unwrap(),
            reply: ReplyMarks {
                end: ReplyEnd::Length(7),
                fixed: Vec::new(),
                check: None,
                behind_check: 0,
                preamble: None,
            },
            carried: None,
        };
        let mut kind = ProfileSpec {
            protocol: Protocol::Raw(vec![Arc::new(question)]),
            ..test_meter()
        };
        kind.points[0].address = PointAddress::Raw(QuestionIndex(0));
        let spec = line(serial(9600), &kind, 10);
        // 100, 200 and 400 ms.
        assert_eq!(times(&spec).1, ms(10_000) + ms(700) * 10 * 13 / 10);
    }

    #[test]
    fn nobody_is_silent_sooner_than_it_is_quiet_for_long_enough() {
        let mut spec = line(serial(9600), &test_meter(), 2);
        spec.devices[1].liveness.quiet = ms(60_000);
        let found = of(&spec).unwrap();
        assert_eq!((found.one, found.all), (ms(60_000), ms(60_000)));
        assert_eq!(found.quiet, [ms(10_000), ms(60_000)]);
        let end = "quiet 10s to 60s)";
        assert!(found.to_string().ends_with(end), "{found}");
        spec.devices[1].liveness = spec.devices[0].liveness;
        spec.devices[1].liveness.missed = 8;
        // 0.5, 1, 2 and 4 times 4.5 s or less, and eight tries.
        assert!((ms(31_000)..ms(35_000)).contains(&times(&spec).0));
        let nothing = line(serial(9600), &profile(vec![]), 2);
        assert_eq!(of(&nothing), None);
    }

    #[test]
    fn it_is_said_in_one_line() {
        let said = |port, n| of(&line(port, &test_meter(), n)).unwrap().to_string();
        assert_eq!(
            said(serial(9600), 31),
            "1 device that falls silent is logged out within 12.5 s, all 31 that fall silent at once within \
             22.1 s (liveness: missed 3, quiet 10s)"
        );
        assert_eq!(
            said(tcp(), 50),
            "1 device that falls silent is logged out within 12.7 s, all 50 that fall silent at once within \
             13.9 s with 16 requests in flight (liveness: missed 3, quiet 10s)"
        );
        assert_eq!(
            said(serial(9600), 1),
            "1 device that falls silent is logged out within 12.5 s (liveness: missed 3, quiet 10s)"
        );
    }
}
