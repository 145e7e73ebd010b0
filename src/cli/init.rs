//! `alink-gateway init [FILE]`: a first configuration, of six answers or as many options.
//!
//! An answer that was not given stays a place to fill in: `check` finds nothing wrong with the
//! file but what is still missing. The secret never stands in the file: it goes into
//! `gateway.secret` beside it, or stays where `--device-secret-file` says.

#![expect(clippy::print_stderr, reason = "questions, and what comes next")]

pub mod first;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use self::first::{FirstConfiguration, FirstDevice, Port};
use super::language::Language;
use crate::config::LARGEST_CONFIG;
use crate::io::files::bounded::{self, ReadFailure};
use crate::io::files::create::{self, Existing};
use crate::io::terminal::question::{self, Answer};

/// The configuration as the package installs it: no user's work is lost with it.
const INSTALLED: &str = include_str!("../../config/gateway.yaml");

/// The file beside the configuration that the secret goes into.
const SECRET_FILE: &str = "gateway.secret";

/// The answers that are given beforehand.
#[derive(Debug, clap::Args)]
pub struct InitOptions {
    /// The ProductKey of the gateway, from the console.
    #[arg(long, value_name = "KEY")]
    product_key: Option<String>,
    /// The DeviceName of the gateway, from the console.
    #[arg(long, value_name = "NAME")]
    device_name: Option<String>,
    /// The region of an instance without a name of its own, such as cn-shanghai.
    #[arg(long, value_name = "REGION", conflicts_with = "url")]
    region: Option<String>,
    /// Where the platform is: the MQTT host that the console shows, or a URL.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// The file that holds the DeviceSecret of the gateway and nothing else.
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    device_secret_file: Option<PathBuf>,
    /// The first port: a serial line such as /dev/ttyUSB0, or a host of Modbus TCP.
    #[arg(long, value_name = "PORT")]
    port: Option<String>,
    /// The profile of the first device; the package's are in /usr/share/alink-gateway/profiles.
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// The unit id of the first device [default: 1].
    #[arg(long, value_name = "N")]
    unit: Option<u8>,
    /// The ProductKey of the first device, which is then registered by itself.
    #[arg(long, value_name = "KEY")]
    sub_product_key: Option<String>,
    /// Ask nothing: what is not given stays a place to fill in.
    #[arg(long)]
    yes: bool,
    /// Replace a configuration that is there.
    #[arg(long)]
    force: bool,
}

/// Writes a first configuration. Exit status 0; 1 if it cannot be written, or a file is there; 2
/// if an answer is none, or there is no terminal to ask on.
#[must_use]
pub fn run(file: &Path, options: &InitOptions, language: Language) -> ExitCode {
    let say = |text: &str| eprintln!("{}", language.say(text));
    let existing = match existing(file, options.force) {
        Ok(existing) => existing,
        Err(why) => {
            say(&why);
            return ExitCode::FAILURE;
        }
    };
    let asked = match ask(file, options, language) {
        Ok(asked) => asked,
        Err(why) => {
            say(&why);
            return ExitCode::from(2);
        }
    };
    match write(file, &asked, existing, language) {
        Ok(()) => {
            for line in next(file, &asked) {
                say(&line);
            }
            ExitCode::SUCCESS
        }
        Err(why) => {
            say(&why);
            ExitCode::FAILURE
        }
    }
}

/// Returns whether a file that is there is replaced.
fn existing(file: &Path, force: bool) -> Result<Existing, String> {
    match bounded::read(file, LARGEST_CONFIG) {
        Err(ReadFailure::Missing) => Ok(Existing::Refuse),
        Ok(_) | Err(_) if force => Ok(Existing::Replace),
        Ok(bytes) if bytes == INSTALLED.as_bytes() => Ok(Existing::Replace),
        Ok(_) | Err(_) => Err(format!(
            "{}: there is a configuration, and it stays as it is; --force replaces it",
            file.display()
        )),
    }
}

/// What was answered.
struct InitAnswers {
    first: FirstConfiguration,
    /// The secret, to be written beside the configuration.
    secret: Option<String>,
    /// Whether a secret was there before, and is used.
    is_secret_kept: bool,
}

/// Asks for what is not given.
fn ask(file: &Path, options: &InitOptions, language: Language) -> Result<InitAnswers, String> {
    let asks = Asks {
        silent: options.yes,
        language,
    };
    let product_key = asks.ask(
        options.product_key.as_deref(),
        "ProductKey of the gateway",
        &first::product_key,
    )?;
    let device_name = asks.ask(
        options.device_name.as_deref(),
        "DeviceName of the gateway",
        &first::device_name,
    )?;
    let place = options.region.as_deref().or(options.url.as_deref());
    let product = product_key.clone().unwrap_or_default();
    let url = asks.ask(
        place,
        "MQTT host of the instance, or its region such as cn-shanghai",
        &|text| first::url(text, &product),
    )?;
    let secret = match &options.device_secret_file {
        Some(_) => None,
        None => asks.secret(file)?,
    };
    let port = asks.ask(
        options.port.as_deref(),
        "First port: a device file such as /dev/ttyUSB0, or a host of Modbus TCP",
        &Port::of,
    )?;
    let profile = asks.ask(
        options.profile.as_deref(),
        "Profile of the first device, such as eastron-sdm630",
        &first::name,
    )?;
    let sub_product = options.sub_product_key.as_deref();
    let sub_product = sub_product.map(first::product_key).transpose()?;
    Ok(InitAnswers {
        first: FirstConfiguration {
            product_key,
            device_name,
            url,
            secret_file: options
                .device_secret_file
                .as_ref()
                .map_or(SECRET_FILE.into(), |file| {
                    let file = std::path::absolute(file).unwrap_or_else(|_| file.clone());
                    file.display().to_string()
                }),
            port,
            device: profile.map(|profile| FirstDevice {
                profile,
                unit: options.unit.unwrap_or(1),
                product_key: sub_product,
            }),
        },
        secret,
        is_secret_kept: options.device_secret_file.is_none()
            && file.with_file_name(SECRET_FILE).exists(),
    })
}

/// How questions are asked.
struct Asks {
    silent: bool,
    language: Language,
}

impl Asks {
    /// Returns the answer that is given, or that the user gives; `None` if it is left open.
    fn ask<T>(
        &self,
        given: Option<&str>,
        question: &str,
        read: &dyn Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, String> {
        if let Some(given) = given {
            return read(given).map(Some);
        }
        if self.silent {
            return Ok(None);
        }
        loop {
            let prompt = format!("{}: ", self.language.say(question));
            match question::ask(&prompt).map_err(|e| e.to_string())? {
                Answer::NoTerminal => return Err(NO_TERMINAL.into()),
                Answer::Text(text) if text.is_empty() => return Ok(None),
                Answer::Text(text) => match read(&text) {
                    Ok(value) => return Ok(Some(value)),
                    Err(why) => eprintln!("{}", self.language.say(&why)),
                },
            }
        }
    }

    /// Asks for the secret, unless it is there already.
    fn secret(&self, file: &Path) -> Result<Option<String>, String> {
        if self.silent || file.with_file_name(SECRET_FILE).exists() {
            return Ok(None);
        }
        let question = "DeviceSecret of the gateway (not shown; empty: later)";
        let prompt = format!("{}: ", self.language.say(question));
        match question::ask_unseen(&prompt).map_err(|e| e.to_string())? {
            Answer::NoTerminal => Err(NO_TERMINAL.into()),
            Answer::Text(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        }
    }
}

const NO_TERMINAL: &str = "there is no terminal to ask on: give the answers as options, and --yes to leave the others to be filled in";

fn write(
    file: &Path,
    asked: &InitAnswers,
    existing: Existing,
    language: Language,
) -> Result<(), String> {
    let failed = |file: &Path| {
        let name = file.display().to_string();
        move |e: std::io::Error| format!("{name} is not written: {e}")
    };
    let text = asked.first.yaml(&|text| language.say(text));
    create::create(file, text.as_bytes(), existing).map_err(failed(file))?;
    if let Some(secret) = &asked.secret {
        let file = file.with_file_name(SECRET_FILE);
        create::create(&file, format!("{secret}\n").as_bytes(), Existing::Refuse)
            .map_err(failed(&file))?;
    }
    Ok(())
}

/// Says what is still missing, in a line, and what to type next.
fn next(file: &Path, asked: &InitAnswers) -> Vec<String> {
    let name = file.display();
    let mut lines = vec![format!("{name} is written")];
    let secret = file.with_file_name(&asked.first.secret_file);
    if asked.is_secret_kept {
        lines.push(format!(
            "{}: the secret that was there stays; delete the file to be asked for another",
            secret.display()
        ));
    }
    let mut missing = asked.first.missing();
    if !secret.exists() {
        missing.push(secret.display().to_string());
    }
    if !missing.is_empty() {
        lines.push(format!("still missing: {}", missing.join(", ")));
    }
    lines.push(format!("next: alink-gateway check {name}"));
    lines
}
