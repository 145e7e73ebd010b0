//! Devices without a secret: registered by name, or with the secret of their product.

use super::*;

#[test]
fn devices_without_a_secret_are_registered_thirty_at_a_time_when_wanted() {
    let mut p = Pair::new(70, without_secrets(0..65), |s| s.topology.clear());
    p.up();
    p.run(secs(5));
    assert_eq!(p.said("sub/register"), 0, "no device is wanted yet");
    p.want(0..70, Presence::Online);
    p.run(secs(10));
    assert_eq!(p.said("sub/register"), 3);
    assert_eq!(p.platform.online(), 70);
    assert_eq!(p.kept.len(), 65);
    for (id, secret) in &p.kept {
        assert_eq!(secret.expose(), format!("secret-{}", id.0));
    }
    // They are good for the next connection as well.
    p.down();
    p.up();
    p.run(secs(5));
    assert_eq!(p.said("sub/register"), 3);
    assert_eq!(p.platform.online(), 70);
    assert!(!format!("{:?} {:?}", p.kept, p.notices).contains("secret-"));
    p.well_behaved();
}

#[test]
fn a_secret_kept_from_an_earlier_life_is_used_and_not_asked_for() {
    let mut p = Pair::new(1, without_secrets([0]), |_| {});
    let secret = Secret::new("secret-0");
    p.cloud.secret(p.now, DeviceId(0), secret);
    p.up();
    p.want([0], Presence::Online);
    p.run(secs(5));
    assert!(p.is_online(0));
    assert_eq!((p.said("sub/register"), p.kept.len()), (0, 0));
}

#[test]
fn a_partial_registration_serves_those_it_can() {
    for partly in [false, true] {
        let mut p = Pair::new(10, without_secrets(0..10), |s| {
            s.switches.register_partly = partly;
            s.certificates.retain(|c| c.device() != sub(4));
            s.topology.retain(|(_, d)| *d != sub(4));
        });
        p.up();
        p.want(0..10, Presence::Online);
        p.run(secs(30));
        assert_eq!(p.platform.online(), 9, "partly {partly}");
        assert_eq!(p.blocked_with(4), Some(6100), "partly {partly}");
        assert_eq!(p.kept.len(), 9);
    }
}

#[test]
fn a_refused_registration_blocks_the_retry_with_its_code_and_says_so() {
    let mut p = Pair::new(2, without_secrets([0]), |s| {
        s.registration_off.insert(ProductKey::new("subPk"));
    });
    p.up();
    p.want(0..2, Presence::Online);
    p.run(secs(5));
    assert_eq!((p.blocked_with(0), p.is_online(1)), (Some(6288), true));
    let told = p
        .notices
        .iter()
        .find(|n| n.kind().name() == "device-refused");
    let told = told.unwrap().sentence();
    assert!(told.starts_with("registration refused"), "{told}");
    // A secret from elsewhere ends the wait.
    p.cloud.secret(p.now, DeviceId(0), Secret::new("secret-0"));
    p.run(secs(700));
    assert!(p.is_online(0));
    let tries = p.said("sub/register");
    assert_eq!(tries, 1);
}

#[test]
fn a_wrong_secret_is_tried_again_at_once_when_it_changes() {
    let wrong = |s: &mut Spec| s.devices[0].secret = Secret::new("wrong");
    let mut p = Pair::new(2, wrong, |_| {});
    p.up();
    p.want(0..2, Presence::Online);
    p.run(secs(10));
    assert_eq!((p.blocked_with(0), p.is_online(1)), (Some(6287), true));
    let alarm = p
        .notices
        .iter()
        .find(|n| n.kind().name() == "device-refused");
    assert_eq!(alarm.unwrap().level(), alink_gateway::base::Level::Error);
    let again = p.said("login");
    p.run(secs(290));
    assert_eq!(p.said("login"), again, "not tried unchanged for long");
    p.cloud.secret(p.now, DeviceId(0), Secret::new("secret-0"));
    p.run(secs(1));
    assert!(p.is_online(0));
}

#[test]
fn devices_of_a_product_whose_secret_is_known_register_with_its_signature() {
    for nested in [false, true] {
        let shape = |s: &mut Spec| {
            without_secrets(0..65)(s);
            with_product(s, "product-secret");
        };
        let mut p = Pair::new(70, shape, |s| {
            s.topology.clear();
            s.products.push(product(false));
            s.switches.proxy_data_nested = nested;
        });
        p.up();
        p.want(0..70, Presence::Online);
        p.run(secs(10));
        let tail = "thing/proxy/provisioning/product_register";
        assert_eq!((p.said(tail), p.said("sub/register")), (3, 0));
        assert_eq!((p.platform.online(), p.kept.len()), (70, 65));
        let mut randoms = BTreeSet::new();
        for (topic, json) in p.sent.iter().filter(|(t, _)| t.ends_with(tail)) {
            assert_eq!(topic, &format!("/sys/gwPk/gw-1/{tail}"));
            let list = json["params"]["proxieds"].as_array().unwrap();
            assert!((1..=30).contains(&list.len()));
            randoms.extend(list.iter().map(|one| one["random"].to_string()));
        }
        assert_eq!(randoms.len(), 65, "none is used twice");
        p.down();
        p.up();
        p.run(secs(5));
        assert_eq!((p.said(tail), p.platform.online()), (3, 70));
        let shown = format!("{:?} {:?} {:?}", p.kept, p.notices, p.spec);
        assert!(!shown.contains("product-secret") && !shown.contains("secret-"));
        p.well_behaved();
    }
}

#[test]
fn a_device_nobody_created_is_created_where_the_product_allows_it() {
    for allowed in [true, false] {
        let shape = |s: &mut Spec| {
            without_secrets(0..3)(s);
            with_product(s, "product-secret");
        };
        let mut p = Pair::new(3, shape, |s| {
            s.topology.clear();
            s.certificates.retain(|c| c.device() != sub(1));
            s.products.push(product(allowed));
        });
        p.up();
        p.want(0..3, Presence::Online);
        p.run(secs(20));
        assert!(p.is_online(0) && p.is_online(2));
        assert_eq!(p.is_online(1), allowed);
        assert_eq!(p.blocked_with(1), (!allowed).then_some(6100));
    }
}

#[test]
fn a_wrong_product_secret_bars_names_what_to_check_and_is_tried_again_when_corrected() {
    let wrong = |s: &mut Spec| {
        without_secrets(0..2)(s);
        with_product(s, "mistyped");
    };
    let mut p = Pair::new(3, wrong, |s| s.products.push(product(false)));
    p.up();
    p.want(0..3, Presence::Online);
    p.run(secs(20));
    assert_eq!((p.blocked_with(0), p.is_online(2)), (Some(6600), true));
    let told = p
        .notices
        .iter()
        .find(|n| n.kind().name() == "device-refused");
    let told = told.unwrap();
    assert_eq!(told.level(), alink_gateway::base::Level::Error);
    assert!(
        told.sentence().contains("check product_secret"),
        "{}",
        told.sentence()
    );
    let tail = "product_register";
    let before = p.said(tail);
    p.run(secs(200));
    assert_eq!(p.said(tail), before, "not tried unchanged for long");
    p.reload(3, |s| {
        without_secrets(0..2)(s);
        with_product(s, "product-secret");
    });
    p.run(secs(2));
    assert_eq!(p.platform.online(), 3);
}

#[test]
fn who_may_not_register_by_name_does_it_with_the_product_as_soon_as_that_is_configured() {
    let mut p = Pair::new(2, without_secrets(0..2), |s| {
        s.registration_off.insert(ProductKey::new("subPk"));
        s.products.push(product(false));
    });
    p.up();
    p.want(0..2, Presence::Online);
    p.run(secs(5));
    assert_eq!(p.blocked_with(0), Some(6288));
    p.reload(2, |s| {
        without_secrets(0..2)(s);
        with_product(s, "product-secret");
    });
    p.run(secs(2));
    assert_eq!(p.platform.online(), 2);
    // And no device registers again when it is taken away.
    let asked = p.said("register");
    p.reload(2, without_secrets(0..2));
    p.run(secs(30));
    assert_eq!((p.said("register"), p.platform.online()), (asked, 2));
}

#[test]
fn a_device_under_another_gateway_is_reported_and_not_fought_over() {
    let other = Device::new("gwPk", "gw-2");
    let shape = |s: &mut Spec| {
        without_secrets([0])(s);
        with_product(s, "product-secret");
    };
    let above = other.clone();
    let mut p = Pair::new(2, shape, move |s| {
        s.topology.retain(|(_, d)| *d != sub(0));
        s.topology.push((above, sub(0)));
        s.products.push(product(false));
        s.switches.proxy_takes_over = false;
    });
    p.up();
    p.want(0..2, Presence::Online);
    p.run(secs(3600));
    assert_eq!((p.blocked_with(0), p.is_online(1)), (Some(6619), true));
    assert_eq!(p.platform.gateway_of(&sub(0)), Some(&other));
    let asked = p.said("product_register");
    assert!((2..=6).contains(&asked), "{asked} times in an hour");
    let told = p
        .notices
        .iter()
        .find(|n| n.kind().name() == "device-refused");
    assert!(told.unwrap().sentence().contains("another gateway"));
}

#[test]
fn nobody_registers_while_a_secret_could_not_be_kept() {
    for products in [false, true] {
        let shape = |s: &mut Spec| {
            without_secrets(0..40)(s);
            if products {
                with_product(s, "product-secret");
            }
        };
        let mut p = Pair::new(50, shape, |s| s.products.push(product(false)));
        p.cloud.can_keep(p.now, false);
        p.up();
        p.want(0..50, Presence::Online);
        p.run(secs(600));
        assert_eq!((p.said("register"), p.platform.online()), (0, 10));
        p.cloud.can_keep(p.now, true);
        p.run(secs(5));
        assert_eq!((p.kept.len(), p.platform.online()), (40, 50));
    }
}

#[test]
fn a_registration_answered_too_late_is_used_all_the_same() {
    for products in [false, true] {
        let shape = |s: &mut Spec| {
            without_secrets(0..3)(s);
            if products {
                with_product(s, "product-secret");
            }
        };
        let mut p = Pair::new(3, shape, |s| s.products.push(product(false)));
        p.up();
        p.run(secs(1));
        let slow = Fault::Delay {
            least: secs(12),
            most: secs(12),
        };
        p.console(|c, now| c.fault(now, slow));
        p.want(0..3, Presence::Online);
        p.run(secs(14));
        assert!(p.cloud.counters().unanswered > 0, "it was too late");
        assert_eq!(p.kept.len(), 3);
        let asked = p.said("register");
        p.console(|c, now| c.fault(now, Fault::Heal));
        p.run(secs(60));
        assert_eq!(p.platform.online(), 3);
        assert!(p.said("register") <= asked, "asked again for what it has");
        assert_eq!(p.cloud.counters().blocked, 0);
    }
}

#[test]
fn a_given_secret_that_the_topology_refuses_is_asked_for_anew() {
    let mut p = Pair::new(1, without_secrets([0]), |s| s.topology.clear());
    p.cloud
        .secret(p.now, DeviceId(0), Secret::new("of-an-earlier-device"));
    p.up();
    p.want([0], Presence::Online);
    p.run(secs(5));
    assert!(matches!(p.blocked_with(0), Some(401 | 6287)));
    p.run(secs(3600));
    assert!(p.is_online(0));
    assert_eq!(p.kept.len(), 1);
}

#[test]
fn a_device_to_be_added_that_lacks_its_secret_is_registered_first() {
    let mut p = Pair::new(4, without_secrets([3]), |s| s.topology.clear());
    p.up();
    p.console(|c, now| c.ask_to_add(now, &gateway(), &sub(3)));
    p.want([3], Presence::Online);
    p.run(secs(60));
    assert!(p.is_online(3), "{:?}", p.session(3));
    p.well_behaved();
}
