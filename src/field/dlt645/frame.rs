//! Builds frames and takes them apart.
//!
//! `68H A0–A5 68H C L DATA CS 16H` (DL/T 645-2007 §5.2, 1997 §5.2). Every data
//! byte travels with 33H added; the checksum is the sum of all bytes before it.
//! In front of a frame stand any number of FEH, which wake the receiver.

use std::time::Duration;

use super::MeterAddress;
pub use crate::spec::dlt645::Edition;

/// The byte that wakes the receiver (2007 §5.3.1, 1997 §5.3.1).
pub const WAKE_UP: u8 = 0xFE;

/// How many wake-up bytes a master sends (same sections); a meter may send any number or
/// none.
pub const WAKE_UPS: usize = 4;

/// The longest time that may pass between two bytes of one frame (2007 §5.3.3, 1997 §5.3.3:
/// Tb).
pub const INTER_BYTE: Duration = Duration::from_millis(500);

/// The time within which a meter answers (same sections: Td, 20–500 ms).
pub const RESPONSE: Duration = Duration::from_millis(500);

/// The most data in one frame (2007 §5.2.4, 1997 §5.2.4: reading).
pub const MAX_DATA: usize = 200;

/// The bytes of a frame around its data.
pub(super) const FRAME_OVERHEAD: usize = 12;

/// Returns the bytes of a frame with this much data, without wake-up bytes.
#[must_use]
pub const fn len(data: usize) -> usize {
    data + FRAME_OVERHEAD
}

/// The byte with which a frame begins, and its second part.
pub const START: u8 = 0x68;
pub(super) const END: u8 = 0x16;
const SHIFT: u8 = 0x33;

/// The control byte (2007 §5.2.3, 1997 §5.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Control(pub u8);

impl Control {
    /// Returns whether the frame comes from a meter, not from a master.
    #[must_use]
    pub const fn is_reply(self) -> bool {
        self.0 & 0x80 != 0
    }

    /// Returns whether the meter refuses; the data of the frame is an error word then.
    #[must_use]
    pub const fn is_refusal(self) -> bool {
        self.0 & 0x40 != 0
    }

    /// Returns whether another frame is needed for the rest.
    #[must_use]
    pub const fn has_more(self) -> bool {
        self.0 & 0x20 != 0
    }

    /// Returns the function that is asked for.
    #[must_use]
    pub const fn function(self) -> u8 {
        self.0 & 0x1F
    }
}

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The meter that the frame is for or from.
    pub address: MeterAddress,
    /// The control byte of the frame.
    pub control: Control,
    /// The data without the 33H; at most [`MAX_DATA`] bytes.
    pub data: Vec<u8>,
}

impl Frame {
    /// Returns the bytes of the frame on the line, without wake-up bytes. Data beyond
    /// [`MAX_DATA`] are left out.
    #[must_use]
    pub fn seal(&self) -> Vec<u8> {
        let data = &self.data[..self.data.len().min(MAX_DATA)];
        let mut out = Vec::with_capacity(data.len() + FRAME_OVERHEAD);
        out.push(START);
        out.extend_from_slice(&self.address.to_wire());
        out.extend_from_slice(&[START, self.control.0, data.len() as u8]);
        out.extend(data.iter().map(|b| b.wrapping_add(SHIFT)));
        out.push(sum(&out));
        out.push(END);
        out
    }

    /// Takes a whole frame apart; `None` unless the bytes are one whole frame, nothing more,
    /// and its checksum is right.
    #[must_use]
    pub fn open(frame: &[u8]) -> Option<Frame> {
        let (head, rest) = frame.split_first_chunk::<10>()?;
        let [START, wire @ .., START, control, length] = *head else {
            return None;
        };
        let (data, [check, END]) = rest.split_last_chunk::<2>()? else {
            return None;
        };
        let body = &frame[..frame.len() - 2];
        let fits = data.len() == usize::from(length) && data.len() <= MAX_DATA;
        (fits && sum(body) == *check).then(|| Frame {
            address: MeterAddress::from_wire(wire),
            control: Control(control),
            data: data.iter().map(|b| b.wrapping_sub(SHIFT)).collect(),
        })
    }
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, b| sum.wrapping_add(*b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::field::dlt645::test_capture::bytes;

    /// (source, frame, address, control, data).
    const PUBLISHED: [(&str, &str, &str, u8, &str); 7] = [
        (
            "hwhale.com/article/138066: reading the forward active energy",
            "68 61 01 00 00 00 00 68 11 04 33 33 34 33 14 16",
            "000000000161",
            0x11,
            "00 00 01 00",
        ),
        (
            "the same: its reply, 0.26 kWh",
            "68 61 01 00 00 00 00 68 91 08 33 33 34 33 59 33 33 33 8A 16",
            "000000000161",
            0x91,
            "00 00 01 00 26 00 00 00",
        ),
        (
            "mbb.eet-china.com/forum/topic/114707_1_1.html: a block of voltages",
            "68 18 20 12 22 20 65 68 91 0A 33 32 34 35 33 33 33 33 C7 56 13 16",
            "652022122018",
            0x91,
            "00 FF 01 02 00 00 00 00 94 23",
        ),
        (
            "m.icode9.com/content-4-712469.html: who is there",
            "68 AA AA AA AA AA AA 68 13 00 DF 16",
            "AAAAAAAAAAAA",
            0x13,
            "",
        ),
        (
            "a go645 test: the meter says its address",
            "68 01 00 00 00 00 00 68 93 06 34 33 33 33 33 33 9D 16",
            "000000000001",
            0x93,
            "01 00 00 00 00 00",
        ),
        (
            "a C# test suite calculated by hand: no such datum",
            "68 12 90 78 56 34 12 68 D1 01 35 8D 16",
            "123456789012",
            0xD1,
            "02",
        ),
        (
            "kaledl.com/down/1493168.html: 1997, forward active energy",
            "68 54 07 13 00 80 13 68 81 06 43 C3 34 33 33 33 2B 16",
            "138000130754",
            0x81,
            "10 90 01 00 00 00",
        ),
    ];

    #[test]
    fn published_frames_open_and_are_built() {
        for (source, wire, address, control, data) in PUBLISHED {
            let frame = Frame::open(&bytes(wire)).expect(source);
            assert_eq!(frame.address.to_string(), address, "{source}");
            assert_eq!(frame.control.0, control, "{source}");
            assert_eq!(frame.data, bytes(data), "{source}");
            assert_eq!(frame.seal(), bytes(wire), "{source}");
        }
    }

    #[test]
    fn a_control_byte_says_who_and_what() {
        for (code, reply, refusal, more, function) in [
            (0x11, false, false, false, 0x11),
            (0x91, true, false, false, 0x11),
            (0xB1, true, false, true, 0x11),
            (0xD1, true, true, false, 0x11),
            (0x81, true, false, false, 0x01),
            (0xC1, true, true, false, 0x01),
        ] {
            let c = Control(code);
            assert_eq!(
                (c.is_reply(), c.is_refusal(), c.has_more(), c.function()),
                (reply, refusal, more, function)
            );
        }
    }

    proptest! {
        #[test]
        fn frames_round_trip_and_no_flipped_bit_opens(
            wire in any::<[u8; 6]>(),
            control in any::<u8>(),
            data in prop::collection::vec(any::<u8>(), 0..=MAX_DATA),
            bit in any::<prop::sample::Index>(),
        ) {
            let frame = Frame { address: MeterAddress::from_wire(wire), control: Control(control), data };
            let mut sealed = frame.seal();
            prop_assert_eq!(Frame::open(&sealed), Some(frame));
            for cut in 0..sealed.len() {
                prop_assert_eq!(Frame::open(&sealed[..cut]), None);
            }
            let bit = bit.index(sealed.len() * 8);
            sealed[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(Frame::open(&sealed), None);
        }
    }
}
