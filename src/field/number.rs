//! Numbers as protocols write them, on their way to a value; and why there may be
//! none.
//!
//! Decimal arithmetic that rounds once, at the end, or not at all.

use std::cmp::Ordering;
use std::fmt;

use crate::base::Value;
use crate::spec::Decimal;

/// Why a reply gave no value for a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// The registers hold IEEE 754's "not a number".
    NotANumber,
    /// They hold an infinity, or scaling left the range of numbers.
    Infinite,
    /// They hold bytes that are no text, or no number where one is written.
    NotText,
    /// They hold a digit above 9.
    NotDecimal,
    /// They hold what the configuration lists as `invalid:`.
    Marked,
    /// The register with the power of ten says that there is no value, or a
    /// power beyond −10 to 10.
    NoPower,
    /// The value is below `min:` or above `max:`.
    OutOfRange,
    /// The number is none of those under `values:`.
    UnknownState,
    /// The data have more or fewer bytes than the value.
    Length,
    /// They hold a date or a time that is none.
    NoSuchTime,
    /// The reply ends before the value, or what stands in front of it is not
    /// there.
    NotThere,
    /// The reply does not cover the point, or is of the other kind. Never the
    /// device's fault.
    NotCovered,
}

impl Refusal {
    /// In a few words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Refusal::NotANumber => "not a number",
            Refusal::Infinite => "infinite",
            Refusal::NotText => "not text",
            Refusal::NotDecimal => "a digit above 9 in a BCD number",
            Refusal::Marked => "marked as invalid",
            Refusal::NoPower => "no scale factor",
            Refusal::OutOfRange => "out of range (min, max)",
            Refusal::UnknownState => "a number that is not under values",
            Refusal::Length => "of another length",
            Refusal::NoSuchTime => "no date or time",
            Refusal::NotThere => "not in the reply",
            Refusal::NotCovered => "not covered by the reply",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// A number on its way to its value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::field) enum Exact {
    /// `digits × 10^-places`.
    Decimal {
        /// With sign.
        digits: i128,
        /// How many of them stand after the point.
        places: u32,
    },
    /// What came as a float, or left 38 digits and so what a float could tell
    /// apart.
    Float(f64),
}

impl Exact {
    pub(in crate::field) const fn whole(n: i128) -> Self {
        Exact::Decimal {
            digits: n,
            places: 0,
        }
    }

    const fn from(d: Decimal) -> Self {
        let d = reduced(d);
        Exact::Decimal {
            digits: d.digits as i128,
            places: d.places as u32,
        }
    }

    /// Times this.
    pub(in crate::field) fn times(self, factor: Decimal) -> Self {
        let factor = reduced(factor);
        if factor == Decimal::ONE {
            return self;
        }
        if let Exact::Decimal { digits, places } = self
            && let Some(digits) = digits.checked_mul(i128::from(factor.digits))
        {
            return Exact::Decimal {
                digits,
                places: places + u32::from(factor.places),
            };
        }
        // One rounding each: up to 22 places the divisor is exact.
        Exact::Float(self.to_float() * factor.digits as f64 / 10f64.powi(i32::from(factor.places)))
    }

    /// Times ten to this power.
    pub(in crate::field) fn shifted(self, power: i8) -> Self {
        let by = u32::from(power.unsigned_abs());
        match self {
            _ if power == 0 => self,
            Exact::Decimal { digits, places } if power < 0 => Exact::Decimal {
                digits,
                places: places + by,
            },
            Exact::Decimal { digits, places } => {
                let kept = places.min(by);
                match 10i128
                    .checked_pow(by - kept)
                    .and_then(|ten| digits.checked_mul(ten))
                {
                    Some(digits) => Exact::Decimal {
                        digits,
                        places: places - kept,
                    },
                    None => Exact::Float(self.to_float() * 10f64.powi(i32::from(power))),
                }
            }
            Exact::Float(x) if power < 0 => Exact::Float(x / 10f64.powi(-i32::from(power))),
            Exact::Float(x) => Exact::Float(x * 10f64.powi(i32::from(power))),
        }
    }

    /// Plus this.
    pub(in crate::field) fn plus(self, other: Exact) -> Self {
        match self.aligned(other) {
            Some((a, b, places)) => match a.checked_add(b) {
                Some(digits) => Exact::Decimal { digits, places },
                None => Exact::Float(self.to_float() + other.to_float()),
            },
            None => Exact::Float(self.to_float() + other.to_float()),
        }
    }

    /// Plus a fixed number.
    pub(in crate::field) fn moved(self, offset: Decimal) -> Self {
        match reduced(offset) {
            Decimal::ZERO => self,
            _ => self.plus(Exact::from(offset)),
        }
    }

    /// To this many places after the point.
    pub(in crate::field) fn rounded(self, to: u8) -> Self {
        match self {
            Exact::Decimal { digits, places } if places > u32::from(to) => {
                let off = places - u32::from(to);
                // More than 38 places off, nothing is left.
                let rounded = 10i128.checked_pow(off).map_or(0, |ten| {
                    let (kept, rest) = (digits / ten, digits % ten);
                    match rest.unsigned_abs() * 2 >= ten.unsigned_abs() {
                        true => kept + digits.signum(),
                        false => kept,
                    }
                });
                Exact::Decimal {
                    digits: rounded,
                    places: u32::from(to),
                }
            }
            Exact::Decimal { .. } => self,
            // As people write it: 1.005 is a half, whatever its bits say. What
            // has no place for that is whole already, or nothing.
            Exact::Float(x) => written(x).map_or(self, |decimal| decimal.rounded(to)),
        }
    }

    /// How it stands to a fixed number; `None` if it is none itself.
    pub(in crate::field) fn compared(self, to: Decimal) -> Option<Ordering> {
        let to = Exact::from(to);
        match self.aligned(to) {
            Some((a, b, _)) => Some(a.cmp(&b)),
            None => self.to_float().partial_cmp(&to.to_float()),
        }
    }

    /// As a value: whole if it has no places, signed if asked for or needed.
    ///
    /// # Errors
    /// If it is not a finite number.
    pub(in crate::field) fn value(self, signed: bool) -> Result<Value, Refusal> {
        if let Exact::Decimal { digits, places: 0 } = self {
            let int = i64::try_from(digits).map(Value::Int);
            let uint = u64::try_from(digits).map(Value::UInt);
            let whole = if signed { int.or(uint) } else { uint.or(int) };
            if let Ok(value) = whole {
                return Ok(value);
            }
        }
        let x = self.to_float();
        match (x.is_nan(), x.is_finite()) {
            (true, _) => Err(Refusal::NotANumber),
            (_, false) => Err(Refusal::Infinite),
            (_, true) => Ok(Value::Float(x)),
        }
    }

    fn to_float(self) -> f64 {
        match self {
            Exact::Float(x) => x,
            // The standard library reads decimals to the nearest float; that
            // is exactly what is wanted, so let it.
            Exact::Decimal { digits, places } => {
                format!("{digits}e-{places}").parse().unwrap_or(f64::NAN)
            }
        }
    }

    /// The digits of both at the larger number of places.
    fn aligned(self, other: Exact) -> Option<(i128, i128, u32)> {
        let (
            Exact::Decimal {
                digits: a,
                places: p,
            },
            Exact::Decimal {
                digits: b,
                places: q,
            },
        ) = (self, other)
        else {
            return None;
        };
        let places = p.max(q);
        let at = |digits: i128, has: u32| {
            let ten = 10i128.checked_pow(places - has)?;
            digits.checked_mul(ten)
        };
        Some((at(a, p)?, at(b, q)?, places))
    }
}

/// The shortest decimal that stands for this float and no other, if it has not
/// too many digits.
fn written(x: f64) -> Option<Exact> {
    let text = x.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction = fraction.get(..36).unwrap_or(fraction);
    Some(Exact::Decimal {
        digits: format!("{whole}{fraction}").parse().ok()?,
        places: u32::try_from(fraction.len()).ok()?,
    })
}

/// Without trailing zeros: 1.0 is 1.
const fn reduced(mut d: Decimal) -> Decimal {
    while d.places > 0 && d.digits % 10 == 0 {
        d.digits /= 10;
        d.places -= 1;
    }
    d
}
