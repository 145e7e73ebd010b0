//! Which replies of a unit may still be on their way, and what may therefore
//! not be believed.
//!
//! An RTU reply carries no address and no number: after a timeout, a late reply
//! looks exactly like the reply to the next request of the same shape
//! (function and length). Waiting helps only as long as one waits, so waiting
//! is not what we rest on. The rule is: **a value is accepted only from a reply
//! that no abandoned request could have caused.** Two facts end the doubt:
//!
//! 1. a unit answers in order, so once it has answered a request of another
//!    shape, nothing older can come;
//! 2. where a unit has only one shape to offer, one reply is thrown away and
//!    the unit is left alone until a second one would have come. How long is
//!    measured by how late the unit may be, within limits. What is left of the
//!    risk: a unit that answers later than that.
//!
//! In addition the unit sits out one more response timeout after each miss, so
//! that a straggler has left the line before anyone is waiting for its like;
//! the line goes on with the others, whose replies carry another unit id.
//! Modbus TCP needs none of this: replies carry the number of their request.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::Mono;

use super::modbus::Shape;

/// How many response timeouts a lone shape is left alone at most.
const LONGEST_SETTLING: u32 = 4;

/// The doubts about one unit.
#[derive(Clone, Debug, Default)]
pub struct Doubt {
    /// Shapes that were asked for and not answered, and when first.
    abandoned: BTreeMap<Shape, Mono>,
    /// The unit is left alone until then.
    until: Option<Mono>,
    /// Whether the doubt ends with that.
    settling: bool,
}

impl Doubt {
    /// When the unit may be asked again; `None`: at any time.
    #[must_use]
    pub fn sits_out_until(&self, now: Mono) -> Option<Mono> {
        self.until.filter(|until| *until > now)
    }

    /// Whether a reply of this shape could be an older request's.
    #[must_use]
    pub fn covers(&self, shape: Shape) -> bool {
        self.abandoned.contains_key(&shape)
    }

    /// Whether there is nothing to doubt.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.abandoned.is_empty()
    }

    /// Time passes; call before asking anything.
    pub fn at(&mut self, now: Mono) {
        if self.until.is_some_and(|until| now >= until) {
            self.until = None;
            if std::mem::take(&mut self.settling) {
                self.abandoned.clear();
            }
        }
    }

    /// A request of this shape, asked at `asked`, got no reply.
    pub fn missed(&mut self, now: Mono, shape: Shape, asked: Mono, timeout: Duration) {
        self.abandoned.entry(shape).or_insert(asked);
        self.until = Some(now + timeout);
        self.settling = false;
    }

    /// A reply came that could only be the reply to the last request.
    pub fn resolved(&mut self) {
        *self = Doubt::default();
    }

    /// A reply came that may have been an older request's; the last request's
    /// own reply may then be on its way still.
    pub fn ambiguous(&mut self, shape: Shape, asked: Mono) {
        self.abandoned.entry(shape).or_insert(asked);
    }

    /// A reply was thrown away, and the unit has no other shape to offer: it is
    /// left alone until a further reply would have come.
    pub fn settle(&mut self, now: Mono, timeout: Duration) {
        let lateness = self
            .abandoned
            .values()
            .min()
            .map_or(timeout, |oldest| now.since(*oldest));
        let longest = timeout.saturating_mul(LONGEST_SETTLING);
        self.until = Some(now + lateness.clamp(timeout, longest));
        self.settling = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        function: 3,
        bytes: 4,
    };
    const OTHER: Shape = Shape {
        function: 3,
        bytes: 2,
    };
    const TIMEOUT: Duration = Duration::from_millis(500);

    fn ms(n: u64) -> Mono {
        Mono::from_micros(n * 1000)
    }

    #[test]
    fn waiting_alone_does_not_end_the_doubt() {
        let mut d = Doubt::default();
        d.missed(ms(500), SHAPE, ms(0), TIMEOUT);
        assert_eq!(d.sits_out_until(ms(600)), Some(ms(1000)));
        d.at(ms(1_000_000));
        assert_eq!(d.sits_out_until(ms(1_000_000)), None);
        assert!(d.covers(SHAPE) && !d.covers(OTHER));
    }

    #[test]
    fn an_unmistakable_reply_ends_it() {
        let mut d = Doubt::default();
        d.missed(ms(500), SHAPE, ms(0), TIMEOUT);
        d.resolved();
        assert!(d.is_clear() && d.sits_out_until(ms(501)).is_none());
    }

    #[test]
    fn settling_ends_it_after_as_long_as_the_unit_may_be_late() {
        for (answered, until) in [(600, 1200), (1200, 2400), (60_000, 62_000)] {
            let mut d = Doubt::default();
            d.missed(ms(500), SHAPE, ms(0), TIMEOUT);
            d.settle(ms(answered), TIMEOUT);
            d.at(ms(until - 1));
            assert!(d.covers(SHAPE));
            d.at(ms(until));
            assert!(d.is_clear());
        }
    }

    #[test]
    fn a_miss_while_settling_starts_over() {
        let mut d = Doubt::default();
        d.missed(ms(500), SHAPE, ms(0), TIMEOUT);
        d.settle(ms(600), TIMEOUT);
        d.missed(ms(1600), SHAPE, ms(1100), TIMEOUT);
        d.at(ms(9000));
        assert!(d.covers(SHAPE));
    }
}
