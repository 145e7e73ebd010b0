//! What the doctor knows.

use super::observation::BusObservation;
use crate::control::picture::{Device, Noticed, Port, Status};

/// Whether the service answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Service {
    /// It answers.
    Answers,
    /// It does not.
    DoesNotAnswer {
        /// Why there is no answer, in words.
        why: String,
        /// The errors in its configuration, as far as this user may read it.
        errors: Vec<String>,
    },
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
        }
    }

    /// Returns the devices of a port.
    pub(super) fn devices_on<'a>(&'a self, port: &'a Port) -> impl Iterator<Item = &'a Device> {
        self.devices.iter().filter(|d| d.port == port.name)
    }
}

/// What is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    All,
    /// One port, its devices, and what they depend on.
    Port(String),
    /// One device, and what it depends on.
    Device(String),
}

/// Returns the event of this kind, if it stands.
pub(super) fn noticed<'n>(all: &'n [Noticed], event: &str) -> Option<&'n Noticed> {
    all.iter().find(|n| n.event == event)
}

/// Returns the event of this kind, if it was noticed within this many milliseconds.
pub(super) fn lately<'n>(all: &'n [Noticed], event: &str, within_ms: u64) -> Option<&'n Noticed> {
    noticed(all, event).filter(|n| n.ago_ms <= within_ms)
}

/// Writes a standing event as evidence. The journal is in English, whatever the tool speaks.
pub(super) fn told(noticed: &Noticed) -> String {
    format!("the journal says: {}", noticed.what)
}

/// How often each outcome that matters here occurred lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Recent {
    pub answers: u64,
    pub timeouts: u64,
    pub garbled: u64,
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
        for (outcome, n) in devices.into_iter().flat_map(|d| &d.recent) {
            let counter = match outcome.as_str() {
                "answer" => Some(&mut sum.answers),
                "timeout" => Some(&mut sum.timeouts),
                "garbled" => Some(&mut sum.garbled),
                "late" => Some(&mut sum.late),
                gateway if gateway.starts_with("gateway-exception-") => Some(&mut sum.not_reached),
                refusal if refusal.starts_with("exception-") => Some(&mut sum.refused),
                _ => None,
            };
            if let Some(counter) = counter {
                *counter = counter.saturating_add(*n);
            }
            if outcome != "late" {
                sum.all = sum.all.saturating_add(*n);
            }
        }
        sum
    }

    /// Whether bytes that cannot be read make up at least this share, in hundredths, of all
    /// transactions, and are at least so many.
    pub(super) const fn is_garbled(self, percent: u64, least: u64) -> bool {
        self.garbled >= least
            && self.garbled.saturating_mul(100) >= self.all.saturating_mul(percent)
    }
}
