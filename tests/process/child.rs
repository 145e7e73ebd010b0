//! A process under test: its lines are events to wait for, and it never outlives the
//! test.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long a step may take that normally takes well under a second: a machine shared
/// with others is slow, and a test that fails for that is useless.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running process and every line it has written.
pub(crate) struct Child {
    name: String,
    process: tokio::process::Child,
    lines: mpsc::UnboundedReceiver<String>,
    seen: Vec<String>,
}

impl Child {
    /// Starts `program` under the name that the transcript uses. The kernel ends it
    /// with SIGTERM if the test dies first.
    pub(crate) fn start<A: AsRef<str>>(name: &str, program: &str, args: &[A]) -> Child {
        Child::start_with(name, program, args, &[])
    }

    /// Does the same, with these variables in its environment.
    pub(crate) fn start_with<A: AsRef<str>>(
        name: &str,
        program: &str,
        args: &[A],
        environment: &[(&str, String)],
    ) -> Child {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", program]);
        command.args(args.iter().map(AsRef::as_ref));
        command.stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // The user who runs the tests may be supervised by systemd; the child is not,
        // unless the test says so.
        for of_systemd in [
            "NOTIFY_SOCKET",
            "WATCHDOG_USEC",
            "WATCHDOG_PID",
            "JOURNAL_STREAM",
        ] {
            command.env_remove(of_systemd);
        }
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command.kill_on_drop(true);
        let mut process = command
            .spawn()
            .unwrap_or_else(|e| panic!("{name}: {program}: {e}"));
        let (tell, lines) = mpsc::unbounded_channel();
        read_lines(process.stdout.take().unwrap(), tell.clone());
        read_lines(process.stderr.take().unwrap(), tell);
        Child {
            name: name.to_owned(),
            process,
            lines,
            seen: Vec::new(),
        }
    }

    /// Returns the next line that `wanted` accepts; lines before it are skipped but
    /// stay in the transcript.
    pub(crate) async fn line(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let found = self.line_or_end(what, wanted).await;
        found.unwrap_or_else(|| panic!("{}: ended before {what}", self.name))
    }

    /// Does the same; `None` if the process ends before.
    pub(crate) async fn line_or_end(
        &mut self,
        what: &str,
        wanted: impl Fn(&str) -> bool,
    ) -> Option<String> {
        let found = timeout(PATIENCE, async {
            while let Some(line) = self.lines.recv().await {
                self.seen.push(line.clone());
                if wanted(&line) {
                    return Some(line);
                }
            }
            None
        });
        let Ok(found) = found.await else {
            panic!("{}: no {what} within {PATIENCE:?}", self.name);
        };
        found
    }

    /// Sends `TERM`, `KILL`, `HUP`, … as kill(1) names them.
    pub(crate) fn signal(&self, name: &str) {
        let Some(pid) = self.process.id() else {
            panic!("{}: has ended already", self.name);
        };
        // The shell's own kill: no unsafe call, no further package.
        let sent = std::process::Command::new("sh")
            .args(["-c", &format!("kill -{name} {pid}")])
            .status();
        assert!(sent.unwrap().success(), "{}: kill -{name}", self.name);
    }

    /// Returns its process id.
    pub(crate) fn id(&self) -> u32 {
        self.process
            .id()
            .unwrap_or_else(|| panic!("{}: has ended", self.name))
    }

    /// Waits for its end; its last lines are in [`Child::seen`] afterwards.
    pub(crate) async fn exit(&mut self) -> ExitStatus {
        let Ok(status) = timeout(PATIENCE, self.process.wait()).await else {
            panic!("{}: still running after {PATIENCE:?}", self.name);
        };
        while let Ok(Some(line)) = timeout(PATIENCE, self.lines.recv()).await {
            self.seen.push(line);
        }
        status.unwrap()
    }

    /// Sends SIGTERM and waits for the end.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.exit().await
    }

    /// Returns every line so far, in order of arrival.
    pub(crate) fn seen(&mut self) -> &[String] {
        while let Ok(line) = self.lines.try_recv() {
            self.seen.push(line);
        }
        &self.seen
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let name = self.name.clone();
            for line in self.seen() {
                eprintln!("{name} | {line}");
            }
        }
    }
}

fn read_lines(from: impl AsyncRead + Unpin + Send + 'static, to: mpsc::UnboundedSender<String>) {
    tokio::spawn(async move {
        let mut lines = BufReader::new(from).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            let line = String::from_utf8_lossy(&line).into_owned();
            if to.send(line).is_err() {
                return;
            }
        }
    });
}
