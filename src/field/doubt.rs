//! Which replies of a unit may still be on their way, and what may therefore
//! not be believed.
//!
//! An RTU reply carries no address and no number: after a timeout, a late reply
//! looks exactly like the reply to the next request of the same shape
//! (function and length). Waiting helps only as long as one waits, so waiting
//! is not what we rest on. The rule is: **a value is accepted only from a reply
//! that no abandoned request could have caused.** Two facts end the doubt:
//!
//! 1. a unit answers in order, so once it has answered a request whose reply is
//!    unmistakable, nothing older can come. Such a request is one of another
//!    shape, or, where the unit's own requests are all of one shape, a *fence*:
//!    a read of one entry with a function that is not in doubt. The unit may
//!    answer it or refuse it, an exception names the function;
//! 2. a unit that is silent to fences, against the standard, has one reply
//!    thrown away and is left alone for twenty response timeouts, in which
//!    whatever it still owes has come: a gap is better than a wrong value. What
//!    is left of the risk: such a unit that answers later than that. How late
//!    its last reply was is no bound for the next, so that is not measured.
//!
//! In addition the unit sits out one more response timeout after each miss, so
//! that a straggler has left the line before anyone is waiting for its like;
//! the line goes on with the others, whose replies carry another unit id.
//! Modbus TCP needs none of this: replies carry the number of their request.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::base::Mono;

use super::modbus::Shape;

/// How many response timeouts a unit is left alone that offers nothing
/// unmistakable.
const SETTLING: u32 = 20;

/// The doubts about one unit.
#[derive(Clone, Debug, Default)]
pub struct Doubt {
    /// Shapes that were asked for and not answered.
    abandoned: BTreeSet<Shape>,
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
        self.abandoned.contains(&shape)
    }

    /// Whether an exception to this function could be an older request's.
    #[must_use]
    pub fn covers_function(&self, function: u8) -> bool {
        self.abandoned.iter().any(|s| s.function == function)
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

    /// A request of this shape got no reply.
    pub fn missed(&mut self, now: Mono, shape: Shape, timeout: Duration) {
        self.abandoned.insert(shape);
        self.until = Some(now + timeout);
        self.settling = false;
    }

    /// A reply came that could only be the reply to the last request.
    pub fn resolved(&mut self) {
        *self = Doubt::default();
    }

    /// A reply came that may have been an older request's; the last request's
    /// own reply may then be on its way still.
    pub fn ambiguous(&mut self, shape: Shape) {
        self.abandoned.insert(shape);
    }

    /// A reply was thrown away, and the unit has no other shape to offer: it is
    /// left alone until a further reply would have come.
    pub fn settle(&mut self, now: Mono, timeout: Duration) {
        self.until = Some(now + timeout.saturating_mul(SETTLING));
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
        d.missed(ms(500), SHAPE, TIMEOUT);
        assert_eq!(d.sits_out_until(ms(600)), Some(ms(1000)));
        d.at(ms(1_000_000));
        assert_eq!(d.sits_out_until(ms(1_000_000)), None);
        assert!(d.covers(SHAPE) && !d.covers(OTHER));
    }

    #[test]
    fn an_unmistakable_reply_ends_it() {
        let mut d = Doubt::default();
        d.missed(ms(500), SHAPE, TIMEOUT);
        d.resolved();
        assert!(d.is_clear() && d.sits_out_until(ms(501)).is_none());
    }

    #[test]
    fn settling_ends_it_after_twenty_timeouts() {
        let mut d = Doubt::default();
        d.missed(ms(500), SHAPE, TIMEOUT);
        d.settle(ms(1100), TIMEOUT);
        d.at(ms(11_099));
        assert!(d.covers(SHAPE));
        d.at(ms(11_100));
        assert!(d.is_clear());
    }

    #[test]
    fn a_miss_while_settling_starts_over() {
        let mut d = Doubt::default();
        d.missed(ms(500), SHAPE, TIMEOUT);
        d.settle(ms(600), TIMEOUT);
        d.missed(ms(1600), SHAPE, TIMEOUT);
        d.at(ms(30_000));
        assert!(d.covers(SHAPE));
    }
}
