//! Outputs that are still to be handed out, and when.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::base::{Mono, Wake};
use crate::lab::platform::{Conn, Output};

/// Outputs in the order in which they are due.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outbox {
    now: VecDeque<Output>,
    later: BTreeMap<(Mono, u64), Output>,
    /// The last due time per connection, so that delay alone keeps the order.
    last: BTreeMap<Conn, Mono>,
    count: u64,
}

impl Outbox {
    pub(crate) fn push(&mut self, output: Output) {
        self.now.push_back(output);
    }

    /// Queues an output after `after`, and not before earlier outputs of this
    /// connection if `in_order`.
    pub(crate) fn push_after(
        &mut self,
        now: Mono,
        conn: Conn,
        after: Duration,
        in_order: bool,
        output: Output,
    ) {
        let mut due = now + after;
        if in_order {
            if let Some(last) = self.last.get(&conn) {
                due = due.max(*last);
            }
            self.last.insert(conn, due);
        }
        if due <= now {
            self.now.push_back(output);
        } else {
            self.count += 1;
            self.later.insert((due, self.count), output);
        }
    }

    pub(crate) fn poll(&mut self, now: Mono) -> Option<Output> {
        if let Some(output) = self.now.pop_front() {
            return Some(output);
        }
        let first = self.later.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// Drops the outputs of a connection that ended.
    pub(crate) fn forget(&mut self, conn: Conn) {
        self.last.remove(&conn);
        let owed = |output: &Output| output.conn() == conn;
        self.later.retain(|_, output| !owed(output));
    }

    pub(crate) fn wake_at(&self, now: Mono) -> Option<Wake> {
        if !self.now.is_empty() {
            return Some(Wake::new(now, "outputs are waiting"));
        }
        let (due, _) = self.later.keys().next()?;
        Some(Wake::new(*due, "a delayed message is due"))
    }
}

/// The times of recent events: for rules of the kind "n in any span".
#[derive(Clone, Debug, Default)]
pub(crate) struct Recent(VecDeque<Mono>);

impl Recent {
    /// Notes an event at `now` and returns how many events there were within `span`
    /// before it, including itself.
    pub(crate) fn note(&mut self, now: Mono, span: Duration) -> usize {
        while self.0.front().is_some_and(|t| now.since(*t) >= span) {
            self.0.pop_front();
        }
        self.0.push_back(now);
        self.0.len()
    }

    /// Takes back the last note.
    pub(crate) fn unnote(&mut self) {
        self.0.pop_back();
    }
}
