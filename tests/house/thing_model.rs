//! The thing models that the tool writes for the console: a profile with each kind of point, and
//! all shipped profiles.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use alink_gateway::cloud::thing_model::{differences, import_warnings, thing_model};
use alink_gateway::io::files::settings::{LoadContext, profile_in};
use alink_gateway::spec::TitleLanguage;
use serde_json::{Value as Json, json};

use crate::source::root;
use crate::tools;

const BOILER: &str = r#"
name: boiler
product_key: a1BoilerPk00
interval: 10s
points:
  - { id: Flow, title: Flow temperature, title_zh: 供水温度, unit: °C, table: holding, address: 0, type: i16, scale: 0.1, min: -20, max: 120 }
  - { id: Count, table: input, address: 1, type: u16 }
  - { id: Energy, title: Energy, unit: kWh, table: input, address: 2, type: f32 }
  - { id: Total, table: input, address: 4, type: u32, as: double, max: 4000000000 }
  - { id: Burning, title_zh: 燃烧状态, table: discrete, address: 0, values: { 0: out, 1: burning } }
  - { id: Door, table: discrete, address: 1 }
  - { id: Mode, table: holding, address: 10, type: u16, values: { 0: off, 1: heating }, write: yes }
  - { id: Setpoint, title: Setpoint, title_zh: 设定温度, unit: K(room), table: holding, address: 11, type: i16, scale: 0.1, write: { min: 20, max: 70, step: 0.5 } }
  - { id: Serial, table: input, address: 20, type: string, registers: 8 }
  - { id: Started, table: input, address: 30, type: u32, as: date }
events:
  - { id: TooHot, when: { point: Flow, above: 90 }, data: { Flow: Flow, Limit: 90.0 } }
services:
  - id: Heat
    inputs: [{ name: level, min: 20, max: 60, default: 45 }]
    steps:
      - write: { Mode: heating, Setpoint: $level }
      - read: { point: Flow, as: flow }
"#;

/// Returns the model of a profile that is written in this text, and what the platform would not
/// take.
fn model_of(text: &str, readers: TitleLanguage) -> (Json, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("boiler.yaml");
    fs::write(&file, text).unwrap();
    model_in(&file, readers)
}

fn model_in(file: &Path, readers: TitleLanguage) -> (Json, Vec<String>) {
    let found = profile_in(file, &LoadContext::default());
    let found = found.unwrap_or_else(|report| panic!("{report}"));
    let profile = &found[0].spec;
    let product = found[0].product_key.clone().unwrap_or_default();
    (
        thing_model(profile, &product, readers),
        import_warnings(profile),
    )
}

#[test]
fn a_profile_with_each_kind_of_point_is_as_written_down() {
    let (model, import_warnings) = model_of(BOILER, TitleLanguage::Any);
    assert_eq!(import_warnings, [""; 0]);
    let text = format!("{model:#}\n");
    let file = root().join("tests/vectors/thing-model/boiler.json");
    if std::env::var_os("BLESS").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, &text).unwrap();
    }
    assert_eq!(text, fs::read_to_string(file).unwrap_or_default());
}

#[test]
fn names_and_units_are_in_the_language_of_their_readers() {
    let told = |readers| {
        let (model, _) = model_of(BOILER, readers);
        let properties = model["properties"].as_array().unwrap().clone();
        let told = properties.iter().map(|p| {
            let text = |json: &Json| json.as_str().unwrap_or("-").to_owned();
            let specs = &p["dataType"]["specs"];
            [&p["name"], &specs["unit"], &specs["unitName"]].map(text)
        });
        let told: Vec<[String; 3]> = told.collect();
        (told, model)
    };
    let (general, model) = told(TitleLanguage::Any);
    assert_eq!(general[0], ["Flow temperature", "°C", "degree Celsius"]);
    assert_eq!(general[1], ["Count", "-", "-"]);
    assert_eq!(general[2], ["Energy", "kWh", "kilowatt hour"]);
    assert_eq!(general[4], ["Burning", "-", "-"]);
    assert_eq!(general[7], ["Setpoint", "K(room)", "K(room)"]);
    // The names are also those of the outputs, unless an output has a name of its own.
    assert_eq!(
        model["events"][1]["outputData"][0]["name"],
        "Flow temperature"
    );
    assert_eq!(model["services"][2]["outputData"][0]["name"], "flow");
    let (chinese, _) = told(TitleLanguage::Chinese);
    assert_eq!(chinese[0], ["供水温度", "°C", "摄氏度"]);
    assert_eq!(chinese[1], ["Count", "-", "-"]);
    assert_eq!(chinese[2], ["Energy", "kWh", "千瓦时"]);
    assert_eq!(chinese[4], ["燃烧状态", "-", "-"]);
}

/// The rules of the platform for one list of functions or parameters.
fn holds_rules(name: &str, all: &Json) {
    for function in all.as_array().unwrap() {
        let id = function["identifier"].as_str().unwrap();
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        assert!(
            (1..=50).contains(&id.len()) && id.chars().all(is_word),
            "{name}: {id}"
        );
        let shown = function["name"].as_str().unwrap().chars().count();
        assert!((1..=40).contains(&shown), "{name}: {id}");
        for key in ["inputData", "outputData"] {
            let has_values = function[key]
                .as_array()
                .is_some_and(|all| all.iter().any(Json::is_object));
            if has_values {
                holds_rules(&format!("{name}, {id}"), &function[key]);
            }
        }
        let of = &function["dataType"];
        let (Some(kind), specs) = (of["type"].as_str(), &of["specs"]) else {
            assert!(function["method"].is_string(), "{name}: {id}");
            continue;
        };
        let number = |key: &str| specs[key].as_str().unwrap().parse::<f64>().unwrap();
        match kind {
            "int" | "float" | "double" => {
                assert!(
                    number("min") <= number("max") && number("step") > 0.0,
                    "{name}: {id}"
                );
                for key in ["min", "max", "step"] {
                    let plain = !specs[key].as_str().unwrap().contains(['e', 'E']);
                    assert!(plain, "{name}: {id}: {specs}");
                }
            }
            "bool" => assert!(
                specs["0"].is_string() && specs["1"].is_string(),
                "{name}: {id}"
            ),
            "enum" => {
                let items = specs.as_object().unwrap();
                assert!((1..=100).contains(&items.len()), "{name}: {id}");
                assert!(
                    items.keys().all(|n| n.parse::<i32>().is_ok()),
                    "{name}: {id}"
                );
            }
            "text" => assert!(number("length") <= 10_240.0, "{name}: {id}"),
            "date" => assert_eq!(*specs, json!({}), "{name}: {id}"),
            other => panic!("{name}: {id}: {other}"),
        }
    }
}

#[test]
fn each_shipped_profile_has_a_model_that_the_platform_takes() {
    let folder = fs::read_dir(root().join("config/profiles")).unwrap();
    for file in folder {
        let file = file.unwrap().path();
        let name = file.display().to_string();
        let (chinese, _) = model_in(&file, TitleLanguage::Chinese);
        let (model, import_warnings) = model_in(&file, TitleLanguage::Any);
        assert_eq!(import_warnings, [""; 0], "{name}");
        for model in [&model, &chinese] {
            for kind in ["properties", "events", "services"] {
                holds_rules(&name, &model[kind]);
            }
        }
        assert_eq!(
            differences(&model, &model.to_string()),
            Ok(Vec::new()),
            "{name}"
        );
    }
}

#[test]
fn an_export_that_differs_is_told_in_words() {
    let (model, _) = model_of(BOILER, TitleLanguage::Any);
    let mut export = model.clone();
    let properties = export["properties"].as_array_mut().unwrap();
    properties.retain(|p| p["identifier"] != "Serial");
    for property in properties.iter_mut() {
        match property["identifier"].as_str().unwrap() {
            "Flow" => property["dataType"]["specs"]["max"] = "100".into(),
            "Count" => property["dataType"]["type"] = "double".into(),
            "Energy" => property["dataType"]["specs"]["unit"] = "kW·h".into(),
            "Setpoint" => property["dataType"]["specs"]["unit"] = "°C".into(),
            "Mode" => {
                property["accessMode"] = "r".into();
                property["dataType"]["specs"] = json!({ "0": "off" });
            }
            _ => {}
        }
    }
    properties.push(json!({ "identifier": "Pressure", "name": "Pressure", "dataType": {} }));
    export["events"]
        .as_array_mut()
        .unwrap()
        .retain(|e| e["identifier"] != "TooHot");
    assert_eq!(
        differences(&model, &export.to_string()).unwrap(),
        [
            "property Count: double in the product, int in the profile",
            "property Flow: max 100 in the product, 120 in the profile: the platform refuses values beyond it",
            "property Mode: read-only in the product, and the profile can write it",
            "property Mode: the product has no state 1",
            "property Serial: not in the product",
            "property Setpoint: unit °C in the product, K(room) in the profile",
            "property Pressure: not in the profile",
            "event TooHot: not in the product",
        ]
    );
    for (text, why) in [
        ("{", "no JSON"),
        ("[]", "no thing model"),
        ("{}", "no thing model"),
    ] {
        let told = differences(&model, text).unwrap_err();
        assert!(told.contains(why), "{told}");
    }
}

#[test]
fn what_the_platform_would_not_take_is_told() {
    let (_, import_warnings) = model_of(
        "name: boiler\ninterval: 1s\npoints:\n  - { id: State, table: input, address: 1, type: u16, as: enum }\n",
        TitleLanguage::Any,
    );
    assert_eq!(import_warnings.len(), 1, "{import_warnings:?}");
    assert!(import_warnings[0].contains("State is an enum without titles"));
}

/// Has each model judged by the schema of `tests/vectors/thing-model` with Python's `jsonschema`,
/// and by the rules beside it. Returns what is wrong with each.
fn judged(models: &[(String, Json)]) -> Vec<(String, Vec<String>)> {
    let mut judge = Command::new(tools::path("jsonschema"))
        .arg(root().join("tests/peers/json_schema.py"))
        .arg(root().join("tests/vectors/thing-model/schema.json"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut asked = judge.stdin.take().unwrap();
    let lines: Vec<String> = models
        .iter()
        .map(|(name, model)| format!("{}\n", json!({ "name": name, "model": model })))
        .collect();
    // It reads and writes line by line: the pipes would fill up.
    let writer = std::thread::spawn(move || asked.write_all(lines.concat().as_bytes()));
    let told = judge.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(told.status.success());
    let told = String::from_utf8(told.stdout).unwrap();
    let one = |line: &str| {
        let told: Json = serde_json::from_str(line).unwrap();
        let problems = told["problems"].as_array().unwrap().iter();
        let problems = problems.map(|p| p.as_str().unwrap().to_owned()).collect();
        (told["name"].as_str().unwrap().to_owned(), problems)
    };
    let told: Vec<_> = told.lines().map(one).collect();
    assert_eq!(told.len(), models.len());
    told
}

#[test]
fn a_schema_of_the_platforms_rules_takes_every_model() {
    if !tools::have(&["jsonschema"]) {
        return;
    }
    let mut models = Vec::new();
    for file in fs::read_dir(root().join("config/profiles")).unwrap() {
        let file = file.unwrap().path();
        for readers in [TitleLanguage::Any, TitleLanguage::Chinese] {
            let name = format!("{}, {readers:?}", file.display());
            models.push((name, model_in(&file, readers).0));
        }
    }
    assert!(models.len() > 120, "{}", models.len());
    for file in fs::read_dir(root().join("tests/vectors/thing-model")).unwrap() {
        let file = file.unwrap().path();
        if !file.ends_with("schema.json") {
            let model = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
            models.push((file.display().to_string(), model));
        }
    }
    for (name, problems) in judged(&models) {
        assert_eq!(problems, [""; 0], "{name}");
    }
}

/// Returns the data type of a property of the boiler.
fn type_of<'a>(model: &'a mut Json, id: &str) -> &'a mut Json {
    let properties = model["properties"].as_array_mut().unwrap();
    let found = properties.iter_mut().find(|p| p["identifier"] == id);
    &mut found.unwrap()["dataType"]
}

/// A mistake in a model.
type Mistake = (&'static str, fn(&mut Json));

const MISTAKES: [Mistake; 36] = [
    ("no schema", |m| {
        drop(m.as_object_mut().unwrap().remove("schema"))
    }),
    ("no ProductKey", |m| m["profile"] = json!({})),
    ("a key that no model has", |m| m["functions"] = json!([])),
    ("no properties", |m| {
        drop(m.as_object_mut().unwrap().remove("properties"))
    }),
    ("an identifier with a hyphen", |m| {
        m["properties"][0]["identifier"] = "Flow-1".into()
    }),
    ("an identifier of 51", |m| {
        m["properties"][0]["identifier"] = "a".repeat(51).into()
    }),
    ("a reserved identifier", |m| {
        m["properties"][0]["identifier"] = "value".into()
    }),
    ("an identifier twice", |m| {
        m["properties"][1]["identifier"] = "Flow".into()
    }),
    ("a name twice", |m| {
        m["properties"][1]["name"] = "Flow temperature".into()
    }),
    ("an empty name", |m| m["properties"][0]["name"] = "".into()),
    ("a name of 41", |m| {
        m["properties"][0]["name"] = "a".repeat(41).into()
    }),
    ("a name with a sign", |m| {
        m["properties"][0]["name"] = "Flow °C".into()
    }),
    ("a name that begins with one", |m| {
        m["properties"][0]["name"] = "_flow".into()
    }),
    ("an access that is none", |m| {
        m["properties"][0]["accessMode"] = "w".into()
    }),
    ("a type that is none", |m| {
        type_of(m, "Flow")["type"] = "long".into()
    }),
    ("a number as min", |m| {
        type_of(m, "Flow")["specs"]["min"] = json!(-20)
    }),
    ("an exponent", |m| {
        type_of(m, "Flow")["specs"]["max"] = "1e3".into()
    }),
    ("no step", |m| {
        drop(
            type_of(m, "Flow")["specs"]
                .as_object_mut()
                .unwrap()
                .remove("step"),
        )
    }),
    ("a step of nothing", |m| {
        type_of(m, "Flow")["specs"]["step"] = "0.0".into()
    }),
    ("min above max", |m| {
        type_of(m, "Flow")["specs"]["min"] = "200".into()
    }),
    ("decimals of an int", |m| {
        type_of(m, "Count")["specs"]["max"] = "1.5".into()
    }),
    ("an int that is too large", |m| {
        type_of(m, "Count")["specs"]["max"] = "2147483648".into()
    }),
    ("a text that is too long", |m| {
        type_of(m, "Serial")["specs"]["length"] = "10241".into()
    }),
    ("a text without a length", |m| {
        type_of(m, "Serial")["specs"] = json!({})
    }),
    ("a date with a limit", |m| {
        type_of(m, "Started")["specs"] = json!({ "length": "10" })
    }),
    ("a bool without 1", |m| {
        type_of(m, "Door")["specs"] = json!({ "0": "shut" })
    }),
    ("an enum of words", |m| {
        type_of(m, "Mode")["specs"] = json!({ "off": "off" })
    }),
    ("an enum of nothing", |m| {
        type_of(m, "Mode")["specs"] = json!({})
    }),
    ("an enum of 101", |m| {
        let all = (0..101).map(|n| (n.to_string(), Json::from("state")));
        type_of(m, "Mode")["specs"] = Json::Object(all.collect());
    }),
    ("a struct of 51", |m| {
        let part = |n| json!({ "identifier": format!("p{n}"), "name": "part", "dataType": { "type": "date", "specs": {} } });
        *type_of(m, "Mode") =
            json!({ "type": "struct", "specs": (0..51).map(part).collect::<Vec<_>>() });
    }),
    ("an array of 513", |m| {
        *type_of(m, "Mode") =
            json!({ "type": "array", "specs": { "size": "513", "item": { "type": "int" } } });
    }),
    ("301 functions", |m| {
        let like = m["properties"][1].clone();
        let one = |n| {
            let mut property = like.clone();
            property["identifier"] = format!("p{n}").into();
            property["name"] = format!("p{n}").into();
            property
        };
        m["properties"] = (0..301).map(one).collect();
    }),
    ("no post", |m| {
        drop(m["events"].as_array_mut().unwrap().remove(0))
    }),
    ("no set", |m| {
        m["services"]
            .as_array_mut()
            .unwrap()
            .retain(|s| s["identifier"] != "set")
    }),
    ("a method of another", |m| {
        m["events"][1]["method"] = "thing.event.Other.post".into()
    }),
    ("a call that is none", |m| {
        m["services"][2]["callType"] = "later".into()
    }),
];

#[test]
fn the_schema_of_the_platforms_rules_refuses_each_mistake() {
    if !tools::have(&["jsonschema"]) {
        return;
    }
    let (right, _) = model_of(BOILER, TitleLanguage::Any);
    let broken = MISTAKES.iter().map(|(name, mistake)| {
        let mut model = right.clone();
        mistake(&mut model);
        assert_ne!(model, right, "{name}");
        ((*name).to_owned(), model)
    });
    for (name, problems) in judged(&broken.collect::<Vec<_>>()) {
        assert!(!problems.is_empty(), "{name} was taken");
    }
}

#[test]
fn limits_beyond_an_int_are_left_to_the_type() {
    let (model, import_warnings) = model_of(
        "name: boiler\ninterval: 1s\npoints:\n  - { id: Power, table: input, address: 1, type: i32, as: int, scale: 1000, min: -1e12, max: 2e9 }\n",
        TitleLanguage::Any,
    );
    let specs = &model["properties"][0]["dataType"]["specs"];
    assert_eq!(
        (&specs["min"], &specs["max"]),
        (&json!("-2147483648"), &json!("2000000000"))
    );
    assert_eq!(import_warnings, [""; 0]);
}

#[test]
fn names_that_the_console_would_not_take_are_told() {
    let long = "A".repeat(45);
    let (model, import_warnings) = model_of(
        &format!(
            "name: boiler\ninterval: 1s\npoints:\n\
             \x20 - {{ id: {long}, table: input, address: 1, type: u16 }}\n\
             \x20 - {{ id: _x, table: input, address: 2, type: u16 }}\n\
             \x20 - {{ id: Flow, title: Flow °C, title_zh: (水), table: input, address: 3, type: u16 }}\n\
             \x20 - {{ id: \"extra:Flow\", table: input, address: 4, type: u16 }}\n"
        ),
        TitleLanguage::Any,
    );
    let wanted = [
        format!("{long} has no title, and is no name for the console"),
        "_x has no title, and is no name for the console".to_owned(),
        "title of Flow has ° in it".to_owned(),
        "title_zh of Flow does not begin with".to_owned(),
        "extra:Flow belongs to a module of its own".to_owned(),
    ];
    assert_eq!(import_warnings.len(), wanted.len(), "{import_warnings:?}");
    for (told, wanted) in import_warnings.iter().zip(&wanted) {
        assert!(told.starts_with(wanted), "{told}");
    }
    assert_eq!(model["properties"].as_array().unwrap().len(), 3);
}
