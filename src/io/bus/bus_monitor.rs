//! Listens to a port while it works.
//!
//! A [`BusMonitor`] is shared by a port's task, which reports what it sees, and the listeners.
//! Without a listener a report costs one look at a counter: the event is not even made. A
//! listener has a bounded inbox. An event that does not fit is dropped and counted, and that
//! listener is told the count as soon as something fits again. The port never waits: it takes
//! the lock only if the lock is free, and a lock is held for no longer than it takes to add a
//! listener.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use super::line::Opener;
use crate::base::{Mono, Now};
use crate::io::system::clock::Clock;
use crate::spec::SerialSpec;
use crate::trace::{TraceEvent, TraceEventKind, TracedLine};

/// How many listeners one port may have at the same time.
pub const LISTENERS: usize = 4;

/// How many events wait for a slow listener: some seconds of a busy line.
const INBOX: usize = 1024;

/// The monitor of one port. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct BusMonitor {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// How many listeners there are.
    listening: AtomicUsize,
    /// How many events were dropped because a listener was being added at that moment.
    contended: AtomicUsize,
    /// Whether the monitor has ended.
    ended: AtomicBool,
    room: Mutex<Listeners>,
}

#[derive(Debug, Default)]
struct Listeners {
    listeners: Vec<Subscriber>,
    /// The first event for a new listener, and the clock that gives its time.
    line: Option<(Clock, TracedLine)>,
}

#[derive(Debug)]
struct Subscriber {
    inbox: mpsc::Sender<TraceEvent>,
    missing: u64,
}

/// A listener. It stops listening when dropped.
#[derive(Debug)]
pub struct Listener {
    events: mpsc::Receiver<TraceEvent>,
    shared: Arc<Shared>,
}

/// The error of a port that already has [`LISTENERS`] listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyListeners;

impl BusMonitor {
    /// Returns whether there is a listener.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.shared.listening.load(Ordering::Relaxed) > 0
    }

    /// Reports what has just happened. The event is made only if there is a listener.
    pub fn say(&self, clock: &Clock, what: impl FnOnce() -> TraceEventKind) {
        if self.is_on() {
            self.deliver(clock.now(), what());
        }
    }

    /// Reports what happened at `at`, a moment ago.
    pub fn publish_at(&self, clock: &Clock, at: Mono, what: impl FnOnce() -> TraceEventKind) {
        if self.is_on() {
            let now = clock.now();
            self.deliver(Now { mono: at, ..now }, what());
        }
    }

    /// Reports what the line is from now on, and remembers it for later listeners.
    pub fn line(&self, clock: &Clock, line: TracedLine) {
        let now = clock.now();
        {
            let mut room = self
                .shared
                .room
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            room.line = Some((*clock, line.clone()));
        }
        if self.is_on() {
            self.deliver(now, TraceEventKind::Line(line));
        }
    }

    /// Reports that the open line has these settings from now on.
    pub fn tuned(&self, clock: &Clock, serial: &SerialSpec) {
        let open = {
            let room = self
                .shared
                .room
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            match &room.line {
                Some((_, TracedLine::Open(settings))) => Some(settings.tuned(serial)),
                Some((_, TracedLine::Closed { .. })) | None => None,
            }
        };
        if let Some(settings) = open {
            self.line(clock, TracedLine::Open(settings));
        }
    }

    /// Adds a listener and returns it.
    ///
    /// # Errors
    /// There are too many listeners already.
    pub fn listen(&self) -> Result<Listener, TooManyListeners> {
        let (inbox, events) = mpsc::channel(INBOX);
        let mut room = self
            .shared
            .room
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        room.listeners
            .retain(|subscriber| !subscriber.inbox.is_closed());
        if room.listeners.len() >= LISTENERS {
            return Err(TooManyListeners);
        }
        if let Some((clock, line)) = &room.line {
            let first = seen(clock.now(), TraceEventKind::Line(line.clone()));
            // The inbox is empty.
            let _ = inbox.try_send(first);
        }
        if !self.shared.ended.load(Ordering::Acquire) {
            room.listeners.push(Subscriber { inbox, missing: 0 });
        }
        self.shared.listening.fetch_add(1, Ordering::Relaxed);
        drop(room);
        Ok(Listener {
            events,
            shared: Arc::clone(&self.shared),
        })
    }

    /// Ends the monitor: the port is taken out of service.
    pub fn end(&self) {
        self.shared.ended.store(true, Ordering::Release);
        let mut room = self
            .shared
            .room
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        room.listeners.clear();
    }

    fn deliver(&self, at: Now, what: TraceEventKind) {
        let mut room = match self.shared.room.try_lock() {
            Ok(room) => room,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => {
                self.shared.contended.fetch_add(1, Ordering::Relaxed);
                return;
            }
        };
        let contended = self.shared.contended.swap(0, Ordering::Relaxed);
        let seen = seen(at, what);
        room.listeners.retain_mut(|subscriber| {
            subscriber.missing += contended as u64;
            subscriber.hear(&seen)
        });
    }
}

fn seen(at: Now, what: TraceEventKind) -> TraceEvent {
    TraceEvent {
        at: at.mono,
        wall: at.wall,
        what,
    }
}

impl Subscriber {
    /// Hands the event to the listener; returns whether it still listens.
    fn hear(&mut self, seen: &TraceEvent) -> bool {
        if self.missing > 0 {
            let missing = TraceEvent {
                what: TraceEventKind::Missing {
                    events: self.missing,
                },
                ..*seen
            };
            match self.inbox.try_send(missing) {
                Ok(()) => self.missing = 0,
                Err(TrySendError::Full(_)) => {
                    self.missing = self.missing.saturating_add(1);
                    return true;
                }
                Err(TrySendError::Closed(_)) => return false,
            }
        }
        match self.inbox.try_send(seen.clone()) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.missing = 1;
                true
            }
            Err(TrySendError::Closed(_)) => false,
        }
    }
}

impl Listener {
    /// Returns the next event; `None` when the port has been taken out of service.
    pub async fn next(&mut self) -> Option<TraceEvent> {
        self.events.recv().await
    }

    /// Returns the next event if one waits.
    pub fn try_next(&mut self) -> Option<TraceEvent> {
        self.events.try_recv().ok()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shared.listening.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The monitors of all ports, by name. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct BusMonitors {
    all: Arc<Mutex<BTreeMap<String, BusMonitor>>>,
}

/// Why a port cannot be listened to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotMonitored {
    /// There is no port of that name.
    #[error("no port is called {asked:?}; {}", known_as(.known))]
    Unknown {
        /// The name that was given.
        asked: String,
        /// The names of the ports that exist.
        known: Vec<String>,
    },
    /// There are too many listeners already.
    #[error("{LISTENERS} are listening to this port already")]
    TooManyListeners,
}

fn known_as(known: &[String]) -> String {
    match known {
        [] => "there are no ports".into(),
        [one] => format!("there is only {one}"),
        several => format!("there are {}", several.join(", ")),
    }
}

impl BusMonitors {
    /// Makes a new monitor for the port `port`; the listeners of its last monitor hear that it
    /// has ended.
    #[must_use]
    pub fn add(&self, port: &str) -> BusMonitor {
        let tap = BusMonitor::default();
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = all.insert(port.to_owned(), tap.clone()) {
            old.end();
        }
        tap
    }

    /// Removes the monitor of a port that no longer exists.
    pub fn remove(&self, port: &str) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tap) = all.remove(port) {
            tap.end();
        }
    }

    /// Adds a listener and returns it.
    ///
    /// # Errors
    /// [`NotMonitored`].
    pub fn listen(&self, port: &str) -> Result<Listener, NotMonitored> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(tap) = all.get(port) else {
            return Err(NotMonitored::Unknown {
                asked: port.to_owned(),
                known: all.keys().cloned().collect(),
            });
        };
        tap.listen()
            .map_err(|TooManyListeners| NotMonitored::TooManyListeners)
    }
}

/// Where the lines of a port come from, and the monitor of the port.
#[derive(Debug)]
pub struct MonitoredLine {
    /// Opens the lines.
    pub opener: Opener,
    /// Is told what happens on the lines.
    pub tap: BusMonitor,
}

impl From<Opener> for MonitoredLine {
    /// Makes a source whose monitor has no listeners.
    fn from(opener: Opener) -> Self {
        let tap = BusMonitor::default();
        MonitoredLine { opener, tap }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::LineSpec;
    use crate::trace::LineSettings;

    fn closed() -> TracedLine {
        TracedLine::Closed { why: "gone".into() }
    }

    #[tokio::test]
    async fn nothing_is_made_while_nobody_listens() {
        let (tap, clock) = (BusMonitor::default(), Clock::system());
        tap.say(&clock, || panic!("made"));
        let listener = tap.listen().unwrap();
        assert!(tap.is_on());
        drop(listener);
        assert!(!tap.is_on());
        tap.say(&clock, || panic!("made"));
    }

    #[tokio::test]
    async fn whoever_comes_is_told_first_what_the_line_is() {
        let (tap, clock) = (BusMonitor::default(), Clock::system());
        let open = TracedLine::Open(LineSettings {
            port: "p".into(),
            opens: "pipe".into(),
            settings: None,
            character: Default::default(),
            quiet: Default::default(),
        });
        tap.line(&clock, closed());
        tap.line(&clock, open.clone());
        let came = clock.now().mono;
        let mut listener = tap.listen().unwrap();
        tap.say(&clock, || TraceEventKind::Pause);
        let first = listener.next().await.unwrap();
        assert_eq!(first.what, TraceEventKind::Line(open));
        // The time of the first event is now, not when the line was opened.
        assert!(first.at >= came);
        assert_eq!(listener.next().await.unwrap().what, TraceEventKind::Pause);
        tap.end();
        assert_eq!(listener.next().await, None);
    }

    #[tokio::test]
    async fn other_settings_are_told_and_known_to_whoever_comes_later() {
        let (tap, clock) = (BusMonitor::default(), Clock::system());
        let spec = crate::field::test_spec::serial(9600);
        let LineSpec::Serial(own) = &spec.line else {
            panic!("not a serial line");
        };
        let settings = |seen: Option<TraceEvent>| match seen.unwrap().what {
            TraceEventKind::Line(TracedLine::Open(settings)) => settings.settings.unwrap(),
            other => panic!("{other:?}"),
        };
        let tuned = SerialSpec {
            baud: 2400,
            ..own.clone()
        };
        // No line is open yet whose settings could change.
        tap.tuned(&clock, &tuned);
        tap.line(&clock, TracedLine::Open(LineSettings::of("p", &spec.line)));
        let mut early = tap.listen().unwrap();
        assert_eq!(settings(early.next().await), "9600 8E1");
        tap.tuned(&clock, &tuned);
        assert_eq!(settings(early.next().await), "2400 8E1");
        let mut late = tap.listen().unwrap();
        assert_eq!(settings(late.next().await), "2400 8E1");
    }

    #[tokio::test]
    async fn a_listener_that_does_not_read_is_told_how_much_it_missed() {
        let (tap, clock) = (BusMonitor::default(), Clock::system());
        let (mut slow, mut quick) = (tap.listen().unwrap(), tap.listen().unwrap());
        for _ in 0..INBOX + 10 {
            tap.say(&clock, || TraceEventKind::Timeout);
            assert_eq!(quick.next().await.unwrap().what, TraceEventKind::Timeout);
        }
        for _ in 0..INBOX {
            assert_eq!(slow.next().await.unwrap().what, TraceEventKind::Timeout);
        }
        assert_eq!(slow.try_next(), None);
        tap.say(&clock, || TraceEventKind::Pause);
        let missing = TraceEventKind::Missing { events: 10 };
        assert_eq!(slow.next().await.unwrap().what, missing);
        assert_eq!(slow.next().await.unwrap().what, TraceEventKind::Pause);
        assert_eq!(quick.next().await.unwrap().what, TraceEventKind::Pause);
    }

    #[tokio::test]
    async fn a_port_has_only_so_many_listeners() {
        let (tap, clock) = (BusMonitor::default(), Clock::system());
        let all: Vec<_> = (0..LISTENERS).map(|_| tap.listen().unwrap()).collect();
        assert_eq!(tap.listen().unwrap_err(), TooManyListeners);
        drop(all);
        let _one = tap.listen().unwrap();
        tap.say(&clock, || TraceEventKind::Pause);
    }

    #[tokio::test]
    async fn a_name_nobody_has_is_answered_with_those_there_are() {
        let monitors = BusMonitors::default();
        let said = |monitors: &BusMonitors| monitors.listen("x").unwrap_err().to_string();
        assert_eq!(
            said(&monitors),
            "no port is called \"x\"; there are no ports"
        );
        let _one = monitors.add("b");
        assert_eq!(said(&monitors), "no port is called \"x\"; there is only b");
        let _other = monitors.add("a");
        assert_eq!(said(&monitors), "no port is called \"x\"; there are a, b");
        let mut listener = monitors.listen("a").unwrap();
        monitors.remove("a");
        assert_eq!(listener.next().await, None);
    }

    #[tokio::test]
    async fn a_port_that_is_gone_has_nothing_to_say() {
        let (tap, clock) = (BusMonitor::default(), Clock::system());
        tap.line(&clock, closed());
        tap.end();
        let mut listener = tap.listen().unwrap();
        assert_eq!(
            listener.next().await.unwrap().what,
            TraceEventKind::Line(closed())
        );
        assert_eq!(listener.next().await, None);
    }
}
