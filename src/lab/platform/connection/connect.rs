//! Connections: which are accepted, which are closed, and which fell silent.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::base::Now;
use crate::lab::platform::fault::ConnectionEnd;
use crate::lab::platform::messages::outbox::Recent;
use crate::lab::platform::messages::sign;
use crate::lab::platform::messages::sign::Method;
use crate::lab::platform::messages::topic;
use crate::lab::platform::record::ledger::{Event, Violation};
use crate::lab::platform::{Conn, Device, Link, Output, Platform, State};

/// The span in which CONNECTs are counted.
const MINUTE: Duration = Duration::from_secs(60);
/// How long a rival waits after a refusal for its many CONNECTs.
const RIVAL_AGAIN: Duration = Duration::from_secs(10);

/// What a CONNECT packet says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connect {
    /// `{base}|securemode=…,signmethod=…[,timestamp=…][,_ss=1]…|`
    pub client_id: String,
    /// `{deviceName}&{productKey}`
    pub username: String,
    /// Hex HMAC.
    pub password: String,
    /// Seconds.
    pub keepalive_secs: u16,
    /// MQTT clean session.
    pub clean_session: bool,
    /// Whether the CONNECT carries a will.
    pub will: bool,
    /// Whether the CONNECT came over TLS.
    pub tls: bool,
}

/// The reason why a CONNECT was not accepted.
pub(crate) struct Refusal {
    who: Option<Device>,
    code: Option<u8>,
    why: &'static str,
}

impl Refusal {
    pub(crate) fn of(who: Option<&Device>, code: Option<u8>, why: &'static str) -> Self {
        Refusal {
            who: who.cloned(),
            code,
            why,
        }
    }
}

/// The extensions of a client id.
pub(crate) struct Extensions<'a> {
    base: &'a str,
    pub securemode: Option<&'a str>,
    pub signmethod: Option<&'a str>,
    timestamp: Option<&'a str>,
    pub auth_type: Option<&'a str>,
    pub random: Option<&'a str>,
    subscribes: bool,
}

impl<'a> Extensions<'a> {
    /// Parses `{base}|k=v,k=v|`; a comma too many before the last bar is tolerated, as
    /// one official SDK writes it.
    pub(crate) fn parse(client_id: &'a str) -> Option<Self> {
        let (base, rest) = client_id.split_once('|')?;
        let list = rest.strip_suffix('|')?;
        if base.is_empty() || base.chars().count() > 64 || list.contains('|') {
            return None;
        }
        let mut it = Extensions {
            base,
            securemode: None,
            signmethod: None,
            timestamp: None,
            auth_type: None,
            random: None,
            subscribes: false,
        };
        for pair in list.split(',').filter(|p| !p.is_empty()) {
            let (key, value) = pair.split_once('=')?;
            match key {
                "securemode" => it.securemode = Some(value),
                "signmethod" => it.signmethod = Some(value),
                "timestamp" => it.timestamp = Some(value),
                "authType" => it.auth_type = Some(value),
                "random" => it.random = Some(value),
                "_ss" => it.subscribes = value == "1",
                _ => {}
            }
        }
        Some(it)
    }
}

impl Platform {
    /// Handles a CONNECT.
    pub fn on_connect(&mut self, now: Now, conn: Conn, asked: &Connect) {
        self.now = now.mono;
        if self.faults.is_deaf() {
            return;
        }
        self.ledger.counts().connects += 1;
        if self.links.contains_key(&conn) || self.registrar.holds(conn) {
            self.close(now, conn, "a second CONNECT on one connection");
            return;
        }
        if self.on_registration(now, conn, asked) {
            return;
        }
        match self.admit(now, asked) {
            Ok(mut link) => {
                if asked.will {
                    let gateway = link.gateway.to_string();
                    self.ledger.broke(Violation::Will, || gateway);
                }
                let kept = self.kept.remove(&link.gateway);
                let kept = kept.filter(|_| !asked.clean_session);
                let session_present = kept.is_some();
                link.filters = kept.unwrap_or_default();
                self.accept_connection(now, conn, link);
                self.outbox.push(Output::ConnAck {
                    conn,
                    code: 0,
                    session_present,
                });
            }
            Err(refusal) => self.refuse(now, conn, refusal),
        }
    }

    pub(crate) fn refuse(&mut self, now: Now, conn: Conn, refusal: Refusal) {
        let Refusal { who, code, why } = refusal;
        self.ledger.event(now, Event::Refused { who, code, why });
        if let Some(code) = code {
            self.outbox.push(Output::ConnAck {
                conn,
                code,
                session_present: false,
            });
        }
        self.outbox.push(Output::Close { conn, why });
    }

    /// Counts a CONNECT of this device, and refuses CONNECTs above 5 in 60 s.
    pub(crate) fn count_connect(&mut self, now: Now, device: &Device) -> Result<(), Refusal> {
        let attempts = self.connects.entry(device.clone()).or_default();
        if attempts.note(now.mono, MINUTE) > self.limits.connects_per_minute {
            let code = self.switches.connack_too_many;
            let why = "too many CONNECTs in a minute";
            self.ledger
                .broke(Violation::ConnectQuota, || device.to_string());
            return Err(Refusal::of(Some(device), code, why));
        }
        Ok(())
    }

    /// Applies the rules in their published order ("Establish MQTT connections over
    /// TCP", doc 73742; "Bring devices online and offline").
    fn admit(&mut self, now: Now, asked: &Connect) -> Result<Link, Refusal> {
        let refused = Refusal::of;
        let said = Extensions::parse(&asked.client_id)
            .ok_or_else(|| refused(None, Some(2), "malformed client id"))?;
        let device = Device::of_username(&asked.username)
            .ok_or_else(|| refused(None, Some(4), "malformed user name"))?;
        let (product, name) = (&device.product_key, &device.device_name);
        let Some(account) = self.accounts.get(&device) else {
            return Err(refused(Some(&device), Some(4), "unknown device"));
        };
        let (secret, state) = (account.secret.clone(), account.state);
        self.count_connect(now, &device)?;
        let by_token = match said.auth_type {
            None => false,
            Some("connwl") => true,
            Some(_) => return Err(refused(Some(&device), Some(2), "unknown authType")),
        };
        let wanted = match (by_token, asked.tls) {
            (true, true) => "-2",
            (true, false) if self.switches.registration_over_plain => "-2",
            (true, false) => return Err(refused(Some(&device), Some(2), "a token without TLS")),
            (false, true) => "2",
            (false, false) => "3",
        };
        if said.securemode != Some(wanted) {
            let why = "securemode does not fit the transport";
            return Err(refused(Some(&device), Some(2), why));
        }
        let Some(method) = Method::parse(said.signmethod.unwrap_or("hmacmd5")) else {
            return Err(refused(Some(&device), Some(2), "unknown signmethod"));
        };
        let range = self.limits.keepalive_least..=self.limits.keepalive_most;
        if !range.contains(&asked.keepalive_secs) {
            self.ledger.broke(Violation::Keepalive, || {
                format!("{device}: {} s", asked.keepalive_secs)
            });
            let code = self.switches.connack_keepalive;
            return Err(refused(Some(&device), Some(code), "keepalive out of range"));
        }
        let mut content = format!("clientId{}deviceName{name}productKey{product}", said.base);
        if let Some(timestamp) = said.timestamp {
            content.push_str("timestamp");
            content.push_str(timestamp);
        }
        let proven = if by_token {
            self.shows_token(&device, said.base, &asked.password)
        } else {
            sign::holds(method, secret.expose(), &content, &asked.password)
        };
        if !proven {
            self.ledger.broke(Violation::BadSign, || device.to_string());
            return Err(refused(Some(&device), Some(4), "the signature is wrong"));
        }
        if state != State::Enabled {
            let code = self.switches.connack_disabled;
            let why = "the device is disabled or deleted";
            return Err(refused(Some(&device), Some(code), why));
        }
        Ok(Link {
            gateway: device,
            keepalive: Some(Duration::from_secs(asked.keepalive_secs.into())),
            last_heard: now.mono,
            subscribed_by_platform: said.subscribes,
            clean: asked.clean_session,
            filters: BTreeSet::new(),
            sent: Recent::default(),
            sent_qos0: Recent::default(),
            sent_qos1: Recent::default(),
            posts: Recent::default(),
            ends: None,
        })
    }

    /// Accepts a connection; the newer connection of a certificate wins.
    pub(in crate::lab::platform) fn accept_connection(
        &mut self,
        now: Now,
        conn: Conn,
        mut link: Link,
    ) {
        if let Some(older) = self.connection(&link.gateway) {
            self.close(now, older, "kicked by the same device");
        }
        self.registrar.activated(&link.gateway);
        self.ledger
            .event(now, Event::Connected(link.gateway.clone()));
        self.gateways.insert(link.gateway.clone(), conn);
        link.ends = self.faults.end(now.mono);
        self.links.insert(conn, link);
    }

    pub(crate) fn close(&mut self, now: Now, conn: Conn, why: &'static str) {
        self.end(now, conn, why);
        self.outbox.push(Output::Close { conn, why });
    }

    /// Ends a connection and with it all its sessions (doc 100555).
    pub(crate) fn end(&mut self, now: Now, conn: Conn, why: &'static str) {
        self.outbox.forget(conn);
        self.registrar.closed(conn);
        let Some(link) = self.links.remove(&conn) else {
            return;
        };
        let before = self.sessions.len();
        self.sessions.retain(|device, session| {
            let ended = session.conn == conn;
            if ended && self.lora.contains(device) {
                self.shown_online.insert(device.clone());
            }
            !ended
        });
        self.ledger.forget_ids(conn);
        self.gateways.remove(&link.gateway);
        // All sessions are gone now, and the gateway knows it.
        let lost = std::mem::take(&mut self.lost).into_iter();
        let elsewhere = lost.filter(|device| self.gateway_of(device) != Some(&link.gateway));
        self.lost = elsewhere.collect();
        if !link.clean {
            self.kept.insert(link.gateway.clone(), link.filters);
        }
        self.ledger.event(
            now,
            Event::Disconnected {
                gateway: link.gateway,
                why,
                sessions: before - self.sessions.len(),
            },
        );
    }

    /// Decides when connections end by themselves, as the faults of the moment say.
    pub(crate) fn arrange_ends(&mut self, now: Now) {
        for link in self.links.values_mut() {
            link.ends = self.faults.end(now.mono);
        }
    }

    /// Closes connections that a fault ends: those of a server that does not hold them,
    /// and those of a gateway whose rival connects now. A rival that may not connect
    /// yet tries again.
    pub(crate) fn end_by_themselves(&mut self, now: Now) {
        let due = |link: &Link| link.ends.is_some_and(|(at, _)| at <= now.mono);
        let due = self.links.iter().filter(|(_, link)| due(link));
        let due: Vec<Conn> = due.map(|(conn, _)| *conn).collect();
        for conn in due {
            let Some(link) = self.links.get_mut(&conn) else {
                continue;
            };
            if link.ends.is_none_or(|(_, why)| why == ConnectionEnd::Flap) {
                self.close(now, conn, "the server did not hold");
                continue;
            }
            let attempts = self.connects.entry(link.gateway.clone()).or_default();
            if attempts.note(now.mono, MINUTE) > self.limits.connects_per_minute {
                attempts.unnote();
                link.ends = Some((now.mono + RIVAL_AGAIN, ConnectionEnd::Rival));
                continue;
            }
            self.ledger.counts().connects += 1;
            self.close(now, conn, "kicked by the same device");
        }
    }

    /// Closes, at every tick, connections that have been silent for more than one and a
    /// half keepalives: after 1.5·K to 1.5·K + one tick.
    pub(crate) fn look_for_silent(&mut self, now: Now) {
        while self.next_look <= now.mono {
            let look = self.next_look;
            let silent: Vec<Conn> = self
                .links
                .iter()
                .filter(|(_, link)| {
                    link.keepalive
                        .is_some_and(|k| look.since(link.last_heard) > k * 3 / 2)
                })
                .map(|(conn, _)| *conn)
                .collect();
            for conn in silent {
                self.close(now, conn, "keepalive timeout");
            }
            let tick = self.limits.keepalive_tick.max(Duration::from_millis(1));
            self.next_look = look + tick;
            if !self.links.values().any(|l| l.keepalive.is_some()) {
                // There is no connection to look at: jump to the first look after now.
                let past = now.mono.since(self.next_look).as_micros();
                let skipped = past.div_ceil(tick.as_micros());
                let skipped = u32::try_from(skipped).unwrap_or(u32::MAX);
                self.next_look = self.next_look + tick.saturating_mul(skipped);
                if self.next_look <= now.mono {
                    self.next_look = self.next_look + tick;
                }
            }
        }
    }

    /// Returns whether this connection may subscribe this filter: its own topics, and
    /// those of sub-devices that have a session on it.
    pub(crate) fn may_subscribe(&self, conn: Conn, filter: &str) -> bool {
        let Some(link) = self.links.get(&conn) else {
            return false;
        };
        if !topic::is_filter(filter) {
            return false;
        }
        let Some((product, name)) = topic::whose(filter) else {
            return filter.starts_with("/ext/");
        };
        if [product, name].iter().any(|s| *s == "+" || *s == "#") {
            return self.switches.wildcard_identity;
        }
        let device = Device::new(product, name);
        device == link.gateway || self.sessions.get(&device).is_some_and(|s| s.conn == conn)
    }
}
