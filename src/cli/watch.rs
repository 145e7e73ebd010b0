//! `alink-gateway status --watch`: the status, updated every second.

#![expect(clippy::print_stderr, reason = "says why there is nothing to see")]

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::Stylize;
use ratatui::text::{Line, Text};
use ratatui::widgets::{Cell, Paragraph, Row, Table, Wrap};

use super::status::{self, PORTS};
use crate::control::picture::{Link, Presence, Status};
use crate::io::terminal::screen;

/// Shows the status of the service, every second, until q. If the service does not answer,
/// the next second asks again: it may be restarting.
#[must_use]
pub fn run(socket: &Path) -> ExitCode {
    if !screen::is_there() {
        eprintln!("--watch needs a terminal; `status --watch --json` prints a line a second");
        return ExitCode::FAILURE;
    }
    let take = || status::ask(socket).map_err(|e| e.to_string());
    match screen::show(Duration::from_secs(1), take, draw) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("the terminal: {e}");
            ExitCode::FAILURE
        }
    }
}

fn draw(frame: &mut Frame<'_>, picture: &Result<Status, String>) {
    let status = match picture {
        Ok(status) => status,
        Err(why) => {
            let mut text = Text::from("no answer".red().bold());
            text.extend(Text::from(why.as_str()));
            let why = Paragraph::new(text).wrap(Wrap { trim: false });
            frame.render_widget(why, frame.area());
            return;
        }
    };
    let head = head(status);
    let height = u16::try_from(head.lines.len()).unwrap_or(u16::MAX);
    let [top, middle, bottom] = Layout::vertical([
        Constraint::Length(height),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(head), top);
    frame.render_widget(ports(status), middle);
    let keys = Line::from("q ends; alink-gateway devices NAME shows everything about one".dim());
    frame.render_widget(Paragraph::new(keys), bottom);
}

fn head(status: &Status) -> Text<'static> {
    let mut text = Text::from(Line::from(status::headline(status).bold()));
    for (n, line) in status::cloud(&status.cloud).into_iter().enumerate() {
        let line = match (n, status.cloud.link) {
            (0, Link::Up) => line.green(),
            (0, _) => line.red(),
            _ => line.dim(),
        };
        text.push_line(Line::from(line));
    }
    let lost: u64 = status.dropped.values().sum();
    let values = status::values(status);
    text.push_line(match lost {
        0 => Line::from(values),
        _ => Line::from(values.yellow()),
    });
    if let Some(store) = &status.store {
        for line in status::store(store).lines() {
            let line = line.to_owned();
            text.push_line(match &store.trouble {
                None => Line::from(line.dim()),
                Some(_) => Line::from(line.red()),
            });
        }
    }
    text.push_line("");
    text.push_line(Line::from(status::devices(status).bold()));
    for state in &status.states {
        let width = usize::try_from(state.devices * 40 / status.devices.max(1)).unwrap_or(40);
        let bar = "█".repeat(width.clamp(1, 40));
        let bar = match state.cloud {
            Presence::Online => bar.green(),
            Presence::Changing => bar.yellow(),
            Presence::Offline => bar.red(),
            Presence::Refused => bar.magenta(),
        };
        let name = format!(
            "  {:>9} {:<8} {:>5} ",
            state.life.word(),
            state.cloud.word(),
            state.devices
        );
        text.push_line(Line::from(vec![name.into(), bar]));
    }
    text.push_line("");
    text
}

fn ports(status: &Status) -> Table<'static> {
    let rows = status.ports.iter().map(|port| {
        let down = port.down.is_some();
        let cells = status::port(port);
        let cells = cells.into_iter().enumerate().map(|(n, cell)| match n {
            2 if down => Cell::from(cell.red().bold()),
            2 => Cell::from(cell.green()),
            3 if port.load_permille > 800 => Cell::from(cell.yellow()),
            _ => Cell::from(cell),
        });
        Row::new(cells)
    });
    let widths = [
        Constraint::Max(16),
        Constraint::Max(24),
        Constraint::Length(5),
        Constraint::Length(5),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Length(9),
        Constraint::Fill(1),
    ];
    Table::new(rows, widths).header(Row::new(PORTS.map(|h| Cell::from(h.bold()))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::status::tests::example;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn drawn(picture: &Result<Status, String>, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, picture)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn the_live_view_shows_what_the_table_shows() {
        let text = drawn(&Ok(example()), 120, 30);
        for part in [
            "alink-gateway 1.2.3",
            "118 of 118 wanted are online",
            "5 dropped",
            "silent offline",
            "line1",
            "41 %",
            "12.1 ms",
            "DOWN",
            "q ends",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let text = drawn(&Err("no service runs here".into()), 60, 5);
        assert!(text.contains("no service runs here"), "{text}");
    }

    #[test]
    fn no_size_makes_it_panic() {
        for (width, height) in [(1, 1), (5, 3), (26, 7), (400, 100)] {
            drawn(&Ok(example()), width, height);
            drawn(&Err("why".into()), width, height);
        }
    }
}
