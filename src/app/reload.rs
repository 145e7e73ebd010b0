//! The configuration loaded anew, because a person wants it: read, judged, and put into
//! force or refused.
//!
//! A thread that may block reads the files, and the service waits for a bounded time: a
//! file system that does not answer (NFS, FUSE) would otherwise keep the service from all
//! its other requests. A result that comes later is dropped, and until it has come no other
//! configuration is read.
//!
//! A configuration that is right and yet leaves out many devices is refused unless the
//! operator says that this is meant. Such a configuration may be a table that was cut
//! short, or a file that is still being written, and each device that is left out is logged
//! out.

use std::path::Path;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::service::Service;
use super::{take, tell_refused, too_many_identities};
use crate::app::events::ServiceEvent;
use crate::base::LogEvent;
use crate::base::text::excerpt;
use crate::config::{self, Report, Severity};
use crate::control::{Problem, Reloaded};
use crate::io::files::settings;
use crate::io::files::settings::Loaded;
use crate::io::log::Journal;

/// How long loading may take. The largest configuration takes a second to load on a desktop
/// and ten on a small board; a client of the control socket waits for two minutes.
const LOADED_WITHIN: Duration = Duration::from_secs(30);

/// How many bytes of the first error the status shows.
const FIRST_ERROR: usize = 160;

/// Loads configurations, one at a time.
#[derive(Default)]
pub(super) struct Reload {
    /// A load that was not finished in time, and may never be.
    late: Option<JoinHandle<Result<Loaded, Report>>>,
}

/// Why there is no configuration to judge.
#[derive(Clone, Debug, PartialEq, Eq)]
enum NotLoaded {
    /// Loading takes longer than [`LOADED_WITHIN`], or an earlier load does.
    Late,
    /// The thread has ended without a result.
    Failed(String),
}

impl Reload {
    /// Loads the configuration anew. A wrong configuration changes nothing, and neither does
    /// one that leaves out more than a third of the devices, unless this is `meant`.
    pub(super) async fn run(
        &mut self,
        service: &mut Service,
        config: &Path,
        meant: bool,
        journal: &Journal,
    ) -> Reloaded {
        let reloaded = self.judged(service, config, meant, journal).await;
        if reloaded.changed.is_none() {
            service.refused(first_error(&reloaded.problems));
        }
        reloaded
    }

    async fn judged(
        &mut self,
        service: &mut Service,
        config: &Path,
        meant: bool,
        journal: &Journal,
    ) -> Reloaded {
        let path = config.to_owned();
        let loaded = match self.load(move || settings::load(&path)).await {
            Ok(Ok(loaded)) => loaded,
            Ok(Err(report)) => {
                tell_refused(&report, journal);
                return Reloaded {
                    changed: None,
                    problems: problems(&report),
                };
            }
            Err(NotLoaded::Late) => {
                let within = LOADED_WITHIN;
                return refused(&ServiceEvent::ReloadTooSlow { within }, Vec::new(), journal);
            }
            Err(NotLoaded::Failed(text)) => {
                let problem = Problem { error: true, text };
                return Reloaded {
                    changed: None,
                    problems: vec![problem],
                };
            }
        };
        if let Some(report) = too_many_identities(service.spec(), &loaded.spec, config) {
            tell_refused(&report, journal);
            return Reloaded {
                changed: None,
                problems: problems(&report),
            };
        }
        let mut problems = problems(&loaded.warnings);
        let (leaving, of) = service.spec().leaving(&loaded.spec);
        if is_many(leaving, of) && !meant {
            let notice = ServiceEvent::ReloadHeldBack { leaving, of };
            return refused(&notice, problems, journal);
        }
        let (changed, closed) = take(service, loaded, journal).await;
        problems.extend(closed.iter().map(|door| Problem {
            error: true,
            text: door.sentence(),
        }));
        Reloaded {
            changed: Some(changed),
            problems,
        }
    }

    /// Returns the result of `load`, if it comes in time.
    async fn load(
        &mut self,
        load: impl FnOnce() -> Result<Loaded, Report> + Send + 'static,
    ) -> Result<Result<Loaded, Report>, NotLoaded> {
        if self.late.take_if(|late| late.is_finished()).is_none() && self.late.is_some() {
            return Err(NotLoaded::Late);
        }
        let mut loading = tokio::task::spawn_blocking(load);
        match tokio::time::timeout(LOADED_WITHIN, &mut loading).await {
            Ok(Ok(loaded)) => Ok(loaded),
            Ok(Err(e)) => Err(NotLoaded::Failed(e.to_string())),
            Err(_) => {
                self.late = Some(loading);
                Err(NotLoaded::Late)
            }
        }
    }
}

/// Returns whether so many of so many devices are more than a third. A single device is not
/// many: that is how a device is taken out, and of two or of three it is a third at least.
pub(super) const fn is_many(leaving: usize, of: usize) -> bool {
    leaving > 1 && leaving.saturating_mul(3) > of
}

fn refused(notice: &ServiceEvent, mut problems: Vec<Problem>, journal: &Journal) -> Reloaded {
    journal.tell(notice);
    problems.push(Problem {
        error: true,
        text: notice.sentence(),
    });
    Reloaded {
        changed: None,
        problems,
    }
}

/// Returns the first error in one line, and how many more there are.
fn first_error(problems: &[Problem]) -> String {
    let errors: Vec<&Problem> = problems.iter().filter(|p| p.error).collect();
    let Some(first) = errors.first() else {
        return "the reason is in the journal".to_owned();
    };
    let words: Vec<&str> = first.text.split_whitespace().collect();
    let first = excerpt(words.join(" ").as_bytes(), FIRST_ERROR);
    match errors.len() - 1 {
        0 => first,
        more => format!("{first} (and {more} more)"),
    }
}

/// Returns the problems that are shown singly, and how many more there are.
fn problems(report: &Report) -> Vec<Problem> {
    let told = |problem: &config::Problem| Problem {
        error: problem.severity == Severity::Error,
        text: problem.to_string(),
    };
    let rest = report.rest().map(|rest| Problem {
        error: false,
        text: format!("{rest}\n"),
    });
    report.problems().iter().map(told).chain(rest).collect()
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::sync::mpsc;

    use super::*;
    use crate::base::DeviceName;
    use crate::field::test_spec::{installation, profile, tcp};
    use crate::spec::{DeviceSpec, MOST_IDENTITIES, Spec};

    fn with_devices(numbers: Range<usize>) -> Spec {
        let mut spec = installation(tcp(), vec![profile(Vec::new())]);
        let one = spec.devices[0].clone();
        let named = |n| DeviceSpec {
            device_name: DeviceName::new(&format!("device-{n}")),
            ..one.clone()
        };
        spec.devices = numbers.map(named).collect();
        spec
    }

    #[test]
    fn ever_new_devices_do_not_take_memory_without_end() {
        let old = with_devices(0..MOST_IDENTITIES);
        let file = Path::new("gateway.yaml");
        assert!(too_many_identities(&old, &with_devices(5..100), file).is_none());
        let more = with_devices(MOST_IDENTITIES - 1..MOST_IDENTITIES + 1);
        let report = too_many_identities(&old, &more, file).unwrap();
        let problem = &report.problems()[0];
        assert_eq!(
            problem.said,
            "10001 different devices since the service was started"
        );
        assert!(problem.hint.as_ref().is_some_and(|h| h.contains("restart")));
    }

    fn wrong() -> Result<Loaded, Report> {
        Err(Report::default())
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_system_that_does_not_answer_is_not_waited_for_and_holds_one_thread() {
        let mut reload = Reload::default();
        let (answer, answers) = mpsc::channel::<()>();
        let hangs = move || {
            let _ = answers.recv();
            wrong()
        };
        let late = async {
            let loading = reload.load(hangs);
            let passing = tokio::time::advance(LOADED_WITHIN + Duration::from_millis(1));
            tokio::join!(biased; loading, passing).0
        };
        assert_eq!(late.await.err(), Some(NotLoaded::Late));
        // The second load does not begin at all.
        let begun = reload.load(|| panic!("a second thread")).await;
        assert_eq!(begun.err(), Some(NotLoaded::Late));
        drop(answer);
        while reload.late.as_ref().is_some_and(|late| !late.is_finished()) {
            tokio::task::yield_now().await;
        }
        assert!(reload.load(wrong).await.is_ok_and(|loaded| loaded.is_err()));
    }

    #[test]
    fn more_than_a_third_are_many() {
        for (leaving, of, many) in [
            (0, 0, false),
            (0, 5, false),
            (1, 1, false),
            (1, 2, false),
            (2, 2, true),
            (2, 6, false),
            (2, 5, true),
            (666, 2000, false),
            (667, 2000, true),
        ] {
            assert_eq!(is_many(leaving, of), many, "{leaving} of {of}");
        }
    }
}
