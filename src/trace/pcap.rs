//! A capture that Wireshark opens and takes apart without any setting.
//!
//! pcapng (draft-ietf-opsawg-pcapng §4), with stamps in microseconds. Link type 252,
//! `LINKTYPE_WIRESHARK_UPPER_PDU`: each packet begins with the name of the dissector it is
//! for, so that an RTU frame goes to Wireshark's own Modbus RTU dissector as it was on the
//! wire, its check included. (The other ways have drawbacks: 250, `RTAC_SERIAL`, and 147,
//! `USER0`, are shown as bytes until the user sets a preference; frames wrapped into
//! made-up TCP connections lose their check and show addresses that never were.)
//! `tests/process/trace.rs` reads a capture back with tshark.
//!
//! A capture holds frames and nothing else. An event without a byte, above all a reply that
//! did not come, is a comment on the request (`frame.comment`). This is why frames are
//! written when their transaction has ended.

use super::decode::Body;
use super::event::{TraceEvent, TracedLine, TracedProtocol, TransactionVerdict};
use super::follow::{Anchor, Follower, Frame, Item, Side};
use super::text::millis;
use crate::base::text::{counted, plural};

/// `LINKTYPE_WIRESHARK_UPPER_PDU` (tcpdump.org, link-layer header types).
const UPPER_PDU: u16 = 252;

/// Block types (pcapng §4.1, §4.2, §4.3).
const SECTION: u32 = 0x0A0D_0D0A;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;

/// Options (§3.5, §4.2, §4.3).
const END_OF_OPTIONS: u16 = 0;
const COMMENT: u16 = 1;
const IF_NAME: u16 = 2;
const IF_DESCRIPTION: u16 = 3;
const IF_TIME_RESOLUTION: u16 = 9;
const PACKET_FLAGS: u16 = 2;
const USER_APPLICATION: u16 = 4;

/// Time in powers of ten: microseconds (§4.2).
const MICROSECONDS: u8 = 6;

/// Directions in a packet's flags (§4.3.1).
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// Tags in front of an upper PDU (Wireshark, `epan/exported_pdu.h`), big-endian.
const TAG_END: u16 = 0;
const TAG_DISSECTOR: u16 = 12;
const TAG_PORT_TYPE: u16 = 24;
const TAG_SOURCE_PORT: u16 = 25;
const TAG_DESTINATION_PORT: u16 = 26;

/// TCP among the port types (same source).
const TCP: u32 = 2;

/// By these two ports the dissector of Modbus TCP tells requests from replies: the
/// registered port of the protocol, and any other. The dissector of RTU looks at the frame.
const SERVER: u32 = 502;
const CLIENT: u32 = 49_152;

/// The most frames that are held. If a transaction has more, they are written at once.
const MOST_BUFFERED: usize = 16;

/// Writes the capture of one port.
#[derive(Clone, Debug, Default)]
pub struct Capture {
    anchor: Anchor,
    follower: Follower,
    begun: bool,
    /// The held frames, written when their outcome is known, with their comments.
    buffered: Vec<(Frame, Vec<String>)>,
    /// Comments for the next frame.
    told: Vec<String>,
}

impl Capture {
    /// Returns the bytes that this event appends to the capture.
    pub fn on(&mut self, seen: &TraceEvent) -> Vec<u8> {
        self.anchor.take_anchor(seen);
        let mut out = Vec::new();
        for item in self.follower.on(seen) {
            self.item(&mut out, item);
        }
        out
    }

    /// Returns the bytes that the end of the stream appends to the capture.
    pub fn end(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        for item in self.follower.end() {
            self.item(&mut out, item);
        }
        self.release(&mut out);
        out
    }

    fn item(&mut self, out: &mut Vec<u8>, item: Item) {
        match item {
            Item::Line(_, line) => {
                let words = match &line {
                    TracedLine::Open(settings) => {
                        if !self.begun {
                            begin(out, &settings.port, &settings.to_string());
                            self.begun = true;
                            return;
                        }
                        format!("the line is {settings}")
                    }
                    TracedLine::Closed { why } => format!("not open: {why}"),
                };
                self.release(out);
                self.tell(words);
            }
            Item::Frame(frame) => {
                if self.buffered.len() >= MOST_BUFFERED {
                    self.release(out);
                }
                let mut comments = std::mem::take(&mut self.told);
                if frame.is_too_early() {
                    let quiet = millis(frame.quiet.unwrap_or_default());
                    let wanted = millis(frame.wanted);
                    comments.push(format!("too early: quiet for {quiet} instead of {wanted}"));
                }
                // No dissector explains these frames.
                if !matches!(frame.body, Body::Modbus { .. })
                    || frame.protocol == TracedProtocol::Ascii
                {
                    let asks = frame.side == Side::Master;
                    comments.push(frame.body.words(asks, frame.bytes.len()));
                }
                self.buffered.push((frame, comments));
            }
            Item::Timeout { at, since, .. } => {
                let waited = millis(at.since(since));
                let words = format!("no reply within {waited}");
                let mut buffered = self.buffered.iter_mut().rev();
                match buffered.find(|(frame, _)| frame.side == Side::Master) {
                    Some((_, comments)) => comments.push(words),
                    None => self.tell(words),
                }
            }
            Item::Ended(ended) => {
                match ended.verdict {
                    // These need no comment; the timeout has commented on the second already.
                    TransactionVerdict::Answered | TransactionVerdict::Silent => {}
                    verdict => self.note(format!("{}: {verdict}", ended.device)),
                }
                self.release(out);
            }
            Item::Late(_, device) => {
                self.note(format!("{device}: a reply that had been given up"));
                self.release(out);
            }
            Item::Missing(_, events) => {
                self.release(out);
                let are = plural(events, "is", "are");
                let events = counted(events, "event");
                self.tell(format!("{events} {are} missing before this"));
            }
        }
    }

    /// Comments on the last frame, or else on the next.
    fn note(&mut self, words: String) {
        match self.buffered.last_mut() {
            Some((_, comments)) => comments.push(words),
            None => self.tell(words),
        }
    }

    /// Keeps a comment for the next frame. Only the last few are kept, because a port that
    /// cannot be opened has no frames.
    fn tell(&mut self, words: String) {
        const FEW: usize = 4;
        self.told.push(words);
        let more = self.told.len().saturating_sub(FEW);
        self.told.drain(..more);
    }

    fn release(&mut self, out: &mut Vec<u8>) {
        for (frame, comments) in std::mem::take(&mut self.buffered) {
            if !self.begun {
                // The port has never been open, or its first event was lost.
                begin(out, "port", "");
                self.begun = true;
            }
            packet(out, &self.anchor, &frame, &comments);
        }
    }
}

/// Writes the section header and the interface description.
fn begin(out: &mut Vec<u8>, port: &str, is: &str) {
    let mut body = Vec::new();
    // Byte order, version 1.0, length unknown.
    body.extend(0x1A2B_3C4D_u32.to_le_bytes());
    body.extend(1u16.to_le_bytes());
    body.extend(0u16.to_le_bytes());
    body.extend((-1i64).to_le_bytes());
    option(&mut body, USER_APPLICATION, b"alink-gateway");
    option(&mut body, END_OF_OPTIONS, b"");
    block(out, SECTION, &body);

    let mut body = Vec::new();
    body.extend(UPPER_PDU.to_le_bytes());
    body.extend([0; 2]);
    // No limit to a packet's length.
    body.extend(0u32.to_le_bytes());
    option(&mut body, IF_NAME, port.as_bytes());
    option(&mut body, IF_DESCRIPTION, is.as_bytes());
    option(&mut body, IF_TIME_RESOLUTION, &[MICROSECONDS]);
    option(&mut body, END_OF_OPTIONS, b"");
    block(out, INTERFACE, &body);
}

fn packet(out: &mut Vec<u8>, anchor: &Anchor, frame: &Frame, comments: &[String]) {
    let mut data = Vec::new();
    let dissector = dissector(frame);
    tag(&mut data, TAG_DISSECTOR, dissector);
    if dissector == MODBUS_TCP {
        let (from, to) = match frame.side {
            Side::Master => (CLIENT, SERVER),
            Side::Line => (SERVER, CLIENT),
        };
        tag(&mut data, TAG_PORT_TYPE, &TCP.to_be_bytes());
        tag(&mut data, TAG_SOURCE_PORT, &from.to_be_bytes());
        tag(&mut data, TAG_DESTINATION_PORT, &to.to_be_bytes());
    }
    tag(&mut data, TAG_END, b"");
    data.extend_from_slice(&frame.bytes);

    let stamp = u64::try_from(anchor.micros(frame.begin)).unwrap_or(0);
    let (high, low) = ((stamp >> 32) as u32, stamp as u32);
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut body = Vec::new();
    for word in [0, high, low, length, length] {
        body.extend(word.to_le_bytes());
    }
    body.extend_from_slice(&data);
    pad(&mut body);
    let direction = match frame.side {
        Side::Master => OUTBOUND,
        Side::Line => INBOUND,
    };
    option(&mut body, PACKET_FLAGS, &direction.to_le_bytes());
    for comment in comments {
        option(&mut body, COMMENT, comment.as_bytes());
    }
    option(&mut body, END_OF_OPTIONS, b"");
    block(out, PACKET, &body);
}

const MODBUS_TCP: &[u8] = b"mbtcp";

/// Returns Wireshark's name of the dissector for this frame.
fn dissector(frame: &Frame) -> &'static [u8] {
    match (&frame.body, frame.protocol) {
        (Body::Modbus { .. }, TracedProtocol::Tcp) => MODBUS_TCP,
        // ASCII has no dissector; on any other line the check was that of RTU.
        (
            Body::Modbus { .. },
            TracedProtocol::Rtu | TracedProtocol::Dlt645 | TracedProtocol::Raw,
        ) => b"mbrtu",
        // This is an echo of a request that was RTU.
        (Body::Echo, TracedProtocol::Rtu) => b"mbrtu",
        _ => b"data",
    }
}

fn block(out: &mut Vec<u8>, kind: u32, body: &[u8]) {
    // Type and length come before the body, the length again after it.
    let length = u32::try_from(body.len() + 12).unwrap_or(u32::MAX);
    out.extend(kind.to_le_bytes());
    out.extend(length.to_le_bytes());
    out.extend_from_slice(body);
    out.extend(length.to_le_bytes());
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = &value[..value.len().min(usize::from(u16::MAX))];
    out.extend(code.to_le_bytes());
    out.extend((value.len() as u16).to_le_bytes());
    out.extend_from_slice(value);
    pad(out);
}

fn tag(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let mut value = value.to_vec();
    pad(&mut value);
    out.extend(code.to_be_bytes());
    out.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(value);
}

/// Pads to a multiple of four. Bodies begin at one, so this holds inside them too.
fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::event::TraceEventKind;
    use super::super::samples::{BEGUN, any_seen, at, open, turn};
    use super::*;
    use crate::base::{Mono, UnitId};
    use crate::field::modbus::rtu;

    /// Walks the blocks: type and body of each. Panics on a malformed capture.
    fn blocks(mut capture: &[u8]) -> Vec<(u32, Vec<u8>)> {
        let word = |at: usize, b: &[u8]| u32::from_le_bytes(b[at..at + 4].try_into().unwrap());
        let mut blocks = Vec::new();
        while !capture.is_empty() {
            let length = word(4, capture) as usize;
            assert_eq!(length % 4, 0);
            assert_eq!(word(length - 4, capture) as usize, length);
            blocks.push((word(0, capture), capture[8..length - 4].to_vec()));
            capture = &capture[length..];
        }
        blocks
    }

    #[test]
    fn a_request_without_a_reply_is_one_packet_that_says_so() {
        let mut capture = Capture::default();
        let request = rtu::frame(UnitId(3), &[3, 0, 0, 0, 2]);
        let mut all = capture.on(&at(0, open()));
        all.extend(capture.on(&at(0, turn("meter-3", "unit 3"))));
        let until = Mono::from_micros(9_000);
        let sent = TraceEventKind::Sent {
            bytes: request.clone(),
            until,
        };
        all.extend(capture.on(&at(1_234, sent)));
        all.extend(capture.on(&at(309_000, TraceEventKind::Timeout)));
        all.extend(capture.end());
        let blocks = blocks(&all);
        let kinds: Vec<u32> = blocks.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [SECTION, INTERFACE, PACKET]);
        let packet = &blocks[2].1;
        let high = u64::from(u32::from_le_bytes(packet[4..8].try_into().unwrap()));
        let low = u64::from(u32::from_le_bytes(packet[8..12].try_into().unwrap()));
        assert_eq!(high << 32 | low, BEGUN as u64 * 1000 + 1_234);
        // Dissector's tag, end of tags, frame.
        assert_eq!(&packet[20..32], b"\0\x0c\0\x08mbrtu\0\0\0");
        assert_eq!(&packet[36..44], request);
        let text = String::from_utf8_lossy(packet);
        assert!(text.contains("no reply within 300.00 ms"), "{text}");
    }

    proptest! {
        #[test]
        fn whatever_is_seen_the_blocks_are_whole(
            seen in prop::collection::vec(any_seen(), 0..40),
        ) {
            let mut capture = Capture::default();
            let mut all = Vec::new();
            for seen in &seen {
                all.extend(capture.on(seen));
            }
            all.extend(capture.end());
            let blocks = blocks(&all);
            let packets = blocks.iter().filter(|(kind, _)| *kind == PACKET).count();
            if packets > 0 {
                prop_assert_eq!(blocks[0].0, SECTION);
                prop_assert_eq!(blocks[1].0, INTERFACE);
            }
        }
    }
}
