//! The task that owns the platform: packets in, packets out.

use std::collections::BTreeMap;

use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{
    ConnAck, ConnectReturnCode, Packet, PubAck, Publish, SubAck, SubscribeReasonCode, UnsubAck,
};
use tokio::sync::{mpsc, oneshot};
use tracing::debug;

use crate::base::Now;
use crate::io::system::clock::Clock;
use crate::lab::platform::{Conn, Connect, Output, Platform};

/// What the owner receives.
pub(super) enum OwnerInput {
    Opened(mpsc::Sender<ConnectionOrder>, oneshot::Sender<Conn>),
    Packet(Conn, Packet, bool),
    Closed(Conn),
    /// A message seen on a foreign broker: topic, payload, and where answers go.
    Overheard(String, Vec<u8>, mpsc::Sender<ConnectionOrder>),
    Do(Action),
    Wait(Condition, oneshot::Sender<()>),
    Stop,
}

pub(super) type Action = Box<dyn FnOnce(&mut Platform, Now) + Send>;
pub(super) type Condition = Box<dyn FnMut(&Platform) -> bool + Send>;

/// What the owner orders a connection to do.
pub(super) enum ConnectionOrder {
    Send(Packet),
    Close,
}

struct ConnectionOutbox {
    orders: mpsc::Sender<ConnectionOrder>,
    /// Whether this is a gateway on a foreign broker: closing it must not close the
    /// bridge.
    foreign: bool,
}

pub(super) struct Owner {
    platform: Platform,
    clock: Clock,
    outboxes: BTreeMap<Conn, ConnectionOutbox>,
    waiting: Vec<(Condition, oneshot::Sender<()>)>,
    conns: u64,
}

impl Owner {
    pub(super) const fn new(platform: Platform, clock: Clock) -> Self {
        Owner {
            platform,
            clock,
            outboxes: BTreeMap::new(),
            waiting: Vec::new(),
            conns: 0,
        }
    }

    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<OwnerInput>) -> Platform {
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
                    None | Some(OwnerInput::Stop) => return self.platform,
                    Some(told) => self.on_told(told),
                },
                () = timer => {}
            }
            self.drain();
            self.answer_waiting();
        }
    }

    fn on_told(&mut self, told: OwnerInput) {
        let now = self.clock.now();
        match told {
            OwnerInput::Opened(orders, answer) => {
                let conn = self.open(orders, false);
                let _ = answer.send(conn);
            }
            OwnerInput::Packet(conn, packet, tls) => self.on_packet(now, conn, packet, tls),
            OwnerInput::Closed(conn) => {
                self.outboxes.remove(&conn);
                self.platform.on_closed(now, conn);
            }
            OwnerInput::Overheard(topic, payload, orders) => {
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
            OwnerInput::Do(act) => act(&mut self.platform, now),
            OwnerInput::Wait(holds, answer) => self.waiting.push((holds, answer)),
            OwnerInput::Stop => {}
        }
    }

    fn open(&mut self, orders: mpsc::Sender<ConnectionOrder>, foreign: bool) -> Conn {
        self.conns += 1;
        let conn = Conn(self.conns);
        self.outboxes
            .insert(conn, ConnectionOutbox { orders, foreign });
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
                    let _ = outbox.orders.try_send(ConnectionOrder::Close);
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
            let closes = matches!(order, ConnectionOrder::Close);
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

fn order(output: Output) -> ConnectionOrder {
    ConnectionOrder::Send(match output {
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
        Output::Close { .. } => return ConnectionOrder::Close,
    })
}

/// Returns the MQTT name of a CONNACK code (MQTT 3.1.1 §3.2.2.3).
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
