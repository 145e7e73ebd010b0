//! One point whose readings are reported as they were read.

use std::time::Duration;

use super::change::is_news;
use super::released_values::ReleasedValues;
use crate::base::{Mono, Now, Value};
use crate::spec::ReadingPolicy;

/// What is known of a point whose readings are reported, or not, one by one.
#[derive(Clone, Debug)]
pub(super) struct ReadingState {
    /// The value reported last, and when.
    reported: Option<(Value, Mono)>,
    /// The newest reading, if it is not reported. A value that is the one reported last is not
    /// kept, unless it is to be reported.
    withheld: Option<(Value, Now)>,
    /// When the newest reading is to be reported: something was news, and came too soon.
    /// [`NEVER`] if nothing waits.
    due: Mono,
    /// Whether the next reading is reported whatever it is, and at once.
    anew: bool,
    /// Whether the registers held no value since the last reading.
    uncertain: bool,
}

/// No time.
pub(super) const NEVER: Mono = Mono::from_micros(u64::MAX);

impl ReadingState {
    /// Returns the state of a point that was not read yet.
    pub(super) const fn new() -> Self {
        ReadingState {
            reported: None,
            withheld: None,
            due: NEVER,
            anew: true,
            uncertain: false,
        }
    }

    /// Returns when the point has something to report by itself.
    pub(super) fn due(&self) -> Option<Mono> {
        (self.due != NEVER).then_some(self.due)
    }

    /// Takes in a reading of a point that is read so often.
    pub(super) fn on_reading(
        &mut self,
        policy: &ReadingPolicy,
        interval: Duration,
        value: Value,
        at: Now,
    ) -> ReleasedValues {
        let superseded = u64::from(self.withheld.take().is_some());
        let (news, early) = match &self.reported {
            Some((last, since)) if !self.anew => {
                let age = at.mono.since(*since);
                // Of the readings around the longest interval, the one nearest to it is
                // reported: polls are not made to the millisecond.
                let is_old = |longest| age + interval / 2 >= longest;
                let news = self.due != NEVER
                    || self.uncertain
                    || policy.max_interval.is_some_and(is_old)
                    || is_news(policy.when, last, &value);
                (news, age < policy.min_interval)
            }
            _ => (true, false),
        };
        if news && !early {
            self.reported = Some((value.clone(), at.mono));
            self.due = NEVER;
            self.anew = false;
            self.uncertain = false;
            return ReleasedValues::reading(value, at).and_given_up(superseded);
        }
        let same = self
            .reported
            .as_ref()
            .is_some_and(|(last, _)| *last == value);
        if news || !same {
            self.withheld = Some((value, at));
        }
        if news {
            // What waits is reported as news by then.
            self.uncertain = false;
            self.wait(policy);
        }
        let dropped = u64::from(self.withheld.is_none());
        ReleasedValues::default().and_given_up(superseded + dropped)
    }

    /// Takes note that the registers held no value. The newest reading is the last one before
    /// that, and goes out as soon as it may; the next one shows that there is a value again.
    pub(super) fn on_no_value(&mut self, now: Mono, policy: &ReadingPolicy) -> ReleasedValues {
        self.uncertain = true;
        if self.withheld.is_none() {
            return ReleasedValues::default();
        }
        self.wait(policy);
        self.on_time(now)
    }

    /// Reports what is due.
    pub(super) fn on_time(&mut self, now: Mono) -> ReleasedValues {
        match self.due <= now {
            true => self.release(now),
            false => ReleasedValues::default(),
        }
    }

    /// Reports the newest reading now, if it is not reported.
    pub(super) fn release(&mut self, now: Mono) -> ReleasedValues {
        self.due = NEVER;
        let Some((value, at)) = self.withheld.take() else {
            return ReleasedValues::default();
        };
        self.reported = Some((value.clone(), now));
        ReleasedValues::reading(value, at)
    }

    /// Lets the next reading be reported whatever it is.
    pub(super) const fn report_next(&mut self) {
        self.anew = true;
    }

    /// Returns when the point reported last.
    pub(super) fn reported_at(&self) -> Option<Mono> {
        self.reported.as_ref().map(|(_, at)| *at)
    }

    /// Returns whether a reading is kept that is not reported.
    #[cfg(test)]
    pub(super) const fn is_withheld(&self) -> bool {
        self.withheld.is_some()
    }

    /// Lets what is withheld wait for the end of the shortest interval.
    fn wait(&mut self, policy: &ReadingPolicy) {
        if self.due == NEVER {
            let since = self.reported_at().unwrap_or_default();
            self.due = since + policy.min_interval;
        }
    }
}
