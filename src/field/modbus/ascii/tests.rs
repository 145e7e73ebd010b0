use proptest::prelude::*;

use super::*;
use crate::base::MissReason;
use crate::field::modbus::ReadRequest;
use crate::field::modbus::test_reads::{ask, registers, reply_pdu};
use crate::field::test_receiver::{self, Heard, hear_in_chunks};
use crate::spec::Table;

fn reply(unit: u8, registers: &[u16]) -> Vec<u8> {
    frame(UnitId(unit), &reply_pdu(registers))
}

fn hear(ask: ReadRequest, bytes: &[u8]) -> Heard<Finder> {
    test_receiver::hear::<Finder>(ask, bytes)
}

/// bbs.21ic.com/icview-162927-1-1 (the widely published comparison of ASCII
/// and RTU): unit 17 reads registers 40108–40110.
#[test]
fn the_published_request_is_built_and_opened() {
    let published = b":1103006B00037E\r\n";
    assert_eq!(frame(UnitId(0x11), &ask(0x11, 0x6B, 3).pdu()), published);
    assert_eq!(
        open(published),
        Some((UnitId(0x11), vec![3, 0, 0x6B, 0, 3]))
    );
}

/// CUTES CT-2000ES manual p. 54: unit F0h answers three registers. The manual
/// leaves the check open; F0+03+06+03+E8+07 = 1EBh, so 15h completes it.
#[test]
fn the_reply_of_a_drive_manual_is_read() {
    let (verdict, ..) = hear(ask(0xF0, 0x80, 3), b":F0030603E80007000015\r\n");
    assert_eq!(registers(verdict), Some(vec![1000, 7, 0]));
}

#[test]
fn small_letters_are_understood_and_anything_else_is_not() {
    let good = reply(0x1F, &[0xABCD]);
    assert_eq!(open(&good.to_ascii_lowercase()), open(&good));
    for at in 1..good.len() - 2 {
        for wrong in [b'G', b'g', b' ', b'\r', good[at] | 0x80] {
            let mut bad = good.clone();
            bad[at] = wrong;
            assert_eq!(open(&bad), None);
            assert_eq!(registers(hear(ask(0x1F, 0, 1), &bad).0), None);
        }
    }
}

#[test]
fn every_colon_begins_anew() {
    let whole = reply(1, &[5, 6]);
    // Up to the CR: with it a frame is whole.
    for cut in 0..whole.len() - 1 {
        let bytes = [&[0, 0xFF, b'\n'], &whole[..cut], &whole].concat();
        let (verdict, traffic, _) = hear(ask(1, 0, 2), &bytes);
        assert_eq!(registers(verdict), Some(vec![5, 6]), "cut at {cut}");
        assert_eq!(traffic.noise as usize, 3 + cut);
    }
}

/// The published exchange of [`the_published_request_is_built_and_opened`], answered by a
/// device that sends no LF, and by a device that has another first character.
#[test]
fn a_frame_may_end_with_its_return_and_begin_like_a_prompt() {
    let whole = reply(0x11, &[0xAE41, 0x5652, 0x4340]);
    let short = whole.strip_suffix(b"\n").unwrap();
    assert_eq!(open(short), open(&whole));
    let mut prompt = whole.clone();
    prompt[0] = b'>';
    assert_eq!(open(&prompt), open(&whole));
    for wire in [short, &prompt, prompt.strip_suffix(b"\n").unwrap()] {
        let mut r = Receiver::new(ask(0x11, 0x6B, 3));
        let verdict = r.push(wire);
        assert_eq!(registers(verdict), Some(vec![0xAE41, 0x5652, 0x4340]));
        assert_eq!(r.traffic().noise, 0);
    }
    // Another meter's reply counts as heard at once, and the next reply is not spoilt.
    let mut r = Receiver::new(ask(2, 0, 1));
    let other = reply(3, &[7]);
    let wire = [other.strip_suffix(b"\n").unwrap(), &reply(2, &[9])].concat();
    assert_eq!(registers(r.push(&wire)), Some(vec![9]));
    let traffic = r.traffic();
    assert_eq!(
        (traffic.overheard, traffic.noise),
        (vec![BusAddress::Modbus(UnitId(3))], 0)
    );
}

/// The reply was taken at its CR; a receiver that listens then gets the LF.
#[test]
fn a_line_feed_that_comes_later_is_no_noise() {
    let mut r = Receiver::idle();
    assert_eq!(r.push(b"\n"), None);
    assert_eq!(r.silence(), None);
    assert_eq!(r.take_traffic().noise, 0);
    assert_eq!(r.push(b"x\n"), None);
    assert_eq!(r.silence(), None);
    assert_eq!(r.traffic().noise, 2);
}

/// A line that begins with `>` and is not Modbus is no frame.
#[test]
fn replies_of_dcon_modules_are_noise() {
    let (verdict, traffic, _) = hear(ask(1, 0, 2), b">+025.12\r");
    assert_eq!((verdict, traffic.noise), (None, 9));
}

#[test]
fn units_that_are_reserved_answer_like_any_other() {
    for unit in [248, 254, 255] {
        let (verdict, ..) = hear(ask(unit, 0, 1), &reply(unit, &[7]));
        assert_eq!(registers(verdict), Some(vec![7]));
        let (_, traffic, _) = hear(ask(1, 0, 1), &reply(unit, &[7, 8]));
        assert_eq!(traffic.overheard, [BusAddress::Modbus(UnitId(unit))]);
    }
}

#[test]
fn only_the_exact_reply_counts() {
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
    let (verdict, ..) = hear(ask(1, 0, 2), &frame(UnitId(1), &[0x83, 2]));
    assert_eq!(verdict, Some(ListeningEnd::Reply(Reply::Exception(2))));
}

#[test]
fn our_own_echo_is_skipped_even_where_it_looks_like_the_reply() {
    // 17–24 bits from 03xxh: the request has the shape of its reply.
    let ask = ReadRequest {
        table: Table::Coil,
        ..ask(1, 0x0300, 20)
    };
    assert!(ask.echo_looks_like_reply());
    let echo = frame(ask.unit, &ask.pdu());
    let (verdict, traffic, miss) = hear(ask, &echo);
    assert_eq!(
        (verdict, traffic.echoes, miss),
        (None, 1, MissReason::Silence)
    );
}

#[test]
fn a_spoiled_reply_ends_the_wait_at_the_next_silence() {
    let whole = reply(1, &[5, 6]);
    let mut bent = whole.clone();
    bent[9] ^= 1;
    assert_eq!(hear(ask(1, 0, 2), &bent).0, Some(ListeningEnd::Spoiled));
    assert_eq!(
        hear(ask(1, 0, 2), &whole[..9]).0,
        Some(ListeningEnd::Spoiled)
    );
    let (verdict, _, miss) = hear(ask(1, 0, 2), &whole[..3]);
    assert_eq!((verdict, miss), (None, MissReason::Garbled));
}

#[test]
fn a_babbling_line_is_bounded() {
    let mut r = Receiver::new(ask(1, 0, 2));
    r.push(b":");
    for _ in 0..1000 {
        assert_eq!(r.push(&[b'7'; 64]), None);
        assert!(r.finder().line.len() <= MAX_FRAME);
    }
    assert_eq!(r.miss(), MissReason::Garbled);
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..12),
        prop::collection::vec(prop::sample::select(b":013AF\r\n".to_vec()), 0..12),
        (1u8..4, prop::collection::vec(any::<u16>(), 1..5)).prop_map(|(u, r)| reply(u, &r)),
        Just(frame(UnitId(1), &ask(1, 0, 2).pdu())),
        (1u8..4).prop_map(|u| frame(UnitId(u), &[0x83, 2])),
        (prop::collection::vec(any::<u16>(), 2), 0usize..19, 0u8..8).prop_map(|(r, at, bit)| {
            let mut spoiled = reply(1, &r);
            spoiled[at] ^= 1 << bit;
            spoiled
        }),
    ]
}

proptest! {
    #[test]
    fn frames_round_trip(unit in any::<u8>(), pdu in prop::collection::vec(any::<u8>(), 1..=253)) {
        prop_assert_eq!(open(&frame(UnitId(unit), &pdu)), Some((UnitId(unit), pdu)));
    }

    #[test]
    fn how_the_bytes_were_split_makes_no_difference(
        pieces in prop::collection::vec(piece(), 0..6),
        cut in 1usize..9,
    ) {
        let wire = pieces.concat();
        let in_chunks = hear_in_chunks::<Finder>(ask(1, 0, 2), &wire, cut);
        prop_assert_eq!(in_chunks, hear(ask(1, 0, 2), &wire));
    }

    /// A flipped bit may turn a capital into a small letter, which changes
    /// nothing; it never changes a value.
    #[test]
    fn a_single_flipped_bit_never_changes_a_value(
        sent in prop::collection::vec(any::<u16>(), 3),
        bit in 0usize..27 * 8,
    ) {
        let mut wire = reply(7, &sent);
        prop_assume!(bit / 8 < wire.len());
        wire[bit / 8] ^= 1 << (bit % 8);
        let got = registers(hear(ask(7, 0, 3), &wire).0);
        prop_assert!(got.is_none() || got == Some(sent));
    }

    #[test]
    fn a_foreign_unit_is_never_accepted(
        unit in 0u8..=255,
        pieces in prop::collection::vec(piece(), 0..6),
    ) {
        prop_assume!(!(1..4).contains(&unit));
        let (verdict, ..) = hear(ask(unit, 0, 2), &pieces.concat());
        prop_assert_eq!(registers(verdict), None);
    }
}
