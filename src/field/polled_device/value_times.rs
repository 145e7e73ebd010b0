//! When the next value of each point comes in its turn: a request that is repeated to find a
//! fault brings no values more often than was configured.

use crate::base::Mono;
use crate::spec::{PointSpec, ProfileSpec};

/// The times of the values of one device.
#[derive(Clone, Debug)]
pub(super) struct ValueTimes {
    /// By point: a value may be as early as its predecessor was late, and no more values are
    /// taken.
    next: Vec<Mono>,
}

impl ValueTimes {
    /// Returns the state in which a value of every point is wanted.
    pub(super) fn new(profile: &ProfileSpec, now: Mono) -> Self {
        ValueTimes {
            next: vec![now; profile.points.len()],
        }
    }

    /// Wants a value of every point anew.
    pub(super) fn restart(&mut self, now: Mono) {
        self.next.fill(now);
    }

    /// Returns those of these points whose next value is not out of turn if it comes then.
    pub(super) fn wanted(&self, profile: &ProfileSpec, points: &[u16], comes: Mono) -> Vec<u16> {
        let in_turn = |p: &&u16| {
            let point = profile.points.get(usize::from(**p));
            let next = self.next.get(usize::from(**p));
            let early = |(point, next): (&PointSpec, &Mono)| comes + point.interval < *next;
            !point.zip(next).is_some_and(early)
        };
        points.iter().filter(in_turn).copied().collect()
    }

    /// Notes that values of these points were taken.
    pub(super) fn took(&mut self, profile: &ProfileSpec, points: &[u16], now: Mono) {
        for p in points {
            let point = profile.points.get(usize::from(*p));
            let next = self.next.get_mut(usize::from(*p));
            if let Some((point, next)) = point.zip(next) {
                *next = now.max(*next) + point.interval;
            }
        }
    }
}
