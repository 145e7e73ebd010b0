//! What the model remembers for tests: requests, commands, broken rules, accepted values.

pub(crate) mod accepted;
pub(crate) mod calls;
pub(crate) mod ledger;
