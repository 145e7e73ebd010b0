//! The events that a listener on a port receives.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::base::{MissReason, Mono, Wall};
use crate::field::line::silence::Silence;
use crate::field::transaction::request::{Outcome, Request, RequestBody};
use crate::spec::{Framing, LineSpec, Parity, SerialSpec, StopBits};

/// One event on a port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TraceEvent {
    /// The time on the gateway's monotonic clock; microseconds in JSON.
    #[serde(with = "micros")]
    pub at: Mono,
    /// The same time on the gateway's wall clock, which may be wrong and may jump; milliseconds
    /// since 1970 in JSON.
    #[serde(with = "millis")]
    pub wall: Wall,
    /// The event itself.
    #[serde(flatten)]
    pub what: TraceEventKind,
}

/// The kind and content of an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum TraceEventKind {
    /// The state of the line from now on. This is the first event for every listener. It is
    /// sent again when the line is opened, lost, or given other settings.
    Line(TracedLine),
    /// A transaction begins: the next request is for this device.
    Turn {
        /// The device's name.
        device: String,
        /// The device's place on its line (`unit 7`); `None` where there is no such thing.
        place: Option<String>,
        /// The protocol of the transaction; the key is that of earlier versions.
        #[serde(rename = "tongue")]
        protocol: TracedProtocol,
        /// How long after the request the reply may begin.
        #[serde(with = "span")]
        reply_timeout: Duration,
    },
    /// The gateway sent these bytes; [`TraceEvent::at`] is when the first was handed over.
    Sent {
        /// All bytes, in one piece.
        #[serde(with = "hex")]
        bytes: Vec<u8>,
        /// The computed time at which the last byte will have left.
        #[serde(with = "micros")]
        until: Mono,
    },
    /// These bytes came, the gateway's own included if the adapter hears itself; [`TraceEvent::at`]
    /// is when the last of them was received.
    Received {
        /// The bytes that the system handed over at once.
        #[serde(with = "hex")]
        bytes: Vec<u8>,
    },
    /// A pause long enough to end a frame that had begun.
    Pause,
    /// Time was up without the expected reply.
    Timeout,
    /// How the transaction that began last has ended.
    Verdict {
        /// The device's name.
        device: String,
        /// How the transaction ended.
        verdict: TransactionVerdict,
        /// The time from the end of the request to the beginning of the reply.
        #[serde(with = "maybe_span")]
        turnaround: Option<Duration>,
        /// Points and their values, as they are reported.
        values: Vec<(String, Json)>,
        /// Points for which the reply held no value, and why.
        without: Vec<(String, String)>,
    },
    /// A reply of this device came after its request was given up.
    Late {
        /// The device's name.
        device: String,
    },
    /// This many events in a row were lost: the listener was slower than the line.
    Missing {
        /// How many events.
        events: u64,
    },
}

/// The state of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
pub enum TracedLine {
    /// The line is in use.
    Open(LineSettings),
    /// The line is not in use.
    Closed {
        /// The system's words for the reason.
        why: String,
    },
}

/// How bytes travel on a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineSettings {
    /// The port's name.
    pub port: String,
    /// The path or address that is opened: `/dev/ttyUSB0`, `10.0.0.7:502`.
    pub opens: String,
    /// Settings of a tty: `9600 8E1`.
    pub settings: Option<String>,
    /// How long one character takes; zero where it is unknown.
    #[serde(with = "span")]
    pub character: Duration,
    /// The quiet time before a request: 3.5 characters, 1.75 ms above 19,200 bit/s.
    #[serde(with = "span")]
    pub quiet: Duration,
}

impl LineSettings {
    /// Returns the settings of this port's line.
    #[must_use]
    pub fn of(port: &str, line: &LineSpec) -> Self {
        let silence = Silence::of(line);
        LineSettings {
            port: port.to_owned(),
            opens: line.to_string(),
            settings: match line {
                LineSpec::Serial(serial) => Some(settings(serial)),
                LineSpec::Tcp(_) => None,
            },
            character: silence.character(),
            quiet: silence.between_frames(),
        }
    }

    /// Returns the same line with these settings.
    #[must_use]
    pub fn tuned(&self, serial: &SerialSpec) -> Self {
        let silence = Silence::of_serial(serial);
        LineSettings {
            settings: Some(settings(serial)),
            character: silence.character(),
            quiet: silence.between_frames(),
            ..self.clone()
        }
    }
}

impl fmt::Display for LineSettings {
    /// Writes the settings: `/dev/ttyUSB0, 9600 8E1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.settings {
            Some(settings) => write!(f, "{}, {settings}", self.opens),
            None => f.write_str(&self.opens),
        }
    }
}

/// Writes the settings of a tty: `9600 8E1`.
fn settings(serial: &SerialSpec) -> String {
    let parity = match serial.parity {
        Parity::None => 'N',
        Parity::Even => 'E',
        Parity::Odd => 'O',
    };
    let stop = match serial.stop_bits {
        StopBits::One => 1,
        StopBits::Two => 2,
    };
    format!("{} {}{parity}{stop}", serial.baud, serial.data_bits)
}

/// The protocol of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TracedProtocol {
    /// Modbus RTU.
    Rtu,
    /// Modbus ASCII.
    Ascii,
    /// Modbus TCP.
    Tcp,
    /// DL/T 645.
    Dlt645,
    /// A protocol without a standard.
    Raw,
}

impl TracedProtocol {
    /// Returns the protocol of this request on this line.
    #[must_use]
    pub const fn of(request: &Request, line: &LineSpec) -> Self {
        match (&request.body, line.framing()) {
            (RequestBody::Dlt645(_), _) => TracedProtocol::Dlt645,
            (RequestBody::Raw(_), Some(_)) => TracedProtocol::Raw,
            (RequestBody::Modbus(_) | RequestBody::Write(_), Some(Framing::Rtu)) => {
                TracedProtocol::Rtu
            }
            (RequestBody::Modbus(_) | RequestBody::Write(_), Some(Framing::Ascii)) => {
                TracedProtocol::Ascii
            }
            (RequestBody::Modbus(_) | RequestBody::Write(_) | RequestBody::Raw(_), None) => {
                TracedProtocol::Tcp
            }
        }
    }
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "as", rename_all = "kebab-case")]
pub enum TransactionVerdict {
    /// The reply to the request.
    Answered,
    /// The reply came, but an abandoned request could have caused it: the reply proves life,
    /// and its values were dropped.
    Doubted,
    /// An exception with this code.
    Exception {
        /// The code, as in Modbus Application Protocol V1.1b3 §7.
        code: u8,
    },
    /// A meter of DL/T 645 refused.
    Refused {
        /// The meter's error word, in words.
        why: String,
    },
    /// Not one byte came.
    Silent,
    /// Bytes came, but no good frame.
    Garbled,
    /// A good frame came, but not the reply.
    Foreign,
    /// The line was lost during the transaction.
    Cut,
}

impl TransactionVerdict {
    /// Returns the verdict for this outcome.
    #[must_use]
    pub fn of(outcome: &Outcome, trusted: bool) -> Self {
        match outcome {
            Outcome::Answered(_) if trusted => TransactionVerdict::Answered,
            Outcome::Confirmed => TransactionVerdict::Answered,
            Outcome::Answered(_) => TransactionVerdict::Doubted,
            Outcome::Exception(code) => TransactionVerdict::Exception { code: *code },
            Outcome::Refused(word) => TransactionVerdict::Refused {
                why: word.to_string(),
            },
            Outcome::Missed(MissReason::Silence) => TransactionVerdict::Silent,
            Outcome::Missed(MissReason::Garbled) => TransactionVerdict::Garbled,
            Outcome::Missed(MissReason::Foreign) | Outcome::Mismatched(_) => {
                TransactionVerdict::Foreign
            }
            Outcome::Missed(MissReason::GatewayException(code)) => {
                TransactionVerdict::Exception { code: *code }
            }
            Outcome::Missed(MissReason::ConnectionLost) => TransactionVerdict::Cut,
        }
    }

    /// Returns whether the device proved that it lives.
    #[must_use]
    pub const fn is_reply(&self) -> bool {
        match self {
            TransactionVerdict::Answered
            | TransactionVerdict::Doubted
            | TransactionVerdict::Exception { .. }
            | TransactionVerdict::Refused { .. } => true,
            TransactionVerdict::Silent
            | TransactionVerdict::Garbled
            | TransactionVerdict::Foreign
            | TransactionVerdict::Cut => false,
        }
    }
}

impl fmt::Display for TransactionVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TransactionVerdict::Answered => f.write_str("answered"),
            TransactionVerdict::Doubted => {
                f.write_str("answered, but perhaps an earlier request: not believed")
            }
            TransactionVerdict::Exception { code } => {
                write!(f, "exception {code}, {}", super::decode::exception(*code))
            }
            TransactionVerdict::Refused { why } => write!(f, "refused: {why}"),
            TransactionVerdict::Silent => f.write_str("no reply"),
            TransactionVerdict::Garbled => f.write_str("garbled"),
            TransactionVerdict::Foreign => f.write_str("not the reply that was asked for"),
            TransactionVerdict::Cut => f.write_str("cut off"),
        }
    }
}

mod micros {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::base::Mono;

    pub(super) fn serialize<S: Serializer>(at: &Mono, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(at.as_micros())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Mono, D::Error> {
        u64::deserialize(from).map(Mono::from_micros)
    }
}

mod millis {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::base::Wall;

    pub(super) fn serialize<S: Serializer>(at: &Wall, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(at.as_millis())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Wall, D::Error> {
        i64::deserialize(from).map(Wall::from_millis)
    }
}

/// Durations as nanoseconds: a character at 115,200 bit/s has 95,486 of them, and
/// 256 roundings would add up.
mod span {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_nanos)
    }
}

mod maybe_span {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        span: &Option<Duration>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let nanos = span.map(|s| u64::try_from(s.as_nanos()).unwrap_or(u64::MAX));
        nanos.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        Option::<u64>::deserialize(from).map(|n| n.map(Duration::from_nanos))
    }
}

/// Bytes as one word of hexadecimal digits.
mod hex {
    use std::fmt::Write;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        let mut word = String::with_capacity(2 * bytes.len());
        for byte in bytes {
            let _ = write!(word, "{byte:02x}");
        }
        to.serialize_str(&word)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        let word = String::deserialize(from)?;
        let (pairs, rest) = word.as_bytes().as_chunks::<2>();
        let byte = |[high, low]: &[u8; 2]| {
            let digit = |c: &u8| char::from(*c).to_digit(16);
            let value = digit(high)? * 16 + digit(low)?;
            u8::try_from(value).ok()
        };
        let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
        bytes
            .filter(|_| rest.is_empty())
            .ok_or_else(|| D::Error::custom("not hexadecimal digits in pairs"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples;
    use super::*;

    #[test]
    fn an_event_is_one_line_of_json_with_stable_words() {
        let seen = TraceEvent {
            at: Mono::from_micros(12),
            wall: Wall::from_millis(34),
            what: TraceEventKind::Sent {
                bytes: vec![3, 0xAB],
                until: Mono::from_micros(56),
            },
        };
        let text = serde_json::to_string(&seen).unwrap();
        assert_eq!(
            text,
            r#"{"at":12,"wall":34,"what":"sent","bytes":"03ab","until":56}"#
        );
        let line = TraceEvent {
            what: TraceEventKind::Line(TracedLine::Closed { why: "gone".into() }),
            ..seen
        };
        let text = serde_json::to_string(&line).unwrap();
        assert_eq!(
            text,
            r#"{"at":12,"wall":34,"what":"line","line":"closed","why":"gone"}"#
        );
    }

    proptest! {
        #[test]
        fn whatever_is_seen_comes_out_of_json_as_it_went_in(seen in samples::any_seen()) {
            let text = serde_json::to_string(&seen).unwrap();
            prop_assert!(!text.contains('\n'));
            let back: TraceEvent = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(back, seen);
        }

        #[test]
        fn no_text_makes_reading_an_event_panic(text in ".{0,80}") {
            let _ = serde_json::from_str::<TraceEvent>(&text);
            let bytes = format!(r#"{{"at":1,"wall":1,"what":"received","bytes":{text:?}}}"#);
            let _ = serde_json::from_str::<TraceEvent>(&bytes);
        }
    }
}
