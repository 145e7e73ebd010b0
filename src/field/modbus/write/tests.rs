use proptest::prelude::*;
use tokio_modbus::Request;

use super::*;
use crate::base::MissReason;
use crate::field::modbus::rtu::ListeningEnd;
use crate::field::modbus::{ascii, rtu, tcp};
use crate::field::raw;

fn write(start: u16, entries: Entries) -> Write {
    Write {
        unit: UnitId(17),
        start,
        entries,
    }
}

/// Modbus Application Protocol V1.1b3 §6.5, §6.6, §6.16, §6.11, §6.12: the worked
/// examples, request and reply. Only the last two are longer than their reply.
fn examples() -> Vec<(Write, Vec<u8>, Vec<u8>)> {
    // Coils 20–29 are to be CD 01: 27–20, 29–28.
    let coils = [1, 0, 1, 1, 0, 0, 1, 1, 1, 0].map(|bit| bit == 1).to_vec();
    vec![
        (
            write(0x00AC, Entries::Coil(true)),
            vec![0x05, 0x00, 0xAC, 0xFF, 0x00],
            vec![0x05, 0x00, 0xAC, 0xFF, 0x00],
        ),
        (
            write(0x0001, Entries::Register(3)),
            vec![0x06, 0x00, 0x01, 0x00, 0x03],
            vec![0x06, 0x00, 0x01, 0x00, 0x03],
        ),
        (
            write(
                0x0004,
                Entries::Mask {
                    and: 0x00F2,
                    or: 0x0025,
                },
            ),
            vec![0x16, 0x00, 0x04, 0x00, 0xF2, 0x00, 0x25],
            vec![0x16, 0x00, 0x04, 0x00, 0xF2, 0x00, 0x25],
        ),
        (
            write(0x0013, Entries::Coils(coils)),
            vec![0x0F, 0x00, 0x13, 0x00, 0x0A, 0x02, 0xCD, 0x01],
            vec![0x0F, 0x00, 0x13, 0x00, 0x0A],
        ),
        (
            write(0x0001, Entries::Registers(vec![0x000A, 0x0102])),
            vec![0x10, 0x00, 0x01, 0x00, 0x02, 0x04, 0x00, 0x0A, 0x01, 0x02],
            vec![0x10, 0x00, 0x01, 0x00, 0x02],
        ),
    ]
}

#[test]
fn the_standards_examples_are_built_and_confirmed() {
    for (write, request, reply) in examples() {
        assert_eq!(write.pdu(), request);
        assert_eq!(ModbusRequest::from(write.clone()).reply_len(), reply.len());
        assert_eq!(
            ModbusRequest::from(write.clone()).is_mirrored(),
            request == reply
        );
        assert_eq!(write.judge(&reply), Reply::Confirmed);
        let refusal = [write.entries.function() | EXCEPTION, 4];
        assert_eq!(write.judge(&refusal), Reply::Exception(4));
    }
    let off = write(0, Entries::Coil(false));
    assert_eq!(off.pdu(), [5, 0, 0, 0, 0]);
}

/// Returns a request that the configuration spells out, in a frame of Modbus TCP.
fn carried(send: &str, reply: raw::ReplyMarks) -> RawPdu {
    RawPdu {
        unit: UnitId(17),
        question: Arc::new(RawQuestion {
            name: "q".into(),
            request: raw::Template::parse(send, None).unwrap(),
            reply,
            carried: Some(UnitId(17)),
        }),
    }
}

fn shape(end: ReplyEnd, begins: &[u8]) -> raw::ReplyMarks {
    raw::ReplyMarks {
        end,
        fixed: vec![raw::Fixed {
            at: 0,
            bytes: begins.to_vec(),
        }],
        check: None,
        behind_check: 0,
        preamble: None,
    }
}

/// V1.1b3 §6.21, read device identification: the example's request and the beginning
/// of its reply, basic identification of three objects.
#[test]
fn a_request_of_the_configurations_own_is_answered_by_its_function() {
    let pdu = b"\x2B\x0E\x01\x01\x00\x00\x03\x00\x16Company identification";
    let asked = carried("2B 0E 01 00", shape(ReplyEnd::Frame, &[0x2B, 0x0E, 1]));
    let call = ModbusRequest::from(asked.clone());
    assert_eq!(call.pdu(), [0x2B, 0x0E, 1, 0]);
    assert_eq!((call.unit(), call.function()), (UnitId(17), 0x2B));
    assert!(!call.is_mirrored());
    assert_eq!(asked.judge(pdu), Reply::Answer(Data::Bytes(pdu.to_vec())));
    assert_eq!(asked.judge(&[0xAB, 1]), Reply::Exception(1));
    let counted = carried("2B 0E 01 00", shape(ReplyEnd::Length(9), &[0x2B, 0x0E]));
    assert_eq!(counted.reply_len(), 9);
    for (asked, pdu, why) in [
        (&asked, &b"\x2B\x0E\x02\x01"[..], "something else was asked"),
        (&asked, b"\x2C\x0E\x01\x01", "another function"),
        (&asked, b"\xAB\x01\x02", "a refusal with a tail"),
        (&asked, b"\xAC\x01", "a refusal of another function"),
        (&asked, b"\x2B", "too short"),
        (&asked, b"", "empty"),
        (&counted, &pdu[..8], "a byte less than it should have"),
        (&counted, &pdu[..10], "a byte more"),
    ] {
        assert_eq!(asked.judge(pdu), Reply::Stranger, "{why}");
    }
    assert!(matches!(counted.judge(&pdu[..9]), Reply::Answer(_)));
}

#[test]
fn a_request_of_the_configurations_own_is_matched_by_its_header() {
    let asked = carried("46 00", shape(ReplyEnd::Length(6), &[0x46]));
    let mut stream = tcp::Stream::new();
    let wire = stream.send(asked.clone());
    assert_eq!(wire, tcp::frame(0, UnitId(17), &[0x46, 0]));
    // First another transaction, then another unit.
    let name = [0x46, 0, 0, 0x70, 0x18, 0];
    let late = tcp::frame(9, UnitId(17), &name);
    let mut replies = |bytes: &[u8]| -> Vec<Reply> {
        let completed = stream.push(bytes);
        completed.into_iter().map(|s| s.reply).collect()
    };
    assert_eq!(replies(&late), []);
    let foreign = tcp::frame(0, UnitId(18), &name);
    assert_eq!(replies(&foreign), [Reply::Stranger]);
    stream.send(asked);
    let answer = Reply::Answer(Data::Bytes(name.to_vec()));
    let reply = tcp::frame(1, UnitId(17), &name);
    let completed = stream.push(&reply);
    assert_eq!(
        completed.into_iter().map(|s| s.reply).collect::<Vec<_>>(),
        [answer]
    );
}

#[test]
fn a_reply_that_differs_in_anything_confirms_nothing() {
    for (write, _, reply) in examples() {
        for at in 0..reply.len() {
            for bit in 0..8 {
                let mut other = reply.clone();
                other[at] ^= 1 << bit;
                assert_eq!(write.judge(&other), Reply::Stranger, "{other:02X?}");
            }
            assert_eq!(write.judge(&reply[..at]), Reply::Stranger);
        }
        let longer = [&reply[..], &[0]].concat();
        assert_eq!(write.judge(&longer), Reply::Stranger);
    }
    // The request for several entries is not their reply.
    let (write, request, _) = examples().remove(4);
    assert_eq!(write.judge(&request), Reply::Stranger);
}

#[test]
fn only_what_one_request_can_carry_fits() {
    for (entries, start, fits) in [
        (Entries::Coil(true), 0xFFFF, true),
        (Entries::Mask { and: 0, or: 0 }, 0xFFFF, true),
        (Entries::Registers(vec![]), 0, false),
        (Entries::Registers(vec![0; 123]), 0, true),
        (Entries::Registers(vec![0; 124]), 0, false),
        (Entries::Registers(vec![0; 2]), 0xFFFE, true),
        (Entries::Registers(vec![0; 2]), 0xFFFF, false),
        (Entries::Coils(vec![]), 0, false),
        (Entries::Coils(vec![true; 1968]), 0, true),
        (Entries::Coils(vec![true; 1969]), 0, false),
    ] {
        assert_eq!(entries.fit(start), fits, "{entries:?} at {start}");
    }
}

#[test]
fn every_framing_confirms_exactly_the_reply() {
    for (write, request, reply) in examples() {
        let unit = write.unit;
        let mut receiver = rtu::Receiver::new(write.clone());
        let confirmed = Some(ListeningEnd::Reply(Reply::Confirmed));
        assert_eq!(receiver.push(&rtu::frame(unit, &reply)), confirmed);
        let mut receiver = ascii::Receiver::new(write.clone());
        assert_eq!(receiver.push(&ascii::frame(unit, &reply)), confirmed);
        let mut stream = tcp::Stream::new();
        assert_eq!(stream.send(write.clone())[7..], request);
        let got = stream.push(&tcp::frame(0, unit, &reply));
        assert_eq!(got[0].reply, Reply::Confirmed);

        // Another address, another unit.
        let mut other = reply.clone();
        other[2] ^= 1;
        for (unit, pdu) in [(unit, &other), (UnitId(18), &reply)] {
            let mut receiver = rtu::Receiver::new(write.clone());
            assert_eq!(receiver.push(&rtu::frame(unit, pdu)), None);
            assert_eq!(
                (receiver.silence(), receiver.miss()),
                (None, MissReason::Foreign)
            );
            let mut receiver = ascii::Receiver::new(write.clone());
            assert_eq!(receiver.push(&ascii::frame(unit, pdu)), None);
            assert_eq!(
                (receiver.silence(), receiver.miss()),
                (None, MissReason::Foreign)
            );
            let mut stream = tcp::Stream::new();
            stream.send(write.clone());
            let got = stream.push(&tcp::frame(0, unit, pdu));
            assert_eq!(got[0].reply, Reply::Stranger);
        }
    }
}

#[test]
fn behind_the_echo_of_a_long_request_its_reply_is_found() {
    for (write, request, reply) in examples().split_off(3) {
        let unit = write.unit;
        let traffic = [rtu::frame(unit, &request), rtu::frame(unit, &reply)].concat();
        for cut in 1..traffic.len() {
            let mut receiver = rtu::Receiver::new(write.clone());
            let (head, tail) = traffic.split_at(cut);
            let verdict = receiver.push(head).or_else(|| receiver.push(tail));
            assert_eq!(
                verdict,
                Some(ListeningEnd::Reply(Reply::Confirmed)),
                "{cut}"
            );
            assert_eq!(receiver.traffic().echoes, 1);
        }
    }
}

#[test]
fn the_reply_to_a_write_is_nobodys_value() {
    let ask = ReadRequest {
        unit: UnitId(17),
        table: Table::HoldingRegister,
        start: 1,
        count: 1,
    };
    for (write, _, reply) in examples() {
        let mut receiver = rtu::Receiver::new(ask);
        assert_eq!(receiver.push(&rtu::frame(write.unit, &reply)), None);
        assert_eq!(
            (receiver.silence(), receiver.miss()),
            (None, MissReason::Foreign)
        );
    }
}

/// Its frame has two bytes more than those of the other writes, and is no noise.
#[test]
fn a_mask_write_of_another_master_is_one_frame() {
    let ask = ReadRequest {
        unit: UnitId(17),
        table: Table::HoldingRegister,
        start: 1,
        count: 1,
    };
    let (mask, request, _) = examples().remove(2);
    let foreign = rtu::frame(mask.unit, &request);
    let own = rtu::frame(ask.unit, &[3, 2, 0, 7]);
    let mut receiver = rtu::Receiver::new(ask);
    for byte in foreign.iter().chain(&foreign) {
        assert_eq!(receiver.push(&[*byte]), None);
    }
    let answer = Reply::Answer(Data::Registers(vec![7]));
    assert_eq!(receiver.push(&own), Some(ListeningEnd::Reply(answer)));
    let traffic = receiver.traffic();
    assert_eq!((traffic.foreign, traffic.noise), (2, 0));
}

fn entries() -> impl Strategy<Value = Entries> {
    prop_oneof![
        any::<bool>().prop_map(Entries::Coil),
        any::<u16>().prop_map(Entries::Register),
        any::<(u16, u16)>().prop_map(|(and, or)| Entries::Mask { and, or }),
        prop::collection::vec(any::<bool>(), 1..=MAX_COILS).prop_map(Entries::Coils),
        prop::collection::vec(any::<u16>(), 1..=MAX_REGISTERS).prop_map(Entries::Registers),
    ]
}

proptest! {
    #[test]
    fn the_librarys_decoder_reads_the_same_out_of_our_bytes(
        entries in entries(),
        start in 0u16..0xF000,
    ) {
        let pdu = write(start, entries.clone()).pdu();
        prop_assert!(pdu.len() <= 253);
        let read = Request::try_from(bytes::Bytes::from(pdu)).unwrap();
        let wanted = match entries {
            Entries::Coil(on) => Request::WriteSingleCoil(start, on),
            Entries::Register(word) => Request::WriteSingleRegister(start, word),
            Entries::Mask { and, or } => Request::MaskWriteRegister(start, and, or),
            Entries::Coils(all) => Request::WriteMultipleCoils(start, all.into()),
            Entries::Registers(all) => Request::WriteMultipleRegisters(start, all.into()),
        };
        prop_assert_eq!(read, wanted);
    }

    #[test]
    fn any_bytes_however_split_are_no_confirmation_and_no_panic(
        noise in prop::collection::vec(any::<u8>(), 0..300),
        cut in 1usize..40,
        which in 0usize..5,
    ) {
        let (write, _, reply) = examples().remove(which);
        let confirmation = rtu::frame(write.unit, &reply);
        prop_assume!(!noise.windows(confirmation.len()).any(|w| w == confirmation));
        let mut receiver = rtu::Receiver::new(write.clone());
        let mut verdicts: Vec<_> = noise.chunks(cut).map(|piece| receiver.push(piece)).collect();
        verdicts.push(receiver.silence());
        let confirmed = Some(ListeningEnd::Reply(Reply::Confirmed));
        prop_assert!(!verdicts.contains(&confirmed));
        let mut receiver = ascii::Receiver::new(write);
        for piece in noise.chunks(cut) {
            prop_assert!(receiver.push(piece) != confirmed);
        }
    }
}
