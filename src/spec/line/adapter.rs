//! The adapter between a serial port and its pair of wires.

use serde::Serialize;
use std::time::Duration;

/// What the gateway must know about the adapter between a port and its wires. By default nothing:
/// most RS-485 adapters switch their transceiver by themselves and do not receive what they send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Adapter {
    /// How the kernel switches the transceiver by RTS (`serial_rs485`), for UARTs whose
    /// transceiver does not switch itself.
    pub rs485: Option<Rs485>,
    /// Whether the receiver stays on while the gateway sends, so that all sent bytes come back.
    pub echo: bool,
}

/// How the kernel switches an RS-485 transceiver (linux/serial.h `struct
/// serial_rs485`; Documentation/driver-api/serial/serial-rs485.rst).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rs485 {
    /// The level of RTS while sending; the other level otherwise. Default high.
    pub rts_on_send: RtsLevel,
    /// The time from switching to sending until the first bit: whole milliseconds, at most 100.
    /// Default 0.
    pub delay_before_send: Duration,
    /// The time from the last bit until switching back. Limits and default as above.
    pub delay_after_send: Duration,
    /// Whether the receiver stays on while sending. Default no.
    pub rx_during_tx: bool,
    /// Whether the terminating resistor on the board is switched in. Default no.
    pub terminate: bool,
}

impl Default for Rs485 {
    fn default() -> Self {
        Rs485 {
            rts_on_send: RtsLevel::High,
            delay_before_send: Duration::ZERO,
            delay_after_send: Duration::ZERO,
            rx_during_tx: false,
            terminate: false,
        }
    }
}

/// The logical level of the modem line RTS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum RtsLevel {
    /// Asserted.
    High,
    /// Not asserted.
    Low,
}
