//! One Modbus device: registers whose values change by themselves, and behaviour.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::behaviour::{Fault, UnitBehaviour};
use super::unit_kind::UnitKind;
use crate::base::{Mono, Now, Rng, Wall};
use crate::spec::Table;

/// Exception codes (Modbus Application Protocol V1.1b3 §7).
const ILLEGAL_FUNCTION: u8 = 1;
const ILLEGAL_ADDRESS: u8 = 2;
const ILLEGAL_VALUE: u8 = 3;

/// One Modbus device.
///
/// Contract: [`Unit::answer`] takes a request PDU and returns the reply PDU, normal or
/// exception; the line or rack that holds the unit decides whether, when and in what
/// state the reply arrives. [`Unit::value_at`] says what stands in any entry at any time,
/// [`Unit::had`] whether given values stood there together.
#[derive(Clone, Debug)]
pub struct Unit {
    kind: UnitKind,
    seed: u64,
    written: BTreeMap<(Table, u16), u16>,
    /// The behaviour of the unit.
    pub behaviour: UnitBehaviour,
    rng: Rng,
    /// On a line: until when the unit is busy with the request before.
    busy: Mono,
    answered: u64,
}

impl Unit {
    /// Builds a unit of this kind; the seed decides its values and its faults.
    #[must_use]
    pub fn new(kind: UnitKind, seed: u64) -> Self {
        Unit {
            kind,
            seed,
            written: BTreeMap::new(),
            behaviour: UnitBehaviour::default(),
            rng: Rng::new(seed ^ 0x6d61_6e6e_6572_7321),
            busy: Mono::START,
            answered: 0,
        }
    }

    /// Returns the same unit with other behaviour.
    #[must_use]
    pub fn with(mut self, behaviour: UnitBehaviour) -> Self {
        self.behaviour = behaviour;
        self
    }

    /// Returns another unit of the same kind and behaviour that received the same writes,
    /// with values of its own.
    pub(super) fn copy_with_own_values(&self) -> Unit {
        Unit {
            seed: self.seed ^ 0x7477_696e,
            ..self.clone()
        }
    }

    /// Draws the fault of the next reply and how long the unit takes to answer.
    pub(super) fn draw(&mut self) -> (Option<Fault>, Duration) {
        let fault = self.behaviour.draw(&mut self.rng);
        (fault, self.behaviour.delay(&mut self.rng))
    }

    /// Returns the random numbers of the unit's faults.
    pub(super) const fn rng(&mut self) -> &mut Rng {
        &mut self.rng
    }

    /// Returns until when a unit on a line is busy with the request before.
    pub(super) const fn busy_until(&self) -> Mono {
        self.busy
    }

    /// Notes until when a unit on a line is busy.
    pub(super) const fn is_busy_until(&mut self, at: Mono) {
        self.busy = at;
    }

    /// Returns the kind of the unit.
    #[must_use]
    pub const fn kind(&self) -> UnitKind {
        self.kind
    }

    /// Returns how many requests the unit has answered, exceptions included, whatever
    /// became of the replies.
    #[must_use]
    pub const fn answered(&self) -> u64 {
        self.answered
    }

    /// Returns what stands in this entry at this time; `None` if there is no such
    /// entry. A value that a master has written stays until overwritten.
    #[must_use]
    pub fn value_at(&self, now: Now, table: Table, address: u16) -> Option<u16> {
        self.at(now.wall, table, address)
    }

    /// Returns whether these values stood in adjacent entries from `first` on, all at
    /// one moment, at some time in `window`.
    #[must_use]
    pub fn had(
        &self,
        window: RangeInclusive<Wall>,
        table: Table,
        first: u16,
        values: &[u16],
    ) -> bool {
        let (from, to) = (window.start().as_millis(), window.end().as_millis());
        let step = self.kind.tick();
        let ticks = from.div_euclid(step)..=to.div_euclid(step);
        ticks.map(|t| Wall::from_millis(t * step)).any(|at| {
            (first..)
                .zip(values)
                .all(|(address, &value)| self.at(at, table, address) == Some(value))
        })
    }

    /// Carries out one request and returns the reply.
    pub fn answer(&mut self, now: Now, request: &[u8]) -> Vec<u8> {
        self.answered += 1;
        let function = request.first().copied().unwrap_or_default();
        match self.execute(now, function, request.get(1..).unwrap_or_default()) {
            Ok(reply) => reply,
            Err(code) => vec![function | 0x80, code],
        }
    }

    fn execute(&mut self, now: Now, function: u8, data: &[u8]) -> Result<Vec<u8>, u8> {
        if self.behaviour.lacks.contains(&function) {
            return Err(ILLEGAL_FUNCTION);
        }
        match function {
            1 => self.read_bits(now, function, Table::Coil, data),
            2 => self.read_bits(now, function, Table::DiscreteInput, data),
            3 => self.read_words(now, function, Table::HoldingRegister, data),
            4 => self.read_words(now, function, Table::InputRegister, data),
            5 => {
                let (address, value) = pair(data)?;
                let bit = match value {
                    0x0000 => 0,
                    0xFF00 => 1,
                    _ => return Err(ILLEGAL_VALUE),
                };
                self.write(Table::Coil, address, &[bit])?;
                Ok([&[function], data].concat())
            }
            6 => {
                let (address, value) = pair(data)?;
                self.write(Table::HoldingRegister, address, &[value])?;
                Ok([&[function], data].concat())
            }
            15 => {
                let (head, bytes) = bulk(data, |count| usize::from(count).div_ceil(8), 1968)?;
                let bits: Vec<u16> = (0..usize::from(head.1))
                    .map(|i| u16::from(bytes[i / 8] >> (i % 8) & 1))
                    .collect();
                self.write(Table::Coil, head.0, &bits)?;
                Ok([&[function], &data[..4]].concat())
            }
            16 => {
                let (head, bytes) = bulk(data, |count| usize::from(count) * 2, 123)?;
                let words: Vec<u16> = bytes
                    .chunks_exact(2)
                    .map(|w| u16::from_be_bytes([w[0], w[1]]))
                    .collect();
                self.write(Table::HoldingRegister, head.0, &words)?;
                Ok([&[function], &data[..4]].concat())
            }
            22 => {
                let (address, and, or) = triple(data)?;
                self.reach(Table::HoldingRegister, address, 1)?;
                let old = self.at(now.wall, Table::HoldingRegister, address);
                let old = old.ok_or(ILLEGAL_ADDRESS)?;
                // The formula of §6.16.
                let new = (old & and) | (or & !and);
                self.write(Table::HoldingRegister, address, &[new])?;
                Ok([&[function], data].concat())
            }
            _ => Err(ILLEGAL_FUNCTION),
        }
    }

    fn read_bits(&self, now: Now, function: u8, table: Table, data: &[u8]) -> Result<Vec<u8>, u8> {
        let entries = self.entries(now, table, data, 2000)?;
        let mut packed = vec![0_u8; entries.len().div_ceil(8)];
        for (i, bit) in entries.iter().enumerate() {
            packed[i / 8] |= u8::from(*bit != 0) << (i % 8);
        }
        Ok([&[function, packed.len() as u8], &packed[..]].concat())
    }

    fn read_words(&self, now: Now, function: u8, table: Table, data: &[u8]) -> Result<Vec<u8>, u8> {
        let entries = self.entries(now, table, data, 125)?;
        let bytes: Vec<u8> = entries.iter().flat_map(|w| w.to_be_bytes()).collect();
        Ok([&[function, bytes.len() as u8], &bytes[..]].concat())
    }

    /// Checks a read in the order of the standard's flow charts (§6): quantity first,
    /// then address.
    fn entries(&self, now: Now, table: Table, data: &[u8], most: u16) -> Result<Vec<u16>, u8> {
        let (first, count) = pair(data)?;
        if count == 0 || count > most {
            return Err(ILLEGAL_VALUE);
        }
        if let Some(code) = self.behaviour.is_too_long(table, count) {
            return Err(code);
        }
        self.reach(table, first, count)?;
        (first..=first + (count - 1))
            .map(|address| self.at(now.wall, table, address).ok_or(ILLEGAL_ADDRESS))
            .collect()
    }

    fn write(&mut self, table: Table, first: u16, values: &[u16]) -> Result<(), u8> {
        self.reach(table, first, values.len() as u16)?;
        self.written
            .extend((first..).zip(values).map(|(a, &v)| ((table, a), v)));
        Ok(())
    }

    fn reach(&self, table: Table, first: u16, count: u16) -> Result<(), u8> {
        if let Some(code) = self.behaviour.refusal(table, first, count) {
            return Err(code);
        }
        let end = u32::from(first) + u32::from(count);
        if end > u32::from(self.kind.entries(table)) {
            return Err(ILLEGAL_ADDRESS);
        }
        Ok(())
    }

    fn at(&self, at: Wall, table: Table, address: u16) -> Option<u16> {
        let own = self.kind.entry(self.seed, at, table, address)?;
        Some(self.written.get(&(table, address)).copied().unwrap_or(own))
    }
}

/// Reads two big-endian words and nothing else.
fn pair(data: &[u8]) -> Result<(u16, u16), u8> {
    let &[a, b, c, d] = data else {
        return Err(ILLEGAL_VALUE);
    };
    Ok((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

/// Reads three big-endian words and nothing else.
fn triple(data: &[u8]) -> Result<(u16, u16, u16), u8> {
    let &[a, b, c, d, e, f] = data else {
        return Err(ILLEGAL_VALUE);
    };
    let word = |high, low| u16::from_be_bytes([high, low]);
    Ok((word(a, b), word(c, d), word(e, f)))
}

/// Reads address, quantity, byte count and that many bytes.
fn bulk(data: &[u8], bytes: impl Fn(u16) -> usize, most: u16) -> Result<((u16, u16), &[u8]), u8> {
    let (head, rest) = data.split_at_checked(4).ok_or(ILLEGAL_VALUE)?;
    let head = pair(head)?;
    let (&said, rest) = rest.split_first().ok_or(ILLEGAL_VALUE)?;
    let wanted = bytes(head.1);
    let fits = (1..=most).contains(&head.1) && usize::from(said) == wanted && rest.len() == wanted;
    fits.then_some((head, rest)).ok_or(ILLEGAL_VALUE)
}

#[cfg(test)]
mod tests {
    use super::super::behaviour::Refusal;
    use super::*;

    fn noon() -> Now {
        Now {
            wall: Wall::from_millis(1_790_000_000_000),
            ..Now::default()
        }
    }

    fn unit() -> Unit {
        Unit::new(UnitKind::Marked, 7)
    }

    fn word(unit: &Unit, table: Table, address: u16) -> u16 {
        unit.value_at(noon(), table, address).unwrap()
    }

    #[test]
    fn reading_returns_the_truth() {
        let mut u = unit();
        let (a, b) = (
            word(&u, Table::HoldingRegister, 107),
            word(&u, Table::HoldingRegister, 108),
        );
        let reply = u.answer(noon(), &[3, 0, 107, 0, 2]);
        let expected = [&[3, 4][..], &a.to_be_bytes(), &b.to_be_bytes()].concat();
        assert_eq!(reply, expected);

        let mut bits = 0_u16;
        for i in 0..10 {
            bits |= word(&u, Table::DiscreteInput, 20 + i) << i;
        }
        let reply = u.answer(noon(), &[2, 0, 20, 0, 10]);
        assert_eq!(reply, [2, 2, bits as u8, (bits >> 8) as u8]);
    }

    #[test]
    fn each_wrong_request_gets_its_exception() {
        let rows: &[(&[u8], &[u8])] = &[
            // Unknown functions.
            (&[], &[0x80, 1]),
            (&[7], &[0x87, 1]),
            (&[0x2B, 0x0E, 1, 0], &[0xAB, 1]),
            // Quantities.
            (&[3, 0, 0, 0, 0], &[0x83, 3]),
            (&[3, 0, 0, 0, 126], &[0x83, 3]),
            (&[4, 0, 0, 0, 126], &[0x84, 3]),
            (&[1, 0, 0, 7, 0xD1], &[0x81, 3]),
            (&[2, 0, 0, 0, 0], &[0x82, 3]),
            (&[3, 0, 0], &[0x83, 3]),
            // Addresses: one past the end, the very end of the space.
            (&[3, 3, 0xE7, 0, 2], &[0x83, 2]),
            (&[3, 0xFF, 0xFF, 0, 1], &[0x83, 2]),
            (&[1, 0xFF, 0xFF, 0, 16], &[0x81, 2]),
            (&[6, 3, 0xE8, 0, 1], &[0x86, 2]),
            // Values.
            (&[5, 0, 0, 0, 1], &[0x85, 3]),
            (&[15, 0, 0, 0, 9, 1, 0xFF], &[0x8F, 3]),
            (&[16, 0, 0, 0, 1, 1, 0], &[0x90, 3]),
            (&[16, 0, 0, 0, 0, 0], &[0x90, 3]),
            (&[22, 0, 4, 0, 0xF2], &[0x96, 3]),
            (&[22, 3, 0xE8, 0, 0xF2, 0, 0x25], &[0x96, 2]),
        ];
        for (request, reply) in rows {
            assert_eq!(unit().answer(noon(), request), *reply, "{request:02x?}");
        }
    }

    #[test]
    fn the_last_entry_can_be_read() {
        assert_eq!(unit().answer(noon(), &[3, 3, 0xE7, 0, 1]).len(), 4);
        assert_eq!(unit().answer(noon(), &[1, 3, 0xE7, 0, 1]).len(), 3);
    }

    #[test]
    fn what_was_written_is_read_back_and_is_the_truth() {
        let mut u = unit();
        assert_eq!(
            u.answer(noon(), &[16, 0, 4, 0, 2, 4, 1, 2, 3, 4]),
            [16, 0, 4, 0, 2]
        );
        assert_eq!(u.answer(noon(), &[3, 0, 4, 0, 2]), [3, 4, 1, 2, 3, 4]);
        assert_eq!(word(&u, Table::HoldingRegister, 5), 0x0304);

        assert_eq!(u.answer(noon(), &[6, 0, 4, 9, 9]), [6, 0, 4, 9, 9]);
        assert_eq!(u.answer(noon(), &[3, 0, 4, 0, 1]), [3, 2, 9, 9]);

        assert_eq!(
            u.answer(noon(), &[15, 0, 0, 0, 9, 2, 0x55, 1]),
            [15, 0, 0, 0, 9]
        );
        assert_eq!(u.answer(noon(), &[1, 0, 0, 0, 9]), [1, 2, 0x55, 1]);
        assert_eq!(u.answer(noon(), &[5, 0, 1, 0xFF, 0]), [5, 0, 1, 0xFF, 0]);
        assert_eq!(u.answer(noon(), &[1, 0, 0, 0, 8]), [1, 1, 0x57]);
    }

    /// V1.1b3 §6.16: 12h with the masks F2h and 25h is 17h.
    #[test]
    fn a_mask_write_changes_the_bits_that_it_names() {
        let mut u = unit();
        u.answer(noon(), &[6, 0, 4, 0, 0x12]);
        let request = [22, 0, 4, 0, 0xF2, 0, 0x25];
        assert_eq!(u.answer(noon(), &request), request);
        assert_eq!(word(&u, Table::HoldingRegister, 4), 0x17);
    }

    #[test]
    fn refused_entries_get_the_configured_code() {
        let mut u = unit();
        u.behaviour.refusals.push(Refusal {
            table: Table::InputRegister,
            addresses: 5..=9,
            code: 6,
        });
        assert_eq!(u.answer(noon(), &[4, 0, 0, 0, 6]), [0x84, 6]);
        assert_eq!(u.answer(noon(), &[4, 0, 0, 0, 5]).len(), 12);
    }

    #[test]
    fn held_looks_back_through_the_window_and_wants_all_values_together() {
        let u = unit();
        let at = noon().wall.as_millis();
        let wall = Wall::from_millis;
        let now: Vec<u16> = (3..6).map(|a| word(&u, Table::Coil, a)).collect();
        assert!(u.had(wall(at)..=wall(at), Table::Coil, 3, &now));
        let regs = |ms, a| u.at(wall(ms), Table::HoldingRegister, a).unwrap();
        let old = [regs(at, 0), regs(at, 1)];
        let torn = [regs(at, 0), regs(at + 1000, 1)];
        let window = wall(at)..=wall(at + 2000);
        assert!(u.had(window.clone(), Table::HoldingRegister, 0, &old));
        assert!(!u.had(window, Table::HoldingRegister, 0, &torn));
        let later = wall(at + 1000)..=wall(at + 2000);
        assert!(!u.had(later, Table::HoldingRegister, 0, &old));
    }
}
