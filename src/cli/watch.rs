//! `alink-gateway status --watch`: the status and all devices, updated every second.

use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::Paragraph;

use super::columns::{Page, Row, Table, cut, row_lines, width, wrapped};
use super::devices::{health, life, name_of, presence, value};
use super::language::Language;
use super::status::{self, Health};
use super::terminal_words::line;
use crate::base::text::counted;
use crate::control::picture::{Device, Point, Port, Status};
use crate::control::{Answer, Request};
use crate::io::control::client::{self, AnswerError};
use crate::io::terminal::screen::{self, Key, ScreenEnd, ScreenView};

/// The most devices whose values are asked for at once: no more are on a screen.
const MOST_VALUES: usize = 100;
/// The lines that the devices get at least.
const DEVICES_LEAST: usize = 6;
/// The keys, at the bottom; the first that fits is shown.
const KEYS: [&str; 3] = [
    "↑↓ PgUp PgDn Home End  / filter  t trouble  q quit",
    "↑↓ PgUp PgDn Home End / filter t trouble q quit",
    "↑↓ PgUp PgDn Home End / t q",
];
/// The most lines of one device: `devices NAME` shows everything about it.
const LINES: usize = 2;

/// Shows the status of the service, every second, until q; without a terminal prints it, until
/// the service ends the answer or the reader closes the output. If the service does not answer,
/// the next second asks again: it may be restarting.
#[must_use]
pub fn run(socket: &Path, language: Language) -> ExitCode {
    if !screen::is_there() {
        return status::follow(socket, false, language);
    }
    let socket = socket.to_owned();
    let mut watch = Watch {
        language,
        ..Watch::default()
    };
    let take = move |names: Vec<String>| take(&socket, &names).map_err(|e| e.to_string());
    match screen::show(Duration::from_secs(1), take, &mut watch) {
        Ok(ScreenEnd::Enough) => ExitCode::SUCCESS,
        // As a shell tells that a signal has ended a program.
        Ok(ScreenEnd::Signal(n)) => ExitCode::from(u8::try_from(128 + n).unwrap_or(u8::MAX)),
        Err(e) => {
            screen::print_error(&language.say(&format!("the terminal: {e}\n")));
            ExitCode::FAILURE
        }
    }
}

/// What is shown at one instant.
struct Picture {
    status: Status,
    devices: Vec<Device>,
}

/// Asks the service for everything, and for the values of these devices.
fn take(socket: &Path, names: &[String]) -> Result<Picture, AnswerError> {
    let status = status::ask(socket)?;
    let mut devices = Vec::new();
    for answer in client::ask(socket, &Request::Devices {})? {
        if let Answer::Device(device) = answer? {
            devices.push(*device);
        }
    }
    for name in names.iter().take(MOST_VALUES) {
        let request = Request::Device { name: name.clone() };
        // A device that was taken out meanwhile has no values.
        if let Ok(Answer::Device(one)) = client::ask_once(socket, &request)
            && let Some(device) = devices.iter_mut().find(|d| d.name == one.name)
        {
            *device = *one;
        }
    }
    Ok(Picture { status, devices })
}

/// What the person looks at.
#[derive(Default)]
struct Watch {
    language: Language,
    filter: String,
    is_typing: bool,
    is_trouble_only: bool,
    /// The first row that is shown.
    top: usize,
    /// How many rows are shown, and their devices.
    shown: Vec<String>,
}

impl ScreenView for Watch {
    type Wish = Vec<String>;
    type Picture = Result<Picture, String>;

    fn wish(&self) -> Vec<String> {
        self.shown.clone()
    }

    fn on_key(&mut self, key: Key) -> ControlFlow<()> {
        let page = self.shown.len().saturating_sub(1).max(1);
        match key {
            Key::Up => self.top = self.top.saturating_sub(1),
            Key::Down => self.top = self.top.saturating_add(1),
            Key::PageUp => self.top = self.top.saturating_sub(page),
            Key::PageDown => self.top = self.top.saturating_add(page),
            Key::Home => self.top = 0,
            Key::End => self.top = usize::MAX,
            Key::Enter => self.is_typing = false,
            Key::Escape if self.is_typing || !self.filter.is_empty() => {
                self.filter.clear();
                self.is_typing = false;
            }
            Key::Escape => return ControlFlow::Break(()),
            Key::Backspace if self.is_typing => drop(self.filter.pop()),
            Key::Char(c) if self.is_typing => {
                self.filter.push(c);
                self.top = 0;
            }
            Key::Char('q') => return ControlFlow::Break(()),
            Key::Char('/') => self.is_typing = true,
            Key::Char('t') => {
                self.is_trouble_only = !self.is_trouble_only;
                self.top = 0;
            }
            Key::Backspace | Key::Char(_) => {}
        }
        ControlFlow::Continue(())
    }

    fn draw(&mut self, frame: &mut Frame<'_>, picture: Option<&Result<Picture, String>>) {
        let [all, bottom] =
            Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(frame.area());
        let (room, height) = (usize::from(all.width), usize::from(all.height));
        let (lines, place) = match picture {
            None => {
                let text = self.language.say("waiting for the service");
                (vec![Line::from(text)], String::new())
            }
            Some(Err(why)) => {
                let page = Page {
                    width: room,
                    language: self.language,
                };
                (unanswered(why, page), String::new())
            }
            Some(Ok(picture)) => self.lines(picture, room, height),
        };
        frame.render_widget(Paragraph::new(Text::from(lines)), all);
        frame.render_widget(Paragraph::new(self.keys(&place, room)), bottom);
    }
}

impl Watch {
    fn is_wanted(&self, d: &Device) -> bool {
        if self.is_trouble_only && health(d) == Health::Good && d.why.is_none() {
            return false;
        }
        let wanted = self.filter.to_lowercase();
        let why = d.why.as_deref().unwrap_or_default();
        let texts = [d.name.as_str(), &d.port, &d.place, why];
        let words = [d.life.word(), d.cloud.word()];
        let contains = |text: &str| text.to_lowercase().contains(&wanted);
        texts.iter().any(|text| contains(text))
            || words.iter().any(|word| contains(word))
            || (self.language != Language::English
                && (texts.iter().any(|text| contains(&self.language.say(text)))
                    || words.iter().any(|word| contains(&self.language.word(word)))))
    }

    /// Writes the picture, and which of the rows are shown.
    fn lines(
        &mut self,
        picture: &Picture,
        room: usize,
        height: usize,
    ) -> (Vec<Line<'static>>, String) {
        let language = self.language;
        let page = Page {
            width: room,
            language,
        };
        let mut lines = head(&picture.status, page, height.saturating_sub(DEVICES_LEAST));
        let all = cut(&status::devices(&picture.status, language), room);
        let bold = Style::new().add_modifier(Modifier::BOLD);
        lines.push(Line::from(Span::styled(all, bold)));

        let mut devices: Vec<&Device> = picture.devices.iter().collect();
        devices.retain(|d| self.is_wanted(d));
        devices.sort_by_key(|d| std::cmp::Reverse(health(d)));
        let mut table = table(&devices, language);
        let layout = table.layout(room);
        lines.push(table.head(&layout));
        if let Some((_, last)) = layout.last() {
            for (row, device) in table.rows.iter_mut().zip(&devices) {
                let most = if device.why.is_none() { 1 } else { LINES };
                if let Some(cell) = row.cells.last_mut() {
                    cell.content = shortened(&cell.content, *last, most).into();
                }
            }
        }
        let rows = table.rows.iter().map(|row| row_lines(row, &layout, room));
        let rows: Vec<Vec<Line<'static>>> = rows.collect();
        let space = height.saturating_sub(lines.len());
        self.top = self.top.min(last_top(&rows, space));
        self.shown.clear();
        for (row, device) in rows.into_iter().zip(&devices).skip(self.top) {
            if lines.len() + row.len() > height && !self.shown.is_empty() {
                break;
            }
            lines.extend(row);
            self.shown.push(device.name.clone());
        }
        let (from, to) = (self.top + 1, self.top + self.shown.len());
        let place = match devices.len() {
            0 => language.word("none"),
            all => language.say(&format!("{from}-{to} of {all}")),
        };
        (lines, place)
    }

    /// Writes the last line: the keys or the filter, and which rows are shown.
    fn keys(&self, place: &str, room: usize) -> Line<'static> {
        let place = match self.is_trouble_only && !place.is_empty() {
            true => self.language.say(&format!("trouble: {place}")),
            false => place.to_owned(),
        };
        let left = room.saturating_sub(width(&place) + 2);
        let filter = line(&self.filter);
        let filtered = match (self.is_typing, filter.is_empty()) {
            (true, _) => {
                let keys = self.language.say("Enter keeps it, Esc ends it");
                format!("/{filter}▏ {keys}")
            }
            (false, true) => String::new(),
            (false, false) => format!("/{filter}  {}  ", self.language.say("Esc shows all")),
        };
        let keys = match self.is_typing {
            true => filtered,
            false => {
                let all = KEYS.map(|keys| self.language.say(keys));
                let fits = |keys: &&String| width(&filtered) + width(keys) <= left;
                let [.., shortest] = &all;
                filtered.clone() + all.iter().find(fits).unwrap_or(shortest)
            }
        };
        let keys = cut(&keys, left);
        let gap = room.saturating_sub(width(&keys) + width(&place));
        let dim = Style::new().add_modifier(Modifier::DIM);
        Line::from(vec![
            Span::styled(keys, dim),
            Span::raw(" ".repeat(gap)),
            Span::raw(place),
        ])
    }
}

/// Returns the first row with which all rows to the last one fit.
fn last_top(rows: &[Vec<Line<'static>>], space: usize) -> usize {
    let mut used = 0;
    let fit = rows.iter().rev().take_while(|row| {
        used += row.len();
        used <= space
    });
    rows.len().saturating_sub(fit.count().max(1))
}

/// Cuts a text to so many lines.
fn shortened(text: &str, room: usize, most: usize) -> String {
    if most == 1 {
        return cut(text, room);
    }
    let mut lines = wrapped(text, room);
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            *last = cut(&format!("{last} …"), room);
        }
    }
    lines.join(" ")
}

fn unanswered(why: &str, page: Page) -> Vec<Line<'static>> {
    let style = Health::Bad.style().add_modifier(Modifier::BOLD);
    let title = page.language.say("no answer");
    let mut lines = vec![Line::from(Span::styled(title, style))];
    for text in page.language.say(why).lines() {
        lines.extend(wrapped(text, page.width).into_iter().map(Line::from));
    }
    lines
}

/// Writes what is above the devices, in `height` lines at most: what matters less is left out.
fn head(status: &Status, page: Page, height: usize) -> Vec<Line<'static>> {
    let Page { width, language } = page;
    let mut lines = vec![status::headline(status, language)];
    lines.extend(status::configuration(status, page));
    lines.extend(status::cloud(status, page));
    lines.truncate(height.max(1));
    let mut ports: Vec<&Port> = status.ports.iter().collect();
    ports.sort_by_key(|port| port.down.is_none());
    let ports: Vec<Port> = ports.into_iter().cloned().collect();
    let mut below = Vec::new();
    if !ports.is_empty() {
        let table = status::ports(&ports, language);
        let layout = table.layout(width);
        let space = height.saturating_sub(lines.len() + 4).min(height / 2 + 1);
        let mut rows = Vec::new();
        let mut left = ports.len();
        for row in &table.rows {
            let row = row_lines(row, &layout, width);
            if rows.len() + row.len() > space {
                break;
            }
            rows.extend(row);
            left -= 1;
        }
        below.push(Line::default());
        if !rows.is_empty() {
            below.push(table.head(&layout));
            below.extend(rows);
        }
        let down = ports.iter().filter(|p| p.down.is_some()).count();
        match (left, down) {
            (0, _) => {}
            (n, 0) if n == ports.len() => below.push(language.say(&counted(n, "port")).into()),
            (n, down) if n == ports.len() => {
                let text = format!("{}, {down} DOWN", counted(n, "port"));
                let text = language.say(&text);
                below.push(Line::from(Span::styled(text, Health::Bad.style())));
            }
            (n, _) => {
                let text = format!("and {}", counted(n, "more port"));
                below.push(language.say(&text).into());
            }
        }
    }
    below.push(Line::default());
    let rest = [
        status::values(status, page),
        match &status.store {
            Some(store) => status::store(store, page),
            None => Vec::new(),
        },
    ];
    for part in rest {
        if lines.len() + part.len() + below.len() <= height {
            lines.extend(part);
        }
    }
    if lines.len() + below.len() <= height {
        lines.extend(below);
    }
    lines
}

/// Makes the table of these devices: what is wrong with each, or its values.
fn table(devices: &[&Device], language: Language) -> Table {
    let row = |d: &&Device| {
        let last = match &d.why {
            Some(why) => language.say(&line(why)),
            None => values(&d.points, language),
        };
        Row {
            cells: vec![
                Span::raw(line(&d.name)),
                Span::raw(line(&d.port)),
                Span::raw(language.say(&line(&d.place))),
                life(d.life, language),
                presence(d.cloud, language),
                Span::raw(last),
            ],
            below: None,
        }
    };
    Table {
        whole: Vec::new(),
        heads: language.heads(&[
            "DEVICE",
            "PORT",
            "PLACE",
            "BUS",
            "CLOUD",
            "TROUBLE OR VALUES",
        ]),
        spare: language.heads(&["PLACE", "PORT"]),
        rows: devices.iter().map(row).collect(),
    }
}

/// Writes values in a line, by their names for people: `Voltage 230.4 V, Relay 1 (on)`.
fn values(points: &[Point], language: Language) -> String {
    let points = points.iter().filter(|p| !p.value.is_null());
    let points = points.map(|p| {
        let name = name_of(p, language).unwrap_or_else(|| line(&p.id));
        format!("{name} {}", value(p))
    });
    points.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::captures::{compare, devices, pages, statuses};
    use crate::control::picture::BusState;
    use proptest::prelude::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn drawn(
        watch: &mut Watch,
        picture: Option<&Result<Picture, String>>,
        (width, height): (u16, u16),
    ) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| watch.draw(frame, picture)).unwrap();
        let buffer = terminal.backend().buffer();
        let rows = buffer.content.chunks(usize::from(width)).map(|row| {
            let (mut text, mut skip) = (String::new(), 0);
            for cell in row {
                if skip == 0 {
                    text.push_str(cell.symbol());
                    skip = super::width(cell.symbol());
                }
                skip = skip.saturating_sub(1);
            }
            text.trim_end().to_owned() + "\n"
        });
        rows.collect()
    }

    fn plant(name: &str) -> Result<Picture, String> {
        let status = statuses().into_iter().find(|(n, _)| *n == name).unwrap().1;
        let devices = devices();
        Ok(Picture { status, devices })
    }

    /// Returns a plant with three devices, of which the platform refuses one.
    fn three() -> Result<Picture, String> {
        let mut picture = plant("refused")?;
        let named = |name: &str| devices().into_iter().find(|d| d.name == name).unwrap();
        let mut unknown = named("meter-02");
        unknown.life = BusState::Unknown;
        unknown.why = Some("not asked yet".into());
        let mut refused = named("水表-三号楼-地下室");
        refused.name = "meter-03".into();
        refused.port = "line1".into();
        picture.devices = vec![unknown, refused, named("meter-01")];
        Ok(picture)
    }

    #[test]
    fn the_live_view_is_as_captured() {
        for (page, prefix) in pages() {
            let width = u16::try_from(page.width).unwrap();
            let watching = || Watch {
                language: page.language,
                ..Watch::default()
            };
            let mut text = String::new();
            for (name, _) in statuses() {
                let picture = plant(name);
                let found = drawn(&mut watching(), Some(&picture), (width, 30));
                text.push_str(&format!("--- {name}\n{found}"));
            }
            let picture = plant("plant");
            let mut watch = watching();
            for key in ["t", "/rack"] {
                for c in key.chars() {
                    assert!(watch.on_key(Key::Char(c)).is_continue());
                }
                let found = drawn(&mut watch, Some(&picture), (width, 16));
                text.push_str(&format!("--- after {key}\n{found}"));
            }
            // The pages of the documents show this one: its devices are those of its status.
            let found = drawn(&mut watching(), Some(&three()), (width, 20));
            text.push_str(&format!("--- three devices\n{found}"));
            let why = Err(
                "no service runs here: there is no /run/alink-gateway/control.sock\nstart it with: sudo systemctl start alink-gateway (another instance is asked with --instance NAME, another socket with --socket PATH)"
                    .into(),
            );
            text.push_str("--- no answer\n");
            text.push_str(&drawn(&mut watch, Some(&why), (width, 6)));
            compare(&format!("{prefix}watch-{width}"), &text);
        }
    }

    #[test]
    fn values_have_their_names_for_people_and_their_units() {
        let point = |id: &str, name: Option<(&str, &str)>, unit: Option<&str>| Point {
            id: id.into(),
            value: 230.4.into(),
            title: None,
            age_ms: None,
            reported_ms: None,
            quality: "good".into(),
            why: String::new(),
            writable: None,
            name: name.map(|(name, _)| name.into()),
            name_zh: name.map(|(_, name)| name.into()),
            unit: unit.map(Into::into),
        };
        let points = [
            point("U1", Some(("Voltage", "电压")), Some("V")),
            point("Power", None, None),
        ];
        let english = values(&points, Language::English);
        assert_eq!(english, "Voltage 230.4 V, Power 230.4");
        let chinese = values(&points, Language::Chinese);
        assert_eq!(chinese, "电压 230.4 V, Power 230.4");
    }

    #[test]
    fn keys_scroll_filter_and_end() {
        let picture = plant("plant");
        let mut watch = Watch::default();
        let press = |watch: &mut Watch, key| {
            let flow = watch.on_key(key);
            (flow, drawn(watch, Some(&picture), (80, 24)))
        };
        let first = press(&mut watch, Key::Home).1;
        let second = press(&mut watch, Key::PageDown).1;
        assert_ne!(first, second);
        assert_eq!(press(&mut watch, Key::PageUp).1, first);
        let end = press(&mut watch, Key::End).1;
        let all = devices().len();
        assert!(end.contains(&format!("-{all} of {all}")), "{end}");
        assert_eq!(press(&mut watch, Key::Down).1, end);
        let _ = press(&mut watch, Key::Char('/'));
        for c in "RACK2-017".chars() {
            let _ = press(&mut watch, Key::Char(c));
        }
        let one = press(&mut watch, Key::Enter).1;
        assert!(
            one.contains("1-1 of 1") && one.contains("rack2-017"),
            "{one}"
        );
        assert_eq!(watch.wish(), ["rack2-017"]);
        assert!(press(&mut watch, Key::Escape).0.is_continue());
        assert!(press(&mut watch, Key::Char('t')).1.contains("trouble: 1-"));
        assert!(press(&mut watch, Key::Char('q')).0.is_break());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn no_size_and_no_keys_make_it_panic_or_lose_the_rows(
            size in (1u16..200, 1u16..60),
            keys in prop::collection::vec(0usize..12, 0..12),
        ) {
            let picture = plant("plant");
            let mut watch = Watch::default();
            for key in keys {
                let all = [
                    Key::Up, Key::Down, Key::PageUp, Key::PageDown, Key::Home, Key::End,
                    Key::Enter, Key::Escape, Key::Backspace, Key::Char('t'), Key::Char('/'),
                    Key::Char('1'),
                ];
                let _ = watch.on_key(all[key]);
                drawn(&mut watch, Some(&picture), size);
                drawn(&mut watch, Some(&Err("why".into())), size);
                drawn(&mut watch, None, size);
                let rows = picture.as_ref().unwrap().devices.iter();
                let wanted = rows.filter(|d| watch.is_wanted(d)).count();
                prop_assert_eq!(watch.shown.is_empty(), wanted == 0);
            }
        }
    }
}
