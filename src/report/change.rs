//! Whether a value is news beside the one reported last.

use crate::base::Value;
use crate::spec::{Deadband, ReportWhen};

/// Returns whether `value` is to be reported although `last` was.
///
/// A number is beyond a deadband if its distance is larger than that, as in OPC UA Part 4 (v1.05
/// §7.22.2, AbsoluteDeadband: |last cached value − current value| > deadband). What binary
/// fractions add to a decimal distance does not count: from 0.3 to 0.4 is not more than 0.1.
pub(super) fn is_news(when: ReportWhen, last: &Value, value: &Value) -> bool {
    let deadband = match when {
        ReportWhen::All => return true,
        ReportWhen::Change => return last != value,
        ReportWhen::Deadband(deadband) => deadband,
    };
    let (Some(a), Some(b)) = (number(last), number(value)) else {
        return last != value;
    };
    let (distance, error) = match (whole(last), whole(value)) {
        // Counters of 64 bits are subtracted as what they are.
        (Some(a), Some(b)) => (a.abs_diff(b) as f64, 0.0),
        // Each of the two is off by half a step of its last bit at the most.
        _ => ((a - b).abs(), f64::EPSILON * a.abs().max(b.abs())),
    };
    let band = match deadband {
        Deadband::Absolute(by) => by,
        Deadband::Percent(by) => a.abs() * (by / 100.0),
    };
    distance > band * (1.0 + 4.0 * f64::EPSILON) + error
}

/// Returns a whole number.
pub(super) const fn whole(value: &Value) -> Option<i128> {
    match value {
        Value::Int(n) => Some(*n as i128),
        Value::UInt(n) => Some(*n as i128),
        Value::Float(_) | Value::Bool(_) | Value::Text(_) => None,
    }
}

/// Returns a number as a double.
pub(super) const fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(n) => Some(*n as f64),
        Value::UInt(n) => Some(*n as f64),
        Value::Float(x) => Some(*x),
        Value::Bool(_) | Value::Text(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn absolute(by: f64) -> ReportWhen {
        ReportWhen::Deadband(Deadband::Absolute(by))
    }

    const fn percent(by: f64) -> ReportWhen {
        ReportWhen::Deadband(Deadband::Percent(by))
    }

    #[test]
    fn a_deadband_is_the_distance_that_is_not_reported() {
        use Value::{Float, Int, UInt};
        for (when, last, value, news) in [
            (absolute(0.1), Float(0.3), Float(0.4), false),
            (absolute(0.1), Float(0.2), Float(0.3), false),
            (absolute(0.1), Float(0.3), Float(0.401), true),
            (absolute(0.5), Float(229.6), Float(230.1), false),
            (absolute(0.5), Float(230.1), Float(229.5), true),
            (absolute(1.0), Int(-1), Int(0), false),
            (absolute(1.0), Int(-1), Int(1), true),
            (absolute(1.0), UInt(u64::MAX - 2), UInt(u64::MAX), true),
            (absolute(2.0), UInt(u64::MAX - 2), UInt(u64::MAX), false),
            (absolute(1.0), Float(-1e308), Float(1e308), true),
            (percent(2.0), Float(230.0), Float(234.6), false),
            (percent(2.0), Float(230.0), Float(234.7), true),
            (percent(2.0), Float(-230.0), Float(-234.7), true),
            (percent(2.0), Int(100), Int(102), false),
            (percent(2.0), Int(100), Int(103), true),
            // Two percent of nothing is nothing.
            (percent(2.0), Float(0.0), Float(1e-300), true),
            (percent(2.0), Float(0.0), Float(0.0), false),
        ] {
            assert_eq!(is_news(when, &last, &value), news, "{last:?} {value:?}");
        }
    }

    #[test]
    fn every_other_value_is_a_change() {
        let text = |text: &str| Value::Text(text.into());
        for (last, value, news) in [
            (Value::Float(0.1), Value::Float(0.1), false),
            (Value::Float(0.1), Value::Float(0.1 + 1e-16), true),
            (Value::UInt(u64::MAX), Value::UInt(u64::MAX - 1), true),
            (Value::Bool(true), Value::Bool(false), true),
            (text("a"), text("a"), false),
            (text("a"), text("b"), true),
        ] {
            assert_eq!(is_news(ReportWhen::Change, &last, &value), news);
            assert!(is_news(ReportWhen::All, &last, &value));
        }
    }
}
