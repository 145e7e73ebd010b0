//! Log-ins: how many in a message, at which pace, in which form.

use super::*;

#[test]
fn two_thousand_devices_come_online_in_forty_messages() {
    // At the published pace, and with the pacer opened.
    for (per_second, within) in [(200, ms(10_500)), (10_000, secs(2))] {
        let mut spec = spec(2000, 1);
        spec.cloud.session.logins_per_second = per_second;
        let mut w = World::new(spec);
        w.want(0..2000, Presence::Online);
        assert_eq!(w.spoken(), Vec::<String>::new(), "no link, no word");
        w.up();
        assert_eq!(w.subscribed.len(), 2);
        assert!(w.run_for(within, |w| w.online() == 2000));
        assert_eq!(w.spoken(), vec!["batch_login×50"; 40]);
    }
}

#[test]
fn a_pace_below_a_batch_makes_the_batches_smaller() {
    let mut spec = spec(9, 1);
    spec.cloud.session.logins_per_second = 3;
    let mut w = World::new(spec);
    w.up();
    w.want(0..9, Presence::Online);
    assert!(w.run_for(secs(3), |w| w.online() == 9));
    assert_eq!(w.spoken(), vec!["batch_login×3"; 3]);
}

#[test]
fn one_device_uses_the_single_topic_and_waits_for_company_first() {
    let mut w = World::new(spec(3, 1));
    w.up();
    w.want([0], Presence::Online);
    w.run(ms(249));
    assert_eq!(w.spoken(), Vec::<String>::new());
    w.run(ms(1));
    let sent = w.sent[0].json.clone();
    assert_eq!(w.spoken(), ["login×1"]);
    let params = &sent["params"];
    assert_eq!(params["clientId"], "subPk.meter-0000|_ss=1|");
    assert_eq!(params["signMethod"], "hmacSha256");
    assert!(params["timestamp"].is_string());
    w.run(secs(1));
    w.want([1, 2], Presence::Online);
    w.run(secs(1));
    let sent = w.sent[0].json.clone();
    assert_eq!(w.spoken(), ["batch_login×2"]);
    assert_eq!(sent["params"]["signMethod"], "hmacSha256");
    assert_eq!(sent["params"]["deviceList"][1]["signMethod"], "hmacSha256");
    w.want([0], Presence::Offline);
    w.run(secs(1));
    w.want([1, 2], Presence::Offline);
    w.run(secs(1));
    assert_eq!(w.spoken(), ["logout×1", "batch_logout×2"]);
    assert_eq!(w.online(), 0);
}

#[test]
fn a_code_may_be_a_number_or_text() {
    for text_codes in [false, true] {
        let mut w = World::new(spec(3, 1));
        w.platform.text_codes = text_codes;
        w.platform.bad.insert(2, 6287);
        w.up();
        w.want(0..3, Presence::Online);
        w.run(secs(5));
        assert_eq!((w.online(), w.blocked_with(2)), (2, Some(6287)));
    }
}
