//! Finds the meters of DL/T 645 on a line that has one setting.
//!
//! A wildcard asks all meters at once. One meter alone says who it is. Where several answer, their
//! frames meet and only noise is heard: then the search names the last two digits and leaves the
//! others open, a hundred times, and so on for those that still meet (DL/T 645-2007 §5.2.2).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::field::dlt645::frame::RESPONSE;
use crate::spec::Characters;
use crate::spec::dlt645::{Edition, MeterAddress};
use crate::spec::survey::{HeardFrame, SurveyQuestion, SurveyReply, SurveyRequest};

/// How long a meter is waited for: the time within which it has to answer, and a margin for an
/// adapter.
const WAIT: Duration = RESPONSE.saturating_add(Duration::from_millis(100));

/// How long a search takes on which no meter answers, without the time of the frames: a question in
/// each edition.
pub const SILENT: Duration = WAIT.saturating_mul(2);

/// How many requests a search makes at most, five minutes: a line that is never silent would give
/// a reason for ever more.
const MOST: usize = 500;

/// Two digits that stand for any.
const ANY_TWO: u8 = 0xAA;

/// Bytes of an address.
const BYTES: usize = 6;

/// Reads the address (2007 §7.3); only a meter that is asked by its full address or by a whole
/// wildcard answers.
const READ_ADDRESS: u8 = 0x13;

/// Reads data, of 2007 and of 1997.
const READ: [u8; 2] = [0x11, 0x01];

/// The forward active energy, of 2007 and of 1997, as it travels: every meter has it.
const ENERGY: [&[u8]; 2] = [&[0x00, 0x00, 0x01, 0x00], &[0x10, 0x90]];

/// A meter that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeterSighting {
    /// Which edition of the standard it answered in.
    pub edition: Edition,
    /// The time from the last bit of the request to the first of the reply.
    pub turnaround: Duration,
}

/// The search on one setting.
#[derive(Clone, Debug)]
pub struct MeterSearch {
    characters: Option<Characters>,
    /// The patterns to ask, the next one last.
    left: Vec<(MeterAddress, Edition)>,
    asked: Option<(MeterAddress, Edition)>,
    requests: usize,
    found: BTreeMap<MeterAddress, MeterSighting>,
    /// Whether several meters met.
    met: bool,
}

impl MeterSearch {
    /// Searches at these characters, or with the line's own.
    #[must_use]
    pub fn new(characters: Option<Characters>) -> Self {
        MeterSearch {
            characters,
            left: vec![
                (MeterAddress::ANY, Edition::Y1997),
                (MeterAddress::ANY, Edition::Y2007),
            ],
            asked: None,
            requests: 0,
            found: BTreeMap::new(),
            met: false,
        }
    }

    /// Returns the meters that were found so far.
    #[must_use]
    pub const fn found(&self) -> &BTreeMap<MeterAddress, MeterSighting> {
        &self.found
    }

    /// Returns how many patterns are still to be asked, as far as is known.
    #[must_use]
    pub fn left(&self) -> usize {
        self.left.len()
    }

    /// Returns whether the frames of several meters met.
    #[must_use]
    pub const fn has_collision(&self) -> bool {
        self.met
    }

    /// Returns the next request; `None` when all is known.
    pub fn next_request(&mut self) -> Option<SurveyRequest> {
        loop {
            if self.requests >= MOST {
                return None;
            }
            let (address, edition) = self.left.pop()?;
            // A meter that has answered in one edition is not searched for in the other.
            if address == MeterAddress::ANY && edition == Edition::Y1997 && !self.found.is_empty() {
                continue;
            }
            self.requests += 1;
            self.asked = Some((address, edition));
            let which = usize::from(edition == Edition::Y1997);
            let (control, data) = match (address == MeterAddress::ANY, edition) {
                (true, Edition::Y2007) => (READ_ADDRESS, Vec::new()),
                _ => (READ[which], ENERGY[which].to_vec()),
            };
            return Some(SurveyRequest {
                characters: self.characters,
                framing: None,
                question: SurveyQuestion::Dlt645 {
                    address,
                    control,
                    data,
                },
                wait: WAIT,
                // Another meter may answer behind the first.
                listens_on: true,
            });
        }
    }

    /// Takes what was heard after the last request.
    pub fn on_heard(&mut self, heard: &SurveyReply) {
        let Some((asked, edition)) = self.asked.take() else {
            return;
        };
        for frame in &heard.frames {
            if let HeardFrame::Dlt645 { address, .. } = frame
                && address.is_one_meter()
            {
                let sighting = MeterSighting {
                    edition,
                    turnaround: heard.first_after.unwrap_or_default(),
                };
                self.found.entry(*address).or_insert(sighting);
            }
        }
        // Less than a frame is the noise of a line without a meter.
        if heard.noise >= SHORTEST || heard.frames.len() > 1 {
            self.met |= heard.noise >= SHORTEST;
            self.narrow(asked, edition);
        }
    }

    /// Has the addresses asked that this pattern covers, two digits more at a time.
    fn narrow(&mut self, pattern: MeterAddress, edition: Edition) {
        let wire = pattern.to_wire();
        let Some(at) = wire.iter().position(|byte| *byte == ANY_TWO) else {
            return;
        };
        if at >= BYTES {
            return;
        }
        for two in (0..100u8).rev() {
            let mut narrower = wire;
            narrower[at] = ((two / 10) << 4) | (two % 10);
            self.left.push((MeterAddress::from_wire(narrower), edition));
        }
    }
}

/// The least noise that may be of frames which met: half of the shortest reply.
const SHORTEST: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns what these meters, each alone or all at once, make the search hear.
    fn heard(question: &SurveyQuestion, meters: &[MeterAddress]) -> SurveyReply {
        let SurveyQuestion::Dlt645 {
            address, control, ..
        } = question
        else {
            panic!("{question:?}");
        };
        let answering: Vec<_> = meters.iter().filter(|m| address.means(**m)).collect();
        match answering.as_slice() {
            [] => SurveyReply::default(),
            [meter] => SurveyReply {
                frames: vec![HeardFrame::Dlt645 {
                    address: **meter,
                    control: control | 0x80,
                    data: Vec::new(),
                }],
                ..SurveyReply::default()
            },
            _ => SurveyReply {
                noise: 18,
                ..SurveyReply::default()
            },
        }
    }

    fn found(meters: &[&str]) -> (Vec<String>, usize) {
        let meters: Vec<_> = meters
            .iter()
            .map(|m| MeterAddress::parse(m).unwrap())
            .collect();
        let mut search = MeterSearch::new(None);
        let mut requests = 0;
        while let Some(request) = search.next_request() {
            assert!(request.question.is_read());
            search.on_heard(&heard(&request.question, &meters));
            requests += 1;
        }
        let found = search.found().keys().map(ToString::to_string).collect();
        (found, requests)
    }

    #[test]
    fn one_meter_is_found_by_one_request() {
        assert_eq!(found(&["000000000161"]), (vec!["000000000161".into()], 1));
    }

    #[test]
    fn several_meters_are_told_apart_by_their_last_digits() {
        let (found, requests) = found(&["000000000161", "000000000162", "123456789061"]);
        let mut all = found;
        all.sort();
        assert_eq!(all, ["000000000161", "000000000162", "123456789061"]);
        assert_eq!(requests, 1 + 100 + 100);
    }

    #[test]
    fn a_line_that_is_never_silent_is_not_searched_for_ever() {
        let mut search = MeterSearch::new(None);
        let mut requests = 0;
        while search.next_request().is_some() {
            search.on_heard(&SurveyReply {
                noise: 100,
                ..SurveyReply::default()
            });
            requests += 1;
        }
        assert_eq!(requests, MOST);
        assert_eq!(search.found().len(), 0);
    }

    #[test]
    fn an_empty_line_is_asked_in_both_editions() {
        assert_eq!(found(&[]), (Vec::new(), 2));
    }
}
