//! A plant of other authors' programs: serial lines and a serial server by socat,
//! meters by pymodbus, libmodbus and modbus-serial.

use std::path::{Path, PathBuf};

use crate::child::Child;
use crate::tools;

/// A serial line: bytes written at one end are read at the other. It ends, and its two
/// names vanish, when dropped or [unplugged](Line::unplug).
pub(crate) struct Line {
    socat: Child,
    /// The end of the gateway.
    pub(crate) near: PathBuf,
    /// The end of the meters.
    pub(crate) far: PathBuf,
}

impl Line {
    /// Makes a line called `name` in `folder`.
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

    /// Pulls the plug: both names vanish, and a process that holds an end reads its
    /// end.
    pub(crate) async fn unplug(mut self) {
        self.socat.stop().await;
        assert!(!self.near.exists(), "socat leaves no dangling name");
    }
}

/// A serial server: a TCP connection on one side, a line on the other, without any
/// knowledge of the protocol. It carries one connection, and ends when dropped.
pub(crate) struct SerialServer {
    _socat: Child,
    /// The port on which it listens.
    pub(crate) port: u16,
}

impl SerialServer {
    /// Starts it in front of this line, whose near end it takes.
    pub(crate) async fn before(line: &Line) -> SerialServer {
        let tty = format!("file:{},rawer", text(&line.near));
        let args = ["-d", "-d", "tcp-listen:0,bind=127.0.0.1", &tty];
        let mut socat = Child::start("serial server", "socat", &args);
        let said = socat
            .line("listening", |l| l.contains("listening on"))
            .await;
        let port = said.rsplit(':').next().unwrap().parse().unwrap();
        SerialServer {
            _socat: socat,
            port,
        }
    }
}

/// Meters served by a program of another author, until dropped.
pub(crate) struct Meters {
    _server: Child,
    /// The port on which they listen, if on TCP.
    pub(crate) port: Option<u16>,
}

impl Meters {
    /// Lets pymodbus serve `units` on a serial line.
    pub(crate) async fn pymodbus_rtu(line: &Line, units: &[u8]) -> Meters {
        let mut args = vec![script("pymodbus_server.py"), "rtu".to_owned()];
        args.push(text(&line.far));
        args.extend(units.iter().map(u8::to_string));
        Meters::serve("pymodbus rtu", "pymodbus", &args).await
    }

    /// Lets pymodbus serve `units` on a serial line, in ASCII.
    pub(crate) async fn pymodbus_ascii(line: &Line, units: &[u8]) -> Meters {
        let mut args = vec![script("pymodbus_server.py"), "ascii".to_owned()];
        args.push(text(&line.far));
        args.extend(units.iter().map(u8::to_string));
        Meters::serve("pymodbus ascii", "pymodbus", &args).await
    }

    /// Lets pymodbus serve `units` on TCP, in frames of a serial line.
    pub(crate) async fn pymodbus_rtu_over_tcp(units: &[u8]) -> Meters {
        let mut args = vec![script("pymodbus_server.py"), "rtu-over-tcp".to_owned()];
        args.extend(units.iter().map(u8::to_string));
        Meters::serve("pymodbus rtu over tcp", "pymodbus", &args).await
    }

    /// Lets pymodbus serve `units` on TCP.
    pub(crate) async fn pymodbus_tcp(units: &[u8]) -> Meters {
        let mut args = vec![script("pymodbus_server.py"), "tcp".to_owned()];
        args.extend(units.iter().map(u8::to_string));
        Meters::serve("pymodbus tcp", "pymodbus", &args).await
    }

    /// Lets libmodbus serve one unit on a serial line.
    pub(crate) async fn libmodbus_rtu(line: &Line, unit: u8) -> Meters {
        let args = ["rtu".to_owned(), text(&line.far), unit.to_string()];
        Meters::serve("libmodbus rtu", "libmodbus", &args).await
    }

    /// Lets libmodbus serve one unit on TCP.
    pub(crate) async fn libmodbus_tcp(unit: u8) -> Meters {
        let args = ["tcp".to_owned(), unit.to_string()];
        Meters::serve("libmodbus tcp", "libmodbus", &args).await
    }

    /// Lets modbus-serial serve `units` on a serial line.
    pub(crate) async fn modbus_serial_rtu(line: &Line, units: &[u8]) -> Meters {
        let mut args = vec![script("modbus_serial_server.js"), "rtu".to_owned()];
        args.push(text(&line.far));
        args.extend(units.iter().map(u8::to_string));
        Meters::serve("modbus-serial rtu", "modbus-serial", &args).await
    }

    /// Lets modbus-serial serve `units` on TCP.
    pub(crate) async fn modbus_serial_tcp(units: &[u8]) -> Meters {
        let mut args = vec![script("modbus_serial_server.js"), "tcp".to_owned()];
        args.extend(units.iter().map(u8::to_string));
        Meters::serve("modbus-serial tcp", "modbus-serial", &args).await
    }

    async fn serve(name: &str, tool: &str, args: &[String]) -> Meters {
        // For the meters in Node: the script lies elsewhere than its packages.
        let modules = text(&tools::peers().join("node/node_modules"));
        let program = text(&tools::path(tool));
        let mut server = Child::start_with(name, &program, args, &[("NODE_PATH", modules)]);
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
