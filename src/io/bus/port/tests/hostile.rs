//! A line with every fault at random.

use super::*;

/// Does to replies all that a two-wire line does, short of forging a checksum.
fn hostile(pipe: DuplexStream, seed: u64) {
    let mut rng = Rng::new(seed);
    let (mut from_master, mut to_master) = tokio::io::split(pipe);
    let (wire, mut on_wire) = mpsc::unbounded_channel::<Vec<u8>>();
    tokio::spawn(async move {
        while let Some(bytes) = on_wire.recv().await {
            if to_master.write_all(&bytes).await.is_err() {
                return;
            }
        }
    });
    tokio::spawn(async move {
        // Each unit answers in order, on its own time.
        let mut units: std::collections::BTreeMap<u8, mpsc::UnboundedSender<_>> =
            std::collections::BTreeMap::new();
        let mut request = [0; 8];
        while from_master.read_exact(&mut request).await.is_ok() {
            let unit = units.entry(request[0]).or_insert_with(|| {
                let (queue, mut queued) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
                let wire = wire.clone();
                tokio::spawn(async move {
                    while let Some((at, bytes)) = queued.recv().await {
                        tokio::time::sleep_until(at).await;
                        let _ = wire.send(bytes);
                        sleep(Duration::from_millis(3)).await;
                    }
                });
                queue
            });
            // The value identifies unit and address.
            let address = u16::from_be_bytes([request[2], request[3]]);
            let good = reply(&request, u16::from(request[0]) * 100 + address);
            let echo = rng.chance(100).then(|| request.to_vec());
            let noise = |rng: &mut Rng| (0..rng.below(9)).map(|_| rng.next_u64() as u8).collect();
            let mut delay = 5 + rng.below(60);
            let bytes = match rng.below(24) {
                0 => continue,
                1 => good[..rng.below(good.len() as u64) as usize].to_vec(),
                2 => {
                    let mut spoiled = good;
                    let bit = rng.below(spoiled.len() as u64 * 8) as usize;
                    spoiled[bit / 8] ^= 1 << (bit % 8);
                    spoiled
                }
                3 => rtu::frame(UnitId(9), &[3, 2, 0, 0]),
                4 => [good.clone(), good].concat(),
                5 => [noise(&mut rng), good].concat(),
                6 => [good, noise(&mut rng)].concat(),
                7 => rtu::frame(UnitId(request[0]), &[request[1] | 0x80, 6]),
                8 | 9 => {
                    delay = 400 + rng.below(3000);
                    good
                }
                _ => good,
            };
            if let Some(echo) = echo {
                let _ = wire.send(echo);
            }
            let _ = unit.send((Instant::now() + Duration::from_millis(delay), bytes));
        }
    });
}

#[tokio::test(start_paused = true)]
async fn a_hostile_line_yields_no_wrong_value_and_no_standstill() {
    for seed in 0..40 {
        let mut w = world(serial(9600), vec![meter_with_twins(); 3]);
        hostile(w.plug().await, seed);
        let mut values = 0;
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(120) {
            if let FieldEvent::Polled { readings, .. } = w.event().await {
                for r in readings {
                    let unit = u64::from(r.device.0 + 1) * 100;
                    let addresses: &[u64] =
                        [&[10][..], &[20], &[30], &[30, 31]][usize::from(r.point)];
                    let own = |address| r.value == Value::UInt(unit + address);
                    assert!(
                        addresses.iter().any(|a| own(*a)),
                        "seed {seed}: {:?}",
                        r.value
                    );
                    values += 1;
                }
            }
        }
        // Three in ten requests fail, and each failure costs its unit a second
        // or more; what matters is that it goes on.
        assert!(values > 120, "seed {seed}: {values}");
    }
}
