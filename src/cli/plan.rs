//! `alink-gateway plan [FILE]`: the requests to each device, how much of each line they
//! take, and what will be sent to the platform.
//!
//! The computation is the one of `check`, a start and a reload. A line that is overloaded
//! is shown all the same: that is when the table is needed most. The plan uses what the
//! running service has learned about devices (`learned.json`), if it can be read.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::check::{named, parameters};
use super::columns::width;
use super::language::Language;
use super::{EXIT_CONFIG, upstream};
use crate::base::text::counted;
use crate::field::plan::forecast::{
    FULL, LineForecast, RequestForecast, forecast, millis, percent,
};
use crate::field::plan::logout_forecast::LogoutForecast;
use crate::field::schedule::budget::PROBES_PERMILLE;
use crate::hub::upstream::Upstream;
use crate::io::files::settings;
use crate::io::files::settings::{DeskMode, LoadContext};
use crate::io::log::Journal;
use crate::io::store::learned::Learned;
use crate::io::terminal::screen;
use crate::spec::{
    DataType, Deadband, PointSpec, Priority, ProfileSpec, ReportPolicy, ReportWhen, Spec,
    ThingEventSpec, Title,
};

/// Prints the plan of the configuration in `path`. Exit status 0; 1 if a line or the connection
/// is overloaded and that is not allowed; 78 if the configuration is wrong otherwise. Secrets and
/// certificates need not be there: a plan does not depend on them.
#[must_use]
pub fn run(path: &Path, as_json: bool, language: Language) -> ExitCode {
    let around = LoadContext {
        desk: DeskMode::All,
        ..LoadContext::of_person()
    };
    let (text, status) = outcome(path, &around, as_json, language);
    // The reader of the output may have closed it.
    let _ = screen::write(&text);
    ExitCode::from(status)
}

/// Returns the output of [`run`], and its exit status.
#[must_use]
pub fn outcome(
    path: &Path,
    around: &LoadContext,
    as_json: bool,
    language: Language,
) -> (String, u8) {
    let (loaded, absent) = settings::look_with_stand_ins(path, around);
    if !absent.is_empty() {
        let note = format!("not here, and not needed for a plan: {}\n", named(&absent));
        screen::print_error(&language.say(&note));
    }
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(report) => return (language.say(&format!("{report}\n")), EXIT_CONFIG),
    };
    let spec = Arc::new(loaded.spec);
    let learned = Learned::open(&loaded.state_dir, Journal::new(Arc::clone(&spec)));
    let lines = forecast(&spec, |profile| learned.of(profile));
    let overloaded = |l: &LineForecast| {
        let allowed = spec.port(l.port).is_some_and(|p| p.budget.allow_overload);
        l.load() > FULL && !allowed
    };
    let upstream = Upstream::of(&spec, &lines);
    let status = u8::from(upstream.is_refused() || lines.iter().any(overloaded));
    let text = match as_json {
        true => format!("{:#}\n", to_json(&spec, &lines, &upstream)),
        false => to_text(&spec, &lines, &upstream, language),
    };
    (text, status)
}

fn to_text(spec: &Spec, lines: &[LineForecast], upstream: &Upstream, language: Language) -> String {
    let mut text = String::new();
    let say = |line: &str| language.say(line);
    for line in lines {
        let Some(port) = spec.port(line.port) else {
            continue;
        };
        let _ = writeln!(text, "{}: {}", port.name, say(&line.summary(port)));
        text.push_str(&table(spec, line, language));
        if let Some((kind, n, share)) = line.heaviest() {
            let (devices, share) = (counted(n, "device"), percent(share));
            let most = format!("  most of it: {devices} of profile {kind}, {share}\n");
            text.push_str(&say(&most));
        }
        if let Some(log_out) = LogoutForecast::of(spec, line) {
            let _ = writeln!(text, "  {}", say(&log_out.to_string()));
        }
        text.push('\n');
    }
    if lines.is_empty() {
        text.push_str(&say("no ports\n"));
    }
    text.push_str(&types(spec, language));
    text.push_str(&reports(spec, language));
    text.push_str(&events(spec, language));
    let parameters = parameters(spec);
    if !parameters.is_empty() {
        let _ = write!(text, "\n{}", say(&parameters));
    }
    if !lines.is_empty() {
        let probes = format!(
            "\nbesides the plan: probes, to tell stale replies apart or for a sign of life, at most {} % of a line's time; status counts them\n",
            PROBES_PERMILLE / 10
        );
        text.push_str(&say(&probes));
    }
    text.push_str(&say(&upstream::full(spec, upstream)));
    text
}

/// Returns the profiles that devices have, by name.
fn profiles(spec: &Spec) -> BTreeMap<&str, &ProfileSpec> {
    let used = spec.devices().map(|(_, d)| &*d.profile);
    used.map(|p| (p.name.as_str(), p)).collect()
}

/// Returns the type of each point in the thing model: whether its numbers have decimals
/// never depends on a value.
fn types(spec: &Spec, language: Language) -> String {
    let mut rows = vec![["profile", "posts as", "points"].map(|head| language.word(head))];
    for (name, profile) in profiles(spec) {
        let mut by_type: BTreeMap<DataType, Vec<&str>> = BTreeMap::new();
        for point in &profile.points {
            let of = by_type.entry(point.codec.data_type()).or_default();
            of.push(&point.id);
        }
        rows.extend(
            by_type
                .into_iter()
                .map(|(of, ids)| [name.to_owned(), of.word().to_owned(), ids.join(", ")]),
        );
    }
    match rows.len() {
        1 => String::new(),
        _ => aligned(&rows),
    }
}

/// Returns which values of each profile are events, if any are.
fn events(spec: &Spec, language: Language) -> String {
    let mut rows = vec![["profile", "event", "when"].map(|head| language.word(head))];
    for (name, profile) in profiles(spec) {
        let all = profile.events.iter();
        let row = |e: &ThingEventSpec| {
            let rule = language.say(&profile.rule(e));
            [name.to_owned(), e.id.to_string(), rule]
        };
        rows.extend(all.map(row));
    }
    match rows.len() {
        1 => String::new(),
        _ => format!("\n{}", aligned(&rows)),
    }
}

/// Returns which readings of each point are reported, where it is not every one.
fn reports(spec: &Spec, language: Language) -> String {
    let mut rows = vec![["profile", "reports", "points"].map(|head| language.word(head))];
    for (name, profile) in profiles(spec) {
        let mut by_policy: Vec<(String, Vec<&str>)> = Vec::new();
        for point in profile.points.iter().filter(|p| !p.report.is_all()) {
            let words = language.say(&point.report.to_string());
            match by_policy.iter_mut().find(|(of, _)| *of == words) {
                Some((_, ids)) => ids.push(&point.id),
                None => by_policy.push((words, vec![&point.id])),
            }
        }
        rows.extend(
            by_policy
                .into_iter()
                .map(|(of, ids)| [name.to_owned(), of, ids.join(", ")]),
        );
    }
    match rows.len() {
        1 => String::new(),
        _ => format!("\n{}", aligned(&rows)),
    }
}

/// Writes a policy; nothing if every reading is reported.
fn report(policy: &ReportPolicy) -> Option<Value> {
    let ms = |span: Duration| span.as_millis() as u64;
    let policy = match policy {
        ReportPolicy::All => return None,
        ReportPolicy::Window { length, value } => {
            return Some(json!({ "window_ms": ms(*length), "value": value.word() }));
        }
        ReportPolicy::Some(policy) => policy,
    };
    let (when, absolute, percent) = match policy.when {
        ReportWhen::All => ("all", None, None),
        ReportWhen::Change => ("change", None, None),
        ReportWhen::Deadband(Deadband::Absolute(by)) => ("change", Some(by), None),
        ReportWhen::Deadband(Deadband::Percent(by)) => ("change", None, Some(by)),
    };
    Some(json!({
        "when": when,
        "deadband": absolute,
        "deadband_percent": percent,
        "min_interval_ms": ms(policy.min_interval),
        "max_interval_ms": policy.max_interval.map(ms),
    }))
}

const HEAD: [&str; 9] = [
    "devices", "profile", "reads", "points", "filler", "every", "priority", "takes", "load",
];

fn table(spec: &Spec, line: &LineForecast, language: Language) -> String {
    let rows: Vec<[String; 9]> = line
        .requests
        .iter()
        .map(|r| {
            [
                language.say(&devices(spec, r)),
                r.profile.clone(),
                language.say(&r.address.to_string()),
                r.points.len().to_string(),
                r.filler.to_string(),
                format!("{:?}", r.interval),
                language.word(priority(r.priority)),
                millis(r.time),
                percent(r.share().div_ceil(1000)),
            ]
        })
        .collect();
    let head = std::iter::once(HEAD.map(|head| language.word(head)));
    aligned(&head.chain(rows).collect::<Vec<_>>())
}

/// Writes a table with its first row as head; a column without text is left out.
fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let widths: Vec<Option<usize>> = (0..N)
        .map(|i| {
            let mut cells = rows.iter().map(|row| width(&row[i]));
            let head = cells.next().unwrap_or(0);
            let widest = cells.max().filter(|w| *w > 0);
            widest.map(|w| w.max(head))
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut out = String::from(" ");
        for (cell, widest) in row.iter().zip(&widths) {
            if let Some(widest) = widest {
                let gap = " ".repeat(widest - width(cell).min(*widest));
                let _ = write!(out, " {cell}{gap} ");
            }
        }
        let _ = writeln!(text, "{}", out.trim_end());
    }
    text
}

/// Returns the priority of a request in words, if it is not the normal one.
const fn priority(priority: Priority) -> &'static str {
    match priority {
        Priority::Normal => "",
        Priority::High | Priority::Low => priority.word(),
    }
}

/// Names the devices of a request: `meter-1`, `meter-1 and 29 more`.
fn devices(spec: &Spec, r: &RequestForecast) -> String {
    let first = r.devices.first().and_then(|d| spec.device(*d));
    let first = first.map_or("", |d| &d.name);
    match r.devices.len() {
        0 | 1 => first.to_owned(),
        n => format!("{first} and {} more", n - 1),
    }
}

/// Writes a log-out forecast. Milliseconds are rounded up: they are the longest time it
/// takes.
fn log_out(l: &LogoutForecast) -> Value {
    json!({
        "devices": l.devices,
        "one_ms": l.one.as_nanos().div_ceil(1_000_000) as u64,
        "all_ms": l.all.as_nanos().div_ceil(1_000_000) as u64,
        "in_flight": l.in_flight,
    })
}

/// Adds the titles that there are.
fn titled(to: &mut Value, title: &Title) {
    for (key, title) in [("title", &title.general), ("title_zh", &title.chinese)] {
        if let Some(title) = title {
            to[key] = (**title).into();
        }
    }
}

fn to_json(spec: &Spec, lines: &[LineForecast], upstream: &Upstream) -> Value {
    let request = |r: &RequestForecast| {
        let names = r.devices.iter().filter_map(|d| spec.device(*d));
        // Other protocols than Modbus have no such numbers.
        let range = r.address.entries();
        json!({
            "devices": names.map(|d| d.name.as_str()).collect::<Vec<_>>(),
            "profile": r.profile,
            "reads": r.address.to_string(),
            "function": range.map(|r| r.table.read_function()),
            "address": range.map(|r| r.start),
            "count": range.map(|r| r.count),
            "points": r.points.len(),
            "filler": r.filler,
            "interval_ms": r.interval.as_millis() as u64,
            "priority": r.priority.word(),
            "time_us": r.time.as_micros() as u64,
            "load_percent": r.share() as f64 / 10_000.0,
        })
    };
    let line = |l: &LineForecast| {
        let name = spec.port(l.port).map_or("", |p| p.name.as_str());
        json!({
            "port": name,
            "load_percent": l.load() as f64 / 10.0,
            "requests_per_second": l.rate(),
            "slowest_request_us": l.slowest().map(|r| r.time.as_micros() as u64),
            "log_out": LogoutForecast::of(spec, l).as_ref().map(log_out),
            "heaviest_profile": l.heaviest().map(|(kind, _, _)| kind),
            "requests": l.requests.iter().map(request).collect::<Vec<_>>(),
        })
    };
    let point = |p: &PointSpec| {
        let mut point = json!({ "id": p.id, "type": p.codec.data_type().word() });
        titled(&mut point, &p.shown.title);
        if let Some(unit) = &p.shown.unit {
            point["unit"] = (*unit.0).into();
        }
        if p.shown.unverified {
            point["unverified"] = true.into();
        }
        if let Some(report) = report(&p.report) {
            point["report"] = report;
        }
        point
    };
    let profile = |p: &ProfileSpec| {
        let points: Vec<Value> = p.points.iter().map(point).collect();
        let mut profile = json!({ "profile": p.name, "points": points });
        titled(&mut profile, &p.about.title);
        if p.about.unverified {
            profile["unverified"] = true.into();
        }
        if !p.events.is_empty() {
            let event = |e: &ThingEventSpec| json!({ "id": *e.id, "when": p.rule(e) });
            profile["events"] = p.events.iter().map(event).collect();
        }
        profile
    };
    json!({
        "lines": lines.iter().map(line).collect::<Vec<_>>(),
        "upstream": upstream::to_json(spec, upstream),
        "probes_percent": PROBES_PERMILLE as f64 / 10.0,
        "profiles": profiles(spec).into_values().map(profile).collect::<Vec<_>>(),
    })
}
