//! `check:`: the checksum of a request or a reply without a standard.

use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section};
use crate::config::reader::word_parsers::{choice, whole};
use crate::spec::raw::check::CheckForm;
use crate::spec::raw::reply::LONGEST;
use crate::spec::raw::{Check, Sum};

const SUMS: [(&str, Sum); 11] = [
    ("sum8", Sum::Sum8),
    ("xor8", Sum::Xor8),
    ("lrc", Sum::Lrc),
    ("lrc-ascii", Sum::LrcAscii),
    ("crc16-modbus", Sum::Crc16Modbus),
    ("crc16-xmodem", Sum::Crc16Xmodem),
    ("crc16-ccitt-false", Sum::Crc16CcittFalse),
    ("crc16-aug", Sum::Crc16Aug),
    ("crc16-genibus", Sum::Crc16Genibus),
    ("crc16-kermit", Sum::Crc16Kermit),
    ("crc16-x25", Sum::Crc16X25),
];

const WRITTEN: [(&str, CheckForm); 3] = [
    ("high", CheckForm::High),
    ("low", CheckForm::Low),
    ("hex", CheckForm::Hex),
];

/// Reads `check: { sum: crc16-modbus, as: low, from: 0 }`.
pub(crate) fn check(s: &Section<'_>, notes: &mut Notes) -> Option<Check> {
    s.node("check")?;
    let c = s.section("check", &["sum", "as", "from"], notes);
    let sum = c.need(
        "sum",
        choice(&SUMS),
        || Expectation::wanted("how the checksum is computed, like sum8 or crc16-modbus"),
        notes,
    );
    Some(Check {
        sum: sum?,
        written: c
            .read("as", choice(&WRITTEN), notes)
            .unwrap_or(CheckForm::High),
        from: c.read("from", whole(0..=LONGEST), notes).unwrap_or(0),
    })
}
