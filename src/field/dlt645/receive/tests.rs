use proptest::prelude::*;

use super::*;
use crate::base::MissReason;
use crate::base::Value;
use crate::field::dlt645::ask::{DataIdentifier, MeterOperation, Part};
use crate::field::dlt645::frame::{Control, Edition};
use crate::field::dlt645::test_capture::bytes;
use crate::field::dlt645::{ValuePosition, item};
use crate::field::test_receiver::{self, Heard, hear_in_chunks};

fn meter(n: u8) -> MeterAddress {
    MeterAddress::from_wire([n, 0, 0, 0, 0, 0])
}

const VOLTAGE: DataIdentifier = DataIdentifier::Y2007(0x0201_0100);

fn ask(n: u8) -> MeterRequest {
    MeterRequest::read(meter(n), VOLTAGE, Some(2))
}

fn frame(n: u8, control: u8, data: &[u8]) -> Vec<u8> {
    Frame {
        address: meter(n),
        control: Control(control),
        data: data.to_vec(),
    }
    .seal()
}

fn reply(n: u8, value: [u8; 2]) -> Vec<u8> {
    frame(n, 0x91, &[0, 1, 1, 2, value[0], value[1]])
}

fn data(verdict: Option<ListeningEnd>) -> Option<Vec<u8>> {
    match verdict {
        Some(ListeningEnd::Reply(Reply::Answer(Part { data, .. }))) => Some(data),
        _ => None,
    }
}

fn hear(ask: MeterRequest, bytes: &[u8]) -> Heard<Finder> {
    test_receiver::hear::<Finder>(ask, bytes)
}

/// Captured exchanges with the values that their publishers read out of them:
/// hwhale.com/article/138066, mbb.eet-china.com/forum/topic/114707_1_1.html,
/// m.icode9.com/content-4-712469.html, kaledl.com/down/1493168.html, and the Heyuan ASDU-LS
/// manual p. 18 (1997).
#[test]
fn captured_replies_give_the_published_values() {
    use Edition::{Y1997, Y2007};
    let f = Value::Float;
    for (edition, address, name, wire, value) in [
        (
            Y2007,
            "000000000161",
            "energy-active-forward",
            "68 61 01 00 00 00 00 68 91 08 33 33 34 33 59 33 33 33 8A 16",
            f(0.26),
        ),
        (
            Y2007,
            "000000000161",
            "energy-active-reverse",
            "68 61 01 00 00 00 00 68 91 08 33 33 35 33 59 34 33 33 8C 16",
            f(1.26),
        ),
        (
            Y2007,
            "000000000161",
            "energy-reactive-1",
            "68 61 01 00 00 00 00 68 91 08 33 33 36 33 59 33 34 33 8D 16",
            f(100.26),
        ),
        (
            Y2007,
            "000000000161",
            "energy-reactive-2",
            "68 61 01 00 00 00 00 68 91 08 33 33 37 33 56 33 34 33 8B 16",
            f(100.23),
        ),
        (
            Y2007,
            "000000000161",
            "voltage-a",
            "FE FE 68 61 01 00 00 00 00 68 91 06 33 34 34 35 34 43 10 16",
            f(100.1),
        ),
        (
            Y2007,
            "000000000161",
            "current-a",
            "68 61 01 00 00 00 00 68 91 07 33 34 35 35 CC 7C 33 16 16",
            f(4.999),
        ),
        (
            Y2007,
            "000000000161",
            "power-active",
            "68 61 01 00 00 00 00 68 91 07 33 33 36 35 45 58 33 6B 16",
            f(0.2512),
        ),
        (
            Y2007,
            "000000000161",
            "power-reactive",
            "68 61 01 00 00 00 00 68 91 07 33 33 37 35 64 76 33 A9 16",
            f(0.4331),
        ),
        (
            Y2007,
            "000000000161",
            "power-apparent",
            "68 61 01 00 00 00 00 68 91 07 33 33 38 35 39 83 33 8C 16",
            f(0.5006),
        ),
        (
            Y2007,
            "000000000161",
            "power-factor",
            "68 61 01 00 00 00 00 68 91 06 33 33 39 35 34 38 09 16",
            f(0.501),
        ),
        (
            Y2007,
            "000102030425",
            "energy-active-forward",
            "68 25 04 03 02 01 00 68 91 08 33 33 34 33 75 39 45 33 8B 16",
            f(1206.42),
        ),
        (
            Y2007,
            "652022122003",
            "energy-active",
            "FE FE FE FE 68 03 20 12 22 20 65 68 91 08 33 33 33 33 33 33 33 33 DD 16",
            f(0.0),
        ),
        (
            Y2007,
            "002241020208",
            "meter-number",
            "68 08 02 02 41 22 00 68 91 0A 35 37 33 37 3B 35 35 74 55 33 51 16",
            Value::Text("002241020208".into()),
        ),
        (
            Y1997,
            "000000000003",
            "voltage-a",
            "68 03 00 00 00 00 00 68 81 04 44 E9 33 34 EC 16",
            Value::Int(100),
        ),
        (
            Y1997,
            "138000130754",
            "energy-active-forward",
            "68 54 07 13 00 80 13 68 81 06 43 C3 34 33 33 33 2B 16",
            f(0.01),
        ),
    ] {
        let item = item::find(edition, name).unwrap();
        let address = MeterAddress::parse(address).unwrap();
        let ask = MeterRequest::read(address, item.id, Some(item.bytes()));
        let got = data(Receiver::new(ask).push(&bytes(wire)));
        let got = got.unwrap_or_else(|| panic!("{name}: not taken at once"));
        assert_eq!(
            item.read(&got, ValuePosition::Value(0)),
            Ok(value),
            "{name}"
        );
    }
}

/// Two meters with four rates each, as logged by a handheld reader (2014-11-28) and in
/// the test of a parser: total, sharp, peak, flat and valley in one reply.
#[test]
fn published_blocks_of_rates_are_read_value_by_value() {
    let block = item::find(Edition::Y2007, "energy-active-forward-all").unwrap();
    for (address, wire, values) in [
        (
            "000000193600",
            "68 00 36 19 00 00 00 68 91 18 33 32 34 33 63 69 33 33 89 35 33 33 4C 33 33 33 6B 33 33 33 4A 66 33 33 E9 16",
            [36.3, 2.56, 0.19, 0.38, 33.17],
        ),
        (
            "000000000224",
            "FE FE FE FE 68 24 02 00 00 00 00 68 91 18 33 32 34 33 C7 47 35 33 37 86 33 33 A7 86 33 33 36 87 33 33 44 87 33 33 EB 16",
            [214.94, 53.04, 53.74, 54.03, 54.11],
        ),
    ] {
        // Asked by the meter's own address, and by the wildcard.
        for asked in [MeterAddress::parse(address).unwrap(), MeterAddress::ANY] {
            let ask = MeterRequest::read(asked, block.id, block.length());
            let got = data(Receiver::new(ask).push(&bytes(wire))).unwrap();
            for (which, value) in (0u8..).zip(values) {
                let read = block.read(&got, ValuePosition::Value(which));
                assert_eq!(read, Ok(Value::Float(value)), "{address} {which}");
            }
            let none = block.read(&got, ValuePosition::Value(5));
            assert_eq!(
                none,
                Err(crate::field::decode::point::NoValueReason::NotThere)
            );
        }
        // A block has no half values.
        let short = Frame::open(&bytes(wire)[bytes(wire).len() - 36..]).unwrap();
        for cut in [1, 2, 3, 20] {
            let mut short = short.clone();
            short.data.truncate(short.data.len() - cut);
            let ask = MeterRequest::read(MeterAddress::ANY, block.id, block.length());
            assert_eq!(ask.judge(&short), Reply::Stranger, "{cut}");
        }
    }
}

#[test]
fn a_wildcard_is_answered_by_whoever_it_means() {
    let ask = MeterRequest {
        address: MeterAddress::ANY,
        operation: MeterOperation::ReadAddress,
    };
    let wire = bytes("68 01 00 00 00 00 00 68 93 06 34 33 33 33 33 33 9D 16");
    assert_eq!(
        data(Receiver::new(ask).push(&wire)),
        Some(vec![1, 0, 0, 0, 0, 0])
    );
}

#[test]
fn wake_up_bytes_belong_to_the_frame_and_other_bytes_are_noise() {
    let good = reply(1, [5, 0x23]);
    for woken in 0..20 {
        let wire = [&vec![0xFE; woken], &good[..]].concat();
        let mut r = Receiver::new(ask(1));
        assert_eq!(data(r.push(&wire)), Some(vec![5, 0x23]));
        assert_eq!(r.traffic(), OtherTraffic::default());
    }
    for noise in [&[0][..], &[0xFF; 25], &[0x68], &[0x68, 0x68], &[0xFE, 0]] {
        let wire = [noise, &good].concat();
        let (verdict, traffic, _) = hear(ask(1), &wire);
        assert_eq!(data(verdict), Some(vec![5, 0x23]), "{noise:02x?}");
        assert_eq!(traffic.noise as usize, noise.len());
    }
    let (_, traffic, miss) = hear(ask(1), &[0xFE; 4]);
    assert_eq!((traffic.noise, miss), (4, MissReason::Garbled));
}

#[test]
fn a_reply_behind_noise_is_taken_when_it_ends_unless_a_longer_frame_may_have_begun() {
    let good = reply(1, [5, 0x23]);
    for noise in [&[0][..], &[0, 0xFF, 0x55], &[0x68, 0x68], &[0xFE, 0]] {
        let wire = [noise, &[0xFE, 0xFE], &good].concat();
        let mut r = Receiver::new(ask(1));
        assert_eq!(r.push(&wire[..wire.len() - 1]), None, "{noise:02x?}");
        let verdict = r.push(&wire[wire.len() - 1..]);
        assert_eq!(data(verdict), Some(vec![5, 0x23]), "{noise:02x?}");
        assert_eq!(r.traffic().noise as usize, noise.len());
    }
    let begun = frame(2, 0x91, &[7; 60]);
    let wire = [&begun[..12], &good].concat();
    let mut r = Receiver::new(ask(1));
    assert_eq!(r.push(&wire), None);
    assert_eq!(data(r.silence()), Some(vec![5, 0x23]));
}

#[test]
fn strangers_and_echoes_are_recognised_and_the_wait_goes_on() {
    let mut r = Receiver::new(ask(1));
    let mut echo = vec![0xFE; 4];
    echo.extend(ask(1).frame().seal());
    assert_eq!(r.push(&echo), None);
    assert_eq!(r.miss(), MissReason::Silence);
    assert_eq!(r.push(&reply(2, [1, 2])), None);
    assert_eq!(r.push(&frame(1, 0x91, &[0, 2, 1, 2, 1, 2])), None);
    assert_eq!(r.push(&ask(3).frame().seal()), None);
    assert_eq!(r.miss(), MissReason::Foreign);
    assert_eq!(data(r.push(&reply(1, [8, 9]))), Some(vec![8, 9]));
    let traffic = r.traffic();
    assert_eq!((traffic.echoes, traffic.foreign), (1, 3));
    assert_eq!(
        traffic.overheard,
        [2, 1].map(|n| BusAddress::Dlt645(meter(n)))
    );
}

#[test]
fn a_reply_inside_a_longer_foreign_frame_is_not_taken() {
    let inner: Vec<u8> = reply(1, [6, 6])
        .iter()
        .map(|b| b.wrapping_sub(0x33))
        .collect();
    let outer = frame(9, 0x91, &[&[0, 0, 0x30, 3][..], &inner].concat());
    assert!(outer.windows(18).any(|w| w == reply(1, [6, 6])));
    let (verdict, traffic, miss) = hear(ask(1), &outer);
    assert_eq!(verdict, None);
    assert_eq!(
        (traffic.overheard, miss),
        (vec![BusAddress::Dlt645(meter(9))], MissReason::Foreign)
    );
}

#[test]
fn a_spoiled_reply_ends_the_wait_at_the_next_silence() {
    let good = [&[0xFE; 4], &reply(1, [5, 6])[..]].concat();
    let mut bent = good.clone();
    bent[18] ^= 1;
    assert_eq!(hear(ask(1), &bent).0, Some(ListeningEnd::Spoiled));
    assert_eq!(hear(ask(1), &good[..20]).0, Some(ListeningEnd::Spoiled));
    let (verdict, _, miss) = hear(ask(1), &good[..12]);
    assert_eq!((verdict, miss), (None, MissReason::Garbled));
}

#[test]
fn a_babbling_line_is_bounded() {
    let mut r = Receiver::new(ask(1));
    for _ in 0..1000 {
        r.push(&[0xFE; 64]);
        r.push(&[0x68; 64]);
        assert!(r.finder().unread.len() <= MAX_BURST);
    }
    assert_eq!(r.miss(), MissReason::Garbled);
}

/// Returns pieces of what a hostile line may send.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..12),
        prop::collection::vec(prop::sample::select(vec![0u8, 0x68, 0x16, 0xFE]), 0..12),
        (1u8..4, any::<[u8; 2]>()).prop_map(|(n, v)| reply(n, v)),
        (1u8..4, any::<u8>()).prop_map(|(n, w)| frame(n, 0xD1, &[w])),
        (
            1u8..4,
            any::<u8>(),
            prop::collection::vec(any::<u8>(), 0..30)
        )
            .prop_map(|(n, c, d)| frame(n, c, &d)),
        Just(ask(1).frame().seal()),
        (any::<[u8; 2]>(), 0usize..18, 0u8..8).prop_map(|(v, at, bit)| {
            let mut spoiled = reply(1, v);
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
        let in_chunks = hear_in_chunks::<Finder>(ask(1), &wire, cut);
        prop_assert_eq!(in_chunks, hear(ask(1), &wire));
    }

    #[test]
    fn an_accepted_reply_was_on_the_wire_as_a_whole_good_frame(
        pieces in prop::collection::vec(piece(), 0..6),
    ) {
        let wire = pieces.concat();
        if let Some(got) = data(hear(ask(1), &wire).0) {
            let whole = reply(1, [got[0], got[1]]);
            prop_assert!(wire.windows(whole.len()).any(|w| w == whole));
        }
    }

    /// Spoiled wake-up bytes do no harm; every other flipped bit is found.
    #[test]
    fn a_single_flipped_bit_never_changes_a_value(
        value in any::<[u8; 2]>(),
        woken in 0usize..5,
        bit in any::<prop::sample::Index>(),
    ) {
        let mut wire = [&vec![0xFE; woken], &reply(7, value)[..]].concat();
        let bit = bit.index(wire.len() * 8);
        wire[bit / 8] ^= 1 << (bit % 8);
        let got = data(hear(ask(7), &wire).0);
        prop_assert!(got.is_none() || (bit / 8 < woken && got == Some(value.to_vec())));
    }

    #[test]
    fn a_foreign_meter_is_never_accepted(pieces in prop::collection::vec(piece(), 0..6)) {
        let (verdict, ..) = hear(ask(9), &pieces.concat());
        prop_assert!(!matches!(verdict, Some(ListeningEnd::Reply(_))));
    }
}
