//! Where the results of a trial go: a page for people, and one JSON object for scripts.

use std::io;
use std::path::Path;

use alink_gateway::base::text::counted;
use alink_gateway::io::terminal::screen;
use serde::Serialize;

/// Writes the page to the file, if one is named, and prints the page, or with `json` the figures.
///
/// # Errors
/// The file cannot be written.
pub(crate) fn publish(
    page: &str,
    figures: &impl Serialize,
    json: bool,
    file: Option<&Path>,
) -> io::Result<()> {
    if let Some(path) = file {
        if let Some(above) = path.parent() {
            std::fs::create_dir_all(above)?;
        }
        std::fs::write(path, page)?;
    }
    let figures = json.then(|| serde_json::to_string(figures)).transpose()?;
    // The reader may have closed the pipe early.
    let _ = screen::write(&format!("{}\n", figures.as_deref().unwrap_or(page)));
    Ok(())
}

/// Returns the last sentence of a page: whether the bounds are kept, or what should not be.
pub(crate) fn verdict(problems: &[String]) -> String {
    match problems.len() {
        0 => "Every target is met.".to_owned(),
        n => format!("{}: {}.", counted(n, "problem"), problems.join("; ")),
    }
}
