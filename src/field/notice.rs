//! What the field side tells the operator: ports that open and close, and
//! troubles of devices that are worth a look. A trouble that goes on is told
//! once, and then ever more rarely with its count.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::{About, DeviceId, EventKind, JournalField, Level, Mono, PortId, Repeats, Tell};
use crate::spec::Table;

use super::dlt645::ask::ErrorWord;
use super::forecast::range;
use super::holes::Hole;
use super::point::Refusal;

/// Something the operator should know about the field side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The port is open.
    PortOpened {
        /// Which.
        port: PortId,
        /// How many attempts had failed since it was last open.
        failed: u32,
    },
    /// The port cannot be opened, or is lost as soon as it is; told at the
    /// first failure and then rarely.
    PortUnavailable {
        /// Which.
        port: PortId,
        /// What was to be opened: a path, or a host and port.
        what: String,
        /// The system's words.
        why: String,
        /// Attempts that failed so far, this one included.
        failed: u32,
        /// Until the next attempt.
        next: Duration,
    },
    /// An open port was lost, or given up as of no further use; it is opened
    /// anew.
    PortLost {
        /// Which.
        port: PortId,
        /// The system's words, or ours.
        why: String,
        /// How often since this was last told.
        times: u64,
    },
    /// The port does not have the settings it was given.
    SettingsDiffer {
        /// Which.
        port: PortId,
        /// What was asked for and what it says it has.
        what: String,
    },
    /// The adapter keeps received bytes for a while before it passes them on, and
    /// would not be told otherwise.
    BytesHeldBack {
        /// Which.
        port: PortId,
        /// For how long.
        wait: Duration,
    },
    /// What is sent comes back, and nobody said that it would.
    EchoHeard {
        /// Which.
        port: PortId,
    },
    /// What is sent was said to come back, and does not.
    EchoMissed {
        /// Which.
        port: PortId,
        /// How often since this was last told.
        times: u64,
    },
    /// A device cannot be read across these addresses.
    HoleFound {
        /// Which.
        device: DeviceId,
        /// Where.
        hole: Hole,
    },
    /// Points of a device are refused even when they are asked for alone.
    PointsRefused {
        /// Which.
        device: DeviceId,
        /// Their ids, as configured.
        points: String,
        /// Where they are.
        at: Hole,
        /// The exception's code.
        code: u8,
    },
    /// A meter of DL/T 645 does not have what these points are read from.
    DatumRefused {
        /// Which.
        device: DeviceId,
        /// Their ids, as configured.
        points: String,
        /// What the meter said.
        word: ErrorWord,
    },
    /// Points that were refused are read again.
    PointsBack {
        /// Which.
        device: DeviceId,
        /// Their ids.
        points: String,
    },
    /// A device has this trouble.
    DeviceTrouble {
        /// Which.
        device: DeviceId,
        /// What is wrong.
        trouble: Trouble,
        /// How often since this was last told.
        times: u64,
        /// A detail of the latest occurrence.
        detail: String,
    },
}

/// What may be wrong with a device again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// Frames came and were spoiled.
    Garbled,
    /// Good frames came that were not the reply.
    Foreign,
    /// Replies came after they had been given up.
    Late,
    /// It refuses to be read there, with an exception.
    Refuses {
        /// The exception's code.
        code: u8,
        /// What was asked for.
        table: Table,
        /// The first address.
        first: u16,
        /// How many.
        count: u16,
    },
    /// A meter of DL/T 645 refuses, for these reasons.
    Declines(ErrorWord),
    /// The registers of one point hold no value.
    NoValue {
        /// Index of the point in the device's profile.
        point: u16,
        /// Why not.
        why: Refusal,
    },
}

/// Counts troubles and says when one is worth telling. Bounded by what can be
/// configured: devices, their requests and their points.
#[derive(Clone, Debug, Default)]
pub struct Troubles {
    seen: BTreeMap<(DeviceId, Trouble), Seen>,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    repeats: Repeats,
    detail: String,
}

impl Troubles {
    /// It happened once more. `Some` if it is time to tell.
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

    /// What was counted and not told, of troubles whose time has come.
    pub fn sweep(&mut self, now: Mono) -> Vec<Notice> {
        let due = |(&(device, trouble), seen): (&(DeviceId, Trouble), &mut Seen)| {
            let times = seen.repeats.sweep(now)?;
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
    const fn kind(self) -> EventKind {
        match self {
            Trouble::Garbled => EventKind::DeviceGarbled,
            Trouble::Foreign => EventKind::DeviceForeign,
            Trouble::Late => EventKind::DeviceLate,
            Trouble::Refuses { .. } => EventKind::DeviceRefuses,
            Trouble::Declines(_) => EventKind::DeviceRefuses,
            Trouble::NoValue { .. } => EventKind::DeviceNoValue,
        }
    }

    fn words(self) -> String {
        match self {
            Trouble::Garbled => "frames came that could not be read (noise, settings, or two \
                                 devices answering at once); dropped"
                .into(),
            Trouble::Foreign => "frames came that were not the reply (another unit, function or \
                                 length); dropped"
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
                range(table, first, count),
                meaning(code)
            ),
            Trouble::Declines(word) => format!("refuses: {word}"),
            Trouble::NoValue { why, .. } => format!("its reply gives no value: {why}"),
        }
    }
}

/// All addresses of a hole.
fn addresses(hole: &Hole) -> String {
    let count = (hole.last - hole.first.min(hole.last)).saturating_add(1);
    range(hole.table, hole.first, count)
}

/// The names of exceptions: Modbus Application Protocol V1.1b3 §7.
const fn meaning(code: u8) -> &'static str {
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

impl Tell for Notice {
    fn level(&self) -> Level {
        match self {
            Notice::PortOpened { .. } | Notice::HoleFound { .. } | Notice::PointsBack { .. } => {
                Level::Info
            }
            Notice::PortUnavailable { .. }
            | Notice::PortLost { .. }
            | Notice::SettingsDiffer { .. }
            | Notice::BytesHeldBack { .. }
            | Notice::EchoHeard { .. }
            | Notice::EchoMissed { .. }
            | Notice::PointsRefused { .. }
            | Notice::DatumRefused { .. }
            | Notice::DeviceTrouble { .. } => Level::Warn,
        }
    }

    fn kind(&self) -> EventKind {
        match self {
            Notice::PortOpened { .. } => EventKind::PortOpened,
            Notice::PortUnavailable { .. } => EventKind::PortUnavailable,
            Notice::PortLost { .. } => EventKind::PortLost,
            Notice::SettingsDiffer { .. } => EventKind::PortSettingsDiffer,
            Notice::BytesHeldBack { .. } => EventKind::PortBytesHeldBack,
            Notice::EchoHeard { .. } => EventKind::PortEchoHeard,
            Notice::EchoMissed { .. } => EventKind::PortEchoMissed,
            Notice::HoleFound { .. } => EventKind::DeviceHoleFound,
            Notice::PointsRefused { .. } => EventKind::DevicePointsRefused,
            Notice::DatumRefused { .. } => EventKind::DeviceDatumRefused,
            Notice::PointsBack { .. } => EventKind::DevicePointsBack,
            Notice::DeviceTrouble { trouble, .. } => trouble.kind(),
        }
    }

    fn about(&self) -> About {
        match self {
            Notice::PortOpened { port, .. }
            | Notice::PortUnavailable { port, .. }
            | Notice::PortLost { port, .. }
            | Notice::SettingsDiffer { port, .. }
            | Notice::BytesHeldBack { port, .. }
            | Notice::EchoHeard { port }
            | Notice::EchoMissed { port, .. } => About::Port(*port),
            Notice::HoleFound { device, .. }
            | Notice::PointsRefused { device, .. }
            | Notice::DatumRefused { device, .. }
            | Notice::PointsBack { device, .. }
            | Notice::DeviceTrouble { device, .. } => About::Device(*device),
        }
    }

    fn fields(&self) -> Vec<(JournalField, String)> {
        match self {
            Notice::PortUnavailable { failed, .. } | Notice::PortOpened { failed, .. } => {
                vec![(JournalField::Failed, failed.to_string())]
            }
            Notice::PortLost { times, .. } | Notice::EchoMissed { times, .. } => {
                vec![(JournalField::Times, times.to_string())]
            }
            Notice::PointsRefused { points, code, .. } => {
                vec![
                    (JournalField::Points, points.clone()),
                    (JournalField::Code, code.to_string()),
                ]
            }
            Notice::DatumRefused { points, word, .. } => {
                vec![
                    (JournalField::Points, points.clone()),
                    (JournalField::Word, format!("{:02X}", word.bits)),
                ]
            }
            Notice::PointsBack { points, .. } => vec![(JournalField::Points, points.clone())],
            Notice::DeviceTrouble { trouble, times, .. } => {
                let mut fields = vec![(JournalField::Times, times.to_string())];
                if let Trouble::Refuses { code, .. } = trouble {
                    fields.push((JournalField::Code, code.to_string()));
                }
                fields
            }
            _ => Vec::new(),
        }
    }

    fn sentence(&self) -> String {
        match self {
            Notice::PortOpened { failed: 0, .. } => "open, polling".into(),
            Notice::PortOpened { failed, .. } => {
                format!("open after {failed} failed attempts, polling")
            }
            Notice::PortUnavailable {
                what,
                why,
                failed,
                next,
                ..
            } => format!(
                "cannot open {what}: {why}; tried again until it can, its devices fall silent \
                 meanwhile (attempt {failed}, next in {:.1} s)",
                next.as_secs_f64()
            ),
            Notice::PortLost { why, times: 1, .. } => format!("lost: {why}; opening it again"),
            Notice::PortLost { why, times, .. } => {
                format!("lost {times} times since last told: {why}; opening it again each time")
            }
            Notice::SettingsDiffer { what, .. } => {
                format!("does not have the settings it was given: {what}; using it as it is")
            }
            Notice::BytesHeldBack { wait, .. } => format!(
                "the adapter holds received bytes back for {} ms (latency_timer) and this service \
                 may not change that: every poll takes so much longer; install the udev rule of \
                 this package and replug the adapter",
                wait.as_millis()
            ),
            Notice::EchoHeard { .. } => "the adapter hears what it sends; that is skipped where \
                                         it can be told apart: write echo: true under serial:"
                .into(),
            Notice::EchoMissed { times, .. } => {
                let often = match times {
                    1 => String::new(),
                    n => format!(", {n} times since last told"),
                };
                format!(
                    "echo: true, and what was sent did not come back as it was sent{often}: a wire \
                     is broken or shorted, somebody else sends at the same time, or the adapter does \
                     not hear itself and echo: true has to go"
                )
            }
            Notice::HoleFound { hole, .. } => format!(
                "cannot be read across {}; its requests go around them from now on, and so do \
                 those of all devices of its kind",
                addresses(hole)
            ),
            Notice::PointsRefused {
                points, at, code, ..
            } => format!(
                "refuses {points} ({}) with exception {code} ({}) even when asked for nothing \
                 else; all other points are read, this is tried again in a minute and then every \
                 hour: correct table, address and type in the profile, or take the point out",
                addresses(at),
                meaning(*code)
            ),
            Notice::DatumRefused { points, word, .. } => format!(
                "does not have {points}: {word}; all other points are read, this is tried again in \
                 a minute and then every hour: correct data in the profile, or take the point out"
            ),
            Notice::PointsBack { points, .. } => format!("gives {points} again"),
            Notice::DeviceTrouble {
                trouble,
                times,
                detail,
                ..
            } => {
                let mut text = trouble.words();
                if !detail.is_empty() {
                    text.push_str(&format!(" ({detail})"));
                }
                if *times > 1 {
                    text.push_str(&format!(", {times} times since last told"));
                }
                text
            }
        }
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
        // It stops; what was left is told when its time comes, and only then.
        let at = |second: u64| Mono::from_micros(second * 1_000_000);
        assert_eq!(troubles.sweep(at(300)), []);
        let left = troubles.sweep(at(420));
        assert!(
            matches!(left[..], [Notice::DeviceTrouble { times: 20, .. }]),
            "{left:?}"
        );
        assert_eq!(troubles.sweep(at(4000)), []);
        let other = troubles.note(Mono::START, DeviceId(2), Trouble::Garbled, String::new);
        assert!(other.is_some(), "each device has its own");
    }

    #[test]
    fn sentences_say_what_why_and_what_next() {
        let notice = Notice::PortUnavailable {
            port: PortId(0),
            what: "/dev/ttyUSB0".into(),
            why: "No such file or directory".into(),
            failed: 1,
            next: Duration::from_millis(100),
        };
        assert_eq!(
            notice.sentence(),
            "cannot open /dev/ttyUSB0: No such file or directory; tried again until it can, its \
             devices fall silent meanwhile (attempt 1, next in 0.1 s)"
        );
        let notice = Notice::DeviceTrouble {
            device: DeviceId(0),
            trouble: Trouble::Refuses {
                code: 2,
                table: Table::HoldingRegister,
                first: 10,
                count: 10,
            },
            times: 40,
            detail: String::new(),
        };
        assert_eq!(
            notice.sentence(),
            "refuses holding registers 10 to 19 with exception 2 (illegal data address), 40 times \
             since last told"
        );
    }
}
