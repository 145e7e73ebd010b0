//! `profiles:`: kinds of devices, each a named list of points.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::point;
use super::problem::Wrong;
use super::secret::{self, SecretSource};
use super::section::{Notes, Section, shown};
use super::tree::{Node, OriginId};
use super::word::{name, product_key, whole};
use crate::spec::ProfileSpec;

/// One kind of device.
pub(crate) struct Profile {
    pub(crate) spec: Arc<ProfileSpec>,
    /// The product of its devices, unless they say otherwise.
    pub(crate) product_key: Option<String>,
    /// A wrong product key was given, so that its lack is not news.
    pub(crate) product_key_given: bool,
    /// The secret of that product, for devices that are registered with it.
    pub(crate) product_secret: Option<SecretSource>,
    pub(crate) at: OriginId,
}

/// All profiles by name.
pub(crate) type Profiles = BTreeMap<String, Profile>;

const KEYS: [&str; 8] = [
    "name",
    "product_key",
    "interval",
    "max_registers",
    "points",
    "product_secret",
    "product_secret_file",
    "product_secret_credential",
];

/// Reads one profile and adds it to the others. False if its name is not known,
/// so that an unknown name elsewhere may be meant for it.
pub(crate) fn read(node: &Node, profiles: &mut Profiles, notes: &mut Notes) -> bool {
    let s = Section::open(node, &KEYS, notes);
    if !s.is_there() {
        return false;
    }
    let profile_name = s.need(
        "name",
        name,
        || Wrong::wanted("a name for the profile"),
        notes,
    );
    // A wrong one is still one: its points do not lack theirs.
    let default = s.read("interval", point::interval, notes);
    let default = default.or(s.node("interval").map(|_| Duration::from_secs(10)));
    let max_registers = s
        .read("max_registers", whole(1..=125u16), notes)
        .unwrap_or(125);
    let mut drafts = Vec::new();
    let mut ids: BTreeMap<String, OriginId> = BTreeMap::new();
    for point in s.list("points", notes) {
        let Some(draft) = point::read(point, default, notes) else {
            continue;
        };
        let (id, at) = (&draft.spec.id, draft.at);
        if id.is_empty() {
            // Already noted.
        } else if let Some(first) = ids.get(id) {
            let hint = format!("{} already has this id", notes.origins.line(*first));
            notes.error(
                at,
                shown(id),
                Wrong::wanted("an id no other point of the profile has").hint(hint),
            );
        } else {
            ids.insert(id.clone(), at);
        }
        drafts.push(draft);
    }
    let points = point::finish(drafts, max_registers, notes);
    match s.node("points") {
        None => s.lacks("points", Wrong::wanted("a list of points"), notes),
        Some(list) if points.is_empty() => {
            if matches!(&list.is, super::tree::Is::List(l) if l.is_empty()) {
                notes.error(
                    list.origin,
                    "an empty list",
                    Wrong::wanted("at least one point").hint(
                        "a device without points is never asked anything and never comes online",
                    ),
                );
            }
        }
        Some(_) => {}
    }
    let product = s.read("product_key", product_key, notes);
    let product_secret = product_secret(&s, notes);
    let Some(profile_name) = profile_name else {
        return false;
    };
    if let Some(first) = profiles.get(&profile_name) {
        let hint = format!("{} already has this name", notes.origins.line(first.at));
        notes.error(
            s.at("name"),
            shown(&profile_name),
            Wrong::wanted("a name no other profile has").hint(hint),
        );
        return true;
    }
    let profile = Profile {
        spec: Arc::new(ProfileSpec {
            name: profile_name.clone(),
            points,
            max_registers,
        }),
        product_key: product,
        product_key_given: s.node("product_key").is_some(),
        product_secret,
        at: s.origin,
    };
    profiles.insert(profile_name, profile);
    true
}

/// The secret of the profile's product, if it is given.
fn product_secret(s: &Section<'_>, notes: &mut Notes) -> Option<SecretSource> {
    let (key, source) = secret::find(s, &secret::PRODUCT_KEYS, notes)?;
    if s.node("product_key").is_none() {
        notes.error(
            s.at(key),
            format!("{key} without product_key"),
            Wrong::wanted("the ProductKey of that product beside it: product_key")
                .hint("the secret serves the devices of the product that have register: true"),
        );
    }
    Some(source)
}
