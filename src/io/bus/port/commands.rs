//! Takes commands in, and reports their ends.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::pending;

use tokio::sync::{mpsc, oneshot};

use crate::base::Mono;
use crate::field::schedule::Schedule;
use crate::field::schedule::command::{Command, CommandId, End, MOST_FOR_A_LINE, Refused};

/// A command for a port, and the sender that is told its end. If nothing is told, the port's
/// task has ended: whether a command that was under way then was carried out is not known.
#[derive(Debug)]
pub struct PortCommand {
    /// What to write.
    pub command: Command,
    /// Is told the end, once.
    pub end: oneshot::Sender<End>,
}

/// The commands of a port that are not yet at an end.
#[derive(Debug)]
pub(super) struct CommandQueue {
    /// `None`: there is no sender of commands, or no longer one.
    incoming: Option<mpsc::Receiver<PortCommand>>,
    /// A command that has come in and is not yet handed to the schedule.
    next: Option<PortCommand>,
    /// The commands that the schedule has, which bounds their number.
    given: BTreeMap<CommandId, oneshot::Sender<End>>,
}

impl CommandQueue {
    pub(super) const fn new(incoming: Option<mpsc::Receiver<PortCommand>>) -> Self {
        CommandQueue {
            incoming,
            next: None,
            given: BTreeMap::new(),
        }
    }

    /// Waits until there is a command to hand in; may be dropped at any time.
    pub(super) async fn wait(&mut self) {
        while self.next.is_none() {
            let Some(incoming) = &mut self.incoming else {
                return pending().await;
            };
            self.next = incoming.recv().await;
            if self.next.is_none() {
                self.incoming = None;
            }
        }
    }

    /// Hands the commands that have come to the schedule, no more at a time than can wait for
    /// the line.
    pub(super) fn hand_in(&mut self, now: Mono, schedule: &mut Schedule) {
        for _ in 0..MOST_FOR_A_LINE {
            let next = self.next.take();
            let incoming = || self.incoming.as_mut()?.try_recv().ok();
            let Some(PortCommand { command, end }) = next.or_else(incoming) else {
                return;
            };
            match schedule.command(now, command) {
                Ok(id) => {
                    self.given.insert(id, end);
                }
                Err(why) => tell(end, End::Refused(why)),
            }
        }
    }

    /// Reports the commands that have ended to their senders.
    pub(super) fn tell_ends(&mut self, schedule: &mut Schedule) {
        while let Some((id, end)) = schedule.poll_end() {
            if let Some(to) = self.given.remove(&id) {
                tell(to, end);
            }
        }
    }

    /// Refuses all commands that come, without end: the line is not open.
    pub(super) async fn refuse(&mut self) -> Infallible {
        loop {
            self.wait().await;
            if let Some(command) = self.next.take() {
                tell(command.end, End::Refused(Refused::LineDown));
            }
        }
    }
}

fn tell(to: oneshot::Sender<End>, end: End) {
    // The receiver may be gone.
    let _ = to.send(end);
}
