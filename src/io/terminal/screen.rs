//! Shows output of the tool to people: text, files, and a terminal that shows one picture after
//! another until the user ends it.

use std::fs::{self, OpenOptions};
use std::io::{self, IsTerminal, Stdout, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::{Frame, Terminal};

use crate::io::system::clock::Clock;

/// Whether there is a terminal to show pictures on, with keys to end it.
#[must_use]
pub fn is_there() -> bool {
    io::stdout().is_terminal() && io::stdin().is_terminal()
}

/// Takes a picture every `period` and shows it, until q, Esc or Ctrl-C. The
/// terminal is left as it was.
///
/// # Errors
/// The terminal's error.
pub fn show<T>(
    period: Duration,
    mut take: impl FnMut() -> T,
    mut draw: impl FnMut(&mut Frame<'_>, &T),
) -> io::Result<()> {
    let clock = Clock::system();
    let mut screen = Screen::open()?;
    loop {
        let picture = take();
        screen.0.draw(|frame| draw(frame, &picture))?;
        let next = clock.now().mono + period;
        loop {
            let left = next.since(clock.now().mono);
            if !event::poll(left)? {
                break;
            }
            match event::read()? {
                Event::Key(key) if is_enough(key) => return Ok(()),
                Event::Resize(..) => {
                    screen.0.draw(|frame| draw(frame, &picture))?;
                }
                _ => {}
            }
        }
    }
}

fn is_enough(key: KeyEvent) -> bool {
    let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    let enough = matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) || control_c;
    enough && key.kind != KeyEventKind::Release
}

struct Screen(Terminal<CrosstermBackend<Stdout>>);

impl Screen {
    fn open() -> io::Result<Self> {
        enable_raw_mode()?;
        // The screen is cleared here: ratatui's own way asks the terminal where its cursor is,
        // and not every terminal answers.
        let opened = execute!(io::stdout(), EnterAlternateScreen, Clear(ClearType::All))
            .and_then(|()| Terminal::new(CrosstermBackend::new(io::stdout())));
        match opened {
            Ok(terminal) => {
                let mut screen = Screen(terminal);
                screen.0.hide_cursor()?;
                Ok(screen)
            }
            Err(e) => {
                let _ = disable_raw_mode();
                Err(e)
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A failure here cannot be reported any more.
        let _ = self.0.show_cursor();
        let _ = execute!(io::stdout(), LeaveAlternateScreen);
        let _ = disable_raw_mode();
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
pub fn complain(text: &str) {
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
