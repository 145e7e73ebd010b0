//! Asks a line about devices that are in no configuration: who answers, and what a device has.
//!
//! | file | decides |
//! |---|---|
//! | [`listener`] | which frames are in what is heard after a request |
//! | [`reply`] | whether what was heard is the reply to a read of Modbus |
//! | [`scan_plan`] | in which order a line of unknown settings is searched |
//! | [`unit_scan`] | which Modbus units a line has |
//! | [`meter_search`] | which meters of DL/T 645 a line has |
//! | [`identify`] | what kind of device a unit is |
//! | [`read`] | which requests read points, and what became of each point |
//! | [`sweep`] | which entries of its tables a device has |
//! | [`guess`] | what the values that were found may mean |
//!
//! Contract: an engine says what to ask next, and is told what was heard. It has no clock. Its
//! requests only read ([`crate::spec::survey::SurveyQuestion::is_read`]).

pub mod guess;
pub mod identify;
pub mod listener;
pub mod meter_search;
pub mod read;
pub mod reply;
pub mod scan_plan;
pub mod sweep;
pub mod unit_scan;

use super::modbus::ModbusReplyShape;
use super::stale::reply_shape::ReplyShape;
use crate::spec::survey::SurveyQuestion;

/// Returns what the reply to a question looks like from outside; `None` if no reply to a request
/// of a plan looks like it.
#[must_use]
pub fn shape_of(question: &SurveyQuestion) -> Option<ReplyShape> {
    match question {
        SurveyQuestion::Modbus { pdu, .. } => {
            let &[function @ 1..=4, _, _, high, low] = pdu.as_slice() else {
                return None;
            };
            let count = u16::from_be_bytes([high, low]);
            let bytes = match function {
                1 | 2 => count.div_ceil(8),
                _ => count.saturating_mul(2),
            };
            let bytes = u8::try_from(bytes).unwrap_or(u8::MAX);
            Some(ReplyShape::Modbus(ModbusReplyShape { function, bytes }))
        }
        // The reply names its datum; which of a profile's that is, is not known here. The meter is
        // left alone for a while, as with every request that got no reply.
        SurveyQuestion::Dlt645 { control, .. } => Some(ReplyShape::Dlt645 {
            control: *control,
            item: None,
        }),
    }
}
