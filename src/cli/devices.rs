//! `alink-gateway devices [NAME]`: all devices, or everything about one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use serde_json::json;

use super::columns::{Page, Row, Table, labelled, wrapped};
use super::language::Language;
use super::status::{Health, coloured, page, print, unexpected_answer};
use super::terminal_words::{line, micros, span};
use crate::base::text::{counted, grouped};
use crate::control::picture::{
    BusState, Device, DeviceEvent, NextChange, Point, Presence, Service,
};
use crate::control::{Answer, PastCommand, PastPoint, Request};
use crate::field::diagnostics::trouble::meaning;
use crate::io::control::client::{self, AnswerError};
use crate::io::terminal::screen;

/// Prints all devices, or the one called `name`. Exit status 1 if the service
/// does not answer or knows no such device.
#[must_use]
pub fn run(socket: &Path, name: Option<&str>, json: bool, language: Language) -> ExitCode {
    print(outcome(socket, name, json, language), language)
}

fn outcome(
    socket: &Path,
    name: Option<&str>,
    json: bool,
    language: Language,
) -> Result<String, AnswerError> {
    let device = |answer| match answer {
        Answer::Device(device) => Ok(*device),
        other => Err(unexpected_answer(&other)),
    };
    if let Some(name) = name {
        let name = name.to_owned();
        let one = device(client::ask_once(socket, &Request::Device { name })?)?;
        return Ok(match json {
            true => format!("{:#}\n", json!(one)),
            false => coloured(&lines(&one, page(language))),
        });
    }
    let mut all = Vec::new();
    for answer in client::ask(socket, &Request::Devices {})? {
        all.push(device(answer?)?);
    }
    Ok(match json {
        true => format!("{:#}\n", json!({ "devices": all })),
        false if all.is_empty() => language.say("no devices\n"),
        false => coloured(&list(&all, language).lines(screen::width())),
    })
}

/// Makes the table of all devices: those in trouble first, and those with the same state for the
/// same reason in one row.
fn list(devices: &[Device], language: Language) -> Table {
    let mut groups: BTreeMap<(BusState, Presence, String), Vec<&Device>> = BTreeMap::new();
    for device in devices {
        if let Some(key) = state_of(device) {
            groups.entry(key).or_default().push(device);
        }
    }
    let mut rows = Vec::new();
    for device in devices {
        let group = state_of(device).and_then(|key| groups.get(&key));
        let row = match group.map(Vec::as_slice) {
            // The group stands where the first of its devices would.
            Some(all @ [first, _, ..]) => match std::ptr::eq(*first, device) {
                true => row_of_group(all, language),
                false => continue,
            },
            _ => row(device, language),
        };
        rows.push((Reverse(health(device)), row));
    }
    rows.sort_by_key(|(health, _)| *health);
    Table {
        whole: Vec::new(),
        heads: language.heads(&["DEVICE", "PORT", "PLACE", "BUS", "CLOUD", "WHY"]),
        spare: language.heads(&["PLACE", "PORT"]),
        rows: rows.into_iter().map(|(_, row)| row).collect(),
    }
}

/// Returns how bad the state of a device is.
pub(super) fn health(d: &Device) -> Health {
    Health::of_life(d.life).max(Health::of_presence(d.cloud))
}

/// Returns the state of a device with its reason, without the reason's figures; `None` if it has
/// no reason.
fn state_of(d: &Device) -> Option<(BusState, Presence, String)> {
    let why = d.why.as_deref()?;
    let words = why.split(' ').map(|word| match word.parse::<f64>() {
        Ok(_) => "#",
        Err(_) => word,
    });
    let words: Vec<&str> = words.collect();
    Some((d.life, d.cloud, words.join(" ")))
}

/// Writes the reason of several devices, which differs in figures only: `10.2 to 13.0 s quiet`.
fn reason_of(group: &[&Device]) -> String {
    let of = |d: &Device| -> Vec<String> {
        let why = d.why.as_deref().unwrap_or_default();
        why.split(' ').map(str::to_owned).collect()
    };
    let number = |word: &String| word.parse::<f64>().unwrap_or(f64::NAN);
    let all: Vec<Vec<String>> = group.iter().map(|d| of(d)).collect();
    let words = all.first().into_iter().flatten().enumerate();
    let words = words.map(|(n, word)| {
        let mut same: Vec<&String> = all.iter().filter_map(|why| why.get(n)).collect();
        same.sort_by(|a, b| number(a).total_cmp(&number(b)));
        match (same.first(), same.last()) {
            (Some(least), Some(most)) if least != most => format!("{least} to {most}"),
            _ => word.clone(),
        }
    });
    line(&words.collect::<Vec<_>>().join(" "))
}

/// Writes a device as a row of the table.
fn row(d: &Device, language: Language) -> Row {
    let why = d.why.as_deref().map(line).unwrap_or_default();
    Row {
        cells: vec![
            Span::raw(line(&d.name)),
            Span::raw(line(&d.port)),
            Span::raw(language.say(&line(&d.place))),
            life(d.life, language),
            presence(d.cloud, language),
            Span::raw(language.say(&why)),
        ],
        below: None,
    }
}

fn row_of_group(group: &[&Device], language: Language) -> Row {
    let ports: BTreeSet<&str> = group.iter().map(|d| d.port.as_str()).collect();
    let port = match ports.len() {
        1 => ports.first().map(|port| line(port)).unwrap_or_default(),
        n => language.say(&counted(n, "port")),
    };
    let names: Vec<String> = group.iter().map(|d| line(&d.name)).collect();
    let mut row = match group.first() {
        Some(first) => row(first, language),
        None => Row::plain([]),
    };
    for (at, text) in [
        (0, language.say(&counted(group.len(), "device"))),
        (1, port),
        (2, String::new()),
        (5, language.say(&reason_of(group))),
    ] {
        if let Some(cell) = row.cells.get_mut(at) {
            cell.content = text.into();
        }
    }
    row.below = Some(names.join(", "));
    row
}

/// Writes the state of a device on its bus.
pub(super) fn life(life: BusState, language: Language) -> Span<'static> {
    Span::styled(language.word(life.word()), Health::of_life(life).style())
}

/// Writes the state of a device at the platform.
pub(super) fn presence(presence: Presence, language: Language) -> Span<'static> {
    let style = match presence {
        Presence::Refused => Style::new().fg(Color::Magenta),
        other => Health::of_presence(other).style(),
    };
    Span::styled(language.word(presence.word()), style)
}

/// Writes everything about one device.
fn lines(d: &Device, page: Page) -> Vec<Line<'static>> {
    let Page { width, language } = page;
    let title = format!(
        "{} ({} {}), profile {}",
        line(&d.name),
        line(&d.port),
        line(&d.place),
        line(&d.profile)
    );
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let title = wrapped(&language.say(&title), width).into_iter();
    let mut lines: Vec<Line<'static>> = title
        .map(|text| Line::from(Span::styled(text, bold)))
        .collect();
    let mut say = |name: &str, what: &str, style: Style| {
        lines.extend(labelled(name, what, style, page));
    };
    let plain = Style::new();
    let answered = d.answered_ms.map_or_else(
        || "never answered since the start".to_owned(),
        |ms| format!("last answered {} ago", span(ms)),
    );
    let state = life(d.life, language);
    say(
        "bus",
        &format!("{}; {answered}", state.content),
        state.style,
    );
    let identity = format!("{} of {}", line(&d.device_name), line(&d.product_key));
    let cloud = format!("{}, as {identity}", d.cloud.word());
    say("cloud", &cloud, presence(d.cloud, language).style);
    if let Some(why) = &d.why {
        say("why", &line(why), plain);
    }
    if let Some(next) = &d.next {
        say("next", &coming(next), plain);
    }
    if let Some(implausible) = &d.implausible {
        say("values", &line(implausible), Health::Fair.style());
    }
    if let Some(logout) = &d.last_logout {
        let ago = span(logout.ago_ms);
        say(
            "log-out",
            &format!("{ago} ago: {}", line(&logout.what)),
            plain,
        );
    }
    if let Some(rtt) = &d.rtt {
        let (p50, p95) = (micros(rtt.p50_us), micros(rtt.p95_us));
        let replies = match rtt.of {
            1 => format!("the last within {p50}"),
            of => format!("half of the last {of} within {p50}, 95 of 100 within {p95}"),
        };
        say("replies", &replies, plain);
    }
    let mut head = "so far";
    for outcome in outcomes(d, language) {
        say(head, &outcome, plain);
        head = "";
    }
    if d.no_value > 0 {
        let points = format!(
            "{} no value: points for which a reply held none; the journal says why",
            grouped(d.no_value)
        );
        say("", &points, plain);
    }
    for table in tables(d, language) {
        if !table.rows.is_empty() {
            lines.push(Line::default());
            lines.extend(table.lines(width));
        }
    }
    lines
}

/// Makes the tables below what is said about one device; some may have no rows.
fn tables(d: &Device, language: Language) -> [Table; 5] {
    let is_sparse = d.points.iter().any(|p| p.reported_ms.is_some());
    let is_named = d.points.iter().any(|p| name_of(p, language).is_some());
    let heads = [
        ("POINT", true),
        ("NAME", is_named),
        ("VALUE", true),
        ("QUALITY", true),
        ("AGE", true),
        ("REPORTED", is_sparse),
        ("WHY", true),
    ];
    let heads: Vec<_> = heads.iter().filter(|(_, is)| *is).map(|h| h.0).collect();
    let values = Table {
        whole: Vec::new(),
        heads: language.heads(&heads),
        spare: language.heads(&["REPORTED", "AGE", "NAME"]),
        rows: {
            let points = d.points.iter();
            points
                .map(|p| point(p, (is_named, is_sparse), language))
                .collect()
        },
    };
    let writable = d.points.iter().filter_map(|p| {
        let values = p.writable.as_ref()?;
        Some(Row::plain([line(&p.id), language.say(&line(values))]))
    });
    [
        values,
        Table {
            whole: Vec::new(),
            heads: language.heads(&["WRITABLE", "VALUES"]),
            spare: Vec::new(),
            rows: writable.collect(),
        },
        Table {
            whole: Vec::new(),
            heads: language.heads(&["SERVICE", "INPUTS"]),
            spare: Vec::new(),
            rows: {
                let services = d.services.iter();
                services.map(|s| Row::plain(service(s, language))).collect()
            },
        },
        Table {
            whole: Vec::new(),
            heads: language.heads(&[
                "EVENT",
                "WHEN",
                "RAISED",
                "AGO",
                "DATA",
                "WHAT BECAME OF IT",
            ]),
            spare: language.heads(&["WHEN", "RAISED"]),
            rows: {
                let events = d.events.iter();
                events.map(|e| Row::plain(event(e, language))).collect()
            },
        },
        Table {
            whole: Vec::new(),
            heads: language.heads(&["AGO", "BY", "COMMAND", "OLD", "NEW", "WHAT BECAME OF IT"]),
            spare: language.heads(&["BY", "OLD"]),
            rows: {
                let rows = d.commands.iter().flat_map(|c| past(c, language));
                rows.map(Row::plain).collect()
            },
        },
    ]
}

/// Writes a service with its inputs: `level: 20 to 60 (45 if left out)`.
fn service(s: &Service, language: Language) -> [String; 2] {
    let inputs = s.inputs.iter().map(|input| {
        let range = input.range.as_ref();
        let range = range.map(|range| format!(": {}", language.say(range)));
        let default = match &input.default {
            serde_json::Value::Null => String::new(),
            value => format!(
                " ({})",
                language.say(&format!("{} if left out", plain(value)))
            ),
        };
        format!("{}{}{default}", input.name, range.unwrap_or_default())
    });
    let inputs: Vec<String> = inputs.collect();
    let inputs = match inputs.is_empty() {
        true => "-".to_owned(),
        false => line(&inputs.join(", ")),
    };
    [line(&s.id), inputs]
}

/// Writes an event with its rule, and the last time that it was raised.
fn event(e: &DeviceEvent, language: Language) -> [String; 6] {
    let data = e
        .data
        .iter()
        .map(|(name, value)| format!("{name} {}", plain(value)));
    let data: Vec<String> = data.collect();
    [
        line(&e.id),
        language.say(&line(&e.when)),
        grouped(e.raised),
        ago(e.ago_ms, language),
        match data.is_empty() {
            true => "-".into(),
            false => line(&data.join(", ")),
        },
        language.word(&line(&e.outcome)),
    ]
}

/// Writes how long ago something was.
fn ago(ms: Option<u64>, language: Language) -> String {
    ms.map_or_else(|| "-".into(), |ms| language.say(&span(ms)))
}

/// Writes a past command: a row for the service, if it called one, and one for each point.
fn past(command: &PastCommand, language: Language) -> Vec<[String; 6]> {
    let row = |what: &str, old: String, new: &str, sentence: &str| {
        [
            ago(Some(command.ago_ms), language),
            language.say(&line(&command.origin)),
            line(what),
            old,
            line(new),
            language.say(&line(sentence)),
        ]
    };
    let of_point = |p: &PastPoint| {
        let old = match &p.old {
            serde_json::Value::Null => "-".into(),
            value => plain(value),
        };
        row(&p.id, old, p.wanted.as_deref().unwrap_or("-"), &p.sentence)
    };
    // A set of which no point is known has a row of its own too.
    let whole = match (&command.service, command.points.is_empty()) {
        (Some(service), _) => Some(service.as_str()),
        (None, true) => Some("-"),
        (None, false) => None,
    };
    let whole = whole.map(|what| row(what, "-".into(), "-", &command.sentence));
    whole
        .into_iter()
        .chain(command.points.iter().map(of_point))
        .collect()
}

/// Writes what became of requests, one line for each outcome that occurred:
/// `5 timeout: no reply in time`.
fn outcomes(d: &Device, language: Language) -> Vec<String> {
    let some = d.outcomes.iter().filter(|(_, n)| **n > 0);
    let lines: Vec<String> = some
        .map(|(name, n)| (grouped(*n), name, explained(name, &d.place)))
        .map(|(n, name, meaning)| (n, language.word(&line(name)), meaning))
        .map(|(n, name, meaning)| match meaning {
            "" => format!("{n} {name}"),
            words => format!("{n} {name}: {words}"),
        })
        .collect();
    match lines.is_empty() {
        true => vec!["not asked yet".into()],
        false => lines,
    }
}

/// Returns the meaning of an outcome's name.
fn explained(name: &str, place: &str) -> &'static str {
    match name {
        "timeout" => "no reply in time",
        "garbled" => "frames came that could not be read: noise, settings, two devices at once",
        "foreign" => "frames came that were not the reply",
        "late" => "replies came after they had been given up",
        "port" => "the line was lost while the reply was waited for",
        _ => {
            // The codes of a meter are words of DL/T 645, and not Modbus exceptions.
            let code = name.rsplit_once("exception-").map(|(_, code)| code.parse());
            match code {
                Some(Ok(code)) if place.starts_with("unit ") => meaning(code),
                _ => "",
            }
        }
    }
}

fn coming(next: &NextChange) -> String {
    let what = line(&next.what);
    match next.in_ms {
        Some(ms) => format!("{what}, in {}", span(ms)),
        None => what,
    }
}

/// Writes a value: text without its quotes.
pub(super) fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => line(text),
        value => value.to_string(),
    }
}

/// Writes a value with its title or its unit: `1 (on)`, `230.4 V`.
pub(super) fn value(p: &Point) -> String {
    match (&p.value, &p.title) {
        (serde_json::Value::Null, _) => "-".into(),
        (value @ serde_json::Value::String(_), _) | (value, None) => match &p.unit {
            Some(unit) => format!("{} {}", plain(value), line(unit)),
            None => plain(value),
        },
        (value, Some(title)) => format!("{value} ({})", line(title)),
    }
}

/// Returns the name of a point for people, in their language where the configuration has it.
/// Returns the name of a point for people, if it has one.
pub(super) fn name_of(p: &Point, language: Language) -> Option<String> {
    let chinese = p.name_zh.as_ref().filter(|_| language == Language::Chinese);
    chinese.or(p.name.as_ref()).map(|name| line(name))
}

fn point(p: &Point, (is_named, is_sparse): (bool, bool), language: Language) -> Row {
    let ago = |ms: Option<u64>| Span::raw(ago(ms, language));
    let quality = match p.quality.as_str() {
        "good" => Health::Good,
        _ => Health::Fair,
    };
    let mut cells = vec![Span::raw(line(&p.id))];
    if is_named {
        cells.push(Span::raw(name_of(p, language).unwrap_or_default()));
    }
    cells.extend([
        Span::raw(value(p)),
        Span::styled(language.word(&line(&p.quality)), quality.quiet_style()),
        ago(p.age_ms),
    ]);
    if is_sparse {
        cells.push(ago(p.reported_ms));
    }
    cells.push(Span::raw(language.say(&line(&p.why))));
    Row { cells, below: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::captures::{compare_all, device, devices};
    use crate::control::VerdictWord;
    use crate::control::picture::{BusState, PastEvent, Presence, Rtt, ServiceInput};

    fn example() -> Device {
        let point = |id: &str, value: serde_json::Value, quality: &str, why: &str| Point {
            id: id.into(),
            title: None,
            age_ms: Some(1200).filter(|_| !value.is_null()),
            reported_ms: None,
            value,
            quality: quality.into(),
            why: why.into(),
            writable: None,
            name: None,
            name_zh: None,
            unit: None,
        };
        Device {
            name: "meter-07".into(),
            port: "line1".into(),
            place: "unit 7".into(),
            profile: "dtsu666".into(),
            product_key: "a1B2".into(),
            device_name: "m\u{1b}[2J7".into(),
            life: BusState::Silent,
            cloud: Presence::Offline,
            why: Some("silent: 3 polls in a row without an answer".into()),
            next: Some(NextChange {
                what: "asked again; online once it answers".into(),
                in_ms: None,
            }),
            implausible: Some(
                "sends floats that are implausible throughout: Voltage 4.59e-41, read in the \
                 order ABCD"
                    .into(),
            ),
            last_logout: Some(PastEvent {
                what: "silent: 3 polls in a row without an answer, 10.2 s quiet".into(),
                ago_ms: 30_000,
            }),
            answered_ms: Some(61_000),
            rtt: Some(Rtt {
                p50_us: 12_100,
                p95_us: 20_000,
                of: 32,
            }),
            outcomes: [
                ("answer", 100),
                ("exception-2", 2),
                ("late", 0),
                ("timeout", 3),
            ]
            .map(|(name, n)| (name.to_owned(), n))
            .into(),
            recent: BTreeMap::new(),
            unanswered: BTreeMap::new(),
            response_timeout_ms: 300,
            question: None,
            refusal: None,
            noticed: Vec::new(),
            no_value: 4,
            points: vec![
                point(
                    "Voltage",
                    230.4.into(),
                    "stale",
                    "its device does not answer",
                ),
                point("Relay", serde_json::Value::Null, "stale", "not read yet"),
            ],
            services: Vec::new(),
            events: Vec::new(),
            commands: Vec::new(),
        }
    }

    #[test]
    fn the_list_is_as_captured() {
        compare_all("devices", |Page { width, language }| {
            vec![("devices".into(), list(&devices(), language).lines(width))]
        });
    }

    #[test]
    fn devices_with_one_reason_are_one_row_with_its_figures() {
        let all = devices();
        let group: Vec<&Device> = all[1..4].iter().collect();
        let reason = reason_of(&group);
        assert!(
            reason.contains("answer, 10.2 to 13.0 s quiet, last"),
            "{reason}"
        );
        let row = row_of_group(&group, Language::English);
        assert_eq!(row.below.as_deref(), Some("meter-02, meter-03, meter-04"));
    }

    #[test]
    fn everything_about_one_device_is_as_captured() {
        let mut sparse = example();
        sparse.points[0].reported_ms = Some(90_000);
        let new = Device {
            answered_ms: None,
            outcomes: BTreeMap::new(),
            ..device("meter-01", "line1", 1)
        };
        compare_all("device", |page| {
            let all = [
                ("silent", &example()),
                ("sparse", &sparse),
                ("writable", &writable()),
                ("new", &new),
                ("named", &named()),
            ];
            let all = all.into_iter();
            all.map(|(name, d)| (name.to_owned(), lines(d, page)))
                .collect()
        });
    }

    /// Returns a device some of whose points have names and units.
    fn named() -> Device {
        let mut device = example();
        let [voltage, relay] = &mut device.points[..] else {
            panic!("{device:?}");
        };
        voltage.name = Some("Voltage of the first phase".into());
        voltage.name_zh = Some("A相电压".into());
        voltage.unit = Some("V\u{1b}".into());
        relay.name = Some("Pump".into());
        relay.value = 1.into();
        relay.title = Some("on".into());
        let mut energy = voltage.clone();
        energy.id = "TotalEnergyImportOfTheYear".into();
        energy.name = None;
        energy.name_zh = None;
        energy.unit = Some("kWh".into());
        energy.value = 1_234_567.89.into();
        device.points.push(energy);
        device
    }

    /// Returns a device that may be written, and was.
    fn writable() -> Device {
        let mut device = example();
        device.points[1].writable = Some("0 (off), 1 (on)".into());
        let input = |name: &str, range: Option<&str>, default: serde_json::Value| ServiceInput {
            name: name.into(),
            range: range.map(str::to_owned),
            default,
        };
        device.services = vec![
            Service {
                id: "Heat".into(),
                inputs: vec![
                    input("level", Some("20 to 60"), 45.into()),
                    input("who", None, serde_json::Value::Null),
                ],
            },
            Service {
                id: "Stop".into(),
                inputs: Vec::new(),
            },
        ];
        let command =
            |ago_ms, service: Option<&str>, points, verdict, sentence: &str| PastCommand {
                ago_ms,
                origin: "user 1000".into(),
                service: service.map(str::to_owned),
                points,
                verdict,
                sentence: sentence.into(),
            };
        let done = "verified: the device holds 1";
        let relay = PastPoint {
            id: "Relay".into(),
            old: 0.into(),
            wanted: Some("on\u{1b}".into()),
            verdict: VerdictWord::Verified,
            sentence: done.into(),
        };
        let silent = "refused: the device does not answer";
        device.commands = vec![
            command(5000, None, vec![relay], VerdictWord::Verified, done),
            command(
                65_000,
                Some("Heat"),
                Vec::new(),
                VerdictWord::Refused,
                silent,
            ),
        ];
        device
    }
}
