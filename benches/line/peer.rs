//! The loop on libmodbus for comparison: `benches/line_peer.c`.

use std::path::PathBuf;
use std::process::Command;

/// Compiles the loop.
///
/// # Errors
/// The reason why the comparison is not possible on this machine.
pub(crate) fn compile() -> Result<PathBuf, String> {
    let library = Command::new("pkg-config")
        .args(["--cflags", "--libs", "libmodbus"])
        .output()
        .map_err(|e| format!("pkg-config: {e}"))?;
    if !library.status.success() {
        return Err("libmodbus is not installed (Debian: libmodbus-dev)".into());
    }
    let library = String::from_utf8_lossy(&library.stdout).into_owned();
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("line_peer");
    let compiled = Command::new("cc")
        .args(["-O2", "-Wall", "-o"])
        .arg(&program)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/line_peer.c"))
        .args(library.split_whitespace())
        .output()
        .map_err(|e| format!("cc: {e}"))?;
    if !compiled.status.success() {
        return Err(format!("cc: {}", String::from_utf8_lossy(&compiled.stderr)));
    }
    Ok(program)
}
