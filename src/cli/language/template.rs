//! A text of the catalogue with places for values.
//!
//! In an English text `{}` is any text, `{?}` any text or none, `{n}` a number and `{w}` a word
//! without blanks. In its
//! translation `{}` is the next value, `{2}` the second; `{2:word}` translates it as a word of a
//! closed set too, `{2:written}` only if most of it is known, for a user may have written it, and
//! `{2:raw}` not at all. Any other brace stands for itself.

use super::punctuation::push;

/// How many comparisons one text is worth: what is read is short, but it may come from elsewhere.
const MOST_STEPS: usize = 400;

/// What may stand at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PlaceholderKind {
    Text,
    Optional,
    Number,
    Word,
}

/// How the value of a place is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueTranslation {
    /// As a text.
    Text,
    /// As a word of a closed set, or as a text.
    Word,
    /// As a text that a user may have written: only if most of it is known.
    Written,
    /// Not at all.
    Raw,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece<T> {
    Fixed(String),
    Place(T),
}

/// An English text with places, and its translation.
#[derive(Clone, Debug)]
pub(super) struct Template {
    english: Vec<Piece<PlaceholderKind>>,
    /// The number of the value, from 0 on, and how it is translated.
    chinese: Vec<Piece<(usize, ValueTranslation)>>,
    /// How many letters are fixed.
    letters: usize,
}

/// A value at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value<'t> {
    pub kind: PlaceholderKind,
    pub text: &'t str,
}

/// Returns how many letters a text has.
pub(super) fn letters(text: &str) -> usize {
    text.chars().filter(|c| c.is_alphabetic()).count()
}

/// Returns whether this is a number as the program writes it: `1,234`, `0.5`, `-40`, `500ms`, `no`,
/// or a range of two.
pub(super) fn is_number(text: &str) -> bool {
    if let Some((least, most)) = text.split_once(" to ") {
        return is_number(least) && is_number(most);
    }
    let digits = text.trim_start_matches(['-', '+', '±', '~']);
    text == "no"
        || (digits.starts_with(|c: char| c.is_ascii_digit()) && !text.contains(char::is_whitespace))
}

/// Splits a text at its placeholders; `read` says what the inside of two braces means.
fn pieces<T>(text: &str, mut read: impl FnMut(&str) -> Option<T>) -> Vec<Piece<T>> {
    let (mut all, mut fixed, mut rest) = (Vec::new(), String::new(), text);
    while let Some(at) = rest.find('{') {
        let (before, after) = rest.split_at(at);
        fixed.push_str(before);
        let inside = after.get(1..).and_then(|a| a.split('}').next());
        let place = inside.and_then(|inside| Some((read(inside)?, inside.len() + 2)));
        match place {
            Some((place, length)) if after.len() >= length => {
                if !fixed.is_empty() {
                    all.push(Piece::Fixed(std::mem::take(&mut fixed)));
                }
                all.push(Piece::Place(place));
                rest = after.get(length..).unwrap_or_default();
            }
            _ => {
                fixed.push('{');
                rest = after.get(1..).unwrap_or_default();
            }
        }
    }
    fixed.push_str(rest);
    if !fixed.is_empty() {
        all.push(Piece::Fixed(fixed));
    }
    all
}

fn english(text: &str) -> Vec<Piece<PlaceholderKind>> {
    pieces(text, |inside| match inside {
        "" => Some(PlaceholderKind::Text),
        "?" => Some(PlaceholderKind::Optional),
        "n" => Some(PlaceholderKind::Number),
        "w" => Some(PlaceholderKind::Word),
        _ => None,
    })
}

fn chinese(text: &str) -> Vec<Piece<(usize, ValueTranslation)>> {
    let mut next = 0;
    pieces(text, |inside| {
        let (number, manner) = match inside.split_once(':') {
            None => (inside, ValueTranslation::Text),
            Some((number, "word")) => (number, ValueTranslation::Word),
            Some((number, "raw")) => (number, ValueTranslation::Raw),
            Some((number, "written")) => (number, ValueTranslation::Written),
            Some(_) => return None,
        };
        let number = match number {
            "" => next,
            number => number.parse::<usize>().ok()?.checked_sub(1)?,
        };
        next = number + 1;
        Some((number, manner))
    })
}

impl Template {
    /// Reads a text and its translation; `None` if it has no place.
    pub(super) fn of(id: &str, text: &str) -> Option<Template> {
        let english = english(id);
        let has_place = english.iter().any(|p| matches!(p, Piece::Place(_)));
        let fixed = english.iter().map(|piece| match piece {
            Piece::Fixed(text) => letters(text),
            Piece::Place(_) => 0,
        });
        let letters = fixed.sum();
        has_place.then(|| Template {
            english,
            chinese: chinese(text),
            letters,
        })
    }

    /// Returns how many letters are fixed.
    pub(super) const fn letters(&self) -> usize {
        self.letters
    }

    /// Returns how little fits its places, for a comparison.
    pub(super) fn strictness(&self) -> usize {
        let strictness = self.english.iter().map(|piece| match piece {
            Piece::Fixed(text) => text.len(),
            Piece::Place(PlaceholderKind::Number) => 4,
            Piece::Place(PlaceholderKind::Word) => 2,
            Piece::Place(PlaceholderKind::Text | PlaceholderKind::Optional) => 0,
        });
        strictness.sum()
    }

    /// Returns the longest word that is in every text of this template.
    pub(super) fn word(&self) -> Option<&str> {
        let last = self.english.len().saturating_sub(1);
        let words = self.english.iter().enumerate().flat_map(|(n, piece)| {
            let Piece::Fixed(text) = piece else {
                return Vec::new();
            };
            let all = words(text);
            // A word beside a place may be a part of a word.
            let is_whole = |word: &&str| {
                let at = word.as_ptr() as usize - text.as_ptr() as usize;
                (n == 0 || at > 0) && (n == last || at + word.len() < text.len())
            };
            all.filter(is_whole).collect::<Vec<&str>>()
        });
        words.max_by_key(|word| word.len())
    }

    /// Returns the values with which this template makes the text.
    pub(super) fn values<'t>(&self, text: &'t str) -> Option<Vec<Value<'t>>> {
        // A value is a whole: its brackets and quotes are closed in it.
        let is_whole = |fits: bool| move |value: &str| !fits || is_balanced(value);
        [true, false].into_iter().find_map(|fits| {
            let (mut values, mut steps) = (Vec::new(), MOST_STEPS);
            let is_whole = is_whole(fits);
            matched(&self.english, text, &is_whole, &mut values, &mut steps).then_some(values)
        })
    }

    /// Writes the translation with these values, each translated by `say`.
    pub(super) fn filled<'t>(
        &self,
        values: &[Value<'t>],
        mut say: impl FnMut(Value<'t>, ValueTranslation) -> String,
    ) -> String {
        let mut out = String::new();
        for piece in &self.chinese {
            match piece {
                Piece::Fixed(text) => push(&mut out, text),
                Piece::Place((number, manner)) => {
                    if let Some(value) = values.get(*number) {
                        push(&mut out, &say(*value, *manner));
                    }
                }
            }
        }
        out
    }
}

/// Returns whether each bracket and quote that is opened in a text is closed in it.
fn is_balanced(text: &str) -> bool {
    let count = |wanted: char| text.matches(wanted).count();
    let pairs = [('(', ')'), ('[', ']'), ('{', '}')];
    let is_closed = pairs
        .iter()
        .all(|(open, close)| count(*open) == count(*close));
    is_closed && count('"').is_multiple_of(2) && count('`').is_multiple_of(2)
}

/// Returns the words of a text: runs of letters.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.starts_with(char::is_alphabetic))
}

fn matched<'t>(
    pieces: &[Piece<PlaceholderKind>],
    text: &'t str,
    is_whole: &impl Fn(&str) -> bool,
    values: &mut Vec<Value<'t>>,
    steps: &mut usize,
) -> bool {
    let Some((first, rest)) = pieces.split_first() else {
        return text.is_empty();
    };
    let kind = match first {
        Piece::Fixed(fixed) => {
            return text
                .strip_prefix(fixed.as_str())
                .is_some_and(|text| matched(rest, text, is_whole, values, steps));
        }
        Piece::Place(kind) => *kind,
    };
    let fits = |value: &str| match kind {
        PlaceholderKind::Text => !value.is_empty() && is_whole(value),
        PlaceholderKind::Optional => is_whole(value),
        PlaceholderKind::Number => is_number(value),
        PlaceholderKind::Word => {
            let ends = value.ends_with([',', ';']);
            !value.is_empty() && !ends && !value.contains(char::is_whitespace)
        }
    };
    let Some(Piece::Fixed(after)) = rest.first() else {
        // The last place takes the rest; two places without anything between them are one.
        values.push(Value { kind, text });
        return rest.is_empty() && fits(text);
    };
    let held = values.len();
    for (at, _) in text.match_indices(after.as_str()) {
        *steps = steps.saturating_sub(1);
        if *steps == 0 {
            return false;
        }
        let (value, behind) = text.split_at(at);
        if fits(value) {
            values.truncate(held);
            values.push(Value { kind, text: value });
            if matched(rest, behind, is_whole, values, steps) {
                return true;
            }
        }
    }
    values.truncate(held);
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(id: &str, text: &str) -> Option<Vec<String>> {
        let template = Template::of(id, "").unwrap();
        let values = template.values(text)?;
        Some(values.iter().map(|v| v.text.to_owned()).collect())
    }

    #[test]
    fn a_text_is_taken_apart_at_the_fixed_parts_in_their_order() {
        let found = values("{} is {}, as {} is", "Relay is 2, as State is");
        assert_eq!(found.unwrap(), ["Relay", "2", "State"]);
        assert_eq!(values("at most {}", "at most 5 s").unwrap(), ["5 s"]);
        assert_eq!(values("at most {}", "at most "), None);
        assert_eq!(values("at most {}", "is at most 5"), None);
        // The first place at which a fixed part stands may be the wrong one.
        let found = values("{} of {n} bytes", "name of unit of 12 bytes");
        assert_eq!(found.unwrap(), ["name of unit", "12"]);
        // A value with a bracket has its end as well.
        let found = values("{}, {} a day", "up (5, or 6), 7 a day");
        assert_eq!(found.unwrap(), ["up (5, or 6)", "7"]);
        // Braces that are no placeholders stand for themselves.
        let found = values("write: { POINT: ${} }", "write: { POINT: $level }");
        assert_eq!(found.unwrap(), ["level"]);
    }

    #[test]
    fn numbers_and_words_are_no_other_text() {
        assert_eq!(values("{n} to {n}", "1 to 2,000").unwrap(), ["1", "2,000"]);
        assert_eq!(values("{n} to {n}", "from a to b"), None);
        assert_eq!(values("{n} devices", "no devices").unwrap(), ["no"]);
        assert_eq!(
            values("{n} s quiet", "10.2 to 13.0 s quiet").unwrap().len(),
            1
        );
        assert_eq!(values("{w} and {w}", "alive and online").unwrap().len(), 2);
        assert_eq!(values("{w} and {w}", "not alive and online"), None);
    }

    #[test]
    fn a_translation_may_turn_the_values_round() {
        let template = Template::of("{} of {}", "{2} 的{1:word}{}").unwrap();
        let values = template.values("unit of meter").unwrap();
        let filled = template.filled(&values, |value, manner| match manner {
            ValueTranslation::Word => "站号".into(),
            _ => value.text.to_owned(),
        });
        assert_eq!(filled, "meter 的站号 meter");
    }

    #[test]
    fn a_template_knows_a_word_that_no_text_of_it_lacks() {
        let word = |id: &str| Template::of(id, "").unwrap().word().map(str::to_owned);
        assert_eq!(word("{}s of {}").as_deref(), Some("of"));
        assert_eq!(word("within {}").as_deref(), Some("within"));
        assert_eq!(word("{}ms"), None);
    }

    #[test]
    fn a_text_made_to_be_slow_is_given_up() {
        let text = "a ".repeat(5000);
        assert_eq!(values("{} a {} a {} a {} a b", &text), None);
    }
}
