//! Whether a device can be reached.

/// Whether a device can be reached now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reachability {
    /// The device answers.
    Answering,
    /// The device has not proved that it answers, or it is silent.
    Silent,
    /// The device's port is not open.
    PortDown,
}
