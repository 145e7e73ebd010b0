//! What the operator is told, as it is told, on virtual time.

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use alink_gateway::base::Mono;
use alink_gateway::io::clock::Clock;
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

/// All lines of one life.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told(Arc<Mutex<Vec<Line>>>);

impl Told {
    /// The first line from `from` on, not below the level that people see, that
    /// contains one of these.
    pub(crate) fn first(&self, from: Mono, words: &[String]) -> Option<Line> {
        let lines = self.0.lock().unwrap();
        let speaks = |l: &&Line| {
            l.at >= from && l.level <= Level::INFO && words.iter().any(|w| l.text.contains(w))
        };
        lines.iter().find(speaks).cloned()
    }

    /// Everything, for people.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for line in self.0.lock().unwrap().iter() {
            let _ = writeln!(text, "  {} {} {}", line.at, line.level, line.text);
        }
        text
    }
}

/// Writes down what this thread logs.
struct Capture {
    clock: Clock,
    told: Told,
}

/// Writes down what this thread logs until the guard is dropped.
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
