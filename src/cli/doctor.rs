//! `alink-gateway doctor`: what is wrong, how certain that is, and what to do.
//!
//! The causes are found by `doctor/`; this file asks the service for the facts and shows what
//! was found.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use serde_json::json;

use super::check;
use super::columns::{Page, labelled, wrapped};
use super::diag::Gateway;
use super::language::Language;
use super::status::{ask, coloured, page, print, unexpected_answer};
use super::terminal_words::line;
use crate::base::text::counted;
use crate::control::picture::{BusState, Device};
use crate::control::{Answer, Failure, FailureKind, Request, SurveyAsked, SurveyHeard};
use crate::doctor::{
    BusObservation, BusOutcome, Certainty, ConfigurationFiles, DoctorScope, Facts, Finding,
    ProbeKind, ProbeRequest, Service, Subject, examine, is_still_wanted, probes_wanted,
};
use crate::io::control::client::{self, AnswerError};
use crate::io::terminal::screen;
use crate::spec::survey::{HeardFrame, LONGEST_WAIT, SurveyRequest, SurveySettings};

/// So many devices of a finding are named; the others are counted.
const NAMED: usize = 5;

/// Returns what is asked about; `port` and `device` are not both given.
#[must_use]
pub fn scope(port: Option<String>, device: Option<String>) -> DoctorScope {
    match (port, device) {
        (_, Some(device)) => DoctorScope::Device(device),
        (Some(port), None) => DoctorScope::Port(port),
        (None, None) => DoctorScope::All,
    }
}

/// Examines a gateway and prints what is wrong. Exit status 0 if nothing is; 1 if something is, or
/// the service refuses to answer, or knows no such port or device.
#[must_use]
pub fn run(
    gateway: &Gateway,
    scope: DoctorScope,
    (json, is_still): (bool, bool),
    language: Language,
) -> ExitCode {
    let facts = match facts(gateway).and_then(|facts| known(facts, &scope)) {
        Ok(facts) => facts,
        Err(why) => return print(Err(why), language),
    };
    let (facts, findings) = probed(facts, &scope, &gateway.socket, is_still);
    let text = match json {
        true => format!("{:#}\n", object(&facts, &findings)),
        false => coloured(&lines(&facts, &findings, &scope, page(language))),
    };
    // The reader of the output may have closed it.
    let _ = screen::write(&text);
    match findings.iter().any(Finding::is_fault) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

/// Examines, asks the bus what would decide between the causes that remain, and examines again.
fn probed(
    mut facts: Facts,
    scope: &DoctorScope,
    socket: &Path,
    is_still: bool,
) -> (Facts, Vec<Finding>) {
    let findings = examine(&facts, scope);
    if is_still {
        return (facts, findings);
    }
    let wanted = probes_wanted(&facts, &findings);
    let mut seen: Vec<BusObservation> = Vec::new();
    for probe in &wanted {
        if is_still_wanted(probe, &seen) {
            seen.extend(observed(&facts, probe, socket));
        }
    }
    if seen.is_empty() {
        return (facts, findings);
    }
    facts.observations.extend(seen);
    let findings = examine(&facts, scope);
    (facts, findings)
}

/// Asks the bus one question; `None` if the device cannot be asked, or the service does not ask it.
fn observed(facts: &Facts, probe: &ProbeRequest, socket: &Path) -> Option<BusObservation> {
    let device = facts.devices.iter().find(|d| d.name == probe.device)?;
    let survey = survey(device, probe)?;
    let asked = survey.request().ok()?;
    let port = probe.port.clone();
    // A line that is lost meanwhile is a cause of its own.
    let answer = client::ask_once(socket, &Request::Survey { port, survey }).ok()?;
    match answer {
        Answer::Heard(said) => observation(probe, &asked, &said),
        _ => None,
    }
}

/// Returns what the service is asked; `None` if the device has no question of a standard.
fn survey(device: &Device, probe: &ProbeRequest) -> Option<SurveyAsked> {
    let usual = Duration::from_millis(device.response_timeout_ms);
    let (settings, wait, listens_on) = match probe.kind {
        ProbeKind::Settings(settings) => (Some(settings), usual, false),
        ProbeKind::Wait(wait) => (None, wait, false),
        ProbeKind::SecondReply(wait) => (None, wait, true),
    };
    let wait = wait.min(LONGEST_WAIT);
    Some(SurveyAsked {
        question: device.question.clone()?,
        line: settings.map(|settings| settings.to_string()),
        framing: None,
        wait_ms: u32::try_from(wait.as_millis()).unwrap_or(u32::MAX),
        listens_on,
    })
}

/// Returns what was seen; `None` if nothing was sent, or not at the settings that were asked for:
/// that says nothing about the line.
fn observation(
    probe: &ProbeRequest,
    asked: &SurveyRequest,
    said: &SurveyHeard,
) -> Option<BusObservation> {
    if !said.is_sent || said.settings() != SurveySettings::AsAsked {
        return None;
    }
    let heard = said.heard()?;
    let frames = heard.frames.iter();
    let mut replies = frames.filter(|frame| frame.answers(&asked.question));
    let first = replies.next();
    let outcome = match first {
        Some(HeardFrame::Modbus { pdu, .. }) => match pdu.as_slice() {
            [function, code, ..] if function & 0x80 != 0 => BusOutcome::Exception(*code),
            _ => BusOutcome::Answered,
        },
        Some(HeardFrame::Dlt645 { .. }) => BusOutcome::Answered,
        None if heard.noise > 0 || !heard.frames.is_empty() => {
            BusOutcome::Noise(u32::try_from(heard.noise).unwrap_or(u32::MAX))
        }
        None if heard.echoes > 0 => BusOutcome::Echo,
        None => BusOutcome::Silence,
    };
    // The first of two replies may be the late one to the poll before, and looks the same.
    let is_own = !said.may_be_stale;
    Some(BusObservation {
        port: probe.port.clone(),
        device: Some(probe.device.clone()),
        settings: asked.characters,
        waited: asked.wait,
        outcome,
        turnaround: first.and(heard.first_after).filter(|_| is_own),
        listened_on: asked.listens_on && is_own,
        second_reply: is_own && replies.any(|other| Some(other) != first),
    })
}

/// Asks the service for everything; if it does not run, its configuration may say why.
fn facts(gateway: &Gateway) -> Result<Facts, AnswerError> {
    match of_service(gateway) {
        // The service is there and says no: what a service needs that does not run would mislead.
        Err(why @ (AnswerError::Forbidden { .. } | AnswerError::Failure(_))) => Err(why),
        Err(why) => Ok(Facts {
            service: Service::DoesNotAnswer {
                why: why.to_string(),
                configuration: gateway
                    .is_config_known
                    .then(|| gateway.config.display().to_string()),
            },
            status: None,
            devices: Vec::new(),
            observations: Vec::new(),
            files: match gateway.is_config_known {
                true => files(&gateway.config),
                false => ConfigurationFiles::Unknown,
            },
        }),
        Ok(mut facts) => {
            let status = facts.status.as_ref();
            let in_force = status.and_then(|s| s.configuration.as_ref());
            // Whether files that were not loaded yet are right, only a look at them tells.
            let differs = in_force.filter(|c| !c.changed.is_empty() || c.refused.is_some());
            if let Some(configuration) = differs {
                facts.files = files(Path::new(&configuration.file));
            }
            Ok(facts)
        }
    }
}

/// Looks at the configuration on disk.
fn files(path: &Path) -> ConfigurationFiles {
    if matches!(path.try_exists(), Ok(false)) {
        return ConfigurationFiles::Missing;
    }
    match check::errors(path) {
        None => ConfigurationFiles::Unknown,
        Some(errors) if errors.is_empty() => ConfigurationFiles::Right,
        Some(errors) => ConfigurationFiles::Wrong(errors),
    }
}

fn of_service(gateway: &Gateway) -> Result<Facts, AnswerError> {
    let status = ask(&gateway.socket)?;
    let answers = client::ask(&gateway.socket, &Request::Devices {})?;
    let device = |answer| match answer? {
        Answer::Device(device) => Ok(*device),
        other => Err(unexpected_answer(&other)),
    };
    let devices: Vec<Device> = answers.map(device).collect::<Result<_, AnswerError>>()?;
    Ok(Facts::of(status, devices))
}

/// Returns the facts, if what is asked about is in them.
fn known(facts: Facts, scope: &DoctorScope) -> Result<Facts, AnswerError> {
    let Some(status) = &facts.status else {
        return Ok(facts);
    };
    let why = match scope {
        DoctorScope::Port(name) if !status.ports.iter().any(|p| p.name == *name) => {
            format!("no port is called {name:?}; `alink-gateway status` lists all")
        }
        DoctorScope::Device(name) if !facts.devices.iter().any(|d| d.name == *name) => {
            format!("no device is called {name:?}; `alink-gateway devices` lists all")
        }
        _ => return Ok(facts),
    };
    let kind = FailureKind::Unknown;
    Err(AnswerError::Failure(Failure { kind, why }))
}

/// Writes what was found as one object.
fn object(facts: &Facts, findings: &[Finding]) -> serde_json::Value {
    let entry = |finding: &Finding| {
        json!({
            "cause": finding.cause,
            "subject": finding.subject,
            "certainty": finding.certainty,
            "wrong": finding.cause.wrong(),
            "evidence": finding.evidence,
            "remedy": finding.cause.remedy(),
        })
    };
    let (causes, notes): (Vec<&Finding>, Vec<&Finding>) =
        findings.iter().partition(|f| f.is_fault());
    json!({
        "causes": causes.into_iter().map(entry).collect::<Vec<_>>(),
        "notes": notes.into_iter().map(entry).collect::<Vec<_>>(),
        "looked_at": {
            "service": facts.service == Service::Answers,
            "ports": facts.status.as_ref().map_or(0, |s| s.ports.len()),
            "devices": facts.devices.len(),
        },
    })
}

/// Writes what was found in words.
fn lines(
    facts: &Facts,
    findings: &[Finding],
    scope: &DoctorScope,
    page: Page,
) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for finding in findings {
        lines.extend(entry(finding, page));
        lines.push(Line::default());
    }
    if !findings.iter().any(Finding::is_fault) {
        let say = |text: &str| page.language.say(text);
        let good = Style::new().fg(Color::Green).add_modifier(Modifier::BOLD);
        lines.push(Line::from(Span::styled(
            say("nothing is wrong as far as can be seen"),
            good,
        )));
        lines.extend(paragraph(&say(&looked_at(facts, scope)), page));
    }
    let undecided = facts.devices.iter().filter(|d| d.life == BusState::Unknown);
    let undecided = undecided.count();
    if undecided > 0 && *scope == DoctorScope::All {
        let text = format!(
            "{} not asked often enough yet to decide: ask again in a minute",
            counted(undecided, "device")
        );
        lines.extend(paragraph(&page.language.say(&text), page));
    }
    if lines.last().is_some_and(|last| last.spans.is_empty()) {
        lines.pop();
    }
    lines
}

fn paragraph(text: &str, page: Page) -> impl Iterator<Item = Line<'static>> + use<> {
    wrapped(text, page.width).into_iter().map(Line::from)
}

/// Writes a finding: what is wrong and how certain that is, what is seen, what to do.
fn entry(finding: &Finding, page: Page) -> Vec<Line<'static>> {
    let language = page.language;
    let colour = match finding.certainty {
        Certainty::Certain => Color::Red,
        Certainty::Likely | Certainty::Possible => Color::Yellow,
        Certainty::Note => Color::Green,
    };
    let wrong = language.say(finding.cause.wrong());
    let certainty = language.word(finding.certainty.word());
    let service = subject(&finding.subject).map(|service| language.say(&service));
    let head = match (language, service) {
        (Language::English, None) => format!("{wrong} ({certainty})"),
        (Language::English, Some(service)) => format!("{service}: {wrong} ({certainty})"),
        (Language::Chinese, None) => format!("{wrong}（{certainty}）"),
        (Language::Chinese, Some(service)) => format!("{service}：{wrong}（{certainty}）"),
    };
    let style = Style::new().fg(colour).add_modifier(Modifier::BOLD);
    let head = wrapped(&head, page.width).into_iter();
    let mut lines: Vec<_> = head
        .map(|text| Line::from(Span::styled(text, style)))
        .collect();
    let mut label = "seen";
    for seen in &finding.evidence {
        lines.extend(labelled(label, &line(seen), Style::new(), page));
        label = "";
    }
    lines.extend(labelled(
        "to do",
        finding.cause.remedy(),
        Style::new(),
        page,
    ));
    lines
}

/// Names what a finding is about; `None` if what is wrong names it.
fn subject(subject: &Subject) -> Option<String> {
    Some(match subject {
        Subject::Service | Subject::Gateway => return None,
        Subject::Port(name) => format!("port {}", line(name)),
        Subject::Devices(names) => {
            let named: Vec<String> = names.iter().take(NAMED).map(|n| line(n)).collect();
            match names.len().saturating_sub(NAMED) {
                0 => named.join(", "),
                more => format!("{} and {more} more", named.join(", ")),
            }
        }
    })
}

/// Says what was looked at.
fn looked_at(facts: &Facts, scope: &DoctorScope) -> String {
    let ports = facts.status.as_ref().map_or(0, |s| s.ports.len());
    match scope {
        DoctorScope::All => format!(
            "looked at the configuration, the clock, the store, the connection to the platform, {} and {} with their last requests",
            counted(ports, "port"),
            counted(facts.devices.len(), "device")
        ),
        DoctorScope::Port(port) => {
            let on = facts.devices.iter().filter(|d| d.port == *port);
            format!(
                "looked at the port, {} on it with their last requests, and the connection to the platform",
                counted(on.count(), "device")
            )
        }
        DoctorScope::Device(_) => {
            "looked at the device with its last requests, its port, and the connection to the platform".into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::UnitId;
    use crate::cli::captures::{compare_all, device, statuses};
    use crate::control::SurveyFrame;
    use crate::control::picture::Presence;
    use crate::spec::Characters;
    use crate::spec::survey::SurveyReply;

    /// Returns the facts of the example plants, with what is wrong with some devices.
    fn examples() -> Vec<(&'static str, Facts, DoctorScope)> {
        let mut all: Vec<(&'static str, Facts, DoctorScope)> = Vec::new();
        for (name, status) in statuses() {
            let mut refused = device("meter-07", "line1", 7);
            refused.cloud = Presence::Refused;
            refused.refusal = Some(6401);
            refused.why = Some("refused by the platform, code 6401: the device is not in this gateway's topology; add it under the gateway in the console".into());
            let mut slow = device("水表-3", "line1", 3);
            slow.recent = [("answer".to_owned(), 28), ("late".to_owned(), 4)].into();
            let devices = match name {
                "plant" => vec![refused, slow, device("meter-08", "line1", 8)],
                _ => vec![device("meter-08", "line1", 8)],
            };
            all.push((name, Facts::of(status, devices), DoctorScope::All));
        }
        let absent = Facts {
            service: Service::DoesNotAnswer {
                why: "no service answers at /run/alink-gateway/control.sock: it has been killed, or is just starting".into(),
                configuration: Some("/etc/alink-gateway/gateway.yaml".into()),
            },
            status: None,
            devices: Vec::new(),
            observations: Vec::new(),
            files: ConfigurationFiles::Unknown,
        };
        all.push(("absent", absent, DoctorScope::All));
        all
    }

    #[test]
    fn what_is_wrong_is_told_as_captured() {
        compare_all("doctor", |page| {
            let all = examples().into_iter();
            all.map(|(name, facts, scope)| {
                let findings = examine(&facts, &scope);
                (name.to_owned(), lines(&facts, &findings, &scope, page))
            })
            .collect()
        });
    }

    #[test]
    fn an_object_has_every_cause_with_its_evidence() {
        for (name, facts, scope) in examples() {
            let findings = examine(&facts, &scope);
            let said = object(&facts, &findings);
            let count = |key: &str| said[key].as_array().map_or(0, Vec::len);
            assert_eq!(count("causes") + count("notes"), findings.len(), "{name}");
            assert!(findings.iter().all(|f| !f.evidence.is_empty()), "{said}");
        }
    }

    #[test]
    fn what_the_journal_says_is_told_in_chinese() {
        use crate::base::{DeviceId, LogEvent, PortId};
        use crate::field::diagnostics::events::FieldLogEvent;
        let (port, device) = (PortId(0), DeviceId(0));
        for event in [
            FieldLogEvent::SettingsDiffer {
                port,
                what: "parity none instead of even".into(),
            },
            FieldLogEvent::BytesHeldBack {
                port,
                wait: Duration::from_millis(16),
            },
            FieldLogEvent::AddressShared {
                device,
                place: "unit 7".into(),
            },
            FieldLogEvent::OtherMaster { device },
        ] {
            let text = format!("the journal says: {}", event.sentence());
            let said = Language::Chinese.say(&text);
            let is_english = [" the ", " and ", " of "].iter().any(|w| said.contains(w));
            assert!(said.starts_with("日志记录") && !is_english, "{said}");
        }
    }

    #[test]
    fn files_that_are_missing_wrong_or_right_are_told_apart() {
        use crate::io::files::create::{Existing, create};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.yaml");
        assert_eq!(files(&path), ConfigurationFiles::Missing);
        create(&path, b"ports: 7\n", Existing::Replace).unwrap();
        let ConfigurationFiles::Wrong(errors) = files(&path) else {
            panic!("{:?}", files(&path));
        };
        assert!(!errors.is_empty());
    }

    #[test]
    fn a_socket_alone_does_not_tell_which_configuration_is_meant() {
        let dir = tempfile::tempdir().unwrap();
        let (socket, config) = (dir.path().join("none.sock"), dir.path().join("none.yaml"));
        let mut gateway = Gateway::of(None, socket, Some(config.clone()));
        for is_config_known in [true, false] {
            gateway.is_config_known = is_config_known;
            let facts = facts(&gateway).unwrap();
            let Service::DoesNotAnswer { configuration, .. } = facts.service else {
                panic!("a service answers");
            };
            let (named, files) = match is_config_known {
                true => (
                    Some(config.display().to_string()),
                    ConfigurationFiles::Missing,
                ),
                false => (None, ConfigurationFiles::Unknown),
            };
            assert_eq!((configuration, facts.files), (named, files));
        }
    }

    fn asked(kind: ProbeKind) -> (ProbeRequest, SurveyRequest) {
        let mut device = device("meter-08", "line1", 8);
        device.question = Some(SurveyFrame::Modbus {
            unit: 8,
            pdu: "0300000001".into(),
        });
        let probe = ProbeRequest {
            port: "line1".into(),
            device: device.name.clone(),
            kind,
        };
        let request = survey(&device, &probe).and_then(|asked| asked.request().ok());
        (probe, request.unwrap())
    }

    fn replies(pdus: &[&[u8]]) -> SurveyHeard {
        let frame = |pdu: &&[u8]| HeardFrame::Modbus {
            unit: UnitId(8),
            pdu: pdu.to_vec(),
        };
        SurveyHeard::of(&SurveyReply {
            frames: pdus.iter().map(frame).collect(),
            first_after: Some(Duration::from_millis(900)),
            ..SurveyReply::default()
        })
    }

    #[test]
    fn what_was_not_sent_or_not_at_the_settings_is_no_observation() {
        let settings = Characters::parse("19200 8E1").unwrap();
        let (probe, request) = asked(ProbeKind::Settings(settings));
        let said = replies(&[&[3, 2, 0, 7]]);
        let seen = observation(&probe, &request, &said).unwrap();
        assert_eq!(
            (seen.outcome, seen.settings),
            (BusOutcome::Answered, Some(settings))
        );
        let differ = SurveySettings::Differ("parity none instead of even".into());
        let refused = SurveySettings::Refused("Invalid argument".into());
        for other in [differ, refused] {
            let said = said.clone().at(&other);
            assert_eq!(observation(&probe, &request, &said), None, "{other:?}");
        }
        let mut unsent = replies(&[]);
        unsent.is_sent = false;
        assert_eq!(observation(&probe, &request, &unsent), None);
    }

    #[test]
    fn a_late_reply_to_the_poll_before_is_no_second_device_and_no_slow_one() {
        let (probe, request) = asked(ProbeKind::SecondReply(Duration::from_secs(2)));
        let mut said = replies(&[&[3, 2, 0, 7], &[3, 2, 0, 8]]);
        let seen = observation(&probe, &request, &said).unwrap();
        assert!(seen.second_reply && seen.listened_on && seen.turnaround.is_some());
        said.may_be_stale = true;
        let seen = observation(&probe, &request, &said).unwrap();
        assert!(!seen.second_reply && !seen.listened_on, "{seen:?}");
        assert_eq!(seen.turnaround, None);
    }

    #[test]
    fn a_port_or_device_that_is_not_there_is_an_error() {
        let (_, facts, _) = examples().swap_remove(0);
        let why = known(facts.clone(), &DoctorScope::Device("meter-9".into())).unwrap_err();
        assert!(why.to_string().contains("alink-gateway devices"), "{why}");
        let why = known(facts.clone(), &DoctorScope::Port("line9".into())).unwrap_err();
        assert!(why.to_string().contains("alink-gateway status"), "{why}");
        assert!(known(facts, &DoctorScope::Port("line1".into())).is_ok());
    }
}
