//! What is wrong with a configuration, in words an electrician can act on.
//!
//! A [`Problem`] says where (file, line, column, path), what was written, what
//! was wanted, and, where there is something useful to add, a hint. It prints
//! as
//!
//! ```text
//! gateway.yaml:41:16  devices[3].points[2].address
//!   said    70000
//!   wanted  0 to 65535
//!   hint    "4xxxx" notation starts at 40001; write the 0-based address
//! ```
//!
//! The first line begins with a position every editor and terminal can open.
//! Warnings carry `(warning)` at its end. The path counts within its own file,
//! from 0, as the example shows. A secret is never repeated: `said` is `***`.

use std::fmt;
use std::sync::Arc;

/// Whether the gateway can start with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It cannot; nothing is started.
    Error,
    /// It can, but somebody should know.
    Warning,
}

/// One thing that is wrong, or odd, in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// The file as the operator would open it; `environment` for variables.
    pub file: Arc<str>,
    /// 1-based; 0 when the file as a whole is meant.
    pub line: u32,
    /// 1-based, in characters; 0 when the file as a whole is meant.
    pub column: u32,
    /// Where in the structure; empty when the file as a whole is meant.
    pub path: String,
    /// What was written, shortened, or `***` for a secret.
    pub said: String,
    /// What would have been right.
    pub wanted: String,
    /// How to get there.
    pub hint: Option<String>,
}

/// Where something was written, for problems that only show when all of it is
/// put together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
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

/// Everything that was found, errors before warnings, each kind in the order in
/// which the files were read and, within a file, of the lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    problems: Vec<Problem>,
}

impl Report {
    /// Everything in `problems`, put in order; files in the order of `files`.
    #[must_use]
    pub fn new(mut problems: Vec<Problem>, files: &[Arc<str>]) -> Self {
        problems.sort_by_cached_key(|p| {
            let file = files.iter().position(|f| *f == p.file);
            (p.severity, file.unwrap_or(usize::MAX), p.line, p.column)
        });
        problems.dedup();
        Report { problems }
    }

    /// All of it.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// All of it, to keep.
    #[must_use]
    pub fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// How many errors.
    #[must_use]
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// How many warnings.
    #[must_use]
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
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
        Ok(())
    }
}

/// What it should have been: the half of a [`Problem`] that a parser of one
/// value knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// What would have been right.
    pub(crate) wanted: String,
    /// How to get there.
    pub(crate) hint: Option<String>,
}

impl Wrong {
    pub(crate) fn wanted(wanted: impl Into<String>) -> Self {
        Wrong {
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
}
