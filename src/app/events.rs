//! The notices for the operator about the service itself and about configurations loaded
//! anew.

use std::path::PathBuf;
use std::time::Duration;

use crate::base::text::counted;
use crate::base::{Digest, EventKind, JournalField, Level, LogEvent, LogSubject};
use crate::config::{Problem, Report, Severity};
use crate::spec::{Changes, TrialFailure};

/// How many problems the journal shows; `check` shows all.
const SHOWN: usize = 20;

/// A notice about the life of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceEvent {
    /// The service begins.
    Started {
        /// Ports configured.
        ports: usize,
        /// Devices configured.
        devices: usize,
        /// Whether the gateway has an identity.
        commissioned: bool,
    },
    /// The service does not begin: the configuration is wrong. The problems have been told.
    StartRefused {
        /// How many errors the configuration has.
        errors: usize,
        /// How many of the configuration's problems have been told.
        shown: usize,
    },
    /// The service was asked to end.
    Stopping {
        /// How long stopping may take.
        within: Duration,
    },
    /// A configuration was to be loaded anew, and is wrong: nothing has changed.
    Refused {
        /// How many errors the configuration has.
        errors: usize,
        /// How many of the configuration's problems follow.
        shown: usize,
    },
    /// One thing in the configuration that is wrong, or odd.
    Problem(Box<Problem>),
    /// The platform's configuration does not go together with the gateway's own files any more
    /// and is left out; the problems follow.
    RemoteSetAside {
        /// The configuration file of the platform.
        file: PathBuf,
        /// The new name of the file, or why it has none.
        aside: Result<PathBuf, String>,
    },
    /// A configuration was to be loaded anew and could not be read in time:
    /// nothing has changed.
    ReloadTooSlow {
        /// How long the service waited.
        within: Duration,
    },
    /// A configuration was to be loaded anew and leaves out so many devices that the operator
    /// has to say that this is meant: nothing has changed.
    ReloadHeldBack {
        /// How many devices the configuration leaves out.
        leaving: usize,
        /// How many devices there are.
        of: usize,
    },
    /// The platform's configuration did not prove itself: the one before it, or none, is in
    /// force again, and the failed one is refused from now on.
    RemoteFailed {
        /// The digest of the failed configuration, if it could be read.
        digest: Option<Digest>,
        /// In which way the configuration failed.
        failure: TrialFailure,
        /// Where the file is kept, or why it could not be moved away.
        kept: Result<PathBuf, String>,
    },
    /// A configuration was loaded anew, was right, and is in force.
    Reloaded {
        /// The changes.
        changes: Box<Changes>,
        /// Whether the control socket or metrics are elsewhere, or other users may give commands.
        doors: bool,
        /// Whether more than a third of the devices are gone.
        many_leave: bool,
    },
}

impl ServiceEvent {
    /// Returns all notices about a configuration with which the service does not start. What
    /// has become of the service comes last, where `systemctl status` shows it.
    #[must_use]
    pub fn start_refused(report: &Report) -> Vec<ServiceEvent> {
        let errors = report.errors();
        let shown = report.problems().len().min(SHOWN);
        Self::problems(report)
            .chain([ServiceEvent::StartRefused { errors, shown }])
            .collect()
    }

    /// Returns all notices about a configuration that is wrong.
    #[must_use]
    pub fn refused(report: &Report) -> Vec<ServiceEvent> {
        let shown = report.problems().len().min(SHOWN);
        let errors = report.errors();
        std::iter::once(ServiceEvent::Refused { errors, shown })
            .chain(Self::problems(report))
            .collect()
    }

    /// Returns the notices about the first of its problems.
    pub(super) fn problems(report: &Report) -> impl Iterator<Item = ServiceEvent> {
        let problems = report.problems().iter().take(SHOWN).cloned();
        problems.map(|p| ServiceEvent::Problem(Box::new(p)))
    }
}

impl LogEvent for ServiceEvent {
    fn level(&self) -> Level {
        match self {
            ServiceEvent::StartRefused { .. }
            | ServiceEvent::Refused { .. }
            | ServiceEvent::ReloadTooSlow { .. }
            | ServiceEvent::ReloadHeldBack { .. }
            | ServiceEvent::RemoteSetAside { .. }
            | ServiceEvent::RemoteFailed { .. } => Level::Error,
            ServiceEvent::Problem(p) => match p.severity {
                Severity::Error => Level::Error,
                Severity::Warning => Level::Warn,
            },
            ServiceEvent::Reloaded {
                many_leave: true, ..
            } => Level::Warn,
            ServiceEvent::Started { .. }
            | ServiceEvent::Stopping { .. }
            | ServiceEvent::Reloaded { .. } => Level::Info,
        }
    }

    fn kind(&self) -> EventKind {
        match self {
            ServiceEvent::Started { .. } => EventKind::ServiceStarted,
            ServiceEvent::StartRefused { .. } => EventKind::StartRefused,
            ServiceEvent::Stopping { .. } => EventKind::ServiceStopping,
            ServiceEvent::Refused { .. } => EventKind::ReloadRefused,
            ServiceEvent::Problem(_) => EventKind::ConfigProblem,
            ServiceEvent::RemoteSetAside { .. } => EventKind::RemoteConfigSetAside,
            ServiceEvent::ReloadTooSlow { .. } => EventKind::ReloadTooSlow,
            ServiceEvent::ReloadHeldBack { .. } => EventKind::ReloadHeldBack,
            ServiceEvent::RemoteFailed { .. } => EventKind::RemoteConfigFailed,
            ServiceEvent::Reloaded { .. } => EventKind::Reloaded,
        }
    }

    fn subject(&self) -> LogSubject {
        LogSubject::Gateway
    }

    fn fields(&self) -> Vec<(JournalField, String)> {
        match self {
            ServiceEvent::Started { .. }
            | ServiceEvent::Stopping { .. }
            | ServiceEvent::ReloadTooSlow { .. } => Vec::new(),
            ServiceEvent::ReloadHeldBack { leaving, .. } => {
                vec![(JournalField::DevicesRemoved, leaving.to_string())]
            }
            ServiceEvent::StartRefused { errors, .. } | ServiceEvent::Refused { errors, .. } => {
                vec![(JournalField::Errors, errors.to_string())]
            }
            ServiceEvent::RemoteSetAside { file, .. } => {
                vec![(JournalField::ConfigFile, file.display().to_string())]
            }
            ServiceEvent::RemoteFailed { digest, .. } => {
                let digest = digest.map(|digest| digest.to_string());
                vec![(JournalField::Sha256, digest.unwrap_or_default())]
            }
            ServiceEvent::Problem(p) => vec![
                (JournalField::ConfigFile, p.file.to_string()),
                (JournalField::ConfigLine, p.line.to_string()),
                (JournalField::ConfigPath, p.path.clone()),
            ],
            ServiceEvent::Reloaded { changes: c, .. } => vec![
                (
                    JournalField::DevicesAdded,
                    c.devices.added.len().to_string(),
                ),
                (
                    JournalField::DevicesChanged,
                    c.devices.changed.len().to_string(),
                ),
                (
                    JournalField::DevicesRemoved,
                    c.devices.removed.len().to_string(),
                ),
                (JournalField::PortsRestarted, restarted(c).to_string()),
                (
                    JournalField::Reconnected,
                    u8::from(c.cloud.connection).to_string(),
                ),
            ],
        }
    }

    fn sentence(&self) -> String {
        match self {
            ServiceEvent::Started {
                ports,
                devices,
                commissioned,
            } => format!(
                "alink-gateway {} started: {}, {}{}",
                env!("CARGO_PKG_VERSION"),
                counted(*ports, "port"),
                counted(*devices, "device"),
                if *commissioned {
                    ""
                } else {
                    "; not commissioned, does not connect to the platform"
                }
            ),
            ServiceEvent::StartRefused { errors, shown } => format!(
                "gateway: not started: the configuration is wrong ({}); {}",
                counted(*errors, "error"),
                match errors > shown {
                    true => format!(
                        "the first {shown} are listed before this entry, `alink-gateway check` lists all"
                    ),
                    false => "the errors are listed before this entry, and `alink-gateway check` \
                              lists them again"
                        .into(),
                }
            ),
            ServiceEvent::Stopping { within } => format!(
                "gateway: stopping: logs all devices out, within {} s at most",
                within.as_secs()
            ),
            ServiceEvent::Refused { errors, shown } => format!(
                "the configuration is wrong ({}); nothing has changed; {}",
                counted(*errors, "error"),
                match errors > shown {
                    true => format!("the first {shown} follow, `alink-gateway check` shows all"),
                    false => "the errors follow".into(),
                }
            ),
            ServiceEvent::RemoteSetAside { file, aside } => format!(
                "the remote configuration {} does not fit the gateway's own files any more and is left out; only these files are in force; {}",
                file.display(),
                match aside {
                    Ok(aside) => format!("the file is now {}", aside.display()),
                    Err(why) => format!("the file stays where it is: {why}"),
                }
            ),
            ServiceEvent::RemoteFailed { failure, kept, .. } => format!(
                "the remote configuration failed its probation: {}; the previous one is in force again; {}; the same file is refused from now on, unless remote.failed.json is removed from the state directory before a reload",
                failure.words(),
                match kept {
                    Ok(kept) => format!("the file is kept as {}", kept.display()),
                    Err(why) => format!("the file could not be renamed: {why}"),
                }
            ),
            ServiceEvent::Problem(p) => {
                let line = match p.line {
                    0 => String::new(),
                    _ => format!(":{}:{}", p.line, p.column),
                };
                let hint = p.hint.as_ref().map(|h| format!("; hint: {h}"));
                format!(
                    "{}{line} {}: said {}, wanted {}{}",
                    p.file,
                    p.path,
                    p.said,
                    p.wanted,
                    hint.unwrap_or_default()
                )
            }
            ServiceEvent::ReloadTooSlow { within } => format!(
                "the configuration was not read within {} s, or the reading of an earlier one has not ended: a file system that its files are on does not answer; nothing has changed; reload again when it does",
                within.as_secs()
            ),
            ServiceEvent::ReloadHeldBack { leaving, of } => format!(
                "the configuration leaves out {leaving} of {}, more than a third: nothing has changed; look for a table that was cut short; if it is meant, `alink-gateway reload --force`",
                counted(*of, "device")
            ),
            ServiceEvent::Reloaded { changes, doors, .. } => {
                format!("configuration loaded anew: {}", words(changes, *doors))
            }
        }
    }
}

fn restarted(changes: &Changes) -> usize {
    changes.ports.added.len() + changes.ports.changed.len()
}

fn words(changes: &Changes, doors: bool) -> String {
    if changes.is_none() && !doors {
        return "nothing has changed".into();
    }
    let devices = &changes.devices;
    let mut words = Vec::new();
    for (n, what) in [
        (devices.added.len(), "added"),
        (devices.changed.len(), "changed"),
        (devices.removed.len(), "removed"),
    ] {
        if n > 0 {
            words.push(format!("{} {what}", counted(n, "device")));
        }
    }
    for (n, what) in [
        (changes.ports.removed.len(), "closed"),
        (restarted(changes), "opened anew"),
    ] {
        if n > 0 {
            words.push(format!("{} {what}", counted(n, "port")));
        }
    }
    if changes.cloud.limits || changes.stop_within {
        words.push("other limits".into());
    }
    for (is_other, what) in [
        (changes.commands, "other rules for commands"),
        (changes.cloud.products, "other secrets of products"),
        (changes.cloud.store, "other settings of the store"),
        (
            changes.cloud.remote,
            "other rules for remote configurations",
        ),
        (doors, "other settings of the control socket or metrics"),
    ] {
        if is_other {
            words.push(what.into());
        }
    }
    words.push(match changes.cloud.connection {
        true => "a new connection to the platform".into(),
        false => "the connection to the platform stays".into(),
    });
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reload_says_that_other_commands_are_carried_out() {
        let changes = Changes {
            commands: true,
            ..Changes::default()
        };
        assert_eq!(
            words(&changes, false),
            "other rules for commands, the connection to the platform stays"
        );
        assert_eq!(words(&Changes::default(), false), "nothing has changed");
        assert_eq!(
            words(&Changes::default(), true),
            "other settings of the control socket or metrics, the connection to the platform stays"
        );
    }
}
