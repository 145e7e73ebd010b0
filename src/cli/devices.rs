//! `alink-gateway devices [NAME]`: all devices, or everything about one.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::status::{print, strange};
use super::words::{line, micros, span, table};
use crate::control::picture::{Device, DeviceEvent, Next, Point, Service};
use crate::control::{Answer, PastCommand, PastPoint, Request};
use crate::field::diagnostics::trouble::meaning;
use crate::io::control::client::{self, Unanswered};

/// Prints all devices, or the one called `name`. Exit status 1 if the service
/// does not answer or knows no such device.
#[must_use]
pub fn run(socket: &Path, name: Option<&str>, json: bool) -> ExitCode {
    print(outcome(socket, name, json))
}

fn outcome(socket: &Path, name: Option<&str>, json: bool) -> Result<String, Unanswered> {
    let device = |answer| match answer {
        Answer::Device(device) => Ok(*device),
        other => Err(strange(&other)),
    };
    if let Some(name) = name {
        let name = name.to_owned();
        let one = device(client::ask_once(socket, &Request::Device { name })?)?;
        return Ok(match json {
            true => format!("{:#}\n", json!(one)),
            false => text(&one),
        });
    }
    let mut all = Vec::new();
    for answer in client::ask(socket, &Request::Devices {})? {
        all.push(device(answer?)?);
    }
    Ok(match json {
        true => format!("{:#}\n", json!({ "devices": all })),
        false => list(&all),
    })
}

fn list(devices: &[Device]) -> String {
    let rows: Vec<[String; 6]> = devices
        .iter()
        .map(|d| {
            [
                line(&d.name),
                line(&d.port),
                line(&d.place),
                d.life.word().into(),
                d.cloud.word().into(),
                d.why.as_deref().map(line).unwrap_or_default(),
            ]
        })
        .collect();
    match rows.is_empty() {
        true => "no devices\n".into(),
        false => table(["DEVICE", "PORT", "PLACE", "BUS", "CLOUD", "WHY"], &rows),
    }
}

/// Writes everything about one device.
fn text(d: &Device) -> String {
    let mut text = format!(
        "{} ({} {}), profile {}\n",
        line(&d.name),
        line(&d.port),
        line(&d.place),
        line(&d.profile)
    );
    let mut say = |name: &str, what: &str| text.push_str(&format!("{name:<9}{what}\n"));
    let answered = d.answered_ms.map_or_else(
        || "never answered since the start".to_owned(),
        |ms| format!("last answered {} ago", span(ms)),
    );
    say("bus", &format!("{}; {answered}", d.life.word()));
    say(
        "cloud",
        &format!(
            "{}, as {} of {}",
            d.cloud.word(),
            line(&d.device_name),
            line(&d.product_key)
        ),
    );
    if let Some(why) = &d.why {
        say("why", &line(why));
    }
    if let Some(next) = &d.next {
        say("next", &coming(next));
    }
    if let Some(logout) = &d.last_logout {
        let ago = span(logout.ago_ms);
        say("log-out", &format!("{ago} ago: {}", line(&logout.what)));
    }
    if let Some(rtt) = &d.rtt {
        let (p50, p95) = (micros(rtt.p50_us), micros(rtt.p95_us));
        let of = rtt.of;
        say(
            "replies",
            &format!("half of the last {of} within {p50}, 95 of 100 within {p95}"),
        );
    }
    let mut head = "so far";
    for outcome in outcomes(d) {
        say(head, &outcome);
        head = "";
    }
    if !d.points.is_empty() {
        let rows = d.points.iter().map(point);
        let written = match d.points.iter().any(|p| p.reported_ms.is_some()) {
            false => {
                let head = ["POINT", "VALUE", "QUALITY", "AGE", "WHY"];
                table(head, &rows.collect::<Vec<_>>())
            }
            true => {
                let head = ["POINT", "VALUE", "QUALITY", "AGE", "REPORTED", "WHY"];
                let rows = rows
                    .zip(&d.points)
                    .map(|([id, value, quality, age, why], p)| {
                        let reported = p.reported_ms.map_or_else(|| "-".into(), span);
                        [id, value, quality, age, reported, why]
                    });
                table(head, &rows.collect::<Vec<_>>())
            }
        };
        let _ = write!(text, "\n{written}");
    }
    let writable = d.points.iter().filter_map(|p| {
        let values = p.writable.as_ref()?;
        Some([line(&p.id), line(values)])
    });
    let services = d.services.iter().map(service);
    let events = d.events.iter().map(event);
    let commands = d.commands.iter().flat_map(past);
    let tables = [
        table_of(["WRITABLE", "VALUES"], writable.collect()),
        table_of(["SERVICE", "INPUTS"], services.collect()),
        table_of(
            [
                "EVENT",
                "WHEN",
                "RAISED",
                "AGO",
                "DATA",
                "WHAT BECAME OF IT",
            ],
            events.collect(),
        ),
        table_of(
            ["AGO", "BY", "COMMAND", "OLD", "NEW", "WHAT BECAME OF IT"],
            commands.collect(),
        ),
    ];
    text.extend(tables.into_iter().flatten());
    text
}

/// Writes a table below an empty line; nothing if it has no rows.
fn table_of<const N: usize>(head: [&str; N], rows: Vec<[String; N]>) -> Option<String> {
    (!rows.is_empty()).then(|| format!("\n{}", table(head, &rows)))
}

/// Writes a service with its inputs: `level: 20 to 60 (45 if left out)`.
fn service(s: &Service) -> [String; 2] {
    let inputs = s.inputs.iter().map(|input| {
        let range = input.range.as_ref().map(|range| format!(": {range}"));
        let default = match &input.default {
            serde_json::Value::Null => String::new(),
            value => format!(" ({} if left out)", plain(value)),
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
fn event(e: &DeviceEvent) -> [String; 6] {
    let data = e
        .data
        .iter()
        .map(|(name, value)| format!("{name} {}", plain(value)));
    let data: Vec<String> = data.collect();
    [
        line(&e.id),
        line(&e.when),
        e.raised.to_string(),
        e.ago_ms.map_or_else(|| "-".into(), span),
        match data.is_empty() {
            true => "-".into(),
            false => line(&data.join(", ")),
        },
        line(&e.outcome),
    ]
}

/// Writes a past command: a row for the service, if it called one, and one for each point.
fn past(command: &PastCommand) -> Vec<[String; 6]> {
    let row = |what: &str, old: String, new: &str, sentence: &str| {
        [
            span(command.ago_ms),
            line(&command.origin),
            line(what),
            old,
            line(new),
            line(sentence),
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
fn outcomes(d: &Device) -> Vec<String> {
    let some = d.outcomes.iter().filter(|(_, n)| **n > 0);
    let lines: Vec<String> = some
        .map(|(name, n)| match explained(name, &d.place) {
            "" => format!("{n} {}", line(name)),
            words => format!("{n} {}: {words}", line(name)),
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

fn coming(next: &Next) -> String {
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

fn point(p: &Point) -> [String; 5] {
    let value = match (&p.value, &p.title) {
        (serde_json::Value::Null, _) => "-".into(),
        (value @ serde_json::Value::String(_), _) | (value, None) => plain(value),
        (value, Some(title)) => format!("{value} ({})", line(title)),
    };
    [
        line(&p.id),
        value,
        line(&p.quality),
        p.age_ms.map_or_else(|| "-".into(), span),
        line(&p.why),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::VerdictWord;
    use crate::control::picture::{Life, Past, Presence, Rtt, ServiceInput};

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
        };
        Device {
            name: "meter-07".into(),
            port: "line1".into(),
            place: "unit 7".into(),
            profile: "dtsu666".into(),
            product_key: "a1B2".into(),
            device_name: "m\u{1b}[2J7".into(),
            life: Life::Silent,
            cloud: Presence::Offline,
            why: Some("silent: 3 polls in a row without an answer".into()),
            next: Some(Next {
                what: "asked again; online once it answers".into(),
                in_ms: None,
            }),
            last_logout: Some(Past {
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
    fn each_event_has_its_rule_and_what_became_of_the_last() {
        let event =
            |id: &str, ago_ms: Option<u64>, data: &[(&str, serde_json::Value)], outcome: &str| {
                let data = data.iter().cloned();
                DeviceEvent {
                    id: id.into(),
                    when: format!("{id}_value above 80"),
                    raised: u64::from(ago_ms.is_some()) * 3,
                    ago_ms,
                    data: data.map(|(name, value)| (name.to_owned(), value)).collect(),
                    outcome: outcome.into(),
                }
            };
        let device = Device {
            events: vec![
                event("door", None, &[], ""),
                event(
                    "hot",
                    Some(61_000),
                    &[("limit", 80.into()), ("unit", "C\u{1b}".into())],
                    "delivered",
                ),
            ],
            ..example()
        };
        let text = text(&device);
        let (_, events) = text.split_once("EVENT").unwrap();
        assert_eq!(
            events,
            "  WHEN                 RAISED  AGO        DATA               WHAT BECAME OF IT
door   door_value above 80  0       -          -
hot    hot_value above 80   3       1 min 1 s  limit 80, unit C   delivered
"
        );
    }

    #[test]
    fn everything_about_one_device_is_on_one_screen() {
        assert_eq!(
            text(&example()),
            "meter-07 (line1 unit 7), profile dtsu666
bus      silent; last answered 1 min 1 s ago
cloud    offline, as m [2J7 of a1B2
why      silent: 3 polls in a row without an answer
next     asked again; online once it answers
log-out  30 s ago: silent: 3 polls in a row without an answer, 10.2 s quiet
replies  half of the last 32 within 12.1 ms, 95 of 100 within 20.0 ms
so far   100 answer
         2 exception-2: illegal data address
         3 timeout: no reply in time

POINT    VALUE  QUALITY  AGE  WHY
Voltage  230.4  stale    1 s  its device does not answer
Relay    -      stale    -    not read yet
"
        );
        let mut sparse = example();
        sparse.points[0].reported_ms = Some(90_000);
        let found = text(&sparse);
        let table = found.split_once("\nPOINT").map(|(_, table)| table);
        assert_eq!(
            table,
            Some(
                "    VALUE  QUALITY  AGE  REPORTED    WHY
Voltage  230.4  stale    1 s  1 min 30 s  its device does not answer
Relay    -      stale    -    -           not read yet
"
            )
        );
        assert!(list(&[example()]).contains("meter-07  line1  unit 7  silent  offline  silent: 3"));
    }

    #[test]
    fn what_may_be_written_and_what_was_stand_below_the_values() {
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
        let found = text(&device);
        let below = found.split_once("\nWRITABLE").map(|(_, below)| below);
        assert_eq!(
            below,
            Some(
                "  VALUES
Relay     0 (off), 1 (on)

SERVICE  INPUTS
Heat     level: 20 to 60 (45 if left out), who
Stop     -

AGO        BY         COMMAND  OLD  NEW  WHAT BECAME OF IT
5 s        user 1000  Relay    0    on   verified: the device holds 1
1 min 5 s  user 1000  Heat     -    -    refused: the device does not answer
"
            )
        );
    }
}
