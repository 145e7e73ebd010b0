//! The status of the whole, for people: the line behind `STATUS=`.

use std::fmt::Write;

use crate::base::PortId;
use crate::base::text::counted;
use crate::cloud::{Cloud, Session};
use crate::fleet::{DeviceLiveness, Fleet};
use crate::spec::Spec;

/// Counts and loads at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayStatus {
    /// How the link stands.
    pub link: LinkState,
    /// Devices that the cloud shows online through this gateway.
    pub online: usize,
    /// Devices configured.
    pub devices: usize,
    /// Devices that do not answer on their bus.
    pub silent: usize,
    /// Devices that the platform refuses, or has taken offline.
    pub refused: usize,
    /// Values that wait for the platform.
    pub waiting: usize,
    /// Name, load in thousandths, and whether the port is down, per port.
    pub ports: Vec<PortStatus>,
}

/// How the link to the cloud stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// The gateway has no identity yet and keeps away from the platform.
    NotCommissioned,
    /// Not connected.
    Down,
    /// Connected.
    Up,
}

/// One port at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortStatus {
    /// The port's name.
    pub name: String,
    /// Share of the clock the port was busy lately, in thousandths.
    pub load_permille: u16,
    /// Whether the port cannot be opened.
    pub down: bool,
}

/// How many ports a status line names; the busiest and the broken first.
const PORTS_NAMED: usize = 4;

impl GatewayStatus {
    pub(super) fn of(spec: &Spec, fleet: &Fleet, cloud: &Cloud, link: LinkState) -> Self {
        let port = |id: PortId, name: &str| PortStatus {
            name: name.to_owned(),
            load_permille: fleet.load_permille(id),
            down: fleet.port_down(id).is_some(),
        };
        GatewayStatus {
            link,
            online: cloud.online(),
            devices: spec.devices().count(),
            silent: spec
                .devices()
                .filter(|(id, _)| {
                    matches!(
                        fleet.life(*id),
                        Some(DeviceLiveness::Silent { .. } | DeviceLiveness::Probation { .. })
                    )
                })
                .count(),
            refused: spec
                .devices()
                .filter(|(id, _)| matches!(cloud.session(*id), Session::RetryBlocked { .. }))
                .count(),
            waiting: match link {
                // In normal operation some values are always about to be sent.
                LinkState::Up => 0,
                LinkState::Down | LinkState::NotCommissioned => cloud.backlog(),
            },
            ports: spec.ports().map(|(id, p)| port(id, &p.name)).collect(),
        }
    }

    /// Returns one line that says everything:
    /// `cloud up · 118/120 online · 2 silent · line1 41 %`; the line leaves out what is as it
    /// should be.
    #[must_use]
    pub fn line(&self) -> String {
        let link = match self.link {
            LinkState::NotCommissioned => "not commissioned",
            LinkState::Down => "cloud down",
            LinkState::Up => "cloud up",
        };
        let mut line = match self.devices {
            0 => format!("{link} · no devices"),
            all => format!("{link} · {}/{all} online", self.online),
        };
        for (n, what) in [(self.silent, "silent"), (self.refused, "refused")] {
            if n > 0 {
                let _ = write!(line, " · {n} {what}");
            }
        }
        if self.waiting > 0 {
            let _ = write!(line, " · {} waiting", counted(self.waiting, "value"));
        }
        let mut ports: Vec<&PortStatus> = self.ports.iter().collect();
        ports.sort_by_key(|p| (!p.down, std::cmp::Reverse(p.load_permille)));
        for p in ports.iter().take(PORTS_NAMED) {
            let _ = match p.down {
                true => write!(line, " · {} DOWN", p.name),
                false => write!(line, " · {} {} %", p.name, (p.load_permille + 5) / 10),
            };
        }
        if ports.len() > PORTS_NAMED {
            let more = counted(ports.len() - PORTS_NAMED, "more port");
            let _ = write!(line, " · {more}");
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, load_permille: u16, down: bool) -> PortStatus {
        PortStatus {
            name: name.into(),
            load_permille,
            down,
        }
    }

    #[test]
    fn the_status_line_reads_like_the_promise() {
        let status = GatewayStatus {
            link: LinkState::Up,
            online: 118,
            devices: 120,
            silent: 2,
            refused: 0,
            waiting: 0,
            ports: vec![port("line1", 412, false)],
        };
        assert_eq!(
            status.line(),
            "cloud up · 118/120 online · 2 silent · line1 41 %"
        );
        let refused = GatewayStatus {
            online: 117,
            refused: 1,
            waiting: 1,
            ..status.clone()
        };
        assert_eq!(
            refused.line(),
            "cloud up · 117/120 online · 2 silent · 1 refused · 1 value waiting · line1 41 %"
        );
        let nothing = GatewayStatus {
            online: 0,
            devices: 0,
            silent: 0,
            ports: Vec::new(),
            ..status
        };
        assert_eq!(nothing.line(), "cloud up · no devices");
    }

    #[test]
    fn broken_ports_come_first_and_many_ports_are_counted() {
        let mut ports = vec![port("broken", 0, true)];
        ports.extend((0..6).map(|n| port(&format!("p{n}"), n * 100, false)));
        ports.rotate_left(1);
        let status = GatewayStatus {
            link: LinkState::Down,
            online: 0,
            devices: 7,
            silent: 7,
            refused: 0,
            waiting: 1234,
            ports,
        };
        assert_eq!(
            status.line(),
            "cloud down · 0/7 online · 7 silent · 1,234 values waiting · broken DOWN · p5 50 % · p4 40 % · p3 30 % · 3 more ports"
        );
    }
}
