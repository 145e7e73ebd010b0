//! Seeded faults: what can happen, and how often.

use std::time::Duration;

use alink_gateway::base::{DeviceId, Now, Rng};
use alink_gateway::lab::bus::{Chance, Fault as Bad, UnitBehaviour};
use alink_gateway::lab::platform::{Code, Device, Fault, Platform, RequestKind};

use super::house::{House, name};

/// A change to the house from outside.
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
pub(crate) fn draw(house: &House, rng: &mut Rng) -> Blow {
    let devices = house.spec.devices.len() as u64;
    let device = DeviceId(rng.below(devices) as u32);
    let wire = rng.below(house.wires.len() as u64) as usize;
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
        17 => Blow::Cloud(Fault::Cut(gateway(house))),
        18 => Blow::Cloud(Fault::Kick(name(&house.spec, device))),
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
pub(crate) fn fault(house: &House, rng: &mut Rng) -> Fault {
    let (what, code) = (RequestKind::Post, Code::THROTTLED);
    let device = DeviceId(rng.below(house.spec.devices.len() as u64) as u32);
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
        _ => Fault::LoseSession(Some(name(&house.spec, device))),
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

/// Returns the gateway as the platform names it.
pub(crate) fn gateway(house: &House) -> Device {
    let g = &house.spec.cloud.gateway;
    Device {
        product_key: g.product_key.clone(),
        device_name: g.device_name.clone(),
    }
}

/// Carries the change out.
pub(crate) async fn strike(house: &mut House, blow: Blow) {
    match blow {
        Blow::Die(d) => on_unit(house, d, |m| m.alive = false),
        Blow::Revive(d) => on_unit(house, d, |m| m.alive = true),
        Blow::Sicken(d, faults) => on_unit(house, d, |m| m.faults = faults),
        Blow::Recover(d) => on_unit(house, d, |m| m.faults.clear()),
        Blow::Unplug(w) => house.wires[w].unplug().await,
        Blow::Plug(w) => house.wires[w].plug(),
        Blow::Disable(d) => {
            house.disabled.insert(d);
            at_console(house, d, |p, now, who| p.disable(now, who)).await;
        }
        Blow::Enable(d) => {
            house.disabled.remove(&d);
            at_console(house, d, |p, now, who| p.enable(now, who)).await;
        }
        Blow::Remove(d) => at_console(house, d, |p, now, who| p.remove_topology(now, who)).await,
        Blow::Cloud(fault) => {
            let done = house.platform.with(|p, now| p.fault(now, fault));
            done.await.expect("the model does not panic");
        }
    }
}

async fn at_console(
    house: &House,
    device: DeviceId,
    act: impl FnOnce(&mut Platform, Now, &Device) -> bool + Send + 'static,
) {
    let who = name(&house.spec, device);
    let done = house.platform.with(move |p, now| act(p, now, &who));
    done.await.expect("the model does not panic");
}

fn on_unit(house: &House, device: DeviceId, change: impl FnOnce(&mut UnitBehaviour)) {
    let d = &house.spec.devices[device.index()];
    house.wires[d.port.index()].with(|line| {
        let unit = line
            .unit_mut(d.address.unit().unwrap())
            .expect("every device has its unit");
        change(&mut unit.behaviour);
    });
}

/// Ends every fault of units, lines and platform; dead units stay dead.
pub(crate) async fn calm(house: &mut House) {
    for n in 0..house.wires.len() {
        strike(house, Blow::Plug(n)).await;
    }
    for n in 0..house.spec.devices.len() {
        strike(house, Blow::Recover(DeviceId(n as u32))).await;
    }
    strike(house, Blow::Cloud(Fault::Heal)).await;
}
