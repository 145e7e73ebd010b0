//! What was heard after a read of Modbus, judged as its reply.

use crate::field::modbus::{Data, ReadRequest, Reply};
use crate::spec::survey::{HeardFrame, SurveyQuestion, SurveyReply};

/// What was heard after a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadReply {
    /// The values that were asked for.
    Answer(Data),
    /// The unit, or a gateway in front of it, refused with this code.
    Exception(u8),
    /// Nothing, or nothing but our own request.
    Silence,
    /// Frames or bytes that are not the reply.
    Other,
}

/// Returns the question of a read.
#[must_use]
pub fn question(ask: &ReadRequest) -> SurveyQuestion {
    SurveyQuestion::Modbus {
        unit: ask.unit,
        pdu: ask.pdu().to_vec(),
    }
}

/// Judges what was heard after a read. Two replies that differ are none: one of them is late, or
/// two devices have the address.
#[must_use]
pub fn judge(ask: &ReadRequest, heard: &SurveyReply) -> ReadReply {
    let mut found = None;
    for frame in &heard.frames {
        let HeardFrame::Modbus { unit, pdu } = frame else {
            continue;
        };
        if *unit != ask.unit {
            continue;
        }
        let reply = match ask.judge(pdu) {
            Reply::Answer(data) => ReadReply::Answer(data),
            Reply::Exception(code) => ReadReply::Exception(code),
            Reply::Confirmed | Reply::Stranger => continue,
        };
        match &found {
            None => found = Some(reply),
            Some(first) if *first == reply => {}
            Some(_) => return ReadReply::Other,
        }
    }
    match found {
        Some(reply) => reply,
        None if heard.is_silence() => ReadReply::Silence,
        None => ReadReply::Other,
    }
}

/// Returns whether a frame of the unit that was asked came that is no reply to this read: a reply
/// that came late, if it was asked for at all.
#[must_use]
pub fn has_late(ask: &ReadRequest, heard: &SurveyReply) -> bool {
    heard.frames.iter().any(|frame| match frame {
        HeardFrame::Modbus { unit, pdu } => *unit == ask.unit && ask.judge(pdu) == Reply::Stranger,
        HeardFrame::Dlt645 { .. } => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::UnitId;
    use crate::spec::Table;

    fn heard(frames: &[(u8, &[u8])]) -> SurveyReply {
        let frame = |(unit, pdu): &(u8, &[u8])| HeardFrame::Modbus {
            unit: UnitId(*unit),
            pdu: pdu.to_vec(),
        };
        SurveyReply {
            frames: frames.iter().map(frame).collect(),
            ..SurveyReply::default()
        }
    }

    #[test]
    fn only_the_reply_of_the_unit_counts_and_two_that_differ_are_none() {
        let ask = ReadRequest {
            unit: UnitId(3),
            table: Table::HoldingRegister,
            start: 0,
            count: 1,
        };
        let seven = ReadReply::Answer(Data::Registers(vec![7]));
        for (frames, reply, late) in [
            (&[][..], ReadReply::Silence, false),
            (&[(3, &[3, 2, 0, 7][..])][..], seven.clone(), false),
            (&[(3, &[0x83, 2])], ReadReply::Exception(2), false),
            (&[(4, &[3, 2, 0, 7])], ReadReply::Other, false),
            (&[(3, &[3, 4, 0, 7, 0, 8])], ReadReply::Other, true),
            (&[(3, &[3, 2, 0, 7]), (3, &[3, 2, 0, 7])], seven, false),
            (
                &[(3, &[3, 2, 0, 7]), (3, &[3, 2, 0, 8])],
                ReadReply::Other,
                false,
            ),
        ] {
            let heard = heard(frames);
            assert_eq!(judge(&ask, &heard), reply, "{frames:?}");
            assert_eq!(has_late(&ask, &heard), late, "{frames:?}");
        }
    }
}
