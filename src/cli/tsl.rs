//! `alink-gateway tsl PROFILE`: the thing model of a profile, for the console of the platform.
//!
//! The model goes to standard output, to be written to a file and imported; what is to be known
//! goes to standard error. With `--check FILE` an export of the console is compared instead.
//!
//! Names are in the language of the terminal, as everything else that the tool writes; `--language`
//! is for a machine whose terminal speaks another than the product's users.

#![expect(clippy::print_stderr, reason = "standard output is the model alone")]

use std::path::Path;
use std::process::ExitCode;

use super::EXIT_CONFIG;
use super::language::Language;
use crate::base::text::counted;
use crate::cloud::thing_model;
use crate::config::{NamedProfile, did_you_mean};
use crate::io::files::bounded;
use crate::io::files::settings::{self, LoadContext};
use crate::io::terminal::screen;
use crate::spec::Readers;

/// The largest export that is read: 300 functions take less than a tenth of it.
const LARGEST: u64 = 8 << 20;

/// What the console does with an import ("Import a TSL model"; "Create a product").
const TRAPS: [&str; 4] = [
    "an import replaces everything that the product has; export it first",
    "the product must not be published, or be withdrawn first",
    "a product of sub-devices whose gateway protocol is Modbus, OPC UA, ZigBee or BLE takes no import: create it as custom",
    "instances of the MQTT type have no thing model",
];

/// What is asked of a profile's thing model.
#[derive(Debug, clap::Args)]
pub struct TslOptions {
    /// The product that the model is for [default: that of the profile].
    #[arg(long, value_name = "KEY")]
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
pub fn run(profile: &str, config: &Path, how: &TslOptions, language: Language) -> ExitCode {
    let NamedProfile {
        spec: profile,
        product_key: product,
    } = match found(profile, config) {
        Ok(found) => found,
        Err(why) => {
            screen::complain(&language.say(&why));
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let key = how.product_key.clone().or(product).unwrap_or_default();
    let readers = match how.language {
        Some(NameLanguage::En) => Readers::Any,
        Some(NameLanguage::Zh) => Readers::Chinese,
        None => language.readers(),
    };
    let model = thing_model::thing_model(&profile, &key, readers);
    match &how.check {
        None => {
            let text = format!("{model:#}\n");
            // The reader of the output may have closed it.
            let _ = screen::write(&text);
            for trap in thing_model::traps(&profile) {
                eprintln!("{}", language.say(&trap));
            }
            if key.is_empty() {
                let none =
                    "the profile names no product: write --product-key, or fill in productKey";
                eprintln!("{}", language.say(none));
            }
            for trap in TRAPS {
                eprintln!("{}", language.say(trap));
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

/// Returns a profile, with the product that it names.
fn found(profile: &str, config: &Path) -> Result<NamedProfile, String> {
    let around = LoadContext::of_person();
    let is_file = profile.contains('/') || profile.ends_with(".yaml");
    let profiles = match is_file {
        true => settings::profile_in(Path::new(profile), &around),
        false => settings::profiles(config, &around),
    };
    let mut profiles = profiles.map_err(|report| format!("{report}\n"))?;
    if !is_file {
        profiles.extend(settings::variants(config, &around));
    }
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
