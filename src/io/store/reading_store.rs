//! The store of readings at work: a thread that waits for the disk, so that nothing else does.
//!
//! The coordinator hands over one group of readings at a time, at the end one more, and asks for
//! one chunk at a time, so both channels are short. A disk that takes seconds for a sync delays the store and nothing
//! else.
//!
//! Times since the start of the machine: the coordinator counts from the start of this process,
//! the store from that of the machine. The difference is added here on the way in and taken off
//! on the way out.

use std::path::PathBuf;
use std::sync::mpsc as thread_mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;

use super::spool_directory::{SpoolDirectory, boot_id};
use crate::base::{Mono, Sequence, Stamp, StoredReading};
use crate::io::system::clock::Clock;
use crate::spool::{Spool, SpoolEvent, SpoolLimits, SpoolStatus};

/// How many commands wait for the thread: one group, one chunk, and marks.
const COMMANDS: usize = 64;
/// How many answers wait for the coordinator.
const ANSWERS: usize = 16;
/// How often marks are saved, and the store is opened again that could not be.
const EVERY: Duration = Duration::from_secs(5);

/// What the thread is to do.
#[derive(Debug)]
enum Command {
    Store(Vec<StoredReading>),
    Read(Sequence, usize),
    Settle(Vec<Sequence>),
    Finish,
}

/// What the thread has done.
#[derive(Debug)]
pub enum StoreAnswer {
    /// The store is open.
    Open {
        /// Whether anything is in it.
        has_values: bool,
    },
    /// A group was stored, or a part of it.
    Stored {
        /// How many of the readings are safe, from the first on.
        taken: usize,
        /// Where the first of them is.
        first: Option<Sequence>,
    },
    /// A chunk was read.
    Read {
        /// The values.
        readings: Vec<(Sequence, StoredReading)>,
        /// Where there are more.
        next: Option<Sequence>,
    },
    /// The store could not be read.
    ReadFailed {
        /// From here on.
        from: Sequence,
    },
    /// Something happened that an operator should know, and what the store holds now.
    Told(Vec<SpoolEvent>, Box<SpoolStatus>),
}

/// The coordinator's end of the store.
#[derive(Debug)]
pub struct ReadingStore {
    commands: thread_mpsc::SyncSender<Command>,
    answers: mpsc::Receiver<StoreAnswer>,
    thread: Option<JoinHandle<()>>,
    /// Commands that did not fit.
    waiting: Vec<Command>,
}

impl ReadingStore {
    /// Starts the thread. `since_boot` is how long the machine had been running when this
    /// process began to count.
    #[must_use]
    pub fn start(
        directory: PathBuf,
        limits: SpoolLimits,
        since_boot: Duration,
        clock: Clock,
    ) -> Self {
        let (commands, to_do) = thread_mpsc::sync_channel(COMMANDS);
        let (done, answers) = mpsc::channel(ANSWERS);
        let worker = Worker {
            directory,
            limits,
            since_boot: i64::try_from(since_boot.as_millis()).unwrap_or(i64::MAX),
            to_do,
            done,
            spool: None,
            clock,
            save_at: Mono::START,
        };
        let thread = std::thread::Builder::new().name("readings".to_owned());
        ReadingStore {
            commands,
            answers,
            // Without a thread the channels are closed, and nothing is stored.
            thread: thread.spawn(move || worker.run()).ok(),
            waiting: Vec::new(),
        }
    }

    /// Stores readings; answered by [`StoreAnswer::Stored`].
    pub fn store(&mut self, readings: Vec<StoredReading>) {
        self.send(Command::Store(readings));
    }

    /// Reads values; answered by [`StoreAnswer::Read`] or [`StoreAnswer::ReadFailed`].
    pub fn read(&mut self, from: Sequence, most: usize) {
        self.send(Command::Read(from, most));
    }

    /// Marks values that need not be kept any more.
    pub fn settle(&mut self, values: Vec<Sequence>) {
        self.send(Command::Settle(values));
    }

    fn send(&mut self, command: Command) {
        self.waiting.push(command);
        self.send_waiting();
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

    /// Returns the next answer; waits for ever if there is no store.
    pub async fn answer(&mut self) -> StoreAnswer {
        self.send_waiting();
        match self.answers.recv().await {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }

    /// Waits until everything is done that was asked for, and closes the store.
    pub async fn finish(mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        let (commands, thread) = (self.commands.clone(), self.thread.take());
        // Answers are no longer taken: the thread must not wait for room for one.
        self.answers.close();
        let finish = move || {
            for command in waiting.into_iter().chain([Command::Finish]) {
                let _ = commands.send(command);
            }
            thread.map(JoinHandle::join)
        };
        let _ = tokio::task::spawn_blocking(finish).await;
    }
}

/// The thread.
#[derive(Debug)]
struct Worker {
    directory: PathBuf,
    limits: SpoolLimits,
    since_boot: i64,
    to_do: thread_mpsc::Receiver<Command>,
    done: mpsc::Sender<StoreAnswer>,
    spool: Option<Spool<SpoolDirectory>>,
    clock: Clock,
    /// When marks are saved next: each time wears a page of the flash.
    save_at: Mono,
}

impl Worker {
    fn run(mut self) {
        loop {
            self.open();
            match self.to_do.recv_timeout(EVERY) {
                Ok(Command::Store(readings)) => self.store(readings),
                Ok(Command::Read(from, most)) => self.read(from, most),
                Ok(Command::Settle(values)) => self.settle(&values),
                Err(thread_mpsc::RecvTimeoutError::Timeout) => {}
                Ok(Command::Finish) | Err(thread_mpsc::RecvTimeoutError::Disconnected) => {
                    self.save();
                    return;
                }
            }
            let now = self.clock.now().mono;
            if now >= self.save_at {
                self.save_at = now + EVERY;
                self.save();
                self.expire();
            }
            self.tell();
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
                self.answer(StoreAnswer::Open { has_values });
            }
            Err(error) => {
                let status = SpoolStatus {
                    fault: Some(error),
                    ..SpoolStatus::default()
                };
                self.answer(StoreAnswer::Told(Vec::new(), Box::new(status)));
            }
        }
    }

    fn store(&mut self, mut readings: Vec<StoredReading>) {
        for reading in &mut readings {
            if let Stamp::SinceBoot(ms) = &mut reading.at {
                *ms = ms.saturating_add(self.since_boot);
            }
        }
        let (taken, first) = match &mut self.spool {
            Some(spool) => {
                let first = spool.end();
                (spool.store(&readings).taken, Some(first))
            }
            None => (0, None),
        };
        self.answer(StoreAnswer::Stored { taken, first });
    }

    fn read(&mut self, from: Sequence, most: usize) {
        let chunk = self.spool.as_mut().map(|spool| spool.read(from, most));
        let Some(Ok(mut chunk)) = chunk else {
            return self.answer(StoreAnswer::ReadFailed { from });
        };
        for (_, reading) in &mut chunk.readings {
            if let Stamp::SinceBoot(ms) = &mut reading.at {
                *ms = ms.saturating_sub(self.since_boot);
            }
        }
        self.answer(StoreAnswer::Read {
            readings: chunk.readings,
            next: chunk.next,
        });
    }

    fn settle(&mut self, values: &[Sequence]) {
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

    fn tell(&mut self) {
        if let Some(spool) = &mut self.spool {
            let events = spool.take_events();
            let status = Box::new(spool.status());
            self.answer(StoreAnswer::Told(events, status));
        }
    }

    fn answer(&self, answer: StoreAnswer) {
        // Closed at the end, when no answer is needed.
        let _ = self.done.blocking_send(answer);
    }
}
