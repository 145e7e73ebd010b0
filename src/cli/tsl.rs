//! `alink-gateway tsl PROFILE`: the thing model of a profile, for the console of the platform.
//!
//! The model goes to standard output, to be written to a file and imported; what is to be known
//! goes to standard error. With `--check FILE` an export of the console is compared instead.
//!
//! Names are in the language of the terminal, as everything else that the tool writes; `--language`
//! is for a machine whose terminal speaks another than the product's users.

#![expect(clippy::print_stderr, reason = "standard output is the model alone")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use super::EXIT_CONFIG;
use super::init::first::product_key;
use super::language::Language;
use crate::base::text::counted;
use crate::cloud::thing_model;
use crate::config::{LeftOutPoint, NamedProfile, did_you_mean};
use crate::io::files::bounded;
use crate::io::files::settings::{self, LoadContext};
use crate::io::terminal::screen;
use crate::spec::TitleLanguage;

/// The largest export that is read: 300 functions take less than a tenth of it.
const LARGEST: u64 = 8 << 20;

/// What the console does with an import ("Import a TSL model"; "Create a product").
const IMPORT_WARNINGS: [&str; 4] = [
    "an import replaces everything that the product has; export it first",
    "the product must not be published, or be withdrawn first",
    "a product of sub-devices whose gateway protocol is Modbus, OPC UA, ZigBee or BLE takes no import: create it as custom",
    "instances of the MQTT type have no thing model",
];

/// What is asked of a profile's thing model.
#[derive(Debug, clap::Args)]
pub struct TslOptions {
    /// The product that the model is for [default: that of the profile].
    #[arg(long, value_name = "KEY", value_parser = product_key)]
    product_key: Option<String>,
    /// The language of names and units: en or zh [default: that of this terminal].
    #[arg(long, value_name = "LANGUAGE")]
    language: Option<NameLanguage>,
    /// Compare this export of the console with the profile, instead of writing the model.
    #[arg(long, value_name = "FILE")]
    check: Option<std::path::PathBuf>,
}

/// The language of names in a thing model.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub enum NameLanguage {
    /// The titles that are for all readers.
    En,
    /// The titles in Chinese, where there are any.
    Zh,
}

/// Prints the thing model of a profile: one of the configuration, or in a file of its own. Exit
/// status 0; 1 if an export differs, or cannot be read; 78 if there is no such profile.
#[must_use]
pub fn run(profile: &str, config: &Path, options: &TslOptions, language: Language) -> ExitCode {
    let asked = profile;
    let found = match found(profile, config) {
        Ok(found) => found,
        Err(why) => {
            screen::print_error(&language.say(&why));
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let profile = &found.spec;
    let product = found.product_key.clone();
    let key = options.product_key.clone().or(product).unwrap_or_default();
    let readers = match options.language {
        Some(NameLanguage::En) => TitleLanguage::Any,
        Some(NameLanguage::Zh) => TitleLanguage::Chinese,
        None => language.readers(),
    };
    let model = thing_model::thing_model(profile, &key, readers);
    match &options.check {
        None => {
            let text = format!("{model:#}\n");
            // The reader of the output may have closed it.
            let _ = screen::write(&text);
            for note in parameter_notes(asked, &found) {
                eprintln!("{}", language.say(&note));
            }
            for warning in thing_model::import_warnings(profile) {
                eprintln!("{}", language.say(&warning));
            }
            if key.is_empty() {
                let none =
                    "the profile names no product: write --product-key, or fill in productKey";
                eprintln!("{}", language.say(none));
            }
            for warning in IMPORT_WARNINGS {
                eprintln!("{}", language.say(warning));
            }
            ExitCode::SUCCESS
        }
        Some(file) => {
            let export = bounded::read_text(file, LARGEST).map_err(|why| why.to_string());
            match export.and_then(|export| thing_model::differences(&model, &export)) {
                Ok(differences) => compared(&differences, language),
                Err(why) => {
                    eprintln!("{}: {}", file.display(), language.say(&why));
                    ExitCode::FAILURE
                }
            }
        }
    }
}

/// Prints each difference, and how many there are.
fn compared(differences: &[String], language: Language) -> ExitCode {
    let mut text = String::new();
    for difference in differences {
        text.push_str(&language.say(difference));
        text.push('\n');
    }
    text.push_str(&language.say(&counted(differences.len(), "difference")));
    text.push('\n');
    let _ = screen::write(&text);
    match differences.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Says for which values of its parameters a profile's model holds, which points they leave out,
/// and what includes them.
fn parameter_notes(asked: &str, profile: &NamedProfile) -> Vec<String> {
    let values = &profile.spec.about.parameters;
    if values.is_empty() {
        return Vec::new();
    }
    let (name, _) = split(asked).unwrap_or((asked, BTreeMap::new()));
    let mut notes = vec![format!(
        "this is the model with {}; for other values: alink-gateway tsl '{name}(PARAMETER=VALUE,…)'",
        written(values)
    )];
    let mut left: Vec<&LeftOutPoint> = profile.left_out.iter().collect();
    while let Some(others) = most_at_once(&left, values) {
        let mut all = values.clone();
        all.extend(others.clone());
        let (now, later): (Vec<_>, Vec<_>) = left.into_iter().partition(|point| point.exists(&all));
        let ids: Vec<&str> = now.iter().map(|point| point.id.as_str()).collect();
        let in_force = others.keys().filter_map(|name| values.get_key_value(name));
        let in_force = in_force.map(|(name, value)| (name.clone(), value.clone()));
        // What was asked for besides stays.
        let mut given = split(asked).map_or_else(BTreeMap::new, |(_, given)| given);
        given.extend(others.clone());
        notes.push(format!(
            "left out, as {}: {}; with them: alink-gateway tsl '{name}({})'",
            written(&in_force.collect()),
            ids.join(", "),
            written(&given)
        ));
        left = later;
    }
    notes
}

/// Returns the values of parameters, other than these, with which the most of the points exist;
/// `None` if there is no point that could exist.
fn most_at_once(
    points: &[&LeftOutPoint],
    values: &BTreeMap<String, String>,
) -> Option<BTreeMap<String, String>> {
    let mut best: Option<(usize, BTreeMap<String, String>)> = None;
    for point in points {
        let lists = point.when.values().map(Vec::len);
        for nth in 0..lists.max().unwrap_or(0) {
            let mut own = BTreeMap::new();
            for (name, any) in &point.when {
                let is_met = values.get(name).is_some_and(|value| any.contains(value));
                if let (false, Some(value)) = (is_met, any.get(nth).or(any.last())) {
                    own.insert(name.clone(), value.clone());
                }
            }
            let mut all = values.clone();
            all.extend(own.clone());
            if !point.exists(&all) {
                continue;
            }
            let many = points.iter().filter(|point| point.exists(&all)).count();
            if best.as_ref().is_none_or(|(most, _)| many > *most) {
                best = Some((many, own));
            }
        }
    }
    best.map(|(_, own)| own)
}

/// Writes `ct_ratio=80,probe=two`.
fn written(values: &BTreeMap<String, String>) -> String {
    let each = values.iter().map(|(name, value)| format!("{name}={value}"));
    each.collect::<Vec<_>>().join(",")
}

/// Reads `meter(ct_ratio=80,probe=two)`; `None` if it is not of this form.
fn split(asked: &str) -> Option<(&str, BTreeMap<String, String>)> {
    let (name, values) = asked.strip_suffix(')')?.rsplit_once('(')?;
    let pair = |text: &str| {
        let (name, value) = text.split_once('=')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    Some((name, values.split(',').map(pair).collect::<Option<_>>()?))
}

/// Returns a profile, with the product that it names and the values of parameters that are asked
/// for.
fn found(asked: &str, config: &Path) -> Result<NamedProfile, String> {
    let (name, values) = split(asked).unwrap_or((asked, BTreeMap::new()));
    let profile = named(name, config)?;
    match values.is_empty() {
        true => Ok(profile),
        false => profile.with(&values).map_err(|why| format!("{why}\n")),
    }
}

/// Returns a profile of this name, or in this file.
fn named(profile: &str, config: &Path) -> Result<NamedProfile, String> {
    let around = LoadContext::of_person();
    let is_file = profile.contains('/') || profile.ends_with(".yaml");
    let profiles = match is_file {
        true => settings::profile_in(Path::new(profile), &around),
        false => settings::profiles(config, &around),
    };
    let profiles = profiles.map_err(|report| format!("{report}\n"))?;
    let named = |p: &&NamedProfile| is_file || p.spec.name == profile;
    if let Some(found) = profiles.iter().find(named) {
        return Ok(found.clone());
    }
    let names = profiles.iter().map(|p| p.spec.name.as_str());
    let meant =
        did_you_mean(profile, names.clone()).map_or_else(String::new, |it| format!("; {it}"));
    let all: Vec<&str> = names.collect();
    Err(format!(
        "{profile} is no profile here{meant}; there are {}\n",
        all.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::files::create::{Existing, create};

    const PUMP: &str = "name: pump\nproduct_key: a1PumpPk000\ninterval: 10s\nparameters:\n  \
        - { name: ct_ratio, default: 2 }\n  \
        - { name: probe, default: none, one_of: [none, one, two] }\n  \
        - { name: battery, default: no, one_of: [no, yes] }\npoints:\n  \
        - { id: Flow, table: input, address: 0, type: u16, scale: $ct_ratio }\n  \
        - { id: Probe1, table: input, address: 1, type: u16, when: { probe: [one, two] } }\n  \
        - { id: Probe2, table: input, address: 2, type: u16, when: { probe: two } }\n  \
        - { id: Charge, table: input, address: 3, type: u16, when: { battery: yes } }\n";

    /// Returns the notes on the model of the pump with these words behind its file, and the ids of
    /// its points.
    fn asked(values: &str) -> Result<(Vec<String>, Vec<String>), String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pump.yaml");
        create(&file, PUMP.as_bytes(), Existing::Replace).unwrap();
        let asked = format!("{}{values}", file.display());
        let found = found(&asked, Path::new("/nowhere"))?;
        let notes = parameter_notes(&asked, &found).into_iter();
        let short = notes.map(|note| note.replace(&file.display().to_string(), "pump.yaml"));
        let ids = found.spec.points.iter().map(|p| p.id.as_str().to_owned());
        Ok((short.collect(), ids.collect()))
    }

    #[test]
    fn points_that_parameters_leave_out_are_named_with_what_includes_them() {
        let (notes, ids) = asked("").unwrap();
        assert_eq!(ids, ["Flow"]);
        assert_eq!(
            notes,
            [
                "this is the model with battery=no,ct_ratio=2,probe=none; for other values: alink-gateway tsl 'pump.yaml(PARAMETER=VALUE,…)'",
                "left out, as probe=none: Probe1, Probe2; with them: alink-gateway tsl 'pump.yaml(probe=two)'",
                "left out, as battery=no: Charge; with them: alink-gateway tsl 'pump.yaml(battery=yes)'",
            ]
        );
        let (notes, ids) = asked("(probe=two)").unwrap();
        assert_eq!(ids, ["Flow", "Probe1", "Probe2"]);
        assert_eq!(
            notes[1..],
            [
                "left out, as battery=no: Charge; with them: alink-gateway tsl 'pump.yaml(battery=yes,probe=two)'"
            ]
        );
        let (notes, ids) = asked("(probe=two, battery=yes)").unwrap();
        assert_eq!((notes.len(), ids.len()), (1, 4));
    }

    #[test]
    fn values_that_do_not_fit_are_told() {
        let why = |values| asked(values).unwrap_err();
        assert_eq!(
            why("(prob=two)"),
            "prob is no parameter of the profile: wanted battery, ct_ratio or probe\n"
        );
        assert_eq!(
            why("(probe=three)"),
            "probe=three: wanted none, one or two\n"
        );
    }
}
