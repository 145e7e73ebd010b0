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
    Protocol, ReadBack, Table, Title, TitleLanguage, WordOrder,
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

/// Returns whether a title is what the console takes as a name: it begins with a letter or a digit,
/// and has these, blanks, hyphens and points.
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
            for readers in [TitleLanguage::Any, TitleLanguage::Chinese] {
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

/// Returns a shipped profile with these values of its parameters.
fn with_parameters(name: &str, parameters: &str) -> Arc<ProfileSpec> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.yaml");
    let profile = root().join(format!("config/profiles/{name}.yaml"));
    let place = match name.starts_with("dlt645") {
        true => "address: \"000000000001\"",
        false => "unit: 1",
    };
    let configuration = format!(
        "gateway: {{ product_key: a1GwDemoPk0, device_name: gateway-1, secret: \"0123456789abcdef\" }}\n\
         cloud: {{ url: \"mqtts://example.com:1883\" }}\n\
         profiles_from: [ {} ]\n\
         ports: [{{ name: line1, serial: {{ device: /dev/ttyS0, baud: 9600 }} }}]\n\
         devices: [{{ name: device-1, port: line1, profile: {name}, product_key: a1SubDemoPk, secret: known, {place}, parameters: {{ {parameters} }} }}]\n",
        profile.display(),
    );
    fs::write(&file, configuration).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let loaded = load_in(&file, &LoadContext::default());
    let loaded = loaded.unwrap_or_else(|report| panic!("{name}: {report}"));
    assert_eq!(loaded.warnings.warnings(), 0, "{name}: {}", loaded.warnings);
    Arc::clone(&loaded.spec.devices[0].profile)
}

/// Returns what a value is multiplied by, and the limits of the value.
fn factor(point: &PointSpec) -> (f64, [Option<f64>; 2]) {
    let real = |number: &alink_gateway::spec::Decimal| number.to_string().parse::<f64>().unwrap();
    match &point.codec {
        Codec::Number { scale, .. } => (real(scale), [None, None]),
        Codec::Measure(m) => {
            let limits = [m.min.as_ref().map(real), m.max.as_ref().map(real)];
            (real(&m.scale), limits)
        }
        Codec::Datum { scale, .. } => (real(scale), [None, None]),
        _ => (1.0, [None, None]),
    }
}

#[test]
fn ratios_of_transformers_multiply_what_they_transform_and_nothing_else() {
    let near = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-9;
    // 3.8 is 380 V to 100 V: integers stay integers.
    for (name, voltage) in [
        ("acrel-adl400", Some(3.8)),
        ("acrel-adw300", Some(3.8)),
        ("chint-ddsu666", None),
        ("chint-dtsu666", Some(100.0)),
        ("dlt645-2007-three-phase", Some(100.0)),
        ("three-phase-meter", Some(100.0)),
    ] {
        let plain = spec_of(name);
        let given = match voltage {
            Some(voltage) => format!("ct_ratio: 80, vt_ratio: {voltage}"),
            None => "ct_ratio: 80".to_owned(),
        };
        let voltage = voltage.unwrap_or(1.0);
        let behind = with_parameters(name, &given);
        assert_eq!(plain.points.len(), behind.points.len(), "{name}");
        for (one, other) in plain.points.iter().zip(&behind.points) {
            let id = &one.id;
            let unit = one.shown.unit.as_ref().map(|unit| unit.0.to_string());
            let ratio = match unit.as_deref() {
                Some("V") => voltage,
                Some("A") => 80.0,
                Some("W" | "var" | "VA" | "kWh" | "kvarh") => 80.0 * voltage,
                Some("Hz") | None => 1.0,
                other => panic!("{name}: {id}: {other:?}"),
            };
            let ((scale, limits), (behind, wider)) = (factor(one), factor(other));
            assert!(
                near(behind, scale * ratio),
                "{name}: {id}: {scale} to {behind}"
            );
            // A limit is one of the meter, and grows with the ratio, or one of what can be at all.
            let grown = |limit: f64, wide: f64| match limit == wide {
                true => limit.abs() >= 1e5 || limit == 0.0 || ratio == 1.0,
                false => near(wide, limit * ratio),
            };
            for (limit, wide) in limits.into_iter().zip(wider) {
                let fits = match (limit, wide) {
                    (Some(limit), Some(wide)) => grown(limit, wide),
                    (limit, wide) => limit == wide,
                };
                assert!(fits, "{name}: {id}: {limit:?} to {wide:?}");
            }
            let of = |point: &PointSpec| point.codec.data_type();
            assert_eq!(of(one), of(other), "{name}: {id}");
        }
    }
}

#[test]
fn a_device_says_in_what_it_differs_from_others_of_its_kind() {
    let all_have = |profile: &ProfileSpec, order: WordOrder| {
        profile.points.iter().all(|point| match &point.codec {
            Codec::Number { words, .. } => *words == order,
            Codec::Measure(measure) => measure.words == order,
            _ => false,
        })
    };
    for name in [
        "chint-dtsu666",
        "eastron-sdm230",
        "eastron-sdm630",
        "schneider-pm5000",
        "three-phase-meter",
    ] {
        assert!(all_have(&spec_of(name), WordOrder::High), "{name}");
        let low = with_parameters(name, "word_order: low");
        assert!(all_have(&low, WordOrder::Low), "{name}");
    }
    let ids = |profile: &ProfileSpec| -> Vec<String> {
        profile.points.iter().map(|p| p.id.clone()).collect()
    };
    let four = with_parameters("relay-board-r421a08", "channels: 4");
    assert_eq!(ids(&spec_of("relay-board-r421a08")).len(), 16);
    assert_eq!(
        ids(&four),
        [
            "Relay1",
            "Relay2",
            "Relay3",
            "Relay4",
            "Relay1Command",
            "Relay2Command",
            "Relay3Command",
            "Relay4Command",
        ]
    );
    let energies = |profile: &ProfileSpec| -> Vec<u16> {
        let points = profile.points.iter();
        let points = points.filter(|point| point.id.starts_with("Energy"));
        points
            .map(|p| p.address.as_modbus().unwrap().start)
            .collect()
    };
    assert_eq!(energies(&spec_of("chint-dtsu666")), [0x101E, 0x1028]);
    let older = with_parameters("chint-dtsu666", "energies: old");
    assert_eq!(energies(&older), [0x401E, 0x4028]);
    assert_eq!(ids(&spec_of("io-module-8")).len(), 16);
    let few = with_parameters("io-module-8", "inputs: 0, relays: 2");
    assert_eq!(ids(&few), ["Relay1", "Relay2"]);
}

#[test]
fn one_file_of_the_package_is_enough_whatever_it_is_based_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut based = 0;
    for (name, text) in shipped() {
        let Some(base) = text.lines().find_map(|l| l.strip_prefix("based_on: ")) else {
            continue;
        };
        based += 1;
        let profile = spec_of(&name);
        assert_eq!(profile.name, name);
        // Alone in a folder it is told what is missing.
        let alone = folder.path().join(format!("{name}.yaml"));
        fs::write(&alone, &text).unwrap();
        let report = profile_in(&alone, &LoadContext::default()).unwrap_err();
        assert!(report.to_string().contains(base), "{name}: {report}");
        fs::remove_file(alone).unwrap();
    }
    assert!(based >= 10, "{based}");
}

/// Returns whether a device with this text in its registers, so many characters in each, passes the
/// test of a shipped profile at this address.
fn passes(name: &str, at: u16, text: &str, each: usize) -> bool {
    let tests = &spec_of(name).about.identification.tests;
    let test = tests.iter().find_map(|test| match &test.what {
        IdentifyBy::Register {
            address,
            count,
            accepts,
            ..
        } if *address == at => Some((*count, accepts.clone())),
        _ => None,
    });
    let (count, accepts) = test.unwrap_or_else(|| panic!("{name}: no test at {at}"));
    let mut characters = text.as_bytes().to_vec();
    characters.resize(usize::from(count) * each, 0);
    let registers = characters.chunks(each);
    let registers = registers.map(|c| c.iter().fold(0, |word, c| word << 8 | u16::from(*c)));
    accepts.takes(&registers.collect::<Vec<u16>>())
}

#[test]
fn wiren_boards_modules_are_told_by_all_of_the_model_and_the_firmware() {
    for (name, model, is_it) in [
        ("wirenboard-wb-map3e", "MAP3E", true),
        ("wirenboard-wb-map3e", "WB-MAP3E", true),
        ("wirenboard-wb-map3e", "WB-MAP3ET", true),
        ("wirenboard-wb-map3e", "MAP3H", false),
        ("wirenboard-wb-map6s", "MAP6SE", true),
        ("wirenboard-wb-map6s", "WB-MAP6S", true),
        ("wirenboard-wb-map12e", "WB-MAP12E", true),
        ("wirenboard-wb-map12e", "MAP12H", false),
        ("wirenboard-wb-mr3", "WBMR3", true),
        ("wirenboard-wb-mr3", "MRWL3", false),
        ("wirenboard-wb-mr6c", "WBMR6C", true),
    ] {
        assert_eq!(passes(name, 200, model, 1), is_it, "{name}: {model}");
    }
    for name in [
        "wirenboard-wb-map3e",
        "wirenboard-wb-map6s",
        "wirenboard-wb-map12e",
    ] {
        assert!(passes(name, 250, "2.5.1", 1), "{name}");
        assert!(!passes(name, 250, "1.12.2", 1), "{name}");
    }
}

#[test]
fn codes_and_names_that_are_known_pass_and_no_others() {
    let accepts = |name: &str, code: u16| {
        let tests = &spec_of(name).about.identification.tests;
        tests.iter().all(|test| match &test.what {
            IdentifyBy::Register { accepts, .. } => accepts.takes(&[code]),
            _ => false,
        })
    };
    // SG5.0RS, SG110CX, SH25T, SH10RT-V112.
    for (name, code) in [
        ("sungrow-sg", 0x2606),
        ("sungrow-sg", 0x2C06),
        ("sungrow-sh", 0x0E28),
        ("sungrow-sh", 0x0E0F),
    ] {
        assert!(accepts(name, code), "{name}: {code:#06x}");
    }
    for (name, code) in [
        ("sungrow-sg", 0x0133),
        ("sungrow-sg", 0x2C05),
        ("sungrow-sg", 0x0E28),
        ("sungrow-sh", 0x0D05),
        ("sungrow-sh", 0x0E27),
    ] {
        assert!(!accepts(name, code), "{name}: {code:#06x}");
    }
    for model in ["COUNTIS E23", "COUNTIS E27", "Countis E28"] {
        let passes = passes("socomec-countis-e23-e24", 0xC38A, model, 2);
        assert!(passes, "{model}");
    }
}
