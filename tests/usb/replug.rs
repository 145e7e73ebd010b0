//! An adapter that is pulled out and plugged in again: the real thread on a real
//! terminal, under a name that leads to another node each time, as udev's names under
//! /dev/serial/by-id do. `tests/usb/adapter.rs` tests what needs a real adapter and a real
//! kernel.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::port_task::{self, PortTask};
use alink_gateway::base::{FieldEvent, LivenessEvidence, Rng, UnitId};
use alink_gateway::io::bus::line::Opener;
use alink_gateway::io::files::settings::{LoadContext, load_in};
use alink_gateway::io::system::clock::Clock;
use alink_gateway::lab::bus::{Line, Pace, Unit, UnitKind};
use alink_gateway::lab::wire::LineRig;
use alink_gateway::spec::LineSpec;
use rustix::pty::{OpenptFlags, openpt};
use rustix::time::{ClockId, clock_gettime};
use tokio::time::{Instant, sleep, timeout};

/// From plugging in to the first value (the goal of the project).
const BACK: Duration = Duration::from_secs(2);

/// How long it stays unplugged while processor time is counted.
const UNPLUGGED: Duration = Duration::from_secs(4);

/// Returns the processor time of this process; this is its only test.
fn used() -> Duration {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(t.tv_sec.unsigned_abs(), t.tv_nsec.try_into().unwrap())
}

#[tokio::test]
async fn a_name_that_leads_to_another_node_is_polled_again_at_once_and_waiting_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let name = folder.path().join("usb-FTDI_FT232R_A1-if00-port0");
    let file = folder.path().join("gateway.yaml");
    let text = format!(
        "gateway: {{ product_key: a1Gw, device_name: gw-1, secret: s }}
cloud: {{ url: mqtts://iot-x.mqtt.iothub.aliyuncs.com }}
ports:
  - {{ name: line1, serial: {{ device: {}, baud: 115200 }} }}
profiles:
  - {{ name: m, product_key: a1Sub, interval: 1h, points: [{{ id: V, table: holding, address: 0, type: u16 }}] }}
devices:
  - {{ name: meter-1, port: line1, unit: 1, profile: m, secret: s }}
",
        name.display()
    );
    std::fs::write(&file, text).unwrap();
    let spec = load_in(&file, &LoadContext::default()).unwrap().spec;
    let spec = Arc::new(spec);
    let LineSpec::Serial(serial) = &spec.ports[0].line else {
        panic!("a serial line");
    };

    let clock = Clock::system();
    let mut line = Line::new(Pace::from(serial), Rng::new(1));
    line.attach(UnitId(1), Unit::new(UnitKind::Marked, 1));
    let mut rig = LineRig::new(line, clock);
    let PortTask {
        events: mut hub,
        stop,
        attempted,
        task: port,
    } = port_task::start(&spec, Opener::System, clock, 1);
    attempted.await.unwrap();

    let mut nodes = BTreeSet::new();
    let mut taken = Vec::new();
    for _ in 0..3 {
        // Long enough for the longest wait between two attempts.
        let before = used();
        sleep(UNPLUGGED).await;
        let used = used() - before;
        assert!(used < UNPLUGGED / 100, "unplugged it used {used:?}");

        // The old number is taken: this time it is another node.
        taken.push(openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap());
        rig.plug_terminal(&name).unwrap();
        nodes.insert(std::fs::canonicalize(&name).unwrap());
        let plugged = Instant::now();
        let value = async {
            loop {
                match hub.recv().await.unwrap() {
                    FieldEvent::Polled {
                        evidence: LivenessEvidence::Alive(_),
                        ..
                    } => return,
                    _ => continue,
                }
            }
        };
        timeout(BACK, value).await.expect("a value in time");
        println!("first value {:?} after plugging in", plugged.elapsed());

        rig.unplug().await;
    }
    assert_eq!(nodes.len(), 3, "{nodes:?}");
    stop.cancel();
    port.await.unwrap();
}
