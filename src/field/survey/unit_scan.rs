//! Finds the Modbus units of a line that has one setting.
//!
//! The scan asks each unit once and waits briefly, because most addresses are empty: 247 of them
//! take 8 seconds at 9600 bit/s. It hears a device that takes longer to answer while it asks later
//! units; the unit id in the reply says which device that is.
//!
//! Where two frames met, only noise is heard. Each unit that was asked lately may have caused it,
//! and the scan knows of each how long it would have taken. It asks these units again, in the order
//! in which it asked them before: their replies would come one after the other, and behind the last
//! request. At the end it asks each unit alone that may have caused noise without an explanation.
//!
//! A frame that came late proves its unit if it answers the question: unit, function and number of
//! bytes fit besides the checksum. A frame that was heard between two requests shows its unit only:
//! the scan asks such a unit again at the end, twice if need be, and takes it for absent if it does
//! not answer.
//!
//! Not covered: a reply that lies wholly within the time of a later request, on an adapter that
//! is deaf while it sends. A refusal has five characters and a request eight, so this can happen
//! to a device that takes longer than the brief wait, in less than a tenth of the cases. A scan
//! that waits longer for each unit covers it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::base::{Mono, UnitId};
use crate::field::modbus::EXCEPTION;
use crate::spec::survey::{HeardFrame, SurveyQuestion, SurveyReply, SurveyRequest};
use crate::spec::{Characters, Framing};

/// How long a unit is waited for: most meters answer within 20 ms, and 247 requests at 9600 bit/s
/// with this wait take 8.0 s.
pub const SHORT_WAIT: Duration = Duration::from_millis(24);

/// Within which time after its request a unit may have caused noise.
const SUSPECT: Duration = Duration::from_millis(160);

/// The same for noise that no unit explains that was asked so lately.
const SUSPECT_AT_MOST: Duration = Duration::from_millis(400);

/// How much longer than last time a unit is waited for that may have caused noise.
const MARGIN: Duration = Duration::from_millis(20);

/// How long each but the last unit is waited for that may have caused noise.
const BURST: Duration = Duration::from_millis(4);

/// By how much a turnaround may be longer than that of noise which it explains: the length of a
/// reply, and what a scheduler adds.
const FITS: Duration = Duration::from_millis(20);

/// How often a unit is asked again because of noise before the end.
const AGAIN: u8 = 3;

/// How much noise is looked into: a line with more of it is not worth the time.
const LOOKED_INTO: usize = 64;

/// How often a unit must be heard garbled, asked alone, to be reported as such.
const GARBLED: u8 = 2;

/// How often a unit is asked of which only something was heard that proves little.
const MADE_CERTAIN: u8 = 2;

/// How a unit was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The time from the last bit of its request to the first of its reply, if the reply came
    /// in its own turn, and about that if it came later.
    pub turnaround: Duration,
    /// What it said.
    pub reply: SightedReply,
}

/// What a unit said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SightedReply {
    /// It has a holding register 0.
    Value,
    /// It refused with this code: it is there.
    Exception(u8),
    /// It was heard between two requests.
    Late,
    /// What came, twice, was no frame: two devices may have this address, or the device has
    /// another parity.
    Garbled,
}

/// A question to a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turn {
    unit: UnitId,
    wait: Duration,
    kind: TurnKind,
}

/// Why a unit is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TurnKind {
    /// It was not asked yet, or has to be asked as if it had not been.
    First,
    /// It may have caused noise, as the next ones.
    Together,
    /// The same, and the replies of those before it are waited for.
    Last,
    /// It may have caused noise, and no other is about to answer.
    Alone,
    /// It was heard late, in a way that proves little, and no other is about to answer.
    Certain,
}

/// A request that was made.
#[derive(Clone, Copy, Debug)]
struct SentRequest {
    unit: UnitId,
    /// When it had left.
    sent: Mono,
    /// Whether its reply was heard.
    is_answered: bool,
}

/// The search on one setting.
#[derive(Clone, Debug)]
pub struct UnitScan {
    characters: Option<Characters>,
    framing: Option<Framing>,
    wait: Duration,
    units: Vec<UnitId>,
    /// The units that were not asked yet.
    left: VecDeque<UnitId>,
    /// The units to ask again next.
    again: VecDeque<Turn>,
    /// The last requests.
    asked: VecDeque<SentRequest>,
    /// The unit that is being asked.
    turn: Option<Turn>,
    found: BTreeMap<UnitId, Sighting>,
    /// How often each unit was asked again.
    tries: BTreeMap<UnitId, u8>,
    /// The units that each noise may be from, with the turnaround that they would have.
    noises: Vec<Vec<(UnitId, Duration)>>,
    /// How often only noise came when a unit was asked alone.
    garbled: BTreeMap<UnitId, u8>,
    /// The units that were heard late in a way that proves little, with how often each was asked
    /// since.
    doubted: BTreeMap<UnitId, u8>,
    noise_bytes: usize,
    /// How far the end is.
    end: End,
}

/// What is done after all units were asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The last units may still be about to answer.
    Listen,
    /// The units that noise may be from which is not explained are asked together, …
    AskTogether,
    /// … and if there is noise again, each alone.
    AskAlone,
    /// The units that were heard late in a way that proves little are asked, each alone.
    MakeCertain,
    /// All is known.
    Over,
}

impl UnitScan {
    /// Searches these units in this order: at these characters and in this framing, or with the
    /// line's own. Each is waited for so long: [`SHORT_WAIT`], or longer where nothing may be
    /// missed.
    #[must_use]
    pub fn new(
        units: impl IntoIterator<Item = UnitId>,
        characters: Option<Characters>,
        framing: Option<Framing>,
        wait: Duration,
    ) -> Self {
        let units: Vec<UnitId> = units.into_iter().collect();
        UnitScan {
            characters,
            framing,
            wait,
            left: units.iter().copied().collect(),
            units,
            again: VecDeque::new(),
            asked: VecDeque::new(),
            turn: None,
            found: BTreeMap::new(),
            tries: BTreeMap::new(),
            noises: Vec::new(),
            garbled: BTreeMap::new(),
            doubted: BTreeMap::new(),
            noise_bytes: 0,
            end: End::Listen,
        }
    }

    /// Returns the units that were found so far.
    #[must_use]
    pub const fn found(&self) -> &BTreeMap<UnitId, Sighting> {
        &self.found
    }

    /// Returns how many units were not asked yet.
    #[must_use]
    pub fn left(&self) -> usize {
        self.left.len()
    }

    /// Returns how many bytes belonged to no frame.
    #[must_use]
    pub const fn noise_bytes(&self) -> usize {
        self.noise_bytes
    }

    /// Returns the next request; `None` when all is known.
    pub fn next_request(&mut self) -> Option<SurveyRequest> {
        let turn = self.next_turn()?;
        self.turn = Some(turn);
        Some(SurveyRequest {
            characters: self.characters,
            framing: self.framing,
            question: question(turn.unit),
            wait: turn.wait,
            // Others may be about to answer.
            listens_on: turn.kind == TurnKind::Last,
        })
    }

    fn next_turn(&mut self) -> Option<Turn> {
        loop {
            if let Some(turn) = self.again.pop_front() {
                let is_wanted = match turn.kind {
                    TurnKind::Last => true,
                    TurnKind::Certain => self.doubted.contains_key(&turn.unit),
                    TurnKind::First | TurnKind::Together | TurnKind::Alone => {
                        !self.found.contains_key(&turn.unit)
                    }
                };
                if is_wanted {
                    return Some(turn);
                }
                continue;
            }
            if let Some(unit) = self.left.pop_front() {
                if self.found.contains_key(&unit) {
                    continue;
                }
                return Some(Turn {
                    unit,
                    wait: self.wait,
                    kind: TurnKind::First,
                });
            }
            match self.end {
                End::Listen => {
                    self.end = End::AskTogether;
                    // Of the units that are not about to answer, one that has not done so yet.
                    let mut all = self.units.iter();
                    let is_quiet = |unit: &&UnitId| {
                        let mut asked = self.asked.iter();
                        !self.found.contains_key(unit) && asked.all(|asked| asked.unit != **unit)
                    };
                    let unit = all.find(is_quiet).or(self.units.last());
                    if let Some(unit) = unit
                        && self.wait < SUSPECT
                    {
                        return Some(Turn {
                            unit: *unit,
                            wait: SUSPECT,
                            kind: TurnKind::Last,
                        });
                    }
                }
                End::AskTogether => {
                    self.end = End::AskAlone;
                    let units = self.unexplained();
                    self.noises.clear();
                    let burst = units.iter().map(|(unit, _)| *unit).collect();
                    self.ask_together(burst, SUSPECT_AT_MOST);
                }
                End::AskAlone => {
                    self.end = End::MakeCertain;
                    self.ask_alone(self.unexplained());
                }
                // Comes here again until there is none that was asked too seldom.
                End::MakeCertain => self.make_certain(),
                End::Over => return None,
            }
        }
    }

    /// Returns the units that may have caused noise which is not explained, with the turnaround
    /// that they would have, the shortest first.
    fn unexplained(&self) -> Vec<(UnitId, Duration)> {
        let explains = |(unit, took): &(UnitId, Duration)| {
            let known = self.found.get(unit);
            // A unit that is asked twice answers the second request after the first.
            known.is_some_and(|known| known.turnaround <= *took + FITS)
        };
        let open = self
            .noises
            .iter()
            .filter(|units| !units.iter().any(explains));
        let mut longest = BTreeMap::new();
        for (unit, took) in open.flatten() {
            let known: &mut Duration = longest.entry(*unit).or_default();
            *known = (*known).max(*took);
        }
        longest.retain(|unit, _| !self.found.contains_key(unit));
        let mut units: Vec<_> = longest.into_iter().collect();
        units.sort_by_key(|(_, took)| *took);
        units
    }

    /// Has these units asked one right after the other, and their replies waited for behind the
    /// last.
    fn ask_together(&mut self, units: Vec<UnitId>, wait: Duration) {
        let last = units.len().saturating_sub(1);
        for (nth, unit) in units.into_iter().enumerate() {
            let (wait, kind) = match nth == last {
                true => (wait, TurnKind::Last),
                false => (BURST, TurnKind::Together),
            };
            self.again.push_back(Turn { unit, wait, kind });
        }
    }

    /// Has each of these units asked when no other is about to answer, with the turnaround that it
    /// may have.
    fn ask_alone(&mut self, units: Vec<(UnitId, Duration)>) {
        for (unit, took) in units {
            self.again.push_back(Turn {
                unit,
                wait: took + MARGIN,
                kind: TurnKind::Alone,
            });
        }
    }

    /// Has each unit asked that was heard late in a way that proves little, until it was asked
    /// often enough; with none of these the search is over.
    fn make_certain(&mut self) {
        let wait = self.wait.max(SUSPECT_AT_MOST + MARGIN);
        let found = &self.found;
        let open = self.doubted.iter_mut();
        let open = open.filter(|(unit, tries)| **tries < MADE_CERTAIN && found.contains_key(*unit));
        for (unit, tries) in open {
            *tries += 1;
            self.again.push_back(Turn {
                unit: *unit,
                wait,
                kind: TurnKind::Certain,
            });
        }
        if self.again.is_empty() {
            self.end = End::Over;
        }
    }

    /// Takes what was heard after the last request, which had left at `sent`; `before` are the
    /// units whose replies came before it was sent, with the number of bytes of no frame.
    pub fn on_heard(&mut self, sent: Mono, heard: &SurveyReply, before: (&[UnitId], usize)) {
        let Some(turn) = self.turn.take() else {
            return;
        };
        for unit in before.0 {
            self.was_late(*unit, sent, &[]);
        }
        self.noise_bytes = self.noise_bytes.saturating_add(heard.noise + before.1);
        if before.1 > 0 && heard.noise == 0 {
            self.on_noise(sent, turn.kind);
        }
        self.asked.push_back(SentRequest {
            unit: turn.unit,
            sent,
            is_answered: false,
        });
        while let Some(first) = self.asked.front()
            && sent.since(first.sent) > SUSPECT_AT_MOST
        {
            self.asked.pop_front();
        }
        let first = heard.first_after.unwrap_or_default();
        let last = heard.last_after.unwrap_or_default();
        for (nth, frame) in heard.frames.iter().enumerate() {
            let HeardFrame::Modbus { unit, pdu } = frame else {
                continue;
            };
            if *unit != turn.unit {
                self.was_late(*unit, sent + last, pdu);
                continue;
            }
            let is_clean = nth == 0 && heard.noise == 0;
            self.doubted.remove(unit);
            self.sighted(*unit, if is_clean { first } else { last }, pdu);
        }
        if turn.kind == TurnKind::Certain {
            self.was_asked_again(turn.unit, heard.noise > 0, first);
        } else if heard.noise > 0 && turn.kind == TurnKind::Alone {
            self.was_garbled(turn, first);
        } else if heard.noise > 0 {
            self.on_noise(sent + first, turn.kind);
        } else if !heard.is_silence() && !self.found.contains_key(&turn.unit) {
            // A frame of another unit that began in the silence behind the request has spoilt it.
            self.ask_again(turn.unit);
        }
    }

    /// Has a unit asked again next, as if for the first time.
    fn ask_again(&mut self, unit: UnitId) {
        let tries = self.tries.entry(unit).or_default();
        if *tries < AGAIN {
            *tries += 1;
            self.left.push_front(unit);
        }
    }

    /// Notes that a unit which was asked alone answered with noise.
    fn was_garbled(&mut self, turn: Turn, turnaround: Duration) {
        let times = self.garbled.entry(turn.unit).or_default();
        *times += 1;
        if *times < GARBLED {
            self.again.push_front(turn);
        } else {
            let reply = SightedReply::Garbled;
            let sighting = Sighting { turnaround, reply };
            self.found.entry(turn.unit).or_insert(sighting);
        }
    }

    /// Notes what came of asking a unit that was heard late, if it is still in doubt.
    fn was_asked_again(&mut self, unit: UnitId, is_noise: bool, turnaround: Duration) {
        if self.doubted.get(&unit).is_none_or(|n| *n < MADE_CERTAIN) {
            return;
        }
        match is_noise {
            true => {
                let reply = SightedReply::Garbled;
                self.found.insert(unit, Sighting { turnaround, reply });
            }
            // It stays among the doubted: what is heard of it once more is believed.
            false => drop(self.found.remove(&unit)),
        }
    }

    /// Notes the reply of a unit that was asked before; it came at about `at`.
    fn was_late(&mut self, unit: UnitId, at: Mono, pdu: &[u8]) {
        let asked = self.asked.iter().rev().find(|asked| asked.unit == unit);
        // A unit that was not asked has answered another master.
        if let Some(SentRequest { sent, .. }) = asked {
            let turnaround = at.since(*sent);
            let frame = HeardFrame::Modbus {
                unit,
                pdu: pdu.to_vec(),
            };
            if frame.answers(&question(unit)) {
                self.doubted.remove(&unit);
            } else if !self.found.contains_key(&unit) {
                self.doubted.entry(unit).or_default();
            }
            self.sighted(unit, turnaround, pdu);
        }
    }

    fn sighted(&mut self, unit: UnitId, turnaround: Duration, pdu: &[u8]) {
        let reply = match pdu {
            [function, code, ..] if function & EXCEPTION != 0 => SightedReply::Exception(*code),
            [_, ..] => SightedReply::Value,
            [] => SightedReply::Late,
        };
        // A unit that was asked twice answers twice.
        let mut open = self.asked.iter_mut().filter(|asked| !asked.is_answered);
        if let Some(asked) = open.find(|asked| asked.unit == unit) {
            asked.is_answered = true;
        }
        let sighting = Sighting { turnaround, reply };
        let known = self.found.entry(unit).or_insert_with(|| sighting.clone());
        // What the unit said is worth more than that it was heard.
        if known.reply == SightedReply::Late && sighting.reply != SightedReply::Late {
            *known = sighting;
        }
    }

    /// Notes noise that began at `at`, in a turn of this kind, and has the units asked again that
    /// may have caused it, if their replies had met something: together at first, and each alone
    /// if that gives noise again.
    fn on_noise(&mut self, at: Mono, kind: TurnKind) {
        if self.noises.len() >= LOOKED_INTO {
            return;
        }
        let open = self.asked.iter().filter(|asked| !asked.is_answered);
        let took = |asked: &SentRequest| (asked.unit, at.since(asked.sent));
        let open: Vec<(UnitId, Duration)> = open.map(took).collect();
        let mut units: Vec<(UnitId, Duration)> = Vec::new();
        for (unit, took) in &open {
            let is_known = self.found.contains_key(unit) || units.iter().any(|(u, _)| u == unit);
            let tries = self.tries.entry(*unit).or_default();
            if *took <= SUSPECT && *tries < AGAIN && !is_known {
                *tries += 1;
                units.push((*unit, *took));
            }
        }
        self.noises.push(open);
        match kind {
            TurnKind::First => {
                let longest = units.iter().map(|(_, took)| *took).max();
                let units = units.into_iter().map(|(unit, _)| unit).collect();
                self.ask_together(units, longest.unwrap_or_default() + MARGIN);
            }
            TurnKind::Together | TurnKind::Last | TurnKind::Alone | TurnKind::Certain => {
                units.sort_by_key(|(_, took)| *took);
                self.ask_alone(units);
            }
        }
    }
}

/// Returns the question of a scan: holding register 0, which every device answers in some way.
fn question(unit: UnitId) -> SurveyQuestion {
    SurveyQuestion::Modbus {
        unit,
        pdu: vec![3, 0, 0, 0, 1],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scans units 1 to 3 on a line on which unit 1 is heard when unit 2 is about to be asked;
    /// after that each question to unit 1 is answered so. Returns what was found, and how often
    /// unit 1 was asked.
    fn scanned(answer: &dyn Fn() -> SurveyReply) -> (BTreeMap<UnitId, Sighting>, usize) {
        let mut scan = UnitScan::new((1..=3).map(UnitId), None, None, SHORT_WAIT);
        let (mut now, mut asked) = (Mono::START, 0);
        while let Some(request) = scan.next_request() {
            let unit = request.question.address().unit();
            asked += usize::from(unit == Some(UnitId(1)));
            let heard = match (unit, asked) {
                (Some(UnitId(1)), 2..) => answer(),
                _ => SurveyReply::default(),
            };
            let before: &[UnitId] = match unit {
                Some(UnitId(2)) => &[UnitId(1)],
                _ => &[],
            };
            scan.on_heard(now, &heard, (before, 0));
            now = now + request.wait;
            assert!(asked < 9, "the scan has no end");
        }
        (scan.found().clone(), asked)
    }

    #[test]
    fn a_unit_that_was_only_heard_between_requests_is_made_certain() {
        let value = || SurveyReply {
            frames: vec![HeardFrame::Modbus {
                unit: UnitId(1),
                pdu: vec![3, 2, 0, 7],
            }],
            first_after: Some(Duration::from_millis(30)),
            last_after: Some(Duration::from_millis(37)),
            ..SurveyReply::default()
        };
        let (found, asked) = scanned(&value);
        let sighting = Sighting {
            turnaround: Duration::from_millis(30),
            reply: SightedReply::Value,
        };
        assert_eq!(found, BTreeMap::from([(UnitId(1), sighting)]));
        assert_eq!(asked, 2);
    }

    #[test]
    fn one_that_does_not_answer_is_not_there_and_one_that_answers_noise_is_garbled() {
        let (found, asked) = scanned(&SurveyReply::default);
        assert_eq!(
            (found, asked),
            (BTreeMap::new(), 1 + usize::from(MADE_CERTAIN))
        );
        let noise = || SurveyReply {
            noise: 5,
            ..SurveyReply::default()
        };
        let (found, _) = scanned(&noise);
        assert_eq!(found[&UnitId(1)].reply, SightedReply::Garbled);
    }
}
