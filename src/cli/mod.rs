//! Floor 6: the hand on the tool.
//!
//! One verb per file. Verbs read the configuration, call what is below and
//! print; they decide nothing. Exit codes: 0 done, 1 failed, 2 wrong usage,
//! 78 the configuration is wrong (`EX_CONFIG` of sysexits.h), so that the
//! service manager does not restart into the same mistake.

pub mod check;
pub mod plan;
pub mod run;
pub mod scope;
pub mod trace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::io::control;
use crate::io::settings::DEFAULT_PATH;

/// The configuration is wrong (`EX_CONFIG`).
pub const EXIT_CONFIG: u8 = 78;

/// What may be set outside the configuration's files; the README has it too.
const ENVIRONMENT: &str = "\
Environment:
  ALINK_GATEWAY_URL      instead of cloud.url
  ALINK_GATEWAY_SECRET   instead of the gateway's secret
  ALINK_GATEWAY_CA_FILE  instead of cloud.ca_file
  ALINK_GATEWAY_LOG      how loud the log is: error, warn, info (default), debug, trace;
                         or target=level for one library, separated by commas";

/// Polls field devices and keeps each one online, reported and truthful on
/// Alibaba Cloud IoT Platform.
#[derive(Debug, Parser)]
#[command(name = "alink-gateway", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the gateway (what the service does).
    #[command(after_help = ENVIRONMENT)]
    Run {
        /// The configuration file.
        #[arg(long, short, value_name = "FILE", default_value = DEFAULT_PATH)]
        config: PathBuf,
    },
    /// Check a configuration and print every problem in it.
    Check {
        #[command(flatten)]
        which: Which,
    },
    /// Show what is asked of which device, and how much of each line that takes.
    Plan {
        #[command(flatten)]
        which: Which,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Show what happens on a port of the running service, as it happens.
    Trace {
        /// The port's name in the configuration.
        #[arg(value_name = "PORT")]
        port: String,
        #[command(flatten)]
        how: trace::How,
        #[command(flatten)]
        whom: Whom,
    },
    /// Draw what happens on a port of the running service: who speaks when.
    Scope {
        /// The port's name in the configuration.
        #[arg(value_name = "PORT")]
        port: String,
        /// For how long to look; Ctrl-C ends it earlier.
        #[arg(long, value_name = "N", default_value_t = 10,
              value_parser = clap::value_parser!(u64).range(1..=scope::LONGEST))]
        seconds: u64,
        /// The picture, an SVG file; `-` is standard output.
        #[arg(long, short, value_name = "FILE", default_value = "bus.svg")]
        output: PathBuf,
        #[command(flatten)]
        whom: Whom,
    },
}

/// Which service to ask.
#[derive(Debug, Args)]
struct Whom {
    /// The instance of alink-gateway@.service.
    #[arg(long, value_name = "NAME", conflicts_with = "socket")]
    instance: Option<String>,
    /// The service's control socket [default: /run/alink-gateway/control.sock].
    #[arg(long, value_name = "FILE")]
    socket: Option<PathBuf>,
}

impl Whom {
    fn socket(self) -> PathBuf {
        let instance = self.instance.as_deref();
        self.socket.unwrap_or_else(|| control::place_of(instance))
    }
}

/// Which configuration to look at; as `run` is told it, or in short.
#[derive(Debug, Args)]
struct Which {
    /// The configuration file.
    #[arg(value_name = "FILE", default_value = DEFAULT_PATH, conflicts_with = "config")]
    file: PathBuf,
    /// The same.
    #[arg(long, short, value_name = "FILE", hide = true)]
    config: Option<PathBuf>,
}

impl Which {
    fn path(self) -> PathBuf {
        self.config.unwrap_or(self.file)
    }
}

/// What can be typed, for manual pages and completions.
#[must_use]
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Parses the process's arguments and does what they say.
#[must_use]
pub fn main() -> ExitCode {
    main_with(std::env::args_os())
}

/// The same with given arguments, the first being the program's name; for the
/// lab, which runs the daemon as a child of its own binary.
#[must_use]
pub fn main_with(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> ExitCode {
    match Arguments::try_parse_from(arguments) {
        Ok(arguments) => match arguments.verb {
            Verb::Run { config } => run::run(&config),
            Verb::Check { which } => check::run(&which.path()),
            Verb::Plan { which, json } => plan::run(&which.path(), json),
            Verb::Trace { port, how, whom } => trace::run(&whom.socket(), &port, &how),
            Verb::Scope {
                port,
                seconds,
                output,
                whom,
            } => scope::run(&whom.socket(), &port, seconds, &output),
        },
        Err(e) => {
            // Help and version go to standard output with 0, mistakes to
            // standard error with 2; clap knows which is which.
            let code = u8::try_from(e.exit_code()).unwrap_or(2);
            let _ = e.print();
            ExitCode::from(code)
        }
    }
}
