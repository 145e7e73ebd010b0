//! Asks a line about devices that are in no configuration: who answers, and what a device has.
//!
//! | file | decides |
//! |---|---|
//! | [`listener`] | which frames are in what is heard after a request |
//!
//! Contract: an engine says what to ask next, and is told what was heard. It has no clock. Its
//! requests only read ([`crate::spec::survey::SurveyQuestion::is_read`]).

pub mod listener;
