//! Bytes from outside in a form that is safe and short for people.

use std::fmt::Write;

/// Returns whether a character controls how other characters are shown instead of being
/// shown itself: control characters, line and paragraph separators, and the characters with
/// the property `Bidi_Control` (Unicode Standard Annex #9, "Unicode Bidirectional
/// Algorithm"), which reverse the text after them.
#[must_use]
pub fn is_display_control(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}' | '\u{2029}'
            | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Returns the first bytes of malformed input in printable form: text as text, the rest
/// escaped, at most `limit` bytes, with the whole length if the input was cut.
#[must_use]
pub fn excerpt(bytes: &[u8], limit: usize) -> String {
    let shown = &bytes[..bytes.len().min(limit)];
    let mut out = String::new();
    for chunk in shown.utf8_chunks() {
        for c in chunk.valid().chars() {
            if is_display_control(c) {
                let _ = write!(out, "{}", c.escape_default());
            } else {
                out.push(c);
            }
        }
        for b in chunk.invalid() {
            let _ = write!(out, "\\x{b:02x}");
        }
    }
    if shown.len() < bytes.len() {
        let _ = write!(out, "… ({} bytes)", bytes.len());
    }
    out
}

/// Writes bytes in the usual notation of frames: `01 03 00 0a`.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 3);
    for (i, b) in bytes.iter().enumerate() {
        let _ = write!(out, "{}{b:02x}", if i == 0 { "" } else { " " });
    }
    out
}

/// Reads bytes in hexadecimal, with or without spaces between them; `None` if it is something
/// else.
#[must_use]
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').collect();
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    pairs.iter().map(byte).collect()
}

/// Writes a number with its noun, so that they agree: `no errors`, `1 error`, `1,200 errors`;
/// `noun` is the singular. A number beyond `u64` counts as the largest.
#[must_use]
pub fn counted(n: impl TryInto<u64>, noun: &str) -> String {
    number_and_noun(n.try_into().unwrap_or(u64::MAX), noun)
}

fn number_and_noun(n: u64, noun: &str) -> String {
    let number = match n {
        0 => "no".to_owned(),
        1 => return format!("1 {noun}"),
        n => grouped(n),
    };
    match noun.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{number} {stem}ies"),
        _ => format!("{number} {noun}s"),
    }
}

/// Returns the form of a word that goes with this number: `agreeing(n, "is", "are")`.
#[must_use]
pub fn plural<'a>(n: impl TryInto<u64>, one: &'a str, others: &'a str) -> &'a str {
    match n.try_into() {
        Ok(1) => one,
        _ => others,
    }
}

/// Writes how often something happened: `never`, `once`, `3 times`.
#[must_use]
pub fn times(n: u64) -> String {
    match n {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        n => format!("{} times", grouped(n)),
    }
}

/// Writes how often an event happened since it was last reported, in parentheses after a space;
/// nothing if that was once.
#[must_use]
pub fn since_reported(n: u64) -> String {
    match n {
        0 | 1 => String::new(),
        n => format!(" ({} since last reported)", times(n)),
    }
}

/// Writes a whole number with a comma before every three digits: `1,131,840`.
#[must_use]
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_numbers_are_grouped() {
        for (n, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_131_840, "1,131,840"),
            (10_000_000, "10,000,000"),
        ] {
            assert_eq!(grouped(n), text);
        }
    }

    #[test]
    fn numbers_and_words_agree() {
        for (n, noun, text) in [
            (0, "error", "no errors"),
            (1, "error", "1 error"),
            (2, "error", "2 errors"),
            (1, "entry", "1 entry"),
            (0, "entry", "no entries"),
            (3, "day", "3 days"),
            (12_345, "value", "12,345 values"),
        ] {
            assert_eq!(counted(n, noun), text);
        }
        assert_eq!(counted(u128::MAX, "x"), "18,446,744,073,709,551,615 xs");
        assert_eq!(
            [0, 1, 2].map(|n| plural(n, "is", "are")),
            ["are", "is", "are"]
        );
        assert_eq!([0, 1, 1000].map(times), ["never", "once", "1,000 times"]);
        assert_eq!(since_reported(1), "");
        assert_eq!(since_reported(2), " (2 times since last reported)");
    }

    #[test]
    fn an_excerpt_is_printable_and_bounded() {
        assert_eq!(excerpt(b"{\"id\":1}\n", 64), "{\"id\":1}\\n");
        assert_eq!(excerpt(&[0xff, b'a', 0], 64), "\\xffa\\u{0}");
        assert_eq!(excerpt(&[b'x'; 100], 3), "xxx… (100 bytes)");
        assert_eq!(
            excerpt("a\u{202E}b\u{2028}".as_bytes(), 64),
            "a\\u{202e}b\\u{2028}"
        );
    }

    #[test]
    fn hex_is_read_with_spaces_and_without() {
        assert_eq!(unhex("0A ff00"), Some(vec![0x0A, 0xFF, 0]));
        assert_eq!(unhex(""), Some(Vec::new()));
        for wrong in ["0", "0g", "0x12", "1é"] {
            assert_eq!(unhex(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn hex_is_spaced() {
        assert_eq!(hex(&[1, 0xab]), "01 ab");
    }
}
