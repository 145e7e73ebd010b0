//! Nothing that the tool says is missing from its Chinese catalogue, and nothing there is left
//! over.
//!
//! The scan reads the literals of the sources whose texts people see through the tool. A literal
//! is a text if words stand beside each other in it, or a word beside a value. Single words are
//! not found this way: those of tables are checked by what the captures show.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use alink_gateway::cli::language::{Language, po};
use alink_gateway::cli::{ENVIRONMENT_VARIABLES, command, command_in};

use crate::source::{code_of, root, sources};

/// The sources whose texts the tool shows: files, and folders with all that is in them.
const SHOWN: [&str; 80] = [
    "src/app/reload.rs",
    "src/base/command.rs",
    "src/base/event.rs",
    "src/base/logout_reason.rs",
    "src/base/text.rs",
    "src/base/thing_event.rs",
    "src/cli/",
    "src/cloud/alink/session/device.rs",
    "src/cloud/alink/session/mod.rs",
    "src/cloud/alink/session/retry_block.rs",
    "src/cloud/alink/session/scheduler.rs",
    "src/cloud/alink/thing_model/comparison.rs",
    "src/cloud/alink/thing_model/mod.rs",
    "src/cloud/alink/upstream/mod.rs",
    "src/cloud/alink/wire/code.rs",
    "src/command/check.rs",
    "src/config/",
    "src/control/command.rs",
    "src/control/picture.rs",
    "src/control/request.rs",
    "src/doctor/cause.rs",
    "src/doctor/facts.rs",
    "src/doctor/rules/",
    "src/control/survey.rs",
    "src/field/command/run.rs",
    "src/field/decode/refusal.rs",
    "src/field/diagnostics/trouble.rs",
    "src/field/dlt645/ask.rs",
    "src/field/encode/",
    "src/field/modbus/in_flight.rs",
    "src/field/plan/",
    "src/field/survey/identify.rs",
    "src/fleet/events.rs",
    "src/fleet/liveness.rs",
    "src/fleet/registry.rs",
    "src/hub/cache.rs",
    "src/hub/coordinator/snapshot.rs",
    "src/hub/coordinator/snapshot/commands.rs",
    "src/hub/upstream.rs",
    "src/import/comment.rs",
    "src/import/kind.rs",
    "src/import/mod.rs",
    "src/import/register_list.rs",
    "src/import/remark.rs",
    "src/import/text.rs",
    "src/io/bus/bus_monitor.rs",
    "src/io/bus/exchange.rs",
    "src/io/bus/exchange/",
    "src/io/bus/line.rs",
    "src/io/bus/line/",
    "src/io/bus/port.rs",
    "src/io/control/ask.rs",
    "src/io/control/client.rs",
    "src/io/control/listen.rs",
    "src/io/control/mod.rs",
    "src/io/control/peer.rs",
    "src/io/control/serve.rs",
    "src/io/control/serve/survey.rs",
    "src/io/files/",
    "src/io/link/dial.rs",
    "src/io/link/mqtt_session.rs",
    "src/io/link/packet.rs",
    "src/io/link/session.rs",
    "src/io/link/tls.rs",
    "src/io/log/log_level.rs",
    "src/io/survey_line.rs",
    "src/io/terminal/",
    "src/lab/manual_pages.rs",
    "src/spec/dlt645/address.rs",
    "src/spec/field.rs",
    "src/spec/raw/template.rs",
    "src/spec/remote.rs",
    "src/spec/report.rs",
    "src/spec/thing_event.rs",
    "src/spec/value/",
    "src/spec/write.rs",
    "src/trace/decode.rs",
    "src/trace/event.rs",
    "src/trace/scope/mod.rs",
    "src/trace/text.rs",
];

/// Sources of which the tool shows a part: from these words to those.
const SHOWN_PARTS: [(&str, &str, &str); 9] = [
    (
        "src/app/events.rs",
        "the configuration was not read within",
        "#[cfg(test)]",
    ),
    (
        "src/cloud/alink/clock/events.rs",
        "ClockNews::Unknown => {",
        "ClockNews::Known {",
    ),
    (
        "src/cloud/alink/events/messages.rs",
        "CloudLogEvent::SubscribeRefused { filters, fatal }",
        "CloudLogEvent::DesiredFailed {",
    ),
    (
        "src/cloud/alink/events/messages.rs",
        "CloudLogEvent::Throttled { what: \"post\"",
        "CloudLogEvent::Trouble {",
    ),
    (
        "src/cloud/alink/events/messages.rs",
        "CloudLogEvent::Unanswered { what, times: n }",
        "CloudLogEvent::Malformed {",
    ),
    (
        "src/cloud/alink/events/messages.rs",
        "CloudLogEvent::QueueFull { dropped }",
        "CloudLogEvent::ThingEventRefused {",
    ),
    (
        "src/cloud/alink/events/messages.rs",
        "fn link_words(",
        "#[cfg(test)]",
    ),
    (
        "src/field/diagnostics/events.rs",
        "fn stretched(",
        "impl LogEvent for FieldLogEvent",
    ),
    (
        "src/field/diagnostics/events.rs",
        "FieldLogEvent::SettingsDiffer { what, .. } => {",
        "} => points_fail(",
    ),
];

/// Texts in these sources that no person reads through the tool in Chinese: the source, how the
/// text begins, and why.
const NOT_SHOWN: [(&str, &str, &str); 15] = [
    (
        "src/lab/manual_pages.rs",
        "configuration of",
        "the Chinese words stand beside it",
    ),
    (
        "src/lab/manual_pages.rs",
        "A YAML file.",
        "the Chinese words stand beside it",
    ),
    (
        "src/lab/manual_pages.rs",
        "Each key is explained,",
        "the Chinese words stand beside it",
    ),
    (
        "src/lab/manual_pages.rs",
        "a start and a reload",
        "the Chinese words stand beside it",
    ),
    (
        "src/lab/manual_pages.rs",
        "alink-gateway ",
        "what is to be typed",
    ),
    (
        "src/base/logout_reason.rs",
        "in a row",
        "a part of a whole that is in the catalogue",
    ),
    (
        "src/base/text.rs",
        "{} no",
        "no noun, but the number itself",
    ),
    ("src/cli/language/po.rs", "line {}", "for translators"),
    ("src/cli/mod.rs", "for TIME", "the form of an argument"),
    ("src/cli/scan/items.rs", "", "lines of a configuration"),
    (
        "src/cli/read/typed_points.rs",
        "{\"gateway",
        "a configuration that the tool makes for itself",
    ),
    (
        "src/config/reader/yaml.rs",
        "cannot start any token",
        "compared with the reader's words",
    ),
    (
        "src/config/reader/yaml.rs",
        "mapping values",
        "compared with the reader's words",
    ),
    (
        "src/config/reader/yaml.rs",
        "quoted scalar",
        "compared with the reader's words",
    ),
    (
        "src/config/reader/yaml.rs",
        "quoted string",
        "compared with the reader's words",
    ),
];

/// Texts that code puts together of parts which are no texts by themselves, and texts of others:
/// the headings in the catalogue under which they stand.
const WITHOUT_SOURCE: [&str; 6] = [
    "spans of time",
    "sentences that code puts together of parts",
    "lines of a trace",
    "rules and conditions",
    "the system's reasons",
    "clap's own words",
];

/// A text of the catalogue, with the heading under which it stands.
struct Text {
    heading: String,
    entry: po::Entry,
}

fn catalogue() -> Vec<Text> {
    let file = fs::read_to_string(root().join("src/cli/language/zh_CN.po")).unwrap();
    let mut heading = String::new();
    let mut part = String::new();
    let mut all = Vec::new();
    let mut take = |heading: &str, part: &mut String| {
        let (entries, faults) = po::read(part);
        assert_eq!(faults, [""; 0], "{heading}");
        all.extend(entries.into_iter().map(|entry| Text {
            heading: heading.to_owned(),
            entry,
        }));
        part.clear();
    };
    for line in file.lines() {
        if let Some(next) = line.strip_prefix("# --- ") {
            take(&heading, &mut part);
            heading = next.trim_end_matches(['-', ' ']).to_owned();
        }
        part.push_str(line);
        part.push('\n');
    }
    take(&heading, &mut part);
    all
}

/// Returns the text with each placeholder as `{}`, two beside each other as one.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, after) = rest.split_at(at);
        out.push_str(before);
        let doubled = after.starts_with("{{") || after.starts_with("}}");
        let end = after.find('}').filter(|_| after.starts_with('{'));
        rest = match end {
            _ if doubled => {
                out.push_str(&after[..1]);
                &after[2..]
            }
            Some(end) => {
                if !out.ends_with("{}") {
                    out.push_str("{}");
                }
                &after[end + 1..]
            }
            None => {
                out.push_str(&after[..1]);
                &after[1..]
            }
        };
    }
    out + rest
}

/// Returns the literals of a source, with their lines; without comments and attributes.
fn literals(text: &str) -> Vec<(usize, String)> {
    let code = code_of(text);
    let (code, text): (Vec<char>, Vec<char>) = (code.chars().collect(), text.chars().collect());
    let mut found = Vec::new();
    let mut i = 0;
    let mut line = 1;
    while i < text.len() {
        if text[i] == '\n' {
            line += 1;
        }
        // Comments and literals are blank in the code; a comment begins with a slash.
        let is_blanked = code[i] != text[i];
        if !is_blanked || text[i] == '/' {
            let is_comment = is_blanked && text[i] == '/';
            i += 1;
            if is_comment {
                let block = text[i] == '*';
                while i < text.len() && (code[i] != text[i] || text[i] == ' ' || block) {
                    if text[i] == '\n' {
                        line += 1;
                        if !block {
                            break;
                        }
                    }
                    if block && text[i - 1] == '*' && text[i] == '/' {
                        break;
                    }
                    i += 1;
                }
            }
            continue;
        }
        let begin = line;
        let raw = text[i] == 'r';
        let hashes = text[i..].iter().skip(1).take_while(|c| **c == '#').count();
        i += if raw { hashes + 1 } else { 0 };
        if text[i] != '"' {
            // A character.
            i += 1;
            while text[i] != '\'' || text[i - 1] == '\\' && text[i - 2] != '\\' {
                i += 1;
            }
            i += 1;
            continue;
        }
        i += 1;
        let mut out = String::new();
        while text[i] != '"' || raw && !text[i + 1..].iter().take(hashes).all(|c| *c == '#') {
            if text[i] == '\n' {
                line += 1;
            }
            if text[i] != '\\' || raw {
                out.push(text[i]);
                i += 1;
                continue;
            }
            match text[i + 1] {
                'n' => out.push('\n'),
                't' => out.push('\t'),
                'u' => {
                    let end = i + text[i..].iter().position(|c| *c == '}').unwrap();
                    let hex: String = text[i + 3..end].iter().collect();
                    out.extend(char::from_u32(u32::from_str_radix(&hex, 16).unwrap()));
                    i = end - 1;
                }
                '\n' => {
                    line += 1;
                    while text[i + 2].is_whitespace() {
                        i += 1;
                    }
                }
                'x' => i += 2,
                other => out.push(other),
            }
            i += 2;
        }
        i += 1 + if raw { hashes } else { 0 };
        found.push((begin, out));
    }
    found
}

/// Takes a literal apart into the texts that are looked up: lines, without what joins them to
/// others.
fn texts(literal: &str) -> Vec<String> {
    let lines = plain(literal);
    let lines = lines.split('\n').map(|line| {
        let line = line.trim_start();
        let end = line.trim_end();
        let line = match line.len() > end.len() {
            true => end.trim_end_matches([';', ':', ',']),
            false => end,
        };
        let start = line.trim_start_matches([';', ':', ',', '.']);
        let line = match start.starts_with(' ') {
            true => start.trim(),
            false => line,
        };
        let inside = line
            .strip_prefix('(')
            .map(|l| l.strip_suffix(')').unwrap_or(l));
        let inside = inside.filter(|l| !l.contains(['(', ')']));
        inside.unwrap_or(line).to_owned()
    });
    lines.collect()
}

/// Returns whether words stand beside each other in it, or a word beside a value.
fn is_prose(text: &str) -> bool {
    #[derive(PartialEq)]
    enum Kind {
        Small,
        Word,
        Value,
        Other,
    }
    let text = text.replace("{}", "\u{1}");
    let kinds = text.split_whitespace().map(|token| {
        let token = token.trim_matches(['\'', '"', ',', ';', ':', '.', '(', ')', '?']);
        let is_word = (token.len() > 1 || token == "a")
            && token.starts_with(|c: char| c.is_ascii_alphabetic())
            && token
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_'".contains(c));
        let is_small = is_word && token.starts_with(|c: char| c.is_ascii_lowercase());
        match token {
            "\u{1}" => Kind::Value,
            _ if is_small => Kind::Small,
            _ if is_word => Kind::Word,
            _ => Kind::Other,
        }
    });
    let kinds: Vec<Kind> = kinds.collect();
    kinds.windows(2).any(|pair| {
        let [a, b] = pair else { return false };
        (*a == Kind::Small && *b != Kind::Other) || (*b == Kind::Small && *a != Kind::Other)
    })
}

/// Returns every text of the shown sources for which `is_wanted` holds, with where it stands.
fn shown_texts(is_wanted: fn(&str) -> bool) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for source in sources("src") {
        let parts = SHOWN_PARTS.iter().filter(|(path, ..)| source.path == *path);
        let parts: Vec<_> = parts.collect();
        let is_shown = !parts.is_empty()
            || SHOWN.iter().any(|shown| match shown.ends_with('/') {
                true => source.path.starts_with(shown),
                false => source.path == *shown,
            });
        let is_test = ["/tests", "captures.rs", "/samples.rs"]
            .iter()
            .any(|part| source.path.contains(part));
        if !is_shown || is_test || source.path == "src/cli/run.rs" {
            continue;
        }
        let whole = program(&source.text);
        let cut = |(_, from, to): &(&str, &str, &str)| {
            let at = whole.find(from).expect("the part is there");
            let (before, part) = whole.split_at(whole[..at].rfind('\n').map_or(0, |n| n + 1));
            (before, &part[..part.find(to).unwrap_or(part.len())])
        };
        let pieces: Vec<(&str, &str)> = match parts.is_empty() {
            true => vec![("", whole)],
            false => parts.into_iter().map(cut).collect(),
        };
        for (before, program) in pieces {
            let before = before.lines().count();
            for (line, literal) in literals(program) {
                let at = program.lines().nth(line - 1).unwrap_or_default();
                let is_reason = at.trim_start().starts_with("reason = ") || at.contains("[expect(");
                if is_reason {
                    continue;
                }
                for text in texts(&literal) {
                    if is_wanted(&text) {
                        let place = format!("{}:{}", source.path, before + line);
                        found.entry(text).or_insert(place);
                    }
                }
            }
            for (_, noun) in program.match_indices("counted(").filter_map(|(at, _)| {
                let call = &program[at..];
                let call = &call[..call.find(';').unwrap_or(call.len())];
                let noun = call.split('"').nth(1)?;
                let is_noun = noun.chars().all(|c| c.is_ascii_lowercase() || c == ' ');
                is_noun.then_some((at, noun))
            }) {
                let place = format!("{}: counted", source.path);
                found.entry(format!("{{}} {noun}")).or_insert(place);
            }
        }
    }
    found
}

/// Returns the program of a source: what is before its tests.
fn program(text: &str) -> &str {
    let tests = text.match_indices("#[cfg(test)]\n").find(|(at, mark)| {
        let next = text[at + mark.len()..].lines().next().unwrap_or_default();
        next.contains("mod ") && next.ends_with('{')
    });
    &text[..tests.map_or(text.len(), |(at, _)| at)]
}

/// Returns a text of the catalogue with each place as `{}`.
fn placeless(id: &str) -> String {
    ["{n}", "{w}", "{?}"]
        .iter()
        .fold(id.to_owned(), |id, place| id.replace(place, "{}"))
        .replace("{}{}", "{}")
}

fn msgids(all: &[Text]) -> BTreeSet<String> {
    let ids = all
        .iter()
        .flat_map(|text| [Some(&text.entry.id), text.entry.plural.as_ref()]);
    ids.flatten().map(|id| placeless(id)).collect()
}

#[test]
fn every_text_that_the_tool_shows_is_in_the_catalogue() {
    let all = catalogue();
    let known = msgids(&all);
    let mut used = [false; NOT_SHOWN.len()];
    let mut missing = Vec::new();
    for (text, place) in shown_texts(is_prose) {
        let except = NOT_SHOWN
            .iter()
            .position(|(path, begin, _)| place.starts_with(path) && text.starts_with(begin));
        match except {
            Some(n) => used[n] = true,
            None if known.contains(&text) => {}
            // A part of a sentence that code puts together.
            None if known.contains(&format!("{text} {{}}")) => {}
            None if known.contains(&format!("{{}} {text}")) => {}
            None => missing.push(format!("{place}\t{text}")),
        }
    }
    assert!(
        missing.is_empty(),
        "{} texts have no translation in src/cli/language/zh_CN.po:\n{}",
        missing.len(),
        missing.join("\n")
    );
    for ((path, begin, _), used) in NOT_SHOWN.iter().zip(used) {
        assert!(used, "no longer there: {path}: {begin}");
    }
}

#[test]
fn every_text_of_the_catalogue_is_still_said_and_has_a_translation_with_its_values() {
    let mut said: BTreeSet<String> = shown_texts(|_| true).into_keys().collect();
    said.extend(help_texts());
    let mut words = BTreeSet::new();
    for source in sources("src") {
        words.extend(
            literals(&source.text)
                .into_iter()
                .map(|(_, literal)| literal),
        );
    }
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for text in catalogue() {
        let entry = &text.entry;
        let is_word = entry.context.is_some();
        let is_of_others = WITHOUT_SOURCE.contains(&text.heading.as_str());
        let is_said = match is_word {
            true => is_of_others || words.contains(&entry.id),
            false => is_of_others || said.contains(&placeless(&entry.id)),
        };
        if !is_said {
            wrong.push(format!("is said no more: {}", entry.id));
        }
        if entry.text.is_empty() {
            wrong.push(format!("has no translation: {}", entry.id));
        }
        if !seen.insert((entry.context.clone(), entry.id.clone())) {
            wrong.push(format!("is there twice: {}", entry.id));
        }
        let values = |text: &str| text.matches("{}").count() + text.matches("{n}").count();
        let words = entry.id.matches("{w}").count() + entry.id.matches("{?}").count();
        let named = (1..10).filter(|n| {
            let n = n.to_string();
            entry.text.contains(&format!("{{{n}}}")) || entry.text.contains(&format!("{{{n}:"))
        });
        let translated = entry.text.matches("{}").count() + named.count();
        let expected = values(&entry.id);
        if translated < expected || translated > expected + words {
            wrong.push(format!("has other values: {} / {}", entry.id, entry.text));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns the texts of the help of every verb.
fn help_texts() -> Vec<String> {
    fn of(command: &clap::Command, found: &mut Vec<String>) {
        let about = [command.get_about(), command.get_long_about()];
        found.extend(about.into_iter().flatten().map(ToString::to_string));
        for arg in command.get_arguments() {
            let help = [arg.get_help(), arg.get_long_help()];
            found.extend(help.into_iter().flatten().map(ToString::to_string));
        }
        for verb in command.get_subcommands() {
            of(verb, found);
        }
    }
    let mut found = Vec::new();
    of(&command(), &mut found);
    found.extend(ENVIRONMENT_VARIABLES.map(|(_, what)| what.to_owned()));
    let lines = found.iter().flat_map(|text| text.split('\n'));
    lines
        .map(str::to_owned)
        .filter(|line| !line.is_empty())
        .collect()
}

#[test]
fn every_text_of_the_help_is_translated() {
    let known = msgids(&catalogue());
    let missing: BTreeSet<String> = help_texts()
        .into_iter()
        .filter(|text| !known.contains(text))
        .collect();
    assert!(
        missing.is_empty(),
        "no translation:\n{}",
        missing.into_iter().collect::<Vec<_>>().join("\n")
    );
    let mut command = command_in(Language::Chinese);
    command.build();
    for verb in command.get_subcommands() {
        let about = verb
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default();
        let is_help = verb.get_name() == "help";
        assert!(is_help || !about.is_ascii(), "{}: {about}", verb.get_name());
    }
}

/// Words of English sentences that are neither keys nor values of a configuration.
const ENGLISH: [&str; 44] = [
    "a", "an", "and", "another", "are", "as", "at", "be", "been", "but", "by", "can", "cannot",
    "each", "every", "for", "from", "has", "have", "if", "in", "is", "it", "its", "may", "more",
    "not", "of", "on", "once", "or", "other", "than", "that", "the", "their", "they", "this", "to",
    "was", "were", "which", "with", "you",
];

/// Returns English that was left in a Chinese text: lower-case words beside each other, one of
/// which belongs to sentences.
fn english_in(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        // What is quoted is as it was written, or a command to type.
        let mut outside = String::new();
        for (n, part) in line.split(['`', '"']).enumerate() {
            outside.push_str(if n % 2 == 0 { part } else { "“”" });
        }
        let outside = outside.replace(
            [',', ';', ':', '.', '?', '（', '）', '，', '；', '：'],
            " | ",
        );
        let is_word = |token: &&str| {
            let letters = token
                .chars()
                .all(|c| c.is_ascii_lowercase() || "-'".contains(c));
            letters && token.starts_with(|c: char| c.is_ascii_lowercase())
        };
        let tokens: Vec<&str> = outside.split_whitespace().collect();
        for run in tokens.split(|token| !is_word(token)) {
            if run.len() > 1 && run.iter().any(|word| ENGLISH.contains(word)) {
                found.push(run.join(" "));
            }
        }
    }
    found
}

#[test]
fn what_check_says_of_each_configuration_is_chinese() {
    let cases = fs::read_dir(root().join("tests/config_cases")).unwrap();
    let mut left: BTreeMap<String, String> = BTreeMap::new();
    let mut read = 0;
    for case in cases {
        let file = case.unwrap().path().join("expect.txt");
        let text = fs::read_to_string(&file).unwrap();
        read += 1;
        for line in text.lines() {
            let said = Language::Chinese.say(line);
            // What was written is as it was written.
            let is_said = line.trim_start().starts_with("said ");
            let is_left = !is_said && !english_in(&said).is_empty();
            if is_left && !line.starts_with("status ") {
                left.insert(line.to_owned(), said);
            }
        }
    }
    assert!(read > 200);
    let left: Vec<String> = left.iter().map(|(a, b)| format!("{a}\n  → {b}")).collect();
    assert!(
        left.is_empty(),
        "{} lines:\n{}",
        left.len(),
        left.join("\n")
    );
}

#[test]
fn the_captures_in_chinese_have_no_english_left() {
    let folder = root().join("tests/captures");
    let mut left = Vec::new();
    let mut read = 0;
    for file in fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("zh-") {
            read += 1;
            let text = fs::read_to_string(&path).unwrap();
            left.extend(
                english_in(&text)
                    .into_iter()
                    .map(|e| format!("{name}: {e}")),
            );
        }
    }
    assert!(read >= 16, "{read} captures");
    assert_eq!(left, [""; 0]);
}

#[test]
fn the_scan_finds_what_it_is_for() {
    let source = "// \"a comment with words\"\nlet a = 'x'; f(\"two {n} words\\nsecond line, \", r#\"raw \"text\" here\"#);";
    let found = literals(source);
    assert_eq!(
        found,
        [
            (2, "two {n} words\nsecond line, ".to_owned()),
            (2, "raw \"text\" here".to_owned())
        ]
    );
    assert_eq!(texts(&found[0].1), ["two {} words", "second line"]);
    assert_eq!(texts("; and {a}{b} more"), ["and {} more"]);
    assert_eq!(texts("send: {{unit}} {x:?}"), ["send: {unit} {}"]);
    assert!(is_prose("not read yet") && is_prose("last {} ago") && is_prose("{} devices"));
    assert!(!is_prose("{} / {}") && !is_prose("alink-gateway") && !is_prose("a_key: 5"));
    assert_eq!(
        english_in("端口 it has gone：见 `the log` 7 of 9"),
        ["it has gone"]
    );
}
