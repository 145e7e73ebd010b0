//! The shells of the simulated field: a model gets a terminal, a socket or a pipe, and
//! the time of day.
//!
//! A [`LineRig`] holds one [`Line`] and connects it to a pseudo terminal, under a link
//! that looks like any `/dev/ttyUSB0`, or to a pipe for virtual time. A [`RackRig`]
//! serves a [`Rack`] on a TCP port. Both lend the model through a [`Handle`], to kill,
//! revive and inspect it while it runs.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use rustix::pty::OpenptFlags;
use rustix::termios::{OptionalActions, ioctl_tiocnxcl, tcgetattr, tcsetattr};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, Interest};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use self::exact::Pulled;
use super::bus::{ConnId, Line, LineOutput, Rack, RackOutput};
use crate::base::{Now, Wake};
use crate::io::system::clock::Clock;

/// A model in use, shared between its shell and its users.
#[derive(Debug)]
pub struct Handle<M> {
    model: Arc<Mutex<M>>,
    touched: watch::Sender<()>,
    clock: Clock,
}

impl<M> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Handle {
            model: Arc::clone(&self.model),
            touched: self.touched.clone(),
            clock: self.clock,
        }
    }
}

impl<M> Handle<M> {
    fn new(model: M, clock: Clock) -> Self {
        Handle {
            model: Arc::new(Mutex::new(model)),
            touched: watch::Sender::new(()),
            clock,
        }
    }

    /// Calls `play` on the model, now; the shell of the model looks again afterwards.
    pub fn with<R>(&self, play: impl FnOnce(&mut M, Now) -> R) -> R {
        let result = self.step(play);
        self.touched.send_replace(());
        result
    }

    fn step<R>(&self, play: impl FnOnce(&mut M, Now) -> R) -> R {
        let mut model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        play(&mut model, self.clock.now())
    }

    async fn alarm(&self, wake: Option<Wake>) {
        match wake {
            Some(wake) => self.clock.sleep_until(wake.at).await,
            None => std::future::pending().await,
        }
    }
}

/// A line and the end it is plugged into.
///
/// Dropping the rig unplugs it.
#[derive(Debug)]
pub struct LineRig {
    handle: Handle<Line>,
    plugged: Option<Plugged>,
}

#[derive(Debug)]
struct Plugged {
    driver: JoinHandle<()>,
    /// The signal to a driver with a thread of its own.
    pulled: Option<Pulled>,
    link: Option<PathBuf>,
}

impl LineRig {
    /// Holds a line that is not plugged in yet.
    #[must_use]
    pub fn new(line: Line, clock: Clock) -> Self {
        LineRig {
            handle: Handle::new(line, clock),
            plugged: None,
        }
    }

    /// Returns a handle to the model while it runs.
    #[must_use]
    pub fn handle(&self) -> Handle<Line> {
        self.handle.clone()
    }

    /// Looks at the line or changes it.
    pub fn with<R>(&self, play: impl FnOnce(&mut Line, Now) -> R) -> R {
        self.handle.with(play)
    }

    /// Plugs the line into a pipe and returns the end of the master. Pipes work with
    /// virtual time; terminals do not.
    pub fn plug_pipe(&mut self) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        self.plug(WireEnd::Pipe(ours), None);
        theirs
    }

    /// Plugs the line into a new pseudo terminal and points `link` at it. A
    /// link left over from before is replaced.
    ///
    /// # Errors
    /// No terminal is to be had, or `link` cannot be written or is not a link.
    pub fn plug_terminal(&mut self, link: &Path) -> io::Result<()> {
        let terminal = Terminal::new(link)?;
        self.plug(
            WireEnd::Terminal(terminal.listened()?),
            Some(link.to_owned()),
        );
        Ok(())
    }

    /// Does the same for measuring: characters arrive, and requests are seen, to the
    /// microsecond. It takes most of a processor; `wire/exact.rs` says how exact it is.
    ///
    /// # Errors
    /// As of [`LineRig::plug_terminal`].
    pub fn plug_terminal_exactly(&mut self, link: &Path) -> io::Result<()> {
        let terminal = Terminal::new(link)?;
        self.pull_before();
        let pulled = Pulled::default();
        let driver = exact::drive(terminal, self.handle.clone(), pulled.clone());
        self.plugged = Some(Plugged {
            driver: tokio::spawn(driver),
            pulled: Some(pulled),
            link: Some(link.to_owned()),
        });
        Ok(())
    }

    /// Pulls the plug, as out of a USB socket: the terminal of the other side hangs up
    /// (its pipe ends) and the link is gone.
    pub async fn unplug(&mut self) {
        if let Some(plugged) = self.plugged.take() {
            plugged.pull();
            // The end is closed when its driver is gone, not before.
            let Plugged { driver, .. } = plugged;
            let _ = driver.await;
        }
    }

    fn plug(&mut self, end: WireEnd, link: Option<PathBuf>) {
        self.pull_before();
        let driver = tokio::spawn(drive(end, self.handle.clone()));
        self.plugged = Some(Plugged {
            driver,
            pulled: None,
            link,
        });
    }

    /// Unplugs the end that is plugged in; the link has already been replaced.
    fn pull_before(&mut self) {
        if let Some(mut before) = self.plugged.take() {
            before.link = None;
            before.pull();
        }
    }
}

impl Drop for LineRig {
    fn drop(&mut self) {
        if let Some(plugged) = self.plugged.take() {
            plugged.pull();
        }
    }
}

impl Plugged {
    fn pull(&self) {
        match &self.pulled {
            Some(pulled) => pulled.pull(),
            None => self.driver.abort(),
        }
        if let Some(link) = &self.link {
            let _ = std::fs::remove_file(link);
        }
    }
}

/// The end into which a line is plugged.
enum WireEnd {
    Pipe(DuplexStream),
    Terminal(Terminal<AsyncFd<File>>),
}

impl WireEnd {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            WireEnd::Pipe(pipe) => pipe.read(buffer).await,
            WireEnd::Terminal(t) => {
                let mut read = |mut file: &File| file.read(buffer);
                let read = t.master.async_io(Interest::READABLE, |file| read(file));
                let n = read.await?;
                // On a real line the kernel forgets its exclusive user as soon as that
                // process is gone, killed or not; here the rig holds the terminal open.
                let _ = ioctl_tiocnxcl(&t.slave);
                Ok(n)
            }
        }
    }

    /// Hands over characters at once. Characters for which there is no room are lost,
    /// as in a UART that no process reads.
    fn give(&mut self, bytes: &[u8]) {
        match self {
            WireEnd::Pipe(pipe) => {
                let _ = pipe.write_all(bytes).now_or_never();
            }
            WireEnd::Terminal(t) => {
                let mut file: &File = t.master.get_ref();
                let _ = file.write(bytes);
            }
        }
    }
}

/// The master side of a pseudo terminal, and its other side held open, so that the
/// terminal does not hang up whenever no other process has it open.
struct Terminal<M> {
    master: M,
    slave: OwnedFd,
}

impl Terminal<File> {
    /// Opens a new terminal; `link` points at it.
    fn new(link: &Path) -> io::Result<Self> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags)?;
        rustix::pty::grantpt(&master)?;
        rustix::pty::unlockpt(&master)?;
        let node = rustix::pty::ptsname(&master, Vec::new())?;
        let node = PathBuf::from(node.to_string_lossy().into_owned());
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
        // No echo, no line editing, until the process that opens it sets otherwise.
        let mut settings = tcgetattr(&slave)?;
        settings.make_raw();
        tcsetattr(&slave, OptionalActions::Now, &settings)?;
        rustix::io::ioctl_fionbio(&master, true)?;
        match std::fs::symlink_metadata(link) {
            Ok(there) if there.is_symlink() => std::fs::remove_file(link)?,
            Ok(_) => return Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => {}
        }
        std::os::unix::fs::symlink(node, link)?;
        Ok(Terminal {
            master: File::from(master),
            slave,
        })
    }

    /// Registers the terminal with the runtime.
    fn listened(self) -> io::Result<Terminal<AsyncFd<File>>> {
        #[expect(
            deprecated,
            reason = "its successor is unsafe; a File keeps its descriptor for life, which is all that asks"
        )]
        let master = AsyncFd::new(self.master)?;
        Ok(Terminal {
            master,
            slave: self.slave,
        })
    }
}

/// Carries characters between a line and its end.
async fn drive(mut end: WireEnd, handle: Handle<Line>) {
    let mut touched = handle.touched.subscribe();
    let mut buffer = [0_u8; 1024];
    loop {
        let wake = handle.step(|line, now| {
            while let Some(LineOutput::Bytes(bytes)) = line.poll(now) {
                end.give(&bytes);
            }
            line.wake_at()
        });
        tokio::select! {
            biased;
            read = end.read(&mut buffer) => match read {
                Ok(0) | Err(_) => return,
                Ok(n) => handle.step(|line, now| line.on_bytes(now, &buffer[..n])),
            },
            _ = touched.changed() => {}
            () = handle.alarm(wake) => {}
        }
    }
}

/// A rack on a TCP port. Dropping it closes the port and all connections.
#[derive(Debug)]
pub struct RackRig {
    address: SocketAddr,
    handle: Handle<Rack>,
    listener: JoinHandle<()>,
}

impl RackRig {
    /// Serves the rack on `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// The address is taken, or not ours.
    pub async fn start(rack: Rack, address: SocketAddr, clock: Clock) -> io::Result<RackRig> {
        let socket = TcpListener::bind(address).await?;
        let handle = Handle::new(rack, clock);
        Ok(RackRig {
            address: socket.local_addr()?,
            handle: handle.clone(),
            listener: tokio::spawn(listen(socket, handle)),
        })
    }

    /// Returns where the rack listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns a handle to the model while it runs.
    #[must_use]
    pub fn handle(&self) -> Handle<Rack> {
        self.handle.clone()
    }

    /// Looks at the rack or changes it.
    pub fn with<R>(&self, play: impl FnOnce(&mut Rack, Now) -> R) -> R {
        self.handle.with(play)
    }
}

impl Drop for RackRig {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// Accepts connections until the task is ended, which ends the connections too.
async fn listen(socket: TcpListener, handle: Handle<Rack>) {
    let mut connections = JoinSet::new();
    for id in (0..).map(ConnId) {
        let stream = loop {
            tokio::select! {
                biased;
                Some(_) = connections.join_next() => {}
                accepted = socket.accept() => match accepted {
                    Ok((stream, _)) => break stream,
                    // Out of descriptors, or the peer was gone already.
                    Err(_) => tokio::task::yield_now().await,
                },
            }
        };
        if handle.step(|rack, _| rack.on_connected(id)) {
            connections.spawn(attend(stream, id, handle.clone()));
        }
    }
}

/// Carries bytes between one connection and the rack.
async fn attend(mut stream: TcpStream, id: ConnId, handle: Handle<Rack>) {
    let _ = stream.set_nodelay(true);
    let mut touched = handle.touched.subscribe();
    let mut buffer = [0_u8; 4096];
    'open: loop {
        while let Some(output) = handle.step(|rack, now| rack.poll(now, id)) {
            match output {
                RackOutput::Bytes(bytes) => {
                    if stream.write_all(&bytes).await.is_err() {
                        break 'open;
                    }
                }
                RackOutput::Close => break 'open,
            }
        }
        let wake = handle.step(|rack, _| rack.wake_at(id));
        tokio::select! {
            biased;
            read = stream.read(&mut buffer) => match read {
                Ok(0) | Err(_) => break 'open,
                Ok(n) => handle.step(|rack, now| rack.on_bytes(now, id, &buffer[..n])),
            },
            _ = touched.changed() => {}
            () = handle.alarm(wake) => {}
        }
    }
    handle.step(|rack, _| rack.on_closed(id));
}

mod exact;
#[cfg(test)]
mod tests;
