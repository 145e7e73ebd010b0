//! The service, its configuration, and the box it runs on.

use super::{Findings, Subject};
use crate::base::text::counted;
use crate::control::picture::{Link, LinkFailure, PastEvent, Status, StoreFault};
use crate::doctor::cause::{Cause, Certainty};
use crate::doctor::facts::{ConfigurationFiles, Facts, Service, noticed, told};
use crate::doctor::system_words;

/// How long a box may take to reach its time server.
const CLOCK_WITHIN_MS: u64 = 120_000;

/// How many errors of a configuration are evidence; `check` tells all.
const MOST_ERRORS: usize = 3;

pub(super) fn examine(facts: &Facts, found: &mut Findings) {
    if let Service::DoesNotAnswer { why, configuration } = &facts.service {
        service(why, configuration.as_deref(), &facts.files, found);
    }
    if let Some(status) = &facts.status {
        configuration(status, &facts.files, found);
        clock(status, found);
        store(status, found);
    }
}

/// Without the service nothing else is known: a wrong configuration keeps it from starting.
fn service(why: &str, file: Option<&str>, files: &ConfigurationFiles, found: &mut Findings) {
    let mut seen = vec![why.lines().next().unwrap_or_default().to_owned()];
    seen.push(match (file, files) {
        (None, _) => "which configuration it has is not known: name it with -c FILE".into(),
        (Some(file), ConfigurationFiles::Missing) => format!("there is no {file}"),
        (Some(file), ConfigurationFiles::Wrong(_)) => format!("{file} has errors"),
        (Some(file), ConfigurationFiles::Right) => format!("{file} has no error"),
        (Some(file), ConfigurationFiles::Unknown) => {
            format!("this user may not read all files of the configuration {file}")
        }
    });
    let cause = match files {
        ConfigurationFiles::Missing => Cause::ConfigurationMissing,
        ConfigurationFiles::Wrong(errors) => {
            seen.extend(first_of(errors));
            Cause::ConfigurationWrong
        }
        ConfigurationFiles::Right | ConfigurationFiles::Unknown => Cause::ServiceStopped,
    };
    found.add(cause, Subject::Service, Certainty::Certain, seen);
}

/// Returns the first errors, and how many more there are.
fn first_of(errors: &[String]) -> Vec<String> {
    let mut first: Vec<String> = errors.iter().take(MOST_ERRORS).cloned().collect();
    let more = errors.len().saturating_sub(MOST_ERRORS);
    if more > 0 {
        first.push(format!("and {}", counted(more, "more error")));
    }
    first
}

/// What is in force, and what is on disk. A verdict about files that were mended since is none.
fn configuration(status: &Status, files: &ConfigurationFiles, found: &mut Findings) {
    if status.cloud.link == Link::NotCommissioned {
        let seen = "the gateway is not commissioned and does not connect to the platform".into();
        found.gateway(Cause::NotCommissioned, Certainty::Certain, vec![seen]);
    }
    let Some(in_force) = &status.configuration else {
        return;
    };
    let refused = in_force.refused.as_ref();
    let refused =
        refused.map(|PastEvent { what, .. }| format!("the last reload was refused: {what}"));
    let changed = in_force.changed.first();
    let changed = changed.map(|file| format!("{file} has changed since it was loaded"));
    match (refused, changed, files) {
        (None, None, _) => {}
        (_, Some(_), ConfigurationFiles::Missing) => {
            let seen = vec![format!("there is no {}", in_force.file)];
            found.gateway(Cause::ConfigurationGone, Certainty::Certain, seen);
        }
        (Some(refused), _, ConfigurationFiles::Wrong(errors)) => {
            let mut seen = vec![refused];
            seen.extend(first_of(errors));
            found.gateway(Cause::ConfigurationRefused, Certainty::Certain, seen);
        }
        (None, Some(changed), ConfigurationFiles::Wrong(errors)) => {
            let mut seen = vec![changed];
            seen.extend(first_of(errors));
            found.gateway(Cause::ConfigurationBroken, Certainty::Certain, seen);
        }
        // The files are again those that are in force.
        (Some(_), None, ConfigurationFiles::Right) => {}
        (refused, Some(changed), ConfigurationFiles::Right) => {
            let mut seen: Vec<String> = refused.into_iter().collect();
            seen.push(changed);
            seen.push("alink-gateway check finds no error in it now".into());
            found.gateway(Cause::ConfigurationChanged, Certainty::Note, seen);
        }
        (Some(refused), _, _) => {
            found.gateway(
                Cause::ConfigurationRefused,
                Certainty::Certain,
                vec![refused],
            );
        }
        // It may be worked on just now.
        (None, Some(changed), _) => {
            found.gateway(Cause::ConfigurationChanged, Certainty::Note, vec![changed]);
        }
    }
}

/// A box without a battery starts in 1970. Its time server answers within seconds; until then
/// nothing is wrong. A certificate that is not valid yet says the same at once.
fn clock(status: &Status, found: &mut Findings) {
    let unknown = noticed(&status.noticed, "clock-unknown");
    if let Some(unknown) = unknown.filter(|n| n.ago_ms > CLOCK_WITHIN_MS) {
        let seen = vec![told(unknown)];
        found.gateway(Cause::ClockUnset, Certainty::Certain, seen);
    }
    let cloud = &status.cloud;
    if cloud.link == Link::Down
        && cloud.failure == Some(LinkFailure::Tls)
        && let Some(failure) = &cloud.last_failure
        && system_words::of_tls(&failure.what).first() == Some(&Cause::ClockUnset)
    {
        let seen = vec![failure.what.clone()];
        found.gateway(Cause::ClockUnset, Certainty::Certain, seen);
    }
}

fn store(status: &Status, found: &mut Findings) {
    let Some((trouble, fault)) = status
        .store
        .as_ref()
        .and_then(|store| Some((store.trouble.clone()?, store.fault)))
    else {
        return;
    };
    let cause = match fault {
        Some(StoreFault::Full) => Cause::DiskFull,
        Some(StoreFault::ReadOnly) => Cause::DiskReadOnly,
        Some(StoreFault::Taken | StoreFault::Broken) | None => Cause::StoreBroken,
    };
    found.gateway(cause, Certainty::Certain, vec![trouble]);
}
