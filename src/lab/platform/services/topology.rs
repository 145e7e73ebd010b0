//! The topology: `thing/topo/*` and `thing/list/found` ("Add a topological
//! relationship"; error codes of doc 120329).

use serde_json::{Value as Json, json};

use crate::base::Now;
use crate::lab::platform::messages::reply;
use crate::lab::platform::messages::reply::Code;
use crate::lab::platform::messages::sign;
use crate::lab::platform::messages::sign::Method;
use crate::lab::platform::record::ledger::{Event, Violation};
use crate::lab::platform::{Device, Platform, State};

impl Platform {
    /// Answers `thing/topo/add`: each sub-device proves itself with its own secret. All
    /// or nothing, like sessions; a relation that exists is fine.
    pub(crate) fn add_topology_asked(&mut self, gateway: &Device, params: &Json) -> (Code, Json) {
        let Some(list) = self.listed(params) else {
            return (Code::PARAMETER, json!({}));
        };
        let mut devices = Vec::with_capacity(list.len());
        for one in &list {
            let Some(device) = reply::pair_of(one) else {
                return (Code::PARAMETER, json!({}));
            };
            let code = self.examine_relation(gateway, &device, one);
            if code != Code::OK {
                return (code, Json::Array(vec![reply::pair(&device)]));
            }
            devices.push(device);
        }
        for device in &devices {
            if let Some(account) = self.accounts.get_mut(device) {
                account.above = Some(gateway.clone());
            }
        }
        let data = devices.iter().map(reply::pair).collect();
        (Code::OK, Json::Array(data))
    }

    fn examine_relation(&mut self, gateway: &Device, device: &Device, params: &Json) -> Code {
        if device == gateway {
            return Code::SELF_TOPOLOGY;
        }
        let Some(account) = self.accounts.get(device) else {
            return Code::NOT_FOUND;
        };
        match account.state {
            State::Enabled => {}
            State::Disabled => return Code(6204),
            State::Deleted => return Code::NOT_FOUND,
        }
        // The documents and most SDKs write a small m here, two SDKs a capital one.
        let method = sign::text_of(params, "signmethod")
            .or_else(|| sign::text_of(params, "signMethod"))
            .and_then(|m| Method::parse(&m));
        let content = sign::content_of(params);
        let sign = sign::text_of(params, "sign").unwrap_or_default();
        let secret = account.secret.expose();
        if !method.is_some_and(|m| sign::holds(m, secret, &content, &sign)) {
            self.ledger.broke(Violation::BadSign, || device.to_string());
            return Code::UNAUTHORIZED;
        }
        let bound = account.above.as_ref().is_some_and(|above| above != gateway);
        if bound && !self.switches.topology_moves {
            return Code::NO_TOPOLOGY;
        }
        Code::OK
    }

    /// Answers `thing/topo/delete`; a session that depends on the relation ends with
    /// 6401.
    pub(crate) fn delete_topology_asked(
        &mut self,
        now: Now,
        gateway: &Device,
        params: &Json,
    ) -> (Code, Json) {
        let list = self.listed(params);
        let devices: Option<Vec<Device>> =
            list.and_then(|list| list.iter().map(reply::pair_of).collect());
        let Some(devices) = devices else {
            return (Code::PARAMETER, json!({}));
        };
        for device in &devices {
            match self.accounts.get(device) {
                None => return (Code::NOT_FOUND, json!({})),
                Some(a) if a.above.as_ref() != Some(gateway) => {
                    return (Code::NO_TOPOLOGY, json!({}));
                }
                Some(_) => {}
            }
        }
        for device in &devices {
            if let Some(account) = self.accounts.get_mut(device) {
                account.above = None;
            }
            self.end_session(now, device, Code::NO_TOPOLOGY, true);
        }
        (Code::OK, json!({}))
    }

    /// Answers `thing/topo/get`: all relations in one reply, however long.
    pub(crate) fn topology_asked(&self, gateway: &Device) -> (Code, Json) {
        let under = self
            .accounts
            .iter()
            .filter(|(_, account)| account.above.as_ref() == Some(gateway))
            .map(|(device, _)| reply::pair(device))
            .collect();
        (Code::OK, Json::Array(under))
    }

    /// Answers `thing/list/found`: devices that a gateway sees.
    pub(crate) fn found_asked(&mut self, now: Now, params: &Json) -> (Code, Json) {
        let list = params.as_array();
        let found: Option<Vec<Device>> =
            list.and_then(|list| list.iter().map(reply::pair_of).collect());
        let Some(found) = found.filter(|list| !list.is_empty()) else {
            return (Code::PARAMETER, json!({}));
        };
        for device in found {
            self.ledger.event(now, Event::Found(device));
        }
        (Code::OK, json!({}))
    }

    /// Returns the list of a topology request: not empty, not more than 30.
    pub(crate) fn listed(&self, params: &Json) -> Option<Vec<Json>> {
        let list = params.as_array()?;
        (!list.is_empty() && list.len() <= self.limits.topology).then(|| list.clone())
    }
}
