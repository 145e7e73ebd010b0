//! One task per connection: bytes to packets and back.

use std::io;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rumqttc::mqttbytes::v4::{Codec, Packet};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::codec::Framed;
use tracing::debug;

use super::gone;
use super::owner::{ConnectionOrder, OwnerInput};

/// Above the 256 KB of the platform, so that the model and not the codec judges.
const PACKET: usize = 1024 * 1024;
/// The time until the first packet, and for each write. A client that takes longer is
/// dead.
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// Packets on their way to one connection. The answers to a burst of all 2,000 devices
/// fit; a client that lets more pile up is not reading.
const OUTBOX: usize = 4096;

pub(super) async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    told: mpsc::Sender<OwnerInput>,
) {
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

/// Does the same for pipes that come from a channel.
pub(super) async fn receive(
    mut knocks: mpsc::Receiver<DuplexStream>,
    tls: bool,
    told: mpsc::Sender<OwnerInput>,
) {
    while let Some(pipe) = knocks.recv().await {
        let told = told.clone();
        tokio::spawn(async move {
            if let Err(error) = converse(pipe, tls, told).await {
                debug!(%error, "a connection ended");
            }
        });
    }
}

async fn serve(
    socket: TcpStream,
    tls: Option<TlsAcceptor>,
    told: mpsc::Sender<OwnerInput>,
) -> io::Result<()> {
    socket.set_nodelay(true)?;
    match tls {
        None => converse(socket, false, told).await,
        Some(tls) => {
            let stream = timeout(TIME_LIMIT, tls.accept(socket)).await??;
            converse(stream, true, told).await
        }
    }
}

async fn converse<S>(stream: S, tls: bool, told: mpsc::Sender<OwnerInput>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut framed = Framed::new(stream, codec());
    let first = timeout(TIME_LIMIT, framed.next()).await?;
    let Some(Ok(first @ Packet::Connect(_))) = first else {
        return Err(io::Error::other("the first packet was no CONNECT"));
    };
    let (orders, mut ordered) = mpsc::channel(OUTBOX);
    let (answer, conn) = oneshot::channel();
    let say = |told: &mpsc::Sender<OwnerInput>, what| {
        let told = told.clone();
        async move { told.send(what).await.map_err(|_| gone()) }
    };
    say(&told, OwnerInput::Opened(orders, answer)).await?;
    let conn = conn.await.map_err(|_| gone())?;
    say(&told, OwnerInput::Packet(conn, first, tls)).await?;
    let ended = loop {
        tokio::select! {
            biased;
            order = ordered.recv() => match order {
                Some(ConnectionOrder::Send(packet)) => {
                    let sent = timeout(TIME_LIMIT, framed.send(packet)).await;
                    if !matches!(sent, Ok(Ok(()))) {
                        break Err(io::Error::other("writing failed"));
                    }
                }
                Some(ConnectionOrder::Close) | None => break Ok(()),
            },
            packet = framed.next() => match packet {
                Some(Ok(packet)) => say(&told, OwnerInput::Packet(conn, packet, tls)).await?,
                Some(Err(error)) => break Err(io::Error::other(error)),
                None => break Ok(()),
            },
        }
    };
    let _ = timeout(TIME_LIMIT, framed.close()).await;
    say(&told, OwnerInput::Closed(conn)).await?;
    ended
}

pub(super) const fn codec() -> Codec {
    Codec {
        max_incoming_size: PACKET,
        max_outgoing_size: PACKET,
    }
}
