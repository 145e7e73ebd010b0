//! The bits of a register, as a column of a list numbers them.

use std::ops::RangeInclusive;

use super::columns::{Column, Columns};
use super::factor::is_blank;
use crate::import::number;
use crate::import::remark::FileLocation;
use crate::import::table::Row;

/// Returns the place of a bit 16 in the column: its bits count from 1, unless one is 0.
pub(super) fn counts_from_one(columns: &Columns, rows: &[Row]) -> Option<FileLocation> {
    let mut found = None;
    for row in rows {
        let Some((low, high)) = ends(columns.cell(row, Column::Bit)) else {
            continue;
        };
        if low == 0 {
            return None;
        }
        if high == 16 {
            found = found
                .or_else(|| Some(FileLocation::new(row.line, columns.cell(row, Column::Name))));
        }
    }
    found
}

/// Returns the bits that a cell names, 0 the least significant, `first` being the number of the
/// first; `None` if it names none.
///
/// # Errors
/// The cell is filled, and these are no bits of a register.
pub(super) fn of(text: &str, first: i64) -> Result<Option<RangeInclusive<u8>>, ()> {
    if is_blank(text) {
        return Ok(None);
    }
    let bit = |n: i64| {
        let n = n.checked_sub(first).and_then(|n| u8::try_from(n).ok());
        n.filter(|n| *n < 16).ok_or(())
    };
    let (low, high) = ends(text).ok_or(())?;
    Ok(Some(bit(low)?..=bit(high)?))
}

/// Returns the lowest and the highest number of a cell.
fn ends(text: &str) -> Option<(i64, i64)> {
    let (one, other) = super::range(text);
    let one = number::whole(one)?;
    let other = match other {
        Some(other) => number::whole(other)?,
        None => one,
    };
    Some((one.min(other), one.max(other)))
}
