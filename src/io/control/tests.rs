use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use super::client::{self, AnswerError};
use super::listen::{self, ListenEnd};
use super::*;
use crate::base::{CommandAction, CommandAnswer, RefusedReason};
use crate::control::Request;
use crate::control::metrics::Figures;
use crate::control::picture::{Cloud, Link, Status};
use crate::field::test_spec::{installation, serial};

/// A service that gives every client the same answers.
struct House {
    folder: tempfile::TempDir,
    stop: CancellationToken,
}

fn status() -> Status {
    Status {
        version: "1".into(),
        uptime_ms: 5,
        cloud: Cloud {
            link: Link::Down,
            since_ms: 5,
            connects: 0,
            online: 0,
            wanted: 0,
            takeover_ms: None,
            last_failure: None,
            failure: None,
            short_sessions: 0,
            last_refusal: None,
            retry_ms: None,
        },
        ports: Vec::new(),
        devices: 0,
        states: Vec::new(),
        waiting: 0,
        delivered: 0,
        dropped: Default::default(),
        store: None,
        not_reported: 0,
        configuration: None,
        noticed: Vec::new(),
    }
}

impl House {
    fn path(&self) -> PathBuf {
        self.folder.path().join(SOCKET)
    }

    fn open() -> (
        House,
        Socket,
        QuestionSender,
        mpsc::Receiver<OperatorQuestion>,
    ) {
        House::open_with(LocalWrite::Root)
    }

    fn open_with(
        write: LocalWrite,
    ) -> (
        House,
        Socket,
        QuestionSender,
        mpsc::Receiver<OperatorQuestion>,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let stop = CancellationToken::new();
        let (hub, asked) = mpsc::channel(4);
        let monitors = BusMonitors::default();
        let house = House { folder, stop };
        let socket = Socket::open(&house.path()).unwrap();
        let journal = Journal::new(Arc::new(installation(serial(9600), Vec::new())));
        let (service, mut wishes) = mpsc::channel(1);
        tokio::spawn(async move {
            while let Some(AdminRequest::Reload { answer, .. }) = wishes.recv().await {
                let _ = answer.send(Reloaded {
                    changed: Some("nothing has changed".into()),
                    problems: Vec::new(),
                });
            }
        });
        let questions = QuestionSender {
            hub,
            monitors,
            surveys: PortSurveys::default(),
            service,
            journal,
            clock: Clock::system(),
            secret_store: SecretStore::open(house.folder.path()).0,
            learned: Learned::in_memory(),
            write: watch::channel(write).1,
            in_force: watch::channel(None).1,
            next_attempt: watch::channel(None).1,
        };
        (house, socket, questions, asked)
    }

    async fn serve() -> House {
        House::serve_with(LocalWrite::Root).await
    }

    async fn serve_with(write: LocalWrite) -> House {
        let (house, socket, questions, mut asked) = House::open_with(write);
        house.run(socket, questions);
        tokio::spawn(async move {
            while let Some(question) = asked.recv().await {
                match question {
                    OperatorQuestion::Status(answer) => drop(answer.send(Box::new(status()))),
                    OperatorQuestion::Devices(answer) => drop(answer.send(Vec::new())),
                    OperatorQuestion::Device { answer, .. } => drop(answer.send(None)),
                    OperatorQuestion::Command {
                        name,
                        action,
                        user,
                        is_permitted: _,
                        answer,
                    } => drop(answer.send((name == "pump").then(|| {
                        let why = format!("{action:?} of {user}");
                        Box::new(CommandAnswer::refused(RefusedReason::WrongValue {
                            seen: why,
                            wanted: "nothing".into(),
                        }))
                    }))),
                    OperatorQuestion::Figures(answer) => drop(answer.send(Box::new(Figures {
                        status: status(),
                        devices: Vec::new(),
                        replies: Vec::new(),
                        logins: Default::default(),
                        published: 0,
                        unanswered: 0,
                        throttled: 0,
                        refused: 0,
                        kicked: 0,
                        logouts: Default::default(),
                        commands: Default::default(),
                        events: Default::default(),
                    }))),
                }
            }
        });
        house
    }

    fn run(&self, socket: Socket, questions: QuestionSender) {
        tokio::spawn(run(socket, questions, self.stop.clone()));
    }

    /// Returns the whole answer to these bytes.
    async fn says(&self, bytes: &[u8]) -> Vec<String> {
        let stream = UnixStream::connect(self.path()).await.unwrap();
        let (from, mut to) = stream.into_split();
        // The service may have read enough before the end.
        let _ = to.write_all(bytes).await;
        let mut lines = BufReader::new(from).lines();
        let mut all = Vec::new();
        while let Ok(Some(line)) = lines.next_line().await {
            all.push(line);
        }
        all
    }
}

#[tokio::test]
async fn a_question_is_answered_and_the_answer_has_an_end() {
    let house = House::serve().await;
    let said = house.says(b"{\"v\":1,\"ask\":\"status\"}\n").await;
    let [first, last] = &said[..] else {
        panic!("{said:?}");
    };
    let answer = Answer::read(first.as_bytes()).unwrap();
    assert_eq!(answer, Answer::Status(Box::new(status())));
    assert_eq!(last, r#"{"end":{}}"#);
}

/// The user of this process.
fn own_user() -> u32 {
    fs::metadata("/proc/self").unwrap().uid()
}

#[tokio::test]
async fn a_command_reaches_the_hub_with_its_order_and_its_user() {
    let house = House::serve_with(LocalWrite::Group).await;
    let said = house
        .says(b"{\"v\":1,\"ask\":\"write\",\"device\":\"pump\",\"set\":[[\"B\",1],[\"A\",2]]}\n")
        .await;
    let [first, last] = &said[..] else {
        panic!("{said:?}");
    };
    let Answer::Command(result) = Answer::read(first.as_bytes()).unwrap() else {
        panic!("{first}");
    };
    let set = CommandAction::Set(vec![("B".into(), 1.into()), ("A".into(), 2.into())]);
    let wanted = format!("refused: {set:?} of {}: wanted nothing", own_user());
    assert_eq!(result.sentence, wanted);
    assert_eq!(last, r#"{"end":{}}"#);
    let said = house
        .says(b"{\"v\":1,\"ask\":\"call\",\"device\":\"pimp\",\"service\":\"Start\"}\n")
        .await;
    assert!(said[0].contains("no device is called"), "{said:?}");
}

#[tokio::test]
async fn a_user_who_may_give_no_commands_is_told_who_may() {
    let house = House::serve_with(LocalWrite::Off).await;
    for ask in [
        r#"{"v":1,"ask":"write","device":"pump","set":[["A",1]]}"#,
        r#"{"v":1,"ask":"call","device":"pump","service":"Start"}"#,
    ] {
        let said = house.says(format!("{ask}\n").as_bytes()).await;
        assert_eq!(said.len(), 1, "{said:?}");
        let answer = Answer::read(said[0].as_bytes()).unwrap();
        let Answer::Error(failure) = answer else {
            panic!("{said:?}");
        };
        assert_eq!(failure.kind, FailureKind::Refused);
        assert!(failure.why.contains("write: off"), "{failure}");
    }
}

#[tokio::test]
async fn what_is_no_question_is_told_so() {
    let house = House::serve().await;
    for (bytes, why) in [
        (&b"status\n"[..], "one JSON object"),
        (b"{\"v\":7,\"ask\":\"status\"}\n", "version 7"),
        (
            b"{\"v\":1,\"ask\":\"device\",\"name\":\"x\"}\n",
            "no device is called",
        ),
        (&[b' '; 10_000], "at most 4096 bytes"),
    ] {
        let said = house.says(bytes).await;
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(
            said[0].starts_with(r#"{"error""#) && said[0].contains(why),
            "{said:?}"
        );
    }
}

#[tokio::test]
async fn clients_that_ask_nothing_keep_nobody_waiting() {
    let house = House::serve().await;
    let mut idle = Vec::new();
    for _ in 0..3 * RULES.most {
        idle.push(UnixStream::connect(house.path()).await.unwrap());
    }
    for _ in 0..RULES.most {
        assert_eq!(
            house.says(b"{\"v\":1,\"ask\":\"devices\"}\n").await,
            [r#"{"end":{}}"#]
        );
    }
    // The first of these connections were cut for the later ones.
    let mut byte = [0];
    let cut = tokio::io::AsyncReadExt::read(&mut idle[0], &mut byte).await;
    assert_eq!(cut.unwrap(), 0);
}

#[tokio::test]
async fn a_picture_is_not_asked_for_so_rarely_that_its_slot_is_lost_to_others() {
    let house = House::serve().await;
    let said = house
        .says(b"{\"v\":1,\"ask\":\"status\",\"every_ms\":4294967295}\n")
        .await;
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("every_ms is at most 60000"), "{said:?}");
}

#[tokio::test]
async fn watching_goes_on_until_the_client_goes() {
    let house = House::serve().await;
    let path = house.path();
    let watching = tokio::task::spawn_blocking(move || {
        let request = Request::Status {
            every_ms: Some(100),
        };
        let answers = client::ask(&path, &request).unwrap();
        answers.take(3).filter(|a| a.is_ok()).count()
    });
    assert_eq!(watching.await.unwrap(), 3);
}

#[tokio::test]
async fn the_tool_says_what_to_do_when_nobody_answers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(SOCKET);
    let request = Request::Devices {};
    let failed = client::ask_once(&path, &request).unwrap_err();
    assert!(matches!(failed, AnswerError::NotThere(_)), "{failed}");
    // The socket is left as a killed service leaves it.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let failed = client::ask_once(&path, &request).unwrap_err();
    assert!(matches!(failed, AnswerError::NotResponding(_)), "{failed}");
}

#[test]
fn a_service_that_says_nothing_is_given_up_in_words_that_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(SOCKET);
    // This listener accepts by its queue, and never answers.
    let _mute = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let line_timeout = Duration::from_millis(50);
    let mut answers = client::ask_within(&path, &Request::Devices {}, line_timeout).unwrap();
    let failed = answers.next().unwrap().unwrap_err();
    assert!(matches!(failed, AnswerError::Slow(p) if p == line_timeout));
    assert!(
        failed.to_string().contains("has not answered for"),
        "{failed}"
    );
    assert!(answers.next().is_none());
}

/// Returns what the tool hears of a service that sends these lines and is gone.
fn heard(said: String) -> (Result<ListenEnd, AnswerError>, usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(SOCKET);
    let socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let service = std::thread::spawn(move || {
        let (mut stream, _) = socket.accept().unwrap();
        let mut question = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(&stream), &mut question).unwrap();
        std::io::Write::write_all(&mut stream, said.as_bytes()).unwrap();
    });
    let mut events = 0;
    let end = listen::listen(&path, "line1", None, |_| {
        events += 1;
        std::ops::ControlFlow::Continue(())
    });
    service.join().unwrap();
    (end, events)
}

#[test]
fn what_was_heard_before_the_service_stopped_is_kept() {
    const PAUSE: &str = "{\"seen\":{\"at\":1,\"wall\":1,\"what\":\"pause\"}}\n";
    // Stopped between two lines, or within one.
    for said in [PAUSE.to_owned(), format!("{PAUSE}{{\"see")] {
        let (end, events) = heard(said);
        assert!(matches!(end, Ok(ListenEnd::Gone)), "{end:?}");
        assert_eq!(events, 1);
    }
    // Nothing was heard: there is nothing to keep.
    for said in ["", "{\"see"] {
        let (end, _) = heard(said.into());
        assert!(matches!(end, Err(AnswerError::Broken(_))), "{end:?}");
    }
}

#[tokio::test]
async fn the_socket_is_for_the_owner_and_the_group_and_goes_with_the_service() {
    let (house, socket, ..) = House::open();
    let meta = fs::metadata(house.path()).unwrap();
    assert_eq!(meta.mode() & 0o777, MODE);
    let second = Socket::open(&house.path()).unwrap_err();
    assert!(second.to_string().contains("another service"), "{second}");
    drop(socket);
    assert!(!house.path().exists());
    // A socket that was left behind is replaced.
    drop(std::os::unix::net::UnixListener::bind(house.path()).unwrap());
    assert!(house.path().exists());
    Socket::open(&house.path()).unwrap();
}

#[tokio::test]
async fn what_is_no_socket_is_never_taken_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.yaml");
    fs::write(&path, "ports: {}").unwrap();
    let refused = Socket::open(&path).unwrap_err();
    assert!(refused.to_string().contains("no socket"), "{refused}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "ports: {}");
    // Nor is the target of a link replaced, whichever service listened there once.
    let (left, link) = (folder.path().join(SOCKET), folder.path().join("link"));
    drop(std::os::unix::net::UnixListener::bind(&left).unwrap());
    std::os::unix::fs::symlink(&left, &link).unwrap();
    Socket::open(&link).unwrap_err();
    assert!(left.exists() && link.exists());
}

#[tokio::test]
async fn a_service_that_stops_says_so_and_is_not_waited_for() {
    let (house, socket, questions, asked) = House::open();
    drop(asked);
    house.run(socket, questions);
    let said = house.says(b"{\"v\":1,\"ask\":\"status\"}\n").await;
    assert!(said[0].contains("stopping"), "{said:?}");
    house.stop.cancel();
    while house.path().exists() {
        tokio::task::yield_now().await;
    }
}
