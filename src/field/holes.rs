//! Addresses that a device does not let itself be read across, and how they are
//! found.
//!
//! Reading across registers that nobody wants is cheaper than asking twice, but
//! some devices refuse a request that touches a register they do not have. Which
//! ones is found by halving: a refused request of several points is replaced by
//! its two halves, and so on, until what is left is a single point that is
//! refused alone, or two parts that are granted apart and refused together. The
//! halves that are granted bring their values meanwhile.
//!
//! Contract: `Inquiry::refused` and `Inquiry::answered` for each end of a
//! request of the class under inquiry; when it `Inquiry::is_over`,
//! `Inquiry::holes` is what has been learned.
//!
//! Invariants: each inquiry finds at least one hole that lies in the request it
//! began with, so a plan that heeds the holes never repeats that request; a
//! single culprit among n points costs at most log2 n + 1 refused requests,
//! rounded up.

use std::collections::{BTreeMap, BTreeSet};

use crate::spec::{ProfileSpec, Table};

use super::plan::{ReadBlock, span_of};

/// A request that covers all of these addresses is refused, unless it is for a
/// single point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hole {
    /// In which table.
    pub table: Table,
    /// The first address.
    pub first: u16,
    /// The last one; not before the first.
    pub last: u16,
}

/// Learned holes of one kind of device.
pub type Holes = BTreeSet<Hole>;

/// No kind of device has more, or it is not read across anything at all.
pub const MOST: usize = 256;

/// A read of several entries that was refused: this address is not there, or
/// (as some devices say it) this many cannot be read (Modbus Application
/// Protocol V1.1b3 §7, codes 02 and 03).
#[must_use]
pub const fn speaks_of_addresses(code: u8) -> bool {
    matches!(code, 2 | 3)
}

/// First address and the one after the last.
type Span = (u32, u32);

/// The search for the holes in one refused request.
#[derive(Clone, Debug, Default)]
pub(super) struct Inquiry {
    /// Asked for, or about to be.
    open: BTreeSet<Span>,
    /// Refused, with the halves that took their place.
    halved: BTreeMap<Span, (Span, Span)>,
    /// Refused although they are for a single point.
    dead: BTreeSet<Span>,
}

/// What takes the place of a refused request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Instead {
    /// Two requests.
    Halves(ReadBlock, ReadBlock),
    /// The points that are refused by themselves, and a request for the others,
    /// if any.
    Dead(ReadBlock, Option<ReadBlock>),
}

impl Inquiry {
    /// This request was refused.
    pub(super) fn refused(&mut self, block: &ReadBlock, profile: &ProfileSpec) -> Instead {
        let whole = span(block);
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
            self.open.extend(others.as_ref().map(span));
            return Instead::Dead(part(alone), others);
        }
        // Points of the same registers stay together.
        let mut places: Vec<Span> = block
            .points
            .iter()
            .filter_map(|p| span_of(profile, *p))
            .collect();
        places.sort_unstable();
        places.dedup();
        let middle = places.get(places.len() / 2).copied().unwrap_or(whole);
        let (left, right): (Vec<u16>, Vec<u16>) = block
            .points
            .iter()
            .partition(|p| span_of(profile, **p).is_some_and(|s| s < middle));
        let (left, right) = (part(left), part(right));
        self.halved.insert(whole, (span(&left), span(&right)));
        self.open.extend([span(&left), span(&right)]);
        Instead::Halves(left, right)
    }

    /// This request was granted.
    pub(super) fn answered(&mut self, block: &ReadBlock) {
        self.open.remove(&span(block));
    }

    /// Whether nothing is left to ask.
    pub(super) fn is_over(&self) -> bool {
        self.open.is_empty()
    }

    /// What it has found.
    pub(super) fn holes(&self, table: Table) -> Holes {
        let granted = |s: &Span| !self.halved.contains_key(s) && !self.dead.contains(s);
        let between = self
            .halved
            .values()
            .filter(|(l, r)| granted(l) && granted(r));
        // Granted apart, refused together: it is what lies between, or the step
        // from one to the other.
        let between = between.map(|(l, r)| {
            let (before, after) = (l.1 - 1, r.0);
            (before.min(after), before.max(after))
        });
        let dead = self.dead.iter().map(|(from, to)| (*from, to - 1));
        between
            .chain(dead)
            .map(|(first, last)| Hole {
                table,
                first: u16::try_from(first).unwrap_or(u16::MAX),
                last: u16::try_from(last).unwrap_or(u16::MAX),
            })
            .collect()
    }
}

fn span(block: &ReadBlock) -> Span {
    let start = u32::from(block.start);
    (start, start + u32::from(block.count).max(1))
}

#[cfg(test)]
mod tests;
