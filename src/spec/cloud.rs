//! The platform side: the broker, the gateway's identity there, and the platform's limits.

use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::remote::RemotePolicy;
use super::store::StorePolicy;
use crate::base::{DeviceName, ProductKey, Secret};

/// The part of the configuration that concerns the platform.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CloudSpec {
    /// The broker to connect to.
    pub broker: BrokerSpec,
    /// The gateway's identity.
    pub gateway: GatewayIdentity,
    /// How the gateway and its sub-devices sign. Default HMAC-SHA256.
    pub sign_method: SignMethod,
    /// Secrets of sub-devices' products, where known. A sub-device of such a product that has no
    /// secret is registered with its product's signature (`product_register`), any other
    /// sub-device by its name alone (`sub/register`).
    pub products: BTreeMap<ProductKey, Secret>,
    /// Limits and deadlines of sessions.
    pub session: SessionLimits,
    /// How readings are sent.
    pub post: PostPolicy,
    /// How readings that cannot be delivered are kept.
    pub store: StorePolicy,
    /// Whether the platform may configure what hangs on the field buses.
    pub remote: RemotePolicy,
}

/// The MQTT endpoint.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BrokerSpec {
    /// Host name or address.
    pub host: String,
    /// TCP port. Default 8883 with TLS, 1883 without.
    pub port: u16,
    /// TLS unless the URL said `mqtt://`.
    pub transport: Transport,
    /// MQTT keepalive, 30–1200 s; default 300 (the platform refuses others and
    /// recommends 300 or more).
    pub keepalive: Duration,
    /// The longest time from the first packet to CONNACK. Default 10 s.
    pub connect_timeout: Duration,
    /// Whether the platform or the gateway subscribes to the reply topics.
    pub subscriptions: Subscriptions,
}

impl BrokerSpec {
    /// Returns whether the broker is a laboratory: plain TCP to this machine. Only with such a
    /// broker is a remote configuration downloaded over plain HTTP, and from this machine.
    #[must_use]
    pub fn is_laboratory(&self) -> bool {
        let address = self.host.parse::<core::net::IpAddr>();
        let here = self.host == "localhost" || address.is_ok_and(|ip| ip.is_loopback());
        here && self.transport == Transport::Plain
    }
}

/// How bytes travel to the broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Transport {
    /// TLS with the system's roots, plus this PEM file if given.
    Tls {
        /// Further trusted roots.
        ca_file: Option<PathBuf>,
    },
    /// Plain TCP, for laboratories and old accounts.
    Plain,
}

/// Whether the platform or the gateway subscribes to the reply topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Subscriptions {
    /// The platform subscribes (`_ss=1`); the gateway adds what the platform's published list
    /// leaves out.
    Platform,
    /// A plain MQTT broker stands between the gateway and the platform: the gateway subscribes to
    /// everything, for sub-devices by wildcard.
    Broker,
}

/// The identity of the gateway, and the secret that proves it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GatewayIdentity {
    /// Product of the gateway.
    pub product_key: ProductKey,
    /// Name of the gateway.
    pub device_name: DeviceName,
    /// The secret that proves the identity.
    pub certificate: GatewayCertificate,
}

/// The secret that a gateway is given to prove its identity.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum GatewayCertificate {
    /// The gateway's own secret, from the console: a secret of this device alone.
    Device(Secret),
    /// The secret of its product, the same in every box. The gateway asks the platform once for
    /// its own secret, and keeps that.
    Product(ProductCertificate),
}

/// The secret of a product: "One product certificate" of "MQTT-based dynamic registration".
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProductCertificate {
    /// The ProductSecret.
    pub secret: Secret,
    /// The way of registration.
    pub registration: Registration,
    /// The id of the instance, where the instance is a bought one: `iot-…`.
    pub instance_id: Option<String>,
}

/// The two ways of dynamic registration of a device that connects by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Registration {
    /// The device's name is in the console already; the platform gives the device a DeviceSecret.
    Register,
    /// The device's name is not in the console ("no whitelist"); the platform creates the device
    /// and gives it a token.
    RegNwl,
}

/// How a device proves that it knows its secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum SignMethod {
    /// HMAC-MD5.
    HmacMd5,
    /// HMAC-SHA1.
    HmacSha1,
    /// HMAC-SHA256.
    HmacSha256,
}

impl SignMethod {
    /// Returns the method as the platform spells it in CONNECT's client id.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            SignMethod::HmacMd5 => "hmacmd5",
            SignMethod::HmacSha1 => "hmacsha1",
            SignMethod::HmacSha256 => "hmacsha256",
        }
    }
}

/// Limits and deadlines of sub-device sessions. The platform's pages disagree across the years,
/// so each limit is configuration with today's default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SessionLimits {
    /// Devices per batch message: 50 ("Connect or disconnect sub-devices";
    /// 5 in 2020).
    pub batch: usize,
    /// Sub-devices online at once: 2,000 (same page; 1,500 in 2020).
    pub online: usize,
    /// How long a log-in or log-out waits for others, to be sent in a batch. Default 250 ms.
    pub linger: Duration,
    /// The longest time a request waits for its reply. Default 10 s: QoS 0 loses messages, so
    /// every request has a deadline. The deadline is shorter, down to 2 s, where replies have
    /// come sooner.
    pub reply_timeout: Duration,
    /// First wait after a failed attempt; it doubles with jitter. Default 2 s.
    pub retry_floor: Duration,
    /// Longest wait between attempts. Default 5 min.
    pub retry_ceiling: Duration,
    /// How often one device may be submitted to log-in in any 60 s: 4 times. The platform answers
    /// 429 above 5.
    pub logins_per_minute: usize,
    /// How many devices may be submitted to log-in in any second: 200. The platform publishes
    /// "200 QPS" per gateway without saying whether a batch counts once or by its members; the
    /// narrower reading is the default.
    pub logins_per_second: u32,
    /// How many requests of one kind, log-in or log-out, may wait for a reply at once. Default 8:
    /// with a fifth of all messages lost, 2,000 devices still log in and out within half a
    /// minute.
    pub in_flight: usize,
    /// What the gateway does to its topology on the platform. Default
    /// [`TopologyPolicy::Add`].
    pub topology: TopologyPolicy,
    /// Whether devices that answer on their bus but that the platform does not
    /// know are reported to it (`thing/list/found`). Default no.
    pub report_unknown: bool,
}

/// What the gateway changes by itself in its topology: the platform's persistent list of which
/// sub-device belongs to which gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum TopologyPolicy {
    /// Adds configured devices that are missing.
    Add,
    /// Adds missing devices and deletes devices that are not configured, but never more than half
    /// of the list.
    Mirror,
    /// Changes nothing; a person edits the topology in the console.
    Leave,
}

impl Default for SessionLimits {
    fn default() -> Self {
        SessionLimits {
            batch: 50,
            online: 2000,
            linger: Duration::from_millis(250),
            reply_timeout: Duration::from_secs(10),
            retry_floor: Duration::from_secs(2),
            retry_ceiling: Duration::from_secs(300),
            logins_per_minute: 4,
            logins_per_second: 200,
            in_flight: 8,
            topology: TopologyPolicy::Add,
            report_unknown: false,
        }
    }
}

/// How readings are sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PostPolicy {
    /// Messages a second over the whole connection: 25. The platform silently drops messages
    /// beyond 30/s at QoS 0 ("Limits").
    pub messages_per_second: u32,
    /// Sub-devices per pack: 20 (error 6357 above).
    pub pack_devices: usize,
    /// Properties per message: 200 (error 6106 above).
    pub pack_properties: usize,
    /// Bytes per message: 200,000. The platform discards messages above 256 KB.
    pub message_bytes: usize,
    /// How long a reading waits for others, to be sent in one message. Default 500 ms.
    pub linger: Duration,
    /// How long a post waits for its reply before it is sent again, unless a later post has been
    /// answered. Default 15 s. The time is shorter, down to 2 s, where replies have come sooner,
    /// and longer, up to 60 s, where they come later.
    pub reply_timeout: Duration,
    /// How many posts may wait for a reply at once. Default 512: at 25 messages a second, replies
    /// may take 20 s before posts wait for them.
    pub in_flight: usize,
    /// How many readings are held in memory until they are delivered; the oldest are dropped
    /// first and counted. Default 100,000.
    pub queue: usize,
    /// Whether more values may be configured than can be sent. Default no.
    pub allow_overload: bool,
}

impl Default for PostPolicy {
    fn default() -> Self {
        PostPolicy {
            messages_per_second: 25,
            pack_devices: 20,
            pack_properties: 200,
            message_bytes: 200_000,
            linger: Duration::from_millis(500),
            reply_timeout: Duration::from_secs(15),
            in_flight: 512,
            queue: 100_000,
            allow_overload: false,
        }
    }
}
