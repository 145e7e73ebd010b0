//! From bytes to frames, for display only.
//!
//! [`crate::field`] knows its request and accepts nothing but the reply. The listener has
//! made no request: every byte belongs to a piece, and a frame is what has the length that its
//! first bytes say and a good check. All bytes between frames are noise.

use crate::base::UnitId;
use crate::field::dlt645::frame::{self as meter, Frame as MeterFrame};
use crate::field::modbus::EXCEPTION;
use crate::field::modbus::{ascii, rtu, tcp};

use super::decode::Body;
use super::event::TracedProtocol;

/// Bytes of a DL/T 645 frame up to and including its length.
const METER_HEAD: usize = 10;

/// Returns the content of sent bytes, which are always one frame.
#[must_use]
pub fn sent(bytes: &[u8], protocol: TracedProtocol) -> Body {
    let modbus = |(unit, pdu)| serial(unit, pdu);
    match protocol {
        TracedProtocol::Rtu => rtu::open(bytes).map(|(unit, pdu)| modbus((unit, pdu.to_vec()))),
        TracedProtocol::Ascii => ascii::open(bytes).map(modbus),
        TracedProtocol::Tcp => tcp(bytes).map(|(_, body)| body),
        TracedProtocol::Dlt645 => {
            let awake = bytes.iter().take_while(|b| **b == meter::WAKE_UP).count();
            MeterFrame::open(&bytes[awake..]).map(Body::Dlt645)
        }
        TracedProtocol::Raw => None,
    }
    .unwrap_or(Body::Plain)
}

/// Divides the bytes that came between two silences while `protocol` was the protocol;
/// `asked` is the last request of the gateway. The lengths add up to the length of `bytes`.
#[must_use]
pub fn received(bytes: &[u8], protocol: TracedProtocol, asked: &[u8]) -> Vec<(usize, Body)> {
    let mut pieces: Vec<(usize, Body)> = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let head = if !asked.is_empty() && rest.starts_with(asked) {
            Some((asked.len(), Body::Echo))
        } else {
            head(rest, protocol)
        };
        let (taken, body) = head.unwrap_or((1, Body::Noise));
        match pieces.last_mut() {
            Some((length, Body::Noise)) if body == Body::Noise => *length += taken,
            _ => pieces.push((taken, body)),
        }
        rest = rest.get(taken..).unwrap_or_default();
    }
    pieces
}

/// Returns the frame at the head of the bytes, if there is one.
fn head(bytes: &[u8], protocol: TracedProtocol) -> Option<(usize, Body)> {
    match protocol {
        TracedProtocol::Rtu => modbus(bytes).or_else(|| meter_frame(bytes)),
        TracedProtocol::Dlt645 => meter_frame(bytes).or_else(|| modbus(bytes)),
        TracedProtocol::Ascii => {
            let first = |end: u8| {
                let mut bytes = bytes.iter().take(ascii::MAX_FRAME);
                bytes.position(|b| *b == end)
            };
            // Some devices send no LF.
            let end = first(b'\n').or_else(|| first(b'\r'))? + 1;
            let (unit, pdu) = ascii::open(bytes.get(..end)?)?;
            Some((end, serial(unit, pdu)))
        }
        TracedProtocol::Tcp => tcp(bytes),
        TracedProtocol::Raw => Some((bytes.len(), Body::Plain)),
    }
}

fn modbus(bytes: &[u8]) -> Option<(usize, Body)> {
    lengths(bytes).into_iter().flatten().find_map(|length| {
        let (unit, pdu) = rtu::open(bytes.get(..length)?)?;
        let pdu = pdu.to_vec();
        Some((length, serial(unit, pdu)))
    })
}

/// Returns the possible lengths of an RTU frame that begins like this: as a reply, as a
/// request, as a request that carries data (V1.1b3 §6); and, for unknown functions, all the
/// bytes there are.
fn lengths(bytes: &[u8]) -> [Option<usize>; 3] {
    let [_, function, third, ..] = *bytes else {
        return [None; 3];
    };
    let by_count = |count: u8, around: usize| Some(usize::from(count) + around);
    match function {
        1..=4 => [by_count(third, 5), Some(8), None],
        5 | 6 => [Some(8), None, None],
        22 => [Some(10), None, None],
        15 | 16 => [
            Some(8),
            bytes.get(6).and_then(|count| by_count(*count, 9)),
            None,
        ],
        23 => [
            by_count(third, 5),
            bytes.get(10).and_then(|count| by_count(*count, 13)),
            None,
        ],
        function if function & EXCEPTION != 0 => [Some(5), None, None],
        _ => [Some(bytes.len().min(rtu::MAX_FRAME)), None, None],
    }
}

fn meter_frame(bytes: &[u8]) -> Option<(usize, Body)> {
    let awake = bytes.iter().take_while(|b| **b == meter::WAKE_UP).count();
    let frame = bytes.get(awake..)?;
    let data = *frame.get(METER_HEAD - 1)?;
    let length = meter::len(usize::from(data));
    let frame = MeterFrame::open(frame.get(..length)?)?;
    Some((awake + length, Body::Dlt645(frame)))
}

const fn serial(unit: UnitId, pdu: Vec<u8>) -> Body {
    Body::Modbus {
        unit,
        pdu,
        transaction: None,
    }
}

fn tcp(bytes: &[u8]) -> Option<(usize, Body)> {
    let mut unread = bytes.to_vec();
    // An exception is nine bytes, whatever its length field says.
    if let Some([_, _, 0, 0, high, low, _, EXCEPTION..=0xFF, _]) = unread.first_chunk_mut::<9>() {
        (*high, *low) = (0, 3);
    }
    let frame = tcp::take(&mut unread).ok()??;
    let body = Body::Modbus {
        unit: frame.unit,
        pdu: frame.pdu,
        transaction: Some(frame.transaction),
    };
    Some((bytes.len() - unread.len(), body))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reply(unit: u8) -> Vec<u8> {
        rtu::frame(UnitId(unit), &[3, 4, 1, 2, 3, 4])
    }

    fn kinds(pieces: &[(usize, Body)]) -> Vec<(usize, &'static str)> {
        let kind = |body: &Body| match body {
            Body::Modbus { .. } => "modbus",
            Body::Dlt645(_) => "meter",
            Body::Echo => "echo",
            Body::Plain => "plain",
            Body::Noise => "noise",
            Body::Unfinished => "unfinished",
        };
        pieces.iter().map(|(n, body)| (*n, kind(body))).collect()
    }

    #[test]
    fn frames_are_found_between_noise_and_behind_an_echo() {
        let asked = rtu::frame(UnitId(3), &[3, 0, 0, 0, 2]);
        let mut bytes = vec![0, 0xFF];
        bytes.extend(&asked);
        bytes.extend(reply(3));
        bytes.extend([0x55; 3]);
        bytes.extend(reply(4));
        assert_eq!(
            kinds(&received(&bytes, TracedProtocol::Rtu, &asked)),
            [
                (2, "noise"),
                (8, "echo"),
                (9, "modbus"),
                (3, "noise"),
                (9, "modbus")
            ]
        );
    }

    #[test]
    fn another_masters_request_and_a_meters_frame_are_known_on_a_modbus_line() {
        let mut bytes = rtu::frame(UnitId(9), &[16, 0, 1, 0, 1, 2, 0, 7]);
        bytes.extend(rtu::frame(UnitId(9), &[22, 0, 4, 0, 0xF2, 0, 0x25]));
        // hwhale.com/article/138066: reading the forward active energy.
        let meter = [
            0xFE, 0xFE, 0x68, 0x61, 0x01, 0, 0, 0, 0, 0x68, 0x11, 0x04, 0x33, 0x33, 0x34, 0x33,
            0x14, 0x16,
        ];
        bytes.extend(meter);
        assert_eq!(
            kinds(&received(&bytes, TracedProtocol::Rtu, &[])),
            [(11, "modbus"), (10, "modbus"), (18, "meter")]
        );
    }

    #[test]
    fn every_tongue_knows_what_was_said_in_it() {
        let pdu = [3, 0, 0, 0, 2];
        let body = Body::Modbus {
            unit: UnitId(7),
            pdu: pdu.to_vec(),
            transaction: None,
        };
        let numbered = Body::Modbus {
            unit: UnitId(7),
            pdu: pdu.to_vec(),
            transaction: Some(1),
        };
        let request = tcp::frame(1, UnitId(7), &pdu);
        assert_eq!(sent(&request, TracedProtocol::Tcp), numbered);
        assert_eq!(
            received(&request, TracedProtocol::Tcp, &[]),
            [(request.len(), numbered)]
        );
        for (bytes, protocol) in [
            (rtu::frame(UnitId(7), &pdu), TracedProtocol::Rtu),
            (ascii::frame(UnitId(7), &pdu), TracedProtocol::Ascii),
        ] {
            assert_eq!(sent(&bytes, protocol), body, "{protocol:?}");
            let length = bytes.len();
            assert_eq!(received(&bytes, protocol, &[]), [(length, body.clone())]);
        }
        assert_eq!(sent(b"?\r", TracedProtocol::Raw), Body::Plain);
    }

    proptest! {
        #[test]
        fn every_byte_has_its_place_whatever_came(
            bytes in prop::collection::vec(any::<u8>(), 0..600),
            begins in prop::collection::vec(prop_oneof![Just(3u8), Just(0x68), Just(b':'), any::<u8>()], 0..4),
            protocol in prop::sample::select(vec![
                TracedProtocol::Rtu, TracedProtocol::Ascii, TracedProtocol::Tcp, TracedProtocol::Dlt645, TracedProtocol::Raw,
            ]),
            asked in prop::collection::vec(any::<u8>(), 0..3),
        ) {
            let all = [begins, bytes].concat();
            let pieces = received(&all, protocol, &asked);
            prop_assert_eq!(pieces.iter().map(|(n, _)| n).sum::<usize>(), all.len());
            prop_assert!(pieces.iter().all(|(n, _)| *n > 0));
            let _ = sent(&all, protocol);
        }

        #[test]
        fn a_frame_is_found_behind_any_noise_that_is_no_frame(
            noise in prop::collection::vec(0xC0u8..=0xFF, 0..9),
            unit in 1u8..=247,
        ) {
            let mut bytes = noise.clone();
            bytes.extend(reply(unit));
            // Once in thousands of times, noise and the bytes after it have the form and the
            // checksum of a refusal.
            let refusal = |w: &[u8]| rtu::frame(UnitId(w[0]), &w[1..3]) == w;
            prop_assume!(!bytes.windows(5).take(noise.len()).any(refusal));
            let pieces = received(&bytes, TracedProtocol::Rtu, &[]);
            let place = format!("unit {unit}");
            let found = pieces.iter().any(|(n, body)| *n == 9 && body.place().as_ref() == Some(&place));
            prop_assert!(found);
        }
    }
}
