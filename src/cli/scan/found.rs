//! What a scan has found, as a table and as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::base::UnitId;
use crate::base::text::counted;
use crate::cli::columns::{Row, Table, wrapped, written};
use crate::cli::language::Language;
use crate::field::survey::identify::KindMatch;
use crate::field::survey::meter_search::MeterSighting;
use crate::field::survey::unit_scan::{SightedReply, Sighting};
use crate::io::terminal::screen;
use crate::spec::dlt645::{self, Edition};
use crate::spec::{BusAddress, Certainty, Characters, LineSpec};

/// How many bytes of no frame are worth a word: fewer may be of an adapter that was just opened.
const NOISE: usize = 4;

/// The names of what devices say of themselves, by object (Modbus Application Protocol V1.1b3
/// §6.21), that are of use to people.
const OBJECTS: [u8; 5] = [0, 4, 5, 1, 2];

/// One line that was scanned.
#[derive(Debug)]
pub(super) struct Scanned {
    pub named: String,
    pub line: LineSpec,
    /// Whether the service has the line.
    pub is_shared: bool,
    pub found: Vec<FoundDevice>,
    /// The settings at which noise was heard and no device, with the number of bytes.
    pub noise: Vec<(String, usize)>,
    /// The settings that the adapter did not take, with those that it took instead.
    pub unlike: Vec<(String, String)>,
    /// The settings that the adapter refuses, with the reason.
    pub refused: Vec<(String, String)>,
    /// Settings at which the same devices answer as at the first ones: the line takes none.
    pub same_at: Option<(Characters, Characters)>,
    /// How often our own requests were heard back.
    pub echoes: usize,
    /// The units that were asked, as the user has named them; `None`: all that are usual.
    pub only_units: Option<String>,
    /// The settings that the user has said, so that no others were tried.
    pub only_at: Option<Characters>,
    /// Whether it was looked into what the devices are.
    pub is_identified: bool,
    /// Why the scan ended before its end.
    pub ended_early: Option<String>,
    /// How long the search took, …
    pub search: Duration,
    /// … and how long the whole.
    pub took: Duration,
}

/// The address of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FoundAddress {
    Unit(UnitId),
    Dlt645(dlt645::MeterAddress, Edition),
}

/// A device that was found.
#[derive(Clone, Debug)]
pub(super) struct FoundDevice {
    pub address: FoundAddress,
    /// The characters at which it answers, if they are not the line's own.
    pub at: Option<Characters>,
    pub turnaround: Duration,
    /// Whether it answered, and no frame could be read.
    pub is_garbled: bool,
    /// What it says of itself, by objects.
    pub says: BTreeMap<u8, String>,
    /// What it may be, the surest first.
    pub kinds: Vec<KindMatch>,
}

impl Scanned {
    pub(super) fn new(named: &str, line: LineSpec, is_shared: bool) -> Self {
        Scanned {
            named: named.to_owned(),
            line,
            is_shared,
            found: Vec::new(),
            noise: Vec::new(),
            unlike: Vec::new(),
            refused: Vec::new(),
            same_at: None,
            echoes: 0,
            only_units: None,
            only_at: None,
            is_identified: false,
            ended_early: None,
            search: Duration::ZERO,
            took: Duration::ZERO,
        }
    }

    /// Notes how much noise was heard at these characters, and how many devices were found.
    pub(super) fn note_noise(&mut self, at: Option<Characters>, bytes: usize, found: usize) {
        if bytes >= NOISE && found == 0 {
            let at = at.map_or_else(|| self.named.clone(), |at| at.to_string());
            self.noise.push((at, bytes));
        }
    }

    /// Notes what the adapter took instead of these settings.
    pub(super) fn note_settings(&mut self, at: &str, differ: Option<String>) {
        if let Some(what) = differ
            && self.unlike.iter().all(|(known, _)| known != at)
        {
            self.unlike.push((at.to_owned(), what));
        }
    }

    /// Returns the units that were found behind the first so many devices.
    pub(super) fn units_since(&self, known: usize) -> BTreeSet<UnitId> {
        let fresh = self.found.get(known..).unwrap_or_default().iter();
        let units = fresh.filter_map(|found| match found.address {
            FoundAddress::Unit(unit) => Some(unit),
            FoundAddress::Dlt645(..) => None,
        });
        units.collect()
    }

    /// Returns the settings of a device as people write them.
    fn settings(&self, found: &FoundDevice) -> String {
        match (found.at, &self.line) {
            (Some(at), _) => at.to_string(),
            (None, LineSpec::Serial(serial)) if !self.is_shared => serial.characters().to_string(),
            (None, _) => "its own".to_owned(),
        }
    }

    /// Returns what is to be known besides the devices: sentences.
    fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        if self.is_shared {
            notices.push(format!(
                "{}: asked through the service, between its polls and at its settings",
                self.named
            ));
        }
        for found in self.found.iter().filter(|found| found.is_garbled) {
            notices.push(format!(
                "{}: {} answers, and no frame of it can be read: two devices may have this address, or its parity differs; unplug one device, or scan at another --line",
                self.named,
                found.address_words()
            ));
        }
        for (at, bytes) in &self.noise {
            notices.push(format!(
                "{}: {} of no frame at {at}: devices with another speed or parity answer, A and B are swapped, or something disturbs the line",
                self.named,
                counted(*bytes, "byte")
            ));
        }
        for (at, what) in &self.unlike {
            notices.push(format!(
                "{}: searched at {at}, and the line had {what}: what answered there may not have the settings that are shown",
                self.named
            ));
        }
        for (at, why) in &self.refused {
            notices.push(format!(
                "{}: not searched at {at}: the adapter refuses these settings: {why}",
                self.named
            ));
        }
        if let Some((first, other)) = self.same_at {
            notices.push(format!(
                "{}: the same devices answer at {first} and at {other}: this line takes no settings, as that of a serial server; the settings of the devices are those of the server; --line tries others",
                self.named
            ));
        }
        if self.echoes > 0 {
            notices.push(format!(
                "{}: the adapter hears what it sends; its port needs echo: true",
                self.named
            ));
        }
        notices.extend(self.ended_early.clone());
        if self.found.is_empty() && self.ended_early.is_none() {
            let what = match (&self.line, self.noise.is_empty()) {
                (LineSpec::Serial(_), true) => {
                    "no device answered, and not a byte was heard: is the device powered, is A on A and B on B, is it on this port?"
                }
                (LineSpec::Serial(_), false) => "no device answered with a frame",
                (LineSpec::Tcp(_), _) => {
                    "the host is there, and no unit answered; --units asks others, such as those behind a gateway"
                }
            };
            notices.push(format!("{}: {what}", self.named));
            if let Some(units) = &self.only_units {
                notices.push(format!(
                    "{}: only units {units} were asked; without --units more are",
                    self.named
                ));
            }
            if let Some(at) = self.only_at {
                notices.push(format!(
                    "{}: only {at} was tried; without --line all usual settings are",
                    self.named
                ));
            }
        }
        notices
    }
}

impl FoundDevice {
    pub(super) fn unit(unit: UnitId, at: Option<Characters>, sighting: &Sighting) -> Self {
        FoundDevice {
            address: FoundAddress::Unit(unit),
            at,
            turnaround: sighting.turnaround,
            is_garbled: sighting.reply == SightedReply::Garbled,
            says: BTreeMap::new(),
            kinds: Vec::new(),
        }
    }

    pub(super) fn meter(
        meter: dlt645::MeterAddress,
        at: Option<Characters>,
        sighting: &MeterSighting,
    ) -> Self {
        FoundDevice {
            address: FoundAddress::Dlt645(meter, sighting.edition),
            at,
            turnaround: sighting.turnaround,
            is_garbled: false,
            says: BTreeMap::new(),
            kinds: Vec::new(),
        }
    }

    /// Returns the address on the line.
    pub(super) const fn bus_address(&self) -> BusAddress {
        match self.address {
            FoundAddress::Unit(unit) => BusAddress::Modbus(unit),
            FoundAddress::Dlt645(meter, _) => BusAddress::Dlt645(meter),
        }
    }

    /// Returns the address as people call it.
    pub(super) fn address_words(&self) -> String {
        match self.address {
            FoundAddress::Unit(unit) => format!("unit {}", unit.0),
            FoundAddress::Dlt645(meter, _) => format!("meter {meter}"),
        }
    }

    /// Returns the profile that fits, if one fits better than all others.
    pub(super) fn profile(&self) -> Option<&str> {
        let rank = |kind: &KindMatch| (kind.certainty, kind.why.len());
        let best = match self.kinds.as_slice() {
            [best] => best,
            [best, next, ..] if rank(best) > rank(next) => best,
            _ => return None,
        };
        (best.certainty > Certainty::Weak).then_some(best.profile.as_str())
    }

    /// Returns what the device is, as far as is known.
    fn what(&self) -> String {
        let says: Vec<&str> = OBJECTS
            .iter()
            .filter_map(|object| self.says.get(object))
            .map(String::as_str)
            .filter(|text| !text.is_empty())
            .collect();
        match self.address {
            _ if self.is_garbled => "not readable".to_owned(),
            FoundAddress::Dlt645(_, Edition::Y2007) => "DL/T 645-2007".to_owned(),
            FoundAddress::Dlt645(_, Edition::Y1997) => "DL/T 645-1997".to_owned(),
            FoundAddress::Unit(_) => says.join(" "),
        }
    }
}

/// Returns how sure a match is, in a word.
const fn certainty(certainty: Certainty) -> &'static str {
    match certainty {
        Certainty::Sure => "sure",
        Certainty::Likely => "likely",
        Certainty::Weak => "possible",
    }
}

/// Writes a profile with how sure it is, in a language.
fn sure(profile: &str, certain: Certainty, language: Language) -> String {
    let options = language.word(certainty(certain));
    match language {
        Language::English => format!("{profile} ({options})"),
        Language::Chinese => format!("{profile}（{options}）"),
    }
}

/// Writes what was found for people.
pub(super) fn text(all: &[Scanned], language: Language) -> String {
    let mut rows = Vec::new();
    for scanned in all {
        for found in &scanned.found {
            let best = found.kinds.first();
            let profile = match (found.profile(), best) {
                (Some(profile), Some(best)) => sure(profile, best.certainty, language),
                (None, Some(_)) => {
                    let names: Vec<_> = found.kinds.iter().map(|k| k.profile.as_str()).collect();
                    let names = language.say(&names.join(" or "));
                    sure(&names, Certainty::Weak, language)
                }
                (_, None) => String::new(),
            };
            let why = best.map(|best| best.why.join("; "));
            let mut row = Row::plain([
                scanned.named.clone(),
                language.say(&scanned.settings(found)),
                language.say(&found.address_words()),
                format!("{} ms", found.turnaround.as_millis()),
                language.say(&found.what()),
                profile,
            ]);
            row.below = why.map(|why| language.say(&why));
            rows.push(row);
        }
    }
    let width = screen::width();
    let mut text = String::new();
    if !rows.is_empty() {
        let table = Table {
            heads: language.heads(&[
                "LINE",
                "SETTINGS",
                "ADDRESS",
                "ROUND TRIP",
                "DEVICE",
                "PROFILE",
            ]),
            spare: language.heads(&["ROUND TRIP"]),
            // A part of an address is no address.
            whole: language.heads(&["ADDRESS"]),
            rows,
        };
        let has_colours = screen::has_colours(&std::io::stdout());
        text.push_str(&written(&table.lines(width), has_colours));
    }
    for notice in all.iter().flat_map(Scanned::notices) {
        for line in wrapped(&language.say(&notice), width) {
            text.push_str(&line);
            text.push('\n');
        }
    }
    text
}

/// Writes what was found for programs.
pub(super) fn json(all: &[Scanned]) -> String {
    let lines: Vec<Json> = all.iter().map(line_json).collect();
    format!("{:#}\n", json!({ "lines": lines }))
}

fn line_json(scanned: &Scanned) -> Json {
    let devices: Vec<Json> = scanned
        .found
        .iter()
        .map(|f| device_json(scanned, f))
        .collect();
    let noise = scanned.noise.iter();
    let noise: Vec<Json> = noise
        .map(|(at, bytes)| json!({ "settings": at, "bytes": bytes }))
        .collect();
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let settings = |all: &[(String, String)], what: &str| -> Vec<Json> {
        let one = |(at, text): &(String, String)| json!({ "settings": at, what: text });
        all.iter().map(one).collect()
    };
    json!({
        "line": scanned.named,
        "by_service": scanned.is_shared,
        "devices": devices,
        "noise": noise,
        "settings_differ": settings(&scanned.unlike, "differ"),
        "settings_refused": settings(&scanned.refused, "why"),
        "echoes": scanned.echoes,
        "search_ms": millis(scanned.search),
        "took_ms": millis(scanned.took),
    })
}

fn device_json(scanned: &Scanned, found: &FoundDevice) -> Json {
    let kinds: Vec<Json> = found
        .kinds
        .iter()
        .map(|kind| {
            json!({
                "profile": kind.profile,
                "certainty": certainty(kind.certainty),
                "why": kind.why,
            })
        })
        .collect();
    let (protocol, address) = match found.address {
        FoundAddress::Unit(unit) => ("modbus", json!(unit.0)),
        FoundAddress::Dlt645(meter, Edition::Y2007) => ("dlt645-2007", json!(meter.to_string())),
        FoundAddress::Dlt645(meter, Edition::Y1997) => ("dlt645-1997", json!(meter.to_string())),
    };
    json!({
        "protocol": protocol,
        "address": address,
        "settings": scanned.settings(found),
        "round_trip_us": u64::try_from(found.turnaround.as_micros()).unwrap_or(u64::MAX),
        "readable": !found.is_garbled,
        "says": found.says,
        "profiles": kinds,
    })
}
