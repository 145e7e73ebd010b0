//! The box: clocks, the limits of the unit, the service manager and its watchdog.

pub mod clock;
pub mod headroom;
pub mod heartbeat;
pub mod notify;
pub mod program;
pub mod secrecy;
