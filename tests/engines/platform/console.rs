//! The topology, the registration of sub-devices, and what is done at the console.

use super::*;

#[test]
fn topology_is_added_by_signature_listed_and_deleted() {
    let (add, get, delete) = (
        "/sys/a1GwDemoPk0/gw-0001/thing/topo/add",
        "/sys/a1GwDemoPk0/gw-0001/thing/topo/get",
        "/sys/a1GwDemoPk0/gw-0001/thing/topo/delete",
    );
    let mut spec = Lab::two();
    spec.topology.clear();
    let mut lab = Lab::new(spec).connected();
    assert_eq!(lab.ask(get, json!("{}"))["data"], json!([]));
    assert_eq!(lab.code(LOGIN, v4("", json!(0))), 6401);
    let mut small_m = v5();
    let method = small_m
        .as_object_mut()
        .unwrap()
        .remove("signMethod")
        .unwrap();
    small_m["signmethod"] = method;
    assert_eq!(
        lab.code(add, json!([v4("sign", json!("00")), small_m])),
        401
    );
    assert_eq!(lab.code(add, json!([v4("", json!(0)), small_m])), 200);
    assert_eq!(lab.ask(get, json!({}))["data"].as_array().unwrap().len(), 2);
    assert_eq!(lab.code(LOGIN, v4("", json!(0))), 200);
    let pair = json!([{"productKey": "a1SubDemoPk", "deviceName": "meter-001"}]);
    assert_eq!(lab.code(delete, pair.clone()), 200);
    assert_eq!(lab.platform.online(), 0);
    assert_eq!(lab.code(delete, pair), 6401);
}

#[test]
fn a_person_at_the_console_is_heard_in_the_order_the_switch_says() {
    let thing = |order: &str| format!("/sys/a1SubDemoPk/m-0000/thing/{order}");
    let (error, change) = (
        "/ext/error/a1GwDemoPk0/gw-0001".to_owned(),
        "/sys/a1GwDemoPk0/gw-0001/thing/topo/change".to_owned(),
    );
    let meter = Device::new("a1SubDemoPk", "m-0000");
    let orders = [
        vec![
            ChangeChannel::Thing,
            ChangeChannel::ExtError,
            ChangeChannel::TopologyChange,
        ],
        vec![
            ChangeChannel::TopologyChange,
            ChangeChannel::ExtError,
            ChangeChannel::Thing,
        ],
        vec![ChangeChannel::ExtError],
    ];
    for change_channels in orders {
        let mut lab = Lab::many(1, |s| s.switches.change_channels = change_channels.clone());
        assert_eq!(lab.log_in(0..1), 200);
        let now = lab.now();
        assert!(lab.platform.disable(now, &meter));
        let told = messages(lab.drain());
        let expected: Vec<String> = change_channels
            .iter()
            .map(|n| match n {
                ChangeChannel::Thing => thing("disable"),
                ChangeChannel::ExtError => error.clone(),
                ChangeChannel::TopologyChange => change.clone(),
            })
            .collect();
        assert_eq!(
            told.iter().map(|(t, _)| t.clone()).collect::<Vec<_>>(),
            expected
        );
        for (topic, body) in told {
            if topic == error {
                assert_eq!(body["code"], 522);
            } else if topic == change {
                assert_eq!(body["params"]["status"], 8);
            }
        }
        assert!(
            !lab.platform
                .is_online(&meter.product_key, &meter.device_name)
        );
    }
}

#[test]
fn kicks_removals_and_deletions_end_the_session_with_their_code() {
    let meter = Device::new("a1SubDemoPk", "m-0000");
    type Hand = fn(&mut Platform, Now, &Device) -> bool;
    let hands: [(Hand, u64); 3] = [
        (Platform::kick, 427),
        (Platform::remove_topology, 6401),
        (Platform::delete, 521),
    ];
    for (hand, code) in hands {
        let mut lab = Lab::many(1, |_| ());
        assert_eq!(lab.log_in(0..1), 200);
        let now = lab.now();
        assert!(hand(&mut lab.platform, now, &meter));
        let told = messages(lab.drain());
        let errors: Vec<u64> = told
            .iter()
            .filter(|(t, _)| t.starts_with("/ext/error/"))
            .map(|(_, body)| code_of(body))
            .collect();
        assert_eq!(errors, [code]);
        assert_eq!(lab.platform.online(), 0);
    }
    let mut lab = Lab::many(1, |_| ());
    let now = lab.now();
    assert!(lab.platform.drop_connection(now, &device(GW)));
    assert!(matches!(lab.drain()[..], [Output::Close { conn: C, .. }]));
    assert!(!lab.platform.drop_connection(now, &device(GW)));
}

#[test]
fn a_disabled_gateway_is_thrown_out_and_not_let_in_until_it_is_enabled() {
    let mut lab = Lab::many(1, |_| ());
    assert_eq!(lab.log_in(0..1), 200);
    let now = lab.now();
    assert!(lab.platform.disable(now, &device(GW)));
    assert!(matches!(lab.drain()[..], [Output::Close { conn: C, .. }]));
    assert_eq!(lab.platform.online(), 0);
    let out = lab.connect(Conn(2), &good_connect());
    assert_eq!(out[0], ack(Conn(2), 4));
    assert!(lab.platform.enable(now, &device(GW)));
    assert_eq!(lab.connect(Conn(3), &good_connect()), [ack(Conn(3), 0)]);
}

#[test]
fn a_command_reaches_a_device_that_is_online_and_its_answer_is_written_down() {
    let mut lab = Lab::many(1, |_| ());
    let meter = Device::new("a1SubDemoPk", "m-0000");
    let set = "thing.service.property.set";
    let now = lab.now();
    assert_eq!(
        lab.platform.command(now, &meter, set, json!({"P": 1})),
        None
    );
    assert_eq!(lab.log_in(0..1), 200);
    let id = lab
        .platform
        .command(now, &meter, set, json!({"P": 1}))
        .unwrap();
    let topic = "/sys/a1SubDemoPk/m-0000/thing/service/property/set";
    let expected = json!({"id": id, "version": "1.0", "params": {"P": 1}, "method": set});
    assert_eq!(messages(lab.drain()), [(topic.to_owned(), expected)]);
    let answer = json!({"id": id, "code": 200, "data": {}}).to_string();
    assert_eq!(lab.publish(C, &format!("{topic}_reply"), &answer), []);
    let replied = Event::Replied {
        device: meter,
        tail: "thing/service/property/set_reply".into(),
        id: json!(id),
        code: json!(200),
        message: Json::Null,
    };
    assert_eq!(
        lab.platform.ledger().events().next_back().unwrap().1,
        replied
    );
}

/// `product_register` of the first meter: vectors V9, key `ProdSecret000001`.
const V9: &str = "76a1f34d543b4f8ad3cee70e54b3077663052dd073d8ad92281030a36b4877b8";

const PRODUCT_REGISTER: &str = "/sys/a1GwDemoPk0/gw-0001/thing/proxy/provisioning/product_register";

#[test]
fn a_sub_device_registers_with_its_products_signature_or_is_told_why_not() {
    let proxied = |replace: &str, by: Json| {
        let mut one = json!({
            "productKey": "a1SubDemoPk", "deviceName": "meter-001",
            "random": "567345", "signMethod": "hmacSha256", "sign": V9,
        });
        one[replace] = by;
        one
    };
    let lab = |tune: fn(&mut PlatformSpec)| {
        let mut spec = Lab::two();
        spec.products.push(Product {
            product_key: ProductKey::new("a1SubDemoPk"),
            secret: Secret::new("ProdSecret000001"),
            register: true,
            regnwl: false,
        });
        tune(&mut spec);
        Lab::new(spec).connected()
    };
    let ask = |lab: &mut Lab, list: Json| lab.ask(PRODUCT_REGISTER, json!({ "proxieds": list }));
    let right = || proxied("sign", json!(V9.to_uppercase()));

    let reply = ask(&mut lab(|_| {}), json!([right()]));
    assert_eq!(code_of(&reply), 200);
    assert_eq!(reply["data"][0]["deviceSecret"], SUB1.2);

    let table: [(&str, Json, u64); 6] = [
        ("productKey", json!("a1Elsewhere"), 6250),
        ("signMethod", json!("sha256"), 6292),
        ("sign", json!(V4), 6600),
        ("random", json!("567346"), 6600),
        ("random", json!(""), 460),
        ("deviceName", json!(7), 460),
    ];
    for (field, by, code) in table {
        let reply = ask(&mut lab(|_| {}), json!([proxied(field, by)]));
        assert_eq!(code_of(&reply), code, "{field}");
        assert!(!reply.to_string().contains("deviceSecret"));
    }
    type Tune = fn(&mut PlatformSpec);
    let switched: [(Tune, u64); 5] = [
        (|s| s.products[0].register = false, 6288),
        (|s| drop(s.certificates.remove(1)), 6100),
        (
            |s| {
                s.certificates.remove(1);
                s.products[0].regnwl = true;
            },
            200,
        ),
        (
            |s| s.topology[0].0 = Device::new("a1GwDemoPk0", "gw-0002"),
            200,
        ),
        (
            |s| {
                s.topology[0].0 = Device::new("a1GwDemoPk0", "gw-0002");
                s.switches.proxy_takes_over = false;
            },
            6619,
        ),
    ];
    for (n, (tune, code)) in switched.into_iter().enumerate() {
        let reply = ask(&mut lab(tune), json!([right()]));
        assert_eq!(code_of(&reply), code, "switch {n}");
    }
    let many = vec![right(); 31];
    assert_eq!(code_of(&ask(&mut lab(|_| {}), json!(many))), 460);
}
