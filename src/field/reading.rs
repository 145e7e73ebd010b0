//! What is known about reading one device, and how its requests follow from it.
//!
//! Three things change a plan while it runs: a refused request is divided until
//! the addresses at fault are known ([`super::holes`]), a point that is refused
//! alone is set aside and tried rarely, and a unit that turns out to be quicker
//! or slower than was reckoned with is asked in other portions. Requests that
//! replace others take over their place on the grid, so nothing is read later
//! for it.
//!
//! Invariants:
//! - Every point belongs to exactly one slot, at all times.
//! - A device all of whose points are refused is still asked for one of them, at
//!   its interval: a refusal is proof of life.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::base::{DeviceId, Mono};
use crate::spec::{DeviceSpec, PortSpec, Priority, ProfileSpec, Table};

use super::cost::{Cost, Measured};
use super::dlt645::ask::ErrorWord;
use super::holes::{Hole, Holes, Inquiry, Instead, MOST, span};
use super::job::Job;
use super::plan::{ReadBlock, Terms, plan_of};
use super::slot::Slot;
use super::station::Station;

/// A plan is made anew when the unit takes this many times more or less than was
/// reckoned with …
const OFF_BY: u32 = 2;

/// … and at least this much.
const OFF_BY_AT_LEAST: Duration = Duration::from_millis(2);

/// Something that was found out about a device, or rather about its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It cannot be read across these addresses.
    Hole {
        /// Who showed it.
        device: DeviceId,
        /// Where.
        hole: Hole,
    },
    /// What was taken for a hole can be read after all.
    HoleGone {
        /// Who showed it.
        device: DeviceId,
        /// Where.
        hole: Hole,
    },
    /// Points that are refused even when they are asked for alone. Told once.
    PointsRefused {
        /// Whose.
        device: DeviceId,
        /// Indices into its profile's points.
        points: Vec<u16>,
        /// Where they are.
        at: Hole,
        /// The exception's code.
        code: u8,
    },
    /// A meter does not have a datum. Told once.
    DatumRefused {
        /// Whose.
        device: DeviceId,
        /// Indices into its profile's points.
        points: Vec<u16>,
        /// What it said.
        word: ErrorWord,
    },
    /// Its replies come twice. Told once.
    RepliesTwice {
        /// Whose.
        device: DeviceId,
    },
    /// Replies of it that nobody waited for do not end. Told now and then.
    OthersAsk {
        /// Whose.
        device: DeviceId,
    },
    /// They are read again.
    PointsBack {
        /// Whose.
        device: DeviceId,
        /// Indices into its profile's points.
        points: Vec<u16>,
    },
}

/// Requests that may be planned together.
type Class = (Table, Duration, Priority);

/// What is known about reading one device.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    cost: Cost,
    longest: Duration,
    measured: Measured,
    holes: Holes,
    inquiries: BTreeMap<Class, Inquiry>,
    /// Waiting to be told.
    pub(super) findings: Vec<Finding>,
}

impl Reading {
    pub(super) fn new(line: &PortSpec, device: &DeviceSpec) -> Self {
        Reading {
            cost: Cost::of(&line.line, device),
            longest: line.budget.longest_request,
            measured: Measured::default(),
            holes: Holes::new(),
            inquiries: BTreeMap::new(),
            findings: Vec::new(),
        }
    }

    /// How long the reply to this takes to arrive, once it has begun.
    pub(super) fn reply_takes(&self, profile: &ProfileSpec, block: &ReadBlock) -> Duration {
        self.cost.of_reply_to(profile, block)
    }

    /// How long this takes the line.
    pub(super) fn takes(&self, profile: &ProfileSpec, block: &ReadBlock) -> Duration {
        self.cost.of_block(profile, block)
    }

    pub(super) fn plan(&self, profile: &ProfileSpec) -> Vec<ReadBlock> {
        self.plan_of(profile, |_| true)
    }

    /// The holes that lie in `place`.
    fn holes_in(&self, place: &Hole) -> Holes {
        let from = Hole { last: 0, ..*place };
        let to = Hole {
            first: place.last,
            last: place.last,
            ..*place
        };
        let near = self.holes.range(from..=to);
        near.filter(|h| h.last <= place.last).copied().collect()
    }

    fn plan_of(&self, profile: &ProfileSpec, wanted: impl Fn(u16) -> bool) -> Vec<ReadBlock> {
        let terms = Terms {
            cost: self.cost,
            longest: self.longest,
            holes: &self.holes,
        };
        plan_of(profile, &terms, wanted)
    }
}

impl Station {
    /// The unit took this long for that.
    pub(super) fn measured(&mut self, now: Mono, job: &Job, gap: Duration) {
        let reading = &mut self.reading;
        let cost = &reading.cost;
        let gap = cost.without_line_behind(&self.profile, &job.ask, gap);
        self.timeout.measured(now, gap);
        reading.measured.note(reading.cost.turnaround_seen(gap));
        let Some(mean) = reading.measured.mean() else {
            return;
        };
        let reckoned = reading.cost.turnaround();
        let off = mean > reckoned * OFF_BY || mean * OFF_BY < reckoned;
        if off && mean.abs_diff(reckoned) >= OFF_BY_AT_LEAST {
            reading.cost = reading.cost.with_turnaround(mean);
            self.replan(now);
        }
    }

    /// These holes are known.
    pub(super) fn know(&mut self, now: Mono, holes: &Holes) {
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
        let classes: Vec<Class> = self.reading.inquiries.keys().copied().collect();
        for class in classes {
            if let Some(inquiry) = self.reading.inquiries.get_mut(&class) {
                inquiry.told(class.0, &self.reading.holes);
                self.conclude(now, class);
            }
        }
    }

    /// This is no hole, unless it is one of this device's own.
    pub(super) fn forget(&mut self, now: Mono, hole: &Hole) {
        let own = self
            .slots
            .iter()
            .any(|s| s.refused > 0 && place(&s.block) == *hole);
        if !own && self.reading.holes.remove(hole) {
            self.replan(now);
        }
    }

    /// Refused points are asked for once more, now.
    pub(super) fn try_refused(&mut self, now: Mono) {
        for slot in self.slots.iter_mut().filter(|s| s.refused > 0) {
            slot.due = now;
        }
    }

    /// The unit may have become another: refused points are asked for once more,
    /// soon, but not again and again.
    pub(super) fn hasten_refused(&mut self, now: Mono) {
        for slot in &mut self.slots {
            slot.hasten(now);
        }
    }

    /// The whole request of this slot was refused, for where it reads.
    pub(super) fn refused(&mut self, now: Mono, slot: usize, code: u8) {
        let Some(asked) = self.slots.get_mut(slot) else {
            return;
        };
        if asked.refused > 0 {
            asked.refuse(now);
            self.stay_in_touch(now);
            return;
        }
        let block = asked.block.clone();
        let class = class(&block);
        let inquiry = self.reading.inquiries.entry(class).or_default();
        let old = self.slots.remove(slot);
        // The parts are owed at once: the round is not over yet.
        let part = |block: ReadBlock| Slot::new(block, now, old.origin);
        match inquiry.refused(&block, &self.profile) {
            Instead::Halves(left, right) => {
                let (left, right) = (part(left), part(right));
                self.slots.extend([left, right]);
            }
            Instead::Dead(alone, others) => {
                self.reading.findings.push(Finding::PointsRefused {
                    device: self.device,
                    points: alone.points.clone(),
                    at: place(&alone),
                    code,
                });
                let others = others.map(part);
                let mut alone = part(alone);
                alone.refuse(now);
                self.slots.push(alone);
                self.slots.extend(others);
            }
        }
        self.conclude(now, class);
        self.stay_in_touch(now);
    }

    /// A meter says that it has no such datum: asked rarely from now on.
    pub(super) fn declined(&mut self, now: Mono, slot: usize, word: ErrorWord) {
        let Some(asked) = self.slots.get_mut(slot) else {
            return;
        };
        asked.refuse(now);
        if asked.refused == 1 {
            self.reading.findings.push(Finding::DatumRefused {
                device: self.device,
                points: asked.block.points.clone(),
                word,
            });
        }
        self.stay_in_touch(now);
    }

    /// The whole request of this slot was granted.
    pub(super) fn granted(&mut self, now: Mono, slot: usize) {
        let Some(asked) = self.slots.get_mut(slot) else {
            return;
        };
        let (device, class) = (self.device, class(&asked.block));
        let place = place(&asked.block);
        let was_refused = std::mem::take(&mut asked.refused) > 0;
        if was_refused {
            let points = asked.block.points.clone();
            let findings = &mut self.reading.findings;
            findings.push(Finding::PointsBack { device, points });
        } else if let Some(inquiry) = self.reading.inquiries.get_mut(&class) {
            inquiry.answered(&asked.block);
            self.repeat(now, class);
            self.conclude(now, class);
        }
        // What was read across, or alone, is none.
        let gone = self.reading.holes_in(&place);
        for hole in &gone {
            self.reading.holes.remove(hole);
            let hole = *hole;
            self.reading
                .findings
                .push(Finding::HoleGone { device, hole });
        }
        if was_refused || !gone.is_empty() {
            self.replan(now);
        }
        if was_refused {
            // What it refused for the state it was in, it grants now.
            self.hasten_refused(now);
        }
    }

    /// Asks at once for what is to be asked together once more, instead of its
    /// parts.
    fn repeat(&mut self, now: Mono, of: Class) {
        while let Some(inquiry) = self.reading.inquiries.get_mut(&of)
            && let Some(parts) = {
                inquiry.told(of.0, &self.reading.holes);
                inquiry.next_to_repeat()
            }
        {
            let is_part = |s: &Slot| {
                s.refused == 0 && class(&s.block) == of && parts.contains(&span(&s.block))
            };
            let (two, others): (Vec<Slot>, Vec<Slot>) = std::mem::take(&mut self.slots)
                .into_iter()
                .partition(is_part);
            self.slots = others;
            let [left, right] = &two[..] else {
                // Nobody divides what is under inquiry; if so, it begins anew.
                self.slots.extend(two);
                self.reading.inquiries.remove(&of);
                return;
            };
            let points = [&left.block.points[..], &right.block.points[..]].concat();
            let whole = ReadBlock::of(&self.profile, points, &left.block);
            self.slots.push(Slot::new(whole, now, left.origin));
        }
    }

    /// Takes over what an inquiry has found, if it is over.
    fn conclude(&mut self, now: Mono, class: Class) {
        if !self
            .reading
            .inquiries
            .get(&class)
            .is_some_and(Inquiry::is_over)
        {
            return;
        }
        let Some(inquiry) = self.reading.inquiries.remove(&class) else {
            return;
        };
        let device = self.device;
        for hole in inquiry.holes(class.0) {
            if self.reading.holes.len() < MOST && self.reading.holes.insert(hole) {
                self.reading.findings.push(Finding::Hole { device, hole });
            }
        }
        self.replan(now);
    }

    /// Where everything is refused, the cheapest request keeps its interval.
    fn stay_in_touch(&mut self, now: Mono) {
        if self.slots.iter().all(|s| s.refused > 0)
            && let Some(slot) = self.attempt().and_then(|i| self.slots.get_mut(i))
        {
            slot.serve(now);
        }
    }

    /// Plans anew, but for what is refused or under inquiry; each request takes
    /// the most urgent place of those whose points it takes over.
    fn replan(&mut self, now: Mono) {
        let asked = |slot: &Slot| self.reading.inquiries.contains_key(&class(&slot.block));
        let (kept, replaced): (Vec<Slot>, Vec<Slot>) = std::mem::take(&mut self.slots)
            .into_iter()
            .partition(|s| s.refused > 0 || asked(s));
        let set_aside: BTreeSet<u16> = kept.iter().flat_map(|s| s.block.points.clone()).collect();
        let blocks = self
            .reading
            .plan_of(&self.profile, |p| !set_aside.contains(&p));
        let mut place = BTreeMap::new();
        for slot in &replaced {
            for point in &slot.block.points {
                place.insert(*point, (slot.due, slot.origin));
            }
        }
        self.slots = kept;
        self.slots.extend(blocks.into_iter().map(|block| {
            let places = block.points.iter().filter_map(|p| place.get(p));
            let (due, origin) = places.min().copied().unwrap_or((now, now));
            Slot::new(block, due, origin)
        }));
    }
}

fn class(block: &ReadBlock) -> Class {
    (block.table, block.interval, block.priority)
}

/// Where a block is.
fn place(block: &ReadBlock) -> Hole {
    let last = u32::from(block.start) + u32::from(block.count).max(1) - 1;
    Hole {
        table: block.table,
        first: block.start,
        last: u16::try_from(last).unwrap_or(u16::MAX),
    }
}
