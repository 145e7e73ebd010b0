//! A terminal with a shell in it, into which a test types as a person does.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, timeout_at};

/// The longest that a person waits for one step.
const STEP: Duration = Duration::from_secs(60);

/// What the shell shows when it waits for a command: the exit status of the one before.
const PROMPT: &str = "[$?] box> ";

/// A shell that believes it is used by a person: `script` of util-linux gives it a terminal.
pub(crate) struct Terminal {
    script: Child,
    keys: ChildStdin,
    screen: ChildStdout,
    /// Everything that was shown.
    shown: Vec<u8>,
    /// How much of it was looked at.
    seen: usize,
    /// How many commands were typed.
    pub(crate) commands: usize,
}

impl Terminal {
    /// Opens a terminal in a folder, in which the programs of this build are found by name.
    pub(crate) async fn open(folder: &Path) -> Self {
        let programs = PathBuf::from(env!("CARGO_BIN_EXE_alink-gateway"));
        let programs = programs.parent().unwrap().display();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut script = Command::new("script")
            .args(["--quiet", "--command", "exec sh -i", "/dev/null"])
            .current_dir(folder)
            .env_clear()
            .env("PATH", format!("{programs}:{path}"))
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "xterm")
            .env("PS1", PROMPT)
            .env("STATE_DIRECTORY", folder)
            .env("RUNTIME_DIRECTORY", folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("script of the Debian package bsdutils");
        let mut terminal = Terminal {
            keys: script.stdin.take().unwrap(),
            screen: script.stdout.take().unwrap(),
            script,
            shown: Vec::new(),
            seen: 0,
            commands: 0,
        };
        terminal.sees("] box> ").await;
        terminal
    }

    /// Types text and the Enter key.
    pub(crate) async fn types(&mut self, text: &str) {
        self.keys
            .write_all(format!("{text}\n").as_bytes())
            .await
            .unwrap();
    }

    /// Types a command and waits until it is over; returns what it said.
    ///
    /// # Panics
    /// It ends with another exit status than 0, or takes longer than a person waits.
    pub(crate) async fn command(&mut self, text: &str) -> String {
        let said = self.asks_until(text, |_| true).await;
        assert!(said.ends_with("[0] box> "), "{text}\n{said}");
        said
    }

    /// Types a command until its answer `is_well`, which counts once; returns that answer, or the
    /// last one if it takes longer than a person waits for a step.
    pub(crate) async fn asks_until(
        &mut self,
        text: &str,
        is_well: impl Fn(&str) -> bool,
    ) -> String {
        self.commands += 1;
        let until = Instant::now() + STEP;
        loop {
            self.types(text).await;
            let said = self.sees("] box> ").await;
            if is_well(&said) || Instant::now() >= until {
                return said;
            }
        }
    }

    /// Waits until this is shown, behind what was seen before; returns what is shown up to there,
    /// without the signs that move the cursor or choose a colour.
    ///
    /// # Panics
    /// It is not shown within the time that a person waits.
    pub(crate) async fn sees(&mut self, words: &str) -> String {
        let until = Instant::now() + STEP;
        loop {
            let text = plain(&self.shown[self.seen..]);
            if let Some(at) = text.find(words) {
                self.seen = self.shown.len();
                let end = at + words.len();
                assert!(text[end..].trim().is_empty(), "more than {words}: {text}");
                return text[..end].to_owned();
            }
            let mut piece = [0; 4096];
            let read = timeout_at(until, self.screen.read(&mut piece)).await;
            match read {
                Ok(Ok(n)) if n > 0 => self.shown.extend_from_slice(&piece[..n]),
                other => {
                    let end: String = text
                        .chars()
                        .skip(text.chars().count().saturating_sub(2000))
                        .collect();
                    panic!("{words} is not shown ({other:?}):\n{end}")
                }
            }
        }
    }

    /// Presses Ctrl-C.
    pub(crate) async fn interrupts(&mut self) {
        self.keys.write_all(b"\x03").await.unwrap();
    }
}

impl Drop for Terminal {
    /// Ends everything that was started in the terminal, also behind a test that failed.
    fn drop(&mut self) {
        let Some(script) = self.script.id() else {
            return;
        };
        let children = format!("/proc/{script}/task/{script}/children");
        let children = fs::read_to_string(children).unwrap_or_default();
        let shells: Vec<&str> = children.split_whitespace().collect();
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let stat = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
            // Behind the name in brackets: state, parent, group, session (proc_pid_stat(5)).
            let session = stat.rsplit(") ").next().and_then(|s| s.split(' ').nth(3));
            if session.is_some_and(|session| shells.contains(&session)) {
                let pid = process.file_name();
                let ended = std::process::Command::new("kill")
                    .arg("-KILL")
                    .arg(pid)
                    .status();
                if let Err(e) = ended {
                    drop(writeln!(std::io::stderr(), "kill: {e}"));
                }
            }
        }
        drop(self.script.start_kill());
    }
}

/// Returns text without escape sequences (ECMA-48 §5.4: CSI, parameters, a final byte from @ to ~)
/// and carriage returns.
fn plain(shown: &[u8]) -> String {
    let text = String::from_utf8_lossy(shown);
    let mut plain = String::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\x1b' if rest.peek() == Some(&'[') => {
                rest.next();
                for c in rest.by_ref() {
                    if ('@'..='~').contains(&c) {
                        break;
                    }
                }
            }
            '\r' => {}
            c => plain.push(c),
        }
    }
    plain
}
