//! The layout of the picture.

use std::time::Duration;

use crate::base::Mono;

/// The width of the picture, and where time begins and ends on it.
pub(super) const WIDTH: f64 = 1400.0;
pub(super) const LEFT: f64 = 210.0;
pub(super) const RIGHT: f64 = 24.0;

/// Heights: of a lane, of the margin that a block leaves free in it, of a row's axis.
pub(super) const LANE: f64 = 16.0;
pub(super) const MARGIN: f64 = 2.5;
pub(super) const AXIS: f64 = 22.0;
const BETWEEN: f64 = 12.0;
/// The height of the strip that stands for rows in which nothing happened.
pub(super) const STRIP: f64 = 26.0;

/// The most rows. A row is as short as it can be with no more rows than this.
const ROWS: u32 = 24;
const STEPS: [u64; 11] = [
    100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 30_000, 60_000, 120_000,
];

/// The layout of time in rows. Rows in which nothing happened are folded into one strip.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    begin: Mono,
    /// How long a row is.
    pub step: Duration,
    pub rows: u32,
    /// The top of each row, and the end of the last.
    tops: Vec<f64>,
    /// Whether something happened in each row.
    busy: Vec<bool>,
}

/// A part of a span that lies in one row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Part {
    pub row: u32,
    pub x: f64,
    pub width: f64,
}

impl Layout {
    /// Creates the layout for this span of time and so many lanes, from `top` on. In the spans
    /// of `busy` something happens.
    pub(super) fn new(
        begin: Mono,
        length: Duration,
        lanes: usize,
        top: f64,
        busy: impl IntoIterator<Item = (Mono, Mono)>,
    ) -> Self {
        let needs = |step: Duration| length.as_nanos().div_ceil(step.as_nanos().max(1)).max(1);
        let mut steps = STEPS.into_iter().map(Duration::from_millis);
        let step = steps
            .find(|step| needs(*step) <= u128::from(ROWS))
            .unwrap_or_else(|| (length / ROWS).max(Duration::from_secs(120)));
        let rows = u32::try_from(needs(step)).unwrap_or(ROWS).min(ROWS + 1);
        let mut layout = Layout {
            begin,
            step,
            rows,
            tops: Vec::new(),
            busy: vec![false; rows as usize],
        };
        for (begin, end) in busy {
            let rows = layout.parts(begin, end).map(|part| part.row as usize);
            let rows: Vec<usize> = rows.collect();
            for row in rows {
                if let Some(busy) = layout.busy.get_mut(row) {
                    *busy = true;
                }
            }
        }
        let mut top = top;
        let mut was_busy = true;
        for is_busy in &layout.busy {
            layout.tops.push(top);
            top += match (is_busy, was_busy) {
                (true, _) => AXIS + lanes as f64 * LANE + BETWEEN,
                (false, true) => STRIP,
                (false, false) => 0.0,
            };
            was_busy = *is_busy;
        }
        layout.tops.push(top);
        layout
    }

    /// Returns whether something happened in this row; otherwise it is folded.
    pub(super) fn is_busy(&self, row: u32) -> bool {
        self.busy.get(row as usize).copied().unwrap_or(false)
    }

    /// Returns the strips: the first row and the row after the last of each.
    pub(super) fn strips(&self) -> Vec<(u32, u32)> {
        let mut strips: Vec<(u32, u32)> = Vec::new();
        for row in (0..self.rows).filter(|row| !self.is_busy(*row)) {
            match strips.last_mut() {
                Some((_, end)) if *end == row => *end += 1,
                _ => strips.push((row, row + 1)),
            }
        }
        strips
    }

    /// Returns the top of this lane of this row.
    pub(super) fn y(&self, row: u32, lane: usize) -> f64 {
        self.row(row) + AXIS + lane as f64 * LANE
    }

    /// Returns the top of this row; for the row after the last, the end.
    pub(super) fn row(&self, row: u32) -> f64 {
        let top = self.tops.get(row as usize).or(self.tops.last());
        top.copied().unwrap_or_default()
    }

    /// Converts a share of a row's length to a position on the layout.
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
            let x = Layout::x(share(from));
            Part {
                row: u32::try_from(row).unwrap_or(u32::MAX),
                x,
                width: Layout::x(share(to)) - x,
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
    fn rows_are_as_short_as_the_layout_allows() {
        for (length_ms, step_ms, rows) in [
            (0, 100, 1),
            (90, 100, 1),
            (2_400, 100, 24),
            (2_401, 200, 13),
            (10_000, 500, 20),
            (60_000, 5_000, 12),
            (600_000, 30_000, 20),
        ] {
            let layout = Layout::new(BEGIN, Duration::from_millis(length_ms), 2, 0.0, []);
            assert_eq!(layout.step.as_millis(), step_ms, "{length_ms}");
            assert_eq!(layout.rows, rows, "{length_ms}");
        }
    }

    #[test]
    fn what_crosses_the_end_of_a_row_goes_on_in_the_next() {
        let layout = Layout::new(BEGIN, Duration::from_millis(300), 2, 0.0, []);
        let parts: Vec<_> = layout.parts(at(50_000), at(150_000)).collect();
        let whole = WIDTH - LEFT - RIGHT;
        let part = |row, from: f64, share: f64| Part {
            row,
            x: LEFT + from * whole,
            width: share * whole,
        };
        assert_eq!(parts, [part(0, 0.5, 0.5), part(1, 0.0, 0.5)]);
        // A span that began before the trace begins with the layout.
        let parts: Vec<_> = layout.parts(Mono::START, at(100_000)).collect();
        assert_eq!(parts, [part(0, 0.0, 1.0)]);
    }

    #[test]
    fn rows_in_which_nothing_happens_are_one_strip() {
        // Five rows of 100 ms; something happens in the first and in the last.
        let busy = [(at(10_000), at(60_000)), (at(450_000), at(480_000))];
        let layout = Layout::new(BEGIN, Duration::from_millis(500), 2, 0.0, busy);
        assert_eq!(layout.strips(), [(1, 4)]);
        let high = AXIS + 2.0 * LANE + BETWEEN;
        let tops: Vec<f64> = (0..=5).map(|row| layout.row(row)).collect();
        let strip = high + STRIP;
        assert_eq!(tops, [0.0, high, strip, strip, strip, strip + high]);
        let nothing = Layout::new(BEGIN, Duration::from_millis(500), 2, 0.0, []);
        assert_eq!((nothing.strips(), nothing.row(5)), (vec![(0, 5)], STRIP));
    }

    proptest! {
        #[test]
        fn parts_add_up_and_stay_in_the_layout(
            length in 1u64..100_000_000,
            a in 0.0f64..1.0,
            b in 0.0f64..1.0,
        ) {
            let layout = Layout::new(BEGIN, Duration::from_micros(length), 2, 0.0, []);
            let position = |share: f64| (share * length as f64) as u64;
            let (from, to) = (position(a.min(b)), position(a.max(b)));
            let mut sum = 0.0;
            for part in layout.parts(at(from), at(to)) {
                prop_assert!(part.row < layout.rows);
                prop_assert!(part.x >= LEFT && part.x + part.width <= WIDTH - RIGHT + 1e-6);
                sum += part.width;
            }
            let step = layout.step.as_micros() as f64;
            let wanted = (to - from) as f64 / step * (WIDTH - LEFT - RIGHT);
            prop_assert!((sum - wanted).abs() < 1e-3, "{} instead of {}", sum, wanted);
        }
    }
}
