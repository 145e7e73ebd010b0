//! The line that a user names, for verbs that ask devices themselves.
//!
//! A line is named in one of three ways, tried in this order: a device file has a slash in its
//! name; a port is one of the configuration or of the running service; all else is the host of a
//! Modbus TCP endpoint, with its port or at least a dot in its name, so that a mistyped port is
//! not looked up as a host.
//!
//! The settings of the line are those that the user says; else those that the configuration has
//! for the port, or for the same device file or endpoint; else what devices have as they leave
//! their factory. A line that the service has is asked through the service, which has its own
//! settings.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::ServiceOptions;
use crate::config::did_you_mean;
use crate::control::{Answer, Request};
use crate::io::control::client;
use crate::io::files::settings::{self, LoadContext};
use crate::io::survey_line::SurveyLine;
use crate::spec::survey::{LONGEST_WAIT, SurveyQuestion, SurveyRequest};
use crate::spec::{
    Adapter, Characters, ConnectionSpec, Framing, LineSpec, Parity, PortSpec, SerialSpec, Spec,
    StopBits, TcpSpec,
};

/// How long the first byte of a reply is waited for on a serial line, as in a configuration.
const SERIAL_WAIT: Duration = Duration::from_millis(500);

/// How long it is waited for on TCP.
const TCP_WAIT: Duration = Duration::from_secs(1);

/// The port of Modbus TCP (Modbus Messaging on TCP/IP V1.0b §4.3.2).
const MODBUS_TCP: u16 = 502;

/// What devices of Modbus have most often as they leave their factory.
pub(super) const USUAL: Characters = Characters {
    baud: 9600,
    data_bits: 8,
    parity: Parity::None,
    stop_bits: StopBits::One,
};

/// What meters of DL/T 645-2007 have at first (§5.1: 2400 bit/s; 8 bits, even parity, one stop
/// bit).
pub(super) const USUAL_OF_METERS: Characters = Characters {
    baud: 2400,
    data_bits: 8,
    parity: Parity::Even,
    stop_bits: StopBits::One,
};

/// How a line is used.
#[derive(Debug, Args)]
pub(super) struct LineOptions {
    /// The characters of a serial line, such as "9600 8N1" [default: as the configuration has
    /// them, else 9600 8N1, and 2400 8E1 for a meter].
    #[arg(long, value_name = "SETTINGS")]
    line: Option<String>,
    /// How Modbus frames travel on a serial line, or behind a serial server [default: as the
    /// configuration has it, else rtu on a serial line, and Modbus TCP on a host].
    #[arg(long, value_name = "FRAMING", value_parser = PossibleValuesParser::new(["rtu", "ascii"]))]
    framing: Option<String>,
    /// How many milliseconds the first byte of a reply is waited for, 5000 at most [default: as
    /// the configuration has it, else 500, and 1000 on TCP].
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(10..=5000))]
    wait: Option<u64>,
    /// The configuration file, for the names and settings of ports [default: that of the
    /// service].
    #[arg(long, short, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    config: Option<PathBuf>,
}

/// A line that a user has named.
pub(super) struct NamedLine {
    /// The line as it is opened here, if the service does not have it.
    pub spec: LineSpec,
    /// Asks on the line.
    pub survey: SurveyLine,
    /// The control socket of the service that may have the line.
    socket: PathBuf,
    /// The characters that the user has said; `None`: the line's own.
    characters: Option<Characters>,
    /// The framing that the user has said; `None`: the line's own.
    framing: Option<Framing>,
    /// How long the first byte of a reply is waited for.
    pub wait: Duration,
    /// Where the settings of the line are from, unless the user has said them: a sentence.
    assumed: Option<String>,
}

impl NamedLine {
    /// Returns the characters that the user has said; `None`: the line's own.
    pub(super) const fn characters(&self) -> Option<Characters> {
        self.characters
    }

    /// Returns the framing that the user has said; `None`: the line's own.
    pub(super) const fn framing(&self) -> Option<Framing> {
        self.framing
    }

    /// Asks on the line as its specification is now.
    pub(super) fn reopen(&mut self) {
        let named = self.survey.named().to_owned();
        self.survey = SurveyLine::new(self.socket.clone(), named, self.spec.clone());
    }

    /// Returns what is to be known about the line since the first request, once: where its
    /// settings are from if it was opened here, and what its adapter does.
    pub(super) fn take_notices(&mut self) -> Vec<String> {
        let assumed = self.assumed.take().filter(|_| !self.survey.is_shared());
        assumed
            .into_iter()
            .chain(self.survey.take_notice())
            .collect()
    }

    /// Returns a request on this line, with the settings that the user has said.
    pub(super) const fn request(&self, question: SurveyQuestion) -> SurveyRequest {
        SurveyRequest {
            characters: self.characters,
            framing: self.framing,
            question,
            wait: self.wait,
            listens_on: false,
        }
    }
}

/// What a user names as a line.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Named {
    /// A device file.
    File(PathBuf),
    /// A host and a port.
    Host(String, u16),
    /// Neither: a name without a dot and without a port.
    Word,
}

/// A port as it is known: of the configuration, or of the running service.
enum Known {
    /// The configuration has it, by this name or by what it opens.
    Configured(Box<PortSpec>),
    /// The service has it, and opens this.
    Running(String),
}

impl LineOptions {
    /// Returns the configuration file that is meant.
    pub(super) fn config(&self, service: &ServiceOptions) -> PathBuf {
        let of_service = || settings::path_of(service.instance.as_deref());
        self.config.clone().unwrap_or_else(of_service)
    }

    /// Finds the line that a user has named. A serial line of which nothing is known has these
    /// characters.
    ///
    /// # Errors
    /// What the user has said is no line, or does not fit it.
    pub(super) fn find(
        &self,
        named: &str,
        service: &ServiceOptions,
        usual: Characters,
    ) -> Result<NamedLine, String> {
        let file = self.config(service);
        // A configuration that cannot be read has nothing to say about a device file or a host.
        let loaded = settings::load_whatever_the_load(&file, &LoadContext::of_person());
        let spec = loaded.as_ref().ok().map(|loaded| &loaded.spec);
        let socket = service.socket_of(self.config.as_deref());
        self.found(named, spec, &socket, usual)
            .map_err(|why| match (&loaded, &self.config) {
                // Why the user's own file cannot be read matters more.
                (Err(report), Some(_)) => format!("{why}\n{report}"),
                _ => why,
            })
    }

    /// Returns the line of a port of the configuration.
    ///
    /// # Errors
    /// What the user has said does not fit the line.
    pub(super) fn of_port(
        &self,
        port: &PortSpec,
        service: &ServiceOptions,
    ) -> Result<NamedLine, String> {
        let socket = service.socket_of(self.config.as_deref());
        self.line(
            port.name.clone(),
            port.line.clone(),
            port.response_timeout,
            None,
            socket,
        )
    }

    fn found(
        &self,
        named: &str,
        spec: Option<&Spec>,
        socket: &Path,
        usual: Characters,
    ) -> Result<NamedLine, String> {
        let meant = named_as(named);
        let configured = spec.and_then(|spec| {
            let mut ports = spec.ports.iter();
            ports.find(|port| port.name == named || opens(&port.line, &meant))
        });
        let known = match configured {
            Some(port) => Some(Known::Configured(Box::new(port.clone()))),
            None => running(socket, named).map(Known::Running),
        };
        let assumed = match (&known, &meant) {
            (Some(Known::Configured(port)), _) if port.name != named => Some(format!(
                "{named}: with the settings of port {} of the configuration",
                port.name
            )),
            (None, Named::File(_)) if self.line.is_none() => Some(format!(
                "{named}: with {usual}, as nothing else is said; --line sets it"
            )),
            _ => None,
        };
        let (line, wait, named) = match known {
            Some(Known::Configured(port)) => {
                // The service knows an endpoint by host and port.
                let full = match (&meant, &port.line) {
                    (Named::Host(..), LineSpec::Tcp(tcp)) => format!("{}:{}", tcp.host, tcp.port),
                    _ => named.to_owned(),
                };
                (port.line, port.response_timeout, full)
            }
            Some(Known::Running(opens)) => {
                let line = match named_as(&opens) {
                    Named::Host(host, port) => tcp(host, port),
                    Named::File(_) | Named::Word => serial(opens.into(), usual),
                };
                let wait = usual_wait(&line);
                (line, wait, named.to_owned())
            }
            None => match meant {
                Named::File(path) => {
                    let full = path.display().to_string();
                    (serial(path, usual), SERIAL_WAIT, full)
                }
                Named::Host(host, port) => {
                    // The service knows an endpoint by host and port.
                    let full = format!("{host}:{port}");
                    (tcp(host, port), TCP_WAIT, full)
                }
                Named::Word => return Err(no_line(named, spec)),
            },
        };
        self.line(named, line, wait, assumed, socket.to_owned())
    }

    /// Returns the line with what the user has said about it.
    fn line(
        &self,
        named: String,
        mut line: LineSpec,
        wait: Duration,
        assumed: Option<String>,
        socket: PathBuf,
    ) -> Result<NamedLine, String> {
        let characters = match &self.line {
            None => None,
            Some(text) => Some(Characters::parse(text).ok_or_else(|| {
                format!("--line {text:?} is no setting of a line: it reads like 9600 8N1")
            })?),
        };
        let framing = self.framing.as_deref().map(|word| match word {
            "ascii" => Framing::Ascii,
            _ => Framing::Rtu,
        });
        match &mut line {
            LineSpec::Serial(serial) => {
                if let Some(characters) = characters {
                    *serial = serial.with_characters(characters);
                }
                serial.framing = framing.unwrap_or(serial.framing);
            }
            LineSpec::Tcp(_) if characters.is_some() => {
                return Err(format!(
                    "--line with {named}: a TCP connection has no such settings; those of the line behind a serial server are the server's"
                ));
            }
            LineSpec::Tcp(tcp) => tcp.framing = framing.or(tcp.framing),
        }
        let wait = self.wait.map_or(wait, Duration::from_millis);
        Ok(NamedLine {
            survey: SurveyLine::new(socket.clone(), named, line.clone()),
            socket,
            spec: line,
            characters,
            framing,
            wait: wait.min(LONGEST_WAIT),
            assumed,
        })
    }
}

/// Returns what the words of a user are, if they are not the name of a port.
fn named_as(text: &str) -> Named {
    if text.contains('/') {
        // Neither the service nor a configuration knows where the user is.
        let full = std::path::absolute(text);
        return Named::File(full.unwrap_or_else(|_| text.into()));
    }
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        // An address of IPv6 in brackets (RFC 3986 §3.2.2).
        Some((host, port)) => (host, port.strip_prefix(':')),
        None if text.matches(':').count() > 1 => (text, None),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let is_host = host.contains(['.', ':']) || host == "localhost" || port.is_some();
    let port = port.map_or(Some(MODBUS_TCP), |port| port.parse().ok());
    match port {
        Some(port) if is_host && port > 0 && !host.is_empty() => Named::Host(host.to_owned(), port),
        _ => Named::Word,
    }
}

/// Returns whether a line of the configuration opens what a user names.
fn opens(line: &LineSpec, meant: &Named) -> bool {
    match (line, meant) {
        (LineSpec::Serial(serial), Named::File(path)) => serial.path == *path,
        (LineSpec::Tcp(tcp), Named::Host(host, port)) => tcp.host == *host && tcp.port == *port,
        _ => false,
    }
}

/// Returns what the port of this name of the running service opens.
fn running(socket: &Path, named: &str) -> Option<String> {
    let request = Request::Status { every_ms: None };
    // A service that does not answer has no port; the first request on the line says so.
    match client::ask_quickly(socket, &request).ok()?.next()?.ok()? {
        Answer::Status(status) => {
            let mut ports = status.ports.into_iter();
            ports.find(|port| port.name == named).map(|port| port.line)
        }
        _ => None,
    }
}

fn no_line(named: &str, spec: Option<&Spec>) -> String {
    let names = spec.into_iter().flat_map(|spec| &spec.ports);
    let names = names.map(|port| port.name.as_str());
    let hint = did_you_mean(named, names).map_or(String::new(), |hint| format!(" ({hint})"));
    format!(
        "{named} is no port of the configuration or of the running service{hint}; a line is also a device file like /dev/ttyUSB0, or a host with its port like {named}:502"
    )
}

fn serial(path: PathBuf, characters: Characters) -> LineSpec {
    LineSpec::Serial(SerialSpec {
        path,
        baud: characters.baud,
        data_bits: characters.data_bits,
        parity: characters.parity,
        stop_bits: characters.stop_bits,
        framing: Framing::default(),
        adapter: Adapter::default(),
    })
}

fn tcp(host: String, port: u16) -> LineSpec {
    LineSpec::Tcp(TcpSpec {
        host,
        port,
        connect_timeout: Duration::from_secs(3),
        framing: None,
        behind: None,
        connection: ConnectionSpec::default(),
    })
}

const fn usual_wait(line: &LineSpec) -> Duration {
    match line {
        LineSpec::Serial(_) => SERIAL_WAIT,
        LineSpec::Tcp(_) => TCP_WAIT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::survey::SurveyQuestion;

    fn options() -> LineOptions {
        LineOptions {
            line: None,
            framing: None,
            wait: None,
            config: None,
        }
    }

    fn found(options: &LineOptions, named: &str) -> Result<NamedLine, String> {
        let nowhere = Path::new("/nonexistent/control.sock");
        options.found(named, None, nowhere, USUAL)
    }

    #[test]
    fn files_hosts_and_words_are_told_apart() {
        let host = |host: &str, port| Named::Host(host.into(), port);
        for (text, meant) in [
            ("/dev/ttyUSB0", Named::File("/dev/ttyUSB0".into())),
            ("./tty", Named::File(std::path::absolute("tty").unwrap())),
            ("192.168.1.10", host("192.168.1.10", 502)),
            ("192.168.1.10:1502", host("192.168.1.10", 1502)),
            ("plc-3:502", host("plc-3", 502)),
            ("plc-3.plant.example", host("plc-3.plant.example", 502)),
            ("localhost", host("localhost", 502)),
            ("fd00::12", host("fd00::12", 502)),
            ("[fd00::12]:1502", host("fd00::12", 1502)),
            ("[fd00::12]", host("fd00::12", 502)),
            ("line1", Named::Word),
            ("line1:x", Named::Word),
            ("plc:70000", Named::Word),
            ("", Named::Word),
        ] {
            assert_eq!(named_as(text), meant, "{text}");
        }
    }

    #[test]
    fn what_the_user_says_goes_before_what_is_usual() {
        let mut options = options();
        let line = found(&options, "/dev/ttyUSB0").unwrap();
        assert_eq!(line.wait, SERIAL_WAIT);
        assert!(line.assumed.unwrap().contains("9600 8N1"));
        options.line = Some("19200 8E1".into());
        options.framing = Some("ascii".into());
        options.wait = Some(250);
        let line = found(&options, "/dev/ttyUSB0").unwrap();
        assert_eq!(line.assumed, None);
        let LineSpec::Serial(serial) = &line.spec else {
            panic!("{:?}", line.spec);
        };
        assert_eq!(serial.characters().to_string(), "19200 8E1");
        assert_eq!(serial.framing, Framing::Ascii);
        let request = line.request(SurveyQuestion::Modbus {
            unit: crate::base::UnitId(1),
            pdu: vec![3, 0, 0, 0, 1],
        });
        assert_eq!(request.characters, Characters::parse("19200 8E1"));
        assert_eq!(request.framing, Some(Framing::Ascii));
        assert_eq!(request.wait, Duration::from_millis(250));
    }

    #[test]
    fn what_is_no_line_is_said() {
        let why = |options: &LineOptions, named: &str| match found(options, named) {
            Ok(line) => panic!("{}", line.spec),
            Err(why) => why,
        };
        let mut options = options();
        assert!(why(&options, "lien1").starts_with("lien1 is no port of"));
        options.line = Some("fast".into());
        assert!(why(&options, "/dev/ttyS0").starts_with("--line \"fast\" is no setting"));
        options.line = Some("9600".into());
        assert!(why(&options, "10.0.0.1").starts_with("--line with 10.0.0.1:502"));
    }
}
