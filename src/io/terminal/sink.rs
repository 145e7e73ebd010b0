//! Where a tool's output goes: standard output, or a file.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Standard output or a file.
#[derive(Debug)]
pub enum Sink {
    /// Standard output.
    Out,
    /// A file that is made anew as soon as there is something to write, and not before: an
    /// existing file of this name stays if there is nothing.
    Named(PathBuf),
    /// A file that was made anew.
    File(File),
}

impl Sink {
    /// Makes a sink for the file of this name, in place of an existing one; `-` is standard
    /// output.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        match path.to_str() {
            Some("-") => Sink::Out,
            _ => Sink::Named(path.to_owned()),
        }
    }

    /// Returns whether it is standard output.
    #[must_use]
    pub const fn is_out(&self) -> bool {
        matches!(self, Sink::Out)
    }

    /// Writes all bytes, at once, so that a reader sees them now.
    ///
    /// # Errors
    /// The system's error, above all that there is no reader any more; with the file's name if
    /// the file cannot be made.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Sink::Named(path) = self {
            if bytes.is_empty() {
                return Ok(());
            }
            let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
            *self = Sink::File(File::create(&*path).map_err(named)?);
        }
        match self {
            Sink::Named(_) => Ok(()),
            Sink::Out => {
                let mut out = io::stdout().lock();
                out.write_all(bytes)?;
                out.flush()
            }
            Sink::File(file) => file.write_all(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dash_is_standard_output_and_anything_else_a_file() {
        assert!(Sink::at(Path::new("-")).is_out());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let mut sink = Sink::at(&path);
        sink.write(b"one ").unwrap();
        sink.write(b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one two");
        let below = Sink::at(&path.join("below a file")).write(b"three");
        assert!(below.unwrap_err().to_string().contains("below a file"));
    }

    #[test]
    fn what_is_there_stays_until_there_is_something_to_write() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, "of yesterday").unwrap();
        let mut sink = Sink::at(&path);
        sink.write(b"").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"of yesterday");
        sink.write(b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
    }
}
