//! A hostile line: whatever goes wrong with replies, no value is wrong, nothing
//! panics and nothing stands still.
//!
//! `ALINK_HOSTILE=n` sets the number of transactions per framing.
#![cfg(feature = "lab")]
#![expect(clippy::unwrap_used, reason = "a test says no by panicking")]

#[path = "hostile/ported.rs"]
mod ported;
#[path = "hostile/site.rs"]
mod site;
#[path = "hostile/tally.rs"]
mod tally;

use ported::On;
use site::Hostility;
use std::time::Duration;

#[test]
fn probe() {
    let n = std::env::var("ALINK_HOSTILE").map_or(2000, |n| n.parse().unwrap());
    let seeds = std::env::var("SEEDS").map_or(3, |n| n.parse().unwrap());
    for (on, copies) in [
        (On::Rtu(115_200, 1), None),
        (On::Rtu(9600, 1), None),
        (On::Tcp, None),
        (On::Tcp, Some(1000)),
        (On::Rtu(115_200, 16), Some(20)),
        (On::Rtu(115_200, 16), Some(1000)),
    ] {
        let mut sum = tally::Tally::default();
        let t = std::time::Instant::now();
        for seed in 0..seeds {
            sum.add(ported::life(
                on,
                seed,
                n,
                Hostility {
                    copies: copies.map(Duration::from_millis),
                    one_bit: false,
                },
            ));
        }
        println!(
            "{on:?} {copies:?} {:?} wrong {} {:?}",
            t.elapsed(),
            sum.wrong.len(),
            0
        );
        for w in sum.wrong.iter().take(12) {
            println!("{w}");
        }
        sum.wrong.clear();
        println!("   {sum:?}");
    }
}
