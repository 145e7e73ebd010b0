//! Figures that are measured in real time: memory, the beats of the watchdog, the pace of
//! polls, when a value stood in a register. A busy machine changes them, so `tests/run`
//! runs few of these tests at once.

#![cfg(feature = "lab")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a panic is how a test says no, and what it prints are its figures"
)]
#![allow(dead_code, reason = "the tests of whole processes share their helpers")]

#[path = "../fixture/process/child.rs"]
mod child;
#[path = "../fixture/process/gateway.rs"]
mod gateway;
#[path = "../fixture/process/manager.rs"]
mod manager;
#[path = "../fixture/process/ports.rs"]
mod ports;

mod config_costs;
mod demo;
mod failing_requests;
mod floods;
mod tcp_peers;

use alink_gateway::spec::test_spec as installation;
