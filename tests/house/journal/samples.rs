//! One notice of every kind and shape, as the rooms make them.

use std::time::Duration;

use alink_gateway::app::ServiceEnd;
use alink_gateway::app::events::ServiceEvent as Service;
use alink_gateway::base::{
    CommandOrigin, DeviceId, Digest, EventGrouping, EventKind, Grouped, LinkDown, LogEvent,
    LogoutReason, MissReason, Mono, Now, PortId, RefusedReason, RequestFailure, ThingEvent,
    UnknownReason, Value, WriteVerdict,
};
use alink_gateway::cloud::Code;
use alink_gateway::cloud::alink::clock::{ClockNews, ClockSource};
use alink_gateway::cloud::alink::events::CloudLogEvent as Cloud;
use alink_gateway::cloud::alink::registration::enrolment::EnrolmentFailure;
use alink_gateway::cloud::alink::remote_config::{AdoptionRefusal, RemoteConfigLogEvent};
use alink_gateway::cloud::alink::topology::events::{TopologyEvent, UnconfiguredFate};
use alink_gateway::command::{CommandLogEvent, CommandRecord, RecordedPoint};
use alink_gateway::config::{Problem, Severity};
use alink_gateway::field::decode::point;
use alink_gateway::field::diagnostics::events::{FieldLogEvent as Field, HeaviestRequest};
use alink_gateway::field::diagnostics::trouble::Trouble;
use alink_gateway::field::dlt645::Edition;
use alink_gateway::field::dlt645::ask::ErrorWord;
use alink_gateway::field::plan::holes::Hole;
use alink_gateway::fleet::{FleetLogEvent as Fleet, SilenceReason};
use alink_gateway::io::control::events::ControlEvent as Control;
use alink_gateway::io::link::LinkLogEvent;
use alink_gateway::io::log::log_level::LogLevelEvent;
use alink_gateway::io::store::learned::LearnedEvent;
use alink_gateway::io::store::reading_store_events::ReadingStoreEvent;
use alink_gateway::io::store::secret_store::SecretStoreEvent;
use alink_gateway::io::system::notify::NotifyEvent;
use alink_gateway::spec::{Priority, Table, TrialFailure};
use alink_gateway::spool::DropCause;
use alink_gateway::thing_event::ThingEventLogEvent;

const PORT: PortId = PortId(0);
const ONE: DeviceId = DeviceId(0);
const METER: DeviceId = DeviceId(2);
const WHY: &str = "No such file or directory";
const A_WHILE: Duration = Duration::from_secs(90);

fn all() -> Vec<DeviceId> {
    vec![DeviceId(0), DeviceId(1), DeviceId(2)]
}

/// Returns every notice but those of event groups.
pub(crate) fn samples() -> Vec<Box<dyn LogEvent>> {
    let mut samples: Vec<Box<dyn LogEvent>> = Vec::new();
    samples.extend(service());
    samples.extend(endings());
    samples.extend(field());
    samples.extend(thing_events());
    samples.extend(commands());
    samples.extend(fleet());
    samples.extend(cloud());
    samples.extend(roll());
    samples.extend(remote());
    samples.extend(io());
    samples
}

fn boxed<N: LogEvent + 'static>(notices: Vec<N>) -> impl Iterator<Item = Box<dyn LogEvent>> {
    notices
        .into_iter()
        .map(|n| Box::new(n) as Box<dyn LogEvent>)
}

fn service() -> impl Iterator<Item = Box<dyn LogEvent>> {
    let problem = Problem {
        severity: Severity::Error,
        file: "gateway.yaml".into(),
        line: 41,
        column: 3,
        path: "devices[3].unit".into(),
        said: "300".into(),
        wanted: "1 to 247".into(),
        hint: None,
    };
    boxed(vec![
        Service::Started {
            ports: 1,
            devices: 3,
            commissioned: true,
        },
        Service::StartRefused {
            errors: 2,
            shown: 2,
        },
        Service::Stopping { within: A_WHILE },
        Service::Refused {
            errors: 2,
            shown: 2,
        },
        Service::Problem(Box::new(problem)),
        Service::RemoteSetAside {
            file: "remote.yaml".into(),
            aside: Err(WHY.into()),
        },
        Service::ReloadTooSlow { within: A_WHILE },
        Service::ReloadHeldBack {
            leaving: 15,
            of: 20,
        },
        Service::RemoteFailed {
            digest: Some(Digest::of(b"ports: []")),
            failure: TrialFailure::Died,
            kept: Err(WHY.into()),
        },
        Service::Reloaded {
            changes: Box::default(),
            doors: false,
            many_leave: false,
        },
    ])
}

fn endings() -> impl Iterator<Item = Box<dyn LogEvent>> {
    boxed(vec![
        ServiceEnd::Start(std::io::Error::other(WHY)),
        ServiceEnd::AlreadyRuns("/run/alink-gateway/control.sock".into()),
        ServiceEnd::Task("line1".into()),
        ServiceEnd::StopDeadline(A_WHILE),
        ServiceEnd::StopAtOnce,
    ])
}

fn field() -> impl Iterator<Item = Box<dyn LogEvent>> {
    let hole = Hole {
        table: Table::HoldingRegister,
        first: 3,
        last: 9,
    };
    let word = ErrorWord {
        edition: Edition::Y2007,
        bits: 2,
    };
    let trouble = |trouble| Field::DeviceTrouble {
        device: ONE,
        trouble,
        times: 2,
        detail: String::new(),
    };
    let refuses = Trouble::Refuses {
        code: 2,
        table: Table::HoldingRegister,
        first: 0,
        count: 2,
    };
    boxed(vec![
        Field::PortOpened {
            port: PORT,
            failed: 0,
        },
        Field::PortUnavailable {
            port: PORT,
            what: "/dev/ttyS0".into(),
            opened: false,
            why: WHY.into(),
            failed: 3,
            next: A_WHILE,
        },
        Field::PortLost {
            port: PORT,
            why: WHY.into(),
            times: 1,
        },
        Field::OneAtATime {
            port: PORT,
            fault: alink_gateway::field::modbus::in_flight::InFlightFault::Twice,
        },
        Field::SettingsDiffer {
            port: PORT,
            what: "9600, has 9615".into(),
        },
        Field::BytesHeldBack {
            port: PORT,
            wait: A_WHILE,
        },
        Field::EchoHeard { port: PORT },
        Field::EchoMissed {
            port: PORT,
            times: 3,
        },
        Field::HoleFound { device: ONE, hole },
        Field::PointsRefused {
            device: ONE,
            points: "Energy".into(),
            what: "holding registers 3 to 9".into(),
            code: 2,
        },
        Field::DatumRefused {
            device: METER,
            points: "Energy".into(),
            word,
        },
        Field::IntervalsStretched {
            port: PORT,
            priority: Priority::Low,
            factor: 1500,
            load: 1200,
            heaviest: Some(HeaviestRequest {
                device: "meter-1".into(),
                what: "100 holding registers from 0".into(),
                takes: Duration::from_millis(260),
                every: Duration::from_secs(1),
            }),
        },
        Field::IntervalsKept {
            port: PORT,
            priority: Priority::Low,
        },
        Field::AddressShared {
            device: ONE,
            place: "unit 1".into(),
        },
        Field::FloatsImplausible {
            device: ONE,
            points: "VoltageA, VoltageB".into(),
            seen: "VoltageA 4.59e-41, VoltageB 9.18e-41".into(),
            order: "ABCD",
            other: Some(("CDAB", "VoltageA 230.5, VoltageB 231".into())),
        },
        Field::FloatsImplausible {
            device: ONE,
            points: "VoltageA, VoltageB".into(),
            seen: "VoltageA 4.59e-41, VoltageB 9.18e-41".into(),
            order: "ABCD",
            other: None,
        },
        Field::FloatsPlausible { device: ONE },
        Field::RepliesRepeated { device: ONE },
        Field::OtherMaster { device: ONE },
        Field::PointsFail {
            device: ONE,
            points: "Energy".into(),
            what: "holding register 3000".into(),
            how: RequestFailure::Silence,
            code: None,
        },
        Field::LongRequestsFail {
            device: ONE,
            what: "holding registers 0 to 100".into(),
            count: 101,
            most: 50,
        },
        Field::LongRequestsAnswered { device: ONE },
        Field::PointsBack {
            device: ONE,
            points: "Energy".into(),
        },
        trouble(Trouble::Garbled),
        trouble(Trouble::Foreign),
        trouble(Trouble::Late),
        trouble(refuses),
        trouble(Trouble::Declines(word)),
        trouble(Trouble::NoValue {
            point: 0,
            why: point::NoValueReason::NotANumber,
        }),
    ])
}

fn commands() -> impl Iterator<Item = Box<dyn LogEvent>> {
    let value = || Value::Float(21.5);
    let by_user = || CommandOrigin::Local {
        user: 1000,
        is_permitted: true,
    };
    let record = |origin, whole: WriteVerdict| CommandRecord {
        step: None,
        at: Now::default(),
        origin,
        service: None,
        points: vec![RecordedPoint {
            id: "Setpoint".into(),
            old: Some(Value::Float(20.0)),
            wanted: Some("21.5".into()),
            verdict: whole.clone(),
        }],
        whole,
    };
    let of = |record| CommandLogEvent {
        device: Some(ONE),
        record,
    };
    let set = |whole| of(record(by_user(), whole));
    let service = |whole| {
        of(CommandRecord {
            service: Some("StartHeating".into()),
            points: Vec::new(),
            ..record(CommandOrigin::Cloud { id: "17".into() }, whole)
        })
    };
    let gateway = CommandLogEvent {
        device: None,
        record: CommandRecord {
            points: Vec::new(),
            ..record(
                by_user(),
                WriteVerdict::Refused(RefusedReason::NoSuchTarget),
            )
        },
    };
    let different = || WriteVerdict::Different {
        written: value(),
        read: Value::Float(20.0),
    };
    boxed(vec![
        set(WriteVerdict::Verified { read: value() }),
        service(WriteVerdict::Verified { read: value() }),
        set(WriteVerdict::Confirmed { written: value() }),
        service(WriteVerdict::Confirmed { written: value() }),
        set(different()),
        service(different()),
        set(WriteVerdict::Unknown(UnknownReason::NoReply)),
        service(WriteVerdict::Unknown(UnknownReason::NoEnd)),
        set(WriteVerdict::Refused(RefusedReason::Exception(4))),
        service(WriteVerdict::Refused(RefusedReason::Silent)),
        gateway,
    ])
}

fn thing_events() -> impl Iterator<Item = Box<dyn LogEvent>> {
    let raised = |data: Vec<(&str, Value)>| ThingEventLogEvent {
        event: ThingEvent {
            device: ONE,
            id: "overheat".into(),
            data: data.into_iter().map(|(n, v)| (n.into(), v)).collect(),
            at: Now::default(),
        },
        rule: "temp above 80, until it is not above 75".into(),
    };
    boxed(vec![
        raised(vec![
            ("temp", Value::Float(81.5)),
            ("limit", Value::Int(80)),
        ]),
        raised(Vec::new()),
    ])
}

fn fleet() -> impl Iterator<Item = Box<dyn LogEvent>> {
    let missed = SilenceReason::Missed {
        polls: 3,
        quiet: A_WHILE,
        last: MissReason::Silence,
        answered_before: true,
    };
    boxed(vec![
        Fleet::Appeared { device: ONE },
        Fleet::Silent {
            device: ONE,
            because: missed,
        },
        Fleet::Silent {
            device: METER,
            because: SilenceReason::PortDown,
        },
        Fleet::Returned {
            device: ONE,
            after: A_WHILE,
        },
        Fleet::Held { device: ONE },
        Fleet::LetGo {
            device: ONE,
            answers: true,
        },
        Fleet::PortDevicesSilent {
            port: PORT,
            devices: all(),
            why: WHY.into(),
        },
        Fleet::PortWithoutAnswers {
            port: PORT,
            devices: 3,
            answered_before: true,
        },
    ])
}

fn cloud() -> impl Iterator<Item = Box<dyn LogEvent>> {
    let ended = |why, lasted| Cloud::Disconnected {
        why,
        lasted,
        times: 1,
        retry_in: A_WHILE,
    };
    let names = || "a b c".to_owned();
    let words = || "no such device".to_owned();
    boxed(vec![
        Cloud::Connected { after: 1 },
        ended(LinkDown::Unreachable(WHY.into()), None),
        ended(LinkDown::Refused(4), None),
        ended(LinkDown::Closed, Some(A_WHILE)),
        Cloud::TakeoverSuspected { sessions: 4 },
        Cloud::SubscribeRefused {
            filters: vec!["/sys/#".into()],
            fatal: true,
        },
        Cloud::DesiredFailed {
            device: METER,
            is_deletion: false,
            code: None,
            message: String::new(),
        },
        Cloud::DesiredFailed {
            device: METER,
            is_deletion: true,
            code: Some(Code(6661)),
            message: words(),
        },
        Cloud::LoggedIn {
            devices: all(),
            names: names(),
            online: 3,
        },
        Cloud::LoggedIn {
            devices: vec![METER],
            names: names(),
            online: 3,
        },
        Cloud::LoggedOut {
            devices: all(),
            names: names(),
            online: 0,
            reason: LogoutReason::Stopping,
            each: Vec::new(),
        },
        Cloud::LoggedOut {
            devices: vec![ONE],
            names: names(),
            online: 0,
            reason: LogoutReason::Silent {
                missed: 3,
                quiet: Duration::from_millis(10_200),
            },
            each: Vec::new(),
        },
        Cloud::DeviceRefused {
            device: ONE,
            code: Code(6100),
            message: words(),
            what: "log-in",
            kicked: false,
            retry_in: A_WHILE,
            times: 1,
        },
        Cloud::SessionLost { device: ONE },
        Cloud::LogoutRefused {
            device: ONE,
            code: Code(500),
            message: words(),
            retry_in: A_WHILE,
        },
        Cloud::RequestRefused {
            message: words(),
            devices: 3,
        },
        Cloud::Throttled {
            what: "log-in",
            wait: A_WHILE,
        },
        Cloud::Full {
            online: 2000,
            wait: A_WHILE,
            ours: true,
        },
        Cloud::Full {
            online: 2000,
            wait: A_WHILE,
            ours: false,
        },
        Cloud::Trouble {
            code: Code(500),
            message: words(),
            times: 1,
        },
        Cloud::Unanswered {
            what: "post",
            times: 3,
        },
        Cloud::Malformed {
            topic: "/sys/a".into(),
            why: words(),
            times: 1,
        },
        Cloud::QueueFull { dropped: 12 },
        Cloud::Over {
            of: Box::new(Cloud::QueueFull { dropped: 12 }),
            total: 4800,
            lasted: A_WHILE,
        },
        Cloud::ThingEventRefused {
            device: Some(ONE),
            who: "a1/m-1".into(),
            event: "overheat".into(),
            code: Code(6332),
            message: words(),
            dropped: 1,
        },
        Cloud::ThingEventRefused {
            device: None,
            who: "a1/m-1".into(),
            event: "overheat".into(),
            code: Code(6332),
            message: words(),
            dropped: 2,
        },
        Cloud::ThingEventsDropped { dropped: 3 },
        Cloud::PostRefused {
            device: ONE,
            code: Code(6813),
            message: words(),
            dropped: 2,
        },
        Cloud::StoredValuesRefused {
            who: "a1SubDemoPk/io-1".into(),
            code: Code(6100),
            message: words(),
            dropped: 2,
        },
        Cloud::StoredValuesHeld {
            device: Some(ONE),
            who: "a1SubDemoPk/io-1".into(),
            code: Some(Code(6204)),
            message: words(),
            retry_in: A_WHILE,
        },
        Cloud::StoredValuesHeld {
            device: None,
            who: "a1SubDemoPk/io-9".into(),
            code: None,
            message: String::new(),
            retry_in: A_WHILE,
        },
        Cloud::TooLarge {
            device: ONE,
            property: "Text".into(),
            bytes: 300_000,
        },
        Cloud::Clock(ClockNews::Unknown),
        Cloud::Clock(ClockNews::Known {
            from: ClockSource::Platform,
            stamped: 7,
        }),
        Cloud::Clock(ClockNews::Dropped { readings: 7 }),
        Cloud::Stopped {
            unconfirmed: 0,
            readings: 0,
        },
    ])
}

fn roll() -> impl Iterator<Item = Box<dyn LogEvent>> {
    let names = || "a b c".to_owned();
    let raw = || "thing/topo/change, status 8".to_owned();
    let ordered = |devices| TopologyEvent::Ordered {
        devices,
        names: names(),
        raw: raw(),
        means: "disabled",
    };
    let notices = vec![
        TopologyEvent::Registered {
            devices: all(),
            names: names(),
        },
        TopologyEvent::Registered {
            devices: vec![METER],
            names: names(),
        },
        TopologyEvent::Related {
            devices: all(),
            names: names(),
        },
        TopologyEvent::Related {
            devices: vec![ONE],
            names: names(),
        },
        TopologyEvent::Refused {
            what: "topo/delete",
            code: Code(6401),
            message: raw(),
            names: names(),
        },
        TopologyEvent::Extra {
            listed: 9,
            extra: 2,
            fate: UnconfiguredFate::Left,
        },
        TopologyEvent::Unrelated { names: names() },
        ordered(all()),
        ordered(vec![ONE]),
        TopologyEvent::Stranger {
            raw: raw(),
            who: "a1.x".into(),
            times: 2,
        },
        TopologyEvent::Unsupported {
            raw: "thing/service/property/set".into(),
            who: "a1.x".into(),
            times: 1,
        },
    ];
    boxed(notices.into_iter().map(Cloud::Topology).collect())
}

fn remote() -> impl Iterator<Item = Box<dyn LogEvent>> {
    let config_id = || "123".to_owned();
    let notices = vec![
        RemoteConfigLogEvent::NotEnabled { times: 1 },
        RemoteConfigLogEvent::Refused {
            config_id: config_id(),
            refusal: AdoptionRefusal::Digest,
            times: 1,
        },
        RemoteConfigLogEvent::DownloadFailed {
            config_id: config_id(),
            why: WHY.into(),
            retry_in: A_WHILE,
        },
        RemoteConfigLogEvent::Adopted {
            config_id: config_id(),
            digest: Digest::of(b""),
            probation: A_WHILE,
        },
        RemoteConfigLogEvent::Proven {
            config_id: config_id(),
            digest: Digest::of(b""),
        },
        RemoteConfigLogEvent::NotSettled {
            config_id: config_id(),
            why: WHY.into(),
        },
        RemoteConfigLogEvent::InForceAlready {
            config_id: config_id(),
        },
        RemoteConfigLogEvent::NothingThere { code: Code(6713) },
    ];
    boxed(notices.into_iter().map(Cloud::Remote).collect())
}

fn io() -> impl Iterator<Item = Box<dyn LogEvent>> {
    let file = || "/var/lib/alink-gateway/secrets.json".to_owned();
    let failed = |why| LinkLogEvent::RegistrationFailed {
        why,
        times: 1,
        retry_in: A_WHILE,
    };
    let task = || "line1".to_owned();
    let control = vec![
        Control::Unavailable {
            socket: "/run/alink-gateway/control.sock".into(),
            why: WHY.into(),
            instead: None,
        },
        Control::Refused {
            user: 1000,
            times: 3,
        },
        Control::NoMetrics {
            address: "127.0.0.1:9464".into(),
            why: WHY.into(),
        },
        Control::NotAccepted {
            why: WHY.into(),
            times: 3,
        },
        Control::Surveyed {
            port: PORT,
            user: 1000,
            times: 247,
        },
        Control::Crowded { times: 3 },
        Control::MetricsPeerReplaced { times: 3 },
        Control::Available {
            socket: "/run/alink-gateway/control.sock".into(),
        },
        Control::Metrics {
            address: "127.0.0.1:9464".into(),
        },
        Control::MetricsNotAccepted {
            why: WHY.into(),
            times: 3,
        },
    ];
    let secret_store = vec![
        SecretStoreEvent::Damaged {
            file: file(),
            why: WHY.into(),
            aside: file(),
        },
        SecretStoreEvent::Exposed {
            file: file(),
            mode: 0o644,
            still: None,
        },
        SecretStoreEvent::NotKept {
            devices: 2,
            why: WHY.into(),
        },
        SecretStoreEvent::Unusable { why: WHY.into() },
        SecretStoreEvent::Usable,
        SecretStoreEvent::Closed {
            file: file(),
            why: WHY.into(),
        },
    ];
    let reading_store = vec![
        ReadingStoreEvent::Opened { readings: 5121 },
        ReadingStoreEvent::Unusable {
            directory: file(),
            why: WHY.into(),
        },
        ReadingStoreEvent::Usable,
        ReadingStoreEvent::Damaged {
            file: file(),
            readings: Some(12),
            is_missing: false,
        },
        ReadingStoreEvent::Damaged {
            file: file(),
            readings: None,
            is_missing: true,
        },
        ReadingStoreEvent::Torn {
            file: file(),
            bytes: 700,
        },
        ReadingStoreEvent::Newer { file: file() },
        ReadingStoreEvent::Dropped {
            cause: DropCause::Full,
            readings: 2000,
        },
        ReadingStoreEvent::NotStored {
            readings: 12,
            why: WHY.into(),
        },
        ReadingStoreEvent::Filling,
        ReadingStoreEvent::Empty,
    ];
    let link = vec![
        LinkLogEvent::Dropped { commands: 3 },
        LinkLogEvent::Unsendable {
            topic: "/sys/a".into(),
            size: 300_000,
        },
        LinkLogEvent::Flooded {
            packets: 8_192,
            bytes: 400_000,
            within: A_WHILE,
        },
        LinkLogEvent::RootsSkipped {
            skipped: 1,
            usable: 140,
        },
        LinkLogEvent::Registering,
        LinkLogEvent::Registered { file: file() },
        failed(EnrolmentFailure::NoAnswer),
        failed(EnrolmentFailure::Refused(4)),
        LinkLogEvent::IssuedCredentialRefused { file: file() },
    ];
    let log_level = vec![
        LogLevelEvent::Set {
            target: "rustls".into(),
            level: "debug".into(),
            during: Some(A_WHILE),
        },
        LogLevelEvent::Over {
            target: "rustls".into(),
        },
    ];
    let tasks = vec![
        NotifyEvent::Stuck {
            task: task(),
            since: A_WHILE,
            restart_in: A_WHILE,
        },
        NotifyEvent::MovesAgain {
            task: task(),
            after: A_WHILE,
        },
    ];
    let lessons = vec![
        LearnedEvent::Unreadable {
            file: file(),
            why: WHY.into(),
        },
        LearnedEvent::NotKept {
            file: file(),
            why: WHY.into(),
        },
    ];
    let io = boxed(log_level)
        .chain(boxed(control))
        .chain(boxed(secret_store))
        .chain(boxed(reading_store))
        .chain(boxed(link));
    io.chain(boxed(tasks)).chain(boxed(lessons))
}

/// Returns the notices that count something, with this number each: for 0 and 1 their words have
/// to agree as well.
pub(crate) fn counting(n: u32) -> Vec<Box<dyn LogEvent>> {
    let (many, count) = (n as usize, u64::from(n));
    let devices = || (0..n).map(DeviceId).collect::<Vec<_>>();
    let names = || "a b c".to_owned();
    let words = || "no such device".to_owned();
    let topology = |event| Cloud::Topology(event);
    let service = boxed(vec![
        Service::Started {
            ports: many,
            devices: many,
            commissioned: true,
        },
        Service::StartRefused {
            errors: many,
            shown: many,
        },
        Service::Refused {
            errors: many,
            shown: many,
        },
        Service::ReloadHeldBack {
            leaving: many,
            of: many,
        },
    ]);
    let field = boxed(vec![
        Field::PortLost {
            port: PORT,
            why: WHY.into(),
            times: count,
        },
        Field::EchoMissed {
            port: PORT,
            times: count,
        },
        Field::IntervalsStretched {
            port: PORT,
            priority: Priority::Low,
            factor: 1000 * count + 1,
            load: 1200,
            heaviest: None,
        },
        Field::LongRequestsFail {
            device: ONE,
            what: "holding registers 0 to 100".into(),
            count: n as u16,
            most: n as u16,
        },
        Field::DeviceTrouble {
            device: ONE,
            trouble: Trouble::Garbled,
            times: count,
            detail: String::new(),
        },
    ]);
    let missed = SilenceReason::Missed {
        polls: n,
        quiet: A_WHILE,
        last: MissReason::Silence,
        answered_before: false,
    };
    let fleet = boxed(vec![
        Fleet::Silent {
            device: ONE,
            because: missed,
        },
        Fleet::PortDevicesSilent {
            port: PORT,
            devices: devices(),
            why: WHY.into(),
        },
    ]);
    let cloud = boxed(vec![
        Cloud::LoggedIn {
            devices: devices(),
            names: names(),
            online: many,
        },
        Cloud::LoggedOut {
            devices: devices(),
            names: names(),
            online: many,
            reason: LogoutReason::Silent {
                missed: n,
                quiet: A_WHILE,
            },
            each: Vec::new(),
        },
        Cloud::RequestRefused {
            message: words(),
            devices: many,
        },
        Cloud::Full {
            online: many,
            wait: A_WHILE,
            ours: true,
        },
        Cloud::Unanswered {
            what: "post",
            times: count,
        },
        Cloud::Over {
            of: Box::new(Cloud::Unanswered {
                what: "post",
                times: 1,
            }),
            total: count,
            lasted: A_WHILE,
        },
        Cloud::Over {
            of: Box::new(Cloud::Trouble {
                code: Code(500),
                message: words(),
                times: 1,
            }),
            total: count,
            lasted: A_WHILE,
        },
        Cloud::Over {
            of: Box::new(Cloud::SessionLost { device: ONE }),
            total: count,
            lasted: A_WHILE,
        },
        Cloud::PostRefused {
            device: ONE,
            code: Code(6813),
            message: words(),
            dropped: count,
        },
        Cloud::StoredValuesRefused {
            who: "a1SubDemoPk/io-1".into(),
            code: Code(6100),
            message: words(),
            dropped: count,
        },
        Cloud::TooLarge {
            device: ONE,
            property: "Text".into(),
            bytes: many,
        },
        Cloud::Clock(ClockNews::Known {
            from: ClockSource::Platform,
            stamped: many,
        }),
        Cloud::Stopped {
            unconfirmed: many,
            readings: 1,
        },
        Cloud::Stopped {
            unconfirmed: 1,
            readings: many,
        },
        topology(TopologyEvent::Registered {
            devices: devices(),
            names: names(),
        }),
        topology(TopologyEvent::Related {
            devices: devices(),
            names: names(),
        }),
        topology(TopologyEvent::Extra {
            listed: many,
            extra: many,
            fate: UnconfiguredFate::Left,
        }),
        topology(TopologyEvent::Stranger {
            raw: words(),
            who: "a1.x".into(),
            times: count,
        }),
    ]);
    let io = boxed(vec![
        ReadingStoreEvent::Opened { readings: count },
        ReadingStoreEvent::Damaged {
            file: "1.readings".into(),
            readings: Some(count),
            is_missing: false,
        },
        ReadingStoreEvent::Torn {
            file: "1.readings".into(),
            bytes: count,
        },
        ReadingStoreEvent::Dropped {
            cause: DropCause::Full,
            readings: count,
        },
        ReadingStoreEvent::NotStored {
            readings: count,
            why: WHY.into(),
        },
    ]);
    let secrets = boxed(vec![SecretStoreEvent::NotKept {
        devices: many,
        why: WHY.into(),
    }]);
    let link = boxed(vec![
        LinkLogEvent::Dropped { commands: count },
        LinkLogEvent::RootsSkipped {
            skipped: many,
            usable: many,
        },
    ]);
    let all = service.chain(field).chain(fleet).chain(cloud);
    all.chain(io).chain(secrets).chain(link).collect()
}

/// Returns the same notices in event groups, for kinds that come in groups.
pub(crate) fn grouped() -> Vec<Box<dyn LogEvent>> {
    let mut grouped = EventGrouping::default();
    let mut told: Vec<Box<dyn LogEvent>> = Vec::new();
    for _ in 0..6 {
        for notice in samples() {
            grouped.admit(Mono::START, Boxed(notice));
        }
    }
    for gathered in grouped.all(Mono::START + A_WHILE) {
        if let Grouped::Many(group) = gathered {
            told.push(Box::new(group));
        }
    }
    told
}

/// A notice of any room.
struct Boxed(Box<dyn LogEvent>);

impl LogEvent for Boxed {
    fn level(&self) -> alink_gateway::base::Level {
        self.0.level()
    }
    fn kind(&self) -> EventKind {
        self.0.kind()
    }
    fn subject(&self) -> alink_gateway::base::LogSubject {
        self.0.subject()
    }
    fn devices(&self) -> &[DeviceId] {
        self.0.devices()
    }
    fn fields(&self) -> Vec<(alink_gateway::base::JournalField, String)> {
        self.0.fields()
    }
    fn sentence(&self) -> String {
        self.0.sentence()
    }
}
