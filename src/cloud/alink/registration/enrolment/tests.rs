use proptest::prelude::*;

use super::*;
use crate::base::Rng;
use crate::spec::{Transport, test_spec};

const SECRET: &[u8] =
    br#"{"productKey":"a1GwDemoPk0","deviceName":"gw-0001","deviceSecret":"fresh"}"#;
const TOKEN: &[u8] = br#"{"productKey":"a1GwDemoPk0","deviceName":"gw-0001","clientId":"c-17","deviceToken":"token"}"#;

fn at(secs: u64) -> Now {
    Now {
        mono: Mono::from_micros(secs * 1_000_000),
        ..Now::default()
    }
}

fn cloud(registration: Registration) -> CloudSpec {
    let certificate = GatewayCertificate::Product(ProductCertificate {
        secret: Secret::new("ProdSecret000001"),
        registration,
        instance_id: Some("iot-1".into()),
    });
    let mut cloud = test_spec::cloud("platform", "a1GwDemoPk0", "gw-0001", certificate);
    cloud.broker.port = 8883;
    cloud.broker.transport = Transport::Tls { ca_file: None };
    cloud
}

fn enrolment(registration: Registration) -> Enrolment {
    Enrolment::new(&cloud(registration), None, Rng::new(1))
}

fn drain(e: &mut Enrolment, now: Now) -> Vec<Output> {
    std::iter::from_fn(|| e.poll(now)).collect()
}

/// Returns an enrolment that is accepted and waits for the answer.
fn accepted(registration: Registration) -> Enrolment {
    let mut e = enrolment(registration);
    e.on_attempt(at(0)).unwrap();
    e.on_up(at(1));
    assert_eq!(drain(&mut e, at(1)), []);
    e
}

#[test]
fn the_registration_connect_is_that_of_the_protocol_notes() {
    // Vector V8: key ProdSecret000001, random 567345.
    let spec = cloud(Registration::Register);
    let GatewayCertificate::Product(product) = &spec.gateway.certificate else {
        unreachable!()
    };
    let shown = registration_credentials(&spec, product, SecureMode::Minus2, 567_345);
    assert_eq!(
        shown.client_id,
        "a1GwDemoPk0.gw-0001|securemode=2,authType=register,random=567345,signmethod=hmacsha256,instanceId=iot-1|"
    );
    assert_eq!(shown.username, "gw-0001&a1GwDemoPk0");
    assert_eq!(
        shown.password.expose(),
        "76b51b8930473052f35004b5c3f8a4bb1a479a8dffbd43a34a241cf76980a999"
    );
}

#[test]
fn either_topic_may_bring_either_answer_and_it_is_kept_before_we_leave() {
    for registration in [Registration::Register, Registration::RegNwl] {
        for topic in TOPICS {
            for (payload, issued, client_id) in [
                (
                    SECRET,
                    IssuedCredential::Secret(Secret::new("fresh")),
                    "a1GwDemoPk0.gw-0001|securemode=2,signmethod=hmacsha256,timestamp=2524608000000,_ss=1|",
                ),
                (
                    TOKEN,
                    IssuedCredential::Token {
                        client_id: "c-17".into(),
                        token: Secret::new("token"),
                    },
                    "c-17|securemode=-2,authType=connwl,_ss=1|",
                ),
            ] {
                let mut e = accepted(registration);
                e.on_message(at(2), topic, payload);
                assert_eq!(drain(&mut e, at(2)), [Output::StoreSecret(issued.clone())]);
                assert_eq!(
                    e.next(),
                    EnrolmentStep::StoreSecret(issued.clone()),
                    "not used before"
                );
                // Neither time nor a second answer changes anything meanwhile.
                e.on_message(at(3), topic, SECRET);
                assert_eq!(drain(&mut e, at(100)), []);
                e.on_kept(at(100), Ok(()));
                assert_eq!(drain(&mut e, at(100)), [Output::Done, Output::Disconnect]);
                e.on_down(at(100), &LinkDown::Closed);
                assert_eq!(drain(&mut e, at(100)), []);
                let EnrolmentStep::Connect(shown) = e.next() else {
                    panic!("{:?}", e.next())
                };
                assert_eq!(shown.client_id, client_id);
                assert_eq!(shown.username, "gw-0001&a1GwDemoPk0");
            }
        }
    }
}

#[test]
fn what_is_stored_is_never_asked_for_again() {
    let kept = IssuedCredential::Token {
        client_id: "c-17".into(),
        token: Secret::new("token"),
    };
    let e = Enrolment::new(&cloud(Registration::RegNwl), Some(kept), Rng::new(1));
    let EnrolmentStep::Connect(shown) = e.next() else {
        panic!("{:?}", e.next())
    };
    assert_eq!(shown.password.expose(), "token", "as it is, unsigned");
    assert!(e.is_issued());
}

#[test]
fn what_could_not_be_stored_is_neither_used_nor_asked_for_again() {
    let mut e = accepted(Registration::Register);
    e.on_message(at(2), "/ext/register", SECRET);
    drain(&mut e, at(2));
    e.on_kept(at(2), Err("disk full".into()));
    let why = EnrolmentFailure::NotKept("disk full".into());
    assert_eq!(
        drain(&mut e, at(2)),
        [
            Output::Failed {
                why: why.clone(),
                times: Some(1)
            },
            Output::Disconnect
        ]
    );
    e.on_down(at(2), &LinkDown::Ours);
    let issued = IssuedCredential::Secret(Secret::new("fresh"));
    for secs in 3..10 {
        assert_eq!(e.next(), EnrolmentStep::StoreSecret(issued.clone()));
        e.on_kept(at(secs), Err("disk full".into()));
        // The repeated failure is counted, and not reported each time.
        assert_eq!(
            drain(&mut e, at(secs)),
            [Output::Failed {
                why: why.clone(),
                times: None
            }]
        );
    }
    // Another failure: the count of the first failure is reported.
    e.on_kept(at(10), Err("read-only".into()));
    let other = EnrolmentFailure::NotKept("read-only".into());
    assert_eq!(
        drain(&mut e, at(10)),
        [
            Output::Before { why, times: 7 },
            Output::Failed {
                why: other,
                times: Some(1)
            }
        ]
    );
    e.on_kept(at(10), Ok(()));
    assert_eq!(drain(&mut e, at(10)), [Output::Done]);
    assert!(matches!(e.next(), EnrolmentStep::Connect(_)));
}

#[test]
fn no_answer_within_fifteen_seconds_is_a_failure() {
    let mut e = accepted(Registration::Register);
    let wake = e.wake_at().unwrap();
    assert_eq!(wake.at, at(16).mono);
    e.on_message(at(5), "/ext/ntp/a1GwDemoPk0/gw-0001/response", SECRET);
    assert_eq!(drain(&mut e, at(15)), []);
    assert_eq!(
        drain(&mut e, at(16)),
        [
            Output::Failed {
                why: EnrolmentFailure::NoAnswer,
                times: Some(1)
            },
            Output::Disconnect
        ]
    );
    // The platform closes at the same moment; that is no second failure.
    e.on_down(at(16), &LinkDown::Closed);
    assert_eq!(drain(&mut e, at(16)), []);
    assert_eq!(e.next(), EnrolmentStep::Register);
    assert_eq!(e.wake_at(), None);
}

#[test]
fn a_refusal_says_what_to_look_at_and_the_other_securemode_is_tried() {
    let mut e = enrolment(Registration::RegNwl);
    for (n, mode) in ["-2", "2", "-2"].into_iter().enumerate() {
        let shown = e.on_attempt(at(0)).unwrap();
        let expected = format!("a1GwDemoPk0.gw-0001|securemode={mode},authType=regnwl,random=");
        assert!(
            shown.client_id.starts_with(&expected),
            "{}",
            shown.client_id
        );
        e.on_down(at(0), &LinkDown::Refused(2));
        assert_eq!(
            drain(&mut e, at(0)),
            [Output::Failed {
                why: EnrolmentFailure::Refused(2),
                times: (n == 0).then_some(1)
            }]
        );
    }
    for code in [2, 4, 5] {
        let words = EnrolmentFailure::Refused(code).to_string();
        assert!(
            words.contains('?') && words.contains(&code.to_string()),
            "{words}"
        );
    }
}

#[test]
fn an_answer_that_is_not_for_us_earns_nothing_and_is_not_repeated_in_the_log() {
    for (payload, expected) in [
        (&b"{"[..], "not JSON"),
        (b"[]", "no productKey"),
        (
            br#"{"productKey":"a1GwDemoPk0","deviceName":"gw-0002","deviceSecret":"s3cret"}"#,
            "gw-0002, not this gateway's",
        ),
        (
            br#"{"productKey":"a1GwDemoPk0","deviceName":"gw-0001","deviceSecret":""}"#,
            "neither",
        ),
        (
            br#"{"productKey":"a1GwDemoPk0","deviceName":"gw-0001","deviceToken":"s3cret"}"#,
            "neither",
        ),
        (
            br#"{"productKey":"a1GwDemoPk0","deviceName":"gw-0001","clientId":"a|b","deviceToken":"s3cret"}"#,
            "a vertical bar",
        ),
    ] {
        let mut e = accepted(Registration::RegNwl);
        e.on_message(at(2), "/ext/regnwl", payload);
        let outputs = drain(&mut e, at(2));
        let [Output::Failed { why, .. }, Output::Disconnect] = &outputs[..] else {
            panic!("{outputs:?}")
        };
        let words = why.to_string();
        assert!(words.contains(expected), "{words}");
        assert!(!words.contains("s3cret"), "{words}");
        assert_eq!(e.next(), EnrolmentStep::Register);
    }
}

#[test]
fn a_gateway_with_a_secret_of_its_own_registers_nothing() {
    let mut spec = cloud(Registration::Register);
    spec.gateway.certificate = GatewayCertificate::Device(Secret::new("own"));
    let mut e = Enrolment::new(&spec, None, Rng::new(1));
    assert!(matches!(e.next(), EnrolmentStep::Connect(_)));
    assert_eq!(e.on_attempt(at(0)), None);
    assert!(!e.is_issued());
}

proptest! {
    #[test]
    fn no_answer_is_too_strange(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut e = accepted(Registration::Register);
        e.on_message(at(2), "/ext/register", &payload);
        prop_assert_eq!(drain(&mut e, at(2)).len(), 2);
    }
}
