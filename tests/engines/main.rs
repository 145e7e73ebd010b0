//! The engines in simulated worlds, on virtual time: a day of a plant takes seconds, and
//! the load of the machine changes no result.
//!
//! Each module drives one engine, or the whole gateway, and describes itself. Only the
//! processor limits these tests: they run with as many threads as there are cores.

#![cfg(feature = "lab")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a panic is how a test says no, and what it prints explains it"
)]

#[path = "../fixture/gateway.rs"]
mod gateway;
#[path = "../fixture/port_task.rs"]
#[allow(dead_code, reason = "the tests of adapters wait for its end")]
mod port_task;

mod codes;
mod commands;
mod converge;
mod delivery;
mod doctor;
mod enrolment;
mod hammer;
mod hostile;
mod matrix;
mod outage;
mod plan;
mod platform;
mod platform_link;
mod port;
mod protocols;
mod quiet;
mod recovery;
mod registers;
mod reload;
mod report;
mod session;
mod survey;
mod takeover;
mod thing_events;
mod topology;
mod turns;
mod upstream;
mod vectors;
mod virtual_time;
mod wires;
mod world;

use alink_gateway::spec::test_spec as installation;
