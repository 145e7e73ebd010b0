//! What the model remembers for tests: requests, broken rules, accepted values.

pub(crate) mod accepted;
pub(crate) mod ledger;
