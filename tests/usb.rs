//! A real USB adapter, a real kernel, the unit as it is shipped: the daemon in a
//! virtual machine whose adapter is pulled out and put back. Below it the line's
//! model, above it the platform's, both on this side.
//!
//! Takes a minute or more; `tests/run --long` makes the machine and runs it.
#![cfg(feature = "lab")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "helpers of a test: a panic is how a test says no, and what it prints explains it"
)]

#[path = "usb/machine.rs"]
mod machine;
#[path = "peers/tools.rs"]
mod tools;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use alink_gateway::base::{Rng, UnitId};
use alink_gateway::io::clock::Clock;
use alink_gateway::io::settings;
use alink_gateway::lab::broker::Broker;
use alink_gateway::lab::bus::{Life, Line, Pace, Unit};
use alink_gateway::lab::platform::{Platform, PlatformSpec};
use alink_gateway::lab::wire::{Handle, LineRig};
use alink_gateway::spec::LineSpec;
use machine::{HOST, Machine, NAME, PATIENCE};
use tokio::time::{Instant, sleep};

/// From the moment at which the adapter has its name to the first good poll.
const BACK: Duration = Duration::from_secs(2);

/// How long it stays unplugged, each time: less than the grace of its port, and
/// longer than any device of it may be silent.
const UNPLUGGED: Duration = Duration::from_secs(10);

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

/// Good polls so far.
fn polls(line: &Handle<Line>) -> u64 {
    line.with(|line, _| line.counts().requests)
}

/// Waits for `n` more good polls: the gateway asks again only after a reply.
async fn polled(line: &Handle<Line>, n: u64) {
    let before = polls(line);
    let begun = Instant::now();
    while polls(line) < before + n {
        assert!(begun.elapsed() < PATIENCE, "nobody asks");
        sleep(Duration::from_millis(10)).await;
    }
}

async fn log_outs(cloud: &Broker) -> usize {
    let sizes = cloud.with(|p, _| p.ledger().logout_sizes()).await.unwrap();
    sizes.into_iter().sum()
}

/// What a file of the repository is in the machine.
fn shipped(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "boots a virtual machine: tests/run --long"]
async fn an_adapter_is_pulled_out_and_put_back_and_the_cloud_does_not_notice() {
    if !tools::have(&["qemu-system-x86_64", "cpio", "strip", "usb-machine"]) {
        return;
    }
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
        line.attach(UnitId(unit), Unit::new(Life::Marked, unit.into()));
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
    let image = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("peers/usb");
    let files = [
        ("usr/bin/alink-gateway", file("daemon")),
        ("etc/alink-gateway/gateway.yaml", file("gateway.yaml")),
        (
            "etc/systemd/system/alink-gateway.service",
            shipped("systemd/alink-gateway.service"),
        ),
    ];
    let mut vm = Machine::boot(&image, folder.path(), &files).await;
    let mut cable = vm.line().await;
    let mut pipe = rig.plug_pipe();
    let carrier = tokio::spawn(async move {
        let _ = tokio::io::copy_bidirectional(&mut cable, &mut pipe).await;
    });
    vm.run("while [ ! -e /sys/class/net/eth0 ]; do sleep 0.2; done; udevadm settle")
        .await;
    vm.run("ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0; ip link set lo up")
        .await;

    // It starts before anybody has ever plugged an adapter in.
    let started = vm.run("systemctl start alink-gateway; echo $?").await;
    if started.trim() != "0" {
        panic!("{started}{}", vm.run("journalctl --no-pager -n 60").await);
    }
    vm.plug().await;
    let online = cloud.until(PATIENCE, |p| p.online_devices().count() == 2);
    if !online.await.unwrap() {
        panic!("{}", vm.run("journalctl --no-pager -n 60").await);
    }
    let timer = "cat /sys/class/tty/ttyUSB0/device/latency_timer";
    assert_eq!(
        vm.run(timer).await.trim(),
        "1",
        "the driver was told to hurry"
    );

    for node in ["ttyUSB0", "ttyUSB1"] {
        if node == "ttyUSB1" {
            // Somebody holds on to the node.
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
        // A real processor is an order of magnitude faster: tests/replug.rs.
        assert!(used < UNPLUGGED / 20, "{used:?}");

        let asked = polls(&line);
        let plugged = Instant::now();
        vm.plug().await;
        let there = format!("while [ ! -e {NAME} ]; do :; done; readlink {NAME}");
        let leads_to = vm.run(&there).await;
        let named = Instant::now();
        while polls(&line) == asked {
            assert!(named.elapsed() < PATIENCE, "nobody asks");
            sleep(Duration::from_millis(1)).await;
        }
        eprintln!(
            "{node}: named {:?} after plugging in, polled {:?} later",
            named - plugged,
            named.elapsed()
        );
        assert!(named.elapsed() < BACK);
        assert_eq!(leads_to.trim(), format!("../../{node}"));
        polled(&line, 4).await;
    }
    assert_eq!(log_outs(&cloud).await, 0, "the cloud was told");
    let journal = "journalctl -u alink-gateway --no-pager -o cat";
    let told = vm.run(journal).await;
    let count = |what: &str| told.lines().filter(|l| l.contains(what)).count();
    assert!(count("attempts, polling") >= 2, "{told}");
    assert!(
        count("No such file") <= 3,
        "one line for each unplugging: {told}"
    );
    assert_eq!(count("latency_timer"), 0, "{told}");

    // Its driver does not switch transceivers, and is named.
    vm.run("sed -i 's/parity: even/parity: even, rs485: true/' /etc/alink-gateway/gateway.yaml; systemctl reload alink-gateway")
        .await;
    let refused = "its driver (ftdi_sio) cannot switch an RS-485 transceiver";
    let begun = Instant::now();
    while !vm.run(journal).await.contains(refused) {
        assert!(begun.elapsed() < PATIENCE, "{}", vm.run(journal).await);
        sleep(Duration::from_secs(1)).await;
    }
    eprintln!("{}", vm.run("journalctl --no-pager -u alink-gateway").await);
    carrier.abort();
}
