//! Commands between the engine and the model: each is answered once, by the id under which the
//! platform knows it.

use super::*;
use alink_gateway::base::{RefusedReason, WriteVerdict};
use alink_gateway::lab::platform::RrpcTopic;
use serde_json::json;

/// Ends all commands that were handed out, with this answer.
fn end_all(p: &mut Pair, answer: &CommandAnswer) {
    for command in std::mem::take(&mut p.commands) {
        p.cloud
            .on_command_done(p.now, command.number, answer.clone());
    }
    p.run(secs(1));
}

fn verified() -> CommandAnswer {
    let verdict = WriteVerdict::Verified {
        read: Value::Float(21.5),
    };
    CommandAnswer {
        step: None,
        points: vec![("Temp".to_owned(), verdict.clone())],
        outputs: Vec::new(),
        whole: verdict,
    }
}

#[test]
fn each_way_of_an_application_is_answered_once_under_its_id() {
    let mut p = online(2);
    let (sub, params) = (sub(0), json!({"Temp": 21.5}));
    let set = "thing.service.property.set";
    let ids = p.console(|c, now| {
        [
            c.set_properties(now, &sub, params.clone()),
            c.call_service(now, &sub, "reset", params.clone()),
            c.call_synchronously(now, &sub, RrpcTopic::System, set, params.clone(), secs(2)),
            c.call_synchronously(now, &sub, RrpcTopic::Custom, set, params.clone(), secs(2)),
            c.call_service(now, &gateway(), "reboot", params.clone()),
        ]
    });
    assert_eq!(p.commands.len(), 5);
    end_all(&mut p, &verified());
    for id in ids {
        let id = id.unwrap();
        let call = p.platform.ledger().calls().get(&id).unwrap();
        assert_eq!(call.answers.len(), 1, "{}", call.topic);
        let answer = call.answer().unwrap();
        assert_eq!((&answer.id, &answer.code), (&json!(id), &json!(200)));
    }
    assert_eq!(p.platform.ledger().calls().unasked(), 0);
    p.well_behaved();
}

#[test]
fn a_message_that_the_platform_sends_twice_gets_one_answer_and_later_the_same_again() {
    let mut p = online(1);
    let id = p
        .console(|c, now| c.set_properties(now, &sub(0), json!({"Temp": 21.5})))
        .unwrap();
    assert!(p.console(|c, now| c.repeat_command(now, &id)));
    assert_eq!(p.commands.len(), 1);
    end_all(&mut p, &verified());
    let answers = |p: &Pair| {
        p.platform
            .ledger()
            .calls()
            .get(&id)
            .unwrap()
            .answers
            .clone()
    };
    assert_eq!(answers(&p).len(), 1);
    assert!(p.console(|c, now| c.repeat_command(now, &id)));
    p.run(secs(1));
    assert_eq!(p.commands, []);
    let (first, again) = (&answers(&p)[0], &answers(&p)[1]);
    assert_eq!((&first.code, &first.data), (&again.code, &again.data));
    p.well_behaved();
}

#[test]
fn a_caller_that_has_gone_has_no_answer_although_one_came() {
    let mut p = online(1);
    let id = p
        .console(|c, now| c.rrpc(now, &sub(0), b"anything", secs(1)))
        .unwrap();
    p.run(secs(1));
    let call = p.platform.ledger().calls().get(&id).unwrap();
    assert_eq!(call.answer().unwrap().code, json!(100_001));

    let set = "thing.service.property.set";
    let id = p.console(|c, now| {
        c.call_synchronously(
            now,
            &sub(0),
            RrpcTopic::System,
            set,
            json!({"T": 1}),
            secs(1),
        )
    });
    p.run(secs(3));
    end_all(&mut p, &CommandAnswer::refused(RefusedReason::TooLate));
    let call = p.platform.ledger().calls().get(&id.unwrap()).unwrap();
    assert_eq!((call.answers.len(), call.answer()), (1, None));
}
