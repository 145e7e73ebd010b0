//! Pairs of configurations and the changes between them.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::base::{DeviceName, ProductKey, UnitId};
use crate::spec::test_spec::{nowhere, point, profile};
use crate::spec::*;

fn port(name: &str) -> PortSpec {
    let line = LineSpec::Tcp(test_spec::tcp(name, 502));
    test_spec::port(name, line, Duration::from_secs(1))
}

fn line(baud: u32) -> SerialSpec {
    test_spec::serial("/dev/ttyS0", baud)
}

fn device(name: &str, port: u16, unit: u8) -> DeviceSpec {
    let point = point(Table::Coil, 0, Codec::Bool, Duration::from_secs(1));
    DeviceSpec {
        port: PortId(port),
        ..test_spec::device(name, unit, "pk", &profile("meter", vec![point]))
    }
}

fn spec(ports: &[&str], devices: Vec<DeviceSpec>) -> Spec {
    test_spec::spec(nowhere(), ports.iter().map(|n| port(n)).collect(), devices)
}

/// Two ports: a and b on line1, c on line2.
fn three() -> Spec {
    spec(
        &["line1", "line2"],
        vec![device("a", 0, 1), device("b", 0, 2), device("c", 1, 1)],
    )
}

fn names(spec: &Spec) -> Vec<(u32, &str)> {
    spec.devices().map(|(id, d)| (id.0, &*d.name)).collect()
}

const A: DeviceId = DeviceId(0);
const B: DeviceId = DeviceId(1);
const C: DeviceId = DeviceId(2);
const LINE1: PortId = PortId(0);
const LINE2: PortId = PortId(1);

fn change(changes: &Changes, id: DeviceId) -> DeviceChange {
    changes
        .devices
        .changed
        .get(&id)
        .copied()
        .unwrap_or_default()
}

#[test]
fn the_same_again_changes_nothing() {
    let (next, changes) = three().continuing(&three());
    assert!(changes.is_none(), "{changes:?}");
    assert_eq!(next, three());
}

#[test]
fn another_order_is_no_change() {
    let other = spec(
        &["line2", "line1"],
        vec![device("c", 0, 1), device("b", 1, 2), device("a", 1, 1)],
    );
    let (next, changes) = other.continuing(&three());
    assert!(changes.is_none(), "{changes:?}");
    assert_eq!(next, three());
}

#[test]
fn those_who_leave_are_counted_by_identity_and_once() {
    let mut renamed = three();
    renamed.devices[0].name = "another".into();
    assert_eq!(three().leaving(&renamed), (0, 3));
    let other = spec(&["line1"], vec![device("a", 0, 1), device("d", 0, 2)]);
    assert_eq!(three().leaving(&other), (2, 3));
    // Devices that are gone already neither leave nor count.
    let (next, _) = other.clone().continuing(&three());
    assert_eq!(next.leaving(&other), (0, 2));
    assert_eq!(next.leaving(&spec(&["line1"], Vec::new())), (2, 2));
}

#[test]
fn identities_are_counted_with_those_that_are_gone_and_each_once() {
    let other = spec(&["line1"], vec![device("a", 0, 1), device("d", 0, 2)]);
    assert_eq!(three().identities_with(&three()), 3);
    assert_eq!(three().identities_with(&other), 4);
    let (next, _) = other.continuing(&three());
    assert_eq!(next.identities_with(&three()), 4, "those that come back");
}

#[test]
fn who_is_gone_keeps_a_place_without_a_secret_and_who_comes_is_appended() {
    let other = spec(
        &["line1", "line2"],
        vec![device("d", 1, 9), device("c", 1, 1), device("a", 0, 1)],
    );
    let (next, changes) = other.continuing(&three());
    assert_eq!(names(&next), [(0, "a"), (2, "c"), (3, "d")]);
    assert_eq!(changes.devices.removed, BTreeSet::from([B]));
    assert_eq!(changes.devices.added, BTreeSet::from([DeviceId(3)]));
    assert_eq!(changes.ports.changed, BTreeSet::from([LINE1, LINE2]));
    let gone = next.device(B).unwrap();
    assert_eq!((&*gone.name, gone.secret.is_empty()), ("b", true));
    assert!(!next.has(B) && next.has(A));
    assert_eq!(next.devices_on(LINE1).count(), 1);

    // And back again: the device has its old id, and counts as new.
    let (again, changes) = three().continuing(&next);
    assert_eq!(names(&again), [(0, "a"), (1, "b"), (2, "c")]);
    assert_eq!(changes.devices.added, BTreeSet::from([B]));
    assert_eq!(changes.devices.removed, BTreeSet::from([DeviceId(3)]));
}

#[test]
fn each_kind_of_change_is_told_apart_and_restarts_no_more_than_it_must() {
    let none = BTreeSet::new();
    let one = BTreeSet::from([LINE1]);
    type Edit = fn(&mut DeviceSpec);
    let table: [(Edit, DeviceChange, &BTreeSet<PortId>); 10] = [
        (
            |d| d.secret = Secret::new("t"),
            DeviceChange {
                secret: true,
                ..Default::default()
            },
            &none,
        ),
        (
            |d| d.name = "other".into(),
            DeviceChange {
                name: true,
                ..Default::default()
            },
            &none,
        ),
        (
            |d| d.liveness.missed = 5,
            DeviceChange {
                liveness: true,
                ..Default::default()
            },
            &none,
        ),
        (
            |d| d.address = BusAddress::Modbus(UnitId(77)),
            DeviceChange {
                moved: true,
                ..Default::default()
            },
            &one,
        ),
        (
            |d| d.turnaround = Duration::from_millis(5),
            DeviceChange {
                polling: true,
                ..Default::default()
            },
            &one,
        ),
        (
            |d| d.serial = Some(Arc::new(line(1200))),
            DeviceChange {
                polling: true,
                ..Default::default()
            },
            &one,
        ),
        (
            |d| Arc::make_mut(&mut d.profile).max_registers = 60,
            DeviceChange {
                polling: true,
                ..Default::default()
            },
            &one,
        ),
        (
            |d| Arc::make_mut(&mut d.profile).points[0].interval *= 2,
            DeviceChange {
                polling: true,
                ..Default::default()
            },
            &one,
        ),
        (
            |d| {
                Arc::make_mut(&mut d.profile).points[0].report = ReportPolicy::Window {
                    length: Duration::from_secs(60),
                    value: WindowValue::Max,
                }
            },
            DeviceChange {
                report: true,
                ..Default::default()
            },
            &none,
        ),
        (
            |d| {
                Arc::make_mut(&mut d.profile).events.push(ThingEventSpec {
                    id: "changed".into(),
                    when: EventRule {
                        point: 0,
                        trigger: EventTrigger::Changes(None),
                    },
                    data: Vec::new(),
                });
            },
            DeviceChange {
                events: true,
                ..Default::default()
            },
            &none,
        ),
    ];
    for (edit, expected, ports) in table {
        let mut new = three();
        edit(&mut new.devices[1]);
        let (_, changes) = new.continuing(&three());
        assert_eq!(changes.devices.changed, BTreeMap::from([(B, expected)]));
        assert_eq!(changes.ports.changed, *ports, "{expected:?}");
        assert_eq!(changes.cloud, CloudChanges::default());
    }
}

#[test]
fn other_words_for_people_ask_no_device_anew() {
    let mut new = three();
    let profile = Arc::make_mut(&mut new.devices[1].profile);
    profile.about.title.general = Some("Meter".into());
    profile.about.unverified = true;
    profile.points[0].shown.title.chinese = Some("电压".into());
    profile.points[0].shown.unit = Some(Unit("V".into()));
    profile.points[0].shown.unverified = true;
    let (new, changes) = new.continuing(&three());
    assert!(changes.devices.changed.is_empty(), "{changes:?}");
    assert_eq!(
        new.devices[1].profile.about.title.general.as_deref(),
        Some("Meter")
    );
}

#[test]
fn a_port_that_leads_elsewhere_moves_its_devices_and_one_that_is_spoken_to_otherwise_does_not() {
    let moved = DeviceChange {
        moved: true,
        ..Default::default()
    };
    let none = DeviceChange::default();
    let tcp = |edit: fn(&mut TcpSpec)| {
        move |p: &mut PortSpec| match &mut p.line {
            LineSpec::Tcp(tcp) => edit(tcp),
            LineSpec::Serial(_) => panic!("{p:?}"),
        }
    };
    let serial = |edit: fn(&mut SerialSpec)| {
        move |p: &mut PortSpec| {
            let mut line = line(9600);
            edit(&mut line);
            p.line = LineSpec::Serial(line);
        }
    };
    let endpoint = three();
    let mut tty = three();
    serial(|_| {})(&mut tty.ports[0]);
    type Edit = Box<dyn Fn(&mut PortSpec)>;
    let table: [(&Spec, Edit, DeviceChange); 9] = [
        (&endpoint, Box::new(tcp(|t| t.host = "other".into())), moved),
        (&endpoint, Box::new(tcp(|t| t.port = 503)), moved),
        (&endpoint, Box::new(serial(|_| {})), moved),
        (
            &tty,
            Box::new(serial(|s| s.path = "/dev/ttyS1".into())),
            moved,
        ),
        (&tty, Box::new(serial(|s| s.baud = 1200)), none),
        (&tty, Box::new(serial(|s| s.parity = Parity::Odd)), none),
        (
            &endpoint,
            Box::new(tcp(|t| t.connect_timeout = Duration::from_secs(9))),
            none,
        ),
        (
            &endpoint,
            Box::new(|p| p.response_timeout = Duration::from_secs(9)),
            none,
        ),
        (
            &endpoint,
            Box::new(|p| p.budget.grace = Duration::from_secs(9)),
            none,
        ),
    ];
    for (old, edit, expected) in table {
        let mut new = old.clone();
        edit(&mut new.ports[0]);
        let said = format!("{:?}", new.ports[0]);
        let (_, changes) = new.continuing(old);
        for id in [A, B] {
            assert_eq!(change(&changes, id), expected, "{said}");
        }
        assert_eq!(change(&changes, C), none, "{said}");
        assert_eq!(changes.ports.changed, BTreeSet::from([LINE1]), "{said}");
    }
}

#[test]
fn another_identity_is_one_who_leaves_and_one_who_comes() {
    let mut new = three();
    new.devices[0].device_name = DeviceName::new("a2");
    let (next, changes) = new.continuing(&three());
    assert_eq!(changes.devices.removed, BTreeSet::from([A]));
    assert_eq!(changes.devices.added, BTreeSet::from([DeviceId(3)]));
    assert_eq!(names(&next), [(1, "b"), (2, "c"), (3, "a")]);
}

#[test]
fn mixed_up_identities_put_right_move_two_devices_and_log_out_none() {
    let mut new = three();
    new.devices[0].device_name = DeviceName::new("b");
    new.devices[1].device_name = DeviceName::new("a");
    let (next, changes) = new.continuing(&three());
    assert!(changes.devices.added.is_empty() && changes.devices.removed.is_empty());
    assert!(change(&changes, A).moved && change(&changes, B).moved);
    assert_eq!(
        next.device(A).unwrap().address,
        BusAddress::Modbus(UnitId(2))
    );
}

#[test]
fn a_port_of_another_name_takes_its_devices_along() {
    let new = spec(
        &["hall", "line2"],
        vec![device("a", 0, 1), device("b", 0, 2), device("c", 1, 1)],
    );
    let (next, changes) = new.continuing(&three());
    assert_eq!(changes.ports.removed, BTreeSet::from([LINE1]));
    assert_eq!(changes.ports.added, BTreeSet::from([PortId(2)]));
    assert!(changes.ports.changed.is_empty());
    assert!(change(&changes, A).moved && change(&changes, B).moved);
    assert_eq!(change(&changes, C), DeviceChange::default());
    assert_eq!(next.devices_on(PortId(2)).count(), 2);
}

#[test]
fn places_of_ports_are_taken_again_by_the_reload_after_next() {
    let mut now = spec(&["p0"], Vec::new());
    for n in 1..100 {
        let (next, changes) = spec(&[&format!("p{n}")], Vec::new()).continuing(&now);
        assert_eq!(changes.ports.added.len(), 1);
        assert_eq!(changes.ports.removed.len(), 1);
        now = next;
    }
    assert_eq!(now.ports.len(), 2);
}

#[test]
fn where_the_platform_is_and_who_we_are_there_is_a_new_connection_and_limits_are_not() {
    type Edit = fn(&mut CloudSpec);
    let connection = CloudChanges {
        connection: true,
        ..CloudChanges::default()
    };
    let limits = CloudChanges {
        limits: true,
        ..CloudChanges::default()
    };
    let products = CloudChanges {
        products: true,
        ..CloudChanges::default()
    };
    let store = CloudChanges {
        store: true,
        ..CloudChanges::default()
    };
    let remote = CloudChanges {
        remote: true,
        ..CloudChanges::default()
    };
    let table: [(Edit, CloudChanges); 9] = [
        (|c| c.broker.host = "other".into(), connection),
        (|c| c.broker.keepalive = Duration::from_secs(60), connection),
        (
            |c| c.gateway.certificate = GatewayCertificate::Device(Secret::new("t")),
            connection,
        ),
        (|c| c.sign_method = SignMethod::HmacMd5, connection),
        (|c| c.session.batch = 5, limits),
        (|c| c.post.messages_per_second = 5, limits),
        (
            |c| {
                c.products.insert(ProductKey::new("pk"), Secret::new("p"));
            },
            products,
        ),
        (|c| c.store.bytes += 1, store),
        (|c| c.remote.enabled = !c.remote.enabled, remote),
    ];
    for (edit, changed) in table {
        let mut new = three();
        edit(&mut new.cloud);
        let (_, changes) = new.continuing(&three());
        assert_eq!(changes.cloud, changed);
        assert!(changes.devices == DeviceChanges::default());
        assert!(changes.ports == PortChanges::default());
    }
}

#[test]
fn other_rules_for_commands_and_another_bound_of_stopping_change_nothing_else() {
    let only = Changes::default;
    type Edit = fn(&mut Spec);
    let table: [(Edit, Changes); 4] = [
        (
            |s| s.stop_within = Duration::from_secs(5),
            Changes {
                stop_within: true,
                ..only()
            },
        ),
        (
            |s| s.commands.allow = CommandPolicy::Local,
            Changes {
                commands: true,
                ..only()
            },
        ),
        (
            |s| s.commands.sync_within = Duration::from_secs(3),
            Changes {
                commands: true,
                ..only()
            },
        ),
        (
            |s| s.commands.async_within = Duration::from_secs(30),
            Changes {
                commands: true,
                ..only()
            },
        ),
    ];
    for (edit, expected) in table {
        let mut new = three();
        edit(&mut new);
        let wanted = new.clone();
        let (next, changes) = new.continuing(&three());
        assert_eq!(changes, expected);
        assert_eq!(next, wanted, "it is carried over");
    }
}

proptest! {
    #[test]
    fn a_place_stands_for_one_identity_for_ever_and_everybody_configured_has_one(
        lives in prop::collection::vec(
            (prop::collection::vec((0u8..12, 0u16..3, 1u8..20), 0..12), 1u16..4), 1..8)
    ) {
        let mut now = spec(&[], Vec::new());
        let mut whose: BTreeMap<DeviceId, DeviceName> = BTreeMap::new();
        for (devices, ports) in lives {
            let mut seen = BTreeSet::new();
            let devices: Vec<_> = devices
                .into_iter()
                .filter(|(n, p, _)| *p < ports && seen.insert(*n))
                .map(|(n, p, unit)| device(&format!("d{n}"), p, unit))
                .collect();
            let names: Vec<String> = (0..ports).map(|n| format!("p{n}")).collect();
            let names: Vec<&str> = names.iter().map(|n| &**n).collect();
            let fresh = spec(&names, devices);
            let (next, changes) = fresh.clone().continuing(&now);
            // The same installation.
            let picture = |s: &Spec| -> BTreeMap<String, (String, Option<UnitId>)> {
                s.devices()
                    .map(|(_, d)| {
                        let port = s.port(d.port).map(|p| p.name.clone());
                        (d.name.clone(), (port.unwrap_or_default(), d.address.unit()))
                    })
                    .collect()
            };
            prop_assert_eq!(picture(&next), picture(&fresh));
            for (id, d) in next.devices() {
                prop_assert!(next.ports().any(|(p, _)| p == d.port));
                let first = whose.entry(id).or_insert_with(|| d.device_name.clone());
                prop_assert_eq!(&*first, &d.device_name);
            }
            // Added, removed and kept devices are all devices, before and after.
            for (id, _) in next.devices() {
                prop_assert_ne!(now.has(id), changes.devices.added.contains(&id));
            }
            for (id, _) in now.devices() {
                prop_assert_ne!(next.has(id), changes.devices.removed.contains(&id));
            }
            now = next;
        }
    }
}
