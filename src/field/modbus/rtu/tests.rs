use proptest::prelude::*;

use super::*;
use crate::base::MissReason;
use crate::field::modbus::test_reads::{ask, registers, reply_pdu};
use crate::field::modbus::{Data, ReadRequest};
use crate::field::test_receiver::{self, Heard, hear_in_chunks};

fn reply(unit: u8, registers: &[u16]) -> Vec<u8> {
    frame(UnitId(unit), &reply_pdu(registers))
}

fn hear(ask: ReadRequest, bytes: &[u8]) -> Heard<Finder> {
    test_receiver::hear::<Finder>(ask, bytes)
}

#[test]
fn units_that_are_reserved_answer_like_any_other() {
    for unit in [248, 254, 255] {
        let reply = frame(UnitId(unit), &[3, 4, 0, 7, 0, 8]);
        let mut r = Receiver::new(ask(unit, 0, 2));
        let data = Data::Registers(vec![7, 8]);
        assert_eq!(
            r.push(&reply),
            Some(ListeningEnd::Reply(Reply::Answer(data)))
        );
        let mut r = Receiver::new(ask(1, 0, 2));
        assert_eq!(r.push(&reply), None);
        assert_eq!(r.traffic().overheard, [BusAddress::Modbus(UnitId(unit))]);
    }
}

#[test]
fn the_checksum_is_the_published_one() {
    // CRC RevEng catalogue, CRC-16/MODBUS: check value 4B37h.
    assert_eq!(CRC.checksum(b"123456789"), 0x4B37);
    // Modbus over Serial Line V1.02 §6.2.2 (appendix B): 02 07 gives 41 12.
    assert_eq!(frame(UnitId(2), &[7]), [0x02, 0x07, 0x41, 0x12]);
    // Widely published frame: unit 17 reads 3 registers at 006Bh.
    assert_eq!(
        frame(UnitId(0x11), &[0x03, 0x00, 0x6B, 0x00, 0x03]),
        [0x11, 0x03, 0x00, 0x6B, 0x00, 0x03, 0x76, 0x87]
    );
}

#[test]
fn what_is_missing_is_known_from_the_first_bytes_on() {
    let asked = ask(7, 0, 20);
    let whole = reply(7, &[0x0101; 20]);
    let exception = frame(UnitId(7), &[0x83, 2]);
    let echo = frame(UnitId(7), &asked.pdu());
    // The bytes that have come, and how many bytes must come at least.
    for (came, missing) in [
        (&whole[..0], 5),
        (&whole[..1], 4),
        (&whole[..2], 3),
        (&whole[..3], 42),
        (&whole[..44], 1),
        (&exception[..2], 3),
        (&exception[..4], 1),
        (&echo[..3], 2),
        (&echo[..6], 1),
        // Behind it, the reply.
        (&echo[..], 5),
        (&[9, 9, 9, 9, 9, 9], 1),
    ] {
        let mut r = Receiver::new(asked);
        assert_eq!(r.push(came), None);
        assert_eq!(r.missing().unwrap(), missing, "{came:02x?}");
    }
    // A reply that begins like its request.
    let asked = ask(7, 0x2800, 20);
    let mut r = Receiver::new(asked);
    assert_eq!(r.push(&reply(7, &[0; 20])[..4]), None);
    assert!(
        (1..=41).contains(&r.missing().unwrap()),
        "{}",
        r.missing().unwrap()
    );
}

proptest! {
    #[test]
    fn no_verdict_comes_before_what_was_said_to_be_missing(
        count in 1u16..=125,
        start in 0u16..=u16::MAX,
        before in prop::sample::select(vec!["nothing", "echo", "foreign", "noise"]),
        refused in any::<bool>(),
        noise in prop::collection::vec(any::<u8>(), 0..12),
    ) {
        let asked = ask(7, start, count);
        let mut bytes = match before {
            "echo" => frame(UnitId(7), &asked.pdu()),
            "foreign" => reply(9, &[1, 2]),
            "noise" => noise,
            _ => Vec::new(),
        };
        if refused {
            bytes.extend(frame(UnitId(7), &[0x83, 2]));
        } else {
            bytes.extend(reply(7, &vec![0x55AA; usize::from(count)]));
        }
        let mut r = Receiver::new(asked);
        let mut earliest = r.missing().unwrap();
        for (n, byte) in (1..).zip(bytes) {
            if r.push(&[byte]).is_some() {
                prop_assert!(n >= earliest, "after {n}, not before {earliest}");
                break;
            }
            earliest = earliest.max(n + r.missing().unwrap());
        }
    }
}

#[test]
fn frames_open_only_whole_and_unspoiled() {
    let good = reply(1, &[7]);
    assert_eq!(open(&good), Some((UnitId(1), &[3, 2, 0, 7][..])));
    for i in 0..good.len() {
        let mut bad = good.clone();
        bad[i] ^= 0x10;
        assert_eq!(open(&bad), None);
        assert_eq!(open(&good[..i]), None);
    }
}

#[test]
fn the_reply_is_taken_at_once() {
    let mut r = Receiver::new(ask(1, 0, 2));
    assert_eq!(registers(r.push(&reply(1, &[5, 6]))), Some(vec![5, 6]));
    let mut r = Receiver::new(ask(1, 0, 2));
    assert_eq!(
        r.push(&frame(UnitId(1), &[0x83, 2])),
        Some(ListeningEnd::Reply(Reply::Exception(2)))
    );
}

#[test]
fn noise_before_the_reply_is_tolerated() {
    for noise in [
        vec![0],
        vec![0xFF; 25],
        vec![0; 25],
        vec![1],
        vec![1, 3],
        // A plausible header with an impossible length.
        vec![1, 3, 0xFA],
    ] {
        let mut bytes = noise.clone();
        bytes.extend(reply(1, &[5, 6]));
        let (verdict, traffic, _) = hear(ask(1, 0, 2), &bytes);
        assert_eq!(registers(verdict), Some(vec![5, 6]), "{noise:x?}");
        assert_eq!(traffic.noise as usize, noise.len());
    }
}

#[test]
fn strangers_are_recognised_and_the_wait_goes_on() {
    let mut r = Receiver::new(ask(1, 0, 2));
    assert_eq!(r.push(&reply(2, &[5, 6])), None);
    assert_eq!(r.push(&reply(1, &[5, 6, 7])), None);
    assert_eq!(r.push(&frame(UnitId(1), &[4, 4, 0, 1, 0, 2])), None);
    assert_eq!(r.miss(), MissReason::Foreign);
    assert_eq!(registers(r.push(&reply(1, &[8, 9]))), Some(vec![8, 9]));
    let traffic = r.traffic();
    assert_eq!(traffic.foreign, 3);
    assert_eq!(
        traffic.overheard,
        [BusAddress::Modbus(UnitId(2)), BusAddress::Modbus(UnitId(1))]
    );
}

#[test]
fn our_own_echo_is_skipped() {
    let ask = ask(1, 0, 2);
    let mut bytes = frame(ask.unit, &ask.pdu());
    let (verdict, traffic, miss) = hear(ask, &bytes);
    assert_eq!(
        (verdict, traffic.echoes, miss),
        (None, 1, MissReason::Silence)
    );
    bytes.extend(reply(1, &[5, 6]));
    let (verdict, traffic, _) = hear(ask, &bytes);
    assert_eq!(registers(verdict), Some(vec![5, 6]));
    assert_eq!((traffic.echoes, traffic.noise), (1, 0));
}

/// The data of a reply may begin like its own request, checksum and all, if the high half of
/// the address reads as the byte count.
#[test]
fn a_reply_that_begins_like_its_request_is_told_from_an_echo() {
    let asked = ask(7, 0x2814, 20);
    let echo = frame(UnitId(7), &asked.pdu());
    let word = |at: usize| u16::from_be_bytes([echo[at], echo[at + 1]]);
    let mut twenty = [0x1111; 20];
    // Behind unit, function and byte count: half an address, quantity, checksum.
    twenty[..2].copy_from_slice(&[word(3), word(5)]);
    twenty[2] = u16::from(echo[7]) << 8 | 0x34;
    let alike = reply(7, &twenty);
    assert!(alike.starts_with(&echo));
    let other = [0x2222; 20];

    // Alone: certain when the line is silent.
    let mut r = Receiver::new(asked);
    assert_eq!(r.push(&alike), None);
    assert_eq!(registers(r.silence()).unwrap(), twenty);
    // Behind an echo, whether the reply looks like an echo or not.
    for said in [&twenty, &other] {
        let (verdict, traffic, _) = hear(asked, &[echo.clone(), reply(7, said)].concat());
        assert_eq!(registers(verdict).as_deref(), Some(&said[..]));
        assert_eq!(traffic.echoes, 1);
    }
    // An echo and a refusal.
    let refusal = [echo.clone(), frame(UnitId(7), &[0x83, 2])].concat();
    let (verdict, traffic, _) = hear(asked, &refusal);
    assert_eq!(verdict, Some(ListeningEnd::Reply(Reply::Exception(2))));
    assert_eq!(traffic.echoes, 1);
    // An echo, and a line that floats for as long as the reply would have been.
    let floating = [echo.clone(), vec![0; alike.len() - echo.len()]].concat();
    assert!(open(&floating).is_some(), "its checksum is good");
    assert_eq!(registers(hear(asked, &floating).0), None);
    // Spoiled.
    let mut spoiled = alike;
    spoiled[20] ^= 1;
    assert_eq!(registers(hear(asked, &spoiled).0), None);
}

#[test]
fn an_echo_with_a_zero_behind_it_is_no_reply() {
    // Two registers from 04xxh: echo + 00h has the reply's header, length and a good
    // checksum, as the checksum of a frame together with its own checksum is zero.
    let ask = ask(1, 0x0400, 2);
    let mut trap = frame(ask.unit, &ask.pdu());
    trap.push(0);
    assert!(open(&trap).is_some(), "the trap is real");
    let (verdict, traffic, _) = hear(ask, &trap);
    assert_eq!((verdict, traffic.echoes), (None, 1));
}

#[test]
fn a_reply_inside_a_longer_foreign_frame_is_not_taken() {
    let inner = reply(1, &[0x6666]);
    let mut pdu = vec![3, 8, 0];
    pdu.extend(&inner);
    let outer = frame(UnitId(9), &pdu);
    let (verdict, traffic, miss) = hear(ask(1, 0, 1), &outer);
    assert_eq!(verdict, None);
    assert_eq!(
        (traffic.overheard, miss),
        (vec![BusAddress::Modbus(UnitId(9))], MissReason::Foreign)
    );
}

#[test]
fn a_spoiled_reply_ends_the_wait_at_the_next_silence() {
    let mut bytes = reply(1, &[5, 6]);
    bytes[4] ^= 1;
    assert_eq!(hear(ask(1, 0, 2), &bytes).0, Some(ListeningEnd::Spoiled));
    let cut = &reply(1, &[5, 6])[..6];
    assert_eq!(hear(ask(1, 0, 2), cut).0, Some(ListeningEnd::Spoiled));
    // A short glitch does not.
    let (verdict, _, miss) = hear(ask(1, 0, 2), &[1, 3, 4]);
    assert_eq!((verdict, miss), (None, MissReason::Garbled));
}

#[test]
fn a_gateways_word_is_not_proof_of_its_units_life() {
    let mut r = Receiver::idle();
    r.push(&frame(UnitId(7), &[0x83, 0x0B]));
    r.push(&frame(UnitId(8), &[0x83, 0x02]));
    let traffic = r.traffic();
    assert_eq!(
        (traffic.foreign, traffic.overheard),
        (2, vec![BusAddress::Modbus(UnitId(8))])
    );
}

#[test]
fn a_babbling_line_is_bounded() {
    let mut r = Receiver::new(ask(1, 0, 2));
    for _ in 0..10_000 {
        r.push(&[0xAA; 64]);
        assert!(r.finder().unread.len() <= MAX_BURST);
    }
    assert_eq!(r.miss(), MissReason::Garbled);
}

/// Returns pieces of what a hostile line may send.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..12),
        prop::collection::vec(prop::sample::select(vec![0u8, 1, 3, 4, 0xFF]), 0..12),
        (1u8..4, prop::collection::vec(any::<u16>(), 1..5)).prop_map(|(u, r)| reply(u, &r)),
        Just(frame(UnitId(1), &ask(1, 0, 2).pdu())),
        (1u8..4).prop_map(|u| frame(UnitId(u), &[0x83, 2])),
        (prop::collection::vec(any::<u16>(), 2), 0usize..9, 0u8..8).prop_map(|(r, at, bit)| {
            let mut spoiled = reply(1, &r);
            spoiled[at] ^= 1 << bit;
            spoiled
        }),
    ]
}

proptest! {
    #[test]
    fn how_the_bytes_were_split_makes_no_difference(
        pieces in prop::collection::vec(piece(), 0..6),
        cut in 1usize..9,
    ) {
        let wire = pieces.concat();
        let in_chunks = hear_in_chunks::<Finder>(ask(1, 0, 2), &wire, cut);
        prop_assert_eq!(in_chunks, hear(ask(1, 0, 2), &wire));
    }

    #[test]
    fn an_accepted_reply_was_on_the_wire_as_a_whole_good_frame(
        pieces in prop::collection::vec(piece(), 0..6),
    ) {
        let wire = pieces.concat();
        if let Some(got) = registers(hear(ask(1, 0, 2), &wire).0) {
            let whole = reply(1, &got);
            prop_assert!(wire.windows(whole.len()).any(|w| w == whole));
        }
    }

    #[test]
    fn without_a_good_frame_from_the_unit_nothing_is_accepted(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let (verdict, ..) = hear(ask(1, 0, 2), &bytes);
        if let Some(ListeningEnd::Reply(_)) = verdict {
            let good = |len| bytes.windows(len).any(|w| w[0] == 1 && open(w).is_some());
            prop_assert!(good(9) || good(5));
        }
    }
}
