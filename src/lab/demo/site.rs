//! The site of the demo: platform, line, racks and daemon, their visible state, and
//! the passing of time.

mod story;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use alink_gateway::base::{Mono, Now, Rng};
use alink_gateway::io::system::clock::Clock;
use alink_gateway::lab::broker::Broker;
use alink_gateway::lab::platform::{Device, Platform};
use alink_gateway::lab::wire::{LineRig, RackRig};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::plant::{DemoPort, Plant, RACKS};
use super::report::Report;
use super::value_checker::ValueChecker;
use super::{ENDING, Options, STEPS};
use crate::daemon::{Daemon, Folder};
use crate::demo::plant::SETPOINT;
use crate::table::{Picture, Row, Screen};
use alink_gateway::base::text::counted;

/// How often the demo looks at everything.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How often the table is drawn anew.
const DRAW: Duration = Duration::from_millis(250);
/// How often a setpoint is sent to the meter without power.
const AGAIN: Duration = Duration::from_millis(500);
/// All parts that the story needs.
pub(super) struct DemoSite {
    clock: Clock,
    started: Mono,
    deadline: Mono,
    plant: Plant,
    broker: Broker,
    line: LineRig,
    racks: Vec<RackRig>,
    folder: Folder,
    daemon: Daemon,
    interrupt: Signal,
    terminate: Signal,
    checker: ValueChecker,
    report: Report,
    screen: Screen,
    step: usize,
    drawn: Option<Mono>,
    /// The meter that gets a setpoint from the cloud again and again, and the next time.
    commanded: Option<(Device, Mono)>,
    /// The messages that the cloud has sent.
    commands: Vec<String>,
}

/// What was answered to a setpoint.
struct SetpointAnswer {
    code: i64,
    /// How often it was answered.
    times: usize,
    words: String,
}

/// The visible state at one moment.
struct VisibleState {
    online: usize,
    devices: Vec<Device>,
    login_sizes: Vec<usize>,
    heard_from: usize,
    connected: bool,
    /// Setpoints that were answered.
    answers: usize,
}

impl DemoSite {
    pub(super) async fn build(options: &Options) -> io::Result<DemoSite> {
        let clock = Clock::system();
        let started = clock.now().mono;
        let plant = Plant::new();
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));

        let platform = Platform::new(plant.registered(), Rng::new(1), clock.now());
        let broker = Broker::start(anywhere, platform, clock).await?;
        let mut racks = Vec::new();
        for n in 0..RACKS {
            racks.push(RackRig::start(plant.rack(n), anywhere, clock).await?);
        }
        let folder = Folder::new()?;
        let tty = folder.path().join("ttyLINE1");
        let mut line = LineRig::new(plant.line(), clock);
        line.plug_terminal(&tty)?;

        let cloud = broker.addr().to_string();
        let endpoint = |rack: &RackRig| (rack.address().ip().to_string(), rack.address().port());
        let endpoints: Vec<_> = racks.iter().map(endpoint).collect();
        for (name, content) in plant.files(&cloud, &tty, &endpoints) {
            folder.write(&name, &content)?;
        }
        let interrupt = signal(SignalKind::interrupt())?;
        let terminate = signal(SignalKind::terminate())?;
        let daemon = Daemon::start(options.gateway.as_deref(), &folder)?;
        let report = Report {
            devices: plant.members.len(),
            ..Report::default()
        };
        let mut screen = Screen::open(options.table, options.json)?;
        let ports: Vec<u16> = endpoints.iter().map(|(_, port)| *port).collect();
        let (meters, tty) = (line.with(|l, _| l.units().count()), tty.display());
        let meters = counted(meters, "meter");
        let set = format!("platform on {cloud}, {meters} on {tty}, racks on {ports:?}");
        screen.say(Duration::ZERO, &set);
        Ok(DemoSite {
            clock,
            started,
            deadline: started + options.within,
            checker: ValueChecker::new(),
            plant,
            broker,
            line,
            racks,
            folder,
            daemon,
            interrupt,
            terminate,
            report,
            screen,
            step: 0,
            drawn: None,
            commanded: None,
            commands: Vec::new(),
        })
    }

    /// Waits until `holds`, at most as long as the step may take.
    async fn until(&mut self, holds: impl Fn(&VisibleState) -> bool) -> Result<Duration, String> {
        let (what, limit) = STEPS[self.step];
        let since = self.clock.now().mono;
        loop {
            let view = self.tick().await?;
            let now = self.clock.now().mono;
            if holds(&view) {
                let took = now.since(since);
                let said = format!("{what}: after {:.1} s", took.as_secs_f64());
                self.screen.say(now.since(self.started), &said);
                return Ok(took);
            }
            let short = now + ENDING >= self.deadline;
            if short || now.since(since) > limit {
                let seen = format!("{} online, values of {}", view.online, view.heard_from);
                let of = self.plant.members.len();
                return Err(if short {
                    format!("no time left for: {what} ({seen} of {of})")
                } else {
                    format!("not within {limit:?}: {what} ({seen} of {of})")
                });
            }
        }
    }

    /// Lets a moment pass.
    async fn tick(&mut self) -> Result<VisibleState, String> {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => return Err("interrupted".into()),
            _ = self.terminate.recv() => return Err("interrupted".into()),
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
        let now = self.clock.now().mono;
        if let Some((device, at)) = self.commanded.clone()
            && at <= now
        {
            self.send_setpoint(&device, 20.0).await?;
            self.commanded = Some((device, now + AGAIN));
        }
        let view = self.look().await?;
        self.judge_values().await?;
        let ending = self.step + 1 == STEPS.len();
        if !ending && let Ok(Some(status)) = self.daemon.ended() {
            return Err(format!("the daemon ended in the middle: {status}"));
        }
        self.draw(&view).await?;
        Ok(view)
    }

    /// Sets the setpoint of a meter from the cloud, if the cloud has it online.
    async fn send_setpoint(&mut self, device: &Device, value: f64) -> Result<(), String> {
        let device = device.clone();
        let params = serde_json::json!({ SETPOINT: value });
        let sent = self
            .platform(move |p, now| p.set_properties(now, &device, params))
            .await?;
        self.commands.extend(sent);
        Ok(())
    }

    /// Returns what was answered to the setpoints that were sent, oldest first; those without
    /// an answer are left out.
    async fn answered(&self) -> Result<Vec<SetpointAnswer>, String> {
        let sent = self.commands.clone();
        self.platform(move |p, _| {
            let calls = sent.iter().filter_map(|id| p.ledger().calls().get(id));
            let answered = calls.filter_map(|call| {
                let first = call.answers.first()?;
                Some(SetpointAnswer {
                    code: first.code.as_i64()?,
                    times: call.answers.len(),
                    words: first.message.as_str().unwrap_or_default().to_owned(),
                })
            });
            answered.collect()
        })
        .await
    }

    async fn look(&mut self) -> Result<VisibleState, String> {
        let gateway = self.plant.gateway.clone();
        let members: Vec<Device> = self
            .plant
            .members
            .iter()
            .map(|m| m.device.clone())
            .collect();
        let sent = self.commands.clone();
        self.platform(move |p, _| VisibleState {
            answers: sent
                .iter()
                .filter_map(|id| p.ledger().calls().get(id))
                .filter(|call| !call.answers.is_empty())
                .count(),
            online: p.online(),
            devices: p.online_devices().cloned().collect(),
            login_sizes: p.ledger().login_sizes(),
            heard_from: members
                .iter()
                .filter(|d| p.accepted().of(d).is_some())
                .count(),
            connected: p.connection(&gateway).is_some(),
        })
        .await
    }

    /// Compares every value that came since the last time with its register.
    async fn judge_values(&mut self) -> Result<(), String> {
        let judged = self.checker.judged();
        let fresh = self
            .platform(move |p, _| {
                let fresh = p.accepted().total().saturating_sub(judged);
                let newest = p.accepted().log().rev();
                let n = usize::try_from(fresh).unwrap_or(usize::MAX);
                newest.take(n).cloned().collect::<Vec<_>>()
            })
            .await?;
        for value in fresh.iter().rev() {
            let member = self
                .plant
                .members
                .iter()
                .position(|m| m.device == value.device);
            let unit = member.and_then(|index| {
                let (port, unit) = (
                    self.plant.members[index].port,
                    self.plant.members[index].unit,
                );
                match port {
                    DemoPort::Line => self.line.with(|line, _| line.unit(unit).cloned()),
                    DemoPort::Rack(n) => self.racks[n].with(|rack, _| rack.unit(unit).cloned()),
                }
            });
            let member = member.map(|index| (index, &self.plant.members[index]));
            self.checker.value(value, member.zip(unit));
        }
        Ok(())
    }

    async fn draw(&mut self, view: &VisibleState) -> Result<(), String> {
        let now = self.clock.now().mono;
        if !self.screen.is_table() || self.drawn.is_some_and(|at| now.since(at) < DRAW) {
            return Ok(());
        }
        self.drawn = Some(now);
        let wanted: Vec<_> = self
            .plant
            .members
            .iter()
            .map(|m| (m.device.clone(), m.kind.headline().0))
            .collect();
        let (values, total) = self
            .platform(move |p, _| {
                let values = wanted.iter().map(|(device, property)| {
                    let value = p.accepted().of(device)?.get(*property)?;
                    Some(value.value.to_string())
                });
                (values.collect::<Vec<_>>(), p.accepted().total())
            })
            .await?;
        let rows = self.plant.members.iter().zip(values).map(|(m, value)| {
            let unit = m.kind.headline().1;
            Row {
                name: m.name.clone(),
                online: view.devices.contains(&m.device),
                value: value.map_or_else(String::new, |v| format!("{v} {unit}")),
            }
        });
        let picture = Picture {
            elapsed: now.since(self.started),
            steps: STEPS.map(|(what, _)| what).to_vec(),
            step: self.step,
            connected: view.connected,
            online: view.online,
            values: total,
            rows: rows.collect(),
        };
        self.screen
            .show(&picture)
            .map_err(|e| format!("the terminal: {e}"))
    }

    async fn platform<R: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Platform, Now) -> R + Send + 'static,
    ) -> Result<R, String> {
        self.broker
            .with(act)
            .await
            .map_err(|e| format!("the platform: {e}"))
    }
}
