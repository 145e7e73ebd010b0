//! Which devices have to show that their session is alive, and when.
//!
//! A pack may be accepted for a device whose session is gone, so only the reply on a
//! device's own topic proves its session. Each device proves its session in turn, as often
//! as a small share of the message rate allows. When a device is found without its session
//! although the platform never said so, all others whose proof is older are in doubt and
//! prove their sessions at once, with half of the rate. A device in doubt that has no reading to
//! send repeats its last value.
//!
//! If posts on a device's own topic stay unanswered, one after the other, while other posts
//! are answered, the device's session counts as lost too.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::base::{DeviceId, Mono, Reading};

/// How often a device proves its session, if the rate allows.
const CYCLE: Duration = Duration::from_secs(45);
/// The share of the message rate for session probes: one message in this many.
const SHARE: u32 = 8;
/// The share while sessions are in doubt.
const URGENT: u32 = 2;
/// How long a device in doubt may wait for a reading to send.
const NO_READING_WAIT: Duration = Duration::from_secs(2);
/// A device's session counts as lost because of the device's silence at most once in this
/// time, unless a reply to the device came since: the silence may have another cause.
const ONCE_IN: Duration = Duration::from_secs(600);

/// Returns how many devices a second prove their sessions while none is in doubt.
pub(crate) fn usual_rate(devices: usize, per_second: u32) -> f64 {
    let by_turns = devices as f64 / CYCLE.as_secs_f64();
    by_turns.min(f64::from(per_second.max(1)) / f64::from(SHARE))
}

/// How many posts on a device's own topic stayed unanswered in a row.
#[derive(Clone, Copy, Debug)]
struct Silence {
    since: Mono,
    /// Only posts sent from this time on count: losses come in bursts.
    from: Mono,
    times: u32,
}

/// Which devices prove their sessions, and when.
#[derive(Clone, Debug)]
pub(super) struct SessionProbes {
    /// The devices online, by the time of their last proof, or of the request for one.
    by_age: BTreeSet<(Mono, DeviceId)>,
    age: BTreeMap<DeviceId, Mono>,
    /// The devices asked to prove their sessions, since when; the next message of such a
    /// device carries no other device.
    asked: BTreeMap<DeviceId, Mono>,
    /// The devices in doubt among the devices asked.
    urgent: BTreeSet<(Mono, DeviceId)>,
    next: Mono,
    /// The session of a device that has proved nothing since this time is in doubt.
    doubted_at: Option<Mono>,
    silence: BTreeMap<DeviceId, Silence>,
    given_up: BTreeMap<DeviceId, Mono>,
    /// The last value accepted, for each device.
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

    /// Takes note that the platform has just shown that the device has its session.
    pub(super) fn proved(&mut self, now: Mono, id: DeviceId) {
        self.leave_queue(id);
        self.age.insert(id, now);
        self.by_age.insert((now, id));
    }

    /// Takes note that the device is not online any more.
    pub(super) fn left(&mut self, id: DeviceId) {
        self.leave_queue(id);
        self.silence.remove(&id);
    }

    /// Forgets a device that is no longer configured.
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

    /// Takes note that this value was accepted.
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

    // --- in doubt -----------------------------------------------------------------

    /// Puts the sessions of all other devices in doubt, if they are not already: one device was
    /// found without its session.
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

    /// Returns whether sessions in doubt are left.
    fn is_doubting(&self) -> bool {
        let in_doubt = self.by_age.first().is_some_and(|(at, _)| self.is_old(*at));
        in_doubt || !self.urgent.is_empty()
    }

    /// Returns whether a proof is so old that its session is in doubt.
    fn is_old(&self, proof: Mono) -> bool {
        self.doubted_at.is_some_and(|since| proof < since)
    }

    /// Returns whether the device's session is in doubt.
    pub(super) fn is_in_doubt(&self, id: DeviceId) -> bool {
        let asked = self.asked.get(&id);
        self.silence.contains_key(&id)
            || asked.is_some_and(|since| self.urgent.contains(&(*since, id)))
            || self.age.get(&id).is_some_and(|at| self.is_old(*at))
    }

    /// Takes note that a post on the device's own topic was answered.
    pub(super) fn heard(&mut self, id: DeviceId) {
        self.silence.remove(&id);
        self.given_up.remove(&id);
    }

    /// Takes note that a post on the device's own topic, sent at `sent`, was not answered
    /// in time.
    pub(super) fn on_unanswered(&mut self, now: Mono, id: DeviceId, sent: Mono) {
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

    /// Returns whether the device's silence means that its session is gone. `is_no_accident` tells
    /// whether a number of losses in a row is no accident; `answered` is when the latest
    /// answered post was sent.
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

    /// Returns the device whose turn it is to prove its session; the device counts as asked
    /// from now on.
    pub(super) fn ask(&mut self, now: Mono, per_second: u32) -> Option<DeviceId> {
        let (at, id) = *self.by_age.first()?;
        if self.next > now {
            return None;
        }
        let is_in_doubt = self.is_old(at);
        if !is_in_doubt && now.since(at) < CYCLE / 2 {
            return None;
        }
        let message = Duration::from_secs(1) / per_second.max(1);
        let devices = u32::try_from(self.by_age.len()).unwrap_or(u32::MAX);
        self.next = now
            + if is_in_doubt {
                message * URGENT
            } else {
                (message * SHARE).max(CYCLE / devices.max(1))
            };
        self.leave_queue(id);
        self.asked.insert(id, now);
        if is_in_doubt {
            self.urgent.insert((now, id));
        }
        Some(id)
    }

    /// Takes note that the post that the device was asked for is on its way.
    pub(super) fn sent(&mut self, now: Mono, id: DeviceId) {
        if self.asked.contains_key(&id) {
            self.proved(now, id);
        }
    }

    /// Returns when a device in doubt has to be asked, or repeats its last value.
    pub(super) fn due(&self) -> Option<Mono> {
        let in_doubt = self.by_age.first().is_some_and(|(at, _)| self.is_old(*at));
        let speechless = self
            .urgent
            .first()
            .map(|(since, _)| *since + NO_READING_WAIT);
        let next = in_doubt.then_some(self.next);
        [next, speechless].into_iter().flatten().min()
    }

    /// Returns the last value of a device in doubt that has had no reading to send.
    pub(super) fn repeat(&mut self, now: Mono) -> Option<Reading> {
        let (since, id) = *self.urgent.first()?;
        if since + NO_READING_WAIT > now {
            return None;
        }
        self.proved(now, id);
        self.last.get(&id).cloned()
    }
}
