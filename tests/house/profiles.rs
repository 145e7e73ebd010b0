//! The shipped profiles: each can be used as it is, and says where its registers are from.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use alink_gateway::cloud::thing_model::unit_name;
use alink_gateway::io::files::settings::{LoadContext, load_in, profile_in};
use alink_gateway::spec::{
    Certainty, Codec, DataType, IdentifyBy, ModbusAddress, PointAddress, PointSpec, ProfileSpec,
    Protocol, ReadBack, Readers, Table, Title,
};

use crate::source::root;

/// Profiles of kinds of devices, not of one: they stand for what many makers have alike.
const OF_KINDS: [&str; 3] = ["io-module-8", "three-phase-meter", "water-meter-cjt188"];

/// Returns the shipped profiles: names and texts.
fn shipped() -> Vec<(String, String)> {
    let folder = fs::read_dir(root().join("config/profiles")).unwrap();
    let mut files: Vec<PathBuf> = folder.map(|file| file.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 60, "{}", files.len());
    let named = |file: PathBuf| {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        (name, fs::read_to_string(&file).unwrap())
    };
    files.into_iter().map(named).collect()
}

/// Returns a shipped profile as it is configured.
fn spec_of(name: &str) -> Arc<ProfileSpec> {
    let file = root().join(format!("config/profiles/{name}.yaml"));
    let found = profile_in(&file, &LoadContext::default());
    let found = found.unwrap_or_else(|report| panic!("{name}: {report}"));
    Arc::clone(&found[0].spec)
}

#[test]
fn each_profile_can_be_used_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.yaml");
    for (name, text) in shipped() {
        // The address is of the profile's protocol, or has as many digits as its requests have.
        let protocol = text.lines().find_map(|l| l.strip_prefix("protocol: "));
        let place = match protocol {
            None => ", unit: 1",
            Some(name) if name.starts_with("dlt645") => ", address: \"000000000001\"",
            Some(_) if text.contains("address") => ", address: \"00000000000001\"",
            Some(_) => "",
        };
        let profile = root().join(format!("config/profiles/{name}.yaml"));
        let configuration = format!(
            "gateway: {{ product_key: a1GwDemoPk0, device_name: gateway-1, secret: \"0123456789abcdef\" }}\n\
             cloud: {{ url: \"mqtts://example.com:1883\" }}\n\
             profiles_from: [ {} ]\n\
             ports: [{{ name: line1, serial: {{ device: /dev/ttyS0, baud: 9600 }} }}]\n\
             devices: [{{ name: device-1, port: line1, profile: {name}, product_key: a1SubDemoPk, secret: known{place} }}]\n",
            profile.display(),
        );
        fs::write(&file, configuration).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let loaded = load_in(&file, &LoadContext::default());
        let loaded = loaded.unwrap_or_else(|report| panic!("{name}: {report}"));
        assert_eq!(loaded.warnings.warnings(), 0, "{name}: {}", loaded.warnings);
        let profile = &loaded.spec.devices[0].profile;
        assert_eq!(profile.name, name);
        assert!(!profile.points.is_empty(), "{name}");
    }
}

#[test]
fn each_profile_of_a_device_names_its_sources_and_what_was_checked() {
    for (name, text) in shipped() {
        let header: String = text.lines().take_while(|l| l.starts_with('#')).collect();
        let is_of_kind = OF_KINDS.contains(&name.as_str());
        for words in ["Sources:", "Checked:"] {
            assert!(is_of_kind || header.contains(words), "{name}: no {words}");
        }
    }
}

#[test]
fn what_is_unverified_stands_in_the_header_and_in_the_keys() {
    for (name, text) in shipped() {
        let header = text.lines().take_while(|l| l.starts_with('#'));
        let said = header
            .filter_map(|l| l.strip_prefix("# Unverified: "))
            .next();
        let is_said = said.is_some_and(|said| !said.starts_with("nothing"));
        let profile = spec_of(&name);
        let is_marked =
            profile.about.unverified || profile.points.iter().any(|p| p.shown.unverified);
        assert_eq!(is_said, is_marked, "{name}: {said:?}");
    }
}

/// Whether a title is what the console takes as a name: it begins with a letter or a digit, and has
/// these, blanks, hyphens and points.
fn is_a_name(title: &str) -> bool {
    title.starts_with(char::is_alphanumeric)
        && title
            .chars()
            .all(|c| c.is_alphanumeric() || " -.".contains(c))
        && title == title.trim()
}

fn is_chinese(title: &str) -> bool {
    title
        .chars()
        .any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
}

#[test]
fn profiles_and_points_have_titles_in_both_languages() {
    for (name, _) in shipped() {
        let profile = spec_of(&name);
        let of = |title: &Title| {
            let general = title.general.as_deref().unwrap_or_default().to_owned();
            let chinese = title.chinese.as_deref().unwrap_or_default().to_owned();
            (general, chinese)
        };
        let (general, chinese) = of(&profile.about.title);
        assert!(
            !general.is_empty() && !is_chinese(&general),
            "{name}: {general}"
        );
        assert!(is_chinese(&chinese), "{name}: {chinese}");
        let mut seen = BTreeSet::new();
        for point in &profile.points {
            let (general, chinese) = of(&point.shown.title);
            let id = &point.id;
            assert!(
                is_a_name(&general) && general.is_ascii(),
                "{name}: {id}: {general}"
            );
            assert!(
                is_a_name(&chinese) && is_chinese(&chinese),
                "{name}: {id}: {chinese}"
            );
            // Two points with one name could not be told apart.
            assert!(
                seen.insert(general.clone()),
                "{name}: {id}: {general} again"
            );
            assert!(
                seen.insert(chinese.clone()),
                "{name}: {id}: {chinese} again"
            );
        }
    }
}

/// How the ids of numbers without a unit begin.
const WITHOUT_UNIT: [&str; 19] = [
    "Actual2",
    "Alarm",
    "ControlWord",
    "DecimalPlaces",
    "Events",
    "FaultCode",
    "Input",
    "Level",
    "MeterPowerFactor",
    "Modules",
    "Motion",
    "Ph",
    "PowerFactor",
    "PowerFlow",
    "Range",
    "State",
    "Unit",
    "WarningCode",
    "WarningWord",
];

#[test]
fn numbers_have_a_unit_that_is_known() {
    let mut used = BTreeSet::new();
    for (name, _) in shipped() {
        for point in &spec_of(&name).points {
            let id = &point.id;
            let has_none = WITHOUT_UNIT.iter().find(|begin| match **begin {
                // PhaseAngle and Phosphorus are no pH.
                "Ph" => id == "Ph",
                begin => id.starts_with(begin),
            });
            let is_number = matches!(
                point.codec.data_type(),
                DataType::Int | DataType::Float | DataType::Double
            );
            let unit = point.shown.unit.as_ref();
            let wanted = is_number && has_none.is_none();
            assert_eq!(unit.is_some(), wanted, "{name}: {id}: {unit:?}");
            used.extend(has_none.filter(|_| is_number));
            for readers in [Readers::Any, Readers::Chinese] {
                let known = unit.is_none_or(|unit| unit_name(&unit.0, readers).is_some());
                assert!(known, "{name}: {id}: {unit:?}");
            }
        }
    }
    let all: BTreeSet<_> = WITHOUT_UNIT.iter().collect();
    assert_eq!(used, all);
}

#[test]
fn what_an_identifier_measures_is_the_same_in_all_profiles() {
    let mut units: BTreeMap<String, (String, String)> = BTreeMap::new();
    for (name, _) in shipped() {
        for point in &spec_of(&name).points {
            let Some(unit) = &point.shown.unit else {
                continue;
            };
            let (unit, id) = (unit.0.to_string(), point.id.clone());
            // Their makers have it in units that are a thousand apart.
            if id == "InsulationResistance" {
                continue;
            }
            let (first, where_) = units
                .entry(id.clone())
                .or_insert((unit.clone(), name.clone()));
            assert_eq!(*first, unit, "{id}: {where_} and {name}");
        }
    }
}

/// Returns the registers that hold the value of a point, without those of its factor and its sign,
/// which several points may share; whether it takes only some bits of them.
fn registers(point: &PointSpec) -> (Vec<(Table, u16)>, bool) {
    let PointAddress::Modbus(address) = point.address else {
        return (Vec::new(), false);
    };
    let from = |at: u16, count: u16| (address.start + at..).take(usize::from(count));
    let (all, is_part): (Vec<u16>, bool) = match &point.codec {
        Codec::Measure(measure) => {
            let parts = measure.parts.iter();
            let all = parts.flat_map(|p| from(p.at, p.kind.registers()));
            let is_half = measure.parts.iter().any(|p| p.kind.bits() < 16);
            (all.collect(), is_half || measure.bits.is_some())
        }
        Codec::Number { kind, .. } => {
            let is_half = kind.bits() < 16;
            (from(0, kind.registers()).collect(), is_half)
        }
        codec => {
            let is_bit = matches!(codec, Codec::Bit(_) | Codec::Letters { .. });
            (from(0, codec.width()).collect(), is_bit)
        }
    };
    (
        all.into_iter().map(|r| (address.table, r)).collect(),
        is_part,
    )
}

#[test]
fn no_register_is_the_whole_value_of_two_points() {
    for (name, _) in shipped() {
        let profile = spec_of(&name);
        let mut taken: BTreeMap<(Table, u16), &PointSpec> = BTreeMap::new();
        let at = |id: &str| profile.points.iter().position(|p| p.id == id);
        for point in &profile.points {
            let (registers, is_part) = registers(point);
            for register in registers.into_iter().filter(|_| !is_part) {
                let Some(other) = taken.insert(register, point) else {
                    continue;
                };
                // A command goes where the state is read.
                let read_back = point.write.as_ref().map(|w| w.read_back);
                let is_command = match read_back {
                    Some(ReadBack::Point(index)) => at(&other.id) == Some(usize::from(index)),
                    Some(ReadBack::Never) => true,
                    Some(ReadBack::Itself) | None => false,
                };
                let (id, other) = (&point.id, &other.id);
                assert!(is_command, "{name}: {id} and {other} at {register:?}");
            }
        }
    }
}

#[test]
fn limits_of_points_leave_room_for_values() {
    for (name, _) in shipped() {
        for point in &spec_of(&name).points {
            if let Codec::Measure(measure) = &point.codec
                && let (Some(min), Some(max)) = (measure.min, measure.max)
            {
                let id = &point.id;
                assert_eq!(min.compare(max), std::cmp::Ordering::Less, "{name}: {id}");
            }
        }
    }
}

/// Modbus profiles of devices in which no register is known that tells them from others.
const NOT_IDENTIFIED: [&str; 14] = [
    "abb-acs355",
    "abb-acs580",
    "comwintop-pt100-8ch",
    "danfoss-fc51",
    "eastron-sdm72",
    "io-module-8",
    "level-transmitter-qdy30a",
    "peacefair-pzem-017",
    "relay-board-r421a08",
    "soil-sensor-7in1",
    "victron-gx-system",
    "waveshare-modbus-rtu-relay-8ch",
    "waveshare-modbus-rtu-relay-d-8ch",
    "xy-md02",
];

#[test]
fn modbus_devices_are_told_from_others_where_that_is_known() {
    for (name, _) in shipped() {
        let profile = spec_of(&name);
        let tests = &profile.about.identification.tests;
        let is_modbus = profile.protocol == Protocol::Modbus;
        let is_known = is_modbus && !NOT_IDENTIFIED.contains(&name.as_str());
        assert_eq!(!tests.is_empty(), is_known, "{name}");
        for test in tests {
            let is_weak = test.certainty == Certainty::Weak;
            match &test.what {
                // The model is where the profile reads it.
                IdentifyBy::SunSpec { at, models, .. } => {
                    let point = profile
                        .points
                        .iter()
                        .find(|p| p.id == "SunSpecModel")
                        .unwrap();
                    let PointAddress::Modbus(address) = point.address else {
                        panic!("{name}: {point:?}");
                    };
                    let Codec::Measure(measure) = &point.codec else {
                        panic!("{name}: {point:?}");
                    };
                    assert_eq!(address.start, *at, "{name}");
                    let states = measure.states.iter().flatten().map(|(n, _)| *n);
                    assert!(states.eq(models.iter().map(|m| i64::from(*m))), "{name}");
                }
                // A plausible value is one of the profile's own.
                IdentifyBy::Register { table, address, .. } if is_weak => {
                    let here = PointAddress::Modbus(ModbusAddress {
                        table: *table,
                        start: *address,
                    });
                    assert!(
                        profile.points.iter().any(|p| p.address == here),
                        "{name}: {test:?}"
                    );
                }
                IdentifyBy::Register { .. } | IdentifyBy::DeviceId { .. } => {}
            }
        }
    }
}

#[test]
fn points_of_profiles_have_identifiers_of_the_thing_model() {
    for (name, text) in shipped() {
        let ids = text.split("{ id: ").skip(1);
        let ids = ids.map(|rest| rest.split([',', ' ', '\n', '}']).next().unwrap());
        for id in ids {
            let fits = id.starts_with(|c: char| c.is_ascii_uppercase())
                && id.chars().all(|c| c.is_ascii_alphanumeric())
                && id.len() <= 50;
            assert!(fits, "{name}: {id}");
        }
    }
}
