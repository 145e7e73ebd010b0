//! The store of readings at work: a thread that waits for the disk, so that nothing else does.
//!
//! The coordinator hands over one group of readings at a time, at the end one more, and asks for
//! one chunk at a time, so both channels are short. A disk that takes seconds for a sync delays
//! the store and nothing else. Neither a reload nor another connection opens the store again: it
//! is open from the start of the service, or from the reload that wants it first, to the end.
//!
//! Times since the start of the machine: the coordinator counts from the start of this process,
//! the store from that of the machine. The difference is added here on the way in and taken off
//! on the way out.
//!
//! Contract: [`ReadingStore::answer`] among what the loop waits for, [`ReadingStore::finish`] at
//! the end.
//!
//! Invariants:
//! - Each group that is handed over is answered, unless the process ends: by the thread, or, if
//!   the thread has ended, by this end.
//! - The operator reads what the store reports, at the latest when the process ends.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::mpsc as thread_mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;

use super::reading_store_events::{ReadingStoreEvent, StoreReports};
use super::spool_directory::{SpoolDirectory, boot_id};
use crate::base::{Mono, StorePosition, StoredReading, StoredTime};
use crate::io::log::Journal;
use crate::io::system::clock::Clock;
use crate::spec::Spec;
use crate::spool::{DiskError, DiskFault, Spool, SpoolEvent, SpoolLimits, SpoolStatus};

/// The directory of the store within the state directory.
const DIRECTORY: &str = "readings";
/// How many commands wait for the thread: one group, one chunk, and marks.
const COMMANDS: usize = 64;
/// How many answers wait for the coordinator.
const ANSWERS: usize = 16;
/// How often marks are saved, and the store is opened again that could not be.
const EVERY: Duration = Duration::from_secs(5);

/// What the thread is to do.
#[derive(Debug)]
enum StoreCommand {
    Store(Vec<StoredReading>),
    Read(StorePosition, usize),
    Settle(Vec<StorePosition>),
    Limits(SpoolLimits),
    Finish,
}

/// What the store has done, for the coordinator.
#[derive(Debug)]
pub enum StoreAnswer {
    /// The store is open.
    Open {
        /// Whether anything is in it.
        has_values: bool,
    },
    /// A group was stored, or a part of it.
    Stored {
        /// Where the readings are, from the first on; `None` stands for one that the store
        /// dropped and counted. The others are not stored.
        at: Vec<Option<StorePosition>>,
    },
    /// A chunk was read.
    Read {
        /// The values.
        readings: Vec<(StorePosition, StoredReading)>,
        /// Where there are more.
        next: Option<StorePosition>,
    },
    /// The store could not be read.
    ReadFailed {
        /// From here on.
        from: StorePosition,
    },
    /// What the store holds now.
    Status(Box<SpoolStatus>),
    /// The thread has ended: nothing can be stored or read any more.
    Gone(Box<SpoolStatus>),
}

/// What the thread says.
#[derive(Debug)]
enum StoreMessage {
    Answer(StoreAnswer),
    /// Something may have happened that an operator should know, and what the store holds now.
    Report(Vec<SpoolEvent>, Box<SpoolStatus>),
}

/// The coordinator's end of the store.
#[derive(Debug)]
pub struct ReadingStore {
    /// The directory that the store gets, if it is to have one.
    directory: Option<PathBuf>,
    clock: Clock,
    journal: Journal,
    reports: StoreReports,
    limits: Option<SpoolLimits>,
    thread: Option<StoreThread>,
}

/// The thread, seen from the coordinator.
#[derive(Debug)]
struct StoreThread {
    commands: thread_mpsc::SyncSender<StoreCommand>,
    said: mpsc::Receiver<StoreMessage>,
    handle: Option<JoinHandle<()>>,
    /// Commands that did not fit.
    waiting: Vec<StoreCommand>,
    /// The sizes of the groups that were handed over and are not answered, oldest first.
    groups: VecDeque<usize>,
}

impl ReadingStore {
    /// Opens the store in the state directory if this configuration wants one, and later if one
    /// wants it that comes by a reload. A gateway that is not commissioned has no platform to
    /// deliver readings to, and no store.
    #[must_use]
    pub fn start(
        state_dir: &Path,
        spec: &Spec,
        commissioned: bool,
        clock: Clock,
        journal: Journal,
    ) -> Self {
        let directory = state_dir.join(DIRECTORY);
        let mut store = ReadingStore {
            reports: StoreReports::new(directory.display().to_string()),
            directory: Some(directory),
            clock,
            journal,
            limits: None,
            thread: None,
        };
        store.respec(spec, commissioned);
        store
    }

    /// Returns a store that never stores anything.
    #[must_use]
    pub fn none(clock: Clock, journal: Journal) -> Self {
        ReadingStore {
            directory: None,
            clock,
            journal,
            reports: StoreReports::default(),
            limits: None,
            thread: None,
        }
    }

    /// Uses another configuration from now on. A store that is not wanted any more stays open
    /// until the process ends, so that what is in it is delivered; the coordinator stores
    /// nothing more.
    pub fn respec(&mut self, spec: &Spec, commissioned: bool) {
        let policy = &spec.cloud.store;
        let limits = SpoolLimits::of(policy);
        if self.thread.is_some() {
            if self.limits.replace(limits) != Some(limits) {
                self.send(StoreCommand::Limits(limits));
            }
        } else if policy.enabled
            && commissioned
            && let Some(directory) = self.directory.clone()
        {
            self.limits = Some(limits);
            self.thread = Some(StoreThread::start(directory, limits, self.clock));
        }
    }

    /// Stores readings; answered by [`StoreAnswer::Stored`].
    pub fn store(&mut self, readings: Vec<StoredReading>) {
        if let Some(thread) = &mut self.thread {
            thread.groups.push_back(readings.len());
        }
        self.send(StoreCommand::Store(readings));
    }

    /// Reads values; answered by [`StoreAnswer::Read`] or [`StoreAnswer::ReadFailed`].
    pub fn read(&mut self, from: StorePosition, most: usize) {
        self.send(StoreCommand::Read(from, most));
    }

    /// Marks values that need not be kept any more.
    pub fn settle(&mut self, values: Vec<StorePosition>) {
        self.send(StoreCommand::Settle(values));
    }

    fn send(&mut self, command: StoreCommand) {
        if let Some(thread) = &mut self.thread {
            thread.waiting.push(command);
            thread.send_waiting();
        }
    }

    /// Returns the next answer; waits for ever if there is no store. Tells the operator what
    /// the store reports meanwhile.
    pub async fn answer(&mut self) -> StoreAnswer {
        let said = match &mut self.thread {
            Some(thread) => {
                thread.send_waiting();
                thread.said.recv().await
            }
            None => std::future::pending().await,
        };
        match said {
            Some(StoreMessage::Answer(answer)) => {
                if let (StoreAnswer::Stored { .. }, Some(thread)) = (&answer, &mut self.thread) {
                    thread.groups.pop_front();
                }
                answer
            }
            Some(StoreMessage::Report(events, status)) => {
                self.tell(events, &status);
                StoreAnswer::Status(status)
            }
            None => {
                self.thread = None;
                self.limits = None;
                let status = ended();
                self.tell(Vec::new(), &status);
                StoreAnswer::Gone(Box::new(status))
            }
        }
    }

    fn tell(&mut self, events: Vec<SpoolEvent>, status: &SpoolStatus) {
        let now = self.clock.now().mono;
        for event in self.reports.on_report(now, events, status) {
            self.journal.tell(&event);
        }
    }

    /// Waits until everything is done that was asked for, and closes the store. The caller
    /// bounds the wait.
    pub async fn finish(mut self) {
        let Some(mut thread) = self.thread.take() else {
            return;
        };
        let (waiting, commands) = (std::mem::take(&mut thread.waiting), thread.commands);
        let handle = thread.handle.take();
        let finish = tokio::task::spawn_blocking(move || {
            for command in waiting.into_iter().chain([StoreCommand::Finish]) {
                // The thread has ended if this fails.
                let _ = commands.send(command);
            }
            handle.map(JoinHandle::join)
        });
        // What could not be stored of these groups is lost: the coordinator is gone.
        let (mut lost, mut fault) = (0, None);
        while let Some(said) = thread.said.recv().await {
            match said {
                StoreMessage::Answer(StoreAnswer::Stored { at }) => {
                    let group = thread.groups.pop_front().unwrap_or(0);
                    lost += group.saturating_sub(at.len());
                }
                StoreMessage::Answer(_) => {}
                StoreMessage::Report(events, status) => {
                    self.tell(events, &status);
                    fault = status.fault.or(fault);
                }
            }
        }
        let _ = finish.await;
        for event in self.reports.rest() {
            self.journal.tell(&event);
        }
        lost += thread.groups.iter().sum::<usize>();
        if lost > 0 {
            let why = fault
                .or(ended().fault)
                .map_or_else(String::new, |f| f.to_string());
            let readings = lost as u64;
            self.journal
                .tell(&ReadingStoreEvent::NotStored { readings, why });
        }
    }
}

/// Returns the status of a store whose thread has ended.
fn ended() -> SpoolStatus {
    SpoolStatus {
        fault: Some(DiskError {
            fault: DiskFault::Broken,
            step: "working",
            file: String::new(),
            cause: "the thread of the store has ended".to_owned(),
        }),
        ..SpoolStatus::default()
    }
}

impl StoreThread {
    fn start(directory: PathBuf, limits: SpoolLimits, clock: Clock) -> Self {
        let (commands, to_do) = thread_mpsc::sync_channel(COMMANDS);
        let (done, said) = mpsc::channel(ANSWERS);
        let since_boot = clock.machine_age_at_start().as_millis();
        let worker = Worker {
            directory,
            limits,
            since_boot: i64::try_from(since_boot).unwrap_or(i64::MAX),
            to_do,
            done,
            spool: None,
            not_open: None,
            clock,
            save_at: Mono::START,
        };
        let thread = std::thread::Builder::new().name("readings".to_owned());
        StoreThread {
            commands,
            said,
            // Without a thread the channels are closed, which is reported.
            handle: thread.spawn(move || worker.run()).ok(),
            waiting: Vec::new(),
            groups: VecDeque::new(),
        }
    }

    fn send_waiting(&mut self) {
        while !self.waiting.is_empty() {
            let command = self.waiting.remove(0);
            if let Err(thread_mpsc::TrySendError::Full(command)) = self.commands.try_send(command) {
                self.waiting.insert(0, command);
                return;
            }
        }
    }
}

/// The thread itself.
#[derive(Debug)]
struct Worker {
    directory: PathBuf,
    limits: SpoolLimits,
    since_boot: i64,
    to_do: thread_mpsc::Receiver<StoreCommand>,
    done: mpsc::Sender<StoreMessage>,
    spool: Option<Spool<SpoolDirectory>>,
    /// Why the store is not open, if it is not.
    not_open: Option<DiskError>,
    clock: Clock,
    /// When marks are saved next: each time wears a page of the flash.
    save_at: Mono,
}

impl Worker {
    fn run(mut self) {
        loop {
            self.open();
            if self.spool.is_none() {
                let (events, status) = self.report();
                self.say(StoreMessage::Report(events, status));
            }
            match self.to_do.recv_timeout(EVERY) {
                Ok(StoreCommand::Store(readings)) => self.store(readings),
                Ok(StoreCommand::Read(from, most)) => self.read(from, most),
                Ok(StoreCommand::Settle(values)) => self.settle(&values),
                Ok(StoreCommand::Limits(limits)) => self.set_limits(limits),
                Err(thread_mpsc::RecvTimeoutError::Timeout) => {}
                Ok(StoreCommand::Finish) | Err(thread_mpsc::RecvTimeoutError::Disconnected) => {
                    self.save();
                    let (events, status) = self.report();
                    self.say(StoreMessage::Report(events, status));
                    return;
                }
            }
            let now = self.clock.now().mono;
            if now >= self.save_at {
                self.save_at = now + EVERY;
                self.save();
                self.expire();
            }
            let (events, status) = self.report();
            self.say(StoreMessage::Report(events, status));
        }
    }

    fn open(&mut self) {
        if self.spool.is_some() {
            return;
        }
        let opened = SpoolDirectory::open(&self.directory)
            .and_then(|directory| Spool::open(directory, self.limits, boot_id()));
        match opened {
            Ok(spool) => {
                let has_values = spool.status().values > 0;
                self.spool = Some(spool);
                let (events, status) = self.report();
                self.say(StoreMessage::Report(events, status));
                self.say(StoreMessage::Answer(StoreAnswer::Open { has_values }));
            }
            // The report of this turn says so.
            Err(error) => self.not_open = Some(error),
        }
    }

    fn store(&mut self, mut readings: Vec<StoredReading>) {
        for reading in &mut readings {
            if let StoredTime::SinceBoot(ms) = &mut reading.at {
                *ms = ms.saturating_add(self.since_boot);
            }
        }
        let at = match &mut self.spool {
            Some(spool) => spool.store(&readings).at,
            None => Vec::new(),
        };
        self.say(StoreMessage::Answer(StoreAnswer::Stored { at }));
    }

    fn read(&mut self, from: StorePosition, most: usize) {
        let chunk = self.spool.as_mut().map(|spool| spool.read(from, most));
        let Some(Ok(mut chunk)) = chunk else {
            return self.say(StoreMessage::Answer(StoreAnswer::ReadFailed { from }));
        };
        for (_, reading) in &mut chunk.readings {
            if let StoredTime::SinceBoot(ms) = &mut reading.at {
                *ms = ms.saturating_sub(self.since_boot);
            }
        }
        self.say(StoreMessage::Answer(StoreAnswer::Read {
            readings: chunk.readings,
            next: chunk.next,
        }));
    }

    fn settle(&mut self, values: &[StorePosition]) {
        if let Some(spool) = &mut self.spool {
            for value in values {
                spool.settle(*value);
            }
        }
    }

    /// Saves the marks. A failure is in the status, and tried again.
    fn save(&mut self) {
        if let Some(spool) = &mut self.spool {
            let _ = spool.save();
        }
    }

    /// Drops what is too old, once the clock is right.
    fn expire(&mut self) {
        if self.clock.is_synchronised()
            && let Some(spool) = &mut self.spool
        {
            spool.expire(self.clock.now().wall);
        }
    }

    fn set_limits(&mut self, limits: SpoolLimits) {
        self.limits = limits;
        if let Some(spool) = &mut self.spool {
            spool.set_limits(limits);
        }
    }

    /// Returns what the store reports.
    fn report(&mut self) -> (Vec<SpoolEvent>, Box<SpoolStatus>) {
        match &mut self.spool {
            Some(spool) => (spool.take_events(), Box::new(spool.status())),
            None => {
                let fault = self.not_open.clone();
                let status = SpoolStatus {
                    fault,
                    ..SpoolStatus::default()
                };
                (Vec::new(), Box::new(status))
            }
        }
    }

    fn say(&self, said: StoreMessage) {
        // The other end is gone only when the process ends at once.
        let _ = self.done.blocking_send(said);
    }
}

#[cfg(test)]
mod tests;
