//! A configuration that comes from the platform ("Remote configuration"): which file is
//! fetched, whether it is what was announced, which task adopts it, and what the platform
//! is told about it.
//!
//! A push, or the answer to our one request after the start, names a file: a URL that holds
//! for half an hour, a size, a SHA-256. [`RemoteTask::Fetch`] fetches the file. The file is
//! compared with the announcement and handed to [`RemoteTask::Adopt`], whose outcome is the
//! answer. `config/` knows what the file may say. Whether the file is right is the verdict
//! of the very check that `alink-gateway check` makes.
//!
//! Contract: tell the engine what happened (`on_…`, `link_…`, [`RemoteConfiguration::respec`]),
//! then drain [`RemoteConfiguration::poll`] until `None`; call it again no later than
//! [`RemoteConfiguration::wake_at`]. A remote task that was handed out is answered by
//! [`RemoteConfiguration::on_done`]; a task that is not answered runs out.
//!
//! Invariants:
//! - One remote task at a time; one push waits at most, the newest.
//! - Each push that has an id gets one answer: done, or why not. Only pushes that come
//!   while 512 answers wait to be sent get none; they are counted.
//! - Nothing is adopted that is not enabled, or differs in size or digest from what was
//!   announced.
//! - A file that is in force already is neither fetched nor adopted.
//! - A file that failed its probation is neither fetched nor adopted again.
//! - An adopted file is on probation until the decision about it is carried out: it is
//!   proven, or the one before it comes back.
//! - A file that was answered as overdue is not left in force.
//! - The URL, which is as good as a password, and the file are in no log event, no answer
//!   and no `Debug`.
//!
//! **Why** the digest and not `configId` says what is in force: the digest follows from the
//! file alone, also after a restart, and cannot disagree with it. **Why** a remote task is
//! not taken back when a newer push comes: the task is bounded, and two downloads at a time
//! would not be.

pub mod events;
mod probation;
pub(crate) mod task;

use std::collections::VecDeque;
use std::time::Duration;

use crate::base::{Backoff, Digest, Mono, Now, RateLimit, Rng, Wake};
use crate::cloud::alink::wire::code::Code;
use crate::cloud::alink::wire::payload::remote::{AnnouncedFile, RemotePush};
use crate::spec::{RemotePolicy, Retraction};

use probation::Probation;

pub use events::{AdoptionRefusal, RemoteConfigLogEvent};
pub use task::{AdoptionResult, FetchFailure, FileContent, NotAdopted, RemoteResult, RemoteTask};

/// How long a download may take: the URL holds for 30 min, and 64 KiB over the slowest
/// modem take less.
const FETCH_WITHIN: Duration = Duration::from_secs(60);
/// The time beyond a task's own bound before the task counts as lost.
const GRACE: Duration = Duration::from_secs(15);
/// How long checking alone may take: the largest file takes seconds on the smallest box,
/// reading the files beside it less. A later result is dropped.
const CHECK_WITHIN: Duration = Duration::from_secs(60);
/// How long checking, storing and applying may take; ports that are closed wait for their
/// last answer.
const ADOPT_WITHIN: Duration = Duration::from_secs(120);
/// How many downloads of one file are tried before it is given up.
const TRIES: u32 = 4;
/// How often the platform is asked for its file, if it does not answer.
const ASKS: u32 = 4;
/// How many answers and log events may wait: as many as answers to orders; each has an id
/// of 64 bytes at most.
const WAITING: usize = 512;
/// The first and longest wait after a failure.
const RETRY: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// What the engine wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum RemoteAction {
    /// Ask the platform which file there is; then [`RemoteConfiguration::on_get_answered`]
    /// or [`RemoteConfiguration::on_get_lost`].
    Get,
    /// Answer a push.
    Answer(Vec<u8>),
    /// Start a remote task outside the engine.
    Task(RemoteTask),
    /// Report this log event to the operator.
    LogEvent(RemoteConfigLogEvent),
}

/// A file that was announced, and the push that the outcome answers.
#[derive(Clone, Debug)]
struct PendingPush {
    /// The id of the push; `None` for the answer to our request.
    id: Option<serde_json::Value>,
    file: AnnouncedFile,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AdoptionStage {
    Fetching { until: Mono },
    Resting { until: Mono },
    Adopting { until: Mono },
}

#[derive(Clone, Debug)]
struct Adoption {
    push: PendingPush,
    serial: u64,
    tries: u32,
    stage: AdoptionStage,
}

/// The state of our request after the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StartupRequest {
    Wanted { not_before: Mono },
    UnderWay,
    Over,
}

/// The engine.
#[derive(Clone, Debug)]
pub struct RemoteConfiguration {
    policy: RemotePolicy,
    rng: Rng,
    link: bool,
    get: StartupRequest,
    asked: u32,
    work: Option<Adoption>,
    next: Option<PendingPush>,
    probation: Option<Probation>,
    /// What the platform is told as soon as there is a connection.
    retracted: Vec<Retraction>,
    serial: u64,
    /// The waits between downloads of the file at work.
    backoff: Backoff,
    not_enabled: RateLimit,
    /// The last file refused, so that a repeated refusal is counted and not reported.
    refused: Option<(Option<Digest>, u32)>,
    refused_again: RateLimit,
    /// The last refusal that was reported.
    refusal: Option<(String, AdoptionRefusal)>,
    out: VecDeque<RemoteAction>,
    /// How many answers and log events `out` had no room for.
    dropped: u64,
}

impl RemoteConfiguration {
    /// Returns an engine that knows of no push and has made no request.
    #[must_use]
    pub fn new(policy: &RemotePolicy, rng: Rng, now: Now) -> Self {
        RemoteConfiguration {
            policy: policy.clone(),
            rng,
            link: false,
            get: StartupRequest::Wanted {
                not_before: now.mono,
            },
            asked: 0,
            work: None,
            next: None,
            probation: None,
            retracted: policy.retracted.clone(),
            serial: 0,
            backoff: Backoff::new(RETRY.0, RETRY.1),
            not_enabled: RateLimit::default(),
            refused: None,
            refused_again: RateLimit::default(),
            refusal: None,
            out: VecDeque::new(),
            dropped: 0,
        }
    }

    // --- events ------------------------------------------------------------

    /// Takes note of a connection.
    pub fn link_up(&mut self) {
        self.link = true;
        if let Some(probation) = &mut self.probation {
            probation.link_up();
        }
        self.retract();
    }

    /// Takes note that the connection is gone: pushes on it can no longer be answered. A
    /// file at work stays at work.
    pub fn link_down(&mut self, now: Now) {
        self.link = false;
        if let Some(probation) = &mut self.probation {
            probation.link_down(now.mono);
        }
        if self.get == StartupRequest::UnderWay {
            self.get = StartupRequest::Wanted {
                not_before: now.mono,
            };
        }
        self.out
            .retain(|step| !matches!(step, RemoteAction::Answer(_)));
    }

    /// Takes a push of the platform.
    pub fn on_push(&mut self, now: Now, pushed: RemotePush) {
        let RemotePush { id, file } = pushed;
        if !self.policy.enabled {
            if let Some(times) = self.not_enabled.hit(now.mono, 1) {
                self.tell(RemoteConfigLogEvent::NotEnabled { times });
            }
            return self.answer(id.as_ref(), Some(&AdoptionRefusal::NotEnabled));
        }
        match file {
            Ok(file) => self.take(now, PendingPush { id, file }),
            Err(why) => self.refuse(now, id.as_ref(), None, AdoptionRefusal::Malformed(why)),
        }
    }

    /// Takes the answer to [`RemoteAction::Get`]: a code, and the file if there is one.
    pub fn on_get_answered(
        &mut self,
        now: Now,
        code: Code,
        file: Result<AnnouncedFile, &'static str>,
    ) {
        match (code, file) {
            _ if !self.policy.enabled => self.get = StartupRequest::Over,
            (Code(200), Ok(file)) => {
                self.get = StartupRequest::Over;
                self.take(now, PendingPush { id: None, file });
            }
            (Code(200), Err(why)) => {
                self.get = StartupRequest::Over;
                self.refuse(now, None, None, AdoptionRefusal::Malformed(why));
            }
            // The platform has none (6710), or the product's switch is off (6713).
            (Code(6710 | 6713), _) => {
                self.get = StartupRequest::Over;
                self.tell(RemoteConfigLogEvent::NothingThere { code });
            }
            _ => self.on_get_lost(now),
        }
    }

    /// Takes note that no answer came in time, or one that means trouble.
    pub fn on_get_lost(&mut self, now: Now) {
        self.get = match self.asked {
            // A push still arrives without a request.
            ASKS.. => StartupRequest::Over,
            n => StartupRequest::Wanted {
                not_before: now.mono + self.rng.jitter(RETRY.0 * 2u32.saturating_pow(n)),
            },
        };
    }

    /// Takes note that a remote task has ended. A task that is no longer waited for is
    /// ignored, except an adoption that took effect after it was answered as overdue: that
    /// is undone.
    pub fn on_done(&mut self, now: Now, done: RemoteResult) {
        if let RemoteResult::Concluded { serial, result } = done {
            return self.concluded(now, serial, &result);
        }
        let Some(work) = self.work.take_if(|work| work.serial == done.serial()) else {
            if let RemoteResult::Adopted {
                result: Ok(digest), ..
            } = done
            {
                self.begin_probation(now, String::new(), digest);
                self.decide(now, AdoptionResult::Withdrawn);
            }
            return;
        };
        match (done, work.stage) {
            (RemoteResult::Fetched { result, .. }, AdoptionStage::Fetching { .. }) => {
                self.fetched(now, work, result);
            }
            (RemoteResult::Adopted { result, .. }, AdoptionStage::Adopting { .. }) => {
                let file = &work.push.file;
                match result {
                    Ok(digest) => {
                        self.refused = None;
                        self.tell(RemoteConfigLogEvent::Adopted {
                            config_id: file.config_id.clone(),
                            digest,
                            probation: self.policy.probation,
                        });
                        self.begin_probation(now, file.config_id.clone(), digest);
                        self.answer(work.push.id.as_ref(), None);
                    }
                    Err(why) => self.refuse_push(now, &work.push, AdoptionRefusal::Wrong(why)),
                }
            }
            // The result belongs to another stage: the file goes on waiting.
            (
                RemoteResult::Fetched { .. }
                | RemoteResult::Adopted { .. }
                | RemoteResult::Concluded { .. },
                _,
            ) => {
                self.work = Some(work);
            }
        }
        self.go_on(now);
    }

    // --- probation -----------------------------------------------------------

    /// Begins the probation of the file that is in force. A file that was on probation is
    /// gone by now: this file has taken its place, and both have the same file before them.
    fn begin_probation(&mut self, now: Now, config_id: String, digest: Digest) {
        self.policy.in_force = Some(digest);
        self.probation = Some(Probation::new(
            config_id,
            digest,
            now.mono,
            self.policy.probation,
            self.link,
        ));
    }

    fn decide(&mut self, now: Now, verdict: AdoptionResult) {
        if let Some(probation) = &mut self.probation {
            probation.decide(now.mono, verdict);
        }
    }

    fn concluded(&mut self, now: Now, serial: u64, result: &Result<(), String>) {
        let concluded = |probation: &mut Probation| probation.is_concluded_by(serial).is_some();
        let Some(mut probation) = self.probation.take_if(concluded) else {
            return;
        };
        let verdict = probation.is_concluded_by(serial);
        match result {
            Ok(()) => {
                if verdict == Some(AdoptionResult::Proven) {
                    self.tell(RemoteConfigLogEvent::Proven {
                        config_id: probation.config_id().to_owned(),
                        digest: probation.digest(),
                    });
                }
            }
            Err(why) => {
                self.tell(RemoteConfigLogEvent::NotSettled {
                    config_id: probation.config_id().to_owned(),
                    why: why.clone(),
                });
                probation.not_concluded(now.mono);
                self.probation = Some(probation);
            }
        }
        self.go_on(now);
    }

    /// Hands out the decision about the file on probation, if it is time. Not while another
    /// file is being adopted: that file would take its place.
    fn conclude(&mut self, now: Now) -> bool {
        if self.is_adopting() {
            return false;
        }
        let serial = self.serial + 1;
        let Some(probation) = &mut self.probation else {
            return false;
        };
        let Some(verdict) = probation.take(now.mono, serial) else {
            return false;
        };
        self.serial = serial;
        self.out.push_back(RemoteAction::Task(RemoteTask::Conclude {
            serial,
            digest: probation.digest(),
            verdict,
        }));
        true
    }

    /// Answers pushes again whose files were adopted and have failed since. The platform
    /// documents one reply to a push and no other way to report that.
    fn retract(&mut self) {
        if !self.link {
            return;
        }
        for Retraction { push, failure } in std::mem::take(&mut self.retracted) {
            let id: Option<serde_json::Value> = serde_json::from_str(&push).ok();
            self.answer(id.as_ref(), Some(&AdoptionRefusal::FailedBefore(failure)));
        }
    }

    fn is_adopting(&self) -> bool {
        let adopts = |work: &Adoption| matches!(work.stage, AdoptionStage::Adopting { .. });
        self.work.as_ref().is_some_and(adopts)
    }

    /// Uses another policy from now on.
    pub fn respec(&mut self, now: Now, policy: &RemotePolicy) {
        let before = std::mem::replace(&mut self.policy, policy.clone());
        self.retracted.extend(policy.retracted.iter().cloned());
        self.retract();
        if policy.enabled && !before.enabled {
            self.not_enabled.over();
            self.asked = 0;
            self.get = StartupRequest::Wanted {
                not_before: now.mono,
            };
        }
        if !policy.enabled {
            for push in self.next.take().into_iter().chain(self.end_work()) {
                self.answer(push.id.as_ref(), Some(&AdoptionRefusal::NotEnabled));
            }
            // The file is out of force, and proves nothing any more.
            self.decide(now, AdoptionResult::Withdrawn);
        }
    }

    // --- output and time -----------------------------------------------------

    /// Returns the next thing to do.
    pub fn poll(&mut self, now: Now) -> Option<RemoteAction> {
        if self.out.is_empty() {
            self.on_time(now);
        }
        self.out.pop_front()
    }

    /// Returns when to poll again although nothing has happened.
    #[must_use]
    pub fn wake_at(&self) -> Option<Wake> {
        if !self.out.is_empty() {
            return Some(Wake::new(Mono::START, "remote configuration"));
        }
        let get = match self.get {
            StartupRequest::Wanted { not_before } if self.pending() => {
                Some(Wake::new(not_before, "asking for the remote configuration"))
            }
            StartupRequest::Wanted { .. } | StartupRequest::UnderWay | StartupRequest::Over => None,
        };
        let work = self.work.as_ref().map(|work| match work.stage {
            AdoptionStage::Fetching { until } => Wake::new(until, "download overdue"),
            AdoptionStage::Resting { until } => Wake::new(until, "download tried again"),
            AdoptionStage::Adopting { until } => Wake::new(until, "adoption overdue"),
        });
        let probation = self.probation.as_ref().filter(|_| !self.is_adopting());
        let probation = probation.and_then(Probation::due);
        let probation = probation.map(|at| Wake::new(at, "end of probation"));
        let sums = [self.not_enabled.due(), self.refused_again.due()];
        let sum = sums.into_iter().flatten().min();
        let sum = sum.map(|at| Wake::new(at, "sums held back"));
        Wake::earlier(Wake::earlier(Wake::earlier(get, work), probation), sum)
    }

    /// Reports refusals that were held back, if it is time.
    fn sum_up(&mut self, now: Now) {
        if let Some(sum) = self.not_enabled.take_due(now.mono) {
            self.tell(RemoteConfigLogEvent::NotEnabled { times: sum.untold });
        }
        if let Some(sum) = self.refused_again.take_due(now.mono) {
            self.tell_refused(sum.untold);
        }
    }

    fn tell_refused(&mut self, times: u64) {
        if let Some((config_id, refusal)) = self.refusal.clone() {
            self.tell(RemoteConfigLogEvent::Refused {
                config_id,
                refusal,
                times,
            });
        }
    }

    fn pending(&self) -> bool {
        self.policy.enabled && self.link
    }

    fn on_time(&mut self, now: Now) {
        self.sum_up(now);
        if let StartupRequest::Wanted { not_before } = self.get
            && self.pending()
            && not_before <= now.mono
        {
            self.asked += 1;
            self.get = StartupRequest::UnderWay;
            self.out.push_back(RemoteAction::Get);
            return;
        }
        if self.conclude(now) {
            return;
        }
        let Some(stage) = self.work.as_ref().map(|work| work.stage) else {
            return;
        };
        match stage {
            AdoptionStage::Fetching { until } if until <= now.mono => {
                if let Some(work) = self.work.take() {
                    let why = FetchFailure::Failed("no outcome in time".into());
                    self.fetched(now, work, Err(why));
                    self.go_on(now);
                }
            }
            AdoptionStage::Resting { until } if until <= now.mono => self.fetch(now),
            AdoptionStage::Adopting { until } if until <= now.mono => {
                if let Some(push) = self.end_work() {
                    self.refuse_push(now, &push, AdoptionRefusal::Overdue);
                    self.go_on(now);
                }
            }
            AdoptionStage::Fetching { .. }
            | AdoptionStage::Resting { .. }
            | AdoptionStage::Adopting { .. } => {}
        }
    }

    // --- one file ------------------------------------------------------------

    /// Takes a file that is to be in force: nothing to do, at once, or after the file at
    /// work.
    fn take(&mut self, now: Now, push: PendingPush) {
        if let Some(older) = self.next.replace(push) {
            self.answer(older.id.as_ref(), Some(&AdoptionRefusal::Superseded));
        }
        // A file that rests between downloads is not worth waiting for.
        let resting = |work: &mut Adoption| matches!(work.stage, AdoptionStage::Resting { .. });
        if let Some(older) = self.work.take_if(resting) {
            self.answer(older.push.id.as_ref(), Some(&AdoptionRefusal::Superseded));
        }
        self.go_on(now);
    }

    /// Starts the work on the file that waits, if none is at work.
    fn go_on(&mut self, now: Now) {
        if self.work.is_some() {
            return;
        }
        let Some(push) = self.next.take() else {
            return;
        };
        let file = &push.file;
        if self.policy.in_force == Some(file.digest) {
            self.refused = None;
            self.tell(RemoteConfigLogEvent::InForceAlready {
                config_id: file.config_id.clone(),
            });
            return self.answer(push.id.as_ref(), None);
        }
        let failed = self.policy.failed.iter().rev();
        let mut failed = failed.filter(|failed| failed.digest == file.digest);
        if let Some(failed) = failed.next() {
            return self.refuse_push(now, &push, AdoptionRefusal::FailedBefore(failed.failure));
        }
        if file.size.is_some_and(|size| size > self.most()) {
            let refusal = AdoptionRefusal::TooLarge { most: self.most() };
            return self.refuse_push(now, &push, refusal);
        }
        self.backoff.reset();
        self.work = Some(Adoption {
            push,
            serial: self.serial,
            tries: 0,
            stage: AdoptionStage::Resting { until: now.mono },
        });
        self.fetch(now);
    }

    fn most(&self) -> u64 {
        self.policy.max_bytes as u64
    }

    fn fetch(&mut self, now: Now) {
        let most = self.most();
        let Some(work) = &mut self.work else {
            return;
        };
        self.serial += 1;
        work.serial = self.serial;
        work.tries += 1;
        work.stage = AdoptionStage::Fetching {
            until: now.mono + FETCH_WITHIN + GRACE,
        };
        self.out.push_back(RemoteAction::Task(RemoteTask::Fetch {
            serial: self.serial,
            url: work.push.file.url.clone(),
            at_most: work.push.file.size.unwrap_or(most).min(most),
            within: FETCH_WITHIN,
        }));
    }

    fn fetched(&mut self, now: Now, mut work: Adoption, result: Result<FileContent, FetchFailure>) {
        let file = &work.push.file;
        let got = match &result {
            // A newer file was pushed: this one is no longer wanted.
            _ if self.next.is_some() => Err(AdoptionRefusal::Superseded),
            Ok(content) => compare(file, content),
            Err(FetchFailure::TooLarge) => match file.size {
                Some(said) if said <= self.most() => Err(AdoptionRefusal::Longer { said }),
                Some(_) | None => Err(AdoptionRefusal::TooLarge { most: self.most() }),
            },
            Err(FetchFailure::Refused(why)) => Err(AdoptionRefusal::Download(why.clone())),
            Err(FetchFailure::Failed(why)) if work.tries >= TRIES => {
                Err(AdoptionRefusal::Download(why.clone()))
            }
            Err(FetchFailure::Failed(why)) => {
                let wait = self.backoff.failed(now.mono, &mut self.rng);
                self.tell(RemoteConfigLogEvent::DownloadFailed {
                    config_id: file.config_id.clone(),
                    why: why.clone(),
                    retry_in: wait,
                });
                work.stage = AdoptionStage::Resting {
                    until: now.mono + wait,
                };
                self.work = Some(work);
                return;
            }
        };
        match (got, result) {
            (Ok(()), Ok(content)) => {
                self.serial += 1;
                self.out.push_back(RemoteAction::Task(RemoteTask::Adopt {
                    serial: self.serial,
                    content,
                    push: work.push.id.as_ref().map(ToString::to_string),
                    within: CHECK_WITHIN,
                }));
                self.work = Some(Adoption {
                    serial: self.serial,
                    stage: AdoptionStage::Adopting {
                        until: now.mono + ADOPT_WITHIN,
                    },
                    ..work
                });
            }
            (Err(AdoptionRefusal::Superseded), _) => {
                self.answer(work.push.id.as_ref(), Some(&AdoptionRefusal::Superseded));
            }
            (Err(refusal), _) => self.refuse_push(now, &work.push, refusal),
            // `compare` is called with a content only.
            (Ok(()), Err(_)) => {}
        }
    }

    fn end_work(&mut self) -> Option<PendingPush> {
        self.work.take().map(|work| work.push)
    }

    fn refuse_push(&mut self, now: Now, push: &PendingPush, refusal: AdoptionRefusal) {
        self.refuse(now, push.id.as_ref(), Some(&push.file), refusal);
    }

    fn refuse(
        &mut self,
        now: Now,
        id: Option<&serde_json::Value>,
        file: Option<&AnnouncedFile>,
        refusal: AdoptionRefusal,
    ) {
        self.answer(id, Some(&refusal));
        let which = (file.map(|f| f.digest), refusal.code());
        if self.refused.replace(which) != Some(which) {
            let untold = self.refused_again.over();
            if untold > 0 {
                self.tell_refused(untold);
            }
        }
        let config_id = file.map(|f| f.config_id.clone());
        self.refusal = Some((config_id.unwrap_or_default(), refusal));
        if let Some(times) = self.refused_again.hit(now.mono, 1) {
            self.tell_refused(times);
        }
    }

    /// Answers a push; a push without an id gets no answer.
    fn answer(&mut self, id: Option<&serde_json::Value>, refusal: Option<&AdoptionRefusal>) {
        if let Some(id) = id.filter(|_| self.link) {
            let answer = match refusal {
                None => RemotePush::answer(id, 200, "success"),
                Some(refusal) => RemotePush::answer(id, refusal.code(), &refusal.short()),
            };
            self.say(RemoteAction::Answer(answer));
        }
    }

    fn tell(&mut self, notice: RemoteConfigLogEvent) {
        self.say(RemoteAction::LogEvent(notice));
    }

    /// Queues an answer or a log event, unless too many wait: a platform may push faster
    /// than the gateway may answer. The newest is dropped, and counted.
    fn say(&mut self, step: RemoteAction) {
        if self.out.len() < WAITING {
            self.out.push_back(step);
        } else {
            self.dropped += 1;
        }
    }

    /// Returns how many answers and log events were dropped since the last call, because
    /// too many waited.
    pub(crate) fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }
}

/// Checks that the content is the file that was announced.
fn compare(file: &AnnouncedFile, content: &FileContent) -> Result<(), AdoptionRefusal> {
    let got = content.bytes().len() as u64;
    match file.size {
        Some(said) if said != got => Err(AdoptionRefusal::Size { said, got }),
        _ if Digest::of(content.bytes()) != file.digest => Err(AdoptionRefusal::Digest),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
