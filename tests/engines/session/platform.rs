//! A small model of the platform, written for these tests alone.

use std::collections::{BTreeMap, BTreeSet};

use alink_gateway::base::Mono;
use serde_json::{Value as Json, json};

use crate::gateway::name;

pub(super) const SESSION: &str = "/ext/session/gwPk/gw-1/combine/";

pub(super) const ERROR: &str = "/ext/error/gwPk/gw-1";

pub(super) const PACK: &str = "/sys/gwPk/gw-1/thing/event/property/pack/post";

pub(super) const HISTORY: &str = "/sys/gwPk/gw-1/thing/event/property/history/post";

/// A message of the engine, read by the code of these tests.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) at: Mono,
    pub(super) topic: String,
    pub(super) id: String,
    /// By number.
    pub(super) devices: Vec<u32>,
    pub(super) json: Json,
    pub(super) bytes: usize,
}

impl Sent {
    pub(super) fn read(at: Mono, topic: &str, payload: &[u8]) -> Sent {
        let json: Json = serde_json::from_slice(payload).expect("compact JSON");
        assert_eq!(
            json.to_string().len(),
            payload.len(),
            "compact: {}",
            String::from_utf8_lossy(payload)
        );
        let params = &json["params"];
        let list: Vec<Json> = match topic {
            t if t == PACK => {
                let subs = params["subDevices"].as_array().unwrap();
                subs.iter().map(|s| s["identity"].clone()).collect()
            }
            t if t == HISTORY => {
                let devices = params.as_array().unwrap();
                devices.iter().map(|d| d["identity"].clone()).collect()
            }
            t if t.starts_with("/sys/") => {
                vec![json!({ "deviceName": t.split('/').nth(3).unwrap() })]
            }
            t if t.ends_with("batch_login") => params["deviceList"].as_array().unwrap().clone(),
            t if t.ends_with("batch_logout") => params.as_array().unwrap().clone(),
            _ => vec![params.clone()],
        };
        let number = |d: &Json| d["deviceName"].as_str().unwrap()[6..].parse().unwrap();
        Sent {
            at,
            topic: topic.to_owned(),
            id: json["id"].as_str().expect("a text id").to_owned(),
            devices: list.iter().map(number).collect(),
            bytes: payload.len(),
            json,
        }
    }

    /// Returns `login`, `batch_logout`, `pack`, `post` …
    pub(super) fn what(&self) -> &str {
        match self.topic.strip_prefix(SESSION) {
            Some(tail) => tail,
            None if self.topic == PACK => "pack",
            None if self.topic == HISTORY => "history",
            None => "post",
        }
    }

    pub(super) fn is_login(&self) -> bool {
        self.what().ends_with("login")
    }

    pub(super) fn is_session(&self) -> bool {
        self.topic.starts_with(SESSION)
    }
}

pub(super) fn is_aside(topic: &str) -> bool {
    topic.contains("/thing/topo/") || topic.starts_with("/ota/") || {
        let tail = topic.rsplit('/').next().unwrap_or_default();
        ["disable_reply", "enable_reply", "delete_reply"].contains(&tail)
    }
}

/// Returns whether the platform says this of a device only when its session is gone.
pub(super) fn ends_session(code: i64) -> bool {
    ![428, 429, 460, 500, 31337].contains(&code)
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Naming {
    Culprits,
    All,
    NoDevice,
}

/// The platform, as far as these tests need it.
pub(super) struct Platform {
    pub(super) online: BTreeSet<u32>,
    pub(super) bad: BTreeMap<u32, i64>,
    pub(super) bad_post: BTreeMap<u32, i64>,
    pub(super) naming: Naming,
    pub(super) text_codes: bool,
    /// Codes of the answers to the next messages, before anything else is checked.
    pub(super) moods: Vec<i64>,
    /// The code of the answer to all histories.
    pub(super) no_history: Option<i64>,
    pub(super) accepted: Vec<(u32, String, Json)>,
}

impl Platform {
    /// Returns the code and the devices of the reply.
    pub(super) fn judge(&mut self, sent: &Sent) -> (i64, Vec<u32>) {
        if !self.moods.is_empty() {
            let code = self.moods.remove(0);
            // A log-out refused because of the device: it has no session.
            if sent.what().ends_with("logout") && ends_session(code) {
                self.online.retain(|d| !sent.devices.contains(d));
            }
            return (code, Vec::new());
        }
        if let Some(code) = self.no_history.filter(|_| sent.what() == "history") {
            return (code, Vec::new());
        }
        let mut code = 200;
        let mut culprits = Vec::new();
        for d in &sent.devices {
            let one = match sent.what() {
                "login" | "batch_login" => self.bad.get(d).copied(),
                "logout" | "batch_logout" => (!self.online.contains(d)).then_some(520),
                _ => self.bad_post.get(d).copied(),
            };
            if let Some(one) = one {
                code = if code == 200 { one } else { code };
                if one == 520 {
                    self.online.remove(d);
                }
                culprits.push(*d);
            }
        }
        if code == 200 {
            for d in &sent.devices {
                match sent.what() {
                    "login" | "batch_login" => {
                        self.online.insert(*d);
                    }
                    "logout" | "batch_logout" => {
                        self.online.remove(d);
                    }
                    "history" => {
                        let devices = sent.json["params"].as_array().unwrap();
                        let own = devices.iter().filter(|one| {
                            one["identity"]["deviceName"].as_str() == Some(&name(*d))
                        });
                        for value in own.flat_map(|one| one["properties"].as_array().unwrap()) {
                            for (k, v) in value.as_object().unwrap() {
                                self.accepted.push((*d, k.clone(), v.clone()));
                            }
                        }
                    }
                    "pack" => {
                        let subs = sent.json["params"]["subDevices"].as_array().unwrap();
                        for s in subs {
                            let who: u32 = s["identity"]["deviceName"].as_str().unwrap()[6..]
                                .parse()
                                .unwrap();
                            if who == *d {
                                for (k, v) in s["properties"].as_object().unwrap() {
                                    self.accepted.push((*d, k.clone(), v.clone()));
                                }
                            }
                        }
                    }
                    _ => {
                        for (k, v) in sent.json["params"].as_object().unwrap() {
                            self.accepted.push((*d, k.clone(), v.clone()));
                        }
                    }
                }
            }
        }
        let named = match self.naming {
            _ if code == 200 => sent.devices.clone(),
            Naming::Culprits => culprits,
            Naming::All => sent.devices.clone(),
            Naming::NoDevice => Vec::new(),
        };
        (code, named)
    }

    pub(super) fn answer(&mut self, sent: &Sent) -> (String, Vec<u8>) {
        let (code, named) = self.judge(sent);
        let names: Vec<Json> = named
            .iter()
            .map(|d| json!({"productKey": "subPk", "deviceName": name(*d)}))
            .collect();
        let data = match (&names[..], sent.what()) {
            ([one], "login" | "logout") => one.clone(),
            ([], _) => json!(""),
            (many, _) => json!(many),
        };
        let code = if self.text_codes {
            json!(code.to_string())
        } else {
            json!(code)
        };
        let body = json!({"id": sent.id, "code": code, "message": "m", "data": data});
        (
            format!("{}_reply", sent.topic),
            body.to_string().into_bytes(),
        )
    }
}
