//! The platform on a socket: an MQTT 3.1.1 listener around the model.
//!
//! The listener turns packets into inputs of the model, and outputs of the model into
//! packets. Every rule is in the model. One task owns the [`Platform`]; each connection
//! has a task of its own; bounded channels join them. The owner never waits for a
//! connection: a connection that does not take what is sent to it is dropped, as a
//! server would drop it.
//!
//! The packet codec is that of rumqttc, which the gateway uses as well. `tests/process/sdk.rs`
//! proves that MQTT clients of other authors understand it.

mod bridge;
mod certificates;
mod connection;
mod owner;
mod storage;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::DuplexStream;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

use crate::base::Now;
use crate::io::system::clock::Clock;
use crate::lab::platform::Platform;
pub use certificates::Authority;
use owner::{Action, Owner, OwnerInput};
pub use storage::{Storage, StorageAnswer};

/// Inputs on their way to the owner; when it is full the connections wait.
const INBOX: usize = 1024;

/// A platform on a socket. Dropping it closes the socket and all connections.
#[derive(Debug)]
pub struct Broker {
    addr: SocketAddr,
    told: mpsc::Sender<OwnerInput>,
    owner: AbortOnDropHandle<Platform>,
    /// The task that accepts connections, or carries the connection to a foreign
    /// broker.
    _door: AbortOnDropHandle<()>,
}

impl Broker {
    /// Listens on `addr` (port 0 takes a free port), plain TCP.
    ///
    /// # Errors
    /// If binding the address fails.
    pub async fn start(addr: SocketAddr, platform: Platform, clock: Clock) -> io::Result<Self> {
        Self::listen(addr, platform, clock, None).await
    }

    /// Listens on `addr` with TLS.
    ///
    /// # Errors
    /// If binding the address fails.
    pub async fn start_tls(
        addr: SocketAddr,
        platform: Platform,
        clock: Clock,
        tls: Arc<rustls::ServerConfig>,
    ) -> io::Result<Self> {
        Self::listen(addr, platform, clock, Some(tls.into())).await
    }

    /// Takes connections from a channel instead of a socket: each pipe sent there is
    /// one connection, over TLS as far as the platform can see if `tls`. For worlds on
    /// virtual time.
    #[must_use]
    pub fn at_door(
        platform: Platform,
        clock: Clock,
        tls: bool,
    ) -> (Self, mpsc::Sender<DuplexStream>) {
        let (told, inbox) = mpsc::channel(INBOX);
        let (door, knocks) = mpsc::channel(1);
        let porter = tokio::spawn(connection::receive(knocks, tls, told.clone()));
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let broker = Self::own(nowhere, platform, clock, told, inbox, porter);
        (broker, door)
    }

    /// Attaches the platform to a foreign broker as one of its clients. The platform
    /// hears every message, takes what a registered gateway or one of its devices
    /// publishes as that gateway's, and publishes its answers there.
    ///
    /// CONNECTs are not visible to a client: a gateway counts as connected from its
    /// first message on, until [`Platform::drop_connection`]. Its keepalive, and the
    /// end of its connection, are left to the foreign broker. So a gateway that
    /// restarts keeps its sessions here and seems to reuse its ids.
    ///
    /// # Errors
    /// If the broker cannot be reached, or refuses the log-in or the subscription.
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
        let door = tokio::spawn(connection::accept(listener, tls, told.clone()));
        Ok(Self::own(addr, platform, clock, told, inbox, door))
    }

    fn own(
        addr: SocketAddr,
        platform: Platform,
        clock: Clock,
        told: mpsc::Sender<OwnerInput>,
        inbox: mpsc::Receiver<OwnerInput>,
        door: JoinHandle<()>,
    ) -> Self {
        let owner = Owner::new(platform, clock);
        Broker {
            addr,
            told,
            owner: AbortOnDropHandle::new(tokio::spawn(owner.run(inbox))),
            _door: AbortOnDropHandle::new(door),
        }
    }

    /// Returns where the platform listens, or the address of the foreign broker.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Looks at the platform, or acts on it, between two packets.
    ///
    /// # Errors
    /// If the task of the platform is gone, which only a panic in it can bring about.
    pub async fn with<R: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Platform, Now) -> R + Send + 'static,
    ) -> io::Result<R> {
        let (answer, result) = oneshot::channel();
        let act: Action = Box::new(move |platform, now| {
            let _ = answer.send(act(platform, now));
        });
        self.told
            .send(OwnerInput::Do(act))
            .await
            .map_err(|_| gone())?;
        result.await.map_err(|_| gone())
    }

    /// Waits until `holds`, checking after every event; `false` if it did not hold
    /// within `limit`.
    ///
    /// # Errors
    /// As [`Broker::with`].
    pub async fn until(
        &self,
        limit: Duration,
        holds: impl FnMut(&Platform) -> bool + Send + 'static,
    ) -> io::Result<bool> {
        let (answer, result) = oneshot::channel();
        let wait = OwnerInput::Wait(Box::new(holds), answer);
        self.told.send(wait).await.map_err(|_| gone())?;
        match timeout(limit, result).await {
            Ok(Ok(())) => Ok(true),
            Ok(Err(_)) => Err(gone()),
            Err(_) => Ok(false),
        }
    }

    /// Closes all connections and returns the platform as it was.
    ///
    /// # Errors
    /// As [`Broker::with`].
    pub async fn stop(self) -> io::Result<Platform> {
        let _ = self.told.send(OwnerInput::Stop).await;
        self.owner.await.map_err(|_| gone())
    }
}

fn gone() -> io::Error {
    io::Error::other("the platform's task is gone")
}

/// Reads the TLS settings of a server from PEM files; no client certificate is asked
/// for.
///
/// # Errors
/// If a file cannot be read or does not hold what it should.
pub fn tls_from_pem(certificate: &Path, key: &Path) -> io::Result<Arc<rustls::ServerConfig>> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(io::Error::other)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(io::Error::other)?;
    tls_of(chain, key)
}

fn tls_of(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> io::Result<Arc<rustls::ServerConfig>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map(Arc::new)
        .map_err(io::Error::other)
}
