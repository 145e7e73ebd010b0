//! A document in pieces: what is translated, and what stands between.
//!
//! Markdown is read as this repository writes it: headings with `#`, paragraphs, lists with `-`
//! and numbers, tables, fenced blocks. In a fenced block of `sh` or `yaml`, and in a YAML file,
//! comments are translated and everything else stays.

use crate::captures;

/// What kind of text a piece is, in the words of po4a.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Heading,
    Paragraph,
    ListItem,
    Cell,
    /// A comment in code.
    Comment,
    /// A block of output or a drawing, with its line breaks.
    Block,
}

impl Kind {
    /// Returns its name in the comments of a PO file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Heading => "Title",
            Kind::Paragraph => "Plain text",
            Kind::ListItem => "Bullet",
            Kind::Cell => "Cell",
            Kind::Comment => "Comment",
            Kind::Block => "Block",
        }
    }
}

/// A piece of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// What stays as it is, with its line breaks.
    Same(String),
    /// What the program shows, taken from a capture: its name (`tests/house/pages.rs`).
    Shown(String),
    /// What is translated: one paragraph without line breaks, except for a block.
    Text {
        kind: Kind,
        text: String,
        around: Around,
    },
}

/// What stands around a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Around {
    /// Nothing but what the pieces before and after it have.
    Nothing,
    /// A comment: what stands before its first line, and before each further one.
    Comment { first: String, next: String },
}

/// Returns the pieces of a Markdown text.
pub(crate) fn of_markdown(text: &str) -> Vec<Piece> {
    let mut pieces = Pieces::default();
    let mut lines = text.lines().peekable();
    let mut capture = None;
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            pieces.same(&format!("{line}\n"));
            let mut block = String::new();
            for inner in lines.by_ref().take_while(|l| *l != "```") {
                block.push_str(inner);
                block.push('\n');
            }
            if let Some(name) = capture.take() {
                pieces.pieces.push(Piece::Shown(name));
            } else if ["sh", "yaml"].contains(&language) {
                pieces.code(&block);
            } else {
                pieces.text(Kind::Block, &block);
            }
            pieces.same("```\n");
        } else if line.is_empty() {
            pieces.same("\n");
        } else if line.starts_with("<!--") {
            // A mark for programs.
            pieces.same(&format!("{line}\n"));
            capture = captures::named(line);
        } else if line.starts_with('|') {
            pieces.row(line);
        } else if line.starts_with('#') {
            let text = line.trim_start_matches('#');
            pieces.same(&line[..line.len() - text.len()]);
            pieces.same(" ");
            pieces.text(Kind::Heading, text.trim());
            pieces.same("\n");
        } else {
            let marker = marker(line);
            pieces.same(&line[..marker]);
            let mut text = line[marker..].to_owned();
            while let Some(next) = lines.next_if(|next| continues(next)) {
                text.push(' ');
                text.push_str(next.trim_start());
            }
            let kind = match marker {
                0 => Kind::Paragraph,
                _ => Kind::ListItem,
            };
            pieces.text(kind, &text);
            pieces.same("\n");
        }
    }
    pieces.pieces
}

/// Returns the pieces of a YAML file or of a script.
pub(crate) fn of_code(text: &str) -> Vec<Piece> {
    let mut pieces = Pieces::default();
    pieces.code(text);
    pieces.pieces
}

/// Returns the length of the indent and of the sign of a list that `line` begins with.
fn marker(line: &str) -> usize {
    let text = line.trim_start();
    let indent = line.len() - text.len();
    let number = text.trim_start_matches(|c: char| c.is_ascii_digit());
    if text.starts_with("- ") {
        indent + 2
    } else if number.len() < text.len() && number.starts_with(". ") {
        indent + text.len() - number.len() + 2
    } else {
        0
    }
}

/// Returns whether a line continues the paragraph above it.
fn continues(line: &str) -> bool {
    let begins = ["|", "#", "```"];
    !line.is_empty() && !begins.iter().any(|b| line.starts_with(b)) && marker(line) == 0
}

/// Returns whether there is anything to translate in a text of Markdown: a letter outside of
/// inline code.
fn has_words(text: &str) -> bool {
    let mut outside = text.split('`').step_by(2);
    outside.any(|part| part.chars().any(char::is_alphabetic))
}

/// The pieces so far.
#[derive(Default)]
struct Pieces {
    pieces: Vec<Piece>,
}

impl Pieces {
    fn same(&mut self, text: &str) {
        if let Some(Piece::Same(last)) = self.pieces.last_mut() {
            last.push_str(text);
        } else {
            self.pieces.push(Piece::Same(text.to_owned()));
        }
    }

    fn text(&mut self, kind: Kind, text: &str) {
        if !has_words(text) {
            return self.same(text);
        }
        self.pieces.push(Piece::Text {
            kind,
            text: text.to_owned(),
            around: Around::Nothing,
        });
    }

    fn row(&mut self, line: &str) {
        let inside = line.trim_matches('|');
        self.same("|");
        for cell in inside.split('|') {
            let text = cell.trim();
            if text.is_empty() || text.chars().all(|c| c == '-') {
                self.same(cell);
            } else {
                self.same(" ");
                self.text(Kind::Cell, text);
                self.same(" ");
            }
            self.same("|");
        }
        self.same("\n");
    }

    fn code(&mut self, text: &str) {
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let Some(comment) = CommentLine::of(line) else {
                self.same(&format!("{line}\n"));
                continue;
            };
            let mut text = comment.text.to_owned();
            while let Some(next) = lines.next_if(|next| comment.goes_on_in(next)) {
                text.push(' ');
                text.extend(CommentLine::of(next).map(|c| c.text));
            }
            self.pieces.push(Piece::Text {
                kind: Kind::Comment,
                text,
                around: Around::Comment {
                    first: comment.before.to_owned(),
                    next: comment.before_next(),
                },
            });
        }
    }
}

/// A line with a comment: `key: value  # text`, `# text`, and the same in a key that is itself
/// commented out (`#key: value  # text`).
struct CommentLine<'a> {
    /// What stands before the text, with `# `.
    before: &'a str,
    text: &'a str,
    /// Where the `#` of the comment is.
    column: usize,
    /// Whether code stands before it, be it commented out.
    is_behind_code: bool,
}

impl<'a> CommentLine<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let column = comment_column(line)?;
        let (before, text) = line.split_at(column + 2);
        let code = before[..column].trim();
        Some(CommentLine {
            before,
            text,
            column,
            is_behind_code: !code.is_empty(),
        })
    }

    /// Returns whether the next line belongs to the same paragraph: nothing but its comment
    /// stands in it, at the same place.
    fn goes_on_in(&self, next: &str) -> bool {
        CommentLine::of(next).is_some_and(|next| {
            let code = next.before[..next.column].trim();
            let is_alone = code.is_empty() || self.is_behind_code && code == "#";
            is_alone && next.column == self.column
        })
    }

    /// Returns what stands before a further line of the comment.
    fn before_next(&self) -> String {
        let code = &self.before[..self.column];
        let indent = code.len() - code.trim_start().len();
        let is_commented_out = code.trim_start().starts_with('#');
        let hash = if is_commented_out { "#" } else { "" };
        format!(
            "{:indent$}{hash:width$}# ",
            "",
            width = self.column - indent
        )
    }
}

/// Returns where the comment of a line begins that is prose: a `#` outside quotes, a blank
/// before it unless it begins the line, exactly one blank and a word behind it. (`#key:` and
/// `#   key:` are code that is commented out.)
fn comment_column(line: &str) -> Option<usize> {
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (None, '#') if before == ' ' => {
                let mut behind = line[at + 1..].chars();
                if behind.next() == Some(' ') && behind.next().is_some_and(|c| c != ' ') {
                    return Some(at);
                }
            }
            (None, '"' | '\'') if !before.is_alphanumeric() => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
        before = c;
    }
    None
}

#[test]
fn a_markdown_text_is_taken_apart() {
    let text = "# A title\n\nTwo\nlines.\n\n- An item\n  of two\n  1. Inside\n\n| a | `b` |\n|---|---|\n| | c |\n\n\
                ```text\na drawing\n```\n";
    let texts: Vec<(Kind, String)> = of_markdown(text)
        .into_iter()
        .filter_map(|piece| match piece {
            Piece::Text { kind, text, .. } => Some((kind, text)),
            Piece::Same(_) | Piece::Shown(_) => None,
        })
        .collect();
    let expected = [
        (Kind::Heading, "A title"),
        (Kind::Paragraph, "Two lines."),
        (Kind::ListItem, "An item of two"),
        (Kind::ListItem, "Inside"),
        (Kind::Cell, "a"),
        (Kind::Cell, "c"),
        (Kind::Block, "a drawing\n"),
    ];
    assert_eq!(texts, expected.map(|(kind, text)| (kind, text.to_owned())));
}

#[test]
fn comments_are_told_from_keys_that_are_commented_out() {
    let comment = |text: &str, first: &str, next: &str| Piece::Text {
        kind: Kind::Comment,
        text: text.to_owned(),
        around: Around::Comment {
            first: first.to_owned(),
            next: next.to_owned(),
        },
    };
    let text = "# Two\n# lines.\n#\na: '#b' # why\n        # so\n  #c: 1  # what\n  #      # else\n#d: 2\n";
    assert_eq!(
        of_code(text),
        [
            comment("Two lines.", "# ", "# "),
            Piece::Same("#\n".to_owned()),
            comment("why so", "a: '#b' # ", "        # "),
            comment("what else", "  #c: 1  # ", "  #      # "),
            Piece::Same("#d: 2\n".to_owned()),
        ]
    );
}
