//! The pages for those who change the program are true of the sources: what they name is there,
//! and the tour has each room on its floor.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::rules::{FLOORS, demand_none};
use crate::source::{root, sources};

/// The pages.
const PAGES: [&str; 5] = [
    "docs/CONTRIBUTING.md",
    "docs/house.md",
    "docs/doors.md",
    "docs/adding-a-protocol.md",
    "docs/glossary.md",
];

/// How words end that are paths.
const ENDINGS: [&str; 9] = [
    "/", ".rs", ".md", ".yaml", ".txt", ".toml", ".csv", ".po", ".sh",
];

/// Where paths begin that have no such ending.
const BEGINNINGS: [&str; 7] = [
    "src/",
    "tests/",
    "docs/",
    "config/",
    "packaging/",
    "systemd/",
    "benches/",
];

/// Returns the files and folders of the repository from the root, but for what is built.
fn all_paths() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut todo: Vec<String> = [
        "src",
        "tests",
        "docs",
        "config",
        "packaging",
        "systemd",
        "benches",
    ]
    .map(str::to_owned)
    .into();
    while let Some(path) = todo.pop() {
        let whole = root().join(&path);
        if whole.is_dir() {
            let entries = fs::read_dir(&whole).unwrap();
            let names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
            todo.extend(names.map(|name| format!("{path}/{name}")));
        }
        all.insert(path);
    }
    all.extend(["README.md", "CHANGELOG.md", "Cargo.toml"].map(str::to_owned));
    all
}

/// Returns the words in a text between back quotes and of its commands that are paths, and the
/// files that it links to.
fn named<'a>(page: &str, text: &'a str) -> Vec<&'a str> {
    let quoted = text.split('`').skip(1).step_by(2);
    let words = quoted.flat_map(str::split_whitespace);
    let words = words.map(|w| w.trim_matches([',', '(', ')', ';']));
    let is_path = |w: &&str| {
        let ends = ENDINGS.iter().any(|e| w.len() > e.len() && w.ends_with(e));
        ends || BEGINNINGS.iter().any(|b| w.starts_with(b))
    };
    let paths = words.filter(is_path);
    let links = text.split("](").skip(1).filter_map(|s| s.split(')').next());
    let links = links.filter(|link| !link.contains("://"));
    let found: Vec<&str> = paths.chain(links).collect();
    assert!(!found.is_empty(), "{page}");
    found
}

/// Returns whether a page may name this: from the root, from the page's own folder, or as the end
/// of a path of `src/` or `tests/`, for a page says once in which room it is.
fn is_there(all: &BTreeSet<String>, page: &str, name: &str) -> bool {
    let name = name.trim_end_matches('/');
    let beside = Path::new(page).with_file_name(name);
    let end = format!("/{name}");
    all.contains(name)
        || all.contains(beside.to_str().unwrap())
        || all
            .iter()
            .any(|p| (p.starts_with("src/") || p.starts_with("tests/")) && p.ends_with(&end))
}

#[test]
fn what_the_pages_name_is_there() {
    let all = all_paths();
    let mut missing = Vec::new();
    for page in PAGES {
        let text = fs::read_to_string(root().join(page)).unwrap();
        for name in named(page, &text) {
            if !is_there(&all, page, name) {
                missing.push(format!("{page}: {name}"));
            }
        }
    }
    demand_none(&missing);
}

#[test]
fn what_comments_name_is_there() {
    let all = all_paths();
    let mut missing = Vec::new();
    let mut names = 0;
    for source in ["src", "tests", "benches"].into_iter().flat_map(sources) {
        let comments = source.text.lines().map(str::trim_start);
        let comments = comments.filter(|line| line.starts_with("//"));
        for comment in comments {
            let quoted = comment.split('`').skip(1).step_by(2);
            for name in quoted.filter(|name| is_file_name(name)) {
                names += 1;
                if !is_there(&all, &source.path, name) {
                    missing.push(format!("{}: {name}", source.path));
                }
            }
        }
    }
    demand_none(&missing);
    assert!(names > 100, "{names}");
}

/// Returns whether this is a path to a source file or a page, and no pattern of such.
fn is_file_name(word: &str) -> bool {
    let ends = [".rs", ".md"]
        .iter()
        .any(|e| word.len() > e.len() && word.ends_with(e));
    ends && !word.contains(['*', '{', ' ', '<'])
}

#[test]
fn a_name_that_is_not_there_is_found() {
    let all = all_paths();
    let found = named(
        "docs/x.md",
        "`a b` of `src/lib.rs` and [x](house.md): `nowhere/at_all.rs`",
    );
    assert_eq!(found, ["src/lib.rs", "nowhere/at_all.rs", "house.md"]);
    let there: Vec<bool> = found
        .iter()
        .map(|n| is_there(&all, "docs/x.md", n))
        .collect();
    assert_eq!(there, [true, false, true]);
}

#[test]
fn commands_for_one_room_name_a_room() {
    let text = fs::read_to_string(root().join("docs/CONTRIBUTING.md")).unwrap();
    let rooms: Vec<&str> = text
        .split("--lib ")
        .skip(1)
        .filter_map(|t| t.split_whitespace().next())
        .collect();
    assert!(!rooms.is_empty());
    for room in rooms {
        let path = root().join("src").join(room.replace("::", "/"));
        assert!(
            path.is_dir() || path.with_extension("rs").is_file(),
            "{room}"
        );
    }
}

#[test]
fn the_tour_has_each_room_on_its_floor() {
    let text = fs::read_to_string(root().join("docs/house.md")).unwrap();
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.split('|').map(str::trim).skip(1);
        let floor: u8 = cells.next()?.parse().ok()?;
        Some((floor, cells.next()?.to_owned()))
    });
    let rows: Vec<(u8, String)> = rows.collect();
    for (room, floor) in FLOORS {
        let named = rows
            .iter()
            .any(|(n, cell)| *n == floor && cell.contains(&format!("`{room}/`")));
        assert!(named, "docs/house.md: {room}/ is on floor {floor}");
    }
}
