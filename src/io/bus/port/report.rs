//! Reports what a port sees: events to the hub, troubles to the operator. Keeps track of what
//! has been reported already.

mod floats;
mod found;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::base::{
    BusEnd, CommandNumber, DeviceId, EventGrouping, EventKind, FieldEvent, Grouped as Gathered,
    LivenessEvidence, LogEvent, LogSubject, MissReason, Mono, Now, PortId, RateLimit, Reading,
};
use crate::field::decode::float::FloatBytes;
use crate::field::decode::point::{decode, out_of_range};
use crate::field::decode::refusal::NoValueReason;
use crate::field::diagnostics::events::{FieldLogEvent, HeaviestRequest};
use crate::field::diagnostics::implausible_floats::ImplausibleFloats;
use crate::field::diagnostics::trouble::Trouble;
use crate::field::diagnostics::troubles::Troubles;
use crate::field::dlt645::ask::MeterOperation;
use crate::field::modbus::in_flight::InFlightFault;
use crate::field::plan::block_address::{BlockAddress, EntryRange};
use crate::field::plan::holes::speaks_of_addresses;
use crate::field::polled_device::liveness_evidence;
use crate::field::receiver::OtherTraffic;
use crate::field::schedule::interval_stretch::Overload;
use crate::field::transaction::request::{Outcome, Request, RequestBody};
use crate::io::bus::bus_monitor::BusMonitor;
use crate::io::bus::exchange::TransactionEnd;
use crate::io::log::Journal;
use crate::io::system::clock::Clock;
use crate::spec::Spec;
use crate::trace::{TraceEventKind, TransactionVerdict};

use super::echo_statistics::EchoStatistics;
use super::load::Load;

/// The points without a value, and the reasons.
type RefusedPoints = Vec<(u16, &'static str)>;

/// The error when the hub has ended.
pub(super) struct HubGone;

#[derive(Clone, Copy, PartialEq, Eq)]
enum ReportedState {
    Up,
    Down,
}

pub(super) struct Report {
    port: PortId,
    spec: Arc<Spec>,
    journal: Journal,
    hub: mpsc::Sender<FieldEvent>,
    tap: BusMonitor,
    clock: Clock,
    /// The state of the port that was last reported to the hub.
    told: Option<ReportedState>,
    /// Why the port is down, as it was told last.
    down_for: Option<String>,
    unavailable: RateLimit,
    losses: RateLimit,
    /// Why the line was lost last.
    lost: String,
    echo_statistics: EchoStatistics,
    told_held_back: bool,
    /// Whether something stands that was found when the line was opened.
    found_at_opening: bool,
    troubles: Troubles,
    /// Groups the troubles that many devices have into a few log events.
    grouping: EventGrouping<FieldLogEvent>,
    floats: ImplausibleFloats,
    /// Lasting events that the hub has not been told yet: one of each kind for the port and for
    /// each device at most.
    noticed: Vec<(LogSubject, EventKind, String)>,
    /// The load that is reported every few seconds.
    load: Load,
}

impl Report {
    pub(super) fn new(
        port: PortId,
        spec: Arc<Spec>,
        journal: Journal,
        hub: mpsc::Sender<FieldEvent>,
        tap: BusMonitor,
        clock: Clock,
    ) -> Self {
        Report {
            port,
            spec,
            journal,
            hub,
            tap,
            clock,
            told: None,
            down_for: None,
            unavailable: RateLimit::default(),
            losses: RateLimit::default(),
            lost: String::new(),
            echo_statistics: EchoStatistics::default(),
            told_held_back: false,
            found_at_opening: false,
            troubles: Troubles::default(),
            grouping: EventGrouping::of_port(port),
            floats: ImplausibleFloats::default(),
            noticed: Vec::new(),
            load: Load::new(clock.now().mono),
        }
    }

    /// Returns the port.
    pub(super) const fn port(&self) -> PortId {
        self.port
    }

    /// Returns whether the port was last reported to the hub as open.
    pub(super) fn is_up(&self) -> bool {
        self.told == Some(ReportedState::Up)
    }

    /// Reports that the port is open.
    pub(super) async fn up(&mut self, now: Mono, failed: u32) -> Result<(), HubGone> {
        let port = self.port;
        self.journal
            .tell(&FieldLogEvent::PortOpened { port, failed });
        self.unavailable = RateLimit::default();
        self.down_for = None;
        self.load.opened(now);
        self.told = Some(ReportedState::Up);
        self.tell(FieldEvent::PortUp { port }).await
    }

    /// Reports that the port is not open and will be tried again. `opened`: it did open, and
    /// was lost before it was of any use.
    pub(super) async fn down(
        &mut self,
        now: Mono,
        opened: bool,
        why: String,
        failed: u32,
        next: Duration,
    ) -> Result<(), HubGone> {
        let port = self.port;
        self.tell_groups(now);
        // Another reason is news, however lately the last was told.
        if self.down_for.as_ref() != Some(&why) {
            self.unavailable = RateLimit::default();
            self.down_for = Some(why.clone());
        }
        if self.unavailable.hit(now, 1).is_some() {
            let line = self.spec.port(port).map(|p| p.line.to_string());
            self.journal.tell(&FieldLogEvent::PortUnavailable {
                port,
                what: line.unwrap_or_default(),
                opened,
                why: why.clone(),
                failed,
                next,
            });
        }
        if self.told != Some(ReportedState::Down) {
            self.told = Some(ReportedState::Down);
            let why = why.clone();
            self.tell(FieldEvent::PortDown { port, why }).await?;
        }
        let next = now + next;
        self.tell(FieldEvent::PortRetried { port, why, next }).await
    }

    /// Notes that the line was lost and is opened again at once: the hub is not told.
    pub(super) fn lost(&mut self, now: Mono, why: String) {
        let port = self.port;
        why.clone_into(&mut self.lost);
        if let Some(times) = self.losses.hit(now, 1) {
            self.journal
                .tell(&FieldLogEvent::PortLost { port, why, times });
        }
    }

    /// Reports that the server does not stand several requests in flight.
    pub(super) fn one_at_a_time(&self, fault: InFlightFault) {
        let port = self.port;
        self.journal
            .tell(&FieldLogEvent::OneAtATime { port, fault });
    }

    /// Notes that the line was opened: what was found at the opening before stands no more. To be
    /// called before what is found at this one is reported.
    pub(super) fn opened(&mut self) {
        if std::mem::take(&mut self.found_at_opening) {
            let (port, failed) = (self.port, 0);
            self.note_lasting(&FieldLogEvent::PortOpened { port, failed });
        }
    }

    /// Reports that the line's settings are not those that were asked for.
    pub(super) fn differs(&mut self, what: String) {
        let port = self.port;
        self.found_at_opening = true;
        let notice = FieldLogEvent::SettingsDiffer { port, what };
        self.note_lasting(&notice);
        self.journal.tell(&notice);
    }

    /// Reports that the adapter passes received bytes on late.
    pub(super) fn held_back(&mut self, wait: Duration) {
        let port = self.port;
        self.found_at_opening = true;
        let notice = FieldLogEvent::BytesHeldBack { port, wait };
        self.note_lasting(&notice);
        if !std::mem::replace(&mut self.told_held_back, true) {
            self.journal.tell(&notice);
        }
    }

    /// Notes that our own bytes came back, or did not when they should.
    pub(super) fn own_echoes(&mut self, now: Mono, traffic: &OtherTraffic) {
        for notice in self.echo_statistics.note(self.port, now, traffic) {
            self.journal.tell(&notice);
        }
    }

    /// Reports that the intervals of a priority are longer than configured, or no longer so.
    pub(super) fn overload(&mut self, overload: &Overload) {
        let port = self.port;
        let notice = match overload {
            Overload::Over { priority } => FieldLogEvent::IntervalsKept {
                port,
                priority: *priority,
            },
            Overload::Stretched {
                priority,
                factor,
                load,
                heaviest,
            } => FieldLogEvent::IntervalsStretched {
                port,
                priority: *priority,
                factor: *factor,
                load: *load,
                heaviest: heaviest.as_ref().and_then(|h| {
                    let device = self.spec.device(h.device)?;
                    Some(HeaviestRequest {
                        device: device.name.clone(),
                        what: h.address.to_string(),
                        takes: h.takes,
                        every: h.every,
                    })
                }),
            },
        };
        self.note_lasting(&notice);
        self.journal.tell(&notice);
    }

    /// Remembers an event that stands, for the hub.
    fn note_lasting(&mut self, notice: &FieldLogEvent) {
        if !notice.is_lasting() {
            return;
        }
        let (about, kind) = (notice.subject(), notice.kind());
        self.noticed.retain(|(a, k, _)| (*a, *k) != (about, kind));
        self.noticed.push((about, kind, notice.sentence()));
    }

    /// Tells the hub of the events that stand.
    async fn tell_noticed(&mut self) -> Result<(), HubGone> {
        for (about, kind, words) in std::mem::take(&mut self.noticed) {
            self.tell(FieldEvent::Noticed { about, kind, words })
                .await?;
        }
        Ok(())
    }

    /// Adds a time for which the line was in use.
    pub(super) fn was_busy(&mut self, busy: Duration) {
        self.load.was_busy(busy);
    }

    /// Returns when the next load is to be reported.
    pub(super) fn load_due(&self) -> Mono {
        self.load.due()
    }

    /// Reports the load, the echoes and the number of probes, if it is time to.
    pub(super) async fn load(&mut self, now: Mono) -> Result<(), HubGone> {
        if now < self.load_due() {
            return Ok(());
        }
        for notice in self.troubles.sweep(now) {
            self.tell_or_gather(now, notice);
        }
        if let Some(sum) = self.losses.take_due(now) {
            let (port, times) = (self.port, sum.untold);
            let why = self.lost.clone();
            self.journal
                .tell(&FieldLogEvent::PortLost { port, why, times });
        }
        if let Some(notice) = self.echo_statistics.take_due(self.port, now) {
            self.journal.tell(&notice);
        }
        self.tell_groups(now);
        self.tell_noticed().await?;
        let (permille, count) = self.load.take(now);
        let port = self.port;
        if let Some(echoes) = self.echo_statistics.since_last() {
            self.tell(FieldEvent::Echoes { port, echoes }).await?;
        }
        if count > 0 {
            self.tell(FieldEvent::Probes { port, count }).await?;
        }
        self.tell(FieldEvent::Load { port, permille }).await
    }

    /// Reports the end of a transaction.
    pub(super) async fn polled(
        &mut self,
        request: &Request,
        ended: &TransactionEnd,
        evidence: LivenessEvidence,
    ) -> Result<(), HubGone> {
        if request.probe().is_some() {
            self.load.probed();
        }
        self.note_trouble(request, ended);
        let (readings, refused) = self.readings(request, ended);
        self.tap.say(&self.clock, || {
            self.verdict(request, ended, &readings, &refused)
        });
        self.tell(FieldEvent::Polled {
            device: request.device,
            at: ended.at,
            evidence,
            readings,
            turnaround: ended.turnaround,
        })
        .await?;
        if !refused.is_empty() {
            self.tell(FieldEvent::NoValue {
                device: request.device,
                at: ended.at,
                points: refused,
            })
            .await?;
        }
        self.judge_floats(ended.at.mono, request.device).await
    }

    /// Reports that a command is about to write.
    pub(super) async fn command_begun(&self, number: CommandNumber) -> Result<(), HubGone> {
        self.tell(FieldEvent::CommandBegun(number)).await
    }

    /// Reports the end of a command.
    pub(super) async fn command_ended(&self, end: BusEnd) -> Result<(), HubGone> {
        self.tell(FieldEvent::CommandEnded(end)).await
    }

    /// Reports that the line was lost before the reply came.
    pub(super) async fn cut_off(
        &mut self,
        request: &Request,
        at: Now,
        evidence: LivenessEvidence,
    ) -> Result<(), HubGone> {
        let ended = TransactionEnd {
            outcome: Outcome::Missed(MissReason::ConnectionLost),
            at,
            turnaround: None,
            passed_by: Default::default(),
            traffic: Default::default(),
        };
        self.polled(request, &ended, evidence).await
    }

    /// Reports that a reply of this device came after its request had been given up.
    pub(super) async fn late(&mut self, device: DeviceId, at: Now) -> Result<(), HubGone> {
        self.trouble(at.mono, device, Trouble::Late, String::new);
        self.tap.say(&self.clock, || TraceEventKind::Late {
            device: self.name(device),
        });
        self.tell(FieldEvent::Polled {
            device,
            at,
            evidence: liveness_evidence::LATE,
            readings: Vec::new(),
            turnaround: None,
        })
        .await
    }

    /// Returns how the transaction ended, with names, for the listeners.
    fn verdict(
        &self,
        request: &Request,
        ended: &TransactionEnd,
        readings: &[Reading],
        refused: &RefusedPoints,
    ) -> TraceEventKind {
        let points = self.spec.device(request.device).map(|d| &d.profile.points);
        let point = |index: u16| {
            let point = points.and_then(|all| all.get(usize::from(index)));
            point.map_or_else(String::new, |p| p.id.clone())
        };
        let values = readings.iter().map(|r| (point(r.point), r.value.to_json()));
        let without = refused
            .iter()
            .map(|(p, why)| (point(*p), (*why).to_owned()));
        TraceEventKind::Verdict {
            device: self.name(request.device),
            verdict: TransactionVerdict::of(&ended.outcome, request.trusted),
            turnaround: ended.turnaround,
            values: values.collect(),
            without: without.collect(),
        }
    }

    fn name(&self, device: DeviceId) -> String {
        let device = self.spec.device(device);
        device.map_or_else(String::new, |d| d.name.clone())
    }

    /// Returns the values of the reply, and the points for which it held none.
    fn readings(
        &mut self,
        request: &Request,
        ended: &TransactionEnd,
    ) -> (Vec<Reading>, RefusedPoints) {
        let Outcome::Answered(data) = &ended.outcome else {
            return (Vec::new(), Vec::new());
        };
        let spec = Arc::clone(&self.spec);
        let Some(device) = spec.device(request.device).filter(|_| request.trusted) else {
            return (Vec::new(), Vec::new());
        };
        let mut readings = Vec::with_capacity(request.points.len());
        let mut refused = Vec::new();
        for index in &request.points {
            let Some(point) = device.profile.points.get(usize::from(*index)) else {
                continue;
            };
            let decoded = decode(point, &request.address, data);
            if matches!(decoded, Ok(_) | Err(NoValueReason::OutOfRange))
                && let Some((float, order)) = FloatBytes::of(point, &request.address, data)
            {
                self.floats.note(request.device, *index, float, order);
            }
            match decoded {
                Ok(value) => readings.push(Reading {
                    device: request.device,
                    point: *index,
                    value,
                    at: ended.at,
                }),
                Err(why) => {
                    refused.push((*index, why.words()));
                    let trouble = Trouble::NoValue { point: *index, why };
                    let name = || match why {
                        NoValueReason::OutOfRange => out_of_range(point, &request.address, data)
                            .map_or_else(String::new, |seen| format!(": {seen}")),
                        _ => String::new(),
                    };
                    let name = || format!("point {}{}", point.id, name());
                    self.trouble(ended.at.mono, request.device, trouble, name);
                }
            }
        }
        (readings, refused)
    }

    fn note_trouble(&mut self, request: &Request, ended: &TransactionEnd) {
        let now = ended.at.mono;
        let trouble = match &ended.outcome {
            Outcome::Missed(MissReason::Foreign) if ended.traffic.other_id.is_some() => {
                Trouble::OtherId
            }
            // A device may well refuse a probe of another table.
            Outcome::Exception(_) if request.is_of_another_table() => return,
            // The sender of the command is told.
            Outcome::Exception(_) | Outcome::Refused(_) if request.is_command() => return,
            // It takes more than one request to find out what such a code means.
            Outcome::Exception(code) if request.is_whole() && speaks_of_addresses(*code) => return,
            // This is reported as a finding.
            Outcome::Refused(word) if request.is_whole() && word.says_no_such_datum() => return,
            Outcome::Refused(_) if request.is_of_another_table() => return,
            Outcome::Refused(word) => Trouble::Declines(*word),
            Outcome::Exception(code) => {
                let code = *code;
                match &request.address {
                    BlockAddress::Modbus(range) => Trouble::Refuses {
                        code,
                        table: range.table,
                        first: range.start,
                        count: range.count,
                    },
                    BlockAddress::Raw(asked) => {
                        let question = asked.index;
                        Trouble::RefusesQuestion { code, question }
                    }
                    // DL/T 645 has no exceptions.
                    BlockAddress::Dlt645(_) => Trouble::Foreign,
                }
            }
            Outcome::Missed(MissReason::Garbled) => Trouble::Garbled,
            Outcome::Missed(MissReason::Foreign) | Outcome::Mismatched(_) => Trouble::Foreign,
            Outcome::Answered(_) | Outcome::Confirmed | Outcome::Missed(_) => return,
        };
        let other_id = ended.traffic.other_id;
        self.trouble(now, request.device, trouble, || {
            match (trouble, &request.body) {
                (Trouble::Refuses { .. }, _) => String::new(),
                (Trouble::OtherId, _) => other_id.map_or_else(String::new, |id| {
                    format!("transaction id {} instead of {}", id.seen, id.wanted)
                }),
                (_, RequestBody::Modbus(ask)) => format!(
                    "function {}, {} from address {}",
                    ask.function(),
                    ask.count,
                    ask.start
                ),
                (_, RequestBody::Write(write)) => format!(
                    "function {}, {} from address {}",
                    write.entries.function(),
                    EntryRange::written(write).count,
                    write.start
                ),
                (_, RequestBody::Dlt645(ask)) => match &ask.operation {
                    MeterOperation::Read { id, .. } | MeterOperation::Follow { id, .. } => {
                        format!("datum {id}")
                    }
                    MeterOperation::ReadAddress | MeterOperation::Write { .. } => String::new(),
                },
                (_, RequestBody::Raw(question)) => format!("request {}", question.name),
            }
        });
    }

    fn trouble(
        &mut self,
        now: Mono,
        device: DeviceId,
        trouble: Trouble,
        detail: impl FnOnce() -> String,
    ) {
        if let Some(notice) = self.troubles.note(now, device, trouble, detail) {
            self.tell_or_gather(now, notice);
        }
    }

    /// Reports the trouble at once or gathers it: a bad cable is a trouble of all devices on
    /// it, so three are named singly and the others together.
    fn tell_or_gather(&mut self, now: Mono, notice: FieldLogEvent) {
        self.note_lasting(&notice);
        if let Some(notice) = self.grouping.admit(now, notice) {
            self.journal.tell(&notice);
        }
    }

    fn tell_groups(&mut self, now: Mono) {
        while let Some(told) = self.grouping.due(now) {
            self.tell_group(&told);
        }
    }

    fn tell_group(&self, told: &Gathered<FieldLogEvent>) {
        match told {
            Gathered::One(notice) => self.journal.tell(notice),
            Gathered::Many(group) => self.journal.tell(group),
        }
    }

    /// Sends an event to the hub. A full channel slows the field, which is intended.
    async fn tell(&self, event: FieldEvent) -> Result<(), HubGone> {
        self.hub.send(event).await.map_err(|_| HubGone)
    }
}

impl Drop for Report {
    /// Reports what has been gathered, whatever ends the task: nothing follows.
    fn drop(&mut self) {
        for told in self.grouping.all(self.clock.now().mono) {
            self.tell_group(&told);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Wall;
    use crate::field::test_spec::{installation, serial};

    #[tokio::test(start_paused = true)]
    async fn each_opening_takes_back_what_the_one_before_found() {
        let spec = Arc::new(installation(serial(9600), Vec::new()));
        let (hub, mut told) = mpsc::channel(8);
        let journal = Journal::new(Arc::clone(&spec));
        let clock = Clock::starting_at(Wall::from_millis(0));
        let mut report = Report::new(PortId(0), spec, journal, hub, BusMonitor::default(), clock);
        let held_back = Duration::from_millis(16);
        report.opened();
        report.held_back(held_back);
        assert!(report.tell_noticed().await.is_ok());
        // The adapter is the same, then another.
        report.opened();
        report.held_back(held_back);
        assert!(report.tell_noticed().await.is_ok());
        report.opened();
        report.opened();
        assert!(report.tell_noticed().await.is_ok());
        let mut kinds = Vec::new();
        while let Ok(FieldEvent::Noticed { kind, .. }) = told.try_recv() {
            kinds.push(kind);
        }
        let (opened, found) = (EventKind::PortOpened, EventKind::PortBytesHeldBack);
        assert_eq!(kinds, [found, opened, found, opened]);
    }
}
