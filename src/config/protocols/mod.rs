//! Profiles of protocols other than Modbus: DL/T 645, and devices without a standard.

pub(crate) mod ambiguous_replies;
pub(crate) mod checksum;
pub(crate) mod dlt645;
pub(crate) mod drafts;
pub(crate) mod part;
pub(crate) mod placeholders;
pub(crate) mod raw;
pub(crate) mod reply_bounds;
pub(crate) mod value_form;
