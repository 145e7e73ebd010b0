//! The first configuration that the tool writes, read by the real configuration.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use alink_gateway::cli::main_with;
use alink_gateway::io::files::settings::{LoadContext, Loaded, load_in};

use crate::source::root;

/// Writes a configuration into a folder of its own, with these options.
fn init(folder: &Path, options: &[&str]) -> (PathBuf, String) {
    let file = folder.join("gateway.yaml");
    let words = ["alink-gateway", "init", file.to_str().unwrap(), "--yes"];
    let words = words.iter().chain(options).map(Into::into);
    let status = main_with(words);
    (file, format!("{status:?}"))
}

/// The status of a success, as it is shown.
fn status(of: u8) -> String {
    format!("{:?}", std::process::ExitCode::from(of))
}

fn loaded(file: &Path) -> Loaded {
    let text = fs::read_to_string(file).unwrap();
    load_in(file, &LoadContext::default()).unwrap_or_else(|report| panic!("{report}\n{text}"))
}

const FULL: [&str; 8] = [
    "--product-key",
    "a1GwDemoPk0",
    "--device-name",
    "gateway-1",
    "--region",
    "cn-shanghai",
    "--port",
    "/dev/ttyUSB0",
];

#[test]
fn all_answers_make_a_configuration_without_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("its.secret");
    fs::write(&secret, "hunter2").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let profiles = folder.path().join("profiles");
    fs::create_dir(&profiles).unwrap();
    let profile = root().join("config/profiles/eastron-sdm72.yaml");
    fs::copy(profile, profiles.join("eastron-sdm72.yaml")).unwrap();
    let own = folder.path().join("conf.d/own.yaml");
    fs::create_dir(own.parent().unwrap()).unwrap();
    fs::write(own, "profiles_from: [profiles/*.yaml]\n").unwrap();
    let more = [
        "--device-secret-file",
        secret.to_str().unwrap(),
        "--profile",
        "eastron-sdm72",
        "--unit",
        "7",
        "--sub-product-key",
        "a1SubDemoPk",
    ];
    let (file, said) = init(folder.path(), &[&FULL[..], &more].concat());
    assert_eq!(said, status(0));
    let loaded = loaded(&file);
    assert!(loaded.commissioned);
    // The package's profiles are not installed where this runs.
    let told = loaded.warnings.problems();
    let told = told.iter().filter(|p| !p.path.starts_with("profiles_from"));
    assert_eq!(told.count(), 0, "{}", loaded.warnings);
    assert_eq!(loaded.spec.devices.len(), 1);
    let host = &loaded.spec.cloud.broker.host;
    assert_eq!(host, "a1GwDemoPk0.iot-as-mqtt.cn-shanghai.aliyuncs.com");
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777 & !0o640, 0);
    assert!(!fs::read_to_string(&file).unwrap().contains("hunter2"));
}

#[test]
fn what_is_left_open_is_a_place_to_fill_in_and_no_mistake() {
    for options in [
        &[][..],
        &["--product-key", "a1GwDemoPk0"],
        &["--port", "192.0.2.7"],
        &["--port", "/dev/ttyS1", "--profile", "meter"],
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (file, said) = init(folder.path(), options);
        assert_eq!(said, status(0), "{options:?}");
        assert!(!loaded(&file).commissioned, "{options:?}");
    }
}

#[test]
fn a_configuration_that_is_there_stays_unless_it_is_the_packages() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.yaml");
    fs::copy(root().join("config/gateway.yaml"), &file).unwrap();
    let packaged = fs::read(&file).unwrap();
    assert_eq!(init(folder.path(), &FULL).1, status(0));
    let first = fs::read(&file).unwrap();
    assert_ne!(first, packaged);
    let mut other = FULL.to_vec();
    other[3] = "gateway-2";
    assert_eq!(init(folder.path(), &other).1, status(1));
    assert_eq!(fs::read(&file).unwrap(), first);
    other.push("--force");
    assert_eq!(init(folder.path(), &other).1, status(0));
    assert_ne!(fs::read(&file).unwrap(), first);
}

#[test]
fn an_answer_that_is_none_is_refused_and_nothing_is_written() {
    for (option, answer) in [
        ("--product-key", "a1 b"),
        ("--device-name", "abc"),
        ("--url", "a\"b"),
        ("--region", "cn-shanghai"),
        ("--port", "/dev/tty USB0"),
        ("--port", "COM3"),
        ("--port", "com12:"),
        ("--url", "https://iot.console.aliyun.com/lk/summary?a=b"),
        ("--profile", "a b"),
        ("--sub-product-key", "a b"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (file, said) = init(
            folder.path(),
            &[option, answer, "--profile=meter"][..2 + usize::from(option == "--sub-product-key")],
        );
        assert_eq!(said, status(2), "{option}");
        assert!(!file.exists());
    }
}

#[test]
fn only_a_region_with_public_instances_without_an_id_becomes_a_host() {
    let of = |place: &str| {
        let folder = tempfile::tempdir().unwrap();
        let options = ["--product-key", "a1GwDemoPk0", "--region", place];
        let (file, said) = init(folder.path(), &options);
        (said, fs::read_to_string(file).unwrap_or_default())
    };
    let (said, text) = of("ap-southeast-1");
    assert_eq!(said, status(0));
    assert!(text.contains("a1GwDemoPk0.iot-as-mqtt.ap-southeast-1.aliyuncs.com:1883"));
    for place in ["cn-beijing", "shanghai", "iot_instc_public_cn-shanghai"] {
        assert_eq!(of(place), (status(2), String::new()), "{place}");
    }
    let (said, text) = of("iot-060a0abc");
    assert_eq!(said, status(0));
    assert!(text.contains("mqtts://iot-060a0abc.mqtt.iothub.aliyuncs.com:1883"));
}

#[test]
fn a_device_file_without_its_folder_gets_it() {
    for (answer, device) in [
        ("ttyUSB0", "/dev/ttyUSB0"),
        ("dev/ttyS1", "/dev/ttyS1"),
        ("/dev/serial/by-id/usb-1", "/dev/serial/by-id/usb-1"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (file, said) = init(folder.path(), &["--port", answer]);
        assert_eq!(said, status(0), "{answer}");
        let text = fs::read_to_string(file).unwrap();
        assert!(text.contains(&format!("device: \"{device}\"")), "{text}");
    }
}
