//! A hostile line: whatever fault replies have, no value is wrong, nothing panics and
//! nothing stands still.
//!
//! The oracle knows what stood in every register at every millisecond. An accepted
//! reading must have stood there, all of it at one moment, between the request and the
//! end of its reply. `ALINK_HOSTILE=n` sets the number of transactions for each
//! framing, `ALINK_HOSTILE_SEED=n` where the seeds begin.
//!
//! All four framings go through the port's task as it runs in the daemon.

mod lives;
mod ported;
mod site;
mod tally;

use std::time::Duration;

use alink_gateway::base::UnitId;
use alink_gateway::field::modbus::ReadRequest;
use alink_gateway::field::modbus::{ascii, rtu};
use alink_gateway::spec::Table;
use rustix::time::{ClockId, clock_gettime};

use lives::Framing;
use tally::Tally;

/// Transactions of one framing, in the ordinary run.
const TRANSACTIONS: u64 = 20_000;

/// The longest wait of an attempt at a device that does not answer is 10 s, and
/// a tenth on top of it.
const STANDSTILL: Duration = Duration::from_secs(12);

/// That wait, a rest of twenty timeouts, and the same again if the first try met bytes
/// that were still on their way.
const RECOVERY: Duration = Duration::from_secs(40);

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |n| n.parse().unwrap())
}

fn survives(framing: Framing) {
    let first = number("ALINK_HOSTILE_SEED", 0);
    let tally = lives::run(framing, first, number("ALINK_HOSTILE", TRANSACTIONS));
    judge(framing, &tally);
}

fn judge(framing: Framing, tally: &Tally) {
    assert!(tally.wrong.is_empty(), "{framing:?}: {:#?}", tally.wrong);
    assert!(tally.longest_gap < STANDSTILL, "{:?}", tally.longest_gap);
    let recovered = tally.recovered.expect("some device never came back");
    assert!(recovered < RECOVERY, "{recovered:?}");
    // The line is hostile indeed, and still readings come through.
    let missed: u64 = tally.missed.values().sum();
    assert!(missed * 20 > tally.transactions, "{missed} missed");
    assert!(tally.late > 0);
    assert!(tally.values > tally.transactions, "{}", tally.values);
}

#[test]
fn no_value_is_wrong_on_a_serial_line_with_rtu() {
    survives(Framing::Rtu);
}

#[test]
fn no_value_is_wrong_at_a_modbus_tcp_endpoint() {
    survives(Framing::Tcp);
}

#[test]
fn no_value_is_wrong_in_modbus_ascii() {
    survives(Framing::Ascii);
}

#[test]
fn no_value_is_wrong_with_rtu_frames_in_a_tcp_connection() {
    survives(Framing::RtuOverTcp);
}

/// Checks that a line that never falls silent costs the same for each byte, however
/// long it goes on, and also when every byte could begin a long frame.
#[test]
fn a_line_that_babbles_costs_time_in_proportion_to_its_bytes() {
    let ask = ReadRequest {
        unit: UnitId(1),
        table: Table::HoldingRegister,
        start: 0,
        count: 125,
    };
    let floods: [&[u8]; 4] = [&[1, 3, 250], &[0], b":0103FA", &[9, 3, 240, 1]];
    let took = |flood: &[u8], bytes: usize| {
        let flood: Vec<u8> = flood.iter().copied().cycle().take(bytes).collect();
        // The processor time of this thread alone, whatever other threads do.
        let spent = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
        let begun = spent();
        let mut rtu = rtu::Receiver::new(ask);
        let mut ascii = ascii::Receiver::new(ask);
        for piece in flood.chunks(100) {
            if rtu.push(piece).is_some() {
                rtu = rtu::Receiver::new(ask);
            }
            if ascii.push(piece).is_some() {
                ascii = ascii::Receiver::new(ask);
            }
        }
        spent() - begun
    };
    for flood in floods {
        let least = |bytes| (0..3).map(|_| took(flood, bytes)).min().unwrap();
        let (short, long) = (least(8_000), least(64_000));
        assert!(long < short * 30, "{flood:?}: {short:?}, {long:?}");
    }
}
