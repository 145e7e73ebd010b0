//! Where a secret comes from, and what its text is.
//!
//! There are three ways to give a secret, exactly one of which is used. Where layers use
//! different ways, the latest layer wins, so that the environment or a file in `conf.d` can
//! replace the value of the main file. The text of a secret is never repeated in a problem.

use super::range;
use crate::base::Secret;
use crate::config::reader::amount::LARGEST_SECRET;
use crate::config::reader::contents::looked_for;
use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section, for_the_service, shown};
use crate::config::reader::source::{NeededSource, ReadSources, SourceText};
use crate::config::reader::tree::{Node, NodeContent, OriginId};

/// The keys that give a secret.
pub(crate) const KEYS: [&str; 3] = ["secret", "secret_file", "secret_credential"];

/// The keys that give the secret of a product.
pub(crate) const PRODUCT_KEYS: [&str; 3] = [
    "product_secret",
    "product_secret_file",
    "product_secret_credential",
];

/// Where a secret comes from.
#[derive(Clone)]
pub(crate) enum SecretSource {
    /// Written in the configuration.
    Inline(Secret, OriginId),
    /// A file that holds the secret and nothing else.
    File(String, OriginId),
    /// A systemd credential of this name.
    Credential(String, OriginId),
    /// No secret was given, or a wrong one; that is already noted.
    Missing,
}

/// Finds the one secret of `section`; notes a missing secret and more than one.
pub(crate) fn source(section: &Section<'_>, notes: &mut Notes) -> SecretSource {
    match find(section, &KEYS, notes) {
        Some((_, source)) => source,
        None => {
            section.lacks(
                "secret",
                Expectation::wanted("the DeviceSecret: secret_file, secret_credential or secret")
                    .hint("secret_file: names a file that holds the secret and nothing else"),
                notes,
            );
            SecretSource::Missing
        }
    }
}

/// Finds the one secret that `keys` give in `section`, and the key that gives it; notes more than
/// one. Returns `None` if there is none at all.
pub(crate) fn find<'k>(
    section: &Section<'_>,
    keys: &[&'k str],
    notes: &mut Notes,
) -> Option<(&'k str, SecretSource)> {
    let given: Vec<(&str, &Node)> = keys
        .iter()
        .filter_map(|key| Some((*key, section.node(key)?)))
        .collect();
    let latest = given
        .iter()
        .map(|(_, n)| notes.origins.layer(n.origin))
        .max();
    let given: Vec<_> = given
        .into_iter()
        .filter(|(_, n)| Some(notes.origins.layer(n.origin)) == latest)
        .collect();
    match given.as_slice() {
        [] => None,
        [(key, node)] => Some((key, one(key, node, notes))),
        [(first, _), (_, node), ..] => {
            let both: Vec<_> = given.iter().map(|(key, _)| *key).collect();
            notes.error(
                node.origin,
                both.join(" and "),
                Expectation::wanted("only one of them"),
            );
            Some((first, SecretSource::Missing))
        }
    }
}

fn one(key: &str, node: &Node, notes: &mut Notes) -> SecretSource {
    let text = match &node.is {
        NodeContent::Text(text) if !text.trim().is_empty() => text.trim(),
        NodeContent::Text(_)
        | NodeContent::Nothing
        | NodeContent::List(_)
        | NodeContent::Map(_) => {
            notes.error(
                node.origin,
                "***",
                Expectation::wanted("a single value that is not empty"),
            );
            return SecretSource::Missing;
        }
    };
    let is_file = key.ends_with("_file");
    match () {
        () if !is_file && !key.ends_with("_credential") => match word(text) {
            Ok(secret) => SecretSource::Inline(secret, node.origin),
            Err(fault) => {
                let hint = "a quotation mark may stand in the wrong place, or two values in one";
                notes.error(
                    node.origin,
                    format!("***, {fault}"),
                    Expectation::wanted("the secret and nothing else").hint(hint),
                );
                SecretSource::Missing
            }
        },
        // A DeviceSecret is 32 hexadecimal digits; such a text is no likely name of a file.
        () if text.len() >= 32 && text.bytes().all(|b| b.is_ascii_hexdigit()) => {
            notes.error(
                node.origin,
                "*** (this looks like the secret itself)",
                Expectation::wanted("the name of a file or credential that holds the secret")
                    .hint("put the secret into a file, or write it after secret:"),
            );
            SecretSource::Missing
        }
        () if is_file => SecretSource::File(text.to_owned(), node.origin),
        () if text.contains('/') => {
            notes.error(
                node.origin,
                text,
                Expectation::wanted("the name of a credential, without a path")
                    .hint("for a file, use secret_file"),
            );
            SecretSource::Missing
        }
        () => SecretSource::Credential(text.to_owned(), node.origin),
    }
}

/// Parses a secret, wherever it was written: one word of visible characters.
fn word(text: &str) -> Result<Secret, &'static str> {
    // Invisible characters: a byte order mark, or a mark of the direction of writing.
    let unseen = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    if text.is_empty() {
        Err("which is empty")
    } else if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        Err("which holds more than one word")
    } else if text.chars().any(unseen) {
        Err("which holds a character that cannot be seen")
    } else if text.len() as u64 > LARGEST_SECRET {
        Err("which is longer than any secret")
    } else {
        Ok(Secret::new(text))
    }
}

impl SecretSource {
    /// Returns what has to be read for the secret, if its text is not in the configuration.
    pub(crate) fn want(&self) -> Option<NeededSource> {
        match self {
            SecretSource::File(name, _) => Some(NeededSource::Secret(name.clone())),
            SecretSource::Credential(name, _) => Some(NeededSource::Credential(name.clone())),
            SecretSource::Inline(..) | SecretSource::Missing => None,
        }
    }

    /// Returns where the secret was given.
    pub(crate) fn at(&self) -> Option<OriginId> {
        match self {
            SecretSource::Inline(_, at)
            | SecretSource::File(_, at)
            | SecretSource::Credential(_, at) => Some(*at),
            SecretSource::Missing => None,
        }
    }

    /// Returns the source for the device with `unit`, filled in if the pattern varies.
    pub(crate) fn of_unit(&self, unit: u8) -> SecretSource {
        let fill = |pattern: &str| range::fill(pattern, unit).unwrap_or_default();
        match self {
            SecretSource::File(name, at) => SecretSource::File(fill(name), *at),
            SecretSource::Credential(name, at) => SecretSource::Credential(fill(name), *at),
            SecretSource::Inline(..) | SecretSource::Missing => self.clone(),
        }
    }

    /// Returns the source for a device whose unit is not known: `Missing`, if the pattern varies.
    pub(crate) fn fixed(&self) -> SecretSource {
        match self {
            SecretSource::File(name, _) | SecretSource::Credential(name, _)
                if range::varies(name) =>
            {
                SecretSource::Missing
            }
            fixed => fixed.clone(),
        }
    }

    /// Returns what is noted of a secret that was read and is no such secret.
    pub(crate) fn trouble(&self, fault: &str, wanted: &'static str) -> Option<SecretProblem> {
        let name = match self {
            SecretSource::File(name, _) | SecretSource::Credential(name, _) => name.clone(),
            SecretSource::Inline(..) => "***".into(),
            SecretSource::Missing => return None,
        };
        Some(SecretProblem {
            at: self.at()?,
            name,
            warning: false,
            fault: format!(", {fault}"),
            wrong: Expectation::wanted(wanted),
        })
    }

    /// Returns the secret, once `answers` has what was read.
    ///
    /// # Errors
    /// What is wrong with the secret.
    pub(crate) fn resolve(&self, answers: &ReadSources) -> Result<Secret, SecretProblem> {
        let (name, at) = match self {
            SecretSource::Inline(secret, _) => return Ok(secret.clone()),
            SecretSource::Missing => return Ok(Secret::new("")),
            SecretSource::File(name, at) | SecretSource::Credential(name, at) => (name, *at),
        };
        let trouble = |fault: String, wrong: Expectation| SecretProblem {
            at,
            name: name.clone(),
            warning: false,
            fault,
            wrong,
        };
        let found = self
            .want()
            .and_then(|want| answers.get(&want))
            .and_then(|a| a.first());
        let Some(found) = found else {
            let wrong = Expectation::wanted("a credential handed over by systemd")
                .hint("systemd hands it to the service only; from a shell it cannot be checked");
            return Err(SecretProblem {
                warning: true,
                ..trouble(String::new(), wrong)
            });
        };
        let kind = match self {
            SecretSource::Credential(..) => "credential",
            _ => "file",
        };
        let wanted =
            || Expectation::wanted(format!("a {kind} that holds the secret and nothing else"));
        let bytes = found.bytes.as_ref().map_err(|why| {
            let wrong = wanted().maybe_hint(looked_for(name, &found.path));
            trouble(format!(", but {why}"), wrong)
        })?;
        let text = std::str::from_utf8(bytes).map_err(|_| "which is not text");
        text.and_then(|text| word(text.trim()))
            .map_err(|fault| trouble(format!(", {fault}"), wanted()))
    }
}

/// What is wrong with a secret that was to be read.
pub(crate) struct SecretProblem {
    pub(crate) at: OriginId,
    /// The file or credential.
    name: String,
    /// The fault, without the name of the file or credential.
    pub(crate) fault: String,
    /// Whether the secret only could not be checked.
    warning: bool,
    wrong: Expectation,
}

/// Notes problems of one kind in one entry as one problem: a range of a hundred devices without
/// their files is one mistake.
pub(crate) fn note(troubles: Vec<SecretProblem>, notes: &mut Notes) {
    let more = match troubles.as_slice() {
        [] | [_] => None,
        [_, others @ ..] => {
            let names: Vec<_> = others.iter().take(3).map(|t| t.name.as_str()).collect();
            let rest = match others.len() - names.len() {
                0 => String::new(),
                n => format!(" and {n} more"),
            };
            Some(format!("the same with {}{rest}", names.join(", ")))
        }
    };
    if let Some(first) = troubles.into_iter().next() {
        let said = format!("{}{}", first.name, first.fault);
        if notes.is_remote(first.at) {
            // The error is what the platform is told: the same for a file that is missing,
            // closed, too large or malformed. The warning is shown to the operator of the gateway
            // only.
            let name = first.name.rsplit('/').next().unwrap_or_default();
            let wanted = "a file in remote_config.secrets_dir that holds a secret and nothing else";
            notes.error(first.at, shown(name), Expectation::wanted(wanted));
            return notes.warning(first.at, said, first.wrong.maybe_hint(more));
        }
        let wrong = first.wrong.maybe_hint(more);
        if first.warning {
            notes.warning(first.at, said, wrong);
        } else {
            notes.error(first.at, said, wrong);
        }
    }
}

/// Returns whether users other than the owner and the group can read a file. The group is left
/// out on purpose: with `root:alink-gateway 0640` the service itself reads its configuration.
pub(crate) fn open_to_others(mode: u32) -> bool {
    mode & 0o004 != 0
}

/// Returns the advice for a file that others can read: a command after which the service can
/// still read it.
pub(crate) fn permissions(source: &SourceText) -> Expectation {
    let wanted = "a file that only its owner and group can read";
    Expectation::wanted(wanted).hint(closing(source))
}

/// Returns the command that takes a file from other users and leaves it to the service.
pub(crate) fn closing(source: &SourceText) -> String {
    match source.is_open_for_the_service {
        true => for_the_service(&source.path, "0640"),
        false => format!("chmod o-r {}", source.path),
    }
}
