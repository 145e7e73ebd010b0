//! What tells one kind of device from others, found out by reading only.
//!
//! A scan of a line reads the places that are named here and compares. It needs nothing of the
//! protocol beyond a read function and the device identification.

use serde::Serialize;

use super::Table;

/// What tells one kind of device from others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Identification {
    /// The tests in configuration order, at most 16; none: nothing is known. A device of this kind
    /// passes all of them, so that one that fails speaks against it.
    pub tests: Vec<IdentifyTest>,
}

/// One test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IdentifyTest {
    /// What is read, and what a device of this kind has there.
    pub what: IdentifyBy,
    /// What it says of a device that it passes.
    pub certainty: Certainty,
}

/// How much a passed test says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Certainty {
    /// Other devices may well pass: a plausible value, as a frequency of 45 to 65 Hz.
    Weak,
    /// Few other devices pass, or the value is known from one source only.
    #[default]
    Likely,
    /// No other device is known to pass, and two sources name the value.
    Sure,
}

/// What is read, and what a device of this kind has there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum IdentifyBy {
    /// Registers, or one bit of the two tables of bits.
    Register {
        /// The table.
        table: Table,
        /// The first entry, from 0.
        address: u16,
        /// How many registers are read with one request, 1 to 32; up to 4 for numbers, 1 in tables
        /// of bits.
        count: u16,
        /// What stands there.
        accepts: Accepts,
    },
    /// An object of Read Device Identification, function 43/14 (Modbus Application Protocol V1.1b3
    /// §6.21): 0 the vendor, 1 the product code, 2 the revision, 4 the product name, 5 the model.
    DeviceId {
        /// The object, 0 to 6 or 128 to 255.
        object: u8,
        /// One of these is in its text; capital and small letters of ASCII are alike.
        text: Vec<String>,
    },
    /// A model of SunSpec: "SunS" in two holding registers, and the model's number where the points
    /// of the profile need it (SunSpec Device Information Model Specification 1.1 §3).
    SunSpec {
        /// Where "SunS" stands: 40000, 50000 or 0.
        base: u16,
        /// Where the number of the model stands.
        at: u16,
        /// The numbers of the models that have the same registers.
        models: Vec<u16>,
    },
}

/// What is accepted in registers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Accepts {
    /// One of these numbers. All registers that are read make one number without a sign, the first
    /// of them the most significant. A range of floats above zero is written as a range of their
    /// bits.
    Numbers(Vec<NumberRange>),
    /// One of these texts is in the characters, two in each register, the high byte first. NUL is
    /// left out, so that it does not matter if there is one character in each register; capital
    /// and small letters of ASCII are alike.
    Text(Vec<String>),
}

/// Numbers from the first to the last, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct NumberRange {
    /// The least.
    pub first: u64,
    /// The greatest; not below the least.
    pub last: u64,
}

impl Accepts {
    /// Returns whether these registers are accepted. More than four are no number. A bit is a
    /// register with 0 or 1.
    #[must_use]
    pub fn takes(&self, registers: &[u16]) -> bool {
        match self {
            Accepts::Numbers(ranges) => {
                let number = registers
                    .iter()
                    .fold(0, |number, r| number << 16 | u64::from(*r));
                let fits = (1..=4).contains(&registers.len());
                fits && ranges
                    .iter()
                    .any(|range| (range.first..=range.last).contains(&number))
            }
            Accepts::Text(texts) => {
                let bytes = registers.iter().flat_map(|r| r.to_be_bytes());
                let characters: Vec<u8> = bytes.filter(|byte| *byte != 0).collect();
                has_one_of(&characters, texts)
            }
        }
    }
}

/// Returns whether one of the texts is in these characters; capital and small letters of ASCII are
/// alike.
#[must_use]
pub fn has_one_of(characters: &[u8], texts: &[String]) -> bool {
    let is_in = |text: &String| {
        let width = text.len().max(1);
        let mut places = characters.windows(width);
        places.any(|place| place.eq_ignore_ascii_case(text.as_bytes()))
    };
    texts.iter().any(is_in)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_made_of_all_registers_with_the_most_significant_first() {
        let range = |first, last| NumberRange { first, last };
        // 45 to 65 Hz as a float.
        let hertz = Accepts::Numbers(vec![range(0x4234_0000, 0x4282_0000)]);
        assert!(hertz.takes(&[0x4248, 0x0000]));
        assert!(!hertz.takes(&[0x0000, 0x4248]));
        assert!(!hertz.takes(&[0x4248]));
        let models = Accepts::Numbers(vec![range(7, 7), range(10, 12)]);
        for (register, is) in [(7, true), (8, false), (10, true), (12, true), (13, false)] {
            assert_eq!(models.takes(&[register]), is, "{register}");
        }
        assert!(!models.takes(&[]));
        assert!(!models.takes(&[0, 0, 0, 0, 7]));
    }

    #[test]
    fn a_text_is_found_anywhere_in_any_case() {
        let text = Accepts::Text(vec!["B23".into(), "b24".into()]);
        let of = |text: &[u8]| -> Vec<u16> {
            let pairs = text.chunks(2);
            pairs
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
                .collect()
        };
        assert!(text.takes(&of(b" B24 111-100")));
        assert!(text.takes(&of(b"b23 ")));
        assert!(!text.takes(&of(b"B21 111-100 ")));
        assert!(!text.takes(&[]));
        // A character in each register.
        assert!(text.takes(&[0x42, 0x32, 0x33, 0]));
    }
}
