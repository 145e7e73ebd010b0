//! Text that fits into the width of a terminal: tables, and paragraphs with a label.
//!
//! Widths are those of a terminal's cells: a Chinese character takes two. What does not fit is
//! broken between words, and between Chinese characters; only a word that is wider than its place
//! is broken inside.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use super::language::{Language, may_break};

/// A blank at which a text is not broken.
pub(super) const BLANK: char = '\u{A0}';
/// Blanks between two columns.
const GAP: usize = 2;
/// The width to which long cells are cut before a column is left out.
const ROOMY: usize = 24;
/// The least width of a cell that is cut, once no more columns can be left out.
const NARROW: usize = 10;
/// The width that the last column gets at least, if its text is that long.
const LAST: usize = 28;

/// What text is laid out for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// How many cells a line has.
    pub width: usize,
    /// The language of the text.
    pub language: Language,
}

/// Returns how many cells of a terminal a text takes.
pub(super) fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// Breaks a text into lines of at most `room` cells, between words. A blank that does not break
/// (U+00A0) keeps two words together, and is written as a blank.
#[must_use]
pub fn wrapped(text: &str, room: usize) -> Vec<String> {
    let room = room.max(1);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for (blank, word) in units(text) {
        let wide = width(word);
        let gap = usize::from(blank && used > 0);
        if let Some(line) = lines.last_mut().filter(|_| used + gap + wide <= room) {
            if gap > 0 {
                line.push(' ');
            }
            line.push_str(word);
            used += gap + wide;
            continue;
        }
        if used > 0 {
            lines.push(String::new());
            used = 0;
        }
        for c in word.chars() {
            let wide = width(c.encode_utf8(&mut [0; 4]));
            if used > 0 && used + wide > room {
                lines.push(String::new());
                used = 0;
            }
            if let Some(line) = lines.last_mut() {
                line.push(c);
            }
            used += wide;
        }
    }
    for line in &mut lines {
        *line = line.replace(BLANK, " ");
    }
    lines
}

/// Takes a text apart where a line may end: at blanks, and between Chinese characters. Each unit
/// comes with whether a blank stands before it.
fn units(text: &str) -> Vec<(bool, &str)> {
    let mut units = Vec::new();
    for word in text.split(' ') {
        let (mut begin, mut before) = (0, None);
        // What a blank keeps together that does not break is broken at punctuation only.
        let is_kept = word.contains(BLANK);
        let may_end = |c: char| !is_kept || c == '，' || c == '；';
        for (at, c) in word.char_indices() {
            if before.is_some_and(|before| may_end(before) && may_break(before, c)) {
                units.push((begin == 0, &word[begin..at]));
                begin = at;
            }
            before = Some(c);
        }
        units.push((begin == 0, &word[begin..]));
    }
    units
}

/// Cuts a text to `room` cells. The end of a path tells more than its beginning.
pub(super) fn cut(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mut left = room.saturating_sub(1);
    let mut fits = |c: &char| {
        let wide = width(c.encode_utf8(&mut [0; 4]));
        let fits = wide <= left;
        left = if fits { left - wide } else { 0 };
        fits
    };
    match text.starts_with('/') {
        true => {
            let end: Vec<char> = text.chars().rev().take_while(&mut fits).collect();
            std::iter::once('…').chain(end.into_iter().rev()).collect()
        }
        false => text.chars().take_while(&mut fits).chain(['…']).collect(),
    }
}

/// Writes a paragraph in the language of the page. Its first line begins with a label, and all
/// others stand below its text.
pub(super) fn labelled(label: &str, text: &str, style: Style, page: Page) -> Vec<Line<'static>> {
    const LABEL: usize = 9;
    let label = page.language.word(label);
    let text = page.language.say(text);
    let lines = wrapped(&text, page.width.saturating_sub(LABEL));
    let lines = lines.into_iter().enumerate().map(|(n, text)| {
        let label = if n == 0 { label.as_str() } else { "" };
        let gap = " ".repeat(LABEL.saturating_sub(width(label)));
        Line::from(vec![
            Span::raw(format!("{label}{gap}")),
            Span::styled(text, style),
        ])
    });
    lines.collect()
}

/// A row of a table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// One cell for each column.
    pub cells: Vec<Span<'static>>,
    /// What stands below the row, over the whole width.
    pub below: Option<String>,
}

impl Row {
    /// Makes a row of plain cells.
    pub(super) fn plain(cells: impl IntoIterator<Item = String>) -> Row {
        Row {
            cells: cells.into_iter().map(Span::raw).collect(),
            below: None,
        }
    }
}

/// A table. Its last column takes the rest of the width, and its text is broken between words.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// The heads of the columns.
    pub heads: Vec<&'static str>,
    /// The heads of the columns that may be left out, the least important first.
    pub spare: Vec<&'static str>,
    /// The heads of the columns whose cells are not cut as long as others can be.
    pub whole: Vec<&'static str>,
    /// The rows.
    pub rows: Vec<Row>,
}

/// Which columns are shown, and how wide: the number of each with its width.
pub(super) type Layout = Vec<(usize, usize)>;

impl Table {
    /// Writes the table, with its head.
    pub(super) fn lines(&self, room: usize) -> Vec<Line<'static>> {
        let layout = self.layout(room);
        let mut lines = vec![self.head(&layout)];
        for row in &self.rows {
            lines.extend(row_lines(row, &layout, room));
        }
        lines
    }

    /// Writes the heads of the columns.
    pub(super) fn head(&self, layout: &Layout) -> Line<'static> {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let heads = self.heads.iter().map(|head| Span::styled(*head, bold));
        let row = Row {
            cells: heads.collect(),
            below: None,
        };
        let mut lines = row_lines(&row, layout, usize::MAX);
        lines.swap_remove(0)
    }

    fn natural(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.cells.get(column));
        let head = self.heads.get(column).map_or(0, |head| width(head));
        cells.map(Span::width).max().unwrap_or(0).max(head)
    }

    /// Decides which columns are shown, and how wide.
    pub(super) fn layout(&self, room: usize) -> Layout {
        let natural: Layout = (0..self.heads.len())
            .map(|i| (i, self.natural(i)))
            .collect();
        let mut shown = natural.clone();
        let Some((_, last)) = shown.pop() else {
            return shown;
        };
        let taken = |shown: &Layout| shown.iter().map(|(_, w)| w + GAP).sum::<usize>();
        let least = last.min(LAST);
        let is_whole = |i: usize| {
            let head = self.heads.get(i);
            head.is_some_and(|head| self.whole.contains(head))
        };
        if taken(&shown) + least > room {
            for (i, width) in &mut shown {
                if !is_whole(*i) {
                    *width = (*width).min(ROOMY);
                }
            }
        }
        for head in &self.spare {
            if taken(&shown) + least <= room {
                break;
            }
            shown.retain(|(i, _)| self.heads.get(*i) != Some(head));
        }
        // Cells that are to stay whole are cut only if the last column would become too narrow.
        for (cuts_whole, least) in [(false, least), (true, least.min(NARROW))] {
            while taken(&shown) + least > room {
                let can = |(i, width): &&mut (usize, usize)| {
                    *width > NARROW && (cuts_whole || !is_whole(*i))
                };
                match shown.iter_mut().filter(can).max_by_key(|(_, width)| *width) {
                    Some((_, width)) => *width -= 1,
                    None => break,
                }
            }
        }
        let last = last.min(room.saturating_sub(taken(&shown)).max(1));
        // What is left over goes to cells that were cut.
        let mut left = room.saturating_sub(taken(&shown) + last);
        for (i, width) in &mut shown {
            let wanted = natural.get(*i).map_or(0, |(_, natural)| natural - *width);
            let more = wanted.min(left);
            *width += more;
            left -= more;
        }
        shown.push((self.heads.len() - 1, last));
        shown
    }
}

/// Writes a row; one line at least.
pub(super) fn row_lines(row: &Row, layout: &Layout, room: usize) -> Vec<Line<'static>> {
    let Some(((last, last_width), others)) = layout.split_last() else {
        return vec![Line::default()];
    };
    let mut first = Vec::new();
    let mut indent = 0;
    for (i, wide) in others {
        let cell = row.cells.get(*i).cloned().unwrap_or_default();
        let text = cut(&cell.content, *wide);
        let pad = " ".repeat(*wide - width(&text).min(*wide) + GAP);
        first.push(Span::styled(text, cell.style));
        first.push(Span::raw(pad));
        indent += wide + GAP;
    }
    let cell = row.cells.get(*last).cloned().unwrap_or_default();
    let mut lines = Vec::new();
    for text in wrapped(&cell.content, *last_width) {
        let mut spans = match lines.is_empty() {
            true => std::mem::take(&mut first),
            false => vec![Span::raw(" ".repeat(indent))],
        };
        spans.push(Span::styled(text, cell.style));
        lines.push(Line::from(spans));
    }
    if let Some(below) = &row.below {
        let below = wrapped(below, room.saturating_sub(GAP));
        let dim = Style::new().add_modifier(Modifier::DIM);
        lines.extend(
            below
                .into_iter()
                .map(|text| Line::from(vec![Span::raw("  "), Span::styled(text, dim)])),
        );
    }
    lines
}

/// Writes lines as text, for a terminal with colours or without them.
pub(super) fn written(lines: &[Line<'_>], has_colours: bool) -> String {
    let mut text = String::new();
    for line in lines {
        let plain: String = line.spans.iter().map(|s| &*s.content).collect();
        let mut left = plain.trim_end().len();
        for span in &line.spans {
            let end = span.content.len().min(left);
            left -= end;
            let content = span.content.get(..end).unwrap_or_default();
            match codes(line.style.patch(span.style)) {
                Some(codes) if has_colours && !content.is_empty() => {
                    text.push_str(&format!("\u{1b}[{codes}m{content}\u{1b}[0m"));
                }
                _ => text.push_str(content),
            }
        }
        text.push('\n');
    }
    text
}

/// Returns the parameters of SGR (ECMA-48, 8.3.117) for a style; `None` for plain text.
fn codes(style: Style) -> Option<String> {
    let colour = match style.fg {
        Some(Color::Red) => Some("31"),
        Some(Color::Green) => Some("32"),
        Some(Color::Yellow) => Some("33"),
        Some(Color::Magenta) => Some("35"),
        _ => None,
    };
    let has = |modifier| style.add_modifier.contains(modifier);
    let bold = has(Modifier::BOLD).then_some("1");
    let dim = has(Modifier::DIM).then_some("2");
    let codes: Vec<&str> = [bold, dim, colour].into_iter().flatten().collect();
    (!codes.is_empty()).then(|| codes.join(";"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_broken_between_words_and_only_long_words_inside() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(
            wrapped("a /dev/ttyUSB0 b", 6),
            ["a", "/dev/t", "tyUSB0", "b"]
        );
        assert_eq!(wrapped("电压过高", 5), ["电压", "过高"]);
        assert_eq!(wrapped("", 5), [""]);
        assert_eq!(
            wrapped("端口断开，检查 USB 转换器（含供电）", 12),
            ["端口断开，检", "查 USB 转换", "器（含供电）"]
        );
        assert_eq!(wrapped("一二三，四", 6), ["一二", "三，四"]);
        let kept = wrapped("超时\u{A0}1，探测\u{A0}7", 10);
        assert_eq!(kept, ["超时 1，", "探测 7"]);
        assert_eq!(
            wrapped("late 1, probes\u{A0}7", 14),
            ["late 1,", "probes 7"]
        );
    }

    #[test]
    fn what_is_cut_says_so_and_fits() {
        assert_eq!(cut("meter-with-a-name", 8), "meter-w…");
        assert_eq!(cut("/dev/serial/by-id/usb-1", 8), "…d/usb-1");
        assert_eq!(cut("水表水表", 6), "水表…");
        assert_eq!(cut("水表", 4), "水表");
    }

    #[test]
    fn colours_are_written_only_where_they_are_wanted() {
        let red = Span::styled("DOWN  ", Style::new().fg(Color::Red));
        let line = [Line::from(vec![Span::raw("a  "), red])];
        assert_eq!(written(&line, false), "a  DOWN\n");
        assert_eq!(written(&line, true), "a  \u{1b}[31mDOWN\u{1b}[0m\n");
    }

    #[test]
    fn a_column_that_is_to_stay_whole_is_cut_last() {
        let meter = "meter 000000000161";
        let row = ["/dev/ttyUSB0", "9600 8N1", meter, "DL/T 645-2007"];
        let profile = "dlt645-2007-three-phase (likely)".to_owned();
        let cells = row.map(str::to_owned).into_iter().chain([profile]);
        let table = Table {
            heads: vec!["LINE", "SETTINGS", "ADDRESS", "DEVICE", "PROFILE"],
            spare: Vec::new(),
            whole: vec!["ADDRESS"],
            rows: vec![Row::plain(cells)],
        };
        let text = written(&table.lines(80), false);
        assert!(text.contains(meter), "{text}");
        assert!(written(&table.lines(30), false).contains("meter 000…"));
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_terminal_and_no_reason_is_lost(
            cells in prop::collection::vec(("[a-z/水]{0,40}", "[a-z 水]{0,80}"), 0..5),
            room in 30usize..200,
        ) {
            let table = Table {
                whole: Vec::new(),
                heads: vec!["NAME", "B", "WHY"],
                spare: vec!["B"],
                rows: cells.iter()
                    .map(|(a, why)| Row::plain([a.clone(), "b".into(), why.clone()]))
                    .collect(),
            };
            let lines = table.lines(room);
            for line in &lines {
                prop_assert!(line.width() <= room, "{line:?} in {room}");
            }
            let text: String = written(&lines, false).split_whitespace().collect();
            for (_, why) in &cells {
                let words: Vec<&str> = why.split(' ').filter(|w| width(w) < 10).collect();
                prop_assert!(words.iter().all(|w| text.contains(w)), "{why} in {text}");
            }
        }
    }
}
