//! The platform as a client of a foreign broker: the way to a real broker with the
//! answers of the platform behind it.
//!
//! The bridge subscribes `#`, passes every message to the owner, and publishes what the
//! owner orders. It receives its own publications as well; the model decides by the
//! topic which way a message travels ([`crate::lab::platform::is_downstream`]).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{
    Codec, Connect, ConnectReturnCode, Packet, Subscribe, SubscribeReasonCode,
};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::codec::Framed;
use tracing::debug;

use super::connection::codec;
use super::owner::{ConnectionOrder, OwnerInput};

/// In seconds; the bridge pings at a third of it.
const KEEPALIVE: u16 = 60;
const TIME_LIMIT: Duration = Duration::from_secs(10);
/// Answers on their way to the foreign broker.
const OUTBOX: usize = 4096;

pub(super) type Link = Framed<TcpStream, Codec>;

/// Connects and subscribes; when it returns, nothing published from then on is missed.
pub(super) async fn open(addr: SocketAddr, login: Option<(&str, &str)>) -> io::Result<Link> {
    let relay = async {
        let socket = TcpStream::connect(addr).await?;
        socket.set_nodelay(true)?;
        let mut link = Framed::new(socket, codec());
        let mut connect = Connect::new("alink-lab-platform");
        connect.keep_alive = KEEPALIVE;
        if let Some((user, password)) = login {
            connect.set_login(user, password);
        }
        send(&mut link, Packet::Connect(connect)).await?;
        match receive(&mut link).await? {
            Packet::ConnAck(ack) if ack.code == ConnectReturnCode::Success => {}
            other => return Err(unexpected(&other)),
        }
        let mut everything = Subscribe::new("#", QoS::AtMostOnce);
        everything.pkid = 1;
        send(&mut link, Packet::Subscribe(everything)).await?;
        match receive(&mut link).await? {
            Packet::SubAck(ack)
                if matches!(ack.return_codes[..], [SubscribeReasonCode::Success(_)]) => {}
            other => return Err(unexpected(&other)),
        }
        Ok(link)
    };
    timeout(TIME_LIMIT, relay).await?
}

/// Carries messages both ways until either side ends.
pub(super) async fn carry(mut link: Link, told: mpsc::Sender<OwnerInput>) {
    let (orders, mut ordered) = mpsc::channel(OUTBOX);
    let mut ping = interval(Duration::from_secs(u64::from(KEEPALIVE) / 3));
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let step = tokio::select! {
            biased;
            Some(order) = ordered.recv() => match order {
                // Acknowledgements are the foreign broker's own business.
                ConnectionOrder::Send(packet @ Packet::Publish(_)) => send(&mut link, packet).await,
                ConnectionOrder::Send(_) | ConnectionOrder::Close => Ok(()),
            },
            packet = receive(&mut link) => match packet {
                Ok(Packet::Publish(p)) => {
                    let seen = OwnerInput::Overheard(p.topic, p.payload.to_vec(), orders.clone());
                    told.send(seen).await.map_err(|_| io::Error::other("the lab is gone"))
                }
                Ok(_) => Ok(()),
                Err(error) => Err(error),
            },
            _ = ping.tick() => send(&mut link, Packet::PingReq).await,
        };
        if let Err(error) = step {
            debug!(%error, "the bridge to the foreign broker ended");
            return;
        }
    }
}

async fn send(link: &mut Link, packet: Packet) -> io::Result<()> {
    match timeout(TIME_LIMIT, link.send(packet)).await {
        Ok(sent) => sent.map_err(io::Error::other),
        Err(late) => Err(late.into()),
    }
}

async fn receive(link: &mut Link) -> io::Result<Packet> {
    match link.next().await {
        Some(packet) => packet.map_err(io::Error::other),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

fn unexpected(packet: &Packet) -> io::Error {
    io::Error::other(format!("the foreign broker answered {packet:?}"))
}
