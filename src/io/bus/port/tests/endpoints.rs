//! Connections to TCP endpoints, and endpoints that misbehave.

use super::*;

/// Answers requests of Modbus TCP, which are 12 bytes long.
fn rack(
    mut pipe: DuplexStream,
    mut script: impl FnMut(usize, u16, u8) -> Script + Send + 'static,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut n = 0;
        let mut request = [0; 12];
        while pipe.read_exact(&mut request).await.is_ok() {
            let id = u16::from_be_bytes([request[0], request[1]]);
            for (after, bytes) in script(n, id, request[6]) {
                sleep(Duration::from_millis(after)).await;
                if pipe.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            n += 1;
        }
    })
}

#[tokio::test(start_paused = true)]
async fn on_tcp_a_late_reply_is_dropped_and_the_connection_goes_on() {
    let mut w = world(tcp(), vec![lone(1), lone(2)]);
    let pipe = w.plug().await;
    rack(pipe, |n, id, unit| {
        let good = tcp::frame(id, UnitId(unit), &[3, 2, 0, unit]);
        match n {
            0 => vec![],
            1 => vec![
                (5, tcp::frame(id - 1, UnitId(unit - 1), &[3, 2, 0, 99])),
                (5, good),
            ],
            _ => vec![(5, good)],
        }
    });
    assert_eq!(w.polled().await, (0, SILENCE, vec![]));
    assert_eq!(w.polled().await, (1, ANSWER, vec![2]));
    assert_eq!(
        w.polled().await,
        (0, LivenessEvidence::Alive(LivenessProof::Late), vec![])
    );
    assert_eq!(w.polled().await, (0, ANSWER, vec![1]));
}

/// An adapter that is back with other permissions, or as another thing, is not absent any more.
/// The port has a thread of its own, whose time is the real one.
#[tokio::test]
async fn a_port_that_stays_down_is_told_with_the_present_reason_and_the_next_attempt() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ttyUSB0");
    let mut port = serial(9600);
    let LineSpec::Serial(line) = &mut port.line else {
        panic!("no serial line")
    };
    line.path = path.clone();
    let (pipes, _) = mpsc::channel(1);
    let mut w = world_of(port, vec![lone(1)], pipes, Opener::System);
    let FieldEvent::PortDown { why, .. } = w.event().await else {
        panic!("not down")
    };
    assert!(why.contains("no such port"), "{why}");
    let mut last = None;
    for _ in 0..2 {
        let FieldEvent::PortRetried { why, next, .. } = w.event().await else {
            panic!("not retried")
        };
        assert!(why.contains("no such port"), "{why}");
        assert!(Some(next) > last);
        last = Some(next);
    }
    // A file, and no terminal.
    std::fs::write(&path, "").unwrap();
    let FieldEvent::PortRetried { why, .. } = w.event().await else {
        panic!("not retried")
    };
    assert!(!why.contains("no such port"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn on_tcp_what_is_not_modbus_ends_the_connection() {
    let mut w = world(tcp(), vec![lone(1)]);
    let pipe = w.plug().await;
    rack(pipe, |_, _, _| {
        vec![(5, b"HTTP/1.1 400 Bad Request".to_vec())]
    });
    // The reply might still be found in the next ones.
    let garbled = LivenessEvidence::Missed(MissReason::Garbled);
    assert_eq!(w.polled().await, (0, garbled, vec![]));
    assert_eq!(w.polled().await, (0, garbled, vec![]));
    let lost = LivenessEvidence::Missed(MissReason::ConnectionLost);
    assert_eq!(w.polled().await, (0, lost, vec![]));
    let next = w.event().await;
    let FieldEvent::PortDown { why, .. } = next else {
        panic!("{next:?}")
    };
    let seen = "48 54 54 50 2F 31 2E 31 20 34 30 30 20 42 61 64";
    assert_eq!(why, format!("what it sends is not Modbus TCP: {seen}"));
}

#[tokio::test(start_paused = true)]
async fn a_tcp_connection_on_which_nobody_answers_is_made_anew() {
    let mut w = world(tcp(), vec![lone(1)]);
    let deaf = w.plug().await;
    let pipe = w.plug().await;
    rack(pipe, |_, id, unit| {
        vec![(5, tcp::frame(id, UnitId(unit), &[3, 2, 0, 7]))]
    });
    for _ in 0..3 {
        assert_eq!(w.polled().await, (0, SILENCE, vec![]));
    }
    assert_eq!(w.polled().await, (0, ANSWER, vec![7]));
    drop(deaf);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_closed_while_idle_is_no_miss() {
    let mut w = world(tcp(), vec![lone(1)]);
    let mut first = w.plug().await;
    let second = w.plug().await;
    tokio::spawn(async move {
        let mut request = [0; 12];
        first.read_exact(&mut request).await.unwrap();
        let id = u16::from_be_bytes([request[0], request[1]]);
        let reply = tcp::frame(id, UnitId(1), &[3, 2, 0, 7]);
        first.write_all(&reply).await.unwrap();
    });
    rack(second, |_, id, unit| {
        vec![(5, tcp::frame(id, UnitId(unit), &[3, 2, 0, 8]))]
    });
    assert_eq!(w.event().await, FieldEvent::PortUp { port: PortId(0) });
    assert_eq!(w.polled().await, (0, ANSWER, vec![7]));
    for _ in 0..3 {
        let FieldEvent::Polled { readings, .. } = w.event().await else {
            panic!()
        };
        assert_eq!(readings[0].value, Value::UInt(8));
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_only_hangs_up_is_down_once() {
    let mut w = world(tcp(), vec![lone(1)]);
    let first = w.plug().await;
    let pipes = w.pipes.clone();
    tokio::spawn(async move {
        sleep(Duration::from_millis(1)).await;
        drop(first);
        loop {
            let (ours, theirs) = tokio::io::duplex(64);
            if pipes.send(ours).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(1)).await;
            drop(theirs);
        }
    });
    assert_eq!(w.event().await, FieldEvent::PortUp { port: PortId(0) });
    let (mut downs, mut ups) = (0, 0);
    let _ = timeout(Duration::from_secs(600), async {
        while let Some(event) = w.hub.recv().await {
            downs += u32::from(matches!(event, FieldEvent::PortDown { .. }));
            ups += u32::from(matches!(event, FieldEvent::PortUp { .. }));
        }
    })
    .await;
    assert_eq!((downs, ups), (1, 0));
}

/// Sends foreign frames without end.
async fn flood(mut pipe: DuplexStream, answers: usize) {
    let mut request = [0; 12];
    for _ in 0..answers {
        if pipe.read_exact(&mut request).await.is_err() {
            return;
        }
        let id = u16::from_be_bytes([request[0], request[1]]);
        let reply = tcp::frame(id, UnitId(request[6]), &[3, 2, 0, 7]);
        pipe.write_all(&reply).await.unwrap();
    }
    let frames: Vec<u8> = (0..64)
        .flat_map(|id| tcp::frame(0x4000 + id, UnitId(1), &[3, 2, 0, 1]))
        .collect();
    while pipe.write_all(&frames).await.is_ok() {}
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_floods_is_cut_for_that_reason_and_connected_to_ever_more_rarely() {
    for answers in [0, 1] {
        let mut w = world(tcp(), vec![lone(1)]);
        tokio::spawn(flood(w.plug().await, answers));
        let connections = Arc::new(AtomicU32::new(0));
        let (count, pipes) = (Arc::clone(&connections), w.pipes.clone());
        tokio::spawn(async move {
            loop {
                let (ours, theirs) = tokio::io::duplex(1024);
                if pipes.send(ours).await.is_err() {
                    return;
                }
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(flood(theirs, answers));
            }
        });
        let (mut lost, mut values) = (0, 0);
        let _ = timeout(Duration::from_secs(120), async {
            loop {
                match w.event().await {
                    FieldEvent::PortDown { why, .. } => {
                        assert!(why.starts_with("it floods: "), "{why}");
                        lost += 1;
                    }
                    FieldEvent::Polled { readings, .. } => values += readings.len(),
                    _ => {}
                }
            }
        })
        .await;
        // Eight are in the channel to begin with; then each 5 s at the most often.
        let connections = connections.load(Ordering::SeqCst);
        assert!((20..60).contains(&connections), "{connections}");
        match answers {
            0 => assert!(lost >= 1 && values == 0, "{lost} {values}"),
            _ => assert!(values >= 10, "{values}"),
        }
        assert!(w.heartbeat.steps() > 20);
    }
}
