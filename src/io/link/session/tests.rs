//! A session against a broker that does exactly what the test says, on a pipe
//! and virtual time.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use proptest::prelude::*;
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
use crate::io::link::channel::{Wire, pair};
use crate::io::link::talk::{PACKET_MAX, STALLED_AFTER};
use crate::io::log::tests::spec;

type Broker = Framed<DuplexStream, Codec>;

/// A broker and a client that has been accepted, with the hub's end of it.
struct World {
    broker: Broker,
    wire: Wire,
    stop: CancellationToken,
    pulse: Pulse,
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
    let pulse = Pulse::new("link");
    let beating = pulse.clone();
    let session = tokio::spawn(async move {
        let journal = Journal::new(Arc::new(spec()));
        ends.next_attempt();
        let session = Session::open(stream, connect(), &clock).await.unwrap();
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
        pulse,
        session,
        since: Instant::now(),
    }
}

async fn accept(broker: &mut Broker) {
    let ack = ConnAck::new(ConnectReturnCode::Success, false);
    broker.send(Packet::ConnAck(ack)).await.unwrap();
}

/// The next packet; `None` when the client closed.
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

/// How opening ends when the broker answers CONNECT with these bytes and hangs
/// up.
async fn opened_with(answer: &[u8]) -> Result<(), LinkDown> {
    let (broker, stream) = pipe(4096);
    let clock = Clock::system();
    let open = tokio::spawn(async move { Session::open(stream, connect(), &clock).await });
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
    let open = tokio::spawn(async move { Session::open(stream, connect(), &clock).await });
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
        let session = Session::open(stream, connect(), &clock).await.unwrap();
        session
            .live(&mut ends, &clock, &journal, &Pulse::new("link"))
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

// ---- pings and stalls ----------------------------------------------------

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_pinged_every_25_seconds_and_lives_on() {
    let mut w = world(4096).await;
    for n in 1..=20 {
        assert_eq!(next(&mut w.broker).await, Some(Packet::PingReq));
        assert_eq!(w.since.elapsed().as_secs(), 25 * n);
        w.broker.send(Packet::PingResp).await.unwrap();
    }
    assert!(!w.session.is_finished());
}

#[tokio::test(start_paused = true)]
async fn two_unanswered_pings_end_the_connection() {
    let w = world(4096).await;
    let down = w.session.await.unwrap();
    assert_eq!(down, LinkDown::PingTimeout);
    assert_eq!(w.since.elapsed().as_secs(), 75);
}

#[tokio::test(start_paused = true)]
async fn one_lost_answer_is_forgiven() {
    let mut w = world(4096).await;
    for n in 1..=20 {
        assert_eq!(next(&mut w.broker).await, Some(Packet::PingReq));
        if n % 2 == 0 {
            w.broker.send(Packet::PingResp).await.unwrap();
        }
    }
    assert!(!w.session.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_talks_but_answers_no_ping_is_dead_to_us() {
    let mut w = world(1 << 20).await;
    let talking = async {
        while w
            .broker
            .send(message(QoS::AtMostOnce, 0, "la"))
            .await
            .is_ok()
        {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let listening = async { while w.wire.incoming.next().await.is_some() {} };
    tokio::join!(talking, listening);
    assert_eq!(w.session.await.unwrap(), LinkDown::PingTimeout);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stops_reading_is_given_up_when_nothing_can_be_written() {
    let w = world(256).await;
    for n in 0..100 {
        w.wire.outgoing.try_send(publish(n)).unwrap();
    }
    let down = w.session.await.unwrap();
    assert!(matches!(down, LinkDown::Io(_)), "{down:?}");
    assert_eq!(w.since.elapsed(), STALLED_AFTER);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_not_a_stalled_one() {
    let w = world(64).await;
    for n in 0..20 {
        w.wire.outgoing.try_send(publish(n)).unwrap();
    }
    let mut socket = w.broker.into_inner();
    let mut got = 0;
    let mut buffer = [0; 16];
    // Some 900 bytes at 16 bytes per 2 s: two minutes for what is queued.
    while got < 900 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        got += socket.read(&mut buffer).await.unwrap();
        if got % 160 == 0 {
            socket.write_all(&[0xd0, 0]).await.unwrap();
        }
    }
    assert!(!w.session.is_finished());
}

#[tokio::test(start_paused = true)]
async fn two_full_pipes_do_not_hold_each_other() {
    let mut w = world(128).await;
    // The broker says all it has to say before it listens; so do we.
    for n in 0..200 {
        w.wire.outgoing.try_send(publish(n)).unwrap();
    }
    let broker = tokio::spawn(async move {
        for _ in 0..200 {
            w.broker
                .feed(message(QoS::AtMostOnce, 0, "reply"))
                .await
                .unwrap();
        }
        w.broker.flush().await.unwrap();
        for n in 0..200 {
            let Some(Packet::Publish(said)) = next(&mut w.broker).await else {
                panic!("publish {n} is missing");
            };
            assert_eq!(said.payload, n.to_string());
        }
    });
    for _ in 0..200 {
        assert_eq!(w.wire.incoming.next().await, Some(heard("reply")));
    }
    broker.await.unwrap();
    assert!(w.since.elapsed() < Duration::from_secs(1));
}

// ---- the end -------------------------------------------------------------

#[tokio::test(start_paused = true)]
async fn disconnect_comes_after_everything_said_before_it() {
    let mut w = world(128).await;
    for n in 0..200 {
        w.wire.outgoing.try_send(publish(n)).unwrap();
    }
    w.wire.outgoing.try_send(LinkCommand::Disconnect).unwrap();
    for n in 0..200 {
        let Some(Packet::Publish(said)) = next(&mut w.broker).await else {
            panic!("publish {n} is missing");
        };
        assert_eq!(said.payload, n.to_string());
    }
    assert_eq!(next(&mut w.broker).await, Some(Packet::Disconnect));
    assert_eq!(next(&mut w.broker).await, None);
    drop(w.broker);
    assert_eq!(w.session.await.unwrap(), LinkDown::Ours);
}

#[tokio::test(start_paused = true)]
async fn stop_says_what_is_queued_and_goodbye_as_well() {
    let mut w = world(4096).await;
    w.wire.outgoing.try_send(publish(1)).unwrap();
    w.stop.cancel();
    assert!(matches!(
        next(&mut w.broker).await,
        Some(Packet::Publish(_))
    ));
    assert_eq!(next(&mut w.broker).await, Some(Packet::Disconnect));
    drop(w.broker);
    assert_eq!(w.session.await.unwrap(), LinkDown::Ours);
}

#[tokio::test(start_paused = true)]
async fn the_farewell_to_a_peer_that_does_not_read_takes_two_seconds_at_most() {
    let w = world(64).await;
    for n in 0..50 {
        w.wire.outgoing.try_send(publish(n)).unwrap();
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    w.stop.cancel();
    assert_eq!(w.session.await.unwrap(), LinkDown::Ours);
    assert!(w.since.elapsed() <= Duration::from_secs(1) + FAREWELL);
}

#[tokio::test(start_paused = true)]
async fn stop_is_obeyed_while_the_hub_does_not_listen() {
    let mut w = world(1 << 20).await;
    for _ in 0..1000 {
        w.broker
            .feed(message(QoS::AtMostOnce, 0, "flood"))
            .await
            .unwrap();
    }
    w.broker.flush().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    w.stop.cancel();
    assert_eq!(next(&mut w.broker).await, Some(Packet::Disconnect));
    drop(w.broker);
    assert_eq!(w.session.await.unwrap(), LinkDown::Ours);
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_closes_is_told_as_closed() {
    let w = world(4096).await;
    drop(w.broker);
    assert_eq!(w.session.await.unwrap(), LinkDown::Closed);
}

#[tokio::test(start_paused = true)]
async fn the_pulse_beats_while_idle_and_not_while_the_hub_is_stuck() {
    let mut w = world(1 << 20).await;
    let before = w.pulse.steps();
    tokio::time::sleep(BREATH * 8).await;
    assert!(w.pulse.steps() - before >= 7);

    for _ in 0..1000 {
        w.broker
            .feed(message(QoS::AtMostOnce, 0, "flood"))
            .await
            .unwrap();
    }
    w.broker.flush().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let stuck = w.pulse.steps();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(w.pulse.steps(), stuck);
}

// ---- bytes nobody should send --------------------------------------------

/// Events and end of a talk that hears `bytes` in pieces of `piece`.
fn talked(bytes: &[u8], piece: usize) -> (Vec<LinkEvent>, Option<LinkDown>) {
    let mut talk = Talk::new(BytesMut::new(), Duration::from_secs(300), Mono::START);
    let mut events = Vec::new();
    for piece in bytes.chunks(piece) {
        talk.inbox.extend_from_slice(piece);
        loop {
            match talk.next_event(Mono::START) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(down) => return (events, Some(down)),
            }
        }
    }
    (events, None)
}

proptest! {
    #[test]
    fn no_bytes_panic_and_pieces_do_not_matter(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        piece in 1usize..40,
    ) {
        prop_assert_eq!(talked(&bytes, piece), talked(&bytes, 200));
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
        prop_assert_eq!(talked(&bytes, piece), talked(&bytes, 200));
    }
}
