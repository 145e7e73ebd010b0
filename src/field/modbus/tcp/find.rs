//! Finds frames in the stream: what stands at its head.

use std::ops::Range;

use super::header::{EXCEPTION_FRAME, HEADER, Header, KNOWN_BY, SentRequest};
use super::{ModbusRequest, Reply, Stream};

/// From how many of its bytes on the header of another reply is suspected at the end of the
/// reply that is waited for: the whole transaction id. One byte would be there by chance too
/// often, and the reply is held back for such a suspicion.
const SUSPECT: usize = 2;

/// What stands at the head of the unread bytes.
pub(super) enum StreamHead {
    /// There are not enough bytes to decide.
    Unfinished,
    /// A frame of this many bytes; `false`: the bytes that follow may be its padding.
    Frame(usize, FoundFrame, bool),
    /// This many bytes that belong to no frame.
    Nothing(usize),
}

pub(super) enum FoundFrame {
    /// The reply to the request with this index among those that wait.
    Own(usize, Reply),
    /// The reply to the abandoned request with this index among the abandoned ones.
    Late(usize),
    Foreign,
}

/// Whether the last bytes of a frame are the first of another.
enum Overlap {
    None,
    /// From this byte on.
    At(usize),
    /// There are too few bytes to decide.
    Perhaps,
}

impl Stream {
    /// Returns what stands at the head of `bytes`; `all`: nothing will follow for now.
    pub(super) fn head(&self, bytes: &[u8], all: bool) -> StreamHead {
        if bytes.len() < KNOWN_BY {
            let may_be_header = if self.astray {
                self.expected(None).any(|a| a.may_be_answered_by(bytes))
            } else {
                bytes.iter().skip(2).take(2).all(|b| *b == 0)
            };
            return if may_be_header {
                StreamHead::Unfinished
            } else {
                StreamHead::Nothing(1)
            };
        }
        let Some(header) = Header::read(bytes) else {
            return StreamHead::Nothing(1);
        };
        if let Some(at) = self.answers(&header) {
            return self.own(bytes, &header, at, all);
        }
        let late = self.abandoned.iter();
        let late = late.map(|(_, a)| a).position(|a| a.is_answered_by(&header));
        let found = match late {
            Some(at) if self.is_numbered() => FoundFrame::Late(at),
            _ if self.astray => return StreamHead::Nothing(1),
            Some(at) => FoundFrame::Late(at),
            None => match self
                .waiting
                .iter()
                .position(|(id, _)| *id == header.transaction)
            {
                Some(at) if self.is_numbered() => FoundFrame::Own(at, Reply::Stranger),
                _ => FoundFrame::Foreign,
            },
        };
        self.others(bytes, &header, found, all)
    }

    /// Returns which of the waiting requests a frame with this header answers.
    fn answers(&self, header: &Header) -> Option<usize> {
        let is_numbered = self.is_numbered();
        self.waiting
            .iter()
            .position(|(id, call)| SentRequest::new(*id, call, is_numbered).is_answered_by(header))
    }

    /// Returns all requests whose replies may come, except the waiting request at this index.
    fn expected(&self, but: Option<usize>) -> impl Iterator<Item = SentRequest> {
        let is_numbered = self.is_numbered();
        let waiting = self.waiting.iter().enumerate();
        let waiting = waiting.filter(move |(at, _)| Some(*at) != but);
        let waiting = waiting.map(move |(_, (id, call))| SentRequest::new(*id, call, is_numbered));
        waiting.chain(self.abandoned.iter().map(|(_, asked)| *asked))
    }

    /// Finds a frame whose length only its header gives.
    fn others(&self, bytes: &[u8], header: &Header, found: FoundFrame, all: bool) -> StreamHead {
        if header.function == 0 || !(header.is_possible() || header.is_exception()) {
            return StreamHead::Nothing(1);
        }
        let len = header.frame_len();
        let seen = bytes.len().min(len);
        // The bytes may be no header at all, or the frame may have been cut off.
        if let Some(at) = (1..seen).find(|at| self.is_whole_reply(&bytes[*at..])) {
            return StreamHead::Nothing(at);
        }
        if bytes.len() < len {
            return StreamHead::Unfinished;
        }
        let is_own = matches!(found, FoundFrame::Own(..));
        match self.overlap(bytes, 1..len, None) {
            Overlap::At(at) => StreamHead::Nothing(at),
            Overlap::Perhaps if !all && !is_own => StreamHead::Unfinished,
            Overlap::None | Overlap::Perhaps => StreamHead::Frame(len, found, true),
        }
    }

    /// Finds a frame with the header of the reply to the request `at`.
    fn own(&self, bytes: &[u8], header: &Header, at: usize, all: bool) -> StreamHead {
        if header.is_exception() {
            let Some(exception) = bytes.get(..EXCEPTION_FRAME) else {
                return StreamHead::Unfinished;
            };
            let (_, call) = &self.waiting[at];
            let reply = call.judge(&exception[HEADER..]);
            let is_exact = header.length == EXCEPTION_FRAME - 6;
            return StreamHead::Frame(EXCEPTION_FRAME, FoundFrame::Own(at, reply), is_exact);
        }
        let (_, call) = &self.waiting[at];
        if let ModbusRequest::Raw(_) = call {
            // The header alone may give the length of the reply.
            let len = header.frame_len();
            return match bytes.get(HEADER..len) {
                _ if !header.is_possible() => StreamHead::Nothing(1),
                None => StreamHead::Unfinished,
                Some(pdu) => StreamHead::Frame(len, FoundFrame::Own(at, call.judge(pdu)), true),
            };
        }
        let Some(second) = bytes.get(KNOWN_BY) else {
            return StreamHead::Unfinished;
        };
        if *second != call.second_byte() {
            return match (self.astray, self.is_numbered()) {
                (true, _) => StreamHead::Nothing(1),
                (false, true) => {
                    self.others(bytes, header, FoundFrame::Own(at, Reply::Stranger), all)
                }
                (false, false) => self.others(bytes, header, FoundFrame::Foreign, all),
            };
        }
        let len = HEADER + call.reply_len();
        let Some(frame) = bytes.get(..len) else {
            let told = header.frame_len();
            let cut_off = header.is_possible() && told < len;
            let stranger = || StreamHead::Frame(told, FoundFrame::Own(at, Reply::Stranger), true);
            return match (1..bytes.len()).find(|at| self.is_whole_reply(&bytes[*at..])) {
                Some(at) => StreamHead::Nothing(at),
                None if cut_off && all && bytes.len() == told => stranger(),
                None if cut_off && is_header(&bytes[told.min(bytes.len())..]) => stranger(),
                None => StreamHead::Unfinished,
            };
        };
        let told = HEADER - 1 + header.length;
        let is_exact = told == len;
        let whole = StreamHead::Frame(
            len,
            FoundFrame::Own(at, call.judge(&frame[HEADER..])),
            is_exact,
        );
        if header.is_possible() && told < len {
            // The length may be wrong, or the reply cut off.
            let behind = &bytes[told..];
            if behind.len() >= KNOWN_BY && is_header(behind) {
                return StreamHead::Frame(told, FoundFrame::Own(at, Reply::Stranger), true);
            }
            if behind.len() < KNOWN_BY && !all {
                return StreamHead::Unfinished;
            }
        }
        match self.overlap(bytes, KNOWN_BY + 1..len, Some(at)) {
            Overlap::At(from) => {
                StreamHead::Frame(from, FoundFrame::Own(at, Reply::Stranger), true)
            }
            Overlap::Perhaps if !all => StreamHead::Unfinished,
            Overlap::Perhaps | Overlap::None => whole,
        }
    }

    /// Returns whether the header of another expected reply stands in `within`, the last bytes of a
    /// frame; a header of the request `own` itself is not expected.
    fn overlap(&self, bytes: &[u8], within: Range<usize>, own: Option<usize>) -> Overlap {
        for at in within {
            let head = &bytes[at..bytes.len().min(at + KNOWN_BY)];
            let mut others = self.expected(own);
            let suspect = match (self.is_numbered(), own) {
                (true, None) => 1,
                (true, Some(_)) => SUSPECT,
                // Zeros are not enough.
                (false, _) => KNOWN_BY,
            };
            if head.len() < suspect || !others.any(|a| a.may_be_answered_by(head)) {
                continue;
            }
            match Header::read(head) {
                Some(header) if header.is_possible() => return Overlap::At(at),
                Some(_) => {}
                None => return Overlap::Perhaps,
            }
        }
        Overlap::None
    }

    /// Returns whether the whole reply to a waiting request stands at the head of `bytes`, and is
    /// as long as its length field says.
    fn is_whole_reply(&self, bytes: &[u8]) -> bool {
        let Some(header) = Header::read(bytes) else {
            return false;
        };
        let Some(at) = self.answers(&header) else {
            return false;
        };
        let call = &self.waiting[at].1;
        let whole = bytes.get(HEADER..HEADER - 1 + header.length);
        whole.is_some_and(|pdu| call.judge(pdu) != Reply::Stranger)
    }
}

/// Returns whether a frame can begin like that.
fn is_header(bytes: &[u8]) -> bool {
    Header::read(bytes).is_some_and(|header| header.is_possible() && header.function != 0)
}
