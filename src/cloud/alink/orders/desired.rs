//! Desired values: what an application wants a device to hold, kept by the platform until the
//! device is there ("Desired device property values").
//!
//! Where the configuration has it (`commands.desired`), a device that has come online asks for
//! the desired values of its points that may be written. They are handed out one after the
//! other, each as if the platform had sent a property set, so that a value that cannot be
//! written keeps no other from being written. Then those that were done are deleted at the
//! platform, in the version that was done: a value that was set anew meanwhile stays. A point
//! for which a newer command came first is deleted as well, since the newer wish is the one
//! that counts. What was refused, or is different or not known, stays: it is tried again when
//! the device comes online again.
//!
//! A point that wants a confirmation is not asked for: there is only one command, at a time
//! when no person waits for it.
//!
//! Desired values have time. A few requests are under way at once, behind log-ins and answers to
//! commands; one that is not answered is made twice again, and then when the device comes online
//! again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::base::{
    Command, CommandAction, CommandAnswer, CommandNumber, CommandOrigin, DeviceId, Mono,
    RefusedReason, RequestId, Wake, WriteVerdict,
};
use crate::cloud::alink::events::CloudLogEvent;
use crate::cloud::alink::events::outbox::Outbox;
use crate::cloud::alink::requests::context::{Context, RequestAnswer};
use crate::cloud::alink::requests::identities::Identities;
use crate::cloud::alink::wire::code::{Code, CodeMeaning};
use crate::cloud::alink::wire::payload::desired::{self, DesiredValue};
use crate::cloud::alink::wire::topic::{DesiredAsk, Topic};
use crate::spec::{CommandPolicy, ProfileSpec, Spec};

/// How many requests are under way at once.
const OPEN: usize = 4;
/// How often a request is made that is not answered.
const TRIES: u32 = 3;
/// How many properties are in one request ("Limits": 6104).
const PROPERTIES: usize = 200;

/// A request about the desired values of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DesiredRequest {
    device: DeviceId,
    /// What was done, with versions; if it is empty, this asks which values are desired.
    done: Vec<(String, i64)>,
    /// How often it was made before.
    tries: u32,
}

impl DesiredRequest {
    const fn kind(&self) -> DesiredAsk {
        match self.done.is_empty() {
            true => DesiredAsk::Get,
            false => DesiredAsk::Delete,
        }
    }

    /// Returns the device that it is about.
    pub(crate) const fn device(&self) -> DeviceId {
        self.device
    }

    /// Returns the topic of the request and its body.
    pub(crate) fn message(&self, id: RequestId, identities: &Identities) -> (Topic, Vec<u8>) {
        let profile = identities.spec().device(self.device).map(|d| &d.profile);
        let body = match self.kind() {
            DesiredAsk::Delete => desired::delete(id, &self.done),
            DesiredAsk::Get => {
                let asked = profile.map(|p| asked_for(p).collect::<Vec<_>>());
                desired::get(id, &asked.unwrap_or_default())
            }
        };
        let who = identities.of(self.device).clone();
        (Topic::Desired(who, self.kind()), body)
    }
}

/// A value that was handed out, and those that follow.
#[derive(Clone, Debug)]
struct TakenValues {
    device: DeviceId,
    /// The request that the platform has answered with these values.
    request: String,
    value: DesiredValue,
    rest: VecDeque<DesiredValue>,
    done: Vec<(String, i64)>,
}

/// The desired values of all devices.
#[derive(Clone, Debug, Default)]
pub(crate) struct Desired {
    /// By device: a device has one request at a time, and then one command.
    waiting: BTreeMap<DeviceId, DesiredRequest>,
    open: BTreeSet<DeviceId>,
    taken: BTreeMap<CommandNumber, TakenValues>,
}

/// Returns the points of a profile whose desired values are asked for.
fn asked_for(profile: &ProfileSpec) -> impl Iterator<Item = &str> {
    let writable = profile.points.iter().filter(|point| {
        let policy = point.write.as_ref();
        policy.is_some_and(|policy| policy.confirm.is_none())
    });
    writable.map(|point| point.id.as_str()).take(PROPERTIES)
}

impl Desired {
    /// Takes note that the session of a device has begun.
    pub(crate) fn on_session_begun(&mut self, device: DeviceId, spec: &Spec) {
        let commands = &spec.commands;
        if !commands.desired || commands.allow != CommandPolicy::On {
            return;
        }
        let profile = spec.device(device).map(|d| &d.profile);
        if profile.is_some_and(|profile| asked_for(profile).next().is_some()) {
            self.waits(DesiredRequest {
                device,
                done: Vec::new(),
                tries: 0,
            });
        }
    }

    /// Takes note that the session of a device has ended. What is not yet deleted is asked for
    /// again when it comes back, and found to be so.
    pub(crate) fn left(&mut self, device: DeviceId) {
        self.waiting.remove(&device);
        self.open.remove(&device);
    }

    fn waits(&mut self, request: DesiredRequest) {
        self.waiting.insert(request.device, request);
    }

    /// Returns when there is a request to make.
    pub(crate) fn due(&self) -> Option<Wake> {
        let is_due = !self.waiting.is_empty() && self.open.len() < OPEN;
        is_due.then(|| Wake::new(Mono::START, "desired values"))
    }

    /// Returns the next request.
    pub(crate) fn take(&mut self) -> Option<DesiredRequest> {
        let (device, request) = self.waiting.pop_first()?;
        self.open.insert(device);
        Some(request)
    }

    /// Takes note that a request was not answered.
    pub(crate) fn lost(&mut self, now: Mono, request: DesiredRequest, outbox: &mut Outbox) {
        // The session of the device may have ended since, and begun again.
        if !self.open.remove(&request.device) || self.waiting.contains_key(&request.device) {
            return;
        }
        let tries = request.tries + 1;
        if tries < TRIES {
            return self.waits(DesiredRequest { tries, ..request });
        }
        tell(outbox, now, &request, None, "");
    }

    /// Takes the answer to a request; returns a command to be carried out, which gets this
    /// number, if there is one.
    pub(crate) fn answered(
        &mut self,
        context: &mut Context<'_>,
        request: &DesiredRequest,
        answer: RequestAnswer<'_>,
        number: impl FnOnce() -> CommandNumber,
    ) -> Option<Command> {
        if !self.open.remove(&request.device) {
            return None;
        }
        let reply = answer.reply;
        if reply.code.meaning_kind() != CodeMeaning::Accepted {
            let (code, message) = (Some(reply.code), &reply.message);
            tell(context.outbox, context.now, request, code, message);
            return None;
        }
        if request.kind() == DesiredAsk::Delete {
            return None;
        }
        let spec = context.identities.spec();
        let profile = &spec.device(request.device)?.profile;
        let mut values = VecDeque::from(desired::values(answer.payload));
        values.retain(|value| asked_for(profile).any(|id| id == value.property));
        let first = TakenValues {
            device: request.device,
            request: reply.id.map(|id| id.to_string()).unwrap_or_default(),
            value: values.pop_front()?,
            rest: values,
            done: Vec::new(),
        };
        Some(self.hand_out(first, number(), spec, context.outbox))
    }

    fn hand_out(
        &mut self,
        taken: TakenValues,
        number: CommandNumber,
        spec: &Spec,
        outbox: &mut Outbox,
    ) -> Command {
        outbox.count().commands += 1;
        let value = taken.value.clone();
        let command = Command {
            number,
            origin: CommandOrigin::Cloud {
                id: format!("desired/get {}", taken.request),
            },
            device: Some(taken.device),
            action: CommandAction::Set(vec![(value.property, value.value)]),
            within: spec.commands.async_within,
        };
        self.taken.insert(number, taken);
        command
    }

    /// Returns whether this command is one of these.
    pub(crate) fn has(&self, number: CommandNumber) -> bool {
        self.taken.contains_key(&number)
    }

    /// Takes note of what became of a command; returns the next one, which gets the number
    /// `next`, if the device has more to take. `is_in` tells whether it has its session.
    pub(crate) fn on_done(
        &mut self,
        number: CommandNumber,
        answer: &CommandAnswer,
        is_in: impl Fn(DeviceId) -> bool,
        next: impl FnOnce() -> CommandNumber,
        (spec, outbox): (&Spec, &mut Outbox),
    ) -> Option<Command> {
        let mut taken = self.taken.remove(&number)?;
        let is_over = answer.whole.is_done()
            || matches!(
                answer.whole,
                WriteVerdict::Refused(RefusedReason::Overtaken)
            );
        if is_over {
            let DesiredValue {
                property, version, ..
            } = taken.value.clone();
            taken.done.push((property, version));
        }
        // A device that comes online again has asked again, or will.
        if !is_in(taken.device) || self.waiting.contains_key(&taken.device) {
            return None;
        }
        if let Some(value) = taken.rest.pop_front() {
            taken.value = value;
            return Some(self.hand_out(taken, next(), spec, outbox));
        }
        if !taken.done.is_empty() {
            self.waits(DesiredRequest {
                device: taken.device,
                done: taken.done,
                tries: 0,
            });
        }
        None
    }
}

/// Reports that a request has failed.
fn tell(
    outbox: &mut Outbox,
    now: Mono,
    request: &DesiredRequest,
    code: Option<Code>,
    message: &str,
) {
    let failed = CloudLogEvent::DesiredFailed {
        device: request.device,
        is_deletion: request.kind() == DesiredAsk::Delete,
        code,
        message: message.to_owned(),
    };
    outbox.often(now, failed);
}
