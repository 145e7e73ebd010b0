//! The share of the machine itself in the figures, kept as small as the machine allows.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::time::Duration;

/// Keeps idle processors from sleeping while the returned file is held: waking a
/// processor takes as long as a character at 115,200 bit/s, longer in a virtual
/// machine, and would be counted against every master on the line. Measurements of
/// latency are usually made like this (Documentation/power/pm_qos_interface.rst;
/// cyclictest does it too). Only root may; without it the figures include the wake-ups
/// of this machine.
pub(crate) fn keep_awake() -> std::io::Result<File> {
    let mut wish = OpenOptions::new()
        .write(true)
        .open("/dev/cpu_dma_latency")?;
    wish.write_all(&0_i32.to_ne_bytes())?;
    Ok(wish)
}

/// Measures for a second the share of all processors that other processes use.
#[expect(clippy::disallowed_methods, reason = "no runtime is there yet")]
pub(crate) fn busy() -> Option<f64> {
    let before = jiffies()?;
    std::thread::sleep(Duration::from_secs(1));
    let after = jiffies()?;
    let all = after.0.checked_sub(before.0).filter(|all| *all > 0)?;
    Some(after.1.saturating_sub(before.1) as f64 / all as f64)
}

/// Returns all time of the processors, and the time in which they were not idle
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
