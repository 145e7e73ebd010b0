//! Serial adapters that are unplugged: on a pseudo terminal, and in a virtual machine
//! with a real kernel (only with `--ignored`).
//!
//! A binary of its own: `replug` measures the processor time of its process, in which it
//! is the only test.

#![cfg(feature = "lab")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a panic is how a test says no, and what it prints explains it"
)]

#[path = "../fixture/port_task.rs"]
mod port_task;
#[path = "../fixture/tools.rs"]
mod tools;

mod adapter;
mod machine;
mod replug;
