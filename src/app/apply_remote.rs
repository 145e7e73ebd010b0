//! A configuration from the platform put into force, on probation, and out of it.
//!
//! The file is stored as one on trial, checked, promoted to the candidate, and applied, in
//! this order ([`remote_config`] says what each name on disk means). Whatever ends the process
//! after the first step, the next start finds the file and leaves it out. A check that
//! takes too long is given up: its result is dropped, because only the task that has waited
//! for the check stores or applies anything.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::service::Service;
use super::{take, tell_refused, too_many_identities};
use crate::app::events::ServiceEvent;
use crate::base::{Digest, LogEvent};
use crate::cloud::remote_config::{AdoptionResult, FileContent, NotAdopted};
use crate::cloud::{RemoteResult, RemoteTask};
use crate::config::{Report, Severity};
use crate::io::files::settings;
use crate::io::files::settings::{Loaded, RemoteMismatch};
use crate::io::log::Journal;
use crate::io::store::remote_config;
use crate::io::store::remote_config::FailedFile;
use crate::spec::{RemotePolicy, TrialFailure};

/// The reply to the platform when the fault is here and not in its file.
const NOT_OF_THE_FILE: &str =
    "it does not fit the gateway's own files; the gateway's journal says why";
/// The reply to the platform when the file cannot be stored.
const NOT_STORED: &str = "it cannot be stored; the gateway's journal says why";

/// Carries out the decisions about the platform's configuration.
pub(super) struct RemoteConfigApplier {
    config: PathBuf,
    /// The state directory that was used last.
    home: PathBuf,
    /// Whether a check still runs, even when no task waits for it any more.
    checking: Arc<AtomicBool>,
}

impl RemoteConfigApplier {
    pub(super) fn new(config: &Path, state_dir: &Path) -> Self {
        RemoteConfigApplier {
            config: config.to_owned(),
            home: state_dir.to_owned(),
            checking: Arc::default(),
        }
    }

    /// At a start: a configuration that did not prove itself in the run before has ended that
    /// run, and is refused from now on. The configuration is not parsed.
    pub(super) fn begin(&self, loaded: &mut Loaded) -> Vec<ServiceEvent> {
        let failed = remote_config::fail(&self.home, TrialFailure::Died);
        let known = &mut loaded.spec.cloud.remote.failed;
        known.extend(failed.iter().filter_map(|failed| failed.trial));
        let retracted = &mut loaded.spec.cloud.remote.retracted;
        retracted.extend(failed.iter().filter_map(FailedFile::retraction));
        failed.into_iter().map(remote_failed).collect()
    }

    /// Ends a probation without a verdict, when the service is asked to stop. The gateway asks
    /// the platform for its file at the next start.
    pub(super) fn withdraw(&self, journal: &Journal) {
        if !remote_config::is_unproven(&self.home) {
            return;
        }
        if let Err(e) = remote_config::withdraw(&self.home) {
            journal.tell(&ServiceEvent::RemoteFailed {
                digest: None,
                failure: TrialFailure::Died,
                kept: Err(e.to_string()),
            });
        }
    }

    /// Carries out a remote task and reports the result to the coordinator.
    pub(super) async fn run(
        &mut self,
        service: &mut Service,
        remote_task: RemoteTask,
        journal: &Journal,
    ) {
        let done = match remote_task {
            // The service itself fetches files.
            RemoteTask::Fetch { .. } => return,
            RemoteTask::Adopt {
                serial,
                content,
                push,
                within,
            } => {
                let trial = Trial { content, push };
                let result = self.adopt(service, trial, within, journal).await;
                RemoteResult::Adopted { serial, result }
            }
            RemoteTask::Conclude {
                serial,
                digest,
                verdict,
            } => {
                let result = self.conclude(service, digest, verdict, journal).await;
                RemoteResult::Concluded { serial, result }
            }
        };
        service.done(done).await;
    }

    /// Checks the file with the gateway's own files as they are now, and applies it.
    async fn adopt(
        &mut self,
        service: &mut Service,
        trial: Trial,
        within: Duration,
        journal: &Journal,
    ) -> Result<Digest, NotAdopted> {
        let digest = Digest::of(trial.content.bytes());
        if self.checking.swap(true, Ordering::SeqCst) {
            return Err(NotAdopted::openly(
                "the check of an earlier one has not ended",
            ));
        }
        let over = CheckOver::default();
        let check = Check {
            config: self.config.clone(),
            trial,
            over: over.0.clone(),
            running: Running(self.checking.clone()),
        };
        let mut checking = tokio::task::spawn_blocking(move || check.run());
        let checked = match tokio::time::timeout(within, &mut checking).await {
            // The check ended at the very last moment.
            Err(_) if over.0.swap(true, Ordering::SeqCst) => checking.await,
            Err(_) => Ok(Err(TrialRefusal::TooSlow)),
            Ok(checked) => checked,
        };
        let checked = checked.unwrap_or_else(|e| Err(TrialRefusal::Broken(e.to_string())));
        let (home, loaded) = checked.map_err(|unfit| unfit.told(journal))?;
        if let Some(report) = too_many_identities(service.spec(), &loaded.spec, &self.config) {
            let unfit = match remote_config::give_up(&home) {
                Ok(()) => TrialRefusal::Wrong(report),
                Err(e) => TrialRefusal::NotStored(e.to_string()),
            };
            return Err(unfit.told(journal));
        }
        let promoted = remote_config::promote(&home);
        if let Err(e) = promoted {
            return Err(TrialRefusal::NotStored(e.to_string()).told(journal));
        }
        self.home = home;
        take(service, *loaded, journal).await;
        Ok(digest)
    }

    async fn conclude(
        &self,
        service: &mut Service,
        digest: Digest,
        verdict: AdoptionResult,
        journal: &Journal,
    ) -> Result<(), String> {
        let home = self.home.clone();
        match verdict {
            AdoptionResult::Proven => in_thread(move || remote_config::prove(&home, digest)).await,
            AdoptionResult::Withdrawn => {
                let withdrawn = in_thread(move || remote_config::withdraw(&home)).await;
                withdrawn.and(self.go_back(service, journal, |_| {}).await)
            }
            AdoptionResult::Failed(failure) => {
                let failing = move || Ok(remote_config::fail_candidate(&home, digest, failure));
                let Some(failed) = in_thread(failing).await? else {
                    return Ok(());
                };
                let kept = match &failed.kept {
                    Ok(_) => Ok(()),
                    Err(e) => Err(e.to_string()),
                };
                let (trial, retraction) = (failed.trial, failed.retraction());
                journal.tell(&remote_failed(failed));
                let back = self.go_back(service, journal, |policy| {
                    policy.failed.extend(trial);
                    policy.retracted.extend(retraction);
                });
                kept.and(back.await)
            }
        }
    }

    /// Goes on with the proven configuration. `known` notes what is known of the failed one.
    async fn go_back(
        &self,
        service: &mut Service,
        journal: &Journal,
        known: impl FnOnce(&mut RemotePolicy),
    ) -> Result<(), String> {
        let config = self.config.clone();
        let loading = tokio::task::spawn_blocking(move || settings::load_to_start(&config));
        match loading.await {
            Err(e) => Err(e.to_string()),
            Ok(Err(report)) => {
                tell_refused(&report, journal);
                Err("the gateway's own files are wrong".to_owned())
            }
            Ok(Ok((mut loaded, mismatch))) => {
                if let Some(mismatch) = mismatch {
                    set_aside(mismatch, &loaded.state_dir, journal);
                }
                known(&mut loaded.spec.cloud.remote);
                take(service, loaded, journal).await;
                Ok(())
            }
        }
    }
}

async fn in_thread<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, String> {
    let worked = tokio::task::spawn_blocking(work).await;
    worked
        .map_err(|e| e.to_string())?
        .map_err(|e| e.to_string())
}

/// Takes a file out of force that does not go together with the gateway's own files any
/// more.
pub(super) fn set_aside(mismatch: RemoteMismatch, state_dir: &Path, journal: &Journal) {
    let aside = remote_config::set_aside(state_dir).map_err(|e| e.to_string());
    journal.tell(&ServiceEvent::RemoteSetAside {
        file: mismatch.file,
        aside,
    });
    for notice in ServiceEvent::problems(&mismatch.report) {
        journal.tell(&notice);
    }
}

fn remote_failed(failed: FailedFile) -> ServiceEvent {
    let trial = failed.trial;
    ServiceEvent::RemoteFailed {
        digest: trial.map(|trial| trial.digest),
        failure: trial.map_or(TrialFailure::Died, |trial| trial.failure),
        kept: failed.kept.map_err(|e| e.to_string()),
    }
}

/// Whether the check or the wait for it has ended: the first of both sets it. A check that
/// ends second gives its file up.
#[derive(Default)]
struct CheckOver(Arc<AtomicBool>);

impl Drop for CheckOver {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Clears the mark of a running check when dropped, however the check ended.
struct Running(Arc<AtomicBool>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}

/// A file on trial, and the id of the push that brought it.
struct Trial {
    content: FileContent,
    push: Option<String>,
}

/// One check, in a thread that may block.
struct Check {
    config: PathBuf,
    trial: Trial,
    over: Arc<AtomicBool>,
    running: Running,
}

type Checked = Result<(PathBuf, Box<Loaded>), TrialRefusal>;

impl Check {
    fn run(self) -> Checked {
        let Some(home) = settings::remote_home(&self.config).map_err(TrialRefusal::Wrong)? else {
            return Err(TrialRefusal::NotEnabled);
        };
        if self.over.load(Ordering::SeqCst) {
            return Err(TrialRefusal::TooSlow);
        }
        // The file is stored before its first byte is parsed: if the parsing ends the process, the
        // next run knows the file.
        let Trial { content, push } = &self.trial;
        let begun = remote_config::begin(&home, content.bytes(), push.as_deref());
        begun.map_err(|e| TrialRefusal::NotStored(e.to_string()))?;
        let loaded = settings::load_with(&self.config, content);
        let ended = ended(&home, loaded, &self.over);
        drop(self.running);
        ended.map(|loaded| (home, loaded))
    }
}

/// Returns the result of a check, unless no task waits for it any more. A file that is not
/// adopted leaves no trace.
fn ended(
    home: &Path,
    loaded: Result<Loaded, Report>,
    over: &AtomicBool,
) -> Result<Box<Loaded>, TrialRefusal> {
    let wrong = match loaded {
        Ok(loaded) if loaded.remote.is_some() => {
            if !over.swap(true, Ordering::SeqCst) {
                return Ok(Box::new(loaded));
            }
            TrialRefusal::TooSlow
        }
        Ok(_) => TrialRefusal::NotEnabled,
        Err(report) => TrialRefusal::Wrong(report),
    };
    match remote_config::give_up(home) {
        Ok(()) => Err(wrong),
        Err(e) => Err(TrialRefusal::NotStored(e.to_string())),
    }
}

/// Why a file is not adopted.
enum TrialRefusal {
    Wrong(Report),
    NotEnabled,
    NotStored(String),
    TooSlow,
    Broken(String),
}

impl TrialRefusal {
    /// Writes the whole reason to the journal, and returns it in words for the platform.
    fn told(self, journal: &Journal) -> NotAdopted {
        match self {
            TrialRefusal::Wrong(report) => {
                tell_refused(&report, journal);
                NotAdopted {
                    said: for_the_platform(&report),
                    detail: in_short(&report),
                }
            }
            TrialRefusal::NotEnabled => {
                NotAdopted::openly("no longer enabled in the gateway's own files")
            }
            TrialRefusal::NotStored(why) => NotAdopted {
                said: NOT_STORED.into(),
                detail: format!("it cannot be stored: {why}"),
            },
            TrialRefusal::TooSlow => NotAdopted::openly("it was not checked in time"),
            TrialRefusal::Broken(why) => NotAdopted {
                said: NOT_STORED.into(),
                detail: why,
            },
        }
    }
}

/// Writes the first error in the platform's own file and how many more it has. Hints are
/// left out, because they may speak of the gateway's own files; errors in those files are
/// left out as well.
fn for_the_platform(report: &Report) -> String {
    let errors = || {
        let all = report.problems().iter();
        all.filter(|p| p.severity == Severity::Error && p.file.as_ref() == remote_config::FILE)
    };
    let Some(first) = errors().next() else {
        return NOT_OF_THE_FILE.into();
    };
    let mut first = first.clone();
    first.hint = None;
    let first = ServiceEvent::Problem(Box::new(first)).sentence();
    and_more(first, errors().count() - 1)
}

/// Writes the first error on one line, and how many more there are.
fn in_short(report: &Report) -> String {
    let mut errors = report.problems().iter();
    let Some(first) = errors.find(|p| p.severity == Severity::Error) else {
        return "the configuration is wrong".into();
    };
    let first = ServiceEvent::Problem(Box::new(first.clone())).sentence();
    and_more(first, report.errors() - 1)
}

fn and_more(first: String, more: usize) -> String {
    match more {
        0 => first,
        n => format!("{first}; and {n} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    const OWN: &str = "gateway: { product_key: a1GwDemoPk0, device_name: gw-0001, secret: s }
cloud: { url: 'mqtts://iot.example' }
state_dir: state
remote_config: { enabled: true }
";

    fn site() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("gateway.yaml");
        fs::write(&config, OWN).unwrap();
        fs::set_permissions(&config, Permissions::from_mode(0o600)).unwrap();
        let home = folder.path().join("state");
        (folder, config, home)
    }

    fn check(config: &Path, file: &str, over: bool) -> (Checked, Arc<AtomicBool>) {
        let checking = Arc::new(AtomicBool::new(true));
        let check = Check {
            config: config.to_owned(),
            trial: Trial {
                content: FileContent::new(file.as_bytes().to_vec()),
                push: None,
            },
            over: Arc::new(AtomicBool::new(over)),
            running: Running(checking.clone()),
        };
        (check.run(), checking)
    }

    #[test]
    fn a_file_is_on_disk_while_it_is_checked_and_stays_only_if_it_is_right() {
        let (_folder, config, home) = site();
        let (checked, checking) = check(&config, "devices: []", false);
        let (place, loaded) = checked.map_err(drop).unwrap();
        assert_eq!((place, loaded.remote.is_some()), (home.clone(), true));
        assert!(!checking.load(Ordering::SeqCst));
        assert!(home.join(remote_config::TRYING).exists());
        remote_config::promote(&home).unwrap();
        let (checked, checking) = check(&config, "devices: [", false);
        assert!(matches!(checked, Err(TrialRefusal::Wrong(_))));
        assert!(!checking.load(Ordering::SeqCst));
        assert!(!home.join(remote_config::TRYING).exists());
        assert!(
            home.join(remote_config::CANDIDATE).exists(),
            "that of the one before"
        );
    }

    #[test]
    fn what_cannot_be_noted_first_is_not_parsed() {
        let (_folder, config, home) = site();
        fs::write(&home, "no directory").unwrap();
        let (checked, _) = check(&config, "devices: [", false);
        assert!(matches!(checked, Err(TrialRefusal::NotStored(_))));
    }

    #[test]
    fn a_check_that_nothing_waits_for_stores_and_yields_nothing() {
        let (_folder, config, home) = site();
        // The wait is over before the check began.
        let (checked, _) = check(&config, "devices: []", true);
        assert!(matches!(checked, Err(TrialRefusal::TooSlow)));
        assert!(!home.exists());
        // The wait ends in the middle of the check.
        remote_config::begin(&home, b"devices: []", None).unwrap();
        let loaded = settings::load_with(&config, &FileContent::new(b"devices: []".to_vec()));
        let late = ended(&home, loaded, &AtomicBool::new(true));
        assert!(matches!(late, Err(TrialRefusal::TooSlow)));
        assert!(!remote_config::is_unproven(&home));
    }

    #[test]
    fn the_platform_is_told_of_its_own_file_alone() {
        let (_folder, config, _home) = site();
        let (wrong, _) = check(&config, "devices: [{ name: hunter2 }]", false);
        let Err(TrialRefusal::Wrong(report)) = wrong else {
            panic!("it is right");
        };
        let said = for_the_platform(&report);
        assert!(said.starts_with("remote.yaml:1:"), "{said}");
        assert!(!said.contains("hint"), "{said}");
        fs::write(&config, format!("{OWN}stop_within: hunter2\n")).unwrap();
        let (wrong, _) = check(&config, "devices: []", false);
        let Err(TrialRefusal::Wrong(report)) = wrong else {
            panic!("it is right");
        };
        assert_eq!(for_the_platform(&report), NOT_OF_THE_FILE);
        assert!(in_short(&report).contains("hunter2"));
    }
}
