//! The coordinator: fleet, reporter and cloud, composed.

mod snapshot;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::cache::{Cache, LastValue};
use super::status::{GatewayStatus, LinkState};
use crate::base::{
    Command, CommandAction, CommandNumber, CommandOrigin, DeviceId, EventGrouping, FieldEvent,
    Grouped, LinkCommand, LinkEvent, Now, Reachability, Rng, Wake,
};
use crate::cloud;
use crate::cloud::{Cloud, Presence};
use crate::command::{self, Commands};
use crate::field::diagnostics::counters::Counters;
use crate::fleet;
use crate::fleet::Fleet;
use crate::hub::messages::{HubLogEvent, Input, Output};
use crate::hub::statistics::Statistics;
use crate::report::Reporter;
use crate::spec::{Changes, Spec};
use crate::spool::SpoolStatus;
use crate::thing_event::{RuleView, ThingEventLogEvent, ThingEvents};

/// The coordinator of fleet, reporter and cloud. See the room's doc for the contract.
#[derive(Debug)]
pub struct Coordinator {
    spec: Arc<Spec>,
    fleet: Fleet,
    reporter: Reporter,
    thing_events: ThingEvents,
    cloud: Cloud,
    commands: Commands,
    cache: Cache,
    statistics: Statistics,
    counters: BTreeMap<DeviceId, Counters>,
    /// How many commands of this machine's users have come.
    local_commands: u64,
    link: LinkState,
    stopping: bool,
    /// Notices about many devices at once, which are grouped into few.
    grouping: EventGrouping<HubLogEvent>,
    /// What the store of readings holds, if there is one.
    store: Option<Box<SpoolStatus>>,
    out: VecDeque<Output>,
}

impl Coordinator {
    /// Creates a coordinator for this installation, with every device unknown and the link
    /// down.
    #[must_use]
    pub fn new(spec: Arc<Spec>, mut rng: Rng, now: Now) -> Self {
        Coordinator {
            fleet: Fleet::new(&spec, now),
            reporter: Reporter::new(),
            thing_events: ThingEvents::new(),
            cloud: Cloud::new(spec.clone(), rng.fork(), now),
            commands: Commands::new(),
            local_commands: 0,
            cache: Cache::new(&spec),
            statistics: Statistics::new(&spec, now),
            counters: BTreeMap::new(),
            spec,
            link: LinkState::Down,
            stopping: false,
            grouping: EventGrouping::default(),
            store: None,
            out: VecDeque::new(),
        }
    }

    /// Returns the coordinator for a gateway that has no identity yet: the gateway polls,
    /// reports its state, and is never connected.
    #[must_use]
    pub fn not_commissioned(self) -> Self {
        Coordinator {
            link: LinkState::NotCommissioned,
            ..self
        }
    }

    /// Handles one input.
    pub fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Field(event) => self.on_field(now, event),
            Input::Link(event) => self.on_link(now, event),
            Input::Secret { device, secret } => self.cloud.secret(now, device, secret),
            Input::SecretStore { usable } => self.cloud.can_keep(now, usable),
            Input::StoreStatus(status) => self.store = Some(status),
            Input::StoreGone(status) => {
                self.store = Some(status);
                self.cloud.on_store_gone(now);
            }
            Input::StoreOpen { has_values } => self.cloud.on_store_open(now, has_values),
            Input::Stored { at } => self.cloud.on_stored(now, &at),
            Input::StoreRead { readings, next } => self.cloud.on_read(now, readings, next),
            Input::StoreReadFailed { from } => self.cloud.on_read_failed(now, from),
            Input::Clock { synchronised } => self.cloud.on_clock(now, synchronised),
            Input::Command(command) => self.on_command(now, command),
            Input::PortBusy(number) => self.commands.on_port_busy(now, number),
            Input::RemoteTaskDone(done) => self.cloud.on_remote_task_done(now, done),
            Input::Time => {}
            Input::Stop => {
                if !self.stopping {
                    // While it stops, the cloud takes no more readings.
                    self.release_all(now);
                    self.stopping = true;
                    self.commands.stop();
                    self.cloud.stop(now);
                }
            }
            Input::LeaveConnection => {
                self.release_all(now);
                self.cloud.part(now);
            }
            Input::Reload {
                spec,
                changes,
                commissioned,
            } => {
                if !self.stopping {
                    self.on_reload(now, spec, &changes, commissioned);
                }
            }
        }
        self.fleet.on_time(now);
        self.carry_wishes(now);
        self.commands.on_time(now);
        self.reporter.on_time(now, &self.spec);
        self.deliver(now);
        self.statistics.online(now, self.cloud.online());
    }

    /// Returns the next output.
    pub fn poll(&mut self, now: Now) -> Option<Output> {
        while let Some(out) = self.next(now) {
            match out {
                Output::LogEvent(notice) => {
                    if let Some(notice) = self.grouping.admit(now.mono, notice) {
                        return Some(Output::LogEvent(notice));
                    }
                }
                out => return Some(out),
            }
        }
        self.grouping.due(now.mono).map(told)
    }

    fn next(&mut self, now: Now) -> Option<Output> {
        loop {
            if let Some(out) = self.out.pop_front() {
                return Some(out);
            }
            if let Some(out) = self.commands.poll() {
                match out {
                    command::Output::Bus { port, command } => {
                        return Some(Output::Bus { port, command });
                    }
                    command::Output::LogEvent(event) => {
                        self.statistics.on_command(&event);
                        return Some(Output::LogEvent(HubLogEvent::Command(event)));
                    }
                    command::Output::Answer {
                        number,
                        origin: CommandOrigin::Local { .. },
                        answer,
                    } => return Some(Output::Answer { number, answer }),
                    command::Output::Answer {
                        number,
                        origin: CommandOrigin::Cloud { .. },
                        answer,
                    } => self.cloud.on_command_done(now, number, answer),
                }
                continue;
            }
            let out = match self.cloud.poll(now)? {
                cloud::Output::Session { device, online } => {
                    self.reporter.on_session(now, device, online);
                    continue;
                }
                cloud::Output::Command(command) => {
                    self.on_command(now, command);
                    continue;
                }
                cloud::Output::ThingEvent {
                    device,
                    id,
                    at,
                    outcome,
                } => {
                    self.thing_events
                        .on_outcome(&self.spec, device, &id, at, outcome);
                    continue;
                }
                cloud::Output::Publish { topic, payload } => {
                    Output::Link(LinkCommand::Publish { topic, payload })
                }
                cloud::Output::Subscribe { filters } => {
                    Output::Link(LinkCommand::Subscribe { filters })
                }
                cloud::Output::StoreSecret { device, secret } => {
                    Output::StoreSecret { device, secret }
                }
                cloud::Output::Store(readings) => Output::Store(readings),
                cloud::Output::ReadStore { from, most } => Output::ReadStore { from, most },
                cloud::Output::Settle(values) => Output::Settle(values),
                cloud::Output::RemoteTask(remote_task) => Output::RemoteTask(remote_task),
                cloud::Output::LogEvent(notice) => {
                    self.statistics.on_notice(now, &self.spec, &notice);
                    Output::LogEvent(HubLogEvent::Cloud(notice))
                }
                cloud::Output::LoggedOut => {
                    if self.stopping {
                        // The coordinator is not polled again, so the notices that are still being
                        // grouped go out now.
                        let last = self.grouping.all(now.mono);
                        self.out.extend(last.into_iter().map(told));
                    }
                    self.out.push_back(match self.stopping {
                        true => Output::Stopped,
                        false => Output::ConnectionLeft,
                    });
                    Output::Link(LinkCommand::Disconnect)
                }
            };
            return Some(out);
        }
    }

    /// Returns when to pass [`Input::Time`] if no other input comes.
    #[must_use]
    pub fn wake_at(&self) -> Option<Wake> {
        let wake = Wake::earlier(self.fleet.wake_at(), self.cloud.wake_at());
        let wake = Wake::earlier(wake, self.reporter.wake_at());
        let wake = Wake::earlier(wake, self.commands.wake_at());
        Wake::earlier(wake, self.grouping.wake_at())
    }

    /// Returns whether a device waits for [`Input::SecretStore`] to say that its secret can be
    /// stored.
    #[must_use]
    pub fn wants_secrets(&self, now: Now) -> bool {
        self.cloud.wants_secrets(now)
    }

    /// Returns the status line of the whole, for people.
    #[must_use]
    pub fn status(&self) -> GatewayStatus {
        GatewayStatus::of(&self.spec, &self.fleet, &self.cloud, self.link)
    }

    /// Returns the last value of each point of a device, and how far it may be believed now.
    pub fn values(&self, now: Now, device: DeviceId) -> impl Iterator<Item = LastValue<'_>> {
        self.cache
            .look(now, &self.spec, device, self.reachability(device))
    }

    /// Returns the rules of a device that raise events, with the last event of each.
    pub fn thing_events(&self, device: DeviceId) -> impl Iterator<Item = RuleView<'_>> {
        self.thing_events.rules(&self.spec, device)
    }

    /// Returns how many events wait in memory to be delivered.
    #[must_use]
    pub fn waiting_events(&self) -> usize {
        self.cloud.waiting_events()
    }

    fn reachability(&self, device: DeviceId) -> Reachability {
        let port = self.spec.device(device).map(|d| d.port);
        match self.fleet.life(device) {
            _ if port.is_some_and(|p| self.fleet.port_down(p).is_some()) => Reachability::PortDown,
            Some(life) if life.answers() => Reachability::Answering,
            Some(_) | None => Reachability::Silent,
        }
    }

    /// Takes a command of a user of this machine for the device of this name; its answer comes
    /// as [`Output::Answer`] with the number that is returned. `None`: there is no such device.
    pub fn command(
        &mut self,
        now: Now,
        name: &str,
        action: CommandAction,
        (user, is_permitted): (u32, bool),
    ) -> Option<CommandNumber> {
        let (device, _) = self.spec.devices().find(|(_, d)| d.name == name)?;
        // The platform's commands have even numbers.
        let number = CommandNumber(self.local_commands * 2 + 1);
        self.local_commands += 1;
        let command = Command {
            number,
            origin: CommandOrigin::Local { user, is_permitted },
            device: Some(device),
            action,
            within: self.spec.commands.async_within,
        };
        self.handle(now, Input::Command(command));
        Some(number)
    }

    fn on_command(&mut self, now: Now, command: Command) {
        let device = command.device;
        let reachability = device.map_or(Reachability::Answering, |d| self.reachability(d));
        let cache = &self.cache;
        let last = |point| cache.last(device?, point);
        self.commands
            .on_command(now, &self.spec, command, reachability, last);
    }

    /// Returns the outcomes of the requests to a device since the start; `None` if no request
    /// was made to it.
    #[must_use]
    pub fn counters(&self, device: DeviceId) -> Option<&Counters> {
        self.counters.get(&device)
    }

    fn count(&mut self, event: &FieldEvent) {
        match event {
            FieldEvent::Polled {
                device, evidence, ..
            } => self.counters.entry(*device).or_default().note(*evidence),
            FieldEvent::NoValue { device, points, .. } => {
                self.counters
                    .entry(*device)
                    .or_default()
                    .no_value(points.len());
            }
            FieldEvent::CommandBegun(_)
            | FieldEvent::CommandEnded(_)
            | FieldEvent::PortUp { .. }
            | FieldEvent::PortRetried { .. }
            | FieldEvent::PortDown { .. }
            | FieldEvent::PointsFailing { .. }
            | FieldEvent::Load { .. }
            | FieldEvent::Echoes { .. }
            | FieldEvent::Noticed { .. }
            | FieldEvent::Probes { .. }
            | FieldEvent::FloatsJudged { .. } => {}
        }
    }

    fn on_field(&mut self, now: Now, event: FieldEvent) {
        self.fleet.on_field(now, &event);
        self.count(&event);
        // The wish comes first: a device that has just come back is logged in before its first
        // values wait for the log-in.
        self.carry_wishes(now);
        self.cache.on_field(now, &self.spec, &event);
        self.statistics.on_field(now, &self.spec, &event);
        self.raise_events(now, &event);
        match event {
            FieldEvent::CommandBegun(number) => self.commands.on_bus_begun(number),
            FieldEvent::CommandEnded(end) => self.commands.on_bus_end(now, &self.spec, end),
            // The cloud takes none of them any more, and counts them.
            FieldEvent::Polled { readings, .. } if self.stopping => {
                for reading in readings {
                    self.cloud.put(now, reading);
                }
            }
            event => self.reporter.on_field(now, &self.spec, event),
        }
        self.deliver(now);
    }

    /// Judges every value that was read, whatever of it is reported, and passes the events that
    /// it raises to the cloud.
    fn raise_events(&mut self, now: Now, event: &FieldEvent) {
        let FieldEvent::Polled {
            device, readings, ..
        } = event
        else {
            return;
        };
        let (cache, spec) = (&self.cache, &self.spec);
        let good = |point| cache.good(now, spec, *device, point);
        let raised = self.thing_events.on_readings(spec, *device, readings, good);
        for event in raised {
            let profile = self.spec.device(event.device).map(|d| &d.profile);
            let rule = profile.and_then(|profile| {
                let rule = profile.events.iter().find(|rule| rule.id == event.id)?;
                Some(profile.rule(rule))
            });
            self.cloud.put_event(now, event.clone());
            let rule = rule.unwrap_or_default();
            let raised = HubLogEvent::ThingEvent(ThingEventLogEvent { event, rule });
            self.out.push_back(Output::LogEvent(raised));
        }
    }

    /// Passes what the reporter hands out to the cloud.
    fn deliver(&mut self, now: Now) {
        while let Some(reading) = self.reporter.poll() {
            self.cloud.put(now, reading);
        }
    }

    /// Passes everything that is withheld to the cloud.
    fn release_all(&mut self, now: Now) {
        self.reporter.release_all(now, &self.spec);
        self.deliver(now);
    }

    fn on_link(&mut self, now: Now, event: LinkEvent) {
        self.statistics.on_link(now, &event);
        match event {
            LinkEvent::Up => {
                self.link = LinkState::Up;
                self.cloud.on_link_up(now);
            }
            LinkEvent::Down(_) => {
                if std::mem::replace(&mut self.link, LinkState::Down) == LinkState::Up {
                    self.release_all(now);
                    self.cloud.on_link_down(now);
                }
            }
            LinkEvent::Message { topic, payload } => self.cloud.on_message(now, &topic, &payload),
            LinkEvent::SubscribeRefused { filters } => {
                self.cloud.on_subscribe_refused(now, &filters);
            }
        }
    }

    fn on_reload(&mut self, now: Now, spec: Arc<Spec>, changes: &Changes, commissioned: bool) {
        if changes.cloud.connection {
            let next = match commissioned {
                true => LinkState::Down,
                false => LinkState::NotCommissioned,
            };
            if std::mem::replace(&mut self.link, next) == LinkState::Up {
                self.release_all(now);
                self.cloud.on_link_down(now);
            }
        }
        self.fleet.respec(now, &spec, changes);
        self.carry_wishes(now);
        self.reporter.respec(now, &self.spec, &spec, changes);
        self.deliver(now);
        let devices = &changes.devices;
        let is_other = |id: DeviceId| {
            let moved = devices.changed.get(&id).is_some_and(|change| change.moved);
            moved || devices.added.contains(&id) || devices.removed.contains(&id)
        };
        self.thing_events.respec(&self.spec, &spec, is_other);
        self.cache.respec(&spec, changes);
        self.statistics.respec(now, &spec, changes);
        self.cloud.respec(now, Arc::clone(&spec), changes);
        let gone = spec.retired.devices.iter().copied();
        self.commands.respec(&spec, gone);
        self.spec = spec;
    }

    fn carry_wishes(&mut self, now: Now) {
        while let Some(out) = self.fleet.poll() {
            match out {
                fleet::Output::Want {
                    device,
                    online,
                    why_not,
                } => {
                    let presence = match online {
                        true => Presence::Online,
                        false => Presence::Offline,
                    };
                    if !online {
                        self.cache.lost(now, device);
                        // The cloud keeps the session for readings that wait by then.
                        self.reporter.on_silent(now, &self.spec, device);
                        self.deliver(now);
                    }
                    self.statistics.want(device, online);
                    match why_not {
                        Some(reason) => self.cloud.want_offline(now, device, reason),
                        None => self.cloud.want(now, device, presence),
                    }
                }
                fleet::Output::LogEvent(notice) => {
                    self.statistics.on_fleet(now, &notice);
                    self.out
                        .push_back(Output::LogEvent(HubLogEvent::Fleet(notice)));
                }
            }
        }
    }
}

/// Turns a group into a notice of this room.
fn told(told: Grouped<HubLogEvent>) -> Output {
    Output::LogEvent(match told {
        Grouped::One(notice) => notice,
        Grouped::Many(group) => HubLogEvent::Group(group),
    })
}

#[cfg(test)]
mod tests;
