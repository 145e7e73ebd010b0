//! Tests pings, stalls, and a heartbeat that shows life: all that depends on time.

use super::*;
use crate::io::link::mqtt_session::STALLED_AFTER;

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
        let n = socket.read(&mut buffer).await.unwrap();
        assert_ne!(n, 0, "given up after {got} bytes");
        got += n;
        if got % 160 == 0 {
            socket.write_all(&[0xd0, 0]).await.unwrap();
        }
    }
    assert!(!w.session.is_finished());
}

#[tokio::test(start_paused = true)]
async fn two_full_pipes_do_not_hold_each_other() {
    let mut w = world(128).await;
    // The broker sends all its packets before it reads; so does the client.
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

#[tokio::test(start_paused = true)]
async fn the_pulse_beats_while_idle_and_not_while_the_hub_is_stuck() {
    let mut w = world(1 << 20).await;
    let before = w.heartbeat.steps();
    tokio::time::sleep(MAX_IDLE * 8).await;
    assert!(w.heartbeat.steps() - before >= 7);

    for _ in 0..1000 {
        w.broker
            .feed(message(QoS::AtMostOnce, 0, "flood"))
            .await
            .unwrap();
    }
    w.broker.flush().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let stuck = w.heartbeat.steps();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(w.heartbeat.steps(), stuck);
}
