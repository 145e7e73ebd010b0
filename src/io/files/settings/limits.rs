//! Checks whether a configuration can run within the limits of the unit: threads and open
//! files.
//!
//! A configuration that needs more passes every other check and then never starts, or starts
//! and cannot open the last ports. So it is an error of the configuration, at `check`, a start,
//! a reload and a configuration from the platform alike.
//!
//! **What is needed** is stated here and in no other place (`ResourceNeeds::of`):
//!
//! | | threads | open files |
//! |---|---|---|
//! | the service itself | `TASKS` | `FILES` |
//! | a serial port | 1: its own (`io/bus/port_thread.rs`) | `FILES_OF_SERIAL` |
//! | a port over TCP | 0: the main thread's | `FILES_OF_TCP` |
//!
//! **What is allowed**: for the running service, its own limits; for a person who runs `check`,
//! the limits of the installed unit, or of the shipped unit.

use std::time::Duration;

use rustix::process::{Resource, getrlimit};

use crate::base::text::counted;
use crate::config::{Problem, Severity, SourcePosition};
use crate::io::system::headroom;
use crate::io::system::headroom::BLOCKING;
use crate::io::system::program;
use crate::spec::{LineSpec, Spec};

/// How many threads and processes there are besides those of serial ports: the main thread,
/// [`BLOCKING`], and those that systemd runs in the same control group for a reload (`check`,
/// which runs `systemctl`, and `kill`).
const TASKS: u64 = 1 + BLOCKING as u64 + 7;

/// How many open files there are besides those of ports. Of the process itself: three standard
/// ones, the main runtime's four (epoll, its waker, two for signals), the journal and the
/// service manager. The link, twice while it changes over. Sixteen on the control socket and
/// thirty-two for metrics, with their listeners. Two for each thread that may block: a file and
/// its directory, or the sockets of a look-up. The rest is margin, and more than ports leave
/// alone (`io/system/headroom.rs`).
const FILES: u64 = 9 + 4 + 17 + 33 + 2 * BLOCKING as u64 + 65;

/// The open files of a serial port: its tty, twice while it is opened anew, and four of the
/// runtime on its thread (epoll, twice, its waker, signals), as counted in `/proc/PID/fd`.
const FILES_OF_SERIAL: u64 = 6;

/// The open files of a port over TCP: a connection, and one more while the next is being made.
const FILES_OF_TCP: u64 = 2;

/// `TasksMax=` of the unit as shipped.
const SHIPPED_TASKS: u64 = 256;

/// `LimitNOFILE=` of the unit as shipped.
const SHIPPED_FILES: u64 = 8192;

/// How long systemd is waited for: it answers within milliseconds if it answers.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// The largest output that is read: more is no answer of `systemctl show`, and no list of
/// control groups.
const LARGEST: u64 = 64 << 10;

/// Which limits a configuration is judged by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LimitsOf {
    /// No limits: the configuration is only looked at.
    #[default]
    Nothing,
    /// The limits of this process, which is the service.
    Process,
    /// The limits of the unit that will run the configuration.
    Unit,
    /// These limits.
    Given(Limits),
}

/// Limits and the unit that sets them. `None` is no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Threads and processes together.
    pub tasks: Option<u64>,
    /// Open files.
    pub files: Option<u64>,
    /// The unit that sets them.
    pub unit: String,
}

/// What a configuration needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ResourceNeeds {
    tasks: u64,
    files: u64,
}

impl ResourceNeeds {
    /// Returns the needs of the service with its first `ports` ports.
    fn of(spec: &Spec, ports: usize) -> ResourceNeeds {
        let own = ResourceNeeds {
            tasks: TASKS,
            files: FILES,
        };
        spec.ports.iter().take(ports).fold(own, |sum, port| {
            let (tasks, files) = match port.line {
                LineSpec::Serial(_) => (1, FILES_OF_SERIAL),
                LineSpec::Tcp(_) => (0, FILES_OF_TCP),
            };
            ResourceNeeds {
                tasks: sum.tasks + tasks,
                files: sum.files + files,
            }
        })
    }
}

impl LimitsOf {
    /// Returns the limits for the configuration that `unit` is given.
    pub(super) fn find(&self, unit: &str) -> Option<Limits> {
        match self {
            LimitsOf::Nothing => None,
            LimitsOf::Given(limits) => Some(limits.clone()),
            LimitsOf::Process => Some(Limits::of_process(unit)),
            // A reload checks within the unit, where it may not ask systemd.
            LimitsOf::Unit if headroom::groups().split('/').any(|part| part == unit) => {
                Some(Limits::of_process(unit))
            }
            LimitsOf::Unit => {
                Some(Limits::installed(unit).unwrap_or_else(|| Limits::shipped(unit)))
            }
        }
    }
}

impl Limits {
    fn shipped(unit: &str) -> Limits {
        Limits {
            tasks: Some(SHIPPED_TASKS),
            files: Some(SHIPPED_FILES),
            unit: unit.to_owned(),
        }
    }

    fn of_process(unit: &str) -> Limits {
        Limits {
            tasks: headroom::most_tasks(),
            files: getrlimit(Resource::Nofile).current,
            unit: unit.to_owned(),
        }
    }

    /// Returns the limits of the unit as it is installed, with its drop-ins.
    fn installed(unit: &str) -> Option<Limits> {
        // Otherwise systemd does not run here (sd_booted(3)).
        std::fs::symlink_metadata("/run/systemd/system").ok()?;
        Limits::parse_limits(&ask(unit)?, unit)
    }

    /// Returns the limits in the output of `systemctl show` for a unit that exists.
    fn parse_limits(text: &str, unit: &str) -> Option<Limits> {
        let property = |name: &str| {
            let mut values = text.lines().filter_map(|line| line.split_once('='));
            values.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        if property("LoadState") != Some("loaded") {
            return None;
        }
        // "infinity", or the largest number there is.
        let limit = |name| property(name)?.parse().ok().filter(|n| *n != u64::MAX);
        Some(Limits {
            tasks: limit("TasksMax"),
            files: limit("LimitNOFILESoft"),
            unit: unit.to_owned(),
        })
    }
}

/// Returns what is wrong with the configuration under these limits.
pub(super) fn check(spec: &Spec, positions: &[SourcePosition], limits: &Limits) -> Vec<Problem> {
    let all = ResourceNeeds::of(spec, spec.ports.len());
    let serial = spec
        .ports
        .iter()
        .filter(|p| matches!(p.line, LineSpec::Serial(_)));
    let serial = serial.count();
    let over = spec.ports.len() - serial;
    let Limits { tasks, files, unit } = limits;
    let mut problems = Vec::new();
    if let Some(most) = tasks.filter(|most| all.tasks > *most) {
        problems.push(problem(
            positions,
            first(spec, |needs| needs.tasks > most),
            format!(
                "{} with a thread each: {} in all",
                counted(serial, "serial port"),
                counted(all.tasks, "thread")
            ),
            format!("at most {most}, which is TasksMax= of {unit}"),
            format!(
                "systemctl edit {unit}, and in it [Service] and TasksMax={}; or fewer serial ports",
                roomy(all.tasks)
            ),
        ));
    }
    if let Some(most) = files.filter(|most| all.files > *most) {
        problems.push(problem(
            positions,
            first(spec, |needs| needs.files > most),
            format!(
                "{} and {over} over TCP: {} in all",
                counted(serial, "serial port"),
                counted(all.files, "open file")
            ),
            format!("at most {most}, which is LimitNOFILE= of {unit}"),
            format!(
                "systemctl edit {unit}, and in it [Service] and LimitNOFILE={}; or fewer ports",
                roomy(all.files)
            ),
        ));
    }
    problems
}

/// Returns the index of the first port with which the needs are too much.
fn first(spec: &Spec, too_much: impl Fn(ResourceNeeds) -> bool) -> usize {
    let all = spec.ports.len();
    let with = (1..=all).find(|n| too_much(ResourceNeeds::of(spec, *n)));
    with.unwrap_or(1) - 1
}

/// Returns a round number with room for a few ports more.
const fn roomy(needed: u64) -> u64 {
    (needed + needed / 8).next_multiple_of(64)
}

fn problem(
    positions: &[SourcePosition],
    port: usize,
    said: String,
    wanted: String,
    hint: String,
) -> Problem {
    let position = positions.get(port);
    Problem {
        severity: Severity::Error,
        file: position.map(|p| p.file.clone()).unwrap_or_default(),
        line: position.map(|p| p.line).unwrap_or_default(),
        column: position.map(|p| p.column).unwrap_or_default(),
        path: position.map(|p| p.path.clone()).unwrap_or_default(),
        said,
        wanted,
        hint: Some(hint),
    }
}

/// Returns systemd's output about a unit, if it comes in time.
fn ask(unit: &str) -> Option<String> {
    let property = "--property=LoadState,TasksMax,LimitNOFILESoft";
    let arguments = ["show", property, "--", unit];
    program::output_of("systemctl", &arguments, ANSWERS_WITHIN, LARGEST).ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::field::test_spec::{installation, serial, tcp};

    fn unit_file() -> String {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/alink-gateway.service");
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn the_shipped_limits_are_those_of_the_shipped_unit() {
        let text = unit_file();
        for (name, value) in [("TasksMax", SHIPPED_TASKS), ("LimitNOFILE", SHIPPED_FILES)] {
            let line = format!("{name}={value}");
            assert!(text.lines().any(|l| l == line), "{line}");
        }
    }

    #[test]
    fn each_device_may_have_a_port_of_its_own_over_tcp_in_the_unit_as_shipped() {
        const { assert!(FILES + 2_000 * FILES_OF_TCP <= SHIPPED_FILES) };
    }

    #[test]
    fn limits_of_a_unit_are_what_systemd_says_if_it_knows_it() {
        let limits = |text| Limits::parse_limits(text, "x.service").map(|l| (l.tasks, l.files));
        let known = "LoadState=loaded\nTasksMax=300\nLimitNOFILESoft=1024\n";
        assert_eq!(limits(known), Some((Some(300), Some(1024))));
        let endless = "TasksMax=infinity\nLimitNOFILESoft=18446744073709551615\nLoadState=loaded\n";
        assert_eq!(limits(endless), Some((None, None)));
        let unknown = "LoadState=not-found\nTasksMax=4915\nLimitNOFILESoft=1024\n";
        assert_eq!(limits(unknown), None);
    }

    #[test]
    fn a_configuration_that_needs_more_than_there_is_says_how_much() {
        let mut spec = installation(tcp(), Vec::new());
        spec.ports = vec![tcp(), serial(9600), serial(9600), tcp()];
        let position = |line| SourcePosition {
            file: "gateway.yaml".into(),
            line,
            column: 1,
            path: String::new(),
        };
        let positions: Vec<_> = (1..=4).map(position).collect();
        let told = |tasks, files| {
            let limits = Limits {
                tasks: Some(tasks),
                files: Some(files),
                unit: "gw.service".into(),
            };
            check(&spec, &positions, &limits)
        };
        let (tasks, files) = (TASKS + 2, FILES + 2 * FILES_OF_SERIAL + 2 * FILES_OF_TCP);
        assert_eq!(told(tasks, files), []);
        let few = told(tasks - 1, files);
        assert_eq!((few.len(), few[0].line), (1, 3));
        assert_eq!(
            few[0].wanted,
            format!("at most {}, which is TasksMax= of gw.service", tasks - 1)
        );
        let few = told(tasks, files - 1);
        assert_eq!((few.len(), few[0].line), (1, 4));
        assert!(few[0].hint.as_ref().unwrap().contains("LimitNOFILE="));
    }
}
