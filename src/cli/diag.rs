//! `alink-gateway diag`: what a person who helps from afar needs to see, whether the service runs
//! or not.
//!
//! A running service makes the parts about itself. Without one, the parts say why it does not
//! answer, what is wrong with its configuration, and what that configuration is. What the
//! service may not read comes from this process in both cases: the journal, and what the service
//! manager knows about the unit.

#![expect(
    clippy::print_stderr,
    reason = "says what is wrong, or where the bundle is"
)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::check;
use super::language::Language;
use super::status::{print, unexpected_answer};
use crate::base::Secret;
use crate::control::{Answer, Request};
use crate::field::plan::holes::Holes;
use crate::io::bundle::{self, Sweep};
use crate::io::control::client::{self, AnswerError};
use crate::io::files::settings::{self, DEFAULT_PATH, DEFAULT_STATE, LoadContext, Loaded};
use crate::io::store::secret_store::SecretStore;
use crate::io::terminal::screen;

/// One gateway on this box: its unit, and where its files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// The unit of the service manager.
    pub unit: String,
    /// The control socket.
    pub socket: PathBuf,
    /// The main file of the configuration.
    pub config: PathBuf,
    /// Whether that is the configuration of the service at the socket; not if only the socket was
    /// named.
    pub is_config_known: bool,
    /// The state directory, if the configuration cannot be read.
    pub state_dir: PathBuf,
}

impl Gateway {
    /// Returns the gateway that is installed, or one of its instances.
    #[must_use]
    pub fn of(instance: Option<&str>, socket: PathBuf, config: Option<PathBuf>) -> Gateway {
        let place = Path::new(DEFAULT_PATH);
        let (unit, file, state_dir) = match instance {
            None => (
                "alink-gateway.service".to_owned(),
                place.to_owned(),
                DEFAULT_STATE.into(),
            ),
            Some(name) => {
                let file = place.file_name().unwrap_or_default();
                let folder = place.parent().unwrap_or(Path::new("/"));
                (
                    format!("alink-gateway@{name}.service"),
                    folder.join(name).join(file),
                    format!("{DEFAULT_STATE}@{name}").into(),
                )
            }
        };
        Gateway {
            unit,
            socket,
            config: config.unwrap_or(file),
            is_config_known: true,
            state_dir,
        }
    }
}

/// A part of the bundle: its heading and its text.
type Part = (String, String);

/// Prints the bundle, or writes it to a file that only its owner can read; `-` is standard
/// output. Exit status 0 if there is a bundle, also if the service does not run.
#[must_use]
pub fn run(gateway: &Gateway, output: Option<&Path>, language: Language) -> ExitCode {
    let mut parts = match of_service(&gateway.socket) {
        Ok(parts) => parts,
        // The service is there and says no: the bundle of a service that does not run would
        // mislead.
        Err(why @ (AnswerError::Forbidden { .. } | AnswerError::Failure(_))) => {
            return print(Err(why), language);
        }
        Err(why) => without_service(gateway, &why),
    };
    parts.extend(around(gateway));
    let bundle: String = parts
        .iter()
        .map(|(name, text)| format!("===== {} =====\n{text}\n", heading(name, language)))
        .collect();
    let Some(path) = output.filter(|path| *path != Path::new("-")) else {
        return print(Ok(bundle), language);
    };
    match screen::write_private(path, &bundle) {
        Ok(()) => {
            let text = format!(
                "{}: {} kB; look through it before you pass it on: it holds no secrets, but names and addresses",
                path.display(),
                bundle.len().div_ceil(1000)
            );
            eprintln!("{}", language.say(&text));
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("{}", language.say(&format!("{}: {e}", path.display())));
            ExitCode::FAILURE
        }
    }
}

/// Writes the heading of a part. The parts stay English, for people who help from elsewhere, and
/// so do their names; who looks through the bundle here reads what each is.
fn heading(name: &str, language: Language) -> String {
    match language.word(name) {
        same if same == name => same,
        word => format!("{name}（{word}）"),
    }
}

/// Asks the service for its parts.
fn of_service(socket: &Path) -> Result<Vec<Part>, AnswerError> {
    let answers = client::ask(socket, &Request::Diag {})?;
    let part = |answer| match answer? {
        Answer::Part { name, text } => Ok((name, text)),
        other => Err(unexpected_answer(&other)),
    };
    answers.map(part).collect()
}

/// Returns the parts that can be made without the service.
fn without_service(gateway: &Gateway, why: &AnswerError) -> Vec<Part> {
    let loaded = load(gateway);
    let (checked, _) = check::outcome(&gateway.config, &LoadContext::of_person());
    let state_dir = state_dir(gateway, loaded.as_ref());
    let mut parts = vec![
        ("service", format!("{why}\n")),
        ("system", bundle::system()),
        ("check", checked),
        ("files", bundle::listing(state_dir)),
        ("lessons", bundle::learned(state_dir)),
    ];
    if let Some(loaded) = &loaded {
        parts.push(("configuration", bundle::configuration(&loaded.spec)));
        parts.push(("plan", bundle::plan(&loaded.spec, |_| Holes::default())));
    }
    let sweep = sweep(gateway, loaded.as_ref());
    let swept = parts.into_iter();
    swept
        .map(|(name, text)| (name.to_owned(), sweep.over(&text)))
        .collect()
}

/// Returns the parts that the service cannot make.
fn around(gateway: &Gateway) -> [Part; 2] {
    // The secrets of a configuration that this user may not read are not known here. They are
    // in neither text: the program never prints them.
    let sweep = sweep(gateway, load(gateway).as_ref());
    [
        ("unit", bundle::unit(&gateway.unit)),
        ("journal", bundle::journal(&gateway.unit)),
    ]
    .map(|(name, text)| (name.to_owned(), sweep.over(&text)))
}

/// Loads the configuration, if this user can and nothing is wrong with it.
fn load(gateway: &Gateway) -> Option<Loaded> {
    settings::load_whatever_the_load(&gateway.config, &LoadContext::of_person()).ok()
}

fn state_dir<'a>(gateway: &'a Gateway, loaded: Option<&'a Loaded>) -> &'a Path {
    loaded.map_or(&gateway.state_dir, |loaded| &loaded.state_dir)
}

/// Returns what keeps secrets out of the parts that this process makes.
fn sweep(gateway: &Gateway, loaded: Option<&Loaded>) -> Sweep {
    let stored = SecretStore::secrets_in(state_dir(gateway, loaded));
    let configured: Vec<Secret> = loaded
        .map(|loaded| bundle::secrets(&loaded.spec))
        .unwrap_or_default();
    Sweep::new(stored.into_iter().chain(configured))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_has_files_of_its_own() {
        let socket = PathBuf::from("/run/alink-gateway@north/control.sock");
        let north = Gateway::of(Some("north"), socket.clone(), None);
        assert_eq!(north.unit, "alink-gateway@north.service");
        assert_eq!(
            north.config,
            Path::new("/etc/alink-gateway/north/gateway.yaml")
        );
        assert_eq!(north.state_dir, Path::new("/var/lib/alink-gateway@north"));
        let other = Gateway::of(None, socket, Some("x.yaml".into()));
        assert_eq!(other.unit, "alink-gateway.service");
        assert_eq!(other.config, Path::new("x.yaml"));
    }
}
