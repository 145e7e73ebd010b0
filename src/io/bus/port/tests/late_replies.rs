//! Replies that come after their request was given up.

use super::*;

/// Runs a unit on a line of its own that answers in order, each request after a time of its
/// own; `None`: not at all. The value is the first address of the request, and so names the
/// request that the reply belongs to.
fn sluggish(pipe: DuplexStream, mut delay: impl FnMut(usize) -> Option<u64> + Send + 'static) {
    let (mut from_master, mut to_master) = tokio::io::split(pipe);
    let (queue, mut queued) = mpsc::unbounded_channel::<([u8; 8], Instant)>();
    tokio::spawn(async move {
        let mut request = [0; 8];
        let mut n = 0;
        while from_master.read_exact(&mut request).await.is_ok() {
            n += 1;
            if let Some(ms) = delay(n) {
                let at = Instant::now() + Duration::from_millis(ms);
                let _ = queue.send((request, at));
            }
        }
    });
    tokio::spawn(async move {
        while let Some((request, at)) = queued.recv().await {
            tokio::time::sleep_until(at).await;
            let address = u16::from_be_bytes([request[2], request[3]]);
            let _ = to_master.write_all(&reply(&request, address)).await;
            sleep(Duration::from_millis(8)).await;
        }
    });
}

/// Checks that every value that arrives belongs to the point it is given to.
async fn values_are_their_own(w: &mut World, addresses: &[u64], values: usize, about: &str) {
    let mut seen = 0;
    while seen < values {
        if let FieldEvent::Polled { readings, .. } = w.event().await {
            for r in readings {
                // The last two are read together, unless one of them may be at fault.
                let address = addresses[usize::from(r.point)];
                let first = if address == 31 { 30 } else { address };
                let own = [Value::UInt(address), Value::UInt(first)];
                assert!(own.contains(&r.value), "{about}: {:?}", r.value);
                seen += 1;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_reply_never_becomes_somebodys_value() {
    // Inside the extra wait, just after it, and much later; each of the first
    // requests in turn.
    for nth in 1..=4 {
        for late in (510..4000).step_by(70) {
            let mut w = world(serial(9600), vec![meter_with_twins()]);
            let pipe = w.plug().await;
            sluggish(pipe, move |n| Some(if n == nth { late } else { 20 }));
            let about = format!("request {nth} answered after {late} ms");
            values_are_their_own(&mut w, &[10, 20, 30, 31], 20, &about).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nor_does_it_from_a_unit_with_one_shape() {
    let at = |address| point(Table::HoldingRegister, address, number(Number::U16), 1000);
    for nth in 1..=4 {
        for late in (510..5000).step_by(90) {
            let twins = apart(profile(vec![at(10), at(20)]));
            let mut w = world(serial(9600), vec![twins]);
            let pipe = w.plug().await;
            sluggish(pipe, move |n| Some(if n == nth { late } else { 20 }));
            let about = format!("request {nth} answered after {late} ms");
            values_are_their_own(&mut w, &[10, 20], 20, &about).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn random_delays_and_losses_never_make_a_wrong_value() {
    for seed in 0..300 {
        let mut w = world(serial(9600), vec![meter_with_twins()]);
        let pipe = w.plug().await;
        let mut rng = Rng::new(seed);
        sluggish(pipe, move |_| match rng.below(10) {
            0 => None,
            1 => Some(500 + rng.below(6000)),
            2 => Some(300 + rng.below(400)),
            _ => Some(5 + rng.below(100)),
        });
        let about = format!("seed {seed}");
        values_are_their_own(&mut w, &[10, 20, 30, 31], 30, &about).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_reply_during_anothers_turn_is_proof_of_life_of_its_sender() {
    let mut w = world(serial(9600), vec![lone(1), lone(2)]);
    let pipe = w.plug().await;
    line(pipe, |n, request| match n {
        0 => vec![],
        // The late reply of unit 1, and then that of unit 2, which was asked.
        1 => vec![
            (20, rtu::frame(UnitId(1), &[3, 2, 0, 99])),
            (20, reply(request, 2)),
        ],
        _ => vec![(20, reply(request, u16::from(request[0])))],
    });
    assert_eq!(w.polled().await, (0, SILENCE, vec![]));
    assert_eq!(w.polled().await, (1, ANSWER, vec![2]));
    assert_eq!(
        w.polled().await,
        (0, LivenessEvidence::Alive(LivenessProof::Late), vec![])
    );
}
