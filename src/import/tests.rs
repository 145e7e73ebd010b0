//! Hostile files, and the rules that no dialect has alone.

use proptest::prelude::*;

use super::kind::KINDS;
use super::number::{self, NoAddress};
use super::*;
use crate::spec::Table;

mod dialects;
mod lists;

const FILES: [&[u8]; 9] = [
    include_bytes!("../../tests/import/list-english.csv"),
    include_bytes!("../../tests/import/list-gbk.csv"),
    include_bytes!("../../tests/import/meters.csv"),
    include_bytes!("../../tests/import/modpoll.csv"),
    include_bytes!("../../tests/import/telegraf-request.toml"),
    include_bytes!("../../tests/import/home-assistant.yaml"),
    include_bytes!("../../tests/import/wb-template.json"),
    include_bytes!("../../tests/import/wb-config.json"),
    include_bytes!("../../tests/import/evcc-template.yaml"),
];

fn of(text: &str) -> Result<Imported, ImportRefusal> {
    import(text.as_bytes(), &Wishes::default())
}

/// Imports as each kind, and as the recognised one, and writes what came of it.
fn try_all(bytes: &[u8]) {
    let kinds = KINDS.iter().map(|(_, kind)| Some(*kind));
    for kind in kinds.chain([None]) {
        let wishes = Wishes {
            kind,
            file: "a file.csv".into(),
            ..Wishes::default()
        };
        if let Ok(imported) = import(bytes, &wishes) {
            assert!(imported.points() <= MOST_POINTS && imported.devices.len() <= MOST_DEVICES);
            let text = writer::yaml(&imported, "a", &str::to_owned);
            let again = yaml::read(&text).unwrap_or_else(|why| panic!("{why}\n{text}"));
            let written = again
                .list("profiles")
                .iter()
                .map(|p| p.list("points").len());
            assert_eq!(written.sum::<usize>(), imported.points(), "{text}");
            assert!(remark::report("a", &imported.remarks).len() < 1 << 20);
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic_and_what_is_written_is_yaml(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        try_all(&bytes);
    }

    #[test]
    fn no_text_panics(text in "[\\[\\]{}:,;|\"'$#\\-.0-9x \n\ta-fmregistaoldu]{0,300}") {
        try_all(text.as_bytes());
    }

    #[test]
    fn no_damaged_file_panics(
        which in 0..FILES.len(),
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), "[\\[\\]{}:,;|\"'$#\\-.0-9xE+ \n\u{4e00}é\\\\]{0,3}"), 1..12),
    ) {
        let mut bytes = FILES[which].to_vec();
        for (at, instead) in cuts {
            let at = at.index(bytes.len());
            let end = (at + 1).min(bytes.len());
            bytes.splice(at..end, instead.bytes());
        }
        try_all(&bytes);
    }
}

#[test]
fn deep_and_wide_files_are_refused() {
    let deep = "[".repeat(100_000);
    let deep_map = format!(
        "modbus:\n{}",
        (0..2000)
            .map(|n| format!("{}a:\n", " ".repeat(n)))
            .collect::<String>()
    );
    let wide = format!("modbus: [{}]", "1,".repeat(300_000));
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned()
        + &(b'b'..b'm')
            .map(|c| {
                let (c, before) = (c as char, (c - 1) as char);
                format!("{c}: &{c} [{}]\n", vec![format!("*{before}"); 9].join(","))
            })
            .collect::<String>()
        + "modbus: *l\n";
    let table = "name,address\n".to_owned() + &"a,1\n".repeat(60_000);
    for text in [deep, deep_map, wide, bomb, table] {
        for kind in KINDS.map(|(_, kind)| kind) {
            let wishes = Wishes {
                kind: Some(kind),
                ..Wishes::default()
            };
            assert!(
                import(text.as_bytes(), &wishes).is_err(),
                "{kind:?} {}",
                &text[..20]
            );
        }
    }
    assert_eq!(
        import(&vec![b' '; LARGEST as usize + 1], &Wishes::default()),
        Err(ImportRefusal::TooMuch)
    );
}

#[test]
fn more_points_than_a_profile_has_are_given_up_and_told() {
    let rows: String = (0..MOST_POINTS + 7)
        .map(|n| format!("p{n},{n},u16\n"))
        .collect();
    let imported = of(&format!("name,address,type\n{rows}")).unwrap();
    assert_eq!(imported.points(), MOST_POINTS);
    let told = imported
        .remarks
        .iter()
        .find(|r| r.finding == RemarkCause::TooMany)
        .unwrap();
    assert_eq!(told.seen, "7 points");
}

#[test]
fn addresses_are_read_in_each_notation() {
    let read = |text| number::address(text, None).map(|a| (a.address, a.table, a.bit));
    let holding = Some(Table::HoldingRegister);
    for (text, wanted) in [
        ("0", (0, None, None)),
        ("65535", (65535, None, None)),
        ("0x1F", (31, None, None)),
        ("1FH", (31, None, None)),
        ("40001", (0, holding, None)),
        ("400001", (0, holding, None)),
        ("465536", (65535, holding, None)),
        ("30011", (10, Some(Table::InputRegister), None)),
        ("4x0001", (0, holding, None)),
        ("40013.3", (12, holding, Some(3))),
        ("100.0", (100, None, None)),
        ("40000", (40000, None, None)),
        ("20001", (20001, None, None)),
    ] {
        assert_eq!(read(text), Ok(wanted), "{text}");
    }
    // A column that names another table: then the number is that of the protocol.
    let told = number::address("40001", Some(Table::InputRegister)).unwrap();
    assert_eq!((told.address, told.table), (40001, None));
    assert_eq!(read("1.23E+11"), Err(NoAddress::Scientific));
    for text in ["", "-1", "65536", "x", "4x0000", "100.16", "1.5.2", "٣"] {
        assert_eq!(read(text), Err(NoAddress::Text), "{text}");
    }
}

#[test]
fn factors_are_read_as_people_write_them() {
    for (text, wanted) in [
        ("0.1", Some("0.1")),
        ("0,1", Some("0.1")),
        ("1/10", Some("0.1")),
        ("×0.01", Some("0.01")),
        ("10^-3", Some("1e-3")),
        (".5", Some("0.5")),
        ("1.", Some("1")),
        ("-40", Some("-40")),
        ("1e-2", Some("1e-2")),
        ("1/3", None),
        ("1,000,000", None),
        ("1/0", None),
        ("nan", None),
        ("", None),
    ] {
        assert_eq!(number::decimal(text).as_deref(), wanted, "{text}");
    }
}

#[test]
fn text_of_each_encoding_is_the_same() {
    let text = "名称,地址,单位\nA相电压,0,℃\n";
    let utf16 =
        |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    let marked = |mark: [u8; 2], rest: Vec<u8>| [mark.to_vec(), rest].concat();
    let (gbk, _, _) = encoding_rs::GBK.encode(text);
    for (bytes, name) in [
        (text.as_bytes().to_vec(), None),
        ([b"\xEF\xBB\xBF", text.as_bytes()].concat(), None),
        (
            marked([0xFF, 0xFE], utf16(u16::to_le_bytes)),
            Some("UTF-16LE"),
        ),
        (
            marked([0xFE, 0xFF], utf16(u16::to_be_bytes)),
            Some("UTF-16BE"),
        ),
        (gbk.into_owned(), Some("GB18030")),
    ] {
        assert_eq!(text::decoded(&bytes), Ok((text.to_owned(), name)));
    }
    let german = "Bezeichnung;Adresse\nZähler über Außen;1\n";
    let (bytes, _, _) = encoding_rs::WINDOWS_1252.encode(german);
    assert_eq!(
        text::decoded(&bytes),
        Ok((german.to_owned(), Some("Windows-1252")))
    );
    assert!(matches!(
        text::decoded(b"name\x01\x02\0\0"),
        Err(ImportRefusal::NoText(_))
    ));
    for head in [
        &b"PK\x03\x04\0\0"[..],
        b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1\0",
    ] {
        assert_eq!(text::decoded(head), Err(ImportRefusal::Spreadsheet));
    }
}

#[test]
fn names_become_identifiers_that_the_platform_takes_and_no_other_point_has() {
    let mut ids = identifier::Identifiers::default();
    let source = source::ValueSource::Register(Table::HoldingRegister, 7);
    for (name, id, finding) in [
        ("active_power", "active_power", None),
        ("Voltage L1 (phase A)", "Voltage_L1_phase_A", None),
        ("1st value", "P1st_value", None),
        ("Außentemperatur", "Ausentemperatur", None),
        ("A相电压", "APhaseVoltage", None),
        ("备用字", "Holding7", Some(RemarkCause::IdentifierMade)),
        ("time", "time_1", Some(RemarkCause::IdentifierTaken)),
        (
            "active_power",
            "active_power_2",
            Some(RemarkCause::IdentifierTaken),
        ),
        ("!!", "Holding7_2", Some(RemarkCause::IdentifierTaken)),
    ] {
        assert_eq!(ids.of(name, &source), (id.to_owned(), finding), "{name}");
    }
}

#[test]
fn a_list_that_counts_from_one_is_told() {
    let told = |text: &str| {
        let imported = of(text).unwrap();
        imported
            .remarks
            .iter()
            .any(|r| r.finding == RemarkCause::FromOne)
    };
    assert!(told("name,address,type\na,1,u16\nb,2,u16\n"));
    assert!(!told("name,address,type\na,0,u16\nb,1,u16\n"));
    assert!(!told("name,address,type\na,40001,u16\nb,40002,u16\n"));
}

#[test]
fn what_is_no_file_of_a_kind_is_refused_with_what_was_looked_for() {
    assert_eq!(of("hello"), Err(ImportRefusal::Unknown));
    assert_eq!(of(""), Err(ImportRefusal::Unknown));
    for line in [
        "modpoll -m rtu -a 1 -r 100 -c 10 -t 4:float -b 9600 -p none /dev/ttyUSB0\n",
        "$ sudo ./modpoll -m tcp -t 3:int -r 1, 192.0.2.7",
    ] {
        assert_eq!(of(line), Err(ImportRefusal::CommandLine), "{line}");
    }
    assert_eq!(of("modpoll"), Err(ImportRefusal::Unknown));
    let said = |text: &str| of(text).unwrap_err().to_string();
    assert_eq!(
        said("modbus:\n  - name: [\n").split(':').next(),
        Some("line 3")
    );
    assert!(said("[[inputs.modbus]]\nname = \n").starts_with("line 2: the file is not TOML"));
    assert_eq!(
        said("a,b\n1,2\n"),
        "the file has no header: a row with words such as name, address, type"
    );
}

#[test]
fn units_and_names_become_keys_where_the_configuration_takes_them() {
    let long = "A very long name that no thing model takes as it is";
    let text = format!(
        "name,address,type,unit\n\
         Voltage L1,0,u16,V\n\
         power,1,u16,deg C\n\
         Flag,2,bool,V\n\
         ratio,3,u16,-\n\
         {long},4,u16,kWh per year and more\n"
    );
    let yaml = writer::yaml(&of(&text).unwrap(), "a", &str::to_owned);
    for line in [
        "{ id: Voltage_L1, table: holding, address: 0, type: u16, unit: V, title: \"Voltage L1\" }\n",
        "{ id: power, table: holding, address: 1, type: u16, unit: \"°C\" }\n",
        "{ id: Flag, table: holding, address: 2, type: bit, bit: 0 }   # V\n",
        "{ id: ratio, table: holding, address: 3, type: u16 }   # -\n",
        &format!(
            "title: \"A very long name that no thing model ta…\" }}   # {long}, kWh per year and mor…\n"
        ),
    ] {
        assert!(yaml.contains(line), "{line}\n{yaml}");
    }
}

#[test]
fn types_are_read_in_the_order_of_chinese_manuals_too() {
    for (text, width, wanted) in [
        ("32位有符号", None, "i32"),
        ("32位无符号", None, "u32"),
        ("32位浮点", None, "f32"),
        ("32位浮点数", None, "f32"),
        ("64位浮点型", None, "f64"),
        ("有符号整型", None, "i16"),
        ("有符号整型", Some(2), "i32"),
        ("无符号整型", None, "u16"),
        ("无符号长整型", None, "u32"),
        ("长整型", None, "i32"),
        ("16位整数", None, "i16"),
        ("16位BCD码", None, "bcd16"),
        ("8位无符号", None, "u8"),
        ("双精度浮点数", Some(4), "f64"),
    ] {
        let shape = table_words::shape(text, width).map(|(shape, _)| shape);
        assert_eq!(shape, Some(point::ByteForm::Number(wanted)), "{text}");
    }
    for text in ["12位无符号", "有符号32", "备用", "位"] {
        assert_eq!(table_words::shape(text, None), None, "{text}");
    }
}
