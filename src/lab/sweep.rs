//! Whether a sweep classes each entry as the device really is: measured, on virtual time, on the
//! model of a line.
//!
//! Each seed makes a device of its own: its map of absent entries, the codes with which it
//! refuses, the blocks that it grants, whether it stays silent where it should refuse, faults of
//! its replies, and times without power. The figure is how many of its entries are classed
//! otherwise than the model has them.

use std::ops::Range;
use std::time::Duration;

use crate::base::text::counted;
use crate::base::{Mono, Now, Rng, UnitId, Wall};
use crate::field::survey::listener::SurveyListener;
use crate::field::survey::sweep::{
    EntryClass, Sweep, SweepEnd, SweepHeard, SweepOrder, SweepStep, TABLES, most_requests,
};
use crate::lab::bus::{
    Chance, Fault, Line, LineOutput, Pace, Refusal, Unit, UnitBehaviour, UnitKind,
};
use crate::spec::survey::{SurveyQuestion, SurveyReply};
use crate::spec::{Framing, Table, TransactionIds};

/// The unit that is swept.
const UNIT: UnitId = UnitId(7);

/// How many entries each table of the device has.
const ENTRIES: u16 = 1000;

/// How long a reply is waited for.
const WAIT: Duration = Duration::from_millis(500);

/// What sweeps of many devices came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SweepTrial {
    /// How many devices were swept.
    pub devices: u64,
    /// How many entries they were asked for.
    pub entries: u64,
    /// How many of these were classed otherwise than the device has them, or not at all.
    pub errors: u64,
    /// How many requests that took.
    pub requests: u64,
    /// How many devices took more requests than [`most_requests`] says, of those that answer each
    /// request at once.
    pub over_bound: u64,
    /// What is wrong, the first of it.
    pub faults: Vec<String>,
}

/// Sweeps a device for each of these seeds, and counts the entries that are classed otherwise
/// than the device has them.
#[must_use]
pub fn sweep_errors(seeds: Range<u64>) -> SweepTrial {
    let mut trial = SweepTrial::default();
    for seed in seeds {
        trial.device(seed);
    }
    trial
}

/// A device, and what happens to it.
struct Plant {
    line: Line,
    now: Mono,
    last_byte: Mono,
    /// When the device loses its power, and when it has it again.
    without_power: Option<(Mono, Mono)>,
}

/// The kinds of devices, so that each is tried often.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It refuses with code 2, as the standard wants it.
    Plain,
    /// It refuses for other reasons as well.
    Codes,
    /// It grants short blocks only.
    Short,
    /// It stays silent where it should refuse.
    Silent,
    /// Its replies are lost and spoilt.
    Noisy,
    /// It is without power for a while.
    Switched,
    /// It lacks functions.
    Lacking,
}

const KINDS: [Kind; 7] = [
    Kind::Plain,
    Kind::Codes,
    Kind::Short,
    Kind::Silent,
    Kind::Noisy,
    Kind::Switched,
    Kind::Lacking,
];

impl SweepTrial {
    fn device(&mut self, seed: u64) {
        let mut rng = Rng::new(seed ^ 0x7377_6565_7021);
        let kind = KINDS[(seed % KINDS.len() as u64) as usize];
        let first = rng.below(900) as u16;
        let span = 1 + rng.below(if kind == Kind::Silent { 120 } else { 400 }) as u16;
        let last = first + (span - 1);
        let tables: Vec<Table> = TABLES.into_iter().filter(|_| rng.chance(500)).collect();
        let tables = if tables.is_empty() {
            vec![Table::InputRegister]
        } else {
            tables
        };
        let behaviour = behaviour(kind, &tables, (first, last), &mut rng);
        let mut plant = Plant::new(behaviour.clone(), &mut rng);
        if kind == Kind::Switched {
            let from = Mono::START + Duration::from_millis(200 + rng.below(8000));
            let to = from + Duration::from_millis(500 + rng.below(60_000));
            plant.without_power = Some((from, to));
        }
        let mut sweep = Sweep::new(SweepOrder {
            unit: UNIT,
            tables: tables.clone(),
            first,
            last,
            wait: WAIT,
            longest_pause: Duration::from_secs(600),
        });
        plant.run(&mut sweep);
        self.devices += 1;
        let requests = sweep.progress().requests;
        self.requests += requests;
        let mut most = 0;
        let mut wrong = 0;
        for table in &tables {
            let (mut absent, mut runs, mut was_there) = (0, 0, false);
            for address in first..=last {
                self.entries += 1;
                let truth = truth(&behaviour, *table, address);
                let found = sweep.found().get(&(*table, address));
                let is_there = truth.is_none();
                runs += u64::from(is_there && !was_there);
                absent += u64::from(!is_there);
                was_there = is_there;
                let is_right = match (truth, found) {
                    (None, Some(EntryClass::Value(_))) => true,
                    (Some(entry), Some(found)) => entry == *found,
                    _ => false,
                };
                if !is_right {
                    wrong += 1;
                    let told = format!(
                        "seed {seed}: {table:?} {address} is {truth:?} and was classed {found:?}"
                    );
                    self.tell(told);
                }
            }
            let (registers, bits, _) = behaviour.longest.unwrap_or((125, 2000, 3));
            let block = if table.is_bits() { bits } else { registers };
            most += most_requests(u64::from(span), absent, runs, block);
        }
        self.errors += wrong;
        let is_busy = behaviour.refusals.iter().any(|refusal| refusal.code == 6);
        let is_plain = !is_busy
            && matches!(
                kind,
                Kind::Plain | Kind::Codes | Kind::Short | Kind::Lacking
            );
        if is_plain && requests > most {
            self.over_bound += 1;
            self.tell(format!(
                "seed {seed}: {}, of {most} at most",
                counted(requests, "request")
            ));
        }
        if sweep.end() != Some(SweepEnd::Whole) {
            self.tell(format!("seed {seed}: ended with {:?}", sweep.end()));
        }
    }

    fn tell(&mut self, fault: String) {
        const MOST: usize = 20;
        if self.faults.len() < MOST {
            self.faults.push(fault);
        }
    }
}

/// Returns what an entry is that the device does not have; `None` if it has it.
fn truth(behaviour: &UnitBehaviour, table: Table, address: u16) -> Option<EntryClass> {
    let code = match behaviour.lacks.contains(&table.read_function()) {
        true => Some(1),
        false => behaviour
            .refusal(table, address, 1)
            .or((address >= ENTRIES).then_some(2)),
    };
    let code = code?;
    Some(match behaviour.withholds_refusals {
        true => EntryClass::Silent,
        false => EntryClass::Refused(code),
    })
}

/// Draws a device of a kind.
fn behaviour(
    kind: Kind,
    tables: &[Table],
    (first, last): (u16, u16),
    rng: &mut Rng,
) -> UnitBehaviour {
    let mut behaviour = UnitBehaviour {
        turnaround: Duration::from_millis(2 + rng.below(30)),
        jitter: Duration::from_millis(rng.below(20)),
        ..UnitBehaviour::default()
    };
    let codes: &[u8] = if rng.chance(500) {
        &[2, 3, 4, 6, 8]
    } else {
        &[2, 3, 4, 8]
    };
    for table in tables {
        let mut at = u32::from(first);
        let most_run = 1 + rng.below(100);
        let most_hole = 1 + rng.below(if kind == Kind::Silent { 12 } else { 60 });
        while at <= u32::from(last) {
            at += rng.below(most_run + 1) as u32;
            let length = 1 + rng.below(most_hole) as u32;
            let to = (at + length - 1).min(u32::from(last));
            if at > to {
                break;
            }
            let code = match kind {
                // Half of these devices are never busy.
                Kind::Codes => codes[rng.below(codes.len() as u64) as usize],
                _ => 2,
            };
            behaviour.refusals.push(Refusal {
                table: *table,
                addresses: at as u16..=to as u16,
                code,
            });
            at = to + 1;
        }
    }
    match kind {
        Kind::Plain | Kind::Codes | Kind::Switched => {}
        Kind::Short => {
            let code = 2 + rng.below(2) as u8;
            let registers = 1 + rng.below(124) as u16;
            behaviour.longest = Some((registers, 1 + rng.below(1999) as u16, code));
        }
        Kind::Silent => behaviour.withholds_refusals = true,
        Kind::Noisy => {
            let chance = |fault, permille| Chance { fault, permille };
            behaviour.faults = vec![
                chance(Fault::Mute, 20),
                chance(Fault::Flip, 15),
                chance(Fault::Cut, 10),
                chance(Fault::Noise(3), 10),
                chance(Fault::Short, 5),
                chance(Fault::Late(Duration::from_millis(700)), 5),
            ];
        }
        Kind::Lacking => {
            behaviour.lacks = tables
                .iter()
                .filter(|_| rng.chance(600))
                .map(|table| table.read_function())
                .collect();
        }
    }
    behaviour
}

impl Plant {
    fn new(behaviour: UnitBehaviour, rng: &mut Rng) -> Self {
        let mut line = Line::new(Pace::standard(9600), rng.fork());
        line.set_group(16);
        line.attach(
            UNIT,
            Unit::new(UnitKind::Marked, rng.next_u64()).with(behaviour),
        );
        Plant {
            line,
            now: Mono::START,
            last_byte: Mono::START,
            without_power: None,
        }
    }

    fn run(&mut self, sweep: &mut Sweep) {
        while let Some(step) = sweep.step() {
            match step {
                SweepStep::Wait(pause) => {
                    let until = self.now + pause;
                    let _ = self.listen(until);
                    sweep.on_waited();
                }
                SweepStep::Ask(question, wait) => {
                    self.switch();
                    let (heard, may_be_stale) = self.ask(&question, wait);
                    sweep.on_heard(&SweepHeard {
                        heard: &heard,
                        is_sent: true,
                        may_be_stale,
                    });
                }
            }
        }
    }

    /// Takes the power of the device away, and gives it back.
    fn switch(&mut self) {
        let Some((from, to)) = self.without_power else {
            return;
        };
        match (from..to).contains(&self.now) {
            true => self.line.kill(UNIT),
            false => self.line.power_on(UNIT),
        }
    }

    /// Asks a question when the line is quiet; returns what was heard, and whether something had
    /// come just before.
    fn ask(&mut self, question: &SurveyQuestion, wait: Duration) -> (SurveyReply, bool) {
        let pace = self.line.pace();
        let quiet = pace.silence() * 2;
        let mut is_early = false;
        while !self.listen(self.now + quiet).is_empty() {
            is_early = true;
        }
        let mut listener =
            SurveyListener::new(question, Some(Framing::Rtu), (0, TransactionIds::Any));
        let request = listener.request().to_vec();
        self.line.on_bytes(at(self.now), &request);
        let sent = self.now + pace.characters(request.len());
        let deadline = sent + wait;
        loop {
            let pause = self.last_byte + listener.pause(quiet);
            let until = match (listener.is_reading(), listener.is_answered()) {
                (true, _) => pause,
                (false, true) => break,
                (false, false) => deadline,
            };
            let wake = self.line.wake_at().map_or(until, |wake| wake.at.min(until));
            let bytes = self.listen(wake.max(self.now));
            match bytes.is_empty() {
                false => listener.push(self.now.since(sent), &bytes),
                true if listener.is_reading() && self.now >= pause => listener.silence(),
                true if self.now >= deadline && !listener.is_reading() => break,
                true => {}
            }
        }
        (listener.end(), is_early)
    }

    /// Lets the time pass until then; returns what came.
    fn listen(&mut self, until: Mono) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            while let Some(LineOutput::Bytes(bytes)) = self.line.poll(at(self.now)) {
                self.last_byte = self.now;
                all.extend(bytes);
            }
            match self.line.wake_at().map(|wake| wake.at) {
                Some(wake) if wake < until => self.now = wake.max(self.now),
                _ if self.now < until => self.now = until,
                _ => return all,
            }
        }
    }
}

fn at(mono: Mono) -> Now {
    let millis = i64::try_from(mono.as_micros() / 1000).unwrap_or(i64::MAX);
    Now {
        mono,
        wall: Wall::from_millis(1_790_000_000_000 + millis),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_classed_as_the_device_has_it_in_a_bounded_number_of_requests() {
        let trial = sweep_errors(0..210);
        assert_eq!(trial.faults, [""; 0], "{trial:?}");
        assert_eq!((trial.errors, trial.over_bound), (0, 0), "{trial:?}");
        assert_eq!(trial.devices, 210);
        assert!(trial.entries > 50_000, "{trial:?}");
    }

    #[test]
    fn the_model_has_the_entries_that_are_counted_as_absent() {
        let table = Table::HoldingRegister;
        let with = UnitBehaviour {
            refusals: vec![Refusal {
                table,
                addresses: 3..=4,
                code: 6,
            }],
            ..UnitBehaviour::default()
        };
        let unit = Unit::new(UnitKind::Marked, 1);
        for (address, code) in [(3, Some(6)), (5, None), (999, None), (1000, Some(2))] {
            let expected = code.map(EntryClass::Refused);
            assert_eq!(truth(&with, table, address), expected, "{address}");
            let is_there = unit.value_at(at(Mono::START), table, address).is_some();
            assert_eq!(is_there, address < ENTRIES);
        }
        let silent = UnitBehaviour {
            withholds_refusals: true,
            ..with
        };
        assert_eq!(truth(&silent, table, 4), Some(EntryClass::Silent));
    }
}
