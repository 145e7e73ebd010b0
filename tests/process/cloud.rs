//! The platform model at the other end of a real connection.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use alink_gateway::base::Rng;
use alink_gateway::io::files::settings;
use alink_gateway::io::system::clock::Clock;
use alink_gateway::lab::broker::{Broker, tls_from_pem};
use alink_gateway::lab::platform::{Device, Event, Platform, PlatformSpec};

use crate::child::PATIENCE;
use crate::gateway::{METER_PRODUCT, meter};
use crate::mosquitto::{self, Account, Mosquitto};

/// A platform that knows one installation.
pub(crate) struct Cloud {
    broker: Broker,
}

impl Cloud {
    /// Starts a platform with its own listener. It knows no device yet, because a
    /// configuration needs its address first.
    pub(crate) async fn listening() -> Cloud {
        let clock = Clock::system();
        let platform = Platform::new(PlatformSpec::default(), Rng::new(1), clock.now());
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let broker = Broker::start(anywhere, platform, clock).await.unwrap();
        Cloud { broker }
    }

    /// Does the same with TLS, by a certificate that the authority in `ca.pem` of
    /// `folder` has signed; both are made.
    pub(crate) async fn listening_with_tls(folder: &Path) -> Cloud {
        mosquitto::authority(folder, "ca");
        mosquitto::certify(folder, "ca");
        let file = |name: &str| folder.join(name);
        let tls = tls_from_pem(&file("server.pem"), &file("server.key")).unwrap();
        let clock = Clock::system();
        let platform = Platform::new(PlatformSpec::default(), Rng::new(1), clock.now());
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let broker = Broker::start_tls(anywhere, platform, clock, tls)
            .await
            .unwrap();
        Cloud { broker }
    }

    /// Attaches a platform as a client of a foreign broker; it knows every device in
    /// `config`.
    pub(crate) async fn behind(broker: &Mosquitto, as_: &Account, config: &Path) -> Cloud {
        let clock = Clock::system();
        let platform = Platform::new(everybody_in(config), Rng::new(1), clock.now());
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, broker.plain));
        let login = Some((as_.user.as_str(), as_.password.as_str()));
        let broker = Broker::attach(at, login, platform, clock).await.unwrap();
        Cloud { broker }
    }

    /// Returns the URL to which a gateway connects.
    pub(crate) fn url(&self) -> String {
        format!("mqtt://{}", self.broker.addr())
    }

    /// Returns the same over TLS.
    pub(crate) fn secure_url(&self) -> String {
        format!("mqtts://{}", self.broker.addr())
    }

    /// Waits until the gateway is connected for the `n`th time; returns how often it
    /// had registered by then.
    pub(crate) async fn connected(&self, n: usize) -> usize {
        let count = |p: &Platform, wanted: fn(&Event) -> bool| {
            p.ledger().events().filter(|(_, e)| wanted(e)).count()
        };
        let came = self.broker.until(PATIENCE, move |p| {
            count(p, |e| matches!(e, Event::Connected(_))) >= n
        });
        assert!(came.await.unwrap(), "not connected {n} times");
        let registered = self
            .broker
            .with(move |p, _| count(p, |e| matches!(e, Event::Registered(_))));
        registered.await.unwrap()
    }

    /// Registers every device in `config` and puts the meters under the gateway.
    pub(crate) async fn knows(&self, config: &Path) {
        let known = everybody_in(config);
        let told = self.broker.with(move |platform, now| {
            for certificate in known.certificates {
                platform.register(certificate);
            }
            for product in known.products {
                platform.add_product(product);
            }
            for (gateway, sub) in known.topology {
                assert!(platform.add_topology(now, &gateway, &sub));
            }
        });
        told.await.unwrap();
    }

    /// Waits until exactly these meters are online.
    pub(crate) async fn sees_online(&self, units: &[u8]) {
        let mut want: Vec<_> = units.iter().map(|u| meter(*u)).collect();
        want.sort();
        let wanted = want.clone();
        let came = self.broker.until(PATIENCE, move |p| online(p) == wanted);
        if !came.await.unwrap() {
            let seen = self.broker.with(|p, _| online(p)).await.unwrap();
            panic!("after {PATIENCE:?} online are {seen:?}, not {want:?}");
        }
    }

    /// Waits until the platform has accepted `value` for this property.
    pub(crate) async fn receives(&self, unit: u8, property: &'static str, value: f64) {
        let device = Device::new(METER_PRODUCT, &meter(unit));
        let latest = move |platform: &Platform| {
            let values = platform.accepted().of(&device)?;
            values.get(property)?.value.as_f64()
        };
        let wanted = latest.clone();
        let came = self
            .broker
            .until(PATIENCE, move |p| wanted(p) == Some(value));
        if !came.await.unwrap() {
            let seen = self.broker.with(move |p, _| latest(p)).await.unwrap();
            panic!("after {PATIENCE:?} {property} of unit {unit} is {seen:?}, not {value}");
        }
    }

    /// Returns the first value it accepts for this property.
    pub(crate) async fn value(&self, unit: u8, property: &'static str) -> f64 {
        let device = Device::new(METER_PRODUCT, &meter(unit));
        let latest = move |platform: &Platform| {
            let values = platform.accepted().of(&device)?;
            values.get(property)?.value.as_f64()
        };
        let there = latest.clone();
        let came = self
            .broker
            .until(PATIENCE, move |p| there(p).is_some())
            .await
            .unwrap();
        assert!(came, "no {property} of unit {unit} within {PATIENCE:?}");
        let seen = self.broker.with(move |p, _| latest(p)).await.unwrap();
        seen.unwrap()
    }

    /// Returns how many log-outs it has accepted, single or in batches.
    pub(crate) async fn logged_out(&self) -> usize {
        let sizes = self.broker.with(|p, _| p.ledger().logout_sizes());
        sizes.await.unwrap().into_iter().sum()
    }

    /// Demands that none of its rules was broken.
    pub(crate) async fn is_content(&self) {
        let broken = self
            .broker
            .with(|p, _| format!("{:?}", p.ledger().violations()));
        assert_eq!(broken.await.unwrap(), "{}");
    }
}

fn online(platform: &Platform) -> Vec<String> {
    let devices = platform.online_devices();
    devices.map(|d| d.device_name.to_string()).collect()
}

fn everybody_in(config: &Path) -> PlatformSpec {
    let loaded = settings::load(config).unwrap_or_else(|report| panic!("{report}"));
    PlatformSpec::knowing(&loaded.spec)
}
