//! Which devices have to show that their session is alive, and when.
//!
//! A pack may be accepted for a device whose session is gone, so only the reply on
//! a device's own topic proves its session. Each device proves it in turn, as
//! often as a small share of the message rate allows. When a device is found
//! without its session although the platform never said so, all others whose
//! proof is older become suspects and prove theirs at once, with half of the rate.
//! A suspect that has nothing to say repeats its last value.
//!
//! Posts on a device's own topic that stay unanswered, one after the other, while
//! others are answered, are taken for a lost session too.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::base::{DeviceId, Mono, Reading};

/// A device proves its session so often, if the rate allows.
const CYCLE: Duration = Duration::from_secs(45);
/// The share of the message rate for that: one of so many.
const SHARE: u32 = 8;
/// The share when sessions are in doubt.
const URGENT: u32 = 2;
/// How long a suspect may wait for something to say.
const SPEECHLESS: Duration = Duration::from_secs(2);
/// A device is taken for lost because of its silence at most once in this time,
/// unless it has been heard since: the silence may have another cause.
const ONCE_IN: Duration = Duration::from_secs(600);

/// Posts on a device's own topic unanswered in a row.
#[derive(Clone, Copy, Debug)]
struct Silence {
    since: Mono,
    /// Only what is sent from then on counts: losses come in bursts.
    from: Mono,
    times: u32,
}

/// Who proves what when.
#[derive(Clone, Debug)]
pub(super) struct SessionProbes {
    /// Devices online by their last proof, or when it was asked for.
    by_age: BTreeSet<(Mono, DeviceId)>,
    age: BTreeMap<DeviceId, Mono>,
    /// Asked to prove, since when; the next message is theirs alone.
    asked: BTreeMap<DeviceId, Mono>,
    /// The suspects among them.
    urgent: BTreeSet<(Mono, DeviceId)>,
    next: Mono,
    /// A device that has proved nothing since then is a suspect.
    doubted_at: Option<Mono>,
    silence: BTreeMap<DeviceId, Silence>,
    given_up: BTreeMap<DeviceId, Mono>,
    /// The last value accepted.
    last: BTreeMap<DeviceId, Reading>,
}

impl SessionProbes {
    pub(super) const fn new() -> Self {
        SessionProbes {
            by_age: BTreeSet::new(),
            age: BTreeMap::new(),
            asked: BTreeMap::new(),
            urgent: BTreeSet::new(),
            next: Mono::START,
            doubted_at: None,
            silence: BTreeMap::new(),
            given_up: BTreeMap::new(),
            last: BTreeMap::new(),
        }
    }

    /// The platform has just shown that the device has its session.
    pub(super) fn proved(&mut self, now: Mono, id: DeviceId) {
        self.leave_queue(id);
        self.age.insert(id, now);
        self.by_age.insert((now, id));
    }

    /// It is not online any more.
    pub(super) fn left(&mut self, id: DeviceId) {
        self.leave_queue(id);
        self.silence.remove(&id);
    }

    /// It is not of ours any more.
    pub(super) fn forget(&mut self, id: DeviceId) {
        self.left(id);
        self.last.remove(&id);
        self.given_up.remove(&id);
    }

    fn leave_queue(&mut self, id: DeviceId) {
        if let Some(since) = self.asked.remove(&id) {
            self.urgent.remove(&(since, id));
        }
        if let Some(at) = self.age.remove(&id) {
            self.by_age.remove(&(at, id));
        }
    }

    /// This value was accepted.
    pub(super) fn accepted(&mut self, reading: &Reading) {
        let last = self.last.entry(reading.device);
        let last = last.or_insert_with(|| reading.clone());
        if last.at.mono < reading.at.mono {
            *last = reading.clone();
        }
    }

    /// Changes a device's last value, or drops it.
    pub(super) fn retain(&mut self, id: DeviceId, mut keep: impl FnMut(&mut Reading) -> bool) {
        if let Some(last) = self.last.get_mut(&id)
            && !keep(last)
        {
            self.last.remove(&id);
        }
    }

    // --- doubt --------------------------------------------------------------------

    /// A device was found without its session: the others are suspects, if they
    /// are not already.
    pub(super) fn doubt_others(&mut self, now: Mono) {
        if self.is_doubting() {
            return;
        }
        self.doubted_at = Some(now);
        self.next = self.next.min(now);
        for since in self.asked.values_mut() {
            *since = now;
        }
        self.urgent = self.asked.keys().map(|id| (now, *id)).collect();
    }

    /// Whether suspects are left.
    fn is_doubting(&self) -> bool {
        let suspect = self.by_age.first().is_some_and(|(at, _)| self.is_old(*at));
        suspect || !self.urgent.is_empty()
    }

    /// Whether a proof is older than the doubt.
    fn is_old(&self, proof: Mono) -> bool {
        self.doubted_at.is_some_and(|since| proof < since)
    }

    /// Whether its session is in doubt.
    pub(super) fn is_suspect(&self, id: DeviceId) -> bool {
        let asked = self.asked.get(&id);
        self.silence.contains_key(&id)
            || asked.is_some_and(|since| self.urgent.contains(&(*since, id)))
            || self.age.get(&id).is_some_and(|at| self.is_old(*at))
    }

    /// A post on its own topic, sent then, was answered.
    pub(super) fn heard(&mut self, id: DeviceId) {
        self.silence.remove(&id);
        self.given_up.remove(&id);
    }

    /// A post on its own topic, sent then, was not answered in time.
    pub(super) fn unheard(&mut self, now: Mono, id: DeviceId, sent: Mono) {
        let silence = self.silence.entry(id).or_insert(Silence {
            since: sent,
            from: Mono::START,
            times: 0,
        });
        if sent >= silence.from {
            silence.times += 1;
            silence.from = now;
        }
    }

    /// Whether its silence means that its session is gone; `is_no_accident` says
    /// so of as many losses in a row, `answered` when the last post was sent that
    /// has been answered.
    pub(super) fn is_given_up(
        &mut self,
        now: Mono,
        id: DeviceId,
        answered: Mono,
        is_no_accident: impl Fn(u32) -> bool,
    ) -> bool {
        let lately = self.given_up.get(&id);
        let Some(silence) = self.silence.get(&id) else {
            return false;
        };
        if silence.since >= answered
            || !is_no_accident(silence.times)
            || lately.is_some_and(|at| now.since(*at) < ONCE_IN)
        {
            return false;
        }
        self.silence.remove(&id);
        self.given_up.insert(id, now);
        true
    }

    // --- turns --------------------------------------------------------------------

    /// The device whose turn it is to prove its session; it is asked from now on.
    pub(super) fn ask(&mut self, now: Mono, per_second: u32) -> Option<DeviceId> {
        let (at, id) = *self.by_age.first()?;
        if self.next > now {
            return None;
        }
        let is_suspect = self.is_old(at);
        if !is_suspect && now.since(at) < CYCLE / 2 {
            return None;
        }
        let message = Duration::from_secs(1) / per_second.max(1);
        let devices = u32::try_from(self.by_age.len()).unwrap_or(u32::MAX);
        self.next = now
            + if is_suspect {
                message * URGENT
            } else {
                (message * SHARE).max(CYCLE / devices.max(1))
            };
        self.leave_queue(id);
        self.asked.insert(id, now);
        if is_suspect {
            self.urgent.insert((now, id));
        }
        Some(id)
    }

    /// What it was asked for is on its way.
    pub(super) fn sent(&mut self, now: Mono, id: DeviceId) {
        if self.asked.contains_key(&id) {
            self.proved(now, id);
        }
    }

    /// When a suspect has to be asked, or repeats its last value.
    pub(super) fn due(&self) -> Option<Mono> {
        let suspect = self.by_age.first().is_some_and(|(at, _)| self.is_old(*at));
        let speechless = self.urgent.first().map(|(since, _)| *since + SPEECHLESS);
        let next = suspect.then_some(self.next);
        [next, speechless].into_iter().flatten().min()
    }

    /// The last value of a suspect that has had nothing to say.
    pub(super) fn repeat(&mut self, now: Mono) -> Option<Reading> {
        let (since, id) = *self.urgent.first()?;
        if since + SPEECHLESS > now {
            return None;
        }
        self.proved(now, id);
        self.last.get(&id).cloned()
    }
}
