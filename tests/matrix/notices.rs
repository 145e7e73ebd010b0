//! The notices to the operator, and their times.

use std::fmt::{Debug, Write};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use alink_gateway::base::Mono;
use alink_gateway::io::log::Sink;
use alink_gateway::io::system::clock::Clock;
use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

/// One line of the log.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) at: Mono,
    pub(crate) level: Level,
    pub(crate) text: String,
}

/// How many lines are shown from the beginning and from the end.
const SHOWN: usize = 15;

/// All lines of one life.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told(Arc<Mutex<Vec<Line>>>);

impl Told {
    /// Returns the first line from `from` on, not below this level, that contains one
    /// of these.
    pub(crate) fn first(&self, from: Mono, level: Level, words: &[String]) -> Option<Line> {
        let lines = self.0.lock().unwrap();
        let speaks = |l: &&Line| {
            l.at >= from && l.level <= level && words.iter().any(|w| l.text.contains(w))
        };
        lines.iter().find(speaks).cloned()
    }

    /// Returns the first and the last lines, for people.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let lines = self.0.lock().unwrap();
        for (n, line) in lines.iter().enumerate() {
            if n < SHOWN || n + SHOWN >= lines.len() {
                let _ = writeln!(text, "  {} {} {}", line.at, line.level, line.text);
            } else if n == SHOWN {
                text.push_str("  …\n");
            }
        }
        text
    }
}

/// Records the log of this thread.
struct Capture {
    clock: Clock,
    told: Told,
}

/// Records the log of this thread until the guard is dropped.
pub(crate) fn capture(clock: Clock, told: Told) -> DefaultGuard {
    let subscriber = tracing_subscriber::registry().with(Capture { clock, told });
    tracing::subscriber::set_default(subscriber)
}

impl<S: Subscriber> Layer<S> for Capture {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        self.told.0.lock().unwrap().push(Line {
            at: self.clock.now().mono,
            level: *event.metadata().level(),
            text: text.0,
        });
    }
}

#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            let _ = write!(self.0, "{value:?}");
        }
    }
}

/// Reads the entries at the journal's socket until it is dropped, on a thread of its
/// own: the socket holds few.
pub(crate) struct Reader(Arc<AtomicBool>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Opens a journal in this directory, in real time.
pub(crate) fn journal(clock: Clock, told: Told, dir: &Path) -> (Sink, Reader) {
    let path = dir.join("journal");
    let socket = UnixDatagram::bind(&path).unwrap();
    let patience = Duration::from_millis(200);
    socket.set_read_timeout(Some(patience)).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let ends = Arc::clone(&over);
    std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        while !ends.load(Ordering::Relaxed) {
            let Ok(n) = socket.recv(&mut buffer) else {
                continue;
            };
            let entry = String::from_utf8_lossy(&buffer[..n]);
            let field = |name: &str| entry.lines().find_map(|l| l.strip_prefix(name));
            told.0.lock().unwrap().push(Line {
                at: clock.now().mono,
                level: match field("PRIORITY=") {
                    Some("3") => Level::ERROR,
                    Some("4") => Level::WARN,
                    Some("6") => Level::INFO,
                    _ => Level::DEBUG,
                },
                text: field("MESSAGE=").unwrap_or_default().to_owned(),
            });
        }
    });
    let sink = Sink::journal(alink_gateway::base::Level::Debug, clock, &path).unwrap();
    (sink, Reader(over))
}
