//! Devices without a standard: what to send, how a reply ends, what must be in
//! it, and where the values stand.
//!
//! [`template`] is the request, [`check`] the checksums, [`reply`] what a reply
//! looks like, [`receive`] how it is found on the line, [`part`] where its
//! values are and how they are written.
//!
//! A protocol nobody wrote down proves little about its replies. What is asked
//! for is therefore demanded to the letter (length, terminator, fixed bytes,
//! checksum), a reply begins where the line begins to speak or with its fixed
//! first bytes, and what does not fit is no value. Without fixed bytes and
//! without a checksum nothing can be told from noise; the configuration has to
//! warn of that.

pub mod check;
pub mod part;
pub mod receive;
pub mod reply;
pub mod template;

pub use check::{Check, Sum};
pub use part::Part;
pub use receive::Receiver;
pub use reply::{End, Fixed, Shape};
pub use template::Template;
