//! What may be wrong with a device again and again, in words.

use crate::base::EventKind;
use crate::spec::{QuestionIndex, Table};

use crate::field::decode::refusal::NoValueReason;
use crate::field::dlt645::ask::ErrorWord;
use crate::field::plan::block_address::EntryRange;

/// What may be wrong with a device again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Frames came and were spoiled.
    Garbled,
    /// Good frames came that were not the reply.
    Foreign,
    /// Replies of Modbus TCP came as asked for, but under another transaction id.
    OtherId,
    /// Replies came after they had been given up.
    Late,
    /// The device refuses to be read at this place of a Modbus table, with an exception.
    Refuses {
        /// The exception's code.
        code: u8,
        /// The table that was asked for.
        table: Table,
        /// The first address.
        first: u16,
        /// How many entries.
        count: u16,
    },
    /// The device refuses a question that Modbus TCP carries, with an exception.
    RefusesQuestion {
        /// The exception's code.
        code: u8,
        /// The question.
        question: QuestionIndex,
    },
    /// A meter of DL/T 645 refuses, for these reasons.
    Declines(ErrorWord),
    /// The registers of one point hold no value.
    NoValue {
        /// Index of the point in the device's profile.
        point: u16,
        /// Why they hold no value.
        why: NoValueReason,
    },
}

impl Trouble {
    pub(crate) const fn kind(self) -> EventKind {
        match self {
            Trouble::Garbled => EventKind::DeviceGarbled,
            Trouble::Foreign | Trouble::OtherId => EventKind::DeviceForeign,
            Trouble::Late => EventKind::DeviceLate,
            Trouble::Refuses { .. } | Trouble::RefusesQuestion { .. } | Trouble::Declines(_) => {
                EventKind::DeviceRefusesRequests
            }
            Trouble::NoValue { .. } => EventKind::DeviceNoValue,
        }
    }

    pub(crate) fn words(self) -> String {
        match self {
            Trouble::Garbled => "frames came that could not be read (noise, settings, or two \
                                 devices answering at once); dropped"
                .into(),
            Trouble::Foreign => "frames came that were not the reply (another unit, function or \
                                 length); dropped"
                .into(),
            Trouble::OtherId => "from the right unit with the right function and length; \
                                 dropped (if a gateway numbers its replies itself: \
                                 transaction_ids: any, under tcp: of the port)"
                .into(),
            Trouble::Late => "replies came after they had been given up; dropped (a longer \
                              response timeout may help)"
                .into(),
            Trouble::Refuses {
                code,
                table,
                first,
                count,
            } => format!(
                "refuses {} with exception {code} ({})",
                EntryRange {
                    table,
                    start: first,
                    count
                },
                meaning(code)
            ),
            Trouble::RefusesQuestion { code, .. } => {
                format!(
                    "refuses a request with exception {code} ({})",
                    meaning(code)
                )
            }
            Trouble::Declines(word) => format!("refuses: {word}"),
            Trouble::NoValue { why, .. } => format!("its reply gives no value: {why}"),
        }
    }
}

/// Returns the names of exceptions: Modbus Application Protocol V1.1b3 §7.
#[must_use]
pub const fn meaning(code: u8) -> &'static str {
    match code {
        1 => "illegal function",
        2 => "illegal data address",
        3 => "illegal data value",
        4 => "server device failure",
        5 => "acknowledge",
        6 => "server device busy",
        8 => "memory parity error",
        0x0A => "gateway path unavailable",
        0x0B => "gateway target device failed to respond",
        _ => "not in the standard",
    }
}
