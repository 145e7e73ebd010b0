//! The connection to the platform, and what the platform refuses.

use super::Findings;
use crate::base::text::counted;
use crate::cloud::{Code, RefusalKind};
use crate::control::picture::{Device, Link, LinkFailure, PastEvent, Presence, Status};
use crate::doctor::cause::{Cause, Certainty};
use crate::doctor::facts::{Facts, lately, noticed, told};
use crate::doctor::system_words;

const MINUTE: u64 = 60_000;
/// So many short sessions in a row are no accident, and a session of this length shows that no
/// second gateway is there (as in `cloud/`, which decides when to connect again).
const SHORT_LEAST: u64 = 3;
const UNCONTESTED: u64 = 15 * MINUTE;
/// For how long after it was noticed a limit of the platform is told.
const LIMITED_FOR: u64 = 30 * MINUTE;
/// For how long after they were noticed unanswered requests are told.
const UNANSWERED_FOR: u64 = 5 * MINUTE;
/// For how long a box may have no network after its start before that is told for certain.
const STARTING: u64 = MINUTE;
/// A connection that broke is there again within this time, as a rule.
const AGAIN_WITHIN: u64 = MINUTE;

pub(super) fn examine(facts: &Facts, status: &Status, found: &mut Findings) {
    let is_kicked = second_gateway(status, found);
    match status.cloud.link {
        Link::Down if !is_kicked => down(status, found),
        Link::Down | Link::NotCommissioned => {}
        Link::Up => limits(status, found),
    }
    if status.cloud.link == Link::Up {
        for device in &facts.devices {
            refused(device, found);
        }
    }
}

/// Two clients with one certificate end each other's connection, soon after it began each time
/// (MQTT 3.1.1 §3.1.4).
fn second_gateway(status: &Status, found: &mut Findings) -> bool {
    let cloud = &status.cloud;
    let lasts = cloud.link == Link::Up && cloud.since_ms > UNCONTESTED;
    if cloud.short_sessions < SHORT_LEAST || lasts {
        return false;
    }
    let mut seen = vec![format!(
        "the platform closed the last {} soon after they began",
        counted(cloud.short_sessions, "session")
    )];
    if let Some(PastEvent { what, .. }) = &cloud.last_failure {
        seen.push(what.clone());
    }
    found.gateway(Cause::SecondGateway, Certainty::Likely, seen);
    true
}

/// There is no connection: the last failure says why, if it is one of this outage.
fn down(status: &Status, found: &mut Findings) {
    let cloud = &status.cloud;
    let (Some(PastEvent { what, ago_ms }), Some(failure)) = (&cloud.last_failure, cloud.failure)
    else {
        return;
    };
    // The failure that ended the connection is as old as the outage; one before is another's.
    if *ago_ms > cloud.since_ms {
        return;
    }
    let seen = || vec![what.clone()];
    let network = match status.uptime_ms < STARTING {
        true => Certainty::Possible,
        false => Certainty::Certain,
    };
    match failure {
        LinkFailure::Unreachable => {
            found.gateway(system_words::of_unreachable(what), network, seen())
        }
        LinkFailure::Tls => {
            let causes = system_words::of_tls(what).iter();
            for (cause, certainty) in causes.zip([Certainty::Certain, Certainty::Possible]) {
                found.gateway(*cause, certainty, seen());
            }
        }
        LinkFailure::Refused(4) => {
            found.gateway(Cause::GatewaySecretWrong, Certainty::Certain, seen());
        }
        LinkFailure::Refused(3) => found.gateway(Cause::PlatformBusy, Certainty::Likely, seen()),
        LinkFailure::Refused(1) | LinkFailure::NoConnack | LinkFailure::Protocol => {
            found.gateway(Cause::NotMqtt, Certainty::Likely, seen());
        }
        LinkFailure::Refused(_) => {
            found.gateway(Cause::GatewayRefused, Certainty::Certain, seen());
        }
        LinkFailure::Closed | LinkFailure::PingTimeout | LinkFailure::Io => {
            if cloud.since_ms > AGAIN_WITHIN {
                found.gateway(Cause::ConnectionBreaks, Certainty::Likely, seen());
            }
        }
    }
}

/// What the platform, or the way to it, does not take.
fn limits(status: &Status, found: &mut Findings) {
    let cloud = &status.cloud;
    if let Some(full) = noticed(&status.noticed, "cloud-quota-full")
        && cloud.online < cloud.wanted
    {
        let seen = vec![
            told(full),
            format!(
                "{} cannot come online that ought to be",
                counted(cloud.wanted - cloud.online, "device")
            ),
        ];
        found.gateway(Cause::OnlineQuota, Certainty::Certain, seen);
    }
    if let Some(throttled) = lately(&status.noticed, "cloud-throttled", LIMITED_FOR) {
        let mut seen = vec![told(throttled)];
        seen.push(format!("{} waiting", counted(status.waiting, "value")));
        found.gateway(Cause::UpstreamOverBudget, Certainty::Likely, seen);
    } else if let Some(full) = lately(&status.noticed, "post-queue-full", LIMITED_FOR)
        && full.ago_ms < cloud.since_ms.saturating_sub(MINUTE)
    {
        // With a connection that has been there for a while, the queue is full because too much
        // comes.
        let seen = vec![told(full)];
        found.gateway(Cause::UpstreamOverBudget, Certainty::Likely, seen);
    }
    if let Some(unanswered) = lately(&status.noticed, "cloud-unanswered", UNANSWERED_FOR) {
        let seen = vec![told(unanswered)];
        found.gateway(Cause::PlatformSlow, Certainty::Possible, seen);
    }
    if let Some(refused) = noticed(&status.noticed, "cloud-subscribe-refused") {
        let seen = vec![told(refused)];
        found.gateway(Cause::SubscribeRefused, Certainty::Certain, seen);
    }
}

/// What the platform refuses of a device.
fn refused(device: &Device, found: &mut Findings) {
    let name = &device.name;
    if let Some(refused) = lately(&device.noticed, "post-refused", LIMITED_FOR) {
        let seen = vec![told(refused)];
        found.device(name, Cause::ValuesRefused, Certainty::Certain, seen);
    }
    let Some(code) = device.refusal.filter(|_| device.cloud == Presence::Refused) else {
        return;
    };
    let cause = match Code(code).refusal_kind() {
        RefusalKind::NotInTopology => Cause::TopologyMissing,
        RefusalKind::TopologyFull => Cause::TopologyFull,
        RefusalKind::NotRegistered => Cause::NotRegistered,
        RefusalKind::WrongSecret => Cause::DeviceSecretWrong,
        RefusalKind::Disabled => Cause::DeviceDisabled,
        RefusalKind::Elsewhere => Cause::DeviceElsewhere,
        RefusalKind::Other => Cause::DeviceRefused,
    };
    let seen = device.why.clone();
    let seen = seen.unwrap_or_else(|| format!("code {code}"));
    found.device(name, cause, Certainty::Certain, vec![seen]);
}
