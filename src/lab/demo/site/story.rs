//! The story of the demo, step by step, and its end.

use std::process::ExitStatus;

use alink_gateway::lab::platform::{Code, SessionRequestKind};

use super::{DemoSite, ENDING, STEPS};
use crate::demo::report::millis;
use alink_gateway::base::text::{self, counted};

/// The meter that loses its power.
const VICTIM: usize = 4;
/// The meter that gets a setpoint.
const HEATED: usize = 2;
/// The codes of answers: done, and the device does not answer (`docs/commands.md`).
const DONE: i64 = 200;
const SILENT: i64 = 100_004;
/// The largest batch.
const FULL: usize = 50;
/// The most log-in batches that are still few.
const HANDFUL: usize = 8;

impl DemoSite {
    /// Plays the story up to its end; what does not come true is a problem of the report.
    pub(crate) async fn story(&mut self) {
        if let Err(why) = self.plays().await {
            self.report.problem(why);
        }
    }

    async fn plays(&mut self) -> Result<(), String> {
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
        let heated = self.plant.members[HEATED].device.clone();
        self.send_setpoint(&heated, 21.5).await?;
        self.until(|v| v.answers == 1).await?;
        for answer in self.answered().await? {
            match (answer.code, answer.times) {
                (DONE, 1) => self.report.commands_verified += 1,
                (code, times) => self.report.problem(format!(
                    "the setpoint was answered {code} ({}), {}",
                    answer.words,
                    text::times(times as u64)
                )),
            }
        }

        self.next();
        self.commands.clear();
        self.line.with(|line, now| {
            line.kill(victim.unit);
            self.checker.died(VICTIM, now.wall);
        });
        // Until its silence is certain a setpoint may be sent in vain; from then on it is
        // refused.
        self.commanded = Some((victim.device.clone(), self.clock.now().mono));
        let took = self.until(|v| !v.devices.contains(&victim.device)).await?;
        self.commanded = None;
        self.report.silent_to_logout_ms = Some(millis(took));
        let answers = self.answered().await?;
        let refused = answers.iter().filter(|a| a.code == SILENT).count();
        self.report.commands_refused = refused;
        if refused == 0 || answers.iter().any(|a| a.code == DONE || a.times > 1) {
            let codes: Vec<i64> = answers.iter().map(|a| a.code).collect();
            let what = format!("setpoints to the meter without power were answered {codes:?}");
            self.report.problem(what);
        }
        let left = self.look().await?.online;
        if left != all - 1 {
            self.report
                .problem(format!("{left} online beside the meter without power"));
        }

        self.next();
        self.line.with(|line, now| {
            line.power_on(victim.unit);
            self.checker.returned(VICTIM, now.wall);
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
    pub(crate) async fn end(&mut self) {
        self.step = STEPS.len() - 1;
        let since = self.clock.now().mono;
        if let Err(e) = self.daemon.terminate() {
            self.report
                .problem(format!("SIGTERM could not be sent: {e}"));
        }
        let time_limit = (since + ENDING).max(self.deadline);
        let mut status = None;
        while status.is_none() && self.clock.now().mono < time_limit.min(since + ENDING) {
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
        let seen = self
            .platform(move |p, _| {
                let asked = p.ledger().asked().filter(|a| {
                    a.at >= since
                        && a.code == Code::OK
                        && matches!(
                            a.ask,
                            SessionRequestKind::Logout | SessionRequestKind::BatchLogout
                        )
                });
                let broken: Vec<String> = p
                    .ledger()
                    .violations()
                    .iter()
                    .map(|(rule, b)| format!("{rule}, {}, first {}", text::times(b.times), b.first))
                    .collect();
                (
                    asked.map(|a| a.size()).sum(),
                    p.online(),
                    p.accepted().total(),
                    broken,
                )
            })
            .await;
        match seen {
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
                "{} without 3.5 characters of silence before",
                counted(counts.silence_violations, "request")
            ));
        }
        let (judged, accepted) = (self.checker.judged(), self.report.values_accepted);
        if judged != accepted {
            self.report.problem(format!(
                "{judged} of {} compared with their registers",
                counted(accepted, "value")
            ));
        }
        if self.checker.found() > 0 {
            self.report.problem(format!(
                "{} not as in the registers, such as:",
                counted(self.checker.found(), "value")
            ));
        }
        for wrong in self.checker.wrong() {
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

    /// Shows the report; true if the story came true.
    pub(crate) fn close(mut self, json: bool) -> bool {
        self.screen.close();
        let came_true = self.report.succeeded();
        if !came_true {
            self.folder.keep();
            let log = self.daemon.log().display();
            let words = self.daemon.last_output(15);
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
