//! `alink-gateway scan`: which devices are on a line, found by asking.
//!
//! The engines of `field/survey/` say what to ask; this file asks it on the line, shows how far
//! the scan is, and prints what answered.

#![expect(
    clippy::print_stderr,
    reason = "progress and notices do not belong to the result"
)]

mod found;
mod items;
mod snippet;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::PossibleValuesParser;

use self::found::{FoundAddress, FoundDevice, Scanned};
use super::init::first::product_key;
use super::language::Language;
use super::line::{LineOptions, NamedLine, USUAL};
use super::terminal_words::span;
use super::{EXIT_CONFIG, ServiceOptions};
use crate::base::UnitId;
use crate::base::text::counted;
use crate::field::survey::identify::Identify;
use crate::field::survey::meter_search::MeterSearch;
use crate::field::survey::scan_plan::{ScanPlan, Searched, Stage, UNITS};
use crate::field::survey::unit_scan::{SHORT_WAIT, SightedReply, UnitScan};
use crate::io::bus::line::serial_ports;
use crate::io::files::settings::{self, LoadContext};
use crate::io::survey_line::{SurveyError, Surveyed};
use crate::io::system::clock::Clock;
use crate::io::terminal::interrupt::Interrupt;
use crate::io::terminal::screen;
use crate::spec::survey::SurveyRequest;
use crate::spec::{Characters, Identification, LineSpec, Network};

/// How long each unit is waited for where nothing may be missed.
const THOROUGH_WAIT: Duration = Duration::from_millis(300);

/// How long each unit is waited for on a line of the service: a late reply would meet a poll.
const BESIDE_POLLS: Duration = Duration::from_millis(120);

/// How long a unit behind a host is waited for: a gateway waits for the unit itself first.
const BEHIND_A_HOST: Duration = Duration::from_millis(1500);

/// The shortest wait for a reply while a unit is identified, and the factor on what it took.
const IDENTIFYING: (Duration, u32) = (Duration::from_millis(150), 3);

/// The units that a host is asked for: a device of its own has 1 or 255, a gateway often 0
/// (Modbus Messaging on TCP/IP V1.0b §4.4.1.2).
const OF_A_HOST: [u8; 3] = [1, 255, 0];

/// The most hosts of a network that are asked.
const MOST_HOSTS: usize = 1024;

/// Where the package has its profiles.
const SHIPPED: &str = "/usr/share/alink-gateway/profiles/*.yaml";

/// How a line is scanned.
#[derive(Debug, clap::Args)]
pub struct ScanOptions {
    /// Which unit ids are asked, such as 1-20,30 [default: 1-247; of a host 1, 255 and 0].
    #[arg(long, value_name = "UNITS")]
    units: Option<String>,
    /// Which protocol is searched for [default: both on a serial line].
    #[arg(long, value_name = "PROTOCOL",
          value_parser = PossibleValuesParser::new(["modbus", "dlt645"]))]
    protocol: Option<String>,
    /// Wait 300 ms for each unit instead of 24: no slow device is missed, and 247 units take 80 s.
    #[arg(long)]
    thorough: bool,
    /// Do not find out what kind of device each one is.
    #[arg(long)]
    no_identify: bool,
    /// The profiles to compare with [default: those of the configuration, or of the package].
    #[arg(long, value_name = "PATTERN")]
    profiles: Option<String>,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Add the ports and devices that were found to this configuration file.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    write: Option<PathBuf>,
    /// The product of the devices that are written.
    #[arg(long, value_name = "KEY", requires = "write", value_parser = product_key)]
    product_key: Option<String>,
    #[command(flatten)]
    line: LineOptions,
}

/// Scans a line, all serial ports, or hosts, and prints what was found. Exit status 0 if a device
/// was found; 1 if none, or a line cannot be asked.
#[must_use]
pub(super) fn run(
    named: &str,
    options: &ScanOptions,
    service: &ServiceOptions,
    language: Language,
) -> ExitCode {
    let lines = match lines_of(named) {
        Ok(lines) => lines,
        Err(why) => {
            screen::print_error(&format!("{}\n", language.say(&why)));
            return ExitCode::from(2);
        }
    };
    let units = match options.units.as_deref().map(units_of).transpose() {
        Ok(units) => units,
        Err(why) => {
            screen::print_error(&format!("{}\n", language.say(&why)));
            return ExitCode::from(2);
        }
    };
    let kinds = match options.kinds(service) {
        Ok(kinds) => kinds,
        Err(why) => {
            screen::print_error(&language.say(&why));
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let interrupt = match Interrupt::catch() {
        Ok(interrupt) => interrupt,
        Err(e) => {
            screen::print_error(&format!("signals: {e}\n"));
            return ExitCode::FAILURE;
        }
    };
    let mut scan = Scan {
        options,
        kinds,
        units,
        interrupt,
        clock: Clock::system(),
        language,
        progress: ProgressLine::new(language),
        behind: Duration::ZERO,
    };
    let mut all = Vec::new();
    let mut is_failed = false;
    let is_many = lines.len() > 1;
    for line in &lines {
        let scanned = scan.line(line, service, is_many);
        scan.progress.clear();
        match scanned {
            Ok(scanned) => all.push(scanned),
            // Most addresses of a network have no host.
            Err(_) if is_many && named != "all" => {}
            Err(why) => {
                is_failed = true;
                screen::print_error(&format!("{}\n", language.say(&why)));
            }
        }
        if scan.interrupt.came() {
            eprintln!(
                "{}",
                language.say("stopped; this is what was found until then")
            );
            break;
        }
    }
    if all.is_empty() && is_many && !is_failed {
        // A network whose hosts all stay silent would print nothing at all.
        let asked = counted(lines.len(), "host");
        let why = format!("{named}: {asked} asked, and none is there");
        screen::print_error(&format!("{}\n", language.say(&why)));
    }
    let text = match options.json {
        true => found::json(&all),
        false => found::text(&all, language),
    };
    // The reader of the output may have closed it.
    let _ = screen::write(&text);
    if let Some(file) = &options.write {
        match snippet::write(file, &all, options.product_key.as_deref()) {
            Ok(said) => eprintln!("{}", language.say(&said)),
            Err(why) => {
                is_failed = true;
                screen::print_error(&format!("{}\n", language.say(&why)));
            }
        }
    }
    match all.iter().any(|scanned| !scanned.found.is_empty()) && !is_failed {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

impl ScanOptions {
    /// Returns the kinds of devices that are told apart.
    fn kinds(&self, service: &ServiceOptions) -> Result<Vec<(String, Identification)>, String> {
        if self.no_identify {
            return Ok(Vec::new());
        }
        let around = LoadContext::of_person();
        let profiles = match &self.profiles {
            Some(pattern) => settings::profile_in(pattern.as_ref(), &around)
                .map_err(|report| format!("{report}\n"))?,
            // Without profiles a scan finds devices all the same.
            None => settings::profiles(&self.line.config(service), &around)
                .or_else(|_| settings::profile_in(SHIPPED.as_ref(), &around))
                .unwrap_or_default(),
        };
        let kind = |profile: crate::config::NamedProfile| {
            let spec = profile.spec;
            (spec.name.to_string(), spec.about.identification.clone())
        };
        Ok(profiles.into_iter().map(kind).collect())
    }
}

/// A scan under way.
struct Scan<'a> {
    options: &'a ScanOptions,
    kinds: Vec<(String, Identification)>,
    units: Option<Vec<UnitId>>,
    interrupt: Interrupt,
    clock: Clock,
    language: Language,
    progress: ProgressLine,
    /// How long the steps behind the present one take at most.
    behind: Duration,
}

impl Scan<'_> {
    /// Scans one line.
    fn line(
        &mut self,
        named: &str,
        service: &ServiceOptions,
        is_quiet: bool,
    ) -> Result<Scanned, String> {
        let begun = self.clock.now().mono;
        let mut line = self.options.line.find(named, service, USUAL)?;
        let is_host = match &mut line.spec {
            LineSpec::Tcp(tcp) if is_quiet => {
                // A network of hosts, most of which are not there.
                tcp.connect_timeout = Duration::from_millis(500);
                line.reopen();
                true
            }
            LineSpec::Tcp(_) => true,
            LineSpec::Serial(_) => false,
        };
        let units = match &self.units {
            Some(units) => units.clone(),
            None if is_host => OF_A_HOST.map(UnitId).to_vec(),
            None => UNITS.map(UnitId).collect(),
        };
        let searched = Searched {
            modbus: self.options.protocol.as_deref() != Some("dlt645"),
            meters: self.options.protocol.as_deref() != Some("modbus") && !is_host,
        };
        self.progress.about(named);
        // The first request shows who has the line.
        let mut first = UnitScan::new(units.first().copied(), None, None, SHORT_WAIT);
        if let Some(request) = first.next_request() {
            line.survey.ask(&request).map_err(|e| told(&e))?;
        }
        if let Some(notice) = line.survey.take_notice() {
            eprintln!("{named}: {}", self.language.say(&notice));
        }
        let is_shared = line.survey.is_shared();
        let wait = match (self.options.thorough, is_host, is_shared) {
            (true, false, _) => THOROUGH_WAIT,
            (_, true, _) => BEHIND_A_HOST,
            (false, false, true) => BESIDE_POLLS,
            (false, false, false) => SHORT_WAIT,
        };
        let mut scanned = Scanned::new(named, line.spec.clone(), is_shared);
        let own = line.characters();
        scanned.only_units.clone_from(&self.options.units);
        scanned.only_at = own.filter(|_| !is_host);
        let mut plan = match (is_host || is_shared || own.is_some(), &line.spec) {
            (false, LineSpec::Serial(serial)) => {
                ScanPlan::of_any(Some(serial.characters()), &units, searched)
            }
            _ => ScanPlan::of_settings(own, &units, searched),
        };
        while let Some(stage) = plan.next_stage() {
            self.behind = plan.left(wait);
            let known = scanned.found.len();
            let searched = match &stage {
                Stage::Units(at, units) => self.units(&mut line, *at, units, wait, &mut scanned),
                Stage::Meters(at) => self.meters(&mut line, *at, &mut scanned),
            };
            // What was found until then is worth more than the reason alone.
            if let Err(why) = searched {
                scanned.ended_early = Some(why);
                break;
            }
            if let Stage::Units(at, _) = &stage
                && let Some(first) = plan.on_found(*at, scanned.units_since(known))
            {
                scanned.found.truncate(known);
                scanned.same_at = at.map(|at| (first, at));
            }
            if self.interrupt.came() || scanned.ended_early.is_some() {
                break;
            }
        }
        scanned.search = self.clock.now().mono.since(begun);
        let is_over = self.options.no_identify || scanned.ended_early.is_some();
        if !is_over && !self.interrupt.came() {
            match self.identify(&mut line, &mut scanned) {
                Ok(()) => scanned.is_identified = !self.interrupt.came(),
                Err(why) => scanned.ended_early = Some(why),
            }
        }
        if let LineSpec::Serial(serial) = &mut scanned.line
            && let Some(framing) = line.framing()
        {
            serial.framing = framing;
        }
        scanned.took = self.clock.now().mono.since(begun);
        Ok(scanned)
    }

    /// Searches units.
    fn units(
        &mut self,
        line: &mut NamedLine,
        at: Option<Characters>,
        units: &[UnitId],
        wait: Duration,
        scanned: &mut Scanned,
    ) -> Result<(), String> {
        let mut scan = UnitScan::new(units.iter().copied(), at, line.framing(), wait);
        let begun = self.clock.now().mono;
        while let Some(request) = scan.next_request() {
            if self.interrupt.came() {
                break;
            }
            let surveyed = match ask(line, &request) {
                Ok(surveyed) => surveyed,
                Err(QuestionFailure::Refused(why)) => {
                    scanned.refused.push((settings_of(at, scanned), why));
                    break;
                }
                Err(QuestionFailure::Over(why)) => {
                    scanned.ended_early = Some(why);
                    break;
                }
            };
            scanned.note_settings(&settings_of(at, scanned), surveyed.settings_differ.clone());
            scanned.echoes += surveyed.heard.echoes;
            let before = (surveyed.units_before.as_slice(), surveyed.noise_before);
            scan.on_heard(surveyed.sent, &surveyed.heard, before);
            let done = units.len() - scan.left();
            let spent = self.clock.now().mono.since(begun);
            let left = spent / u32::try_from(done.max(1)).unwrap_or(1)
                * u32::try_from(scan.left()).unwrap_or(u32::MAX);
            let at = settings_of(at, scanned);
            let found = scanned.found.len() + scan.found().len();
            let (all, secs) = (units.len(), left.as_secs() + 1);
            let text = match self.whole(left) {
                None => format!("{at}: unit {done} of {all}, {found} found, {secs} s left"),
                Some(whole) => format!(
                    "{at}: unit {done} of {all}, {found} found, {secs} s left, at most {whole} in all"
                ),
            };
            self.progress.show(&text);
        }
        scanned.note_noise(at, scan.noise_bytes(), scan.found().len());
        for (unit, sighting) in scan.found() {
            // A gateway that says that the unit does not answer is not the unit (§7: 0A, 0B).
            if matches!(sighting.reply, SightedReply::Exception(0x0A | 0x0B)) {
                continue;
            }
            scanned.found.push(FoundDevice::unit(*unit, at, sighting));
        }
        Ok(())
    }

    /// Returns how long this and all further steps take at most, in words; `None` if this is the
    /// last one.
    fn whole(&self, left: Duration) -> Option<String> {
        let whole = (left + self.behind).as_secs();
        (!self.behind.is_zero()).then(|| span(whole.saturating_add(1).saturating_mul(1000)))
    }

    /// Searches meters.
    fn meters(
        &mut self,
        line: &mut NamedLine,
        at: Option<Characters>,
        scanned: &mut Scanned,
    ) -> Result<(), String> {
        let mut search = MeterSearch::new(at);
        while let Some(request) = search.next_request() {
            if self.interrupt.came() {
                break;
            }
            let surveyed = match ask(line, &request) {
                Ok(surveyed) => surveyed,
                Err(QuestionFailure::Refused(why)) => {
                    scanned.refused.push((settings_of(at, scanned), why));
                    break;
                }
                Err(QuestionFailure::Over(why)) => return Err(why),
            };
            scanned.note_settings(&settings_of(at, scanned), surveyed.settings_differ.clone());
            search.on_heard(&surveyed.heard);
            let at = settings_of(at, scanned);
            let found = scanned.found.len() + search.found().len();
            let left = counted(search.left(), "question");
            let text = match self.whole(Duration::ZERO) {
                None => format!("{at}: meters of DL/T 645, {found} found, {left} left"),
                Some(whole) => format!(
                    "{at}: meters of DL/T 645, {found} found, {left} left, at most {whole} in all"
                ),
            };
            self.progress.show(&text);
        }
        for (meter, sighting) in search.found() {
            scanned.found.push(FoundDevice::meter(*meter, at, sighting));
        }
        Ok(())
    }

    /// Finds out what kind of device each unit is.
    fn identify(&mut self, line: &mut NamedLine, scanned: &mut Scanned) -> Result<(), String> {
        let total = scanned.found.len();
        for nth in 0..total {
            let (unit, at, took) = match &scanned.found[nth] {
                found if found.is_garbled => continue,
                FoundDevice {
                    address: FoundAddress::Unit(unit),
                    at,
                    turnaround,
                    ..
                } => (*unit, *at, *turnaround),
                FoundDevice { .. } => continue,
            };
            let least = match self.options.thorough {
                true => THOROUGH_WAIT,
                false => IDENTIFYING.0,
            };
            let wait = least.max(took * IDENTIFYING.1);
            let around = (at, line.framing());
            let mut identify = Identify::new(unit, around, wait, self.kinds.clone());
            let mut trips = Vec::new();
            while let Some(request) = identify.next_request() {
                if self.interrupt.came() {
                    return Ok(());
                }
                let surveyed = match ask(line, &request) {
                    Ok(surveyed) => surveyed,
                    // It took them before.
                    Err(QuestionFailure::Refused(why) | QuestionFailure::Over(why)) => {
                        return Err(why);
                    }
                };
                trips.extend(surveyed.heard.first_after);
                identify.on_heard(&surveyed.heard);
                self.progress.show(&format!(
                    "what they are: {} of {total}, {} left",
                    nth + 1,
                    counted(identify.left(), "question")
                ));
            }
            trips.sort_unstable();
            let found = &mut scanned.found[nth];
            // What it took while it was searched for may count the replies of others.
            found.turnaround = trips.get(trips.len() / 2).copied().unwrap_or(took);
            found.says = identify.identification_objects();
            found.kinds = identify.matches();
        }
        Ok(())
    }
}

/// Why a question could not be asked.
enum QuestionFailure {
    /// The adapter does not take the settings, and may take others; why not.
    Refused(String),
    /// No question can be asked on the line, in a sentence.
    Over(String),
}

/// How often a question is asked again that could not be asked.
const AGAIN: usize = 3;

/// Asks one question. It is asked again if the line did not fall quiet, or the service has no time
/// for it.
fn ask(line: &mut NamedLine, request: &SurveyRequest) -> Result<Surveyed, QuestionFailure> {
    for _ in 0..AGAIN {
        match line.survey.ask(request) {
            Ok(surveyed) if surveyed.is_sent => return Ok(surveyed),
            Err(e) if !e.is_busy() => return Err(not_asked(e)),
            Ok(_) | Err(_) => {}
        }
    }
    match line.survey.ask(request) {
        Ok(surveyed) if surveyed.is_sent => Ok(surveyed),
        Ok(_) => Err(QuestionFailure::Over(format!(
            "{}: the line does not fall quiet: another master may be on it",
            line.survey.named()
        ))),
        Err(e) => Err(not_asked(e)),
    }
}

fn not_asked(e: SurveyError) -> QuestionFailure {
    match e {
        SurveyError::Refused { why, .. } => QuestionFailure::Refused(why),
        e => QuestionFailure::Over(told(&e)),
    }
}

fn told(e: &SurveyError) -> String {
    e.to_string()
}

fn settings_of(at: Option<Characters>, scanned: &Scanned) -> String {
    match (at, &scanned.line) {
        (Some(at), _) => at.to_string(),
        (None, LineSpec::Serial(serial)) if !scanned.is_shared => serial.characters().to_string(),
        (None, _) => scanned.named.clone(),
    }
}

/// Returns the lines that a user means: one, all serial ports, or the hosts of a network.
fn lines_of(named: &str) -> Result<Vec<String>, String> {
    if named == "all" {
        let ports = serial_ports();
        return match ports.is_empty() {
            true => Err("all: this machine has no serial port; is the adapter plugged in?".into()),
            false => Ok(ports),
        };
    }
    let Some((address, rest)) = named
        .split_once('/')
        .filter(|_| !named.starts_with(['/', '.']))
    else {
        return Ok(vec![named.to_owned()]);
    };
    let (bits, port) = match rest.split_once(':') {
        Some((bits, port)) => (bits, format!(":{port}")),
        None => (rest, ":502".to_owned()),
    };
    let network = Network::parse(&format!("{address}/{bits}"));
    let hosts = network.and_then(|network| network.hosts(MOST_HOSTS));
    let hosts = hosts.ok_or_else(|| {
        format!(
            "{named} is no network of IPv4 with at most {}, such as 192.168.1.0/24 or 192.168.1.0/24:502",
            counted(MOST_HOSTS, "host")
        )
    })?;
    Ok(hosts
        .into_iter()
        .map(|host| format!("{host}{port}"))
        .collect())
}

/// Reads unit ids: `1-20,30`.
fn units_of(text: &str) -> Result<Vec<UnitId>, String> {
    let wrong = || format!("--units {text}: wanted unit ids from 0 to 255, such as 1-20,30");
    let mut units = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first: u8 = first.trim().parse().map_err(|_| wrong())?;
        let last: u8 = last.trim().parse().map_err(|_| wrong())?;
        if first > last {
            return Err(wrong());
        }
        units.extend((first..=last).map(UnitId));
    }
    Ok(units)
}

/// One line on standard error that says how far a scan is.
struct ProgressLine {
    language: Language,
    is_shown: bool,
    named: String,
    width: usize,
}

impl ProgressLine {
    fn new(language: Language) -> Self {
        ProgressLine {
            language,
            is_shown: screen::shows_progress(),
            named: String::new(),
            width: 0,
        }
    }

    fn about(&mut self, named: &str) {
        named.clone_into(&mut self.named);
    }

    fn show(&mut self, what: &str) {
        if self.is_shown {
            let text = format!("{}: {}", self.named, self.language.say(what));
            let width = super::columns::width(&text);
            let rest = self.width.saturating_sub(width);
            eprint!("\r{text}{:rest$}", "");
            self.width = width;
        }
    }

    fn clear(&mut self) {
        if self.is_shown && self.width > 0 {
            eprint!("\r{:width$}\r", "", width = self.width);
            self.width = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_as_people_write_them() {
        let ids = |text| units_of(text).map(|units| units.iter().map(|u| u.0).collect::<Vec<_>>());
        assert_eq!(ids("1-3,7, 247"), Ok(vec![1, 2, 3, 7, 247]));
        for wrong in ["", "x", "3-1", "256", "1-"] {
            assert!(ids(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_network_is_its_hosts() {
        let hosts = lines_of("192.168.1.0/30").unwrap();
        assert_eq!(hosts, ["192.168.1.1:502", "192.168.1.2:502"]);
        let hosts = lines_of("10.0.0.4/31:1502").unwrap();
        assert_eq!(hosts, ["10.0.0.4:1502", "10.0.0.5:1502"]);
        assert_eq!(lines_of("/dev/ttyUSB0").unwrap(), ["/dev/ttyUSB0"]);
        assert_eq!(lines_of("10.0.0.1").unwrap(), ["10.0.0.1"]);
        for wrong in ["10.0.0.0/8", "10.0.0.0/x", "plc/24"] {
            assert!(lines_of(wrong).is_err(), "{wrong}");
        }
    }
}
