//! The language in which the tool speaks to its user.
//!
//! The service speaks English only: its journal, its answers on the control socket, JSON and
//! metrics are evidence, read by programs and by people from elsewhere. The tool translates what
//! it prints, at its edge: a finished English text, whether it was made here, deep in `config/`
//! or by the service, is looked up in a catalogue (`zh_CN.po`). So the English stands in one
//! place, and no other room knows of languages.
//!
//! A text is looked up as it is; then as one of the catalogue's templates with values in it, the
//! values being texts themselves; then as a list of clauses (`catalogue.rs`). What is not found
//! stays English, and `tests/house/chinese.rs` sees to it that no text of the tool is such.
//!
//! A single word is never translated by [`Language::say`], for it may be the name of a device, a
//! key or a value; a table or a sentence that has a word of a closed set asks for it by
//! [`Language::word`].
//!
//! GNU's `LANGUAGE` is not looked at: it is a list of preferences for catalogues that a system
//! has installed, and this tool has one.

mod catalogue;
pub(super) mod help;
pub mod po;
mod punctuation;
mod template;

use std::sync::OnceLock;

use self::catalogue::Catalogue;
pub(super) use self::punctuation::may_break;
use crate::io::terminal::locale;
use crate::spec::TitleLanguage;

/// The texts in Simplified Chinese, in the format of GNU gettext ("The Format of PO Files").
const CHINESE: &str = include_str!("zh_CN.po");

/// A language of the tool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// As the texts stand in the sources.
    #[default]
    English,
    /// Simplified Chinese.
    Chinese,
}

impl Language {
    /// Returns the language that the environment asks for.
    #[must_use]
    pub fn of_environment() -> Language {
        locale::of_messages().map_or(Language::English, |locale| Language::of_locale(&locale))
    }

    /// Returns the language for a locale such as `zh_CN.UTF-8`: Chinese for those written in
    /// simplified characters. Traditional Chinese (`zh_TW`, `zh_HK`, `zh_MO`, `zh_Hant`) has no
    /// texts of its own and gets English: its terms differ too much to pass for them.
    #[must_use]
    pub fn of_locale(locale: &str) -> Language {
        let name = locale.split(['.', '@']).next().unwrap_or_default();
        let mut parts = name.split(['_', '-']);
        let is_chinese = parts.next().is_some_and(|l| l.eq_ignore_ascii_case("zh"));
        let traditional = ["tw", "hk", "mo", "hant"];
        let is_traditional = parts.any(|part| {
            let part = part.to_ascii_lowercase();
            traditional.contains(&part.as_str())
        });
        match is_chinese && !is_traditional {
            true => Language::Chinese,
            false => Language::English,
        }
    }

    /// Translates a finished English text. What is not known stays as it is. Lines are
    /// translated one by one, and keep the blanks around them.
    #[must_use]
    pub fn say(self, text: &str) -> String {
        match self {
            Language::English => text.to_owned(),
            Language::Chinese => chinese().say(text),
        }
    }

    /// Translates a word of a closed set, or a short term: the state of a device, the head of a
    /// column.
    #[must_use]
    pub fn word(self, word: &str) -> String {
        match self {
            Language::English => word.to_owned(),
            Language::Chinese => chinese().word(word),
        }
    }

    /// Returns who reads the titles of the configuration in this language.
    #[must_use]
    pub const fn readers(self) -> TitleLanguage {
        match self {
            Language::English => TitleLanguage::Any,
            Language::Chinese => TitleLanguage::Chinese,
        }
    }

    /// Writes a list.
    #[must_use]
    pub(super) fn list(self, parts: &[String]) -> String {
        parts.join(match self {
            Language::English => ", ",
            Language::Chinese => "，",
        })
    }

    /// Translates the heads of columns.
    pub(super) fn heads(self, heads: &[&'static str]) -> Vec<&'static str> {
        let head = |head: &&'static str| match self {
            Language::English => *head,
            Language::Chinese => chinese().known_word(head).unwrap_or(head),
        };
        heads.iter().map(head).collect()
    }
}

fn chinese() -> &'static Catalogue {
    static READ: OnceLock<Catalogue> = OnceLock::new();
    READ.get_or_init(|| Catalogue::of(po::read(CHINESE).0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simplified_chinese_is_for_locales_that_are_written_in_it() {
        for locale in [
            "zh",
            "zh_CN",
            "zh_CN.UTF-8",
            "zh_CN.GB18030",
            "zh_SG.utf8",
            "zh_Hans_CN",
            "zh-Hans",
            "ZH_cn",
        ] {
            assert_eq!(Language::of_locale(locale), Language::Chinese, "{locale}");
        }
        for locale in [
            "",
            "C",
            "C.UTF-8",
            "POSIX",
            "en_US.UTF-8",
            "de_DE@euro",
            "zh_TW.UTF-8",
            "zh_HK",
            "zh_MO",
            "zh_Hant_TW",
            "zha",
        ] {
            assert_eq!(Language::of_locale(locale), Language::English, "{locale}");
        }
    }

    #[test]
    fn english_stays_as_it_is() {
        assert_eq!(Language::English.say("no devices\n"), "no devices\n");
        assert_eq!(Language::English.word("silent"), "silent");
    }

    #[test]
    fn the_catalogue_has_no_fault() {
        assert_eq!(po::read(CHINESE).1, [""; 0]);
    }
}
