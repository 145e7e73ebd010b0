//! The doctor finds what is wrong with a simulated plant or platform, and finds nothing where
//! nothing is wrong. `ALINK_FAULT=AddressTwice` tries one fault alone and shows what was known.

use alink_gateway::lab::doctor::{InjectedFault, Score, Trial, injected, trials};

/// Says what the doctor said, for a person who reads why the test failed.
fn told(trial: &Trial) -> String {
    let guesses = trial.guesses.iter();
    let guesses =
        guesses.map(|g| format!("{} of {:?}: {:?}", g.cause.name(), g.subject, g.evidence));
    let guesses: Vec<String> = guesses.collect();
    format!(
        "{}: wanted {:?}, said {guesses:#?}",
        trial.name, trial.wanted
    )
}

#[test]
fn every_fault_is_the_first_or_second_guess_and_no_healthy_plant_is_called_ill() {
    if let Ok(name) = std::env::var("ALINK_FAULT") {
        let all = InjectedFault::ALL.iter();
        for fault in all.filter(|fault| fault.name() == name) {
            let trial = injected(*fault, 1);
            assert!(trial.is_right(), "{}\n{:#?}", told(&trial), trial.facts);
        }
        return;
    }
    let all = trials(1);
    let wrong: Vec<String> = all.iter().filter(|t| !t.is_right()).map(told).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let score = Score::of(&all);
    assert!(score.injected >= 16 && score.healthy >= 4, "{score:?}");
    assert_eq!(score.diagnosed, score.injected);
    assert_eq!(score.false_alarms, 0);
}
