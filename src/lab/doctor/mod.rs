//! Trials of the doctor: faults in a simulated plant and at a simulated platform, and what it says
//! of each; and plants with which nothing is wrong, of which it is to say nothing.
//!
//! The facts of the doctor are what the gateway of a [`Site`](crate::lab::site::Site) shows. What
//! only an operating system says (a port that is busy, a disk that is full, a certificate that has
//! expired) is told to the coordinator as `io/` would tell it.
//!
//! All of it is on virtual time: half an hour of a plant takes a fraction of a second.

mod fault;
mod healthy;
mod plant;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

pub use fault::InjectedFault;
pub use healthy::Healthy;

use crate::doctor::{Cause, DoctorScope, Facts, Finding, Subject, examine};

/// A fault counts as found if it is among so many of the first guesses.
const GUESSES: usize = 2;

/// What was tried, and what the doctor said.
#[derive(Clone, Debug)]
pub struct Trial {
    /// What was injected; `None`: nothing is wrong with the plant.
    pub fault: Option<InjectedFault>,
    /// The name of the fault or of the plant.
    pub name: &'static str,
    /// The cause that is to be found, and what it is about.
    pub wanted: Option<(Cause, Subject)>,
    /// What the doctor said is wrong, its first guess first; without notes.
    pub guesses: Vec<Finding>,
    /// What it knew: of a plant that was looked at several times, at the time of these guesses or
    /// the last.
    pub facts: Option<Facts>,
}

impl Trial {
    /// Returns whether the injected fault is the first or second guess; of a plant with which
    /// nothing is wrong, whether nothing was said.
    #[must_use]
    pub fn is_right(&self) -> bool {
        match &self.wanted {
            Some((cause, subject)) => {
                let guesses = self.guesses.iter().take(GUESSES);
                let mut named = guesses.map(|g| (&g.cause, &g.subject));
                named.any(|guess| guess == (cause, subject))
            }
            None => self.facts.is_some() && self.guesses.is_empty(),
        }
    }
}

/// How many faults were found, and how many healthy plants were alarmed about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Faults that were injected.
    pub injected: usize,
    /// Of these, those that were the first or second guess.
    pub diagnosed: usize,
    /// Healthy plants that were looked at.
    pub healthy: usize,
    /// Of these, those of which the doctor said that something is wrong.
    pub false_alarms: usize,
}

impl Score {
    /// Counts the results of trials.
    #[must_use]
    pub fn of(trials: &[Trial]) -> Score {
        let mut score = Score::default();
        for trial in trials {
            let right = usize::from(trial.is_right());
            match trial.wanted {
                Some(_) => {
                    score.injected += 1;
                    score.diagnosed += right;
                }
                None => {
                    score.healthy += 1;
                    score.false_alarms += 1 - right;
                }
            }
        }
        score
    }
}

/// One thing to try.
#[derive(Clone, Copy, Debug)]
enum Case {
    Fault(InjectedFault),
    Healthy(Healthy),
}

/// Tries every fault and every healthy plant with this seed, on all cores; the results are in a
/// fixed order.
#[must_use]
pub fn trials(seed: u64) -> Vec<Trial> {
    let faults = InjectedFault::ALL.iter().copied().map(Case::Fault);
    let well = Healthy::ALL.iter().copied().map(Case::Healthy);
    let cases: Vec<Case> = faults.chain(well).collect();
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    // A trial is one thread's, on its own virtual time: how many run at once changes none.
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let Some(case) = cases.get(n) else {
                        return;
                    };
                    let trial = tried(*case, seed);
                    let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                    done.push((n, trial));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(n, _)| *n);
    done.into_iter().map(|(_, trial)| trial).collect()
}

/// Injects one fault with this seed.
#[must_use]
pub fn injected(fault: InjectedFault, seed: u64) -> Trial {
    tried(Case::Fault(fault), seed)
}

/// Looks at one healthy plant with this seed.
#[must_use]
pub fn looked_at(plant: Healthy, seed: u64) -> Trial {
    tried(Case::Healthy(plant), seed)
}

fn tried(case: Case, seed: u64) -> Trial {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build();
    // Without a runtime there are no facts, and the trial fails.
    let facts = runtime.ok().map(|runtime| {
        runtime.block_on(async {
            match case {
                Case::Fault(fault) => fault.facts(seed).await,
                Case::Healthy(plant) => plant.facts(seed).await,
            }
        })
    });
    let scope = match case {
        Case::Fault(fault) => fault.scope(),
        Case::Healthy(_) => DoctorScope::All,
    };
    let (mut guesses, mut known) = (Vec::new(), None);
    // A healthy plant is looked at several times.
    for facts in facts.unwrap_or_default() {
        let mut findings = examine(&facts, &scope);
        findings.retain(Finding::is_fault);
        let is_found = !findings.is_empty();
        (guesses, known) = (findings, Some(facts));
        if is_found {
            break;
        }
    }
    let (fault, name, wanted) = match case {
        Case::Fault(fault) => (Some(fault), fault.name(), Some(fault.wanted())),
        Case::Healthy(plant) => (None, plant.name(), None),
    };
    Trial {
        fault,
        name,
        wanted,
        guesses,
        facts: known,
    }
}
