//! Checks bytes, checksums and values that a reply without a standard has no room for. Such a key
//! would make every reply invalid, or would never give a value, without a visible reason.

use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section};
use crate::config::reader::tree::OriginId;
use crate::spec::raw::part::{BinaryNumber, ByteSpan, ReplyPart};
use crate::spec::raw::reply::LONGEST;
use crate::spec::raw::{ReplyEnd, ReplyMarks};

/// The most bytes that function and data of Modbus have (Modbus Application Protocol V1.1b3
/// §4.1).
pub(crate) const MAX_PDU: usize = 253;

/// Returns how many bytes a reply has at most, and why.
fn most(end: &ReplyEnd) -> (usize, String) {
    match end {
        ReplyEnd::Length(n) => (*n, format!("the reply has {n}, counted from 0 on")),
        ReplyEnd::Frame => (
            MAX_PDU,
            format!("a frame of Modbus carries {MAX_PDU} at most, counted from 0 on"),
        ),
        ReplyEnd::Terminator(_) | ReplyEnd::Silence(_) => (
            LONGEST,
            format!("no reply has more than {LONGEST}, counted from 0 on"),
        ),
    }
}

/// Notes bytes that can stand in no reply: they would make every reply invalid.
pub(crate) fn bytes(
    origin: OriginId,
    from: usize,
    bytes: usize,
    end: &ReplyEnd,
    notes: &mut Notes,
) {
    let (most, why) = most(end);
    if from + bytes <= most {
        return;
    }
    let last = from + bytes - 1;
    let said = match bytes {
        1 => format!("byte {from}"),
        _ => format!("bytes {from} to {last}"),
    };
    let wrong = Expectation::wanted(format!("within bytes 0 to {}", most - 1)).hint(why);
    notes.error(origin, said, wrong);
}

/// Notes a checksum that has no room, or covers nothing: such a checksum fits no reply.
pub(crate) fn check(reply: &Section<'_>, shape: &ReplyMarks, notes: &mut Notes) {
    let Some(check) = shape.check else { return };
    let (most, why) = most(&shape.end);
    let own = check.len();
    if own + shape.behind_check >= most {
        let key = match reply.node("behind_check") {
            Some(_) => "behind_check",
            None => "check",
        };
        let said = format!("a checksum of {own} with {} behind it", shape.behind_check);
        let wrong = Expectation::wanted(format!(
            "room for both and for what it covers in {most} bytes"
        ));
        notes.error(reply.at(key), said, wrong.hint(why));
        return;
    }
    let covered = most - own - shape.behind_check;
    if check.from >= covered {
        let c = reply.section("check", &["sum", "as", "from"], notes);
        let wrong = Expectation::wanted(format!("0 to {}", covered - 1)).hint(format!(
            "the checksum begins at byte {covered} at the latest and would cover nothing"
        ));
        notes.error(c.at("from"), check.from.to_string(), wrong);
    }
}

/// Notes a value that stands beyond the end of every reply: it would never be read.
pub(crate) fn part(s: &Section<'_>, part: &ReplyPart, reply: &ReplyMarks, notes: &mut Notes) {
    let (from, long) = match part {
        ReplyPart::Number {
            written: BinaryNumber::Binary { at, kind, .. },
            ..
        } => (*at, kind.bytes()),
        ReplyPart::Number {
            written: BinaryNumber::Decimal(ByteSpan::At { from, length }),
            ..
        }
        | ReplyPart::Number {
            written: BinaryNumber::Hexadecimal(ByteSpan::At { from, length }),
            ..
        }
        | ReplyPart::Text {
            span: ByteSpan::At { from, length },
            ..
        } => (*from, *length),
        ReplyPart::DateTime { at, layout, .. } => (*at, usize::from(layout.bytes())),
        ReplyPart::Bit { at, .. } => (*at, 1),
        ReplyPart::Number { .. } | ReplyPart::Text { .. } => return,
    };
    self::bytes(s.at("at"), from, long, &reply.end, notes);
}
