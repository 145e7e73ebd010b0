//! A multidrop serial line: one pair of wires, one master, many units, and a duration
//! for every character.

use std::collections::BTreeMap;
use std::time::Duration;

use super::behaviour::{Fault, burst, distort, noise, scramble};
use super::frame;
use super::pace::Pace;
use super::protocol::BusProtocol;
use super::sender::{Burst, Sender};
use super::served::{Record, Served};
use super::unit::Unit;
use crate::base::{Mono, Now, Rng, UnitId, Wake, Wall};

/// A master on time may be this much early by rounding, because both the lab's clock
/// and its own count whole microseconds.
const ROUNDING: Duration = Duration::from_micros(5);

/// A character handed over less than this ago may not have been seen yet by a master
/// that was about to send.
const REACTION: Duration = Duration::from_millis(1);

/// The output of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineOutput {
    /// These characters have arrived at the master.
    Bytes(Vec<u8>),
}

/// What has happened on a line so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineCounts {
    /// Requests that reached a living unit whole.
    pub requests: u64,
    /// Requests for a unit that is dead or absent.
    pub unanswered: u64,
    /// Frames of the master without a good checksum, glued or collided.
    pub not_understood: u64,
    /// How often the master began less than 3.5 characters after another frame had
    /// ended, its own or that of a unit.
    pub silence_violations: u64,
    /// How often two senders talked at once.
    pub collisions: u64,
    /// How often the rest of a reply after a collision had a good checksum all the
    /// same: 1 in 65,536, and no receiver can tell.
    pub chance_passes: u64,
    /// Characters on the wire, from all senders.
    pub characters: u64,
    /// Faults that struck, by [`Fault::name`].
    pub faults: BTreeMap<&'static str, u64>,
    /// Requests that were to be recorded, and for which there was no room.
    pub unrecorded: u64,
}

/// A multidrop line.
///
/// Contract: report what the master wrote ([`Line::on_bytes`]), then and at
/// [`Line::wake_at`] call [`Line::poll`] until `None`. Time never runs back.
///
/// Bytes that the master writes in one go occupy the wire from that moment, one
/// character after the other. A frame ends after 3.5 characters of silence. Bytes
/// written into that silence belong to the frame before it, so neither frame is
/// understood. Replies begin after that silence and the turnaround of the unit,
/// whatever the line is doing then: a late reply collides with any other sender, and
/// both are spoilt. A unit answers one request after the other; requests that reach it
/// meanwhile wait.
#[derive(Clone, Debug)]
pub struct Line {
    pace: Pace,
    units: BTreeMap<UnitId, Unit>,
    /// Second units with the address of another.
    seconds: BTreeMap<UnitId, Unit>,
    protocols: Vec<BusProtocol>,
    /// Until when each of the other devices is busy with the request before.
    busy: Vec<Mono>,
    rng: Rng,
    /// Whether the adapter hears itself: every request comes back to the master.
    pub echo: bool,
    burst: Burst,
    master_from: Mono,
    master_until: Mono,
    asked: Option<Mono>,
    senders: Vec<Sender>,
    counts: LineCounts,
    /// What the units have carried out, if it is recorded.
    served: Record,
}

impl Line {
    /// Builds an empty line.
    #[must_use]
    pub fn new(pace: Pace, rng: Rng) -> Self {
        Line {
            pace,
            units: BTreeMap::new(),
            seconds: BTreeMap::new(),
            protocols: Vec::new(),
            busy: Vec::new(),
            rng,
            echo: false,
            burst: Burst::default(),
            master_from: Mono::START,
            master_until: Mono::START,
            asked: None,
            senders: Vec::new(),
            counts: LineCounts::default(),
            served: Record::default(),
        }
    }

    /// Records from now on which requests the Modbus units carry out, whatever becomes of
    /// their replies.
    pub fn record(&mut self) {
        self.served.begin();
    }

    /// Returns what was carried out since the last call, if it is recorded.
    pub fn take_served(&mut self) -> Vec<Served> {
        self.served.take()
    }

    /// Attaches a unit to the line; a unit that had the address before is taken off.
    pub fn attach(&mut self, id: UnitId, unit: Unit) {
        self.units.insert(id, unit);
    }

    /// Takes the unit with this address off the line.
    pub fn detach(&mut self, id: UnitId) {
        self.units.remove(&id);
    }

    /// Attaches a second unit under the address of another: both hear each request, and each
    /// answers in its own time. [`Line::unit`] is the first.
    pub fn share(&mut self, id: UnitId, unit: Unit) {
        self.seconds.insert(id, unit);
    }

    /// Takes the second unit with this address off the line.
    pub fn part(&mut self, id: UnitId) {
        self.seconds.remove(&id);
    }

    /// Adds a device to the line that speaks another protocol than Modbus RTU.
    pub fn join(&mut self, protocol: BusProtocol) {
        self.protocols.push(protocol);
        self.busy.push(Mono::START);
    }

    /// Returns these devices, in the order in which they joined.
    pub fn protocols_mut(&mut self) -> &mut [BusProtocol] {
        &mut self.protocols
    }

    /// Returns the unit with this address.
    #[must_use]
    pub fn unit(&self, id: UnitId) -> Option<&Unit> {
        self.units.get(&id)
    }

    /// Returns the unit with this address, to change its behaviour.
    pub fn unit_mut(&mut self, id: UnitId) -> Option<&mut Unit> {
        self.units.get_mut(&id)
    }

    /// Returns all units.
    pub fn units(&self) -> impl Iterator<Item = (UnitId, &Unit)> {
        self.units.iter().map(|(&id, unit)| (id, unit))
    }

    /// Returns all units, to change their behaviour.
    pub fn units_mut(&mut self) -> impl Iterator<Item = (UnitId, &mut Unit)> {
        self.units.iter_mut().map(|(&id, unit)| (id, unit))
    }

    /// Takes the power of the unit away.
    pub fn kill(&mut self, id: UnitId) {
        self.set_alive(id, false);
    }

    /// Gives the power back to the unit.
    pub fn power_on(&mut self, id: UnitId) {
        self.set_alive(id, true);
    }

    fn set_alive(&mut self, id: UnitId, alive: bool) {
        if let Some(unit) = self.units.get_mut(&id) {
            unit.behaviour.alive = alive;
        }
    }

    /// Returns what has happened so far.
    #[must_use]
    pub const fn counts(&self) -> &LineCounts {
        &self.counts
    }

    /// Returns when the last request that reached a living unit began on the wire.
    #[must_use]
    pub const fn asked_at(&self) -> Option<Mono> {
        self.asked
    }

    /// Makes the adapter hand over characters in groups of this many from now on.
    pub const fn set_group(&mut self, characters: usize) {
        self.pace.group = characters;
    }

    /// Sets the speed of the line from now on.
    pub const fn set_pace(&mut self, pace: Pace) {
        self.pace = pace;
    }

    /// Returns the speed of the line.
    #[must_use]
    pub const fn pace(&self) -> Pace {
        self.pace
    }

    /// Notes that the master began to send these bytes at `now`.
    pub fn on_bytes(&mut self, now: Now, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.note_silence(now);
        let start = now.mono.max(self.master_until);
        let end = start + self.pace.characters(bytes.len());
        if self.interrupts(now) {
            self.counts.silence_violations += 1;
        }
        if now.mono >= self.master_until {
            self.master_from = start;
        }
        self.master_until = end;
        self.counts.characters += bytes.len() as u64;
        self.burst.take(bytes, end);
        self.burst.master = true;
        if self.echo {
            self.senders.push(Sender::new(start, bytes.to_vec(), true));
        }
    }

    /// Returns what happens next on the line, up to `now`.
    pub fn poll(&mut self, now: Now) -> Option<LineOutput> {
        loop {
            self.note_silence(now);
            let pace = self.pace;
            let next = self
                .senders
                .iter()
                .enumerate()
                .map(|(i, v)| (v.next(pace).0, i))
                .min()?;
            let (due, which) = next;
            if due > now.mono {
                return None;
            }
            let bytes = self.speak(which, now);
            if self.senders[which].sent == self.senders[which].bytes.len() {
                self.senders.remove(which);
            }
            if !bytes.is_empty() {
                return Some(LineOutput::Bytes(bytes));
            }
        }
    }

    /// Returns when [`Line::poll`] has something to do, and what.
    #[must_use]
    pub fn wake_at(&self) -> Option<Wake> {
        let character = self
            .senders
            .iter()
            .map(|v| v.next(self.pace).0)
            .min()
            .map(|at| Wake::new(at, "characters arrive"));
        let request = self
            .burst
            .master
            .then(|| Wake::new(self.burst.end + self.pace.silence(), "a request ends"));
        Wake::earlier(character, request)
    }

    /// Ends the frame on the wire if the line has been quiet for long enough.
    fn note_silence(&mut self, now: Now) {
        let silence = self.pace.silence();
        if self.burst.bytes.is_empty() || now.mono + ROUNDING < self.burst.end + silence {
            return;
        }
        let burst = std::mem::take(&mut self.burst);
        if !burst.master {
            return; // A reply. The other units know it is not for them.
        }
        let ended = burst.end + silence;
        let at = moment(now, ended);
        match frame::open(&burst.bytes).filter(|_| !burst.units && !burst.spoilt) {
            Some((unit, pdu)) if unit == 0 || self.units.contains_key(&UnitId(unit)) => {
                self.request(at, unit, pdu, &burst.bytes);
            }
            _ if self.tell_protocols(at, &burst) => {}
            Some(_) => self.counts.unanswered += 1,
            None => self.counts.not_understood += 1,
        }
    }

    /// Hands a frame to the devices of other protocols; returns whether one of them
    /// understood it.
    fn tell_protocols(&mut self, at: Now, burst: &Burst) -> bool {
        if burst.units || burst.spoilt {
            return false;
        }
        let mut understood = false;
        for (protocol, busy) in self.protocols.iter_mut().zip(&mut self.busy) {
            let said = protocol.replies_to(at, &burst.bytes, &mut self.rng);
            // Answers come one after the other: a late one delays the answers behind
            // it.
            let from = at.mono.max(*busy);
            if let Some(first) = said.first() {
                understood = true;
                *busy = from + first.after + self.pace.characters(first.bytes.len());
            }
            for saying in said {
                let start = from + saying.after;
                self.senders.push(Sender::new(start, saying.bytes, false));
            }
        }
        if understood {
            self.counts.requests += 1;
            self.asked = Some(self.master_from);
        }
        understood
    }

    /// Returns whether a master that sends now breaks the rule: a frame was there less
    /// than 3.5 characters ago, and the master could know.
    fn interrupts(&self, now: Now) -> bool {
        if !self.burst.units {
            return frame::open(&self.burst.bytes).is_some();
        }
        let talking = self.senders.iter().any(|v| !v.echo && v.sent > 0);
        !talking || now.mono >= self.burst.end + REACTION
    }

    /// Handles a whole request on the line; `at` is when the units know that it is
    /// whole.
    fn request(&mut self, at: Now, unit: u8, pdu: &[u8], frame: &[u8]) {
        if unit == 0 {
            // Broadcast: every unit obeys, no unit answers (§2.1).
            let writes = matches!(pdu.first(), Some(5 | 6 | 15 | 16 | 22));
            for unit in self.units.values_mut() {
                if writes && unit.behaviour.alive {
                    let _ = unit.answer(at, pdu);
                }
            }
            return;
        }
        let first = self.asks(at, unit, pdu, frame, false);
        let second = self.asks(at, unit, pdu, frame, true);
        if first || second {
            self.counts.requests += 1;
            self.asked = Some(self.master_from);
        } else {
            self.counts.unanswered += 1;
        }
    }

    /// Hands a whole request to the unit, or to the second one with its address; returns whether
    /// there is one that hears it.
    fn asks(&mut self, at: Now, unit: u8, pdu: &[u8], frame: &[u8], second: bool) -> bool {
        let units = match second {
            true => &mut self.seconds,
            false => &mut self.units,
        };
        let there = units.get_mut(&UnitId(unit));
        let Some(there) = there.filter(|u| u.behaviour.alive) else {
            return false;
        };
        let reply = there.answer(at, pdu);
        let served = || Served {
            at,
            unit: UnitId(unit),
            request: pdu.to_vec(),
            reply: reply.clone(),
        };
        if !self.served.note(served) {
            self.counts.unrecorded += 1;
        }
        if there.behaviour.withholds(&reply) {
            return true;
        }
        let (fault, delay) = there.draw();
        // Replies come one after the other: a late one delays the replies behind it.
        let mut start = there.busy_until().max(at.mono) + delay;
        if let Some(Fault::Late(by)) = fault {
            start = start + by;
        }
        there.is_busy_until(start + self.pace.characters(reply.len() + 3));
        if let Some(fault) = fault {
            *self.counts.faults.entry(fault.name()).or_default() += 1;
        }
        let twins =
            (fault == Some(Fault::Twin)).then(|| there.copy_with_own_values().answer(at, pdu));
        if let Some(twins) = twins {
            let within = self.pace.characters(reply.len().div_ceil(2)).as_micros();
            let within = u64::try_from(within).unwrap_or(u64::MAX);
            let start = start + Duration::from_micros(self.rng.below(within));
            let bytes = frame::seal(unit, &twins);
            self.senders.push(Sender::new(start, bytes, false));
        }
        self.reply(start, unit, distort(fault, reply), fault, frame);
        true
    }

    /// Puts a reply, distorted by the fault if there is one, on the wire.
    fn reply(&mut self, start: Mono, unit: u8, pdu: Vec<u8>, fault: Option<Fault>, asked: &[u8]) {
        let rng = &mut self.rng;
        let mut bytes = frame::seal(unit, &pdu);
        let whole = bytes.len();
        let half = || 1 + whole / 2;
        let mut senders = match fault {
            Some(Fault::Mute) => vec![],
            Some(Fault::Cut) => {
                bytes.truncate(1 + rng.below(whole as u64 - 1) as usize);
                vec![(start, bytes)]
            }
            Some(Fault::Flip) => {
                flip(&mut bytes, rng);
                vec![(start, bytes)]
            }
            Some(Fault::Twice) => {
                let again = start + self.pace.characters(whole) + self.pace.silence();
                vec![(start, bytes.clone()), (again, bytes)]
            }
            Some(Fault::Again(after)) => {
                let again = start + after.max(self.pace.characters(whole));
                vec![(start, bytes.clone()), (again, bytes)]
            }
            Some(Fault::Burst(width)) => {
                burst(&mut bytes, width, rng);
                vec![(start, bytes)]
            }
            Some(Fault::Scramble) => {
                scramble(&mut bytes, 3, rng);
                vec![(start, bytes)]
            }
            Some(Fault::Foreign) => vec![(start, frame::seal(unit % 247 + 1, &pdu))],
            Some(Fault::Echo) => {
                let after = start + self.pace.characters(asked.len());
                vec![(start, asked.to_vec()), (after, bytes)]
            }
            Some(Fault::Noise(n)) => {
                let mut noisy = noise(usize::from(n), rng);
                noisy.append(&mut bytes);
                vec![(start, noisy)]
            }
            Some(Fault::Babble) => vec![(start, noise(whole, rng))],
            Some(Fault::Hiccup(pause)) => {
                let rest = bytes.split_off(half().min(whole - 1));
                let resumed = start + self.pace.characters(bytes.len()) + pause;
                vec![(start, bytes), (resumed, rest)]
            }
            Some(
                Fault::Late(_)
                | Fault::WrongFunction
                | Fault::Short
                | Fault::WrongTransaction
                | Fault::Twin
                | Fault::Padded
                | Fault::BadLength
                | Fault::BadHeader
                | Fault::Stray(_),
            )
            | None => vec![(start, bytes)],
        };
        self.senders.extend(
            senders
                .drain(..)
                .map(|(at, bytes)| Sender::new(at, bytes, false)),
        );
    }

    /// Returns the next group of characters of one sender, as the master receives it.
    fn speak(&mut self, which: usize, now: Now) -> Vec<u8> {
        let pace = self.pace;
        let sender = &self.senders[which];
        let (_, upto) = sender.next(pace);
        let from = sender.start + pace.characters(sender.sent);
        let to = sender.start + pace.characters(upto);
        let mut bytes = sender.bytes[sender.sent..upto].to_vec();
        if sender.echo {
            self.senders[which].sent = upto;
            return bytes;
        }
        let talks = |v: &Sender| !v.echo && from < v.end(pace) && v.start < to;
        let collision = self.senders.iter().filter(|v| talks(v)).count() > 1;
        if collision || (from < self.master_until && self.master_from < to) {
            for byte in &mut bytes {
                *byte ^= 1 + self.rng.below(255) as u8;
            }
            if !self.senders[which].collided {
                self.counts.collisions += 1;
            }
            for sender in self.senders.iter_mut().filter(|v| talks(v)) {
                sender.collided = true;
            }
            self.burst.spoilt = true;
        }
        let sender = &mut self.senders[which];
        sender.sent = upto;
        sender.received.extend(&bytes);
        if sender.collided && upto == sender.bytes.len() && frame::open(&sender.received).is_some()
        {
            self.counts.chance_passes += 1;
        }
        self.counts.characters += bytes.len() as u64;
        // If no call of `poll` came in time the characters were still on their way: the
        // reaction of the master counts from when it can have seen them.
        self.burst.take(&bytes, now.mono.max(to));
        self.burst.units = true;
        bytes
    }
}

/// Returns the instant `at`, not after `now`, on both clocks.
fn moment(now: Now, at: Mono) -> Now {
    let ago = i64::try_from(now.mono.since(at).as_millis()).unwrap_or(i64::MAX);
    Now {
        mono: at,
        wall: Wall::from_millis(now.wall.as_millis().saturating_sub(ago)),
    }
}

/// Inverts one to three different bits.
fn flip(bytes: &mut [u8], rng: &mut Rng) {
    let bits = bytes.len() as u64 * 8;
    let mut turned = Vec::new();
    for _ in 0..=rng.below(3) {
        let bit = rng.below(bits) as usize;
        if !turned.contains(&bit) {
            turned.push(bit);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[cfg(test)]
mod tests;
