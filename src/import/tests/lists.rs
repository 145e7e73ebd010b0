//! What lists of registers write in their cells.

use super::super::*;
use super::dialects::{findings, points};

fn list(text: &str) -> Vec<String> {
    points(FileKind::RegisterList, text)
}

fn told(text: &str) -> Vec<RemarkCause> {
    findings(FileKind::RegisterList, text)
        .into_iter()
        .filter(|f| !matches!(f, RemarkCause::NoPort | RemarkCause::NoDevice))
        .filter(|f| !matches!(f, RemarkCause::TableAssumed | RemarkCause::TypeAssumed))
        .filter(|f| *f != RemarkCause::IdentifierMade)
        .collect()
}

/// Returns the factor of a cell under a head, and what is told about it.
fn factor(head: &str, kind: &str, cell: &str, unit: &str) -> (String, Vec<RemarkCause>) {
    let text = format!("name,address,type,{head},unit\na,0,{kind},{cell},{unit}\n");
    let line = list(&text).remove(0);
    let keys = line.split(", ").skip(4);
    let keys = keys.filter(|key| !key.starts_with("unit:"));
    (keys.collect::<Vec<_>>().join(", "), told(&text))
}

#[test]
fn a_number_of_decimals_or_an_accuracy_is_no_factor() {
    let (lost, unclear, decimals) = (
        RemarkCause::Factor,
        RemarkCause::Precision,
        RemarkCause::Decimals,
    );
    for (head, kind, cell, unit, wanted, finding) in [
        ("精度", "u16", "2位小数", "V", "scale: 0.01", Some(decimals)),
        ("精度", "u16", "0.5级", "W", "", Some(lost)),
        ("精度", "u16", "0.5%", "", "", Some(lost)),
        ("精度", "u16", "2", "A", "", Some(unclear)),
        ("精度", "u16", "0.1", "A", "scale: 0.1", None),
        ("Gain", "i32", "1000", "kW", "", Some(unclear)),
        ("Gain", "u16", "0.1", "A", "scale: 0.1", None),
        (
            "scale",
            "u16",
            "3位小数",
            "",
            "scale: 0.001",
            Some(decimals),
        ),
        (
            "scale",
            "u16",
            "两位小数",
            "",
            "scale: 0.01",
            Some(decimals),
        ),
        ("scale", "u16", "2dp", "", "scale: 0.01", Some(decimals)),
        (
            "scale",
            "u16",
            "1 decimal",
            "",
            "scale: 0.1",
            Some(decimals),
        ),
        ("scale", "f32", "2 decimals", "", "round: 2", None),
        ("scale", "u16", "0.1V", "V", "scale: 0.1", None),
        ("scale", "u16", "0.1kW", "", "scale: 0.1", None),
        ("scale", "u16", "0.1kW", "W", "", Some(lost)),
        ("scale", "u16", "2档", "", "", Some(lost)),
        ("scale", "u16", "2", "", "scale: 2", None),
        ("scale", "u16", "0", "", "", Some(lost)),
        ("小数位数", "u16", "2", "", "scale: 0.01", None),
        ("小数位", "u16", "0", "", "", None),
        ("decimals", "i32", "1", "", "scale: 0.1", None),
        ("decimal places", "f32", "1", "", "round: 1", None),
        ("decimals", "u16", "many", "", "", Some(lost)),
    ] {
        let (found, told) = factor(head, kind, cell, unit);
        assert_eq!(found, wanted, "{head} {cell} {unit}");
        assert_eq!(told, Vec::from_iter(finding), "{head} {cell} {unit}");
    }
}

#[test]
fn decimals_beside_a_factor_are_not_counted_twice() {
    for (factor, decimals, wanted, finding) in [
        ("1", "1", "scale: 0.1", None),
        ("0.1", "1", "scale: 0.1", None),
        ("30", "2", "", Some(RemarkCause::Precision)),
        ("30", "0", "scale: 30", None),
    ] {
        let text = format!("name,address,type,变比,小数位数\na,0,u16,{factor},{decimals}\n");
        let line = list(&text).remove(0);
        let found = line.split(", ").skip(4).collect::<Vec<_>>().join(", ");
        assert_eq!(found, wanted, "{factor} {decimals}");
        assert_eq!(told(&text), Vec::from_iter(finding), "{factor} {decimals}");
    }
    // The format of a meter says the decimals.
    let meter = "数据标识,名称,格式,小数位\n00010000,energy,XXXXXX.XX,2\n";
    assert!(!list(meter)[0].contains("scale"), "{meter}");
}

#[test]
fn a_factor_is_divided_by_the_divisor_of_its_row() {
    for (factor, divisor, wanted, finding) in [
        ("2", "10", "scale: 0.2", None),
        ("", "10", "scale: 0.1", None),
        ("1", "1", "", None),
        ("0.5级", "10", "", Some(RemarkCause::Factor)),
        ("2", "0", "", Some(RemarkCause::Factor)),
        ("", "3", "", Some(RemarkCause::Factor)),
    ] {
        let text = format!("name,address,type,scale,divisor\na,0,u16,{factor},{divisor}\n");
        let line = list(&text).remove(0);
        let found = line.split(", ").skip(4).collect::<Vec<_>>().join(", ");
        assert_eq!(found, wanted, "{factor} {divisor}");
        assert_eq!(told(&text), Vec::from_iter(finding), "{factor} {divisor}");
    }
}

#[test]
fn a_bit_that_is_none_of_a_register_is_told_and_not_imported() {
    for (kind, bit, wanted, finding) in [
        ("bool", "7", "type: bit, bit: 7", None),
        ("", "15", "type: bit, bit: 15", None),
        ("u16", "4-7", "type: u16, bits: 4..7", None),
        ("", "7~4", "type: u16, bits: 4..7", None),
        ("bool", "-", "type: bit, bit: 0", None),
        ("bool", "17", "", Some(RemarkCause::Bit)),
        ("bool", "4-7", "", Some(RemarkCause::Bit)),
        ("u16", "low", "", Some(RemarkCause::Bit)),
        ("u32", "3", "", Some(RemarkCause::Bit)),
        ("u32", "0", "type: u32", None),
        ("bool", "0-9223372036854775807", "", Some(RemarkCause::Bit)),
    ] {
        let text = format!("name,address,type,bit\nother,9,bool,0\na,0,{kind},{bit}\n");
        let line = list(&text).get(1).cloned().unwrap_or_default();
        let found = line.split(", ").skip(3).collect::<Vec<_>>().join(", ");
        assert_eq!(found, wanted, "{kind} {bit}");
        assert_eq!(told(&text), Vec::from_iter(finding), "{kind} {bit}");
    }
}

#[test]
fn bits_up_to_16_count_from_1_unless_one_is_0() {
    let from_one = "name,address,type,bit\na,0,bool,1\nb,0,bool,16\nc,0,u16,5-8\n";
    let lines = list(from_one);
    for (line, wanted) in lines.iter().zip(["bit: 0", "bit: 15", "bits: 4..7"]) {
        assert!(line.ends_with(wanted), "{line}");
    }
    assert_eq!(told(from_one), [RemarkCause::BitsFromOne]);
    let both = "name,address,type,bit\na,0,bool,0\nb,0,bool,16\n";
    assert_eq!((list(both).len(), told(both)), (1, vec![RemarkCause::Bit]));
}

#[test]
fn a_column_that_is_not_known_is_told() {
    let text = "No,name,address,type,Max,Decimals,Remark\n1,a,0,u16,300,1,hall\n";
    assert_eq!(told(text), [RemarkCause::Column, RemarkCause::Column]);
    assert_eq!(told("name,address,type\na,0,u16\n"), []);
}

#[test]
fn each_slave_of_a_list_is_a_device_and_those_with_the_same_points_have_one_profile() {
    let devices = |text: &str| {
        let imported = import(text.as_bytes(), &Wishes::default()).unwrap();
        let unit = |d: &point::ImportedDevice| (d.unit.unwrap(), d.profile.unwrap());
        let all: Vec<_> = imported.devices.iter().map(unit).collect();
        (all, imported.profiles.len())
    };
    let text = "slave id,name,address,type\n1,U,0,u16\n2,I,0,u16\n3#,U,0,u16\n";
    assert_eq!(devices(text), (vec![(1, 0), (2, 1), (3, 0)], 2));
    assert!(!findings(FileKind::RegisterList, text).contains(&RemarkCause::NoDevice));
    let joined = "slave id,name,address,type\n,X,9,u16\n1,U,0,u16\n,I,1,u16\n300,P,2,u16\n";
    assert_eq!(
        (devices(joined), list(joined).len()),
        ((vec![(1, 0)], 1), 2)
    );
    assert_eq!(
        told(joined),
        [RemarkCause::Unit, RemarkCause::UnitAbove, RemarkCause::Unit]
    );
    let none = "slave id,name,address,type\n,U,0,u16\n,I,1,u16\n";
    assert_eq!((devices(none), told(none)), ((vec![(1, 0)], 1), vec![]));
}

#[test]
fn a_range_of_addresses_is_counted_as_its_first_is_written() {
    for (head, written, wanted, finding) in [
        ("address (hex)", "0009-000A", "address: 9, type: u32", None),
        (
            "address (hex)",
            "0100-0101",
            "address: 256, type: u32",
            None,
        ),
        ("address (hex)", "FE-101", "address: 254, type: u64", None),
        ("address (hex)", "9-12", "", Some(RemarkCause::Registers)),
        ("address", "0x0010-0011", "address: 16, type: u32", None),
        ("address", "9-12", "address: 9, type: u64", None),
        ("address", "12-9", "", Some(RemarkCause::Registers)),
        ("address", "12-x", "", Some(RemarkCause::Registers)),
        ("address", "0-65535", "", Some(RemarkCause::Registers)),
        (
            "address",
            "0~9223372036854775807",
            "",
            Some(RemarkCause::Registers),
        ),
        (
            "address",
            "0x0~0xFFFFFFFFFFFFFFFF",
            "",
            Some(RemarkCause::Registers),
        ),
    ] {
        let text = format!("name,{head}\nother,0\na,{written}\n");
        let line = list(&text).get(1).cloned().unwrap_or_default();
        let found = line.split(", ").skip(2).collect::<Vec<_>>().join(", ");
        assert_eq!(found, wanted, "{head} {written}");
        assert_eq!(told(&text), Vec::from_iter(finding), "{head} {written}");
    }
    let ten = "name,address (hex)\na,9-12\n";
    let imported = import(ten.as_bytes(), &Wishes::default()).unwrap();
    assert_eq!(imported.remarks[0].seen, ", 10");
}

#[test]
fn words_for_texts_have_their_length_or_lack_it() {
    let with = |kind: &str, count: &str| {
        let text = format!("name,address,type,count\na,0,{kind},{count}\n");
        (list(&text).join(" "), told(&text))
    };
    for (kind, count, registers) in [
        ("STRING[8]", "", 4),
        ("CHAR(8)", "", 4),
        ("ascii 5", "", 3),
        ("STRING[8]", "4", 4),
        ("ascii", "16", 16),
    ] {
        let (line, findings) = with(kind, count);
        let wanted = format!("type: string, registers: {registers}");
        assert!(
            line.contains(&wanted) && findings.is_empty(),
            "{kind}: {line} {findings:?}"
        );
    }
    for kind in ["ascii", "STRING", "字符串"] {
        assert_eq!(
            with(kind, ""),
            (String::new(), vec![RemarkCause::Length]),
            "{kind}"
        );
    }
    assert!(
        with("char", "").0.contains("type: i8"),
        "a number of eight bits"
    );
}

#[test]
fn what_is_said_of_many_rows_counts_them() {
    let text = b"name,address\na,40001\nb,40002\nc,40003\n";
    let wishes = Wishes {
        kind: None,
        profile: None,
        file: "list.csv".into(),
    };
    let imported = import(text, &wishes).unwrap();
    let report = remark::report("list.csv", &imported.remarks);
    for words in [
        "to be checked: 3 entries\n  why  of the style 40001",
        "    and 2 more entries",
    ] {
        assert!(report.contains(words), "{words}\n{report}");
    }
}
