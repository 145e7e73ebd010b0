//! The problems of a configuration, in words that an electrician can act on.
//!
//! A [`Problem`] says where the fault is (file, line, column, path), what was written, what was
//! wanted, and, where that is useful, a hint. It prints as
//!
//! ```text
//! gateway.yaml:41:16  devices[3].points[2].address
//!   said    70000
//!   wanted  0 to 65535
//!   hint    "4xxxx" notation starts at 40001; write the 0-based address
//! ```
//!
//! The first line begins with a position that every editor and terminal can open. Warnings carry
//! `(warning)` at the end of that line. The path counts within its own file, from 0, as the
//! example shows. A secret is never repeated: `said` is `***`.

use crate::base::text::counted;
use std::fmt;
use std::sync::Arc;

use super::amount::MOST_TOLD;

/// Whether the gateway can start with a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The gateway cannot start.
    Error,
    /// The gateway can start, but the operator should know of the problem.
    Warning,
}

/// One fault or oddity at one position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// The file as the operator would open it; `environment` for variables.
    pub file: Arc<str>,
    /// The line, 1-based; 0 when the file as a whole is meant.
    pub line: u32,
    /// The column, 1-based, in characters; 0 when the file as a whole is meant.
    pub column: u32,
    /// The path in the structure; empty when the file as a whole is meant.
    pub path: String,
    /// What was written, shortened, or `***` for a secret.
    pub said: String,
    /// What would have been right.
    pub wanted: String,
    /// How to mend the problem.
    pub hint: Option<String>,
}

/// Where a value was written, for problems that only show when the whole configuration is put
/// together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePosition {
    /// As in [`Problem`].
    pub file: Arc<str>,
    /// As in [`Problem`].
    pub line: u32,
    /// As in [`Problem`].
    pub column: u32,
    /// As in [`Problem`].
    pub path: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(f, "  {}", self.path)?;
        }
        if self.severity == Severity::Warning {
            f.write_str("  (warning)")?;
        }
        write!(f, "\n  said    {}", self.said)?;
        write!(f, "\n  wanted  {}", self.wanted)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint    {hint}")?;
        }
        writeln!(f)
    }
}

/// All problems that were found: errors before warnings, each severity in the order in which the
/// files were read and, within a file, by line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    problems: Vec<Problem>,
    /// Errors and warnings that were counted and are not listed.
    more: (usize, usize),
}

impl Report {
    /// Builds a report of `problems`: puts them in order, files in the order of `files`, and
    /// lists the first of each severity.
    #[must_use]
    pub fn new(mut problems: Vec<Problem>, files: &[Arc<str>]) -> Self {
        problems.sort_by_cached_key(|p| {
            let file = files.iter().position(|f| *f == p.file);
            (p.severity, file.unwrap_or(usize::MAX), p.line, p.column)
        });
        problems.dedup();
        let mut seen = (0, 0);
        problems.retain(|p| {
            let n = match p.severity {
                Severity::Error => &mut seen.0,
                Severity::Warning => &mut seen.1,
            };
            *n += 1;
            *n <= MOST_TOLD
        });
        let beyond = |n: usize| n.saturating_sub(MOST_TOLD);
        Report {
            problems,
            more: (beyond(seen.0), beyond(seen.1)),
        }
    }

    /// Adds so many errors and warnings that were only counted.
    #[must_use]
    pub(crate) fn and_more(mut self, errors: usize, warnings: usize) -> Self {
        self.more.0 += errors;
        self.more.1 += warnings;
        self
    }

    /// Adds these problems.
    #[must_use]
    pub fn with(self, others: impl IntoIterator<Item = Problem>) -> Self {
        let (errors, warnings) = self.more;
        let mut problems = self.problems;
        problems.extend(others);
        let files: Vec<_> = problems.iter().map(|p| p.file.clone()).collect();
        Report::new(problems, &files).and_more(errors, warnings)
    }

    /// Takes out the listed problems that are unwanted.
    #[must_use]
    pub fn without(mut self, unwanted: impl Fn(&Problem) -> bool) -> Self {
        self.problems.retain(|problem| !unwanted(problem));
        self
    }

    /// Returns the listed problems: all of them, or the first of too many.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Returns how many errors there are, listed or not.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.count(Severity::Error) + self.more.0
    }

    /// Returns how many warnings there are, listed or not.
    #[must_use]
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning) + self.more.1
    }

    /// Returns `and 5 more errors`, if there are more than are listed.
    #[must_use]
    pub fn rest(&self) -> Option<String> {
        match self.more {
            (0, 0) => None,
            (errors, 0) => Some(format!("and {}", counted(errors, "more error"))),
            (0, warnings) => Some(format!("and {}", counted(warnings, "more warning"))),
            (errors, warnings) => Some(format!(
                "and {}, and {}",
                counted(errors, "more error"),
                counted(warnings, "more warning")
            )),
        }
    }

    fn count(&self, severity: Severity) -> usize {
        self.problems
            .iter()
            .filter(|p| p.severity == severity)
            .count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            problem.fmt(f)?;
        }
        match self.rest() {
            Some(rest) => writeln!(f, "\n{rest}"),
            None => Ok(()),
        }
    }
}

/// What a value should have been: the part of a [`Problem`] that a parser of one value knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expectation {
    /// What would have been right.
    pub(crate) wanted: String,
    /// How to mend the value.
    pub(crate) hint: Option<String>,
}

impl Expectation {
    pub(crate) fn wanted(wanted: impl Into<String>) -> Self {
        Expectation {
            wanted: wanted.into(),
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(severity: Severity, file: &str, line: u32) -> Problem {
        Problem {
            severity,
            file: file.into(),
            line,
            column: 16,
            path: "devices[3].points[2].address".into(),
            said: "70000".into(),
            wanted: "0 to 65535".into(),
            hint: Some("count from 0".into()),
        }
    }

    #[test]
    fn a_problem_prints_in_four_lines() {
        assert_eq!(
            problem(Severity::Error, "gateway.yaml", 41).to_string(),
            "gateway.yaml:41:16  devices[3].points[2].address\n\
             \x20 said    70000\n\
             \x20 wanted  0 to 65535\n\
             \x20 hint    count from 0\n"
        );
    }

    #[test]
    fn errors_come_before_warnings_and_lines_in_order() {
        let report = Report::new(
            vec![
                problem(Severity::Warning, "z.yaml", 1),
                problem(Severity::Error, "b.yaml", 9),
                problem(Severity::Error, "b.yaml", 2),
                problem(Severity::Error, "z.yaml", 30),
            ],
            &["z.yaml".into(), "b.yaml".into()],
        );
        let order: Vec<_> = report.problems().iter().map(|p| p.line).collect();
        assert_eq!(order, [30, 2, 9, 1]);
        assert_eq!((report.errors(), report.warnings()), (3, 1));
    }

    #[test]
    fn the_first_of_each_severity_are_told_and_the_others_counted() {
        let warnings = (0..250).map(|n| problem(Severity::Warning, "a.yaml", n));
        let errors = (0..3).map(|n| problem(Severity::Error, "a.yaml", n));
        let report = Report::new(warnings.chain(errors).collect(), &[]);
        assert_eq!((report.errors(), report.warnings()), (3, 250));
        assert_eq!(report.problems().len(), 103);
        assert_eq!(report.rest().as_deref(), Some("and 150 more warnings"));
        let again = report.with([problem(Severity::Warning, "b.yaml", 1)]);
        assert_eq!((again.problems().len(), again.warnings()), (103, 251));
    }

    #[test]
    fn what_is_only_counted_is_counted_and_told_in_a_line() {
        let one = problem(Severity::Error, "a.yaml", 1);
        let report = Report::new(vec![one], &[]).and_more(899_999, 1);
        let report = report.with([problem(Severity::Warning, "a.yaml", 2)]);
        assert_eq!((report.errors(), report.warnings()), (900_000, 2));
        assert_eq!(report.problems().len(), 2);
        assert!(
            report
                .to_string()
                .ends_with("\n\nand 899,999 more errors, and 1 more warning\n")
        );
    }
}
