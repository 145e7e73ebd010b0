//! Shows output of the tool to people: text, files, and a terminal that shows one picture after
//! another until the user ends it.

use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal, Stdout, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;
use std::panic;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::Duration;

use super::interrupt;
use crate::io::system::clock::Clock;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::{Frame, Terminal};

/// The width of text where no terminal says another one.
const WIDTH: usize = 80;

/// Returns whether there is a terminal to show pictures on, with keys to end it. A terminal that
/// calls itself dumb cannot move its cursor.
#[must_use]
pub fn is_there() -> bool {
    io::stdout().is_terminal() && io::stdin().is_terminal() && !is_dumb() && size().is_some()
}

/// Returns whether the terminal calls itself dumb: it cannot move its cursor, and knows no colours.
#[must_use]
pub fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

/// Returns whether text for this output may have colours: it is a terminal that is not dumb, and
/// the user has not said otherwise (<https://no-color.org>).
#[must_use]
pub fn has_colours(output: &impl IsTerminal) -> bool {
    let is_unwanted = std::env::var_os("NO_COLOR").is_some_and(|said| !said.is_empty());
    output.is_terminal() && !is_dumb() && !is_unwanted
}

/// Returns how many cells a line of standard output has; 80 if it is no terminal, or one that does
/// not know.
#[must_use]
pub fn width() -> usize {
    let known = size().filter(|_| io::stdout().is_terminal());
    known.map_or(WIDTH, |(width, _)| width)
}

/// Returns how many cells a line of the terminal has, and how many lines there are; `None` if the
/// terminal does not know: on a serial console both are 0.
fn size() -> Option<(usize, usize)> {
    let (width, height) = ratatui::crossterm::terminal::size().ok()?;
    (width > 0 && height > 0).then_some((width.into(), height.into()))
}

/// Returns how many lines the terminal on standard output has; `None` if it is none that can be
/// drawn on.
#[must_use]
pub fn height() -> Option<usize> {
    if !io::stdout().is_terminal() || is_dumb() {
        return None;
    }
    size().map(|(_, height)| height)
}

/// Returns whether standard error is a terminal that can be drawn on.
#[must_use]
pub fn shows_progress() -> bool {
    io::stderr().is_terminal() && !is_dumb()
}

/// A key that the person at the terminal presses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The arrow up.
    Up,
    /// The arrow down.
    Down,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// Home.
    Home,
    /// End.
    End,
    /// Enter.
    Enter,
    /// Escape.
    Escape,
    /// Backspace.
    Backspace,
    /// A character.
    Char(char),
}

/// Pictures on a terminal, and what keys do with them.
pub trait ScreenView {
    /// What has to be known for the next picture.
    type Wish: Clone + PartialEq + Send + 'static;
    /// What is drawn.
    type Picture: Send + 'static;

    /// Returns what the next picture is to be about.
    fn wish(&self) -> Self::Wish;

    /// Takes in a key. Breaks if that was enough.
    fn on_key(&mut self, key: Key) -> ControlFlow<()>;

    /// Draws the last picture; `None` if none was taken yet.
    fn draw(&mut self, frame: &mut Frame<'_>, picture: Option<&Self::Picture>);
}

/// Why pictures are shown no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScreenEnd {
    /// The person wants it.
    Enough,
    /// This signal came.
    Signal(i32),
}

/// How long keys, signals and pictures may wait for each other.
const SLICE: Duration = Duration::from_millis(100);

/// Takes a picture every `period`, on a thread of its own, and shows it, until the view has
/// enough, Ctrl-C or a signal that ends programs. The terminal is left as it was, also by a
/// panic.
///
/// # Errors
/// The terminal's error.
pub fn show<V: ScreenView>(
    period: Duration,
    mut take: impl FnMut(V::Wish) -> V::Picture + Send + 'static,
    view: &mut V,
) -> io::Result<ScreenEnd> {
    let clock = Clock::system();
    let signals = signals()?;
    let (wishes, wished) = mpsc::channel::<V::Wish>();
    let (taken, pictures) = mpsc::channel();
    thread::Builder::new().spawn(move || {
        while let Ok(wish) = wished.recv() {
            if taken.send(take(wish)).is_err() {
                break;
            }
        }
    })?;
    let mut screen = Screen::open()?;
    let (mut picture, mut wish, mut next) = (None, None, clock.now().mono);
    let mut is_taking = false;
    let mut is_stale = true;
    loop {
        match pictures.try_recv() {
            Ok(newer) => {
                (picture, is_taking, is_stale) = (Some(newer), false, true);
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => {
                return Err(io::Error::other("no more pictures can be taken"));
            }
        }
        if is_stale {
            screen.0.draw(|frame| view.draw(frame, picture.as_ref()))?;
            is_stale = false;
        }
        let now = clock.now().mono;
        let wanted = view.wish();
        if !is_taking && (now >= next || wish.as_ref() != Some(&wanted)) {
            wish = Some(wanted.clone());
            (is_taking, next) = (wishes.send(wanted).is_ok(), now + period);
        }
        if let Ok(signal) = signals.try_recv() {
            return Ok(ScreenEnd::Signal(signal));
        }
        let mut wait = SLICE;
        while event::poll(wait)? {
            wait = Duration::ZERO;
            is_stale = true;
            if let Event::Key(key) = event::read()?
                && let Some(ended) = pressed(key, view)
            {
                return Ok(ended);
            }
        }
    }
}

/// Hands a key to the view. Returns the end if that was enough.
fn pressed(pressed: KeyEvent, view: &mut impl ScreenView) -> Option<ScreenEnd> {
    if pressed.kind == KeyEventKind::Release {
        return None;
    }
    let is_control = pressed.modifiers.contains(KeyModifiers::CONTROL);
    let key = match pressed.code {
        KeyCode::Char('c') if is_control => return Some(ScreenEnd::Enough),
        KeyCode::Char(_) if is_control => return None,
        KeyCode::Char(c) => Key::Char(c),
        KeyCode::Up => Key::Up,
        KeyCode::Down => Key::Down,
        KeyCode::PageUp => Key::PageUp,
        KeyCode::PageDown => Key::PageDown,
        KeyCode::Home => Key::Home,
        KeyCode::End => Key::End,
        KeyCode::Enter => Key::Enter,
        KeyCode::Esc => Key::Escape,
        KeyCode::Backspace => Key::Backspace,
        _ => return None,
    };
    view.on_key(key).is_break().then_some(ScreenEnd::Enough)
}

/// Catches the signals that end programs, from now on: a terminal in raw mode would stay as it
/// is if they did.
fn signals() -> io::Result<Receiver<i32>> {
    let (tell, told) = mpsc::channel();
    interrupt::forward(tell, |_| {})?;
    Ok(told)
}

/// Whether a terminal shows pictures, and has to be restored.
static IS_OPEN: AtomicBool = AtomicBool::new(false);

/// Leaves the terminal as it was. A failure here cannot be reported any more.
fn restore() {
    if IS_OPEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(io::stdout(), Show, LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
}

struct Screen(Terminal<CrosstermBackend<Stdout>>);

impl Screen {
    fn open() -> io::Result<Self> {
        enable_raw_mode()?;
        IS_OPEN.store(true, Ordering::SeqCst);
        // What a panic says is to be read on the terminal as it was.
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            restore();
            before(info);
        }));
        // The screen is cleared here: ratatui's own way asks the terminal where its cursor is,
        // and not every terminal answers.
        let opened = execute!(
            io::stdout(),
            EnterAlternateScreen,
            Clear(ClearType::All),
            Hide
        )
        .and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        opened.map(Screen).inspect_err(|_| restore())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Writes to standard output; the reader of it may have gone.
///
/// # Errors
/// The system's error.
pub fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Writes to standard error. A closed standard error is no fault, and a failure to write cannot
/// be reported.
pub fn print_error(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Writes a file that no other user can read, in place of the existing one. What is no file (a
/// terminal, a pipe, `/dev/null`) is written to and left as it is, also by way of a link.
///
/// # Errors
/// The system's error; a link to a file, which is neither followed nor replaced: the user who
/// made the link may be able to read that file, or may not be meant to choose it.
pub fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true);
    let mut file = match fs::symlink_metadata(path) {
        Ok(there) if !there.is_file() => {
            let opened = options.open(path)?;
            if opened.metadata()?.is_file() {
                return Err(io::Error::other(
                    "a link to a file; give the file's own name, or - for standard output",
                ));
            }
            opened
        }
        there => {
            // An existing file would keep its mode, so it must not exist.
            match there {
                Ok(_) => fs::remove_file(path)?,
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
            options.create_new(true).mode(0o600).open(path)?
        }
    };
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_file_that_was_there_is_replaced_by_one_that_nobody_else_can_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bundle");
        fs::write(&path, "older and much longer").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        write_private(&path, "new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn what_is_no_file_is_written_to_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (mut read, write) = io::pipe().unwrap();
        // This is what /dev/stdout is.
        let pipe = PathBuf::from(format!("/proc/self/fd/{}", write.as_raw_fd()));
        let link = folder.path().join("link");
        symlink(&pipe, &link).unwrap();
        for path in [&pipe, &link] {
            write_private(path, "a bundle").unwrap();
            let mut said = [0; 8];
            read.read_exact(&mut said).unwrap();
            assert_eq!(&said, b"a bundle");
            assert!(fs::symlink_metadata(path).unwrap().is_symlink());
        }
    }

    #[test]
    fn a_link_to_a_file_is_neither_followed_nor_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, "of another program").unwrap();
        symlink(&file, &link).unwrap();
        let refused = write_private(&link, "new").unwrap_err();
        assert!(refused.to_string().contains("link to a file"), "{refused}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "of another program");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
}
