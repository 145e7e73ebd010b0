//! The walls inside a room: files know each other in one direction, a type's methods
//! stand with the type, and a field is private or it is everybody's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use super::modules::{Arrows, Module, Modules, closing, module_of};
use super::source::{Source, Token, is_name, sources};

/// A folder in which a rule does not hold yet, and why. The test fails as well when an
/// exception is needed no more.
type Exceptions<'a> = &'a [(&'a str, &'a str)];

/// Where files may still know each other in a circle.
const CIRCLES: Exceptions = &[];

/// Where a type's methods may still stand beside the type's own file.
const SPLIT_TYPES: Exceptions = &[
    (
        "src/field/dlt645/",
        "an item of a profile is plain data; how a meter writes it is known here alone",
    ),
    (
        "src/field/raw/",
        "a part of a reply is plain data; how its bytes are read is known here alone",
    ),
];

/// Where a field may still be open to the folder around it.
const OPEN_FIELDS: Exceptions = &[];

/// A breach: the files it is in, and the sentence that says what it is.
#[derive(Debug)]
struct Breach {
    files: Vec<String>,
    says: String,
}

// The rules.

/// Finds the circles of files.
///
/// A module's own file (`mod.rs`, or `port.rs` beside `port/`) may know its children and
/// be known by them; a circle that needs both directions is no circle. So the circles are
/// sought twice: without the way down to a child, and without the way up to a parent.
fn circles(modules: &Modules) -> Vec<Breach> {
    let arrows = modules.arrows();
    let mut found: Vec<(Vec<String>, Arrows)> = Vec::new();
    for down in [true, false] {
        let mut some = arrows.clone();
        some.retain(|(from, to), _| {
            let (parent, child) = if down { (from, to) } else { (to, from) };
            !module_of(child).starts_with(&module_of(parent))
        });
        for files in tied(&some) {
            let within = |(circle, _): &(Vec<String>, _)| files.iter().all(|f| circle.contains(f));
            if !found.iter().any(within) {
                found.retain(|(circle, _)| !circle.iter().all(|f| files.contains(f)));
                found.push((files, some.clone()));
            }
        }
    }
    let circles = found.iter();
    circles.map(|(files, arrows)| told(files, arrows)).collect()
}

fn told(files: &[String], arrows: &Arrows) -> Breach {
    let mut says = format!("{} files know each other in a circle:", files.len());
    for ((from, to), names) in arrows {
        if files.contains(from) && files.contains(to) {
            let names = names.iter().map(String::as_str).collect::<Vec<_>>();
            says += &format!("\n    {from} -> {to}: {}", names.join(", "));
        }
    }
    Breach {
        files: files.to_vec(),
        says,
    }
}

/// Returns the groups of files in which each reaches each other one.
fn tied(arrows: &Arrows) -> Vec<Vec<String>> {
    let mut next: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in arrows.keys() {
        next.entry(from).or_default().push(to);
    }
    let reach = |from: &str| {
        let (mut found, mut todo) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(at) = todo.pop() {
            for to in next.get(at.as_str()).into_iter().flatten() {
                if found.insert((*to).to_owned()) {
                    todo.push((*to).to_owned());
                }
            }
        }
        found
    };
    let all: BTreeMap<&str, BTreeSet<String>> = next.keys().map(|f| (*f, reach(f))).collect();
    let mut groups = BTreeSet::new();
    for (from, reached) in &all {
        let back = reached.iter().filter(|to| {
            let from_there = all.get(to.as_str());
            from_there.is_some_and(|r| r.contains(*from))
        });
        let group: Vec<String> = back.cloned().collect();
        if group.len() > 1 {
            groups.insert(group);
        }
    }
    groups.into_iter().collect()
}

/// Finds inherent `impl` blocks that stand neither in the file of their type nor in a
/// child of that file's module.
fn split_types(modules: &Modules) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for part in &modules.parts {
        for (line, path) in inherent_impls(&part.tokens) {
            let name = path.last().unwrap();
            let Some(home) = home_of_type(modules, &part.module, &path) else {
                continue;
            };
            if !part.module.starts_with(home) {
                let (file, own) = (&part.file, modules.file(home));
                breaches.push(Breach {
                    files: vec![file.clone()],
                    says: format!("{file}:{line}: methods of `{name}`, which is in {own}"),
                });
            }
        }
    }
    breaches
}

fn home_of_type<'a>(modules: &'a Modules, from: &'a Module, path: &[String]) -> Option<&'a Module> {
    let name = path.last()?;
    if path.len() == 1 && modules.defines(from, name) {
        return Some(from);
    }
    let homes = modules.homes_of(name);
    let home = modules.home(from, path);
    // What a macro or a `*` brought is known by its name alone.
    let known = homes.iter().find(|h| home.as_ref() == Some(**h));
    known
        .or(homes.first().filter(|_| homes.len() == 1))
        .copied()
}

/// Returns the line and the type of every `impl Type { … }`.
fn inherent_impls(tokens: &[Token]) -> Vec<(usize, Vec<String>)> {
    let word = |i: usize| tokens.get(i).map_or("", |t| t.1.as_str());
    let mut found = Vec::new();
    for i in 0..tokens.len() {
        let starts = i == 0 || matches!(word(i - 1), "}" | ";" | "]" | "{" | "unsafe");
        if word(i) != "impl" || !starts {
            continue;
        }
        let mut at = i + 1;
        if word(at) == "<" {
            at = past_angles(tokens, at);
        }
        let mut path = Vec::new();
        let mut of_a_trait = false;
        while !matches!(word(at), "{" | "where" | "") {
            match word(at) {
                "for" => of_a_trait = true,
                "<" => at = past_angles(tokens, at) - 1,
                name if is_name(name) => path.push(name.to_owned()),
                _ => {}
            }
            at += 1;
        }
        if !of_a_trait && !path.is_empty() {
            found.push((tokens[i].0, path));
        }
    }
    found
}

/// Returns the index behind the `>` that closes the `<` at `open`.
fn past_angles(tokens: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for i in open..tokens.len() {
        match tokens[i].1.as_str() {
            "<" => depth += 1,
            // Not the head of an arrow.
            ">" if tokens[i - 1].1 != "-" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return i + 1;
        }
    }
    tokens.len()
}

/// Finds fields that are `pub(super)` or `pub(in …)`.
fn open_fields(modules: &Modules) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for part in &modules.parts {
        for (i, (line, token)) in part.tokens.iter().enumerate() {
            let word = |n: usize| part.tokens.get(n).map_or("", |t| t.1.as_str());
            let restricted = word(i + 1) == "(" && matches!(word(i + 2), "super" | "in");
            if token != "pub" || !restricted {
                continue;
            }
            let next = word(closing(&part.tokens, i + 1) + 1);
            if !STARTS_AN_ITEM.contains(&next) {
                let file = &part.file;
                breaches.push(Breach {
                    files: vec![file.clone()],
                    says: format!("{file}:{line}: the field `{next}` is open to its folder"),
                });
            }
        }
    }
    breaches
}

/// What may follow a visibility, besides a field.
const STARTS_AN_ITEM: [&str; 12] = [
    "async", "const", "enum", "extern", "fn", "mod", "static", "struct", "trait", "type", "unsafe",
    "use",
];

/// Sorts out what is excepted: returns the breaches that are not, and the exceptions that
/// excuse nothing.
fn unexcused(breaches: Vec<Breach>, exceptions: Exceptions) -> Vec<String> {
    let excuses = |place: &str, breach: &Breach| breach.files.iter().all(|f| f.starts_with(place));
    let idle = exceptions
        .iter()
        .filter(|(place, _)| !breaches.iter().any(|b| excuses(place, b)))
        .map(|(place, _)| format!("{place}: an exception that is needed no more"));
    let idle: Vec<_> = idle.collect();
    let real = breaches
        .into_iter()
        .filter(|b| !exceptions.iter().any(|(place, _)| excuses(place, b)));
    real.map(|b| b.says).chain(idle).collect()
}

// The house as it stands.

/// The crate as it stands, read once for all rules.
static CRATE: LazyLock<Modules> = LazyLock::new(|| Modules::read(&sources("src")));

#[test]
fn files_know_each_other_in_one_direction() {
    crate::rules::demand_none(&unexcused(circles(&CRATE), CIRCLES));
}

#[test]
fn methods_stand_with_their_type() {
    crate::rules::demand_none(&unexcused(split_types(&CRATE), SPLIT_TYPES));
}

#[test]
fn no_field_is_open_to_its_folder() {
    crate::rules::demand_none(&unexcused(open_fields(&CRATE), OPEN_FIELDS));
}

// Each rule is shown a breach it must find and correct code it must not report.

fn modules(files: &[(&str, &str)]) -> Modules {
    let sources = files.iter().map(|(path, text)| Source {
        path: (*path).to_owned(),
        text: (*text).to_owned(),
    });
    Modules::read(&sources.collect::<Vec<_>>())
}

#[test]
fn a_circle_is_found_however_it_is_tied() {
    for files in [
        // Two files of one folder.
        &[
            ("src/a/b.rs", "use super::c::C; struct B;"),
            ("src/a/c.rs", "use crate::a::b::B; struct C;"),
            ("src/a/mod.rs", "mod b; mod c;"),
        ][..],
        // Through the folder's own file, which only passes a name on.
        &[
            ("src/a/mod.rs", "mod b; mod c; pub use b::B; pub use c::*;"),
            ("src/a/b.rs", "use super::C; pub struct B;"),
            ("src/a/c.rs", "pub struct C { b: super::B }"),
        ],
        // Three files, by paths in code.
        &[
            ("src/a.rs", "fn f() { crate::b::g() }"),
            ("src/b.rs", "use crate::c; fn g() { c::h::<u8>() }"),
            ("src/c.rs", "fn h() { super::a::f() }"),
            ("src/lib.rs", "mod a; mod b; mod c;"),
        ],
        // A parent, its child, and a stranger between them: upwards and downwards.
        &[
            ("src/a/mod.rs", "mod b; use crate::c::C;"),
            ("src/a/b.rs", "use super::A;"),
            ("src/c.rs", "use crate::a::b::B;"),
        ],
        &[
            ("src/a.rs", "mod b; use self::b::B; struct A;"),
            ("src/a/b.rs", "use crate::c::C; struct B;"),
            ("src/c.rs", "use crate::a::A; struct C;"),
        ],
    ] {
        assert_eq!(circles(&modules(files)).len(), 1, "{files:?}");
    }
}

#[test]
fn what_is_no_circle_is_left_alone() {
    for files in [
        // A folder's own file and its children.
        &[
            ("src/a/mod.rs", "mod b; mod c; use b::B; struct A;"),
            ("src/a/b.rs", "use super::A; use super::c::C; struct B;"),
            ("src/a/c.rs", "use crate::a::A; struct C;"),
        ][..],
        &[
            ("src/a.rs", "mod b; use b::B; struct A;"),
            ("src/a/b.rs", "use super::A; struct B;"),
        ],
        // What only tests know.
        &[
            ("src/a.rs", "use crate::b::B; struct A;"),
            (
                "src/b.rs",
                "struct B; #[cfg(test)] mod tests { use crate::a::A; }
                 #[cfg(test)] use crate::a::A;",
            ),
        ],
        &[
            ("src/a.rs", "use crate::b::B; struct A;"),
            (
                "src/b.rs",
                "struct B; #[cfg(test)] mod world; #[cfg(test)] mod tests;",
            ),
            ("src/b/tests.rs", "use crate::a::A;"),
            ("src/b/world.rs", "use crate::a::A;"),
        ],
        // Comments, literals and other crates.
        &[
            ("src/a.rs", "use crate::b::B; struct A;"),
            (
                "src/b.rs",
                "// crate::a::A\nconst S: &str = \"crate::a::A\"; use a::A;",
            ),
        ],
    ] {
        let found = circles(&modules(files));
        assert!(found.is_empty(), "{files:?}: {found:?}");
    }
}

#[test]
fn methods_beside_their_type_are_found() {
    for text in [
        "use super::b::B; impl B { fn f() {} }",
        "use super::b::B; impl<T: Fn() -> u8> B<T> where T: Copy { fn f() {} }",
        "impl super::b::B { fn f() {} }",
        "use super::B; struct C; impl C {} impl B {}",
    ] {
        let found = split_types(&modules(&[
            ("src/a/mod.rs", "mod b; mod c; pub use b::B;"),
            ("src/a/b.rs", "pub struct B; impl B {}"),
            ("src/a/c.rs", text),
        ]));
        assert_eq!(found.len(), 1, "{text}: {found:?}");
    }
}

#[test]
fn methods_with_their_type_are_left_alone() {
    let found = split_types(&modules(&[
        ("src/a/mod.rs", "mod b; pub enum A {} impl A {}"),
        ("src/a/b.rs", "use super::A; struct B; impl A {} impl B {}"),
        (
            "src/c.rs",
            "use crate::a::A; impl Into<u8> for A {} impl<T> crate::Way<T> for A {}
             fn f() -> impl Fn() { g } #[cfg(test)] impl A {}
             struct B; impl B {}",
        ),
        ("src/d.rs", "mod tests; "),
        ("src/d/tests.rs", "use crate::a::A; impl A { fn new() {} }"),
    ]));
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn an_open_field_is_found_and_an_open_item_is_not() {
    for breach in [
        "struct A { pub(super) b: u8 }",
        "struct A { pub(in crate::a) b: u8 }",
        "struct A(pub(super) u8);",
        "struct A(pub(in crate::a) Vec<u8>);",
    ] {
        let found = open_fields(&modules(&[("src/a.rs", breach)]));
        assert_eq!(found.len(), 1, "{breach}: {found:?}");
    }
    for innocent in [
        "pub(super) struct A { b: u8, pub c: u8, pub(crate) d: u8 }",
        "pub(super) const fn f() {} pub(super) use b::C; pub(super) mod d;",
        "pub(in crate::a) enum A { B } pub(super) async fn g() {}",
        "#[cfg(test)] mod tests { struct A { pub(super) b: u8 } }",
        "pub(super) mod a { pub(super) const B: u8 = 0; }",
        "struct A { #[cfg(test)] pub(super) b: HashMap<u8, u8>, c: u8 }",
    ] {
        let found = open_fields(&modules(&[("src/a.rs", innocent)]));
        assert!(found.is_empty(), "{innocent}: {found:?}");
    }
}

#[test]
fn an_exception_excuses_its_folder_and_must_be_needed() {
    let breach = |files: &[&str]| Breach {
        files: files.iter().map(|f| (*f).to_owned()).collect(),
        says: "a breach".to_owned(),
    };
    let exceptions: Exceptions = &[("src/a/", "because")];
    assert!(unexcused(vec![breach(&["src/a/b.rs", "src/a/c.rs"])], exceptions).is_empty());
    // A circle that leaves the folder is not excused by it, so the exception is idle.
    let found = unexcused(vec![breach(&["src/a/b.rs", "src/d.rs"])], exceptions);
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(unexcused(Vec::new(), exceptions).len(), 1);
}
