//! Runs one connection, from CONNECT to its end: moves bytes between a stream and a
//! [`MqttSession`], and does nothing else. Generic over the stream, so that it runs on a pipe and
//! virtual time as well as on TLS.

use std::io::{self, ErrorKind};
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{Connect, ConnectReturnCode, Packet};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio_util::codec::Encoder;

use super::MAX_IDLE;
use super::channel::{HubOrder, LinkEnd};
use super::mqtt_session::MqttSession;
use super::packet::{broken, codec, decode};
use crate::base::{LinkCommand, LinkDown, LinkEvent, Mono};
use crate::io::log::Journal;
use crate::io::system::clock::Clock;
use crate::io::system::heartbeat::Heartbeat;

/// How long the last packets, the flush and the close may take together.
const DISCONNECT_WITHIN: Duration = Duration::from_secs(2);

/// How many reads are made in a row before everything else gets a turn.
const READS_PER_TURN: u32 = 16;

/// Packet type of CONNACK (MQTT 3.1.1 §2.2.1).
const CONNACK: u8 = 2;

/// The least number of bytes to ask for in one read.
const READ_SIZE: usize = 8 * 1024;

/// An accepted connection.
#[derive(Debug)]
pub(super) struct MqttConnection<S> {
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    unflushed: bool,
    mqtt: MqttSession,
}

impl<S: AsyncRead + AsyncWrite + Unpin> MqttConnection<S> {
    /// Sends CONNECT and waits for CONNACK. The deadline is the caller's.
    pub(super) async fn open(stream: S, connect: Connect, clock: &Clock) -> Result<Self, LinkDown> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let keepalive = Duration::from_secs(connect.keep_alive.into());
        let mut codec = codec();
        let mut bytes = BytesMut::new();
        codec
            .encode(Packet::Connect(connect), &mut bytes)
            .map_err(|e| broken(&format!("the gateway's CONNECT: {e}")))?;
        writer.write_all_buf(&mut bytes).await.map_err(lost)?;
        writer.flush().await.map_err(lost)?;

        loop {
            // Reported at the first byte: another protocol's greeting may look like the beginning
            // of a long packet, whose end would be waited for in vain.
            if bytes.first().is_some_and(|b| b >> 4 != CONNACK) {
                return Err(broken(
                    "something else where CONNACK was due: is this an MQTT port?",
                ));
            }
            match decode(&mut codec, &mut bytes)? {
                Some(Packet::ConnAck(ack)) if ack.code == ConnectReturnCode::Success => break,
                Some(Packet::ConnAck(ack)) => return Err(LinkDown::Refused(ack.code as u8)),
                Some(_) | None => {}
            }
            bytes.reserve(READ_SIZE);
            if reader.read_buf(&mut bytes).await.map_err(lost)? == 0 {
                return Err(LinkDown::Closed);
            }
        }
        Ok(MqttConnection {
            reader,
            writer,
            unflushed: false,
            mqtt: MqttSession::new(bytes, keepalive, clock.now().mono),
        })
    }

    /// Runs until the connection is lost or the link is told to end, and returns why.
    pub(super) async fn live(
        mut self,
        ends: &mut LinkEnd,
        clock: &Clock,
        journal: &Journal,
        heartbeat: &Heartbeat,
    ) -> LinkDown {
        let down = self.turn(ends, clock, journal, heartbeat).await;
        if down == LinkDown::Ours {
            self.part(ends, clock).await;
        }
        ends.count_dropped(self.mqtt.unsendable());
        down
    }

    async fn turn(
        &mut self,
        ends: &mut LinkEnd,
        clock: &Clock,
        journal: &Journal,
        heartbeat: &Heartbeat,
    ) -> LinkDown {
        let stop = ends.stop();
        let mut reads = 0;
        loop {
            heartbeat.beat();
            let now = clock.now().mono;
            match self.mqtt.next_event(now) {
                Ok(Some(event)) => {
                    // Waiting for the hub here is right: the hub never waits for the link.
                    if !ends.tell(event).await {
                        return LinkDown::Ours;
                    }
                    continue;
                }
                Ok(None) => {}
                Err(down) => return down,
            }
            while let Some(notice) = self.mqtt.take_notice() {
                journal.tell(&notice);
            }
            let mut wake = self.mqtt.wake_at().at.min(now + MAX_IDLE);
            let may_read = self.mqtt.reads_at() <= now;
            if !may_read {
                wake = wake.min(self.mqtt.reads_at());
            }
            let to_write = self.unflushed || self.mqtt.has_output();
            let has_room = self.mqtt.has_room();
            let (inbox, outbox) = self.mqtt.buffers();
            inbox.reserve(READ_SIZE);
            tokio::select! {
                biased;
                () = stop.cancelled() => return LinkDown::Ours,
                n = self.reader.read_buf(inbox), if may_read && reads < READS_PER_TURN => {
                    match n {
                        Ok(0) => return LinkDown::Closed,
                        Ok(_) => reads += 1,
                        Err(e) => return lost(e),
                    }
                    continue;
                }
                done = push(&mut self.writer, outbox, &mut self.unflushed), if to_write => {
                    match done {
                        Ok(()) => self.mqtt.wrote(
                            !self.mqtt.has_output() && !self.unflushed,
                            clock.now().mono,
                        ),
                        Err(e) => return lost(e),
                    }
                }
                order = ends.order(), if has_room => {
                    if self.say(order, ends, now) == SessionFlow::End {
                        return LinkDown::Ours;
                    }
                }
                () = clock.sleep_until(wake) => {
                    if let Err(down) = self.mqtt.on_time(clock.now().mono) {
                        return down;
                    }
                }
                // Only after a long row of reads, when nothing else was ready.
                () = tokio::task::yield_now(), if reads >= READS_PER_TURN => {}
            }
            reads = 0;
        }
    }

    /// Queues one order, and further orders that are ready as far as there is room, so that
    /// they share a write.
    fn say(&mut self, order: HubOrder, ends: &mut LinkEnd, now: Mono) -> SessionFlow {
        let mut next = Some(order);
        while let Some(order) = next {
            match order {
                HubOrder::Send(command) => self.mqtt.say(command, now),
                HubOrder::End => return SessionFlow::End,
            }
            next = if self.mqtt.has_room() {
                ends.order_ready()
            } else {
                None
            };
        }
        SessionFlow::Continue
    }

    /// Sends what is left to send, and closes the connection.
    async fn part(&mut self, ends: &mut LinkEnd, clock: &Clock) {
        let now = clock.now().mono;
        while let Some(HubOrder::Send(command)) = ends.order_ready() {
            self.mqtt.say(command, now);
        }
        self.disconnect(clock).await;
    }

    /// Returns the next message, for a transaction of the link's own. May be dropped and called
    /// again without losing anything.
    pub(super) async fn next_message(
        &mut self,
        clock: &Clock,
    ) -> Result<(String, Vec<u8>), LinkDown> {
        loop {
            let now = clock.now().mono;
            match self.mqtt.next_event(now)? {
                Some(LinkEvent::Message { topic, payload }) => return Ok((topic, payload)),
                Some(_) => continue,
                None => {}
            }
            if self.mqtt.reads_at() > now {
                clock.sleep_until(self.mqtt.reads_at()).await;
                continue;
            }
            let (inbox, _) = self.mqtt.buffers();
            inbox.reserve(READ_SIZE);
            let read = self.reader.read_buf(inbox).await;
            if read.map_err(lost)? == 0 {
                return Err(LinkDown::Closed);
            }
        }
    }

    /// Writes what is queued and DISCONNECT, then closes both ways: a socket closed with unread
    /// bytes in it resets the connection, and the reset may overtake the last packets.
    pub(super) async fn disconnect(&mut self, clock: &Clock) {
        self.mqtt.say(LinkCommand::Disconnect, clock.now().mono);
        let (inbox, outbox) = self.mqtt.buffers();
        let closing = async {
            self.writer.write_all_buf(outbox).await?;
            self.writer.flush().await?;
            self.writer.shutdown().await?;
            while self.reader.read_buf(inbox).await? > 0 {
                inbox.clear();
            }
            io::Result::Ok(())
        };
        // The connection ends here even if these could not be sent in time.
        let _ = tokio::time::timeout(DISCONNECT_WITHIN, closing).await;
    }
}

#[derive(PartialEq, Eq)]
enum SessionFlow {
    Continue,
    End,
}

/// Writes some of `bytes`, or flushes once all are written. May be dropped at
/// any await without losing or repeating a byte.
async fn push<W: AsyncWrite + Unpin>(
    writer: &mut W,
    bytes: &mut BytesMut,
    unflushed: &mut bool,
) -> io::Result<()> {
    if !bytes.is_empty() {
        if writer.write_buf(bytes).await? == 0 {
            return Err(ErrorKind::WriteZero.into());
        }
        *unflushed = true;
        return Ok(());
    }
    writer.flush().await?;
    *unflushed = false;
    Ok(())
}

/// Returns the reason for a lost connection from a failed read or write.
fn lost(error: io::Error) -> LinkDown {
    match error.kind() {
        // The last kind is rustls' error when TLS ends without close_notify.
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => LinkDown::Closed,
        _ => LinkDown::Io(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
