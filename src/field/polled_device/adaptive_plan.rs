//! What is known about reading one device, and how its requests follow from it.
//!
//! Three things change a plan while it runs. A request that is refused, or fails for certain
//! while the device lives, is divided until the addresses at fault are known
//! ([`crate::field::plan::holes`]). A point that fails alone is set aside and made ever more
//! rarely (`polled_device/failing.rs`). A unit that turns out to be quicker or slower than
//! was reckoned with is asked for other blocks. Requests that replace others are due
//! when those were, so the change makes no read later.
//!
//! What a refusal teaches holds for all devices of the kind and for the next run. What
//! silence, a spoilt or a mismatched reply teaches holds for this device and until the
//! request succeeds again. If registers that are answered in two parts are not answered as a
//! whole, their number may be the cause: then requests are halved (a limit that is lifted
//! again), and no address is suspected.
//!
//! Invariants:
//! - Every point belongs to exactly one poll slot, at all times.
//! - A device all of whose requests are set aside is still asked with one of them, at its
//!   interval: a refusal is proof of life.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::base::{DeviceId, Mono, RequestFailure};
use crate::spec::{DeviceSpec, PortSpec, Priority, ProfileSpec, Table};

use super::failing::Failing;
use crate::field::dlt645::ask::ErrorWord;
use crate::field::plan::block_address::{BlockAddress, DatumAsked, EntryRange};
use crate::field::plan::cost::{Cost, Measured};
use crate::field::plan::holes::{
    Hole, HoleSearch, Holes, MOST, Replacement, SplitSpan, span, speaks_of_addresses,
};
use crate::field::plan::{PlanLimits, ReadBlock, plan_of};
use crate::field::polled_device::PolledDevice;
use crate::field::polled_device::poll_slot::PollSlot;
use crate::field::transaction::request::Request;

/// A plan is made anew when the unit takes this many times more or less time than was
/// reckoned with …
const REPLAN_RATIO: u32 = 2;

/// … and the difference is at least this much.
const OFF_BY_AT_LEAST: Duration = Duration::from_millis(2);

/// "Illegal function" (Modbus Application Protocol V1.1b3 §7).
const ILLEGAL_FUNCTION: u8 = 1;

/// Something that was found out about a device, or rather about its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceFinding {
    /// The device cannot be read across these addresses.
    Hole {
        /// The device that showed it.
        device: DeviceId,
        /// The addresses.
        hole: Hole,
    },
    /// What was taken for a hole can be read after all.
    HoleGone {
        /// The device that showed it.
        device: DeviceId,
        /// The addresses.
        hole: Hole,
    },
    /// Points that are refused even when they are asked for alone. Reported once.
    PointsRefused {
        /// The device.
        device: DeviceId,
        /// Indices into its profile's points.
        points: Vec<u16>,
        /// What was asked for.
        address: BlockAddress,
        /// The exception's code.
        code: u8,
    },
    /// A meter does not have a datum. Reported once.
    DatumRefused {
        /// The device.
        device: DeviceId,
        /// Indices into its profile's points.
        points: Vec<u16>,
        /// What the meter said.
        word: ErrorWord,
    },
    /// The request for these points, and nothing else, fails again and again while the device
    /// answers others. Reported once.
    PointsFail {
        /// The device.
        device: DeviceId,
        /// Indices into its profile's points.
        points: Vec<u16>,
        /// What the request asks for.
        address: BlockAddress,
        /// How the request fails.
        how: RequestFailure,
        /// The code of the refusal, if the failure is a refusal.
        code: Option<u8>,
    },
    /// A device does not answer long requests, and answers their parts. Reported once.
    LongRequestsFail {
        /// The device.
        device: DeviceId,
        /// What the device does not answer as a whole.
        range: EntryRange,
        /// The most registers that are asked for together from now on.
        most: u16,
    },
    /// A device answers long requests again.
    LongRequestsAnswered {
        /// The device.
        device: DeviceId,
    },
    /// The replies of a device come twice. Reported once.
    RepliesRepeated {
        /// The device.
        device: DeviceId,
    },
    /// Two devices seem to have this one's address. Reported once.
    AddressShared {
        /// The device.
        device: DeviceId,
    },
    /// Replies of a device that were not waited for do not end. Reported now and then.
    OtherMaster {
        /// The device.
        device: DeviceId,
    },
    /// Points that were refused are read again.
    PointsBack {
        /// The device.
        device: DeviceId,
        /// Indices into its profile's points.
        points: Vec<u16>,
    },
}

/// What requests of Modbus that may be planned together have in common.
type Class = (Table, Duration, Priority);

/// The length of the longest replies that a device was found to give.
#[derive(Clone, Debug)]
pub(crate) struct Limit {
    /// The most bytes of data in a reply to a request of several points.
    bytes: u8,
    /// How a longer request fails, and when it is made again.
    failing: Failing,
    /// Whether a longer request is being tried.
    on_trial: bool,
}

/// What is known about reading one device.
#[derive(Clone, Debug)]
pub(crate) struct AdaptivePlan {
    cost: Cost,
    longest: Duration,
    measured: Measured,
    holes: Holes,
    limit: Option<Limit>,
    searches: BTreeMap<Class, HoleSearch>,
    /// Findings not yet handed out.
    findings: Vec<DeviceFinding>,
}

impl AdaptivePlan {
    pub(crate) fn new(line: &PortSpec, device: &DeviceSpec) -> Self {
        AdaptivePlan {
            cost: Cost::of(&line.line, device),
            longest: line.budget.longest_request,
            measured: Measured::default(),
            holes: Holes::new(),
            limit: None,
            searches: BTreeMap::new(),
            findings: Vec::new(),
        }
    }

    /// Takes what was found out and not yet handed out.
    pub(crate) fn take_findings(&mut self) -> Vec<DeviceFinding> {
        std::mem::take(&mut self.findings)
    }

    /// Notes something that was found out.
    pub(crate) fn report(&mut self, finding: DeviceFinding) {
        self.findings.push(finding);
    }

    /// Returns how long the reply to this block takes to arrive, once it has begun.
    pub(crate) fn reply_takes(&self, block: &ReadBlock) -> Duration {
        self.cost.of_reply_to(&block.address)
    }

    /// Returns how long this block takes the line.
    pub(crate) fn takes(&self, block: &ReadBlock) -> Duration {
        self.cost.of_block(&block.address)
    }

    pub(crate) fn plan(&self, profile: &ProfileSpec) -> Vec<ReadBlock> {
        self.plan_of(profile, |_| true)
    }

    /// Returns the holes that lie in `whole`.
    fn holes_in(&self, whole: &Hole) -> Holes {
        let from = Hole { last: 0, ..*whole };
        let to = Hole {
            first: whole.last,
            last: whole.last,
            ..*whole
        };
        let near = self.holes.range(from..=to);
        near.filter(|h| h.last <= whole.last).copied().collect()
    }

    fn plan_of(&self, profile: &ProfileSpec, wanted: impl Fn(u16) -> bool) -> Vec<ReadBlock> {
        let terms = PlanLimits {
            cost: self.cost,
            longest: self.longest,
            holes: &self.holes,
            most_bytes: self.limit.as_ref().filter(|l| !l.on_trial).map(|l| l.bytes),
        };
        plan_of(profile, &terms, wanted)
    }

    /// Returns whether this request is longer than the requests that the device was found to
    /// answer.
    fn is_too_long(&self, block: &ReadBlock) -> bool {
        let limit = self.limit.as_ref();
        limit.is_some_and(|l| block.points.len() > 1 && bytes_of(block) > Some(l.bytes))
    }
}

impl PolledDevice {
    /// Notes how long the unit took for this request.
    pub(crate) fn measured(&mut self, now: Mono, request: &Request, gap: Duration) {
        let reading = &mut self.reading;
        let cost = &reading.cost;
        let gap = cost.without_line_behind(&request.address, gap);
        self.reply_wait.measured(now, gap);
        reading.measured.note(reading.cost.turnaround_seen(gap));
        let Some(mean) = reading.measured.mean() else {
            return;
        };
        let reckoned = reading.cost.turnaround();
        let off = mean > reckoned * REPLAN_RATIO || mean * REPLAN_RATIO < reckoned;
        if off && mean.abs_diff(reckoned) >= OFF_BY_AT_LEAST {
            reading.cost = reading.cost.with_turnaround(mean);
            self.replan(now);
        }
    }

    /// Takes known holes.
    pub(crate) fn know(&mut self, now: Mono, holes: &Holes) {
        let before = self.reading.holes.len();
        for hole in holes {
            if self.reading.holes.len() < MOST {
                self.reading.holes.insert(*hole);
            }
        }
        if self.reading.holes.len() == before {
            return;
        }
        self.replan(now);
        let classes: Vec<Class> = self.reading.searches.keys().copied().collect();
        for class in classes {
            if let Some(search) = self.reading.searches.get_mut(&class) {
                search.told(class.0, &self.reading.holes);
                self.conclude(now, class);
            }
        }
    }

    /// Forgets this hole, unless it is one of this device's own.
    pub(crate) fn forget(&mut self, now: Mono, hole: &Hole) {
        let own = self
            .slots
            .iter()
            .any(|s| s.is_set_aside() && as_hole(s.block()) == Some(*hole));
        if !own && self.reading.holes.remove(hole) {
            self.replan(now);
        }
    }

    /// Has requests that are set aside made once more, now.
    pub(crate) fn try_set_aside(&mut self, now: Mono) {
        for slot in &mut self.slots {
            slot.try_now(now);
        }
    }

    /// Has requests that are set aside made once more, soon, but not again and again: the
    /// unit may have been exchanged.
    pub(crate) fn retry_set_aside(&mut self, now: Mono) {
        for slot in &mut self.slots {
            slot.retry_now(now);
        }
    }

    /// Lets time pass: a request longer than the device was found to answer is tried again
    /// when its time has come.
    pub(crate) fn try_long_requests(&mut self, now: Mono) {
        let slowest = self.profile.slowest_interval();
        let Some(limit) = self.reading.limit.as_mut().filter(|l| !l.on_trial) else {
            return;
        };
        if now < limit.failing.next_try(slowest) {
            return;
        }
        limit.on_trial = true;
        let part = limit.failing.of_a_part();
        self.replan(now);
        for slot in &mut self.slots {
            if self.reading.is_too_long(slot.block()) {
                slot.expect(part.clone());
            }
        }
    }

    /// Goes back to shorter requests after a request failed once more that is longer than the
    /// device was found to answer.
    pub(crate) fn long_request_failed(
        &mut self,
        now: Mono,
        slot: usize,
        how: RequestFailure,
    ) -> bool {
        let too_long = |s: &PollSlot| self.reading.is_too_long(s.block());
        if !self.slots.get(slot).is_some_and(too_long) {
            return false;
        }
        let Some(limit) = self.reading.limit.as_mut().filter(|l| l.on_trial) else {
            return false;
        };
        limit.failing.again(now, how, None);
        limit.on_trial = false;
        self.replan(now);
        true
    }

    /// Handles a whole request of this poll slot that fails for certain: it is divided, or
    /// its points are reported.
    pub(crate) fn fails_for_certain(&mut self, now: Mono, slot: usize) {
        let Some(asked) = self.slots.get_mut(slot) else {
            return;
        };
        let Some(failing) = asked.failing() else {
            return;
        };
        if failing.is_told() {
            self.ask_for_return(now);
            return;
        }
        let (how, code) = (failing.last_failure(), failing.code());
        let block = asked.block().clone();
        // A device that lacks a whole function lacks it at every address.
        let by_place = class(&block).filter(|_| code != Some(ILLEGAL_FUNCTION));
        let Some(class) = by_place else {
            asked.tell();
            asked.set_aside();
            self.tell_failing(&block, how, code);
            self.ask_for_return(now);
            return;
        };
        let addresses = how == RequestFailure::Refused && code.is_some_and(speaks_of_addresses);
        let search = self.reading.searches.entry(class).or_default();
        if !addresses {
            search.fails_otherwise();
        }
        let old = self.slots.remove(slot);
        // A refusal is clear at once; of another failure of a part, one is enough.
        let of_a_part = old.failing().map(Failing::of_a_part);
        let of_a_part = of_a_part.filter(|_| !addresses);
        // The parts are owed at once: the round is not over yet.
        let part = |block: ReadBlock| {
            PollSlot::new(block, now, old.origin()).failing_like(of_a_part.clone())
        };
        match search.refused(&block, &self.profile) {
            Replacement::Halves(left, right) => {
                let (left, right) = (part(left), part(right));
                self.slots.extend([left, right]);
            }
            Replacement::Dead(alone, others) => {
                self.tell_failing(&alone, how, code);
                let others = others.map(part);
                let alone = PollSlot::new(alone, now, old.origin());
                let mut alone = alone.failing_like(old.failing().cloned());
                alone.tell();
                alone.set_aside();
                self.slots.push(alone);
                self.slots.extend(others);
            }
        }
        self.conclude(now, class);
        self.ask_for_return(now);
    }

    /// Reports the points of a request that fails.
    fn tell_failing(&mut self, block: &ReadBlock, how: RequestFailure, code: Option<u8>) {
        let (device, points) = (self.device, block.points.clone());
        let address = block.address.clone();
        let refused = code.filter(|_| how == RequestFailure::Refused);
        let finding = match (refused, &block.address) {
            (Some(bits), BlockAddress::Dlt645(asked)) => {
                let (DatumAsked::Item(_, item) | DatumAsked::MeterAddress(item)) = asked;
                let edition = item.id.edition();
                DeviceFinding::DatumRefused {
                    device,
                    points,
                    word: ErrorWord { edition, bits },
                }
            }
            (Some(code), BlockAddress::Modbus(_) | BlockAddress::Raw(_)) => {
                DeviceFinding::PointsRefused {
                    device,
                    points,
                    address,
                    code,
                }
            }
            (None, _) => DeviceFinding::PointsFail {
                device,
                points,
                address,
                how,
                code,
            },
        };
        self.reading.findings.push(finding);
    }

    /// Notes that the whole request of this poll slot succeeded.
    pub(crate) fn granted(&mut self, now: Mono, slot: usize) {
        let Some(asked) = self.slots.get_mut(slot) else {
            return;
        };
        let (failed, kept_in_touch) = asked.succeed();
        let was_told = failed.is_some_and(|f| f.is_told());
        let (device, block) = (self.device, asked.block().clone());
        let (whole, long) = (as_hole(&block), self.reading.is_too_long(&block));
        let (class, points) = (class(&block), block.points.clone());
        if kept_in_touch {
            self.ask_for_return(now);
        }
        if was_told {
            let findings = &mut self.reading.findings;
            findings.push(DeviceFinding::PointsBack { device, points });
        } else if let Some(class) = class
            && let Some(search) = self.reading.searches.get_mut(&class)
        {
            search.answered(&block);
            self.repeat(now, class);
            self.conclude(now, class);
        }
        if long {
            self.reading.limit = None;
            let findings = &mut self.reading.findings;
            findings.push(DeviceFinding::LongRequestsAnswered { device });
        }
        // A hole that was read across, or alone, is none.
        let gone = whole.map_or_else(Holes::new, |whole| self.reading.holes_in(&whole));
        for hole in &gone {
            self.reading.holes.remove(hole);
            let hole = *hole;
            self.reading
                .findings
                .push(DeviceFinding::HoleGone { device, hole });
        }
        if was_told || long || !gone.is_empty() {
            self.replan(now);
        }
        if was_told {
            // What the device refused for the state it was in, it grants now.
            self.retry_set_aside(now);
        }
    }

    /// Asks at once for the two parts that are to be asked for together once more, in place
    /// of the parts.
    fn repeat(&mut self, now: Mono, of: Class) {
        while let Some(search) = self.reading.searches.get_mut(&of)
            && let Some(parts) = {
                search.told(of.0, &self.reading.holes);
                search.next_to_repeat()
            }
        {
            let is_part = |s: &PollSlot| {
                let of_class = !s.is_set_aside() && class(s.block()) == Some(of);
                of_class && span(s.block()).is_some_and(|span| parts.contains(&span))
            };
            let once_more = self.reading.searches.get(&of);
            let once_more = once_more.is_some_and(HoleSearch::failed_otherwise);
            let (two, others): (Vec<PollSlot>, Vec<PollSlot>) = std::mem::take(&mut self.slots)
                .into_iter()
                .partition(is_part);
            self.slots = others;
            let [left, right] = &two[..] else {
                // No other code divides a request that is searched. If the request was divided
                // after all, the search begins anew.
                self.slots.extend(two);
                self.reading.searches.remove(&of);
                return;
            };
            let points = [&left.block().points[..], &right.block().points[..]].concat();
            let whole = ReadBlock::of(&self.profile, points, left.block());
            let whole = PollSlot::new(whole, now, left.origin());
            // The request failed as a whole already.
            let failed = || Failing::new(now, RequestFailure::Silence, None).of_a_part();
            self.slots.push(whole.failing_like(once_more.then(failed)));
        }
    }

    /// Takes over what a search has found, if the search is over.
    fn conclude(&mut self, now: Mono, class: Class) {
        if !self
            .reading
            .searches
            .get(&class)
            .is_some_and(HoleSearch::is_over)
        {
            return;
        }
        let Some(search) = self.reading.searches.remove(&class) else {
            return;
        };
        let device = self.device;
        let otherwise = search.failed_otherwise();
        let mut holes = search.dead(class.0);
        for split in search.split_spans(class.0) {
            if otherwise && !self.answers_as_many(class.0, split.whole) {
                self.limit_to(now, class, split);
            } else {
                holes.insert(split.hole);
            }
        }
        for hole in holes {
            if self.reading.holes.len() < MOST && self.reading.holes.insert(hole) && !otherwise {
                self.reading
                    .findings
                    .push(DeviceFinding::Hole { device, hole });
            }
        }
        self.replan(now);
    }

    /// Returns whether some other request of as many entries does not fail.
    fn answers_as_many(&self, table: Table, entries: u32) -> bool {
        let fine = self.slots.iter().filter(|s| s.failing().is_none());
        let bytes = bytes_for(table, entries);
        fine.into_iter().any(|s| bytes_of(s.block()) >= Some(bytes))
    }

    /// Limits the length of requests: what is answered in two parts and not as a
    /// whole may be too long.
    fn limit_to(&mut self, now: Mono, class: Class, split: SplitSpan) {
        let entries = (split.whole / 2).max(split.part).max(1);
        let bytes = bytes_for(class.0, entries);
        if self
            .reading
            .limit
            .as_ref()
            .is_some_and(|l| l.bytes <= bytes)
        {
            return;
        }
        let how = RequestFailure::Silence;
        let first = self.reading.limit.take();
        let told = first.is_some();
        let mut failing = first.map_or_else(|| Failing::new(now, how, None), |l| l.failing);
        failing.again(now, how, None);
        failing.set_aside();
        self.reading.limit = Some(Limit {
            bytes,
            failing,
            on_trial: false,
        });
        if !told {
            self.reading.findings.push(DeviceFinding::LongRequestsFail {
                device: self.device,
                range: EntryRange::of_span(class.0, (split.start, split.start + split.whole)),
                most: u16::from(bytes) / 2,
            });
        }
    }

    /// Keeps in touch with a device where everything is set aside, by its cheapest request.
    pub(crate) fn ask_for_return(&mut self, now: Mono) {
        let none_is_fine = self.slots.iter().all(PollSlot::is_set_aside);
        let one = self.cheapest().filter(|_| none_is_fine);
        for (i, slot) in self.slots.iter_mut().enumerate() {
            slot.ask_for_return(now, Some(i) == one);
        }
    }

    /// Plans anew, except what is refused or searched; each request is due when the most
    /// urgent of those is whose points it takes over.
    fn replan(&mut self, now: Mono) {
        let searches = &self.reading.searches;
        let asked =
            |slot: &PollSlot| class(slot.block()).is_some_and(|c| searches.contains_key(&c));
        let (kept, replaced): (Vec<PollSlot>, Vec<PollSlot>) = std::mem::take(&mut self.slots)
            .into_iter()
            .partition(|s| s.is_set_aside() || asked(s));
        let set_aside: BTreeSet<u16> = kept.iter().flat_map(|s| s.block().points.clone()).collect();
        let blocks = self
            .reading
            .plan_of(&self.profile, |p| !set_aside.contains(&p));
        let mut due = BTreeMap::new();
        for slot in &replaced {
            for point in &slot.block().points {
                due.insert(*point, (slot.due(), slot.origin()));
            }
        }
        self.slots = kept;
        self.slots.extend(blocks.into_iter().map(|block| {
            let times = block.points.iter().filter_map(|p| due.get(p));
            let (due, origin) = times.min().copied().unwrap_or((now, now));
            PollSlot::new(block, due, origin)
        }));
    }
}

/// Returns the bytes of data in the reply to this many entries of a Modbus table.
fn bytes_for(table: Table, entries: u32) -> u8 {
    let bytes = match table.is_bits() {
        true => entries.div_ceil(8),
        false => entries.saturating_mul(2),
    };
    u8::try_from(bytes).unwrap_or(u8::MAX)
}

/// Returns the bytes of data in the reply to a block of Modbus; `None` in other protocols, whose
/// requests have no limit of length.
fn bytes_of(block: &ReadBlock) -> Option<u8> {
    let range = block.address.entries()?;
    Some(bytes_for(range.table, u32::from(range.count)))
}

/// Returns the class of a block of Modbus; requests of other protocols are not planned together.
fn class(block: &ReadBlock) -> Option<Class> {
    let range = block.address.entries()?;
    Some((range.table, block.interval, block.priority))
}

/// Returns the registers or bits of a block of Modbus, as a hole that is as large.
fn as_hole(block: &ReadBlock) -> Option<Hole> {
    let range = block.address.entries()?;
    let (_, end) = range.span();
    Some(Hole {
        table: range.table,
        first: range.start,
        last: u16::try_from(end - 1).unwrap_or(u16::MAX),
    })
}
