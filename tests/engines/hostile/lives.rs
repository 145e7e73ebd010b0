//! All four framings, and the requests of each.

use super::ported::{self, On};
use super::site::Hostility;
use super::tally::Tally;

/// The framing and what it runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Rtu,
    Tcp,
    Ascii,
    RtuOverTcp,
}

/// Transactions in one life: then the gateway, its line and what it has learned about
/// the line are new.
pub(crate) const LIFE: u64 = 5000;

/// Runs so many transactions on this framing, a life for each seed from `first` on.
pub(crate) fn run(framing: Framing, first: u64, transactions: u64) -> Tally {
    let mut sum = Tally::default();
    let mut seed = first;
    while sum.transactions < transactions {
        let length = LIFE.min(transactions - sum.transactions);
        sum.add(life(framing, seed, length));
        seed += 1;
    }
    sum
}

fn life(framing: Framing, seed: u64, length: u64) -> Tally {
    let (baud, group) = [(115_200, 16), (9600, 1), (19_200, 4), (115_200, 1)][(seed % 4) as usize];
    let fair = Hostility::fair(framing != Framing::Ascii);
    match framing {
        Framing::Rtu => ported::life(On::Rtu(baud, group), seed, length, fair),
        Framing::Tcp => {
            // Copies carry the number of their request, however late.
            let copies = std::time::Duration::from_secs(1);
            let hostility = Hostility {
                copies,
                streams: true,
                ..fair
            };
            ported::life(On::Tcp, seed, length, hostility)
        }
        Framing::Ascii => ported::life(On::Ascii(baud, group), seed, length, fair),
        Framing::RtuOverTcp => ported::life(On::RtuOverTcp(baud), seed, length, fair),
    }
}
