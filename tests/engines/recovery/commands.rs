//! Commands of the platform: handed out once, answered once, and not faster than the pace.

use std::time::Duration;

use alink_gateway::base::{
    Command, CommandAction, CommandAnswer, CommandNumber, CommandOrigin, DeviceId, RefusedReason,
    UnknownReason, Value, WriteVerdict,
};
use alink_gateway::spec::CommandPolicy;
use serde_json::Value as Json;

use super::*;

/// The gateway's own topics.
const OWN: &str = "/sys/gwPk/gw-1";

fn topics_of(d: u32) -> String {
    format!("/sys/subPk/{}", name(d))
}

/// Writes a message as the platform does.
fn body(id: &str, params: &Json) -> Vec<u8> {
    json!({"id": id, "version": "1.0", "params": params, "method": "thing.service.property.set"})
        .to_string()
        .into_bytes()
}

fn verified(value: f64) -> CommandAnswer {
    let verdict = WriteVerdict::Verified {
        read: Value::Float(value),
    };
    CommandAnswer {
        step: None,
        points: vec![("P".to_owned(), verdict.clone())],
        outputs: Vec::new(),
        whole: verdict,
    }
}

fn set(w: &mut World, d: u32, id: &str) {
    let topic = format!("{}/thing/service/property/set", topics_of(d));
    w.message(&topic, &body(id, &json!({"P": 1})));
}

/// Sends a synchronous call to device 1.
fn call(w: &mut World, id: &str) {
    let topic = format!("{}/rrpc/request/{id}", topics_of(1));
    w.message(&topic, &body(id, &json!({"P": 1})));
}

fn set_answers(w: &World, d: u32) -> Vec<&Json> {
    w.answers(&format!(
        "{}/thing/service/property/set_reply",
        topics_of(d)
    ))
}

fn call_answers(w: &World, id: &str) -> usize {
    w.answers(&format!("{}/rrpc/response/{id}", topics_of(1)))
        .len()
}

/// Ends the command that was handed out last.
fn end_last(w: &mut World, answer: CommandAnswer) {
    let number = w.commands.last().unwrap().number;
    w.done(number, answer);
    w.run(ms(300));
}

#[test]
fn a_command_is_handed_out_in_neutral_words_and_answered_where_its_answer_belongs() {
    let sets = CommandAction::Set(vec![("Z".into(), json!(2)), ("P".into(), json!("on"))]);
    let calls = |service: &str| CommandAction::Call {
        service: service.into(),
        inputs: vec![("Z".into(), json!(2)), ("P".into(), json!("on"))],
    };
    let sub = topics_of(1);
    let (soon, late) = (secs(4), secs(10));
    let one = Some(DeviceId(1));
    let rows: [(String, String, Option<DeviceId>, CommandAction, Duration); 9] = [
        (
            format!("{sub}/thing/service/property/set"),
            "_reply".into(),
            one,
            sets.clone(),
            late,
        ),
        (
            format!("{sub}/thing/service/reset"),
            "_reply".into(),
            one,
            calls("reset"),
            late,
        ),
        (
            format!("{sub}/thing/service/m1:reset"),
            "_reply".into(),
            one,
            calls("m1:reset"),
            late,
        ),
        (
            format!("{OWN}/thing/service/reboot"),
            "_reply".into(),
            None,
            calls("reboot"),
            late,
        ),
        (
            format!("{OWN}/thing/service/property/set"),
            "_reply".into(),
            None,
            sets.clone(),
            late,
        ),
        (
            format!("{sub}/rrpc/request/77"),
            format!("{sub}/rrpc/response/77"),
            one,
            sets.clone(),
            soon,
        ),
        (
            format!("{OWN}/rrpc/request/78"),
            format!("{OWN}/rrpc/response/78"),
            None,
            sets.clone(),
            soon,
        ),
        (
            format!("/ext/rrpc/79{sub}/thing/service/property/set"),
            String::new(),
            one,
            sets,
            soon,
        ),
        (
            format!("/ext/rrpc/80{sub}/thing/service/reset"),
            String::new(),
            one,
            calls("reset"),
            soon,
        ),
    ];
    let mut w = online(2);
    let mut numbers = BTreeSet::new();
    for (topic, answer, device, action, within) in rows {
        for (n, id) in [json!("4711"), json!(4712)].into_iter().enumerate() {
            let rrpc = topic.contains("/rrpc/");
            if rrpc && n > 0 {
                // The id in the topic is the call's.
                continue;
            }
            w.sent.clear();
            let body = format!(
                r#"{{"id":{id},"version":"1.0","params":{{"Z":2,"P":"on"}},"method":"thing.service.property.set"}}"#
            );
            w.message(&topic, body.as_bytes());
            let command = w.commands.pop().unwrap();
            let origin = match (rrpc, &id) {
                (true, _) => topic
                    .split('/')
                    .find_map(|t| t.parse::<u64>().ok())
                    .unwrap()
                    .to_string(),
                (false, Json::String(id)) => id.clone(),
                (false, id) => id.to_string(),
            };
            let expected = Command {
                number: command.number,
                origin: CommandOrigin::Cloud { id: origin },
                device,
                action: action.clone(),
                within,
            };
            assert_eq!(command, expected, "{topic}");
            assert!(command.number.0.is_multiple_of(2) && numbers.insert(command.number));
            w.run(secs(1));
            assert_eq!(w.sent.len(), 0, "{topic}: answered before its end");
            w.done(command.number, verified(21.0));
            w.run(ms(300));
            let to = match &answer[..] {
                "" => topic.clone(),
                "_reply" => format!("{topic}_reply"),
                other => other.to_owned(),
            };
            let answers = w.answers(&to);
            assert_eq!(answers.len(), 1, "{topic}");
            assert_eq!((&answers[0]["id"], &answers[0]["code"]), (&id, &json!(200)));
            assert_eq!(answers[0]["message"], "P: verified: the device holds 21.0");
        }
    }
    assert_eq!(w.cloud.counters().commands, 14);
}

#[test]
fn what_the_gateway_does_not_have_is_answered_not_supported_with_its_id() {
    let mut w = online(2);
    let sub = topics_of(1);
    for (topic, answer) in [
        (
            "/thing/service/property/get",
            "/thing/service/property/get_reply",
        ),
        ("/thing/service/m1:re/set", "/thing/service/m1:re/set_reply"),
        ("/thing/gateway/permit", "/thing/gateway/permit_reply"),
        ("/rrpc/request/77", "/rrpc/response/77"),
    ] {
        for id in [json!("4711"), json!(4711)] {
            w.sent.clear();
            let body = json!({"id": id, "version": "1.0", "params": ["P"], "method": "m"});
            w.message(&format!("{sub}{topic}"), body.to_string().as_bytes());
            w.run(secs(1));
            let answers = w.answers(&format!("{sub}{answer}"));
            assert_eq!(answers.len(), 1, "{topic}");
            assert_eq!(
                (&answers[0]["id"], &answers[0]["code"]),
                (&id, &json!(100_001))
            );
        }
    }
    // A synchronous call may carry anything.
    w.sent.clear();
    w.message(&format!("{sub}/rrpc/request/80"), b"\xff raw");
    w.message("/ext/rrpc/81/subPk/x/user/any", b"{}");
    w.run(secs(1));
    let answers = w.answers(&format!("{sub}/rrpc/response/80"));
    assert_eq!(
        (&answers[0]["id"], &answers[0]["code"]),
        (&json!("80"), &json!(100_001))
    );
    let answers = w.answers("/ext/rrpc/81/subPk/x/user/any");
    assert_eq!(
        (&answers[0]["id"], &answers[0]["code"]),
        (&json!("81"), &json!(100_001))
    );
    assert_eq!(w.told("platform-command-unsupported"), 1);
    assert_eq!(w.commands, []);
}

#[test]
fn nothing_but_a_command_is_answered() {
    let mut w = online(2);
    let sub = topics_of(1);
    for (topic, body) in [
        // Our own answers, and a device's own requests, from a generous broker.
        (
            "/ext/rrpc/7/a/b".to_owned(),
            json!({"id": "7", "code": 100_001}),
        ),
        (
            format!("{sub}/thing/service/x_reply"),
            json!({"id": "7", "code": 200}),
        ),
        (
            format!("{sub}/rrpc/response/7"),
            json!({"id": "7", "code": 200}),
        ),
        (
            format!("{sub}/thing/event/alarm/post"),
            json!({"id": "7", "params": {}}),
        ),
        // A device that the gateway does not have.
        (
            "/sys/subPk/stranger/thing/service/x".into(),
            json!({"id": "7", "params": {}}),
        ),
        // Without an id for the answer.
        (format!("{sub}/thing/service/x"), json!({"params": {}})),
        (
            format!("{sub}/thing/service/x"),
            json!({"id": "x".repeat(1000)}),
        ),
    ] {
        w.message(&topic, body.to_string().as_bytes());
        w.run(secs(1));
        assert_eq!(w.sent.len(), 0, "{topic}");
    }
    assert_eq!(w.commands, []);
}

#[test]
fn what_may_not_be_carried_out_is_refused_at_once_and_says_why() {
    for (policy, words) in [
        (
            CommandPolicy::Off,
            "the configuration of the gateway permits no commands",
        ),
        (
            CommandPolicy::Local,
            "the configuration of the gateway permits no commands of the platform",
        ),
    ] {
        let mut spec = spec(2);
        spec.commands.allow = policy;
        let mut w = World::new(spec);
        w.up();
        w.want(0..2, Presence::Online);
        assert!(w.run_for(secs(30), |w| w.online() == 2));
        set(&mut w, 1, "1");
        w.run(ms(300));
        let answers = set_answers(&w, 1);
        assert_eq!(answers.len(), 1);
        assert_eq!(
            (&answers[0]["code"], &answers[0]["message"]),
            (&json!(100_006), &json!(words))
        );
        assert_eq!(w.commands, []);
        assert_eq!(w.cloud.counters().refused_commands, 1);
    }
    let mut w = online(2);
    let ext = "/ext/rrpc/9/sys/subPk/stranger/thing/service/x";
    w.message(ext, br#"{"id":"9","params":{}}"#);
    let topic = format!("{}/thing/service/property/set", topics_of(1));
    w.message(&topic, br#"{"id":"10","params":["P"]}"#);
    w.run(secs(1));
    assert_eq!(w.answers(ext)[0]["code"], 400);
    let malformed = set_answers(&w, 1);
    assert_eq!(malformed[0]["code"], 460);
    assert_eq!(malformed[0]["message"], "params is not an object");
    assert_eq!((w.commands.len(), w.cloud.counters().malformed), (0, 1));
}

#[test]
fn a_message_that_comes_again_is_done_once_and_gets_the_same_reply_again() {
    let mut w = online(2);
    for _ in 0..3 {
        set(&mut w, 1, "7");
        w.run(ms(500));
    }
    assert_eq!((w.commands.len(), w.sent.len()), (1, 0));
    end_last(&mut w, verified(21.0));
    assert_eq!(set_answers(&w, 1).len(), 1);
    w.run(secs(590));
    // One reply goes out at once, another waits, and then that is what is due.
    for _ in 0..3 {
        set(&mut w, 1, "7");
    }
    w.run(secs(1));
    let answers = set_answers(&w, 1);
    assert_eq!(answers.len(), 3);
    assert!(answers.iter().all(|a| *a == answers[0]));
    assert_eq!(
        (w.commands.len(), w.cloud.counters().repeated_commands),
        (1, 5)
    );

    // The same id of another device, on another topic, or much later is another command.
    set(&mut w, 0, "7");
    w.message(
        &format!("{}/thing/service/x", topics_of(1)),
        &body("7", &json!({"P": 1})),
    );
    assert_eq!(w.commands.len(), 3);
    w.run(secs(20));
    set(&mut w, 1, "7");
    assert_eq!(w.commands.len(), 4);
}

#[test]
fn an_id_that_was_used_for_another_command_is_refused() {
    let mut w = online(2);
    let topic = format!("{}/thing/service/property/set", topics_of(1));
    set(&mut w, 1, "7");
    for under_way in [true, false] {
        w.message(&topic, &body("7", &json!({"P": 2})));
        w.run(secs(1));
        let answers = set_answers(&w, 1);
        let refusal = answers.last().unwrap();
        assert_eq!(refusal["code"], 460);
        assert!(
            refusal["message"]
                .as_str()
                .unwrap()
                .contains("needs a new id")
        );
        assert_eq!(w.commands.len(), 1);
        if under_way {
            end_last(&mut w, verified(1.0));
        }
    }
    assert_eq!(set_answers(&w, 1).len(), 3);
}

#[test]
fn an_answer_that_came_without_a_link_goes_out_later_unless_its_caller_waited() {
    for (away, sent) in [(1, true), (20, true), (90, false)] {
        let mut w = online(2);
        set(&mut w, 1, "1");
        let set_number = w.commands[0].number;
        call(&mut w, "2");
        let call_number = w.commands[1].number;
        // The gateway needs no session.
        let own = format!("{OWN}/thing/service/reboot");
        w.message(&own, &body("3", &json!({})));
        let own_number = w.commands[2].number;
        w.down();
        w.done(own_number, verified(3.0));
        w.done(set_number, verified(1.0));
        w.done(call_number, verified(2.0));
        w.run(secs(away));
        w.up();
        // Not before the device has its session again.
        assert_eq!(set_answers(&w, 1).len(), 0);
        let own = w.answers(&format!("{own}_reply")).len();
        assert_eq!(own, usize::from(sent));
        w.run(secs(60));
        assert!(w.is_in(1));
        assert_eq!(
            set_answers(&w, 1).len(),
            usize::from(sent),
            "after {away} s"
        );
        assert_eq!(call_answers(&w, "2"), 0);
        assert_eq!(w.cloud.counters().unsent_answers, 3 - 2 * u64::from(sent));
        // The same messages get what is kept.
        call(&mut w, "2");
        set(&mut w, 1, "1");
        w.run(secs(1));
        assert_eq!(call_answers(&w, "2"), 1);
        assert_eq!(set_answers(&w, 1).len(), 1 + usize::from(sent));
        assert_eq!(w.commands.len(), 3);
    }
}

#[test]
fn of_the_answers_that_wait_when_the_link_is_lost_those_to_callers_are_not_sent_later() {
    let mut w = online(2);
    for id in 0..4 {
        set(&mut w, 0, &format!("s{id}"));
        call(&mut w, &format!("c{id}"));
    }
    for command in std::mem::take(&mut w.commands) {
        w.done(command.number, verified(1.0));
    }
    // Two answers have been sent, 200 ms apart; the others wait.
    w.run(ms(300));
    let calls = |w: &World| {
        (0..4)
            .map(|id| call_answers(w, &format!("c{id}")))
            .sum::<usize>()
    };
    let (sets_before, calls_before) = (set_answers(&w, 0).len(), calls(&w));
    assert_eq!(sets_before + calls_before, 2);
    w.down();
    w.up();
    w.run(secs(30));
    assert_eq!((set_answers(&w, 0).len(), calls(&w)), (4, calls_before));
    assert_eq!(w.cloud.counters().unsent_answers, 4 - calls_before as u64);
    // Their replies are kept.
    call(&mut w, "c3");
    w.run(secs(1));
    assert_eq!((calls(&w), w.commands.len()), (calls_before + 1, 0));
}

#[test]
fn an_answer_of_a_device_without_a_session_waits_for_it_and_not_for_ever() {
    let mut w = online(2);
    set(&mut w, 1, "1");
    call(&mut w, "2");
    w.want([1], Presence::Offline);
    w.run(secs(2));
    assert!(!w.is_in(1));
    let numbers: Vec<CommandNumber> = w.commands.iter().map(|c| c.number).collect();
    for number in numbers {
        w.done(number, CommandAnswer::refused(RefusedReason::Silent));
    }
    w.run(secs(30));
    w.want([1], Presence::Online);
    w.run(secs(20));
    assert_eq!((set_answers(&w, 1).len(), call_answers(&w, "2")), (1, 0));
    assert_eq!(w.cloud.counters().unsent_answers, 1);
}

#[test]
fn a_device_that_falls_silent_stays_online_for_the_answer_to_a_command() {
    let mut w = online(2);
    set(&mut w, 1, "1");
    w.want([1], Presence::Offline);
    w.run(ms(500));
    assert!(w.is_in(1));
    let doubt = WriteVerdict::Unknown(UnknownReason::NoReply);
    let answer = CommandAnswer {
        step: None,
        points: vec![("P".to_owned(), doubt.clone())],
        outputs: Vec::new(),
        whole: doubt,
    };
    end_last(&mut w, answer);
    assert_eq!(set_answers(&w, 1)[0]["code"], 100_003);
    w.run(ms(500));
    assert!(!w.is_in(1));
}

#[test]
fn a_gateway_that_stops_refuses_commands_and_sends_the_answers_that_there_are() {
    let mut w = online(2);
    // A reading that is never accepted keeps the devices online for a moment.
    set(&mut w, 1, "1");
    let number = w.commands[0].number;
    w.done(number, CommandAnswer::refused(RefusedReason::Stopping));
    set(&mut w, 0, "2");
    let number = w.commands[1].number;
    w.done(number, CommandAnswer::refused(RefusedReason::Stopping));
    w.stop();
    set(&mut w, 0, "3");
    w.run(secs(5));
    assert_eq!(w.commands.len(), 2);
    assert_eq!(set_answers(&w, 1)[0]["code"], 100_012);
    let codes: Vec<&Json> = set_answers(&w, 0).iter().map(|a| &a["code"]).collect();
    assert_eq!(codes, [100_012, 100_012]);
    assert!(w.all_out());
}

#[test]
fn a_flood_of_commands_takes_a_fifth_of_the_pace_at_most() {
    let mut w = online(2);
    for id in 0..1_000 {
        set(&mut w, 1, &id.to_string());
        while let Some(command) = w.commands.pop() {
            w.done(
                command.number,
                CommandAnswer::refused(RefusedReason::NotWritable),
            );
        }
        w.run(ms(10));
    }
    let soon = w.sent.len();
    assert!((45..=52).contains(&soon), "{soon} answers in ten seconds");
    w.run(secs(60));
    let answered = w.sent.len() as u64;
    assert_eq!(answered + w.cloud.counters().dropped_answers, 1_000);
    let throttled = set_answers(&w, 1)
        .iter()
        .filter(|a| a["code"] == 429)
        .count();
    assert!(throttled > 0, "none was told that there are too many");
}

#[test]
fn a_hundred_devices_may_be_set_at_once() {
    let mut w = online(100);
    for d in 0..100 {
        set(&mut w, d, &d.to_string());
    }
    assert_eq!(w.commands.len(), 100);
    for command in std::mem::take(&mut w.commands) {
        w.done(command.number, verified(1.0));
    }
    w.run(secs(21));
    assert_eq!(w.sent.iter().filter(|s| s.ask == Ask::Answer).count(), 100);
}

#[test]
fn synchronous_calls_are_answered_in_their_time_and_keep_back_no_other_command_for_ever() {
    let mut w = online(2);
    for id in 0..100 {
        set(&mut w, 0, &format!("s{id}"));
    }
    for id in 0..200 {
        call(&mut w, &format!("c{id}"));
    }
    let calls = w.commands.len() - 100;
    assert_eq!(calls, 24, "no more are carried out than can be answered");
    for command in std::mem::take(&mut w.commands) {
        w.done(command.number, verified(1.0));
    }
    w.run(secs(4));
    let others = set_answers(&w, 0).len();
    assert!((3..=5).contains(&others), "every fifth: {others}");
    w.run(secs(4));
    let answered: usize = (0..200).map(|id| call_answers(&w, &format!("c{id}"))).sum();
    // One refusal went out before the rest came.
    assert_eq!(answered, 33, "eight or nine that there are too many");
    assert_eq!(w.cloud.counters().dropped_answers, 200 - 33);
    let others = set_answers(&w, 0).len();
    assert!((7..=9).contains(&others), "{others}");
    w.run(secs(20));
    assert_eq!(set_answers(&w, 0).len(), 100);
}

#[test]
fn rrpc_on_custom_topics_is_subscribed() {
    let w = online(1);
    assert!(w.subscribed.contains(&"/ext/rrpc/+/#".to_owned()));
}

// --- the law ------------------------------------------------------------------------------------

#[derive(Clone, Debug)]
enum Step {
    /// A message of this kind, with one of a few ids and one of two contents.
    Message(usize, u32, u32),
    /// One of the commands under way ends.
    End(usize),
    Wait(u64),
    Down,
    Up,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0usize..5, 0u32..4, 0u32..8).prop_map(|(kind, id, content)| {
            Step::Message(kind, id, u32::from(content == 0))
        }),
        4 => any::<usize>().prop_map(Step::End),
        3 => (0u64..3_000).prop_map(Step::Wait),
        1 => Just(Step::Down),
        2 => Just(Step::Up),
    ]
}

/// Returns the topic of a message and that of its answer.
fn topics(kind: usize, id: u32) -> (String, String) {
    let (sub, other) = (topics_of(0), topics_of(1));
    let both = |topic: String| (topic.clone(), format!("{topic}_reply"));
    match kind {
        0 => both(format!("{sub}/thing/service/property/set")),
        1 => both(format!("{other}/thing/service/reset")),
        2 => both(format!("{OWN}/thing/service/reboot")),
        3 => (
            format!("{other}/rrpc/request/{id}"),
            format!("{other}/rrpc/response/{id}"),
        ),
        _ => {
            let topic = format!("/ext/rrpc/{id}{sub}/thing/service/property/set");
            (topic.clone(), topic)
        }
    }
}

/// Returns how many answers there are to the messages of this kind with this id.
fn own_answers(w: &World, kind: usize, id: u32) -> usize {
    let (_, topic) = topics(kind, id);
    let id = id.to_string();
    let own = |a: &&Json| a["id"].as_str() == Some(&id);
    w.answers(&topic).into_iter().filter(own).count()
}

proptest! {
    /// Whatever comes, how often, in which order, and however often the link is lost: a
    /// message is answered at most as often as it came, once at least if the link stays, and
    /// nothing is done twice.
    #[test]
    fn a_message_is_answered_once_and_nothing_is_done_twice(
        steps in prop::collection::vec(any_step(), 1..80),
    ) {
        let mut w = online(2);
        let (mut linked, mut ever_down) = (true, false);
        let mut came: BTreeMap<(usize, u32), usize> = BTreeMap::new();
        let mut under_way: Vec<CommandNumber> = Vec::new();
        let mut carried_out = BTreeSet::new();
        let mut finish = false;
        for step in steps.into_iter().chain([Step::Wait(1)]) {
            match step {
                Step::Message(kind, id, content) if linked => {
                    *came.entry((kind, id)).or_default() += 1;
                    let (topic, _) = topics(kind, id);
                    w.message(&topic, &body(&id.to_string(), &json!({"P": content})));
                    for command in w.commands.drain(..) {
                        prop_assert!(carried_out.insert((kind, id)), "{kind} {id} a second time");
                        under_way.push(command.number);
                    }
                }
                Step::End(n) if !under_way.is_empty() => {
                    let number = under_way.remove(n % under_way.len());
                    w.done(number, verified(1.0));
                }
                Step::Wait(wait) => w.run(ms(wait)),
                Step::Down if linked => {
                    (linked, ever_down) = (false, true);
                    w.down();
                }
                Step::Up if !linked => {
                    linked = true;
                    w.up();
                }
                Step::Message(..) | Step::End(_) | Step::Down | Step::Up => {}
            }
            for ((kind, id), times) in &came {
                let own = own_answers(&w, *kind, *id);
                prop_assert!(own <= *times, "{kind} {id}: {own} answers to {times} messages");
            }
            finish = linked;
        }
        prop_assert_eq!(w.cloud.counters().dropped_answers, 0);
        for number in under_way {
            w.done(number, verified(1.0));
        }
        if finish && !ever_down {
            w.run(secs(60));
            for ((kind, id), times) in came {
                let own = own_answers(&w, kind, id);
                prop_assert!((1..=times).contains(&own), "{kind} {id}: {own} answers");
            }
            prop_assert_eq!(w.cloud.counters().unsent_answers, 0);
        }
    }
}
