//! Misfortune on order: seeded, so that the same seed is the same bad day.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Code, Device};
use crate::base::{Mono, Rng};

/// A misfortune that can be switched on; `0` or a zero span switches it off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This share of upstream messages never arrives.
    LoseRequests {
        /// In thousandths.
        permille: u32,
    },
    /// This share of downstream messages never leaves.
    LoseReplies {
        /// In thousandths.
        permille: u32,
    },
    /// Downstream messages wait between these two spans, keeping their order.
    Delay {
        /// At least.
        least: Duration,
        /// At most.
        most: Duration,
    },
    /// This share of downstream messages is sent twice.
    Duplicate {
        /// In thousandths.
        permille: u32,
    },
    /// This share of downstream messages is held back so that later ones
    /// overtake it.
    Reorder {
        /// In thousandths.
        permille: u32,
        /// How long it is held.
        by: Duration,
    },
    /// Every log-in is answered 429 for so long.
    Throttle {
        /// From now.
        during: Duration,
    },
    /// Log-ins and posts of this device are answered with this code; `None`
    /// ends it.
    Refuse {
        /// Which sub-device.
        device: Device,
        /// With what.
        code: Option<Code>,
    },
    /// The device, sub-device or gateway, turns up elsewhere and is kicked.
    Kick(Device),
    /// Pings are no longer answered, all else is.
    IgnorePings(bool),
    /// Nothing is read and nothing is sent, yet no connection ends: a dead
    /// path. The keepalive look still closes them in its time.
    Deaf(bool),
    /// The connection of this gateway is cut.
    Cut(Device),
    /// All lasting faults end.
    Heal,
}

/// The lasting faults.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    rng: Rng,
    lose_requests: u32,
    lose_replies: u32,
    delay: (Duration, Duration),
    duplicate: u32,
    reorder: (u32, Duration),
    throttled_until: Option<Mono>,
    refuse: BTreeMap<Device, Code>,
    pub(super) ignore_pings: bool,
    pub(super) deaf: bool,
}

/// What becomes of one downstream message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Lost,
    /// After so long; in order with the others of its connection, or not; and
    /// perhaps once more.
    Sent {
        after: Duration,
        in_order: bool,
        twice: bool,
    },
}

impl Faults {
    pub(super) const fn none(rng: Rng) -> Self {
        Faults {
            rng,
            lose_requests: 0,
            lose_replies: 0,
            delay: (Duration::ZERO, Duration::ZERO),
            duplicate: 0,
            reorder: (0, Duration::ZERO),
            throttled_until: None,
            refuse: BTreeMap::new(),
            ignore_pings: false,
            deaf: false,
        }
    }

    /// Takes note of a lasting fault; the momentary ones, `Kick` and `Cut`, are
    /// the platform's own to carry out.
    pub(super) fn set(&mut self, now: Mono, fault: Fault) {
        match fault {
            Fault::LoseRequests { permille } => self.lose_requests = permille,
            Fault::LoseReplies { permille } => self.lose_replies = permille,
            Fault::Delay { least, most } => self.delay = (least, most.max(least)),
            Fault::Duplicate { permille } => self.duplicate = permille,
            Fault::Reorder { permille, by } => self.reorder = (permille, by),
            Fault::Throttle { during } => self.throttled_until = Some(now + during),
            Fault::Refuse { device, code } => {
                match code {
                    Some(code) => self.refuse.insert(device, code),
                    None => self.refuse.remove(&device),
                };
            }
            Fault::IgnorePings(on) => self.ignore_pings = on,
            Fault::Deaf(on) => self.deaf = on,
            Fault::Heal => *self = Faults::none(self.rng.clone()),
            Fault::Kick(_) | Fault::Cut(_) => {}
        }
    }

    pub(super) fn loses_request(&mut self) -> bool {
        self.lose_requests > 0 && self.rng.chance(self.lose_requests)
    }

    pub(super) fn throttled(&self, now: Mono) -> bool {
        self.throttled_until.is_some_and(|until| now < until)
    }

    pub(super) fn refusal(&self, device: &Device) -> Option<Code> {
        self.refuse.get(device).copied()
    }

    pub(super) fn fate(&mut self) -> Fate {
        if self.lose_replies > 0 && self.rng.chance(self.lose_replies) {
            return Fate::Lost;
        }
        let (least, most) = self.delay;
        let spread = u64::try_from((most - least).as_micros()).unwrap_or(u64::MAX);
        let mut after = least;
        if spread > 0 {
            after += Duration::from_micros(self.rng.below(spread.saturating_add(1)));
        }
        let (reorder, by) = self.reorder;
        let in_order = !(reorder > 0 && self.rng.chance(reorder));
        if !in_order {
            after += by;
        }
        Fate::Sent {
            after,
            in_order,
            twice: self.duplicate > 0 && self.rng.chance(self.duplicate),
        }
    }
}
