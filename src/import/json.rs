//! JSON with comments to a [`Tree`].

use serde_json::Value;

use super::ImportRefusal;
use super::tree::{Tree, TreeValue, ValueAllowance};

/// Reads a text; `//` and `/* */` outside of strings are comments, and a comma before a closing
/// bracket is allowed.
///
/// # Errors
/// It is not JSON, or too much.
pub fn read(text: &str) -> Result<Tree, ImportRefusal> {
    let plain = without_comments(text);
    let value: Value = serde_json::from_str(&plain).map_err(|e| ImportRefusal::Malformed {
        line: u32::try_from(e.line()).unwrap_or(0),
        format: "JSON",
        why: e.to_string(),
    })?;
    tree(value, &mut ValueAllowance::default(), 0)
}

fn tree(value: Value, left: &mut ValueAllowance, depth: usize) -> Result<Tree, ImportRefusal> {
    left.take(depth)?;
    let is = match value {
        Value::Null => TreeValue::Nothing,
        Value::Bool(is) => TreeValue::Text(is.to_string()),
        Value::Number(number) => TreeValue::Text(number.to_string()),
        Value::String(text) => TreeValue::Text(text),
        Value::Array(list) => {
            let all = list.into_iter().map(|v| tree(v, left, depth + 1));
            TreeValue::List(all.collect::<Result<_, _>>()?)
        }
        Value::Object(entries) => {
            let entry = |(key, v)| Ok((key, tree(v, left, depth + 1)?));
            TreeValue::Map(entries.into_iter().map(entry).collect::<Result<_, _>>()?)
        }
    };
    Ok(Tree { line: 0, is })
}

/// Puts blanks in the place of comments and of commas before a closing bracket, so that lines stay
/// where they are.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut in_text = false;
    // Where a comma stands that nothing but blanks follows.
    let mut comma = None;
    while let Some(c) = chars.next() {
        if in_text {
            out.push(c);
            match c {
                '\\' => out.extend(chars.next()),
                '"' => in_text = false,
                _ => {}
            }
            continue;
        }
        match (c, chars.peek()) {
            ('/', Some('/')) => {
                while chars.peek().is_some_and(|c| *c != '\n') {
                    chars.next();
                }
                continue;
            }
            ('/', Some('*')) => {
                chars.next();
                let mut before = ' ';
                for c in chars.by_ref() {
                    if c == '\n' {
                        out.push(c);
                    }
                    if before == '*' && c == '/' {
                        break;
                    }
                    before = c;
                }
                continue;
            }
            _ => {}
        }
        match c {
            ',' => comma = Some(out.len()),
            ']' | '}' => {
                if let Some(at) = comma.take() {
                    out.replace_range(at..=at, " ");
                }
            }
            c if c.is_whitespace() => {}
            _ => comma = None,
        }
        in_text = c == '"';
        out.push(c);
    }
    out
}
