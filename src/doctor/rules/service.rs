//! The service, its configuration, and the box it runs on.

use super::{Findings, Subject};
use crate::base::text::counted;
use crate::control::picture::{Link, LinkFailure, Past, Status, StoreFault};
use crate::doctor::cause::{Cause, Certainty};
use crate::doctor::facts::{Facts, Service, noticed, told};
use crate::doctor::words;

/// How long a box may take to reach its time server.
const CLOCK_WITHIN_MS: u64 = 120_000;

/// How many errors of a configuration are evidence; `check` tells all.
const MOST_ERRORS: usize = 3;

pub(super) fn examine(facts: &Facts, found: &mut Findings) {
    if let Service::DoesNotAnswer { why, errors } = &facts.service {
        service(why, errors, found);
    }
    if let Some(status) = &facts.status {
        configuration(status, found);
        clock(status, found);
        store(status, found);
    }
}

/// Without the service nothing else is known: a wrong configuration keeps it from starting.
fn service(why: &str, errors: &[String], found: &mut Findings) {
    let why = why.lines().next().unwrap_or_default().to_owned();
    if errors.is_empty() {
        let certain = Certainty::Certain;
        found.add(Cause::ServiceStopped, Subject::Service, certain, vec![why]);
        return;
    }
    let mut evidence = vec![why];
    evidence.extend(errors.iter().take(MOST_ERRORS).cloned());
    let more = errors.len().saturating_sub(MOST_ERRORS);
    if more > 0 {
        evidence.push(format!("and {}", counted(more, "more error")));
    }
    found.add(
        Cause::ConfigurationWrong,
        Subject::Service,
        Certainty::Certain,
        evidence,
    );
}

fn configuration(status: &Status, found: &mut Findings) {
    if status.cloud.link == Link::NotCommissioned {
        let seen = "the gateway is not commissioned and does not connect to the platform".into();
        found.gateway(Cause::NotCommissioned, Certainty::Certain, vec![seen]);
    }
    let Some(in_force) = &status.configuration else {
        return;
    };
    if let Some(Past { what, .. }) = &in_force.refused {
        let seen = vec![format!("the last reload was refused: {what}")];
        found.gateway(Cause::ConfigurationRefused, Certainty::Certain, seen);
    } else if let Some(file) = in_force.changed.first() {
        // It may be worked on just now.
        let seen = vec![format!("{file} has changed since it was loaded")];
        found.gateway(Cause::ConfigurationChanged, Certainty::Note, seen);
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
        && words::of_tls(&failure.what).first() == Some(&Cause::ClockUnset)
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
