//! Every code, as the answer to every kind of request: which request is repeated, which device is
//! refused by a retry block and for how long, and which notices are given. One line per
//! cell in `codes.txt`; `BLESS=1` writes it anew, for review.
//!
//! Five devices, of which number 2 is the culprit; alone, it is the only one. A request
//! that holds the culprit is refused, any other is accepted. A line shows the messages
//! of the first 900 ms from the first refusal on, with the devices in them; the state
//! of the culprit and how long its retry block lasts (the class: the wait is jittered
//! between half of it and the whole); how many of the others are as they should be;
//! readings lost; and the notices.
//! they should be; readings lost; and the notices.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use crate::gateway::{gateway, name};
use alink_gateway::base::{DeviceId, LogEvent, Mono, Now, Reading, Rng, Value, Wall};
use alink_gateway::cloud::{Cloud, Output, Presence, Session};
use serde_json::{Value as Json, json};

const CODES: [i64; 16] = [
    200, 401, 427, 428, 429, 460, 500, 520, 521, 522, 527, 6100, 6204, 6287, 6401, 31337,
];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Request {
    LogIn,
    LogOut,
    Post,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    Single,
    /// A batch; the reply names the culprit.
    Named,
    /// A batch; the reply names no device.
    Unnamed,
    /// A batch; the reply names all devices.
    All,
}

/// Returns the kind of one message and the devices in it.
fn read(topic: &str, json: &Json) -> (&'static str, Vec<u32>) {
    let p = &json["params"];
    let kinds = [
        ("/batch_login", "login"),
        ("/login", "login"),
        ("/batch_logout", "logout"),
        ("/logout", "logout"),
        ("/pack/post", "post"),
        ("/property/post", "post"),
        ("/topo/add", "add"),
        ("/topo/get", "get"),
        ("/inform/gwPk/gw-1", "inform"),
    ];
    let kind = kinds.iter().find(|(tail, _)| topic.ends_with(tail));
    let kind = kind.unwrap_or_else(|| panic!("{topic}")).1;
    let list = match (p, &p["deviceList"], &p["subDevices"]) {
        (Json::Array(list), _, _) | (_, Json::Array(list), _) => list.clone(),
        (_, _, Json::Array(list)) => list.iter().map(|s| s["identity"].clone()).collect(),
        _ if topic.ends_with("/property/post") => {
            vec![json!({"deviceName": topic.split('/').nth(3).unwrap()})]
        }
        _ => vec![p.clone()],
    };
    let number = |d: &Json| {
        d["deviceName"]
            .as_str()?
            .strip_prefix("meter-")?
            .parse()
            .ok()
    };
    (kind, list.iter().filter_map(number).collect())
}

struct Cell {
    cloud: Cloud,
    now: Now,
    request: Request,
    shape: Shape,
    code: i64,
    /// Whether requests are refused from now on.
    armed: bool,
    /// When the first refusal arrived.
    refused: Option<Mono>,
    mail: BTreeMap<(Mono, usize), (String, Vec<u8>)>,
    said: Vec<String>,
    told: Vec<String>,
    serial: usize,
}

impl Cell {
    fn drain(&mut self) {
        while let Some(out) = self.cloud.poll(self.now) {
            match out {
                Output::Publish { topic, payload } => self.on_publish(&topic, &payload),
                Output::LogEvent(notice) if self.armed => {
                    self.told.push(notice.kind().name().into())
                }
                Output::LogEvent(_) | Output::Subscribe { .. } | Output::Session { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    fn on_publish(&mut self, topic: &str, payload: &[u8]) {
        let json: Json = serde_json::from_slice(payload).unwrap();
        let (kind, devices) = read(topic, &json);
        if self.armed && !["get", "inform"].contains(&kind) {
            let who: String = devices.iter().map(|d| d.to_string()).collect();
            self.said.push(format!("{kind} {who}"));
        }
        let culprit = if self.shape == Shape::Single { 0 } else { 2 };
        let wanted = match self.request {
            Request::LogIn => "login",
            Request::LogOut => "logout",
            Request::Post => "post",
        };
        let bad = self.armed && kind == wanted && devices.contains(&culprit);
        let pair = |d: &u32| json!({"productKey": "subPk", "deviceName": name(*d)});
        let data = match (bad, self.shape, kind) {
            // No device is listed, so that 6401 finds no device known to be in the topology.
            (_, _, "get") => json!([]),
            (false, ..) | (_, Shape::All, _) => json!(devices.iter().map(pair).collect::<Vec<_>>()),
            (true, Shape::Named | Shape::Single, _) => json!([pair(&culprit)]),
            (true, Shape::Unnamed, _) => json!([]),
        };
        let code = if bad { self.code } else { 200 };
        let body = json!({"id": json["id"], "code": code, "message": "m", "data": data});
        self.serial += 1;
        self.mail.insert(
            (self.now.mono + Duration::from_millis(20), self.serial),
            (format!("{topic}_reply"), body.to_string().into_bytes()),
        );
    }

    fn run(&mut self, span: Duration) {
        let end = self.now.mono + span;
        self.drain();
        while self.now.mono < end {
            let wake = self.cloud.wake_at().map(|w| w.at);
            let mail = self.mail.keys().next().map(|(at, _)| *at);
            let next = [wake, mail, Some(end)].into_iter().flatten().min().unwrap();
            self.now.mono = next.max(self.now.mono);
            if let Some(first) = self.mail.first_entry()
                && first.key().0 <= self.now.mono
            {
                let (topic, payload) = first.remove();
                let json: Json = serde_json::from_slice(&payload).unwrap();
                if self.refused.is_none() && self.armed && json["code"] == self.code {
                    self.refused = Some(self.now.mono);
                }
                self.cloud.on_message(self.now, &topic, &payload);
            }
            self.drain();
        }
    }
}

/// Returns the class of a wait that is jittered between half of it and the whole.
fn class(wait: Duration) -> &'static str {
    let classes = [
        (2, "2 s"),
        (60, "1 min"),
        (300, "5 min"),
        (600, "10 min"),
        (3600, "60 min"),
    ];
    let fits = classes.iter().find(|(most, _)| {
        let most = Duration::from_secs(*most);
        // Measured up to 900 ms late.
        wait <= most && wait + Duration::from_millis(900) >= most / 2
    });
    fits.unwrap_or_else(|| panic!("{wait:?}")).1
}

/// Returns the line of one cell.
fn cell(code: i64, request: Request, shape: Shape) -> String {
    let n = if shape == Shape::Single { 1 } else { 5 };
    let culprit = if shape == Shape::Single { 0 } else { 2 };
    let now = Now {
        mono: Mono::from_micros(1_000_000),
        wall: Wall::from_millis(1_700_000_000_000),
    };
    let mut c = Cell {
        cloud: Cloud::new(Arc::new(gateway(n, 1)), Rng::new(7), now),
        now,
        request,
        shape,
        code,
        armed: request == Request::LogIn,
        refused: None,
        mail: BTreeMap::new(),
        said: Vec::new(),
        told: Vec::new(),
        serial: 0,
    };
    let all = |c: &mut Cell, presence| {
        for d in 0..n {
            c.cloud.want(c.now, DeviceId(d), presence);
        }
    };
    all(&mut c, Presence::Online);
    c.cloud.on_link_up(c.now);
    if request != Request::LogIn {
        c.run(Duration::from_secs(10));
        c.armed = true;
    }
    match request {
        Request::LogIn => {}
        Request::LogOut => all(&mut c, Presence::Offline),
        Request::Post => {
            for d in 0..n {
                let reading = Reading {
                    device: DeviceId(d),
                    point: 0,
                    value: Value::Int(1),
                    at: c.now,
                };
                c.cloud.put(c.now, reading);
            }
        }
    }
    // The test waits until the first answer, then 900 ms.
    for _ in 0..200 {
        if c.refused.is_none() {
            c.run(Duration::from_millis(10));
        }
    }
    c.run(Duration::from_millis(900));
    let state = match c.cloud.session(DeviceId(culprit)) {
        Session::In => "in".to_owned(),
        Session::Out => "out".to_owned(),
        Session::LoggingIn => "logging in".to_owned(),
        Session::LoggingOut => "logging out".to_owned(),
        Session::RetryBlocked { until, code: by } => {
            assert_eq!(by.0, code);
            format!("blocked {}", class(until.since(c.now.mono)))
        }
    };
    let should = if request == Request::LogOut {
        Session::Out
    } else {
        Session::In
    };
    let others = (0..n).filter(|d| *d != culprit);
    let fine = others
        .filter(|d| c.cloud.session(DeviceId(*d)) == should)
        .count();
    let counters = c.cloud.counters();
    let mut line = format!(
        "{code} {request:?} {shape:?}: {} | {state}",
        c.said.join(", ")
    );
    if n > 1 {
        write!(line, ", others {fine}/{}", n - 1).unwrap();
    }
    if request == Request::Post {
        let (lost, wait) = (counters.dropped_refused, c.cloud.backlog());
        write!(
            line,
            ", delivered {}, lost {lost}, waiting {wait}",
            counters.delivered
        )
        .unwrap();
    }
    c.told.dedup();
    c.told
        .retain(|t| !["device-online", "device-offline"].contains(&t.as_str()));
    write!(line, " | {}", c.told.join(" ")).unwrap();
    line.trim_end().to_owned()
}

#[test]
fn every_code_has_its_own_right_reaction_to_every_request() {
    let mut lines = String::new();
    for code in CODES {
        for request in [Request::LogIn, Request::LogOut, Request::Post] {
            for shape in [Shape::Single, Shape::Named, Shape::Unnamed, Shape::All] {
                lines.push_str(&cell(code, request, shape));
                lines.push('\n');
            }
        }
        lines.push('\n');
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/engines/codes.txt");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, &lines).unwrap();
    }
    let known = std::fs::read_to_string(path).unwrap();
    for (is, was) in lines.lines().zip(known.lines()) {
        assert_eq!(is, was);
    }
    assert_eq!(lines.lines().count(), known.lines().count());
}
