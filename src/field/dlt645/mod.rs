//! DL/T 645: how electricity meters in China are read, in both of its editions.
//!
//! [`address`] is the address of a meter, [`frame`] the bytes on the line, [`ask`] the
//! request and what counts as its reply, [`receive`] how the reply is found on the line,
//! [`item`] the standard's data by name and [`mod@format`] how they are written.
//!
//! Every reply repeats the meter's address and the datum's identifier, so a late reply cannot
//! be taken for the reply to another question. The two exceptions: a refusal names no datum,
//! and the follow-on frames of 1997 carry no number. A late or doubled frame of these kinds
//! would be taken for the next: after a miss such a datum is begun anew, when the line has
//! been quiet for longer than a meter may take.
//!
//! The checksum is a plain sum. It finds every single spoiled byte but not every pair of
//! spoiled bytes. A spoiled reply is unlikely to pass because the address, the identifier,
//! the exact length, and decimal digits are demanded besides.

pub mod ask;
pub mod format;
pub mod frame;
pub mod masked_echo;
pub mod receive;
#[cfg(test)]
pub(crate) mod test_capture;

pub use crate::spec::dlt645::{DataItem, Edition, MeterAddress, ValuePosition, address, item};
pub use ask::{MeterRequest, Reply};
pub use frame::Frame;
pub use receive::Receiver;
