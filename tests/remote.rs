//! A configuration from the platform, from the push to the device that comes
//! online by it: the real binary, the platform model with a file storage, in
//! real time. What can go wrong with a push is a table in the engine's own
//! tests; here are the ways that cross the whole house.

#![cfg(feature = "lab")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of a test: a panic is how a test says no, and what it prints explains it"
)]

#[path = "process/child.rs"]
#[allow(dead_code, reason = "shared with tests/process.rs")]
mod child;
#[path = "process/mosquitto.rs"]
#[allow(dead_code, reason = "shared with tests/process.rs")]
mod mosquitto;
#[path = "peers/tools.rs"]
mod tools;

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use alink_gateway::base::{DeviceName, ProductKey, Rng, Secret, UnitId};
use alink_gateway::cloud::remote::Unfetched;
use alink_gateway::io::clock::Clock;
use alink_gateway::io::download;
use alink_gateway::lab::broker::{Broker, Served, Storage, tls_from_pem};
use alink_gateway::lab::bus::{Life, Rack, Unit};
use alink_gateway::lab::platform::{
    Certificate, Device, Event, Platform, PlatformSpec, RemoteConfig,
};
use alink_gateway::lab::wire::RackRig;
use child::{Child, PATIENCE};
use serde_json::Value as Json;
use tempfile::TempDir;

const ENABLED: &str = "remote_config: { enabled: true }";

fn anywhere() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

fn gateway() -> Device {
    Device::new("a1GwDemoPk0", "gw-0001")
}

/// A rack of six units, a platform that knows a device for each, a storage, and
/// a gateway that has the first of them in its own file.
struct Site {
    folder: TempDir,
    rack: RackRig,
    broker: Broker,
    storage: Storage,
}

impl Site {
    async fn build(more: &str) -> Site {
        let clock = Clock::system();
        let mut rack = Rack::new();
        for unit in 1..=6 {
            rack.attach(UnitId(unit), Unit::new(Life::Marked, unit.into()));
        }
        let rack = RackRig::start(rack, anywhere(), clock).await.unwrap();
        let certificate = |product: &str, name: &str| Certificate {
            product_key: ProductKey::new(product),
            device_name: DeviceName::new(name),
            secret: Secret::new(format!("of-{name}")),
        };
        let meters: Vec<_> = (1..=6)
            .map(|n| certificate("a1SubDemoPk", &format!("meter-{n}")))
            .collect();
        let spec = PlatformSpec {
            topology: meters.iter().map(|m| (gateway(), m.device())).collect(),
            certificates: std::iter::once(certificate("a1GwDemoPk0", "gw-0001"))
                .chain(meters)
                .collect(),
            ..PlatformSpec::default()
        };
        let platform = Platform::new(spec, Rng::new(1), clock.now());
        let site = Site {
            folder: tempfile::tempdir().unwrap(),
            rack,
            broker: Broker::start(anywhere(), platform, clock).await.unwrap(),
            storage: Storage::start(anywhere(), None).await.unwrap(),
        };
        site.write(more);
        site
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("gateway.yaml")
    }

    fn stored(&self) -> PathBuf {
        self.folder.path().join("state/remote.yaml")
    }

    /// The gateway's own file.
    fn write(&self, more: &str) {
        let text = format!(
            "gateway: {{ product_key: a1GwDemoPk0, device_name: gw-0001, secret: of-gw-0001 }}
cloud: {{ url: 'mqtt://{}' }}
state_dir: state
{more}
ports: [{{ name: rack1, tcp: {{ host: 127.0.0.1, port: {} }} }}]
profiles:
  - name: meter
    product_key: a1SubDemoPk
    interval: 200ms
    points: [{{ id: Voltage, table: holding, address: 0, type: u16 }}]
{}",
            self.broker.addr(),
            self.rack.address().port(),
            devices(&[1]),
        );
        fs::write(self.file(), text).unwrap();
        fs::set_permissions(self.file(), Permissions::from_mode(0o600)).unwrap();
    }

    fn run(&self) -> Child {
        let config = self.file();
        let args = ["run", "--config", config.to_str().unwrap()];
        Child::start("gateway", env!("CARGO_BIN_EXE_alink-gateway"), &args)
    }

    /// What `alink-gateway check` says, and its exit status.
    async fn check(&self) -> (String, Option<i32>) {
        let config = self.file();
        let args = ["check", config.to_str().unwrap()];
        let mut check = Child::start("check", env!("CARGO_BIN_EXE_alink-gateway"), &args);
        let status = check.exit().await.code();
        (check.seen().join("\n"), status)
    }

    /// Saves it in the console.
    async fn offer(&self, config: RemoteConfig) {
        let product = gateway().product_key;
        let saved = self.broker.with(move |p, _| p.configure(&product, config));
        saved.await.unwrap();
    }

    /// Saves and pushes it; the answer's code and words.
    async fn push(&self, config: RemoteConfig) -> (i64, String) {
        self.offer(config).await;
        let pushed = self.broker.with(|p, now| p.push_config(now, &gateway()));
        let order = Json::from(pushed.await.unwrap().unwrap());
        let answer = move |platform: &Platform| {
            platform
                .ledger()
                .events()
                .find_map(|(_, event)| match event {
                    Event::Replied {
                        tail,
                        id,
                        code,
                        message,
                        ..
                    } if tail == "thing/config/push_reply" && *id == order => {
                        Some((code.as_i64()?, message.as_str()?.to_owned()))
                    }
                    _ => None,
                })
        };
        let wanted = answer.clone();
        let came = self.broker.until(PATIENCE, move |p| wanted(p).is_some());
        assert!(came.await.unwrap(), "no answer to the push");
        let answer = self.broker.with(move |p, _| answer(p)).await.unwrap();
        answer.unwrap()
    }

    /// Puts it into the storage; what the platform says about it.
    fn put(&self, name: &str, file: &str) -> RemoteConfig {
        let url = self.storage.put(name, Served::File(file.into()));
        RemoteConfig::of(name, &url, file.as_bytes())
    }

    async fn sees_online(&self, units: &[u8]) {
        let want: Vec<_> = units.iter().map(|u| format!("meter-{u}")).collect();
        let online = |p: &Platform| {
            let devices = p.online_devices();
            devices
                .map(|d| d.device_name.to_string())
                .collect::<Vec<_>>()
        };
        let wanted = want.clone();
        let came = self.broker.until(PATIENCE, move |p| online(p) == wanted);
        if !came.await.unwrap() {
            let seen = self.broker.with(move |p, _| online(p)).await.unwrap();
            panic!("after {PATIENCE:?} online are {seen:?}, not {want:?}");
        }
    }

    /// How often anybody has logged in, or out; and no rule was broken.
    async fn moves(&self) -> usize {
        let counted = self.broker.with(|p, _| {
            assert_eq!(format!("{:?}", p.ledger().violations()), "{}");
            let moves = |e: &Event| matches!(e, Event::LoggedIn(_) | Event::LoggedOut(_));
            p.ledger().events().filter(|(_, e)| moves(e)).count()
        });
        counted.await.unwrap()
    }
}

fn devices(units: &[u8]) -> String {
    let mut text = "devices:\n".to_owned();
    for n in units {
        text += &format!(
            "  - {{ name: meter-{n}, port: rack1, unit: {n}, profile: meter, secret: of-meter-{n} }}\n"
        );
    }
    text
}

#[tokio::test]
async fn a_pushed_file_brings_a_device_online_and_outlives_the_process() {
    let site = Site::build(ENABLED).await;
    let mut first = site.run();
    site.sees_online(&[1]).await;
    let file = site.put("two", &devices(&[1, 2]));
    assert_eq!(site.push(file.clone()).await, (200, "success".into()));
    site.sees_online(&[1, 2]).await;
    assert_eq!(site.moves().await, 2, "the first stayed");
    let stored = fs::metadata(site.stored()).unwrap();
    assert_eq!(stored.permissions().mode() & 0o777, 0o600);

    // Again: nothing to do, and nothing is done.
    assert_eq!(site.push(file).await.0, 200);
    assert_eq!(site.storage.asked("two"), 1);

    let (text, status) = site.check().await;
    let place = site.stored().display().to_string();
    let says = format!("with the remote configuration in force, {place}");
    assert!(text.contains(&says) && text.contains("2 devices"), "{text}");
    assert_eq!(status, Some(0));

    first.signal("KILL");
    first.exit().await;
    site.sees_online(&[]).await;
    let mut second = site.run();
    site.sees_online(&[1, 2]).await;
    assert_eq!(site.storage.asked("two"), 1, "it is known by its digest");

    // What is pushed is all there is on its subject; JSON will do; and nothing
    // said is nothing changed.
    let json = r#"{"devices":[{"name":"meter-3","port":"rack1","unit":3,"profile":"meter","secret":"of-meter-3"}]}"#;
    let json = site.put("json", json);
    assert_eq!(site.push(json).await.0, 200);
    site.sees_online(&[3]).await;
    let nothing = site.put("nothing", "{}");
    assert_eq!(site.push(nothing).await.0, 200);
    site.sees_online(&[1]).await;
    assert!(second.stop().await.success());
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_the_reason_and_changes_nothing() {
    let site = Site::build(ENABLED).await;
    let mut daemon = site.run();
    site.sees_online(&[1]).await;
    let good = devices(&[1, 2]);

    let wrong = site.put("unit", &good.replace("unit: 2", "unit: 500"));
    let (code, why) = site.push(wrong).await;
    assert_eq!(code, 100_006, "{why}");
    assert!(
        why.contains("remote.yaml:3:") && why.contains("said 500, wanted"),
        "{why}"
    );
    let told = |l: &str| l.contains("devices[1].unit") && l.contains("said 500, wanted");
    daemon.line("the reason", told).await;

    let mine = site.put("mine", "cloud: { url: 'mqtts://elsewhere.example' }\n");
    let (code, why) = site.push(mine).await;
    assert_eq!(code, 100_006);
    assert!(
        why.contains("said the key cloud, wanted ports, profiles or devices"),
        "{why}"
    );

    let truth = site.put("lies", &good);
    for (lie, code) in [
        (
            RemoteConfig {
                sign: "0".repeat(64),
                ..truth.clone()
            },
            100_005,
        ),
        (
            RemoteConfig {
                size: truth.size + 1,
                ..truth.clone()
            },
            100_004,
        ),
        (
            RemoteConfig {
                size: truth.size - 1,
                ..truth.clone()
            },
            100_004,
        ),
        (
            RemoteConfig {
                size: 65_537,
                ..truth.clone()
            },
            100_002,
        ),
        (
            RemoteConfig {
                sign: "x".into(),
                ..truth.clone()
            },
            460,
        ),
        (
            RemoteConfig {
                url: "http://192.0.2.1/".into(),
                ..truth.clone()
            },
            100_003,
        ),
    ] {
        let pushed = format!("{lie:?}");
        assert_eq!(site.push(lie).await.0, code, "{pushed}");
    }
    for (name, served) in [
        ("endless", Served::Endless),
        ("gone", Served::Status(403)),
        ("elsewhere", Served::Redirect("http://192.0.2.1/".into())),
    ] {
        let url = site.storage.put(name, served);
        let file = RemoteConfig::of(name, &url, good.as_bytes());
        let (code, why) = site.push(file).await;
        assert!([100_003, 100_004].contains(&code), "{name}: {code} {why}");
        assert!(!why.contains("Signature"), "{why}");
    }
    site.sees_online(&[1]).await;
    assert_eq!(site.moves().await, 1);
    assert!(!site.stored().exists());
    assert!(daemon.stop().await.success());
    let seen = daemon.seen().join("\n");
    assert!(
        !seen.contains("Signature") && !seen.contains("of-meter"),
        "{seen}"
    );
}

#[tokio::test]
async fn a_push_is_refused_where_none_is_wanted_and_the_word_that_allows_it_is_named() {
    let site = Site::build("").await;
    let mut daemon = site.run();
    site.sees_online(&[1]).await;
    let file = site.put("two", &devices(&[1, 2]));
    let (code, why) = site.push(file.clone()).await;
    assert_eq!(code, 100_001);
    assert!(why.contains("remote_config: { enabled: true }"), "{why}");
    assert_eq!(site.storage.asked("two"), 0);

    // Allowed from now on, the platform is asked for it.
    site.write(ENABLED);
    daemon.signal("HUP");
    site.sees_online(&[1, 2]).await;
    // And not any more: what is stored is not looked at.
    site.write("");
    daemon.signal("HUP");
    site.sees_online(&[1]).await;
    assert!(daemon.stop().await.success());
}

#[tokio::test]
async fn a_gateway_asks_once_when_it_starts() {
    let site = Site::build(ENABLED).await;
    let file = site.put("three", &devices(&[1, 3]));
    site.offer(file).await;
    let mut daemon = site.run();
    site.sees_online(&[1, 3]).await;
    assert!(daemon.stop().await.success());
    assert_eq!(site.storage.asked("three"), 1);
}

#[tokio::test]
async fn a_stored_file_that_does_not_fit_any_more_is_set_aside_at_a_start_and_refuses_a_reload() {
    let site = Site::build(ENABLED).await;
    let mut daemon = site.run();
    site.sees_online(&[1]).await;
    let file = site.put("two", &devices(&[1, 2]));
    assert_eq!(site.push(file).await.0, 200);
    site.sees_online(&[1, 2]).await;

    // Its port has another name from now on.
    let own = fs::read_to_string(site.file()).unwrap();
    fs::write(site.file(), own.replace("rack1", "cellar")).unwrap();
    let (text, status) = site.check().await;
    assert_eq!(status, Some(78));
    let place = site.stored().display().to_string();
    assert!(text.contains(&format!("{place}:2:")), "{text}");
    assert!(text.contains("a restart sets it aside"), "{text}");
    daemon.signal("HUP");
    let refused =
        |l: &str| l.contains("the configuration is wrong (2 errors); nothing has changed");
    daemon.line("a refusal", refused).await;
    site.sees_online(&[1, 2]).await;
    assert!(daemon.stop().await.success());

    let mut daemon = site.run();
    let loud = |l: &str| l.contains("does not go together with the files here any more");
    daemon.line("a loud notice", loud).await;
    site.sees_online(&[1]).await;
    assert!(!site.stored().exists());
    assert!(
        site.folder
            .path()
            .join("state/remote.yaml.refused")
            .exists()
    );
    assert!(daemon.stop().await.success());
}

// The download alone.

#[tokio::test]
async fn a_download_is_bounded_in_bytes_and_in_time_and_a_torn_one_is_no_file() {
    let storage = Storage::start(anywhere(), None).await.unwrap();
    let file = b"devices: []".to_vec();
    let get = async |name: &str, served: Served, within| {
        let url = Secret::new(storage.put(name, served));
        download::fetch(url, 11, within, None).await
    };
    let patient = Duration::from_secs(20);
    let whole = get("file", Served::File(file.clone()), patient).await;
    assert_eq!(whole.unwrap().bytes(), file);
    let large = get("large", Served::File(vec![b'#'; 12]), patient).await;
    assert_eq!(large, Err(Unfetched::TooLarge));
    let endless = get("endless", Served::Endless, patient).await;
    assert_eq!(endless, Err(Unfetched::TooLarge));
    let slow = Served::Slow(file.clone(), patient);
    let slow = get("slow", slow, Duration::from_millis(300)).await;
    assert!(matches!(slow, Err(Unfetched::Failed(_))), "{slow:?}");
    let torn = get("torn", Served::Torn(file[..10].to_vec()), patient).await;
    assert!(matches!(torn, Err(Unfetched::Failed(_))), "{torn:?}");
    for (status, again) in [(403, false), (404, false), (429, true), (503, true)] {
        let answer = get("status", Served::Status(status), patient).await;
        assert_eq!(
            matches!(answer, Err(Unfetched::Failed(_))),
            again,
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn https_is_trusted_as_the_link_is_and_leads_to_https_only() {
    if !tools::have(&["openssl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let ca = mosquitto::authority(folder.path(), "ca");
    mosquitto::certify(folder.path(), "ca");
    let stranger = mosquitto::authority(folder.path(), "stranger");
    let file = |name: &str| folder.path().join(name);
    let tls = tls_from_pem(&file("server.pem"), &file("server.key")).unwrap();
    let secure = Storage::start(anywhere(), Some(tls)).await.unwrap();
    let plain = Storage::start(anywhere(), None).await.unwrap();
    let get = async |url: String, ca: &PathBuf| {
        let within = Duration::from_secs(20);
        download::fetch(Secret::new(url), 100, within, Some(ca.clone())).await
    };
    let url = secure.put("file", Served::File(b"{}".to_vec()));
    assert_eq!(get(url.clone(), &ca).await.unwrap().bytes(), b"{}");
    let untrusted = get(url.clone(), &stranger).await;
    assert!(
        matches!(untrusted, Err(Unfetched::Failed(_))),
        "{untrusted:?}"
    );
    let on = secure.put("on", Served::Redirect(url));
    assert_eq!(get(on, &ca).await.unwrap().bytes(), b"{}");
    let down = plain.put("down", Served::File(b"{}".to_vec()));
    let down = secure.put("away", Served::Redirect(down));
    let refused = Err(Unfetched::Refused("redirected to plain http".into()));
    assert_eq!(get(down, &ca).await, refused);
    assert_eq!(plain.asked("down"), 0);
}
