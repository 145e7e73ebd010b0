//! The shipped profiles: each can be used as it is, and says where its registers are from.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use alink_gateway::io::files::settings::{LoadContext, load_in};

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
