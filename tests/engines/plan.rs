//! `alink-gateway plan`: the table for a person and the JSON for a program.

use std::fs;
use std::path::Path;

use alink_gateway::cli::language::Language;
use alink_gateway::cli::plan;
use alink_gateway::io::files::settings::LoadContext;
use serde_json::json;

/// Two kinds of devices on one line.
const CONFIGURATION: &str = r"
gateway: { product_key: a1GwDemoPk0, device_name: gw-0001, secret: hunter2 }
cloud: { url: mqtts://iot-060a0bcd.mqtt.iothub.aliyuncs.com }
state_dir: state
ports:
  - name: line1
    serial: { device: /dev/ttyUSB0, baud: 9600, parity: even }
profiles:
  - name: meter
    product_key: a1SubDemoPk
    interval: 10s
    reply_delay: 0s
    points:
      - { id: Voltage, title: Voltage, title_zh: 电压, unit: V, table: holding, address: 0, type: u16 }
      - { id: Energy, unverified: yes, table: holding, address: 8, type: u32 }
  - name: relay
    title: Pump relay
    unverified: yes
    product_key: a1SubDemoPk
    interval: 250ms
    points:
      - { id: On, table: coil, address: 0 }
devices:
  - { name: 'hall-{unit:03}', port: line1, units: 1-10, profile: meter, secret_file: 'secrets/{unit}' }
  - { name: pump, port: line1, unit: 20, profile: relay, secret: hunter2 }
";

fn outcome(text: &str, prepare: impl FnOnce(&Path), json: bool) -> (String, u8) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("gateway.yaml");
    fs::write(&file, text).unwrap();
    fs::create_dir(dir.path().join("secrets")).unwrap();
    for unit in 1..=10 {
        fs::write(dir.path().join(format!("secrets/{unit}")), "hunter2").unwrap();
    }
    prepare(dir.path());
    plan::outcome(&file, &LoadContext::default(), json, Language::English)
}

/// Computed by hand, 11-bit characters at 9600 bit/s: a read of 10 registers is 8 + 25
/// bytes and two silences of 3.5 characters, 40 × 11 / 9600 s = 45.8 ms.
#[test]
fn the_table_says_what_is_asked_of_whom_and_what_it_takes() {
    let (text, status) = outcome(CONFIGURATION, |_| {}, false);
    assert_eq!(
        text,
        "\
line1: 19 % (9600 8E1; 11 devices, 5.0 requests a second; slowest request: holding registers 0 to 9 of meter, 45.8 ms)
  devices              profile  reads                     points  filler  every  takes    load
  hall-001 and 9 more  meter    holding registers 0 to 9  2       7       10s    45.8 ms  4.6 %
  pump                 relay    coil 0                    1       0       250ms  34.1 ms  14 %
  most of it: 1 device of profile relay, 14 %
  1 device that falls silent is logged out within 12.5 s, all 11 that fall silent at once within 14.3 s (liveness: missed 3, quiet 3s to 10s)

  profile  posts as  points
  meter    int       Voltage, Energy
  relay    bool      On

besides the plan: probes, to tell stale replies apart or for a sign of life, at most 2 % of a line's time; status counts them

upstream: 17 % (6.0 values and 4.2 messages a second; 25 messages a second can be sent, each of 200 values and 20 devices at the most)
  364,320 messages a day; log-ins and keep-alives are not counted, they are few
  the values alone are 0.2 % of what full messages carry
  most of it: 1 device of profile relay (pump), read every 250ms, 80 %
  the store bears an outage of 30 d at this rate (128 MiB, 7.1 bytes a value; what is older is dropped); a power cut then costs the last 50 s at most
"
    );
    assert_eq!(status, 0);
}

#[test]
fn the_json_has_the_same_figures() {
    let (text, _) = outcome(CONFIGURATION, |_| {}, true);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let line = &json["lines"][0];
    assert_eq!(line["load_percent"], 18.3);
    assert_eq!(line["requests"][0]["devices"].as_array().unwrap().len(), 10);
    assert_eq!(line["requests"][0]["count"], 10);
    assert_eq!(line["requests"][0]["time_us"], 45_833);
    assert_eq!(line["requests"][1]["function"], 1);
    assert_eq!(line["heaviest_profile"], "relay");
    // 10 s and 11 devices with three tries of 0.1 s, and 0.3 of that besides.
    let log_out = json!({ "devices": 11, "one_ms": 12_500, "all_ms": 14_290, "in_flight": 1 });
    assert_eq!(line["log_out"], log_out);
    assert_eq!(json["probes_percent"], 2.0);
    assert_eq!(line["requests"][0]["priority"], "normal");
    let points = json!([
        { "id": "Voltage", "type": "int", "title": "Voltage", "title_zh": "电压", "unit": "V" },
        { "id": "Energy", "type": "int", "unverified": true },
    ]);
    let (meter, relay) = (&json["profiles"][0], &json["profiles"][1]);
    assert_eq!(meter["points"], points);
    assert_eq!(meter.get("title").or(meter.get("unverified")), None);
    assert_eq!(relay["title"], "Pump relay");
    assert_eq!(relay["unverified"], true);
    let upstream = &json["upstream"];
    assert_eq!(upstream["values_per_second"], 6.0);
    assert_eq!(upstream["messages_per_day"], 364_320);
    assert_eq!(upstream["load_percent"], 16.2);
    assert_eq!(upstream["values_percent"], 0.2);
    assert_eq!(upstream["bound_by"], "devices");
    let heaviest = json!({ "profile": "relay", "devices": 1, "first_device": "pump", "interval_ms": 250, "percent": 80.0 });
    assert_eq!(upstream["heaviest"], heaviest);
    assert_eq!(upstream["outage"]["kept_in"], "store");
    assert_eq!(upstream["outage"]["seconds"], 30 * 86_400);
    assert_eq!(upstream["outage"]["bounded_by_age"], true);
}

/// Also checks values that happen to be whole: the type posted is part of the point.
#[test]
fn the_type_of_every_point_is_shown() {
    let profile = "
    points:
      - { id: Watts, table: holding, address: 0, type: u16 }
      - { id: WattsScale, table: holding, address: 0, type: u16, scale: 1.0 }
      - { id: WattsRound, table: holding, address: 0, type: u16, round: 1 }
      - { id: WattsOffset, table: holding, address: 0, type: u16, offset: 0.0 }
      - { id: AsDouble, table: holding, address: 0, type: u16, as: double }
      - { id: AsInt, table: holding, address: 0, type: u16, scale: 0.1, as: int }
      - { id: ByPower, table: holding, address: 1, type: i16, scale_from: 2 }
      - { id: Sum, table: holding, type: u16, parts: [{ address: 4, weight: 0.1 }, { address: 5 }] }
      - { id: Rounded, table: holding, address: 1, type: f32, round: 0 }
      - { id: Serial, table: holding, address: 1, type: u64, as: text }
      - { id: Mode, table: holding, address: 1, type: u16, values: { 0: off } }
      - { id: Name, table: holding, address: 1, type: string, registers: 4 }
      - { id: Since, table: holding, address: 1, type: u32, as: date }
";
    let begin = CONFIGURATION.find("\n    points:").unwrap();
    let end = CONFIGURATION.find("  - name: relay").unwrap();
    let text = format!(
        "{}{profile}{}",
        &CONFIGURATION[..begin],
        &CONFIGURATION[end..]
    );
    let (text, status) = outcome(&text, |_| {}, false);
    assert_eq!(status, 0, "{text}");
    let table = text.split("\n\n").nth(1).unwrap();
    assert_eq!(
        table,
        "  profile  posts as  points
  meter    int       Watts, AsInt, Rounded
  meter    double    WattsScale, WattsRound, WattsOffset, AsDouble, ByPower, Sum
  meter    enum      Mode
  meter    text      Serial, Name
  meter    date      Since
  relay    bool      On"
    );
}

/// What is not a number has no deadband, and a window needs readings.
#[test]
fn the_policy_of_each_point_is_shown_where_not_every_reading_is_reported() {
    let text = CONFIGURATION
        .replace("reply_delay: 0s", "report: { deadband: 2%, max_interval: 15m }")
        .replace(
            "type: u32 }",
            "type: u32, report: { when: all, min_interval: 1m } }
      - { id: On, table: holding, address: 10, type: bit, bit: 0 }
      - { id: Off, table: holding, address: 10, type: bit, bit: 1, report: all }
      - { id: Flow, table: holding, address: 11, type: f32, report: { window: 5m, value: mean } }
      - { id: Hot, table: holding, address: 13, type: i16, report: { deadband: 0.5, min_interval: 10s } }",
        )
        .replace("interval: 250ms", "interval: 250ms\n    report: on-change");
    let (table, _) = outcome(&text, |_| {}, false);
    let reports = table
        .split("\n\n")
        .find(|part| part.starts_with("  profile  reports"))
        .expect("a table of the policies");
    assert_eq!(
        reports,
        "  profile  reports                                         points
  meter    a change by more than 2%, at least once in 15m  Voltage
  meter    the newest reading, at most once in 1m          Energy
  meter    a change, at least once in 15m                  On
  meter    the mean of each 5m                             Flow
  meter    a change by more than 0.5, at most once in 10s  Hot
  relay    a change                                        On"
    );
    let (json, _) = outcome(&text, |_| {}, true);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let points = json["profiles"][0]["points"].as_array().unwrap();
    let reports: Vec<_> = points.iter().map(|p| &p["report"]).collect();
    let none = serde_json::Value::Null;
    assert_eq!(
        reports,
        [
            &json!({ "when": "change", "deadband": null, "deadband_percent": 2.0,
                "min_interval_ms": 0, "max_interval_ms": 900_000 }),
            &json!({ "when": "all", "deadband": null, "deadband_percent": null,
                "min_interval_ms": 60_000, "max_interval_ms": null }),
            &json!({ "when": "change", "deadband": null, "deadband_percent": null,
                "min_interval_ms": 0, "max_interval_ms": 900_000 }),
            &none,
            &json!({ "window_ms": 300_000, "value": "mean" }),
            &json!({ "when": "change", "deadband": 0.5, "deadband_percent": null,
                "min_interval_ms": 10_000, "max_interval_ms": null }),
        ]
    );
}

#[test]
fn a_priority_is_shown_where_it_is_not_the_normal_one() {
    let high = CONFIGURATION.replace("interval: 250ms", "interval: 250ms\n    priority: high");
    let (text, _) = outcome(&high, |_| {}, false);
    let table: Vec<&str> = text.lines().skip(1).take(3).collect();
    assert_eq!(
        table,
        [
            "  devices              profile  reads                     points  filler  every  priority  takes    load",
            "  hall-001 and 9 more  meter    holding registers 0 to 9  2       7       10s              45.8 ms  4.6 %",
            "  pump                 relay    coil 0                    1       0       250ms  high      34.1 ms  14 %",
        ]
    );
    let (text, _) = outcome(&high, |_| {}, true);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["lines"][0]["requests"][1]["priority"], "high");
}

#[test]
fn an_overloaded_line_is_shown_and_the_status_says_so_unless_it_is_allowed() {
    let fast = CONFIGURATION
        .replace("250ms", "50ms")
        .replace("10s", "500ms");
    let (text, status) = outcome(&fast, |_| {}, false);
    assert!(text.starts_with("line1: 160 %"), "{text}");
    assert_eq!(status, 1);
    let allowed = fast.replace(
        "  - name: line1",
        "  - allow_overload: true\n    name: line1",
    );
    assert_eq!(outcome(&allowed, |_| {}, false).1, 0);
    assert_eq!(outcome("gateway: 7", |_| {}, false).1, 78);
}

#[test]
fn a_connection_that_is_asked_for_too_much_is_shown_and_the_status_says_so_unless_it_is_allowed() {
    let slow = CONFIGURATION.replace(
        "aliyuncs.com }",
        "aliyuncs.com, post: { messages_per_second: 2 } }",
    );
    let (text, status) = outcome(&slow, |_| {}, false);
    assert!(text.contains("\nupstream: 2"), "{text}");
    assert_eq!(status, 1);
    let allowed = slow.replace("second: 2 }", "second: 2, allow_overload: true }");
    assert_eq!(outcome(&allowed, |_| {}, false).1, 0);
}

#[test]
fn holes_that_were_learned_are_gone_around() {
    // The digest of this profile's points, as the service writes it.
    let known = |dir: &Path| {
        fs::create_dir(dir.join("state")).unwrap();
        let text = r#"{"version":1,"kinds":[{"profile":"meter","points":"DIGEST",
            "holes":[{"table":"holding","first":0,"last":8}]}]}"#;
        let text = text.replace("DIGEST", METER);
        fs::write(dir.join("state/lessons.json"), text).unwrap();
    };
    let (text, _) = outcome(CONFIGURATION, known, false);
    assert!(text.contains("holding registers 8 to 9  "), "{text}");
    assert!(text.contains("holding register 0 "), "{text}");
}

/// First half of SHA-256 of `holding 0 1;holding 8 2;`.
const METER: &str = "170f0f7fb5bb7941a5985ca5e8d36984";
