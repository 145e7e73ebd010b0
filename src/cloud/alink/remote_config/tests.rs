use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::*;
use crate::base::{Rng, Secret};
use crate::spec::{FailedTrial, Retraction, TrialFailure};

const SECOND: Duration = Duration::from_secs(1);

/// An engine, and the file that it handed out last.
struct Harness {
    remote: RemoteConfiguration,
    now: Now,
    /// The file that was handed out to be adopted last.
    handed_out: Digest,
}

impl Harness {
    fn open(policy: RemotePolicy) -> Harness {
        let now = Now::default();
        let mut remote = RemoteConfiguration::new(&policy, Rng::new(1), now);
        remote.link_up();
        Harness {
            remote,
            now,
            handed_out: Digest::of(b""),
        }
    }

    /// Returns an engine that has asked, and was answered that there is no file.
    fn enabled() -> Harness {
        let mut harness = Harness::open(RemotePolicy {
            enabled: true,
            ..RemotePolicy::default()
        });
        assert_eq!(harness.said(), ["get"]);
        harness
            .remote
            .on_get_answered(harness.now, Code(6710), Err("nothing"));
        assert_eq!(harness.said(), ["remote-config-none"]);
        harness
    }

    fn push(&mut self, id: u32, file: &[u8]) {
        self.push_as(json!(id), announce(file));
    }

    fn push_as(&mut self, id: Json, params: Json) {
        let payload = json!({"id": id, "params": params}).to_string();
        let pushed = RemotePush::parse(payload.as_bytes()).unwrap();
        self.remote.on_push(self.now, pushed);
    }

    fn wait(&mut self, time: Duration) {
        self.now.mono = self.now.mono + time;
    }

    /// Ends a download; the serial of the last remote task is the engine's own.
    fn fetched(&mut self, result: Result<&[u8], FetchFailure>) {
        let serial = self.remote.serial;
        let result = result.map(|bytes| FileContent::new(bytes.to_vec()));
        self.remote
            .on_done(self.now, RemoteResult::Fetched { serial, result });
    }

    fn adopted(&mut self, result: Result<(), &str>) {
        let serial = self.remote.serial;
        let result = result.map(|()| self.handed_out);
        let result = result.map_err(NotAdopted::openly);
        self.remote
            .on_done(self.now, RemoteResult::Adopted { serial, result });
    }

    fn concluded(&mut self, result: Result<(), &str>) {
        let serial = self.remote.serial;
        let result = result.map_err(str::to_owned);
        self.remote
            .on_done(self.now, RemoteResult::Concluded { serial, result });
    }

    /// Returns an engine that has adopted this file.
    fn with(file: &[u8]) -> Harness {
        let mut harness = Harness::enabled();
        harness.push(1, file);
        harness.said();
        harness.fetched(Ok(file));
        harness.said();
        harness.adopted(Ok(()));
        assert_eq!(harness.said(), ["remote-config-adopted", "answer 1 200"]);
        harness
    }

    /// Waits until something is due; returns what that is, and how long it took.
    fn sleep(&mut self) -> (&'static str, Duration) {
        let wake = self.remote.wake_at().unwrap();
        let time = wake.at.since(self.now.mono);
        self.now.mono = wake.at;
        (wake.why, time)
    }

    /// Returns everything that the engine wants now, in few words.
    fn said(&mut self) -> Vec<String> {
        let steps: Vec<_> = std::iter::from_fn(|| self.remote.poll(self.now)).collect();
        steps
            .into_iter()
            .map(|step| match step {
                RemoteAction::Get => "get".into(),
                RemoteAction::Task(RemoteTask::Fetch { at_most, .. }) => {
                    format!("fetch {at_most}")
                }
                RemoteAction::Task(RemoteTask::Conclude {
                    verdict, digest, ..
                }) => {
                    assert_eq!(digest, self.remote.policy.in_force.unwrap());
                    format!("conclude {verdict:?}")
                }
                RemoteAction::Task(RemoteTask::Adopt { content, .. }) => {
                    self.handed_out = Digest::of(content.bytes());
                    format!("adopt {}", String::from_utf8_lossy(content.bytes()))
                }
                RemoteAction::Answer(body) => {
                    let body: Json = serde_json::from_slice(&body).unwrap();
                    format!("answer {} {}", body["id"], body["code"])
                }
                RemoteAction::LogEvent(notice) => {
                    crate::base::LogEvent::kind(&notice).name().into()
                }
            })
            .collect()
    }
}

fn announce(file: &[u8]) -> Json {
    json!({"configId": "c1", "configSize": file.len(), "sign": Digest::of(file).to_string(),
        "signMethod": "Sha256", "url": "https://oss.example/?Signature=hunter2", "getType": "file"})
}

fn failed() -> Result<&'static [u8], FetchFailure> {
    Err(FetchFailure::Failed("no route".into()))
}

#[test]
fn a_push_is_fetched_compared_adopted_and_answered() {
    let mut harness = Harness::enabled();
    harness.push(7, b"devices: []");
    assert_eq!(harness.said(), ["fetch 11"]);
    harness.fetched(Ok(b"devices: []"));
    assert_eq!(harness.said(), ["adopt devices: []"]);
    harness.adopted(Ok(()));
    assert_eq!(harness.said(), ["remote-config-adopted", "answer 7 200"]);
    // The file is in force: nothing to do, whatever its name is.
    harness.push(8, b"devices: []");
    assert_eq!(harness.said(), ["remote-config-in-force", "answer 8 200"]);
}

#[test]
fn each_way_to_be_wrong_has_its_code_and_changes_nothing() {
    let file = b"devices: []";
    let other = |key: &str, value: Json| {
        let mut params = announce(file);
        params[key] = value;
        params
    };
    let refused = |code: u32| {
        [
            format!("answer 1 {code}"),
            "remote-config-refused".to_owned(),
        ]
    };
    // Refused at once.
    for (params, code) in [
        (other("url", Json::Null), 460),
        (other("signMethod", json!("Md5")), 460),
        (other("configSize", json!(65_537)), 100_002),
    ] {
        let mut harness = Harness::enabled();
        harness.push_as(json!(1), params);
        assert_eq!(harness.said(), refused(code));
        assert_eq!(harness.remote.wake_at(), None);
    }
    // Refused after the download.
    let sign = Digest::of(b"x").to_string();
    for (params, got, code) in [
        (announce(file), Ok(&b"devices: "[..]), 100_004),
        (announce(file), Err(FetchFailure::TooLarge), 100_004),
        (
            other("configSize", Json::Null),
            Err(FetchFailure::TooLarge),
            100_002,
        ),
        (other("sign", json!(sign)), Ok(&file[..]), 100_005),
        (
            announce(file),
            Err(FetchFailure::Refused("403".into())),
            100_003,
        ),
    ] {
        let mut harness = Harness::enabled();
        harness.push_as(json!(1), params);
        assert_eq!(harness.said().len(), 1);
        harness.fetched(got);
        assert_eq!(harness.said(), refused(code));
        assert_eq!(harness.remote.wake_at(), None);
    }
    // Refused by the check; then the same file may come again.
    let mut harness = Harness::enabled();
    harness.push(1, file);
    harness.said();
    harness.fetched(Ok(file));
    harness.said();
    harness.adopted(Err("remote.yaml:1:1 devices"));
    assert_eq!(harness.said(), refused(100_006));
    harness.push(2, file);
    assert_eq!(harness.said(), ["fetch 11"]);
}

#[test]
fn where_none_is_wanted_a_push_is_refused_and_told_once_and_nothing_is_asked() {
    let mut harness = Harness::open(RemotePolicy::default());
    assert_eq!(harness.said(), [""; 0]);
    harness.push(1, b"x");
    assert_eq!(
        harness.said(),
        ["remote-config-not-enabled", "answer 1 100001"]
    );
    harness.push(2, b"x");
    assert_eq!(harness.said(), ["answer 2 100001"]);
    let text = AdoptionRefusal::NotEnabled.short();
    assert!(text.contains("remote_config: { enabled: true }"), "{text}");
    // Once it is enabled, the platform is asked.
    let enabled = RemotePolicy {
        enabled: true,
        ..RemotePolicy::default()
    };
    harness.remote.respec(harness.now, &enabled);
    assert_eq!(harness.said(), ["get"]);
}

#[test]
fn the_platform_is_asked_once_in_the_life_of_a_process() {
    let mut harness = Harness::enabled();
    harness.remote.link_down(harness.now);
    harness.remote.link_up();
    assert_eq!(harness.said(), [""; 0]);

    // A request that was lost with its connection is repeated on the next.
    let policy = RemotePolicy {
        enabled: true,
        ..RemotePolicy::default()
    };
    let mut harness = Harness::open(policy.clone());
    assert_eq!(harness.said(), ["get"]);
    harness.remote.link_down(harness.now);
    assert_eq!(harness.said(), [""; 0]);
    harness.remote.link_up();
    assert_eq!(harness.said(), ["get"]);
    let file = AnnouncedFile::read(Some(&announce(b"{}")));
    harness.remote.on_get_answered(harness.now, Code(200), file);
    assert_eq!(harness.said(), ["fetch 2"]);
    harness.fetched(Ok(b"{}"));
    assert_eq!(harness.said(), ["adopt {}"]);
    harness.adopted(Ok(()));
    assert_eq!(
        harness.said(),
        ["remote-config-adopted"],
        "no request to answer"
    );

    // A request that is never answered is given up.
    let mut harness = Harness::open(policy);
    let mut asked = 0;
    for _ in 0..100 {
        asked += harness.said().len();
        harness.remote.on_get_lost(harness.now);
        harness.wait(600 * SECOND);
    }
    assert_eq!(asked, 4);
}

#[test]
fn a_download_that_fails_is_tried_four_times_with_growing_waits() {
    let mut harness = Harness::enabled();
    harness.push(1, b"x");
    let mut waits = Vec::new();
    for _ in 0..3 {
        assert_eq!(harness.said(), ["fetch 1"]);
        harness.fetched(failed());
        assert_eq!(harness.said(), ["remote-config-download-failed"]);
        let wake = harness.remote.wake_at().unwrap();
        assert_eq!(wake.why, "download tried again");
        waits.push(wake.at.since(harness.now.mono));
        harness.now.mono = wake.at;
    }
    assert_eq!(harness.said(), ["fetch 1"]);
    harness.fetched(failed());
    assert_eq!(harness.said(), ["answer 1 100003", "remote-config-refused"]);
    assert!(waits[2] > waits[0], "{waits:?}");
}

#[test]
fn a_task_that_is_not_answered_runs_out() {
    let mut harness = Harness::enabled();
    harness.push(1, b"x");
    harness.said();
    let serial = harness.remote.serial;
    let wake = harness.remote.wake_at().unwrap();
    assert_eq!(wake.why, "download overdue");
    harness.now.mono = wake.at;
    assert_eq!(harness.said(), ["remote-config-download-failed"]);
    // The result comes after all: too late.
    let result = Ok(FileContent::new(b"x".to_vec()));
    harness
        .remote
        .on_done(harness.now, RemoteResult::Fetched { serial: 0, result });
    assert_eq!(harness.said(), [""; 0]);
    assert_eq!(harness.remote.serial, serial);
    harness.now.mono = harness.remote.wake_at().unwrap().at;
    assert_eq!(harness.said(), ["fetch 1"]);
    harness.fetched(Ok(b"x"));
    harness.said();
    let wake = harness.remote.wake_at().unwrap();
    assert_eq!(wake.why, "adoption overdue");
    harness.now.mono = wake.at;
    assert_eq!(harness.said(), ["answer 1 100007", "remote-config-refused"]);
    // The file was applied all the same: that is undone, and no failure is recorded against
    // it.
    harness.adopted(Ok(()));
    assert_eq!(harness.said(), ["conclude Withdrawn"]);
    harness.concluded(Ok(()));
    assert_eq!(harness.said(), [""; 0]);
    assert_eq!(harness.remote.wake_at(), None);
}

#[test]
fn what_runs_and_reaches_the_platform_for_its_probation_is_proven() {
    let mut harness = Harness::with(b"a");
    harness.wait(200 * SECOND);
    harness.remote.link_down(harness.now);
    harness.wait(60 * SECOND);
    harness.remote.link_up();
    assert_eq!(harness.said(), [""; 0]);
    assert_eq!(harness.sleep(), ("end of probation", 40 * SECOND));
    assert_eq!(harness.said(), ["conclude Proven"]);
    harness.concluded(Ok(()));
    assert_eq!(harness.said(), ["remote-config-proven"]);
    assert_eq!(harness.remote.wake_at(), None);
}

#[test]
fn what_does_not_reach_the_platform_for_that_long_has_failed() {
    let mut harness = Harness::with(b"a");
    harness.wait(200 * SECOND);
    harness.remote.link_down(harness.now);
    assert_eq!(harness.sleep(), ("end of probation", 300 * SECOND));
    assert_eq!(harness.said(), ["conclude Failed(Unreached)"]);
    // The service goes on with the file before it, and says so by its policy.
    let failed = FailedTrial {
        digest: Digest::of(b"a"),
        failure: TrialFailure::Unreached,
    };
    let policy = RemotePolicy {
        enabled: true,
        failed: vec![failed],
        retracted: vec![Retraction {
            push: "1".into(),
            failure: TrialFailure::Unreached,
        }],
        ..RemotePolicy::default()
    };
    harness.remote.respec(harness.now, &policy);
    harness.concluded(Ok(()));
    assert_eq!(harness.said(), [""; 0], "nothing reaches the platform");
    // The first answer said that the file is in force; the second says that it no longer
    // is.
    harness.remote.link_up();
    assert_eq!(harness.said(), ["answer 1 100009"]);
    harness.remote.link_down(harness.now);
    harness.remote.link_up();
    assert_eq!(harness.said(), [""; 0], "once");
    // The failed file is refused when it is pushed again, without being fetched; another is
    // not.
    harness.push(2, b"a");
    assert_eq!(harness.said(), ["answer 2 100009", "remote-config-refused"]);
    harness.push(3, b"b");
    assert_eq!(harness.said(), ["fetch 1"]);
}

#[test]
fn a_connection_that_was_gone_before_says_nothing_against_a_file() {
    let mut harness = Harness::enabled();
    harness.push(1, b"a");
    harness.said();
    harness.fetched(Ok(b"a"));
    harness.said();
    harness.remote.link_down(harness.now);
    harness.adopted(Ok(()));
    assert_eq!(harness.said(), ["remote-config-adopted"]);
    assert_eq!(harness.remote.wake_at(), None);
    harness.wait(3600 * SECOND);
    assert_eq!(harness.said(), [""; 0]);
    harness.remote.link_up();
    assert_eq!(harness.said(), ["conclude Proven"]);
}

#[test]
fn a_decision_is_carried_out_however_long_that_takes() {
    let mut harness = Harness::with(b"a");
    harness.sleep();
    assert_eq!(harness.said(), ["conclude Proven"]);
    // The connection was lost.
    assert_eq!(harness.sleep(), ("end of probation", 180 * SECOND));
    assert_eq!(harness.said(), ["conclude Proven"]);
    // A change of the connection meanwhile changes nothing.
    harness.remote.link_down(harness.now);
    harness.concluded(Err("no space left on device"));
    assert_eq!(harness.said(), ["remote-config-not-settled"]);
    assert_eq!(harness.sleep(), ("end of probation", 60 * SECOND));
    assert_eq!(harness.said(), ["conclude Proven"]);
    harness.concluded(Ok(()));
    assert_eq!(harness.said(), ["remote-config-proven"]);
}

#[test]
fn a_newer_file_begins_a_probation_of_its_own() {
    let mut harness = Harness::with(b"a");
    harness.wait(290 * SECOND);
    harness.push(2, b"b");
    harness.said();
    harness.fetched(Ok(b"b"));
    assert_eq!(harness.said(), ["adopt b"]);
    // The file is about to be replaced: it is not proven any more.
    harness.wait(20 * SECOND);
    assert_eq!(harness.said(), [""; 0]);
    harness.adopted(Ok(()));
    assert_eq!(harness.said(), ["remote-config-adopted", "answer 2 200"]);
    assert_eq!(harness.sleep(), ("end of probation", 300 * SECOND));
    // A file that is refused replaces none.
    let mut harness = Harness::with(b"a");
    harness.push(2, b"b");
    harness.said();
    harness.fetched(Ok(b"b"));
    harness.said();
    harness.adopted(Err("remote.yaml:1:1"));
    assert_eq!(harness.said(), ["answer 2 100006", "remote-config-refused"]);
    assert_eq!(harness.sleep(), ("end of probation", 300 * SECOND));
    assert_eq!(harness.said(), ["conclude Proven"]);
}

#[test]
fn what_is_not_wanted_any_more_is_withdrawn() {
    let mut harness = Harness::with(b"a");
    harness.remote.respec(harness.now, &RemotePolicy::default());
    harness.remote.policy.in_force = Some(Digest::of(b"a"));
    assert_eq!(harness.said(), ["conclude Withdrawn"]);
}

#[test]
fn the_platform_is_told_nothing_of_this_machine_or_its_networks() {
    let ways = [
        "HTTP status 404 Not Found",
        "Connection refused (os error 111)",
        "timeout: global",
        "invalid peer certificate: certificate not valid for name",
        "it leads to no address that is public",
    ];
    let texts: std::collections::BTreeSet<_> = ways
        .iter()
        .map(|why| AdoptionRefusal::Download((*why).into()).short())
        .collect();
    assert_eq!(texts.len(), 1, "{texts:?}");
    let wrong = AdoptionRefusal::Wrong(NotAdopted {
        said: "remote.yaml:1:1".into(),
        detail: "/etc/shadow".into(),
    });
    assert_eq!(wrong.short(), "remote.yaml:1:1");
}

#[test]
fn a_newer_push_supersedes_what_waits_and_what_is_downloaded_but_not_what_is_adopted() {
    let mut harness = Harness::enabled();
    harness.push(1, b"a");
    assert_eq!(harness.said(), ["fetch 1"]);
    harness.push(2, b"b");
    harness.push(3, b"cc");
    assert_eq!(harness.said(), ["answer 2 100008"]);
    harness.fetched(Ok(b"a"));
    assert_eq!(harness.said(), ["answer 1 100008", "fetch 2"]);
    harness.fetched(Ok(b"cc"));
    assert_eq!(harness.said(), ["adopt cc"]);
    harness.push(4, b"cc");
    assert_eq!(harness.said(), [""; 0]);
    harness.adopted(Ok(()));
    assert_eq!(
        harness.said(),
        [
            "remote-config-adopted",
            "answer 3 200",
            "remote-config-in-force",
            "answer 4 200"
        ]
    );
    // A file that rests between downloads is not waited for.
    harness.push(5, b"d");
    harness.said();
    harness.fetched(failed());
    harness.said();
    harness.push(6, b"ee");
    assert_eq!(harness.said(), ["answer 5 100008", "fetch 2"]);
}

#[test]
fn nothing_shows_the_url_or_the_file() {
    let mut harness = Harness::enabled();
    harness.push(1, b"secret: hunter2");
    let fetch = harness.remote.poll(harness.now);
    harness.fetched(Ok(b"secret: hunter2"));
    let adopt = harness.remote.poll(harness.now);
    let shown = format!("{fetch:?} {adopt:?} {:?}", harness.remote);
    assert!(!shown.contains("hunter2"), "{shown}");
    let url = Secret::new("hunter2");
    assert!(!format!("{url:?}").contains("hunter2"));
}

/// An event that may happen.
#[derive(Clone, Debug)]
enum Event {
    Push(u8),
    Strange,
    Fetched(Option<u8>),
    Adopted(bool),
    Wait(u64),
    Link(bool),
    Enable(bool),
    GetLost,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..3u8).prop_map(Event::Push),
        1 => Just(Event::Strange),
        4 => prop::option::weighted(0.7, 0..3u8).prop_map(Event::Fetched),
        4 => any::<bool>().prop_map(Event::Adopted),
        2 => (0..200u64).prop_map(Event::Wait),
        1 => any::<bool>().prop_map(Event::Link),
        1 => prop::bool::weighted(0.8).prop_map(Event::Enable),
        1 => Just(Event::GetLost),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_each_push_has_one_answer_and_nothing_else_is_adopted(
        events in prop::collection::vec(event(), 1..80),
    ) {
        let policy = RemotePolicy { enabled: true, ..RemotePolicy::default() };
        let mut harness = Harness::open(policy.clone());
        let mut answers = std::collections::BTreeMap::new();
        let (mut pushes, mut linked, mut enabled, mut ever_down) = (0, true, true, false);
        for event in events.into_iter().chain((0..20).map(|_| Event::Wait(200))) {
            match event {
                Event::Push(n) if linked => {
                    harness.push(pushes, &[b'a' + n]);
                    pushes += 1;
                }
                Event::Push(_) => {}
                Event::Strange => harness.push_as(Json::Null, json!([])),
                Event::Fetched(Some(n)) => harness.fetched(Ok(&[b'a' + n])),
                Event::Fetched(None) => harness.fetched(failed()),
                Event::Adopted(well) => harness.adopted(if well { Ok(()) } else { Err("no") }),
                Event::Wait(s) => harness.wait(Duration::from_secs(s)),
                Event::Link(true) => { linked = true; harness.remote.link_up(); }
                Event::Link(false) => { linked = false; ever_down = true; harness.remote.link_down(harness.now); }
                Event::Enable(on) => {
                    enabled = on;
                    let in_force = harness.remote.policy.in_force;
                    harness.remote.respec(harness.now, &RemotePolicy { enabled: on, in_force, ..policy.clone() });
                }
                Event::GetLost => harness.remote.on_get_lost(harness.now),
            }
            let mut steps = 0;
            while let Some(step) = harness.remote.poll(harness.now) {
                steps += 1;
                prop_assert!(steps < 20, "it never rests");
                match step {
                    RemoteAction::Answer(body) => {
                        let body: Json = serde_json::from_slice(&body).unwrap();
                        *answers.entry(body["id"].as_u64()).or_insert(0) += 1;
                    }
                    RemoteAction::Task(RemoteTask::Adopt { content, .. }) => {
                        prop_assert!(enabled);
                        prop_assert_ne!(harness.remote.policy.in_force, Some(Digest::of(content.bytes())));
                    }
                    RemoteAction::Task(RemoteTask::Fetch { at_most, .. }) => prop_assert_eq!(at_most, 1),
                    RemoteAction::Task(RemoteTask::Conclude { .. }) => {}
                    RemoteAction::Get | RemoteAction::LogEvent(_) => {}
                }
            }
            // Once drained, the engine sleeps until something is due.
            let wake = harness.remote.wake_at();
            prop_assert!(wake.is_none_or(|w| w.at > harness.now.mono), "{wake:?}");
        }
        prop_assert!(answers.values().all(|n| *n == 1), "{answers:?}");
        if !ever_down {
            prop_assert_eq!(answers.len(), pushes as usize, "all have run out by now");
        }
    }
}
