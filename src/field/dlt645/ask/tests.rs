use super::*;
use crate::field::dlt645::test_capture::bytes;

fn meter(text: &str) -> MeterAddress {
    MeterAddress::parse(text).unwrap()
}

const FORWARD: DataIdentifier = DataIdentifier::Y2007(0x0001_0000);

#[test]
fn published_requests_are_built() {
    let own = meter("123456789012");
    for (source, ask, wire) in [
        (
            "hwhale.com/article/138066: reverse active energy",
            MeterRequest::read(
                meter("000000000161"),
                DataIdentifier::Y2007(0x0002_0000),
                Some(4),
            ),
            "68 61 01 00 00 00 00 68 11 04 33 33 35 33 15 16",
        ),
        (
            "a C# test suite calculated by hand: to any meter",
            MeterRequest::read(MeterAddress::ANY, FORWARD, Some(4)),
            "68 AA AA AA AA AA AA 68 11 04 33 33 34 33 AE 16",
        ),
        (
            "the same: the first follow-on frame",
            MeterRequest {
                address: own,
                operation: MeterOperation::Follow {
                    id: DataIdentifier::Y2007(0x0330_0001),
                    number: 1,
                },
            },
            "68 12 90 78 56 34 12 68 12 05 34 33 63 36 34 D1 16",
        ),
        (
            "manualshive.com, Heyuan ASDU-LS p. 18: 1997, voltage",
            MeterRequest::read(
                meter("000000000003"),
                DataIdentifier::Y1997(0xB611),
                Some(2),
            ),
            "68 03 00 00 00 00 00 68 01 02 44 E9 03 16",
        ),
    ] {
        assert_eq!(ask.frame().seal(), bytes(wire), "{source}");
    }
}

fn reply(address: &str, control: u8, data: &[u8]) -> Frame {
    Frame {
        address: meter(address),
        control: Control(control),
        data: data.to_vec(),
    }
}

#[test]
fn only_the_exact_reply_is_an_answer() {
    let ask = MeterRequest::read(meter("000000000161"), FORWARD, Some(4));
    let good = reply("000000000161", 0x91, &[0, 0, 1, 0, 0x26, 0, 0, 0]);
    assert!(matches!(ask.judge(&good), Reply::Answer(_)));
    for (frame, why) in [
        (reply("000000000162", 0x91, &good.data), "of another meter"),
        (
            reply("000000000161", 0x91, &[0, 0, 2, 0, 0x26, 0, 0, 0]),
            "another datum",
        ),
        (
            reply("000000000161", 0x91, &good.data[..7]),
            "short of its value",
        ),
        (reply("000000000161", 0x91, &good.data[..4]), "no value"),
        (reply("000000000161", 0x91, &[]), "no data at all"),
        (
            reply("000000000161", 0xB1, &good.data),
            "part of a value that fits into one frame",
        ),
        (reply("000000000161", 0x81, &good.data), "of the other year"),
        (reply("000000000161", 0x92, &good.data), "another function"),
        (reply("000000000161", 0x11, &good.data), "from a master"),
        (
            reply("000000000161", 0xD1, &[2, 0]),
            "a refusal with a tail",
        ),
        (reply("000000000161", 0xD1, &[]), "a refusal without a word"),
    ] {
        assert_eq!(ask.judge(&frame), Reply::Stranger, "{why}");
    }
}

#[test]
fn a_refusal_is_told_in_the_words_of_its_year() {
    let refusal = Frame::open(&bytes("68 18 55 60 06 00 00 68 D1 01 35 AA 16")).unwrap();
    let ask = MeterRequest::read(meter("000006605518"), FORWARD, Some(4));
    let Reply::Refusal(word) = ask.judge(&refusal) else {
        panic!("not a refusal");
    };
    assert_eq!(word.to_string(), "no such data");
    let both = ErrorWord {
        edition: Edition::Y1997,
        bits: 0b110,
    };
    assert_eq!(both.to_string(), "no such identifier, wrong password");
    let none = ErrorWord { bits: 0, ..both };
    assert_eq!(none.to_string(), "no reason given");
}

#[test]
fn a_meter_that_says_its_address_must_say_the_same_twice() {
    let ask = MeterRequest {
        address: MeterAddress::ANY,
        operation: MeterOperation::ReadAddress,
    };
    let good = Frame::open(&bytes(
        "68 08 02 02 41 22 00 68 93 06 3B 35 35 74 55 33 79 16",
    ))
    .unwrap();
    let Reply::Answer(part) = ask.judge(&good) else {
        panic!("not an answer");
    };
    assert_eq!(part.from, meter("002241020208"));
    let own = MeterRequest {
        address: part.from,
        ..ask
    };
    let mut other = good.clone();
    other.data[0] = 9;
    assert!(matches!(own.judge(&good), Reply::Answer(_)));
    assert_eq!(own.judge(&other), Reply::Stranger);
}

#[test]
fn a_write_is_answered_by_an_empty_frame() {
    let ask = MeterRequest {
        address: meter("000000000161"),
        operation: MeterOperation::Write {
            id: DataIdentifier::Y2007(0x0400_0102),
            access: WriteAccess::parse("02000000", "04030201").unwrap(),
            data: vec![0x34, 0x56, 0x05],
        },
    };
    assert_eq!(ask.frame().control, Control(0x14));
    assert_eq!(
        ask.frame().data,
        [2, 1, 0, 4, 2, 0, 0, 0, 1, 2, 3, 4, 0x34, 0x56, 0x05]
    );
    let done = reply("000000000161", 0x94, &[]);
    assert!(matches!(ask.judge(&done), Reply::Answer(_)));
    let talkative = reply("000000000161", 0x94, &[0]);
    assert_eq!(ask.judge(&talkative), Reply::Stranger);
}

/// What `dlt645` 3.2.0 (pypi.org/project/dlt645) sends for `write_04(0x04000306, "000080",
/// "02000000")`: the ratio of the current transformers.
#[test]
fn a_write_is_what_another_program_sends() {
    let ask = MeterRequest {
        address: meter("000000000161"),
        operation: MeterOperation::Write {
            id: DataIdentifier::Y2007(0x0400_0306),
            access: WriteAccess::parse("02000000", "00000000").unwrap(),
            data: vec![0x80, 0, 0],
        },
    };
    let sent = "68 61 01 00 00 00 00 68 14 0F 39 36 33 37 35 33 33 33 33 33 33 33 B3 33 33 E1 16";
    assert_eq!(ask.frame().seal(), bytes(sent));
}

/// Puts the parts of a long datum together by sending the returned requests.
fn join(edition: Edition, bytes: Option<usize>, parts: &[&[u8]]) -> Option<Vec<u8>> {
    let (id, wire, read, follow) = match edition {
        Edition::Y2007 => (
            DataIdentifier::Y2007(0x0330_0001),
            vec![1, 0, 0x30, 3],
            0x91,
            0x92,
        ),
        Edition::Y1997 => (DataIdentifier::Y1997(0x901F), vec![0x1F, 0x90], 0x81, 0x82),
    };
    let from = meter("000000000161");
    let mut ask = MeterRequest::read(MeterAddress::ANY, id, bytes);
    let mut reassembly: Option<Reassembly> = None;
    for (i, part) in parts.iter().enumerate() {
        let more = if i + 1 < parts.len() { 0x20 } else { 0 };
        let mut data = [&wire, *part].concat();
        let control = if i == 0 { read } else { follow };
        if i > 0 && edition == Edition::Y2007 {
            data.push(i as u8);
        }
        let frame = Frame {
            address: from,
            control: Control(control | more),
            data,
        };
        let Reply::Answer(part) = ask.judge(&frame) else {
            return None;
        };
        let reassembled = match reassembly.take() {
            None => Reassembly::begin(id, bytes, part),
            Some(reassembly) => reassembly.go_on(part),
        };
        match reassembled {
            ReassemblyResult::Whole(data) => return Some(data),
            ReassemblyResult::Next(next, rest) => (ask, reassembly) = (next, Some(rest)),
            ReassemblyResult::Unfit => return None,
        }
    }
    None
}

#[test]
fn follow_on_frames_are_joined_in_order() {
    for edition in [Edition::Y1997, Edition::Y2007] {
        let parts: [&[u8]; 3] = [&[1, 2, 3], &[4, 5], &[6]];
        for bytes in [None, Some(6)] {
            let whole = join(edition, bytes, &parts);
            assert_eq!(whole, Some(vec![1, 2, 3, 4, 5, 6]));
        }
        assert_eq!(join(edition, None, &parts[..1]), Some(vec![1, 2, 3]));
        for other in [2, 3, 5, 7] {
            assert_eq!(join(edition, Some(other), &parts), None);
        }
    }
}

#[test]
fn a_follow_on_frame_with_another_number_is_a_stranger() {
    let ask = MeterRequest {
        address: meter("000000000161"),
        operation: MeterOperation::Follow {
            id: DataIdentifier::Y2007(0x0330_0001),
            number: 2,
        },
    };
    let frame = |number| reply("000000000161", 0x92, &[1, 0, 0x30, 3, 7, 7, number]);
    assert_eq!(ask.judge(&frame(1)), Reply::Stranger);
    assert!(matches!(ask.judge(&frame(2)), Reply::Answer(_)));
}

#[test]
fn a_datum_without_an_end_is_given_up() {
    let part = Part {
        from: meter("000000000161"),
        data: vec![0; 1],
        more: true,
    };
    // As many frames as the data need at most, however few bytes each brings.
    for (bytes, most) in [(None, 178), (Some(4), 2), (Some(100), 6)] {
        let mut reassembled = Reassembly::begin(FORWARD, bytes, part.clone());
        let mut asked = 0u32;
        while let ReassemblyResult::Next(ask, reassembly) = reassembled {
            asked += 1;
            assert_eq!(
                ask.operation,
                MeterOperation::Follow {
                    id: FORWARD,
                    number: asked as u8
                }
            );
            reassembled = reassembly.go_on(part.clone());
        }
        assert_eq!(
            (reassembled, asked),
            (ReassemblyResult::Unfit, most),
            "{bytes:?}"
        );
    }
}

/// "More follows" and nothing in it, again and again: each such frame would be a request.
#[test]
fn a_follow_on_frame_without_data_is_a_stranger() {
    for (id, control, empty, full) in [
        (
            DataIdentifier::Y2007(0x0330_0001),
            0x92,
            &[1, 0, 0x30, 3, 1][..],
            &[1, 0, 0x30, 3, 7, 1][..],
        ),
        (
            DataIdentifier::Y1997(0x901F),
            0x82,
            &[0x1F, 0x90],
            &[0x1F, 0x90, 7],
        ),
    ] {
        let ask = MeterRequest {
            address: meter("000000000161"),
            operation: MeterOperation::Follow { id, number: 1 },
        };
        for more in [0, 0x20] {
            let frame = |data| reply("000000000161", control | more, data);
            assert_eq!(ask.judge(&frame(empty)), Reply::Stranger);
            assert!(matches!(ask.judge(&frame(full)), Reply::Answer(_)));
        }
    }
}

#[test]
fn a_datum_that_is_whole_and_goes_on_is_unfit() {
    let part = |more| Part {
        from: meter("000000000161"),
        data: vec![1, 2],
        more,
    };
    let begun = || Reassembly::begin(FORWARD, Some(4), part(true));
    let (ReassemblyResult::Next(_, one), ReassemblyResult::Next(_, other)) = (begun(), begun())
    else {
        panic!()
    };
    assert_eq!(one.go_on(part(true)), ReassemblyResult::Unfit);
    assert_eq!(
        other.go_on(part(false)),
        ReassemblyResult::Whole(vec![1, 2, 1, 2])
    );
}

/// A byte lost in each of two frames leaves a whole number of values.
#[test]
fn a_block_in_several_frames_has_all_its_values_or_none() {
    let phases = Length::Values { each: 2, most: 3 };
    let join = |length: Length, parts: [&[u8]; 2]| {
        let part = |data: &[u8], more| Part {
            from: meter("000000000161"),
            data: data.to_vec(),
            more,
        };
        match Reassembly::begin(FORWARD, length, part(parts[0], true)) {
            ReassemblyResult::Next(_, reassembly) => reassembly.go_on(part(parts[1], false)),
            other => other,
        }
    };
    let whole = join(phases, [&[1, 2, 3], &[4, 5, 6]]);
    assert_eq!(whole, ReassemblyResult::Whole(vec![1, 2, 3, 4, 5, 6]));
    assert_eq!(join(phases, [&[1, 2], &[4, 5]]), ReassemblyResult::Unfit);
    assert_eq!(
        join(phases, [&[1, 2, 3, 4], &[5, 6, 7, 8]]),
        ReassemblyResult::Unfit
    );
    let rates = Length::Values { each: 4, most: 64 };
    assert_eq!(
        join(rates, [&[1, 2, 3], &[4, 5, 6, 7, 8]]),
        ReassemblyResult::Unfit
    );
}
