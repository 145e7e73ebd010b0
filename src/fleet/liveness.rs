//! Is this device alive? The one file that decides.
//!
//! ```text
//! Unknown ──proof──▶ Responding ──missed ≥ n and quiet ≥ t──▶ Silent
//!    └────────missed ≥ n and quiet ≥ t───────────────────────▶┘  │
//!                   Responding ◀──── r proofs in a row ──────────┘
//! ```
//!
//! While its port is down a device is not asked, so misses cannot count; it
//! falls silent when it has been quiet for `t`, *because the port is down*.
//! That wait is also what keeps a cable that is pulled and put back from
//! logging out a whole line. A device that does not answer after its port has
//! come back stays silent, but for a reason of its own, which is told.

use std::time::Duration;

use crate::base::{Evidence, Miss, Mono, Wake};
use crate::spec::Liveness;

/// The field side of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Not yet asked often enough to say.
    Unknown,
    /// It answers.
    Responding,
    /// It does not.
    Silent {
        /// Since when it has been counted as silent.
        since: Mono,
        /// Why.
        because: Because,
    },
}

/// Why a device counts as silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// It was asked and did not answer.
    Missed {
        /// Polls in a row without proof of life.
        polls: u32,
        /// How long since the last proof, or since it was first asked.
        quiet: Duration,
        /// What the last miss looked like.
        last: Miss,
        /// Whether it ever answered since the gateway started.
        answered_before: bool,
    },
    /// Its port is down.
    PortDown,
}

/// A change of mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// First proof of life since the start.
    Appeared,
    /// Silent now.
    FellSilent(Because),
    /// Silent as before, but no longer because of its port.
    StaysSilent(Because),
    /// Answering again, after this long.
    Returned(Duration),
}

/// Follows one device.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    rule: Liveness,
    life: Life,
    /// The last proof of life; before the first, the start of the watch.
    quiet_since: Mono,
    answered_before: bool,
    misses: u32,
    last_miss: Option<Miss>,
    returns: u32,
    port_down: bool,
}

impl Watch {
    pub(super) fn new(rule: Liveness, now: Mono) -> Self {
        Watch {
            rule,
            life: Life::Unknown,
            quiet_since: now,
            answered_before: false,
            misses: 0,
            last_miss: None,
            returns: 0,
            port_down: false,
        }
    }

    pub(super) fn on_evidence(&mut self, now: Mono, evidence: Evidence) -> Option<Change> {
        match evidence {
            Evidence::Alive(_) => self.on_proof(now),
            Evidence::Missed(miss) => {
                self.misses = self.misses.saturating_add(1);
                self.last_miss = Some(miss);
                self.returns = 0;
                self.on_time(now)
            }
        }
    }

    pub(super) fn on_port(&mut self, now: Mono, down: bool) -> Option<Change> {
        self.port_down = down;
        // Not the device's misses: it could not be asked.
        self.misses = 0;
        self.last_miss = None;
        if down {
            self.returns = 0;
        } else if self.is_silent_because_of_its_port() {
            // It is asked again from now on, and judged by that.
            self.quiet_since = now;
        }
        self.on_time(now)
    }

    /// Another rule from now on.
    pub(super) fn judge_by(&mut self, now: Mono, rule: Liveness) -> Option<Change> {
        self.rule = rule;
        self.on_time(now)
    }

    /// The device is looked for elsewhere from now on. What was missed where it
    /// was says nothing; one that was silent there is unknown here; one that
    /// answered there counts as answering for as long as one that has just
    /// done so, and the cloud need not notice.
    pub(super) fn moved(&mut self, now: Mono) {
        self.quiet_since = now;
        self.answered_before = false;
        self.misses = 0;
        self.last_miss = None;
        self.returns = 0;
        if matches!(self.life, Life::Silent { .. }) {
            self.life = Life::Unknown;
        }
    }

    /// Lets time pass: a device that has missed enough falls silent the moment
    /// it has also been quiet long enough.
    pub(super) fn on_time(&mut self, now: Mono) -> Option<Change> {
        let due = self.wake_at()?;
        if now < due.at {
            return None;
        }
        let because = match (self.port_down, self.last_miss) {
            (false, Some(last)) => Because::Missed {
                polls: self.misses,
                quiet: now.since(self.quiet_since),
                last,
                answered_before: self.answered_before,
            },
            _ => Because::PortDown,
        };
        if let Life::Silent { since, .. } = self.life {
            self.life = Life::Silent { since, because };
            return Some(Change::StaysSilent(because));
        }
        self.life = Life::Silent {
            since: now,
            because,
        };
        self.returns = 0;
        Some(Change::FellSilent(because))
    }

    /// When this device falls silent if nothing more is heard of it.
    pub(super) fn wake_at(&self) -> Option<Wake> {
        let silent = matches!(self.life, Life::Silent { .. });
        if silent && (self.port_down || !self.is_silent_because_of_its_port()) {
            return None;
        }
        let at = self.quiet_since + self.rule.quiet;
        if self.port_down {
            Some(Wake::new(at, "port down: devices fall silent"))
        } else if self.misses >= self.rule.missed {
            Some(Wake::new(at, "polls missed: device falls silent"))
        } else {
            None
        }
    }

    pub(super) const fn life(&self) -> Life {
        self.life
    }

    fn is_silent_because_of_its_port(&self) -> bool {
        matches!(
            self.life,
            Life::Silent {
                because: Because::PortDown,
                ..
            }
        )
    }

    fn on_proof(&mut self, now: Mono) -> Option<Change> {
        self.quiet_since = now;
        self.answered_before = true;
        self.misses = 0;
        self.last_miss = None;
        match self.life {
            Life::Unknown => {
                self.life = Life::Responding;
                Some(Change::Appeared)
            }
            Life::Responding => None,
            Life::Silent { since, .. } => {
                self.returns = self.returns.saturating_add(1);
                if self.returns < self.rule.returns {
                    return None;
                }
                self.life = Life::Responding;
                Some(Change::Returned(now.since(since)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Proof;

    const RULE: Liveness = Liveness {
        missed: 3,
        quiet: Duration::from_secs(10),
        returns: 2,
    };
    const PROOF: Evidence = Evidence::Alive(Proof::Answer);
    const MISS: Evidence = Evidence::Missed(Miss::Silence);

    fn at(seconds: u64) -> Mono {
        Mono::from_micros(seconds * 1_000_000)
    }

    fn responding() -> Watch {
        let mut p = Watch::new(RULE, at(0));
        assert_eq!(p.on_evidence(at(0), PROOF), Some(Change::Appeared));
        p
    }

    #[test]
    fn one_answer_is_enough_at_the_start() {
        assert_eq!(responding().life(), Life::Responding);
    }

    #[test]
    fn misses_alone_are_not_silence() {
        let mut p = responding();
        for s in 1..=5 {
            assert_eq!(p.on_evidence(at(s), MISS), None);
        }
        assert_eq!(p.wake_at().map(|w| w.at), Some(at(10)));
    }

    #[test]
    fn quiet_alone_is_not_silence() {
        let mut p = responding();
        assert_eq!(p.on_evidence(at(60), MISS), None);
        assert_eq!(p.on_evidence(at(61), MISS), None);
        assert_eq!(p.wake_at(), None);
    }

    #[test]
    fn both_together_are_silence_and_say_so() {
        let mut p = responding();
        for s in [2, 4, 6] {
            assert_eq!(p.on_evidence(at(s), MISS), None);
        }
        assert_eq!(p.on_time(at(9)), None);
        assert_eq!(
            p.on_time(at(10)),
            Some(Change::FellSilent(Because::Missed {
                polls: 3,
                quiet: Duration::from_secs(10),
                last: Miss::Silence,
                answered_before: true,
            }))
        );
        assert_eq!(p.on_time(at(11)), None, "told once");
    }

    #[test]
    fn an_exception_and_a_late_reply_are_proof_of_life() {
        for proof in [Proof::Exception(2), Proof::Late] {
            let mut p = responding();
            p.on_evidence(at(8), MISS);
            p.on_evidence(at(9), MISS);
            p.on_evidence(at(9), Evidence::Alive(proof));
            p.on_evidence(at(11), MISS);
            assert_eq!(p.on_time(at(18)), None);
            assert_eq!(p.life(), Life::Responding);
        }
    }

    #[test]
    fn coming_back_takes_several_proofs_in_a_row() {
        let mut p = responding();
        for s in [2, 4, 11] {
            p.on_evidence(at(s), MISS);
        }
        assert!(matches!(p.life(), Life::Silent { .. }));
        assert_eq!(p.on_evidence(at(20), PROOF), None);
        assert_eq!(p.on_evidence(at(21), MISS), None);
        assert_eq!(p.on_evidence(at(22), PROOF), None);
        assert_eq!(
            p.on_evidence(at(23), PROOF),
            Some(Change::Returned(Duration::from_secs(12)))
        );
    }

    #[test]
    fn a_port_that_is_down_silences_after_the_same_quiet_and_is_named() {
        let mut p = responding();
        assert_eq!(p.on_port(at(4), true), None);
        assert_eq!(
            p.on_time(at(10)),
            Some(Change::FellSilent(Because::PortDown))
        );
    }

    #[test]
    fn a_cable_put_back_in_time_changes_nothing() {
        let mut p = responding();
        p.on_port(at(4), true);
        p.on_port(at(8), false);
        assert_eq!(p.on_time(at(30)), None);
        assert_eq!(p.on_evidence(at(31), PROOF), None);
        assert_eq!(p.life(), Life::Responding);
    }

    #[test]
    fn a_device_that_stays_silent_when_its_port_is_back_gets_a_reason_of_its_own() {
        let mut p = responding();
        p.on_port(at(4), true);
        p.on_time(at(10));
        assert_eq!(p.on_port(at(20), false), None);
        for s in [21, 23, 29] {
            assert_eq!(p.on_evidence(at(s), MISS), None);
        }
        assert_eq!(p.wake_at().map(|w| w.at), Some(at(30)));
        assert!(matches!(
            p.on_time(at(30)),
            Some(Change::StaysSilent(Because::Missed {
                polls: 3,
                answered_before: true,
                ..
            }))
        ));
        assert_eq!(p.wake_at(), None);
        assert_eq!(p.on_time(at(40)), None, "told once");
        p.on_evidence(at(50), PROOF);
        assert_eq!(
            p.on_evidence(at(51), PROOF),
            Some(Change::Returned(Duration::from_secs(41))),
            "silent since it first fell silent"
        );
    }

    #[test]
    fn a_device_that_never_answered_is_named_so() {
        let mut p = Watch::new(RULE, at(0));
        for s in [3, 6, 9] {
            p.on_evidence(at(s), MISS);
        }
        assert!(matches!(
            p.on_time(at(10)),
            Some(Change::FellSilent(Because::Missed {
                answered_before: false,
                ..
            }))
        ));
    }
}
