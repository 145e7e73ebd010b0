//! How the gateway recovers from faults of the platform: slow and lost replies,
//! refusals of requests for their number, a cap on the devices online, sessions that
//! end without a notice. Each world plays one fault and measures one thing, by the
//! ledger of the platform.

use std::time::Duration;

use super::figures::{percent, thousands};
use super::site::{Conditions, ConvergeSite};
use super::{Plan, TIME_LIMIT};
use crate::base::{DeviceId, Mono, Rng};
use crate::lab::platform::{
    Code, Event, Fault, PackOutOfSession, PostOutOfSession, RequestKind, Switches,
};

/// How long replies take and how many messages are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slow {
    /// From a request to its reply, at least.
    pub least: Duration,
    /// From a request to its reply, at most.
    pub most: Duration,
    /// Messages lost each way, in thousandths.
    pub loss: u32,
}

impl Slow {
    /// Builds a setting in which replies take so many seconds, at least and at most.
    #[must_use]
    pub const fn secs(least: u64, most: u64, loss: u32) -> Self {
        Slow {
            least: Duration::from_secs(least),
            most: Duration::from_secs(most),
            loss,
        }
    }

    /// Returns whether the target applies to this setting: a platform beyond these
    /// limits is out of order.
    #[must_use]
    pub fn is_judged(&self) -> bool {
        self.most <= Duration::from_secs(8) && self.loss <= 200
    }
}

/// How much of 400 values a second got through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Throughput {
    /// The conditions of the measurement.
    pub slow: Slow,
    /// Values accepted, in thousandths of those read, 1,000 at most; each value
    /// counts once.
    pub share: u64,
    /// Values accepted again, in thousandths of those accepted, without those
    /// that lost replies make necessary.
    pub repeats: u64,
    /// Values that waited at the end, at worst.
    pub backlog: u64,
}

impl Throughput {
    /// Returns the row as it stands in the table.
    #[must_use]
    pub fn line(&self) -> String {
        let Slow { least, most, loss } = self.slow;
        format!(
            "| {} | {} % | {} | {} | {} |",
            match (least.as_secs(), most.as_secs()) {
                (0, 0) => "at once".to_owned(),
                (least, most) => format!("{least} to {most} s"),
            },
            loss / 10,
            percent(self.share),
            percent(self.repeats),
            thousands(u128::from(self.backlog)),
        )
    }
}

/// Everything measured about recovering.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// One row for each of [`Plan::slow`].
    pub throughput: Vec<Throughput>,
    /// From quota that becomes free under a cap until it is taken.
    pub refill: Duration,
    /// From a cap that is raised or lifted until all devices for which there is room
    /// are online.
    pub lifted: Duration,
    /// From the end of 429 on log-ins until all devices are online.
    pub back_after_429: Duration,
    /// The longest time without an accepted post around 429 on posts.
    pub post_429_gap: Duration,
    /// From the silent loss of sessions until all 60 are back.
    pub silent_loss_back: Duration,
    /// Values counted as delivered that the platform did not accept.
    pub delivered_but_lost: u64,
    /// Values that the platform dropped in these worlds while answering 200: without
    /// any, nothing would be proved.
    pub dropped: u64,
}

/// Measures everything about recovering. `say` receives what was just measured.
pub(super) fn measure(plan: &Plan, say: &mut dyn FnMut(&str)) -> Recovery {
    let seeds = 0..plan.recovery_seeds.max(1);
    let mut all = Recovery::default();
    for &slow in &plan.slow {
        let rows = seeds.clone().map(|seed| throughput(slow, seed));
        let row = rows.reduce(|a, b| Throughput {
            slow,
            share: a.share.min(b.share),
            repeats: a.repeats.max(b.repeats),
            backlog: a.backlog.max(b.backlog),
        });
        if let Some(row) = row {
            say(&row.line());
            all.throughput.push(row);
        }
    }
    for seed in seeds {
        for cap in [150, 120] {
            for spread in [0, 30] {
                let (refill, lifted) = capped(cap, Duration::from_secs(spread), seed);
                let which = format!("cap {cap}, 20 leave within {spread} s");
                worst(&mut all.refill, refill, &which, "a free place", say);
                worst(&mut all.lifted, lifted, &which, "cap lifted", say);
            }
        }
        for least in [30, 90, 300] {
            let during = Duration::from_secs(least + Rng::new(seed ^ least).below(60));
            let back = back_after_429(during, seed);
            let which = format!("429 for {} s", during.as_secs());
            worst(&mut all.back_after_429, back, &which, "back", say);
        }
        for fault in post_faults() {
            let which = format!("{fault:?}");
            let gap = post_gap(fault, seed);
            worst(&mut all.post_429_gap, gap, &which, "no post", say);
        }
        for silence in silences() {
            let back = silent_loss(&silence, seed);
            worst(&mut all.silent_loss_back, back, silence.which, "back", say);
        }
        for (pack, kicked) in [
            (PackOutOfSession::DroppedAndTold, false),
            (PackOutOfSession::DroppedToldAfter, false),
            (PackOutOfSession::DroppedAndTold, true),
        ] {
            let (lost, dropped) = delivered_but_lost(pack, kicked, seed);
            say(&format!(
                "{pack:?}, kicked: {kicked}: {lost} values lost, {dropped} dropped"
            ));
            all.delivered_but_lost += lost;
            all.dropped += dropped;
        }
    }
    all
}

/// Keeps the longest, and reports each.
fn worst(
    longest: &mut Duration,
    took: Duration,
    which: &str,
    what: &str,
    say: &mut dyn FnMut(&str),
) {
    say(&format!("{which}: {what}: {} ms", took.as_millis()));
    *longest = took.max(*longest);
}

/// Builds a site where all devices are online and nothing goes wrong yet.
fn calm(devices: u32, points: u16, seed: u64) -> ConvergeSite {
    let conditions = Conditions {
        points,
        ..Conditions::default()
    };
    let mut site = ConvergeSite::new(devices, conditions, Rng::new(seed));
    site.make_all_answer();
    site.connect();
    site.until_online(devices as usize, TIME_LIMIT);
    site
}

/// Measures 100 devices with 4 values a second.
fn throughput(slow: Slow, seed: u64) -> Throughput {
    let mut site = calm(100, 4, seed);
    let Slow { least, most, loss } = slow;
    site.fault(Fault::Delay { least, most });
    site.fault(Fault::LoseRequests { permille: loss });
    site.fault(Fault::LoseReplies { permille: loss });
    site.read(true);
    // How long replies take is learned first.
    site.live(Duration::from_secs(30));
    let (from, read, before) = (site.now(), site.values_read(), distinct(&site));
    site.live(Duration::from_secs(120));
    let read = site.values_read() - read;
    let accepted = distinct(&site) - before;
    let posts = site.platform().ledger().posted();
    let posts = posts.filter(|p| p.at >= from);
    let (mut repeats, mut unanswered) = (0, 0);
    for post in posts {
        repeats += post.repeats;
        if !post.answered {
            unanswered += post.accepted;
        }
    }
    Throughput {
        slow,
        share: (accepted * 1000 / read.max(1)).min(1000),
        repeats: repeats.saturating_sub(unanswered) * 1000 / accepted.max(1),
        backlog: site.cloud().backlog() as u64,
    }
}

fn distinct(site: &ConvergeSite) -> u64 {
    site.platform().accepted().distinct()
}

/// Measures 200 devices under a cap, of which 20 leave, all at once or one after the
/// other: how long free quota stays free, and how long it takes to fill the quota
/// that a higher cap, and then none, brings.
fn capped(cap: usize, spread: Duration, seed: u64) -> (Duration, Duration) {
    const ALL: usize = 200;
    const LEAVE: usize = 20;
    let mut rng = Rng::new(seed);
    let mut site = ConvergeSite::new(200, Conditions::default(), rng.fork());
    site.fault(Fault::Cap(Some(cap)));
    site.make_all_answer();
    site.connect();
    site.until_online(cap, Duration::from_secs(300));
    site.live(Duration::from_secs(60));
    let full = site.platform().online() == cap;
    let start = site.now();
    let mut online = site.online();
    for _ in 0..LEAVE.min(online.len()) {
        let one = online.swap_remove(rng.below(online.len() as u64) as usize);
        site.falls_silent(one);
        site.live(spread / LEAVE as u32);
    }
    let time_limit = Duration::from_secs(120);
    site.live(time_limit);
    let refill = if full {
        longest_free(&site, start, time_limit)
    } else {
        time_limit
    };
    // The phase of the gateway's own looks is left to chance.
    site.live(Duration::from_secs(rng.below(60)));
    site.fault(Fault::Cap(Some(cap + 20)));
    let raised = site.until_online(cap + 20, TIME_LIMIT);
    site.live(Duration::from_secs(rng.below(60)));
    site.fault(Fault::Cap(None));
    let lifted = site.until_online(ALL - LEAVE, TIME_LIMIT);
    (refill, raised.max(lifted))
}

/// Returns the longest time from a log-out until another log-in took its place.
fn longest_free(site: &ConvergeSite, start: Mono, time_limit: Duration) -> Duration {
    let since = |want: fn(&Event) -> bool| {
        let events = site.platform().ledger().events();
        let those = events.filter(move |(at, event)| *at >= start && want(event));
        those.map(|(at, _)| *at)
    };
    let mut taken = since(|e| matches!(e, Event::LoggedIn(_)));
    let freed = since(|e| matches!(e, Event::LoggedOut(_)));
    let free = freed.map(|freed| taken.next().map_or(time_limit, |taken| taken.since(freed)));
    free.max().unwrap_or(time_limit)
}

/// Answers log-ins with 429 for a while from the connection on, and measures how long
/// after that all 200 devices are online.
fn back_after_429(during: Duration, seed: u64) -> Duration {
    let mut site = ConvergeSite::new(200, Conditions::default(), Rng::new(seed));
    site.make_all_answer();
    site.fault(Fault::Throttle { during });
    let end = site.now() + during;
    site.connect();
    site.until_online(200, during + TIME_LIMIT);
    site.now().since(end)
}

/// Returns the ways to refuse posts for their number.
fn post_faults() -> [Fault; 3] {
    let (what, code) = (RequestKind::Post, Code::THROTTLED);
    [
        Fault::AnswerNext {
            what,
            code,
            times: 5,
        },
        Fault::Answer {
            what,
            code,
            during: Duration::from_secs(20),
        },
        // Of five a second that are needed.
        Fault::PostsPerSecond(Some(3)),
    ]
}

/// Measures 100 devices with a value a second, of which some posts are refused: the
/// longest time without an accepted post.
fn post_gap(fault: Fault, seed: u64) -> Duration {
    let mut site = calm(100, 1, seed);
    site.read(true);
    site.live(Duration::from_secs(10));
    let start = site.now();
    site.fault(fault);
    site.live(Duration::from_secs(120));
    let posts = site.platform().ledger().posted();
    let taken = posts.filter(|p| p.accepted > 0 && p.at >= start);
    let mut gap = Duration::ZERO;
    let mut last = start;
    for at in taken.map(|p| p.at).chain([site.now()]) {
        gap = gap.max(at.since(last));
        last = at;
    }
    gap
}

/// A silent loss of sessions.
struct Silence {
    which: &'static str,
    /// How many of 60 devices lose their session.
    lost: usize,
    /// How the platform treats devices without a session.
    switch: fn(&mut Switches),
    /// Messages lost each way, in thousandths.
    loss: u32,
}

fn silences() -> [Silence; 8] {
    let of = |which, lost, loss, switch| Silence {
        which,
        lost,
        switch,
        loss,
    };
    [
        of("60 sessions lost", 60, 0, |_| {}),
        of("30 sessions lost", 30, 0, |_| {}),
        of("1 session lost", 1, 0, |_| {}),
        of("60 lost, and 5 % of messages", 60, 50, |_| {}),
        of("60 lost, posts refused", 60, 0, |s| {
            s.post_out_of_session = PostOutOfSession::Refused;
        }),
        of("60 lost, posts unanswered", 60, 0, |s| {
            s.post_out_of_session = PostOutOfSession::Unanswered;
        }),
        of("60 lost, packs refused", 60, 0, |s| {
            s.pack_out_of_session = PackOutOfSession::Refused;
        }),
        of("60 lost, packs dropped", 60, 0, |s| {
            s.pack_out_of_session = PackOutOfSession::DroppedAndTold;
        }),
    ]
}

/// Ends sessions of devices without a notice, and measures how long it takes until all
/// devices are online again.
fn silent_loss(silence: &Silence, seed: u64) -> Duration {
    let mut rng = Rng::new(seed);
    let mut site = calm(60, 1, rng.next_u64());
    let permille = silence.loss;
    site.fault(Fault::LoseRequests { permille });
    site.fault(Fault::LoseReplies { permille });
    site.switch(silence.switch);
    site.read(true);
    site.live(Duration::from_secs(60 + rng.below(120)));
    let mut online = site.online();
    for _ in 0..silence.lost.min(online.len()) {
        let one = online.swap_remove(rng.below(online.len() as u64) as usize);
        let device = site.device(one);
        site.fault(Fault::LoseSession(Some(device)));
    }
    site.until_online(60, TIME_LIMIT)
}

/// Ends the session of one device every second, silently or kicked, while packs are
/// under way, and lets the platform drop its part of them. Returns the values counted
/// as delivered that were not accepted, once everything has come to rest, and how many
/// were dropped.
fn delivered_but_lost(pack: PackOutOfSession, kicked: bool, seed: u64) -> (u64, u64) {
    let mut rng = Rng::new(seed);
    let mut site = calm(40, 4, rng.next_u64());
    site.switch(|s| s.pack_out_of_session = pack);
    let (least, most) = (Duration::from_millis(500), Duration::from_millis(1500));
    site.fault(Fault::Delay { least, most });
    site.read(true);
    for _ in 0..40 {
        site.live(Duration::from_millis(500 + rng.below(1000)));
        let device = site.device(DeviceId(rng.below(40) as u32));
        site.fault(match kicked {
            true => Fault::Kick(device),
            false => Fault::LoseSession(Some(device)),
        });
    }
    site.read(false);
    site.fault(Fault::Heal);
    site.until(TIME_LIMIT, |s| s.cloud().backlog() == 0);
    // Replies to the last messages may still arrive.
    site.live(Duration::from_secs(60));
    site.until(TIME_LIMIT, |s| s.cloud().backlog() == 0);
    let delivered = site.cloud().counters().delivered;
    let dropped = site.platform().accepted().dropped();
    (delivered.saturating_sub(distinct(&site)), dropped)
}
