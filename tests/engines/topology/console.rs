//! Anything done at the console, in any order.

use super::*;

#[derive(Clone, Debug)]
enum Act {
    Disable(u32),
    Enable(u32),
    Remove(u32),
    Want(u32, bool),
    Ask(u32),
    Cut,
    Kill,
    Lose(u32),
    Late(u64),
    Twice,
    Wait(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let n = 0u32..12;
    prop_oneof![
        n.clone().prop_map(Act::Disable),
        n.clone().prop_map(Act::Enable),
        n.clone().prop_map(Act::Remove),
        (n.clone(), any::<bool>()).prop_map(|(n, w)| Act::Want(n, w)),
        n.prop_map(Act::Ask),
        Just(Act::Cut),
        Just(Act::Kill),
        (0u32..500).prop_map(Act::Lose),
        (0u64..5000).prop_map(Act::Late),
        Just(Act::Twice),
        (0u64..200).prop_map(Act::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_done_at_the_console_it_converges(
        acts in prop::collection::vec(act(), 0..40), names in 0..3, thing: bool
    ) {
        let mut p = Pair::new(12, without_secrets([3, 4]), |s| {
            s.topology.clear();
            s.switches.failed_batch_names = match names {
                0 => FailedBatchNames::Culprits,
                1 => FailedBatchNames::All,
                _ => FailedBatchNames::NoDevice,
            };
            if thing {
                s.switches.change_channels = vec![ChangeChannel::TopologyChange, ChangeChannel::Thing, ChangeChannel::Thing];
            }
            s.lora = BTreeSet::from([sub(5), sub(6), sub(7)]);
        });
        p.up();
        let mut wanted = BTreeSet::new();
        let mut disabled = BTreeSet::new();
        for act in acts {
            match act {
                Act::Disable(n) => {
                    disabled.insert(n);
                    p.console(|c, now| c.disable(now, &sub(n)));
                }
                Act::Enable(n) => {
                    disabled.remove(&n);
                    p.console(|c, now| c.enable(now, &sub(n)));
                }
                Act::Remove(n) => {
                    p.console(|c, now| c.remove_topology(now, &sub(n)));
                }
                Act::Want(n, true) => {
                    wanted.insert(n);
                    p.want([n], Presence::Online);
                }
                Act::Want(n, false) => {
                    wanted.remove(&n);
                    p.want([n], Presence::Offline);
                }
                Act::Ask(n) => {
                    p.console(|c, now| c.ask_to_add(now, &gateway(), &sub(n)));
                }
                Act::Cut => {
                    p.down();
                    p.run(secs(1));
                    p.up();
                }
                Act::Kill => {
                    // Only the answers on the buses and the contents of the secret
                    // store are kept. Even how often a device was logged in lately is
                    // forgotten.
                    p.down();
                    p.run(secs(61));
                    let seed = p.conns + 3;
                    p.cloud = Cloud::new(Arc::clone(&p.spec), Rng::new(seed), p.now);
                    for (n, secret) in p.kept.clone() {
                        p.cloud.secret(p.now, n, secret);
                    }
                    let wanted: Vec<u32> = wanted.iter().copied().collect();
                    p.want(wanted, Presence::Online);
                    p.up();
                }
                Act::Lose(permille) => {
                    p.console(|c, now| c.fault(now, Fault::LoseReplies { permille }));
                }
                Act::Late(ms) => {
                    let most = Duration::from_millis(ms);
                    let late = Fault::Delay { least: Duration::ZERO, most };
                    p.console(|c, now| c.fault(now, late));
                }
                Act::Twice => {
                    p.console(|c, now| c.fault(now, Fault::Duplicate { permille: 300 }));
                }
                Act::Wait(s) => p.run(secs(s)),
            }
        }
        p.console(|c, now| c.fault(now, Fault::Heal));
        // The notice of a session's end may have been lost; then the answer to the
        // device's own readings shows it.
        for _ in 0..80 {
            for n in &wanted {
                let device = DeviceId(*n);
                let value = Value::Int(1);
                p.cloud.put(p.now, Reading { device, point: 0, value, at: p.now });
            }
            p.run(secs(50));
        }
        for n in 0..12 {
            let shall = wanted.contains(&n) && !disabled.contains(&n);
            prop_assert_eq!(p.is_online(n), shall, "device {}: {:?}", n, p.session(n));
        }
        p.well_behaved();
    }
}
