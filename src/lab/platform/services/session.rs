//! Sessions of sub-devices: log-in and log-out, single and in batches
//! ("Connect or disconnect sub-devices", doc 89300).

use std::time::Duration;

use serde_json::Value as Json;

use crate::base::{Mono, Now};
use crate::lab::platform::fault::RequestKind;
use crate::lab::platform::messages::reply;
use crate::lab::platform::messages::reply::{Code, Request};
use crate::lab::platform::messages::sign;
use crate::lab::platform::messages::sign::Method;
use crate::lab::platform::record::ledger::{Event, SessionRecord, SessionRequestKind, Violation};
use crate::lab::platform::{
    Conn, Device, FailedBatchCode, FailedBatchNames, Link, Platform, State,
};

/// A sub-device that is online.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub conn: Conn,
    /// `_ss=1` in the client id it logged in with.
    pub subscribed_by_platform: bool,
}

/// A bucket of log-ins per gateway: the published 200 a second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quota {
    micros: u64,
    at: Mono,
}

/// One member of a log-in: the device, and its signature.
struct Applicant<'a> {
    device: Device,
    params: &'a Json,
    method: Option<Method>,
}

impl Platform {
    /// Handles a message on `/ext/session/{gateway}/combine/{ask}`.
    pub(crate) fn on_session_request(
        &mut self,
        now: Now,
        conn: Conn,
        gateway: &Device,
        ask: &str,
        topic: &str,
        payload: &[u8],
    ) {
        let Some(request) = Request::parse(payload) else {
            self.ledger.broke(Violation::Malformed, || topic.to_owned());
            return;
        };
        let batch = request.params.get("deviceList").is_some();
        let ask = match ask {
            // The page prints this topic for the batch as well; a lenient
            // platform would look at the shape.
            "login" if batch && self.switches.batch_on_single_topic => {
                SessionRequestKind::BatchLogin
            }
            "login" => SessionRequestKind::Login,
            "batch_login" => SessionRequestKind::BatchLogin,
            "logout" => SessionRequestKind::Logout,
            "batch_logout" => SessionRequestKind::BatchLogout,
            _ => {
                self.ledger
                    .broke(Violation::UnknownTopic, || topic.to_owned());
                return;
            }
        };
        self.ledger.id(conn, gateway, &request.id);
        let (devices, code, data) = match ask {
            SessionRequestKind::Login | SessionRequestKind::BatchLogin => {
                self.log_in(now, conn, gateway, ask, &request.params)
            }
            SessionRequestKind::Logout | SessionRequestKind::BatchLogout => {
                self.log_out(now, conn, ask, &request.params)
            }
        };
        let lost = self.ledger.totals().lost_replies;
        if request.ack {
            let as_text = self.switches.batch_code_is_text
                && matches!(
                    ask,
                    SessionRequestKind::BatchLogin | SessionRequestKind::BatchLogout
                );
            let payload = reply::write(&request.id, code, as_text, data);
            self.tell(now, conn, format!("{topic}_reply"), payload);
        }
        self.ledger.note_asked(SessionRecord {
            at: now.mono,
            gateway: gateway.clone(),
            ask,
            devices,
            code,
            answered: request.ack && self.ledger.totals().lost_replies == lost,
        });
    }

    fn log_in(
        &mut self,
        now: Now,
        conn: Conn,
        gateway: &Device,
        ask: SessionRequestKind,
        params: &Json,
    ) -> (Vec<Device>, Code, Json) {
        let single = ask == SessionRequestKind::Login;
        let applicants = if single {
            applicant(params, None).map(|one| vec![one])
        } else {
            let beside = params.get("signMethod").and_then(Json::as_str);
            params
                .get("deviceList")
                .and_then(Json::as_array)
                .filter(|list| !list.is_empty())
                .and_then(|list| list.iter().map(|p| applicant(p, beside)).collect())
        };
        let Some(applicants) = applicants else {
            let what = || format!("{ask:?}: {params}");
            self.ledger.broke(Violation::BadParameters, what);
            return (
                Vec::new(),
                Code::PARAMETER,
                if single { empty() } else { none() },
            );
        };
        let size = applicants.len();
        let devices: Vec<Device> = applicants.iter().map(|a| a.device.clone()).collect();
        if let Err(code) = self.check_shape(ask, &devices) {
            let named = names(single, &devices);
            return (devices, code, named);
        }
        let refused = self.faults.answers(now.mono, RequestKind::Login);
        let refused = refused.or_else(|| self.quota_exceeded(now, gateway, size));
        if let Some(code) = refused {
            let named = names(single, &devices);
            return (devices, code, named);
        }
        let mut verdicts = Vec::with_capacity(size);
        for applicant in &applicants {
            let verdict = self.examine(now, gateway, applicant);
            verdicts.push((applicant.device.clone(), verdict));
        }
        let under = self.sessions.values().filter(|s| s.conn == conn).count();
        let new = devices
            .iter()
            .filter(|d| self.sessions.get(*d).is_none_or(|s| s.conn != conn))
            .count();
        let mut code = self.refusal(&verdicts);
        if code.is_none() && under + new > self.limits.online {
            self.ledger.broke(Violation::TooManyOnline, || {
                format!("{gateway}: {under} online, {new} more")
            });
            code = Some(Code::TOO_MANY_DEVICES);
        }
        // A gateway cannot know of a cap that is not published: no rule is broken.
        let cap = self.faults.cap().unwrap_or(self.limits.online);
        if code.is_none() && new > 0 && under + new > cap {
            code = Some(Code::TOO_MANY_DEVICES);
        }
        match code {
            Some(code) => {
                let data = self.failed(single, &devices, &verdicts);
                (devices, code, data)
            }
            None => {
                for applicant in &applicants {
                    self.begin(now, conn, applicant);
                }
                let named = names(single, &devices);
                (devices, Code::OK, named)
            }
        }
    }

    fn log_out(
        &mut self,
        now: Now,
        conn: Conn,
        ask: SessionRequestKind,
        params: &Json,
    ) -> (Vec<Device>, Code, Json) {
        let single = ask == SessionRequestKind::Logout;
        let devices: Option<Vec<Device>> = if single {
            reply::pair_of(params).map(|one| vec![one])
        } else {
            params
                .as_array()
                .filter(|list| !list.is_empty())
                .and_then(|list| list.iter().map(reply::pair_of).collect())
        };
        let Some(devices) = devices else {
            let what = || format!("{ask:?}: {params}");
            self.ledger.broke(Violation::BadParameters, what);
            return (
                Vec::new(),
                Code::PARAMETER,
                if single { empty() } else { none() },
            );
        };
        if let Err(code) = self.check_shape(ask, &devices) {
            let named = names(single, &devices);
            return (devices, code, named);
        }
        if let Some(code) = self.faults.answers(now.mono, RequestKind::Logout) {
            let named = names(single, &devices);
            return (devices, code, named);
        }
        let verdicts: Vec<(Device, Code)> = devices
            .iter()
            .map(|device| {
                let here = self.sessions.get(device).is_some_and(|s| s.conn == conn)
                    || self.shown_online.contains(device);
                (
                    device.clone(),
                    if here { Code::OK } else { Code::NO_SESSION },
                )
            })
            .collect();
        if let Some(code) = self.refusal(&verdicts) {
            let data = self.failed(single, &devices, &verdicts);
            return (devices, code, data);
        }
        for device in &devices {
            self.sessions.remove(device);
            self.shown_online.remove(device);
            self.ledger.event(now, Event::LoggedOut(device.clone()));
        }
        let named = names(single, &devices);
        (devices, Code::OK, named)
    }

    /// Checks that the request names at most 50 devices, and none twice.
    fn check_shape(&mut self, ask: SessionRequestKind, devices: &[Device]) -> Result<(), Code> {
        let size = devices.len();
        if size > self.limits.batch {
            self.ledger
                .broke(Violation::BatchTooLarge, || format!("{ask:?} of {size}"));
            return Err(Code::PARAMETER);
        }
        let mut sorted: Vec<&Device> = devices.iter().collect();
        sorted.sort();
        if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            let twice = pair[0].to_string();
            self.ledger.broke(Violation::DeviceTwice, || twice);
            return Err(Code::PARAMETER);
        }
        Ok(())
    }

    /// Returns whether a log-in exceeds the bucket of log-ins per second, which is full
    /// at first.
    fn quota_exceeded(&mut self, now: Now, gateway: &Device, size: usize) -> Option<Code> {
        let cost = if self.switches.login_quota_counts_devices {
            u64::try_from(size).unwrap_or(u64::MAX)
        } else {
            1
        };
        // Counted in log-in × microseconds, so that nothing is rounded away.
        let rate = u64::from(self.limits.logins_per_second);
        let full = rate.saturating_mul(1_000_000);
        let quota = self.quota.entry(gateway.clone()).or_insert(Quota {
            micros: full,
            at: now.mono,
        });
        let passed = u64::try_from(now.mono.since(quota.at).as_micros()).unwrap_or(u64::MAX);
        quota.micros = quota
            .micros
            .saturating_add(passed.saturating_mul(rate))
            .min(full);
        quota.at = now.mono;
        let cost = cost.saturating_mul(1_000_000);
        if quota.micros < cost {
            self.ledger
                .broke(Violation::LoginQuota, || format!("{gateway}: {size} more"));
            return Some(Code::THROTTLED);
        }
        quota.micros -= cost;
        None
    }

    /// Returns the answer that this applicant would get if it were alone.
    fn examine(&mut self, now: Now, gateway: &Device, applicant: &Applicant<'_>) -> Code {
        let device = &applicant.device;
        let Some(account) = self.accounts.get(device) else {
            return Code::NOT_FOUND;
        };
        let recent = self.logins.entry(device.clone()).or_default();
        let times = recent.note(now.mono, Duration::from_secs(60));
        let code = if times > self.limits.logins_per_minute {
            self.ledger.broke(Violation::LoginTooOften, || {
                format!("{device}: log-in {times} in 60 s")
            });
            Code::THROTTLED
        } else if account.state == State::Deleted {
            Code::DELETED
        } else if account.state == State::Disabled {
            Code(self.switches.disabled)
        } else if account.above.as_ref() != Some(gateway) {
            Code::NO_TOPOLOGY
        } else if !signed(account.secret.expose(), applicant) {
            self.ledger.broke(Violation::BadSign, || device.to_string());
            Code::INVALID_SIGN
        } else {
            self.faults.refusal(device).unwrap_or(Code::OK)
        };
        if code != Code::OK && !self.switches.refused_logins_count {
            recent.unnote();
        }
        code
    }

    fn begin(&mut self, now: Now, conn: Conn, applicant: &Applicant<'_>) {
        let device = &applicant.device;
        let earlier = self.sessions.get(device).map(|s| s.conn);
        if earlier.is_some_and(|other| other != conn) {
            self.end_session(now, device, Code(self.switches.taken_over), true);
        }
        self.shown_online.remove(device);
        self.lost.remove(device);
        let client_id = sign::text_of(applicant.params, "clientId").unwrap_or_default();
        self.sessions.insert(
            device.clone(),
            Session {
                conn,
                subscribed_by_platform: client_id.contains("_ss=1"),
            },
        );
        if earlier != Some(conn) {
            self.ledger.event(now, Event::LoggedIn(device.clone()));
        }
    }

    /// Returns the code with which a batch is refused.
    fn refusal(&self, verdicts: &[(Device, Code)]) -> Option<Code> {
        let codes = verdicts.iter().map(|(_, code)| *code);
        let mut refused = codes.filter(|code| *code != Code::OK);
        match self.switches.failed_batch_code {
            FailedBatchCode::First => refused.next(),
            FailedBatchCode::Last => refused.next_back(),
        }
    }

    fn failed(&self, single: bool, devices: &[Device], verdicts: &[(Device, Code)]) -> Json {
        if single {
            return names(true, devices);
        }
        match self.switches.failed_batch_names {
            FailedBatchNames::NoDevice => none(),
            FailedBatchNames::All => names(false, devices),
            FailedBatchNames::Culprits => {
                let culprits = verdicts.iter().filter(|(_, code)| *code != Code::OK);
                let named: Vec<Device> = culprits.map(|(device, _)| device.clone()).collect();
                names(false, &named)
            }
        }
    }

    /// Ends a session by the platform; `notice` says whether `/ext/error` reports it.
    pub(crate) fn end_session(&mut self, now: Now, device: &Device, code: Code, notice: bool) {
        let Some(session) = self.sessions.remove(device) else {
            return;
        };
        let device_gone = device.clone();
        self.ledger.event(
            now,
            Event::Ended {
                device: device_gone,
                code,
            },
        );
        if notice {
            self.tell_error(now, session.conn, device, code);
        }
    }

    /// Ends a session without telling its gateway.
    pub(crate) fn lose_session(&mut self, now: Now, device: &Device) {
        if self.sessions.remove(device).is_some() {
            self.lost.insert(device.clone());
            self.ledger.event(now, Event::Lost(device.clone()));
        }
    }

    /// Sends `/ext/error`: a message about one sub-device that answers no request.
    pub(crate) fn tell_error(&mut self, now: Now, conn: Conn, device: &Device, code: Code) {
        let Some(Link { gateway, .. }) = self.links.get(&conn) else {
            return;
        };
        let topic = format!("/ext/error/{gateway}");
        let id = Json::from(self.fresh_id().to_string());
        let payload = reply::write(&id, code, false, reply::pair(device));
        self.tell(now, conn, topic, payload);
    }
}

/// Reads one applicant. `signMethod` stands inside each element in the documents,
/// beside the list in the C and Python SDKs; the element's wins.
fn applicant<'a>(params: &'a Json, beside: Option<&str>) -> Option<Applicant<'a>> {
    let device = reply::pair_of(params)?;
    let said = params.get("signMethod").and_then(Json::as_str).or(beside);
    for required in ["clientId", "sign"] {
        params.get(required)?.as_str()?;
    }
    Some(Applicant {
        device,
        params,
        method: said.and_then(Method::parse),
    })
}

fn signed(secret: &str, applicant: &Applicant<'_>) -> bool {
    let Some(method) = applicant.method else {
        return false;
    };
    let sign = sign::text_of(applicant.params, "sign").unwrap_or_default();
    sign::holds(method, secret, &sign::content_of(applicant.params), &sign)
}

fn names(single: bool, devices: &[Device]) -> Json {
    match devices {
        [one] if single => reply::pair(one),
        _ => Json::Array(devices.iter().map(reply::pair).collect()),
    }
}

fn none() -> Json {
    Json::Array(Vec::new())
}

fn empty() -> Json {
    Json::Object(serde_json::Map::new())
}
