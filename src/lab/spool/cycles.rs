//! Lives of the daemon that end by SIGKILL, by SIGTERM and by a power cut, at random moments
//! and under a platform in random trouble.

use std::io;
use std::ops::RangeInclusive;
use std::time::Duration;

use alink_gateway::base::Rng;
use alink_gateway::lab::platform::{Code, Fault, RequestKind};

use super::oracle::JOURNEY;
use super::outcome::Outcome;
use super::plant::PhaseInstallation;
use super::site::{Run, SpoolSite, StateDisk};

/// How long everything may take to arrive at the end.
const SETTLING: Duration = Duration::from_secs(90);
/// How long a post waits for a reply in these trials, and how long values are gathered for a
/// message and for the disk.
const REPLY: Duration = Duration::from_secs(1);
const LINGER: Duration = Duration::from_millis(100);
const SYNC: Duration = Duration::from_millis(500);
/// A reply is waited for longer where replies have been slow.
const SLOW_REPLY: Duration = Duration::from_secs(2);
/// How much longer than the linger a value waits to be delivered live.
const LIVE: Duration = Duration::from_secs(5);
/// How long it takes until half of the small memory is used up: 1,250 values, 500 a second.
const HALF: Duration = Duration::from_millis(2_500);
/// A disk that is slow, and a busy machine.
const MARGIN: Duration = Duration::from_millis(700);

/// How the lives of a phase end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LifeEnd {
    Kill,
    Stop,
    PowerCut,
}

/// A phase of many lives.
#[derive(Clone, Debug)]
pub(super) struct Cycles {
    /// Its name in messages.
    pub(crate) name: &'static str,
    /// How many lives there are.
    pub(crate) lives: u64,
    /// How they end.
    pub(crate) by: LifeEnd,
    /// What the daemon keeps, and when.
    pub(crate) keeps: Keeps,
}

/// How soon values are on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeps {
    /// In an outage as soon as half of a small memory is used up.
    HalfFull,
    /// After they have waited for the platform.
    Waited,
    /// Before they are sent.
    Always,
}

impl Keeps {
    /// Returns the installation.
    fn shape(self) -> PhaseInstallation {
        let (reply, linger, sync) = (REPLY.as_millis(), LINGER.as_millis(), SYNC.as_millis());
        let post = format!("linger: {linger}ms, reply_timeout: {reply}ms");
        let store = format!("spill_after: 1s, sync_every: {sync}ms");
        let (interval, post, store) = match self {
            Keeps::HalfFull => ("100ms", format!("{post}, queue: 2500"), store),
            Keeps::Waited => ("500ms", post, store),
            Keeps::Always => ("200ms", post, format!("{store}, durable: always")),
        };
        PhaseInstallation {
            devices: 5,
            points: 10,
            interval,
            store,
            post,
        }
    }

    /// Returns how long before a kill a value may have been read and be gone. A value that
    /// was sent waits for its reply before it goes to the disk; in an outage nothing is sent.
    pub(super) const fn window(self, in_outage: bool) -> Duration {
        let disk = LINGER.saturating_add(SYNC).saturating_add(MARGIN);
        match self {
            Keeps::HalfFull if in_outage => HALF.saturating_add(disk),
            Keeps::HalfFull | Keeps::Waited => {
                let sent = LIVE.saturating_add(LINGER).saturating_add(SLOW_REPLY);
                sent.saturating_add(disk)
            }
            Keeps::Always => SYNC.saturating_add(JOURNEY).saturating_add(MARGIN),
        }
    }

    /// Returns how long the lives are, in milliseconds; each fifth is a long one, in which
    /// values of this life must come to be safe.
    const fn lives(self) -> [RangeInclusive<u64>; 2] {
        match self {
            Keeps::HalfFull => [300..=2_000, 4_500..=9_000],
            Keeps::Waited => [500..=8_000, 9_500..=15_000],
            Keeps::Always => [300..=2_000, 2_500..=5_000],
        }
    }
}

impl Cycles {
    /// Plays the phase.
    pub(super) async fn play(self, run: &Run) -> io::Result<Outcome> {
        let on = match self.by {
            LifeEnd::PowerCut => StateDisk::Ext4,
            LifeEnd::Kill | LifeEnd::Stop => StateDisk::Disk,
        };
        let mut site = SpoolSite::set(self.name, self.keeps.shape(), on, run).await?;
        if let Some(mistake) = site.check().await? {
            let is_unknown = mistake.contains("cloud.store.durable");
            let kind = match is_unknown {
                true => io::ErrorKind::Unsupported,
                false => io::ErrorKind::InvalidInput,
            };
            return Err(io::Error::new(kind, mistake));
        }
        let mut unstored = 0;
        for life in 0..self.lives {
            if self.keeps == Keeps::Always && life % 4 == 1 {
                unstored += sent_is_stored(&mut site).await?;
                continue;
            }
            site.start()?;
            let in_outage = trouble(&mut site).await?;
            let window = self.keeps.window(in_outage);
            let [short, long] = self.keeps.lives();
            let span = if life % 5 == 4 { long } else { short };
            let span = Duration::from_millis(between(site.rng(), &span));
            let cut = site.rng().chance(200);
            site.live(span / 2).await?;
            if cut {
                site.fault(Fault::Cut(site.plant().gateway().clone()))
                    .await?;
            }
            site.live(span / 2).await?;
            match self.by {
                LifeEnd::Kill => site.kill(window).await?,
                LifeEnd::Stop => site.stop().await?,
                LifeEnd::PowerCut => {
                    site.kill(window).await?;
                    site.cut_power().await?;
                }
            }
        }
        site.start()?;
        let until = site.settle(SETTLING).await?;
        let kills = site.kills();
        let judgement = site.finish(until);
        let mut outcome = Outcome::of(judgement);
        outcome.lost += unstored;
        match self.by {
            LifeEnd::Kill => outcome.kills = kills,
            LifeEnd::Stop => outcome.stops = self.lives,
            LifeEnd::PowerCut => outcome.power_cuts = kills,
        }
        outcome.tell(self.name);
        Ok(outcome)
    }
}

/// A life in which replies begin to get lost, so that all that is sent stays in the store;
/// returns how many values were sent and are not there after a kill.
async fn sent_is_stored(site: &mut SpoolSite) -> io::Result<u64> {
    site.start()?;
    site.heal().await?;
    site.live(Duration::from_secs(2)).await?;
    site.fault(Fault::LoseReplies { permille: 1_000 }).await?;
    let since = site.now().mono;
    let span = between(site.rng(), &(500..=2_500));
    site.live(Duration::from_millis(span)).await?;
    site.kill(Keeps::Always.window(false)).await?;
    site.count_unstored(since)
}

fn between(rng: &mut Rng, span: &RangeInclusive<u64>) -> u64 {
    span.start() + rng.below(span.end() - span.start() + 1)
}

/// Lets the platform do wrong for the life that begins, or do well; returns whether it does
/// nothing at all.
async fn trouble(site: &mut SpoolSite) -> io::Result<bool> {
    site.heal().await?;
    let during = Duration::from_secs(3);
    let what = RequestKind::Post;
    match site.rng().below(10) {
        0..4 => {}
        4..6 => {
            site.outage(false).await?;
            return Ok(true);
        }
        6 => site.fault(Fault::LoseReplies { permille: 300 }).await?,
        7 => site.fault(Fault::LoseRequests { permille: 300 }).await?,
        8 => {
            let code = Code(500);
            site.fault(Fault::Answer { what, code, during }).await?;
        }
        _ => {
            let (code, times) = (Code::THROTTLED, 3);
            site.fault(Fault::AnswerNext { what, code, times }).await?;
        }
    }
    Ok(false)
}
