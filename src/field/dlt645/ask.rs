//! What to ask a meter, and what counts as its reply.
//!
//! Control codes and layouts: DL/T 645-2007 §7, 1997 §7. A long datum comes in
//! several frames: each says whether more follows, and the next is asked for by
//! its number ([`Reassembly`]).

use super::frame::{Control, MAX_DATA};
use super::{Edition, Frame, MeterAddress};
pub use crate::spec::dlt645::DataIdentifier;
use crate::spec::dlt645::{Length, WriteAccess};

impl DataIdentifier {
    fn to_wire(self) -> Vec<u8> {
        match self {
            DataIdentifier::Y1997(id) => id.to_le_bytes().to_vec(),
            DataIdentifier::Y2007(id) => id.to_le_bytes().to_vec(),
        }
    }
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterRequest {
    /// The meter's address. Any meter that a wildcard covers answers it.
    pub address: MeterAddress,
    /// The wish: what is asked for.
    pub operation: MeterOperation,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MeterOperation {
    /// A datum, or its first frame.
    Read {
        /// The datum.
        id: DataIdentifier,
        /// What length the datum has. A frame that carries more, or another length without
        /// the mark that more frames follow, is no reply.
        length: Length,
    },
    /// The next frame of a datum that did not fit into one.
    Follow {
        /// The datum.
        id: DataIdentifier,
        /// The number of the frame, from 1 on. 1997 does not send it.
        number: u8,
    },
    /// The meter's address (2007 only).
    ReadAddress,
    /// Sets a datum (2007 only; §7.4).
    Write {
        /// The datum.
        id: DataIdentifier,
        /// Level and password, and the code of the operator: PA P0 P1 P2 C0–C3.
        access: WriteAccess,
        /// The value as it travels, without the 33H.
        data: Vec<u8>,
    },
}

/// How a frame relates to the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// What was asked for.
    Answer(Part),
    /// The meter refused.
    Refusal(ErrorWord),
    /// Another frame: of another meter, datum, frame number or length.
    Stranger,
}

/// The data of one reply frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The address of the meter that answered; of interest if a wildcard was asked.
    pub from: MeterAddress,
    /// The data behind the identifier, without the 33H and without a frame number.
    pub data: Vec<u8>,
    /// Whether another frame is needed for the rest.
    pub more: bool,
}

/// Why a meter refuses: one bit per reason (2007 Appendix C, 1997 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ErrorWord {
    /// The edition that defines the bits.
    pub edition: Edition,
    /// The bits as received.
    pub bits: u8,
}

impl ErrorWord {
    /// Returns whether the meter says that it does not have what was asked for: the same bit in
    /// both editions.
    #[must_use]
    pub const fn says_no_such_datum(self) -> bool {
        self.bits & 0x02 != 0
    }

    /// Returns whether the meter says that the password is wrong, or that it is not to be written
    /// to now (2007): the same bit in both editions.
    #[must_use]
    pub const fn says_not_authorised(self) -> bool {
        self.bits & 0x04 != 0
    }

    /// Returns the reasons in words, least significant bit first.
    pub fn reasons(self) -> impl Iterator<Item = &'static str> {
        let words = match self.edition {
            Edition::Y1997 => [
                "illegal data",
                "no such identifier",
                "wrong password",
                "reserved bit 3",
                "too many annual time zones",
                "too many daily periods",
                "too many rates",
                "reserved bit 7",
            ],
            Edition::Y2007 => [
                "another error",
                "no such data",
                "wrong password or not authorised",
                "the speed cannot be changed",
                "too many annual time zones",
                "too many daily periods",
                "too many rates",
                "reserved bit 7",
            ],
        };
        (0..8)
            .zip(words)
            .filter_map(move |(bit, word)| (self.bits >> bit & 1 == 1).then_some(word))
    }
}

impl std::fmt::Display for ErrorWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let reasons: Vec<_> = self.reasons().collect();
        if reasons.is_empty() {
            return f.write_str("no reason given");
        }
        f.write_str(&reasons.join(", "))
    }
}

impl MeterRequest {
    /// Builds the request that reads a datum.
    #[must_use]
    pub fn read(
        address: MeterAddress,
        id: DataIdentifier,
        length: impl Into<Length>,
    ) -> MeterRequest {
        let length = length.into();
        let operation = MeterOperation::Read { id, length };
        MeterRequest { address, operation }
    }

    /// Returns the edition whose codes the request uses.
    #[must_use]
    pub const fn edition(&self) -> Edition {
        match &self.operation {
            MeterOperation::Read { id, .. }
            | MeterOperation::Follow { id, .. }
            | MeterOperation::Write { id, .. } => id.edition(),
            MeterOperation::ReadAddress => Edition::Y2007,
        }
    }

    /// Returns whether the request sets a datum.
    #[must_use]
    pub const fn is_write(&self) -> bool {
        matches!(self.operation, MeterOperation::Write { .. })
    }

    /// Returns the same request with zeros for password and operator, if it has any: what is shown
    /// of it.
    #[must_use]
    pub fn masked(&self) -> Option<MeterRequest> {
        match &self.operation {
            MeterOperation::Write {
                id,
                access: _,
                data,
            } => Some(MeterRequest {
                address: self.address,
                operation: MeterOperation::Write {
                    id: *id,
                    access: WriteAccess::masked(),
                    data: data.clone(),
                },
            }),
            MeterOperation::Read { .. }
            | MeterOperation::Follow { .. }
            | MeterOperation::ReadAddress => None,
        }
    }

    /// Returns the request's frame, without wake-up bytes.
    #[must_use]
    pub fn frame(&self) -> Frame {
        let data = match &self.operation {
            MeterOperation::Read { id, .. } => id.to_wire(),
            MeterOperation::Follow { id, number } => {
                let mut data = id.to_wire();
                if id.edition() == Edition::Y2007 {
                    data.push(*number);
                }
                data
            }
            MeterOperation::ReadAddress => Vec::new(),
            MeterOperation::Write { id, access, data } => {
                [&id.to_wire(), &access.expose()[..], data].concat()
            }
        };
        Frame {
            address: self.address,
            control: Control(self.function()),
            data,
        }
    }

    /// Returns how many bytes of a reply's data are not the datum's: the identifier, and in
    /// 2007 the number of a follow-on frame.
    #[must_use]
    pub const fn echoed(&self) -> usize {
        match (&self.operation, self.edition()) {
            (MeterOperation::Read { .. }, Edition::Y2007) => 4,
            (MeterOperation::Follow { .. }, Edition::Y2007) => 5,
            (MeterOperation::Read { .. } | MeterOperation::Follow { .. }, Edition::Y1997) => 2,
            (MeterOperation::ReadAddress | MeterOperation::Write { .. }, _) => 0,
        }
    }

    /// Returns the function code of the request.
    #[must_use]
    pub const fn function(&self) -> u8 {
        match (&self.operation, self.edition()) {
            (MeterOperation::Read { .. }, Edition::Y2007) => 0x11,
            (MeterOperation::Follow { .. }, Edition::Y2007) => 0x12,
            (MeterOperation::ReadAddress, _) => 0x13,
            (MeterOperation::Write { .. }, Edition::Y2007) => 0x14,
            (MeterOperation::Read { .. }, Edition::Y1997) => 0x01,
            (MeterOperation::Follow { .. }, Edition::Y1997) => 0x02,
            (MeterOperation::Write { .. }, Edition::Y1997) => 0x04,
        }
    }

    /// Compares a well-formed frame with this request.
    #[must_use]
    pub fn judge(&self, frame: &Frame) -> Reply {
        let from = frame.address;
        let control = frame.control;
        let ours = control.is_reply() && control.function() == self.function();
        if !ours || !self.address.means(from) {
            return Reply::Stranger;
        }
        if control.is_refusal() {
            return match *frame.data {
                [bits] if !control.has_more() => Reply::Refusal(ErrorWord {
                    edition: self.edition(),
                    bits,
                }),
                _ => Reply::Stranger,
            };
        }
        let more = control.has_more();
        self.payload(&frame.data, more)
            .map_or(Reply::Stranger, |data| {
                Reply::Answer(Part {
                    from,
                    data: data.to_vec(),
                    more,
                })
            })
    }

    /// Returns the content of the reply, if the reply is whole and of the right kind.
    fn payload<'a>(&self, data: &'a [u8], more: bool) -> Option<&'a [u8]> {
        match &self.operation {
            MeterOperation::Read { id, length } => {
                let value = data.strip_prefix(&id.to_wire()[..])?;
                let fits = match more {
                    false => length.fits(value),
                    true => length.most().is_none_or(|most| value.len() < most),
                };
                (fits && !value.is_empty()).then_some(value)
            }
            MeterOperation::Follow { id, number } => {
                let value = data.strip_prefix(&id.to_wire()[..])?;
                let value = match id.edition() {
                    Edition::Y1997 => value,
                    Edition::Y2007 => value.strip_suffix(&[*number])?,
                };
                (!value.is_empty()).then_some(value)
            }
            MeterOperation::ReadAddress => {
                let wire = <[u8; 6]>::try_from(data).ok()?;
                let own = MeterAddress::from_wire(wire);
                (self.address.means(own) && !more).then_some(data)
            }
            MeterOperation::Write { .. } => (data.is_empty() && !more).then_some(data),
        }
    }
}

/// The most bytes that a datum in several frames may have: the longest data of the standard
/// (2007, load records) are far below it.
const MAX_JOINED: usize = 20 * MAX_DATA;

/// The least that fits into a frame: no buffer that the standards mention is smaller than
/// that of a request to write (at most 50 bytes of data; 2007 §5.2.4, 1997 §5.2.4), less
/// identifier and number.
const LEAST_ROOM: usize = 50 - 5;

/// Returns the most frames that a datum of this length may come in: twice as many as its data
/// fill, because frames may end where a value ends.
const fn most_frames(bytes: usize) -> usize {
    1 + 2 * bytes.div_ceil(LEAST_ROOM)
}

/// A datum that comes in several frames, while it is being put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reassembly {
    address: MeterAddress,
    id: DataIdentifier,
    length: Length,
    next: u8,
    /// How many frames may still come.
    left: usize,
    data: Vec<u8>,
}

/// What a frame of a datum has led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReassemblyResult {
    /// The frame was the last, and this is the datum.
    Whole(Vec<u8>),
    /// The next request to send.
    Next(MeterRequest, Reassembly),
    /// The frames together are not the datum: they have another length than it has, are more
    /// than it needs, or have no end.
    Unfit,
}

impl Reassembly {
    /// Begins with the reply to a [`MeterOperation::Read`] of `id`. The length of the whole datum,
    /// where it is known, shows that a part came short.
    #[must_use]
    pub fn begin(id: DataIdentifier, length: impl Into<Length>, first: Part) -> ReassemblyResult {
        let length = length.into();
        let reassembly = Reassembly {
            // From here on only the meter that answered is asked.
            address: first.from,
            id,
            length,
            next: 1,
            left: most_frames(length.most().unwrap_or(MAX_JOINED)),
            data: Vec::new(),
        };
        reassembly.add(first.data, first.more)
    }

    /// Goes on with the reply to the request that was returned last.
    #[must_use]
    pub fn go_on(mut self, part: Part) -> ReassemblyResult {
        let Some(next) = self.next.checked_add(1) else {
            return ReassemblyResult::Unfit;
        };
        self.next = next;
        self.add(part.data, part.more)
    }

    fn add(mut self, data: Vec<u8>, more: bool) -> ReassemblyResult {
        self.data.extend(data);
        self.left = self.left.saturating_sub(1);
        let most = self.length.most().unwrap_or(MAX_JOINED);
        let goes_on = self.left > 0 && self.data.len() < most;
        if self.data.len() > most || (more && !goes_on) {
            return ReassemblyResult::Unfit;
        }
        if !more {
            let whole = match self.next {
                1 => self.length.fits(&self.data),
                _ => self.length.fits_joined(&self.data),
            };
            return if whole {
                ReassemblyResult::Whole(self.data)
            } else {
                ReassemblyResult::Unfit
            };
        }
        let ask = MeterRequest {
            address: self.address,
            operation: MeterOperation::Follow {
                id: self.id,
                number: self.next,
            },
        };
        ReassemblyResult::Next(ask, self)
    }
}

#[cfg(test)]
mod tests;
