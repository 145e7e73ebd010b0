//! A configuration from the platform: whether it is wanted, and how it becomes
//! a layer.
//!
//! It says what hangs on the field buses and nothing else: who the gateway is,
//! whom it trusts and what it keeps stay in the hands of whoever stands before
//! it. A section it has is all there is on its subject: the gateway's own files
//! are not heard about that, so that what the platform shows is what is there.
//! A section it lacks is left to them. The console takes JSON only, which is
//! YAML too.

use std::collections::BTreeMap;

use super::near;
use super::problem::Wrong;
use super::section::{Notes, Section, shown_key};
use super::tree::{Is, Node};
use super::word::{choice, or, whole};
use crate::spec::RemotePolicy;

const KEYS: [&str; 2] = ["enabled", "max_bytes"];

/// What it may say, and the keys of the gateway's own files that are not heard
/// then.
const SUBJECTS: [(&str, &[&str]); 3] = [
    ("ports", &["ports"]),
    ("profiles", &["profiles", "profiles_from"]),
    ("devices", &["devices", "devices_file"]),
];

/// Reads `remote_config:`.
pub(crate) fn read(root: &Section<'_>, notes: &mut Notes) -> RemotePolicy {
    let d = RemotePolicy::default();
    let s = root.section("remote_config", &KEYS, notes);
    RemotePolicy {
        enabled: s
            .read(
                "enabled",
                choice(&[("true", true), ("false", false)]),
                notes,
            )
            .unwrap_or(d.enabled),
        max_bytes: s
            .read("max_bytes", whole(1024..=4_194_304u32), notes)
            .and_then(|n| usize::try_from(n).ok())
            .unwrap_or(d.max_bytes),
        in_force: None,
    }
}

/// Notes what it may not say, and takes from `others`, the layers below it,
/// what it says instead.
pub(crate) fn replace<'a>(
    said: &BTreeMap<String, Node>,
    others: impl Iterator<Item = &'a mut BTreeMap<String, Node>>,
    notes: &mut Notes,
) {
    let subjects = || SUBJECTS.iter().map(|(key, _)| *key);
    for (key, node) in said {
        if subjects().any(|subject| subject == key) {
            continue;
        }
        let at = notes.origins.get(node.origin).map(|o| o.key_at);
        let hint = near::did_you_mean(key, subjects()).unwrap_or_else(|| {
            "a remote configuration says what hangs on the field buses; all else is said in the gateway's own files".into()
        });
        notes.error_at(
            node.origin,
            at.unwrap_or_default(),
            format!("the key {}", shown_key(key)),
            Wrong::wanted(or(subjects())).hint(hint),
        );
    }
    let is_said = |key: &str| said.get(key).is_some_and(|n| !matches!(n.is, Is::Nothing));
    let unheard: Vec<&str> = SUBJECTS
        .iter()
        .filter(|(key, _)| is_said(key))
        .flat_map(|(_, keys)| keys.iter().copied())
        .collect();
    for other in others {
        other.retain(|key, _| !unheard.contains(&key.as_str()));
    }
}
