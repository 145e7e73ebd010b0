//! What the field side reports to the operator: ports that open and close, lines that are
//! asked for too much, and what is found out about devices. The troubles of devices are
//! counted in `diagnostics/trouble.rs`.

use std::time::Duration;

use crate::base::text::{counted, since_reported, times};
use crate::base::{
    DeviceId, EventKind, JournalField, Level, LogEvent, LogSubject, PortId, RequestFailure,
};
use crate::spec::Priority;

use super::trouble::{Trouble, meaning};
use crate::field::dlt645::ask::ErrorWord;
use crate::field::modbus::in_flight::InFlightFault;
use crate::field::plan::block_address::EntryRange;
use crate::field::plan::forecast::{millis, percent};
use crate::field::plan::holes::Hole;

/// A log event of the field side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldLogEvent {
    /// The port is open.
    PortOpened {
        /// The port.
        port: PortId,
        /// How many attempts had failed since it was last open.
        failed: u32,
    },
    /// The port cannot be opened, or is lost as soon as it is open; reported at the first
    /// failure and then rarely.
    PortUnavailable {
        /// The port.
        port: PortId,
        /// What was to be opened: a path, or a host and port.
        what: String,
        /// Whether the port did open, and was lost before it was of any use.
        opened: bool,
        /// The system's words.
        why: String,
        /// Attempts that failed so far, this one included.
        failed: u32,
        /// The time until the next attempt.
        next: Duration,
    },
    /// A TCP endpoint does not stand several requests in flight.
    OneAtATime {
        /// The port.
        port: PortId,
        /// What the endpoint did wrongly.
        fault: InFlightFault,
    },
    /// An open port was lost, or given up as of no further use; it is opened anew.
    PortLost {
        /// The port.
        port: PortId,
        /// The reason, in the system's words or in ours.
        why: String,
        /// How often since the last report.
        times: u64,
    },
    /// The port does not have the settings it was given.
    SettingsDiffer {
        /// The port.
        port: PortId,
        /// The settings that were asked for and those that the port says it has.
        what: String,
    },
    /// The adapter keeps received bytes for a while before it passes them on, and
    /// this service may not change that.
    BytesHeldBack {
        /// The port.
        port: PortId,
        /// For how long the adapter keeps them.
        wait: Duration,
    },
    /// What is sent comes back, and the port is not configured so.
    EchoHeard {
        /// The port.
        port: PortId,
    },
    /// What is sent does not come back, and the port is configured so.
    EchoMissed {
        /// The port.
        port: PortId,
        /// How often since the last report.
        times: u64,
    },
    /// The line does not keep up: all requests of a priority are made less often.
    IntervalsStretched {
        /// The port.
        port: PortId,
        /// The priority of the requests.
        priority: Priority,
        /// How many times longer than configured, in thousandths.
        factor: u64,
        /// What the devices ask of the line's time, in thousandths, as far as known.
        load: u64,
        /// The request that takes most of the line's time.
        heaviest: Option<HeaviestRequest>,
    },
    /// The line keeps up again.
    IntervalsKept {
        /// The port.
        port: PortId,
        /// The priority of the requests.
        priority: Priority,
    },
    /// Replies under one address are spoilt again and again, or come twice with different values,
    /// and no others do; reported once an hour for each address as long as this goes on.
    AddressShared {
        /// The device that is configured at the address.
        device: DeviceId,
        /// The address, in words.
        place: String,
    },
    /// Replies of a device come twice; reported once.
    RepliesRepeated {
        /// The device.
        device: DeviceId,
    },
    /// A device sends replies again and again that were not waited for here; reported once an
    /// hour as long as this goes on.
    OtherMaster {
        /// The device.
        device: DeviceId,
    },
    /// The floats of a device are implausible throughout; reported when that begins.
    FloatsImplausible {
        /// The device.
        device: DeviceId,
        /// The ids of the points, as configured.
        points: String,
        /// Some of the points with what was seen.
        seen: String,
        /// The order in which they are read, in the letters of manuals.
        order: &'static str,
        /// The order in which all of them would be plausible, if there is one, and some of the
        /// points with what they would be.
        other: Option<(&'static str, String)>,
    },
    /// The floats of a device are plausible again.
    FloatsPlausible {
        /// The device.
        device: DeviceId,
    },
    /// A device cannot be read across these addresses.
    HoleFound {
        /// The device.
        device: DeviceId,
        /// The addresses.
        hole: Hole,
    },
    /// Points of a device are refused even when they are asked for alone.
    PointsRefused {
        /// The device.
        device: DeviceId,
        /// Their ids, as configured.
        points: String,
        /// What was asked for, in words.
        what: String,
        /// The exception's code.
        code: u8,
    },
    /// A meter of DL/T 645 does not have what these points are read from.
    DatumRefused {
        /// The device.
        device: DeviceId,
        /// Their ids, as configured.
        points: String,
        /// What the meter said.
        word: ErrorWord,
    },
    /// The request for points, and nothing else, fails again and again while the device
    /// answers others.
    PointsFail {
        /// The device.
        device: DeviceId,
        /// Their ids, as configured.
        points: String,
        /// What is asked for.
        what: String,
        /// How the request fails.
        how: RequestFailure,
        /// The code of the refusal, if the failure is a refusal.
        code: Option<u8>,
    },
    /// A device does not answer long requests, and answers their parts.
    LongRequestsFail {
        /// The device.
        device: DeviceId,
        /// The request that the device does not answer.
        what: String,
        /// How many entries that request has.
        count: u16,
        /// The most registers that are asked for together from now on.
        most: u16,
    },
    /// A device answers long requests again.
    LongRequestsAnswered {
        /// The device.
        device: DeviceId,
    },
    /// Points that were refused are read again.
    PointsBack {
        /// The device.
        device: DeviceId,
        /// Their ids, as configured.
        points: String,
    },
    /// A device has this trouble.
    DeviceTrouble {
        /// The device.
        device: DeviceId,
        /// What is wrong.
        trouble: Trouble,
        /// How often since the last report.
        times: u64,
        /// A detail of the latest occurrence.
        detail: String,
    },
}

impl FieldLogEvent {
    /// Returns whether the event says how things stand from now on, or takes back an event that
    /// said so: for those who ask later what is wrong. Events that are counted anyway are not
    /// among them.
    #[must_use]
    pub const fn is_lasting(&self) -> bool {
        match self {
            FieldLogEvent::PortOpened { .. }
            | FieldLogEvent::SettingsDiffer { .. }
            | FieldLogEvent::BytesHeldBack { .. }
            | FieldLogEvent::IntervalsStretched { .. }
            | FieldLogEvent::IntervalsKept { .. }
            | FieldLogEvent::AddressShared { .. }
            | FieldLogEvent::OtherMaster { .. }
            | FieldLogEvent::PointsRefused { .. }
            | FieldLogEvent::DatumRefused { .. }
            | FieldLogEvent::PointsFail { .. }
            | FieldLogEvent::PointsBack { .. } => true,
            FieldLogEvent::PortUnavailable { .. }
            | FieldLogEvent::OneAtATime { .. }
            | FieldLogEvent::PortLost { .. }
            | FieldLogEvent::EchoHeard { .. }
            | FieldLogEvent::EchoMissed { .. }
            | FieldLogEvent::RepliesRepeated { .. }
            | FieldLogEvent::FloatsImplausible { .. }
            | FieldLogEvent::FloatsPlausible { .. }
            | FieldLogEvent::HoleFound { .. }
            | FieldLogEvent::LongRequestsFail { .. }
            | FieldLogEvent::LongRequestsAnswered { .. }
            | FieldLogEvent::DeviceTrouble { .. } => false,
        }
    }
}

/// Returns all addresses of a hole.
fn addresses(hole: &Hole) -> String {
    EntryRange {
        table: hole.table,
        start: hole.first,
        count: (hole.last - hole.first.min(hole.last)).saturating_add(1),
    }
    .to_string()
}

/// The request that takes most of a line's time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaviestRequest {
    /// The name of the device that is asked.
    pub device: String,
    /// What is read.
    pub what: String,
    /// How long the request takes.
    pub takes: Duration,
    /// How often the request is configured to be made.
    pub every: Duration,
}

fn stretched(
    factor: u64,
    load: u64,
    priority: Priority,
    heaviest: Option<&HeaviestRequest>,
) -> String {
    let load = match load {
        0..=1000 => String::new(),
        load => format!(": its devices need {} of its time", percent(load)),
    };
    let most = heaviest.map(|h| {
        let HeaviestRequest { device, what, .. } = h;
        let (takes, every) = (millis(h.takes), h.every);
        format!("; the largest request is {what} of {device}, {takes} every {every:?}")
    });
    let much = match factor {
        0..1100 => "a little".to_owned(),
        factor => format!("{}.{} times", factor / 1000, factor % 1000 / 100),
    };
    format!(
        "does not keep up{load}; all points of priority {} are read {much} less often than \
         configured{}: use longer intervals, fewer points, a higher baud rate or a second line \
         (alink-gateway plan shows how long each request takes)",
        priority.word(),
        most.unwrap_or_default()
    )
}

/// Says what is wrong with a request that fails by itself, and what to do.
fn points_fail(points: &str, what: &str, how: RequestFailure, code: Option<u8>) -> String {
    let (seen, remedy) = match how {
        RequestFailure::Silence => (
            format!("does not answer a request for {what}, and answers others"),
            "it may not have them, or not as many together (max_registers): correct table, address \
             and type in the profile, or take the point out",
        ),
        RequestFailure::Garbled => (
            format!("its reply to a request for {what} is spoilt each time, others are not"),
            "the device is faulty there, or sends more than was requested: ask its manufacturer, or \
             take the point out",
        ),
        RequestFailure::Mismatched => (
            format!("answers a request for {what} with another function, length or datum"),
            "correct table, address and type in the profile, or take the point out",
        ),
        RequestFailure::RefusedOtherFunction => {
            let code = code.unwrap_or_default();
            (
                format!(
                    "refuses a request for {what} with exception {code} ({}) to another function",
                    meaning(code)
                ),
                "it may not have this table: correct table and address in the profile, or take the \
                 point out",
            )
        }
        RequestFailure::Refused => {
            let code = code.unwrap_or_default();
            (
                format!("refuses {what} with {code} ({})", meaning(code)),
                "correct the profile, or take the point out",
            )
        }
        RequestFailure::Foreign => (
            format!("other devices' frames come in reply to a request for {what}, not to others"),
            "look for a second master, or for two devices with one address",
        ),
        RequestFailure::Gateway => (
            format!("a gateway on the way gets no reply to a request for {what}, and gets others"),
            "it may not have them: correct table and address in the profile, or take the point out",
        ),
        RequestFailure::ConnectionLost => (
            format!("the connection is lost at each request for {what}"),
            "correct table, address and type in the profile, or take the point out",
        ),
    };
    format!(
        "{seen}: {points} has no value, all other points are read, this request is tried ever more \
         rarely; {remedy}"
    )
}

impl LogEvent for FieldLogEvent {
    fn level(&self) -> Level {
        match self {
            FieldLogEvent::PortOpened { .. }
            | FieldLogEvent::HoleFound { .. }
            | FieldLogEvent::PointsBack { .. }
            | FieldLogEvent::FloatsPlausible { .. }
            | FieldLogEvent::LongRequestsAnswered { .. }
            | FieldLogEvent::RepliesRepeated { .. }
            | FieldLogEvent::OneAtATime { .. }
            | FieldLogEvent::IntervalsKept { .. } => Level::Info,
            FieldLogEvent::PortUnavailable { .. }
            | FieldLogEvent::PortLost { .. }
            | FieldLogEvent::SettingsDiffer { .. }
            | FieldLogEvent::BytesHeldBack { .. }
            | FieldLogEvent::EchoHeard { .. }
            | FieldLogEvent::EchoMissed { .. }
            | FieldLogEvent::IntervalsStretched { .. }
            | FieldLogEvent::AddressShared { .. }
            | FieldLogEvent::OtherMaster { .. }
            | FieldLogEvent::PointsRefused { .. }
            | FieldLogEvent::DatumRefused { .. }
            | FieldLogEvent::PointsFail { .. }
            | FieldLogEvent::LongRequestsFail { .. }
            | FieldLogEvent::FloatsImplausible { .. }
            | FieldLogEvent::DeviceTrouble { .. } => Level::Warn,
        }
    }

    fn kind(&self) -> EventKind {
        match self {
            FieldLogEvent::PortOpened { .. } => EventKind::PortOpened,
            FieldLogEvent::PortUnavailable { .. } => EventKind::PortUnavailable,
            FieldLogEvent::PortLost { .. } => EventKind::PortLost,
            FieldLogEvent::OneAtATime { .. } => EventKind::PortOneAtATime,
            FieldLogEvent::SettingsDiffer { .. } => EventKind::PortSettingsDiffer,
            FieldLogEvent::BytesHeldBack { .. } => EventKind::PortBytesHeldBack,
            FieldLogEvent::EchoHeard { .. } => EventKind::PortEchoHeard,
            FieldLogEvent::EchoMissed { .. } => EventKind::PortEchoMissed,
            FieldLogEvent::IntervalsStretched { .. } => EventKind::PortIntervalsStretched,
            FieldLogEvent::IntervalsKept { .. } => EventKind::PortIntervalsKept,
            FieldLogEvent::AddressShared { .. } => EventKind::DeviceAddressShared,
            FieldLogEvent::RepliesRepeated { .. } => EventKind::DeviceRepliesRepeated,
            FieldLogEvent::OtherMaster { .. } => EventKind::DeviceOtherMaster,
            FieldLogEvent::FloatsImplausible { .. } => EventKind::DeviceFloatsImplausible,
            FieldLogEvent::FloatsPlausible { .. } => EventKind::DeviceFloatsPlausible,
            FieldLogEvent::HoleFound { .. } => EventKind::DeviceHoleFound,
            FieldLogEvent::PointsRefused { .. } => EventKind::DevicePointsRefused,
            FieldLogEvent::DatumRefused { .. } => EventKind::DeviceDatumRefused,
            FieldLogEvent::PointsFail { .. } => EventKind::DevicePointsFail,
            FieldLogEvent::LongRequestsFail { .. } => EventKind::DeviceLongRequestsFail,
            FieldLogEvent::LongRequestsAnswered { .. } => EventKind::DeviceLongRequestsAnswered,
            FieldLogEvent::PointsBack { .. } => EventKind::DevicePointsBack,
            FieldLogEvent::DeviceTrouble { trouble, .. } => trouble.kind(),
        }
    }

    fn subject(&self) -> LogSubject {
        match self {
            FieldLogEvent::PortOpened { port, .. }
            | FieldLogEvent::PortUnavailable { port, .. }
            | FieldLogEvent::PortLost { port, .. }
            | FieldLogEvent::SettingsDiffer { port, .. }
            | FieldLogEvent::BytesHeldBack { port, .. }
            | FieldLogEvent::EchoHeard { port }
            | FieldLogEvent::OneAtATime { port, .. }
            | FieldLogEvent::EchoMissed { port, .. }
            | FieldLogEvent::IntervalsStretched { port, .. }
            | FieldLogEvent::IntervalsKept { port, .. } => LogSubject::Port(*port),
            FieldLogEvent::FloatsImplausible { device, .. }
            | FieldLogEvent::FloatsPlausible { device }
            | FieldLogEvent::HoleFound { device, .. }
            | FieldLogEvent::PointsRefused { device, .. }
            | FieldLogEvent::DatumRefused { device, .. }
            | FieldLogEvent::PointsFail { device, .. }
            | FieldLogEvent::LongRequestsFail { device, .. }
            | FieldLogEvent::LongRequestsAnswered { device }
            | FieldLogEvent::PointsBack { device, .. }
            | FieldLogEvent::AddressShared { device, .. }
            | FieldLogEvent::RepliesRepeated { device }
            | FieldLogEvent::OtherMaster { device }
            | FieldLogEvent::DeviceTrouble { device, .. } => LogSubject::Device(*device),
        }
    }

    fn fields(&self) -> Vec<(JournalField, String)> {
        match self {
            FieldLogEvent::PortUnavailable { failed, .. }
            | FieldLogEvent::PortOpened { failed, .. } => {
                vec![(JournalField::Failed, failed.to_string())]
            }
            FieldLogEvent::PortLost { times, .. } | FieldLogEvent::EchoMissed { times, .. } => {
                vec![(JournalField::Times, times.to_string())]
            }
            FieldLogEvent::IntervalsStretched {
                priority, factor, ..
            } => vec![
                (JournalField::Class, priority.word().into()),
                (JournalField::FactorPermille, factor.to_string()),
            ],
            FieldLogEvent::PointsRefused { points, code, .. } => {
                vec![
                    (JournalField::Points, points.clone()),
                    (JournalField::Code, code.to_string()),
                ]
            }
            FieldLogEvent::DatumRefused { points, word, .. } => {
                vec![
                    (JournalField::Points, points.clone()),
                    (JournalField::Word, format!("{:02X}", word.bits)),
                ]
            }
            FieldLogEvent::PointsFail { points, code, .. } => {
                let points = (JournalField::Points, points.clone());
                let code = code.map(|code| (JournalField::Code, code.to_string()));
                [points].into_iter().chain(code).collect()
            }
            FieldLogEvent::PointsBack { points, .. }
            | FieldLogEvent::FloatsImplausible { points, .. } => {
                vec![(JournalField::Points, points.clone())]
            }
            FieldLogEvent::DeviceTrouble { trouble, times, .. } => {
                let mut fields = vec![(JournalField::Times, times.to_string())];
                if let Trouble::Refuses { code, .. } | Trouble::RefusesQuestion { code, .. } =
                    trouble
                {
                    fields.push((JournalField::Code, code.to_string()));
                }
                fields
            }
            _ => Vec::new(),
        }
    }

    fn sentence(&self) -> String {
        match self {
            FieldLogEvent::PortOpened { failed: 0, .. } => "open, polling".into(),
            FieldLogEvent::PortOpened { failed, .. } => {
                format!("open after {failed} failed attempts, polling")
            }
            FieldLogEvent::PortUnavailable {
                what,
                opened,
                why,
                failed,
                next,
                ..
            } => {
                let happened = match opened {
                    true => format!("{what} opened and was lost before any reply came"),
                    false => format!("cannot open {what}"),
                };
                format!(
                    "{happened}: {why}; tried again until it can be used, its devices fall silent \
                     meanwhile (attempt {failed}, next in {:.1} s)",
                    next.as_secs_f64()
                )
            }
            FieldLogEvent::OneAtATime { fault, .. } => format!(
                "when several requests were in flight, {}; one request at a time from now on",
                fault.words()
            ),
            FieldLogEvent::PortLost { why, times: 1, .. } => {
                format!("lost: {why}; opening it again")
            }
            FieldLogEvent::PortLost { why, times: n, .. } => {
                let often = times(*n);
                format!("lost {often} since last reported: {why}; opening it again each time")
            }
            FieldLogEvent::SettingsDiffer { what, .. } => {
                format!("does not have the settings it was given: {what}; using it as it is")
            }
            FieldLogEvent::BytesHeldBack { wait, .. } => format!(
                "the adapter holds received bytes back for {} ms (latency_timer) and this service \
                 may not change that: every poll takes so much longer; install the udev rule of \
                 this package and replug the adapter",
                wait.as_millis()
            ),
            FieldLogEvent::EchoHeard { .. } => {
                "the adapter hears what it sends; the gateway skips this \
                                         echo where it can tell it from a reply: write echo: true \
                                         under serial:"
                    .into()
            }
            FieldLogEvent::EchoMissed { times, .. } => {
                let often = since_reported(*times);
                format!(
                    "the echo that echo: true promises is missing or differs from the request\
                     {often}: a wire is broken or shorted, another master sends at the same time, \
                     or the adapter does not echo and echo: true has to be removed"
                )
            }
            FieldLogEvent::IntervalsStretched {
                priority,
                factor,
                load,
                heaviest,
                ..
            } => stretched(*factor, *load, *priority, heaviest.as_ref()),
            FieldLogEvent::IntervalsKept { priority, .. } => format!(
                "keeps up again: all points of priority {} are read as often as configured",
                priority.word()
            ),
            FieldLogEvent::AddressShared { place, .. } => format!(
                "two devices with one address? Replies of {place} are spoilt again and again, or a \
                 second one with other values follows, and those of other devices on the line are \
                 well: disconnect this device and see \
                 whether another one still answers at its address, give each device on the line \
                 an address of its own, and look at its wiring and its settings"
            ),
            FieldLogEvent::RepliesRepeated { .. } => {
                "its replies come twice: a repeater or a bridge sends \
                                            them again, or two devices have this address; the \
                                            gateway waits a response timeout before it repeats a \
                                            request of the same kind, so that no copy is taken \
                                            for an answer"
                    .into()
            }
            FieldLogEvent::OtherMaster { .. } => {
                "sends reply after reply that the gateway did not ask for: \
                                         another master asks this device, through a serial server \
                                         that passes every reply to all its clients, or the \
                                         device sends by itself. Which reply belongs to which \
                                         request cannot be told, so the device counts as online \
                                         and is read only when it is quiet for a response \
                                         timeout: give the line to one master, or use Modbus TCP"
                    .into()
            }
            FieldLogEvent::FloatsImplausible {
                seen, order, other, ..
            } => {
                let remedy = match other {
                    Some((order, values)) => format!(
                        "in the order {order} all of them are plausible ({values}): write order: \
                         {order} at these points if the device's manual agrees"
                    ),
                    None => "no other order makes all of them plausible: compare table, address \
                             and type with the device's manual"
                        .into(),
                };
                format!(
                    "sends floats that are implausible throughout: {seen}, read in the order \
                     {order}; {remedy}; they are sent to the platform as they are meanwhile, and \
                     shown as uncertain"
                )
            }
            FieldLogEvent::FloatsPlausible { .. } => {
                "its floats are plausible again; nothing needs to be done".into()
            }
            FieldLogEvent::HoleFound { hole, .. } => format!(
                "cannot be read across {}; its requests go around these addresses from now on, and \
                 so do those of all devices of its profile",
                addresses(hole)
            ),
            FieldLogEvent::PointsRefused {
                points, what, code, ..
            } => format!(
                "refuses {points} ({what}) with exception {code} ({}) even when asked for nothing \
                 else; all other points are read, this request is tried ever more rarely: correct \
                 table, address and type in the profile, or take the point out",
                meaning(*code)
            ),
            FieldLogEvent::DatumRefused { points, word, .. } => format!(
                "does not have {points}: {word}; all other points are read, this request is tried \
                 ever more rarely: correct data in the profile, or take the point out"
            ),
            FieldLogEvent::PointsFail {
                points,
                what,
                how,
                code,
                ..
            } => points_fail(points, what, *how, *code),
            FieldLogEvent::LongRequestsFail {
                what, count, most, ..
            } => format!(
                "does not answer a request for {what}, and answers its parts: {} may \
                 be more than it can send; requests have at most {} from now on, \
                 all points are read, longer requests are tried ever more rarely: write \
                 max_registers: {most} into its profile",
                counted(*count, "register"),
                counted(*most, "register")
            ),
            FieldLogEvent::LongRequestsAnswered { .. } => {
                "answers long requests again; its requests are as planned".into()
            }
            FieldLogEvent::PointsBack { points, .. } => {
                format!("answers requests for {points} again")
            }
            FieldLogEvent::DeviceTrouble {
                trouble,
                times: n,
                detail,
                ..
            } => {
                let mut text = trouble.words();
                if *trouble == Trouble::OtherId {
                    text = format!("replies came with {detail}, {text}");
                } else if !detail.is_empty() {
                    text.push_str(&format!(" ({detail})"));
                }
                if *n > 1 {
                    text.push_str(&format!(", {} since last reported", times(*n)));
                }
                text
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Table;

    #[test]
    fn sentences_say_what_why_and_what_next() {
        let notice = FieldLogEvent::PortUnavailable {
            port: PortId(0),
            what: "/dev/ttyUSB0".into(),
            opened: false,
            why: "No such file or directory".into(),
            failed: 1,
            next: Duration::from_millis(100),
        };
        assert_eq!(
            notice.sentence(),
            "cannot open /dev/ttyUSB0: No such file or directory; tried again until it can be \
             used, its devices fall silent meanwhile (attempt 1, next in 0.1 s)"
        );
        let notice = FieldLogEvent::PortUnavailable {
            port: PortId(0),
            what: "192.0.2.7:502".into(),
            opened: true,
            why: "the other side closed the connection".into(),
            failed: 3,
            next: Duration::from_secs(1),
        };
        assert_eq!(
            notice.sentence(),
            "192.0.2.7:502 opened and was lost before any reply came: the other side closed the \
             connection; tried again until it can be used, its devices fall silent meanwhile \
             (attempt 3, next in 1.0 s)"
        );
        let notice = FieldLogEvent::IntervalsStretched {
            port: PortId(0),
            priority: Priority::Normal,
            factor: 1512,
            load: 1498,
            heaviest: Some(HeaviestRequest {
                device: "meter-7".into(),
                what: "holding registers 0 to 99".into(),
                takes: Duration::from_micros(263_000),
                every: Duration::from_secs(1),
            }),
        };
        assert_eq!(
            notice.sentence(),
            "does not keep up: its devices need 150 % of its time; all points of priority normal \
             are read 1.5 times less often than configured; the largest request is holding \
             registers 0 to 99 of meter-7, 263.0 ms every 1s: use longer intervals, fewer points, a \
             higher baud rate or a second line (alink-gateway plan shows how long each request \
             takes)"
        );
        let notice = FieldLogEvent::DeviceTrouble {
            device: DeviceId(0),
            trouble: Trouble::Refuses {
                code: 2,
                table: Table::HoldingRegister,
                first: 10,
                count: 10,
            },
            times: 40,
            detail: String::new(),
        };
        assert_eq!(
            notice.sentence(),
            "refuses holding registers 10 to 19 with exception 2 (illegal data address), 40 times \
             since last reported"
        );
    }
}
