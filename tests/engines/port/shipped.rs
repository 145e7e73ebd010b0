//! Every shipped profile on a simulated device that has what the profile names, and nothing else:
//! the real port task finds out what the device refuses to have read together, and reads every
//! value as it was put in.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use alink_gateway::base::{FieldEvent, UnitId, Value};
use alink_gateway::field::decode::point::decode;
use alink_gateway::field::encode::{WriteContent, encode};
use alink_gateway::field::modbus::Data;
use alink_gateway::field::plan::block_address::{
    BlockAddress, DatumAsked, EntryRange, QuestionAsked,
};
use alink_gateway::io::files::settings::{LoadContext, profile_in};
use alink_gateway::lab::bus::frame;
use alink_gateway::lab::bus::protocol::{BusProtocol, BusReply, Custom, Meter, Year};
use alink_gateway::lab::bus::{Unit, UnitKind};
use alink_gateway::spec::dlt645::MeterAddress;
use alink_gateway::spec::raw::{RawQuestion, ReplyEnd};
use alink_gateway::spec::*;

use super::world::{TIMEOUT, World, ms, s, serial};
use crate::installation::installation;

/// What stands in a device: entries of its tables.
type Entries = BTreeMap<(Table, u16), u16>;

/// Points that share a register with another and have no value when the other has one.
const COMMANDS: &str = "Command";

fn shipped() -> Vec<(String, Arc<ProfileSpec>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/profiles");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    let named = |file: PathBuf| {
        let found = profile_in(&file, &LoadContext::default());
        let found = found.unwrap_or_else(|report| panic!("{report}"));
        let profile = Arc::clone(&found[0].spec);
        (profile.name.clone(), profile)
    };
    files.into_iter().map(named).collect()
}

fn real(number: Decimal) -> f64 {
    number.to_string().parse().unwrap()
}

/// Returns values that a point might have, the first of them one that another point hardly has.
fn candidates(point: &PointSpec, index: u16) -> Vec<Value> {
    let raw = 101.0 + f64::from(index);
    match &point.codec {
        Codec::Bool | Codec::Bit(_) => vec![Value::Bool(index.is_multiple_of(2))],
        Codec::Number { scale, offset, .. } => {
            vec![Value::Float(raw * real(*scale) + real(*offset))]
        }
        Codec::Measure(measure) if measure.states.is_some() => {
            let states = measure.states.iter().flatten();
            let all: Vec<i64> = states.map(|(state, _)| *state).collect();
            vec![Value::Int(all[usize::from(index) % all.len()])]
        }
        Codec::Measure(m) => {
            let (scale, offset) = (real(m.scale), real(m.offset));
            let of = |raw: f64| Value::Float(raw * scale + offset);
            let limits = m.min.zip(m.max);
            let middle = limits.map(|(min, max)| {
                let share = f64::from(index % 50 + 1) / 60.0;
                Value::Float(real(min) + (real(max) - real(min)) * share)
            });
            [raw, raw * 10.0, 1.0, -raw, 0.0]
                .into_iter()
                .map(of)
                .chain(middle)
                .collect()
        }
        other => panic!("{}: {other:?}", point.id),
    }
}

/// Fills a Modbus device with a value for each point; returns also these values. A register with a
/// power of ten holds 0.
fn filled(name: &str, profile: &ProfileSpec) -> (Entries, BTreeMap<u16, Value>) {
    let (mut entries, mut values) = (Entries::new(), BTreeMap::new());
    for (index, point) in (0u16..).zip(&profile.points) {
        let PointAddress::Modbus(address) = point.address else {
            panic!("{name}: {point:?}");
        };
        if point.id.ends_with(COMMANDS) {
            continue;
        }
        // What can only be read is put in as if it could be written.
        let mut free = PointSpec {
            address: PointAddress::Modbus(ModbusAddress {
                table: match address.table {
                    Table::Coil | Table::DiscreteInput => Table::Coil,
                    Table::HoldingRegister | Table::InputRegister => Table::HoldingRegister,
                },
                ..address
            }),
            ..point.clone()
        };
        if let Codec::Measure(measure) = &mut free.codec
            && let Some(at) = measure.power.take()
        {
            entries.insert((address.table, address.start + at), 0);
        }
        let fits = candidates(&free, index).into_iter();
        let encoded = fits.map(|value| encode(&free, &value)).find(Result::is_ok);
        let encoded = encoded.unwrap_or_else(|| panic!("{name}: {} has no value", point.id));
        match encoded.unwrap().content {
            WriteContent::Coil(on) => {
                entries.insert((address.table, address.start), u16::from(on));
            }
            WriteContent::Registers { start, words } => {
                for (at, word) in (start..).zip(words).filter(|(_, word)| word.mask != 0) {
                    let entry = entries.entry((address.table, at)).or_default();
                    *entry = word.merged(*entry);
                }
            }
            other => panic!("{name}: {other:?}"),
        }
        // As the point is really read.
        let asked = EntryRange {
            table: address.table,
            start: address.start,
            count: point.codec.width().max(1),
        };
        let value = read(point, asked, &entries);
        values.insert(
            index,
            value.unwrap_or_else(|| panic!("{name}: {}", point.id)),
        );
    }
    // No other point has overwritten it.
    for (index, value) in &values {
        let point = &profile.points[usize::from(*index)];
        let PointAddress::Modbus(address) = point.address else {
            continue;
        };
        let asked = EntryRange {
            table: address.table,
            start: address.start,
            count: point.codec.width().max(1),
        };
        let now = read(point, asked, &entries);
        assert_eq!(now.as_ref(), Some(value), "{name}: {}", point.id);
    }
    (entries, values)
}

/// Decodes a point from the entries of its own; those between its parts read as 0.
fn read(point: &PointSpec, asked: EntryRange, entries: &Entries) -> Option<Value> {
    let entry = |at| entries.get(&(asked.table, at)).copied().unwrap_or_default();
    let all = (asked.start..).take(usize::from(asked.count)).map(entry);
    let data = match asked.table.is_bits() {
        true => Data::Bits(all.map(|bit| bit != 0).collect()),
        false => Data::Registers(all.collect()),
    };
    decode(point, &BlockAddress::Modbus(asked), &data).ok()
}

/// Answers like a device that has these entries, and refuses any request that touches another
/// (exception 02) or asks for too many registers (03). Points whose parts are apart own what is
/// between.
fn strict(entries: Entries, profile: &ProfileSpec) -> BusProtocol {
    let mut has = entries;
    for point in &profile.points {
        if let PointAddress::Modbus(address) = point.address {
            for at in (address.start..).take(usize::from(point.codec.width().max(1))) {
                has.entry((address.table, at)).or_default();
            }
        }
    }
    let most = profile.max_registers;
    BusProtocol::Custom(Custom::new(move |_, heard| {
        let Some((1, [function @ 1..=4, a, b, c, d])) = frame::open(heard) else {
            return Vec::new();
        };
        let (start, count) = (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d]));
        let tables = [
            Table::Coil,
            Table::DiscreteInput,
            Table::HoldingRegister,
            Table::InputRegister,
        ];
        let mut tables = tables.into_iter();
        let table = tables.find(|t| t.read_function() == *function).unwrap();
        let all = (start..).take(usize::from(count));
        let all: Option<Vec<u16>> = all.map(|at| has.get(&(table, at)).copied()).collect();
        let refused = |code| vec![function | 0x80, code];
        let pdu = match all {
            _ if !table.is_bits() && count > most => refused(3),
            None => refused(2),
            Some(bits) if table.is_bits() => {
                let bytes = bits.chunks(8).map(|byte| {
                    let set = (0..).zip(byte).filter(|(_, bit)| **bit != 0);
                    set.fold(0u8, |byte, (n, _)| byte | 1 << n)
                });
                let bytes: Vec<u8> = bytes.collect();
                [vec![*function, bytes.len() as u8], bytes].concat()
            }
            Some(registers) => {
                let bytes: Vec<u8> = registers.iter().flat_map(|r| r.to_be_bytes()).collect();
                [vec![*function, bytes.len() as u8], bytes].concat()
            }
        };
        vec![BusReply {
            after: ms(5),
            bytes: frame::seal(1, &pdu),
        }]
    }))
}

/// Builds a meter whose data have digits; returns also what each point reads there.
fn meter(profile: &ProfileSpec, items: &[dlt645::DataItem]) -> (BusProtocol, BTreeMap<u16, Value>) {
    let mut meter = Meter::new(Year::Y2007, 1, Unit::new(UnitKind::Meter, 1));
    let (mut data, mut values) = (Vec::new(), BTreeMap::new());
    for item in items {
        // Digits only, and no sign.
        let digits = (1u8..=7).cycle().take(item.bytes());
        let bytes: Vec<u8> = digits.collect();
        let dlt645::DataIdentifier::Y2007(id) = item.id else {
            panic!("{item:?}");
        };
        meter.held.insert(id, bytes.clone());
        data.push(Data::Bytes(bytes));
    }
    for (index, point) in (0u16..).zip(&profile.points) {
        let PointAddress::Dlt645(datum) = point.address else {
            panic!("{point:?}");
        };
        let which = datum.item.index();
        let asked = BlockAddress::Dlt645(DatumAsked::Item(datum.item, items[which]));
        let value = decode(point, &asked, &data[which]);
        values.insert(
            index,
            value.unwrap_or_else(|e| panic!("{}: {e:?}", point.id)),
        );
    }
    (BusProtocol::Dlt645(meter), values)
}

/// Builds a device that answers one question with digits where nothing is fixed.
fn asked_in_bytes(
    profile: &ProfileSpec,
    question: &Arc<RawQuestion>,
) -> (BusProtocol, BTreeMap<u16, Value>) {
    let ReplyEnd::Length(length) = question.reply.end else {
        panic!("{question:?}");
    };
    let check = question.reply.check.unwrap();
    let mut reply = vec![0x11; length];
    for fixed in &question.reply.fixed {
        reply[fixed.at..fixed.at + fixed.bytes.len()].copy_from_slice(&fixed.bytes);
    }
    let end = length - question.reply.behind_check;
    let before = end - check.len();
    let sum = check.seal(&reply[..before]);
    reply[before..end].copy_from_slice(&sum);
    let index = QuestionIndex(0);
    let asked = BlockAddress::Raw(QuestionAsked {
        index,
        question: Arc::clone(question),
    });
    let data = Data::Bytes(reply.clone());
    let points = (0u16..).zip(&profile.points);
    let values = points
        .map(|(n, point)| {
            let value = decode(point, &asked, &data);
            (n, value.unwrap_or_else(|e| panic!("{}: {e:?}", point.id)))
        })
        .collect();
    let wanted = question.request.bytes().to_vec();
    let device = Custom::new(move |_, heard| match heard == wanted {
        true => vec![BusReply {
            after: ms(5),
            bytes: reply.clone(),
        }],
        false => Vec::new(),
    });
    (BusProtocol::Custom(device), values)
}

#[tokio::test(start_paused = true)]
async fn every_shipped_profile_reads_each_of_its_values_from_a_device_that_has_no_more() {
    for (name, profile) in shipped() {
        let line = LineSpec::Serial(serial());
        let mut spec = installation(line, TIMEOUT, [(1, Arc::clone(&profile))]);
        let (device, values) = match &profile.protocol {
            Protocol::Modbus => {
                let (entries, values) = filled(&name, &profile);
                (strict(entries, &profile), values)
            }
            Protocol::Dlt645(items) => {
                let address = MeterAddress::parse("000000000001").unwrap();
                spec.devices[0].address = BusAddress::Dlt645(address);
                meter(&profile, items)
            }
            Protocol::Raw(questions) => {
                spec.devices[0].address = BusAddress::Raw(None);
                asked_in_bytes(&profile, &questions[0])
            }
        };
        let mut w = World::beside(spec, vec![device], 1, |journal| journal).await;
        // The unit that every world has gives its place to the device.
        w.rig.with(|line, _| line.detach(UnitId(1)));
        let mut found: BTreeMap<u16, Value> = BTreeMap::new();
        // Long enough to learn each hole; what is read once an hour is read at the start.
        let end = tokio::time::Instant::now() + s(300);
        while found.len() < values.len()
            && let Ok(event) = tokio::time::timeout_at(end, w.hub.recv()).await
        {
            if let Some(FieldEvent::Polled { readings, .. }) = event {
                found.extend(readings.into_iter().map(|r| (r.point, r.value)));
            }
        }
        for (index, value) in &values {
            let id = &profile.points[usize::from(*index)].id;
            assert_eq!(found.get(index), Some(value), "{name}: {id}");
        }
        w.stop.cancel();
    }
}
