//! Subscriptions, and what is delivered without one.

use super::*;

#[test]
fn a_subscription_to_a_sub_device_is_granted_only_while_it_has_a_session() {
    let mut lab = Lab::many(1, |_| ());
    let own = "/sys/a1GwDemoPk0/gw-0001/thing/topo/add_reply".to_owned();
    let sub = "/sys/a1SubDemoPk/m-0000/thing/event/+/post_reply".to_owned();
    let wild = "/sys/+/+/#".to_owned();
    let all = [own, sub, wild];
    let codes = |lab: &mut Lab| {
        let now = lab.now();
        lab.platform.on_subscribe(now, C, &all, Some(9));
        match lab.drain().pop() {
            Some(Output::SubAck {
                pkid: Some(9),
                codes,
                ..
            }) => codes,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(codes(&mut lab), [0, 0x80, 0x80]);
    assert_eq!(lab.log_in(0..1), 200);
    assert_eq!(codes(&mut lab), [0, 0, 0x80]);
    let nine: Vec<String> = (0..9)
        .map(|n| format!("/a1GwDemoPk0/gw-0001/user/{n}"))
        .collect();
    let now = lab.now();
    lab.platform.on_subscribe(now, C, &nine, None);
    let Some(Output::SubAck { codes, .. }) = lab.drain().pop() else {
        panic!()
    };
    assert_eq!(codes, [0x80; 9]);
}

#[test]
fn a_strict_platform_delivers_the_published_list_and_what_was_subscribed() {
    let pack = json!({"properties": {"P": 1}}).to_string();
    let request = |id: u32| format!(r#"{{"id":"{id}","params":{pack}}}"#);
    for platform_subscribes in [true, false] {
        let mut spec = Lab::two();
        spec.switches.strict_delivery = true;
        let mut lab = Lab::new(spec);
        let mut asked = good_connect();
        if !platform_subscribes {
            asked.client_id = asked.client_id.replace(",_ss=1", "");
        }
        assert_eq!(lab.connect(C, &asked), [ack(C, 0)]);
        // Session replies need no subscription.
        assert_eq!(lab.code(LOGIN, v4("", json!(0))), 200);
        let post = lab.publish(C, POST1, r#"{"id":"50","params":{}}"#);
        assert_eq!(post.len(), usize::from(platform_subscribes));
        // The list leaves the reply of the pack out.
        assert_eq!(lab.publish(C, PACK, &request(51)), []);
        let now = lab.now();
        lab.platform
            .on_subscribe(now, C, &[format!("{PACK}_reply")], None);
        lab.drain();
        assert_eq!(lab.publish(C, PACK, &request(52)).len(), 1);
    }
}

#[test]
fn any_message_can_be_sent_down_and_calls_only_to_who_subscribed_them() {
    let gateway = Device::new(GW.0, GW.1);
    let mut lab = Lab::many(1, |_| ());
    let say = |lab: &mut Lab, topic: &str| {
        let now = lab.now();
        let act = Act::Downlink {
            gateway: gateway.clone(),
            topic: topic.into(),
            payload: r#"{"id":"9","params":{}}"#.into(),
        };
        assert!(lab.platform.act(now, act));
        messages(lab.drain()).len()
    };
    let known = "/sys/a1SubDemoPk/m-0000/thing/service/open";
    assert_eq!(say(&mut lab, known), 1);
    let call = "/ext/rrpc/77";
    assert_eq!(say(&mut lab, call), 0);
    let now = lab.now();
    lab.platform
        .on_subscribe(now, C, &["/ext/rrpc/+".into()], None);
    lab.drain();
    assert_eq!(say(&mut lab, call), 1);
    lab.publish(C, call, r#"{"id":"9","code":404,"data":{}}"#);
    let replied = lab.platform.ledger().events().last().unwrap();
    assert!(
        matches!(&replied.1, Event::Replied { tail, code, .. } if tail == "rrpc/77" && code == 404)
    );
    assert_eq!(lab.platform.ledger().violations().len(), 0);
}
