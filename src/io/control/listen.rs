//! Listens to a port of the running service: the tool's side.
//!
//! Listening ends after the requested time, by Ctrl-C (or TERM, or HUP), when the receiver of
//! the events has enough, or when the service ends the stream. Whatever ends it, the caller
//! goes on: a capture gets its last frame, a picture is drawn.

use std::future::pending;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

use super::client::{AnswerError, connect, cut_off};
use crate::control::{Answer, Request};
use crate::trace::TraceEvent;

/// The longest line of an answer: an event holds a few hundred bytes and some values.
const LONGEST: u64 = 1 << 20;

/// Why listening has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenEnd {
    /// Time was up.
    Time,
    /// The user or the receiver of the events has had enough.
    Enough,
    /// The service took the port out of service, or was stopped.
    Gone,
}

/// Listens to this port of the service behind this socket, for `lasting` if given, and hands
/// every event to `each`.
///
/// # Errors
/// [`AnswerError`], with the remedy.
pub fn listen(
    socket: &Path,
    port: &str,
    lasting: Option<Duration>,
    each: impl FnMut(TraceEvent) -> ControlFlow<()>,
) -> Result<ListenEnd, AnswerError> {
    let port = port.to_owned();
    let stream = connect(socket, &Request::Trace { port })?;
    stream.set_nonblocking(true)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let over = async {
            match lasting {
                Some(lasting) => tokio::time::sleep(lasting).await,
                None => pending().await,
            }
        };
        // A line whose read is dropped half-way is not read any further.
        tokio::select! {
            biased;
            _ = interrupt.recv() => Ok(ListenEnd::Enough),
            _ = terminate.recv() => Ok(ListenEnd::Enough),
            _ = hangup.recv() => Ok(ListenEnd::Enough),
            () = over => Ok(ListenEnd::Time),
            end = hear(UnixStream::from_std(stream)?, each) => end,
        }
    })
}

async fn hear(
    stream: UnixStream,
    mut each: impl FnMut(TraceEvent) -> ControlFlow<()>,
) -> Result<ListenEnd, AnswerError> {
    let mut from = BufReader::new(stream);
    let mut line = Vec::new();
    let mut heard = false;
    loop {
        line.clear();
        let mut bounded = (&mut from).take(LONGEST);
        bounded.read_until(b'\n', &mut line).await?;
        if line.last() != Some(&b'\n') {
            let over = (line.len() as u64) < LONGEST;
            // A service that stops drops its connections where they are, between two lines or
            // within one: the events heard before are as good as ever.
            return if over && heard {
                Ok(ListenEnd::Gone)
            } else {
                Err(cut_off())
            };
        }
        match Answer::read(&line)? {
            Answer::Seen(seen) => {
                heard = true;
                let flow = each(serde_json::from_value(seen)?);
                if flow.is_break() {
                    return Ok(ListenEnd::Enough);
                }
            }
            Answer::End {} => return Ok(ListenEnd::Gone),
            Answer::Error(failure) => return Err(failure.into()),
            // Kinds of answers added within a version are passed over.
            _ => {}
        }
    }
}
