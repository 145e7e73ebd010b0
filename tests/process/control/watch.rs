//! `status --watch` on a real terminal: keys, other sizes, and the terminal as it was after every
//! end.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::Stdio;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::{House, said};
use crate::child::PATIENCE;

/// A terminal with the tool on it: what its screen shows, and all bytes that it was sent.
struct Terminal {
    keys: File,
    node: File,
    output: Receiver<Vec<u8>>,
    bytes: Vec<u8>,
    read: usize,
    size: (usize, usize),
    rows: Vec<Vec<char>>,
    at: (usize, usize),
    tool: tokio::process::Child,
}

impl Terminal {
    fn open(house: &House, size: (usize, usize), variables: &[(&str, &str)]) -> Terminal {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = ptsname(&master, Vec::new()).unwrap();
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        // Otherwise it would become the terminal of the tests.
        options.custom_flags(libc::O_NOCTTY);
        let node = options.open(path.to_str().unwrap()).unwrap();
        set_size(&node, size);
        // The tool gets a session and a controlling terminal, as under a shell.
        let mut command = tokio::process::Command::new("setsid");
        command.args(["--ctty", env!("CARGO_BIN_EXE_alink-gateway")]);
        command.args(["status", "--watch", "--socket"]);
        command.arg(house.socket()).env("TERM", "xterm-256color");
        command
            .env_remove("NO_COLOR")
            .envs(variables.iter().copied());
        let end = || Stdio::from(node.try_clone().unwrap());
        command.stdin(end()).stdout(end()).stderr(end());
        command.kill_on_drop(true);
        let tool = command.spawn().unwrap();
        let keys = File::from(master);
        let mut from = keys.try_clone().unwrap();
        let (tell, output) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = from.read(&mut buffer) {
                if tell.send(buffer[..n].to_vec()).is_err() {
                    break;
                }
            }
        });
        Terminal {
            keys,
            node,
            output,
            bytes: Vec::new(),
            read: 0,
            size,
            rows: vec![vec![' '; size.0]; size.1],
            at: (0, 0),
            tool,
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    fn resize(&mut self, size: (usize, usize)) {
        self.size = size;
        self.rows = vec![vec![' '; size.0]; size.1];
        set_size(&self.node, size);
    }

    fn screen(&self) -> String {
        let rows = self.rows.iter().map(|row| row.iter().collect::<String>());
        let rows = rows.map(|row| row.trim_end().to_owned() + "\n");
        rows.collect()
    }

    /// Waits until the screen is as wanted, and returns it.
    fn shows(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        // Each second brings a picture: they are counted, for no clock is read here.
        for _ in 0..100 {
            let screen = self.screen();
            if wanted(&screen) {
                return screen;
            }
            match self.output.recv_timeout(PATIENCE) {
                Ok(bytes) => self.take(&bytes),
                Err(_) => break,
            }
        }
        panic!("no {what} on the screen:\n{}", self.screen());
    }

    /// Draws what was written: only the sequences that the tool uses.
    fn take(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        // A sequence that is not complete waits for its end.
        while let Some((c, length)) = next(&self.bytes[self.read..]) {
            let sequence = self.bytes[self.read..self.read + length].to_vec();
            self.read += length;
            match c {
                '\u{1b}' => self.obey(&sequence),
                c if !c.is_control() => {
                    let (x, y) = self.at;
                    if let Some(cell) = self.rows.get_mut(y).and_then(|row| row.get_mut(x)) {
                        *cell = c;
                    }
                    self.at.0 += 1;
                }
                _ => {}
            }
        }
    }

    fn obey(&mut self, sequence: &[u8]) {
        let text = String::from_utf8_lossy(sequence);
        let inner = text.get(2..text.len() - 1).unwrap_or_default();
        match sequence.last() {
            Some(b'H') => {
                let mut parts = inner.split(';').map(|n| n.parse().unwrap_or(1));
                let (y, x): (usize, usize) = (parts.next().unwrap(), parts.next().unwrap_or(1));
                self.at = (x - 1, y - 1);
            }
            Some(b'J') => self.rows = vec![vec![' '; self.size.0]; self.size.1],
            _ => {}
        }
    }

    /// Waits for the tool's end, and checks that the terminal is as it was.
    async fn ends_with(mut self, status: i32) -> Vec<u8> {
        let ended = tokio::time::timeout(PATIENCE, self.tool.wait());
        let ended = ended.await.expect("the tool ends").unwrap();
        assert_eq!(ended.code(), Some(status));
        let modes = tcgetattr(&self.node).unwrap().local_modes;
        let wanted = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        assert!(modes.contains(wanted), "{modes:?}");
        while let Ok(bytes) = self.output.recv_timeout(Duration::from_millis(200)) {
            self.take(&bytes);
            if self.has(b"\x1b[?1049l") && self.has(b"\x1b[?25h") {
                break;
            }
        }
        assert!(self.has(b"\x1b[?1049l"), "the alternate screen is left");
        assert!(self.has(b"\x1b[?25h"), "the cursor is shown");
        self.bytes
    }

    fn has(&self, wanted: &[u8]) -> bool {
        self.bytes.windows(wanted.len()).any(|w| w == wanted)
    }
}

fn set_size(node: &File, (columns, rows): (usize, usize)) {
    let size = Winsize {
        ws_col: columns as u16,
        ws_row: rows as u16,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(node, size).unwrap();
}

/// Returns the next character, or escape sequence, and its length, if it is complete.
fn next(bytes: &[u8]) -> Option<(char, usize)> {
    match bytes {
        [] | [0x1b] => None,
        [0x1b, b'[', rest @ ..] => {
            let end = rest.iter().position(|b| (0x40..0x7f).contains(b))?;
            Some(('\u{1b}', end + 3))
        }
        [0x1b, _, ..] => Some(('\u{1b}', 2)),
        [first, ..] => {
            let length = match first {
                0xf0.. => 4,
                0xe0.. => 3,
                0xc0.. => 2,
                _ => 1,
            };
            let text = std::str::from_utf8(bytes.get(..length)?).ok()?;
            Some((text.chars().next()?, length))
        }
    }
}

fn is_coloured(bytes: &[u8]) -> bool {
    bytes.windows(4).any(|w| w == b"[38;" || w == b"[48;")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_live_view_follows_keys_and_sizes_and_leaves_the_terminal_as_it_was() {
    let house = House::running("").await;
    let mut terminal = Terminal::open(&house, (100, 30), &[]);
    let first = terminal.shows("values", |s| {
        s.contains("meter-4") && s.contains("meter-6") && s.contains("Voltage")
    });
    assert!(first.contains("1-3 of 3"), "{first}");
    assert!(first.contains("q quit"), "{first}");
    assert!(first.contains("3 devices, all alive and online"), "{first}");
    terminal.press("/R-5");
    let found = terminal.shows("the filtered device", |s| s.contains("1-1 of 1"));
    assert!(
        found.contains("meter-5") && !found.contains("meter-4"),
        "{found}"
    );
    terminal.press("\x1b");
    terminal.shows("all devices again", |s| s.contains("1-3 of 3"));
    terminal.press("t");
    terminal.shows("no trouble", |s| s.contains("trouble: none"));
    terminal.press("t");
    terminal.resize((60, 20));
    let narrow = terminal.shows("the narrow picture", |s| {
        s.contains("1-3 of 3") && s.contains("TROUBLE OR VALUES") && s.contains("Voltage")
    });
    assert!(narrow.lines().all(|line| line.chars().count() <= 60));
    terminal.press("q");
    let bytes = terminal.ends_with(0).await;
    assert!(is_coloured(&bytes));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_leave_the_terminal_as_it_was_and_colours_may_be_unwanted() {
    let house = House::running("").await;
    for (signal, number) in [("TERM", 15), ("HUP", 1), ("INT", 2)] {
        let mut terminal = Terminal::open(&house, (80, 24), &[("NO_COLOR", "1")]);
        terminal.shows("the picture", |s| s.contains("meter-4"));
        let pid = terminal.tool.id().unwrap();
        let kill = format!("kill -{signal} {pid}");
        let sent = std::process::Command::new("sh")
            .args(["-c", &kill])
            .status();
        assert!(sent.unwrap().success());
        let bytes = terminal.ends_with(128 + number).await;
        assert!(!is_coloured(&bytes), "{signal}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_terminal_blocks_are_printed_until_the_reader_goes() {
    let house = House::running("").await;
    let mut command = tokio::process::Command::new("sh");
    let line = format!(
        "{} status --watch --socket {} | head -n 20",
        env!("CARGO_BIN_EXE_alink-gateway"),
        house.socket().display()
    );
    command.args(["-c", &line]);
    let said = said(command).await;
    assert_eq!(said.status, 0, "{}", said.err);
    assert!(
        said.out.matches("alink-gateway 0").count() >= 2,
        "{}",
        said.out
    );
    assert!(!said.out.contains('\u{1b}'), "{}", said.out);
}
