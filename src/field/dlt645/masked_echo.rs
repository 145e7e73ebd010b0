//! What is shown of a line while a request with a secret is under way: an adapter that hears
//! itself brings the request back.
//!
//! Contract: [`MaskedEcho::shown`] is given every byte that comes, and returns as many. A frame
//! that a master may have sent is shown with the mask of the request, and what is neither such a
//! frame nor a reply, because the echo was spoilt, as zeros.

use super::frame::{Control, START};

/// Where the second start byte and the control byte stand in a frame.
const SECOND_START: usize = 7;
const CONTROL: usize = 8;

/// The request, as it was sent and as it is shown.
#[derive(Clone)]
pub struct MaskedEcho {
    sent: Vec<u8>,
    shown: Vec<u8>,
    state: State,
}

impl std::fmt::Debug for MaskedEcho {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MaskedEcho")
    }
}

#[derive(Clone, Copy)]
enum State {
    /// No frame has begun.
    Between,
    /// So many bytes of a frame have come.
    Frame(usize),
    /// So many bytes may still be the rest of a spoilt echo.
    Spoilt(usize),
}

impl MaskedEcho {
    /// Takes the request as it is sent, and as it is shown; wake-up bytes in front are left out.
    #[must_use]
    pub fn new(sent: &[u8], shown: &[u8]) -> MaskedEcho {
        let woken = sent.iter().position(|b| *b == START).unwrap_or_default();
        let frame = |bytes: &[u8]| bytes.get(woken..).unwrap_or_default().to_vec();
        MaskedEcho {
            sent: frame(sent),
            shown: frame(shown),
            state: State::Between,
        }
    }

    /// Returns what is shown of the bytes that came.
    pub fn shown(&mut self, came: &[u8]) -> Vec<u8> {
        came.iter().map(|byte| self.byte(*byte)).collect()
    }

    fn byte(&mut self, byte: u8) -> u8 {
        let (shown, next) = match self.state {
            State::Between if byte == START => (byte, State::Frame(1)),
            State::Between => (byte, State::Between),
            State::Frame(SECOND_START) if byte != START => (0, State::Spoilt(self.sent.len())),
            State::Frame(CONTROL) if Control(byte).is_reply() => (byte, State::Between),
            State::Frame(at) => {
                let own = (self.sent.get(at).copied(), self.shown.get(at).copied());
                let shown = match own {
                    // A secret byte is not shown even where it came back as another.
                    (Some(sent), Some(shown)) if sent == byte || sent != shown => shown,
                    _ => byte,
                };
                match at + 1 < self.sent.len() {
                    true => (shown, State::Frame(at + 1)),
                    false => (shown, State::Between),
                }
            }
            State::Spoilt(left) if left > 1 => (0, State::Spoilt(left - 1)),
            State::Spoilt(_) => (0, State::Between),
        };
        self.state = next;
        shown
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::field::dlt645::ask::MeterOperation;
    use crate::field::dlt645::{Frame, MeterAddress, MeterRequest};
    use crate::spec::dlt645::{DataIdentifier, WriteAccess};

    const SECRET: std::ops::Range<usize> = 14..22;

    fn request() -> (Vec<u8>, Vec<u8>) {
        let ask = MeterRequest {
            address: MeterAddress::parse("000000000161").unwrap(),
            operation: MeterOperation::Write {
                id: DataIdentifier::Y2007(0x0400_0103),
                access: WriteAccess::parse("04918273", "65748392").unwrap(),
                data: vec![1, 2, 3],
            },
        };
        let bytes = |ask: &MeterRequest| [vec![0xFE; 4], ask.frame().seal()].concat();
        (bytes(&ask), bytes(&ask.masked().unwrap()))
    }

    #[test]
    fn the_echo_is_shown_like_the_request_and_the_reply_as_it_is() {
        let (sent, shown) = request();
        let masked = Frame::open(&shown[4..]).unwrap();
        assert_eq!(
            masked.data[4..12],
            [0; 8],
            "a whole frame, with its checksum"
        );
        assert_eq!(masked.data[..4], Frame::open(&sent[4..]).unwrap().data[..4]);
        let reply = Frame {
            address: MeterAddress::parse("000000000161").unwrap(),
            control: Control(0x94),
            data: Vec::new(),
        };
        let came = [&sent[..], &reply.seal()].concat();
        let wanted = [&shown[..], &reply.seal()].concat();
        for size in 1..came.len() {
            let mut mask = MaskedEcho::new(&sent, &shown);
            let seen: Vec<u8> = came
                .chunks(size)
                .flat_map(|part| mask.shown(part))
                .collect();
            assert_eq!(seen, wanted, "{size}");
        }
    }

    proptest! {
        /// Whatever becomes of the echo's first bytes, of the secret no two bytes are seen.
        #[test]
        fn a_spoilt_echo_shows_no_secret(
            lost in 0usize..9,
            noise in prop::collection::vec(any::<u8>(), 0..3),
            spoilt in 0usize..14,
            by in 1u8..=255,
        ) {
            let (sent, shown) = request();
            let mut echo = sent[4..].to_vec();
            // A control byte that became a reply's is no echo any more.
            prop_assume!(spoilt != CONTROL || by & 0x80 == 0);
            // Without its first start byte and with a spoilt second one nothing is a frame.
            prop_assume!(lost == 0 || spoilt > CONTROL);
            prop_assume!(lost < CONTROL && spoilt != 0);
            echo[spoilt] ^= by;
            let came = [&noise[..], &echo[lost..]].concat();
            let seen = MaskedEcho::new(&sent, &shown).shown(&came);
            prop_assert_eq!(seen.len(), came.len());
            let secret = &sent[4..][SECRET];
            for two in secret.windows(2) {
                prop_assert!(!seen.windows(2).any(|w| w == two), "{:02x?}", seen);
            }
        }
    }
}
