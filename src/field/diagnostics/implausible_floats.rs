//! Notices floats that cannot be what a device measures, in most of its points: a profile that
//! does not fit the device.
//!
//! A float that is put together in the wrong order, or out of registers that hold something
//! else, is a number all the same, as a rule a tiny or a huge one: the bits that are its
//! exponent are then any bits. A single has 8 bits of exponent, for 10⁻⁴⁵ to 10³⁸; of numbers
//! with random exponents about half are beyond 10⁻²⁰ to 10²⁰, and of numbers with few digits,
//! like 230.5, nearly all. No quantity in its own unit that a field device measures is
//! beyond these limits, except 0.
//!
//! One such point may be right: the rest of a filter that fades out, a difference that
//! rounding makes. So it takes most of the points of the device, and at least two. A device
//! with a single float must show more: several different readings, all implausible, that are all
//! ordinary in one other order.
//!
//! The values are not held back: that such a number is no measured value is likely and not
//! certain. What is certain is written as `min:` and `max:`.

use std::collections::BTreeMap;

use crate::base::DeviceId;
use crate::field::decode::float::FloatBytes;
use crate::spec::raw::part::Endianness;

/// The least and the greatest size of a number that may be a measured value.
const PLAUSIBLE: (f64, f64) = (1e-20, 1e20);

/// Sizes of most measured values in their own units. Of numbers with random exponents one in six
/// is within these limits.
const ORDINARY: (f64, f64) = (1e-4, 1e8);

/// How many of the last readings of a point count: the bits of its histories.
const WINDOW: u8 = 8;

/// How many readings of a point say something about it.
const READINGS: u8 = 3;

/// A point is implausible if one of so many of its readings is. Random exponents make every
/// second one so, and the right profile none.
const IMPLAUSIBLE_SHARE: u8 = 3;

/// How many different readings of the only float of a device say something about it.
const LEAST_DIFFERENT: u8 = 3;

const ORDERS: [Endianness; 4] = [
    Endianness::High,
    Endianness::WordsLow,
    Endianness::BytesLow,
    Endianness::Low,
];

/// The floats of the devices of one line.
#[derive(Clone, Debug, Default)]
pub struct ImplausibleFloats {
    devices: BTreeMap<DeviceId, Floats>,
}

/// A change in what is thought of the floats of a device.
#[derive(Clone, Debug, PartialEq)]
pub enum FloatsJudgement {
    /// They are implausible throughout.
    Implausible(Implausible),
    /// They are plausible; `again`: after they had been implausible.
    Plausible {
        /// Whether they had been implausible.
        again: bool,
    },
}

/// Floats that are implausible throughout.
#[derive(Clone, Debug, PartialEq)]
pub struct Implausible {
    /// The points, by their indices in the profile.
    pub points: Vec<ImplausiblePoint>,
    /// The order in which the first of them is read.
    pub order: Endianness,
    /// The order in which all of them would be plausible, if there is one.
    pub other: Option<Endianness>,
}

/// A point whose values are implausible.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImplausiblePoint {
    /// The index of the point in the profile.
    pub point: u16,
    /// Its last implausible value as it stands in the registers, before any scaling.
    pub seen: f64,
    /// The same in the other order, if there is one.
    pub otherwise: Option<f64>,
}

#[derive(Clone, Debug, Default)]
struct Floats {
    points: BTreeMap<u16, Point>,
    /// Whether the floats are implausible; `None`: not known yet.
    are_implausible: Option<bool>,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    last: FloatBytes,
    /// The last that was implausible.
    odd: FloatBytes,
    order: Endianness,
    /// How many readings are in the histories, at most [`WINDOW`].
    readings: u8,
    /// How often a reading differed from the one before.
    different: u8,
    /// In each of [`ORDERS`], the last reading in the lowest bit.
    histories: [History; 4],
}

/// A bit for each of the last readings.
#[derive(Clone, Copy, Debug, Default)]
struct History {
    implausible: u8,
    ordinary: u8,
}

impl ImplausibleFloats {
    /// Notes a float that came.
    pub fn note(&mut self, device: DeviceId, point: u16, float: FloatBytes, order: Endianness) {
        let value = float.read(order);
        // These are no values, and reported as such.
        if !value.is_finite() {
            return;
        }
        let points = &mut self.devices.entry(device).or_default().points;
        // A zero is a zero in any order, and says something only against what was read before.
        if value == 0.0 && !points.contains_key(&point) {
            return;
        }
        let entry = points.entry(point).or_insert(Point {
            last: float,
            odd: float,
            order,
            readings: 0,
            different: 1,
            histories: [History::default(); 4],
        });
        entry.note(float, order);
    }

    /// Returns what is thought of the floats of this device, if that has changed; `floats`: how
    /// many of its points are floats.
    pub fn judge(&mut self, device: DeviceId, floats: usize) -> Option<FloatsJudgement> {
        let of = self.devices.get_mut(&device)?;
        let known: Vec<(u16, &Point)> = of
            .points
            .iter()
            .filter(|(_, p)| p.readings >= READINGS)
            .map(|(index, p)| (*index, p))
            .collect();
        if known.is_empty() {
            return None;
        }
        let bad: Vec<(u16, &Point)> = known
            .iter()
            .filter(|(_, p)| p.is_implausible())
            .copied()
            .collect();
        let other = other_order(&bad);
        let are_implausible = match (floats, bad.as_slice()) {
            (1, [(_, only)]) => other.is_some_and(|to| only.is_ordinary_in(to)),
            (1, _) => false,
            (_, bad) => bad.len() >= 2 && bad.len() * 2 > known.len(),
        };
        let before = of.are_implausible;
        if before == Some(true) {
            // Random exponents are sometimes in range: it is over when not one is beyond it.
            let is_over = known.iter().all(|(_, p)| p.own().implausible == 0);
            if !is_over {
                return None;
            }
        } else if !are_implausible {
            of.are_implausible = Some(false);
            return before
                .is_none()
                .then_some(FloatsJudgement::Plausible { again: false });
        } else {
            let (_, first) = bad.first()?;
            let order = first.order;
            let points = bad.iter().map(|(index, p)| ImplausiblePoint {
                point: *index,
                seen: p.odd.read(p.order),
                otherwise: other.map(|to| p.odd.read(to)),
            });
            let points = points.collect();
            of.are_implausible = Some(true);
            return Some(FloatsJudgement::Implausible(Implausible {
                points,
                order,
                other,
            }));
        }
        of.are_implausible = Some(false);
        Some(FloatsJudgement::Plausible { again: true })
    }
}

impl Point {
    fn note(&mut self, float: FloatBytes, order: Endianness) {
        if float != self.last {
            self.different = self.different.saturating_add(1);
        }
        (self.last, self.order) = (float, order);
        self.readings = (self.readings + 1).min(WINDOW);
        for (of, history) in ORDERS.into_iter().zip(&mut self.histories) {
            let value = float.read(of);
            let size = value.abs();
            let within = |(least, most): (f64, f64)| (least..=most).contains(&size);
            let implausible = value != 0.0 && !within(PLAUSIBLE);
            if implausible && of == order {
                self.odd = float;
            }
            history.implausible = history.implausible << 1 | u8::from(implausible);
            history.ordinary = history.ordinary << 1 | u8::from(within(ORDINARY));
        }
    }

    fn history(&self, order: Endianness) -> History {
        let all = ORDERS.into_iter().zip(&self.histories);
        let mut found = all.filter(|(of, _)| *of == order).map(|(_, h)| *h);
        found.next().unwrap_or_default()
    }

    fn own(&self) -> History {
        self.history(self.order)
    }

    fn is_implausible(&self) -> bool {
        let times = self.own().implausible.count_ones();
        times * u32::from(IMPLAUSIBLE_SHARE) >= u32::from(self.readings)
    }

    /// Returns whether all of several different readings were implausible as they were read, and
    /// would have been ordinary in this order.
    fn is_ordinary_in(&self, order: Endianness) -> bool {
        let all = |bits: u8| bits.count_ones() == u32::from(self.readings);
        self.different >= LEAST_DIFFERENT
            && all(self.own().implausible)
            && all(self.history(order).ordinary)
    }
}

/// Returns the order in which all readings of these points would have been plausible; of several,
/// the one in which most of them would have been ordinary.
fn other_order(points: &[(u16, &Point)]) -> Option<Endianness> {
    let fits = |order: &Endianness| {
        points
            .iter()
            .all(|(_, p)| p.order != *order && p.history(*order).implausible == 0)
    };
    let ordinary = |order: &Endianness| -> u32 {
        let bits = |p: &Point| p.history(*order).ordinary.count_ones();
        points.iter().map(|(_, p)| bits(p)).sum()
    };
    let all = ORDERS.into_iter().filter(fits);
    // Of equals the first: swapped words are the most usual.
    all.rev().max_by_key(ordinary)
}

#[cfg(test)]
mod tests;
