//! The lab's devices that speak Modbus ASCII, DL/T 645 and a protocol of their own,
//! with every fault they have, against the codecs of the product: no value is wrong,
//! and without faults none is missing.

use std::time::Duration;

use alink_gateway::base::{Now, Rng, UnitId, Value, Wall};
use alink_gateway::field::dlt645::ask::{Reassembly, ReassemblyResult};
use alink_gateway::field::dlt645::{Edition, MeterAddress, ValuePosition, item};
use alink_gateway::field::modbus::{Data, ReadRequest, Reply};
use alink_gateway::field::modbus::{ascii, rtu};
use alink_gateway::field::{dlt645, raw};
use alink_gateway::lab::bus::protocol::{BusProtocol, BusReply, Meter, Plain, Year};
use alink_gateway::lab::bus::{Chance, Fault, Unit, UnitBehaviour, UnitKind};
use alink_gateway::spec::{Decimal, Table};

/// How long a reply is waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// A pause this long ends a frame.
const PAUSE: Duration = Duration::from_millis(30);

/// Returns a fifth of the rounds of `tests/engines/hammer.rs`: these rounds are longer.
fn rounds() -> u64 {
    std::env::var("ALINK_HAMMER").map_or(20_000, |n| n.parse::<u64>().unwrap()) / 5
}

/// Returns behaviour with which about every second reply has a fault.
fn hostile() -> UnitBehaviour {
    let faults = [
        Fault::Mute,
        Fault::Late(Duration::from_secs(2)),
        Fault::Cut,
        Fault::Flip,
        Fault::Twice,
        Fault::Foreign,
        Fault::WrongFunction,
        Fault::Short,
        Fault::Echo,
        Fault::Noise(9),
        Fault::Babble,
        Fault::Hiccup(Duration::from_millis(100)),
    ];
    let behaviour = UnitBehaviour {
        faults: faults
            .map(|fault| Chance {
                fault,
                permille: 60,
            })
            .to_vec(),
        ..UnitBehaviour::default()
    };
    assert!(behaviour.alive);
    behaviour
}

fn at(round: u64) -> Now {
    Now {
        wall: Wall::from_millis(1_790_000_000_000 + 777 * round as i64),
        ..Now::default()
    }
}

/// Returns the wire from the request on, as the master hears it: the bytes left over
/// from before, the bytes of the device, `None` where there is a pause. Bytes that come
/// too late are left over for the next request.
fn wire(late: &mut Vec<u8>, said: Vec<BusReply>) -> Vec<Option<Vec<u8>>> {
    let mut heard = vec![Some(std::mem::take(late)), None];
    let mut end = Duration::ZERO;
    for reply in said {
        if reply.after > PATIENCE {
            late.extend(reply.bytes);
            continue;
        }
        if reply.after > end + PAUSE {
            heard.push(None);
        }
        end = reply.after;
        heard.push(Some(reply.bytes));
    }
    heard.push(None);
    heard
}

/// Feeds the received bytes, in pieces, until a verdict.
fn listen<V>(
    heard: Vec<Option<Vec<u8>>>,
    rng: &mut Rng,
    mut step: impl FnMut(Option<&[u8]>) -> Option<V>,
) -> Option<V> {
    for part in heard {
        let Some(bytes) = part else {
            let verdict = step(None);
            if verdict.is_some() {
                return verdict;
            }
            continue;
        };
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(1 + rng.below(rest.len() as u64) as usize);
            rest = after;
            let verdict = step(Some(piece));
            if verdict.is_some() {
                return verdict;
            }
        }
    }
    None
}

/// Checks how many of how many were answered, where there were faults and where not.
fn judge(name: &str, hostile: u64, kind: u64) {
    assert!(
        hostile > rounds() / 4 && hostile < rounds(),
        "{name}: {hostile}"
    );
    assert_eq!(kind, rounds(), "{name}");
}

fn both(run: impl Fn(UnitBehaviour) -> u64) -> (u64, u64) {
    (run(hostile()), run(UnitBehaviour::default()))
}

#[test]
fn modbus_ascii_gives_no_wrong_value() {
    let run = |behaviour| {
        let mut protocol = BusProtocol::Ascii(9, Unit::new(UnitKind::Marked, 5).with(behaviour));
        let (mut rng, mut late, mut answered) = (Rng::new(1), Vec::new(), 0);
        for round in 0..rounds() {
            // Neighbouring requests differ in shape: replies that cannot be told apart
            // by their bytes are not this codec's task (see `field/stale/`).
            let ask = ReadRequest {
                unit: UnitId(9),
                table: Table::HoldingRegister,
                start: 10,
                count: 1 + (round % 7) as u16,
            };
            let now = at(round);
            let request = ascii::frame(ask.unit, &ask.pdu());
            let said = protocol.replies_to(now, &request, &mut rng);
            let mut receiver = ascii::Receiver::new(ask);
            let verdict = listen(wire(&mut late, said), &mut rng, |step| match step {
                Some(bytes) => receiver.push(bytes),
                None => receiver.silence(),
            });
            if let Some(rtu::ListeningEnd::Reply(reply)) = verdict {
                let BusProtocol::Ascii(_, unit) = &protocol else {
                    panic!("another device");
                };
                let truth = |i| unit.value_at(now, ask.table, ask.start + i).unwrap();
                let words = (0..ask.count).map(truth).collect();
                assert_eq!(reply, Reply::Answer(Data::Registers(words)), "{round}");
                answered += 1;
            }
        }
        answered
    };
    let (hostile, kind) = both(run);
    judge("ascii", hostile, kind);
}

/// Reads a datum, follow-on frames included.
fn read_meter(
    protocol: &mut BusProtocol,
    item: item::DataItem,
    address: MeterAddress,
    now: Now,
    late: &mut Vec<u8>,
    rng: &mut Rng,
) -> Option<Vec<u8>> {
    let mut ask = dlt645::MeterRequest::read(address, item.id, item.length());
    let mut reassembly: Option<Reassembly> = None;
    loop {
        let request = [vec![0xFE; 4], ask.frame().seal()].concat();
        let said = protocol.replies_to(now, &request, rng);
        let mut receiver = dlt645::Receiver::new(ask);
        let verdict = listen(wire(late, said), rng, |step| match step {
            Some(bytes) => receiver.push(bytes),
            None => receiver.silence(),
        });
        let Some(dlt645::receive::ListeningEnd::Reply(dlt645::Reply::Answer(part))) = verdict
        else {
            return None;
        };
        assert_eq!(part.from, address);
        let reassembled = match reassembly.take() {
            None => Reassembly::begin(item.id, item.length(), part),
            Some(reassembly) => reassembly.go_on(part),
        };
        match reassembled {
            ReassemblyResult::Whole(data) => return Some(data),
            ReassemblyResult::Next(next, rest) => (ask, reassembly) = (next, Some(rest)),
            ReassemblyResult::Unfit => return None,
        }
    }
}

fn meters(year: Year, edition: Edition, names: &[&str], frame: usize) {
    let run = |behaviour| {
        let unit = Unit::new(UnitKind::Meter, 11).with(behaviour);
        let mut meter = Meter::new(year, 12_345_678_901, unit);
        meter.frame = frame;
        let mut protocol = BusProtocol::Dlt645(meter.clone());
        let address = MeterAddress::parse("012345678901").unwrap();
        let (mut rng, mut late, mut answered) = (Rng::new(2), Vec::new(), 0);
        for round in 0..rounds() {
            let now = at(round);
            let item = item::find(edition, names[round as usize % names.len()]).unwrap();
            let Some(data) = read_meter(&mut protocol, item, address, now, &mut late, &mut rng)
            else {
                continue;
            };
            let id = u32::from_str_radix(&item.id.to_string(), 16).unwrap();
            // With follow-on frames the parts are of one moment here.
            assert_eq!(Some(data.clone()), meter.value(now, id), "{round}");
            // Of a block as many as the meter has rates.
            for which in 0..data.len() / item.format.bytes() {
                item.read(&data, ValuePosition::Value(which as u8)).unwrap();
            }
            answered += 1;
        }
        answered
    };
    let (hostile, kind) = both(run);
    judge(&format!("{year:?}, frames of {frame}"), hostile, kind);
}

#[test]
fn dlt645_gives_no_wrong_value() {
    let both_years = [
        "energy-active-forward",
        "voltage-b",
        "power-active",
        "power-factor",
        "voltage-all",
        "energy-active-forward-all",
    ];
    meters(Year::Y2007, Edition::Y2007, &both_years, 200);
    meters(Year::Y1997, Edition::Y1997, &both_years, 200);
    meters(
        Year::Y2007,
        Edition::Y2007,
        &["frequency", "address", "voltage-c"],
        200,
    );
}

#[test]
fn dlt645_follow_on_frames_give_no_wrong_value() {
    let names = ["voltage-all", "energy-active-forward"];
    meters(Year::Y2007, Edition::Y2007, &names, 3);
    meters(Year::Y1997, Edition::Y1997, &names, 3);
}

#[test]
fn a_protocol_without_a_standard_gives_no_wrong_value() {
    let check = raw::Check {
        sum: raw::Sum::Crc16Modbus,
        written: raw::check::CheckForm::Hex,
        from: 0,
    };
    let shape = |unit: u8| raw::ReplyMarks {
        end: raw::ReplyEnd::Terminator(b"\r\n".to_vec()),
        fixed: vec![raw::Fixed {
            at: 0,
            bytes: format!(">{unit:02};").into_bytes(),
        }],
        check: Some(check),
        behind_check: 2,
        preamble: None,
    };
    let level = raw::ReplyPart::Number {
        written: raw::part::BinaryNumber::Decimal(raw::part::ByteSpan::Between {
            after: b"L=".to_vec(),
            nth: 1,
            before: b";".to_vec(),
        }),
        scale: Decimal::ONE,
        offset: Decimal::ZERO,
        number_type: None,
    };
    let run = |behaviour: UnitBehaviour| {
        let mut protocol = BusProtocol::Plain(Plain {
            behaviour,
            ..Plain::default()
        });
        let (mut rng, mut late, mut answered) = (Rng::new(3), Vec::new(), 0);
        for round in 0..rounds() {
            let unit = (round % 2) as u8;
            let text = format!("\"?{unit:02};\" {{check}} 0D 0A");
            let template = raw::Template::parse(&text, Some(check)).unwrap();
            let truth = round as i64 * 7 - 5000;
            let mut answer = format!(">{unit:02};L={};", truth as f64 / 10.0).into_bytes();
            answer.extend(check.seal(&answer));
            answer.extend(b"\r\n");
            let BusProtocol::Plain(plain) = &mut protocol else {
                panic!("another device");
            };
            plain.set(template.bytes(), &answer);
            let said = protocol.replies_to(at(round), template.bytes(), &mut rng);
            let mut receiver = raw::Receiver::new((shape(unit), template.bytes()));
            let verdict = listen(wire(&mut late, said), &mut rng, |step| match step {
                Some(bytes) => receiver.push(bytes),
                None => receiver.silence(),
            });
            if let Some(raw::receive::ListeningEnd::Reply(reply)) = verdict {
                let value = match level.read(&reply).unwrap() {
                    Value::Int(n) => n as f64,
                    Value::Float(x) => x,
                    other => panic!("{other:?}"),
                };
                assert_eq!(value, truth as f64 / 10.0, "{round}");
                answered += 1;
            }
        }
        answered
    };
    let (hostile, kind) = both(run);
    judge("raw", hostile, kind);
}
