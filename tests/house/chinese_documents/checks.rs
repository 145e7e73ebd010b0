//! What a translation must have in common with its text: inline code, links, numbers, names of
//! files and keys, the same word for the same term, and bold words that Markdown really shows bold.

use std::collections::BTreeSet;

use super::pieces::Kind;

/// Words that mean what another word already means in these texts, and that word; one term has
/// one Chinese word (the head of `docs/zh_CN.po`).
const OTHER_WORDS: [(&str, &str); 9] = [
    ("从机", "从站"),
    ("适配器", "转换器"),
    ("点位", "测点"),
    ("缺省", "默认"),
    ("重载", "重新加载"),
    ("响应超时", "应答超时"),
    ("掉线", "下线"),
    ("凭证", "凭据"),
    ("轮训", "轮询"),
];

/// Returns what is wrong with a translation, as sentences.
pub(super) fn problems(kind: Kind, english: &str, chinese: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let mut compare = |what: &str, of: fn(&str) -> Vec<String>| {
        let (mut english, mut chinese) = (of(english), of(chinese));
        english.sort();
        chinese.sort();
        if english != chinese {
            problems.push(format!("{what}: {english:?} became {chinese:?}"));
        }
    };
    if kind == Kind::Comment {
        compare("names", names);
    } else {
        compare("inline code", inline_code);
        compare("links", links);
        compare("names", |text| names(&without_code(text)));
    }
    compare("numbers", numbers);
    for (other, word) in OTHER_WORDS {
        if chinese.contains(other) {
            problems.push(format!("{other} is called {word} here"));
        }
    }
    if !matches!(kind, Kind::Comment | Kind::Block) {
        problems.extend(emphasis_problem(chinese));
    }
    problems
}

/// Returns the words in `backticks`.
fn inline_code(text: &str) -> Vec<String> {
    let inside = text.split('`').skip(1).step_by(2);
    inside.map(str::to_owned).collect()
}

fn without_code(text: &str) -> String {
    text.split('`').step_by(2).collect::<Vec<_>>().join(" ")
}

/// Returns where the links of Markdown lead.
fn links(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1);
    let targets = targets.filter_map(|t| t.split(')').next());
    targets.map(str::to_owned).collect()
}

/// Returns the numbers in figures: `9600`, `0.5`, `100,000`, `1.0`, `05:56`.
fn numbers(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let is_part = |c: char| c.is_ascii_digit() || ".,:".contains(c);
    for word in text.split(|c| !is_part(c)) {
        let word = word.trim_matches(|c: char| !c.is_ascii_digit());
        if !word.is_empty() {
            found.push(word.to_owned());
        }
    }
    found
}

/// Returns the words that are names for programs and not for people, each once: with `_`, `/`,
/// `@`, `=`, `$` or braces in them, and file names.
fn names(text: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_/@=${}.*+-:%".contains(c);
    let names: BTreeSet<String> = text
        .split(|c| !is_part(c))
        .map(|word| word.trim_matches(|c| ".:,-".contains(c)))
        .filter(|word| is_name(word))
        .map(str::to_owned)
        .collect();
    names.into_iter().collect()
}

fn is_name(word: &str) -> bool {
    let begins = word.starts_with(|c: char| c.is_ascii_alphanumeric() || "/$@{".contains(c));
    let has_letter = word.chars().any(|c| c.is_ascii_alphabetic());
    let is_file = word.split_once('.').is_some_and(|(stem, ending)| {
        !stem.is_empty()
            && ending.len() >= 2
            && ending.starts_with(|c: char| c.is_ascii_lowercase())
    });
    begins && has_letter && (is_file || word.contains(['_', '/', '@', '=', '$', '{', '}']))
}

/// Returns why bold or slanted words would not be shown so. Markdown takes a `*` for a sign only
/// if what stands beside it allows it, and Chinese has no blanks between words: behind
/// `**标题：**` a letter must not follow (`CommonMark` 0.31, section 6.2).
fn emphasis_problem(text: &str) -> Option<String> {
    // Inline code counts as what it begins and ends with, a backtick.
    let plain: String = text.split('`').step_by(2).collect::<Vec<_>>().join("``");
    let chars: Vec<char> = plain.chars().collect();
    let mut is_open = false;
    let mut at = 0;
    while at < chars.len() {
        if chars[at] != '*' {
            at += 1;
            continue;
        }
        let end = (at..chars.len())
            .find(|&e| chars[e] != '*')
            .unwrap_or(chars.len());
        let before = at.checked_sub(1).map_or(' ', |at| chars[at]);
        let behind = chars.get(end).copied().unwrap_or(' ');
        let (outside, inside) = if is_open {
            (behind, before)
        } else {
            (before, behind)
        };
        let is_sign = !inside.is_whitespace()
            && (!is_punctuation(inside) || outside.is_whitespace() || is_punctuation(outside));
        if !is_sign {
            return Some(format!(
                "`{before}*{behind}` is not read as bold or slanted"
            ));
        }
        is_open = !is_open;
        at = end;
    }
    is_open.then(|| "bold or slanted words do not end".to_owned())
}

fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation() || "，。、；：？！（）《》【】“”‘’…—·→≤≥×±".contains(c)
}

#[test]
fn what_differs_is_found() {
    let of = |english, chinese| problems(Kind::Paragraph, english, chinese).len();
    assert_eq!(of("`a` is 5 ms, see [x](y)", "`a` 为 5 ms，见[某](y)"), 0);
    assert_eq!(of("`a` is on", "`b` 打开"), 1);
    assert_eq!(of("within 8 s", "9 s 之内"), 1);
    assert_eq!(
        of(
            "100,000 values in gateway.yaml",
            "gateway.yaml 中 100,000 个值"
        ),
        0
    );
    assert_eq!(of("state_dir is kept", "状态目录保留"), 1);
    assert_eq!(of("[x](y)", "[某](z)"), 1);
    assert_eq!(of("reload", "重载"), 1);
    assert_eq!(of("**Wires.** One", "**接线**：一"), 0);
    assert_eq!(of("**Wires.** One", "**接线。**一"), 1);
    assert_eq!(of("**Wires.** One", "**接线：一"), 1);
    assert_eq!(of("**`a`** is", "**`a`** 是"), 0);
    assert_eq!(of("**`a`** is", "**`a`**是"), 1);
}
