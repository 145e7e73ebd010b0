//! Where a tool's output goes: standard output, or a file.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// One of the two.
#[derive(Debug)]
pub enum Sink {
    /// Standard output.
    Out,
    /// A file that was made anew.
    File(File),
}

impl Sink {
    /// The file of this name, emptied if there is one; `-` is standard output.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn open(path: &Path) -> io::Result<Self> {
        match path.to_str() {
            Some("-") => Ok(Sink::Out),
            _ => File::create(path).map(Sink::File),
        }
    }

    /// Whether it is standard output.
    #[must_use]
    pub const fn is_out(&self) -> bool {
        matches!(self, Sink::Out)
    }

    /// Writes all of it, at once: whoever watches sees it now.
    ///
    /// # Errors
    /// The system's; above all that nobody reads any more.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
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
        assert!(Sink::open(Path::new("-")).unwrap().is_out());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let mut sink = Sink::open(&path).unwrap();
        sink.write(b"one ").unwrap();
        sink.write(b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"one two");
        assert!(Sink::open(&path.join("below a file")).is_err());
    }
}
