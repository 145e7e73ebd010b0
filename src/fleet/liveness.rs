//! Whether a device is alive. This file alone decides it.
//!
//! ```text
//! Unknown ──proof──▶ Responding ──miss──▶ Suspect ──missed ≥ n and quiet ≥ t──▶ Silent
//!    │                   ▲  ▲──── proof ─────┘                                  │  ▲
//!    │                   └── r proofs in a row ── Probation ◀── proof ──────────┘  │
//!    │                                                └────────── miss ────────────┤
//!    └──────────────── missed ≥ n and quiet ≥ t ───────────────────────────────────┘
//! ```
//!
//! While its port is down a device is not polled: what the fleet believes about it does not
//! change, and its quiet time does not grow. Only when the port has been down for its grace
//! does the device fall silent, *because the port is down*: a cable that is pulled and put
//! back logs no device out. A device that does not answer after its port has come back
//! stays silent, but for a reason of its own, and a notice says so.
//!
//! `flapping.rs` decides how a device that falls silent again and again is kept offline.

use std::time::Duration;

use crate::base::{LivenessEvidence, LogoutReason, MissReason, Mono, Wake};
use crate::spec::Liveness;

/// The field side of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceLiveness {
    /// The device has not yet been polled often enough to decide.
    Unknown,
    /// The device answers.
    Responding,
    /// The device answered, and has missed since; its silence is being made certain. The device
    /// counts as answering.
    Suspect {
        /// Misses in a row.
        misses: u32,
    },
    /// The device does not answer.
    Silent {
        /// Since when the device has counted as silent.
        since: Mono,
        /// Why the device counts as silent.
        because: SilenceReason,
    },
    /// The device was silent and answers again, but has not yet answered often enough to be
    /// trusted. The device counts as silent.
    Probation {
        /// Since when the device has counted as silent.
        since: Mono,
        /// Proofs of life in a row.
        proofs: u32,
    },
}

impl DeviceLiveness {
    /// Returns whether the device counts as answering.
    #[must_use]
    pub const fn answers(self) -> bool {
        matches!(
            self,
            DeviceLiveness::Responding | DeviceLiveness::Suspect { .. }
        )
    }
}

/// The decision of a watch; [`DeviceLiveness`] is the part of it that other code can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LifeState {
    Unknown,
    Responding,
    Silent { since: Mono, because: SilenceReason },
}

/// Why a device counts as silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SilenceReason {
    /// The device was polled and did not answer.
    Missed {
        /// Polls in a row without proof of life.
        polls: u32,
        /// How long since the last proof, or since the device was first polled.
        quiet: Duration,
        /// What kind of miss the last one was.
        last: MissReason,
        /// Whether the device ever answered since the gateway started.
        answered_before: bool,
    },
    /// The device's port is down.
    PortDown,
}

impl SilenceReason {
    /// Returns why the device is logged out for this silence; `held` if it is kept offline from
    /// now on for falling silent often.
    pub(super) const fn logout_reason(self, held: bool) -> LogoutReason {
        match self {
            SilenceReason::Missed { polls, quiet, .. } if held => LogoutReason::Held {
                missed: polls,
                quiet,
            },
            SilenceReason::Missed { polls, quiet, .. } => LogoutReason::Silent {
                missed: polls,
                quiet,
            },
            SilenceReason::PortDown => LogoutReason::PortDown,
        }
    }
}

/// A change in what the fleet believes about a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LivenessChange {
    /// The device gave its first proof of life since the start.
    Appeared,
    /// The device is silent now.
    FellSilent(SilenceReason),
    /// The device is silent as before, but no longer because of its port.
    StaysSilent(SilenceReason),
    /// The device answers again, after this long.
    Returned(Duration),
}

/// Follows the life of one device.
#[derive(Clone, Debug)]
pub(super) struct LivenessWatch {
    rule: Liveness,
    life: LifeState,
    /// The time of the last proof of life; before the first proof, the start of the watch.
    quiet_since: Mono,
    answered_before: bool,
    misses: u32,
    last_miss: Option<MissReason>,
    returns: u32,
    /// Since when the device's port has been down, and the grace of that port.
    down: Option<(Mono, Duration)>,
}

impl LivenessWatch {
    pub(super) fn new(rule: Liveness, now: Mono) -> Self {
        LivenessWatch {
            rule,
            life: LifeState::Unknown,
            quiet_since: now,
            answered_before: false,
            misses: 0,
            last_miss: None,
            returns: 0,
            down: None,
        }
    }

    pub(super) fn on_evidence(
        &mut self,
        now: Mono,
        evidence: LivenessEvidence,
    ) -> Option<LivenessChange> {
        match evidence {
            LivenessEvidence::Alive(_) => self.on_proof(now),
            LivenessEvidence::RequestFailed(_) => self.on_time(now),
            LivenessEvidence::Missed(miss) => {
                self.misses = self.misses.saturating_add(1);
                self.last_miss = Some(miss);
                self.returns = 0;
                self.on_time(now)
            }
        }
    }

    /// Notes that the device's port went down and has this grace, or that the port is up again.
    pub(super) fn on_port(&mut self, now: Mono, grace: Option<Duration>) -> Option<LivenessChange> {
        let was = self.down.take();
        self.down = grace.map(|grace| (was.map_or(now, |(since, _)| since), grace));
        // These are not misses of the device: it could not be polled.
        self.misses = 0;
        self.last_miss = None;
        if self.down.is_some() {
            self.returns = 0;
        } else if self.is_silent_because_of_its_port() {
            // The device is polled again from now on, and judged by its answers.
            self.quiet_since = now;
        } else if let Some((since, _)) = was {
            // The device could not send anything while the port was down.
            self.quiet_since = self.quiet_since + now.since(since);
        }
        self.on_time(now)
    }

    /// Replaces the rule for silence.
    pub(super) fn judge_by(&mut self, now: Mono, rule: Liveness) -> Option<LivenessChange> {
        self.rule = rule;
        self.on_time(now)
    }

    /// Notes that the device is polled elsewhere from now on. Misses on the old port say
    /// nothing. A device that was silent there is unknown here. A device that answered there
    /// counts as answering for as long as one that has just answered, and the cloud sees no
    /// change.
    pub(super) fn moved(&mut self, now: Mono) {
        self.quiet_since = now;
        self.answered_before = false;
        self.misses = 0;
        self.last_miss = None;
        self.returns = 0;
        if matches!(self.life, LifeState::Silent { .. }) {
            self.life = LifeState::Unknown;
        }
    }

    /// Lets time pass: a device that has missed enough polls falls silent at the moment when it
    /// has also been quiet long enough.
    pub(super) fn on_time(&mut self, now: Mono) -> Option<LivenessChange> {
        let due = self.wake_at()?;
        if now < due.at {
            return None;
        }
        let because = match (self.down, self.last_miss) {
            (None, Some(last)) => SilenceReason::Missed {
                polls: self.misses,
                quiet: now.since(self.quiet_since),
                last,
                answered_before: self.answered_before,
            },
            _ => SilenceReason::PortDown,
        };
        if let LifeState::Silent { since, .. } = self.life {
            self.life = LifeState::Silent { since, because };
            return Some(LivenessChange::StaysSilent(because));
        }
        self.life = LifeState::Silent {
            since: now,
            because,
        };
        self.returns = 0;
        Some(LivenessChange::FellSilent(because))
    }

    /// Returns when this device falls silent if no proof of life follows.
    pub(super) fn wake_at(&self) -> Option<Wake> {
        let silent = matches!(self.life, LifeState::Silent { .. });
        if silent && (self.down.is_some() || !self.is_silent_because_of_its_port()) {
            return None;
        }
        if let Some((since, grace)) = self.down {
            Some(Wake::new(since + grace, "port down: devices fall silent"))
        } else if self.misses >= self.rule.missed {
            let at = self.quiet_since + self.rule.quiet;
            Some(Wake::new(at, "polls missed: device falls silent"))
        } else {
            None
        }
    }

    pub(super) const fn life(&self) -> DeviceLiveness {
        match self.life {
            LifeState::Unknown => DeviceLiveness::Unknown,
            LifeState::Responding if self.misses > 0 => DeviceLiveness::Suspect {
                misses: self.misses,
            },
            LifeState::Responding => DeviceLiveness::Responding,
            LifeState::Silent { since, .. } if self.returns > 0 => DeviceLiveness::Probation {
                since,
                proofs: self.returns,
            },
            LifeState::Silent { since, because } => DeviceLiveness::Silent { since, because },
        }
    }

    fn is_silent_because_of_its_port(&self) -> bool {
        matches!(
            self.life,
            LifeState::Silent {
                because: SilenceReason::PortDown,
                ..
            }
        )
    }

    fn on_proof(&mut self, now: Mono) -> Option<LivenessChange> {
        self.quiet_since = now;
        self.answered_before = true;
        self.misses = 0;
        self.last_miss = None;
        match self.life {
            LifeState::Unknown => {
                self.life = LifeState::Responding;
                Some(LivenessChange::Appeared)
            }
            LifeState::Responding => None,
            LifeState::Silent { since, .. } => {
                self.returns = self.returns.saturating_add(1);
                if self.returns < self.rule.returns {
                    return None;
                }
                self.life = LifeState::Responding;
                Some(LivenessChange::Returned(now.since(since)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::LivenessProof;

    const RULE: Liveness = Liveness {
        missed: 3,
        quiet: Duration::from_secs(10),
        returns: 2,
    };
    const GRACE: Duration = Duration::from_secs(6);
    const PROOF: LivenessEvidence = LivenessEvidence::Alive(LivenessProof::Answer);
    const MISS: LivenessEvidence = LivenessEvidence::Missed(MissReason::Silence);

    fn at(seconds: u64) -> Mono {
        Mono::from_micros(seconds * 1_000_000)
    }

    fn responding() -> LivenessWatch {
        let mut p = LivenessWatch::new(RULE, at(0));
        assert_eq!(p.on_evidence(at(0), PROOF), Some(LivenessChange::Appeared));
        p
    }

    #[test]
    fn one_answer_is_enough_at_the_start() {
        assert_eq!(responding().life(), DeviceLiveness::Responding);
    }

    #[test]
    fn one_that_has_missed_is_suspect_until_it_answers_and_counts_as_answering() {
        let mut p = responding();
        p.on_evidence(at(1), MISS);
        p.on_evidence(at(2), MISS);
        assert_eq!(p.life(), DeviceLiveness::Suspect { misses: 2 });
        assert!(p.life().answers());
        p.on_evidence(at(3), PROOF);
        assert_eq!(p.life(), DeviceLiveness::Responding);
    }

    #[test]
    fn while_its_port_is_down_its_quiet_time_stands_still() {
        let mut p = responding();
        p.on_evidence(at(2), MISS);
        p.on_port(at(4), Some(Duration::from_secs(30)));
        assert_eq!(p.wake_at().map(|w| w.at), Some(at(34)));
        assert_eq!(p.on_time(at(30)), None);
        assert_eq!(p.life(), DeviceLiveness::Responding);
        p.on_port(at(33), None);
        for s in 34..37 {
            assert_eq!(p.on_evidence(at(s), MISS), None);
        }
        assert_eq!(
            p.wake_at().map(|w| w.at),
            Some(at(39)),
            "4 s before, 6 s after"
        );
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
            Some(LivenessChange::FellSilent(SilenceReason::Missed {
                polls: 3,
                quiet: Duration::from_secs(10),
                last: MissReason::Silence,
                answered_before: true,
            }))
        );
        assert_eq!(p.on_time(at(11)), None, "told once");
    }

    #[test]
    fn an_exception_and_a_late_reply_are_proof_of_life() {
        for proof in [LivenessProof::Exception(2), LivenessProof::Late] {
            let mut p = responding();
            p.on_evidence(at(8), MISS);
            p.on_evidence(at(9), MISS);
            p.on_evidence(at(9), LivenessEvidence::Alive(proof));
            p.on_evidence(at(11), MISS);
            assert_eq!(p.on_time(at(18)), None);
            assert_eq!(p.life(), DeviceLiveness::Suspect { misses: 1 });
        }
    }

    #[test]
    fn coming_back_takes_several_proofs_in_a_row() {
        let mut p = responding();
        for s in [2, 4, 11] {
            p.on_evidence(at(s), MISS);
        }
        assert!(matches!(p.life(), DeviceLiveness::Silent { .. }));
        assert_eq!(p.on_evidence(at(20), PROOF), None);
        let (since, proofs) = (at(11), 1);
        assert_eq!(p.life(), DeviceLiveness::Probation { since, proofs });
        assert!(!p.life().answers());
        assert_eq!(p.on_evidence(at(21), MISS), None);
        assert!(matches!(p.life(), DeviceLiveness::Silent { .. }));
        assert_eq!(p.on_evidence(at(22), PROOF), None);
        assert_eq!(
            p.on_evidence(at(23), PROOF),
            Some(LivenessChange::Returned(Duration::from_secs(12)))
        );
    }

    #[test]
    fn a_port_that_is_down_silences_after_its_grace_and_is_named() {
        let mut p = responding();
        assert_eq!(p.on_port(at(4), Some(GRACE)), None);
        assert_eq!(
            p.on_time(at(10)),
            Some(LivenessChange::FellSilent(SilenceReason::PortDown))
        );
    }

    #[test]
    fn a_cable_put_back_in_time_changes_nothing() {
        let mut p = responding();
        p.on_port(at(4), Some(GRACE));
        p.on_port(at(8), None);
        assert_eq!(p.on_time(at(30)), None);
        assert_eq!(p.on_evidence(at(31), PROOF), None);
        assert_eq!(p.life(), DeviceLiveness::Responding);
    }

    #[test]
    fn a_device_that_stays_silent_when_its_port_is_back_gets_a_reason_of_its_own() {
        let mut p = responding();
        p.on_port(at(4), Some(GRACE));
        p.on_time(at(10));
        assert_eq!(p.on_port(at(20), None), None);
        for s in [21, 23, 29] {
            assert_eq!(p.on_evidence(at(s), MISS), None);
        }
        assert_eq!(p.wake_at().map(|w| w.at), Some(at(30)));
        assert!(matches!(
            p.on_time(at(30)),
            Some(LivenessChange::StaysSilent(SilenceReason::Missed {
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
            Some(LivenessChange::Returned(Duration::from_secs(41))),
            "silent since it first fell silent"
        );
    }

    #[test]
    fn a_device_that_never_answered_is_named_so() {
        let mut p = LivenessWatch::new(RULE, at(0));
        for s in [3, 6, 9] {
            p.on_evidence(at(s), MISS);
        }
        assert!(matches!(
            p.on_time(at(10)),
            Some(LivenessChange::FellSilent(SilenceReason::Missed {
                answered_before: false,
                ..
            }))
        ));
    }
}
