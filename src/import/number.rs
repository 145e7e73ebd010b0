//! Numbers as people and spreadsheets write them.

use crate::spec::{Decimal, Table};

/// What an address was written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// The 0-based address.
    pub address: u16,
    /// The table, if the number names it.
    pub table: Option<Table>,
    /// Whether it was of the style 40001.
    pub is_notation: bool,
    /// The bit behind it, as in `100.3`.
    pub bit: Option<u8>,
}

/// Why a text is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAddress {
    /// It is no number of an address.
    Text,
    /// It is a number in scientific notation.
    Scientific,
}

/// Reads an address of a table of registers: decimal, `0x1F`, `1FH`, `40001`, `400001`, `4x0001`,
/// `100.3`. `known` is the table, if another column names it: then 40001 is taken for the style
/// only if its first digit is the table's.
///
/// # Errors
/// Why it is none.
pub fn address(text: &str, known: Option<Table>) -> Result<Address, NoAddress> {
    let text = text.trim();
    if is_scientific(text) {
        return Err(NoAddress::Scientific);
    }
    let plain = |address: u16| Address {
        address,
        table: None,
        is_notation: false,
        bit: None,
    };
    if let Some(value) = hexadecimal(text) {
        return u16::try_from(value).map(plain).map_err(|_| NoAddress::Text);
    }
    // 4x0001, 3X0001
    let lower = text.to_ascii_lowercase();
    if let Some((digit, rest)) = lower.split_once('x')
        && digit.len() == 1
        && let Some(table) = table_of(digit)
        && let Ok(number) = rest.parse::<u32>()
    {
        return notation(table, number);
    }
    let (text, bit) = match text.split_once(['.', ':']) {
        Some((whole, bit)) if bit.chars().all(|c| c == '0') => (whole, None),
        Some((whole, bit)) => (whole, Some(bit.parse::<u8>().map_err(|_| NoAddress::Text)?)),
        None => (text, None),
    };
    if bit.is_some_and(|bit| bit > 15)
        || text.is_empty()
        || !text.bytes().all(|b| b.is_ascii_digit())
    {
        return Err(NoAddress::Text);
    }
    let number: u32 = text.parse().map_err(|_| NoAddress::Text)?;
    let found = match (text.len(), number) {
        (5, 10_001..=19_999 | 30_001..=39_999 | 40_001..=49_999)
        | (6, 100_001..=165_536 | 300_001..=365_536 | 400_001..=465_536) => {
            let table = table_of(&text[..1]);
            let scale = if text.len() == 5 { 10_000 } else { 100_000 };
            match table.filter(|t| known.is_none_or(|known| known == *t)) {
                Some(table) => notation(table, number % scale)?,
                None => plain(u16::try_from(number).map_err(|_| NoAddress::Text)?),
            }
        }
        // 00001 is the first coil only where the column says so.
        _ => plain(u16::try_from(number).map_err(|_| NoAddress::Text)?),
    };
    Ok(Address { bit, ..found })
}

fn notation(table: Table, number: u32) -> Result<Address, NoAddress> {
    let address = number.checked_sub(1).and_then(|n| u16::try_from(n).ok());
    Ok(Address {
        address: address.ok_or(NoAddress::Text)?,
        table: Some(table),
        is_notation: true,
        bit: None,
    })
}

fn table_of(digit: &str) -> Option<Table> {
    match digit {
        "0" => Some(Table::Coil),
        "1" => Some(Table::DiscreteInput),
        "3" => Some(Table::InputRegister),
        "4" => Some(Table::HoldingRegister),
        _ => None,
    }
}

/// Reads `0x1F`, `0X1f` or `1FH`.
#[must_use]
pub fn hexadecimal(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = match text.strip_prefix("0x") {
        Some(digits) => digits,
        None => text.strip_suffix('h')?,
    };
    u64::from_str_radix(&digits.replace('_', ""), 16).ok()
}

/// Reads a whole number, decimal or hexadecimal.
#[must_use]
pub fn whole(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Some(value) = hexadecimal(text) {
        return i64::try_from(value).ok();
    }
    let text = text.strip_suffix(".0").unwrap_or(text);
    text.parse().ok()
}

/// Returns whether a spreadsheet has written the number as 1.23E+11.
#[must_use]
pub fn is_scientific(text: &str) -> bool {
    let lower = text.trim().to_ascii_lowercase().replace(',', ".");
    let Some((digits, power)) = lower.split_once("e+") else {
        return false;
    };
    !digits.is_empty()
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        && !power.is_empty()
        && power.bytes().all(|b| b.is_ascii_digit())
}

/// Reads a factor or an addend: `0.1`, `0,1`, `1/10`, `×0.1`, `*0.1`, `10^-1`. The text is as our
/// configuration writes it; `None` if it is no number.
#[must_use]
pub fn decimal(text: &str) -> Option<String> {
    let text = text.trim().trim_start_matches(['×', '*', 'x', 'X']).trim();
    if let Some((one, by)) = text.split_once('/') {
        let (one, by) = (decimal(one)?, decimal(by)?);
        return quotient(&one, &by);
    }
    if let Some(power) = text.strip_prefix("10^") {
        let power: i32 = power.trim_matches(['(', ')']).parse().ok()?;
        return known(&format!("1e{power}"));
    }
    let text = match (text.matches(',').count(), text.contains('.')) {
        (1, false) => text.replace(',', "."),
        _ => text.to_owned(),
    };
    let text = text.strip_prefix('+').unwrap_or(&text);
    // Telegraf and JSON allow what our reader does not: 1. and .5
    let text = match text.strip_suffix('.') {
        Some(text) => text.to_owned(),
        None => text.to_owned(),
    };
    let text = match text.strip_prefix('.') {
        Some(rest) => format!("0.{rest}"),
        None => text,
    };
    known(&text)
}

/// Returns the text, if our configuration reads it.
fn known(text: &str) -> Option<String> {
    Decimal::parse(text).map(|_| text.to_owned())
}

/// Divides by a power of ten, or by a number that leaves at most nine places.
fn quotient(one: &str, by: &str) -> Option<String> {
    let (one, by): (f64, f64) = (one.parse().ok()?, by.parse().ok()?);
    let value = one / by;
    let text = format!("{value:.9}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    let exact = (value - text.parse::<f64>().ok()?).abs() <= value.abs() * 1e-12;
    (value.is_finite() && exact).then(|| text.to_owned())
}

/// Returns a factor that is not 1.
#[must_use]
pub fn factor(text: String) -> Option<String> {
    (text.parse::<f64>() != Ok(1.0)).then_some(text)
}

/// Returns an addend that is not 0.
#[must_use]
pub fn addend(text: String) -> Option<String> {
    (text.parse::<f64>() != Ok(0.0)).then_some(text)
}

/// Reads a span such as `1s`, `500ms`, `1m30s`, `10 s` or, without a unit, so many seconds; in
/// milliseconds.
#[must_use]
pub fn span(text: &str) -> Option<u64> {
    let text = text.trim().replace(' ', "");
    if let Ok(seconds) = text.parse::<f64>() {
        let millis = seconds * 1000.0;
        // A year at most, so that the conversion is exact.
        return (0.0..=3.2e10).contains(&millis).then_some(millis as u64);
    }
    let mut total = 0.0;
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest.get(..end)?.parse().ok()?;
        rest = rest.get(end..)?;
        let end = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let unit = match rest.get(..end)? {
            "ms" => 1.0,
            "s" | "sec" => 1000.0,
            "m" | "min" => 60_000.0,
            "h" => 3_600_000.0,
            "d" => 86_400_000.0,
            _ => return None,
        };
        total += number * unit;
        rest = rest.get(end..)?;
    }
    (0.0..=3.2e10).contains(&total).then_some(total as u64)
}
