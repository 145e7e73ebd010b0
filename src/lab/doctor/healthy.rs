//! Plants with which nothing is wrong.

use std::time::Duration;

use super::plant::{UNITS, installation, plan};
use crate::base::UnitId;
use crate::doctor::Facts;
use crate::lab::bus::Fault;
use crate::lab::platform;
use crate::lab::site::Site;
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
        let site = Site::build(plan(), seed);
        let mut all = Vec::new();
        match self {
            Healthy::Plain => all.push(self.after(&site, 600).await),
            Healthy::JustStarted => {
                for _ in 0..30 {
                    all.push(site.facts().await);
                    site.live(Duration::from_secs(1)).await;
                }
            }
            Healthy::SlowMeter => {
                site.wires[0].with(|line| {
                    if let Some(unit) = line.unit_mut(UnitId(2)) {
                        unit.behaviour.turnaround = Duration::from_millis(200);
                        unit.behaviour.jitter = Duration::from_millis(50);
                    }
                });
                for _ in 0..5 {
                    all.push(self.after(&site, 60).await);
                }
            }
            Healthy::NightOff => {
                site.live(Duration::from_secs(120)).await;
                site.wires[0].with(|line| line.kill(UnitId(3)));
                for seconds in [3, 10, 60, 600] {
                    all.push(self.after(&site, seconds).await);
                }
                site.wires[0].with(|line| line.power_on(UnitId(3)));
                for seconds in [3, 10, 60] {
                    all.push(self.after(&site, seconds).await);
                }
            }
            Healthy::FewErrors => {
                site.wires
                    .iter()
                    .for_each(|wire| wire.spoil(Fault::Flip, 10));
                for _ in 0..10 {
                    all.push(self.after(&site, 60).await);
                }
            }
            Healthy::Reload => {
                site.live(Duration::from_secs(120)).await;
                let mut fresh = installation(Number::U16);
                fresh.devices.pop();
                site.reload(fresh).await;
                for _ in 0..20 {
                    all.push(site.facts().await);
                    site.live(Duration::from_secs(1)).await;
                }
            }
            Healthy::Reconnect => {
                site.live(Duration::from_secs(120)).await;
                let gateway = site.gateway();
                let cut = platform::Fault::Cut(gateway);
                site.platform(move |p, now| p.fault(now, cut)).await;
                for _ in 0..20 {
                    all.push(site.facts().await);
                    site.live(Duration::from_secs(1)).await;
                }
            }
            Healthy::CableBack => {
                site.live(Duration::from_secs(120)).await;
                site.wires[0].kill_all();
                site.live(Duration::from_secs(240)).await;
                site.wires[0].with(|line| {
                    (1..=UNITS[0]).for_each(|unit| line.power_on(UnitId(unit)));
                });
                for seconds in [120, 600] {
                    all.push(self.after(&site, seconds).await);
                }
            }
            Healthy::EchoOff => {
                site.wires[0].with(|line| line.echo = true);
                site.live(Duration::from_secs(120)).await;
                site.wires[0].with(|line| line.echo = false);
                all.push(self.after(&site, 700).await);
            }
        }
        all.into_iter().flatten().collect()
    }

    async fn after(self, site: &Site, seconds: u64) -> Option<Facts> {
        site.live(Duration::from_secs(seconds)).await;
        site.facts().await
    }
}
