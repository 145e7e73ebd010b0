//! Which probes one device answers: requests outside the plan, made for a reply that no
//! abandoned request could have caused.
//!
//! Some units are silent to requests for what they do not have, against the standard. Such a
//! probe is a miss that shows nothing, so it is not made again for a while.

use std::time::Duration;

use crate::base::Mono;

use crate::field::transaction::request::{Outcome, Probe};

/// How long a unit that was silent to a probe counts as silent to requests for what it does
/// not have.
const SILENT_TO_PROBES: Duration = Duration::from_secs(600);

/// What became of the probes that were made of one device.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProbeHistory {
    /// When a probe of any kind last got no reply.
    missed: Option<Mono>,
    /// Probes of another table.
    other_table: Kind,
    /// Requests for one register more than wanted.
    longer: Kind,
}

/// What became of probes of one kind.
#[derive(Clone, Copy, Debug, Default)]
struct Kind {
    /// When such a probe got no reply.
    missed: Option<Mono>,
    /// Whether such a probe ever got a reply.
    is_answered: bool,
}

impl Kind {
    fn may_be_made(&self, now: Mono) -> bool {
        let silent = |at| now.since(at) < SILENT_TO_PROBES;
        self.is_answered || !self.missed.is_some_and(silent)
    }
}

impl ProbeHistory {
    /// Notes the end of a request made for this reason.
    pub(super) fn ended(&mut self, now: Mono, probe: Option<Probe>, outcome: &Outcome) {
        let missed = matches!(outcome, Outcome::Missed(_) | Outcome::Mismatched(_));
        if probe.is_some() && matches!(outcome, Outcome::Missed(_)) {
            self.missed = Some(now);
        }
        match probe {
            Some(Probe::OtherTable) if missed => self.other_table.missed = Some(now),
            Some(Probe::OtherTable) => self.other_table.is_answered = true,
            // A refusal of the probe may be that of an older request.
            Some(Probe::Longer) => match outcome {
                Outcome::Answered(_) => self.longer.is_answered = true,
                _ => self.longer.missed = Some(now),
            },
            Some(Probe::Shorter | Probe::Life) | None => {}
        }
    }

    /// Returns whether a probe may be made of a device that last answered at this time. After a
    /// probe that got no reply the request itself is made.
    pub(super) fn may_follow(&self, answered: Option<Mono>) -> bool {
        self.missed.is_none() || self.missed < answered
    }

    /// Returns whether a probe of another table is of use.
    pub(super) fn may_ask_another_table(&self, now: Mono) -> bool {
        self.other_table.may_be_made(now)
    }

    /// Returns whether a request for one register more than wanted is of use.
    pub(super) fn may_ask_for_more(&self, now: Mono) -> bool {
        self.longer.may_be_made(now)
    }

    /// Forgets which kinds of probes got no reply: the unit may be another one.
    pub(super) const fn forget_misses(&mut self) {
        self.other_table.missed = None;
        self.longer.missed = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::MissReason;
    use crate::field::modbus::Data;

    #[test]
    fn a_unit_that_is_silent_to_a_kind_of_probe_is_spared_it_for_ten_minutes() {
        let at = |seconds: u64| Mono::from_micros(seconds * 1_000_000);
        let mut history = ProbeHistory::default();
        let silence = Outcome::Missed(MissReason::Silence);
        history.ended(at(1), Some(Probe::OtherTable), &silence);
        assert!(!history.may_ask_another_table(at(600)));
        assert!(history.may_ask_another_table(at(601)));
        assert!(history.may_ask_for_more(at(1)), "another kind");
        assert!(!history.may_follow(Some(at(1))) && history.may_follow(Some(at(2))));
        history.forget_misses();
        assert!(history.may_ask_another_table(at(2)));
    }

    #[test]
    fn a_kind_of_probe_that_was_answered_once_is_always_of_use() {
        let at = |seconds: u64| Mono::from_micros(seconds * 1_000_000);
        let mut history = ProbeHistory::default();
        let answer = Outcome::Answered(Data::Bits(vec![true]));
        history.ended(at(1), Some(Probe::Longer), &answer);
        history.ended(at(2), Some(Probe::Longer), &Outcome::Exception(2));
        assert!(history.may_ask_for_more(at(3)));
    }
}
