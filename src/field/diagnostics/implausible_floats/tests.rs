use super::*;
use crate::base::Rng;
use crate::field::modbus::Data;
use crate::field::plan::block_address::{BlockAddress, EntryRange};
use crate::field::test_spec::{number, point};
use crate::spec::{Number, Table};

const DEVICE: DeviceId = DeviceId(0);

/// Returns the bytes of these two registers.
fn float(registers: [u16; 2]) -> FloatBytes {
    let asked = BlockAddress::Modbus(EntryRange {
        table: Table::InputRegister,
        start: 0,
        count: 2,
    });
    let point = point(Table::InputRegister, 0, number(Number::F32), 1000);
    FloatBytes::of(&point, &asked, &Data::Registers(registers.to_vec()))
        .unwrap()
        .0
}

/// Returns the registers of a meter that sends the high word first.
fn high(value: f32) -> [u16; 2] {
    let bits = value.to_bits();
    [(bits >> 16) as u16, bits as u16]
}

/// Returns the registers of a meter that sends the low word first.
fn low(value: f32) -> [u16; 2] {
    let [high, low] = high(value);
    [low, high]
}

/// Notes a reading of each point, and returns what is thought of them then.
fn read(all: &mut ImplausibleFloats, readings: &[[u16; 2]]) -> Option<FloatsJudgement> {
    for (index, registers) in (0u16..).zip(readings) {
        all.note(DEVICE, index, float(*registers), Endianness::High);
    }
    all.judge(DEVICE, readings.len())
}

/// Returns the judgements that are not "plausible from the first", with the reading after which
/// each came.
fn judged(readings: impl Iterator<Item = Vec<[u16; 2]>>) -> Vec<(usize, FloatsJudgement)> {
    let mut all = ImplausibleFloats::default();
    let mut told = Vec::new();
    for (n, readings) in (1..).zip(readings) {
        let judgement = read(&mut all, &readings);
        told.extend(judgement.map(|j| (n, j)));
    }
    told.retain(|(_, j)| *j != FloatsJudgement::Plausible { again: false });
    told
}

#[test]
fn values_of_few_digits_in_the_wrong_order_are_told_once_with_the_right_order() {
    let told = judged((0..500).map(|_| vec![low(230.5), low(5.25), low(50.0), low(0.0)]));
    let [(3, FloatsJudgement::Implausible(told))] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!(
        (told.order, told.other),
        (Endianness::High, Some(Endianness::WordsLow))
    );
    let points: Vec<(u16, Option<f64>)> =
        told.points.iter().map(|p| (p.point, p.otherwise)).collect();
    assert_eq!(points, [(0, Some(230.5)), (1, Some(5.25)), (2, Some(50.0))]);
    assert!(told.points.iter().all(|p| p.seen.abs() < 1e-20), "{told:?}");
}

#[test]
fn values_of_many_digits_in_the_wrong_order_are_told_soon() {
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let mut around = |mean: f32| low(mean + rng.below(100_000) as f32 / 31_337.0);
        let readings = (0..30).map(|_| (0..9).map(|n| around(n as f32 * 17.0 + 1.0)).collect());
        let told = judged(readings.collect::<Vec<_>>().into_iter());
        let [(after, FloatsJudgement::Implausible(told))] = told.as_slice() else {
            panic!("{seed}: {told:?}");
        };
        assert!(*after <= 12, "{seed}: {after}");
        assert_eq!(told.other, Some(Endianness::WordsLow), "{seed}");
    }
}

#[test]
fn the_right_order_is_never_told_whatever_is_measured() {
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        // From a leakage current in A to an energy in Wh, and zeros between.
        let mut any = || match rng.below(4) {
            0 => high(0.0),
            1 => high(-0.0),
            _ => high((rng.below(1 << 24) as f32 - 8e6) * 10f32.powi(rng.below(22) as i32 - 15)),
        };
        let readings: Vec<Vec<_>> = (0..200).map(|_| (0..5).map(|_| any()).collect()).collect();
        assert_eq!(judged(readings.into_iter()), [], "{seed}");
    }
}

#[test]
fn zeros_and_a_single_point_that_fades_out_are_not_told() {
    assert_eq!(judged((0..50).map(|_| vec![high(0.0); 6])), []);
    // The only float that is not 0, and the only float of its device.
    let fades = |n: i32| high(3.7f32 * 0.5f32.powi(n));
    assert_eq!(judged((0..150).map(|n| vec![fades(n), high(0.0)])), []);
    assert_eq!(judged((0..150).map(|n| vec![fades(n)])), []);
    assert_eq!(
        judged((0..150).map(|n| vec![fades(n), high(230.5), high(50.0)])),
        []
    );
    assert_eq!(judged((0..50).map(|_| vec![high(1e-30)])), []);
}

#[test]
fn the_only_float_of_a_device_is_told_when_one_other_order_fits_all_its_readings() {
    let told = judged((0..20).map(|n| vec![low(21.0 + n as f32 / 4.0)]));
    let [(3, FloatsJudgement::Implausible(told))] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!(told.other, Some(Endianness::WordsLow));
}

#[test]
fn whole_numbers_that_are_read_as_floats_have_no_right_order() {
    let told = judged((0..20).map(|n| vec![[0, 2300 + n], [0, 12], [7, 2500]]));
    let [(3, FloatsJudgement::Implausible(told))] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!((told.points.len(), told.other), (3, None));
}

#[test]
fn it_is_over_when_the_last_readings_are_all_plausible() {
    let wrong = (0..20).map(|_| vec![low(230.5), low(5.25)]);
    let right = (0..20).map(|_| vec![high(230.5), high(0.0)]);
    let told = judged(wrong.clone().chain(right).chain(wrong));
    let kinds: Vec<(usize, bool)> = told
        .iter()
        .map(|(n, j)| (*n, matches!(j, FloatsJudgement::Implausible(_))))
        .collect();
    assert_eq!(kinds, [(3, true), (28, false), (43, true)]);
}
