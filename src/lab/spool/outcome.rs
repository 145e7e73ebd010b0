//! What a phase has found.

use super::site::PhaseJudgement;

/// What a phase, or all of them, have found.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    /// Lives that ended by SIGKILL.
    pub(crate) kills: u64,
    /// Lives that ended by SIGTERM.
    pub(crate) stops: u64,
    /// Lives that ended by a power cut.
    pub(crate) power_cuts: u64,
    /// Values that the bus gave.
    pub(crate) values: u64,
    /// Values that came as history.
    pub(crate) replayed: u64,
    /// Values that never arrived and should have.
    pub(crate) lost: u64,
    /// Values that never arrived, those included that may be lost.
    pub(crate) unaccepted: u64,
    /// Values that no unit gave.
    pub(crate) invented: u64,
    /// Values that arrived again.
    pub(crate) duplicates: u64,
    /// Values that came as history after a newer one of their device.
    pub(crate) out_of_order: u64,
    /// What should not be, in words.
    pub(crate) problems: Vec<String>,
}

impl Outcome {
    /// Returns what the oracle of a phase has found.
    pub(super) fn of(judgement: PhaseJudgement) -> Self {
        let PhaseJudgement {
            lost,
            unaccepted,
            problems,
            oracle,
        } = judgement;
        let counts = oracle.counts();
        Outcome {
            values: oracle.all(),
            replayed: counts.replayed,
            lost,
            unaccepted,
            invented: counts.invented,
            duplicates: counts.duplicates,
            out_of_order: counts.out_of_order,
            problems,
            ..Outcome::default()
        }
    }

    /// Adds another phase.
    pub(super) fn add(&mut self, other: Outcome) {
        self.kills += other.kills;
        self.stops += other.stops;
        self.power_cuts += other.power_cuts;
        self.values += other.values;
        self.replayed += other.replayed;
        self.lost += other.lost;
        self.unaccepted += other.unaccepted;
        self.invented += other.invented;
        self.duplicates += other.duplicates;
        self.out_of_order += other.out_of_order;
        self.problems.extend(other.problems);
    }

    /// Says what the phase has found, in a line.
    #[expect(clippy::print_stderr, reason = "says how far the trial is")]
    pub(super) fn tell(&self, name: &str) {
        let ended = [
            (self.kills, "kills"),
            (self.stops, "stops"),
            (self.power_cuts, "power cuts"),
        ];
        let ended = ended.iter().filter(|(n, _)| *n > 0);
        let ended: String = ended.map(|(n, what)| format!("{n} {what}, ")).collect();
        eprintln!(
            "{name}: {ended}{} values, {} as history, {} lost, {} not arrived as allowed, {} \
             invented, {} again, {} out of order",
            self.values,
            self.replayed,
            self.lost,
            self.unaccepted.saturating_sub(self.lost),
            self.invented,
            self.duplicates,
            self.out_of_order,
        );
    }
}
