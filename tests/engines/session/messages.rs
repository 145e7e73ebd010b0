//! Messages that are malformed, late or about strangers; subscriptions.

use super::*;

#[test]
fn malformed_messages_are_counted_told_once_per_topic_and_dropped() {
    let mut w = online(1);
    let reply = format!("{SESSION}login_reply");
    for _ in 0..3 {
        w.message(&reply, b"{\"id\":\xff");
        w.message(ERROR, b"[]");
    }
    assert_eq!(w.cloud.counters().malformed, 6);
    assert_eq!(w.notices.len(), 2);
    assert!(w.notices[0].sentence().contains("{\"id\":\\xff"));
    w.message("/what/is/this", b"{}");
    assert_eq!(w.cloud.counters().unknown_topics, 1);
}

#[test]
fn late_strange_and_misplaced_replies_are_counted_and_change_nothing() {
    let mut w = online(1);
    let id = w.ids.first().unwrap().clone();
    let body = json!({"id": id, "code": 200}).to_string();
    w.message(&format!("{SESSION}login_reply"), body.as_bytes());
    assert_eq!(w.cloud.counters().late_replies, 1);
    w.message(
        &format!("{SESSION}login_reply"),
        br#"{"id":"x","code":200}"#,
    );
    w.message(
        &format!("{SESSION}logout_reply"),
        br#"{"id":"3","code":200}"#,
    );
    assert_eq!(w.cloud.counters().unknown_replies, 2);
    // The right id on the wrong topic is no answer.
    w.delay = secs(5);
    w.want([0], Presence::Offline);
    w.run(secs(1));
    let id = w.sent.last().unwrap().id.clone();
    let body = json!({"id": id, "code": 200}).to_string();
    w.message(&format!("{SESSION}batch_logout_reply"), body.as_bytes());
    assert_eq!(w.session(0), Session::LoggingOut);
    w.kick(0, 520);
    let stranger = json!({"code": 522, "data": {"productKey": "x", "deviceName": "y"}});
    w.message(ERROR, stranger.to_string().as_bytes());
    assert_eq!(w.cloud.counters().strangers, 1);
}

#[test]
fn refused_subscriptions_are_told() {
    let mut w = online(1);
    w.cloud.on_subscribe_refused(w.now, &["/a".to_owned()]);
    w.drain();
    assert!(matches!(
        w.notices[0],
        CloudLogEvent::SubscribeRefused { fatal: false, .. }
    ));
}

#[test]
fn behind_a_plain_broker_we_subscribe_to_everything_ourselves() {
    let mut plain = spec(1, 1);
    plain.cloud.broker.subscriptions = Subscriptions::Broker;
    let w = online_with(plain);
    assert!(w.subscribed.iter().all(|packet| packet.len() <= 8));
    let filters = w.subscribed.concat();
    assert!(filters.contains(&"/sys/+/+/thing/event/+/post_reply".to_owned()));
    assert!(filters.contains(&format!("{SESSION}batch_login_reply")));
}
