//! Identifiers of the thing model and names of the configuration, made of the names of others.

use std::collections::BTreeSet;

use super::remark::RemarkCause;
use super::source::ValueSource;
use crate::spec::Table;

/// Words that the platform reserves in a thing model.
const RESERVED: [&str; 7] = ["set", "get", "post", "property", "event", "time", "value"];

/// The longest identifier of the platform.
const LONGEST: usize = 50;

/// What Chinese registers are called, longest first, so that lists in Chinese get identifiers
/// that can be read. What is not here is spelt with the address.
const CHINESE: [(&str, &str); 40] = [
    ("有功功率", "ActivePower"),
    ("无功功率", "ReactivePower"),
    ("视在功率", "ApparentPower"),
    ("有功电能", "ActiveEnergy"),
    ("无功电能", "ReactiveEnergy"),
    ("功率因数", "PowerFactor"),
    ("线电压", "LineVoltage"),
    ("相电压", "PhaseVoltage"),
    ("零序电流", "ZeroSequenceCurrent"),
    ("设定值", "Setpoint"),
    ("开关量", "Digital"),
    ("正向", "Forward"),
    ("反向", "Reverse"),
    ("电压", "Voltage"),
    ("电流", "Current"),
    ("频率", "Frequency"),
    ("功率", "Power"),
    ("电能", "Energy"),
    ("电量", "Energy"),
    ("温度", "Temperature"),
    ("湿度", "Humidity"),
    ("压力", "Pressure"),
    ("流量", "Flow"),
    ("液位", "Level"),
    ("转速", "Speed"),
    ("状态", "Status"),
    ("报警", "Alarm"),
    ("告警", "Alarm"),
    ("故障", "Fault"),
    ("运行", "Running"),
    ("累计", "Total"),
    ("瞬时", "Instant"),
    ("最大", "Max"),
    ("最小", "Min"),
    ("进水", "Inlet"),
    ("出水", "Outlet"),
    ("相", ""),
    ("总", "Total"),
    ("组合", "Combined"),
    ("时间", "Time"),
];

/// The identifiers of one profile.
#[derive(Debug, Default)]
pub struct Identifiers {
    taken: BTreeSet<String>,
}

impl Identifiers {
    /// Makes the identifier of a point with this name and source, and says what the user has to
    /// know of it.
    pub fn of(&mut self, name: &str, source: &ValueSource) -> (String, Option<RemarkCause>) {
        let (wanted, mut finding) = match spelt(name) {
            Some(id) => (id, None),
            None => (of_source(source), Some(RemarkCause::IdentifierMade)),
        };
        let mut id = wanted.clone();
        if RESERVED.contains(&id.as_str()) {
            id = format!("{wanted}_1");
        }
        let mut n = 2u32;
        while self.taken.contains(&id) {
            id = format!("{}_{n}", cut(&wanted, LONGEST - 8));
            n += 1;
        }
        if id != wanted {
            finding = Some(RemarkCause::IdentifierTaken);
        }
        self.taken.insert(id.clone());
        (id, finding)
    }
}

/// Spells a name with letters, digits and underscores; `None` if it has no Latin letters, and no
/// others that are known.
fn spelt(name: &str) -> Option<String> {
    let mut words = name.to_owned();
    for (chinese, english) in CHINESE {
        words = words.replace(chinese, &format!(" {english} "));
    }
    let unknown = |c: char| c.is_alphabetic() && !c.is_ascii() && latin(c).is_none();
    let is_latin = name
        .chars()
        .all(|c| !('\u{3400}'..='\u{9fff}').contains(&c));
    if words.chars().any(unknown) {
        return None;
    }
    let words: String = words.chars().map(|c| latin(c).unwrap_or(c)).collect();
    let mut id = String::new();
    for word in words.split(|c: char| !c.is_ascii_alphanumeric()) {
        if word.is_empty() {
            continue;
        }
        // What is one word already keeps its spelling, such as active_power.
        if is_latin && !id.is_empty() {
            id.push('_');
        }
        id.push_str(word);
    }
    let id = id.trim_matches('_');
    let id = match id.starts_with(|c: char| c.is_ascii_digit()) {
        true => format!("P{id}"),
        false => id.to_owned(),
    };
    let id = cut(&id, LONGEST).to_owned();
    id.contains(|c: char| c.is_ascii_alphabetic()).then_some(id)
}

/// Returns the Latin letter that stands for one with a mark.
fn latin(c: char) -> Option<char> {
    Some(match c {
        'ä' | 'á' | 'à' | 'â' | 'å' | 'ã' => 'a',
        'Ä' | 'Á' | 'À' | 'Â' | 'Å' => 'A',
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'É' | 'È' => 'E',
        'í' | 'ì' | 'î' | 'ï' => 'i',
        'ö' | 'ó' | 'ò' | 'ô' | 'ø' => 'o',
        'Ö' | 'Ó' | 'Ø' => 'O',
        'ü' | 'ú' | 'ù' | 'û' => 'u',
        'Ü' | 'Ú' => 'U',
        'ß' => 's',
        'ç' => 'c',
        'ñ' => 'n',
        'φ' | 'ϕ' => 'p',
        'Δ' => 'D',
        'Σ' => 'S',
        'µ' | 'μ' => 'u',
        _ => return None,
    })
}

fn of_source(source: &ValueSource) -> String {
    match source {
        ValueSource::Register(table, address) => {
            let table = match table {
                Table::Coil => "Coil",
                Table::DiscreteInput => "Discrete",
                Table::HoldingRegister => "Holding",
                Table::InputRegister => "Input",
            };
            format!("{table}{address}")
        }
        ValueSource::Meter(data, _) => format!("Data{data}"),
    }
}

fn cut(text: &str, most: usize) -> &str {
    text.get(..most).unwrap_or(text)
}

/// Returns a name of the configuration (without blanks, for profiles and ports) made of this one;
/// `None` if nothing is left.
#[must_use]
pub fn name(from: &str) -> Option<String> {
    let mut out = String::new();
    for c in from.trim().chars() {
        let good = c.is_ascii_alphanumeric() || c == '_' || c == '.';
        match good {
            true => out.push(c),
            false if !out.ends_with('-') => out.push('-'),
            false => {}
        }
        if out.len() >= 60 {
            break;
        }
    }
    let out = out.trim_matches(['-', '.']);
    (!out.is_empty()).then(|| out.to_owned())
}

/// Returns a device name by the platform's rule, 4 to 32 characters, made of this one.
#[must_use]
pub fn device_name(from: &str) -> Option<String> {
    let name = name(from)?;
    let name = cut(&name, 32).trim_end_matches(['-', '.']);
    (name.len() >= 4).then(|| name.to_owned())
}

/// Returns the name, with a number behind it if another has it.
pub fn unique(name: String, taken: &mut BTreeSet<String>) -> String {
    let mut given = name.clone();
    let mut n = 2u32;
    while taken.contains(&given) {
        given = format!("{}-{n}", cut(&name, 26));
        n += 1;
    }
    taken.insert(given.clone());
    given
}
