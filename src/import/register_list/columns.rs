//! The columns of a list, by the words of their heads.

use crate::import::table::Row;
use crate::import::table_words;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Column {
    Name,
    Description,
    Address,
    Type,
    Factor,
    /// A number of decimals, a factor or an accuracy.
    Precision,
    /// A number of decimals.
    Decimals,
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
const EXACT: [(Column, &[&str]); 20] = [
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
            "乘数",
        ],
    ),
    // Lists of inverters divide by the gain, and others multiply with it.
    (Column::Precision, &["精度", "gain"]),
    (
        Column::Decimals,
        &[
            "decimals",
            "decimalplaces",
            "numberofdecimals",
            "noofdecimals",
            "dp",
            "nachkommastellen",
            "小数位数",
            "小数位",
            "小数点位数",
            "小数",
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

/// Returns what each column of a list holds, in a word, and the heads by which it is known.
pub(super) fn heads() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    EXACT.iter().map(|(column, words)| (column.word(), *words))
}

impl Column {
    const fn word(self) -> &'static str {
        match self {
            Column::Name => "name",
            Column::Description => "description",
            Column::Address => "address",
            Column::Type => "type",
            Column::Factor => "factor",
            Column::Precision => "precision",
            Column::Decimals => "decimals",
            Column::Divisor => "divisor",
            Column::Addend => "addend",
            Column::Measure => "unit",
            Column::Access => "access",
            Column::Table => "table",
            Column::Count => "registers",
            Column::Order => "byte order",
            Column::Bit => "bit",
            Column::Interval => "interval",
            Column::Data => "data id",
            Column::Format => "format",
            Column::Meter => "meter",
            Column::Unit => "unit id",
        }
    }
}

/// Parts of heads, for those that are not exact, in the order of trial.
const PARTS: [(Column, &[&str]); 12] = [
    (Column::Decimals, &["小数位"]),
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

/// Which cell of a row holds what.
#[derive(Debug, Default)]
pub(super) struct Columns {
    all: Vec<(Column, usize)>,
    /// Whether the addresses are hexadecimal without a mark.
    is_hexadecimal: bool,
}

/// Heads of columns that number the rows.
const NUMBERS_OF_ROWS: [&str; 6] = ["no", "nr", "#", "index", "序号", "行号"];

impl Columns {
    /// Returns the columns that the heads in a row name.
    pub(super) fn of(row: &Row) -> Columns {
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

    /// Returns whether the addresses are hexadecimal without a mark.
    pub(super) const fn is_hexadecimal(&self) -> bool {
        self.is_hexadecimal
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

    /// Returns the number of the cell of a column, if there is one.
    pub(super) fn at(&self, column: Column) -> Option<usize> {
        let found = self.all.iter().find(|(c, _)| *c == column);
        found.map(|(_, n)| *n)
    }

    /// Returns the heads that are not known.
    pub(super) fn unknown<'r>(&self, header: &'r Row) -> Vec<&'r str> {
        let is_known = |n: usize| self.all.iter().any(|(_, at)| *at == n);
        let heads = header.cells.iter().enumerate();
        let says_nothing = |head: &str| NUMBERS_OF_ROWS.contains(&head_of(head).0.as_str());
        let unknown =
            heads.filter(|(n, head)| !(head.is_empty() || is_known(*n) || says_nothing(head)));
        unknown.map(|(_, head)| head.as_str()).collect()
    }

    /// Returns whether a row with these heads is the header of a list.
    pub(super) fn is_header(&self) -> bool {
        let has = |column| self.at(column).is_some();
        self.all.len() >= 2 && (has(Column::Address) || has(Column::Data) || has(Column::Meter))
    }

    /// Returns the factor of a row, or else its precision, which may be one.
    pub(super) fn factor<'r>(&self, row: &'r Row) -> &'r str {
        match self.cell(row, Column::Factor) {
            "" => self.cell(row, Column::Precision),
            factor => factor,
        }
    }

    /// Returns what a row has in this column; empty if there is no such column.
    pub(super) fn cell<'r>(&self, row: &'r Row, column: Column) -> &'r str {
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
    // Of decimals, and not in decimals.
    let bare = table_words::normalized(&outside);
    let is_decimals = |(column, words): &(Column, &[&str])| {
        *column == Column::Decimals && words.contains(&bare.as_str())
    };
    if EXACT.iter().any(is_decimals) {
        return (bare, hex);
    }
    let squeezed = table_words::normalized(
        &outside
            .replace("hex", "")
            .replace("十六进制", "")
            .replace("decimal", "")
            .replace(" dec", ""),
    );
    let whole = table_words::normalized(&lower);
    (if squeezed.is_empty() { whole } else { squeezed }, hex)
}
