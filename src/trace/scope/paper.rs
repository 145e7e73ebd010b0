//! The layout of the picture.

use std::time::Duration;

use crate::base::Mono;

/// The paper's width, and where time begins and ends on it.
pub(super) const WIDTH: f64 = 1400.0;
pub(super) const LEFT: f64 = 132.0;
pub(super) const RIGHT: f64 = 24.0;

/// Heights: of a lane, of the margin that a block leaves free in it, of a row's axis.
pub(super) const LANE: f64 = 16.0;
pub(super) const MARGIN: f64 = 2.5;
pub(super) const AXIS: f64 = 22.0;
const BETWEEN: f64 = 12.0;

/// The most rows. A row is as short as it can be with no more rows than this.
const ROWS: u32 = 24;
const STEPS: [u64; 11] = [
    100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 60_000, 120_000,
];

/// The layout of time in rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paper {
    begin: Mono,
    /// How long a row is.
    pub step: Duration,
    pub rows: u32,
    lanes: usize,
    top: f64,
}

/// A part of a span that lies in one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Part {
    pub row: u32,
    pub x: f64,
    pub width: f64,
}

impl Paper {
    /// Creates the layout for this span of time and so many lanes, from `top` on.
    pub(super) fn new(begin: Mono, length: Duration, lanes: usize, top: f64) -> Self {
        let needs = |step: Duration| length.as_nanos().div_ceil(step.as_nanos().max(1)).max(1);
        let mut steps = STEPS.into_iter().map(Duration::from_millis);
        let step = steps
            .find(|step| needs(*step) <= u128::from(ROWS))
            .unwrap_or_else(|| (length / ROWS).max(Duration::from_secs(120)));
        let rows = u32::try_from(needs(step)).unwrap_or(ROWS).min(ROWS + 1);
        Paper {
            begin,
            step,
            rows,
            lanes,
            top,
        }
    }

    /// Returns the top of this lane of this row.
    pub(super) fn y(&self, row: u32, lane: usize) -> f64 {
        self.row(row) + AXIS + lane as f64 * LANE
    }

    /// Returns the top of this row; for the row after the last, the end.
    pub(super) fn row(&self, row: u32) -> f64 {
        let height = AXIS + self.lanes as f64 * LANE + BETWEEN;
        self.top + f64::from(row) * height
    }

    /// Converts a share of a row's length to a position on the paper.
    pub(super) fn x(share: f64) -> f64 {
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }

    /// Returns the parts of this span, row by row.
    pub(super) fn parts(&self, begin: Mono, end: Mono) -> impl Iterator<Item = Part> {
        let step = self.step.as_micros().max(1) as u64;
        let from = begin.max(self.begin).since(self.begin).as_micros() as u64;
        let to = (end.since(self.begin).as_micros() as u64).max(from);
        let last = u64::from(self.rows.saturating_sub(1));
        let first_row = (from / step).min(last);
        // A span that ends with a row has no part in the next.
        let last_row = (to.saturating_sub(1) / step).clamp(first_row, last);
        (first_row..=last_row).map(move |row| {
            let here = row * step;
            let share = |at: u64| (at.clamp(here, here + step) - here) as f64 / step as f64;
            let x = Paper::x(share(from));
            Part {
                row: u32::try_from(row).unwrap_or(u32::MAX),
                x,
                width: Paper::x(share(to)) - x,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BEGIN: Mono = Mono::from_micros(5_000_000);

    fn at(micros: u64) -> Mono {
        BEGIN + Duration::from_micros(micros)
    }

    #[test]
    fn rows_are_as_short_as_the_paper_allows() {
        for (length_ms, step_ms, rows) in [
            (0, 100, 1),
            (90, 100, 1),
            (2_400, 100, 24),
            (2_401, 200, 13),
            (10_000, 500, 20),
            (60_000, 5_000, 12),
            (600_000, 30_000, 20),
        ] {
            let paper = Paper::new(BEGIN, Duration::from_millis(length_ms), 2, 0.0);
            assert_eq!(paper.step.as_millis(), step_ms, "{length_ms}");
            assert_eq!(paper.rows, rows, "{length_ms}");
        }
    }

    #[test]
    fn what_crosses_the_end_of_a_row_goes_on_in_the_next() {
        let paper = Paper::new(BEGIN, Duration::from_millis(300), 2, 0.0);
        let parts: Vec<_> = paper.parts(at(50_000), at(150_000)).collect();
        let whole = WIDTH - LEFT - RIGHT;
        let part = |row, from: f64, share: f64| Part {
            row,
            x: LEFT + from * whole,
            width: share * whole,
        };
        assert_eq!(parts, [part(0, 0.5, 0.5), part(1, 0.0, 0.5)]);
        // A span that began before the trace begins with the paper.
        let parts: Vec<_> = paper.parts(Mono::START, at(100_000)).collect();
        assert_eq!(parts, [part(0, 0.0, 1.0)]);
    }

    proptest! {
        #[test]
        fn parts_add_up_and_stay_on_the_paper(
            length in 1u64..100_000_000,
            a in 0.0f64..1.0,
            b in 0.0f64..1.0,
        ) {
            let paper = Paper::new(BEGIN, Duration::from_micros(length), 2, 0.0);
            let position = |share: f64| (share * length as f64) as u64;
            let (from, to) = (position(a.min(b)), position(a.max(b)));
            let mut sum = 0.0;
            for part in paper.parts(at(from), at(to)) {
                prop_assert!(part.row < paper.rows);
                prop_assert!(part.x >= LEFT && part.x + part.width <= WIDTH - RIGHT + 1e-6);
                sum += part.width;
            }
            let step = paper.step.as_micros() as f64;
            let wanted = (to - from) as f64 / step * (WIDTH - LEFT - RIGHT);
            prop_assert!((sum - wanted).abs() < 1e-3, "{} instead of {}", sum, wanted);
        }
    }
}
