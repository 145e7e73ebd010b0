//! The real program, real sockets and programs of other authors, in real time.
//!
//! These tests wait for events most of the time, each of its own processes and ports:
//! `tests/run` runs many of them at once.

#![cfg(feature = "lab")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a panic is how a test says no, and what it prints explains it"
)]
#![allow(dead_code, reason = "the tests of whole processes share their helpers")]

#[path = "../fixture/process/child.rs"]
mod child;
#[path = "../fixture/process/cloud.rs"]
mod cloud;
#[path = "../fixture/process/gateway.rs"]
mod gateway;
#[path = "../fixture/process/manager.rs"]
mod manager;
#[path = "../fixture/process/mosquitto.rs"]
mod mosquitto;
#[path = "../fixture/process/plant.rs"]
mod plant;
#[path = "../fixture/process/ports.rs"]
mod ports;
#[path = "../fixture/tools.rs"]
mod tools;

mod broker;
mod commands;
mod commissioning;
mod control;
mod interoperability;
mod lines;
mod link;
mod one_address;
mod pipe;
mod reload_guard;
mod remote;
mod sdk;
mod spool;
#[cfg(feature = "lab")]
mod terminal;
mod trace;
mod training;
#[cfg(feature = "lab")]
mod typed;
mod wrong_order;

use alink_gateway::spec::test_spec as installation;
