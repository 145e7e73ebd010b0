//! Which file knows which: the modules of the crate, the names in them, and where a
//! path leads.
//!
//! Tests are left out: a test may know whatever it is about.

use std::collections::{BTreeMap, BTreeSet};

use super::source::{Mention, Source, Token, code_of, is_name, mentions_in, tokens};

/// A module of the crate as a list of names; the empty list is the crate's root.
pub(crate) type Module = Vec<String>;

/// A module, or an inline module inside it, without its tests.
pub(crate) struct Part {
    pub(crate) file: String,
    pub(crate) module: Module,
    pub(crate) tokens: Vec<Token>,
    mentions: Vec<Mention>,
}

/// The modules of the crate outside its tests.
pub(crate) struct Modules {
    pub(crate) parts: Vec<Part>,
    /// Which file holds a module.
    files: BTreeMap<Module, String>,
    /// What a `use` makes known in a module, under which name.
    imports: BTreeMap<(Module, String), Vec<String>>,
    /// The modules and enums that a module takes whole, by `*`.
    globs: BTreeMap<Module, Vec<Vec<String>>>,
    /// The items that a module defines.
    items: BTreeSet<(Module, String)>,
}

/// An import: the files at both ends, and the names taken.
pub(crate) type Arrows = BTreeMap<(String, String), BTreeSet<String>>;

impl Modules {
    /// Reads the modules in `sources`, files below `src/`.
    pub(crate) fn read(sources: &[Source]) -> Self {
        let mut parts = Vec::new();
        let mut tests = BTreeSet::new();
        for source in sources {
            let module = module_of(&source.path);
            let all = tokens(&code_of(&source.text));
            let (kept, dropped) = without_tests(&all);
            for name in dropped.iter().filter_map(|item| declared_module(item)) {
                tests.insert([&module[..], &[name]].concat());
            }
            take_parts(&source.path, module, kept, &mut parts);
        }
        parts.retain(|part| {
            let named_so = part.module.iter().any(|m| m == "tests");
            !named_so && !tests.iter().any(|t| part.module.starts_with(t))
        });
        let mut modules = Self {
            parts: Vec::new(),
            files: BTreeMap::new(),
            imports: BTreeMap::new(),
            globs: BTreeMap::new(),
            items: BTreeSet::new(),
        };
        for part in &parts {
            modules.note(part);
        }
        modules.parts = parts;
        modules
    }

    fn note(&mut self, part: &Part) {
        let module = &part.module;
        self.files.insert(module.clone(), part.file.clone());
        for mention in &part.mentions {
            let Some(name) = &mention.known_as else {
                continue;
            };
            if name == "*" {
                let whole = mention.path[..mention.path.len() - 1].to_vec();
                self.globs.entry(module.clone()).or_default().push(whole);
            } else {
                let key = (module.clone(), name.clone());
                self.imports.insert(key, mention.path.clone());
            }
        }
        for pair in part.tokens.windows(2) {
            if ITEMS.contains(&pair[0].1.as_str()) && is_name(&pair[1].1) {
                self.items.insert((module.clone(), pair[1].1.clone()));
            }
        }
    }

    /// Returns the module in which the thing at the end of `path` is defined, as seen from
    /// `from`; `None` if it is of another crate, or local.
    pub(crate) fn home(&self, from: &Module, path: &[String]) -> Option<Module> {
        self.lookup(from, path, 0)
    }

    fn lookup(&self, from: &Module, path: &[String], steps: usize) -> Option<Module> {
        // A path may lead back to itself: `use rumqttc::rumqttc`.
        if steps > 20 {
            return None;
        }
        let first = path.first()?;
        let (mut at, mut rest) = match first.as_str() {
            "crate" | "alink_gateway" => (Module::new(), &path[1..]),
            "self" => (from.clone(), &path[1..]),
            "super" => {
                let ups = path.iter().take_while(|s| *s == "super").count();
                let left = from.len().checked_sub(ups)?;
                (from[..left].to_vec(), &path[ups..])
            }
            _ if self.is_module(from, first) => (from.clone(), path),
            _ => {
                let import = self.imports.get(&(from.clone(), first.clone()))?;
                let whole = [import, &path[1..]].concat();
                return self.lookup(from, &whole, steps + 1);
            }
        };
        while let Some((name, others)) = rest.split_first() {
            if self.is_module(&at, name) {
                at.push(name.clone());
                rest = others;
                continue;
            }
            if let Some(import) = self.imports.get(&(at.clone(), name.clone()))
                && !self.items.contains(&(at.clone(), name.clone()))
            {
                let whole = [import, others].concat();
                return self.lookup(&at, &whole, steps + 1);
            }
            return Some(self.through_globs(at, name, steps));
        }
        Some(at)
    }

    fn through_globs(&self, at: Module, name: &str, steps: usize) -> Module {
        if self.items.contains(&(at.clone(), name.to_owned())) {
            return at;
        }
        let globs = self.globs.get(&at).map_or(&[][..], |g| g);
        let mut homes = globs.iter().filter_map(|glob| {
            let home = self.lookup(&at, glob, steps + 1)?;
            let defines = self.items.contains(&(home.clone(), name.to_owned()));
            defines.then_some(home)
        });
        homes.next().unwrap_or(at)
    }

    fn is_module(&self, parent: &Module, name: &str) -> bool {
        let child = [&parent[..], &[name.to_owned()]].concat();
        self.files.contains_key(&child)
    }

    /// Returns the file that holds `module`.
    pub(crate) fn file(&self, module: &Module) -> &str {
        &self.files[module]
    }

    /// Returns the modules that define an item of this name.
    pub(crate) fn homes_of(&self, name: &str) -> Vec<&Module> {
        let all = self.items.iter().filter(|(_, item)| item == name);
        all.map(|(module, _)| module).collect()
    }

    /// Returns whether `module` itself defines an item of this name.
    pub(crate) fn defines(&self, module: &Module, name: &str) -> bool {
        self.items.contains(&(module.clone(), name.to_owned()))
    }

    /// Returns every import from file to file.
    pub(crate) fn arrows(&self) -> Arrows {
        let mut arrows = Arrows::new();
        for part in &self.parts {
            for mention in &part.mentions {
                let Some(home) = self.home(&part.module, &mention.path) else {
                    continue;
                };
                let Some(file) = self.files.get(&home).filter(|f| **f != part.file) else {
                    continue;
                };
                let ends = (part.file.clone(), file.clone());
                let name = mention.path.last().unwrap().clone();
                arrows.entry(ends).or_default().insert(name);
            }
        }
        arrows
    }
}

/// The words before the name of an item.
const ITEMS: [&str; 8] = [
    "struct", "enum", "trait", "type", "fn", "const", "static", "union",
];

/// Returns the module that a file is.
pub(crate) fn module_of(path: &str) -> Module {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    let stem = inside.strip_suffix(".rs").unwrap_or(inside);
    let stem = stem.strip_suffix("/mod").unwrap_or(stem);
    let names = stem.split('/').filter(|s| *s != "lib");
    names.map(str::to_owned).collect()
}

/// Takes `tokens` apart into the module itself and the inline modules in it.
fn take_parts(file: &str, module: Module, tokens: Vec<Token>, parts: &mut Vec<Part>) {
    let mut own = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        let word = |n: usize| tokens.get(i + n).map_or("", |t| &t.1);
        if word(0) == "mod" && is_name(word(1)) && word(2) == "{" {
            let end = closing(&tokens, i + 2);
            let inner = [&module[..], &[word(1).to_owned()]].concat();
            take_parts(file, inner, tokens[i + 3..end].to_vec(), parts);
            // What stands before it, a visibility, still belongs to a module.
            let line = tokens[end].0;
            own.extend(tokens[i..i + 2].iter().cloned());
            own.push((line, ";".to_owned()));
            i = end;
        } else {
            own.push(tokens[i].clone());
        }
        i += 1;
    }
    parts.push(Part {
        file: file.to_owned(),
        module,
        mentions: mentions_in(&own),
        tokens: own,
    });
}

/// Returns the index of the bracket that closes the one at `open`.
pub(crate) fn closing(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (i, token) in tokens.iter().enumerate().skip(open) {
        match token.1.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return i;
        }
    }
    tokens.len() - 1
}

/// Splits `tokens` into what is always built and the items that are built for tests.
fn without_tests(tokens: &[Token]) -> (Vec<Token>, Vec<&[Token]>) {
    let (mut kept, mut dropped) = (Vec::new(), Vec::new());
    let mut i = 0;
    while i < tokens.len() {
        if is_test_attribute(&tokens[i..]) {
            let start = closing(tokens, i + 1) + 1;
            let end = item_end(tokens, start);
            dropped.push(&tokens[start..end]);
            i = end;
        } else {
            kept.push(tokens[i].clone());
            i += 1;
        }
    }
    (kept, dropped)
}

fn is_test_attribute(tokens: &[Token]) -> bool {
    let written = ["#", "[", "cfg", "(", "test", ")", "]"];
    tokens.len() >= written.len() && tokens.iter().zip(written).all(|(t, w)| t.1 == w)
}

/// Returns the index behind the item, field or statement that starts at `start`.
fn item_end(tokens: &[Token], start: usize) -> usize {
    let mut i = start;
    while tokens.get(i).is_some_and(|t| t.1 == "#") {
        i = closing(tokens, i + 1) + 1;
    }
    let head = i;
    let is_item = tokens[head..].iter().take(8).any(|t| {
        ITEMS.contains(&t.1.as_str()) || matches!(t.1.as_str(), "impl" | "mod" | "use" | "let")
    });
    // The value of a constant and the names of a `use` end with a semicolon.
    let mut to_semicolon = tokens.get(head).is_some_and(|t| t.1 == "let");
    while let Some(token) = tokens.get(i) {
        match token.1.as_str() {
            ";" => return i + 1,
            "," if !is_item => return i + 1,
            ")" | "]" | "}" => return i,
            "use" | "=" => to_semicolon = true,
            "{" if !to_semicolon => return closing(tokens, i) + 1,
            "(" | "[" | "{" => i = closing(tokens, i),
            _ => {}
        }
        i += 1;
    }
    i
}

/// Returns the name in `mod name;`.
fn declared_module(item: &[Token]) -> Option<String> {
    let at = item.iter().position(|t| t.1 == "mod")?;
    let ends = item.get(at + 2).is_some_and(|t| t.1 == ";");
    ends.then(|| item[at + 1].1.clone())
}
