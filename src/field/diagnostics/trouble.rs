//! Troubles of a device that repeat: reported once, and then ever more rarely with their
//! count.

use std::collections::BTreeMap;

use crate::base::{DeviceId, EventKind, Mono, RateLimit};
use crate::spec::{QuestionIndex, Table};

use crate::field::decode::point::Refusal;
use crate::field::diagnostics::events::Notice;
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
        why: Refusal,
    },
}

/// Counts troubles and decides when a trouble is worth reporting. Bounded by what can be
/// configured: devices, their requests and their points.
#[derive(Clone, Debug, Default)]
pub struct Troubles {
    seen: BTreeMap<(DeviceId, Trouble), Seen>,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    repeats: RateLimit,
    detail: String,
}

impl Troubles {
    /// Notes that the trouble happened once more. `Some` if it is time to report it.
    pub fn note(
        &mut self,
        now: Mono,
        device: DeviceId,
        trouble: Trouble,
        detail: impl FnOnce() -> String,
    ) -> Option<Notice> {
        let seen = self.seen.entry((device, trouble)).or_default();
        let times = seen.repeats.hit(now, 1)?;
        seen.detail = detail();
        Some(Notice::DeviceTrouble {
            device,
            trouble,
            times,
            detail: seen.detail.clone(),
        })
    }

    /// Returns what was counted and not reported, of troubles that are over, or have gone on
    /// long enough to be reported again.
    pub fn sweep(&mut self, now: Mono) -> Vec<Notice> {
        let due = |(&(device, trouble), seen): (&(DeviceId, Trouble), &mut Seen)| {
            let times = seen.repeats.settle(now)?.untold;
            let detail = seen.detail.clone();
            Some(Notice::DeviceTrouble {
                device,
                trouble,
                times,
                detail,
            })
        };
        self.seen.iter_mut().filter_map(due).collect()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trouble_is_told_at_first_and_then_counted() {
        let mut troubles = Troubles::default();
        let mut told = Vec::new();
        for second in 0..=200u64 {
            let now = Mono::from_micros(second * 1_000_000);
            if let Some(Notice::DeviceTrouble { times, .. }) =
                troubles.note(now, DeviceId(1), Trouble::Garbled, String::new)
            {
                told.push((second, times));
            }
        }
        assert_eq!(told, [(0, 1), (60, 60), (180, 120)]);
        // The trouble stops; the remaining count is reported when the trouble is over, and
        // once.
        let at = |second: u64| Mono::from_micros(second * 1_000_000);
        assert_eq!(troubles.sweep(at(259)), []);
        let left = troubles.sweep(at(260));
        assert!(
            matches!(left[..], [Notice::DeviceTrouble { times: 20, .. }]),
            "{left:?}"
        );
        assert_eq!(troubles.sweep(at(4000)), []);
        let other = troubles.note(Mono::START, DeviceId(2), Trouble::Garbled, String::new);
        assert!(other.is_some(), "each device has its own");
    }
}
