//! Seeded faults: what can happen, and how often.

use std::time::Duration;

use alink_gateway::base::{DeviceId, Now, Rng};
use alink_gateway::lab::bus::{Chance, Fault as Bad, UnitBehaviour};
use alink_gateway::lab::platform::{Code, Device, Fault, Platform, RequestKind};
use alink_gateway::lab::site::Site;

use super::site::name;

/// A change to the site from outside.
#[derive(Clone, Debug)]
pub(crate) enum Blow {
    /// A unit loses power.
    Die(DeviceId),
    /// A unit has power again.
    Revive(DeviceId),
    /// A unit begins to answer late, garbled, short, twice, under foreign addresses.
    Sicken(DeviceId, Vec<Chance>),
    /// A unit answers well again.
    Recover(DeviceId),
    /// A cable is pulled.
    Unplug(usize),
    /// A cable is put back.
    Plug(usize),
    /// A fault strikes the platform or the way there.
    Cloud(Fault),
    /// A device is disabled in the console.
    Disable(DeviceId),
    /// A device is enabled in the console.
    Enable(DeviceId),
    /// A device is taken from the gateway's topology in the console.
    Remove(DeviceId),
}

/// Draws the next blow.
pub(crate) fn draw(site: &Site, rng: &mut Rng) -> Blow {
    let devices = site.spec.devices.len() as u64;
    let device = DeviceId(rng.below(devices) as u32);
    let wire = rng.below(site.wires.len() as u64) as usize;
    let ms = |n: u64| Duration::from_millis(n);
    match rng.below(24) {
        0..=3 => Blow::Die(device),
        4..=6 => Blow::Revive(device),
        7 | 8 => Blow::Sicken(device, sickness(rng)),
        9 => Blow::Recover(device),
        10 => Blow::Unplug(wire),
        11 | 12 => Blow::Plug(wire),
        13 => Blow::Cloud(Fault::LoseRequests {
            permille: rng.below(300) as u32,
        }),
        14 => Blow::Cloud(Fault::LoseReplies {
            permille: rng.below(300) as u32,
        }),
        15 => Blow::Cloud(Fault::Delay {
            least: ms(0),
            most: ms(rng.below(12_000)),
        }),
        16 => Blow::Cloud(Fault::Duplicate {
            permille: rng.below(500) as u32,
        }),
        17 => Blow::Cloud(Fault::Cut(site.gateway())),
        18 => Blow::Cloud(Fault::Kick(name(&site.spec, device))),
        19 => Blow::Disable(device),
        20 | 21 => Blow::Enable(device),
        22 => Blow::Remove(device),
        _ => Blow::Cloud(match rng.below(4) {
            0 => Fault::Throttle {
                during: Duration::from_secs(60),
            },
            1 => Fault::Reorder {
                permille: 200,
                by: ms(3_000),
            },
            _ => Fault::Heal,
        }),
    }
}

/// Draws a fault of the platform itself: it refuses posts for their number, or loses
/// sessions.
pub(crate) fn fault(site: &Site, rng: &mut Rng) -> Fault {
    let (what, code) = (RequestKind::Post, Code::THROTTLED);
    let device = DeviceId(rng.below(site.spec.devices.len() as u64) as u32);
    match rng.below(5) {
        0 => Fault::AnswerNext {
            what,
            code,
            times: 1 + rng.below(5) as u32,
        },
        1 => Fault::Answer {
            what,
            code,
            during: Duration::from_secs(rng.below(60)),
        },
        2 => Fault::PostsPerSecond(Some(1 + rng.below(3) as usize)),
        3 => Fault::LoseSession(None),
        _ => Fault::LoseSession(Some(name(&site.spec, device))),
    }
}

fn sickness(rng: &mut Rng) -> Vec<Chance> {
    let all = [
        Bad::Mute,
        Bad::Late(Duration::from_millis(150 + rng.below(800))),
        Bad::Cut,
        Bad::Flip,
        Bad::Twice,
        Bad::Foreign,
        Bad::WrongFunction,
        Bad::Short,
        Bad::Echo,
        Bad::Noise(1 + rng.below(40) as u8),
        Bad::Babble,
        Bad::Hiccup(Duration::from_millis(rng.below(60))),
    ];
    (0..3)
        .map(|_| Chance {
            fault: all[rng.below(all.len() as u64) as usize],
            permille: 100 + rng.below(400) as u32,
        })
        .collect()
}

/// Carries the change out.
pub(crate) async fn strike(site: &mut Site, blow: Blow) {
    match blow {
        Blow::Die(d) => on_unit(site, d, |m| m.alive = false),
        Blow::Revive(d) => on_unit(site, d, |m| m.alive = true),
        Blow::Sicken(d, faults) => on_unit(site, d, |m| m.faults = faults),
        Blow::Recover(d) => on_unit(site, d, |m| m.faults.clear()),
        Blow::Unplug(w) => site.wires[w].unplug().await,
        Blow::Plug(w) => site.wires[w].plug(),
        Blow::Disable(d) => at_console(site, d, |p, now, who| p.disable(now, who)).await,
        Blow::Enable(d) => at_console(site, d, |p, now, who| p.enable(now, who)).await,
        Blow::Remove(d) => at_console(site, d, |p, now, who| p.remove_topology(now, who)).await,
        Blow::Cloud(fault) => {
            site.platform(|p, now| p.fault(now, fault)).await;
        }
    }
}

async fn at_console(
    site: &Site,
    device: DeviceId,
    act: impl FnOnce(&mut Platform, Now, &Device) -> bool + Send + 'static,
) {
    let who = name(&site.spec, device);
    site.platform(move |p, now| act(p, now, &who)).await;
}

fn on_unit(site: &Site, device: DeviceId, change: impl FnOnce(&mut UnitBehaviour)) {
    let d = &site.spec.devices[device.index()];
    site.wires[d.port.index()].with(|line| {
        let unit = line
            .unit_mut(d.address.unit().unwrap())
            .expect("every device has its unit");
        change(&mut unit.behaviour);
    });
}

/// Ends every fault of units, lines and platform; dead units stay dead.
pub(crate) async fn calm(site: &mut Site) {
    for n in 0..site.wires.len() {
        strike(site, Blow::Plug(n)).await;
    }
    for n in 0..site.spec.devices.len() {
        strike(site, Blow::Recover(DeviceId(n as u32))).await;
    }
    strike(site, Blow::Cloud(Fault::Heal)).await;
}
