//! Where the tool's output goes: a terminal, standard output or a file.

pub mod question;
pub mod screen;
pub mod sink;
