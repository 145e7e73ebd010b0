//! Tests journal entries and text lines, seen from the other side of the socket.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::*;
use crate::base::{DeviceId, DeviceName, EventKind, JournalField, PortId, Wall};
use crate::spec::test_spec::{self, device, nowhere, port, profile, serial};
use crate::spec::{DeviceSpec, LineSpec};

struct Refused;

impl LogEvent for Refused {
    fn level(&self) -> Level {
        Level::Warn
    }
    fn kind(&self) -> EventKind {
        EventKind::DeviceRefused
    }
    fn subject(&self) -> LogSubject {
        LogSubject::Device(DeviceId(0))
    }
    fn fields(&self) -> Vec<(JournalField, String)> {
        vec![(JournalField::Code, "6287".to_owned())]
    }
    fn sentence(&self) -> String {
        "log-in refused (6287): wrong secret; next try in 1 h".to_owned()
    }
}

struct Opened;

impl LogEvent for Opened {
    fn level(&self) -> Level {
        Level::Info
    }
    fn kind(&self) -> EventKind {
        EventKind::PortOpened
    }
    fn subject(&self) -> LogSubject {
        LogSubject::Port(PortId(0))
    }
    fn sentence(&self) -> String {
        "open".to_owned()
    }
}

#[test]
fn a_notice_about_a_device_names_device_port_and_unit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let heard = UnixDatagram::bind(&path).unwrap();
    let sink = Sink::journal(Level::Info, Clock::system(), &path).unwrap();
    let journal = Journal::new(Arc::new(spec())).to(sink);

    journal.tell(&Refused);
    journal.tell(&Opened);

    let refused = EventKind::DeviceRefused.message_id();
    assert_eq!(
        receive(&heard),
        format!(
            "MESSAGE=meter-07 (line1 unit 7): log-in refused (6287): wrong secret; next try in 1 h\n\
         PRIORITY=4\n\
         SYSLOG_IDENTIFIER=alink-gateway\n\
         MESSAGE_ID={refused}\n\
         EVENT=device-refused\n\
         DEVICE=meter-07\n\
         PORT=line1\n\
         UNIT_ID=7\n\
         PRODUCT_KEY=a1Meter\n\
         DEVICE_NAME=m007\n\
         CODE=6287\n"
        )
    );
    let opened = EventKind::PortOpened.message_id();
    assert_eq!(
        receive(&heard),
        format!(
            "MESSAGE=line1: open\nPRIORITY=6\nSYSLOG_IDENTIFIER=alink-gateway\n\
             MESSAGE_ID={opened}\nEVENT=port-opened\nPORT=line1\n"
        )
    );
}

#[test]
fn what_the_journal_did_not_take_is_counted_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let sink = Sink::journal(Level::Info, Clock::system(), &path).unwrap();
    let journal = Journal::new(Arc::new(spec())).to(sink);
    journal.tell(&Opened);
    journal.tell(&Opened);

    let heard = UnixDatagram::bind(&path).unwrap();
    journal.tell(&Opened);
    assert!(receive(&heard).starts_with("MESSAGE=line1: open\n"));
    let confession = receive(&heard);
    assert!(
        confession.contains("EVENT=journal-lost\nCOUNT=2\n"),
        "{confession}"
    );
    journal.tell(&Opened);
    assert!(receive(&heard).starts_with("MESSAGE=line1: open\n"));
}

#[test]
fn notices_below_the_level_asked_for_are_not_sent() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let heard = UnixDatagram::bind(&path).unwrap();
    let sink = Sink::journal(Level::Warn, Clock::system(), &path).unwrap();
    let journal = Journal::new(Arc::new(spec())).to(sink);
    journal.tell(&Opened);
    journal.tell(&Refused);
    assert!(receive(&heard).contains("EVENT=device-refused"));
}

#[test]
fn a_text_line_says_when_how_bad_whom_and_what() {
    let spec = spec();
    let text = |notice: &dyn LogEvent| {
        let whom = LogNames::of(notice, &spec);
        let text = format!("{whom}{}", notice.sentence());
        terminal::line(Wall::from_millis(45_067_999), notice.level(), &text)
    };
    assert_eq!(
        text(&Refused),
        "12:31:07 WARN  meter-07 (line1 unit 7): log-in refused (6287): wrong secret; next try in 1 h"
    );
    assert_eq!(text(&Opened), "12:31:07 INFO  line1: open");
}

fn receive(socket: &UnixDatagram) -> String {
    socket
        .set_read_timeout(Some(Duration::from_secs(5)))
        .unwrap();
    let mut buffer = [0; 8192];
    let n = socket.recv(&mut buffer).unwrap();
    String::from_utf8(buffer[..n].to_vec()).unwrap()
}

/// Returns an installation of one meter on a serial line.
pub(in crate::io) fn spec() -> Spec {
    let line = LineSpec::Serial(serial("/dev/ttyS0", 9600));
    let meter = DeviceSpec {
        device_name: DeviceName::new("m007"),
        ..device("meter-07", 7, "a1Meter", &profile("meter", Vec::new()))
    };
    test_spec::spec(
        nowhere(),
        vec![port("line1", line, Duration::from_millis(500))],
        vec![meter],
    )
}
