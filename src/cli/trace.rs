//! `alink-gateway trace PORT`: the events on a port, as they happen.
//!
//! Lines for people go to standard output, a capture to the file of `--pcap`. With a
//! capture and no altitude there are no lines: `trace PORT --pcap - | wireshark -k -i -`.

#![expect(clippy::print_stderr, reason = "mistakes and endings are said there")]

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::language::Language;
use crate::io::control::listen::{self, ListenEnd};
use crate::io::terminal::sink::Sink;
use crate::trace::TraceEvent;
use crate::trace::pcap::Capture;
use crate::trace::text::{Detail, Lines};

/// How to look.
#[derive(Debug, Args)]
pub(super) struct TraceOptions {
    /// Every byte, as it comes.
    #[arg(long, group = "altitude")]
    bytes: bool,
    /// Frames, in words, with silences and verdicts (the default).
    #[arg(long, group = "altitude")]
    frames: bool,
    /// Values, by device and point.
    #[arg(long, group = "altitude")]
    values: bool,
    /// Write a capture that Wireshark opens; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    pcap: Option<PathBuf>,
    /// End after so many seconds, and not only by Ctrl-C.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400 * 366))]
    seconds: Option<u64>,
}

impl TraceOptions {
    fn altitude(&self) -> Option<Detail> {
        match (self.bytes, self.values, self.frames, &self.pcap) {
            (true, ..) => Some(Detail::Bytes),
            (_, true, ..) => Some(Detail::Values),
            (_, _, true, _) | (.., None) => Some(Detail::Frames),
            (.., Some(_)) => None,
        }
    }
}

/// The outputs of a trace.
struct Outputs {
    lines: Option<Lines>,
    language: Language,
    capture: Option<(Capture, Sink)>,
    seen: u64,
}

impl Outputs {
    fn on(&mut self, seen: &TraceEvent) -> io::Result<()> {
        self.seen += 1;
        if let Some(lines) = &mut self.lines {
            let text = self.language.say(&lines.on(seen));
            Sink::Out.write(text.as_bytes())?;
        }
        if let Some((capture, sink)) = &mut self.capture {
            sink.write(&capture.on(seen))?;
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        if let Some(lines) = &mut self.lines {
            Sink::Out.write(self.language.say(&lines.end()).as_bytes())?;
        }
        if let Some((capture, sink)) = &mut self.capture {
            sink.write(&capture.end())?;
        }
        Ok(())
    }
}

/// Shows the trace until it ends. Exit status 1 if the service does not answer or the
/// output cannot be written; 2 if lines and capture would mix.
#[must_use]
pub(super) fn run(
    socket: &Path,
    port: &str,
    options: &TraceOptions,
    language: Language,
) -> ExitCode {
    let altitude = options.altitude();
    // The capture is made with the first event: a port that does not exist must not overwrite
    // an earlier capture.
    let sink = options.pcap.as_deref().map(Sink::at);
    if altitude.is_some() && sink.as_ref().is_some_and(Sink::is_out) {
        let text = "a capture on standard output leaves no room for lines: name a file";
        eprintln!("{}", language.say(text));
        return ExitCode::from(2);
    }
    let mut outputs = Outputs {
        lines: altitude.map(Lines::new),
        language,
        capture: sink.map(|sink| (Capture::default(), sink)),
        seen: 0,
    };
    let mut written = Ok(());
    let lasting = options.seconds.map(Duration::from_secs);
    let end = listen::listen(socket, port, lasting, |seen| {
        written = outputs.on(&seen);
        match written {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    });
    let written = written.and_then(|()| match outputs.seen {
        0 => Ok(()),
        _ => outputs.end(),
    });
    finish(end, written, port, language)
}

/// Prints how the trace ended, if that is worth a line.
pub(super) fn finish(
    end: Result<ListenEnd, impl std::fmt::Display>,
    written: io::Result<()>,
    port: &str,
    language: Language,
) -> ExitCode {
    match (end, written) {
        (Err(e), _) => {
            eprintln!("{}", language.say(&e.to_string()));
            ExitCode::FAILURE
        }
        // The reader of the output has closed it: `head` for instance.
        (_, Err(e)) if e.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        (_, Err(e)) => {
            eprintln!("{}", language.say(&format!("cannot write: {e}")));
            ExitCode::FAILURE
        }
        (Ok(ListenEnd::Gone), _) => {
            let text = format!(
                "the service has stopped, or port {port} was taken out of service or configured otherwise"
            );
            eprintln!("{}", language.say(&text));
            ExitCode::SUCCESS
        }
        (Ok(ListenEnd::Time | ListenEnd::Enough), _) => ExitCode::SUCCESS,
    }
}
