//! `alink-gateway complete`: what may come next on a command line, for the completions of
//! shells.
//!
//! The shells' scripts (`packaging/completions/`) hand over what was typed and show what is
//! printed: one word a line, a tab and what it means; [`FILES`] where the shell is to offer
//! names of files. Verbs, options and their values come from the definition that parses the
//! command line, names from the running service, or from the configuration where no service
//! answers. Nothing is ever said of what went wrong: a person who types wants no messages.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use clap::builder::PossibleValue;
use clap::{Arg, ArgAction, Args, Command, ValueHint};

use crate::io::control;
use crate::io::control::client;
use crate::io::files::settings;
use crate::io::terminal::screen;

mod names;

pub use names::NameKind;

/// The line that asks the shell for names of files.
pub const FILES: &str = ">files";

/// A word that may come next, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The whole word.
    pub word: String,
    /// What it means, in short; may be empty.
    pub about: String,
}

impl Candidate {
    fn new(word: impl Into<String>, about: impl ToString) -> Self {
        let about = about.to_string();
        Candidate {
            word: word.into(),
            about: in_short(&about),
        }
    }
}

/// Returns a description up to where it goes into detail: shells show it beside the word.
fn in_short(about: &str) -> String {
    let line = about.split('\n').next().unwrap_or_default();
    let ends = [". ", ": ", "; ", " ["];
    let end = ends.iter().filter_map(|end| line.find(end)).min();
    let short = &line[..end.unwrap_or(line.len())];
    short.trim_end_matches('.').to_owned()
}

/// What may come next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// The words, in the order in which they are shown.
    pub words: Vec<Candidate>,
    /// Whether a name of a file may come as well.
    pub files: bool,
}

impl Offer {
    fn text(&self) -> String {
        let mut text = String::new();
        for Candidate { word, about } in &self.words {
            // A name may be any text; a line cannot.
            if !word.contains(['\n', '\t']) {
                let about = about.replace(['\n', '\t'], " ");
                text.push_str(&format!("{word}\t{about}\n"));
            }
        }
        if self.files {
            text.push_str(FILES);
            text.push('\n');
        }
        text
    }
}

/// What has been typed so far, as the definition of the command line reads it.
#[derive(Debug, Default)]
pub struct TypedSoFar {
    /// The verbs.
    pub verbs: Vec<String>,
    /// The words that are neither verbs nor options.
    pub places: Vec<String>,
    /// The options with their values.
    pub options: Vec<(String, String)>,
}

impl TypedSoFar {
    fn option(&self, id: &str) -> Option<&str> {
        let given = self.options.iter().rev().find(|(i, _)| i == id);
        given.map(|(_, value)| value.as_str())
    }
}

/// A command line as a shell hands it over.
#[derive(Debug, Args)]
pub struct CompletionRequest {
    /// The whole line up to the cursor, as it was typed.
    #[arg(
        long,
        value_name = "TEXT",
        allow_hyphen_values = true,
        conflicts_with = "words"
    )]
    line: Option<String>,
    /// The words behind the program's name; the last one is being typed.
    #[arg(value_name = "WORD", last = true)]
    words: Vec<String>,
}

/// Prints what may come next on this command line of `program`. The exit status is always 0.
#[must_use]
pub fn run(program: Command, asked: CompletionRequest) -> ExitCode {
    let words = match asked.line {
        Some(line) => split(&line).into_iter().skip(1).collect(),
        None => asked.words,
    };
    let offer = offer(program, &words, of_the_service);
    // The shell may have stopped reading.
    let _ = screen::write(&offer.text());
    ExitCode::SUCCESS
}

/// Returns these names as the running service or its configuration has them.
fn of_the_service(what: NameKind, typed: &TypedSoFar) -> Vec<Candidate> {
    let instance = typed.option("instance");
    let socket = match typed.option("socket") {
        Some(socket) => Path::new(socket).to_owned(),
        None => control::socket_path_of(instance),
    };
    if let Some(found) = names::ask(&socket, what, &typed.places, client::ask_quickly) {
        return found;
    }
    if typed.option("socket").is_some() {
        return Vec::new();
    }
    let file = settings::path_of(instance);
    settings::load_whatever_the_load(&file, &settings::LoadContext::of_process())
        .map(|loaded| names::of_spec(&loaded.spec, what, &typed.places))
        .unwrap_or_default()
}

/// Splits a command line into words as a shell does, without expanding anything; the last word
/// is the one being typed, empty after a blank.
fn split(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let (mut quote, mut escaped, mut blank) = (None, false, false);
    for c in line.chars() {
        let is_plain = quote.is_none() && !escaped;
        if is_plain && c.is_whitespace() {
            blank = true;
            continue;
        }
        if std::mem::take(&mut blank) {
            words.push(String::new());
        }
        match c {
            '\\' if !escaped && quote != Some('\'') => {
                escaped = true;
                continue;
            }
            '"' | '\'' if is_plain => {
                quote = Some(c);
                continue;
            }
            _ if !escaped && quote == Some(c) => {
                quote = None;
                continue;
            }
            _ => {}
        }
        escaped = false;
        if let Some(word) = words.last_mut() {
            word.push(c);
        }
    }
    if blank {
        words.push(String::new());
    }
    words
}

/// Returns what may come next after these words, the last of which is being typed; `names`
/// looks up names of the configuration.
pub fn offer(
    mut program: Command,
    words: &[String],
    names: impl Fn(NameKind, &TypedSoFar) -> Vec<Candidate>,
) -> Offer {
    // Adds what clap itself adds: help and version.
    program.build();
    let Some((last, before)) = words.split_last() else {
        return Offer::default();
    };
    let mut line = Line::new(&program);
    for word in before {
        line.read(word);
    }
    let mut offer = line.next(last, &names);
    offer.words.retain(|c| c.word.starts_with(last.as_str()));
    let mut seen = BTreeSet::new();
    offer.words.retain(|c| seen.insert(c.word.clone()));
    offer
}

/// A command line that is being read.
struct Line<'a> {
    command: &'a Command,
    typed: TypedSoFar,
    /// The option whose value comes next.
    open: Option<&'a Arg>,
    /// Whether `--` was read.
    only_places: bool,
}

impl<'a> Line<'a> {
    fn new(command: &'a Command) -> Self {
        Line {
            command,
            typed: TypedSoFar::default(),
            open: None,
            only_places: false,
        }
    }

    fn read(&mut self, word: &str) {
        let is_option = word.len() > 1 && word.starts_with('-') && !self.only_places;
        if let Some(option) = self.open.take()
            && !(is_option && is_optional(option))
        {
            let id = option.get_id().to_string();
            return self.typed.options.push((id, word.to_owned()));
        }
        if word == "--" && !self.only_places {
            self.only_places = true;
        } else if is_option {
            self.read_option(word);
        } else if self.typed.places.is_empty()
            && !self.only_places
            && let Some(verb) = self.command.find_subcommand(word)
        {
            self.typed.verbs.push(verb.get_name().to_owned());
            self.command = verb;
        } else {
            self.typed.places.push(word.to_owned());
        }
    }

    fn read_option(&mut self, word: &str) {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let Some(option) = self.option(name) else {
            return;
        };
        if value.is_none() && takes_value(option) {
            self.open = Some(option);
        } else {
            let id = option.get_id().to_string();
            let value = value.unwrap_or_default().to_owned();
            self.typed.options.push((id, value));
        }
    }

    /// Returns the option of this name, `--json` or `-o`.
    fn option(&self, name: &str) -> Option<&'a Arg> {
        let is_it = |arg: &&Arg| match name.strip_prefix("--") {
            Some(long) => arg.get_long() == Some(long),
            None => arg.get_short().is_some_and(|c| name == format!("-{c}")),
        };
        self.command.get_arguments().find(is_it)
    }

    /// Returns what may follow, not only what begins with `last`.
    fn next(&self, last: &str, names: &impl Fn(NameKind, &TypedSoFar) -> Vec<Candidate>) -> Offer {
        if let Some(option) = self.open {
            let offer = self.values(option, names);
            return match is_optional(option) && last.starts_with('-') {
                true => self.options(last),
                false => offer,
            };
        }
        if last.starts_with('-') && !self.only_places {
            return match last.split_once('=') {
                Some((name, _)) => match self.option(name) {
                    Some(option) if takes_value(option) => {
                        let mut offer = self.values(option, names);
                        for candidate in &mut offer.words {
                            candidate.word.insert_str(0, &format!("{name}="));
                        }
                        offer
                    }
                    _ => Offer::default(),
                },
                None => self.options(last),
            };
        }
        let mut offer = self.place(names);
        if self.typed.places.is_empty() && !self.only_places {
            let verbs = self.command.get_subcommands().filter(|v| !v.is_hide_set());
            let about = |verb: &Command| verb.get_about().cloned().unwrap_or_default();
            let verbs = verbs.map(|verb| Candidate::new(verb.get_name(), about(verb)));
            offer.words.extend(verbs);
        }
        match offer == Offer::default() && last.is_empty() && !self.only_places {
            true => self.options(last),
            false => offer,
        }
    }

    /// Returns what may stand in the place of the next word that is no option.
    fn place(&self, names: &impl Fn(NameKind, &TypedSoFar) -> Vec<Candidate>) -> Offer {
        let mut left = self.typed.places.len();
        for place in self.command.get_positionals() {
            let most = place.get_num_args().map_or(1, |n| n.max_values());
            let is_list = matches!(place.get_action(), ArgAction::Append);
            if is_list || left < most {
                return self.values(place, names);
            }
            left -= most;
        }
        Offer::default()
    }

    /// Returns the values that an argument may have.
    fn values(&self, arg: &Arg, names: &impl Fn(NameKind, &TypedSoFar) -> Vec<Candidate>) -> Offer {
        let about =
            |value: &PossibleValue| value.get_help().cloned().unwrap_or_default().to_string();
        let fixed = arg.get_possible_values();
        let fixed = fixed.iter().filter(|value| !value.is_hide_set());
        let mut words: Vec<_> = match takes_value(arg) || arg.is_positional() {
            true => fixed
                .map(|v| Candidate::new(v.get_name(), about(v)))
                .collect(),
            false => Vec::new(),
        };
        let verb = self.typed.verbs.first().map_or("", String::as_str);
        if let Some(what) = NameKind::of(verb, arg.get_id().as_str(), self.typed.places.len()) {
            words.extend(names(what, &self.typed));
        }
        let files = matches!(
            arg.get_value_hint(),
            ValueHint::AnyPath | ValueHint::FilePath | ValueHint::DirPath
        );
        Offer { words, files }
    }

    /// Returns the options that may follow: those in short only if they have no long name.
    fn options(&self, last: &str) -> Offer {
        let given = |arg: &Arg| self.typed.options.iter().any(|(id, _)| arg.get_id() == id);
        let excluded = |arg: &Arg| {
            let others = self.command.get_arg_conflicts_with(arg);
            others.into_iter().any(given)
        };
        let repeated = |arg: &Arg| matches!(arg.get_action(), ArgAction::Append);
        let options = self.command.get_arguments().filter(|arg| {
            !arg.is_positional()
                && !arg.is_hide_set()
                && (repeated(arg) || !given(arg))
                && !excluded(arg)
        });
        let words = options.filter_map(|arg| {
            let name = match (arg.get_long(), arg.get_short()) {
                (_, Some(short)) if last == format!("-{short}") => last.to_owned(),
                (Some(long), _) => format!("--{long}"),
                (None, Some(short)) => format!("-{short}"),
                (None, None) => return None,
            };
            let about = arg.get_help().cloned().unwrap_or_default();
            Some(Candidate::new(name, about))
        });
        Offer {
            words: words.collect(),
            files: false,
        }
    }
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

/// Returns whether the option may also stand alone.
fn is_optional(arg: &Arg) -> bool {
    arg.get_num_args().is_some_and(|n| n.min_values() == 0)
}

#[cfg(test)]
mod tests;
