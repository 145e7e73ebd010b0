//! Connects to the broker: from a name to a stream that carries MQTT.
//!
//! Addresses are tried one after the other, families in turn, each with a few seconds of its
//! own, so that one black-holed family (commonly IPv6) cannot use up the whole budget. That is
//! the ordering of Happy Eyeballs (RFC 8305 §4) without its parallel attempts: these would show
//! up at the platform as a second connection now and then, and the platform counts connections.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::client::TlsStream;

use super::events::LinkLogEvent;
use super::tls;
use crate::base::LinkDown;
use crate::io::system::clock::Clock;
use crate::spec::{BrokerSpec, Transport};

/// How long one address may take if there are others.
const PER_ADDRESS: Duration = Duration::from_secs(3);

/// How long sent bytes may stay unacknowledged before the kernel gives the
/// connection up (TCP_USER_TIMEOUT, RFC 5482). Shorter than two pings, longer
/// than a mobile network's hand-over.
const USER_TIMEOUT: Duration = Duration::from_secs(40);

/// How often the kernel sends its own probes, which keep NAT entries alive while the connection
/// is idle.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// Where connections are made.
#[derive(Clone, Debug)]
pub enum Dialer {
    /// On the network, as the broker's specification says.
    Network,
    /// At a test's broker, which is handed the other end of a pipe for each attempt: virtual
    /// time and real sockets do not go together. If the channel is closed, the broker cannot be
    /// reached.
    Pipe(mpsc::Sender<DuplexStream>),
}

/// How many bytes fit into such a pipe each way, about a socket's buffer.
const PIPE: usize = 64 * 1024;

/// A connected stream: TLS, plain TCP for laboratories, or a pipe for tests on virtual time.
#[derive(Debug)]
pub(super) enum Stream {
    /// MQTT over TLS.
    Tls(Box<TlsStream<TcpStream>>),
    /// MQTT over TCP.
    Plain(TcpStream),
    /// A pipe in memory.
    Pipe(DuplexStream),
}

impl Dialer {
    /// Connects before `deadline`. An oddity that is no reason to fail is returned as a notice.
    pub(super) async fn dial(
        &self,
        broker: &BrokerSpec,
        clock: &Clock,
        deadline: Instant,
    ) -> Result<(Stream, Option<LinkLogEvent>), LinkDown> {
        match self {
            Dialer::Network => dial(broker, clock, deadline).await,
            Dialer::Pipe(door) => {
                let (ours, theirs) = tokio::io::duplex(PIPE);
                let closed = |_| LinkDown::Unreachable("no connection is accepted any more".into());
                door.send(theirs).await.map_err(closed)?;
                Ok((Stream::Pipe(ours), None))
            }
        }
    }
}

async fn dial(
    broker: &BrokerSpec,
    clock: &Clock,
    deadline: Instant,
) -> Result<(Stream, Option<LinkLogEvent>), LinkDown> {
    let tcp = reach(&broker.host, broker.port, deadline).await?;
    match &broker.transport {
        Transport::Plain => Ok((Stream::Plain(tcp), None)),
        Transport::Tls { ca_file } => {
            let (tls, notice) =
                tls::wrap(tcp, &broker.host, ca_file.clone(), clock, deadline).await?;
            Ok((Stream::Tls(Box::new(tls)), notice))
        }
    }
}

async fn reach(host: &str, port: u16, deadline: Instant) -> Result<TcpStream, LinkDown> {
    let unreachable = |why: String| LinkDown::Unreachable(why);
    let found = match timeout_at(deadline, tokio::net::lookup_host((host, port))).await {
        Err(_) => {
            return Err(unreachable(format!(
                "no answer of the name server about {host}"
            )));
        }
        Ok(Err(e)) => return Err(unreachable(format!("cannot find {host}: {e}"))),
        Ok(Ok(found)) => in_turn(found.collect()),
    };
    let mut refused = Vec::new();
    for (i, &address) in found.iter().enumerate() {
        let last = i + 1 == found.len();
        let until = if last {
            deadline
        } else {
            deadline.min(Instant::now() + PER_ADDRESS)
        };
        match timeout_at(until, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                tune(&stream).map_err(|e| LinkDown::Io(format!("socket options: {e}")))?;
                return Ok(stream);
            }
            Ok(Err(e)) => refused.push(format!("{address}: {e}")),
            Err(_) => refused.push(format!("{address}: no answer")),
        }
        if Instant::now() >= deadline {
            break;
        }
    }
    if refused.is_empty() {
        return Err(unreachable(format!("{host} has no address")));
    }
    // If the host was given as an address, its addresses name it well enough.
    Err(unreachable(match host.parse::<IpAddr>() {
        Ok(_) => refused.join("; "),
        Err(_) => format!("{host}: {}", refused.join("; ")),
    }))
}

/// Orders the addresses with their families in turn, beginning with the family that the system
/// prefers; the order within a family stays the system's (RFC 6724).
fn in_turn(found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|a| a.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut turns = Vec::new();
    loop {
        let pair = (first.next(), second.next());
        if pair == (None, None) {
            return turns;
        }
        turns.extend(pair.0);
        turns.extend(pair.1);
    }
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    // Small messages, sent when they are due.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(TCP_KEEPALIVE))
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tls(s) => Pin::new(s).poll_read(cx, buf),
            Stream::Plain(s) => Pin::new(s).poll_read(cx, buf),
            Stream::Pipe(s) => Pin::new(s).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tls(s) => Pin::new(s).poll_write(cx, buf),
            Stream::Plain(s) => Pin::new(s).poll_write(cx, buf),
            Stream::Pipe(s) => Pin::new(s).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tls(s) => Pin::new(s).poll_flush(cx),
            Stream::Plain(s) => Pin::new(s).poll_flush(cx),
            Stream::Pipe(s) => Pin::new(s).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tls(s) => Pin::new(s).poll_shutdown(cx),
            Stream::Plain(s) => Pin::new(s).poll_shutdown(cx),
            Stream::Pipe(s) => Pin::new(s).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &[&str]) -> Vec<SocketAddr> {
        text.iter().map(|a| a.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_and_the_preferred_one_begins() {
        let found = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]);
        let turns = addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
        assert_eq!(in_turn(found), turns);
        assert_eq!(in_turn(Vec::new()), []);
    }

    #[tokio::test]
    async fn an_address_where_nobody_listens_is_named() {
        let port = {
            let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap().port()
        };
        let deadline = Instant::now() + Duration::from_secs(5);
        let down = reach("127.0.0.1", port, deadline).await.unwrap_err();
        let LinkDown::Unreachable(why) = down else {
            panic!("{down:?}")
        };
        assert!(why.contains(&format!("127.0.0.1:{port}: ")), "{why}");
    }
}
