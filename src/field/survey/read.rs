//! Reads points of one device: which requests that takes, and what became of each point.
//!
//! The requests are those of the plan ([`crate::field::plan`]). If a device refuses
//! a request for several points for its addresses, the reader asks for each point alone, so that
//! an absent one does not hide the others. If a reply may be another device's, it asks once more.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::reply::{self, ReadReply};
use crate::base::Value;
use crate::field::decode::point::decode;
use crate::field::decode::refusal::NoValueReason;
use crate::field::dlt645::ask::{
    ErrorWord, MeterOperation, Part, Reassembly, ReassemblyResult, Reply,
};
use crate::field::dlt645::{Frame, MeterRequest, frame::Control};
use crate::field::modbus::{Data, ReadRequest};
use crate::field::plan::block_address::{BlockAddress, DatumAsked, EntryRange};
use crate::field::plan::cost::Cost;
use crate::field::plan::holes::{Holes, speaks_of_addresses};
use crate::field::plan::{PlanLimits, ReadBlock, plan_of};
use crate::spec::survey::{HeardFrame, SurveyQuestion, SurveyReply};
use crate::spec::{BusAddress, DeviceSpec, PortSpec, ProfileSpec};

/// How often a reply that may be another's is asked for.
const STALE_TRIES: u8 = 2;

/// What became of a point.
#[derive(Clone, Debug, PartialEq)]
pub struct PointRead {
    /// The request that brought it, or was to.
    pub asked: BlockAddress,
    /// Its value, or why there is none.
    pub value: Result<Value, NotRead>,
    /// The registers of the point as they came; none in other tables and protocols.
    pub registers: Vec<u16>,
    /// Whether the reply may be one to another request.
    pub may_be_stale: bool,
}

/// Why a point has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotRead {
    /// The reply holds none.
    NoValue(NoValueReason),
    /// The device refused with this exception.
    Exception(u8),
    /// The meter refused, for these reasons.
    Declined(ErrorWord),
    /// Nothing came.
    Silence,
    /// Only our own request was heard back.
    Echo,
    /// So many bytes came that are no frame.
    Noise(usize),
    /// A frame came from this device instead.
    Other(BusAddress),
    /// A frame of the device came that is no reply to the request: of another function or length.
    Unfit,
    /// The line did not fall quiet, and nothing was sent.
    NotSent,
    /// The device speaks a protocol that only the service can ask.
    Protocol,
}

/// Reads points of one device.
#[derive(Clone, Debug)]
pub struct PointReader {
    profile: Arc<ProfileSpec>,
    to: BusAddress,
    blocks: VecDeque<ReadBlock>,
    under_way: Option<UnderWay>,
    points: BTreeMap<u16, PointRead>,
}

/// A request that is under way.
#[derive(Clone, Debug)]
struct UnderWay {
    block: ReadBlock,
    ask: PointRequest,
    tries: u8,
}

#[derive(Clone, Debug)]
enum PointRequest {
    Modbus(ReadRequest),
    Dlt645(MeterRequest, Option<Reassembly>),
}

impl PointReader {
    /// Begins to read those points of a device that `wanted` names, by the device's own plan.
    #[must_use]
    pub fn new(port: &PortSpec, device: &DeviceSpec, wanted: impl Fn(u16) -> bool) -> Self {
        let limits = PlanLimits {
            cost: Cost::of(&port.line, device),
            longest: port.budget.longest_request,
            holes: &Holes::new(),
            most_bytes: None,
        };
        PointReader {
            blocks: plan_of(&device.profile, &limits, wanted).into(),
            profile: Arc::clone(&device.profile),
            to: device.address,
            under_way: None,
            points: BTreeMap::new(),
        }
    }

    /// Returns the next question; `None` when all points are read.
    pub fn question(&mut self) -> Option<SurveyQuestion> {
        while self.under_way.is_none() {
            let block = self.blocks.pop_front()?;
            match ask_of(self.to, &block.address) {
                Some(ask) => {
                    self.under_way = Some(UnderWay {
                        block,
                        ask,
                        tries: 0,
                    });
                }
                None => self.missed(&block, &NotRead::Protocol),
            }
        }
        self.under_way
            .as_ref()
            .map(|under_way| under_way.ask.question())
    }

    /// Notes what was heard after the question.
    pub fn on_heard(&mut self, heard: &SurveyReply, is_sent: bool, may_be_stale: bool) {
        let Some(mut under_way) = self.under_way.take() else {
            return;
        };
        if !is_sent {
            return self.missed(&under_way.block, &NotRead::NotSent);
        }
        under_way.tries += 1;
        if may_be_stale && under_way.tries < STALE_TRIES {
            self.under_way = Some(under_way);
            return;
        }
        let UnderWay { block, ask, tries } = under_way;
        match ask.judged(heard) {
            Judged::Whole(data) => self.answered(&block, &data, may_be_stale),
            Judged::Next(ask) => {
                self.under_way = Some(UnderWay { block, ask, tries });
            }
            Judged::Missed(NotRead::Exception(code))
                if speaks_of_addresses(code) && block.points.len() > 1 =>
            {
                for point in block.points.iter().rev() {
                    let alone = ReadBlock::of(&self.profile, vec![*point], &block);
                    self.blocks.push_front(alone);
                }
            }
            Judged::Missed(why) => self.missed(&block, &why),
        }
    }

    /// Returns what became of the points so far, by their index in the profile.
    #[must_use]
    pub const fn points(&self) -> &BTreeMap<u16, PointRead> {
        &self.points
    }

    fn answered(&mut self, block: &ReadBlock, data: &Data, may_be_stale: bool) {
        for index in &block.points {
            let Some(point) = self.profile.points.get(usize::from(*index)) else {
                continue;
            };
            let value = decode(point, &block.address, data).map_err(NotRead::NoValue);
            let entries = point.address.as_modbus().zip(block.address.entries());
            let registers = match (entries, data) {
                (Some((address, range)), Data::Registers(all)) => {
                    let from = usize::from(address.start.saturating_sub(range.start));
                    let to = from + usize::from(point.codec.width());
                    all.get(from..to).unwrap_or_default().to_vec()
                }
                _ => Vec::new(),
            };
            let read = PointRead {
                asked: block.address.clone(),
                value,
                registers,
                may_be_stale,
            };
            self.points.insert(*index, read);
        }
    }

    fn missed(&mut self, block: &ReadBlock, why: &NotRead) {
        for index in &block.points {
            let read = PointRead {
                asked: block.address.clone(),
                value: Err(why.clone()),
                registers: Vec::new(),
                may_be_stale: false,
            };
            self.points.insert(*index, read);
        }
    }
}

/// What a reply came to.
enum Judged {
    Whole(Data),
    /// The datum goes on in another frame.
    Next(PointRequest),
    Missed(NotRead),
}

fn ask_of(to: BusAddress, asked: &BlockAddress) -> Option<PointRequest> {
    match (asked, to) {
        (BlockAddress::Modbus(range), BusAddress::Modbus(unit)) => {
            Some(PointRequest::Modbus(EntryRange::ask(range, unit)))
        }
        (BlockAddress::Dlt645(DatumAsked::Item(_, item)), BusAddress::Dlt645(meter)) => Some(
            PointRequest::Dlt645(MeterRequest::read(meter, item.id, item.length()), None),
        ),
        _ => None,
    }
}

impl PointRequest {
    fn question(&self) -> SurveyQuestion {
        match self {
            PointRequest::Modbus(ask) => reply::question(ask),
            PointRequest::Dlt645(ask, _) => {
                let frame = ask.frame();
                SurveyQuestion::Dlt645 {
                    address: frame.address,
                    control: frame.control.0,
                    data: frame.data,
                }
            }
        }
    }

    fn judged(self, heard: &SurveyReply) -> Judged {
        match self {
            PointRequest::Modbus(ask) => match reply::judge(&ask, heard) {
                ReadReply::Answer(data) => Judged::Whole(data),
                ReadReply::Exception(code) => Judged::Missed(NotRead::Exception(code)),
                ReadReply::Silence | ReadReply::Other => {
                    Judged::Missed(not_read(BusAddress::Modbus(ask.unit), heard))
                }
            },
            PointRequest::Dlt645(ask, reassembly) => judged_of_meter(&ask, reassembly, heard),
        }
    }
}

fn judged_of_meter(
    ask: &MeterRequest,
    reassembly: Option<Reassembly>,
    heard: &SurveyReply,
) -> Judged {
    let replies = heard.frames.iter().filter_map(|frame| match frame {
        HeardFrame::Dlt645 {
            address,
            control,
            data,
        } => Some(ask.judge(&Frame {
            address: *address,
            control: Control(*control),
            data: data.clone(),
        })),
        HeardFrame::Modbus { .. } => None,
    });
    let mut replies = replies.filter(|reply| !matches!(reply, Reply::Stranger));
    let part: Part = match replies.next() {
        Some(Reply::Answer(part)) => part,
        Some(Reply::Refusal(word)) => return Judged::Missed(NotRead::Declined(word)),
        Some(Reply::Stranger) | None => {
            return Judged::Missed(not_read(BusAddress::Dlt645(ask.address), heard));
        }
    };
    let joined = match (reassembly, &ask.operation) {
        (Some(reassembly), _) => reassembly.go_on(part),
        (None, MeterOperation::Read { id, length }) => Reassembly::begin(*id, *length, part),
        (None, _) => ReassemblyResult::Whole(part.data),
    };
    match joined {
        ReassemblyResult::Whole(data) => Judged::Whole(Data::Bytes(data)),
        ReassemblyResult::Next(ask, reassembly) => {
            Judged::Next(PointRequest::Dlt645(ask, Some(reassembly)))
        }
        ReassemblyResult::Unfit => Judged::Missed(NotRead::Unfit),
    }
}

/// Returns why there is no reply of this device in what was heard.
fn not_read(asked: BusAddress, heard: &SurveyReply) -> NotRead {
    let sender = |frame: &HeardFrame| match frame {
        HeardFrame::Modbus { unit, .. } => BusAddress::Modbus(*unit),
        HeardFrame::Dlt645 { address, .. } => BusAddress::Dlt645(*address),
    };
    let is_asked = |from: BusAddress| match (asked, from) {
        (BusAddress::Dlt645(asked), BusAddress::Dlt645(from)) => asked.means(from),
        (asked, from) => asked == from,
    };
    let senders: Vec<BusAddress> = heard.frames.iter().map(sender).collect();
    let other = senders.iter().find(|from| !is_asked(**from));
    match (other, senders.is_empty(), heard.noise, heard.echoes) {
        (Some(other), ..) => NotRead::Other(*other),
        (None, false, ..) => NotRead::Unfit,
        (None, true, 0, 0) => NotRead::Silence,
        (None, true, 0, _) => NotRead::Echo,
        (None, true, noise, _) => NotRead::Noise(noise),
    }
}

/// Figures of many rounds of reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadFigures {
    /// How many requests were made.
    pub requests: u64,
    /// How many of them were not answered, refusals being answers.
    pub missed: u64,
    /// How many were refused.
    pub refused: u64,
    /// The times from a request to the first byte of its reply, the last of them.
    times: VecDeque<Duration>,
}

impl ReadFigures {
    /// How many times are kept.
    const TIMES: usize = 10_000;

    /// Notes what was heard after one request.
    pub fn on_heard(&mut self, question: &SurveyQuestion, heard: &SurveyReply) {
        self.requests += 1;
        let answer = heard.frames.iter().find(|frame| frame.answers(question));
        let Some(answer) = answer else {
            self.missed += 1;
            return;
        };
        let is_refusal = match answer {
            HeardFrame::Modbus { pdu, .. } => pdu.first().is_some_and(|f| f & 0x80 != 0),
            HeardFrame::Dlt645 { control, .. } => control & 0x40 != 0,
        };
        self.refused += u64::from(is_refusal);
        if let Some(after) = heard.first_after {
            self.times.push_back(after);
            if self.times.len() > Self::TIMES {
                self.times.pop_front();
            }
        }
    }

    /// Returns the shortest time, the one that half of the replies took at most, and the longest;
    /// `None` if there was no reply.
    #[must_use]
    pub fn times(&self) -> Option<[Duration; 3]> {
        let mut sorted: Vec<Duration> = self.times.iter().copied().collect();
        sorted.sort_unstable();
        let half = *sorted.get(sorted.len() / 2)?;
        Some([*sorted.first()?, half, *sorted.last()?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::UnitId;
    use crate::field::test_spec::{installation, number, point, profile, serial};
    use crate::spec::{Number, Table};

    fn reader(addresses: &[u16]) -> PointReader {
        let at = |a: &u16| point(Table::HoldingRegister, *a, number(Number::U16), 1000);
        let points = profile(addresses.iter().map(at).collect());
        let mut device = installation(serial(9600), vec![points]).devices.remove(0);
        device.address = BusAddress::Modbus(UnitId(3));
        PointReader::new(&serial(9600), &device, |_| true)
    }

    fn heard(unit: u8, pdu: &[u8]) -> SurveyReply {
        SurveyReply {
            frames: vec![HeardFrame::Modbus {
                unit: UnitId(unit),
                pdu: pdu.to_vec(),
            }],
            ..SurveyReply::default()
        }
    }

    fn asked(reader: &mut PointReader) -> Vec<u8> {
        match reader.question() {
            Some(SurveyQuestion::Modbus { pdu, .. }) => pdu,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_point_that_is_absent_does_not_hide_the_others() {
        let mut reader = reader(&[0, 1]);
        assert_eq!(asked(&mut reader), [3, 0, 0, 0, 2]);
        reader.on_heard(&heard(3, &[0x83, 2]), true, false);
        assert_eq!(asked(&mut reader), [3, 0, 0, 0, 1]);
        reader.on_heard(&heard(3, &[3, 2, 0, 7]), true, false);
        assert_eq!(asked(&mut reader), [3, 0, 1, 0, 1]);
        reader.on_heard(&heard(3, &[0x83, 2]), true, false);
        assert_eq!(reader.question(), None);
        assert_eq!(reader.points()[&0].value, Ok(Value::UInt(7)));
        assert_eq!(reader.points()[&0].registers, [7]);
        assert_eq!(reader.points()[&1].value, Err(NotRead::Exception(2)));
    }

    #[test]
    fn a_reply_that_may_be_anothers_is_asked_for_once_more() {
        let mut reader = reader(&[0]);
        let reply = heard(3, &[3, 2, 0, 7]);
        for n in 0..2 {
            assert_eq!(asked(&mut reader), [3, 0, 0, 0, 1], "{n}");
            reader.on_heard(&reply, true, true);
        }
        assert_eq!(reader.question(), None);
        assert!(reader.points()[&0].may_be_stale);
    }

    #[test]
    fn what_came_instead_of_a_reply_is_told_apart() {
        let noise = SurveyReply {
            noise: 4,
            ..SurveyReply::default()
        };
        let echo = SurveyReply {
            echoes: 1,
            ..SurveyReply::default()
        };
        for (heard, is_sent, why) in [
            (SurveyReply::default(), true, NotRead::Silence),
            (SurveyReply::default(), false, NotRead::NotSent),
            (echo, true, NotRead::Echo),
            (noise, true, NotRead::Noise(4)),
            (
                heard(4, &[3, 2, 0, 7]),
                true,
                NotRead::Other(BusAddress::Modbus(UnitId(4))),
            ),
            (heard(3, &[3, 4, 0, 7, 0, 7]), true, NotRead::Unfit),
            (heard(3, &[0x83, 4]), true, NotRead::Exception(4)),
        ] {
            let mut reader = reader(&[0]);
            let _ = reader.question();
            reader.on_heard(&heard, is_sent, false);
            assert_eq!(reader.question(), None);
            assert_eq!(reader.points()[&0].value, Err(why));
        }
    }

    #[test]
    fn figures_count_answers_misses_and_times() {
        let mut figures = ReadFigures::default();
        let question = SurveyQuestion::Modbus {
            unit: UnitId(3),
            pdu: vec![3, 0, 0, 0, 1],
        };
        for (pdu, ms) in [
            (&[3, 2, 0, 7][..], 10),
            (&[0x83, 2], 30),
            (&[3, 2, 0, 7], 20),
        ] {
            let mut heard = heard(3, pdu);
            heard.first_after = Some(Duration::from_millis(ms));
            figures.on_heard(&question, &heard);
        }
        figures.on_heard(&question, &SurveyReply::default());
        assert_eq!(
            (figures.requests, figures.missed, figures.refused),
            (4, 1, 1)
        );
        let times = figures.times().unwrap().map(|t| t.as_millis());
        assert_eq!(times, [10, 20, 30]);
    }
}
