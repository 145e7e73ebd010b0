//! Finds out what kind of device a unit is, by the identification of profiles.
//!
//! The engine reads each place that a profile names, and compares. It reads a place of which no
//! reply came once more at the end: a reply that was lost would leave a device without a profile.
//! A profile matches if at least one of its tests is passed and none failed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::reply::{self, ReadReply};
use crate::base::UnitId;
use crate::field::modbus::{Data, ReadRequest};
use crate::spec::identify::{Accepts, Certainty, Identification, IdentifyBy, has_one_of};
use crate::spec::survey::{HeardFrame, SurveyQuestion, SurveyReply, SurveyRequest};
use crate::spec::{Characters, Framing, Table};

/// "SunS", in two registers (SunSpec Device Information Model Specification 1.1 §3).
const SUNS: [u16; 2] = [0x5375, 0x6E53];

/// How many places in a row may get no reply until the unit is left alone.
const SILENT: u32 = 6;

/// The functions of Read Device Identification (Modbus Application Protocol V1.1b3 §6.21).
const IDENTIFY: [u8; 2] = [43, 14];

/// The basic objects end here, …
const BASIC: u8 = 2;
/// … and the regular ones here.
const REGULAR: u8 = 0x7F;

/// A place that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum IdentificationRead {
    /// Objects of the device identification: 1 the basic ones, 2 the regular ones as well, 3 all.
    Objects(u8),
    /// Entries of a table.
    Entries(Table, u16, u16),
}

/// What a place holds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum IdentificationContent {
    Registers(Vec<u16>),
    Objects(BTreeMap<u8, Vec<u8>>),
    /// The place does not exist.
    Refused,
    /// Nothing is known.
    Nothing,
}

/// A kind of device that a unit may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindMatch {
    /// The name of the profile.
    pub profile: String,
    /// The most that a passed test says.
    pub certainty: Certainty,
    /// What passed: one sentence each.
    pub why: Vec<String>,
}

/// The identification of one unit.
#[derive(Clone, Debug)]
pub struct Identify {
    unit: UnitId,
    characters: Option<Characters>,
    framing: Option<Framing>,
    wait: Duration,
    kinds: Vec<(String, Identification)>,
    /// What is still to be read, the next place last.
    left: Vec<IdentificationRead>,
    /// The places that are read a second time, or were.
    again: BTreeSet<IdentificationRead>,
    asked: Option<IdentificationRead>,
    said: BTreeMap<IdentificationRead, IdentificationContent>,
    silent: u32,
}

impl Identify {
    /// Finds out which of these kinds the unit is, at these characters and in this framing or the
    /// line's own; each reply is waited for so long.
    #[must_use]
    pub fn new(
        unit: UnitId,
        (characters, framing): (Option<Characters>, Option<Framing>),
        wait: Duration,
        kinds: Vec<(String, Identification)>,
    ) -> Self {
        let tests = kinds.iter().flat_map(|(_, kind)| &kind.tests);
        let mut places: BTreeSet<IdentificationRead> =
            tests.flat_map(|test| places(&test.what)).collect();
        // What the device says of itself is of interest without any profile.
        places.insert(IdentificationRead::Objects(1));
        let mut left: Vec<IdentificationRead> = places.into_iter().collect();
        left.reverse();
        Identify {
            unit,
            characters,
            framing,
            wait,
            kinds,
            left,
            again: BTreeSet::new(),
            asked: None,
            said: BTreeMap::new(),
            silent: 0,
        }
    }

    /// Returns how many places are still to be read.
    #[must_use]
    pub fn left(&self) -> usize {
        self.left.len()
    }

    /// Returns the next request; `None` when all is known, or the unit does not answer any more.
    pub fn next_request(&mut self) -> Option<SurveyRequest> {
        if self.silent >= SILENT {
            return None;
        }
        let place = self.left.pop()?;
        self.asked = Some(place);
        let question = match place {
            IdentificationRead::Objects(code) => SurveyQuestion::Modbus {
                unit: self.unit,
                pdu: [&IDENTIFY[..], &[code, 0]].concat(),
            },
            IdentificationRead::Entries(table, start, count) => {
                reply::question(&self.read(table, start, count))
            }
        };
        Some(SurveyRequest {
            characters: self.characters,
            framing: self.framing,
            question,
            // A device that is busy just then may take longer.
            wait: match self.again.contains(&place) {
                true => self.wait * 2,
                false => self.wait,
            },
            listens_on: false,
        })
    }

    const fn read(&self, table: Table, start: u16, count: u16) -> ReadRequest {
        ReadRequest {
            unit: self.unit,
            table,
            start,
            count,
        }
    }

    /// Takes what was heard after the last request.
    pub fn on_heard(&mut self, heard: &SurveyReply) {
        let Some(place) = self.asked.take() else {
            return;
        };
        let said = match place {
            IdentificationRead::Objects(_) => self.objects(heard),
            IdentificationRead::Entries(table, start, count) => {
                match reply::judge(&self.read(table, start, count), heard) {
                    ReadReply::Answer(Data::Registers(registers)) => {
                        IdentificationContent::Registers(registers)
                    }
                    ReadReply::Answer(Data::Bits(bits)) => {
                        IdentificationContent::Registers(bits.into_iter().map(u16::from).collect())
                    }
                    ReadReply::Exception(_) => IdentificationContent::Refused,
                    ReadReply::Answer(Data::Bytes(_)) | ReadReply::Silence | ReadReply::Other => {
                        IdentificationContent::Nothing
                    }
                }
            }
        };
        self.silent = match said {
            IdentificationContent::Nothing => self.silent + 1,
            _ => 0,
        };
        if said == IdentificationContent::Nothing && self.again.insert(place) {
            self.left.insert(0, place);
        }
        self.said.insert(place, said);
    }

    /// Returns the objects in a reply of Read Device Identification.
    fn objects(&self, heard: &SurveyReply) -> IdentificationContent {
        for frame in &heard.frames {
            let HeardFrame::Modbus { unit, pdu } = frame else {
                continue;
            };
            match pdu.as_slice() {
                _ if *unit != self.unit => {}
                [0xAB, ..] => return IdentificationContent::Refused,
                [43, 14, _, _, _, _, count, rest @ ..] => {
                    return IdentificationContent::Objects(objects_in(*count, rest));
                }
                _ => {}
            }
        }
        IdentificationContent::Nothing
    }

    /// Returns what the device says of itself: vendor, product, revision and more, by the numbers
    /// of their objects.
    #[must_use]
    pub fn identification_objects(&self) -> BTreeMap<u8, String> {
        let objects = self.said.values().filter_map(|said| match said {
            IdentificationContent::Objects(objects) => Some(objects),
            _ => None,
        });
        let text = |bytes: &Vec<u8>| crate::base::text::excerpt(bytes, 64);
        let all = objects.flatten();
        all.map(|(object, bytes)| (*object, text(bytes))).collect()
    }

    /// Returns the kinds that the unit may be, the surest first.
    #[must_use]
    pub fn matches(&self) -> Vec<KindMatch> {
        let mut matches: Vec<_> = self.kinds.iter().filter_map(|k| self.matched(k)).collect();
        let rank = |m: &KindMatch| {
            (
                std::cmp::Reverse((m.certainty, m.why.len())),
                m.profile.clone(),
            )
        };
        matches.sort_by_key(rank);
        matches
    }

    fn matched(&self, (profile, kind): &(String, Identification)) -> Option<KindMatch> {
        let mut why = Vec::new();
        let mut certainty = None;
        for test in &kind.tests {
            match self.passes(&test.what) {
                TestResult::Yes(reason) => {
                    why.push(reason);
                    certainty = certainty.max(Some(test.certainty));
                }
                TestResult::No => return None,
                TestResult::Unknown => {}
            }
        }
        Some(KindMatch {
            profile: profile.clone(),
            certainty: certainty?,
            why,
        })
    }

    fn passes(&self, what: &IdentifyBy) -> TestResult {
        match what {
            IdentifyBy::Register {
                table,
                address,
                count,
                accepts,
            } => match self
                .said
                .get(&IdentificationRead::Entries(*table, *address, *count))
            {
                Some(IdentificationContent::Registers(registers)) if accepts.takes(registers) => {
                    let held = held(registers, accepts);
                    TestResult::Yes(format!("{table}:0x{address:04X} holds {held}"))
                }
                Some(IdentificationContent::Registers(_) | IdentificationContent::Refused) => {
                    TestResult::No
                }
                Some(IdentificationContent::Objects(_) | IdentificationContent::Nothing) | None => {
                    TestResult::Unknown
                }
            },
            IdentifyBy::DeviceId { object, text } => {
                match self
                    .said
                    .get(&IdentificationRead::Objects(code_of(*object)))
                {
                    Some(IdentificationContent::Objects(objects)) => match objects.get(object) {
                        Some(bytes) if has_one_of(bytes, text) => {
                            let says = crate::base::text::excerpt(bytes, 64);
                            TestResult::Yes(format!("it says of itself {says:?}"))
                        }
                        _ => TestResult::No,
                    },
                    Some(IdentificationContent::Refused) => TestResult::No,
                    Some(IdentificationContent::Registers(_) | IdentificationContent::Nothing)
                    | None => TestResult::Unknown,
                }
            }
            IdentifyBy::SunSpec { base, at, models } => {
                let holding = |address, count| {
                    let place = IdentificationRead::Entries(Table::HoldingRegister, address, count);
                    self.said.get(&place)
                };
                match (holding(*base, 2), holding(*at, 1)) {
                    (
                        Some(IdentificationContent::Registers(marker)),
                        Some(IdentificationContent::Registers(model)),
                    ) => match (marker.as_slice() == SUNS, model.as_slice()) {
                        (true, [model]) if models.contains(model) => {
                            TestResult::Yes(format!("it has model {model} of SunSpec"))
                        }
                        _ => TestResult::No,
                    },
                    (Some(IdentificationContent::Refused), _)
                    | (_, Some(IdentificationContent::Refused)) => TestResult::No,
                    _ => TestResult::Unknown,
                }
            }
        }
    }
}

/// Returns what registers hold: a text in quotes where a text is looked for, else the digits.
fn held(registers: &[u16], accepts: &Accepts) -> String {
    match accepts {
        Accepts::Text(_) => {
            let bytes = registers.iter().flat_map(|r| r.to_be_bytes());
            let text: Vec<u8> = bytes.filter(|byte| *byte != 0).collect();
            let text = crate::base::text::excerpt(&text, 64);
            format!("{:?}", text.trim_end())
        }
        Accepts::Numbers(_) => {
            let words: Vec<_> = registers.iter().map(|r| format!("{r:04X}")).collect();
            words.join(" ")
        }
    }
}

/// Whether a test is passed.
enum TestResult {
    /// Yes, for this reason.
    Yes(String),
    No,
    Unknown,
}

/// Returns which objects are asked for to get this one: the basic, the regular or all.
const fn code_of(object: u8) -> u8 {
    match object {
        0..=BASIC => 1,
        3..=REGULAR => 2,
        _ => 3,
    }
}

/// Returns the places that a test needs.
fn places(what: &IdentifyBy) -> Vec<IdentificationRead> {
    match what {
        IdentifyBy::Register {
            table,
            address,
            count,
            ..
        } => vec![IdentificationRead::Entries(*table, *address, *count)],
        IdentifyBy::DeviceId { object, .. } => vec![IdentificationRead::Objects(code_of(*object))],
        IdentifyBy::SunSpec { base, at, .. } => vec![
            IdentificationRead::Entries(Table::HoldingRegister, *base, 2),
            IdentificationRead::Entries(Table::HoldingRegister, *at, 1),
        ],
    }
}

/// Returns the objects in the end of a reply: of each its number, its length and its text.
fn objects_in(count: u8, mut rest: &[u8]) -> BTreeMap<u8, Vec<u8>> {
    let mut objects = BTreeMap::new();
    for _ in 0..count {
        let [object, length, behind @ ..] = rest else {
            break;
        };
        let Some((text, behind)) = behind.split_at_checked(usize::from(*length)) else {
            break;
        };
        objects.insert(*object, text.to_vec());
        rest = behind;
    }
    objects
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::identify::{IdentifyTest, NumberRange};

    fn test(what: IdentifyBy, certainty: Certainty) -> IdentifyTest {
        IdentifyTest { what, certainty }
    }

    fn register(address: u16, number: u64) -> IdentifyBy {
        IdentifyBy::Register {
            table: Table::HoldingRegister,
            address,
            count: 1,
            accepts: Accepts::Numbers(vec![NumberRange {
                first: number,
                last: number,
            }]),
        }
    }

    fn kinds() -> Vec<(String, Identification)> {
        let kind = |name: &str, tests| (name.to_owned(), Identification { tests });
        let vendor = IdentifyBy::DeviceId {
            object: 0,
            text: vec!["schneider".into()],
        };
        let sunspec = IdentifyBy::SunSpec {
            base: 40000,
            at: 40069,
            models: vec![101, 102],
        };
        vec![
            kind("one", vec![test(register(10, 7), Certainty::Likely)]),
            kind(
                "both",
                vec![
                    test(register(10, 7), Certainty::Likely),
                    test(register(11, 1), Certainty::Sure),
                ],
            ),
            kind("vendor", vec![test(vendor, Certainty::Sure)]),
            kind("sun", vec![test(sunspec, Certainty::Sure)]),
            kind("unknown", Vec::new()),
        ]
    }

    /// Identifies a unit that answers so.
    fn identified(answer: impl Fn(&[u8]) -> Option<Vec<u8>>) -> (Vec<KindMatch>, Identify) {
        let mut identify = Identify::new(UnitId(3), (None, None), Duration::ZERO, kinds());
        while let Some(request) = identify.next_request() {
            assert!(request.question.is_read());
            let SurveyQuestion::Modbus { unit, pdu } = request.question else {
                panic!("no Modbus");
            };
            let frame = answer(&pdu).map(|pdu| HeardFrame::Modbus { unit, pdu });
            identify.on_heard(&SurveyReply {
                frames: frame.into_iter().collect(),
                ..SurveyReply::default()
            });
        }
        (identify.matches(), identify)
    }

    fn names(matches: &[KindMatch]) -> Vec<&str> {
        matches.iter().map(|m| m.profile.as_str()).collect()
    }

    #[test]
    fn a_text_is_shown_as_text_and_a_number_as_digits() {
        let text = Accepts::Text(vec!["lab".into()]);
        let registers = [0x4C41, 0x422D, 0x3100, 0];
        assert_eq!(held(&registers, &text), "\"LAB-1\"");
        let numbers = Accepts::Numbers(Vec::new());
        assert_eq!(held(&[7, 0xABCD], &numbers), "0007 ABCD");
    }

    #[test]
    fn a_place_whose_reply_was_lost_is_read_once_more() {
        // The device refuses all other places; the first replies of this one are lost.
        let answer = |lost: u32| {
            let asked = std::cell::Cell::new(0);
            let (matches, _) = identified(|pdu| match pdu {
                [3, 0, 10, 0, 1] => {
                    asked.set(asked.get() + 1);
                    (asked.get() > lost).then(|| vec![3, 2, 0, 7])
                }
                [function, ..] => Some(vec![function | 0x80, 2]),
                [] => None,
            });
            (names(&matches) == ["one"], asked.get())
        };
        assert_eq!(answer(0), (true, 1));
        assert_eq!(answer(1), (true, 2));
        assert_eq!(answer(2), (false, 2));
    }

    #[test]
    fn the_surest_match_is_first_and_a_failed_test_speaks_against_a_kind() {
        let (matches, _) = identified(|pdu| match pdu {
            [3, 0, 10, 0, 1] => Some(vec![3, 2, 0, 7]),
            [3, 0, 11, 0, 1] => Some(vec![3, 2, 0, 1]),
            [function, ..] => Some(vec![function | 0x80, 2]),
            [] => None,
        });
        assert_eq!(names(&matches), ["both", "one"]);
        assert_eq!(matches[0].certainty, Certainty::Sure);
        assert_eq!(matches[1].why, ["holding:0x000A holds 0007"]);
        let (matches, _) = identified(|pdu| match pdu {
            [3, 0, 10, 0, 1] => Some(vec![3, 2, 0, 7]),
            [function, ..] => Some(vec![function | 0x80, 2]),
            [] => None,
        });
        assert_eq!(names(&matches), ["one"]);
    }

    #[test]
    fn what_a_device_says_of_itself_is_read() {
        let (matches, identify) = identified(|pdu| match pdu {
            [43, 14, 1, 0] => {
                let mut reply = vec![43, 14, 1, 1, 0, 0, 2, 0, 18];
                reply.extend(b"Schneider Electric");
                reply.extend([1, 3]);
                reply.extend(b"PM5");
                Some(reply)
            }
            [function, ..] => Some(vec![function | 0x80, 2]),
            [] => None,
        });
        assert_eq!(names(&matches), ["vendor"]);
        let says = identify.identification_objects();
        assert_eq!(says[&0], "Schneider Electric");
        assert_eq!(says[&1], "PM5");
    }

    #[test]
    fn a_sunspec_model_needs_its_marker() {
        for (marker, matched) in [([0x53, 0x75, 0x6E, 0x53], true), ([0; 4], false)] {
            let (matches, _) = identified(|pdu| match pdu {
                [3, 0x9C, 0x40, 0, 2] => Some([&[3, 4][..], &marker].concat()),
                [3, 0x9C, 0x85, 0, 1] => Some(vec![3, 2, 0, 101]),
                [function, ..] => Some(vec![function | 0x80, 2]),
                [] => None,
            });
            assert_eq!(names(&matches).contains(&"sun"), matched);
        }
    }

    #[test]
    fn a_unit_that_falls_silent_is_left_alone_and_is_of_no_kind() {
        let (matches, _) = identified(|_| None);
        assert_eq!(names(&matches), Vec::<&str>::new());
    }
}
