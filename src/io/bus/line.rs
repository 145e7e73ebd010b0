//! A line to the field: a tty, a TCP connection, or a test's pipe.
//!
//! A line carries bytes in and out. It is never flushed: on a tty a flush blocks the thread
//! until the last bit has left (`tcdrain`); `field/line/silence.rs` computes that instant
//! instead. Drivers are asked to pass received bytes on at once; a driver that cannot is left
//! alone. A read of zero bytes is an error here: after an unplug a tty returns it for ever, at
//! full speed.

mod adapter;
mod kernel;
mod not_opened;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio_serial::{SerialPort, SerialPortBuilderExt, SerialStream};

pub use self::not_opened::serial_ports;
use crate::io::system::headroom;
use crate::spec::{LineSpec, Parity, SerialSpec, StopBits, TcpSpec};

/// How many host names are looked up at a time, for all ports.
static LOOKUPS: Semaphore = Semaphore::const_new(4);

/// How many addresses of a host are tried; more give no new information.
const ADDRESSES: usize = 16;

/// An open line.
#[derive(Debug)]
pub enum OpenLine {
    /// A tty that only this process may use (`TIOCEXCL` and `flock`), on a thread of its own.
    Serial(SerialStream),
    /// A connection to a Modbus TCP endpoint.
    Tcp(TcpStream),
    /// A pipe in memory, for tests on virtual time.
    Pipe(DuplexStream),
}

impl OpenLine {
    /// Waits for bytes and returns how many came, at least one.
    ///
    /// # Errors
    /// The line is lost and must be opened anew, whatever the system's error is.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self {
            OpenLine::Serial(tty) => tty.read(buffer).await?,
            OpenLine::Tcp(tcp) => tcp.read(buffer).await?,
            OpenLine::Pipe(pipe) => pipe.read(buffer).await?,
        };
        match (read, self) {
            (0, OpenLine::Serial(_)) => Err(gone("the device is gone")),
            (0, _) => Err(gone("the other end closed the connection")),
            (n, _) => Ok(n),
        }
    }

    /// Reads what has come already, without asking the runtime, which has not looked at the tty
    /// while its thread slept; `None` if nothing has come.
    ///
    /// # Errors
    /// As of [`OpenLine::read`].
    pub fn try_read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let OpenLine::Serial(tty) = self else {
            return Ok(None);
        };
        match tty.try_read(buffer) {
            Ok(0) => Err(gone("the device is gone")),
            Ok(n) => Ok(Some(n)),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Blocks the thread until bytes have come, or for `limit`, on a line that has a thread of
    /// its own; there this is quicker than the runtime.
    pub fn await_bytes(&self, limit: Duration) {
        if let OpenLine::Serial(tty) = self {
            kernel::await_bytes(tty, limit);
        }
    }

    /// Hands over the bytes that the system takes at once, without asking the runtime; returns
    /// how many these were. Hands over nothing for a line that has no thread of its own.
    ///
    /// # Errors
    /// The line is lost.
    pub fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let OpenLine::Serial(tty) = self else {
            return Ok(0);
        };
        match tty.try_write(bytes) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(0),
            taken => taken,
        }
    }

    /// Returns whether the user of the line may block the thread, because the thread has no other
    /// work.
    #[must_use]
    pub const fn has_own_thread(&self) -> bool {
        matches!(self, OpenLine::Serial(_))
    }

    /// Hands all bytes to the system. They may leave later.
    ///
    /// # Errors
    /// The line is lost.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            OpenLine::Serial(tty) => tty.write_all(bytes).await,
            OpenLine::Tcp(tcp) => tcp.write_all(bytes).await,
            OpenLine::Pipe(pipe) => pipe.write_all(bytes).await,
        }
    }
}

fn gone(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, why)
}

impl OpenLine {
    /// Gives a tty other settings, at once: the caller has made sure that all that was sent has
    /// left. Only settings that differ cost a call. The driver is not asked whether it kept the
    /// settings, to save the time at each request; [`OpenLine::differs`] asks it.
    ///
    /// # Errors
    /// The line is lost, or its driver refuses the settings; then it may have a part of them.
    pub fn change_settings(&mut self, spec: &SerialSpec) -> io::Result<()> {
        let OpenLine::Serial(tty) = self else {
            return Ok(());
        };
        let (data_bits, parity, stop_bits) = words_of(spec);
        if tty.baud_rate()? != spec.baud {
            tty.set_baud_rate(spec.baud)?;
        }
        if tty.data_bits()? != data_bits {
            tty.set_data_bits(data_bits)?;
        }
        if tty.parity()? != parity {
            tty.set_parity(parity)?;
        }
        if tty.stop_bits()? != stop_bits {
            tty.set_stop_bits(stop_bits)?;
        }
        Ok(())
    }
}

impl OpenLine {
    /// Returns which settings the line has instead of these, in words; `None` if it has these.
    #[must_use]
    pub fn differs(&self, spec: &SerialSpec) -> Option<String> {
        let OpenLine::Serial(tty) = self else {
            return None;
        };
        let differs = differences(tty, spec);
        (!differs.is_empty()).then(|| differs.join(", "))
    }
}

/// Returns the settings that a tty has instead of the ones asked for, in words.
fn differences(tty: &SerialStream, spec: &SerialSpec) -> Vec<String> {
    let (data_bits, parity, stop_bits) = words_of(spec);
    let mut differs = Vec::new();
    let mut compare = |name: &str, asked: String, has: Option<String>| {
        let has = has.unwrap_or_else(|| "unknown".into());
        if asked != has {
            differs.push(format!("{name} {has} instead of {asked}"));
        }
    };
    let words = |x: &dyn std::fmt::Debug| format!("{x:?}").to_lowercase();
    compare(
        "speed",
        spec.baud.to_string(),
        tty.baud_rate().ok().map(|b| b.to_string()),
    );
    compare(
        "data bits",
        words(&data_bits),
        tty.data_bits().ok().map(|x| words(&x)),
    );
    compare(
        "parity",
        words(&parity),
        tty.parity().ok().map(|x| words(&x)),
    );
    compare(
        "stop bits",
        words(&stop_bits),
        tty.stop_bits().ok().map(|x| words(&x)),
    );
    differs
}

/// Returns the settings as the library's types.
const fn words_of(
    spec: &SerialSpec,
) -> (
    tokio_serial::DataBits,
    tokio_serial::Parity,
    tokio_serial::StopBits,
) {
    let data_bits = match spec.data_bits {
        7 => tokio_serial::DataBits::Seven,
        _ => tokio_serial::DataBits::Eight,
    };
    let parity = match spec.parity {
        Parity::None => tokio_serial::Parity::None,
        Parity::Even => tokio_serial::Parity::Even,
        Parity::Odd => tokio_serial::Parity::Odd,
    };
    let stop_bits = match spec.stop_bits {
        StopBits::One => tokio_serial::StopBits::One,
        StopBits::Two => tokio_serial::StopBits::Two,
    };
    (data_bits, parity, stop_bits)
}

/// Where a port's lines come from.
#[derive(Debug)]
pub enum Opener {
    /// The system opens them, as the line's specification says.
    System,
    /// A test hands the lines in. If there is none, the port cannot be opened.
    Pipes(mpsc::Receiver<DuplexStream>),
}

/// A line that was just opened.
#[derive(Debug)]
pub struct OpenedLine {
    /// The line.
    pub line: OpenLine,
    /// Settings that differ from the requested ones, in words. Pseudo terminals drop parity,
    /// some adapters round the speed: that is worth a notice, but no reason to refuse.
    pub differs: Option<String>,
    /// How long the adapter holds received bytes back, if it could be less and this process may
    /// not change it.
    pub held_back: Option<Duration>,
}

impl Opener {
    /// Makes one attempt to open the line.
    ///
    /// # Errors
    /// The system's error.
    pub async fn open(&mut self, spec: &LineSpec) -> io::Result<OpenedLine> {
        if matches!(self, Opener::System) {
            headroom::descriptors(1)?;
        }
        let line = match self {
            Opener::Pipes(pipes) => match pipes.try_recv() {
                Ok(pipe) => OpenLine::Pipe(pipe),
                Err(_) => return Err(io::Error::new(io::ErrorKind::NotFound, "nothing there")),
            },
            Opener::System => match spec {
                LineSpec::Serial(serial) => return open_serial(serial),
                LineSpec::Tcp(tcp) => OpenLine::Tcp(connect(tcp).await?),
            },
        };
        Ok(OpenedLine {
            line,
            differs: None,
            held_back: None,
        })
    }
}

async fn connect(spec: &TcpSpec) -> io::Result<TcpStream> {
    let connecting = reach(spec);
    let stream = tokio::time::timeout(spec.connect_timeout, connecting)
        .await
        .map_err(|_| not_within(spec.connect_timeout))??;
    // A request is one small packet and must not wait for more data.
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn not_within(limit: Duration) -> io::Error {
    let why = format!("no connection within {} s", limit.as_secs_f64());
    io::Error::new(io::ErrorKind::TimedOut, why)
}

/// Returns whether an address is one of this machine's, whatever network it belongs to: for such an
/// address the kernel would choose the very same address as the source. Nothing is sent.
fn is_own(address: SocketAddr) -> bool {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let from = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect(address)?;
        socket.local_addr()
    });
    from.is_ok_and(|from| from.ip() == address.ip())
}

/// Connects to the endpoint that the host resolves to. If the platform's configuration has
/// named the host, only addresses are used that are allowed and not this machine's.
async fn reach(spec: &TcpSpec) -> io::Result<TcpStream> {
    let found = found(&spec.host, spec.port).await?;
    let Some(allowed) = &spec.connection.reach else {
        return TcpStream::connect(&found[..]).await;
    };
    let found: Vec<_> = found
        .into_iter()
        .filter(|address| allowed.allows(&spec.host, address.ip()))
        .filter(|address| {
            let ip = address.ip().to_canonical();
            ip.is_loopback() || allowed.lists(ip) || !is_own(*address)
        })
        .collect();
    if found.is_empty() {
        let why = "it leads to no address that remote_config.hosts allows";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    TcpStream::connect(found.as_slice()).await
}

/// Looks up the addresses of a host. A look-up occupies a thread until the resolver gives up,
/// however long the caller waits. Ports share a limited number of look-ups, so that the
/// platform's name is looked up whatever the ports' look-ups do.
async fn found(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![(address, port).into()]);
    }
    let permit = LOOKUPS.acquire().await.map_err(io::Error::other)?;
    let host = host.to_owned();
    let looking = tokio::spawn(async move {
        let _permit = permit;
        let found = tokio::net::lookup_host((host, port)).await?;
        io::Result::Ok(found.take(ADDRESSES).collect())
    });
    looking.await.map_err(io::Error::other)?
}

fn open_serial(spec: &SerialSpec) -> io::Result<OpenedLine> {
    let (data_bits, parity, stop_bits) = words_of(spec);
    let tty = tokio_serial::new(spec.path.to_string_lossy(), spec.baud)
        .data_bits(data_bits)
        .parity(parity)
        .stop_bits(stop_bits)
        .open_native_async()
        .map_err(|e| not_opened::explained(&spec.path, e.into()))?;
    let adapter::Prepared {
        mut differs,
        held_back,
    } = adapter::prepare(&tty, spec)?;
    differs.extend(differences(&tty, spec));
    Ok(OpenedLine {
        line: OpenLine::Serial(tty),
        differs: (!differs.is_empty()).then(|| differs.join(", ")),
        held_back,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::doctor::Cause;
    use crate::doctor::system_words::of_port;
    use crate::field::test_spec::serial;
    use crate::spec::HostList;

    #[tokio::test]
    async fn a_hung_up_line_is_an_error_and_not_an_endless_read() {
        let (ours, theirs) = tokio::io::duplex(16);
        drop(theirs);
        let mut line = OpenLine::Pipe(ours);
        assert!(line.read(&mut [0; 8]).await.is_err());

        let (master, slave) = SerialStream::pair().unwrap();
        drop(master);
        let mut line = OpenLine::Serial(slave);
        assert!(line.read(&mut [0; 8]).await.is_err());
    }

    #[tokio::test]
    async fn opening_says_why_not() {
        let mut spec = serial(9600);
        spec.line = LineSpec::Serial(SerialSpec {
            path: "/dev/there-is-no-such-port".into(),
            baud: 9600,
            data_bits: 8,
            parity: Parity::None,
            stop_bits: StopBits::One,
            framing: Default::default(),
            adapter: Default::default(),
        });
        let why = Opener::System
            .open(&spec.line)
            .await
            .unwrap_err()
            .to_string();
        assert!(why.contains("no such port"), "{why}");
        assert_eq!(of_port(&why), Cause::PortMissing);
    }

    #[tokio::test]
    async fn the_doctor_reads_the_cause_from_these_words() {
        let mut spec = crate::field::test_spec::tcp();
        let LineSpec::Tcp(tcp) = &mut spec.line else {
            panic!("no TCP");
        };
        // It is bound and not listened at, so that no other program takes the port meanwhile.
        let bound = tokio::net::TcpSocket::new_v4().unwrap();
        bound.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        tcp.host = "127.0.0.1".into();
        tcp.port = bound.local_addr().unwrap().port();
        let refused = Opener::System.open(&spec.line).await.unwrap_err();
        assert_eq!(
            of_port(&refused.to_string()),
            Cause::HostRefuses,
            "{refused}"
        );

        let (ours, theirs) = tokio::io::duplex(16);
        drop(theirs);
        let closed = OpenLine::Pipe(ours).read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(of_port(&closed.to_string()), Cause::HostRefuses);
        let gone = gone("the device is gone");
        assert_eq!(of_port(&gone.to_string()), Cause::PortMissing);
        let late = not_within(Duration::from_millis(2500));
        assert_eq!(of_port(&late.to_string()), Cause::HostUnreachable, "{late}");
    }

    #[tokio::test]
    async fn a_name_from_the_platform_leads_only_where_it_may() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut spec = crate::field::test_spec::tcp();
        let LineSpec::Tcp(tcp) = &mut spec.line else {
            panic!("no TCP");
        };
        tcp.host = "localhost".into();
        tcp.port = listener.local_addr().unwrap().port();
        tcp.connection.reach = Some(Arc::new(HostList::default()));
        let refused = Opener::System.open(&spec.line).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied, "{refused}");
        assert_eq!(of_port(&refused.to_string()), Cause::HostForbidden);
        let mut own = HostList::default();
        own.allow("127.0.0.0/8");
        let LineSpec::Tcp(tcp) = &mut spec.line else {
            panic!("no TCP");
        };
        tcp.connection.reach = Some(Arc::new(own));
        Opener::System.open(&spec.line).await.unwrap();
    }

    #[test]
    fn this_machine_is_known_by_all_its_addresses() {
        // The address that packets leave by, if there is a network at all.
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        if socket.connect("203.0.113.1:9").is_ok() {
            let own = socket.local_addr().unwrap().ip();
            assert!(is_own(SocketAddr::new(own, 502)), "{own}");
        }
        assert!(is_own("127.0.0.1:502".parse().unwrap()));
        assert!(!is_own("203.0.113.1:502".parse().unwrap()));
    }

    #[tokio::test]
    async fn settings_that_did_not_stick_are_named() {
        let (master, slave) = SerialStream::pair().unwrap();
        let path = slave.name().unwrap();
        drop(slave);
        let mut spec = serial(9600);
        if let LineSpec::Serial(s) = &mut spec.line {
            s.path = path.into();
        }
        // A pseudo terminal drops parity.
        let opened = Opener::System.open(&spec.line).await.unwrap();
        assert_eq!(
            opened.differs.as_deref(),
            Some("parity none instead of even")
        );
        drop(master);
    }
}
