//! The meaning of registers, as other programs read them: pymodbus for whole numbers,
//! floats and text, CPython for half precision. The data names its sources.

use std::time::Duration;

use crate::installation::point;
use alink_gateway::base::Value;
use alink_gateway::field::decode::point::{NoValueReason, decode};
use alink_gateway::field::modbus::Data;
use alink_gateway::field::plan::block_address::{BlockAddress, EntryRange};
use alink_gateway::spec::{ByteOrder, Codec, Number, Table, WordOrder};
use serde_json::Value as Json;

fn vectors(which: &str) -> Vec<Json> {
    let all: Json = serde_json::from_str(include_str!("../vectors/registers.json")).unwrap();
    all[which].as_array().unwrap().clone()
}

fn number(kind: Number, words: WordOrder) -> Codec {
    let mut codec = crate::installation::number(kind);
    if let Codec::Number { words: order, .. } = &mut codec {
        *order = words;
    }
    codec
}

fn read(codec: Codec, registers: Vec<u16>) -> Result<Value, NoValueReason> {
    let point = point(Table::HoldingRegister, 0, codec, Duration::from_secs(1));
    let all = BlockAddress::Modbus(EntryRange {
        table: Table::HoldingRegister,
        start: 0,
        count: u16::try_from(registers.len()).unwrap(),
    });
    decode(&point, &all, &Data::Registers(registers))
}

fn codec(vector: &Json, registers: usize) -> Codec {
    let kind = match vector["type"].as_str().unwrap() {
        "u16" => Number::U16,
        "i16" => Number::I16,
        "u32" => Number::U32,
        "i32" => Number::I32,
        "u64" => Number::U64,
        "i64" => Number::I64,
        "f32" => Number::F32,
        "f64" => Number::F64,
        "string" => {
            return Codec::Text {
                registers: registers.try_into().unwrap(),
                bytes: ByteOrder::High,
                encoding: Default::default(),
            };
        }
        other => panic!("{other}"),
    };
    let words = match vector["words"].as_str().unwrap() {
        "high" => WordOrder::High,
        "low" => WordOrder::Low,
        other => panic!("{other}"),
    };
    number(kind, words)
}

/// Writes our value in the words of the data; a single as the single it is, because we
/// give the shortest decimal for it and they the longest.
fn told(ours: Result<Value, NoValueReason>, single: bool) -> String {
    match ours {
        Ok(Value::Int(n)) => n.to_string(),
        Ok(Value::UInt(n)) => n.to_string(),
        Ok(Value::Float(x)) if single => format!("{:?}", f64::from(x as f32)),
        Ok(Value::Float(x)) => format!("{x:?}"),
        Ok(Value::Text(text)) => text,
        Ok(Value::Bool(b)) => b.to_string(),
        Err(why) => why.to_string(),
    }
}

#[test]
fn registers_mean_to_us_what_they_mean_to_pymodbus() {
    for vector in vectors("registers") {
        let registers: Vec<u16> = serde_json::from_value(vector["registers"].clone()).unwrap();
        let ours = read(codec(&vector, registers.len()), registers);
        let theirs = vector["value"].as_str().unwrap();
        match theirs.parse::<f64>() {
            // Their words for a float differ from ours in letters.
            Ok(theirs) if vector["type"].as_str().unwrap().starts_with('f') => {
                let single = vector["type"] == "f32";
                assert_eq!(told(ours, single), format!("{theirs:?}"), "{vector}");
            }
            _ => assert_eq!(told(ours, false), theirs, "{vector}"),
        }
    }
}

#[test]
fn half_precision_is_that_of_cpython() {
    for vector in vectors("half") {
        let bits = u16::try_from(vector[0].as_u64().unwrap()).unwrap();
        let theirs = vector[1].as_str().unwrap();
        let ours = read(number(Number::F16, WordOrder::High), vec![bits]);
        let Ok(exact) = theirs.parse::<f64>() else {
            assert_eq!(told(ours, false), theirs, "{bits:04x}");
            continue;
        };
        let Ok(Value::Float(ours)) = ours else {
            panic!("{bits:04x}: {ours:?}");
        };
        // Ours is the shortest decimal between the neighbours: less than half a step
        // away, and a step is at least 2^-24.
        let half_a_step = (exact.abs() * 2f64.powi(-11)).max(2f64.powi(-25));
        assert!(
            (ours - exact).abs() < half_a_step,
            "{bits:04x}: {ours} for {exact}"
        );
    }
    for (bits, people) in [
        (0x2E66, 0.1),
        (0x3555, 0.3333),
        (0x5640, 100.0),
        (0xC8E6, -9.8),
    ] {
        let ours = read(number(Number::F16, WordOrder::High), vec![bits]);
        assert_eq!(ours, Ok(Value::Float(people)), "{bits:04x}");
    }
}

#[test]
fn every_half_has_a_value_of_its_own() {
    let value = |bits: u16| match read(number(Number::F16, WordOrder::High), vec![bits]) {
        Ok(Value::Float(x)) => x,
        other => panic!("{bits:04x}: {other:?}"),
    };
    for bits in 0..0x7BFF {
        assert!(value(bits) < value(bits + 1), "{bits:04x}");
        assert_eq!(value(bits), -value(bits | 0x8000), "{bits:04x}");
    }
}
