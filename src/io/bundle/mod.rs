//! Makes the parts of the diagnostic bundle for remote support: what a person who helps from
//! afar needs to see, and no secret.
//!
//! The running service makes what it alone knows (`control/diag.rs`); the tool that a person has
//! started adds what the service may not read, and what can be said without a service
//! (`cli/diag.rs`). Both make their parts here.
//!
//! Secrets are kept out twice. First, a text that holds a secret is never shown as it was
//! written: the configuration is shown as it was understood, where a secret has no text
//! ([`crate::base::Secret`]). Second, each part is searched at the end for every secret that the
//! installation has (`sweep.rs`).

mod configuration;
mod sweep;

use std::path::Path;
use std::time::Duration;

pub(crate) use self::configuration::configuration;
pub(crate) use self::sweep::{Sweep, secrets};
use crate::field::plan::forecast::forecast;
use crate::field::plan::holes::Holes;
use crate::io::files::bounded;
use crate::io::store::learned;
use crate::io::system::program;
use crate::spec::{ProfileSpec, Spec};

/// How many bytes of a file are shown at most.
const LARGEST: usize = 256 << 10;

/// How many entries of the journal are shown at most, the newest.
const ENTRIES: &str = "2000";
/// How many bytes of these entries are shown at most.
const LARGEST_JOURNAL: u64 = 2 << 20;
/// How long the journal may take: a journal of gigabytes on a slow flash takes seconds.
const JOURNAL_WITHIN: Duration = Duration::from_secs(30);
/// How long the service manager may take.
const MANAGER_WITHIN: Duration = Duration::from_secs(5);

/// Returns the version of the program and the state of the box. The kernel is asked directly:
/// of `/proc` the unit sees processes only (ProcSubset=pid).
pub(crate) fn system() -> String {
    let (kernel, figures) = (rustix::system::uname(), rustix::system::sysinfo());
    // sysinfo(2): in units of 1/65,536.
    let [one, five, fifteen] = figures.loads.map(|load| load as f64 / 65_536.0);
    let read = |path| bounded::read_text(Path::new(path), LARGEST as u64).unwrap_or_default();
    let release = read("/etc/os-release");
    let release = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .unwrap_or("unknown");
    let memory = read("/proc/self/status");
    let memory = memory
        .lines()
        .filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"))
        .collect::<Vec<_>>()
        .join("\n");
    format!(
        "alink-gateway {}\narchitecture {}\nsystem {release}\nkernel {}\nload {one:.2} {five:.2} {fifteen:.2}\n{memory}\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        kernel.release().to_string_lossy(),
    )
}

/// Returns how much of each line's time the requests take, a line for each port.
pub(crate) fn plan(spec: &Spec, holes: impl Fn(&ProfileSpec) -> Holes) -> String {
    let plan = forecast(spec, holes);
    let lines = plan.iter().filter_map(|line| {
        let port = spec.port(line.port)?;
        Some(format!("{}: {}\n", port.name, line.summary(port)))
    });
    lines.collect()
}

/// Returns what devices have taught about reading their kind.
pub(crate) fn learned(state_dir: &Path) -> String {
    let text = bounded::read_text(&state_dir.join(learned::FILE), learned::LARGEST);
    shortened(text.unwrap_or_else(|why| format!("{}: {why}\n", learned::FILE)))
}

/// Returns the newest entries of the journal about a unit.
pub(crate) fn journal(unit: &str) -> String {
    let arguments = [
        "--no-pager",
        "--quiet",
        "-o",
        "short-iso",
        "-n",
        ENTRIES,
        "-u",
        unit,
    ];
    let said = program::output_of("journalctl", &arguments, JOURNAL_WITHIN, LARGEST_JOURNAL);
    match said {
        Ok(text) if text.is_empty() => format!("no entries of {unit}\n"),
        Ok(text) => text,
        Err(why) => format!("journalctl {why}\n"),
    }
}

/// Returns what the service manager knows about a unit.
pub(crate) fn unit(unit: &str) -> String {
    let properties = "--property=LoadState,UnitFileState,ActiveState,SubState,Result,ExecMainStatus,NRestarts,\
                      ExecMainStartTimestamp,ExecMainExitTimestamp,MemoryCurrent,MemoryMax,TasksCurrent,\
                      TasksMax,StatusText,FragmentPath,DropInPaths";
    let arguments = ["show", properties, "--", unit];
    match program::output_of("systemctl", &arguments, MANAGER_WITHIN, LARGEST as u64) {
        Ok(text) => text,
        Err(why) => format!("systemctl {why}\n"),
    }
}

/// Returns the files of a directory and of those in it, with their sizes and modes.
pub(crate) fn listing(directory: &Path) -> String {
    let place = directory.display().to_string();
    match program::output_of(
        "ls",
        &["-lAR", "--", &place],
        MANAGER_WITHIN,
        LARGEST as u64,
    ) {
        Ok(text) => text,
        Err(why) => format!("ls {why}\n"),
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > LARGEST {
        let mut end = LARGEST;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push_str("\n… and more\n");
    }
    text
}
