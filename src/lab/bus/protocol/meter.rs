//! An electricity meter that speaks DL/T 645-1997 or -2007.
//!
//! It measures what [`super::super::unit_kind::meter`] measures; its numbers are the
//! registers of that meter in decimal digits. Answers longer than its largest frame
//! come in follow-on frames.

use std::collections::BTreeMap;

use super::super::unit::Unit;
use super::super::unit_kind::meter;
use super::Answer;
use crate::base::Now;
use crate::spec::Table;

/// The data that a meter of 2007 answers for: the name that a profile has for each, its
/// identifier, and what it is.
pub const DATA: [(&str, u32, &str); 10] = [
    ("energy-active-forward", 0x0001_0000, "energy, kWh"),
    (
        "energy-active-forward-all",
        0x0001_FF00,
        "energy and four rates of it, kWh",
    ),
    ("voltage-a", 0x0201_0100, "voltage of phase A, V"),
    ("voltage-b", 0x0201_0200, "voltage of phase B, V"),
    ("voltage-c", 0x0201_0300, "voltage of phase C, V"),
    ("voltage-all", 0x0201_FF00, "voltage of all phases, V"),
    ("power-active", 0x0203_0000, "power, kW"),
    ("power-factor", 0x0206_0000, "power factor"),
    ("frequency", 0x0280_0002, "frequency, Hz"),
    ("address", 0x0400_0401, "the meter's address"),
];

/// The year of the standard whose codes it speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Year {
    /// Two-byte identifiers, functions 01H and 02H.
    Y1997,
    /// Four-byte identifiers, functions 11H to 13H.
    Y2007,
}

/// A meter.
#[derive(Clone, Debug)]
pub struct Meter {
    /// The year of the standard whose codes it speaks.
    pub year: Year,
    /// Its address as printed: twelve digits.
    pub address: u64,
    /// Its values and its behaviour.
    pub unit: Unit,
    /// How many data bytes it puts into one frame; further bytes follow in other
    /// frames.
    pub frame: usize,
    /// How many bytes FEH it sends in front of a reply to wake the master.
    pub wake_ups: usize,
    /// The data that can be set, by identifier, as they travel (2007).
    pub held: BTreeMap<u32, Vec<u8>>,
    /// Level and password, as they travel, without which it lets nothing be set.
    pub password: [u8; 4],
    /// How often something was set.
    pub set: u64,
}

impl Meter {
    /// Builds a meter of this year; follow-on frames from 200 bytes on, as the standard
    /// wants.
    #[must_use]
    pub const fn new(year: Year, address: u64, unit: Unit) -> Meter {
        Meter {
            year,
            address,
            unit,
            frame: 200,
            wake_ups: 4,
            held: BTreeMap::new(),
            password: [2, 0, 0, 0],
            set: 0,
        }
    }

    pub(super) fn answer(&mut self, now: Now, heard: &[u8]) -> Option<Answer> {
        let (whom, control, data) = open(heard)?;
        let own = wire_address(self.address);
        let meant = whom.iter().zip(&own).all(|(w, o)| *w == 0xAA || w == o);
        if !meant || control & 0x80 != 0 {
            return None;
        }
        let (code, reply) = self.execute(now, control, &data);
        let sealed = |address, code, data: &[u8]| {
            [vec![0xFE; self.wake_ups], seal(address, code, data)].concat()
        };
        let next = wire_address((self.address + 1) % 1_000_000_000_000);
        let shorter = &reply[..reply.len().saturating_sub(1)];
        let mut other = reply.clone();
        if let Some(first) = other.first_mut() {
            *first = first.wrapping_add(1);
        }
        Some(Answer {
            bytes: sealed(own, code, &reply),
            foreign: sealed(next, code, &reply),
            other: sealed(own, code, &other),
            short: sealed(own, code, shorter),
        })
    }

    fn execute(&mut self, now: Now, control: u8, data: &[u8]) -> (u8, Vec<u8>) {
        let (read, follow, id_bytes) = match self.year {
            Year::Y1997 => (0x01, 0x02, 2),
            Year::Y2007 => (0x11, 0x12, 4),
        };
        // "No such data" in 2007, "no such identifier" in 1997: the same bit.
        let refused = (control | 0xC0, vec![0x02]);
        if control == 0x13 && self.year == Year::Y2007 {
            return (0x93, wire_address(self.address).to_vec());
        }
        if control == 0x14 && self.year == Year::Y2007 {
            return match self.write(data) {
                Ok(()) => (0x94, Vec::new()),
                Err(error) => (0xD4, vec![error]),
            };
        }
        if (control != read && control != follow) || data.len() < id_bytes {
            return refused;
        }
        let (id, rest) = data.split_at(id_bytes);
        let number = id.iter().rev().fold(0u32, |n, b| n << 8 | u32::from(*b));
        let Some(value) = self.value(now, number) else {
            return refused;
        };
        let which = match (control == follow, self.year, rest) {
            (false, _, []) => 0,
            (true, Year::Y2007, [n]) => usize::from(*n),
            // 1997 does not number them; this meter has only a second frame.
            (true, Year::Y1997, []) => 1,
            _ => return refused,
        };
        let Some(part) = value.chunks(self.frame.max(1)).nth(which) else {
            return refused;
        };
        let more = value.len() > (which + 1) * self.frame.max(1);
        let mut reply = [id, part].concat();
        if control == follow && self.year == Year::Y2007 {
            reply.push(which as u8);
        }
        (control | 0x80 | u8::from(more) << 5, reply)
    }

    /// Sets a datum: identifier, password, operator, data (2007 §7.4).
    ///
    /// # Errors
    /// The error word.
    fn write(&mut self, data: &[u8]) -> Result<(), u8> {
        let (id, rest) = data.split_first_chunk::<4>().ok_or(0x01)?;
        let (password, rest) = rest.split_first_chunk::<4>().ok_or(0x01)?;
        let (_operator, value) = rest.split_first_chunk::<4>().ok_or(0x01)?;
        if *password != self.password {
            return Err(0x04);
        }
        let known = self.held.get_mut(&u32::from_le_bytes(*id)).ok_or(0x02)?;
        if known.len() != value.len() {
            return Err(0x01);
        }
        *known = value.to_vec();
        self.set += 1;
        Ok(())
    }

    /// Returns the value under this identifier, as it travels.
    #[must_use]
    pub fn value(&self, now: Now, id: u32) -> Option<Vec<u8>> {
        if let Some(held) = self.held.get(&id) {
            return Some(held.clone());
        }
        let register = |at: u16| {
            let word = self.unit.value_at(now, Table::InputRegister, at);
            u64::from(word.unwrap_or_default())
        };
        let wide = |at| register(at) << 16 | register(at + 1);
        let volts = |phase: u16| match self.year {
            Year::Y1997 => bcd(register(meter::VOLTAGE + phase) / 10, 2),
            Year::Y2007 => bcd(register(meter::VOLTAGE + phase), 2),
        };
        let watts = i64::from(wide(meter::POWER) as u32 as i32);
        Some(match (self.year, id) {
            (Year::Y2007, 0x0001_0000) | (Year::Y1997, 0x9010) => bcd(wide(meter::ENERGY), 4),
            // The total, and four rates of a tenth to four tenths of it.
            (Year::Y2007, 0x0001_FF00) | (Year::Y1997, 0x901F) => {
                let total = wide(meter::ENERGY);
                let rates = (1..=4).map(|rate| bcd(total * rate / 10, 4));
                [bcd(total, 4), rates.collect::<Vec<_>>().concat()].concat()
            }
            (Year::Y2007, 0x0201_0100..=0x0201_0300) => volts((id >> 8 & 0xFF) as u16 - 1),
            (Year::Y1997, 0xB611..=0xB613) => volts((id - 0xB611) as u16),
            (Year::Y2007, 0x0201_FF00) | (Year::Y1997, 0xB61F) => {
                [volts(0), volts(1), volts(2)].concat()
            }
            (Year::Y2007, 0x0203_0000) | (Year::Y1997, 0xB630) => {
                let mut digits = bcd(watts.unsigned_abs() * 10, 3);
                digits[2] |= u8::from(watts < 0) << 7;
                digits
            }
            (Year::Y2007, 0x0206_0000) | (Year::Y1997, 0xB650) => {
                bcd(register(meter::POWER_FACTOR), 2)
            }
            (Year::Y2007, 0x0280_0002) => bcd(register(meter::FREQUENCY), 2),
            (Year::Y2007, 0x0400_0401) => wire_address(self.address).to_vec(),
            _ => return None,
        })
    }
}

/// Writes decimal digits, two to a byte, last first.
fn bcd(mut n: u64, bytes: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..bytes {
        out.push((n / 10 % 10 * 16 + n % 10) as u8);
        n /= 100;
    }
    out
}

fn wire_address(address: u64) -> [u8; 6] {
    let mut wire = [0; 6];
    wire.copy_from_slice(&bcd(address, 6));
    wire
}

/// Writes a frame, 33H added to its data.
#[must_use]
pub fn seal(address: [u8; 6], control: u8, data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x68];
    out.extend(address);
    out.extend([0x68, control, data.len() as u8]);
    for byte in data {
        out.push((u16::from(*byte) + 0x33) as u8);
    }
    let sum: u32 = out.iter().map(|b| u32::from(*b)).sum();
    out.extend([(sum % 256) as u8, 0x16]);
    out
}

/// Returns address, control and data of the received bytes, wake-up bytes cut off.
#[must_use]
pub fn open(heard: &[u8]) -> Option<([u8; 6], u8, Vec<u8>)> {
    let woken = heard.iter().position(|b| *b != 0xFE)?;
    let frame = &heard[woken..];
    if frame.len() < 12 || frame[0] != 0x68 || frame[7] != 0x68 {
        return None;
    }
    let length = usize::from(frame[9]);
    if frame.len() != length + 12 || frame[length + 11] != 0x16 {
        return None;
    }
    let sum: u32 = frame[..length + 10].iter().map(|b| u32::from(*b)).sum();
    let mut address = [0; 6];
    address.copy_from_slice(&frame[1..7]);
    let data = frame[10..length + 10].iter();
    (sum % 256 == u32::from(frame[length + 10])).then(|| {
        (
            address,
            frame[8],
            data.map(|b| b.wrapping_sub(0x33)).collect(),
        )
    })
}
