//! The entries to the running service: `control:` and `metrics:`.

use core::net::SocketAddr;
use std::path::Path;

use crate::config::reader::problem::Expectation;
use crate::config::reader::section::{Notes, Section, shown};
use crate::config::reader::word_parsers::{choice, file_name};
use crate::spec::{ControlSpec, LocalWrite};

const CONTROL: [&str; 2] = ["socket", "write"];
const METRICS: [&str; 2] = ["listen", "beyond_loopback"];

/// The values of `control.write`.
const WRITE: [(&str, LocalWrite); 3] = [
    ("root", LocalWrite::Root),
    ("group", LocalWrite::Group),
    ("off", LocalWrite::Off),
];

/// The most bytes that a path may have, with the zero behind it (`sun_path` of unix(7)).
const LONGEST: usize = 108;

/// Reads both sections.
pub(crate) fn read(root: &Section<'_>, base: &Path, notes: &mut Notes) -> ControlSpec {
    let s = root.section("control", &CONTROL, notes);
    let socket = s.read(
        "socket",
        |text| {
            let path = base.join(file_name(text)?);
            match path.as_os_str().len() < LONGEST {
                true => Ok(path),
                false => Err(Expectation::wanted("a path of at most 107 bytes")
                    .hint("the system takes no longer name for a socket")),
            }
        },
        notes,
    );
    let write = s.read("write", choice(&WRITE), notes);
    let s = root.section("metrics", &METRICS, notes);
    let beyond = s.read(
        "beyond_loopback",
        choice(&[("true", true), ("false", false)]),
        notes,
    );
    let metrics = s.read("listen", address, notes);
    if let Some(address) = metrics
        && !address.ip().is_loopback()
        && beyond != Some(true)
    {
        let wrong = Expectation::wanted("an address of this machine alone: 127.0.0.1 or [::1]").hint(
            "every host that can reach it reads every name and state, unencrypted; if that is meant: beyond_loopback: true",
        );
        notes.error(s.at("listen"), shown(&address.to_string()), wrong);
    }
    ControlSpec {
        socket,
        metrics,
        write: write.unwrap_or_default(),
    }
}

fn address(text: &str) -> Result<SocketAddr, Expectation> {
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() > 0 => Ok(address),
        _ => Err(
            Expectation::wanted("an IP address and a port, such as 127.0.0.1:9464 or \"[::1]:9464\"")
                .hint("without metrics.listen nothing listens; `alink-gateway metrics` prints them all the same"),
        ),
    }
}
