//! Tests how a session ends, and in what order packets are sent then.

use super::*;

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
    assert!(w.since.elapsed() <= Duration::from_secs(1) + DISCONNECT_WITHIN);
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
