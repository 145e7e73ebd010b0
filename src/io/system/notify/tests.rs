//! Tests the service manager's end of the socket, on virtual time.

use super::*;

const WATCHDOG: Duration = Duration::from_secs(30);

/// A service manager on an abstract socket of its own.
fn manager(name: &str) -> (UnixDatagram, OsString) {
    let name = format!("alink-gateway-test-{}-{name}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    socket.set_nonblocking(true).unwrap();
    (socket, format!("@{name}").into())
}

/// Returns all messages since the last look.
fn heard(socket: &UnixDatagram) -> Vec<String> {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(n) = socket.recv(&mut buffer) {
        all.push(String::from_utf8(buffer[..n].to_vec()).unwrap());
    }
    all
}

struct House {
    manager: UnixDatagram,
    notifier: Notifier,
    status: watch::Sender<String>,
    watched: Heartbeats,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

fn house(name: &str, heartbeats: &[&Heartbeat]) -> House {
    let (manager, address) = manager(name);
    let notifier = Notifier::at(Some(address), Some(WATCHDOG));
    let (status, receiver) = watch::channel("starting".to_owned());
    let stop = CancellationToken::new();
    let watched = Heartbeats::default();
    for heartbeat in heartbeats {
        watched.add((*heartbeat).clone());
    }
    let task = tokio::spawn(run(
        notifier.clone(),
        watched.clone(),
        receiver,
        Clock::system(),
        Journal::new(Arc::new(crate::io::log::tests::spec())),
        stop.clone(),
    ));
    House {
        manager,
        notifier,
        status,
        watched,
        stop,
        task,
    }
}

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

#[tokio::test(start_paused = true)]
async fn ready_status_and_stopping_are_told_in_the_order_they_happen() {
    let house = house("order", &[]);
    pass(Duration::from_millis(10)).await;
    house.notifier.ready();
    house
        .status
        .send("cloud up\n· 3/3 online".to_owned())
        .unwrap();
    pass(Duration::from_secs(2)).await;
    house.stop.cancel();
    house.task.await.unwrap();
    assert_eq!(
        heard(&house.manager),
        [
            "STATUS=starting\n",
            "READY=1\n",
            "STATUS=cloud up · 3/3 online\n",
            "STOPPING=1\n"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn status_is_told_when_it_changes_and_at_most_once_a_second() {
    let house = house("status", &[]);
    for n in 0..50 {
        house.status.send(format!("{} online", n / 10)).unwrap();
        pass(Duration::from_millis(100)).await;
    }
    let told = heard(&house.manager);
    assert!(told.len() <= 6, "{told:?}");
    pass(Duration::from_secs(5)).await;
    house.status.send("4 online".to_owned()).unwrap();
    pass(Duration::from_secs(5)).await;
    let later = heard(&house.manager);
    let repeated = told
        .iter()
        .chain(&later)
        .filter(|w| *w == "STATUS=4 online\n")
        .count();
    assert_eq!(repeated, 1, "the same line is not told twice");
    let last = told
        .iter()
        .chain(&later)
        .rfind(|w| w.starts_with("STATUS"))
        .unwrap();
    assert_eq!(
        last, "STATUS=4 online\n",
        "the newest value is not forgotten"
    );
}

#[tokio::test(start_paused = true)]
async fn the_watchdog_is_fed_in_time_while_all_tasks_move() {
    let (a, b) = (Heartbeat::new("hub"), Heartbeat::new("line1"));
    let house = house("fed", &[&a, &b]);
    let mut last_fed = 0;
    for second in 1..=300 {
        a.beat();
        b.beat();
        pass(Duration::from_secs(1)).await;
        if heard(&house.manager).iter().any(|w| w == "WATCHDOG=1\n") {
            last_fed = second;
        }
        assert!(second - last_fed <= 15, "hungry at {second} s");
    }
}

#[tokio::test(start_paused = true)]
async fn one_stuck_task_withholds_the_watchdog() {
    let (a, b) = (Heartbeat::new("hub"), Heartbeat::new("line1"));
    let house = house("withheld", &[&a, &b]);
    pass(Duration::from_millis(1)).await;
    b.beat();
    for _ in 0..60 {
        a.beat();
        pass(Duration::from_secs(1)).await;
    }
    let fed = heard(&house.manager)
        .iter()
        .filter(|w| *w == "WATCHDOG=1\n")
        .count();
    assert_eq!(fed, 1, "fed for the one beat of line1 and never again");
    b.beat();
    a.beat();
    pass(Duration::from_secs(8)).await;
    assert_eq!(heard(&house.manager), ["WATCHDOG=1\n"]);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_has_ended_is_watched_no_more_and_a_new_one_is() {
    let (a, b) = (Heartbeat::new("hub"), Heartbeat::new("line1"));
    let house = house("tasks", &[&a, &b]);
    let fed = async |beats: &[&Heartbeat]| {
        heard(&house.manager);
        for _ in 0..60 {
            beats.iter().for_each(|p| p.beat());
            pass(Duration::from_secs(1)).await;
        }
        let fed = heard(&house.manager);
        fed.iter().filter(|w| *w == "WATCHDOG=1\n").count()
    };
    house.watched.end(&b);
    assert!(fed(&[&a]).await >= 4);
    let c = house.watched.start("line2");
    assert!(fed(&[&a]).await <= 1);
    assert!(fed(&[&a, &c]).await >= 4);
}

#[tokio::test(start_paused = true)]
async fn a_reload_begins_with_its_time_and_ends_with_ready() {
    let house = house("reload", &[]);
    pass(Duration::from_millis(10)).await;
    heard(&house.manager);
    house.notifier.reloading();
    house.notifier.ready();
    let said = heard(&house.manager);
    let time = said[0]
        .strip_prefix("RELOADING=1\nMONOTONIC_USEC=")
        .unwrap();
    assert!(time.trim_end().parse::<u64>().unwrap() > 0);
    assert_eq!(said[1..], ["READY=1\n"]);
}

#[test]
fn a_stuck_task_is_named_once_before_the_watchdog_bites_and_when_it_moves_again() {
    let (a, b) = (Heartbeat::new("hub"), Heartbeat::new("line1"));
    let watched = Heartbeats::default();
    watched.add(a.clone());
    watched.add(b.clone());
    let mut watch = Watch::new(watched, WATCHDOG, Mono::START);
    let mut now = Mono::START;
    let mut said = Vec::new();
    while now.since(Mono::START) < WATCHDOG {
        now = watch.look_at;
        a.beat();
        said.extend(watch.look(now).1.into_iter().map(|n| (now, n)));
    }
    let at = Mono::START + WATCHDOG / 2;
    let stuck = NotifyEvent::Stuck {
        task: "line1".to_owned(),
        since: WATCHDOG / 2,
        restart_in: WATCHDOG / 2,
    };
    assert_eq!(said, [(at, stuck)]);

    b.beat();
    let (fed, notices) = watch.look(now);
    assert!(fed);
    let again = NotifyEvent::MovesAgain {
        task: "line1".to_owned(),
        after: WATCHDOG,
    };
    assert_eq!(notices, [again]);
}

#[test]
fn without_a_service_manager_nothing_is_sent_and_nothing_fails() {
    let none = Notifier::at(None, Some(WATCHDOG));
    assert!(none.socket.is_none(), "{none:?}");
    none.ready();
    // An address longer than the kernel takes, and one with a byte that ends it.
    for unusable in [
        "/x".repeat(100),
        "/x\0y".into(),
        format!("@{}", "x".repeat(200)),
    ] {
        let none = Notifier::at(Some(unusable.into()), Some(WATCHDOG));
        assert!(none.socket.is_none(), "{none:?}");
        none.ready();
    }

    // A service manager that has gone: the words are lost, and those after its return are
    // not behind them.
    let (gone, address) = manager("gone");
    drop(gone);
    let notifier = Notifier::at(Some(address), Some(WATCHDOG));
    notifier.ready();
    let (returned, _) = manager("gone");
    assert_eq!(heard(&returned), [""; 0]);
    notifier.ready();
    assert_eq!(heard(&returned), ["READY=1\n"]);
}
