//! One transaction on a line where bytes are all there is: what to send, how to listen, and
//! the outcome, in any protocol.
//!
//! Contract: send [`Transaction::request`]; report every byte that comes and every pause of
//! [`Transaction::pause`]. [`TransactionStep::Again`] means that there is another request to send
//! (a datum of DL/T 645 that comes in several frames), [`TransactionStep::Over`] carries the
//! outcome. Without a step when time is up the transaction ended with [`Transaction::miss`]. This
//! module has no clock.

pub(crate) mod encode;
pub mod request;

use std::sync::Arc;
use std::time::Duration;

use crate::base::MissReason;
use crate::spec::raw::{RawQuestion, ReplyEnd};
use crate::spec::{BusAddress, Framing};

use self::request::{Outcome, Request, RequestBody};
use super::dlt645::ask::{MeterOperation, Reassembly, ReassemblyResult};
use super::dlt645::{self, frame};
use super::modbus::{Data, Reply};
use super::raw;
use crate::field::line::silence::Silence;
use crate::field::modbus::rtu::ListeningEnd;
use crate::field::modbus::write::ModbusRequest;
use crate::field::modbus::{ascii, rtu};
use crate::field::receiver::{Mismatch, OtherTraffic};

/// How a transaction goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransactionStep {
    /// The transaction is over.
    Over(Outcome),
    /// There is more to ask for: [`Transaction::request`] is another one now.
    Again,
}

/// The bytes of one request and the receiver of its reply.
#[derive(Clone)]
pub struct Transaction {
    request: Vec<u8>,
    receiver: FrameReceiver,
    /// What the receivers heard that were replaced.
    traffic: OtherTraffic,
    /// Bytes of the last reply, as far as that is known; for measuring.
    reply: Option<usize>,
    frames: u32,
    /// The address of the asked device.
    to: BusAddress,
}

impl std::fmt::Debug for Transaction {
    /// The bytes may hold a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Transaction with {:?}", self.to)
    }
}

/// How to listen.
#[derive(Clone, Debug)]
enum FrameReceiver {
    /// The length of the reply's PDU, and the receiver.
    Rtu(usize, rtu::Receiver),
    Ascii(usize, ascii::Receiver),
    Dlt645(dlt645::MeterRequest, Option<Reassembly>, dlt645::Receiver),
    Raw(Arc<RawQuestion>, raw::Receiver),
}

impl Transaction {
    /// Builds the transaction of this request on a line of this framing.
    #[must_use]
    pub fn new(request: &Request, framing: Framing) -> Self {
        let (frame, receiver) = match (&request.body, framing) {
            (RequestBody::Modbus(ask), framing) => modbus(ModbusRequest::Read(*ask), framing),
            (RequestBody::Write(write), framing) => {
                modbus(ModbusRequest::Write(write.clone()), framing)
            }
            (RequestBody::Dlt645(ask), _) => dlt645_receiver(ask.clone(), None),
            (RequestBody::Raw(question), _) => {
                let request = question.request.bytes();
                // Some devices confirm a write with the request once more.
                let echo = if question.request.takes_value() {
                    &[]
                } else {
                    request
                };
                let receiver = raw::Receiver::new((question.reply.clone(), echo));
                let receiver = FrameReceiver::Raw(Arc::clone(question), receiver);
                (request.to_vec(), receiver)
            }
        };
        Transaction {
            request: frame,
            receiver,
            traffic: OtherTraffic::default(),
            reply: None,
            frames: 1,
            to: request.to,
        }
    }

    /// Returns what to send next.
    #[must_use]
    pub fn request(&self) -> &[u8] {
        &self.request
    }

    /// Returns what is shown of [`Transaction::request`], if that has a secret in it.
    #[must_use]
    pub fn masked(&self) -> Option<Vec<u8>> {
        match &self.receiver {
            FrameReceiver::Dlt645(ask, ..) => ask.masked().map(|ask| frame_of(&ask)),
            FrameReceiver::Rtu(..) | FrameReceiver::Ascii(..) | FrameReceiver::Raw(..) => None,
        }
    }

    /// Takes the bytes that came.
    pub fn push(&mut self, bytes: &[u8]) -> Option<TransactionStep> {
        match &mut self.receiver {
            FrameReceiver::Rtu(_, receiver) => {
                let verdict = receiver.push(bytes)?;
                Some(self.modbus(verdict))
            }
            FrameReceiver::Ascii(_, receiver) => {
                let verdict = receiver.push(bytes)?;
                Some(self.modbus(verdict))
            }
            FrameReceiver::Dlt645(_, _, receiver) => {
                let verdict = receiver.push(bytes)?;
                Some(self.on_dlt645(verdict))
            }
            FrameReceiver::Raw(_, receiver) => {
                let verdict = receiver.push(bytes)?;
                Some(self.raw(verdict))
            }
        }
    }

    /// Notes that the line has been silent for [`Transaction::pause`].
    pub fn silence(&mut self) -> Option<TransactionStep> {
        match &mut self.receiver {
            FrameReceiver::Rtu(_, receiver) => {
                let verdict = receiver.silence()?;
                Some(self.modbus(verdict))
            }
            FrameReceiver::Ascii(_, receiver) => {
                let verdict = receiver.silence()?;
                Some(self.modbus(verdict))
            }
            FrameReceiver::Dlt645(_, _, receiver) => {
                let verdict = receiver.silence()?;
                Some(self.on_dlt645(verdict))
            }
            FrameReceiver::Raw(_, receiver) => {
                let verdict = receiver.silence()?;
                Some(self.raw(verdict))
            }
        }
    }

    /// Notes a pause where a pause ends no frame, because bytes come as the network delivers
    /// them: a reply behind noise is taken, and bytes that have come to their end and are no
    /// reply are settled. What may still become a reply is kept.
    pub fn on_pause(&mut self) -> Option<TransactionStep> {
        let mut silenced = self.clone();
        let step = silenced.silence()?;
        if matches!(step, TransactionStep::Over(Outcome::Missed(_))) && !self.is_full() {
            return None;
        }
        *self = silenced;
        Some(step)
    }

    fn is_full(&self) -> bool {
        match &self.receiver {
            FrameReceiver::Rtu(_, receiver) => receiver.is_full(),
            FrameReceiver::Ascii(_, receiver) => receiver.is_full(),
            FrameReceiver::Dlt645(_, _, receiver) => receiver.is_full(),
            FrameReceiver::Raw(_, receiver) => receiver.is_full(),
        }
    }

    /// Returns whether the reply has begun, or may have, and its rest may still come.
    #[must_use]
    pub fn may_go_on(&self) -> bool {
        match &self.receiver {
            FrameReceiver::Rtu(_, receiver) => receiver.may_go_on(),
            FrameReceiver::Ascii(_, receiver) => receiver.may_go_on(),
            FrameReceiver::Dlt645(_, _, receiver) => receiver.may_go_on(),
            FrameReceiver::Raw(_, receiver) => receiver.may_go_on(),
        }
    }

    /// Returns whether only silence shows where the reply ends.
    #[must_use]
    pub fn ends_by_silence(&self) -> bool {
        match &self.receiver {
            FrameReceiver::Raw(question, _) => matches!(question.reply.end, ReplyEnd::Silence(_)),
            FrameReceiver::Rtu(..) | FrameReceiver::Ascii(..) | FrameReceiver::Dlt645(..) => false,
        }
    }

    fn modbus(&mut self, verdict: ListeningEnd) -> TransactionStep {
        let bytes = |pdu| match self.receiver {
            FrameReceiver::Ascii(..) => ascii::frame_len(pdu),
            FrameReceiver::Rtu(..) | FrameReceiver::Dlt645(..) | FrameReceiver::Raw(..) => {
                rtu::frame_len(pdu)
            }
        };
        let asked = match &self.receiver {
            FrameReceiver::Rtu(asked, _) | FrameReceiver::Ascii(asked, _) => *asked,
            FrameReceiver::Dlt645(..) | FrameReceiver::Raw(..) => 0,
        };
        let (reply, outcome) = match verdict {
            ListeningEnd::Reply(Reply::Answer(data)) => {
                (Some(bytes(asked)), Outcome::Answered(data))
            }
            ListeningEnd::Reply(Reply::Confirmed) => (Some(bytes(asked)), Outcome::Confirmed),
            ListeningEnd::Reply(Reply::Exception(code)) => {
                (Some(bytes(2)), Outcome::Exception(code))
            }
            ListeningEnd::Reply(Reply::Stranger) => (None, Outcome::Missed(MissReason::Foreign)),
            ListeningEnd::Spoiled => (None, Outcome::Missed(MissReason::Garbled)),
        };
        self.reply = reply;
        TransactionStep::Over(outcome)
    }

    fn on_dlt645(&mut self, verdict: dlt645::receive::ListeningEnd) -> TransactionStep {
        use crate::field::receiver::ListeningEnd::{Reply as Received, Spoiled};
        let garbled = TransactionStep::Over(Outcome::Missed(MissReason::Garbled));
        let FrameReceiver::Dlt645(ask, reassembly, _) = &mut self.receiver else {
            return garbled;
        };
        let part = match verdict {
            Received(dlt645::Reply::Answer(part)) => part,
            Received(dlt645::Reply::Refusal(word)) => {
                self.reply = Some(frame::len(1));
                return TransactionStep::Over(Outcome::Refused(word));
            }
            Received(dlt645::Reply::Stranger) => {
                return TransactionStep::Over(Outcome::Missed(MissReason::Foreign));
            }
            Spoiled => return garbled,
        };
        self.reply = Some(frame::len(ask.echoed() + part.data.len()));
        let reassembled = match (reassembly.take(), &ask.operation) {
            (Some(reassembly), _) => reassembly.go_on(part),
            (None, MeterOperation::Write { .. }) => {
                return TransactionStep::Over(Outcome::Confirmed);
            }
            (None, MeterOperation::Read { id, length }) => Reassembly::begin(*id, *length, part),
            (None, _) => ReassemblyResult::Whole(part.data),
        };
        match reassembled {
            ReassemblyResult::Whole(data) => {
                TransactionStep::Over(Outcome::Answered(Data::Bytes(data)))
            }
            ReassemblyResult::Unfit => garbled,
            ReassemblyResult::Next(ask, reassembly) => {
                self.collect();
                (self.request, self.receiver) = dlt645_receiver(ask, Some(reassembly));
                self.frames = self.frames.saturating_add(1);
                TransactionStep::Again
            }
        }
    }

    fn raw(&mut self, verdict: raw::receive::ListeningEnd) -> TransactionStep {
        TransactionStep::Over(match verdict {
            raw::receive::ListeningEnd::Reply(bytes) => {
                self.reply = Some(bytes.len());
                Outcome::Answered(Data::Bytes(bytes))
            }
            raw::receive::ListeningEnd::Spoiled => Outcome::Missed(MissReason::Garbled),
        })
    }

    /// Returns the length of a pause that ends a frame that is being received.
    #[must_use]
    pub fn pause(&self, silence: &Silence) -> Duration {
        let usual = silence.frame_end();
        match &self.receiver {
            FrameReceiver::Rtu(..) => usual,
            FrameReceiver::Ascii(..) => usual.max(ascii::INTER_CHARACTER),
            FrameReceiver::Dlt645(..) => usual.max(frame::INTER_BYTE),
            FrameReceiver::Raw(question, _) => match question.reply.end {
                ReplyEnd::Silence(pause) => usual.max(pause),
                ReplyEnd::Length(_) | ReplyEnd::Terminator(_) | ReplyEnd::Frame => usual,
            },
        }
    }

    /// Returns the length that no reply exceeds.
    #[must_use]
    pub const fn longest(&self) -> usize {
        match self.receiver {
            FrameReceiver::Rtu(..) => rtu::MAX_FRAME,
            FrameReceiver::Ascii(..) => ascii::MAX_FRAME,
            FrameReceiver::Dlt645(..) => frame::len(frame::MAX_DATA) + frame::WAKE_UPS,
            FrameReceiver::Raw(..) => raw::reply::LONGEST,
        }
    }

    /// Returns whether bytes are waiting for the rest of their frame.
    #[must_use]
    pub fn is_reading(&self) -> bool {
        match &self.receiver {
            FrameReceiver::Rtu(_, receiver) => receiver.is_reading(),
            FrameReceiver::Ascii(_, receiver) => receiver.is_reading(),
            FrameReceiver::Dlt645(_, _, receiver) => receiver.is_reading(),
            FrameReceiver::Raw(_, receiver) => receiver.is_reading(),
        }
    }

    /// Returns how many more bytes it takes at least until there can be a step, where that is
    /// worth knowing to the microsecond.
    #[must_use]
    pub fn missing(&self) -> Option<usize> {
        match &self.receiver {
            FrameReceiver::Rtu(_, receiver) => receiver.missing(),
            FrameReceiver::Ascii(_, receiver) => receiver.missing(),
            FrameReceiver::Dlt645(_, _, receiver) => receiver.missing(),
            FrameReceiver::Raw(_, receiver) => receiver.missing(),
        }
    }

    /// Returns how the request was missed, when time is up without a step.
    #[must_use]
    pub fn miss(&self) -> MissReason {
        match &self.receiver {
            FrameReceiver::Rtu(_, receiver) => receiver.miss(),
            FrameReceiver::Ascii(_, receiver) => receiver.miss(),
            FrameReceiver::Dlt645(_, _, receiver) => receiver.miss(),
            FrameReceiver::Raw(_, receiver) => receiver.miss(),
        }
    }

    /// Returns how many bytes the reply had, so that the end of the request can be reckoned
    /// back; `None` if there was no reply, or it was not the only frame.
    #[must_use]
    pub fn reply_bytes(&self) -> Option<usize> {
        self.reply.filter(|_| self.frames == 1)
    }

    /// Returns the final outcome of the transaction, given this outcome, and what else was on
    /// the line: a frame that the asked unit sent in place of the reply, or under the address
    /// of another unit, is no straggler.
    #[must_use]
    pub fn end(mut self, outcome: Outcome) -> (Outcome, OtherTraffic) {
        let asked = self.asked();
        self.collect();
        let misaddressed = self.traffic.misaddressed.take().map(BusAddress::Modbus);
        if outcome == Outcome::Missed(MissReason::Foreign) {
            let owner = |sender: &BusAddress| Some(*sender) != misaddressed;
            self.traffic.overheard.retain(owner);
        }
        match (outcome, self.traffic.mismatch.take()) {
            (Outcome::Missed(MissReason::Foreign), Some(mismatch)) => {
                self.traffic
                    .overheard
                    .retain(|sender| Some(*sender) != asked);
                (Outcome::Mismatched(mismatch), self.traffic)
            }
            (outcome, _) => (outcome, self.traffic),
        }
    }

    /// Returns the unit that was asked, where it is a unit of Modbus.
    const fn asked(&self) -> Option<BusAddress> {
        match &self.receiver {
            FrameReceiver::Rtu(..) | FrameReceiver::Ascii(..) => Some(self.to),
            FrameReceiver::Dlt645(..) | FrameReceiver::Raw(..) => None,
        }
    }

    fn collect(&mut self) {
        let traffic = match &mut self.receiver {
            FrameReceiver::Rtu(_, receiver) => receiver.take_traffic(),
            FrameReceiver::Ascii(_, receiver) => receiver.take_traffic(),
            FrameReceiver::Dlt645(ask, _, receiver) => {
                let mut traffic = receiver.take_traffic();
                let others = traffic.overheard.len();
                let asked = BusAddress::Dlt645(ask.address);
                traffic.overheard.retain(|sender| !asked.means(*sender));
                if traffic.overheard.len() < others {
                    traffic.mismatch = Some(Mismatch::OtherDatum);
                }
                traffic
            }
            FrameReceiver::Raw(_, receiver) => receiver.take_traffic(),
        };
        self.traffic.add(traffic);
    }
}

fn modbus(call: ModbusRequest, framing: Framing) -> (Vec<u8>, FrameReceiver) {
    let (unit, pdu, reply) = (call.unit(), call.pdu(), call.reply_len());
    match framing {
        Framing::Rtu => {
            let receiver = rtu::Receiver::new(call);
            (rtu::frame(unit, &pdu), FrameReceiver::Rtu(reply, receiver))
        }
        Framing::Ascii => {
            let receiver = ascii::Receiver::new(call);
            (
                ascii::frame(unit, &pdu),
                FrameReceiver::Ascii(reply, receiver),
            )
        }
    }
}

fn dlt645_receiver(
    ask: dlt645::MeterRequest,
    reassembly: Option<Reassembly>,
) -> (Vec<u8>, FrameReceiver) {
    let receiver = dlt645::Receiver::new(ask.clone());
    let request = frame_of(&ask);
    (request, FrameReceiver::Dlt645(ask, reassembly, receiver))
}

/// Returns the bytes that are sent to a meter.
fn frame_of(ask: &dlt645::MeterRequest) -> Vec<u8> {
    let mut bytes = vec![frame::WAKE_UP; frame::WAKE_UPS];
    bytes.extend(ask.frame().seal());
    bytes
}

/// Listens to what passes by while no request is under way, in the protocol of the last
/// request: a late reply would come in that protocol.
#[derive(Clone, Debug)]
pub enum IdleListener {
    /// Modbus RTU.
    Rtu(rtu::Receiver),
    /// Modbus ASCII.
    Ascii(ascii::Receiver),
    /// DL/T 645.
    Dlt645(dlt645::Receiver),
    /// A protocol without a standard: only a reply to the last question is recognised.
    Raw(RawIdleListener),
}

/// Listens for the reply to the last question, after it was given up.
#[derive(Clone, Debug, Default)]
pub struct RawIdleListener {
    last: Option<(BusAddress, raw::Receiver)>,
    traffic: OtherTraffic,
}

impl RawIdleListener {
    fn push(&mut self, bytes: &[u8]) {
        let verdict = self
            .last
            .as_mut()
            .and_then(|(_, receiver)| receiver.push(bytes));
        if self.last.is_none() {
            self.traffic.count_noise(bytes.len());
        }
        self.judge(verdict);
    }

    fn silence(&mut self) {
        let verdict = self
            .last
            .as_mut()
            .and_then(|(_, receiver)| receiver.silence());
        self.judge(verdict);
    }

    /// Ends the listening: after the reply, or a spoilt one, everything is noise.
    fn judge(&mut self, verdict: Option<raw::receive::ListeningEnd>) {
        let Some(verdict) = verdict else {
            return;
        };
        let last = self.take_noise();
        let reply = matches!(verdict, raw::receive::ListeningEnd::Reply(_));
        self.traffic.overheard.extend(last.filter(|_| reply));
    }

    /// Takes the bytes that were not the reply; returns the address that was asked.
    fn take_noise(&mut self) -> Option<BusAddress> {
        let (asked, mut receiver) = self.last.take()?;
        self.traffic.add(receiver.take_traffic());
        Some(asked)
    }
}

impl IdleListener {
    /// Builds the idle listener of a line of this framing, before the first request.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        match framing {
            Framing::Rtu => IdleListener::Rtu(rtu::Receiver::idle()),
            Framing::Ascii => IdleListener::Ascii(ascii::Receiver::idle()),
        }
    }

    /// Goes on listening after this transaction.
    pub fn follow(&mut self, transaction: &Transaction) {
        match (&transaction.receiver, &self) {
            (FrameReceiver::Rtu(..), IdleListener::Rtu(_))
            | (FrameReceiver::Ascii(..), IdleListener::Ascii(_))
            | (FrameReceiver::Dlt645(..), IdleListener::Dlt645(_)) => {}
            (FrameReceiver::Rtu(..), _) => *self = IdleListener::new(Framing::Rtu),
            (FrameReceiver::Ascii(..), _) => *self = IdleListener::new(Framing::Ascii),
            (FrameReceiver::Dlt645(..), _) => {
                *self = IdleListener::Dlt645(dlt645::Receiver::idle())
            }
            (FrameReceiver::Raw(question, _), _) => {
                let request = question.request.bytes();
                let receiver = raw::Receiver::new((question.reply.clone(), request));
                let traffic = self.take_traffic();
                let last = Some((transaction.to, receiver));
                *self = IdleListener::Raw(RawIdleListener { last, traffic });
            }
        }
    }

    /// Takes the bytes that came.
    pub fn push(&mut self, bytes: &[u8]) {
        match self {
            IdleListener::Rtu(receiver) => drop(receiver.push(bytes)),
            IdleListener::Ascii(receiver) => drop(receiver.push(bytes)),
            IdleListener::Dlt645(receiver) => drop(receiver.push(bytes)),
            IdleListener::Raw(receiver) => receiver.push(bytes),
        }
    }

    /// Notes that the line has fallen silent.
    pub fn silence(&mut self) {
        match self {
            IdleListener::Rtu(receiver) => drop(receiver.silence()),
            IdleListener::Ascii(receiver) => drop(receiver.silence()),
            IdleListener::Dlt645(receiver) => drop(receiver.silence()),
            IdleListener::Raw(receiver) => receiver.silence(),
        }
    }

    /// Returns whether bytes are waiting for the rest of their frame.
    #[must_use]
    pub fn is_reading(&self) -> bool {
        match self {
            IdleListener::Rtu(receiver) => receiver.is_reading(),
            IdleListener::Ascii(receiver) => receiver.is_reading(),
            IdleListener::Dlt645(receiver) => receiver.is_reading(),
            IdleListener::Raw(receiver) => match &receiver.last {
                Some((_, receiver)) => receiver.is_reading(),
                None => false,
            },
        }
    }

    /// Returns what was heard since the last call.
    pub fn take_traffic(&mut self) -> OtherTraffic {
        match self {
            IdleListener::Rtu(receiver) => receiver.take_traffic(),
            IdleListener::Ascii(receiver) => receiver.take_traffic(),
            IdleListener::Dlt645(receiver) => receiver.take_traffic(),
            IdleListener::Raw(receiver) => std::mem::take(&mut receiver.traffic),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::UnitId;
    use crate::field::raw::{Fixed, ReplyMarks};

    const ASKED: BusAddress = BusAddress::Raw(Some(UnitId(3)));

    fn after_the_question() -> IdleListener {
        let begins = Fixed {
            at: 0,
            bytes: b">".to_vec(),
        };
        let shape = ReplyMarks {
            end: ReplyEnd::Terminator(b"\r".to_vec()),
            fixed: vec![begins],
            check: None,
            behind_check: 0,
            preamble: None,
        };
        let receiver = raw::Receiver::new((shape, b"#03\r"));
        IdleListener::Raw(RawIdleListener {
            last: Some((ASKED, receiver)),
            traffic: OtherTraffic::default(),
        })
    }

    #[test]
    fn the_late_reply_to_the_last_raw_question_is_recognised_and_once() {
        let mut listener = after_the_question();
        listener.push(b"\xFF>12");
        assert!(listener.is_reading());
        listener.push(b"34\r");
        let traffic = listener.take_traffic();
        assert_eq!((traffic.overheard, traffic.noise), (vec![ASKED], 1));
        listener.push(b">1234\r");
        let traffic = listener.take_traffic();
        assert_eq!((traffic.overheard, traffic.noise), (Vec::new(), 6));
    }

    #[test]
    fn what_is_no_raw_reply_is_noise() {
        let mut listener = after_the_question();
        listener.push(b"1234");
        listener.silence();
        assert_eq!(listener.take_traffic().overheard, Vec::new());
    }
}
