//! Transmissions that may still be answered: which batch each was of, how long to wait for its
//! reply, and how many are lost.
//!
//! A transmission is given up once its reply is later than replies have been seen to be, if a
//! transmission made *after* it has been answered. While none has, the platform may just be
//! slow, and the reply gets the configured time at least. (RFC 8985 judges losses by later
//! transmissions for the same reason.) A transmission given up is remembered: its reply counts
//! whenever it comes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use crate::base::{DeviceId, Mono, RequestId};
use crate::cloud::alink::requests::pace::ReplyTimes;

use crate::cloud::alink::publish::batch::BatchId;

/// The shortest wait for a reply, however quick the others were.
const LEAST: Duration = Duration::from_secs(2);
/// The longest wait for a reply, however slow the others were.
const MOST: Duration = Duration::from_secs(60);
/// How many ended ids are remembered, to tell a late reply from an unknown one.
const REMEMBERED: usize = 1024;
/// How long after the last pack was answered packs no longer count as in use.
const PACKS_FOR: Duration = Duration::from_secs(60);
/// The share of transmissions assumed lost at the least, in millionths.
const LEAST_LOST: u64 = 50_000;

/// One transmission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Transmission {
    pub batch: BatchId,
    pub sent: Mono,
    /// The device whose own topic carried the transmission, and carries its reply.
    pub alone: Option<DeviceId>,
}

/// The transmission that a reply belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReplyMatch {
    /// To this transmission, in time.
    InTime(Transmission),
    /// To this transmission, which had been given up.
    Late(Transmission),
    /// To a transmission that is settled.
    Settled,
    /// To none of our transmissions.
    Unknown,
}

/// All transmissions of batches that are not settled.
#[derive(Clone, Debug)]
pub(super) struct Transmissions {
    all: BTreeMap<RequestId, Transmission>,
    /// The transmissions not given up yet.
    open: BTreeSet<(Mono, RequestId)>,
    times: ReplyTimes,
    /// How long replies to other requests take.
    hint: Option<Duration>,
    /// When the latest of the answered transmissions was sent.
    answered: Mono,
    /// The share of transmissions lost lately, in millionths, smoothed.
    lost: u64,
    /// When a pack was last answered.
    pack_answered: Option<Mono>,
    ended: VecDeque<RequestId>,
}

impl Transmissions {
    pub(super) fn new() -> Self {
        Transmissions {
            all: BTreeMap::new(),
            open: BTreeSet::new(),
            times: ReplyTimes::default(),
            hint: None,
            answered: Mono::START,
            lost: 0,
            pack_answered: None,
            ended: VecDeque::new(),
        }
    }

    /// Returns how many transmissions may still be answered in time.
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    /// Takes note that a batch is sent. `hint` is how long other replies take at most.
    pub(super) fn sent(&mut self, id: RequestId, one: Transmission, hint: Option<Duration>) {
        self.hint = hint;
        self.open.insert((one.sent, id));
        self.all.insert(id, one);
    }

    /// Takes note of a reply with this id, by this device's topic or by the gateway's.
    pub(super) fn answered(
        &mut self,
        now: Mono,
        id: RequestId,
        alone: Option<DeviceId>,
    ) -> ReplyMatch {
        let Some(one) = self.all.get(&id).copied().filter(|t| t.alone == alone) else {
            return if self.ended.contains(&id) {
                ReplyMatch::Settled
            } else {
                ReplyMatch::Unknown
            };
        };
        let in_time = self.open.remove(&(one.sent, id));
        self.times.measured(now.since(one.sent));
        self.answered = self.answered.max(one.sent);
        self.forget(id);
        if in_time {
            ReplyMatch::InTime(one)
        } else {
            ReplyMatch::Late(one)
        }
    }

    /// Returns the next transmission to be given up; it is remembered.
    pub(super) fn expired(
        &mut self,
        now: Mono,
        usual: Duration,
    ) -> Option<(RequestId, Transmission)> {
        let at = self.expires_at(usual)?;
        if at > now {
            return None;
        }
        let (_, id) = self.open.pop_first()?;
        self.all.get(&id).map(|one| (id, *one))
    }

    /// Returns when the next transmission is given up: the transmissions are given up in the order
    /// in which they were sent.
    pub(super) fn expires_at(&self, usual: Duration) -> Option<Mono> {
        let (sent, _) = *self.open.first()?;
        let reply_timeout = self.reply_timeout(usual);
        Some(if sent < self.answered {
            sent + reply_timeout
        } else {
            sent + reply_timeout.max(usual)
        })
    }

    /// Drops a transmission that is of no interest any more; its reply counts as late.
    pub(super) fn forget(&mut self, id: RequestId) {
        if let Some(one) = self.all.remove(&id) {
            self.open.remove(&(one.sent, id));
            if self.ended.len() == REMEMBERED {
                self.ended.pop_front();
            }
            self.ended.push_back(id);
        }
    }

    /// Takes note that the connection is gone; the next one is another connection.
    pub(super) fn link_down(&mut self) {
        for id in self.all.keys().copied().collect::<Vec<_>>() {
            self.forget(id);
        }
        *self = Transmissions {
            ended: std::mem::take(&mut self.ended),
            ..Transmissions::new()
        };
    }

    /// Returns when the latest of the answered transmissions was sent.
    pub(super) const fn answered_up_to(&self) -> Mono {
        self.answered
    }

    /// Returns how far apart two messages sent together may arrive.
    pub(super) fn spread(&self) -> Option<Duration> {
        self.times.bound()
    }

    fn reply_timeout(&self, usual: Duration) -> Duration {
        match self.times.bound() {
            Some(bound) => bound.clamp(LEAST, MOST),
            None => self.hint.unwrap_or_default().clamp(usual, MOST.max(usual)),
        }
    }

    // --- losses -----------------------------------------------------------------

    /// Counts a transmission as answered or lost. Where there are packs, they alone say how many
    /// messages are lost: a post on a device's own topic may be unanswered for another
    /// reason.
    pub(super) fn count(&mut self, now: Mono, alone: bool, is_lost: bool) {
        let packs = self.pack_answered;
        if alone && packs.is_some_and(|at| now.since(at) < PACKS_FOR) {
            return;
        }
        if !alone && !is_lost {
            self.pack_answered = Some(now);
        }
        self.lost -= self.lost / 32;
        if is_lost {
            self.lost += 1_000_000 / 32;
        }
    }

    /// Returns whether messages have been lost lately.
    pub(super) const fn is_lossy(&self) -> bool {
        self.lost > 2_000
    }

    /// Returns whether so many losses in a row are no accident: there is one such row in 5,000 if
    /// transmissions are lost as often as they have been lately.
    pub(super) fn is_significant(&self, in_a_row: u32) -> bool {
        let share = self.lost.max(LEAST_LOST) as f64 / 1_000_000.0;
        share.powi(i32::try_from(in_a_row).unwrap_or(i32::MAX)) <= 1.0 / 5_000.0
    }
}
