//! What the receivers of all protocols share: they are given bytes and silences, find the one
//! reply that was asked for, and note what else was on the line.
//!
//! Contract: how the bytes were split makes no difference. After a verdict everything further
//! is ignored. A protocol supplies what differs, as a [`FrameFinder`]: which bytes are the
//! reply. Its buffer is bounded.

use crate::base::{MissReason, UnitId};
use crate::spec::BusAddress;

use crate::field::modbus::{Data, EXCEPTION};

/// What else was on the line, besides the reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtherTraffic {
    /// The senders of well-formed replies that passed by without being waited for.
    pub overheard: Vec<BusAddress>,
    /// The last of those replies whole, where the protocol is Modbus RTU.
    pub reply: Option<OverheardReply>,
    /// The last reply of the asked unit that was not the reply to the request.
    pub mismatch: Option<Mismatch>,
    /// The unit under whose address a reply like the expected one came, if not the asked
    /// unit's.
    pub misaddressed: Option<UnitId>,
    /// Well-formed frames that were not the reply, `overheard` included.
    pub foreign: u32,
    /// Our own requests, heard back through an adapter that is not configured to hear itself,
    /// or heard more often than once.
    pub echoes: u32,
    /// Our own requests that an adapter configured to hear itself heard, as expected.
    pub expected_echoes: u32,
    /// Our own requests that an adapter configured to hear itself did not hear.
    pub missed_echoes: u32,
    /// Bytes that belong to no well-formed frame.
    pub noise: u32,
    /// Of Modbus TCP: the last reply that differed from the expected one only by its number.
    pub other_id: Option<OtherId>,
}

/// A reply of a unit that was not waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverheardReply {
    /// The unit.
    pub unit: UnitId,
    /// The reply from its function on, without its checksum.
    pub pdu: Vec<u8>,
}

impl OverheardReply {
    /// Returns whether the reply, if it is one to the same question, holds other data than these;
    /// `None`: it answers another question.
    #[must_use]
    pub fn differs_from(&self, data: &Data) -> Option<bool> {
        let [function, count, bytes @ ..] = self.pdu.as_slice() else {
            return None;
        };
        let (functions, own): ([u8; 2], Vec<u8>) = match data {
            Data::Registers(registers) => (
                [3, 4],
                registers.iter().flat_map(|w| w.to_be_bytes()).collect(),
            ),
            // The first is the lowest bit (Modbus Application Protocol V1.1b3 §6.1).
            Data::Bits(bits) => {
                let byte = |bits: &[bool]| {
                    let all = bits.iter().rev();
                    all.fold(0u8, |byte, bit| byte << 1 | u8::from(*bit))
                };
                ([1, 2], bits.chunks(8).map(byte).collect())
            }
            Data::Bytes(_) => return None,
        };
        let is_alike = functions.contains(function) && usize::from(*count) == own.len();
        is_alike.then(|| bytes != own)
    }
}

/// A reply of Modbus TCP came under another transaction id than that of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherId {
    /// The transaction id of the reply.
    pub seen: u16,
    /// The transaction id of the request.
    pub wanted: u16,
}

/// A good frame of the unit that was asked, which is not the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// An exception to another function.
    Exception {
        /// The function code that it names, without the exception bit.
        function: u8,
        /// The exception's code.
        code: u8,
    },
    /// A reply with another function or length.
    Reply {
        /// Its function code.
        function: u8,
        /// Its byte count.
        bytes: u8,
    },
    /// A reply of a meter of DL/T 645 about something else.
    OtherDatum,
}

impl Mismatch {
    /// Returns the mismatch of a Modbus frame, by the first two bytes of its PDU.
    #[must_use]
    pub const fn of_pdu(function: u8, second: u8) -> Self {
        if function & EXCEPTION == 0 {
            Mismatch::Reply {
                function,
                bytes: second,
            }
        } else {
            Mismatch::Exception {
                function: function & !EXCEPTION,
                code: second,
            }
        }
    }
}

impl OtherTraffic {
    /// Adds what another receiver heard.
    pub fn add(&mut self, other: OtherTraffic) {
        self.overheard.extend(other.overheard);
        self.reply = other.reply.or(self.reply.take());
        self.mismatch = other.mismatch.or(self.mismatch);
        self.misaddressed = other.misaddressed.or(self.misaddressed);
        self.foreign = self.foreign.saturating_add(other.foreign);
        self.echoes = self.echoes.saturating_add(other.echoes);
        self.expected_echoes = self.expected_echoes.saturating_add(other.expected_echoes);
        self.missed_echoes = self.missed_echoes.saturating_add(other.missed_echoes);
        self.noise = self.noise.saturating_add(other.noise);
        self.other_id = other.other_id.or(self.other_id);
    }

    /// Counts our own request, heard back.
    pub(crate) const fn count_echo(&mut self) {
        self.echoes = self.echoes.saturating_add(1);
    }

    /// Counts a well-formed frame that was not the reply.
    pub(crate) const fn count_foreign(&mut self) {
        self.foreign = self.foreign.saturating_add(1);
    }

    /// Counts bytes that belong to no well-formed frame.
    pub(crate) fn count_noise(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.noise = self.noise.saturating_add(bytes);
    }
}

/// How listening ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListeningEnd<R> {
    /// The device answered or refused.
    Reply(R),
    /// A frame came and was spoiled beyond reading; waiting longer is of no use.
    Spoiled,
}

/// Finds the reply of one protocol among the bytes of a line.
pub trait FrameFinder {
    /// The request whose reply is listened for.
    type Request;
    /// A reply to the request.
    type Reply;

    /// Listens for the reply to this request, or, without a request, to all frames that pass by.
    fn listening(request: Option<Self::Request>) -> Self;

    /// Takes the byte that came.
    fn byte(&mut self, byte: u8, traffic: &mut OtherTraffic) -> Option<ListeningEnd<Self::Reply>>;

    /// Notes that the line has fallen silent: what is unfinished now stays unfinished.
    fn silence(&mut self, traffic: &mut OtherTraffic) -> Option<ListeningEnd<Self::Reply>>;

    /// Returns whether bytes are waiting for the rest of their frame.
    fn is_reading(&self) -> bool;

    /// Returns whether what has come has the length of a reply: if it is no reply by now, it never
    /// will be.
    fn is_full(&self) -> bool;

    /// Returns whether the reply may have begun, and its rest may still come.
    fn may_go_on(&self) -> bool;

    /// Returns how many more bytes it takes at least until there can be a verdict, where that is
    /// worth knowing to the microsecond.
    fn missing(&self) -> Option<usize>;
}

/// Listens for the reply to one request, or, without a request, to all frames that pass by.
#[derive(Clone, Debug)]
pub struct Receiver<F> {
    finder: F,
    traffic: OtherTraffic,
    ended: bool,
}

impl<F: FrameFinder> Receiver<F> {
    /// Listens for the reply to this request.
    #[must_use]
    pub fn new(request: impl Into<F::Request>) -> Self {
        Receiver::listening(Some(request.into()))
    }

    /// Listens without a request: to what arrives while the line should be quiet.
    #[must_use]
    pub fn idle() -> Self {
        Receiver::listening(None)
    }

    fn listening(request: Option<F::Request>) -> Self {
        Receiver {
            finder: F::listening(request),
            traffic: OtherTraffic::default(),
            ended: false,
        }
    }

    /// Returns what the protocol supplies, for the bounds of its buffer.
    #[cfg(test)]
    pub(crate) const fn finder(&self) -> &F {
        &self.finder
    }

    /// Takes the bytes that came. After a verdict everything further is ignored.
    pub fn push(&mut self, bytes: &[u8]) -> Option<ListeningEnd<F::Reply>> {
        if self.ended {
            return None;
        }
        let mut bytes = bytes.iter();
        let verdict = bytes.find_map(|byte| self.finder.byte(*byte, &mut self.traffic));
        self.ended = verdict.is_some();
        verdict
    }

    /// Notes that the line has fallen silent: what is unfinished now stays unfinished, or is
    /// whole, if silence is how a reply ends.
    pub fn silence(&mut self) -> Option<ListeningEnd<F::Reply>> {
        if self.ended {
            return None;
        }
        let verdict = self.finder.silence(&mut self.traffic);
        self.ended = verdict.is_some();
        verdict
    }

    /// Returns whether bytes are waiting for the rest of their frame.
    #[must_use]
    pub fn is_reading(&self) -> bool {
        self.finder.is_reading()
    }

    /// Returns whether what has come has the length of a reply: if it is no reply by now, it never
    /// will be.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.finder.is_full()
    }

    /// Returns whether the reply may have begun, and its rest may still come.
    #[must_use]
    pub fn may_go_on(&self) -> bool {
        self.finder.may_go_on()
    }

    /// Returns how many more bytes it takes at least until there can be a verdict, where that is
    /// worth knowing to the microsecond.
    #[must_use]
    pub fn missing(&self) -> Option<usize> {
        self.finder.missing()
    }

    /// Returns how the request was missed, when time is up without a verdict.
    #[must_use]
    pub fn miss(&self) -> MissReason {
        if self.traffic.foreign > 0 {
            MissReason::Foreign
        } else if self.traffic.noise > 0 || self.is_reading() {
            MissReason::Garbled
        } else {
            MissReason::Silence
        }
    }

    /// Returns what else was on the line.
    #[must_use]
    pub fn traffic(self) -> OtherTraffic {
        self.traffic
    }

    /// Returns the same, since the last call.
    pub fn take_traffic(&mut self) -> OtherTraffic {
        std::mem::take(&mut self.traffic)
    }
}
