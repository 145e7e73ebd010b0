//! What the reader of configurations says about a snippet: without files, for each file that it
//! wants has a content here.

use std::collections::{BTreeMap, BTreeSet};

use alink_gateway::config::{FirstPass, NeededSource, ReadSources, Report, SourceText};

use super::tree::{Step, Tree, general, shown};

/// A key that no section has.
const NO_KEY: &str = "zzz";
/// A value that hardly any key takes.
const NO_VALUE: &str = "§";
/// How often that is repeated to be longer than any text may be.
const TOO_LONG: usize = 300;
/// More entries than any list may have.
const TOO_MANY: usize = 5_001;

const CERTIFICATE: &str =
    include_str!("../../config_cases/nothing-wrong-in-the-whole-shape/aliyun-root.pem");
const PROFILE: &str = "name: heat-meter\nproduct_key: a1SubDemoPk\ninterval: 10s
points: [{ id: Energy, table: input, address: 0, type: u32 }]\n";
const TABLE: &str = "name,port,unit,profile,secret\nrow-1,line1,99,meter,s3cret\n";

/// What is in a configuration of which a snippet shows a part.
const REST: [(&str, &str); 5] = [
    (
        "gateway",
        "{ product_key: a1GwDemoPk0, device_name: gw-0001, secret: s3cret }",
    ),
    ("cloud", "{ url: 'mqtts://gateway.example' }"),
    (
        "ports",
        "[{ name: line1, serial: { device: /dev/ttyS9 } }, { name: rack1, tcp: { host: 192.168.1.10 } }]",
    ),
    (
        "profiles",
        "[{ name: meter, product_key: a1SubDemoPk, interval: 10s,
            points: [{ id: Energy, table: input, address: 0, type: u32 }] }]",
    ),
    ("devices", "[]"),
];

/// What a configuration means, as far as it can be compared.
pub(super) type Meaning = String;

/// A problem: where it is, what is there, and what was wanted.
pub(super) type Said = (String, String, String);

fn said(report: &Report) -> Vec<Said> {
    let problems = report.problems().iter();
    problems
        .map(|p| (p.path.clone(), p.said.clone(), p.wanted.clone()))
        .collect()
}

/// A snippet in a whole configuration, and the table of devices beside it.
pub(super) struct Configuration<'a> {
    pub(super) tree: Tree,
    pub(super) table: Option<&'a str>,
    /// Whether the text above the snippet says that the reader warns about it.
    pub(super) is_warned_about: bool,
}

impl Configuration<'_> {
    /// Returns a snippet with what a whole configuration has besides.
    pub(super) fn around(snippet: &str, is_warned_about: bool) -> Configuration<'static> {
        let mut tree = Tree::read(snippet);
        for (key, rest) in REST {
            if tree.at(&[Step::Key(key.to_owned())]).is_none() {
                tree = tree.with(&[], key, Some(Tree::read(rest)));
            }
        }
        Configuration {
            tree,
            table: None,
            is_warned_about,
        }
    }

    fn source(&self, want: &NeededSource) -> SourceText {
        let text = match want {
            NeededSource::File(_) => self.table.unwrap_or(TABLE),
            NeededSource::Pattern(_) | NeededSource::Beside(_) => PROFILE,
            NeededSource::Bundle(_) => CERTIFICATE,
            // It is good as a password of a meter, too.
            NeededSource::Secret(_) | NeededSource::Credential(_) => "02123456",
        };
        SourceText::of(format!("{want:?}"), Ok(text.as_bytes().into()))
    }

    fn answers(&self, wants: BTreeSet<NeededSource>) -> ReadSources {
        let answer = |want: NeededSource| {
            // A snippet stands alone: its basis is in it.
            let is_there = !matches!(want, NeededSource::Beside(_));
            let source = is_there.then(|| self.source(&want));
            (want, source.into_iter().collect())
        };
        wants.into_iter().map(answer).collect()
    }

    /// Compiles it, with `tree` in the place of its own.
    fn compiled(&self, tree: &Tree) -> Result<(Meaning, Report), Report> {
        let text = tree.text();
        let source = SourceText::of("gateway.yaml".into(), Ok(text.as_bytes().into()));
        let first = FirstPass::new(std::slice::from_ref(&source), &[])?;
        let files = self.answers(first.wants());
        let second = first.outline(&files);
        let profiles: Vec<_> = second.profiles().to_vec();
        let secrets = self.answers(second.wants());
        let it = second.compile(&secrets)?;
        let meaning = format!("{:#?}", (it.spec, it.state_dir, it.control, profiles));
        Ok((meaning, it.warnings))
    }

    /// Returns what the configuration means, and the warnings about it.
    pub(super) fn meaning(&self) -> Result<(Meaning, Report), Report> {
        self.compiled(&self.tree)
    }

    /// Returns what the configuration means with `value` under `key` of the section at `path`,
    /// or without the key.
    ///
    /// # Errors
    /// What is wrong with it then.
    pub(super) fn meaning_with(
        &self,
        path: &[Step],
        key: &str,
        value: Option<&str>,
    ) -> Result<Meaning, Vec<Said>> {
        let value = value.map(Tree::read);
        match self.compiled(&self.tree.with(path, key, value)) {
            Ok((meaning, _)) => Ok(meaning),
            Err(report) => Err(said(&report)),
        }
    }

    /// Returns what the reader says about this `tree`.
    fn problems(&self, tree: &Tree) -> Vec<Said> {
        match self.compiled(tree) {
            Ok((_, warnings)) => said(&warnings),
            Err(report) => said(&report),
        }
    }

    /// Returns the keys that the reader knows in the section at `path` of `tree`, by what it
    /// says about a key that it does not know; nothing if it is no section with fixed keys.
    fn keys(&self, tree: &Tree, path: &[Step]) -> Option<Vec<String>> {
        let place = match shown(path).as_str() {
            "" => NO_KEY.to_owned(),
            path => format!("{path}.{NO_KEY}"),
        };
        let found = self.problems(tree).into_iter();
        let mut found =
            found.filter(|(at, said, _)| *at == place && *said == format!("the key {NO_KEY}"));
        let (_, _, wanted) = found.next()?;
        let keys = wanted.strip_prefix("one of ")?;
        Some(keys.split(", ").map(str::to_owned).collect())
    }

    /// Returns the sections of the configuration with the keys that the reader knows there:
    /// those that are written, and those that could stand where something else is written. Keys
    /// that were `tried` in such a section are not tried again.
    pub(super) fn sections(&self, tried: &mut BTreeSet<Tried>) -> BTreeMap<String, Vec<Known>> {
        let stranger = || Tree::Value("1".to_owned());
        let mut all: BTreeMap<String, Vec<Known>> = BTreeMap::new();
        let mut add = |path: Vec<Step>, keys: Vec<String>, is_written| {
            let known = all.entry(general(&path)).or_default();
            let same = known.iter_mut().find(|k| k.keys == keys && k.path == path);
            match same {
                Some(same) => same.is_written |= is_written,
                None => known.push(Known {
                    path,
                    keys,
                    is_written,
                }),
            }
        };
        for path in self.tree.sections() {
            let tree = self.tree.with(&path, NO_KEY, Some(stranger()));
            let Some(keys) = self.keys(&tree, &path) else {
                continue;
            };
            for key in &keys {
                let section = Tree::Section(vec![(NO_KEY.to_owned(), stranger())]);
                let list = Tree::List(vec![section.clone()]);
                let mut inside = path.clone();
                inside.push(Step::Key(key.clone()));
                // Where the key is written, the reader reads it.
                if self.tree.at(&inside).is_none()
                    || !tried.insert((general(&path), keys.clone(), key.clone()))
                {
                    continue;
                }
                for (value, entry) in [(section, None), (list, Some(Step::Entry(0)))] {
                    let tree = self.tree.with(&path, key, Some(value));
                    let mut place = inside.clone();
                    place.extend(entry);
                    if let Some(keys) = self.keys(&tree, &place) {
                        add(place, keys, false);
                    }
                }
            }
            add(path, keys, true);
        }
        all
    }

    /// Returns the reader's words for what `key` of the section at `path` takes; nothing if it
    /// takes any text.
    pub(super) fn wanted(&self, path: &[Step], key: &str) -> Option<String> {
        let mut place = path.to_vec();
        place.push(Step::Key(key.to_owned()));
        let place = shown(&place);
        let wanted = |value: Tree| {
            let found = self.problems(&self.tree.with(path, key, Some(value)));
            let found = found.into_iter().find(|(at, ..)| *at == place);
            found.map(|(_, _, wanted)| wanted)
        };
        let value = || Tree::Value(NO_VALUE.to_owned());
        let too_long = || Tree::Value(NO_VALUE.repeat(TOO_LONG));
        let words = wanted(value()).or_else(|| wanted(too_long()))?;
        if words != "a list" {
            return Some(words);
        }
        let many = wanted(Tree::List(vec![value(); TOO_MANY]));
        let most = many.as_deref().and_then(|m| m.strip_prefix("at most "));
        Some(match most {
            Some(most) => format!("a list, at most {most} entries"),
            None => words,
        })
    }

    /// Returns the columns that the reader knows in a table of devices.
    pub(super) fn columns(&self, table: &str) -> Vec<String> {
        let (header, rows) = table.split_once('\n').unwrap();
        let rows: String = rows.lines().map(|row| format!("{row},\n")).collect();
        let table = format!("{header},{NO_KEY}\n{rows}");
        let strange = Configuration {
            tree: self.tree.clone(),
            table: Some(&table),
            is_warned_about: false,
        };
        let problems = strange.problems(&strange.tree).into_iter();
        let mut wanted = problems.filter(|(_, said, _)| *said == format!("the column {NO_KEY}"));
        let (_, _, wanted) = wanted.next().unwrap();
        let columns = wanted.strip_prefix("one of ").unwrap();
        columns.split(", ").map(str::to_owned).collect()
    }
}

/// A key of a section with these keys at a path.
pub(super) type Tried = (String, Vec<String>, String);

/// A section of a configuration, and the keys that the reader knows there.
pub(super) struct Known {
    pub(super) path: Vec<Step>,
    pub(super) keys: Vec<String>,
    /// Whether the section stands in the configuration.
    pub(super) is_written: bool,
}
