//! The platform on a socket: an MQTT 3.1.1 listener around the model.
//!
//! A shell. It turns packets into the model's inputs and its outputs into
//! packets; every rule is the model's. One task owns the [`Platform`]; each
//! connection has a task of its own; bounded channels join them. The owner
//! never waits for a connection: one that does not take what it is sent is
//! dropped, as a server would.
//!
//! The packet codec is rumqttc's, which the gateway uses as well; that real
//! clients of other hands understand it is proven in `tests/sdk.rs`.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{
    Codec, ConnAck, ConnectReturnCode, Packet, PubAck, Publish, SubAck, SubscribeReasonCode,
    UnsubAck,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::codec::Framed;
use tokio_util::task::AbortOnDropHandle;
use tracing::debug;

use crate::base::Now;
use crate::io::clock::Clock;
use crate::lab::bridge;
use crate::lab::platform::{Conn, Connect, Output, Platform};

/// Above the platform's 256 KB, so that the model and not the codec judges.
const PACKET: usize = 1024 * 1024;
/// Until the first packet, and for each write: longer is a dead client.
const PATIENCE: Duration = Duration::from_secs(10);
/// Packets on their way to one connection. A topology of 2,000 or a logout of
/// all fits; a client that lets more pile up is not reading.
const OUTBOX: usize = 4096;
/// Inputs on their way to the owner; full makes the connections wait.
const INBOX: usize = 1024;

/// A platform on a socket. Dropping it closes everything.
#[derive(Debug)]
pub struct Broker {
    addr: SocketAddr,
    told: mpsc::Sender<Told>,
    owner: AbortOnDropHandle<Platform>,
    /// Accepts, or carries the connection to a foreign broker.
    _door: AbortOnDropHandle<()>,
}

/// What the owner is told.
pub(super) enum Told {
    Opened(mpsc::Sender<Order>, oneshot::Sender<Conn>),
    Packet(Conn, Packet, bool),
    Closed(Conn),
    /// Seen on a foreign broker: topic, payload, and where answers go.
    Overheard(String, Vec<u8>, mpsc::Sender<Order>),
    Do(Action),
    Wait(Condition, oneshot::Sender<()>),
    Stop,
}

type Action = Box<dyn FnOnce(&mut Platform, Now) + Send>;
type Condition = Box<dyn FnMut(&Platform) -> bool + Send>;

/// What a connection is told.
pub(super) enum Order {
    Send(Packet),
    Close,
}

impl Broker {
    /// Listens on `addr` (port 0 takes a free one), plain TCP.
    ///
    /// # Errors
    /// Whatever binding says.
    pub async fn start(addr: SocketAddr, platform: Platform, clock: Clock) -> io::Result<Self> {
        Self::listen(addr, platform, clock, None).await
    }

    /// Listens on `addr` with TLS.
    ///
    /// # Errors
    /// Whatever binding says.
    pub async fn start_tls(
        addr: SocketAddr,
        platform: Platform,
        clock: Clock,
        tls: Arc<rustls::ServerConfig>,
    ) -> io::Result<Self> {
        Self::listen(addr, platform, clock, Some(tls.into())).await
    }

    /// Takes connections at a door instead of a socket: each pipe sent there is
    /// one, over TLS as far as the platform can see if `tls`. For worlds on
    /// virtual time.
    #[must_use]
    pub fn at_door(
        platform: Platform,
        clock: Clock,
        tls: bool,
    ) -> (Self, mpsc::Sender<DuplexStream>) {
        let (told, inbox) = mpsc::channel(INBOX);
        let (door, mut knocks) = mpsc::channel(1);
        let guests = told.clone();
        let porter = tokio::spawn(async move {
            while let Some(pipe) = knocks.recv().await {
                tokio::spawn(converse(pipe, tls, guests.clone()));
            }
        });
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let broker = Self::own(nowhere, platform, clock, told, inbox, porter);
        (broker, door)
    }

    /// Attaches the platform to a foreign broker as one of its clients: it
    /// hears everything, takes what a registered gateway or one of its devices
    /// publishes as that gateway's, and publishes its answers there.
    ///
    /// CONNECTs cannot be seen from there: a gateway counts as connected from
    /// its first message on, and its keepalive is the foreign broker's affair.
    ///
    /// # Errors
    /// If the broker cannot be reached, or refuses the log-in or the
    /// subscription.
    pub async fn attach(
        addr: SocketAddr,
        login: Option<(&str, &str)>,
        platform: Platform,
        clock: Clock,
    ) -> io::Result<Self> {
        let link = bridge::open(addr, login).await?;
        let (told, inbox) = mpsc::channel(INBOX);
        let door = tokio::spawn(bridge::carry(link, told.clone()));
        Ok(Self::own(addr, platform, clock, told, inbox, door))
    }

    async fn listen(
        addr: SocketAddr,
        platform: Platform,
        clock: Clock,
        tls: Option<TlsAcceptor>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let (told, inbox) = mpsc::channel(INBOX);
        let door = tokio::spawn(accept(listener, tls, told.clone()));
        Ok(Self::own(addr, platform, clock, told, inbox, door))
    }

    fn own(
        addr: SocketAddr,
        platform: Platform,
        clock: Clock,
        told: mpsc::Sender<Told>,
        inbox: mpsc::Receiver<Told>,
        door: tokio::task::JoinHandle<()>,
    ) -> Self {
        let owner = Owner {
            platform,
            clock,
            outboxes: BTreeMap::new(),
            waiting: Vec::new(),
            conns: 0,
        };
        Broker {
            addr,
            told,
            owner: AbortOnDropHandle::new(tokio::spawn(owner.run(inbox))),
            _door: AbortOnDropHandle::new(door),
        }
    }

    /// Where it listens, or the foreign broker it is attached to.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Looks at the platform, or acts on it, between two packets.
    ///
    /// # Errors
    /// If the platform's task is gone, which only a panic in it can bring about.
    pub async fn with<R: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Platform, Now) -> R + Send + 'static,
    ) -> io::Result<R> {
        let (answer, result) = oneshot::channel();
        let act: Action = Box::new(move |platform, now| {
            let _ = answer.send(act(platform, now));
        });
        self.told.send(Told::Do(act)).await.map_err(|_| gone())?;
        result.await.map_err(|_| gone())
    }

    /// Waits until `holds`, looking after everything that happens; `false` if
    /// it did not within `limit`.
    ///
    /// # Errors
    /// As [`Broker::with`].
    pub async fn until(
        &self,
        limit: Duration,
        holds: impl FnMut(&Platform) -> bool + Send + 'static,
    ) -> io::Result<bool> {
        let (answer, result) = oneshot::channel();
        let wait = Told::Wait(Box::new(holds), answer);
        self.told.send(wait).await.map_err(|_| gone())?;
        match timeout(limit, result).await {
            Ok(Ok(())) => Ok(true),
            Ok(Err(_)) => Err(gone()),
            Err(_) => Ok(false),
        }
    }

    /// Closes everything and hands back the platform as it was.
    ///
    /// # Errors
    /// As [`Broker::with`].
    pub async fn stop(self) -> io::Result<Platform> {
        let _ = self.told.send(Told::Stop).await;
        self.owner.await.map_err(|_| gone())
    }
}

fn gone() -> io::Error {
    io::Error::other("the platform's task is gone")
}

/// A server's TLS settings from PEM files; no client certificate is asked for.
///
/// # Errors
/// If a file cannot be read or does not hold what it should.
pub fn tls_from_pem(certificate: &Path, key: &Path) -> io::Result<Arc<rustls::ServerConfig>> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map(Arc::new)
        .map_err(io::Error::other)
}

// ---- the owner -------------------------------------------------------------

struct Outbox {
    orders: mpsc::Sender<Order>,
    /// A gateway on a foreign broker: closing it must not close the bridge.
    foreign: bool,
}

struct Owner {
    platform: Platform,
    clock: Clock,
    outboxes: BTreeMap<Conn, Outbox>,
    waiting: Vec<(Condition, oneshot::Sender<()>)>,
    conns: u64,
}

impl Owner {
    async fn run(mut self, mut inbox: mpsc::Receiver<Told>) -> Platform {
        loop {
            let wake = self.platform.wake_at();
            let timer = async {
                match wake {
                    Some(wake) => self.clock.sleep_until(wake.at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                told = inbox.recv() => match told {
                    None | Some(Told::Stop) => return self.platform,
                    Some(told) => self.on_told(told),
                },
                () = timer => {}
            }
            self.drain();
            self.answer_waiting();
        }
    }

    fn on_told(&mut self, told: Told) {
        let now = self.clock.now();
        match told {
            Told::Opened(orders, answer) => {
                let conn = self.open(orders, false);
                let _ = answer.send(conn);
            }
            Told::Packet(conn, packet, tls) => self.on_packet(now, conn, packet, tls),
            Told::Closed(conn) => {
                self.outboxes.remove(&conn);
                self.platform.on_closed(now, conn);
            }
            Told::Overheard(topic, payload, orders) => {
                let Some(gateway) = self.platform.gateway_speaking(&topic) else {
                    return;
                };
                let conn = self.platform.connection(&gateway).unwrap_or_else(|| {
                    let conn = self.open(orders, true);
                    self.platform.on_assumed(now, conn, &gateway);
                    conn
                });
                self.platform
                    .on_publish(now, conn, &topic, &payload, 0, None);
            }
            Told::Do(act) => act(&mut self.platform, now),
            Told::Wait(holds, answer) => self.waiting.push((holds, answer)),
            Told::Stop => {}
        }
    }

    fn open(&mut self, orders: mpsc::Sender<Order>, foreign: bool) -> Conn {
        self.conns += 1;
        let conn = Conn(self.conns);
        self.outboxes.insert(conn, Outbox { orders, foreign });
        conn
    }

    fn on_packet(&mut self, now: Now, conn: Conn, packet: Packet, tls: bool) {
        let platform = &mut self.platform;
        match packet {
            Packet::Connect(c) => {
                let (username, password) = c
                    .login
                    .map(|login| (login.username, login.password))
                    .unwrap_or_default();
                let connect = Connect {
                    client_id: c.client_id,
                    username,
                    password,
                    keepalive_secs: c.keep_alive,
                    clean_session: c.clean_session,
                    will: c.last_will.is_some(),
                    tls,
                };
                platform.on_connect(now, conn, &connect);
            }
            Packet::Publish(p) => {
                if p.retain {
                    platform.on_retain(now, conn);
                }
                let pkid = (p.qos != QoS::AtMostOnce).then_some(p.pkid);
                platform.on_publish(now, conn, &p.topic, &p.payload, p.qos as u8, pkid);
            }
            Packet::Subscribe(s) => {
                let filters: Vec<String> = s.filters.into_iter().map(|f| f.path).collect();
                platform.on_subscribe(now, conn, &filters, Some(s.pkid));
            }
            Packet::Unsubscribe(u) => {
                platform.on_unsubscribe(now, conn, &u.topics, Some(u.pkid));
            }
            Packet::PingReq => platform.on_ping(now, conn),
            Packet::PubAck(_) => platform.on_puback(now, conn),
            // DISCONNECT, and what a client may not send: the connection ends.
            _ => {
                platform.on_closed(now, conn);
                if let Some(outbox) = self.outboxes.remove(&conn) {
                    let _ = outbox.orders.try_send(Order::Close);
                }
            }
        }
    }

    fn answer_waiting(&mut self) {
        let platform = &self.platform;
        let came_true = |(holds, answer): &mut (Condition, oneshot::Sender<()>)| {
            answer.is_closed() || holds(platform)
        };
        for (_, answer) in self.waiting.extract_if(.., came_true) {
            let _ = answer.send(());
        }
    }

    fn drain(&mut self) {
        let now = self.clock.now();
        while let Some(output) = self.platform.poll(now) {
            let conn = output.conn();
            let Some(outbox) = self.outboxes.get(&conn) else {
                continue;
            };
            let order = order(output);
            let closes = matches!(order, Order::Close);
            let sent = outbox.foreign && closes || outbox.orders.try_send(order).is_ok();
            if closes || !sent {
                let foreign = outbox.foreign;
                self.outboxes.remove(&conn);
                if !sent && !foreign {
                    debug!(conn = conn.0, "a client does not take what it is sent");
                    self.platform.on_closed(now, conn);
                }
            }
        }
    }
}

fn order(output: Output) -> Order {
    Order::Send(match output {
        Output::ConnAck {
            code,
            session_present,
            ..
        } => Packet::ConnAck(ConnAck::new(return_code(code), session_present)),
        Output::SubAck { pkid, codes, .. } => {
            let codes = codes.into_iter().map(|code| match code {
                0 => SubscribeReasonCode::Success(QoS::AtMostOnce),
                _ => SubscribeReasonCode::Failure,
            });
            Packet::SubAck(SubAck::new(pkid.unwrap_or_default(), codes.collect()))
        }
        Output::UnsubAck { pkid, .. } => Packet::UnsubAck(UnsubAck::new(pkid.unwrap_or_default())),
        Output::PubAck { pkid, .. } => Packet::PubAck(PubAck::new(pkid)),
        Output::Publish { topic, payload, .. } => {
            Packet::Publish(Publish::new(topic, QoS::AtMostOnce, payload))
        }
        Output::PingResp { .. } => Packet::PingResp,
        Output::Close { .. } => return Order::Close,
    })
}

/// MQTT 3.1.1 §3.2.2.3.
const fn return_code(code: u8) -> ConnectReturnCode {
    match code {
        0 => ConnectReturnCode::Success,
        1 => ConnectReturnCode::RefusedProtocolVersion,
        2 => ConnectReturnCode::BadClientId,
        3 => ConnectReturnCode::ServiceUnavailable,
        4 => ConnectReturnCode::BadUserNamePassword,
        _ => ConnectReturnCode::NotAuthorized,
    }
}

// ---- connections -----------------------------------------------------------

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, told: mpsc::Sender<Told>) {
    loop {
        let socket = match listener.accept().await {
            Ok((socket, _)) => socket,
            Err(error) => {
                // Out of descriptors, most likely: wait for some to be freed.
                debug!(%error, "accepting failed");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (tls, told) = (tls.clone(), told.clone());
        tokio::spawn(async move {
            if let Err(error) = serve(socket, tls, told).await {
                debug!(%error, "a connection ended");
            }
        });
    }
}

async fn serve(
    socket: TcpStream,
    tls: Option<TlsAcceptor>,
    told: mpsc::Sender<Told>,
) -> io::Result<()> {
    socket.set_nodelay(true)?;
    match tls {
        None => converse(socket, false, told).await,
        Some(tls) => {
            let stream = timeout(PATIENCE, tls.accept(socket)).await??;
            converse(stream, true, told).await
        }
    }
}

async fn converse<S>(stream: S, tls: bool, told: mpsc::Sender<Told>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut framed = Framed::new(stream, codec());
    let first = timeout(PATIENCE, framed.next()).await?;
    let Some(Ok(first @ Packet::Connect(_))) = first else {
        return Err(io::Error::other("the first packet was no CONNECT"));
    };
    let (orders, mut ordered) = mpsc::channel(OUTBOX);
    let (answer, conn) = oneshot::channel();
    let say = |told: &mpsc::Sender<Told>, what| {
        let told = told.clone();
        async move { told.send(what).await.map_err(|_| gone()) }
    };
    say(&told, Told::Opened(orders, answer)).await?;
    let conn = conn.await.map_err(|_| gone())?;
    say(&told, Told::Packet(conn, first, tls)).await?;
    let ended = loop {
        tokio::select! {
            biased;
            order = ordered.recv() => match order {
                Some(Order::Send(packet)) => {
                    let sent = timeout(PATIENCE, framed.send(packet)).await;
                    if !matches!(sent, Ok(Ok(()))) {
                        break Err(io::Error::other("writing failed"));
                    }
                }
                Some(Order::Close) | None => break Ok(()),
            },
            packet = framed.next() => match packet {
                Some(Ok(packet)) => say(&told, Told::Packet(conn, packet, tls)).await?,
                Some(Err(error)) => break Err(io::Error::other(error)),
                None => break Ok(()),
            },
        }
    };
    let _ = timeout(PATIENCE, framed.close()).await;
    say(&told, Told::Closed(conn)).await?;
    ended
}

pub(super) const fn codec() -> Codec {
    Codec {
        max_incoming_size: PACKET,
        max_outgoing_size: PACKET,
    }
}
