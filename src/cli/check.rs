//! `alink-gateway check [FILE]`: everything that is wrong with a configuration.
//!
//! Problems go to standard output: they are the result of the verb, and can be piped. The
//! last line sums up. The verb opens nothing but files.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use super::language::Language;
use super::{EXIT_CONFIG, upstream};
use crate::base::text::counted;
use crate::cloud::thing_model;
use crate::config::{Problem, Report, Severity};
use crate::io::files::bounded::ReadFailure;
use crate::io::files::settings;
use crate::io::files::settings::{DeskMode, LoadContext, Loaded};
use crate::io::store::remote_config;
use crate::io::terminal::screen;
use crate::spec::{CommandPolicy, LocalWrite, Spec};

/// Checks the configuration in `path`. Exit status 0 if it can be used, warnings or not; 78 if it
/// cannot. At a desk, secrets and certificates need not be there.
#[must_use]
pub fn run(path: &Path, at_desk: bool, language: Language) -> ExitCode {
    let around = LoadContext {
        desk: if at_desk { DeskMode::All } else { DeskMode::No },
        ..LoadContext::of_person()
    };
    let (text, status) = outcome(path, &around);
    // The reader of the output may have closed it.
    let _ = screen::write(&language.say(&text));
    ExitCode::from(status)
}

/// Returns the output of [`run`] in English, and its exit status.
#[must_use]
pub fn outcome(path: &Path, around: &LoadContext) -> (String, u8) {
    let (loaded, absent) = match around.desk {
        DeskMode::No | DeskMode::Secrets => told_once(path, around),
        DeskMode::All => settings::load_with_stand_ins(path, around),
    };
    match loaded {
        Ok(loaded) => {
            let mut text = String::new();
            for problem in loaded.warnings.problems() {
                text.push_str(&format!("{problem}\n"));
            }
            if let Some(rest) = loaded.warnings.rest() {
                text.push_str(&format!("{rest}\n\n"));
            }
            text.push_str(&summary(&loaded));
            text.push('\n');
            text.push_str(&unverified(&loaded.spec));
            text.push_str(&parameters(&loaded.spec));
            text.push_str(&thing_models(&loaded.spec));
            if !absent.is_empty() {
                text.push_str(&format!("not here, and not checked: {}\n", named(&absent)));
            }
            text.push_str(&events(&loaded.spec));
            text.push_str(&writing(&loaded.spec, loaded.control.write));
            if let Some(upstream) = &loaded.upstream {
                text.push_str(&upstream::summary_lines(upstream));
            }
            if let Some(file) = &loaded.remote {
                text.push_str(&format!(
                    "with the remote configuration in force{}, {}\n",
                    match file.ends_with(remote_config::CANDIDATE) {
                        true => " on probation",
                        false => "",
                    },
                    file.display()
                ));
            }
            (text, 0)
        }
        Err(report) => {
            let errors = counted(report.errors(), "error");
            let warnings = counted(report.warnings(), "warning");
            let mismatch = match settings::load_to_start_in(path, around) {
                Ok((_, Some(mismatch))) => format!(
                    "without the remote configuration in force, {}, there is no error: a reload is refused, a restart sets it aside\n",
                    mismatch.file.display()
                ),
                Ok((_, None)) | Err(_) => String::new(),
            };
            let text = format!("{report}\n{errors}, {warnings}\n{mismatch}");
            (text, EXIT_CONFIG)
        }
    }
}

/// Returns the errors of the configuration in `path`, each on one line; `None` if there are none
/// but that this user may not read all of it.
#[must_use]
pub fn errors(path: &Path) -> Option<Vec<String>> {
    let Err(report) = settings::load_in(path, &LoadContext::of_person()) else {
        return Some(Vec::new());
    };
    let errors = report.problems().iter();
    let errors =
        errors.filter(|problem| problem.severity == Severity::Error && !is_closed(problem));
    let errors: Vec<String> = errors
        .map(|p| {
            let at = format!("{}:{}:{} {}", p.file, p.line, p.column, p.path);
            format!("{at} said {} wanted {}", p.said, p.wanted)
        })
        .collect();
    Some(errors).filter(|errors| !errors.is_empty())
}

/// Returns whether this user may not read a file that the service may be able to read.
fn is_closed(problem: &Problem) -> bool {
    problem.said.ends_with(&ReadFailure::Forbidden.to_string())
}

/// Loads the configuration. If several files with secrets are missing or may not be read, they are
/// one error beside the others: a hundred of them would hide what is wrong besides.
fn told_once(path: &Path, around: &LoadContext) -> (Result<Loaded, Report>, Vec<String>) {
    let loaded = settings::load_in(path, around);
    if loaded.is_ok() {
        return (loaded, Vec::new());
    }
    let desk = LoadContext {
        desk: DeskMode::Secrets,
        ..around.clone()
    };
    let (beside, absent) = settings::load_with_stand_ins(path, &desk);
    if absent.len() < 2 {
        return (loaded, Vec::new());
    }
    let others = match beside {
        Ok(loaded) => loaded.warnings,
        Err(report) => report,
    };
    let missing = Problem {
        severity: Severity::Error,
        file: path.display().to_string().into(),
        line: 0,
        column: 0,
        path: String::new(),
        said: format!(
            "{} with secrets, not there or not readable by this user: {}",
            counted(absent.len(), "file"),
            named(&absent)
        ),
        wanted: "files that hold a secret each and nothing else".into(),
        hint: Some("on the box write them, and check as root; at a desk, without its secrets: alink-gateway check --desk".into()),
    };
    (Err(others.with([missing])), Vec::new())
}

/// Names the first of several files or variables: `secrets/1, secrets/2, secrets/3 and 9 more`.
pub(super) fn named(absent: &[String]) -> String {
    let first: Vec<&str> = absent.iter().take(3).map(String::as_str).collect();
    match absent.len() - first.len() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// Sums up a configuration: `2 ports, 120 devices, 6 profiles; 0 warnings`
#[must_use]
pub fn summary(loaded: &Loaded) -> String {
    format!(
        "{}, {}, {}; {}",
        counted(loaded.spec.ports.len(), "port"),
        counted(loaded.spec.devices.len(), "device"),
        counted(loaded.profiles, "profile"),
        counted(loaded.warnings.warnings(), "warning"),
    )
}

/// Says what of each profile in use could not be checked against a second source, a line each;
/// nothing if everything was. It is no problem: the operator compares these values once with the
/// device's display.
fn unverified(spec: &Spec) -> String {
    let profiles = spec.devices().map(|(_, d)| (&d.profile.name, &d.profile));
    let profiles: BTreeMap<_, _> = profiles.collect();
    let mut text = String::new();
    for (name, profile) in profiles {
        let points = profile.points.iter().filter(|p| p.shown.unverified);
        let points: Vec<&str> = points.map(|p| p.id.as_str()).collect();
        match (profile.about.unverified, points.is_empty()) {
            (true, _) => text.push_str(&format!("unverified: profile {name}\n")),
            (false, false) => {
                let points = points.join(", ");
                text.push_str(&format!("unverified: {points} of profile {name}\n"));
            }
            (false, true) => {}
        }
    }
    text
}

/// Says which values the parameters of each profile in use have, and in how many devices, a line
/// each: a ratio that was forgotten is seen here.
pub(super) fn parameters(spec: &Spec) -> String {
    let mut profiles: BTreeMap<&String, (&BTreeMap<String, String>, usize)> = BTreeMap::new();
    for (_, device) in spec.devices() {
        let profile = &device.profile;
        let values = &profile.about.parameters;
        profiles.entry(&profile.name).or_insert((values, 0)).1 += 1;
    }
    let mut text = String::new();
    for (name, (values, devices)) in profiles {
        if values.is_empty() {
            continue;
        }
        let all: Vec<String> = values
            .iter()
            .map(|(name, v)| format!("{name} {v}"))
            .collect();
        let devices = counted(devices, "device");
        let all = all.join(", ");
        text.push_str(&format!("parameters of profile {name}: {all}; {devices}\n"));
    }
    text
}

/// Says what the platform would not take of each profile that is used, a line each.
fn thing_models(spec: &Spec) -> String {
    let profiles = spec.devices().map(|(_, d)| (&d.profile.name, &d.profile));
    let profiles: BTreeMap<_, _> = profiles.collect();
    let mut text = String::new();
    for (name, profile) in profiles {
        for trap in thing_model::import_warnings(profile) {
            text.push_str(&format!("thing model of profile {name}: {trap}\n"));
        }
    }
    text
}

/// Says how many events of the thing model each profile raises; nothing if none does.
fn events(spec: &Spec) -> String {
    let profiles = spec
        .devices()
        .map(|(_, d)| (&d.profile.name, d.profile.events.len()));
    let profiles: BTreeMap<_, _> = profiles.filter(|(_, events)| *events > 0).collect();
    let each = profiles.into_iter();
    let each = each.map(|(name, n)| format!("{} of profile {name}", counted(n, "event")));
    let each: Vec<String> = each.collect();
    match each.is_empty() {
        true => String::new(),
        false => format!("events: {}\n", each.join(", ")),
    }
}

/// Says how much may be written, and on whose command, a line each; nothing for an installation
/// in which nothing may be written.
fn writing(spec: &Spec, local: LocalWrite) -> String {
    let (mut points, mut services, mut devices) = (0, 0, 0);
    for (_, device) in spec.devices() {
        let written = device.profile.points.iter().filter(|p| p.write.is_some());
        let written = written.count();
        let called = device.profile.services.len();
        points += written;
        services += called;
        devices += usize::from(written + called > 0);
    }
    if devices == 0 {
        return String::new();
    }
    let whose = match (spec.commands.allow, local) {
        (CommandPolicy::Off, _) => "none are carried out",
        (CommandPolicy::Local, LocalWrite::Off) => "none are carried out, as control.write is off",
        (CommandPolicy::Local, LocalWrite::Root) => "those of root on this machine",
        (CommandPolicy::Local, LocalWrite::Group) => {
            "those of root and the socket's group on this machine"
        }
        (CommandPolicy::On, LocalWrite::Off) => "those of the platform",
        (CommandPolicy::On, LocalWrite::Root) => {
            "those of the platform, and of root on this machine"
        }
        (CommandPolicy::On, LocalWrite::Group) => {
            "those of the platform, and of root and the socket's group on this machine"
        }
    };
    format!(
        "writable: {} and {} of {}\ncommands: {}; {whose}\n",
        counted(points, "point"),
        counted(services, "service"),
        counted(devices, "device"),
        spec.commands.allow.word(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{FirstPass, SourceText};

    #[test]
    fn a_file_that_this_user_may_not_read_is_no_error_of_it_and_says_what_to_do() {
        let why = ReadFailure::Forbidden.to_string();
        let source = SourceText::of("/etc/alink-gateway/gateway.yaml".into(), Err(why));
        let report = FirstPass::new(&[source], &[]).err().unwrap();
        let problem = &report.problems()[0];
        assert!(is_closed(problem), "{problem}");
        assert!(problem.hint.as_ref().unwrap().starts_with("use sudo"));
    }
}
