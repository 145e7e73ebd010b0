//! What stands between a serial port and its pair of wires.

use std::time::Duration;

/// What has to be known about the adapter between a port and its wires, beyond
/// what it does by itself. By default nothing: most RS-485 adapters switch their
/// transceiver alone and do not hear themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adapter {
    /// The kernel switches the transceiver by RTS (`serial_rs485`), for UARTs
    /// whose transceiver does not switch itself.
    pub rs485: Option<Rs485>,
    /// The receiver stays on while we send: everything we send comes back.
    pub echo: bool,
}

/// How the kernel switches an RS-485 transceiver (linux/serial.h `struct
/// serial_rs485`; Documentation/driver-api/serial/serial-rs485.rst).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rs485 {
    /// The level of RTS while sending; the other one otherwise. Default high.
    pub rts_on_send: RtsLevel,
    /// From switching to sending until the first bit: whole milliseconds, at most
    /// 100. Default 0.
    pub delay_before_send: Duration,
    /// From the last bit until switching back. As above.
    pub delay_after_send: Duration,
    /// Whether the receiver stays on meanwhile. Default no.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RtsLevel {
    /// Asserted.
    High,
    /// Not asserted.
    Low,
}
