//! `alink-gateway scope PORT`: a picture of the frames on a port over time.

#![expect(
    clippy::print_stderr,
    reason = "mistakes and what was drawn are said there"
)]

use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use super::language::Language;
use super::trace::finish;
use crate::io::control::listen;
use crate::io::terminal::sink::Sink;
use crate::trace::scope::Scope;

/// The longest picture, in seconds: a longer one could not be read.
pub(super) const LONGEST: u64 = 600;

/// Watches for so many seconds, then draws. Exit status 1 if the service does not answer or
/// the picture cannot be written.
#[must_use]
pub(super) fn run(
    socket: &Path,
    port: &str,
    seconds: u64,
    output: &Path,
    language: Language,
) -> ExitCode {
    let (mut scope, mut heard) = (Scope::default(), false);
    let lasting = Some(Duration::from_secs(seconds));
    let end = listen::listen(socket, port, lasting, |seen| {
        heard = true;
        scope.on(&seen);
        ControlFlow::Continue(())
    });
    // An earlier picture stays if there is none now.
    let written = match &end {
        Ok(_) if heard => write(&scope, output, language),
        Ok(_) | Err(_) => Ok(()),
    };
    finish(end, written, port, language)
}

fn write(scope: &Scope, output: &Path, language: Language) -> io::Result<()> {
    let mut sink = Sink::at(output);
    sink.write(scope.draw().as_bytes())?;
    if !sink.is_out() {
        eprintln!("{}: {}", output.display(), language.say(&scope.summary()));
    }
    Ok(())
}
