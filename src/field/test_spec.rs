//! Small installations for the tests of this room and of the port: those of
//! [`crate::spec::test_spec`] with what these tests say in fewer words.

use std::sync::Arc;
use std::time::Duration;

use crate::base::UnitId;
use crate::spec::test_spec as parts;
pub(crate) use crate::spec::test_spec::number;
use crate::spec::*;

/// All numbers that registers may hold.
pub(crate) const NUMBERS: [Number; 24] = [
    Number::U8(RegisterByte::High),
    Number::U8(RegisterByte::Low),
    Number::I8(RegisterByte::High),
    Number::I8(RegisterByte::Low),
    Number::U16,
    Number::I16,
    Number::U24,
    Number::I24,
    Number::U32,
    Number::I32,
    Number::U48,
    Number::I48,
    Number::U64,
    Number::I64,
    Number::F16,
    Number::F32,
    Number::F64,
    Number::Bcd8(RegisterByte::High),
    Number::Bcd8(RegisterByte::Low),
    Number::Bcd16,
    Number::Bcd24,
    Number::Bcd32,
    Number::Bcd48,
    Number::Bcd64,
];

/// Returns a point that is read every `interval_ms`.
pub(crate) fn point(table: Table, address: u16, codec: Codec, interval_ms: u64) -> PointSpec {
    PointSpec {
        id: format!("p{address}"),
        ..parts::point(table, address, codec, Duration::from_millis(interval_ms))
    }
}

/// Returns a kind of device with these points and no limit of its own.
pub(crate) fn profile(points: Vec<PointSpec>) -> ProfileSpec {
    Arc::unwrap_or_clone(parts::profile("p", points))
}

/// Returns a serial line, 8E1, with the default response timeout.
pub(crate) fn serial(baud: u32) -> PortSpec {
    let line = LineSpec::Serial(parts::serial("/dev/null", baud));
    parts::port("line", line, Duration::from_millis(500))
}

/// Returns a TCP endpoint.
pub(crate) fn tcp() -> PortSpec {
    let line = LineSpec::Tcp(parts::tcp("rack", 502));
    parts::port("rack", line, Duration::from_secs(1))
}

/// Returns a Modbus gateway with a line of this rate behind it, 8E1.
pub(crate) fn behind(baud: u32) -> PortSpec {
    let mut port = tcp();
    if let LineSpec::Tcp(tcp) = &mut port.line {
        tcp.behind = Some(parts::serial("", baud).characters());
    }
    port
}

/// Returns one port with units 1, 2, … of these kinds.
pub(crate) fn installation(port: PortSpec, profiles: Vec<ProfileSpec>) -> Spec {
    let devices = (1u8..).zip(profiles).map(|(unit, profile)| DeviceSpec {
        address: match profile.protocol {
            Protocol::Modbus => BusAddress::Modbus(UnitId(unit)),
            Protocol::Dlt645(_) => BusAddress::Dlt645(dlt645::MeterAddress::ANY),
            Protocol::Raw(_) => BusAddress::Raw(Some(UnitId(unit))),
        },
        ..parts::device(&format!("d{unit}"), unit, "a1", &Arc::new(profile))
    });
    parts::spec(parts::nowhere(), vec![port], devices.collect())
}
