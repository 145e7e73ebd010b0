//! Keeps the level of the log: it can be changed for a time while the service runs, and falls
//! back by itself.
//!
//! A person who looks for a fault lowers a level, finds the fault, and forgets to reset the
//! level: hence the time limit, and the notice when it is over.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use super::filter::{self, ALL, InitError};
use super::{Clock, Journal};
use crate::base::text::excerpt;
use crate::base::{EventKind, Level, LogEvent, LogSubject, Mono};
use crate::config::did_you_mean;

/// The level for "as it was at the start".
pub const DEFAULT: &str = "default";

/// Why the level is not changed.
#[derive(Debug, thiserror::Error)]
pub enum LogLevelError {
    /// The target is not valid.
    #[error("{0:?} is no target; {meant}the targets are {known}", meant = meant(.0), known = known())]
    Target(String),
    /// The level would show secrets.
    #[error("{0:?} writes down the signed addresses of files it fetches, and stays at info")]
    ShowsSecrets(String),
    /// The level is not valid.
    #[error("{0:?} is no level: off, error, warn, info, debug, trace or default")]
    Level(String),
    /// The filter was refused.
    #[error(transparent)]
    Filter(#[from] InitError),
}

/// Returns a question for the target that may be meant instead of this one.
fn meant(target: &str) -> String {
    did_you_mean(target, filter::targets()).map_or_else(String::new, |it| format!("{it} "))
}

/// Returns all targets, for a sentence.
fn known() -> String {
    filter::targets().collect::<Vec<_>>().join(", ")
}

/// Applies a filter to the records of libraries.
type Apply = Box<dyn Fn(EnvFilter) + Send + Sync>;

/// The level of the log, kept in one place. Clones share it.
#[derive(Clone)]
pub struct LogLevel(Arc<Inner>);

struct Inner {
    /// The filter of the environment.
    base: String,
    /// The least severe level of notices that is logged.
    least: AtomicU8,
    /// The changes since the start; locked for moments only.
    changed: Mutex<BTreeMap<String, (String, Option<Mono>)>>,
    apply: Option<Apply>,
    news: Notify,
}

impl fmt::Debug for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogLevel")
            .field("base", &self.0.base)
            .finish_non_exhaustive()
    }
}

impl LogLevel {
    /// Makes a fixed level for notices, without libraries.
    pub(super) fn fixed(least: Level) -> Self {
        let base = match least {
            Level::Error => "error",
            Level::Warn => "warn",
            Level::Info => "info",
            Level::Debug => "debug",
        };
        LogLevel::new(base.to_owned(), None)
    }

    /// Makes the level that `base` says; `apply` is told of changes.
    pub(super) fn new(base: String, apply: Option<Apply>) -> Self {
        LogLevel(Arc::new(Inner {
            least: AtomicU8::new(number(filter::level_of(&base))),
            base,
            changed: Mutex::default(),
            apply,
            news: Notify::new(),
        }))
    }

    /// The least severe level of notices that is logged.
    pub(super) fn least(&self) -> Level {
        match self.0.least.load(Ordering::Relaxed) {
            0 => Level::Error,
            1 => Level::Warn,
            2 => Level::Info,
            _ => Level::Debug,
        }
    }

    /// Sets the level of `target` from now on, until `until` if it is given.
    ///
    /// # Errors
    /// The target or the level is not valid, and then nothing has changed.
    pub fn set(&self, target: &str, level: &str, until: Option<Mono>) -> Result<(), LogLevelError> {
        if !filter::targets().any(|known| known == target) {
            return Err(LogLevelError::Target(excerpt(target.as_bytes(), 60)));
        }
        if filter::shows_secrets(target) && matches!(level, "debug" | "trace") {
            return Err(LogLevelError::ShowsSecrets(target.into()));
        }
        let mut changed = self.changed();
        let before = changed.clone();
        match level {
            DEFAULT => drop(changed.remove(target)),
            "off" | "error" | "warn" | "info" | "debug" | "trace" => {
                changed.insert(target.to_owned(), (level.to_owned(), until));
            }
            other => return Err(LogLevelError::Level(other.into())),
        }
        if let Err(e) = self.apply(&changed) {
            *changed = before;
            return Err(e.into());
        }
        self.0.news.notify_one();
        Ok(())
    }

    /// Reverts the changes whose time is over; returns a notice for each.
    fn sweep(&self, now: Mono) -> Vec<LogLevelEvent> {
        let mut changed = self.changed();
        let over = |until: &Option<Mono>| until.is_some_and(|until| until <= now);
        let gone: Vec<String> = changed
            .iter()
            .filter(|(_, (_, until))| over(until))
            .map(|(target, _)| target.clone())
            .collect();
        changed.retain(|_, (_, until)| !over(until));
        if !gone.is_empty() {
            // Directives that were valid together are valid without some of them.
            let _ = self.apply(&changed);
        }
        gone.into_iter()
            .map(|target| LogLevelEvent::Over { target })
            .collect()
    }

    fn wake_at(&self) -> Option<Mono> {
        self.changed()
            .values()
            .filter_map(|(_, until)| *until)
            .min()
    }

    fn apply(&self, changed: &BTreeMap<String, (String, Option<Mono>)>) -> Result<(), InitError> {
        let (libraries, notices) = self.words(changed);
        let filter = filter::parse_words(&libraries)?;
        self.0
            .least
            .store(number(filter::level_of(&notices)), Ordering::Relaxed);
        if let Some(apply) = &self.0.apply {
            apply(filter);
        }
        Ok(())
    }

    /// Returns the filter for libraries, and the one for notices.
    fn words(&self, changed: &BTreeMap<String, (String, Option<Mono>)>) -> (String, String) {
        let all = changed.get(ALL).map_or(&self.0.base, |(level, _)| level);
        let mut libraries = filter::library_filter(all);
        let mut notices = all.clone();
        for (target, (level, _)) in changed.iter().filter(|(target, _)| *target != ALL) {
            for filter in [&mut libraries, &mut notices] {
                filter.push_str(&format!(",{target}={level}"));
            }
        }
        (libraries, notices)
    }

    fn changed(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, (String, Option<Mono>)>> {
        self.0
            .changed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

const fn number(level: Level) -> u8 {
    match level {
        Level::Error => 0,
        Level::Warn => 1,
        Level::Info => 2,
        Level::Debug => 3,
    }
}

/// Reverts temporary changes when their time is over, until `stop`.
pub async fn run(log_level: LogLevel, clock: Clock, journal: Journal, stop: CancellationToken) {
    loop {
        let over = async {
            match log_level.wake_at() {
                Some(at) => clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = log_level.0.news.notified() => {}
            () = over => {
                for notice in log_level.sweep(clock.now().mono) {
                    journal.tell(&notice);
                }
            }
        }
    }
}

/// A notice about the log itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogLevelEvent {
    /// An operator has changed the level of a target.
    Set {
        /// The target.
        target: String,
        /// The new level.
        level: String,
        /// For how long; `None` until the next start.
        during: Option<Duration>,
    },
    /// The time of a change is over.
    Over {
        /// The target.
        target: String,
    },
}

impl LogEvent for LogLevelEvent {
    fn level(&self) -> Level {
        Level::Info
    }

    fn kind(&self) -> EventKind {
        match self {
            LogLevelEvent::Set { .. } => EventKind::LogLevelSet,
            LogLevelEvent::Over { .. } => EventKind::LogLevelOver,
        }
    }

    fn subject(&self) -> LogSubject {
        LogSubject::Gateway
    }

    fn sentence(&self) -> String {
        match self {
            LogLevelEvent::Set {
                target,
                level,
                during,
            } => {
                let during = during.map_or_else(
                    || "until the next start".to_owned(),
                    |span| format!("for {} s", span.as_secs()),
                );
                format!("the log level of {target} is {level} {during}, as requested")
            }
            LogLevelEvent::Over { target } => {
                format!("the log level of {target} is as it was at the start again")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_changed_and_fall_back() {
        let s = |s: u64| Mono::from_micros(s * 1_000_000);
        let log_level = LogLevel::fixed(Level::Info);
        let words = || log_level.words(&log_level.changed()).0;
        assert_eq!(words(), "warn,alink_gateway=info,rumqttc=off");
        log_level.set("rustls", "trace", None).unwrap();
        log_level
            .set("alink_gateway", "debug", Some(s(10)))
            .unwrap();
        assert_eq!(log_level.least(), Level::Debug);
        assert_eq!(
            words(),
            "warn,alink_gateway=info,rumqttc=off,alink_gateway=debug,rustls=trace"
        );
        assert_eq!(log_level.wake_at(), Some(s(10)));
        assert_eq!(log_level.sweep(s(9)), []);
        let target = "alink_gateway".to_owned();
        assert_eq!(log_level.sweep(s(10)), [LogLevelEvent::Over { target }]);
        assert_eq!(log_level.least(), Level::Info);
        log_level.set("all", "error", None).unwrap();
        assert_eq!(log_level.least(), Level::Error);
        assert_eq!(words(), "error,rumqttc=off,rustls=trace");
        log_level.set("all", "default", None).unwrap();
        log_level.set("rustls", "default", None).unwrap();
        assert_eq!(words(), "warn,alink_gateway=info,rumqttc=off");
    }

    #[test]
    fn what_is_no_target_or_no_level_changes_nothing() {
        let log_level = LogLevel::fixed(Level::Info);
        for (target, level) in [
            ("", "debug"),
            ("a,b=trace", "debug"),
            ("a b", "debug"),
            ("[x]", "debug"),
            ("rustls", "loud"),
            ("rustls", "debug,all=off"),
            ("ureq", "trace"),
            ("ureq_proto", "debug"),
            ("rutsls", "debug"),
            ("hyper", "debug"),
            ("rustls::client", "debug"),
        ] {
            assert!(
                log_level.set(target, level, None).is_err(),
                "{target}={level}"
            );
        }
        assert_eq!(log_level.changed().len(), 0);
        let said = log_level.set("rutsls", "debug", None).unwrap_err();
        assert_eq!(
            said.to_string(),
            "\"rutsls\" is no target; did you mean rustls? the targets are all, alink_gateway, mio, \
             mio_serial, rumqttc, rustls, tokio_modbus, tokio_serial, ureq, ureq_proto"
        );
    }
}
