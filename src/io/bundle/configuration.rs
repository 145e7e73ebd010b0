//! Writes a configuration as it was understood, for people: a line for each setting, in the
//! words of the program. A secret has no text ([`crate::base::Secret`]).

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value as Json;

use crate::spec::Spec;

/// Returns the configuration as it was understood. Each profile is shown once.
pub(crate) fn configuration(spec: &Spec) -> String {
    let mut text = String::new();
    part(&mut text, "cloud", &spec.cloud);
    part(&mut text, "commands", &spec.commands);
    for (_, port) in spec.ports() {
        part(&mut text, &format!("port {}", port.name), port);
    }
    let mut shown = BTreeSet::new();
    for (_, device) in spec.devices() {
        if shown.insert(device.profile.name.as_str()) {
            let title = format!("profile {}", device.profile.name);
            part(&mut text, &title, &*device.profile);
        }
    }
    for (_, device) in spec.devices() {
        let port = spec.port(device.port).map_or("?", |p| p.name.as_str());
        let _ = writeln!(
            text,
            "device {}: on {port} {}, profile {}, {} of {}, secret {}",
            device.name,
            device.place().unwrap_or_default(),
            device.profile.name,
            device.device_name,
            device.product_key,
            if device.secret.is_empty() {
                "none"
            } else {
                "***"
            },
        );
    }
    text
}

/// Writes one part of a configuration below its title.
fn part(text: &mut String, title: &str, of: &impl Serialize) {
    let _ = writeln!(text, "{title}:");
    match serde_json::to_value(of) {
        Ok(value) => below(text, &value, 1),
        Err(why) => {
            let _ = writeln!(text, "  cannot be shown: {why}");
        }
    }
}

/// Writes the members of a value, a line each, this deep.
fn below(text: &mut String, value: &Json, depth: usize) {
    let indent = "  ".repeat(depth);
    match value {
        Json::Object(members) => {
            for (name, value) in members {
                match on_one_line(value) {
                    Some(line) => {
                        let _ = writeln!(text, "{indent}{name}: {line}");
                    }
                    None => {
                        let _ = writeln!(text, "{indent}{name}:");
                        below(text, value, depth + 1);
                    }
                }
            }
        }
        Json::Array(items) => {
            for item in items {
                match on_one_line(item) {
                    Some(line) => {
                        let _ = writeln!(text, "{indent}- {line}");
                    }
                    None => {
                        let mut inner = String::new();
                        below(&mut inner, item, depth + 1);
                        // The first line of an item stands behind its dash, as in YAML.
                        inner.replace_range(indent.len()..indent.len() + 1, "-");
                        text.push_str(&inner);
                    }
                }
            }
        }
        other => {
            let _ = writeln!(text, "{indent}{}", on_one_line(other).unwrap_or_default());
        }
    }
}

/// Returns a value that is short enough for the line of its name.
fn on_one_line(value: &Json) -> Option<String> {
    match value {
        Json::Null => Some("none".to_owned()),
        Json::Bool(true) => Some("yes".to_owned()),
        Json::Bool(false) => Some("no".to_owned()),
        Json::Number(n) => Some(n.to_string()),
        Json::String(s) => Some(s.clone()),
        Json::Array(items) if items.is_empty() => Some("none".to_owned()),
        Json::Array(items) => {
            let short = items.iter().all(|i| !i.is_object() && !i.is_array());
            let items: Option<Vec<String>> = items.iter().map(on_one_line).collect();
            items.filter(|_| short).map(|items| items.join(", "))
        }
        Json::Object(members) if members.is_empty() => Some("none".to_owned()),
        Json::Object(members) => span(members),
    }
}

/// Returns a span of time, as serde writes [`Duration`]: `10 s`, `750 ms`.
fn span(members: &serde_json::Map<String, Json>) -> Option<String> {
    let whole = |name| members.get(name).and_then(Json::as_u64);
    let (secs, nanos) = (whole("secs")?, u32::try_from(whole("nanos")?).ok()?);
    if members.len() != 2 {
        return None;
    }
    let span = Duration::new(secs, nanos);
    Some(match nanos {
        0 => format!("{secs} s"),
        _ if nanos % 1_000_000 == 0 => format!("{} ms", span.as_millis()),
        _ => format!("{} us", span.as_micros()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::field::test_spec::{installation, profile, serial};

    #[test]
    fn settings_are_lines_and_spans_of_time_have_units() {
        let mut text = String::new();
        below(
            &mut text,
            &json!({
                "after": Duration::from_secs(90),
                "silence": Duration::from_micros(1750),
                "wait": Duration::from_millis(750),
                "is_quiet": true,
                "limits": { "most": 50, "none": null },
                "points": [{ "id": "Voltage", "at": [1, 2] }, { "id": "Current" }],
                "rates": [9600, 19200],
            }),
            1,
        );
        let wanted = "  after: 90 s\n  is_quiet: yes\n  limits:\n    most: 50\n    none: none\n  points:\n    - at: 1, 2\n      id: Voltage\n    - id: Current\n  rates: 9600, 19200\n  silence: 1750 us\n  wait: 750 ms\n";
        assert_eq!(text, wanted);
    }

    #[test]
    fn a_configuration_is_shown_in_words_and_without_its_secrets() {
        let spec = installation(serial(9600), vec![profile(Vec::new())]);
        let text = configuration(&spec);
        for words in [
            "cloud:\n",
            "\n    keepalive: ",
            "\nport ",
            "  baud: 9600\n",
            "\nprofile ",
            "\ndevice ",
        ] {
            assert!(text.contains(words), "{words}\n{text}");
        }
        // Neither Rust's nor serde's form of anything.
        for form in ["Some(", "{", "}", "nanos", "Duration", "()"] {
            assert!(!text.contains(form), "{form}\n{text}");
        }
    }
}
