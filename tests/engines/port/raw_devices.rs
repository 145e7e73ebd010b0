//! Commands to devices without a standard through the port's task.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use alink_gateway::base::{RefusedReason, UnknownReason, Value, WriteVerdict};
use alink_gateway::lab::bus::protocol::{BusProtocol, BusReply, Custom};
use alink_gateway::spec::raw::{
    Check, Fixed, RawQuestion, ReplyEnd, ReplyMarks, ReplyPart, Sum, Template, ValueForm, WriteBy,
    check, part,
};
use alink_gateway::spec::*;

use super::world::{TIMEOUT, World, ms, s, serial};
use crate::installation::{installation, profile};

/// What the drive holds, how often it was told something, and whether it confirms that.
#[derive(Default)]
struct Drive {
    speed: u32,
    told: u32,
    is_mute: bool,
    /// What it makes of a speed.
    most: Option<u32>,
}

const SUM: Check = Check {
    sum: Sum::Sum8,
    written: check::CheckForm::Hex,
    from: 0,
};

/// Answers `R CR` with `>00042 CR`, and `S00042` and its checksum with the same bytes once more.
fn drive(state: &Arc<Mutex<Drive>>) -> BusProtocol {
    let state = Arc::clone(state);
    BusProtocol::Custom(Custom::new(move |_, heard| {
        let mut drive = state.lock().unwrap();
        let say = |bytes: Vec<u8>| {
            vec![BusReply {
                after: ms(5),
                bytes,
            }]
        };
        match heard {
            b"R\r" => say(format!(">{:05}\r", drive.speed).into_bytes()),
            [b'S', digits @ .., a, b, b'\r'] if digits.len() == 5 => {
                let (before, _) = heard.split_at(6);
                assert_eq!(SUM.seal(before), [*a, *b]);
                let speed: u32 = std::str::from_utf8(digits).unwrap().parse().unwrap();
                drive.speed = drive.most.map_or(speed, |most| speed.min(most));
                drive.told += 1;
                match drive.is_mute {
                    true => Vec::new(),
                    false => say(heard.to_vec()),
                }
            }
            _ => Vec::new(),
        }
    }))
}

fn question(name: &str, send: &str, check: Option<Check>, begins: &[u8]) -> Arc<RawQuestion> {
    Arc::new(RawQuestion {
        name: name.into(),
        request: Template::parse(send, check).unwrap(),
        reply: ReplyMarks {
            end: ReplyEnd::Terminator(b"\r".to_vec()),
            fixed: vec![Fixed {
                at: 0,
                bytes: begins.to_vec(),
            }],
            check: None,
            behind_check: 1,
            preamble: None,
        },
        carried: None,
    })
}

async fn line(state: &Arc<Mutex<Drive>>) -> World {
    let speed = PointSpec {
        id: "Speed".into(),
        address: PointAddress::Raw(QuestionIndex(0)),
        codec: Codec::Part(Box::new(ReplyPart::Number {
            written: part::BinaryNumber::Decimal(part::ByteSpan::At { from: 1, length: 5 }),
            scale: Decimal::ONE,
            offset: Decimal::ZERO,
            number_type: Some(NumberType::Int),
        })),
        interval: s(1),
        priority: Default::default(),
        report: Default::default(),
        shown: Default::default(),
        write: Some(Box::new(WritePolicy {
            by: Some(WriteBy {
                question: QuestionIndex(1),
                form: ValueForm::Decimal {
                    width: 5,
                    places: Some(0),
                },
            }),
            ..WritePolicy::default()
        })),
    };
    let plain = profile("drive", vec![speed]);
    let kind = Arc::new(ProfileSpec {
        protocol: Protocol::Raw(vec![
            question("read", "\"R\" 0D", None, b">"),
            question("set", "\"S\" {value} {check} 0D", Some(SUM), b"S"),
        ]),
        ..ProfileSpec::clone(&plain)
    });
    let mut spec = installation(LineSpec::Serial(serial()), TIMEOUT, [(1, kind)]);
    spec.devices[0].address = BusAddress::Raw(None);
    let mut w = World::beside(spec, vec![drive(state)], 92, |journal| journal).await;
    w.run(s(3)).await;
    w
}

async fn set(w: &mut World, value: i64) -> WriteVerdict {
    let number = w.command(1, vec![(0, Value::Int(value))]).await;
    w.ended(number).await.points.remove(0).verdict
}

#[tokio::test(start_paused = true)]
async fn a_command_is_told_with_its_checksum_and_read_back() {
    let state: Arc<Mutex<Drive>> = Arc::default();
    let mut w = line(&state).await;
    assert_eq!(state.lock().unwrap().told, 0, "it is never polled");
    let given = w.clock.now().mono;
    let verified = |n| WriteVerdict::Verified {
        read: Value::Int(n),
    };
    assert_eq!(set(&mut w, 1480).await, verified(1480));
    assert!(w.clock.now().mono.since(given) < s(1), "at once");
    let held = {
        let drive = state.lock().unwrap();
        (drive.speed, drive.told)
    };
    assert_eq!(held, (1480, 1));
    // What does not fit into the request is not sent.
    let refused = set(&mut w, 123_456).await;
    assert!(
        matches!(
            refused,
            WriteVerdict::Refused(RefusedReason::WrongValue { .. })
        ),
        "{refused:?}"
    );
    // The device decides what it holds.
    state.lock().unwrap().most = Some(3000);
    let different = WriteVerdict::Different {
        written: Value::Int(4000),
        read: Value::Int(3000),
    };
    assert_eq!(set(&mut w, 4000).await, different);
    assert_eq!(state.lock().unwrap().told, 2);
}

#[tokio::test(start_paused = true)]
async fn without_a_confirmation_it_is_not_known_and_not_told_twice() {
    let state: Arc<Mutex<Drive>> = Arc::default();
    let mut w = line(&state).await;
    state.lock().unwrap().is_mute = true;
    assert_eq!(
        set(&mut w, 1480).await,
        WriteVerdict::Unknown(UnknownReason::NoReply)
    );
    w.run(Duration::from_secs(60)).await;
    assert_eq!(state.lock().unwrap().told, 1);
    state.lock().unwrap().is_mute = false;
    let verified = WriteVerdict::Verified {
        read: Value::Int(1500),
    };
    assert_eq!(set(&mut w, 1500).await, verified);
}
