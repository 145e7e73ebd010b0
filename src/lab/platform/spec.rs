//! What a platform model is built from: the registered devices, the topology, the
//! limits, and its behaviour where the documents are silent.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::base::{DeviceName, ProductKey, Secret};
use crate::spec::{GatewayCertificate, Registration, Spec};

/// How long a connection for registration is left open.
const REGISTRATION: Duration = Duration::from_secs(15);

/// A device as the platform names it: the pair that appears in every topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Device {
    /// Its product.
    pub product_key: ProductKey,
    /// Its name within the product.
    pub device_name: DeviceName,
}

impl Device {
    /// Builds the device of this product with this name.
    #[must_use]
    pub fn new(product_key: &str, device_name: &str) -> Self {
        Device {
            product_key: ProductKey::new(product_key),
            device_name: DeviceName::new(device_name),
        }
    }
}

impl Device {
    /// Returns the device that `{deviceName}&{productKey}` names.
    pub(super) fn of_username(username: &str) -> Option<Self> {
        let (name, product) = username.split_once('&')?;
        (!name.is_empty() && !product.is_empty()).then(|| Device::new(product, name))
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.product_key, self.device_name)
    }
}

/// A registered device and its secret, for gateways and sub-devices alike: the platform
/// tells the two kinds apart by their requests.
#[derive(Clone, Debug, PartialEq)]
pub struct Certificate {
    /// Its product.
    pub product_key: ProductKey,
    /// Its name.
    pub device_name: DeviceName,
    /// The secret with which it signs.
    pub secret: Secret,
}

impl Certificate {
    /// Returns the device of the certificate.
    #[must_use]
    pub fn device(&self) -> Device {
        Device {
            product_key: self.product_key.clone(),
            device_name: self.device_name.clone(),
        }
    }
}

/// A product that devices may register with ("MQTT-based dynamic registration"),
/// by themselves or through a gateway.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    /// Its key.
    pub product_key: ProductKey,
    /// Its ProductSecret.
    pub secret: Secret,
    /// Whether a device known to the console may ask for its secret.
    pub register: bool,
    /// Whether a device unknown to the console may ask for a token; through a gateway,
    /// for a secret.
    pub regnwl: bool,
}

/// Everything a platform model starts from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlatformSpec {
    /// Every registered device.
    pub certificates: Vec<Certificate>,
    /// Products with dynamic registration.
    pub products: Vec<Product>,
    /// Which sub-device hangs under which gateway: (gateway, sub-device).
    pub topology: Vec<(Device, Device)>,
    /// Devices of the LoRa kind, known only as Inactive and Online: the platform cannot
    /// see them leave. They stay Online when the connection of their gateway ends; only
    /// its log-out turns them off ("Bring devices online and offline").
    pub lora: BTreeSet<Device>,
    /// Products whose dynamic registration is switched off (6288).
    pub registration_off: BTreeSet<ProductKey>,
    /// Behaviour where the documents are silent or disagree.
    pub switches: Switches,
    /// Quotas and times.
    pub limits: Limits,
}

impl PlatformSpec {
    /// Builds a platform that knows this installation: its gateway and all its devices
    /// are registered and every device hangs under the gateway.
    #[must_use]
    pub fn knowing(spec: &Spec) -> Self {
        let identity = &spec.cloud.gateway;
        let (secret, product) = match &identity.certificate {
            GatewayCertificate::Device(secret) => (secret.clone(), None),
            // Registered, and never online: its secret was not handed out yet.
            GatewayCertificate::Product(product) => (Secret::new("unseen"), Some(product)),
        };
        let gateway = Certificate {
            product_key: identity.product_key.clone(),
            device_name: identity.device_name.clone(),
            secret,
        };
        let subs = spec.devices.iter().map(|d| Certificate {
            product_key: d.product_key.clone(),
            device_name: d.device_name.clone(),
            secret: match d.secret.is_empty() {
                // It registers, and its secret was not handed out yet either.
                true => Secret::new(format!("unseen-{}", d.device_name)),
                false => d.secret.clone(),
            },
        });
        let mut platform = Self::gateway_with(gateway, subs.collect());
        if let Some(product) = product {
            if product.registration == Registration::RegNwl {
                platform.certificates.remove(0);
            }
            platform.products.push(Product {
                product_key: identity.product_key.clone(),
                secret: product.secret.clone(),
                register: product.registration == Registration::Register,
                regnwl: product.registration == Registration::RegNwl,
            });
        }
        let others = spec.cloud.products.iter();
        platform
            .products
            .extend(others.map(|(key, secret)| Product {
                product_key: key.clone(),
                secret: secret.clone(),
                register: true,
                regnwl: false,
            }));
        platform
    }

    /// Builds a platform that knows one gateway with these sub-devices under it.
    #[must_use]
    pub fn gateway_with(gateway: Certificate, subs: Vec<Certificate>) -> Self {
        let above = gateway.device();
        let topology = subs.iter().map(|s| (above.clone(), s.device())).collect();
        let mut certificates = vec![gateway];
        certificates.extend(subs);
        PlatformSpec {
            certificates,
            topology,
            ..PlatformSpec::default()
        }
    }
}

/// Quotas and times, with the newest published value of each as default.
///
/// Sources: "Limits" (product-overview/limits), "Connect or disconnect
/// sub-devices", "Bring devices online and offline", "Device properties,
/// events, and services".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Shortest MQTT keepalive, seconds: 30.
    pub keepalive_least: u16,
    /// Longest MQTT keepalive, seconds: 1200.
    pub keepalive_most: u16,
    /// How often the platform looks for silent connections: 30 s.
    pub keepalive_tick: Duration,
    /// CONNECTs of one device in any 60 s: 5.
    pub connects_per_minute: usize,
    /// Sub-devices in one batch log-in or log-out: 50.
    pub batch: usize,
    /// Sub-devices online at once under one gateway: 2,000.
    pub online: usize,
    /// Log-ins of one sub-device in any 60 s before it is answered 429: 5.
    pub logins_per_minute: usize,
    /// Log-ins of one gateway per second: 200.
    pub logins_per_second: u32,
    /// Sub-devices in one topology request: 30.
    pub topology: usize,
    /// Sub-devices in one pack post: 20.
    pub pack_devices: usize,
    /// Properties in one message: 200.
    pub pack_properties: usize,
    /// Upstream messages in any second at QoS 0: 30.
    pub messages_qos0: usize,
    /// Upstream messages in any second at QoS 1: 10.
    pub messages_qos1: usize,
    /// Bytes of one payload: 256 KiB.
    pub payload: usize,
    /// Bytes of one custom topic: 128.
    pub topic: usize,
    /// Subscriptions of one connection: 100.
    pub subscriptions: usize,
    /// Topic filters in one SUBSCRIBE: 8.
    pub filters: usize,
    /// How long a connection for registration is left open: 15 s.
    pub registration: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            keepalive_least: 30,
            keepalive_most: 1200,
            keepalive_tick: Duration::from_secs(30),
            connects_per_minute: 5,
            batch: 50,
            online: 2000,
            logins_per_minute: 5,
            logins_per_second: 200,
            topology: 30,
            pack_devices: 20,
            pack_properties: 200,
            messages_qos0: 30,
            messages_qos1: 10,
            payload: 256 * 1024,
            topic: 128,
            subscriptions: 100,
            filters: 8,
            registration: REGISTRATION,
        }
    }
}

/// What the platform does where its documents are silent, disagree, or were never
/// checked against the live service. A client must work with every setting; the
/// defaults are the likeliest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switches {
    /// Which devices the reply to a failed batch names.
    pub failed_batch_names: FailedBatchNames,
    /// Which code a failed batch is answered with if its members are refused for
    /// different reasons.
    pub failed_batch_code: FailedBatchCode,
    /// Whether `code` of a batch reply is `"200"` (the page's examples) or 200
    /// (its table). Single replies always carry a number.
    pub batch_code_is_text: bool,
    /// Whether a batch sent to `combine/login`, as the page prints, is served;
    /// else it is answered 460, as no real client sends it there.
    pub batch_on_single_topic: bool,
    /// Whether the per-second log-in quota counts devices; else messages.
    pub login_quota_counts_devices: bool,
    /// Whether refused log-ins count towards 5 in 60 s.
    pub refused_logins_count: bool,
    /// Whether adding a sub-device of another gateway moves it here; else the request
    /// is refused with 6401.
    pub topology_moves: bool,
    /// Whether a registration serves the devices it can and leaves out the others with
    /// code 200; else one refusal fails the whole request.
    pub register_partly: bool,
    /// Whether `product_register` serves devices that hang under another
    /// gateway, as a comment in the C SDK's header says; else 6619.
    pub proxy_takes_over: bool,
    /// Whether the reply to `product_register` has its list inside an object, as its
    /// request has; else it is like the reply to `sub/register`.
    pub proxy_data_nested: bool,
    /// Code of a log-in of a disabled device: 522 (log-in page) or 6204 (error
    /// list).
    pub disabled: u16,
    /// Code of the notice that a session was taken over: 427, or 527 of the
    /// 2020 list.
    pub taken_over: u16,
    /// CONNACK code of a keepalive out of range: 2.
    pub connack_keepalive: u8,
    /// CONNACK code of a disabled or deleted gateway: 4.
    pub connack_disabled: u8,
    /// CONNACK code of a CONNECT above the quota; `None` just closes.
    pub connack_too_many: Option<u8>,
    /// CONNACK code of a registration of a device that has been online (6289): 4.
    pub connack_activated: u8,
    /// Whether the answer to `regnwl` comes on `/ext/regnwl`, as the SDKs have
    /// it; else on `/ext/register`, as the page has it.
    pub regnwl_on_its_own_topic: bool,
    /// The one `securemode` that `regnwl` may carry: -2 (the page of 2020), 2
    /// (older ones, and the SDKs); `None` takes both.
    pub regnwl_securemode: Option<i8>,
    /// Whether registration is served without TLS, for laboratories.
    pub registration_over_plain: bool,
    /// Whether messages to which the platform does not subscribe a device by itself
    /// must have been subscribed: with `_ss=1` those missing from the published list,
    /// without it all but `/ext/…`. Else everything is delivered except
    /// `property/batch/post_reply` and custom topics.
    pub strict_delivery: bool,
    /// Whether a subscription with a wildcard for product or device is granted.
    pub wildcard_identity: bool,
    /// What becomes of a pack post that names a sub-device without a session.
    pub pack_out_of_session: PackOutOfSession,
    /// What becomes of a post on the topic of a sub-device without a session.
    pub post_out_of_session: PostOutOfSession,
    /// Whether the message quota drops the messages above it.
    pub message_quota: bool,
    /// Which notices a gateway receives, and in which order, when a sub-device is
    /// disabled, enabled, deleted or removed from the topology.
    pub change_channels: Vec<ChangeChannel>,
}

impl Default for Switches {
    fn default() -> Self {
        Switches {
            failed_batch_names: FailedBatchNames::Culprits,
            failed_batch_code: FailedBatchCode::First,
            batch_code_is_text: true,
            batch_on_single_topic: false,
            login_quota_counts_devices: true,
            refused_logins_count: true,
            topology_moves: true,
            register_partly: false,
            proxy_takes_over: true,
            proxy_data_nested: false,
            disabled: 522,
            taken_over: 427,
            connack_keepalive: 2,
            connack_disabled: 4,
            connack_too_many: None,
            connack_activated: 4,
            regnwl_on_its_own_topic: true,
            regnwl_securemode: None,
            registration_over_plain: false,
            strict_delivery: false,
            wildcard_identity: false,
            pack_out_of_session: PackOutOfSession::Taken,
            post_out_of_session: PostOutOfSession::Told,
            message_quota: true,
            change_channels: vec![
                ChangeChannel::Thing,
                ChangeChannel::ExtError,
                ChangeChannel::TopologyChange,
            ],
        }
    }
}

/// Which devices the reply to a failed batch names in `data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedBatchNames {
    /// The devices that were refused.
    Culprits,
    /// All devices in the request.
    All,
    /// No device: `[]`.
    NoDevice,
}

/// Which code a failed batch is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedBatchCode {
    /// The code of the first refused member, in the order of the request.
    First,
    /// The code of the last one.
    Last,
}

/// What becomes of a pack post that names a sub-device without a session. The published
/// errors of a pack name the topology and not the session, so that topology may be
/// enough; another page says that every message for a device without a session is
/// dropped with a 520.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackOutOfSession {
    /// It is taken: topology is enough.
    Taken,
    /// The whole pack is refused with 520.
    Refused,
    /// The part of the device is dropped and a 520 on `/ext/error` reports it; the pack
    /// is answered 200 after that.
    DroppedAndTold,
    /// The same, and the 520 follows the answer.
    DroppedToldAfter,
}

/// How the platform reports a post on the topic of a sub-device without a session,
/// which it drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PostOutOfSession {
    /// By a 520 on `/ext/error`.
    Told,
    /// By a reply with 520.
    Refused,
    /// Not at all.
    Unanswered,
}

/// The three ways a change in the console reaches a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeChannel {
    /// `thing/disable`, `thing/enable`, `thing/delete` on the device's topic.
    Thing,
    /// `/ext/error` on the gateway's, if the device had a session.
    ExtError,
    /// `thing/topo/change` on the gateway's.
    TopologyChange,
}
