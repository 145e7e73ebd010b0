//! The daemon and the tool people type.
fn main() {}
