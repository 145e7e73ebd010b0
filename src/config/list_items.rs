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
/// `- `.
///
/// # Errors
/// [`NotAList`].
pub fn added(text: &str, key: &str, items: &[String]) -> Result<String, NotAList> {
    let lines: Vec<&str> = text.lines().collect();
    let head = format!("{key}:");
    let is_head = |line: &str| {
        let rest = line.strip_prefix(head.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t']))
    };
    let Some(at) = lines.iter().position(|line| is_head(line)) else {
        let mut out = text.to_owned();
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
        out.push_str(&format!("\n{head}\n"));
        out.push_str(&indented(items, 2));
        return Ok(out);
    };
    let value = lines[at][head.len()..].trim();
    let value = value.split(" #").next().unwrap_or_default().trim();
    let is_comment = value.starts_with('#');
    if !(value.is_empty() || is_comment || value == "[]" || value == "~" || value == "null") {
        let (key, line) = (key.to_owned(), at + 1);
        return Err(NotAList { key, line });
    }
    // The list ends before the next key of the top level; comments and blanks before that key
    // belong to it.
    let body = &lines[at + 1..];
    let is_item = |line: &str| line.trim_start().starts_with("- ") || line.trim_start() == "-";
    let belongs = |line: &str| line.starts_with([' ', '\t']) || is_item(line);
    let next = body.iter().position(|line| {
        let is_blank = line.trim().is_empty() || line.starts_with('#');
        !is_blank && !belongs(line)
    });
    let body = &body[..next.unwrap_or(body.len())];
    let last = body
        .iter()
        .rposition(|line| belongs(line) && !line.trim_start().starts_with('#'));
    let first = body.iter().find(|line| is_item(line));
    let indent = match first {
        Some(line) => line.len() - line.trim_start().len(),
        None if last.is_some() => {
            let (key, line) = (key.to_owned(), at + 1);
            return Err(NotAList { key, line });
        }
        None => 2,
    };
    let behind = at + 1 + last.map_or(0, |last| last + 1);
    let mut out = String::new();
    for (nth, line) in lines.iter().enumerate() {
        if nth == behind {
            out.push_str(&indented(items, indent));
        }
        if nth == at && first.is_none() {
            out.push_str(&head);
        } else {
            out.push_str(line);
        }
        out.push('\n');
    }
    if behind >= lines.len() {
        out.push_str(&indented(items, indent));
    }
    Ok(out)
}

fn indented(items: &[String], indent: usize) -> String {
    let lines = items.iter().flat_map(|item| item.lines());
    lines
        .map(|line| format!("{:indent$}{line}\n", ""))
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
            "devices:\n    - {name: a}\n    - name: x\n      unit: 1\n    # one more comment\n"
        );
    }

    #[test]
    fn what_is_no_list_of_dashes_is_refused() {
        for text in ["devices: [{name: a}]\n", "x: 1\ndevices:\n  name: a\n"] {
            let refused = added(text, "devices", &item("x")).unwrap_err();
            assert_eq!(refused.key, "devices");
        }
    }
}
