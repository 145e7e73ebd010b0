//! From points to requests: which registers are read together.
//!
//! One pure function. Points of the same table, interval and priority may share a request,
//! also across registers that no point covers, where that is cheaper than asking twice
//! ([`Cost`]). Which points share one is decided so that the sum of the costs is the least
//! possible. A value is never cut. Limits: what the protocol and the kind of device allow in
//! one reply; how long one request may take the line ([`PlanLimits::longest`]); holes, configured
//! or learned, which are not read across. Addresses are computed in 32 bits, so the top of
//! the address space is read like any other.
//!
//! Why the optimum is a cut of the sorted points into runs: the more entries a request spans,
//! the more it costs. Take a point that lies between two others of one request and is in
//! another request. Either its request lies within the first, and joining the two costs
//! nothing, or its request reaches beyond, and then the later of the two points lies within
//! the second request. So some cheapest plan has runs only, and those are found from the end:
//! the cheapest plan from a point on is its best first run and the cheapest plan from behind
//! that run (dynamic programming; Bellman 1957).

pub mod block_address;
pub mod cost;
pub mod forecast;
pub mod holes;
pub(super) mod lengths;
pub mod logout_forecast;
pub mod poll_forecast;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::base::UnitId;
use crate::spec::dlt645::DataItem;
use crate::spec::raw::RawQuestion;
use crate::spec::{
    ItemIndex, PointAddress, PointSpec, Priority, ProfileSpec, Protocol, QuestionIndex, Table,
};

use self::block_address::{BlockAddress, DatumAsked, EntryRange, QuestionAsked, Span};
use self::cost::Cost;
use self::holes::Holes;
use super::modbus::{MAX_BITS, MAX_REGISTERS, ReadRequest};

/// What is read by one request, and the points that it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadBlock {
    /// What is asked for.
    pub address: BlockAddress,
    /// The interval at which the block is read.
    pub interval: Duration,
    /// Which requests the block goes before.
    pub priority: Priority,
    /// Indices into the profile's points, by address.
    pub points: Vec<u16>,
}

impl ReadBlock {
    /// Builds the block of these points, in the table and at the interval of `like`; in other
    /// protocols than Modbus, with the question of `like`.
    #[must_use]
    pub(super) fn of(profile: &ProfileSpec, points: Vec<u16>, like: &ReadBlock) -> ReadBlock {
        let spans = || points.iter().filter_map(|p| span_of(profile, *p));
        let address = match &like.address {
            BlockAddress::Modbus(range) => {
                let from = spans().map(|s| s.0).min().unwrap_or(u32::from(range.start));
                let to = spans().map(|s| s.1).max().unwrap_or(from + 1);
                BlockAddress::Modbus(EntryRange::of_span(range.table, (from, to)))
            }
            asked @ (BlockAddress::Dlt645(_) | BlockAddress::Raw(_)) => asked.clone(),
        };
        ReadBlock {
            address,
            points,
            ..*like
        }
    }

    /// Returns a block of these entries that no point has, to be read once.
    #[must_use]
    pub(super) const fn of_entries(range: EntryRange) -> ReadBlock {
        ReadBlock {
            address: BlockAddress::Modbus(range),
            interval: Duration::ZERO,
            priority: Priority::High,
            points: Vec::new(),
        }
    }

    /// Returns the same block with as many entries as that.
    fn with_count(&self, range: EntryRange, count: u16) -> ReadBlock {
        ReadBlock {
            address: BlockAddress::Modbus(EntryRange { count, ..range }),
            ..self.clone()
        }
    }

    /// Returns the same block without its last entries, smallest first: other requests that
    /// carry whole values and nothing outside this block. Only a block of Modbus can be
    /// shortened.
    pub fn shortened(&self, profile: &ProfileSpec) -> impl Iterator<Item = ReadBlock> {
        let end_of = |point: &u16| span_of(profile, *point).map(|(_, end)| end);
        let counts = |range: EntryRange| (1..range.count).map(move |count| (range, count));
        let shorter = self.address.entries().into_iter().flat_map(counts);
        shorter.filter_map(move |(range, count)| {
            let end = u32::from(range.start) + u32::from(count);
            let fits = |p: &&u16| end_of(p).is_some_and(|of_point| of_point <= end);
            let points: Vec<u16> = self.points.iter().filter(fits).copied().collect();
            let cut = |p: &u16| span_of(profile, *p).is_some_and(|(a, b)| a < end && end < b);
            let whole = !self.points.iter().any(cut);
            whole.then(|| ReadBlock {
                points,
                ..self.with_count(range, count)
            })
        })
    }

    /// Returns the same block and one register more, if that register exists and the device
    /// allows as many.
    #[must_use]
    pub(super) fn lengthened(&self, profile: &ProfileSpec) -> Option<ReadBlock> {
        let range = self.address.entries()?;
        let most = profile.max_registers.clamp(1, MAX_REGISTERS);
        let behind = u32::from(range.start) + u32::from(range.count);
        let may = !range.table.is_bits() && range.count < most && behind <= u32::from(u16::MAX);
        may.then(|| self.with_count(range, range.count + 1))
    }

    /// Returns how many of the block's entries no point of it covers; none in other protocols
    /// than Modbus.
    #[must_use]
    pub fn filler(&self, profile: &ProfileSpec) -> u16 {
        let Some(range) = self.address.entries() else {
            return 0;
        };
        let mut spans: Vec<_> = self
            .points
            .iter()
            .filter_map(|p| span_of(profile, *p))
            .collect();
        spans.sort_unstable();
        let mut reached = u32::from(range.start);
        let mut gaps = 0;
        for (from, to) in spans {
            gaps += from.saturating_sub(reached);
            reached = reached.max(to);
        }
        u16::try_from(gaps).unwrap_or(u16::MAX)
    }
}

/// Returns the first address of a point in its Modbus table and the one after its last.
pub(super) fn span_of(profile: &ProfileSpec, point: u16) -> Option<Span> {
    let p = profile.points.get(usize::from(point))?;
    let start = u32::from(p.address.as_modbus()?.start);
    Some((start, start + u32::from(p.codec.width()).max(1)))
}

/// What a plan has to reckon with, besides the profile.
#[derive(Clone, Copy, Debug)]
pub struct PlanLimits<'a> {
    /// What requests cost.
    pub cost: Cost,
    /// How long a request of several points may take the line, besides what the unit takes to
    /// answer: no division makes that shorter.
    pub longest: Duration,
    /// Learned holes; those of the profile count besides.
    pub holes: &'a Holes,
    /// The most bytes of data that the reply to a request of several points may have, if it
    /// was found that the device does not answer longer requests.
    pub most_bytes: Option<u8>,
}

/// Points by span: first address and the one after the last.
type PointsBySpan = BTreeMap<Span, Vec<u16>>;

/// Points of one span: they are read together or not at all.
#[derive(Debug)]
struct InseparablePoints {
    start: u32,
    end: u32,
    points: Vec<u16>,
}

/// Returns the requests that read every point of the profile, each point exactly once, at the
/// least cost. They are in order of priority, then fastest interval, then table and address.
///
/// A text longer than `max_registers` gets a request of its own: it can be read in one piece
/// or not at all. So does a point that takes longer than [`PlanLimits::longest`], or lies on a
/// hole.
#[must_use]
pub fn plan(profile: &ProfileSpec, limits: &PlanLimits<'_>) -> Vec<ReadBlock> {
    plan_of(profile, limits, |_| true)
}

/// Returns the same for the points that `wanted` names.
#[must_use]
pub(super) fn plan_of(
    profile: &ProfileSpec,
    limits: &PlanLimits<'_>,
    wanted: impl Fn(u16) -> bool,
) -> Vec<ReadBlock> {
    let points = (0u16..).zip(&profile.points).filter(|(i, _)| wanted(*i));
    match &profile.protocol {
        Protocol::Modbus => runs(profile, limits, points),
        Protocol::Dlt645(items) => questions(points, |address| item_of(items, address)),
        Protocol::Raw(all) => questions(points, |address| question_of(all, address)),
    }
}

/// Returns the requests of Modbus: runs of neighbours.
fn runs<'p>(
    profile: &ProfileSpec,
    limits: &PlanLimits<'_>,
    points: impl Iterator<Item = (u16, &'p PointSpec)>,
) -> Vec<ReadBlock> {
    let mut classes: BTreeMap<(Priority, Duration, Table), PointsBySpan> = BTreeMap::new();
    for (point, p) in points {
        let (Some(span), Some(address)) = (span_of(profile, point), p.address.as_modbus()) else {
            continue;
        };
        let class = (p.priority, p.interval, address.table);
        let class = classes.entry(class).or_default();
        class.entry(span).or_default().push(point);
    }
    let mut blocks = Vec::new();
    for ((priority, interval, table), points_by_span) in classes {
        let groups: Vec<InseparablePoints> = points_by_span
            .into_iter()
            .map(|((start, end), points)| InseparablePoints { start, end, points })
            .collect();
        let room = RunPlanner {
            profile,
            limits,
            table,
        };
        for run in room.runs(&groups) {
            let start = run.first().map_or(0, |c| c.start);
            let end = run.iter().map(|c| c.end).max().unwrap_or(start + 1);
            blocks.push(ReadBlock {
                address: BlockAddress::Modbus(EntryRange::of_span(table, (start, end))),
                interval,
                priority,
                points: run.iter().flat_map(|c| c.points.iter().copied()).collect(),
            });
        }
    }
    blocks
}

/// Returns the requests of a protocol without tables. There a request is a question of the
/// protocol, and the points that one question brings belong together; the request has the
/// priority of the first of its points.
/// They are in order of interval, then of the profile's questions.
fn questions<'p, N: Ord>(
    all: impl Iterator<Item = (u16, &'p PointSpec)>,
    asked_by: impl Fn(PointAddress) -> Option<(N, BlockAddress)>,
) -> Vec<ReadBlock> {
    let mut blocks: BTreeMap<(Duration, N), ReadBlock> = BTreeMap::new();
    for (point, p) in all {
        let Some((number, address)) = asked_by(p.address) else {
            continue;
        };
        let block = blocks.entry((p.interval, number)).or_insert(ReadBlock {
            address,
            interval: p.interval,
            priority: p.priority,
            points: Vec::new(),
        });
        block.priority = p.priority.min(block.priority);
        block.points.push(point);
    }
    blocks.into_values().collect()
}

/// Returns the question of DL/T 645 that brings a point.
pub(in crate::field) fn item_of(
    items: &[DataItem],
    address: PointAddress,
) -> Option<(ItemIndex, BlockAddress)> {
    match address {
        PointAddress::Dlt645(datum) => {
            let item = *items.get(datum.item.index())?;
            let asked = DatumAsked::Item(datum.item, item);
            Some((datum.item, BlockAddress::Dlt645(asked)))
        }
        PointAddress::Modbus(_) | PointAddress::Raw(_) => None,
    }
}

/// Returns the question of a protocol without a standard that brings a point.
pub(in crate::field) fn question_of(
    all: &[Arc<RawQuestion>],
    address: PointAddress,
) -> Option<(QuestionIndex, BlockAddress)> {
    match address {
        PointAddress::Raw(index) => {
            let question = Arc::clone(all.get(index.index())?);
            let asked = QuestionAsked { index, question };
            Some((index, BlockAddress::Raw(asked)))
        }
        PointAddress::Modbus(_) | PointAddress::Dlt645(_) => None,
    }
}

/// What a plan costs; the less, the better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct PlanCost {
    time: Duration,
    requests: usize,
    entries: u32,
}

/// What one request to one table may span.
struct RunPlanner<'a> {
    profile: &'a ProfileSpec,
    limits: &'a PlanLimits<'a>,
    table: Table,
}

impl RunPlanner<'_> {
    /// Cuts the cells, by start, into runs at the least cost; of equal costs the cut with
    /// fewer requests is taken, then the cut with fewer entries.
    fn runs<'c>(&self, groups: &'c [InseparablePoints]) -> Vec<&'c [InseparablePoints]> {
        // The cheapest way from each cell on, and the end of its first run.
        let mut best = vec![(PlanCost::default(), groups.len()); groups.len() + 1];
        for from in (0..groups.len()).rev() {
            let start = groups[from].start;
            let bound = self.bound(start);
            let (mut end, mut widest) = (0, 0);
            let mut choice: Option<(PlanCost, usize)> = None;
            for to in from..groups.len() {
                end = end.max(groups[to].end);
                widest = widest.max(groups[to].end - groups[to].start);
                let ask = self.ask(start, end);
                let cost = self.limits.cost.of_request(&ask);
                // A run that spans no more than one of its points adds nothing
                // to what that point needs anyway.
                let own = end - start == widest;
                if !own
                    && (end > bound || self.limits.cost.without_waiting(cost) > self.limits.longest)
                {
                    break;
                }
                if to > from && self.table.is_bits() && ask.echo_looks_like_reply() {
                    continue;
                }
                let rest = best[to + 1].0;
                let price = PlanCost {
                    time: cost + rest.time,
                    requests: 1 + rest.requests,
                    entries: end - start + rest.entries,
                };
                if choice.is_none_or(|(least, _)| price < least) {
                    choice = Some((price, to + 1));
                }
            }
            // The first step always gives a choice: a cell by itself.
            best[from] = choice.unwrap_or((PlanCost::default(), from + 1));
        }
        let mut runs = Vec::new();
        let mut from = 0;
        while from < groups.len() {
            let to = best[from].1.max(from + 1);
            runs.push(&groups[from..to]);
            from = to;
        }
        runs
    }

    /// Returns the end that a request of several points, from this address on, may not
    /// exceed.
    fn bound(&self, start: u32) -> u32 {
        let (most, in_a_byte) = match self.table.is_bits() {
            true => (MAX_BITS, (8, 1)),
            false => (self.profile.max_registers.clamp(1, MAX_REGISTERS), (1, 2)),
        };
        let learned = self
            .limits
            .most_bytes
            .map(|bytes| u32::from(bytes) * in_a_byte.0 / in_a_byte.1);
        let most = learned.map_or(u32::from(most), |l| l.clamp(1, u32::from(most)));
        if self.limits.holes.len() >= crate::field::plan::holes::MOST {
            return start;
        }
        let learned = self.limits.holes.iter().filter(|h| h.table == self.table);
        // A request may not cover all of a learned hole …
        let learned = learned
            .filter(|h| start <= u32::from(h.first))
            .map(|h| u32::from(h.last));
        // … nor any part of a configured hole.
        let configured = self
            .profile
            .reads
            .holes
            .iter()
            .filter(|h| h.table == self.table);
        let configured = configured
            .filter(|h| start <= u32::from(h.last))
            .map(|h| u32::from(h.first));
        learned.chain(configured).fold(start + most, u32::min)
    }

    fn ask(&self, start: u32, end: u32) -> ReadRequest {
        EntryRange::of_span(self.table, (start, end)).ask(UnitId(0))
    }
}

#[cfg(test)]
mod tests;
