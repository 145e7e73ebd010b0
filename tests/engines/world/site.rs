//! Whole gateways of marked units: each value belongs to one unit only.

use std::time::Duration;

use crate::installation::{self, demo_cloud, device, number, point, port, profile, serial};
use alink_gateway::base::{DeviceId, PortId, Secret};
use alink_gateway::io::system::clock::Clock;
use alink_gateway::lab::platform::{Device, PlatformSpec};
use alink_gateway::lab::site::{self, Plan, START, Site};
use alink_gateway::spec::*;

/// How many lines, and how many units on each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Serial lines.
    pub(crate) lines: u16,
    /// Units on each.
    pub(crate) units: u8,
}

/// Builds everything and lets it run.
pub(crate) fn build(size: Size, seed: u64, shape: impl FnOnce(&mut PlatformSpec)) -> Site {
    build_with(size, SessionLimits::default(), seed, shape)
}

/// Does the same, with these limits of sessions instead of the usual ones.
pub(crate) fn build_with(
    size: Size,
    session: SessionLimits,
    seed: u64,
    shape: impl FnOnce(&mut PlatformSpec),
) -> Site {
    build_on(Clock::starting_at(START), size, session, seed, shape)
}

/// Does the same with the gateway on a clock of its own.
pub(crate) fn build_on(
    ours: Clock,
    size: Size,
    session: SessionLimits,
    seed: u64,
    shape: impl FnOnce(&mut PlatformSpec),
) -> Site {
    let mut spec = spec(size);
    spec.cloud.session = session;
    build_of(ours, spec, seed, shape)
}

/// Does the same for this installation, whose ports are serial lines.
pub(crate) fn build_of(
    ours: Clock,
    spec: Spec,
    seed: u64,
    shape: impl FnOnce(&mut PlatformSpec),
) -> Site {
    let mut plan = Plan {
        clock: ours,
        group: 16,
        ..Plan::of(spec)
    };
    shape(&mut plan.platform);
    Site::build(plan, seed)
}

/// Returns a device as the platform names it.
pub(crate) fn name(spec: &Spec, device: DeviceId) -> Device {
    site::device_of(spec, device).unwrap()
}

/// Builds an installation of marked units.
fn spec(size: Size) -> Spec {
    let point = |id: &str, table, address, interval| PointSpec {
        id: id.into(),
        ..point(
            table,
            address,
            number(Number::U16),
            Duration::from_secs(interval),
        )
    };
    let profile = profile(
        "marked",
        vec![
            point("h10", Table::HoldingRegister, 10, 2),
            point("h11", Table::HoldingRegister, 11, 2),
            point("i500", Table::InputRegister, 500, 5),
        ],
    );
    let ports = (0..size.lines).map(|n| {
        let line = LineSpec::Serial(serial(format!("/dev/line{n}"), 9600));
        PortSpec {
            budget: LineBudget {
                grace: Duration::from_secs(15),
                // Storms kill some units over and over; the cloud is to show it.
                damping: false,
                ..LineBudget::default()
            },
            ..port(&format!("line{n}"), line, Duration::from_millis(200))
        }
    });
    let devices = (0..size.lines)
        .flat_map(|l| (1..=size.units).map(move |u| (l, u)))
        .map(|(l, u)| DeviceSpec {
            port: PortId(l),
            secret: Secret::new(format!("secret-of-{l}-{u}")),
            liveness: Liveness {
                missed: 3,
                quiet: Duration::from_secs(10),
                returns: 2,
            },
            // Every other address is free: on RTU nothing tells a late reply under a
            // wrong address, with a good checksum, from the reply of the unit with that
            // address.
            ..device(&format!("unit-{l}-{u}"), 2 * u - 1, "a1SubDemoPk", &profile)
        });
    installation::spec(demo_cloud("platform"), ports.collect(), devices.collect())
}
