//! The tool's end of the control socket.
//!
//! The calls block, for tools that have nothing else to do.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::serve::{COMMANDED_WITHIN, RELOADED_WITHIN, SURVEYED_WITHIN};
use crate::control::{Answer, Failure, Request};

/// How long to wait for a line of an answer: the service gives its own tasks ten seconds to
/// answer.
const LINE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a person who is typing waits for names, at each line of an answer.
const QUICKLY: Duration = Duration::from_millis(300);
/// How much longer to wait, so that the service can say itself that something took too long.
const GRACE: Duration = Duration::from_secs(10);
/// The longest line of an answer.
const LONGEST_ANSWER: u64 = 64 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// There is no socket.
    #[error("no service runs here: there is no {}\nstart it with: sudo systemctl start alink-gateway (another instance is asked with --instance NAME, another socket with --socket PATH)", .0.display())]
    NotThere(PathBuf),
    /// There is a socket and no service behind it.
    #[error("no service answers at {}: it has been killed, or is just starting\nsee: systemctl status alink-gateway", .0.display())]
    NotResponding(PathBuf),
    /// The system does not let this user connect.
    #[error("you may not ask the service at {}: add yourself to the group of operators with\n    sudo adduser {user} alink-operators\nand log in again, or use sudo", .socket.display())]
    Forbidden {
        /// Where the socket is.
        socket: PathBuf,
        /// The user of the tool, if the environment says so.
        user: String,
    },
    /// The service refused, and says why.
    #[error(transparent)]
    Failure(#[from] Failure),
    /// The connection broke.
    #[error("the service stopped answering: {0}")]
    Broken(io::Error),
    /// The service took too long.
    #[error("the service has not answered for {} s: it is overloaded or hangs, and may still do what it was asked\nsee: systemctl status alink-gateway", .0.as_secs())]
    Slow(Duration),
    /// The service uses another format than this tool.
    #[error(
        "the service answers something this tool does not understand ({0}): is it of another version? restart it after an upgrade"
    )]
    UnexpectedAnswer(#[from] serde_json::Error),
}

impl From<io::Error> for AnswerError {
    fn from(e: io::Error) -> Self {
        AnswerError::Broken(e)
    }
}

/// Returns how long to wait for the first line and between two lines.
fn line_timeout(request: &Request) -> Duration {
    match request {
        Request::Reload { .. } => RELOADED_WITHIN + GRACE,
        Request::Survey { .. } => SURVEYED_WITHIN + GRACE,
        Request::Write { .. } | Request::Call { .. } => COMMANDED_WITHIN + GRACE,
        _ => LINE_TIMEOUT,
    }
}

/// Returns the error of a read that waited for `line_timeout` at most.
fn after(line_timeout: Duration) -> impl Fn(io::Error) -> AnswerError {
    move |e| match e.kind() {
        // socket(7), SO_RCVTIMEO: EAGAIN when the time is over.
        ErrorKind::WouldBlock | ErrorKind::TimedOut => AnswerError::Slow(line_timeout),
        _ => AnswerError::Broken(e),
    }
}

/// The lines of an answer.
#[derive(Debug)]
pub struct AnswerLines {
    from: BufReader<UnixStream>,
    line_timeout: Duration,
    over: bool,
}

/// Sends a request to the service behind this socket.
///
/// # Errors
/// [`AnswerError`], with the remedy.
pub fn ask(socket: &Path, request: &Request) -> Result<AnswerLines, AnswerError> {
    ask_within(socket, request, line_timeout(request))
}

/// Sends a request as [`ask`] does, for a person who is typing and does not wait.
///
/// # Errors
/// [`AnswerError`].
pub fn ask_quickly(socket: &Path, request: &Request) -> Result<AnswerLines, AnswerError> {
    ask_within(socket, request, QUICKLY)
}

/// Sends a request as [`ask`] does, with this limit for the first line and between two lines.
pub(super) fn ask_within(
    socket: &Path,
    request: &Request,
    line_timeout: Duration,
) -> Result<AnswerLines, AnswerError> {
    let stream = connect(socket, request)?;
    stream.set_read_timeout(Some(line_timeout))?;
    Ok(AnswerLines {
        from: BufReader::new(stream),
        line_timeout,
        over: false,
    })
}

/// Opens a connection and sends a request on it.
pub(super) fn connect(socket: &Path, request: &Request) -> Result<UnixStream, AnswerError> {
    let mut stream = UnixStream::connect(socket).map_err(|e| match e.kind() {
        ErrorKind::NotFound => AnswerError::NotThere(socket.to_owned()),
        ErrorKind::ConnectionRefused => AnswerError::NotResponding(socket.to_owned()),
        ErrorKind::PermissionDenied => AnswerError::Forbidden {
            socket: socket.to_owned(),
            user: std::env::var("USER").unwrap_or_else(|_| "NAME".into()),
        },
        _ => AnswerError::Broken(e),
    })?;
    stream.set_write_timeout(Some(LINE_TIMEOUT))?;
    match stream.write_all(request.line().as_bytes()) {
        // The service may have refused before it read the request; its answer is to be read.
        Err(e) if e.kind() == ErrorKind::BrokenPipe => {}
        other => other.map_err(after(LINE_TIMEOUT))?,
    }
    Ok(stream)
}

/// Sends a request and returns the only line of its answer.
///
/// # Errors
/// [`AnswerError`].
pub fn ask_once(socket: &Path, request: &Request) -> Result<Answer, AnswerError> {
    let mut answers = ask(socket, request)?;
    let first = answers.next().unwrap_or_else(|| Err(cut_off()));
    for rest in answers {
        rest?;
    }
    first
}

impl Iterator for AnswerLines {
    type Item = Result<Answer, AnswerError>;

    /// Returns the next line; after a line that is no answer there is none.
    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let answer = self.read();
        self.over = !matches!(&answer, Ok(answer) if !answer.is_last());
        match answer {
            Ok(Answer::End {}) => None,
            Ok(Answer::Error(failure)) => Some(Err(failure.into())),
            other => Some(other),
        }
    }
}

impl AnswerLines {
    fn read(&mut self) -> Result<Answer, AnswerError> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.from).take(LONGEST_ANSWER);
        let read = bounded.read_until(b'\n', &mut line);
        read.map_err(after(self.line_timeout))?;
        if line.last() != Some(&b'\n') {
            return Err(cut_off());
        }
        Ok(Answer::read(&line)?)
    }
}

pub(super) fn cut_off() -> AnswerError {
    AnswerError::Broken(io::Error::new(
        ErrorKind::UnexpectedEof,
        "the answer was cut off",
    ))
}
