//! `alink-gateway write` and `call`: commands to devices, through the running service.

#![expect(
    clippy::print_stderr,
    reason = "says what is wrong, and that nothing was written"
)]

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value as Json, json};

use super::devices::plain;
use super::language::Language;
use super::status::{print, unexpected_answer};
use super::terminal_words::{line, span};
use crate::config::did_you_mean;
use crate::control::picture::{Device, Point};
use crate::control::{Answer, CommandResult, Failure, FailureKind, Request};
use crate::io::control::client::{self, AnswerError};
use crate::io::terminal::question::{self, Decision};
use crate::io::terminal::screen;

/// How a command is given.
#[derive(Debug, Args)]
pub struct WriteOptions {
    /// Do not ask before it is done.
    #[arg(long, short)]
    yes: bool,
    /// Print JSON instead of a line for each point.
    #[arg(long)]
    json: bool,
}

/// Reads points with their values.
///
/// # Errors
/// What is missing.
pub(super) fn pairs_of(words: &[String]) -> Result<Vec<(String, Json)>, String> {
    words
        .chunks(2)
        .map(|pair| match pair {
            [point, value] => Ok((point.clone(), value_of(value))),
            _ => Err(format!("no value for {}", pair.join(" "))),
        })
        .collect()
}

/// Reads inputs of a service with their values.
///
/// # Errors
/// Which input is no `INPUT=VALUE`, or is there twice.
pub(super) fn inputs_of(words: &[String]) -> Result<Map<String, Json>, String> {
    let mut inputs = Map::new();
    for word in words {
        let (name, value) = word
            .split_once('=')
            .ok_or_else(|| format!("{word}: wanted INPUT=VALUE"))?;
        if inputs.insert(name.to_owned(), value_of(value)).is_some() {
            return Err(format!("input {name} is there twice"));
        }
    }
    Ok(inputs)
}

/// Reads a value as a person types it: a number, true or false as JSON has them, and all else is
/// text, such as the title of a state.
fn value_of(text: &str) -> Json {
    match serde_json::from_str(text) {
        Ok(value @ (Json::Number(_) | Json::Bool(_))) => value,
        _ => text.into(),
    }
}

/// Writes points of a device. Exit status 0 if every one is verified or confirmed.
#[must_use]
pub(super) fn write(
    socket: &Path,
    device: String,
    set: Vec<(String, Json)>,
    options: &WriteOptions,
    language: Language,
) -> ExitCode {
    let asked = find(socket, &device).and_then(|device| question_of_write(&device, &set));
    carry_out(
        socket,
        asked,
        Request::Write { device, set },
        options,
        language,
    )
}

/// Runs a service of a device. Exit status 0 if it went through.
#[must_use]
pub(super) fn call(
    socket: &Path,
    device: String,
    service: String,
    inputs: Map<String, Json>,
    options: &WriteOptions,
    language: Language,
) -> ExitCode {
    let asked =
        find(socket, &device).and_then(|device| question_of_call(&device, &service, &inputs));
    let request = Request::Call {
        device,
        service,
        inputs,
    };
    carry_out(socket, asked, request, options, language)
}

/// Asks the person, then the service, and prints what became of the command.
fn carry_out(
    socket: &Path,
    asked: Result<String, AnswerError>,
    request: Request,
    options: &WriteOptions,
    language: Language,
) -> ExitCode {
    let asked = match asked {
        Ok(asked) => asked,
        Err(e) => return print(Err(e), language),
    };
    if !options.yes {
        match question::decide(&format!("{}? [y/N] ", language.say(&asked))) {
            Ok(Decision::Yes) => {}
            Ok(Decision::No) => {
                eprintln!("{}", language.say("nothing was written"));
                return ExitCode::FAILURE;
            }
            Ok(Decision::NoTerminal) => {
                let text = format!(
                    "{asked}? There is no terminal to ask on: --yes does it without asking"
                );
                eprintln!("{}", language.say(&text));
                return ExitCode::FAILURE;
            }
            Err(e) => {
                eprintln!("{}", language.say(&format!("the terminal: {e}")));
                return ExitCode::FAILURE;
            }
        }
    }
    let result = match client::ask_once(socket, &request) {
        Ok(Answer::Command(result)) => result,
        other => {
            return print(
                other.and_then(|answer| Err(unexpected_answer(&answer))),
                language,
            );
        }
    };
    // The reader of the output may have closed it; the command was carried out all the same.
    let _ = screen::write(&match options.json {
        true => format!("{:#}\n", json!(result)),
        false => language.say(&text(&request, &result)),
    });
    match result.is_done() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Returns everything about a device.
fn find(socket: &Path, name: &str) -> Result<Device, AnswerError> {
    let request = Request::Device {
        name: name.to_owned(),
    };
    match client::ask_once(socket, &request) {
        Ok(Answer::Device(device)) => Ok(*device),
        Ok(other) => Err(unexpected_answer(&other)),
        Err(AnswerError::Failure(failure)) if failure.kind == FailureKind::Unknown => {
            let names = names(socket)?;
            let hint = did_you_mean(name, names.iter().map(String::as_str));
            Err(unknown(match hint {
                Some(hint) => format!("no device is called {name:?}: {hint}"),
                None => failure.why,
            }))
        }
        Err(e) => Err(e),
    }
}

/// Returns the names of all devices.
fn names(socket: &Path) -> Result<Vec<String>, AnswerError> {
    let mut names = Vec::new();
    for answer in client::ask(socket, &Request::Devices {})? {
        match answer? {
            Answer::Device(device) => names.push(device.name),
            other => return Err(unexpected_answer(&other)),
        }
    }
    Ok(names)
}

/// Returns what a person is asked before points are written: `Write 21.5 to Setpoint of pump
/// (now 20.0)`.
fn question_of_write(device: &Device, set: &[(String, Json)]) -> Result<String, AnswerError> {
    let mut parts = Vec::new();
    for (id, value) in set {
        let point = device.points.iter().find(|p| p.id == *id);
        let point = point.ok_or_else(|| no_such(device, "point", id, &points(device, |_| true)))?;
        if point.writable.is_none() {
            let writable = points(device, |p| p.writable.is_some());
            let others = match writable.is_empty() {
                true => "nothing of this device can be written".into(),
                false => format!("these can be written: {}", writable.join(", ")),
            };
            return Err(unknown(line(&format!(
                "{id} of {} is read-only: its profile has no write: for it; {others}",
                device.name
            ))));
        }
        parts.push((plain(value), line(id), now(point)));
    }
    let name = line(&device.name);
    Ok(match &parts[..] {
        [(value, id, now)] => format!("Write {value} to {id} of {name} ({now})"),
        parts => {
            let parts = parts
                .iter()
                .map(|(value, id, now)| format!("{value} to {id} ({now})"));
            let parts: Vec<String> = parts.collect();
            format!("Write {} of {name}", parts.join(", "))
        }
    })
}

/// Returns what a person is asked before a service is run: `Run StartHeating of boiler with
/// level 45`.
fn question_of_call(
    device: &Device,
    service: &str,
    inputs: &Map<String, Json>,
) -> Result<String, AnswerError> {
    if !device.services.iter().any(|s| s.id == service) {
        let known: Vec<&str> = device.services.iter().map(|s| s.id.as_str()).collect();
        return Err(no_such(device, "service", service, &known));
    }
    let given = inputs
        .iter()
        .map(|(name, value)| format!("{} {}", line(name), plain(value)));
    let given: Vec<String> = given.collect();
    let with = match given.is_empty() {
        true => String::new(),
        false => format!(" with {}", given.join(", ")),
    };
    let name = line(&device.name);
    Ok(format!("Run {} of {name}{with}", line(service)))
}

fn points(device: &Device, is_one: impl Fn(&Point) -> bool) -> Vec<&str> {
    let points = device.points.iter().filter(|p| is_one(p));
    points.map(|p| p.id.as_str()).collect()
}

/// Returns the error for a name that the device's profile does not have.
fn no_such(device: &Device, what: &str, name: &str, known: &[&str]) -> AnswerError {
    let hint =
        did_you_mean(name, known.iter().copied()).unwrap_or_else(|| match known.is_empty() {
            true => "it has none".to_owned(),
            false => format!("it has {}", known.join(", ")),
        });
    unknown(line(&format!(
        "{} has no {what} {name:?}: {hint}",
        device.name
    )))
}

fn unknown(why: String) -> AnswerError {
    AnswerError::Failure(Failure {
        kind: FailureKind::Unknown,
        why,
    })
}

/// Writes the present value of a point; how old it is, if it may be another by now.
fn now(point: &Point) -> String {
    let value = match &point.title {
        Some(title) => format!("{}, {}", plain(&point.value), line(title)),
        None => plain(&point.value),
    };
    match (&point.value, point.age_ms) {
        (Json::Null, _) | (_, None) => "its value is not known".into(),
        (_, Some(_)) if point.quality == "good" => format!("now {value}"),
        (_, Some(age)) => format!("it was {value} {} ago", span(age)),
    }
}

/// Writes what became of a command, a line for each point: `Setpoint: verified: the device holds
/// 21.5`.
fn text(request: &Request, result: &CommandResult) -> String {
    let points = result.points.iter();
    let points = points.map(|p| format!("{}: {}\n", line(&p.id), line(&p.sentence)));
    let mut text: String = points.collect();
    for (name, value) in &result.outputs {
        text.push_str(&format!("{}: {}\n", line(name), plain(value)));
    }
    match request {
        Request::Call { service, .. } => {
            text.push_str(&format!("{}: {}\n", line(service), line(&result.sentence)));
        }
        // The points say it all.
        _ if !result.points.is_empty() => {}
        _ => text.push_str(&format!("{}\n", line(&result.sentence))),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::picture::{BusState, Presence, Service};
    use crate::control::{PointResult, VerdictWord};

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|w| (*w).to_owned()).collect()
    }

    fn pump() -> Device {
        let point = |id: &str, value: Json, writable: Option<&str>| Point {
            id: id.into(),
            value,
            title: None,
            age_ms: Some(90_000),
            reported_ms: None,
            quality: "good".into(),
            why: String::new(),
            writable: writable.map(str::to_owned),
            name: None,
            name_zh: None,
            unit: None,
        };
        let mut mode = point("Mode", 1.into(), Some("0 (off), 1 (heating)"));
        mode.title = Some("heating".into());
        Device {
            name: "pump".into(),
            port: "line1".into(),
            place: "unit 7".into(),
            profile: "pump".into(),
            product_key: "a1".into(),
            device_name: "pump".into(),
            life: BusState::Alive,
            cloud: Presence::Online,
            why: None,
            next: None,
            implausible: None,
            last_logout: None,
            answered_ms: None,
            rtt: None,
            outcomes: Default::default(),
            recent: Default::default(),
            unanswered: Default::default(),
            response_timeout_ms: 300,
            question: None,
            refusal: None,
            noticed: Vec::new(),
            no_value: 0,
            points: vec![
                point("Setpoint", 20.0.into(), Some("5 to 60")),
                mode,
                point("Voltage", 230.into(), None),
            ],
            events: Vec::new(),
            services: vec![Service {
                id: "StartHeating".into(),
                inputs: Vec::new(),
            }],
            commands: Vec::new(),
        }
    }

    #[test]
    fn values_are_what_a_person_means_by_them() {
        for (typed, value) in [
            ("21.5", Json::from(21.5)),
            ("-5", Json::from(-5)),
            ("true", Json::from(true)),
            ("on", Json::from("on")),
            ("null", Json::from("null")),
            ("[1]", Json::from("[1]")),
            ("007", Json::from("007")),
            ("", Json::from("")),
        ] {
            assert_eq!(value_of(typed), value, "{typed}");
        }
    }

    #[test]
    fn points_come_in_pairs_and_inputs_with_their_names() {
        let set = pairs_of(&words(&["Mode", "heating", "Setpoint", "21.5"])).unwrap();
        assert_eq!(
            set,
            [
                ("Mode".to_owned(), Json::from("heating")),
                ("Setpoint".to_owned(), Json::from(21.5))
            ]
        );
        let odd = pairs_of(&words(&["Mode", "heating", "Setpoint"])).unwrap_err();
        assert_eq!(odd, "no value for Setpoint");
        let inputs = inputs_of(&words(&["level=45", "note=a=b"])).unwrap();
        assert_eq!(inputs["level"], 45);
        assert_eq!(inputs["note"], "a=b");
        for wrong in [&["level"][..], &["level=1", "level=2"]] {
            assert!(inputs_of(&words(wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_person_is_asked_with_the_present_value() {
        let asked = |set: &[(&str, Json)]| {
            let set: Vec<(String, Json)> = set
                .iter()
                .map(|(id, value)| ((*id).to_owned(), value.clone()))
                .collect();
            let asked = question_of_write(&pump(), &set);
            asked.map_err(|e| e.to_string())
        };
        assert_eq!(
            asked(&[("Setpoint", 21.5.into())]).unwrap(),
            "Write 21.5 to Setpoint of pump (now 20.0)"
        );
        assert_eq!(
            asked(&[("Setpoint", 21.into()), ("Mode", "off".into())]).unwrap(),
            "Write 21 to Setpoint (now 20.0), off to Mode (now 1, heating) of pump"
        );
        assert_eq!(
            asked(&[("Setpiont", 21.into())]).unwrap_err(),
            "pump has no point \"Setpiont\": did you mean Setpoint?"
        );
        assert_eq!(
            asked(&[("Voltage", 21.into())]).unwrap_err(),
            "Voltage of pump is read-only: its profile has no write: for it; \
             these can be written: Setpoint, Mode"
        );
        let mut old = pump();
        old.points[0].quality = "stale".into();
        assert_eq!(now(&old.points[0]), "it was 20.0 1 min 30 s ago");
        old.points[0].value = Json::Null;
        assert_eq!(now(&old.points[0]), "its value is not known");
    }

    #[test]
    fn a_person_is_asked_with_the_inputs() {
        let asked = |service: &str, inputs: &[&str]| {
            let inputs = inputs_of(&words(inputs)).unwrap();
            question_of_call(&pump(), service, &inputs).map_err(|e| e.to_string())
        };
        assert_eq!(
            asked("StartHeating", &["level=45"]).unwrap(),
            "Run StartHeating of pump with level 45"
        );
        assert_eq!(
            asked("StartHeating", &[]).unwrap(),
            "Run StartHeating of pump"
        );
        assert_eq!(
            asked("Strat", &[]).unwrap_err(),
            "pump has no service \"Strat\": it has StartHeating"
        );
    }

    #[test]
    fn each_point_has_its_line_and_a_service_one_for_the_whole() {
        let mut result = CommandResult {
            verdict: VerdictWord::Verified,
            sentence: "verified: the device holds 21.5".into(),
            points: vec![PointResult {
                id: "Setpoint".into(),
                verdict: VerdictWord::Verified,
                sentence: "verified: the device holds 21.5".into(),
                read: 21.5.into(),
            }],
            outputs: Map::new(),
        };
        let write = Request::Write {
            device: "pump".into(),
            set: Vec::new(),
        };
        assert_eq!(
            text(&write, &result),
            "Setpoint: verified: the device holds 21.5\n"
        );
        let call = Request::Call {
            device: "pump".into(),
            service: "StartHeating".into(),
            inputs: Map::new(),
        };
        result.outputs.insert("set_to".into(), 21.5.into());
        assert_eq!(
            text(&call, &result),
            "Setpoint: verified: the device holds 21.5\nset_to: 21.5\n\
             StartHeating: verified: the device holds 21.5\n"
        );
        result.points.clear();
        result.outputs.clear();
        assert_eq!(text(&write, &result), "verified: the device holds 21.5\n");
    }
}
