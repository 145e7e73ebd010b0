//! The installation that the doctor is tried on, and what a service shows of it.

use std::sync::Arc;
use std::time::Duration;

use crate::base::{Now, PortId, Rng, Secret, Wall};
use crate::doctor::Facts;
use crate::hub::{Coordinator, Input};
use crate::lab::site::{Plan, START};
use crate::spec::test_spec::{self, device, number, point, port, profile, serial};
use crate::spec::{
    DeviceSpec, GatewayCertificate, LineSpec, Liveness, Number, PointSpec, PortSpec, Spec, Table,
};

/// How many units are on the first line, and how many on the second.
pub(super) const UNITS: [u8; 2] = [4, 2];
/// The response timeout of both lines.
const TIMEOUT: Duration = Duration::from_millis(300);

/// Returns a plan with which nothing is wrong.
pub(super) fn plan() -> Plan {
    Plan::of(installation(Number::U16))
}

/// Returns what a service shows that was told these events, a second after each other.
pub(super) fn told(inputs: Vec<Input>) -> Facts {
    let clock = |second: u64| Now {
        mono: crate::base::Mono::from_micros(second * 1_000_000),
        wall: Wall::from_millis(START.as_millis() + i64::try_from(second * 1000).unwrap_or(0)),
    };
    let spec = Arc::new(installation(Number::U16));
    let mut hub = Coordinator::new(spec, Rng::new(1), clock(0));
    let mut second = 0;
    for input in inputs {
        // Long after the start: what may need some time then has had it.
        second += 90;
        hub.handle(clock(second), input);
        while hub.poll(clock(second)).is_some() {}
    }
    let now = clock(second + 1);
    Facts::of(hub.snapshot(now), hub.devices(now).collect())
}

/// Returns the port with this index: `line1`, `line2`.
fn port_of(n: usize) -> PortSpec {
    let path = format!("/dev/serial/by-id/usb-simulated-{}", n + 1);
    let line = LineSpec::Serial(serial(path, 9600));
    port(&format!("line{}", n + 1), line, TIMEOUT)
}

/// Builds an installation of two lines whose points hold numbers of this kind. The units have
/// marked registers: as floats they are no values of any device.
pub(super) fn installation(kind: Number) -> Spec {
    let point = |n: u16| PointSpec {
        id: format!("Value{n}"),
        ..point(
            Table::HoldingRegister,
            4 * n,
            number(kind),
            Duration::from_secs(2),
        )
    };
    let profile = profile("meter", (0..6).map(point).collect());
    let device = |port: usize, unit: u8| DeviceSpec {
        port: PortId(u16::try_from(port).unwrap_or_default()),
        secret: Secret::new(format!("secret-of-{port}-{unit}")),
        liveness: Liveness {
            missed: 3,
            quiet: Duration::from_secs(10),
            returns: 2,
        },
        ..device(
            &format!("meter-{}{unit}", port + 1),
            unit,
            "a1SubDemoPk",
            &profile,
        )
    };
    let devices = UNITS.into_iter().enumerate();
    let devices = devices.flat_map(|(port, units)| (1..=units).map(move |unit| (port, unit)));
    let certificate = GatewayCertificate::Device(Secret::new("the-gateway"));
    test_spec::spec(
        test_spec::cloud("platform", "a1GwDemoPk0", "gw-0001", certificate),
        (0..UNITS.len()).map(port_of).collect(),
        devices.map(|(port, unit)| device(port, unit)).collect(),
    )
}
