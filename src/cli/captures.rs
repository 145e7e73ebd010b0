//! Pictures of an example plant as text, at several widths, compared with files.
//!
//! The files are in `tests/captures/`; `BLESS=1 cargo lab-test --lib cli::` writes them anew, to
//! be read before they are committed.

use std::collections::BTreeMap;

use ratatui::text::Line;

use super::columns::{Page, width, written};
use super::language::Language;
use crate::control::picture::{
    BusState, Cloud, Configuration, Device, DeviceEvent, Link, NextChange, PastEvent, Point, Port,
    Presence, Rtt, State, Status, Store, StoreFault,
};

use crate::io::terminal::captures;

#[path = "../../tests/fixture/agreement.rs"]
mod agreement;

/// The pages on which everything is captured, with the beginning of the name of each capture.
pub(super) fn pages() -> impl Iterator<Item = (Page, &'static str)> {
    let all = [(Language::English, ""), (Language::Chinese, "zh-")];
    all.into_iter().flat_map(|(language, prefix)| {
        let page = move |width| (Page { width, language }, prefix);
        [60, 80, 100, 160].into_iter().map(page)
    })
}

/// Compares text for a terminal of the width at the end of `name` with the file of this name.
pub(super) fn compare(name: &str, text: &str) {
    let (_, room) = name.rsplit_once('-').unwrap();
    let room: usize = room.parse().unwrap();
    for line in text.lines() {
        assert!(width(line) <= room, "{name}: wider than {room}: {line}");
        assert_eq!(line, line.trim_end(), "{name}: blanks at the end");
    }
    if !name.starts_with("zh-") {
        assert_eq!(agreement::disagreements(text), [""; 0], "{name}");
    }
    captures::compare(name, text);
}

/// Compares what `lines` writes on each page.
pub(super) fn compare_all(name: &str, lines: impl Fn(Page) -> Vec<(String, Vec<Line<'static>>)>) {
    for (page, prefix) in pages() {
        let mut text = String::new();
        for (title, lines) in lines(page) {
            text.push_str(&format!("--- {title}\n{}", written(&lines, false)));
        }
        compare(&format!("{prefix}{name}-{}", page.width), &text);
    }
}

fn counts(all: &[(&str, u64)]) -> BTreeMap<String, u64> {
    let all = all.iter().map(|(name, n)| ((*name).to_owned(), *n));
    all.collect()
}

fn state(life: BusState, cloud: Presence, devices: u64) -> State {
    State {
        life,
        cloud,
        devices,
    }
}

fn port(name: &str, line: &str, answering: u64, devices: u64) -> Port {
    Port {
        name: name.into(),
        line: line.into(),
        settings: Some("9600 8E1".into()),
        down: None,
        retry_ms: None,
        load_permille: 412,
        devices,
        answering,
        rtt: Some(Rtt {
            p50_us: 12_100,
            p95_us: 20_000,
            of: 512,
        }),
        outcomes: counts(&[("answer", 1000), ("garbled", 1), ("timeout", 1234)]),
        echoes: counts(&[("echo-expected", 1000), ("echo-missed", 6)]),
        echoes_lately: BTreeMap::new(),
        probes: 7,
        noticed: Vec::new(),
    }
}

fn down(name: &str, line: &str, devices: u64, why: &str) -> Port {
    Port {
        down: Some(why.into()),
        retry_ms: Some(4_000),
        load_permille: 0,
        outcomes: counts(&[("answer", 0)]),
        echoes: BTreeMap::new(),
        probes: 0,
        ..port(name, line, 0, devices)
    }
}

fn past(what: &str, ago_ms: u64) -> Option<PastEvent> {
    let what = what.into();
    Some(PastEvent { what, ago_ms })
}

fn store() -> Store {
    Store {
        readings: 5121,
        bytes: 319_488,
        limit: 128 << 20,
        oldest_ms: Some(7_500_000),
        written: 1_258_291,
        stored: 80_000,
        delivered: 74_879,
        loss_window_ms: 35_000,
        trouble: None,
        fault: None,
    }
}

fn configuration(changed: &[&str], refused: Option<PastEvent>) -> Configuration {
    Configuration {
        file: "/etc/alink-gateway/gateway.yaml".into(),
        since_ms: 7_500_000,
        changed: changed.iter().map(|name| (*name).to_owned()).collect(),
        refused,
    }
}

fn plant() -> Status {
    Status {
        version: "1.2.3".into(),
        uptime_ms: 273_600_000,
        cloud: Cloud {
            link: Link::Up,
            since_ms: 7_500_000,
            connects: 3,
            online: 118,
            wanted: 118,
            takeover_ms: Some(4200),
            last_failure: past("the platform stopped answering pings", 7_504_000),
            failure: None,
            short_sessions: 0,
            last_refusal: None,
            retry_ms: None,
        },
        ports: vec![
            port("line1", "/dev/ttyUSB0", 118, 119),
            port(
                "配电房二号线",
                "/dev/serial/by-id/usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0",
                3,
                3,
            ),
            down("line2", "/dev/ttyUSB1", 1, "No such file or directory"),
        ],
        devices: 123,
        states: vec![
            state(BusState::Alive, Presence::Online, 118),
            state(BusState::Silent, Presence::Offline, 5),
        ],
        waiting: 12,
        delivered: 1_234_567,
        dropped: counts(&[("queue-full", 5), ("refused", 0)]),
        store: Some(store()),
        not_reported: 0,
        configuration: Some(configuration(&["gateway.yaml", "conf.d/hall.yaml"], None)),
        noticed: Vec::new(),
    }
}

/// Returns the states of installations, with what each is an example of.
pub(super) fn statuses() -> Vec<(&'static str, Status)> {
    let plant = plant();
    let cloud = |online, wanted| Cloud {
        online,
        wanted,
        takeover_ms: None,
        last_failure: None,
        ..plant.cloud.clone()
    };
    let one = Status {
        cloud: cloud(1, 1),
        ports: vec![Port {
            outcomes: counts(&[("answer", 1)]),
            echoes: BTreeMap::new(),
            probes: 0,
            ..port("line1", "/dev/ttyUSB0", 1, 1)
        }],
        devices: 1,
        states: vec![state(BusState::Alive, Presence::Online, 1)],
        waiting: 1,
        delivered: 1,
        dropped: BTreeMap::new(),
        store: Some(Store {
            readings: 1,
            ..store()
        }),
        not_reported: 1,
        configuration: Some(configuration(&[], None)),
        ..plant.clone()
    };
    let nothing = Status {
        uptime_ms: 900,
        cloud: Cloud {
            link: Link::NotCommissioned,
            ..cloud(0, 0)
        },
        ports: Vec::new(),
        devices: 0,
        states: Vec::new(),
        waiting: 0,
        delivered: 0,
        dropped: BTreeMap::new(),
        store: None,
        not_reported: 0,
        configuration: Some(configuration(&[], None)),
        ..plant.clone()
    };
    let down = Status {
        cloud: Cloud {
            link: Link::Down,
            last_failure: past(
                "broker unreachable: iot-0123abcd.mqtt.iothub.aliyuncs.com:8883: no answer; check the network, the broker's name and port, and the firewall",
                3000,
            ),
            retry_ms: Some(12_000),
            ..cloud(0, 1)
        },
        configuration: Some(configuration(
            &["gateway.yaml"],
            past(
                "gateway.yaml:12:9 devices[0].unit said 500 wanted 1 to 255 (and 2 more)",
                61_000,
            ),
        )),
        ports: vec![
            down("line1", "/dev/ttyUSB0", 1, "Permission denied"),
            port("spare", "192.168.1.50:502", 0, 0),
        ],
        states: vec![state(BusState::Alive, Presence::Offline, 1)],
        store: Some(Store {
            readings: 0,
            trouble: Some("/var/lib/alink-gateway/readings: No space left on device".into()),
            fault: Some(StoreFault::Full),
            ..store()
        }),
        ..one.clone()
    };
    let refused = Status {
        cloud: Cloud {
            failure: None,
            short_sessions: 0,
            last_refusal: past(
                "meter-03: log-in refused by the platform, code 6401: the device is not in this gateway's topology; tried again in 15 min; add it under the gateway in the console",
                61_000,
            ),
            ..cloud(1, 3)
        },
        states: vec![
            state(BusState::Alive, Presence::Online, 1),
            state(BusState::Alive, Presence::Refused, 1),
            state(BusState::Unknown, Presence::Offline, 1),
        ],
        ports: vec![port("line1", "/dev/ttyUSB0", 2, 3)],
        devices: 3,
        ..one.clone()
    };
    vec![
        ("plant", plant),
        ("one", one),
        ("nothing", nothing),
        ("down", down),
        ("refused", refused),
    ]
}

/// Returns a device that is well.
pub(super) fn device(name: &str, port: &str, unit: u8) -> Device {
    let point = |id: &str, value: serde_json::Value| Point {
        id: id.into(),
        title: None,
        age_ms: Some(1200),
        reported_ms: None,
        value,
        quality: "good".into(),
        why: String::new(),
        writable: None,
        name: None,
        name_zh: None,
        unit: None,
    };
    Device {
        name: name.into(),
        port: port.into(),
        place: format!("unit {unit}"),
        profile: "dtsu666".into(),
        product_key: "a1B2".into(),
        device_name: name.into(),
        life: BusState::Alive,
        cloud: Presence::Online,
        why: None,
        next: None,
        implausible: None,
        last_logout: None,
        answered_ms: Some(800),
        rtt: None,
        outcomes: counts(&[("answer", 100)]),
        recent: counts(&[("answer", 32)]),
        unanswered: BTreeMap::new(),
        response_timeout_ms: 300,
        question: None,
        refusal: None,
        noticed: Vec::new(),
        no_value: 0,
        points: vec![
            point("Voltage", 230.4.into()),
            point("Current", 1.25.into()),
            point("ActivePower", 287.5.into()),
            point("EnergyForward", 12345.67.into()),
            point("Model", "正泰 DTSU666 三相电子式电能表".into()),
        ],
        services: Vec::new(),
        events: vec![
            DeviceEvent {
                id: "overvoltage".into(),
                when: "Voltage above 253, until it is not above 250".into(),
                raised: 3,
                ago_ms: Some(61_000),
                data: BTreeMap::from([
                    ("limit".into(), 253.into()),
                    ("volts".into(), 254.1.into()),
                ]),
                outcome: "delivered".into(),
            },
            DeviceEvent {
                id: "door".into(),
                when: "DoorOpen is 1".into(),
                raised: 0,
                ago_ms: None,
                data: BTreeMap::new(),
                outcome: String::new(),
            },
        ],
        commands: Vec::new(),
    }
}

/// Returns the devices of the example plant.
pub(super) fn devices() -> Vec<Device> {
    let offline = |mut d: Device, why: &str| {
        d.life = BusState::Silent;
        d.cloud = Presence::Offline;
        d.why = Some(why.into());
        d.next = Some(NextChange {
            what: "asked again; online once it answers".into(),
            in_ms: None,
        });
        d
    };
    let mut all = vec![device("meter-01", "line1", 1)];
    for (unit, quiet) in [(2, "10.2"), (3, "13.0"), (4, "11.9")] {
        let why = format!(
            "silent: 3 polls in a row without an answer, {quiet} s quiet, last: not one byte came back, never answered since the start (check wiring, unit id, line settings)"
        );
        all.push(offline(
            device(&format!("meter-0{unit}"), "line1", unit),
            &why,
        ));
    }
    all.push(offline(
        device(
            "energy-meter-of-the-second-distribution-board-in-hall-4",
            "line2",
            7,
        ),
        "its port is down: No such file or directory",
    ));
    let mut refused = device("水表-三号楼-地下室", "配电房二号线", 9);
    refused.cloud = Presence::Refused;
    refused.why = Some(
        "refused by the platform, code 6401: the device is not in this gateway's topology; add it under the gateway in the console".into(),
    );
    all.push(refused);
    let mut suspect = device("meter-05", "line1", 5);
    suspect.life = BusState::Suspect;
    suspect.why = Some("it missed a poll; the gateway is making sure whether it is silent".into());
    all.push(suspect);
    for unit in 1..=24 {
        all.push(device(&format!("rack2-{unit:03}"), "rack2", unit));
    }
    all
}
