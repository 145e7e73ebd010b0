//! Beside the floors (feature `lab`): a plant and a platform to try the gateway on.
//!
//! Simulators are products here. The models, [`bus`] and [`platform`], are pure and
//! seeded: they take what happened and the time, and return what comes back; faults can
//! be ordered from them. The shells, [`wire`] and [`broker`], put them on pseudo
//! terminals, sockets, pipes, or behind a foreign broker.
//!
//! The wing shares no codec with the product: frames, checksums, signatures and topics
//! are written here a second time, so that the models are independent of the code they
//! check. The wing may use `base` and `spec`; never an engine it is meant to test. The
//! exceptions are [`converge`] and [`sweep`], which measure an engine each, [`site`], which is a
//! whole gateway between a plant and a platform, and [`doctor`], which tries the doctor on it.
//!
//! Half of the files beside this one belong to the program `alink-lab` (`main.rs`): the
//! demo, the trial of the store, the training parts, the table on the terminal, the manual
//! pages. Each trial is a file or a folder, and they do not know each other; that is why there are
//! more than a dozen.

pub mod broker;
pub mod bus;
pub mod converge;
pub mod doctor;
pub mod platform;
pub mod site;
pub mod sweep;
pub mod wire;
