//! How a gateway gets in: by its certificate, or to be given one.

pub(crate) mod connect;
pub(crate) mod enrol;
