//! The state of the whole and of each device, for the control socket.
//!
//! This file only reads. The reason why a device is not as it should be is the first
//! obstacle, from the bus up: port, device, flapping, link, platform.

mod commands;

use std::collections::BTreeMap;
use std::time::Duration;

use super::Coordinator;
use crate::base::{DeviceId, LinkDown, LogEvent, LogSubject, LogoutReason, Mono, Now, Wake, Wall};
use crate::cloud::{Session, link_words};
use crate::control::SurveyFrame;
use crate::control::metrics::{EventFigures, Figures};
use crate::control::picture::{
    BusState, Cloud, Device, DeviceEvent, Link, LinkFailure, NextChange, PastEvent, Point, Port,
    Presence, State, Status, Store, StoreFault,
};
use crate::field::diagnostics::counters::Counters;
use crate::fleet;
use crate::fleet::SilenceReason;
use crate::hub::status::LinkState;
use crate::spec::survey::SurveyQuestion;
use crate::spec::{DeviceSpec, LineSpec, ProfileSpec};
use crate::spool::{DiskFault, DropCause};
use crate::thing_event::RuleView;

impl Coordinator {
    /// Returns the status of the whole.
    #[must_use]
    pub fn snapshot(&self, now: Now) -> Status {
        let mut states: BTreeMap<(BusState, Presence), u64> = BTreeMap::new();
        for (id, _) in self.spec.devices() {
            *states
                .entry((self.life(id), self.presence(id)))
                .or_default() += 1;
        }
        let state = |((life, cloud), devices)| State {
            life,
            cloud,
            devices,
        };
        let counters = self.cloud.counters();
        Status {
            version: env!("CARGO_PKG_VERSION").into(),
            uptime_ms: millis(now.mono.since(self.statistics.began().mono)),
            cloud: self.cloud_picture(now),
            ports: self.port_pictures(now),
            devices: self.spec.devices().count() as u64,
            states: states.into_iter().map(state).collect(),
            waiting: self.cloud.backlog() as u64,
            delivered: counters.delivered + counters.replayed,
            dropped: self.dropped(),
            store: self.store_picture(now),
            not_reported: self.reporter.given_up(),
            configuration: None,
            noticed: self.statistics.standing(now, LogSubject::Gateway),
        }
    }

    /// Returns how many readings were dropped, by cause.
    fn dropped(&self) -> BTreeMap<String, u64> {
        let drops = self.cloud.counters().drops().into_iter();
        let mut dropped: BTreeMap<String, u64> = drops.map(|(c, n)| (c.to_owned(), n)).collect();
        if let Some(store) = &self.store {
            for cause in DropCause::ALL {
                let n = store.dropped.get(&cause).copied().unwrap_or(0);
                dropped.insert(cause.word().to_owned(), n);
            }
        }
        dropped
    }

    fn loss_window(&self) -> Duration {
        let cloud = &self.spec.cloud;
        cloud.store.loss_window(cloud.post.reply_timeout)
    }

    fn store_picture(&self, now: Now) -> Option<Store> {
        let status = self.store.as_ref()?;
        let counters = self.cloud.counters();
        let age = |at: Wall| now.wall.as_millis().saturating_sub(at.as_millis());
        Some(Store {
            readings: status.values,
            bytes: status.bytes,
            limit: self.spec.cloud.store.bytes,
            oldest_ms: status.oldest.and_then(|at| u64::try_from(age(at)).ok()),
            written: status.written,
            stored: counters.stored,
            delivered: counters.replayed,
            loss_window_ms: millis(self.loss_window()),
            trouble: status.fault.as_ref().map(ToString::to_string),
            fault: status.fault.as_ref().map(|error| match error.fault {
                DiskFault::Full => StoreFault::Full,
                DiskFault::ReadOnly => StoreFault::ReadOnly,
                DiskFault::Taken => StoreFault::Taken,
                DiskFault::Missing | DiskFault::Broken => StoreFault::Broken,
            }),
        })
    }

    /// Returns all devices, without values.
    pub fn devices(&self, now: Now) -> impl Iterator<Item = Device> {
        let all = self.spec.devices();
        all.map(move |(id, device)| self.device_picture(now, id, device))
    }

    /// Returns everything about the device with this name in the configuration.
    #[must_use]
    pub fn device(&self, now: Now, name: &str) -> Option<Device> {
        let mut all = self.spec.devices();
        let (id, device) = all.find(|(_, d)| d.name == name)?;
        let mut picture = self.device_picture(now, id, device);
        let profile = &device.profile;
        picture.services = commands::services(profile);
        let events = self.thing_events(id);
        picture.events = events.map(|rule| event(now, profile, &rule)).collect();
        let history = self.commands.history(id);
        picture.commands = history.map(|r| commands::past(now, r)).collect();
        picture.points = self
            .values(now, id)
            .zip(0u16..)
            .zip(&profile.points)
            .map(|((v, point), spec)| Point {
                writable: commands::writable(profile, spec),
                reported_ms: self
                    .reporter
                    .reported_at(id, point)
                    .map(|at| millis(now.mono.since(at))),
                id: v.id.to_owned(),
                value: v.value.map(|v| v.to_json()).unwrap_or_default(),
                title: v.title.map(|title| title.into_owned()),
                age_ms: v.age.map(millis),
                quality: v.quality.word().to_owned(),
                why: v.why.to_owned(),
                name: spec.shown.title.general.as_deref().map(str::to_owned),
                name_zh: spec.shown.title.chinese.as_deref().map(str::to_owned),
                unit: spec.shown.unit.as_ref().map(|unit| unit.0.to_string()),
            })
            .collect();
        Some(picture)
    }

    /// Returns everything that is counted.
    #[must_use]
    pub fn figures(&self, now: Now) -> Figures {
        let counters = self.cloud.counters();
        Figures {
            status: self.snapshot(now),
            devices: self.devices(now).collect(),
            replies: self
                .spec
                .ports()
                .map(|(id, _)| self.statistics.port_replies(id.index()))
                .collect(),
            logins: self.cloud.login_latency().clone(),
            published: counters.published,
            unanswered: counters.unanswered,
            throttled: counters.throttled,
            refused: counters.blocked,
            kicked: counters.kicked,
            logouts: LogoutReason::WORDS
                .map(|word| (word, counters.logouts.get(word).copied().unwrap_or(0)))
                .into(),
            commands: self.statistics.commands().clone(),
            events: EventFigures {
                raised: self.thing_events.raised(),
                waiting: self.cloud.waiting_events() as u64,
                delivered: counters.events_delivered,
                dropped: counters.event_drops().into(),
            },
        }
    }

    fn cloud_picture(&self, now: Now) -> Cloud {
        let link = self.statistics.link();
        let past = |what: String, at: Mono| PastEvent {
            what,
            ago_ms: millis(now.mono.since(at)),
        };
        Cloud {
            link: match self.link {
                LinkState::NotCommissioned => Link::NotCommissioned,
                LinkState::Down => Link::Down,
                LinkState::Up => Link::Up,
            },
            since_ms: millis(now.mono.since(link.since)),
            connects: link.connects,
            online: self.cloud.online() as u64,
            wanted: self.statistics.wanted() as u64,
            takeover_ms: link.all_online_after.map(millis),
            last_failure: link
                .failure
                .as_ref()
                .map(|(why, at)| past(link_words(why), *at)),
            short_sessions: link.short_sessions,
            failure: link.failure.as_ref().and_then(|(why, _)| failure(why)),
            last_refusal: self
                .statistics
                .refusal()
                .map(|(what, at)| past(what.clone(), *at)),
            retry_ms: None,
        }
    }

    fn port_pictures(&self, now: Now) -> Vec<Port> {
        let port = |(id, port): (crate::base::PortId, &crate::spec::PortSpec)| {
            let mut outcomes = Counters::default().outcomes();
            let (mut devices, mut answering) = (0, 0);
            for (device, _) in self.spec.devices_on(id) {
                devices += 1;
                let life = self.fleet.life(device);
                answering += u64::from(life.is_some_and(|l| l.answers()));
                for (outcome, n) in self.outcomes(device) {
                    *outcomes.entry(outcome).or_default() += n;
                }
            }
            Port {
                name: port.name.clone(),
                line: port.line.to_string(),
                settings: match &port.line {
                    LineSpec::Serial(serial) => Some(serial.characters().to_string()),
                    LineSpec::Tcp(_) => None,
                },
                down: self.fleet.port_down(id).map(str::to_owned),
                retry_ms: self
                    .fleet
                    .next_attempt(id)
                    .map(|at| millis(at.since(now.mono))),
                load_permille: self.fleet.load_permille(id),
                devices,
                answering,
                rtt: self.statistics.port_rtt(id.index()),
                outcomes,
                echoes: self.statistics.port_echoes(id.index()).outcomes(),
                echoes_lately: self
                    .statistics
                    .port_echoes_lately(now, id.index())
                    .outcomes(),
                probes: self.statistics.port_probes(id.index()),
                noticed: self.statistics.standing(now, LogSubject::Port(id)),
            }
        };
        self.spec.ports().map(port).collect()
    }

    fn device_picture(&self, now: Now, id: DeviceId, device: &DeviceSpec) -> Device {
        let port = self.spec.port(device.port);
        let (why, next) = self.offline_reason(now, id, device);
        let answered = self.statistics.answered(id);
        let logout = self.statistics.logout(id);
        Device {
            name: device.name.clone(),
            port: port.map_or_else(String::new, |p| p.name.clone()),
            place: device.place().unwrap_or_default(),
            profile: device.profile.name.clone(),
            product_key: device.product_key.to_string(),
            device_name: device.device_name.to_string(),
            life: self.life(id),
            cloud: self.presence(id),
            why,
            next,
            implausible: self.cache.implausible(id).map(str::to_owned),
            last_logout: logout.map(|(reason, at)| PastEvent {
                what: reason.sentence(),
                ago_ms: millis(now.mono.since(at)),
            }),
            answered_ms: answered.map(|at| millis(now.mono.since(at))),
            rtt: self.statistics.rtt(id),
            outcomes: self.outcomes(id),
            recent: self.statistics.recent(id),
            unanswered: self.statistics.unanswered(id),
            response_timeout_ms: device
                .response_timeout
                .or(port.map(|p| p.response_timeout))
                .map_or(0, millis),
            question: SurveyQuestion::of_device(device).map(|question| SurveyFrame::of(&question)),
            refusal: match self.cloud.session(id) {
                Session::RetryBlocked { code, .. } => Some(code.0),
                _ => None,
            },
            noticed: self.statistics.standing(now, LogSubject::Device(id)),
            no_value: self.counters(id).map_or(0, |counters| counters.no_value),
            points: Vec::new(),
            services: Vec::new(),
            events: Vec::new(),
            commands: Vec::new(),
        }
    }

    fn outcomes(&self, id: DeviceId) -> BTreeMap<String, u64> {
        let counted = self.counters(id).map(Counters::outcomes);
        counted.unwrap_or_else(|| Counters::default().outcomes())
    }

    fn life(&self, id: DeviceId) -> BusState {
        match self.fleet.life(id) {
            Some(fleet::DeviceLiveness::Responding) => BusState::Alive,
            Some(fleet::DeviceLiveness::Suspect { .. }) => BusState::Suspect,
            Some(fleet::DeviceLiveness::Probation { .. }) => BusState::Probation,
            Some(fleet::DeviceLiveness::Silent { .. }) => BusState::Silent,
            Some(fleet::DeviceLiveness::Unknown) | None => BusState::Unknown,
        }
    }

    fn presence(&self, id: DeviceId) -> Presence {
        match self.cloud.session(id) {
            Session::In => Presence::Online,
            Session::LoggingIn | Session::LoggingOut => Presence::Changing,
            Session::Out => Presence::Offline,
            Session::RetryBlocked { .. } => Presence::Refused,
        }
    }

    /// Returns why a device is not online, and what comes next.
    fn offline_reason(
        &self,
        now: Now,
        id: DeviceId,
        device: &DeviceSpec,
    ) -> (Option<String>, Option<NextChange>) {
        let next = |what: &str, at: Option<Mono>| {
            Some(NextChange {
                what: what.to_owned(),
                in_ms: at.map(|at| millis(at.since(now.mono))),
            })
        };
        let due = |wake: Option<Wake>| wake.and_then(|w| next(w.why, Some(w.at)));
        let deadline = self.fleet.deadline(id);
        if let Some(why) = self.fleet.port_down(device.port) {
            // Whatever the deadline is called, its cause is the port.
            let silent = "counts as silent if its port is still down";
            let then = deadline.and_then(|w| next(silent, Some(w.at)));
            let then =
                then.or_else(|| next("the gateway tries to open the port again and again", None));
            return (Some(format!("its port is down: {why}")), then);
        }
        match self.fleet.life(id) {
            Some(fleet::DeviceLiveness::Silent { because, .. }) => {
                let words = fleet::FleetLogEvent::Silent {
                    device: id,
                    because,
                };
                let then = match because {
                    SilenceReason::Missed { .. } => "asked again; online once it answers",
                    SilenceReason::PortDown => {
                        "asked now that its port is up; online once it answers"
                    }
                };
                return (Some(words.sentence()), next(then, None));
            }
            Some(fleet::DeviceLiveness::Probation { proofs, .. }) => {
                let why = format!(
                    "it was silent and has answered {proofs} of {} times in a row",
                    device.liveness.returns
                );
                return (
                    Some(why),
                    next("online once it has answered so often", None),
                );
            }
            Some(fleet::DeviceLiveness::Unknown) | None => {
                let why = "no answer since the start".to_owned();
                let then = due(deadline).or_else(|| next("asked; online once it answers", None));
                return (Some(why), then);
            }
            Some(fleet::DeviceLiveness::Suspect { .. } | fleet::DeviceLiveness::Responding) => {}
        }
        if let Some(until) = self.fleet.held_until(id) {
            let why = "it fell silent again and again, and is kept offline until it has been steadier for a while";
            return (
                Some(why.into()),
                next("no longer kept offline", Some(until)),
            );
        }
        if let Session::RetryBlocked { until, code } = self.cloud.session(id) {
            let why = format!("refused by the platform, {}", code.words());
            return (Some(why), next("tried again", Some(until)));
        }
        match self.link {
            LinkState::NotCommissioned => {
                let why = "the gateway is not commissioned and does not connect to the platform";
                return (Some(why.into()), None);
            }
            LinkState::Down => {
                let failure = self.statistics.link().failure.as_ref();
                let why = failure.map_or_else(
                    || "there is no connection to the platform yet".to_owned(),
                    |(why, _)| {
                        format!(
                            "there is no connection to the platform: {}",
                            link_words(why)
                        )
                    },
                );
                return (
                    Some(why),
                    next("the gateway tries to connect again and again", None),
                );
            }
            LinkState::Up => {}
        }
        match self.cloud.session(id) {
            Session::In if self.fleet.life(id).is_some_and(|l| l.answers()) => {
                let missing = matches!(
                    self.fleet.life(id),
                    Some(fleet::DeviceLiveness::Suspect { .. })
                );
                let why = missing.then(|| {
                    "it missed a poll; the gateway is making sure whether it is silent".into()
                });
                (why, due(deadline))
            }
            Session::LoggingIn => (Some("its log-in is under way".into()), None),
            Session::LoggingOut => (Some("its log-out is under way".into()), None),
            Session::Out | Session::In | Session::RetryBlocked { .. } => {
                let then = self.cloud.waits_for(id);
                (Some(format!("waits for its {then}")), None)
            }
        }
    }
}

/// Returns the kind of a failure of the link; `None` for what the gateway did itself.
const fn failure(why: &LinkDown) -> Option<LinkFailure> {
    Some(match why {
        LinkDown::Unreachable(_) => LinkFailure::Unreachable,
        LinkDown::Tls(_) => LinkFailure::Tls,
        LinkDown::Refused(code) => LinkFailure::Refused(*code),
        LinkDown::NoConnack => LinkFailure::NoConnack,
        LinkDown::Closed => LinkFailure::Closed,
        LinkDown::PingTimeout => LinkFailure::PingTimeout,
        LinkDown::Protocol(_) => LinkFailure::Protocol,
        LinkDown::Io(_) => LinkFailure::Io,
        LinkDown::Ours => return None,
    })
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Returns a rule that raises an event, and the last time that it did.
fn event(now: Now, profile: &ProfileSpec, rule: &RuleView<'_>) -> DeviceEvent {
    let latest = rule.latest;
    let data = latest.into_iter().flat_map(|latest| latest.data.iter());
    DeviceEvent {
        id: rule.event.id.to_string(),
        when: profile.rule(rule.event),
        raised: rule.raised,
        ago_ms: latest.map(|latest| millis(now.mono.since(latest.at.mono))),
        data: data
            .map(|(name, value)| (name.to_string(), value.to_json()))
            .collect(),
        outcome: latest
            .map_or("", |latest| latest.outcome.words())
            .to_owned(),
    }
}

#[cfg(test)]
mod tests;
