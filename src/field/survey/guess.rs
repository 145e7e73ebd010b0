//! What registers may mean that nothing is known about but their values.
//!
//! A guess is a help for a person with the manual in hand, and no more: registers do not say what
//! they are. The room makes a guess only where another reading of the same registers is much less
//! likely, and never shows a guess as certain.

use std::fmt;

/// A guess about the registers from one address on.
#[derive(Clone, Debug, PartialEq)]
pub struct Guess {
    /// The address of the first register.
    pub address: u16,
    /// How many registers it is about.
    pub registers: u16,
    /// What they may be.
    pub meaning: Meaning,
}

/// What registers may be.
#[derive(Clone, Debug, PartialEq)]
pub enum Meaning {
    /// A float of four bytes.
    Float {
        /// The number.
        value: f32,
        /// Whether the low word comes first.
        is_low_first: bool,
    },
    /// A whole number of 32 bits.
    Long {
        /// The number.
        value: u32,
        /// Whether the low word comes first.
        is_low_first: bool,
    },
    /// A negative number.
    Negative(i16),
    /// A number of a usual quantity with a usual factor.
    Scaled {
        /// The number in the register.
        raw: u16,
        /// The factor as a power of ten: -1 is 0.1.
        power: i8,
        /// The quantity.
        quantity: Quantity,
    },
    /// Text, two characters in a register.
    Text(String),
    /// A date and a time of day, in six registers.
    DateTime([u16; 6]),
    /// A moment, in seconds since 1970.
    Seconds {
        /// The seconds.
        value: u32,
        /// Whether the low word comes first.
        is_low_first: bool,
    },
    /// What devices put where there is no value.
    NoValue,
}

/// A quantity whose values are known beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Volts of a mains phase.
    Voltage,
    /// Volts between two phases.
    LineVoltage,
    /// Hertz of the mains.
    Frequency,
}

/// Mains voltages (IEC 60038: 230 V and 400 V, 10 % each way).
const MAINS: [(Quantity, std::ops::RangeInclusive<u32>); 3] = [
    (Quantity::Voltage, 207_000..=253_000),
    (Quantity::LineVoltage, 360_000..=440_000),
    // EN 50160: 50 Hz, and 60 Hz elsewhere; 1 % each way.
    (Quantity::Frequency, 49_500..=50_500),
];

/// 2015 to 2035, in seconds since 1970.
const SECONDS: std::ops::RangeInclusive<u32> = 1_420_070_400..=2_082_758_399;

/// Guesses about registers that follow each other, from this address on. No register is in two
/// guesses.
#[must_use]
pub fn guesses(first: u16, words: &[u16]) -> Vec<Guess> {
    let float_order = float_order(words);
    let mut all = Vec::new();
    let mut at = 0;
    while let Some(rest) = words.get(at..).filter(|rest| !rest.is_empty()) {
        let found = text(rest)
            .or_else(|| date_time(rest))
            .or_else(|| float(rest, float_order))
            .or_else(|| long(rest))
            .or_else(|| alone(rest));
        let registers = match found {
            None => 1,
            Some((registers, meaning)) => {
                let address = u16::try_from(at).unwrap_or(u16::MAX);
                all.push(Guess {
                    address: first.saturating_add(address),
                    registers,
                    meaning,
                });
                registers
            }
        };
        at += usize::from(registers);
    }
    all
}

/// Two registers as one number.
const fn joined(high: u16, low: u16) -> u32 {
    (high as u32) << 16 | low as u32
}

/// Returns whether a float is one that a device measures: neither tiny nor huge.
fn is_measured(bits: u32) -> bool {
    let size = f32::from_bits(bits).abs();
    (0.001..=10_000_000.0).contains(&size)
}

/// Returns whether these two registers are a float in this order and none in the other: a register
/// that is a small number is no part of a float.
fn is_float(a: u16, b: u16, is_low_first: bool) -> bool {
    let (high, low) = if is_low_first { (b, a) } else { (a, b) };
    is_measured(joined(high, low)) && !is_measured(joined(low, high))
}

/// Returns which word of the floats comes first, if there are floats: the order that makes more
/// of them, side by side. `Some(true)`: the low word.
fn float_order(words: &[u16]) -> Option<bool> {
    let count = |is_low_first| {
        let (mut count, mut at) = (0_usize, 0_usize);
        while let Some(&[a, b]) = words.get(at..).and_then(|rest| rest.first_chunk()) {
            let is_one = is_float(a, b, is_low_first);
            count += usize::from(is_one);
            at += if is_one { 2 } else { 1 };
        }
        count
    };
    match (count(false), count(true)) {
        (0, 0) => None,
        (high, low) => Some(low > high),
    }
}

fn float(rest: &[u16], order: Option<bool>) -> Option<(u16, Meaning)> {
    let (&[a, b, ..], is_low_first) = (rest, order?) else {
        return None;
    };
    let (high, low) = if is_low_first { (b, a) } else { (a, b) };
    let value = f32::from_bits(joined(high, low));
    let float = Meaning::Float {
        value,
        is_low_first,
    };
    // The order is known by now from pairs that are floats in one order alone.
    is_measured(joined(high, low)).then_some((2, float))
}

/// A number of 32 bits: its high word is small, and its low word is no small number.
fn long(rest: &[u16]) -> Option<(u16, Meaning)> {
    let &[a, b, ..] = rest else {
        return None;
    };
    for (high, low, is_low_first) in [(a, b, false), (b, a, true)] {
        let value = joined(high, low);
        if SECONDS.contains(&value) {
            return Some((
                2,
                Meaning::Seconds {
                    value,
                    is_low_first,
                },
            ));
        }
    }
    for (high, low, is_low_first) in [(a, b, false), (b, a, true)] {
        if (1..=0x00FF).contains(&high) && low >= 0x1000 {
            let value = joined(high, low);
            return Some((
                2,
                Meaning::Long {
                    value,
                    is_low_first,
                },
            ));
        }
    }
    None
}

/// Returns what one register may be by itself.
fn alone(rest: &[u16]) -> Option<(u16, Meaning)> {
    let raw = *rest.first()?;
    if matches!(raw, 0x7FFF | 0x8000 | 0xFFFF) {
        return Some((1, Meaning::NoValue));
    }
    for (quantity, range) in MAINS {
        for (power, factor) in [(-1, 100), (-2, 10)] {
            if range.contains(&(u32::from(raw) * factor)) {
                return Some((
                    1,
                    Meaning::Scaled {
                        raw,
                        power,
                        quantity,
                    },
                ));
            }
        }
    }
    // The highest 256 numbers are negative ones more often than large ones.
    let is_negative = raw >= 0xFF00;
    is_negative.then(|| (1, Meaning::Negative(raw.cast_signed())))
}

/// Text of four characters at least, with a letter in it.
fn text(rest: &[u16]) -> Option<(u16, Meaning)> {
    let printable = |byte: u8| (0x20..0x7F).contains(&byte);
    let mut text = String::new();
    let mut registers = 0;
    for word in rest {
        let [high, low] = word.to_be_bytes();
        let ends = low == 0 && (printable(high) || high == 0);
        match (printable(high), printable(low)) {
            (true, true) => text.extend([char::from(high), char::from(low)]),
            (true, false) if ends => text.push(char::from(high)),
            _ => break,
        }
        registers += 1;
        if ends {
            break;
        }
    }
    let letters = text.chars().filter(char::is_ascii_alphanumeric).count();
    let is_text = registers >= 2 && letters * 4 >= text.len() * 3;
    let has_letter = text.chars().any(|c| c.is_ascii_alphabetic());
    let is_text = is_text && (has_letter || registers >= 3);
    is_text.then(|| (registers, Meaning::Text(text.trim_end().to_owned())))
}

/// Year, month, day, hour, minute and second in a register each.
fn date_time(rest: &[u16]) -> Option<(u16, Meaning)> {
    let fields: [u16; 6] = *rest.first_chunk()?;
    let [year, month, day, hour, minute, second] = fields;
    let is_date = (2000..=2099).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    is_date.then_some((6, Meaning::DateTime(fields)))
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Quantity::Voltage | Quantity::LineVoltage => "V",
            Quantity::Frequency => "Hz",
        })
    }
}

impl fmt::Display for Meaning {
    /// Writes the meaning with the words of a profile: `f32 230.5`, `u32 order CDAB 100000`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = |is_low_first: &bool| if *is_low_first { " order CDAB" } else { "" };
        match self {
            Meaning::Float {
                value,
                is_low_first,
            } => {
                write!(f, "f32{} {value}", order(is_low_first))
            }
            Meaning::Long {
                value,
                is_low_first,
            } => {
                write!(f, "u32{} {value}", order(is_low_first))
            }
            Meaning::Negative(value) => write!(f, "i16 {value}"),
            Meaning::Scaled {
                raw,
                power,
                quantity,
            } => {
                let (factor, places) = match power {
                    -1 => (10.0, 1),
                    _ => (100.0, 2),
                };
                let scale = 1.0 / factor;
                let value = f64::from(*raw) / factor;
                write!(f, "u16 scale {scale} {value:.places$} {quantity}")
            }
            Meaning::Text(text) => write!(f, "string {text:?}"),
            Meaning::DateTime([year, month, day, hour, minute, second]) => write!(
                f,
                "datetime {year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"
            ),
            Meaning::Seconds {
                value,
                is_low_first,
            } => {
                write!(f, "datetime in seconds{} {value}", order(is_low_first))
            }
            Meaning::NoValue => f.write_str("no value"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(first: u16, words: &[u16]) -> Vec<(u16, String)> {
        let all = guesses(first, words).into_iter();
        all.map(|guess| (guess.address, guess.meaning.to_string()))
            .collect()
    }

    fn one(values: &[u16]) -> String {
        let all = words(0, values);
        let all: Vec<&str> = all.iter().map(|(_, words)| words.as_str()).collect();
        all.join("; ")
    }

    #[test]
    fn each_kind_of_value_is_recognised() {
        for (values, meaning) in [
            (&[0x4366, 0x8000][..], "f32 230.5"),
            (&[0x8000, 0x4366], "f32 order CDAB 230.5"),
            (&[0x0001, 0x86A0], "u32 100000"),
            (&[0x86A0, 0x0001], "u32 order CDAB 100000"),
            (&[0xFFF6], "i16 -10"),
            (&[2301], "u16 scale 0.1 230.1 V"),
            (&[4999], "u16 scale 0.01 49.99 Hz"),
            (&[0x7FFF], "no value"),
            (&[0x4142, 0x4331, 0x3200], "string \"ABC12\""),
            (&[2026, 11, 29, 21, 5, 0], "datetime 2026-11-29 21:05:00"),
            (&[0x6553, 0xF100], "datetime in seconds 1700000000"),
            (&[0], ""),
            (&[1, 2, 3, 4], ""),
            (&[], ""),
        ] {
            assert_eq!(one(values), meaning, "{values:04X?}");
        }
    }

    #[test]
    fn no_register_is_in_two_guesses() {
        let values = [0x4366, 0x8000, 0x4248, 0x0000, 7, 2301, 0x4142, 0x4344];
        let all = words(100, &values);
        let expected = [
            (100, "f32 230.5"),
            (102, "f32 50"),
            (105, "u16 scale 0.1 230.1 V"),
            (106, "string \"ABCD\""),
        ];
        let expected = expected.map(|(address, words)| (address, words.to_owned()));
        assert_eq!(all, expected);
    }

    proptest::proptest! {
        #[test]
        fn no_registers_make_it_panic(
            first in proptest::prelude::any::<u16>(),
            values in proptest::collection::vec(proptest::prelude::any::<u16>(), 0..60),
        ) {
            let mut end = usize::from(first);
            for guess in guesses(first, &values) {
                proptest::prop_assert!(usize::from(guess.address) >= end || guess.address == u16::MAX);
                end = usize::from(guess.address) + usize::from(guess.registers);
            }
        }
    }
}
