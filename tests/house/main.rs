//! The house itself: the rules of the sources, and that documents, configurations and
//! the texts of the program say the same.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a panic is how a test says no, and what it prints explains it"
)]

#[path = "../fixture/tools.rs"]
#[allow(
    dead_code,
    reason = "the tests with other programs share how to find them"
)]
mod tools;

#[path = "../fixture/agreement.rs"]
mod agreement;
mod captures;
mod chinese;
mod chinese_documents;
mod commands;
mod config_cases;
mod configuration_reference;
mod desk;
mod import;
mod init;
mod journal;
mod metrics;
mod modules;
mod numbers;
mod package;
mod pages;
mod po;
mod profiles;
mod readme;
mod rules;
mod source;
mod thing_model;
mod walls;
