//! How a unit behaves apart from what it measures: whether it has power, how fast it
//! answers, which requests it refuses, and which faults its replies have.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::base::Rng;
use crate::spec::Table;

/// The behaviour of one unit. It may be changed at any time.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitBehaviour {
    /// Whether the unit has power. A dead unit hears nothing and says nothing.
    pub alive: bool,
    /// From understanding a request to the first character of the reply. On a line this
    /// comes on top of the 3.5 characters of silence that end the request.
    pub turnaround: Duration,
    /// The turnaround is up to this much longer, drawn anew for each reply.
    pub jitter: Duration,
    /// Entries that the unit answers with an exception.
    pub refusals: Vec<Refusal>,
    /// Functions that the unit does not have: it refuses them with code 1.
    pub lacks: Vec<u8>,
    /// The most registers, and the most bits, that the unit lets read at once, and the code with
    /// which it refuses more. `None`: as many as the protocol allows.
    pub longest: Option<(u16, u16, u8)>,
    /// Whether the unit, against the standard, stays silent where it should refuse.
    pub withholds_refusals: bool,
    /// The faults of replies, and how often each strikes. The first that strikes is
    /// taken.
    pub faults: Vec<Chance>,
}

impl Default for UnitBehaviour {
    /// Returns a unit that is alive, with 5 ms turnaround and no faults.
    fn default() -> Self {
        UnitBehaviour {
            alive: true,
            turnaround: Duration::from_millis(5),
            jitter: Duration::ZERO,
            refusals: Vec::new(),
            lacks: Vec::new(),
            longest: None,
            withholds_refusals: false,
            faults: Vec::new(),
        }
    }
}

impl UnitBehaviour {
    /// Returns the code with which a request that touches these entries is refused.
    #[must_use]
    pub fn refusal(&self, table: Table, first: u16, count: u16) -> Option<u8> {
        let last = first.saturating_add(count.saturating_sub(1));
        self.refusals
            .iter()
            .find(|r| {
                r.table == table && first <= *r.addresses.end() && last >= *r.addresses.start()
            })
            .map(|r| r.code)
    }

    /// Returns the code with which a request for so many entries is refused because of their
    /// number.
    pub(super) fn is_too_long(&self, table: Table, count: u16) -> Option<u8> {
        let (registers, bits, code) = self.longest?;
        let most = if table.is_bits() { bits } else { registers };
        (count > most).then_some(code)
    }

    /// Draws how long this reply takes to begin.
    pub(super) fn delay(&self, rng: &mut Rng) -> Duration {
        let span = u64::try_from(self.jitter.as_micros()).unwrap_or(u64::MAX);
        self.turnaround + Duration::from_micros(rng.below(span))
    }

    /// Returns whether the unit withholds this reply: it is a refusal.
    pub(super) fn withholds(&self, reply: &[u8]) -> bool {
        self.withholds_refusals && reply.first().is_some_and(|function| function & 0x80 != 0)
    }

    /// Draws the fault of this reply.
    pub(super) fn draw(&self, rng: &mut Rng) -> Option<Fault> {
        self.faults
            .iter()
            .find(|c| rng.chance(c.permille))
            .map(|c| c.fault)
    }
}

/// Entries that a unit answers with an exception instead of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The table.
    pub table: Table,
    /// The addresses.
    pub addresses: RangeInclusive<u16>,
    /// The exception code.
    pub code: u8,
}

/// A fault and how often it strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chance {
    /// The fault.
    pub fault: Fault,
    /// In how many of a thousand replies.
    pub permille: u32,
}

/// A fault of one reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No reply.
    Mute,
    /// The reply begins this much later.
    Late(Duration),
    /// The reply stops somewhere in the middle. On TCP the connection is then
    /// closed.
    Cut,
    /// One to three bits are inverted. Never more, because the checksum always finds
    /// that many; a receiver that takes such a reply has not checked it. TCP has
    /// checksums of its own: there the fault does nothing.
    Flip,
    /// One run of at most this many bits, up to 16, is spoilt: its first and its last
    /// bit are wrong, those between may be. A CRC-16 always finds it, as with
    /// [`Fault::Flip`]. On TCP nothing.
    Burst(u8),
    /// The reply's data and checksum are random bytes, its head is not. One in 65,536
    /// passes a CRC-16, and no receiver can tell. On TCP nothing.
    Scramble,
    /// The same reply comes a second time.
    Twice,
    /// The same reply comes a second time, this long after the first has begun.
    /// Meanwhile the unit answers other requests.
    Again(Duration),
    /// The reply carries the next higher unit id, checksum and all.
    Foreign,
    /// The reply is for another function.
    WrongFunction,
    /// The reply carries less data than the request asked for, with a byte count and
    /// checksum that fit its data.
    Short,
    /// TCP: the reply carries another transaction id. Nothing on a line.
    WrongTransaction,
    /// The request comes back in front of the reply, as from an adapter that
    /// hears itself.
    Echo,
    /// This many random bytes in front of the reply, without a pause. On TCP
    /// nothing.
    Noise(u8),
    /// Random bytes in place of the reply. On TCP the connection is closed.
    Babble,
    /// A pause of this length in the middle of the reply.
    Hiccup(Duration),
    /// A second unit has the same address: a unit of the same kind, with values of its
    /// own. It receives the request as well and begins to answer before this one has
    /// sent half of its reply, so that both are spoilt. On TCP nothing.
    Twin,
    /// TCP: a byte follows the reply that the header counts as part of it. Nothing on a
    /// line, as with the following.
    Padded,
    /// TCP: the header announces a byte more than follows.
    BadLength,
    /// TCP: the header is invalid: another protocol than 0, or a length that no reply
    /// has.
    BadHeader,
    /// TCP: this many random bytes in front of the reply.
    Stray(u8),
}

impl Fault {
    /// Returns a name for counters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Fault::Mute => "mute",
            Fault::Late(_) => "late",
            Fault::Cut => "cut",
            Fault::Flip => "flip",
            Fault::Burst(_) => "burst",
            Fault::Scramble => "scramble",
            Fault::Twice => "twice",
            Fault::Again(_) => "again",
            Fault::Foreign => "foreign",
            Fault::WrongFunction => "wrong-function",
            Fault::Short => "short",
            Fault::WrongTransaction => "wrong-transaction",
            Fault::Echo => "echo",
            Fault::Noise(_) => "noise",
            Fault::Babble => "babble",
            Fault::Hiccup(_) => "hiccup",
            Fault::Twin => "twin",
            Fault::Padded => "padded",
            Fault::BadLength => "bad-length",
            Fault::BadHeader => "bad-header",
            Fault::Stray(_) => "stray",
        }
    }
}

/// Returns the reply PDU as a fault of content leaves it; other faults do not change
/// it.
pub(super) fn distort(fault: Option<Fault>, mut pdu: Vec<u8>) -> Vec<u8> {
    match fault {
        Some(Fault::WrongFunction) => {
            // To the neighbouring function of the same shape: 1↔2, 3↔4, 5↔6.
            if let Some(function) = pdu.first_mut() {
                *function = ((*function - 1) ^ 1) + 1;
            }
            pdu
        }
        Some(Fault::Short) if pdu.len() > 3 && matches!(pdu[0], 1..=4) => {
            let fewer = if pdu[0] <= 2 { 1 } else { 2 };
            pdu.truncate(pdu.len() - fewer);
            pdu[1] -= fewer as u8;
            pdu
        }
        _ => pdu,
    }
}

/// Spoils one run of at most `width` bits.
pub(super) fn burst(bytes: &mut [u8], width: u8, rng: &mut Rng) {
    let bits = bytes.len() as u64 * 8;
    let width = (1 + rng.below(width.into())).min(bits);
    let first = rng.below(bits - width + 1);
    for bit in first..first + width {
        if bit == first || bit + 1 == first + width || rng.chance(500) {
            // The order of the wire: lowest bit first.
            bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
        }
    }
}

/// Replaces the bytes behind the first `head` by random ones.
pub(super) fn scramble(bytes: &mut [u8], head: usize, rng: &mut Rng) {
    for byte in bytes.iter_mut().skip(head) {
        *byte = rng.below(256) as u8;
    }
}

/// Returns `count` random bytes.
pub(super) fn noise(count: usize, rng: &mut Rng) -> Vec<u8> {
    (0..count).map(|_| rng.below(256) as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_covers_every_request_that_touches_it() {
        let behaviour = UnitBehaviour {
            refusals: vec![Refusal {
                table: Table::HoldingRegister,
                addresses: 10..=12,
                code: 2,
            }],
            ..UnitBehaviour::default()
        };
        let asked = |first, count| behaviour.refusal(Table::HoldingRegister, first, count);
        assert_eq!(asked(0, 10), None);
        assert_eq!(asked(0, 11), Some(2));
        assert_eq!(asked(12, 1), Some(2));
        assert_eq!(asked(13, 5), None);
        assert_eq!(asked(11, 1), Some(2));
        assert_eq!(behaviour.refusal(Table::InputRegister, 11, 1), None);
    }

    #[test]
    fn distorted_replies_keep_a_plausible_shape() {
        let reply = vec![3, 4, 0, 1, 0, 2];
        assert_eq!(
            distort(Some(Fault::WrongFunction), reply.clone()),
            [4, 4, 0, 1, 0, 2]
        );
        assert_eq!(distort(Some(Fault::Short), reply.clone()), [3, 2, 0, 1]);
        assert_eq!(distort(Some(Fault::Twice), reply.clone()), reply);
    }
}
