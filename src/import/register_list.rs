//! Lists of registers with a header, as spreadsheets, manuals and other tools have them: columns by
//! the words of their heads, in English, Chinese and German, in any order.
//!
//! A list whose rows have meter addresses is a list of meters (DL/T 645), and one whose rows have
//! data identifiers is a profile of them.

use super::point::{Imported, ImportedDevice, ImportedPoint, ImportedProfile, Order, Shape};
use super::remark::{Finding, Place};
use super::source::Source;
use super::table::Row;
use super::{Refusal, number, table, word};
use crate::spec::Table;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
    Name,
    Description,
    Address,
    Type,
    Factor,
    Divisor,
    Addend,
    Measure,
    Access,
    Table,
    Count,
    Order,
    Bit,
    Interval,
    Data,
    Format,
    Meter,
    Unit,
}

/// The words of heads, squeezed; an exact one wins.
const EXACT: [(Column, &[&str]); 18] = [
    (
        Column::Name,
        &[
            "name",
            "parameter",
            "tag",
            "signal",
            "variable",
            "datapoint",
            "point",
            "item",
            "measurement",
            "quantity",
            "registername",
            "parametername",
            "id",
            "identifier",
            "key",
            "bezeichnung",
            "benennung",
            "datenpunkt",
            "messwert",
            "größe",
            "名称",
            "参数",
            "参数名称",
            "变量",
            "变量名",
            "变量名称",
            "点名",
            "测点",
            "测点名称",
            "寄存器名称",
            "信号名称",
            "标识符",
        ],
    ),
    (
        Column::Description,
        &[
            "description",
            "comment",
            "note",
            "beschreibung",
            "bemerkung",
            "描述",
            "说明",
            "备注",
            "含义",
            "内容",
        ],
    ),
    (
        Column::Address,
        &[
            "address",
            "addr",
            "register",
            "reg",
            "registeraddress",
            "modbusaddress",
            "modbusregister",
            "startaddress",
            "startregister",
            "startadresse",
            "adresse",
            "registeradresse",
            "registernummer",
            "地址",
            "寄存器",
            "寄存器地址",
            "起始地址",
            "通讯地址偏移",
            "modbus地址",
        ],
    ),
    (
        Column::Type,
        &[
            "type",
            "datatype",
            "dtype",
            "dataformat",
            "valuetype",
            "datentyp",
            "typ",
            "datenformat",
            "类型",
            "数据类型",
            "数据格式",
            "值类型",
        ],
    ),
    (
        Column::Factor,
        &[
            "scale",
            "factor",
            "scalefactor",
            "multiplier",
            "scaling",
            "gain",
            "coefficient",
            "resolution",
            "ratio",
            "coeff",
            "faktor",
            "skalierung",
            "auflösung",
            "multiplikator",
            "倍率",
            "系数",
            "比例",
            "比例系数",
            "缩放",
            "分辨率",
            "变比",
            "精度",
            "乘数",
        ],
    ),
    (Column::Divisor, &["divisor", "divider", "teiler", "除数"]),
    (
        Column::Addend,
        &["offset", "addend", "bias", "versatz", "偏移", "偏移量"],
    ),
    (
        Column::Measure,
        &["unit", "units", "uom", "engineeringunit", "einheit", "单位"],
    ),
    (
        Column::Access,
        &[
            "access",
            "rw",
            "readwrite",
            "accessmode",
            "accesstype",
            "zugriff",
            "lesenschreiben",
            "读写",
            "权限",
            "访问",
            "读写属性",
            "属性",
            "读写权限",
            "访问方式",
        ],
    ),
    (
        Column::Table,
        &[
            "function",
            "functioncode",
            "fc",
            "func",
            "table",
            "registertype",
            "regtype",
            "objecttype",
            "object",
            "area",
            "memoryarea",
            "funktion",
            "funktionscode",
            "registertyp",
            "tabelle",
            "功能码",
            "寄存器类型",
            "功能",
            "区域",
            "存储区",
            "功能代码",
        ],
    ),
    (
        Column::Count,
        &[
            "count",
            "length",
            "len",
            "size",
            "registers",
            "words",
            "numberofregisters",
            "registercount",
            "noofregisters",
            "anzahl",
            "länge",
            "anzahlregister",
            "registeranzahl",
            "数量",
            "长度",
            "寄存器数",
            "寄存器数量",
            "寄存器个数",
            "字数",
            "个数",
            "字长",
        ],
    ),
    (
        Column::Order,
        &[
            "byteorder",
            "wordorder",
            "order",
            "endian",
            "endianness",
            "endianess",
            "swap",
            "bytereihenfolge",
            "wortreihenfolge",
            "reihenfolge",
            "字节序",
            "字节顺序",
            "字序",
            "大小端",
        ],
    ),
    (
        Column::Bit,
        &[
            "bit",
            "bitnumber",
            "bitposition",
            "bitnr",
            "bitno",
            "bitoffset",
            "位",
            "位号",
            "比特",
        ],
    ),
    (
        Column::Interval,
        &[
            "interval",
            "period",
            "pollinterval",
            "pollperiod",
            "scanrate",
            "scaninterval",
            "intervall",
            "zyklus",
            "周期",
            "采集周期",
            "采集间隔",
        ],
    ),
    (
        Column::Data,
        &[
            "dataidentifier",
            "di",
            "dataid",
            "datenkennung",
            "数据标识",
            "标识编码",
            "数据标识编码",
            "数据项标识",
        ],
    ),
    (
        Column::Format,
        &["format", "displayformat", "格式", "anzeigeformat"],
    ),
    (
        Column::Meter,
        &[
            "meteraddress",
            "meterno",
            "meternumber",
            "meterid",
            "zähleradresse",
            "zählernummer",
            "表号",
            "表地址",
            "电表地址",
            "电表号",
            "通信地址",
            "通讯地址",
            "表计地址",
            "电表表号",
        ],
    ),
    (
        Column::Unit,
        &[
            "unitid",
            "slave",
            "slaveid",
            "slaveaddress",
            "deviceaddress",
            "deviceid",
            "stationaddress",
            "station",
            "geräteadresse",
            "slaveadresse",
            "站号",
            "从站地址",
            "从机地址",
            "设备地址",
            "从站",
            "从站号",
        ],
    ),
];

/// Parts of heads, for those that are not exact, in the order of trial.
const PARTS: [(Column, &[&str]); 11] = [
    (
        Column::Meter,
        &["meteraddress", "表号", "表地址", "通信地址"],
    ),
    (Column::Data, &["dataidentifier", "数据标识"]),
    (Column::Unit, &["slaveid", "slaveaddr", "站号", "从机地址"]),
    (
        Column::Table,
        &[
            "functioncode",
            "registertype",
            "功能码",
            "function",
            "funktion",
        ],
    ),
    (
        Column::Order,
        &["byteorder", "wordorder", "endian", "字节序"],
    ),
    (
        Column::Type,
        &[
            "datatype",
            "dataformat",
            "datentyp",
            "数据类型",
            "数据格式",
            "type",
        ],
    ),
    (
        Column::Count,
        &["numberof", "length", "anzahl", "数量", "长度"],
    ),
    (
        Column::Factor,
        &[
            "scale",
            "factor",
            "multiplier",
            "faktor",
            "系数",
            "倍率",
            "比例",
        ],
    ),
    (Column::Access, &["access", "读写", "zugriff"]),
    (
        Column::Address,
        &["address", "adresse", "register", "地址", "寄存器"],
    ),
    (
        Column::Name,
        &["name", "parameter", "名称", "参数", "bezeichnung"],
    ),
];

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

/// Which cell of a row holds what.
#[derive(Debug, Default)]
struct Columns {
    all: Vec<(Column, usize)>,
    /// Whether the addresses are hexadecimal without a mark.
    is_hexadecimal: bool,
}

impl Columns {
    fn of(row: &Row) -> Columns {
        let mut columns = Columns::default();
        let heads: Vec<(String, bool)> = row.cells.iter().map(|head| head_of(head)).collect();
        for (n, (head, hex)) in heads.iter().enumerate() {
            let exact = EXACT
                .iter()
                .find(|(_, words)| words.contains(&head.as_str()));
            if let Some((column, _)) = exact {
                columns.add(*column, n, *hex);
            }
        }
        for (n, (head, hex)) in heads.iter().enumerate() {
            let is_taken = columns.all.iter().any(|(_, at)| *at == n);
            let is_part = |words: &[&str]| words.iter().any(|w| head.contains(w));
            let found = PARTS.iter().find(|(_, words)| is_part(words));
            if let Some((column, _)) = found.filter(|_| !is_taken) {
                columns.add(*column, n, *hex);
            }
        }
        // A column that is called offset is the address if there is no other.
        if columns.at(Column::Address).is_none() {
            for (column, _) in &mut columns.all {
                if *column == Column::Addend {
                    *column = Column::Address;
                }
            }
        }
        // Format is the type, unless there are data identifiers.
        if columns.at(Column::Data).is_none() && columns.at(Column::Type).is_none() {
            for (column, _) in &mut columns.all {
                if *column == Column::Format {
                    *column = Column::Type;
                }
            }
        }
        columns
    }

    /// Takes a column, unless there is one already. Of two columns of addresses, the decimal one
    /// is taken.
    fn add(&mut self, column: Column, n: usize, hex: bool) {
        let there = self.all.iter_mut().find(|(c, _)| *c == column);
        match there {
            None => {
                self.all.push((column, n));
                if column == Column::Address {
                    self.is_hexadecimal = hex;
                }
            }
            Some(there) if column == Column::Address && self.is_hexadecimal && !hex => {
                there.1 = n;
                self.is_hexadecimal = false;
            }
            Some(_) => {}
        }
    }

    fn at(&self, column: Column) -> Option<usize> {
        let found = self.all.iter().find(|(c, _)| *c == column);
        found.map(|(_, n)| *n)
    }

    fn is_header(&self) -> bool {
        let has = |column| self.at(column).is_some();
        self.all.len() >= 2 && (has(Column::Address) || has(Column::Data) || has(Column::Meter))
    }

    fn cell<'r>(&self, row: &'r Row, column: Column) -> &'r str {
        self.at(column).map_or("", |n| row.cell(n))
    }
}

/// Returns the squeezed head without what is in brackets, and whether it says hexadecimal.
fn head_of(head: &str) -> (String, bool) {
    let lower = head.to_lowercase();
    let hex = lower.contains("hex") || lower.contains("十六进制") || lower.contains("0x");
    let outside: String = lower
        .split(['(', '（', '['])
        .next()
        .unwrap_or_default()
        .to_owned();
    let squeezed = word::squeezed(
        &outside
            .replace("hex", "")
            .replace("十六进制", "")
            .replace("decimal", "")
            .replace(" dec", ""),
    );
    let whole = word::squeezed(&lower);
    (if squeezed.is_empty() { whole } else { squeezed }, hex)
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
        let hexadecimal = columns.is_hexadecimal && number::hexadecimal(first).is_none();
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
        if matches!(shape, Shape::Number(_)) {
            let (scale, offset, wrong) = self.factors(row);
            point.scale = scale;
            point.offset = offset;
            if let Some(seen) = wrong {
                self.out.remark(at.clone(), seen, Finding::Factor);
            }
        }
        if matches!(order, Order::Badc | Order::Dcba) {
            self.out.remark(at, order.word(), Finding::Order);
        }
        self.profile.points.push(point);
    }

    /// Returns factor and addend of a row, and what of them is no number.
    fn factors(&self, row: &Row) -> (Option<String>, Option<String>, Option<String>) {
        let cell = |column| self.columns.cell(row, column);
        let mut wrong = None;
        let mut read = |text: &str| match text {
            "" | "-" | "/" | "--" => None,
            text => {
                // Also as in `0.1V`: the unit behind the factor.
                let number =
                    text.trim_end_matches(|c: char| c.is_alphabetic() || "%°℃".contains(c));
                let found = number::decimal(text).or_else(|| number::decimal(number));
                if found.is_none() {
                    wrong = Some(text.to_owned());
                }
                found
            }
        };
        let divisor =
            read(cell(Column::Divisor)).and_then(|by| number::decimal(&format!("1/{by}")));
        let scale = read(cell(Column::Factor)).or(divisor);
        let offset = read(cell(Column::Addend));
        let scale = scale.filter(|by| by.parse::<f64>().is_ok_and(|by| by != 0.0));
        (
            scale.and_then(number::factor),
            offset.and_then(number::addend),
            wrong,
        )
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
        let source = Source::Meter(format!("{:0>8}", digits.to_uppercase()), format);
        let mut point = ImportedPoint::new(at.clone(), source, Shape::Bool);
        let (scale, offset, wrong) = self.factors(row);
        point.scale = scale;
        point.offset = offset;
        if let Some(seen) = wrong {
            self.out.remark(at, seen, Finding::Factor);
        }
        point.measure = self.columns.cell(row, Column::Measure).to_owned();
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
