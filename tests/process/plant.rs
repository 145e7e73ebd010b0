//! A plant of strangers: serial lines by socat, meters by pymodbus and
//! libmodbus.

use std::path::{Path, PathBuf};

use crate::child::Child;
use crate::tools;

/// A serial line: what is written at one end is read at the other. It ends,
/// and its two names vanish, when dropped or [unplugged](Line::unplug).
pub(crate) struct Line {
    socat: Child,
    /// The gateway's end.
    pub(crate) near: PathBuf,
    /// The meters' end.
    pub(crate) far: PathBuf,
}

impl Line {
    /// A line called `name` in `folder`.
    pub(crate) async fn plug_in(folder: &Path, name: &str) -> Line {
        let near = folder.join(name);
        let far = folder.join(format!("{name}-far"));
        let end = |path: &Path| format!("pty,rawer,link={}", path.display());
        let mut socat = Child::start(
            &format!("line {name}"),
            "socat",
            &["-d", "-d", &end(&near), &end(&far)],
        );
        socat
            .line("data transfer loop", |l| {
                l.contains("starting data transfer loop")
            })
            .await;
        Line { socat, near, far }
    }

    /// Pulls the plug: both names vanish, whoever holds an end reads its end.
    pub(crate) async fn unplug(mut self) {
        self.socat.stop().await;
        assert!(!self.near.exists(), "socat leaves no dangling name");
    }
}

/// Meters served by somebody else's code, until dropped.
pub(crate) struct Meters {
    _server: Child,
    /// Where they listen, if on TCP.
    pub(crate) port: Option<u16>,
}

impl Meters {
    /// pymodbus serves `units` on a serial line.
    pub(crate) async fn pymodbus_rtu(line: &Line, units: &[u8]) -> Meters {
        let mut args = vec![script("pymodbus_server.py"), "rtu".to_owned()];
        args.push(text(&line.far));
        args.extend(units.iter().map(u8::to_string));
        Meters::serve("pymodbus rtu", "pymodbus", &args).await
    }

    /// pymodbus serves `units` on a serial line, in ASCII.
    pub(crate) async fn pymodbus_ascii(line: &Line, units: &[u8]) -> Meters {
        let mut args = vec![script("pymodbus_server.py"), "ascii".to_owned()];
        args.push(text(&line.far));
        args.extend(units.iter().map(u8::to_string));
        Meters::serve("pymodbus ascii", "pymodbus", &args).await
    }

    /// pymodbus serves `units` on TCP, in frames of a serial line.
    pub(crate) async fn pymodbus_rtu_over_tcp(units: &[u8]) -> Meters {
        let mut args = vec![script("pymodbus_server.py"), "rtu-over-tcp".to_owned()];
        args.extend(units.iter().map(u8::to_string));
        Meters::serve("pymodbus rtu over tcp", "pymodbus", &args).await
    }

    /// pymodbus serves `units` on TCP.
    pub(crate) async fn pymodbus_tcp(units: &[u8]) -> Meters {
        let mut args = vec![script("pymodbus_server.py"), "tcp".to_owned()];
        args.extend(units.iter().map(u8::to_string));
        Meters::serve("pymodbus tcp", "pymodbus", &args).await
    }

    /// libmodbus serves one unit on a serial line.
    pub(crate) async fn libmodbus_rtu(line: &Line, unit: u8) -> Meters {
        let args = ["rtu".to_owned(), text(&line.far), unit.to_string()];
        Meters::serve("libmodbus rtu", "libmodbus", &args).await
    }

    /// libmodbus serves one unit on TCP.
    pub(crate) async fn libmodbus_tcp(unit: u8) -> Meters {
        let args = ["tcp".to_owned(), unit.to_string()];
        Meters::serve("libmodbus tcp", "libmodbus", &args).await
    }

    async fn serve(name: &str, tool: &str, args: &[String]) -> Meters {
        let mut server = Child::start(name, &text(&tools::path(tool)), args);
        let ready = server.line("ready", |l| l.starts_with("ready")).await;
        let port = ready.split(' ').nth(1).map(|p| p.parse().unwrap());
        Meters {
            _server: server,
            port,
        }
    }
}

fn script(name: &str) -> String {
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers");
    text(&peers.join(name))
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
