//! A real USB adapter, a real kernel with memory control, a real udevd, the unit and
//! the rules as they are shipped: the daemon in a virtual machine. Tests how Debian and
//! the package set an adapter up, an adapter that is pulled out and put back, and a
//! service that has used up its memory. Below the daemon is the model of the line,
//! above it the model of the platform, both on this side.
//!
//! Takes minutes; `tests/run --long` makes the machine and runs it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::machine::{HOST, Machine, NAME, PATIENCE};
use crate::tools;
use alink_gateway::base::{Rng, UnitId};
use alink_gateway::io::files::settings;
use alink_gateway::io::system::clock::Clock;
use alink_gateway::lab::broker::Broker;
use alink_gateway::lab::bus::{Line, Pace, Unit, UnitKind};
use alink_gateway::lab::platform::{Platform, PlatformSpec};
use alink_gateway::lab::wire::{Handle, LineRig};
use alink_gateway::spec::LineSpec;
use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// From the moment at which the adapter has its name to the first good poll.
const BACK: Duration = Duration::from_secs(2);

/// How long it stays unplugged, each time: less than the grace of its port, and
/// longer than any device of it may be silent.
const UNPLUGGED: Duration = Duration::from_secs(10);

/// The last lines of the whole journal.
const JOURNAL: &str = "journalctl --no-pager -n 80";

/// The log of the service, and the messages of systemd about it.
const TOLD: &str = "journalctl -u alink-gateway --no-pager -o cat";

fn config(url: &str) -> String {
    format!(
        "gateway: {{ product_key: a1GwDemoPk0, device_name: gw-0001, secret: s }}
cloud: {{ url: '{url}' }}
ports:
  - name: line1
    serial: {{ device: {NAME}, baud: 9600, parity: even }}
    response_timeout: 1s
profiles:
  - name: meter
    product_key: a1SubDemoPk
    interval: 1s
    points: [{{ id: Voltage, table: holding, address: 0, type: u16 }}]
devices:
  - {{ name: 'meter-{{unit}}', units: 1-2, port: line1, profile: meter, secret: s }}
"
    )
}

/// Returns the good polls so far.
fn polls(line: &Handle<Line>) -> u64 {
    line.with(|line, _| line.counts().requests)
}

/// Waits for `n` more good polls: the gateway sends the next request only after a
/// reply.
async fn polled(line: &Handle<Line>, n: u64) {
    let before = polls(line);
    let begun = Instant::now();
    while polls(line) < before + n {
        assert!(begun.elapsed() < PATIENCE, "no request came");
        sleep(Duration::from_millis(10)).await;
    }
}

async fn log_outs(cloud: &Broker) -> usize {
    let sizes = cloud.with(|p, _| p.ledger().logout_sizes()).await.unwrap();
    sizes.into_iter().sum()
}

/// Returns the path of a file of the repository in the machine.
fn shipped(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// One machine at a time: two would take each other's processors, and the figures of
/// one would depend on the other.
static TURN: Mutex<()> = Mutex::const_new(());

/// Returns whether all the tools that every test here needs exist.
fn ready() -> bool {
    tools::have(&["qemu-system-x86_64", "cpio", "strip", "usb-machine"])
}

/// Boots the machine with more files in it.
async fn boot(folder: &Path, files: &[(&str, PathBuf)]) -> Machine {
    Machine::boot(&tools::peers().join("usb"), folder, files).await
}

/// A machine with the daemon, the line behind its adapter, and its cloud. It has none
/// of the package's rules, so that every effect seen here comes from the daemon itself.
struct Plant {
    vm: Machine,
    cloud: Broker,
    line: Handle<Line>,
    _rig: LineRig,
    carrier: JoinHandle<()>,
    _folder: TempDir,
}

impl Drop for Plant {
    fn drop(&mut self) {
        self.carrier.abort();
    }
}

impl Plant {
    /// Builds all of it, the adapter not yet plugged in and the service not yet
    /// started.
    async fn new() -> Plant {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);

        // Above.
        let clock = Clock::system();
        let platform = Platform::new(PlatformSpec::default(), Rng::new(1), clock.now());
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let cloud = Broker::start(anywhere, platform, clock).await.unwrap();
        let url = format!("mqtt://{HOST}:{}", cloud.addr().port());
        fs::write(file("gateway.yaml"), config(&url)).unwrap();
        let spec = settings::load(&file("gateway.yaml")).unwrap().spec;
        let known = PlatformSpec::knowing(&spec);
        let told = cloud.with(move |platform, now| {
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

        // Below.
        let LineSpec::Serial(serial) = &spec.ports[0].line else {
            panic!("a serial line");
        };
        let mut line = Line::new(Pace::from(serial), Rng::new(1));
        for unit in 1..=2 {
            line.attach(UnitId(unit), Unit::new(UnitKind::Marked, unit.into()));
        }
        let mut rig = LineRig::new(line, clock);
        let line = rig.handle();

        // Between them.
        let stripped = Command::new("strip")
            .arg("-o")
            .args([file("daemon"), env!("CARGO_BIN_EXE_alink-gateway").into()])
            .status();
        assert!(stripped.unwrap().success());
        fs::set_permissions(file("daemon"), PermissionsExt::from_mode(0o755)).unwrap();
        let files = [
            ("usr/bin/alink-gateway", file("daemon")),
            ("etc/alink-gateway/gateway.yaml", file("gateway.yaml")),
            (
                "etc/systemd/system/alink-gateway.service",
                shipped("systemd/alink-gateway.service"),
            ),
        ];
        let mut vm = boot(folder.path(), &files).await;
        let mut cable = vm.line().await;
        let mut pipe = rig.plug_pipe();
        let carrier = tokio::spawn(async move {
            let _ = tokio::io::copy_bidirectional(&mut cable, &mut pipe).await;
        });
        vm.run("while [ ! -e /sys/class/net/eth0 ]; do sleep 0.2; done; udevadm settle")
            .await;
        vm.run("ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0; ip link set lo up")
            .await;
        Plant {
            vm,
            cloud,
            line,
            _rig: rig,
            carrier,
            _folder: folder,
        }
    }

    /// Returns the output of a command in root's shell in the machine.
    async fn run(&mut self, command: &str) -> String {
        self.vm.run(command).await
    }

    /// Starts the service; systemd waits until it is ready.
    async fn start(&mut self) {
        let started = self.run("systemctl start alink-gateway; echo $?").await;
        if started.trim() != "0" {
            panic!("{started}{}", self.run(JOURNAL).await);
        }
    }

    /// Waits until so many devices are online.
    async fn online(&mut self, n: usize) {
        let online = self
            .cloud
            .until(PATIENCE, move |p| p.online_devices().count() == n);
        if !online.await.unwrap() {
            panic!("{}", self.run(JOURNAL).await);
        }
    }
}

/// Describes an adapter under its stable name: node, permissions, driver settings, and
/// whether ModemManager is to leave it alone.
async fn adapter(vm: &mut Machine) -> String {
    vm.run(&format!(
        "while [ ! -e {NAME} ]; do :; done; udevadm settle"
    ))
    .await;
    let said = vm
        .run(&format!(
            "readlink {NAME}; stat -Lc '%a %U %G' {NAME}; \
             cat /sys/class/tty/$(basename $(readlink {NAME}))/device/latency_timer; \
             udevadm info -q property {NAME} | grep ID_MM_PORT_IGNORE"
        ))
        .await;
    said.lines().collect::<Vec<&str>>().join(", ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "boots a virtual machine: tests/run --long"]
async fn an_adapter_has_its_name_its_group_and_its_haste_before_anybody_opens_it() {
    if !ready() {
        return;
    }
    let _turn = TURN.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let rules = "usr/lib/udev/rules.d/70-alink-gateway.rules";
    let rules = [(rules, shipped("packaging/udev.rules"))];
    let mut vm = boot(folder.path(), &rules).await;
    // QEMU counts an adapter whose cable hangs in the air as absent.
    let _cable = vm.line().await;
    vm.run("udevadm settle").await;

    // The settings of Debian alone; so the rest comes from the rules. Real chips wait
    // 16 ms until they are set otherwise, QEMU's says 0.
    let masked = "/etc/udev/rules.d/70-alink-gateway.rules";
    vm.run(&format!(
        "mkdir -p /etc/udev/rules.d; ln -s /dev/null {masked}; udevadm control --reload"
    ))
    .await;
    vm.plug().await;
    assert_eq!(adapter(&mut vm).await, "../../ttyUSB0, 660 root dialout, 0");
    vm.run(&format!("rm {masked}; udevadm control --reload"))
        .await;

    for round in 0..5 {
        vm.unplug().await;
        vm.run(&format!("while [ -e {NAME} ]; do :; done")).await;
        vm.plug().await;
        assert_eq!(
            adapter(&mut vm).await,
            "../../ttyUSB0, 660 root dialout, 1, ID_MM_PORT_IGNORE=1",
            "round {round}"
        );
    }
    // Another process holds the node open, so the adapter comes back as another.
    vm.run("sleep 10000 </dev/ttyUSB0 & sleep 1").await;
    vm.unplug().await;
    vm.run(&format!("while [ -e {NAME} ]; do :; done")).await;
    vm.plug().await;
    assert_eq!(
        adapter(&mut vm).await,
        "../../ttyUSB1, 660 root dialout, 1, ID_MM_PORT_IGNORE=1"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "boots a virtual machine: tests/run --long"]
async fn an_adapter_is_pulled_out_and_put_back_and_the_cloud_does_not_notice() {
    if !ready() {
        return;
    }
    let _turn = TURN.lock().await;
    let mut plant = Plant::new().await;
    // The service starts before any adapter has been plugged in.
    plant.start().await;
    plant.vm.plug().await;
    plant.online(2).await;
    let Plant {
        vm, cloud, line, ..
    } = &mut plant;
    let timer = "cat /sys/class/tty/ttyUSB0/device/latency_timer";
    assert_eq!(
        vm.run(timer).await.trim(),
        "1",
        "the driver was told to hurry"
    );

    for node in ["ttyUSB0", "ttyUSB1"] {
        if node == "ttyUSB1" {
            // Another process holds the node open.
            vm.run("sleep 10000 </dev/ttyUSB0 & sleep 1").await;
        }
        vm.unplug().await;
        let used = "systemctl show -P CPUUsageNSec alink-gateway";
        let gone = format!("while [ -e {NAME} ]; do :; done; sleep 1; {used}");
        let before: u64 = vm.run(&gone).await.trim().parse().unwrap();
        sleep(UNPLUGGED).await;
        let after: u64 = vm.run(used).await.trim().parse().unwrap();
        let used = Duration::from_nanos(after - before);
        eprintln!("unplugged for {UNPLUGGED:?} it used {used:?} of an emulated processor");
        // A real processor is an order of magnitude faster: tests/usb/replug.rs.
        assert!(used < UNPLUGGED / 20, "{used:?}");

        let asked = polls(line);
        let plugged = Instant::now();
        vm.plug().await;
        let there = format!("while [ ! -e {NAME} ]; do :; done; readlink {NAME}");
        let leads_to = vm.run(&there).await;
        let named = Instant::now();
        while polls(line) == asked {
            assert!(named.elapsed() < PATIENCE, "no request came");
            sleep(Duration::from_millis(1)).await;
        }
        eprintln!(
            "{node}: named {:?} after plugging in, polled {:?} later",
            named - plugged,
            named.elapsed()
        );
        assert!(named.elapsed() < BACK);
        assert_eq!(leads_to.trim(), format!("../../{node}"));
        polled(line, 4).await;
    }
    assert_eq!(log_outs(cloud).await, 0, "the cloud was told");
    let told = vm.run(TOLD).await;
    let count = |what: &str| told.lines().filter(|l| l.contains(what)).count();
    assert!(count("attempts, polling") >= 2, "{told}");
    assert!(
        count("No such file") <= 3,
        "one line for each unplugging: {told}"
    );
    assert_eq!(count("latency_timer"), 0, "{told}");

    // The driver does not switch transceivers, and is named.
    vm.run("sed -i 's/parity: even/parity: even, rs485: true/' /etc/alink-gateway/gateway.yaml; systemctl reload alink-gateway")
        .await;
    let refused = "its driver (ftdi_sio) cannot switch an RS-485 transceiver";
    let begun = Instant::now();
    while !vm.run(TOLD).await.contains(refused) {
        assert!(begun.elapsed() < PATIENCE, "{}", vm.run(TOLD).await);
        sleep(Duration::from_secs(1)).await;
    }
    eprintln!("{}", vm.run("journalctl --no-pager -u alink-gateway").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "boots a virtual machine: tests/run --long"]
async fn a_service_out_of_memory_is_killed_alone_started_again_and_says_why() {
    if !ready() {
        return;
    }
    let _turn = TURN.lock().await;
    let mut plant = Plant::new().await;
    plant.start().await;
    plant.vm.plug().await;
    plant.online(2).await;
    let numbers = plant.run(&show("MemoryMax MemoryCurrent")).await;
    let numbers: Vec<u64> = numbers.lines().map(|n| n.parse().unwrap()).collect();
    let [most, used] = numbers[..] else {
        panic!("{numbers:?}");
    };
    eprintln!("it uses {} KiB of {} KiB", used / 1024, most / 1024);
    assert!(used < most, "{used} of {most}");
    // Another service, to see that it is left alone.
    plant
        .run("systemd-run -q --unit=bystander sleep 10000")
        .await;

    // A leak as the kernel sees it: more memory is used than may be.
    let drop_in = "/run/systemd/system/alink-gateway.service.d";
    let lowered = "[Service]\\nMemoryMax=1M\\nMemorySwapMax=0\\n";
    plant
        .run(&format!(
            "mkdir -p {drop_in}; printf '{lowered}' >{drop_in}/memory.conf; systemctl daemon-reload"
        ))
        .await;
    plant.online(0).await;
    // Started again and again, and killed each time; systemd does not give it up.
    let begun = Instant::now();
    loop {
        let restarts = plant.run(&show("NRestarts")).await;
        if restarts.trim().parse::<u32>().unwrap() >= 3 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{}", plant.run(JOURNAL).await);
        sleep(Duration::from_secs(1)).await;
    }
    let told = plant.run(TOLD).await;
    eprintln!("{told}");
    for why in ["killed by the OOM killer", "Failed with result 'oom-kill'"] {
        assert!(told.contains(why), "not a word of {why:?}: {told}");
    }
    let bystander = plant.run("systemctl is-active bystander").await;
    assert_eq!(bystander.trim(), "active");

    plant
        .run(&format!(
            "rm {drop_in}/memory.conf; systemctl daemon-reload"
        ))
        .await;
    plant.online(2).await;
    let state = plant.run(&show("ActiveState Result MemoryMax")).await;
    assert_eq!(state, format!("active\nsuccess\n{most}\n"));
    polled(&plant.line, 4).await;
}

/// Returns properties of the unit, one in a line.
fn show(names: &str) -> String {
    let each = names
        .split(' ')
        .map(|name| format!("systemctl show -P {name} alink-gateway"));
    each.collect::<Vec<String>>().join("; ")
}
