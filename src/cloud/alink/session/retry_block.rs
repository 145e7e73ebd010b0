//! Retry blocks: how long a device waits that the platform has refused or disconnected.
//!
//! The first wait depends on the code; each further wait for the same code in a row is
//! twice as long, up to the code's ceiling. A device whose retry block has ended is
//! tried alone, so that it cannot spoil a batch again.

use std::time::Duration;

use crate::base::{DeviceId, Mono, Wake};

use super::device::LoginNeed;
use crate::cloud::alink::events::CloudLogEvent;
use crate::cloud::alink::events::outbox::Outbox;
use crate::cloud::alink::session::Sessions;
use crate::cloud::alink::wire::code::{Code, CodeMeaning, Remedy};

/// The first and longest wait of a device whose lone request is called malformed. The
/// platform may only have failed on that request, so the next one, with another time and
/// signature, comes soon; if the fault is ours, the request is repeated ever more rarely.
const MALFORMED: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));
/// A retry block within this time after the last one counts as "again".
const AGAIN: Duration = Duration::from_secs(600);

/// The least first and longest wait after a refused registration or relation: a person has
/// to remove the cause, and the platform mostly does not report that to the gateway.
const STEP_WAIT: (Duration, Duration) = (Duration::from_secs(600), Duration::from_secs(3600));

/// The request at which a device was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefusedRequest {
    LogIn,
    /// No request: the platform took the device offline.
    Kick,
    Step(LoginNeed),
}

/// A device's wait until it is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RetryBlock {
    /// The end of the wait.
    pub until: Mono,
    /// The reason.
    pub code: Code,
}

/// The last retry block and how often it came in a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RefusalRecord {
    /// The reason.
    pub code: Code,
    /// How often it came in a row.
    pub times: u32,
    /// The end of the wait.
    pub until: Mono,
}

impl Sessions {
    /// Returns when the next retry block ends.
    pub(crate) fn block_due(&self) -> Option<Wake> {
        self.blocks
            .first()
            .map(|b| Wake::new(b.0, "retry block ends"))
    }

    /// Ends retry blocks that have run out; returns whether there was one.
    pub(crate) fn end_blocks(&mut self, now: Mono) -> bool {
        let Some(&(until, id)) = self.blocks.first().filter(|b| b.0 <= now) else {
            return false;
        };
        self.blocks.remove(&(until, id));
        self.devices[id.index()].block = None;
        self.requeue(now, id, now);
        true
    }

    /// Blocks a device for a while, longer each time in a row; after that it is tried
    /// alone.
    pub(crate) fn block(
        &mut self,
        now: Mono,
        id: DeviceId,
        code: Code,
        message: &str,
        at: RefusedRequest,
        outbox: &mut Outbox,
    ) {
        let limits = &self.spec.cloud.session;
        if code == Code::UNKNOWN_DEVICE && limits.report_unknown {
            self.unknown.push(id);
        }
        let (first, longest) = match code.meaning_kind() {
            CodeMeaning::Device { first, longest } => (first, longest),
            CodeMeaning::Request => MALFORMED,
            _ => (limits.retry_floor, limits.retry_ceiling),
        };
        let (first, longest) = match at {
            RefusedRequest::LogIn | RefusedRequest::Kick => (first, longest),
            RefusedRequest::Step(_) if code.meaning_kind() == CodeMeaning::Request => {
                (first, longest)
            }
            // A disabled device waits as long, whichever request says so.
            RefusedRequest::Step(_) if code.remedy() == Remedy::Enabling => (first, longest),
            RefusedRequest::Step(_) => (first.max(STEP_WAIT.0), longest.max(STEP_WAIT.1)),
        };
        let device = &self.devices[id.index()];
        if device.block.is_some_and(|b| b.code == code) {
            // The same refusal, learned by another way.
            return;
        }
        let times = match device.refusal {
            Some(o) if o.code == code && now.since(o.until) < AGAIN => o.times.saturating_add(1),
            _ => 1,
        };
        let factor = 1u32
            .checked_shl(times.saturating_sub(1).min(16))
            .unwrap_or(u32::MAX);
        let retry_in = self.rng.jitter(first.saturating_mul(factor).min(longest));
        let until = now + retry_in;
        if at == RefusedRequest::Kick && device.block.is_some_and(|b| b.until >= until) {
            // Two codes for one event; the longer block holds.
            return;
        }
        outbox.count().blocked += 1;
        if times.is_power_of_two() {
            outbox.tell(CloudLogEvent::DeviceRefused {
                device: id,
                code,
                message: message.to_owned(),
                what: match at {
                    RefusedRequest::LogIn | RefusedRequest::Kick => "log-in",
                    RefusedRequest::Step(step) => step.words(),
                },
                kicked: at == RefusedRequest::Kick,
                retry_in,
                times,
            });
        }
        let device = &mut self.devices[id.index()];
        device.tried_alone = true;
        device.refusal = Some(RefusalRecord { code, times, until });
        self.set_block(id, RetryBlock { until, code });
    }

    /// Takes note of an event that ends retry blocks of one kind: the device is tried at
    /// once.
    pub(crate) fn remedied(&mut self, now: Mono, id: DeviceId, remedy: Remedy) {
        let Some(device) = self.devices.get_mut(id.index()) else {
            return;
        };
        if device.kick.is_some_and(|code| code.remedy() == remedy) {
            // The session that is being asked for may have been ended all the same.
            device.kick = Some(Code::NO_SESSION);
        }
        if device.block.is_some_and(|b| b.code.remedy() == remedy) {
            device.refusal = None;
            self.lift_block(id);
            self.requeue(now, id, now);
        }
    }

    /// Ends the retry blocks of devices whose requests were called malformed: only another
    /// connection, or another configuration, can change that.
    pub(crate) fn end_malformed_blocks(&mut self, now: Mono) {
        let request = |b: &RetryBlock| b.code.meaning_kind() == CodeMeaning::Request;
        for id in self.ids() {
            if self.devices[id.index()].block.as_ref().is_some_and(request) {
                self.lift_block(id);
                self.requeue(now, id, now);
            }
        }
    }

    /// Takes note of an event on the platform that ends retry blocks of one kind, for all
    /// devices.
    pub(crate) fn all_remedied(&mut self, now: Mono, remedy: Remedy) {
        for id in self.ids() {
            self.remedied(now, id, remedy);
        }
    }

    /// Sets a device's retry block.
    fn set_block(&mut self, id: DeviceId, block: RetryBlock) {
        if let Some(old) = self.devices[id.index()].block.replace(block) {
            self.blocks.remove(&(old.until, id));
        }
        self.blocks.insert((block.until, id));
    }
}
