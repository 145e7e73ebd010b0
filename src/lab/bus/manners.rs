//! How a unit behaves apart from what it measures: whether it lives, how fast
//! it answers, what it refuses, and what goes wrong on the way.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::base::Rng;
use crate::spec::Table;

/// The behaviour of one unit. Change it at any time.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitBehaviour {
    /// A dead unit hears nothing and says nothing.
    pub alive: bool,
    /// From understanding a request to the first character of the reply. On a
    /// line this comes on top of the 3.5 characters of silence that end the
    /// request.
    pub turnaround: Duration,
    /// Up to this much longer, drawn anew for each reply.
    pub jitter: Duration,
    /// Entries it answers with an exception.
    pub refusals: Vec<Refusal>,
    /// Against the standard it says nothing where it should refuse.
    pub sulks: bool,
    /// What goes wrong, and how often. The first that strikes is taken.
    pub faults: Vec<Chance>,
}

impl Default for UnitBehaviour {
    /// Alive, 5 ms turnaround, nothing wrong.
    fn default() -> Self {
        UnitBehaviour {
            alive: true,
            turnaround: Duration::from_millis(5),
            jitter: Duration::ZERO,
            refusals: Vec::new(),
            sulks: false,
            faults: Vec::new(),
        }
    }
}

impl UnitBehaviour {
    /// The code with which a request that touches these entries is refused.
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

    /// How long this reply takes to begin.
    pub(super) fn delay(&self, rng: &mut Rng) -> Duration {
        let span = u64::try_from(self.jitter.as_micros()).unwrap_or(u64::MAX);
        self.turnaround + Duration::from_micros(rng.below(span))
    }

    /// Whether it keeps this reply to itself: a refusal, and it sulks.
    pub(super) fn withholds(&self, reply: &[u8]) -> bool {
        self.sulks && reply.first().is_some_and(|function| function & 0x80 != 0)
    }

    /// What goes wrong with this reply.
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
    /// Of which table.
    pub table: Table,
    /// Which entries.
    pub addresses: RangeInclusive<u16>,
    /// The exception code.
    pub code: u8,
}

/// A fault and how often it strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chance {
    /// What goes wrong.
    pub fault: Fault,
    /// In how many of a thousand replies.
    pub permille: u32,
}

/// What can go wrong with one reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No reply.
    Mute,
    /// The reply begins this much later.
    Late(Duration),
    /// The reply stops somewhere in the middle. On TCP the connection is then
    /// closed.
    Cut,
    /// One to three bits are turned over. Never more, because that many are
    /// always found by the checksum; a receiver that takes such a reply has
    /// not looked. TCP has checksums of its own: there it does nothing.
    Flip,
    /// One run of at most this many bits, up to 16, is spoilt: its first and its
    /// last bit are wrong, those between may be. Always found by a CRC-16, as
    /// with [`Fault::Flip`]. On TCP nothing.
    Burst(u8),
    /// The reply's data and checksum are random bytes, its head is not. One in
    /// 65,536 passes a CRC-16, and nobody can tell. On TCP nothing.
    Scramble,
    /// The same reply comes a second time.
    Twice,
    /// The same reply comes a second time, this long after the first has begun.
    /// Meanwhile the unit answers others.
    Again(Duration),
    /// The reply carries the next higher unit id, checksum and all.
    Foreign,
    /// The reply is for another function.
    WrongFunction,
    /// The reply carries less than was asked for, byte count and checksum
    /// fitting what it carries.
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
    /// A second unit has the same address: one of the same kind, with values of its
    /// own, that is asked as well and begins to answer before this one has said half
    /// of its reply, so that both are spoilt. On TCP nothing.
    Twin,
    /// TCP: a byte follows the reply that the header counts as part of it. Nothing
    /// on a line, as with the following.
    Padded,
    /// TCP: the header gives the reply a byte more than follows.
    BadLength,
    /// TCP: the header is none: another protocol than 0, or a length that no reply
    /// has.
    BadHeader,
    /// TCP: this many random bytes in front of the reply.
    Stray(u8),
}

impl Fault {
    /// A name for counters.
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

/// The reply PDU as a fault of content leaves it; other faults leave it alone.
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

/// Random bytes behind the first `head`.
pub(super) fn scramble(bytes: &mut [u8], head: usize, rng: &mut Rng) {
    for byte in bytes.iter_mut().skip(head) {
        *byte = rng.below(256) as u8;
    }
}

/// `count` random bytes.
pub(super) fn noise(count: usize, rng: &mut Rng) -> Vec<u8> {
    (0..count).map(|_| rng.below(256) as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_covers_every_request_that_touches_it() {
        let manners = UnitBehaviour {
            refusals: vec![Refusal {
                table: Table::HoldingRegister,
                addresses: 10..=12,
                code: 2,
            }],
            ..UnitBehaviour::default()
        };
        let asked = |first, count| manners.refusal(Table::HoldingRegister, first, count);
        assert_eq!(asked(0, 10), None);
        assert_eq!(asked(0, 11), Some(2));
        assert_eq!(asked(12, 1), Some(2));
        assert_eq!(asked(13, 5), None);
        assert_eq!(asked(11, 1), Some(2));
        assert_eq!(manners.refusal(Table::InputRegister, 11, 1), None);
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
