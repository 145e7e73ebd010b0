//! Commands of the platform: property sets, services and RRPC, handed out to be carried out,
//! and answered ("Device properties, events, and services"; "What is RRPC?").
//!
//! A message that can be understood is handed out once, with a number of its own, and the room that
//! carries it out says once what became of it. What cannot be handed out is answered at once: what
//! the gateway does not have, what is malformed, what the configuration does not permit, what comes
//! while the gateway is leaving the connection, and what is too much.
//!
//! `property/get` is answered "not supported". The platform does not use it for devices of this
//! kind: it shows the value that was reported last, and each value is reported as it is read. A
//! value is no command: it would need no port, no permission and no place among those that wait.
//!
//! **One message, one reply.** A message is known by its topic and its id. If it comes again
//! while it is under way, or while its reply waits to be sent, there is no second command and no
//! second reply; if it comes after that, it gets the same reply again. The reply is kept across
//! connections (`replies.rs`). A message with the id of another that is under way or kept, and
//! with other content, is refused: to carry it out would break the rule, and the reply of the
//! other would say of the wrong command that it is done.
//!
//! **Places.** A command that is carried out has its place among the answers from the beginning,
//! so that none is done that could not be answered (`answers.rs`). The numbers of places bound
//! what a flood of commands costs; a message beyond all of them is not answered, and counted.

mod answers;
mod replies;
mod reply;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value as Json;

use crate::base::text::excerpt;
use crate::base::{
    Command, CommandAction, CommandAnswer, CommandNumber, CommandOrigin, DeviceId, Digest, Mono,
    Wake,
};
use crate::spec::CommandPolicy;

use self::answers::{Answer, AnswerMode, MessageKey, WaitingAnswers};
use self::replies::{CommandReply, Replies};
use self::reply::CommandKind;
use crate::cloud::alink::events::CloudLogEvent;
use crate::cloud::alink::events::outbox::Outbox;
use crate::cloud::alink::orders::stranger;
use crate::cloud::alink::requests::context::Context;
use crate::cloud::alink::requests::identities::Identities;
use crate::cloud::alink::topology::events::TopologyEvent;
use crate::cloud::alink::wire::answer_code::AnswerCode;
use crate::cloud::alink::wire::payload::Malformed;
use crate::cloud::alink::wire::payload::command::{CommandMessage, NoCommand, UnfitCommand};
use crate::cloud::alink::wire::topic::{self, Topic};

/// A message, and how its answer gets to its sender.
#[derive(Clone, Debug)]
struct Incoming {
    key: Arc<MessageKey>,
    /// The id, as it came.
    id: Json,
    /// What the message asks for.
    content: Digest,
    /// The device that must have its session when the answer is sent; `None` for the gateway
    /// and for a call on `/ext/rrpc`, whose topic is none of the device's.
    session: Option<DeviceId>,
}

impl Incoming {
    fn new(
        command: topic::CommandTopic,
        message: &CommandMessage,
        device: Option<DeviceId>,
    ) -> Self {
        let id = match (command.message_id(), &message.id) {
            // The id in the topic tells messages apart.
            (Some(_), _) => String::new(),
            (None, Json::String(id)) => id.clone(),
            (None, id) => id.to_string(),
        };
        Incoming {
            session: device.filter(|_| command.device().is_some()),
            key: Arc::new(MessageKey { command, id }),
            id: message.id.clone(),
            content: message.content,
        }
    }

    fn waits(&self) -> AnswerMode {
        AnswerMode::of(&self.key.command)
    }

    /// Returns the id for the journal.
    fn origin(&self) -> String {
        let id = self.key.command.message_id();
        id.unwrap_or(&self.key.id).to_owned()
    }
}

/// A command that is being carried out.
#[derive(Clone, Debug)]
struct RunningCommand {
    message: Incoming,
    asked: CommandKind,
}

/// Why a message is answered at once.
struct ImmediateRefusal {
    code: AnswerCode,
    why: String,
}

impl ImmediateRefusal {
    fn new(code: AnswerCode, why: impl Into<String>) -> Self {
        let why = why.into();
        ImmediateRefusal { code, why }
    }
}

/// The commands of the platform.
#[derive(Clone, Debug)]
pub(crate) struct Commands {
    /// The number of the last command. Those of the platform are even.
    last: u64,
    under_way: BTreeMap<CommandNumber, RunningCommand>,
    numbers: BTreeMap<Arc<MessageKey>, CommandNumber>,
    answers: WaitingAnswers,
    replies: Replies,
    link: bool,
}

impl Commands {
    pub(crate) fn new() -> Self {
        Commands {
            last: 0,
            under_way: BTreeMap::new(),
            numbers: BTreeMap::new(),
            answers: WaitingAnswers::new(),
            replies: Replies::default(),
            link: false,
        }
    }

    // --- the connection ------------------------------------------------------------

    /// Takes note of a new connection: answers that are not too old go out on it.
    pub(crate) fn link_up(&mut self, now: Mono, identities: &Identities, outbox: &mut Outbox) {
        self.link = true;
        let is_ours = |command: &topic::CommandTopic| {
            let who = command.device();
            who.is_some_and(|who| who == identities.gateway() || identities.id(who).is_some())
        };
        outbox.count().unsent_answers += self.answers.link_up(now, is_ours);
    }

    /// Takes note that the connection is gone, and with it all who wait for an answer.
    pub(crate) fn link_down(&mut self, outbox: &mut Outbox) {
        self.link = false;
        outbox.count().unsent_answers += self.answers.link_down();
    }

    /// Returns when there is an answer to send or to give up. `is_in` tells whether a device has
    /// its session.
    pub(crate) fn due(&self, is_in: impl Fn(DeviceId) -> bool) -> Option<Wake> {
        self.answers.due(is_in)
    }

    /// Returns whether an answer waits that can be sent.
    pub(crate) fn has_sendable(&self, is_in: impl Fn(DeviceId) -> bool) -> bool {
        self.answers.has_sendable(is_in)
    }

    /// Returns whether a command of this device is under way or its answer waits to be sent.
    pub(crate) fn is_waiting(&self, device: DeviceId) -> bool {
        let mut under_way = self.under_way.values();
        self.answers.has_of(device) || under_way.any(|u| u.message.session == Some(device))
    }

    /// Returns the next answer, if it may be sent now; gives up those that are of no use.
    pub(crate) fn take(
        &mut self,
        now: Mono,
        is_in: impl Fn(DeviceId) -> bool,
        outbox: &mut Outbox,
    ) -> Option<(Topic, Vec<u8>)> {
        outbox.count().unsent_answers += self.answers.expire(now, &is_in);
        self.answers.take(now, is_in)
    }

    // --- a message -----------------------------------------------------------------

    /// Takes a message; returns the command to be carried out, if there is one. `is_leaving`
    /// tells whether the connection is about to be left.
    pub(crate) fn on_message(
        &mut self,
        context: &mut Context<'_>,
        command: topic::CommandTopic,
        payload: &[u8],
        is_leaving: bool,
    ) -> Result<Option<Command>, Malformed> {
        let message = match CommandMessage::parse(&command, payload) {
            Ok(message) => message,
            Err(NoCommand::Answer) => {
                context.outbox.count().unknown_topics += 1;
                return Ok(None);
            }
            Err(NoCommand::Malformed(why)) => return Err(why),
        };
        let inner = command.inner();
        let who = command.device().or(inner.as_ref().and_then(|i| i.device()));
        let gateway = context.identities.gateway();
        let who = who.filter(|who| *who != gateway).cloned();
        let device = who.as_ref().and_then(|who| context.identities.id(who));
        let is_stranger = who.is_some() && device.is_none();
        if let Some(who) = who.as_ref().filter(|_| is_stranger && inner.is_none()) {
            stranger(context, who, &excerpt(command.tail().as_bytes(), 64));
            return Ok(None);
        }
        let incoming = Incoming::new(command, &message, device);
        if self.is_repeat(context, &incoming) {
            return Ok(None);
        }
        let device = match is_stranger {
            true => Err(ImmediateRefusal::new(
                AnswerCode::WrongTarget,
                "the gateway has no such device",
            )),
            false => Ok(device),
        };
        let waits = incoming.waits();
        let taken = message
            .action
            .map_err(|unfit| refusal(context, &incoming.key.command, unfit))
            .and_then(|action| {
                self.permit(context, waits, is_leaving)?;
                Ok((device?, action))
            });
        match taken {
            Ok((device, action)) => Ok(Some(self.hand_out(context, incoming, device, action))),
            Err(ImmediateRefusal { code, why }) => {
                context.outbox.count().refused_commands += 1;
                let reply = reply::refusal(incoming.id.clone(), code, &why);
                self.answer(context.now, &incoming, reply.body(), context.outbox);
                Ok(None)
            }
        }
    }

    /// Finds out whether a command may be carried out now.
    fn permit(
        &self,
        context: &Context<'_>,
        waits: AnswerMode,
        is_leaving: bool,
    ) -> Result<(), ImmediateRefusal> {
        let (code, why) = match context.identities.spec().commands.allow {
            CommandPolicy::Off => (
                AnswerCode::NotPermitted,
                "the configuration of the gateway permits no commands",
            ),
            CommandPolicy::Local => (
                AnswerCode::NotPermitted,
                "the configuration of the gateway permits no commands of the platform",
            ),
            CommandPolicy::On if is_leaving => (
                AnswerCode::Unavailable,
                "the gateway is leaving its connection to the platform",
            ),
            CommandPolicy::On if self.places_taken(waits) >= waits.places_to_carry_out() => {
                (AnswerCode::TooMany, "too many commands wait")
            }
            CommandPolicy::On => return Ok(()),
        };
        Err(ImmediateRefusal::new(code, why))
    }

    /// Returns whether the id of the message is known; then whatever answer is due has been given.
    fn is_repeat(&mut self, context: &mut Context<'_>, incoming: &Incoming) -> bool {
        let number = self.numbers.get(&incoming.key);
        let under_way = number.and_then(|number| self.under_way.get(number));
        let kept = self.replies.find(context.now, &incoming.key);
        let (content, kept) = match (under_way, kept) {
            (Some(under_way), _) => (under_way.message.content, None),
            (None, Some((content, kept))) => (content, Some(kept.clone())),
            // A refusal that waits to be sent is kept nowhere else.
            (None, None) if self.answers.has(&incoming.key) => (incoming.content, None),
            (None, None) => return false,
        };
        let reply = if content != incoming.content {
            context.outbox.count().refused_commands += 1;
            let why = "the id is that of another command, which came a moment ago; a new command needs a new id";
            let code = AnswerCode::WrongParameter;
            Some(reply::refusal(incoming.id.clone(), code, why))
        } else {
            context.outbox.count().repeated_commands += 1;
            kept.filter(|_| !self.answers.has(&incoming.key))
                .map(|kept| CommandReply {
                    id: incoming.id.clone(),
                    ..kept
                })
        };
        if let Some(reply) = reply {
            self.answer(context.now, incoming, reply.body(), context.outbox);
        }
        true
    }

    /// Returns the number of a new command.
    pub(crate) const fn number(&mut self) -> CommandNumber {
        self.last += 2;
        CommandNumber(self.last)
    }

    fn hand_out(
        &mut self,
        context: &mut Context<'_>,
        message: Incoming,
        device: Option<DeviceId>,
        action: CommandAction,
    ) -> Command {
        context.outbox.count().commands += 1;
        let number = self.number();
        let commands = &context.identities.spec().commands;
        let command = Command {
            number,
            origin: CommandOrigin::Cloud {
                id: message.origin(),
            },
            device,
            within: match message.waits() {
                AnswerMode::Synchronously => commands.sync_within,
                AnswerMode::No => commands.async_within,
            },
            action,
        };
        let asked = match command.action {
            CommandAction::Set(_) => CommandKind::Set,
            CommandAction::Call { .. } => CommandKind::Service,
        };
        self.numbers.insert(Arc::clone(&message.key), number);
        self.under_way
            .insert(number, RunningCommand { message, asked });
        command
    }

    // --- an end --------------------------------------------------------------------

    /// Takes note of what became of a command. A number that is none of the platform's, or that
    /// was answered before, is ignored.
    pub(crate) fn on_done(
        &mut self,
        now: Mono,
        number: CommandNumber,
        answer: &CommandAnswer,
        outbox: &mut Outbox,
    ) {
        let Some(RunningCommand { message, asked }) = self.under_way.remove(&number) else {
            return;
        };
        self.numbers.remove(&message.key);
        let reply = reply::of(message.id.clone(), asked, answer);
        let body = reply.body();
        let key = Arc::clone(&message.key);
        self.replies.keep(now, key, message.content, reply);
        if self.link || message.waits() == AnswerMode::No {
            self.answer(now, &message, body, outbox);
        } else {
            outbox.count().unsent_answers += 1;
        }
    }

    // --- answers -------------------------------------------------------------------

    /// Returns how many places are taken by messages of this kind.
    fn places_taken(&self, waits: AnswerMode) -> usize {
        let under_way = self.under_way.values();
        let same = under_way.filter(|u| u.message.waits() == waits).count();
        same + self.answers.len(waits)
    }

    /// Queues an answer, if there is a place for it. There is always one for the answer to a
    /// command that was carried out.
    fn answer(&mut self, now: Mono, to: &Incoming, body: Vec<u8>, outbox: &mut Outbox) {
        if self.places_taken(to.waits()) >= to.waits().places() {
            outbox.count().dropped_answers += 1;
            return;
        }
        self.answers.push(Answer {
            key: Arc::clone(&to.key),
            device: to.session,
            since: now,
            body,
        });
    }
}

/// Returns the refusal of a message that holds no command; reports a command of a kind that the
/// gateway does not have.
fn refusal(
    context: &mut Context<'_>,
    command: &topic::CommandTopic,
    unfit: UnfitCommand,
) -> ImmediateRefusal {
    match unfit {
        UnfitCommand::NotSupported(why) => {
            let who = command.device().map(ToString::to_string);
            let unsupported = CloudLogEvent::Topology(TopologyEvent::Unsupported {
                raw: excerpt(command.tail().as_bytes(), 64),
                who: excerpt(who.unwrap_or_default().as_bytes(), 64),
                times: 1,
            });
            context.outbox.often(context.now, unsupported);
            ImmediateRefusal::new(AnswerCode::NotSupported, why)
        }
        UnfitCommand::Malformed(why) => {
            context.outbox.count().malformed += 1;
            ImmediateRefusal::new(AnswerCode::WrongParameter, why)
        }
    }
}
