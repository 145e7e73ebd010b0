//! A configuration from the platform, from the push to the device that comes online by
//! it: the real binary, the platform model with a file storage, in real time. The
//! failures of a push are a table in the engine's own tests; this file tests the ways
//! that cross the whole house.

use crate::mosquitto;
use crate::tools;
use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::child::{Child, PATIENCE};
use alink_gateway::base::{DeviceName, ProductKey, Rng, Secret, UnitId};
use alink_gateway::cloud::alink::remote_config::FetchFailure;
use alink_gateway::io::files::download;
use alink_gateway::io::files::download::Sources;
use alink_gateway::io::system::clock::Clock;
use alink_gateway::lab::broker::{Broker, Storage, StorageAnswer, tls_from_pem};
use alink_gateway::lab::bus::{Rack, Unit, UnitKind};
use alink_gateway::lab::platform::{
    Certificate, Device, Event, Platform, PlatformSpec, RemoteConfig,
};
use alink_gateway::lab::wire::RackRig;
use alink_gateway::spec::HostList;
use serde_json::Value as Json;
use tempfile::TempDir;

const ENABLED: &str = "remote_config: { enabled: true }";
/// Configuration with a probation that is over before a test is.
const SHORTLY: &str = "remote_config: { enabled: true, probation: 1s }";

fn anywhere() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

fn gateway() -> Device {
    Device::new("a1GwDemoPk0", "gw-0001")
}

/// A rack of six units, a platform that knows a device for each, a storage, and a
/// gateway that has the first of them in its own file.
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
            rack.attach(UnitId(unit), Unit::new(UnitKind::Marked, unit.into()));
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
        self.state("remote.yaml")
    }

    fn state(&self, name: &str) -> PathBuf {
        self.folder.path().join("state").join(name)
    }

    /// Writes the gateway's own file.
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

    /// Returns the output of `alink-gateway check`, and its exit status.
    async fn check(&self) -> (String, Option<i32>) {
        let config = self.file();
        let args = ["check", config.to_str().unwrap()];
        let mut check = Child::start("check", env!("CARGO_BIN_EXE_alink-gateway"), &args);
        let status = check.exit().await.code();
        (check.seen().join("\n"), status)
    }

    /// Saves the configuration in the console.
    async fn offer(&self, config: RemoteConfig) {
        let product = gateway().product_key;
        let saved = self.broker.with(move |p, _| p.configure(&product, config));
        saved.await.unwrap();
    }

    /// Saves and pushes it; returns the code and words of the answer.
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

    /// Waits until the platform has been told that a file it pushed has failed since.
    async fn sees_retraction(&self) {
        let retracted = |platform: &Platform| {
            platform.ledger().events().any(|(_, event)| {
                matches!(event, Event::Replied { tail, code, .. }
                    if tail == "thing/config/push_reply" && code.as_i64() == Some(100_009))
            })
        };
        let came = self.broker.until(PATIENCE, retracted);
        assert!(came.await.unwrap(), "the platform was not told");
    }

    /// Puts the file into the storage; returns the platform's description of it.
    fn put(&self, name: &str, file: &str) -> RemoteConfig {
        let url = self.storage.put(name, StorageAnswer::File(file.into()));
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

    /// Returns how often any device has logged in, or out; and checks that no rule was
    /// broken.
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
    let site = Site::build(SHORTLY).await;
    let mut first = site.run();
    site.sees_online(&[1]).await;
    let file = site.put("two", &devices(&[1, 2]));
    assert_eq!(site.push(file.clone()).await, (200, "success".into()));
    site.sees_online(&[1, 2]).await;
    assert_eq!(site.moves().await, 2, "the first stayed");
    first
        .line("its proof", |l| l.contains("has proven itself"))
        .await;
    let stored = fs::metadata(site.stored()).unwrap();
    assert_eq!(stored.permissions().mode() & 0o777, 0o600);

    // Again: there is nothing to change, and nothing is changed.
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

    // A pushed file is the whole configuration of its subject; JSON will do; and an
    // absent subject is not changed.
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
        ("endless", StorageAnswer::Endless),
        ("gone", StorageAnswer::Status(403)),
        (
            "elsewhere",
            StorageAnswer::Redirect("http://192.0.2.1/".into()),
        ),
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

    // Allowed from now on, the gateway requests it from the platform.
    site.write(ENABLED);
    daemon.signal("HUP");
    site.sees_online(&[1, 2]).await;
    // Forbidden again: the stored file is not read.
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
    let site = Site::build(SHORTLY).await;
    let mut daemon = site.run();
    site.sees_online(&[1]).await;
    let file = site.put("two", &devices(&[1, 2]));
    assert_eq!(site.push(file).await.0, 200);
    site.sees_online(&[1, 2]).await;
    daemon
        .line("its proof", |l| l.contains("has proven itself"))
        .await;

    // The port of the file has another name from now on.
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
    let loud = |l: &str| l.contains("does not fit the gateway's own files any more");
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

#[tokio::test]
async fn a_file_the_service_ends_with_is_left_out_at_the_next_start_and_refused_from_then_on() {
    let site = Site::build(SHORTLY).await;
    let mut daemon = site.run();
    site.sees_online(&[1]).await;
    // The configuration in force before, proven.
    assert_eq!(site.push(site.put("two", &devices(&[1, 2]))).await.0, 200);
    daemon
        .line("its proof", |l| l.contains("has proven itself"))
        .await;
    site.write(ENABLED);
    daemon.signal("HUP");
    let reloaded = |l: &str| l.contains("configuration loaded anew");
    daemon.line("a reload", reloaded).await;

    let brick = devices(&[1, 2, 3]);
    assert_eq!(site.push(site.put("brick", &brick)).await.0, 200);
    site.sees_online(&[1, 2, 3]).await;
    let candidate = fs::read_to_string(site.state("remote.candidate.yaml")).unwrap();
    assert_eq!(candidate, brick);
    assert_eq!(fs::read_to_string(site.stored()).unwrap(), devices(&[1, 2]));
    let (text, _) = site.check().await;
    assert!(text.contains("in force on probation"), "{text}");

    // As the kernel does for memory, and systemd for a watchdog.
    daemon.signal("KILL");
    daemon.exit().await;
    site.sees_online(&[]).await;
    // The platform hands it out at every start: one crash at most.
    for life in 0..2 {
        let mut daemon = site.run();
        let refused = |l: &str| l.contains("it failed its probation here before");
        daemon.line("a refusal", refused).await;
        site.sees_online(&[1, 2]).await;
        site.sees_retraction().await;
        let seen = daemon.seen().join("\n");
        let told = seen.contains("the previous one is in force again");
        assert_eq!(told, life == 0, "{seen}");
        assert!(daemon.stop().await.success());
        assert_eq!(site.storage.asked("brick"), 1);
    }
    let kept = fs::read_to_string(site.state("remote.yaml.failed")).unwrap();
    assert_eq!(kept, brick);

    // The platform is told, and a changed file is tried.
    let mut daemon = site.run();
    site.sees_online(&[1, 2]).await;
    let (code, why) = site.push(site.put("brick", &brick)).await;
    assert_eq!(code, 100_009, "{why}");
    assert!(why.contains("push a changed file"), "{why}");
    let changed = format!("# changed\n{brick}");
    assert_eq!(site.push(site.put("changed", &changed)).await.0, 200);
    site.sees_online(&[1, 2, 3]).await;
    // A stop by request is no verdict: the file is handed out again.
    assert!(daemon.stop().await.success());
    assert!(!site.state("remote.candidate.yaml").exists());
    let mut daemon = site.run();
    site.sees_online(&[1, 2, 3]).await;

    let adopted = |l: &str| l.contains("remote configuration changed is in force");
    daemon.line("an adoption", adopted).await;

    // The operator may have the other file tried again.
    fs::remove_file(site.state("remote.failed.json")).unwrap();
    daemon.signal("HUP");
    daemon.line("a reload", reloaded).await;
    assert_eq!(site.push(site.put("brick", &brick)).await.0, 200);
    assert!(daemon.stop().await.success());
}

#[tokio::test]
async fn a_file_whose_check_ends_the_process_is_known_before_it_is_parsed() {
    let site = Site::build(ENABLED).await;
    let mut daemon = site.run();
    site.sees_online(&[1]).await;
    let bomb = devices(&[1, 4]);
    site.offer(site.put("bomb", &bomb)).await;
    // Killed in the midst of it, as soon as the note exists.
    let (trying, candidate) = (
        site.state("remote.trying.yaml"),
        site.state("remote.candidate.yaml"),
    );
    let watch = format!(
        "until [ -e '{}' ] || [ -e '{}' ]; do :; done; kill -KILL {}",
        trying.display(),
        candidate.display(),
        daemon.id()
    );
    let within = PATIENCE.as_secs().to_string();
    let mut killer = std::process::Command::new("timeout")
        .args([&within, "sh", "-c", &watch])
        .spawn()
        .unwrap();
    let pushed = site.broker.with(|p, now| p.push_config(now, &gateway()));
    pushed.await.unwrap().unwrap();
    daemon.exit().await;
    assert!(killer.wait().unwrap().success());
    site.sees_online(&[]).await;
    let mut daemon = site.run();
    site.sees_online(&[1]).await;
    let refused = |l: &str| l.contains("it failed its probation here before");
    daemon.line("a refusal", refused).await;
    assert!(!site.stored().exists() && !trying.exists() && !candidate.exists());
    assert_eq!(
        fs::read_to_string(site.state("remote.yaml.failed")).unwrap(),
        bomb
    );
    assert!(daemon.stop().await.success());
}

#[tokio::test]
async fn a_file_with_which_the_platform_is_lost_goes_back_by_itself() {
    let site = Site::build("remote_config: { enabled: true, probation: 3s }").await;
    let mut daemon = site.run();
    site.sees_online(&[1]).await;
    assert_eq!(site.push(site.put("two", &devices(&[1, 2]))).await.0, 200);
    site.sees_online(&[1, 2]).await;
    // The broker is gone for longer than that.
    let Site {
        folder,
        broker,
        storage,
        rack,
    } = site;
    drop(broker);
    let back = |l: &str| l.contains("the service did not reach the platform with it");
    daemon.line("the reason", back).await;
    let state = folder.path().join("state");
    assert!(state.join("remote.yaml.failed").exists());
    assert!(!state.join("remote.candidate.yaml").exists());
    assert!(!state.join("remote.yaml").exists());
    let gone = |l: &str| l.contains("1 device removed");
    daemon.line("the reload", gone).await;
    assert!(daemon.stop().await.success());
    drop((storage, rack));
}

#[tokio::test]
async fn the_platform_learns_nothing_of_files_and_networks() {
    let lists = "remote_config: { enabled: true, secrets_dir: given }";
    let site = Site::build(lists).await;
    let given = site.folder.path().join("given");
    fs::create_dir_all(given.join("folder")).unwrap();
    fs::write(given.join("words"), "two words").unwrap();
    fs::write(given.join("large"), "x".repeat(17 << 20)).unwrap();
    fs::write(given.join("empty"), "").unwrap();
    fs::write(given.join("fine"), "of-meter-2\n").unwrap();
    let mut daemon = site.run();
    site.sees_online(&[1]).await;
    let one = |what: &str| {
        format!("devices:\n  - {{ name: meter-2, port: rack1, unit: 2, profile: meter, {what} }}\n")
    };
    let mut said = Vec::new();
    for name in ["missing", "words", "large", "empty", "folder"] {
        let file = site.put(name, &one(&format!("secret_file: {name}")));
        let (code, why) = site.push(file).await;
        assert_eq!(code, 100_006);
        said.push(why.replace(name, "NAME"));
    }
    said.dedup();
    assert_eq!(said.len(), 1, "{said:?}");
    for path in ["/etc/passwd", "/nonexistent/x", "../gateway.yaml", ".."] {
        let file = site.put("path", &one(&format!("secret_file: {path}")));
        let (code, why) = site.push(file).await;
        assert_eq!(code, 100_006);
        said.push(why.replace(path, "NAME"));
    }
    said.dedup();
    assert_eq!(said.len(), 2, "{said:?}");

    // Addresses to which it may not connect, and paths it may not open.
    for port in ["tcp: { host: 127.0.0.1 }", "tcp: { host: 169.254.169.254 }"] {
        let file = site.put("port", &format!("ports: [{{ name: rack1, {port} }}]\n"));
        let (code, why) = site.push(file).await;
        assert_eq!(code, 100_006);
        assert!(why.contains("remote_config.hosts"), "{why}");
    }
    let mut said = Vec::new();
    for device in ["/dev/sda", "/etc/passwd", "/dev/nothing", "/dev/ttyUSB250"] {
        let port = format!("ports: [{{ name: rack1, serial: {{ device: {device} }} }}]\n");
        let (code, why) = site.push(site.put("port", &port)).await;
        assert_eq!(code, 100_006);
        said.push(why.replace(device, "NAME"));
    }
    said.dedup();
    assert_eq!(said.len(), 1, "{said:?}");

    // The gateway's own files, which are wrong by now, are not used.
    let own = fs::read_to_string(site.file()).unwrap();
    fs::write(site.file(), own.replace("type: u16", "type: hunter2")).unwrap();
    let (code, why) = site.push(site.put("fine", &one("secret_file: fine"))).await;
    assert_eq!(code, 100_006);
    assert!(
        !why.contains("hunter2") && !why.contains("gateway.yaml"),
        "{why}"
    );
    fs::write(site.file(), own).unwrap();
    site.sees_online(&[1]).await;
    assert_eq!(
        site.push(site.put("fine", &one("secret_file: fine")))
            .await
            .0,
        200
    );
    site.sees_online(&[2]).await;

    // A name is allowed where names may lead, and the address behind it is checked when
    // the port connects.
    let named = "ports: [{ name: rack1, tcp: { host: plc.localhost } }]\n";
    let (code, _) = site.push(site.put("named", named)).await;
    assert_eq!(code, 100_006, "a name that means this machine by rule");
    assert!(daemon.stop().await.success());
}

// The download alone.

fn laboratory() -> Sources {
    Sources {
        laboratory: true,
        listed: HostList::none(),
    }
}

#[tokio::test]
async fn a_download_is_bounded_in_bytes_and_in_time_and_a_torn_one_is_no_file() {
    let storage = Storage::start(anywhere(), None).await.unwrap();
    let file = b"devices: []".to_vec();
    let get = async |name: &str, served: StorageAnswer, within| {
        let url = Secret::new(storage.put(name, served));
        download::fetch(url, 11, within, None, laboratory()).await
    };
    let patient = Duration::from_secs(20);
    let whole = get("file", StorageAnswer::File(file.clone()), patient).await;
    assert_eq!(whole.unwrap().bytes(), file);
    let large = get("large", StorageAnswer::File(vec![b'#'; 12]), patient).await;
    assert_eq!(large, Err(FetchFailure::TooLarge));
    let endless = get("endless", StorageAnswer::Endless, patient).await;
    assert_eq!(endless, Err(FetchFailure::TooLarge));
    let slow = StorageAnswer::Slow(file.clone(), patient);
    let slow = get("slow", slow, Duration::from_millis(300)).await;
    assert!(matches!(slow, Err(FetchFailure::Failed(_))), "{slow:?}");
    let torn = get("torn", StorageAnswer::Torn(file[..10].to_vec()), patient).await;
    assert!(matches!(torn, Err(FetchFailure::Failed(_))), "{torn:?}");
    for (status, again) in [(403, false), (404, false), (429, true), (503, true)] {
        let answer = get("status", StorageAnswer::Status(status), patient).await;
        assert_eq!(
            matches!(answer, Err(FetchFailure::Failed(_))),
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
        download::fetch(
            Secret::new(url),
            100,
            within,
            Some(ca.clone()),
            laboratory(),
        )
        .await
    };
    let url = secure.put("file", StorageAnswer::File(b"{}".to_vec()));
    assert_eq!(get(url.clone(), &ca).await.unwrap().bytes(), b"{}");
    let untrusted = get(url.clone(), &stranger).await;
    assert!(
        matches!(untrusted, Err(FetchFailure::Failed(_))),
        "{untrusted:?}"
    );
    let on = secure.put("on", StorageAnswer::Redirect(url));
    assert_eq!(get(on, &ca).await.unwrap().bytes(), b"{}");
    let down = plain.put("down", StorageAnswer::File(b"{}".to_vec()));
    let down = secure.put("away", StorageAnswer::Redirect(down));
    let refused = Err(FetchFailure::Refused("redirected to plain http".into()));
    assert_eq!(get(down, &ca).await, refused);
    assert_eq!(plain.asked("down"), 0);
}
