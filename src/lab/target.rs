//! A figure of a trial, and the bound that it must keep.

/// A figure and its bound.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// What is measured, in words.
    pub(crate) what: &'static str,
    /// Its name in the JSON object.
    pub(crate) key: &'static str,
    /// The figure.
    pub(crate) measured: f64,
    /// How it stands to the bound.
    pub(crate) bound: Bound,
}

/// A bound.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bound {
    /// The figure is this or more.
    AtLeast(f64),
    /// The figure is this or less.
    AtMost(f64),
    /// The figure is this.
    Exactly(f64),
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Bound::AtLeast(bound) => write!(f, "at least {bound}"),
            Bound::AtMost(bound) => write!(f, "at most {bound}"),
            Bound::Exactly(bound) => write!(f, "{bound}"),
        }
    }
}

impl Target {
    /// A count that must be 0.
    pub(crate) const fn none(what: &'static str, key: &'static str, count: u64) -> Target {
        Target {
            what,
            key,
            measured: count as f64,
            bound: Bound::AtMost(0.0),
        }
    }

    /// A figure that may not have been measured; without it there is no target.
    pub(crate) fn measured(
        what: &'static str,
        key: &'static str,
        measured: Option<f64>,
        bound: Bound,
    ) -> Option<Target> {
        let measured = measured?;
        Some(Target {
            what,
            key,
            measured,
            bound,
        })
    }

    /// Returns what is wrong if the bound is missed.
    pub(crate) fn problem(&self) -> Option<String> {
        let Target { measured, .. } = *self;
        let is_met = match self.bound {
            Bound::AtLeast(bound) => measured >= bound,
            Bound::AtMost(bound) => measured <= bound,
            Bound::Exactly(bound) => measured.total_cmp(&bound).is_eq(),
        };
        (!is_met).then(|| format!("{} is {measured}, wanted {}", self.key, self.bound))
    }

    /// Returns the row of a table for people.
    pub(crate) fn row(&self) -> String {
        format!("| {} | {} | {} |\n", self.what, self.measured, self.bound)
    }
}

/// Rounds a figure to thousandths.
pub(crate) fn rounded(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}
