//! Floor 6: the command line.
//!
//! One verb per file, or a few that are alike, which makes more than a dozen; `columns.rs`,
//! `line.rs`, `terminal_words.rs` and `language/` are what several of them use. Verbs read the
//! configuration, call the rooms below and print; they decide nothing. Exit codes: 0 done, 1
//! failed, 2 wrong usage, 78 the configuration is wrong (`EX_CONFIG` of sysexits.h), so that the
//! service manager does not restart into the same mistake.

#[cfg(test)]
mod captures;
pub mod check;
mod columns;
pub mod completion;
pub mod devices;
pub mod diag;
pub mod doctor;
pub mod import;
pub mod init;
pub mod language;
mod line;
pub mod plan;
mod poll;
mod read;
pub mod run;
pub mod scan;
pub mod scope;
pub mod service;
pub mod status;
mod sweep;
mod terminal_words;
pub mod trace;
pub mod tsl;
mod upstream;
pub mod watch;
pub mod write;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

pub use self::columns::wrapped;
use self::language::{Language, help};
use crate::io::control;
use crate::io::files::settings::{self, DEFAULT_PATH, LoadContext};
use crate::io::log;
use crate::io::terminal::screen;

/// The exit status for a wrong configuration (`EX_CONFIG`).
pub const EXIT_CONFIG: u8 = 78;

/// The settings outside the configuration's files; `docs/operation.md` lists them too.
pub const ENVIRONMENT_VARIABLES: [(&str, &str); 3] = [
    ("ALINK_GATEWAY_URL", "instead of cloud.url"),
    ("ALINK_GATEWAY_CA_FILE", "instead of cloud.ca_file"),
    (
        "ALINK_GATEWAY_LOG",
        "the log level: error, warn, info (default), debug, trace; or target=level for one \
         library, separated by commas",
    ),
];

/// Writes the environment variables as `run --help` shows them.
fn environment(language: Language) -> String {
    let line = |(name, what): &(&str, &str)| {
        let what = language.say(what);
        let what = what.replace("; ", &format!(";\n{:25}", ""));
        let what = what.replace('；', &format!("；\n{:25}", ""));
        format!("\n  {name:<21}  {what}")
    };
    let lines: String = ENVIRONMENT_VARIABLES.iter().map(line).collect();
    format!("{}{lines}", language.say("Environment:"))
}

/// Polls field devices and presents each of them as a sub-device on Alibaba Cloud
/// IoT Platform.
#[derive(Debug, Parser)]
#[command(name = "alink-gateway", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the gateway (what the service does).
    #[command(after_help = environment(Language::English))]
    Run {
        /// The configuration file.
        #[arg(long, short, value_name = "FILE", default_value = DEFAULT_PATH)]
        config: PathBuf,
    },
    /// Check a configuration and print every problem in it.
    Check {
        #[command(flatten)]
        configuration: ConfigurationOptions,
        /// Check it where only the box has its secrets and certificates: those that are not here
        /// are left out.
        #[arg(long)]
        desk: bool,
    },
    /// Show the requests to each device, how much of each line's time they take, and what is
    /// sent to the platform.
    Plan {
        #[command(flatten)]
        configuration: ConfigurationOptions,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Write the thing model of a profile, for the console of the platform to import.
    ///
    /// Its properties are the points of the profile, with their types and limits; its events and
    /// services are those of the profile. With --check it compares what the console exports: exit
    /// status 1 if the product would refuse what the gateway posts, or lacks what it can do.
    Tsl {
        /// The profile's name in the configuration, or the file of a profile; with values of its
        /// parameters: 'NAME(PARAMETER=VALUE,…)'.
        #[arg(value_name = "PROFILE", value_hint = clap::ValueHint::FilePath)]
        profile: String,
        /// The configuration file.
        #[arg(long, short, value_name = "FILE", default_value = DEFAULT_PATH)]
        config: PathBuf,
        #[command(flatten)]
        options: tsl::TslOptions,
    },
    /// Find the devices on a line: their settings, addresses, and what kind of device they are.
    ///
    /// Asks units of Modbus and meters of DL/T 645, at common settings and addresses first; it
    /// only reads. If the running service has the line, it asks through the service, between its
    /// polls. Ctrl-C ends it; what was found until then is printed. Exit status 0 if a device was
    /// found, 1 if none.
    Scan {
        /// A device file such as /dev/ttyUSB0, the name of a port, all for every serial port, a
        /// host of Modbus TCP, or a network such as 192.168.1.0/24.
        #[arg(value_name = "LINE", value_hint = clap::ValueHint::FilePath)]
        named: String,
        #[command(flatten)]
        options: Box<scan::ScanOptions>,
        #[command(flatten)]
        service_options: ServiceOptions,
    },
    /// Write a first configuration: asks six questions, or takes the answers as options.
    ///
    /// What is not answered stays a place to fill in. The DeviceSecret is not shown while it is
    /// typed, and goes into gateway.secret beside the configuration.
    Init {
        /// The configuration file to write.
        #[arg(value_name = "FILE", default_value = DEFAULT_PATH, value_hint = clap::ValueHint::FilePath)]
        file: PathBuf,
        #[command(flatten)]
        options: init::InitOptions,
    },
    /// Turn a list of registers, or the configuration of another program, into a part of this one.
    ///
    /// Takes tables of spreadsheets (CSV in any encoding, with heads in English, Chinese or
    /// German), of modpoll, the Modbus sections of Telegraf and Home Assistant, templates of
    /// wb-mqtt-serial and meters of evcc. The result has profiles, ports and devices, with
    /// comments; the report names each entry that could not be carried over or has to be checked,
    /// and why. Nothing in the result may be written to.
    Import {
        /// The file to import.
        #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
        file: PathBuf,
        #[command(flatten)]
        options: import::ImportOptions,
    },
    /// Show what happens on a port of the running service, as it happens.
    Trace {
        /// The port's name in the configuration.
        #[arg(value_name = "PORT")]
        port: String,
        #[command(flatten)]
        options: trace::TraceOptions,
        #[command(flatten)]
        service_options: ServiceOptions,
    },
    /// Draw what happens on a port of the running service: each frame, by sender and time.
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
        service_options: ServiceOptions,
    },
    /// Show the status of the running service.
    ///
    /// Of each port: LOAD is the share of its time in which the line was in use; DEVICES how
    /// many answer, of how many are configured; RTT how long they take from a request to its
    /// reply, P50 half of them at most, P95 95 of 100 at most; TROUBLE what became of requests
    /// other than an answer, counted since the start: timeout (no reply in time), garbled (frames
    /// that could not be read), foreign (frames that were not the reply), late (replies that had
    /// been given up), port (the line was lost), exception-CODE (the device refused).
    Status {
        #[command(flatten)]
        service_options: ServiceOptions,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
        /// Go on showing it, every second, with all devices: arrows, PgUp, PgDn, Home and End
        /// scroll, / filters, t shows only trouble, q ends. Without a terminal or with --json
        /// prints it until Ctrl-C.
        #[arg(long, short)]
        watch: bool,
    },
    /// Show all devices of the running service, or everything about one.
    ///
    /// BUS is the state of a device on its line: alive; suspect (it missed a poll, and the gateway
    /// is making sure whether it is silent); silent; probation (it was silent, and has to answer
    /// some times in a row); unknown (no answer since the start). CLOUD is what the platform shows:
    /// online, offline, changing between the two, or refused. A value is good; uncertain, when the
    /// device answered but the reply held no value; or stale, when it was not read in time.
    Devices {
        /// The device's name in the configuration.
        #[arg(value_name = "NAME")]
        name: Option<String>,
        #[command(flatten)]
        service_options: ServiceOptions,
        /// Print JSON instead of a table.
        #[arg(long)]
        json: bool,
    },
    #[allow(rustdoc::broken_intra_doc_links)] // HOST[:PORT] is no link.
    /// Read values of a device on a line, now.
    ///
    /// With --unit or --meter WHAT is the line, whether the device is in a configuration or not: a
    /// device file, a port of the configuration or of the service, or HOST[:PORT] of Modbus TCP.
    /// The values are named by table and 0-based address, such as input:0x0000, holding:100*4 for
    /// four of them, or 40001 as manuals write it; those of a meter by the names of DL/T 645 or
    /// its identifiers, such as 2007:00010000. Behind an address come its type and the other keys
    /// of a point, such as f32 CDAB scale=0.1; without a type it is u16.
    ///
    /// Without --unit and --meter WHAT is a device of the configuration, and the values are its
    /// points: those named, or all. A line that the running service has is asked through it,
    /// between its polls. Nothing is written. Exit status 0 if every value was read, 1 otherwise.
    Read {
        /// The line with --unit or --meter, or the name of a device in the configuration.
        #[arg(value_name = "WHAT", value_hint = clap::ValueHint::FilePath)]
        what: String,
        /// The values: addresses with their types, data of a meter, or points of the device.
        #[arg(value_name = "VALUE")]
        values: Vec<String>,
        #[command(flatten)]
        options: read::ReadOptions,
        #[command(flatten)]
        service_options: ServiceOptions,
    },
    /// Read values of a device again and again, as read does, until Ctrl-C.
    ///
    /// On a terminal the table is drawn anew each time, else each round is a line. At the end says
    /// how many requests were answered, and how soon. Exit status 0 if every value was read every
    /// time, 1 otherwise.
    Poll {
        /// The line with --unit or --meter, or the name of a device in the configuration.
        #[arg(value_name = "WHAT", value_hint = clap::ValueHint::FilePath)]
        what: String,
        /// The values: addresses with their types, data of a meter, or points of the device.
        #[arg(value_name = "VALUE")]
        values: Vec<String>,
        #[command(flatten)]
        often: poll::PollTimes,
        #[command(flatten)]
        options: read::ReadOptions,
        #[command(flatten)]
        service_options: ServiceOptions,
    },
    /// Find out which registers and bits a Modbus device has.
    ///
    /// Reads the tables in blocks, and halves a block that is refused until each address is
    /// known: a value, an exception, or no reply. Nothing is written. Beside the values stand
    /// guesses of what they may be, each with a question mark; only the manual knows. A device
    /// that stops answering is waited for; Ctrl-C shows what is known so far. Exit status 0 if
    /// every address is known, 1 otherwise.
    Sweep {
        #[allow(rustdoc::broken_intra_doc_links)] // HOST[:PORT] is no link.
        /// The line: a device file, a port, or HOST[:PORT] of Modbus TCP.
        #[arg(value_name = "PORT", value_hint = clap::ValueHint::FilePath)]
        port: String,
        /// The unit id of the device.
        #[arg(value_name = "UNIT", value_parser = clap::value_parser!(u8).range(1..))]
        unit: u8,
        #[command(flatten)]
        options: sweep::SweepOptions,
        #[command(flatten)]
        service_options: ServiceOptions,
    },
    /// Write points of a device, through the running service, and read them back.
    ///
    /// Shows the present values and asks before it writes. The points are written in this order,
    /// and the first that fails ends the command. Exit status 0 if the device holds every value,
    /// or has acknowledged it where the profile has it not read back; 1 otherwise.
    ///
    /// VALUE is a number, true or false, or the title of a state.
    Write {
        /// The device's name in the configuration.
        #[arg(value_name = "DEVICE")]
        device: String,
        /// The identifier of a point and its value; further pairs may follow.
        #[arg(value_names = ["POINT", "VALUE"], num_args = 2.., required = true,
              allow_negative_numbers = true)]
        pairs: Vec<String>,
        #[command(flatten)]
        options: write::WriteOptions,
        #[command(flatten)]
        service_options: ServiceOptions,
    },
    /// Run a service of a device's profile, through the running service.
    ///
    /// Asks before it runs. Exit status 0 if every step of it succeeded; 1 otherwise.
    Call {
        /// The device's name in the configuration.
        #[arg(value_name = "DEVICE")]
        device: String,
        /// The identifier of the service.
        #[arg(value_name = "SERVICE")]
        service: String,
        /// The inputs of the service; one that has a default may be left out.
        #[arg(value_name = "INPUT=VALUE")]
        inputs: Vec<String>,
        #[command(flatten)]
        options: write::WriteOptions,
        #[command(flatten)]
        service_options: ServiceOptions,
    },
    /// Make the running service load its configuration anew; a wrong configuration changes
    /// nothing, and neither does one that leaves out more than a third of the
    /// devices.
    Reload {
        /// Load it although more than a third of the devices are not in it.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        service_options: ServiceOptions,
    },
    /// Change the log level of the running service.
    LogLevel {
        /// Whose level: of everything, of the gateway, or of one library in it.
        #[arg(value_parser = PossibleValuesParser::new(log::targets()))]
        target: String,
        /// The level.
        #[arg(value_parser = ["off", "error", "warn", "info", "debug", "trace", "default"])]
        level: String,
        /// For how long, such as 10m; else until the next start.
        #[arg(value_name = "for TIME", num_args = 0..=2)]
        during: Vec<String>,
        #[command(flatten)]
        service_options: ServiceOptions,
    },
    /// Print the metrics of the running service, as OpenMetrics text.
    Metrics {
        #[command(flatten)]
        service_options: ServiceOptions,
    },
    /// Collect what a person who helps from afar needs to see; no secret is in it.
    ///
    /// From the running service its state, the devices, their last values, the configuration as
    /// it was understood, and the metrics; from this box the unit and the newest entries of the
    /// journal. If the service does not run: why it does not answer, and what check says.
    Diag {
        /// Write it to this file instead of standard output.
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        /// The configuration file; the service is asked at its control.socket [default: that of the
        /// service].
        #[arg(long, short, value_name = "FILE")]
        config: Option<PathBuf>,
        #[command(flatten)]
        service_options: ServiceOptions,
    },
    /// Find out what is wrong, and what to do about it.
    ///
    /// Looks at the service, its configuration, the clock, the store, the connection to the
    /// platform, the ports and the devices with their last requests. Names each cause with how
    /// certain it is, what is seen that speaks for it, and what to do. Exit status 0 if nothing is
    /// wrong; 1 if something is, or the service does not answer.
    ///
    /// A device that answered before and is silent now may have been switched off: that is a note
    /// and nothing wrong, unless it is the device that is asked about. Where the causes cannot be
    /// told apart by what the service knows, up to six questions are asked on the line, through
    /// the service: at other settings, or with a longer wait. They only read.
    Doctor {
        /// Only what has to do with this port.
        #[arg(long, value_name = "PORT", conflicts_with = "device")]
        port: Option<String>,
        /// Only what has to do with this device.
        #[arg(long, value_name = "DEVICE")]
        device: Option<String>,
        /// Ask no device: look only at what the service knows.
        #[arg(long)]
        no_probes: bool,
        /// Print JSON instead of text.
        #[arg(long)]
        json: bool,
        /// The configuration file; the service is asked at its control.socket [default: that of the
        /// service].
        #[arg(long, short, value_name = "FILE")]
        config: Option<PathBuf>,
        #[command(flatten)]
        service_options: ServiceOptions,
    },
    /// Print what may come next on a command line, for the completions of shells.
    #[command(hide = true)]
    Complete(completion::CompletionRequest),
}

/// Which service to ask.
#[derive(Clone, Debug, Args)]
struct ServiceOptions {
    /// The instance of alink-gateway@.service.
    #[arg(long, value_name = "NAME", conflicts_with = "socket")]
    instance: Option<String>,
    /// The service's control socket [default: /run/alink-gateway/control.sock].
    #[arg(long, value_name = "FILE")]
    socket: Option<PathBuf>,
}

impl ServiceOptions {
    fn gateway(self, config: Option<PathBuf>) -> diag::Gateway {
        let socket = self.socket_of(config.as_deref());
        let is_config_known = self.socket.is_none() || config.is_some();
        diag::Gateway {
            is_config_known,
            ..diag::Gateway::of(self.instance.as_deref(), socket, config)
        }
    }

    /// Returns the socket of the service of a configuration: a file that is named may say where its
    /// service is asked.
    fn socket_of(&self, config: Option<&Path>) -> PathBuf {
        let said = match (&self.socket, config) {
            (None, Some(path)) => settings::socket_in(path, &LoadContext::of_person()),
            _ => None,
        };
        said.unwrap_or_else(|| self.clone().socket())
    }

    fn socket(self) -> PathBuf {
        let instance = self.instance.as_deref();
        self.socket
            .unwrap_or_else(|| control::socket_path_of(instance))
    }
}

/// Which configuration to look at; as `run` is told it, or in short.
#[derive(Debug, Args)]
struct ConfigurationOptions {
    /// The configuration file.
    #[arg(value_name = "FILE", default_value = DEFAULT_PATH, conflicts_with = "config")]
    file: PathBuf,
    /// The configuration file, as `run` takes it.
    #[arg(long, short, value_name = "FILE", hide = true)]
    config: Option<PathBuf>,
}

impl ConfigurationOptions {
    fn path(self) -> PathBuf {
        self.config.unwrap_or(self.file)
    }
}

/// Returns the definition of the command line, for manual pages and completions.
#[must_use]
pub fn command() -> clap::Command {
    command_in(Language::English)
}

/// Returns the definition of the command line with its help in a language.
#[must_use]
pub fn command_in(language: Language) -> clap::Command {
    let command = Arguments::command();
    match language {
        Language::English => command,
        Language::Chinese => {
            let after = environment(language);
            let command = help::translated(command, language);
            command.mut_subcommand("run", |run| run.after_help(after))
        }
    }
}

/// Parses the process's arguments and runs the verb.
#[must_use]
pub fn main() -> ExitCode {
    main_with(std::env::args_os())
}

/// Parses the given arguments, the first being the program's name, and runs the verb. The
/// lab uses it to run the daemon as a child of its own binary.
#[must_use]
pub fn main_with(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> ExitCode {
    let language = Language::of_environment();
    match parsed(arguments, language) {
        Ok(arguments) => match arguments.verb {
            Verb::Run { config } => run::run(&config),
            Verb::Check {
                configuration,
                desk,
            } => check::run(&configuration.path(), desk, language),
            Verb::Plan {
                configuration,
                json,
            } => plan::run(&configuration.path(), json, language),
            Verb::Status {
                service_options,
                json,
                watch,
            } => match (watch, json) {
                (false, json) => status::run(&service_options.socket(), json, language),
                (true, false) => watch::run(&service_options.socket(), language),
                (true, true) => status::follow(&service_options.socket(), true, language),
            },
            Verb::Reload {
                force,
                service_options,
            } => service::reload(&service_options.socket(), force, language),
            Verb::LogLevel {
                target,
                level,
                during,
                service_options,
            } => match span_of(&during) {
                Ok(during) => {
                    service::log_level(&service_options.socket(), &target, &level, during, language)
                }
                Err(why) => misused(why, language),
            },
            Verb::Read {
                what,
                values,
                options,
                service_options,
            } => read::run(&what, &values, &options, &service_options, language),
            Verb::Poll {
                what,
                values,
                often,
                options,
                service_options,
            } => poll::run(&what, &values, &options, &often, &service_options, language),
            Verb::Sweep {
                port,
                unit,
                options,
                service_options,
            } => sweep::run(&port, unit, &options, &service_options, language),
            Verb::Write {
                device,
                pairs,
                options,
                service_options,
            } => match write::pairs_of(&pairs) {
                Ok(set) => write::write(&service_options.socket(), device, set, &options, language),
                Err(why) => misused(why, language),
            },
            Verb::Call {
                device,
                service,
                inputs,
                options,
                service_options,
            } => match write::inputs_of(&inputs) {
                Ok(inputs) => write::call(
                    &service_options.socket(),
                    device,
                    service,
                    inputs,
                    &options,
                    language,
                ),
                Err(why) => misused(why, language),
            },
            Verb::Metrics { service_options } => {
                service::metrics(&service_options.socket(), language)
            }
            Verb::Diag {
                output,
                config,
                service_options,
            } => diag::run(
                &service_options.gateway(config),
                output.as_deref(),
                language,
            ),
            Verb::Doctor {
                port,
                device,
                no_probes,
                json,
                config,
                service_options,
            } => {
                let gateway = service_options.gateway(config);
                let scope = doctor::scope(port, device);
                doctor::run(&gateway, scope, (json, no_probes), language)
            }
            Verb::Devices {
                name,
                service_options,
                json,
            } => devices::run(&service_options.socket(), name.as_deref(), json, language),
            Verb::Complete(asked) => completion::run(command_in(language), asked),
            Verb::Tsl {
                profile,
                config,
                options,
            } => tsl::run(&profile, &config, &options, language),
            Verb::Scan {
                named,
                options,
                service_options,
            } => scan::run(&named, &options, &service_options, language),
            Verb::Init { file, options } => init::run(&file, &options, language),
            Verb::Import { file, options } => import::run(&file, &options, language),
            Verb::Trace {
                port,
                options,
                service_options,
            } => trace::run(&service_options.socket(), &port, &options, language),
            Verb::Scope {
                port,
                seconds,
                output,
                service_options,
            } => scope::run(&service_options.socket(), &port, seconds, &output, language),
        },
        Err(e) => refused(&e, language),
    }
}

/// Parses arguments by the command line of a language.
fn parsed(
    arguments: impl IntoIterator<Item = std::ffi::OsString>,
    language: Language,
) -> Result<Arguments, clap::Error> {
    let mut command = command_in(language);
    let matches = command.try_get_matches_from_mut(arguments)?;
    Arguments::from_arg_matches(&matches).map_err(|e| e.format(&mut command))
}

/// Prints what is wrong with a value that clap took.
fn misused(why: String, language: Language) -> ExitCode {
    let mut command = command_in(language);
    refused(&command.error(ErrorKind::InvalidValue, why), language)
}

/// Prints what clap refused. Help and version go to standard output with 0, mistakes to
/// standard error with 2; clap knows which is which.
fn refused(e: &clap::Error, language: Language) -> ExitCode {
    let code = u8::try_from(e.exit_code()).unwrap_or(2);
    let text = || help::rendered(&e.render().to_string(), language);
    match (language, e.use_stderr()) {
        (Language::English, _) => {
            let _ = e.print();
        }
        (Language::Chinese, true) => screen::print_error(&text()),
        // The reader of the output may have closed it.
        (Language::Chinese, false) => drop(screen::write(&text())),
    }
    ExitCode::from(code)
}

/// Reads `for 10m`, `10m`, or nothing.
fn span_of(words: &[String]) -> Result<Option<Duration>, String> {
    match words {
        [] => Ok(None),
        [time] => service::span(time).map(Some),
        [word, time] if word == "for" => service::span(time).map(Some),
        _ => Err("after the level comes: for TIME, such as for 10m".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_asked_where_its_file_says_also_if_the_file_has_errors() {
        use crate::io::files::create::{Existing, create};
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gateway.yaml");
        let write = |text: &str| create(&path, text.as_bytes(), Existing::Replace).unwrap();
        write("control:\n  socket: own.sock\nports: 7\n");
        let asked = |socket: Option<&str>, config: Option<&PathBuf>| {
            let service_options = ServiceOptions {
                instance: None,
                socket: socket.map(PathBuf::from),
            };
            service_options.gateway(config.cloned()).socket
        };
        assert_eq!(asked(None, Some(&path)), dir.path().join("own.sock"));
        let other = PathBuf::from("other.sock");
        assert_eq!(asked(Some("other.sock"), Some(&path)), other);
        let usual = control::socket_path_of(None);
        assert_eq!(asked(None, None), usual);
        write("ports: 7\n");
        assert_eq!(asked(None, Some(&path)), usual);
    }

    #[test]
    fn mistakes_are_told_in_the_language_of_the_user() {
        let told = |words: &[&str], language| {
            let words = std::iter::once("alink-gateway").chain(words.iter().copied());
            let e = parsed(words.map(Into::into), language).unwrap_err();
            let text = e.render().to_string();
            match language {
                Language::English => text,
                Language::Chinese => help::rendered(&text, language),
            }
        };
        let english = told(&["stats"], Language::English);
        assert!(
            english.contains("unrecognized subcommand 'stats'"),
            "{english}"
        );
        assert_eq!(
            told(&["stats"], Language::Chinese),
            "错误：没有子命令 'stats'\n\n  提示：有相近的子命令：'status'\n\n\
             用法：alink-gateway <COMMAND>\n\n更多信息请用 '--help'。\n"
        );
        for (words, begins) in [
            (&["status", "--bar"][..], "错误：没有参数 '--bar'"),
            (
                &["scope", "a", "--seconds", "900"],
                "错误：'--seconds <N>' 的值 '900' 无效：900 不在 1..=600 之内",
            ),
            (
                &["scope", "a", "--seconds", "x"],
                "错误：'--seconds <N>' 的值 'x' 无效：不是数字",
            ),
            (&["call", "a"], "错误：缺少以下必需的参数：\n  <SERVICE>"),
            (
                &["trace", "--bytes", "--values", "a"],
                "错误：参数 '--bytes' 不能与 '--values' 同时使用",
            ),
            (
                &["write", "a", "b"],
                "错误：'<POINT> <VALUE>...' 需要 2 个值；只给出了 1 个",
            ),
            (
                &["plan", "--json", "--json"],
                "错误：参数 '--json' 不能重复使用",
            ),
            (&["diag", "--output"], "错误：'--output <FILE>' 需要一个值"),
            (
                &["log-level", "all", "loud"],
                "错误：'<LEVEL>' 的值 'loud' 无效\n  [可选值：off, error,",
            ),
            (&["help"], "轮询现场设备"),
        ] {
            let told = told(words, Language::Chinese);
            assert!(told.starts_with(begins), "{told}");
        }
    }
}
