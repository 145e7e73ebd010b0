//! The faults that are injected, and the cause that the doctor is to find for each.

use std::time::Duration;

use super::plant::{installation, plan, told};
use crate::base::{
    DeviceId, EventKind, FieldEvent, LinkDown, LinkEvent, LogSubject, PortId, Secret, UnitId, Wall,
};
use crate::doctor::{Cause, ConfigurationFiles, DoctorScope, Facts, Service, Subject};
use crate::hub::Input;
use crate::io::system::clock::Clock;
use crate::lab::bus::{Fault, Refusal, Unit, UnitBehaviour, UnitKind};
use crate::lab::platform::{self, PlatformSpec};
use crate::lab::site::{Plan, Site, device_of};
use crate::spec::{LineSpec, Number, Table, test_spec};
use crate::spool::{DiskError, DiskFault, SpoolStatus};

/// The device that faults of single devices strike: unit 2 on the first line.
const VICTIM: DeviceId = DeviceId(1);
const VICTIM_UNIT: UnitId = UnitId(2);

/// Declares the faults: an enum, `ALL`, a name, and what is to be found.
macro_rules! faults {
    ($( $(#[doc = $about:literal])* $fault:ident = $cause:ident of $subject:ident; )*) => {
        /// A fault to be injected.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum InjectedFault {
            $( $(#[doc = $about])* $fault, )*
        }

        impl InjectedFault {
            /// All of them.
            pub const ALL: &'static [InjectedFault] = &[$(InjectedFault::$fault,)*];

            /// Returns the name of the fault.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(InjectedFault::$fault => stringify!($fault),)* }
            }

            /// Returns the cause that is to be found, and what it is about.
            #[must_use]
            pub fn wanted(self) -> (Cause, Subject) {
                match self {
                    $(InjectedFault::$fault => (Cause::$cause, $subject()),)*
                }
            }
        }
    };
}

fn service() -> Subject {
    Subject::Service
}

fn gateway() -> Subject {
    Subject::Gateway
}

fn line1() -> Subject {
    Subject::Port("line1".into())
}

fn victim() -> Subject {
    Subject::Devices(vec!["meter-12".into()])
}

fn all_devices() -> Subject {
    let names = [
        "meter-11", "meter-12", "meter-13", "meter-14", "meter-21", "meter-22",
    ];
    Subject::Devices(names.map(Into::into).into())
}

faults! {
    /// The service is not running.
    ServiceStopped = ServiceStopped of service;
    /// The configuration has an error, and the service does not start.
    ConfigurationWrong = ConfigurationWrong of service;
    /// The baud rate is wrong: no device understands its requests.
    BaudWrong = LineSettings of line1;
    /// The parity is wrong: replies come as bytes that are no frames.
    ParityWrong = LineSettings of line1;
    /// A and B are swapped: nothing is heard from the start.
    WiresSwapped = BusNotConnected of line1;
    /// A and B are swapped, and the adapter hears that as noise.
    WiresSwappedNoisy = WiresSwapped of line1;
    /// The cable comes off while everything runs.
    CableOff = BusNotConnected of line1;
    /// There is no termination: reflections spoil one reply in seven.
    TerminationMissing = NoiseOnLine of line1;
    /// Two devices have one address, and answer together.
    AddressTwice = AddressTwice of victim;
    /// A device has another address than configured.
    AddressWrong = AddressWrong of victim;
    /// A device takes longer than the response timeout.
    SlowDevice = SlowDevice of victim;
    /// Replies of one device are spoilt: a loose terminal.
    LooseTerminal = DeviceNoise of victim;
    /// The USB adapter holds bytes back.
    AdapterLatency = AdapterLatency of line1;
    /// The adapter hears what it sends.
    AdapterEcho = AdapterEcho of line1;
    /// The device refuses points (exception 02).
    PointsMissing = PointsMissing of victim;
    /// The registers of floats are read in the wrong order.
    WordOrder = WordOrder of all_devices;
    /// The line is asked for more than it can carry.
    LineOverloaded = LineOverloaded of line1;
    /// A device is switched off, and its owner asks about it.
    DeviceOff = DeviceOff of victim;
    /// The serial port is not there.
    PortMissing = PortMissing of line1;
    /// Another program has the serial port.
    PortBusy = PortBusy of line1;
    /// The service may not open the port.
    PortDenied = PortDenied of line1;
    /// The host of a port accepts no connection.
    HostRefuses = HostRefuses of line1;
    /// The host of a port cannot be reached.
    HostUnreachable = HostUnreachable of line1;
    /// The clock is unset, so that no certificate is valid yet.
    ClockUnset = ClockUnset of gateway;
    /// The clock is unset, and the platform is not there to tell the time.
    ClockUnknown = ClockUnset of gateway;
    /// The certificate of the broker has expired.
    CertificateExpired = CertificateExpired of gateway;
    /// The root of the broker's certificate is not trusted.
    CaWrong = CaWrong of gateway;
    /// The gateway's secret is wrong.
    GatewaySecretWrong = GatewaySecretWrong of gateway;
    /// The broker does not answer.
    BrokerUnreachable = BrokerUnreachable of gateway;
    /// The broker's name cannot be found.
    NameUnknown = NameUnknown of gateway;
    /// A second gateway has the certificate.
    SecondGateway = SecondGateway of gateway;
    /// Fewer devices may be online than there are.
    OnlineQuota = OnlineQuota of gateway;
    /// More is sent than the platform takes.
    UpstreamOverBudget = UpstreamOverBudget of gateway;
    /// The disk is full.
    DiskFull = DiskFull of gateway;
    /// The disk is read-only.
    DiskReadOnly = DiskReadOnly of gateway;
    /// A device's secret is wrong.
    DeviceSecretWrong = DeviceSecretWrong of victim;
    /// A device belongs to another gateway.
    TopologyMissing = TopologyMissing of victim;
    /// A device is not registered.
    NotRegistered = NotRegistered of victim;
    /// A device is disabled in the console.
    DeviceDisabled = DeviceDisabled of victim;
}

impl InjectedFault {
    /// Returns what the doctor is asked about.
    pub(super) fn scope(self) -> DoctorScope {
        match self {
            InjectedFault::DeviceOff => DoctorScope::Device("meter-12".into()),
            _ => DoctorScope::All,
        }
    }

    /// Injects the fault, lets some minutes pass, and returns what the service shows.
    pub(super) async fn facts(self, seed: u64) -> Vec<Facts> {
        if let Some(facts) = self.told() {
            return vec![facts];
        }
        let mut plan = plan();
        self.shape(&mut plan);
        let site = Site::build(plan, seed);
        self.before(&site);
        if self == InjectedFault::ClockUnknown {
            let deaf = platform::Fault::Deaf(true);
            site.platform(move |p, now| p.fault(now, deaf)).await;
        }
        site.live(Duration::from_secs(60)).await;
        self.strike(&site).await;
        site.live(Duration::from_secs(240)).await;
        site.facts().await.into_iter().collect()
    }

    /// Faults that only an operating system can have: what the service shows when it was told of
    /// them.
    fn told(self) -> Option<Facts> {
        let link = |down| Input::Link(LinkEvent::Down(down));
        let store = |fault, cause: &str| {
            Input::StoreStatus(Box::new(SpoolStatus {
                fault: Some(DiskError {
                    fault,
                    step: "writing",
                    file: "readings/00000001".into(),
                    cause: cause.into(),
                }),
                ..SpoolStatus::default()
            }))
        };
        let port_down = |why: &str| {
            let (port, why) = (PortId(0), why.to_owned());
            Input::Field(FieldEvent::PortDown { port, why })
        };
        // The words are those of `io/link/tls.rs` and `io/link/dial.rs`.
        let input = match self {
            InjectedFault::ServiceStopped => {
                return Some(absent(ConfigurationFiles::Right));
            }
            InjectedFault::ConfigurationWrong => {
                let errors = vec!["gateway.yaml:7: ports: it says x".into()];
                return Some(absent(ConfigurationFiles::Wrong(errors)));
            }
            InjectedFault::AdapterLatency => Input::Field(FieldEvent::Noticed {
                about: LogSubject::Port(PortId(0)),
                kind: EventKind::PortBytesHeldBack,
                words: "the adapter holds received bytes back for 16 ms".into(),
            }),
            // A port that is opened by the system has a thread, for which virtual time does not
            // wait.
            InjectedFault::PortMissing => port_down("no such port, and no adapter is plugged in"),
            InjectedFault::PortBusy => port_down(
                "another program uses it, perhaps the service; fuser -v shows which",
            ),
            InjectedFault::PortDenied => port_down(
                "this process may not open it, whose mode is 0600 and whose owner and group are 0:0",
            ),
            InjectedFault::HostUnreachable => port_down("no connection within 3 s"),
            InjectedFault::ClockUnset => link(LinkDown::Tls(
                "the certificate is not valid before 2024-10-04 00:00:00 UTC; the clock here says 1970-01-01 01:00:00 UTC: it is probably unset".into(),
            )),
            InjectedFault::CertificateExpired => link(LinkDown::Tls(
                "the certificate expired on 2024-10-04 00:00:00 UTC; the clock here says 2026-01-01 01:00:00 UTC: if that is wrong, it may be unset".into(),
            )),
            InjectedFault::CaWrong => link(LinkDown::Tls(
                "no root that this gateway trusts has signed the certificate: name its root as ca_file".into(),
            )),
            InjectedFault::BrokerUnreachable => link(LinkDown::Unreachable(
                "platform: 192.0.2.1:8883: Connection refused (os error 111)".into(),
            )),
            InjectedFault::NameUnknown => link(LinkDown::Unreachable(
                "cannot find platform: failed to lookup address information".into(),
            )),
            InjectedFault::DiskFull => store(DiskFault::Full, "No space left on device"),
            InjectedFault::DiskReadOnly => {
                store(DiskFault::ReadOnly, "Read-only file system")
            }
            _ => return None,
        };
        Some(told(vec![input]))
    }

    /// Changes what the site is built from.
    fn shape(self, plan: &mut Plan) {
        let known = &mut plan.platform;
        match self {
            InjectedFault::WordOrder => {
                plan.spec = installation(Number::F32);
                plan.platform = PlatformSpec::knowing(&plan.spec);
            }
            InjectedFault::LineOverloaded => {
                for device in plan.spec.devices.iter_mut().filter(|d| d.port == PortId(0)) {
                    let mut profile = (*device.profile).clone();
                    for point in &mut profile.points {
                        point.interval = Duration::from_millis(60);
                    }
                    device.profile = profile.into();
                }
            }
            InjectedFault::HostRefuses => {
                plan.are_ports_real = true;
                if let Some(port) = plan.spec.ports.first_mut() {
                    // TCPMUX, which no device serves.
                    port.line = LineSpec::Tcp(test_spec::tcp("127.0.0.1", 1));
                }
            }
            InjectedFault::ClockUnknown => {
                plan.clock = Clock::unset_at(Wall::from_millis(0));
            }
            InjectedFault::GatewaySecretWrong => {
                if let Some(gateway) = known.certificates.first_mut() {
                    gateway.secret = Secret::new("another");
                }
            }
            InjectedFault::DeviceSecretWrong => {
                // The first certificate is the gateway's.
                if let Some(device) = known.certificates.get_mut(1 + VICTIM.index()) {
                    device.secret = Secret::new("another");
                }
            }
            InjectedFault::NotRegistered => {
                known.certificates.remove(1 + VICTIM.index());
                known.topology.remove(VICTIM.index());
            }
            InjectedFault::TopologyMissing => {
                let other = platform::Device::new("a1GwDemoPk0", "gw-0002");
                let gateway = known.certificates.first().cloned();
                known
                    .certificates
                    .extend(gateway.map(|own| platform::Certificate {
                        device_name: other.device_name.clone(),
                        ..own
                    }));
                known.switches.topology_moves = false;
                let victim = device_of(&plan.spec, VICTIM);
                for (above, sub) in &mut known.topology {
                    if Some(&*sub) == victim.as_ref() {
                        *above = other.clone();
                    }
                }
            }
            _ => {}
        }
    }

    /// Injects what is wrong from the start.
    fn before(self, site: &Site) {
        match self {
            InjectedFault::BaudWrong | InjectedFault::WiresSwapped => site.wires[0].kill_all(),
            InjectedFault::ParityWrong | InjectedFault::WiresSwappedNoisy => {
                site.wires[0].spoil(Fault::Babble, 1000);
            }
            InjectedFault::AddressWrong => {
                site.wires[0].with(|line| line.kill(VICTIM_UNIT));
            }
            InjectedFault::AdapterEcho => {
                site.wires[0].with(|line| line.echo = true);
            }
            InjectedFault::PointsMissing => {
                site.wires[0].with(|line| {
                    if let Some(unit) = line.unit_mut(VICTIM_UNIT) {
                        unit.behaviour.refusals = vec![Refusal {
                            table: Table::HoldingRegister,
                            addresses: 8..=12,
                            code: 2,
                        }];
                    }
                });
            }
            _ => {}
        }
    }

    /// Injects what goes wrong while everything runs.
    async fn strike(self, site: &Site) {
        let fault = |fault| site.platform(move |p, now| p.fault(now, fault));
        match self {
            InjectedFault::CableOff => site.wires[0].kill_all(),
            InjectedFault::TerminationMissing => site.wires[0].spoil(Fault::Burst(8), 150),
            InjectedFault::AddressTwice => {
                site.wires[0].with(|line| {
                    let behaviour = UnitBehaviour {
                        turnaround: Duration::from_millis(6),
                        jitter: Duration::from_millis(4),
                        ..UnitBehaviour::default()
                    };
                    let second = Unit::new(UnitKind::Marked, 99).with(behaviour);
                    line.share(VICTIM_UNIT, second);
                });
            }
            InjectedFault::SlowDevice => {
                site.wires[0].spoil_one(VICTIM_UNIT, Fault::Late(Duration::from_millis(700)), 1000);
            }
            InjectedFault::LooseTerminal => {
                site.wires[0].with(|line| {
                    if let Some(unit) = line.unit_mut(VICTIM_UNIT) {
                        unit.behaviour.faults = vec![crate::lab::bus::Chance {
                            fault: Fault::Burst(16),
                            permille: 300,
                        }];
                    }
                });
            }
            InjectedFault::DeviceOff => {
                site.wires[0].with(|line| line.kill(VICTIM_UNIT));
            }
            InjectedFault::SecondGateway => {
                fault(platform::Fault::Rival {
                    least: Duration::from_secs(1),
                    most: Duration::from_secs(20),
                })
                .await;
            }
            InjectedFault::OnlineQuota => {
                fault(platform::Fault::Cap(Some(3))).await;
                // Devices that are online stay so; a new connection begins from none.
                fault(platform::Fault::Cut(site.gateway())).await;
            }
            InjectedFault::UpstreamOverBudget => {
                fault(platform::Fault::PostsPerSecond(Some(0))).await;
            }
            InjectedFault::DeviceDisabled => {
                let victim = platform::Device::new("a1SubDemoPk", "meter-12");
                site.platform(move |p, now| {
                    p.disable(now, &victim);
                })
                .await;
            }
            _ => {}
        }
    }
}

fn absent(files: ConfigurationFiles) -> Facts {
    Facts {
        service: Service::DoesNotAnswer {
            why: "no service answers".into(),
            configuration: Some("/etc/alink-gateway/gateway.yaml".into()),
        },
        status: None,
        devices: Vec::new(),
        observations: Vec::new(),
        files,
    }
}
