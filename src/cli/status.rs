//! `alink-gateway status`: the status of the running service.

#![expect(clippy::print_stderr, reason = "says why there is no answer")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use super::words::{line, many, micros, span, table};
use crate::control::picture::{Cloud, Link, Port, Presence, State, Status, Store};
use crate::control::{Answer, Failure, Kind, Request};
use crate::io::control::client::{self, Unanswered};
use crate::io::terminal::screen;

/// Prints the status of the service, once. Exit status 1 if the service does not answer.
#[must_use]
pub fn run(socket: &Path, json: bool) -> ExitCode {
    print(ask(socket).map(|status| match json {
        true => format!("{:#}\n", serde_json::json!(status)),
        false => text(&status),
    }))
}

/// Prints an answer, or on standard error why there is none.
pub(super) fn print(answer: Result<String, Unanswered>) -> ExitCode {
    match answer {
        Ok(text) => {
            // The reader of the output may have closed it.
            let _ = screen::write(&text);
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the status every second, a line of JSON each, until the service ends the answer
/// or the reader closes the output.
#[must_use]
pub fn follow(socket: &Path) -> ExitCode {
    let request = Request::Status {
        every_ms: Some(1000),
    };
    let follow = || {
        for answer in client::ask(socket, &request)? {
            let Answer::Status(status) = answer? else {
                continue;
            };
            let line = format!("{}\n", serde_json::json!(status));
            if screen::write(&line).is_err() {
                break;
            }
        }
        Ok(String::new())
    };
    print(follow())
}

/// Asks the service for its status.
///
/// # Errors
/// [`Unanswered`].
pub fn ask(socket: &Path) -> Result<Status, Unanswered> {
    match client::ask_once(socket, &Request::Status { every_ms: None })? {
        Answer::Status(status) => Ok(*status),
        other => Err(strange(&other)),
    }
}

/// Returns the error for an answer to another question.
pub(super) fn strange(answer: &Answer) -> Unanswered {
    let mut why = format!("{answer:?}");
    why.truncate(why.char_indices().nth(60).map_or(why.len(), |(i, _)| i));
    Unanswered::Failure(Failure {
        kind: Kind::Failed,
        why: format!("the service has answered something else: {}", line(&why)),
    })
}

/// Writes the status in words.
#[must_use]
pub fn text(status: &Status) -> String {
    let mut text = format!("{}\n", headline(status));
    for line in configuration(status) {
        let _ = writeln!(text, "{line}");
    }
    for line in cloud(&status.cloud) {
        let _ = writeln!(text, "{line}");
    }
    let _ = writeln!(text, "{}", values(status));
    if let Some(held) = &status.store {
        let _ = writeln!(text, "{}", store(held));
    }
    text.push('\n');
    text.push_str(&ports(&status.ports));
    let _ = writeln!(text, "\n{}", devices(status));
    let is_online = |s: &State| s.cloud == Presence::Online;
    if !status.states.iter().all(is_online) {
        text.push_str("alink-gateway devices shows why each of them is not online\n");
    }
    text
}

/// Writes the first line: `alink-gateway 0.1.0, running for 3 d 4 h`.
pub(super) fn headline(status: &Status) -> String {
    let (version, up) = (line(&status.version), span(status.uptime_ms));
    format!("alink-gateway {version}, running for {up}")
}

/// Writes what is to be known of the configuration in force, and what to do about it; nothing if
/// it is the one on disk and the gateway is commissioned.
pub(super) fn configuration(status: &Status) -> Vec<String> {
    let mut lines = Vec::new();
    let Some(in_force) = &status.configuration else {
        return lines;
    };
    let file = line(&in_force.file);
    let next =
        "to do    alink-gateway check tells every mistake; alink-gateway reload puts it into force";
    if let Some(refused) = &in_force.refused {
        let (ago, what) = (span(refused.ago_ms), line(&refused.what));
        lines.push(format!(
            "config   REFUSED {ago} ago, the one before stays in force: {what}"
        ));
    }
    match &in_force.changed[..] {
        [] if status.cloud.link == Link::NotCommissioned && in_force.refused.is_none() => {
            lines.push(format!(
                "config   {file} is the one that came with the package"
            ));
            lines.push(
                "to do    describe your gateway and devices there (man alink-gateway.yaml); then"
                    .to_owned(),
            );
            lines.push("         alink-gateway check, and alink-gateway reload".to_owned());
        }
        [] => {}
        [first, rest @ ..] => {
            let more = match rest.len() {
                0 => String::new(),
                n => format!(" and {n} more"),
            };
            let has = if rest.is_empty() { "has" } else { "have" };
            let since = span(in_force.since_ms);
            lines.push(format!(
                "config   {}{more} {has} changed and is not in force; what is, is from {since} ago",
                line(first)
            ));
            lines.push(next.to_owned());
        }
    }
    lines
}

/// Writes the state of the connection, and its last failure.
pub(super) fn cloud(cloud: &Cloud) -> Vec<String> {
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
    let takeover = match (cloud.link, cloud.takeover_ms) {
        (Link::Up, Some(ms)) => format!("; all of them {} after it came up", span(ms)),
        _ => String::new(),
    };
    let (online, wanted) = (cloud.online, cloud.wanted);
    let mut lines = vec![format!(
        "cloud    {stands}; {online} of {wanted} wanted are online{takeover}"
    )];
    // What is over is no trouble any more; `--json` and the journal still have it.
    let is_well = cloud.link == Link::Up && online >= wanted;
    for (name, past) in [
        ("failure", &cloud.last_failure),
        ("refusal", &cloud.last_refusal),
    ] {
        if let Some(past) = past.as_ref().filter(|_| !is_well) {
            let (ago, what) = (span(past.ago_ms), line(&past.what));
            lines.push(format!("         last {name} {ago} ago: {what}"));
        }
    }
    lines
}

/// Writes what became of values.
pub(super) fn values(status: &Status) -> String {
    let dropped: u64 = status.dropped.values().sum();
    let causes = some(&status.dropped, &[]);
    let causes = if causes.is_empty() {
        causes
    } else {
        format!(" ({causes})")
    };
    let policies = match status.not_reported {
        0 => String::new(),
        n => format!(", {n} not reported (report:)"),
    };
    format!(
        "values   {} waiting, {} delivered, {dropped} dropped{causes}{policies}",
        status.waiting, status.delivered
    )
}

/// Writes what the store of readings holds.
pub(super) fn store(store: &Store) -> String {
    let oldest = store.oldest_ms.filter(|_| store.readings > 0);
    let oldest = oldest.map_or_else(String::new, |ms| format!(", the oldest {} old", span(ms)));
    let line = format!(
        "store    {} readings{oldest}; {} of {} used\n         ",
        store.readings,
        size(store.bytes),
        size(store.limit),
    );
    match &store.trouble {
        Some(trouble) => format!("{line}NOT WORKING: {trouble}; readings wait in memory only"),
        None => format!(
            "{line}{} written since the start; a power cut costs the last {} at most",
            size(store.written),
            span(store.loss_window_ms)
        ),
    }
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
pub(super) fn devices(status: &Status) -> String {
    let states = status
        .states
        .iter()
        .map(|s| format!("{} {} and {}", s.devices, s.life.word(), s.cloud.word()));
    let states = states.collect::<Vec<_>>().join(", ");
    format!("{}: {states}", many(status.devices, "device"))
}

pub(super) const PORTS: [&str; 8] = [
    "PORT", "LINE", "STATE", "LOAD", "DEVICES", "RTT P50", "P95", "TROUBLE",
];

pub(super) fn port(port: &Port) -> [String; 8] {
    let rtt = |of: fn(&crate::control::picture::Rtt) -> u64| {
        port.rtt
            .as_ref()
            .map_or_else(|| "-".into(), |r| micros(of(r)))
    };
    let polls = some(&port.outcomes, &["answer"]);
    let echoes = some(&port.echoes, &["echo-expected"]);
    let probes = match port.probes {
        0 => String::new(),
        n => format!("probes {n}"),
    };
    let trouble = [polls, echoes, probes].into_iter();
    let trouble = trouble.filter(|t| !t.is_empty());
    let trouble = trouble.collect::<Vec<_>>().join(", ");
    [
        line(&port.name),
        line(&port.line),
        if port.down.is_some() { "DOWN" } else { "up" }.into(),
        format!("{} %", (port.load_permille + 5) / 10),
        format!("{}/{}", port.answering, port.devices),
        rtt(|r| r.p50_us),
        rtt(|r| r.p95_us),
        match &port.down {
            Some(why) => {
                let next = port
                    .retry_ms
                    .map(|ms| format!("next attempt in {}", span(ms)));
                let parts = [
                    Some(line(why)),
                    next,
                    Some(trouble).filter(|t| !t.is_empty()),
                ];
                let parts: Vec<String> = parts.into_iter().flatten().collect();
                parts.join("; ")
            }
            None => trouble,
        },
    ]
}

fn ports(ports: &[Port]) -> String {
    let rows: Vec<_> = ports.iter().map(port).collect();
    match rows.is_empty() {
        true => "no ports\n".into(),
        false => table(PORTS, &rows),
    }
}

/// Writes the counts that are not zero: `timeout 5, garbled 1`.
pub(super) fn some(counts: &BTreeMap<String, u64>, besides: &[&str]) -> String {
    let some = counts
        .iter()
        .filter(|(name, n)| **n > 0 && !besides.contains(&name.as_str()));
    some.map(|(name, n)| format!("{} {n}", line(name)))
        .collect::<Vec<_>>()
        .join(", ")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::control::picture::{Life, Past, Rtt};

    pub(crate) fn example() -> Status {
        let counts = |all: &[(&str, u64)]| {
            let all = all.iter().map(|(name, n)| ((*name).to_owned(), *n));
            all.collect::<BTreeMap<_, _>>()
        };
        let state = |life, cloud, devices| State {
            life,
            cloud,
            devices,
        };
        Status {
            version: "1.2.3".into(),
            uptime_ms: 273_600_000,
            cloud: Cloud {
                link: Link::Up,
                since_ms: 7_500_000,
                connects: 3,
                online: 118,
                wanted: 118,
                takeover_ms: Some(4200),
                last_failure: Some(Past {
                    what: "the platform stopped answering pings".into(),
                    ago_ms: 7_504_000,
                }),
                last_refusal: None,
                retry_ms: None,
            },
            ports: vec![
                Port {
                    name: "line1".into(),
                    line: "/dev/ttyUSB0".into(),
                    down: None,
                    retry_ms: None,
                    load_permille: 412,
                    devices: 119,
                    answering: 118,
                    rtt: Some(Rtt {
                        p50_us: 12_100,
                        p95_us: 20_000,
                        of: 512,
                    }),
                    outcomes: counts(&[("answer", 1000), ("garbled", 1), ("timeout", 5)]),
                    echoes: counts(&[("echo-expected", 1000), ("echo-missed", 6)]),
                    probes: 7,
                },
                Port {
                    name: "line2".into(),
                    line: "/dev/ttyUSB1".into(),
                    down: Some("no such\tdevice".into()),
                    retry_ms: Some(4_000),
                    load_permille: 0,
                    devices: 1,
                    answering: 0,
                    rtt: None,
                    outcomes: counts(&[("answer", 0)]),
                    echoes: BTreeMap::new(),
                    probes: 0,
                },
            ],
            devices: 120,
            states: vec![
                state(Life::Alive, Presence::Online, 118),
                state(Life::Silent, Presence::Offline, 2),
            ],
            waiting: 12,
            delivered: 123_456,
            dropped: counts(&[("queue-full", 5), ("refused", 0)]),
            store: Some(Store {
                readings: 5121,
                bytes: 319_488,
                limit: 128 << 20,
                oldest_ms: Some(7_500_000),
                written: 1_258_291,
                stored: 80_000,
                delivered: 74_879,
                loss_window_ms: 35_000,
                trouble: None,
            }),
            not_reported: 0,
            configuration: None,
        }
    }

    #[test]
    fn the_picture_in_words_says_what_matters() {
        assert_eq!(
            text(&example()),
            "alink-gateway 1.2.3, running for 3 d 4 h
cloud    up for 2 h 5 min; 118 of 118 wanted are online; all of them 4 s after it came up
values   12 waiting, 123456 delivered, 5 dropped (queue-full 5)
store    5121 readings, the oldest 2 h 5 min old; 312 KiB of 128.0 MiB used
         1.2 MiB written since the start; a power cut costs the last 35 s at most

PORT   LINE          STATE  LOAD  DEVICES  RTT P50  P95      TROUBLE
line1  /dev/ttyUSB0  up     41 %  118/119  12.1 ms  20.0 ms  garbled 1, timeout 5, echo-missed 6, probes 7
line2  /dev/ttyUSB1  DOWN   0 %   0/1      -        -        no such device; next attempt in 4 s

120 devices: 118 alive and online, 2 silent and offline
alink-gateway devices shows why each of them is not online
"
        );
    }

    #[test]
    fn what_is_over_is_no_trouble_and_what_is_not_says_when_it_is_tried_again() {
        let mut status = example();
        let failure = |status: &Status| text(status).contains("last failure 2 h 5 min ago");
        assert!(!failure(&status), "all are online");
        status.cloud.online -= 1;
        assert!(failure(&status));
        status.cloud.link = Link::Down;
        status.cloud.retry_ms = Some(12_000);
        let told = text(&status);
        assert!(
            told.contains("cloud    DOWN for 2 h 5 min, next attempt in 12 s;"),
            "{told}"
        );
    }
}
