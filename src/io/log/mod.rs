//! Turns notices into journal entries, or lines on a terminal.
//!
//! This is the only place that turns a [`LogEvent`] into a log record. It adds the names that
//! every line about a device must carry: its name, its port, its unit id and the platform's
//! names of it.
//!
//! There are two kinds of records and two ways out:
//!
//! - **Notices** go out by the gateway's own sender of the journal's native protocol
//!   (`journald.rs`). Their fields and ids are interface (`base/journal.rs`) and the fields
//!   differ from notice to notice, while `tracing` wants field names fixed where the event is
//!   written; so a file that writes datagrams is simpler.
//! - **Records of libraries** and the gateway's own traces go through `tracing` (with the `log`
//!   bridge), and from there by the same sender (`record.rs`), or as text. tracing-journald
//!   would use a socket that blocks while the journal is stalled, and would block the only
//!   thread there is.
//!
//! Both obey one filter, `ALINK_GATEWAY_LOG` (else `RUST_LOG`, else `info`), in
//! the syntax of `tracing_subscriber::EnvFilter`: a bare level is for
//! everything, `target=level` for one library.
//!
//! The journal is used when standard error *is* the journal, that is when `JOURNAL_STREAM`
//! names the device and inode of file descriptor 2 (systemd.exec(5)); a gateway with redirected
//! output writes text there.
//!
//! Logging to the journal never blocks and never fails: an entry that the journal does not take
//! at once is dropped and counted, and the count is reported as soon as the journal takes
//! entries again. Text is written where standard error goes, and waits until it is taken there.

mod filter;
mod journald;
mod library;
pub mod log_level;
mod record;
mod terminal;

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use crate::base::text::counted;
use crate::base::{DeviceId, JournalField, Level, LogEvent, LogSubject, PortId};
use crate::io::system::clock::Clock;
use crate::spec::{BusAddress, Spec};

pub use filter::{InitError, targets, unknown_targets};
pub use journald::JOURNAL_SOCKET;
pub use library::{FILTER, init, is_on_journal, try_filter};
pub use log_level::LogLevel;

use journald::JournalSocket;

/// The name of this program in every record.
const IDENTIFIER: &str = "alink-gateway";

/// Where notices go, and down to which level.
#[derive(Clone, Debug)]
pub struct Sink {
    log_level: LogLevel,
    clock: Clock,
    output: LogOutput,
}

#[derive(Clone, Debug)]
enum LogOutput {
    /// The journal's native protocol.
    Journal(Arc<JournalSocket>),
    /// Text on standard error.
    Text,
    /// The current `tracing` subscriber.
    Tracing,
}

impl Sink {
    /// Makes a sink that writes text lines to standard error.
    #[must_use]
    pub fn text(least: Level, clock: Clock) -> Self {
        Sink {
            log_level: LogLevel::fixed(least),
            clock,
            output: LogOutput::Text,
        }
    }

    /// Makes a sink that writes structured entries to the journal that listens at `socket`
    /// (normally [`JOURNAL_SOCKET`]).
    ///
    /// # Errors
    /// When no datagram socket can be made at all; whether the journal listens is found out at
    /// each entry, because the journal may be restarted.
    pub fn journal(least: Level, clock: Clock, socket: &Path) -> std::io::Result<Self> {
        let socket = Arc::new(JournalSocket::new(socket)?);
        Ok(Sink::of_journal(least, clock, socket))
    }

    /// Makes a journal sink with a socket that has other users as well.
    fn of_journal(least: Level, clock: Clock, socket: Arc<JournalSocket>) -> Self {
        Sink {
            log_level: LogLevel::fixed(least),
            clock,
            output: LogOutput::Journal(socket),
        }
    }
}

impl Sink {
    /// Returns the sink with this level.
    #[must_use]
    fn with_log_level(self, log_level: LogLevel) -> Self {
        Sink { log_level, ..self }
    }
}

/// The journal: knows the names behind the ids, and where log records go. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Journal {
    /// Shared by all clones, locked for the time of a look only.
    spec: Arc<RwLock<Arc<Spec>>>,
    sink: Sink,
}

impl Journal {
    /// Makes a journal for this installation whose notices go to the current `tracing`
    /// subscriber, and are dropped if there is none: for tests and tools. The daemon continues
    /// with [`Journal::to`].
    #[must_use]
    pub fn new(spec: Arc<Spec>) -> Self {
        Journal {
            spec: Arc::new(RwLock::new(spec)),
            sink: Sink {
                log_level: LogLevel::fixed(Level::Debug),
                clock: Clock::system(),
                output: LogOutput::Tracing,
            },
        }
    }

    /// Returns the same journal, writing to `sink`.
    #[must_use]
    pub fn to(self, sink: Sink) -> Self {
        Journal { sink, ..self }
    }

    /// Returns the level of the log, which can be changed while the service runs.
    #[must_use]
    pub fn log_level(&self) -> LogLevel {
        self.sink.log_level.clone()
    }

    /// Returns the installation whose names the journal knows.
    #[must_use]
    pub fn spec(&self) -> Arc<Spec> {
        Arc::clone(&self.spec.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces the installation whose names are used by `spec`, in this journal and all its
    /// clones.
    pub fn respec(&self, spec: Arc<Spec>) {
        *self.spec.write().unwrap_or_else(PoisonError::into_inner) = spec;
    }

    /// Writes a notice for the operator.
    pub fn tell(&self, notice: &dyn LogEvent) {
        let level = notice.level();
        // `Error` is the smallest level: more severe is less.
        if level > self.sink.log_level.least() {
            return;
        }
        let spec = Arc::clone(&self.spec.read().unwrap_or_else(PoisonError::into_inner));
        let whom = LogNames::of(notice, &spec);
        let mut text = format!("{whom}{}", notice.sentence());
        if notice.lists_devices() {
            text.push_str(&names(&spec, notice.devices()));
        }
        match &self.sink.output {
            LogOutput::Journal(socket) => {
                for part in parts(notice.devices()) {
                    let mut entry = entry(notice, &text);
                    whom.fields(&mut entry);
                    members(&mut entry, &spec, part);
                    own_fields(&mut entry, notice);
                    socket.send(&entry);
                }
            }
            LogOutput::Text => terminal::write(self.sink.clock.now().wall, level, &text),
            LogOutput::Tracing => match level {
                Level::Error => tracing::error!("{text}"),
                Level::Warn => tracing::warn!("{text}"),
                Level::Info => tracing::info!("{text}"),
                Level::Debug => tracing::debug!("{text}"),
            },
        }
    }
}

/// Writes notices about the gateway to the journal, if standard error goes there, and nowhere
/// else: for events before there is a [`Journal`], or after it. Returns whether the journal has
/// them all; if not, they have to be written as text.
#[must_use]
pub fn tell_apart(notices: &[&dyn LogEvent]) -> bool {
    if !is_on_journal() {
        return false;
    }
    let Ok(socket) = JournalSocket::new(Path::new(JOURNAL_SOCKET)) else {
        return false;
    };
    notices.iter().all(|notice| {
        let mut entry = entry(*notice, &notice.sentence());
        own_fields(&mut entry, *notice);
        socket.try_send(&entry)
    })
}

/// Returns the fields that every entry begins with.
fn entry(notice: &dyn LogEvent, text: &str) -> journald::Entry {
    let mut entry = journald::Entry::new(notice.level(), text);
    entry.field("MESSAGE_ID", &notice.kind().message_id().to_string());
    entry.field(JournalField::Event.name(), notice.kind().name());
    entry
}

fn own_fields(entry: &mut journald::Entry, notice: &dyn LogEvent) {
    for (name, value) in notice.fields() {
        entry.field(name.name(), &value);
    }
}

/// How many devices one entry names: the journal drops an entry of more than 1,024 fields as a
/// whole (`ENTRY_FIELD_COUNT_MAX`, systemd `src/libsystemd/sd-journal/journal-def.h` and
/// `journald-native.c`).
const DEVICES_MOST: usize = 500;

/// How many names the text of a line has; the fields have all names.
const NAMES_MOST: usize = 12;

/// Splits devices into the groups that go into one entry each; one entry when there are no
/// devices to name.
fn parts(devices: &[DeviceId]) -> impl Iterator<Item = &[DeviceId]> {
    let none = devices.is_empty().then_some(devices);
    devices.chunks(DEVICES_MOST).chain(none)
}

/// Returns `; they are meter-1, meter-2 and 29 others`.
fn names(spec: &Spec, devices: &[DeviceId]) -> String {
    let known = devices.iter().filter_map(|id| spec.device(*id));
    let named: Vec<&str> = known.take(NAMES_MOST).map(|d| d.name.as_str()).collect();
    let others = devices.len().saturating_sub(named.len());
    match others {
        0 if named.len() == 1 => format!("; it is {}", named.join(", ")),
        0 => format!("; they are {}", named.join(", ")),
        n => format!(
            "; they are {} and {}",
            named.join(", "),
            counted(n, "other")
        ),
    }
}

/// Adds the fields of the devices that a notice names: each device, and each port once.
fn members(entry: &mut journald::Entry, spec: &Spec, devices: &[DeviceId]) {
    let known = || devices.iter().filter_map(|id| spec.device(*id));
    for device in known() {
        entry.field(JournalField::Device.name(), &device.name);
    }
    let ports: BTreeSet<PortId> = known().map(|d| d.port).collect();
    for port in ports.into_iter().filter_map(|id| spec.port(id)) {
        entry.field(JournalField::Port.name(), &port.name);
    }
}

/// The device or port that a line is about, by its configured names.
struct LogNames<'a> {
    about: LogSubject,
    /// The common port of all named devices, if there is one.
    shared: Option<PortId>,
    spec: &'a Spec,
}

impl<'a> LogNames<'a> {
    fn of(notice: &dyn LogEvent, spec: &'a Spec) -> Self {
        let port_of = |id: &DeviceId| spec.device(*id).map(|d| d.port);
        let mut ports = notice.devices().iter().map(port_of);
        let first = ports.next().flatten();
        LogNames {
            about: notice.subject(),
            shared: first.filter(|_| ports.all(|p| p == first)),
            spec,
        }
    }

    fn fields(&self, entry: &mut journald::Entry) {
        match self.about {
            LogSubject::Gateway => {}
            LogSubject::Port(id) => {
                // The named devices, if any, add the port themselves.
                if let Some(port) = self.spec.port(id)
                    && self.shared.is_none()
                {
                    entry.field(JournalField::Port.name(), &port.name);
                }
            }
            LogSubject::Device(id) => {
                let Some(device) = self.spec.device(id) else {
                    return;
                };
                entry.field(JournalField::Device.name(), &device.name);
                if let Some(port) = self.spec.port(device.port) {
                    entry.field(JournalField::Port.name(), &port.name);
                }
                match device.address {
                    BusAddress::Modbus(unit) | BusAddress::Raw(Some(unit)) => {
                        entry.field(JournalField::UnitId.name(), &unit.to_string());
                    }
                    BusAddress::Dlt645(meter) => {
                        entry.field(JournalField::MeterAddress.name(), &meter.to_string());
                    }
                    BusAddress::Raw(None) => {}
                }
                entry.field(JournalField::ProductKey.name(), device.product_key.as_str());
                entry.field(JournalField::DeviceName.name(), device.device_name.as_str());
            }
        }
    }
}

impl fmt::Display for LogNames<'_> {
    /// Writes `meter-07 (line1 unit 7): `, `line1: `, or nothing for the gateway.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.about {
            LogSubject::Gateway => match self.shared.and_then(|id| self.spec.port(id)) {
                Some(port) => write!(f, "{}: ", port.name),
                None => Ok(()),
            },
            LogSubject::Port(id) => match self.spec.port(id) {
                Some(port) => write!(f, "{}: ", port.name),
                None => write!(f, "port {}: ", id.0),
            },
            LogSubject::Device(id) => match self.spec.device(id) {
                Some(device) => {
                    let port = self.spec.port(device.port).map_or("?", |p| p.name.as_str());
                    match device.place() {
                        Some(place) => write!(f, "{} ({port} {place}): ", device.name),
                        None => write!(f, "{} ({port}): ", device.name),
                    }
                }
                None => write!(f, "device {}: ", id.0),
            },
        }
    }
}

#[cfg(test)]
pub(in crate::io) mod tests;
