//! `rs485:` and `echo:` of a serial line: what the adapter needs to be told, and what it sends
//! back.

use std::time::Duration;

use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section};
use crate::config::reader::tree::NodeContent;
use crate::config::reader::word_parsers::{choice, time};
use crate::spec::{Adapter, Rs485, RtsLevel};

const RS485: [&str; 5] = [
    "rts_on_send",
    "delay_before_send",
    "delay_after_send",
    "rx_during_tx",
    "terminate",
];

/// The kernel's limit on both delays, which it counts in whole milliseconds
/// (drivers/tty/serial/serial_core.c, `RS485_MAX_RTS_DELAY`).
const LONGEST_DELAY: Duration = Duration::from_millis(100);

/// Reads both keys out of the section `serial:`.
pub(crate) fn read(serial: &Section<'_>, notes: &mut Notes) -> Adapter {
    let adapter = Adapter {
        rs485: rs485(serial, notes),
        echo: serial.read("echo", YES, notes).unwrap_or(false),
    };
    let listens = adapter.rs485.is_some_and(|r| r.rx_during_tx);
    if listens && serial.node("echo").is_none() {
        notes.warning(
            serial.at("rs485"),
            "rx_during_tx: true and no echo:",
            Expectation::wanted("echo: true beside rs485:").hint(
                "on two wires a receiver that stays on hears what the gateway sends; write echo: false if this line has four",
            ),
        );
    }
    adapter
}

fn rs485(serial: &Section<'_>, notes: &mut Notes) -> Option<Rs485> {
    let node = serial.node("rs485")?;
    if let NodeContent::Text(_) = node.is {
        let on = |text: &str| {
            YES(text).map_err(|_| {
                Expectation::wanted("true, false or a section with keys such as rts_on_send")
                    .hint("for example  rs485: { rts_on_send: high, delay_after_send: 1ms }")
            })
        };
        return serial
            .read("rs485", on, notes)
            .and_then(|on| on.then(Rs485::default));
    }
    let s = serial.section("rs485", &RS485, notes);
    let d = Rs485::default();
    let delay = time(Duration::ZERO..=LONGEST_DELAY);
    let level = choice(&[("high", RtsLevel::High), ("low", RtsLevel::Low)]);
    Some(Rs485 {
        rts_on_send: s.read("rts_on_send", level, notes).unwrap_or(d.rts_on_send),
        delay_before_send: s
            .read("delay_before_send", &delay, notes)
            .unwrap_or(d.delay_before_send),
        delay_after_send: s
            .read("delay_after_send", &delay, notes)
            .unwrap_or(d.delay_after_send),
        rx_during_tx: s.read("rx_during_tx", YES, notes).unwrap_or(d.rx_during_tx),
        terminate: s.read("terminate", YES, notes).unwrap_or(d.terminate),
    })
}

const YES: fn(&str) -> Result<bool, Expectation> =
    |text| choice(&[("true", true), ("false", false)])(text);
