//! The counters of this room.

use std::collections::BTreeMap;

use crate::base::LogoutReason;

/// The counters of this room. Each only grows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Messages published.
    pub published: u64,
    /// Log-in messages among them.
    pub login_messages: u64,
    /// Log-out messages among them.
    pub logout_messages: u64,
    /// Post messages among them, packs included.
    pub post_messages: u64,
    /// Log-ins accepted, in devices.
    pub logged_in: u64,
    /// Log-outs accepted, in devices, by the name of their reason.
    pub logouts: BTreeMap<&'static str, u64>,
    /// Replies that refused something.
    pub refused: u64,
    /// Devices refused, each with a retry block.
    pub blocked: u64,
    /// Replies with code 429.
    pub throttled: u64,
    /// Requests whose reply did not come in time.
    pub unanswered: u64,
    /// Replies that came after their deadline, or twice.
    pub late_replies: u64,
    /// Replies that belong to none of our requests.
    pub unknown_replies: u64,
    /// Messages on topics we do not know.
    pub unknown_topics: u64,
    /// Messages that could not be read.
    pub malformed: u64,
    /// Sessions ended by the platform.
    pub kicked: u64,
    /// Messages about registration and topology among the published.
    pub topology_messages: u64,
    /// Devices registered.
    pub registered: u64,
    /// Devices added to the topology.
    pub related: u64,
    /// Devices deleted from the topology.
    pub unrelated: u64,
    /// Orders of the platform that were carried out.
    pub orders: u64,
    /// Answers to orders and commands dropped, because too many waited.
    pub dropped_answers: u64,
    /// Commands of the platform handed out to be carried out.
    pub commands: u64,
    /// Commands of the platform refused without being handed out.
    pub refused_commands: u64,
    /// Commands that came again: nothing was done a second time.
    pub repeated_commands: u64,
    /// Answers to commands that could not be sent while they were of use, because the
    /// connection was gone, or the session of the device.
    pub unsent_answers: u64,
    /// Log events dropped, because there were too many.
    pub dropped_notices: u64,
    /// Notices and orders of the platform about devices that are not configured here.
    pub strangers: u64,
    /// Filters refused by the broker.
    pub subscribe_refused: u64,
    /// Readings taken into the queue.
    pub readings: u64,
    /// Readings the platform accepted.
    pub delivered: u64,
    /// Readings that the store on flash has taken, those included that it dropped at once.
    pub stored: u64,
    /// Stored values that the platform accepted.
    pub replayed: u64,
    /// Messages with stored values.
    pub history_messages: u64,
    /// Stored values dropped because the platform refused them.
    pub history_refused: u64,
    /// How often a device was refused while its stored values were sent; the values are kept.
    pub history_left_out: u64,
    /// Events of the thing model taken into the queue.
    pub events: u64,
    /// Events that the platform accepted, those from the store included.
    pub events_delivered: u64,
    /// Messages with one event each among the published.
    pub event_messages: u64,
    /// Events dropped because too many waited.
    pub events_dropped_queue_full: u64,
    /// Events dropped because the platform refused them.
    pub events_dropped_refused: u64,
    /// Events dropped because one alone exceeds a message.
    pub events_dropped_too_large: u64,
    /// Events dropped because their device is not configured.
    pub events_dropped_unknown: u64,
    /// Events dropped because the gateway stopped and had no store for them.
    pub events_dropped_at_stop: u64,
    /// Readings sent again.
    pub resent: u64,
    /// Readings dropped because the queue was full.
    pub dropped_queue_full: u64,
    /// Readings dropped because the platform refused them.
    pub dropped_refused: u64,
    /// Readings dropped because one alone exceeds a message.
    pub dropped_too_large: u64,
    /// Readings dropped because their device or point is not configured.
    pub dropped_unknown: u64,
    /// Readings that had to wait until the time was known.
    pub unstamped: u64,
    /// Readings dropped because too many waited for the time.
    pub dropped_unstamped: u64,
    /// Readings dropped because the gateway stopped and had no store for them.
    pub dropped_at_stop: u64,
}

impl Counters {
    /// Counts a device that was logged out, for this reason.
    pub(crate) fn logged_out(&mut self, reason: LogoutReason) {
        *self.logouts.entry(reason.word()).or_default() += 1;
    }

    /// Returns how many readings were dropped, by cause: all causes there are.
    #[must_use]
    pub const fn drops(&self) -> [(&'static str, u64); 6] {
        [
            ("queue-full", self.dropped_queue_full),
            ("refused", self.dropped_refused + self.history_refused),
            ("too-large", self.dropped_too_large),
            ("unknown", self.dropped_unknown),
            ("no-time", self.dropped_unstamped),
            ("stop", self.dropped_at_stop),
        ]
    }

    /// Returns how many events of the thing model were dropped, by cause: all causes there are.
    #[must_use]
    pub const fn event_drops(&self) -> [(&'static str, u64); 5] {
        [
            ("queue-full", self.events_dropped_queue_full),
            ("refused", self.events_dropped_refused),
            ("too-large", self.events_dropped_too_large),
            ("unknown", self.events_dropped_unknown),
            ("stop", self.events_dropped_at_stop),
        ]
    }
}
