//! How a value is written into a request of a device without a standard: what its placeholder says,
//! and what its point does.

use crate::config::protocols::part::{kind_of, order_of};
use crate::config::protocols::placeholders::{Piece, pieces};
use crate::config::reader::problem::Expectation;
use crate::spec::raw::ValueForm;
use crate::spec::raw::part::{BinaryNumber, ByteSpan, Endianness, NumberKind, ReplyPart};

/// What the placeholder of a value says of how the value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlaceholderForm {
    /// `{value}`: as the point is written in its reply.
    AsRead,
    /// `{value:u16}`, `{value:bcd32:DCBA}`: as bytes. `None`: in the order of the point.
    Binary(NumberKind, Option<Endianness>),
    /// `{value:05}`, `{value:06.2}`, `{value:04X}`: as characters.
    Characters(ValueForm),
}

/// Returns what the placeholder of a value says, if there is one.
///
/// # Errors
/// It says something that has no meaning.
pub(crate) fn value(text: &str) -> Result<Option<PlaceholderForm>, Expectation> {
    let mut names = pieces(text).into_iter().filter_map(|piece| match piece {
        Piece::Placeholder("value") => Some(""),
        Piece::Placeholder(name) => name.strip_prefix("value:"),
        Piece::Plain(_) => None,
    });
    match names.next() {
        None => Ok(None),
        Some("") => Ok(Some(PlaceholderForm::AsRead)),
        Some(said) => written(said).map(Some).ok_or_else(|| {
            Expectation::wanted("{value}, or {value:05}, {value:06.2}, {value:04X}, {value:u16}, {value:u16:DCBA}")
                .hint("zeros in front to so many characters, digits behind the point, hexadecimal, or the type of bytes")
        }),
    }
}

fn written(said: &str) -> Option<PlaceholderForm> {
    let small = |text: &str| text.parse().ok().filter(|n: &u8| *n <= 32);
    if let Some(form) = said.strip_prefix('0') {
        return Some(PlaceholderForm::Characters(match form.strip_suffix('X') {
            Some(width) => ValueForm::Hexadecimal {
                width: small(width)?,
            },
            None => {
                let (width, places) = form.split_once('.').unwrap_or((form, "0"));
                ValueForm::Decimal {
                    width: small(width)?,
                    places: Some(small(places)?),
                }
            }
        }));
    }
    let (kind, order) = match said.split_once(':') {
        Some((kind, order)) => (kind, Some(order_of(order)?)),
        None => (said, None),
    };
    Some(PlaceholderForm::Binary(kind_of(kind)?, order))
}

/// Returns how a value of this kind is written, as the placeholder of a request says. `None`: not
/// in this way.
pub(crate) fn form(part: &ReplyPart, written: PlaceholderForm) -> Option<ValueForm> {
    let own = match part {
        ReplyPart::Number {
            written: BinaryNumber::Binary { kind, order, .. },
            ..
        } => ValueForm::Binary(*kind, *order),
        ReplyPart::Number {
            written: BinaryNumber::Decimal(_),
            ..
        } => ValueForm::Decimal {
            width: 0,
            places: None,
        },
        ReplyPart::Number {
            written: BinaryNumber::Hexadecimal(span),
            ..
        } => ValueForm::Hexadecimal {
            width: match span {
                ByteSpan::At { length, .. } => u8::try_from(*length).unwrap_or_default(),
                ByteSpan::Between { .. } => 0,
            },
        },
        ReplyPart::Bit { .. } => ValueForm::Binary(NumberKind::Unsigned(1), Endianness::High),
        ReplyPart::Text { encoding, .. } => ValueForm::Text {
            encoding: *encoding,
        },
        ReplyPart::DateTime {
            layout,
            bcd,
            utc_offset,
            ..
        } => ValueForm::DateTime {
            layout: *layout,
            bcd: *bcd,
            utc_offset: *utc_offset,
        },
    };
    let is_number = matches!(part, ReplyPart::Number { .. } | ReplyPart::Bit { .. });
    match (written, own) {
        (PlaceholderForm::AsRead, own) => Some(own),
        _ if !is_number => None,
        (PlaceholderForm::Binary(kind, None), ValueForm::Binary(_, order)) => {
            Some(ValueForm::Binary(kind, order))
        }
        (PlaceholderForm::Binary(kind, order), _) => {
            Some(ValueForm::Binary(kind, order.unwrap_or(Endianness::High)))
        }
        (PlaceholderForm::Characters(form), _) => Some(form),
    }
    .filter(|form| !matches!(form, ValueForm::Binary(kind, Endianness::WordsLow | Endianness::BytesLow) if kind.bytes() % 2 == 1))
}
