//! `devices:` and the rows of `devices_file:`: the place of each device on the field buses, and
//! its identity on the platform.

use std::time::Duration;

use super::access::AccessSource;
use super::port::{Ports, own_settings, response_time};
use super::port_for_profile;
use super::profile::{Profile, Profiles, Variants};
use super::range;
use super::secret::{self, SecretSource};
use super::unit;
use crate::base::PortId;
use crate::config::compile::device_registry::{
    DeviceRegistry, Entry, NotedProblems, ProtocolAddress,
};
use crate::config::protocols::dlt645;
use crate::config::protocols::placeholders;
use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section, shown};
use crate::config::reader::suggestions;
use crate::config::reader::tree::{Node, NodeContent};
use crate::config::reader::word_parsers::{choice, name, product_key, time, whole};
use crate::spec::{CommandSpec, Liveness, Protocol};

const KEYS: [&str; 23] = [
    "name",
    "port",
    "unit",
    "units",
    "profile",
    "product_key",
    "device_name",
    "secret",
    "secret_file",
    "secret_credential",
    "register",
    "liveness",
    "response_timeout",
    "turnaround",
    "address",
    "serial",
    "write_password",
    "write_password_file",
    "write_password_credential",
    "operator_code",
    "operator_code_file",
    "operator_code_credential",
    "parameters",
];

/// Reads one entry, which may describe many devices. `all_profiles` is false if some profile
/// could not be read, so that an unknown name is not reported.
pub(crate) fn read(
    node: &Node,
    ports: &Ports,
    (profiles, variants): (&Profiles, &Variants),
    all_profiles: bool,
    registry: &mut DeviceRegistry,
    notes: &mut Notes,
) {
    let s = Section::open(node, &KEYS, notes);
    if !s.is_there() {
        return;
    }
    let pattern = s.need(
        "name",
        pattern,
        || Expectation::wanted("a name for the device"),
        notes,
    );
    let port = port(&s, ports, notes);
    let profile = profile(&s, profiles, all_profiles, notes).map(|profile| {
        let values = profile.parameters.of_device(&s, notes);
        values.map_or(profile, |values| variants.find(profile, values))
    });
    let line = port.and_then(|p| ports.all.get(p.index())).map(|p| &p.line);
    let protocol = profile.map(|p| &p.spec.protocol);
    let serial = own_settings(&s, line, notes);
    let may_be_carried = match protocol {
        Some(Protocol::Raw(_)) => true,
        Some(Protocol::Modbus | Protocol::Dlt645(_)) | None => false,
    };
    let carried = may_be_carried && line.is_some_and(|line| line.framing().is_none());
    let (units, address) = match protocol {
        // Which of them its protocol wants is not known, and one of them is there.
        None if s.node("address").is_some() && s.node("unit").or(s.node("units")).is_none() => {
            (Vec::new(), None)
        }
        None | Some(Protocol::Modbus) => {
            if protocol.is_some() {
                no_key(&s, "address", "Modbus devices have a unit", notes);
            }
            (unit::of(&s, line, notes), None)
        }
        Some(other @ (Protocol::Dlt645(_) | Protocol::Raw(_))) => {
            port_for_profile::check(&s, line, serial.as_deref(), profile, notes);
            let address = own_address(&s, profile, other, notes);
            if carried {
                (unit::of(&s, line, notes), address)
            } else if profile.is_some_and(|p| p.patterns.need_unit()) {
                // Every number that fits into a byte: there is no standard.
                (unit::of(&s, None, notes), address)
            } else {
                let what = match other {
                    Protocol::Dlt645(_) => "DL/T 645 meters have an address",
                    Protocol::Modbus | Protocol::Raw(_) => {
                        "no request of the profile has {unit} in it"
                    }
                };
                no_key(&s, "unit", what, notes);
                no_key(&s, "units", what, notes);
                (Vec::new(), address)
            }
        }
    };
    let meter = match address {
        Some(ProtocolAddress::Dlt645(address)) => Some(address),
        Some(ProtocolAddress::Digits(_)) | None => None,
    };
    let access = AccessSource::of_device(&s, profile.map(|p| (&*p.spec, &p.access)), meter, notes);
    let product = product(&s, profile, notes);
    let secret = if registers(&s, notes) {
        SecretSource::Missing
    } else {
        secret::source(&s, notes)
    };
    let slowest = profile.map(|p| p.spec.slowest_interval());
    let secret = match secret {
        SecretSource::File(name, at) | SecretSource::Credential(name, at)
            if range::fill(&name, 0).is_err() =>
        {
            if let Err(wrong) = range::fill(&name, 0) {
                notes.error(at, shown(&name), wrong);
            }
            SecretSource::Missing
        }
        fine => fine,
    };
    let mut entry = Entry {
        name: pattern,
        // Whether the platform accepts the name is checked for each device.
        device_name: s.read(
            "device_name",
            |text| range::fill(text, 0).map(|_| text.to_owned()),
            notes,
        ),
        port,
        profile,
        product_key: product,
        secret,
        access,
        liveness: liveness(&s, slowest.unwrap_or_default(), notes),
        response_timeout: s.read("response_timeout", response_time, notes),
        turnaround: s
            .read(
                "turnaround",
                time(Duration::ZERO..=Duration::from_secs(10)),
                notes,
            )
            .unwrap_or_default(),
        address,
        carried,
        serial,
        s,
    };
    let mut told = NotedProblems::default();
    if units.len() > 1 {
        range_makes_sense(&mut entry, notes);
    }
    if units.is_empty() {
        // The wrong unit is already noted; the rest is checked without it.
        registry.add(&entry, None, &mut told, notes);
    }
    for unit in units {
        registry.add(&entry, Some(unit), &mut told, notes);
    }
}

/// Adds the profile of a device that gives values to its parameters. What is wrong with the values
/// is noted when the device is read.
pub(crate) fn variant(
    node: &Node,
    profiles: &Profiles,
    commands: CommandSpec,
    variants: &mut Variants,
    notes: &mut Notes,
) {
    let s = Section::again(node);
    let Some(NodeContent::Text(name)) = s.node("profile").map(|node| &node.is) else {
        return;
    };
    if let Some(profile) = profiles.get(name)
        && let Some(values) = profile.parameters.of_device(&s, &mut Notes::default())
    {
        variants.add(profile, values, commands, notes);
    }
}

/// Notes a key that means nothing with the protocol of the device's profile.
fn no_key(s: &Section<'_>, key: &str, why: &str, notes: &mut Notes) {
    if s.node(key).is_some() {
        let wrong = Expectation::wanted(format!("no {key} for this profile")).hint(why);
        notes.error(s.at(key), key, wrong);
    }
}

/// Reads a meter's address, or that of a device whose profile has a place for an address.
fn own_address(
    s: &Section<'_>,
    profile: Option<&Profile>,
    protocol: &Protocol,
    notes: &mut Notes,
) -> Option<ProtocolAddress> {
    let of_raw = profile
        .map(|p| &p.patterns)
        .filter(|patterns| patterns.need_address());
    match (protocol, of_raw) {
        (Protocol::Dlt645(_), _) => {
            let missing = || placeholders::wanted_address(placeholders::DIGITS);
            let address = s.need("address", dlt645::address, missing, notes);
            return address.map(ProtocolAddress::Dlt645);
        }
        (Protocol::Raw(_), Some(patterns)) => {
            let digits = patterns.digits();
            let missing = || placeholders::wanted_address(digits);
            let address = s.need("address", placeholders::address(digits), missing, notes);
            return address.map(ProtocolAddress::Digits);
        }
        (Protocol::Raw(_), None) => {
            let why = "no request of the profile has {address} in it";
            no_key(s, "address", why, notes);
        }
        (Protocol::Modbus, _) => no_key(s, "address", "only DL/T 645 meters have one", notes),
    }
    None
}

/// Returns whether the platform hands out the device's secret, so that the configuration gives
/// none.
fn registers(s: &Section<'_>, notes: &mut Notes) -> bool {
    let words = [("true", true), ("false", false)];
    match s.read("register", choice(&words), notes) {
        Some(true) => {}
        Some(false) => return false,
        // A value that could not be read is already noted; the lack of a secret is not reported
        // then.
        None => return s.node("register").is_some(),
    }
    if let Some((key, node)) = secret::KEYS.iter().find_map(|k| Some((*k, s.node(k)?))) {
        notes.error(
            node.origin,
            format!("{key} beside register: true"),
            Expectation::wanted("only one of them")
                .hint("register: true asks the platform for the secret and keeps it"),
        );
    }
    true
}

/// Parses a name that may contain `{unit}`.
fn pattern(text: &str) -> Result<String, Expectation> {
    range::fill(text, 0)?;
    name(text)
}

fn port(s: &Section<'_>, ports: &Ports, notes: &mut Notes) -> Option<PortId> {
    if !ports.complete && s.node("port").is_some() {
        let text = s.text("port", "the name of a port", notes)?;
        return ports.by_name.get(text).map(|(id, _)| *id);
    }
    let known = || ports.by_name.keys().map(String::as_str);
    let full = notes.is_full();
    let parse = |text: &str| {
        ports.by_name.get(text).map(|(id, _)| *id).ok_or_else(|| {
            if ports.by_name.is_empty() {
                return Expectation::wanted("the name of a port")
                    .hint("there is no port under ports: yet");
            }
            let meant =
                || suggestions::did_you_mean(text, known()).or_else(|| few("ports", known()));
            Expectation::wanted("the name of a port").maybe_hint((!full).then(meant).flatten())
        })
    };
    s.need(
        "port",
        parse,
        || Expectation::wanted("the name of a port"),
        notes,
    )
}

fn profile<'a>(
    s: &Section<'_>,
    profiles: &'a Profiles,
    all_profiles: bool,
    notes: &mut Notes,
) -> Option<&'a Profile> {
    if !all_profiles && s.node("profile").is_some() {
        let text = s.text("profile", "the name of a profile", notes)?;
        return profiles.get(text);
    }
    let known = || profiles.keys().map(String::as_str);
    let full = notes.is_full();
    let parse = |text: &str| {
        profiles.get(text).ok_or_else(|| {
            if profiles.is_empty() {
                return Expectation::wanted("the name of a profile").hint(
                    "there is no profile yet, neither under profiles: nor in profiles_from:",
                );
            }
            let meant =
                || suggestions::did_you_mean(text, known()).or_else(|| few("profiles", known()));
            Expectation::wanted("the name of a profile").maybe_hint((!full).then(meant).flatten())
        })
    };
    s.need(
        "profile",
        parse,
        || Expectation::wanted("the name of a profile"),
        notes,
    )
}

/// Lists the known names, if they fit on a line.
fn few<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let names: Vec<_> = names.take(7).collect();
    (names.len() < 7).then(|| format!("the {what} are: {}", names.join(", ")))
}

fn product(s: &Section<'_>, profile: Option<&Profile>, notes: &mut Notes) -> Option<String> {
    let given = s.read("product_key", product_key, notes);
    let inherited = profile.and_then(|p| p.product_key.clone());
    let unknown = profile.is_some_and(|p| p.product_key.is_none() && !p.product_key_given);
    if s.node("product_key").is_none() && unknown {
        s.lacks(
            "product_key",
            Expectation::wanted("the ProductKey of the device")
                .hint("product_key: in the profile serves all devices of the profile"),
            notes,
        );
    }
    // A wrong key stands for another product than the profile's.
    if s.node("product_key").is_some() {
        given
    } else {
        inherited
    }
}

/// The least and the greatest default of the quiet time after which a device counts as silent.
const QUIET: [Duration; 2] = [Duration::from_secs(3), Duration::from_secs(30)];

/// Reads when the device counts as silent. Defaults: three misses, and the slowest interval
/// within 3 s to 30 s; two proofs of life to return. Tries after a miss do not wait for an
/// interval, so a device that is read once a day is found silent as soon as a device that is read
/// each minute. An interval has passed since the last proof when the first miss comes; waiting
/// for another interval would only show a wrong state for longer.
fn liveness(s: &Section<'_>, slowest: Duration, notes: &mut Notes) -> Liveness {
    let l = s.section("liveness", &["missed", "quiet", "returns"], notes);
    let day = Duration::from_secs(86400);
    Liveness {
        missed: l.read("missed", whole(1..=1000u32), notes).unwrap_or(3),
        quiet: l
            .read("quiet", time(Duration::ZERO..=day), notes)
            .unwrap_or_else(|| slowest.clamp(QUIET[0], QUIET[1])),
        returns: l.read("returns", whole(1..=100u32), notes).unwrap_or(2),
    }
}

/// Checks that a range of devices gives each device a name and, as a warning, a secret of its
/// own. A name that does not vary is removed once it is noted: the second device of the range
/// would report the same mistake again.
fn range_makes_sense(entry: &mut Entry<'_>, notes: &mut Notes) {
    let hint = "{unit} is replaced by the unit, {unit:03} with leading zeros";
    let s = entry.s;
    for (key, name) in [
        ("name", &mut entry.name),
        ("device_name", &mut entry.device_name),
    ] {
        if let Some(pattern) = name.take_if(|p| !range::varies(p)) {
            notes.error(
                s.at(key),
                shown(&pattern),
                Expectation::wanted(
                    "a name with {unit} in it, because units: makes several devices",
                )
                .hint(hint),
            );
        }
    }
    let (said, origin) = match &entry.secret {
        SecretSource::Inline(_, origin) => ("***", *origin),
        SecretSource::File(name, origin) | SecretSource::Credential(name, origin)
            if !range::varies(name) =>
        {
            (name.as_str(), *origin)
        }
        SecretSource::File(..) | SecretSource::Credential(..) | SecretSource::Missing => {
            return;
        }
    };
    notes.warning(
        origin,
        said,
        Expectation::wanted("a secret for each device").hint(
            "the platform gives every device its own: use secret_file with {unit}, or a devices_file",
        ),
    );
}
