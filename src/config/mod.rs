//! Floor 2: from text to [`crate::spec::Spec`].
//!
//! Decides what a configuration means and whether it is right. Reports all problems of a
//! configuration at once, in words that help the operator to mend them ([`Problem`]). Knows no file
//! system: the caller hands in bytes, this room names what else has to be read ([`NeededSource`]),
//! and the caller hands that in too.
//!
//! Contract: [`FirstPass::new`] → read [`FirstPass::wants`], then [`FirstPass::bases`] until there
//! is nothing more → [`FirstPass::outline`] → read [`SecondPass::wants`] → [`SecondPass::compile`].
//! The same bytes give the same answer.
//!
//! Invariants:
//! - No input panics or exhausts the stack.
//! - A [`Compiled`] has no error: names are unique, references resolve, every number is in range;
//!   no floor above checks again.
//! - No secret appears in a [`Problem`] or in `Debug`.
//! - A problem is reported once: its consequences are not reported.
//! - What is kept is bounded, whatever the files contain: values, bytes, problems, and everything
//!   that is numbered (`reader/amount.rs`).
//!
//! Why not serde: it stops at the first problem and knows no lines. Figment merges the layers
//! (`reader/layers.rs`). The nodes of the merged tree still know where they were written
//! (`reader/tree.rs`). Code by hand reads that tree (`reader/section.rs`); a reader that meets a
//! problem notes the problem and continues.
//!
//! Inside: `reader` (bytes to trees of words) ← `points` (one point) ← `protocols` ←
//! `sections` ← `compile`.

mod compile;
pub mod list_items;
mod points;
mod protocols;
mod reader;
mod sections;

pub use compile::first_pass::FirstPass;
pub use compile::second_pass::{Compiled, SecondPass};
pub use reader::amount::{LARGEST_BUNDLE, LARGEST_CONFIG, LARGEST_SECRET, MOST_FILES};
pub use reader::environment::{PREFIX, VARIABLES};
pub(crate) use reader::foreign_words::address_in_a_manual;
pub use reader::problem::{Problem, Report, Severity, SourcePosition};
pub use reader::source::{NeededSource, ReadObstacle, ReadSources, SourceText};
pub(crate) use reader::suggestions::did_you_mean;
pub use reader::yaml::faults;
pub use sections::parameters::LeftOutPoint;
pub use sections::profile::NamedProfile;
pub use sections::remote::{DEVICE_HINT, DEVICE_WANTED};
