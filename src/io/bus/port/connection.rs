//! Opens a port's line, and handles the port's state while the line is not open.

use super::*;
use crate::io::system::headroom;

impl Port {
    pub(super) async fn live(mut self) -> HubGone {
        loop {
            let Ok(mut exchange) = self.open().await else {
                return HubGone;
            };
            let end = self.serve(&mut exchange).await;
            self.number = exchange.next_number().unwrap_or_default();
            drop(exchange);
            let went_on = match end {
                LineEnd::HubGone => return HubGone,
                LineEnd::Closed { why } => {
                    self.closed(&why);
                    self.until_due().await
                }
                LineEnd::Lost { why, useful, stray } => self.lost(why, useful, stray).await,
            };
            if went_on.is_err() {
                return HubGone;
            }
        }
    }

    /// Returns a thread for this port, for a tty. Until there is one the port is down.
    pub(super) async fn thread(&mut self, name: &str) -> Result<port_thread::Thread, HubGone> {
        loop {
            self.heartbeat.beat();
            let started = match headroom::descriptors(port_thread::DESCRIPTORS) {
                Ok(()) => port_thread::Thread::start(name).await,
                Err(e) => Err(e),
            };
            match started {
                Ok(thread) => return Ok(thread),
                Err(e) => {
                    if let Some(attempted) = self.attempted.take() {
                        // The receiver may be gone.
                        let _ = attempted.send(());
                    }
                    let why = headroom::no_thread(&e);
                    self.closed(&why);
                    self.unavailable(false, why).await?;
                }
            }
        }
    }

    /// Reports that the line was lost, and waits if it is not to be opened at once.
    async fn lost(&mut self, why: String, useful: bool, stray: bool) -> Result<(), HubGone> {
        // The schedule hands these requests out again.
        self.in_hand.clear();
        self.schedule.lost();
        self.tell_ends().await?;
        self.closed(&why);
        let now = self.clock.now().mono;
        self.proven = useful || now.since(self.opened) >= LASTING;
        if !self.proven {
            return self.unavailable(true, why).await;
        }
        self.report.lost(now, why);
        if stray {
            let last = self.strayed_at.replace(now);
            if last.is_none_or(|last| now.since(last) >= STRAY_IS_OVER) {
                self.strayed.reset();
            }
            let next = self.strayed.failed(now, &mut self.rng);
            self.refuse_until(now + next).await?;
        }
        Ok(())
    }

    /// Waits without a connection until a request is due.
    async fn until_due(&mut self) -> Result<(), HubGone> {
        while self.in_hand.is_empty() {
            self.heartbeat.beat();
            let now = self.clock.now().mono;
            self.report.load(now).await?;
            let next = self.next(now);
            self.tell_ends().await?;
            let until = match next {
                NextAction::Run(request) => {
                    self.in_hand.push_back((request, None));
                    return Ok(());
                }
                NextAction::NotBefore(at, _) => at.min(now + MAX_IDLE),
                NextAction::Idle => now + MAX_IDLE,
            };
            let until = until.min(self.report.load_due());
            tokio::select! {
                biased;
                () = self.questions.wait() => {}
                () = self.surveys.wait() => return Ok(()),
                () = self.clock.sleep_until(until) => {}
            }
        }
        Ok(())
    }

    /// Tries until the line is open.
    async fn open(&mut self) -> Result<Exchange, HubGone> {
        loop {
            self.heartbeat.beat();
            let opening = self.opener.open(&self.port_spec.line);
            let opened = tokio::select! {
                biased;
                opened = self.heartbeat.during(&self.clock, LONGEST_OPEN, opening) => opened,
                gone = self.questions.refuse(&self.report) => return Err(gone),
                // A line that was closed because nothing was due is opened for a survey.
                never = self.surveys.refuse(&self.not_open), if self.down_since.is_some() => {
                    match never {}
                }
            };
            if let Some(attempted) = self.attempted.take() {
                // The receiver may be gone.
                let _ = attempted.send(());
            }
            match opened {
                Ok(opened) => {
                    self.report.opened();
                    if let Some(what) = opened.differs {
                        self.report.differs(what);
                    }
                    if let Some(wait) = opened.held_back {
                        self.report.held_back(wait);
                    }
                    self.opened = self.clock.now().mono;
                    self.unanswered = 0;
                    if self.proven {
                        self.available().await?;
                    }
                    let line = &self.port_spec.line;
                    let settings = LineSettings::of(&self.port_spec.name, line);
                    self.tap.line(&self.clock, TracedLine::Open(settings));
                    let tap = self.tap.clone();
                    let number = self.number;
                    let exchange = Exchange::new(opened.line, line, self.clock, tap, number);
                    return Ok(exchange.with_response_timeout(self.response_timeout()));
                }
                Err(e) => {
                    let why = e.to_string();
                    if !self.in_hand.is_empty() {
                        self.in_hand.clear();
                        self.schedule.lost();
                        self.tell_ends().await?;
                    }
                    self.is_useful = false;
                    self.closed(&why);
                    self.unavailable(false, why).await?;
                }
            }
        }
    }

    /// Tells the listeners that the line is closed, and remembers why.
    fn closed(&mut self, why: &str) {
        why.clone_into(&mut self.not_open);
        self.tap.line(
            &self.clock,
            TracedLine::Closed {
                why: why.to_owned(),
            },
        );
    }

    /// Reports that the line is open and of use, if that is news.
    pub(super) async fn available(&mut self) -> Result<(), HubGone> {
        if self.report.is_up() {
            return Ok(());
        }
        let now = self.clock.now().mono;
        let away = self.down_since.take().map(|since| now.since(since));
        if away.is_none_or(|away| away >= SHORT_OUTAGE) {
            self.schedule.reopened(now);
        }
        self.report.up(now, self.backoff.failures()).await
    }

    /// Reports that the line is not open, or was lost before it was of use, and waits before
    /// the next attempt.
    async fn unavailable(&mut self, opened: bool, why: String) -> Result<(), HubGone> {
        let now = self.clock.now().mono;
        self.down_since.get_or_insert(now);
        let next = self.backoff.failed(now, &mut self.rng);
        let failed = self.backoff.failures();
        self.report.down(now, opened, why, failed, next).await?;
        self.refuse_until(now + next).await
    }

    /// Waits until `until`, and refuses all commands meanwhile.
    async fn refuse_until(&mut self, until: Mono) -> Result<(), HubGone> {
        self.heartbeat.beat();
        tokio::select! {
            biased;
            () = self.clock.sleep_until(until) => Ok(()),
            gone = self.questions.refuse(&self.report) => Err(gone),
            never = self.surveys.refuse(&self.not_open) => match never {},
        }
    }

    /// Returns the longest time that any reply on this port is waited for.
    fn response_timeout(&self) -> Duration {
        let devices = self.spec.devices_on(self.report.port());
        devices
            .filter_map(|(_, device)| device.response_timeout)
            .fold(self.port_spec.response_timeout, Duration::max)
    }

    /// Returns whether a connection that was in use was closed while nothing was outstanding.
    pub(super) fn is_no_event(&self, exchange: &Exchange, lost: &LineLoss) -> bool {
        self.is_tcp() && !lost.asked && !lost.stray && exchange.is_used()
    }

    pub(super) fn has_answering_device(&self) -> bool {
        self.heard_of.values().any(|lives| *lives)
    }

    pub(super) const fn is_tcp(&self) -> bool {
        matches!(self.port_spec.line, LineSpec::Tcp(_))
    }

    /// Returns whether the connection may be half dead: all devices that were asked for a while
    /// gave no reply.
    pub(super) fn is_doubtful(&self) -> bool {
        let devices = u32::try_from(self.schedule.devices()).unwrap_or(u32::MAX);
        self.is_tcp() && self.unanswered >= devices.clamp(DOUBTED_AFTER.0, DOUBTED_AFTER.1)
    }
}
