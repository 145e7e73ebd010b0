//! Tests a session against a broker that does exactly what the test says, on a pipe and virtual
//! time.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{
    Codec, ConnAck, PubAck, Publish, SubAck, SubscribeFilter, SubscribeReasonCode,
};
use tokio::io::DuplexStream;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::codec::Framed;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::base::LinkEvent;
use crate::io::link::channel::{HubEnd, pair};
use crate::io::link::packet::PACKET_MAX;
use crate::io::log::tests::spec;

mod end;
mod time;

type Broker = Framed<DuplexStream, Codec>;

/// A broker and a client that has been accepted, with the hub's end of it.
struct World {
    broker: Broker,
    wire: HubEnd,
    stop: CancellationToken,
    heartbeat: Heartbeat,
    session: JoinHandle<LinkDown>,
    since: Instant,
}

fn connect() -> Connect {
    let mut connect = Connect::new("a1Gw.gw|securemode=3|");
    connect.keep_alive = 300;
    connect.set_login("gw&a1Gw", "sign");
    connect
}

fn pipe(size: usize) -> (Broker, DuplexStream) {
    let (ours, theirs) = tokio::io::duplex(size);
    (Framed::new(theirs, codec()), ours)
}

async fn world(pipe_size: usize) -> World {
    let (mut broker, stream) = pipe(pipe_size);
    let clock = Clock::system();
    let stop = CancellationToken::new();
    let (mut wire, mut ends) = pair(256, stop.clone());
    let heartbeat = Heartbeat::new("link");
    let beating = heartbeat.clone();
    let session = tokio::spawn(async move {
        let journal = Journal::new(Arc::new(spec()));
        ends.next_attempt();
        let session = MqttConnection::open(stream, connect(), &clock)
            .await
            .unwrap();
        assert!(ends.tell(LinkEvent::Up).await);
        session.live(&mut ends, &clock, &journal, &beating).await
    });
    assert!(matches!(next(&mut broker).await, Some(Packet::Connect(_))));
    accept(&mut broker).await;
    assert_eq!(wire.incoming.next().await, Some(LinkEvent::Up));
    World {
        broker,
        wire,
        stop,
        heartbeat,
        session,
        since: Instant::now(),
    }
}

async fn accept(broker: &mut Broker) {
    let ack = ConnAck::new(ConnectReturnCode::Success, false);
    broker.send(Packet::ConnAck(ack)).await.unwrap();
}

/// Returns the next packet; `None` when the client closed.
async fn next(broker: &mut Broker) -> Option<Packet> {
    broker.next().await.map(Result::unwrap)
}

fn publish(n: usize) -> LinkCommand {
    LinkCommand::Publish {
        topic: "/sys/a/b/thing/event/property/pack/post".to_owned(),
        payload: n.to_string().into_bytes(),
    }
}

fn message(qos: QoS, pkid: u16, payload: &str) -> Packet {
    let mut message = Publish::new("/sys/a/b/reply", qos, payload);
    message.pkid = pkid;
    Packet::Publish(message)
}

fn heard(payload: &str) -> LinkEvent {
    LinkEvent::Message {
        topic: "/sys/a/b/reply".to_owned(),
        payload: payload.as_bytes().to_vec(),
    }
}

// ---- CONNECT -------------------------------------------------------------

/// Returns how opening ends when the broker answers CONNECT with these bytes and hangs up.
async fn opened_with(answer: &[u8]) -> Result<(), LinkDown> {
    let (broker, stream) = pipe(4096);
    let clock = Clock::system();
    let open = tokio::spawn(async move { MqttConnection::open(stream, connect(), &clock).await });
    let mut socket = broker.into_inner();
    let mut connect = [0; 14];
    socket.read_exact(&mut connect).await.unwrap();
    socket.write_all(answer).await.unwrap();
    drop(socket);
    open.await.unwrap().map(|_| ())
}

#[tokio::test(start_paused = true)]
async fn connect_asks_for_a_clean_session_with_the_declared_keepalive_and_no_will() {
    let (mut broker, stream) = pipe(4096);
    let clock = Clock::system();
    let open = tokio::spawn(async move { MqttConnection::open(stream, connect(), &clock).await });
    let Some(Packet::Connect(said)) = next(&mut broker).await else {
        panic!("no CONNECT");
    };
    assert!(said.clean_session);
    assert_eq!(said.keep_alive, 300);
    assert_eq!(said.last_will, None);
    assert_eq!(said.client_id, "a1Gw.gw|securemode=3|");
    assert!(said.login.unwrap().validate("gw&a1Gw", "sign"));
    accept(&mut broker).await;
    assert!(open.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn each_answer_to_connect_has_its_own_meaning() {
    let protocol = |r: Result<(), LinkDown>| matches!(r, Err(LinkDown::Protocol(_)));
    assert_eq!(opened_with(&[0x20, 2, 0, 0]).await, Ok(()));
    assert_eq!(opened_with(&[0x20, 2, 1, 0]).await, Ok(()));
    for code in 1..=255 {
        let refused = opened_with(&[0x20, 2, 0, code]).await;
        assert_eq!(refused, Err(LinkDown::Refused(code)));
    }
    assert_eq!(opened_with(&[]).await, Err(LinkDown::Closed));
    assert_eq!(opened_with(&[0x20, 2]).await, Err(LinkDown::Closed));
    assert!(protocol(opened_with(&[0x20, 0]).await));
    assert!(protocol(opened_with(b"HTTP/1.1 400 Bad Request\r\n").await));
    assert!(protocol(opened_with(b"\x15\x03\x03").await), "a TLS alert");
    assert!(protocol(opened_with(&[0xd0, 0]).await), "PINGRESP first");
}

#[tokio::test(start_paused = true)]
async fn what_comes_right_behind_connack_is_heard() {
    let (mut broker, stream) = pipe(4096);
    let clock = Clock::system();
    let stop = CancellationToken::new();
    let (mut wire, mut ends) = pair(8, stop);
    let ack = ConnAck::new(ConnectReturnCode::Success, false);
    broker.feed(Packet::ConnAck(ack)).await.unwrap();
    broker
        .feed(message(QoS::AtMostOnce, 0, "at once"))
        .await
        .unwrap();
    broker.flush().await.unwrap();
    tokio::spawn(async move {
        let journal = Journal::new(Arc::new(spec()));
        let session = MqttConnection::open(stream, connect(), &clock)
            .await
            .unwrap();
        session
            .live(&mut ends, &clock, &journal, &Heartbeat::new("link"))
            .await
    });
    assert_eq!(wire.incoming.next().await, Some(heard("at once")));
}

// ---- messages ------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn messages_are_heard_and_acknowledged_as_their_qos_asks() {
    let mut w = world(4096).await;
    w.broker
        .send(message(QoS::AtMostOnce, 0, "zero"))
        .await
        .unwrap();
    w.broker
        .send(message(QoS::AtLeastOnce, 7, "one"))
        .await
        .unwrap();
    assert_eq!(w.wire.incoming.next().await, Some(heard("zero")));
    assert_eq!(w.wire.incoming.next().await, Some(heard("one")));
    assert_eq!(
        next(&mut w.broker).await,
        Some(Packet::PubAck(PubAck::new(7)))
    );

    w.broker
        .send(message(QoS::ExactlyOnce, 8, "two"))
        .await
        .unwrap();
    assert!(matches!(w.session.await.unwrap(), LinkDown::Protocol(_)));
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_nobody_asked_for_is_not_worth_a_connection() {
    let mut w = world(4096).await;
    w.broker.send(Packet::PubAck(PubAck::new(9))).await.unwrap();
    let ack = SubAck::new(9, vec![SubscribeReasonCode::Failure]);
    w.broker.send(Packet::SubAck(ack)).await.unwrap();
    w.broker
        .send(message(QoS::AtMostOnce, 0, "still here"))
        .await
        .unwrap();
    assert_eq!(w.wire.incoming.next().await, Some(heard("still here")));
}

#[tokio::test(start_paused = true)]
async fn packets_only_clients_send_end_the_connection() {
    let connack = ConnAck::new(ConnectReturnCode::Success, false);
    for packet in [
        Packet::PingReq,
        Packet::Disconnect,
        Packet::ConnAck(connack),
    ] {
        let mut w = world(4096).await;
        w.broker.send(packet).await.unwrap();
        assert!(matches!(w.session.await.unwrap(), LinkDown::Protocol(_)));
    }
}

#[tokio::test(start_paused = true)]
async fn subscriptions_travel_in_packets_of_eight_and_refusals_name_their_filters() {
    let mut w = world(4096).await;
    let filters: Vec<String> = (0..20).map(|n| format!("/f/{n}")).collect();
    w.wire
        .outgoing
        .try_send(LinkCommand::Subscribe { filters })
        .unwrap();
    let mut ids = Vec::new();
    let mut sizes = Vec::new();
    for _ in 0..3 {
        let Some(Packet::Subscribe(said)) = next(&mut w.broker).await else {
            panic!("no SUBSCRIBE");
        };
        sizes.push(said.filters.len());
        ids.push(said.pkid);
        if ids.len() == 2 {
            let first = SubscribeFilter::new("/f/8".to_owned(), QoS::AtLeastOnce);
            assert_eq!(said.filters[0], first);
        }
    }
    assert_eq!(sizes, [8, 8, 4]);
    // Answers may come in any order.
    let good = SubscribeReasonCode::Success(QoS::AtLeastOnce);
    let mut codes = vec![good; 8];
    codes[1] = SubscribeReasonCode::Failure;
    codes[7] = SubscribeReasonCode::Failure;
    let second = SubAck::new(ids[1], codes);
    let first = SubAck::new(ids[0], vec![good; 8]);
    w.broker.send(Packet::SubAck(second)).await.unwrap();
    w.broker.send(Packet::SubAck(first)).await.unwrap();
    let refused = LinkEvent::SubscribeRefused {
        filters: vec!["/f/9".to_owned(), "/f/15".to_owned()],
    };
    assert_eq!(w.wire.incoming.next().await, Some(refused));
}

#[tokio::test(start_paused = true)]
async fn a_packet_beyond_the_limit_ends_the_connection_in_and_is_dropped_out() {
    let mut w = world(4096).await;
    let huge = LinkCommand::Publish {
        topic: "/huge".to_owned(),
        payload: vec![b'x'; PACKET_MAX],
    };
    let wide = LinkCommand::Publish {
        topic: "t".repeat(70_000),
        payload: Vec::new(),
    };
    w.wire.outgoing.try_send(huge).unwrap();
    w.wire.outgoing.try_send(wide).unwrap();
    w.wire.outgoing.try_send(publish(1)).unwrap();
    let Some(Packet::Publish(said)) = next(&mut w.broker).await else {
        panic!("no PUBLISH");
    };
    assert_eq!(&said.payload[..], b"1", "the good one, and unharmed");

    // A fixed header that promises one byte more than is allowed.
    let mut socket = w.broker.into_inner();
    socket.write_all(&[0x30, 0x81, 0x80, 0x10]).await.unwrap();
    assert!(matches!(w.session.await.unwrap(), LinkDown::Protocol(_)));
}
