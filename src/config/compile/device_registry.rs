//! All devices, and the names, units and identities that are taken.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::base::{PortId, UnitId};
use crate::config::protocols::placeholders::PlaceholderDevice;
use crate::config::reader::amount::{MOST_ASKED, MOST_DEVICES};
use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section, shown};
use crate::config::reader::tree::OriginId;
use crate::config::reader::word_parsers;
use crate::config::sections::access::AccessSource;
use crate::config::sections::profile::Profile;
use crate::config::sections::range::{fill, varies};
use crate::config::sections::secret::SecretSource;
use crate::spec::dlt645::MeterAddress;
use crate::spec::{BusAddress, Liveness, ProfileSpec, Protocol, Reads, SerialSpec};

/// A device without its secret, which is still to be read.
pub(crate) struct DeviceDraft {
    pub(crate) name: String,
    pub(crate) port: PortId,
    /// `None` if the address could not be read.
    pub(crate) address: Option<BusAddress>,
    pub(crate) profile: Arc<ProfileSpec>,
    pub(crate) product_key: String,
    pub(crate) device_name: String,
    pub(crate) secret: SecretSource,
    pub(crate) access: AccessSource,
    pub(crate) liveness: Liveness,
    pub(crate) response_timeout: Option<Duration>,
    pub(crate) turnaround: Duration,
    pub(crate) serial: Option<Arc<SerialSpec>>,
    pub(crate) at: OriginId,
}

/// All devices so far, and what they have taken.
#[derive(Default)]
pub(crate) struct DeviceRegistry {
    pub(crate) all: Vec<DeviceDraft>,
    names: BTreeMap<String, OriginId>,
    identities: BTreeMap<(String, String), OriginId>,
    units: BTreeMap<(PortId, AddressSpace, u8), (String, OriginId)>,
    meters: BTreeMap<(PortId, AddressSpace, String), (String, OriginId)>,
    /// Devices beyond the limit: where the first is, and how many there are.
    left_out: Option<(OriginId, usize)>,
    /// How many points and requests all devices together have.
    asked: usize,
    /// The first device whose profile makes that number too large.
    overasked: Option<OriginId>,
}

/// The group within which devices on a line could be mistaken for one another: all devices whose
/// protocol has a standard, or the devices of one profile without a standard.
type AddressSpace = Option<String>;

/// An entry: a device, or what the devices of a range have in common. A value that could not be
/// read is `None` and already noted.
pub(crate) struct Entry<'a> {
    pub(crate) s: Section<'a>,
    pub(crate) name: Option<String>,
    pub(crate) device_name: Option<String>,
    pub(crate) port: Option<PortId>,
    pub(crate) profile: Option<&'a Profile>,
    pub(crate) product_key: Option<String>,
    pub(crate) secret: SecretSource,
    pub(crate) access: AccessSource,
    pub(crate) liveness: Liveness,
    pub(crate) response_timeout: Option<Duration>,
    pub(crate) turnaround: Duration,
    pub(crate) address: Option<ProtocolAddress>,
    /// Whether the device is polled in frames of Modbus TCP although its protocol has no
    /// standard.
    pub(crate) carried: bool,
    pub(crate) serial: Option<Arc<SerialSpec>>,
}

/// The address of a device.
#[derive(Clone)]
pub(crate) enum ProtocolAddress {
    /// The address of a meter of DL/T 645.
    Dlt645(MeterAddress),
    /// Digits that stand in the requests of the device's profile.
    Digits(String),
}

impl std::fmt::Display for ProtocolAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ProtocolAddress::Dlt645(address) => address.fmt(f),
            ProtocolAddress::Digits(digits) => digits.fmt(f),
        }
    }
}

/// The problems of an entry that are already noted: a mistake in a range is one problem, not a
/// problem of each of its devices.
#[derive(Default)]
pub(crate) struct NotedProblems {
    spelling: bool,
    name: bool,
    identity: bool,
    unit: bool,
}

impl DeviceRegistry {
    /// Returns where the first device stands that was left out because there are too many.
    pub(crate) fn first_left_out(&self) -> Option<OriginId> {
        self.left_out.map(|(at, _)| at)
    }

    /// Returns how many devices were left out because there are too many.
    pub(crate) fn left_out(&self) -> usize {
        self.left_out.map_or(0, |(_, n)| n)
    }

    /// Returns where the first device stands with which all devices together have too many points
    /// and requests, and how many these are.
    pub(crate) fn overasked(&self) -> Option<(OriginId, usize)> {
        Some((self.overasked?, self.asked))
    }

    /// Returns whether there is room for one more device of this profile, which may have requests
    /// of its own for each device.
    fn has_room(&mut self, entry: &Entry<'_>) -> bool {
        let at = entry.s.origin;
        if self.all.len() >= MOST_DEVICES {
            self.left_out.get_or_insert((at, 0)).1 += 1;
            return false;
        }
        self.asked += entry.profile.map_or(0, |p| weight(&p.spec));
        if self.asked > MOST_ASKED {
            self.overasked.get_or_insert(at);
        }
        self.asked <= MOST_ASKED
    }

    /// Adds the device that `entry` makes with `unit`, or what is known of the device if its unit
    /// is not known; notes names, units and identities that are taken already. Stand-ins take the
    /// place of values that could not be read, so that the rest is checked all the same.
    pub(crate) fn add(
        &mut self,
        entry: &Entry<'_>,
        unit: Option<u8>,
        noted: &mut NotedProblems,
        notes: &mut Notes,
    ) {
        if !self.has_room(entry) {
            return;
        }
        // Patterns were tried when the entry was read. Without the unit, a pattern that varies
        // gives no name yet.
        let filled = |pattern: &String| match unit {
            Some(unit) => fill(pattern, unit).ok(),
            None => Some(pattern.clone()).filter(|p| !varies(p)),
        };
        let name = entry.name.as_ref().and_then(filled);
        let device_name = if entry.s.node("device_name").is_some() {
            entry.device_name.as_ref().and_then(filled)
        } else {
            name.clone()
        };
        if unit.is_none() {
            check_pattern(entry, noted, notes);
        }
        let identity = entry.product_key.clone().zip(device_name.clone());
        self.check_names(
            entry,
            name.as_deref(),
            device_name.as_deref(),
            identity.as_ref(),
            noted,
            notes,
        );
        if let (Some(port), Some(unit)) = (entry.port, unit) {
            self.check_unit(entry, port, unit, noted, notes);
        }

        if let (Some(port), Some(address)) = (entry.port, &entry.address) {
            self.check_address(entry, port, &address.to_string(), name.as_deref(), notes);
        }

        let at = entry.s.origin;
        if let Some(name) = &name {
            self.names.entry(name.clone()).or_insert(at);
        }
        if let Some(identity) = identity {
            self.identities.entry(identity).or_insert(at);
        }
        if let (Some(port), Some(unit)) = (entry.port, unit) {
            let taken = (name.clone().unwrap_or_default(), at);
            self.units
                .entry((port, entry.address_space(), unit))
                .or_insert(taken);
        }
        let profile = entry.profile_of(unit, notes);
        self.all.push(DeviceDraft {
            name: name.unwrap_or_default(),
            port: entry.port.unwrap_or(PortId(0)),
            address: entry.bus_address(unit),
            profile,
            product_key: entry.product_key.clone().unwrap_or_default(),
            device_name: device_name.unwrap_or_default(),
            secret: match unit {
                Some(unit) => entry.secret.of_unit(unit),
                None => entry.secret.fixed(),
            },
            access: entry.access.clone(),
            liveness: entry.liveness,
            response_timeout: entry.response_timeout,
            turnaround: entry.turnaround,
            serial: entry.serial.clone(),
            at,
        });
    }

    fn check_names(
        &self,
        entry: &Entry<'_>,
        name: Option<&str>,
        device_name: Option<&str>,
        identity: Option<&(String, String)>,
        noted: &mut NotedProblems,
        notes: &mut Notes,
    ) {
        let s = &entry.s;
        let written = s.node("device_name").is_some();
        let key = if written { "device_name" } else { "name" };
        if let Some(device_name) = device_name
            && let Err(wrong) = word_parsers::device_name(device_name)
            && !std::mem::replace(&mut noted.spelling, true)
        {
            let hint = "the name is also the DeviceName; give device_name: as well if they differ";
            let hint = (!written).then(|| hint.to_owned());
            notes.error(s.at(key), shown(device_name), wrong.maybe_hint(hint));
        }
        let taken = name.and_then(|n| Some((n, self.names.get(n)?)));
        if let Some((name, first)) = taken
            && !std::mem::replace(&mut noted.name, true)
        {
            let hint = format!("{} already has this name", notes.origins.line(*first));
            notes.error(
                s.at("name"),
                shown(name),
                Expectation::wanted("a name no other device has").hint(hint),
            );
        }
        // Where the name is the DeviceName too, a duplicate name is the same mistake.
        if let Some(identity) = identity.filter(|_| written || taken.is_none())
            && let Some(first) = self.identities.get(identity)
            && !std::mem::replace(&mut noted.identity, true)
        {
            let hint = format!("{} is already this device", notes.origins.line(*first));
            notes.error(
                s.at(key),
                format!("{}/{}", identity.0, identity.1),
                Expectation::wanted("a product_key and device_name no other device has").hint(hint),
            );
        }
    }

    fn check_address(
        &mut self,
        entry: &Entry<'_>,
        port: PortId,
        address: &str,
        name: Option<&str>,
        notes: &mut Notes,
    ) {
        let key = (port, entry.address_space(), address.to_owned());
        let Some((first, at)) = self.meters.get(&key) else {
            let taken = (name.unwrap_or_default().to_owned(), entry.s.origin);
            self.meters.insert(key, taken);
            return;
        };
        let line = notes.origins.line(*at);
        notes.error(
            entry.s.at("address"),
            address,
            Expectation::wanted("an address no other meter on the port has")
                .hint(format!("{first} ({line}) already has it")),
        );
    }

    fn check_unit(
        &self,
        entry: &Entry<'_>,
        port: PortId,
        unit: u8,
        noted: &mut NotedProblems,
        notes: &mut Notes,
    ) {
        let Some((first, at)) = self.units.get(&(port, entry.address_space(), unit)) else {
            return;
        };
        if std::mem::replace(&mut noted.unit, true) {
            return;
        }
        let line = notes.origins.line(*at);
        let who = match first.as_str() {
            "" => format!("the device in {line}"),
            first => format!("{first} ({line})"),
        };
        let hint = format!("{who} already has unit {unit} on this port");
        let alone = entry.s.node("unit").is_some();
        notes.error(
            entry.s.at(if alone { "unit" } else { "units" }),
            unit.to_string(),
            Expectation::wanted("a unit no other device on the port has").hint(hint),
        );
    }
}

impl Entry<'_> {
    fn address_space(&self) -> AddressSpace {
        let profile = self.profile?;
        match profile.spec.protocol {
            Protocol::Raw(_) => Some(profile.name.clone()),
            Protocol::Modbus | Protocol::Dlt645(_) => None,
        }
    }

    /// Returns the address of the device that this entry makes with `unit`.
    fn bus_address(&self, unit: Option<u8>) -> Option<BusAddress> {
        let unit = unit.map(UnitId);
        match self.profile?.spec.protocol {
            Protocol::Modbus => unit.map(BusAddress::Modbus),
            Protocol::Dlt645(_) => match self.address {
                Some(ProtocolAddress::Dlt645(address)) => Some(BusAddress::Dlt645(address)),
                Some(ProtocolAddress::Digits(_)) | None => None,
            },
            // Without a standard the address is part of the request.
            Protocol::Raw(_) => Some(BusAddress::Raw(unit.filter(|_| self.carried))),
        }
    }

    /// Returns the profile of the device that this entry makes with `unit`.
    fn profile_of(&self, unit: Option<u8>, notes: &mut Notes) -> Arc<ProfileSpec> {
        let Some(profile) = self.profile else {
            return nothing();
        };
        let zeros = "0".repeat(profile.patterns.digits());
        let who = PlaceholderDevice {
            unit: unit.unwrap_or_default(),
            address: match &self.address {
                Some(ProtocolAddress::Digits(digits)) => digits,
                Some(ProtocolAddress::Dlt645(_)) | None => &zeros,
            },
            carried: self.carried,
        };
        profile
            .patterns
            .of(&profile.spec, who)
            .unwrap_or_else(|why| {
                let wanted = Expectation::wanted("a profile whose requests can be filled in");
                notes.error(self.s.at("profile"), why.to_string(), wanted);
                profile.spec.clone()
            })
    }
}

/// Notes a pattern that gives a DeviceName with no unit. Such a pattern is wrong although the
/// units are not known: units have one to three digits.
fn check_pattern(entry: &Entry<'_>, noted: &mut NotedProblems, notes: &mut Notes) {
    let written = entry.s.node("device_name").is_some();
    let (key, pattern) = match written {
        true => ("device_name", &entry.device_name),
        false => ("name", &entry.name),
    };
    let Some(pattern) = pattern.as_ref().filter(|p| varies(p)) else {
        return;
    };
    let tries =
        [1, 10, 100].map(|unit| fill(pattern, unit).and_then(|n| word_parsers::device_name(&n)));
    if let [Err(_), Err(_), Err(wrong)] = tries
        && !std::mem::replace(&mut noted.spelling, true)
    {
        notes.error(entry.s.at(key), shown(pattern), wrong);
    }
}

/// Returns how many points and requests a device of this profile has, with the bytes that are
/// looked for in the replies.
fn weight(profile: &ProfileSpec) -> usize {
    let requests = match &profile.protocol {
        Protocol::Raw(questions) => questions.iter().map(|q| 1 + q.reply.fixed.len()).sum(),
        Protocol::Modbus | Protocol::Dlt645(_) => 0,
    };
    profile.points.len() + requests
}

/// Returns a stand-in for a profile that could not be found.
fn nothing() -> Arc<ProfileSpec> {
    Arc::new(ProfileSpec {
        protocol: Default::default(),
        name: String::new(),
        points: Vec::new(),
        max_registers: 125,
        reads: Reads::default(),
        writes: Default::default(),
        services: Vec::new(),
        events: Vec::new(),
        about: Default::default(),
    })
}
