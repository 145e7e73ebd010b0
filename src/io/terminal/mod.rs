//! Where the tool's output goes: a terminal, standard output or a file.

#[cfg(test)]
pub(crate) mod captures;
pub mod interrupt;
pub mod locale;
pub mod question;
pub mod screen;
pub mod sink;
