//! The help of the command line in a language: clap's own words are translated in what it has
//! rendered, those of the verbs before, where they are whole.

use clap::Command;

use super::Language;

/// Translates the texts of a command and its verbs.
pub(crate) fn translated(command: Command, language: Language) -> Command {
    let mut command = command;
    let about = command.get_about().map(ToString::to_string);
    let long = command.get_long_about().map(ToString::to_string);
    if let Some(about) = about {
        command = command.about(language.say(&about));
    }
    if let Some(long) = long {
        command = command.long_about(language.say(&long));
    }
    let command = command.mut_args(|arg| {
        let help = arg.get_help().map(ToString::to_string);
        let long = arg.get_long_help().map(ToString::to_string);
        let arg = match help {
            Some(help) => arg.help(language.say(&help)),
            None => arg,
        };
        match long {
            Some(long) => arg.long_help(language.say(&long)),
            None => arg,
        }
    });
    command.mut_subcommands(|verb| translated(verb, language))
}

/// Translates what clap has rendered, help or a mistake: its headings, and its own sentences.
pub(crate) fn rendered(text: &str, language: Language) -> String {
    let lines = text.split('\n').map(|line| in_columns(line, language));
    lines.collect::<Vec<_>>().join("\n")
}

/// Translates what stands in a line behind a gap, and the values in brackets at its end.
fn in_columns(line: &str, language: Language) -> String {
    let (line, brackets) = match line.rfind('[').filter(|_| line.ends_with(']')) {
        Some(at) => line.split_at(at),
        None => (line, ""),
    };
    let said = match line.trim_end().rfind("  ") {
        Some(at) => {
            let (before, behind) = line.split_at(at + 2);
            let gap = match before.trim().is_empty() {
                true => before.to_owned(),
                false => language.say(before),
            };
            format!("{gap}{}", language.say(behind))
        }
        None => language.say(line),
    };
    format!("{said}{}", language.say(brackets))
}
