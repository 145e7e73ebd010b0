//! Whether the service works with the configuration that it has adopted.
//!
//! **Why** by time and connection: the effect of a file on a service only shows when the
//! service runs with it. A service that ends is no matter of this engine: the next run
//! finds the file unproven and leaves it out (`io/store/remote_config.rs`). What remains is
//! a service that runs and does not reach the platform any more. The file itself came over
//! the connection, so the connection was up; if it was lost before the file was adopted,
//! its absence says nothing until it has been up once.

use std::time::Duration;

use crate::base::{Digest, Mono};
use crate::cloud::alink::remote_config::task::AdoptionResult;
use crate::spec::TrialFailure;

/// How long carrying out a decision may take: a file is renamed, a configuration loaded and
/// applied. A decision without a result by then is handed out again.
const CONCLUDE_WITHIN: Duration = Duration::from_secs(180);
/// The wait before a decision that could not be carried out is tried again: a full or
/// failing disk is not better at once.
const AGAIN: Duration = Duration::from_secs(60);

/// The file on probation.
#[derive(Clone, Debug)]
pub(super) struct Probation {
    config_id: String,
    digest: Digest,
    since: Mono,
    within: Duration,
    link: LinkSeen,
    decided: Option<DecidedProbation>,
}

/// What is known of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LinkSeen {
    Up,
    /// Lost at this time, after it was up with this configuration.
    Lost(Mono),
    /// The connection has not been up with this configuration.
    NotYet,
}

#[derive(Clone, Copy, Debug)]
struct DecidedProbation {
    verdict: AdoptionResult,
    /// The remote task under way; `None` while the decision rests.
    serial: Option<u64>,
    until: Mono,
}

impl Probation {
    /// Begins a probation.
    pub(super) fn new(
        config_id: String,
        digest: Digest,
        now: Mono,
        within: Duration,
        link: bool,
    ) -> Self {
        Probation {
            config_id,
            digest,
            since: now,
            within,
            link: match link {
                true => LinkSeen::Up,
                false => LinkSeen::NotYet,
            },
            decided: None,
        }
    }

    /// Returns the platform's name for the file.
    pub(super) fn config_id(&self) -> &str {
        &self.config_id
    }

    pub(super) const fn digest(&self) -> Digest {
        self.digest
    }

    pub(super) fn link_up(&mut self) {
        self.link = LinkSeen::Up;
    }

    pub(super) fn link_down(&mut self, now: Mono) {
        if self.link == LinkSeen::Up {
            self.link = LinkSeen::Lost(now);
        }
    }

    /// Decides, unless there is a decision already.
    pub(super) fn decide(&mut self, now: Mono, verdict: AdoptionResult) {
        self.decided.get_or_insert(DecidedProbation {
            verdict,
            serial: None,
            until: now,
        });
    }

    /// Returns when something is to be done.
    pub(super) fn due(&self) -> Option<Mono> {
        match (self.decided, self.link) {
            (Some(decided), _) => Some(decided.until),
            (None, LinkSeen::Up) => Some(self.since + self.within),
            (None, LinkSeen::Lost(at)) => Some(at + self.within),
            (None, LinkSeen::NotYet) => None,
        }
    }

    /// Returns the verdict to be handed out now as task `serial`.
    pub(super) fn take(&mut self, now: Mono, serial: u64) -> Option<AdoptionResult> {
        if self.due()? > now {
            return None;
        }
        self.decide(
            now,
            match self.link {
                LinkSeen::Up => AdoptionResult::Proven,
                LinkSeen::Lost(_) | LinkSeen::NotYet => {
                    AdoptionResult::Failed(TrialFailure::Unreached)
                }
            },
        );
        let decided = self.decided.as_mut()?;
        decided.serial = Some(serial);
        decided.until = now + CONCLUDE_WITHIN;
        Some(decided.verdict)
    }

    /// Returns the verdict if `serial` is the remote task under way.
    pub(super) fn is_concluded_by(&self, serial: u64) -> Option<AdoptionResult> {
        let decided = self.decided?;
        (decided.serial == Some(serial)).then_some(decided.verdict)
    }

    /// Takes note that the decision could not be carried out.
    pub(super) fn not_concluded(&mut self, now: Mono) {
        if let Some(decided) = &mut self.decided {
            decided.serial = None;
            decided.until = now + AGAIN;
        }
    }
}
