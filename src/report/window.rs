//! One point that reports one value for each window of time.

use std::time::Duration;

use super::change::{number, whole};
use super::released_values::ReleasedValues;
use crate::base::{Mono, Now, Value};
use crate::spec::WindowValue;

/// What is known of a point that reports a value for each window.
///
/// A window begins with a reading. If readings follow each other, windows do too, without a gap
/// or an overlap.
#[derive(Clone, Debug)]
pub(super) struct WindowState {
    /// The readings of the open window; `None` if none came since the last one was closed.
    open: Option<OpenWindow>,
    /// When the open window ends, or the last one ended.
    end: Mono,
    /// When the point reported last.
    reported: Option<Mono>,
    /// Whether the next reading is reported by itself, at once.
    anew: bool,
}

/// The readings of a window.
#[derive(Clone, Debug)]
struct OpenWindow {
    count: u32,
    of: Total,
    /// The time of the last reading.
    last: Now,
}

/// What the readings of a window come to.
#[derive(Clone, Debug)]
enum Total {
    /// One of the readings.
    Reading(Value, Now),
    /// The sum of whole numbers, and whether one of them was signed.
    Whole(i128, bool),
    /// The mean of other numbers: a sum of them might not be finite.
    Mean(f64),
}

impl Total {
    fn new(value: Value, at: Now, kind: WindowValue) -> Self {
        match (kind, whole(&value), number(&value)) {
            (WindowValue::Mean, Some(n), _) => Total::Whole(n, matches!(value, Value::Int(_))),
            (WindowValue::Mean, None, Some(x)) => Total::Mean(x),
            _ => Total::Reading(value, at),
        }
    }

    /// Adds the reading that makes them so many.
    fn add(&mut self, value: Value, at: Now, kind: WindowValue, count: u32) {
        match self {
            Total::Whole(sum, signed) => match whole(&value) {
                Some(n) => {
                    *sum += n;
                    *signed |= matches!(value, Value::Int(_));
                }
                // The type of a point's values does not change.
                None => *self = Total::new(value, at, kind),
            },
            Total::Mean(mean) => {
                let (n, x) = (f64::from(count), number(&value).unwrap_or(*mean));
                *mean += x / n - *mean / n;
            }
            Total::Reading(best, of) => {
                let is_better = match kind {
                    WindowValue::Min => is_below(&value, best),
                    WindowValue::Max => is_below(best, &value),
                    WindowValue::Mean | WindowValue::Last => true,
                };
                if is_better {
                    (*best, *of) = (value, at);
                }
            }
        }
    }
}

fn is_below(a: &Value, b: &Value) -> bool {
    match (a, b, whole(a), whole(b)) {
        (Value::Bool(a), Value::Bool(b), ..) => a < b,
        (_, _, Some(a), Some(b)) => a < b,
        _ => number(a) < number(b),
    }
}

impl OpenWindow {
    /// Returns the value of the window, and its time.
    fn value(self, round: Option<u8>) -> (Value, Now) {
        match self.of {
            Total::Reading(value, at) => (value, at),
            Total::Whole(sum, signed) => {
                let twice = i128::from(self.count) * 2;
                let half = i128::from(self.count) * sum.signum();
                let mean = (sum * 2 + half) / twice;
                let int = i64::try_from(mean).map(Value::Int);
                let uint = u64::try_from(mean).map(Value::UInt);
                let value = if signed { int.or(uint) } else { uint.or(int) };
                // The mean lies between two of the readings, so one of the two holds it.
                (value.unwrap_or(Value::Int(0)), self.last)
            }
            Total::Mean(mean) => {
                // A double has 15 decimal digits for certain (IEEE 754-2008, binary64); those
                // behind them are the errors of the sum.
                let text = match round {
                    Some(places) => format!("{mean:.*}", usize::from(places)),
                    None => format!("{mean:.14e}"),
                };
                // The largest double would be rounded up to infinity.
                let rounded = text.parse().ok().filter(|x: &f64| x.is_finite());
                (Value::Float(rounded.unwrap_or(mean)), self.last)
            }
        }
    }
}

impl WindowState {
    /// Returns the state of a point that was not read yet.
    pub(super) const fn new() -> Self {
        WindowState {
            open: None,
            end: Mono::START,
            reported: None,
            anew: true,
        }
    }

    /// Returns when the open window ends.
    pub(super) fn due(&self) -> Option<Mono> {
        self.open.as_ref().map(|_| self.end)
    }

    /// Takes in a reading. `round` is the number of places of a mean, if it is given.
    pub(super) fn on_reading(
        &mut self,
        (length, kind): (Duration, WindowValue),
        round: Option<u8>,
        value: Value,
        at: Now,
    ) -> ReleasedValues {
        let handed = match at.mono >= self.end {
            true => self.close(at.mono, round),
            false => ReleasedValues::default(),
        };
        if std::mem::take(&mut self.anew) {
            if self.open.is_none() {
                self.end = at.mono;
            }
            self.reported = Some(at.mono);
            return handed.and_reading(value, at);
        }
        match &mut self.open {
            Some(open) => {
                open.count = open.count.saturating_add(1);
                open.of.add(value, at, kind, open.count);
                open.last = at;
            }
            None => {
                let next = self.end + length;
                self.end = match at.mono < next {
                    true => next,
                    false => at.mono + length,
                };
                self.open = Some(OpenWindow {
                    count: 1,
                    of: Total::new(value, at, kind),
                    last: at,
                });
            }
        }
        handed
    }

    /// Closes the window if it is over.
    pub(super) fn on_time(&mut self, now: Mono, round: Option<u8>) -> ReleasedValues {
        match self.due().is_some_and(|end| end <= now) {
            true => self.close(now, round),
            false => ReleasedValues::default(),
        }
    }

    /// Closes the window with what it has; the next one begins now, or with a later reading.
    pub(super) fn release(&mut self, now: Mono, round: Option<u8>) -> ReleasedValues {
        let handed = self.close(now, round);
        self.end = self.end.min(now);
        handed
    }

    /// Lets the next reading be reported by itself.
    pub(super) const fn report_next(&mut self) {
        self.anew = true;
    }

    /// Returns when the point reported last.
    pub(super) const fn reported_at(&self) -> Option<Mono> {
        self.reported
    }

    fn close(&mut self, now: Mono, round: Option<u8>) -> ReleasedValues {
        let Some(open) = self.open.take() else {
            return ReleasedValues::default();
        };
        self.reported = Some(now);
        let count = open.count;
        let (value, at) = open.value(round);
        ReleasedValues::window(value, at, count)
    }
}
