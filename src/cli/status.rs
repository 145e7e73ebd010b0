//! `alink-gateway status`: the status of the running service.

#![expect(clippy::print_stderr, reason = "says why there is no answer")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::columns::{BLANK, Page, Row, Table, labelled, wrapped, written};
use super::language::Language;
use super::terminal_words::{line, micros, span};
use crate::base::text::{counted, grouped};
use crate::control::picture::{BusState, Cloud, Link, Port, Presence, State, Status, Store};
use crate::control::{Answer, Failure, FailureKind, Request};
use crate::io::control::client::{self, AnswerError};
use crate::io::terminal::screen;

/// Prints the status of the service, once. Exit status 1 if the service does not answer.
#[must_use]
pub fn run(socket: &Path, json: bool, language: Language) -> ExitCode {
    let said = |status: Status| match json {
        true => format!("{:#}\n", serde_json::json!(status)),
        false => coloured(&lines(&status, page(language))),
    };
    print(ask(socket).map(said), language)
}

/// Returns the page that standard output is.
pub(super) fn page(language: Language) -> Page {
    Page {
        width: screen::width(),
        language,
    }
}

/// Writes lines for standard output.
pub(super) fn coloured(lines: &[Line<'_>]) -> String {
    written(lines, screen::has_colours(&std::io::stdout()))
}

/// Prints an answer, or on standard error why there is none.
pub(super) fn print(answer: Result<String, AnswerError>, language: Language) -> ExitCode {
    match answer {
        Ok(text) => {
            // The reader of the output may have closed it.
            let _ = screen::write(&text);
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("{}", language.say(&e.to_string()));
            ExitCode::FAILURE
        }
    }
}

/// Prints the status every second, until the service ends the answer or the reader closes the
/// output: a line of JSON each, or a block of text and an empty line.
#[must_use]
pub fn follow(socket: &Path, json: bool, language: Language) -> ExitCode {
    let request = Request::Status {
        every_ms: Some(1000),
    };
    let follow = || {
        for answer in client::ask(socket, &request)? {
            let Answer::Status(status) = answer? else {
                continue;
            };
            let text = match json {
                true => format!("{}\n", serde_json::json!(status)),
                false => format!("{}\n", coloured(&lines(&status, page(language)))),
            };
            if screen::write(&text).is_err() {
                break;
            }
        }
        Ok(String::new())
    };
    print(follow(), language)
}

/// Asks the service for its status.
///
/// # Errors
/// [`AnswerError`].
pub fn ask(socket: &Path) -> Result<Status, AnswerError> {
    match client::ask_once(socket, &Request::Status { every_ms: None })? {
        Answer::Status(status) => Ok(*status),
        other => Err(unexpected_answer(&other)),
    }
}

/// Returns the error for an answer to another question.
pub(super) fn unexpected_answer(answer: &Answer) -> AnswerError {
    let mut why = format!("{answer:?}");
    why.truncate(why.char_indices().nth(60).map_or(why.len(), |(i, _)| i));
    AnswerError::Failure(Failure {
        kind: FailureKind::Failed,
        why: format!("the service has answered something else: {}", line(&why)),
    })
}

/// How bad the state of something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Health {
    /// As it should be.
    Good,
    /// Under way, or in part not as it should be.
    Fair,
    /// Not as it should be.
    Bad,
}

impl Health {
    /// Returns the style of a word that says the state.
    pub(super) const fn style(self) -> Style {
        match self {
            Health::Good => Style::new().fg(Color::Green),
            Health::Fair => Style::new().fg(Color::Yellow),
            Health::Bad => Style::new().fg(Color::Red),
        }
    }

    /// Returns the style of what need not be shown as long as it is as it should be.
    pub(super) const fn quiet_style(self) -> Style {
        match self {
            Health::Good => Style::new(),
            Health::Fair | Health::Bad => self.style(),
        }
    }

    /// Returns the health of a device on its bus.
    pub(super) const fn of_life(life: BusState) -> Health {
        match life {
            BusState::Alive => Health::Good,
            BusState::Suspect | BusState::Probation | BusState::Unknown => Health::Fair,
            BusState::Silent => Health::Bad,
        }
    }

    /// Returns the health of a device at the platform.
    pub(super) const fn of_presence(presence: Presence) -> Health {
        match presence {
            Presence::Online => Health::Good,
            Presence::Changing => Health::Fair,
            Presence::Offline | Presence::Refused => Health::Bad,
        }
    }

    fn of_link(link: Link) -> Health {
        match link {
            Link::Up => Health::Good,
            Link::Down | Link::NotCommissioned => Health::Bad,
        }
    }

    /// Returns the health of the whole: bad if a connection, a port or the store does not work,
    /// fair if a device is not alive and online.
    pub(super) fn of(status: &Status) -> Health {
        let store = status.store.as_ref();
        let is_down = status.ports.iter().any(|port| port.down.is_some())
            || store.is_some_and(|store| store.trouble.is_some());
        let well = |s: &State| s.life == BusState::Alive && s.cloud == Presence::Online;
        match Health::of_link(status.cloud.link) {
            Health::Good if is_down => Health::Bad,
            Health::Good if !status.states.iter().all(well) => Health::Fair,
            health => health,
        }
    }
}

/// Writes the status in words.
#[must_use]
pub(super) fn lines(status: &Status, page: Page) -> Vec<Line<'static>> {
    let Page { width, language } = page;
    let mut lines = vec![headline(status, language)];
    lines.extend(configuration(status, page));
    lines.extend(cloud(status, page));
    lines.extend(values(status, page));
    if let Some(held) = &status.store {
        lines.extend(store(held, page));
    }
    lines.push(Line::default());
    lines.extend(match status.ports.is_empty() {
        true => vec![Line::from(language.say("no ports"))],
        false => ports(&status.ports, language).lines(width),
    });
    lines.push(Line::default());
    let devices = devices(status, language);
    lines.extend(wrapped(&devices, width).into_iter().map(Line::from));
    let offline = status.states.iter().filter(|s| s.cloud != Presence::Online);
    let offline: u64 = offline.map(|s| s.devices).sum();
    if offline > 0 {
        let why = match (offline, status.devices) {
            (_, 1) => "alink-gateway devices shows why it is not online".to_owned(),
            (1, _) => "alink-gateway devices shows why 1 is not online".to_owned(),
            (n, _) => {
                let n = grouped(n);
                format!("alink-gateway devices shows why {n} are not online")
            }
        };
        lines.push(Line::from(language.say(&why)));
    }
    lines
}

/// Writes the first line: `alink-gateway 0.1.0, running for 3 d 4 h`.
pub(super) fn headline(status: &Status, language: Language) -> Line<'static> {
    let (version, up) = (line(&status.version), span(status.uptime_ms));
    let style = Health::of(status).style().add_modifier(Modifier::BOLD);
    let text = format!("alink-gateway {version}, running for {up}");
    Line::from(Span::styled(language.say(&text), style))
}

/// Writes what is to be known of the configuration in force, and what to do about it; nothing if
/// it is the one on disk and the gateway is commissioned.
pub(super) fn configuration(status: &Status, page: Page) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let Some(in_force) = &status.configuration else {
        return lines;
    };
    let mut say = |label: &str, text: &str, style: Style| {
        lines.extend(labelled(label, text, style, page));
    };
    let (bad, plain) = (Health::Bad.style(), Style::new());
    if let Some(refused) = &in_force.refused {
        let (ago, what) = (span(refused.ago_ms), line(&refused.what));
        // The service does not forget the refusal until a reload is taken.
        match in_force.changed.is_empty() {
            true => {
                let text = format!(
                    "the last reload was refused {ago} ago, and the files are those in force again; it was: {what}"
                );
                say("config", &text, plain);
            }
            false => {
                let text = format!("REFUSED {ago} ago, the one before stays in force: {what}");
                say("config", &text, bad);
            }
        }
    }
    match &in_force.changed[..] {
        [] if status.cloud.link == Link::NotCommissioned && in_force.refused.is_none() => {
            let file = line(&in_force.file);
            let text = format!("{file} is the one that came with the package");
            say("config", &text, plain);
            let text = "describe your gateway and devices there (man alink-gateway.yaml); then \
                        alink-gateway check, and alink-gateway reload";
            say("to do", text, plain);
        }
        [] => {}
        [first, rest @ ..] => {
            let (first, since) = (line(first), span(in_force.since_ms));
            let text = match rest.len() {
                0 => {
                    format!("{first} has changed and is not in force; what is, is from {since} ago")
                }
                n => format!(
                    "{first} and {n} more have changed and are not in force; what is, is from {since} ago"
                ),
            };
            say("config", &text, Health::Fair.style());
            let text = "alink-gateway check tells every mistake; alink-gateway reload puts it \
                        into force";
            say("to do", text, plain);
        }
    }
    lines
}

/// Writes the state of the connection, and its last failure.
pub(super) fn cloud(status: &Status, page: Page) -> Vec<Line<'static>> {
    let cloud = &status.cloud;
    let since = span(cloud.since_ms);
    let stands = match cloud.link {
        Link::NotCommissioned => "not commissioned, does not connect to the platform".to_owned(),
        Link::Down => {
            let next = cloud
                .retry_ms
                .map(|ms| format!(", next attempt in {}", span(ms)));
            format!("DOWN for {since}{}", next.unwrap_or_default())
        }
        Link::Up => format!("up for {since}"),
    };
    let stands = format!("{stands}{}", online(cloud, status.devices));
    let health = Health::of_link(cloud.link);
    let mut lines = labelled("cloud", &stands, health.style(), page);
    // What is over is no trouble any more; `--json` and the journal still have it.
    let is_well = cloud.link == Link::Up && cloud.online >= cloud.wanted;
    for (is_refusal, past) in [(false, &cloud.last_failure), (true, &cloud.last_refusal)] {
        if let Some(past) = past.as_ref().filter(|_| !is_well) {
            let (ago, what) = (span(past.ago_ms), line(&past.what));
            let text = match is_refusal {
                true => format!("last refusal {ago} ago: {what}"),
                false => format!("last failure {ago} ago: {what}"),
            };
            lines.extend(labelled("", &text, Style::new(), page));
        }
    }
    lines
}

/// Writes how many devices are online, and how many ought to be, after a semicolon; nothing if
/// there is no device.
fn online(cloud: &Cloud, devices: u64) -> String {
    let takeover = match (cloud.link, cloud.takeover_ms) {
        (Link::Up, Some(ms)) => format!(" ({} after it came up)", span(ms)),
        _ => String::new(),
    };
    let (online, wanted) = (cloud.online, cloud.wanted);
    let ought = match (online, wanted) {
        (0, 0) if devices == 0 => return String::new(),
        (0, 0) => "none ought to be".to_owned(),
        (1, 1) => format!("as it ought to be{takeover}"),
        (n, all) if n == all => format!("all that ought to be{takeover}"),
        (some @ 1.., all) if some < all => format!("{} more ought to be", grouped(all - some)),
        (_, 0) => "none ought to be".to_owned(),
        (_, all) => format!("{} ought to be", grouped(all)),
    };
    format!("; {} online, {ought}", counted(online, "device"))
}

/// Writes what became of values.
pub(super) fn values(status: &Status, page: Page) -> Vec<Line<'static>> {
    let dropped: u64 = status.dropped.values().sum();
    let mut parts = Vec::new();
    if status.waiting > 0 {
        parts.push(format!("{} waiting", grouped(status.waiting)));
    }
    if status.delivered > 0 {
        parts.push(format!("{} delivered", grouped(status.delivered)));
    }
    if dropped > 0 {
        let causes = some(&status.dropped, &[], page.language);
        parts.push(format!("{} dropped ({causes})", grouped(dropped)));
    }
    if status.not_reported > 0 {
        let n = grouped(status.not_reported);
        parts.push(format!("{n} not reported (report:)"));
    }
    let text = match parts.is_empty() {
        true => "none since the start".to_owned(),
        false => parts.join(", "),
    };
    let health = match dropped {
        0 => Health::Good,
        _ => Health::Fair,
    };
    labelled("values", &text, health.quiet_style(), page)
}

/// Writes what the store of readings holds.
pub(super) fn store(store: &Store, page: Page) -> Vec<Line<'static>> {
    let oldest = match store.oldest_ms {
        Some(ms) if store.readings == 1 => format!(", {} old", span(ms)),
        Some(ms) if store.readings > 1 => format!(", the oldest {} old", span(ms)),
        _ => String::new(),
    };
    let held = format!(
        "{}{oldest}; {} of {} used",
        counted(store.readings, "reading"),
        size(store.bytes),
        size(store.limit),
    );
    let mut lines = labelled("store", &held, Style::new(), page);
    lines.extend(match &store.trouble {
        Some(trouble) => {
            let trouble = line(trouble);
            let text = format!("NOT WORKING: {trouble}; readings wait in memory only");
            labelled("", &text, Health::Bad.style(), page)
        }
        None => {
            let (flash, loss) = (size(store.written), span(store.loss_window_ms));
            let text = format!(
                "{flash} written since the start; a power cut costs the last {loss} at most"
            );
            labelled("", &text, Style::new(), page)
        }
    });
    lines
}

/// Writes a number of bytes: `12 KiB`, `3.5 MiB`.
fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{} KiB", bytes / 1024),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// Writes how many devices have each state: `118 alive and online, 2 silent and offline`.
pub(super) fn devices(status: &Status, language: Language) -> String {
    let words = |s: &State| format!("{} and {}", s.life.word(), s.cloud.word());
    let all = counted(status.devices, "device");
    let text = match (&status.states[..], status.devices) {
        ([], _) => all,
        ([one], 1) => format!("{all}: {}", words(one)),
        ([same], _) => format!("{all}, all {}", words(same)),
        (states, _) => {
            let states = states.iter();
            let states = states.map(|s| format!("{} {}", grouped(s.devices), words(s)));
            format!("{all}: {}", states.collect::<Vec<_>>().join(", "))
        }
    };
    language.say(&text)
}

/// Writes a port as a row of the table of ports.
fn port(port: &Port, language: Language) -> Row {
    let is_down = port.down.is_some();
    let rtt = |of: fn(&crate::control::picture::Rtt) -> u64| {
        let rtt = port.rtt.as_ref().filter(|_| !is_down);
        Span::raw(rtt.map_or_else(|| "-".into(), |r| micros(of(r))))
    };
    let polls = some(&port.outcomes, &["answer"], language);
    let echoes = some(&port.echoes, &["echo-expected"], language);
    let probes = match port.probes {
        0 => String::new(),
        n => format!("{}{BLANK}{}", language.word("probes"), grouped(n)),
    };
    let trouble = [polls, echoes, probes].into_iter();
    let trouble = trouble.filter(|t| !t.is_empty());
    let trouble = language.list(&trouble.collect::<Vec<_>>());
    let state = match is_down {
        true => {
            let style = Health::Bad.style().add_modifier(Modifier::BOLD);
            Span::styled(language.word("DOWN"), style)
        }
        false => Span::styled(language.word("up"), Health::Good.style()),
    };
    let load = match (is_down, port.load_permille) {
        (true, _) => Span::raw("-"),
        (false, load @ ..=800) => Span::raw(format!("{} %", (load + 5) / 10)),
        (false, load) => Span::styled(
            format!("{} %", load.saturating_add(5) / 10),
            Health::Fair.style(),
        ),
    };
    let health = match (port.answering, port.devices) {
        (0, 1..) => Health::Bad,
        (some, all) if some < all => Health::Fair,
        _ => Health::Good,
    };
    let devices = match port.devices {
        0 => Span::raw(language.word("none")),
        all => Span::styled(format!("{}/{all}", port.answering), health.quiet_style()),
    };
    let trouble = match &port.down {
        Some(why) => {
            let next = port.retry_ms;
            let next = next.map(|ms| format!("next attempt in {}", span(ms)));
            let trouble = Some(trouble).filter(|t| !t.is_empty());
            let parts = [Some(line(why)), next, trouble];
            let parts: Vec<String> = parts.into_iter().flatten().collect();
            Span::styled(language.say(&parts.join("; ")), Health::Bad.style())
        }
        None => Span::raw(trouble),
    };
    Row {
        cells: vec![
            Span::raw(line(&port.name)),
            Span::raw(line(&port.line)),
            state,
            load,
            devices,
            rtt(|r| r.p50_us),
            rtt(|r| r.p95_us),
            trouble,
        ],
        below: None,
    }
}

/// Makes the table of ports.
pub(super) fn ports(ports: &[Port], language: Language) -> Table {
    Table {
        whole: Vec::new(),
        heads: language.heads(&[
            "PORT", "LINE", "STATE", "LOAD", "DEVICES", "RTT P50", "P95", "TROUBLE",
        ]),
        spare: language.heads(&["P95", "LINE", "RTT P50", "LOAD", "DEVICES"]),
        rows: ports.iter().map(|p| port(p, language)).collect(),
    }
}

/// Writes the counts that are not zero: `timeout 5, garbled 1`.
fn some(counts: &BTreeMap<String, u64>, besides: &[&str], language: Language) -> String {
    let some = counts
        .iter()
        .filter(|(name, n)| **n > 0 && !besides.contains(&name.as_str()));
    let some =
        some.map(|(name, n)| format!("{}{BLANK}{}", language.word(&line(name)), grouped(*n)));
    language.list(&some.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::captures::{compare_all, statuses};

    #[test]
    fn the_status_is_as_captured() {
        compare_all("status", |page| {
            let all = statuses().into_iter();
            all.map(|(name, status)| (name.to_owned(), lines(&status, page)))
                .collect()
        });
    }

    #[test]
    fn the_headline_has_the_colour_of_the_worst_state() {
        let healths = statuses().into_iter();
        let healths: Vec<_> = healths.map(|(n, s)| (n, Health::of(&s))).collect();
        assert_eq!(
            healths,
            [
                ("plant", Health::Bad),
                ("one", Health::Good),
                ("nothing", Health::Bad),
                ("down", Health::Bad),
                ("refused", Health::Fair),
            ]
        );
    }
}
