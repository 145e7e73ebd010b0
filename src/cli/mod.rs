//! Floor 6: the hand on the tool. One verb each; the only room that prints.

pub mod check;
