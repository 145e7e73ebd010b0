//! How much of the line time that physics allows is used by a line polled flat out.
//!
//! 16 units that answer as soon as they may are read 20 registers each, without a
//! pause. The ideal transaction is the request, 3.5 characters of silence, the reply,
//! and 3.5 characters of silence, in characters of 11 bits. The line of the lab stands
//! for the wire and counts on it, from the beginning of one request to the beginning of
//! another, for the gateway's port and for the loop on libmodbus alike, in turns; the
//! median of the turns is the figure.

use std::path::Path;
use std::time::Duration;

use tokio::process::Command;

use crate::report::Report;
use crate::site::{Polling, Stretch, Wire};
use crate::{cpu, peer};

const UNITS: u8 = 16;
const REGISTERS: u16 = 20;
/// Many and short, so that the median is not that of a host that was busy for a moment.
const TURNS: usize = 11;
/// The time at the beginning that is not counted.
const WARM: Duration = Duration::from_millis(1500);

struct Turn {
    used: f64,
    violations: u64,
    /// Seconds of processor time for a thousand polls.
    cpu: f64,
}

pub(crate) fn measure(report: &mut Report) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let peer = peer::compile();
    if let Err(why) = &peer {
        report.remark(format!("Without the loop on libmodbus: {why}"));
    }
    let mut violations = 0;
    for (baud, span, ours_key, peer_key, target) in [
        (9600, 4, "util_9600", "peer_util_9600", "≥ 0.998"),
        (115_200, 2, "util_115200", "peer_util_115200", "≥ 0.990"),
    ] {
        let (turns, span) = if report.quick {
            (1, Duration::from_secs(2))
        } else {
            (TURNS, Duration::from_secs(span))
        };
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..turns {
            ours.push(runtime.block_on(turn(baud, span)));
            if let Ok(program) = &peer {
                theirs.push(runtime.block_on(peer_turn(program, baud, span)));
            }
        }
        violations += ours.iter().map(|t| t.violations).sum::<u64>();
        let what = "of the ideal, the gateway's port";
        let (used, detail) = summary(&ours, |t| t.used);
        report.add(ours_key, used, what, target, detail);
        if !theirs.is_empty() {
            let (used, detail) = summary(&theirs, |t| t.used);
            let broken: u64 = theirs.iter().map(|t| t.violations).sum();
            let detail = format!("{detail}; {broken} violations");
            let what = "of the ideal, a loop on libmodbus";
            report.add(peer_key, used, what, "not above ours", detail);
        }
        if baud == 115_200 {
            let (cpu, detail) = summary(&ours, |t| t.cpu);
            let what = "processor seconds for 1000 polls, port and its runtime";
            report.add("cpu_s_per_1000_polls_115200", cpu, what, "", detail);
        }
    }
    report.add(
        "violations",
        violations as f64,
        "silences broken, frames glued or collided",
        "0",
        "in all turns of the gateway's port".into(),
    );
}

/// Measures a turn of the gateway's port.
async fn turn(baud: u32, span: Duration) -> Turn {
    let wire = Wire::new(baud, UNITS);
    let polling = Polling::start(&wire, baud, UNITS, REGISTERS);
    tokio::time::sleep(WARM).await;
    let (begun, idle) = (wire.mark(), cpu::used());
    tokio::time::sleep(span).await;
    let (stretch, busy) = (wire.since(begun), cpu::used() - idle);
    let told = polling.stop().await;
    assert_eq!(told.missed, 0, "on a line on which nothing goes wrong");
    assert!(told.answers >= stretch.requests);
    Turn {
        used: utilisation(baud, &stretch),
        violations: stretch.violations,
        cpu: busy.as_secs_f64() * 1000.0 / stretch.requests as f64,
    }
}

/// Measures a turn of the loop on libmodbus.
async fn peer_turn(program: &Path, baud: u32, span: Duration) -> Turn {
    let wire = Wire::new(baud, UNITS);
    let seconds = (WARM + span).as_secs() + 2;
    let numbers = [baud, UNITS.into(), REGISTERS.into()].map(|n| n.to_string());
    let mut running = Command::new(program)
        .arg(&wire.tty)
        .args(numbers)
        .arg(seconds.to_string())
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    tokio::time::sleep(WARM).await;
    let begun = wire.mark();
    tokio::time::sleep(span).await;
    let stretch = wire.since(begun);
    running.kill().await.unwrap();
    Turn {
        used: utilisation(baud, &stretch),
        violations: stretch.violations,
        cpu: 0.0,
    }
}

fn utilisation(baud: u32, stretch: &Stretch) -> f64 {
    let character = 11.0 / f64::from(baud);
    let silence = if baud > 19_200 {
        0.001_75
    } else {
        3.5 * character
    };
    let frames = 8.0 + 5.0 + 2.0 * f64::from(REGISTERS);
    // All transactions are of one kind; the characters of the last one may be counted
    // in part.
    let all = stretch.requests as f64 * frames;
    let off = (stretch.characters as f64 - all).abs();
    assert!(off <= frames, "{off} characters of others");
    let ideal = frames * character + 2.0 * silence;
    stretch.requests as f64 * ideal / stretch.took.as_secs_f64()
}

/// Returns the median, and all values in words.
fn summary(turns: &[Turn], of: impl Fn(&Turn) -> f64) -> (f64, String) {
    let mut values: Vec<f64> = turns.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    let (least, most) = (values[0], values[values.len() - 1]);
    let detail = format!("median of {} turns, {least:.4} to {most:.4}", values.len());
    (values[values.len() / 2], detail)
}
