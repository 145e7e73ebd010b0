//! `alink-lab demo`: the main job, end to end, on this machine.
//!
//! A platform, a 9600-baud line of meters on a pseudo terminal, two Modbus TCP racks,
//! and between them the real daemon as a child process, on the real terminal and real
//! sockets. The story: all devices come online, readings arrive, a meter loses its
//! power and is logged out, it returns and is logged in, the cloud connection is cut
//! and recovers, SIGTERM logs all devices out. Every value that arrives is compared
//! with the register it came from.

mod daemon;
mod judge;
mod plant;
mod report;
mod stage;

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use alink_gateway::lab::platform::{Ask, Code};

use report::millis;
use stage::Stage;

pub(crate) use daemon::GATEWAY;

/// The options of the demo.
#[derive(Debug)]
pub(crate) struct Options {
    /// It ends within this time, whatever happens.
    pub(crate) within: Duration,
    /// Print the report as one line of JSON.
    pub(crate) json: bool,
    /// The daemon to try; `None` is the daemon this binary was built with.
    pub(crate) gateway: Option<PathBuf>,
    /// Draw the live table; else print lines.
    pub(crate) table: bool,
}

/// The time kept back for the end: SIGTERM, log-outs, DISCONNECT.
const ENDING: Duration = Duration::from_secs(8);
/// The meter that loses its power.
const VICTIM: usize = 4;
/// The largest batch.
const FULL: usize = 50;
/// The most log-in batches that are still few.
const HANDFUL: usize = 8;

/// The steps of the story and how long each may take.
const STEPS: [(&str, Duration); 6] = [
    ("all devices come online", Duration::from_secs(20)),
    ("values of all devices arrive", Duration::from_secs(15)),
    (
        "a meter loses its power and is logged out",
        Duration::from_secs(20),
    ),
    ("it returns and is logged in", Duration::from_secs(20)),
    (
        "the connection is cut and recovers",
        Duration::from_secs(30),
    ),
    ("SIGTERM logs all devices out", ENDING),
];

/// Plays the demo; true if the story came true.
///
/// # Errors
/// The stage cannot be set up: no terminal, no socket, no directory.
pub(crate) async fn run(options: Options) -> io::Result<bool> {
    let mut stage = Stage::set(&options).await?;
    if let Err(why) = stage.story().await {
        stage.report.problem(why);
    }
    stage.end().await;
    Ok(stage.close(options.json))
}

impl Stage {
    async fn story(&mut self) -> Result<(), String> {
        let all = self.plant.members.len();
        let victim = self.plant.members[VICTIM].clone();

        let took = self.until(|v| v.online == all).await?;
        let view = self.look().await?;
        self.report.online = view.online;
        self.report.batch_sizes = view.login_sizes;
        self.report.all_online_ms = Some(millis(took));
        let sizes = &self.report.batch_sizes;
        let full = sizes.iter().filter(|n| **n == FULL).count();
        if full < 2 || sizes.len() > HANDFUL {
            let what = format!("log-ins of {sizes:?}: not few batches with two full ones");
            self.report.problem(what);
        }

        self.next();
        self.until(|v| v.heard_from == all).await?;

        self.next();
        self.line.with(|line, now| {
            line.kill(victim.unit);
            self.judge.died(VICTIM, now.wall);
        });
        let took = self.until(|v| !v.devices.contains(&victim.device)).await?;
        self.report.silent_to_logout_ms = Some(millis(took));
        let left = self.look().await?.online;
        if left != all - 1 {
            self.report
                .problem(format!("{left} online beside the meter without power"));
        }

        self.next();
        self.line.with(|line, now| {
            line.revive(victim.unit);
            self.judge.returned(VICTIM, now.wall);
        });
        let took = self.until(|v| v.online == all).await?;
        self.report.back_to_login_ms = Some(millis(took));

        self.next();
        let gateway = self.plant.gateway.clone();
        let cut = self
            .platform(move |p, now| p.drop_connection(now, &gateway))
            .await?;
        if !cut {
            return Err("there was no connection to cut".into());
        }
        self.until(|v| v.connected && v.online == all).await?;
        self.report.recovered = true;
        Ok(())
    }

    /// Sends SIGTERM and checks its effects.
    async fn end(&mut self) {
        self.step = STEPS.len() - 1;
        let since = self.clock.now().mono;
        if let Err(e) = self.daemon.terminate() {
            self.report
                .problem(format!("SIGTERM could not be sent: {e}"));
        }
        let patience = (since + ENDING).max(self.deadline);
        let mut status = None;
        while status.is_none() && self.clock.now().mono < patience.min(since + ENDING) {
            if let Err(why) = self.tick().await {
                self.report.problem(why);
                break;
            }
            status = self.daemon.ended().ok().flatten();
        }
        self.judge_exit(status);
        if let Err(why) = self.judge_values().await {
            self.report.problem(why);
        }
        let counted = self
            .platform(move |p, _| {
                let asked = p.ledger().asked().filter(|a| {
                    a.at >= since
                        && a.code == Code::OK
                        && matches!(a.ask, Ask::Logout | Ask::BatchLogout)
                });
                let broken: Vec<String> = p
                    .ledger()
                    .violations()
                    .iter()
                    .map(|(rule, b)| format!("{rule}, {} times, first {}", b.times, b.first))
                    .collect();
                (
                    asked.map(|a| a.size()).sum(),
                    p.online(),
                    p.accepted().total(),
                    broken,
                )
            })
            .await;
        match counted {
            Ok((logged_out, online, values, broken)) => {
                self.report.logged_out_at_exit = logged_out;
                self.report.values_accepted = values;
                if logged_out != self.plant.members.len() || online != 0 {
                    self.report.problem(format!(
                        "{logged_out} of {} logged out at the end, {online} still online",
                        self.plant.members.len()
                    ));
                }
                for rule in broken {
                    self.report
                        .problem(format!("a rule of the platform: {rule}"));
                }
            }
            Err(why) => self.report.problem(why),
        }
        let counts = self.line.with(|line, _| line.counts().clone());
        if counts.silence_violations > 0 {
            self.report.problem(format!(
                "{} requests without 3.5 characters of silence before them",
                counts.silence_violations
            ));
        }
        let (judged, accepted) = (self.judge.judged(), self.report.values_accepted);
        if judged != accepted {
            self.report.problem(format!(
                "{judged} of {accepted} values were compared with their registers"
            ));
        }
        if self.judge.found() > 0 {
            self.report.problem(format!(
                "{} values were wrong, such as:",
                self.judge.found()
            ));
        }
        for wrong in self.judge.wrong() {
            self.report.problem(wrong.as_str());
        }
        self.report.close();
    }

    fn judge_exit(&mut self, status: Option<ExitStatus>) {
        match status {
            Some(status) if status.success() => {}
            Some(status) => self.report.problem(format!("the daemon ended: {status}")),
            None => self.report.problem("the daemon did not end after SIGTERM"),
        }
    }

    fn close(mut self, json: bool) -> bool {
        self.screen.close();
        let came_true = self.report.came_true();
        if !came_true {
            self.folder.keep();
            let log = self.daemon.log().display();
            let words = self.daemon.last_words(15);
            self.screen.explain(&format!(
                "the daemon's log is in {log}; its last lines:\n{words}"
            ));
        }
        self.screen.report(
            &self.report.text(),
            json.then(|| self.report.json()).as_deref(),
        );
        came_true
    }

    /// Begins the next step of the story.
    fn next(&mut self) {
        self.step += 1;
    }
}
