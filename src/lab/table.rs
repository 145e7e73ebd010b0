//! What the demo shows while it runs: a live table on a terminal, lines
//! elsewhere.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is the place that prints"
)]

use alink_gateway::base::text::counted;
use std::io::{self, Stdout};
use std::time::Duration;

use ratatui::Frame;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Paragraph, Wrap};

#[cfg(test)]
#[path = "../io/terminal/captures.rs"]
mod captures;

/// The width of one device in the table.
const CELL: u16 = 26;

/// What the table shows.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    pub(crate) elapsed: Duration,
    pub(crate) steps: Vec<&'static str>,
    /// The step that is being played.
    pub(crate) step: usize,
    pub(crate) connected: bool,
    pub(crate) online: usize,
    pub(crate) values: u64,
    pub(crate) rows: Vec<Row>,
}

/// One device.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) online: bool,
    pub(crate) value: String,
}

/// Where the table or the lines are shown.
pub(crate) struct Screen {
    table: Option<Terminal<CrosstermBackend<Stdout>>>,
    /// Whether standard output is for the report alone.
    aside: bool,
    said: Vec<String>,
}

impl Screen {
    /// Opens a live table, or lines. With `aside` lines go to standard error.
    pub(crate) fn open(table: bool, aside: bool) -> io::Result<Screen> {
        let table = if table {
            // Cleared here: ratatui's own way asks the terminal where its cursor
            // is, and not every terminal answers.
            execute!(io::stdout(), EnterAlternateScreen, Clear(ClearType::All))?;
            let mut terminal = Terminal::new(CrosstermBackend::new(io::stdout()))?;
            terminal.hide_cursor()?;
            Some(terminal)
        } else {
            None
        };
        Ok(Screen {
            table,
            aside,
            said: Vec::new(),
        })
    }

    /// Returns whether there is a table to draw.
    pub(crate) const fn is_table(&self) -> bool {
        self.table.is_some()
    }

    /// Shows an event.
    pub(crate) fn say(&mut self, after: Duration, what: &str) {
        let line = format!("{:6.1} s  {what}", after.as_secs_f64());
        match &self.table {
            Some(_) => self.said.push(line),
            None if self.aside => eprintln!("{line}"),
            None => println!("{line}"),
        }
    }

    /// Draws the table.
    pub(crate) fn show(&mut self, picture: &Picture) -> io::Result<()> {
        if let Some(terminal) = &mut self.table {
            terminal.draw(|frame| draw(frame, picture))?;
        }
        Ok(())
    }

    /// Leaves the terminal as it was; the lines shown stay readable.
    pub(crate) fn close(&mut self) {
        if let Some(mut terminal) = self.table.take() {
            let _ = terminal.show_cursor();
            let _ = execute!(io::stdout(), LeaveAlternateScreen);
            for line in self.said.drain(..) {
                eprintln!("{line}");
            }
        }
    }

    /// Shows why the demo failed.
    pub(crate) fn explain(&self, why: &str) {
        eprintln!("{why}");
    }

    /// Shows the end: text for people, or, last, one line of JSON.
    pub(crate) fn report(&self, text: &str, json: Option<&str>) {
        match json {
            Some(json) => {
                eprintln!("{text}");
                println!("{json}");
            }
            None => println!("{text}"),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.close();
    }
}

fn draw(frame: &mut Frame<'_>, picture: &Picture) {
    let steps = u16::try_from(picture.steps.len()).unwrap_or(u16::MAX);
    let [title, story, table] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(steps.saturating_add(1)),
        Constraint::Fill(1),
    ])
    .areas(frame.area());
    let headline = Paragraph::new(headline(picture)).wrap(Wrap { trim: true });
    frame.render_widget(headline, title);
    frame.render_widget(Paragraph::new(plot(picture)), story);
    let devices = devices(&picture.rows, table.width, table.height);
    frame.render_widget(Paragraph::new(devices), table);
}

fn headline(picture: &Picture) -> Line<'static> {
    let cloud = if picture.connected {
        "cloud up".green()
    } else {
        "cloud down".red()
    };
    Line::from(vec![
        "alink-lab demo".bold(),
        format!("   {:.1} s   ", picture.elapsed.as_secs_f64()).into(),
        cloud,
        format!(
            "   {}/{} online   {} accepted",
            picture.online,
            picture.rows.len(),
            counted(picture.values, "value")
        )
        .into(),
    ])
}

fn plot(picture: &Picture) -> Text<'static> {
    let line = |(n, step): (usize, &&'static str)| match n.cmp(&picture.step) {
        std::cmp::Ordering::Less => Line::from(vec!["✓ ".green(), (*step).into()]),
        std::cmp::Ordering::Equal => Line::from(vec!["▸ ".yellow(), (*step).bold()]),
        std::cmp::Ordering::Greater => Line::from(vec!["  ".into(), (*step).dim()]),
    };
    picture.steps.iter().enumerate().map(line).collect()
}

/// Arranges the devices in as many columns as fit, top to bottom. If they do not all
/// fit, those that are offline come first, and the last line says how many are missing.
fn devices(rows: &[Row], width: u16, height: u16) -> Text<'static> {
    let mut rows: Vec<&Row> = rows.iter().collect();
    let columns = usize::from((width / CELL).max(1));
    let high = rows.len().div_ceil(columns);
    let room = usize::from(height);
    let shown = if high > room {
        room.saturating_sub(1)
    } else {
        high
    };
    if shown < high {
        rows.sort_by_key(|row| row.online);
    }
    let mut lines: Vec<Line<'static>> = (0..shown)
        .map(|y| {
            let cells = (0..columns).filter_map(|x| rows.get(x * high + y));
            cells.copied().flat_map(cell).collect()
        })
        .collect();
    if shown < high {
        let hidden = (0..columns)
            .map(|x| {
                let column = rows.len().min((x + 1) * high).saturating_sub(x * high);
                column.saturating_sub(shown)
            })
            .sum::<usize>();
        lines.push(Line::from(format!("… and {hidden} more").dim()));
    }
    Text::from(lines)
}

fn cell(row: &Row) -> [Span<'static>; 3] {
    let dot = if row.online {
        Span::styled("● ", Style::new().fg(Color::Green))
    } else {
        Span::styled("○ ", Style::new().fg(Color::Red))
    };
    let rest = usize::from(CELL) - 13;
    let value: String = row.value.chars().take(rest - 1).collect();
    [
        dot,
        Span::raw(format!("{:<10} ", row.name)),
        Span::styled(format!("{value:<rest$}"), Style::new().dim()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::backend::TestBackend;

    fn picture() -> Picture {
        Picture {
            elapsed: Duration::from_secs(3),
            steps: vec!["first", "second", "third"],
            step: 1,
            connected: true,
            online: 119,
            values: 5,
            rows: (1..=120)
                .map(|n| Row {
                    name: format!("rack1-{n:03}"),
                    online: n != 7,
                    value: format!("{}.{} V", 220 + n % 20, n % 10),
                })
                .collect(),
        }
    }

    fn drawn(width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, &picture())).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn every_device_is_shown_where_there_is_room() {
        let text = drawn(160, 40);
        assert_eq!(text.matches('●').count(), 119);
        assert_eq!(text.matches('○').count(), 1);
        assert!(text.contains("✓ first") && text.contains("▸ second"));
        assert!(text.contains("119/120 online"));
        assert!(text.contains("rack1-120  220.0 V"));
    }

    #[test]
    fn where_there_is_no_room_the_rest_is_counted() {
        let text = drawn(80, 24);
        let shown = text.matches(['●', '○']).count();
        assert!(
            text.contains(&format!("… and {} more", 120 - shown)),
            "{text}"
        );
    }

    #[test]
    fn the_table_is_as_captured() {
        for width in [60, 80, 100, 160] {
            let text = drawn(width, 24);
            let rows = text.lines().map(|row| row.trim_matches('"').trim_end());
            let rows: Vec<&str> = rows.collect();
            captures::compare(&format!("demo-{width}"), &(rows.join("\n") + "\n"));
        }
    }

    #[test]
    fn no_size_makes_it_panic() {
        for (width, height) in [(1, 1), (5, 3), (26, 7), (400, 100)] {
            drawn(width, height);
        }
    }
}
