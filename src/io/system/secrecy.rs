//! Keeps this process' memory, and the secrets in it, private.

use rustix::process::{DumpableBehavior, set_dumpable_behavior};

/// Prevents core dumps of this process from now on, whichever program collects them here, and
/// keeps unprivileged processes from reading its memory (`PR_SET_DUMPABLE`, prctl(2)): the
/// memory holds the secrets of all devices. After a crash there is only the panic in the
/// journal.
///
/// # Errors
/// The kernel refuses, which it does to no process.
pub fn keep() -> std::io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}
