//! The packets on one MQTT 3.1.1 connection once CONNACK 0 has come: packets in, events and
//! packets out. Bytes and time are given to it; it has neither a socket nor a clock.
//!
//! Contract: append the bytes read to the inbox ([`MqttSession::buffers`]), no earlier than
//! [`MqttSession::reads_at`], and drain [`MqttSession::next_event`] until `None`; hand commands to
//! [`MqttSession::say`] while [`MqttSession::has_room`]; write out the outbox and tell
//! [`MqttSession::wrote`]; call [`MqttSession::on_time`] no later than [`MqttSession::wake_at`].
//! The first error is the end of the connection.
//!
//! # Pings
//!
//! A PINGREQ goes out every [`PING_EVERY`], whatever other packets are sent and whatever
//! keepalive was declared: the keepalive (300 s by the platform's advice) only says when *the
//! platform* gives *the gateway* up. Two unanswered pings end the connection when the third is
//! due, so a dead peer is noticed within 75 s; Alibaba's C SDK does the same (Link SDK C 4.x:
//! PINGREQ every 25 s, two lost is dead). Other traffic does not count as an answer: a peer
//! that sends but no longer reads counts as dead.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{
    Codec, Packet, PubAck, Publish, Subscribe, SubscribeFilter, SubscribeReasonCode,
};
use tokio_util::codec::Encoder;

use super::events::LinkLogEvent;
use super::input_limit::{InputExcess, InputLimit};
use super::packet::{PACKET_MAX, broken, codec, decode};
use crate::base::{LinkCommand, LinkDown, LinkEvent, Mono, Wake};

/// From one ping to the next.
pub(super) const PING_EVERY: Duration = Duration::from_secs(25);

/// How many unanswered pings end a connection.
const PINGS_MISSED: u8 = 2;

/// For how long not one byte can be written until the connection counts as dead.
pub(super) const STALLED_AFTER: Duration = Duration::from_secs(20);

/// How many filters a SUBSCRIBE packet has. The platform documents no higher limit for certain;
/// small packets also keep a refusal attributable.
const FILTERS_PER_PACKET: usize = 8;

/// Commands are taken while fewer bytes than this wait to be written.
const ROOM: usize = 64 * 1024;

/// Acknowledgements are queued while fewer bytes than this wait to be written: the largest
/// packet, and the bytes that may wait before it. A broker that sends and takes nothing is
/// given up.
const OUTBOX_MAX: usize = PACKET_MAX + 2 * ROOM;

/// The MQTT state of one connection.
#[derive(Debug)]
pub(super) struct MqttSession {
    codec: Codec,
    inbox: BytesMut,
    outbox: BytesMut,
    input_limit: InputLimit,
    /// The excess of what came over what may come, to be reported.
    excess: Option<InputExcess>,
    /// Filters by the id of the SUBSCRIBE whose SUBACK is awaited.
    asked: BTreeMap<u16, Vec<String>>,
    last_id: u16,
    ping_every: Duration,
    ping_at: Mono,
    unanswered: u8,
    /// Since when none of the waiting bytes could be written.
    waiting_since: Option<Mono>,
    /// How many messages did not fit, and the first of them.
    unsendable: u64,
    first_unsendable: Option<LinkLogEvent>,
}

impl MqttSession {
    /// Makes the state of a connection accepted at `now`. `inbox` may hold bytes that came
    /// right behind CONNACK.
    pub(super) fn new(inbox: BytesMut, keepalive: Duration, now: Mono) -> Self {
        // Never longer than the keepalive, which a laboratory may set short.
        let ping_every = PING_EVERY.min(keepalive.mul_f32(0.8));
        MqttSession {
            codec: codec(),
            inbox,
            outbox: BytesMut::new(),
            input_limit: InputLimit::new(now),
            excess: None,
            asked: BTreeMap::new(),
            last_id: 0,
            ping_every,
            ping_at: now + ping_every,
            unanswered: 0,
            waiting_since: None,
            unsendable: 0,
            first_unsendable: None,
        }
    }

    /// Returns the bytes that were read and the bytes to be written.
    pub(super) const fn buffers(&mut self) -> (&mut BytesMut, &mut BytesMut) {
        (&mut self.inbox, &mut self.outbox)
    }

    /// Returns whether bytes wait to be written.
    pub(super) fn has_output(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Takes the next event out of the inbox; `None` also while too much has come, until
    /// [`MqttSession::reads_at`].
    pub(super) fn next_event(&mut self, now: Mono) -> Result<Option<LinkEvent>, LinkDown> {
        while self.reads_at() <= now {
            let before = self.inbox.len();
            let Some(packet) = decode(&mut self.codec, &mut self.inbox)? else {
                break;
            };
            let excess = self.input_limit.take(now, before - self.inbox.len());
            self.excess = self.excess.take().or(excess);
            if self.input_limit.is_flooded(now) {
                return Err(LinkDown::Io(
                    "it keeps sending more than a platform does".into(),
                ));
            }
            match packet {
                Packet::Publish(message) => return self.on_message(message, now).map(Some),
                Packet::SubAck(ack) => {
                    let asked = self.asked.remove(&ack.pkid).unwrap_or_default();
                    let filters: Vec<String> = asked
                        .into_iter()
                        .zip(ack.return_codes)
                        .filter(|(_, code)| matches!(code, SubscribeReasonCode::Failure))
                        .map(|(filter, _)| filter)
                        .collect();
                    if !filters.is_empty() {
                        return Ok(Some(LinkEvent::SubscribeRefused { filters }));
                    }
                }
                Packet::PingResp => self.unanswered = 0,
                // Acknowledgements of packets that are never sent here. They are harmless, and no
                // reason to log out two thousand devices.
                Packet::PubAck(_)
                | Packet::PubRec(_)
                | Packet::PubRel(_)
                | Packet::PubComp(_)
                | Packet::UnsubAck(_) => {}
                Packet::ConnAck(_) => return Err(broken("a second CONNACK")),
                Packet::Connect(_)
                | Packet::Subscribe(_)
                | Packet::Unsubscribe(_)
                | Packet::PingReq
                | Packet::Disconnect => return Err(broken("a packet that only clients send")),
            }
        }
        Ok(None)
    }

    fn on_message(&mut self, message: Publish, now: Mono) -> Result<LinkEvent, LinkDown> {
        match message.qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce if self.outbox.len() > OUTBOX_MAX => {
                let waiting = self.outbox.len() / 1024;
                return Err(LinkDown::Io(format!(
                    "it sends but reads nothing: {waiting} KiB wait to be written"
                )));
            }
            QoS::AtLeastOnce => {
                self.queue(Packet::PubAck(PubAck::new(message.pkid)), now);
            }
            // Subscribed at QoS 1 at most; MQTT 3.1.1 §3.8.4 forbids more.
            QoS::ExactlyOnce => {
                return Err(broken(
                    "a message at QoS 2, which the gateway never asks for",
                ));
            }
        }
        Ok(LinkEvent::Message {
            topic: message.topic,
            payload: message.payload.into(),
        })
    }

    /// Queues a command. `Disconnect` queues DISCONNECT; the caller ends the connection after
    /// it.
    pub(super) fn say(&mut self, command: LinkCommand, now: Mono) {
        match command {
            LinkCommand::Publish { topic, payload } => {
                let size = payload.len();
                // A topic's length is 16 bits, which the codec would wrap.
                let fits = u16::try_from(topic.len()).is_ok();
                let message = Publish {
                    dup: false,
                    qos: QoS::AtMostOnce,
                    retain: false,
                    topic: topic.clone(),
                    pkid: 0,
                    payload: Bytes::from(payload),
                };
                if !fits || !self.queue(Packet::Publish(message), now) {
                    self.give_up(topic, size);
                }
            }
            LinkCommand::Subscribe { filters } => {
                for filters in filters.chunks(FILTERS_PER_PACKET) {
                    self.subscribe(filters, now);
                }
            }
            LinkCommand::Disconnect => {
                self.queue(Packet::Disconnect, now);
            }
        }
    }

    fn subscribe(&mut self, filters: &[String], now: Mono) {
        // 0 is no packet id (§2.3.1).
        self.last_id = self.last_id.checked_add(1).unwrap_or(1);
        let packet = Packet::Subscribe(Subscribe {
            pkid: self.last_id,
            filters: filters
                .iter()
                .map(|f| SubscribeFilter::new(f.clone(), QoS::AtLeastOnce))
                .collect(),
        });
        let fits = filters.iter().all(|f| u16::try_from(f.len()).is_ok());
        if fits && self.queue(packet, now) {
            self.asked.insert(self.last_id, filters.to_vec());
        } else {
            let topic = filters.first().cloned().unwrap_or_default();
            self.give_up(topic, filters.iter().map(String::len).sum());
        }
    }

    /// Encodes a packet behind the others; returns false, and queues nothing, if the packet is
    /// too large.
    fn queue(&mut self, packet: Packet, now: Mono) -> bool {
        let before = self.outbox.len();
        if self.codec.encode(packet, &mut self.outbox).is_err() {
            self.outbox.truncate(before);
            return false;
        }
        self.waiting_since.get_or_insert(now);
        true
    }

    fn give_up(&mut self, topic: String, size: usize) {
        self.unsendable += 1;
        if self.unsendable == 1 {
            self.first_unsendable = Some(LinkLogEvent::Unsendable { topic, size });
        }
    }

    /// Returns from when on more may be read: until then the bytes that were read wait, and no
    /// more are taken from the network.
    pub(super) fn reads_at(&self) -> Mono {
        self.input_limit.ready_at()
    }

    /// Returns the next notice about this connection: the first message that did not fit, and
    /// that more comes than may; each once.
    pub(super) fn take_notice(&mut self) -> Option<LinkLogEvent> {
        let flooded = |excess: InputExcess| LinkLogEvent::Flooded {
            packets: excess.packets,
            bytes: excess.bytes,
            within: excess.within,
        };
        let unsendable = self.first_unsendable.take();
        unsendable.or_else(|| self.excess.take().map(flooded))
    }

    /// Returns how many messages of this connection did not fit.
    pub(super) fn unsendable(&self) -> u64 {
        self.unsendable
    }

    /// Returns whether more may be queued before some of it is written.
    pub(super) fn has_room(&self) -> bool {
        self.outbox.len() < ROOM
    }

    /// Notes that bytes were written at `now`; `all` if nothing is left to write or flush.
    pub(super) fn wrote(&mut self, all: bool, now: Mono) {
        self.waiting_since = if all { None } else { Some(now) };
    }

    /// Returns when [`MqttSession::on_time`] is next to be called.
    pub(super) fn wake_at(&self) -> Wake {
        let ping = Wake::new(self.ping_at, "ping");
        let stalled = self
            .waiting_since
            .map(|since| Wake::new(since + STALLED_AFTER, "write stalled"));
        match stalled {
            Some(stalled) if stalled.at < ping.at => stalled,
            _ => ping,
        }
    }

    /// Sends a ping, or gives the connection up.
    pub(super) fn on_time(&mut self, now: Mono) -> Result<(), LinkDown> {
        if let Some(since) = self.waiting_since
            && now >= since + STALLED_AFTER
        {
            let seconds = STALLED_AFTER.as_secs();
            return Err(LinkDown::Io(format!(
                "not one byte could be written for {seconds} s"
            )));
        }
        if now >= self.ping_at {
            if self.unanswered >= PINGS_MISSED {
                return Err(LinkDown::PingTimeout);
            }
            self.unanswered += 1;
            self.ping_at = now + self.ping_every;
            self.queue(Packet::PingReq, now);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns the events and the end of a connection that reads `bytes` in pieces of `piece`.
    fn told_in_pieces(bytes: &[u8], piece: usize) -> (Vec<LinkEvent>, Option<LinkDown>) {
        let mut mqtt = MqttSession::new(BytesMut::new(), Duration::from_secs(300), Mono::START);
        let mut events = Vec::new();
        for piece in bytes.chunks(piece) {
            mqtt.inbox.extend_from_slice(piece);
            loop {
                match mqtt.next_event(Mono::START) {
                    Ok(Some(event)) => events.push(event),
                    Ok(None) => break,
                    Err(down) => return (events, Some(down)),
                }
            }
        }
        (events, None)
    }

    #[test]
    fn a_broker_that_wants_acknowledgements_and_takes_none_is_given_up() {
        let mut mqtt = MqttSession::new(BytesMut::new(), Duration::from_secs(300), Mono::START);
        let mut now = Mono::START;
        let down = loop {
            let mut publish = Publish::new("t", QoS::AtLeastOnce, "x");
            publish.pkid = 7;
            let mut codec = codec();
            codec
                .encode(Packet::Publish(publish), &mut mqtt.inbox)
                .unwrap();
            now = now + Duration::from_millis(1);
            // Bytes leave one at a time: the connection has not stalled.
            mqtt.wrote(false, now);
            if let Err(down) = mqtt.next_event(now) {
                break down;
            }
            assert!(mqtt.outbox.len() < OUTBOX_MAX + 100);
        };
        assert!(
            matches!(&down, LinkDown::Io(why) if why.contains("reads nothing")),
            "{down:?}"
        );
    }

    #[test]
    fn packets_of_every_kind_are_taken_at_one_rate_and_what_is_left_waits() {
        for packet in [
            vec![0xd0, 0],
            vec![0x40, 2, 0, 1],
            vec![0x62, 2, 0, 1],
            vec![0x90, 3, 0, 1, 1],
            vec![0x30, 4, 0, 1, b't', b'x'],
        ] {
            let mut mqtt = MqttSession::new(BytesMut::new(), Duration::from_secs(300), Mono::START);
            mqtt.inbox.extend(packet.repeat(20_000));
            let drain = |mqtt: &mut MqttSession, now| {
                while mqtt.next_event(now).unwrap().is_some() {}
                mqtt.inbox.len() / packet.len()
            };
            let left = drain(&mut mqtt, Mono::START);
            assert!((11_800..11_820).contains(&left), "{packet:?}: {left}");
            assert!(mqtt.reads_at() > Mono::START);
            assert!(matches!(
                mqtt.take_notice(),
                Some(LinkLogEvent::Flooded { .. })
            ));
            let later = drain(&mut mqtt, Mono::START + Duration::from_secs(1));
            assert!(
                (2_040..2_060).contains(&(left - later)),
                "{packet:?}: {later}"
            );
            assert_eq!(mqtt.take_notice(), None);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_pieces_do_not_matter(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            piece in 1usize..40,
        ) {
            prop_assert_eq!(told_in_pieces(&bytes, piece), told_in_pieces(&bytes, 200));
        }

        #[test]
        fn plausible_packets_with_wrong_insides_do_not_panic(
            kind in 0u8..16,
            flags in 0u8..16,
            body in proptest::collection::vec(any::<u8>(), 0..60),
            piece in 1usize..40,
        ) {
            let mut bytes = vec![kind << 4 | flags, u8::try_from(body.len()).unwrap()];
            bytes.extend_from_slice(&body);
            bytes.extend_from_slice(&[0xd0, 0]);
            prop_assert_eq!(told_in_pieces(&bytes, piece), told_in_pieces(&bytes, 200));
        }
    }
}
