//! How many bytes a request and its reply have, in each protocol.

use crate::base::UnitId;
use crate::spec::dlt645::DataIdentifier;
use crate::spec::raw::{RawQuestion, ReplyEnd};

use crate::field::dlt645::frame;
use crate::field::plan::block_address::{BlockAddress, DatumAsked};
use crate::field::raw;

/// Returns the bytes on a line of the request for a datum, and of its reply.
pub(in crate::field) fn datum_lengths(asked: &DatumAsked) -> (usize, usize) {
    let (DatumAsked::Item(_, item) | DatumAsked::MeterAddress(item)) = asked;
    let id = match item.id {
        DataIdentifier::Y1997(_) => 2,
        DataIdentifier::Y2007(_) => 4,
    };
    // As many frames as the data need.
    let frames = item.bytes().div_ceil(frame::MAX_DATA - 5).max(1);
    let each = frame::len(id) + frame::WAKE_UPS;
    (frames * each, frames * each + item.bytes())
}

/// Returns the bytes on a line of a question, and of its reply.
pub(in crate::field) fn question_lengths(question: &RawQuestion) -> (usize, usize) {
    let reply = match &question.reply.end {
        ReplyEnd::Length(n) => *n,
        // The length is not known; devices that answer in text send about this much.
        ReplyEnd::Terminator(_) | ReplyEnd::Silence(_) | ReplyEnd::Frame => {
            32.min(raw::reply::LONGEST)
        }
    };
    (question.request.bytes().len(), reply)
}

/// Returns about how many bytes the reply has; for choosing the cheapest request.
pub(in crate::field) fn reply_len(asked: &BlockAddress) -> usize {
    match asked {
        BlockAddress::Modbus(range) => range.ask(UnitId(0)).reply_len(),
        BlockAddress::Dlt645(asked) => datum_lengths(asked).1,
        BlockAddress::Raw(asked) => question_lengths(&asked.question).1,
    }
}
