//! What the field side tells the operator: ports that open and close, and
//! troubles of devices that are worth a look. A trouble that goes on is told
//! once, and then at most every few minutes with its count.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::{About, DeviceId, Level, Mono, PortId, Tell};

use super::point::Refusal;

/// How often a trouble that goes on is told.
const SUMMARY: Duration = Duration::from_secs(300);

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
        times: u32,
    },
    /// The port does not have the settings it was given.
    SettingsDiffer {
        /// Which.
        port: PortId,
        /// What was asked for and what it says it has.
        what: String,
    },
    /// A device has this trouble.
    DeviceTrouble {
        /// Which.
        device: DeviceId,
        /// What is wrong.
        trouble: Trouble,
        /// How often since this was last told.
        times: u32,
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
    /// It refuses a request with an exception.
    Refuses(u8),
    /// A point's registers hold no value.
    NoValue(Refusal),
}

/// Counts troubles and says when one is worth telling.
#[derive(Clone, Debug, Default)]
pub struct Troubles {
    seen: BTreeMap<(DeviceId, Trouble), Repeated>,
}

/// Something that may happen again and again, and is told at first and then at
/// most every five minutes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Repeated {
    told: Option<Mono>,
    since: u32,
}

impl Repeated {
    /// It happened once more. `Some` with how often since it was last told, if
    /// it is time to tell.
    pub fn again(&mut self, now: Mono) -> Option<u32> {
        self.since = self.since.saturating_add(1);
        if self.told.is_some_and(|told| now.since(told) < SUMMARY) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.since))
    }
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
        let times = self.seen.entry((device, trouble)).or_default().again(now)?;
        Some(Notice::DeviceTrouble {
            device,
            trouble,
            times,
            detail: detail(),
        })
    }
}

impl Trouble {
    const fn event(self) -> &'static str {
        match self {
            Trouble::Garbled => "device-garbled",
            Trouble::Foreign => "device-foreign",
            Trouble::Late => "device-late",
            Trouble::Refuses(_) => "device-refuses",
            Trouble::NoValue(_) => "device-no-value",
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
            Trouble::Refuses(code) => {
                format!(
                    "refuses the request with exception {code} ({})",
                    meaning(code)
                )
            }
            Trouble::NoValue(why) => format!("a point's registers give no value: {why}"),
        }
    }
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
            Notice::PortOpened { .. } => Level::Info,
            Notice::PortUnavailable { .. }
            | Notice::PortLost { .. }
            | Notice::SettingsDiffer { .. }
            | Notice::DeviceTrouble { .. } => Level::Warn,
        }
    }

    fn event(&self) -> &'static str {
        match self {
            Notice::PortOpened { .. } => "port-opened",
            Notice::PortUnavailable { .. } => "port-unavailable",
            Notice::PortLost { .. } => "port-lost",
            Notice::SettingsDiffer { .. } => "port-settings-differ",
            Notice::DeviceTrouble { trouble, .. } => trouble.event(),
        }
    }

    fn about(&self) -> About {
        match self {
            Notice::PortOpened { port, .. }
            | Notice::PortUnavailable { port, .. }
            | Notice::PortLost { port, .. }
            | Notice::SettingsDiffer { port, .. } => About::Port(*port),
            Notice::DeviceTrouble { device, .. } => About::Device(*device),
        }
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        match self {
            Notice::PortUnavailable { failed, .. } | Notice::PortOpened { failed, .. } => {
                vec![("FAILED", failed.to_string())]
            }
            Notice::PortLost { times, .. } => vec![("TIMES", times.to_string())],
            Notice::DeviceTrouble { trouble, times, .. } => {
                let mut fields = vec![("TIMES", times.to_string())];
                if let Trouble::Refuses(code) = trouble {
                    fields.push(("CODE", code.to_string()));
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
                why, failed, next, ..
            } => format!(
                "not available: {why}; its devices are silent until it is \
                 (attempt {failed}, next in {:.1} s)",
                next.as_secs_f64()
            ),
            Notice::PortLost { why, times: 1, .. } => format!("lost: {why}; opening it again"),
            Notice::PortLost { why, times, .. } => {
                format!("lost {times} times since last told: {why}; opening it again each time")
            }
            Notice::SettingsDiffer { what, .. } => {
                format!("does not have the settings it was given: {what}; using it as it is")
            }
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
        for second in 0..=900u64 {
            let now = Mono::from_micros(second * 1_000_000);
            if let Some(Notice::DeviceTrouble { times, .. }) =
                troubles.note(now, DeviceId(1), Trouble::Garbled, String::new)
            {
                told.push((second, times));
            }
        }
        assert_eq!(told, [(0, 1), (300, 300), (600, 300), (900, 300)]);
        let other = troubles.note(Mono::START, DeviceId(2), Trouble::Garbled, String::new);
        assert!(other.is_some(), "each device has its own");
    }

    #[test]
    fn sentences_say_what_why_and_what_next() {
        let notice = Notice::PortUnavailable {
            port: PortId(0),
            why: "No such file or directory".into(),
            failed: 1,
            next: Duration::from_millis(100),
        };
        assert_eq!(
            notice.sentence(),
            "not available: No such file or directory; its devices are silent until it is \
             (attempt 1, next in 0.1 s)"
        );
        let notice = Notice::DeviceTrouble {
            device: DeviceId(0),
            trouble: Trouble::Refuses(2),
            times: 40,
            detail: "holding registers 10–19".into(),
        };
        assert_eq!(
            notice.sentence(),
            "refuses the request with exception 2 (illegal data address) \
             (holding registers 10–19), 40 times since last told"
        );
    }
}
