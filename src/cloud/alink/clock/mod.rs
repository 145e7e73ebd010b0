//! The time for stamps: the system's clock once it can be believed, or the platform's time,
//! asked over MQTT (`/ext/ntp`).
//!
//! A box without a battery clock starts in 1970. Its readings keep their monotonic time and
//! are held until the wall time of that monotonic time is known. Then each reading is
//! stamped with the time at which it was read. Readings taken after that are not held.
//! Their stamp is the system's own if the system is synchronised, else the platform's time
//! carried on by the monotonic clock, which no step of the wall clock can change.
//!
//! If the platform does not answer and the system is never synchronised, a wall clock later than
//! the build of this program is used in the end: a value with the time of a battery clock is better
//! than no value.

pub mod events;

use std::collections::VecDeque;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value as Json;

use crate::base::{Mono, Now, Reading, Wake, Wall};

use crate::cloud::alink::events::CloudLogEvent;
use crate::cloud::alink::events::outbox::Outbox;

pub use events::{ClockNews, ClockSource};

/// A clock that shows an earlier time is wrong, whatever its source: this program did not
/// exist (2026-01-01T00:00:00Z, less a second, so that a run of the program may begin
/// there).
const BUILT: Wall = Wall::from_millis(1_767_225_599_000);
/// The wait between two requests that are not answered; doubles up to `ASK_RARELY`.
const ASK_AGAIN: Duration = Duration::from_secs(2);
const ASK_RARELY: Duration = Duration::from_secs(60);
/// Quartz drifts by some 50 ppm, 0.2 s in this time.
const REFRESH: Duration = Duration::from_secs(3600);
/// The error of an answer is at most half of its journey time; an answer as quick as this
/// is good enough at once.
const QUICK: Duration = Duration::from_secs(2);
/// After this many slower answers the quickest of them is taken.
const ANSWERS: u32 = 4;
/// How many requests in a row may stay unanswered until a plausible wall clock is believed
/// as it is: about three minutes.
const GIVE_UP: u32 = 8;
/// How many requests are remembered; their answers may overtake each other.
const ASKED: usize = 8;

/// How a time on the monotonic clock becomes a wall time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClockState {
    /// The system has not said whether its clock is synchronised: stamps are taken as they
    /// come.
    Untold,
    /// The time is not known.
    Nothing,
    /// The system's clock counts from `since` on; for earlier times, `offset` milliseconds
    /// are added to the monotonic clock's.
    System { since: Mono, offset: i64 },
    /// The milliseconds to be added to the monotonic clock's.
    Platform { offset: i64 },
}

/// Knows the time for stamps.
#[derive(Clone, Debug)]
pub(crate) struct Timestamps {
    belief: ClockState,
    unstamped: VecDeque<Reading>,
    asked: VecDeque<i64>,
    unanswered: u32,
    answers: u32,
    best: Option<(i64, i64)>,
    next: Mono,
}

/// The platform's answer: numbers as text, in milliseconds.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    device_send_time: Json,
    server_recv_time: Json,
    server_send_time: Json,
}

impl Timestamps {
    pub(crate) const fn new() -> Self {
        Timestamps {
            belief: ClockState::Untold,
            unstamped: VecDeque::new(),
            asked: VecDeque::new(),
            unanswered: 0,
            answers: 0,
            best: None,
            next: Mono::START,
        }
    }

    /// Takes note of the state of the system's clock; returns what that changes.
    pub(crate) fn system(&mut self, now: Now, synchronised: bool) -> Option<ClockNews> {
        let offset = now.wall.as_millis() - millis(now.mono);
        match (self.belief, synchronised && now.wall > BUILT) {
            (ClockState::Untold, true) => {
                let since = Mono::START;
                self.belief = ClockState::System { since, offset };
                None
            }
            (ClockState::Untold, false) => {
                self.belief = ClockState::Nothing;
                Some(ClockNews::Unknown)
            }
            (ClockState::Nothing | ClockState::Platform { .. }, true) => {
                let since = now.mono;
                self.belief = ClockState::System { since, offset };
                Some(self.known(ClockSource::System))
            }
            // Once synchronised the clock drifts slowly, whatever the system says later.
            (ClockState::System { .. } | ClockState::Nothing | ClockState::Platform { .. }, _) => {
                None
            }
        }
    }

    /// Takes note of a new connection: the platform is asked at once.
    pub(crate) fn link_up(&mut self, now: Mono) {
        self.asked.clear();
        self.next = self.next.min(now);
    }

    /// Returns the wall time of an instant that is so many milliseconds after the start of
    /// the process, or before it; `None` while the time is not known.
    pub(crate) const fn wall_at(&self, millis: i64) -> Option<Wall> {
        match self.belief {
            ClockState::Untold | ClockState::Nothing => None,
            ClockState::System { offset, .. } | ClockState::Platform { offset } => {
                Some(Wall::from_millis(offset.saturating_add(millis)))
            }
        }
    }

    /// Takes out the readings that wait for the time, at the end of the process.
    pub(crate) fn take_all(&mut self) -> Vec<Reading> {
        std::mem::take(&mut self.unstamped).into()
    }

    /// Returns when to ask the platform; `None` while the system's clock is synchronised.
    pub(crate) fn due(&self) -> Option<Wake> {
        match self.belief {
            ClockState::Nothing | ClockState::Platform { .. } => {
                Some(Wake::new(self.next, "ask the platform what time it is"))
            }
            ClockState::Untold | ClockState::System { .. } => None,
        }
    }

    /// Returns the body of a request for the time. Our "send time" is the monotonic
    /// clock's, which cannot step on the way; the platform only gives it back.
    pub(crate) fn ask(&mut self, now: Mono) -> Vec<u8> {
        let factor = 1 << self.unanswered.min(5);
        self.next = now + (ASK_AGAIN * factor).min(ASK_RARELY);
        self.unanswered += 1;
        if self.asked.len() == ASKED {
            self.asked.pop_front();
        }
        let sent = millis(now);
        self.asked.push_back(sent);
        format!(r#"{{"deviceSendTime":"{sent}"}}"#).into_bytes()
    }

    /// Stops waiting for an answer and believes the wall clock, if that is plausible.
    pub(crate) fn give_up(&mut self, now: Now) -> Option<ClockNews> {
        if self.belief != ClockState::Nothing || self.unanswered < GIVE_UP || now.wall <= BUILT {
            return None;
        }
        self.belief = ClockState::System {
            since: now.mono,
            offset: now.wall.as_millis() - millis(now.mono),
        };
        Some(self.known(ClockSource::Unconfirmed))
    }

    /// Takes the platform's answer: now = (server received + server sent + device received
    /// − device sent) / 2, as its page says. `Err` if the message is no such answer.
    pub(crate) fn answered(&mut self, now: Mono, payload: &[u8]) -> Result<Option<ClockNews>, ()> {
        let answer: Answer = serde_json::from_slice(payload).map_err(|_| ())?;
        let number = |json: &Json| match json {
            Json::String(text) => text.parse::<i64>().ok(),
            other => other.as_i64(),
        };
        let sent = number(&answer.device_send_time).ok_or(())?;
        let received = number(&answer.server_recv_time).ok_or(())?;
        let answered = number(&answer.server_send_time).ok_or(())?;
        let Some(at) = self.asked.iter().position(|a| *a == sent) else {
            // An answer from another connection, or the same answer twice.
            return Ok(None);
        };
        if Wall::from_millis(received.min(answered)) <= BUILT || received.max(answered) > LATEST {
            return Ok(None);
        }
        self.asked.remove(at);
        let back = millis(now);
        let journey = (back - sent) - (answered - received);
        let offset = (received + answered - back - sent) / 2;
        if self.best.is_none_or(|(quickest, _)| journey < quickest) {
            self.best = Some((journey, offset));
        }
        self.answers += 1;
        let quick = i64::try_from(QUICK.as_millis()).unwrap_or(i64::MAX);
        let Some((_, offset)) = self
            .best
            .filter(|(journey, _)| *journey <= quick || self.answers >= ANSWERS)
        else {
            self.next = self.next.min(now + ASK_AGAIN);
            return Ok(None);
        };
        (self.best, self.answers, self.unanswered) = (None, 0, 0);
        self.next = now + REFRESH;
        Ok(match self.belief {
            ClockState::Nothing => {
                self.belief = ClockState::Platform { offset };
                Some(self.known(ClockSource::Platform))
            }
            ClockState::Platform { .. } => {
                self.belief = ClockState::Platform { offset };
                None
            }
            ClockState::Untold | ClockState::System { .. } => None,
        })
    }

    /// Returns the wall time of `at`; `None` while it is not known.
    pub(crate) fn stamp(&self, at: Now) -> Option<Wall> {
        let offset = match self.belief {
            ClockState::Untold => return Some(at.wall),
            ClockState::Nothing => return None,
            ClockState::System { since, .. } if at.mono >= since => return Some(at.wall),
            ClockState::System { offset, .. } | ClockState::Platform { offset } => offset,
        };
        Some(Wall::from_millis(millis(at.mono) + offset))
    }

    /// Holds a reading until the time is known; if more than `most` wait, the oldest are
    /// dropped.
    pub(crate) fn keep_unstamped(
        &mut self,
        now: Mono,
        reading: Reading,
        most: usize,
        outbox: &mut Outbox,
    ) {
        outbox.count().unstamped += 1;
        let dropped = self.keep_at_most(reading, most);
        outbox.count().dropped_unstamped += dropped;
        if dropped > 0 {
            let dropped = ClockNews::Dropped { readings: dropped };
            outbox.often(now, CloudLogEvent::Clock(dropped));
        }
    }

    /// Keeps a reading until the time is known; returns how many of the oldest readings
    /// were dropped.
    fn keep_at_most(&mut self, reading: Reading, most: usize) -> u64 {
        self.unstamped.push_back(reading);
        let mut dropped = 0;
        while self.unstamped.len() > most.max(1) {
            self.unstamped.pop_front();
            dropped += 1;
        }
        dropped
    }

    /// Returns when the oldest reading was read that waits for the time.
    pub(crate) fn oldest_read_at(&self) -> Option<Mono> {
        self.unstamped.front().map(|reading| reading.at.mono)
    }

    /// Takes out up to `most` of the oldest readings that were read before this time, for the
    /// store.
    pub(crate) fn take_oldest(&mut self, before: Mono, most: usize) -> Vec<Reading> {
        let old = self.unstamped.iter().take(most);
        let old = old.take_while(|reading| reading.at.mono <= before).count();
        self.unstamped.drain(..old).collect()
    }

    /// Takes back readings that could not be stored, the oldest first.
    pub(crate) fn put_back(&mut self, readings: Vec<Reading>) {
        for reading in readings.into_iter().rev() {
            self.unstamped.push_front(reading);
        }
    }

    /// Updates the held readings, and drops those for which `keep` is false; returns how
    /// many.
    pub(crate) fn retain(&mut self, keep: impl FnMut(&mut Reading) -> bool) -> u64 {
        let before = self.unstamped.len();
        self.unstamped.retain_mut(keep);
        (before - self.unstamped.len()) as u64
    }

    /// Returns the next held reading that can be stamped now, stamped.
    pub(crate) fn release(&mut self) -> Option<Reading> {
        let stamp = self.stamp(self.unstamped.front()?.at)?;
        let mut reading = self.unstamped.pop_front()?;
        reading.at.wall = stamp;
        Some(reading)
    }

    /// Returns how many readings wait for the time.
    pub(crate) fn unstamped(&self) -> usize {
        self.unstamped.len()
    }

    fn known(&self, from: ClockSource) -> ClockNews {
        ClockNews::Known {
            from,
            stamped: self.unstamped.len(),
        }
    }
}

/// A time so far in the future that sums of four of them do not overflow; the year 10889.
const LATEST: i64 = 1 << 48;

fn millis(at: Mono) -> i64 {
    i64::try_from(at.as_micros() / 1000)
        .unwrap_or(LATEST)
        .min(LATEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{DeviceId, Value};

    const DAY: i64 = 1_800_000_000_000;

    fn at(seconds: u64, wall: i64) -> Now {
        Now {
            mono: Mono::from_micros(seconds * 1_000_000),
            wall: Wall::from_millis(wall),
        }
    }

    fn reading(at: Now) -> Reading {
        Reading {
            device: DeviceId(0),
            point: 0,
            value: Value::Bool(true),
            at,
        }
    }

    fn answer(sent: i64, server: i64) -> Vec<u8> {
        format!(r#"{{"deviceSendTime":"{sent}","serverRecvTime":"{server}","serverSendTime":"{server}"}}"#)
            .into_bytes()
    }

    #[test]
    fn the_platforms_time_is_the_middle_of_the_journey_and_stamps_what_was_held() {
        let mut timestamps = Timestamps::new();
        assert_eq!(timestamps.system(at(1, 5), false), Some(ClockNews::Unknown));
        assert_eq!(timestamps.stamp(at(3, 7)), None);
        assert_eq!(timestamps.keep_at_most(reading(at(3, 7)), 10), 0);
        assert_eq!(timestamps.release(), None);
        let asked = timestamps.ask(at(10, 14).mono);
        assert_eq!(asked, br#"{"deviceSendTime":"10000"}"#);
        // The journey took 400 ms: the platform looked at its clock at 10.2 s.
        let back = Mono::from_micros(10_400_000);
        let news = timestamps.answered(back, &answer(10_000, DAY)).unwrap();
        let from = ClockSource::Platform;
        assert_eq!(news, Some(ClockNews::Known { from, stamped: 1 }));
        let stamped = timestamps.release().unwrap();
        assert_eq!(stamped.at.wall.as_millis(), DAY - 7_200);
        assert_eq!(
            timestamps.stamp(at(11, 0)),
            Some(Wall::from_millis(DAY + 800))
        );
    }

    #[test]
    fn once_the_system_knows_readings_keep_their_own_stamps_and_older_ones_get_theirs() {
        let mut timestamps = Timestamps::new();
        timestamps.system(at(1, 1_000), false);
        assert_eq!(
            timestamps.system(at(20, 20_000), true),
            None,
            "1970 is not now"
        );
        let news = timestamps.system(at(30, DAY), true);
        let from = ClockSource::System;
        assert_eq!(news, Some(ClockNews::Known { from, stamped: 0 }));
        assert_eq!(timestamps.due(), None);
        let before = timestamps.stamp(at(25, 25_000));
        assert_eq!(before, Some(Wall::from_millis(DAY - 5_000)));
        // The wall clock steps by an hour: a later reading is stamped with the new time.
        let after = timestamps.stamp(at(31, DAY + 3_601_000));
        assert_eq!(after, Some(Wall::from_millis(DAY + 3_601_000)));
        assert_eq!(
            timestamps.system(at(40, DAY), false),
            None,
            "it stays known"
        );
    }

    #[test]
    fn a_slow_answer_is_taken_only_if_no_quicker_one_comes() {
        let mut timestamps = Timestamps::new();
        timestamps.system(at(1, 0), false);
        let mut learned = 0;
        for n in 1..=ANSWERS {
            let sent = at(u64::from(n) * 10, 0).mono;
            timestamps.ask(sent);
            let slow = sent + Duration::from_secs(u64::from(8 - n));
            let server = DAY + millis(slow);
            let news = timestamps.answered(slow, &answer(millis(sent), server));
            learned += usize::from(news.unwrap().is_some());
            assert_eq!(learned, usize::from(n == ANSWERS), "answer {n}");
        }
        // The quickest answer took four seconds, all of them on the way to the platform.
        let stamp = timestamps.stamp(at(100, 0)).unwrap();
        assert_eq!(stamp.as_millis(), DAY + 100_000 + 2_000);
    }

    #[test]
    fn strange_answers_change_nothing() {
        let mut timestamps = Timestamps::new();
        timestamps.system(at(1, 0), false);
        timestamps.ask(at(10, 0).mono);
        let now = at(11, 0).mono;
        for bad in [&b"x"[..], b"{}", br#"{"deviceSendTime":"x"}"#] {
            assert!(timestamps.answered(now, bad).is_err());
        }
        let absurd = [
            answer(9, DAY),
            answer(10_000, 12_345),
            answer(10_000, i64::MAX),
            answer(10_000, i64::MIN),
        ];
        for absurd in absurd {
            assert_eq!(timestamps.answered(now, &absurd), Ok(None));
        }
        assert_eq!(timestamps.stamp(at(12, 0)), None);
    }

    #[test]
    fn a_plausible_clock_is_believed_when_nobody_answers_and_1970_never() {
        let mut timestamps = Timestamps::new();
        timestamps.system(at(1, DAY), false);
        let mut now = Mono::START;
        while timestamps.unanswered < GIVE_UP {
            now = timestamps.due().unwrap().at.max(now);
            timestamps.ask(now);
        }
        assert!(now.since(Mono::START) >= Duration::from_secs(120), "{now}");
        assert_eq!(timestamps.give_up(at(300, 0)), None);
        let from = ClockSource::Unconfirmed;
        let news = timestamps.give_up(at(300, DAY));
        assert_eq!(news, Some(ClockNews::Known { from, stamped: 0 }));
    }

    #[test]
    fn what_is_held_is_bounded_and_the_oldest_goes() {
        let mut timestamps = Timestamps::new();
        timestamps.system(at(1, 0), false);
        let dropped: u64 = (1..=5)
            .map(|n| timestamps.keep_at_most(reading(at(n, 0)), 3))
            .sum();
        assert_eq!((dropped, timestamps.unstamped()), (2, 3));
        timestamps.system(at(10, DAY), true);
        assert_eq!(
            timestamps.release().unwrap().at.wall.as_millis(),
            DAY - 7_000
        );
    }
}
