//! `alink-lab papers DIRECTORY`: the manual pages of both programs, made from the
//! definitions that parse their arguments.
//!
//! They are made when a package is built and kept nowhere else, so that they cannot be
//! older than the program they describe. There is one page for each verb, as git has
//! it. What clap does not know (files, exit statuses, what to read next) is added here.

use std::fs;
use std::io;
use std::path::Path;

use alink_gateway::cli::language::Language;
use alink_gateway::cli::{ENVIRONMENT_VARIABLES, wrapped};
use clap::Command;
use clap::builder::Resettable;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// The commented example, which is the page about the configuration.
const EXAMPLE: &str = include_str!("../../config/gateway.example.yaml");
/// The same in Chinese; `tests/house/chinese_documents.rs` keeps it up to date.
const CHINESE_EXAMPLE: &str = include_str!("../../docs/gateway.example.zh_CN.yaml");

/// The section of the manual for commands of an administrator.
const ADMINISTRATION: &str = "8";
/// The section for commands of all users.
const COMMANDS: &str = "1";
/// The section for the formats of files.
const FORMATS: &str = "5";

/// Exit statuses of the daemon, as `cli` has them.
const EXITS: [(&str, &str); 4] = [
    ("0", "done"),
    ("1", "it failed; the journal or standard error says why"),
    ("2", "wrong usage"),
    (
        "78",
        "the configuration is wrong; every mistake was printed, nothing was started",
    ),
];

/// Where the files of the daemon are.
const FILES: [(&str, &str); 8] = [
    (
        "/etc/alink-gateway/gateway.yaml",
        "the configuration; see alink-gateway.yaml(5)",
    ),
    (
        "/etc/alink-gateway/conf.d/*.yaml",
        "files that are added to the configuration",
    ),
    (
        "/etc/alink-gateway/NAME/gateway.yaml",
        "the configuration of another gateway on the same box, alink-gateway@NAME.service",
    ),
    (
        "/usr/share/alink-gateway/profiles",
        "profiles of devices that came with the package",
    ),
    (
        "/usr/share/doc/alink-gateway/examples/gateway.example.yaml",
        "an example with all keys of a configuration",
    ),
    (
        "/var/lib/alink-gateway",
        "what the service keeps: registered secrets, what it learned about devices, a configuration \
         from the platform",
    ),
    (
        "/run/alink-gateway/control.sock",
        "the control socket of the running service, for root and the group alink-operators; \
         /run/alink-gateway@NAME/control.sock of another gateway",
    ),
    (
        "/etc/credstore/alink-gateway.secret",
        "the gateway's secret, if it is kept apart from the configuration; systemd hands it over",
    ),
];

/// What a running daemon does on each signal.
const SIGNALS: [(&str, &str); 2] = [
    (
        "HUP",
        "loads the configuration anew; a wrong one changes nothing, and the journal lists the \
         mistakes. alink-gateway reload does the same and prints the mistakes",
    ),
    (
        "TERM, INT",
        "logs all devices out and ends, within stop_within of the configuration; a second signal \
         ends the service at once",
    ),
];

/// What to type on a new box, and when something is wrong.
const FIRST_STEPS: [(&str, &str); 5] = [
    (
        "alink-gateway check",
        "after each change of the configuration: prints every mistake, with what was wanted",
    ),
    (
        "alink-gateway reload",
        "puts the configuration into force; devices and ports that have not changed are not disturbed",
    ),
    (
        "alink-gateway status",
        "shows the state of ports, devices and the connection; --watch shows it live, with all devices",
    ),
    (
        "alink-gateway devices NAME",
        "shows why a device is not online, and what comes next",
    ),
    (
        "journalctl -u alink-gateway -x",
        "shows what happened, with likely causes and what to do",
    ),
];

/// Where the Chinese pages are, below those in English. There are none of the lab, whose help is
/// English only.
const CHINESE_FOLDER: &str = "zh_CN";
/// The cells of a line of Chinese, for a terminal of 80 and the deepest indentation.
const CHINESE_LINE: usize = 64;

/// Writes `man/*.N` and `man/zh_CN/*.N` into `folder`, for the daemon and for the lab whose
/// `command` is given. `date` is the date of the pages. It is that of the sources, because with
/// the day of the build no two builds would be alike.
pub(super) fn write(folder: &Path, date: &str, command: Command) -> io::Result<()> {
    let man = folder.join("man");
    fs::create_dir_all(&man)?;
    let programs = [
        (alink_gateway::cli::command(), ADMINISTRATION),
        (command, COMMANDS),
    ];
    for (program, section) in programs {
        for (page, text) in pages(date, &program, section, Language::English)? {
            fs::write(man.join(page), text)?;
        }
    }
    let chinese = man.join(CHINESE_FOLDER);
    fs::create_dir_all(&chinese)?;
    let program = alink_gateway::cli::command_in(Language::Chinese);
    for (page, text) in pages(date, &program, ADMINISTRATION, Language::Chinese)? {
        fs::write(chinese.join(page), text)?;
    }
    let configurations = [(&man, &ENGLISH), (&chinese, &CHINESE)];
    for (folder, words) in configurations {
        let page = configuration(date, words);
        fs::write(folder.join("alink-gateway.yaml.5"), page)?;
    }
    Ok(())
}

/// Returns the page of a program and one for each of its verbs: file names and texts.
fn pages(
    date: &str,
    program: &Command,
    section: &str,
    language: Language,
) -> io::Result<Vec<(String, Vec<u8>)>> {
    let name = program.get_name().to_owned();
    let verbs: Vec<&Command> = program
        .get_subcommands()
        .filter(|v| !v.is_hide_set())
        .collect();
    let names: Vec<String> = verbs
        .iter()
        .map(|v| format!("{name}-{}", v.get_name()))
        .collect();
    let daemon = section == ADMINISTRATION;
    let mut all = vec![(
        format!("{name}.{section}"),
        page(
            date,
            program.clone().disable_help_subcommand(true),
            section,
            &name,
            &names,
            daemon,
            language,
        )?,
    )];
    for (verb, full) in verbs.into_iter().zip(&names) {
        let command = verb
            .clone()
            .disable_help_flag(true)
            .bin_name(format!("{name} {}", verb.get_name()))
            .display_name(full.clone());
        let related = [name.clone()];
        all.push((
            format!("{full}.{section}"),
            page(date, command, section, full, &related, daemon, language)?,
        ));
    }
    Ok(all)
}

fn page(
    date: &str,
    command: Command,
    section: &str,
    name: &str,
    related: &[String],
    daemon: bool,
    language: Language,
) -> io::Result<Vec<u8>> {
    let version = concat!("alink-gateway ", env!("CARGO_PKG_VERSION"));
    // The text below the help of a verb is a section of its own here.
    let below = command.get_after_help().map(ToString::to_string);
    let man = Man::new(command.after_help(Resettable::Reset))
        .title(name)
        .section(section)
        .source(version)
        .date(date)
        .manual("alink-gateway");
    let mut text = Vec::new();
    man.render(&mut text)?;
    let mut text = translated(text, language);
    let mut more = Roff::new();
    if name == "alink-gateway" {
        table(&mut more, "FIRST STEPS", &FIRST_STEPS, language);
    }
    if ["alink-gateway", "alink-gateway-run"].contains(&name) {
        table(&mut more, "SIGNALS", &SIGNALS, language);
        table(&mut more, "ENVIRONMENT", &ENVIRONMENT_VARIABLES, language);
    }
    if let Some(orders) = below.filter(|_| !daemon) {
        more.control("SH", ["ORDERS"]);
        as_it_is(&mut more, &orders);
    }
    if daemon {
        table(&mut more, "EXIT STATUS", &EXITS, language);
        table(&mut more, "FILES", &FILES, language);
    }
    more.control("SH", [language.word("SEE ALSO").as_str()]);
    let mut see: Vec<(&str, &str)> = related.iter().map(|r| (r.as_str(), section)).collect();
    if daemon {
        see.extend([
            ("alink-gateway.yaml", FORMATS),
            ("journalctl", "1"),
            ("systemctl", "1"),
        ]);
    } else {
        see.push(("alink-gateway", ADMINISTRATION));
    }
    see_also(&mut more, &see);
    more.to_writer(&mut text)?;
    Ok(match language {
        Language::English => text,
        Language::Chinese => broken(&String::from_utf8_lossy(&text)).into_bytes(),
    })
}

/// Breaks lines of Chinese: groff before 1.23 breaks them at blanks alone, and takes a character
/// for one cell.
fn broken(page: &str) -> String {
    let mut out = String::new();
    let mut before = "";
    for line in page.lines() {
        let is_text = !line.starts_with(['.', '\'']) && !line.is_ascii();
        // What whatis(1) reads is one line.
        let is_name = before.starts_with(".SH") && line.contains(" \\- ");
        match is_text && !is_name {
            true => {
                let lines = wrapped(line, CHINESE_LINE);
                out.push_str(&lines.join("\n.br\n"));
            }
            false => out.push_str(line),
        }
        out.push('\n');
        if line.starts_with(".TH") {
            out.push_str(".ad l\n");
        }
        before = line;
    }
    out
}

/// Translates what the library writes by itself: headings, its own options, and what stands in
/// brackets.
fn translated(page: Vec<u8>, language: Language) -> Vec<u8> {
    let Ok(page) = String::from_utf8(page) else {
        return Vec::new();
    };
    if language == Language::English {
        return page.into_bytes();
    }
    let default = language.say("[default: {}]");
    let default = default.split("{}").next().unwrap_or_default();
    let possible = "Possible values:";
    let lines = page.lines().map(|line| match line.strip_prefix(".SH ") {
        Some(heading) => format!(".SH {}", language.word(heading.trim_matches('"'))),
        None => {
            let line = language.say(line).replace("[default: ", default);
            line.replace(possible, &language.say(possible))
        }
    });
    lines
        .map(|line| line + "\n")
        .collect::<String>()
        .into_bytes()
}

fn see_also(more: &mut Roff, see: &[(&str, &str)]) {
    let last = see.len().saturating_sub(1);
    let mut words = Vec::new();
    for (i, (name, section)) in see.iter().enumerate() {
        words.push(bold(*name));
        let end = if i == last { "" } else { ", " };
        words.push(roman(format!("({section}){end}")));
    }
    more.text(words);
}

/// Adds lines that are not filled.
fn as_it_is(more: &mut Roff, text: &str) {
    more.control("nf", []);
    for line in text.lines() {
        more.text([roman(line)]);
    }
    more.control("fi", []);
}

fn table(more: &mut Roff, title: &str, rows: &[(&str, &str)], language: Language) {
    more.control("SH", [language.word(title).as_str()]);
    for (word, meaning) in rows {
        more.control("TP", []);
        more.text([bold(*word)]);
        more.text([roman(language.word(meaning))]);
    }
}

/// The texts of `alink-gateway.yaml(5)` in one language.
struct ConfigurationTexts {
    name: (&'static str, &'static str),
    synopsis: &'static str,
    description: &'static str,
    files: &'static str,
    /// Where each key is explained, and the file.
    reference: (&'static str, &'static str),
    /// What stands after `alink-gateway check`.
    check: &'static str,
    all_keys: &'static str,
    example: &'static str,
    see_also: &'static str,
}

const ENGLISH: ConfigurationTexts = ConfigurationTexts {
    name: ("NAME", "configuration of alink-gateway"),
    synopsis: "SYNOPSIS",
    description: "DESCRIPTION",
    files: "A YAML file. Files in conf.d beside it are added to it in the order of their names.",
    reference: (
        "Each key is explained, with its range, its default and examples, in",
        "/usr/share/doc/alink-gateway/docs/configuration.md",
    ),
    check: ", a start and a reload report every mistake with its line, what was said and what was \
            wanted.",
    all_keys: "ALL KEYS",
    example: EXAMPLE,
    see_also: "SEE ALSO",
};

/// The headings are those of the Chinese pages of Debian (manpages-zh).
const CHINESE: ConfigurationTexts = ConfigurationTexts {
    name: ("名称", "alink-gateway 的配置文件"),
    synopsis: "概要",
    description: "描述",
    files: "YAML 文件。同目录的 conf.d 中的文件按文件名顺序并入。",
    reference: (
        "各配置项的含义、取值范围、默认值和示例见",
        "/usr/share/doc/alink-gateway/docs/configuration.zh_CN.md",
    ),
    check: "、启动和重新加载会列出所有错误：所在的行、现在的内容和应有的内容。",
    all_keys: "全部配置项",
    example: CHINESE_EXAMPLE,
    see_also: "参见",
};

/// Returns `alink-gateway.yaml(5)`: the commented example, as it is.
fn configuration(date: &str, texts: &ConfigurationTexts) -> String {
    let mut text = Roff::new();
    let version = concat!("alink-gateway ", env!("CARGO_PKG_VERSION"));
    text.control(
        "TH",
        [
            "alink-gateway.yaml",
            FORMATS,
            date,
            version,
            "alink-gateway",
        ],
    );
    // Chinese has so few blanks that lines of equal length would have holes.
    text.control("ad", ["l"]);
    let (name, what) = texts.name;
    text.control("SH", [name]);
    text.text([roman(format!("alink-gateway.yaml - {what}"))]);
    text.control("SH", [texts.synopsis]);
    text.text([bold("/etc/alink-gateway/gateway.yaml")]);
    text.control("br", []);
    text.text([bold("/etc/alink-gateway/conf.d/*.yaml")]);
    text.control("SH", [texts.description]);
    text.text([roman(texts.files)]);
    text.text([bold("alink-gateway check"), roman(texts.check)]);
    let (where_to_read, file) = texts.reference;
    text.text([roman(where_to_read)]);
    // A line of its own: the name of a file is not to be hyphenated.
    text.control("br", []);
    text.text([bold(file)]);
    text.control("SH", [texts.all_keys]);
    as_it_is(&mut text, texts.example);
    text.control("SH", [texts.see_also]);
    see_also(
        &mut text,
        &[
            ("alink-gateway", ADMINISTRATION),
            ("alink-gateway-check", ADMINISTRATION),
        ],
    );
    text.render()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn written() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "2026-11-22", crate::Arguments::command()).unwrap();
        folder
    }

    #[test]
    fn every_verb_that_is_shown_has_a_page_with_its_options() {
        let folder = written();
        let programs = [
            (alink_gateway::cli::command(), "8"),
            (crate::Arguments::command(), "1"),
        ];
        let mut seen = 0;
        for (program, section) in programs {
            let name = program.get_name();
            for verb in program.get_subcommands().filter(|v| !v.is_hide_set()) {
                let page = format!("man/{name}-{}.{section}", verb.get_name());
                let page = fs::read_to_string(folder.path().join(page)).unwrap();
                for option in verb.get_opts().filter(|o| !o.is_hide_set()) {
                    let long = option.get_long().unwrap();
                    assert!(
                        page.contains(&long.replace('-', "\\-")),
                        "{name} {verb}: {long}"
                    );
                }
                seen += 1;
            }
        }
        assert!(seen >= 6, "{seen} verbs");
    }

    #[test]
    fn the_daemons_page_names_verbs_signals_exits_files_and_variables() {
        let folder = written();
        let read = |page| fs::read_to_string(folder.path().join(page)).unwrap();
        let page = read("man/alink-gateway.8").replace("\\-", "-");
        for heading in [
            "FIRST STEPS",
            "SIGNALS",
            "ENVIRONMENT",
            "EXIT STATUS",
            "FILES",
        ] {
            assert!(
                page.contains(&format!(".SH \"{heading}\""))
                    || page.contains(&format!(".SH {heading}")),
                "{heading}"
            );
        }
        let verbs = alink_gateway::cli::command();
        let verbs = verbs.get_subcommands().filter(|v| !v.is_hide_set());
        for word in verbs.map(|v| format!("alink-gateway-{}", v.get_name())) {
            assert!(page.contains(&word), "{word}");
        }
        for word in ["HUP", "TERM", "78", "control.sock", "ALINK_GATEWAY_LOG"] {
            assert!(page.contains(word), "{word}");
        }
        assert!(read("man/alink-gateway-run.8").contains("HUP"));
    }

    #[test]
    fn the_labs_pages_have_the_orders_and_what_the_units_hold() {
        let folder = written();
        let read = |page| fs::read_to_string(folder.path().join(page)).unwrap();
        for (page, words) in [
            (
                "man/alink-lab-bus.1",
                &[
                    "kill UNIT",
                    "voltage of each phase",
                    "energy-active-forward",
                ][..],
            ),
            (
                "man/alink-lab-platform.1",
                &["throttle SPAN", "batch-code WHOSE"],
            ),
        ] {
            let page = read(page).replace("\\-", "-");
            for word in words {
                assert!(page.contains(word), "{word}");
            }
        }
    }

    #[test]
    fn every_page_of_the_gateway_is_there_in_chinese() {
        let folder = written();
        let man = folder.path().join("man");
        let names = |folder: &Path| -> Vec<String> {
            let files = fs::read_dir(folder).unwrap();
            let names = files.map(|f| f.unwrap().file_name().into_string().unwrap());
            let mut names: Vec<String> = names.filter(|n| n.ends_with(".8")).collect();
            names.sort();
            names
        };
        let chinese = man.join(CHINESE_FOLDER);
        assert_eq!(names(&chinese), names(&man));
        for name in names(&chinese) {
            let page = fs::read_to_string(chinese.join(&name)).unwrap();
            for heading in [
                ".SH 名称",
                ".SH 概要",
                ".SH 描述",
                ".SH 退出状态",
                ".SH 参见",
            ] {
                assert!(page.contains(heading), "{name}: {heading}");
            }
            for line in page.lines().filter(|line| !line.contains(" \\- ")) {
                let is_text = !line.is_ascii() && !line.starts_with('.');
                assert!(!is_text || wrapped(line, 80).len() == 1, "{name}: {line}");
            }
            for english in [
                "[default: ",
                "Print help",
                "see also",
                "SEE ALSO",
                ".SH NAME",
            ] {
                assert!(!page.contains(english), "{name}: {english}");
            }
        }
    }

    #[test]
    fn the_page_about_the_configuration_holds_the_whole_example() {
        let folder = written();
        for (page, texts) in [
            ("alink-gateway.yaml.5", ENGLISH),
            ("zh_CN/alink-gateway.yaml.5", CHINESE),
        ] {
            let page = fs::read_to_string(folder.path().join("man").join(page)).unwrap();
            assert!(page.lines().count() > texts.example.lines().count());
            // A dot or a quote that begins a line would be an order to troff.
            assert!(
                !page
                    .lines()
                    .any(|l| l.starts_with(".#") || l.starts_with("'#"))
            );
            assert!(page.contains("/etc/alink\\-gateway/gateway.yaml"));
            assert!(page.contains(&format!(".SH {}\n", texts.name.0)));
        }
    }
}
