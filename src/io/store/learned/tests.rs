use std::fs;
use std::time::Duration;

use super::*;
use crate::base::DeviceId;
use crate::field::test_spec::{installation, number, point, profile, serial};
use crate::spec::{Number, PointAddress};

const HOLE: Hole = Hole {
    table: Table::HoldingRegister,
    first: 5,
    last: 9,
};

fn site() -> Spec {
    let points = [0, 20].map(|a| point(Table::HoldingRegister, a, number(Number::U16), 1000));
    installation(serial(9600), vec![profile(points.to_vec())])
}

fn found(hole: Hole) -> DeviceFinding {
    let device = DeviceId(0);
    DeviceFinding::Hole { device, hole }
}

fn open(directory: &Path) -> Learned {
    Learned::open(directory, Journal::new(Arc::new(site())))
}

async fn written(learned: &Learned) {
    while learned.0.memory().writing {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn what_was_learned_is_known_in_the_next_life_and_only_of_that_kind() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let (first, spec) = (open(&state), site());
    first.note(&spec, &found(HOLE));
    first.note(&spec, &found(Hole { first: 7, ..HOLE }));
    let (device, hole) = (DeviceId(0), Hole { first: 7, ..HOLE });
    first.note(&spec, &DeviceFinding::HoleGone { device, hole });
    written(&first).await;
    let second = open(&state);
    let kind = &spec.devices[0].profile;
    assert_eq!(second.of(kind), Holes::from([HOLE]));
    let mut renamed = ProfileSpec::clone(kind);
    renamed.name = "other".into();
    assert_eq!(second.of(&renamed), Holes::new());
    let mut moved = ProfileSpec::clone(kind);
    moved.points[1].address = PointAddress::modbus(Table::HoldingRegister, 21);
    assert_eq!(second.of(&moved), Holes::new());
}

#[tokio::test]
async fn a_file_of_the_earlier_name_is_read_and_goes_with_the_first_write() {
    let folder = tempfile::tempdir().unwrap();
    let (state, spec) = (folder.path(), site());
    let first = open(state);
    first.note(&spec, &found(HOLE));
    written(&first).await;
    fs::rename(state.join(FILE), state.join(EARLIER)).unwrap();
    let second = open(state);
    let kind = &spec.devices[0].profile;
    assert_eq!(second.of(kind), Holes::from([HOLE]));
    let another = Hole {
        first: 12,
        last: 14,
        ..HOLE
    };
    second.note(&spec, &found(another));
    written(&second).await;
    assert!(!state.join(EARLIER).exists());
    assert_eq!(open(state).of(kind), Holes::from([HOLE, another]));
}

#[tokio::test]
async fn a_file_that_cannot_be_understood_is_ignored_and_replaced() {
    for text in [
        "",
        "{",
        "{\"version\":2,\"kinds\":[]}",
        "[]",
        r#"{"version":1,"kinds":[{"profile":"p","points":"x","holes":[{"table":"holding","first":9,"last":5}]}]}"#,
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), text).unwrap();
        assert!(read(&folder.path().join(FILE)).is_err(), "{text}");
        let learned = open(folder.path());
        learned.note(&site(), &found(HOLE));
        written(&learned).await;
        let again = read(&folder.path().join(FILE)).unwrap();
        assert_eq!(again.len(), 1, "{text}");
    }
}

#[test]
fn memory_is_bounded() {
    let mut memory = Memory::default();
    for first in 0..1000 {
        memory.learn(
            ("p".into(), "x".into()),
            Hole {
                first,
                last: 2000,
                ..HOLE
            },
            false,
        );
    }
    assert_eq!(memory.kinds.values().map(Holes::len).sum::<usize>(), MOST);
    for n in 0..1000 {
        memory.learn((format!("p{n}"), "x".into()), HOLE, false);
    }
    assert_eq!(memory.kinds.len(), MOST_KINDS);
}
