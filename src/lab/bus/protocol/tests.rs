use super::*;
use crate::base::Wall;
use crate::lab::bus::{Chance, UnitBehaviour, UnitKind};

fn noon() -> Now {
    Now {
        wall: Wall::from_millis(1_790_000_000_000),
        ..Now::default()
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace()
        .map(|b| u8::from_str_radix(b, 16).unwrap())
        .collect()
}

fn says(protocol: &mut BusProtocol, heard: &[u8]) -> Vec<BusReply> {
    protocol.replies_to(noon(), heard, &mut Rng::new(1))
}

#[test]
fn a_meter_answers_for_the_data_that_it_is_said_to_have() {
    use crate::spec::dlt645::{DataIdentifier, Edition, item};
    let of_2007 = Meter::new(Year::Y2007, 1, Unit::new(UnitKind::Meter, 7));
    for (name, id, _) in meter::DATA {
        let known = item::find(Edition::Y2007, name).map(|item| item.id);
        assert_eq!(known, Some(DataIdentifier::Y2007(id)), "{name}");
        assert!(of_2007.value(noon(), id).is_some(), "{name}");
    }
    assert_eq!(of_2007.value(noon(), 0x0400_0404), None);
}

/// Checks the frames of the product's own vectors, which others published.
#[test]
fn published_frames_are_understood_and_made() {
    assert_eq!(ascii::seal(17, &[3, 0, 0x6B, 0, 3]), b":1103006B00037E\r\n");
    assert_eq!(
        ascii::open(b"\0:1103006B00037E\r\n"),
        Some((17, vec![3, 0, 0x6B, 0, 3]))
    );
    assert_eq!(ascii::open(b":1103006B00037F\r\n"), None);
    let reply = "68 61 01 00 00 00 00 68 91 08 33 33 34 33 59 33 33 33 8A 16";
    let address = [0x61, 1, 0, 0, 0, 0];
    let data = [0, 0, 1, 0, 0x26, 0, 0, 0];
    assert_eq!(meter::seal(address, 0x91, &data), bytes(reply));
    let woken = [vec![0xFE; 4], bytes(reply)].concat();
    assert_eq!(meter::open(&woken), Some((address, 0x91, data.to_vec())));
}

#[test]
fn a_meter_answers_what_it_has_and_refuses_the_rest() {
    let unit = Unit::new(UnitKind::Meter, 7);
    let mut meter = Meter::new(Year::Y2007, 161, unit);
    meter.wake_ups = 0;
    let energy = meter.value(noon(), 0x0001_0000).unwrap();
    let mut protocol = BusProtocol::Dlt645(meter);
    let said = says(
        &mut protocol,
        &bytes("FE FE FE FE 68 61 01 00 00 00 00 68 11 04 33 33 34 33 14 16"),
    );
    let data = [&[0, 0, 1, 0], &energy[..]].concat();
    assert_eq!(
        said[0].bytes,
        meter::seal([0x61, 1, 0, 0, 0, 0], 0x91, &data)
    );
    // 0330_0001 it does not have: error word 02, as 35.
    let refused = says(
        &mut protocol,
        &meter::seal([0xAA; 6], 0x11, &[1, 0, 0x30, 3]),
    );
    assert_eq!(
        refused[0].bytes,
        meter::seal([0x61, 1, 0, 0, 0, 0], 0xD1, &[2])
    );
    let other = meter::seal([0x62, 1, 0, 0, 0, 0], 0x11, &[0, 0, 1, 0]);
    assert_eq!(says(&mut protocol, &other), []);
}

#[test]
fn a_dead_device_says_nothing_and_a_fault_is_heard() {
    let fault = |fault| UnitBehaviour {
        faults: vec![Chance {
            fault,
            permille: 1000,
        }],
        ..UnitBehaviour::default()
    };
    let mut plain = Plain::default();
    plain.set(b"T?\r", b"T=1\r");
    plain.set(b"T?\r", b"T=25.1\r");
    let with = |behaviour| {
        BusProtocol::Plain(Plain {
            behaviour,
            ..plain.clone()
        })
    };
    let heard = |behaviour| says(&mut with(behaviour), b"T?\r");
    assert_eq!(heard(UnitBehaviour::default())[0].bytes, b"T=25.1\r");
    let late = heard(fault(Fault::Late(Duration::from_secs(2))));
    assert_eq!(late[0].after, Duration::from_millis(2005));
    let twice = heard(fault(Fault::Twice));
    assert_eq!(twice.len(), 2);
    assert_eq!(heard(fault(Fault::Echo))[0].bytes, b"T?\rT=25.1\r");
    assert_eq!(heard(fault(Fault::Mute)), []);
    let dead = UnitBehaviour {
        alive: false,
        ..UnitBehaviour::default()
    };
    assert_eq!(heard(dead), []);
}
