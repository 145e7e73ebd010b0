//! What the simulated devices measure: plausible, and known in advance.
//!
//! Every value is a function of the seed of the unit and the wall clock, and of nothing
//! else, so that a test can say afterwards what stood in a register at any moment.
//! Values change once per [`UnitKind::tick`] and all together, as in a device that copies
//! its measurements into its registers in one go.

use std::f64::consts::TAU;
use std::fmt;

use crate::base::{Rng, Wall};
use crate::spec::Table;

/// What kind of device a unit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitKind {
    /// A three-phase meter; see [`meter`] for its registers, which are the
    /// same in the input and the holding table.
    Meter,
    /// An input/output module; see [`io_module`].
    IoModule,
    /// A device that exists only in tests: entries 0–999 of all four tables hold
    /// numbers that belong to one unit, table, address and tick alone. A value that
    /// strayed from elsewhere is found out, but for a chance of 1 in 65,536.
    Marked,
    /// Like [`UnitKind::Marked`], with another number every millisecond: a value that was
    /// true a moment ago is found out as well.
    Fleeting,
    /// A device in which no value ever comes twice: each pair of registers from an even
    /// address on is a u32, high word first, that another millisecond does not have for 49
    /// days. The pairs of one unit, and those of two units, begin at different numbers.
    Unique,
}

/// Values that a unit holds, for people; [`meter`] and [`io_module`] list them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The tables they are in.
    pub tables: &'static [Table],
    /// The address of the first.
    pub address: u16,
    /// How many there are, one after the other.
    pub values: u16,
    /// The type of each, as a point of a profile has it.
    pub form: &'static str,
    /// What they are.
    pub what: &'static str,
}

impl Entry {
    const fn new(
        tables: &'static [Table],
        address: u16,
        values: u16,
        form: &'static str,
        what: &'static str,
    ) -> Entry {
        Entry {
            tables,
            address,
            values,
            form,
            what,
        }
    }

    /// Returns how many entries of the table all values take together.
    #[must_use]
    pub fn length(&self) -> u16 {
        let kind = self.form.split(',').next().unwrap_or_default();
        let each = match kind {
            "u32" | "i32" | "f32" => 2,
            "u64" => 4,
            "string" => 8,
            _ => 1,
        };
        each * self.values
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tables: Vec<_> = self.tables.iter().map(|table| word(*table)).collect();
        let last = self.address + self.length() - 1;
        let addresses = match last == self.address {
            true => last.to_string(),
            false => format!("{}-{last}", self.address),
        };
        let (tables, form) = (tables.join(", "), self.form);
        write!(f, "{tables:<14} {addresses:<6} {form:<16} {}", self.what)
    }
}

/// Returns the word of a profile for a table.
const fn word(table: Table) -> &'static str {
    match table {
        Table::Coil => "coil",
        Table::DiscreteInput => "discrete",
        Table::InputRegister => "input",
        Table::HoldingRegister => "holding",
    }
}

const BOTH: &[Table] = &[Table::InputRegister, Table::HoldingRegister];
const BITS: &[Table] = &[Table::DiscreteInput];
const COIL: &[Table] = &[Table::Coil];

/// What [`UnitKind::Marked`] has.
pub const MARKED: [Entry; 2] = [
    Entry::new(
        BOTH,
        0,
        MARKED_ENTRIES,
        "u16",
        "numbers that no other unit, address and tenth of a second has",
    ),
    Entry::new(
        &[Table::DiscreteInput, Table::Coil],
        0,
        MARKED_ENTRIES,
        "bool",
        "likewise",
    ),
];

/// The meter's registers; two-register values have the high word first.
pub mod meter {
    use super::{BITS, BOTH, COIL, Entry};

    /// All of them. What is written to a holding register or a coil stays there.
    pub const ENTRIES: [Entry; 11] = [
        Entry::new(
            BOTH,
            VOLTAGE,
            3,
            "u16, scale 0.1",
            "voltage of each phase, V",
        ),
        Entry::new(
            BOTH,
            CURRENT,
            3,
            "u16, scale 0.01",
            "current of each phase, A",
        ),
        Entry::new(BOTH, POWER, 1, "i32", "power of all phases, W"),
        Entry::new(BOTH, FREQUENCY, 1, "u16, scale 0.01", "frequency, Hz"),
        Entry::new(BOTH, POWER_FACTOR, 1, "i16, scale 0.001", "power factor"),
        Entry::new(
            BOTH,
            ENERGY,
            1,
            "u32, scale 0.01",
            "energy, kWh; only grows",
        ),
        Entry::new(
            BOTH,
            APPARENT,
            1,
            "f32",
            "apparent power of all phases, kVA",
        ),
        Entry::new(BOTH, ENERGY_FINE, 1, "u64", "energy, Wh; only grows"),
        Entry::new(BOTH, SERIAL, 1, "string", "serial number, 16 characters"),
        Entry::new(
            BITS,
            PHASE_PRESENT,
            3,
            "bool",
            "whether each phase is present",
        ),
        Entry::new(COIL, 0, COILS, "bool", "relays, off until written"),
    ];
    /// u16 × 0.1 V, three of them.
    pub const VOLTAGE: u16 = 0;
    /// u16 × 0.01 A, three of them.
    pub const CURRENT: u16 = 3;
    /// i32, W, all phases.
    pub const POWER: u16 = 6;
    /// u16 × 0.01 Hz.
    pub const FREQUENCY: u16 = 8;
    /// i16 × 0.001.
    pub const POWER_FACTOR: u16 = 9;
    /// u32 × 0.01 kWh; only grows.
    pub const ENERGY: u16 = 10;
    /// f32, kVA, all phases.
    pub const APPARENT: u16 = 12;
    /// u64, Wh; only grows.
    pub const ENERGY_FINE: u16 = 14;
    /// Text, 16 characters.
    pub const SERIAL: u16 = 18;
    /// How many registers there are.
    pub const REGISTERS: u16 = 32;
    /// Discrete input: the phase is present, three of them.
    pub const PHASE_PRESENT: u16 = 0;
    /// How many discrete inputs there are.
    pub const INPUTS: u16 = 4;
    /// How many coils there are (relays, off until written).
    pub const COILS: u16 = 4;
}

/// The module's entries.
pub mod io_module {
    use super::{COIL, Entry};
    use crate::spec::Table;

    /// All of them.
    pub const ENTRIES: [Entry; 5] = [
        Entry::new(
            &[Table::InputRegister],
            0,
            ANALOGUES,
            "u16",
            "analogue inputs, 0-27648",
        ),
        Entry::new(
            &[Table::InputRegister],
            COUNTERS,
            4,
            "u32",
            "counters of pulses; only grow",
        ),
        Entry::new(
            &[Table::HoldingRegister],
            0,
            HOLDING_REGISTERS,
            "u16",
            "analogue outputs, 0 until written",
        ),
        Entry::new(&[Table::DiscreteInput], 0, BITS, "bool", "inputs"),
        Entry::new(COIL, 0, BITS, "bool", "relays, off until written"),
    ];

    /// Discrete inputs and coils.
    pub const BITS: u16 = 16;
    /// Input registers 0–7: analogue inputs, 0–27648.
    pub const ANALOGUES: u16 = 8;
    /// Input registers from here: four u32 pulse counters, which only grow.
    pub const COUNTERS: u16 = 8;
    /// How many input registers there are.
    pub const INPUT_REGISTERS: u16 = 16;
    /// Holding registers 0–7: analogue outputs, 0 until written.
    pub const HOLDING_REGISTERS: u16 = 8;
}

/// How many entries each table of [`UnitKind::Marked`] has.
pub const MARKED_ENTRIES: u16 = 1000;

/// Counters start at zero here: 2024-01-01T00:00:00Z.
const FIRST_DAY: i64 = 1_704_067_200_000;

impl UnitKind {
    /// Returns for how many milliseconds values stand still.
    #[must_use]
    pub const fn tick(self) -> i64 {
        match self {
            UnitKind::Meter => 500,
            UnitKind::IoModule => 250,
            UnitKind::Marked => 100,
            UnitKind::Fleeting | UnitKind::Unique => 1,
        }
    }

    /// Returns how many entries a table has, from address 0.
    #[must_use]
    pub const fn entries(self, table: Table) -> u16 {
        match (self, table) {
            (UnitKind::Meter, Table::InputRegister | Table::HoldingRegister) => meter::REGISTERS,
            (UnitKind::Meter, Table::DiscreteInput) => meter::INPUTS,
            (UnitKind::Meter, Table::Coil) => meter::COILS,
            (UnitKind::IoModule, Table::Coil | Table::DiscreteInput) => io_module::BITS,
            (UnitKind::IoModule, Table::InputRegister) => io_module::INPUT_REGISTERS,
            (UnitKind::IoModule, Table::HoldingRegister) => io_module::HOLDING_REGISTERS,
            (UnitKind::Marked | UnitKind::Fleeting | UnitKind::Unique, _) => MARKED_ENTRIES,
        }
    }

    /// Returns what the device itself would put into this entry at this time; `None` if
    /// it has no such entry. Bits are 0 and 1.
    #[must_use]
    pub fn entry(self, seed: u64, at: Wall, table: Table, address: u16) -> Option<u16> {
        if address >= self.entries(table) {
            return None;
        }
        let tick = at.as_millis().div_euclid(self.tick());
        let still = Wall::from_millis(tick * self.tick());
        Some(match self {
            UnitKind::Meter => match table {
                Table::InputRegister | Table::HoldingRegister => {
                    Meter::at(seed, still).register(address)
                }
                Table::DiscreteInput => u16::from(address < meter::PHASE_PRESENT + 3),
                Table::Coil => 0,
            },
            UnitKind::IoModule => module_entry(seed, still, table, address),
            UnitKind::Unique => {
                let pair = u64::from(address / 2);
                let begins = mix(&[seed, table as u64, pair]) as u32;
                let value = begins.wrapping_add((tick - FIRST_DAY) as u32);
                match address.is_multiple_of(2) {
                    _ if table.is_bits() => (value & 1) as u16,
                    true => (value >> 16) as u16,
                    false => value as u16,
                }
            }
            UnitKind::Marked | UnitKind::Fleeting => {
                let mark = mix(&[seed, table as u64, u64::from(address), tick as u64]);
                if table.is_bits() {
                    (mark & 1) as u16
                } else {
                    mark as u16
                }
            }
        })
    }
}

/// Draws one number that depends on all of `parts` and on nothing else.
fn mix(parts: &[u64]) -> u64 {
    parts.iter().fold(0, |sum, part| {
        Rng::new(sum ^ part.wrapping_mul(0x9E37_79B9_7F4A_7C15)).next_u64()
    })
}

/// Draws a number from 0 to 1 that depends on `parts` alone.
fn share(parts: &[u64]) -> f64 {
    (mix(parts) >> 11) as f64 / (1_u64 << 53) as f64
}

/// Returns a value that moves between −1 and 1 in `period` seconds, with any phase.
fn swing(seed: u64, which: u64, seconds: f64, period: f64) -> f64 {
    (TAU * (seconds / period + share(&[seed, which]))).sin()
}

fn seconds(at: Wall) -> f64 {
    (at.as_millis() - FIRST_DAY).max(0) as f64 / 1000.0
}

/// The measurements of a meter at one moment.
struct Meter {
    seed: u64,
    volts: [f64; 3],
    amperes: [f64; 3],
    watts: f64,
    hertz: f64,
    factor: f64,
    watt_hours: f64,
}

impl Meter {
    fn at(seed: u64, at: Wall) -> Meter {
        let t = seconds(at);
        // Between 1 and 9 kW on average, by half of that up and down in ten
        // minutes; the energy is the exact integral, so it never falls.
        let mean = 1000.0 + 8000.0 * share(&[seed, 1]);
        let depth = 0.5;
        let period = 600.0;
        let phase = share(&[seed, 2]);
        let angle = TAU * (t / period + phase);
        let watts = mean * (1.0 + depth * angle.sin());
        let turned = depth * period / TAU * ((TAU * phase).cos() - angle.cos());
        let watt_hours = mean * (t + turned) / 3600.0;

        let factor = 0.93 + 0.05 * swing(seed, 3, t, 97.0);
        let volts = [0, 1, 2].map(|p| 230.0 + 4.0 * swing(seed, 10 + p, t, 61.0 + 7.0 * p as f64));
        // The load hangs unevenly on the three phases.
        let parts = [0.40, 0.33, 0.27];
        let amperes = [0, 1, 2].map(|p| watts * parts[p] / (volts[p] * factor));
        Meter {
            seed,
            volts,
            amperes,
            watts,
            hertz: 50.0 + 0.03 * swing(seed, 4, t, 41.0),
            factor,
            watt_hours,
        }
    }

    fn register(&self, address: u16) -> u16 {
        let place = usize::from(address);
        let word = |wide: u64, words: usize, first: u16| {
            (wide >> (16 * (words - 1 - (place - usize::from(first))))) as u16
        };
        match address {
            0..=2 => (self.volts[place] * 10.0).round() as u16,
            3..=5 => (self.amperes[place - 3] * 100.0).round() as u16,
            6..=7 => word(self.watts.round() as i32 as u32 as u64, 2, meter::POWER),
            8 => (self.hertz * 100.0).round() as u16,
            9 => (self.factor * 1000.0).round() as i16 as u16,
            10..=11 => word((self.watt_hours / 10.0) as u32 as u64, 2, meter::ENERGY),
            12..=13 => {
                let kva = (self.watts / self.factor / 1000.0) as f32;
                word(u64::from(kva.to_bits()), 2, meter::APPARENT)
            }
            14..=17 => word(self.watt_hours as u64, 4, meter::ENERGY_FINE),
            18..=25 => {
                let text = format!("LAB-{:012}", self.seed % 1_000_000_000_000);
                let at = 2 * (place - usize::from(meter::SERIAL));
                u16::from_be_bytes([text.as_bytes()[at], text.as_bytes()[at + 1]])
            }
            _ => 0,
        }
    }
}

fn module_entry(seed: u64, at: Wall, table: Table, address: u16) -> u16 {
    let t = seconds(at);
    let which = 100 + u64::from(address);
    match table {
        // Switches with periods of 2 to 20 s.
        Table::DiscreteInput => {
            let period = 2.0 + 18.0 * share(&[seed, which]);
            u16::from(swing(seed, which + 50, t, period) > 0.0)
        }
        Table::Coil | Table::HoldingRegister => 0,
        Table::InputRegister if address < io_module::ANALOGUES => {
            let level = 13_824.0 * (1.0 + 0.9 * swing(seed, which, t, 120.0));
            level.round() as u16
        }
        Table::InputRegister => {
            let counter = (address - io_module::COUNTERS) / 2;
            let per_second = 0.2 + 5.0 * share(&[seed, 200 + u64::from(counter)]);
            let pulses = (t * per_second) as u32;
            if address.is_multiple_of(2) {
                (pulses >> 16) as u16
            } else {
                pulses as u16
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_790_000_000_000;

    fn wide(kind: UnitKind, seed: u64, millis: i64, address: u16, words: u16) -> u64 {
        (0..words).fold(0, |sum, i| {
            let at = Wall::from_millis(millis);
            let word = kind.entry(seed, at, Table::InputRegister, address + i);
            sum << 16 | u64::from(word.unwrap())
        })
    }

    #[test]
    fn a_meter_looks_like_a_meter() {
        for seed in 0..20 {
            for step in 0..200 {
                let now = NOON + step * 7_000;
                let at = |a, n| wide(UnitKind::Meter, seed, now, a, n);
                for phase in 0..3 {
                    assert!((2200..=2400).contains(&at(meter::VOLTAGE + phase, 1)));
                    assert!((50..=3000).contains(&at(meter::CURRENT + phase, 1)));
                }
                assert!((500..=13_500).contains(&at(meter::POWER, 2)));
                assert!((4990..=5010).contains(&at(meter::FREQUENCY, 1)));
                assert!((870..=990).contains(&at(meter::POWER_FACTOR, 1)));
                let kva = f32::from_bits(at(meter::APPARENT, 2) as u32);
                assert!(f64::from(kva) * 1000.0 >= at(meter::POWER, 2) as f64 * 0.99);
            }
        }
    }

    #[test]
    fn what_the_units_hold_is_listed_whole_and_once() {
        for (kind, listed) in [
            (UnitKind::Meter, &meter::ENTRIES[..]),
            (UnitKind::IoModule, &io_module::ENTRIES),
            (UnitKind::Marked, &MARKED),
        ] {
            for table in [
                Table::Coil,
                Table::DiscreteInput,
                Table::InputRegister,
                Table::HoldingRegister,
            ] {
                let mut there = vec![0; usize::from(kind.entries(table))];
                for entry in listed.iter().filter(|e| e.tables.contains(&table)) {
                    let first = usize::from(entry.address);
                    for n in &mut there[first..first + usize::from(entry.length())] {
                        *n += 1;
                    }
                }
                let moves = |address: usize| {
                    let at = |ms| kind.entry(7, Wall::from_millis(ms), table, address as u16);
                    at(NOON) != Some(0) || at(NOON + 3_600_000) != Some(0)
                };
                for (address, n) in there.into_iter().enumerate() {
                    // What is not listed is nothing: always 0.
                    let is_right = n == 1 || n == 0 && !moves(address);
                    assert!(is_right, "{kind:?} {table:?} {address}: {n} times");
                }
            }
        }
        let voltage = meter::ENTRIES[0].to_string();
        assert_eq!(
            voltage,
            "input, holding 0-2    u16, scale 0.1   voltage of each phase, V"
        );
    }

    #[test]
    fn energy_only_grows_and_agrees_with_the_power() {
        for seed in 0..20 {
            let mut last = 0;
            for second in 0..3600 {
                let wh = wide(
                    UnitKind::Meter,
                    seed,
                    NOON + second * 1000,
                    meter::ENERGY_FINE,
                    4,
                );
                assert!(wh >= last);
                last = wh;
            }
            let first = wide(UnitKind::Meter, seed, NOON, meter::ENERGY_FINE, 4);
            let sum: u64 = (0..3600)
                .map(|s| wide(UnitKind::Meter, seed, NOON + s * 1000, meter::POWER, 2))
                .sum();
            let expected = sum as f64 / 3600.0;
            let seen = (last - first) as f64;
            assert!((seen - expected).abs() < 15.0, "{seen} against {expected}");
        }
    }

    #[test]
    fn values_stand_still_within_a_tick_and_move_between_ticks() {
        let entry =
            |ms| UnitKind::Marked.entry(1, Wall::from_millis(ms), Table::HoldingRegister, 5);
        let start = NOON - NOON.rem_euclid(UnitKind::Marked.tick());
        assert_eq!(entry(start), entry(start + UnitKind::Marked.tick() - 1));
        assert_ne!(entry(start), entry(start + UnitKind::Marked.tick()));
    }

    #[test]
    fn no_two_marked_units_hold_the_same_numbers() {
        let at = Wall::from_millis(NOON);
        let row = |seed| {
            (0..100)
                .map(|a| UnitKind::Marked.entry(seed, at, Table::InputRegister, a))
                .collect::<Vec<_>>()
        };
        assert_ne!(row(1), row(2));
        assert_eq!(row(1), row(1));
    }

    #[test]
    fn no_unique_value_comes_twice() {
        let mut seen = std::collections::BTreeSet::new();
        for ms in 0..200 {
            for seed in [1, 2] {
                for pair in [0, 2, 998] {
                    let value = wide(UnitKind::Unique, seed, NOON + ms, pair, 2);
                    assert!(seen.insert(value), "{value}");
                }
            }
        }
        // The same a day later but for the day.
        let day = 24 * 3600 * 1000;
        let at = |ms| wide(UnitKind::Unique, 1, ms, 4, 2) as u32;
        assert_eq!(at(NOON + day).wrapping_sub(at(NOON)), day as u32);
    }

    #[test]
    fn counters_of_a_module_only_grow() {
        for counter in 0..4 {
            let mut last = 0;
            for second in 0..500 {
                let n = wide(
                    UnitKind::IoModule,
                    3,
                    NOON + second * 1000,
                    io_module::COUNTERS + 2 * counter,
                    2,
                );
                assert!(n >= last);
                last = n;
            }
        }
    }

    #[test]
    fn a_clock_before_the_first_day_is_no_trouble() {
        for kind in [UnitKind::Meter, UnitKind::IoModule, UnitKind::Marked] {
            let row = |ms| {
                (0..40)
                    .map(|a| kind.entry(1, Wall::from_millis(ms), Table::InputRegister, a))
                    .collect::<Vec<_>>()
            };
            let (before, first) = (row(-5), row(0));
            // The same registers are there, and time goes on across the first instant.
            let there = |row: &[Option<u16>]| row.iter().map(Option::is_some).collect::<Vec<_>>();
            assert_eq!(there(&before), there(&first), "{kind:?}");
            assert_eq!(before, row(-5), "{kind:?}");
            assert_eq!(before, row(-kind.tick()), "{kind:?}");
            assert_eq!(before == first, kind != UnitKind::Marked, "{kind:?}");
        }
    }
}
