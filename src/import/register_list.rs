//! Lists of registers with a header, as spreadsheets, manuals and other tools have them: columns by
//! the words of their heads, in English, Chinese and German, in any order.
//!
//! A list whose rows have meter addresses is a list of meters (DL/T 645), and one whose rows have
//! data identifiers is a profile of them.

mod bit;
mod columns;
mod factor;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use self::columns::{Column, Columns};
use self::factor::{Decimals, Factors};
use super::point::{
    ByteForm, Imported, ImportedDevice, ImportedPoint, ImportedProfile, LetterOrder,
};
use super::remark::{FileLocation, RemarkCause};
use super::source::ValueSource;
use super::table::Row;
use super::{ImportRefusal, number, table, table_words};
use crate::spec::Table;

/// Reads a list.
///
/// # Errors
/// It is no table, or none with a header that is understood.
pub fn read(text: &str) -> Result<Imported, ImportRefusal> {
    let rows = table::read(text)?;
    let headed = rows.iter().take(30).enumerate().find_map(|(n, row)| {
        let columns = Columns::of(row);
        columns.is_header().then_some((n, columns))
    });
    let Some((at, columns)) = headed else {
        return Err(ImportRefusal::Nothing(
            "header: a row with words such as name, address, type",
        ));
    };
    let from_one = bit::counts_from_one(&columns, rows.get(at + 1..).unwrap_or_default());
    let mut reading = ListReading {
        columns,
        out: Imported::default(),
        profile: ImportedProfile::default(),
        units: BTreeMap::new(),
        unit: None,
        first_bit: i64::from(from_one.is_some()),
        section: None,
        seen: ListTraits::default(),
    };
    if let Some(at) = from_one {
        reading.out.remark(at, "16", RemarkCause::BitsFromOne);
    }
    if let Some(header) = rows.get(at) {
        for head in reading.columns.unknown(header) {
            let place = FileLocation::new(header.line, head);
            reading.out.remark(place, head, RemarkCause::Column);
        }
    }
    for row in rows.iter().skip(at + 1) {
        reading.row(row);
    }
    Ok(reading.finish())
}

/// Returns what each column of a list holds, in a word, and the heads by which it is known, in small
/// letters without blanks and punctuation.
pub fn heads() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    columns::heads()
}

/// What the whole list shows.
#[derive(Debug, Default)]
struct ListTraits {
    notation: Alike,
    assumed_table: Alike,
    /// The rows whose type is assumed.
    assumed_type: Alike,
    least: Option<u16>,
    /// How many rows have an address that is not of the style 40001.
    plain: usize,
    /// The rows that have the unit id of the row above them.
    unit_above: Alike,
    /// How many rows name bits.
    bits: usize,
}

/// Rows of which the same is to be said: the first, and how many.
#[derive(Debug, Default)]
struct Alike {
    first: Option<(FileLocation, String)>,
    rows: usize,
}

impl Alike {
    fn add(&mut self, at: &FileLocation, seen: &str) {
        self.first
            .get_or_insert_with(|| (at.clone(), seen.to_owned()));
        self.rows += 1;
    }

    fn tell(self, finding: RemarkCause, out: &mut Imported) {
        if let Some((at, seen)) = self.first {
            out.remark_of(self.rows, at, seen, finding);
        }
    }
}

struct ListReading {
    columns: Columns,
    out: Imported,
    /// The points of the rows that name no unit id.
    profile: ImportedProfile,
    /// The points of each unit id.
    units: BTreeMap<u8, Vec<ImportedPoint>>,
    /// The unit id of the last row that names one.
    unit: Option<u8>,
    /// The number of the least significant bit.
    first_bit: i64,
    /// The table that a heading between the rows names.
    section: Option<Table>,
    seen: ListTraits,
}

impl ListReading {
    fn row(&mut self, row: &Row) {
        let cell = |column| self.columns.cell(row, column);
        let filled = row.cells.iter().filter(|c| !c.is_empty()).count();
        // The header again, on the next page of a manual.
        if Columns::of(row).is_header()
            && cell(Column::Address).chars().all(|c| !c.is_ascii_digit())
        {
            return;
        }
        let given = Some(cell(Column::Name)).filter(|name| !name.is_empty());
        let name = given
            .unwrap_or_else(|| cell(Column::Description))
            .to_owned();
        let at = FileLocation::new(row.line, &name);
        if filled < 2 {
            // A heading between the rows.
            let text = row.cells.iter().find(|c| !c.is_empty());
            self.section = text.and_then(|t| table_words::table(t)).or(self.section);
            return;
        }
        self.out.entries += 1;
        if self.columns.at(Column::Data).is_some() {
            return self.datum(row, at);
        }
        if self.columns.at(Column::Meter).is_some() {
            return self.meter(row, at);
        }
        if self.unit(row, &at) {
            self.register(row, at);
        }
    }

    /// Takes a row with a register.
    fn register(&mut self, row: &Row, at: FileLocation) {
        let columns = &self.columns;
        let cell = |column| columns.cell(row, column);
        let written = cell(Column::Address).to_owned();
        if written.is_empty() || at.entry.is_empty() {
            return self.out.remark(at, written, RemarkCause::Incomplete);
        }
        let told = cell(Column::Table);
        let named = table_words::table(told).or(self.section);
        let (first, last) = range(&written);
        let is_marked = |text: &str| number::hexadecimal(text).is_some();
        // The mark of the first is that of both.
        let hexadecimal = columns.is_hexadecimal() || is_marked(first);
        let marked = |text: &str| match hexadecimal && !is_marked(text) {
            true => format!("0x{text}"),
            false => text.to_owned(),
        };
        let first = marked(first);
        let address = match number::address(&first, named) {
            Ok(address) => address,
            Err(why) => {
                let finding = match why {
                    number::NoAddress::Scientific => RemarkCause::Scientific,
                    number::NoAddress::Text => RemarkCause::Address,
                };
                return self.out.remark(at, written, finding);
            }
        };
        let access = cell(Column::Access);
        let Some(writable) = table_words::access(access) else {
            return self.out.remark(at, access, RemarkCause::WriteOnly);
        };
        let kind = cell(Column::Type).to_owned();
        let count = number::whole(cell(Column::Count)).and_then(|n| u16::try_from(n).ok());
        let between = match last {
            None => None,
            Some(last) => {
                let last = number::address(&marked(last), named).ok();
                let last = last.filter(|last| last.table == address.table && last.bit.is_none());
                let beyond = last.and_then(|last| last.address.checked_sub(address.address));
                let Some(all) = beyond.and_then(|n| n.checked_add(1)) else {
                    return self.out.remark(at, written, RemarkCause::Registers);
                };
                Some(all)
            }
        };
        let width = count.or(between).filter(|n| *n > 0);
        let Some(table) = address.table.or(named) else {
            // A bit of a table that is not told may be of two.
            if !told.is_empty() {
                return self.out.remark(at, told, RemarkCause::Table);
            }
            self.seen.assumed_table.add(&at, &written);
            return self.point(
                row,
                at,
                (Table::HoldingRegister, address),
                (kind, width, writable),
            );
        };
        self.point(row, at, (table, address), (kind, width, writable));
    }

    fn point(
        &mut self,
        row: &Row,
        at: FileLocation,
        (table, address): (Table, number::Address),
        (kind, width, writable): (String, Option<u16>, bool),
    ) {
        let columns = &self.columns;
        let cell = |column| columns.cell(row, column);
        let told = cell(Column::Bit);
        let Ok(bits) = bit::of(told, self.first_bit) else {
            return self.out.remark(at, told, RemarkCause::Bit);
        };
        self.seen.bits += usize::from(bits.is_some());
        let single = bits.as_ref().filter(|bits| bits.start() == bits.end());
        let bit = single.map(|bits| *bits.start()).or(address.bit);
        let part = bits.filter(|bits| bits.start() < bits.end());
        let order = table_words::order(cell(Column::Order));
        let typed = match (table.is_bits(), kind.is_empty(), bit) {
            (true, ..) => Some((ByteForm::Bool, None)),
            (false, true, Some(bit)) => Some((ByteForm::Bit(bit), None)),
            (false, true, None) => {
                self.seen.assumed_type.add(&at, "");
                let word = match width {
                    Some(2) => "u32",
                    Some(4) => "u64",
                    Some(3) => "u48",
                    _ => "u16",
                };
                Some((ByteForm::Number(word), None))
            }
            (false, false, bit) => match (table_words::shape(&kind, width), bit) {
                (Some((ByteForm::Bool, order)), bit) => {
                    Some((ByteForm::Bit(bit.unwrap_or(0)), order))
                }
                (Some((ByteForm::Number("u16" | "i16"), order)), Some(bit)) => {
                    Some((ByteForm::Bit(bit), order))
                }
                (typed, _) => typed,
            },
        };
        let Some((shape, typed_order)) = typed else {
            let finding = match table_words::is_text(&kind) {
                true => RemarkCause::Length,
                false => RemarkCause::Type,
            };
            return self.out.remark(at, kind, finding);
        };
        // A bit of a wider value is not imported as the whole, but 0 may stand in every row.
        let is_part = part.is_none() || matches!(shape, ByteForm::Number("u16"));
        let is_bit = bit.is_none_or(|bit| bit == 0) || matches!(shape, ByteForm::Bit(_));
        let is_whole = table.is_bits() || (is_part && is_bit);
        if !is_whole {
            let seen = format!("{} {told}, {kind}", cell(Column::Address));
            return self.out.remark(at, seen, RemarkCause::Bit);
        }
        let order = order.or(typed_order).unwrap_or_default();
        if let Some(width) = width
            && matches!(shape, ByteForm::Number(_))
            && width != shape.width()
        {
            let seen = format!("{kind}, {width}");
            return self.out.remark(at, seen, RemarkCause::Registers);
        }
        if address.is_notation {
            self.seen.notation.add(&at, cell(Column::Address));
        } else {
            self.seen.plain += 1;
            let least = self.seen.least.unwrap_or(u16::MAX);
            self.seen.least = Some(least.min(address.address));
        }
        let mut point = ImportedPoint::new(
            at.clone(),
            ValueSource::Register(table, address.address),
            shape,
        );
        point.order = order;
        point.bits = part
            .filter(|_| matches!(shape, ByteForm::Number(_)))
            .map(RangeInclusive::into_inner);
        point.measure = cell(Column::Measure).to_owned();
        point.writable = writable && !matches!(table, Table::InputRegister | Table::DiscreteInput);
        point.interval_ms = number::span(cell(Column::Interval)).filter(|ms| *ms > 0);
        if let ByteForm::Number(word) = shape {
            let decimals = match word.starts_with('f') {
                true => Decimals::Shown,
                false => Decimals::Factor,
            };
            let factors = Factors::of(columns, row, decimals);
            self.take(factors, &mut point);
        }
        if matches!(order, LetterOrder::Badc | LetterOrder::Dcba) {
            self.out.remark(at, order.word(), RemarkCause::Order);
        }
        match self.unit {
            Some(unit) => self.units.entry(unit).or_default().push(point),
            None => self.profile.points.push(point),
        }
    }

    /// Takes the unit id of a row. Cells that a spreadsheet has joined are filled in the first row
    /// only. Returns whether the row can be used.
    fn unit(&mut self, row: &Row, at: &FileLocation) -> bool {
        let written = self.columns.cell(row, Column::Unit);
        if factor::is_blank(written) {
            if let Some(unit) = self.unit {
                self.seen.unit_above.add(at, &unit.to_string());
            }
            return true;
        }
        // As in `1#` and `1号`.
        let digits = written.trim_matches(['#', '号', ' ']);
        let unit = number::whole(digits).and_then(|n| u8::try_from(n).ok());
        let unit = unit.filter(|unit| *unit > 0);
        match unit {
            Some(_) => self.unit = unit,
            None => self.out.remark(at.clone(), written, RemarkCause::Unit),
        }
        unit.is_some()
    }

    /// Gives a point what the cells of factors say.
    fn take(&mut self, factors: Factors, point: &mut ImportedPoint) {
        point.scale = factors.scale;
        point.offset = factors.offset;
        point.round = factors.round;
        if let Some(measure) = factors.measure {
            point.measure = measure;
        }
        for (seen, finding) in factors.remarks {
            self.out.remark(point.at.clone(), seen, finding);
        }
    }

    /// Takes a row with a data identifier of DL/T 645.
    fn datum(&mut self, row: &Row, at: FileLocation) {
        let cell = |column| self.columns.cell(row, column);
        let written = cell(Column::Data).to_owned();
        let digits = written.replace([' ', '-', '.', '_'], "");
        if number::is_scientific(&written) {
            return self.out.remark(at, written, RemarkCause::Scientific);
        }
        let is_hex = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
        // Four digits are an identifier of 1997.
        if !is_hex
            || digits.len() > 8
            || (digits.len() == 4 && digits.starts_with(['9', 'A', 'B', 'C', 'E']))
        {
            return self.out.remark(at, written, RemarkCause::MeterDigits);
        }
        let format = cell(Column::Format)
            .trim()
            .to_uppercase()
            .replace(['N', '_'], "X");
        let is_format = format.contains('X')
            && format
                .trim_start_matches(['±', '-', '+'])
                .chars()
                .all(|c| "X.".contains(c));
        if at.entry.is_empty() {
            return self.out.remark(at, written, RemarkCause::Incomplete);
        }
        if !is_format {
            let seen = format!("{written} {format}");
            return self.out.remark(at, seen, RemarkCause::NoFormat);
        }
        let format = match format.strip_prefix(['-', '+']) {
            Some(rest) => format!("±{rest}"),
            None => format,
        };
        if digits.len() < 8 {
            self.out
                .remark(at.clone(), &*written, RemarkCause::IdentifierZeros);
        }
        // XXXXXX.XX says the decimals already.
        let decimals = match format.contains('.') {
            true => Decimals::Known,
            false => Decimals::Factor,
        };
        let source = ValueSource::Meter(format!("{:0>8}", digits.to_uppercase()), format);
        let mut point = ImportedPoint::new(at, source, ByteForm::Bool);
        point.measure = self.columns.cell(row, Column::Measure).to_owned();
        let factors = Factors::of(&self.columns, row, decimals);
        self.take(factors, &mut point);
        self.profile.points.push(point);
    }

    /// Takes a row with a meter.
    fn meter(&mut self, row: &Row, at: FileLocation) {
        let written = self.columns.cell(row, Column::Meter).to_owned();
        if number::is_scientific(&written) {
            return self.out.remark(at, written, RemarkCause::Scientific);
        }
        let digits = written.replace([' ', '-'], "");
        let is_address =
            (1..=12).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        if !is_address {
            return self.out.remark(at, written, RemarkCause::MeterDigits);
        }
        if digits.len() < 12 {
            self.out
                .remark(at.clone(), &*written, RemarkCause::MeterZeros);
        }
        let device = ImportedDevice {
            name: at.entry,
            title: String::new(),
            port: 0,
            profile: None,
            unit: None,
            meter: Some(format!("{digits:0>12}")),
        };
        self.out.devices.push(device);
    }

    fn finish(mut self) -> Imported {
        let ListTraits {
            notation,
            assumed_table,
            assumed_type,
            least,
            plain,
            unit_above,
            bits,
        } = self.seen;
        if self.first_bit == 1 {
            let mut remarks = self.out.remarks.iter_mut();
            if let Some(of_bits) = remarks.find(|r| r.finding == RemarkCause::BitsFromOne) {
                of_bits.entries = bits.max(1);
            }
        }
        notation.tell(RemarkCause::Notation, &mut self.out);
        assumed_table.tell(RemarkCause::TableAssumed, &mut self.out);
        assumed_type.tell(RemarkCause::TypeAssumed, &mut self.out);
        if least == Some(1) {
            let at = FileLocation::default();
            self.out.remark_of(plain, at, "1", RemarkCause::FromOne);
        }
        unit_above.tell(RemarkCause::UnitAbove, &mut self.out);
        if self.units.is_empty() {
            self.out.profiles.push(self.profile);
            return self.out;
        }
        // Rows above the first unit id belong to no device.
        for point in self.profile.points {
            self.out.remark(point.at, "", RemarkCause::Unit);
        }
        self.out.units("", 0, None, self.units);
        self.out
    }
}

/// Splits `100-101` into first and last; a single address has no last.
fn range(text: &str) -> (&str, Option<&str>) {
    let split = text.split_once(['-', '~', '–', '～']);
    match split {
        Some((first, last)) => (first.trim(), Some(last.trim())),
        None => (text.trim(), None),
    }
}
