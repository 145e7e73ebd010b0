//! Words of other programs and of manuals, and the words of this configuration for them.
//!
//! A misspelling is for [`near`](crate::config::reader::suggestions) to find. The words here are
//! right elsewhere: `float32`, `slave_id`, `baudrate`, a decimal comma.

/// Words of other programs, in lower case, without blanks, `_` and `-`; and the words of this
/// configuration for them. The first of these that is possible at the position is suggested.
#[rustfmt::skip]
const WORDS: &[(&[&str], &[&str])] = &[
    // Keys: which device.
    (&["slave", "slaveid", "slaveaddress", "slaveaddr", "slavenumber", "unitid", "unitaddress", "unitnumber",
       "deviceid", "deviceaddress", "nodeid", "nodeaddress", "node", "station", "stationid", "stationnumber",
       "serverid", "serveraddress", "modbusid", "modbusaddress", "meteraddress", "mbid"], &["unit", "address"]),
    // Keys: which table and address.
    (&["functioncode", "function", "fc", "fcode", "func", "registertype", "regtype", "inputtype", "objecttype",
       "memoryarea", "area", "registertable", "primarytable", "pointtype"], &["table"]),
    (&["register", "registeraddress", "reg", "regaddr", "addr", "start", "startaddress", "startingaddress",
       "dataaddress", "index"], &["address", "at"]),
    // Keys: how the value is written.
    (&["datatype", "valuetype", "format", "dtype", "vartype"], &["type", "format"]),
    (&["multiplier", "factor", "ratio", "coefficient", "gain", "multiply", "slope", "scaling", "scalefactor"],
     &["scale"]),
    (&["byteorder", "wordorder", "endian", "endianness", "endianess", "swap", "wordswap", "byteswap"], &["order"]),
    (&["precision", "decimals", "decimalplaces", "digits"], &["round"]),
    (&["quantity", "count", "size", "numberofregisters", "registercount", "words"], &["registers", "length"]),
    (&["charset", "codepage", "codec"], &["encoding"]),
    (&["timezone", "tz", "utc", "zone"], &["utc_offset"]),
    (&["nanvalue", "nan", "nodata", "badvalue"], &["invalid"]),
    (&["enum", "map", "mapping", "states", "labels"], &["values"]),
    (&["label", "caption", "displayname", "friendlyname", "description", "desc"], &["title"]),
    // Keys: how often.
    (&["scanrate", "pollinterval", "pollrate", "pollinginterval", "pollingrate", "pollingperiod", "pollperiod", "scaninterval",
       "scantime", "scanperiod", "period", "cycle", "cycletime", "rate", "readinterval", "updateinterval",
       "intervalms", "refresh"], &["interval"]),
    // Keys: names.
    (&["identifier", "key", "tag", "tagname", "property", "name"], &["id", "name"]),
    // Keys: lines.
    (&["baudrate", "bps", "speed", "bitrate"], &["baud"]),
    (&["bytesize", "databits", "databit", "bits", "wordlength"], &["data_bits"]),
    (&["stopbits", "stopbit", "stop"], &["stop_bits"]),
    (&["timeout", "responsetimeout", "requesttimeout", "readtimeout", "replytimeout"], &["response_timeout"]),
    (&["delay", "interframedelay", "framedelay", "messagedelay", "messagewaitmilliseconds", "delaybetweenpolls"], &["turnaround"]),
    (&["ip", "ipaddress", "hostname", "server", "address"], &["host"]),
    (&["serialport", "tty", "comport", "com", "path", "portname"], &["device"]),
    (&["maxregistersperread", "maxregistersperrequest", "maxreadregisters", "maxblocksize", "maxblock"], &["max_registers"]),
    // Tables.
    (&["holdingregister", "holdingregisters", "hr", "4x", "03", "3", "fc3", "fc03", "0x03", "readholdingregisters",
       "hreg"], &["holding"]),
    (&["inputregister", "inputregisters", "ir", "3x", "04", "4", "fc4", "fc04", "0x04", "readinputregisters",
       "ireg", "analoginput"], &["input"]),
    (&["discreteinput", "discreteinputs", "di", "1x", "02", "2", "fc2", "fc02", "0x02", "contact", "istatus",
       "inputstatus", "digitalinput"], &["discrete"]),
    (&["coils", "co", "0x", "01", "1", "fc1", "fc01", "0x01", "do", "coilstatus", "digitaloutput"], &["coil"]),
    // Types.
    (&["float32", "float", "real", "real32", "single", "f", "ieee754", "floatingpoint"], &["f32", "double"]),
    (&["float64", "real64", "lreal", "doublefloat"], &["f64", "double"]),
    (&["double"], &["f64"]),
    (&["float16", "half"], &["f16"]),
    (&["uint16", "uint", "word", "unsigned", "unsigned16", "ushort", "unsignedshort", "uint16t", "unsignedint", "unsignedint16"], &["u16"]),
    (&["int16", "short", "signed", "signed16", "sint16", "int16t", "signedint", "signedint16", "integer16"], &["i16"]),
    (&["int", "integer"], &["i16", "int"]),
    (&["uint32", "udint", "dword", "ulong", "unsigned32", "unsignedlong", "uint32t", "unsignedint32"], &["u32"]),
    (&["int32", "dint", "long", "signed32", "sint32", "int32t", "signedint32", "integer32"], &["i32"]),
    (&["uint64", "ulint", "lword", "qword", "ulonglong", "unsigned64", "uint64t"], &["u64"]),
    (&["int64", "lint", "longlong", "signed64", "int64t"], &["i64"]),
    (&["uint8", "byte", "usint", "uchar", "unsigned8", "uint8t"], &["u8"]),
    (&["int8", "sint", "sbyte", "signed8", "int8t"], &["i8"]),
    (&["uint24"], &["u24"]), (&["int24"], &["i24"]), (&["uint48"], &["u48"]), (&["int48"], &["i48"]),
    (&["bcd", "bcd4"], &["bcd16"]),
    (&["boolean", "bool", "flag"], &["bool", "bit"]),
    (&["str", "text", "string", "char", "chars", "ascii", "utf8"], &["string", "text", "utf-8"]),
    (&["datetime", "timestamp", "time", "date"], &["datetime", "date"]),
    // Orders.
    (&["bigendian", "big", "be", "msb", "msbfirst", "normal", "1234", "msw", "mswfirst"], &["ABCD", "AB", "high"]),
    (&["littleendian", "little", "le", "lsb", "lsbfirst", "4321"], &["DCBA", "BA", "low"]),
    (&["wordswap", "wordswapped", "swapwords", "3412", "littleendianword", "lsw", "lswfirst"], &["CDAB", "low"]),
    (&["byteswap", "byteswapped", "swapbytes", "2143"], &["BADC", "BA", "low"]),
    // Signs.
    (&["magnitude", "signmagnitude", "signandmagnitude", "signedmagnitude", "highbit", "topbit"], &["highest-bit"]),
    // Parities.
    (&["n", "no", "off"], &["none"]), (&["e"], &["even"]), (&["o"], &["odd"]),
    // Encodings.
    (&["gb2312", "cp936", "gb231280", "windows936"], &["gbk"]),
    (&["iso88591", "latin"], &["latin1"]),
    (&["sjis", "cp932"], &["shift-jis"]), (&["cp1250"], &["windows-1250"]),
    (&["cp1251"], &["windows-1251"]), (&["cp1252"], &["windows-1252"]), (&["unicode", "ucs2"], &["utf-16"]),
];

/// Returns this configuration's word for a foreign word, if the list has it and it is possible.
pub(crate) fn own_word<'a>(word: &str, possible: &[&'a str]) -> Option<&'a str> {
    let word = plain(word);
    let meant = WORDS.iter().filter(|(theirs, _)| theirs.contains(&&*word));
    meant
        .flat_map(|(_, ours)| *ours)
        .find_map(|ours| possible.iter().find(|p| *p == ours).copied())
}

/// Returns this configuration's type and order for a type that names its order as well:
/// `float32_abcd`, `FLOAT (CDAB)`, `uint32_be`, `int32-swap`.
pub(crate) fn type_with_order(word: &str, types: &[&str]) -> Option<String> {
    let plain = plain(word);
    let orders = [
        ("abcd", "ABCD"),
        ("cdab", "CDAB"),
        ("badc", "BADC"),
        ("dcba", "DCBA"),
        ("bigendian", "ABCD"),
        ("littleendian", "DCBA"),
        ("wordswap", "CDAB"),
        ("swapped", "CDAB"),
        ("swap", "CDAB"),
        ("inverse", "CDAB"),
        ("be", "ABCD"),
        ("le", "DCBA"),
    ];
    orders.iter().find_map(|(theirs, order)| {
        let kind = plain.strip_suffix(theirs)?;
        let own = types.iter().find(|t| **t == kind).copied();
        let kind = own.or_else(|| own_word(kind, types))?;
        Some(format!("{kind} with order: {order}"))
    })
}

/// Returns `word` in lower case, without the separators that other programs put between words.
fn plain(word: &str) -> String {
    let kept = word
        .chars()
        .filter(|c| !c.is_whitespace() && !"_-()[]./".contains(*c));
    kept.flat_map(char::to_lowercase).take(64).collect()
}

/// Returns what a key of another program means here; `value` is the value of that key.
pub(crate) fn key(word: &str, value: Option<&str>, keys: &[&str]) -> Option<String> {
    let plain = plain(word);
    let has = |key: &str| keys.contains(&key);
    if plain.bytes().all(|b| b.is_ascii_digit()) && !plain.is_empty() && value.is_none() {
        return Some("a decimal comma? a number has a point, like 0.1".into());
    }
    let is_measure = ["units", "unitofmeasurement", "uom", "engineeringunit"].contains(&&*plain);
    if is_measure && has("title") && has("unit") {
        return Some("here that is unit".into());
    }
    let whose = WORDS
        .first()
        .is_some_and(|(theirs, _)| theirs.contains(&&*plain));
    if whose && (has("interval") || has("points")) {
        return Some("a profile describes a kind of device; each device gives its own unit".into());
    }
    if plain == "divisor" && has("scale") {
        return Some("scale multiplies: a divisor of 10 is scale: 0.1".into());
    }
    let ours = own_word(word, keys)?;
    // This configuration's word for the value, where the key has a few words to choose from.
    let value = value.filter(|v| v.len() <= 20).map(|value| match ours {
        "table" => {
            let tables = ["holding", "input", "discrete", "coil"];
            let own = tables.into_iter().find(|t| t.eq_ignore_ascii_case(value));
            own.or_else(|| self::own_word(value, &tables)).unwrap_or("")
        }
        _ => "",
    });
    Some(match value {
        Some(value) if !value.is_empty() => format!("here that is {ours}: {value}"),
        _ => format!("here that is {ours}"),
    })
}

/// Returns a hint for `0,1`: a number with a decimal comma, as many countries write it.
pub(crate) fn decimal_comma(text: &str) -> Option<String> {
    let (whole, fraction) = text.split_once(',')?;
    let digits = whole.strip_prefix(['-', '+']).unwrap_or(whole);
    let number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let follows = fraction.starts_with(|c: char| c.is_ascii_digit()) && !fraction.contains(',');
    (number && follows).then(|| format!("a decimal point, not a comma: {whole}.{fraction}"))
}

/// Returns the number in an address that names its table as well (`4x0001`, `40001`, `%MW100`),
/// 0-based, and the table.
pub(crate) fn address(text: &str) -> Option<(u32, &'static str)> {
    let lower = text.to_ascii_lowercase();
    let number = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        plain.then(|| digits.parse::<u32>().ok()).flatten()
    };
    let tables = [
        ('4', "holding"),
        ('3', "input"),
        ('1', "discrete"),
        ('0', "coil"),
    ];
    for (digit, table) in tables {
        let behind = lower.strip_prefix(digit).and_then(|rest| {
            let rest = rest.strip_prefix('x')?;
            rest.strip_prefix([':', '_', '-']).or(Some(rest))
        });
        // 0x… is a number in hexadecimal.
        if let Some(n) = behind.and_then(number).filter(|_| digit != '0') {
            return n.checked_sub(1).map(|n| (n, table));
        }
    }
    for (prefix, table) in [
        ("%mw", "holding"),
        ("mw", "holding"),
        ("hr", "holding"),
        ("ir", "input"),
    ] {
        if let Some(n) = lower.strip_prefix(prefix).and_then(number) {
            return Some((n, table));
        }
    }
    None
}

/// Returns the table and the 0-based address that a manual means by a number which names its table
/// as well, as in [`address`], or by five or six digits of which the first does: `40001`,
/// `300010`. `None` for any other text; so for `00017`, which is a number of coils only where that
/// is known.
pub(crate) fn address_in_a_manual(text: &str) -> Option<(&'static str, u16)> {
    if let Some((address, table)) = address(text) {
        return Some((table, u16::try_from(address).ok()?));
    }
    let is_number = matches!(text.len(), 5 | 6) && text.bytes().all(|b| b.is_ascii_digit());
    let (first, rest) = text.split_at_checked(1).filter(|_| is_number)?;
    let table = match first {
        "4" => "holding",
        "3" => "input",
        "1" => "discrete",
        _ => return None,
    };
    let address = rest.parse::<u32>().ok()?.checked_sub(1)?;
    Some((table, u16::try_from(address).ok()?))
}

/// Units of measure, in lower case.
#[rustfmt::skip]
const MEASURES: &[&str] = &[
    "v", "mv", "kv", "a", "ma", "ka", "w", "kw", "mw", "wh", "kwh", "mwh", "gwh", "var", "kvar", "varh", "kvarh", "va",
    "kva", "vah", "kvah", "hz", "ohm", "ω", "kω", "°", "°c", "℃", "c", "degc", "celsius", "k", "°f", "f", "%", "%rh",
    "pa", "hpa", "kpa", "mpa", "bar", "mbar", "psi", "m", "mm", "cm", "km", "m3", "m³", "nm3", "m3/h", "m³/h", "l",
    "l/h", "l/min", "l/s", "t", "t/h", "kg", "g", "kg/h", "gj", "mj", "kj", "j", "s", "ms", "min", "h", "rpm", "r/min",
    "m/s", "lux", "lx", "ppm", "ppb", "mg/l", "mg/m3", "µg/m³", "ug/m3", "db", "w/m2", "w/m²", "ph", "n", "nm", "kn",
    "度", "千瓦时", "伏", "安", "瓦", "千瓦", "赫兹", "摄氏度",
];

/// Returns whether `text` is a unit of measure; operators write that where a bus address belongs.
pub(crate) fn is_measure(text: &str) -> bool {
    MEASURES.contains(&text.to_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPES: [&str; 8] = ["u16", "i16", "u32", "f32", "f64", "bit", "string", "bcd16"];

    #[test]
    fn types_of_others_have_names_here() {
        for (theirs, expected) in [
            ("float32", Some("f32")),
            ("FLOAT", Some("f32")),
            ("Float_32", Some("f32")),
            ("REAL", Some("f32")),
            ("double", Some("f64")),
            ("uint16", Some("u16")),
            ("UINT", Some("u16")),
            ("Int16", Some("i16")),
            ("unsigned int 32", Some("u32")),
            ("BOOL", Some("bit")),
            ("ascii", Some("string")),
            ("int32", None),
            ("banana", None),
        ] {
            assert_eq!(own_word(theirs, &TYPES), expected, "{theirs}");
        }
        for (theirs, expected) in [
            ("float32_abcd", Some("f32 with order: ABCD")),
            ("FLOAT (CDAB)", Some("f32 with order: CDAB")),
            ("uint32_be", Some("u32 with order: ABCD")),
            ("u32-swap", Some("u32 with order: CDAB")),
            ("double", None),
        ] {
            assert_eq!(
                type_with_order(theirs, &TYPES).as_deref(),
                expected,
                "{theirs}"
            );
        }
    }

    #[test]
    fn keys_of_others_have_names_here() {
        let point = [
            "id", "table", "address", "type", "scale", "interval", "order",
        ];
        for (word, value, expected) in [
            (
                "function_code",
                Some("3"),
                Some("here that is table: holding"),
            ),
            (
                "register_type",
                Some("input register"),
                Some("here that is table: input"),
            ),
            ("scan_rate", Some("1000"), Some("here that is interval")),
            ("pollInterval", Some("1s"), Some("here that is interval")),
            (
                "1",
                None,
                Some("a decimal comma? a number has a point, like 0.1"),
            ),
            (
                "slave_id",
                Some("1"),
                Some("a profile describes a kind of device; each device gives its own unit"),
            ),
            ("colour", None, None),
        ] {
            assert_eq!(key(word, value, &point).as_deref(), expected, "{word}");
        }
        let serial = ["device", "baud", "data_bits", "stop_bits", "parity"];
        for (word, ours) in [
            ("baudrate", "baud"),
            ("baud_rate", "baud"),
            ("bytesize", "data_bits"),
            ("stopbits", "stop_bits"),
        ] {
            let expected = format!("here that is {ours}");
            assert_eq!(key(word, Some("8"), &serial), Some(expected), "{word}");
        }
    }

    #[test]
    fn units_of_measure_are_no_addresses() {
        for text in ["kWh", "KWH", "°C", "m³/h", "%", "千瓦时"] {
            assert!(is_measure(text), "{text}");
        }
        for text in ["", "one", "0x", "x", "slave"] {
            assert!(!is_measure(text), "{text}");
        }
    }

    #[test]
    fn numbers_of_manuals_name_their_table() {
        for (text, expected) in [
            ("40001", Some(("holding", 0))),
            ("400001", Some(("holding", 0))),
            ("465536", Some(("holding", 65535))),
            ("465537", None),
            ("30010", Some(("input", 9))),
            ("10001", Some(("discrete", 0))),
            ("4x0001", Some(("holding", 0))),
            ("40000", None),
            ("00017", None),
            ("4001", None),
            ("input", None),
        ] {
            assert_eq!(address_in_a_manual(text), expected, "{text}");
        }
    }

    #[test]
    fn addresses_of_others_count_from_one() {
        for (text, expected) in [
            ("4x0001", Some((0, "holding"))),
            ("3x:100", Some((99, "input"))),
            ("%MW100", Some((100, "holding"))),
            ("HR7", Some((7, "holding"))),
            ("0x10", None),
            ("4x", None),
            ("40001", None),
            ("4x0", None),
        ] {
            assert_eq!(address(text), expected, "{text}");
        }
    }
}
