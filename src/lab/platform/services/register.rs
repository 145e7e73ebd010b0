//! Secrets of sub-devices, requested by their gateway: `thing/sub/register` by name
//! alone, `thing/proxy/provisioning/product_register` with the signature of the product
//! of the sub-device (error codes of doc 120329).
//!
//! The documents do not say what the second replies, whether it creates devices, and
//! what becomes of a device that hangs under another gateway. Here it replies like the
//! first; it creates devices where the product allows devices without a name; and it
//! serves a device of another gateway, as a comment in the header of the C SDK says.
//! Each is a switch, or a setting of the product.

use serde_json::{Value as Json, json};

use crate::base::{Now, Secret};
use crate::lab::platform::messages::reply;
use crate::lab::platform::messages::reply::Code;
use crate::lab::platform::messages::sign;
use crate::lab::platform::messages::sign::Method;
use crate::lab::platform::record::ledger::{Event, Violation};
use crate::lab::platform::{Account, Device, Platform, State};

impl Platform {
    /// Answers `thing/sub/register`: secrets of devices that were added beforehand.
    pub(crate) fn register_asked(&self, gateway: &Device, params: &Json) -> (Code, Json) {
        let Some(list) = self.listed(params) else {
            return (Code::PARAMETER, json!({}));
        };
        let mut data = Vec::with_capacity(list.len());
        for one in &list {
            let Some(device) = reply::pair_of(one) else {
                return (Code::PARAMETER, json!({}));
            };
            match self.examine_registration(gateway, &device) {
                Ok(secret) => data.push(json!({
                    "iotId": device.to_string(),
                    "productKey": device.product_key.as_str(),
                    "deviceName": device.device_name.as_str(),
                    "deviceSecret": secret,
                })),
                Err(_) if self.switches.register_partly && list.len() > 1 => {}
                Err(code) => return (code, json!({})),
            }
        }
        (Code::OK, Json::Array(data))
    }

    fn examine_registration(&self, gateway: &Device, device: &Device) -> Result<&str, Code> {
        if self.registration_off.contains(&device.product_key) {
            return Err(Code::NO_REGISTRATION);
        }
        let account = self.accounts.get(device).ok_or(Code::NOT_FOUND)?;
        if account.state == State::Deleted {
            return Err(Code::NOT_FOUND);
        }
        let elsewhere = account.above.as_ref().is_some_and(|above| above != gateway);
        if elsewhere {
            return Err(Code::BOUND_ELSEWHERE);
        }
        Ok(account.secret.expose())
    }

    /// Answers `thing/proxy/provisioning/product_register`: all or nothing, unless
    /// [`Switches::register_partly`](crate::lab::platform::Switches::register_partly).
    pub(crate) fn product_register_asked(
        &mut self,
        now: Now,
        gateway: &Device,
        params: &Json,
    ) -> (Code, Json) {
        let Some(list) = params.get("proxieds").and_then(|list| self.listed(list)) else {
            return (Code::PARAMETER, json!({}));
        };
        let mut granted = Vec::with_capacity(list.len());
        for one in &list {
            let Some(device) = reply::pair_of(one) else {
                return (Code::PARAMETER, json!({}));
            };
            match self.examine_proxied(gateway, &device, one) {
                Code::OK => granted.push(device),
                _ if self.switches.register_partly && list.len() > 1 => {}
                code => return (code, json!({})),
            }
        }
        let data = granted.into_iter().map(|d| self.hand_out(now, d)).collect();
        let data = Json::Array(data);
        if self.switches.proxy_data_nested {
            return (Code::OK, json!({ "proxieds": data }));
        }
        (Code::OK, data)
    }

    fn examine_proxied(&mut self, gateway: &Device, device: &Device, one: &Json) -> Code {
        let Some(product) = self.registrar.product(&device.product_key) else {
            return Code::NO_PRODUCT;
        };
        let method = sign::text_of(one, "signMethod").unwrap_or_default();
        let Some(method) = Method::parse(&method) else {
            return Code::SIGN_METHOD;
        };
        let text = |key| sign::text_of(one, key).unwrap_or_default();
        let (random, signature) = (text("random"), text("sign"));
        if random.is_empty() {
            return Code::PARAMETER;
        }
        let content = format!(
            "deviceName{}productKey{}random{random}",
            device.device_name, device.product_key
        );
        if !sign::holds(method, product.secret.expose(), &content, &signature) {
            self.ledger.broke(Violation::BadSign, || device.to_string());
            return Code::PRODUCT_SIGN;
        }
        let (register, unnamed) = (product.register, product.regnwl);
        if !register && !unnamed {
            return Code::NO_REGISTRATION;
        }
        match self.accounts.get(device) {
            None if unnamed => return Code::OK,
            None => return Code::NOT_FOUND,
            Some(account) if account.state == State::Deleted => return Code::NOT_FOUND,
            Some(_) => {}
        }
        let above = self.gateway_of(device);
        let elsewhere = above.is_some_and(|above| above != gateway);
        if elsewhere && !self.switches.proxy_takes_over {
            return Code::BOUND_ELSEWHERE;
        }
        Code::OK
    }

    /// Returns the secret of a device, which is created if necessary. A device that
    /// hangs elsewhere moves when it is added to the topology.
    fn hand_out(&mut self, now: Now, device: Device) -> Json {
        let fresh = self.registrar.fresh();
        let account = self.accounts.entry(device.clone()).or_insert(Account {
            secret: Secret::new(fresh),
            state: State::Enabled,
            above: None,
        });
        let secret = account.secret.expose().to_owned();
        self.ledger.event(now, Event::Registered(device.clone()));
        json!({
            "iotId": device.to_string(),
            "productKey": device.product_key.as_str(),
            "deviceName": device.device_name.as_str(),
            "deviceSecret": secret,
        })
    }
}
