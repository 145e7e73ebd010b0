use super::super::behaviour::{Chance, UnitBehaviour};
use super::super::unit_kind::UnitKind;
use super::*;
use crate::spec::Table;

const READ: &[u8] = &[3, 0, 0, 0, 2];

fn at(micros: u64) -> Now {
    Now {
        mono: Mono::from_micros(micros),
        wall: Wall::from_millis(1_790_000_000_000 + (micros / 1000) as i64),
    }
}

fn line(baud: u32) -> Line {
    let mut line = Line::new(Pace::standard(baud), Rng::new(1));
    for id in 1..=3 {
        let unit = Unit::new(UnitKind::Marked, u64::from(id)).with(UnitBehaviour {
            turnaround: Duration::ZERO,
            ..UnitBehaviour::default()
        });
        line.attach(UnitId(id), unit);
    }
    line
}

/// Runs the line by its own wake-ups until `until`; returns what the master hears, and
/// when.
fn listen(line: &mut Line, until: u64) -> Vec<(u64, Vec<u8>)> {
    let mut heard = Vec::new();
    let mut now = Mono::START;
    loop {
        while let Some(LineOutput::Bytes(bytes)) = line.poll(at(now.as_micros())) {
            heard.push((now.as_micros(), bytes));
        }
        match line.wake_at() {
            Some(wake) if wake.at.as_micros() <= until => {
                assert!(wake.at > now, "{wake:?} is not in the future of {now}");
                now = wake.at;
            }
            _ => return heard,
        }
    }
}

fn together(heard: &[(u64, Vec<u8>)]) -> Vec<u8> {
    heard.iter().flat_map(|(_, b)| b.clone()).collect()
}

fn truth(line: &Line, id: u8) -> Vec<u8> {
    let word = |a| {
        let unit = line.unit(UnitId(id)).unwrap();
        unit.value_at(at(0), Table::HoldingRegister, a)
            .unwrap()
            .to_be_bytes()
    };
    frame::seal(id, &[&[3, 4], &word(0)[..], &word(1)[..]].concat())
}

fn spoil(line: &mut Line, id: u8, fault: Fault) {
    line.unit_mut(UnitId(id)).unwrap().behaviour.faults = vec![Chance {
        fault,
        permille: 1000,
    }];
}

#[test]
fn a_reply_takes_exactly_the_time_of_its_characters() {
    let mut line = line(9600);
    line.on_bytes(at(0), &frame::seal(2, READ));
    let heard = listen(&mut line, 1_000_000);
    assert_eq!(together(&heard), truth(&line, 2));
    // Eight characters of request, silence, then one character at a time.
    let start = 9167 + 4011;
    let times: Vec<u64> = heard.iter().map(|(t, _)| *t).collect();
    let expected: Vec<u64> = (1..=9)
        .map(|n: u64| start + (n * 11_000_000).div_ceil(9600))
        .collect();
    assert_eq!(times, expected);
    assert_eq!(line.counts().requests, 1);
    assert_eq!(line.counts().characters, 17);
}

#[test]
fn an_adapter_may_hand_over_characters_in_groups() {
    let mut line = line(9600);
    line.pace.group = 4;
    line.on_bytes(at(0), &frame::seal(2, READ));
    let heard = listen(&mut line, 1_000_000);
    let sizes: Vec<usize> = heard.iter().map(|(_, b)| b.len()).collect();
    assert_eq!(sizes, [4, 4, 1]);
    assert_eq!(together(&heard), truth(&line, 2));
}

#[test]
fn a_whole_transaction_costs_what_the_tables_say() {
    // 10 registers at 9600, ideal device: 45.8 ms with the silence after it.
    let mut line = line(9600);
    line.on_bytes(at(0), &frame::seal(2, &[3, 0, 0, 0, 10]));
    let heard = listen(&mut line, 1_000_000);
    let end = heard.last().unwrap().0 + 4011;
    assert!((45_700..45_900).contains(&end), "{end}");
}

#[test]
fn a_request_without_silence_before_it_is_not_understood() {
    // The second request begins at the end of the first, well inside its silence.
    let mut line = line(9600);
    line.on_bytes(at(0), &frame::seal(1, READ));
    line.on_bytes(at(12_000), &frame::seal(2, READ));
    assert_eq!(listen(&mut line, 1_000_000), []);
    assert_eq!(line.counts().silence_violations, 1);
    assert_eq!(line.counts().not_understood, 1);
    // In one write the units see the same, and the model sees no frame of its own.
    line.on_bytes(
        at(2_000_000),
        &[frame::seal(1, READ), frame::seal(2, READ)].concat(),
    );
    assert_eq!(listen(&mut line, 3_000_000), []);
    assert_eq!(line.counts().not_understood, 2);
}

#[test]
fn a_request_glued_to_a_reply_is_not_understood() {
    let mut line = line(9600);
    line.on_bytes(at(0), &frame::seal(1, READ));
    let heard = listen(&mut line, 1_000_000);
    let end = heard.last().unwrap().0;
    line.on_bytes(at(end + 3_000), &frame::seal(2, READ));
    assert_eq!(listen(&mut line, 1_000_000), []);
    assert_eq!(line.counts().silence_violations, 1);

    line.on_bytes(at(1_000_000), &frame::seal(2, READ));
    let end = 1_000_000 + listen(&mut line, 2_000_000).last().unwrap().0;
    line.on_bytes(at(end + 4_100), &frame::seal(3, READ));
    let heard = listen(&mut line, 3_000_000);
    assert_eq!(together(&heard), truth_later(&line, 3, end));
    assert_eq!(line.counts().silence_violations, 1);
}

fn truth_later(line: &Line, id: u8, micros: u64) -> Vec<u8> {
    let word = |a| {
        let unit = line.unit(UnitId(id)).unwrap();
        unit.value_at(at(micros + 17_000), Table::HoldingRegister, a)
            .unwrap()
            .to_be_bytes()
    };
    frame::seal(id, &[&[3, 4], &word(0)[..], &word(1)[..]].concat())
}

#[test]
fn a_request_in_two_pieces_is_one_request_if_the_pieces_are_close() {
    let mut line = line(9600);
    let request = frame::seal(1, READ);
    line.on_bytes(at(0), &request[..3]);
    line.on_bytes(at(4_000), &request[3..]);
    assert_eq!(together(&listen(&mut line, 1_000_000)), truth(&line, 1));
    assert_eq!(line.counts().silence_violations, 0);

    line.on_bytes(at(2_000_000), &request[..3]);
    line.on_bytes(at(2_010_000), &request[3..]);
    assert_eq!(listen(&mut line, 3_000_000), []);
    assert_eq!(line.counts().not_understood, 2);
}

#[test]
fn nobody_answers_for_another_or_for_everybody() {
    let mut line = line(9600);
    line.on_bytes(at(0), &frame::seal(9, READ));
    assert_eq!(listen(&mut line, 500_000), []);
    line.kill(UnitId(2));
    line.on_bytes(at(500_000), &frame::seal(2, READ));
    assert_eq!(listen(&mut line, 1_000_000), []);
    assert_eq!(line.counts().unanswered, 2);

    line.on_bytes(at(1_000_000), &frame::seal(0, &[6, 0, 5, 0, 77]));
    assert_eq!(listen(&mut line, 2_000_000), []);
    let holds = |id| {
        let unit = line.unit(UnitId(id)).unwrap();
        unit.value_at(at(0), Table::HoldingRegister, 5) == Some(77)
    };
    assert!(holds(1) && holds(3));
    assert!(!holds(2), "the dead do not listen");

    line.power_on(UnitId(2));
    line.on_bytes(at(2_000_000), &frame::seal(2, READ));
    assert_eq!(listen(&mut line, 3_000_000).len(), 9);
}

#[test]
fn a_late_reply_that_meets_the_next_request_spoils_both() {
    let mut line = line(9600);
    spoil(&mut line, 1, Fault::Late(Duration::from_millis(100)));
    line.on_bytes(at(0), &frame::seal(1, READ));
    // The reply of unit 1 would be on the wire from about 113 ms to 123 ms.
    assert_eq!(listen(&mut line, 100_000), []);
    line.on_bytes(at(110_000), &frame::seal(2, READ));
    let heard = together(&listen(&mut line, 1_000_000));
    assert_ne!(heard, truth(&line, 1));
    assert_eq!(frame::open(&heard), None);
    assert_eq!(line.counts().collisions, 1);
    assert_eq!(line.counts().not_understood, 1);
    assert_eq!(line.counts().silence_violations, 0);
}

#[test]
fn a_late_reply_on_a_quiet_line_arrives_whole() {
    let mut line = line(9600);
    spoil(&mut line, 1, Fault::Late(Duration::from_millis(100)));
    line.on_bytes(at(0), &frame::seal(1, READ));
    let heard = listen(&mut line, 1_000_000);
    assert_eq!(together(&heard), truth(&line, 1));
    assert!(heard[0].0 > 113_000);
}

#[test]
fn each_fault_does_what_it_says() {
    let good = truth(&line(9600), 1);
    let run = |fault| {
        let mut line = line(9600);
        spoil(&mut line, 1, fault);
        line.on_bytes(at(0), &frame::seal(1, READ));
        let heard = listen(&mut line, 1_000_000);
        assert_eq!(line.counts().faults[fault.name()], 1);
        assert_eq!(line.counts().collisions, 0);
        heard
    };
    let bytes = |fault| together(&run(fault));

    assert!(bytes(Fault::Mute).is_empty());
    assert!(good.starts_with(&bytes(Fault::Cut)) && bytes(Fault::Cut) != good);
    assert_eq!(frame::open(&bytes(Fault::Flip)), None);
    assert_eq!(bytes(Fault::Flip).len(), good.len());
    assert_eq!(bytes(Fault::Twice), [good.clone(), good.clone()].concat());
    assert_eq!(
        bytes(Fault::Foreign),
        frame::seal(2, &good[1..good.len() - 2])
    );
    assert_eq!(frame::open(&bytes(Fault::WrongFunction)).unwrap().1[0], 4);
    assert_eq!(
        bytes(Fault::Short),
        frame::seal(1, &[3, 2, good[3], good[4]])
    );
    assert_eq!(
        bytes(Fault::Echo),
        [frame::seal(1, READ), good.clone()].concat()
    );
    let noisy = bytes(Fault::Noise(20));
    assert_eq!((noisy.len(), &noisy[20..]), (29, &good[..]));
    assert_eq!(bytes(Fault::Babble).len(), good.len());
    assert_eq!(frame::open(&bytes(Fault::Babble)), None);

    let broken = run(Fault::Hiccup(Duration::from_millis(20)));
    assert_eq!(together(&broken), good);
    assert!(broken.windows(2).any(|w| w[1].0 - w[0].0 > 20_000));
}

#[test]
fn two_units_with_one_address_spoil_each_others_replies() {
    for seed in 0..50 {
        let mut line = line(9600);
        line.attach(UnitId(1), Unit::new(UnitKind::Marked, seed));
        spoil(&mut line, 1, Fault::Twin);
        line.on_bytes(at(0), &frame::seal(1, READ));
        let heard = together(&listen(&mut line, 1_000_000));
        let alone = truth(&line, 1).len();
        assert_eq!(heard.len(), 2 * alone, "both have spoken");
        assert!(!heard.windows(alone).any(|w| frame::open(w).is_some()));
        assert_eq!(line.counts().collisions, 1);
        // The next reply is well again.
        line.unit_mut(UnitId(1)).unwrap().behaviour.faults.clear();
        line.on_bytes(at(2_000_000), &frame::seal(1, READ));
        assert_eq!(listen(&mut line, 3_000_000).len(), alone);
    }
}

#[test]
fn three_turned_bits_are_always_found() {
    let mut rng = Rng::new(3);
    for length in [5, 9, 25, 255] {
        for _ in 0..20_000 {
            let mut bytes = frame::seal(1, &noise(length - 3, &mut rng));
            flip(&mut bytes, &mut rng);
            assert_eq!(frame::open(&bytes), None);
        }
    }
}

#[test]
fn an_adapter_that_hears_itself_returns_every_request() {
    let mut line = line(9600);
    line.echo = true;
    let request = frame::seal(1, READ);
    line.on_bytes(at(0), &request);
    let heard = listen(&mut line, 1_000_000);
    assert_eq!(together(&heard), [request, truth(&line, 1)].concat());
    assert_eq!(line.counts().collisions, 0);
    assert_eq!(line.counts().characters, 17);
}

#[test]
fn a_look_that_comes_late_delivers_everything_and_blames_nobody() {
    let mut line = line(9600);
    line.on_bytes(at(0), &frame::seal(1, READ));
    let mut heard = Vec::new();
    while let Some(LineOutput::Bytes(b)) = line.poll(at(400_000)) {
        heard.extend(b);
    }
    assert_eq!(heard, truth(&line, 1));
    // The master saw the reply at 400 ms; 4.1 ms later it may send.
    line.on_bytes(at(404_100), &frame::seal(2, READ));
    assert!(!listen(&mut line, 1_000_000).is_empty());
    assert_eq!(line.counts().silence_violations, 0);
}

#[test]
fn the_same_seed_is_the_same_line() {
    let run = || {
        let mut line = line(19_200);
        for id in 1..=3 {
            line.unit_mut(UnitId(id)).unwrap().behaviour = UnitBehaviour {
                jitter: Duration::from_millis(20),
                faults: vec![
                    Chance {
                        fault: Fault::Flip,
                        permille: 300,
                    },
                    Chance {
                        fault: Fault::Babble,
                        permille: 300,
                    },
                ],
                ..UnitBehaviour::default()
            };
        }
        let mut all = Vec::new();
        for n in 0..100 {
            line.on_bytes(at(n * 200_000), &frame::seal((n % 3) as u8 + 1, READ));
            all.extend(listen(&mut line, (n + 1) * 200_000 - 1));
        }
        (all, line.counts().clone())
    };
    assert_eq!(run(), run());
}

#[test]
fn no_bytes_make_it_panic_or_grow() {
    let mut rng = Rng::new(5);
    let mut line = line(115_200);
    let mut now = 0;
    for _ in 0..3000 {
        let length = rng.below(600) as usize;
        let bytes = noise(length, &mut rng);
        line.on_bytes(at(now), &bytes);
        now += rng.below(5_000);
        while line.poll(at(now)).is_some() {}
    }
    assert!(line.burst.bytes.len() <= frame::RTU_MAX + 1);
    assert!(line.senders.len() < 10);
}
