//! The two ends of the channel between the hub and the link.
//!
//! Commands and events cross each other: the hub may still be sending to a connection whose end
//! it has not heard of yet. Sent on the next connection, such a command would be an answer to a
//! question that was not asked there. So every event carries the number of the attempt it
//! belongs to, and every command the number of the last event *its sender had heard*. The link
//! takes only commands with the number of the connection it is on. The number is kept inside
//! [`HubEnd`] and [`LinkEnd`]; neither the hub nor any engine sees it.
//!
//! `Disconnect` is meant for the link itself and holds whatever its number.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc::error::{TryRecvError, TrySendError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::base::{LinkCommand, LinkEvent};

/// How many messages fit between the hub and the link, each way.
pub const CAPACITY: usize = 256;

/// How many bytes of messages fit, each way: four of the largest messages that the platform
/// takes. A slow receiver slows the sender, and costs no more memory than this.
const BYTES: u32 = 1 << 20;

/// How many bytes a message takes besides its topic and payload, about.
const MESSAGE_OVERHEAD: usize = 64;

/// The hub's end: both halves, which may also be used apart.
#[derive(Debug)]
pub struct HubEnd {
    /// The half that sends to the link.
    pub outgoing: Outgoing,
    /// The half that receives from the link.
    pub incoming: Incoming,
}

/// Commands to the link.
#[derive(Debug)]
pub struct Outgoing {
    commands: mpsc::Sender<QueuedMessage<LinkCommand>>,
    heard: Arc<AtomicU64>,
    room: Arc<Semaphore>,
}

/// Events from the link.
#[derive(Debug)]
pub struct Incoming {
    events: mpsc::Receiver<QueuedMessage<LinkEvent>>,
    heard: Arc<AtomicU64>,
}

/// The link's end.
#[derive(Debug)]
pub struct LinkEnd {
    commands: mpsc::Receiver<QueuedMessage<LinkCommand>>,
    events: mpsc::Sender<QueuedMessage<LinkEvent>>,
    room: Arc<Semaphore>,
    attempt: u64,
    dropped: u64,
    stop: CancellationToken,
}

/// A message on its way, the attempt it belongs to, and the room it takes until it is taken
/// out.
#[derive(Debug)]
struct QueuedMessage<T> {
    attempt: u64,
    content: T,
    _room: OwnedSemaphorePermit,
}

/// Returns the room that so many bytes take; one message always fits.
fn room_for(bytes: usize) -> u32 {
    u32::try_from(bytes + MESSAGE_OVERHEAD).map_or(BYTES, |room| room.min(BYTES))
}

fn room_for_command(command: &LinkCommand) -> u32 {
    room_for(match command {
        LinkCommand::Publish { topic, payload } => topic.len() + payload.len(),
        LinkCommand::Subscribe { filters } => filters.iter().map(String::len).sum(),
        LinkCommand::Disconnect => 0,
    })
}

fn room_for_event(event: &LinkEvent) -> u32 {
    room_for(match event {
        LinkEvent::Message { topic, payload } => topic.len() + payload.len(),
        LinkEvent::SubscribeRefused { filters } => filters.iter().map(String::len).sum(),
        LinkEvent::Up | LinkEvent::Down(_) => 0,
    })
}

/// Makes a pair of ends. The link ends by `stop`, by `Disconnect`, or when the [`HubEnd`] is
/// gone.
#[must_use]
pub fn pair(capacity: usize, stop: CancellationToken) -> (HubEnd, LinkEnd) {
    let (command_tx, command_rx) = mpsc::channel(capacity);
    let (event_tx, event_rx) = mpsc::channel(capacity);
    let heard = Arc::new(AtomicU64::new(0));
    let wire = HubEnd {
        outgoing: Outgoing {
            commands: command_tx,
            heard: heard.clone(),
            room: Arc::new(Semaphore::new(BYTES as usize)),
        },
        incoming: Incoming {
            events: event_rx,
            heard,
        },
    };
    let ends = LinkEnd {
        commands: command_rx,
        events: event_tx,
        room: Arc::new(Semaphore::new(BYTES as usize)),
        attempt: 0,
        dropped: 0,
        stop,
    };
    (wire, ends)
}

impl Incoming {
    /// Returns the next event; `None` when the link has ended. May be dropped and called again
    /// without losing an event.
    pub async fn next(&mut self) -> Option<LinkEvent> {
        let QueuedMessage {
            attempt, content, ..
        } = self.events.recv().await?;
        // Both halves belong to one task, which orders their calls itself.
        self.heard.store(attempt, Ordering::Relaxed);
        Some(content)
    }
}

impl Outgoing {
    /// Sends a command to the link, without waiting. A command for a connection that has ended
    /// since is dropped at the other end, and counted there.
    ///
    /// # Errors
    /// `Full`: keep the command and try later. `Closed`: the link has ended. Both hand the
    /// command back.
    pub fn try_send(&self, command: LinkCommand) -> Result<(), TrySendError<LinkCommand>> {
        if self.commands.is_closed() {
            return Err(TrySendError::Closed(command));
        }
        let room = Arc::clone(&self.room).try_acquire_many_owned(room_for_command(&command));
        let Ok(room) = room else {
            return Err(TrySendError::Full(command));
        };
        let queued = QueuedMessage {
            attempt: self.heard.load(Ordering::Relaxed),
            content: command,
            _room: room,
        };
        self.commands.try_send(queued).map_err(|e| match e {
            TrySendError::Full(queued) => TrySendError::Full(queued.content),
            TrySendError::Closed(queued) => TrySendError::Closed(queued.content),
        })
    }

    /// Waits until this command fits; at once if the link has ended.
    pub async fn writable(&self, command: &LinkCommand) {
        let fits = async {
            let _ = self.room.acquire_many(room_for_command(command)).await;
            let _ = self.commands.reserve().await;
        };
        tokio::select! {
            biased;
            () = self.commands.closed() => {}
            () = fits => {}
        }
    }
}

impl LinkEnd {
    /// Begins the next attempt: from now on events belong to it.
    pub(super) fn next_attempt(&mut self) {
        self.attempt += 1;
    }

    /// Returns the token that is cancelled when the link shall end.
    pub(super) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Returns the next order for this connection. May be dropped and called again without
    /// losing an order.
    pub(super) async fn order(&mut self) -> HubOrder {
        loop {
            let received = self.commands.recv().await;
            if let Some(order) = self.sort(received) {
                return order;
            }
        }
    }

    /// Returns the next order without waiting; `None` if there is none now.
    pub(super) fn order_ready(&mut self) -> Option<HubOrder> {
        loop {
            let received = match self.commands.try_recv() {
                Ok(received) => Some(received),
                Err(TryRecvError::Disconnected) => None,
                Err(TryRecvError::Empty) => return None,
            };
            if let Some(order) = self.sort(received) {
                return Some(order);
            }
        }
    }

    /// Makes an order of a received command; `None` for a command that was meant for an earlier
    /// connection.
    fn sort(&mut self, received: Option<QueuedMessage<LinkCommand>>) -> Option<HubOrder> {
        match received.map(|queued| (queued.attempt, queued.content)) {
            None | Some((_, LinkCommand::Disconnect)) => Some(HubOrder::End),
            Some((attempt, command)) if attempt == self.attempt => Some(HubOrder::Send(command)),
            Some(_) => {
                self.dropped += 1;
                None
            }
        }
    }

    /// Drops commands until the link shall end: there is no connection.
    pub(super) async fn until_end(&mut self) {
        while let HubOrder::Send(_) = self.order().await {
            self.dropped += 1;
        }
    }

    /// Sends an event to the hub; returns false if the link shall end instead.
    pub(super) async fn tell(&mut self, event: LinkEvent) -> bool {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            told = send(&self.events, &self.room, self.attempt, event) => told,
        }
    }

    /// Sends an event to the hub even while stopping, if the hub still listens; does not wait
    /// long for it.
    pub(super) async fn tell_last(&mut self, event: LinkEvent) {
        let told = send(&self.events, &self.room, self.attempt, event);
        let _ = tokio::time::timeout(super::MAX_IDLE, told).await;
    }

    /// Adds commands that were dropped elsewhere.
    pub(super) fn count_dropped(&mut self, commands: u64) {
        self.dropped += commands;
    }

    /// Returns how many commands were dropped since the last call.
    pub(super) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}

/// Waits until the message fits, and sends it; returns whether there is still a receiver.
async fn send(
    events: &mpsc::Sender<QueuedMessage<LinkEvent>>,
    room: &Arc<Semaphore>,
    attempt: u64,
    event: LinkEvent,
) -> bool {
    // The semaphore is never closed.
    let Ok(room) = Arc::clone(room)
        .acquire_many_owned(room_for_event(&event))
        .await
    else {
        return false;
    };
    let queued = QueuedMessage {
        attempt,
        content: event,
        _room: room,
    };
    events.send(queued).await.is_ok()
}

/// An order from the hub.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum HubOrder {
    /// Send this command on the connection.
    Send(LinkCommand),
    /// Close the connection: `Disconnect` came, or there is no sender left.
    End,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(topic: &str) -> LinkCommand {
        LinkCommand::Publish {
            topic: topic.to_owned(),
            payload: Vec::new(),
        }
    }

    #[tokio::test]
    async fn what_was_said_before_the_end_was_heard_is_not_said_on_the_next_connection() {
        let (mut wire, mut ends) = pair(8, CancellationToken::new());
        ends.next_attempt();
        assert!(ends.tell(LinkEvent::Up).await);
        wire.incoming.next().await.unwrap();
        wire.outgoing.try_send(publish("first")).unwrap();
        assert_eq!(ends.order().await, HubOrder::Send(publish("first")));

        // The connection is lost and the next one is up before the hub hears of it.
        wire.outgoing.try_send(publish("too late")).unwrap();
        assert!(
            ends.tell(LinkEvent::Down(crate::base::LinkDown::Closed))
                .await
        );
        ends.next_attempt();
        assert!(ends.tell(LinkEvent::Up).await);
        wire.outgoing.try_send(publish("much too late")).unwrap();
        wire.incoming.next().await.unwrap();
        wire.outgoing
            .try_send(publish("knows of the end only"))
            .unwrap();
        wire.incoming.next().await.unwrap();
        wire.outgoing.try_send(publish("second")).unwrap();

        assert_eq!(ends.order().await, HubOrder::Send(publish("second")));
        assert_eq!(ends.take_dropped(), 3);
    }

    fn large(payload: usize) -> LinkCommand {
        LinkCommand::Publish {
            topic: "t".into(),
            payload: vec![0; payload],
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_between_the_two_is_bounded_in_bytes_each_way() {
        let hour = std::time::Duration::from_secs(3600);
        let (mut wire, mut ends) = pair(CAPACITY, CancellationToken::new());
        ends.next_attempt();
        assert!(ends.tell(LinkEvent::Up).await);
        wire.incoming.next().await.unwrap();
        let largest = 256 * 1024;
        let fit = (0..CAPACITY).take_while(|_| wire.outgoing.try_send(large(largest)).is_ok());
        assert_eq!(fit.count(), 3);
        // The sender waits, and taking a message out makes room.
        let held = large(largest);
        let waiting = wire.outgoing.writable(&held);
        assert!(tokio::time::timeout(hour, waiting).await.is_err());
        assert_eq!(ends.order().await, HubOrder::Send(large(largest)));
        wire.outgoing.writable(&held).await;
        wire.outgoing.try_send(held).unwrap();

        let mut told = 0;
        let message = || LinkEvent::Message {
            topic: "t".into(),
            payload: vec![0; largest],
        };
        while tokio::time::timeout(hour, ends.tell(message()))
            .await
            .is_ok()
        {
            told += 1;
        }
        assert_eq!(told, 3);
        drop(ends);
        let held = large(largest);
        wire.outgoing.writable(&held).await;
        let closed = wire.outgoing.try_send(held);
        assert!(matches!(closed, Err(TrySendError::Closed(_))), "{closed:?}");
    }

    #[tokio::test]
    async fn disconnect_ends_the_link_whatever_connection_it_was_meant_for() {
        let (wire, mut ends) = pair(8, CancellationToken::new());
        ends.next_attempt();
        wire.outgoing.try_send(publish("nowhere")).unwrap();
        wire.outgoing.try_send(LinkCommand::Disconnect).unwrap();
        ends.until_end().await;
        assert_eq!(ends.take_dropped(), 1);
    }
}
