//! The reasons why a point can never be written.

use std::fmt;

/// The most registers that one request may write (Modbus Application Protocol V1.1b3 §6.12).
pub(super) const MOST_WRITTEN: u16 = 123;

/// Why a point can never be written, whatever the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotWritable {
    /// Its table can only be read (Modbus Application Protocol V1.1b3 §4.3).
    Table,
    /// Its table holds no values of its type.
    OtherTable,
    /// Its value is not one of its protocol.
    Protocol,
    /// Its meter speaks the first edition of DL/T 645, whose public descriptions do not agree on
    /// how the password travels.
    Edition,
    /// It is a part of a datum, and a meter takes only a whole one.
    PartOfDatum,
    /// The meter sets it, together with a moment.
    Peak,
    /// It has places that are ignored, and what belongs there is not known.
    Ignored,
    /// Its factor stands in another register, and the device sets that factor.
    Power,
    /// One of its factors is 0.
    ZeroFactor,
    /// It names bits that its number does not have.
    Bits,
    /// Two of the things it is made of share bits.
    SharedBits,
    /// Its sign cannot be written: both signs are alike, or they are not within their bits, or
    /// several parts have one each.
    Sign,
    /// It is a sum of several parts, and one of them is a float.
    Floats,
    /// Of the weights of its parts one is no multiple of the next smaller one, or they are too
    /// far apart.
    Weights,
    /// It takes more registers than one request may write (V1.1b3 §6.12: 123), or registers
    /// behind the last.
    TooWide,
}

impl NotWritable {
    /// Returns the reason in words, as a sentence without its end.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            NotWritable::Table => "discrete inputs and input registers can only be read",
            NotWritable::OtherTable => "the table holds no values of this type",
            NotWritable::Protocol => "its value is not one of its protocol",
            NotWritable::Edition => {
                "only meters of dlt645-2007 are written: for 1997 it is not certain how the password travels"
            }
            NotWritable::PartOfDatum => {
                "it is a part of a datum, and a meter takes only a whole one"
            }
            NotWritable::Peak => {
                "the meter sets it, together with the moment at which it was reached"
            }
            NotWritable::Ignored => {
                "it has places that are ignored, and what belongs there is not known"
            }
            NotWritable::Power => "its factor is in another register, which the device sets",
            NotWritable::ZeroFactor => "one of its factors is 0",
            NotWritable::Bits => "it names bits that its number does not have",
            NotWritable::SharedBits => "two of its parts, or a part and the sign, share bits",
            NotWritable::Sign => "its sign cannot be written",
            NotWritable::Floats => "one of its parts is a float",
            NotWritable::Weights => {
                "the weights of its parts are not multiples of each other, or too far apart"
            }
            NotWritable::TooWide => "it takes more than the 123 registers that a request may write",
        }
    }
}

impl fmt::Display for NotWritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}
