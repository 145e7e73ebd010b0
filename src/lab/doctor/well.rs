//! Plants with which nothing is wrong.

use std::time::Duration;

use super::house::{House, Plan, UNITS, installation};
use crate::base::UnitId;
use crate::doctor::Facts;
use crate::lab::bus::Fault;
use crate::lab::platform;
use crate::spec::Number;

/// A plant with which nothing is wrong, however it may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Healthy {
    /// Everything answers at once.
    Plain,
    /// The first seconds after the start.
    JustStarted,
    /// A meter that takes nearly all of its response timeout.
    SlowMeter,
    /// A device was switched off for the night, and on again in the morning.
    NightOff,
    /// One reply in a hundred is spoilt.
    FewErrors,
    /// A new configuration is loaded, with other intervals and one device less.
    Reload,
    /// The connection to the platform breaks, and is made again.
    Reconnect,
    /// The cable of a line was off for some minutes, and is on again.
    CableBack,
    /// The adapter heard what it sent, and was set not to.
    EchoOff,
}

impl Healthy {
    /// All of them.
    pub const ALL: &'static [Healthy] = &[
        Healthy::Plain,
        Healthy::JustStarted,
        Healthy::SlowMeter,
        Healthy::NightOff,
        Healthy::FewErrors,
        Healthy::Reload,
        Healthy::Reconnect,
        Healthy::CableBack,
        Healthy::EchoOff,
    ];

    /// Returns the name of the plant.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Healthy::Plain => "healthy",
            Healthy::JustStarted => "healthy, just started",
            Healthy::SlowMeter => "healthy, a slow meter",
            Healthy::NightOff => "healthy, a device off for the night",
            Healthy::FewErrors => "healthy, a few errors",
            Healthy::Reload => "healthy, during a reload",
            Healthy::Reconnect => "healthy, connected again",
            Healthy::CableBack => "healthy, a cable on again",
            Healthy::EchoOff => "healthy, an echo switched off",
        }
    }

    /// Lives, and returns what the service shows at the moments at which it may look bad; no
    /// facts at all if the service was gone.
    pub(super) async fn facts(self, seed: u64) -> Vec<Facts> {
        let house = House::build(Plan::new(), seed);
        let mut all = Vec::new();
        match self {
            Healthy::Plain => all.push(self.after(&house, 600).await),
            Healthy::JustStarted => {
                for _ in 0..30 {
                    all.push(house.facts().await);
                    house.live(1).await;
                }
            }
            Healthy::SlowMeter => {
                house.line(0, |line| {
                    if let Some(unit) = line.unit_mut(UnitId(2)) {
                        unit.behaviour.turnaround = Duration::from_millis(200);
                        unit.behaviour.jitter = Duration::from_millis(50);
                    }
                });
                for _ in 0..5 {
                    all.push(self.after(&house, 60).await);
                }
            }
            Healthy::NightOff => {
                house.live(120).await;
                house.line(0, |line| line.kill(UnitId(3)));
                for seconds in [3, 10, 60, 600] {
                    all.push(self.after(&house, seconds).await);
                }
                house.line(0, |line| line.revive(UnitId(3)));
                for seconds in [3, 10, 60] {
                    all.push(self.after(&house, seconds).await);
                }
            }
            Healthy::FewErrors => {
                (0..2).for_each(|n| house.spoil(n, Fault::Flip, 10));
                for _ in 0..10 {
                    all.push(self.after(&house, 60).await);
                }
            }
            Healthy::Reload => {
                house.live(120).await;
                let mut fresh = installation(Number::U16);
                fresh.devices.pop();
                house.reload(fresh).await;
                for _ in 0..20 {
                    all.push(house.facts().await);
                    house.live(1).await;
                }
            }
            Healthy::Reconnect => {
                house.live(120).await;
                let gateway = house.gateway();
                let cut = platform::Fault::Cut(gateway);
                house.platform(move |p, now| p.fault(now, cut)).await;
                for _ in 0..20 {
                    all.push(house.facts().await);
                    house.live(1).await;
                }
            }
            Healthy::CableBack => {
                house.live(120).await;
                house.kill_all(0);
                house.live(240).await;
                house.line(0, |line| {
                    (1..=UNITS[0]).for_each(|unit| line.revive(UnitId(unit)));
                });
                for seconds in [120, 600] {
                    all.push(self.after(&house, seconds).await);
                }
            }
            Healthy::EchoOff => {
                house.line(0, |line| line.echo = true);
                house.live(120).await;
                house.line(0, |line| line.echo = false);
                all.push(self.after(&house, 700).await);
            }
        }
        all.into_iter().flatten().collect()
    }

    async fn after(self, house: &House, seconds: u64) -> Option<Facts> {
        house.live(seconds).await;
        house.facts().await
    }
}
