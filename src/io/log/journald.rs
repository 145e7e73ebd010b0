//! Writes the journal's native protocol: one entry is one datagram of fields.
//!
//! systemd, "Native Journal Protocol" (systemd.io/JOURNAL_NATIVE_PROTOCOL): a
//! field is `NAME=value\n`, or, when the value contains a newline, `NAME\n`, the
//! length as 64 bits little-endian, the value, `\n`. Names are `A-Z 0-9 _`, do
//! not start with a digit, and a leading `_` is the journal's own; at most 64
//! characters.
//!
//! Entries too large for a datagram would have to travel in a sealed memory file. No entry of
//! the gateway is that long, so values are cut instead ([`VALUE_MAX`]), visibly.

use std::borrow::Cow;
use std::io::{self, ErrorKind};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::IDENTIFIER;
use crate::base::text::{counted, is_display_control, plural};
use crate::base::{EventKind, JournalField, Level};

/// Where the journal listens.
pub const JOURNAL_SOCKET: &str = "/run/systemd/journal/socket";

/// Longest value of a field, in bytes. An entry of some twenty fields stays far
/// below the default datagram limit (`net.core.wmem_default`, 208 KiB).
const VALUE_MAX: usize = 4096;

/// A journal entry, encoded as fields are added.
#[derive(Debug)]
pub(super) struct Entry(Vec<u8>);

impl Entry {
    pub(super) fn new(level: Level, message: &str) -> Self {
        let mut entry = Entry(Vec::with_capacity(512));
        entry.field("MESSAGE", message);
        entry.field("PRIORITY", priority(level));
        entry.field("SYSLOG_IDENTIFIER", IDENTIFIER);
        entry
    }

    /// Adds a field. A name the journal would refuse is left out rather than losing the whole
    /// entry. Characters that control the display are escaped, except newlines and tabs:
    /// journalctl shows a value with control characters as `[blob data]`, and passes on to the
    /// terminal characters that reverse the text.
    pub(super) fn field(&mut self, name: &str, value: &str) {
        if !is_field_name(name) {
            debug_assert!(false, "{name:?} is no journal field name");
            return;
        }
        let value = shown(value);
        let kept = first_bytes(&value, VALUE_MAX);
        let tail = if kept.len() < value.len() { "…" } else { "" };
        let out = &mut self.0;
        out.extend_from_slice(name.as_bytes());
        if kept.contains('\n') {
            let length = (kept.len() + tail.len()) as u64;
            out.push(b'\n');
            out.extend_from_slice(&length.to_le_bytes());
        } else {
            out.push(b'=');
        }
        out.extend_from_slice(kept.as_bytes());
        out.extend_from_slice(tail.as_bytes());
        out.push(b'\n');
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Returns the priority of syslog(3): 3 error, 4 warning, 6 informational, 7 debug.
const fn priority(level: Level) -> &'static str {
    match level {
        Level::Error => "3",
        Level::Warn => "4",
        Level::Info => "6",
        Level::Debug => "7",
    }
}

/// Returns the text with the characters escaped that control the display.
fn shown(text: &str) -> Cow<'_, str> {
    let escaped = |c: char| is_display_control(c) && !matches!(c, '\n' | '\t');
    if !text.contains(escaped) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if escaped(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out.into()
}

/// Returns at most `limit` bytes of `text`, in whole characters.
fn first_bytes(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn is_field_name(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// This process' end of the journal's socket.
///
/// The socket is not connected: the journal's socket file may be replaced when the journal is
/// updated, and a connection would keep pointing at the old file.
#[derive(Debug)]
pub(super) struct JournalSocket {
    socket: UnixDatagram,
    path: PathBuf,
    lost: AtomicU64,
}

impl JournalSocket {
    pub(super) fn new(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        // A stalled journal must not stall the gateway.
        socket.set_nonblocking(true)?;
        Ok(JournalSocket {
            socket,
            path: path.to_owned(),
            lost: AtomicU64::new(0),
        })
    }

    /// Returns whether a journal listens there, however busy. An empty datagram is no entry: the
    /// journal passes over it.
    pub(super) fn is_heard(&self) -> bool {
        match self.socket.send_to(&[], &self.path) {
            Ok(_) => true,
            Err(e) => matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        }
    }

    /// Sends the entry, or counts it as lost.
    pub(super) fn send(&self, entry: &Entry) {
        if !self.try_send(entry) {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let text = format!(
                "journal: {} before the last {} lost: not taken in time",
                counted(lost, "entry"),
                plural(lost, "was", "were")
            );
            let mut confession = Entry::new(Level::Warn, &text);
            let kind = EventKind::JournalLost;
            confession.field("MESSAGE_ID", &kind.message_id().to_string());
            confession.field(JournalField::Event.name(), kind.name());
            confession.field(JournalField::Count.name(), &lost.to_string());
            if !self.try_send(&confession) {
                self.lost.fetch_add(lost, Ordering::Relaxed);
            }
        }
    }

    /// Sends the entry; returns whether the journal has taken it.
    pub(super) fn try_send(&self, entry: &Entry) -> bool {
        loop {
            match self.socket.send_to(entry.bytes(), &self.path) {
                Ok(_) => return true,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_with_a_newline_is_framed_by_its_length() {
        let mut entry = Entry::new(Level::Warn, "two\nlines");
        entry.field("CODE", "460");
        let mut expected = b"MESSAGE\n\x09\0\0\0\0\0\0\0two\nlines\n".to_vec();
        expected.extend_from_slice(b"PRIORITY=4\nSYSLOG_IDENTIFIER=alink-gateway\nCODE=460\n");
        assert_eq!(entry.bytes(), expected);
    }

    #[test]
    fn a_long_value_is_cut_at_a_character_and_shows_it() {
        let long = "é".repeat(VALUE_MAX);
        let mut entry = Entry(Vec::new());
        entry.field("SAID", &long);
        let text = String::from_utf8(entry.0).unwrap();
        assert!(text.ends_with("é…\n"));
        assert!(text.len() < VALUE_MAX + 16);

        let mut entry = Entry(Vec::new());
        entry.field("SAID", &format!("a\n{long}"));
        let length = u64::from_le_bytes(entry.0[5..13].try_into().unwrap());
        assert_eq!(
            length as usize,
            entry.0.len() - 14,
            "the length counts the ellipsis"
        );
    }

    #[test]
    fn what_controls_the_display_is_escaped() {
        let mut entry = Entry(Vec::new());
        entry.field("SAID", "\u{202E}1-retem\u{1b}[2J\tis é");
        assert_eq!(
            String::from_utf8(entry.0).unwrap(),
            "SAID=\\u{202e}1-retem\\u{1b}[2J\tis é\n"
        );
    }

    #[test]
    fn only_names_the_journal_takes_are_sent() {
        for good in ["EVENT", "UNIT_ID", "A1"] {
            assert!(is_field_name(good), "{good}");
        }
        let long = "A".repeat(65);
        for bad in ["", "_PID", "1ST", "Event", "A-B", "A=B", &long] {
            assert!(!is_field_name(bad), "{bad}");
        }
    }
}
