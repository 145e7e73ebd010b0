//! What a user types to name values of a device, as points of a profile.
//!
//! The words become a profile as a configuration has it, and the configuration's own reader reads
//! it: types, orders, keys and all that is wrong with them are the same here and there.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use crate::base::text::counted;
use crate::config::{FirstPass, Problem, ReadSources, Severity, SourceText, address_in_a_manual};
use crate::spec::dlt645::{DataIdentifier, Edition, item};
use crate::spec::{PointAddress, PointSpec, ProfileSpec};

/// The most values of one command.
const MOST: usize = 2000;

/// The profile of the words.
#[derive(Clone, Debug)]
pub(super) struct TypedPoints {
    /// The profile.
    pub profile: ProfileSpec,
    /// How each point is named: its address, and its type as it was typed.
    pub names: Vec<(String, String)>,
    /// What is to be known about how the words were understood.
    pub notes: Vec<String>,
}

/// One value, or several of a kind, as they were typed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct TypedGroup {
    /// The words.
    typed: Vec<String>,
    /// The keys of the point, each with its value.
    keys: Vec<(String, String)>,
    /// The name up to the address, and the address.
    address: Option<(String, u16)>,
    /// Whether the address was in hexadecimal.
    is_hex: bool,
    /// How many values there are, one behind the other.
    count: u16,
}

impl TypedGroup {
    /// Returns whether it is an identifier of DL/T 645 without a format.
    fn lacks_format(&self) -> bool {
        let is_id = |(key, value): &(String, String)| {
            key == "data" && value.bytes().all(|b| b.is_ascii_hexdigit())
        };
        let has_format = self.keys.iter().any(|(key, _)| key == "format");
        self.keys.iter().any(is_id) && !has_format
    }
}

const TABLES: [&str; 4] = ["holding", "input", "coil", "discrete"];

const ORDERS: [&str; 6] = ["ABCD", "CDAB", "BADC", "DCBA", "AB", "BA"];

/// Reads values of a Modbus device.
///
/// # Errors
/// All that is wrong, in lines.
pub(super) fn of_modbus(words: &[String]) -> Result<TypedPoints, String> {
    let mut groups: Vec<TypedGroup> = Vec::new();
    let mut notes = Vec::new();
    for word in words {
        if let Some(group) = modbus_address(word, &mut notes)? {
            groups.push(group);
            continue;
        }
        if !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit()) {
            let n = word.trim_start_matches('0');
            let n = if n.is_empty() { "0" } else { n };
            return Err(format!(
                "{word}: in which table? holding:{n} and input:{n} are registers, coil:{n} and discrete:{n} bits, all counted from 0"
            ));
        }
        let Some(group) = groups.last_mut() else {
            return Err(format!(
                "{word}: wanted an address first, such as input:0x0000, holding:100 or coil:3*8"
            ));
        };
        group.typed.push(word.clone());
        let key = match word.split_once('=') {
            Some((key, value)) => (key.to_ascii_lowercase(), value.to_owned()),
            // Manuals write F32 as often as f32.
            None => match ORDERS.iter().find(|order| order.eq_ignore_ascii_case(word)) {
                Some(order) => ("order".to_owned(), (*order).to_owned()),
                None => ("type".to_owned(), word.to_ascii_lowercase()),
            },
        };
        group.keys.push(key);
    }
    for group in &mut groups {
        let is_bits = group.typed.first().is_some_and(|address| {
            let table = address.split(':').next().unwrap_or_default();
            ["coil", "discrete"]
                .iter()
                .any(|bits| bits.eq_ignore_ascii_case(table))
        });
        let is_bits = is_bits || group.keys.iter().any(|(_, value)| value == "discrete");
        if !is_bits && !group.keys.iter().any(|(key, _)| key == "type") {
            group.keys.push(("type".into(), "u16".into()));
        }
    }
    compiled("modbus", &groups, notes)
}

/// Reads data of a DL/T 645 meter.
///
/// # Errors
/// All that is wrong, in lines.
pub(super) fn of_meter(words: &[String]) -> Result<TypedPoints, String> {
    let mut groups: Vec<TypedGroup> = Vec::new();
    let mut editions = Vec::new();
    for word in words {
        let (edition, datum) = match word.split_once(':') {
            Some(("1997", datum)) => (Some(Edition::Y1997), datum),
            Some(("2007", datum)) => (Some(Edition::Y2007), datum),
            _ => (None, word.as_str()),
        };
        let is_id = matches!(datum.len(), 4 | 8) && datum.bytes().all(|b| b.is_ascii_hexdigit());
        let edition = edition.or(is_id.then_some(match datum.len() {
            4 => Edition::Y1997,
            _ => Edition::Y2007,
        }));
        // `date` and `time` are formats behind an identifier, and data of the standard elsewhere.
        let is_open = groups.last().is_some_and(TypedGroup::lacks_format);
        let is_name = datum.starts_with(|c: char| c.is_ascii_lowercase())
            && !datum.contains(['=', ' '])
            && !(is_open && ["date", "time"].contains(&datum));
        let begins = edition.is_some() || is_name || groups.is_empty();
        // A configuration fills an identifier up with zeros; here it is more likely another number.
        let is_number = !datum.is_empty() && datum.bytes().all(|b| b.is_ascii_digit());
        if begins && is_number && !is_id {
            return Err(format!(
                "{word}: an identifier has eight digits in DL/T 645-2007 and four in 1997, such as 00010000 or 9010"
            ));
        }
        if begins {
            editions.extend(edition);
            groups.push(TypedGroup {
                typed: vec![datum.to_owned()],
                keys: vec![("data".into(), datum.to_owned())],
                count: 1,
                ..TypedGroup::default()
            });
            continue;
        }
        if let Some(group) = groups.last_mut() {
            group.typed.push(word.clone());
            let key = match word.split_once('=') {
                Some((key, value)) => (key.to_owned(), value.to_owned()),
                None => ("format".to_owned(), word.clone()),
            };
            group.keys.push(key);
        }
    }
    let edition = editions.first().copied().unwrap_or(Edition::Y2007);
    if editions.iter().any(|other| *other != edition) {
        return Err("data of both editions: a meter speaks one of them; ask for each apart".into());
    }
    let mut notes = Vec::new();
    for group in &mut groups {
        name_datum(edition, group, &mut notes);
    }
    let protocol = match edition {
        Edition::Y1997 => "dlt645-1997",
        Edition::Y2007 => "dlt645-2007",
    };
    compiled(protocol, &groups, notes)
}

/// Puts the standard's name in the place of an identifier without a format, which the standard
/// has.
fn name_datum(edition: Edition, group: &mut TypedGroup, notes: &mut Vec<String>) {
    let has_format = group.keys.iter().any(|(key, _)| key == "format");
    let Some((_, datum)) = group.keys.first_mut().filter(|_| !has_format) else {
        return;
    };
    let id = match edition {
        Edition::Y1997 => u16::from_str_radix(datum, 16)
            .ok()
            .map(DataIdentifier::Y1997),
        Edition::Y2007 => u32::from_str_radix(datum, 16)
            .ok()
            .map(DataIdentifier::Y2007),
    };
    let Some(id) = id else {
        return;
    };
    const MEMBERS: [&str; 14] = [
        "", "-a", "-b", "-c", "-all", "-rate-1", "-rate-2", "-rate-3", "-rate-4", "-last-1",
        "-last-2", "-rate-5", "-rate-6", "-rate-7",
    ];
    let names = item::names(edition);
    let mut names = names.flat_map(|name| MEMBERS.map(|member| format!("{name}{member}")));
    if let Some(name) = names.find(|name| item::find(edition, name).is_some_and(|i| i.id == id)) {
        notes.push(format!("{id} is {name}"));
        *datum = name;
    }
}

/// Reads a word as an address of Modbus; `None` if it is none.
fn modbus_address(word: &str, notes: &mut Vec<String>) -> Result<Option<TypedGroup>, String> {
    let (place, count) = match word.split_once('*') {
        Some((place, count)) => (place, Some(count)),
        None => (word, None),
    };
    let named = place.split_once(':').and_then(|(table, address)| {
        let mut tables = TABLES.iter();
        let table = tables.find(|known| known.eq_ignore_ascii_case(table))?;
        Some(((*table).to_owned(), address.to_ascii_lowercase()))
    });
    let (table, text) = match named {
        Some(named) => named,
        None => match address_in_a_manual(place) {
            Some((table, address)) => {
                notes.push(format!(
                    "{place} is taken as {table}:{address} ({address:#06x}), counted from 0: manuals count from 1, with the table in front"
                ));
                (table.to_owned(), address.to_string())
            }
            None => return Ok(None),
        },
    };
    let count = match count {
        None => 1,
        Some(count) => {
            let count = count.parse().ok().filter(|n| (1..=MOST as u16).contains(n));
            count.ok_or_else(|| {
                format!("{word}: behind the * stands how many values to read, 1 to {MOST}")
            })?
        }
    };
    let number = match text.strip_prefix("0x") {
        Some(digits) => u16::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    Ok(Some(TypedGroup {
        typed: vec![word.to_owned()],
        is_hex: text.starts_with("0x"),
        address: number.map(|number| (table.clone(), number)),
        keys: vec![("table".into(), table), ("address".into(), text)],
        count,
    }))
}

/// Writes a value of YAML: plain where the words are, quoted otherwise.
fn yaml(value: &str) -> String {
    let is_plain = !value.is_empty()
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b".+-_".contains(&b))
        && !value.starts_with('-');
    let is_number = value.parse::<f64>().is_ok();
    let is_list = value.starts_with(['[', '{']) && value.ends_with([']', '}']);
    match is_plain || is_number || is_list {
        true => value.to_owned(),
        false => serde_json::Value::from(value).to_string(),
    }
}

/// Has the configuration's reader read the words.
fn compiled(
    protocol: &str,
    groups: &[TypedGroup],
    notes: Vec<String>,
) -> Result<TypedPoints, String> {
    let mut notes = notes;
    if groups.is_empty() {
        return Err(match protocol {
            "modbus" => {
                "nothing to read is named: wanted an address, such as input:0x0000 or holding:100 f32"
            }
            _ => {
                "nothing to read is named: wanted a datum, such as energy-active-forward or 2007:00010000"
            }
        }
        .into());
    }
    let mut points = String::new();
    for (n, group) in groups.iter().enumerate() {
        let _ = write!(points, "{}{{\"id\": p{n}", if n == 0 { "" } else { ", " });
        for (key, value) in &group.keys {
            let key = serde_json::Value::from(key.as_str());
            let _ = write!(points, ", {key}: {}", yaml(value));
        }
        points.push('}');
    }
    // A configuration without a mistake of its own.
    let text = format!(
        "{{\"gateway\": {{\"product_key\": a1, \"device_name\": gateway, \"secret\": none}}, \
         \"cloud\": {{\"url\": \"mqtts://localhost\"}}, \"profiles\": [{{\"name\": typed, \
         \"protocol\": {protocol}, \"interval\": 1s, \"points\": [{points}]}}]}}"
    );
    let source = SourceText::of("typed".into(), Ok(text.into_bytes().into()));
    let told = |problems: &[Problem]| -> Vec<String> {
        problems.iter().map(|p| told(p, groups)).collect()
    };
    let first = FirstPass::new(&[source], &[]);
    let outline = match first {
        Ok(first) => first.outline(&ReadSources::new()),
        Err(report) => return Err(told(report.problems()).join("\n")),
    };
    let profile = outline.profiles().first().map(|p| Arc::clone(&p.spec));
    let has_failed = outline.has_failed();
    let report = outline.into_report();
    let severity = if has_failed {
        Severity::Error
    } else {
        Severity::Warning
    };
    let about_points = |p: &&Problem| p.severity == severity && p.path.contains("points");
    let problems: Vec<Problem> = report
        .problems()
        .iter()
        .filter(about_points)
        .cloned()
        .collect();
    match profile.filter(|_| !has_failed) {
        Some(profile) => {
            notes.extend(told(&problems));
            expanded(&profile, groups, notes)
        }
        None if problems.is_empty() => Err(told(report.problems()).join("\n")),
        None => Err(told(&problems).join("\n")),
    }
}

/// Writes a problem with the words that were typed in the place of the file.
fn told(problem: &Problem, groups: &[TypedGroup]) -> String {
    let mut problem = problem.clone();
    (problem.line, problem.column) = (0, 0);
    let path = problem.path.clone();
    let inside = path
        .split_once("points[")
        .and_then(|(_, rest)| rest.split_once(']'));
    match inside.and_then(|(n, key)| Some((groups.get(n.parse::<usize>().ok()?)?, key))) {
        Some((group, key)) => {
            problem.file = group.typed.join(" ").into();
            problem.path = key.trim_start_matches('.').to_owned();
        }
        None => {
            let words: Vec<String> = groups.iter().map(|g| g.typed.join(" ")).collect();
            problem.file = words.join(" ").into();
            problem.path.clear();
        }
    }
    problem.to_string()
}

/// Makes a point of each value of a group.
fn expanded(
    profile: &ProfileSpec,
    groups: &[TypedGroup],
    notes: Vec<String>,
) -> Result<TypedPoints, String> {
    let mut points: Vec<PointSpec> = Vec::new();
    let mut names = Vec::new();
    for (group, point) in groups.iter().zip(&profile.points) {
        let kind = group.typed.get(1..).unwrap_or_default().join(" ");
        for n in 0..group.count {
            let mut one = point.clone();
            one.id = format!("p{}", points.len());
            let mut name = group.typed.first().cloned().unwrap_or_default();
            if let (PointAddress::Modbus(address), Some((table, start))) =
                (&mut one.address, &group.address)
            {
                let step = u32::from(n) * u32::from(point.codec.width().max(1));
                let at = |start: u16| u16::try_from(u32::from(start) + step).ok();
                let end = u32::from(address.start) + step + u32::from(point.codec.width());
                let (Some(moved), Some(shown)) = (at(address.start), at(*start)) else {
                    return Err(beyond(group));
                };
                if end > 0x1_0000 {
                    return Err(beyond(group));
                }
                address.start = moved;
                name = match group.is_hex {
                    true => format!("{table}:{shown:#06x}"),
                    false => format!("{table}:{shown}"),
                };
            }
            points.push(one);
            names.push((name, kind.clone()));
        }
    }
    if points.len() > MOST {
        return Err(format!(
            "{}: wanted at most {MOST} in one command",
            counted(points.len(), "value")
        ));
    }
    Ok(TypedPoints {
        profile: ProfileSpec {
            points,
            ..profile.clone()
        },
        names,
        notes,
    })
}

fn beyond(group: &TypedGroup) -> String {
    format!(
        "{}: the last address of a table is 65535",
        group.typed.join(" ")
    )
}

/// Returns whether a text is the path of a file: a device file that is taken for the name of a
/// device.
pub(super) fn is_path(text: &str) -> bool {
    Path::new(text).is_absolute()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Codec;

    fn words(text: &str) -> Vec<String> {
        text.split('|').map(|word| word.trim().to_owned()).collect()
    }

    fn modbus(text: &str) -> TypedPoints {
        of_modbus(&words(text)).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    fn names(typed: &TypedPoints) -> Vec<&str> {
        typed.names.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn values_have_the_types_and_keys_of_a_profile() {
        let typed = modbus("input:0x0000 | f32 | CDAB | scale=0.1 | holding:7 | coil:3*2");
        assert_eq!(
            names(&typed),
            ["input:0x0000", "holding:7", "coil:3", "coil:4"]
        );
        assert_eq!(typed.names[0].1, "f32 CDAB scale=0.1");
        let codecs: Vec<&Codec> = typed.profile.points.iter().map(|p| &p.codec).collect();
        assert!(matches!(
            codecs[0],
            Codec::Number {
                words: crate::spec::WordOrder::Low,
                ..
            }
        ));
        assert!(matches!(codecs[2..], [Codec::Bool, Codec::Bool]));
        for rich in [
            "holding:0 | string | registers=8",
            "holding:0 | datetime | layout=YYMMDDhhmmss | fields=bytes",
            "holding:0 | u16 | invalid=[0x7FFF, 0xFFFF]",
            "holding:0 | bit | bit=3",
            "holding:0 | i16 | offset=-40 | scale=0.1",
            "holding:0 | u64 | bytes=low | words=low",
            "discrete:9",
            "10001",
        ] {
            let _ = modbus(rich);
        }
    }

    #[test]
    fn capitals_are_read_as_small_letters() {
        let typed = modbus("Holding:0X10 | F32 | cdab | Scale=0.1 | COIL:3");
        assert_eq!(names(&typed), ["holding:0x0010", "coil:3"]);
        assert!(matches!(
            typed.profile.points[0].codec,
            Codec::Number {
                words: crate::spec::WordOrder::Low,
                ..
            }
        ));
        assert!(matches!(typed.profile.points[1].codec, Codec::Bool));
    }

    #[test]
    fn a_number_alone_is_asked_for_its_table() {
        for (text, n) in [("1", "1"), ("00001", "1"), ("holding:0 | 7", "7")] {
            let why = of_modbus(&words(text)).unwrap_err();
            assert!(why.contains("in which table?"), "{why}");
            assert!(why.contains(&format!("input:{n} ")), "{why}");
        }
    }

    #[test]
    fn several_values_follow_each_other() {
        let typed = modbus("input:0x0010*3 | f32");
        assert_eq!(
            names(&typed),
            ["input:0x0010", "input:0x0012", "input:0x0014"]
        );
        let starts = typed
            .profile
            .points
            .iter()
            .map(|p| p.address.as_modbus().unwrap().start);
        assert_eq!(starts.collect::<Vec<_>>(), [16, 18, 20]);
    }

    #[test]
    fn numbers_of_manuals_are_said_as_they_were_taken() {
        let typed = modbus("40001 | 30010 | f32");
        assert_eq!(names(&typed), ["holding:0", "input:9"]);
        assert_eq!(typed.notes.len(), 2);
        assert!(typed.notes[0].starts_with("40001 is taken as holding:0 (0x0000)"));
        // The reader of the configuration takes this as it stands, and warns.
        let typed = modbus("holding:40001");
        assert_eq!(names(&typed), ["holding:40001"]);
        assert!(
            typed.notes[0].contains("0-based address"),
            "{:?}",
            typed.notes
        );
    }

    #[test]
    fn what_is_wrong_is_said_with_the_words_that_were_typed() {
        for (text, said) in [
            ("f32", "f32: wanted an address first"),
            (
                "input:0 | float32",
                "input:0 float32  type\n  said    float32",
            ),
            ("input:70000", "input:70000  address\n  said    70000"),
            ("input:x", "input:x  address\n  said    x"),
            ("input:0*0", "input:0*0: behind the * stands"),
            ("input:65535 | f32", "input:65535 f32  address\n"),
            ("input:65534*2 | f32", "input:65534*2 f32: the last address"),
            (
                "input:0 | u16 | colour=red",
                "input:0 u16 colour=red  colour\n",
            ),
            ("coil:0 | f32", "coil:0 f32  type\n"),
        ] {
            let why = of_modbus(&words(text)).unwrap_err();
            assert!(why.starts_with(said), "{text}: {why}");
        }
        assert!(of_modbus(&[]).unwrap_err().starts_with("nothing to read"));
    }

    #[test]
    fn data_of_meters_have_the_standards_names() {
        let meter = |text: &str| of_meter(&words(text)).unwrap_or_else(|e| panic!("{text}: {e}"));
        let typed = meter("2007:00010000");
        assert_eq!(typed.notes, ["00010000 is energy-active-forward"]);
        assert_eq!(typed.names[0].0, "00010000");
        let typed = meter("energy-active-forward | voltage-a | scale=10");
        assert_eq!(names(&typed), ["energy-active-forward", "voltage-a"]);
        let _ = meter("1997:9010");
        let _ = meter("04000999 | XXXXXX.XX");
        let typed = meter("voltage-a | date | 04000999 | date | time");
        assert_eq!(names(&typed), ["voltage-a", "date", "04000999", "time"]);
        for wrong in [
            "2007:00010000 | 1997:9010",
            "04000999",
            "energie",
            "40001",
            "2007:10000",
        ] {
            assert!(of_meter(&words(wrong)).is_err(), "{wrong}");
        }
    }
}
