//! The real port on a real socket, its events, and a server that the test controls.

use std::future::Future;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alink_gateway::base::{
    BusCommand, BusWork, CommandNumber, DeviceId, FieldEvent, Level, PortId, Rng, Value,
    WriteVerdict,
};
use alink_gateway::io::bus::line::Opener;
use alink_gateway::io::bus::port;
use alink_gateway::io::log::{Journal, Sink};
use alink_gateway::io::store::learned::Learned;
use alink_gateway::io::system::clock::Clock;
use alink_gateway::io::system::heartbeat::Heartbeat;
use alink_gateway::spec::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::installation::{installation, number, point, profile, tcp};

/// Returns this many milliseconds.
pub(crate) const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// A request of Modbus TCP to read registers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) id: u16,
    pub(crate) unit: u8,
    pub(crate) function: u8,
    pub(crate) start: u16,
    pub(crate) count: u16,
}

impl Request {
    /// Parses these twelve bytes.
    pub(crate) fn of(bytes: [u8; 12]) -> Request {
        let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        Request {
            id: word(0),
            unit: bytes[6],
            function: bytes[7],
            start: word(8),
            count: word(10),
        }
    }

    /// Returns its reply; every register holds the unit and its own address.
    pub(crate) fn reply_of_unit(&self) -> Vec<u8> {
        let mut frame = self.reply();
        for (n, pair) in frame[9..].chunks_mut(2).enumerate() {
            pair[0] = self.unit;
            pair[1] = (self.start + n as u16).to_be_bytes()[1];
        }
        frame
    }

    /// Returns its reply; every register holds its own address.
    pub(crate) fn reply(&self) -> Vec<u8> {
        let count = self.count.to_be_bytes()[1];
        let mut frame = self.id.to_be_bytes().to_vec();
        frame.extend([0, 0, 0, 3 + 2 * count, self.unit, self.function, 2 * count]);
        frame.extend((0..self.count).flat_map(|n| (self.start + n).to_be_bytes()));
        frame
    }

    /// Returns a refusal with this value in the length field.
    pub(crate) fn refusal(&self, code: u8, length: u16) -> Vec<u8> {
        let mut frame = self.id.to_be_bytes().to_vec();
        frame.extend([0, 0]);
        frame.extend(length.to_be_bytes());
        frame.extend([self.unit, self.function | 0x80, code]);
        frame
    }
}

/// One connection at the end of the server.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    /// How many connections came before it.
    pub(crate) nth: usize,
    pub(crate) since: Instant,
}

impl Peer {
    /// Reads the next request; `None`: the other end has closed.
    pub(crate) async fn request(&mut self) -> Option<Request> {
        let mut bytes = [0; 12];
        self.stream.read_exact(&mut bytes).await.ok()?;
        Some(Request::of(bytes))
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        // The other end may be gone, and then there is nothing to test.
        let _ = self.stream.write_all(bytes).await;
    }

    /// Closes the connection with a reset instead of an orderly end.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }
}

/// A server, and how many connections it has had.
pub(crate) struct Server {
    pub(crate) port: u16,
    connections: Arc<AtomicUsize>,
    pub(crate) stop: CancellationToken,
}

impl Server {
    /// Starts a server whose connections are all served by `serve` at a time.
    pub(crate) async fn new<F>(serve: impl Fn(Peer) -> F + Send + 'static) -> Server
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let stop = CancellationToken::new();
        let (count, stopped) = (Arc::clone(&connections), stop.clone());
        tokio::spawn(stopped.run_until_cancelled_owned(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let nth = count.fetch_add(1, Ordering::SeqCst);
                let since = Instant::now();
                tokio::spawn(serve(Peer { stream, nth, since }));
            }
        }));
        Server {
            port,
            connections,
            stop,
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Returns the way to it.
    pub(crate) fn line(&self) -> TcpSpec {
        tcp("127.0.0.1", self.port)
    }
}

/// Builds units with one register each at address 7, read so often.
pub(crate) fn registers(line: TcpSpec, units: u8, interval: Duration, timeout: Duration) -> Spec {
    let at = |address| {
        point(
            Table::HoldingRegister,
            address,
            number(Number::U16),
            interval,
        )
    };
    let mut register = at(7);
    register.write = Some(Box::new(WritePolicy {
        read_back: ReadBack::Never,
        ..WritePolicy::default()
    }));
    let kind = profile("register", vec![register]);
    let units = (1..=units).map(|unit| (unit, Arc::clone(&kind)));
    installation(LineSpec::Tcp(line), timeout, units)
}

/// The gateway's port task and its ends.
pub(crate) struct Gateway {
    pub(crate) hub: mpsc::Receiver<FieldEvent>,
    commands: mpsc::Sender<BusCommand>,
    stop: CancellationToken,
    told: UnixDatagram,
    entries: Vec<String>,
    /// Every event of the port.
    pub(crate) events: Arc<Mutex<Vec<FieldEvent>>>,
    _dir: tempfile::TempDir,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Gateway {
    pub(crate) fn start(spec: Spec) -> Gateway {
        Gateway::by(Opener::System, spec)
    }

    pub(crate) fn by(opener: Opener, spec: Spec) -> Gateway {
        let spec = Arc::new(spec);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let told = UnixDatagram::bind(&path).unwrap();
        told.set_nonblocking(true).unwrap();
        let sink = Sink::journal(Level::Debug, Clock::system(), &path).unwrap();
        let (hub_in, hub) = mpsc::channel(64);
        let (attempted, _) = oneshot::channel();
        let (commands, ordered) = mpsc::channel(8);
        let stop = CancellationToken::new();
        tokio::spawn(port::run(
            PortId(0),
            Arc::clone(&spec),
            opener,
            Learned::in_memory(),
            Rng::new(1),
            Clock::system(),
            Journal::new(spec).to(sink),
            hub_in,
            Heartbeat::new("line"),
            stop.clone(),
            attempted,
            ordered.into(),
        ));
        Gateway {
            hub,
            commands,
            stop,
            told,
            entries: Vec::new(),
            events: Arc::default(),
            _dir: dir,
        }
    }

    /// Returns the next event but load.
    pub(crate) async fn event(&mut self) -> FieldEvent {
        loop {
            let event = timeout(Duration::from_secs(20), self.hub.recv()).await;
            match event.expect("nothing happened").expect("the task ended") {
                FieldEvent::Load { .. } => {}
                event => {
                    self.events.lock().unwrap().push(event.clone());
                    return event;
                }
            }
        }
    }

    /// Polls until so many values have come; each is its own address.
    pub(crate) async fn values(&mut self, mut count: usize) {
        while count > 0 {
            if let FieldEvent::Polled { readings, .. } = self.event().await {
                for reading in readings {
                    let address = 7 + u64::from(reading.point);
                    assert_eq!(reading.value, Value::UInt(address));
                    count = count.saturating_sub(1);
                }
            }
        }
    }

    /// Handles every event until then, and checks that no value in it is wrong.
    pub(crate) async fn run(&mut self, time: Duration) {
        let _ = timeout(time, async { self.values(usize::MAX).await }).await;
    }

    /// Returns how many events so far are like this.
    pub(crate) fn count(&self, is: impl Fn(&FieldEvent) -> bool) -> usize {
        self.events.lock().unwrap().iter().filter(|e| is(e)).count()
    }

    /// Returns how many polls were without proof of life.
    pub(crate) fn misses(&self) -> usize {
        self.count(|e| {
            matches!(e, FieldEvent::Polled { evidence, .. }
                if matches!(evidence, alink_gateway::base::LivenessEvidence::Missed(_)))
        })
    }

    pub(crate) fn downs(&self) -> usize {
        self.count(|e| matches!(e, FieldEvent::PortDown { .. }))
    }

    /// Returns the log events of this kind.
    pub(crate) fn told(&mut self, event: &str) -> Vec<String> {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(n) = self.told.recv(&mut buffer) {
            let entry = String::from_utf8_lossy(&buffer[..n]).into_owned();
            self.entries.push(entry);
        }
        let named = format!("EVENT={event}");
        let of = |entry: &&String| entry.lines().any(|line| line == named);
        self.entries.iter().filter(of).cloned().collect()
    }

    /// Writes to register 7 of the first device, which is not read back.
    pub(crate) async fn command(&mut self, value: u16) -> WriteVerdict {
        let command = BusCommand {
            number: CommandNumber(value.into()),
            device: DeviceId(0),
            work: BusWork::Set(vec![(0, Value::UInt(value.into()))]),
            until: Clock::system().now().mono + Duration::from_secs(10),
        };
        self.commands.send(command).await.unwrap();
        loop {
            if let FieldEvent::CommandEnded(end) = self.event().await {
                return end.points[0].verdict.clone();
            }
        }
    }
}
