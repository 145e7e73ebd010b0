//! The figures of one cell of the matrix.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use alink_gateway::base::{Mono, Rng};
use tracing::Level;

use super::devices::{Device, Devices, Item, TURNAROUND};
use super::kinds::{Cell, Kind, Position, Span, Style, Way};
use super::plant::{Plant, Point, installation};

/// The interval of every point.
pub(crate) const INTERVAL: Duration = Duration::from_secs(2);

/// Devices on the line, and requests of each device without a failing one.
const DEVICES: usize = 4;
const ITEMS: usize = 4;

/// How long there is no fault before a fault that does not begin at the start.
const BEFORE: Duration = Duration::from_secs(20);

/// How long a fault that stays is watched.
pub(crate) const WATCHED: Duration = Duration::from_secs(600);

/// How long the time after a fault that passes is watched.
const AFTER: Duration = Duration::from_secs(60);

/// How long a line that was just opened may take to learn its devices.
const ACQUAINTANCE: Duration = Duration::from_secs(4);

/// The figures measured.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    /// The share of its values that the worst neighbour kept.
    pub(crate) neighbours_kept: f64,
    /// The same for the other requests of the devices with the failing request;
    /// 1 if there are none.
    pub(crate) same_device_kept: f64,
    /// Seconds until every failing point was named or read; infinite if one never
    /// was. 0 for faults that pass.
    pub(crate) named: f64,
    /// Seconds from the end of a passing fault until everything is read as
    /// configured; infinite if that was not seen, 0 for faults that stay.
    pub(crate) recovered: f64,
    /// How often a device was wanted offline although one of its requests was answered,
    /// and devices that were not wanted online at the end without a reason.
    pub(crate) false_logouts: usize,
    /// The share of the line's time that went into requests outside the plan.
    pub(crate) unplanned: f64,
    /// Values beyond one for each interval.
    pub(crate) extra_posts: usize,
    /// Values that were not those of the last request.
    pub(crate) wrong: usize,
    /// The line of a log that blames the wrong cause.
    pub(crate) blamed: Option<String>,
    /// Points that were named as failing and are read again without a notice of it.
    pub(crate) untold: usize,
    /// For people: the end of the log of requests, and of the journal.
    pub(crate) story: String,
}

/// The bound of each figure.
pub(crate) const NEIGHBOURS_KEPT: f64 = 0.98;
pub(crate) const SAME_DEVICE_KEPT: f64 = 0.95;
pub(crate) const NAMED: f64 = 60.0;
pub(crate) const RECOVERED: f64 = 10.0;
pub(crate) const UNPLANNED: f64 = 0.02;

impl Figures {
    /// Returns the figures that miss their bound.
    pub(crate) fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        let mut miss = |missed: bool, what: String| {
            if missed {
                failures.push(what);
            }
        };
        let (kept, same) = (self.neighbours_kept, self.same_device_kept);
        miss(kept < NEIGHBOURS_KEPT, format!("neighbours kept {kept:.3}"));
        miss(
            same < SAME_DEVICE_KEPT,
            format!("same device kept {same:.3}"),
        );
        miss(
            self.named > NAMED,
            format!("named after {:.1} s", self.named),
        );
        let recovered = self.recovered;
        miss(
            recovered > RECOVERED,
            format!("recovered after {recovered:.1} s"),
        );
        let n = self.false_logouts;
        miss(n > 0, format!("{n} false log-outs"));
        let share = self.unplanned;
        miss(share > UNPLANNED, format!("unplanned {share:.4}"));
        let n = self.extra_posts;
        miss(n > 0, format!("{n} extra posts"));
        miss(self.wrong > 0, format!("{} wrong values", self.wrong));
        let n = self.untold;
        miss(n > 0, format!("the return of {n} points is not told"));
        if let Some(blamed) = &self.blamed {
            failures.push(format!("blamed: {blamed}"));
        }
        failures
    }
}

/// Lives through one cell.
pub(crate) fn run(cell: Cell, watched: Duration) -> Figures {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(live(cell, watched))
}

/// Runs every cell, on all processors; the results are in the order of the cells.
pub(crate) fn run_all(cells: &[Cell], watched: Duration) -> Vec<(Cell, Figures)> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(cell) = cells.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let figures = run(*cell, watched);
                    done.lock().unwrap().push((*cell, figures));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(cell, _)| *cell);
    done
}

/// Returns the devices whose requests fail.
fn culprits(cell: &Cell) -> BTreeSet<(usize, usize)> {
    let item = cell.position.index();
    let devices: &[usize] = if cell.several { &[0, 2] } else { &[1] };
    devices.iter().map(|d| (*d, item)).collect()
}

async fn live(cell: Cell, watched: Duration) -> Figures {
    let culprits = culprits(&cell);
    let items: Vec<Vec<Item>> = (0..DEVICES)
        .map(|device| {
            let culprit = culprits.iter().find(|(d, _)| *d == device);
            let number = match (culprit, cell.position) {
                (Some(_), Position::Only) => 1,
                _ => ITEMS,
            };
            let long = |i| cell.kind == Kind::TooLong && culprit.is_some_and(|(_, c)| *c == i);
            (0..number)
                .map(|i| Item::new(i, cell.way, cell.alike, long(i)))
                .collect()
        })
        .collect();
    let seed = cell.kind as u64 * 100 + cell.way as u64;
    let devices = Devices {
        way: cell.way,
        all: items
            .iter()
            .zip(1..)
            .map(|(items, n)| Device::new(seed * 10 + n, items.clone(), cell.style))
            .collect(),
        fault: None,
        culprits: culprits.clone(),
        log: Vec::new(),
        excused: None,
        turnaround: TURNAROUND,
        rng: Rng::new(seed),
    };
    let slices: Vec<&[Item]> = items.iter().map(Vec::as_slice).collect();
    let spec = installation(cell.way, cell.alike, INTERVAL, "", &slices);
    let mut plant = Plant::new(spec, devices, seed);
    if cell.span != Span::Always {
        plant.live(BEFORE).await;
    }
    let begun = plant.now();
    plant.with(|d| d.fault = Some(cell.kind));
    let story;
    match cell.span {
        Span::Always | Span::Onwards => {
            plant.live(watched).await;
            story = told(&plant);
        }
        Span::Passing(seconds) => {
            plant.live(Duration::from_secs(seconds)).await;
            plant.with(|d| d.fault = None);
            plant.live(AFTER).await;
            story = told(&plant);
        }
    }
    measure(&cell, &plant, begun, story)
}

fn told(plant: &Plant) -> String {
    let lines = std::env::var("ALINK_MATRIX_LINES").map_or(24, |n| n.parse().unwrap());
    format!("{}{}", plant.excerpt(lines), plant.told.text())
}

fn measure(cell: &Cell, plant: &Plant, begun: Mono, story: String) -> Figures {
    let end = plant.now();
    let culprits = plant.with(|d| d.culprits.clone());
    let has_culprit = |device: usize| culprits.iter().any(|(d, _)| *d == device);
    let peace = match cell.span {
        Span::Passing(seconds) => Some(begun + Duration::from_secs(seconds)),
        Span::Always | Span::Onwards => None,
    };
    let from = match cell.span {
        Span::Always => begun + ACQUAINTANCE,
        _ => begun,
    };
    let to = peace.unwrap_or(end);
    let points: Vec<Point> = plant.with(|d| {
        let mut points = Vec::new();
        for (device, this) in d.all.iter().enumerate() {
            for (i, item) in this.items.iter().enumerate() {
                points.extend(item.points.iter().map(|a| (device, i, *a)));
            }
        }
        points
    });
    let none = Vec::new();
    let of = |point: &Point| plant.values.get(point).unwrap_or(&none);
    let kept = |point: &Point| {
        let slots = (to.since(from).as_secs_f64() / INTERVAL.as_secs_f64()).floor();
        // Behind the end: a value that was due arrives soon.
        let late = to + INTERVAL / 4;
        let came = of(point).iter().filter(|at| **at > from && **at <= late);
        // One poll is more than the share that may be lost of a short time: replies
        // that collide on the line are lost in any case.
        let forgiven = if slots < 100.0 { 1.0 } else { 0.0 };
        ((came.count() as f64 + forgiven) / slots).min(1.0)
    };
    let least = |chosen: &dyn Fn(&Point) -> bool| {
        let shares = points.iter().filter(|p| chosen(p)).map(kept);
        shares.fold(1.0, f64::min)
    };
    // Other devices do not see faults of one request; a device that does not answer
    // long requests answers the others.
    let neighbours_kept = least(&|p| !has_culprit(p.0));
    let same_device_kept = least(&|p| has_culprit(p.0) && !culprits.contains(&(p.0, p.1)));
    let named = match peace {
        Some(_) => 0.0,
        None => named(cell, plant, begun, end, &points),
    };
    let recovered = peace.map_or(0.0, |peace| {
        let all = points.iter().map(|p| settled(of(p), peace, end));
        all.fold(0.0, f64::max)
    });
    let extra_posts = points.iter().map(|p| extra(of(p))).sum();
    Figures {
        neighbours_kept,
        same_device_kept,
        named,
        recovered,
        false_logouts: false_logouts(cell, plant),
        unplanned: unplanned(plant, end),
        extra_posts,
        wrong: plant.wrong.len(),
        blamed: blamed(cell, plant),
        untold: peace.map_or(0, |peace| untold(plant, begun, peace, &points)),
        story: match plant.wrong.first() {
            Some(wrong) => format!("{story}  {wrong}\n"),
            None => story,
        },
    }
}

/// Returns when every failing point was named, or read all the same.
fn named(cell: &Cell, plant: &Plant, begun: Mono, end: Mono, points: &[Point]) -> f64 {
    let slots = end.since(begun).as_secs_f64() / INTERVAL.as_secs_f64();
    let until = |&(device, item): &(usize, usize)| {
        let of_it = |p: &&Point| (p.0, p.1) == (device, item);
        let read = |p: &Point| {
            let values = plant
                .values
                .get(p)
                .map_or(0, |at| at.iter().filter(|at| **at > begun).count());
            values as f64 > 0.9 * slots
        };
        if points.iter().filter(of_it).all(read) {
            return 0.0;
        }
        // Its first register is the one that fails.
        let first = points.iter().find(of_it).unwrap();
        let mut words = vec![id(first)];
        if cell.kind == Kind::TooLong {
            words.push("max_registers".into());
        }
        let of_point = plant.told.first(begun, Level::INFO, &words);
        let of_device = plant
            .told
            .first(begun, Level::WARN, &[format!("dev{device}")])
            .filter(|_| cell.position == Position::Only);
        let lines = of_point.into_iter().chain(of_device);
        let seconds = lines.map(|line| line.at.since(begun).as_secs_f64());
        seconds.fold(f64::INFINITY, f64::min)
    };
    let culprits = plant.with(|d| d.culprits.clone());
    culprits.iter().map(until).fold(0.0, f64::max)
}

/// Returns the identifier of a point.
fn id(point: &Point) -> String {
    format!("d{}i{}p{}", point.0, point.1, point.2)
}

/// Returns a log event that is wrong: intervals are not stretched on a line that is
/// half in use; a neighbour has no faults. Where replies collide on the line, or carry
/// the address of another device, the cause cannot be known.
fn blamed(cell: &Cell, plant: &Plant) -> Option<String> {
    let stretched = ["less often than configured".to_owned()];
    let stretched = plant.told.first(Mono::START, Level::INFO, &stretched);
    let culprits = plant.with(|d| d.culprits.clone());
    let healthy = (0..DEVICES).filter(|d| culprits.iter().all(|(c, _)| c != d));
    let healthy: Vec<String> = healthy.map(|d| format!("dev{d} ")).collect();
    let neighbour = match cell.kind {
        Kind::Late | Kind::ForeignUnit => None,
        _ => plant.told.first(Mono::START, Level::WARN, &healthy),
    };
    stretched.or(neighbour).map(|line| line.text)
}

/// Counts failing points that were named and are read again without a notice of it.
fn untold(plant: &Plant, begun: Mono, peace: Mono, points: &[Point]) -> usize {
    let named = points.iter().map(|p| [id(p)]).filter(|id| {
        let line = plant.told.first(begun, Level::WARN, id);
        line.is_some_and(|line| line.at < peace)
    });
    named
        .filter(|id| plant.told.first(peace, Level::INFO, id).is_none())
        .count()
}

/// Returns seconds from `peace` until values come in every interval from then on.
fn settled(values: &[Mono], peace: Mono, end: Mono) -> f64 {
    let long = INTERVAL * 3 / 2;
    let mut from = peace;
    let mut last = peace;
    for at in values.iter().filter(|at| **at > peace) {
        if last == peace || at.since(last) > long {
            from = *at;
        }
        last = *at;
    }
    if end.since(last) > long {
        return f64::INFINITY;
    }
    from.since(peace).as_secs_f64()
}

/// Counts values beyond one for each interval, where one may be as late as the next is
/// on time.
fn extra(values: &[Mono]) -> usize {
    let (mut allowance, mut last, mut extra) = (2.0, None::<Mono>, 0);
    for at in values {
        if let Some(last) = last {
            let slots = at.since(last).as_secs_f64() / INTERVAL.as_secs_f64();
            allowance = f64::min(2.0, allowance + slots * 1.005);
        }
        last = Some(*at);
        if allowance < 0.99 {
            extra += 1;
        } else {
            allowance -= 1.0;
        }
    }
    extra
}

/// Counts devices that were wanted offline, or are not online at the end, although one
/// of their requests is answered.
fn false_logouts(cell: &Cell, plant: &Plant) -> usize {
    let culprits = plant.with(|d| d.culprits.clone());
    let alone = cell.position == Position::Only && !cell.kind.proves_life();
    let answers = |device: usize| !alone || culprits.iter().all(|(d, _)| *d != device);
    let offline = plant.wants.iter().filter(|(_, d, on)| !on && answers(*d));
    let missing = (0..DEVICES).filter(|d| answers(*d) && !plant.is_online(*d));
    offline.count() + missing.count()
}

/// Returns the share of the line's time in requests that are not in the plan, of ten
/// minutes at least.
fn unplanned(plant: &Plant, end: Mono) -> f64 {
    let timeout = plant.with(|d| d.way.timeout());
    plant.with(|d| {
        let mut spent = Duration::ZERO;
        for (n, request) in d.log.iter().enumerate() {
            if request.item.is_some() {
                continue;
            }
            let next = d.log.get(n + 1).map_or(end, |next| next.at);
            spent += request
                .takes
                .unwrap_or_else(|| next.since(request.at).min(timeout));
        }
        // A new fault may be examined by extra requests.
        let all = end.since(Mono::START).max(WATCHED);
        spent.as_secs_f64() / all.as_secs_f64()
    })
}

/// Returns so many of the cells, spread over all of them, others for another seed.
pub(crate) fn sample(all: Vec<Cell>, number: usize, seed: usize) -> Vec<Cell> {
    let mut rng = Rng::new(seed as u64);
    let stride = all.len().div_ceil(number).max(1);
    let strata = all.chunks(stride);
    let drawn = strata.map(|cells| cells[rng.below(cells.len() as u64) as usize]);
    drawn.collect()
}

/// Returns a line without faults, for every way.
pub(crate) fn healthy() -> impl Iterator<Item = Cell> {
    Way::ALL.into_iter().map(|way| Cell {
        kind: Kind::Nothing,
        way,
        position: Position::Middle,
        several: false,
        style: Style::Refuses,
        alike: false,
        span: Span::Always,
    })
}
