//! Numbers that a scale and an offset make of a whole number, outside of registers.

use super::NotEncoded;
use super::number;
use crate::base::Value;
use crate::field::decode::number::Exact;
use crate::spec::{Decimal, NumberType};

/// How a whole number becomes a value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scaled {
    /// The type of the value.
    of: NumberType,
    scale: Decimal,
    offset: Decimal,
    /// How many digits of the whole number stand behind a point that is not written.
    places: u8,
}

impl Scaled {
    /// Returns the way to a value of this type, by this scale and offset.
    pub(super) const fn new(of: NumberType, scale: Decimal, offset: Decimal) -> Self {
        Scaled {
            of,
            scale,
            offset,
            places: 0,
        }
    }

    /// Returns the same for a number with so many digits behind a point that is not written.
    pub(super) const fn with_places(self, places: u8) -> Self {
        Scaled { places, ..self }
    }

    /// Returns the number that is scaled: the value without offset and scale.
    pub(super) fn unscaled(self, value: &Value) -> Result<Exact, NotEncoded> {
        let size = number::number(self.of, value)?.less(self.offset);
        size.over(self.scale).ok_or(NotEncoded::NoNumber)
    }

    /// Returns the whole number whose value is nearest, within these limits.
    pub(super) fn whole(
        self,
        value: &Value,
        (least, most): (i128, i128),
    ) -> Result<i128, NotEncoded> {
        let size = number::number(self.of, value)?.less(self.offset);
        let unit = Exact::from(self.scale).shifted(-(self.places as i8));
        let fits = |n: &i128| (least..=most).contains(n);
        size.nearest(unit).filter(fits).ok_or_else(|| {
            let at = |digits| unit.times(Decimal { digits, places: 0 }).moved(self.offset);
            number::shown_limits(at(least), at(most))
        })
    }
}
