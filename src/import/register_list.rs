//! Lists of registers with a header, as spreadsheets, manuals and other tools have them: columns by
//! the words of their heads, in English, Chinese and German, in any order.
//!
//! A list whose rows have meter addresses is a list of meters (DL/T 645), and one whose rows have
//! data identifiers is a profile of them.

mod columns;
mod factor;

use self::columns::{Column, Columns};
use self::factor::{Decimals, Factors};
use super::point::{Imported, ImportedDevice, ImportedPoint, ImportedProfile, Order, Shape};
use super::remark::{Finding, Place};
use super::source::Source;
use super::table::Row;
use super::{Refusal, number, table, word};
use crate::spec::Table;

/// Reads a list.
///
/// # Errors
/// It is no table, or none with a header that is understood.
pub fn read(text: &str) -> Result<Imported, Refusal> {
    let rows = table::read(text)?;
    let headed = rows.iter().take(30).enumerate().find_map(|(n, row)| {
        let columns = Columns::of(row);
        columns.is_header().then_some((n, columns))
    });
    let Some((at, columns)) = headed else {
        return Err(Refusal::Nothing(
            "header: a row with words such as name, address, type",
        ));
    };
    let mut reading = Reading {
        columns,
        out: Imported::default(),
        profile: ImportedProfile::default(),
        section: None,
        seen: Seen::default(),
    };
    for row in rows.iter().skip(at + 1) {
        reading.row(row);
    }
    Ok(reading.finish())
}

/// What the whole list shows.
#[derive(Debug, Default)]
struct Seen {
    notation: Option<(Place, String)>,
    assumed_table: Option<(Place, String)>,
    /// The first row whose type is assumed.
    assumed_type: Option<(Place, String)>,
    least: Option<u16>,
}

struct Reading {
    columns: Columns,
    out: Imported,
    profile: ImportedProfile,
    /// The table that a heading between the rows names.
    section: Option<Table>,
    seen: Seen,
}

impl Reading {
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
        let at = Place::new(row.line, &name);
        if filled < 2 {
            // A heading between the rows.
            let text = row.cells.iter().find(|c| !c.is_empty());
            self.section = text.and_then(|t| word::table(t)).or(self.section);
            return;
        }
        self.out.entries += 1;
        if self.columns.at(Column::Data).is_some() {
            return self.datum(row, at);
        }
        if self.columns.at(Column::Meter).is_some() {
            return self.meter(row, at);
        }
        self.register(row, at);
    }

    /// Takes a row with a register.
    fn register(&mut self, row: &Row, at: Place) {
        let columns = &self.columns;
        let cell = |column| columns.cell(row, column);
        let written = cell(Column::Address).to_owned();
        if written.is_empty() || at.entry.is_empty() {
            return self.out.remark(at, written, Finding::Incomplete);
        }
        let told = cell(Column::Table);
        let named = word::table(told).or(self.section);
        let (first, last) = range(&written);
        let hexadecimal = columns.is_hexadecimal() && number::hexadecimal(first).is_none();
        let first = if hexadecimal {
            format!("0x{first}")
        } else {
            first.to_owned()
        };
        let address = match number::address(&first, named) {
            Ok(address) => address,
            Err(why) => {
                let finding = match why {
                    number::NoAddress::Scientific => Finding::Scientific,
                    number::NoAddress::Text => Finding::Address,
                };
                return self.out.remark(at, written, finding);
            }
        };
        let access = cell(Column::Access);
        let Some(writable) = word::access(access) else {
            return self.out.remark(at, access, Finding::WriteOnly);
        };
        let kind = cell(Column::Type).to_owned();
        let count = number::whole(cell(Column::Count)).and_then(|n| u16::try_from(n).ok());
        let between = last.and_then(number::whole).zip(number::whole(&first));
        let between = between.and_then(|(last, first)| u16::try_from(last - first + 1).ok());
        let width = count.or(between).filter(|n| *n > 0);
        let Some(table) = address.table.or(named) else {
            // A bit of a table that is not told may be of two.
            if !told.is_empty() {
                return self.out.remark(at, told, Finding::Table);
            }
            let first = (at.clone(), written.clone());
            self.seen.assumed_table.get_or_insert(first);
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
        at: Place,
        (table, address): (Table, number::Address),
        (kind, width, writable): (String, Option<u16>, bool),
    ) {
        let columns = &self.columns;
        let cell = |column| columns.cell(row, column);
        let bit = number::whole(cell(Column::Bit)).and_then(|n| u8::try_from(n).ok());
        let bit = bit.filter(|bit| *bit < 16).or(address.bit);
        let order = word::order(cell(Column::Order));
        let typed = match (table.is_bits(), kind.is_empty(), bit) {
            (true, ..) => Some((Shape::Bool, None)),
            (false, true, Some(bit)) => Some((Shape::Bit(bit), None)),
            (false, true, None) => {
                let first = (at.clone(), String::new());
                self.seen.assumed_type.get_or_insert(first);
                let word = match width {
                    Some(2) => "u32",
                    Some(4) => "u64",
                    Some(3) => "u48",
                    _ => "u16",
                };
                Some((Shape::Number(word), None))
            }
            (false, false, bit) => match (word::shape(&kind, width), bit) {
                (Some((Shape::Bool, order)), bit) => Some((Shape::Bit(bit.unwrap_or(0)), order)),
                (Some((Shape::Number("u16" | "i16"), order)), Some(bit)) => {
                    Some((Shape::Bit(bit), order))
                }
                (typed, _) => typed,
            },
        };
        let Some((shape, typed_order)) = typed else {
            return self.out.remark(at, kind, Finding::Type);
        };
        let order = order.or(typed_order).unwrap_or_default();
        if let Some(width) = width
            && matches!(shape, Shape::Number(_))
            && width != shape.width()
        {
            let seen = format!("{kind}, {width}");
            return self.out.remark(at, seen, Finding::Registers);
        }
        if address.is_notation {
            let seen = cell(Column::Address).to_owned();
            self.seen.notation.get_or_insert((at.clone(), seen));
        } else {
            let least = self.seen.least.unwrap_or(u16::MAX);
            self.seen.least = Some(least.min(address.address));
        }
        let mut point =
            ImportedPoint::new(at.clone(), Source::Register(table, address.address), shape);
        point.order = order;
        point.measure = cell(Column::Measure).to_owned();
        point.writable = writable && !matches!(table, Table::InputRegister | Table::DiscreteInput);
        point.interval_ms = number::span(cell(Column::Interval)).filter(|ms| *ms > 0);
        if let Shape::Number(word) = shape {
            let decimals = match word.starts_with('f') {
                true => Decimals::Shown,
                false => Decimals::Factor,
            };
            let factors = Factors::of(columns, row, decimals);
            self.take(factors, &mut point);
        }
        if matches!(order, Order::Badc | Order::Dcba) {
            self.out.remark(at, order.word(), Finding::Order);
        }
        self.profile.points.push(point);
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
    fn datum(&mut self, row: &Row, at: Place) {
        let cell = |column| self.columns.cell(row, column);
        let written = cell(Column::Data).to_owned();
        let digits = written.replace([' ', '-', '.', '_'], "");
        if number::is_scientific(&written) {
            return self.out.remark(at, written, Finding::Scientific);
        }
        let is_hex = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
        // Four digits are an identifier of 1997.
        if !is_hex
            || digits.len() > 8
            || (digits.len() == 4 && digits.starts_with(['9', 'A', 'B', 'C', 'E']))
        {
            return self.out.remark(at, written, Finding::MeterDigits);
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
            return self.out.remark(at, written, Finding::Incomplete);
        }
        if !is_format {
            let seen = format!("{written} {format}");
            return self.out.remark(at, seen, Finding::NoFormat);
        }
        let format = match format.strip_prefix(['-', '+']) {
            Some(rest) => format!("±{rest}"),
            None => format,
        };
        if digits.len() < 8 {
            self.out
                .remark(at.clone(), &*written, Finding::IdentifierZeros);
        }
        // XXXXXX.XX says the decimals already.
        let decimals = match format.contains('.') {
            true => Decimals::Known,
            false => Decimals::Factor,
        };
        let source = Source::Meter(format!("{:0>8}", digits.to_uppercase()), format);
        let mut point = ImportedPoint::new(at, source, Shape::Bool);
        point.measure = self.columns.cell(row, Column::Measure).to_owned();
        let factors = Factors::of(&self.columns, row, decimals);
        self.take(factors, &mut point);
        self.profile.points.push(point);
    }

    /// Takes a row with a meter.
    fn meter(&mut self, row: &Row, at: Place) {
        let written = self.columns.cell(row, Column::Meter).to_owned();
        if number::is_scientific(&written) {
            return self.out.remark(at, written, Finding::Scientific);
        }
        let digits = written.replace([' ', '-'], "");
        let is_address =
            (1..=12).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        if !is_address {
            return self.out.remark(at, written, Finding::MeterDigits);
        }
        if digits.len() < 12 {
            self.out.remark(at.clone(), &*written, Finding::MeterZeros);
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
        let Seen {
            notation,
            assumed_table,
            assumed_type,
            least,
        } = self.seen;
        if let Some((at, seen)) = notation {
            self.out.remark(at, seen, Finding::Notation);
        }
        if let Some((at, seen)) = assumed_table {
            self.out.remark(at, seen, Finding::TableAssumed);
        }
        if let Some((at, seen)) = assumed_type {
            self.out.remark(at, seen, Finding::TypeAssumed);
        }
        if least == Some(1) {
            self.out.remark(Place::default(), "1", Finding::FromOne);
        }
        self.out.profiles.push(self.profile);
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
