//! The first half of the way from texts to a [`crate::spec::Spec`].
//!
//! [`FirstPass`] holds the main file, its additions and the environment as one tree, and names
//! the profiles and device tables to read. With those it becomes a [`SecondPass`], which names
//! the secrets to read. Between the steps, `io/files/settings.rs` reads the named files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::base::Digest;
use crate::base::text::counted;
use crate::config::compile::bases;
use crate::config::compile::device_registry::DeviceRegistry;
use crate::config::compile::second_pass::SecondPass;
use crate::config::protocols::ambiguous_replies;
use crate::config::reader::amount::{MOST_ASKED, MOST_DEVICES};
use crate::config::reader::contents::{contents, denied};
use crate::config::reader::environment;
use crate::config::reader::layers;
use crate::config::reader::layers::Layer;
use crate::config::reader::problem::{Expectation, Report};
use crate::config::reader::section::{Notes, Section, shown};
use crate::config::reader::source::{NeededSource, ReadSources, SourceText};
use crate::config::reader::tree::{Node, NodeContent, OriginId};
use crate::config::reader::word_parsers::{file_name, time};
use crate::config::reader::yaml;
use crate::config::sections::based_on;
use crate::config::sections::cloud;
use crate::config::sections::commands;
use crate::config::sections::control;
use crate::config::sections::device;
use crate::config::sections::port;
use crate::config::sections::profile;
use crate::config::sections::profile::{NamedProfile, Profiles, Variants};
use crate::config::sections::remote;
use crate::config::sections::secret::{closing, open_to_others, permissions};
use crate::config::sections::table;
use crate::spec::{ControlSpec, RemotePolicy};

const ROOT: [&str; 13] = [
    "gateway",
    "cloud",
    "ports",
    "profiles",
    "profiles_from",
    "devices",
    "devices_file",
    "remote_config",
    "control",
    "metrics",
    "commands",
    "state_dir",
    "stop_within",
];

/// The first step: all layers as one tree.
pub struct FirstPass {
    notes: Notes,
    base: PathBuf,
    root: Node,
    profiles_from: Vec<(NeededSource, OriginId)>,
    devices_file: Vec<(NeededSource, OriginId)>,
    /// Whether all of `profiles_from` could be read; otherwise an unknown profile is not
    /// reported.
    profiles_complete: bool,
    /// The digest of the platform's file, if there is one among the layers.
    remote: Option<Digest>,
}

impl FirstPass {
    /// Reads the main file (the first source), its additions in order, and the environment (only
    /// variables with the prefix of this service matter).
    ///
    /// # Errors
    /// All problems, if a file cannot be read as YAML at all: missing keys then cannot be told
    /// from keys that could not be read.
    pub fn new(sources: &[SourceText], environment: &[(String, String)]) -> Result<Self, Report> {
        Self::of(sources, None, environment)
    }

    /// Does the same with a configuration that came from the platform (see `sections/remote.rs`),
    /// whose sections replace those of the other files.
    ///
    /// # Errors
    /// As [`FirstPass::new`].
    pub fn with_remote(
        sources: &[SourceText],
        remote: &SourceText,
        environment: &[(String, String)],
    ) -> Result<Self, Report> {
        Self::of(sources, Some(remote), environment)
    }

    fn of(
        sources: &[SourceText],
        remote: Option<&SourceText>,
        environment: &[(String, String)],
    ) -> Result<Self, Report> {
        let mut notes = Notes::default();
        let base = sources
            .first()
            .and_then(|s| Path::new(&s.path).parent())
            .map(Path::to_owned)
            .unwrap_or_default();
        let mut read: Vec<(&str, BTreeMap<String, Node>)> = Vec::new();
        let mut root_origin = None;
        for (i, source) in sources.iter().chain(remote).enumerate() {
            let file = notes.origins.add_file(&source.path);
            if i == sources.len() {
                notes.remote_file = Some(file);
            }
            let origin = notes.origins.whole(file);
            root_origin.get_or_insert(origin);
            let bytes = match &source.bytes {
                Ok(bytes) => {
                    notes.look_at(source, origin);
                    bytes
                }
                Err(why) => {
                    let mut wrong = Expectation::wanted("a configuration file that can be read");
                    if let Some(hint) = denied(why) {
                        wrong = wrong.hint(hint);
                    } else if i == 0 {
                        wrong = wrong.hint("another file is named with --config FILE, as in alink-gateway check --config FILE");
                    }
                    notes.error(origin, why, wrong);
                    continue;
                }
            };
            // An empty addition adds nothing.
            if i > 0 && blank(bytes) {
                continue;
            }
            let Some(node) = yaml::read(bytes, file, &mut notes) else {
                continue;
            };
            match node.is {
                NodeContent::Map(mut entries) => {
                    if source.mode.is_some_and(open_to_others) {
                        warn_inline(&entries, source, &mut notes);
                    }
                    for key in ["devices_file", "profiles_from"] {
                        if let Some(node) = entries.get_mut(key) {
                            as_list(node);
                        }
                    }
                    if i == sources.len() {
                        let others = read.iter_mut().map(|(_, entries)| entries);
                        remote::replace(&entries, others, &mut notes);
                    }
                    read.push((&source.path, entries));
                }
                NodeContent::Nothing | NodeContent::Text(_) | NodeContent::List(_) => notes.error(
                    node.origin,
                    node.is.kind(),
                    Expectation::wanted("sections such as gateway:, cloud:, ports:, devices:"),
                ),
            }
        }
        if notes.failed() {
            return Err(notes.report());
        }
        let mut layers: Vec<Layer> = read
            .into_iter()
            .map(|(name, entries)| Layer::new(name, entries))
            .collect();
        layers.push(environment::layer(environment, &mut notes));
        let Some(entries) = layers::merge(layers) else {
            // `Layer` never fails to give its data.
            return Err(notes.report());
        };
        let origin = root_origin.unwrap_or(OriginId(0));
        let root = Node {
            origin,
            is: NodeContent::Map(entries),
        };
        let mut draft = FirstPass {
            notes,
            base,
            root,
            profiles_from: Vec::new(),
            devices_file: Vec::new(),
            profiles_complete: true,
            remote: remote
                .and_then(|source| source.bytes.as_ref().ok())
                .map(|bytes| Digest::of(bytes)),
        };
        draft.collect_files();
        Ok(draft)
    }

    fn collect_files(&mut self) {
        let s = Section::open(&self.root, &ROOT, &mut self.notes);
        for (key, out) in [
            ("profiles_from", &mut self.profiles_from),
            ("devices_file", &mut self.devices_file),
        ] {
            let before = self.notes.noted();
            for node in s.list(key, &mut self.notes) {
                if matches!(node.is, NodeContent::Nothing) {
                    continue;
                }
                let NodeContent::Text(text) = &node.is else {
                    let wrong = Expectation::wanted("the name of a file");
                    self.notes.error(node.origin, node.is.kind(), wrong);
                    continue;
                };
                let named = match key {
                    "profiles_from" => file_or_pattern(text),
                    _ => file_name(text).map(NeededSource::File),
                };
                match named {
                    Ok(want) => out.push((want, node.origin)),
                    Err(wrong) => self.notes.error(node.origin, shown(text), wrong),
                }
            }
            if key == "profiles_from" {
                self.profiles_complete = self.notes.noted() == before;
            }
        }
    }

    /// Returns whether a configuration from the platform is wanted, and the state directory if
    /// the configuration names it. The caller needs both before that configuration is read.
    #[must_use]
    pub fn remote(&self) -> (RemotePolicy, Option<PathBuf>) {
        let s = Section::again(&self.root);
        // Problems of these sections are noted when the whole configuration is read.
        let mut unheard = Notes::default();
        let state_dir = s.read("state_dir", file_name, &mut unheard);
        let policy = remote::read(&s, &mut unheard);
        (policy, state_dir.map(|dir| self.base.join(dir)))
    }

    /// Returns the entries to the service, also if other sections are wrong.
    #[must_use]
    pub fn control(&self) -> ControlSpec {
        // Problems are noted when the whole configuration is read.
        control::read(
            &Section::again(&self.root),
            &self.base,
            &mut Notes::default(),
        )
    }

    /// Returns what to read next: profiles and tables of devices.
    #[must_use]
    pub fn wants(&self) -> BTreeSet<NeededSource> {
        let all = self.profiles_from.iter().chain(&self.devices_file);
        all.map(|(want, _)| want.clone()).collect()
    }

    /// Returns what to read then: files that the profiles read so far are based on. Each may be
    /// based on a further one: ask again until there is nothing more.
    #[must_use]
    pub fn bases(&self, answers: &ReadSources) -> BTreeSet<NeededSource> {
        let all = bases::beside(&self.profiles_from, answers).into_iter();
        let all = all.map(|(want, _)| want);
        all.filter(|want| !answers.contains_key(want)).collect()
    }

    /// Takes the files that were read and compiles everything but the secrets.
    #[must_use]
    pub fn outline(self, answers: &ReadSources) -> SecondPass {
        let FirstPass {
            mut notes,
            base,
            root,
            profiles_from,
            devices_file,
            profiles_complete,
            remote,
        } = self;
        let s = Section::again(&root);
        let mut platform = cloud::read(&s, &base, &mut notes);
        platform.remote.in_force = remote.filter(|_| platform.remote.enabled);
        let mut ports = port::read(&s, &mut notes);
        remote::bind_ports(&platform.remote, &mut ports, &mut notes);
        let commands = commands::read(&s, &mut notes);
        let mut profiles = Profiles::new();
        let mut complete = profiles_complete && !s.is_no_list("profiles");
        let mut written: Vec<Node> = s.list("profiles", &mut notes).to_vec();
        // The files of those that have one of their own.
        let mut files: Vec<Option<PathBuf>> = vec![None; written.len()];
        let mut named: BTreeMap<PathBuf, OriginId> = BTreeMap::new();
        for (want, origin) in &profiles_from {
            let found = answers.get(want).map(Vec::as_slice).unwrap_or_default();
            if let (NeededSource::Pattern(pattern), []) = (want, found) {
                notes.warning(
                    *origin,
                    shown(pattern),
                    Expectation::wanted("files with profiles").hint("nothing fits this pattern"),
                );
            }
            for source in found {
                // However it is spelt: `./meter.yaml` is `meter.yaml`.
                let file: PathBuf = Path::new(&source.path).components().collect();
                if let Some(first) = named.get(&file) {
                    let hint = format!("{} already names it", notes.origins.line(*first));
                    let said = format!("{}, for the second time", shown(&source.path));
                    let wrong = Expectation::wanted("each file with a profile once").hint(hint);
                    notes.error(*origin, said, wrong);
                    continue;
                }
                named.insert(file, *origin);
                let node = profile_file(source, want, *origin, &mut notes);
                complete &= node.is_some();
                files.extend(node.as_ref().map(|_| Some(PathBuf::from(&source.path))));
                written.extend(node);
            }
        }
        let own = written.len();
        for (want, origin) in bases::beside(&profiles_from, answers) {
            let found = answers.get(&want).map(Vec::as_slice).unwrap_or_default();
            // A name that no profile has is noted where it is written.
            for source in found.iter().filter(|source| source.bytes.is_ok()) {
                let node = profile_file(source, &want, origin, &mut notes);
                complete &= node.is_some();
                files.extend(node.as_ref().map(|_| Some(PathBuf::from(&source.path))));
                written.extend(node);
            }
        }
        let without_basis = based_on::resolve(&mut written, &files, complete, &mut notes);
        written.truncate(own);
        for (index, node) in written.into_iter().enumerate() {
            if without_basis.contains(&index) {
                complete = false;
                continue;
            }
            complete &= profile::read(node, &mut profiles, commands, &mut notes);
        }
        let tables = tables(&devices_file, answers, &mut notes);
        let mut variants = Variants::default();
        let rows = tables.iter().flat_map(|table| &table.devices);
        for node in s.list("devices", &mut Notes::default()).iter().chain(rows) {
            device::variant(node, &profiles, commands, &mut variants, &mut notes);
        }
        let products = profiles.values().filter_map(|p| {
            let key = p.product_key.clone()?;
            Some((key, p.product_secret.clone()?))
        });
        let mut products: Vec<_> = products.collect();
        let mut registry = DeviceRegistry::default();
        let written = s.list("devices", &mut notes);
        let of_tables = tables.iter().map(|table| (&*table.devices, table.headless));
        for (nodes, headless) in std::iter::once((written, false)).chain(of_tables) {
            notes.lenient = headless;
            for node in nodes {
                device::read(
                    node,
                    &ports,
                    (&profiles, &variants),
                    complete,
                    &mut registry,
                    &mut notes,
                );
            }
            notes.lenient = false;
        }
        let secrets = products.iter_mut().map(|(_, secret)| secret);
        let devices = registry.all.iter_mut();
        let secrets = secrets.chain(devices.flat_map(|device| {
            std::iter::once(&mut device.secret).chain(device.access.sources_mut())
        }));
        remote::bind_secrets(&platform.remote, secrets, &mut notes);
        ambiguous_replies::check(&registry, &ports, &mut notes);
        // systemd kills the service after 90 s unless its unit says otherwise.
        let most = Duration::from_secs(90);
        let stop_within = s
            .read(
                "stop_within",
                time(Duration::from_secs(1)..=most),
                &mut notes,
            )
            .unwrap_or(Duration::from_secs(10));
        if stop_within > Duration::from_secs(15) {
            let said = s.text("stop_within", "", &mut notes).unwrap_or_default();
            notes.warning(
                s.at("stop_within"),
                shown(said),
                Expectation::wanted("15s or less, unless TimeoutStopSec= of the unit is longer too").hint(
                    "systemd kills the service after TimeoutStopSec=, 20 s as installed; a drop-in made with systemctl edit alink-gateway can raise it",
                ),
            );
        }
        let state_dir = s.read("state_dir", file_name, &mut notes);
        let control = control::read(&s, &base, &mut notes);
        count(&registry, platform.session.online, &mut notes);
        SecondPass {
            notes,
            platform,
            ports,
            profiles: profiles
                .into_values()
                .map(|p| NamedProfile::new(p, commands))
                .collect(),
            products,
            registry,
            stop_within,
            commands,
            state_dir: state_dir.map(|dir| base.join(dir)),
            control,
        }
    }
}

/// Reads a profile in a file of its own.
fn profile_file(
    source: &SourceText,
    want: &NeededSource,
    origin: OriginId,
    notes: &mut Notes,
) -> Option<Node> {
    let file = notes.origins.add_file(&source.path);
    let bytes = contents(source, origin, want, notes)?;
    let node = yaml::read(bytes, file, notes)?;
    if let NodeContent::Map(profile) = &node.is
        && source.mode.is_some_and(open_to_others)
        && let Some(at) = inline(profile)
    {
        warn_open(at, source, notes);
    }
    Some(node)
}

/// Reads the tables of devices.
fn tables(
    files: &[(NeededSource, OriginId)],
    answers: &ReadSources,
    notes: &mut Notes,
) -> Vec<table::Rows> {
    let mut tables = Vec::new();
    for (want, origin) in files {
        for source in answers.get(want).map(Vec::as_slice).unwrap_or_default() {
            let file = notes.origins.add_file(&source.path);
            let Some(bytes) = contents(source, *origin, want, notes) else {
                continue;
            };
            let rows = table::read(bytes, file, notes);
            if rows.secrets && source.mode.is_some_and(open_to_others) {
                let whole = notes.origins.whole(file);
                notes.warning(
                    whole,
                    "secrets in a file that every user can read",
                    permissions(source),
                );
            }
            tables.push(rows);
        }
    }
    tables
}

fn file_or_pattern(text: &str) -> Result<NeededSource, Expectation> {
    let name = file_name(text)?;
    let directory = name.rsplit_once('/').map_or("", |(d, _)| d);
    if directory.contains('*') {
        return Err(Expectation::wanted("a * in the last part of the path only"));
    }
    Ok(if name.contains('*') {
        NeededSource::Pattern(name)
    } else {
        NeededSource::File(name)
    })
}

/// Returns whether a file has nothing but comments.
fn blank(bytes: &[u8]) -> bool {
    bytes.split(|b| *b == b'\n').all(|line| {
        let line = line.trim_ascii();
        line.is_empty() || line.starts_with(b"#")
    })
}

/// Accepts a single file name where a list may stand.
fn as_list(node: &mut Node) {
    if matches!(node.is, NodeContent::Text(_)) {
        let only = node.clone();
        node.is = NodeContent::List(vec![only]);
    }
}

/// Warns once for a file that holds secrets and that every user can read.
fn warn_inline(entries: &BTreeMap<String, Node>, source: &SourceText, notes: &mut Notes) {
    let secret = |node: &Node| match &node.is {
        NodeContent::Map(map) => inline(map),
        NodeContent::Nothing | NodeContent::Text(_) | NodeContent::List(_) => None,
    };
    let listed = |key: &str| match &entries.get(key)?.is {
        NodeContent::List(list) => list.iter().find_map(secret),
        NodeContent::Nothing | NodeContent::Text(_) | NodeContent::Map(_) => None,
    };
    let first = entries.get("gateway").and_then(secret);
    if let Some(at) = first
        .or_else(|| listed("devices"))
        .or_else(|| listed("profiles"))
    {
        warn_open(at, source, notes);
    }
}

/// Returns where a secret stands in a section itself.
fn inline(section: &BTreeMap<String, Node>) -> Option<OriginId> {
    let keys = [
        "secret",
        "product_secret",
        "write_password",
        "operator_code",
    ];
    let found = keys.iter().find_map(|key| section.get(*key));
    found.map(|node| node.origin)
}

fn warn_open(at: OriginId, source: &SourceText, notes: &mut Notes) {
    let wrong = permissions(source).hint(format!(
        "{}, or keep secrets in files of their own (secret_file:)",
        closing(source)
    ));
    notes.warning(at, "*** in a file that every user can read", wrong);
}

fn count(registry: &DeviceRegistry, online: usize, notes: &mut Notes) {
    if let Some((at, asked)) = registry.overasked() {
        notes.error(
            at,
            format!(
                "{} and requests of all devices together",
                counted(asked, "point")
            ),
            Expectation::wanted(format!("at most {MOST_ASKED}")).hint(
                "profiles with fewer points, or fewer devices; the others need a second gateway",
            ),
        );
    }
    let n = registry.all.len() + registry.left_out();
    if let Some(first) = registry.first_left_out() {
        notes.error(
            first,
            format!("{} in all", counted(n, "device")),
            Expectation::wanted(format!("at most {MOST_DEVICES}")).hint(
                "the platform keeps no more sub-devices online under one gateway; the others need a second gateway",
            ),
        );
    } else if let Some(first) = registry.all.get(online) {
        notes.warning(
            first.at,
            format!("{} in all", counted(n, "device")),
            Expectation::wanted(format!("at most {online}, as cloud.session.online says"))
                .hint("the devices beyond it are polled but never come online"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_this_user_may_not_read_says_what_to_do() {
        let hint = |why: &str| {
            let source = SourceText::of("/etc/gateway.yaml".into(), Err(why.to_owned()));
            let report = FirstPass::new(&[source], &[]).err().unwrap();
            report.problems()[0].hint.clone().unwrap()
        };
        assert!(hint("this user may not read it").contains("use sudo"));
        assert!(hint("there is no such file").contains("--config FILE"));
    }
}
