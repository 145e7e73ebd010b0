//! What a sweep has found, as runs of entries of one kind.

use std::collections::BTreeMap;

use super::EntryClass;
use crate::spec::Table;

/// Entries of one kind that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first address.
    pub first: u16,
    /// The last address.
    pub last: u16,
    /// What they are.
    pub of: RunOf,
}

/// What the entries of a run are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunOf {
    /// There, with these values.
    Values(Vec<u16>),
    /// Refused with this code.
    Refused(u8),
    /// Not answered.
    Silent,
}

/// Zeros that show nothing: a device may answer them for what it does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zeros {
    /// All values of the table.
    Everywhere,
    /// All values from this address to the last one asked for.
    From(u16),
}

/// How many zeros in a row are too many to be values.
const MOST_ZEROS: u16 = 64;

/// Returns the runs of a table, by address.
#[must_use]
pub fn runs(found: &BTreeMap<(Table, u16), EntryClass>, table: Table) -> Vec<Run> {
    let mut all: Vec<Run> = Vec::new();
    for ((_, address), entry) in found.range((table, 0)..=(table, u16::MAX)) {
        let last = all
            .last_mut()
            .filter(|run| run.last.checked_add(1) == Some(*address));
        let goes_on = match (last, entry) {
            (Some(run), entry) => match (&mut run.of, entry) {
                (RunOf::Values(values), EntryClass::Value(value)) => {
                    values.push(*value);
                    run.last = *address;
                    true
                }
                (RunOf::Refused(code), EntryClass::Refused(other)) if code == other => {
                    run.last = *address;
                    true
                }
                (RunOf::Silent, EntryClass::Silent) => {
                    run.last = *address;
                    true
                }
                _ => false,
            },
            (None, _) => false,
        };
        if !goes_on {
            all.push(Run {
                first: *address,
                last: *address,
                of: match entry {
                    EntryClass::Value(value) => RunOf::Values(vec![*value]),
                    EntryClass::Refused(code) => RunOf::Refused(*code),
                    EntryClass::Silent => RunOf::Silent,
                },
            });
        }
    }
    all
}

/// Returns which zeros of a table show nothing, if it refuses no entry and there are many.
#[must_use]
pub fn zeros(runs: &[Run]) -> Option<Zeros> {
    let [
        Run {
            first,
            last,
            of: RunOf::Values(values),
        },
    ] = runs
    else {
        return None;
    };
    match values.iter().rposition(|value| *value != 0) {
        None if values.len() >= usize::from(MOST_ZEROS) => Some(Zeros::Everywhere),
        None => None,
        Some(at) => {
            let from = first.saturating_add(u16::try_from(at + 1).unwrap_or(u16::MAX));
            (*last >= from && last - from >= MOST_ZEROS).then_some(Zeros::From(from))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(entries: &[(u16, EntryClass)]) -> BTreeMap<(Table, u16), EntryClass> {
        let entries = entries.iter();
        entries
            .map(|(a, e)| ((Table::HoldingRegister, *a), *e))
            .collect()
    }

    #[test]
    fn entries_of_one_kind_are_one_run() {
        let found = found(&[
            (0, EntryClass::Value(7)),
            (1, EntryClass::Value(8)),
            (2, EntryClass::Refused(2)),
            (3, EntryClass::Refused(2)),
            (4, EntryClass::Refused(4)),
            (5, EntryClass::Silent),
            (9, EntryClass::Silent),
        ]);
        let run = |first, last, of| Run { first, last, of };
        let expected = [
            run(0, 1, RunOf::Values(vec![7, 8])),
            run(2, 3, RunOf::Refused(2)),
            run(4, 4, RunOf::Refused(4)),
            run(5, 5, RunOf::Silent),
            run(9, 9, RunOf::Silent),
        ];
        assert_eq!(runs(&found, Table::HoldingRegister), expected);
        assert_eq!(runs(&found, Table::Coil), []);
    }

    #[test]
    fn many_zeros_of_a_table_without_refusals_show_nothing() {
        let of = |values: &[u16]| {
            let entries: Vec<_> = (10..)
                .zip(values.iter().map(|v| EntryClass::Value(*v)))
                .collect();
            zeros(&runs(&found(&entries), Table::HoldingRegister))
        };
        assert_eq!(of(&[0; 64]), Some(Zeros::Everywhere));
        assert_eq!(of(&[0; 63]), None);
        let mut values = [0; 100];
        values[3] = 5;
        assert_eq!(of(&values), Some(Zeros::From(14)));
        values[60] = 5;
        assert_eq!(of(&values), None);
        let refused = found(&[(0, EntryClass::Refused(2)), (1, EntryClass::Value(0))]);
        assert_eq!(zeros(&runs(&refused, Table::HoldingRegister)), None);
    }
}
