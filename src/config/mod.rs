//! Floor 2: from text to [`crate::spec::Spec`], with kindness.
//!
//! Decides what a configuration means and whether it is right, and says
//! everything that is wrong with it at once, in words that help
//! ([`Problem`]). Knows no file system: it is given bytes, names what else it
//! needs ([`Want`]), and is given that.
//!
//! Contract: [`Draft::new`] → read [`Draft::wants`] → [`Draft::outline`] → read
//! [`Outline::wants`] → [`Outline::compile`]. The same bytes give the same
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
//! Inside: `amount problem near tree` ← `section word range` ← `source yaml layers environment` ←
//! `secret table limits adapter codec endpoint` ← `port` ← `measure` ← `point` ← `meter room sum` ← `raw` ←
//! `cloud profile remote` ← `carrier roster unit` ← `alike device` ←
//! `outline` ← `draft`.

mod adapter;
mod alike;
mod amount;
mod carrier;
mod cloud;
mod codec;
mod connection;
mod control;
mod device;
mod draft;
mod endpoint;
mod environment;
mod foreign;
mod given;
mod layers;
mod limits;
mod measure;
mod meter;
mod moment;
mod near;
mod outline;
mod own;
mod part;
mod point;
mod port;
mod problem;
mod profile;
mod range;
mod raw;
mod remote;
mod room;
mod roster;
mod secret;
mod section;
mod sign;
mod source;
mod sum;
mod table;
mod times;
mod tree;
mod unit;
mod word;
mod yaml;

pub use amount::{LARGEST_BUNDLE, LARGEST_CONFIG, LARGEST_SECRET, MOST_FILES};
pub use draft::Draft;
pub use environment::{PREFIX, VARIABLES};
pub use outline::{Compiled, Outline};
pub use problem::{Place, Problem, Report, Severity};
pub use remote::{DEVICE_HINT, DEVICE_WANTED};
pub use source::{Answers, Source, Want};
