//! The phases: commands on a loaded line, a flood of them, and commands while units and the
//! connection fail.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use alink_gateway::base::UnitId;
use alink_gateway::lab::bus::{Chance, Fault};

use super::plant::{Plant, UNITS};
use super::site::{CommandSite, PhaseJudgement, Run};

/// How many commands of a flood wait for their answers at any time: one for each unit.
const OPEN: usize = UNITS as usize;

/// Sends so many commands, one after the other, to a line that is loaded to seven tenths.
pub(super) async fn loaded(run: &Run, baud: u32, commands: u32) -> io::Result<PhaseJudgement> {
    let mut site = CommandSite::set("loaded", baud, run).await?;
    let begun = site.now();
    for n in 0..commands {
        // Somewhere in the interval: at no fixed place of the schedule.
        let interval = Plant::new(baud, 0).interval().as_millis() as u64;
        let pause = 250 + site.rng().below(interval);
        site.live(Duration::from_millis(pause)).await;
        let unit = 1 + (n % u32::from(UNITS)) as u8;
        if let Some(id) = site.send(unit, n % 3 == 2).await? {
            site.until_answered(&id).await?;
        }
    }
    site.finish(begun).await
}

/// Sends commands without end to a line that is loaded to seven tenths.
pub(super) async fn flood(run: &Run, span: Duration) -> io::Result<PhaseJudgement> {
    let mut site = CommandSite::set("flood", 9600, run).await?;
    let begun = site.now();
    let mut open = VecDeque::new();
    for n in 0u32.. {
        if site.now().since(begun) >= span {
            break;
        }
        let unit = 1 + (n % u32::from(UNITS)) as u8;
        open.extend(site.send(unit, false).await?);
        if open.len() >= OPEN
            && let Some(first) = open.pop_front()
        {
            site.until_answered(&first).await?;
        }
    }
    site.finish(begun).await
}

/// Sends commands while replies are lost, late and spoilt, units lose their power, and the
/// connection is cut.
pub(super) async fn faults(run: &Run, span: Duration) -> io::Result<PhaseJudgement> {
    let mut site = CommandSite::set("faults", 9600, run).await?;
    let begun = site.now();
    let mut next_fault = begun;
    while site.now().since(begun) < span {
        let now = site.now();
        if now >= next_fault {
            next_fault = now + Duration::from_millis(1000 + site.rng().below(3000));
            strike(&mut site).await?;
        }
        let unit = 1 + site.rng().below(u64::from(UNITS)) as u8;
        let is_call = site.rng().below(2) == 0;
        let _ = site.send(unit, is_call).await?;
        let pause = 100 + site.rng().below(400);
        site.live(Duration::from_millis(pause)).await;
    }
    site.finish(begun).await
}

/// Changes how one unit behaves, or cuts the connection.
async fn strike(site: &mut CommandSite) -> io::Result<()> {
    let id = UnitId(1 + site.rng().below(u64::from(UNITS)) as u8);
    let faults: &[Fault] = match site.rng().below(8) {
        0 => return site.cut().await,
        1 => {
            site.line(|line| line.kill(id));
            return Ok(());
        }
        2 => &[Fault::Mute],
        3 => &[Fault::Flip],
        4 => &[Fault::Late(Duration::from_millis(700))],
        _ => &[],
    };
    site.line(|line| {
        line.power_on(id);
        if let Some(unit) = line.unit_mut(id) {
            let chance = |&fault| Chance {
                fault,
                permille: 400,
            };
            unit.behaviour.faults = faults.iter().map(chance).collect();
        }
    });
    Ok(())
}
