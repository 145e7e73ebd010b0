//! Desired values: asked for when a device comes online, carried out once, deleted in the version
//! that was carried out.

use std::sync::Arc;

use alink_gateway::base::{
    Command, CommandAction, CommandAnswer, CommandOrigin, DeviceId, RefusedReason, UnknownReason,
    Value, WriteVerdict,
};
use alink_gateway::spec::{CommandPolicy, Spec, WritePolicy};
use serde_json::Value as Json;

use super::*;

const POINTS: usize = 4;

/// One device: `P0` and `P1` may be written, `P2` wants a confirmation, `P3` is read-only.
fn installed(change: impl FnOnce(&mut Spec)) -> Spec {
    let mut spec = crate::gateway::gateway(1, POINTS);
    spec.commands.desired = true;
    let device = &mut spec.devices[0];
    let points = &mut Arc::make_mut(&mut device.profile).points;
    for point in &mut points[..3] {
        point.write = Some(Box::default());
    }
    points[2].write = Some(Box::new(WritePolicy {
        confirm: Some(secs(30)),
        ..WritePolicy::default()
    }));
    change(&mut spec);
    spec
}

fn topic(tail: &str) -> String {
    format!("/sys/subPk/{}/thing/property/desired/{tail}", name(0))
}

fn online(change: impl FnOnce(&mut Spec)) -> World {
    let mut w = World::new(installed(change));
    w.up();
    w.want([0], Presence::Online);
    assert!(w.run_for(secs(30), |w| w.online() == 1));
    w.run(ms(500));
    w
}

fn asked(w: &World, tail: &str) -> Vec<Json> {
    w.answers(&topic(tail)).into_iter().cloned().collect()
}

/// Answers the last of these requests.
fn answer(w: &mut World, tail: &str, code: i64, data: &Json) {
    let id = asked(w, tail).last().unwrap()["id"].clone();
    let body = json!({"id": id, "code": code, "data": data, "message": "no such property"});
    w.message(
        &format!("{}_reply", topic(tail)),
        body.to_string().as_bytes(),
    );
    w.run(ms(500));
}

/// Ends the one command that was handed out; returns what it was to write.
fn end(w: &mut World, verdict: WriteVerdict) -> CommandAction {
    assert_eq!(w.commands.len(), 1, "one after the other");
    let command = w.commands.pop().unwrap();
    let answer = CommandAnswer {
        step: None,
        points: Vec::new(),
        outputs: Vec::new(),
        whole: verdict,
    };
    w.done(command.number, answer);
    command.action
}

fn set(property: &str, value: u64) -> CommandAction {
    CommandAction::Set(vec![(property.to_owned(), json!(value))])
}

fn held(read: u64) -> WriteVerdict {
    WriteVerdict::Verified {
        read: Value::UInt(read),
    }
}

#[test]
fn a_device_that_comes_online_asks_and_what_was_done_is_deleted_in_its_version() {
    let mut w = online(|_| {});
    let first = asked(&w, "get");
    assert_eq!(first.len(), 1, "once");
    assert_eq!(first[0]["params"], json!(["P0", "P1"]));
    let data = json!({"P0": {"value": 7, "version": 3}, "P1": {"value": 8, "version": 4},
        "P3": {"value": 9, "version": 5}, "X": {"value": 1, "version": 1}});
    answer(&mut w, "get", 200, &data);
    let command = w.commands[0].clone();
    let expected = Command {
        number: command.number,
        origin: CommandOrigin::Cloud {
            id: format!("desired/get {}", first[0]["id"].as_str().unwrap()),
        },
        device: Some(DeviceId(0)),
        action: set("P0", 7),
        within: secs(10),
    };
    assert_eq!(command, expected);
    end(&mut w, held(7));
    w.run(secs(1));
    assert!(asked(&w, "delete").is_empty(), "not all is done yet");
    let last = end(&mut w, WriteVerdict::Refused(RefusedReason::Silent));
    assert_eq!(last, set("P1", 8));
    w.run(secs(1));
    let deleted = asked(&w, "delete");
    assert_eq!(deleted.len(), 1);
    assert_eq!(deleted[0]["params"], json!({"P0": {"version": 3}}));
    answer(&mut w, "delete", 200, &json!({}));
    w.run(secs(600));
    assert_eq!((asked(&w, "get").len(), asked(&w, "delete").len()), (1, 1));
    assert!(w.commands.is_empty() && w.told("desired-failed") == 0);
    // What was not done is asked for when the device comes online again.
    w.down();
    w.up();
    assert!(w.run_for(secs(30), |w| asked(w, "get").len() == 2));
}

#[test]
fn a_value_that_a_newer_command_overtook_is_deleted_and_one_that_is_not_known_stays() {
    let mut w = online(|_| {});
    let data = json!({"P0": {"value": 7, "version": 3}, "P1": {"value": 8, "version": 4}});
    answer(&mut w, "get", 200, &data);
    end(&mut w, WriteVerdict::Refused(RefusedReason::Overtaken));
    end(&mut w, WriteVerdict::Unknown(UnknownReason::NoReply));
    w.run(secs(1));
    assert_eq!(
        asked(&w, "delete")[0]["params"],
        json!({"P0": {"version": 3}})
    );
}

#[test]
fn nothing_is_asked_without_the_wish_the_permission_or_a_point_to_write() {
    let changes: [fn(&mut Spec); 3] = [
        |spec| spec.commands.desired = false,
        |spec| spec.commands.allow = CommandPolicy::Local,
        |spec| {
            let profile = Arc::make_mut(&mut spec.devices[0].profile);
            profile.points.iter_mut().for_each(|p| p.write = None);
        },
    ];
    for change in changes {
        let mut w = online(change);
        w.run(secs(60));
        assert!(asked(&w, "get").is_empty());
    }
}

#[test]
fn a_request_without_an_answer_is_made_three_times_and_then_told() {
    let mut w = online(|_| {});
    w.run(secs(300));
    assert_eq!(asked(&w, "get").len(), 3);
    assert_eq!(w.told("desired-failed"), 1);
    assert!(w.is_in(0), "the device goes on");
}

#[test]
fn a_refusal_is_told_and_not_repeated_and_one_that_says_no_session_ends_it() {
    let mut w = online(|_| {});
    answer(&mut w, "get", 6661, &json!({}));
    w.run(secs(60));
    assert_eq!((asked(&w, "get").len(), w.told("desired-failed")), (1, 1));
    let mut w = online(|_| {});
    w.platform.online.clear();
    answer(&mut w, "get", 520, &json!({}));
    assert!(w.run_for(secs(60), |w| w.is_in(0) && asked(w, "get").len() == 2));
}

#[test]
fn an_end_that_comes_after_the_session_deletes_nothing() {
    let mut w = online(|_| {});
    answer(
        &mut w,
        "get",
        200,
        &json!({"P0": {"value": 7, "version": 3}}),
    );
    w.down();
    end(&mut w, held(7));
    w.up();
    assert!(
        w.run_for(secs(30), |w| asked(w, "get").len() == 2),
        "the platform is asked again"
    );
    w.run(secs(60));
    assert!(asked(&w, "delete").is_empty());
}
