//! What lists of registers write in their cells.

use super::super::*;
use super::dialects::{findings, points};

fn list(text: &str) -> Vec<String> {
    points(Kind::RegisterList, text)
}

fn told(text: &str) -> Vec<Finding> {
    findings(Kind::RegisterList, text)
        .into_iter()
        .filter(|f| !matches!(f, Finding::NoPort | Finding::NoDevice))
        .filter(|f| !matches!(f, Finding::TableAssumed | Finding::TypeAssumed))
        .filter(|f| *f != Finding::IdentifierMade)
        .collect()
}

/// Returns the factor of a cell under a head, and what is told about it.
fn factor(head: &str, kind: &str, cell: &str, unit: &str) -> (String, Vec<Finding>) {
    let text = format!("name,address,type,{head},unit\na,0,{kind},{cell},{unit}\n");
    let line = list(&text).remove(0);
    let keys = line.split(", ").skip(4);
    let keys = keys.filter(|key| !key.starts_with("unit:"));
    (keys.collect::<Vec<_>>().join(", "), told(&text))
}

#[test]
fn a_number_of_decimals_or_an_accuracy_is_no_factor() {
    let (lost, unclear, decimals) = (Finding::Factor, Finding::Precision, Finding::Decimals);
    for (head, kind, cell, unit, wanted, finding) in [
        ("精度", "u16", "2位小数", "V", "scale: 0.01", Some(decimals)),
        ("精度", "u16", "0.5级", "W", "", Some(lost)),
        ("精度", "u16", "0.5%", "", "", Some(lost)),
        ("精度", "u16", "2", "A", "", Some(unclear)),
        ("精度", "u16", "0.1", "A", "scale: 0.1", None),
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
        ("30", "2", "", Some(Finding::Precision)),
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
        ("0.5级", "10", "", Some(Finding::Factor)),
        ("2", "0", "", Some(Finding::Factor)),
        ("", "3", "", Some(Finding::Factor)),
    ] {
        let text = format!("name,address,type,scale,divisor\na,0,u16,{factor},{divisor}\n");
        let line = list(&text).remove(0);
        let found = line.split(", ").skip(4).collect::<Vec<_>>().join(", ");
        assert_eq!(found, wanted, "{factor} {divisor}");
        assert_eq!(told(&text), Vec::from_iter(finding), "{factor} {divisor}");
    }
}
