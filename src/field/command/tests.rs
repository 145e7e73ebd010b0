//! Commands against devices that refuse, fall silent, lose replies and change what they were
//! told, on virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use crate::base::{
    BusCommand, BusEnd, BusWork, CommandNumber, DeviceId, MissReason, Mono, Now, PointEnd, PortId,
    RefusedReason, Rng, UnitId, UnknownReason, Value, WriteVerdict,
};
use crate::field::dlt645::ask::{ErrorWord, MeterOperation};
use crate::field::modbus::Data;
use crate::field::modbus::write::Entries;
use crate::field::schedule::{NextAction, Schedule};
use crate::field::test_spec::{installation, number, point, profile, serial, tcp};
use crate::field::transaction::request::{Outcome, Request, RequestBody};
use crate::spec::dlt645::{
    DataIdentifier, DataItem, Edition, Format, Layout, MeterAddress, ValuePosition, WriteAccess,
};
use crate::spec::*;

/// What happens to one request of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RequestFate {
    /// It is done and answered.
    Done,
    /// It is done, and the reply is lost.
    ReplyLost,
    /// It is lost.
    Lost,
    /// The device refuses it.
    Refused,
    /// The device confirms it, and does something else.
    Changed,
}

fn fates() -> impl Strategy<Value = Vec<RequestFate>> {
    let fate = prop_oneof![
        6 => Just(RequestFate::Done),
        1 => Just(RequestFate::ReplyLost),
        1 => Just(RequestFate::Lost),
        1 => Just(RequestFate::Refused),
        1 => Just(RequestFate::Changed),
    ];
    prop::collection::vec(fate, 1..12)
}

/// What the devices of a line speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TestProtocol {
    /// Modbus RTU.
    Rtu,
    /// Modbus TCP.
    Tcp,
    /// DL/T 645-2007.
    Dlt645,
    /// A protocol without a standard.
    Raw,
    /// The same in frames of Modbus TCP.
    Carried,
}

const SPEECHES: [TestProtocol; 5] = [
    TestProtocol::Rtu,
    TestProtocol::Tcp,
    TestProtocol::Dlt645,
    TestProtocol::Raw,
    TestProtocol::Carried,
];

/// The identifier of the datum that stands for register 0.
const FIRST: u32 = 0x0400_0A00;

impl TestProtocol {
    fn point(self, address: u16) -> PointSpec {
        let plain = point(Table::HoldingRegister, address, number(Number::U16), 1000);
        match self {
            TestProtocol::Rtu | TestProtocol::Tcp => plain,
            TestProtocol::Dlt645 => PointSpec {
                address: PointAddress::Dlt645(DatumAddress {
                    item: ItemIndex(address),
                    position: ValuePosition::Value(0),
                }),
                codec: Codec::Datum {
                    item: item(address),
                    scale: Decimal::ONE,
                    offset: Decimal::ZERO,
                    number_type: None,
                },
                ..plain
            },
            TestProtocol::Raw | TestProtocol::Carried => PointSpec {
                address: PointAddress::Raw(QuestionIndex(2 * address)),
                codec: Codec::Part(Box::new(raw::ReplyPart::Number {
                    written: raw::part::BinaryNumber::Binary {
                        at: 2,
                        kind: raw::part::NumberKind::Unsigned(2),
                        order: raw::part::Endianness::High,
                    },
                    scale: Decimal::ONE,
                    offset: Decimal::ZERO,
                    number_type: None,
                })),
                ..plain
            },
        }
    }

    /// Returns with which request a register is written, where that is said.
    fn by(self, address: u16) -> Option<raw::WriteBy> {
        match self {
            TestProtocol::Rtu | TestProtocol::Tcp | TestProtocol::Dlt645 => None,
            TestProtocol::Raw | TestProtocol::Carried => Some(raw::WriteBy {
                question: QuestionIndex(2 * address + 1),
                form: raw::ValueForm::Binary(
                    raw::part::NumberKind::Unsigned(2),
                    raw::part::Endianness::High,
                ),
            }),
        }
    }

    fn protocol(self) -> Protocol {
        match self {
            TestProtocol::Rtu | TestProtocol::Tcp => Protocol::Modbus,
            TestProtocol::Dlt645 => Protocol::Dlt645((0..6).map(item).collect()),
            TestProtocol::Raw | TestProtocol::Carried => {
                let carried = (self == TestProtocol::Carried).then_some(UnitId(1));
                let all =
                    (0..6).flat_map(|n| [question(carried, 'R', n), question(carried, 'W', n)]);
                Protocol::Raw(all.map(Arc::new).collect())
            }
        }
    }

    /// Returns what a request asks for or writes.
    fn meaning(self, body: &RequestBody) -> Meaning {
        match body {
            RequestBody::Write(write) => Meaning::Write(
                write.start.into(),
                match &write.entries {
                    Entries::Register(word) => vec![*word],
                    Entries::Registers(words) => words.clone(),
                    other => panic!("{other:?}"),
                },
            ),
            RequestBody::Modbus(ask) => Meaning::Read(ask.start.into(), ask.count.into()),
            RequestBody::Dlt645(ask) => match &ask.operation {
                MeterOperation::Read { id, .. } => Meaning::Read(index(*id), 1),
                MeterOperation::Write { id, data, .. } => {
                    let word = u16::from_le_bytes(data.as_slice().try_into().unwrap());
                    Meaning::Write(index(*id), vec![word])
                }
                MeterOperation::ReadAddress => Meaning::Read(0, 0),
                other @ MeterOperation::Follow { .. } => panic!("{other:?}"),
            },
            RequestBody::Raw(question) => match question.request.bytes() {
                [b'R', n] => Meaning::Read((*n).into(), 1),
                [b'W', n, high, low] => {
                    Meaning::Write((*n).into(), vec![u16::from_be_bytes([*high, *low])])
                }
                other => panic!("{other:?}"),
            },
        }
    }

    /// Returns a refusal; only the frames of Modbus TCP have one for a protocol without a
    /// standard.
    fn refusal(self) -> Outcome {
        match self {
            TestProtocol::Rtu | TestProtocol::Tcp | TestProtocol::Carried => Outcome::Exception(4),
            TestProtocol::Raw => Outcome::Missed(MissReason::Garbled),
            TestProtocol::Dlt645 => Outcome::Refused(ErrorWord {
                edition: Edition::Y2007,
                bits: 4,
            }),
        }
    }

    /// Returns the confirmation of a write.
    fn confirmation(self) -> Outcome {
        match self {
            TestProtocol::Rtu | TestProtocol::Tcp | TestProtocol::Dlt645 => Outcome::Confirmed,
            TestProtocol::Raw | TestProtocol::Carried => {
                Outcome::Answered(Data::Bytes(b"W!".to_vec()))
            }
        }
    }

    fn answer(self, words: Vec<u16>) -> Data {
        match self {
            TestProtocol::Raw | TestProtocol::Carried => {
                let bytes = words.into_iter().flat_map(u16::to_be_bytes);
                Data::Bytes(b"R!".iter().copied().chain(bytes).collect())
            }
            TestProtocol::Rtu | TestProtocol::Tcp => Data::Registers(words),
            TestProtocol::Dlt645 => {
                Data::Bytes(words.into_iter().flat_map(u16::to_le_bytes).collect())
            }
        }
    }

    /// Returns the verdict of a write that the device refuses.
    fn refused(self) -> WriteVerdict {
        WriteVerdict::Refused(match self {
            TestProtocol::Rtu | TestProtocol::Tcp | TestProtocol::Carried => RefusedReason::Exception(4),
            // What came is no reply.
            TestProtocol::Raw => return WriteVerdict::Unknown(UnknownReason::NoReply),
            TestProtocol::Dlt645 => RefusedReason::Declined {
                word: 4,
                why: "wrong password or not authorised; write_password may be another one, or the meter wants its programming key pressed first".into(),
            },
        })
    }
}

fn item(index: u16) -> DataItem {
    DataItem {
        id: DataIdentifier::Y2007(FIRST + u32::from(index)),
        format: Format::Bits(2),
        layout: Layout::One,
    }
}

/// Builds a question whose reply names it.
fn question(carried: Option<UnitId>, what: char, n: u8) -> raw::RawQuestion {
    let value = if what == 'W' { "{value}" } else { "" };
    let send = format!("\"{what}\" {n:02X} {value}");
    raw::RawQuestion {
        name: format!("{what}{n}"),
        request: raw::Template::parse(&send, None).unwrap(),
        reply: raw::ReplyMarks {
            end: raw::ReplyEnd::Terminator(b"!".to_vec()),
            fixed: vec![raw::Fixed {
                at: 0,
                bytes: vec![what as u8, n],
            }],
            check: None,
            behind_check: 0,
            preamble: None,
        },
        carried,
    }
}

fn index(id: DataIdentifier) -> usize {
    match id {
        DataIdentifier::Y2007(id) => (id - FIRST) as usize,
        DataIdentifier::Y1997(_) => panic!("{id}"),
    }
}

/// What a request means to a device.
enum Meaning {
    /// These values are written from this register on.
    Write(usize, Vec<u16>),
    /// So many are read from this register on.
    Read(usize, usize),
}

/// Registers 0 to 5 of each device: plain, plain and beside it, one that needs a rest, a command
/// register whose state is shown by the register behind it, and one that is written only while
/// register 0 is below 1000.
fn kind(speech: TestProtocol) -> ProfileSpec {
    let mut points: Vec<PointSpec> = (0..6).map(|address| speech.point(address)).collect();
    let policies = [
        WritePolicy::default(),
        WritePolicy::default(),
        WritePolicy {
            settle: Duration::from_millis(300),
            ..WritePolicy::default()
        },
        WritePolicy {
            read_back: ReadBack::Point(4),
            ..WritePolicy::default()
        },
        WritePolicy::default(),
        WritePolicy {
            only_if: Some(Interlock {
                point: 0,
                condition: Condition {
                    below: Some(Decimal {
                        digits: 1000,
                        places: 0,
                    }),
                    ..Condition::default()
                },
            }),
            ..WritePolicy::default()
        },
    ];
    for (point, policy) in points.iter_mut().zip(policies) {
        point.write = Some(Box::new(policy));
    }
    for (address, point) in (0..).zip(&mut points) {
        let policy = point.write.as_mut().unwrap();
        policy.by = speech.by(address);
    }
    ProfileSpec {
        protocol: speech.protocol(),
        ..profile(points)
    }
}

/// The devices of one line.
struct Plant {
    speech: TestProtocol,
    registers: Vec<[u16; 6]>,
    fates: Vec<RequestFate>,
    next: usize,
    /// By value: how often it was written, and when the last such request was sent.
    written: BTreeMap<u16, Vec<Mono>>,
}

impl Plant {
    fn new(speech: TestProtocol, devices: usize, fates: Vec<RequestFate>) -> Self {
        Plant {
            speech,
            registers: vec![[0; 6]; devices],
            fates,
            next: 0,
            written: BTreeMap::new(),
        }
    }

    /// Returns how a request ends, and after how long.
    fn asked(&mut self, now: Mono, request: &Request) -> (Duration, Outcome) {
        let fate = match request.is_command() {
            true => {
                self.next += 1;
                self.fates[(self.next - 1) % self.fates.len()]
            }
            false => RequestFate::Done,
        };
        let registers = &mut self.registers[request.device.index()];
        let short = Duration::from_millis(20);
        let silent = (request.timeout, Outcome::Missed(MissReason::Silence));
        let speech = self.speech;
        match speech.meaning(&request.body) {
            Meaning::Write(start, words) => {
                for word in &words {
                    self.written.entry(*word).or_default().push(now);
                }
                match fate {
                    RequestFate::Lost => return silent,
                    RequestFate::Refused => return (short, speech.refusal()),
                    RequestFate::Done | RequestFate::ReplyLost | RequestFate::Changed => {}
                }
                for (at, word) in (start..).zip(words) {
                    let kept = if fate == RequestFate::Changed {
                        7
                    } else {
                        word
                    };
                    registers[at] = kept;
                    if at == 3 {
                        registers[4] = kept;
                    }
                }
                match fate {
                    RequestFate::ReplyLost => silent,
                    _ => (short, speech.confirmation()),
                }
            }
            Meaning::Read(from, count) => match fate {
                RequestFate::Lost | RequestFate::ReplyLost => silent,
                RequestFate::Refused => (short, speech.refusal()),
                RequestFate::Done | RequestFate::Changed => {
                    // A longer request reads past the end.
                    let all = registers.iter().copied().chain([0]);
                    let words = all.skip(from).take(count).collect();
                    (short, Outcome::Answered(speech.answer(words)))
                }
            },
        }
    }
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

struct World {
    schedule: Schedule,
    plant: Plant,
    now: Mono,
    ends: Vec<(Mono, BusEnd)>,
    /// By the values that are wanted: the command.
    wanted: BTreeMap<u16, u64>,
    /// The commands that were told to be about to write.
    begun: BTreeSet<u64>,
}

impl World {
    fn new(speech: TestProtocol, devices: usize, fates: Vec<RequestFate>) -> World {
        let port = match speech {
            TestProtocol::Tcp | TestProtocol::Carried => tcp(),
            TestProtocol::Rtu | TestProtocol::Dlt645 | TestProtocol::Raw => serial(9600),
        };
        let mut spec = installation(port, vec![kind(speech); devices]);
        if speech == TestProtocol::Dlt645 {
            for (number, device) in (1..).zip(&mut spec.devices) {
                let address = MeterAddress::parse(&format!("{number:012}")).unwrap();
                device.address = BusAddress::Dlt645(address);
                device.access = WriteAccess::parse("02123456", "00000000");
            }
        }
        World {
            schedule: Schedule::new(&spec, PortId(0), Rng::new(1), Now::default()),
            plant: Plant::new(speech, devices, fates),
            now: Mono::START,
            ends: Vec::new(),
            wanted: BTreeMap::new(),
            begun: BTreeSet::new(),
        }
    }

    fn give(&mut self, number: u64, device: u32, values: Vec<(u16, Value)>, within: Duration) {
        for (_, value) in &values {
            let Value::UInt(n) = value else {
                unreachable!()
            };
            self.wanted.insert(*n as u16, number);
        }
        let command = BusCommand {
            number: CommandNumber(number),
            device: DeviceId(device),
            work: BusWork::Set(values),
            until: self.now + within,
        };
        self.schedule.command(self.now, &command);
        self.take_ends();
    }

    fn take_ends(&mut self) {
        while let Some(mut end) = self.schedule.poll_end() {
            for point in &mut end.points {
                unsigned(&mut point.verdict);
            }
            self.ends.push((self.now, end));
        }
    }

    fn run(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            let next = self.schedule.next(self.now);
            while let Some(number) = self.schedule.poll_begun() {
                assert!(self.begun.insert(number.0), "a command begins once");
            }
            self.take_ends();
            match next {
                NextAction::Run(request) => {
                    if let Meaning::Write(_, words) = self.plant.speech.meaning(&request.body) {
                        let told = words.iter().all(|w| self.begun.contains(&self.wanted[w]));
                        assert!(told, "a write is told before it is sent");
                    }
                    let (took, outcome) = self.plant.asked(self.now, &request);
                    self.now = self.now + took;
                    self.schedule.done(self.now, &request, &outcome);
                    self.take_ends();
                }
                NextAction::NotBefore(at, why) => {
                    assert!(at > self.now, "{why}");
                    self.now = at.min(end);
                }
                NextAction::Idle => panic!("idle"),
            }
        }
    }

    fn verdict(&self, number: u64) -> Vec<WriteVerdict> {
        let found = self.ends.iter().find(|(_, e)| e.number.0 == number);
        let (_, end) = found.expect("it has ended");
        end.points.iter().map(|p| p.verdict.clone()).collect()
    }
}

/// Takes the sign from the type of a value: some protocols have whole numbers with a sign only.
fn unsigned(verdict: &mut WriteVerdict) {
    let values = match verdict {
        WriteVerdict::Verified { read } => vec![read],
        WriteVerdict::Confirmed { written } => vec![written],
        WriteVerdict::Different { written, read } => vec![written, read],
        WriteVerdict::Refused(RefusedReason::Interlock { value, .. }) => value.iter_mut().collect(),
        WriteVerdict::Unknown(_) | WriteVerdict::Refused(_) => Vec::new(),
    };
    for value in values {
        if let Value::Int(n) = *value {
            *value = Value::UInt(n.try_into().unwrap());
        }
    }
}

fn word(n: u16) -> Value {
    Value::UInt(n.into())
}

fn settled(speech: TestProtocol, fates: Vec<RequestFate>) -> World {
    let mut w = World::new(speech, 1, fates);
    w.run(ms(3000));
    w
}

#[test]
fn what_is_read_back_decides() {
    let different = WriteVerdict::Different {
        written: word(500),
        read: word(7),
    };
    let verified = || WriteVerdict::Verified { read: word(500) };
    for speech in SPEECHES {
        for (fates, wanted) in [
            (vec![RequestFate::Done], verified()),
            (
                vec![RequestFate::Changed, RequestFate::Done],
                different.clone(),
            ),
            // A read that is not answered is made again.
            (
                vec![RequestFate::Done, RequestFate::Lost, RequestFate::Done],
                verified(),
            ),
            (
                vec![RequestFate::Done, RequestFate::Refused],
                match speech {
                    // What came is no refusal: the read is made again.
                    TestProtocol::Raw => verified(),
                    _ => WriteVerdict::Unknown(UnknownReason::NotReadBack),
                },
            ),
            (
                vec![RequestFate::ReplyLost],
                WriteVerdict::Unknown(UnknownReason::NoReply),
            ),
            (
                vec![RequestFate::Lost],
                WriteVerdict::Unknown(UnknownReason::NoReply),
            ),
            (vec![RequestFate::Refused], speech.refused()),
        ] {
            for register in [0, 2, 3] {
                let mut w = settled(speech, fates.clone());
                w.give(1, 0, vec![(register, word(500))], ms(9000));
                w.run(ms(10_000));
                let wanted = std::slice::from_ref(&wanted);
                assert_eq!(w.verdict(1), wanted, "{speech:?} {fates:?} {register}");
                assert_eq!(w.plant.written[&500].len(), 1);
            }
        }
    }
}

#[test]
fn an_interlock_is_read_before_anything_is_written() {
    SPEECHES.into_iter().for_each(interlocked);
}

fn interlocked(speech: TestProtocol) {
    let mut w = settled(speech, vec![RequestFate::Done]);
    w.plant.registers[0][0] = 1000;
    w.give(1, 0, vec![(1, word(500)), (5, word(501))], ms(9000));
    w.run(ms(10_000));
    let interlock = WriteVerdict::Refused(RefusedReason::Interlock {
        point: "p0".into(),
        value: Some(word(1000)),
        wanted: "below 1000".into(),
    });
    let not_reached = WriteVerdict::Refused(RefusedReason::NotReached);
    assert_eq!(w.verdict(1), [interlock, not_reached]);
    assert!(w.plant.written.is_empty());
    w.plant.registers[0][0] = 999;
    w.give(2, 0, vec![(5, word(501))], ms(9000));
    w.run(ms(10_000));
    assert_eq!(w.verdict(2), [WriteVerdict::Verified { read: word(501) }]);
}

#[test]
fn a_newer_command_for_a_point_wins_while_the_older_waits() {
    SPEECHES.into_iter().for_each(overtaken);
}

fn overtaken(speech: TestProtocol) {
    let mut w = settled(speech, vec![RequestFate::Done]);
    w.give(1, 0, vec![(2, word(500))], ms(9000));
    // It is under way from here on, and rests before it reads back.
    w.run(ms(100));
    w.give(2, 0, vec![(2, word(501))], ms(9000));
    w.give(3, 0, vec![(0, word(502)), (2, word(503))], ms(9000));
    w.run(ms(10_000));
    assert_eq!(w.verdict(1), [WriteVerdict::Verified { read: word(500) }]);
    assert_eq!(
        w.verdict(2),
        [WriteVerdict::Refused(RefusedReason::Overtaken)]
    );
    let verified = |n| WriteVerdict::Verified { read: word(n) };
    assert_eq!(w.verdict(3), [verified(502), verified(503)]);
    assert!(!w.plant.written.contains_key(&501));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_happens_each_command_has_one_end_in_time_and_nothing_is_written_twice_or_late(
        speech in prop::sample::select(&SPEECHES[..]),
        devices in 1usize..4,
        fates in fates(),
        commands in prop::collection::vec(
            (0u64..2000, 0u32..4, prop::collection::btree_set(0u16..6, 1..4), 200u64..9000),
            1..20,
        ),
    ) {
        let mut w = World::new(speech, devices, fates);
        w.run(ms(2000));
        let mut given = Vec::new();
        for (number, (gap, device, points, within)) in commands.into_iter().enumerate() {
            let device = device % devices as u32;
            // Each value is a number of its own, at least 1000 so that 7 is none of them.
            let values: Vec<(u16, Value)> = points
                .into_iter()
                .map(|point| (point, word(1000 + number as u16 * 10 + point)))
                .collect();
            given.push((w.now + ms(within), device, values.clone()));
            w.give(number as u64, device, values, ms(within));
            w.run(ms(gap));
        }
        w.run(ms(20_000));
        prop_assert_eq!(w.ends.len(), given.len());
        // What is told to be about to write does.
        let written: BTreeSet<u64> = w.plant.written.keys().map(|v| w.wanted[v]).collect();
        prop_assert_eq!(&written, &w.begun);
        for (number, (until, _, values)) in given.iter().enumerate() {
            let of: Vec<_> = w.ends.iter().filter(|(_, e)| e.number.0 == number as u64).collect();
            prop_assert_eq!(of.len(), 1);
            let (at, end) = of[0];
            // While a reply to another request is waited for, nothing is said of a command that
            // has no time left.
            let says_what_it_knows = |p: &PointEnd| {
                matches!(p.verdict, WriteVerdict::Refused(_) | WriteVerdict::Unknown(_))
            };
            let late = match end.points.iter().any(says_what_it_knows) {
                true => ms(1000),
                false => Duration::ZERO,
            };
            prop_assert!(*at <= *until + late, "{:?} ended at {:?}, not by {:?}", end, at, until);
            prop_assert_eq!(end.points.len(), values.len());
            for ((point, value), end) in values.iter().zip(&end.points) {
                prop_assert_eq!(*point, end.point);
                let Value::UInt(n) = value else { unreachable!() };
                let sent = w.plant.written.get(&(*n as u16)).map_or(0, Vec::len);
                let late = w.plant.written.get(&(*n as u16)).is_some_and(|all| {
                    all.iter().any(|at| at > until)
                });
                prop_assert!(!late);
                match &end.verdict {
                    WriteVerdict::Verified { read } => {
                        prop_assert_eq!(read, value);
                        prop_assert_eq!(sent, 1);
                    }
                    WriteVerdict::Different { .. } | WriteVerdict::Unknown(_) => prop_assert_eq!(sent, 1),
                    WriteVerdict::Refused(RefusedReason::Exception(_) | RefusedReason::Declined { .. }) => {
                        prop_assert!(sent <= 1);
                    },
                    WriteVerdict::Refused(_) => prop_assert_eq!(sent, 0, "{:?}", end),
                    WriteVerdict::Confirmed { .. } => prop_assert!(false, "it is read back"),
                }
            }
        }
    }
}
