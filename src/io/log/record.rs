//! Records of libraries, as the journal and people get them.
//!
//! Libraries log through `tracing`, or through `log` and a bridge; the bridge puts the target
//! and the source into fields of the record.

use std::fmt;
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::journald::{Entry, JournalSocket};
use crate::base::Level;

/// The contents of a record.
#[derive(Debug)]
pub(super) struct Record {
    /// The part of the library that wrote it.
    pub target: String,
    /// The message, then `name=value` of each field.
    pub text: String,
    file: Option<String>,
    line: Option<u64>,
}

impl Record {
    pub(super) fn of(event: &Event<'_>) -> Self {
        let meta = event.metadata();
        let mut record = Record {
            target: meta.target().to_owned(),
            text: String::new(),
            file: meta.file().map(str::to_owned),
            line: meta.line().map(u64::from),
        };
        event.record(&mut record);
        record
    }

    /// Adds a field to the text; the message is put in front whenever it comes.
    fn add(&mut self, field: &Field, said: &str) {
        let gap = if self.text.is_empty() { "" } else { " " };
        self.text = match field.name() {
            "message" => format!("{said}{gap}{}", self.text),
            _ => format!("{}{gap}{said}", self.text),
        };
    }
}

impl Visit for Record {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let said = match field.name() {
            "message" => format!("{value:?}"),
            name if name.starts_with("log.") => return,
            name => format!("{name}={value:?}"),
        };
        self.add(field, &said);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "log.target" => self.target = value.to_owned(),
            "log.file" => self.file = Some(value.to_owned()),
            "message" => self.add(field, value),
            _ => self.record_debug(field, &value),
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "log.line" => self.line = Some(value),
            _ => self.record_debug(field, &value),
        }
    }
}

/// Passes records on to the journal, as notices are: by the same socket, which drops and counts
/// entries that are not taken at once.
///
/// The fields of a library are in the text and not fields of the entry: an alarm on a field of
/// the gateway must not be set off by a library's field.
#[derive(Debug)]
pub(super) struct ToJournal(pub Arc<JournalSocket>);

impl<S: Subscriber> Layer<S> for ToJournal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = match *event.metadata().level() {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warn,
            tracing::Level::INFO => Level::Info,
            tracing::Level::DEBUG | tracing::Level::TRACE => Level::Debug,
        };
        let record = Record::of(event);
        let mut entry = Entry::new(level, &record.text);
        // As tracing-journald and systemd.journal-fields(7) call them.
        entry.field("TARGET", &record.target);
        if let Some(file) = &record.file {
            entry.field("CODE_FILE", file);
        }
        if let Some(line) = record.line {
            entry.field("CODE_LINE", &line.to_string());
        }
        self.0.send(&entry);
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::os::unix::net::UnixDatagram;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// Runs `say` with a journal as the subscriber, and hands it the socket on which the
    /// entries arrive.
    fn journal(say: impl FnOnce(&UnixDatagram)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let heard = UnixDatagram::bind(&path).unwrap();
        heard.set_nonblocking(true).unwrap();
        let socket = Arc::new(JournalSocket::new(&path).unwrap());
        let subscriber = tracing_subscriber::registry().with(ToJournal(socket));
        tracing::subscriber::with_default(subscriber, || say(&heard));
    }

    fn next(heard: &UnixDatagram) -> Option<String> {
        let mut buffer = [0; 8192];
        match heard.recv(&mut buffer) {
            Ok(n) => Some(String::from_utf8(buffer[..n].to_vec()).unwrap()),
            Err(e) if e.kind() == ErrorKind::WouldBlock => None,
            Err(e) => panic!("{e}"),
        }
    }

    #[test]
    fn a_record_of_a_library_says_who_said_it_and_no_field_of_ours() {
        journal(|heard| {
            tracing::warn!(target: "rustls::client", event = "device-silent", n = 3, "odd");
            let line = line!() - 1;
            assert_eq!(
                next(heard).unwrap(),
                format!(
                    "MESSAGE=odd event=\"device-silent\" n=3\nPRIORITY=4\n\
                     SYSLOG_IDENTIFIER=alink-gateway\nTARGET=rustls::client\n\
                     CODE_FILE={}\nCODE_LINE={line}\n",
                    file!()
                )
            );
            // The record is as the bridge from `log` passes it on.
            tracing::event!(
                target: "log",
                tracing::Level::TRACE,
                message = "odd",
                log.target = "rustls",
                log.module_path = "rustls::client",
                log.file = "src/client.rs",
                log.line = 7u64,
            );
            assert_eq!(
                next(heard).unwrap(),
                "MESSAGE=odd\nPRIORITY=7\nSYSLOG_IDENTIFIER=alink-gateway\n\
                 TARGET=rustls\nCODE_FILE=src/client.rs\nCODE_LINE=7\n"
            );
        });
    }

    #[test]
    fn a_stalled_journal_does_not_stall_whoever_speaks_and_what_is_lost_is_counted() {
        // net.unix.max_dgram_qlen, the length of the journal's queue, is some
        // hundreds.
        const SAID: usize = 20_000;
        journal(|heard| {
            for n in 0..SAID {
                tracing::warn!("{n}");
            }
            let mut taken = 0;
            while next(heard).is_some() {
                taken += 1;
            }
            assert!(0 < taken && taken < SAID, "{taken}");
            tracing::warn!("at last");
            assert!(next(heard).unwrap().starts_with("MESSAGE=at last\n"));
            let confession = next(heard).unwrap();
            let count = format!("EVENT=journal-lost\nCOUNT={}\n", SAID - taken);
            assert!(confession.contains(&count), "{confession}");
        });
    }
}
