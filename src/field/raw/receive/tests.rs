use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::base::MissReason;
use crate::field::raw::check::{Check, CheckForm, Sum};
use crate::field::raw::reply::Fixed;
use crate::field::test_receiver::{self, Heard, hear_in_chunks};

fn fixed(at: usize, bytes: &[u8]) -> Fixed {
    let bytes = bytes.to_vec();
    Fixed { at, bytes }
}

/// Returns the reply of a DCON module: `#01\r` is answered by `>+025.12-001.50` and a sum.
fn dcon() -> ReplyMarks {
    ReplyMarks {
        end: ReplyEnd::Terminator(b"\r".to_vec()),
        fixed: vec![fixed(0, b">")],
        check: Some(Check {
            sum: Sum::Sum8,
            written: CheckForm::Hex,
            from: 0,
        }),
        behind_check: 1,
        preamble: None,
    }
}

fn dcon_reply(text: &str) -> Vec<u8> {
    let mut out = [b">", text.as_bytes()].concat();
    let sum = out.iter().fold(0u8, |s, b| s.wrapping_add(*b));
    out.extend(format!("{sum:02X}\r").bytes());
    out
}

/// Returns the reply of a binary protocol: five bytes, AAh first, a CRC last.
fn counted() -> ReplyMarks {
    ReplyMarks {
        end: ReplyEnd::Length(5),
        fixed: vec![fixed(0, &[0xAA]), fixed(1, &[7])],
        check: Some(Check {
            sum: Sum::Crc16Modbus,
            written: CheckForm::Low,
            from: 0,
        }),
        behind_check: 0,
        preamble: None,
    }
}

fn counted_reply(unit: u8, value: u8) -> Vec<u8> {
    let check = counted().check.unwrap();
    let mut out = vec![0xAA, unit, value];
    out.extend(check.seal(&out));
    out
}

fn quiet() -> ReplyMarks {
    ReplyMarks {
        end: ReplyEnd::Silence(Duration::from_millis(20)),
        fixed: vec![fixed(2, b"=")],
        check: None,
        behind_check: 0,
        preamble: None,
    }
}

fn hear(shape: &ReplyMarks, request: &[u8], bytes: &[u8]) -> Heard<Finder> {
    test_receiver::hear::<Finder>((shape.clone(), request), bytes)
}

fn taken(verdict: Option<ListeningEnd>) -> Option<Vec<u8>> {
    match verdict {
        Some(ListeningEnd::Reply(reply)) => Some(reply),
        _ => None,
    }
}

#[test]
fn a_reply_ends_by_terminator_length_or_silence() {
    let mut r = Receiver::new((dcon(), b"#01\r"));
    let reply = dcon_reply("+025.12");
    assert_eq!(taken(r.push(&reply)), Some(reply));

    let mut r = Receiver::new((counted(), &[0x55, 7]));
    let reply = counted_reply(7, 42);
    assert_eq!(taken(r.push(&reply)), Some(reply));

    let mut r = Receiver::new((quiet(), b"T?"));
    assert_eq!(r.push(b"OK=12"), None);
    assert_eq!(taken(r.silence()), Some(b"OK=12".to_vec()));
}

#[test]
fn noise_in_front_is_skipped_where_a_beginning_is_fixed() {
    let reply = counted_reply(7, 42);
    let wire = [&[0, 0xFF, 0x55], &reply[..]].concat();
    let (verdict, traffic, _) = hear(&counted(), &[0x55, 7, 9], &wire);
    assert_eq!((taken(verdict), traffic.noise), (Some(reply), 3));

    // Without fixed first bytes, the reply begins where the line begins to speak.
    let (verdict, ..) = hear(&quiet(), b"T?", b"\0OK=12");
    assert_eq!(verdict, Some(ListeningEnd::Spoiled));
}

#[test]
fn what_wakes_the_other_side_up_is_no_noise() {
    let woken = ReplyMarks {
        preamble: Some(0xFE),
        ..counted()
    };
    let reply = counted_reply(7, 42);
    for (before, noise) in [
        (&[][..], 0),
        (&[0xFE], 0),
        (&[0xFE; 20], 0),
        (&[0xFF, 0xFE, 0xFE], 1),
        (&[0xFE, 0xFF], 2),
    ] {
        let wire = [before, &reply].concat();
        let (verdict, traffic, _) = hear(&woken, &[0x55, 7, 9], &wire);
        assert_eq!(taken(verdict).as_deref(), Some(&reply[..]));
        assert_eq!(traffic.noise, noise, "{before:02x?}");
    }
}

#[test]
fn our_own_echo_is_never_a_reply() {
    let anything = ReplyMarks {
        fixed: vec![],
        ..quiet()
    };
    assert!(!anything.can_tell());
    for cut in 0..=4 {
        let (verdict, traffic, _) = hear(&anything, b"READ", &b"READ"[..cut]);
        assert_eq!((verdict, traffic.echoes), (None, u32::from(cut == 4)));
    }
    let (verdict, traffic, _) = hear(&anything, b"READ", b"READ12");
    assert_eq!((taken(verdict), traffic.echoes), (Some(b"12".to_vec()), 1));
}

#[test]
fn what_ends_like_a_reply_and_is_none_ends_the_wait() {
    let mut bent = dcon_reply("+025.12");
    bent[3] ^= 1;
    assert_eq!(
        hear(&dcon(), b"#01\r", &bent).0,
        Some(ListeningEnd::Spoiled)
    );
    let other = counted_reply(8, 42);
    assert_eq!(hear(&counted(), &[], &other).0, Some(ListeningEnd::Spoiled));
    let (verdict, _, miss) = hear(&counted(), &[], &other[..3]);
    assert_eq!((verdict, miss), (None, MissReason::Garbled));
    assert_eq!(hear(&counted(), &[], &[]).2, MissReason::Silence);
}

#[test]
fn a_babbling_line_is_bounded_and_its_tail_no_reply() {
    let mut r = Receiver::new((dcon(), b"#01\r"));
    for _ in 0..100 {
        assert_eq!(r.push(&[b'x'; 64]), None);
        assert!(r.finder().0.as_ref().unwrap().unread.len() <= LONGEST);
    }
    let reply = dcon_reply("+1");
    assert_eq!(r.push(&reply), None);
    assert_eq!(r.silence(), None);
    assert_eq!(taken(r.push(&reply)), Some(reply));
}

fn shape() -> impl Strategy<Value = ReplyMarks> {
    prop_oneof![Just(dcon()), Just(counted()), Just(quiet())]
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..12),
        prop::collection::vec(prop::sample::select(b">=\r\xAA\x07#01".to_vec()), 0..12),
        Just(b"#01\r".to_vec()),
        "[+-][0-9]{3}\\.[0-9]{2}".prop_map(|t| dcon_reply(&t)),
        (6u8..9, any::<u8>()).prop_map(|(unit, value)| counted_reply(unit, value)),
    ]
}

proptest! {
    #[test]
    fn how_the_bytes_were_split_makes_no_difference(
        shape in shape(),
        pieces in prop::collection::vec(piece(), 0..6),
        cut in 1usize..9,
    ) {
        let wire = pieces.concat();
        let at_once = hear(&shape, b"#01\r", &wire);
        let in_chunks = hear_in_chunks::<Finder>((shape, b"#01\r"), &wire, cut);
        prop_assert_eq!(in_chunks, at_once);
    }

    #[test]
    fn what_is_accepted_fits_and_was_on_the_wire(
        shape in shape(),
        pieces in prop::collection::vec(piece(), 0..6),
    ) {
        let wire = pieces.concat();
        if let Some(reply) = taken(hear(&shape, b"#01\r", &wire).0) {
            prop_assert!(shape.fits(&reply));
            prop_assert!(wire.windows(reply.len()).any(|w| w == reply));
        }
    }

    #[test]
    fn a_single_flipped_bit_is_never_accepted(value in any::<u8>(), bit in 0usize..40) {
        let mut wire = counted_reply(7, value);
        wire[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(taken(hear(&counted(), &[], &wire).0), None);
    }

    #[test]
    fn a_foreign_unit_is_never_accepted(unit in any::<u8>(), value in any::<u8>()) {
        prop_assume!(unit != 7);
        let wire = counted_reply(unit, value);
        prop_assert_eq!(taken(hear(&counted(), &[], &wire).0), None);
    }
}
