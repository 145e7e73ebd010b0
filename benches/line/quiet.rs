//! What the machine itself adds, kept as small as a machine lets it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::time::Duration;

/// While this is held, idle processors do not sleep: waking one takes as long as
/// a character at 115,200 bit/s, longer in a virtual machine, and would be counted
/// against every master on the line. Measurements of latency have always been made
/// like this (Documentation/power/pm_qos_interface.rst; cyclictest does it too).
/// Only root may; without it the figures are those of this machine's sleep.
pub(crate) fn keep_awake() -> std::io::Result<File> {
    let mut wish = OpenOptions::new()
        .write(true)
        .open("/dev/cpu_dma_latency")?;
    wish.write_all(&0_i32.to_ne_bytes())?;
    Ok(wish)
}

/// The share of all processors that is in use by others, looked at for a second.
#[expect(clippy::disallowed_methods, reason = "no runtime is there yet")]
pub(crate) fn busy() -> Option<f64> {
    let before = jiffies()?;
    std::thread::sleep(Duration::from_secs(1));
    let after = jiffies()?;
    let all = after.0.checked_sub(before.0).filter(|all| *all > 0)?;
    Some(after.1.saturating_sub(before.1) as f64 / all as f64)
}

/// All time of the processors, and that in which they were not idle
/// (`proc_stat(5)`: user, nice, system, idle, iowait, …).
fn jiffies() -> Option<(u64, u64)> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let times: Vec<u64> = stat
        .lines()
        .next()?
        .split_ascii_whitespace()
        .filter_map(|n| n.parse().ok())
        .collect();
    let all = times.iter().take(8).sum::<u64>();
    let idle = times.get(3)? + times.get(4)?;
    Some((all, all.saturating_sub(idle)))
}
