//! Puts the requests of a command in order, before anything is sent.

use std::sync::Arc;
use std::time::Duration;

use crate::base::{BusWork, PointEnd, RefusedReason, Value, WriteVerdict};
use crate::field::encode::{Encoded, MaskedWord, WriteContent, encode};
use crate::field::modbus::write::{Entries, MAX_COILS, MAX_REGISTERS};
use crate::field::plan::ReadBlock;
use crate::field::plan::block_address::{BlockAddress, DatumAsked, EntryRange, QuestionAsked};
use crate::field::plan::{item_of, question_of, span_of};
use crate::field::schedule::command::BusWrite;
use crate::spec::raw::RawQuestion;
use crate::spec::{
    Interlock, Operand, PointAddress, PointSpec, ProfileSpec, Protocol, ReadBack, ServiceStep,
    Table, WriteFunctions, WriteRequests,
};

/// One step of a command.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CommandStep {
    /// Which step of the service it belongs to, counted from 1; 1 for all steps of a set.
    pub(crate) number: usize,
    /// What is done.
    pub(crate) what: StepAction,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum StepAction {
    /// Reads a point and goes on only if its value fulfils the condition.
    Require(Interlock),
    /// Writes.
    Write(PointWrite),
    /// Waits.
    Wait(Duration),
    /// Reads points, and compares each with what it must be.
    ReadBack(ReadBlock, Vec<Expected>),
    /// Reads a point for an output of this name.
    Read(u16, String),
}

/// What a point must be when it is read back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expected {
    /// Which of the command's targets it is for.
    pub(crate) target: usize,
    /// The point that is read.
    pub(crate) point: u16,
    /// The value that it must have.
    pub(crate) value: Value,
}

/// What is written for some of the command's targets. Only entries of Modbus are gathered.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PointWrite {
    /// Entries of one table.
    Entries(EntryWrite),
    /// A datum of a meter.
    Datum {
        /// Which.
        asked: DatumAsked,
        /// The datum as it travels.
        data: Vec<u8>,
        /// The target.
        target: usize,
    },
    /// What a device without a standard is told.
    Question {
        /// The request, with the value in its place.
        asked: QuestionAsked,
        /// The target.
        target: usize,
    },
}

impl PointWrite {
    /// Returns the targets.
    pub(crate) fn targets(&self) -> &[usize] {
        match self {
            PointWrite::Entries(entries) => &entries.targets,
            PointWrite::Datum { target, .. } | PointWrite::Question { target, .. } => {
                std::slice::from_ref(target)
            }
        }
    }

    /// Returns what is sent, or the registers that must be read before; `old` are those registers,
    /// if they have been.
    pub(crate) fn request(&self, requests: WriteRequests, old: Option<&[u16]>) -> WriteRequest {
        match self {
            PointWrite::Entries(entries) => entries.request(requests, old),
            PointWrite::Datum { asked, data, .. } => WriteRequest::Write(BusWrite::Datum {
                asked: *asked,
                data: data.clone(),
            }),
            PointWrite::Question { asked, .. } => {
                WriteRequest::Write(BusWrite::Question(asked.clone()))
            }
        }
    }
}

/// Entries of one table, side by side, that are written for some of the command's targets.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EntryWrite {
    /// The first address.
    pub(crate) start: u16,
    /// What is written.
    pub(crate) content: EntryContent,
    /// The targets.
    pub(crate) targets: Vec<usize>,
}

/// The entries of a write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum EntryContent {
    /// Coils.
    Coils(Vec<bool>),
    /// Holding registers, of each the bits that are written.
    Registers(Vec<MaskedWord>),
}

/// A point that is to be written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WriteTarget {
    /// Its index in the profile.
    pub(crate) point: u16,
    /// The value that the device will hold.
    pub(crate) value: Value,
    /// Whether nothing reads it back.
    pub(crate) is_unread: bool,
}

/// The steps of a command, and what they are for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CommandSteps {
    pub(crate) steps: Vec<CommandStep>,
    pub(crate) targets: Vec<WriteTarget>,
}

/// Returns the steps of a command.
///
/// # Errors
/// What became of each point, if nothing can be sent: one that is wrong refuses all.
pub(crate) fn steps_of(
    profile: &ProfileSpec,
    work: &BusWork,
) -> Result<CommandSteps, Vec<PointEnd>> {
    let mut steps = CommandSteps::default();
    match work {
        BusWork::Set(values) => {
            let values: Vec<(u16, &Value)> = values.iter().map(|(p, v)| (*p, v)).collect();
            write(profile, 1, &values, &mut steps)?;
        }
        BusWork::Call { service, inputs } => {
            let Some(service) = profile.services.get(usize::from(*service)) else {
                return Err(Vec::new());
            };
            for (number, step) in (1..).zip(&service.steps) {
                let what = match step {
                    ServiceStep::Write(values) => {
                        let values = values.iter().map(|(point, operand)| {
                            let value = match operand {
                                Operand::Fixed(value) => Some(value),
                                Operand::Input(input) => inputs.get(usize::from(*input)),
                            };
                            value.map(|v| (*point, v))
                        });
                        let Some(values) = values.collect::<Option<Vec<_>>>() else {
                            return Err(Vec::new());
                        };
                        write(profile, number, &values, &mut steps)?;
                        continue;
                    }
                    ServiceStep::Wait(span) => StepAction::Wait(*span),
                    ServiceStep::Read { point, output } => StepAction::Read(*point, output.clone()),
                    ServiceStep::Require(interlock) => StepAction::Require(interlock.clone()),
                };
                steps.steps.push(CommandStep { number, what });
            }
        }
    }
    Ok(steps)
}

/// Appends the steps that write these values and read them back.
fn write(
    profile: &ProfileSpec,
    number: usize,
    values: &[(u16, &Value)],
    steps: &mut CommandSteps,
) -> Result<(), Vec<PointEnd>> {
    let encoded: Vec<Result<(&PointSpec, Encoded), RefusedReason>> = values
        .iter()
        .map(|(point, value)| encoded(profile, *point, value))
        .collect();
    if encoded.iter().any(Result::is_err) {
        let ends = values.iter().zip(encoded).map(|((point, _), encoded)| {
            let why = encoded.err().unwrap_or(RefusedReason::NotReached);
            PointEnd {
                point: *point,
                verdict: WriteVerdict::Refused(why),
            }
        });
        return Err(ends.collect());
    }
    let first = steps.targets.len();
    let mut interlocks: Vec<Interlock> = Vec::new();
    let mut writes: Vec<PointWrite> = Vec::new();
    let mut settle = Duration::ZERO;
    let mut backs: Vec<(ReadBlock, Vec<Expected>)> = Vec::new();
    let all = encoded.into_iter().flatten().zip(values);
    for (target, ((point, encoded), (index, _))) in (first..).zip(all) {
        let Some(policy) = &point.write else { continue };
        if let Some(interlock) = &policy.only_if
            && !interlocks.contains(interlock)
        {
            interlocks.push(interlock.clone());
        }
        settle = settle.max(policy.settle);
        let read_at = match policy.read_back {
            ReadBack::Itself => Some(*index),
            ReadBack::Point(other) => Some(other),
            ReadBack::Never => None,
        };
        let back = read_at.and_then(|at| expected(profile, target, at, &encoded.value));
        steps.targets.push(WriteTarget {
            point: *index,
            value: encoded.value,
            is_unread: back.is_none(),
        });
        if let Some((block, expected)) = back {
            join_read(profile, &mut backs, block, expected);
        }
        let entries = |start, content| {
            PointWrite::Entries(EntryWrite {
                start,
                content,
                targets: vec![target],
            })
        };
        let one = match encoded.content {
            WriteContent::Coil(on) => {
                let at = point.address.as_modbus();
                let start = at.map(|a| a.start).unwrap_or_default();
                entries(start, EntryContent::Coils(vec![on]))
            }
            WriteContent::Registers { start, words } => {
                entries(start, EntryContent::Registers(words))
            }
            WriteContent::Datum(data) => match block_of(profile, *index).map(|block| block.address)
            {
                Some(BlockAddress::Dlt645(asked)) => PointWrite::Datum {
                    asked,
                    data,
                    target,
                },
                // Only a point of DL/T 645 has a datum.
                _ => return Err(Vec::new()),
            },
            WriteContent::Value(bytes) => match told(profile, point, &bytes) {
                Some(asked) => PointWrite::Question { asked, target },
                // It was looked at above.
                None => return Err(Vec::new()),
            },
        };
        match (writes.last_mut(), one) {
            (Some(PointWrite::Entries(last)), PointWrite::Entries(one))
                if last.joins(&one, profile.writes) =>
            {
                last.join(one);
            }
            (_, one) => writes.push(one),
        }
    }
    let mut push = |what| steps.steps.push(CommandStep { number, what });
    interlocks
        .into_iter()
        .map(StepAction::Require)
        .for_each(&mut push);
    writes
        .into_iter()
        .map(StepAction::Write)
        .for_each(&mut push);
    if !settle.is_zero() {
        push(StepAction::Wait(settle));
    }
    let backs = backs.into_iter();
    backs
        .map(|(block, expected)| StepAction::ReadBack(block, expected))
        .for_each(&mut push);
    Ok(())
}

fn encoded<'p>(
    profile: &'p ProfileSpec,
    point: u16,
    value: &Value,
) -> Result<(&'p PointSpec, Encoded), RefusedReason> {
    let point = profile.points.get(usize::from(point));
    let point = point.ok_or(RefusedReason::NoSuchTarget)?;
    if point.write.is_none() {
        return Err(RefusedReason::NotWritable);
    }
    let encoded = encode(point, value).map_err(|why| why.refused(value))?;
    let entries = match &encoded.content {
        WriteContent::Coil(_) | WriteContent::Datum(_) => 1,
        WriteContent::Registers { words, .. } => words.len(),
        WriteContent::Value(bytes) if told(profile, point, bytes).is_none() => {
            return Err(RefusedReason::WrongValue {
                seen: value.to_json_text(),
                wanted: "a value with which the request can be sent".into(),
            });
        }
        WriteContent::Value(_) => 1,
    };
    if entries > 1 && profile.writes.functions == WriteFunctions::Single {
        // The configuration refuses such points; a half of a value is never written.
        return Err(RefusedReason::NotWritable);
    }
    Ok((point, encoded))
}

/// Returns the request that tells a device without a standard this value, if there is one.
fn told(profile: &ProfileSpec, point: &PointSpec, value: &[u8]) -> Option<QuestionAsked> {
    let Protocol::Raw(questions) = &profile.protocol else {
        return None;
    };
    let index = point.write.as_ref()?.by.as_ref()?.question;
    let question = questions.get(index.index())?;
    let request = question.request.with(value).ok()?;
    let question = RawQuestion {
        request,
        ..RawQuestion::clone(question)
    };
    Some(QuestionAsked {
        index,
        question: Arc::new(question),
    })
}

/// Returns what is read to see this value at that point; `None` if the point cannot show it.
fn expected(
    profile: &ProfileSpec,
    target: usize,
    at: u16,
    value: &Value,
) -> Option<(ReadBlock, Expected)> {
    let point = profile.points.get(usize::from(at))?;
    let block = block_of(profile, at)?;
    // Another point may have another scale: what it will show is what it would be written as.
    let value = encode(point, value).map_or_else(|_| value.clone(), |e| e.value);
    let expected = Expected {
        target,
        point: at,
        value,
    };
    Some((block, expected))
}

/// Returns the block that reads one point.
pub(crate) fn block_of(profile: &ProfileSpec, point: u16) -> Option<ReadBlock> {
    let spec = profile.points.get(usize::from(point))?;
    let address = match (spec.address, &profile.protocol) {
        (PointAddress::Modbus(address), _) => {
            BlockAddress::Modbus(EntryRange::of_span(address.table, span_of(profile, point)?))
        }
        (address @ PointAddress::Dlt645(_), Protocol::Dlt645(items)) => item_of(items, address)?.1,
        (address @ PointAddress::Raw(_), Protocol::Raw(questions)) => {
            question_of(questions, address)?.1
        }
        (PointAddress::Dlt645(_) | PointAddress::Raw(_), _) => return None,
    };
    Some(ReadBlock {
        address,
        interval: spec.interval,
        priority: spec.priority,
        points: vec![point],
    })
}

/// Adds a point to the last block if it stands beside it or in it.
fn join_read(
    profile: &ProfileSpec,
    backs: &mut Vec<(ReadBlock, Vec<Expected>)>,
    block: ReadBlock,
    expected: Expected,
) {
    if let Some((last, all)) = backs.last_mut()
        && let (Some(a), Some(b)) = (last.address.entries(), block.address.entries())
        && a.table == b.table
    {
        let ((from, to), (next, end)) = (a.span(), b.span());
        let (low, high) = (from.min(next), to.max(end));
        let is_beside = next <= to && from <= end;
        if is_beside && high - low <= u32::from(profile.max_registers) {
            last.address = BlockAddress::Modbus(EntryRange::of_span(a.table, (low, high)));
            if !last.points.contains(&expected.point) {
                last.points.push(expected.point);
            }
            all.push(expected);
            return;
        }
    }
    backs.push((block, vec![expected]));
}

impl EntryWrite {
    /// Returns whether the next write may be made in the same request: it goes on where this one
    /// ends, or writes other bits of the same register.
    fn joins(&self, next: &EntryWrite, requests: WriteRequests) -> bool {
        if requests.functions == WriteFunctions::Single && !self.is_same_register(next) {
            return false;
        }
        match (&self.content, &next.content) {
            (EntryContent::Coils(a), EntryContent::Coils(b)) => {
                self.end() == u32::from(next.start) && a.len() + b.len() <= MAX_COILS
            }
            (EntryContent::Registers(a), EntryContent::Registers(b)) => {
                self.is_same_register(next)
                    || self.end() == u32::from(next.start) && a.len() + b.len() <= MAX_REGISTERS
            }
            _ => false,
        }
    }

    fn is_same_register(&self, next: &EntryWrite) -> bool {
        match (&self.content, &next.content) {
            (EntryContent::Registers(a), EntryContent::Registers(b)) => {
                let bits = |all: &[MaskedWord]| all.first().map_or(0, |w| w.mask);
                self.start == next.start && (a.len(), b.len()) == (1, 1) && bits(a) & bits(b) == 0
            }
            _ => false,
        }
    }

    fn join(&mut self, next: EntryWrite) {
        let is_same = self.is_same_register(&next);
        match (&mut self.content, next.content) {
            (EntryContent::Coils(a), EntryContent::Coils(b)) => a.extend(b),
            (EntryContent::Registers(a), EntryContent::Registers(b)) if is_same => {
                for (a, b) in a.iter_mut().zip(b) {
                    a.bits |= b.bits;
                    a.mask |= b.mask;
                }
            }
            (EntryContent::Registers(a), EntryContent::Registers(b)) => a.extend(b),
            _ => {}
        }
        self.targets.extend(next.targets);
    }

    fn end(&self) -> u32 {
        u32::from(self.start)
            + match &self.content {
                EntryContent::Coils(all) => all.len() as u32,
                EntryContent::Registers(all) => all.len() as u32,
            }
    }

    const fn sent(&self, entries: Entries) -> WriteRequest {
        let start = self.start;
        WriteRequest::Write(BusWrite::Entries { start, entries })
    }

    /// Returns the entries as they are sent, or the registers that must be read before; `old`
    /// are those registers, if they have been.
    fn request(&self, requests: WriteRequests, old: Option<&[u16]>) -> WriteRequest {
        let many = requests.functions == WriteFunctions::Multiple;
        let words = match &self.content {
            EntryContent::Coils(all) => {
                return self.sent(match all.as_slice() {
                    [one] if !many => Entries::Coil(*one),
                    all => Entries::Coils(all.to_vec()),
                });
            }
            EntryContent::Registers(words) => words,
        };
        if let [word] = words.as_slice()
            && word.mask != u16::MAX
            && requests.mask_write
        {
            // Modbus Application Protocol V1.1b3 §6.16: (old AND and) OR (or AND NOT and).
            return self.sent(Entries::Mask {
                and: !word.mask,
                or: word.bits & word.mask,
            });
        }
        let whole = words.iter().all(|w| w.mask == u16::MAX);
        let merged: Vec<u16> = match old {
            Some(old) if old.len() == words.len() => {
                let both = words.iter().zip(old);
                both.map(|(w, old)| w.merged(*old)).collect()
            }
            _ if whole => words.iter().map(|w| w.bits).collect(),
            _ => {
                return WriteRequest::Read(EntryRange {
                    table: Table::HoldingRegister,
                    start: self.start,
                    count: u16::try_from(words.len()).unwrap_or(u16::MAX),
                });
            }
        };
        self.sent(match merged.as_slice() {
            [one] if !many => Entries::Register(*one),
            _ => Entries::Registers(merged),
        })
    }
}

/// The next request of a write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum WriteRequest {
    /// The write itself.
    Write(BusWrite),
    /// Registers whose other bits must stay as they are: they are read first.
    Read(EntryRange),
}
