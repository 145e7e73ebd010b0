//! The bytes of one request of a survey, and the frames in what is heard after it.
//!
//! Any whole frame counts, from whichever device: a device that answers late is heard while the
//! next unit is asked, and its frame says who it is. How the bytes were split makes no
//! difference: while a frame that has begun may still become whole, no other is looked for inside
//! of it, for one in 65,536 places of any bytes has a good checksum. Bytes that belong to no whole
//! frame are counted.

use std::time::Duration;

use crate::base::UnitId;
use crate::field::dlt645::{Frame, frame as meter_frame};
use crate::field::modbus::{EXCEPTION, ascii, rtu, tcp};
use crate::spec::survey::{HeardFrame, SurveyQuestion, SurveyReply};
use crate::spec::{Framing, TransactionIds};

/// How many bytes may wait for the rest of their frame: a line that sends more babbles. Twice the
/// longest frame, which is one of Modbus ASCII.
const MOST_UNREAD: usize = 2 * ascii::MAX_FRAME;

/// How the frames of a survey are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Rtu,
    Ascii,
    Tcp,
    Dlt645,
}

/// One request of a survey while it is under way.
#[derive(Clone, Debug)]
pub struct SurveyListener {
    question: SurveyQuestion,
    dialect: Dialect,
    /// The transaction id of the reply, where replies carry that of their request.
    transaction: Option<u16>,
    /// The frame, without the bytes that wake a meter.
    frame: Vec<u8>,
    unread: Vec<u8>,
    answered: bool,
    heard: SurveyReply,
}

impl SurveyListener {
    /// Builds the request of a question: on a line of this framing, or on a connection of Modbus
    /// TCP under this transaction id, by which replies are told apart if `ids` says so.
    #[must_use]
    pub fn new(
        question: &SurveyQuestion,
        framing: Option<Framing>,
        (transaction, ids): (u16, TransactionIds),
    ) -> Self {
        let (dialect, frame) = match (question, framing) {
            (SurveyQuestion::Modbus { unit, pdu }, Some(Framing::Rtu)) => {
                (Dialect::Rtu, rtu::frame(*unit, pdu))
            }
            (SurveyQuestion::Modbus { unit, pdu }, Some(Framing::Ascii)) => {
                (Dialect::Ascii, ascii::frame(*unit, pdu))
            }
            (SurveyQuestion::Modbus { unit, pdu }, None) => {
                (Dialect::Tcp, tcp::frame(transaction, *unit, pdu))
            }
            (
                SurveyQuestion::Dlt645 {
                    address,
                    control,
                    data,
                },
                _,
            ) => {
                let frame = Frame {
                    address: *address,
                    control: meter_frame::Control(*control),
                    data: data.clone(),
                };
                (Dialect::Dlt645, frame.seal())
            }
        };
        let mut sent = match dialect {
            Dialect::Dlt645 => vec![meter_frame::WAKE_UP; meter_frame::WAKE_UPS],
            Dialect::Rtu | Dialect::Ascii | Dialect::Tcp => Vec::new(),
        };
        sent.extend_from_slice(&frame);
        SurveyListener {
            question: question.clone(),
            transaction: match (dialect, ids) {
                (Dialect::Tcp, TransactionIds::Match) => Some(transaction),
                _ => None,
            },
            dialect,
            frame,
            unread: Vec::new(),
            answered: false,
            heard: SurveyReply {
                sent,
                ..SurveyReply::default()
            },
        }
    }

    /// Returns the bytes to send.
    #[must_use]
    pub fn request(&self) -> &[u8] {
        &self.heard.sent
    }

    /// Returns whether the question is answered, if only by a refusal.
    #[must_use]
    pub const fn is_answered(&self) -> bool {
        self.answered
    }

    /// Returns whether bytes wait for the rest of their frame.
    #[must_use]
    pub const fn is_reading(&self) -> bool {
        !self.unread.is_empty()
    }

    /// Returns how long a pause ends a frame on this line, at least: Modbus ASCII and meters may
    /// pause inside of one.
    #[must_use]
    pub fn pause(&self, frame_end: Duration) -> Duration {
        match self.dialect {
            Dialect::Rtu | Dialect::Tcp => frame_end,
            Dialect::Ascii => ascii::INTER_CHARACTER.max(frame_end),
            Dialect::Dlt645 => meter_frame::INTER_BYTE.max(frame_end),
        }
    }

    /// Takes the bytes that came, so long after the last byte of the request.
    pub fn push(&mut self, after: Duration, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let room = SurveyReply::SHOWN.saturating_sub(self.heard.bytes.len());
        let shown = bytes.len().min(room);
        self.heard.bytes.extend_from_slice(&bytes[..shown]);
        self.unread.extend_from_slice(bytes);
        let is_own = self.heard.first_after.is_none() && self.begins_as_echo();
        if !is_own {
            self.heard.first_after.get_or_insert(after);
            self.heard.last_after = Some(after);
        }
        while self.take(false) {}
        if self.unread.len() > MOST_UNREAD {
            self.silence();
        }
    }

    /// Notes that the line has fallen silent: what is unfinished stays unfinished.
    pub fn silence(&mut self) {
        while self.take(true) {}
        self.heard.noise += self.unread.len();
        self.unread.clear();
    }

    /// Ends the listening; returns what was heard.
    #[must_use]
    pub fn end(mut self) -> SurveyReply {
        self.silence();
        self.heard
    }

    /// Returns whether all that is unread may be our own request, heard back.
    fn begins_as_echo(&self) -> bool {
        let sent = &self.heard.sent;
        sent.starts_with(&self.unread) || self.unread == *sent
    }

    /// Takes the first whole frame; returns whether there was one. `all` says that nothing will
    /// follow the bytes that came.
    fn take(&mut self, all: bool) -> bool {
        for start in 0..self.unread.len() {
            let rest = &self.unread[start..];
            if rest.starts_with(&self.frame) {
                self.skip(start, self.frame.len());
                self.heard.echoes += 1;
                return true;
            }
            let is_own = self.frame.starts_with(rest) && !all;
            if is_own {
                return false;
            }
            let head = self.head(rest, all);
            if matches!(head, Head::Unfinished) && !all {
                return false;
            }
            if let Head::Frame(length, frame) = head {
                // The transaction id stands first in the frame (MBAP header).
                let is_late = self
                    .transaction
                    .is_some_and(|own| !rest.starts_with(&own.to_be_bytes()));
                if let (true, HeardFrame::Modbus { unit, .. }) = (is_late, &frame) {
                    self.heard.late.push(*unit);
                    self.skip(start, length);
                    return true;
                }
                self.answered |= frame.answers(&self.question);
                let is_reply = match &frame {
                    HeardFrame::Modbus { .. } => true,
                    // A frame of a master is not from a meter.
                    HeardFrame::Dlt645 { control, .. } => control & 0x80 != 0,
                };
                self.skip(start, length);
                if is_reply {
                    self.heard.frames.push(frame);
                }
                return true;
            }
        }
        false
    }

    /// Drops the bytes before a frame, which are noise, and the frame.
    fn skip(&mut self, start: usize, length: usize) {
        let wakes = self.unread[..start].iter().filter(|byte| {
            self.dialect == Dialect::Dlt645 && **byte == meter_frame::WAKE_UP
                || self.dialect == Dialect::Ascii && matches!(**byte, b'\r' | b'\n')
        });
        self.heard.noise += start - wakes.count();
        self.unread.drain(..start + length);
    }

    /// Returns what is at the head of these bytes.
    fn head(&self, bytes: &[u8], all: bool) -> Head {
        match self.dialect {
            Dialect::Rtu => {
                let length = match reply_len(bytes) {
                    ReplyLength::Known(length) if length > rtu::MAX_FRAME => return Head::None,
                    ReplyLength::Known(length) => length,
                    ReplyLength::Unknown if all => bytes.len(),
                    ReplyLength::Unfinished => return Head::Unfinished,
                    ReplyLength::Unknown | ReplyLength::None => return Head::None,
                };
                let Some(frame) = bytes.get(..length) else {
                    return Head::Unfinished;
                };
                match rtu::open(frame) {
                    Some((unit, pdu)) => Head::modbus(length, unit, pdu.to_vec()),
                    None => Head::None,
                }
            }
            Dialect::Ascii => {
                let Some(end) = bytes.iter().position(|byte| *byte == b'\r') else {
                    let may_be = bytes.first() == Some(&b':') && bytes.len() < ascii::MAX_FRAME;
                    return if may_be { Head::Unfinished } else { Head::None };
                };
                match ascii::open(&bytes[..=end]) {
                    Some((unit, pdu)) => Head::modbus(end + 1, unit, pdu),
                    None => Head::None,
                }
            }
            Dialect::Tcp => {
                let mut rest = bytes.to_vec();
                match tcp::take(&mut rest) {
                    Ok(Some(frame)) => {
                        Head::modbus(bytes.len() - rest.len(), frame.unit, frame.pdu)
                    }
                    Ok(None) => Head::Unfinished,
                    Err(tcp::OutOfStep) => Head::None,
                }
            }
            Dialect::Dlt645 => {
                let is_start = |at: usize| bytes.get(at).is_none_or(|b| *b == meter_frame::START);
                if !(is_start(0) && is_start(7)) {
                    return Head::None;
                }
                let length = bytes
                    .get(9)
                    .map(|count| meter_frame::len(usize::from(*count)));
                let Some(frame) = length.and_then(|length| bytes.get(..length)) else {
                    return Head::Unfinished;
                };
                let (length, Some(frame)) = (frame.len(), Frame::open(frame)) else {
                    return Head::None;
                };
                let heard = HeardFrame::Dlt645 {
                    address: frame.address,
                    control: frame.control.0,
                    data: frame.data,
                };
                Head::Frame(length, heard)
            }
        }
    }
}

/// What is at the head of some bytes.
enum Head {
    /// A frame of so many bytes.
    Frame(usize, HeardFrame),
    /// What may become a frame with the bytes that follow.
    Unfinished,
    /// No frame.
    None,
}

impl Head {
    const fn modbus(length: usize, unit: UnitId, pdu: Vec<u8>) -> Head {
        Head::Frame(length, HeardFrame::Modbus { unit, pdu })
    }
}

/// How long a reply of Modbus RTU is.
enum ReplyLength {
    /// So many bytes, with unit and checksum.
    Known(usize),
    /// It takes more bytes to know.
    Unfinished,
    /// The function does not say.
    Unknown,
    /// No reply begins like this.
    None,
}

/// Returns how long the reply is that begins with these bytes (Modbus Application Protocol
/// V1.1b3 §6).
fn reply_len(bytes: &[u8]) -> ReplyLength {
    let [unit, function, rest @ ..] = bytes else {
        return ReplyLength::Unfinished;
    };
    let counted = |more: usize| match rest.first() {
        Some(count) => ReplyLength::Known(rtu::frame_len(more + usize::from(*count))),
        None => ReplyLength::Unfinished,
    };
    match (UnitId(*unit), *function) {
        // A broadcast is not answered.
        (UnitId(0), _) => ReplyLength::None,
        (_, function) if function & EXCEPTION != 0 => ReplyLength::Known(rtu::frame_len(2)),
        (_, 1..=4 | 12 | 17 | 20 | 21 | 23) => counted(2),
        (_, 7) => ReplyLength::Known(rtu::frame_len(2)),
        (_, 5 | 6 | 8 | 11 | 15 | 16) => ReplyLength::Known(rtu::frame_len(5)),
        (_, 22) => ReplyLength::Known(rtu::frame_len(7)),
        (_, 43) => identification_len(rest),
        _ => ReplyLength::Unknown,
    }
}

/// Returns how long a reply of function 43/14 is, by the bytes behind the function (§6.21): MEI
/// type, code, conformity, more, next, number of objects, and of each object id, length, text.
fn identification_len(rest: &[u8]) -> ReplyLength {
    let &[14, _, _, _, _, objects, ref rest @ ..] = rest else {
        return match rest {
            [14, ..] | [] => ReplyLength::Unfinished,
            _ => ReplyLength::Unknown,
        };
    };
    let mut at = 0;
    for _ in 0..objects {
        let Some(length) = rest.get(at + 1) else {
            return ReplyLength::Unfinished;
        };
        at += 2 + usize::from(*length);
    }
    ReplyLength::Known(rtu::frame_len(7 + at))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::spec::dlt645::MeterAddress;

    const RTU: Option<Framing> = Some(Framing::Rtu);

    const OWN: (u16, TransactionIds) = (7, TransactionIds::Match);

    fn read(unit: u8) -> SurveyQuestion {
        SurveyQuestion::Modbus {
            unit: UnitId(unit),
            pdu: vec![3, 0, 0, 0, 1],
        }
    }

    fn reply(unit: u8, pdu: &[u8]) -> Vec<u8> {
        rtu::frame(UnitId(unit), pdu)
    }

    fn heard(question: &SurveyQuestion, framing: Option<Framing>, bytes: &[u8]) -> SurveyReply {
        let mut listener = SurveyListener::new(question, framing, OWN);
        listener.push(Duration::from_millis(9), bytes);
        listener.end()
    }

    fn units(heard: &SurveyReply) -> Vec<u8> {
        let unit = |frame: &HeardFrame| match frame {
            HeardFrame::Modbus { unit, .. } => Some(unit.0),
            HeardFrame::Dlt645 { .. } => None,
        };
        heard.frames.iter().filter_map(unit).collect()
    }

    #[test]
    fn values_exceptions_and_late_replies_of_other_units_are_heard() {
        let late = reply(1, &[3, 2, 0, 7]);
        let own = reply(2, &[0x83, 2]);
        let both = [&late[..], &own].concat();
        let mut listener = SurveyListener::new(&read(2), RTU, OWN);
        listener.push(Duration::from_millis(3), &late);
        assert!(!listener.is_answered());
        listener.push(Duration::from_millis(12), &own);
        assert!(listener.is_answered() && !listener.is_reading());
        let heard_one_by_one = listener.end();
        assert_eq!(units(&heard_one_by_one), [1, 2]);
        assert_eq!(heard_one_by_one.first_after, Some(Duration::from_millis(3)));
        assert_eq!(heard_one_by_one.last_after, Some(Duration::from_millis(12)));
        assert_eq!(units(&heard(&read(2), RTU, &both)), [1, 2]);
    }

    #[test]
    fn noise_is_counted_and_hides_no_frame() {
        let bytes = [&[0xFF, 3, 0][..], &reply(9, &[3, 2, 0, 7]), &[0x55]].concat();
        let heard = heard(&read(9), RTU, &bytes);
        assert_eq!((units(&heard), heard.noise), (vec![9], 4));
    }

    #[test]
    fn no_frame_is_looked_for_inside_of_one_that_may_become_whole() {
        // The registers of a long reply happen to be a frame of another unit.
        let inside = reply(9, &[3, 2, 0, 7]);
        let pdu = [&[3, 10][..], &inside, &[0, 1, 2]].concat();
        let long = reply(4, &pdu);
        for cut in 0..long.len() {
            let mut listener = SurveyListener::new(&read(4), RTU, OWN);
            listener.push(Duration::ZERO, &long[..cut]);
            listener.push(Duration::ZERO, &long[cut..]);
            let heard = listener.end();
            assert_eq!((units(&heard), heard.noise), (vec![4], 0), "{cut}");
        }
        // Registers that read like the head of a frame of Modbus TCP.
        let pdu = [&[3, 12][..], &[0, 0, 0, 0, 0, 2, 9, 3, 0, 0, 0, 0]].concat();
        let long = tcp::frame(7, UnitId(4), &pdu);
        for cut in 0..long.len() {
            let mut listener = SurveyListener::new(&read(4), None, OWN);
            listener.push(Duration::ZERO, &long[..cut]);
            listener.push(Duration::ZERO, &long[cut..]);
            let heard = listener.end();
            assert_eq!((units(&heard), heard.noise), (vec![4], 0), "{cut}");
            assert!(heard.late.is_empty(), "{cut}");
        }
        // What never becomes whole hides nothing that came behind it.
        let broken = [&[5, 3, 100][..], &inside].concat();
        assert_eq!(units(&heard(&read(9), RTU, &broken)), [9]);
    }

    #[test]
    fn an_echo_is_no_device() {
        let request = reply(2, &[3, 0, 0, 0, 1]);
        let heard_alone = heard(&read(2), RTU, &request);
        assert!(heard_alone.is_silence());
        assert_eq!((heard_alone.echoes, heard_alone.first_after), (1, None));
        let both = [&request[..], &reply(2, &[3, 2, 0, 7])].concat();
        let heard_both = heard(&read(2), RTU, &both);
        assert_eq!((units(&heard_both), heard_both.echoes), (vec![2], 1));
    }

    #[test]
    fn a_request_of_another_master_is_no_device() {
        let heard = heard(&read(2), RTU, &reply(17, &[3, 0, 10, 0, 2]));
        assert_eq!((units(&heard), heard.noise), (Vec::new(), 8));
    }

    #[test]
    fn an_identification_is_as_long_as_its_objects() {
        let mut pdu = vec![43, 14, 1, 1, 0, 0, 2, 0, 3];
        pdu.extend(b"ABC");
        pdu.extend([1, 2]);
        pdu.extend(b"XY");
        let frame = reply(5, &pdu);
        for cut in 0..frame.len() {
            let mut listener = SurveyListener::new(&read(5), RTU, OWN);
            listener.push(Duration::ZERO, &frame[..cut]);
            assert!(listener.heard.frames.is_empty(), "{cut}");
            listener.push(Duration::ZERO, &frame[cut..]);
            assert_eq!(units(&listener.end()), [5], "{cut}");
        }
    }

    #[test]
    fn an_unknown_function_is_heard_at_the_silence() {
        let frame = reply(5, &[100, 1, 2, 3]);
        assert_eq!(units(&heard(&read(5), RTU, &frame)), [5]);
    }

    #[test]
    fn other_dialects_are_heard() {
        let ascii = ascii::frame(UnitId(4), &[0x83, 2]);
        let heard_ascii = heard(&read(4), Some(Framing::Ascii), &ascii);
        assert_eq!((units(&heard_ascii), heard_ascii.noise), (vec![4], 1));
        let late = tcp::frame(6, UnitId(1), &[3, 2, 0, 1]);
        let own = tcp::frame(7, UnitId(4), &[3, 2, 0, 1]);
        let own_late = tcp::frame(6, UnitId(4), &[3, 2, 0, 9]);
        let all = [late, own_late, own].concat();
        let heard_tcp = heard(&read(4), None, &all);
        assert_eq!(units(&heard_tcp), [4]);
        assert_eq!(heard_tcp.late, [UnitId(1), UnitId(4)]);
        let [HeardFrame::Modbus { pdu, .. }] = heard_tcp.frames.as_slice() else {
            panic!("{heard_tcp:?}");
        };
        assert_eq!(*pdu, [3, 2, 0, 1], "its own reply and not the late one");
    }

    #[test]
    fn a_meter_answers_the_wildcard_with_its_own_address() {
        let question = SurveyQuestion::Dlt645 {
            address: MeterAddress::ANY,
            control: 0x13,
            data: Vec::new(),
        };
        let meter = MeterAddress::parse("000000000161").unwrap();
        let answer = Frame {
            address: meter,
            control: meter_frame::Control(0x93),
            data: meter.to_wire().to_vec(),
        };
        let mut listener = SurveyListener::new(&question, RTU, OWN);
        assert_eq!(listener.request()[..5], [0xFE, 0xFE, 0xFE, 0xFE, 0x68]);
        let bytes = [&[0xFE, 0xFE][..], &answer.seal()].concat();
        listener.push(Duration::ZERO, &bytes);
        assert!(listener.is_answered());
        let heard = listener.end();
        assert_eq!((heard.frames.len(), heard.noise), (1, 0));
    }

    proptest! {
        #[test]
        fn any_bytes_are_heard_without_panic_and_none_is_lost(
            bytes in prop::collection::vec(any::<u8>(), 0..3000),
            at in any::<prop::sample::Index>(),
        ) {
            for framing in [Some(Framing::Rtu), Some(Framing::Ascii), None] {
                let mut listener = SurveyListener::new(&read(2), framing, OWN);
                let cut = at.index(bytes.len() + 1);
                listener.push(Duration::ZERO, &bytes[..cut]);
                prop_assert!(listener.unread.len() <= MOST_UNREAD);
                listener.push(Duration::ZERO, &bytes[cut..]);
                let heard = listener.end();
                prop_assert!(heard.noise <= bytes.len());
            }
        }
    }
}
