//! Small installations for the tests of this room and of the port.

use std::sync::Arc;
use std::time::Duration;

use crate::base::{DeviceName, PortId, ProductKey, Secret, UnitId};
use crate::spec::*;

/// Returns a plain number, high word and byte first, unscaled.
pub(crate) const fn number(kind: Number) -> Codec {
    Codec::Number {
        kind,
        words: WordOrder::High,
        bytes: ByteOrder::High,
        scale: Decimal::ONE,
        offset: Decimal::ZERO,
    }
}

/// Returns a point that is read every `interval_ms`.
pub(crate) fn point(table: Table, address: u16, codec: Codec, interval_ms: u64) -> PointSpec {
    PointSpec {
        report: Default::default(),
        shown: Default::default(),
        write: None,
        id: format!("p{address}"),
        address: PointAddress::modbus(table, address),
        codec,
        interval: Duration::from_millis(interval_ms),
        priority: Default::default(),
    }
}

/// Returns a kind of device with these points and no limit of its own.
pub(crate) fn profile(points: Vec<PointSpec>) -> ProfileSpec {
    ProfileSpec {
        protocol: Default::default(),
        name: "p".into(),
        points,
        max_registers: 125,
        reads: Reads::default(),
        writes: Default::default(),
        services: Vec::new(),
        events: Vec::new(),
        about: Default::default(),
    }
}

/// Returns a serial line, 8E1, with the default response timeout.
pub(crate) fn serial(baud: u32) -> PortSpec {
    PortSpec {
        name: "line".into(),
        line: LineSpec::Serial(SerialSpec {
            path: "/dev/null".into(),
            baud,
            data_bits: 8,
            parity: Parity::Even,
            stop_bits: StopBits::One,
            framing: Default::default(),
            adapter: Default::default(),
        }),
        response_timeout: Duration::from_millis(500),
        budget: LineBudget::default(),
    }
}

/// Returns a TCP endpoint.
pub(crate) fn tcp() -> PortSpec {
    PortSpec {
        name: "rack".into(),
        line: LineSpec::Tcp(TcpSpec {
            host: "rack".into(),
            port: 502,
            connect_timeout: Duration::from_secs(3),
            framing: None,
            behind: None,
            connection: Default::default(),
        }),
        response_timeout: Duration::from_secs(1),
        budget: LineBudget::default(),
    }
}

/// Returns a Modbus gateway with a line of this rate behind it, 8E1.
pub(crate) fn behind(baud: u32) -> PortSpec {
    let mut port = tcp();
    if let LineSpec::Tcp(tcp) = &mut port.line {
        tcp.behind = Some(Characters {
            baud,
            data_bits: 8,
            parity: Parity::Even,
            stop_bits: StopBits::One,
        });
    }
    port
}

/// Returns one port with units 1, 2, … of these kinds.
pub(crate) fn installation(port: PortSpec, profiles: Vec<ProfileSpec>) -> Spec {
    let devices = (1u8..)
        .zip(profiles)
        .map(|(unit, profile)| DeviceSpec {
            serial: None,
            name: format!("d{unit}"),
            port: PortId(0),
            address: match profile.protocol {
                Protocol::Modbus => BusAddress::Modbus(UnitId(unit)),
                Protocol::Dlt645(_) => BusAddress::Dlt645(dlt645::Address::ANY),
                Protocol::Raw(_) => BusAddress::Raw(Some(UnitId(unit))),
            },
            profile: Arc::new(profile),
            product_key: ProductKey::new("a1"),
            device_name: DeviceName::new(&format!("d{unit}")),
            secret: Secret::new("s"),
            access: None,
            liveness: Liveness {
                missed: 3,
                quiet: Duration::from_secs(3),
                returns: 2,
            },
            response_timeout: None,
            turnaround: Duration::ZERO,
        })
        .collect();
    Spec {
        cloud: CloudSpec {
            broker: BrokerSpec {
                host: "cloud".into(),
                port: 1883,
                transport: Transport::Plain,
                keepalive: Duration::from_secs(300),
                connect_timeout: Duration::from_secs(10),
                subscriptions: Subscriptions::Platform,
            },
            gateway: GatewayIdentity {
                product_key: ProductKey::new("a0"),
                device_name: DeviceName::new("gw"),
                certificate: GatewayCertificate::Device(Secret::new("s")),
            },
            sign_method: SignMethod::HmacSha256,
            products: Default::default(),
            session: SessionLimits::default(),
            post: PostPolicy::default(),
            store: StorePolicy::default(),
            remote: RemotePolicy::default(),
        },
        ports: vec![port],
        devices,
        stop_within: Duration::from_secs(10),
        commands: Default::default(),
        retired: Retired::default(),
    }
}
