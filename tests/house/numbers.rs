//! Numbers agree with the words after them, in whatever the program says.
//!
//! `base::text::counted` and its neighbours write them. One test reads what is said, another the
//! sources: a sentence that no test brings about is found as well.

use std::fs;

use crate::agreement::disagreements;
use crate::journal::samples;
use crate::source::{PAGES, root, sources};

#[test]
fn every_entry_of_the_journal_agrees_with_its_numbers() {
    let few = [0, 1, 2].into_iter().flat_map(samples::counting);
    let all = samples::samples().into_iter().chain(samples::grouped());
    for notice in all.chain(few) {
        let sentence = notice.sentence();
        assert_eq!(disagreements(&sentence), [""; 0], "{sentence}");
    }
}

#[test]
fn every_text_that_is_written_down_agrees_with_its_numbers() {
    let cases = fs::read_dir(root().join("tests/config_cases")).unwrap();
    let mut texts: Vec<_> = cases
        .map(|case| case.unwrap().path().join("expect.txt"))
        .collect();
    assert!(texts.len() > 200);
    texts.push(root().join("packaging/journal.md"));
    texts.extend(PAGES.map(|page| root().join(page)));
    for file in texts {
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(disagreements(&text), [""; 0], "{}", file.display());
    }
}

/// What is counted in sentences, as a plural.
const COUNTED: [&str; 38] = [
    "attempts",
    "bytes",
    "cells",
    "characters",
    "commands",
    "connections",
    "devices",
    "digits",
    "entries",
    "errors",
    "events",
    "failures",
    "files",
    "frames",
    "holes",
    "items",
    "log-outs",
    "messages",
    "others",
    "packets",
    "points",
    "polls",
    "ports",
    "problems",
    "profiles",
    "readings",
    "registers",
    "replies",
    "requests",
    "rows",
    "services",
    "sub-devices",
    "tasks",
    "threads",
    "times",
    "units",
    "values",
    "warnings",
];

/// Where a placeholder and a plural are right, and why.
const EXCEPTIONS: [(&str, &str, &str); 15] = [
    ("encode/datum.rs", "{} digits", "two for each byte"),
    (
        "io/files/footprint.rs",
        "{} files",
        "for programmers: a Debug text",
    ),
    (
        "base/text.rs",
        "{} bytes",
        "an excerpt is cut after more than one byte",
    ),
    ("base/text.rs", "{} times", "writes the number itself"),
    (
        "alink/remote_config/task.rs",
        "{} bytes",
        "for programmers: a Debug text",
    ),
    (
        "alink/upstream/mod.rs",
        "{} values",
        "a rate, with decimals",
    ),
    (
        "alink/upstream/mod.rs",
        "{} messages",
        "a rate, with decimals",
    ),
    (
        "protocols/placeholders.rs",
        "{n} digits",
        "the arm for one digit is above",
    ),
    ("protocols/reply_bounds.rs", "{most} bytes", "253 or 256"),
    ("reader/word_parsers.rs", "{} digits", "a constant"),
    ("sections/port_for_profile.rs", "{} bytes", "a constant"),
    (
        "diagnostics/events.rs",
        "{} times",
        "a factor, with a decimal",
    ),
    (
        "plan/logout_forecast.rs",
        "{} requests",
        "more than one, or it is not said",
    ),
    (
        "coordinator/snapshot.rs",
        "{} times",
        "`1 of 3 times`: returns is more than one",
    ),
    ("io/link/events.rs", "{} bytes", "a constant"),
];

/// Returns each place at which a literal writes a number before a plural: `{n} devices`.
fn plurals(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        let code = line.trim_start();
        if code.starts_with("//") {
            continue;
        }
        if line.contains("{what}s") {
            found.push("{what}s".to_owned());
        }
        for (at, _) in line.match_indices("} ") {
            let rest = &line[at + 2..];
            let word: String = rest
                .chars()
                .take_while(|c| c.is_ascii_lowercase() || *c == '-')
                .collect();
            let holder = &line[line[..at].rfind('{').unwrap_or(at)..];
            // A number with decimals takes the plural, whatever it is.
            let is_decimal = holder.split('}').next().is_some_and(|h| h.contains(":."));
            // A constant is more than one.
            let name = holder.trim_start_matches('{').split('}').next();
            let is_constant = name.is_some_and(|n| !n.is_empty() && n.to_uppercase() == n);
            if COUNTED.contains(&word.as_str()) && !is_decimal && !is_constant {
                let end = holder.find("} ").map_or(0, |end| end + 2) + word.len();
                found.push(holder[..end].to_owned());
            }
        }
    }
    found
}

#[test]
fn sentences_leave_numbers_and_their_nouns_to_one_function() {
    let mut wrong = Vec::new();
    let mut used = [false; EXCEPTIONS.len()];
    for source in sources("src") {
        // The lab's reports of trials count thousands; tests say what they like.
        let reports = ["commands", "converge", "platform", "spool", "bus"];
        let is_report = reports
            .iter()
            .any(|room| source.path.starts_with(&format!("src/lab/{room}")));
        let is_test = source.path.contains("/tests");
        if is_report || is_test {
            continue;
        }
        let program = source.text.split("#[cfg(test)]\nmod tests {").next();
        for plural in plurals(program.unwrap_or_default()) {
            let known = EXCEPTIONS
                .iter()
                .position(|(path, what, _)| source.path.ends_with(path) && plural == *what);
            match known {
                Some(n) => used[n] = true,
                None => wrong.push(format!("{}: {plural}", source.path)),
            }
        }
    }
    assert_eq!(
        wrong, [""; 0],
        "use base::text::counted, or say above why not"
    );
    for ((path, what, _), used) in EXCEPTIONS.iter().zip(used) {
        assert!(used, "no longer there: {path}: {what}");
    }
}

#[test]
fn the_rule_finds_what_it_is_for() {
    assert_eq!(plurals("format!(\"gone: {n} devices\")"), ["{n} devices"]);
    assert_eq!(plurals("\"{} log-outs not confirmed\""), ["{} log-outs"]);
    assert!(plurals("\"{:.1} requests a second\"").is_empty());
    assert!(plurals("/// `{n} devices`").is_empty());
    assert!(plurals("\"{counted} are\"").is_empty());
}
