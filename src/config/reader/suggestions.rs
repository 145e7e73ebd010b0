//! "Did you mean …?"

use crate::config::reader::foreign_words;

/// Returns the candidate nearest to `word`: a candidate that is near enough to be a typing error
/// (at most one change for every three characters, where a swap of neighbours counts as one
/// change), or the only candidate that begins with `word`.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(64).flat_map(char::to_lowercase).collect();
    let candidates: Vec<_> = candidates.into_iter().collect();
    let begun = |c: &&&str| {
        !word.is_empty()
            && c.to_lowercase()
                .chars()
                .zip(&word)
                .filter(|(a, b)| a == *b)
                .count()
                == word.len()
    };
    let mut beginnings = candidates.iter().filter(begun);
    if let (Some(only), None) = (beginnings.next(), beginnings.next()) {
        return Some(only);
    }
    let limit = word.len().div_ceil(3).min(3);
    candidates
        .into_iter()
        .map(|c| (distance(&word, c), c))
        .filter(|(d, _)| *d <= limit)
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}

/// Returns this configuration's word for a foreign word, or else the [`nearest`] candidate, as a
/// hint.
pub(crate) fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    // Only the letter case differs.
    let same = candidates.iter().find(|c| c.eq_ignore_ascii_case(word));
    let meant = same
        .copied()
        .or_else(|| foreign_words::own_word(word, &candidates));
    meant
        .or_else(|| nearest(word, candidates))
        .map(|c| format!("did you mean {c}?"))
}

/// Returns the optimal string alignment distance, ignoring case.
fn distance(a: &[char], b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).flat_map(char::to_lowercase).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_hand_are_recognised_and_strangers_are_not() {
        let keys = ["keepalive", "url", "ca_file"];
        assert_eq!(nearest("keepalife", keys), Some("keepalive"));
        assert_eq!(nearest("keep_alive", keys), Some("keepalive"));
        assert_eq!(nearest("KeepAlive", keys), Some("keepalive"));
        assert_eq!(nearest("keep", keys), Some("keepalive"));
        assert_eq!(nearest("ulr", keys), Some("url"));
        assert_eq!(nearest("broker", keys), None);
        assert_eq!(nearest("", keys), None);
    }
}
