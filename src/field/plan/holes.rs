//! Addresses that a device refuses to have read together with others, and how they are found.
//!
//! Reading across registers that no point covers is cheaper than asking twice, but some
//! devices refuse a request that touches a register they do not have. The registers at fault
//! are found by halving. A refused request of several points is replaced by its two halves,
//! and so on, until what is left is a single point that is refused alone, or two parts that
//! are granted apart and refused together. The halves that are granted bring their values
//! meanwhile.
//!
//! A unit that is starting up, or a PLC whose program is stopped, also refuses addresses that
//! it has. So one refusal of two parts that are granted apart shows nothing: the two parts
//! are asked for together once more, and only if that request is refused as well is there a
//! hole between them. It is as good if another device of the kind has shown the same hole
//! meanwhile. A unit that granted nothing at all meanwhile has not shown which addresses it
//! lacks; no hole is learned from that unit.
//!
//! Contract: `HoleSearch::refused` and `HoleSearch::answered` for each end of a request of the
//! class that is searched. After `answered` the parts of `HoleSearch::next_to_repeat` are asked for
//! together instead of apart. When the search `HoleSearch::is_over`, `HoleSearch::split_spans` and
//! `HoleSearch::dead` are what has been learned.
//! Invariants: a search at the end of which a request is still refused finds at
//! least one hole in it, unless all of it is refused, so a plan that heeds the
//! holes never repeats that request; a single culprit among n points costs at most
//! log2 n + 1 refused requests, rounded up.

use std::collections::{BTreeMap, BTreeSet};

use crate::spec::{ProfileSpec, Table};

use crate::field::plan::block_address::Span;
use crate::field::plan::{ReadBlock, span_of};

/// A request that covers all of these addresses is refused, unless it is for a single point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hole {
    /// In which table.
    pub table: Table,
    /// The first address.
    pub first: u16,
    /// The last address; not before the first.
    pub last: u16,
}

/// Learned holes of one kind of device.
pub type Holes = BTreeSet<Hole>;

/// The most holes of one kind of device; a kind with more is not read across anything at all.
pub const MOST: usize = 256;

/// Returns whether this code refuses a read of several entries for its addresses: the address is
/// not there, or (as some devices use it) this many entries cannot be read (Modbus Application
/// Protocol V1.1b3 §7, codes 02 and 03).
#[must_use]
pub const fn speaks_of_addresses(code: u8) -> bool {
    matches!(code, 2 | 3)
}

/// The search for the holes in one refused request.
#[derive(Clone, Debug, Default)]
pub(crate) struct HoleSearch {
    /// Requests that are asked for, or about to be.
    open: BTreeSet<Span>,
    /// Refused requests, with the halves that are asked instead.
    halved: BTreeMap<Span, Halved>,
    /// Spans that are refused although the request is for a single point.
    dead: BTreeSet<Span>,
    /// Whether anything was granted.
    granted: bool,
    /// Whether something in the search failed in another way than by an exception that
    /// speaks of addresses: by silence, say. Then a span that is granted apart and not
    /// together may be too long, and what is found is not kept for the next run.
    failed_otherwise: bool,
}

/// A span that was granted in two parts and failed as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SplitSpan {
    /// What lies between the two parts, or the step from one to the other.
    pub(crate) hole: Hole,
    /// The first address of the whole.
    pub(crate) start: u32,
    /// How many entries the whole span has.
    pub(crate) whole: u32,
    /// How many entries the longer part has.
    pub(crate) part: u32,
}

#[derive(Clone, Copy, Debug)]
struct Halved {
    left: Span,
    right: Span,
    /// Whether the whole was refused once more after both parts had been granted.
    again: bool,
}

impl Halved {
    /// Returns the hole of two parts that are granted apart and refused together: what lies
    /// between them, or the step from one part to the other.
    fn between(&self, table: Table) -> Hole {
        let (before, after) = (self.left.1 - 1, self.right.0);
        hole(table, before.min(after), before.max(after))
    }
}

/// What is asked instead of a refused request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Replacement {
    /// Two requests.
    Halves(ReadBlock, ReadBlock),
    /// The points that are refused by themselves, and a request for the others, if any.
    Dead(ReadBlock, Option<ReadBlock>),
}

impl HoleSearch {
    /// Notes that this request was refused.
    pub(crate) fn refused(&mut self, block: &ReadBlock, profile: &ProfileSpec) -> Replacement {
        // Only Modbus has addresses side by side.
        let Some(whole) = span(block) else {
            return Replacement::Dead(block.clone(), None);
        };
        self.open.remove(&whole);
        let part = |points: Vec<u16>| ReadBlock::of(profile, points, block);
        let (alone, others): (Vec<u16>, Vec<u16>) = block
            .points
            .iter()
            .partition(|p| span_of(profile, **p) == Some(whole));
        if !alone.is_empty() || block.points.len() < 2 {
            self.dead.insert(whole);
            let alone = if alone.is_empty() {
                block.points.clone()
            } else {
                alone
            };
            let others = (!others.is_empty()).then(|| part(others));
            self.open.extend(others.as_ref().and_then(span));
            return Replacement::Dead(part(alone), others);
        }
        // Points of the same registers stay together.
        let mut spans: Vec<Span> = block
            .points
            .iter()
            .filter_map(|p| span_of(profile, *p))
            .collect();
        spans.sort_unstable();
        spans.dedup();
        let middle = spans.get(spans.len() / 2).copied().unwrap_or(whole);
        let (left, right): (Vec<u16>, Vec<u16>) = block
            .points
            .iter()
            .partition(|p| span_of(profile, **p).is_some_and(|s| s < middle));
        let (left, right) = (part(left), part(right));
        let halved = Halved {
            left: span(&left).unwrap_or(whole),
            right: span(&right).unwrap_or(whole),
            again: self.halved.contains_key(&whole),
        };
        self.halved.insert(whole, halved);
        if !halved.again {
            self.open.extend([halved.left, halved.right]);
        }
        Replacement::Halves(left, right)
    }

    /// Notes that this request was granted.
    pub(crate) fn answered(&mut self, block: &ReadBlock) {
        let Some(whole) = span(block) else {
            return;
        };
        self.granted = true;
        self.open.remove(&whole);
        // If this request was refused before, the refusal was not for its addresses.
        self.halved.remove(&whole);
    }

    /// Returns two parts that were granted apart and refused together once, and are to be
    /// asked for together again; to be called until `None`.
    pub(crate) fn next_to_repeat(&mut self) -> Option<[Span; 2]> {
        let doubtful = |(whole, h): &(&Span, &Halved)| {
            !h.again && !self.open.contains(whole) && self.parts_granted(h)
        };
        let (whole, halved) = self.halved.iter().find(doubtful)?;
        let (whole, parts) = (*whole, [halved.left, halved.right]);
        self.open.insert(whole);
        Some(parts)
    }

    /// Takes known holes: refusals that they explain need no further requests.
    pub(crate) fn told(&mut self, table: Table, holes: &Holes) {
        for (whole, halved) in &mut self.halved {
            let parts = [halved.left, halved.right];
            let asked = parts.iter().any(|s| self.open.contains(s));
            if !asked && holes.contains(&halved.between(table)) {
                halved.again = true;
                self.open.remove(whole);
            }
        }
    }

    fn parts_granted(&self, of: &Halved) -> bool {
        let granted = |s: &Span| {
            !self.open.contains(s) && !self.halved.contains_key(s) && !self.dead.contains(s)
        };
        granted(&of.left) && granted(&of.right)
    }

    /// Returns whether no request of the search is left to make.
    pub(crate) fn is_over(&self) -> bool {
        self.open.is_empty()
    }

    /// Notes that something in the search fails in another way than by an exception that
    /// speaks of addresses.
    pub(crate) const fn fails_otherwise(&mut self) {
        self.failed_otherwise = true;
    }

    /// Returns whether something in the search failed in that way.
    pub(crate) const fn failed_otherwise(&self) -> bool {
        self.failed_otherwise
    }

    /// Returns the spans that were granted in two parts and failed as a whole.
    pub(crate) fn split_spans(&self, table: Table) -> Vec<SplitSpan> {
        let granted = self.halved.iter().filter(|(_, h)| self.parts_granted(h));
        let length = |span: &Span| span.1 - span.0;
        let split = |(whole, h): (&Span, &Halved)| SplitSpan {
            hole: h.between(table),
            start: whole.0,
            whole: length(whole),
            part: length(&h.left).max(length(&h.right)),
        };
        granted.map(split).collect()
    }

    /// Returns the spans that failed by themselves while other parts were granted.
    pub(crate) fn dead(&self, table: Table) -> Holes {
        let dead = self.dead.iter().filter(|_| self.granted);
        dead.map(|(from, to)| hole(table, *from, to - 1)).collect()
    }
}

fn hole(table: Table, first: u32, last: u32) -> Hole {
    let address = |a| u16::try_from(a).unwrap_or(u16::MAX);
    Hole {
        table,
        first: address(first),
        last: address(last),
    }
}

/// Returns where a block is in its Modbus table.
pub(crate) fn span(block: &ReadBlock) -> Option<Span> {
    Some(block.address.entries()?.span())
}

#[cfg(test)]
mod tests;
