use super::*;

/// Names as a service would have them.
fn named(what: NameKind, typed: &TypedSoFar) -> Vec<Candidate> {
    let word = format!("{what:?}-{}", typed.places.join("-")).to_lowercase();
    vec![Candidate::new(word, "")]
}

fn words(line: &str) -> Vec<String> {
    let typed: Vec<String> = split(line).into_iter().skip(1).collect();
    let offer = offer(crate::cli::command(), &typed, named);
    let mut words: Vec<String> = offer.words.into_iter().map(|c| c.word).collect();
    if offer.files {
        words.push(FILES.into());
    }
    words
}

#[test]
fn a_line_is_split_as_a_shell_does() {
    for (line, split_words) in [
        ("", vec![""]),
        ("a", vec!["a"]),
        ("a ", vec!["a", ""]),
        ("a  b", vec!["a", "b"]),
        ("a 'b c' d", vec!["a", "b c", "d"]),
        ("a \"b 'c\" d\\ e", vec!["a", "b 'c", "d e"]),
        ("a 'b c", vec!["a", "b c"]),
        ("a '\\' b\\", vec!["a", "\\", "b"]),
    ] {
        assert_eq!(split(line), split_words, "{line:?}");
    }
}

#[test]
fn verbs_options_and_values_come_from_the_definition_of_the_command_line() {
    for (line, wanted) in [
        ("alink-gateway che", vec!["check"]),
        ("alink-gateway complet", vec![]),
        ("alink-gateway status --w", vec!["--watch"]),
        (
            "alink-gateway status -w -",
            vec!["--instance", "--socket", "--json", "--help"],
        ),
        ("alink-gateway status --socket /x --i", vec![]),
        ("alink-gateway status --socket=/x --i", vec![]),
        ("alink-gateway status --socket ", vec![FILES]),
        ("alink-gateway status --socket=", vec![FILES]),
        ("alink-gateway check ", vec![FILES]),
        ("alink-gateway check --config ", vec![FILES]),
        (
            "alink-gateway log-level tokio_",
            vec!["tokio_modbus", "tokio_serial"],
        ),
        ("alink-gateway log-level all d", vec!["debug", "default"]),
        (
            "alink-gateway log-level all debug ",
            vec!["during-all-debug"],
        ),
        (
            "alink-gateway log-level all debug for ",
            vec!["--instance", "--socket", "--help"],
        ),
        ("alink-gateway help log", vec!["log-level"]),
        (
            "alink-gateway reload ",
            vec!["--force", "--instance", "--socket", "--help"],
        ),
        (
            "alink-gateway diag -",
            vec!["--config", "--output", "--instance", "--socket", "--help"],
        ),
        ("alink-gateway diag -o", vec!["-o"]),
        ("alink-gateway diag -o ", vec![FILES]),
        ("alink-gateway nonsense ", vec!["--help", "--version"]),
        ("alink-gateway reload -- ", vec![]),
    ] {
        let found = words(line);
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        let sorted = |mut words: Vec<&str>| {
            words.sort_unstable();
            words.join(" ")
        };
        assert_eq!(sorted(found), sorted(wanted), "{line}");
    }
}

#[test]
fn names_are_asked_for_where_the_command_line_wants_them() {
    for (line, wanted) in [
        ("alink-gateway devices ", "devices-"),
        ("alink-gateway devices --json ", "devices-"),
        ("alink-gateway trace ", "ports-"),
        ("alink-gateway scope --seconds 10 ", "ports-"),
        ("alink-gateway write ", "devices-"),
        ("alink-gateway write boiler ", "points-boiler"),
        (
            "alink-gateway write boiler Mode heating ",
            "points-boiler-mode-heating",
        ),
        ("alink-gateway call ", "devices-"),
        ("alink-gateway call boiler ", "services-boiler"),
        ("alink-gateway call boiler Start ", "inputs-boiler-start"),
        (
            "alink-gateway call boiler Start a=1 ",
            "inputs-boiler-start-a=1",
        ),
    ] {
        assert_eq!(words(line), [wanted], "{line}");
    }
    assert!(!words("alink-gateway write boiler Mode ").contains(&"points-boiler-mode".to_owned()));
    assert!(
        words("alink-gateway devices Dev").is_empty(),
        "only what begins so"
    );
}

/// An argument that is added is to be completed, or to be listed here.
#[test]
fn every_argument_is_completed_or_free() {
    const FREE: [(&str, &str); 22] = [
        ("read", "values"),
        ("poll", "values"),
        ("poll", "every"),
        ("poll", "count"),
        ("sweep", "unit"),
        ("sweep", "from"),
        ("sweep", "to"),
        ("*", "unit"),
        ("*", "meter"),
        ("*", "line"),
        ("*", "wait"),
        ("log-level", "during"),
        ("write", "pairs"),
        ("scope", "seconds"),
        ("trace", "seconds"),
        ("*", "instance"),
        ("*", "product_key"),
        ("scan", "units"),
        ("scan", "profiles"),
        ("import", "profile_name"),
        ("init", "*"),
        ("complete", "*"),
    ];
    let mut program = crate::cli::command();
    program.build();
    for verb in program.get_subcommands().filter(|v| v.get_name() != "help") {
        for arg in verb.get_arguments().filter(|a| takes_value(a)) {
            let (verb, id) = (verb.get_name(), arg.get_id().as_str());
            let is_free = FREE
                .iter()
                .any(|(v, i)| [verb, "*"].contains(v) && [id, "*"].contains(i));
            let is_file = !matches!(arg.get_value_hint(), ValueHint::Unknown);
            let is_fixed = !arg.get_possible_values().is_empty();
            let is_name = NameKind::of(verb, id, 0).is_some();
            assert!(is_free || is_file || is_fixed || is_name, "{verb} {id}");
        }
    }
}

#[test]
fn what_is_printed_is_one_line_a_word() {
    let offer = Offer {
        words: vec![
            Candidate::new("--json", "Print JSON.\nNot a table."),
            Candidate::new("two\nlines", ""),
            Candidate::new("meter-1", "unit\t1"),
        ],
        files: true,
    };
    assert_eq!(
        offer.text(),
        "--json\tPrint JSON\nmeter-1\tunit 1\n>files\n"
    );
}
