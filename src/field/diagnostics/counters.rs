//! What became of the requests to one device, and of the echoes of our own requests on one
//! line, counted since the start.
//!
//! Every way a transaction can end has a counter of its own: the counter that grows shows
//! what is wrong with a line. [`Counters::note`] takes what each end proved, and
//! [`EchoCounters::add`] the echoes that came back. Nothing is decided here.

use std::collections::BTreeMap;

use crate::base::{Echoes, LivenessEvidence, LivenessProof, MissReason};

/// The counters of one device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Transactions that ended, however they did.
    pub polls: u64,
    /// Transactions that followed a transaction without proof of life; included in `polls`.
    pub retries: u64,
    /// Replies that were asked for.
    pub answers: u64,
    /// Refusals, by the code of the exception; of a meter of DL/T 645, by its error word.
    pub exceptions: BTreeMap<u8, u64>,
    /// Transactions in which not one byte came in time.
    pub timeouts: u64,
    /// Transactions in which bytes came, but no frame with a good checksum: noise, wrong
    /// settings of the line, two devices at once.
    pub garbled: u64,
    /// Transactions in which good frames came, and none was the reply.
    pub foreign: u64,
    /// Transactions that a gateway on the way refused in the name of the device, by its code:
    /// 0Ah or 0Bh.
    pub gateway: BTreeMap<u8, u64>,
    /// Transactions in which the port was lost while the reply was waited for.
    pub port: u64,
    /// Replies that came after they had been given up; these are no transactions.
    pub late: u64,
    /// Points for which a reply held no value.
    pub no_value: u64,
    /// Whether the last transaction brought no proof of life.
    missed: bool,
}

impl Counters {
    /// Notes what a transaction that ended, or a late reply that came, has proved.
    pub fn note(&mut self, evidence: LivenessEvidence) {
        if evidence != LivenessEvidence::Alive(LivenessProof::Late) {
            self.polls = self.polls.saturating_add(1);
            self.retries = self.retries.saturating_add(u64::from(self.missed));
        }
        self.missed = matches!(
            evidence,
            LivenessEvidence::Missed(_) | LivenessEvidence::RequestFailed(_)
        );
        let counter = match evidence {
            LivenessEvidence::Alive(LivenessProof::Answer) => &mut self.answers,
            LivenessEvidence::Alive(LivenessProof::Mismatched) => &mut self.foreign,
            LivenessEvidence::Alive(LivenessProof::Exception(code)) => {
                self.exceptions.entry(code).or_default()
            }
            LivenessEvidence::Alive(LivenessProof::Late) => &mut self.late,
            LivenessEvidence::Missed(MissReason::Silence)
            | LivenessEvidence::RequestFailed(MissReason::Silence) => &mut self.timeouts,
            LivenessEvidence::Missed(MissReason::Garbled)
            | LivenessEvidence::RequestFailed(MissReason::Garbled) => &mut self.garbled,
            LivenessEvidence::Missed(MissReason::Foreign)
            | LivenessEvidence::RequestFailed(MissReason::Foreign) => &mut self.foreign,
            LivenessEvidence::Missed(MissReason::GatewayException(code))
            | LivenessEvidence::RequestFailed(MissReason::GatewayException(code)) => {
                self.gateway.entry(code).or_default()
            }
            LivenessEvidence::Missed(MissReason::ConnectionLost)
            | LivenessEvidence::RequestFailed(MissReason::ConnectionLost) => &mut self.port,
        };
        *counter = counter.saturating_add(1);
    }

    /// Returns all counters by name, in the words that people and programs read: those of
    /// every class, and of the codes of refusals those that came.
    #[must_use]
    pub fn outcomes(&self) -> BTreeMap<String, u64> {
        let classes = [
            ("answer", self.answers),
            ("timeout", self.timeouts),
            ("garbled", self.garbled),
            ("foreign", self.foreign),
            ("late", self.late),
            ("port", self.port),
        ];
        let named = classes.into_iter().map(|(name, n)| (name.to_owned(), n));
        let of = |what: &'static str, codes: &BTreeMap<u8, u64>| -> Vec<(String, u64)> {
            let one = |(code, n): (&u8, &u64)| (format!("{what}-{code}"), *n);
            codes.iter().map(one).collect()
        };
        named
            .chain(of("exception", &self.exceptions))
            .chain(of("gateway-exception", &self.gateway))
            .collect()
    }

    /// Notes that this many points of a reply held no value.
    pub fn no_value(&mut self, points: usize) {
        let points = u64::try_from(points).unwrap_or(u64::MAX);
        self.no_value = self.no_value.saturating_add(points);
    }
}

/// The counters of the echoes of our own requests on one line, as its adapter heard them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EchoCounters {
    expected: u64,
    unexpected: u64,
    missed: u64,
}

impl EchoCounters {
    /// Adds the echoes that came, or did not, since the last call.
    pub fn add(&mut self, echoes: Echoes) {
        let add = |to: &mut u64, n: u32| *to = to.saturating_add(n.into());
        add(&mut self.expected, echoes.expected);
        add(&mut self.unexpected, echoes.unexpected);
        add(&mut self.missed, echoes.missed);
    }

    /// Returns the sums of both.
    #[must_use]
    pub const fn with(self, other: EchoCounters) -> EchoCounters {
        EchoCounters {
            expected: self.expected.saturating_add(other.expected),
            unexpected: self.unexpected.saturating_add(other.unexpected),
            missed: self.missed.saturating_add(other.missed),
        }
    }

    /// Returns all counters by name, in the words that people and programs read.
    #[must_use]
    pub fn outcomes(&self) -> BTreeMap<String, u64> {
        let named = [
            ("echo-expected", self.expected),
            ("echo-missed", self.missed),
            ("echo-unexpected", self.unexpected),
        ];
        named.map(|(name, n)| (name.to_owned(), n)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_of_a_transaction_is_counted_once_and_in_its_own_place() {
        use LivenessEvidence::{Alive, Missed};
        let ends = [
            Alive(LivenessProof::Answer),
            Alive(LivenessProof::Exception(2)),
            Alive(LivenessProof::Exception(2)),
            Alive(LivenessProof::Exception(6)),
            Missed(MissReason::Silence),
            Missed(MissReason::Garbled),
            Missed(MissReason::Foreign),
            Missed(MissReason::GatewayException(0x0A)),
            Missed(MissReason::GatewayException(0x0B)),
            Missed(MissReason::ConnectionLost),
            Alive(LivenessProof::Late),
            Alive(LivenessProof::Answer),
        ];
        let mut counters = Counters::default();
        for end in ends {
            counters.note(end);
        }
        counters.no_value(3);
        let expected = Counters {
            polls: 11,
            // Five of the six misses were followed by a request; the last miss was followed
            // by a late reply, and then the unit was known to live.
            retries: 5,
            answers: 2,
            exceptions: BTreeMap::from([(2, 2), (6, 1)]),
            timeouts: 1,
            garbled: 1,
            foreign: 1,
            gateway: BTreeMap::from([(0x0A, 1), (0x0B, 1)]),
            port: 1,
            late: 1,
            no_value: 3,
            missed: false,
        };
        assert_eq!(counters, expected);
        let named = counters.outcomes();
        assert_eq!(named["exception-2"], 2);
        assert_eq!(named["gateway-exception-11"], 1);
        // Every poll under one name, and the late reply, which is no poll.
        assert_eq!(named.values().sum::<u64>(), expected.polls + expected.late);
        let refusals: u64 = counters
            .exceptions
            .values()
            .chain(counters.gateway.values())
            .sum();
        let single = [
            counters.answers,
            counters.timeouts,
            counters.garbled,
            counters.foreign,
            counters.port,
        ];
        assert_eq!(single.iter().sum::<u64>() + refusals, counters.polls);
    }
}
