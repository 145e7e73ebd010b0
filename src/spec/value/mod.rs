//! The value of a point: how it is written where it is read, and its type in the thing model.

mod codec;
mod data_type;
mod date_time;
mod decimal;
mod encoding;
mod measure;
mod not_writable;
mod number;

pub use codec::Codec;
pub use data_type::{DataType, NumberType};
pub use date_time::{DateTime, FieldForm, TimeField, TimeLayout, UtcOffset};
pub use decimal::Decimal;
pub use encoding::Encoding;
pub use measure::{Bits, Marker, Measure, Part, Sign, States};
pub use not_writable::NotWritable;
pub(crate) use number::ones;
pub use number::{ByteOrder, Digits, Number, RegisterByte, WordOrder};
