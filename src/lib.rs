//! A gateway between field buses and Alibaba Cloud IoT Platform. This page lists its rooms.
//!
//! Below are meters and modules on Modbus lines; above is an MQTT session on which each of
//! them is a *sub-device* that is online exactly while it answers on its bus. This crate is
//! between the two. The table names the room that answers each question:
//!
//! | question | room |
//! |---|---|
//! | What is wrong with this configuration? | [`config`] |
//! | What of a file of another program can be carried over? | [`import`] |
//! | What does a configuration loaded anew change? | [`spec::reload`], [`app::service`] |
//! | Why is it polled now, and in how many requests? | [`field`] |
//! | Was that an answer, and what does it mean? | [`field`] |
//! | Is the device alive, and why not? | [`fleet`] |
//! | Why is it not online in the cloud? What was refused, what comes next? | [`cloud`] |
//! | Is a command carried out, and what is its sender told? | [`command`] |
//! | Which values are sent, and when? | [`report`] |
//! | Which values are events of the thing model? | [`thing_event`] |
//! | What becomes of values while nothing can be delivered? | [`cloud`] decides, [`spool`] keeps |
//! | What does the whole look like right now? | [`hub`] |
//! | What is wrong, and what is to be done about it? | [`doctor`] |
//! | What is on the wire right now? | [`trace`] |
//! | What may be asked of the running service, and in which words? | [`control`] |
//! | What becomes of the platform's configuration? | [`cloud::remote_config`], [`app`] |
//! | How do bytes, files and time get in and out? | [`io`] |
//!
//! # What may use what
//!
//! Only [`io`] touches the world: sockets, ttys, files, clocks, signals, tasks. (The wiring
//! may name them too: [`app`], `main.rs`, the shells of the lab.) All other code is plain
//! Rust: its callers tell it what happened and what time it is, and it answers with data.
//! `use crate::` points only to lower floors, and rooms on one floor do not know each
//! other. `tests/house/rules.rs` reads the sources and fails on a breach.
//!
//! ```text
//! floor 6   main.rs  cli            the command line
//! floor 5   app                     the wiring: which task holds which end
//! floor 4   io                      the only door to the world
//! floor 3   hub                     the coordinator of fleet, reporter and cloud
//!           doctor                  from what is seen to what is wrong
//!           trace                   what is on the wire, for people
//! floor 2   config field fleet report thing_event cloud command control spool import   rooms that do not know each other
//! floor 1   spec                    this installation, validated; plain data
//! floor 0   base                    types that every room uses
//!           lab                     beside the floors: the simulated plant and platform
//! ```
//!
//! # How every engine is driven
//!
//! One mutation, then drain, then sleep: `on_…(now, what)` or a verb, then
//! `poll()` until `None`, then nothing until `wake_at()`, which says why.
//!
//! # A reading's way up
//!
//! `io/bus/port.rs` asks [`field`]'s schedule what is due, keeps the line quiet for as long as it
//! must, sends, and receives until [`field`] says that the frame is the reply to the request. The
//! decoded values and what the exchange proved about the device travel to the hub in one event.
//! [`fleet`] takes the proof and may change its wish; [`cloud`] takes the values that [`report`]
//! lets through, logs the device in if that is wanted and not yet so, gathers values of many
//! devices into one message, and settles them when the platform's own reply accepts them.

pub mod base;
pub mod spec;
pub mod spool;

pub mod cloud;
pub mod command;
pub mod config;
pub mod control;
pub mod field;
pub mod fleet;
pub mod import;
pub mod report;
pub mod thing_event;

pub mod doctor;
pub mod hub;
pub mod trace;

pub mod io;

pub mod app;

pub mod cli;

#[cfg(feature = "lab")]
pub mod lab;
