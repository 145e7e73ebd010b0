//! Adds items to a list of a configuration as text, so that comments and layout stay.

/// Why items cannot be added as text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {line}: {key}: is not written as a list with one item for each dash, so nothing can be added to it here"
)]
pub struct NotAList {
    /// The key.
    pub key: String,
    /// The line on which it stands, from 1 on.
    pub line: usize,
}

/// Adds items to the list under a key of the top level, behind those that it has; adds the key if
/// there is none. Each item is lines of YAML without indentation, the first of which begins with
/// `- `. Comments, the way in which the key is written, and the endings of lines stay.
///
/// # Errors
/// [`NotAList`].
pub fn added(text: &str, key: &str, items: &[String]) -> Result<String, NotAList> {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let ending = match lines.first() {
        Some(first) if first.ends_with("\r\n") => "\r\n",
        _ => "\n",
    };
    let mut heads = lines.iter().enumerate();
    let head = heads.find_map(|(at, line)| Some((at, head_len(line, key)?)));
    let Some((at, head)) = head else {
        let mut out = text.to_owned();
        end_line(&mut out, ending);
        if !out.is_empty() {
            out.push_str(ending);
        }
        out.push_str(&format!("{key}:{ending}"));
        out.push_str(&indented(items, 2, ending));
        return Ok(out);
    };
    let refused = || NotAList {
        key: key.to_owned(),
        line: at + 1,
    };
    let (head, rest) = lines[at].split_at(head);
    let (value, comment) = split_comment(rest);
    if !matches!(value, "" | "[]" | "~" | "null") {
        return Err(refused());
    }
    // The list ends before the next key of the top level; comments and blanks before that key
    // belong to it.
    let body = &lines[at + 1..];
    let is_item = |line: &str| line.trim_start().starts_with("- ") || line.trim() == "-";
    let belongs = |line: &str| line.starts_with([' ', '\t']) || is_item(line);
    let next = body.iter().position(|line| {
        let is_blank = line.trim().is_empty() || line.starts_with('#');
        !is_blank && !belongs(line)
    });
    let body = &body[..next.unwrap_or(body.len())];
    let holds = |line: &&str| {
        let words = line.trim();
        belongs(line) && !words.is_empty() && !words.starts_with('#')
    };
    let last = body.iter().rposition(holds);
    let first = body.iter().find(|line| holds(line));
    let indent = match first {
        Some(line) if is_item(line) => line.len() - line.trim_start().len(),
        // What begins otherwise is no list, or not one that can be added to as text.
        Some(_) => return Err(refused()),
        None => 2,
    };
    let behind = at + 1 + last.map_or(0, |last| last + 1);
    let mut out = String::new();
    for (nth, line) in lines.iter().enumerate() {
        if nth == behind {
            out.push_str(&indented(items, indent, ending));
        }
        if nth == at && first.is_none() {
            // Without the value, which says that the list is empty.
            out.push_str(head);
            out.push_str(comment);
            out.push_str(ending_of(line));
        } else {
            out.push_str(line);
        }
    }
    if behind >= lines.len() {
        end_line(&mut out, ending);
        out.push_str(&indented(items, indent, ending));
    }
    Ok(out)
}

/// Returns how long the key at the head of a line is, with its colon; `None` if the line has
/// another key, or none. A key may be quoted, and blanks may stand before the colon (YAML 1.2
/// §7.4).
fn head_len(line: &str, key: &str) -> Option<usize> {
    let ways = [key.to_owned(), format!("\"{key}\""), format!("'{key}'")];
    ways.iter().find_map(|written| {
        let rest = line.strip_prefix(written.as_str())?;
        let value = rest.trim_start_matches([' ', '\t']).strip_prefix(':')?;
        let is_key = value.is_empty() || value.starts_with(char::is_whitespace);
        is_key.then(|| line.len() - value.len())
    })
}

/// Returns the value behind a key, and the comment with the blanks before it.
fn split_comment(rest: &str) -> (&str, &str) {
    let rest = rest.trim_end();
    // A comment begins behind a blank (YAML 1.2 §6.6).
    let mut blanks = rest.match_indices([' ', '\t']);
    let comment = blanks.find(|(at, _)| rest[at + 1..].trim_start().starts_with('#'));
    match comment {
        Some((at, _)) => (rest[..at].trim(), &rest[at..]),
        None => (rest.trim(), ""),
    }
}

/// Returns the ending of a line, which the last line of a text may lack.
fn ending_of(line: &str) -> &str {
    &line[line.trim_end_matches(['\r', '\n']).len()..]
}

/// Ends the last line of a text, if it has no ending.
fn end_line(text: &mut String, ending: &str) {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push_str(ending);
    }
}

fn indented(items: &[String], indent: usize, ending: &str) -> String {
    let lines = items.iter().flat_map(|item| item.lines());
    lines
        .map(|line| format!("{:indent$}{line}{ending}", ""))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(name: &str) -> Vec<String> {
        vec![format!("- name: {name}\n  unit: 1")]
    }

    #[test]
    fn an_empty_list_and_a_missing_one_get_items() {
        assert_eq!(
            added("ports: []\ndevices: []  # none yet\n", "ports", &item("a")).unwrap(),
            "ports:\n  - name: a\n    unit: 1\ndevices: []  # none yet\n"
        );
        assert_eq!(
            added("a: 1", "devices", &item("x")).unwrap(),
            "a: 1\n\ndevices:\n  - name: x\n    unit: 1\n"
        );
    }

    #[test]
    fn items_come_behind_the_last_with_its_indentation() {
        let text = "devices:\n- name: a\n  unit: 7   # the first\n\n# about b\nb: 1\n";
        assert_eq!(
            added(text, "devices", &item("x")).unwrap(),
            "devices:\n- name: a\n  unit: 7   # the first\n- name: x\n  unit: 1\n\n# about b\nb: 1\n"
        );
        let text = "devices:\n    - {name: a}\n    # one more comment";
        assert_eq!(
            added(text, "devices", &item("x")).unwrap(),
            "devices:\n    - {name: a}\n    - name: x\n      unit: 1\n    # one more comment"
        );
    }

    #[test]
    fn comments_on_the_head_endings_of_lines_and_quotes_of_the_key_stay() {
        assert_eq!(
            added("devices: [] # none yet\nb: 1\n", "devices", &item("x")).unwrap(),
            "devices: # none yet\n  - name: x\n    unit: 1\nb: 1\n"
        );
        assert_eq!(
            added("devices:   # ours, [] and all", "devices", &item("x")).unwrap(),
            "devices:   # ours, [] and all\n  - name: x\n    unit: 1\n"
        );
        assert_eq!(
            added(
                "a: 1\r\ndevices:\r\n  - name: a\r\nb: 1",
                "devices",
                &item("x")
            )
            .unwrap(),
            "a: 1\r\ndevices:\r\n  - name: a\r\n  - name: x\r\n    unit: 1\r\nb: 1"
        );
        assert_eq!(
            added("a: 1\r\n", "devices", &item("x")).unwrap(),
            "a: 1\r\n\r\ndevices:\r\n  - name: x\r\n    unit: 1\r\n"
        );
        for key in ["\"devices\":", "devices :", "'devices' :"] {
            assert_eq!(
                added(&format!("{key} []\n"), "devices", &item("x")).unwrap(),
                format!("{key}\n  - name: x\n    unit: 1\n")
            );
        }
        let other = "devices_of_others: []\n";
        let text = added(other, "devices", &item("x")).unwrap();
        assert!(text.starts_with(other), "{text}");
    }

    #[test]
    fn what_is_no_list_of_dashes_is_refused() {
        for text in [
            "devices: [{name: a}]\n",
            "x: 1\ndevices:\n  name: a\n",
            "devices:\n  a:\n    - b\n",
        ] {
            let refused = added(text, "devices", &item("x")).unwrap_err();
            assert_eq!(refused.key, "devices");
        }
    }
}
