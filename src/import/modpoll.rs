//! The table of modpoll (github.com/gavinying/modpoll, docs/configure.rst): rows
//! `device,NAME,UNIT`, `poll,TABLE,START,COUNT,ENDIAN` and `ref,NAME,ADDRESS,TYPE,RW,UNIT,SCALE`.
//!
//! Addresses are those of the protocol, as they are: 40000 is the register with this number. The
//! endianness is that of bytes, then that of words; what is none of `BE_BE`, `LE_BE` and `LE_LE`
//! has the words low first. The port is given on modpoll's command line.
//!
//! modpoll takes bits out of a reply byte by byte (`modpoll/modbus_task.py`). An address behind
//! that of a poll of coils is eight coils further on. A `bool8` or `bool` of a register is its high
//! byte, and a `bool16` its high byte and then its low byte.

use super::point::{
    ByteForm, Imported, ImportedDevice, ImportedPoint, ImportedProfile, LetterOrder,
};
use super::remark::{FileLocation, RemarkCause};
use super::source::ValueSource;
use super::table::Row;
use super::{ImportRefusal, number, table, table_words};
use crate::spec::Table;

/// Reads a table.
///
/// # Errors
/// It is no table.
pub fn read(text: &str) -> Result<Imported, ImportRefusal> {
    let mut reading = ModpollReading::default();
    for row in &table::read(text)? {
        match row.cell(0).to_ascii_lowercase().as_str() {
            "device" => reading.device(row),
            "poll" => reading.poll(row),
            "ref" => reading.reference(row),
            _ => {}
        }
    }
    Ok(reading.out)
}

#[derive(Default)]
struct ModpollReading {
    out: Imported,
    /// The last `poll`.
    poll: Option<Poll>,
}

/// What a `poll` says of the rows below it.
#[derive(Clone, Copy)]
struct Poll {
    table: Table,
    /// Its first address.
    start: u16,
    order: LetterOrder,
}

impl ModpollReading {
    fn device(&mut self, row: &Row) {
        self.poll = None;
        let name = row.cell(1).to_owned();
        let unit = number::whole(row.cell(2)).and_then(|n| u8::try_from(n).ok());
        let at = FileLocation::new(row.line, &name);
        let Some(unit) = unit.filter(|unit| (1..=254).contains(unit)) else {
            self.out.remark(at, row.cell(2), RemarkCause::Unit);
            self.out.profiles.push(ImportedProfile::default());
            return;
        };
        let profile = ImportedProfile {
            name: name.clone(),
            ..ImportedProfile::default()
        };
        self.out.devices.push(ImportedDevice {
            name,
            title: String::new(),
            port: 0,
            profile: Some(self.out.profiles.len()),
            unit: Some(unit),
            meter: None,
        });
        self.out.profiles.push(profile);
    }

    fn poll(&mut self, row: &Row) {
        let order = match row.cell(4).to_ascii_uppercase().as_str() {
            "BE_BE" => LetterOrder::Abcd,
            "LE_BE" => LetterOrder::Badc,
            "LE_LE" => LetterOrder::Dcba,
            _ => LetterOrder::Cdab,
        };
        let start = number::whole(row.cell(2)).and_then(|n| u16::try_from(n).ok());
        self.poll = table_words::table(row.cell(1)).map(|table| Poll {
            table,
            start: start.unwrap_or_default(),
            order,
        });
        if self.poll.is_none() {
            self.out.remark(
                FileLocation::new(row.line, ""),
                row.cell(1),
                RemarkCause::Table,
            );
        }
    }

    fn reference(&mut self, row: &Row) {
        self.out.entries += 1;
        let at = FileLocation::new(row.line, row.cell(1));
        let Some(Poll {
            table,
            start,
            order,
        }) = self.poll
        else {
            return self.out.remark(at, row.cell(2), RemarkCause::Table);
        };
        // Without the style 40001: the table is known, and the number is that of the protocol.
        let written = row.cell(2);
        let (whole, bit) = written.split_once(':').unwrap_or((written, ""));
        let bit: Option<u8> = bit.parse().ok().filter(|bit| *bit < 16);
        let Some(address) = number::whole(whole).and_then(|n| u16::try_from(n).ok()) else {
            return self.out.remark(at, written, RemarkCause::Address);
        };
        let Some(writable) = table_words::access(row.cell(4)) else {
            return self.out.remark(at, row.cell(4), RemarkCause::WriteOnly);
        };
        let kind = row.cell(3);
        let text = kind.to_ascii_lowercase();
        let text = text
            .strip_prefix("string")
            .and_then(|n| n.parse::<u16>().ok());
        let text = text
            .map(|bytes| bytes.div_ceil(2))
            .filter(|n| (1..=125).contains(n));
        let many = match kind.to_ascii_lowercase().as_str() {
            _ if bit.is_some() => 1,
            "bool" | "bool8" => 8,
            "bool16" => 16,
            _ => 1,
        };
        let typed = table_words::shape(kind, text).map(|(shape, _)| shape);
        let named = |n: u16| numbered(row.cell(1), n, many);
        let points: Vec<(u16, ByteForm, String)> = match (typed, table.is_bits()) {
            (Some(ByteForm::Bool) | None, true) => {
                let Some(first) = coil(start, address) else {
                    return self.out.remark(at, written, RemarkCause::Address);
                };
                let coils = (0..many).filter_map(|n| Some((first.checked_add(n)?, n)));
                coils
                    .map(|(coil, n)| (coil, ByteForm::Bool, named(n)))
                    .collect()
            }
            (Some(ByteForm::Bool), false) => (0..many)
                .map(|n| {
                    (
                        address,
                        ByteForm::Bit(bit.unwrap_or(bit_of(n, many))),
                        named(n),
                    )
                })
                .collect(),
            (Some(shape), false) => vec![(address, shape, row.cell(1).to_owned())],
            (None, false) | (Some(_), true) => match text {
                Some(registers) => {
                    let shape = ByteForm::Text {
                        registers,
                        characters: 2,
                    };
                    vec![(address, shape, row.cell(1).to_owned())]
                }
                None => return self.out.remark(at, kind, RemarkCause::Type),
            },
        };
        let written = row.cell(6);
        let scale = number::decimal(written);
        if scale.is_none() && !written.is_empty() {
            self.out.remark(at.clone(), written, RemarkCause::Factor);
        }
        if self.out.profiles.is_empty() {
            self.out.profiles.push(ImportedProfile::default());
        }
        let Some(profile) = self.out.profiles.last_mut() else {
            return;
        };
        for (address, shape, name) in points {
            let at = FileLocation::new(row.line, &name);
            let mut point = ImportedPoint::new(at, ValueSource::Register(table, address), shape);
            if matches!(shape, ByteForm::Number(_)) {
                point.scale = scale.clone().and_then(number::factor);
            }
            point.order = order;
            point.measure = row.cell(5).to_owned();
            point.writable = writable && matches!(table, Table::Coil | Table::HoldingRegister);
            profile.points.push(point);
        }
        if matches!(order, LetterOrder::Badc | LetterOrder::Dcba) {
            self.out.remark(at, order.word(), RemarkCause::Order);
        }
    }
}

/// Returns the first coil of an entry: of a poll from coil 16 on, the address 17 is coil 24.
fn coil(start: u16, address: u16) -> Option<u16> {
    let bytes = address.checked_sub(start)?;
    start.checked_add(bytes.checked_mul(8)?)
}

/// Returns the bit of a register that is the `n`th of an entry of so many: the high byte is first.
fn bit_of(n: u16, many: u16) -> u8 {
    let bit = if many == 1 { n } else { (n + 8) % 16 };
    u8::try_from(bit).unwrap_or_default()
}

/// Returns the name, with a number if the entry is several bits.
fn numbered(name: &str, n: u16, of: u16) -> String {
    match of {
        1 => name.to_owned(),
        _ => format!("{name}_{n}"),
    }
}
