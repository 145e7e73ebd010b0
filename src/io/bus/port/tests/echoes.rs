//! What is on the line besides the reply: other bytes, and the gateway's own.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_is_not_the_reply_is_not_taken() {
    let script: [Answerer; 5] = [
        // Another unit, another function, another length, a spoiled frame.
        |_| rtu::frame(UnitId(9), &[3, 2, 0, 66]),
        |_| rtu::frame(UnitId(1), &[4, 2, 0, 66]),
        |_| rtu::frame(UnitId(1), &[3, 4, 0, 66, 0, 66]),
        |request| {
            let mut bad = reply(request, 66);
            bad[4] ^= 1;
            bad
        },
        // The adapter's echo and nothing else.
        |request| request.to_vec(),
    ];
    let ends = [
        LivenessEvidence::Missed(MissReason::Foreign),
        LivenessEvidence::Alive(LivenessProof::Mismatched),
        LivenessEvidence::Alive(LivenessProof::Mismatched),
        LivenessEvidence::Missed(MissReason::Garbled),
        LivenessEvidence::Missed(MissReason::Silence),
    ];
    for (answer, end) in script.into_iter().zip(ends) {
        let mut w = world(serial(9600), vec![lone(1)]);
        let pipe = w.plug().await;
        line(pipe, move |_, request| vec![(20, answer(request))]);
        assert_eq!(w.polled().await, (0, end, vec![]));
    }
}

#[tokio::test(start_paused = true)]
async fn noise_and_echo_before_the_reply_do_no_harm() {
    let mut w = world(serial(9600), vec![lone(1)]);
    let pipe = w.plug().await;
    line(pipe, |n, request| {
        let good = reply(request, 5);
        match n % 4 {
            0 => vec![(20, [vec![0xFF; 25], good].concat())],
            1 => vec![(0, request.to_vec()), (20, good)],
            // Noise, a pause, then the reply.
            2 => vec![(5, vec![0; 3]), (60, good)],
            // Byte by byte.
            _ => good.iter().map(|b| (1, vec![*b])).collect(),
        }
    });
    for _ in 0..8 {
        assert_eq!(w.polled().await, (0, ANSWER, vec![5]));
    }
}

/// Returns a serial line whose adapter is configured to hear itself.
fn hearing_itself() -> PortSpec {
    let mut port = serial(9600);
    if let LineSpec::Serial(line) = &mut port.line {
        line.adapter.echo = true;
    }
    port
}

#[tokio::test(start_paused = true)]
async fn of_an_adapter_that_hears_itself_exactly_its_own_bytes_are_skipped() {
    let mut w = world(hearing_itself(), vec![lone(1)]);
    let pipe = w.plug().await;
    line(pipe, |n, request| {
        let good = reply(request, 5);
        let (head, tail) = request.split_at(n % 8);
        match n % 12 {
            // In two pieces, the second together with the reply.
            0..8 => vec![(1, head.to_vec()), (8, [tail, &good].concat())],
            // The adapter does not hear itself after all: the reply counts all the same.
            8 => vec![(20, good)],
            // A request that comes back once is an echo; if it comes back twice, the second is
            // another master's frame.
            10 => vec![(5, request.repeat(2)), (20, good)],
            _ => vec![(5, request.to_vec()), (20, good)],
        }
    });
    for n in 0..36 {
        assert_eq!(w.polled().await, (0, ANSWER, vec![5]), "{n}");
    }
}

/// Returns the echoes that a port reported when one request in four of sixteen was not heard
/// back.
async fn own_echoes(port: PortSpec) -> Echoes {
    let mut w = world(port, vec![lone(1)]);
    let pipe = w.plug().await;
    line(pipe, |n, request| {
        let good = reply(request, 5);
        match n % 4 {
            _ if n >= 16 => vec![],
            0 => vec![(20, good)],
            _ => vec![(5, request.to_vec()), (20, good)],
        }
    });
    let mut sum = Echoes::default();
    let _ = timeout(Duration::from_secs(60), async {
        while let Some(event) = w.hub.recv().await {
            if let FieldEvent::Echoes { echoes, .. } = event {
                assert_ne!(echoes, Echoes::default());
                sum.expected += echoes.expected;
                sum.unexpected += echoes.unexpected;
                sum.missed += echoes.missed;
            }
        }
    })
    .await;
    sum
}

#[tokio::test(start_paused = true)]
async fn every_echo_is_told_as_what_it_was_on_such_a_line() {
    let heard = own_echoes(hearing_itself()).await;
    assert_eq!((heard.expected, heard.unexpected), (12, 0), "{heard:?}");
    // Those four, and the requests made while no device answered.
    assert!(heard.missed > 4, "{heard:?}");
    let unasked = Echoes {
        unexpected: 12,
        ..Echoes::default()
    };
    assert_eq!(own_echoes(serial(9600)).await, unasked);
}

/// A missed reply that may still come is settled by a request that the plan does not have.
#[tokio::test(start_paused = true)]
async fn what_is_asked_besides_the_plan_is_counted() {
    let mut w = world(serial(9600), vec![lone(1)]);
    let pipe = w.plug().await;
    let besides = Arc::new(AtomicU32::new(0));
    let asked = Arc::clone(&besides);
    line(pipe, move |n, request| {
        let is_planned = request[1..6] == [3, 0, 1, 0, 1];
        asked.fetch_add(u32::from(!is_planned), Ordering::Relaxed);
        match (n, is_planned) {
            (6, _) => vec![],
            (_, true) => vec![(20, reply(request, 5))],
            (_, false) => {
                let refusal = [request[1] | 0x80, 2];
                vec![(20, rtu::frame(UnitId(request[0]), &refusal))]
            }
        }
    });
    let mut told = 0;
    let _ = timeout(Duration::from_secs(60), async {
        while let Some(event) = w.hub.recv().await {
            if let FieldEvent::Probes { count, .. } = event {
                assert_ne!(count, 0);
                told += count;
            }
        }
    })
    .await;
    assert!(told > 0);
    assert_eq!(told, besides.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn an_echo_alone_is_no_life() {
    let mut w = world(hearing_itself(), vec![lone(1)]);
    let pipe = w.plug().await;
    line(pipe, |_, request| vec![(5, request.to_vec())]);
    for _ in 0..8 {
        assert_eq!(w.polled().await, (0, SILENCE, vec![]));
    }
}
