//! Floor 2: from text to [`crate::spec::Spec`], with kindness.
//!
//! Decides what a configuration means and whether it is right, and says
//! everything that is wrong with it at once, in words that help
//! ([`Problem`]). Knows no file system: it is given bytes, names what else it
//! needs ([`Want`]), and is given that.
//!
//! Contract: [`FirstPass::new`] → read [`FirstPass::wants`] → [`FirstPass::outline`] → read
//! [`SecondPass::wants`] → [`SecondPass::compile`]. The same bytes give the same
//! answer.
//!
//! Invariants:
//! - No input panics or exhausts the stack.
//! - A [`Compiled`] has no error: names are unique, references resolve, every
//!   number is in range; nothing above checks again.
//! - No secret appears in a [`Problem`] or in `Debug`.
//! - A problem is told once: what follows from it is not told.
//! - What is kept is bounded, whatever is given: values, bytes, problems, and
//!   everything that is numbered (`amount.rs`).
//!
//! Why not serde: it stops at the first problem and knows no lines. Figment
//! merges the layers (`layers.rs`); the merged tree, whose nodes still know
//! where they were written (`tree.rs`), is read by hand (`section.rs`), and a
//! reader that meets a problem notes it and goes on.
//!
//! Inside: `reader` (bytes to trees of words) ← `points` (one point) ← `protocols` ←
//! `sections` ← `compile`.

mod compile;
mod points;
mod protocols;
mod reader;
mod sections;

pub use compile::first_pass::FirstPass;
pub use compile::second_pass::{Compiled, SecondPass};
pub use reader::amount::{LARGEST_BUNDLE, LARGEST_CONFIG, LARGEST_SECRET, MOST_FILES};
pub use reader::environment::{PREFIX, VARIABLES};
pub use reader::problem::{Place, Problem, Report, Severity};
pub use reader::source::{Answers, Source, Want};
pub use sections::remote::{DEVICE_HINT, DEVICE_WANTED};
