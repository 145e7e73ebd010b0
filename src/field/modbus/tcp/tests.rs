//! Frames in streams that are as they should be, and in those that are not.

use proptest::prelude::*;

use super::*;
use crate::field::modbus::{Data, ReadRequest, test_reads};

fn ask(unit: u8, count: u16) -> ReadRequest {
    test_reads::ask(unit, 4, count)
}

fn completed(id: u16, registers: &[u16]) -> Vec<Completed> {
    let reply = Reply::Answer(Data::Registers(registers.to_vec()));
    vec![Completed { id, reply }]
}

fn exception(id: u16, code: u8) -> Vec<Completed> {
    let reply = Reply::Exception(code);
    vec![Completed { id, reply }]
}

fn stranger(id: u16) -> Vec<Completed> {
    let reply = Reply::Stranger;
    vec![Completed { id, reply }]
}

/// Returns a connection that waits for one register of unit 1 under id 0.
fn waits() -> Stream {
    let mut s = Stream::new();
    s.send(ask(1, 1));
    s
}

/// Returns a frame with this in its length field.
fn lying(id: u16, length: u16, pdu: &[u8]) -> Vec<u8> {
    let mut frame = frame(id, UnitId(1), pdu);
    frame[4..6].copy_from_slice(&length.to_be_bytes());
    frame
}

/// Modbus Messaging on TCP/IP V1.0b §4.4.2.2: the worked example of a
/// request ADU (transaction 15 01h, read one register at 4, unit FFh).
#[test]
fn the_standards_example_is_built() {
    let request = frame(0x1501, UnitId(0xFF), &ask(0xFF, 1).pdu());
    assert_eq!(
        request,
        [0x15, 0x01, 0, 0, 0, 6, 0xFF, 0x03, 0x00, 0x04, 0x00, 0x01]
    );
}

#[test]
fn replies_are_matched_by_their_transaction_and_late_ones_dropped() {
    let mut s = Stream::new();
    s.send(ask(1, 1));
    s.send(ask(1, 1));
    let late = frame(0, UnitId(1), &[3, 2, 0, 7]);
    let good = frame(1, UnitId(1), &[3, 2, 0, 9]);
    assert_eq!(s.push(&late), []);
    assert_eq!(s.push(&good), completed(1, &[9]));
    assert_eq!(s.late(), 1);
    assert_eq!(s.traffic().overheard, [BusAddress::Modbus(UnitId(1))]);
}

#[test]
fn the_right_transaction_from_the_wrong_unit_is_a_stranger() {
    let wrong = frame(0, UnitId(2), &[3, 2, 0, 7]);
    assert_eq!(waits().push(&wrong), stranger(0));
}

#[test]
fn only_headers_that_cannot_be_are_out_of_step() {
    for bad in [
        [0, 0, 0, 1, 0, 6],
        [0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 255],
        [0, 0, 0, 0, 1, 2],
    ] {
        assert_eq!(take(&mut bad.to_vec()), Err(OutOfStep), "{bad:?}");
        // The reply behind them is found.
        let mut s = waits();
        assert_eq!(s.push(&bad), [], "{bad:?}");
        let reply = frame(0, UnitId(1), &[3, 2, 0, 9]);
        assert_eq!(s.push(&reply), completed(0, &[9]), "{bad:?}");
    }
}

#[test]
fn an_id_still_unanswered_is_not_used_again() {
    let mut s = Stream::new();
    s.send(ask(1, 1));
    s.abandon_all();
    s.next = 0;
    assert_eq!(s.send(ask(1, 1))[..2], [0, 1]);
}

#[test]
fn an_exception_is_nine_bytes_whatever_its_length_says() {
    for length in [0, 1, 2, 3, 4, 6, 9, 254, 255, 0x0300, 0xFFFF] {
        let mut s = waits();
        let refusal = lying(0, length, &[0x83, 2]);
        assert_eq!(s.push(&refusal), exception(0, 2), "{length}");
        // The next reply is there, with or without what was promised before it.
        for padding in [0, 1, 3] {
            s.push(&vec![0; padding]);
            s.send(ask(1, 1));
            let id = s.next_number() - 1;
            let next = frame(id, UnitId(1), &[3, 2, 0, 9]);
            assert_eq!(s.push(&next), completed(id, &[9]), "{length} {padding}");
        }
    }
}

#[test]
fn a_reply_that_is_padded_counts_at_once() {
    for length in [6, 7, 13, 254, 300] {
        let mut s = waits();
        let mut padded = lying(0, length, &[3, 2, 0, 9]);
        assert_eq!(s.push(&padded), completed(0, &[9]), "{length}");
        let mut s = waits();
        padded.extend([0xAB, 0xCD]);
        assert_eq!(s.push(&padded), completed(0, &[9]), "{length}");
    }
    // A checksum behind the frame that its length does not count.
    let mut s = waits();
    let mut checked = frame(0, UnitId(1), &[3, 2, 0, 9]);
    checked.extend([0xAB, 0xCD]);
    assert_eq!(s.push(&checked), completed(0, &[9]));
    s.send(ask(1, 1));
    let next = frame(1, UnitId(1), &[3, 2, 0, 10]);
    assert_eq!(s.push(&next), completed(1, &[10]));
}

#[test]
fn a_reply_that_says_too_little_counts_when_nothing_follows() {
    for length in [2, 3, 4, 0, 1] {
        let mut s = waits();
        let short = lying(0, length, &[3, 2, 0, 9]);
        let mut got = s.push(&short);
        if length >= 2 {
            assert_eq!(got, [], "{length}");
            assert!(s.is_reading());
            got = s.silence();
        }
        assert_eq!(got, completed(0, &[9]), "{length}");
        assert!(!s.is_reading());
    }
    // The bytes that follow show that it was cut off: the last byte is another frame's.
    let mut s = waits();
    let mut cut = lying(0, 4, &[3, 2, 0]);
    cut.extend(frame(9, UnitId(1), &[3, 2, 0, 7]));
    assert_eq!(s.push(&cut), stranger(0));
    // Or they show that it was not.
    let mut s = waits();
    let mut whole = lying(0, 4, &[3, 2, 0, 9]);
    whole.extend([0xFF; 8]);
    assert_eq!(s.push(&whole), completed(0, &[9]));
}

#[test]
fn a_reply_that_ends_before_its_byte_count_is_none() {
    let mut s = Stream::new();
    s.send(ask(1, 10));
    let cut = frame(0, UnitId(1), &[3, 20, 0, 1, 0, 2]);
    assert_eq!(s.push(&cut), []);
    assert_eq!(s.silence(), stranger(0));
}

#[test]
fn a_reply_completed_by_the_beginning_of_another_is_none() {
    for cut in 1..=4 {
        let mut s = Stream::new();
        s.send(ask(1, 10));
        s.send(ask(1, 10));
        let mut data = vec![3, 20];
        data.extend([0x11; 20]);
        let mut wire = frame(1, UnitId(1), &data);
        wire.truncate(wire.len() - 2 * cut);
        wire.extend(frame(0, UnitId(1), &data));
        let whole = s.clone().push(&wire);
        assert_eq!(whole, stranger(1), "{cut}");
        // However the bytes were split.
        for at in 1..wire.len() {
            let mut s = s.clone();
            let mut got = s.push(&wire[..at]);
            got.extend(s.push(&wire[at..]));
            assert_eq!(got, whole, "{cut} {at}");
        }
    }
}

#[test]
fn a_length_that_promises_too_much_hides_nothing() {
    // The bytes look like a header, and 200 bytes will never come.
    let mut s = waits();
    assert_eq!(s.push(&[7, 7, 0, 0, 0, 200, 9, 3, 1]), []);
    let reply = frame(0, UnitId(1), &[3, 2, 0, 9]);
    assert_eq!(s.push(&reply[..5]), []);
    assert_eq!(s.push(&reply[5..]), completed(0, &[9]));
}

#[test]
fn a_reply_that_was_cut_off_does_not_swallow_the_next() {
    let mut s = Stream::new();
    s.send(ask(1, 10));
    let mut data = vec![3, 20];
    data.extend([0x11; 20]);
    let cut = &frame(0, UnitId(1), &data)[..15];
    assert_eq!(s.push(cut), []);
    s.send(ask(1, 10));
    let next = frame(1, UnitId(1), &data);
    let mut whole = s.clone();
    assert_eq!(whole.push(&next), completed(1, &[0x1111; 10]));
    for at in 8..next.len() {
        let mut s = s.clone();
        let mut got = s.push(&next[..at]);
        got.extend(s.push(&next[at..]));
        assert_eq!(got, completed(1, &[0x1111; 10]), "{at}");
    }
}

#[test]
fn a_reply_under_another_number_is_named() {
    let mut s = waits();
    assert_eq!(s.push(&frame(2, UnitId(1), &[3, 2, 0, 9])), []);
    let traffic = s.traffic();
    let other = OtherId { seen: 2, wanted: 0 };
    assert_eq!((traffic.foreign, traffic.other_id), (1, Some(other)));
    // A frame of another length is not the reply under any number.
    assert_eq!(s.push(&frame(3, UnitId(1), &[3, 4, 0, 9, 0, 9])), []);
    assert_eq!(s.traffic().other_id, None);
}

#[test]
fn any_number_will_do_if_that_is_said() {
    let mut s = Stream::numbering_from(5, TransactionIds::Any);
    for id in [0, 77, 0xFFFF] {
        let (own, _) = s.ask(ask(1, 1));
        let reply = frame(id, UnitId(1), &[3, 2, 0, 9]);
        assert_eq!(s.push(&reply), completed(own, &[9]));
        let (own, _) = s.ask(ask(1, 1));
        let refusal = frame(id, UnitId(1), &[0x83, 2]);
        assert_eq!(s.push(&refusal), exception(own, 2));
    }
    // Not from another unit, with another function, or of another length.
    s.ask(ask(1, 1));
    for (unit, pdu) in [
        (2, &[3, 2, 0, 9][..]),
        (1, &[4, 2, 0, 9]),
        (1, &[3, 4, 0, 9, 0, 9]),
    ] {
        assert_eq!(s.push(&frame(7, UnitId(unit), pdu)), []);
    }
    let traffic = s.traffic();
    assert_eq!(traffic.foreign, 3);
    assert_eq!(
        traffic.overheard,
        [BusAddress::Modbus(UnitId(2)), BusAddress::Modbus(UnitId(1))]
    );
    // One request at a time.
    s.ask(ask(2, 1));
    assert_eq!(s.waiting.len(), 1);
}

#[test]
fn several_are_completed_in_any_order() {
    let mut s = Stream::new();
    let ids: Vec<u16> = (1..=4).map(|unit| s.ask(ask(unit, 1)).0).collect();
    assert_eq!(ids, [0, 1, 2, 3]);
    let reply = |id: u16| frame(id, UnitId(id as u8 + 1), &[3, 2, 0, id as u8]);
    s.abandon(3);
    let wire = [reply(2), reply(3), reply(0), reply(1)].concat();
    let got = s.push(&wire);
    let wanted = [completed(2, &[2]), completed(0, &[0]), completed(1, &[1])].concat();
    assert_eq!(got, wanted);
    assert_eq!(
        (s.late(), s.traffic().overheard),
        (1, vec![BusAddress::Modbus(UnitId(4))])
    );
}

/// What a stream is made of, besides the reply.
#[derive(Clone, Debug)]
enum Piece {
    Noise(Vec<u8>),
    Late(u16),
    Foreign(u16, u8),
    Cut(u16, usize),
    Promise(u8),
}

fn piece() -> impl Strategy<Value = Piece> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 1..30).prop_map(Piece::Noise),
        prop::collection::vec(Just(0u8), 1..12).prop_map(Piece::Noise),
        (0u16..3).prop_map(Piece::Late),
        (20u16..25, 1u8..4).prop_map(|(id, unit)| Piece::Foreign(id, unit)),
        (0u16..3, 2usize..13).prop_map(|(id, bytes)| Piece::Cut(id, bytes)),
        any::<u8>().prop_map(Piece::Promise),
    ]
}

/// Returns the reply to a request for two registers, which says which request it is of.
fn reply_to(id: u16) -> Vec<u8> {
    frame(id, UnitId(1), &[3, 4, 0xA0, id as u8, 0xA1, id as u8])
}

fn bytes_of(piece: &Piece) -> Vec<u8> {
    match piece {
        Piece::Noise(bytes) => bytes.clone(),
        Piece::Late(id) => reply_to(*id),
        Piece::Foreign(id, unit) => frame(*id, UnitId(*unit), &[3, 4, 9, 9, 9, 9]),
        Piece::Cut(id, bytes) => reply_to(*id)[..*bytes].to_vec(),
        Piece::Promise(length) => vec![7, 7, 0, 0, 0, *length, 1, 3],
    }
}

/// Returns a stream on which three requests were given up and the fourth waits.
fn fourth() -> Stream {
    let mut s = Stream::new();
    for _ in 0..4 {
        s.send(ask(1, 2));
    }
    s
}

proptest! {
    #[test]
    fn any_bytes_however_split_give_the_same_end(
        bytes in prop::collection::vec(any::<u8>(), 0..80),
        reply_at in 0usize..3,
        cut in 1usize..7,
    ) {
        let mut wire = Vec::new();
        for i in 0..3u16 {
            if usize::from(i) == reply_at {
                wire.extend(frame(0, UnitId(1), &[3, 2, 0, 9]));
            } else {
                wire.extend(frame(i + 10, UnitId(1), &[3, 2, 0, 1]));
            }
        }
        wire.extend(bytes);
        let at_once = waits().push(&wire);
        let mut pieces = waits();
        let split: Vec<Completed> = wire.chunks(cut).flat_map(|p| pieces.push(p)).collect();
        prop_assert_eq!(&at_once, &split);
        prop_assert_eq!(at_once, completed(0, &[9]));
    }

    /// Whatever stands before the reply and behind it: the reply is found, no other value is
    /// found, and nothing is kept for long.
    #[test]
    fn the_reply_is_found_among_anything(
        before in prop::collection::vec(piece(), 0..6),
        behind in prop::collection::vec(piece(), 0..3),
        cuts in prop::collection::vec(1usize..40, 1..20),
    ) {
        let mut wire: Vec<u8> = before.iter().flat_map(bytes_of).collect();
        wire.extend(reply_to(3));
        wire.extend(behind.iter().flat_map(bytes_of));
        let mut s = fourth();
        let mut got = Vec::new();
        let mut rest = wire.as_slice();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, behind) = rest.split_at((*cut).min(rest.len()));
            rest = behind;
            got.extend(s.push(piece));
            prop_assert!(s.unread.len() < 600);
            prop_assert!(s.stray().len() <= SHOWN);
        }
        got.extend(s.silence());
        prop_assert_eq!(got, completed(3, &[0xA003, 0xA103]));
    }

    /// The same with any length in the reply itself.
    #[test]
    fn no_length_makes_another_value_of_it(
        before in prop::collection::vec(piece(), 0..4),
        behind in prop::collection::vec(piece(), 0..4),
        length in any::<u16>().prop_map(|n| n % 300),
        cut in 1usize..40,
    ) {
        let mut wire: Vec<u8> = before.iter().flat_map(bytes_of).collect();
        let mut own = reply_to(3);
        own[4..6].copy_from_slice(&length.to_be_bytes());
        wire.extend(own);
        wire.extend(behind.iter().flat_map(bytes_of));
        let mut s = fourth();
        let mut got: Vec<Completed> = wire.chunks(cut).flat_map(|p| s.push(p)).collect();
        got.extend(s.silence());
        let right = completed(3, &[0xA003, 0xA103]);
        prop_assert!(got == right || got == stranger(3) || got.is_empty(), "{got:?}");
    }
}
