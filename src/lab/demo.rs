//! `alink-lab demo`: the main job, end to end, on this machine.
//!
//! A platform, a 9600-baud line of meters on a pseudo terminal, two Modbus TCP racks,
//! and between them the real daemon as a child process, on the real terminal and real
//! sockets. The story: all devices come online, readings arrive, a setpoint from the cloud
//! is written and read back, a meter loses its power, refuses a setpoint and is logged out,
//! it returns and is logged in, the cloud connection is cut and recovers, SIGTERM logs all
//! devices out. Every value that arrives is compared
//! with the register it came from.

mod plant;
mod report;
mod site;
mod value_checker;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use site::DemoSite;

/// The options of the demo.
#[derive(Debug)]
pub(crate) struct Options {
    /// It ends within this time, whatever happens.
    pub(crate) within: Duration,
    /// Print the report as one line of JSON.
    pub(crate) json: bool,
    /// The daemon to try; `None` is the daemon this binary was built with.
    pub(crate) gateway: Option<PathBuf>,
    /// Draw the live table; else print lines.
    pub(crate) table: bool,
}

/// The time kept back for the end: SIGTERM, log-outs, DISCONNECT.
const ENDING: Duration = Duration::from_secs(8);

/// The steps of the story and how long each may take.
const STEPS: [(&str, Duration); 7] = [
    ("all devices come online", Duration::from_secs(20)),
    ("values of all devices arrive", Duration::from_secs(15)),
    (
        "a setpoint is written and read back",
        Duration::from_secs(10),
    ),
    (
        "a meter loses its power, refuses a setpoint, is logged out",
        Duration::from_secs(20),
    ),
    ("it returns and is logged in", Duration::from_secs(20)),
    (
        "the connection is cut and recovers",
        Duration::from_secs(30),
    ),
    ("SIGTERM logs all devices out", ENDING),
];

/// Plays the demo; true if the story came true.
///
/// # Errors
/// The site cannot be set up: no terminal, no socket, no directory.
pub(crate) async fn run(options: Options) -> io::Result<bool> {
    let mut site = DemoSite::build(&options).await?;
    site.story().await;
    site.end().await;
    Ok(site.close(options.json))
}
