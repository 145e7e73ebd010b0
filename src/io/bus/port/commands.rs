//! Takes commands in for the schedule.

use std::future::pending;

use tokio::sync::mpsc;

use super::report::{HubGone, Report};
use crate::base::{BusCommand, BusEnd, Mono, RefusedReason};
use crate::field::schedule::Schedule;

/// How many commands are handed in at a time.
const TURN: usize = 64;

/// The commands that have come in and are not yet the schedule's.
#[derive(Debug)]
pub(super) struct CommandQueue {
    /// `None`: there is no sender of commands, or no longer one.
    incoming: Option<mpsc::Receiver<BusCommand>>,
    /// A command that has come in and is not yet handed to the schedule.
    next: Option<BusCommand>,
}

impl CommandQueue {
    pub(super) const fn new(incoming: Option<mpsc::Receiver<BusCommand>>) -> Self {
        CommandQueue {
            incoming,
            next: None,
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

    /// Hands the commands that have come to the schedule.
    pub(super) fn hand_in(&mut self, now: Mono, schedule: &mut Schedule) {
        for _ in 0..TURN {
            let next = self.next.take();
            let incoming = || self.incoming.as_mut()?.try_recv().ok();
            let Some(command) = next.or_else(incoming) else {
                return;
            };
            schedule.command(now, &command);
        }
    }

    /// Refuses all commands that come, as long as the hub is there: the line is not open.
    pub(super) async fn refuse(&mut self, report: &Report) -> HubGone {
        loop {
            self.wait().await;
            if let Some(command) = self.next.take() {
                let end = BusEnd::refused(&command, RefusedReason::PortDown);
                if let Err(gone) = report.command_ended(end).await {
                    return gone;
                }
            }
        }
    }
}
