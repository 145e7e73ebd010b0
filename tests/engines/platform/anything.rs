//! Anything at all as input.

use super::*;

fn any_topic() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        LOGIN,
        BATCH_LOGIN,
        LOGOUT,
        BATCH_LOGOUT,
        PACK,
        POST1,
        "/sys/a1GwDemoPk0/gw-0001/thing/topo/add",
        "/sys/a1GwDemoPk0/gw-0001/thing/topo/delete",
        "/sys/a1GwDemoPk0/gw-0001/thing/topo/get",
        "/sys/a1GwDemoPk0/gw-0001/thing/sub/register",
        "/sys/a1GwDemoPk0/gw-0001/thing/proxy/provisioning/product_register",
        "/sys/a1GwDemoPk0/gw-0001/thing/event/property/history/post",
        "/sys/a1GwDemoPk0/gw-0001/thing/event/property/batch/post",
        "/ext/ntp/a1GwDemoPk0/gw-0001/request",
    ]);
    prop_oneof![4 => known.prop_map(str::to_owned), 1 => "[/a-z+#ü]{0,40}"]
}

fn any_params() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(json!(null)),
        Just(json!("")),
        Just(json!([])),
        Just(json!({})),
        Just(v4("", json!(0))),
        Just(v5()),
        any::<i64>().prop_map(|n| json!(n)),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::Array),
            prop::collection::vec(
                (
                    prop::sample::select(vec![
                        "deviceList",
                        "subDevices",
                        "identity",
                        "properties",
                        "events",
                        "value",
                        "productKey",
                    ]),
                    inner
                ),
                0..4
            )
            .prop_map(|fields| Json::Object(
                fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
            )),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_arrives_the_model_answers_at_most_once_and_keeps_its_invariants(
        inputs in prop::collection::vec((any_topic(), any_params(), prop::collection::vec(any::<u8>(), 0..20), any::<bool>(), 0u8..3), 1..40)
    ) {
        let mut lab = Lab::new(Lab::two()).connected();
        for (n, (topic, params, bytes, json, qos)) in inputs.into_iter().enumerate() {
            lab.wait(Duration::from_millis(200));
            let payload = if json {
                json!({"id": n.to_string(), "params": params}).to_string().into_bytes()
            } else {
                bytes
            };
            let now = lab.now();
            lab.platform.on_publish(now, C, &topic, &payload, qos, (qos > 0).then_some(1));
            let replies = messages(lab.drain())
                .into_iter()
                .filter(|(t, body)| *t == format!("{topic}_reply") && body["id"].as_str() == Some(&n.to_string()))
                .count();
            prop_assert!(replies <= 1);
            if qos == 2 {
                prop_assert_eq!(lab.platform.online(), 0);
                break;
            }
            prop_assert!(lab.platform.online() <= 2);
        }
    }
}
