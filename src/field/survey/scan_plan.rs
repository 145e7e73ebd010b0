//! The order in which a line of unknown settings is searched.
//!
//! The settings and addresses that devices leave their factory with come first: all of these take
//! some ten seconds. If a device was found, the scan searches the rest of the addresses at the
//! settings of that device only; if none was found, at all settings.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::meter_search::SILENT;
use crate::base::UnitId;
use crate::spec::{Characters, Parity, StopBits};

/// The settings of a line in the order in which they are tried: speed, parity. Factory settings of
/// the shipped profiles' devices come first, then what integrators set.
const SETTINGS: [(u32, Parity); 11] = [
    (9_600, Parity::None),
    (9_600, Parity::Even),
    (2_400, Parity::Even),
    (19_200, Parity::Even),
    (19_200, Parity::None),
    (4_800, Parity::None),
    (2_400, Parity::None),
    (38_400, Parity::None),
    (115_200, Parity::None),
    (57_600, Parity::None),
    (1_200, Parity::Even),
];

/// The settings that meters of DL/T 645 have: 2400 bit/s at first in 2007, 1200 in 1997, and 9600
/// as installers set them.
const OF_METERS: [(u32, Parity); 3] = [
    (2_400, Parity::Even),
    (9_600, Parity::Even),
    (1_200, Parity::Even),
];

/// The unit ids that devices leave their factory with, or that installers set first.
const USUAL: [u8; 20] = [
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 16, 20, 32, 100, 126, 240, 247,
];

/// The unit ids of a serial line (Modbus over Serial Line V1.02 §2.2).
pub const UNITS: std::ops::RangeInclusive<u8> = 1..=247;

/// How many characters a request to a unit takes, with the silence of three and a half before it
/// (Modbus over Serial Line V1.02 §2.5.1.1).
const OF_A_REQUEST: f64 = 11.5;

/// The settings of a line that are not known here.
const USUAL_SETTINGS: Characters = Characters {
    baud: 9_600,
    data_bits: 8,
    parity: Parity::None,
    stop_bits: StopBits::One,
};

/// What is searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Searched {
    /// Units of Modbus.
    pub modbus: bool,
    /// Meters of DL/T 645.
    pub meters: bool,
}

/// One step of a scan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Search these units at these characters; `None`: the line's own.
    Units(Option<Characters>, Vec<UnitId>),
    /// Search for meters at these characters.
    Meters(Option<Characters>),
}

impl Stage {
    /// Returns how long the step takes if each unit is waited for so long and none answers.
    fn takes(&self, wait: Duration) -> Duration {
        let characters = |at: &Option<Characters>| at.unwrap_or(USUAL_SETTINGS);
        match self {
            Stage::Units(at, units) => {
                let at = characters(at);
                let bits = f64::from(at.bits()) * OF_A_REQUEST;
                let sending = Duration::from_secs_f64(bits / f64::from(at.baud.max(1)));
                (sending + wait) * u32::try_from(units.len()).unwrap_or(u32::MAX)
            }
            Stage::Meters(_) => SILENT,
        }
    }
}

/// The plan of one line.
#[derive(Clone, Debug)]
pub struct ScanPlan {
    left: VecDeque<Stage>,
    /// What is searched at each of the settings if something is found there, or nothing anywhere.
    rest: BTreeMap<usize, Stage>,
    settings: Vec<Option<Characters>>,
    found_at: BTreeSet<usize>,
    /// What each step found, with its settings.
    steps: Vec<(usize, BTreeSet<UnitId>)>,
    /// Whether meters were searched.
    are_meters_searched: bool,
}

impl ScanPlan {
    /// Plans a line of these settings, and no others: all units at once.
    #[must_use]
    pub fn of_settings(
        characters: Option<Characters>,
        units: &[UnitId],
        searched: Searched,
    ) -> ScanPlan {
        let mut left = VecDeque::new();
        if searched.modbus {
            left.push_back(Stage::Units(characters, units.to_vec()));
        }
        if searched.meters {
            left.push_back(Stage::Meters(characters));
        }
        ScanPlan {
            left,
            rest: BTreeMap::new(),
            settings: Vec::new(),
            found_at: BTreeSet::new(),
            steps: Vec::new(),
            are_meters_searched: false,
        }
    }

    /// Plans a line of unknown settings; `first` are the ones that it may well have.
    #[must_use]
    pub fn of_any(first: Option<Characters>, units: &[UnitId], searched: Searched) -> ScanPlan {
        let usual = SETTINGS.map(|(baud, parity)| characters(baud, parity));
        let mut settings: Vec<Option<Characters>> = first.into_iter().map(Some).collect();
        settings.extend(usual.into_iter().filter(|c| Some(*c) != first).map(Some));
        let is_usual = |unit: &&UnitId| USUAL.contains(&unit.0);
        let (near, far): (Vec<UnitId>, Vec<UnitId>) = units.iter().partition(is_usual);
        let mut left = VecDeque::new();
        let mut rest = BTreeMap::new();
        for (nth, at) in settings.iter().enumerate() {
            if searched.modbus && !near.is_empty() {
                left.push_back(Stage::Units(*at, near.clone()));
            }
            let of_meters = OF_METERS.map(|(baud, parity)| Some(characters(baud, parity)));
            if searched.meters && of_meters.contains(at) {
                left.push_back(Stage::Meters(*at));
            }
            if searched.modbus && !far.is_empty() {
                rest.insert(nth, Stage::Units(*at, far.clone()));
            }
        }
        ScanPlan {
            left,
            rest,
            settings,
            found_at: BTreeSet::new(),
            steps: Vec::new(),
            are_meters_searched: false,
        }
    }

    /// Returns the next step; `None` when all is searched.
    pub fn next_stage(&mut self) -> Option<Stage> {
        let stage = self.next_of_all();
        self.are_meters_searched |= matches!(stage, Some(Stage::Meters(_)));
        stage
    }

    fn next_of_all(&mut self) -> Option<Stage> {
        if let Some(stage) = self.left.pop_front() {
            return Some(stage);
        }
        let found = std::mem::take(&mut self.found_at);
        let rest = std::mem::take(&mut self.rest);
        let wanted = rest
            .into_iter()
            .filter(|(nth, _)| found.is_empty() || found.contains(nth));
        self.left = wanted.map(|(_, stage)| stage).collect();
        self.left.pop_front()
    }

    /// Returns how long the steps that are left take at most, if each unit is waited for so long
    /// and none answers. What is searched at all settings if nothing is found counts until
    /// something is found.
    #[must_use]
    pub fn left(&self, wait: Duration) -> Duration {
        let is_wanted = |nth: &usize| self.found_at.is_empty() || self.found_at.contains(nth);
        let rest = self.rest.iter().filter(|(nth, _)| is_wanted(nth));
        let stages = self.left.iter().chain(rest.map(|(_, stage)| stage));
        stages.map(|stage| stage.takes(wait)).sum()
    }

    /// Notes the Modbus units that a step has found at these characters.
    ///
    /// Returns the characters at which an earlier step has found the very same units, where that
    /// can hardly be by chance: several units, or one at another parity. Such a line takes no
    /// settings: that of a serial server behind a virtual port, or a pseudo terminal. The plan then
    /// has only these characters left.
    pub fn on_found(
        &mut self,
        at: Option<Characters>,
        units: BTreeSet<UnitId>,
    ) -> Option<Characters> {
        let nth = self.settings.iter().position(|known| *known == at)?;
        if units.is_empty() {
            return None;
        }
        self.found_at.insert(nth);
        let baud = |nth: usize| self.settings[nth].map(|at| at.baud);
        let alike = self.steps.iter().find(|(before, found)| {
            let is_sure = units.len() > 1 || baud(*before) == baud(nth);
            *before != nth && *found == units && is_sure
        });
        let first = alike.map(|(first, _)| *first);
        self.steps.push((nth, units));
        self.keep(first?)
    }

    /// Leaves out all steps at other settings than these.
    fn keep(&mut self, nth: usize) -> Option<Characters> {
        let own = self.settings[nth];
        let mut are_meters_searched = self.are_meters_searched;
        self.left.retain(|stage| match stage {
            Stage::Units(at, _) => *at == own,
            Stage::Meters(_) => !std::mem::replace(&mut are_meters_searched, true),
        });
        self.rest.retain(|other, _| *other == nth);
        self.found_at.retain(|other| *other == nth);
        own
    }
}

const fn characters(baud: u32, parity: Parity) -> Characters {
    Characters {
        baud,
        data_bits: 8,
        parity,
        stop_bits: StopBits::One,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Searched = Searched {
        modbus: true,
        meters: true,
    };

    fn all() -> Vec<UnitId> {
        UNITS.map(UnitId).collect()
    }

    fn units_at(stages: &[Stage]) -> BTreeMap<String, Vec<u8>> {
        let mut units: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for stage in stages {
            if let Stage::Units(Some(at), asked) = stage {
                let known = units.entry(at.to_string()).or_default();
                known.extend(asked.iter().map(|unit| unit.0));
            }
        }
        units
    }

    #[test]
    fn nothing_found_searches_each_unit_once_at_each_setting() {
        let mut plan = ScanPlan::of_any(None, &all(), BOTH);
        let stages: Vec<Stage> = std::iter::from_fn(|| plan.next_stage()).collect();
        let units = units_at(&stages);
        assert_eq!(units.len(), SETTINGS.len());
        for (at, mut asked) in units {
            asked.sort_unstable();
            assert_eq!(asked, UNITS.collect::<Vec<_>>(), "{at}");
        }
        let meters = stages.iter().filter(|s| matches!(s, Stage::Meters(_)));
        assert_eq!(meters.count(), OF_METERS.len());
        assert_eq!(
            stages[0],
            Stage::Units(
                Some(characters(9600, Parity::None)),
                USUAL.map(UnitId).to_vec()
            )
        );
    }

    #[test]
    fn the_rest_is_searched_where_something_was_found() {
        let own = characters(19_200, Parity::Odd);
        let mut plan = ScanPlan::of_any(Some(own), &all(), BOTH);
        let mut stages = Vec::new();
        while let Some(stage) = plan.next_stage() {
            if stages.is_empty() {
                plan.on_found(Some(own), BTreeSet::from([UnitId(1)]));
            }
            stages.push(stage);
        }
        let units = units_at(&stages);
        assert_eq!(units.len(), SETTINGS.len() + 1);
        for (at, asked) in units {
            let expected = if at == own.to_string() {
                247
            } else {
                USUAL.len()
            };
            assert_eq!(asked.len(), expected, "{at}");
        }
    }

    #[test]
    fn the_time_that_is_left_is_that_of_all_steps_and_shrinks_when_something_is_found() {
        let wait = Duration::from_millis(24);
        let at = Some(characters(9_600, Parity::None));
        let one = ScanPlan::of_settings(at, &all(), BOTH);
        // 247 requests of 12 ms and 24 ms, and a search for meters.
        let expected = Duration::from_millis(247 * 36) + SILENT;
        assert!(one.left(wait).abs_diff(expected) < Duration::from_millis(100));
        let mut plan = ScanPlan::of_any(None, &all(), BOTH);
        let (mut before, mut steps) = (plan.left(wait), 0);
        assert!(before > expected * 10, "{before:?}");
        while plan.next_stage().is_some() {
            assert!(plan.left(wait) < before, "step {steps}");
            before = plan.left(wait);
            steps += 1;
        }
        assert_eq!(before, Duration::ZERO);
        let mut plan = ScanPlan::of_any(None, &all(), BOTH);
        let whole = plan.left(wait);
        plan.next_stage();
        plan.on_found(at, BTreeSet::from([UnitId(1)]));
        assert!(plan.left(wait) < whole / 2);
    }

    /// Plans a line on which each step finds what `found` says; returns what was searched, and
    /// which settings were found to be the same as which.
    fn searched(
        found: impl Fn(Characters) -> &'static [u8],
    ) -> (Vec<Stage>, Vec<(Characters, Characters)>) {
        let mut plan = ScanPlan::of_any(None, &all(), BOTH);
        let (mut stages, mut same) = (Vec::new(), Vec::new());
        while let Some(stage) = plan.next_stage() {
            if let Stage::Units(Some(at), asked) = &stage {
                let units = found(*at).iter().copied().map(UnitId);
                let units = units.filter(|unit| asked.contains(unit)).collect();
                same.extend(plan.on_found(Some(*at), units).map(|first| (first, *at)));
            }
            stages.push(stage);
        }
        (stages, same)
    }

    #[test]
    fn a_line_that_takes_no_settings_is_searched_at_one() {
        let none = characters(9600, Parity::None);
        let even = characters(9600, Parity::Even);
        for found in [&[1, 7][..], &[1], &[200, 201]] {
            let (stages, same) = searched(|_| found);
            assert_eq!(same, [(none, even)], "{found:?}");
            let meters = stages.iter().filter(|s| matches!(s, Stage::Meters(_)));
            let known_late = found[0] == 200;
            assert_eq!(meters.count(), if known_late { OF_METERS.len() } else { 1 });
            let mut asked: Vec<u8> = units_at(&stages).remove(&none.to_string()).unwrap();
            asked.sort_unstable();
            assert_eq!(asked, UNITS.collect::<Vec<_>>());
            let far = units_at(&stages)
                .values()
                .filter(|u| u.contains(&200))
                .count();
            assert!(far <= 2, "{far}");
        }
    }

    #[test]
    fn one_unit_at_two_speeds_is_two_devices() {
        let (stages, same) = searched(|at| match at.parity {
            Parity::Even => &[1],
            Parity::None | Parity::Odd => &[],
        });
        assert_eq!(same, []);
        assert_eq!(units_at(&stages).len(), SETTINGS.len());
    }

    #[test]
    fn one_setting_is_searched_at_once() {
        let at = Some(characters(9600, Parity::Even));
        let mut plan = ScanPlan::of_settings(at, &all(), BOTH);
        assert_eq!(plan.next_stage(), Some(Stage::Units(at, all())));
        assert_eq!(plan.next_stage(), Some(Stage::Meters(at)));
        assert_eq!(plan.next_stage(), None);
    }
}
