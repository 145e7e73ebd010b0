//! The coordinator's loop: takes one input, makes one mutation, drains the outputs, sleeps.
//!
//! This is the only task that waits for many things at once. The loop never waits for a full
//! channel: when the link's channel is full, the one command that did not fit is held here and
//! the coordinator is not polled for more. The coordinator's outputs wait inside the engine,
//! which was built to hold them; inputs keep flowing.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::link::{HubEnd, Outgoing};
use super::log::Journal;
use crate::base::{
    CommandAction, CommandAnswer, CommandNumber, FieldEvent, LinkCommand, Mono, Now,
};
use crate::cloud::{RemoteResult, RemoteTask};
use crate::control::metrics::Figures;
use crate::control::picture::{Device, Status};
use crate::hub::{Coordinator, Input, Output};
use crate::io::bus::port_commands::PortCommands;
use crate::io::store::reading_store::{ReadingStore, StoreAnswer};
use crate::io::store::secret_writer::SecretWriter;
use crate::io::system::clock::Clock;
use crate::io::system::heartbeat::Heartbeat;
use crate::spec::{Changes, Spec};

/// How many inputs are handled in one turn before the other branches of the loop run.
const TURN: usize = 64;
/// The longest pause of the loop, so that the watchdog sees it move.
const MAX_IDLE: std::time::Duration = std::time::Duration::from_secs(2);

/// How often the status line is made anew while things happen: it costs a look at every device.
const STATUS_EVERY: std::time::Duration = std::time::Duration::from_millis(500);

/// The channels between the loop and the other tasks.
#[derive(Debug)]
pub struct Channels {
    /// From all ports.
    pub field: mpsc::Receiver<FieldEvent>,
    /// From and to the link.
    pub link: HubEnd,
    /// From the supervisor.
    pub control: mpsc::Receiver<Control>,
    /// To the task that runs remote tasks. The channel takes four without waiting: there is one
    /// remote task for a file and one for the file on probation, and each may have run out
    /// once.
    pub remote_tasks: mpsc::Sender<RemoteTask>,
    /// From the control socket and the metrics.
    pub questions: mpsc::Receiver<OperatorQuestion>,
    /// To the ports.
    pub commands: PortCommands,
    /// The status line for the service manager.
    pub status: watch::Sender<String>,
}

/// What the supervisor tells the loop to do. Each message is answered when it is done; an
/// answer is lost if its receiver is gone.
#[derive(Debug)]
pub enum Control {
    /// A remote task has ended.
    RemoteTaskDone(RemoteResult),
    /// Leave this connection: log all sub-devices out, tell the link to disconnect.
    LeaveConnection(oneshot::Sender<()>),
    /// Go on with another configuration. What the field reported before is handled before.
    Reload {
        /// The new installation.
        spec: Arc<Spec>,
        /// How the new installation differs from the last.
        changes: Box<Changes>,
        /// Whether the gateway has an identity.
        commissioned: bool,
        /// The hub's end of another link, if the connection changes.
        wire: Option<HubEnd>,
        /// Answered when the new configuration is in force.
        done: oneshot::Sender<()>,
    },
}

/// A question of an operator. Answered at once, between two events; an answer is lost if its
/// receiver is gone.
#[derive(Debug)]
pub enum OperatorQuestion {
    /// The state of the gateway.
    Status(oneshot::Sender<Box<Status>>),
    /// All devices, without values.
    Devices(oneshot::Sender<Vec<Device>>),
    /// Everything that is counted.
    Figures(oneshot::Sender<Box<Figures>>),
    /// Everything about one device.
    Device {
        /// The device's name in the configuration.
        name: String,
        /// `None` if no device has this name.
        answer: oneshot::Sender<Option<Box<Device>>>,
    },
    /// A command of a user of this machine. Its answer comes when the command has ended.
    Command {
        /// The device's name in the configuration.
        name: String,
        /// What is to be done.
        action: CommandAction,
        /// The number of the user.
        user: u32,
        /// Whether that user may give commands; if not, this one is refused and recorded.
        is_permitted: bool,
        /// `None` if no device has this name.
        answer: oneshot::Sender<Option<Box<CommandAnswer>>>,
    },
}

/// The users of this machine that wait for the answer to their command.
type WaitingUsers = BTreeMap<CommandNumber, oneshot::Sender<Option<Box<CommandAnswer>>>>;

impl OperatorQuestion {
    fn answer(self, hub: &mut Coordinator, waiting: &mut WaitingUsers, now: Now) {
        match self {
            OperatorQuestion::Command {
                name,
                action,
                user,
                is_permitted,
                answer,
            } => match hub.command(now, &name, action, (user, is_permitted)) {
                Some(number) => drop(waiting.insert(number, answer)),
                None => drop(answer.send(None)),
            },
            OperatorQuestion::Status(answer) => drop(answer.send(Box::new(hub.snapshot(now)))),
            OperatorQuestion::Devices(answer) => drop(answer.send(hub.devices(now).collect())),
            OperatorQuestion::Figures(answer) => drop(answer.send(Box::new(hub.figures(now)))),
            OperatorQuestion::Device { name, answer } => {
                drop(answer.send(hub.device(now, &name).map(Box::new)));
            }
        }
    }
}

/// What outlives the process, as the loop uses it.
#[derive(Debug)]
pub struct Stores {
    /// Secrets that the platform gives.
    pub secrets: SecretWriter,
    /// Readings that cannot be delivered.
    pub readings: ReadingStore,
}

/// Runs the loop until it has stopped. After `stop` is cancelled all sub-devices are logged
/// out, the link is told to disconnect and every secret is kept that can be; then this returns.
pub async fn run(
    mut hub: Coordinator,
    mut stores: Stores,
    mut channels: Channels,
    clock: Clock,
    journal: Journal,
    heartbeat: Heartbeat,
    stop: CancellationToken,
) {
    let mut outbox = HubOutbox {
        link: channels.link.outgoing,
        pending: None,
        commands: channels.commands,
        waiting: WaitingUsers::new(),
    };
    hand_over(&mut hub, &stores.secrets, clock);
    hub.handle(clock.now(), Input::SecretStore { usable: false });
    let mut usable = false;
    let mut stopping = false;
    let mut parting: Option<oneshot::Sender<()>> = None;
    let mut watch = ClockWatch::default();
    let mut status_at = clock.now().mono;
    loop {
        if let Some(input) = watch.look(clock) {
            hub.handle(clock.now(), input);
        }
        let now = clock.now();
        if usable != stores.secrets.is_usable(now.mono) {
            usable = !usable;
            hub.handle(now, Input::SecretStore { usable });
        }
        match outbox.drain(
            &mut hub,
            &mut stores,
            &channels.remote_tasks,
            clock,
            &journal,
        ) {
            DrainState::Stopped => {
                // The last command, DISCONNECT, must reach the link.
                outbox.finish().await;
                stores.secrets.finish(clock).await;
                stores.readings.finish().await;
                return;
            }
            DrainState::ConnectionLeft => {
                if let Some(done) = parting.take() {
                    let _ = done.send(());
                }
                continue;
            }
            DrainState::Drained => {}
        }
        let now = clock.now().mono;
        let stale = now < status_at;
        if !stale {
            status_at = now + STATUS_EVERY;
            channels.status.send_if_modified(|told| {
                let line = hub.status().line();
                let news = *told != line;
                *told = line;
                news
            });
        }
        heartbeat.beat();
        stores
            .secrets
            .start(clock.now().mono, hub.wants_secrets(clock.now()));
        let breath = if stale { status_at } else { now + MAX_IDLE };
        let wake = hub.wake_at().map_or(breath, |w| w.at.min(breath));
        let input = tokio::select! {
            biased;
            () = stop.cancelled(), if !stopping => {
                stopping = true;
                Input::Stop
            }
            Some(control) = channels.control.recv(), if !stopping => match control {
                Control::RemoteTaskDone(done) => Input::RemoteTaskDone(done),
                Control::LeaveConnection(done) => {
                    parting = Some(done);
                    Input::LeaveConnection
                }
                Control::Reload { spec, changes, commissioned, wire, done } => {
                    for _ in 0..channels.field.len() {
                        if let Ok(event) = channels.field.try_recv() {
                            hub.handle(clock.now(), Input::Field(event));
                        }
                    }
                    if let Some(wire) = wire {
                        channels.link.incoming = wire.incoming;
                        outbox.link = wire.outgoing;
                        outbox.pending = None;
                    }
                    let again = stores.secrets.respec(spec.clone(), &changes);
                    stores.readings.respec(&spec, commissioned);
                    hub.handle(clock.now(), Input::Reload { spec, changes, commissioned });
                    for (device, secret) in again {
                        hub.handle(clock.now(), Input::Secret { device, secret });
                    }
                    let _ = done.send(());
                    Input::Time
                }
            },
            Some(question) = channels.questions.recv() => {
                question.answer(&mut hub, &mut outbox.waiting, clock.now());
                Input::Time
            }
            () = outbox.fits() => Input::Time,
            fresh = stores.secrets.written(clock) => {
                if fresh {
                    hand_over(&mut hub, &stores.secrets, clock);
                }
                Input::Time
            }
            answer = stores.readings.answer() => match answer {
                StoreAnswer::Open { has_values } => Input::StoreOpen { has_values },
                StoreAnswer::Stored { at } => Input::Stored { at },
                StoreAnswer::Read { readings, next } => Input::StoreRead { readings, next },
                StoreAnswer::ReadFailed { from } => Input::StoreReadFailed { from },
                StoreAnswer::Status(status) => Input::StoreStatus(status),
                StoreAnswer::Gone(status) => Input::StoreGone(status),
            },
            Some(event) = channels.link.incoming.next() => Input::Link(event),
            Some(event) = channels.field.recv() => Input::Field(event),
            () = clock.sleep_until(wake) => Input::Time,
        };
        hub.handle(clock.now(), input);
        // Further field events are cheaper to take now than by one wake-up each; the budget
        // keeps the other branches running.
        for _ in 0..TURN {
            let Ok(event) = channels.field.try_recv() else {
                break;
            };
            hub.handle(clock.now(), Input::Field(event));
        }
    }
}

/// Hands the coordinator the secrets that the secret store has, so that it does not request
/// them.
fn hand_over(hub: &mut Coordinator, secret_writer: &SecretWriter, clock: Clock) {
    for (device, secret) in secret_writer.kept() {
        hub.handle(clock.now(), Input::Secret { device, secret });
    }
}

/// How far the coordinator is.
enum DrainState {
    /// The coordinator has no more outputs for now, or the link takes no more.
    Drained,
    /// The coordinator has left the connection.
    ConnectionLeft,
    /// The coordinator has stopped.
    Stopped,
}

/// Watches the system's clock until it is synchronised.
#[derive(Default)]
struct ClockWatch {
    synchronised: bool,
    next: Option<Mono>,
}

impl ClockWatch {
    /// Returns the input for the coordinator about the clock, if it is time to look.
    fn look(&mut self, clock: Clock) -> Option<Input> {
        let now = clock.now().mono;
        if self.synchronised || self.next.is_some_and(|at| now < at) {
            return None;
        }
        self.next = Some(now + MAX_IDLE);
        self.synchronised = clock.is_synchronised();
        Some(Input::Clock {
            synchronised: self.synchronised,
        })
    }
}

/// The sending side: towards the link, of which at most one command that did not fit is held;
/// towards the ports; and towards users who wait for the answer to a command.
struct HubOutbox {
    link: Outgoing,
    pending: Option<LinkCommand>,
    commands: PortCommands,
    waiting: WaitingUsers,
}

impl HubOutbox {
    /// Carries out the coordinator's outputs, as far as the link takes them.
    fn drain(
        &mut self,
        hub: &mut Coordinator,
        stores: &mut Stores,
        remote_tasks: &mpsc::Sender<RemoteTask>,
        clock: Clock,
        journal: &Journal,
    ) -> DrainState {
        loop {
            if let Some(command) = self.pending.take() {
                match self.link.try_send(command) {
                    // A link that has ended takes nothing. A gateway that is not commissioned has
                    // no link; otherwise the whole service is ending.
                    Ok(()) | Err(TrySendError::Closed(_)) => {}
                    Err(TrySendError::Full(command)) => {
                        self.pending = Some(command);
                        return DrainState::Drained;
                    }
                }
            }
            match hub.poll(clock.now()) {
                None => return DrainState::Drained,
                Some(Output::Link(command)) => self.pending = Some(command),
                Some(Output::LogEvent(notice)) => journal.tell(&notice),
                Some(Output::StoreSecret { device, secret }) => stores.secrets.keep(device, secret),
                Some(Output::Store(readings)) => stores.readings.store(readings),
                Some(Output::ReadStore { from, most }) => stores.readings.read(from, most),
                Some(Output::Settle(values)) => stores.readings.settle(values),
                Some(Output::Bus { port, command }) => {
                    let number = command.number;
                    if !self.commands.send(port, command) {
                        hub.handle(clock.now(), Input::PortBusy(number));
                    }
                }
                Some(Output::Answer { number, answer }) => {
                    if let Some(to) = self.waiting.remove(&number) {
                        // The user may be gone.
                        let _ = to.send(Some(Box::new(answer)));
                    }
                }
                // If the remote task were ever lost, it would time out in the coordinator.
                Some(Output::RemoteTask(remote_task)) => drop(remote_tasks.try_send(remote_task)),
                Some(Output::ConnectionLeft) => return DrainState::ConnectionLeft,
                Some(Output::Stopped) => return DrainState::Stopped,
            }
        }
    }

    /// Waits until the held command fits; for ever if none is held.
    async fn fits(&self) {
        match &self.pending {
            Some(command) => self.link.writable(command).await,
            None => std::future::pending().await,
        }
    }

    async fn finish(mut self) {
        while let Some(command) = self.pending.take() {
            self.link.writable(&command).await;
            if let Err(TrySendError::Full(command)) = self.link.try_send(command) {
                self.pending = Some(command);
            }
        }
    }
}
