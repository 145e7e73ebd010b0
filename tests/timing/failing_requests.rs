//! One failing request, on a pseudo terminal and at a socket: the same devices as in
//! the fault matrix, in real time.

#[path = "../fixture/matrix/devices.rs"]
#[expect(dead_code, reason = "the matrix uses more of it")]
mod devices;
#[path = "../fixture/matrix/kinds.rs"]
#[expect(dead_code, reason = "the matrix uses more of it")]
mod kinds;
#[path = "../fixture/matrix/notices.rs"]
mod notices;
#[path = "../fixture/matrix/plant.rs"]
#[expect(dead_code, reason = "the matrix uses more of it")]
mod plant;

use std::collections::BTreeSet;
use std::pin::Pin;
use std::time::Duration;

use alink_gateway::base::{Mono, Rng};

use devices::{Device, Devices, Item, TURNAROUND};
use kinds::{Kind, Style, Way};
use plant::{Plant, installation};
use tracing::Level;

/// How often everything is read.
const INTERVAL: Duration = Duration::from_secs(1);

/// Until when a failing point has to be named.
const NAMED: Duration = Duration::from_secs(60);

/// How long the others are watched after that.
const WATCHED: Duration = Duration::from_secs(10);

/// The device with the failing request, and which of its requests that is.
const CULPRIT: (usize, usize) = (1, 1);

/// Builds three devices with three requests each.
async fn plant(way: Way, kind: Kind, style: Style) -> Plant {
    let items = |device: usize| -> Vec<Item> {
        let long = |i| kind == Kind::TooLong && (device, i) == CULPRIT;
        (0..3).map(|i| Item::new(i, way, false, long(i))).collect()
    };
    let items: Vec<Vec<Item>> = (0..3).map(items).collect();
    let devices = Devices {
        way,
        all: items
            .iter()
            .zip(1..)
            .map(|(items, seed)| Device::new(seed, items.clone(), style))
            .collect(),
        fault: Some(kind),
        culprits: BTreeSet::from([CULPRIT]),
        log: Vec::new(),
        excused: None,
        turnaround: TURNAROUND,
        rng: Rng::new(1),
    };
    let slices: Vec<&[Item]> = items.iter().map(Vec::as_slice).collect();
    let spec = installation(way, false, INTERVAL, "", &slices);
    Plant::real(spec, devices, 1).await
}

/// Waits until the failing point is named, then watches the others.
async fn only_that_fails(way: Way, kind: Kind, style: Style) {
    let mut plant = plant(way, kind, style).await;
    let (device, item) = CULPRIT;
    let first = plant.with(|d| d.all[device].items[item].start);
    let names = [format!("d{device}i{item}p{first}")];
    let named = |plant: &Plant| plant.told.first(Mono::START, Level::INFO, &names).is_some();
    if kind == Kind::Nothing {
        plant.live(Duration::from_secs(3)).await;
    } else {
        plant.live_until(NAMED, named).await;
    }
    let from = plant.now();
    plant.live(WATCHED).await;
    let to = plant.now();
    let what = || {
        format!(
            "{way:?}, {kind:?}:\n{}{}",
            plant.excerpt(40),
            plant.told.text()
        )
    };
    assert!(
        named(&plant) || kind == Kind::Nothing,
        "never named; {}",
        what()
    );
    let slots = to.since(from).as_secs_f64() / INTERVAL.as_secs_f64();
    let others = plant.with(|devices| {
        let all = devices.all.iter().enumerate();
        let items = all.flat_map(|(d, device)| {
            let items = device.items.iter().enumerate();
            items.map(move |(i, item)| (d, i, item.start))
        });
        items.collect::<Vec<_>>()
    });
    for point in others.into_iter().filter(|p| (p.0, p.1) != CULPRIT) {
        let values = plant.values.get(&point).map_or(0, |at| {
            at.iter().filter(|at| **at > from && **at <= to).count()
        });
        // One of ten may fall on either side of an end, and this machine is no
        // real-time machine.
        let share = values as f64 / slots;
        assert!(share > 0.85, "{point:?} kept {share:.2}; {}", what());
        assert!(share < 1.15, "{point:?} came {share:.2}; {}", what());
    }
    for device in 0..3 {
        assert!(plant.is_online(device), "dev{device}; {}", what());
    }
    let offline = plant.wants.iter().filter(|(_, _, online)| !online).count();
    assert_eq!(offline, 0, "{}", what());
    assert!(plant.wrong.is_empty(), "{:?}; {}", plant.wrong, what());
}

/// A name, and what happens under it.
type Scenario = (&'static str, fn() -> Pin<Box<dyn Future<Output = ()>>>);

macro_rules! scenario {
    ($life:ident, $($argument:expr),+) => {
        (stringify!($life($($argument),+)), || Box::pin($life($($argument),+)))
    };
}

/// Runs all scenarios at the same time, because they only wait: each on a thread and a
/// runtime of its own.
fn together(scenarios: &[Scenario]) {
    let lives: Vec<_> = scenarios
        .iter()
        .map(|(name, life)| {
            let life = *life;
            let run = move || {
                let mut runtime = tokio::runtime::Builder::new_current_thread();
                runtime.enable_all().build().unwrap().block_on(life());
            };
            let thread = std::thread::Builder::new().name((*name).into());
            (name, thread.spawn(run).unwrap())
        })
        .collect();
    let ended = lives.into_iter().map(|(name, life)| (name, life.join()));
    let failed: Vec<_> = ended.filter(|(_, end)| end.is_err()).collect();
    let names: Vec<_> = failed.iter().map(|(name, _)| name).collect();
    assert!(failed.is_empty(), "{names:#?}; what happened is above");
}

/// Checks that the devices themselves do not cause the loss of other requests.
#[test]
fn where_nothing_fails_everything_is_read_on_terminals_and_sockets() {
    use Style::Refuses;
    together(&[
        scenario!(only_that_fails, Way::Rtu, Kind::Nothing, Refuses),
        scenario!(only_that_fails, Way::Ascii, Kind::Nothing, Refuses),
        scenario!(only_that_fails, Way::Tcp, Kind::Nothing, Refuses),
        scenario!(only_that_fails, Way::Meter2007, Kind::Nothing, Refuses),
        scenario!(only_that_fails, Way::Raw, Kind::Nothing, Refuses),
    ]);
}

#[test]
fn whatever_fails_only_that_fails_on_terminals_and_sockets() {
    use Kind::{BadChecksum, OtherException, Silence, WrongLength};
    use Style::{Refuses, Silent};
    together(&[
        scenario!(only_that_fails, Way::Rtu, BadChecksum, Refuses),
        scenario!(only_that_fails, Way::Ascii, BadChecksum, Silent),
        scenario!(only_that_fails, Way::Rtu, Silence, Silent),
        scenario!(only_that_fails, Way::Tcp, Silence, Silent),
        scenario!(only_that_fails, Way::Rtu, OtherException, Refuses),
        scenario!(only_that_fails, Way::Tcp, OtherException, Refuses),
        scenario!(only_that_fails, Way::Meter2007, WrongLength, Refuses),
        scenario!(only_that_fails, Way::Raw, Silence, Silent),
    ]);
}

/// Checks a device that answers short requests only: all its values are read.
async fn long_requests_are_cut(way: Way) {
    let mut plant = plant(way, Kind::TooLong, Style::Silent).await;
    let all = plant.with(|d| d.all[CULPRIT.0].items[CULPRIT.1].points.clone());
    let read = |plant: &Plant| {
        let of = |a: &u16| plant.values.contains_key(&(CULPRIT.0, CULPRIT.1, *a));
        all.iter().all(of)
    };
    plant.live_until(NAMED, read).await;
    let what = format!("{}{}", plant.excerpt(40), plant.told.text());
    assert!(read(&plant), "{what}");
    let names = ["max_registers".to_owned()];
    let told = |plant: &Plant| plant.told.first(Mono::START, Level::INFO, &names).is_some();
    plant.live_until(NAMED, told).await;
    assert!(told(&plant), "{}", plant.told.text());
    assert!(plant.is_online(CULPRIT.0), "{what}");
}

#[test]
fn a_long_request_without_an_answer_is_cut_on_terminals_and_sockets() {
    together(&[
        scenario!(long_requests_are_cut, Way::Rtu),
        scenario!(long_requests_are_cut, Way::Tcp),
    ]);
}
