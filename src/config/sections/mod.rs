//! What the sections of a configuration mean: a file for each section, and a file for each group
//! of keys that several sections share. There are more than a dozen files because the
//! configuration has as many sections and groups.

pub(crate) mod access;
pub(crate) mod adapter;
pub(crate) mod based_on;
pub(crate) mod cloud;
pub(crate) mod commands;
pub(crate) mod connection;
pub(crate) mod control;
pub(crate) mod device;
pub(crate) mod endpoint;
pub(crate) mod identify;
pub(crate) mod limits;
pub(crate) mod parameters;
pub(crate) mod port;
pub(crate) mod port_for_profile;
pub(crate) mod profile;
pub(crate) mod range;
pub(crate) mod remote;
pub(crate) mod secret;
pub(crate) mod service;
pub(crate) mod table;
pub(crate) mod thing_event;
pub(crate) mod times;
pub(crate) mod unit;
