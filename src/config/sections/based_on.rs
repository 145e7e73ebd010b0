//! `based_on:` of a profile: another profile, with what this one says differently.
//!
//! Keys of this profile stand instead of those of the other. Its points replace those with the same
//! ids, in their places, and others follow behind; `without:` leaves points out. The profiles are
//! put together before they are read, so that no later stage knows of it.
//!
//! A profile in a file of its own means the one in the file beside it before one of the same name
//! elsewhere: whoever has a meter of that name in the main file has not changed the files of the
//! package.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, shown};
use crate::config::reader::suggestions;
use crate::config::reader::tree::{Node, NodeContent, OriginId};

/// The keys that say how two profiles are put together, and the one that each has for itself.
const OWN: [&str; 3] = ["name", "based_on", "without"];

/// Keys of which an own one replaces the others as well: a secret is that of a product, and a title
/// in one language says the same as that in the other.
const TOGETHER: [(&str, &[&str]); 3] = [
    (
        "product_key",
        &[
            "product_secret",
            "product_secret_file",
            "product_secret_credential",
        ],
    ),
    ("title", &["title_zh"]),
    ("title_zh", &["title"]),
];

const BESIDE: &str = "profiles_from names its file too, unless that is in the folder of this one and called after the profile, NAME.yaml";

/// Puts each profile together with the one that it is based on. `complete` says whether all
/// profiles could be read, so that an unknown name is a mistake; `files` are the files of those
/// that have one of their own. Returns the profiles whose basis is not known, by their places: what
/// they lack is no mistake of their own.
pub(crate) fn resolve(
    profiles: &mut [Node],
    files: &[Option<PathBuf>],
    complete: bool,
    notes: &mut Notes,
) -> BTreeSet<usize> {
    let names = ProfileIndex::of(profiles, files);
    let mut done = BTreeSet::new();
    let mut without_basis = BTreeSet::new();
    for index in 0..profiles.len() {
        let mut chain = Vec::new();
        let mut next = Some(index);
        // The profiles that this one rests on, the last of them first.
        while let Some(at) = next.filter(|at| !done.contains(at)) {
            if chain.contains(&at) {
                if let Some((name, origin)) = profiles.get(at).and_then(|p| text(p, "based_on")) {
                    let wrong = Expectation::wanted("a profile that is not based on this one");
                    notes.error(origin, shown(name), wrong);
                }
                // None of the circle rests on anything then.
                without_basis.extend(chain.iter().copied());
                done.extend(chain.drain(..));
                break;
            }
            chain.push(at);
            next = base(profiles, at, &names, complete, notes);
        }
        for at in chain.into_iter().rev() {
            done.insert(at);
            let Some(named) = profiles.get(at).and_then(|p| entry(p, "based_on")) else {
                forget(profiles, at, notes);
                continue;
            };
            let of = match &named.is {
                NodeContent::Text(name) => names.find(at, name),
                NodeContent::Nothing | NodeContent::List(_) | NodeContent::Map(_) => None,
            };
            let of = of.filter(|of| !without_basis.contains(of));
            let of = of.and_then(|of| profiles.get(of)).cloned();
            match (of, profiles.get_mut(at)) {
                (Some(of), Some(profile)) => put_together(profile, of, notes),
                _ => drop(without_basis.insert(at)),
            }
        }
    }
    without_basis
}

/// Where profiles are, by their names.
struct ProfileIndex<'a> {
    by_name: BTreeMap<String, usize>,
    /// Those in files of their own, by file and name.
    by_file: BTreeMap<(PathBuf, String), usize>,
    files: &'a [Option<PathBuf>],
}

impl<'a> ProfileIndex<'a> {
    fn of(profiles: &[Node], files: &'a [Option<PathBuf>]) -> Self {
        let (mut by_name, mut by_file) = (BTreeMap::new(), BTreeMap::new());
        for (index, profile) in profiles.iter().enumerate() {
            let Some((name, _)) = text(profile, "name") else {
                continue;
            };
            // The name of two profiles is noted when they are read.
            by_name.entry(name.to_owned()).or_insert(index);
            if let Some(Some(file)) = files.get(index) {
                by_file.insert((file.clone(), name.to_owned()), index);
            }
        }
        ProfileIndex {
            by_name,
            by_file,
            files,
        }
    }

    /// Returns the profile that the one at this place means by a name.
    fn find(&self, at: usize, name: &str) -> Option<usize> {
        let own = self.files.get(at).and_then(Option::as_ref);
        let beside = own.map(|file| file.with_file_name(format!("{name}.yaml")));
        let beside = beside.and_then(|file| self.by_file.get(&(file, name.to_owned())));
        beside.or_else(|| self.by_name.get(name)).copied()
    }
}

/// Returns the profile that this one is based on, by its place. Notes a name that none has.
fn base(
    profiles: &[Node],
    at: usize,
    names: &ProfileIndex<'_>,
    complete: bool,
    notes: &mut Notes,
) -> Option<usize> {
    let node = entry(profiles.get(at)?, "based_on")?;
    let NodeContent::Text(name) = &node.is else {
        let wrong = Expectation::wanted("the name of a profile");
        notes.error(node.origin, node.is.kind(), wrong);
        return None;
    };
    let found = names.find(at, name);
    if found.is_none() && complete {
        let known = names.by_name.keys().map(String::as_str);
        let meant = notes.unless_full(|| suggestions::did_you_mean(name, known));
        let meant = meant.unwrap_or_else(|| BESIDE.to_owned());
        let wrong = Expectation::wanted("the name of a profile").hint(meant);
        notes.error(node.origin, shown(name), wrong);
    }
    found
}

/// Notes `without:` of a profile that is based on none.
fn forget(profiles: &[Node], at: usize, notes: &mut Notes) {
    if let Some(node) = profiles.get(at).and_then(|p| entry(p, "without")) {
        let wrong = Expectation::wanted("based_on beside it")
            .hint("without leaves out points of the profile that this one is based on");
        notes.error(node.origin, "without", wrong);
    }
}

fn put_together(profile: &mut Node, base: Node, notes: &mut Notes) {
    let without = without(profile, &base, notes);
    let (NodeContent::Map(own), NodeContent::Map(mut theirs)) = (&mut profile.is, base.is) else {
        return;
    };
    let their_points = match theirs.remove("points").map(|node| node.is) {
        Some(NodeContent::List(points)) => points,
        _ => Vec::new(),
    };
    let mut inherited: Vec<Node> = their_points;
    inherited.retain(|point| !id(point).is_some_and(|id| without.contains(id)));
    let (values, bytes) = inherited
        .iter()
        .chain(theirs.values())
        .map(size)
        .fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    if let Err(much) = notes.spend(values, bytes) {
        notes.too_much(profile.origin, (0, 0), much);
        return;
    }
    for (key, others) in TOGETHER {
        if own.contains_key(key) {
            theirs.retain(|other, _| !others.contains(&other.as_str()));
        }
    }
    for (key, value) in theirs {
        if !OWN.contains(&key.as_str()) {
            own.entry(key).or_insert(value);
        }
    }
    let origin = profile.origin;
    let points = own.entry("points".to_owned()).or_insert(Node {
        origin,
        is: NodeContent::Nothing,
    });
    if matches!(points.is, NodeContent::Nothing) {
        points.is = NodeContent::List(Vec::new());
    }
    if let NodeContent::List(list) = &mut points.is {
        *list = replaced(inherited, std::mem::take(list));
    }
}

/// Puts own points in the places of inherited ones with the same ids, and the others behind. There
/// can be several with one id, of which `when:` lets one exist: they stand for all that were there.
fn replaced(inherited: Vec<Node>, own: Vec<Node>) -> Vec<Node> {
    let theirs: BTreeSet<String> = inherited.iter().filter_map(id).map(str::to_owned).collect();
    let mut instead: BTreeMap<String, Vec<Node>> = BTreeMap::new();
    let mut behind = Vec::new();
    for point in own {
        match id(&point).filter(|id| theirs.contains(*id)) {
            Some(id) => instead.entry(id.to_owned()).or_default().push(point),
            None => behind.push(point),
        }
    }
    let replaced: BTreeSet<String> = instead.keys().cloned().collect();
    let mut all = Vec::new();
    for point in inherited {
        match id(&point).filter(|id| replaced.contains(*id)) {
            // Those that stand instead are put in once.
            Some(id) => all.extend(instead.remove(id).unwrap_or_default()),
            None => all.push(point),
        }
    }
    all.extend(behind);
    all
}

/// Reads `without:`. Notes ids that the other profile does not have.
fn without(profile: &Node, base: &Node, notes: &mut Notes) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    let Some(node) = entry(profile, "without") else {
        return ids;
    };
    let NodeContent::List(list) = &node.is else {
        let wrong = Expectation::wanted("a list of ids of points");
        notes.error(node.origin, node.is.kind(), wrong);
        return ids;
    };
    let points = match entry(base, "points").map(|node| &node.is) {
        Some(NodeContent::List(points)) => points.as_slice(),
        _ => &[],
    };
    for entry in list {
        match &entry.is {
            NodeContent::Text(text) if points.iter().any(|p| id(p) == Some(text)) => {
                ids.insert(text.clone());
            }
            NodeContent::Text(text) => {
                let known = points.iter().filter_map(id);
                let meant = notes.unless_full(|| suggestions::did_you_mean(text, known));
                let wrong = Expectation::wanted("the id of a point of the other profile");
                notes.error(entry.origin, shown(text), wrong.maybe_hint(meant));
            }
            other => {
                let wrong = Expectation::wanted("the id of a point of the other profile");
                notes.error(entry.origin, other.kind(), wrong);
            }
        }
    }
    ids
}

fn entry<'a>(of: &'a Node, key: &str) -> Option<&'a Node> {
    let NodeContent::Map(map) = &of.is else {
        return None;
    };
    map.get(key)
        .filter(|node| !matches!(node.is, NodeContent::Nothing))
}

fn text<'a>(of: &'a Node, key: &str) -> Option<(&'a str, OriginId)> {
    let node = entry(of, key)?;
    match &node.is {
        NodeContent::Text(text) => Some((text, node.origin)),
        NodeContent::Nothing | NodeContent::List(_) | NodeContent::Map(_) => None,
    }
}

fn id(point: &Node) -> Option<&str> {
    text(point, "id").map(|(id, _)| id)
}

/// Returns how many values a node has with all within it, and how many bytes of text.
fn size(node: &Node) -> (usize, usize) {
    let all = |sizes: &mut dyn Iterator<Item = (usize, usize)>| {
        sizes.fold((1, 0), |a, b| (a.0 + b.0, a.1 + b.1))
    };
    match &node.is {
        NodeContent::Nothing => (1, 0),
        NodeContent::Text(text) => (1, text.len()),
        NodeContent::List(list) => all(&mut list.iter().map(size)),
        NodeContent::Map(map) => all(&mut map.iter().map(|(key, node)| {
            let (values, bytes) = size(node);
            (values, bytes + key.len())
        })),
    }
}
