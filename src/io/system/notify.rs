//! Notifies the service manager: READY, STATUS, WATCHDOG, STOPPING.
//!
//! systemd kills and restarts a service that stops feeding its watchdog. A watchdog fed by a
//! timer proves only that timers fire, so it is fed only when **every** registered
//! [`Heartbeat`] has moved since it was last fed: one stuck port, hub or link stops the
//! feeding. A heartbeat that has not moved for half the watchdog's interval is named in an
//! error notice, once, while there is still time to write the notice.
//!
//! The messages and `WATCHDOG_USEC` come from sd-notify. The socket is made here, so that it
//! may be abstract (`@…`, which sd-notify leaves out), and so that tests can be the other end
//! without touching the environment. Without `NOTIFY_SOCKET` nothing is sent and nothing else
//! changes: stuck tasks are then named at the pace of a 30 s watchdog.

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::base::{EventKind, JournalField, Level, LogEvent, LogSubject, Mono};
use crate::io::log::Journal;
use crate::io::system::clock::Clock;
use crate::io::system::heartbeat::{Heartbeat, Heartbeats};

/// The pace at which stuck tasks are looked for when no watchdog is set.
const WATCHDOG_DEFAULT: Duration = Duration::from_secs(30);

/// The shortest time between two STATUS messages.
const STATUS_EVERY: Duration = Duration::from_secs(1);

/// The service manager, if there is one.
#[derive(Clone, Debug)]
pub struct Notifier {
    socket: Option<Arc<(UnixDatagram, SocketAddr)>>,
    watchdog: Option<Duration>,
}

impl Notifier {
    /// Finds the service manager that started this process, if one did: `NOTIFY_SOCKET`,
    /// `WATCHDOG_USEC` and `WATCHDOG_PID` of sd_notify(3).
    #[must_use]
    pub fn from_environment() -> Self {
        let socket = std::env::var_os("NOTIFY_SOCKET");
        Self::at(socket, sd_notify::watchdog_enabled())
    }

    /// Makes a notifier for the service manager at this address (a path, or an abstract name
    /// after `@`), which expects `WATCHDOG=1` within each `watchdog`. An unusable address
    /// counts as none: the service can run without reporting its status.
    #[must_use]
    pub fn at(address: Option<OsString>, watchdog: Option<Duration>) -> Self {
        let socket = address.and_then(|address| {
            let address = match address.as_bytes() {
                [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok()?,
                _ => SocketAddr::from_pathname(&address).ok()?,
            };
            let socket = UnixDatagram::unbound().ok()?;
            // A stalled service manager must not stall the gateway.
            socket.set_nonblocking(true).ok()?;
            Some(Arc::new((socket, address)))
        });
        Notifier { socket, watchdog }
    }

    /// Reports that the service has started: the configuration is compiled, ports were
    /// attempted, the control socket answers.
    pub fn ready(&self) {
        self.send(&[NotifyState::Ready]);
    }

    /// Reports that the configuration is loaded anew; [`Notifier::ready`] ends that.
    pub fn reloading(&self) {
        // sd_notify(3): the time stamp tells this reload from an earlier one.
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.send(&[NotifyState::Reloading, now]),
            Err(_) => self.send(&[NotifyState::Reloading]),
        }
    }

    fn send(&self, words: &[NotifyState<'_>]) {
        let Some((socket, address)) = self.socket.as_deref() else {
            return;
        };
        let message: String = words.iter().map(|w| format!("{w}\n")).collect();
        // Lost messages are sent again: STATUS at its next change, WATCHDOG at its next turn. A
        // lost READY fails the start with an error, and systemd retries.
        let _ = socket.send_to_addr(message.as_bytes(), address);
    }
}

/// Sends status and watchdog messages until `stop`, then STOPPING. `status` carries the one
/// line that people see in `systemctl status`.
pub async fn run(
    notifier: Notifier,
    heartbeats: Heartbeats,
    mut status: watch::Receiver<String>,
    clock: Clock,
    journal: Journal,
    stop: CancellationToken,
) {
    let mut watch = Watch::new(
        heartbeats,
        notifier.watchdog.unwrap_or(WATCHDOG_DEFAULT),
        clock.now().mono,
    );
    let mut told: Option<String> = None;
    let mut tell_from = clock.now().mono;
    // The status at the start is news as well.
    let mut news = true;
    let mut sender_lives = true;

    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = clock.sleep_until(watch.look_at) => {
                let (fed, notices) = watch.look(clock.now().mono);
                for notice in notices {
                    journal.tell(&notice);
                }
                if fed && notifier.watchdog.is_some() {
                    notifier.send(&[NotifyState::Watchdog]);
                }
            }
            change = status.changed(), if sender_lives && !news => {
                sender_lives = change.is_ok();
                news = sender_lives;
            }
            () = clock.sleep_until(tell_from), if news => {
                news = false;
                let line = one_line(&status.borrow_and_update());
                if told.as_ref() != Some(&line) {
                    notifier.send(&[NotifyState::Status(&line)]);
                    tell_from = clock.now().mono + STATUS_EVERY;
                    told = Some(line);
                }
            }
        }
    }
    notifier.send(&[NotifyState::Stopping]);
}

/// Returns the status as one line, which is what the service manager takes.
fn one_line(status: &str) -> String {
    status.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Decides whether the watchdog may be fed. The time is passed in; no clock is read.
#[derive(Debug)]
struct Watch {
    registry: Heartbeats,
    heartbeats: Vec<WatchedTask>,
    interval: Duration,
    fed_at: Mono,
    look_at: Mono,
}

#[derive(Debug)]
struct WatchedTask {
    heartbeat: Heartbeat,
    steps_when_fed: u64,
    /// Since when it has been watched.
    since: Mono,
    named: bool,
}

impl Watch {
    fn new(registry: Heartbeats, interval: Duration, now: Mono) -> Self {
        let mut watch = Watch {
            registry,
            heartbeats: Vec::new(),
            interval,
            fed_at: now,
            look_at: now + interval / 4,
        };
        watch.follow(now);
        watch
    }

    /// Updates which heartbeats are watched: tasks come and go with the configuration.
    fn follow(&mut self, now: Mono) {
        let all = self.registry.all();
        self.heartbeats
            .retain(|w| all.iter().any(|p| p.is(&w.heartbeat)));
        for heartbeat in all {
            if !self.heartbeats.iter().any(|w| w.heartbeat.is(&heartbeat)) {
                self.heartbeats.push(WatchedTask {
                    steps_when_fed: heartbeat.steps(),
                    since: now,
                    heartbeat,
                    named: false,
                });
            }
        }
    }

    /// Looks at every heartbeat. There are four looks per interval, so that a task that beats a
    /// little too slowly for one look is judged at the next look and not killed. A task counts
    /// as stuck at half the interval, which is the feeding time that sd_watchdog_enabled(3)
    /// advises.
    fn look(&mut self, now: Mono) -> (bool, Vec<NotifyEvent>) {
        self.look_at = now + self.interval / 4;
        self.follow(now);
        let hungry_for = now.since(self.fed_at);
        let mut notices = Vec::new();
        let mut all_moved = true;
        for one in &mut self.heartbeats {
            if one.heartbeat.steps() != one.steps_when_fed {
                if one.named {
                    one.named = false;
                    notices.push(NotifyEvent::MovesAgain {
                        task: one.heartbeat.name().to_owned(),
                        after: hungry_for,
                    });
                }
                continue;
            }
            all_moved = false;
            let stuck_for = hungry_for.min(now.since(one.since));
            if !one.named && stuck_for >= self.interval / 2 {
                one.named = true;
                notices.push(NotifyEvent::Stuck {
                    task: one.heartbeat.name().to_owned(),
                    since: stuck_for,
                    restart_in: self.interval.saturating_sub(hungry_for),
                });
            }
        }
        if all_moved {
            self.fed_at = now;
            for one in &mut self.heartbeats {
                one.steps_when_fed = one.heartbeat.steps();
            }
        }
        (all_moved, notices)
    }
}

/// What the operator is told about stuck tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotifyEvent {
    /// A task has not moved, and the watchdog is not fed because of it.
    Stuck {
        /// The task's name.
        task: String,
        /// For at least how long the task has not moved.
        since: Duration,
        /// When the service manager will restart the service if nothing changes.
        restart_in: Duration,
    },
    /// A task that was named stuck moves again.
    MovesAgain {
        /// The task's name.
        task: String,
        /// For about how long the task had not moved.
        after: Duration,
    },
}

impl LogEvent for NotifyEvent {
    fn level(&self) -> Level {
        match self {
            NotifyEvent::Stuck { .. } => Level::Error,
            NotifyEvent::MovesAgain { .. } => Level::Warn,
        }
    }

    fn kind(&self) -> EventKind {
        match self {
            NotifyEvent::Stuck { .. } => EventKind::TaskStuck,
            NotifyEvent::MovesAgain { .. } => EventKind::TaskRecovered,
        }
    }

    fn subject(&self) -> LogSubject {
        LogSubject::Gateway
    }

    fn fields(&self) -> Vec<(JournalField, String)> {
        match self {
            NotifyEvent::Stuck { task, .. } | NotifyEvent::MovesAgain { task, .. } => {
                vec![(JournalField::Task, task.clone())]
            }
        }
    }

    fn sentence(&self) -> String {
        match self {
            NotifyEvent::Stuck {
                task,
                since,
                restart_in,
            } => format!(
                "task {task}: no progress for {} s: the watchdog is not signalled any more and restarts the service in about {} s",
                since.as_secs(),
                restart_in.as_secs()
            ),
            NotifyEvent::MovesAgain { task, after } => {
                format!(
                    "task {task}: makes progress again after {} s",
                    after.as_secs()
                )
            }
        }
    }
}

#[cfg(test)]
mod tests;
