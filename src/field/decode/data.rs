//! What a reply carried, in any protocol.

/// The content of a reply: what was asked for, whole, never more or fewer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// Registers, in address order.
    Registers(Vec<u16>),
    /// Coils or inputs, in address order.
    Bits(Vec<bool>),
    /// The bytes of a datum (DL/T 645, follow-on frames joined), or of a whole reply where
    /// there is no standard.
    Bytes(Vec<u8>),
}
