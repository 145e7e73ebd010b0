//! The texts of a language, and how a finished English text is found among them.
//!
//! A text can often be read in several ways: as one template or another, or as clauses with
//! commas between them. The reading that knows most letters of the text is taken, because what
//! it does not know stays English; of two that know as much, the one whose values are simpler.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::po::Entry;
use super::punctuation::push;
use super::template::{PlaceholderKind, Template, Value, ValueTranslation, letters, words};

/// The longest text that is looked up, in bytes.
const LONGEST: usize = 4000;
/// How deep values stand in values.
const DEEPEST: usize = 8;
/// How many translations are kept for the next time: a live view says the same every second.
const MOST_KEPT: usize = 4000;
/// What stands between clauses, and what stands there in Chinese.
const BETWEEN: [(&str, &str); 4] = [("; ", "；"), (": ", "："), (", ", "，"), ("? ", "？")];

/// A translation, and how many letters of the text it knows.
#[derive(Clone, Debug)]
struct ScoredTranslation {
    known: usize,
    /// How many clauses end within a value: of two readings that know as much, the one that takes
    /// fewer clauses for one value is right.
    spanned: usize,
    text: String,
}

impl ScoredTranslation {
    fn is_better_than(&self, other: &ScoredTranslation) -> bool {
        let rank = |r: &ScoredTranslation| (r.known, std::cmp::Reverse(r.spanned));
        rank(self) > rank(other)
    }
}

/// All texts of a language.
#[derive(Debug)]
pub(super) struct Catalogue {
    texts: BTreeMap<String, String>,
    words: BTreeMap<String, String>,
    templates: Vec<Template>,
    /// Templates by a word that is in every text of them; without one, below "".
    by_word: BTreeMap<String, Vec<usize>>,
    kept: Mutex<BTreeMap<String, String>>,
}

impl Catalogue {
    /// Makes a catalogue of these entries.
    pub(super) fn of(entries: Vec<Entry>) -> Catalogue {
        let (mut texts, mut single) = (BTreeMap::new(), BTreeMap::new());
        let mut templates = Vec::new();
        for entry in entries {
            let ids = [Some(entry.id), entry.plural];
            for id in ids.into_iter().flatten() {
                match Template::of(&id, &entry.text) {
                    Some(template) => templates.push(template),
                    None if entry.context.is_some() => {
                        single.insert(id, entry.text.clone());
                    }
                    None => {
                        texts.insert(id, entry.text.clone());
                    }
                }
            }
        }
        templates.sort_by_key(|t: &Template| std::cmp::Reverse((t.letters(), t.strictness())));
        let mut by_word: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (n, template) in templates.iter().enumerate() {
            let word = template.word().unwrap_or_default();
            by_word.entry(word.to_owned()).or_default().push(n);
        }
        Catalogue {
            texts,
            words: single,
            templates,
            by_word,
            kept: Mutex::default(),
        }
    }

    /// Translates a text, line by line.
    pub(super) fn say(&self, text: &str) -> String {
        let lines = text.split('\n').map(|line| self.line(line));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// Translates a word of a closed set, or else a text.
    pub(super) fn word(&self, word: &str) -> String {
        match self.known_word(word) {
            Some(known) => known.to_owned(),
            None => self.say(word),
        }
    }

    /// Returns the translation of a word of a closed set.
    pub(super) fn known_word(&self, word: &str) -> Option<&str> {
        self.words.get(word).map(String::as_str)
    }

    fn line(&self, line: &str) -> String {
        let text = line.trim();
        if text.is_empty() || text.len() > LONGEST {
            return line.to_owned();
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.contains_key(text) {
            let reading = self.read(text, DEEPEST, &mut BTreeMap::new());
            if kept.len() >= MOST_KEPT {
                kept.clear();
            }
            kept.insert(text.to_owned(), reading.text);
        }
        let said = kept.get(text).map_or(text, String::as_str);
        let (before, after) = (line.trim_start().len(), line.trim_end().len());
        let before = &line[..line.len() - before];
        format!("{before}{said}{}", &line[after.max(before.len())..])
    }

    /// Returns the reading of a text that knows most of it.
    fn read<'t>(
        &self,
        text: &'t str,
        depth: usize,
        memo: &mut BTreeMap<(&'t str, usize), ScoredTranslation>,
    ) -> ScoredTranslation {
        if let Some(reading) = memo.get(&(text, depth)) {
            return reading.clone();
        }
        // What joins a text to the one before it.
        let joint = BETWEEN.iter().find(|(mark, _)| text.starts_with(mark));
        if let Some((mark, between)) = joint.filter(|_| depth > 0) {
            let mut reading = self.read(&text[mark.len()..], depth - 1, memo);
            reading.text = match reading.known {
                0 => text.to_owned(),
                _ => format!("{between}{}", reading.text),
            };
            return reading;
        }
        let mut best = self.as_one(text, depth, memo);
        if depth > 0 && (best.known < letters(text) || best.spanned > 0) {
            for (at, long, between) in clauses(text) {
                let (left, right) = (&text[..at], &text[at + long..]);
                let left = self.as_one(left, depth - 1, memo);
                let right = self.read(right, depth - 1, memo);
                let left_known = left.known;
                let mut both = left.text;
                push(&mut both, between);
                push(&mut both, &right.text);
                let reading = ScoredTranslation {
                    known: left.known + right.known,
                    spanned: left.spanned + right.spanned,
                    text: both,
                };
                // A clause of which nothing is known may be the rest of a value.
                let is_known = left_known > 0 && right.known > 0;
                let is_better = match is_known {
                    true => reading.is_better_than(&best),
                    false => reading.known > best.known,
                };
                if is_better {
                    best = reading;
                }
            }
        }
        memo.insert((text, depth), best.clone());
        best
    }

    /// Reads a text as one text or template.
    fn as_one<'t>(
        &self,
        text: &'t str,
        depth: usize,
        memo: &mut BTreeMap<(&'t str, usize), ScoredTranslation>,
    ) -> ScoredTranslation {
        if let Some(known) = self.texts.get(text) {
            return ScoredTranslation {
                known: letters(text),
                spanned: 0,
                text: known.clone(),
            };
        }
        let mut best = ScoredTranslation {
            known: 0,
            spanned: 0,
            text: text.to_owned(),
        };
        if depth == 0 {
            return best;
        }
        let mut candidates: Vec<usize> = std::iter::once("")
            .chain(words(text))
            .filter_map(|word| self.by_word.get(word))
            .flatten()
            .copied()
            .collect();
        candidates.sort_unstable();
        candidates.dedup();
        for template in candidates.iter().filter_map(|n| self.templates.get(*n)) {
            let Some(values) = template.values(text) else {
                continue;
            };
            let (mut known, mut spanned) = (template.letters(), 0);
            let filled = template.filled(&values, |value, manner| {
                let reading = self.value(value, manner, depth - 1, memo);
                known += reading.known;
                spanned += reading.spanned + clauses(value.text).len();
                reading.text
            });
            let reading = ScoredTranslation {
                known,
                spanned,
                text: filled,
            };
            if reading.known > 0 && reading.is_better_than(&best) {
                best = reading;
            }
        }
        if (best.known < letters(text) || best.spanned > 0)
            && let Some((before, inside)) = in_parentheses(text)
        {
            let before = self.read(before, depth - 1, memo);
            let inside = self.read(inside, depth - 1, memo);
            let reading = ScoredTranslation {
                known: before.known + inside.known,
                spanned: before.spanned + inside.spanned,
                text: format!("{}（{}）", before.text, inside.text),
            };
            if reading.known > 0 && reading.is_better_than(&best) {
                best = reading;
            }
        }
        best
    }

    fn value<'t>(
        &self,
        value: Value<'t>,
        manner: ValueTranslation,
        depth: usize,
        memo: &mut BTreeMap<(&'t str, usize), ScoredTranslation>,
    ) -> ScoredTranslation {
        let text = value.text.trim();
        let as_it_is = |known: usize, text: String| ScoredTranslation {
            known,
            spanned: 0,
            text,
        };
        match (manner, value.kind) {
            (ValueTranslation::Raw, _) => as_it_is(0, text.to_owned()),
            (_, PlaceholderKind::Number) if text == "no" => as_it_is(2, "0".to_owned()),
            (_, PlaceholderKind::Number) => as_it_is(0, text.replace(" to ", " 至 ")),
            (ValueTranslation::Word, _) => match self.words.get(text) {
                Some(word) => as_it_is(letters(text), word.clone()),
                None => self.read(text, depth, memo),
            },
            (ValueTranslation::Text, _) => self.read(text, depth, memo),
            (ValueTranslation::Written, _) => {
                let reading = self.read(text, depth, memo);
                match reading.known >= 8 && reading.known * 2 >= letters(text) {
                    true => reading,
                    false => as_it_is(0, text.to_owned()),
                }
            }
        }
    }
}

/// Returns the places between clauses of a text, outside of quotes and brackets: where one is,
/// how long it is, and what stands there in Chinese.
fn clauses(text: &str) -> Vec<(usize, usize, &'static str)> {
    let (mut found, mut depth, mut quote) = (Vec::new(), 0usize, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '`') => quote = Some(c),
            (None, '(' | '{' | '[') => depth += 1,
            (None, ')' | '}' | ']') => depth = depth.saturating_sub(1),
            _ if depth > 0 => {}
            _ => {
                let rest = &text[at..];
                let between = BETWEEN.iter().find(|(mark, _)| rest.starts_with(mark));
                if let Some((mark, chinese)) = between.filter(|_| at > 0) {
                    found.push((at, mark.len(), *chinese));
                }
            }
        }
    }
    found
}

/// Takes a text apart that ends with something in parentheses.
fn in_parentheses(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_suffix(')')?;
    let mut depth = 0usize;
    for (at, c) in inside.char_indices().rev() {
        match c {
            ')' => depth += 1,
            '(' if depth > 0 => depth -= 1,
            '(' => {
                let before = &inside[..at];
                let before = match before.is_empty() {
                    true => before,
                    false => before.strip_suffix(' ')?,
                };
                return Some((before, &inside[at + 1..]));
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn catalogue() -> Catalogue {
        let entry = |id: &str, text: &str| Entry {
            id: id.into(),
            text: text.into(),
            ..Entry::default()
        };
        let word = |id: &str, text: &str| Entry {
            context: Some("word".into()),
            ..entry(id, text)
        };
        Catalogue::of(vec![
            entry("not read yet", "尚未读取"),
            entry("{} dropped", "丢弃 {} 个"),
            entry("{} waiting", "{} 个等待"),
            entry("one of {}", "以下之一：{}"),
            entry("as it ought to be{?}", "均已在线{}"),
            entry("never answered since the start", "启动以来从未应答"),
            entry(
                "silent: {}, {} quiet, last: {}",
                "无应答：{}，静默 {}，最后：{}",
            ),
            entry("not one byte came back", "没有收到任何字节"),
            entry("{n} s", "{} 秒"),
            entry("its port is down: {}", "端口断开：{}"),
            entry("{} already has this name", "{} 已使用该名称"),
            entry("{w} and {w}", "{1:word}且{2:word}"),
            entry("said    {}", "现为    {}"),
            entry(
                "check wiring, unit id, line settings",
                "检查接线、站号、线路参数",
            ),
            entry("No such file or directory", "没有该文件或目录"),
            Entry {
                plural: Some("{n} devices".into()),
                ..entry("{n} device", "{} 台设备")
            },
            word("silent", "无应答"),
            word("offline", "离线"),
        ])
    }

    #[test]
    fn a_text_is_known_as_it_is_as_a_template_or_by_its_clauses() {
        let say = |text: &str| catalogue().say(text);
        assert_eq!(say("not read yet"), "尚未读取");
        assert_eq!(
            say("  not read yet\n\nsaid    5"),
            "  尚未读取\n\n现为    5"
        );
        assert_eq!(
            say(
                "silent: 3 x, 10.2 to 13.0 s quiet, last: not one byte came back, never answered since the start (check wiring, unit id, line settings)"
            ),
            "无应答：3 x，静默 10.2 至 13.0 秒，最后：没有收到任何字节，启动以来从未应答（检查接线、站号、线路参数）"
        );
        assert_eq!(
            say("its port is down: No such file or directory"),
            "端口断开：没有该文件或目录"
        );
        assert_eq!(
            say("1 device, no devices; x: y"),
            "1 台设备，0 台设备；x: y"
        );
        assert_eq!(say("2 waiting, 5 dropped"), "2 个等待，丢弃 5 个");
        assert_eq!(say("one of a, b, c"), "以下之一：a, b, c");
        assert_eq!(say("as it ought to be"), "均已在线");
        assert_eq!(say("as it ought to be (4 s)"), "均已在线（4 秒）");
    }

    #[test]
    fn words_are_translated_only_where_they_are_asked_for() {
        let catalogue = catalogue();
        assert_eq!(catalogue.say("silent"), "silent");
        assert_eq!(catalogue.word("silent"), "无应答");
        assert_eq!(catalogue.say("silent and offline"), "无应答且离线");
        let name = "silent already has this name";
        assert_eq!(catalogue.say(name), "silent 已使用该名称");
    }

    #[test]
    fn what_is_not_known_stays_as_it_is() {
        for text in [
            "",
            " ",
            "who: knows, what; this (is)",
            "{ host: 10.0.0.1, port: 502 }",
        ] {
            assert_eq!(catalogue().say(text), text);
        }
    }

    proptest! {
        #[test]
        fn whatever_the_text_its_blanks_and_lines_stay(text in "[a-z ,:;(){}\"\n]{0,120}") {
            let said = catalogue().say(&text);
            prop_assert_eq!(said.matches('\n').count(), text.matches('\n').count());
        }

        #[test]
        fn no_text_makes_it_fail(text in ".{0,60}") {
            let _ = catalogue().say(&text);
        }
    }
}
