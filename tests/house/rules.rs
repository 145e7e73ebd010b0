//! The rules of the house, read from the sources.
//!
//! Only `src/io/` and the shells named here touch the world; imports point to lower
//! floors; a file is one idea; every room says what it is for; the top level of the
//! repository is what was agreed. One crate has no compiler to enforce its inner
//! borders, so this test does. Each rule is a function over sources and is shown a
//! small breach it must find.

use std::process::Command;

use crate::source::{Mention, Source, code_of, lines_with_word, mentions, root, sources};

/// Floors from the ground up; `use crate::…` may only point to a lower floor.
pub(crate) const FLOORS: [(&str, u8); 18] = [
    ("base", 0),
    ("spec", 1),
    ("spool", 2),
    ("config", 2),
    ("field", 2),
    ("fleet", 2),
    ("report", 2),
    ("thing_event", 2),
    ("cloud", 2),
    ("control", 2),
    ("command", 2),
    ("import", 2),
    ("hub", 3),
    ("doctor", 3),
    ("trace", 3),
    ("io", 4),
    ("app", 5),
    ("cli", 6),
];

/// The paths that belong to the world: sockets, ttys, files, clocks, tasks,
/// environment, and the libraries that reach them.
const WORLD: [&str; 19] = [
    "tokio",
    "tokio_serial",
    "tokio_util",
    "tokio_rustls",
    "tokio_modbus",
    "rumqttc",
    "rustls",
    "rustls_native_certs",
    "sd_notify",
    "socket2",
    "ureq",
    "std::fs",
    "std::net",
    "std::env",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
];

/// The modules that may mention parts of the world, and why: a module with everything
/// inside it, its tests included; `*` is everything.
const DOORS: [(&str, &str, &str); 20] = [
    ("src/io", "*", "the only door to the world"),
    ("src/app", "*", "wiring: which task holds which end"),
    ("src/main", "*", "arguments in, exit status out"),
    (
        "src/cli",
        "std::process::ExitCode",
        "an exit status is a number until main returns it",
    ),
    (
        "src/cli",
        "std::env::args_os",
        "the words typed behind the program's name",
    ),
    (
        "src/field",
        "tokio_modbus",
        "its request, response and exception types: vocabulary, not connections",
    ),
    ("src/lab/main", "*", "shell: arguments and runtime"),
    ("src/lab/broker", "*", "shell: the platform's sockets"),
    ("src/lab/wire", "*", "shell: the bus' ttys and sockets"),
    ("src/lab/demo", "*", "shell: builds the site and watches"),
    (
        "src/lab/site",
        "*",
        "shell: the whole gateway on virtual time",
    ),
    ("src/lab/doctor", "*", "shell: tries the doctor on it"),
    ("src/lab/daemon", "*", "shell: the daemon as a process"),
    ("src/lab/commands", "*", "shell: tries commands"),
    ("src/lab/scan", "*", "shell: tries scans"),
    ("src/lab/spool", "*", "shell: tries the store of readings"),
    ("src/lab/training", "*", "shell: the parts alone"),
    ("src/lab/results", "*", "shell: pages and figures of trials"),
    ("src/lab/table", "*", "shell: the terminal"),
    (
        "src/lab/manual_pages",
        "*",
        "shell: writes what the package holds",
    ),
];

/// The modules that the lab, which plays the other side, may use: words and values, never an
/// engine it is meant to test.
const LAB_MAY_USE: [&str; 3] = ["lab", "base", "spec"];

/// The parts of the lab that may drive an engine all the same, and why.
const LAB_MEASURES: [(&str, &str, &str); 2] = [
    (
        "src/lab/converge",
        "cloud",
        "measures the engine against the model; it proves nothing about the model",
    ),
    (
        "src/lab/sweep",
        "field",
        "measures the engine against the model; it proves nothing about the model",
    ),
];

/// Lines of code in a file, before its tests. A file is as long as its idea: a long
/// file is better than a halved one. Beyond this it is two ideas.
const LONGEST: usize = 900;

/// From here on a file is named, for a look whether a second idea stands in it.
const LONG: usize = 400;

/// What may stand at the top of the repository, besides dotfiles and licences.
const TOP_LEVEL: [&str; 11] = [
    "Cargo.toml",
    "Cargo.lock",
    "CHANGELOG.md",
    "README.md",
    "benches",
    "config",
    "docs",
    "packaging",
    "src",
    "systemd",
    "tests",
];

// The rules. Each returns its breaches as sentences.

/// Says where a file breaks a rule, by which path, and in which way.
fn breach(file: &Source, mention: &Mention, how: &str) -> String {
    let (place, line, path) = (&file.path, mention.line, mention.shown());
    format!("{place}:{line}: `{path}` {how}")
}

fn world_breaches(file: &Source) -> Vec<String> {
    let mut breaches = Vec::new();
    for mention in mentions(&code_of(&file.text)) {
        let Some(what) = WORLD.iter().find(|w| mention.reaches(w)) else {
            continue;
        };
        let allowed = DOORS.iter().any(|(place, thing, _)| {
            is_in(&file.path, place) && (*thing == "*" || mention.shown().starts_with(thing))
        });
        if !allowed {
            breaches.push(breach(
                file,
                &mention,
                &format!("touches the world ({what})"),
            ));
        }
    }
    breaches
}

fn floor_breaches(file: &Source) -> Vec<String> {
    let room = room_of(&file.path);
    let mut breaches = Vec::new();
    for mention in mentions(&code_of(&file.text)) {
        let inside = match mention.path[0].as_str() {
            "crate" | "alink_gateway" => &mention.path[1..],
            // The path leaves the room by `super`.
            "super" => match mention.path.iter().position(|s| s != "super") {
                Some(n) if n > 1 && floor(&mention.path[n]).is_some() => &mention.path[n..],
                _ => continue,
            },
            _ => continue,
        };
        let Some(other) = inside.first().filter(|o| *o != room) else {
            continue;
        };
        let allowed = match (floor(room), floor(other)) {
            (Some(here), Some(there)) => there < here,
            // The tops of the house and the shells of the lab may see everything.
            _ if room == "main" || room == "lib" => true,
            _ if room == "lab" && is_shell(&file.path) => true,
            _ if room == "lab" => {
                let path = inside.join("::");
                let covers = |may: &str| path == may || path.starts_with(&format!("{may}::"));
                LAB_MAY_USE.iter().any(|may| covers(may))
                    || LAB_MEASURES
                        .iter()
                        .any(|(place, may, _)| is_in(&file.path, place) && covers(may))
            }
            _ => false,
        };
        if !allowed {
            breaches.push(breach(file, &mention, &format!("is not below `{room}`")));
        }
    }
    breaches
}

/// Checks that no room above the platforms names one of them.
fn platform_breaches(file: &Source) -> Vec<String> {
    let room = room_of(&file.path);
    if floor(room).is_none() || room == "cloud" {
        return Vec::new();
    }
    let found = mentions(&code_of(&file.text)).into_iter().filter(|m| {
        let path = m.path.iter().map(String::as_str);
        let inside: Vec<&str> = path.skip_while(|s| *s != "cloud").collect();
        inside.starts_with(&["cloud", "alink"])
    });
    found
        .map(|m| breach(file, &m, "names a platform"))
        .collect()
}

/// Returns how many lines of code a file has before its tests.
fn lines_of_code(file: &Source) -> usize {
    let stem = file.path.trim_end_matches(".rs");
    if stem.ends_with("/tests") || stem.ends_with("_tests") {
        return 0;
    }
    // Explanations may be of any length: blank lines and comments do not count.
    let code = code_of(&file.text);
    let own = code.lines().take_while(|l| *l != "#[cfg(test)]");
    own.filter(|l| !l.trim().is_empty()).count()
}

fn length_breach(file: &Source) -> Option<String> {
    let long = lines_of_code(file);
    (long > LONGEST).then(|| {
        format!(
            "{}: {long} lines of code before its tests, at most {LONGEST}: two ideas in one file",
            file.path
        )
    })
}

/// The files that may: kernel calls for which no library has a safe wrapper, reviewed
/// line by line.
const UNSAFE: [&str; 2] = ["src/io/bus/line/kernel.rs", "src/io/control/groups.rs"];

fn unsafe_breaches(file: &Source) -> Vec<String> {
    if UNSAFE.contains(&file.path.as_str()) {
        return Vec::new();
    }
    let lines = lines_with_word(&code_of(&file.text), "unsafe");
    lines
        .into_iter()
        .map(|n| format!("{}:{n}: unsafe", file.path))
        .collect()
}

/// Checks that a room's `mod.rs` names its floor and states what always holds.
fn contract_breaches(file: &Source) -> Vec<String> {
    let room = room_of(&file.path);
    let Some(number) = floor(room).filter(|_| file.path.ends_with("/mod.rs")) else {
        return Vec::new();
    };
    if file.path != format!("src/{room}/mod.rs") {
        return Vec::new();
    }
    let doc = file.text.lines().take_while(|l| l.starts_with("//!"));
    let doc = doc.collect::<Vec<_>>().join("\n");
    let mut breaches = Vec::new();
    if !doc.starts_with(&format!("//! Floor {number}")) {
        breaches.push(format!(
            "{}: does not begin `//! Floor {number}`",
            file.path
        ));
    }
    // The ground floors and the shells hold no state to keep true.
    if (2..=3).contains(&number) && !doc.to_lowercase().contains("invariants") {
        breaches.push(format!("{}: states no invariants", file.path));
    }
    breaches
}

fn top_level_breaches<'a>(tracked: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut tops: Vec<&str> = tracked.filter_map(|p| p.split('/').next()).collect();
    tops.sort_unstable();
    tops.dedup();
    tops.retain(|t| !TOP_LEVEL.contains(t) && !t.starts_with('.') && !t.starts_with("LICENSE-"));
    tops.into_iter()
        .map(|t| format!("{t}: not part of the agreed top level"))
        .collect()
}

fn room_of(path: &str) -> &str {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    let end = inside.find(['/', '.']).unwrap_or(inside.len());
    &inside[..end]
}

fn floor(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(r, _)| *r == room).map(|(_, n)| *n)
}

fn is_shell(path: &str) -> bool {
    let mut open = DOORS.iter().filter(|(_, thing, _)| *thing == "*");
    open.any(|(place, _, _)| is_in(path, place))
}

/// Returns whether the file is this module, inside it, or its tests beside it.
fn is_in(path: &str, module: &str) -> bool {
    path.strip_prefix(module)
        .is_some_and(|rest| rest.starts_with('/') || rest == ".rs" || rest == "_tests.rs")
}

pub(crate) fn demand_none(breaches: &[String]) {
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

/// Prints what is no breach but worth a look (`-- --nocapture`).
#[expect(clippy::print_stdout, reason = "a hint is printed by the test")]
fn hint(says: &str) {
    println!("hint: {says}");
}

// The house as it stands.

#[test]
fn only_the_doors_touch_the_world() {
    let breaches: Vec<_> = sources("src").iter().flat_map(world_breaches).collect();
    demand_none(&breaches);
}

#[test]
fn imports_point_to_lower_floors() {
    let breaches: Vec<_> = sources("src").iter().flat_map(floor_breaches).collect();
    demand_none(&breaches);
}

#[test]
fn rooms_above_the_cloud_name_no_platform() {
    let breaches: Vec<_> = sources("src").iter().flat_map(platform_breaches).collect();
    demand_none(&breaches);
    let breach = "use crate::cloud::alink::wire::topic::Topic;";
    assert_eq!(platform_breaches(&file("src/hub/mod.rs", breach)).len(), 1);
    assert!(platform_breaches(&file("src/cloud/mod.rs", breach)).is_empty());
}

#[test]
fn every_room_has_a_floor() {
    let mut unknown: Vec<_> = sources("src")
        .iter()
        .map(|f| room_of(&f.path).to_owned())
        .filter(|r| floor(r).is_none() && !["lib", "main", "lab"].contains(&r.as_str()))
        .collect();
    unknown.dedup();
    demand_none(&unknown);
}

#[test]
fn a_file_is_one_idea() {
    let files = sources("src");
    for (file, long) in files.iter().map(|f| (f, lines_of_code(f))) {
        if long > LONG {
            hint(&format!("{}: {long} lines of code", file.path));
        }
    }
    let breaches: Vec<_> = files.iter().filter_map(length_breach).collect();
    demand_none(&breaches);
}

#[test]
fn nothing_is_unsafe_but_what_was_reviewed() {
    let files = sources("src").into_iter().chain(sources("tests"));
    let breaches: Vec<_> = files.flat_map(|f| unsafe_breaches(&f)).collect();
    demand_none(&breaches);
}

#[test]
fn every_room_states_its_floor_and_its_invariants() {
    let breaches: Vec<_> = sources("src").iter().flat_map(contract_breaches).collect();
    demand_none(&breaches);
}

#[test]
fn the_top_level_is_what_was_agreed() {
    let git = Command::new("git")
        .args(["ls-files"])
        .current_dir(root())
        .output();
    let tracked = match git {
        Ok(out) if out.status.success() && !out.stdout.is_empty() => {
            String::from_utf8(out.stdout).unwrap()
        }
        // A tarball has no git; the files in it, without the build, count.
        _ => std::fs::read_dir(root())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "target")
            .collect::<Vec<_>>()
            .join("\n"),
    };
    demand_none(&top_level_breaches(tracked.lines()));
}

#[test]
fn every_door_is_used() {
    let files = sources("src");
    let idle: Vec<_> = DOORS
        .iter()
        .filter(|(place, _, _)| !files.iter().any(|f| is_in(&f.path, place)))
        .map(|(place, _, _)| format!("{place}: a door in the table, but no such file"))
        .collect();
    demand_none(&idle);
}

// Each rule is shown a breach it must find and correct code it must not report.

fn file(path: &str, text: &str) -> Source {
    Source {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}

#[test]
fn the_law_finds_a_breach_however_it_is_written() {
    for breach in [
        "use tokio::sync::mpsc;",
        "use std::{fmt, fs};",
        "use std::{fmt, time::{Duration, Instant}};",
        "use std::time::*;",
        "use std::fs::{self as files};",
        "fn f() { std::thread::sleep(d); }",
        "#[tokio::test] async fn f() {}",
        "let c = 'x'; let q = '\\''; use rumqttc::Packet;",
        "pub(crate) use ::socket2::Socket;",
    ] {
        let found = world_breaches(&file("src/hub/mod.rs", breach));
        assert_eq!(found.len(), 1, "{breach}: {found:?}");
    }
}

#[test]
fn the_law_leaves_words_and_doors_alone() {
    for innocent in [
        "// tokio::spawn\n/* std::fs /* nested */ tokio::x */",
        "//! uses `std::fs`\nfn f() {}",
        r##"const S: &str = "use tokio::x"; const R: &str = r#"std::fs::read"#;"##,
        "use std::time::Duration; use std::fmt::{self, Display};",
        "fn f<'a>(x: &'a str) -> &'a str { x } // 'tokio::x",
        "let tokio = 1; let q = '\"'; let s = \"tokio::x\";",
    ] {
        let found = world_breaches(&file("src/hub/mod.rs", innocent));
        assert_eq!(found, [""; 0], "{innocent}");
    }
    let doing = "use tokio::net::TcpStream; use std::fs;";
    assert!(world_breaches(&file("src/io/bus/line.rs", doing)).is_empty());
    assert_eq!(world_breaches(&file("src/lab/model.rs", doing)).len(), 2);
    let vocabulary = "use tokio_modbus::Request;";
    assert!(world_breaches(&file("src/field/modbus.rs", vocabulary)).is_empty());
    assert_eq!(
        world_breaches(&file("src/fleet/mod.rs", vocabulary)).len(),
        1
    );
}

#[test]
fn the_floors_rule_finds_imports_that_point_up_or_across() {
    for (path, breach) in [
        ("src/base/id.rs", "use crate::spec::Spec;"),
        ("src/field/plan.rs", "use crate::cloud::Topic;"),
        ("src/field/plan.rs", "use crate::{base::Mono, hub::Hub};"),
        ("src/field/plan.rs", "use super::super::cloud::Topic;"),
        ("src/hub/mod.rs", "fn f() { crate::io::clock::now(); }"),
        ("src/lab/platform.rs", "use crate::cloud::session::Session;"),
        (
            "src/lab/platform.rs",
            "use crate::cloud::alink::wire::sign::sign;",
        ),
        ("src/lab/bus.rs", "use crate::hub::Hub;"),
    ] {
        let found = floor_breaches(&file(path, breach));
        assert_eq!(found.len(), 1, "{path}: {breach}: {found:?}");
    }
    for (path, innocent) in [
        (
            "src/hub/mod.rs",
            "use crate::{base::Mono, cloud::Cloud, fleet};",
        ),
        (
            "src/field/plan.rs",
            "use crate::field::point::P; use super::evidence;",
        ),
        ("src/lab/platform.rs", "use crate::spec::Spec;"),
        ("src/main.rs", "use alink_gateway::cli;"),
        ("src/base/id.rs", "// see crate::hub::Hub"),
    ] {
        let found = floor_breaches(&file(path, innocent));
        assert_eq!(found, [""; 0], "{path}: {innocent}");
    }
}

#[test]
fn the_small_rules_find_their_breaches() {
    let lines = |n: usize| "x\n".repeat(n) + "#[cfg(test)]\n" + &"x\n".repeat(900);
    assert!(length_breach(&file("src/a.rs", &lines(LONGEST))).is_none());
    assert!(length_breach(&file("src/a.rs", &lines(LONGEST + 1))).is_some());
    let explained = "// why\n\n".repeat(LONGEST) + &lines(LONGEST);
    assert!(length_breach(&file("src/a.rs", &explained)).is_none());
    assert!(length_breach(&file("src/a/tests.rs", &lines(LONGEST + 1))).is_none());

    assert_eq!(
        unsafe_breaches(&file("a.rs", "fn f() {\n unsafe { g() }\n}")).len(),
        1
    );
    assert!(unsafe_breaches(&file("a.rs", "// unsafe\n#![deny(unsafe_code)]")).is_empty());

    let good = "//! Floor 3: x.\n//! # Invariants\n";
    assert!(contract_breaches(&file("src/hub/mod.rs", good)).is_empty());
    assert_eq!(
        contract_breaches(&file("src/hub/mod.rs", "//! Hub.\n")).len(),
        2
    );
    assert_eq!(contract_breaches(&file("src/io/mod.rs", good)).len(), 1);

    let tops = ["src/lib.rs", "notes/x.md", ".ci/run", "LICENSE-MIT"];
    assert_eq!(top_level_breaches(tops.into_iter()).len(), 1);
}
