//! Captures as their publishers write them, for the tests of this room.

/// Returns the bytes of a capture: two digits each, blanks between them.
pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    hex.split_whitespace()
        .map(|b| u8::from_str_radix(b, 16).unwrap())
        .collect()
}
