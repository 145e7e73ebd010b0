//! File systems of the lab's own, to be cut off, filled up and made read-only: an ext4 in a
//! file, and a tmpfs. They need root.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The size of the file with the ext4, and what mkfs makes of it.
const IMAGE: u64 = 48 << 20;
/// How often a copy of an image is tried until the image stands still.
const COPIES: usize = 20;

/// A mounted file system; unmounted when dropped.
#[derive(Debug)]
pub(super) struct Volume {
    at: PathBuf,
    /// The file that holds it, and how many files there were.
    image: Option<(PathBuf, u32)>,
}

impl Volume {
    /// Makes an ext4 in a file beside `at`, and mounts it there. What is not synced stays in
    /// memory for long: its journal is written every five minutes.
    pub(super) fn ext4(at: &Path) -> io::Result<Volume> {
        fs::create_dir_all(at)?;
        let image = image(at, 0);
        fs::File::create(&image)?.set_len(IMAGE)?;
        let words = ["-q", "-F", "-m", "0", "-J", "size=4"].map(OsStr::new);
        run("mkfs.ext4", words.into_iter().chain([image.as_os_str()]))?;
        mount_image(&image, at)?;
        Ok(Volume {
            at: at.to_owned(),
            image: Some((image, 0)),
        })
    }

    /// Mounts a tmpfs of this size.
    pub(super) fn tmpfs(at: &Path, bytes: u64) -> io::Result<Volume> {
        fs::create_dir_all(at)?;
        let size = format!("size={bytes},mode=0700");
        let words = ["-t", "tmpfs", "-o", &size, "tmpfs"].map(OsStr::new);
        run("mount", words.into_iter().chain([at.as_os_str()]))?;
        Ok(Volume {
            at: at.to_owned(),
            image: None,
        })
    }

    /// Goes on with what a power cut at this moment would leave: a copy of the device, in
    /// which nothing is that waits in memory. The copy is taken anew until the image did not
    /// change meanwhile, so that it is of one moment. No process may use the file system.
    pub(super) fn cut_power(&mut self) -> io::Result<()> {
        let Some((before, count)) = self.image.take() else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let after = image(&self.at, count + 1);
        let copied = copy_of_one_moment(&before, &after);
        self.unmount();
        self.image = Some((after.clone(), count + 1));
        copied?;
        mount_image(&after, &self.at)?;
        fs::remove_file(before)
    }

    /// Makes the file system read-only, or writable again; in the sight of `process` too, if
    /// it has a sight of its own.
    pub(super) fn set_writable(&self, on: bool, process: Option<u32>) -> io::Result<()> {
        let how = if on { "remount,rw" } else { "remount,ro" };
        let words = ["-o", how].map(OsStr::new).into_iter();
        run("mount", words.clone().chain([self.at.as_os_str()]))?;
        let Some(process) = process.map(|p| p.to_string()) else {
            return Ok(());
        };
        let inside = ["-t", &process, "-m", "mount"].map(OsStr::new).into_iter();
        run("nsenter", inside.chain(words).chain([self.at.as_os_str()]))
    }

    fn unmount(&self) {
        let _ = run("umount", ["-l".as_ref(), self.at.as_os_str()]);
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        self.unmount();
        if let Some((image, _)) = &self.image {
            let _ = fs::remove_file(image);
        }
    }
}

fn image(at: &Path, count: u32) -> PathBuf {
    at.with_extension(format!("image{count}"))
}

fn mount_image(image: &Path, at: &Path) -> io::Result<()> {
    let words = ["-t", "ext4", "-o", "loop,commit=300"].map(OsStr::new);
    let ends = [image.as_os_str(), at.as_os_str()];
    run("mount", words.into_iter().chain(ends))
}

/// Copies a file; tries again until the file is the same after the copy as it is in the copy.
fn copy_of_one_moment(from: &Path, to: &Path) -> io::Result<()> {
    for _ in 0..COPIES {
        let copy = fs::read(from)?;
        if fs::read(from)? == copy {
            return fs::write(to, copy);
        }
    }
    Err(io::Error::other("the image does not stand still"))
}

/// Runs a program of the system to its end.
pub(super) fn run<'a>(program: &str, words: impl IntoIterator<Item = &'a OsStr>) -> io::Result<()> {
    let mut command = Command::new(program);
    // Where the programs of an administrator are, which a user's path may not have.
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    command.args(words).env("PATH", path);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let done = command.stderr(Stdio::piped()).output()?;
    if done.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&done.stderr);
    Err(io::Error::other(format!("{program}: {}", words.trim())))
}
