//! Events for tests.

use std::time::Duration;

use proptest::prelude::*;

use super::event::*;
use crate::base::{Mono, Wall};

/// 2026-11-22 09:30:00 UTC.
pub(super) const BEGUN: i64 = 1_795_339_800_000;

/// Returns an event, so many microseconds after the beginning.
pub(super) fn at(micros: u64, what: TraceEventKind) -> TraceEvent {
    TraceEvent {
        at: Mono::from_micros(micros),
        wall: Wall::from_millis(BEGUN + micros as i64 / 1000),
        what,
    }
}

/// Returns the event of a line on which a character takes a millisecond.
pub(super) fn open() -> TraceEventKind {
    TraceEventKind::Line(TracedLine::Open(LineSettings {
        port: "line-1".into(),
        opens: "/dev/ttyUSB0".into(),
        settings: Some("9600 8E1".into()),
        character: Duration::from_millis(1),
        quiet: Duration::from_micros(3_500),
    }))
}

/// Returns the event by which a device's turn begins.
pub(super) fn turn(device: &str, place: &str) -> TraceEventKind {
    TraceEventKind::Turn {
        device: device.into(),
        place: Some(place.into()),
        protocol: TracedProtocol::Rtu,
        reply_timeout: Duration::from_millis(300),
    }
}

/// Generates any event, at any time.
pub(super) fn any_seen() -> impl Strategy<Value = TraceEvent> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    let protocol = prop::sample::select(vec![
        TracedProtocol::Rtu,
        TracedProtocol::Ascii,
        TracedProtocol::Tcp,
        TracedProtocol::Dlt645,
        TracedProtocol::Raw,
    ]);
    let verdict = prop_oneof![
        Just(TransactionVerdict::Answered),
        Just(TransactionVerdict::Doubted),
        any::<u8>().prop_map(|code| TransactionVerdict::Exception { code }),
        ".{0,9}".prop_map(|why| TransactionVerdict::Refused { why }),
        Just(TransactionVerdict::Silent),
        Just(TransactionVerdict::Garbled),
        Just(TransactionVerdict::Foreign),
        Just(TransactionVerdict::Cut),
    ];
    let span = || (0u64..1_000_000_000).prop_map(Duration::from_nanos);
    let maybe = prop::option::of(span());
    let what = prop_oneof![
        (".{0,9}", prop::option::of(".{0,9}"), span(), span()).prop_map(
            |(port, settings, character, quiet)| {
                TraceEventKind::Line(TracedLine::Open(LineSettings {
                    opens: port.clone(),
                    port,
                    settings,
                    character,
                    quiet,
                }))
            }
        ),
        ".{0,9}".prop_map(|why| TraceEventKind::Line(TracedLine::Closed { why })),
        (".{0,9}", prop::option::of("unit [0-9]"), protocol, span()).prop_map(
            |(device, place, protocol, reply_timeout)| TraceEventKind::Turn {
                device,
                place,
                protocol,
                reply_timeout
            }
        ),
        (bytes(), 0u64..1 << 50).prop_map(|(bytes, until)| TraceEventKind::Sent {
            bytes,
            until: Mono::from_micros(until)
        }),
        bytes().prop_map(|bytes| TraceEventKind::Received { bytes }),
        Just(TraceEventKind::Pause),
        Just(TraceEventKind::Timeout),
        (".{0,9}", verdict, maybe, any::<i64>()).prop_map(|(device, verdict, turnaround, n)| {
            TraceEventKind::Verdict {
                device,
                verdict,
                turnaround,
                values: vec![("power".into(), n.into())],
                without: vec![("energy".into(), "it is marked as invalid".into())],
            }
        }),
        ".{0,9}".prop_map(|device| TraceEventKind::Late { device }),
        any::<u64>().prop_map(|events| TraceEventKind::Missing { events }),
    ];
    (0u64..1 << 50, any::<i64>(), what).prop_map(|(at, wall, what)| TraceEvent {
        at: Mono::from_micros(at),
        wall: Wall::from_millis(wall),
        what,
    })
}
