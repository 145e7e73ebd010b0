//! Text that is compared with a file: what a terminal shows.

use std::fs;
use std::path::Path;

/// Compares a text with the file of this name in `tests/captures/`; with `BLESS=1` it is written,
/// to be read before it is committed.
///
/// # Panics
/// When they differ.
pub(crate) fn compare(name: &str, text: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let file = folder.join(format!("{name}.txt"));
    if std::env::var_os("BLESS").is_some() {
        fs::create_dir_all(&folder).unwrap();
        fs::write(&file, text).unwrap();
    }
    let wanted = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(text, wanted, "{name}: if it is right, BLESS=1 writes it");
}
