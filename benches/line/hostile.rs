//! Never a wrong value.
//!
//! A million transactions against five devices whose replies are late, lost, doubled,
//! cut, spoilt, echoed, swapped, foreign or preceded by noise, a quarter of a million
//! in each framing, all through the port's task on pipes. `tests/engines/hostile` describes the
//! faults of replies, and the oracle that knows which value was true when.
//!
//! The bits inverted in that million are of the kinds a CRC-16 always finds: one to
//! three, and runs of up to sixteen (in ASCII one). Frames that collide and bursts of
//! noise are spoilt arbitrarily there as well, and are few. Of frames whose data and
//! checksum are arbitrary one in 65,536 passes, and no receiver can tell. The number
//! that passes is measured apart; a line with `n` such frames an hour has to reckon
//! with `n / 65,536` wrong values an hour.

use alink_gateway::base::{Rng, UnitId};
use alink_gateway::field::modbus::rtu::{ListeningEnd, Receiver};
use alink_gateway::field::modbus::{ReadRequest, Reply};
use alink_gateway::spec::Table;

#[path = "../../tests/engines/hostile/lives.rs"]
mod lives;
#[path = "../../tests/engines/hostile/ported.rs"]
mod ported;
#[path = "../../tests/engines/hostile/site.rs"]
mod site;
#[path = "../../tests/engines/hostile/tally.rs"]
mod tally;

use crate::report::Report;
use lives::{Framing, LIFE};
use ported::On;
use site::Hostility;
use tally::Tally;

/// Transactions in each framing.
const TRANSACTIONS: u64 = 250_000;

/// How many arbitrary frames with the head of the reply are tried.
const SCRAMBLED: u32 = 2_000_000;

pub(crate) fn measure(report: &mut Report) {
    let each = if report.quick { LIFE } else { TRANSACTIONS };
    let mut sum = Tally::default();
    for framing in [
        Framing::Rtu,
        Framing::Tcp,
        Framing::Ascii,
        Framing::RtuOverTcp,
    ] {
        let tally = lives::run(framing, 0, each);
        for wrong in &tally.wrong {
            report.remark(format!("{framing:?}: {wrong}"));
        }
        sum.add(tally);
    }
    let detail = format!(
        "{} answered, {} missed, {} late; {} values",
        sum.answers,
        sum.missed.values().sum::<u64>(),
        sum.late,
        sum.values
    );
    report.add(
        "hostile_transactions",
        sum.transactions as f64,
        "transactions on RTU, TCP, ASCII and RTU in TCP, a quarter of the replies going wrong",
        "≥ 1,000,000",
        detail,
    );
    report.add(
        "wrong_values",
        sum.wrong.len() as f64,
        "replies accepted that were not true between request and reply",
        "0",
        format!(
            "longest time without an end of a transaction {:.1} s, all read as before {} after the last fault",
            sum.longest_gap.as_secs_f64(),
            sum.recovered.map_or("never".into(), |after| format!("{:.1} s", after.as_secs_f64()))
        ),
    );
    late_copies(report, each);
    scrambled(report);
}

/// Measures what no rule can exclude: the first copy of a reply that comes after the
/// same request has been sent again.
fn late_copies(report: &mut Report, transactions: u64) {
    let mut sum = Tally::default();
    for seed in 0..transactions.div_ceil(LIFE) {
        let hostility = Hostility {
            copies: site::TIMEOUT,
            bursts: true,
            streams: false,
        };
        sum.add(ported::life(On::Rtu(115_200, 16), seed, LIFE, hostility));
    }
    let copies = sum.faults.get("again").copied().unwrap_or(0);
    report.add(
        "wrong_values_late_copies",
        sum.wrong.len() as f64,
        "the same on RTU, with second copies of replies up to a response timeout later",
        "",
        format!(
            "{copies} copies in {} transactions and {} lives; after its first a unit is known to repeat itself",
            sum.transactions,
            transactions.div_ceil(LIFE)
        ),
    );
}

/// Measures frames with the head of the reply and arbitrary bytes behind it.
fn scrambled(report: &mut Report) {
    let ask = ReadRequest {
        unit: UnitId(1),
        table: Table::HoldingRegister,
        start: 0,
        count: 2,
    };
    let mut rng = Rng::new(1);
    let mut passed = 0_u32;
    let frames = if report.quick {
        SCRAMBLED / 10
    } else {
        SCRAMBLED
    };
    for _ in 0..frames {
        let mut frame = vec![1, 3, 4];
        frame.extend((0..6).map(|_| rng.below(256) as u8));
        let mut receiver = Receiver::new(ask);
        let verdict = receiver.push(&frame);
        passed += u32::from(matches!(
            verdict,
            Some(ListeningEnd::Reply(Reply::Answer(_)))
        ));
    }
    report.add(
        "scrambled_passed_per_million",
        f64::from(passed) * 1e6 / f64::from(frames),
        "frames with arbitrary data and checksum that pass as replies on RTU",
        "15.3 by arithmetic",
        format!("{passed} of {frames}"),
    );
}
