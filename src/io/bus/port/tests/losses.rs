//! A line that is lost and back, a port without work, a device that is dead.

use super::*;

#[tokio::test(start_paused = true)]
async fn on_a_line_that_is_back_nobody_waits_for_its_turn() {
    let rare = profile(vec![point(
        Table::HoldingRegister,
        1,
        number(Number::U16),
        3_600_000,
    )]);
    let mut w = world(serial(9600), vec![rare]);
    for _ in 0..3 {
        let pipe = w.plug().await;
        let slave = line(pipe, |_, request| vec![(20, reply(request, 5))]);
        let plugged = Instant::now();
        assert_eq!(w.polled().await, (0, ANSWER, vec![5]));
        assert!(plugged.elapsed() < Duration::from_secs(2));
        slave.abort();
        sleep(Duration::from_secs(30)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn unplugged_the_port_is_down_once_and_up_when_it_is_back() {
    let mut w = world(serial(9600), vec![lone(1)]);
    (&mut w.attempted).await.unwrap();
    assert!(matches!(w.news().await, Some(FieldEvent::PortDown { .. })));
    for _ in 0..3 {
        let pipe = w.plug().await;
        let slave = line(pipe, |_, request| vec![(20, reply(request, 5))]);
        let next = timeout(Duration::from_secs(6), w.news()).await.unwrap();
        assert_eq!(next, Some(FieldEvent::PortUp { port: PortId(0) }));
        let next = timeout(Duration::from_secs(1), w.news()).await.unwrap();
        assert!(matches!(next, Some(FieldEvent::Polled { .. })), "{next:?}");
        slave.abort();
        // The connection was idle: the loss is noticed without a request.
        let next = timeout(Duration::from_secs(1), w.news()).await.unwrap();
        assert!(
            matches!(next, Some(FieldEvent::PortDown { .. })),
            "{next:?}"
        );
        let steps = w.heartbeat.steps();
        let more = timeout(Duration::from_secs(60), w.news()).await;
        assert!(more.is_err(), "{more:?}");
        let beats = w.heartbeat.steps() - steps;
        assert!((12..200).contains(&beats), "alive, not spinning: {beats}");
    }
    w.stop.cancel();
    w.task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_back_at_once_is_nobodys_business() {
    let mut w = world(serial(9600), vec![lone(1)]);
    let pipe = w.plug().await;
    let first = line(pipe, |_, request| vec![(20, reply(request, 5))]);
    w.polled().await;
    let pipe = w.plug().await;
    line(pipe, |_, request| vec![(20, reply(request, 6))]);
    first.abort();
    let next = w.event().await;
    let FieldEvent::Polled { readings, .. } = next else {
        panic!("{next:?}")
    };
    assert_eq!(readings[0].value, Value::UInt(6));
}

#[tokio::test(start_paused = true)]
async fn an_idle_port_beats_and_reports_its_load() {
    let mut slow = lone(1);
    slow.points[0].interval = Duration::from_secs(3600);
    let mut w = world(serial(9600), vec![slow]);
    let pipe = w.plug().await;
    line(pipe, |_, request| vec![(20, reply(request, 5))]);
    w.polled().await;
    let steps = w.heartbeat.steps();
    let mut loads = 0;
    let _ = timeout(Duration::from_secs(60), async {
        while let Some(event) = w.hub.recv().await {
            loads += u32::from(matches!(
                event,
                FieldEvent::Load {
                    permille: 0..=10,
                    ..
                }
            ));
        }
    })
    .await;
    assert!(loads >= 11, "{loads}");
    assert!(w.heartbeat.steps() - steps >= 11);
}

#[tokio::test(start_paused = true)]
async fn a_dead_device_costs_its_neighbour_no_polls() {
    let mut w = world(serial(9600), vec![lone(1), lone(2)]);
    let pipe = w.plug().await;
    line(pipe, |_, request| match request[0] {
        1 => vec![],
        _ => vec![(20, reply(request, 2))],
    });
    let start = Instant::now();
    let mut answers = 0;
    while start.elapsed() < Duration::from_secs(100) {
        answers += u32::from(w.polled().await == (1, ANSWER, vec![2]));
    }
    assert!(answers >= 99, "{answers}");
}
