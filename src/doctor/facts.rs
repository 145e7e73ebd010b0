//! What the doctor knows.

use std::collections::BTreeMap;

use super::observation::BusObservation;
use crate::base::text::counted;
use crate::control::picture::{BusState, Device, Port, StandingNotice, Status};

/// Whether the service answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// It answers.
    Answers,
    /// It does not.
    DoesNotAnswer {
        /// Why there is no answer, in words.
        why: String,
        /// The main file of its configuration; `None` if it is not known which that is.
        configuration: Option<String>,
    },
}

/// What the files of the configuration are worth.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ConfigurationFiles {
    /// They were not looked at, or this user may not read them.
    #[default]
    Unknown,
    /// There is none.
    Missing,
    /// They can be used.
    Right,
    /// They have these errors, one at least.
    Wrong(Vec<String>),
}

/// Everything that is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Whether the service answers.
    pub service: Service,
    /// The status of the whole, if it answers.
    pub status: Option<Status>,
    /// All devices, with or without values.
    pub devices: Vec<Device>,
    /// What was seen on buses beyond that, if anything was tried.
    pub observations: Vec<BusObservation>,
    /// The configuration on disk: of a service that does not answer, or if it differs from what is
    /// in force.
    pub files: ConfigurationFiles,
}

impl Facts {
    /// Returns the facts of a running service.
    #[must_use]
    pub const fn of(status: Status, devices: Vec<Device>) -> Facts {
        Facts {
            service: Service::Answers,
            status: Some(status),
            devices,
            observations: Vec::new(),
            files: ConfigurationFiles::Unknown,
        }
    }

    /// Returns the devices of a port.
    pub(super) fn devices_on<'a>(&'a self, port: &'a Port) -> impl Iterator<Item = &'a Device> {
        self.devices.iter().filter(|d| d.port == port.name)
    }
}

/// What is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DoctorScope {
    /// Everything.
    All,
    /// One port, its devices, and what they depend on.
    Port(String),
    /// One device, and what it depends on.
    Device(String),
}

/// Returns the event of this kind, if it stands.
pub(super) fn noticed<'n>(all: &'n [StandingNotice], event: &str) -> Option<&'n StandingNotice> {
    all.iter().find(|n| n.event == event)
}

/// Returns the event of this kind, if it was noticed within this many milliseconds.
pub(super) fn lately<'n>(
    all: &'n [StandingNotice],
    event: &str,
    within_ms: u64,
) -> Option<&'n StandingNotice> {
    noticed(all, event).filter(|n| n.ago_ms <= within_ms)
}

/// Writes a standing event as evidence. The journal is in English, whatever the tool speaks.
pub(super) fn told(noticed: &StandingNotice) -> String {
    format!("the journal says: {}", noticed.what)
}

/// How often each outcome that matters here occurred lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Recent {
    pub answers: u64,
    pub timeouts: u64,
    pub garbled: u64,
    /// Frames of other devices came, or another reply than the one that was asked for.
    pub foreign: u64,
    pub late: u64,
    pub refused: u64,
    /// A Modbus gateway on the way got no answer of the device.
    pub not_reached: u64,
    /// All transactions; a late reply is none.
    pub all: u64,
}

impl Recent {
    /// Sums up the last transactions of some devices.
    pub(super) fn of<'d>(devices: impl IntoIterator<Item = &'d Device>) -> Recent {
        let mut sum = Recent::default();
        devices.into_iter().for_each(|d| sum.add(&d.recent));
        sum
    }

    /// Sums up the last transactions of some devices since each answered last. Of a device that
    /// has just fallen silent, those before would hide what comes now.
    pub(super) fn since_answer<'d>(devices: impl IntoIterator<Item = &'d Device>) -> Recent {
        let mut sum = Recent::default();
        devices.into_iter().for_each(|d| sum.add(&d.unanswered));
        sum
    }

    /// Sums up what says how a device is now: of a silent one, what came since its last answer.
    pub(super) fn now(device: &Device) -> Recent {
        match device.life {
            BusState::Silent => Recent::since_answer([device]),
            BusState::Alive | BusState::Suspect | BusState::Probation | BusState::Unknown => {
                Recent::of([device])
            }
        }
    }

    fn add(&mut self, outcomes: &BTreeMap<String, u64>) {
        for (outcome, n) in outcomes {
            let counter = match outcome.as_str() {
                "answer" => Some(&mut self.answers),
                "timeout" => Some(&mut self.timeouts),
                "garbled" => Some(&mut self.garbled),
                "foreign" => Some(&mut self.foreign),
                "late" => Some(&mut self.late),
                gateway if gateway.starts_with("gateway-exception-") => Some(&mut self.not_reached),
                refusal if refusal.starts_with("exception-") => Some(&mut self.refused),
                _ => None,
            };
            if let Some(counter) = counter {
                *counter = counter.saturating_add(*n);
            }
            if outcome != "late" {
                self.all = self.all.saturating_add(*n);
            }
        }
    }

    /// Says what came in reply to requests of which none was answered.
    pub(super) fn replies_without_answer(self) -> String {
        let requests = counted(self.all, "request");
        let bytes = self.garbled.saturating_add(self.foreign);
        match bytes.saturating_add(self.not_reached) {
            0 => format!("not one byte came in reply to the last {requests}"),
            heard => format!(
                "none of the last {requests} was answered, and bytes came in reply to {}",
                counted(heard, "request")
            ),
        }
    }

    /// Returns whether bytes that cannot be read make up at least this share, in hundredths, of all
    /// transactions, and are at least so many.
    pub(super) const fn is_garbled(self, percent: u64, least: u64) -> bool {
        self.garbled >= least
            && self.garbled.saturating_mul(100) >= self.all.saturating_mul(percent)
    }
}
