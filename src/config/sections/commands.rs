//! `commands:`: whose commands are carried out, and how long their senders wait.

use std::time::Duration;

use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section};
use crate::config::reader::suggestions;
use crate::config::reader::tree::NodeContent;
use crate::config::reader::word_parsers::{switched, time, yes_or_no};
use crate::spec::{CommandPolicy, CommandSpec};

const KEYS: [&str; 4] = ["allow", "answer_within", "sync_answer_within", "desired"];

const POLICIES: [CommandPolicy; 3] = [CommandPolicy::On, CommandPolicy::Local, CommandPolicy::Off];

const WANTED: &str = "on, local or off, or a section with keys such as allow, answer_within";

/// The longest time for which the sender of a synchronous call waits: what the platform gives a
/// device ("What is RRPC?").
const LONGEST_SYNC: Duration = Duration::from_secs(8);
/// The longest time for which any other sender waits.
const LONGEST: Duration = Duration::from_secs(60);
const SHORTEST: Duration = Duration::from_secs(1);

/// Reads the section, or the word that stands for it.
pub(crate) fn read(root: &Section<'_>, notes: &mut Notes) -> CommandSpec {
    let d = CommandSpec::default();
    let Some(node) = root.node("commands") else {
        return d;
    };
    let keys = match &node.is {
        NodeContent::Text(_) => {
            return CommandSpec {
                allow: root
                    .read("commands", |text| policy(text, WANTED), notes)
                    .unwrap_or(d.allow),
                ..d
            };
        }
        NodeContent::Map(keys) => keys,
        NodeContent::Nothing | NodeContent::List(_) => {
            notes.error(node.origin, node.is.kind(), Expectation::wanted(WANTED));
            return d;
        }
    };
    if keys.is_empty() {
        notes.error(node.origin, "an empty section", Expectation::wanted(WANTED));
    }
    let s = Section::open(node, &KEYS, notes);
    let words = "on, local or off";
    CommandSpec {
        allow: s
            .read("allow", |text| policy(text, words), notes)
            .unwrap_or(d.allow),
        async_within: s
            .read("answer_within", time(SHORTEST..=LONGEST), notes)
            .unwrap_or(d.async_within),
        sync_within: s
            .read(
                "sync_answer_within",
                |text| {
                    time(SHORTEST..=LONGEST_SYNC)(text).map_err(|wrong| {
                        let hint = wrong.hint.clone();
                        wrong.maybe_hint(hint.or_else(|| {
                            Some("the platform gives a device 8s for a synchronous call".into())
                        }))
                    })
                },
                notes,
            )
            .unwrap_or(d.sync_within),
        desired: s.read("desired", yes_or_no, notes).unwrap_or(d.desired),
    }
}

/// Parses whose commands are carried out. A misspelling of `on` or `off` is as near to the other,
/// so neither is guessed.
fn policy(text: &str, wanted: &str) -> Result<CommandPolicy, Expectation> {
    let known = POLICIES.into_iter().find(|policy| policy.word() == text);
    known.ok_or_else(|| {
        let meant = match switched(text) {
            Some(true) => Some("here that is on".to_owned()),
            Some(false) => Some("here that is off".to_owned()),
            None => suggestions::did_you_mean(text, [CommandPolicy::Local.word()]),
        };
        Expectation::wanted(wanted).maybe_hint(meant)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_is_never_guessed_and_off_is_understood_in_many_words() {
        for (text, meant) in [
            ("on", Ok(CommandPolicy::On)),
            ("local", Ok(CommandPolicy::Local)),
            ("off", Ok(CommandPolicy::Off)),
            ("no", Err(Some("here that is off"))),
            ("OFF", Err(Some("here that is off"))),
            ("true", Err(Some("here that is on"))),
            ("locla", Err(Some("did you mean local?"))),
            ("ofn", Err(None)),
            ("", Err(None)),
        ] {
            let found = policy(text, WANTED).map_err(|wrong| wrong.hint);
            assert_eq!(
                found,
                meant.map_err(|hint| hint.map(str::to_owned)),
                "{text}"
            );
        }
    }
}
