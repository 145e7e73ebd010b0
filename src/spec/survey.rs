//! What is asked of a line beside its configuration: while a device is being looked for, read by
//! its address, or examined.
//!
//! A survey only reads. [`SurveyQuestion::is_read`] holds the functions that no device changes
//! anything for; the caller that hands a survey to a line asks it first.

use std::time::Duration;

use super::{BusAddress, Characters, DeviceSpec, Framing, PointAddress, Protocol};
use crate::base::UnitId;
use crate::spec::dlt645::{DataIdentifier, MeterAddress};

/// The longest time that the first byte of a reply is waited for in a survey.
pub const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The longest PDU of a request (Modbus Application Protocol V1.1b3 §4.1).
pub const LONGEST_PDU: usize = 253;

/// One request of a survey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SurveyRequest {
    /// The characters the line has meanwhile, if they are not its own. Nothing on a TCP
    /// connection.
    pub characters: Option<Characters>,
    /// The framing of Modbus meanwhile, if it is not the line's own. Nothing where the line is
    /// Modbus TCP.
    pub framing: Option<Framing>,
    /// The question.
    pub question: SurveyQuestion,
    /// How long the first byte of a reply is waited for, from the last byte of the request on; at
    /// most [`LONGEST_WAIT`].
    pub wait: Duration,
    /// Whether to go on listening behind the reply until the wait is over: another device may
    /// have the same address.
    pub listens_on: bool,
}

/// The question of a survey, in its protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SurveyQuestion {
    /// A request of Modbus.
    Modbus {
        /// The unit that is asked.
        unit: UnitId,
        /// Function and data.
        pdu: Vec<u8>,
    },
    /// A request to a meter of DL/T 645.
    Dlt645 {
        /// The address, or a wildcard.
        address: MeterAddress,
        /// The control byte.
        control: u8,
        /// The data without the 33H.
        data: Vec<u8>,
    },
}

impl SurveyQuestion {
    /// Returns the question to a device for a sign of life: its first point. `None` for a device
    /// whose protocol has no standard.
    #[must_use]
    pub fn of_device(device: &DeviceSpec) -> Option<SurveyQuestion> {
        let point = device.profile.points.first()?;
        match (device.address, point.address, &device.profile.protocol) {
            (BusAddress::Modbus(unit), PointAddress::Modbus(at), _) => {
                let [high, low] = at.start.to_be_bytes();
                let registers = point.codec.width().clamp(1, 4);
                let count = u8::try_from(registers).unwrap_or(1);
                let pdu = vec![at.table.read_function(), high, low, 0, count];
                Some(SurveyQuestion::Modbus { unit, pdu })
            }
            (BusAddress::Dlt645(address), PointAddress::Dlt645(at), Protocol::Dlt645(items)) => {
                let (control, data) = match items.get(at.item.index())?.id {
                    DataIdentifier::Y1997(id) => (0x01, id.to_le_bytes().to_vec()),
                    DataIdentifier::Y2007(id) => (0x11, id.to_le_bytes().to_vec()),
                };
                Some(SurveyQuestion::Dlt645 {
                    address,
                    control,
                    data,
                })
            }
            _ => None,
        }
    }

    /// Returns the address that is asked.
    #[must_use]
    pub const fn address(&self) -> BusAddress {
        match self {
            SurveyQuestion::Modbus { unit, .. } => BusAddress::Modbus(*unit),
            SurveyQuestion::Dlt645 { address, .. } => BusAddress::Dlt645(*address),
        }
    }

    /// Returns whether no device changes anything for this question: Modbus functions 1 to 4
    /// (read), 7 (exception status), 17 (server id), 43/14 (device identification); of DL/T 645,
    /// reading data, its continuation, and the address (2007 §7.1 to §7.3, 1997 §7.1).
    #[must_use]
    pub fn is_read(&self) -> bool {
        match self {
            SurveyQuestion::Modbus { pdu, .. } => {
                pdu.len() <= LONGEST_PDU
                    && matches!(
                        pdu.as_slice(),
                        [1..=4, _, _, _, _] | [7 | 17] | [43, 14, _, _]
                    )
            }
            SurveyQuestion::Dlt645 { control, .. } => matches!(control, 0x01 | 0x02 | 0x11..=0x13),
        }
    }
}

/// Whether the line had the characters that a request of a survey wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SurveySettings {
    /// It had them, or the request wants none.
    #[default]
    AsAsked,
    /// The adapter took others instead, in words.
    Differ(String),
    /// The adapter refuses them, in the system's words. Nothing was sent.
    Refused(String),
}

/// What was heard after a request of a survey.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SurveyReply {
    /// The whole frames, in the order in which they came. Our own request, heard back, is not
    /// among them.
    pub frames: Vec<HeardFrame>,
    /// The units of replies to earlier requests, where replies carry the number of theirs.
    pub late: Vec<UnitId>,
    /// How many bytes belong to no whole frame.
    pub noise: usize,
    /// How many times our own request was heard back.
    pub echoes: usize,
    /// All bytes that came, the first [`SurveyReply::SHOWN`] of them.
    pub bytes: Vec<u8>,
    /// The bytes that were sent.
    pub sent: Vec<u8>,
    /// The time from the last byte of the request until the first that was heard and is not an
    /// echo.
    pub first_after: Option<Duration>,
    /// The time from the last byte of the request until the last that was heard.
    pub last_after: Option<Duration>,
}

impl SurveyReply {
    /// How many of the bytes that came are kept.
    pub const SHOWN: usize = 1024;

    /// Returns whether nothing at all was heard.
    #[must_use]
    pub fn is_silence(&self) -> bool {
        self.frames.is_empty() && self.noise == 0
    }
}

/// A whole frame, with a good checksum, or on a connection of Modbus TCP with a good header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeardFrame {
    /// A reply of Modbus.
    Modbus {
        /// The unit that it is from.
        unit: UnitId,
        /// Function and data.
        pdu: Vec<u8>,
    },
    /// A frame of DL/T 645.
    Dlt645 {
        /// The address in the frame.
        address: MeterAddress,
        /// The control byte.
        control: u8,
        /// The data without the 33H.
        data: Vec<u8>,
    },
}

impl HeardFrame {
    /// Returns whether the frame is a refusal.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            HeardFrame::Modbus { pdu, .. } => pdu.first().is_some_and(|f| f & 0x80 != 0),
            HeardFrame::Dlt645 { control, .. } => control & 0x40 != 0,
        }
    }

    /// Returns the address that the frame is from.
    #[must_use]
    pub const fn sender(&self) -> BusAddress {
        match self {
            HeardFrame::Modbus { unit, .. } => BusAddress::Modbus(*unit),
            HeardFrame::Dlt645 { address, .. } => BusAddress::Dlt645(*address),
        }
    }

    /// Returns whether the frame can be the answer to the question, if only a refusal: unit and
    /// function are those that were asked, and a read has as many bytes as were asked for; or the
    /// frame is from a meter that the address covers.
    #[must_use]
    pub fn answers(&self, question: &SurveyQuestion) -> bool {
        match (self, question) {
            (
                HeardFrame::Modbus { unit, pdu },
                SurveyQuestion::Modbus {
                    unit: asked,
                    pdu: request,
                },
            ) => unit == asked && answers_modbus(pdu, request),
            (
                HeardFrame::Dlt645 {
                    address, control, ..
                },
                SurveyQuestion::Dlt645 {
                    address: asked,
                    control: request,
                    ..
                },
            ) => {
                // A meter that is asked for its address answers with that address.
                let is_covered = asked.means(*address) || *request == 0x13;
                control & 0x80 != 0 && control & 0x1F == request & 0x1F && is_covered
            }
            _ => false,
        }
    }
}

/// Returns whether a PDU can be the reply to another (Modbus Application Protocol V1.1b3 §6, §7).
fn answers_modbus(reply: &[u8], request: &[u8]) -> bool {
    match (request, reply) {
        ([asked, ..], [function, _]) if *function == asked | 0x80 => true,
        (&[asked @ 1..=4, _, _, high, low], [function, count, data @ ..]) => {
            let entries = usize::from(u16::from_be_bytes([high, low]));
            let bytes = match asked {
                1 | 2 => entries.div_ceil(8),
                _ => entries * 2,
            };
            *function == asked && usize::from(*count) == bytes && data.len() == bytes
        }
        ([asked, ..], [function, ..]) => function == asked,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reading_functions_are_reads() {
        let modbus = |pdu: &[u8]| SurveyQuestion::Modbus {
            unit: UnitId(1),
            pdu: pdu.to_vec(),
        };
        for pdu in [
            &[1, 0, 0, 0, 1][..],
            &[4, 0, 0, 0, 125],
            &[7],
            &[17],
            &[43, 14, 1, 0],
        ] {
            assert!(modbus(pdu).is_read(), "{pdu:?}");
        }
        for pdu in [
            &[][..],
            &[5, 0, 0, 0xFF, 0],
            &[6, 0, 0, 0, 1],
            &[3, 0, 0, 0],
            &[3, 0, 0, 0, 1, 0],
            &[8, 0, 1, 0, 0],
            &[16, 0, 0, 0, 1, 2, 0, 0],
            &[23, 0, 0, 0, 1, 0, 0, 0, 1, 2, 0, 0],
            &[43, 13, 0, 0],
        ] {
            assert!(!modbus(pdu).is_read(), "{pdu:?}");
        }
        let meter = |control| SurveyQuestion::Dlt645 {
            address: MeterAddress::ANY,
            control,
            data: Vec::new(),
        };
        for control in [0x01, 0x02, 0x11, 0x12, 0x13] {
            assert!(meter(control).is_read(), "{control:02X}");
        }
        for control in [0x04, 0x08, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1C] {
            assert!(!meter(control).is_read(), "{control:02X}");
        }
    }

    #[test]
    fn a_refusal_answers_and_another_unit_does_not() {
        let question = SurveyQuestion::Modbus {
            unit: UnitId(3),
            pdu: vec![3, 0, 0, 0, 1],
        };
        let frame = |unit, pdu: &[u8]| HeardFrame::Modbus {
            unit: UnitId(unit),
            pdu: pdu.to_vec(),
        };
        assert!(frame(3, &[3, 2, 0, 7]).answers(&question));
        assert!(frame(3, &[0x83, 2]).answers(&question));
        // The late reply to another request of the same function.
        assert!(!frame(3, &[3, 4, 0, 7, 0, 8]).answers(&question));
        assert!(!frame(4, &[3, 2, 0, 7]).answers(&question));
        assert!(!frame(3, &[4, 2, 0, 7]).answers(&question));
    }
}
