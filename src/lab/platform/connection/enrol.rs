//! Dynamic registration of a device that connects by itself ("MQTT-based dynamic
//! registration"): a CONNECT signed with the secret of the product, one message with a
//! secret or a token, and the end.
//!
//! A connection for registration belongs to no gateway: it displaces no other
//! connection, it has no sessions, and every message that arrives on it is ignored.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::connect::{Connect, Extensions, Refusal};
use crate::base::{Mono, Now, ProductKey, Rng, Secret, Wake};
use crate::lab::platform::messages::sign;
use crate::lab::platform::messages::sign::Method;
use crate::lab::platform::record::ledger::{Event, Violation};
use crate::lab::platform::spec::Product;
use crate::lab::platform::{Account, Conn, Device, Output, Platform, State};

/// The products whose devices may register, and the devices that did.
#[derive(Clone, Debug, Default)]
pub(crate) struct Registrar {
    products: BTreeMap<ProductKey, Product>,
    /// Devices that have connected: further registrations are refused (6289).
    activated: BTreeSet<Device>,
    /// Client id and token of devices registered without a name.
    tokens: BTreeMap<Device, (String, String)>,
    open: BTreeMap<Conn, Mono>,
    issued: u64,
}

impl Registrar {
    pub(crate) fn new(products: Vec<Product>) -> Self {
        let products = products.into_iter();
        Registrar {
            products: products.map(|p| (p.product_key.clone(), p)).collect(),
            ..Registrar::default()
        }
    }

    /// Notes that the device has connected.
    pub(crate) fn activated(&mut self, device: &Device) {
        self.activated.insert(device.clone());
    }

    /// Returns what is registered of this product.
    pub(crate) fn product(&self, key: &ProductKey) -> Option<&Product> {
        self.products.get(key)
    }

    /// Notes that the connection is over.
    pub(crate) fn closed(&mut self, conn: Conn) {
        self.open.remove(&conn);
    }

    /// Returns whether this connection is for registration.
    pub(crate) fn holds(&self, conn: Conn) -> bool {
        self.open.contains_key(&conn)
    }

    pub(crate) fn wake_at(&self) -> Option<Wake> {
        let first = self.open.values().min()?;
        Some(Wake::new(*first, "the end of a registration"))
    }

    /// Returns 32 hexadecimal digits that were never given before.
    pub(crate) fn fresh(&mut self) -> String {
        self.issued += 1;
        let mut rng = Rng::new(self.issued);
        format!("{:016x}{:016x}", rng.next_u64(), rng.next_u64())
    }
}

/// The answer to a registration.
struct Granted {
    device: Device,
    topic: &'static str,
    payload: serde_json::Value,
}

impl Platform {
    /// Returns whether the device was ever connected.
    #[must_use]
    pub fn is_activated(&self, device: &Device) -> bool {
        self.registrar.activated.contains(device)
    }

    /// Adds a product with dynamic registration, or changes one.
    pub fn add_product(&mut self, product: Product) {
        let key = product.product_key.clone();
        self.registrar.products.insert(key, product);
    }

    /// Resets a device at the console, as if it had never connected.
    pub fn reset(&mut self, device: &Device) -> bool {
        self.registrar.tokens.remove(device);
        self.registrar.activated.remove(device)
    }

    /// Handles a CONNECT that asks for registration; false if it does not.
    pub(crate) fn on_registration(&mut self, now: Now, conn: Conn, asked: &Connect) -> bool {
        let Some(said) = Extensions::parse(&asked.client_id) else {
            return false;
        };
        let without_name = match said.auth_type {
            Some("register") => false,
            Some("regnwl") => true,
            _ => return false,
        };
        match self.grant(now, asked, &said, without_name) {
            Ok(granted) => {
                self.outbox.push(Output::ConnAck {
                    conn,
                    code: 0,
                    session_present: false,
                });
                self.registrar
                    .open
                    .insert(conn, now.mono + self.limits.registration);
                self.ledger.event(now, Event::Registered(granted.device));
                let payload = granted.payload.to_string().into_bytes();
                self.send(now, conn, granted.topic.to_owned(), payload);
            }
            Err(refusal) => self.refuse(now, conn, refusal),
        }
        true
    }

    fn grant(
        &mut self,
        now: Now,
        asked: &Connect,
        said: &Extensions<'_>,
        without_name: bool,
    ) -> Result<Granted, Refusal> {
        let device = Device::of_username(&asked.username)
            .ok_or_else(|| Refusal::of(None, Some(4), "malformed user name"))?;
        let refused = |code: u8, why| Err(Refusal::of(Some(&device), Some(code), why));
        self.count_connect(now, &device)?;
        if !asked.tls && !self.switches.registration_over_plain {
            return refused(2, "registration without TLS");
        }
        let modes: &[&str] = match (without_name, self.switches.regnwl_securemode) {
            (false, _) => &["2"],
            (true, None) => &["2", "-2"],
            (true, Some(2)) => &["2"],
            (true, Some(_)) => &["-2"],
        };
        if !said.securemode.is_some_and(|mode| modes.contains(&mode)) {
            return refused(2, "securemode is not that of a registration");
        }
        let method = Method::parse(said.signmethod.unwrap_or_default());
        let (Some(method), Some(random)) = (method, said.random) else {
            return refused(2, "registration without signmethod or random");
        };
        let Some(product) = self.registrar.products.get(&device.product_key) else {
            return refused(4, "unknown product (6250)");
        };
        let allowed = if without_name {
            product.regnwl
        } else {
            product.register
        };
        let content = format!(
            "deviceName{}productKey{}random{random}",
            device.device_name, device.product_key
        );
        if !sign::holds(method, product.secret.expose(), &content, &asked.password) {
            self.ledger.broke(Violation::BadSign, || device.to_string());
            return refused(4, "the signature is wrong (6600)");
        }
        if !allowed {
            return refused(4, "dynamic registration is switched off (6288)");
        }
        let known = self.accounts.contains_key(&device);
        if !known && !without_name {
            return refused(4, "the device is not registered in the console");
        }
        if self.registrar.activated.contains(&device) {
            return refused(
                self.switches.connack_activated,
                "the device is already activated (6289)",
            );
        }
        let fresh = self.registrar.fresh();
        let own = without_name && self.switches.regnwl_on_its_own_topic;
        let topic = if own { "/ext/regnwl" } else { "/ext/register" };
        let (pk, dn) = (device.product_key.as_str(), device.device_name.as_str());
        let payload = if without_name {
            let client_id = format!("{dn}-{}", self.registrar.issued);
            let payload = json!({
                "productKey": pk, "deviceName": dn, "clientId": client_id, "deviceToken": fresh,
            });
            let token = (client_id, fresh);
            self.registrar.tokens.insert(device.clone(), token);
            self.accounts.entry(device.clone()).or_insert(Account {
                // Not in the console: such a device has a token.
                secret: Secret::new(self.registrar.fresh()),
                state: State::Enabled,
                above: None,
            });
            payload
        } else {
            let payload = json!({ "productKey": pk, "deviceName": dn, "deviceSecret": fresh });
            if let Some(account) = self.accounts.get_mut(&device) {
                account.secret = Secret::new(fresh);
            }
            payload
        };
        Ok(Granted {
            device,
            topic,
            payload,
        })
    }

    /// Returns whether a CONNECT with `authType=connwl` carries the token of its
    /// device.
    pub(crate) fn shows_token(&self, device: &Device, base: &str, password: &str) -> bool {
        self.registrar
            .tokens
            .get(device)
            .is_some_and(|(client_id, token)| client_id == base && token == password)
    }

    /// Drops connections for registration that were not left in time.
    pub(crate) fn end_registrations(&mut self, now: Now) {
        let over: Vec<Conn> = self
            .registrar
            .open
            .iter()
            .filter(|(_, until)| now.mono >= **until)
            .map(|(conn, _)| *conn)
            .collect();
        for conn in over {
            self.close(now, conn, "registered, and did not leave");
        }
    }
}
