//! `ports:`: serial lines and Modbus TCP endpoints.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::adapter;
use super::connection;
use super::endpoint::Endpoint;
use crate::base::PortId;
use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section, shown};
use crate::config::reader::tree::{Node, OriginId};
use crate::config::reader::word_parsers::{choice, host, name, plain, time, whole};
use crate::spec::{
    Characters, ConnectionSpec, Framing, LineBudget, LineSpec, Parity, PortSpec, SerialSpec,
    StopBits, TcpSpec,
};

/// All ports, by number and by name.
#[derive(Default)]
pub(crate) struct Ports {
    pub(crate) all: Vec<PortSpec>,
    /// Where each port is in the files.
    pub(crate) origins: Vec<OriginId>,
    /// The port of each name. A name leads to its port even if the rest of the port is wrong.
    pub(crate) by_name: BTreeMap<String, (PortId, OriginId)>,
    /// Whether all names could be read; otherwise an unknown name is not reported.
    pub(crate) complete: bool,
}

/// Reads all ports.
pub(crate) fn read(root: &Section<'_>, notes: &mut Notes) -> Ports {
    let mut ports = Ports {
        complete: !root.is_no_list("ports"),
        ..Ports::default()
    };
    let mut lines: BTreeMap<PathBuf, (String, OriginId)> = BTreeMap::new();
    let mut endpoints: BTreeMap<Endpoint, (String, OriginId)> = BTreeMap::new();
    for node in root.list("ports", notes) {
        let (port, at) = one(node, notes);
        let taken = match &port.line {
            LineSpec::Serial(s) if !s.path.as_os_str().is_empty() => match lines.get(&s.path) {
                Some(first) => Some((first.clone(), s.path.display().to_string())),
                None => {
                    lines.insert(s.path.clone(), (port.name.clone(), at));
                    None
                }
            },
            LineSpec::Serial(_) => None,
            LineSpec::Tcp(t) => {
                let key = Endpoint::of(&t.host, t.port);
                if let Some((first, first_at)) = endpoints.get(&key).filter(|_| !t.host.is_empty())
                {
                    let hint = format!(
                        "port {first} ({}) already connects there; many Modbus TCP devices take one connection only",
                        notes.origins.line(*first_at)
                    );
                    notes.warning(
                        at,
                        format!("{}:{}", t.host, t.port),
                        Expectation::wanted("one port for each endpoint").hint(hint),
                    );
                }
                endpoints.entry(key).or_insert((port.name.clone(), at));
                None
            }
        };
        if let Some(((first, first_at), path)) = taken {
            let hint = format!(
                "port {first} ({}) already uses it; put all devices of one line on one port",
                notes.origins.line(first_at)
            );
            notes.error(
                at,
                path,
                Expectation::wanted("one port for each serial line").hint(hint),
            );
        }
        // There are at most `MOST_PORTS`.
        let id = PortId(u16::try_from(ports.all.len()).unwrap_or(u16::MAX));
        if port.name.is_empty() {
            // A wrong name is already noted.
            ports.complete = false;
        } else if let Some((_, first)) = ports.by_name.get(&port.name) {
            let hint = format!("{} already has this name", notes.origins.line(*first));
            let name_at = Section::again(node).at("name");
            notes.error(
                name_at,
                shown(&port.name),
                Expectation::wanted("a name no other port has").hint(hint),
            );
        } else {
            ports.by_name.insert(port.name.clone(), (id, node.origin));
        }
        ports.all.push(port);
        ports.origins.push(node.origin);
    }
    ports
}

const KEYS: [&str; 8] = [
    "name",
    "serial",
    "tcp",
    "response_timeout",
    "longest_request",
    "allow_overload",
    "grace",
    "damping",
];

/// Reads one port; returns it with the position of its device, or of its `tcp:`.
fn one(node: &Node, notes: &mut Notes) -> (PortSpec, OriginId) {
    let s = Section::open(node, &KEYS, notes);
    let port_name = if s.is_there() {
        s.need(
            "name",
            name,
            || Expectation::wanted("a name for the port"),
            notes,
        )
    } else {
        None
    };
    let (line, at, default) = match (s.node("serial"), s.node("tcp")) {
        (Some(_), Some(tcp)) => {
            notes.error(
                tcp.origin,
                "serial and tcp",
                Expectation::wanted("only one of them").hint("a port is one line or one endpoint"),
            );
            serial_line(&s, notes);
            (tcp_line(&s, notes), tcp.origin, 1000)
        }
        (Some(serial), None) => {
            let at = Section::again(serial).at("device");
            (serial_line(&s, notes), at, 500)
        }
        (None, Some(tcp)) => (tcp_line(&s, notes), tcp.origin, 1000),
        (None, None) => {
            if s.is_there() {
                s.lacks("serial",
                    Expectation::wanted("serial: or tcp:").hint(
                        "for example  serial: { device: /dev/ttyUSB0, baud: 9600 }  or  tcp: { host: 192.168.1.10 }",
                    ), notes);
            }
            (nowhere(), node.origin, 1000)
        }
    };
    let response_timeout = s
        .read("response_timeout", response_time, notes)
        .unwrap_or(Duration::from_millis(default));
    let port = PortSpec {
        name: port_name.unwrap_or_default(),
        line,
        response_timeout,
        budget: budget(&s, notes),
    };
    (port, at)
}

fn budget(port: &Section<'_>, notes: &mut Notes) -> LineBudget {
    let d = LineBudget::default();
    let longest = time(Duration::from_millis(5)..=Duration::from_secs(10));
    let yes = choice(&[("true", true), ("false", false)]);
    LineBudget {
        longest_request: port
            .read("longest_request", longest, notes)
            .unwrap_or(d.longest_request),
        allow_overload: port
            .read("allow_overload", &yes, notes)
            .unwrap_or(d.allow_overload),
        grace: port
            .read(
                "grace",
                time(Duration::ZERO..=Duration::from_secs(86400)),
                notes,
            )
            .unwrap_or(d.grace),
        damping: port.read("damping", yes, notes).unwrap_or(d.damping),
    }
}

/// Parses how long to wait for a reply, for ports and devices alike.
pub(crate) fn response_time(text: &str) -> Result<Duration, Expectation> {
    time(Duration::from_millis(10)..=Duration::from_secs(60))(text)
}

const SERIAL: [&str; 8] = [
    "device",
    "framing",
    "baud",
    "data_bits",
    "parity",
    "stop_bits",
    "rs485",
    "echo",
];

const PARITIES: [(&str, Parity); 3] = [
    ("none", Parity::None),
    ("even", Parity::Even),
    ("odd", Parity::Odd),
];

const STOP_BITS: [(&str, StopBits); 2] = [("1", StopBits::One), ("2", StopBits::Two)];

/// Parses the bits per second of a line.
fn baud(text: &str) -> Result<u32, Expectation> {
    whole(300..=4_000_000u32)(text)
}

/// Parses the data bits. Seven bits carry ASCII and no other framing.
fn data_bits(framing: Framing) -> impl Fn(&str) -> Result<u8, Expectation> {
    move |text| match (text, framing) {
        ("8", _) => Ok(8),
        ("7", Framing::Ascii) => Ok(7),
        ("7", Framing::Rtu) => {
            Err(Expectation::wanted("8").hint("Modbus RTU frames are binary and need 8 data bits"))
        }
        (_, Framing::Rtu) => Err(Expectation::wanted("8")),
        (_, Framing::Ascii) => Err(Expectation::wanted("7 or 8")),
    }
}

fn serial_line(port: &Section<'_>, notes: &mut Notes) -> LineSpec {
    let s = port.section("serial", &SERIAL, notes);
    let device = |text: &str| {
        let wanted = "the path of a serial device, like /dev/ttyUSB0";
        let path = plain(wanted)(text)?;
        if path.starts_with('/') {
            return Ok(path);
        }
        Err(
            Expectation::wanted(wanted).hint(if path.starts_with("tty") {
                format!("did you mean /dev/{path}?")
            } else {
                "ls /dev/serial/by-id lists the adapters that are plugged in".into()
            }),
        )
    };
    let path = if s.is_there() {
        let missing = || {
            Expectation::wanted("the path of a serial device, like /dev/ttyUSB0").hint(
                "a name under /dev/serial/by-id/ stays the same when the adapter is plugged in elsewhere",
            )
        };
        s.need("device", device, missing, notes)
    } else {
        None
    };
    let framings = [("rtu", Framing::Rtu), ("ascii", Framing::Ascii)];
    let framing = s.read("framing", choice(&framings), notes);
    // A framing that could not be read may have been RTU or ASCII.
    let unknown = framing.is_none() && s.node("framing").is_some();
    let framing = framing.unwrap_or_default();
    let allowed = if unknown { Framing::Ascii } else { framing };
    // Modbus over Serial Line V1.02 §2.5.2: seven bits and even parity is the usual ASCII
    // character. The parity of RTU would be even as well (§2.5.1), but most devices are delivered
    // with no parity; that decides the default.
    let (bits, parity) = match framing {
        Framing::Rtu => (8, Parity::None),
        Framing::Ascii => (7, Parity::Even),
    };
    LineSpec::Serial(SerialSpec {
        path: path.unwrap_or_default().into(),
        baud: s.read("baud", baud, notes).unwrap_or(9600),
        data_bits: s
            .read("data_bits", data_bits(allowed), notes)
            .unwrap_or(bits),
        parity: s.read("parity", choice(&PARITIES), notes).unwrap_or(parity),
        stop_bits: s
            .read("stop_bits", choice(&STOP_BITS), notes)
            .unwrap_or(StopBits::One),
        framing,
        adapter: adapter::read(&s, notes),
    })
}

/// Reads `serial:` of a device: the settings of the line while this device is polled, where they
/// differ from the port's.
pub(crate) fn own_settings(
    device: &Section<'_>,
    line: Option<&LineSpec>,
    notes: &mut Notes,
) -> Option<Arc<SerialSpec>> {
    device.node("serial")?;
    let keys = ["baud", "data_bits", "parity", "stop_bits"];
    let s = device.section("serial", &keys, notes);
    let port = match line {
        Some(LineSpec::Serial(port)) => port,
        Some(LineSpec::Tcp(_)) => {
            notes.error(
                device.at("serial"),
                "serial: on a TCP port",
                Expectation::wanted("a device on a serial port")
                    .hint("the settings behind a serial server are the server's"),
            );
            return None;
        }
        // The wrong port is already noted.
        None => return None,
    };
    let own = SerialSpec {
        baud: s.read("baud", baud, notes).unwrap_or(port.baud),
        data_bits: s
            .read("data_bits", data_bits(port.framing), notes)
            .unwrap_or(port.data_bits),
        parity: s
            .read("parity", choice(&PARITIES), notes)
            .unwrap_or(port.parity),
        stop_bits: s
            .read("stop_bits", choice(&STOP_BITS), notes)
            .unwrap_or(port.stop_bits),
        ..port.clone()
    };
    if own == *port {
        return None;
    }
    notes.warning(
        device.at("serial"),
        "other settings than the line's",
        Expectation::wanted("one setting for all devices of a line").hint(
            "it works as long as no other device takes bytes at a foreign rate for a frame: watch its errors",
        ),
    );
    Some(Arc::new(own))
}

fn tcp_line(port: &Section<'_>, notes: &mut Notes) -> LineSpec {
    let s = port.section(
        "tcp",
        &[
            "host",
            "port",
            "connect_timeout",
            "connect_delay",
            "close_after",
            "transaction_ids",
            "in_flight",
            "framing",
            "baud",
            "data_bits",
            "parity",
            "stop_bits",
        ],
        notes,
    );
    let host = if s.is_there() {
        let missing =
            || Expectation::wanted("the host name or IP address of the Modbus TCP device");
        s.need("host", host, missing, notes)
    } else {
        None
    };
    let port = s.read("port", whole(1..=65535u16), notes);
    let framing = s.read("framing", choice(&TCP), notes);
    // A framing that could not be read may have been any.
    let unknown = framing.is_none() && s.node("framing").is_some();
    let framing = framing.unwrap_or(None);
    let allowed = if unknown {
        Some(Framing::Ascii)
    } else {
        framing
    };
    // An endpoint half of which is unknown is not compared with others.
    let known = port.is_some() || s.node("port").is_none();
    LineSpec::Tcp(TcpSpec {
        host: host.filter(|_| known).unwrap_or_default(),
        port: port.unwrap_or(502),
        connect_timeout: s
            .read(
                "connect_timeout",
                time(Duration::from_millis(100)..=Duration::from_secs(60)),
                notes,
            )
            .unwrap_or(Duration::from_secs(3)),
        framing,
        behind: line_behind(&s, allowed, notes),
        connection: connection::read(&s, unknown || framing.is_none(), notes),
    })
}

/// Reads the settings of the line behind a server, if they are given. The default character is
/// that of the standard, with which servers are delivered (Modbus over Serial Line V1.02 §2.5.1).
fn line_behind(
    tcp: &Section<'_>,
    framing: Option<Framing>,
    notes: &mut Notes,
) -> Option<Characters> {
    let framing = framing.unwrap_or_default();
    let bits = match framing {
        Framing::Rtu => 8,
        Framing::Ascii => 7,
    };
    let rate = tcp.read("baud", baud, notes);
    let data_bits = tcp.read("data_bits", data_bits(framing), notes);
    let parity = tcp.read("parity", choice(&PARITIES), notes);
    let stop_bits = tcp.read("stop_bits", choice(&STOP_BITS), notes);
    if tcp.node("baud").is_none() {
        for key in ["data_bits", "parity", "stop_bits"] {
            if tcp.node(key).is_some() {
                notes.error(
                    tcp.at(key),
                    format!("{key}: and no baud:"),
                    Expectation::wanted("baud: beside it").hint(
                        "the line behind the server, for computing its load; its settings are the server's",
                    ),
                );
            }
        }
    }
    Some(Characters {
        baud: rate?,
        data_bits: data_bits.unwrap_or(bits),
        parity: parity.unwrap_or(Parity::Even),
        stop_bits: stop_bits.unwrap_or(StopBits::One),
    })
}

/// The protocols of a TCP endpoint.
const TCP: [(&str, Option<Framing>); 3] = [
    ("tcp", None),
    ("rtu", Some(Framing::Rtu)),
    ("ascii", Some(Framing::Ascii)),
];

fn nowhere() -> LineSpec {
    LineSpec::Tcp(TcpSpec {
        host: String::new(),
        port: 502,
        connect_timeout: Duration::from_secs(3),
        framing: None,
        behind: None,
        connection: ConnectionSpec::default(),
    })
}
