//! The factor of a row, of the cells that say one: factor, divisor, addend and decimals.
//!
//! A cell that may mean several things gives no factor: a value that is wrong by a power of ten
//! looks like a right one.

use super::columns::{Column, Columns};
use crate::import::number;
use crate::import::remark::RemarkCause;
use crate::import::table::Row;

/// Units that stand behind a factor where the row has no unit of its own. A percentage is not
/// among them: it may be an accuracy.
const UNITS: [&str; 37] = [
    "V", "mV", "kV", "A", "mA", "kA", "W", "mW", "kW", "MW", "var", "kvar", "Mvar", "VA", "kVA",
    "MVA", "Wh", "kWh", "MWh", "varh", "kvarh", "Hz", "°C", "℃", "°", "Ω", "K", "bar", "Pa", "kPa",
    "MPa", "s", "ms", "min", "h", "ppm", "rpm",
];

/// What decimals of a point mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decimals {
    /// They are a factor: the value is a whole number.
    Factor,
    /// They are those that are shown: the value has a point of its own.
    Shown,
    /// They are said elsewhere as well.
    Known,
}

/// What came of the cells.
#[derive(Debug, Default)]
pub(super) struct Factors {
    /// A factor other than 1.
    pub scale: Option<String>,
    /// An addend other than 0.
    pub offset: Option<String>,
    /// Places behind the point.
    pub round: Option<u8>,
    /// The unit that stands behind the factor, if the row has none of its own.
    pub measure: Option<String>,
    /// What was seen, and what there is to say about it.
    pub remarks: Vec<(String, RemarkCause)>,
}

/// What one cell says.
enum CellMeaning {
    Nothing,
    Number(String),
    Decimals(u8),
    /// It is no number, or one of something else.
    Unclear,
}

impl Factors {
    /// Reads the cells of a row.
    pub(super) fn of(columns: &Columns, row: &Row, decimals: Decimals) -> Factors {
        let mut factors = Factors::default();
        let measure = columns.cell(row, Column::Measure);
        let told = factors.told(columns, row, measure);
        let places = match decimals {
            Decimals::Known => None,
            Decimals::Factor | Decimals::Shown => factors.places(columns, row),
        };
        let scale = match (told, places) {
            (Some(CellMeaning::Decimals(n)), _) if decimals == Decimals::Factor => {
                let seen = columns.factor(row).to_owned();
                factors.remarks.push((seen, RemarkCause::Decimals));
                tenth(n)
            }
            (Some(CellMeaning::Decimals(n)), _) => {
                factors.round = Some(n);
                None
            }
            (Some(CellMeaning::Number(by)), Some(n)) if decimals == Decimals::Factor => {
                let is_same = tenth(n).is_some_and(|tenth| is_equal(&tenth, &by));
                match (n, is_equal(&by, "1")) {
                    (0, _) => Some(by),
                    (_, true) => tenth(n),
                    (..) if is_same => Some(by),
                    _ => {
                        let seen = format!("{by}, {n}");
                        factors.remarks.push((seen, RemarkCause::Precision));
                        None
                    }
                }
            }
            (told, places) => {
                if decimals == Decimals::Shown {
                    factors.round = places;
                }
                let tenth = places.filter(|_| decimals == Decimals::Factor);
                match told {
                    Some(CellMeaning::Number(by)) => Some(by),
                    // What is not clear is not made clear by the decimals.
                    Some(_) => None,
                    None => tenth.and_then(self::tenth),
                }
            }
        };
        factors.scale = factors.divided(scale, columns.cell(row, Column::Divisor), measure);
        let addend = columns.cell(row, Column::Addend);
        factors.offset = match parse_cell(addend, measure, &mut None) {
            CellMeaning::Nothing => None,
            CellMeaning::Number(text) => number::addend(text),
            CellMeaning::Decimals(_) | CellMeaning::Unclear => {
                factors
                    .remarks
                    .push((addend.to_owned(), RemarkCause::Factor));
                None
            }
        };
        factors
    }

    /// Returns what the column of factors says; `None` if it says nothing.
    fn told(&mut self, columns: &Columns, row: &Row, measure: &str) -> Option<CellMeaning> {
        let text = columns.factor(row);
        let is_precision = columns.cell(row, Column::Factor).is_empty() && !text.is_empty();
        if is_precision && number::whole(text).is_some() {
            self.remarks.push((text.to_owned(), RemarkCause::Precision));
            return Some(CellMeaning::Unclear);
        }
        let found = match is_precision && text.ends_with('%') {
            true => CellMeaning::Unclear,
            false => parse_cell(text, measure, &mut self.measure),
        };
        match found {
            CellMeaning::Nothing => None,
            CellMeaning::Number(by) if is_equal(&by, "0") => {
                self.remarks.push((text.to_owned(), RemarkCause::Factor));
                Some(CellMeaning::Unclear)
            }
            CellMeaning::Unclear => {
                self.remarks.push((text.to_owned(), RemarkCause::Factor));
                Some(CellMeaning::Unclear)
            }
            found => Some(found),
        }
    }

    /// Returns the number in the column of decimals.
    fn places(&mut self, columns: &Columns, row: &Row) -> Option<u8> {
        let text = columns.cell(row, Column::Decimals);
        let found = decimals(text).or_else(|| {
            let whole = number::whole(text).and_then(|n| u8::try_from(n).ok());
            whole.filter(|n| *n <= MOST_DECIMALS)
        });
        if found.is_none() && !is_blank(text) {
            self.remarks.push((text.to_owned(), RemarkCause::Factor));
        }
        found
    }

    /// Divides a factor by the divisor of the row.
    fn divided(&mut self, scale: Option<String>, divisor: &str, measure: &str) -> Option<String> {
        let by = match parse_cell(divisor, measure, &mut None) {
            CellMeaning::Nothing => return scale.and_then(number::factor),
            CellMeaning::Number(by) => Some(by),
            CellMeaning::Decimals(_) | CellMeaning::Unclear => None,
        };
        let one = scale.as_deref().unwrap_or("1");
        // A factor of which something is not clear is none.
        let is_clear = !self.remarks.iter().any(|(_, finding)| is_loss(*finding));
        let quotient = by.and_then(|by| number::decimal(&format!("{one}/{by}")));
        if quotient.is_none() {
            self.remarks.push((divisor.to_owned(), RemarkCause::Factor));
        }
        quotient.filter(|_| is_clear).and_then(number::factor)
    }
}

/// The most decimals that are a factor.
const MOST_DECIMALS: u8 = 9;

/// Returns whether the remark says that a factor is left out.
const fn is_loss(finding: RemarkCause) -> bool {
    matches!(finding, RemarkCause::Factor | RemarkCause::Precision)
}

/// Returns what a cell says; the unit behind its number goes to `unit` if the row has none.
fn parse_cell(text: &str, measure: &str, unit: &mut Option<String>) -> CellMeaning {
    if is_blank(text) {
        return CellMeaning::Nothing;
    }
    if let Some(number) = number::decimal(text) {
        return CellMeaning::Number(number);
    }
    if let Some(n) = decimals(text) {
        return CellMeaning::Decimals(n);
    }
    let number = text.trim_end_matches(|c: char| c.is_alphabetic() || "%°℃Ω".contains(c));
    let behind = text.get(number.len()..).unwrap_or_default();
    let is_known = match is_blank(measure) {
        true => UNITS.contains(&behind),
        false => plain(behind) == plain(measure) && behind != "级",
    };
    match number::decimal(number).filter(|_| is_known) {
        Some(number) => {
            if is_blank(measure) {
                *unit = Some(behind.to_owned());
            }
            CellMeaning::Number(number)
        }
        None => CellMeaning::Unclear,
    }
}

/// Returns the number of decimals that a text says: `2位小数`, `小数2位`, `2 dp`, `2 decimals`.
fn decimals(text: &str) -> Option<u8> {
    let text = text.to_lowercase().replace(' ', "");
    let tails = ["位小数", "decimalplaces", "decimals", "decimal", "dp"];
    let behind = tails.iter().find_map(|tail| text.strip_suffix(tail));
    let around = text
        .strip_prefix("小数")
        .and_then(|rest| rest.strip_suffix("位"));
    let n = match behind.or(around)? {
        "一" => 1,
        "二" | "两" => 2,
        "三" => 3,
        "四" => 4,
        digits => digits.parse().ok()?,
    };
    (n <= MOST_DECIMALS).then_some(n)
}

/// Returns the factor of so many decimals: 0.01 of two.
fn tenth(decimals: u8) -> Option<String> {
    number::decimal(&format!("1/1e{decimals}"))
}

fn is_equal(one: &str, other: &str) -> bool {
    one.parse::<f64>().ok() == other.parse::<f64>().ok()
}

/// Returns whether the cell says nothing.
pub(super) fn is_blank(text: &str) -> bool {
    matches!(text, "" | "-" | "/" | "--" | "—" | "–" | "无")
}

/// Returns a unit in one way of writing. Capitals count: MW is no mW.
fn plain(unit: &str) -> String {
    unit.replace(' ', "")
        .replace('℃', "°C")
        .replace("degC", "°C")
}
