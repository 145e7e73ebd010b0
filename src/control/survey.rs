//! A survey in the words of the control socket: one request on a line, and what was heard.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::UnitId;
use crate::base::text::{hex, unhex};
use crate::spec::dlt645::MeterAddress;
use crate::spec::survey::{
    HeardFrame, LONGEST_PDU, LONGEST_WAIT, SurveyQuestion, SurveyReply, SurveyRequest,
    SurveySettings,
};
use crate::spec::{Characters, Framing};

/// The lowest speed of a survey on a line that the service polls: the longest frame takes two to
/// five seconds then.
const SLOWEST: u32 = 1200;

/// One request on a line, beside its configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SurveyAsked {
    /// The question.
    pub question: SurveyFrame,
    /// The characters of the line meanwhile, like `9600 8E1`; its own without them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<String>,
    /// The framing of Modbus meanwhile; the line's own without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framing: Option<FramingWord>,
    /// How long the first byte of a reply is waited for, in milliseconds; 5,000 at most.
    pub wait_ms: u32,
    /// Whether to listen until that time is over, whatever comes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub listens_on: bool,
}

/// A question, or a frame that was heard. Bytes are hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum SurveyFrame {
    /// Of Modbus.
    Modbus {
        /// The unit id.
        unit: u8,
        /// Function and data.
        pdu: String,
    },
    /// Of DL/T 645.
    Dlt645 {
        /// Twelve digits, or `AA` in place of two of them.
        address: String,
        /// The control byte.
        control: u8,
        /// The data without the 33H.
        data: String,
    },
}

impl SurveyFrame {
    /// Writes a question.
    #[must_use]
    pub fn of(question: &SurveyQuestion) -> Self {
        match question {
            SurveyQuestion::Modbus { unit, pdu } => SurveyFrame::Modbus {
                unit: unit.0,
                pdu: hex(pdu),
            },
            SurveyQuestion::Dlt645 {
                address,
                control,
                data,
            } => SurveyFrame::Dlt645 {
                address: address.to_string(),
                control: *control,
                data: hex(data),
            },
        }
    }
}

/// The framing of Modbus on a serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FramingWord {
    /// Binary, ended by silence.
    Rtu,
    /// In characters.
    Ascii,
}

/// Why a survey cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSurvey {
    /// A text is no characters of a line.
    #[error("{0:?} is no setting of a line: it reads like 9600 8N1")]
    Characters(String),
    /// A text is no hexadecimal bytes, or has too many of them.
    #[error("{0:?} is not up to {LONGEST_PDU} bytes in hexadecimal")]
    Bytes(String),
    /// A text is no address of a meter.
    #[error("{0:?} is no address of a meter: it has twelve digits, or AA in place of two of them")]
    Address(String),
    /// The wait is too long.
    #[error("a survey waits for {} ms at most", LONGEST_WAIT.as_millis())]
    Wait,
    /// The line would be in use for too long.
    #[error(
        "{0} bit/s: a survey of a line of the service has {SLOWEST} bit/s at least, as its polls wait meanwhile"
    )]
    Slow(u32),
    /// The request could change something.
    #[error("a survey only reads, and this request may change something")]
    Write,
}

impl SurveyAsked {
    /// Writes a request.
    #[must_use]
    pub fn of(request: &SurveyRequest) -> Self {
        SurveyAsked {
            question: SurveyFrame::of(&request.question),
            line: request.characters.map(|c| c.to_string()),
            framing: request.framing.map(|framing| match framing {
                Framing::Rtu => FramingWord::Rtu,
                Framing::Ascii => FramingWord::Ascii,
            }),
            wait_ms: u32::try_from(request.wait.as_millis()).unwrap_or(u32::MAX),
            listens_on: request.listens_on,
        }
    }

    /// Reads the request.
    ///
    /// # Errors
    /// [`NoSurvey`].
    pub fn request(&self) -> Result<SurveyRequest, NoSurvey> {
        let bytes = |text: &String| {
            let bytes = unhex(text).filter(|bytes| bytes.len() <= LONGEST_PDU);
            bytes.ok_or_else(|| NoSurvey::Bytes(text.clone()))
        };
        let question = match &self.question {
            SurveyFrame::Modbus { unit, pdu } => SurveyQuestion::Modbus {
                unit: UnitId(*unit),
                pdu: bytes(pdu)?,
            },
            SurveyFrame::Dlt645 {
                address,
                control,
                data,
            } => SurveyQuestion::Dlt645 {
                address: MeterAddress::parse_wildcard(address)
                    .map_err(|_| NoSurvey::Address(address.clone()))?,
                control: *control,
                data: bytes(data)?,
            },
        };
        let characters = self.line.as_ref().map(|text| {
            let parsed = Characters::parse(text);
            parsed.ok_or_else(|| NoSurvey::Characters(text.clone()))
        });
        let wait = Duration::from_millis(self.wait_ms.into());
        if wait > LONGEST_WAIT {
            return Err(NoSurvey::Wait);
        }
        let characters = characters.transpose()?;
        if let Some(slow) = characters.filter(|c| c.baud < SLOWEST) {
            return Err(NoSurvey::Slow(slow.baud));
        }
        if !question.is_read() {
            return Err(NoSurvey::Write);
        }
        Ok(SurveyRequest {
            characters,
            framing: self.framing.map(|framing| match framing {
                FramingWord::Rtu => Framing::Rtu,
                FramingWord::Ascii => Framing::Ascii,
            }),
            question,
            wait,
            listens_on: self.listens_on,
        })
    }
}

/// What was heard after a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SurveyHeard {
    /// The whole frames, in the order in which they came.
    pub frames: Vec<SurveyFrame>,
    /// How many bytes belong to no whole frame.
    pub noise: u64,
    /// How many times the request was heard back.
    pub echoes: u64,
    /// The bytes that were sent, in hexadecimal.
    pub sent: String,
    /// The bytes that came, the first 1,024 of them.
    pub bytes: String,
    /// The time from the last byte of the request until the first that was heard.
    pub first_us: Option<u64>,
    /// The time from the last byte of the request until the last that was heard.
    pub last_us: Option<u64>,
    /// Whether the line fell quiet, so that the request could be sent.
    pub is_sent: bool,
    /// The units whose replies came before the request was sent.
    pub units_before: Vec<u8>,
    /// How many bytes came before the request was sent that belong to no frame.
    pub noise_before: u64,
    /// Whether a reply that was still owed to a poll of the gateway looks like the one that was
    /// asked for.
    pub may_be_stale: bool,
    /// The settings that the adapter took instead of those that were asked for, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings_differ: Option<String>,
    /// Why the adapter refuses the settings that were asked for; nothing was sent then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings_refused: Option<String>,
}

impl SurveyHeard {
    /// Writes what was heard.
    #[must_use]
    pub fn of(heard: &SurveyReply) -> Self {
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let frame = |frame: &HeardFrame| match frame {
            HeardFrame::Modbus { unit, pdu } => SurveyFrame::Modbus {
                unit: unit.0,
                pdu: hex(pdu),
            },
            HeardFrame::Dlt645 {
                address,
                control,
                data,
            } => SurveyFrame::Dlt645 {
                address: address.to_string(),
                control: *control,
                data: hex(data),
            },
        };
        SurveyHeard {
            frames: heard.frames.iter().map(frame).collect(),
            noise: heard.noise as u64,
            echoes: heard.echoes as u64,
            sent: hex(&heard.sent),
            bytes: hex(&heard.bytes),
            first_us: heard.first_after.map(micros),
            last_us: heard.last_after.map(micros),
            is_sent: true,
            units_before: Vec::new(),
            noise_before: 0,
            may_be_stale: false,
            settings_differ: None,
            settings_refused: None,
        }
    }

    /// Adds whether the line had the settings that were asked for.
    #[must_use]
    pub fn at(mut self, settings: &SurveySettings) -> Self {
        match settings {
            SurveySettings::AsAsked => {}
            SurveySettings::Differ(what) => self.settings_differ = Some(what.clone()),
            SurveySettings::Refused(why) => self.settings_refused = Some(why.clone()),
        }
        self
    }

    /// Returns whether the line had the settings that were asked for.
    #[must_use]
    pub fn settings(&self) -> SurveySettings {
        match (&self.settings_refused, &self.settings_differ) {
            (Some(why), _) => SurveySettings::Refused(why.clone()),
            (None, Some(what)) => SurveySettings::Differ(what.clone()),
            (None, None) => SurveySettings::AsAsked,
        }
    }

    /// Reads what was heard; `None` if it is not in the words of this version.
    #[must_use]
    pub fn heard(&self) -> Option<SurveyReply> {
        let frame = |frame: &SurveyFrame| {
            Some(match frame {
                SurveyFrame::Modbus { unit, pdu } => HeardFrame::Modbus {
                    unit: UnitId(*unit),
                    pdu: unhex(pdu)?,
                },
                SurveyFrame::Dlt645 {
                    address,
                    control,
                    data,
                } => HeardFrame::Dlt645 {
                    address: MeterAddress::parse_wildcard(address).ok()?,
                    control: *control,
                    data: unhex(data)?,
                },
            })
        };
        Some(SurveyReply {
            frames: self.frames.iter().map(frame).collect::<Option<_>>()?,
            // They are among the units that were heard before.
            late: Vec::new(),
            noise: usize::try_from(self.noise).ok()?,
            echoes: usize::try_from(self.echoes).ok()?,
            bytes: unhex(&self.bytes)?,
            sent: unhex(&self.sent)?,
            first_after: self.first_us.map(Duration::from_micros),
            last_after: self.last_us.map(Duration::from_micros),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> SurveyRequest {
        SurveyRequest {
            characters: Characters::parse("19200 8E1"),
            framing: Some(Framing::Ascii),
            question: SurveyQuestion::Modbus {
                unit: UnitId(3),
                pdu: vec![3, 0, 0, 0, 1],
            },
            wait: Duration::from_millis(250),
            listens_on: true,
        }
    }

    #[test]
    fn a_request_that_was_written_is_read_as_the_same() {
        let asked = SurveyAsked::of(&request());
        assert_eq!(asked.request(), Ok(request()));
        let text = serde_json::to_string(&asked).unwrap();
        assert_eq!(
            text,
            r#"{"question":{"modbus":{"unit":3,"pdu":"03 00 00 00 01"}},"line":"19200 8E1","framing":"ascii","wait_ms":250,"listens_on":true}"#
        );
        assert_eq!(serde_json::from_str::<SurveyAsked>(&text).unwrap(), asked);
    }

    #[test]
    fn what_was_heard_is_read_as_the_same() {
        let heard = SurveyReply {
            frames: vec![
                HeardFrame::Modbus {
                    unit: UnitId(3),
                    pdu: vec![0x83, 2],
                },
                HeardFrame::Dlt645 {
                    address: MeterAddress::parse("000000000161").unwrap(),
                    control: 0x93,
                    data: vec![1],
                },
            ],
            late: Vec::new(),
            noise: 2,
            echoes: 1,
            bytes: vec![0xFF],
            sent: vec![1, 2],
            first_after: Some(Duration::from_micros(5)),
            last_after: None,
        };
        let said = SurveyHeard::of(&heard);
        let text = serde_json::to_string(&said).unwrap();
        assert!(!text.contains("settings"), "{text}");
        assert_eq!(said.settings(), SurveySettings::AsAsked);
        for settings in [
            SurveySettings::Differ("parity none instead of even".into()),
            SurveySettings::Refused("Invalid argument".into()),
        ] {
            let text = serde_json::to_string(&said.clone().at(&settings)).unwrap();
            let read: SurveyHeard = serde_json::from_str(&text).unwrap();
            assert_eq!(read.settings(), settings);
        }
        assert_eq!(said.heard(), Some(heard));
    }

    #[test]
    fn what_may_change_something_is_refused_and_so_is_what_is_no_request() {
        let with = |change: &dyn Fn(&mut SurveyAsked)| {
            let mut asked = SurveyAsked::of(&request());
            change(&mut asked);
            asked.request().unwrap_err()
        };
        let pdu = |pdu: &str| {
            let pdu = pdu.to_owned();
            with(&|asked| {
                asked.question = SurveyFrame::Modbus {
                    unit: 1,
                    pdu: pdu.clone(),
                }
            })
        };
        assert_eq!(pdu("0600000001"), NoSurvey::Write);
        assert_eq!(pdu("03000"), NoSurvey::Bytes("03000".into()));
        assert_eq!(with(&|asked| asked.wait_ms = 5001), NoSurvey::Wait);
        let slow = with(&|asked| asked.line = Some("300 8N1".into()));
        assert_eq!(slow, NoSurvey::Slow(300));
        let line = with(&|asked| asked.line = Some("fast".into()));
        assert_eq!(line, NoSurvey::Characters("fast".into()));
    }
}
