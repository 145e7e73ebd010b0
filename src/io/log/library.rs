//! Sets `tracing` up: the records of libraries, and the level of the whole log.

use std::fmt;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterFn, filter_fn};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, reload};

use super::filter::{InitError, level_of, library_filter, parse_words, shows_secrets};
use super::journald::{JOURNAL_SOCKET, JournalSocket};
use super::record::{Record, ToJournal};
use super::{LogLevel, Sink, terminal};
use crate::io::system::clock::Clock;
use crate::io::terminal::screen;

/// The environment variable with the log filter.
pub const FILTER: &str = "ALINK_GATEWAY_LOG";

/// Sets up logging for this process, once, and returns where notices go.
///
/// `ALINK_GATEWAY_LOG`, else `RUST_LOG`, else `info` is the filter.
///
/// # Errors
/// The filter does not parse, or this is a second call.
pub fn init(clock: Clock) -> Result<Sink, InitError> {
    let said = from_environment();
    let least = level_of(&said);
    let (filter, handle) = reload::Layer::new(parse(&said)?);
    // A subscriber that is gone needs no filter.
    let apply = move |filter| drop(handle.reload(filter));
    let log_level = LogLevel::new(said, Some(Box::new(apply)));

    if is_on_journal()
        && let Ok(socket) = JournalSocket::new(Path::new(JOURNAL_SOCKET))
        && socket.is_heard()
    {
        let socket = Arc::new(socket);
        tracing_subscriber::registry()
            .with(filter)
            .with(cap_library_levels())
            .with(ToJournal(Arc::clone(&socket)))
            .try_init()
            .map_err(|_| InitError::Twice)?;
        return Ok(Sink::of_journal(least, clock, socket).with_log_level(log_level));
    }

    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(screen::has_colours(&std::io::stderr()))
        .with_writer(std::io::stderr)
        .event_format(Line { clock });
    tracing_subscriber::registry()
        .with(filter)
        .with(cap_library_levels())
        .with(layer)
        .try_init()
        .map_err(|_| InitError::Twice)?;
    Ok(Sink::text(least, clock).with_log_level(log_level))
}

/// Returns whether [`init`] would take this filter.
///
/// # Errors
/// [`InitError::Filter`], with the parser's error.
pub fn try_filter(said: &str) -> Result<(), InitError> {
    parse(said).map(|_| ())
}

fn parse(said: &str) -> Result<EnvFilter, InitError> {
    parse_words(&library_filter(said)).map_err(|e| match e {
        InitError::Filter { why, .. } => InitError::Filter {
            said: said.to_owned(),
            why,
        },
        InitError::Twice => e,
    })
}

/// Returns whether standard error is the journal.
#[must_use]
pub fn is_on_journal() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    is_journal(&stream, std::io::stderr())
}

fn from_environment() -> String {
    [FILTER, "RUST_LOG"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|words| !words.trim().is_empty())
        .unwrap_or_else(|| "info".to_owned())
}

/// Returns whether `stream`, the value of `JOURNAL_STREAM` (`device:inode`, decimal), is
/// the file behind `fd`: systemd.exec(5) asks for this comparison, because a
/// child's standard error may have been redirected since.
fn is_journal(stream: &str, fd: impl AsFd) -> bool {
    let Some((device, inode)) = stream.split_once(':') else {
        return false;
    };
    let (Ok(device), Ok(inode)) = (device.parse::<u64>(), inode.parse::<u64>()) else {
        return false;
    };
    fd.as_fd()
        .try_clone_to_owned()
        .map(std::fs::File::from)
        .and_then(|file| file.metadata())
        .is_ok_and(|m| m.dev() == device && m.ino() == inode)
}

/// Keeps talkative libraries at `info`, whatever a filter says: more precise directives of a
/// filter, about a module or a span, would override a directive added here.
fn cap_library_levels() -> FilterFn<impl Fn(&Metadata<'_>) -> bool> {
    filter_fn(|meta| *meta.level() <= tracing::Level::INFO || !shows_secrets(meta.target()))
}

/// A line in the format of a notice, with the target in place of the device or port.
struct Line {
    clock: Clock,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (at, level) = (self.clock.now().wall, event.metadata().level());
        let Record { target, text, .. } = Record::of(event);
        let text = format!("{target}: {text}");
        writeln!(writer, "{}", terminal::line_of(at, level.as_str(), &text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_error_is_the_journal_only_if_device_and_inode_agree() {
        let file = tempfile::tempfile().unwrap();
        let meta = file.metadata().unwrap();
        let stream = format!("{}:{}", meta.dev(), meta.ino());
        assert!(is_journal(&stream, &file));
        assert!(!is_journal(&stream, std::io::stdin()));
        for other in [
            "",
            ":",
            "8",
            "8:",
            "a:b",
            &format!("{}:{}", meta.dev(), meta.ino() + 1),
        ] {
            assert!(!is_journal(other, &file), "{other:?}");
        }
    }

    #[test]
    fn no_filter_makes_a_library_show_the_address_of_a_file() {
        use std::sync::{Arc, Mutex};

        #[derive(Clone, Default)]
        struct Captured(Arc<Mutex<Vec<u8>>>);
        impl std::io::Write for Captured {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        for words in [
            "trace",
            "info,ureq=trace",
            "trace,ureq::run=trace,ureq_proto::client=trace",
            "[{url}]=trace",
        ] {
            let captured = Captured::default();
            let sink = captured.clone();
            let layer = tracing_subscriber::fmt::layer().with_writer(move || sink.clone());
            let subscriber = tracing_subscriber::registry()
                .with(parse(words).unwrap())
                .with(cap_library_levels())
                .with(layer);
            tracing::subscriber::with_default(subscriber, || {
                let span = tracing::info_span!("download", url = 1);
                let _within = span.enter();
                tracing::debug!(target: "ureq::run", "GET https://x/?Signature=hunter2");
                tracing::trace!(target: "ureq_proto::client", "GET https://x/?Signature=hunter2");
                tracing::debug!(target: "ureq", "GET https://x/?Signature=hunter2");
                tracing::error!(target: "ureq::pool", "an error");
                tracing::trace!(target: "rustls", "another library");
            });
            let captured = String::from_utf8(captured.0.lock().unwrap().clone()).unwrap();
            assert!(!captured.contains("hunter2"), "{words}: {captured}");
            assert!(captured.contains("an error"), "{words}: {captured}");
            let all = words != "info,ureq=trace";
            assert_eq!(
                captured.contains("another library"),
                all,
                "{words}: {captured}"
            );
        }
    }
}
