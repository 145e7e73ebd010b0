//! The other end of the control socket: a person's side.
//!
//! Blocking, for tools that have nothing else to do.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::serve::RELOADED_WITHIN;
use crate::control::{Answer, Failure, Request};

/// The service says something within this: whoever knows has ten seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// The service says itself that something took too long. It is given so much
/// longer to say it.
const GRACE: Duration = Duration::from_secs(10);
/// No line of an answer is longer.
const LONGEST_ANSWER: u64 = 64 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// There is no socket.
    #[error("no service runs here: there is no {}\nstart it with: sudo systemctl start alink-gateway (another instance is asked with --instance NAME, another socket with --socket PATH)", .0.display())]
    NotThere(PathBuf),
    /// There is a socket and nobody behind it.
    #[error("no service answers at {}: it has been killed, or is just starting\nsee: systemctl status alink-gateway", .0.display())]
    Dead(PathBuf),
    /// The system does not let us.
    #[error("you may not ask the service at {}: add yourself to the group of operators with\n    sudo adduser {user} alink-operators\nand log in again, or use sudo", .socket.display())]
    Forbidden {
        /// Where it is.
        socket: PathBuf,
        /// Who we are, if the environment says so.
        user: String,
    },
    /// The service says why not.
    #[error(transparent)]
    Failure(#[from] Failure),
    /// The connection broke.
    #[error("the service stopped answering: {0}")]
    Broken(io::Error),
    /// The service took too long.
    #[error("the service has said nothing for {} s: it is overloaded or hangs, and may still do what it was asked\nsee: systemctl status alink-gateway", .0.as_secs())]
    Slow(Duration),
    /// It speaks otherwise than this tool.
    #[error(
        "the service answers something this tool does not understand ({0}): is it of another version? restart it after an upgrade"
    )]
    Strange(#[from] serde_json::Error),
}

impl From<io::Error> for Unanswered {
    fn from(e: io::Error) -> Self {
        Unanswered::Broken(e)
    }
}

/// How long to wait for the first word and between two.
fn patience(request: &Request) -> Duration {
    match request {
        Request::Reload { .. } => RELOADED_WITHIN + GRACE,
        _ => PATIENCE,
    }
}

/// What went wrong when the system was told to wait so long and no longer.
fn after(patience: Duration) -> impl Fn(io::Error) -> Unanswered {
    move |e| match e.kind() {
        // socket(7), SO_RCVTIMEO: EAGAIN when the time is over.
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Unanswered::Slow(patience),
        _ => Unanswered::Broken(e),
    }
}

/// An answer, line by line.
#[derive(Debug)]
pub struct Answers {
    from: BufReader<UnixStream>,
    patience: Duration,
    over: bool,
}

/// Asks the service whose socket this is.
///
/// # Errors
/// [`Unanswered`], with what to do.
pub fn ask(socket: &Path, request: &Request) -> Result<Answers, Unanswered> {
    ask_within(socket, request, patience(request))
}

/// The same, with so much patience for the first word and between two.
pub(super) fn ask_within(
    socket: &Path,
    request: &Request,
    patience: Duration,
) -> Result<Answers, Unanswered> {
    let stream = connect(socket, request)?;
    stream.set_read_timeout(Some(patience))?;
    Ok(Answers {
        from: BufReader::new(stream),
        patience,
        over: false,
    })
}

/// A connection on which this has been asked.
pub(super) fn connect(socket: &Path, request: &Request) -> Result<UnixStream, Unanswered> {
    let mut stream = UnixStream::connect(socket).map_err(|e| match e.kind() {
        ErrorKind::NotFound => Unanswered::NotThere(socket.to_owned()),
        ErrorKind::ConnectionRefused => Unanswered::Dead(socket.to_owned()),
        ErrorKind::PermissionDenied => Unanswered::Forbidden {
            socket: socket.to_owned(),
            user: std::env::var("USER").unwrap_or_else(|_| "NAME".into()),
        },
        _ => Unanswered::Broken(e),
    })?;
    stream.set_write_timeout(Some(PATIENCE))?;
    match stream.write_all(request.line().as_bytes()) {
        // It may have said no before it was asked; that is to be read.
        Err(e) if e.kind() == ErrorKind::BrokenPipe => {}
        other => other.map_err(after(PATIENCE))?,
    }
    Ok(stream)
}

/// The only line of an answer.
///
/// # Errors
/// [`Unanswered`].
pub fn ask_once(socket: &Path, request: &Request) -> Result<Answer, Unanswered> {
    let mut answers = ask(socket, request)?;
    let first = answers.next().unwrap_or_else(|| Err(cut_off()));
    for rest in answers {
        rest?;
    }
    first
}

impl Iterator for Answers {
    type Item = Result<Answer, Unanswered>;

    /// The next line; after one that is no answer there is none.
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

impl Answers {
    fn read(&mut self) -> Result<Answer, Unanswered> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.from).take(LONGEST_ANSWER);
        let read = bounded.read_until(b'\n', &mut line);
        read.map_err(after(self.patience))?;
        if line.last() != Some(&b'\n') {
            return Err(cut_off());
        }
        Ok(Answer::read(&line)?)
    }
}

pub(super) fn cut_off() -> Unanswered {
    Unanswered::Broken(io::Error::new(
        ErrorKind::UnexpectedEof,
        "the answer was cut off",
    ))
}
