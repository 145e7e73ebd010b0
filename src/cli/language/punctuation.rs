//! How Chinese and Latin text stand beside each other, and where Chinese lines are broken.

/// Characters that do not begin a line (GB/T 15834-2011, 5.1.1 to 5.1.5: marks that end or
/// separate stay with what is before them).
const CLOSING: &str = "，。、；：？！”’）》】〉」』…—·,.;:?!)]}%";
/// Characters that do not end a line: marks that open stay with what is behind them.
const OPENING: &str = "“‘（《【〈「『([{";

/// Returns whether a character is an ideograph: text of these has no blanks between words (Unicode
/// Standard, chapter 18; the blocks that Chinese uses).
fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{20000}'..='\u{323AF}')
}

/// Returns whether a character is a mark of Chinese punctuation.
fn is_chinese_mark(c: char) -> bool {
    matches!(c, '\u{3000}'..='\u{303F}' | '\u{FF01}'..='\u{FF0F}' | '\u{FF1A}'..='\u{FF1F}' | '“' | '”' | '‘' | '’')
}

/// Returns whether a line may be broken between two characters without a blank between them.
pub(crate) fn may_break(before: char, after: char) -> bool {
    let is_chinese = |c| is_ideograph(c) || is_chinese_mark(c);
    (is_chinese(before) || is_chinese(after))
        && !CLOSING.contains(after)
        && !OPENING.contains(before)
}

/// Appends a part. Between an ideograph and a Latin letter or digit stands a blank, between two
/// ideographs and beside Chinese punctuation none.
pub(super) fn push(text: &mut String, part: &str) {
    let before = text.trim_end_matches(' ').chars().next_back();
    let after = part.trim_start_matches(' ').chars().next();
    let (Some(before), Some(after)) = (before, after) else {
        text.push_str(part);
        return;
    };
    let is_chinese = |c| is_ideograph(c) || is_chinese_mark(c);
    let is_latin = |c: char| !is_chinese(c) && c.is_alphanumeric() || "\"'`/<$%*-".contains(c);
    // More than one blank is a gap between columns.
    let has_gap = text.ends_with("  ");
    if !has_gap
        && (is_chinese(before) && is_chinese(after)
            || is_chinese_mark(before)
            || is_chinese_mark(after))
    {
        text.truncate(text.trim_end_matches(' ').len());
        text.push_str(part.trim_start_matches(' '));
        return;
    }
    let wants_blank =
        is_ideograph(before) && is_latin(after) || is_latin(before) && is_ideograph(after);
    if wants_blank && !text.ends_with(' ') && !part.starts_with(' ') {
        text.push(' ');
    }
    text.push_str(part);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_ideographs_and_not_before_what_closes() {
        for (before, after, may) in [
            ('设', '备', true),
            ('设', 'a', true),
            ('a', '设', true),
            ('a', 'b', false),
            ('备', '，', false),
            ('，', '设', true),
            ('（', '设', false),
            ('备', '）', false),
            ('；', 'a', true),
        ] {
            assert_eq!(may_break(before, after), may, "{before}{after}");
        }
    }

    #[test]
    fn latin_text_stands_apart_and_chinese_text_does_not() {
        let joined = |parts: &[&str]| {
            let mut text = String::new();
            for part in parts {
                push(&mut text, part);
            }
            text
        };
        assert_eq!(joined(&["共", "3", "台"]), "共 3 台");
        assert_eq!(joined(&["共 ", "3", " 台"]), "共 3 台");
        assert_eq!(joined(&["原因 ", "无应答", "，"]), "原因无应答，");
        assert_eq!(joined(&["端口", "：", "line1"]), "端口：line1");
        assert_eq!(joined(&["  ", "设备"]), "  设备");
        assert_eq!(joined(&["提示    ", "设备"]), "提示    设备");
    }
}
