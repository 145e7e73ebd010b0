//! What is read arrives: at the pace of the messages and not of the replies,
//! once where nothing is lost, and what counts as delivered was accepted.

#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test, and a helper of tests, says no"
)]

mod delivery {
    pub(crate) mod world;
}

use alink_gateway::base::Mono;
use delivery::world::{World, ms, secs, spec};

/// Measures: `ALINK_FIGURES=1 cargo test --test delivery figures -- --nocapture`.
#[test]
fn figures() {
    if std::env::var_os("ALINK_FIGURES").is_none() {
        return;
    }
    for (least, most) in [(20, 20), (1000, 2000), (2000, 8000), (11_000, 14_000)] {
        for loss in [0, 50, 200, 300] {
            for in_order in [true, false] {
                let mut w = World::online(spec(100, 4), 1);
                w.delay = (ms(least), ms(most));
                w.loss = loss;
                w.in_order = in_order;
                w.feed_all(ms(250));
                w.run(secs(150));
                let unanswered = w
                    .notices
                    .iter()
                    .filter(|n| format!("{:?}", n.1).starts_with("Unanswered"))
                    .count();
                println!(
                    "delay {least}-{most} ms, loss {loss:3}, in order {in_order:5}: {:5.1} values/s, repeats {:4.1} %, backlog {:6}, age p50 {:?} p99 {:?}, posts/s {:.1}, notices {} unanswered {unanswered}",
                    w.per_second(secs(60)),
                    w.platform.repeats as f64 * 100.0 / w.accepted() as f64,
                    w.cloud.backlog(),
                    w.age(Mono::START + w.now.mono.since(Mono::START + secs(60)), 500),
                    w.age(Mono::START + w.now.mono.since(Mono::START + secs(60)), 990),
                    w.sent.len() as f64 / 150.0,
                    w.notices.len(),
                );
            }
        }
    }
}
