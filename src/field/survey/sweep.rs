//! Finds out which entries of its tables a Modbus device has.
//!
//! The standard has no question for that. A device that is asked for several entries refuses all
//! of them if it lacks one (Modbus Application Protocol V1.1b3 §6.1 to §6.4), so the only proof
//! that an entry is absent is a request for it alone. The sweep reads what exists in blocks, and
//! makes them longer as long as the device grants them. It halves a refused block until the entry
//! at fault is alone. Behind that entry it asks for one entry at a time, and lets blocks grow again
//! from the first that the device grants.
//!
//! With `A` addresses of a table, of which `H` are absent and the others stand in `R` runs, and
//! blocks of `B` entries at most, that takes at most `A / B + H + 2 R (log2 B + 2)` requests, and
//! some more to learn `B` ([`most_requests`]). Fewer are not possible than `H + R`.
//!
//! **Silence.** Some devices stay silent where they should refuse, any device can lose a reply, and
//! a device can be switched off meanwhile. So behind each silence the sweep asks for something that
//! the device has answered before: the *known read*. If the device answers that, the silence was
//! meant or the reply was lost, and the sweep repeats the request as often as it takes to tell the
//! two apart. If the device does not answer it, the sweep pauses until it does. A device answers
//! one request after the other, so no late reply can come behind the answer to the known read and
//! be taken for another's; and the known read looks different from the request where that is
//! possible.
//!
//! **Blocks.** A refused block whose parts are all granted is too long for the device. The longest
//! block that is granted is found by halving between the longest granted and the shortest too
//! long.
//!
//! Contract: [`Sweep::step`] says what to do, [`Sweep::on_heard`] and [`Sweep::on_waited`] that it
//! was done; `None` when it is over. Invariants: only reads; the number of requests is bounded
//! whatever is heard; an entry is classed once.

mod block_lengths;
pub mod runs;
mod table_sweep;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use self::block_lengths::BlockLengths;
use self::table_sweep::TableSweep;
use super::reply::{self, ReadReply};
use crate::base::UnitId;
use crate::field::modbus::{Data, MAX_BITS, MAX_REGISTERS, ReadRequest};
use crate::spec::Table;
use crate::spec::survey::{SurveyQuestion, SurveyReply};

/// The tables, in the order in which devices have most.
pub const TABLES: [Table; 4] = [
    Table::HoldingRegister,
    Table::InputRegister,
    Table::Coil,
    Table::DiscreteInput,
];

/// How many addresses of each table are tried for a first sign of life.
const SPREAD: u32 = 16;

/// How often each of them is tried.
const ROUNDS: u8 = 2;

/// How often an entry is asked for without a reply before it counts as silent …
const SILENCES: u8 = 4;

/// … once so many entries have turned out to be silent, or busy, for good …
const SILENT_ENTRIES: u8 = 3;

/// … this often …
const SILENCES_OF_MANY: u8 = 3;

/// … and so many times more on a line that has lost a reply to the known read.
const MORE_ON_A_BAD_LINE: u8 = 3;

/// How often the known read is asked before the device counts as gone.
const KNOWN_READS: u8 = 3;

/// How often something that is no reply, or a reply that may be another's, is asked for again.
const REPEATS: u8 = 6;

/// How long to wait before a device that was busy is asked again.
const BUSY: Duration = Duration::from_millis(250);

/// How long the first pause for a device that has stopped answering is.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// How long the pauses become at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How many replies it takes before the wait for one is shortened.
const MEASURED: u32 = 8;

/// How long a reply is waited for at least.
const LEAST_WAIT: Duration = Duration::from_millis(60);

/// What is to be swept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepOrder {
    /// The unit.
    pub unit: UnitId,
    /// The tables, each once.
    pub tables: Vec<Table>,
    /// The first address.
    pub first: u16,
    /// The last address; not before the first.
    pub last: u16,
    /// How long the first byte of a reply is waited for.
    pub wait: Duration,
    /// How long a device that has stopped answering is waited for, in all.
    pub longest_pause: Duration,
}

/// What an entry turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryClass {
    /// It is there, and held this when it was read; a bit holds 0 or 1.
    Value(u16),
    /// The device refuses it with this code; 2 says that there is no such address.
    Refused(u8),
    /// The device does not answer a request for it, while it answers others.
    Silent,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SweepStep {
    /// Ask this, and wait so long for the reply.
    Ask(SurveyQuestion, Duration),
    /// Let so much time pass.
    Wait(Duration),
}

/// What was heard, and what is known about it.
#[derive(Clone, Copy, Debug)]
pub struct SweepHeard<'a> {
    /// What was heard after the request.
    pub heard: &'a SurveyReply,
    /// Whether the line fell quiet, so that the request was sent.
    pub is_sent: bool,
    /// Whether the reply may be one to another request: one that the running service had sent, or
    /// a late one that came just before the request.
    pub may_be_stale: bool,
}

/// How a sweep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweepEnd {
    /// All entries are classed.
    Whole,
    /// The device has never answered anything.
    NoAnswer,
    /// The device stopped answering, and did not come back.
    Gone,
    /// The line was never quiet.
    Busy,
    /// There were more requests than any device needs.
    TooMany,
    /// The user has ended it.
    Stopped,
}

/// How far a sweep is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepProgress {
    /// How many entries are classed.
    pub done: u64,
    /// How many entries there are.
    pub all: u64,
    /// How many requests were made.
    pub requests: u64,
    /// While there was no sign of life: how many more requests are made at most until the device
    /// is given up, if none of them is made again.
    pub until_given_up: u64,
    /// The table that is swept; `None` before the first and behind the last.
    pub table: Option<Table>,
    /// The address that is next.
    pub at: u32,
    /// Whether the device has stopped answering, and is waited for.
    pub is_waiting: bool,
}

/// A sweep of one device.
#[derive(Clone, Debug)]
pub struct Sweep {
    order: SweepOrder,
    rest: VecDeque<Table>,
    table: Option<TableSweep>,
    found: BTreeMap<(Table, u16), EntryClass>,
    /// Requests that were answered, if only by a refusal, by table and length.
    known_reads: BTreeMap<(Table, bool), ReadRequest>,
    phase: Phase,
    /// What has been heard so far after the request that is under way.
    tries: Tries,
    registers: BlockLengths,
    bits: BlockLengths,
    /// How many entries have turned out to be silent.
    silent: u64,
    /// How many entries have turned out to be refused as busy for good.
    busy: u64,
    /// Whether a reply to the known read was lost.
    is_lossy: bool,
    wait: Duration,
    slowest: Duration,
    measured: u32,
    requests: u64,
    most: u64,
    /// How long the device was waited for.
    paused: Duration,
}

/// What is asked now.
#[derive(Clone, Debug)]
enum Phase {
    /// For a sign of life: these, and then again so many rounds.
    SignOfLife(VecDeque<ReadRequest>, u8),
    /// The next block.
    Sweeping,
    /// The next block again, after this time.
    Resting(Duration),
    /// The known read, so many times more.
    KnownRead(ReadRequest, u8),
    /// Nothing for so long, and then the known read.
    Paused(ReadRequest, Duration),
    Over(SweepEnd),
}

/// What was heard after one request.
#[derive(Clone, Copy, Debug, Default)]
struct Tries {
    silences: u8,
    repeats: u8,
    /// The code of the last refusal that says that the device cannot answer now.
    code: Option<u8>,
}

impl Sweep {
    /// Begins a sweep.
    #[must_use]
    pub fn new(order: SweepOrder) -> Self {
        let addresses = u64::from(order.last.saturating_sub(order.first)) + 1;
        let all = addresses * order.tables.len() as u64;
        let first = TABLES
            .iter()
            .map(|table| single(&order, *table, order.first));
        Sweep {
            phase: Phase::SignOfLife(first.collect(), 0),
            rest: order.tables.iter().copied().collect(),
            table: None,
            found: BTreeMap::new(),
            known_reads: BTreeMap::new(),
            tries: Tries::default(),
            registers: BlockLengths::new(MAX_REGISTERS),
            bits: BlockLengths::new(MAX_BITS),
            silent: 0,
            busy: 0,
            is_lossy: false,
            wait: order.wait,
            slowest: Duration::ZERO,
            measured: 0,
            requests: 0,
            // An entry takes a few tries and as many known reads at worst.
            most: all * 20 + 2000,
            paused: Duration::ZERO,
            order,
        }
    }

    /// Returns what to do next; `None` when the sweep is over.
    pub fn step(&mut self) -> Option<SweepStep> {
        if matches!(self.phase, Phase::Sweeping) && self.block().is_none() {
            self.phase = Phase::Over(SweepEnd::Whole);
        }
        if self.requests >= self.most && !matches!(self.phase, Phase::Over(_)) {
            self.phase = Phase::Over(SweepEnd::TooMany);
        }
        match &self.phase {
            Phase::Over(_) => None,
            Phase::Resting(pause) | Phase::Paused(_, pause) => Some(SweepStep::Wait(*pause)),
            Phase::SignOfLife(..) | Phase::Sweeping | Phase::KnownRead(..) => {
                let ask = self.ask()?;
                Some(SweepStep::Ask(reply::question(&ask), self.wait))
            }
        }
    }

    /// Notes that the time of [`SweepStep::Wait`] has passed.
    pub fn on_waited(&mut self) {
        self.phase = match std::mem::replace(&mut self.phase, Phase::Sweeping) {
            Phase::Resting(_) => Phase::Sweeping,
            Phase::Paused(known_read, pause) => {
                self.paused += pause;
                Phase::KnownRead(known_read, 1)
            }
            other => other,
        };
    }

    /// Notes what was heard after the request of [`SweepStep::Ask`].
    pub fn on_heard(&mut self, said: &SweepHeard<'_>) {
        let Some(ask) = self.ask() else {
            return;
        };
        self.requests += 1;
        if !said.is_sent {
            self.line_is_busy();
            return;
        }
        self.measure(&ask, said);
        let reply = match reply::judge(&ask, said.heard) {
            ReadReply::Answer(_) | ReadReply::Exception(_)
                if said.may_be_stale && self.tries.repeats < REPEATS =>
            {
                ReadReply::Other
            }
            reply => reply,
        };
        if is_sign_of_life(&reply) {
            let is_single = ask.count == 1;
            self.known_reads.insert((ask.table, is_single), ask);
        }
        match &mut self.phase {
            Phase::SignOfLife(..) => self.sign_of_life_said(),
            Phase::KnownRead(..) => self.known_read_said(&reply),
            Phase::Sweeping => self.block_said(&ask, reply),
            Phase::Resting(_) | Phase::Paused(..) | Phase::Over(_) => {}
        }
    }

    /// Ends the sweep with what is known.
    pub fn stop(&mut self) {
        if self.end().is_none() {
            self.phase = Phase::Over(SweepEnd::Stopped);
        }
    }

    /// Returns how the sweep ended; `None` while it has not.
    #[must_use]
    pub const fn end(&self) -> Option<SweepEnd> {
        match self.phase {
            Phase::Over(end) => Some(end),
            _ => None,
        }
    }

    /// Returns the entries that are classed.
    #[must_use]
    pub const fn found(&self) -> &BTreeMap<(Table, u16), EntryClass> {
        &self.found
    }

    /// Returns the longest block of registers, or of bits, that the device has granted, and
    /// whether longer ones are known to be refused.
    #[must_use]
    pub const fn largest(&self, is_bits: bool) -> (u16, bool) {
        self.lengths(is_bits).largest()
    }

    /// Returns how far the sweep is.
    #[must_use]
    pub fn progress(&self) -> SweepProgress {
        let addresses = u64::from(self.order.last - self.order.first) + 1;
        SweepProgress {
            done: self.found.len() as u64,
            all: addresses * self.order.tables.len() as u64,
            requests: self.requests,
            until_given_up: match &self.phase {
                Phase::SignOfLife(queue, rounds) => {
                    let rounds = u64::from(ROUNDS.saturating_sub(*rounds));
                    queue.len() as u64 + rounds * self.spread().len() as u64
                }
                _ => 0,
            },
            table: self.table.as_ref().map(TableSweep::table),
            at: self.table.as_ref().map_or(0, TableSweep::at),
            is_waiting: matches!(self.phase, Phase::Paused(..))
                || !self.paused.is_zero() && matches!(self.phase, Phase::KnownRead(..)),
        }
    }

    const fn lengths(&self, is_bits: bool) -> &BlockLengths {
        if is_bits { &self.bits } else { &self.registers }
    }

    /// Returns the request that is under way.
    fn ask(&self) -> Option<ReadRequest> {
        match &self.phase {
            Phase::SignOfLife(queue, _) => queue.front().copied(),
            Phase::KnownRead(known_read, _) => Some(*known_read),
            Phase::Sweeping => {
                let table = self.table.as_ref()?;
                let lengths = self.lengths(table.table().is_bits());
                Some(table.ask(self.order.unit, lengths))
            }
            Phase::Resting(_) | Phase::Paused(..) | Phase::Over(_) => None,
        }
    }

    /// Goes on to the next table if one is done; `None` if there is none.
    fn block(&mut self) -> Option<()> {
        while self.table.as_ref().is_none_or(TableSweep::is_over) {
            let next = self.rest.pop_front()?;
            self.table = Some(TableSweep::new(next, self.order.first, self.order.last));
            self.tries = Tries::default();
        }
        Some(())
    }

    /// Learns how long a reply of the device takes.
    fn measure(&mut self, ask: &ReadRequest, said: &SweepHeard<'_>) {
        if said.may_be_stale || reply::has_late(ask, said.heard) {
            // The wait was too short for a reply: it is the full one from now on.
            (self.wait, self.measured, self.slowest) = (self.order.wait, 0, self.order.wait);
            return;
        }
        let Some(after) = said.heard.first_after else {
            return;
        };
        self.slowest = self.slowest.max(after);
        self.measured += 1;
        if self.measured >= MEASURED {
            let enough = (self.slowest * 4).max(LEAST_WAIT);
            self.wait = enough.min(self.order.wait);
        }
    }

    /// Notes that the line did not fall quiet.
    fn line_is_busy(&mut self) {
        self.tries.repeats += 1;
        self.phase = match std::mem::replace(&mut self.phase, Phase::Sweeping) {
            _ if self.tries.repeats > 4 * REPEATS => Phase::Over(SweepEnd::Busy),
            Phase::Sweeping => Phase::Resting(BUSY),
            other => other,
        };
    }

    /// Goes on looking for a first sign of life.
    fn sign_of_life_said(&mut self) {
        let Phase::SignOfLife(queue, rounds) = &mut self.phase else {
            return;
        };
        queue.pop_front();
        if !queue.is_empty() {
            return;
        }
        let rounds = *rounds;
        self.phase = match (self.known_reads.is_empty(), rounds) {
            (false, _) => Phase::Sweeping,
            (true, ROUNDS..) => Phase::Over(SweepEnd::NoAnswer),
            (true, rounds) => Phase::SignOfLife(self.spread(), rounds + 1),
        };
    }

    /// Returns requests for entries here and there.
    fn spread(&self) -> VecDeque<ReadRequest> {
        let (first, last) = (u32::from(self.order.first), u32::from(self.order.last));
        let many = SPREAD.min(last - first + 1);
        let address = |n: u32| first + (last - first) * n / (many - 1).max(1);
        let addresses = (0..many).filter_map(|n| u16::try_from(address(n)).ok());
        let tables = &self.order.tables;
        let of = |address| tables.iter().map(move |t| single(&self.order, *t, address));
        addresses.flat_map(of).collect()
    }

    /// Returns the request by which the device shows that it is there: one that looks different
    /// from this, if there is one.
    fn known_read_for(&self, ask: &ReadRequest) -> Option<ReadRequest> {
        let all = || self.known_reads.values();
        let other_function = all().find(|known_read| known_read.table != ask.table);
        let other_shape = || all().find(|known_read| known_read.shape() != ask.shape());
        let known_read = other_function.or_else(other_shape);
        known_read.or_else(|| all().next()).copied()
    }

    /// Asks for the known read, and then for this again; for a sign of life, if there is no known
    /// read.
    fn check_life(&mut self, ask: &ReadRequest) {
        self.phase = match self.known_read_for(ask) {
            Some(known_read) => Phase::KnownRead(known_read, KNOWN_READS),
            None => Phase::SignOfLife(self.spread(), 1),
        };
    }

    /// Takes the reply to the known read.
    fn known_read_said(&mut self, reply: &ReadReply) {
        let Phase::KnownRead(known_read, left) = self.phase else {
            return;
        };
        if is_sign_of_life(reply) {
            if !self.paused.is_zero() {
                // What was not answered meanwhile shows nothing.
                self.tries = Tries::default();
                self.paused = Duration::ZERO;
            }
            self.phase = Phase::Sweeping;
            self.decide();
            return;
        }
        if left > 1 {
            self.is_lossy = true;
            self.phase = Phase::KnownRead(known_read, left - 1);
            return;
        }
        self.phase = match self.paused {
            paused if paused >= self.order.longest_pause => Phase::Over(SweepEnd::Gone),
            paused => Phase::Paused(known_read, paused.clamp(FIRST_PAUSE, LONGEST_PAUSE)),
        };
    }

    /// Takes the reply to a block.
    fn block_said(&mut self, ask: &ReadRequest, reply: ReadReply) {
        match reply {
            ReadReply::Answer(data) => self.granted(ask, &data),
            ReadReply::Exception(code @ (10 | 11)) => {
                self.tries.code = Some(code);
                self.tries.silences += 1;
                self.check_life(ask);
            }
            ReadReply::Exception(5 | 6)
                if self.tries.repeats < REPEATS && self.busy < u64::from(SILENT_ENTRIES) =>
            {
                self.tries.repeats += 1;
                self.phase = Phase::Resting(BUSY);
            }
            ReadReply::Exception(code) => {
                self.busy += u64::from(matches!(code, 5 | 6) && ask.count == 1);
                self.refused(ask, EntryClass::Refused(code));
            }
            ReadReply::Silence => {
                self.tries.silences += 1;
                self.check_life(ask);
            }
            ReadReply::Other => {
                self.tries.repeats += 1;
                if self.tries.repeats >= REPEATS {
                    self.tries.silences += 1;
                }
                self.check_life(ask);
            }
        }
    }

    /// Decides about a request without a reply, now that the device is known to be there.
    fn decide(&mut self) {
        let Some(ask) = self.ask() else {
            return;
        };
        let known = match self.silent >= u64::from(SILENT_ENTRIES) {
            true => SILENCES_OF_MANY,
            false => SILENCES,
        };
        let more = if self.is_lossy { MORE_ON_A_BAD_LINE } else { 0 };
        // A block that is taken for refused without need costs its halves and is nothing false.
        let enough = if ask.count == 1 { known + more } else { 1 };
        if self.tries.silences < enough {
            return;
        }
        let entry = match self.tries.code {
            Some(code) => EntryClass::Refused(code),
            None => EntryClass::Silent,
        };
        if ask.count == 1 && entry == EntryClass::Silent {
            self.silent += 1;
        }
        self.refused(&ask, entry);
    }

    fn granted(&mut self, ask: &ReadRequest, data: &Data) {
        let values: Vec<u16> = match data {
            Data::Registers(words) => words.clone(),
            Data::Bits(bits) => bits.iter().map(|bit| u16::from(*bit)).collect(),
            Data::Bytes(_) => return,
        };
        let lengths = match ask.table.is_bits() {
            true => &mut self.bits,
            false => &mut self.registers,
        };
        let Some(table) = &mut self.table else {
            return;
        };
        if table.is_checking() {
            table.checked(false);
        } else {
            for (address, value) in (ask.start..=u16::MAX).zip(&values) {
                let entry = EntryClass::Value(*value);
                self.found.entry((ask.table, address)).or_insert(entry);
            }
            table.granted(ask.count, lengths);
        }
        self.tries = Tries::default();
        self.phase = Phase::Sweeping;
    }

    fn refused(&mut self, ask: &ReadRequest, entry: EntryClass) {
        let lengths = match ask.table.is_bits() {
            true => &self.bits,
            false => &self.registers,
        };
        self.tries = Tries::default();
        self.phase = Phase::Sweeping;
        let Some(table) = &mut self.table else {
            return;
        };
        // Code 1 is about the function, not about the address (§7).
        let is_function = entry == EntryClass::Refused(1);
        if table.is_checking() {
            table.checked(is_function);
            if table.lacks_function() {
                for address in self.order.first..=self.order.last {
                    self.found.entry((ask.table, address)).or_insert(entry);
                }
            }
        } else if is_function && table.check_function() {
            // It is asked for here and there first.
        } else if ask.count == 1 {
            self.found.entry((ask.table, ask.start)).or_insert(entry);
            table.refused_one();
        } else {
            table.refused(ask.count, lengths);
        }
    }
}

/// Returns whether the device itself has answered: a gateway refuses with codes 10 and 11 in its
/// place.
const fn is_sign_of_life(reply: &ReadReply) -> bool {
    match reply {
        ReadReply::Answer(_) => true,
        ReadReply::Exception(code) => !matches!(*code, 10 | 11),
        ReadReply::Silence | ReadReply::Other => false,
    }
}

const fn single(order: &SweepOrder, table: Table, address: u16) -> ReadRequest {
    ReadRequest {
        unit: order.unit,
        table,
        start: address,
        count: 1,
    }
}

/// Returns how many requests a sweep of one table takes at most, if no reply is lost: of
/// `addresses`, of which `absent` are refused and the others stand in `runs`, on a device that
/// grants blocks of `block` entries.
#[must_use]
pub fn most_requests(addresses: u64, absent: u64, runs: u64, block: u16) -> u64 {
    let block = u64::from(block.max(1));
    let halvings = u64::from(block.ilog2()) + 2;
    // A block that is found to be too long takes three requests, and as many halvings as there
    // are lengths; the first sign of life takes four.
    let learning = 3 * (u64::from(MAX_BITS.ilog2()) + 2) + 4;
    addresses.div_ceil(block) + absent + 2 * runs * halvings + 2 * halvings + learning
}
