//! `alink-gateway read`: values of a device, asked for now.
//!
//! The verb reads either values of a device that is in no configuration, by port, unit and address,
//! or points of a device of the configuration, by its own plan. Both go through the running service
//! if it has the line. The verb `devices` shows what the service holds already.

mod advice;
mod shown;
mod typed_points;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

pub(super) use self::shown::{ValueRow, field, reasons, table, values};
use super::language::Language;
use super::line::{LineOptions, NamedLine, USUAL, USUAL_OF_METERS};
use super::terminal_words::line as one_line;
use super::{EXIT_CONFIG, ServiceOptions};
use crate::base::text::hex;
use crate::base::{DeviceName, PortId, ProductKey, Secret, UnitId};
use crate::config::did_you_mean;
use crate::field::survey::read::{PointReader, ReadFigures};
use crate::io::files::settings::{self, LoadContext};
use crate::io::survey_line::{SurveyError, Surveyed};
use crate::io::terminal::screen;
use crate::spec::dlt645::MeterAddress;
use crate::spec::survey::SurveyRequest;
use crate::spec::{BusAddress, DeviceSpec, LineBudget, Liveness, PortSpec, Spec};

/// Which device is read, and how the values are shown.
#[derive(Debug, Args)]
pub(super) struct ReadOptions {
    /// The unit id of a Modbus device on the line.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..), conflicts_with = "meter")]
    unit: Option<u8>,
    /// The address of a DL/T 645 meter on the line: twelve digits; `any` if it is alone there.
    #[arg(long, value_name = "ADDRESS")]
    meter: Option<String>,
    #[command(flatten)]
    line: LineOptions,
    /// Show every byte that is sent and received.
    #[arg(long)]
    pub bytes: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    pub json: bool,
    /// Print CSV instead of a table.
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
}

/// Why values cannot be read, and the exit status.
pub(super) struct NotReadable {
    why: String,
    status: u8,
}

impl NotReadable {
    pub(super) fn system(e: std::io::Error) -> Self {
        NotReadable {
            why: e.to_string(),
            status: 1,
        }
    }

    const fn misused(why: String) -> Self {
        NotReadable { why, status: 2 }
    }

    /// Prints why; returns the exit status.
    pub(super) fn print_error(&self, language: Language) -> ExitCode {
        screen::print_error(&format!("{}\n", language.say(self.why.trim_end())));
        ExitCode::from(self.status)
    }
}

impl From<SurveyError> for NotReadable {
    fn from(e: SurveyError) -> Self {
        NotReadable {
            why: e.to_string(),
            status: 1,
        }
    }
}

/// A device whose values are read.
pub(super) struct Target {
    pub line: NamedLine,
    port: PortSpec,
    device: DeviceSpec,
    wanted: BTreeSet<u16>,
    /// How each point is named: the name, and its type or place.
    names: Vec<(String, String)>,
    /// Whether the device is one of the configuration.
    is_configured: bool,
    notes: Vec<String>,
}

/// The bytes of one request.
#[derive(Clone, Debug)]
pub(super) struct Exchanged {
    pub sent: Vec<u8>,
    pub received: Vec<u8>,
    pub after: Option<Duration>,
}

/// One reading of all values.
pub(super) struct Round {
    pub rows: Vec<ValueRow>,
    pub exchanges: Vec<Exchanged>,
}

impl Round {
    /// Returns whether every value was read.
    pub(super) fn is_whole(&self) -> bool {
        self.rows.iter().all(|row| row.why.is_none())
    }
}

/// Reads the values once. Exit status 0 if every value was read, 1 if one was not, 2 if the words
/// are wrong, 78 if there is no such configuration.
#[must_use]
pub(super) fn run(
    what: &str,
    points: &[String],
    options: &ReadOptions,
    service: &ServiceOptions,
    language: Language,
) -> ExitCode {
    let read = Target::find(what, points, options, service).and_then(|mut target| {
        target.tell_notes(language);
        let round = target.round(&mut ReadFigures::default());
        target.tell_line(language);
        Ok(round?)
    });
    let round = match read {
        Ok(round) => round,
        Err(why) => return why.print_error(language),
    };
    let text = match (options.json, options.csv) {
        (true, _) => shown::json(&round, options.bytes),
        (_, true) => {
            if options.bytes {
                screen::print_error(&bytes(&round, language));
            }
            shown::csv(&round.rows)
        }
        (false, false) => {
            let bytes = match options.bytes {
                true => bytes(&round, language),
                false => String::new(),
            };
            format!("{bytes}{}", table(&round.rows, language))
        }
    };
    // The reader of the output may have closed it.
    let _ = screen::write(&text);
    match round.is_whole() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Writes every byte, in the manner of `trace --bytes`.
pub(super) fn bytes(round: &Round, language: Language) -> String {
    let mut text = String::new();
    for exchanged in &round.exchanges {
        text.push_str(&format!("→ {}\n", hex(&exchanged.sent)));
        let answer = match (&exchanged.received[..], exchanged.after) {
            ([], _) => language.say("· no reply"),
            (received, None) => format!("← {}", hex(received)),
            (received, Some(after)) => {
                let ms = after.as_secs_f64() * 1000.0;
                format!("← {}  · {ms:.1} ms", hex(received))
            }
        };
        text.push_str(&answer);
        text.push('\n');
    }
    text
}

impl Target {
    /// Finds the device that a user names, and the values to be read.
    pub(super) fn find(
        what: &str,
        points: &[String],
        options: &ReadOptions,
        service: &ServiceOptions,
    ) -> Result<Target, NotReadable> {
        match (options.unit, &options.meter) {
            (None, None) => Target::configured(what, points, options, service),
            (unit, meter) => Target::typed(what, points, unit, meter.as_deref(), options, service),
        }
    }

    /// Returns the device at an address of a line.
    fn typed(
        what: &str,
        points: &[String],
        unit: Option<u8>,
        meter: Option<&str>,
        options: &ReadOptions,
        service: &ServiceOptions,
    ) -> Result<Target, NotReadable> {
        let usual = if meter.is_some() {
            USUAL_OF_METERS
        } else {
            USUAL
        };
        let line = options
            .line
            .find(what, service, usual)
            .map_err(NotReadable::misused)?;
        let address = match (unit, meter) {
            (Some(unit), _) => BusAddress::Modbus(UnitId(unit)),
            (None, Some("any")) => BusAddress::Dlt645(MeterAddress::ANY),
            (None, meter) => {
                let text = meter.unwrap_or_default();
                let address = MeterAddress::parse_wildcard(text).map_err(|_| {
                    let why = format!(
                        "--meter {text:?} is no address of a meter: it has twelve digits, or AA in place of two of them"
                    );
                    NotReadable::misused(why)
                })?;
                BusAddress::Dlt645(address)
            }
        };
        if meter.is_some() && line.spec.framing().is_none() {
            let why = format!(
                "{what}: a meter is on a serial line; if there is a serial server in front of it, say --framing rtu"
            );
            return Err(NotReadable::misused(why));
        }
        let typed = match meter {
            None => typed_points::of_modbus(points),
            Some(_) => typed_points::of_meter(points),
        };
        let typed = typed.map_err(NotReadable::misused)?;
        let device = DeviceSpec {
            name: what.to_owned(),
            port: PortId(0),
            address,
            serial: None,
            profile: Arc::new(typed.profile),
            product_key: ProductKey::new(""),
            device_name: DeviceName::new(""),
            secret: Secret::new(""),
            access: None,
            liveness: Liveness {
                missed: 3,
                quiet: Duration::from_secs(3),
                returns: 2,
            },
            response_timeout: None,
            turnaround: Duration::ZERO,
        };
        let port = PortSpec {
            name: what.to_owned(),
            line: line.spec.clone(),
            response_timeout: line.wait,
            budget: LineBudget {
                // No other request waits.
                longest_request: Duration::from_secs(10),
                ..LineBudget::default()
            },
        };
        let all = u16::try_from(device.profile.points.len()).unwrap_or(u16::MAX);
        Ok(Target {
            line,
            port,
            device,
            wanted: (0..all).collect(),
            names: typed.names,
            is_configured: false,
            notes: typed.notes,
        })
    }

    /// Returns a device of the configuration.
    fn configured(
        what: &str,
        points: &[String],
        options: &ReadOptions,
        service: &ServiceOptions,
    ) -> Result<Target, NotReadable> {
        let file = options.line.config(service);
        let loaded = settings::load_whatever_the_load(&file, &LoadContext::of_person());
        let spec = match loaded {
            Ok(loaded) => loaded.spec,
            Err(report) => {
                return Err(match typed_points::is_path(what) {
                    true => NotReadable::misused(no_unit(what)),
                    false => NotReadable {
                        why: report.to_string(),
                        status: EXIT_CONFIG,
                    },
                });
            }
        };
        let device = spec.devices.iter().find(|device| device.name == what);
        let device = device.ok_or_else(|| NotReadable::misused(no_device(what, &spec)))?;
        let missing = || NotReadable::misused(no_device(what, &spec));
        let port = spec
            .ports
            .get(usize::from(device.port.0))
            .ok_or_else(missing)?;
        let all = &device.profile.points;
        let mut wanted = BTreeSet::new();
        for name in points {
            let index = all.iter().position(|point| point.id == *name);
            let index = index.and_then(|index| u16::try_from(index).ok());
            wanted.insert(index.ok_or_else(|| NotReadable::misused(no_point(name, device)))?);
        }
        if points.is_empty() {
            wanted.extend(0..u16::try_from(all.len()).unwrap_or(u16::MAX));
        }
        let mut line = options
            .line
            .of_port(port, service)
            .map_err(NotReadable::misused)?;
        if let Some(timeout) = device.response_timeout
            && line.wait == port.response_timeout
        {
            line.wait = timeout.min(crate::spec::survey::LONGEST_WAIT);
        }
        let names = all
            .iter()
            .map(|p| (p.id.clone(), shown::place(p, &device.profile)));
        Ok(Target {
            line,
            names: names.collect(),
            port: port.clone(),
            device: device.clone(),
            wanted,
            is_configured: true,
            notes: Vec::new(),
        })
    }

    /// Prints on standard error how the words of the user were understood.
    pub(super) fn tell_notes(&mut self, language: Language) {
        for note in std::mem::take(&mut self.notes) {
            screen::print_error(&format!("{}\n", language.say(note.trim_end())));
        }
    }

    /// Prints on standard error what is to be known about the line, once it is open.
    pub(super) fn tell_line(&mut self, language: Language) {
        for notice in self.line.take_notices() {
            screen::print_error(&format!("{}\n", language.say(&notice)));
        }
    }

    /// Reads all values once.
    ///
    /// # Errors
    /// The line cannot be used.
    pub(super) fn round(&mut self, figures: &mut ReadFigures) -> Result<Round, SurveyError> {
        let wanted = &self.wanted;
        let mut reader =
            PointReader::new(&self.port, &self.device, |point| wanted.contains(&point));
        let mut exchanges = Vec::new();
        while let Some(question) = reader.question() {
            let mut request: SurveyRequest = self.line.request(question.clone());
            if request.characters.is_none() {
                let serial = self.device.serial.as_ref();
                request.characters = serial.map(|serial| serial.characters());
            }
            let said = self.line.survey.ask(&request)?;
            figures.on_heard(&question, &said.heard);
            let may_be_stale = said.may_be_stale || self.spoke_before(&said);
            reader.on_heard(&said.heard, said.is_sent, may_be_stale);
            let exchanged = Exchanged {
                sent: if said.is_sent {
                    said.heard.sent
                } else {
                    Vec::new()
                },
                received: said.heard.bytes,
                after: said.heard.first_after,
            };
            exchanges.push(exchanged);
        }
        let rows = reader.points().iter().filter_map(|(index, read)| {
            let point = self.device.profile.points.get(usize::from(*index))?;
            let (name, kind) = self.names.get(usize::from(*index))?;
            let place = self.device.place().unwrap_or_default();
            let silent = advice::Silent {
                wait: self.line.wait,
                line: &self.port.line,
                address: self.device.address,
                device: self.is_configured.then_some(&*self.device.name),
            };
            Some(ValueRow::new((name, kind), &place, point, read, &silent))
        });
        Ok(Round {
            rows: rows.collect(),
            exchanges,
        })
    }

    /// Returns whether a reply of this device came before the request was sent: what came after it
    /// may be another such.
    fn spoke_before(&self, said: &Surveyed) -> bool {
        match self.device.address {
            BusAddress::Modbus(unit) => said.units_before.contains(&unit),
            BusAddress::Dlt645(_) | BusAddress::Raw(_) => false,
        }
    }
}

fn no_unit(what: &str) -> String {
    format!(
        "{what}: which device on the line? --unit N names one of Modbus, --meter ADDRESS one of DL/T 645"
    )
}

fn no_device(what: &str, spec: &Spec) -> String {
    if typed_points::is_path(what) || spec.ports.iter().any(|port| port.name == what) {
        return no_unit(what);
    }
    let names = spec.devices.iter().map(|device| device.name.as_str());
    match did_you_mean(what, names) {
        Some(hint) => format!("no device is called {what:?}: {hint}"),
        None => format!(
            "no device is called {what:?}; one that is in no configuration is named by its port, with --unit or --meter"
        ),
    }
}

fn no_point(name: &str, device: &DeviceSpec) -> String {
    let ids: Vec<&str> = device
        .profile
        .points
        .iter()
        .map(|p| p.id.as_str())
        .collect();
    let hint = did_you_mean(name, ids.iter().copied())
        .unwrap_or_else(|| format!("it has {}", ids.join(", ")));
    one_line(&format!("{} has no point {name:?}: {hint}", device.name))
}
