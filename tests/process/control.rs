//! Questions to the running service: the real binary as service and as tool, in real
//! time, between the lab's meters and the lab's platform.

mod completion;
mod watch;

use crate::tools;
use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::child::Child;
use crate::cloud::Cloud;
use crate::gateway::{self, Config, GATEWAY};
use crate::ports::free_port;
use alink_gateway::base::UnitId;
use alink_gateway::control::metrics::{MetricKind, TABLE};
use alink_gateway::io::system::clock::Clock;
use alink_gateway::lab::bus::{Rack, Unit, UnitKind};
use alink_gateway::lab::wire::RackRig;
use alink_gateway::spec::Table;
use serde_json::Value as Json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// A service with three meters, questioned through its socket.
struct House {
    folder: tempfile::TempDir,
    rack: RackRig,
    cloud: Cloud,
    file: PathBuf,
    more: String,
    gateway: Child,
}

/// The output of the tool, and whether it succeeded.
struct Said {
    out: String,
    err: String,
    status: i32,
}

impl House {
    /// Starts the service and waits until all devices are online. `more` are further
    /// lines of the configuration.
    async fn running(more: &str) -> House {
        House::running_in(tempfile::tempdir().unwrap(), more).await
    }

    async fn running_in(folder: tempfile::TempDir, more: &str) -> House {
        let mut rack = Rack::new();
        for unit in [4, 5, 6] {
            rack.attach(UnitId(unit), Unit::new(UnitKind::Marked, unit.into()));
        }
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let rack = RackRig::start(rack, anywhere, Clock::system());
        let rack = rack.await.unwrap();
        let cloud = Cloud::listening().await;
        let socket = folder.path().join("control.sock");
        let more = format!("control: {{ socket: {} }}\n{more}", socket.display());
        let file = write(&folder, &cloud, &rack, &[4, 5, 6], &more);
        cloud.knows(&file).await;
        let gateway = gateway::run(&file);
        cloud.sees_online(&[4, 5, 6]).await;
        House {
            folder,
            rack,
            cloud,
            file,
            more,
            gateway,
        }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("control.sock")
    }

    fn write(&self, units: &[u8]) {
        write(&self.folder, &self.cloud, &self.rack, units, &self.more);
    }

    async fn ask(&self, words: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_alink-gateway"));
        command.args(words).arg("--socket").arg(self.socket());
        said(command).await
    }

    /// Asks as a user who is not root, and a member of these groups; as root without any.
    async fn ask_as(&self, groups: Option<&str>, words: &[&str]) -> Said {
        let Some(groups) = groups else {
            return self.ask(words).await;
        };
        // A directory that every user can enter, with the program in it.
        open_to_all(self.folder.path(), 0o755);
        let tool = self.folder.path().join("alink-gateway");
        if !tool.exists() {
            fs::copy(env!("CARGO_BIN_EXE_alink-gateway"), &tool).unwrap();
            open_to_all(&tool, 0o755);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534"]);
        match groups {
            "" => command.arg("--clear-groups"),
            groups => command.args(["--groups", groups]),
        };
        command
            .arg(&tool)
            .args(words)
            .arg("--socket")
            .arg(self.socket());
        said(command).await
    }

    async fn ask_json(&self, words: &[&str]) -> Json {
        let said = self.ask(&[words, &["--json"]].concat()).await;
        assert_eq!(said.status, 0, "{}", said.err);
        serde_json::from_str(&said.out).unwrap()
    }

    /// Repeats the question until the answer is as wanted: the service learns a moment
    /// later what the platform has accepted.
    async fn until(&self, words: &[&str], wanted: impl Fn(&Json) -> bool) -> Json {
        let mut last = Json::Null;
        for _ in 0..300 {
            last = self.ask_json(words).await;
            if wanted(&last) {
                return last;
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        panic!("{last:#}");
    }
}

fn write(
    folder: &tempfile::TempDir,
    cloud: &Cloud,
    rack: &RackRig,
    units: &[u8],
    more: &str,
) -> PathBuf {
    let port = rack.address().port();
    let config = Config::towards(&cloud.url(), &[]).tcp("rack1", port, units);
    let file = config.write(folder.path());
    let mut text = fs::read_to_string(&file).unwrap();
    for (read_only, written) in [
        (
            "type: u16, scale: 0.1 }",
            "type: u16, scale: 0.1, write: { min: 0, max: 300, step: 0.1 } }",
        ),
        (
            "{ id: Relay, table: coil, address: 0, type: bool }",
            "{ id: Relay, table: coil, address: 0, type: bool, write: yes }",
        ),
        (
            "address: 1, type: bool }\n",
            "address: 1, type: bool }
    services:
      - id: Start
        inputs: [ { name: level, min: 0, max: 100, default: 50 } ]
        steps:
          - write: { Relay: 1, Voltage: $level }
          - read: { point: Voltage, as: set_to }
",
        ),
    ] {
        assert_eq!(text.matches(read_only).count(), 1, "{read_only}");
        text = text.replace(read_only, written);
    }
    fs::write(&file, format!("{text}{more}")).unwrap();
    file
}

fn open_to_all(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Returns whether the tests run as root, who alone can act as another user.
fn is_root() -> bool {
    let this = fs::metadata("/proc/self").unwrap();
    std::os::unix::fs::MetadataExt::uid(&this) == 0
}

async fn said(mut command: Command) -> Said {
    // The tool would speak Chinese on a machine whose user does.
    let out = command.env("LC_ALL", "C.UTF-8").output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Said {
        status: out.status.code().unwrap(),
        out: text(out.stdout),
        err: text(out.stderr),
    }
}

/// Returns on which TCP ports this process listens, according to the kernel (proc(5),
/// net/tcp: state 0A).
fn listening(pid: u32) -> usize {
    let inodes: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .filter_map(|fd| fs::read_link(fd.ok()?.path()).ok())
        .filter_map(|to| {
            let inode = to.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(inode.to_owned())
        })
        .collect();
    ["tcp", "tcp6", "udp", "udp6"]
        .iter()
        .flat_map(|table| {
            let text = fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
            let bound = if table.starts_with("tcp") { "0A" } else { "07" };
            text.lines()
                .skip(1)
                .map(|l| l.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
                .filter(|f| f[3] == bound && inodes.contains(&f[9]))
                .collect::<Vec<_>>()
        })
        .count()
}

#[tokio::test]
async fn the_service_says_how_it_is_and_how_each_device_is() {
    let mut house = House::running("").await;
    let all_online = |s: &Json| s["cloud"]["online"] == 3 && s["delivered"].as_u64() > Some(10);
    let status = house.until(&["status"], all_online).await;
    assert_eq!(status["cloud"]["link"], "up");
    assert_eq!(status["cloud"]["wanted"], 3);
    assert!(status["cloud"]["takeover_ms"].is_u64(), "{status:#}");
    assert_eq!(status["devices"], 3);
    let port = &status["ports"][0];
    assert_eq!(port["name"], "rack1");
    assert_eq!(port["answering"], 3);
    assert!(port["rtt"]["p95_us"].as_u64() >= port["rtt"]["p50_us"].as_u64());
    assert!(port["outcomes"]["answer"].as_u64() > Some(0));

    let table = house.ask(&["status"]).await;
    for words in [
        "cloud    up for",
        "3 devices online, all that ought to be (",
        "3 devices, all alive and online",
    ] {
        assert!(table.out.contains(words), "{words}\n{}", table.out);
    }
    let one = house.ask_json(&["devices", "meter-5"]).await;
    let points = one["points"].as_array().unwrap();
    assert_eq!(points.len(), 6);
    assert!(points.iter().all(|p| p["quality"] == "good"), "{one:#}");
    assert_eq!(one["why"], Json::Null);

    // One device stops answering: the tool says why, and what comes next.
    house.rack.with(|rack, _| rack.kill(UnitId(5)));
    house.cloud.sees_online(&[4, 6]).await;
    let silent = |d: &Json| d["life"] == "silent" && d["cloud"] == "offline";
    let one = house.until(&["devices", "meter-5"], silent).await;
    assert!(
        one["why"].as_str().unwrap().starts_with("silent: "),
        "{one:#}"
    );
    assert_eq!(one["next"]["what"], "asked again; online once it answers");
    assert!(one["outcomes"]["timeout"].as_u64() > Some(0));
    let stale = one["points"].as_array().unwrap().iter();
    assert_eq!(stale.len(), 6);
    assert!(
        stale
            .clone()
            .all(|p| p["quality"] == "stale" && !p["value"].is_null())
    );
    let list = house.ask(&["devices"]).await;
    assert!(
        list.out
            .contains("meter-5  rack1  unit 5  silent  offline  silent: "),
        "{}",
        list.out
    );

    let nobody = house.ask(&["devices", "meter-9"]).await;
    assert_eq!(nobody.status, 1);
    assert!(
        nobody.err.contains("no device is called \"meter-9\""),
        "{}",
        nobody.err
    );

    // No connection from elsewhere is possible.
    let pid = house.gateway.id();
    assert_eq!(listening(pid), 0, "no port is open unless asked for");
    gateway::stop(&mut house.gateway).await;
    assert!(!house.socket().exists());
    let gone = house.ask(&["status"]).await;
    assert_eq!(gone.status, 1);
    assert!(gone.err.contains("no service runs here"), "{}", gone.err);
}

#[tokio::test]
async fn a_reload_is_answered_and_a_log_level_is_for_a_while() {
    let mut house = House::running("").await;
    let same = house.ask(&["reload"]).await;
    assert_eq!(same.status, 0, "{}", same.err);
    let last = same.out.lines().last();
    assert_eq!(last, Some("configuration loaded anew: nothing has changed"));
    assert!(
        same.out.contains("wanted  mqtts://"),
        "what is odd is told: {}",
        same.out
    );
    let config = async |house: &House| {
        let status = house.ask(&["status"]).await.out;
        // What stands between the head and the cloud, in one line.
        let (_, rest) = status.split_once('\n').unwrap();
        let (told, _) = rest.split_once("cloud ").unwrap();
        told.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(config(&house).await, "", "what is in force is on disk");
    house.write(&[4, 5]);
    let told = config(&house).await;
    assert!(
        told.contains("gateway.yaml has changed and is not in force"),
        "{told}"
    );
    assert!(
        told.contains("alink-gateway reload puts it into force"),
        "{told}"
    );
    let less = house.ask(&["reload"]).await;
    assert_eq!(less.status, 0, "{}", less.err);
    assert_eq!(config(&house).await, "");
    assert!(less.out.contains("1 device removed"), "{}", less.out);
    house.cloud.sees_online(&[4, 5]).await;

    let right = fs::read_to_string(&house.file).unwrap();
    let wrong = right
        .replace("unit: 5", "unit: 500")
        .replace("unit: 4", "unit: four");
    fs::write(&house.file, wrong).unwrap();
    let refused = house.ask(&["reload"]).await;
    assert_eq!(refused.status, 78);
    for words in [
        "said    500",
        "said    four",
        "refused, nothing has changed: 2 errors",
    ] {
        assert!(refused.out.contains(words), "{words}\n{}", refused.out);
    }
    house.cloud.sees_online(&[4, 5]).await;
    let told = config(&house).await;
    for words in [
        "config REFUSED ",
        "gateway.yaml has changed",
        "(and 1 more)",
    ] {
        assert!(told.contains(words), "{words}\n{told}");
    }
    // The files as they were: what is in force is on disk again, and the refusal stays known
    // until a reload is taken.
    fs::write(&house.file, &right).unwrap();
    let told = config(&house).await;
    assert!(told.contains("those in force again"), "{told}");
    assert!(!told.contains("has changed") && !told.contains("REFUSED"));
    assert_eq!(house.ask(&["reload"]).await.status, 0);
    assert_eq!(config(&house).await, "");

    let loud = house.ask(&["log-level", "all", "debug", "for", "1s"]).await;
    assert_eq!(
        loud.out, "the log level of all is debug for 1 s, as requested\n",
        "{}",
        loud.err
    );
    let over = |l: &str| l.contains("the log level of all is as it was at the start again");
    house.gateway.line("the end of it", over).await;
    for (words, status) in [
        (&["log-level", "all", "loud"][..], 2),
        (&["log-level", "all", "debug", "for", "ever"], 2),
        (&["log-level", "a,b", "debug"], 2),
        (&["log-level", "rutsls", "debug"], 2),
    ] {
        assert_eq!(house.ask(words).await.status, status, "{words:?}");
    }
    gateway::stop(&mut house.gateway).await;
}

/// Checks that the question comes in on the old socket, and its answer leaves there.
#[tokio::test]
async fn a_reload_that_moves_the_socket_is_answered_where_it_was_asked() {
    let mut house = House::running("").await;
    let old = house.socket();
    let right = fs::read_to_string(&house.file).unwrap();
    let move_to = |path: &Path| {
        let moved = right.replace(old.to_str().unwrap(), path.to_str().unwrap());
        assert_ne!(moved, right);
        fs::write(&house.file, moved).unwrap();
    };
    let ask = |socket: &Path, word: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_alink-gateway"));
        command.arg(word).arg("--socket").arg(socket);
        said(command)
    };

    move_to(&house.folder.path().join("nowhere/control.sock"));
    let stays = ask(&old, "reload").await;
    assert_eq!(stays.status, 0, "{}", stays.err);
    let why = "control.sock: cannot be made: No such file or directory (os error 2); it stays at";
    assert!(stays.out.contains(why), "{}", stays.out);

    let new = house.folder.path().join("elsewhere.sock");
    move_to(&new);
    // A client that reads without end does not keep the others waiting.
    let words = ["trace", "rack1", "--values", "--socket"];
    let words = [&words[..], &[old.to_str().unwrap()]].concat();
    let mut listener = Child::start("trace", env!("CARGO_BIN_EXE_alink-gateway"), &words);
    listener.line("a value", |l| l.contains(" = ")).await;
    let moved = ask(&old, "reload").await;
    assert_eq!(moved.status, 0, "{}", moved.err);
    assert!(
        moved.out.contains("configuration loaded anew"),
        "{}",
        moved.out
    );
    listener.exit().await;
    assert!(!old.exists());
    assert_eq!(ask(&new, "status").await.status, 0);
    house.cloud.sees_online(&[4, 5, 6]).await;
    gateway::stop(&mut house.gateway).await;
    assert!(!new.exists());
}

#[tokio::test]
async fn a_second_service_beside_the_first_ends_and_the_first_goes_on() {
    let mut house = House::running("").await;
    let mut second = gateway::run(&house.file);
    let socket = house.socket().display().to_string();
    let told = |l: &str| l.contains("not started: another service answers at");
    let said = second.line("why not", told).await;
    assert!(said.contains(&socket) && said.contains("reload"), "{said}");
    assert_eq!(second.exit().await.code(), Some(1));
    let status = house.ask_json(&["status"]).await;
    assert_eq!(status["cloud"]["link"], "up", "{status}");
    gateway::stop(&mut house.gateway).await;
    let lost = |l: &&String| l.contains("another client");
    assert_eq!(house.gateway.seen().iter().find(lost), None);
}

/// Keeps both addresses in use by other processes when the service starts, and sets
/// them free later.
#[tokio::test]
async fn a_door_that_could_not_be_opened_is_opened_as_soon_as_it_can_be() {
    let folder = tempfile::tempdir().unwrap();
    let in_the_way = folder.path().join("control.sock");
    fs::write(&in_the_way, "another program's file").unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let state = folder.path().display();
    let more = format!("state_dir: {state}\nmetrics: {{ listen: {address} }}\n");
    let mut house = House::running_in(folder, &more).await;
    assert_eq!(house.ask(&["status"]).await.status, 1);
    assert_eq!(
        fs::read_to_string(&in_the_way).unwrap(),
        "another program's file"
    );
    fs::remove_file(&in_the_way).unwrap();
    let told = |l: &str| l.contains("the control socket is at");
    house.gateway.line("the socket", told).await;
    assert_eq!(house.ask(&["status"]).await.status, 0);
    drop(taken);
    let told = |l: &str| l.contains(&format!("metrics are served at {address} now"));
    house.gateway.line("the metrics", told).await;
    assert_eq!(listening(house.gateway.id()), 1);
    let refusals = house.gateway.seen().iter();
    let refusals = refusals.filter(|l| l.contains("tried again") || l.contains("tries again"));
    assert_eq!(refusals.count(), 2, "told once each");
    gateway::stop(&mut house.gateway).await;
}

#[tokio::test]
async fn a_point_is_written_read_back_and_remembered() {
    let mut house = House::running("").await;
    let written = |unit, table| {
        let register = |rack: &mut Rack, now| rack.unit(UnitId(unit))?.value_at(now, table, 0);
        house.rack.with(register).unwrap()
    };
    let done = house
        .ask(&[
            "write", "meter-5", "Voltage", "21.5", "Relay", "on", "--yes",
        ])
        .await;
    assert_eq!(
        done.out, "Voltage: verified: the device holds 21.5\nRelay: verified: the device holds 1\n",
        "{}",
        done.err
    );
    assert_eq!(done.status, 0);
    assert_eq!(written(5, Table::HoldingRegister), 215);
    assert_eq!(written(5, Table::Coil), 1);
    let told = |l: &str| l.contains("command of user") && l.contains("-> 21.5: verified");
    house.gateway.line("the command", told).await;

    let done = house
        .ask_json(&["write", "meter-5", "Voltage", "22", "--yes"])
        .await;
    assert_eq!(done["verdict"], "verified");
    assert_eq!(done["points"][0]["read"], 22.0);
    let done = house
        .ask(&["call", "meter-5", "Start", "level=40", "--yes"])
        .await;
    assert_eq!(done.status, 0, "{}", done.err);
    assert!(
        done.out.contains("\nset_to: 40.0\nStart: verified"),
        "{}",
        done.out
    );
    assert_eq!(written(5, Table::HoldingRegister), 400);

    let one = house.ask_json(&["devices", "meter-5"]).await;
    assert_eq!(
        one["points"][0]["writable"],
        "0 to 300 in steps of 0.1 from 0"
    );
    assert_eq!(one["points"][1]["writable"], Json::Null);
    assert_eq!(one["services"][0]["inputs"][0]["range"], "0 to 100");
    let commands = one["commands"].as_array().unwrap();
    assert_eq!(commands.len(), 3, "{one:#}");
    assert_eq!(commands[0]["service"], "Start");
    assert_eq!(commands[1]["points"][0]["old"], 21.5, "{one:#}");
    assert_eq!(commands[1]["points"][0]["wanted"], "22");
    let user = fs::metadata("/proc/self").map(|m| std::os::unix::fs::MetadataExt::uid(&m));
    assert_eq!(commands[2]["origin"], format!("user {}", user.unwrap()));
    let metrics = house.ask(&["metrics"]).await.out;
    let counted = "alink_gateway_commands_total{verdict=\"verified\"} 3";
    assert!(metrics.lines().any(|l| l == counted), "{metrics}");
    gateway::stop(&mut house.gateway).await;
}

#[tokio::test]
async fn what_cannot_be_written_is_said_and_nothing_is() {
    let mut house = House::running("").await;
    for (words, status, out, err) in [
        (
            &["write", "meter-5", "Voltage", "301", "--yes"][..],
            1,
            "Voltage: refused: 301: wanted 0 to 300 in steps of 0.1",
            "",
        ),
        // No user is asked, and so none has said yes.
        (
            &["write", "meter-5", "Voltage", "21"],
            1,
            "",
            "to Voltage of meter-5 (now ",
        ),
        (&["write", "meter-5", "Voltage", "21"], 1, "", "--yes"),
        (&["call", "meter-5", "Start"], 1, "", "--yes"),
        (
            &["write", "metre-5", "Voltage", "21", "--yes"],
            1,
            "",
            "did you mean meter-5?",
        ),
        (
            &["write", "meter-5", "Votlage", "21", "--yes"],
            1,
            "",
            "did you mean Voltage?",
        ),
        (
            &["write", "meter-5", "Energy", "21", "--yes"],
            1,
            "",
            "Energy of meter-5 is read-only",
        ),
        (&["call", "meter-5", "Stop", "--yes"], 1, "", "it has Start"),
        (
            &["call", "meter-5", "Start", "level=101", "--yes"],
            1,
            "Start: refused: input level: 101: wanted 0 to 100",
            "",
        ),
        (
            &["write", "meter-5", "Voltage", "21", "Relay"],
            2,
            "",
            "no value for Relay",
        ),
        (&["write", "meter-5", "Voltage"], 2, "", "VALUE"),
        (&["call", "meter-5", "Start", "level"], 2, "", "INPUT=VALUE"),
    ] {
        let said = house.ask(words).await;
        assert_eq!(said.status, status, "{words:?}: {}{}", said.out, said.err);
        assert!(said.out.contains(out), "{words:?}: {}", said.out);
        assert!(said.err.contains(err), "{words:?}: {}", said.err);
    }
    let one = house.ask_json(&["devices", "meter-5"]).await;
    let commands = one["commands"].as_array().unwrap();
    let verdicts = commands.iter().map(|c| c["verdict"].as_str().unwrap());
    assert_eq!(verdicts.collect::<Vec<_>>(), ["refused", "refused"]);

    house.rack.with(|rack, _| rack.kill(UnitId(5)));
    let silent = |d: &Json| d["life"] == "silent";
    house.until(&["devices", "meter-5"], silent).await;
    let refused = house
        .ask(&["write", "meter-5", "Relay", "1", "--yes", "--json"])
        .await;
    assert_eq!(refused.status, 1, "{}", refused.err);
    let refused: Json = serde_json::from_str(&refused.out).unwrap();
    assert_eq!(refused["sentence"], "refused: the device does not answer");
    gateway::stop(&mut house.gateway).await;
    let gone = house
        .ask(&["write", "meter-5", "Relay", "1", "--yes"])
        .await;
    assert_eq!(gone.status, 1);
    assert!(gone.err.contains("no service runs here"), "{}", gone.err);
}

#[tokio::test]
async fn who_may_write_is_said_by_the_configuration_and_a_reload_changes_it() {
    if !is_root() {
        eprintln!("skipped: not root");
        return;
    }
    let mut house = House::running("").await;
    let words = ["write", "meter-4", "Relay", "1", "--yes"];
    let write_as = |member| house.ask_as(member, &words);
    let member = write_as(Some("0")).await;
    assert_eq!(member.status, 1);
    let why = "only root may have devices written: use sudo";
    assert!(member.err.contains(why), "{}", member.err);
    assert_eq!(write_as(None).await.status, 0, "root may");

    let right = fs::read_to_string(&house.file).unwrap();
    let reload = async |who: &str| {
        let socket = house.socket();
        let socket = socket.display();
        let (old, new) = (
            format!("socket: {socket} "),
            format!("socket: {socket}, write: {who} "),
        );
        assert_eq!(right.matches(&old).count(), 1);
        fs::write(&house.file, right.replace(&old, &new)).unwrap();
        assert_eq!(house.ask(&["reload"]).await.status, 0);
    };
    reload("group").await;
    let member = write_as(Some("0")).await;
    assert_eq!(member.status, 0, "{}", member.err);
    let one = house.ask_json(&["devices", "meter-4"]).await;
    let origins: Vec<&str> = one["commands"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["origin"].as_str().unwrap())
        .collect();
    // Newest first; the first of all was not permitted.
    assert_eq!(origins, ["user 65534", "user 0", "user 65534"]);
    assert_eq!(one["commands"][2]["verdict"], "refused");

    reload("off").await;
    let root = write_as(None).await;
    assert_eq!(root.status, 1);
    assert!(root.err.contains("no user of this machine"), "{}", root.err);
    gateway::stop(&mut house.gateway).await;
}

#[tokio::test]
async fn a_user_outside_the_group_is_refused_and_the_journal_says_so() {
    if !is_root() {
        eprintln!("skipped: not root");
        return;
    }
    let mut house = House::running("").await;
    let ask_as = |groups| house.ask_as(Some(groups), &["status"]);
    let closed = ask_as("").await;
    assert_eq!(closed.status, 1);
    assert!(closed.err.contains("sudo adduser"), "{}", closed.err);
    let member = ask_as("0").await;
    assert_eq!(
        member.status, 0,
        "a member of the service's group: {}",
        member.err
    );
    // Should an administrator open it to all, the service checks the user itself.
    open_to_all(&house.socket(), 0o666);
    let stranger = ask_as("").await;
    assert_eq!(stranger.status, 1);
    let why = "only root and members of the group alink-operators may ask";
    assert!(stranger.err.contains(why), "{}", stranger.err);
    let told = |l: &str| l.contains("control socket: user 65534 was refused");
    house.gateway.line("a refusal", told).await;
    gateway::stop(&mut house.gateway).await;
}

/// Returns what promtool finds wrong with metrics. It reads the text format from before
/// OpenMetrics, in which a counter has the name of its sample.
async fn promtool_on(text: &str) -> String {
    let mut old = String::new();
    for line in text.lines() {
        let word: Vec<&str> = line.splitn(4, ' ').collect();
        let line = match word[..] {
            ["#", what, name, rest]
                if TABLE
                    .iter()
                    .any(|m| m.name == name && m.kind == MetricKind::Counter) =>
            {
                format!("# {what} {name}_total {rest}")
            }
            _ => line.to_owned(),
        };
        old.push_str(&line);
        old.push('\n');
    }
    let mut promtool = Command::new(tools::path("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = promtool.stdin.take().unwrap();
    to.write_all(old.as_bytes()).await.unwrap();
    drop(to);
    let out = promtool.wait_with_output().await.unwrap();
    let said = [out.stdout, out.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    match out.status.success() {
        true => said,
        false => format!("{said}{}", out.status),
    }
}

#[tokio::test]
async fn metrics_come_over_the_socket_and_over_loopback_where_asked_for() {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let mut house = House::running(&format!("metrics: {{ listen: {address} }}\n")).await;
    assert_eq!(listening(house.gateway.id()), 1);
    let logged_in = |s: &Json| s["cloud"]["online"] == 3;
    house.until(&["status"], logged_in).await;
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut scraped = String::new();
    stream.read_to_string(&mut scraped).await.unwrap();
    assert!(scraped.starts_with("HTTP/1.1 200 OK\r\n"), "{scraped}");
    assert!(scraped.contains("content-type: application/openmetrics-text; version=1.0.0"));
    let text = house.ask(&["metrics"]).await.out;
    for m in TABLE {
        let word = format!("# TYPE {} {}", m.name, m.kind.word());
        assert!(scraped.contains(&word) && text.contains(&word), "{word}");
    }
    for line in [
        "alink_gateway_cloud_online_devices 3.0",
        "alink_gateway_login_seconds_count 3",
        "alink_gateway_device_online{device=\"meter-4\",port=\"rack1\"} 1.0",
        "# EOF",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n{text}");
    }
    if tools::have(&["promtool"]) {
        assert_eq!(promtool_on(&text).await, "");
    }
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    let mut refused = String::new();
    stream.read_to_string(&mut refused).await.unwrap();
    assert!(refused.starts_with("HTTP/1.1 405 "), "{refused}");
    // Closed by a reload.
    let text = fs::read_to_string(&house.file).unwrap();
    fs::write(&house.file, text.replace("metrics:", "#metrics:")).unwrap();
    assert_eq!(house.ask(&["reload"]).await.status, 0);
    assert_eq!(listening(house.gateway.id()), 0);
    gateway::stop(&mut house.gateway).await;
}

#[tokio::test]
async fn the_bundle_for_support_has_everything_and_no_secret() {
    let mut house = House::running("").await;
    let has_value = |d: &Json| d["points"][0]["quality"] == "good";
    house.until(&["devices", "meter-5"], has_value).await;
    let file = house.folder.path().join("diag.txt");
    let bundle = bundle_of(&house, &file).await;
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        headings(&bundle),
        [
            "system",
            "status",
            "devices",
            "values",
            "configuration",
            "plan",
            "metrics",
            "lessons",
            "unit",
            "journal"
        ]
    );
    for words in [
        "kernel ",
        GATEWAY.0,
        "\ndevice meter-5: on rack1 unit 5, profile meter, ",
        ", secret ***\n",
        "\nmeter-5 Voltage: ",
        ", good, read ",
        "the newest entries of alink-gateway.service",
    ] {
        assert!(bundle.contains(words), "{words}\n{bundle}");
    }
    // What a person reads has no form of Rust's.
    let configuration = bundle.split("===== configuration =====").nth(1).unwrap();
    let configuration = configuration.split("=====").next().unwrap();
    for form in ["Some(", "None", "{", "nanos"] {
        assert!(!configuration.contains(form), "{form}\n{configuration}");
    }
    no_secret_in(&bundle);
    gateway::stop(&mut house.gateway).await;
}

#[tokio::test]
async fn the_bundle_is_made_without_a_running_service_as_well() {
    let mut house = House::running("").await;
    gateway::stop(&mut house.gateway).await;
    let file = house.folder.path().join("diag.txt");
    let bundle = bundle_of(&house, &file).await;
    assert_eq!(
        headings(&bundle),
        [
            "service",
            "system",
            "check",
            "files",
            "lessons",
            "configuration",
            "plan",
            "unit",
            "journal"
        ]
    );
    for words in [
        "no service runs here",
        "1 port, 3 devices",
        "\ndevice meter-5: on rack1 unit 5, ",
        "the newest entries of alink-gateway.service",
    ] {
        assert!(bundle.contains(words), "{words}\n{bundle}");
    }
    no_secret_in(&bundle);
    // A configuration that is wrong is told instead of shown, and so is a secret in it.
    let text = fs::read_to_string(&house.file).unwrap();
    fs::write(&house.file, text.replace("unit: 5", "unit: 500")).unwrap();
    let bundle = bundle_of(&house, &file).await;
    assert!(!headings(&bundle).contains(&"configuration"), "{bundle}");
    assert!(bundle.contains("  said    500\n"), "{bundle}");
    // Which secrets such a configuration has is not known; the journal, which has none, is
    // not searched for them.
    no_secret_in(bundle.split("===== unit").next().unwrap());
}

/// Returns what `alink-gateway diag` writes to a file; its journal is a script, with a secret
/// in what it says.
async fn bundle_of(house: &House, file: &Path) -> String {
    let tools = house.folder.path().join("tools");
    fs::create_dir_all(&tools).unwrap();
    let journal = tools.join("journalctl");
    let script = format!(
        "#!/bin/sh\nfor last; do :; done\necho the newest entries of $last, {}\n",
        GATEWAY.2
    );
    fs::write(&journal, script).unwrap();
    fs::set_permissions(&journal, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let config = house.file.to_str().unwrap();
    let arguments = ["diag", "--config", config, "-o", file.to_str().unwrap()];
    let mut command = Command::new(env!("CARGO_BIN_EXE_alink-gateway"));
    command.args(arguments).arg("--socket").arg(house.socket());
    command.env("PATH", format!("{}:{path}", tools.display()));
    let done = said(command).await;
    assert_eq!(done.status, 0, "{}", done.err);
    fs::read_to_string(file).unwrap()
}

fn headings(bundle: &str) -> Vec<&str> {
    bundle
        .lines()
        .filter_map(|line| line.strip_prefix("===== ")?.strip_suffix(" ====="))
        .collect()
}

fn no_secret_in(bundle: &str) {
    let mut secrets = vec![GATEWAY.2.to_owned()];
    secrets.extend([4, 5, 6].map(|unit| format!("of-meter-{unit}")));
    for secret in secrets {
        let hex: String = secret.bytes().map(|b| format!("{b:02x}")).collect();
        assert!(
            !bundle.contains(&secret) && !bundle.contains(&hex),
            "{secret}"
        );
    }
}
