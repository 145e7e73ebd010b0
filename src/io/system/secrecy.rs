//! What keeps this process' memory, and the secrets in it, to itself.

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

/// From now on no core of this process is written, whoever collects cores here,
/// and nobody without privileges looks into its memory (`PR_SET_DUMPABLE`,
/// prctl(2)): the secrets of all devices are in it. What a crash leaves is the
/// panic in the journal.
///
/// # Errors
/// The kernel refuses; it does to nobody.
pub fn keep() -> std::io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}
